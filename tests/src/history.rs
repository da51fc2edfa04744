//! The log as it is stored, read by plain SQL, and what must hold of it whatever happened: stock adds up, nothing is
//! paid twice, discounts are used as often as they are counted, and the topics say the same.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{FromRow, PgPool};
use uuid::Uuid;

use crate::topics::Record;

/// A stored event.
#[derive(Clone, Debug, FromRow)]
pub struct Event {
    /// Place in the log.
    pub position: i64,
    /// Its id.
    pub event_id: Uuid,
    /// When it was committed.
    pub recorded_at: DateTime<Utc>,
    /// Kind of the aggregate.
    pub aggregate_type: String,
    /// Which aggregate.
    pub aggregate_id: String,
    /// Place in the aggregate's stream.
    pub sequence: i64,
    /// What happened.
    pub event_type: String,
    /// Version of its shape.
    pub event_version: String,
    /// Its content, as the text that was stored.
    pub payload: String,
    /// Who caused it, as the text that was stored.
    pub metadata: String,
}

impl Event {
    /// Its content.
    pub fn content(&self) -> Value {
        serde_json::from_str(&self.payload).expect("payloads are JSON")
    }

    /// One value of its metadata.
    pub fn cause(&self, key: &str) -> String {
        let metadata: Value = serde_json::from_str(&self.metadata).expect("metadata is JSON");
        metadata[key]
            .as_str()
            .unwrap_or_else(|| panic!("no {key} in {metadata}"))
            .to_owned()
    }

    /// A number of its content.
    fn number(&self, key: &str) -> i64 {
        let content = self.content();
        content[key]
            .as_i64()
            .unwrap_or_else(|| panic!("no number {key} in {content}"))
    }

    /// The discounts that an order has by it.
    fn discounts(&self) -> BTreeSet<String> {
        let content = self.content();
        let discounts = content["discounts"].as_array().into_iter().flatten();
        let id = |discount: &Value| discount["discount_id"].as_str().map(str::to_owned);
        discounts.filter_map(id).collect()
    }

    /// The order that it names.
    fn order(&self) -> String {
        let content = self.content();
        content["order_id"]
            .as_str()
            .unwrap_or_else(|| panic!("no order in {content}"))
            .to_owned()
    }
}

/// The whole log, in order.
pub async fn events(pool: &PgPool) -> Vec<Event> {
    sqlx::query_as(
        "select position, event_id, recorded_at, aggregate_type, aggregate_id, sequence, event_type, event_version, \
                payload::text as payload, metadata::text as metadata from events order by position",
    )
    .fetch_all(pool)
    .await
    .expect("the log is readable")
}

/// The last position of the log.
pub async fn head(pool: &PgPool) -> i64 {
    sqlx::query_scalar("select coalesce(max(position), 0) from events")
        .fetch_one(pool)
        .await
        .expect("readable")
}

/// Ids of the streams of a type, such as `order`, in order of appearance.
pub fn streams(events: &[Event], aggregate_type: &str) -> Vec<String> {
    let mut seen = HashSet::new();
    let of_type = events
        .iter()
        .filter(|event| event.aggregate_type == aggregate_type);
    of_type
        .filter(|event| seen.insert(&event.aggregate_id))
        .map(|event| event.aggregate_id.clone())
        .collect()
}

/// How many events of this type the aggregate has.
pub fn count(events: &[Event], aggregate_id: &str, event_type: &str) -> usize {
    events
        .iter()
        .filter(|event| event.aggregate_id == aggregate_id && event.event_type == event_type)
        .count()
}

/// Fails unless positions and sequences are dense, times never go back, and ids are unique.
pub fn assert_log_is_sound(events: &[Event]) {
    let mut sequences: BTreeMap<(&str, &str), i64> = BTreeMap::new();
    let mut ids = HashSet::new();
    let mut last = DateTime::<Utc>::MIN_UTC;
    for (event, position) in events.iter().zip(1..) {
        assert_eq!(event.position, position, "positions are dense");
        assert!(event.recorded_at >= last, "time goes back at {position}");
        last = event.recorded_at;
        assert!(ids.insert(event.event_id), "event id twice at {position}");
        let sequence = sequences
            .entry((&event.aggregate_type, &event.aggregate_id))
            .or_default();
        *sequence += 1;
        assert_eq!(
            event.sequence, *sequence,
            "sequence of {} at {position}",
            event.aggregate_id
        );
    }
}

/// Fails unless the stock of every product adds up: each event's `available` follows from the one before, never below
/// zero without a correction, what an order reserved ends at most once, as sold or as released, and low stock is told
/// once until it has recovered.
pub fn assert_stock_adds_up(events: &[Event]) {
    let mut available: BTreeMap<&str, i64> = BTreeMap::new();
    let mut reserved: BTreeMap<(&str, String), i64> = BTreeMap::new();
    let mut low: HashSet<&str> = HashSet::new();
    for event in events
        .iter()
        .filter(|event| event.aggregate_type == "inventory")
    {
        let product = event.aggregate_id.as_str();
        let left = available.entry(product).or_default();
        match event.event_type.as_str() {
            "StockReceived" | "StockReturned" => *left += event.number("quantity"),
            "StockAdjusted" => *left += event.number("delta"),
            "StockReserved" => {
                *left -= event.number("quantity");
                assert!(
                    *left >= 0,
                    "{product} is sold more often than it is there, at {}",
                    event.position
                );
                let before = reserved.insert((product, event.order()), event.number("quantity"));
                assert_eq!(before, None, "reserved twice at {}", event.position);
            }
            "StockReleased" => {
                *left += event.number("quantity");
                let held = reserved.remove(&(product, event.order()));
                assert_eq!(
                    held,
                    Some(event.number("quantity")),
                    "released at {}",
                    event.position
                );
            }
            "StockSold" => {
                let held = reserved.remove(&(product, event.order()));
                assert_eq!(
                    held,
                    Some(event.number("quantity")),
                    "sold at {}",
                    event.position
                );
                continue;
            }
            "StockOversold" => {}
            "LowStockThresholdSet" => continue,
            "StockRanLow" => {
                assert!(low.insert(product), "low twice at {}", event.position);
            }
            "StockRecovered" => {
                assert!(low.remove(product), "was not low at {}", event.position);
            }
            other => panic!("what is {other}?"),
        }
        assert_eq!(
            event.number("available"),
            *left,
            "{product} at {}",
            event.position
        );
    }
}

/// Fails unless the uses of every discount are those of the orders that have it and were not called off, each counted once
/// by the discount and once for its customer, and never more than may be.
pub fn assert_discounts_add_up(events: &[Event]) {
    let mut limits: BTreeMap<&str, Option<u64>> = BTreeMap::new();
    let mut counted: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut redeemed: BTreeMap<&str, (String, BTreeSet<String>)> = BTreeMap::new();
    let mut held: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for event in events {
        let (id, position) = (event.aggregate_id.as_str(), event.position);
        match event.event_type.as_str() {
            "DiscountCreated" | "DiscountChanged" => {
                let limit = event.content()["rules"]["max_uses"].as_u64();
                limits.insert(id, limit);
            }
            "DiscountUsed" => {
                let uses = counted.entry(id).or_default();
                assert!(uses.insert(event.order()), "counted twice at {position}");
                let within = limits[id].is_none_or(|limit| uses.len() as u64 <= limit);
                assert!(within, "more uses than may be at {position}");
            }
            "DiscountUseReturned" => {
                let uses = counted.entry(id).or_default();
                assert!(uses.remove(&event.order()), "given back at {position}");
            }
            "DiscountRedeemed" => {
                let discount = event.content()["discount_id"].as_str().map(str::to_owned);
                let entry = (discount.expect("an id"), BTreeSet::new());
                let (_, orders) = redeemed.entry(id).or_insert(entry);
                assert!(orders.insert(event.order()), "redeemed twice at {position}");
            }
            "RedemptionReturned" => {
                let returned = redeemed
                    .get_mut(id)
                    .is_some_and(|(_, orders)| orders.remove(&event.order()));
                assert!(returned, "given back at {position}");
            }
            "OrderPlaced" | "OrderItemsChanged" => {
                held.insert(id, event.discounts());
            }
            "OrderUnpaid" | "OrderCancelled" => {
                held.remove(id);
            }
            _ => {}
        }
    }
    let pairs = |discount: &str, orders: &BTreeSet<String>| -> Vec<(String, String)> {
        let pair = |order: &String| (discount.to_owned(), order.clone());
        orders.iter().map(pair).collect()
    };
    let counted = counted.iter().flat_map(|(id, orders)| pairs(id, orders));
    let redeemed = redeemed.values().flat_map(|(id, orders)| pairs(id, orders));
    let held = held.iter().flat_map(|(order, discounts)| {
        let pair = |discount: &String| (discount.clone(), (*order).to_owned());
        discounts.iter().map(pair).collect::<Vec<_>>()
    });
    let held: BTreeSet<(String, String)> = held.collect();
    assert_eq!(counted.collect::<BTreeSet<_>>(), held, "counted, and held");
    assert_eq!(
        redeemed.collect::<BTreeSet<_>>(),
        held,
        "redeemed, and held"
    );
}

/// Fails unless every order was placed once and, where it was paid, was paid once.
pub fn assert_orders_are_paid_at_most_once(events: &[Event]) {
    for order in streams(events, "order") {
        assert_eq!(count(events, &order, "OrderPlaced"), 1, "order {order}");
        assert!(
            count(events, &order, "OrderPaid") <= 1,
            "order {order} is paid twice"
        );
    }
    for payment in streams(events, "payment") {
        assert!(
            count(events, &payment, "PaymentCaptured") <= 1,
            "payment {payment} is captured twice"
        );
    }
}

/// Fails unless the records are the events: each once, in order per key, with the content and the headers of the log.
pub fn assert_topics_equal_log(records: &[Record], events: &[Event], prefix: &str) {
    let mut by_position: BTreeMap<i64, &Record> = BTreeMap::new();
    let mut last: BTreeMap<(&str, i32), (i64, i64)> = BTreeMap::new();
    let mut partition_of: BTreeMap<(&str, &str), i32> = BTreeMap::new();
    for record in records {
        let position = record.position();
        assert!(
            by_position.insert(position, record).is_none(),
            "position {position} is published twice"
        );
        let before = last.insert((&record.topic, record.partition), (record.offset, position));
        if let Some(before) = before {
            assert!(
                before.0 < record.offset && before.1 < position,
                "out of order: {record:?}"
            );
        }
        let partition = *partition_of
            .entry((&record.topic, &record.key))
            .or_insert(record.partition);
        assert_eq!(
            partition, record.partition,
            "one key, two partitions: {record:?}"
        );
    }
    assert_eq!(records.len(), events.len(), "as many records as events");
    for event in events {
        let record = by_position
            .get(&event.position)
            .unwrap_or_else(|| panic!("not published: {event:?}"));
        assert_eq!(record.topic, format!("{prefix}.{}", event.aggregate_type));
        assert_eq!(record.key, event.aggregate_id);
        assert_eq!(record.value, event.payload);
        assert_eq!(record.timestamp_ms, event.recorded_at.timestamp_millis());
        assert_headers(record, event);
    }
}

/// CloudEvents 1.0, Kafka protocol binding, binary content mode.
fn assert_headers(record: &Record, event: &Event) {
    assert_eq!(record.header("ce_specversion"), "1.0");
    assert_eq!(record.header("ce_id"), event.event_id.to_string());
    assert!(!record.header("ce_source").is_empty());
    assert_eq!(
        record.header("ce_type"),
        format!("souk.{}.{}", event.aggregate_type, event.event_type)
    );
    assert_eq!(record.header("ce_subject"), event.aggregate_id);
    let time: DateTime<Utc> = record.header("ce_time").parse().expect("RFC 3339");
    assert_eq!(time, event.recorded_at);
    assert_eq!(record.header("content-type"), "application/json");
    assert_eq!(record.header("ce_sequence"), event.sequence.to_string());
    assert_eq!(
        record.header("ce_correlationid"),
        event.cause("correlation_id")
    );
    assert_eq!(record.header("ce_causationid"), event.cause("causation_id"));
}
