//! What the log promises, against a real PostgreSQL.

use std::time::{Duration, Instant};

use domain::{
    ids::{OrderId, ProductId},
    inventory::{Inventory, InventoryCommand, InventoryError},
    order::Order,
    text::Quantity,
};
use eventstore::{
    EventLog, LogSettings,
    event::Cause,
    position::{Head, Position},
    stream::StreamRef,
    testing::{TestDatabase, eventually},
    unit::{Committed, ExecuteError, Halt, IdempotencyKey, Unit, Work},
};
use futures::future::join_all;
use sqlx::{Connection, Row};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::stock::{new_order, new_product, receipt, receive, reserve};

fn cause() -> Cause {
    Cause::default()
}

async fn positions(db: &TestDatabase) -> Vec<i64> {
    let mut connection = db.connect().await;
    sqlx::query_scalar("select position from events order by position")
        .fetch_all(&mut connection)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_unit_over_several_streams_is_committed_whole_or_not_at_all() {
    let db = TestDatabase::create().await;
    let log = db.open_log().await;
    let (plenty, scarce) = (new_product(), new_product());
    log.execute(receive(plenty, 50)).await.unwrap();
    log.execute(receive(scarce, 1)).await.unwrap();
    let both = |order: OrderId| {
        let quantity = Quantity::parse(1).unwrap();
        let streams = vec![
            StreamRef::of::<Inventory>(plenty),
            StreamRef::of::<Inventory>(scarce),
        ];
        Unit::new(
            cause(),
            streams,
            move |work: &mut Work<'_, InventoryError>| {
                for product_id in [plenty, scarce] {
                    let command = InventoryCommand::ReserveStock {
                        product_id,
                        order_id: order,
                        quantity,
                    };
                    work.execute::<Inventory>(product_id, command)?;
                }
                Ok(())
            },
        )
    };
    let committed = log.execute(both(new_order())).await.unwrap();
    assert_eq!(
        (committed.appended, committed.head.position),
        (3, Position(5)),
        "both reservations, and that the scarce product has run low"
    );
    let refused = log.execute(both(new_order())).await.unwrap_err();
    assert!(
        matches!(
            refused,
            ExecuteError::Refused(InventoryError::InsufficientStock { available: 0, .. })
        ),
        "{refused:?}"
    );
    let (left, sequence) = log.load::<Inventory>(plenty).await.unwrap();
    assert_eq!(
        (left.available(), sequence),
        (49, 2),
        "the piece of the refused unit was not taken"
    );
    assert_eq!(positions(&db).await, [1, 2, 3, 4, 5]);
    log.close().await;
    db.drop_database().await;
}

#[tokio::test]
async fn a_unit_over_many_streams_sees_on_each_what_it_has_drafted_there() {
    const STREAMS: usize = 500;
    const PIECES: i64 = 5;
    let db = TestDatabase::create().await;
    let log = db.open_log().await;
    let products: Vec<_> = (0..STREAMS).map(|_| new_product()).collect();
    let commands = (0..PIECES).flat_map(|_| products.iter().map(|id| (*id, receipt(*id, 1))));
    let commands: Vec<_> = commands.collect();
    let all = products.clone();
    let streams = products.iter().map(StreamRef::of::<Inventory>).collect();
    let receive_all = Unit::new(
        cause(),
        streams,
        move |work: &mut Work<'_, InventoryError>| {
            for (product_id, command) in &commands {
                work.execute::<Inventory>(product_id, command.clone())?;
            }
            let mut seen = Vec::with_capacity(all.len());
            for product_id in &all {
                let available = work.state::<Inventory>(product_id)?.available();
                seen.push((available, work.sequence::<Inventory>(product_id)?));
            }
            Ok(seen)
        },
    );
    let done = log.execute(receive_all).await.unwrap();
    assert_eq!(done.appended, STREAMS * PIECES as usize);
    assert_eq!(done.output, vec![(PIECES, PIECES); STREAMS]);
    let (stored, sequence) = log.load::<Inventory>(products[0]).await.unwrap();
    assert_eq!((stored.available(), sequence), (PIECES, PIECES));
    log.close().await;
    db.drop_database().await;
}

#[tokio::test]
async fn the_log_says_which_aggregates_have_events() {
    let db = TestDatabase::create().await;
    let log = db.open_log().await;
    let (there, sold, absent) = (new_product(), new_product(), new_product());
    log.execute(receive(there, 1)).await.unwrap();
    log.execute(receive(sold, 9)).await.unwrap();
    log.execute(reserve(sold, new_order())).await.unwrap();
    let found = log.existing::<Inventory>([there, absent, sold, there]);
    let expected = [there, sold].map(|id| id.to_string());
    assert_eq!(found.await.unwrap(), expected.into());
    let orders = log.existing::<Order>([there]).await.unwrap();
    assert!(orders.is_empty(), "an aggregate of another type");
    log.close().await;
    db.drop_database().await;
}

/// Edge case 23, and the rule that refusals rest on the head: two processes sell ten pieces to two hundred buyers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_sell_ten_pieces_to_exactly_ten_of_two_hundred_buyers() {
    let db = TestDatabase::create().await;
    let (one, two) = (db.open_log().await, db.open_log().await);
    let wanted = new_product();
    one.execute(receive(wanted, 10)).await.unwrap();
    let buyers = (0..200)
        .map(|n| if n % 2 == 0 { one.clone() } else { two.clone() })
        .map(|log: EventLog| async move { log.execute(reserve(wanted, new_order())).await });
    let answers = join_all(buyers).await;
    let sold = answers.iter().filter(|answer| answer.is_ok()).count();
    let refused = answers
        .iter()
        .filter(|a| {
            matches!(
                a,
                Err(ExecuteError::Refused(
                    InventoryError::InsufficientStock { .. }
                ))
            )
        })
        .count();
    assert_eq!(
        (sold, refused),
        (10, 190),
        "{:?}",
        answers
            .iter()
            .find(|a| !matches!(a, Ok(_) | Err(ExecuteError::Refused(_))))
    );
    assert_eq!(
        positions(&db).await,
        (1..=12).collect::<Vec<_>>(),
        "dense positions: a delivery, ten reservations, and that the stock has run low"
    );
    one.close().await;
    two.close().await;
    db.drop_database().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_that_write_one_stream_at_once_lose_and_double_nothing() {
    let db = TestDatabase::create().await;
    let (one, two) = (db.open_log().await, db.open_log().await);
    let (wanted, other) = (new_product(), new_product());
    let writes = (0..400).map(|n| {
        let log = if n % 2 == 0 { one.clone() } else { two.clone() };
        // every third on another stream, so that some are caught up and some are not touched
        let product = if n % 3 == 0 { other } else { wanted };
        async move { log.execute(receive(product, 1)).await.unwrap().head }
    });
    let mut heads: Vec<i64> = join_all(writes)
        .await
        .iter()
        .map(|head| head.position.0)
        .collect();
    heads.sort_unstable();
    assert_eq!(heads, (1..=400).collect::<Vec<_>>());
    for log in [&one, &two] {
        // as each process knows it in memory
        let total = |product| {
            Unit::<i64, InventoryError>::new(
                cause(),
                vec![StreamRef::of::<Inventory>(product)],
                move |work| Ok(work.state::<Inventory>(product)?.available()),
            )
        };
        assert_eq!(log.execute(total(wanted)).await.unwrap().output, 266);
        assert_eq!(log.execute(total(other)).await.unwrap().output, 134);
    }
    one.close().await;
    two.close().await;
    db.drop_database().await;
}

/// The exception to the rule that the lock is never held across a round trip: a process that keeps losing gets its turn.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_keeps_losing_the_head_gets_its_turn() {
    let db = TestDatabase::create().await;
    let log = db.open_log().await;
    let wanted = new_product();
    log.execute(receive(wanted, 1)).await.unwrap();
    // other programs that wait for the lock one behind the other: whoever joins them has missed by his turn
    let mut writing = JoinSet::new();
    for writer in 0..8 {
        let mut connection = db.connect().await;
        writing.spawn(async move {
            for n in 0_i64.. {
                sqlx::query(
                    "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata) \
                     values ('noise', $1, $2, 'Noise', '1.0', '{}', '{}')",
                )
                .bind(writer.to_string())
                .bind(n)
                .execute(&mut connection)
                .await
                .unwrap();
            }
        });
    }
    for _ in 0..50 {
        let deadline = Some(Instant::now() + Duration::from_secs(5));
        log.execute(receive(wanted, 1).with_deadline(deadline))
            .await
            .unwrap();
    }
    assert_eq!(
        log.load::<Inventory>(wanted).await.unwrap().0.available(),
        51
    );
    writing.shutdown().await;
    log.close().await;
    db.drop_database().await;
}

/// Edge case 60.
#[tokio::test]
async fn a_restock_by_another_process_is_seen_by_the_next_request() {
    let db = TestDatabase::create().await;
    let (here, there) = (db.open_log().await, db.open_log().await);
    let wanted = new_product();
    here.execute(receive(wanted, 1)).await.unwrap();
    here.execute(reserve(wanted, new_order())).await.unwrap();
    for _ in 0..20 {
        assert!(
            matches!(
                here.execute(reserve(wanted, new_order())).await,
                Err(ExecuteError::Refused(_))
            ),
            "sold out"
        );
        there.execute(receive(wanted, 1)).await.unwrap();
        here.execute(reserve(wanted, new_order())).await.unwrap();
    }
    here.close().await;
    there.close().await;
    db.drop_database().await;
}

#[tokio::test]
async fn a_satisfied_command_appends_nothing_and_names_the_head_it_rests_on() {
    let db = TestDatabase::create().await;
    let log = db.open_log().await;
    let (wanted, buyer) = (new_product(), new_order());
    log.execute(receive(wanted, 2)).await.unwrap();
    let first = log.execute(reserve(wanted, buyer)).await.unwrap();
    let again = log.execute(reserve(wanted, buyer)).await.unwrap();
    assert_eq!(
        again,
        Committed {
            output: (),
            head: first.head,
            recorded_at: None,
            appended: 0
        }
    );
    assert!(log.holds(first.head).await.unwrap());
    assert!(
        !log.holds(Head {
            position: first.head.position,
            event_id: Uuid::new_v4()
        })
        .await
        .unwrap()
    );
    log.close().await;
    db.drop_database().await;
}

#[tokio::test]
async fn an_idempotency_key_commits_with_the_events_and_is_taken_ever_after() {
    let db = TestDatabase::create().await;
    let (one, two) = (db.open_log().await, db.open_log().await);
    let wanted = new_product();
    one.execute(receive(wanted, 100)).await.unwrap();
    let key = |resource: &str| IdempotencyKey {
        id: Uuid::from_u128(7),
        fingerprint: vec![1, 2, 3],
        status: 201,
        resource: resource.into(),
    };
    // all at once, in one process and in another: one wins
    let tries = (0..20).map(|n| {
        let log = if n % 3 == 0 { two.clone() } else { one.clone() };
        let unit = reserve(wanted, new_order()).with_key(Some(key(&format!("order {n}"))));
        async move { log.execute(unit).await }
    });
    let answers = join_all(tries).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    assert_eq!(
        answers
            .iter()
            .filter(|answer| matches!(answer, Err(ExecuteError::KeyTaken)))
            .count(),
        19
    );
    let winner = answers.iter().position(Result::is_ok).unwrap();
    let stored = two
        .stored_answer(Uuid::from_u128(7))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(stored.resource, format!("order {winner}"));
    assert_eq!(stored.head, answers[winner].as_ref().unwrap().head);
    assert_eq!((stored.status, stored.fingerprint), (201, vec![1, 2, 3]));
    assert_eq!(one.stored_answer(Uuid::from_u128(8)).await.unwrap(), None);
    // a refusal is not stored: the key stays free
    let empty = new_product();
    let refused = one.execute(reserve(empty, new_order()).with_key(Some(IdempotencyKey {
        id: Uuid::from_u128(9),
        ..key("")
    })));
    assert!(matches!(refused.await, Err(ExecuteError::Refused(_))));
    assert_eq!(one.stored_answer(Uuid::from_u128(9)).await.unwrap(), None);
    one.close().await;
    two.close().await;
    db.drop_database().await;
}

#[tokio::test]
async fn a_key_is_forgotten_once_it_is_too_old_and_not_before() {
    const DAY: Duration = Duration::from_hours(24);
    let (old, young) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let db = TestDatabase::create().await;
    let log = db.open_log().await;
    let wanted = new_product();
    log.execute(receive(wanted, 10)).await.unwrap();
    let with_key = |id| {
        reserve(wanted, new_order()).with_key(Some(IdempotencyKey {
            id,
            fingerprint: Vec::new(),
            status: 201,
            resource: String::new(),
        }))
    };
    for (id, age) in [
        (old, Duration::from_mins(24 * 60 + 1)),
        (young, Duration::from_mins(24 * 60 - 1)),
    ] {
        log.execute(with_key(id)).await.unwrap();
        sqlx::query("update idempotency_keys set recorded_at = recorded_at - $2 where id = $1")
            .bind(id)
            .bind(age)
            .execute(&mut db.connect().await)
            .await
            .unwrap();
    }
    assert_eq!(log.expire_keys(DAY).await.unwrap(), 1);
    let again = log.execute(with_key(young)).await;
    assert!(matches!(again, Err(ExecuteError::KeyTaken)), "{again:?}");
    log.execute(with_key(old)).await.unwrap();
    log.close().await;
    db.drop_database().await;
}

#[tokio::test]
async fn a_claim_belongs_to_one_owner_until_it_is_released() {
    let db = TestDatabase::create().await;
    let (one, two) = (db.open_log().await, db.open_log().await);
    let claim = |owner: ProductId| {
        Unit::new(
            cause(),
            vec![StreamRef::of::<Inventory>(owner)],
            move |work: &mut Work<'_, InventoryError>| {
                work.claim("sku:test", "A-1", owner);
                Ok(())
            },
        )
    };
    let release = || {
        Unit::new(
            cause(),
            vec![],
            move |work: &mut Work<'_, InventoryError>| {
                work.release("sku:test", "A-1");
                Ok(())
            },
        )
    };
    let owners: Vec<ProductId> = (0..10).map(|_| new_product()).collect();
    let tries = owners.iter().enumerate().map(|(n, owner)| {
        let log = if n % 2 == 0 { one.clone() } else { two.clone() };
        let unit = claim(*owner);
        async move { log.execute(unit).await }
    });
    let answers = join_all(tries).await;
    let winner = answers.iter().position(Result::is_ok).unwrap();
    let taken = ExecuteError::ClaimTaken {
        scope: "sku:test".into(),
        value: "A-1".into(),
    };
    assert_eq!(
        answers
            .iter()
            .filter(|answer| **answer == Err(taken.clone()))
            .count(),
        9,
        "{answers:?}"
    );
    one.execute(claim(owners[winner])).await.unwrap();
    assert_eq!(
        one.claim_owner("sku:test", "A-1").await.unwrap(),
        Some(owners[winner].to_string())
    );
    two.execute(release()).await.unwrap();
    let other = owners[(winner + 1) % 10];
    one.execute(claim(other)).await.unwrap();
    assert_eq!(
        two.claim_owner("sku:test", "A-1").await.unwrap(),
        Some(other.to_string())
    );
    one.close().await;
    two.close().await;
    db.drop_database().await;
}

/// Edge case 57: a character that PostgreSQL does not store, in one unit among many.
#[tokio::test]
async fn one_poison_unit_among_many_fails_alone() {
    let db = TestDatabase::create().await;
    let log = db.open_log().await;
    let wanted = new_product();
    log.execute(receive(wanted, 1_000)).await.unwrap();
    let units = (0..256).map(|n| {
        let order = new_order();
        let claim = if n == 77 {
            "nul \u{0} byte".to_owned()
        } else {
            format!("fine {n}")
        };
        let quantity = Quantity::parse(1).unwrap();
        let unit = Unit::new(
            cause(),
            vec![StreamRef::of::<Inventory>(wanted)],
            move |work| {
                work.claim("test", claim.clone(), order);
                let command = InventoryCommand::ReserveStock {
                    product_id: wanted,
                    order_id: order,
                    quantity,
                };
                work.execute::<Inventory>(wanted, command)?;
                Ok::<(), Halt<InventoryError>>(())
            },
        );
        log.execute(unit)
    });
    let answers = join_all(units).await;
    for (n, answer) in answers.iter().enumerate() {
        match answer {
            Err(ExecuteError::Unacceptable(_)) => assert_eq!(n, 77),
            other => assert!(other.is_ok(), "{n}: {other:?}"),
        }
    }
    assert_eq!(
        log.load::<Inventory>(wanted).await.unwrap().0.reserved(),
        255
    );
    assert_eq!(positions(&db).await.len(), 256);
    log.close().await;
    db.drop_database().await;
}

/// Found when a server that had just started sold more than there was: each of many decisions that found out in the
/// middle that they need a stream asked for it, and its events were applied once for each.
#[tokio::test]
async fn a_stream_that_many_decisions_turn_out_to_need_is_loaded_once() {
    let db = TestDatabase::create().await;
    let wanted = new_product();
    let before = db.open_log().await;
    before.execute(receive(wanted, 60)).await.unwrap();
    before.close().await;
    let cold = db.open_log().await;
    let undeclared = |order_id| {
        let quantity = Quantity::parse(1).unwrap();
        Unit::new(
            cause(),
            vec![],
            move |work: &mut Work<'_, InventoryError>| {
                let product_id = wanted;
                let command = InventoryCommand::ReserveStock {
                    product_id,
                    order_id,
                    quantity,
                };
                work.execute::<Inventory>(wanted, command)?;
                Ok(work.state::<Inventory>(wanted)?.available())
            },
        )
    };
    let answers = join_all((0..50).map(|_| cold.execute(undeclared(new_order())))).await;
    let mut left: Vec<i64> = answers
        .into_iter()
        .map(|answer| answer.unwrap().output)
        .collect();
    left.sort_unstable();
    assert_eq!(left, (10..60).collect::<Vec<_>>());
    assert_eq!(
        cold.load::<Inventory>(wanted).await.unwrap().0.available(),
        10
    );
    cold.close().await;
    db.drop_database().await;
}

#[tokio::test]
async fn a_decision_that_panics_fails_alone() {
    let db = TestDatabase::create().await;
    let log = db.open_log().await;
    let panics =
        Unit::<(), InventoryError>::new(cause(), vec![], |_| panic!("a bug in a decision"));
    let answers = join_all([
        log.execute(receive(new_product(), 1)),
        log.execute(panics),
        log.execute(receive(new_product(), 1)),
    ])
    .await;
    assert!(answers[0].is_ok() && answers[2].is_ok(), "{answers:?}");
    assert!(
        matches!(answers[1], Err(ExecuteError::Defect(_))),
        "{answers:?}"
    );
    assert!(log.accepts_commands());
    log.close().await;
    assert!(!log.accepts_commands());
    db.drop_database().await;
}

#[tokio::test]
async fn a_deadline_that_has_passed_drops_the_command_undecided() {
    let db = TestDatabase::create().await;
    let log = db.open_log().await;
    let late = receive(new_product(), 1).with_deadline(Some(Instant::now()));
    assert_eq!(log.execute(late).await, Err(ExecuteError::DeadlinePassed));
    let timely =
        receive(new_product(), 1).with_deadline(Some(Instant::now() + Duration::from_secs(30)));
    assert!(log.execute(timely).await.is_ok());
    assert_eq!(positions(&db).await, [1]);
    log.close().await;
    db.drop_database().await;
}

#[tokio::test]
async fn closing_answers_what_was_accepted_and_refuses_what_comes_later() {
    let db = TestDatabase::create().await;
    let log = db.open_log().await;
    let wanted = new_product();
    let running: Vec<_> = (0..300)
        .map(|_| {
            tokio::spawn({
                let log = log.clone();
                async move { log.execute(receive(wanted, 1)).await }
            })
        })
        .collect();
    tokio::task::yield_now().await;
    log.close().await;
    let mut acknowledged = 0;
    for answer in running {
        match answer.await.unwrap() {
            Ok(_) => acknowledged += 1,
            Err(error) => assert!(matches!(error, ExecuteError::Unavailable(_)), "{error:?}"),
        }
    }
    assert_eq!(positions(&db).await.len(), acknowledged);
    db.drop_database().await;
}

#[tokio::test]
async fn streams_are_loaded_from_snapshots_and_a_snapshot_of_another_version_is_ignored() {
    let db = TestDatabase::create().await;
    let log = db.open_log().await;
    let wanted = new_product();
    for _ in 0..8 {
        join_all((0..200).map(|_| log.execute(receive(wanted, 1)))).await;
    }
    let mut connection = db.connect().await;
    let snapshot = eventually("a snapshot", Duration::from_secs(10), || {
        let db = &db;
        async move {
            sqlx::query_scalar::<_, i64>("select sequence from aggregate_snapshots")
                .fetch_optional(&mut db.connect().await)
                .await
                .unwrap()
        }
    })
    .await;
    assert!((500..=1_600).contains(&snapshot));
    let (state, sequence) = log.load::<Inventory>(wanted).await.unwrap();
    assert_eq!((state.available(), sequence), (1_600, 1_600));
    // proof that the snapshot is used: a marked one shows through, one of another version does not
    sqlx::query(
        "update aggregate_snapshots set state = jsonb_set(state::jsonb, '{sold}', '1000')::json",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    assert_eq!(log.load::<Inventory>(wanted).await.unwrap().0.sold(), 1_000);
    // one of an event that the log does not hold is ignored too: a server wrote it after a failover that lost the event
    let real: Uuid = sqlx::query_scalar("select event_id from aggregate_snapshots")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    for (event_id, sold) in [(Uuid::new_v4(), 0), (real, 1_000)] {
        sqlx::query("update aggregate_snapshots set event_id = $1")
            .bind(event_id)
            .execute(&mut connection)
            .await
            .unwrap();
        let (state, _) = log.load::<Inventory>(wanted).await.unwrap();
        assert_eq!(state.sold(), sold);
    }
    sqlx::query("update aggregate_snapshots set state_version = state_version + 1")
        .execute(&mut connection)
        .await
        .unwrap();
    assert_eq!(log.load::<Inventory>(wanted).await.unwrap().0.sold(), 0);
    connection.close().await.unwrap();
    log.close().await;
    db.drop_database().await;
}

/// Edge case 62, the half of commands.
#[tokio::test]
async fn a_stream_with_an_event_of_a_newer_binary_answers_unreadable_and_the_others_go_on() {
    let db = TestDatabase::create().await;
    let log = db.open_log().await;
    let (newer, known) = (new_product(), new_product());
    log.execute(receive(newer, 1)).await.unwrap();
    sqlx::query(
        "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata) \
         values ('inventory', $1, 2, 'StockTeleported', '1.0', '{\"type\":\"StockTeleported\"}', '{}')",
    )
    .bind(newer.to_string())
    .execute(&mut db.connect().await)
    .await
    .unwrap();
    let answers = join_all([
        log.execute(receive(newer, 1)),
        log.execute(receive(known, 1)),
    ])
    .await;
    assert!(
        matches!(&answers[0], Err(ExecuteError::Unreadable(_))),
        "{answers:?}"
    );
    assert!(answers[1].is_ok(), "{answers:?}");
    log.close().await;
    db.drop_database().await;
}

#[tokio::test]
async fn history_cannot_be_rewritten() {
    let db = TestDatabase::create().await;
    let log = db.open_log().await;
    log.execute(receive(new_product(), 1)).await.unwrap();
    let mut connection = db.connect().await;
    for statement in [
        "update events set event_type = 'x'",
        "delete from events",
        "truncate events",
    ] {
        assert!(
            sqlx::query(statement)
                .execute(&mut connection)
                .await
                .is_err(),
            "{statement}"
        );
    }
    log.close().await;
    db.drop_database().await;
}

#[tokio::test]
async fn recorded_at_never_goes_back() {
    let db = TestDatabase::create().await;
    let log = db.open_log().await;
    for _ in 0..20 {
        log.execute(receive(new_product(), 1)).await.unwrap();
    }
    let rows = sqlx::query("select count(*) filter (where recorded_at < previous) as back from (select recorded_at, lag(recorded_at) over (order by position) as previous from events) e")
        .fetch_one(&mut db.connect().await)
        .await
        .unwrap();
    assert_eq!(rows.get::<i64, _>("back"), 0);
    log.close().await;
    db.drop_database().await;
}

/// Planning takes longer than loading: after five times PostgreSQL must have settled for one plan.
#[tokio::test]
async fn loads_are_not_planned_anew_each_time() {
    let db = TestDatabase::create().await;
    // the log keeps one to itself: all loads are on the other
    let settings = LogSettings {
        pool_size: 2,
        ..LogSettings::new(db.options())
    };
    let log = EventLog::open(settings).await.unwrap();
    let product = new_product();
    log.execute(receive(product, 5)).await.unwrap();
    for _ in 0..10 {
        let (_, sequence) = log.load::<Inventory>(product).await.unwrap();
        assert_eq!(sequence, 1);
    }
    let planned: Vec<(i64, i64)> = sqlx::query_as(
        "select generic_plans, custom_plans from pg_prepared_statements \
         where statement like '%unnest(%' and statement not like '%pg_prepared_statements%'",
    )
    .fetch_all(log.pool())
    .await
    .unwrap();
    assert_eq!(planned.len(), 2, "{planned:?}");
    for (once, anew) in planned {
        assert!(
            once >= 5 && anew <= 5,
            "{once} with one plan, {anew} with one of their own"
        );
    }
    log.close().await;
    db.drop_database().await;
}
