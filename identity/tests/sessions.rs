//! Sessions on a real PostgreSQL: refresh tokens, their rotation, their reuse, and what ends them.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod scene;
mod scratch_database;

use std::{collections::BTreeSet, time::Duration};

use futures::future::join_all;
use identity::{
    AuthenticateError, Identity, LoggedIn, RefreshError, Role, SessionSettings, TokenError,
    TokenKind,
};
use scene::{QUICK, identity_with};
use scratch_database::with_database;
use sqlx::PgPool;

const EMAIL: &str = "mai@example.com";
const PASSWORD: &str = "souk-demo";
/// A grace that has passed when a token is used the next time.
const NO_GRACE: Duration = Duration::ZERO;

fn identity(pool: &PgPool, sessions: SessionSettings) -> Identity {
    identity_with(pool, QUICK, sessions)
}

fn settings(grace: Duration) -> SessionSettings {
    SessionSettings {
        grace,
        ..SessionSettings::default()
    }
}

/// An identity in which Mai is registered.
async fn with_mai(pool: &PgPool, sessions: SessionSettings) -> Identity {
    let identity = identity(pool, sessions);
    let (name, email) = ("Mai".parse().unwrap(), EMAIL.parse().unwrap());
    identity
        .register(name, email, PASSWORD.parse().unwrap(), &[1; 32].into())
        .await
        .unwrap();
    identity
}

async fn log_in(identity: &Identity) -> LoggedIn {
    identity
        .log_in(EMAIL, PASSWORD, TokenKind::Api)
        .await
        .unwrap()
}

fn refresh_token(logged_in: &LoggedIn) -> String {
    logged_in.refresh_token.as_ref().unwrap().text()
}

async fn refresh(identity: &Identity, token: &str) -> Result<LoggedIn, RefreshError> {
    identity
        .refresh(token, |_| std::future::ready(Ok(())))
        .await
}

async fn refreshed(identity: &Identity, token: &str) -> String {
    refresh_token(&refresh(identity, token).await.unwrap())
}

async fn assert_refused(identity: &Identity, token: &str, why: &str) {
    let outcome = refresh(identity, token).await;
    assert!(
        matches!(outcome, Err(RefreshError::Refused)),
        "{why}: {outcome:?}"
    );
}

async fn assert_revoked(identity: &Identity, logged_in: &LoggedIn) {
    let outcome = identity.authenticate(logged_in.access_token.as_str()).await;
    assert!(
        matches!(outcome, Err(AuthenticateError::Token(TokenError::Revoked))),
        "{outcome:?}"
    );
}

async fn count(pool: &PgPool, table: &str) -> i64 {
    sqlx::query_scalar(&format!("select count(*) from {table}"))
        .fetch_one(pool)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_refresh_token_is_exchanged_for_the_next_two_tokens() {
    with_database(4, |pool| async move {
        let identity = with_mai(&pool, settings(NO_GRACE)).await;
        let first = log_in(&identity).await;
        let second = refresh(&identity, &refresh_token(&first)).await.unwrap();
        assert_eq!(second.user, first.user);
        assert_ne!(refresh_token(&second), refresh_token(&first));
        let principal = identity
            .authenticate(second.access_token.as_str())
            .await
            .unwrap();
        assert_eq!(principal.user_id, first.user.id);
        refreshed(&identity, &refresh_token(&second)).await;
        assert_eq!(
            (
                count(&pool, "refresh_tokens").await,
                count(&pool, "spent_refresh_tokens").await
            ),
            (1, 2)
        );
    })
    .await;
}

#[tokio::test]
async fn the_simple_contract_has_no_refresh_token() {
    with_database(4, |pool| async move {
        let identity = with_mai(&pool, settings(NO_GRACE)).await;
        let logged_in = identity
            .log_in(EMAIL, PASSWORD, TokenKind::Contract)
            .await
            .unwrap();
        assert!(logged_in.refresh_token.is_none());
        assert_eq!(count(&pool, "refresh_tokens").await, 0);
    })
    .await;
}

#[tokio::test]
async fn what_is_not_a_refresh_token_of_ours_is_refused() {
    with_database(4, |pool| async move {
        let identity = with_mai(&pool, settings(NO_GRACE)).await;
        let logged_in = log_in(&identity).await;
        for text in [
            "",
            "nonsense",
            "00000000-0000-0000-0000-000000000000",
            "7b0f3c52-4f0e-4d5e-9a3b-0c9f0a6d8e11",
            logged_in.access_token.as_str(),
            &logged_in.user.id.to_string(),
        ] {
            assert_refused(&identity, text, text).await;
            identity.log_out(text).await.unwrap();
        }
        refreshed(&identity, &refresh_token(&logged_in)).await;
    })
    .await;
}

#[tokio::test]
async fn a_refresh_token_reused_ends_its_session_and_no_other() {
    with_database(4, |pool| async move {
        let identity = with_mai(&pool, settings(NO_GRACE)).await;
        let stolen = refresh_token(&log_in(&identity).await);
        let elsewhere = refresh_token(&log_in(&identity).await);
        let thief = refreshed(&identity, &stolen).await;
        assert_refused(&identity, &stolen, "the owner comes second").await;
        assert_refused(&identity, &thief, "and so the thief is out, too").await;
        refreshed(&identity, &elsewhere).await;
    })
    .await;
}

#[tokio::test]
async fn two_tabs_that_refresh_at_once_get_the_same_successor() {
    with_database(12, |pool| async move {
        let identity = with_mai(&pool, settings(Duration::from_mins(1))).await;
        let token = refresh_token(&log_in(&identity).await);
        let tabs = (0..10).map(|_| refreshed(&identity, &token));
        let successors: BTreeSet<String> = join_all(tabs).await.into_iter().collect();
        assert_eq!(successors.len(), 1);
        let successor = successors.first().unwrap();
        let next = refreshed(&identity, successor).await;
        // the one before the last is not given out: its successor was used
        assert_refused(&identity, &token, "two generations old").await;
        assert_refused(&identity, &next, "and that was reuse").await;
    })
    .await;
}

#[tokio::test]
async fn a_refresh_token_that_expired_is_refused_and_removed() {
    with_database(4, |pool| async move {
        let brief = SessionSettings {
            lifetime: Duration::ZERO,
            grace: NO_GRACE,
        };
        let identity = with_mai(&pool, brief).await;
        let expired = refresh_token(&log_in(&identity).await);
        assert_refused(&identity, &expired, "expired").await;
        let lasting = self::identity(&pool, settings(NO_GRACE));
        let valid = refresh_token(&log_in(&lasting).await);
        let valid = refreshed(&lasting, &valid).await;

        assert_eq!(identity.remove_expired().await.unwrap(), 1);
        assert_eq!(identity.remove_expired().await.unwrap(), 0);
        assert_eq!(
            (
                count(&pool, "refresh_tokens").await,
                count(&pool, "spent_refresh_tokens").await
            ),
            (1, 1),
            "what has not expired stays"
        );
        refreshed(&lasting, &valid).await;
    })
    .await;
}

#[tokio::test]
async fn logging_out_ends_the_session_by_any_of_its_tokens() {
    with_database(4, |pool| async move {
        let identity = with_mai(&pool, settings(Duration::from_mins(1))).await;
        let first = refresh_token(&log_in(&identity).await);
        let second = refreshed(&identity, &first).await;
        let elsewhere = refresh_token(&log_in(&identity).await);
        identity.log_out(&first).await.unwrap(); // the other tab has refreshed meanwhile
        assert_refused(&identity, &second, "logged out").await;
        assert_refused(&identity, &first, "also within the grace").await;
        refreshed(&identity, &elsewhere).await;
    })
    .await;
}

#[tokio::test]
async fn logging_out_everywhere_ends_all_sessions_and_access_tokens() {
    with_database(4, |pool| async move {
        let identity = with_mai(&pool, settings(NO_GRACE)).await;
        let (one, two) = (log_in(&identity).await, log_in(&identity).await);
        let contract = identity
            .log_in(EMAIL, PASSWORD, TokenKind::Contract)
            .await
            .unwrap();
        identity.log_out_everywhere(one.user.id).await.unwrap();
        for session in [&one, &two] {
            assert_refused(&identity, &refresh_token(session), "ended").await;
        }
        for session in [&one, &two, &contract] {
            assert_revoked(&identity, session).await;
        }
        let again = log_in(&identity).await;
        assert!(
            identity
                .authenticate(again.access_token.as_str())
                .await
                .is_ok()
        );
    })
    .await;
}

#[tokio::test]
async fn sessions_that_are_continued_while_all_are_ended_are_over_in_the_end() {
    with_database(12, |pool| async move {
        let identity = with_mai(&pool, settings(NO_GRACE)).await;
        for _ in 0..20 {
            let sessions = join_all((0..4).map(|_| log_in(&identity))).await;
            let user_id = sessions[0].user.id;
            let tokens: Vec<String> = sessions.iter().map(refresh_token).collect();
            let refreshing = tokens.iter().map(|token| refresh(&identity, token));
            let (outcomes, ended) =
                tokio::join!(join_all(refreshing), identity.log_out_everywhere(user_id));
            ended.unwrap();
            for continued in outcomes.into_iter().flatten() {
                assert_refused(&identity, &refresh_token(&continued), "continued").await;
                assert_revoked(&identity, &continued).await;
            }
            assert_eq!(count(&pool, "refresh_tokens").await, 0);
        }
    })
    .await;
}

#[tokio::test]
async fn another_process_knows_of_revoked_tokens_within_seconds() {
    with_database(8, |pool| async move {
        let here = with_mai(&pool, settings(NO_GRACE)).await;
        let there = identity(&pool, settings(NO_GRACE));
        let logged_in = log_in(&here).await;
        let token = logged_in.access_token.as_str();
        assert!(there.authenticate(token).await.is_ok(), "and is kept there");
        here.log_out_everywhere(logged_in.user.id).await.unwrap();
        let begun = std::time::Instant::now();
        while there.authenticate(token).await.is_ok() {
            assert!(begun.elapsed() < Duration::from_secs(5));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_revoked(&here, &logged_in).await;
    })
    .await;
}

#[tokio::test]
async fn a_session_of_somebody_who_is_gone_is_over() {
    with_database(4, |pool| async move {
        let identity = with_mai(&pool, settings(NO_GRACE)).await;
        let logged_in = log_in(&identity).await;
        assert_eq!(logged_in.user.roles, Role::Customer.into());
        sqlx::raw_sql("delete from users")
            .execute(&pool)
            .await
            .unwrap();
        assert_refused(&identity, &refresh_token(&logged_in), "nobody's").await;
        assert_revoked(&identity, &logged_in).await;
    })
    .await;
}

#[tokio::test]
async fn a_refresh_token_is_not_in_debug_output() {
    with_database(4, |pool| async move {
        let identity = with_mai(&pool, settings(NO_GRACE)).await;
        let logged_in = log_in(&identity).await;
        let printed = format!("{logged_in:?}");
        assert!(!printed.contains(&refresh_token(&logged_in)) && !printed.contains("eyJ"));
    })
    .await;
}
