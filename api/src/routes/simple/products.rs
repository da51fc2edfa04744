//! Products of the simple client contract. Prices are JSON numbers, parsed by their digits and written with all the
//! digits of the currency, never through a float.

use axum::{
    extract::State,
    http::{StatusCode, Uri, header},
};
use commands::{Manager, products::NewProduct};
use domain::{
    ids::{ProductId, ShopId},
    inventory::Inventory,
    money::Money,
    product::{MAX_PRICE, Product, ProductError},
    shop::ShopStatus,
    text::Sku,
};
use garde::Validate;
use identity::{Permission, Principal};
use projections::{
    View,
    page::{Direction, Limits, PageRequest, Sort},
    products::{ProductFilter, ProductSort, ProductView},
    shops::{ShopFilter, ShopSort},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    answer::Answer,
    auth::{Allowed, CreateContractProduct},
    call::{Call, Outcome, run_once},
    error::ApiError,
    extract::{Body, MinPosition, Query},
    fields::input,
    openapi::parts::{Behind, NotBefore, NotDone, NotOffered, Repeatable, Unplaced},
    problem::{FieldError, Kind, Problem},
    routes::{body::stored_id, list, products::no_description},
    state::App,
};

/// The routes.
pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(list_products, create))
}

/// A page of the list; larger than elsewhere, since the contract promises it.
const LIMITS: Limits = Limits {
    default: 100,
    max: 1_000,
};

/// A product to be put on sale, in the region that is the default of its currency.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SimpleProductInput {
    #[garde(dive)]
    name: input::Title,
    /// Empty when absent.
    #[garde(dive)]
    #[serde(default)]
    description: Option<input::Description>,
    /// With at most as many digits as the currency has; at most 20,000,000,000 of its minor units.
    #[garde(dive)]
    price: input::ExactNumber,
    #[garde(dive)]
    currency: input::Currency,
    /// None when absent.
    #[garde(dive)]
    #[serde(default)]
    stock: Option<input::FirstStock>,
}

/// A product.
#[derive(Serialize, ToSchema)]
pub(crate) struct SimpleProduct {
    #[schema(value_type = Uuid)]
    id: ProductId,
    name: String,
    description: String,
    #[schema(value_type = f64, example = 25.99)]
    price: Box<RawValue>,
    #[schema(example = "USD")]
    currency: &'static str,
    /// Pieces that can be ordered.
    stock: i64,
}

/// A product was created.
#[derive(Serialize, ToSchema)]
pub(crate) struct SimpleProductCreated {
    #[schema(example = "Product created")]
    message: &'static str,
    data: SimpleProduct,
}

/// Some products.
#[derive(Serialize, ToSchema)]
pub(crate) struct SimpleProductList {
    #[schema(example = "Product list")]
    message: &'static str,
    data: Vec<SimpleProduct>,
}

/// Which part of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SimpleProductQuery {
    /// How many: 1 to 1000, 100 when absent.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// From the `Link` header of the page before.
    cursor: Option<String>,
}

/// The amount as a JSON number with all the digits of its currency.
fn number(price: Money) -> Result<Box<RawValue>, ApiError> {
    RawValue::from_string(price.to_decimal_string()).map_err(|error| {
        tracing::error!(%error, "an amount is no JSON number");
        Kind::Internal.into()
    })
}

fn listed(view: ProductView) -> Result<SimpleProduct, ApiError> {
    Ok(SimpleProduct {
        id: view.product_id,
        name: view.title,
        description: view.description,
        price: number(view.price)?,
        currency: view.price.currency.code(),
        stock: view.stock.available,
    })
}

/// List products (simple contract)
///
/// Newest first; the address of the next page is in the `Link` header.
#[utoipa::path(get, path = "/api/products", operation_id = "simpleListProducts", tag = "simple contract", params(SimpleProductQuery, NotBefore),
    responses((status = 200, body = SimpleProductList, headers(("Link"))), Unplaced, Behind))]
async fn list_products(
    State(app): State<App>,
    Query(query): Query<SimpleProductQuery>,
    position: MinPosition,
    uri: Uri,
) -> Result<Answer<SimpleProductList>, ApiError> {
    let newest = Sort {
        key: ProductSort::CreatedAt,
        direction: Direction::Desc,
    };
    let page = list::request(LIMITS, newest, None, query.limit, query.cursor.as_deref())?;
    app.caught_up(View::Products, position).await?;
    let page = app
        .read_models
        .products(&ProductFilter::default(), &page)
        .await?;
    let data = page
        .items
        .into_iter()
        .map(listed)
        .collect::<Result<_, _>>()?;
    let answer = Answer::ok(SimpleProductList {
        message: "Product list",
        data,
    });
    Ok(match page.next {
        Some(cursor) => answer.header(header::LINK, &list::next_link(&uri, "cursor", &cursor)),
        None => answer,
    })
}

/// Create a product (simple contract)
///
/// In the region that is the default of the currency, with a generated sku. An admin's product is the market's own; a
/// seller's is of their shop: the oldest that is open, where they have several; without one it is refused (403).
#[utoipa::path(post, path = "/api/products", operation_id = "simpleCreateProduct", tag = "simple contract", security(("bearer" = [])),
    request_body = SimpleProductInput, params(Repeatable),
    responses((status = 201, body = SimpleProductCreated, headers(("ETag"), ("Souk-Position"))), NotOffered, NotDone))]
async fn create(
    State(app): State<App>,
    who: Allowed<CreateContractProduct>,
    call: Call,
    body: Body<SimpleProductInput>,
) -> Result<Answer<SimpleProductCreated>, ApiError> {
    let attempt = call.attempt(&app.idempotency, &who, &body.raw)?;
    let (by, shop_id) = offered_by(&app, &who).await?;
    let product = new_product(&app, shop_id, body.value).await?;
    let product_id = product.product_id;
    let stock = product.stock.map_or(0, Into::into);
    let key = attempt
        .as_ref()
        .map(|attempt| attempt.key(StatusCode::CREATED.as_u16(), product_id));
    let request = call.request(&who, "CreateProduct", key);
    let commands = app.commands.clone();
    let command = async move { commands.create_product(request, by, product).await };
    let (details, stock, sequence, answered) = match run_once(&app.log, attempt, command).await? {
        Outcome::Done(done) => (
            done.output.state,
            stock,
            done.output.sequence,
            Ok(done.head),
        ),
        Outcome::Before(earlier) => {
            let id: ProductId = stored_id(&earlier.resource)?;
            let (product, sequence) = app.log.load::<Product>(id).await?;
            let (stock, _) = app.log.load::<Inventory>(id).await?;
            let details = product.details().cloned().ok_or(Kind::NotFound)?;
            (details, stock.available(), sequence, Err(earlier))
        }
    };
    let data = SimpleProduct {
        id: details.product_id,
        name: details.title.to_string(),
        description: details.description.to_string(),
        price: number(details.price)?,
        currency: details.price.currency.code(),
        stock,
    };
    let answer = Answer::ok(SimpleProductCreated {
        message: "Product created",
        data,
    })
    .status(StatusCode::CREATED)
    .version(sequence);
    Ok(match answered {
        Ok(head) => answer.at(head),
        Err(earlier) => answer.replayed(&earlier),
    })
}

/// Who offers the product, and by which shop; see [`create`].
async fn offered_by(app: &App, who: &Principal) -> Result<(Manager, Option<ShopId>), ApiError> {
    let by = app.manager(who, Permission::ManageProducts)?;
    let Manager::Seller(owner_id) = by else {
        return Ok((by, None));
    };
    // a shop that was opened a moment ago is one, too
    app.caught_up_with_all(View::Shops).await?;
    let filter = ShopFilter {
        owner_id: Some(owner_id),
        status: Some(ShopStatus::Open),
    };
    let oldest = Sort {
        key: ShopSort::CreatedAt,
        direction: Direction::Asc,
    };
    let first = PageRequest::new(Limits::STANDARD, oldest, Some(1), None)
        .map_err(projections::QueryError::from)?;
    let shops = app.read_models.shops(&filter, &first).await?.items;
    match shops.first() {
        Some(shop) => Ok((by, Some(shop.details.shop_id))),
        None => Err(Problem::new(Kind::Forbidden)
            .detail("you have no open shop: open one at /api/v1/shops")
            .into()),
    }
}

async fn new_product(
    app: &App,
    shop_id: Option<ShopId>,
    input: SimpleProductInput,
) -> Result<NewProduct, ApiError> {
    let currency = input.currency.take();
    let price = input
        .price
        .take()
        .in_currency(currency)
        .map_err(|error| invalid("/price", error.to_string()))?;
    if price.amount > MAX_PRICE {
        // the refusal of the command would name the field that it has elsewhere
        return Err(invalid("/price", ProductError::PriceTooHigh.to_string()));
    }
    let region_id = app.commands.default_region(currency).await?;
    let region_id = region_id.ok_or_else(|| {
        invalid(
            "/currency",
            format!("nothing is sold in {currency} by default"),
        )
    })?;
    let product_id = ProductId(Uuid::now_v7());
    // hexadecimal digits make a sku; the refusal would name the field that no client has given
    let sku = Sku::parse(&product_id.0.simple().to_string())
        .map_err(|error| invalid("", error.to_string()))?;
    Ok(NewProduct {
        product_id,
        region_id,
        sku,
        title: input.name.take(),
        description: input
            .description
            .map_or_else(no_description, |given| Ok(given.take()))?,
        image_url: None,
        price,
        shop_id,
        category_id: None,
        specification: None,
        stock: input.stock.and_then(|stock| stock.take().pieces()),
    })
}

fn invalid(pointer: &str, detail: String) -> ApiError {
    Problem::new(Kind::Validation)
        .errors(vec![FieldError::at(pointer, detail)])
        .into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use domain::money::Currency;

    use super::*;

    #[test]
    fn a_price_is_written_with_all_the_digits_of_its_currency() {
        for (amount, currency, expected) in [
            (2599, "USD", "25.99"),
            (2500, "USD", "25.00"),
            (5, "USD", "0.05"),
            (150_000, "VND", "150000"),
        ] {
            let price = Money::new(amount, Currency::parse(currency).unwrap());
            assert_eq!(number(price).unwrap().get(), expected);
        }
    }
}
