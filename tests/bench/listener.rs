//! A client of the stock feed, as a storefront would be: notes when each change of stock came.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use eventstore::position::Head;
use sqlx::PgPool;
use tests::{feed::Feed, server::Server};
use tokio::{sync::watch, task::JoinHandle};

use crate::{env::Outcome, latency::milliseconds, market::PATIENCE};

/// Position of each change that came, and when it came.
type Came = Arc<Mutex<Vec<(i64, DateTime<Utc>)>>>;

/// A client that listens.
pub(crate) struct Listener {
    came: Came,
    last: watch::Receiver<i64>,
    task: JoinHandle<()>,
}

impl Listener {
    /// Listens at this server from now on.
    pub(crate) async fn start(server: &Server) -> Self {
        let mut feed = Feed::open(&server.address, "", None).await;
        let came = Came::default();
        let (reached, last) = watch::channel(0);
        let arrivals = came.clone();
        let task = tokio::spawn(async move {
            while let Some(told) = feed.next_within(PATIENCE).await {
                let at = Utc::now();
                let head = told.id.and_then(|id| id.parse::<Head>().ok());
                let Some(head) = head else { continue };
                let mut arrivals = arrivals.lock().unwrap_or_else(PoisonError::into_inner);
                arrivals.push((head.position.0, at));
                drop(arrivals);
                reached.send_replace(head.position.0);
            }
        });
        Self { came, last, task }
    }

    /// Waits until the last change of stock in the log came. Returns how long each behind `since` took from its commit,
    /// and fails unless all of them came once and in order.
    pub(crate) async fn end(mut self, pool: &PgPool, since: i64) -> Outcome<Vec<f64>> {
        let sql = "select position, recorded_at from events where aggregate_type = 'inventory' and position > $1 \
            order by position";
        let events: Vec<(i64, DateTime<Utc>)> =
            sqlx::query_as(sql).bind(since).fetch_all(pool).await?;
        let end = events.last().ok_or("no stock has changed")?.0;
        let all = tokio::time::timeout(PATIENCE, self.last.wait_for(|last| *last >= end));
        let all = all.await.is_ok_and(|waited| waited.is_ok());
        self.task.abort();
        let came = self.came.lock().unwrap_or_else(PoisonError::into_inner);
        let came: Vec<_> = came.iter().filter(|(at, _)| *at > since).collect();
        let same = came.iter().map(|it| it.0).eq(events.iter().map(|it| it.0));
        if !all || !same {
            return Err(format!("{} of {} changes came in order", came.len(), events.len()).into());
        }
        let delays = events.iter().zip(came);
        Ok(delays
            .map(|((_, recorded_at), (_, came_at))| milliseconds(*recorded_at, *came_at))
            .collect())
    }
}
