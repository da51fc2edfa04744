//! Tests of query plans: every filter and every sort of the list of people, over many of them, is served by an index.

#![allow(clippy::unwrap_used)]

use chrono::{DateTime, Utc};
use eventstore::{
    page::{SortKey, SortValue},
    testing::{
        TestDatabase,
        plans::{assert_served_by_indexes, pages},
    },
};

use super::list::{UserFilter, UserSort, list};
use crate::roles::Role;

// the spread of a shop: nearly everybody is a customer, a few sell, very few run it
const USERS: &str = "
    insert into users (id, name, contact_email, phone, address, roles, created_at)
        select md5('u' || n)::uuid, 'Name ' || md5(n::text), 'user-' || n || '@example.com', '+84 28 3822 1234',
               repeat('x', 60),
               case when n % 1000 = 0 then array['admin'] when n % 100 = 0 then array['customer', 'seller']
                    else array['customer'] end,
               timestamptz '2026-01-01' + n * interval '1 minute'
        from generate_series(1, 20000) n;
    analyze users;
";

fn middle_of_time() -> DateTime<Utc> {
    "2026-01-08T00:00:00Z".parse().unwrap()
}

#[tokio::test]
async fn every_filter_and_sort_of_users_is_served_by_an_index() {
    let database = TestDatabase::create().await;
    let mut connection = database.connect().await;
    sqlx::raw_sql(USERS).execute(&mut connection).await.unwrap();
    let all = UserFilter::default;
    let name = |text: &str| Some(text.parse().unwrap());
    let role = |role| UserFilter {
        role: Some(role),
        ..all()
    };
    let filters = [
        all(),
        UserFilter {
            contact_email: Some("user-77@example.com".parse().unwrap()),
            ..all()
        },
        role(Role::Customer),
        role(Role::Seller),
        role(Role::Admin),
        role(Role::Analyst),
        UserFilter {
            name: name("Name 8"),
            ..all()
        },
        UserFilter {
            name: name("NAME 8f14"),
            ..all()
        },
        UserFilter {
            name: name("name 8"),
            ..role(Role::Customer)
        },
        UserFilter {
            name: name("name 8"),
            ..role(Role::Admin)
        },
    ];
    for key in UserSort::ALL {
        let middle = match key {
            UserSort::CreatedAt => SortValue::Time(middle_of_time()),
            UserSort::Name => SortValue::Text("name 88".into()),
        };
        for filter in &filters {
            for page in pages(*key, &middle) {
                let query = list(filter, &page);
                // the filter is not printed by itself: names and addresses are hidden
                let what = format!("{page:?} {:?} {}", filter.role, query.sql());
                assert_served_by_indexes(&what, query, &mut connection).await;
            }
        }
    }
    database.drop_database().await;
}
