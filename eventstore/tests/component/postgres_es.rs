//! cqrs-es on the log, and a plain postgres-es program beside it on the same table.

use cqrs_es::{CqrsFramework, EventStore, persist::PersistedEventStore};
use domain::{
    ids::ProductId,
    inventory::{Inventory, InventoryCommand},
};
use eventstore::{repository::LogRepository, testing::TestDatabase};
use futures::future::join_all;
use postgres_es::{PostgresEventRepository, postgres_cqrs};
use sqlx::PgPool;

use crate::stock::{new_order, new_product, receipt};

#[tokio::test]
async fn a_plain_postgres_es_program_and_souk_read_and_write_the_same_streams() {
    let db = TestDatabase::create().await;
    let log = db.open_log().await;
    let pool = PgPool::connect_with(db.options()).await.unwrap();
    let plain = postgres_cqrs::<Inventory>(pool.clone(), vec![], ());
    let product = new_product();
    for _ in 0..3 {
        log.execute(crate::stock::receive(product, 1))
            .await
            .unwrap();
        plain
            .execute(&product.to_string(), receipt(product, 10))
            .await
            .unwrap();
    }
    assert_eq!(
        log.load::<Inventory>(product).await.unwrap().0.available(),
        33
    );
    // what Souk wrote, the plain program reads
    let store = PersistedEventStore::<_, Inventory>::new_event_store(PostgresEventRepository::new(
        pool.clone(),
    ));
    let context = store.load_aggregate(&product.to_string()).await.unwrap();
    assert_eq!(context.aggregate.available(), 33);
    // what the plain program wrote has a place, an id and a time like all others, and the feed has all in order
    let events = log
        .feed()
        .read_after(eventstore::position::Head::EMPTY, 100)
        .await
        .unwrap();
    assert_eq!(
        events
            .iter()
            .map(|event| event.position.0)
            .collect::<Vec<_>>(),
        [1, 2, 3, 4, 5, 6]
    );
    assert!(
        events
            .windows(2)
            .all(|pair| pair[0].recorded_at <= pair[1].recorded_at)
    );
    assert!(events.iter().all(|event| !event.event_id.is_nil()));
    pool.close().await;
    log.close().await;
    db.drop_database().await;
}

#[tokio::test]
async fn plain_programs_that_write_at_once_get_dense_positions() {
    let db = TestDatabase::create().await;
    let pool = PgPool::connect_with(db.options()).await.unwrap();
    let plain = postgres_cqrs::<Inventory>(pool.clone(), vec![], ());
    let writes = (0..50).map(|_| async {
        let product = new_product();
        plain
            .execute(&product.to_string(), receipt(product, 1))
            .await
            .unwrap();
    });
    join_all(writes).await;
    let positions: Vec<i64> = sqlx::query_scalar("select position from events order by position")
        .fetch_all(&pool)
        .await
        .unwrap();
    assert_eq!(positions, (1..=50).collect::<Vec<_>>());
    pool.close().await;
    db.drop_database().await;
}

#[tokio::test]
async fn a_cqrs_framework_runs_on_the_log() {
    let db = TestDatabase::create().await;
    let log = db.open_log().await;
    let store =
        PersistedEventStore::<_, Inventory>::new_event_store(LogRepository::new(log.clone()));
    let framework = CqrsFramework::new(store, vec![], ());
    let product = new_product();
    framework
        .execute(&product.to_string(), receipt(product, 5))
        .await
        .unwrap();
    // the sequencer has the stream's state in memory and must see what comes in by this way
    log.execute(crate::stock::receive(product, 1))
        .await
        .unwrap();
    framework
        .execute(&product.to_string(), receipt(product, 5))
        .await
        .unwrap();
    let committed = log
        .execute(crate::stock::receive(product, 1))
        .await
        .unwrap();
    assert_eq!(committed.head.position.0, 4);
    let (state, sequence) = log.load::<Inventory>(product).await.unwrap();
    assert_eq!((state.available(), sequence), (12, 4));

    // optimistic locking: of many at once on one stream some must be told to try again, none is lost
    let tries = (0..20).map(|_| framework_try(&framework, product));
    let done = join_all(tries)
        .await
        .into_iter()
        .filter(|done| *done)
        .count() as i64;
    assert!(done >= 1);
    let (state, sequence) = log.load::<Inventory>(product).await.unwrap();
    assert_eq!((state.available(), sequence), (12 + done, 4 + done));
    let error = framework
        .execute(
            &product.to_string(),
            InventoryCommand::SellStock {
                product_id: product,
                order_id: new_order(),
            },
        )
        .await;
    assert!(error.is_err(), "a refusal of the domain comes through");
    log.close().await;
    db.drop_database().await;
}

async fn framework_try(
    framework: &CqrsFramework<Inventory, PersistedEventStore<LogRepository, Inventory>>,
    product: ProductId,
) -> bool {
    match framework
        .execute(&product.to_string(), receipt(product, 1))
        .await
    {
        Ok(()) => true,
        Err(cqrs_es::AggregateError::AggregateConflict) => false,
        Err(error) => panic!("{error}"),
    }
}
