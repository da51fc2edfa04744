//! A view that is rebuilt from the log is the view that followed it.

use std::time::Duration;

use eventstore::{position::Head, testing::eventually};
use projections::{
    View,
    rebuild::{
        CompareError, DiscardError, Found, RebuildError, Rebuilt, Settings, differences, discard,
        rebuild,
    },
};
use sqlx::Row;
use uuid::Uuid;

use crate::{
    history,
    shop::{Shop, customer, usd},
};

/// Everything has to be written before it is complete, and read again.
const TINY: Settings = Settings {
    until: None,
    stretch: 7,
    rows_in_memory: 2,
};

async fn build(shop: &Shop, view: View, number: u32, settings: Settings) -> Rebuilt {
    let schema = view.beside(number);
    rebuild(&shop.log, view, &schema, settings).await.unwrap()
}

async fn assert_equal(shop: &Shop, view: View, rebuilt: &Rebuilt) {
    let found = differences(shop.log.pool(), view, &view.schema(), &rebuilt.schema, 10)
        .await
        .unwrap();
    assert_eq!(found, [], "{view}");
}

/// Names and definitions of keys, indexes and columns.
async fn structure(shop: &Shop, schema: &str) -> Vec<String> {
    sqlx::query_scalar(
        "select replace(indexdef, schemaname || '.', '') from pg_indexes where schemaname = $1 \
         union all select table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable \
         from information_schema.columns where table_schema = $1 order by 1",
    )
    .bind(schema)
    .fetch_all(shop.log.pool())
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_view_is_rebuilt_as_it_was_followed() {
    let shop = Shop::open().await;
    history::write(&shop, 27).await;
    shop.settle_all().await;
    let head = shop.log.head().await.unwrap();
    for view in View::ALL {
        let standard = build(&shop, view, 1, Settings::default()).await;
        let tiny = build(&shop, view, 2, TINY).await;
        assert_eq!(standard.events, tiny.events);
        for rebuilt in [standard, tiny] {
            assert_eq!(rebuilt.head, head);
            assert_eq!(rebuilt.parked, []);
            assert_equal(&shop, view, &rebuilt).await;
            assert_eq!(
                structure(&shop, rebuilt.schema.as_str()).await,
                structure(&shop, view.schema().as_str()).await
            );
        }
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_log_makes_empty_views() {
    let shop = Shop::open().await;
    for view in View::ALL {
        let rebuilt = build(&shop, view, 1, Settings::default()).await;
        assert_eq!((rebuilt.head, rebuilt.events), (Head::EMPTY, 0));
        assert_equal(&shop, view, &rebuilt).await;
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_ends_where_it_is_told_and_the_live_view_goes_on() {
    let shop = Shop::open().await;
    history::write(&shop, 9).await;
    shop.settle_all().await;
    let until = shop.log.head().await.unwrap();
    let settings = Settings {
        until: Some(until),
        ..TINY
    };
    let region_id = shop.region("Late", "USD").await;
    let late = build(&shop, View::Regions, 1, settings).await;
    assert_eq!(late.head, until);
    shop.settle_all().await;
    let (live, schema) = (View::Regions.schema(), late.schema);
    let found = differences(shop.log.pool(), View::Regions, &live, &schema, 10)
        .await
        .unwrap();
    let [one] = &found[..] else {
        panic!("{found:?}");
    };
    assert_eq!(one.found, Found::OnlyInFirst);
    assert!(one.key.contains(&region_id.to_string()), "{}", one.key);

    // an event that the log does not hold is no place to end at
    let elsewhere = Head {
        event_id: Uuid::now_v7(),
        ..until
    };
    let settings = Settings {
        until: Some(elsewhere),
        ..TINY
    };
    let schema = View::Regions.beside(2);
    let refused = rebuild(&shop.log, View::Regions, &schema, settings).await;
    assert!(
        matches!(refused, Err(RebuildError::Diverged { .. })),
        "{refused:?}"
    );
    assert_eq!(structure(&shop, schema.as_str()).await, [""; 0]);
    shop.close().await;
}

/// Orders are placed all the time; the rebuild catches up with them, and then the two are equal at the same head.
#[tokio::test(flavor = "multi_thread")]
async fn a_view_is_rebuilt_while_events_are_appended() {
    let shop = Shop::open().await;
    let region_id = shop.region("United States", "USD").await;
    let product_id = shop.product(region_id, "A", usd(1_000)).await;
    for _ in 0..30 {
        shop.order(customer(), region_id, &[(product_id, 1)]).await;
    }
    let before = shop.log.head().await.unwrap();
    let settings = Settings { stretch: 5, ..TINY };
    let schema = View::Orders.beside(1);
    let building = rebuild(&shop.log, View::Orders, &schema, settings);
    let placing = async {
        loop {
            shop.order(customer(), region_id, &[(product_id, 1)]).await;
        }
    };
    let rebuilt = tokio::select! {
        rebuilt = building => rebuilt.unwrap(),
        () = placing => unreachable!(),
    };
    assert!(rebuilt.head.position > before.position, "{rebuilt:?}");
    // what is live is compared at the same event, by rebuilding to where it stands
    shop.settle_all().await;
    let settings = Settings {
        until: Some(rebuilt.head),
        ..Settings::default()
    };
    let again = build(&shop, View::Orders, 2, settings).await;
    let found = differences(shop.log.pool(), View::Orders, &schema, &again.schema, 10)
        .await
        .unwrap();
    assert_eq!(found, []);
    let all = build(&shop, View::Orders, 3, TINY).await;
    assert_equal(&shop, View::Orders, &all).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_reads_and_writes_in_short_transactions() {
    let shop = Shop::open().await;
    history::write(&shop, 27).await;
    shop.settle_all().await;
    let schema = View::Orders.beside(1);
    let settings = Settings {
        stretch: 1,
        rows_in_memory: 1,
        ..TINY
    };
    let mut watcher = shop.database.connect().await;
    let begun: chrono::DateTime<chrono::Utc> = sqlx::query_scalar("select clock_timestamp()")
        .fetch_one(&mut watcher)
        .await
        .unwrap();
    let mut transactions = std::collections::HashSet::new();
    let watching = async {
        loop {
            // those that hold back the clean-up: with a snapshot or an id
            let rows = sqlx::query(
                "select pid, xact_start from pg_stat_activity \
                 where datname = current_database() and pid <> pg_backend_pid() and xact_start >= $1 \
                       and (backend_xmin is not null or backend_xid is not null)",
            )
            .bind(begun)
            .fetch_all(&mut watcher)
            .await
            .unwrap();
            for row in rows {
                let begun: chrono::DateTime<chrono::Utc> = row.get("xact_start");
                transactions.insert((row.get::<i32, _>("pid"), begun));
            }
        }
    };
    let rebuilt = tokio::select! {
        rebuilt = rebuild(&shop.log, View::Orders, &schema, settings) => rebuilt.unwrap(),
        () = watching => unreachable!(),
    };
    assert_equal(&shop, View::Orders, &rebuilt).await;
    // a rebuild in one transaction would be seen as one of each connection: reading, writing, and two for indexes
    assert!(transactions.len() > 10, "{transactions:?}");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_cannot_be_read_is_left_out_and_named() {
    let shop = Shop::open().await;
    history::write(&shop, 9).await;
    let damaged = Uuid::now_v7();
    let placed = r#"{"type":"OrderPlaced","order_id":"nonsense"}"#;
    let delivered = r#"{"type":"OrderDelivered"}"#;
    shop.insert_plain("order", damaged, 1, "OrderPlaced", placed)
        .await;
    let first = shop.log.head().await.unwrap().position;
    history::write(&shop, 9).await;
    shop.insert_plain("order", damaged, 2, "OrderDelivered", delivered)
        .await;
    let second = shop.log.head().await.unwrap().position;
    shop.settle_all().await;
    for (number, settings) in (1..).zip([Settings::default(), TINY]) {
        let rebuilt = build(&shop, View::Orders, number, settings).await;
        let [parked] = &rebuilt.parked[..] else {
            panic!("{:?}", rebuilt.parked);
        };
        assert_eq!(parked.key, damaged.to_string());
        assert_eq!(parked.positions, [first, second]);
        assert!(parked.error.contains("OrderPlaced"), "{}", parked.error);
        assert_equal(&shop, View::Orders, &rebuilt).await;
    }
    shop.close().await;
}

/// The JSON is in order, but a row of it is refused: by a character that no text may hold, by a line that is there twice,
/// by a stream whose id is that of another one in capital letters.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_the_database_refuses_is_left_out_and_named() {
    let shop = Shop::open().await;
    history::write(&shop, 9).await;
    let original: String = sqlx::query_scalar(
        "select payload::text from events where event_type = 'OrderPlaced' order by position limit 1",
    )
    .fetch_one(shop.log.pool())
    .await
    .unwrap();
    let mut placed: serde_json::Value = serde_json::from_str(&original).unwrap();
    placed["customer_name"] = "a\0b".into();
    let (unstorable, doubled) = (Uuid::now_v7(), Uuid::now_v7());
    shop.insert_plain("order", unstorable, 1, "OrderPlaced", &placed.to_string())
        .await;
    let mut placed: serde_json::Value = serde_json::from_str(&original).unwrap();
    let line = placed["lines"][0].clone();
    placed["lines"].as_array_mut().unwrap().push(line);
    shop.insert_plain("order", doubled, 1, "OrderPlaced", &placed.to_string())
        .await;
    history::write(&shop, 9).await;
    let delivered = r#"{"type":"OrderDelivered"}"#;
    shop.insert_plain("order", doubled, 2, "OrderDelivered", delivered)
        .await;
    shop.settle_all().await;
    for (number, settings) in (1..).zip([Settings::default(), TINY]) {
        let rebuilt = build(&shop, View::Orders, number, settings).await;
        let parked: Vec<_> = rebuilt
            .parked
            .iter()
            .map(|parked| (parked.key.clone(), parked.positions.len()))
            .collect();
        assert_eq!(
            parked,
            [(unstorable.to_string(), 1), (doubled.to_string(), 2)]
        );
        assert_equal(&shop, View::Orders, &rebuilt).await;
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_a_newer_binary_is_named_and_nothing_is_left_behind() {
    let shop = Shop::open().await;
    history::write(&shop, 9).await;
    let newer = r#"{"type":"OrderGiftWrapped"}"#;
    shop.insert_plain("order", Uuid::now_v7(), 1, "OrderGiftWrapped", newer)
        .await;
    let head = shop.log.head().await.unwrap();
    for view in [View::Orders, View::Timeline] {
        let schema = view.beside(1);
        match rebuild(&shop.log, view, &schema, TINY).await {
            Err(RebuildError::Newer { position, .. }) => assert_eq!(position, head.position),
            other => panic!("{other:?}"),
        }
        assert_eq!(structure(&shop, schema.as_str()).await, [""; 0]);
    }
    // the others do not read it
    build(&shop, View::Payments, 1, TINY).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_a_missing_and_an_extra_row_are_found_in_every_table() {
    let shop = Shop::open().await;
    history::write(&shop, 9).await;
    shop.settle_all().await;
    let mut tables = 0;
    for view in View::ALL {
        let rebuilt = build(&shop, view, 1, Settings::default()).await;
        let schema = rebuilt.schema.as_str();
        let names: Vec<String> =
            sqlx::query_scalar("select tablename::text from pg_tables where schemaname = $1")
                .bind(schema)
                .fetch_all(shop.log.pool())
                .await
                .unwrap();
        for table in names {
            tables += 1;
            let first = |what: &str| {
                format!("{what} where ctid = (select min(ctid) from {schema}.{table})")
            };
            // a column that is in no key; the timeline has none
            let column = match table.as_str() {
                "regions" => Some("tax_rate"),
                "categories" | "shops" | "products" | "discounts" | "carts" | "payments"
                | "order_states" | "stock" => Some("sequence"),
                "orders" => Some("total"),
                "vocabulary" => Some("titles"),
                "payment_ledger" | "payment_refunds" => Some("amount"),
                "order_lines" | "shipped_lines" => Some("quantity"),
                _ => None,
            };
            if let Some(column) = column {
                let update = first(&format!("update {schema}.{table} set {column} = 4711"));
                check(&shop, view, &rebuilt, &table, &update, Found::Changed).await;
                rewind(&shop, view, &rebuilt, &table).await;
            }
            let delete = first(&format!("delete from {schema}.{table}"));
            check(&shop, view, &rebuilt, &table, &delete, Found::OnlyInFirst).await;
            rewind(&shop, view, &rebuilt, &table).await;
            let delete = delete.replace(schema, view.schema().as_str());
            check(&shop, view, &rebuilt, &table, &delete, Found::OnlyInSecond).await;
            let live = view.schema();
            let restore = format!(
                "insert into {live}.{table} {} select * from {schema}.{table} on conflict do nothing",
                into(&table)
            );
            sqlx::query(&restore.replace("select *", &selected(&table)))
                .execute(shop.log.pool())
                .await
                .unwrap();
            assert_equal(&shop, view, &rebuilt).await;
        }
    }
    assert_eq!(tables, 18);
    shop.close().await;
}

/// Changes one row and expects just that to be found.
async fn check(
    shop: &Shop,
    view: View,
    rebuilt: &Rebuilt,
    table: &str,
    change: &str,
    expected: Found,
) {
    let changed = sqlx::query(change).execute(shop.log.pool()).await.unwrap();
    assert_eq!(changed.rows_affected(), 1, "{change}");
    let found = differences(shop.log.pool(), view, &view.schema(), &rebuilt.schema, 10)
        .await
        .unwrap();
    let [one] = &found[..] else {
        panic!("{change}: {found:?}");
    };
    assert_eq!((one.table.as_str(), one.found), (table, expected));
    assert!(
        one.key.starts_with('{') && ["_id", "\"word\""].iter().any(|key| one.key.contains(key)),
        "{}",
        one.key
    );
}

/// Takes the rows of a table from the live schema again.
async fn rewind(shop: &Shop, view: View, rebuilt: &Rebuilt, table: &str) {
    let (live, schema) = (view.schema(), &rebuilt.schema);
    let (columns, select) = (into(table), selected(table));
    let sql = format!(
        "truncate {schema}.{table}; insert into {schema}.{table} {columns} {select} from {live}.{table}"
    );
    sqlx::raw_sql(&sql).execute(shop.log.pool()).await.unwrap();
}

/// The columns that are written, where others are generated.
fn written(table: &str) -> Option<&'static str> {
    match table {
        "stock" => Some("product_id, available, reserved, sold, threshold, sequence, updated_at"),
        "discounts" => Some(
            "discount_id, region_id, currency, shop_id, code, title, value, scope, minimum, starts_at, ends_at, max_uses, \
             max_uses_per_customer, used, revision, deleted, sequence, created_at, updated_at",
        ),
        _ => None,
    }
}

/// What to insert into, behind the name of the table.
fn into(table: &str) -> String {
    written(table).map_or_else(String::new, |columns| format!("({columns})"))
}

fn selected(table: &str) -> String {
    format!("select {}", written(table).unwrap_or("*"))
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_not_in_use_is_discarded() {
    let shop = Shop::open().await;
    let pool = shop.log.pool();
    let rebuilt = build(&shop, View::Orders, 1, TINY).await;
    let again = rebuild(&shop.log, View::Orders, &rebuilt.schema, TINY).await;
    assert!(matches!(again, Err(RebuildError::Exists(_))), "{again:?}");
    let live = View::Orders.schema();
    let refused = discard(pool, &live).await;
    assert!(matches!(refused, Err(DiscardError::Live(_))), "{refused:?}");
    discard(pool, &rebuilt.schema).await.unwrap();
    let missing = differences(pool, View::Orders, &live, &rebuilt.schema, 10).await;
    assert!(
        matches!(missing, Err(CompareError::Missing { .. })),
        "{missing:?}"
    );
    shop.close().await;
}

/// Whoever gives up on a rebuild leaves no task behind that goes on with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_that_is_given_up_ends() {
    let shop = Shop::open().await;
    history::write(&shop, 27).await;
    let schema = View::Orders.beside(1);
    let settings = Settings { stretch: 1, ..TINY };
    let building = rebuild(&shop.log, View::Orders, &schema, settings);
    let pool = shop.log.pool();
    let begun = eventually("tables are there", Duration::from_secs(30), || async {
        let table = format!("{schema}.order_states");
        sqlx::query_scalar::<_, Option<String>>("select to_regclass($1)::text")
            .bind(table)
            .fetch_one(pool)
            .await
            .unwrap()
    });
    tokio::select! {
        biased;
        _ = begun => {}
        _ = building => {}
    }
    eventually("it has ended", Duration::from_secs(30), || async {
        let busy: i64 = sqlx::query_scalar(
            "select count(*) from pg_stat_activity where datname = current_database() \
             and pid <> pg_backend_pid() and (query like 'copy%' or query like '%primary key%') and state <> 'idle'",
        )
        .fetch_one(pool)
        .await
        .unwrap();
        (busy == 0).then_some(())
    })
    .await;
    discard(pool, &schema).await.unwrap();
    shop.close().await;
}
