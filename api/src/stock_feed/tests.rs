//! Clients of the feed on a log of its own, without a network: how one that reads nothing, and one that comes back, fare.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{convert::Infallible, pin::pin, time::Duration};

use axum::{
    body::to_bytes,
    response::{IntoResponse, Sse, sse::Event},
};
use domain::{
    ids::OperationId,
    inventory::{Inventory, InventoryCommand, InventoryError},
    text::Quantity,
};
use eventstore::{
    event::Cause,
    stream::StreamRef,
    testing::{TestDatabase, eventually},
    unit::Unit,
};
use futures::{Stream, StreamExt, stream};
use uuid::Uuid;

use super::*;

const PATIENCE: Duration = Duration::from_secs(30);
/// More batches than wait for anybody.
const MORE: usize = WAITING_BATCHES + 3;

/// Puts a piece of it on the shelf. Returns where that stands in the log.
async fn restock(log: &EventLog, product_id: ProductId) -> Head {
    let operation_id = OperationId(Uuid::now_v7());
    let streams = vec![StreamRef::of::<Inventory>(product_id)];
    let unit = Unit::<(), InventoryError>::new(Cause::default(), streams, move |work| {
        let command = InventoryCommand::ReceiveStock {
            product_id,
            operation_id,
            quantity: Quantity::parse(1).expect("a quantity"),
            reason: None,
        };
        work.execute::<Inventory>(product_id, command)?;
        Ok(())
    });
    log.execute(unit).await.unwrap().head
}

/// What the next so many events are as text.
async fn text<S>(events: &mut S, count: usize) -> String
where
    S: Stream<Item = Result<Event, Infallible>> + Unpin,
{
    let mut some = Vec::new();
    for _ in 0..count {
        let next = tokio::time::timeout(PATIENCE, events.next()).await;
        some.push(next.expect("in time").expect("the feed goes on"));
    }
    let body = Sse::new(stream::iter(some)).into_response().into_body();
    let bytes = to_bytes(body, usize::MAX).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn who_reads_nothing_is_told_to_come_back_and_then_misses_nothing() {
    let database = TestDatabase::create().await;
    let log = database.open_log().await;
    let feed = StockFeed::new(log.clone(), 10);
    let product_id = ProductId(Uuid::now_v7());
    let following = feed.follow(None, Filter::default()).await.unwrap();
    let mut events = pin!(following.into_stream());
    text(&mut events, 1).await;
    let first = restock(&log, product_id).await;
    let told = text(&mut events, 1).await;
    assert!(told.contains(&format!("id: {first}")), "{told}");
    assert!(told.contains("\"sequence\":1"), "{told}");

    // each on its way before the next
    let mut place = feed.0.place.subscribe();
    for _ in 0..MORE {
        let head = restock(&log, product_id).await;
        let reached = place.wait_for(|place| place.is_some_and(|at| at.position >= head.position));
        let reached = tokio::time::timeout(PATIENCE, reached).await;
        drop(reached.expect("in time").expect("the follower runs"));
    }
    let told = text(&mut events, 1).await;
    assert!(told.contains("event: reconnect"), "{told}");
    assert!(
        told.contains("too_slow") && !told.contains("id: "),
        "{told}"
    );
    assert!(events.next().await.is_none());

    let following = feed.follow(Some(first), Filter::default()).await.unwrap();
    let mut events = pin!(following.into_stream());
    let told = text(&mut events, MORE + 1).await;
    let sequences: Vec<String> = (2..=MORE + 1)
        .map(|sequence| format!("\"sequence\":{sequence}}}"))
        .collect();
    let lines: Vec<&str> = told.lines().filter(|it| it.starts_with("data:")).collect();
    assert_eq!(lines.len(), sequences.len());
    for (line, sequence) in lines.iter().zip(&sequences) {
        assert!(line.ends_with(sequence), "{line}");
    }
    feed.close();
    log.close().await;
    database.drop_database().await;
}

#[tokio::test]
async fn the_follower_rests_while_nobody_listens_and_takes_nobody_once_it_is_closed() {
    let database = TestDatabase::create().await;
    let log = database.open_log().await;
    let feed = StockFeed::new(log.clone(), 10);
    for _ in 0..3 {
        let following = feed.follow(None, Filter::default()).await.unwrap();
        assert!(*feed.0.runs.lock().unwrap());
        drop(following);
        eventually("the follower rests", PATIENCE, || async {
            (!*feed.0.runs.lock().unwrap()).then_some(())
        })
        .await;
    }
    let following = feed.follow(None, Filter::default()).await.unwrap();
    feed.close();
    let mut events = pin!(following.into_stream());
    let told = text(&mut events, 2).await;
    assert!(told.contains("stopping"), "{told}");
    assert!(events.next().await.is_none());
    let refused = feed.follow(None, Filter::default()).await;
    assert_eq!(refused.err(), Some(NotFollowing::Unavailable));
    log.close().await;
    database.drop_database().await;
}
