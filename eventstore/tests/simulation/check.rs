//! What must hold at the end of every history.

use std::collections::{BTreeMap, BTreeSet};

use domain::inventory::Inventory;
use eventstore::{
    event::RecordedEvent,
    position::Position,
    testing::simulation::{World, assert_log_is_sound, assert_remembers, assert_stock_adds_up},
    unit::ExecuteError,
};
use uuid::Uuid;

use crate::{
    clients::Record,
    cluster::Cluster,
    shelves::{PRODUCTS, Refusal, Replay, product},
};

/// The log is sound, clients were told what it says, and processes remember what it says.
pub(crate) async fn all(cluster: &Cluster, told: &[Record]) {
    let events = cluster.world().events();
    assert_log_is_sound(&events);
    assert_stock_adds_up(&events);
    records(cluster.world(), told);
    for log in cluster.logs() {
        let products = (0..PRODUCTS).map(product);
        assert_remembers::<Inventory>(cluster.world(), &log, products).await;
    }
}

/// Whether it comes beside what was asked for, where that takes or brings enough pieces.
fn tells_of_low_stock(event: &RecordedEvent) -> bool {
    ["StockRanLow", "StockRecovered"].contains(&event.event_type.as_str())
}

/// What clients were told is what the log says.
fn records(world: &World, records: &[Record]) {
    let events = world.events();
    let replay = Replay::of(&events);
    let mut by_unit: BTreeMap<String, Vec<&RecordedEvent>> = BTreeMap::new();
    for event in &events {
        let id = event.metadata_value("correlation_id").expect("a cause");
        by_unit.entry(id).or_default().push(event);
    }
    let used: BTreeSet<Uuid> = world.used_keys().into_iter().collect();
    let mut stored_by_key: BTreeMap<Uuid, usize> = BTreeMap::new();
    for record in records {
        let stored = by_unit.remove(&record.id).unwrap_or_default();
        answer(record, &stored, &replay, &used);
        let asked_for = stored.iter().filter(|event| !tells_of_low_stock(event));
        let asked_for = asked_for.count();
        assert!(
            stored.is_empty() || asked_for == record.events,
            "{}: {asked_for} of {} events",
            record.id,
            record.events
        );
        let consecutive = |pair: &[&RecordedEvent]| pair[1].position == pair[0].position.plus(1);
        assert!(
            stored.windows(2).all(consecutive),
            "{}: torn apart",
            record.id
        );
        if let (Some(key), false) = (record.key, stored.is_empty()) {
            *stored_by_key.entry(key).or_default() += 1;
            assert!(used.contains(&key), "{}: stored without its key", record.id);
        }
    }
    claims(world, records);
    assert!(
        by_unit.is_empty(),
        "events that nobody asked for: {by_unit:?}"
    );
    for (key, times) in stored_by_key {
        assert_eq!(times, 1, "key {key} led to something more than once");
    }
}

/// What is claimed was asked for and not refused, and who was told that something is taken lost it to somebody.
fn claims(world: &World, records: &[Record]) {
    // a key stands for one thing, claim included: where it is taken, this was done before, or by this very attempt
    let may_hold = |record: &&Record| {
        matches!(
            record.answer,
            Ok(_) | Err(ExecuteError::OutcomeUnknown | ExecuteError::KeyTaken)
        )
    };
    let asked: Vec<&(String, String)> = records
        .iter()
        .filter(may_hold)
        .filter_map(|record| record.claim.as_ref())
        .collect();
    for (_, value, owner) in world.claims() {
        assert!(asked.contains(&&(value, owner)), "claimed by nobody");
    }
    for record in records {
        if let (Err(ExecuteError::ClaimTaken { value, .. }), Some((_, owner))) =
            (&record.answer, &record.claim)
        {
            let lost_to = |(name, other): &&&(String, String)| name == value && other != owner;
            assert!(
                asked.iter().any(|claim| lost_to(&claim)),
                "{}: taken by nobody",
                record.id
            );
        }
    }
}

fn answer(record: &Record, stored: &[&RecordedEvent], replay: &Replay, used: &BTreeSet<Uuid>) {
    let id = &record.id;
    let asked_to_answered = record.asked.0..=record.answered.0;
    match &record.answer {
        Ok(committed) => {
            assert_eq!(committed.appended, stored.len(), "{id}: acknowledged");
            if let (Some(first), Some(last)) = (stored.first(), stored.last()) {
                assert_eq!(committed.head, last.head(), "{id}: where it stands");
                assert_eq!(committed.recorded_at, Some(last.recorded_at), "{id}: when");
                let before = Position(first.position.0 - 1);
                assert!(
                    replay.agrees(&committed.output, before),
                    "{id}: decided on what was not so: {:?}",
                    committed.output
                );
            } else {
                assert!(
                    asked_to_answered.contains(&committed.head.position.0),
                    "{id}: nothing to do, at {:?}, not within {asked_to_answered:?}",
                    committed.head
                );
                assert!(
                    replay.agrees(&committed.output, committed.head.position),
                    "{id}: nothing to do on what was not so at {:?}: {:?}",
                    committed.head,
                    committed.output
                );
            }
            if let Some(key) = record.key {
                assert!(used.contains(&key), "{id}: acknowledged without its key");
            }
        }
        Err(ExecuteError::Refused(Refusal::On(seen))) => {
            assert!(stored.is_empty(), "{id}: refused and stored");
            assert!(
                asked_to_answered
                    .clone()
                    .any(|position| replay.agrees(seen, Position(position))),
                "{id}: refused on what was not so within {asked_to_answered:?}: {seen:?}"
            );
        }
        Err(ExecuteError::OutcomeUnknown) => {}
        Err(ExecuteError::KeyTaken) => {
            assert!(stored.is_empty(), "{id}: taken and stored");
            let key = record.key.expect("a key");
            assert!(used.contains(&key), "{id}: the key is said to be taken");
        }
        Err(
            ExecuteError::Unavailable(_)
            | ExecuteError::Overloaded
            | ExecuteError::DeadlinePassed
            | ExecuteError::ClaimTaken { .. }
            | ExecuteError::Unacceptable(_),
        ) => assert!(stored.is_empty(), "{id}: {:?} and stored", record.answer),
        Err(other) => panic!("{id}: {other:?}"),
    }
}
