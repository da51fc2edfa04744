//! The words of titles, each with how many products that were not deleted have it in theirs. There are far fewer words
//! than titles, so that the one most like a spelling mistake is found quickly.

use std::collections::{BTreeSet, HashMap};

use sqlx::PgConnection;
use uuid::Uuid;

use super::{catalogue::ProductRow, words::words};
use crate::views::Schema;

/// The advisory lock of [`exchange`] ('word' in ASCII).
const LOCK: i64 = 0x776f_7264;

/// Exchanges the words of these products' titles as they are stored for those of the titles that will be stored next.
pub(super) async fn exchange(
    schema: &Schema,
    rows: &HashMap<Uuid, ProductRow>,
    tx: &mut PgConnection,
) -> Result<(), sqlx::Error> {
    let shown = rows.values().filter(|row| !row.deleted);
    let words: Vec<String> = shown
        .flat_map(|row| words(&row.title).into_iter().collect::<BTreeSet<_>>())
        .collect();
    let products: Vec<Uuid> = rows.keys().copied().collect();
    // somebody may be retrying a parked product meanwhile, and hold words of several: one after the other
    sqlx::query("select pg_advisory_xact_lock($1)")
        .bind(LOCK)
        .execute(&mut *tx)
        .await?;
    // by their key
    let sql = schema.sql(
        "insert into {schema}.vocabulary as known (word, titles) \
         select word, sum(n) from ( \
             select unnest($2::text[]) as word, 1 as n \
             union all \
             select unnest(tsvector_to_array(title_words)), -1 from {schema}.products \
             where product_id = any($1) and not deleted) changed \
         group by word having sum(n) <> 0 \
         on conflict (word) do update set titles = known.titles + excluded.titles returning word, titles",
    );
    let changed: Vec<(String, i64)> = sqlx::query_as(&sql)
        .bind(products)
        .bind(words)
        .fetch_all(&mut *tx)
        .await?;
    let gone = changed.into_iter().filter(|(_, titles)| *titles == 0);
    let gone: Vec<String> = gone.map(|(word, _)| word).collect();
    if !gone.is_empty() {
        let sql = schema.sql("delete from {schema}.vocabulary where word = any($1)");
        sqlx::query(&sql).bind(gone).execute(tx).await?;
    }
    Ok(())
}

/// Counts the words of all titles, into a table that has none.
pub(super) async fn count(
    schema: &Schema,
    connection: &mut PgConnection,
) -> Result<(), sqlx::Error> {
    let sql = schema.sql(
        "insert into {schema}.vocabulary (word, titles) \
         select word, count(*) from {schema}.products, unnest(tsvector_to_array(title_words)) as word \
         where not deleted group by word",
    );
    sqlx::query(&sql).execute(connection).await?;
    Ok(())
}
