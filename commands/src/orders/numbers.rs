//! Numbers of orders: counted up by the database, a block at a time, so that an order costs no round trip for its number.
//! No number is given twice; what a process has taken and not given out when it stops is skipped.

use std::{ops::Range, sync::Arc};

use domain::order::OrderNumber;
use sqlx::PgPool;
use tokio::sync::Mutex;

use crate::failure::Failure;

/// How many are taken at a time: what the migration counts in.
const BLOCK: i64 = 100;

/// Gives out numbers; clones share one block.
#[derive(Clone, Debug)]
pub(crate) struct OrderNumbers {
    pool: PgPool,
    left: Arc<Mutex<Range<i64>>>,
}

impl OrderNumbers {
    /// Numbers of the shop on that database.
    pub(crate) fn of(pool: PgPool) -> Self {
        Self {
            pool,
            left: Arc::new(Mutex::new(0..0)),
        }
    }

    /// Has those given out first that are in the range.
    #[cfg(feature = "testing")]
    pub(crate) fn beginning_with(self, numbers: Range<i64>) -> Self {
        Self {
            left: Arc::new(Mutex::new(numbers)),
            ..self
        }
    }

    /// The next one.
    pub(crate) async fn next(&self) -> Result<OrderNumber, Failure> {
        // held while a block is taken: who comes meanwhile waits for it instead of taking another
        let mut left = self.left.lock().await;
        if left.is_empty() {
            let first: i64 = sqlx::query_scalar("select nextval('order_numbers')")
                .fetch_one(&self.pool)
                .await
                .map_err(|error| Failure::Unavailable(error.to_string()))?;
            *left = first..first.saturating_add(BLOCK);
        }
        let number = left.start;
        left.start += 1;
        Ok(OrderNumber(number))
    }
}
