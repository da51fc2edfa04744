//! Waking readers in other processes: NOTIFY after the commit, LISTEN here, and a poll in case either is lost.
//!
//! The notification is sent from another connection than the one that appends, because a transaction with a NOTIFY in
//! it takes a lock that all such transactions share.

use std::{sync::Arc, time::Duration};

use sqlx::{PgPool, postgres::PgListener};
use tokio::sync::watch;

use crate::{
    append::{bounded, read_head},
    feed::Feed,
    position::Position,
};

/// Channel of the notifications; the payload is a position.
const CHANNEL: &str = "souk_log";
/// At most one notification in this time: under load one wakes the readers for many batches.
const NOTIFY_SPACING: Duration = Duration::from_millis(5);
/// How often the head is read when no notification comes.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Tells other processes how far the log reaches. Ends when `committed` closes.
pub(crate) async fn notify(pool: PgPool, mut committed: watch::Receiver<Position>) {
    while committed.changed().await.is_ok() {
        let position = *committed.borrow_and_update();
        let sent = sqlx::query("select pg_notify($1, $2)")
            .bind(CHANNEL)
            .bind(position.to_string())
            .execute(&pool)
            .await;
        if let Err(error) = sent {
            tracing::debug!(%error, "notification not sent; readers poll");
        }
        tokio::time::sleep(NOTIFY_SPACING).await;
    }
}

/// Hears of commits of other processes and tells the feed, for as long as it is polled.
pub(crate) async fn listen(pool: PgPool, feed: Arc<Feed>) {
    loop {
        if let Err(error) = listen_on(&pool, &feed).await {
            tracing::debug!(%error, "not listening; polling");
        }
        poll(&pool, &feed).await;
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

async fn listen_on(pool: &PgPool, feed: &Feed) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    loop {
        match tokio::time::timeout(POLL_INTERVAL, listener.try_recv()).await {
            Ok(Ok(Some(notification))) => {
                if let Ok(position) = notification.payload().parse() {
                    feed.observe(Position(position));
                }
            }
            Ok(Err(error)) => return Err(error),
            // the connection was lost and is made again at the next call, or nothing came for a while
            Ok(Ok(None)) | Err(_) => poll(pool, feed).await,
        }
    }
}

async fn poll(pool: &PgPool, feed: &Feed) {
    // taken before the read: what is known by now must be there
    let known = feed.known();
    let head = async { read_head(&mut *pool.acquire().await?).await };
    match bounded(head).await {
        Ok(head) if head.position < known || feed.contradicts(head) => {
            tracing::warn!(position = %head.position, %known, "the log is another one: restored, or a standby took over");
            feed.reset();
            feed.observe(head.position);
        }
        Ok(head) => feed.observe(head.position),
        Err(error) => tracing::debug!(%error, "head not read"),
    }
}
