//! The payment saga with a backlog: every order's timer is armed and due before the runner starts.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use commands::{
    CommandSettings, Commands,
    gateway::FakeGateway,
    saga::{NAME as SUBSCRIPTION, SagaSettings, payment_saga},
};
use eventstore::{
    position::Position,
    sealing::{MasterKey, Vault},
    subscription::Subscriptions,
};

use crate::{
    env::{Env, Outcome, median},
    load::{Load, Pace, Until},
    market::{self, Market, PATIENCE},
    report::{Bound, Figure, Row},
};

const NAME: &str = "saga-backlog";

/// Orders that wait for their payment.
const BACKLOG: usize = 100_000;

/// The row, where it is wanted.
pub(crate) async fn run(env: &Env) -> Outcome<Vec<Row>> {
    if !env.wants(NAME) {
        return Ok(Vec::new());
    }
    let backlog = env.sized(BACKLOG, 500) as u64;
    let (mut plain, mut ours) = (vec![env.plain_32().await?], Vec::new());
    for _ in 0..env.passes() {
        ours.push(pass(env, backlog).await?);
        plain.push(env.plain_32().await?);
    }
    let notes = vec![format!(
        "The passes: {}.",
        ours.iter()
            .map(|rate| format!("{rate:.0}/s"))
            .collect::<Vec<_>>()
            .join(", ")
    )];
    Ok(vec![Row {
        name: NAME,
        what: "saga: payments decided from a backlog of 100,000 due timers",
        measured: Figure::new(median(&mut ours), "payments/s"),
        baseline: Some(Figure::new(median(&mut plain), "orders/s")),
        bound: Bound::AtLeast {
            floor: 1.0,
            aim: 3.0,
        },
        explanation: "The orders are placed over HTTP and their timers armed by the saga's subscription while no runner \
            runs; once all are due, a server of the role `saga` starts. Each payment is two units of work (the attempt is \
            committed, the fake gateway is asked, what it said is committed) over order, payment and inventory. Counted \
            from the first attempt in the log to the last order paid; against plain at the store, 32 in flight. No load runs \
            meanwhile.",
        held_by: "the fake gateway's book is in the same database, on the same cores, and a charge there is a commit.",
        notes,
    }])
}

/// Payments per second of one backlog.
async fn pass(env: &Env, backlog: u64) -> Outcome<f64> {
    let market = Market::open(env.quick).await?;
    let server = market.serve("api").await;
    let plan = market.plan(&server, Pace::Closed, Until::Orders(backlog));
    Load::run(&plan).await?;
    market::stop(server).await?;
    arm(&market).await?;
    let armed: i64 = sqlx::query_scalar("select count(*) from timers")
        .fetch_one(market.pool())
        .await?;
    if armed != i64::try_from(backlog)? {
        return Err(format!("{armed} timers for {backlog} orders").into());
    }
    due(&market).await?;

    let before = market.head().await;
    let server = market.serve("saga").await;
    market.settled(Some(SUBSCRIPTION)).await?;
    market::stop(server).await?;
    // two statements of the log, not of a clock of ours: starting up and noticing the end are not in it
    let (paid, seconds): (i64, f64) = sqlx::query_as(
        "select count(*) filter (where event_type = 'OrderPaid'), \
            extract(epoch from max(recorded_at) - min(recorded_at))::float8 \
         from events where position > $1",
    )
    .bind(before)
    .fetch_one(market.pool())
    .await?;
    if paid != armed {
        return Err(format!("{paid} of {armed} orders were paid").into());
    }
    market.close().await;
    #[allow(clippy::cast_precision_loss)] // far below 2^52
    Ok(paid as f64 / seconds)
}

/// Has the saga's subscription arm the timers of all orders, with no runner about.
async fn arm(market: &Market) -> Outcome<()> {
    let log = market.shop.database().open_log().await;
    let vault = Vault::new(
        log.pool().clone(),
        MasterKey::from_base64(&MasterKey::generate_base64()?)?,
    );
    let commands = Commands::new(log.clone(), vault, CommandSettings::default());
    let gateway = Arc::new(FakeGateway::new(log.pool()));
    let (saga, _runner) = payment_saga(commands, gateway, SagaSettings::default());
    let subscriptions = Subscriptions::new(log.clone());
    subscriptions.spawn(saga).await;
    let head = Position(market.head().await);
    let armed = subscriptions.wait_for(SUBSCRIPTION, head, PATIENCE).await;
    subscriptions.close().await;
    log.close().await;
    Ok(armed?)
}

/// Waits until every timer is due.
async fn due(market: &Market) -> Outcome<()> {
    let sql = "select not exists (select from timers where due_at > clock_timestamp())";
    let begun = Instant::now();
    while !sqlx::query_scalar::<_, bool>(sql)
        .fetch_one(market.pool())
        .await?
    {
        if begun.elapsed() > PATIENCE {
            return Err("the timers do not fall due".into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
