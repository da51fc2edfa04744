//! Log and topics contradict each other: it stops and says what an operator can do.

use eventstore::subscription::{State, Subscriptions};
use projections::publisher::PublisherSettings;

use crate::intruder::Intruder;
use crate::shop::{
    PARTITIONS, PATIENCE, Shop, new_products, publish, receive_many, state, stopped,
};

/// A shop of which some is published, and the publisher that did it.
async fn published() -> (Shop, Subscriptions) {
    let shop = Shop::open().await;
    let publishing = shop.publish().await;
    receive_many(&shop.log, &new_products(10), 2).await;
    shop.expect_all_published(&publishing).await;
    (shop, publishing)
}

async fn expect_stopped(publishing: Subscriptions, because: &str) {
    let reason = stopped(&publishing).await;
    assert!(
        reason.contains(because),
        "{reason:?} does not say {because:?}"
    );
    assert!(reason.contains("SOUK_KAFKA_GENERATION=2"), "{reason}");
    publishing.close().await;
}

#[tokio::test]
async fn a_log_that_was_restored_to_an_older_state_stops_it() {
    let (shop, publishing) = published().await;
    publishing.close().await;
    // the same topics, another history: fewer events, then as many
    let older = Shop::open().await;
    for count in [1, 40] {
        receive_many(&older.log, &new_products(count), 1).await;
        let publishing = publish(&older.log, &shop.settings).await;
        expect_stopped(publishing, "the log does not hold event").await;
    }
    shop.expect_topics_equal_log().await;
    older.close().await;
    shop.close().await;
}

#[tokio::test]
async fn a_deleted_topic_stops_it_while_it_runs_and_is_not_made_again() {
    let (shop, publishing) = published().await;
    let topic = shop.settings.topic("inventory");
    shop.topics.delete_one(&topic).await;
    receive_many(&shop.log, &new_products(10), 1).await;
    expect_stopped(publishing, &format!("topic {topic} is missing")).await;
    assert!(!shop.topics.all().contains_key(&topic));
    // nor by a publisher that starts afterwards
    expect_stopped(shop.publish().await, &format!("topic {topic} is missing")).await;
    assert!(!shop.topics.all().contains_key(&topic));

    let settings = PublisherSettings {
        generation: 2,
        ..shop.settings.clone()
    };
    let anew = publish(&shop.log, &settings).await;
    let head = shop.log.head().await.unwrap();
    eventstore::testing::eventually("the new generation leads", PATIENCE, async || {
        (state(&anew) == State::Leading).then_some(())
    })
    .await;
    anew.wait_for("publisher", head.position, PATIENCE)
        .await
        .unwrap();
    anew.close().await;
    assert_eq!(shop.topics.read().await.len(), 30);
    shop.close().await;
}

#[tokio::test]
async fn a_topic_that_was_made_anew_behind_its_back_stops_it() {
    let (shop, publishing) = published().await;
    let topic = shop.settings.topic("inventory");
    shop.topics.delete_one(&topic).await;
    shop.topics.create(&topic, PARTITIONS).await;
    receive_many(&shop.log, &new_products(10), 1).await;
    let reason = stopped(&publishing).await;
    assert!(reason.contains("although it held"), "{reason}");
    publishing.close().await;
    assert_eq!(shop.topics.read().await, [], "nothing is committed to it");
    shop.close().await;
}

#[tokio::test]
async fn more_partitions_stop_it() {
    let (shop, publishing) = published().await;
    publishing.close().await;
    let topic = shop.settings.topic("inventory");
    shop.topics.grow(&topic, 5).await;
    let publishing = shop.publish().await;
    expect_stopped(
        publishing,
        &format!("topic {topic} has 5 partitions, although it had 3"),
    )
    .await;
    shop.close().await;
}

#[tokio::test]
async fn partitions_that_are_added_while_it_runs_do_not_move_any_key() {
    let (shop, publishing) = published().await;
    let topic = shop.settings.topic("inventory");
    let products = new_products(30);
    receive_many(&shop.log, &products, 1).await;
    shop.topics.grow(&topic, 5).await;
    receive_many(&shop.log, &products, 1).await;
    // until it notices, keys stay where they are; the comparison includes that
    shop.expect_all_published(&publishing).await;
    assert!(
        shop.topics
            .read()
            .await
            .iter()
            .all(|record| record.partition < 3)
    );
    publishing.close().await;
    shop.close().await;
}

#[tokio::test]
async fn a_lost_progress_stops_it_before_anything_is_published_twice() {
    let (shop, publishing) = published().await;
    publishing.close().await;
    shop.topics
        .delete_one(&shop.settings.progress_topic())
        .await;
    expect_stopped(shop.publish().await, "holds messages, but topic").await;
    shop.expect_topics_equal_log().await;
    shop.close().await;
}

/// A transaction that was never committed leaves something in the topic that nobody can read: no contradiction.
#[tokio::test]
async fn a_topic_that_only_an_aborted_attempt_wrote_to_is_taken() {
    let shop = Shop::open().await;
    shop.topics
        .create(&shop.settings.topic("inventory"), PARTITIONS)
        .await;
    let first = Intruder::open(&shop.settings).await;
    first.write_garbage(&shop.settings.topic("inventory")).await;
    receive_many(&shop.log, &new_products(10), 1).await;
    let publishing = shop.publish().await;
    shop.expect_all_published(&publishing).await;
    publishing.close().await;
    shop.close().await;
}
