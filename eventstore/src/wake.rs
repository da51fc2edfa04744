//! Waking readers in other processes: NOTIFY after the commit, LISTEN here, and a poll in case either is lost.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

use crate::{append::bounded, feed::Feed, position::Position, store::Store};

/// At most one notification in this time: under load one wakes the readers for many batches.
const NOTIFY_SPACING: Duration = Duration::from_millis(5);
/// How often the head is read when no notification comes.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Tells other processes how far the log reaches. Ends when `committed` closes.
pub(crate) async fn notify(store: Arc<dyn Store>, mut committed: watch::Receiver<Position>) {
    while committed.changed().await.is_ok() {
        let position = *committed.borrow_and_update();
        if let Err(error) = bounded(store.notify(position)).await {
            tracing::debug!(%error, "notification not sent; readers poll");
        }
        tokio::time::sleep(NOTIFY_SPACING).await;
    }
}

/// Hears of commits of other processes and tells the feed, for as long as it is polled.
pub(crate) async fn listen(store: Arc<dyn Store>, feed: Arc<Feed>) {
    loop {
        if let Err(error) = listen_on(&*store, &feed).await {
            tracing::debug!(%error, "not listening; polling");
        }
        poll(&*store, &feed).await;
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

async fn listen_on(store: &dyn Store, feed: &Feed) -> Result<(), sqlx::Error> {
    let mut listener = bounded(store.listen()).await?;
    loop {
        match tokio::time::timeout(POLL_INTERVAL, listener.next()).await {
            Ok(Ok(Some(position))) => feed.observe(position),
            Ok(Err(error)) => return Err(error),
            // the connection was lost and is made again at the next call, or nothing came for a while
            Ok(Ok(None)) | Err(_) => poll(store, feed).await,
        }
    }
}

async fn poll(store: &dyn Store, feed: &Feed) {
    // taken before the read: what is known by now must be there
    let known = feed.known();
    match bounded(store.head()).await {
        Ok(head) if head.position < known || feed.contradicts(head) => {
            tracing::warn!(position = %head.position, %known, "the log is another one: restored, or a standby took over");
            feed.reset();
            feed.observe(head.position);
        }
        Ok(head) => feed.observe(head.position),
        Err(error) => tracing::debug!(%error, "head not read"),
    }
}
