//! What the lines of an order cost: one pure function from items and a region's terms to lines and totals.
//!
//! Tax is rounded half up per line and the order's amounts are sums of its lines, so lines always add up to the
//! total. Discounts are taken off before tax, by the rule of [`Offer`]s. Used by the order when it is placed and by whoever
//! shows a price before that.

mod offers;

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

pub(crate) use self::offers::covers;
pub use self::offers::{AppliedDiscount, Offer};
use self::offers::{Given, give};
use crate::{
    ids::{CategoryId, DiscountId, ProductId, RegionId, ShopId},
    money::{Currency, Money},
    region::RegionTerms,
    text::{Quantity, Sku, Title},
};

/// The most lines an order may have.
pub const MAX_LINES: usize = 200;

/// So many pieces of a product at its price of today.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PricedItem {
    /// Which product.
    pub product_id: ProductId,
    /// Where it is sold.
    pub region_id: RegionId,
    /// Whose it is; nobody's but the market's where there is none.
    pub shop_id: Option<ShopId>,
    /// What it is grouped by.
    pub category_id: Option<CategoryId>,
    /// The seller's number.
    pub sku: Sku,
    /// Its name.
    pub title: Title,
    /// How many pieces.
    pub quantity: Quantity,
    /// Price of one piece.
    pub unit_price: Money,
}

/// One line of an order. Amounts are minor units of the order's currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderLine {
    /// Number of the line, from 1.
    pub line: u32,
    /// Which product.
    pub product_id: ProductId,
    /// Whose the product is; absent where it is nobody's but the market's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shop_id: Option<ShopId>,
    /// The seller's number, as it was.
    pub sku: Sku,
    /// Its name, as it was.
    pub title: Title,
    /// How many pieces.
    pub quantity: Quantity,
    /// Price of one piece, with tax where the region's prices include it.
    pub unit_price: i64,
    /// What a discount took off it.
    pub discount: i64,
    /// Which discount did; absent where none did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discount_id: Option<DiscountId>,
    /// What is left after the discount, without tax.
    pub net: i64,
    /// Tax of the line.
    pub tax: i64,
    /// What the line costs: net and tax.
    pub gross: i64,
}

/// The lines of an order and their sums. `total` is the sum of the lines' gross.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PricedOrder {
    /// One line per product, in the order in which the products were first named.
    pub lines: Vec<OrderLine>,
    /// Sum of price times quantity, before discounts; with tax inside where prices include it.
    pub subtotal: i64,
    /// Sum of what the discounts took off.
    pub discount: i64,
    /// The discounts, in the order in which they were given.
    pub discounts: Vec<AppliedDiscount>,
    /// Sum of the lines' tax.
    pub tax: i64,
    /// What is to be paid.
    pub total: i64,
}

/// Why items cannot be priced as one order.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PricingError {
    /// Nothing to price.
    #[error("an order needs at least one item")]
    Empty,
    /// More than [`MAX_LINES`] products.
    #[error("an order has at most {MAX_LINES} lines")]
    TooManyLines,
    /// A product of another region.
    #[error("product {product_id} belongs to another region")]
    MixedRegions {
        /// Which.
        product_id: ProductId,
    },
    /// A price in another currency than the region's.
    #[error("product {product_id} is priced in {found}, the order in {expected}")]
    MixedCurrencies {
        /// Which.
        product_id: ProductId,
        /// The order's currency.
        expected: Currency,
        /// The price's currency.
        found: Currency,
    },
    /// The same product came with two prices.
    #[error("product {product_id} came with two prices")]
    PricesDiffer {
        /// Which.
        product_id: ProductId,
    },
    /// A price below zero.
    #[error("product {product_id} has a negative price")]
    NegativePrice {
        /// Which.
        product_id: ProductId,
    },
    /// All quantities of a product together are too many.
    #[error("at most {max} pieces of product {product_id} can be ordered at once", max = Quantity::MAX)]
    QuantityTooLarge {
        /// Which.
        product_id: ProductId,
    },
    /// An amount does not fit in 64 bits.
    #[error("the order's total is too large")]
    TotalTooLarge,
}

/// Prices `items` under `terms`, with what the `offers` take off.
pub fn price_lines(
    terms: &RegionTerms,
    items: &[PricedItem],
    offers: &[Offer],
) -> Result<PricedOrder, PricingError> {
    let items = merged(terms, items)?;
    let amounts = items.iter().map(amount).collect::<Result<Vec<_>, _>>()?;
    let subtotal = sum(amounts.iter().copied())?;
    let Given {
        lines: given,
        discounts,
    } = give(&items, &amounts, offers);
    let lines = (1..)
        .zip(items)
        .zip(amounts.into_iter().zip(given))
        .map(|((number, item), (amount, given))| line(terms, number, item, amount, given))
        .collect::<Result<Vec<_>, _>>()?;
    // fits: no line's is more than its amount, and those add up to the subtotal
    let discount = lines.iter().map(|line| line.discount).sum();
    let tax = sum(lines.iter().map(|line| line.tax))?;
    let total = sum(lines.iter().map(|line| line.gross))?;
    Ok(PricedOrder {
        lines,
        subtotal,
        discount,
        discounts,
        tax,
        total,
    })
}

/// One item per product: the quantities of a product that was named twice are summed before anything is checked
/// against stock.
fn merged(terms: &RegionTerms, items: &[PricedItem]) -> Result<Vec<PricedItem>, PricingError> {
    let mut merged: Vec<PricedItem> = Vec::with_capacity(items.len().min(MAX_LINES));
    let mut index_of = HashMap::new();
    for item in items {
        let product_id = item.product_id;
        check(terms, item)?;
        if let Some(index) = index_of.get(&product_id) {
            let first: &mut PricedItem = &mut merged[*index];
            if first.unit_price != item.unit_price {
                return Err(PricingError::PricesDiffer { product_id });
            }
            first.quantity = first
                .quantity
                .checked_add(item.quantity)
                .map_err(|_| PricingError::QuantityTooLarge { product_id })?;
        } else if merged.len() == MAX_LINES {
            return Err(PricingError::TooManyLines);
        } else {
            index_of.insert(product_id, merged.len());
            merged.push(item.clone());
        }
    }
    if merged.is_empty() {
        Err(PricingError::Empty)
    } else {
        Ok(merged)
    }
}

fn check(terms: &RegionTerms, item: &PricedItem) -> Result<(), PricingError> {
    let product_id = item.product_id;
    if item.region_id != terms.region_id {
        return Err(PricingError::MixedRegions { product_id });
    }
    if item.unit_price.currency != terms.currency {
        let (expected, found) = (terms.currency, item.unit_price.currency);
        return Err(PricingError::MixedCurrencies {
            product_id,
            expected,
            found,
        });
    }
    if item.unit_price.amount < 0 {
        return Err(PricingError::NegativePrice { product_id });
    }
    Ok(())
}

fn amount(item: &PricedItem) -> Result<i64, PricingError> {
    item.unit_price
        .amount
        .checked_mul(item.quantity.into())
        .ok_or(PricingError::TotalTooLarge)
}

fn sum(amounts: impl Iterator<Item = i64>) -> Result<i64, PricingError> {
    let mut sum = 0_i64;
    for amount in amounts {
        sum = sum.checked_add(amount).ok_or(PricingError::TotalTooLarge)?;
    }
    Ok(sum)
}

/// A line whose price times quantity is `amount`.
fn line(
    terms: &RegionTerms,
    number: u32,
    item: PricedItem,
    amount: i64,
    (discount, discount_id): (i64, Option<DiscountId>),
) -> Result<OrderLine, PricingError> {
    let discounted = amount - discount;
    let discount_id = discount_id.filter(|_| discount > 0);
    let (net, tax, gross) = if terms.prices_include_tax {
        let tax = terms.tax_rate.tax_within(discounted);
        (discounted - tax, tax, discounted)
    } else {
        let tax = terms.tax_rate.tax_on(discounted);
        (
            discounted,
            tax,
            discounted
                .checked_add(tax)
                .ok_or(PricingError::TotalTooLarge)?,
        )
    };
    Ok(OrderLine {
        line: number,
        product_id: item.product_id,
        shop_id: item.shop_id,
        sku: item.sku,
        title: item.title,
        quantity: item.quantity,
        unit_price: item.unit_price.amount,
        discount,
        discount_id,
        net,
        tax,
        gross,
    })
}

#[cfg(test)]
mod tests;
