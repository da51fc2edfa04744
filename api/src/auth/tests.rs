#![allow(clippy::unwrap_used, clippy::expect_used)]
use std::time::Duration;

use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode, header},
    routing::get,
};
use domain::ids::UserId;
use identity::{
    AccessTokens, HashingSettings, Means, PasswordHasher, Role, Roles, SessionSettings, Subject,
    TokenSettings,
};
use sqlx::postgres::PgPoolOptions;
use tower::ServiceExt;
use uuid::Uuid;

use super::*;

const SECRET: &[u8] = b"a secret of at least thirty-two bytes";

fn tokens(lifetime: Duration) -> AccessTokens {
    AccessTokens::new(
        SECRET,
        TokenSettings {
            lifetime,
            ..TokenSettings::default()
        },
    )
    .unwrap()
}

/// Somebody with these roles.
fn person(roles: Roles) -> UserId {
    let bits = roles.iter().map(|role| 1 << role as u128).sum();
    UserId(Uuid::from_u128(bits))
}

/// What people may do is assumed, so no database is there.
fn routes() -> Router {
    let pool = PgPoolOptions::new()
        .connect_lazy("postgres://nobody@127.0.0.1:1/none")
        .unwrap();
    let hasher = PasswordHasher::new(&HashingSettings {
        cost: 4,
        ..HashingSettings::default()
    })
    .unwrap();
    let tokens = tokens(Duration::from_mins(1));
    let identity = Identity::new(pool, hasher, tokens, SessionSettings::default());
    let sets = [
        Roles::NONE,
        Role::Customer.into(),
        Role::Seller.into(),
        Role::Admin.into(),
        Role::Analyst.into(),
    ];
    for roles in sets {
        identity.assume(person(roles), roles);
    }
    Router::new()
        .route(
            "/orders",
            get(async |who: Allowed<PlaceOrder>| who.user_id.to_string()),
        )
        .route("/profile", get(async |_: Allowed<SignedIn>| "yours"))
        .route(
            "/ready",
            get(async |anyone: Anyone| anyone.can(Permission::ReadOperations).to_string()),
        )
        .with_state(identity)
}

fn subject(roles: Roles, epoch: i32) -> Subject {
    Subject {
        user_id: person(roles),
        epoch,
        session: Some(Uuid::nil()),
    }
}

fn token(roles: Roles, lifetime: Duration) -> String {
    // signed as an admin's: what counts are the roles that the person has when the token is used
    tokens(lifetime)
        .sign(&subject(roles, 0), Role::Admin.into())
        .unwrap()
        .as_str()
        .to_owned()
}

fn valid(roles: Roles) -> String {
    format!("Bearer {}", token(roles, Duration::from_mins(1)))
}

async fn ask(path: &str, authorization: &[&str]) -> (StatusCode, Option<String>) {
    let mut request = Request::builder().uri(path);
    for value in authorization {
        request = request.header(header::AUTHORIZATION, *value);
    }
    let response = routes()
        .oneshot(request.body(Body::empty()).unwrap())
        .await
        .unwrap();
    let challenge = response
        .headers()
        .get(header::WWW_AUTHENTICATE)
        .map(|value| value.to_str().unwrap().to_owned());
    (response.status(), challenge)
}

#[tokio::test]
async fn who_has_the_permission_gets_in() {
    let customer = valid(Role::Customer.into());
    assert_eq!(ask("/orders", &[&customer]).await.0, StatusCode::OK);
    assert_eq!(
        ask("/orders", &[&customer.replace("Bearer", "bEaReR")])
            .await
            .0,
        StatusCode::OK
    );
    assert_eq!(
        ask("/profile", &[&valid(Roles::NONE)]).await.0,
        StatusCode::OK
    );
}

#[tokio::test]
async fn who_lacks_it_is_told_so() {
    for roles in [
        Roles::NONE,
        Role::Admin.into(),
        Role::Analyst.into(),
        Role::Seller.into(),
    ] {
        assert_eq!(
            ask("/orders", &[&valid(roles)]).await,
            (StatusCode::FORBIDDEN, None),
            "{roles:?}"
        );
    }
}

#[tokio::test]
async fn without_a_token_one_is_asked_to_log_in() {
    let challenge = Some("Bearer realm=\"souk\"".to_owned());
    assert_eq!(
        ask("/orders", &[]).await,
        (StatusCode::UNAUTHORIZED, challenge)
    );
}

#[tokio::test]
async fn a_token_that_is_not_good_is_refused_everywhere() {
    let good = valid(Role::Customer.into());
    let expired = format!("Bearer {}", token(Role::Customer.into(), Duration::ZERO));
    let of_before = tokens(Duration::from_mins(1))
        .sign(&subject(Role::Customer.into(), -1), Role::Customer.into())
        .unwrap();
    let of_before = format!("Bearer {}", of_before.as_str());
    let bad = [
        vec![of_before.as_str()],
        vec!["Bearer nonsense"],
        vec!["Bearer "],
        vec!["Bearer"],
        vec!["Basic YTpi"],
        vec!["Bearer \u{e9}"],
        vec![&good, &good],
    ];
    for authorization in &bad {
        for path in ["/orders", "/profile", "/ready"] {
            let (status, challenge) = ask(path, authorization).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{authorization:?}");
            assert!(challenge.unwrap().contains("invalid_token"));
        }
    }
    // within the clock skew it still counts, so this only shows that it parses
    assert_ne!(ask("/orders", &[&expired]).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn what_is_open_to_anyone_knows_who_asks() {
    assert_eq!(ask("/ready", &[]).await.0, StatusCode::OK);
    let response = |authorization: Option<String>| async {
        let mut request = Request::builder().uri("/ready");
        if let Some(value) = authorization {
            request = request.header(header::AUTHORIZATION, value);
        }
        let response = routes()
            .oneshot(request.body(Body::empty()).unwrap())
            .await
            .unwrap();
        axum::body::to_bytes(response.into_body(), usize::MAX)
            .await
            .unwrap()
    };
    assert_eq!(response(None).await, "false");
    assert_eq!(response(Some(valid(Role::Customer.into()))).await, "false");
    assert_eq!(response(Some(valid(Role::Admin.into()))).await, "true");
}

#[test]
fn whose_things_are_listed() {
    let (own, other) = (UserId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
    let who = |roles: Roles| Allowed::<ReadOrders> {
        principal: Principal {
            user_id: own,
            permissions: roles.permissions(),
            verified: true,
            means: Means::Contract,
        },
        policy: PhantomData,
    };
    let all = Permission::ReadAnyOrder;
    let customer = who(Role::Customer.into());
    assert_eq!(customer.whose(all, None).unwrap(), Some(own));
    assert_eq!(customer.whose(all, Some(own)).unwrap(), Some(own));
    assert_eq!(
        customer
            .whose(all, Some(other))
            .unwrap_err()
            .problem()
            .kind(),
        Kind::Forbidden
    );
    assert!(customer.may_see(all, own) && !customer.may_see(all, other));
    for roles in [
        Role::Admin.into(),
        Roles::from(Role::Admin).with(Role::Customer),
    ] {
        let admin = who(roles);
        assert_eq!(admin.whose(all, None).unwrap(), None);
        assert_eq!(admin.whose(all, Some(other)).unwrap(), Some(other));
        assert!(admin.may_see(all, other));
    }
}
