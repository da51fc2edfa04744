//! What the engine is asked, and how its places are kept in cursors.
//!
//! Everything counts by what stands in the product and in the text alone: a word in the title counts most, then one in the
//! sku, in kind and attributes, in the description; those with all words in their title come first, as on PostgreSQL. How
//! common a word is counts for nothing, so a place does not change unless the product does, and the next page begins
//! behind the last product of this one (`search_after`). Among equals those with the shorter title come first, then ids
//! decide.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{client::Hit, document::attribute, index::TEXTS};
use crate::{
    page::{Direction, Sort, SortKey, SortValue, time_of},
    products::{
        queries::{ProductFilter, ProductSort},
        text::{Phrase, SearchText},
    },
};

/// What it counts that all words are in the title: more than all else together, since a text of 200 characters has at
/// most 101 phrases, each worth 15.
const ALL_IN_TITLE: i64 = 4_096;
/// More than any product counts.
const BEST: i64 = 2 * ALL_IN_TITLE;
/// Titles are shorter, in words.
const LENGTHS: i64 = 65_536;
/// Words that a beginning behind other words may stand for ("t-shir"). Alone it stands for all.
const MOST_ENDINGS: usize = 1_000;

/// Where a product stands in a list.
pub(super) type Place = (SortValue, Uuid);

/// The body of a search for so many products behind a place of the engine's.
pub(super) fn body(
    filter: &ProductFilter,
    text: &SearchText,
    sort: Sort<ProductSort>,
    after: Option<&[Value]>,
    size: usize,
) -> Value {
    let (unwanted, wanted): (Vec<Phrase<'_>>, Vec<Phrase<'_>>) =
        text.phrases().partition(|phrase| phrase.unwanted);
    let mut counted: Vec<Value> = wanted.iter().map(counted).collect();
    let in_title: Vec<Value> = wanted
        .iter()
        .map(|phrase| stands_in("title", phrase))
        .collect();
    let unwanted: Vec<Value> = unwanted
        .iter()
        .flat_map(|phrase| TEXTS.map(|(field, _)| stands_in(field, phrase)))
        .collect();
    let in_title = json!({"bool": {"filter": in_title}});
    let all_in_title = worth(&in_title, ALL_IN_TITLE);
    let mut filters = filters(filter);
    let (must, should) = if text.is_open() {
        // the last word may go on where all stand in the title; elsewhere it is whole, and whatever stands there counts
        let whole: Vec<Value> = wanted.iter().map(whole).collect();
        let whole = json!({"bool": {"filter": whole}});
        filters.push(json!({"bool": {"should": [in_title, whole], "minimum_should_match": 1}}));
        counted.push(all_in_title);
        (vec![], counted)
    } else {
        (counted, vec![all_in_title])
    };
    let mut body = json!({
        "query": {"bool": {
            "must": must, "should": should, "must_not": unwanted, "filter": filters,
        }},
        "sort": order(sort),
        "size": size,
        "track_total_hits": false,
        "_source": false,
    });
    if let Some(after) = after {
        body["search_after"] = json!(after);
    }
    body
}

/// A phrase that is wanted somewhere, and counts where it stands.
fn counted(phrase: &Phrase<'_>) -> Value {
    let anywhere = TEXTS.map(|(field, weight)| worth(&stands_in(field, phrase), i64::from(weight)));
    json!({"bool": {"should": anywhere, "minimum_should_match": 1}})
}

/// A phrase of whole words that is wanted somewhere.
fn whole(phrase: &Phrase<'_>) -> Value {
    let phrase = Phrase {
        open: false,
        ..*phrase
    };
    let anywhere = TEXTS.map(|(field, _)| stands_in(field, &phrase));
    json!({"bool": {"should": anywhere, "minimum_should_match": 1}})
}

fn worth(query: &Value, weight: i64) -> Value {
    json!({"constant_score": {"filter": query, "boost": weight}})
}

/// Whether the phrase is in a text. Its words are what documents are made of: nothing in them means anything to the engine.
fn stands_in(field: &str, phrase: &Phrase<'_>) -> Value {
    let words = phrase.words.join(" ");
    let (kind, condition) = match (phrase.words.len(), phrase.open) {
        (1, false) => ("term", json!(words)),
        (1, true) => ("prefix", json!(words)),
        (_, false) => ("match_phrase", json!(words)),
        (_, true) => (
            "match_phrase_prefix",
            json!({"query": words, "max_expansions": MOST_ENDINGS}),
        ),
    };
    json!({kind: {field: condition}})
}

/// The conditions of the filter, its text apart. All of them, or a list might show what does not fit.
fn filters(filter: &ProductFilter) -> Vec<Value> {
    let mut all = Vec::new();
    let mut exact = |field: &str, value: Option<Value>| {
        all.extend(value.map(|value| json!({"term": {field: value}})));
    };
    exact("region_id", filter.region_id.map(|id| json!(id.0)));
    exact("shop_id", filter.shop_id.map(|id| json!(id.0)));
    exact("category_id", filter.category_id.map(|id| json!(id.0)));
    exact("sku", filter.sku.as_ref().map(|sku| json!(sku)));
    exact("kind", filter.kind.as_ref().map(|kind| json!(kind)));
    exact("in_stock", filter.in_stock.map(Value::from));
    exact("low_stock", filter.low_stock.map(Value::from));
    for (name, value) in &filter.attributes {
        exact("attributes", Some(json!(attribute(name, value))));
    }
    if let Some(price) = &filter.price {
        exact("currency", Some(json!(price.currency.code())));
        let ends = [("gte", price.amount.gte), ("lte", price.amount.lte)];
        let ends = ends.into_iter();
        let ends: Map<String, Value> = ends
            .filter_map(|(end, amount)| Some((end.to_owned(), Value::from(amount?))))
            .collect();
        if !ends.is_empty() {
            all.push(json!({"range": {"price": ends}}));
        }
    }
    all
}

fn order(sort: Sort<ProductSort>) -> Value {
    let (up, down) = match sort.direction {
        Direction::Asc => ("asc", "desc"),
        Direction::Desc => ("desc", "asc"),
    };
    match sort.key {
        // the best first is going up: see `ProductSort::Relevance`
        ProductSort::Relevance => {
            json!([{"_score": down}, {"title_length": up}, {"product_id": up}])
        }
        key => json!([{key.name(): up}, {"product_id": up}]),
    }
}

/// The place of a hit. None where the engine told something else than was asked for.
pub(super) fn place(key: ProductSort, hit: &Hit) -> Option<Place> {
    let value = match (key, hit.sort.as_slice()) {
        (ProductSort::Relevance, [score, length, _]) => {
            // a sum of whole numbers, told as a float
            let (score, length) = (score.as_f64()? as i64, length.as_i64()?);
            let known = (0..=BEST).contains(&score) && (0..LENGTHS).contains(&length);
            known.then(|| SortValue::Integer((BEST - score) * LENGTHS + length))?
        }
        (ProductSort::Price, [amount, _]) => SortValue::Integer(amount.as_i64()?),
        (ProductSort::CreatedAt, [micros, _]) => SortValue::Time(time_of(micros.as_i64()?)?),
        _ => return None,
    };
    Some((value, hit.id))
}

/// What the engine is told to begin behind. None where that is no place of these.
pub(super) fn behind(key: ProductSort, place: &Place) -> Option<Vec<Value>> {
    let (value, id) = place;
    let id = json!(id);
    match (key, value) {
        (ProductSort::Relevance, SortValue::Integer(off)) => {
            let (score, length) = (BEST - off.div_euclid(LENGTHS), off.rem_euclid(LENGTHS));
            (0..=BEST)
                .contains(&score)
                .then(|| vec![json!(score), json!(length), id])
        }
        (ProductSort::Price, SortValue::Integer(amount)) => Some(vec![json!(amount), id]),
        (ProductSort::CreatedAt, SortValue::Time(at)) => {
            Some(vec![json!(at.timestamp_micros()), id])
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;

    use domain::{
        ids::{CategoryId, RegionId, ShopId},
        kinds::AttributeValue,
        money::Currency,
        text::Title,
    };

    use super::*;
    use crate::{page::Span, products::queries::PriceSpan};

    const BEST_FIRST: Sort<ProductSort> = Sort {
        key: ProductSort::Relevance,
        direction: Direction::Asc,
    };

    fn text(text: &str) -> SearchText {
        SearchText::parse(text).unwrap()
    }

    #[test]
    fn words_phrases_beginnings_and_what_is_not_wanted_are_asked_for_in_every_text() {
        let text = text("Áo -\"made of silk\" t-shirt -red lụ teleph");
        let body = body(&ProductFilter::default(), &text, BEST_FIRST, None, 51);
        insta::with_settings!({sort_maps => true}, {
            insta::assert_json_snapshot!(body);
        });
    }

    #[test]
    fn every_filter_is_asked_for_and_a_page_begins_behind_the_last() {
        let size = AttributeValue::Text(Title::parse("M").unwrap());
        let filter = ProductFilter {
            region_id: Some(RegionId(Uuid::from_u128(1))),
            sku: Some("AD-01".into()),
            in_stock: Some(true),
            low_stock: Some(false),
            price: Some(PriceSpan {
                currency: Currency::parse("USD").unwrap(),
                amount: Span {
                    gte: Some(100),
                    lte: None,
                },
            }),
            shop_id: Some(ShopId(Uuid::from_u128(2))),
            category_id: Some(CategoryId(Uuid::from_u128(3))),
            kind: Some("clothing".into()),
            attributes: BTreeMap::from([("size".into(), size)]),
            ..ProductFilter::default()
        };
        let sort = Sort {
            key: ProductSort::Price,
            direction: Direction::Desc,
        };
        let place = (SortValue::Integer(500), Uuid::from_u128(4));
        let after = behind(sort.key, &place).unwrap();
        let body = body(&filter, &text("\"t-shirt\""), sort, Some(&after), 3);
        insta::with_settings!({sort_maps => true}, {
            insta::assert_json_snapshot!(body);
        });
    }

    #[test]
    fn the_last_word_of_a_phrase_may_go_on() {
        for (typed, expected) in [
            (
                "t-shir",
                json!({"match_phrase_prefix": {"title": {"query": "t shir", "max_expansions": 1_000}}}),
            ),
            ("t-sh", json!({"match_phrase": {"title": "t sh"}})),
            ("shir", json!({"prefix": {"title": "shir"}})),
            ("\"shir\"", json!({"term": {"title": "shir"}})),
            ("sh", json!({"term": {"title": "sh"}})),
        ] {
            let text = text(typed);
            let phrase = text.phrases().next().unwrap();
            assert_eq!(stands_in("title", &phrase), expected, "{typed}");
        }
    }

    #[test]
    fn the_longest_text_asks_for_no_more_than_an_engine_takes() {
        // a thousand conditions; and what is in the title counts for more than all of them
        let longest = "a ".repeat(99) + "ab";
        let asked = body(
            &ProductFilter::default(),
            &text(&longest),
            BEST_FIRST,
            None,
            1,
        );
        let asked = asked.to_string();
        assert_eq!(asked.matches("\"term\"").count(), 100 * (TEXTS.len() + 1));
        let most: i64 = TEXTS.iter().map(|(_, weight)| i64::from(*weight)).sum();
        assert!(101 * most < ALL_IN_TITLE);
    }

    #[test]
    fn a_place_reads_back_as_what_the_engine_has_told() {
        let id = Uuid::from_u128(7);
        for (key, sort) in [
            (
                ProductSort::Relevance,
                vec![json!(4_112.0), json!(3), json!(id)],
            ),
            (
                ProductSort::Relevance,
                vec![json!(0.0), json!(0), json!(id)],
            ),
            (ProductSort::Price, vec![json!(-5), json!(id)]),
            (
                ProductSort::CreatedAt,
                vec![json!(1_700_000_000_123_456_i64), json!(id)],
            ),
        ] {
            let hit = Hit { id, sort };
            let behind = behind(key, &place(key, &hit).unwrap()).unwrap();
            let numbers = |values: &[Value]| -> Vec<Option<f64>> {
                values.iter().map(Value::as_f64).collect()
            };
            assert_eq!(numbers(&behind), numbers(&hit.sort));
            assert_eq!(behind.last(), hit.sort.last());
        }
        let better = |score: f64, length: i64| {
            let sort = vec![json!(score), json!(length), json!(id)];
            match place(ProductSort::Relevance, &Hit { id, sort }) {
                Some((SortValue::Integer(off), _)) => off,
                other => panic!("{other:?}"),
            }
        };
        assert!(better(9.0, 200) < better(8.0, 1) && better(8.0, 1) < better(8.0, 2));
    }

    #[test]
    fn what_is_no_place_of_ours_is_none() {
        let id = Uuid::from_u128(7);
        for off in [-1, i64::MIN, i64::MAX, (BEST + 1) * LENGTHS] {
            assert_eq!(
                behind(ProductSort::Relevance, &(SortValue::Integer(off), id)),
                None
            );
        }
        let title = SortValue::Text("a".into());
        assert_eq!(behind(ProductSort::Title, &(title, id)), None);
        for sort in [
            vec![],
            vec![json!(1)],
            vec![json!("x"), json!(1), json!(id)],
        ] {
            for key in [ProductSort::Relevance, ProductSort::Price] {
                let hit = Hit {
                    id,
                    sort: sort.clone(),
                };
                assert_eq!(place(key, &hit), None, "{sort:?}");
            }
        }
    }
}
