//! Ordering what is in a cart: the order is placed and the cart emptied in one unit of work.
//!
//! What the customer pays is what they were shown. Where the price of an item is another than the cart shows, nothing is
//! ordered until the customer names the total that they accept; where they name one, exactly that is charged or nothing is
//! ordered.

use domain::{
    cart::{Cart, CartCommand, CartError},
    ids::{CartId, OrderId, RegionId, UserId},
    order::PlacedOrder,
    text::{CountryCode, PaymentMethod},
};
use eventstore::{
    stream::StreamRef,
    unit::{Committed, Halt, Work},
};

use super::place::{NewOrder, OrderItem, SealedOrder};
use crate::{
    failure::{Failure, refuse},
    request::{CommandSettings, Commands, Request, Versioned},
};

/// A cart to be ordered. The order's id is made by the caller at random, so that nothing needs to be loaded for it.
#[derive(Clone, PartialEq, Eq)]
pub struct CheckOut {
    /// Which order it becomes.
    pub order_id: OrderId,
    /// Whose cart.
    pub customer_id: UserId,
    /// The cart of which region.
    pub region_id: RegionId,
    /// Who it is for. Sealed before anything is decided.
    pub customer_name: String,
    /// Where it goes. Sealed before anything is decided.
    pub shipping_address: String,
    /// The country that it goes to, where that is known: refused unless it is the region's.
    pub shipping_country: Option<CountryCode>,
    /// How it is to be paid; by default [`crate::payment_methods::DEFAULT`].
    pub payment_method: Option<PaymentMethod>,
    /// What the customer accepts to pay, in minor units of the region's currency; the prices that the cart shows, where
    /// there is none.
    pub expected_total: Option<i64>,
}

impl Commands {
    /// Orders what is in the cart, with the cart's codes: all of it, or nothing and a refusal that says what changed or is
    /// short.
    pub async fn check_out(
        &self,
        request: Request,
        wanted: CheckOut,
    ) -> Result<Committed<Versioned<PlacedOrder>>, Failure> {
        let cart_id = CartId::of(wanted.customer_id, wanted.region_id);
        let (cart, _) = self.log().load::<Cart>(cart_id).await?;
        if cart.items().is_empty() {
            return Err(CartError::Empty.into());
        }
        let mut order = self.seal(order_of(wanted, &cart)).await?;
        order.codes = cart.codes().iter().map(Into::into).collect();
        order.shown.items = cart.items().to_vec();
        let mut streams = order.streams();
        streams.push(StreamRef::of::<Cart>(cart_id));
        let checkout = Checkout {
            cart_id,
            seen: cart,
            order,
        };
        let settings = self.settings();
        self.commit(request, streams, move |work| checkout.make(work, settings))
            .await
    }
}

/// Codes are the cart's, and known already.
fn order_of(wanted: CheckOut, cart: &Cart) -> NewOrder {
    let items = cart.items().iter().map(|item| OrderItem {
        product_id: item.product_id,
        quantity: item.quantity,
    });
    NewOrder {
        order_id: wanted.order_id,
        customer_id: wanted.customer_id,
        customer_name: wanted.customer_name,
        shipping_address: wanted.shipping_address,
        shipping_country: wanted.shipping_country,
        region_id: Some(wanted.region_id),
        payment_method: wanted.payment_method,
        items: items.collect(),
        codes: vec![],
        expected_total: wanted.expected_total,
    }
}

/// A checkout that can be decided on.
struct Checkout {
    cart_id: CartId,
    /// The cart as the order was made of it.
    seen: Cart,
    order: SealedOrder,
}

impl Checkout {
    fn make(
        &self,
        work: &mut Work<'_, Failure>,
        settings: CommandSettings,
    ) -> Result<Versioned<PlacedOrder>, Halt<Failure>> {
        let cart = work.state::<Cart>(self.cart_id)?;
        if (cart.items(), cart.codes()) != (self.seen.items(), self.seen.codes()) {
            return Err(refuse(Failure::CartChanged));
        }
        let order = self.order.place(work, settings)?;
        let order_id = order.state.order_id;
        work.execute::<Cart>(self.cart_id, CartCommand::CheckOut { order_id })?;
        Ok(order)
    }
}
