//! Searching the catalogue by text, on PostgreSQL alone.
//!
//! A product is found when it has all the words that are wanted; where no product that the filters allow has them, by a
//! title that is spelled alike, unless something stands in quotes. Sorted by price, time or title a search is a list like any other. By relevance, those
//! with all words in their title come first, then the others; within both by `ts_rank`, which takes nothing but the
//! product and the text into account, so that the place of a product does not change unless the product does.
//!
//! Ranking looks at every candidate, so their number is bounded: of each of these two groups the newest
//! [`CANDIDATES`] are ranked, and the list ends with them; where there are as many titles, the others are not looked at.
//! The cursor names the oldest candidates, so that later pages rank the same ones, whatever was added meanwhile.

use chrono::{DateTime, Utc};
use domain::ids::ProductId;
use serde::{Deserialize, Serialize};
use sqlx::{Postgres, QueryBuilder, Row, postgres::PgRow};
use uuid::Uuid;

use super::{
    queries::{COLUMNS, ProductFilter, ProductSort, ProductView, push_filter, select},
    text::SearchText,
};
use crate::{
    page::{Direction, Page, PageError, PageRequest, SortValue, time_of},
    read_models::{QueryError, ReadModels},
    views::Schema,
};

/// How many products of each group are ranked, the newest. Measured with 100,000 products: ranking takes some 2 µs for
/// each, and finding the newest of a common word about as much for each that is looked at.
const CANDIDATES: i64 = 500;
/// How many of each group later pages rank at most: the same ones, and some that came to be found meanwhile.
const LATER_CANDIDATES: i64 = 2 * CANDIDATES;
/// How much of a text a title must have in groups of three letters, from 0 to 1 (`word_similarity` of pg_trgm): at 0.4
/// one letter more, less, changed or swapped with the next is found in a word of six.
pub(crate) const ALIKE: &str = "0.4";
/// Steps from a perfect rank to none.
const STEPS: i64 = 1_000_000;

/// How products are found, and which are ranked: the first page says it, and the cursor keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Found {
    /// By titles that are spelled alike instead of by words.
    #[serde(rename = "a", default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) alike: bool,
    /// Only those with all words in their title, since there are enough.
    #[serde(rename = "t", default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) titles: bool,
    /// The oldest that is ranked, by group: its time in microseconds and its id.
    #[serde(rename = "o", default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) oldest: Vec<Option<(i64, Uuid)>>,
}

/// A group of candidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Group {
    /// All words in the title.
    Title,
    /// Not all of them in the title.
    Elsewhere,
    /// A title that is spelled alike.
    Alike,
}

/// A product with how far it is from the best rank.
struct Ranked {
    off: i64,
    product: ProductView,
}

impl ReadModels {
    /// A page of the products that a text finds.
    pub(super) async fn search(
        &self,
        schema: &Schema,
        filter: &ProductFilter,
        text: &SearchText,
        page: &PageRequest<ProductSort>,
    ) -> Result<Page<ProductView>, QueryError> {
        let found = page.note::<Found>()?;
        if let Some(found) = found.or_else(|| page.after.as_ref().map(|_| Found::default())) {
            let mut query = statement(schema, filter, text, page, &found)?;
            let rows = self.rows_of(&mut query, found.alike).await?;
            return page_of(&rows, page, &found);
        }
        let mut found = Found::default();
        let mut rows = Vec::new();
        for alike in [false, true] {
            if alike && text.is_quoted() {
                break;
            }
            found.alike = alike;
            let mut query = statement(schema, filter, text, page, &found)?;
            rows = self.rows_of(&mut query, alike).await?;
            if !rows.is_empty() {
                break;
            }
        }
        if let Some(row) = rows.first().filter(|_| by_relevance(page)) {
            found.oldest = oldest(row, found.groups())?;
            found.titles = !found.alike && row.try_get::<i64, _>("titles")? >= CANDIDATES;
        }
        page_of(&rows, page, &found)
    }

    /// Runs the statement. It is planned anew each time, since everything depends on how common the words are.
    async fn rows_of(
        &self,
        query: &mut QueryBuilder<'_, Postgres>,
        alike: bool,
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        let query = query.build().persistent(false);
        if !alike {
            return query.fetch_all(self.pool()).await;
        }
        // the operator that the index serves takes its threshold from the session
        let mut tx = self.pool().begin().await?;
        sqlx::query("select set_config('pg_trgm.word_similarity_threshold', $1, true)")
            .bind(ALIKE)
            .execute(&mut *tx)
            .await?;
        let rows = query.fetch_all(&mut *tx).await?;
        tx.commit().await?;
        Ok(rows)
    }
}

fn by_relevance(page: &PageRequest<ProductSort>) -> bool {
    page.sort.key == ProductSort::Relevance
}

impl Found {
    fn groups(&self) -> &'static [Group] {
        match (self.alike, self.titles) {
            (true, _) => &[Group::Alike],
            (false, true) => &[Group::Title],
            (false, false) => &[Group::Title, Group::Elsewhere],
        }
    }
}

/// The page of these rows, and the cursor that goes on in the same way.
fn page_of(
    rows: &[PgRow],
    page: &PageRequest<ProductSort>,
    found: &Found,
) -> Result<Page<ProductView>, QueryError> {
    let ranked = |row: &PgRow| -> Result<Ranked, sqlx::Error> {
        Ok(Ranked {
            off: if by_relevance(page) {
                row.try_get("off")?
            } else {
                0
            },
            product: ProductView::from_row(row)?,
        })
    };
    let rows = rows.iter().map(ranked).collect::<Result<Vec<_>, _>>()?;
    // strings and numbers only: cannot fail
    let note = serde_json::to_value(found).ok();
    let place = |row: &Ranked| -> (SortValue, Uuid) {
        let value = match page.sort.key {
            ProductSort::Relevance => SortValue::Integer(row.off),
            key => row.product.sort_value(key),
        };
        let ProductId(id) = row.product.product_id;
        (value, id)
    };
    let Page { items, next } = page.page_noting(rows, place, note);
    Ok(Page {
        items: items.into_iter().map(|row| row.product).collect(),
        next,
    })
}

/// The oldest candidate of each group, as every row of the first page tells it.
fn oldest(row: &PgRow, groups: &[Group]) -> Result<Vec<Option<(i64, Uuid)>>, sqlx::Error> {
    let of = |tier: usize| -> Result<Option<(i64, Uuid)>, sqlx::Error> {
        let at: Option<DateTime<Utc>> = row.try_get(&*format!("oldest_at_{tier}"))?;
        let id: Option<Uuid> = row.try_get(&*format!("oldest_id_{tier}"))?;
        Ok(at.map(|at| at.timestamp_micros()).zip(id))
    };
    (0..groups.len()).map(of).collect()
}

/// The statement that finds a page.
pub(crate) fn statement<'q>(
    schema: &Schema,
    filter: &ProductFilter,
    text: &SearchText,
    page: &PageRequest<ProductSort>,
    found: &Found,
) -> Result<QueryBuilder<'q, Postgres>, PageError> {
    if by_relevance(page) {
        return ranked(schema, filter, text, page, found);
    }
    let mut sql = select(schema);
    push_filter(&mut sql, filter);
    if found.alike {
        push_match(&mut sql, text, Group::Alike);
    } else {
        push_words(&mut sql, "words", text);
        push_unwanted(&mut sql, text);
    }
    page.push_to(&mut sql, "p");
    Ok(sql)
}

/// Finds the candidates of each group, ranks them, and picks a page.
fn ranked<'q>(
    schema: &Schema,
    filter: &ProductFilter,
    text: &SearchText,
    page: &PageRequest<ProductSort>,
    found: &Found,
) -> Result<QueryBuilder<'q, Postgres>, PageError> {
    let first = page.after.is_none();
    let mut sql = QueryBuilder::new("with ");
    for (tier, group) in found.groups().iter().enumerate() {
        sql.push(format_args!(
            "candidates_{tier} as materialized (select c.product_id, c.created_at, "
        ));
        push_rank(&mut sql, text, *group);
        sql.push(" as off from (");
        push_candidates(&mut sql, schema, filter, *group);
        push_match(&mut sql, text, *group);
        if first && *group == Group::Elsewhere {
            // decided before anything is read: where most are found by their titles, the others may be far between
            sql.push(format_args!(
                " and (select count(*) from candidates_0) < {CANDIDATES}"
            ));
        }
        let oldest = found.oldest.get(tier).copied().flatten();
        push_bounds(&mut sql, first, oldest)?;
        sql.push(") c), ");
    }
    push_page(&mut sql, schema, page, found);
    Ok(sql)
}

/// Those that the filters let through, with what their rank is made of.
fn push_candidates(
    sql: &mut QueryBuilder<'_, Postgres>,
    schema: &Schema,
    filter: &ProductFilter,
    group: Group,
) {
    let found_in = match group {
        Group::Title => "title_words",
        Group::Elsewhere => "words",
        Group::Alike => "folded_title",
    };
    sql.push(format_args!(
        "select p.product_id, p.created_at, p.{found_in} as found_in from {schema}.products p"
    ));
    if filter.is_of_stock() {
        sql.push(format_args!(
            " join {schema}.stock s on s.product_id = p.product_id"
        ));
    }
    sql.push(" where true");
    push_filter(sql, filter);
}

/// The newest at first; on later pages all that are not older than the oldest of those, beginning with it, so that what
/// is new since takes nobody's place.
fn push_bounds(
    sql: &mut QueryBuilder<'_, Postgres>,
    first: bool,
    oldest: Option<(i64, Uuid)>,
) -> Result<(), PageError> {
    if let Some((micros, id)) = oldest {
        let at = time_of(micros).ok_or(PageError::InvalidCursor)?;
        sql.push(" and (p.created_at, p.product_id) >= (")
            .push_bind(at)
            .push(", ")
            .push_bind(id)
            .push(")");
    }
    let (order, limit) = if first {
        ("desc", CANDIDATES)
    } else {
        ("asc", LATER_CANDIDATES)
    };
    sql.push(format_args!(
        " order by p.created_at {order}, p.product_id {order} limit {limit}"
    ));
    Ok(())
}

/// How far a candidate is from the best rank, in whole steps. Long texts count less (normalization 1 of `ts_rank`).
fn push_rank(sql: &mut QueryBuilder<'_, Postgres>, text: &SearchText, group: Group) {
    // titles come before everything else
    let least = match group {
        Group::Title | Group::Alike => 0,
        Group::Elsewhere => STEPS + 1,
    };
    sql.push(format_args!("{least} + round({STEPS} * (1 - "));
    if group == Group::Alike {
        sql.push("word_similarity(")
            .push_bind(text.plain().to_owned())
            .push(", c.found_in)");
    } else {
        sql.push("ts_rank(c.found_in, ")
            .push_bind(text.wanted().to_owned())
            .push("::tsquery, 1)");
    }
    sql.push("))::bigint");
}

fn push_match(sql: &mut QueryBuilder<'_, Postgres>, text: &SearchText, group: Group) {
    match group {
        Group::Title => push_words(sql, "title_words", text),
        Group::Elsewhere => {
            push_words(sql, "words", text);
            sql.push(" and not p.title_words @@ ")
                .push_bind(text.wanted().to_owned())
                .push("::tsquery");
        }
        Group::Alike => {
            sql.push(" and ")
                .push_bind(text.plain().to_owned())
                .push(" <% p.folded_title");
        }
    }
    push_unwanted(sql, text);
}

fn push_words(sql: &mut QueryBuilder<'_, Postgres>, column: &str, text: &SearchText) {
    sql.push(format_args!(" and p.{column} @@ "))
        .push_bind(text.wanted().to_owned())
        .push("::tsquery");
}

fn push_unwanted(sql: &mut QueryBuilder<'_, Postgres>, text: &SearchText) {
    if let Some(unwanted) = text.unwanted() {
        sql.push(" and not p.words @@ ")
            .push_bind(unwanted.to_owned())
            .push("::tsquery");
    }
}

/// Picks the page of the candidates, and only then reads the rows.
fn push_page(
    sql: &mut QueryBuilder<'_, Postgres>,
    schema: &Schema,
    page: &PageRequest<ProductSort>,
    found: &Found,
) {
    let tiers = 0..found.groups().len();
    sql.push("candidates as (");
    for tier in tiers.clone() {
        let union = if tier > 0 { " union all " } else { "" };
        sql.push(format_args!(
            "{union}select product_id, off from candidates_{tier}"
        ));
    }
    sql.push(format_args!(") select {COLUMNS}, r.off"));
    if page.after.is_none() {
        sql.push(", (select count(*) from candidates_0) as titles");
        for tier in tiers {
            for (column, name) in [("created_at", "at"), ("product_id", "id")] {
                sql.push(format_args!(
                    ", (select {column} from candidates_{tier} order by created_at, product_id limit 1) as oldest_{name}_{tier}"
                ));
            }
        }
    }
    sql.push(" from (select c.product_id, c.off from candidates c where true");
    page.push_to(sql, "c");
    let order = match page.sort.direction {
        Direction::Asc => "asc",
        Direction::Desc => "desc",
    };
    sql.push(format_args!(
        ") r join {schema}.products p on p.product_id = r.product_id \
         join {schema}.stock s on s.product_id = r.product_id order by r.off {order}, r.product_id {order}"
    ));
}
