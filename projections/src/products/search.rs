//! Searching the catalogue by text, on PostgreSQL alone.
//!
//! A product is found when it has all the words that are wanted. Where no product that the filters allow has them, words
//! that no product has are spelled as in the titles that have one most like them, and that is searched for, unless
//! something stands in quotes. Sorted by price, time or title a search is a list like any other. By relevance, those
//! with all words in their title come first, then the others; within both by `ts_rank`, which takes nothing but the
//! product and the text into account, so that the place of a product does not change unless the product does.
//!
//! Ranking looks at every candidate, so their number is bounded: of each of these two groups the newest
//! [`CANDIDATES`] are ranked, and the list ends with them; where there are as many titles, the others are not looked at.
//! The cursor names the oldest candidates, and the text as it was spelled, so that later pages rank the same ones,
//! whatever was added meanwhile.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use domain::ids::ProductId;
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, Postgres, QueryBuilder, Row, postgres::PgRow};
use uuid::Uuid;

use super::{
    queries::{COLUMNS, ProductFilter, ProductSort, ProductView, push_filter},
    text::SearchText,
};
use crate::{
    page::{Direction, Page, PageError, PageRequest, SortKey, SortValue, time_of},
    read_models::{QueryError, ReadModels},
    views::Schema,
};

/// How many products of each group are ranked, the newest. To find those of a word that one product in ten has takes ten
/// times as many looks; 6,000 took 6 ms on a busy machine.
const CANDIDATES: i64 = 250;
/// How many of each group later pages rank at most: the same ones, and some that came to be found meanwhile.
const LATER_CANDIDATES: i64 = 2 * CANDIDATES;
/// Steps from a perfect rank to none.
const STEPS: i64 = 1_000_000;
/// How much of a word a title must have in groups of three letters, from 0 to 1 (`word_similarity` of pg_trgm): at 0.45
/// one letter more, less or changed is found in a word of five.
pub(crate) const ALIKE: &str = "0.45";
/// The operator that the index serves takes its threshold from the session. What else the planner might do is to compare
/// all titles until there are enough that are alike, and it takes comparing for cheaper than it is.
pub(crate) const SESSION: &str = "select set_config('pg_trgm.word_similarity_threshold', $1, true), \
     set_config('enable_seqscan', 'off', true), set_config('enable_indexscan', 'off', true)";
/// Titles that are looked at for a word that is most like one.
const ALIKE_TITLES: i64 = 200;
/// Words that are looked up at most; nobody who types more wants each of them corrected.
const MOST_RESPELLED: usize = 8;

/// What is searched for and which candidates are ranked: the first page says it, and the cursor keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Found {
    /// The text as it was spelled instead.
    #[serde(rename = "q", default, skip_serializing_if = "Option::is_none")]
    respelled: Option<String>,
    /// Only those with all words in their title, since there are enough.
    #[serde(rename = "t", default, skip_serializing_if = "std::ops::Not::not")]
    titles: bool,
    /// The oldest that is ranked, by group: its time in microseconds and its id.
    #[serde(rename = "o", default, skip_serializing_if = "Vec::is_empty")]
    oldest: Vec<Option<(i64, Uuid)>>,
}

/// A group of candidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Group {
    /// All words in the title.
    Title,
    /// Not all of them in the title.
    Elsewhere,
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
        if let Some(found) = page.note::<Found>()? {
            let respelled = found.respelled.as_deref().map(SearchText::read);
            let text = match &respelled {
                Some(respelled) => respelled.as_ref().ok_or(PageError::InvalidCursor)?,
                None => text,
            };
            let rows = self.rows_of(schema, filter, text, page, &found).await?;
            return page_of(&rows, page, &found);
        }
        if page.after.is_some() {
            // of a list without a text
            return Err(PageError::InvalidCursor.into());
        }
        let mut found = Found::default();
        let mut rows = self.rows_of(schema, filter, text, page, &found).await?;
        if rows.is_empty()
            && let Some(respelled) = self.respelled(schema, text).await?
            && let Some(other) = SearchText::read(&respelled)
        {
            found.respelled = Some(respelled);
            rows = self.rows_of(schema, filter, &other, page, &found).await?;
        }
        if let Some(row) = rows.first().filter(|_| by_relevance(page)) {
            found.note_candidates(row)?;
        }
        page_of(&rows, page, &found)
    }

    /// The rows of a page. The statement is planned anew each time, since everything depends on how common the words are.
    async fn rows_of(
        &self,
        schema: &Schema,
        filter: &ProductFilter,
        text: &SearchText,
        page: &PageRequest<ProductSort>,
        found: &Found,
    ) -> Result<Vec<PgRow>, QueryError> {
        let mut query = statement(schema, filter, text, page, found)?;
        let query = query.build().persistent(false);
        Ok(query.fetch_all(self.pool()).await?)
    }

    /// The text with the words that no product has spelled as in a title; none where there is nothing to correct, or
    /// nothing like it.
    async fn respelled(
        &self,
        schema: &Schema,
        text: &SearchText,
    ) -> Result<Option<String>, sqlx::Error> {
        let wanted = text.wanted_words();
        if text.is_quoted() || wanted.len() > MOST_RESPELLED {
            return Ok(None);
        }
        let mut tx = self.pool().begin().await?;
        sqlx::query(SESSION).bind(ALIKE).execute(&mut *tx).await?;
        let mut words = HashMap::new();
        for (word, query) in wanted {
            if is_known(schema, &query, &mut tx).await? {
                continue;
            }
            let Some(other) = most_alike(schema, word, &mut tx).await? else {
                return Ok(None);
            };
            words.insert(word.to_owned(), other);
        }
        tx.commit().await?;
        Ok((!words.is_empty()).then(|| text.respelled(&words)))
    }
}

/// Whether a product has a word.
async fn is_known(
    schema: &Schema,
    query: &str,
    connection: &mut PgConnection,
) -> Result<bool, sqlx::Error> {
    let mut sql = is_known_statement(schema, query);
    let known = sql.build_query_scalar().persistent(false);
    known.fetch_one(connection).await
}

/// The word of a title that is most like this one.
async fn most_alike(
    schema: &Schema,
    word: &str,
    connection: &mut PgConnection,
) -> Result<Option<String>, sqlx::Error> {
    let mut sql = most_alike_statement(schema, word);
    let alike = sql.build_query_scalar().persistent(false);
    alike.fetch_optional(connection).await
}

pub(crate) fn is_known_statement<'q>(schema: &Schema, query: &str) -> QueryBuilder<'q, Postgres> {
    let mut sql = QueryBuilder::new(format!(
        "select exists (select 1 from {schema}.products p where not p.deleted and not p.shop_closed and p.words @@ "
    ));
    sql.push_bind(query.to_owned()).push("::tsquery)");
    sql
}

/// Looks at some titles only: a word that many have is in each of them.
pub(crate) fn most_alike_statement<'q>(schema: &Schema, word: &str) -> QueryBuilder<'q, Postgres> {
    let mut sql = QueryBuilder::new(
        "select near.word from (select distinct unnest(string_to_array(alike.folded_title, ' ')) as word from (\
         select p.folded_title from ",
    );
    sql.push(format_args!(
        "{schema}.products p where not p.deleted and not p.shop_closed and "
    ))
    .push_bind(word.to_owned())
    .push(format_args!(
        " <% p.folded_title limit {ALIKE_TITLES}) alike) near order by word_similarity("
    ))
    .push_bind(word.to_owned())
    .push(", near.word) desc, similarity(")
    .push_bind(word.to_owned())
    .push(", near.word) desc, near.word limit 1");
    sql
}

fn by_relevance(page: &PageRequest<ProductSort>) -> bool {
    page.sort.key == ProductSort::Relevance
}

impl Found {
    /// Notes down which candidates were ranked, as every row of the first page tells it.
    pub(crate) fn note_candidates(&mut self, row: &PgRow) -> Result<(), sqlx::Error> {
        let oldest = |tier: usize| -> Result<Option<(i64, Uuid)>, sqlx::Error> {
            let at: Option<DateTime<Utc>> = row.try_get(&*format!("oldest_at_{tier}"))?;
            let id: Option<Uuid> = row.try_get(&*format!("oldest_id_{tier}"))?;
            Ok(at.map(|at| at.timestamp_micros()).zip(id))
        };
        let tiers = 0..self.groups().len();
        self.oldest = tiers.map(oldest).collect::<Result<_, _>>()?;
        self.titles = row.try_get::<i64, _>("titles")? >= CANDIDATES;
        Ok(())
    }

    fn groups(&self) -> &'static [Group] {
        if self.titles {
            &[Group::Title]
        } else {
            &[Group::Title, Group::Elsewhere]
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
    // the stock, which is in another table, is read once the page is picked
    let mut sql = QueryBuilder::new(format!("select {COLUMNS} from (select p.product_id from "));
    push_filtered(&mut sql, schema, filter);
    push_words(&mut sql, "words", text);
    push_unwanted(&mut sql, text);
    page.push_to(&mut sql, "p");
    let [column, _] = page.sort.key.columns();
    let order = order_of(page);
    sql.push(format_args!(
        ") r join {schema}.products p on p.product_id = r.product_id \
         join {schema}.stock s on s.product_id = r.product_id order by p.{column} {order}, p.product_id {order}"
    ));
    Ok(sql)
}

const fn order_of(page: &PageRequest<ProductSort>) -> &'static str {
    match page.sort.direction {
        Direction::Asc => "asc",
        Direction::Desc => "desc",
    }
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
    };
    sql.push(format_args!(
        "select p.product_id, p.created_at, p.{found_in} as found_in from "
    ));
    push_filtered(sql, schema, filter);
}

/// The products that the filters let through, with their stock where a filter is about it. Few are sold out or low: they
/// are gone through by themselves. Most are not, so that is looked up for each product on the way.
fn push_filtered(sql: &mut QueryBuilder<'_, Postgres>, schema: &Schema, filter: &ProductFilter) {
    sql.push(format_args!("{schema}.products p"));
    if filter.in_stock == Some(false) || filter.low_stock == Some(true) {
        sql.push(format_args!(
            " join {schema}.stock s on s.product_id = p.product_id"
        ));
    } else if filter.is_of_stock() {
        sql.push(format_args!(
            " cross join lateral (select s.in_stock, s.low_stock from {schema}.stock s \
             where s.product_id = p.product_id offset 0) s"
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
        Group::Title => 0,
        Group::Elsewhere => STEPS + 1,
    };
    sql.push(format_args!(
        "{least} + round({STEPS} * (1 - ts_rank(c.found_in, "
    ))
    .push_bind(text.wanted().to_owned())
    .push("::tsquery, 1)))::bigint");
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
    let order = order_of(page);
    sql.push(format_args!(
        ") r join {schema}.products p on p.product_id = r.product_id \
         join {schema}.stock s on s.product_id = r.product_id order by r.off {order}, r.product_id {order}"
    ));
}
