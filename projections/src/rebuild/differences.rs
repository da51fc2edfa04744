//! Compares two schemas of one view, row by row.

use sqlx::{Connection, PgConnection, PgPool};

use crate::views::{Schema, View};

/// A row that is not the same in both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The table.
    pub table: String,
    /// Its primary key, as a JSON object.
    pub key: String,
    /// What is different.
    pub found: Found,
}

/// How the rows of a key differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// The second schema has none.
    OnlyInFirst,
    /// The first schema has none.
    OnlyInSecond,
    /// Both have one, with other values.
    Changed,
}

/// Why two schemas cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// A table is not there, or has no primary key.
    #[error("{schema}.{table} is not a table with a primary key")]
    Missing {
        /// Where.
        schema: Schema,
        /// Which.
        table: String,
    },
    /// The database cannot serve now.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// The rows of `view` that differ between two schemas, at most `limit` of each table. Every column is compared; none of
/// them depends on how the events were batched. All tables are of one moment, but the two schemas are only comparable
/// when both have taken the same events.
pub async fn differences(
    pool: &PgPool,
    view: View,
    first: &Schema,
    second: &Schema,
    limit: u32,
) -> Result<Vec<Difference>, CompareError> {
    let mut connection = pool.acquire().await?;
    let mut tx = connection
        .begin_with("begin isolation level repeatable read read only")
        .await?;
    let mut found = Vec::new();
    for table in view.tables() {
        let key = primary_key(first, table, &mut tx).await?;
        if primary_key(second, table, &mut tx).await? != key {
            return Err(CompareError::Missing {
                schema: second.clone(),
                table: table.to_owned(),
            });
        }
        compare(table, &key, [first, second], limit, &mut found, &mut tx).await?;
    }
    tx.rollback().await?;
    Ok(found)
}

async fn primary_key(
    schema: &Schema,
    table: &str,
    connection: &mut PgConnection,
) -> Result<Vec<String>, CompareError> {
    let columns: Vec<String> = sqlx::query_scalar(
        "select a.attname::text from pg_index i \
         join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any(i.indkey) \
         where i.indrelid = to_regclass($1) and i.indisprimary order by a.attnum",
    )
    .bind(format!("{schema}.{table}"))
    .fetch_all(connection)
    .await?;
    if columns.is_empty() {
        return Err(CompareError::Missing {
            schema: schema.clone(),
            table: table.to_owned(),
        });
    }
    Ok(columns)
}

async fn compare(
    table: &str,
    key: &[String],
    [first, second]: [&Schema; 2],
    limit: u32,
    found: &mut Vec<Difference>,
    connection: &mut PgConnection,
) -> Result<(), sqlx::Error> {
    let on: Vec<String> = key
        .iter()
        .map(|name| format!("x.{name} = y.{name}"))
        .collect();
    let object: Vec<String> = key
        .iter()
        .map(|name| format!("'{name}', coalesce(x.{name}, y.{name})"))
        .collect();
    let (on, object, one) = (on.join(" and "), object.join(", "), &key[0]);
    let rows: Vec<(String, bool, bool)> = sqlx::query_as(&format!(
        "select json_build_object({object})::text, x.{one} is not null, y.{one} is not null \
         from {first}.{table} x full join {second}.{table} y on {on} \
         where x.* is distinct from y.* limit $1"
    ))
    .bind(i64::from(limit))
    .fetch_all(connection)
    .await?;
    found.extend(
        rows.into_iter()
            .map(|(key, in_first, in_second)| Difference {
                table: table.to_owned(),
                key,
                found: match (in_first, in_second) {
                    (true, false) => Found::OnlyInFirst,
                    (false, _) => Found::OnlyInSecond,
                    (true, true) => Found::Changed,
                },
            }),
    );
    Ok(())
}
