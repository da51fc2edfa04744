//! Removing what is over, some rows at a time, so that no statement holds locks for long. What is over is found by an
//! index: its condition compares with the beginning of the statement, which PostgreSQL looks up in an index, as it does
//! not with a clock that goes on meanwhile.

use sqlx::PgPool;

#[cfg(test)]
mod plans;

/// Most rows that one statement removes.
const AT_ONCE: u64 = 5_000;

/// The statement that removes rows of the table whose time in `column` is `age_secs` or more in the past, oldest first.
fn statement(table: &str, column: &str, age_secs: u64) -> String {
    format!(
        "delete from {table} where ctid = any (array(
             select ctid from {table}
             where {column} <= statement_timestamp() - interval '{age_secs} seconds'
             order by {column} limit {AT_ONCE}))"
    )
}

/// Removes all rows of the table whose time in `column` is `age_secs` or more in the past. Returns how many.
pub(crate) async fn remove(
    pool: &PgPool,
    table: &str,
    column: &str,
    age_secs: u64,
) -> Result<u64, sqlx::Error> {
    let statement = statement(table, column, age_secs);
    let mut removed = 0;
    loop {
        let rows = sqlx::query(&statement).execute(pool).await?.rows_affected();
        removed += rows;
        if rows < AT_ONCE {
            return Ok(removed);
        }
    }
}
