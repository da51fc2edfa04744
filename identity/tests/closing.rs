//! Closing accounts, on a real PostgreSQL: what goes at once, who has to stay, and which account is looked at next.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod scene;

use std::time::Duration;

use aws_lc_rs::hmac;
use domain::{ids::UserId, text::Title};
use eventstore::{
    page::{Direction, Limits, PageRequest, Sort},
    sealing::{MasterKey, Vault},
    testing::{TestDatabase, eventually},
};
use futures::future::join_all;
use identity::{
    AddressDigests, AuthenticateError, CloseOwnError, Closure, ClosureFilter, ClosureSort,
    CodeSettings, Codes, Identity, LogInError, Mails, NewAccount, NewApiKey, Permission,
    Permissions, Purpose, RefreshError, Refusal, Role, Roles, SessionSettings, TokenError,
    TokenKind, UsersError, closing,
};
use scene::{QUICK, identity_with};
use sqlx::PgPool;
use uuid::Uuid;

const PASSWORD: &str = "souk-demo";
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs the test on a database with all tables of Souk.
async fn with_database<F: Future<Output = ()>>(test: impl FnOnce(PgPool) -> F) {
    let db = TestDatabase::create().await;
    let pool = PgPool::connect_with(db.options()).await.unwrap();
    test(pool.clone()).await;
    pool.close().await;
    db.drop_database().await;
}

fn identity(pool: &PgPool) -> Identity {
    identity_with(pool, QUICK, SessionSettings::default())
}

async fn account(identity: &Identity, name: &str, roles: Roles) -> UserId {
    let account = NewAccount {
        name: name.parse().unwrap(),
        email: format!("{name}@example.com").parse().unwrap(),
        password: PASSWORD.parse().unwrap(),
        roles,
    };
    identity.ensure_user(&account).await.unwrap()
}

async fn customer(identity: &Identity, name: &str) -> UserId {
    account(identity, name, Role::Customer.into()).await
}

async fn close(identity: &Identity, user_ids: &[UserId]) -> Result<Vec<Closure>, UsersError> {
    identity.close_accounts(user_ids, false).await
}

async fn closures(identity: &Identity, erased: Option<bool>) -> Vec<UserId> {
    let sort = Sort {
        key: ClosureSort::ClosedAt,
        direction: Direction::Asc,
    };
    let page = PageRequest::new(Limits::STANDARD, sort, None, None).unwrap();
    let page = identity.closures(ClosureFilter { erased }, &page).await;
    let items = page.unwrap().items.into_iter();
    items.map(|closure| closure.user_id).collect()
}

async fn is_there(identity: &Identity, user_id: UserId) -> bool {
    identity.user(user_id).await.unwrap().is_some()
}

/// The tables in which somebody's id, name or address stands.
async fn traces(pool: &PgPool, needles: &[&str]) -> Vec<String> {
    let tables: Vec<String> = sqlx::query_scalar(
        "select format('%I.%I', schemaname, tablename) from pg_tables
         where schemaname not in ('pg_catalog', 'information_schema') order by 1",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    let mut found = Vec::new();
    for table in tables {
        let statement = format!(
            "select exists (select 1 from {table} t, unnest($1::text[]) needle where t::text ilike '%' || needle || '%')"
        );
        let stands: bool = sqlx::query_scalar(&statement)
            .bind(needles)
            .fetch_one(pool)
            .await
            .unwrap();
        if stands {
            found.push(table);
        }
    }
    found
}

#[tokio::test]
async fn all_that_is_kept_of_a_person_goes_at_once_but_ids_and_times() {
    with_database(|pool| async move {
        let identity = identity(&pool);
        let master = MasterKey::from_base64(&MasterKey::generate_base64().unwrap()).unwrap();
        let vault = Vault::new(pool.clone(), master);
        let mails = Mails::new(pool.clone(), vault.clone());
        let key = hmac::Key::new(hmac::HMAC_SHA256, &[1; 32]);
        let codes = Codes::new(identity.clone(), mails, vault, key, CodeSettings::default());

        let mai = customer(&identity, "mai").await;
        let logged_in = identity
            .log_in("mai@example.com", PASSWORD, TokenKind::Api)
            .await
            .unwrap();
        let spent = logged_in.refresh_token.as_ref().unwrap().text();
        let session = identity
            .refresh(&spent, |_| std::future::ready(Ok::<_, RefreshError>(())))
            .await
            .unwrap();
        let access_token = session.access_token.as_str();
        let refresh_token = session.refresh_token.as_ref().unwrap().text();
        let here = AddressDigests::from([7; 32]);
        identity.remember_address(mai, &here.present).await.unwrap();
        let scopes: Permissions = [Permission::PlaceOrder].into_iter().collect();
        let new = NewApiKey {
            name: Title::parse("A till").unwrap(),
            scopes,
            lifetime: None,
        };
        let (_, api_key) = identity.api_keys().create(mai, &new).await.unwrap();
        let email = "mai@example.com".parse().unwrap();
        codes
            .request(Purpose::ResetPassword, &email, &here)
            .await
            .unwrap();
        codes.work_off().await.unwrap();
        codes
            .request(Purpose::VerifyEmail, &email, &here)
            .await
            .unwrap();
        identity.authenticate(access_token).await.unwrap();
        identity.authenticate(api_key.as_str()).await.unwrap();

        let id = mai.to_string();
        let needles = [id.as_str(), "mai@example.com"];
        let before = traces(&pool, &needles).await;
        for table in [
            "users",
            "credentials",
            "refresh_tokens",
            "spent_refresh_tokens",
            "known_addresses",
            "api_keys",
            "code_requests",
            "one_time_codes",
            "mails",
            "person_keys",
        ] {
            assert!(
                before.contains(&format!("public.{table}")),
                "{table} of {before:?}"
            );
        }

        let closed = identity.close_own(mai, PASSWORD, true).await.unwrap();
        assert_eq!((closed[0].user_id, closed[0].cancel_orders), (mai, true));
        assert_eq!(
            traces(&pool, &needles).await,
            ["public.account_closures", "public.person_keys"],
            "the key is still there: an order may need it"
        );
        for token in [access_token, api_key.as_str()] {
            let outcome = identity.authenticate(token).await;
            assert!(
                matches!(
                    outcome,
                    Err(AuthenticateError::Token(
                        TokenError::Revoked | TokenError::ApiKey
                    ))
                ),
                "{outcome:?}"
            );
        }
        for token in [&spent, &refresh_token] {
            let outcome = identity
                .refresh(token, |_| std::future::ready(Ok::<_, RefreshError>(())))
                .await;
            assert!(matches!(outcome, Err(RefreshError::Refused)), "{outcome:?}");
        }
        let outcome = identity
            .log_in("mai@example.com", PASSWORD, TokenKind::Api)
            .await;
        assert!(
            matches!(outcome, Err(LogInError::WrongCredentials)),
            "{outcome:?}"
        );
        // the address is free for somebody else
        assert_ne!(customer(&identity, "mai").await, mai);
    })
    .await;
}

#[tokio::test]
async fn another_process_refuses_the_tokens_of_a_closed_account_within_seconds() {
    with_database(|pool| async move {
        let (here, there) = (identity(&pool), identity(&pool));
        let mai = customer(&here, "mai").await;
        let logged_in = here
            .log_in("mai@example.com", PASSWORD, TokenKind::Contract)
            .await
            .unwrap();
        let token = logged_in.access_token.as_str();
        there.authenticate(token).await.unwrap();
        close(&here, &[mai]).await.unwrap();
        assert!(here.authenticate(token).await.is_err());
        eventually("it is refused there", PATIENCE, || async {
            there.authenticate(token).await.is_err().then_some(())
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn ones_own_account_is_closed_by_its_password_alone() {
    with_database(|pool| async move {
        let identity = identity(&pool);
        let mai = customer(&identity, "mai").await;
        for wrong in ["souk-dem0", "", "\0", &"x".repeat(1_000)] {
            let outcome = identity.close_own(mai, wrong, false).await;
            assert!(
                matches!(outcome, Err(CloseOwnError::WrongPassword)),
                "{outcome:?}"
            );
        }
        assert!(is_there(&identity, mai).await);
        identity.close_own(mai, PASSWORD, false).await.unwrap();
        assert!(!is_there(&identity, mai).await);
        let again = identity.close_own(mai, PASSWORD, false).await;
        assert!(
            matches!(again, Err(CloseOwnError::WrongPassword)),
            "{again:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn of_many_accounts_all_are_closed_or_none_and_those_at_fault_are_named() {
    with_database(|pool| async move {
        let identity = identity(&pool);
        let mut ids = Vec::new();
        for name in ["an", "binh", "chi", "dung"] {
            ids.push(customer(&identity, name).await);
        }
        let nobody = UserId(Uuid::now_v7());
        let refused = async |user_ids: &[UserId]| match close(&identity, user_ids).await {
            Err(UsersError::Refused(refused)) => refused,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            refused(&[ids[0], nobody, ids[1], UserId(Uuid::nil())]).await,
            [(1, Refusal::Missing), (3, Refusal::Missing)]
        );
        assert_eq!(
            refused(&[ids[0], ids[1], ids[0]]).await,
            [(2, Refusal::Repeats { earlier: 0 })]
        );
        for id in &ids {
            assert!(is_there(&identity, *id).await);
        }
        ids.reverse();
        let closed = close(&identity, &ids).await.unwrap();
        let closed: Vec<UserId> = closed.iter().map(|closure| closure.user_id).collect();
        assert_eq!(closed, ids, "in the order of the request");
        assert_eq!(refused(&ids[..1]).await, [(0, Refusal::Missing)]);
        assert_eq!(closures(&identity, None).await.len(), 4);
    })
    .await;
}

#[tokio::test]
async fn the_last_admin_stays_however_many_leave_at_once() {
    with_database(|pool| async move {
        let identity = identity(&pool);
        let mai = customer(&identity, "mai").await;
        let mut admins = Vec::new();
        for name in ["ada", "bo", "cy"] {
            let roles = Roles::from(Role::Admin).with(Role::Customer);
            admins.push(account(&identity, name, roles).await);
        }
        let outcome = close(&identity, &[admins[2], mai, admins[0], admins[1]]).await;
        let Err(UsersError::Refused(refused)) = outcome else {
            panic!("{outcome:?}");
        };
        assert_eq!(
            refused,
            [
                (0, Refusal::LastAdmin),
                (2, Refusal::LastAdmin),
                (3, Refusal::LastAdmin)
            ]
        );
        assert!(is_there(&identity, mai).await, "all or none");

        let leaving = admins
            .iter()
            .map(|admin| identity.close_own(*admin, PASSWORD, false));
        let outcomes = join_all(leaving).await;
        let stayed: Vec<_> = outcomes.iter().filter(|outcome| outcome.is_err()).collect();
        assert_eq!(stayed.len(), 1, "{outcomes:?}");
        assert!(
            matches!(
                stayed[0],
                Err(CloseOwnError::Users(UsersError::Refused(refused)))
                    if *refused == [(0, Refusal::LastAdmin)]
            ),
            "{stayed:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn accounts_that_many_close_at_once_are_closed_once() {
    with_database(|pool| async move {
        let identity = identity(&pool);
        let (an, binh) = (
            customer(&identity, "an").await,
            customer(&identity, "binh").await,
        );
        let both = [[an, binh], [binh, an]];
        let outcomes = join_all((0..12).map(|i| close(&identity, &both[i % 2]))).await;
        let done = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        assert_eq!(done, 1, "{outcomes:?}");
        for outcome in outcomes {
            assert!(
                matches!(outcome, Ok(_) | Err(UsersError::Refused(_))),
                "{outcome:?}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn a_closed_account_is_taken_by_one_process_until_its_data_is_erased() {
    with_database(|pool| async move {
        let identity = identity(&pool);
        let pause = Duration::from_millis(200);
        assert_eq!(identity.next_closure(pause).await.unwrap(), None);
        let mai = customer(&identity, "mai").await;
        let closed = close(&identity, &[mai]).await.unwrap()[0];

        let looks = join_all((0..8).map(|_| identity.next_closure(pause))).await;
        let due: Vec<_> = looks.into_iter().filter_map(Result::unwrap).collect();
        assert_eq!(due.len(), 1, "{due:?}");
        assert_eq!(due[0].closure, closed);
        assert!(due[0].now >= closed.closed_at);
        let again = eventually("it is due again", PATIENCE, || async {
            identity.next_closure(pause).await.unwrap()
        })
        .await;
        assert_eq!(again.closure, closed);
        assert_eq!(closures(&identity, Some(false)).await, [mai]);

        identity.finish_closure(mai).await.unwrap();
        assert_eq!(closures(&identity, Some(true)).await, [mai]);
        assert!(closures(&identity, Some(false)).await.is_empty());
        assert_eq!(identity.next_closure(pause).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn in_a_restored_database_an_account_is_closed_again() {
    with_database(|pool| async move {
        let identity = identity(&pool);
        let ada = account(&identity, "ada", Role::Admin.into()).await;
        let closure = Closure {
            user_id: ada,
            closed_at: "2026-11-21T10:00:00Z".parse().unwrap(),
            cancel_orders: true,
            erased_at: None,
        };
        // also the last admin: whoever left has left
        closing::close_again(&pool, &closure).await.unwrap();
        closing::close_again(&pool, &closure).await.unwrap();
        assert!(!is_there(&identity, ada).await);
        let due = identity.next_closure(PATIENCE).await.unwrap().unwrap();
        assert_eq!(due.closure, closure);

        let erased = Closure {
            erased_at: Some(closure.closed_at),
            cancel_orders: false,
            ..closure
        };
        closing::close_again(&pool, &erased).await.unwrap();
        closing::close_again(&pool, &closure).await.unwrap();
        assert_eq!(closures(&identity, Some(true)).await, [ada]);
    })
    .await;
}
