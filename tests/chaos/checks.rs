//! What must hold at the end of every scenario, whatever failed in it. One function per promise.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use projections::{
    View,
    rebuild::{Settings, differences, rebuild},
};
use sqlx::PgPool;
use tests::{
    answer::text_of,
    client::{Client, PATIENCE, stock_of},
    eventually,
    history::{
        Event, assert_discounts_add_up, assert_log_is_sound, assert_orders_are_paid_at_most_once,
        assert_stock_adds_up, assert_topics_equal_log,
    },
    server::Server,
    shop::Shop,
};

use crate::{
    record::Record,
    story::{Story, stories},
    world::World,
};

/// How long what is under way may take until nothing follows by itself any more: payment windows, gateways that are
/// given up, leases that run out.
const SETTLING: Duration = Duration::from_mins(3);

/// Names the schemas of the rebuilt read models.
const REBUILT: u32 = 1;
/// Most differences that a failure shows, of each table.
const SHOWN: u32 = 20;

/// Starts what is down, waits until nothing follows any more, makes every check, and removes the world.
pub(crate) async fn all(mut world: World, record: Record) {
    world.start_all().await;
    let begun = Instant::now();
    let events = settled(&world).await;
    eprintln!(
        "chaos: {}: {} events, settled after {:?}",
        world.seed.scenario,
        events.len(),
        begun.elapsed()
    );
    assert_log_is_sound(&events);
    acknowledged_orders_are_there_once(&events, &record);
    stock_adds_up(&world, &events, &record).await;
    discounts_are_used_up_and_no_further(&events);
    orders_are_paid_or_unpaid_once_or_stuck(&events);
    cancelled_orders_keep_no_money(&events, &record);
    the_gateways_book_matches(&world.shop.pool, &events, &world.before_restore).await;
    topics_equal_the_log(&world, &events).await;
    read_models_are_at_the_end(&world.admin()).await;
    read_models_equal_a_rebuild(&world.shop).await;
    world.close().await;
}

/// For a shop of a few orders, of which the test itself says what became of them: all checks that need neither clients
/// nor topics. Its log must rest. Removes the shop.
pub(crate) async fn of_a_few_orders(shop: Shop, server: Server) {
    let events = shop.events().await;
    cancelled_orders_keep_no_money(&events, &Record::default());
    the_gateways_book_matches(&shop.pool, &events, &[]).await;
    read_models_are_at_the_end(&shop.admin(&server).await).await;
    read_models_equal_a_rebuild(&shop).await;
    server.kill_9().await;
    shop.close().await; // is the log sound, does stock add up, is nothing paid twice
}

/// Waits until every order is settled and the log rests. Returns the log.
async fn settled(world: &World) -> Vec<Event> {
    let last = std::cell::Cell::new(-1);
    eventually("every order is settled", SETTLING, || async {
        // a look at the whole log is dear: only where it moved, and once more when it rests
        let head = world.shop.head().await;
        if last.replace(head) != head {
            tokio::time::sleep(Duration::from_millis(250)).await;
            return None;
        }
        let events = world.shop.events().await;
        let open = stories(&events)
            .values()
            .filter(|story| !story.is_settled())
            .count();
        if open > 0 {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        (open == 0 && events.len() as i64 == head).then_some(events)
    })
    .await
}

/// No acknowledged order is lost, none is there twice, none is there that nobody was told of, and each is what was
/// wished for.
fn acknowledged_orders_are_there_once(events: &[Event], record: &Record) {
    assert!(
        record.open.is_empty() && record.changing.is_empty(),
        "all is decided"
    );
    let stories = stories(events);
    let mut keys = BTreeMap::new();
    for placed in &record.placed {
        let story = stories.get(&placed.order);
        let story = story.unwrap_or_else(|| panic!("acknowledged and lost: {placed:?}"));
        assert_eq!(story.placed, 1, "{placed:?}");
        let mut items = placed.wish.items.clone();
        items.sort_unstable();
        assert_eq!(
            (&story.items, story.method.as_str()),
            (&items, placed.wish.method),
            "{placed:?}"
        );
        let before = keys.insert(placed.order.as_str(), placed.wish.key.as_str());
        assert_eq!(before, None, "one order for two keys: {placed:?}");
    }
    let told: BTreeSet<&str> = keys.into_keys().collect();
    let there: BTreeSet<&str> = stories.keys().map(String::as_str).collect();
    assert_eq!(
        there, told,
        "the log holds the acknowledged orders and no others"
    );
}

/// Stock adds up in the log, nothing was sold beyond it, each acknowledged change counts once, and the view tells the
/// same.
async fn stock_adds_up(world: &World, events: &[Event], record: &Record) {
    assert_stock_adds_up(events);
    let levels = levels(events);
    for product in &world.products {
        let level = &levels[product.as_str()];
        let of_product = record
            .changed
            .iter()
            .filter(|change| change.product == *product);
        let (mut received, mut corrected) = (0, 0);
        for change in of_product {
            *(if change.correction {
                &mut corrected
            } else {
                &mut received
            }) += change.pieces;
        }
        assert_eq!(
            level.received - level.first,
            received,
            "receipts of {product}"
        );
        assert_eq!(level.corrected, corrected, "corrections of {product}");
        assert_eq!(
            level.received + level.corrected,
            level.available + level.reserved + level.sold,
            "{product}: {level:?}"
        );
        let path = format!("/api/v1/products/{product}/stock");
        let expected = [level.available, level.reserved, level.sold];
        let admin = world.admin();
        eventually(
            &format!("the view tells {expected:?} of {product}"),
            PATIENCE,
            || async {
                let answer = admin.get(&path).await;
                (answer.status == 200 && stock_of(&answer.json()) == expected).then_some(())
            },
        )
        .await;
    }
}

#[derive(Debug, Default)]
struct Level {
    /// What came in when the product was made.
    first: i64,
    received: i64,
    corrected: i64,
    available: i64,
    reserved: i64,
    sold: i64,
}

fn levels(events: &[Event]) -> BTreeMap<&str, Level> {
    let mut levels: BTreeMap<&str, Level> = BTreeMap::new();
    for event in events
        .iter()
        .filter(|event| event.aggregate_type == "inventory")
    {
        let level = levels.entry(&event.aggregate_id).or_default();
        let content = event.content();
        let number = |name: &str| content[name].as_i64().unwrap_or_default();
        match event.event_type.as_str() {
            "StockReceived" => {
                level.received += number("quantity");
                if event.sequence == 1 {
                    level.first = number("quantity");
                }
            }
            "StockAdjusted" => level.corrected += number("delta"),
            "StockReserved" => level.reserved += number("quantity"),
            "StockReleased" => level.reserved -= number("quantity"),
            "StockSold" => {
                level.reserved -= number("quantity");
                level.sold += number("quantity");
            }
            "StockReturned" => level.sold -= number("quantity"),
            // tell what the event before has led to
            "StockRanLow" | "StockRecovered" => {}
            _ => continue,
        }
        if event.event_type != "StockSold" {
            level.available = number("available");
        }
    }
    levels
}

/// The uses of the discount are those of the orders that have it, and no more than may be; many orders went without.
fn discounts_are_used_up_and_no_further(events: &[Event]) {
    assert_discounts_add_up(events);
    let uses = |event: &&Event| event.event_type == "DiscountUsed";
    assert!(events.iter().any(|event| uses(&event)), "nobody used it");
}

/// Every order was paid once, or is unpaid once, or is visibly stuck because the gateway never answered.
fn orders_are_paid_or_unpaid_once_or_stuck(events: &[Event]) {
    assert_orders_are_paid_at_most_once(events);
    for (order, story) in stories(events) {
        let Story {
            paid,
            unpaid,
            cancelled,
            ..
        } = story;
        assert!(paid + unpaid <= 1 && cancelled <= 1, "{order}: {story:?}");
        if story.payment.stuck {
            assert_eq!(
                story.method, "test_never_answers",
                "the gateway answers {order}: {story:?}"
            );
            assert_eq!(
                (paid, unpaid, cancelled),
                (0, 0, 0),
                "stuck, and yet: {story:?}"
            );
        } else {
            assert!(paid + unpaid + cancelled > 0, "{order}: {story:?}");
            assert_eq!(
                story.payment.captures.len() as u32,
                paid,
                "{order}: {story:?}"
            );
        }
        for (_, amount) in &story.payment.captures {
            assert_eq!(*amount, story.total, "{order}: {story:?}");
        }
    }
}

/// A cancelled order was never charged, or its money went back, all of it and once.
fn cancelled_orders_keep_no_money(events: &[Event], record: &Record) {
    let stories = stories(events);
    for (order, story) in &stories {
        let taken: i64 = story
            .payment
            .captures
            .iter()
            .map(|(_, amount)| amount)
            .sum();
        let given: i64 = story.payment.refunds_given.values().sum();
        let owed = if story.cancelled > 0 { taken } else { 0 };
        assert_eq!((given, story.refunded), (owed, owed), "{order}: {story:?}");
    }
    for placed in record.placed.iter().filter(|placed| !placed.cancel_asked) {
        let story = &stories[&placed.order];
        assert!(
            story.cancelled == 0 && !story.cancellation_requested,
            "cancelled, though whoever asked was told that nothing was changed: {placed:?} {story:?}"
        );
    }
    for placed in record.placed.iter().filter(|placed| placed.cancelled) {
        let story = &stories[&placed.order];
        assert!(
            story.cancelled > 0
                || story.unpaid > 0
                || (story.payment.stuck && story.cancellation_requested),
            "a cancellation was acknowledged, and yet: {placed:?} {story:?}"
        );
    }
}

/// The gateway's own book shows no double charge, and took and gave what the log says it did. What a restored log has
/// forgotten that it asked for, the gateway has not: that alone is left out of the comparison with the log.
async fn the_gateways_book_matches(pool: &PgPool, events: &[Event], before_restore: &[Event]) {
    let stories = stories(events);
    let forgotten = &asked_of_the_gateway(before_restore) - &asked_of_the_gateway(events);
    let rows: Vec<(String, String, i64)> = sqlx::query_as(
        "select key, reference, amount from fake_gateway_charges where status = 'captured' order by key",
    )
    .fetch_all(pool)
    .await
    .expect("the book is readable");
    let mut taken: BTreeMap<String, Vec<(String, i64)>> = BTreeMap::new();
    let mut payments = BTreeSet::new();
    for (key, reference, amount) in rows {
        let (payment, _) = key.rsplit_once('-').expect("payment and attempt");
        assert!(
            payments.insert(payment.to_owned()),
            "{payment} was charged more than once, at last as {key}"
        );
        if !forgotten.contains(&key) {
            let charges = taken.entry(payment.to_owned()).or_default();
            charges.push((reference, amount));
        }
    }
    let told: BTreeMap<String, Vec<(String, i64)>> = stories
        .values()
        .filter(|story| !story.payment.captures.is_empty())
        .map(|story| (story.payment.id.clone(), story.payment.captures.clone()))
        .collect();
    assert_eq!(taken, told, "captures: the book, and the log");

    let rows: Vec<(String, i64)> = sqlx::query_as("select key, amount from fake_gateway_refunds")
        .fetch_all(pool)
        .await
        .expect("the book is readable");
    let given: BTreeMap<String, i64> = rows
        .into_iter()
        .filter(|(key, _)| !forgotten.contains(key))
        .collect();
    let told: BTreeMap<String, i64> = stories
        .into_values()
        .flat_map(|story| story.payment.refunds_given)
        .collect();
    assert_eq!(given, told, "refunds: the book, and the log");
}

/// The keys of all charges and refunds that the log has asked the gateway for.
fn asked_of_the_gateway(events: &[Event]) -> BTreeSet<String> {
    let key = |event: &Event| {
        let content = event.content();
        match event.event_type.as_str() {
            "PaymentStarted" => Some(format!("{}-{}", event.aggregate_id, content["attempt"])),
            "RefundRequested" => Some(text_of(&content["refund_id"])),
            _ => None,
        }
    };
    events.iter().filter_map(key).collect()
}

/// Every topic, read committed, holds the events of the log: none missing, none twice, in order per key.
async fn topics_equal_the_log(world: &World, events: &[Event]) {
    let mut records = world.topics().records(events.len()).await;
    for record in &mut records {
        // those of a later generation have it in their names
        if let Some((name, _)) = record.topic.split_once(".g") {
            record.topic = name.to_owned();
        }
    }
    assert_topics_equal_log(&records, events, &world.shop.prefix);
}

/// Every subscription has handled the whole log, none has stopped or parked anything.
async fn read_models_are_at_the_end(admin: &Client) {
    let told = eventually(
        "all subscriptions are at the end of the log",
        SETTLING,
        || async {
            let answer = admin.get("/api/v1/subscriptions").await;
            let told = (answer.status == 200).then(|| answer.json())?;
            let all = told["items"].as_array()?.clone();
            let done = all.iter().all(|it| it["lag"] == 0 && it["led"] == true);
            (done && !all.is_empty()).then_some(told)
        },
    )
    .await;
    assert_eq!(told["parked"], serde_json::json!([]), "{told}");
    let _ = admin.anonymous().get("/health/ready").await.expect(200);
}

/// Every read model equals one that is built from the log again, row by row.
async fn read_models_equal_a_rebuild(shop: &Shop) {
    let log = shop.database().open_log().await;
    for view in View::ALL {
        let (live, again) = (view.schema(), view.beside(REBUILT));
        let built = rebuild(&log, view, &again, Settings::default()).await;
        let built = built.unwrap_or_else(|error| panic!("{view} is not rebuilt: {error}"));
        assert_eq!(built.parked, [], "{view}");
        assert_eq!(
            built.head,
            log.head().await.expect("the log is readable"),
            "the log rests"
        );
        let found = differences(&shop.pool, view, &live, &again, SHOWN).await;
        let found = found.unwrap_or_else(|error| panic!("{view} is not compared: {error}"));
        assert_eq!(found, [], "{view}: live, and rebuilt");
    }
    log.close().await;
}
