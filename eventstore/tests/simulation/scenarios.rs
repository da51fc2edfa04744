//! What histories brought to light, each as a small story of its own.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use domain::{ids::OrderId, inventory::Inventory, inventory::InventoryCommand, text::Quantity};
use eventstore::{
    EventLog,
    event::{Cause, RecordedEvent},
    position::Head,
    stream::{StreamId, StreamRef},
    subscription::{HandleError, Lease, Worker},
    testing::simulation::{Fault, Process, Random, SubscriptionRow, Weather, World},
    unit::{ExecuteError, Halt, IdempotencyKey, Unit},
};
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    followers::{self, NAMES},
    shelves::{PRODUCTS, Refusal, Seen, product, see},
};

const PATIENCE: Duration = Duration::from_secs(30);

/// Runs a story on a server where nothing goes wrong but what the story wants.
fn story<F: Future<Output = ()>>(tell: impl FnOnce(World) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let world = World::new(Random::new(0), Weather::CALM);
        tokio::time::timeout(Duration::from_hours(1), tell(world))
            .await
            .expect("comes to an end");
    });
}

async fn open(world: &World, cache_bytes: usize) -> (Process, EventLog) {
    let process = world.start_process();
    let log = process.open_log(cache_bytes).await.unwrap();
    (process, log)
}

/// Takes in a piece, and returns what was seen before.
fn receive(number: u64) -> Unit<Seen, Refusal> {
    let product_id = product(number);
    let command = InventoryCommand::ReceiveStock {
        product_id,
        operation_id: domain::ids::OperationId(Uuid::new_v4()),
        quantity: Quantity::parse(1).unwrap(),
        reason: None,
    };
    one_command(number, command)
}

/// Releases what was never reserved: there is nothing to do.
fn release_nothing(number: u64) -> Unit<Seen, Refusal> {
    let product_id = product(number);
    let order_id = OrderId(Uuid::nil());
    one_command(
        number,
        InventoryCommand::ReleaseStock {
            product_id,
            order_id,
        },
    )
}

fn one_command(number: u64, command: InventoryCommand) -> Unit<Seen, Refusal> {
    let product = product(number);
    let streams = vec![StreamRef::of::<Inventory>(product)];
    Unit::new(Cause::default(), streams, move |work| {
        let seen = see(work, &[product])?;
        work.execute::<Inventory>(product, command.clone())?;
        Ok(seen)
    })
}

/// Looks at all products without having said so: each is loaded when it turns out to be needed.
fn look_at_all() -> Unit<Seen, Refusal> {
    Unit::new(Cause::default(), Vec::new(), |work| {
        let products: Vec<_> = (0..PRODUCTS).map(product).collect();
        see(work, &products)
    })
}

#[test]
fn an_answer_that_changes_nothing_names_the_head_that_it_was_decided_on() {
    story(|world| async move {
        let (_, log) = open(&world, 1_000_000).await;
        let first = log.execute(receive(0)).await.unwrap();
        // both are in one batch, the one that changes nothing ahead
        let (nothing, second) =
            tokio::join!(log.execute(release_nothing(0)), log.execute(receive(0)));
        let (nothing, second) = (nothing.unwrap(), second.unwrap());
        assert_eq!(nothing.output[0].1.sequence, 1, "decided before the second");
        assert_eq!(nothing.head, first.head);
        assert_eq!(second.head.position, first.head.position.plus(1));
    });
}

#[test]
fn a_unit_whose_streams_exceed_the_cache_is_decided_all_the_same() {
    story(|world| async move {
        let (_, log) = open(&world, 0).await;
        let looked = tokio::time::timeout(PATIENCE, log.execute(look_at_all())).await;
        assert_eq!(looked.expect("in time").unwrap().head, Head::EMPTY);
    });
}

#[test]
fn a_key_that_somebody_else_used_is_not_taken_for_ones_own_after_a_lost_connection() {
    story(|world| async move {
        let key = IdempotencyKey {
            id: Uuid::from_u128(7),
            fingerprint: Vec::new(),
            status: 201,
            resource: String::new(),
        };
        let (_, one) = open(&world, 1_000_000).await;
        let (_, other) = open(&world, 1_000_000).await;
        let used = receive(0).with_key(Some(key.clone()));
        one.execute(used).await.unwrap();
        // this one has nothing to append but its key, and the connection breaks before it gets there
        world.befall("append", Fault::LostRequest);
        let again = release_nothing(1).with_key(Some(key));
        let answer = other.execute(again).await;
        assert!(matches!(answer, Err(ExecuteError::KeyTaken)), "{answer:?}");
    });
}

/// Has a process follow what another one writes, with one call never answered.
fn follows_although_silent(call: &'static str) {
    story(|world| async move {
        let (process, follower) = open(&world, 1_000_000).await;
        let subscriptions = process.subscriptions(&follower);
        world.befall(call, Fault::Silent { effect: false });
        for subscriber in followers::both() {
            process.follow(&subscriptions, subscriber).await;
        }
        let (_, writer) = open(&world, 1_000_000).await;
        for number in 0..PRODUCTS {
            writer.execute(receive(number)).await.unwrap();
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        let head = world.head();
        let done = async {
            loop {
                let rows = world.rows::<SubscriptionRow>();
                if NAMES
                    .iter()
                    .all(|name| rows.get(*name).is_some_and(|row| row.head == head))
                {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let done = tokio::time::timeout(PATIENCE, done).await;
        assert!(
            done.is_ok(),
            "{call}: {:?}",
            world.rows::<SubscriptionRow>()
        );
        followers::check(&world);
    });
}

#[test]
fn a_lease_that_is_asked_for_without_an_answer_is_asked_for_again() {
    follows_although_silent("take lease");
}

#[test]
fn a_checkpoint_that_is_asked_for_without_an_answer_is_asked_for_again() {
    follows_although_silent("checkpoint");
}

#[test]
fn a_renewal_without_an_answer_does_not_end_the_following() {
    follows_although_silent("extend lease");
}

#[test]
fn a_process_that_is_not_let_listen_looks_for_itself() {
    follows_although_silent("listen");
}

#[test]
fn one_notification_without_an_answer_is_not_the_last() {
    story(|world| async move {
        let (_, reader) = open(&world, 1_000_000).await;
        let (_, writer) = open(&world, 1_000_000).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        world.befall("notify", Fault::Silent { effect: false });
        writer.execute(receive(0)).await.unwrap();
        tokio::time::sleep(PATIENCE).await;
        let told = writer.execute(receive(0)).await.unwrap();
        let asked = Instant::now();
        while reader.feed().known() < told.head.position {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(
            asked.elapsed() < Duration::from_millis(200),
            "it was told, and did not have to look: {:?}",
            asked.elapsed()
        );
    });
}

#[test]
fn a_stream_that_was_wrongly_taken_for_a_new_one_is_not_remembered_as_empty() {
    story(|world| async move {
        let (_, writer) = open(&world, 1_000_000).await;
        writer.execute(receive(0)).await.unwrap();
        let (_, log) = open(&world, 1_000_000).await;
        // made again by somebody who does not know that it is there, and refused before anything is appended
        let fresh = vec![StreamRef::fresh::<Inventory>(product(0))];
        let refused = Unit::<(), Refusal>::new(Cause::default(), fresh, |_| {
            Err(Halt::Refused(Refusal::On(Vec::new())))
        });
        log.execute(refused).await.unwrap_err();
        let seen = log.execute(release_nothing(0)).await.unwrap();
        assert_eq!(seen.output[0].1.sequence, 1, "it is there");
    });
}

/// So many receipts that a snapshot of the product is due.
const SNAPSHOT_DUE: u32 = 600;

async fn receive_until_a_snapshot_is_due(log: &EventLog, number: u64) {
    for _ in 0..SNAPSHOT_DUE {
        log.execute(receive(number)).await.unwrap();
    }
}

#[test]
fn a_snapshot_that_is_never_answered_holds_up_neither_appending_nor_the_next_one_nor_closing() {
    story(|world| async move {
        let (_, log) = open(&world, 1_000_000).await;
        let snapshot = |number| world.snapshot_at(&StreamId::of::<Inventory>(product(number)));
        world.befall("snapshot", Fault::Silent { effect: false });
        receive_until_a_snapshot_is_due(&log, 0).await;
        receive_until_a_snapshot_is_due(&log, 1).await;
        let next = async {
            while snapshot(1).is_none() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let next = tokio::time::timeout(PATIENCE, next).await;
        assert!(next.is_ok(), "the next one is written");
        assert_eq!(snapshot(0), None, "the first one never was");

        world.befall("snapshot", Fault::Silent { effect: false });
        receive_until_a_snapshot_is_due(&log, 2).await;
        let asked = Instant::now();
        log.close().await;
        assert!(
            asked.elapsed() < Duration::from_secs(10),
            "no longer than a call may take: {:?}",
            asked.elapsed()
        );
        assert_eq!(snapshot(2), None, "it was not answered either");
    });
}

/// Notes when each batch came and how many events were in it, and takes its time for it.
#[derive(Clone)]
struct Slow {
    /// So many starts never return.
    silent_starts: u32,
    batch_events: usize,
    takes: Duration,
    batches: Arc<Mutex<Vec<(Instant, usize)>>>,
}

impl Slow {
    fn new(batch_events: usize, takes: Duration) -> Self {
        Self {
            silent_starts: 0,
            batch_events,
            takes,
            batches: Arc::default(),
        }
    }

    /// Follows the log in a process of its own until it has had so many events. Returns when each batch came.
    async fn follow(self, world: &World, events: usize) -> Vec<Instant> {
        let (process, log) = open(world, 1_000_000).await;
        process.subscriptions(&log).spawn_worker(self.clone()).await;
        loop {
            let batches = self.batches.lock().unwrap().clone();
            if batches.iter().map(|(_, count)| count).sum::<usize>() == events {
                return batches.into_iter().map(|(came, _)| came).collect();
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

impl Worker for Slow {
    fn name(&self) -> &'static str {
        "slow"
    }

    fn batch_events(&self) -> usize {
        self.batch_events
    }

    async fn start(&mut self, _: &Lease) -> Result<Head, HandleError> {
        if self.silent_starts > 0 {
            self.silent_starts -= 1;
            std::future::pending::<()>().await;
        }
        Ok(Head::EMPTY)
    }

    async fn process(
        &mut self,
        _: &Lease,
        _: Head,
        events: &[Arc<RecordedEvent>],
    ) -> Result<(), HandleError> {
        let batch = (Instant::now(), events.len());
        self.batches.lock().unwrap().push(batch);
        tokio::time::sleep(self.takes).await;
        Ok(())
    }

    async fn stop(&mut self) {}
}

#[test]
fn a_worker_whose_start_never_returns_is_started_again() {
    story(|world| async move {
        let (_, writer) = open(&world, 1_000_000).await;
        writer.execute(receive(0)).await.unwrap();
        let worker = Slow {
            silent_starts: 1,
            ..Slow::new(1_000, Duration::ZERO)
        };
        // a start may take a minute
        let patience = Duration::from_mins(1) + PATIENCE;
        let came = tokio::time::timeout(patience, worker.follow(&world, 1)).await;
        assert_eq!(came.expect("it is started again").len(), 1);
    });
}

fn gaps(times: &[Instant]) -> impl Iterator<Item = Duration> {
    times.windows(2).map(|pair| pair[1] - pair[0])
}

#[test]
fn the_next_batch_of_a_backlog_is_read_while_one_is_handled() {
    story(|world| async move {
        let (_, writer) = open(&world, 1_000_000).await;
        for _ in 0..20 {
            writer.execute(receive(0)).await.unwrap();
        }
        let takes = Duration::from_secs(1);
        let came = Slow::new(2, takes).follow(&world, 20).await;
        assert!(gaps(&came).all(|gap| gap == takes), "{came:?}");
    });
}

#[test]
fn events_that_are_written_one_by_one_share_batches() {
    story(|world| async move {
        let (_, writer) = open(&world, 1_000_000).await;
        let following = Slow::new(1_000, Duration::from_millis(1)).follow(&world, 500);
        let writing = async {
            for _ in 0..500 {
                writer.execute(receive(0)).await.unwrap();
            }
        };
        let (came, ()) = tokio::join!(following, writing);
        let spent = came[came.len() - 1] - came[0];
        assert!(came.len() > 10, "it does not wait for a full batch either");
        assert!(
            gaps(&came).all(|gap| gap >= Duration::from_millis(10)),
            "{} batches in {spent:?}: {came:?}",
            came.len()
        );
    });
}
