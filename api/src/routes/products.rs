//! Products: everybody reads them, with their stock; admins manage those that belong to no shop.

use axum::{
    extract::State,
    http::{StatusCode, Uri},
};
use chrono::{DateTime, Utc};
use commands::{Manager, Versioned, products::NewProduct};
use domain::{
    ids::{ProductId, RegionId},
    money::Currency,
    product::{Product, ProductChanges, ProductDetails},
    text::{Description, Sku},
};
use eventstore::unit::Committed;
use garde::Validate;
use projections::{
    View,
    page::{Page, Span},
    products::{PriceSpan, ProductFilter, ProductSort, ProductView},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    body::{MoneyBody, PriceInput, stored_id, unknown_region},
    list::{self, PageBody, bad_parameter},
    stock::StockBody,
};
use crate::{
    answer::Answer,
    auth::{Allowed, ManageProducts},
    call::{Call, Outcome, run, run_once},
    error::ApiError,
    extract::{Body, Id, IfMatch, MinPosition, Query},
    fields::{self, Checked, Object, input},
    openapi::parts::{
        Behind, ById, Missing, NotBefore, NotDone, OnlyIf, Repeatable, Stale, Taken, Unplaced,
    },
    problem::Kind,
    state::App,
};

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(list_products, create))
        .routes(routes!(read, update, delete))
}

/// A product.
#[derive(Serialize, ToSchema)]
pub struct ProductBody {
    /// Which.
    #[schema(value_type = Uuid)]
    product_id: ProductId,
    /// Where it is sold.
    #[schema(value_type = Uuid)]
    region_id: RegionId,
    /// The seller's number, unique in the region.
    #[schema(example = "TEE-01")]
    sku: String,
    /// Its name.
    #[schema(example = "Áo dài")]
    title: String,
    /// What it is.
    description: String,
    /// Its picture.
    image_url: Option<String>,
    /// Price of one piece; whether it contains the tax is the region's rule.
    price: MoneyBody,
}

/// A product in the catalogue, with its stock.
#[derive(Serialize, ToSchema)]
pub struct CatalogueProduct {
    /// What it is.
    #[serde(flatten)]
    product: ProductBody,
    /// How many pieces there are. Changes of stock do not change the product's ETag.
    stock: StockBody,
    /// When it was created.
    created_at: DateTime<Utc>,
    /// When it last changed, its stock apart.
    updated_at: DateTime<Utc>,
}

impl From<ProductDetails> for ProductBody {
    fn from(product: ProductDetails) -> Self {
        Self {
            product_id: product.product_id,
            region_id: product.region_id,
            sku: product.sku.to_string(),
            title: product.title.to_string(),
            description: product.description.to_string(),
            image_url: product.image_url.map(|url| url.to_string()),
            price: product.price.into(),
        }
    }
}

impl From<ProductView> for CatalogueProduct {
    fn from(view: ProductView) -> Self {
        Self {
            stock: StockBody::from_view(view.product_id, &view.stock),
            product: ProductBody {
                product_id: view.product_id,
                region_id: view.region_id,
                sku: view.sku,
                title: view.title,
                description: view.description,
                image_url: view.image_url,
                price: view.price.into(),
            },
            created_at: view.created_at,
            updated_at: view.updated_at,
        }
    }
}

/// Which products, in which order. All filters must fit.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ProductQuery {
    /// Of this region.
    #[param(value_type = Option<Uuid>)]
    region_id: Option<RegionId>,
    /// With this number.
    #[param(value_type = Option<String>)]
    sku: Option<Sku>,
    /// Whether some can be ordered.
    in_stock: Option<bool>,
    /// With prices in this currency.
    #[param(value_type = Option<String>, example = "USD")]
    currency: Option<Currency>,
    /// At least this price, in minor units of `currency`.
    #[serde(rename = "price[gte]")]
    price_gte: Option<i64>,
    /// At most this price, in minor units of `currency`.
    #[serde(rename = "price[lte]")]
    price_lte: Option<i64>,
    /// `created_at`, `price` or `title`, with a `-` in front for the other direction; `-created_at` when absent.
    sort: Option<String>,
    /// How many: 1 to 200, 50 when absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

impl ProductQuery {
    fn filter(&self) -> Result<ProductFilter, ApiError> {
        let amount = Span {
            gte: self.price_gte,
            lte: self.price_lte,
        };
        let price = match self.currency {
            Some(currency) => Some(PriceSpan { currency, amount }),
            None if amount == Span::default() => None,
            None => return Err(bad_parameter("currency", "is needed to compare prices")),
        };
        Ok(ProductFilter {
            region_id: self.region_id,
            sku: self.sku.as_ref().map(ToString::to_string),
            in_stock: self.in_stock,
            price,
            ..ProductFilter::default()
        })
    }
}

/// A product to be put on sale.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProductInput {
    /// Where it is to be sold.
    #[garde(dive)]
    #[schema(value_type = Uuid)]
    region_id: input::RegionId,
    /// The seller's number, unique in the region.
    #[garde(dive)]
    sku: input::Sku,
    /// Its name.
    #[garde(dive)]
    title: input::Title,
    /// What it is; empty when absent.
    #[garde(dive)]
    #[serde(default)]
    description: Option<input::Description>,
    /// Its picture.
    #[garde(dive)]
    #[serde(default)]
    image_url: Option<input::ImageUrl>,
    /// Price of one piece, in the region's currency.
    #[garde(dive)]
    #[schema(value_type = PriceInput)]
    price: Object<PriceInput>,
    /// Pieces that are there from the start; none when absent.
    #[garde(dive)]
    #[serde(default)]
    stock: Option<input::Quantity>,
}

/// What is to change of a product; what is absent stays. Region and sku never change.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProductPatch {
    /// Its name.
    #[garde(dive)]
    #[serde(default)]
    title: Option<input::Title>,
    /// What it is.
    #[garde(dive)]
    #[serde(default)]
    description: Option<input::Description>,
    /// Its picture; null takes it away.
    #[garde(dive)]
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    image_url: fields::Change<input::ImageUrl>,
    /// Price of one piece; orders that are placed keep theirs.
    #[garde(dive)]
    #[serde(default)]
    #[schema(value_type = Option<PriceInput>)]
    price: Option<Object<PriceInput>>,
}

fn answered(done: Committed<Versioned<ProductDetails>>) -> Answer<ProductBody> {
    Answer::ok(done.output.state.into())
        .version(done.output.sequence)
        .at(done.head)
}

fn location(id: ProductId) -> String {
    format!("/api/v1/products/{id}")
}

/// List products
///
/// With their stock; deleted ones are not shown.
#[utoipa::path(get, path = "/api/v1/products", operation_id = "listProducts", tag = "products", params(ProductQuery, NotBefore),
    responses((status = 200, body = PageBody<CatalogueProduct>, headers(("Link"))), Unplaced, Behind))]
async fn list_products(
    State(app): State<App>,
    Query(query): Query<ProductQuery>,
    position: MinPosition,
    uri: Uri,
) -> Result<Answer<PageBody<CatalogueProduct>>, ApiError> {
    let (sort, cursor) = (query.sort.as_deref(), query.cursor.as_deref());
    let page = list::newest_first(ProductSort::CreatedAt, sort, query.limit, cursor)?;
    let filter = query.filter()?;
    app.caught_up(View::Products, position).await?;
    let Page { items, next } = app.read_models.products(&filter, &page).await?;
    Ok(list::page(
        &uri,
        Page {
            items: items.into_iter().map(Into::into).collect(),
            next,
        },
    ))
}

/// Create a product
///
/// Demands the permission to manage products.
#[utoipa::path(post, path = "/api/v1/products", operation_id = "createProduct", tag = "products", security(("bearer" = [])),
    request_body = ProductInput, params(Repeatable),
    responses(
        (status = 201, body = ProductBody, headers(("Location"), ("ETag"), ("Souk-Position"))),
        Taken, NotDone,
    ))]
async fn create(
    State(app): State<App>,
    who: Allowed<ManageProducts>,
    call: Call,
    body: Body<ProductInput>,
) -> Result<Answer<ProductBody>, ApiError> {
    let attempt = call.attempt(&app.idempotency, &who, &body.raw)?;
    let product_id = ProductId(Uuid::now_v7());
    let product = NewProduct {
        product_id,
        region_id: body.value.region_id.take(),
        sku: body.value.sku.take(),
        title: body.value.title.take(),
        description: body
            .value
            .description
            .map_or_else(no_description, |given| Ok(given.take()))?,
        image_url: body.value.image_url.map(Checked::take),
        price: body.value.price.0.take(),
        shop_id: None,
        category_id: None,
        specification: None,
        stock: body.value.stock.map(Checked::take),
    };
    let key = attempt
        .as_ref()
        .map(|attempt| attempt.key(StatusCode::CREATED.as_u16(), product_id));
    let request = call.request(&who, "CreateProduct", key);
    let commands = app.commands.clone();
    let command = async move {
        commands
            .create_product(request, Manager::Market, product)
            .await
    };
    let created = run_once(&app.log, attempt, command)
        .await
        .map_err(unknown_region)?;
    match created {
        Outcome::Done(done) => Ok(answered(done).created(&location(product_id))),
        Outcome::Before(earlier) => {
            let id: ProductId = stored_id(&earlier.resource)?;
            let (product, sequence) = app.log.load::<Product>(id).await?;
            let details = product.details().cloned().ok_or(Kind::NotFound)?;
            let answer = Answer::ok(details.into())
                .version(sequence)
                .created(&location(id));
            Ok(answer.replayed(&earlier))
        }
    }
}

/// The description of a product that has none.
pub(super) fn no_description() -> Result<Description, ApiError> {
    // the empty text is a description, as a test of the domain shows
    Description::parse("").map_err(|_| Kind::Internal.into())
}

/// Read a product
///
/// With its stock. The ETag is that of the product; stock has one of its own.
#[utoipa::path(get, path = "/api/v1/products/{id}", operation_id = "readProduct", tag = "products", params(ById, NotBefore),
    responses((status = 200, body = CatalogueProduct, headers(("ETag"))), Missing, Unplaced, Behind))]
async fn read(
    State(app): State<App>,
    Id(id): Id<ProductId>,
    position: MinPosition,
) -> Result<Answer<CatalogueProduct>, ApiError> {
    let product = on_sale(&app, id, position).await?;
    let sequence = product.sequence;
    Ok(Answer::ok(product.into()).version(sequence))
}

/// The product, unless it was deleted.
pub(super) async fn on_sale(
    app: &App,
    id: ProductId,
    position: MinPosition,
) -> Result<ProductView, ApiError> {
    app.caught_up_on(View::Products, id, position).await?;
    let product = app
        .read_models
        .product(id)
        .await?
        .filter(|product| !product.deleted);
    product.ok_or_else(|| Kind::NotFound.into())
}

/// Change a product
///
/// Demands the permission to manage products.
#[utoipa::path(patch, path = "/api/v1/products/{id}", operation_id = "updateProduct", tag = "products", security(("bearer" = [])),
    request_body = ProductPatch, params(ById, OnlyIf),
    responses(
        (status = 200, body = ProductBody, headers(("ETag"), ("Souk-Position"))),
        Missing, Stale, NotDone,
    ))]
async fn update(
    State(app): State<App>,
    who: Allowed<ManageProducts>,
    Id(id): Id<ProductId>,
    expected: IfMatch,
    call: Call,
    body: Body<ProductPatch>,
) -> Result<Answer<ProductBody>, ApiError> {
    let changes = ProductChanges {
        title: body.value.title.map(Checked::take),
        description: body.value.description.map(Checked::take),
        image_url: body.value.image_url.take(),
        price: body.value.price.map(|Object(price)| price.take()),
        ..ProductChanges::default()
    };
    let request = call.request(&who, "UpdateProduct", None);
    let commands = app.commands.clone();
    let updated = run(async move {
        commands
            .update_product(request, Manager::Market, id, changes, expected.version())
            .await
    })
    .await?;
    Ok(answered(updated))
}

/// Delete a product
///
/// It is sold and shown no more, its sku is free again; orders and history keep it. Demands the permission to manage
/// products.
#[utoipa::path(delete, path = "/api/v1/products/{id}", operation_id = "deleteProduct", tag = "products", security(("bearer" = [])),
    params(ById, OnlyIf),
    responses((status = 204, description = "Deleted, now or before", headers(("Souk-Position"))), Missing, Stale, NotDone))]
async fn delete(
    State(app): State<App>,
    who: Allowed<ManageProducts>,
    Id(id): Id<ProductId>,
    expected: IfMatch,
    call: Call,
) -> Result<Answer<()>, ApiError> {
    let request = call.request(&who, "DeleteProduct", None);
    let commands = app.commands.clone();
    let deleted = run(async move {
        commands
            .delete_product(request, Manager::Market, id, expected.version())
            .await
    })
    .await?;
    Ok(Answer::no_content().at(deleted.head))
}
