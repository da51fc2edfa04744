//! The index: what it is called, and what its documents are made of.

use serde_json::{Value, json};

/// Version of the index: another one with every change of its definition or of what documents hold. The next one is
/// then filled beside this one.
const VERSION: u32 = 1;
/// The document that says how far the index is.
pub(super) const PROGRESS: &str = "progress";
/// What a text is compared with, each with what it counts in a place by relevance.
pub(super) const TEXTS: [(&str, u32); 4] = [
    ("title", 8),
    ("sku_words", 4),
    ("told", 2),
    ("description", 1),
];

/// What an index is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Names {
    /// What it is written and searched by. A write by an alias that is gone fails; by the name of the index it would make
    /// another one, with types that are guessed.
    pub(super) alias: String,
    /// The index itself.
    pub(super) index: String,
}

impl Names {
    pub(super) fn new(prefix: &str) -> Self {
        let alias = format!("{prefix}-products");
        Self {
            index: format!("{alias}-v{VERSION}"),
            alias,
        }
    }
}

/// How the index is made. One shard: a place in a list is the same whichever copy is asked, and a hundred thousand
/// products are few. Written words are searched a second later.
pub(super) fn definition(names: &Names) -> Value {
    // equal or not, and nothing else
    let exact = json!({"type": "keyword", "doc_values": false});
    let number = json!({"type": "long"});
    let flag = json!({"type": "boolean", "doc_values": false});
    // the words are ours already; how often or in how many products one stands counts for nothing
    let words = json!({
        "type": "text", "analyzer": "whitespace", "norms": false, "index_options": "positions",
    });
    let kept = json!({"type": "keyword", "index": false, "doc_values": false});
    json!({
        "settings": {"index": {
            "number_of_shards": 1, "auto_expand_replicas": "0-1", "refresh_interval": "1s",
        }},
        "aliases": {&names.alias: {}},
        "mappings": {"dynamic": "strict", "properties": {
            "product_id": {"type": "keyword"},
            "region_id": exact,
            "shop_id": exact,
            "category_id": exact,
            "sku": exact,
            "kind": exact,
            "attributes": exact,
            "currency": exact,
            "price": number,
            "created_at": number,
            "title_length": number,
            "in_stock": flag,
            "low_stock": flag,
            "title": words,
            "sku_words": words,
            "told": words,
            "description": words,
            "position": {"type": "long", "index": false, "doc_values": false},
            "event_id": kept,
        }},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever changes what this shows raises the version.
    #[test]
    fn the_definition_is_that_of_its_version() {
        let names = Names::new("souk");
        assert_eq!(names.alias, "souk-products");
        assert_eq!(names.index, "souk-products-v1");
        insta::with_settings!({sort_maps => true}, {
            insta::assert_json_snapshot!(definition(&names));
        });
    }
}
