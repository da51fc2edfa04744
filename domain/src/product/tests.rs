//! Every command in every state of a product.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use crate::testing::{
    CATEGORY, PRODUCT, REGION, SHOP, assert_text, clothing, currency, given, outcomes, pieces, sku,
    title, usd, when,
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
        shop_id: None,
        category_id: None,
        specification: None,
    }
}

/// The same, of a shop, in a category and of a kind.
fn create_in_full() -> ProductCommand {
    let mut command = create(usd(2599));
    if let ProductCommand::CreateProduct {
        shop_id,
        category_id,
        specification,
        ..
    } = &mut command
    {
        *shop_id = Some(SHOP);
        *category_id = Some(CATEGORY);
        *specification = Some(clothing("M"));
    }
    command
}

fn update(
    title: Option<Title>,
    description: Option<Description>,
    image_url: Change<ImageUrl>,
    price: Option<Money>,
) -> ProductCommand {
    ProductCommand::UpdateProduct(ProductChanges {
        title,
        description,
        image_url,
        price,
        ..ProductChanges::default()
    })
}

fn categorise(category_id: Change<CategoryId>) -> ProductCommand {
    ProductCommand::UpdateProduct(ProductChanges {
        category_id,
        ..ProductChanges::default()
    })
}

fn specify(specification: Change<Specification>) -> ProductCommand {
    ProductCommand::UpdateProduct(ProductChanges {
        specification,
        ..ProductChanges::default()
    })
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
        ("CreateProduct, in full", create_in_full()),
        ("CreateProduct, another", create(usd(1))),
        ("CreateProduct, negative price", create(usd(-1))),
        ("CreateProduct, the dearest", create(usd(MAX_PRICE))),
        ("CreateProduct, too dear", create(usd(MAX_PRICE + 1))),
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
            "UpdateProduct, too dear",
            update(None, None, keep(), Some(usd(MAX_PRICE + 1))),
        ),
        (
            "UpdateProduct, another currency",
            update(None, None, keep(), Some(Money::new(1, currency("VND")))),
        ),
        (
            "UpdateProduct, title and price",
            update(Some(title("Shirt")), None, keep(), Some(usd(1))),
        ),
        ("UpdateProduct, category", categorise(Change::Set(CATEGORY))),
        ("UpdateProduct, no category", categorise(Change::Clear)),
        ("UpdateProduct, kind", specify(Change::Set(clothing("L")))),
        ("UpdateProduct, no kind", specify(Change::Clear)),
        ("DeleteProduct", ProductCommand::DeleteProduct),
    ];
    let expected = "
CreateProduct, the same
  ProductCreated: unknown
  -: on sale
  !Deleted: deleted
CreateProduct, in full
  ProductCreated ProductOfferedByShop ProductCategorised ProductSpecified: unknown
  !AlreadyExists: on sale
  !Deleted: deleted
CreateProduct, another
  ProductCreated: unknown
  !AlreadyExists: on sale
  !Deleted: deleted
CreateProduct, negative price
  !NegativePrice: unknown, on sale, deleted
CreateProduct, the dearest
  ProductCreated: unknown
  !AlreadyExists: on sale
  !Deleted: deleted
CreateProduct, too dear
  !PriceTooHigh: unknown, on sale, deleted
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
UpdateProduct, too dear
  !NotFound: unknown
  !PriceTooHigh: on sale
  !Deleted: deleted
UpdateProduct, another currency
  !NotFound: unknown
  !WrongCurrency: on sale
  !Deleted: deleted
UpdateProduct, title and price
  !NotFound: unknown
  ProductDetailsChanged ProductPriceChanged: on sale
  !Deleted: deleted
UpdateProduct, category
  !NotFound: unknown
  ProductCategorised: on sale
  !Deleted: deleted
UpdateProduct, no category
  !NotFound: unknown
  -: on sale
  !Deleted: deleted
UpdateProduct, kind
  !NotFound: unknown
  ProductSpecified: on sale
  !Deleted: deleted
UpdateProduct, no kind
  !NotFound: unknown
  -: on sale
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
fn a_price_from_before_there_was_a_highest_is_read_and_stays() {
    let mut history = created();
    history.push(ProductEvent::ProductPriceChanged {
        price: usd(i64::MAX),
        previous: usd(2599),
    });
    let product = given::<Product>(&history);
    assert_eq!(product.priced(pieces(1)).unwrap().unit_price, usd(i64::MAX));
    let rename = update(Some(title("Shirt")), None, Change::Keep, None);
    assert_eq!(when::<Product>(&history, rename).unwrap().len(), 1);
    let again = update(None, None, Change::Keep, Some(usd(i64::MAX)));
    assert_eq!(when::<Product>(&history, again), Ok(vec![]));
    let other = update(None, None, Change::Keep, Some(usd(i64::MAX - 1)));
    assert_eq!(
        when::<Product>(&history, other),
        Err(ProductError::PriceTooHigh)
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

#[test]
fn a_product_made_in_full_is_what_it_was_made_as() {
    let history = when::<Product>(&[], create_in_full()).unwrap();
    let state = given::<Product>(&history);
    let product = state.on_sale().unwrap();
    assert_eq!(
        (product.shop_id, product.category_id),
        (Some(SHOP), Some(CATEGORY))
    );
    assert_eq!(product.specification, Some(clothing("M")));
    assert_eq!(when::<Product>(&history, create_in_full()), Ok(vec![]));
    assert_eq!(
        when::<Product>(&history, specify(Change::Set(clothing("M")))),
        Ok(vec![])
    );
    let bare = [
        when::<Product>(&history, categorise(Change::Clear)).unwrap(),
        when::<Product>(&history, specify(Change::Clear)).unwrap(),
    ];
    let state = given::<Product>(&[history, bare.concat()].concat());
    let product = state.on_sale().unwrap();
    assert_eq!((product.category_id, &product.specification), (None, &None));
    assert_eq!(product.shop_id, Some(SHOP), "a product stays its shop's");
}
