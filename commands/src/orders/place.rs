//! Placing an order: prices and terms from the products and the region, discounts, stock reserved, all in one unit of work.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use domain::{
    cart::{CartError, CartItem, MAX_CODES},
    ids::{OrderId, PaymentId, ProductId, RegionId, UserId},
    inventory::Inventory,
    money::Money,
    order::{Order, OrderCommand, OrderError, OrderNumber, PlaceOrder, PlacedOrder},
    pricing::{MAX_LINES, Offer, PricedItem, PricingError},
    product::Product,
    region::{Region, RegionTerms},
    sealed::Sealed,
    shop::Shop,
    text::{CountryCode, DiscountCode, PaymentMethod, Quantity},
};
use eventstore::{
    stream::StreamRef,
    unit::{Committed, Halt, Work},
};

use super::{
    discounts::{Buyer, NamedDiscount, discount_streams, offers},
    move_order, order_now, placed,
};
use crate::{
    absent::Absent,
    failure::{Failure, PriceDifference, refuse},
    request::{CommandSettings, Commands, Request, Versioned},
};

/// So many pieces of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderItem {
    /// Which.
    pub product_id: ProductId,
    /// How many; a product named twice becomes one line.
    pub quantity: Quantity,
}

/// An order to be placed. The id is made by the caller at random, so that nothing needs to be loaded for it.
#[derive(Clone, PartialEq, Eq)]
pub struct NewOrder {
    /// Which.
    pub order_id: OrderId,
    /// Whose.
    pub customer_id: UserId,
    /// Who it is for. Sealed before anything is decided.
    pub customer_name: String,
    /// Where it goes. Sealed before anything is decided.
    pub shipping_address: String,
    /// The country that it goes to, where that is known: refused unless it is the region's.
    pub shipping_country: Option<CountryCode>,
    /// Where it is placed; by default in the region of its first product.
    pub region_id: Option<RegionId>,
    /// How it is to be paid; by default [`crate::payment_methods::DEFAULT`].
    pub payment_method: Option<PaymentMethod>,
    /// What is bought.
    pub items: Vec<OrderItem>,
    /// Codes of discounts that are to be used, at most [`MAX_CODES`]; those without a code are used anyway.
    pub codes: Vec<DiscountCode>,
    /// What the customer accepts to pay, in minor units of the region's currency: where it costs anything else, nothing is
    /// ordered.
    pub expected_total: Option<i64>,
}

impl Commands {
    /// Places an order and reserves its stock: all of it, or nothing and a refusal that names what is short. An order
    /// that costs nothing is paid at once, without a gateway.
    pub async fn place_order(
        &self,
        request: Request,
        order: NewOrder,
    ) -> Result<Committed<Versioned<PlacedOrder>>, Failure> {
        let order = self.seal(order).await?;
        let streams = order.streams();
        let settings = self.settings();
        self.commit(request, streams, move |work| order.place(work, settings))
            .await
    }

    /// Name and address are sealed before the decision: between here and whoever may read them nobody sees them.
    pub(super) async fn seal(&self, order: NewOrder) -> Result<SealedOrder, Failure> {
        let products = different_products(&order.items)?;
        let payment_method = self
            .settings()
            .payment_methods
            .choose(order.payment_method.clone())?;
        let codes = self.codes_of(&order).await?;
        let key = self.vault().key_for(order.customer_id.0).await?;
        let stream = format!("{}/{}", domain::order::TYPE, order.order_id);
        Ok(SealedOrder {
            customer_name: key.seal(&stream, "customer_name", &order.customer_name)?,
            shipping_address: key.seal(&stream, "shipping_address", &order.shipping_address)?,
            products,
            payment_method,
            codes,
            number: self.order_numbers().next().await?,
            shown: Shown::default(),
            now: Utc::now(),
            order,
        })
    }

    /// The order's codes, each once, and what they belong to in its region.
    async fn codes_of(&self, order: &NewOrder) -> Result<Vec<NamedDiscount>, Failure> {
        let codes = few_codes(&order.codes)?;
        let region_id = match (codes.is_empty(), order.region_id, order.items.first()) {
            (true, _, _) | (_, None, None) => None,
            (false, Some(region_id), _) => Some(region_id),
            (false, None, Some(item)) => self.region_of_product(item.product_id).await?,
        };
        match region_id {
            Some(region_id) => self.named_discounts(region_id, &codes).await,
            // nothing to look up, or a product that is refused when it is decided on
            None => Ok(vec![]),
        }
    }

    /// Where a product is sold, which never changes.
    pub(super) async fn region_of_product(
        &self,
        product_id: ProductId,
    ) -> Result<Option<RegionId>, Failure> {
        let (product, _) = self.log().load::<Product>(product_id).await?;
        Ok(product.details().map(|product| product.region_id))
    }
}

/// Each code once. Too many are refused before they are looked up.
pub(crate) fn few_codes(codes: &[DiscountCode]) -> Result<Vec<DiscountCode>, Failure> {
    let mut few: Vec<DiscountCode> = Vec::new();
    for code in codes {
        if !few.contains(code) {
            few.push(code.clone());
        }
        if few.len() > MAX_CODES {
            return Err(CartError::TooManyCodes.into());
        }
    }
    Ok(few)
}

/// An order that can be decided on: its name and address are sealed, its products counted, its payment method is accepted.
pub(super) struct SealedOrder {
    pub(super) order: NewOrder,
    number: OrderNumber,
    pub(super) products: BTreeSet<ProductId>,
    payment_method: PaymentMethod,
    pub(super) codes: Vec<NamedDiscount>,
    /// What the customer was shown, where that is known.
    pub(super) shown: Shown,
    /// When it is placed, as far as the windows of discounts go.
    now: DateTime<Utc>,
    customer_name: Sealed,
    shipping_address: Sealed,
}

impl SealedOrder {
    /// What is read and written, as far as it is known before the products are.
    pub(super) fn streams(&self) -> Vec<StreamRef> {
        let order = &self.order;
        let mut streams = vec![StreamRef::fresh::<Order>(order.order_id)];
        streams.extend(order.region_id.map(StreamRef::of::<Region>));
        streams.extend(discount_streams(
            order.customer_id,
            order.region_id,
            &self.codes,
        ));
        streams.extend(self.products.iter().map(StreamRef::of::<Product>));
        streams.extend(self.products.iter().map(StreamRef::of::<Inventory>));
        streams
    }

    /// What the log says of it now. Writes nothing.
    pub(super) fn prepare(&self, work: &mut Work<'_, Failure>) -> Result<Prepared, Halt<Failure>> {
        let order = &self.order;
        let region_id = region_of(work, order)?;
        let region = work.state::<Region>(region_id)?;
        let terms = region.terms().map_err(refuse)?;
        assure_within(region, order.shipping_country.as_ref())?;
        let items = priced_items(work, &order.items)?;
        let buyer = Buyer {
            customer_id: order.customer_id,
            region_id,
            order_id: Some(order.order_id),
            now: self.now,
        };
        let offers = offers(work, &buyer, &items, &self.codes)?;
        Ok(Prepared {
            terms,
            items,
            offers,
        })
    }

    /// Places it within a unit of work, which may place others beside it.
    pub(super) fn place(
        &self,
        work: &mut Work<'_, Failure>,
        settings: CommandSettings,
    ) -> Result<Versioned<PlacedOrder>, Halt<Failure>> {
        let Prepared {
            terms,
            items,
            offers,
        } = self.prepare(work)?;
        let order = &self.order;
        let placing = PlaceOrder {
            order_id: order.order_id,
            number: self.number,
            customer_id: order.customer_id,
            customer_name: self.customer_name.clone(),
            shipping_address: self.shipping_address.clone(),
            terms,
            payment_method: self.payment_method.clone(),
            items,
            offers,
            payment_delay_ms: milliseconds(settings.payment_delay),
            payment_window_ms: milliseconds(settings.payment_window),
        };
        let place = OrderCommand::PlaceOrder(placing);
        move_order(work, order.order_id, place, |_| ())?;
        self.assure_accepted(placed(work, order.order_id)?)?;
        paid_if_free(work, order.order_id)
    }

    /// Refuses what the customer was not shown. The order is drafted by then: with the refusal nothing of it is kept.
    fn assure_accepted(&self, order: &PlacedOrder) -> Result<(), Halt<Failure>> {
        let accepted = match self.order.expected_total {
            Some(expected) => expected == order.total,
            None => unit_prices(&self.shown.items, order).is_empty(),
        };
        if accepted {
            return Ok(());
        }
        Err(price_changed(&self.shown, order))
    }
}

/// What an order is to be made of.
pub(super) struct Prepared {
    terms: RegionTerms,
    items: Vec<PricedItem>,
    offers: Vec<Offer>,
}

/// Refuses what goes to another country than the region's.
fn assure_within(region: &Region, country: Option<&CountryCode>) -> Result<(), Halt<Failure>> {
    match (region.details(), country) {
        (Some(region), Some(country)) if region.country != *country => {
            Err(refuse(Failure::CountryOutsideRegion {
                country: country.clone(),
                expected: region.country.clone(),
            }))
        }
        _ => Ok(()),
    }
}

/// What the customer was shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shown {
    /// Pieces and their prices.
    pub(super) items: Vec<CartItem>,
    /// Tax and discount of exactly these pieces, in minor units.
    pub(super) tax_and_discount: Option<(i64, i64)>,
}

impl Shown {
    /// Whether it is of the same pieces.
    fn is_of(&self, order: &PlacedOrder) -> bool {
        let items = self.items.iter();
        let shown: BTreeMap<_, _> = items.map(|item| (item.product_id, item.quantity)).collect();
        let lines = order.lines.iter();
        let now: BTreeMap<_, _> = lines.map(|line| (line.product_id, line.quantity)).collect();
        shown == now
    }
}

/// The order would cost something else than was shown or accepted.
pub(super) fn price_changed(shown: &Shown, order: &PlacedOrder) -> Halt<Failure> {
    refuse(Failure::PriceChanged {
        differences: differences(shown, order),
        total: order.money(order.total),
    })
}

/// What is another than was shown. Of what was not shown it is told what it is: it may be that which differs.
fn differences(shown: &Shown, order: &PlacedOrder) -> Vec<PriceDifference> {
    let mut differences = unit_prices(&shown.items, order);
    let before = shown.tax_and_discount.filter(|_| shown.is_of(order));
    let (tax, discount) = (before.map(|it| it.0), before.map(|it| it.1));
    if tax != Some(order.tax) {
        differences.push(PriceDifference::Tax {
            was: tax.map(|tax| order.money(tax)),
            is: order.money(order.tax),
        });
    }
    if discount != Some(order.discount) {
        differences.push(PriceDifference::Discount {
            was: discount.map(|discount| order.money(discount)),
            is: order.money(order.discount),
        });
    }
    differences
}

/// The products that have another price than was shown.
fn unit_prices(shown: &[CartItem], order: &PlacedOrder) -> Vec<PriceDifference> {
    let difference = |item: &CartItem| {
        let mut lines = order.lines.iter();
        let line = lines.find(|line| line.product_id == item.product_id)?;
        (line.unit_price != item.unit_price).then(|| PriceDifference::UnitPrice {
            product_id: item.product_id,
            was: order.money(item.unit_price),
            is: order.money(line.unit_price),
        })
    };
    shown.iter().filter_map(difference).collect()
}

/// The order as this unit leaves it. One that costs nothing is paid at once, without a gateway.
pub(super) fn paid_if_free(
    work: &mut Work<'_, Failure>,
    order_id: OrderId,
) -> Result<Versioned<PlacedOrder>, Halt<Failure>> {
    let order = order_now(work, order_id)?;
    if order.state.total > 0 {
        return Ok(order);
    }
    let payment_id = PaymentId::of(order_id);
    let amount = Money::zero(order.state.terms.currency);
    let confirm = OrderCommand::ConfirmPayment { payment_id, amount };
    move_order(work, order_id, confirm, |_| ())?;
    order_now(work, order_id)
}

/// The different products of an order. Too many are refused before they are loaded.
pub(super) fn different_products(items: &[OrderItem]) -> Result<BTreeSet<ProductId>, Failure> {
    let products: BTreeSet<ProductId> = items.iter().map(|item| item.product_id).collect();
    match products.len() {
        0 => Err(OrderError::Pricing(PricingError::Empty).into()),
        count if count > MAX_LINES => Err(OrderError::Pricing(PricingError::TooManyLines).into()),
        _ => Ok(products),
    }
}

fn region_of(work: &mut Work<'_, Failure>, order: &NewOrder) -> Result<RegionId, Halt<Failure>> {
    match (order.region_id, order.items.first()) {
        (Some(region_id), _) => Ok(region_id),
        (None, Some(item)) => Ok(priced(work, item)?.region_id),
        (None, None) => Err(refuse(OrderError::Pricing(PricingError::Empty))),
    }
}

/// All of them at the prices of today.
pub(super) fn priced_items(
    work: &mut Work<'_, Failure>,
    items: &[OrderItem],
) -> Result<Vec<PricedItem>, Halt<Failure>> {
    let mut all = Vec::with_capacity(items.len());
    let mut absent = Absent::default();
    for item in items {
        all.extend(absent.note(priced(work, item))?);
    }
    absent.check()?;
    Ok(all)
}

/// So many pieces at the price of today; refused where it is not sold.
pub(crate) fn priced(
    work: &mut Work<'_, Failure>,
    item: &OrderItem,
) -> Result<PricedItem, Halt<Failure>> {
    let OrderItem {
        product_id,
        quantity,
    } = *item;
    let product = work.state::<Product>(product_id)?;
    let item = product
        .priced(quantity)
        .map_err(|reason| refuse(Failure::NotOnSale { product_id, reason }))?;
    if let Some(shop_id) = item.shop_id {
        work.state::<Shop>(shop_id)?
            .open()
            .map_err(|reason| refuse(Failure::ShopNotOpen { product_id, reason }))?;
    }
    Ok(item)
}

/// Settings are bounded far below what does not fit.
fn milliseconds(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
