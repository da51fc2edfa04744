//! Pages that the engine finds. It gives ids; the rows come from the read model, by key, in the engine's order. Filters and
//! text are compared with the rows once more, and what does not fit any more is left out, so that nothing is shown that
//! is not so.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::{
    EngineState, SearchEngine,
    client::{Fault, Hit},
    query::{self, Place},
};
use crate::{
    page::{Page, PageError, PageRequest},
    products::{
        queries::{ProductFilter, ProductSort, ProductView, push_filter, select},
        text::SearchText,
    },
    read_models::{QueryError, ReadModels},
    views::View,
};

/// How many products are looked at once more, each time, where some of those that were found have fallen out …
const MORE: usize = 500;
/// … and how often.
const TRIES: usize = 3;

/// Version of the order by relevance: another one with every change of what counts.
const RANKING: u32 = 1;

/// What the cursors of a list by relevance hold, so that its pages keep together.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Noted {
    /// The order that its places are of.
    #[serde(rename = "e")]
    ranking: u32,
}

/// Who goes on with a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    /// Either: it begins here, or its places are prices or times.
    Anybodys,
    /// The engine has begun it, in an order of its own.
    Engines,
    /// PostgreSQL has.
    Postgres,
}

/// Why there is no page of the engine's.
enum NoPage {
    Unanswered,
    Query(QueryError),
}

impl From<QueryError> for NoPage {
    fn from(error: QueryError) -> Self {
        Self::Query(error)
    }
}

impl SearchEngine {
    /// A page of products: of those that a text finds, by the engine where it can, and by PostgreSQL otherwise: where the
    /// engine is away or behind, finds nothing (spelling is looked at there), or `as_of_now`, since whoever has just
    /// written something is to find it.
    pub async fn products(
        &self,
        read_models: &ReadModels,
        filter: &ProductFilter,
        page: &PageRequest<ProductSort>,
        as_of_now: bool,
    ) -> Result<Page<ProductView>, QueryError> {
        let Some(text) = &filter.text else {
            return read_models.products(filter, page).await;
        };
        let whose = whose(page)?;
        let asked = match (whose, self.state()) {
            (Whose::Anybodys, EngineState::Serving) => !as_of_now && !filter.include_deleted,
            (Whose::Engines, EngineState::Serving) => true,
            // an index that is being made would end the list too early
            (Whose::Engines, EngineState::Behind | EngineState::Away) => {
                return Err(QueryError::EngineAway);
            }
            (Whose::Anybodys | Whose::Postgres, _) => false,
        };
        if asked {
            match self.found(read_models, filter, text, page).await {
                // PostgreSQL may find what is a moment old, or spelled otherwise
                Ok(found) if found.items.is_empty() && page.after.is_none() => {}
                Ok(found) => return Ok(found),
                Err(NoPage::Query(error)) => return Err(error),
                Err(NoPage::Unanswered) if whose == Whose::Engines => {
                    return Err(QueryError::EngineAway);
                }
                Err(NoPage::Unanswered) => {}
            }
        }
        read_models.products(filter, page).await
    }

    async fn found(
        &self,
        read_models: &ReadModels,
        filter: &ProductFilter,
        text: &SearchText,
        page: &PageRequest<ProductSort>,
    ) -> Result<Page<ProductView>, NoPage> {
        let key = page.sort.key;
        let mut after = page.after.clone();
        let mut rows: Vec<(Place, ProductView)> = Vec::new();
        let mut is_end = false;
        // one more than wanted, to know whether there are any
        let mut size = page.limit() + 1;
        for _ in 0..TRIES {
            let behind = after.as_ref().map(|place| query::behind(key, place));
            let behind = match behind {
                Some(None) => return Err(QueryError::from(PageError::InvalidCursor).into()),
                Some(Some(behind)) => Some(behind),
                None => None,
            };
            let body = query::body(filter, text, page.sort, behind.as_deref(), size);
            let hits = self.ask(&body).await?;
            is_end = hits.len() < size;
            let mut products = still_so(read_models, filter, text, &hits).await?;
            for hit in &hits {
                let place = query::place(key, hit).ok_or(NoPage::Unanswered)?;
                after = Some(place.clone());
                if let Some(product) = products.remove(&hit.id) {
                    rows.push((place, product));
                }
            }
            if is_end || rows.len() > page.limit() {
                break;
            }
            size = MORE;
        }
        let note = note(key);
        let is_full = rows.len() > page.limit();
        let Page { items, next } = page.page_noting(rows, |row| row.0.clone(), Some(note.clone()));
        // too many have fallen out: the page is short, and the list goes on behind what was looked at
        let next = next.or_else(|| {
            let last = after.filter(|_| !is_full && !is_end)?;
            Some(page.cursor(last, Some(note)))
        });
        Ok(Page {
            items: items.into_iter().map(|(_, product)| product).collect(),
            next,
        })
    }

    async fn ask(&self, body: &Value) -> Result<Vec<Hit>, NoPage> {
        match self.client.search(body).await {
            Ok(hits) => Ok(hits),
            Err(Fault::Refused(reason)) => {
                tracing::warn!(
                    reason,
                    "the search engine refuses a question: PostgreSQL searches"
                );
                Err(NoPage::Unanswered)
            }
            Err(fault) => {
                self.watched.lose(&fault.to_string());
                Err(NoPage::Unanswered)
            }
        }
    }
}

/// The products that were found, as they are now, as far as they still are what was asked for.
async fn still_so(
    read_models: &ReadModels,
    filter: &ProductFilter,
    text: &SearchText,
    hits: &[Hit],
) -> Result<HashMap<Uuid, ProductView>, QueryError> {
    if hits.is_empty() {
        return Ok(HashMap::new());
    }
    let ids: Vec<Uuid> = hits.iter().map(|hit| hit.id).collect();
    let schema = read_models.schema(View::Products).await?;
    let mut sql = select(&schema);
    sql.push(" and p.product_id = any(")
        .push_bind(ids)
        .push(")");
    push_filter(&mut sql, filter);
    sql.push(" and p.words @@ ")
        .push_bind(text.wanted().to_owned())
        .push("::tsquery");
    if let Some(unwanted) = text.unwanted() {
        sql.push(" and not p.words @@ ")
            .push_bind(unwanted.to_owned())
            .push("::tsquery");
    }
    let rows = sql.build().fetch_all(read_models.pool()).await?;
    let read = |row: &PgRow| -> Result<(Uuid, ProductView), sqlx::Error> {
        let product = ProductView::from_row(row)?;
        Ok((product.product_id.0, product))
    };
    Ok(rows
        .iter()
        .map(read)
        .collect::<Result<HashMap<_, _>, _>>()?)
}

/// What the cursors of a list of the engine's hold. Prices and times are the same for everybody: PostgreSQL may go on
/// with such a list, as with one of its own that was not spelled otherwise.
fn note(key: ProductSort) -> Value {
    match key {
        ProductSort::Relevance => json!(Noted { ranking: RANKING }),
        ProductSort::Price | ProductSort::CreatedAt | ProductSort::Title => json!({}),
    }
}

fn whose(page: &PageRequest<ProductSort>) -> Result<Whose, PageError> {
    if page.sort.key == ProductSort::Title {
        // by the collation of the database
        return Ok(Whose::Postgres);
    }
    if page.after.is_none() {
        return Ok(Whose::Anybodys);
    }
    let Some(noted) = page.note::<Value>()? else {
        return Ok(Whose::Postgres);
    };
    if page.sort.key != ProductSort::Relevance {
        let plain = noted == note(page.sort.key);
        return Ok(if plain {
            Whose::Anybodys
        } else {
            Whose::Postgres
        });
    }
    match Noted::deserialize(&noted) {
        Ok(Noted { ranking: RANKING }) => Ok(Whose::Engines),
        // an order that this binary does not know
        Ok(_) => Err(PageError::InvalidCursor),
        Err(_) => Ok(Whose::Postgres),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::page::{Direction, Limits, Sort, SortValue};

    fn page(key: ProductSort, note: Option<Value>) -> PageRequest<ProductSort> {
        let sort = Sort {
            key,
            direction: Direction::Asc,
        };
        let first = PageRequest::new(Limits::STANDARD, sort, None, None).unwrap();
        let value = match key {
            ProductSort::Title => SortValue::Text("a".into()),
            ProductSort::CreatedAt => SortValue::Time(chrono::DateTime::UNIX_EPOCH),
            ProductSort::Price | ProductSort::Relevance => SortValue::Integer(1),
        };
        let cursor = first.cursor((value, Uuid::from_u128(1)), note);
        PageRequest::new(Limits::STANDARD, sort, None, Some(&cursor)).unwrap()
    }

    #[test]
    fn whoever_began_a_list_goes_on_with_it_unless_its_places_mean_the_same_to_all() {
        let candidates = json!({"o": [null, [1, Uuid::from_u128(1)]]});
        for (key, noted, expected) in [
            (
                ProductSort::Price,
                Some(json!({"b": true})),
                Whose::Postgres,
            ),
            (ProductSort::Price, Some(json!({})), Whose::Anybodys),
            (ProductSort::CreatedAt, Some(json!({})), Whose::Anybodys),
            (ProductSort::Title, Some(json!({})), Whose::Postgres),
            (
                ProductSort::Price,
                Some(json!({"q": "lamp"})),
                Whose::Postgres,
            ),
            (ProductSort::Price, None, Whose::Postgres),
            (ProductSort::Relevance, Some(candidates), Whose::Postgres),
            (ProductSort::Relevance, Some(json!({})), Whose::Postgres),
            (
                ProductSort::Relevance,
                Some(json!({"e": 1})),
                Whose::Engines,
            ),
        ] {
            let page = page(key, noted.clone());
            assert_eq!(whose(&page), Ok(expected), "{key:?} {noted:?}");
        }
        let other = page(ProductSort::Relevance, Some(json!({"e": 2})));
        assert_eq!(whose(&other), Err(PageError::InvalidCursor));
    }
}
