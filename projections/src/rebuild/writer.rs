//! What a rebuild writes: one connection that does what it is handed, in order, each piece in a transaction of its own.

use eventstore::subscription::HandleError;
use futures::future::BoxFuture;
use sqlx::PgConnection;
use tokio::sync::{mpsc, oneshot};

use super::layout::Layout;

/// Most pieces of work that wait for the connection: a few megabytes.
const WAITING_JOBS: usize = 4;

type Job = Box<dyn for<'t> FnOnce(&'t mut Target) -> BoxFuture<'t, Result<(), HandleError>> + Send>;

/// The writing side has ended; it says itself why.
#[derive(Debug)]
pub(crate) struct Closed;

/// The schema that is being filled.
pub(crate) struct Target {
    pub(crate) connection: PgConnection,
    /// The keys and indexes that are still to be made.
    pub(crate) layout: Layout,
}

impl Target {
    /// Makes the primary key of a table, where that was not done yet: for one that is to be read by key before all is
    /// written.
    pub(crate) async fn key(&mut self, table: &str) -> Result<(), HandleError> {
        if let Some(statement) = self.layout.take_key(table) {
            sqlx::query(&statement)
                .execute(&mut self.connection)
                .await?;
        }
        Ok(())
    }

    async fn copy(&mut self, statement: &str, rows: Vec<u8>) -> Result<(), HandleError> {
        let mut copy = self.connection.copy_in_raw(statement).await?;
        copy.send(rows).await?;
        copy.finish().await?;
        Ok(())
    }

    /// Does what it is handed until nobody hands it anything.
    pub(super) async fn run(mut self, mut jobs: mpsc::Receiver<Job>) -> Result<Self, HandleError> {
        while let Some(job) = jobs.recv().await {
            job(&mut self).await?;
        }
        Ok(self)
    }
}

/// The end where work for the [`Target`] is handed in. For a thread that may block.
pub(crate) struct Writer {
    jobs: mpsc::Sender<Job>,
}

impl Writer {
    pub(super) fn new() -> (Self, mpsc::Receiver<Job>) {
        let (jobs, queue) = mpsc::channel(WAITING_JOBS);
        (Self { jobs }, queue)
    }

    /// Has rows copied into a table.
    pub(crate) fn copy(&self, statement: String, rows: Vec<u8>) -> Result<(), Closed> {
        self.run(move |target| Box::pin(async move { target.copy(&statement, rows).await }))
    }

    /// Has something done after all that was handed in before.
    pub(crate) fn run<F>(&self, job: F) -> Result<(), Closed>
    where
        F: for<'t> FnOnce(&'t mut Target) -> BoxFuture<'t, Result<(), HandleError>>
            + Send
            + 'static,
    {
        self.jobs.blocking_send(Box::new(job)).map_err(|_| Closed)
    }

    /// Has something read after all that was handed in before was written.
    pub(crate) fn read<T, F>(&self, job: F) -> Result<T, Closed>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Target) -> BoxFuture<'t, Result<T, HandleError>> + Send + 'static,
    {
        let (answer, read) = oneshot::channel();
        self.run(move |target| {
            Box::pin(async move {
                // whoever asked has ended when nobody listens
                let _ = answer.send(job(target).await?);
                Ok(())
            })
        })?;
        read.blocking_recv().map_err(|_| Closed)
    }
}
