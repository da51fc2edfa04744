//! What the index holds of a product: what it is filtered, sorted and found by, and nothing that is only shown. The texts
//! are the words that PostgreSQL is given ([`super::super::words`]), so that both find the same.

use domain::kinds::AttributeValue;
use serde::Serialize;
use uuid::Uuid;

use crate::products::{queries::ProductView, words::words};

#[derive(Serialize)]
struct Shown<'p> {
    product_id: Uuid,
    region_id: Uuid,
    shop_id: Option<Uuid>,
    category_id: Option<Uuid>,
    sku: &'p str,
    kind: Option<&'p str>,
    attributes: Vec<String>,
    currency: &'p str,
    price: i64,
    /// Microseconds since 1970.
    created_at: i64,
    in_stock: bool,
    low_stock: bool,
    title: String,
    /// How many words the title has.
    title_length: usize,
    sku_words: String,
    /// One text each, so that no phrase goes from one into the next.
    told: Vec<String>,
    description: String,
}

/// What is not shown has no text and is found by nothing. It stays, so that a write that comes late does not bring back
/// what it was.
#[derive(Serialize)]
struct Hidden {
    product_id: Uuid,
}

/// The document of a product, as JSON in one line.
pub(super) fn of(product: &ProductView) -> Vec<u8> {
    let product_id = product.product_id.0;
    let document = if product.is_shown() {
        serde_json::to_vec(&shown(product))
    } else {
        serde_json::to_vec(&Hidden { product_id })
    };
    // texts and numbers: cannot fail; the engine refuses an empty one
    document.unwrap_or_default()
}

fn shown(product: &ProductView) -> Shown<'_> {
    let title = words(&product.title);
    let text = |value: &AttributeValue| match value {
        AttributeValue::Text(text) => Some(joined(text.as_str())),
        AttributeValue::YesOrNo(_) | AttributeValue::Whole(_) => None,
    };
    let kind = product.kind.as_deref();
    let told = kind.map(joined).into_iter();
    let told = told.chain(product.attributes.values().filter_map(text));
    let attributes = product.attributes.iter();
    Shown {
        product_id: product.product_id.0,
        region_id: product.region_id.0,
        shop_id: product.shop_id.map(|id| id.0),
        category_id: product.category_id.map(|id| id.0),
        sku: &product.sku,
        kind,
        attributes: attributes
            .map(|(name, value)| attribute(name, value))
            .collect(),
        currency: product.price.currency.code(),
        price: product.price.amount,
        created_at: product.created_at.timestamp_micros(),
        in_stock: !product.stock.is_sold_out(),
        low_stock: product.stock.is_low(),
        title_length: title.len(),
        title: title.join(" "),
        sku_words: joined(&product.sku),
        told: told.collect(),
        description: joined(&product.description),
    }
}

fn joined(text: &str) -> String {
    words(text).join(" ")
}

/// An attribute as one term: its value as JSON, so that the number 5 is not the text "5".
pub(super) fn attribute(name: &str, value: &AttributeValue) -> String {
    // a truth value, a number or a text: cannot fail
    let value = serde_json::to_string(value).unwrap_or_default();
    format!("{name}={value}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;

    use chrono::DateTime;
    use domain::{
        ids::{ProductId, RegionId, ShopId},
        money::{Currency, Money},
        text::Title,
    };

    use super::*;
    use crate::products::queries::StockView;

    fn product() -> ProductView {
        let text = |text: &str| AttributeValue::Text(Title::parse(text).unwrap());
        ProductView {
            product_id: ProductId(Uuid::from_u128(1)),
            region_id: RegionId(Uuid::from_u128(2)),
            sku: "AD-01".into(),
            title: "Áo dài đỏ".into(),
            description: "Lụa tơ tằm, 100% \"silk\"".into(),
            image_url: Some("https://example.com/1.jpg".into()),
            price: Money::new(1_200, Currency::parse("USD").unwrap()),
            shop_id: Some(ShopId(Uuid::from_u128(3))),
            category_id: None,
            kind: Some("clothing".into()),
            attributes: BTreeMap::from([
                ("colour".into(), text("Đỏ tươi")),
                ("size".into(), text("M")),
                ("washable".into(), AttributeValue::YesOrNo(true)),
                ("weight_g".into(), AttributeValue::Whole(250)),
            ]),
            deleted: false,
            shop_closed: false,
            stock: StockView {
                available: 3,
                reserved: 0,
                sold: 0,
                threshold: 5,
                sequence: 1,
                updated_at: None,
            },
            sequence: 2,
            created_at: DateTime::from_timestamp_micros(1_700_000_000_123_456).unwrap(),
            updated_at: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_document_has_what_a_product_is_found_filtered_and_sorted_by() {
        let document: serde_json::Value = serde_json::from_slice(&of(&product())).unwrap();
        insta::with_settings!({sort_maps => true}, {
            insta::assert_json_snapshot!(document);
        });
    }

    #[test]
    fn of_what_is_not_shown_nothing_is_left_to_be_found() {
        let hidden = [(true, false), (false, true)].map(|(deleted, shop_closed)| {
            let product = ProductView {
                deleted,
                shop_closed,
                ..product()
            };
            String::from_utf8(of(&product)).unwrap()
        });
        let expected = r#"{"product_id":"00000000-0000-0000-0000-000000000001"}"#;
        assert_eq!(hidden, [expected, expected]);
    }

    #[test]
    fn a_number_is_not_the_text_of_it() {
        let text = AttributeValue::Text(Title::parse("5").unwrap());
        assert_eq!(attribute("size", &text), r#"size="5""#);
        assert_eq!(attribute("size", &AttributeValue::Whole(5)), "size=5");
    }
}
