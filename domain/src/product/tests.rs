//! Every command in every state of a product.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use crate::testing::{
    PRODUCT, REGION, assert_text, currency, given, outcomes, pieces, sku, title, usd, when,
};

fn description(text: &str) -> Description {
    Description::parse(text).unwrap()
}

fn image(url: &str) -> ImageUrl {
    ImageUrl::parse(url).unwrap()
}

fn create(price: Money) -> ProductCommand {
    ProductCommand::CreateProduct {
        product_id: PRODUCT,
        region_id: REGION,
        region_currency: currency("USD"),
        sku: sku("TEE-1"),
        title: title("Tee"),
        description: description("A shirt"),
        image_url: Some(image("https://cdn.example.com/tee.png")),
        price,
    }
}

fn update(
    title: Option<Title>,
    description: Option<Description>,
    image_url: Change<ImageUrl>,
    price: Option<Money>,
) -> ProductCommand {
    ProductCommand::UpdateProduct {
        title,
        description,
        image_url,
        price,
    }
}

fn created() -> Vec<ProductEvent> {
    when::<Product>(&[], create(usd(2599))).unwrap()
}

fn deleted() -> Vec<ProductEvent> {
    [created(), vec![ProductEvent::ProductDeleted {}]].concat()
}

#[test]
fn every_command_in_every_state() {
    let states = [
        ("unknown", vec![]),
        ("on sale", created()),
        ("deleted", deleted()),
    ];
    let keep = || Change::Keep;
    let commands = [
        ("CreateProduct, the same", create(usd(2599))),
        ("CreateProduct, another", create(usd(1))),
        ("CreateProduct, negative price", create(usd(-1))),
        (
            "CreateProduct, another currency",
            create(Money::new(1, currency("VND"))),
        ),
        ("UpdateProduct, nothing", update(None, None, keep(), None)),
        (
            "UpdateProduct, title",
            update(Some(title("Shirt")), None, keep(), None),
        ),
        (
            "UpdateProduct, the same title",
            update(Some(title("Tee")), None, keep(), None),
        ),
        (
            "UpdateProduct, description",
            update(None, Some(description("")), keep(), None),
        ),
        (
            "UpdateProduct, no image",
            update(None, None, Change::Clear, None),
        ),
        (
            "UpdateProduct, image",
            update(None, None, Change::Set(image("http://x/1")), None),
        ),
        (
            "UpdateProduct, price",
            update(None, None, keep(), Some(usd(0))),
        ),
        (
            "UpdateProduct, the same price",
            update(None, None, keep(), Some(usd(2599))),
        ),
        (
            "UpdateProduct, negative price",
            update(None, None, keep(), Some(usd(-1))),
        ),
        (
            "UpdateProduct, another currency",
            update(None, None, keep(), Some(Money::new(1, currency("VND")))),
        ),
        (
            "UpdateProduct, title and price",
            update(Some(title("Shirt")), None, keep(), Some(usd(1))),
        ),
        ("DeleteProduct", ProductCommand::DeleteProduct),
    ];
    let expected = "
CreateProduct, the same
  ProductCreated: unknown
  -: on sale
  !Deleted: deleted
CreateProduct, another
  ProductCreated: unknown
  !AlreadyExists: on sale
  !Deleted: deleted
CreateProduct, negative price
  !NegativePrice: unknown, on sale, deleted
CreateProduct, another currency
  !WrongCurrency: unknown, on sale, deleted
UpdateProduct, nothing
  !NotFound: unknown
  -: on sale
  !Deleted: deleted
UpdateProduct, title
  !NotFound: unknown
  ProductDetailsChanged: on sale
  !Deleted: deleted
UpdateProduct, the same title
  !NotFound: unknown
  -: on sale
  !Deleted: deleted
UpdateProduct, description
  !NotFound: unknown
  ProductDetailsChanged: on sale
  !Deleted: deleted
UpdateProduct, no image
  !NotFound: unknown
  ProductDetailsChanged: on sale
  !Deleted: deleted
UpdateProduct, image
  !NotFound: unknown
  ProductDetailsChanged: on sale
  !Deleted: deleted
UpdateProduct, price
  !NotFound: unknown
  ProductPriceChanged: on sale
  !Deleted: deleted
UpdateProduct, the same price
  !NotFound: unknown
  -: on sale
  !Deleted: deleted
UpdateProduct, negative price
  !NotFound: unknown
  !NegativePrice: on sale
  !Deleted: deleted
UpdateProduct, another currency
  !NotFound: unknown
  !WrongCurrency: on sale
  !Deleted: deleted
UpdateProduct, title and price
  !NotFound: unknown
  ProductDetailsChanged ProductPriceChanged: on sale
  !Deleted: deleted
DeleteProduct
  !NotFound: unknown
  ProductDeleted: on sale
  -: deleted
";
    assert_text(&outcomes::<Product>(&states, &commands), expected);
}

#[test]
fn an_update_keeps_what_is_not_given() {
    let details = ProductEvent::ProductDetailsChanged {
        title: title("Shirt"),
        description: description("A shirt"),
        image_url: Some(image("https://cdn.example.com/tee.png")),
    };
    let price = ProductEvent::ProductPriceChanged {
        price: usd(1999),
        previous: usd(2599),
    };
    let command = update(Some(title("Shirt")), None, Change::Keep, Some(usd(1999)));
    assert_eq!(
        when::<Product>(&created(), command),
        Ok(vec![details.clone(), price.clone()])
    );

    let product = given::<Product>(&[created(), vec![details, price]].concat());
    let now = product.details().unwrap();
    assert_eq!(
        (now.title.as_str(), now.price, now.deleted),
        ("Shirt", usd(1999), false)
    );
}

#[test]
fn only_a_product_on_sale_can_be_ordered() {
    let item = given::<Product>(&created()).priced(pieces(3)).unwrap();
    assert_eq!((item.product_id, item.region_id), (PRODUCT, REGION));
    assert_eq!((item.quantity, item.unit_price), (pieces(3), usd(2599)));
    assert_eq!(
        given::<Product>(&deleted()).priced(pieces(3)),
        Err(ProductError::Deleted)
    );
    assert_eq!(
        Product::default().priced(pieces(3)),
        Err(ProductError::NotFound)
    );
}

#[test]
fn a_deleted_product_keeps_its_details() {
    let product = given::<Product>(&deleted());
    assert!(
        product
            .details()
            .is_some_and(|details| details.deleted && details.price == usd(2599))
    );
}
