//! The lease of a subscription: who leads, by the store's clock, with an epoch that grows with every take-over.

use std::time::Duration;

use uuid::Uuid;

use super::ledger::Leases;

/// How long a lease lasts without being renewed: take-over from a dead process takes about this long.
pub(super) const LEASE_DURATION: Duration = Duration::from_secs(5);
/// How often it is renewed, and how often others ask for it.
pub(super) const RENEW_INTERVAL: Duration = Duration::from_millis(1_500);

/// A lease that was taken; it may have been lost since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The subscription.
    pub name: String,
    /// Grows with every take-over.
    pub epoch: i64,
    pub(crate) holder: Uuid,
}

impl Lease {
    /// Takes the lease if nobody holds it.
    pub(super) async fn take(
        leases: &dyn Leases,
        name: &str,
        holder: Uuid,
    ) -> Result<Option<Self>, sqlx::Error> {
        let epoch = in_time(leases.take(name, holder, LEASE_DURATION)).await?;
        Ok(epoch.map(|epoch| Self {
            name: name.to_owned(),
            epoch,
            holder,
        }))
    }

    /// Extends the lease; false when somebody else has taken it over.
    pub(super) async fn renew(&self, leases: &dyn Leases) -> Result<bool, sqlx::Error> {
        in_time(leases.extend(self, LEASE_DURATION)).await
    }

    /// Gives the lease up, so that another process need not wait for its end.
    pub(super) async fn release(&self, leases: &dyn Leases) -> Result<(), sqlx::Error> {
        in_time(leases.extend(self, Duration::ZERO))
            .await
            .map(|_| ())
    }
}

/// An answer that takes longer than a lease lasts is worth nothing, and one that never comes must stop nobody for good.
async fn in_time<T>(asked: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    tokio::time::timeout(LEASE_DURATION, asked)
        .await
        .unwrap_or_else(|_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())))
}
