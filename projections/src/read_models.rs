//! The handle that all queries go through. It knows which schema is live for each view; the queries themselves are
//! methods beside their read model (`orders::queries` and so on).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use eventstore::subscription::is_parked;
use sqlx::PgPool;

use crate::{
    page::PageError,
    views::{Schema, View},
};

/// How long the pointers are taken as read: a switch is noticed after this at the latest, and the schema that it
/// leaves is kept for longer.
const POINTER_TTL: Duration = Duration::from_secs(1);

/// Why a query was not answered.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The page asked for is not one: the caller's mistake.
    #[error(transparent)]
    Page(#[from] PageError),
    /// The tables of the view were not made yet: `migrate_views` has not run.
    #[error("the read model {0} does not exist yet")]
    Missing(View),
    /// Queries still go to the schema of a version before this binary's: the new one has not caught up.
    #[error("the read model {0} of this version is being built")]
    BeingBuilt(View),
    /// The list was begun by the search engine, whose order only that knows, and it cannot serve now.
    #[error("the search engine that the list was begun with does not answer")]
    EngineAway,
    /// The database cannot serve now.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

type Pointers = Arc<HashMap<View, Schema>>;

/// Queries over the live read models; cheap to clone.
#[derive(Clone)]
pub struct ReadModels {
    pool: PgPool,
    pointers: Arc<Mutex<Option<(Instant, Pointers)>>>,
}

impl ReadModels {
    /// Over the views in this database.
    pub fn new(pool: PgPool) -> Self {
        Self {
            pool,
            pointers: Arc::default(),
        }
    }

    /// The schema that is live for a view; also the name of the subscription that feeds it, to wait for.
    pub async fn schema(&self, view: View) -> Result<Schema, QueryError> {
        let pointers = match self.cached() {
            Some(pointers) => pointers,
            None => self.fetch().await?,
        };
        let schema = pointers.get(&view).ok_or(QueryError::Missing(view))?;
        if view.is_older(schema.as_str()) {
            return Err(QueryError::BeingBuilt(view));
        }
        Ok(schema.clone())
    }

    /// Whether a row lags behind because its key is parked. Keys are the ids of the rows: of the order (also in the
    /// timeline), the product, the payment, the region.
    pub async fn is_degraded(
        &self,
        view: View,
        key: impl std::fmt::Display + Send,
    ) -> Result<bool, QueryError> {
        let schema = self.schema(view).await?;
        Ok(is_parked(&self.pool, schema.as_str(), &key.to_string()).await?)
    }

    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
    }

    fn cached(&self) -> Option<Pointers> {
        let cached = self.pointers.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, pointers) = cached.as_ref()?;
        (since.elapsed() < POINTER_TTL).then(|| pointers.clone())
    }

    async fn fetch(&self) -> Result<Pointers, sqlx::Error> {
        let rows: Vec<(String, String)> = sqlx::query_as("select name, schema from view_pointers")
            .fetch_all(&self.pool)
            .await?;
        // views of a newer binary are not ours to read
        let known =
            |(name, schema): &(String, String)| Some((name.parse().ok()?, Schema::parse(schema)?));
        let pointers: Pointers = Arc::new(rows.iter().filter_map(known).collect());
        let mut cached = self.pointers.lock().unwrap_or_else(PoisonError::into_inner);
        // none yet: the views are about to be made, so ask again next time
        if !pointers.is_empty() {
            *cached = Some((Instant::now(), pointers.clone()));
        }
        Ok(pointers)
    }
}
