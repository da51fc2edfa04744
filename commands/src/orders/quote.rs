//! What an order would cost, without ordering: priced as it would be placed now, discounts included. Reads the log at its
//! head and writes nothing.

use chrono::Utc;
use domain::{
    discount::NotDue,
    ids::{RegionId, UserId},
    inventory::Inventory,
    order::OrderError,
    pricing::{PricedItem, PricedOrder, PricingError, price_lines},
    product::Product,
    region::{Region, RegionTerms},
    text::DiscountCode,
};
use eventstore::{
    stream::StreamRef,
    unit::{Committed, Halt, Work},
};

use super::{
    discounts::{Buyer, Due, NamedDiscount, discount_streams, due},
    place::{OrderItem, different_products, few_codes, priced_items},
};
use crate::{
    absent::Absent,
    failure::{Failure, Shortage, pieces_left, refuse},
    request::{Commands, Request},
};

/// What somebody wants to know the price of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuoteRequest {
    /// Who asks: limits are theirs.
    pub customer_id: UserId,
    /// Where it would be ordered; by default in the region of its first product.
    pub region_id: Option<RegionId>,
    /// What would be bought.
    pub items: Vec<OrderItem>,
    /// Codes of discounts that would be used.
    pub codes: Vec<DiscountCode>,
}

/// A code that brings nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeNotDue {
    /// As it was typed in, in upper case.
    pub code: DiscountCode,
    /// Why not.
    pub reason: NotDue,
}

/// What it would cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quote {
    /// By which terms.
    pub terms: RegionTerms,
    /// Lines, discounts and totals.
    pub priced: PricedOrder,
    /// Codes that bring nothing, and why.
    pub refused: Vec<CodeNotDue>,
    /// Products of which fewer pieces are left than are wanted.
    pub shortages: Vec<Shortage>,
}

impl Commands {
    /// What these items would cost. What could not be ordered at all is refused as an order of it would be; stock that is
    /// short, and codes that bring nothing, are told in the answer.
    pub async fn quote(
        &self,
        request: Request,
        wanted: QuoteRequest,
    ) -> Result<Committed<Quote>, Failure> {
        let products = different_products(&wanted.items)?;
        let codes = few_codes(&wanted.codes)?;
        let region_id = match (wanted.region_id, wanted.items.first()) {
            (Some(region_id), _) => Some(region_id),
            (None, Some(item)) => self.region_of_product(item.product_id).await?,
            (None, None) => None,
        };
        let named = match region_id {
            Some(region_id) => self.named_discounts(region_id, &codes).await?,
            None => vec![],
        };
        let mut streams = discount_streams(wanted.customer_id, region_id, &named);
        streams.extend(region_id.map(StreamRef::of::<Region>));
        streams.extend(products.iter().map(StreamRef::of::<Product>));
        streams.extend(products.iter().map(StreamRef::of::<Inventory>));
        let now = Utc::now();
        self.commit(request, streams, move |work| {
            let items = priced_items(work, &wanted.items)?;
            let region_id = region_id.or_else(|| items.first().map(|item| item.region_id));
            let region_id =
                region_id.ok_or_else(|| refuse(OrderError::Pricing(PricingError::Empty)))?;
            let buyer = Buyer {
                customer_id: wanted.customer_id,
                region_id,
                order_id: None,
                now,
            };
            let terms = work.state::<Region>(region_id)?.terms().map_err(refuse)?;
            let (priced, refused) = quoted(work, &terms, &buyer, &items, &named)?;
            let shortages = shortages(work, &priced)?;
            Ok(Quote {
                terms,
                priced,
                refused,
                shortages,
            })
        })
        .await
    }
}

/// The price of items that are on sale, and the codes that bring nothing.
pub(crate) fn quoted(
    work: &mut Work<'_, Failure>,
    terms: &RegionTerms,
    buyer: &Buyer,
    items: &[PricedItem],
    codes: &[NamedDiscount],
) -> Result<(PricedOrder, Vec<CodeNotDue>), Halt<Failure>> {
    let Due { offers, refused } = due(work, buyer, items, codes)?;
    let priced =
        price_lines(terms, items, &offers).map_err(|error| refuse(OrderError::Pricing(error)))?;
    let refused = refused.into_iter();
    let refused = refused.map(|(code, reason)| CodeNotDue { code, reason });
    Ok((priced, refused.collect()))
}

fn shortages(
    work: &mut Work<'_, Failure>,
    priced: &PricedOrder,
) -> Result<Vec<Shortage>, Halt<Failure>> {
    let mut shortages = Vec::new();
    let mut absent = Absent::default();
    for line in &priced.lines {
        let Some(stock) = absent.note(work.state::<Inventory>(line.product_id))? else {
            continue;
        };
        let available = stock.available();
        if available < i64::from(line.quantity) {
            shortages.push(Shortage {
                product_id: line.product_id,
                requested: line.quantity,
                available: pieces_left(available),
            });
        }
    }
    absent.check()?;
    Ok(shortages)
}
