//! Has queries go to the read models of this binary once those hold what the log held a moment ago.
//!
//! A binary that raises the version of a view makes the new schema beside the old one, and its projector fills it. Until
//! it has caught up, the pointer stays: servers of the version before go on to answer from the old schema, and this one
//! says that the view is being built. A pointer to a newer version is left alone: whoever goes back to an older binary
//! decides by hand.

use std::time::Duration;

use eventstore::{EventLog, position::Position};
use sqlx::PgPool;

use crate::views::View;

/// How often the views are looked at; what they must have taken to be promoted is what the log held the last time.
const EVERY: Duration = Duration::from_secs(1);

/// Returns when queries for every view go to this binary's version or to a newer one.
pub async fn promote(log: EventLog) {
    let mut held = None;
    loop {
        match step(&log, &mut held).await {
            Ok(behind) if behind.is_empty() => return,
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "read models that have caught up are not promoted yet");
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}

async fn step(log: &EventLog, held: &mut Option<Position>) -> Result<Vec<View>, sqlx::Error> {
    let left = if let Some(held) = *held {
        promote_those_at(log, held).await?
    } else {
        let behind = behind(log.background_pool()).await?;
        behind.into_iter().map(|(view, _)| view).collect()
    };
    *held = Some(log.head().await?.position);
    Ok(left)
}

/// Has queries go to the views that hold all up to this position; returns those that do not yet.
pub async fn promote_those_at(log: &EventLog, held: Position) -> Result<Vec<View>, sqlx::Error> {
    let pool = log.background_pool();
    let mut left = Vec::new();
    for (view, from) in behind(pool).await? {
        if !promote_if_at(pool, view, &from, held).await? {
            left.push(view);
        }
    }
    Ok(left)
}

/// The views whose queries go to a version before this binary's, and where they go.
async fn behind(pool: &PgPool) -> Result<Vec<(View, String)>, sqlx::Error> {
    let pointers: Vec<(String, String)> = sqlx::query_as("select name, schema from view_pointers")
        .fetch_all(pool)
        .await?;
    let older = |(name, schema): (String, String)| {
        let view: View = name.parse().ok()?;
        view.is_older(&schema).then_some((view, schema))
    };
    Ok(pointers.into_iter().filter_map(older).collect())
}

/// However many processes do it, and of whichever versions, the pointer goes forward only.
async fn promote_if_at(
    pool: &PgPool,
    view: View,
    from: &str,
    held: Position,
) -> Result<bool, sqlx::Error> {
    let schema = view.schema();
    let promoted = sqlx::query(
        "update view_pointers set schema = $2, switched_at = clock_timestamp() where name = $1 \
         and schema = $4 and exists (select from subscriptions where name = $2 and position >= $3)",
    )
    .bind(view.name())
    .bind(schema.as_str())
    .bind(held.0)
    .bind(from)
    .execute(pool)
    .await?;
    let done = promoted.rows_affected() > 0;
    if done {
        tracing::info!(%view, %schema, "the read model has caught up: queries go to it");
    }
    Ok(done)
}
