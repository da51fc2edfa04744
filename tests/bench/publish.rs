//! Publishing a backlog to Kafka, next to a bare idempotent producer of the same bytes.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use eventstore::{EventLog, position::Position, subscription::Subscriptions};
use projections::publisher::{Publisher, PublisherSettings};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    error::KafkaError,
    message::{Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer},
};
use tests::topics::{Record, Topics};
use uuid::Uuid;

use crate::{
    env::{Env, Outcome, in_turn},
    load::{Load, Pace, Until},
    market::{self, Market, PATIENCE},
    report::{Bound, Figure, Row},
};

const NAME: &str = "publish";

/// How often it is looked how far the publisher has come.
const LOOK: Duration = Duration::from_millis(1);

/// Orders in the log, of two events each.
const ORDERS: usize = 100_000;
/// As many as topics have by default.
const PARTITIONS: i32 = 6;

/// The row, where it is wanted.
pub(crate) async fn run(env: &Env) -> Outcome<Vec<Row>> {
    if !env.wants(NAME) {
        return Ok(Vec::new());
    }
    let market = Market::open(env.quick).await?;
    let server = market.serve("api").await;
    let orders = env.sized(ORDERS, 5_000) as u64;
    Load::run(&market.plan(&server, Pace::Closed, Until::Orders(orders))).await?;
    market::stop(server).await?;

    let log = market.shop.database().open_log().await;
    // read back from Kafka, so that the bare producer sends what the publisher sent, byte for byte
    let (first, _) = publish(env, &log).await?;
    let mut records = first.records(usize::try_from(market.head().await)?).await;
    records.sort_by_key(Record::position); // as the publisher sends them, not partition by partition
    let records = Arc::new(records);
    let bytes: usize = records.iter().map(size).sum();
    // removed at the end only: a broker that removes topics is slow for whoever comes next
    let used = Mutex::new(vec![first]);
    let noted = |topics| {
        let mut used = used.lock().unwrap_or_else(PoisonError::into_inner);
        used.push(topics);
    };
    let bare = async || {
        let (topics, rate) = bare(env, records.clone()).await?;
        noted(topics);
        Ok(rate)
    };
    let ours = async || {
        let (topics, rate) = publish(env, &log).await?;
        noted(topics);
        Ok(rate)
    };
    let (bare, ours) = in_turn(env, bare, ours).await?;
    for topics in used.into_inner().unwrap_or_else(PoisonError::into_inner) {
        topics.remove().await;
    }
    log.close().await;
    market.close().await;
    Ok(vec![Row {
        name: NAME,
        what: "publishing a backlog to Kafka",
        measured: Figure::new(ours, "events/s"),
        baseline: Some(Figure::new(bare, "events/s")),
        bound: Bound::AtLeast {
            floor: 0.5,
            aim: 0.8,
        },
        explanation: "The log of 100,000 orders, published to new topics by the publisher in transactions that also say how \
            far it came; against an idempotent librdkafka producer with the same compression and partitioner, no transactions \
            and nothing to read, that sends the very same keys, headers and payloads. From the end of the publisher's first \
            transaction to that of its last: fencing and making topics are not in it. Nothing else runs meanwhile.",
        held_by: "PostgreSQL formats the events and we parse them on the same cores; a transaction of 20,000 events spends \
            some 10 ms on naming its partitions and 10 ms on the markers of the one before.",
        notes: vec![format!(
            "{} events of {} bytes with key and headers.",
            records.len(),
            bytes / records.len()
        )],
    }])
}

fn size(record: &Record) -> usize {
    let headers = record
        .headers
        .iter()
        .map(|(name, value)| name.len() + value.len());
    record.key.len() + record.value.len() + headers.sum::<usize>()
}

/// Publishes the whole log to topics of its own, and returns events per second.
async fn publish(env: &Env, log: &EventLog) -> Outcome<(Topics, f64)> {
    let prefix = format!("bench-{}", Uuid::new_v4().simple());
    let settings = PublisherSettings {
        prefix: prefix.clone(),
        ..PublisherSettings::new(&env.brokers)
    };
    let publishing = Subscriptions::new(log.clone());
    publishing
        .spawn_worker(Publisher::new(log.clone(), settings))
        .await;
    let last = log.head().await?.position;
    let first = published(&publishing, Position(1)).await?;
    let begun = Instant::now();
    published(&publishing, last).await?;
    let seconds = begun.elapsed().as_secs_f64();
    publishing.close().await;
    if !env.quick && first.0 > last.0 / 4 {
        return Err(format!(
            "{} of {} events were in the first transaction",
            first.0, last.0
        )
        .into());
    }
    #[allow(clippy::cast_precision_loss)] // far below 2^52
    Ok((
        Topics::new(&env.brokers, &prefix),
        (last.0 - first.0) as f64 / seconds,
    ))
}

/// Waits until this publisher itself has come as far as `position`, and returns how far it is. The checkpoint in the
/// database does not tell: the publisher of the pass before has left it at the end.
async fn published(publishing: &Subscriptions, position: Position) -> Outcome<Position> {
    let give_up = Instant::now() + PATIENCE;
    loop {
        let statuses = publishing.statuses();
        let (_, status) = statuses.first().ok_or("the publisher runs")?;
        if status.head.position >= position {
            return Ok(status.head.position);
        }
        if Instant::now() > give_up {
            return Err(
                format!("published up to {}, then no further", status.head.position).into(),
            );
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The same messages from an idempotent producer that has nothing else to do.
async fn bare(env: &Env, records: Arc<Vec<Record>>) -> Outcome<(Topics, f64)> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &env.brokers)
        .set("enable.idempotence", "true")
        .set("compression.type", "lz4")
        .set("partitioner", "murmur2");
    let admin: AdminClient<DefaultClientContext> = config.create()?;
    let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
    let prefix = format!("bench-{}", Uuid::new_v4().simple());
    let kinds: HashSet<&str> = records.iter().map(kind).collect();
    let names: Vec<String> = kinds
        .iter()
        .map(|kind| format!("{prefix}.{kind}"))
        .collect();
    let topics: Vec<_> = names
        .iter()
        .map(|name| NewTopic::new(name, PARTITIONS, TopicReplication::Fixed(-1)))
        .collect();
    for made in admin.create_topics(&topics, &options).await? {
        made.map_err(|(topic, code)| format!("{topic}: {code}"))?;
    }
    let made = Topics::new(&env.brokers, &prefix);
    let rate =
        tokio::task::spawn_blocking(move || send_all(&config, &prefix, &names, &records)).await??;
    Ok((made, rate))
}

/// What its topic is called behind the prefix.
fn kind(record: &Record) -> &str {
    record.topic.rsplit('.').next().unwrap_or_default()
}

fn send_all(
    config: &ClientConfig,
    prefix: &str,
    topics: &[String],
    records: &[Record],
) -> Outcome<f64> {
    let producer: BaseProducer = config.create()?;
    for topic in topics {
        producer.client().fetch_metadata(Some(topic), PATIENCE)?;
    }
    let begun = Instant::now();
    for record in records {
        let topic = topics.iter().find(|topic| {
            topic
                .strip_prefix(prefix)
                .is_some_and(|rest| rest[1..] == *kind(record))
        });
        let headers = record.headers.iter().fold(
            OwnedHeaders::new_with_capacity(record.headers.len()),
            |headers, (key, value)| {
                headers.insert(Header {
                    key,
                    value: Some(value),
                })
            },
        );
        let mut message = BaseRecord::to(topic.ok_or("made before")?)
            .key(&record.key)
            .payload(&record.value)
            .headers(headers);
        while let Err((error, back)) = producer.send(message) {
            // the queue is full
            if !matches!(error, KafkaError::MessageProduction(_)) {
                return Err(error.into());
            }
            serve(&producer);
            message = back;
        }
    }
    while producer.in_flight_count() > 0 {
        serve(&producer);
    }
    #[allow(clippy::cast_precision_loss)] // far below 2^52
    Ok(records.len() as f64 / begun.elapsed().as_secs_f64())
}

/// Takes what reports there are, or pauses: rdkafka's `poll` counts what is left of a millisecond as nothing and asks
/// again and again until it is over, which would cost the broker a core.
fn serve(producer: &BaseProducer) {
    let before = producer.in_flight_count();
    producer.poll(Duration::ZERO);
    if producer.in_flight_count() == before {
        std::thread::sleep(Duration::from_micros(250));
    }
}
