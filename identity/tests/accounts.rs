//! Registration, log-in and the two tables, on a real PostgreSQL.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod scene;
mod scratch_database;

use std::time::{Duration, Instant};

use domain::ids::UserId;
use futures::future::join_all;
use identity::{
    AuthenticateError, DemoUser, Email, Fault, Identity, LogInError, NewAccount, Password,
    Permission, RegisterError, Role, Roles, SessionSettings, TokenKind, User,
};
use scene::{QUICK, identity_with};
use scratch_database::with_database;
use sqlx::PgPool;
use uuid::Uuid;

fn identity_of_cost(pool: &PgPool, cost: u32) -> Identity {
    identity_with(pool, cost, SessionSettings::default())
}

fn identity(pool: &PgPool) -> Identity {
    identity_of_cost(pool, QUICK)
}

async fn register(identity: &Identity, name: &str, email: &str) -> Result<User, RegisterError> {
    identity
        .register(
            name.parse().unwrap(),
            email.parse().unwrap(),
            "souk-demo".parse().unwrap(),
            &[1; 32].into(),
        )
        .await
}

fn demo_account(email: &str, password: &str, roles: Roles) -> NewAccount {
    let (email, password) = (
        email.parse::<Email>().unwrap(),
        password.parse::<Password>().unwrap(),
    );
    NewAccount {
        name: "Demo".parse().unwrap(),
        email,
        password,
        roles,
    }
}

async fn count(pool: &PgPool, table: &str) -> i64 {
    sqlx::query_scalar(&format!("select count(*) from {table}"))
        .fetch_one(pool)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_registered_person_logs_in_as_a_customer() {
    with_database(4, |pool| async move {
        let identity = identity(&pool);
        let registered = register(&identity, "Nguyễn Thị Mai 🦊", "Mai@Example.com")
            .await
            .unwrap();
        assert_eq!(registered.name, "Nguyễn Thị Mai 🦊");
        assert_eq!(registered.contact_email.as_deref(), Some("mai@example.com"));
        assert_eq!(registered.roles, Role::Customer.into());
        assert_eq!((&registered.phone, &registered.address), (&None, &None));
        assert_eq!(registered.created_at, registered.updated_at);

        let logged_in = identity
            .log_in("mai@example.com", "souk-demo", TokenKind::Api)
            .await
            .unwrap();
        assert_eq!(logged_in.user, registered);
        let token = logged_in.access_token.as_str();
        let principal = identity.authenticate(token).await.unwrap();
        assert_eq!(
            (principal.user_id, principal.permissions),
            (registered.id, registered.roles.permissions())
        );
        assert!(principal.can(Permission::PlaceOrder) && !principal.can(Permission::ReadAnyOrder));
        assert_eq!(
            identity.user(registered.id).await.unwrap(),
            Some(registered)
        );
    })
    .await;
}

#[tokio::test]
async fn an_address_in_other_letters_is_the_same_account() {
    with_database(4, |pool| async move {
        let identity = identity(&pool);
        register(&identity, "Mai", "mai@example.com").await.unwrap();
        let again = register(&identity, "Somebody else", " MAI@EXAMPLE.com ").await;
        assert!(matches!(again, Err(RegisterError::EmailTaken)), "{again:?}");
        assert_eq!(
            (
                count(&pool, "users").await,
                count(&pool, "credentials").await
            ),
            (1, 1),
            "nothing is left over"
        );
        assert!(
            identity
                .log_in(" MAI@EXAMPLE.com ", "souk-demo", TokenKind::Contract)
                .await
                .is_ok()
        );
    })
    .await;
}

#[tokio::test]
async fn of_many_registrations_of_one_address_at_once_exactly_one_wins() {
    with_database(8, |pool| async move {
        let identity = identity(&pool);
        let outcomes =
            join_all((0..20).map(|_| register(&identity, "Mai", "mai@example.com"))).await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
        assert_eq!(
            outcomes
                .iter()
                .filter(|outcome| matches!(outcome, Err(RegisterError::EmailTaken)))
                .count(),
            19
        );
        assert_eq!(
            (
                count(&pool, "users").await,
                count(&pool, "credentials").await
            ),
            (1, 1)
        );
    })
    .await;
}

#[tokio::test]
async fn a_user_that_cannot_be_stored_leaves_no_credential() {
    with_database(4, |pool| async move {
        sqlx::raw_sql("alter table users add constraint nobody check (false)")
            .execute(&pool)
            .await
            .unwrap();
        let outcome = register(&identity(&pool), "Mai", "mai@example.com").await;
        assert!(
            matches!(outcome, Err(RegisterError::Fault(Fault::Database(_)))),
            "{outcome:?}"
        );
        assert_eq!(
            (
                count(&pool, "users").await,
                count(&pool, "credentials").await
            ),
            (0, 0)
        );
    })
    .await;
}

#[tokio::test]
async fn every_failed_log_in_gets_the_same_answer() {
    with_database(4, |pool| async move {
        let identity = identity(&pool);
        register(&identity, "Mai", "mai@example.com").await.unwrap();
        let long = "x".repeat(100_000);
        for (email, password) in [
            ("mai@example.com", "souk-demi"),
            ("mai@example.com", "Souk-demo"),
            ("mai@example.com", "souk-demo "),
            ("mai@example.com", "short"),
            ("mai@example.com", ""),
            ("mai@example.com", "souk-demo\0souk-demo"),
            ("mai@example.com", &long),
            ("tom@example.com", "souk-demo"),
            ("not an address", "souk-demo"),
            ("mai@example.com' or '1'='1", "souk-demo"),
            ("mai@example.com\0", "souk-demo"),
            ("", ""),
        ] {
            let outcome = identity.log_in(email, password, TokenKind::Api).await;
            assert!(
                matches!(outcome, Err(LogInError::WrongCredentials)),
                "{email:?}: {outcome:?}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn a_failed_log_in_takes_as_long_for_an_unknown_address_as_for_a_known_one() {
    with_database(4, |pool| async move {
        let identity = identity_of_cost(&pool, 9);
        register(&identity, "Mai", "mai@example.com").await.unwrap();
        let attempts = [
            ("mai@example.com", "a wrong one"),
            ("tom@example.com", "a wrong one"),
            ("not an address", "a wrong one"),
            ("mai@example.com", "short"),
        ];
        // by turns, and the least of each: what else the machine does falls on all alike
        let mut least = [Duration::MAX; 4];
        for _ in 0..7 {
            for (least, (email, password)) in least.iter_mut().zip(attempts) {
                let begun = Instant::now();
                assert!(
                    identity
                        .log_in(email, password, TokenKind::Api)
                        .await
                        .is_err()
                );
                *least = begun.elapsed().min(*least);
            }
        }
        let known = least[0];
        // without the same work it would be a tenth or less
        assert!(
            least
                .iter()
                .all(|time| *time > known / 2 && *time < known * 2),
            "{least:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn no_connection_is_held_while_bcrypt_works() {
    with_database(1, |pool| async move {
        let identity = identity_of_cost(&pool, 12);
        let read = async || {
            identity.user(UserId::from(Uuid::nil())).await.unwrap();
            Instant::now()
        };
        let registration = async {
            register(&identity, "Mai", "mai@example.com").await.unwrap();
            Instant::now()
        };
        let (registered, answered) = tokio::join!(registration, read());
        assert!(
            answered < registered,
            "the one connection was free for others"
        );

        let log_in = async {
            identity
                .log_in("mai@example.com", "souk-demo", TokenKind::Api)
                .await
                .unwrap();
            Instant::now()
        };
        let (logged_in, answered) = tokio::join!(log_in, read());
        assert!(
            answered < logged_in,
            "the one connection was free for others"
        );
    })
    .await;
}

#[tokio::test]
async fn ensuring_a_user_twice_changes_nothing() {
    with_database(4, |pool| async move {
        let identity = identity(&pool);
        let both = Roles::from(Role::Customer).with(Role::Admin);
        let first = identity
            .ensure_user(&demo_account("both@example.com", "souk-demo", both))
            .await
            .unwrap();
        let stored = identity.user(first).await.unwrap().unwrap();
        assert_eq!(stored.roles, both);

        let changed = demo_account("BOTH@example.com", "another password", Role::Analyst.into());
        assert_eq!(identity.ensure_user(&changed).await.unwrap(), first);
        assert_eq!(
            identity.user(first).await.unwrap(),
            Some(stored),
            "an account that is there stays as it is"
        );
        assert!(
            identity
                .log_in("both@example.com", "souk-demo", TokenKind::Api)
                .await
                .is_ok()
        );
        assert!(
            identity
                .log_in("both@example.com", "another password", TokenKind::Api)
                .await
                .is_err()
        );
    })
    .await;
}

#[tokio::test]
async fn two_servers_that_seed_at_once_make_one_user() {
    with_database(8, |pool| async move {
        let account = demo_account("admin@example.com", "souk-demo", Role::Admin.into());
        let (one, other) = (identity(&pool), identity(&pool));
        let ids =
            join_all((0..10).map(|i| if i % 2 == 0 { &one } else { &other }.ensure_user(&account)))
                .await;
        let ids: Vec<_> = ids.into_iter().map(Result::unwrap).collect();
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        assert_eq!(
            (
                count(&pool, "users").await,
                count(&pool, "credentials").await
            ),
            (1, 1)
        );
    })
    .await;
}

#[tokio::test]
async fn many_demo_users_share_a_password_and_are_made_once() {
    with_database(8, |pool| async move {
        let (one, other) = (identity(&pool), identity(&pool));
        let mai = register(&one, "Mai", "customer-3@example.com")
            .await
            .unwrap();
        let people: Vec<DemoUser> = (0..40)
            .map(|number| DemoUser {
                name: "Demo".parse().unwrap(),
                email: format!("customer-{number}@example.com").parse().unwrap(),
                address: "1 Lê Lợi\nHuế".parse().unwrap(),
                roles: Role::Customer.into(),
            })
            .collect();
        let hash = one
            .hash_for_many(&"shared-demo".parse().unwrap())
            .await
            .unwrap();
        let (first, second) = tokio::join!(
            one.ensure_users(&people, &hash),
            other.ensure_users(&people[10..], &hash),
        );
        let (first, second) = (first.unwrap(), second.unwrap());
        assert_eq!(first.made + second.made, 39, "one was there");
        assert_eq!(first.ids[10..], second.ids);
        assert_eq!(first.ids[3], mai.id);
        assert_eq!(count(&pool, "users").await, 40);
        assert_eq!(count(&pool, "credentials").await, 40);
        let again = one.ensure_users(&people, &hash).await.unwrap();
        assert_eq!((again.made, again.ids), (0, first.ids.clone()));

        let log_in = |name: &'static str, password| one.log_in(name, password, TokenKind::Api);
        let user = log_in("customer-7@example.com", "shared-demo")
            .await
            .unwrap()
            .user;
        assert_eq!(
            (user.id, user.address.as_deref()),
            (first.ids[7], Some("1 Lê Lợi\nHuế"))
        );
        assert!(
            log_in("customer-3@example.com", "shared-demo")
                .await
                .is_err()
        );
        assert!(log_in("customer-3@example.com", "souk-demo").await.is_ok());
    })
    .await;
}

#[tokio::test]
async fn a_hash_of_an_old_cost_is_made_anew_at_the_next_log_in() {
    with_database(4, |pool| async move {
        let old = identity_of_cost(&pool, 4);
        register(&old, "Mai", "mai@example.com").await.unwrap();
        let stored = async || -> String {
            sqlx::query_scalar("select password_hash from credentials")
                .fetch_one(&pool)
                .await
                .unwrap()
        };
        let first = stored().await;
        assert!(
            old.log_in("mai@example.com", "souk-demo", TokenKind::Api)
                .await
                .is_ok()
        );
        assert_eq!(stored().await, first, "of the right cost: left alone");

        let new = identity_of_cost(&pool, 5);
        assert!(
            new.log_in("mai@example.com", "wrong-demo", TokenKind::Api)
                .await
                .is_err()
        );
        assert_eq!(
            stored().await,
            first,
            "only the right password is hashed anew"
        );
        assert!(
            new.log_in("mai@example.com", "souk-demo", TokenKind::Api)
                .await
                .is_ok()
        );
        assert!(stored().await.starts_with("$2b$05$"));
        assert!(
            new.log_in("mai@example.com", "souk-demo", TokenKind::Api)
                .await
                .is_ok()
        );
    })
    .await;
}

#[tokio::test]
async fn the_right_password_is_right_while_another_log_in_makes_its_hash_anew() {
    with_database(8, |pool| async move {
        let mai = register(&identity_of_cost(&pool, 4), "Mai", "mai@example.com")
            .await
            .unwrap();
        for cost in [5, 6, 7] {
            let server = identity_of_cost(&pool, cost);
            let log_in = || server.log_in("mai@example.com", "souk-demo", TokenKind::Api);
            for outcome in join_all((0..8).map(|_| log_in())).await {
                assert!(outcome.is_ok(), "{outcome:?}");
            }
        }
        let server = identity_of_cost(&pool, 8);
        let log_ins =
            join_all((0..4).map(|_| server.log_in("mai@example.com", "souk-demo", TokenKind::Api)));
        let next = "other-demo".parse().unwrap();
        let change = server.change_password(mai.id, "souk-demo", &next);
        let (_, changed) = tokio::join!(log_ins, change);
        assert!(changed.is_ok(), "{changed:?}");

        let server = identity_of_cost(&pool, 9);
        let log_ins = join_all(
            (0..4).map(|_| server.log_in("mai@example.com", "other-demo", TokenKind::Contract)),
        );
        let (_, closed) = tokio::join!(log_ins, server.close_own(mai.id, "other-demo", false));
        assert!(closed.is_ok(), "{closed:?}");
    })
    .await;
}

#[tokio::test]
async fn a_password_opens_in_whatever_spelling_a_keyboard_sends_it() {
    with_database(4, |pool| async move {
        let identity = identity(&pool);
        let spellings = [
            "m\u{1ead}t kh\u{1ea9}u",
            "ma\u{323}\u{302}t kha\u{302}\u{309}u",
        ];
        for (registered, email) in spellings.iter().zip(["a@example.com", "b@example.com"]) {
            let account = demo_account(email, registered, Role::Customer.into());
            identity.ensure_user(&account).await.unwrap();
            for typed in spellings {
                let logged_in = identity.log_in(email, typed, TokenKind::Api).await;
                assert!(logged_in.is_ok(), "{logged_in:?}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_process_of_a_lower_cost_leaves_hashes_of_a_higher_one_alone() {
    with_database(4, |pool| async move {
        let (raised, not_yet) = (identity_of_cost(&pool, 6), identity_of_cost(&pool, 5));
        register(&raised, "Mai", "mai@example.com").await.unwrap();
        for server in [&not_yet, &raised, &not_yet] {
            let logged_in = server
                .log_in("mai@example.com", "souk-demo", TokenKind::Api)
                .await;
            assert!(logged_in.is_ok(), "{logged_in:?}");
        }
        let hash: String = sqlx::query_scalar("select password_hash from credentials")
            .fetch_one(&pool)
            .await
            .unwrap();
        assert!(hash.starts_with("$2b$06$"));
    })
    .await;
}

#[tokio::test]
async fn a_credential_whose_user_is_gone_opens_nothing() {
    with_database(4, |pool| async move {
        let identity = identity(&pool);
        register(&identity, "Mai", "mai@example.com").await.unwrap();
        sqlx::raw_sql("delete from users")
            .execute(&pool)
            .await
            .unwrap();
        let outcome = identity
            .log_in("mai@example.com", "souk-demo", TokenKind::Api)
            .await;
        assert!(
            matches!(outcome, Err(LogInError::WrongCredentials)),
            "{outcome:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn the_user_record_holds_nothing_to_log_in_with() {
    with_database(4, |pool| async move {
        register(&identity(&pool), "Mai", "mai@example.com").await.unwrap();
        let columns: Vec<String> = sqlx::query_scalar(
            "select column_name::text from information_schema.columns where table_name = 'users' order by 1",
        )
        .fetch_all(&pool)
        .await
        .unwrap();
        assert_eq!(
            columns,
            ["address", "contact_email", "created_at", "id", "name", "name_key", "phone", "roles", "updated_at", "version"]
        );
        let hash: String = sqlx::query_scalar("select password_hash from credentials").fetch_one(&pool).await.unwrap();
        assert!(hash.starts_with("$2b$04$") && !hash.contains("souk-demo"), "hashed, with salt and cost");
    })
    .await;
}

#[tokio::test]
async fn the_tables_refuse_what_no_code_of_ours_writes() {
    with_database(4, |pool| async move {
        for sql in [
            "insert into users (id, name, roles) values (gen_random_uuid(), 'x', '{owner}')",
            "insert into users (id, name, roles) values (gen_random_uuid(), 'x', array['admin', null])",
            "insert into users (id, name, roles) values (gen_random_uuid(), '', '{}')",
            "insert into credentials (user_id, user_name, password_hash) values (gen_random_uuid(), 'Mai@x.com', '$2b$04$x')",
            "insert into credentials (user_id, user_name, password_hash) values (gen_random_uuid(), 'm@x.com', 'souk-demo')",
        ] {
            let refused = sqlx::raw_sql(sql).execute(&pool).await.unwrap_err();
            assert!(refused.as_database_error().is_some_and(sqlx::error::DatabaseError::is_check_violation), "{sql}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_role_of_a_newer_version_is_passed_over() {
    with_database(4, |pool| async move {
        let identity = identity(&pool);
        let mai = register(&identity, "Mai", "mai@example.com").await.unwrap();
        sqlx::raw_sql(
            "alter table users drop constraint users_roles_check; update users set roles = '{auditor,customer}'",
        )
        .execute(&pool)
        .await
        .unwrap();
        assert_eq!(identity.user(mai.id).await.unwrap().unwrap().roles, Role::Customer.into());
    })
    .await;
}

#[tokio::test]
async fn a_database_that_is_gone_is_told_from_a_wrong_password() {
    with_database(4, |pool| async move {
        let identity = identity(&pool);
        let mai = register(&identity, "Mai", "mai@example.com").await.unwrap();
        let logged_in = identity.log_in("mai@example.com", "souk-demo", TokenKind::Api).await.unwrap();
        let token = logged_in.access_token.as_str();
        pool.close().await;

        let log_in = identity.log_in("mai@example.com", "souk-demo", TokenKind::Api).await;
        assert!(matches!(&log_in, Err(LogInError::Fault(fault @ Fault::Database(_))) if fault.is_passing()), "{log_in:?}");
        let registration = register(&identity, "Tom", "tom@example.com").await;
        assert!(matches!(registration, Err(RegisterError::Fault(Fault::Database(_)))), "{registration:?}");
        assert!(matches!(identity.user(mai.id).await, Err(Fault::Database(_))));
        let authenticated = identity.authenticate(token).await;
        assert!(matches!(authenticated, Err(AuthenticateError::Fault(Fault::Database(_)))), "{authenticated:?}");
    })
    .await;
}

#[tokio::test]
async fn nothing_personal_is_in_debug_output() {
    with_database(4, |pool| async move {
        let identity = identity(&pool);
        let user = register(&identity, "Nguyễn Mai", "mai@example.com")
            .await
            .unwrap();
        let account = demo_account("mai@example.com", "souk-demo", Roles::NONE);
        let printed = format!("{identity:?} {user:?} {account:?}");
        for personal in ["Mai", "mai@", "souk-demo", "a secret of tests", "$2b$"] {
            assert!(!printed.contains(personal), "{personal} in {printed}");
        }
    })
    .await;
}
