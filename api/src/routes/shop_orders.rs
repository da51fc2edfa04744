//! Orders as a seller sees them: what of them is of one shop, and nothing of what is another's.
//!
//! Name and address are shown once there is something to ship: the order is paid and not called off. Used by the shop's
//! owner and by admins; to everybody else the shop has no orders.

use std::collections::BTreeSet;

use axum::{extract::State, http::Uri};
use chrono::{DateTime, Utc};
use domain::{
    ids::{OrderId, RegionId, ShopId, UserId},
    order::{OrderStatus, PaymentStatus},
    shop::Shop,
};
use eventstore::sealing::{SealError, Vault};
use identity::Permission;
use projections::{
    View,
    orders::{OrderLineView, OrderView, ShopOrderFilter, ShopOrderSort},
    page::{Page, Span},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    body::MoneyBody,
    list::{self, PageBody},
    orders::body::{LineBody, line_body, personal},
};
use crate::{
    answer::Answer,
    auth::{Allowed, ReadShopOrders},
    error::ApiError,
    extract::{Id, IdAnd, MinPosition, Query},
    openapi::parts::{Behind, ById, Missing, NotBefore, OrderById, Unplaced},
    problem::Kind,
    state::App,
};

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(list_orders))
        .routes(routes!(read))
}

/// What of an order is a seller's.
#[derive(Serialize, ToSchema)]
pub struct ShopOrderBody {
    /// Which.
    #[schema(value_type = Uuid)]
    order_id: OrderId,
    /// Its number, for people.
    #[schema(example = "100001")]
    order_number: Option<String>,
    /// Who it is for; null unless it is paid and not called off, and where the customer was erased.
    customer_name: Option<String>,
    /// Where it goes; null as the name.
    shipping_address: Option<String>,
    /// Where it was bought.
    #[schema(value_type = Uuid)]
    region_id: RegionId,
    /// How far the goods of the whole order are.
    #[schema(value_type = String, example = "processing")]
    status: OrderStatus,
    /// How far the money of the whole order is.
    #[schema(value_type = String, example = "paid")]
    payment_status: PaymentStatus,
    /// The lines of the seller; those of others are not shown.
    items: Vec<LineBody>,
    /// Sum of these lines' tax.
    tax: MoneyBody,
    /// Sum of what these lines cost.
    items_total: MoneyBody,
    /// When the order was paid.
    paid_at: Option<DateTime<Utc>>,
    /// When it was placed.
    created_at: DateTime<Utc>,
    /// When it last changed.
    updated_at: DateTime<Utc>,
}

impl ShopOrderBody {
    /// What of the order is of these shops. Name and address are opened for whoever may read them, once they are needed.
    pub(super) async fn of(
        vault: &Vault,
        order: OrderView,
        shops: &BTreeSet<ShopId>,
        may_read: bool,
    ) -> Result<Self, ApiError> {
        let opened = if may_read && is_to_be_shipped(&order, |shop_id| shops.contains(&shop_id)) {
            match personal(vault, &order).await {
                // the vault has said whose
                Err(SealError::OtherMasterKey(_)) => (None, None),
                opened => opened?,
            }
        } else {
            (None, None)
        };
        Ok(Self::with(order, shops, opened))
    }

    fn with(
        order: OrderView,
        shops: &BTreeSet<ShopId>,
        (customer_name, shipping_address): (Option<String>, Option<String>),
    ) -> Self {
        let currency = order.currency;
        let lines: Vec<_> = order
            .lines
            .into_iter()
            .filter(|line| line.shop_id.is_some_and(|shop_id| shops.contains(&shop_id)))
            .collect();
        let sum = |amount: fn(&OrderLineView) -> i64| {
            // cannot saturate: parts of the order's own sums
            let sum = lines.iter().map(amount).fold(0, i64::saturating_add);
            MoneyBody::of(sum, currency)
        };
        Self {
            order_id: order.order_id,
            order_number: order.number.map(|number| number.to_string()),
            customer_name,
            shipping_address,
            region_id: order.region_id,
            status: order.status,
            payment_status: order.payment_status,
            tax: sum(|line| line.tax),
            items_total: sum(|line| line.gross),
            items: lines
                .into_iter()
                .map(|line| line_body(line, order.status, currency))
                .collect(),
            paid_at: order.paid_at,
            created_at: order.created_at,
            updated_at: order.updated_at,
        }
    }
}

/// Whether a parcel of these shops is to be sent, or was.
fn is_to_be_shipped(order: &OrderView, is_theirs: impl Fn(ShopId) -> bool) -> bool {
    let mut theirs = order
        .lines
        .iter()
        .filter(|line| line.shop_id.is_some_and(&is_theirs));
    match order.status {
        OrderStatus::Pending | OrderStatus::Processing | OrderStatus::PartlyShipped => {
            order.paid.is_some()
        }
        OrderStatus::Shipped | OrderStatus::Delivered => theirs.any(|line| line.shipped > 0),
        OrderStatus::Cancelled => false,
    }
}

/// Those of the order's shops that are the seller's, in whatever status.
pub(super) async fn shops_of_seller(
    app: &App,
    seller: UserId,
    order: &OrderView,
) -> Result<BTreeSet<ShopId>, ApiError> {
    let mut shops: BTreeSet<ShopId> = order.lines.iter().filter_map(|line| line.shop_id).collect();
    for shop_id in shops.clone() {
        if owner_of(app, shop_id).await? != Some(seller) {
            shops.remove(&shop_id);
        }
    }
    Ok(shops)
}

/// Whose shop it is, in whatever status.
pub(super) async fn owner_of(app: &App, shop_id: ShopId) -> Result<Option<UserId>, ApiError> {
    let (shop, _) = app.log.load::<Shop>(shop_id).await?;
    Ok(shop.details().map(|shop| shop.owner_id))
}

/// Which orders of a shop, in which order. All filters must fit.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ShopOrderQuery {
    /// In this status.
    #[param(value_type = Option<String>)]
    status: Option<OrderStatus>,
    /// In this payment status.
    #[param(value_type = Option<String>)]
    payment_status: Option<PaymentStatus>,
    /// Placed then or later.
    #[serde(rename = "created_at[gte]")]
    created_at_gte: Option<DateTime<Utc>>,
    /// Placed then or earlier.
    #[serde(rename = "created_at[lte]")]
    created_at_lte: Option<DateTime<Utc>>,
    /// `created_at`, with a `-` in front for the other direction; `-created_at` when absent.
    sort: Option<String>,
    /// How many: 1 to 200, 50 when absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Refuses, as if there were no such shop, whoever may not see its orders.
async fn assure_may_read(
    app: &App,
    who: &Allowed<ReadShopOrders>,
    shop_id: ShopId,
) -> Result<(), ApiError> {
    let owner = owner_of(app, shop_id).await?;
    let own = owner == Some(who.user_id) && who.can(Permission::ReadOwnShopOrders);
    if owner.is_some() && (own || who.can(Permission::ReadAnyOrder)) {
        Ok(())
    } else {
        Err(Kind::NotFound.into())
    }
}

/// List the orders of a shop
///
/// Those that hold lines of the shop, each with these lines only. Name and address are shown of orders that are paid and not
/// called off. Demands the permission to read the orders of one's own shops, or any order; another's shop is not found.
#[utoipa::path(get, path = "/api/v1/shops/{id}/orders", operation_id = "listShopOrders", tag = "orders", security(("bearer" = [])),
    params(ById, ShopOrderQuery, NotBefore),
    responses((status = 200, body = PageBody<ShopOrderBody>, headers(("Link"))), Missing, Unplaced, Behind))]
async fn list_orders(
    State(app): State<App>,
    who: Allowed<ReadShopOrders>,
    Id(shop_id): Id<ShopId>,
    Query(query): Query<ShopOrderQuery>,
    position: MinPosition,
    uri: Uri,
) -> Result<Answer<PageBody<ShopOrderBody>>, ApiError> {
    let (sort, cursor) = (query.sort.as_deref(), query.cursor.as_deref());
    let page = list::newest_first(ShopOrderSort::CreatedAt, sort, query.limit, cursor)?;
    assure_may_read(&app, &who, shop_id).await?;
    let filter = ShopOrderFilter {
        shop_id,
        status: query.status,
        payment_status: query.payment_status,
        created_at: Span {
            gte: query.created_at_gte,
            lte: query.created_at_lte,
        },
    };
    app.caught_up(View::Orders, position).await?;
    let Page { items, next } = app.read_models.shop_orders(&filter, &page).await?;
    // one query for the keys of all customers on the page
    let shown = items
        .iter()
        .filter(|order| is_to_be_shipped(order, |of| of == shop_id));
    app.vault
        .prepare(shown.flat_map(|order| [&order.customer_name, &order.shipping_address]))
        .await?;
    let shop = BTreeSet::from([shop_id]);
    let mut bodies = Vec::with_capacity(items.len());
    for order in items {
        bodies.push(ShopOrderBody::of(&app.vault, order, &shop, true).await?);
    }
    Ok(list::page(
        &uri,
        Page {
            items: bodies,
            next,
        },
    ))
}

/// Read what of an order is a shop's
///
/// An order without a line of the shop is not found. Demands the permission to read the orders of one's own shops, or any
/// order.
#[utoipa::path(get, path = "/api/v1/shops/{id}/orders/{order_id}", operation_id = "readShopOrder", tag = "orders", security(("bearer" = [])),
    params(ById, OrderById, NotBefore),
    responses((status = 200, body = ShopOrderBody, headers(("ETag"))), Missing, Unplaced, Behind))]
async fn read(
    State(app): State<App>,
    who: Allowed<ReadShopOrders>,
    IdAnd(shop_id, order_id): IdAnd<ShopId, OrderId>,
    position: MinPosition,
) -> Result<Answer<ShopOrderBody>, ApiError> {
    assure_may_read(&app, &who, shop_id).await?;
    app.caught_up_on(View::Orders, order_id, position).await?;
    let order = app.read_models.shop_order(shop_id, order_id).await?;
    let order = order.ok_or(Kind::NotFound)?;
    let sequence = order.sequence;
    let shop = BTreeSet::from([shop_id]);
    let body = ShopOrderBody::of(&app.vault, order, &shop, true).await?;
    Ok(Answer::ok(body).version(sequence))
}
