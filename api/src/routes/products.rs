//! Products: everybody reads them, with their stock. Sellers manage those of their own shops, admins all.
//!
//! What is of a closed shop is shown to nobody any more, as what was deleted; shops stay closed for good.

use std::collections::BTreeMap;

use axum::{
    extract::State,
    http::{StatusCode, Uri},
};
use chrono::{DateTime, Utc};
use commands::{Versioned, products::NewProduct};
use domain::{
    ids::{CategoryId, ProductId, RegionId, ShopId},
    kinds::{self, AttributeValue, Specification},
    money::Currency,
    product::{Product, ProductChanges, ProductDetails},
    text::{Description, Sku},
};
use eventstore::unit::Committed;
use garde::Validate;
use identity::Permission;
use projections::{
    View,
    page::{Direction, Limits, Page, PageRequest, Sort, Span},
    products::{PriceSpan, ProductFilter, ProductSort, ProductView, SearchText},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    body::{MoneyBody, PriceInput, stored_id, unknown_reference},
    list::{self, PageBody, bad_parameter},
    stock::StockBody,
};
use crate::{
    answer::Answer,
    auth::{Allowed, ManageProducts},
    call::{Call, Outcome, run, run_once},
    error::ApiError,
    extract::{Body, Id, IfMatch, MinPosition, QueryAndAttributes},
    fields::{self, Attributes, Checked, Given, KindField, Object, Specified, Specifies, input},
    openapi::parts::{
        Behind, ByAttributes, ById, Missing, NotBefore, NotDone, NotOffered, OnlyIf, Repeatable,
        ShopNotOpen, Stale, Unplaced,
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
    /// Whose it is; null where it is the market's own.
    #[schema(value_type = Option<Uuid>)]
    shop_id: Option<ShopId>,
    /// What it is grouped by.
    #[schema(value_type = Option<Uuid>)]
    category_id: Option<CategoryId>,
    /// Its kind: see `GET /api/v1/kinds`.
    kind: Option<String>,
    /// What is told of it as one of its kind, by name; empty without a kind.
    #[schema(value_type = Object)]
    attributes: BTreeMap<String, AttributeValue>,
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
        let specification = product.specification.as_ref();
        Self {
            product_id: product.product_id,
            region_id: product.region_id,
            sku: product.sku.to_string(),
            title: product.title.to_string(),
            description: product.description.to_string(),
            image_url: product.image_url.map(|url| url.to_string()),
            price: product.price.into(),
            shop_id: product.shop_id,
            category_id: product.category_id,
            kind: specification.map(|of| of.kind().to_string()),
            attributes: specification
                .map(Specification::attributes)
                .cloned()
                .unwrap_or_default(),
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
                shop_id: view.shop_id,
                category_id: view.category_id,
                kind: view.kind,
                attributes: view.attributes,
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
    /// Found by these words, in title, sku, kind and its texts, and description: all of them, whatever their case and
    /// accents; the last one may be the beginning of a word in titles that have all of them, and anywhere where that
    /// finds nothing. `"a phrase"` stands as it is, `-word` is not to be there. Where nothing has them, spelling mistakes
    /// are looked for. At most 200 characters.
    #[param(max_length = 200, example = "ao dai -red")]
    q: Option<String>,
    /// Of this region.
    #[param(value_type = Option<Uuid>)]
    region_id: Option<RegionId>,
    /// With this number.
    #[param(value_type = Option<String>)]
    sku: Option<Sku>,
    /// Of this shop.
    #[param(value_type = Option<Uuid>)]
    shop_id: Option<ShopId>,
    /// In this category.
    #[param(value_type = Option<Uuid>)]
    category_id: Option<CategoryId>,
    /// Of this kind: see `GET /api/v1/kinds`.
    kind: Option<String>,
    /// Whether some can be ordered.
    in_stock: Option<bool>,
    /// Whether no more than the product's threshold can be ordered.
    low_stock: Option<bool>,
    /// With prices in this currency.
    #[param(value_type = Option<String>, example = "USD")]
    currency: Option<Currency>,
    /// At least this price, in minor units of `currency`.
    #[serde(rename = "price[gte]")]
    price_gte: Option<i64>,
    /// At most this price, in minor units of `currency`.
    #[serde(rename = "price[lte]")]
    price_lte: Option<i64>,
    /// `created_at`, `price` or `title`, with a `-` in front for the other direction; with `q` also `relevance`, the
    /// best first. When absent: `relevance` with `q`, `-created_at` without.
    sort: Option<String>,
    /// How many: 1 to 200, 50 when absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

impl ProductQuery {
    fn page(&self) -> Result<PageRequest<ProductSort>, ApiError> {
        let (key, direction) = match self.q {
            Some(_) => (ProductSort::Relevance, Direction::Asc),
            None => (ProductSort::CreatedAt, Direction::Desc),
        };
        let (sort, cursor) = (self.sort.as_deref(), self.cursor.as_deref());
        let default = Sort { key, direction };
        list::request(Limits::STANDARD, default, sort, self.limit, cursor)
    }

    fn filter(&self, attributes: BTreeMap<String, String>) -> Result<ProductFilter, ApiError> {
        let amount = Span {
            gte: self.price_gte,
            lte: self.price_lte,
        };
        let price = match self.currency {
            Some(currency) => Some(PriceSpan { currency, amount }),
            None if amount == Span::default() => None,
            None => return Err(bad_parameter("currency", "is needed to compare prices")),
        };
        let text = self.q.as_deref().map(SearchText::parse).transpose();
        Ok(ProductFilter {
            text: text.map_err(|invalid| bad_parameter("q", invalid.to_string()))?,
            region_id: self.region_id,
            sku: self.sku.as_ref().map(ToString::to_string),
            in_stock: self.in_stock,
            low_stock: self.low_stock,
            price,
            shop_id: self.shop_id,
            category_id: self.category_id,
            kind: self.kind.clone(),
            attributes: of_kind(self.kind.as_deref(), attributes)?,
            include_deleted: false,
        })
    }
}

/// The attributes that products are to have, each with a value that its kind allows.
fn of_kind(
    kind: Option<&str>,
    attributes: BTreeMap<String, String>,
) -> Result<BTreeMap<String, AttributeValue>, ApiError> {
    let Some(name) = kind else {
        if attributes.is_empty() {
            return Ok(BTreeMap::new());
        }
        return Err(bad_parameter("kind", "is needed to compare attributes"));
    };
    let kind = kinds::Kind::find(name).ok_or_else(|| {
        let names: Vec<&str> = kinds::ALL.iter().map(|kind| kind.name).collect();
        bad_parameter("kind", format!("must be one of {}", names.join(", ")))
    })?;
    let read = |(attribute, text): (String, String)| {
        let parameter = format!("attributes[{attribute}]");
        let known = kind.attribute(&attribute).ok_or_else(|| {
            bad_parameter(&parameter, format!("is not an attribute of {}", kind.name))
        })?;
        let value = known.rule.parse(&text);
        let value = value.ok_or_else(|| bad_parameter(&parameter, known.rule.to_string()))?;
        Ok((attribute, value))
    };
    attributes.into_iter().map(read).collect()
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
    /// Whose it is to be, for good: a shop that is open, and one's own unless one manages all. Without one it is the
    /// market's own.
    #[garde(dive)]
    #[serde(default)]
    #[schema(value_type = Option<Uuid>)]
    shop_id: Option<input::ShopId>,
    /// What it is to be grouped by.
    #[garde(dive)]
    #[serde(default)]
    #[schema(value_type = Option<Uuid>)]
    category_id: Option<input::CategoryId>,
    /// Its kind: see `GET /api/v1/kinds`.
    #[garde(dive)]
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    kind: fields::Change<input::Kind>,
    /// What is told of it as one of its kind, by name.
    #[garde(dive)]
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    attributes: fields::Change<input::Attributes>,
}

/// What is to change of a product; what is absent stays. Region, sku and shop never change.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProductPatch {
    /// Its name.
    #[garde(dive)]
    #[serde(default)]
    #[schema(value_type = input::Title)]
    title: Given<input::Title>,
    /// What it is.
    #[garde(dive)]
    #[serde(default)]
    #[schema(value_type = input::Description)]
    description: Given<input::Description>,
    /// Its picture; null takes it away.
    #[garde(dive)]
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    image_url: fields::Change<input::ImageUrl>,
    /// Price of one piece; orders that are placed keep theirs.
    #[garde(dive)]
    #[serde(default)]
    #[schema(value_type = PriceInput)]
    price: Given<Object<PriceInput>>,
    /// What it is grouped by; null takes it out.
    #[garde(dive)]
    #[serde(default)]
    #[schema(value_type = Option<Uuid>)]
    category_id: fields::Change<input::CategoryId>,
    /// Its kind, with all its attributes; null takes both away.
    #[garde(dive)]
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    kind: fields::Change<input::Kind>,
    /// All that is told of it as one of its kind, by name; given together with `kind`.
    #[garde(dive)]
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    attributes: fields::Change<input::Attributes>,
}

impl Specifies for ProductInput {
    fn kind(&self) -> &fields::Change<Checked<KindField>> {
        &self.kind
    }

    fn attributes(&self) -> &fields::Change<Checked<Attributes>> {
        &self.attributes
    }
}

impl Specifies for ProductPatch {
    fn kind(&self) -> &fields::Change<Checked<KindField>> {
        &self.kind
    }

    fn attributes(&self) -> &fields::Change<Checked<Attributes>> {
        &self.attributes
    }
}

fn answered(done: Committed<Versioned<ProductDetails>>) -> Answer<ProductBody> {
    Answer::ok(done.output.state.into())
        .version(done.output.sequence)
        .at(done.head)
}

fn location(id: ProductId) -> String {
    format!("/api/v1/products/{id}")
}

/// List and search products
///
/// With their stock; deleted ones and those of closed shops are not shown. `attributes[<name>]=<value>` picks those of a
/// `kind` with such an attribute.
#[utoipa::path(get, path = "/api/v1/products", operation_id = "listProducts", tag = "products", params(ProductQuery, ByAttributes, NotBefore),
    responses((status = 200, body = PageBody<CatalogueProduct>, headers(("Link"))), Unplaced, Behind))]
async fn list_products(
    State(app): State<App>,
    QueryAndAttributes { query, attributes }: QueryAndAttributes<ProductQuery>,
    position: MinPosition,
    uri: Uri,
) -> Result<Answer<PageBody<CatalogueProduct>>, ApiError> {
    let page = query.page()?;
    let filter = query.filter(attributes)?;
    app.caught_up(View::Products, position).await?;
    let Page { items, next } = match &app.search {
        Some(engine) => {
            // whoever has just written something is to find it
            let as_of_now = position.0.is_some();
            let models = &app.read_models;
            engine.products(models, &filter, &page, as_of_now).await?
        }
        None => app.read_models.products(&filter, &page).await?,
    };
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
/// Demands the permission to manage products, or that it is for a shop of one's own.
#[utoipa::path(post, path = "/api/v1/products", operation_id = "createProduct", tag = "products", security(("bearer" = [])),
    request_body = ProductInput, params(Repeatable),
    responses(
        (status = 201, body = ProductBody, headers(("Location"), ("ETag"), ("Souk-Position"))),
        NotOffered, NotDone,
    ))]
async fn create(
    State(app): State<App>,
    who: Allowed<ManageProducts>,
    call: Call,
    body: Body<Specified<ProductInput>>,
) -> Result<Answer<ProductBody>, ApiError> {
    let attempt = call.attempt(&app.idempotency, &who, &body.raw)?;
    let by = app.manager(&who, Permission::ManageProducts)?;
    let product_id = ProductId(Uuid::now_v7());
    let product = new_product(product_id, body.value.0)?;
    let key = attempt
        .as_ref()
        .map(|attempt| attempt.key(StatusCode::CREATED.as_u16(), product_id));
    let request = call.request(&who, "CreateProduct", key);
    let commands = app.commands.clone();
    let command = async move { commands.create_product(request, by, product).await };
    let created = run_once(&app.log, attempt, command)
        .await
        .map_err(unknown_reference)?;
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

fn new_product(product_id: ProductId, input: ProductInput) -> Result<NewProduct, ApiError> {
    Ok(NewProduct {
        product_id,
        specification: input.specification().apply(None),
        region_id: input.region_id.take(),
        sku: input.sku.take(),
        title: input.title.take(),
        description: input
            .description
            .map_or_else(no_description, |given| Ok(given.take()))?,
        image_url: input.image_url.map(Checked::take),
        price: input.price.0.take(),
        shop_id: input.shop_id.map(Checked::take),
        category_id: input.category_id.map(Checked::take),
        stock: input.stock.map(Checked::take),
    })
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

/// The product, unless it was deleted or its shop was closed.
pub(super) async fn on_sale(
    app: &App,
    id: ProductId,
    position: MinPosition,
) -> Result<ProductView, ApiError> {
    app.caught_up_on(View::Products, id, position).await?;
    let product = app
        .product(id, position)
        .await?
        .filter(ProductView::is_shown);
    product.ok_or_else(|| Kind::NotFound.into())
}

/// Change a product
///
/// Demands the permission to manage products, or that it is of a shop of one's own.
#[utoipa::path(patch, path = "/api/v1/products/{id}", operation_id = "updateProduct", tag = "products", security(("bearer" = [])),
    request_body = ProductPatch, params(ById, OnlyIf),
    responses(
        (status = 200, body = ProductBody, headers(("ETag"), ("Souk-Position"))),
        Missing, ShopNotOpen, Stale, NotDone,
    ))]
async fn update(
    State(app): State<App>,
    who: Allowed<ManageProducts>,
    Id(id): Id<ProductId>,
    expected: IfMatch,
    call: Call,
    body: Body<Specified<ProductPatch>>,
) -> Result<Answer<ProductBody>, ApiError> {
    let by = app.manager(&who, Permission::ManageProducts)?;
    let Specified(patch) = body.value;
    let changes = ProductChanges {
        specification: patch.specification(),
        title: patch.title.take(),
        description: patch.description.take(),
        image_url: patch.image_url.take(),
        price: patch.price.value().map(|Object(price)| price.take()),
        category_id: patch.category_id.take(),
    };
    let request = call.request(&who, "UpdateProduct", None);
    let commands = app.commands.clone();
    let updated = run(async move {
        commands
            .update_product(request, by, id, changes, expected.version())
            .await
    })
    .await
    .map_err(unknown_reference)?;
    Ok(answered(updated))
}

/// Delete a product
///
/// It is sold and shown no more, its sku is free again; orders and history keep it. Demands the permission to manage
/// products, or that it is of a shop of one's own.
#[utoipa::path(delete, path = "/api/v1/products/{id}", operation_id = "deleteProduct", tag = "products", security(("bearer" = [])),
    params(ById, OnlyIf),
    responses((status = 204, description = "Deleted, now or before", headers(("Souk-Position"))), Missing, ShopNotOpen, Stale, NotDone))]
async fn delete(
    State(app): State<App>,
    who: Allowed<ManageProducts>,
    Id(id): Id<ProductId>,
    expected: IfMatch,
    call: Call,
) -> Result<Answer<()>, ApiError> {
    let by = app.manager(&who, Permission::ManageProducts)?;
    let request = call.request(&who, "DeleteProduct", None);
    let commands = app.commands.clone();
    let deleted = run(async move {
        commands
            .delete_product(request, by, id, expected.version())
            .await
    })
    .await?;
    Ok(Answer::no_content().at(deleted.head))
}
