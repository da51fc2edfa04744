//! Many users at once, for admins. Each request is one transaction: when one element is refused nothing is done, and
//! every element that is refused is named by a pointer into the body. Answers hold every record in the order of the
//! request.

use axum::{extract::State, http::StatusCode};
use domain::ids::UserId;
use garde::Validate;
use identity::{Refusal, UserChange, UsersError};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{UserBody, UserInput, UserPatch, change_all, create_all};
use crate::{
    answer::Answer,
    auth::{Allowed, ManageUsers, ReadUsers},
    call::Call,
    error::ApiError,
    extract::Body,
    fields::{self, Checked, Given, Object, input},
    openapi::parts::{AddressTaken, NotChanged, NotHashed},
    problem::{FieldError, Kind, Problem},
    state::App,
};

/// The routes.
pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(create))
        .routes(routes!(read))
        .routes(routes!(update))
}

/// Where many users are made: the one request that may take longer than `SOUK_REQUEST_TIMEOUT` before it is decided.
pub(crate) const CREATE: &str = "/api/v1/users/bulk-create";

/// Users to be made.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewUsers {
    /// One or more, up to the limit of the server (`SOUK_BULK_LIMIT`).
    #[garde(length(min = 1), dive)]
    #[schema(min_items = 1, value_type = Vec<UserInput>)]
    users: Vec<Object<UserInput>>,
}

/// Users to be read.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UserIds {
    /// One or more, up to the limit of the server (`SOUK_BULK_LIMIT`), each once.
    #[garde(length(min = 1), dive)]
    #[schema(min_items = 1, value_type = Vec<Uuid>)]
    ids: Vec<input::UserId>,
}

/// Users to be changed.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangedUsers {
    /// One or more, up to the limit of the server (`SOUK_BULK_LIMIT`), each once.
    #[garde(length(min = 1), dive)]
    #[schema(min_items = 1, value_type = Vec<ChangedUser>)]
    users: Vec<Object<ChangedUser>>,
}

/// What is to change of one of many users; what is absent stays.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangedUser {
    /// Of whom.
    #[garde(dive)]
    #[schema(value_type = Uuid)]
    user_id: input::UserId,
    /// The version that the change was decided on; any when absent.
    #[garde(dive)]
    #[serde(default)]
    #[schema(value_type = i64)]
    version: Given<input::Integer>,
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

impl ChangedUser {
    fn take(self) -> UserChange {
        let patch = UserPatch {
            name: self.name,
            contact_email: self.contact_email,
            phone: self.phone,
            address: self.address,
            roles: self.roles,
        };
        UserChange {
            user_id: self.user_id.take(),
            version: self.version.take(),
            changes: patch.take(),
        }
    }
}

/// Many users.
#[derive(Serialize, ToSchema)]
pub(super) struct Users {
    /// In the order of the request.
    items: Vec<UserBody>,
}

impl Users {
    fn answer(users: Vec<identity::User>) -> Answer<Self> {
        let items = users.into_iter().map(Into::into).collect();
        Answer::ok(Self { items })
    }
}

/// Users that were found, and those that were not.
#[derive(Serialize, ToSchema)]
pub(super) struct FoundUsers {
    /// Those that are there, in the order of the request.
    items: Vec<UserBody>,
    /// Those that are not.
    missing: Vec<MissingUser>,
}

/// An id of which there is no user.
#[derive(Serialize, ToSchema)]
pub(super) struct MissingUser {
    /// Where in the request, as a JSON pointer.
    #[schema(example = "/ids/3")]
    pointer: String,
    /// The id.
    #[schema(value_type = Uuid)]
    user_id: UserId,
}

/// Create many users
///
/// All or none. Demands the permission to manage users. Takes no Idempotency-Key: sent again, it is refused because the
/// addresses are taken. Passwords are hashed first, some at a time, for which the request has half a second more for each
/// of them, a minute at most: what is not hashed in time is answered 503, and a smaller request gets through.
#[utoipa::path(post, path = "/api/v1/users/bulk-create", operation_id = "createUsers", tag = "users", security(("bearer" = [])),
    request_body = NewUsers, responses((status = 201, body = Users), AddressTaken, NotHashed))]
async fn create(
    State(app): State<App>,
    _: Allowed<ManageUsers>,
    call: Call,
    body: Body<NewUsers>,
) -> Result<Answer<Users>, ApiError> {
    let users = body.value.users;
    within_limit(&app, "/users", users.len())?;
    let users = users.into_iter().map(|Object(user)| user.take()).collect();
    let created = create_all(&app, users, &call).await?;
    let created =
        created.map_err(|error| named(error, |index| format!("/users/{index}"), "/email"))?;
    Ok(Users::answer(created).status(StatusCode::CREATED))
}

/// Read many users
///
/// Ids of which there is no user are named; the others are answered. Demands the permission to manage users.
#[utoipa::path(post, path = "/api/v1/users/bulk-read", operation_id = "readUsers", tag = "users", security(("bearer" = [])),
    request_body = UserIds, responses((status = 200, body = FoundUsers)))]
async fn read(
    State(app): State<App>,
    _: Allowed<ReadUsers>,
    body: Body<UserIds>,
) -> Result<Answer<FoundUsers>, ApiError> {
    let ids: Vec<UserId> = body.value.ids.into_iter().map(Checked::take).collect();
    within_limit(&app, "/ids", ids.len())?;
    let pointer = |index: usize| format!("/ids/{index}");
    let users = app.identity.read_users(&ids).await;
    let users = users.map_err(|error| named(error, pointer, ""))?;
    let (mut items, mut missing) = (Vec::new(), Vec::new());
    for (index, (user_id, user)) in ids.into_iter().zip(users).enumerate() {
        match user {
            Some(user) => items.push(user.into()),
            None => missing.push(MissingUser {
                pointer: pointer(index),
                user_id,
            }),
        }
    }
    Ok(Answer::ok(FoundUsers { items, missing }))
}

/// Change many users
///
/// All or none; the last admin stays one. Demands the permission to manage users.
#[utoipa::path(post, path = "/api/v1/users/bulk-update", operation_id = "changeUsers", tag = "users", security(("bearer" = [])),
    request_body = ChangedUsers, responses((status = 200, body = Users), NotChanged))]
async fn update(
    State(app): State<App>,
    _: Allowed<ManageUsers>,
    body: Body<ChangedUsers>,
) -> Result<Answer<Users>, ApiError> {
    let users = body.value.users;
    within_limit(&app, "/users", users.len())?;
    let changes = users.into_iter().map(|Object(user)| user.take()).collect();
    let done = change_all(&app, changes).await?;
    let users =
        done.map_err(|error| named(error, |index| format!("/users/{index}"), "/user_id"))?;
    Ok(Users::answer(users))
}

/// Refuses lists that are too long.
pub(in crate::routes) fn within_limit(
    app: &App,
    pointer: &str,
    length: usize,
) -> Result<(), ApiError> {
    let limit = app.config.http.bulk_limit.get();
    if length <= limit {
        return Ok(());
    }
    let errors = vec![FieldError::at(
        pointer,
        format!("must have at most {limit} elements"),
    )];
    Err(Problem::new(Kind::Validation).errors(errors).into())
}

/// Says which elements are refused and why. `element` points at an element, `key` from there at what names it: an element
/// that is an id itself has no members.
pub(in crate::routes) fn named(
    error: UsersError,
    element: impl Fn(usize) -> String,
    key: &str,
) -> ApiError {
    let UsersError::Refused(refused) = error else {
        return error.into();
    };
    // what the request itself says wrong comes before what is there
    let kind = |refusal: &Refusal| match refusal {
        Refusal::Repeats { .. } | Refusal::Missing => Kind::Validation,
        Refusal::EmailTaken => Kind::EmailTaken,
        Refusal::Stale { .. } => Kind::Conflict,
        Refusal::LastAdmin => Kind::LastAdmin,
    };
    let mut kinds: Vec<Kind> = refused.iter().map(|(_, refusal)| kind(refusal)).collect();
    kinds.sort_by_key(|kind| *kind != Kind::Validation);
    let errors = refused.iter().map(|(index, refusal)| {
        let (member, detail) = match refusal {
            Refusal::Repeats { earlier } => {
                (key, format!("is the same as {}{key}", element(*earlier)))
            }
            Refusal::Missing => (key, "there is no such user".to_owned()),
            Refusal::EmailTaken => ("/email", "belongs to an account already".to_owned()),
            Refusal::Stale { current } => ("/version", format!("is {current} by now")),
            Refusal::LastAdmin if key.is_empty() => ("", "the last admin stays".to_owned()),
            Refusal::LastAdmin => ("/roles", "the last admin stays one".to_owned()),
        };
        FieldError::at(format!("{}{member}", element(*index)), detail)
    });
    let kind = kinds.first().copied().unwrap_or(Kind::Internal);
    Problem::new(kind).errors(errors.collect()).into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use axum::{body::to_bytes, response::IntoResponse};
    use serde_json::{Value, json};

    use super::*;

    /// Type and errors of the answer.
    async fn told(refused: Vec<(usize, Refusal)>) -> (u16, Value, Vec<Value>) {
        let error = UsersError::Refused(refused);
        let response = named(error, |index| format!("/users/{index}"), "/user_id").into_response();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let document: Value = serde_json::from_slice(&body).unwrap();
        let errors = document["errors"].as_array().unwrap().clone();
        (status, document["type"].clone(), errors)
    }

    #[tokio::test]
    async fn every_element_that_is_refused_is_named() {
        let refused = vec![(1, Refusal::Stale { current: 7 }), (3, Refusal::Missing)];
        let (status, kind, errors) = told(refused).await;
        assert_eq!((status, kind), (422, json!("/problems/validation")));
        assert_eq!(
            errors[0],
            json!({"pointer": "/users/1/version", "detail": "is 7 by now"})
        );
        assert_eq!(errors[1]["pointer"], "/users/3/user_id");
        for (refusal, status, kind, pointer, detail) in [
            (
                Refusal::Stale { current: 7 },
                409,
                "conflict",
                "/users/2/version",
                "7",
            ),
            (
                Refusal::LastAdmin,
                409,
                "last-admin",
                "/users/2/roles",
                "last admin",
            ),
            (
                Refusal::EmailTaken,
                409,
                "email-taken",
                "/users/2/email",
                "account",
            ),
            (
                Refusal::Repeats { earlier: 0 },
                422,
                "validation",
                "/users/2/user_id",
                "/users/0/user_id",
            ),
        ] {
            let (told_status, told_kind, errors) = told(vec![(2, refusal)]).await;
            assert_eq!(told_status, status, "{refusal:?}");
            assert_eq!(told_kind, format!("/problems/{kind}"));
            assert_eq!(errors[0]["pointer"], pointer);
            assert!(
                errors[0]["detail"].as_str().unwrap().contains(detail),
                "{refusal:?}"
            );
        }
    }

    #[test]
    fn what_is_no_refusal_is_answered_as_it_is() {
        let late = named(UsersError::DeadlinePassed, |_| String::new(), "");
        assert_eq!(late.problem().kind(), Kind::DeadlinePassed);
    }
}
