//! Carts: one per customer and region, each seen and changed by its customer alone. Every answer shows the whole cart as it
//! is then: priced afresh, with what changed since an item was put into it. A cart reserves nothing; checking out does.

use axum::{
    extract::State,
    http::{StatusCode, Uri},
};
use chrono::{DateTime, Utc};
use commands::{
    Failure,
    carts::{CartNow, ItemNow, NotForSale, Put},
    orders::CheckOut,
};
use domain::{
    ids::{CartId, DiscountId, OrderId, ProductId, RegionId, ShopId},
    order::OrderError,
    pricing::{PricedOrder, PricingError},
};
use eventstore::unit::Committed;
use garde::Validate;
use projections::{
    View,
    carts::{CartFilter, CartSort, CartView},
    page::Page,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    body::MoneyBody,
    list::{self, PageBody},
    orders::{
        ItemInput, MAX_CODES, OrderBody, answered_order, contact,
        quote::{PriceBody, RefusedCode},
    },
};
use crate::{
    answer::Answer,
    auth::{Allowed, PlaceOrder},
    call::{Call, Outcome, run, run_once},
    error::ApiError,
    extract::{Body, Id, IdAnd, MinPosition, Query},
    fields::{Checked, input},
    openapi::parts::{
        Behind, ById, MayNotOrder, Missing, NotBefore, NotDone, NotOrdered, ProductById,
        Repeatable, Unplaced,
    },
    problem::{FieldError, Kind, Problem},
    state::App,
};

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(list_carts))
        .routes(routes!(read, clear))
        .routes(routes!(add))
        .routes(routes!(set, remove))
        .routes(routes!(set_codes))
        .routes(routes!(check_out))
}

/// A cart, priced afresh.
#[derive(Serialize, ToSchema)]
pub struct CartBody {
    /// Which.
    #[schema(value_type = Uuid)]
    cart_id: CartId,
    /// Where it is ordered.
    #[schema(value_type = Uuid)]
    region_id: RegionId,
    /// What is in it, in the order in which it was first put there.
    items: Vec<CartItemBody>,
    /// Its discount codes.
    discount_codes: Vec<String>,
    /// Those that bring nothing now. Checking out with one of them is refused.
    refused_codes: Vec<RefusedCode>,
    /// What that which is for sale costs.
    #[serde(flatten)]
    price: PriceBody,
    /// Whether a price is another than when the item was put into the cart.
    price_changed: bool,
    /// Whether all of it can be ordered: no item has a `problem`, no code is refused, the region takes
    /// orders, and it is not empty.
    can_be_ordered: bool,
}

/// An item of a cart.
#[derive(Serialize, ToSchema)]
pub struct CartItemBody {
    /// Which product.
    #[schema(value_type = Uuid)]
    product_id: ProductId,
    /// How many pieces are wanted.
    #[schema(example = 2)]
    quantity: u32,
    /// Price of one piece when it was put into the cart.
    price_when_added: MoneyBody,
    /// What stands in its way: `not_on_sale`, `shop_not_open` or `insufficient_stock`; null where nothing does.
    problem: Option<&'static str>,
    /// The seller's number; null where it is not sold any more.
    sku: Option<String>,
    /// The product's name; null where it is not sold any more.
    title: Option<String>,
    /// Whose the product is; null where it belongs to no shop, or is not sold any more.
    #[schema(value_type = Option<Uuid>)]
    shop_id: Option<ShopId>,
    /// Price of one piece now; null where it is not sold any more.
    unit_price: Option<MoneyBody>,
    /// Whether that is another price than when it was put into the cart.
    price_changed: bool,
    /// Pieces that can be had; null where it is not sold any more.
    available: Option<u64>,
    /// What a discount takes off it.
    discount: MoneyBody,
    /// Which discount; null where none does.
    #[schema(value_type = Option<Uuid>)]
    discount_id: Option<DiscountId>,
    /// What it costs, tax included; null where it is not sold any more.
    total: Option<MoneyBody>,
}

impl From<CartNow> for CartBody {
    fn from(cart: CartNow) -> Self {
        let priced = cart.priced.as_ref();
        let price = PriceBody::of(&cart.terms, priced);
        let items: Vec<CartItemBody> = cart
            .items
            .into_iter()
            .map(|item| item_body(item, priced))
            .collect();
        let refused_codes: Vec<RefusedCode> = cart.refused.into_iter().map(Into::into).collect();
        let in_order = items.iter().all(|item| item.problem.is_none());
        Self {
            cart_id: cart.cart_id,
            region_id: cart.terms.region_id,
            price_changed: items.iter().any(|item| item.price_changed),
            can_be_ordered: in_order
                && refused_codes.is_empty()
                && cart.takes_orders
                && cart.priced.is_some(),
            items,
            discount_codes: cart.codes.iter().map(ToString::to_string).collect(),
            refused_codes,
            price,
        }
    }
}

fn item_body(item: ItemNow, priced: Option<&PricedOrder>) -> CartItemBody {
    let (then, currency) = (item.price_then, item.price_then.currency);
    let (product, problem) = match item.product {
        Ok(product) if product.available < u64::from(item.quantity) => {
            (Some(product), Some("insufficient_stock"))
        }
        Ok(product) => (Some(product), None),
        Err(NotForSale::NotOnSale) => (None, Some("not_on_sale")),
        Err(NotForSale::ShopNotOpen) => (None, Some("shop_not_open")),
    };
    let mut lines = priced.into_iter().flat_map(|priced| &priced.lines);
    let line = lines.find(|line| line.product_id == item.product_id);
    CartItemBody {
        product_id: item.product_id,
        quantity: item.quantity.get(),
        price_when_added: then.into(),
        problem,
        price_changed: product.as_ref().is_some_and(|now| now.price != then),
        sku: product.as_ref().map(|now| now.sku.to_string()),
        title: product.as_ref().map(|now| now.title.to_string()),
        shop_id: product.as_ref().and_then(|now| now.shop_id),
        unit_price: product.as_ref().map(|now| now.price.into()),
        available: product.as_ref().map(|now| now.available),
        discount: MoneyBody::of(line.map_or(0, |line| line.discount), currency),
        discount_id: line.and_then(|line| line.discount_id),
        total: line.map(|line| MoneyBody::of(line.gross, currency)),
    }
}

/// A cart in the list.
#[derive(Serialize, ToSchema)]
pub struct ListedCart {
    /// Which.
    #[schema(value_type = Uuid)]
    cart_id: CartId,
    /// Where it is ordered.
    #[schema(value_type = Uuid)]
    region_id: RegionId,
    /// How many products are in it.
    products: i64,
    /// How many pieces of them.
    pieces: i64,
    /// When it last changed.
    updated_at: DateTime<Utc>,
}

impl From<CartView> for ListedCart {
    fn from(cart: CartView) -> Self {
        Self {
            cart_id: cart.cart_id,
            region_id: cart.region_id,
            products: cart.products,
            pieces: cart.pieces,
            updated_at: cart.updated_at,
        }
    }
}

/// Which carts.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CartQuery {
    /// `updated_at`, with a `-` in front for the other direction; `-updated_at` when absent.
    sort: Option<String>,
    /// How many: 1 to 200, 50 when absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// How many pieces.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QuantityInput {
    /// How many pieces are to be in the cart.
    #[garde(dive)]
    quantity: input::Quantity,
}

/// Discount codes.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CodesInput {
    /// All codes that are to be used; none to use none.
    #[garde(length(max = MAX_CODES), dive)]
    #[schema(max_items = 10, value_type = Vec<String>, example = json!(["WELCOME10"]))]
    discount_codes: Vec<input::DiscountCode>,
}

/// How a cart is ordered.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckoutInput {
    /// Who it is for; the customer's own name when absent.
    #[garde(dive)]
    #[serde(default)]
    customer_name: Option<input::PersonName>,
    /// Where it goes; the customer's own address when absent, and then it may be missing until the order is shipped.
    #[garde(dive)]
    #[serde(default)]
    shipping_address: Option<input::PostalAddress>,
    /// The country that it goes to; where it is given, it must be the region's.
    #[garde(dive)]
    #[serde(default)]
    shipping_country: Option<input::CountryCode>,
    /// How it is to be paid; `default` when absent.
    #[garde(dive)]
    #[serde(default)]
    payment_method: Option<input::PaymentMethod>,
    /// The `order_total` that the customer was shown and accepts, in minor units: where the cart costs anything else, nothing
    /// is ordered.
    #[garde(dive)]
    #[schema(value_type = i64)]
    expected_total: input::Integer,
}

/// What cannot be priced is said of the fields of this request, which are not those of an order.
fn unpriced(error: ApiError, of: fn(&PricingError) -> Problem) -> ApiError {
    match &error {
        ApiError::Command(Failure::Order(OrderError::Pricing(pricing))) => of(pricing).into(),
        _ => error,
    }
}

/// Where the body names the product.
fn in_body(error: &PricingError) -> Problem {
    let pointer = match error {
        PricingError::QuantityTooLarge { .. } => "/quantity",
        _ => "/product_id",
    };
    Problem::new(Kind::Validation).errors(vec![FieldError::at(pointer, error.to_string())])
}

/// Where the path names it.
fn in_path(error: &PricingError) -> Problem {
    let errors = vec![FieldError::parameter("product_id", error.to_string())];
    Problem::new(Kind::InvalidParameter).errors(errors)
}

/// Where neither does: it is what is in the cart.
fn of_cart(error: &PricingError) -> Problem {
    Problem::new(Kind::Conflict).detail(error.to_string())
}

fn answered(done: Committed<CartNow>) -> Answer<CartBody> {
    Answer::ok(CartBody::from(done.output)).at(done.head)
}

/// List carts
///
/// One's own that hold something, the last changed first. Demands the permission to place orders.
#[utoipa::path(get, path = "/api/v1/carts", operation_id = "listCarts", tag = "carts", security(("bearer" = [])),
    params(CartQuery, NotBefore),
    responses((status = 200, body = PageBody<ListedCart>, headers(("Link"))), Unplaced, Behind))]
async fn list_carts(
    State(app): State<App>,
    who: Allowed<PlaceOrder>,
    Query(query): Query<CartQuery>,
    position: MinPosition,
    uri: Uri,
) -> Result<Answer<PageBody<ListedCart>>, ApiError> {
    let (sort, cursor) = (query.sort.as_deref(), query.cursor.as_deref());
    let page = list::newest_first(CartSort::UpdatedAt, sort, query.limit, cursor)?;
    let filter = CartFilter {
        customer_id: who.user_id,
    };
    app.caught_up(View::Carts, position).await?;
    let Page { items, next } = app.read_models.carts(&filter, &page).await?;
    let items = items.into_iter().map(Into::into).collect();
    Ok(list::page(&uri, Page { items, next }))
}

/// Read a cart
///
/// One's own of the region, priced as it would be ordered now; an empty one where nothing was put into it. Demands the
/// permission to place orders.
#[utoipa::path(get, path = "/api/v1/carts/{id}", operation_id = "readCart", tag = "carts", security(("bearer" = [])),
    params(ById),
    responses((status = 200, body = CartBody), Missing, NotOrdered, NotDone))]
async fn read(
    State(app): State<App>,
    who: Allowed<PlaceOrder>,
    Id(region_id): Id<RegionId>,
    call: Call,
) -> Result<Answer<CartBody>, ApiError> {
    let request = call.request(&who, "ReadCart", None);
    let (commands, customer_id) = (app.commands.clone(), who.user_id);
    let cart = run(async move { commands.cart(request, customer_id, region_id).await }).await?;
    Ok(Answer::ok(cart.output.into()))
}

/// Put something into a cart
///
/// So many pieces more, at the price of today. Demands the permission to place orders.
#[utoipa::path(post, path = "/api/v1/carts/{id}/items", operation_id = "addToCart", tag = "carts", security(("bearer" = [])),
    request_body = ItemInput, params(ById, Repeatable),
    responses((status = 200, body = CartBody, headers(("Souk-Position"))), Missing, NotOrdered, NotDone))]
async fn add(
    State(app): State<App>,
    who: Allowed<PlaceOrder>,
    Id(region_id): Id<RegionId>,
    call: Call,
    body: Body<ItemInput>,
) -> Result<Answer<CartBody>, ApiError> {
    let attempt = call.attempt(&app.idempotency, &who, &body.raw)?;
    let customer_id = who.user_id;
    let cart_id = CartId::of(customer_id, region_id);
    let key = attempt
        .as_ref()
        .map(|attempt| attempt.key(StatusCode::OK.as_u16(), cart_id));
    let request = call.request(&who, "AddToCart", key);
    let (product_id, put) = (
        body.value.product_id.take(),
        Put::Add(body.value.quantity.take()),
    );
    let commands = app.commands.clone();
    let command = async move {
        commands
            .put_in_cart(request, customer_id, region_id, product_id, put)
            .await
    };
    let added = run_once(&app.log, attempt, command)
        .await
        .map_err(|error| unpriced(error, in_body))?;
    match added {
        Outcome::Done(done) => Ok(answered(done)),
        Outcome::Before(earlier) => {
            let request = call.request(&who, "ReadCart", None);
            let commands = app.commands.clone();
            let cart =
                run(async move { commands.cart(request, customer_id, region_id).await }).await?;
            Ok(Answer::ok(CartBody::from(cart.output)).replayed(&earlier))
        }
    }
}

/// Set a quantity in a cart
///
/// Exactly so many pieces, at the price of today. Demands the permission to place orders.
#[utoipa::path(put, path = "/api/v1/carts/{id}/items/{product_id}", operation_id = "setInCart", tag = "carts", security(("bearer" = [])),
    request_body = QuantityInput, params(ById, ProductById),
    responses((status = 200, body = CartBody, headers(("Souk-Position"))), Missing, NotOrdered, NotDone))]
async fn set(
    State(app): State<App>,
    who: Allowed<PlaceOrder>,
    IdAnd(region_id, product_id): IdAnd<RegionId, ProductId>,
    call: Call,
    body: Body<QuantityInput>,
) -> Result<Answer<CartBody>, ApiError> {
    let request = call.request(&who, "SetInCart", None);
    let put = Put::Set(body.value.quantity.take());
    let (commands, customer_id) = (app.commands.clone(), who.user_id);
    let done = run(async move {
        commands
            .put_in_cart(request, customer_id, region_id, product_id, put)
            .await
    })
    .await
    .map_err(|error| unpriced(error, in_path))?;
    Ok(answered(done))
}

/// Take something out of a cart
///
/// Where it is not in it, nothing happens. Demands the permission to place orders.
#[utoipa::path(delete, path = "/api/v1/carts/{id}/items/{product_id}", operation_id = "removeFromCart", tag = "carts", security(("bearer" = [])),
    params(ById, ProductById),
    responses((status = 200, body = CartBody, headers(("Souk-Position"))), Missing, NotOrdered, NotDone))]
async fn remove(
    State(app): State<App>,
    who: Allowed<PlaceOrder>,
    IdAnd(region_id, product_id): IdAnd<RegionId, ProductId>,
    call: Call,
) -> Result<Answer<CartBody>, ApiError> {
    let request = call.request(&who, "RemoveFromCart", None);
    let (commands, customer_id) = (app.commands.clone(), who.user_id);
    let done = run(async move {
        commands
            .remove_from_cart(request, customer_id, region_id, product_id)
            .await
    })
    .await?;
    Ok(answered(done))
}

/// Empty a cart
///
/// Its discount codes included. Demands the permission to place orders.
#[utoipa::path(delete, path = "/api/v1/carts/{id}", operation_id = "clearCart", tag = "carts", security(("bearer" = [])),
    params(ById),
    responses((status = 200, body = CartBody, headers(("Souk-Position"))), Missing, NotOrdered, NotDone))]
async fn clear(
    State(app): State<App>,
    who: Allowed<PlaceOrder>,
    Id(region_id): Id<RegionId>,
    call: Call,
) -> Result<Answer<CartBody>, ApiError> {
    let request = call.request(&who, "ClearCart", None);
    let (commands, customer_id) = (app.commands.clone(), who.user_id);
    let done =
        run(async move { commands.clear_cart(request, customer_id, region_id).await }).await?;
    Ok(answered(done))
}

/// Set the discount codes of a cart
///
/// All of them. A code that does not exist in the region is refused; one that brings nothing now is told, and may bring
/// something when more is in the cart. Demands the permission to place orders.
#[utoipa::path(put, path = "/api/v1/carts/{id}/codes", operation_id = "setCartCodes", tag = "carts", security(("bearer" = [])),
    request_body = CodesInput, params(ById),
    responses((status = 200, body = CartBody, headers(("Souk-Position"))), Missing, NotOrdered, NotDone))]
async fn set_codes(
    State(app): State<App>,
    who: Allowed<PlaceOrder>,
    Id(region_id): Id<RegionId>,
    call: Call,
    body: Body<CodesInput>,
) -> Result<Answer<CartBody>, ApiError> {
    let codes: Vec<_> = body
        .value
        .discount_codes
        .into_iter()
        .map(Checked::take)
        .collect();
    let request = call.request(&who, "SetCartCodes", None);
    let (commands, customer_id) = (app.commands.clone(), who.user_id);
    let done = run(async move {
        commands
            .set_cart_codes(request, customer_id, region_id, &codes)
            .await
    })
    .await?;
    Ok(answered(done))
}

/// Check out
///
/// Orders what is in the cart, with its discount codes, and empties it: one order, whatever shops the products are of. Prices,
/// tax and discounts are those of now. Where it costs anything else than `expected_total`, nothing is ordered and the answer says
/// what it costs, and which prices are others than when their items were put into the cart. Demands the permission to place orders.
#[utoipa::path(post, path = "/api/v1/carts/{id}/checkout", operation_id = "checkOut", tag = "carts", security(("bearer" = [])),
    request_body = CheckoutInput, params(ById, Repeatable),
    responses(
        (status = 201, body = OrderBody, headers(("Location"), ("ETag"), ("Souk-Position"))),
        Missing, NotOrdered, MayNotOrder, NotDone,
    ))]
async fn check_out(
    State(app): State<App>,
    who: Allowed<PlaceOrder>,
    Id(region_id): Id<RegionId>,
    call: Call,
    body: Body<CheckoutInput>,
) -> Result<Answer<OrderBody>, ApiError> {
    app.assure_may_order(&who)?;
    let attempt = call.attempt(&app.idempotency, &who, &body.raw)?;
    let input = body.value;
    let (name, address) = contact(
        &app,
        who.user_id,
        input.customer_name,
        input.shipping_address,
    )
    .await?;
    let order_id = OrderId(Uuid::now_v7());
    let wanted = CheckOut {
        order_id,
        customer_id: who.user_id,
        region_id,
        customer_name: name.clone(),
        shipping_address: address.clone(),
        shipping_country: input.shipping_country.map(Checked::take),
        payment_method: input.payment_method.map(Checked::take),
        expected_total: Some(input.expected_total.take()),
    };
    let key = attempt
        .as_ref()
        .map(|attempt| attempt.key(StatusCode::CREATED.as_u16(), order_id));
    let request = call.request(&who, "CheckOut", key);
    let commands = app.commands.clone();
    let command = async move { commands.check_out(request, wanted).await };
    let outcome = run_once(&app.log, attempt, command)
        .await
        .map_err(|error| unpriced(error, of_cart))?;
    answered_order(&app, &who, outcome, name, address).await
}
