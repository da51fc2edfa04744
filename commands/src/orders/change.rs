//! Changing an order before it is shipped, and deleting it: each one unit of work.
//!
//! Name and address can be changed until something is shipped, what is bought until the payment is started: at the prices
//! of today, with the discounts that the order has or that are given by themselves, as far as they are still to be had, and
//! under the terms that the order froze; where the customer names the total that they accept, exactly that is to be paid or nothing is
//! changed. Stock is reserved for the difference only; what the order holds
//! already never stands in its way. A deleted order is called off where it still can be, and no longer exists for its
//! customer; its payment is still voided or given back.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use domain::{
    cart::CartItem,
    discount::Discount,
    ids::{DiscountId, OrderId, PaymentId, ProductId, RedemptionsId, UserId},
    inventory::Inventory,
    order::{AppliedDiscount, ContactChange, Order, OrderCommand, OrderError, PlacedOrder},
    payment::Payment,
    pricing::{Offer, OrderLine, PricedItem},
    product::Product,
    redemptions::Redemptions,
    region::Region,
    sealed::Sealed,
    text::Reason,
};
use eventstore::{
    LoadError,
    sealing::PersonKey,
    stream::StreamRef,
    unit::{Committed, Halt, Work},
};

use super::{
    cancel::{Progress, progress, stop_payment},
    discounts::{Buyer, Due, NamedDiscount, due},
    move_order, order_now,
    place::{OrderItem, Shown, different_products, paid_if_free, price_changed, priced_items},
    placed, seen_by,
};
use crate::{
    absent::Absent,
    failure::{Failure, refuse},
    request::{Commands, Request, Versioned, check_version},
};

/// What is to change of an order; what is absent stays.
#[derive(Clone, PartialEq, Eq)]
pub struct ChangeOrder {
    /// Which order.
    pub order_id: OrderId,
    /// Who it is for. Sealed before anything is decided.
    pub customer_name: Option<String>,
    /// Where it goes. Sealed before anything is decided.
    pub shipping_address: Option<String>,
    /// What is bought, all of it.
    pub items: Option<Vec<OrderItem>>,
    /// What the customer accepts to pay for the order as it is then, in minor units of its currency: where it costs anything
    /// else, nothing is changed.
    pub expected_total: Option<i64>,
    /// When given, orders of other customers and deleted ones are treated as if they did not exist.
    pub only_of: Option<UserId>,
}

/// What is to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeleteOrder {
    /// Which order.
    pub order_id: OrderId,
    /// Who asks.
    pub requested_by: Option<UserId>,
    /// When given, orders of other customers are treated as if they did not exist.
    pub only_of: Option<UserId>,
}

impl Commands {
    /// Changes all that is given, or nothing. Changed to what it is already, nothing happens.
    pub async fn change_order(
        &self,
        request: Request,
        change: ChangeOrder,
        expected: Option<i64>,
    ) -> Result<Committed<Versioned<PlacedOrder>>, Failure> {
        let change = self.seal_change(change).await?;
        self.commit(request, change.streams(), move |work| {
            change.make(work, expected)
        })
        .await
    }

    /// Takes the order out of its customer's sight, and calls off what still can be. Refused while goods are on their
    /// way. Deleted again, nothing happens.
    pub async fn delete_order(
        &self,
        request: Request,
        delete: DeleteOrder,
        expected: Option<i64>,
    ) -> Result<Committed<Progress>, Failure> {
        let DeleteOrder {
            order_id,
            requested_by,
            only_of,
        } = delete;
        let streams = vec![
            StreamRef::of::<Order>(order_id),
            StreamRef::of::<Payment>(PaymentId::of(order_id)),
        ];
        self.commit(request, streams, move |work| {
            let order = placed(work, order_id)?;
            if only_of.is_some_and(|customer| customer != order.customer_id) {
                return Err(refuse(OrderError::NotFound));
            }
            if !order.hidden {
                check_version::<Order>(work, order_id, expected)?;
                let hide = OrderCommand::HideOrder {
                    reason: Reason::lossy("deleted"),
                    requested_by,
                };
                for event in &move_order(work, order_id, hide, <[_]>::to_vec)? {
                    stop_payment(work, order_id, event)?;
                }
            }
            let order = placed(work, order_id)?.clone();
            progress(work, &order)
        })
        .await
    }

    /// Seals what is personal of the change with the key of the order's customer. A name or an address that is there
    /// already is no change: sealed again it would be another text.
    pub(super) async fn seal_change(&self, change: ChangeOrder) -> Result<SealedChange, Failure> {
        let ChangeOrder {
            order_id,
            customer_name,
            shipping_address,
            items,
            expected_total,
            only_of,
        } = change;
        let products = items.as_deref().map(different_products).transpose()?;
        let mut contact = ContactChange::default();
        if customer_name.is_some() || shipping_address.is_some() {
            // whose order it is never changes: the key is known before the decision
            let (order, _) = self.log().load::<Order>(order_id).await?;
            let order = seen_by(&order, only_of)?;
            let key = self.vault().key_for(order.customer_id.0).await?;
            contact = ContactChange {
                customer_name: self
                    .seal_anew(
                        &key,
                        order_id,
                        "customer_name",
                        customer_name,
                        &order.customer_name,
                    )
                    .await?,
                shipping_address: self
                    .seal_anew(
                        &key,
                        order_id,
                        "shipping_address",
                        shipping_address,
                        &order.shipping_address,
                    )
                    .await?,
            };
        }
        Ok(SealedChange {
            order_id,
            contact,
            items,
            products: products.unwrap_or_default(),
            expected_total,
            only_of,
            now: Utc::now(),
        })
    }

    async fn seal_anew(
        &self,
        key: &PersonKey,
        order_id: OrderId,
        field: &str,
        wished: Option<String>,
        now: &Sealed,
    ) -> Result<Option<Sealed>, Failure> {
        let Some(wished) = wished else {
            return Ok(None);
        };
        let stream = format!("{}/{order_id}", domain::order::TYPE);
        // what does not open is replaced
        let now = self.vault().open(now, &stream, field).await;
        if now.is_ok_and(|now| now.as_ref() == Some(&wished)) {
            return Ok(None);
        }
        Ok(Some(key.seal(&stream, field, &wished)?))
    }
}

/// A change that can be decided on: name and address are sealed, products counted.
pub(super) struct SealedChange {
    order_id: OrderId,
    contact: ContactChange,
    items: Option<Vec<OrderItem>>,
    products: BTreeSet<ProductId>,
    expected_total: Option<i64>,
    only_of: Option<UserId>,
    /// When it is made, as far as the windows of discounts go.
    now: DateTime<Utc>,
}

impl SealedChange {
    /// What is read and written, as far as it is known before the order is.
    pub(super) fn streams(&self) -> Vec<StreamRef> {
        let mut streams = vec![StreamRef::of::<Order>(self.order_id)];
        streams.extend(self.products.iter().map(StreamRef::of::<Product>));
        streams.extend(self.products.iter().map(StreamRef::of::<Inventory>));
        streams
    }

    /// How many lines the order has that are changed for others.
    pub(super) fn lines_held(&self, work: &mut Work<'_, Failure>) -> Result<usize, Halt<Failure>> {
        let order = work.state::<Order>(self.order_id)?.placed();
        let order = order.filter(|_| self.items.is_some());
        Ok(order.map_or(0, |order| order.lines.len()))
    }

    /// Reads all that making it reads. Writes nothing.
    pub(super) fn prepare(&self, work: &mut Work<'_, Failure>) -> Result<(), Halt<Failure>> {
        let order = work.state::<Order>(self.order_id)?;
        let order = seen_by(order, self.only_of).map_err(Halt::Refused)?;
        let Some(items) = &self.items else {
            return Ok(());
        };
        let (customer_id, region_id) = (order.customer_id, order.terms.region_id);
        let held: Vec<ProductId> = order.lines.iter().map(|line| line.product_id).collect();
        let used: Vec<DiscountId> = order.discounts.iter().map(|it| it.discount_id).collect();
        let mut absent = Absent::default();
        for product_id in held {
            absent.note(work.state::<Inventory>(product_id).map(|_| ()))?;
        }
        for id in used {
            let redemptions = RedemptionsId::of(id, customer_id);
            absent.note(work.state::<Discount>(id).map(|_| ()))?;
            absent.note(work.state::<Redemptions>(redemptions).map(|_| ()))?;
        }
        absent.note(work.state::<Region>(region_id).map(|_| ()))?;
        if let Some(items) = absent.note(priced_items(work, items))? {
            absent.note(self.offers(work, &items))?;
        }
        absent.check()
    }

    /// Makes it within a unit of work, which may change other orders beside it.
    pub(super) fn make(
        &self,
        work: &mut Work<'_, Failure>,
        expected: Option<i64>,
    ) -> Result<Versioned<PlacedOrder>, Halt<Failure>> {
        let order_id = self.order_id;
        seen_by(work.state::<Order>(order_id)?, self.only_of).map_err(Halt::Refused)?;
        check_version::<Order>(work, order_id, expected)?;
        let shown = match self.expected_total {
            Some(_) => shown(placed(work, order_id)?),
            None => Shown::default(),
        };
        let contact = OrderCommand::ChangeContact(self.contact.clone());
        move_order(work, order_id, contact, |_| ())?;
        let changed = match &self.items {
            Some(items) => self.change_items(work, items),
            None => order_now(work, order_id),
        }?;
        match self.expected_total {
            Some(expected) if expected != changed.state.total => {
                Err(price_changed(&shown, &changed.state))
            }
            _ => Ok(changed),
        }
    }

    /// Whoever buys something else buys anew: the region must be enabled, products and shops must sell. The tax stays
    /// the one that the order froze.
    fn change_items(
        &self,
        work: &mut Work<'_, Failure>,
        items: &[OrderItem],
    ) -> Result<Versioned<PlacedOrder>, Halt<Failure>> {
        let region_id = placed(work, self.order_id)?.terms.region_id;
        work.state::<Region>(region_id)?.terms().map_err(refuse)?;
        let items = priced_items(work, items)?;
        let offers = self.offers(work, &items)?;
        let change = OrderCommand::ChangeItems { items, offers };
        move_order(work, self.order_id, change, |_| ())?;
        paid_if_free(work, self.order_id)
    }

    /// What the order uses already it needs no further use of; a code that brings nothing any more is let go.
    fn offers(
        &self,
        work: &mut Work<'_, Failure>,
        items: &[PricedItem],
    ) -> Result<Vec<Offer>, Halt<Failure>> {
        let order = placed(work, self.order_id)?;
        let buyer = Buyer {
            customer_id: order.customer_id,
            region_id: order.terms.region_id,
            order_id: Some(self.order_id),
            now: self.now,
        };
        let named = |discount: &AppliedDiscount| {
            let code = discount.code.clone()?;
            let discount_id = Some(discount.discount_id);
            Some(NamedDiscount { code, discount_id })
        };
        let codes: Vec<_> = order.discounts.iter().filter_map(named).collect();
        let Due { offers, refused: _ } = due(work, &buyer, items, &codes)?;
        Ok(offers)
    }
}

/// What the customer was shown of an order.
fn shown(order: &PlacedOrder) -> Shown {
    let price = |line: &OrderLine| CartItem {
        product_id: line.product_id,
        quantity: line.quantity,
        unit_price: line.unit_price,
    };
    Shown {
        items: order.lines.iter().map(price).collect(),
        tax_and_discount: Some((order.tax, order.discount)),
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Unreadable(unreadable) => Self::Unreadable(unreadable),
            LoadError::Database(error) => Self::Unavailable(error.to_string()),
        }
    }
}
