//! Removing what is over, some rows at a time, so that no statement holds locks for long. What is over is found by an
//! index: its condition compares with the beginning of the statement, which PostgreSQL looks up in an index, as it does
//! not with a clock that goes on meanwhile. Rows that somebody holds are left for the next time: nobody waits for another.

use std::time::Duration;

use sqlx::PgPool;

#[cfg(test)]
mod plans;

/// Most rows that one statement removes.
const AT_ONCE: u64 = 5_000;

/// The statement that removes rows of the table whose time in `column` is `age` or more in the past, oldest first.
fn statement(table: &str, column: &str, age: Duration) -> String {
    let seconds = age.as_secs_f64();
    format!(
        "delete from {table} where ctid = any (array(
             select ctid from {table}
             where {column} <= statement_timestamp() - interval '{seconds} seconds'
             order by {column} limit {AT_ONCE} for update skip locked))"
    )
}

/// Removes all rows of the table whose time in `column` is `age` or more in the past. Returns how many.
pub(crate) async fn remove(
    pool: &PgPool,
    table: &str,
    column: &str,
    age: Duration,
) -> Result<u64, sqlx::Error> {
    let statement = statement(table, column, age);
    let mut removed = 0;
    loop {
        let rows = sqlx::query(&statement).execute(pool).await?.rows_affected();
        removed += rows;
        if rows < AT_ONCE {
            return Ok(removed);
        }
    }
}
