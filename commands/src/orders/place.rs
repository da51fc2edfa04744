//! Placing an order: prices and terms from the products and the region, stock reserved, all in one unit of work.

use std::collections::BTreeSet;

use domain::{
    ids::{OrderId, PaymentId, ProductId, RegionId, UserId},
    inventory::Inventory,
    money::Money,
    order::{Order, OrderCommand, OrderError, PlaceOrder, PlacedOrder},
    pricing::{MAX_LINES, PricedItem, PricingError},
    product::Product,
    region::Region,
    sealed::Sealed,
    shop::Shop,
    text::{PaymentMethod, Quantity},
};
use eventstore::{
    stream::StreamRef,
    unit::{Committed, Halt, Work},
};

use super::{move_order, order_now};
use crate::{
    failure::{Failure, refuse},
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
    /// Where it is placed; by default in the region of its first product.
    pub region_id: Option<RegionId>,
    /// How it is to be paid; by default [`crate::payment_methods::DEFAULT`].
    pub payment_method: Option<PaymentMethod>,
    /// What is bought.
    pub items: Vec<OrderItem>,
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
        let mut streams = vec![StreamRef::fresh::<Order>(order.order.order_id)];
        streams.extend(order.order.region_id.map(StreamRef::of::<Region>));
        streams.extend(order.products.iter().map(StreamRef::of::<Product>));
        streams.extend(order.products.iter().map(StreamRef::of::<Inventory>));
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
        let key = self.vault().key_for(order.customer_id.0).await?;
        let stream = format!("{}/{}", domain::order::TYPE, order.order_id);
        Ok(SealedOrder {
            customer_name: key.seal(&stream, "customer_name", &order.customer_name)?,
            shipping_address: key.seal(&stream, "shipping_address", &order.shipping_address)?,
            products,
            payment_method,
            order,
        })
    }
}

/// An order that can be decided on: its name and address are sealed, its products counted, its payment method is accepted.
pub(super) struct SealedOrder {
    pub(super) order: NewOrder,
    pub(super) products: BTreeSet<ProductId>,
    payment_method: PaymentMethod,
    customer_name: Sealed,
    shipping_address: Sealed,
}

impl SealedOrder {
    /// Places it within a unit of work, which may place others beside it.
    pub(super) fn place(
        &self,
        work: &mut Work<'_, Failure>,
        settings: CommandSettings,
    ) -> Result<Versioned<PlacedOrder>, Halt<Failure>> {
        let order = &self.order;
        let region_id = region_of(work, order)?;
        let terms = work.state::<Region>(region_id)?.terms().map_err(refuse)?;
        let placing = PlaceOrder {
            order_id: order.order_id,
            customer_id: order.customer_id,
            customer_name: self.customer_name.clone(),
            shipping_address: self.shipping_address.clone(),
            terms,
            payment_method: self.payment_method.clone(),
            items: order
                .items
                .iter()
                .map(|item| priced(work, item))
                .collect::<Result<_, _>>()?,
            payment_delay_ms: milliseconds(settings.payment_delay),
            payment_window_ms: milliseconds(settings.payment_window),
        };
        let place = OrderCommand::PlaceOrder(placing);
        move_order(work, order.order_id, place, |_| ())?;
        paid_if_free(work, order.order_id)
    }
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

pub(super) fn priced(
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
