//! Searching the catalogue by text, on PostgreSQL alone.
//!
//! A product is found when it has all the words that are wanted: whole, but the last one may go on where all stand in the
//! title. Where no product that the filters allow has them, it may go on anywhere; and where there is still none, words that no product
//! has are spelled as the words of titles that are most like them, and that is searched for, unless something stands in
//! quotes. Sorted by price, time or title a search is a list like any other. By relevance, those with all words in their
//! title come first, then the others; within both by `ts_rank`, which takes nothing but the product and the text into
//! account, so that the place of a product does not change unless the product does.
//!
//! Ranking looks at every candidate, so their number is bounded: of each of these two groups the newest
//! [`CANDIDATES`] are ranked, and the list ends with them; where there are as many titles, the others are not looked at.
//! Neither are they before a page has room for them, since a word of a few thousand descriptions is what takes longest.
//! The cursor names the oldest candidates, and the text as it was spelled, so that later pages rank the same ones,
//! whatever was added meanwhile.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use domain::ids::ProductId;
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, Postgres, QueryBuilder, Row, postgres::PgRow};
use uuid::Uuid;

use super::{
    queries::{COLUMNS, ProductFilter, ProductSort, ProductView, list, push_filtered, push_rows},
    text::SearchText,
};
use crate::{
    page::{Direction, Page, PageError, PageRequest, SortValue, time_of},
    read_models::{QueryError, ReadModels},
    views::Schema,
};

/// How many products of each group are ranked, the newest; more than there are in a page. To find those of a word that
/// one product in ten has takes ten times as many looks.
const CANDIDATES: i64 = 250;
/// How many of each group later pages rank at most: the same ones, and some that came to be found meanwhile.
const LATER_CANDIDATES: i64 = 2 * CANDIDATES;
/// Steps from a perfect rank to none.
const STEPS: i64 = 1_000_000;
/// How much of a word another must have in groups of three letters, from 0 to 1 (`word_similarity` of pg_trgm): at 0.45
/// one letter more, less or changed is found in a word of five.
pub(crate) const ALIKE: &str = "0.45";
/// The operator that the index serves takes its threshold from the session. What else the planner might do is to compare
/// all words until there are enough that are alike, and it takes comparing for cheaper than it is.
pub(crate) const SESSION: &str = "select set_config('pg_trgm.word_similarity_threshold', $1, true), \
     set_config('enable_seqscan', 'off', true), set_config('enable_indexscan', 'off', true)";
/// Words that are compared to find the one most like another.
const ALIKE_WORDS: i64 = 1_000;
/// Words that are looked up at most; nobody who types more wants each of them corrected.
const MOST_RESPELLED: usize = 8;
/// Words that are taken of those most like another, until one stands in the title of a product that is shown.
const MOST_ALIKE: i64 = 20;
/// How each search begins. The planner reckons with words that have nothing to do with each other: where two common ones
/// never meet it looks for them through the whole order.
const AS_PLANNED: &str = "begin read only; set local statement_timeout = '100ms'";
/// How it is done again when that took too long: by the index of the text alone. What takes longer even so is given up.
pub(crate) const BY_TEXT: &str = "begin read only; set local statement_timeout = '2s'; \
     set local enable_indexscan = off; set local enable_seqscan = off";
/// What PostgreSQL calls a statement that took too long (`query_canceled`).
const CANCELED: &str = "57014";

/// What is searched for and which candidates are ranked: the first page says it, and the cursor keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Found {
    /// The text as it was spelled instead.
    #[serde(rename = "q", default, skip_serializing_if = "Option::is_none")]
    respelled: Option<String>,
    /// The last word may go on anywhere.
    #[serde(rename = "b", default, skip_serializing_if = "std::ops::Not::not")]
    begun: bool,
    /// Only those with all words in their title, since there are enough.
    #[serde(rename = "t", default, skip_serializing_if = "std::ops::Not::not")]
    titles: bool,
    /// The oldest that is ranked, by group; none where no page has come to them yet, or there were none.
    #[serde(rename = "o", default, skip_serializing_if = "is_unnoted")]
    oldest: [Option<Place>; 2],
}

fn is_unnoted(oldest: &[Option<Place>; 2]) -> bool {
    oldest.iter().all(Option::is_none)
}

/// A product's time, in microseconds, and its id.
type Place = (i64, Uuid);

/// A group of candidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Group {
    /// All words in the title.
    Titles = 0,
    /// Not all of them in the title.
    Others = 1,
}

impl Group {
    /// What the candidates are called in the statement.
    const fn name(self) -> &'static str {
        match self {
            Self::Titles => "titles",
            Self::Others => "others",
        }
    }

    /// Titles come before everything else: how far the best of a group is from a perfect rank.
    const fn least_off(self) -> i64 {
        match self {
            Self::Titles => 0,
            Self::Others => STEPS + 1,
        }
    }

    /// Which words are looked at, and for which ones.
    fn words<'t>(self, text: &'t SearchText, found: &Found) -> (&'static str, &'t str) {
        match self {
            Self::Titles => ("title_words", text.wanted()),
            Self::Others => ("words", found.wanted_anywhere(text)),
        }
    }
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
        if let Some(mut found) = page.note::<Found>()? {
            let respelled = found.respelled.as_deref().map(SearchText::read);
            let text = match &respelled {
                Some(respelled) => respelled.as_ref().ok_or(PageError::InvalidCursor)?,
                None => text,
            };
            let rows = self.rows_of(schema, filter, text, page, &found).await?;
            found.note_candidates(&rows, page)?;
            return page_of(&rows, page, &found);
        }
        if page.after.is_some() {
            // of a list without a text
            return Err(PageError::InvalidCursor.into());
        }
        let mut found = Found::default();
        let mut rows = self.rows_of(schema, filter, text, page, &found).await?;
        if rows.is_empty() && text.is_open() {
            found.begun = true;
            rows = self.rows_of(schema, filter, text, page, &found).await?;
        }
        if rows.is_empty()
            && let Some(respelled) = self.respelled(schema, text).await?
            && let Some(other) = SearchText::read(&respelled)
        {
            found.respelled = Some(respelled);
            rows = self.rows_of(schema, filter, &other, page, &found).await?;
        }
        found.note_candidates(&rows, page)?;
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
        let query = || statement(schema, filter, text, page, found);
        match self.run(AS_PLANNED, query()?).await {
            Err(sqlx::Error::Database(error))
                if error.code().is_some_and(|code| code == CANCELED) =>
            {
                Ok(self.run(BY_TEXT, query()?).await?)
            }
            rows => Ok(rows?),
        }
    }

    async fn run(
        &self,
        begin: &'static str,
        mut query: QueryBuilder<'_, Postgres>,
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        let mut tx = self.pool().begin_with(begin).await?;
        let rows = query.build().persistent(false).fetch_all(&mut *tx).await?;
        tx.commit().await?;
        Ok(rows)
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
        let mut tx = self.pool().begin_with(BY_TEXT).await?;
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

/// The words of titles are a table of their own, since there are far fewer of them than of titles. Those of closed shops
/// are in it too.
pub(crate) fn most_alike_statement<'q>(schema: &Schema, word: &str) -> QueryBuilder<'q, Postgres> {
    let mut sql = QueryBuilder::new(
        "select near.word from (select alike.word, row_number() over (order by word_similarity(",
    );
    sql.push_bind(word.to_owned())
        .push(", alike.word) desc, similarity(")
        .push_bind(word.to_owned())
        .push(", alike.word) desc, alike.titles desc, alike.word) as place from (select v.word, v.titles from ")
        .push(format_args!("{schema}.vocabulary v where "))
        .push_bind(word.to_owned())
        .push(format_args!(
            " <% v.word limit {ALIKE_WORDS}) alike order by place limit {MOST_ALIKE}) near \
             where exists (select 1 from {schema}.products p where not p.deleted and not p.shop_closed \
             and p.title_words @@ quote_literal(near.word)::tsquery) order by near.place limit 1"
        ));
    sql
}

fn by_relevance(page: &PageRequest<ProductSort>) -> bool {
    page.sort.key == ProductSort::Relevance
}

impl Found {
    /// Notes down which candidates were ranked, as every row tells it.
    pub(crate) fn note_candidates(
        &mut self,
        rows: &[PgRow],
        page: &PageRequest<ProductSort>,
    ) -> Result<(), sqlx::Error> {
        let Some(row) = rows.first().filter(|_| by_relevance(page)) else {
            return Ok(());
        };
        for group in self.groups(page) {
            let oldest = &mut self.oldest[group as usize];
            if oldest.is_none() {
                let name = group.name();
                let at: Option<DateTime<Utc>> = row.try_get(&*format!("oldest_at_{name}"))?;
                let id: Option<Uuid> = row.try_get(&*format!("oldest_id_{name}"))?;
                *oldest = at.map(|at| at.timestamp_micros()).zip(id);
            }
        }
        if page.after.is_none() {
            self.titles = row.try_get::<i64, _>("all_titles")? >= CANDIDATES;
        }
        Ok(())
    }

    /// Those that this page may have products of.
    fn groups(&self, page: &PageRequest<ProductSort>) -> Vec<Group> {
        let beyond_titles = matches!(
            page.after,
            Some((SortValue::Integer(off), _)) if best_first(page) && off >= Group::Others.least_off()
        );
        let mut groups = Vec::new();
        // a cursor that was made up may name others where there are none
        if !beyond_titles || self.titles {
            groups.push(Group::Titles);
        }
        if !self.titles {
            groups.push(Group::Others);
        }
        groups
    }

    fn oldest(&self, group: Group) -> Option<Place> {
        self.oldest[group as usize]
    }

    /// What a product must have, wherever it stands.
    fn wanted_anywhere<'t>(&self, text: &'t SearchText) -> &'t str {
        if self.begun {
            text.wanted()
        } else {
            text.wanted_whole()
        }
    }
}

fn best_first(page: &PageRequest<ProductSort>) -> bool {
    page.sort.direction == Direction::Asc
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
    Ok(list(schema, filter, page, |sql| {
        let anywhere = found.wanted_anywhere(text);
        if anywhere == text.wanted() {
            push_words(sql, " and ", "words", anywhere);
        } else {
            push_words(sql, " and (", "title_words", text.wanted());
            push_words(sql, " or ", "words", anywhere);
            sql.push(")");
        }
        push_unwanted(sql, text);
    }))
}

/// Finds the candidates of each group, ranks them, and picks a page.
fn ranked<'q>(
    schema: &Schema,
    filter: &ProductFilter,
    text: &SearchText,
    page: &PageRequest<ProductSort>,
    found: &Found,
) -> Result<QueryBuilder<'q, Postgres>, PageError> {
    let groups = found.groups(page);
    let mut sql = QueryBuilder::new("with ");
    for group in &groups {
        let (column, wanted) = group.words(text, found);
        // picked by their keys alone: words would be carried through the sort
        sql.push(format_args!(
            "{} as materialized (select c.product_id, c.created_at, ",
            group.name()
        ));
        push_rank(&mut sql, column, wanted, *group);
        sql.push(" as off from (select p.product_id, p.created_at from ");
        push_filtered(&mut sql, schema, filter);
        push_words(&mut sql, " and ", column, wanted);
        if *group == Group::Others {
            push_words(&mut sql, " and not ", "title_words", text.wanted());
            if groups.contains(&Group::Titles) {
                push_room(&mut sql, page);
            }
        }
        push_unwanted(&mut sql, text);
        push_bounds(&mut sql, found.oldest(*group))?;
        sql.push(format_args!(
            ") c join {schema}.products p on p.product_id = c.product_id), "
        ));
    }
    push_page(&mut sql, schema, page, found);
    Ok(sql)
}

/// Has the others looked at only where titles leave them room, which is decided before anything is read of them.
fn push_room(sql: &mut QueryBuilder<'_, Postgres>, page: &PageRequest<ProductSort>) {
    let first = page.after.is_none();
    if best_first(page) {
        sql.push(" and (select count(*) from titles c where true");
        page.push_behind_cursor(sql, "c");
        let room = (page.limit() as i64).min(CANDIDATES - 1);
        sql.push(format_args!(") <= {room}"));
    } else if first {
        // where most are found by their titles, the others may be far between
        sql.push(format_args!(
            " and (select count(*) from titles) < {CANDIDATES}"
        ));
    }
}

/// The newest at first; on later pages all that are not older than the oldest of those, beginning with it, so that what
/// is new since takes nobody's place.
fn push_bounds(
    sql: &mut QueryBuilder<'_, Postgres>,
    oldest: Option<Place>,
) -> Result<(), PageError> {
    if let Some((micros, id)) = oldest {
        let at = time_of(micros).ok_or(PageError::InvalidCursor)?;
        sql.push(" and (p.created_at, p.product_id) >= (")
            .push_bind(at)
            .push(", ")
            .push_bind(id)
            .push(")");
    }
    let (order, limit) = match oldest {
        None => ("desc", CANDIDATES),
        Some(_) => ("asc", LATER_CANDIDATES),
    };
    sql.push(format_args!(
        " order by p.created_at {order}, p.product_id {order} limit {limit}"
    ));
    Ok(())
}

/// How far a candidate is from the best rank, in whole steps. Long texts count less (normalization 1 of `ts_rank`).
fn push_rank(sql: &mut QueryBuilder<'_, Postgres>, column: &str, wanted: &str, group: Group) {
    let least = group.least_off();
    sql.push(format_args!(
        "{least} + round({STEPS} * (1 - ts_rank(p.{column}, "
    ))
    .push_bind(wanted.to_owned())
    .push("::tsquery, 1)))::bigint");
}

fn push_words(sql: &mut QueryBuilder<'_, Postgres>, behind: &str, column: &str, wanted: &str) {
    sql.push(format_args!("{behind}p.{column} @@ "))
        .push_bind(wanted.to_owned())
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
    let groups = found.groups(page);
    sql.push("candidates as (");
    for (index, group) in groups.iter().enumerate() {
        let union = if index > 0 { " union all " } else { "" };
        let name = group.name();
        sql.push(format_args!("{union}select product_id, off from {name}"));
    }
    sql.push(format_args!(") select {COLUMNS}, r.off"));
    if page.after.is_none() {
        sql.push(", (select count(*) from titles) as all_titles");
    }
    let unnoted = groups
        .iter()
        .filter(|group| found.oldest(**group).is_none());
    for name in unnoted.map(|group| group.name()) {
        for (column, told) in [("created_at", "at"), ("product_id", "id")] {
            sql.push(format_args!(
                ", (select {column} from {name} order by created_at, product_id limit 1) as oldest_{told}_{name}"
            ));
        }
    }
    sql.push(" from (select c.product_id, c.off from candidates c where true");
    page.push_to(sql, "c");
    push_rows(sql, schema, "r.off", page.sort.direction);
}
