//! What an order would cost, without ordering it.

use axum::extract::State;
use commands::orders::{CodeNotDue, OrderItem, Quote, QuoteRequest};
use domain::{
    ids::{DiscountId, ProductId, RegionId, ShopId},
    order::OrderLine,
    pricing::{AppliedDiscount, PricedOrder},
    region::RegionTerms,
};
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{ItemInput, MAX_CODES, MAX_ITEMS};
use crate::{
    answer::Answer,
    auth::{Allowed, PlaceOrder},
    call::{Call, run},
    error::ApiError,
    extract::Body,
    fields::{Checked, Object, input},
    openapi::parts::{NotDone, NotOrdered},
    routes::body::{MoneyBody, unknown_region},
    state::App,
};

/// The routes.
pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(quote))
}

/// What somebody wants to know the price of.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct QuoteInput {
    /// What would be bought, of one region. A product that is named twice becomes one line.
    #[garde(length(min = 1, max = MAX_ITEMS), dive)]
    #[schema(min_items = 1, max_items = 1000, value_type = Vec<ItemInput>)]
    items: Vec<Object<ItemInput>>,
    /// Where it would be bought; the region of the first product when absent.
    #[garde(dive)]
    #[serde(default)]
    #[schema(value_type = Option<Uuid>)]
    region_id: Option<input::RegionId>,
    /// Codes of discounts that would be used.
    #[garde(length(max = MAX_CODES), dive)]
    #[serde(default)]
    #[schema(max_items = 10, value_type = Vec<String>)]
    discount_codes: Vec<input::DiscountCode>,
}

/// What something costs.
#[derive(Serialize, ToSchema)]
pub(in crate::routes) struct PriceBody {
    /// Sum of price times quantity, before discounts; with tax inside where prices include it.
    subtotal: MoneyBody,
    /// Sum of what the discounts take off.
    discount: MoneyBody,
    /// The discounts, in the order in which they are given.
    discounts: Vec<DiscountGiven>,
    /// Sum of the lines' tax.
    tax: MoneyBody,
    /// Rate of the tax in basis points.
    #[schema(example = 1000)]
    tax_rate: u32,
    /// Whether prices contain the tax.
    prices_include_tax: bool,
    /// What is to be paid: what to send as `expected_total` with the order.
    order_total: MoneyBody,
}

impl PriceBody {
    /// The price of what could be priced; nothing costs nothing.
    pub(in crate::routes) fn of(terms: &RegionTerms, priced: Option<&PricedOrder>) -> Self {
        let money = |amount: fn(&PricedOrder) -> i64| {
            MoneyBody::of(priced.map_or(0, amount), terms.currency)
        };
        let discounts = priced.map_or(&[][..], |priced| &priced.discounts);
        Self {
            subtotal: money(|priced| priced.subtotal),
            discount: money(|priced| priced.discount),
            discounts: discounts_given(discounts, terms.currency),
            tax: money(|priced| priced.tax),
            tax_rate: terms.tax_rate.basis_points(),
            prices_include_tax: terms.prices_include_tax,
            order_total: money(|priced| priced.total),
        }
    }
}

/// A discount that an order has.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(in crate::routes) struct DiscountGiven {
    /// Which.
    #[schema(value_type = Uuid)]
    discount_id: DiscountId,
    /// Its name.
    #[schema(example = "10 % off to welcome you")]
    title: String,
    /// What was typed in for it; null where it is given by itself.
    #[schema(example = "WELCOME10")]
    code: Option<String>,
    /// What it takes off.
    amount: MoneyBody,
}

/// Discounts as the API shows them.
pub(in crate::routes) fn discounts_given(
    discounts: &[AppliedDiscount],
    currency: domain::money::Currency,
) -> Vec<DiscountGiven> {
    let given = |discount: &AppliedDiscount| DiscountGiven {
        discount_id: discount.discount_id,
        title: discount.title.to_string(),
        code: discount.code.as_ref().map(ToString::to_string),
        amount: MoneyBody::of(discount.amount, currency),
    };
    discounts.iter().map(given).collect()
}

/// A code that brings nothing.
#[derive(Serialize, ToSchema)]
pub(in crate::routes) struct RefusedCode {
    /// The code.
    #[schema(example = "WELCOME10")]
    code: String,
    /// Why: `unknown`, `not_started`, `ended`, `used_up`, `used_up_by_customer`, `nothing_covered` or `below_minimum`.
    #[schema(example = "below_minimum")]
    reason: &'static str,
}

impl From<CodeNotDue> for RefusedCode {
    fn from(refused: CodeNotDue) -> Self {
        Self {
            code: refused.code.to_string(),
            reason: refused.reason.as_str(),
        }
    }
}

/// What an order would cost.
#[derive(Serialize, ToSchema)]
pub(super) struct QuoteBody {
    /// Where it would be bought.
    #[schema(value_type = Uuid)]
    region_id: RegionId,
    /// What would be bought, a line per product.
    items: Vec<QuotedLine>,
    /// What it costs.
    #[serde(flatten)]
    price: PriceBody,
    /// Codes that bring nothing. An order that names one of them is refused.
    refused_codes: Vec<RefusedCode>,
    /// Products of which fewer pieces are left than are wanted.
    shortages: Vec<ShortageBody>,
}

/// A line of an order that was not placed.
#[derive(Serialize, ToSchema)]
struct QuotedLine {
    /// Its number, from 1.
    #[schema(example = 1)]
    line: u32,
    /// Which product.
    #[schema(value_type = Uuid)]
    product_id: ProductId,
    /// Whose the product is; null where it belongs to no shop.
    #[schema(value_type = Option<Uuid>)]
    shop_id: Option<ShopId>,
    /// The seller's number.
    sku: String,
    /// The product's name.
    title: String,
    /// How many pieces.
    #[schema(example = 2)]
    quantity: u32,
    /// Price of one piece.
    unit_price: MoneyBody,
    /// What a discount takes off it.
    discount: MoneyBody,
    /// Which discount; null where none does.
    #[schema(value_type = Option<Uuid>)]
    discount_id: Option<DiscountId>,
    /// Tax of the line.
    tax: MoneyBody,
    /// What the line costs.
    total: MoneyBody,
}

/// A product of which too few pieces are left.
#[derive(Serialize, ToSchema)]
struct ShortageBody {
    /// Which.
    #[schema(value_type = Uuid)]
    product_id: ProductId,
    /// How many pieces are wanted.
    requested: u32,
    /// How many are left.
    available: u64,
}

impl From<Quote> for QuoteBody {
    fn from(quote: Quote) -> Self {
        let currency = quote.terms.currency;
        let money = |amount| MoneyBody::of(amount, currency);
        let line = |line: &OrderLine| QuotedLine {
            line: line.line,
            product_id: line.product_id,
            shop_id: line.shop_id,
            sku: line.sku.to_string(),
            title: line.title.to_string(),
            quantity: line.quantity.get(),
            unit_price: money(line.unit_price),
            discount: money(line.discount),
            discount_id: line.discount_id,
            tax: money(line.tax),
            total: money(line.gross),
        };
        let shortages = quote.shortages.iter().map(|shortage| ShortageBody {
            product_id: shortage.product_id,
            requested: shortage.requested.get(),
            available: shortage.available,
        });
        Self {
            region_id: quote.terms.region_id,
            items: quote.priced.lines.iter().map(line).collect(),
            price: PriceBody::of(&quote.terms, Some(&quote.priced)),
            shortages: shortages.collect(),
            refused_codes: quote.refused.into_iter().map(Into::into).collect(),
        }
    }
}

/// Price an order
///
/// What these items would cost now, with the discounts that are to be had, without ordering. Codes that bring nothing and
/// stock that is short are told; what could not be ordered at all is refused as an order of it is. Demands the permission to
/// place orders.
#[utoipa::path(post, path = "/api/v1/orders/quote", operation_id = "quoteOrder", tag = "orders", security(("bearer" = [])),
    request_body = QuoteInput,
    responses((status = 200, body = QuoteBody), NotOrdered, NotDone))]
async fn quote(
    State(app): State<App>,
    who: Allowed<PlaceOrder>,
    call: Call,
    body: Body<QuoteInput>,
) -> Result<Answer<QuoteBody>, ApiError> {
    let QuoteInput {
        items,
        region_id,
        discount_codes,
    } = body.value;
    let items = items.into_iter().map(|Object(item)| OrderItem {
        product_id: item.product_id.take(),
        quantity: item.quantity.take(),
    });
    let wanted = QuoteRequest {
        customer_id: who.user_id,
        region_id: region_id.map(Checked::take),
        items: items.collect(),
        codes: discount_codes.into_iter().map(Checked::take).collect(),
    };
    let request = call.request(&who, "QuoteOrder", None);
    let commands = app.commands.clone();
    let quoted = run(async move { commands.quote(request, wanted).await })
        .await
        .map_err(unknown_region)?;
    Ok(Answer::ok(quoted.output.into()))
}
