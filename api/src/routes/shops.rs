//! Shops: customers open them and so become sellers; everybody reads those that are open. A shop that waits for approval
//! or was closed is seen by its owner and by admins alone.

use axum::{
    extract::State,
    http::{StatusCode, Uri},
};
use chrono::{DateTime, Utc};
use commands::{
    Versioned,
    shops::{NewShop, ShopChanges},
};
use domain::{
    ids::{ShopId, UserId},
    shop::{Shop, ShopDetails, ShopStatus},
};
use eventstore::unit::Committed;
use garde::Validate;
use identity::Permission;
use projections::{
    View,
    page::Page,
    shops::{ShopFilter, ShopSort, ShopView},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    body::stored_id,
    list::{self, PageBody, bad_parameter},
    products::no_description,
};
use crate::{
    answer::Answer,
    auth::{Allowed, Anyone, ApproveShops, ManageShop, OpenShop},
    call::{Call, Outcome, run, run_once},
    error::ApiError,
    extract::{Body, Id, IfMatch, MinPosition, Query},
    fields::{Given, input},
    openapi::parts::{
        BadToken, Behind, ById, InUse, Missing, NotBefore, NotDone, NotShown, OnlyIf, Repeatable,
        ShopNotOpen, Stale, Unplaced,
    },
    problem::Kind,
    sellers,
    state::App,
};

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(list_shops, open))
        .routes(routes!(read, change, close))
        .routes(routes!(approve))
}

/// A shop.
#[derive(Serialize, ToSchema)]
pub struct ShopBody {
    /// Which.
    #[schema(value_type = Uuid)]
    shop_id: ShopId,
    /// Whose, for good.
    #[schema(value_type = Uuid)]
    owner_id: UserId,
    /// Its name.
    #[schema(example = "Hats of Hà Nội")]
    title: String,
    /// What it is about.
    description: String,
    /// `requested`: it waits for an admin's approval. `open`: it sells. `closed`: it sells no more, for good.
    #[schema(example = "open")]
    status: &'static str,
}

/// A shop in the list.
#[derive(Serialize, ToSchema)]
pub struct ListedShop {
    /// What it is.
    #[serde(flatten)]
    shop: ShopBody,
    /// When it was asked for or opened.
    created_at: DateTime<Utc>,
    /// When it last changed.
    updated_at: DateTime<Utc>,
}

impl From<ShopDetails> for ShopBody {
    fn from(shop: ShopDetails) -> Self {
        Self {
            shop_id: shop.shop_id,
            owner_id: shop.owner_id,
            title: shop.title.to_string(),
            description: shop.description.to_string(),
            status: shop.status.as_str(),
        }
    }
}

impl From<ShopView> for ListedShop {
    fn from(view: ShopView) -> Self {
        Self {
            shop: view.details.into(),
            created_at: view.created_at,
            updated_at: view.updated_at,
        }
    }
}

/// Which shops, in which order. All filters must fit.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ShopQuery {
    /// Of this seller.
    #[param(value_type = Option<Uuid>)]
    owner_id: Option<UserId>,
    /// `requested`, `open` or `closed`. Those that are not open are for admins, and for owners who ask for their own by
    /// `owner_id`; when absent, all that one may see.
    status: Option<String>,
    /// `created_at` or `title`, with a `-` in front for the other direction; `-created_at` when absent.
    sort: Option<String>,
    /// How many: 1 to 200, 50 when absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

impl ShopQuery {
    /// What is listed to somebody: everything to who manages shops and to who asks for their own, otherwise what is open.
    fn filter(&self, who: &Anyone) -> Result<ShopFilter, ApiError> {
        let status = self
            .status
            .as_deref()
            .map(|status| {
                status.parse::<ShopStatus>().map_err(|_| {
                    let names = ShopStatus::ALL.map(ShopStatus::as_str).join(", ");
                    bad_parameter("status", format!("must be one of {names}"))
                })
            })
            .transpose()?;
        let sees_all = match self.owner_id {
            Some(owner_id) => sees_every_status(who, owner_id),
            None => who.can(Permission::ManageShops),
        };
        let status = match status {
            status if sees_all => status,
            None | Some(ShopStatus::Open) => Some(ShopStatus::Open),
            Some(ShopStatus::Requested | ShopStatus::Closed) => {
                return Err(Kind::Forbidden.into());
            }
        };
        Ok(ShopFilter {
            owner_id: self.owner_id,
            status,
        })
    }
}

/// Whether somebody sees the shops of that owner in whatever status. Who asks for a shop is no seller yet.
fn sees_every_status(who: &Anyone, owner_id: UserId) -> bool {
    let own = who.0.is_some_and(|principal| principal.user_id == owner_id);
    let as_owner = who.can(Permission::ManageOwnShop) || who.can(Permission::OpenShop);
    who.can(Permission::ManageShops) || own && as_owner
}

/// A shop to be opened, in one's own name.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ShopInput {
    /// Its name.
    #[garde(dive)]
    title: input::Title,
    /// What it is about; empty when absent.
    #[garde(dive)]
    #[serde(default)]
    description: Option<input::Description>,
}

/// What is to change of a shop; what is absent stays.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ShopPatch {
    /// Its name.
    #[garde(dive)]
    #[serde(default)]
    #[schema(value_type = input::Title)]
    title: Given<input::Title>,
    /// What it is about.
    #[garde(dive)]
    #[serde(default)]
    #[schema(value_type = input::Description)]
    description: Given<input::Description>,
}

fn answered(done: Committed<Versioned<ShopDetails>>) -> Answer<ShopBody> {
    Answer::ok(done.output.state.into())
        .version(done.output.sequence)
        .at(done.head)
}

fn location(id: ShopId) -> String {
    format!("/api/v1/shops/{id}")
}

/// List shops
///
/// Those that are open; admins, and owners who ask for their own, see the others too.
#[utoipa::path(get, path = "/api/v1/shops", operation_id = "listShops", tag = "shops",
    params(ShopQuery, NotBefore),
    responses((status = 200, body = PageBody<ListedShop>, headers(("Link"))), BadToken, NotShown, Unplaced, Behind))]
async fn list_shops(
    State(app): State<App>,
    who: Anyone,
    Query(query): Query<ShopQuery>,
    position: MinPosition,
    uri: Uri,
) -> Result<Answer<PageBody<ListedShop>>, ApiError> {
    let (sort, cursor) = (query.sort.as_deref(), query.cursor.as_deref());
    let page = list::newest_first(ShopSort::CreatedAt, sort, query.limit, cursor)?;
    let filter = query.filter(&who)?;
    app.caught_up(View::Shops, position).await?;
    let Page { items, next } = app.read_models.shops(&filter, &page).await?;
    let items = items.into_iter().map(Into::into).collect();
    Ok(list::page(&uri, Page { items, next }))
}

/// Open a shop
///
/// In one's own name, which makes one a seller. Where admins approve of shops (`SOUK_SHOP_APPROVAL`) it is only asked for,
/// and its status is `requested`. Demands the permission to open a shop.
#[utoipa::path(post, path = "/api/v1/shops", operation_id = "openShop", tag = "shops", security(("bearer" = [])),
    request_body = ShopInput, params(Repeatable),
    responses(
        (status = 201, body = ShopBody, headers(("Location"), ("ETag"), ("Souk-Position"))),
        InUse, NotDone,
    ))]
async fn open(
    State(app): State<App>,
    who: Allowed<OpenShop>,
    call: Call,
    body: Body<ShopInput>,
) -> Result<Answer<ShopBody>, ApiError> {
    app.assure_selling()?;
    let attempt = call.attempt(&app.idempotency, &who, &body.raw)?;
    let shop_id = ShopId(Uuid::now_v7());
    let shop = NewShop {
        shop_id,
        owner_id: who.user_id,
        title: body.value.title.take(),
        description: body
            .value
            .description
            .map_or_else(no_description, |given| Ok(given.take()))?,
        needs_approval: app.config.selling.shop_approval,
    };
    let key = attempt
        .as_ref()
        .map(|attempt| attempt.key(StatusCode::CREATED.as_u16(), shop_id));
    let request = call.request(&who, "OpenShop", key);
    let commands = app.commands.clone();
    let command = async move { commands.open_shop(request, shop).await };
    match run_once(&app.log, attempt, command).await? {
        Outcome::Done(done) => {
            welcome(&app, &done.output.state).await;
            Ok(answered(done).created(&location(shop_id)))
        }
        Outcome::Before(earlier) => {
            let id: ShopId = stored_id(&earlier.resource)?;
            let (shop, sequence) = app.log.load::<Shop>(id).await?;
            let details = shop.details().cloned().ok_or(Kind::NotFound)?;
            let answer = Answer::ok(details.into())
                .version(sequence)
                .created(&location(id));
            Ok(answer.replayed(&earlier))
        }
    }
}

/// Makes a seller of the owner of an open shop at once, so that their next request may do what sellers do. Whatever becomes of
/// that, the subscriber sees to it: see [`sellers`].
async fn welcome(app: &App, shop: &ShopDetails) {
    if shop.status != ShopStatus::Open {
        return;
    }
    if let Err(error) = sellers::make_seller(&app.identity, shop.owner_id).await {
        tracing::warn!(shop_id = %shop.shop_id, %error, "the owner of a shop becomes a seller later");
    }
}

/// Read a shop
///
/// One that is open; admins and its owner read it in any status.
#[utoipa::path(get, path = "/api/v1/shops/{id}", operation_id = "readShop", tag = "shops", params(ById, NotBefore),
    responses((status = 200, body = ListedShop, headers(("ETag"))), BadToken, Missing, Unplaced, Behind))]
async fn read(
    State(app): State<App>,
    who: Anyone,
    Id(id): Id<ShopId>,
    position: MinPosition,
) -> Result<Answer<ListedShop>, ApiError> {
    app.caught_up_on(View::Shops, id, position).await?;
    let shop = app.read_models.shop(id).await?.filter(|shop| {
        let details = &shop.details;
        details.status == ShopStatus::Open || sees_every_status(&who, details.owner_id)
    });
    let shop = shop.ok_or(Kind::NotFound)?;
    let sequence = shop.sequence;
    Ok(Answer::ok(shop.into()).version(sequence))
}

/// Change a shop
///
/// One's own, or any with the permission to manage shops.
#[utoipa::path(patch, path = "/api/v1/shops/{id}", operation_id = "changeShop", tag = "shops", security(("bearer" = [])),
    request_body = ShopPatch, params(ById, OnlyIf),
    responses(
        (status = 200, body = ShopBody, headers(("ETag"), ("Souk-Position"))),
        Missing, ShopNotOpen, Stale, NotDone,
    ))]
async fn change(
    State(app): State<App>,
    who: Allowed<ManageShop>,
    Id(id): Id<ShopId>,
    expected: IfMatch,
    call: Call,
    body: Body<ShopPatch>,
) -> Result<Answer<ShopBody>, ApiError> {
    let by = app.manager(&who, Permission::ManageShops)?;
    let changes = ShopChanges {
        title: body.value.title.take(),
        description: body.value.description.take(),
    };
    let request = call.request(&who, "ChangeShop", None);
    let commands = app.commands.clone();
    let done = run(async move {
        commands
            .change_shop(request, by, id, changes, expected.version())
            .await
    })
    .await?;
    Ok(answered(done))
}

/// Close a shop
///
/// For good: its products are sold and shown no more; orders that are placed are finished. One's own, or any with the
/// permission to manage shops. One that was only asked for is asked for no more.
#[utoipa::path(delete, path = "/api/v1/shops/{id}", operation_id = "closeShop", tag = "shops", security(("bearer" = [])),
    params(ById, OnlyIf),
    responses((status = 204, description = "Closed, now or before", headers(("Souk-Position"))), Missing, Stale, NotDone))]
async fn close(
    State(app): State<App>,
    who: Allowed<ManageShop>,
    Id(id): Id<ShopId>,
    expected: IfMatch,
    call: Call,
) -> Result<Answer<()>, ApiError> {
    let by = app.manager(&who, Permission::ManageShops)?;
    let request = call.request(&who, "CloseShop", None);
    let commands = app.commands.clone();
    let closed = run(async move {
        commands
            .close_shop(request, by, id, expected.version())
            .await
    })
    .await?;
    Ok(Answer::no_content().at(closed.head))
}

/// Approve of a shop
///
/// It sells from now on, and its owner is a seller. Demands the permission to manage shops.
#[utoipa::path(post, path = "/api/v1/shops/{id}/approve", operation_id = "approveShop", tag = "shops", security(("bearer" = [])),
    params(ById, OnlyIf),
    responses(
        (status = 200, body = ShopBody, headers(("ETag"), ("Souk-Position"))),
        Missing, ShopNotOpen, Stale, NotDone,
    ))]
async fn approve(
    State(app): State<App>,
    who: Allowed<ApproveShops>,
    Id(id): Id<ShopId>,
    expected: IfMatch,
    call: Call,
) -> Result<Answer<ShopBody>, ApiError> {
    app.assure_selling()?;
    let request = call.request(&who, "ApproveShop", None);
    let commands = app.commands.clone();
    let approved =
        run(async move { commands.approve_shop(request, id, expected.version()).await }).await?;
    welcome(&app, &approved.output.state).await;
    Ok(answered(approved))
}
