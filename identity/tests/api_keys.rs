//! API keys on a real PostgreSQL: what they may, what ends them, and what is kept of them.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod scene;
mod scratch_database;

use std::time::{Duration, Instant};

use futures::future::join_all;
use identity::{
    ApiKey, ApiKeyText, AuthenticateError, CreateApiKeyError, Identity, Means, NewApiKey,
    Permission, Permissions, Principal, SessionSettings, TokenError, TokenKind, User,
    api_keys::{MOST_DEAD, MOST_LIVE},
};
use scene::{QUICK, identity_with};
use scratch_database::with_database;
use sqlx::PgPool;
use uuid::Uuid;

const EMAIL: &str = "mai@example.com";
const PASSWORD: &str = "souk-demo";

fn identity(pool: &PgPool) -> Identity {
    identity_with(pool, QUICK, SessionSettings::default())
}

/// An identity in which Mai is registered, who has these roles.
async fn with_mai(pool: &PgPool, roles: &[&str]) -> (Identity, User) {
    let identity = identity(pool);
    let (name, email) = ("Mai".parse().unwrap(), EMAIL.parse().unwrap());
    let mai = identity
        .register(name, email, PASSWORD.parse().unwrap(), &[1; 32].into())
        .await
        .unwrap();
    give_roles(pool, &mai, roles).await;
    (identity, mai)
}

async fn give_roles(pool: &PgPool, user: &User, roles: &[&str]) {
    sqlx::query("update users set roles = $2 where id = $1")
        .bind(Uuid::from(user.id))
        .bind(roles)
        .execute(pool)
        .await
        .unwrap();
}

fn new(scopes: &[Permission], lifetime: Option<Duration>) -> NewApiKey {
    NewApiKey {
        name: domain::text::Title::parse("warehouse scanner").unwrap(),
        scopes: scopes.iter().copied().collect(),
        lifetime,
    }
}

async fn make(identity: &Identity, user: &User, scopes: &[Permission]) -> (ApiKey, ApiKeyText) {
    let new = new(scopes, None);
    identity.api_keys().create(user.id, &new).await.unwrap()
}

async fn who(identity: &Identity, text: &ApiKeyText) -> Principal {
    identity.authenticate(text.as_str()).await.unwrap()
}

fn is_refused(outcome: &Result<Principal, AuthenticateError>) -> bool {
    matches!(outcome, Err(AuthenticateError::Token(TokenError::ApiKey)))
}

async fn assert_refused(identity: &Identity, text: &str) {
    let outcome = identity.authenticate(text).await;
    assert!(is_refused(&outcome), "{outcome:?}");
}

async fn assert_refused_soon(identity: &Identity, text: &str) {
    let begun = Instant::now();
    while !is_refused(&identity.authenticate(text).await) {
        assert!(begun.elapsed() < Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_key_speaks_for_its_maker_within_its_scopes() {
    with_database(4, |pool| async move {
        let (identity, mai) = with_mai(&pool, &["customer", "analyst"]).await;
        let scopes = [Permission::PlaceOrder, Permission::ReadHistory];
        let (key, text) = make(&identity, &mai, &scopes).await;
        let principal = who(&identity, &text).await;
        assert_eq!(principal.user_id, mai.id);
        assert_eq!(principal.means, Means::ApiKey(key.id));
        assert_eq!(principal.permissions, Permissions::from_iter(scopes));
        assert!(!principal.can(Permission::ReadOwnOrders), "its maker may");
        let (_, none) = make(&identity, &mai, &[]).await;
        assert_eq!(who(&identity, &none).await.permissions, Permissions::NONE);
    })
    .await;
}

#[tokio::test]
async fn a_key_never_grants_more_than_its_maker_has_now() {
    with_database(4, |pool| async move {
        let (before, mai) = with_mai(&pool, &["customer", "admin"]).await;
        let scopes = [Permission::PlaceOrder, Permission::ManageUsers];
        let (_, text) = make(&before, &mai, &scopes).await;
        assert!(who(&before, &text).await.can(Permission::ManageUsers));
        give_roles(&pool, &mai, &["customer"]).await;
        let principal = who(&identity(&pool), &text).await;
        assert_eq!(
            principal.permissions,
            Permissions::from_iter([Permission::PlaceOrder])
        );
        // nor scopes that its maker never had
        let (_, text) = make(&before, &mai, &[Permission::ReadOutbox]).await;
        let principal = who(&identity(&pool), &text).await;
        assert_eq!(principal.permissions, Permissions::NONE);
    })
    .await;
}

#[tokio::test]
async fn only_a_digest_is_stored() {
    with_database(4, |pool| async move {
        let (identity, mai) = with_mai(&pool, &["customer"]).await;
        let (key, text) = make(&identity, &mai, &[Permission::PlaceOrder]).await;
        let rows: Vec<String> = sqlx::query_scalar("select api_keys::text from api_keys")
            .fetch_all(&pool)
            .await
            .unwrap();
        assert!(rows[0].contains(&key.prefix));
        assert!(!rows[0].contains(&text.as_str()[14..]), "{rows:?}");
        let digest: Vec<u8> = sqlx::query_scalar("select digest from api_keys")
            .fetch_one(&pool)
            .await
            .unwrap();
        let expected =
            aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_str().as_bytes());
        assert_eq!(digest, expected.as_ref());
        assert!(!format!("{key:?} {text:?}").contains(&text.as_str()[14..]));
    })
    .await;
}

#[tokio::test]
async fn a_revoked_key_is_refused_at_once_here_and_soon_elsewhere() {
    with_database(8, |pool| async move {
        let (here, mai) = with_mai(&pool, &["customer"]).await;
        let there = identity(&pool);
        let (key, text) = make(&here, &mai, &[Permission::PlaceOrder]).await;
        let (_, other) = make(&here, &mai, &[Permission::PlaceOrder]).await;
        who(&here, &text).await;
        who(&there, &text).await;
        assert!(here.api_keys().revoke(key.id, Some(mai.id)).await.unwrap());
        assert_refused(&here, text.as_str()).await;
        assert_refused_soon(&there, text.as_str()).await;
        who(&here, &other).await;
        let again = here.api_keys().revoke(key.id, Some(mai.id)).await.unwrap();
        assert!(again, "it is revoked, and so it stays");
    })
    .await;
}

#[tokio::test]
async fn a_key_is_revoked_by_its_maker_or_by_whoever_may_revoke_all() {
    with_database(4, |pool| async move {
        let (identity, mai) = with_mai(&pool, &["customer"]).await;
        let (key, text) = make(&identity, &mai, &[Permission::PlaceOrder]).await;
        let keys = identity.api_keys();
        let stranger = Some(Uuid::new_v4().into());
        assert!(!keys.revoke(key.id, stranger).await.unwrap());
        assert!(!keys.revoke(Uuid::new_v4(), None).await.unwrap());
        who(&identity, &text).await;
        assert!(keys.revoke(key.id, None).await.unwrap());
        assert_refused(&identity, text.as_str()).await;
        let listed = keys.of(mai.id).await.unwrap();
        assert_eq!(listed.len(), 1);
        assert!(listed[0].revoked_at.is_some());
    })
    .await;
}

#[tokio::test]
async fn a_key_ends_at_its_time() {
    with_database(4, |pool| async move {
        let (identity, mai) = with_mai(&pool, &["customer"]).await;
        let brief = new(&[Permission::PlaceOrder], Some(Duration::from_millis(500)));
        let (key, text) = identity.api_keys().create(mai.id, &brief).await.unwrap();
        assert!(key.expires_at.unwrap() > key.created_at);
        assert_refused_soon(&identity, text.as_str()).await;
        let lasting = new(&[], Some(Duration::from_hours(1)));
        let (_, text) = identity.api_keys().create(mai.id, &lasting).await.unwrap();
        who(&identity, &text).await;
    })
    .await;
}

#[tokio::test]
async fn the_end_of_all_sessions_is_not_the_end_of_keys_but_that_of_the_account_is() {
    with_database(4, |pool| async move {
        let (here, mai) = with_mai(&pool, &["customer"]).await;
        let (_, text) = make(&here, &mai, &[Permission::PlaceOrder]).await;
        let session = here.log_in(EMAIL, PASSWORD, TokenKind::Api).await.unwrap();
        here.log_out_everywhere(mai.id).await.unwrap();
        let access_token = session.access_token.as_str();
        assert!(here.authenticate(access_token).await.is_err());
        assert!(who(&here, &text).await.can(Permission::PlaceOrder));
        sqlx::raw_sql("delete from credentials")
            .execute(&pool)
            .await
            .unwrap();
        assert_refused(&identity(&pool), text.as_str()).await;
        assert_refused_soon(&here, text.as_str()).await;
        let outcome = here.api_keys().create(mai.id, &new(&[], None)).await;
        assert!(
            matches!(outcome, Err(CreateApiKeyError::Gone)),
            "{outcome:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_person_has_so_many_keys_and_no_more_however_many_are_made_at_once() {
    with_database(12, |pool| async move {
        let (identity, mai) = with_mai(&pool, &["customer"]).await;
        let wanted = MOST_LIVE as usize + 10;
        let brief = new(&[], None);
        let making = (0..wanted).map(|_| identity.api_keys().create(mai.id, &brief));
        let (made, refused): (Vec<_>, Vec<_>) =
            join_all(making).await.into_iter().partition(Result::is_ok);
        assert_eq!(made.len(), MOST_LIVE as usize);
        for outcome in refused {
            assert!(
                matches!(outcome, Err(CreateApiKeyError::TooMany)),
                "{outcome:?}"
            );
        }
        let (key, _) = made.into_iter().next().unwrap().unwrap();
        identity.api_keys().revoke(key.id, None).await.unwrap();
        make(&identity, &mai, &[]).await;
    })
    .await;
}

#[tokio::test]
async fn of_keys_that_are_dead_the_last_ones_are_remembered() {
    with_database(4, |pool| async move {
        let (identity, mai) = with_mai(&pool, &["customer"]).await;
        for _ in 0..MOST_DEAD + 5 {
            let (key, _) = make(&identity, &mai, &[]).await;
            identity.api_keys().revoke(key.id, None).await.unwrap();
        }
        let (live, _) = make(&identity, &mai, &[]).await;
        let listed = identity.api_keys().of(mai.id).await.unwrap();
        assert_eq!(listed.len(), MOST_DEAD as usize + 1);
        assert_eq!(listed[0], live, "the newest first");
        assert!(listed.is_sorted_by_key(|key| std::cmp::Reverse(key.created_at)));
    })
    .await;
}

#[tokio::test]
async fn a_scope_of_a_newer_version_grants_nothing() {
    with_database(4, |pool| async move {
        let (identity, mai) = with_mai(&pool, &["customer"]).await;
        let (_, text) = make(&identity, &mai, &[Permission::PlaceOrder]).await;
        sqlx::raw_sql("update api_keys set scopes = scopes || array['fly_to_the_moon']")
            .execute(&pool)
            .await
            .unwrap();
        let principal = who(&self::identity(&pool), &text).await;
        assert_eq!(
            principal.permissions,
            Permissions::from_iter([Permission::PlaceOrder])
        );
    })
    .await;
}

async fn last_used(pool: &PgPool) -> Option<chrono::DateTime<chrono::Utc>> {
    sqlx::query_scalar("select last_used_at from api_keys")
        .fetch_one(pool)
        .await
        .unwrap()
}

/// Waits until the use of the only key was noted at another time than that.
async fn noted_after(
    pool: &PgPool,
    before: Option<chrono::DateTime<chrono::Utc>>,
) -> Option<chrono::DateTime<chrono::Utc>> {
    let begun = Instant::now();
    loop {
        let used = last_used(pool).await;
        if used != before {
            return used;
        }
        assert!(begun.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn the_last_use_is_noted_once_a_minute_whatever_the_number_of_processes() {
    with_database(8, |pool| async move {
        let (here, mai) = with_mai(&pool, &["customer"]).await;
        let (_, text) = make(&here, &mai, &[]).await;
        assert_eq!(last_used(&pool).await, None);
        who(&here, &text).await;
        let first = noted_after(&pool, None).await;
        assert!(first.is_some());
        // another process has not noted it yet, and finds that it is
        let there = identity(&pool);
        who(&there, &text).await;
        who(&here, &text).await;
        let (_, other) = make(&here, &mai, &[]).await;
        who(&there, &other).await;
        let noted = "select count(*) from api_keys where last_used_at is not null";
        let begun = Instant::now();
        loop {
            let count: i64 = sqlx::query_scalar(noted).fetch_one(&pool).await.unwrap();
            if count == 2 {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(10));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        sqlx::raw_sql("delete from api_keys where id = (select id from api_keys order by created_at desc limit 1)")
            .execute(&pool)
            .await
            .unwrap();
        assert_eq!(last_used(&pool).await, first, "not within the minute");
        sqlx::raw_sql("update api_keys set last_used_at = last_used_at - interval '1 minute'")
            .execute(&pool)
            .await
            .unwrap();
        let earlier = last_used(&pool).await;
        who(&identity(&pool), &text).await;
        assert!(noted_after(&pool, earlier).await > first);
    })
    .await;
}

#[tokio::test]
async fn what_is_no_key_is_refused() {
    with_database(4, |pool| async move {
        let (identity, mai) = with_mai(&pool, &["customer"]).await;
        let (key, text) = make(&identity, &mai, &[]).await;
        let made_up = format!("souk_{}_{}", key.prefix, "A".repeat(43));
        for bad in ["souk_", "souk_' or 1=1", &made_up, &text.as_str()[..56]] {
            assert_refused(&identity, bad).await;
            assert_refused(&identity, bad).await;
        }
        who(&identity, &text).await;
    })
    .await;
}

#[tokio::test]
async fn a_database_that_does_not_answer_is_a_fault_and_no_refusal() {
    with_database(4, |pool| async move {
        let (identity, mai) = with_mai(&pool, &["customer"]).await;
        let (_, text) = make(&identity, &mai, &[]).await;
        pool.close().await;
        let outcome = identity.authenticate(text.as_str()).await;
        let Err(AuthenticateError::Fault(fault)) = outcome else {
            panic!("{outcome:?}");
        };
        assert!(fault.is_passing());
        assert_refused(&identity, "souk_no_key").await; // nobody needs to be asked
    })
    .await;
}
