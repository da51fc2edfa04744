//! `souk migrate`: brings the database to the version of this program. Forward only.
//!
//! Several may run it at once: both steps take a lock of the database, and whoever comes second finds nothing to do.
//! Servers of the version before keep working meanwhile; they are replaced afterwards.

use sqlx::{PgPool, migrate::Migrator, postgres::PgPoolOptions};

use super::{Failure, reach};
use crate::config::DatabaseConfig;

static MIGRATIONS: Migrator = sqlx::migrate!("../migrations");

/// Migrates the database that the settings name.
pub(super) async fn run(database: &DatabaseConfig) -> Result<(), Failure> {
    reach(database).await?;
    let pool = PgPoolOptions::new()
        .max_connections(2)
        .connect_with(database.connect_options()?)
        .await?;
    let done = migrate(&pool).await;
    pool.close().await;
    done?;
    eprintln!("souk: the database is at version {}", version());
    Ok(())
}

/// Makes what is missing: the tables of the log and beside it, then the schemas of the read models.
pub async fn migrate(pool: &PgPool) -> Result<(), Failure> {
    MIGRATIONS.run(pool).await?;
    projections::migrate_views(pool).await?;
    Ok(())
}

fn version() -> i64 {
    MIGRATIONS
        .iter()
        .map(|migration| migration.version)
        .max()
        .unwrap_or_default()
}
