//! People on a real PostgreSQL: made, changed, given roles and listed, one and many at once.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod scene;
mod scratch_database;

use std::time::{Duration, Instant};

use domain::{ids::UserId, product::Change};
use eventstore::page::{Direction, Limits, PageRequest, Sort};
use futures::future::join_all;
use identity::{
    Identity, NewAccount, NewUser, Permission, Refusal, Role, RoleChange, Roles, SessionSettings,
    TokenKind, User, UserChange, UserChanges, UserFilter, UserSort, UsersError,
};
use scene::{QUICK, identity_with};
use scratch_database::with_database;
use sqlx::PgPool;
use uuid::Uuid;

const PASSWORD: &str = "souk-demo";

fn identity_of_cost(pool: &PgPool, cost: u32) -> Identity {
    identity_with(pool, cost, SessionSettings::default())
}

fn identity(pool: &PgPool) -> Identity {
    identity_of_cost(pool, QUICK)
}

fn soon() -> Instant {
    Instant::now() + Duration::from_mins(1)
}

fn new_user(name: &str, email: &str, roles: Roles) -> NewUser {
    NewUser {
        account: NewAccount {
            name: name.parse().unwrap(),
            email: email.parse().unwrap(),
            password: PASSWORD.parse().unwrap(),
            roles,
        },
        phone: None,
        address: None,
    }
}

/// People of these names and roles, with an address each.
async fn make(identity: &Identity, people: &[(&str, Roles)]) -> Vec<User> {
    let users: Vec<NewUser> = people
        .iter()
        .map(|(name, roles)| {
            let email = format!("{}@example.com", Uuid::new_v4().simple());
            new_user(name, &email, *roles)
        })
        .collect();
    identity.create_users(&users, soon()).await.unwrap()
}

async fn make_one(identity: &Identity, name: &str, roles: Roles) -> User {
    make(identity, &[(name, roles)]).await.remove(0)
}

fn change(user_id: UserId, changes: UserChanges) -> UserChange {
    UserChange {
        user_id,
        version: None,
        changes,
    }
}

fn new_name(user_id: UserId, name: &str) -> UserChange {
    let name = Some(name.parse().unwrap());
    change(
        user_id,
        UserChanges {
            name,
            ..UserChanges::default()
        },
    )
}

fn new_roles(user_id: UserId, roles: RoleChange) -> UserChange {
    change(
        user_id,
        UserChanges {
            roles,
            ..UserChanges::default()
        },
    )
}

async fn change_one(identity: &Identity, change: UserChange) -> User {
    let mut changed = identity.change_users(&[change]).await.unwrap();
    changed.remove(0)
}

fn refused<T: std::fmt::Debug>(outcome: Result<T, UsersError>) -> Vec<(usize, Refusal)> {
    match outcome {
        Err(UsersError::Refused(refused)) => refused,
        other => panic!("a refusal was expected: {other:?}"),
    }
}

async fn count(pool: &PgPool, what: &str) -> i64 {
    sqlx::query_scalar(&format!("select count(*) from {what}"))
        .fetch_one(pool)
        .await
        .unwrap()
}

async fn admins(pool: &PgPool) -> i64 {
    count(pool, "users where 'admin' = any (roles)").await
}

#[tokio::test]
async fn people_are_made_with_all_that_they_are_in_the_order_of_the_request() {
    with_database(4, |pool| async move {
        let identity = identity(&pool);
        let both = Roles::from(Role::Seller).with(Role::Customer);
        let mai = NewUser {
            phone: Some("+84 28 3822 1234".parse().unwrap()),
            address: Some("1 Lê Lợi\nHuế".parse().unwrap()),
            ..new_user("Nguyễn Thị Mai", "Mai@Example.com", both)
        };
        let nobody = new_user("Nobody", "nobody@example.com", Roles::NONE);
        let made = identity.create_users(&[mai, nobody], soon()).await.unwrap();
        let names: Vec<&str> = made.iter().map(|user| user.name.as_str()).collect();
        assert_eq!(names, ["Nguyễn Thị Mai", "Nobody"]);
        let mai = &made[0];
        assert_eq!(mai.contact_email.as_deref(), Some("mai@example.com"));
        assert_eq!(mai.phone.as_deref(), Some("+84 28 3822 1234"));
        assert_eq!(mai.address.as_deref(), Some("1 Lê Lợi\nHuế"));
        assert_eq!((mai.roles, mai.version), (both, 1));
        assert_eq!(mai.created_at, mai.updated_at);
        assert_eq!(made[1].roles, Roles::NONE);
        assert_eq!((&made[1].phone, &made[1].address), (&None, &None));

        let logged_in = identity
            .log_in("mai@example.com", PASSWORD, TokenKind::Api)
            .await
            .unwrap();
        assert_eq!(&logged_in.user, mai);
        let token = logged_in.access_token.as_str();
        let principal = identity.authenticate(token).await.unwrap();
        assert!(principal.verified, "an admin knows the address");
    })
    .await;
}

#[tokio::test]
async fn when_one_address_is_taken_nobody_is_made_and_it_is_named() {
    with_database(4, |pool| async move {
        let identity = identity(&pool);
        let user = |email: &str| new_user("Somebody", email, Roles::NONE);
        identity
            .create_users(&[user("b@example.com"), user("d@example.com")], soon())
            .await
            .unwrap();
        let users = ["a", "b", "c", "d"].map(|name| user(&format!("{name}@example.com")));
        let outcome = identity.create_users(&users, soon()).await;
        assert_eq!(
            refused(outcome),
            [(1, Refusal::EmailTaken), (3, Refusal::EmailTaken)]
        );
        assert_eq!(
            (
                count(&pool, "users").await,
                count(&pool, "credentials").await
            ),
            (2, 2)
        );
    })
    .await;
}

#[tokio::test]
async fn an_address_that_comes_twice_in_one_request_is_named() {
    with_database(4, |pool| async move {
        let identity = identity(&pool);
        let users = ["mai@example.com", "tom@example.com", "MAI@example.com"]
            .map(|email| new_user("Somebody", email, Roles::NONE));
        let outcome = identity.create_users(&users, soon()).await;
        assert_eq!(refused(outcome), [(2, Refusal::Repeats { earlier: 0 })]);
        assert_eq!(count(&pool, "users").await, 0);
    })
    .await;
}

#[tokio::test]
async fn of_two_that_make_the_same_people_in_opposite_order_exactly_one_wins() {
    with_database(8, |pool| async move {
        let (here, there) = (identity(&pool), identity(&pool));
        for round in 0..10 {
            let users: Vec<NewUser> = (0..20)
                .map(|n| {
                    let email = format!("r{round}-{n}@example.com");
                    new_user("Somebody", &email, Roles::NONE)
                })
                .collect();
            let reversed: Vec<NewUser> = users.iter().rev().cloned().collect();
            let (one, other) = tokio::join!(
                here.create_users(&users, soon()),
                there.create_users(&reversed, soon())
            );
            let (winner, loser) = if one.is_ok() {
                (one, other)
            } else {
                (other, one)
            };
            assert_eq!(winner.unwrap().len(), 20);
            assert_eq!(refused(loser).len(), 20);
        }
        assert_eq!(count(&pool, "users").await, 200);
    })
    .await;
}

#[tokio::test]
async fn passwords_that_are_not_hashed_in_time_make_nobody() {
    with_database(4, |pool| async move {
        let identity = identity_of_cost(&pool, 11);
        let users: Vec<NewUser> = (0..20)
            .map(|n| new_user("Somebody", &format!("u{n}@example.com"), Roles::NONE))
            .collect();
        let deadline = Instant::now() + Duration::from_millis(50);
        let outcome = identity.create_users(&users, deadline).await;
        assert!(
            matches!(outcome, Err(UsersError::DeadlinePassed)),
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
async fn a_change_keeps_what_it_does_not_name() {
    with_database(4, |pool| async move {
        let identity = identity(&pool);
        let mai = make_one(&identity, "Mai", Role::Customer.into()).await;
        let changes = UserChanges {
            phone: Change::Set("113".parse().unwrap()),
            address: Change::Set("1 Lê Lợi".parse().unwrap()),
            ..UserChanges::default()
        };
        let outcome = change_one(&identity, change(mai.id, changes)).await;
        let expected = User {
            phone: Some("113".into()),
            address: Some("1 Lê Lợi".into()),
            version: 2,
            updated_at: outcome.updated_at,
            ..mai.clone()
        };
        assert_eq!(outcome, expected);
        assert!(outcome.updated_at > mai.updated_at);

        let changes = UserChanges {
            name: Some("Mai Lan".parse().unwrap()),
            contact_email: Change::Clear,
            address: Change::Clear,
            ..UserChanges::default()
        };
        let again = change_one(&identity, change(mai.id, changes)).await;
        let expected = User {
            name: "Mai Lan".into(),
            contact_email: None,
            address: None,
            version: 3,
            updated_at: again.updated_at,
            ..outcome
        };
        assert_eq!(again, expected);
        assert_eq!(identity.user(mai.id).await.unwrap(), Some(again));
    })
    .await;
}

#[tokio::test]
async fn a_change_that_changes_nothing_makes_no_new_version() {
    with_database(4, |pool| async move {
        let identity = identity(&pool);
        let mai = make_one(&identity, "Mai", Role::Customer.into()).await;
        for nothing in [
            new_name(mai.id, "Mai"),
            change(mai.id, UserChanges::default()),
            new_roles(mai.id, RoleChange::Grant(Role::Customer)),
            new_roles(mai.id, RoleChange::Revoke(Role::Admin)),
            new_roles(mai.id, RoleChange::Set(Role::Customer.into())),
        ] {
            assert_eq!(change_one(&identity, nothing).await, mai);
        }
    })
    .await;
}

#[tokio::test]
async fn roles_that_a_newer_version_has_granted_stay_whatever_is_changed() {
    with_database(4, |pool| async move {
        let identity = identity(&pool);
        let mai = make_one(&identity, "Mai", Role::Customer.into()).await;
        sqlx::raw_sql(
            "alter table users drop constraint users_roles_check; update users set roles = '{auditor,customer}'",
        )
        .execute(&pool)
        .await
        .unwrap();
        let stored = || async {
            let roles: Vec<String> = sqlx::query_scalar("select unnest(roles) from users order by 1")
                .fetch_all(&pool)
                .await
                .unwrap();
            roles.join(" ")
        };
        change_one(&identity, new_name(mai.id, "Mai Anh")).await;
        assert_eq!(stored().await, "auditor customer");
        let both = Roles::from(Role::Seller).with(Role::Analyst);
        for (change, roles) in [
            (RoleChange::Grant(Role::Seller), "auditor customer seller"),
            (RoleChange::Revoke(Role::Customer), "auditor seller"),
            (RoleChange::Set(both), "analyst auditor seller"),
            (RoleChange::Set(Roles::NONE), "auditor"),
        ] {
            change_one(&identity, new_roles(mai.id, change)).await;
            assert_eq!(stored().await, roles, "{change:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_contact_address_is_not_what_one_logs_in_with() {
    with_database(4, |pool| async move {
        let identity = identity(&pool);
        let mai = new_user("Mai", "mai@example.com", Role::Customer.into());
        let mai = identity
            .create_users(&[mai], soon())
            .await
            .unwrap()
            .remove(0);
        let changes = UserChanges {
            contact_email: Change::Set("post@example.com".parse().unwrap()),
            ..UserChanges::default()
        };
        change_one(&identity, change(mai.id, changes)).await;
        for (email, expected) in [("mai@example.com", true), ("post@example.com", false)] {
            let outcome = identity.log_in(email, PASSWORD, TokenKind::Api).await;
            assert_eq!(outcome.is_ok(), expected, "{email}");
        }
    })
    .await;
}

#[tokio::test]
async fn the_record_of_a_user_holds_no_log_in_data() {
    with_database(4, |pool| async move {
        let identity = identity(&pool);
        let both = make_one(&identity, "Mai", Role::Customer.into()).await;
        let columns = |table: &str| {
            let sql = format!(
                "select string_agg(attname::text, ',') from pg_attribute
                 where attrelid = '{table}'::regclass and attnum > 0 and not attisdropped"
            );
            let pool = pool.clone();
            async move {
                let names: String = sqlx::query_scalar(&sql).fetch_one(&pool).await.unwrap();
                names.split(',').map(str::to_owned).collect::<Vec<_>>()
            }
        };
        let (users, credentials) = (columns("users").await, columns("credentials").await);
        for column in ["user_name", "password_hash", "session_epoch", "verified_at"] {
            assert!(credentials.contains(&column.to_owned()));
            assert!(!users.contains(&column.to_owned()), "{column}");
        }
        let row: String = sqlx::query_scalar("select to_jsonb(users)::text from users")
            .fetch_one(&pool)
            .await
            .unwrap();
        assert!(!row.contains("$2b$") && !row.contains(PASSWORD));
        let printed = format!("{both:?}");
        assert!(
            !printed.contains("Mai") && !printed.contains('@'),
            "{printed}"
        );
    })
    .await;
}

#[tokio::test]
async fn when_one_change_does_not_fit_nobody_is_changed_and_each_is_named() {
    with_database(4, |pool| async move {
        let identity = identity(&pool);
        let people = make(
            &identity,
            &[("A", Roles::NONE), ("B", Roles::NONE), ("C", Roles::NONE)],
        )
        .await;
        change_one(&identity, new_name(people[1].id, "B2")).await;
        let nobody = UserId(Uuid::now_v7());
        let stale = UserChange {
            version: Some(1),
            ..new_name(people[1].id, "B3")
        };
        let changes = [
            new_name(people[0].id, "A3"),
            stale,
            new_name(nobody, "X"),
            new_name(people[2].id, "C3"),
        ];
        assert_eq!(
            refused(identity.change_users(&changes).await),
            [(1, Refusal::Stale { current: 2 }), (2, Refusal::Missing)]
        );
        let twice = [
            new_name(people[0].id, "A3"),
            new_name(people[2].id, "C3"),
            new_name(people[0].id, "A4"),
        ];
        assert_eq!(
            refused(identity.change_users(&twice).await),
            [(2, Refusal::Repeats { earlier: 0 })]
        );
        let ids: Vec<UserId> = people.iter().map(|user| user.id).collect();
        let now = identity.read_users(&ids).await.unwrap();
        let names: Vec<String> = now.into_iter().map(|user| user.unwrap().name).collect();
        assert_eq!(names, ["A", "B2", "C"]);

        let fresh = UserChange {
            version: Some(2),
            ..new_name(people[1].id, "B3")
        };
        let outcome = identity
            .change_users(&[new_name(people[2].id, "C3"), fresh])
            .await
            .unwrap();
        let told: Vec<(&str, i64)> = outcome
            .iter()
            .map(|user| (user.name.as_str(), user.version))
            .collect();
        assert_eq!(told, [("C3", 2), ("B3", 3)], "in the order of the request");
    })
    .await;
}

#[tokio::test]
async fn many_are_changed_at_once_in_any_order_without_waiting_for_each_other_for_ever() {
    with_database(8, |pool| async move {
        let identity = identity(&pool);
        let people = make(&identity, &[("Somebody", Roles::NONE); 10]).await;
        let requests = (0..16).map(|n| {
            let mut changes: Vec<UserChange> = people
                .iter()
                .map(|user| new_name(user.id, &format!("Name {n}")))
                .collect();
            if n % 2 == 0 {
                changes.reverse();
            }
            let identity = identity.clone();
            async move { identity.change_users(&changes).await }
        });
        for outcome in join_all(requests).await {
            assert_eq!(outcome.unwrap().len(), 10);
        }
        let ids: Vec<UserId> = people.iter().map(|user| user.id).collect();
        let now = identity.read_users(&ids).await.unwrap();
        let now: Vec<User> = now.into_iter().map(Option::unwrap).collect();
        assert!(now.iter().all(|user| user.version == 17));
        assert!(
            now.iter().all(|user| user.name == now[0].name),
            "never half of one"
        );
    })
    .await;
}

#[tokio::test]
async fn people_are_read_in_the_order_of_their_ids_with_gaps_where_there_is_nobody() {
    with_database(4, |pool| async move {
        let identity = identity(&pool);
        let people = make(&identity, &[("A", Roles::NONE), ("B", Roles::NONE)]).await;
        let nobody = UserId(Uuid::now_v7());
        let found = identity
            .read_users(&[people[1].id, nobody, people[0].id])
            .await
            .unwrap();
        assert_eq!(
            found,
            [Some(people[1].clone()), None, Some(people[0].clone())]
        );
        let twice = identity.read_users(&[nobody, nobody]).await;
        assert_eq!(refused(twice), [(1, Refusal::Repeats { earlier: 0 })]);
    })
    .await;
}

#[tokio::test]
async fn the_last_admin_stays_whatever_is_tried() {
    with_database(4, |pool| async move {
        let identity = identity(&pool);
        let admin = Roles::from(Role::Admin).with(Role::Customer);
        let people = make(&identity, &[("A", admin), ("B", Roles::NONE)]).await;
        let (last, other) = (people[0].id, people[1].id);
        for change in [
            new_roles(last, RoleChange::Revoke(Role::Admin)),
            new_roles(last, RoleChange::Set(Roles::NONE)),
            new_roles(last, RoleChange::Set(Role::Customer.into())),
        ] {
            let outcome = identity
                .change_users(&[new_name(other, "B2"), change])
                .await;
            assert_eq!(refused(outcome), [(1, Refusal::LastAdmin)]);
        }
        assert_eq!(
            identity.user(last).await.unwrap().as_ref(),
            Some(&people[0])
        );
        assert_eq!(
            identity.user(other).await.unwrap().as_ref(),
            Some(&people[1])
        );

        // what takes nothing from the last admin goes through
        let kept = change_one(
            &identity,
            new_roles(last, RoleChange::Revoke(Role::Customer)),
        )
        .await;
        assert_eq!(kept.roles, Role::Admin.into());
        // and so does handing it over
        let handed_over = [
            new_roles(last, RoleChange::Revoke(Role::Admin)),
            new_roles(other, RoleChange::Grant(Role::Admin)),
        ];
        identity.change_users(&handed_over).await.unwrap();
        let outcome = identity
            .change_users(&[new_roles(other, RoleChange::Set(Roles::NONE))])
            .await;
        assert_eq!(refused(outcome), [(0, Refusal::LastAdmin)]);
        assert_eq!(admins(&pool).await, 1);
    })
    .await;
}

#[tokio::test]
async fn two_admins_who_revoke_each_other_at_the_same_moment_do_not_both_go() {
    with_database(8, |pool| async move {
        let (here, there) = (identity(&pool), identity(&pool));
        let people = make(
            &here,
            &[("A", Role::Admin.into()), ("B", Role::Admin.into())],
        )
        .await;
        let (a, b) = (people[0].id, people[1].id);
        for _ in 0..30 {
            let revoke = |id| [new_roles(id, RoleChange::Revoke(Role::Admin))];
            let (of_a, of_b) = (revoke(a), revoke(b));
            let (one, other) = tokio::join!(here.change_users(&of_a), there.change_users(&of_b));
            let (winner, loser) = if one.is_ok() {
                (one, other)
            } else {
                (other, one)
            };
            assert_eq!(winner.unwrap().len(), 1);
            assert_eq!(refused(loser), [(0, Refusal::LastAdmin)]);
            assert_eq!(admins(&pool).await, 1);
            let again = [a, b].map(|id| new_roles(id, RoleChange::Grant(Role::Admin)));
            here.change_users(&again).await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn of_many_admins_who_are_all_revoked_at_the_same_moment_one_stays() {
    with_database(12, |pool| async move {
        let identities = [identity(&pool), identity(&pool)];
        let people = make(&identities[0], &[("Admin", Role::Admin.into()); 10]).await;
        // each alone, and in pairs that overlap
        let requests = (0..10).map(|n| {
            let revoke =
                |index: usize| new_roles(people[index % 10].id, RoleChange::Revoke(Role::Admin));
            let changes = if n % 2 == 0 {
                vec![revoke(n)]
            } else {
                vec![revoke(n + 1), revoke(n)]
            };
            let identity = identities[n % 2].clone();
            async move { identity.change_users(&changes).await }
        });
        for outcome in join_all(requests).await {
            match outcome {
                Ok(_) => {}
                Err(error) => {
                    let refused = refused::<()>(Err(error));
                    assert!(refused.iter().all(|(_, why)| *why == Refusal::LastAdmin));
                }
            }
        }
        assert!(admins(&pool).await >= 1);
    })
    .await;
}

#[tokio::test]
async fn an_admin_stays_when_one_is_revoked_while_the_other_is_closed() {
    with_database(8, |pool| async move {
        let identity = identity(&pool);
        for round in 0..12 {
            sqlx::raw_sql("delete from users; delete from credentials")
                .execute(&pool)
                .await
                .unwrap();
            let both = [("One", Role::Admin.into()), ("Other", Role::Admin.into())];
            let both = make(&identity, &both).await;
            let revoke = [new_roles(both[0].id, RoleChange::Revoke(Role::Admin))];
            let others = [both[1].id];
            let (revoked, closed) = tokio::join!(
                identity.change_users(&revoke),
                identity.close_accounts(&others, false)
            );
            assert!(revoked.is_ok() != closed.is_ok(), "{revoked:?} {closed:?}");
            let refusals = match (revoked, closed) {
                (Err(UsersError::Refused(refusals)), _)
                | (_, Err(UsersError::Refused(refusals))) => refusals,
                other => panic!("{other:?}"),
            };
            assert_eq!(refusals, [(0, Refusal::LastAdmin)], "{round}");
            assert_eq!(admins(&pool).await, 1);
        }
    })
    .await;
}

#[tokio::test]
async fn a_role_counts_at_once_here_and_within_seconds_elsewhere() {
    with_database(8, |pool| async move {
        let (here, there) = (identity(&pool), identity(&pool));
        make_one(&here, "Another", Role::Admin.into()).await;
        let tom = new_user("Tom", "tom@example.com", Role::Admin.into());
        let tom = here.create_users(&[tom], soon()).await.unwrap().remove(0);
        let logged_in = here
            .log_in("tom@example.com", PASSWORD, TokenKind::Api)
            .await
            .unwrap();
        let token = logged_in.access_token.as_str();
        let may = async |identity: &Identity| {
            let principal = identity.authenticate(token).await.unwrap();
            principal.can(Permission::ManageUsers)
        };
        assert!(may(&here).await && may(&there).await);
        change_one(&here, new_roles(tom.id, RoleChange::Revoke(Role::Admin))).await;
        assert!(!may(&here).await);
        let begun = Instant::now();
        while may(&there).await {
            assert!(begun.elapsed() < Duration::from_secs(5));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        change_one(&here, new_roles(tom.id, RoleChange::Grant(Role::Admin))).await;
        assert!(may(&here).await);
    })
    .await;
}

fn page(
    key: UserSort,
    direction: Direction,
    limit: u32,
    cursor: Option<&str>,
) -> PageRequest<UserSort> {
    let sort = Sort { key, direction };
    PageRequest::new(Limits::STANDARD, sort, Some(limit), cursor).unwrap()
}

/// The names on all pages of three.
async fn names(
    identity: &Identity,
    filter: &UserFilter,
    key: UserSort,
    way: Direction,
) -> Vec<String> {
    let (mut names, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let request = page(key, way, 3, cursor.as_deref());
        let found = identity.users(filter, &request).await.unwrap();
        names.extend(found.items.into_iter().map(|user| user.name));
        cursor = found.next;
        if cursor.is_none() {
            return names;
        }
    }
}

#[tokio::test]
async fn a_list_goes_page_by_page_in_either_order() {
    with_database(4, |pool| async move {
        let identity = identity(&pool);
        let made = ["mai", "Tom", "An", "Mai", "an", "Ông", "b%c", "zoe"];
        for name in made {
            make_one(&identity, name, Roles::NONE).await;
        }
        let all = UserFilter::default();
        let oldest = names(&identity, &all, UserSort::CreatedAt, Direction::Asc).await;
        assert_eq!(oldest, made);
        let newest = names(&identity, &all, UserSort::CreatedAt, Direction::Desc).await;
        assert!(newest.iter().eq(oldest.iter().rev()));
        let by_name = names(&identity, &all, UserSort::Name, Direction::Asc).await;
        let expected = ["An", "an", "b%c", "mai", "Mai", "Tom", "zoe", "Ông"];
        assert_eq!(
            by_name, expected,
            "capitals count like small letters, accents come last"
        );
        let backwards = names(&identity, &all, UserSort::Name, Direction::Desc).await;
        assert!(backwards.iter().eq(by_name.iter().rev()));
    })
    .await;
}

#[tokio::test]
async fn a_list_shows_those_who_fit_all_filters_and_nobody_else() {
    with_database(4, |pool| async move {
        let identity = identity(&pool);
        let both = Roles::from(Role::Seller).with(Role::Customer);
        let made = [
            ("Mai", "mai@example.com", both),
            ("MAI LAN", "lan@example.com", Role::Customer.into()),
            ("Marta", "marta@example.com", Role::Seller.into()),
            ("Ma_ko", "mako@example.com", Roles::NONE),
            ("Ma%", "percent@example.com", Roles::NONE),
            ("Ma\\", "backslash@example.com", Roles::NONE),
            ("Ömer", "omer@example.com", Role::Admin.into()),
        ];
        let users = made.map(|(name, email, roles)| new_user(name, email, roles));
        identity.create_users(&users, soon()).await.unwrap();
        let found = async |filter: &UserFilter| {
            names(&identity, filter, UserSort::Name, Direction::Asc).await
        };
        let called = |name: &str| UserFilter {
            name: Some(name.parse().unwrap()),
            ..UserFilter::default()
        };
        for (begins, expected) in [
            ("mai", &["Mai", "MAI LAN"][..]),
            ("MAI l", &["MAI LAN"]),
            ("ma_", &["Ma_ko"]),
            ("ma%", &["Ma%"]),
            ("ma\\", &["Ma\\"]),
            ("ö", &["Ömer"]),
            ("Mai Lan and more", &[]),
            ("ai", &[]),
        ] {
            assert_eq!(found(&called(begins)).await, expected, "{begins}");
        }
        let role = |role| UserFilter {
            role: Some(role),
            ..UserFilter::default()
        };
        assert_eq!(found(&role(Role::Seller)).await, ["Mai", "Marta"]);
        assert_eq!(found(&role(Role::Admin)).await, ["Ömer"]);
        assert_eq!(found(&role(Role::Analyst)).await, Vec::<String>::new());
        let address = UserFilter {
            contact_email: Some("Marta@Example.com".parse().unwrap()),
            ..UserFilter::default()
        };
        assert_eq!(found(&address).await, ["Marta"]);
        let all_three = UserFilter {
            role: Some(Role::Customer),
            ..called("mai l")
        };
        assert_eq!(found(&all_three).await, ["MAI LAN"]);
        let none_fits = UserFilter {
            role: Some(Role::Admin),
            ..address
        };
        assert_eq!(found(&none_fits).await, Vec::<String>::new());
    })
    .await;
}
