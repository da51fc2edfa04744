//! Users, for admins: listed, made, read, changed, and given roles. Many at once are in `bulk`; what people do with
//! their own account is in [`super::profile`]. An API key reads users; what gives access is done in person.
//!
//! Users are no events, so these requests take no `Idempotency-Key`: repeated, a user that is made is refused because
//! the address is taken, and every change may be repeated as it is.

use std::time::Duration;

use axum::{extract::State, http::Uri};
use chrono::{DateTime, Utc};
use domain::ids::UserId;
use garde::Validate;
use identity::{
    Email, NewAccount, NewUser, PersonName, Role, RoleChange, Roles, User, UserChange, UserChanges,
    UserFilter, UserSort, UsersError,
};
use projections::page::Page;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::list::{self, PageBody, bad_parameter};
use crate::{
    answer::Answer,
    auth::{Allowed, ManageUsers, ReadUsers},
    call::{self, Call},
    error::ApiError,
    extract::{Body, Id, IdAnd, IfMatch, Query},
    fields::{self, Checked, Given, input},
    openapi::parts::{AddressTaken, AdminStays, ById, Missing, NotHashed, OnlyIf, Stale},
    problem::Kind,
    state::App,
};

pub(crate) use self::bulk::CREATE;
pub(super) use self::bulk::{named, within_limit};

mod bulk;

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(list_users, create))
        .routes(routes!(read, change))
        .routes(routes!(grant, revoke))
        .merge(bulk::router())
}

/// A user. What they log in with is no part of it.
#[derive(Serialize, ToSchema)]
pub struct UserBody {
    /// Which.
    #[schema(value_type = Uuid)]
    user_id: UserId,
    /// Their name.
    #[schema(example = "Nguyễn Văn A")]
    name: String,
    /// Where mail goes; need not be the address that they log in with.
    #[schema(example = "customer@example.com")]
    contact_email: Option<String>,
    /// Their telephone number.
    #[schema(example = "+84 28 3822 1234")]
    phone: Option<String>,
    /// Where parcels go when an order says nothing else.
    #[schema(example = "1 Lê Lợi, Quận 1, Thành phố Hồ Chí Minh")]
    address: Option<String>,
    /// What they are to the shop.
    #[schema(value_type = Vec<String>, example = json!(["customer"]))]
    roles: Roles,
    /// Counts changes; the number in the ETag.
    #[schema(example = 1)]
    version: i64,
    /// When they registered.
    created_at: DateTime<Utc>,
    /// When any of this last changed.
    updated_at: DateTime<Utc>,
}

impl From<User> for UserBody {
    fn from(user: User) -> Self {
        Self {
            user_id: user.id,
            name: user.name,
            contact_email: user.contact_email,
            phone: user.phone,
            address: user.address,
            roles: user.roles,
            version: user.version,
            created_at: user.created_at,
            updated_at: user.updated_at,
        }
    }
}

/// A user to be made.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserInput {
    /// Their name.
    #[garde(dive)]
    name: input::PersonName,
    /// The address to log in with, and where mail goes at first.
    #[garde(dive)]
    email: input::Email,
    /// The password to log in with.
    #[garde(dive)]
    password: input::Password,
    /// Their telephone number.
    #[garde(dive)]
    #[serde(default)]
    phone: Option<input::PhoneNumber>,
    /// Where parcels go.
    #[garde(dive)]
    #[serde(default)]
    address: Option<input::PostalAddress>,
    /// What they are to the shop; a customer when absent.
    #[garde(dive)]
    #[serde(default)]
    roles: Option<input::Roles>,
}

impl UserInput {
    fn take(self) -> NewUser {
        NewUser {
            account: NewAccount {
                name: self.name.take(),
                email: self.email.take(),
                password: self.password.take(),
                roles: self.roles.map_or(Role::Customer.into(), Checked::take),
            },
            phone: self.phone.map(Checked::take),
            address: self.address.map(Checked::take),
        }
    }
}

/// What is to change of a user; what is absent stays. What they log in with never changes here.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserPatch {
    /// Their name.
    #[garde(dive)]
    #[serde(default)]
    #[schema(value_type = input::PersonName)]
    name: Given<input::PersonName>,
    /// Where mail goes; null takes it away.
    #[garde(dive)]
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    contact_email: fields::Change<input::Email>,
    /// Their telephone number; null takes it away.
    #[garde(dive)]
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    phone: fields::Change<input::PhoneNumber>,
    /// Where parcels go; null takes it away.
    #[garde(dive)]
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    address: fields::Change<input::PostalAddress>,
    /// All that they are to the shop from now on.
    #[garde(dive)]
    #[serde(default)]
    #[schema(value_type = input::Roles)]
    roles: Given<input::Roles>,
}

impl UserPatch {
    fn take(self) -> UserChanges {
        UserChanges {
            name: self.name.take(),
            contact_email: self.contact_email.take(),
            phone: self.phone.take(),
            address: self.address.take(),
            roles: self.roles.take().map_or(RoleChange::Keep, RoleChange::Set),
        }
    }
}

/// Which users, in which order. All filters must fit.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct UserQuery {
    /// Reached at this contact address.
    #[param(example = "customer@example.com")]
    email: Option<String>,
    /// With this role, whatever others they have.
    #[param(value_type = Option<String>, example = "seller")]
    role: Option<Role>,
    /// Whose name begins so, in small letters or capitals.
    name: Option<String>,
    /// `created_at` or `name`, with a `-` in front for the other direction; `-created_at` when absent.
    sort: Option<String>,
    /// How many: 1 to 200, 50 when absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

impl UserQuery {
    fn filter(&self) -> Result<UserFilter, ApiError> {
        let email = self.email.as_deref().map(str::parse::<Email>).transpose();
        let name = self
            .name
            .as_deref()
            .map(str::parse::<PersonName>)
            .transpose();
        Ok(UserFilter {
            contact_email: email.map_err(|error| bad_parameter("email", error.to_string()))?,
            role: self.role,
            name: name.map_err(|error| bad_parameter("name", error.to_string()))?,
        })
    }
}

/// A user as they are now, with their version.
pub(super) fn answered(user: User) -> Answer<UserBody> {
    let version = user.version;
    Answer::ok(user.into()).version(version)
}

/// How much later each password lets the deadline of a request be: twice what hashing one takes a core with the default
/// `SOUK_BCRYPT_COST`.
const HASHING: Duration = Duration::from_millis(500);
/// How much later it gets at the most.
pub(crate) const MOST_HASHING: Duration = Duration::from_mins(1);

/// Makes users, all or none.
async fn create_all(
    app: &App,
    users: Vec<NewUser>,
    call: &Call,
) -> Result<Result<Vec<User>, UsersError>, ApiError> {
    let passwords = u32::try_from(users.len()).unwrap_or(u32::MAX);
    let hashing = HASHING.saturating_mul(passwords).min(MOST_HASHING);
    let (identity, deadline) = (app.identity.clone(), call.deadline() + hashing);
    call::to_its_end(async move { identity.create_users(&users, deadline).await }).await
}

/// Changes users, all or none, and has what this process keeps of them read anew.
async fn change_all(
    app: &App,
    changes: Vec<UserChange>,
) -> Result<Result<Vec<User>, UsersError>, ApiError> {
    let app = app.clone();
    call::to_its_end(async move {
        let done = app.identity.change_users(&changes).await;
        for change in &changes {
            app.profiles.forget(change.user_id);
        }
        done
    })
    .await
}

/// Changes one user.
pub(super) async fn change_one(
    app: &App,
    user_id: UserId,
    expected: IfMatch,
    changes: UserChanges,
) -> Result<User, ApiError> {
    let change = UserChange {
        user_id,
        version: expected.version(),
        changes,
    };
    the_one(change_all(app, vec![change]).await??)
}

fn the_one(users: Vec<User>) -> Result<User, ApiError> {
    let one = users.into_iter().next();
    one.ok_or_else(|| Kind::Internal.into())
}

/// List users
///
/// Demands the permission to manage users.
#[utoipa::path(get, path = "/api/v1/users", operation_id = "listUsers", tag = "users", security(("bearer" = [])), params(UserQuery),
    responses((status = 200, body = PageBody<UserBody>, headers(("Link")))))]
async fn list_users(
    State(app): State<App>,
    _: Allowed<ReadUsers>,
    Query(query): Query<UserQuery>,
    uri: Uri,
) -> Result<Answer<PageBody<UserBody>>, ApiError> {
    let (sort, cursor) = (query.sort.as_deref(), query.cursor.as_deref());
    let page = list::newest_first(UserSort::CreatedAt, sort, query.limit, cursor)?;
    let Page { items, next } = app.identity.users(&query.filter()?, &page).await?;
    Ok(list::page(
        &uri,
        Page {
            items: items.into_iter().map(Into::into).collect(),
            next,
        },
    ))
}

/// Create a user
///
/// Demands the permission to manage users. Takes no Idempotency-Key: sent again, it is refused because the address is
/// taken.
#[utoipa::path(post, path = "/api/v1/users", operation_id = "createUser", tag = "users", security(("bearer" = [])), request_body = UserInput,
    responses(
        (status = 201, body = UserBody, headers(("Location"), ("ETag"))),
        AddressTaken, NotHashed,
    ))]
async fn create(
    State(app): State<App>,
    _: Allowed<ManageUsers>,
    call: Call,
    body: Body<UserInput>,
) -> Result<Answer<UserBody>, ApiError> {
    let user = the_one(create_all(&app, vec![body.value.take()], &call).await??)?;
    let location = format!("/api/v1/users/{}", user.id);
    Ok(answered(user).created(&location))
}

/// Read a user
///
/// Demands the permission to manage users.
#[utoipa::path(get, path = "/api/v1/users/{id}", operation_id = "readUser", tag = "users", security(("bearer" = [])), params(ById),
    responses((status = 200, body = UserBody, headers(("ETag"))), Missing))]
async fn read(
    State(app): State<App>,
    _: Allowed<ReadUsers>,
    Id(id): Id<UserId>,
) -> Result<Answer<UserBody>, ApiError> {
    let user = app.identity.user(id).await?;
    Ok(answered(user.ok_or(Kind::NotFound)?))
}

/// Change a user
///
/// Demands the permission to manage users. The last admin stays one.
#[utoipa::path(patch, path = "/api/v1/users/{id}", operation_id = "changeUser", tag = "users", security(("bearer" = [])),
    request_body = UserPatch, params(ById, OnlyIf),
    responses((status = 200, body = UserBody, headers(("ETag"))), Missing, AdminStays, Stale))]
async fn change(
    State(app): State<App>,
    _: Allowed<ManageUsers>,
    Id(id): Id<UserId>,
    expected: IfMatch,
    body: Body<UserPatch>,
) -> Result<Answer<UserBody>, ApiError> {
    change_one(&app, id, expected, body.value.take())
        .await
        .map(answered)
}

/// Grant a role
///
/// It counts at once. One that the user has already changes nothing. Demands the permission to manage users.
#[utoipa::path(put, path = "/api/v1/users/{id}/roles/{role}", operation_id = "grantRole", tag = "users", security(("bearer" = [])),
    params(ById, ("role" = String, Path, description = "One of `customer`, `seller`, `admin` and `analyst`", example = "seller")),
    responses((status = 200, body = UserBody, headers(("ETag"))), Missing))]
async fn grant(
    State(app): State<App>,
    _: Allowed<ManageUsers>,
    IdAnd(id, role): IdAnd<UserId, Role>,
) -> Result<Answer<UserBody>, ApiError> {
    let changes = UserChanges {
        roles: RoleChange::Grant(role),
        ..UserChanges::default()
    };
    change_one(&app, id, IfMatch::Absent, changes)
        .await
        .map(answered)
}

/// Revoke a role
///
/// It counts at once. One that the user does not have changes nothing; the last admin stays one. Demands the permission
/// to manage users.
#[utoipa::path(delete, path = "/api/v1/users/{id}/roles/{role}", operation_id = "revokeRole", tag = "users", security(("bearer" = [])),
    params(ById, ("role" = String, Path, description = "One of `customer`, `seller`, `admin` and `analyst`", example = "seller")),
    responses((status = 200, body = UserBody, headers(("ETag"))), Missing, AdminStays))]
async fn revoke(
    State(app): State<App>,
    _: Allowed<ManageUsers>,
    IdAnd(id, role): IdAnd<UserId, Role>,
) -> Result<Answer<UserBody>, ApiError> {
    let changes = UserChanges {
        roles: RoleChange::Revoke(role),
        ..UserChanges::default()
    };
    change_one(&app, id, IfMatch::Absent, changes)
        .await
        .map(answered)
}
