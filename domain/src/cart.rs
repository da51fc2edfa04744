//! Cart: what a customer means to buy in a region. One per customer and region.
//!
//! It reserves nothing and knows no price but the one that was shown when an item was put into it, so that what changed
//! since can be told. Its stream id is the [`CartId`](crate::ids::CartId) of customer and region.

use serde::{Deserialize, Serialize};

use crate::{
    aggregate::{Decider, impl_aggregate, impl_domain_event},
    ids::{DiscountId, OrderId, ProductId, RegionId, UserId},
    pricing::MAX_LINES,
    text::{DiscountCode, Quantity},
};

/// Aggregate type of carts in the log.
pub const TYPE: &str = "cart";

/// The most discount codes that a cart or an order may name.
pub const MAX_CODES: usize = 10;

/// What happened to a cart. Amounts are minor units of its region's currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum CartEvent {
    /// A customer uses their cart of a region for the first time.
    CartOpened {
        /// Whose.
        customer_id: UserId,
        /// Where.
        region_id: RegionId,
    },
    /// So many pieces of a product are in it from now on.
    CartItemPut {
        /// Which product.
        product_id: ProductId,
        /// How many pieces, those that were in it before included.
        quantity: Quantity,
        /// Price of one piece, as it was shown.
        unit_price: i64,
    },
    /// A product is in it no more.
    CartItemRemoved {
        /// Which product.
        product_id: ProductId,
    },
    /// These discount codes are to be used.
    CartCodesSet {
        /// All of them.
        codes: Vec<CartCode>,
    },
    /// Nothing is in it any more.
    CartCleared {},
    /// What was in it was ordered; nothing is in it any more.
    CartCheckedOut {
        /// The order.
        order_id: OrderId,
    },
}

impl_domain_event!(CartEvent {
    CartOpened,
    CartItemPut,
    CartItemRemoved,
    CartCodesSet,
    CartCleared,
    CartCheckedOut,
});

/// So many pieces of a product in a cart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CartItem {
    /// Which product.
    pub product_id: ProductId,
    /// How many pieces.
    pub quantity: Quantity,
    /// Price of one piece when it was put into the cart, in minor units.
    pub unit_price: i64,
}

/// A discount code in a cart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CartCode {
    /// The code.
    pub code: DiscountCode,
    /// What it belonged to when it was typed in.
    pub discount_id: DiscountId,
}

/// A cart as its events tell; empty until it is used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cart {
    owner: Option<(UserId, RegionId)>,
    items: Vec<CartItem>,
    codes: Vec<CartCode>,
    last_order: Option<OrderId>,
}

impl Cart {
    /// What is in it, in the order in which it was first put there.
    pub fn items(&self) -> &[CartItem] {
        &self.items
    }

    /// The discount codes that are to be used.
    pub fn codes(&self) -> &[CartCode] {
        &self.codes
    }

    /// The item of that product.
    pub fn item(&self, product_id: ProductId) -> Option<&CartItem> {
        self.items.iter().find(|item| item.product_id == product_id)
    }
}

/// What can be asked of a cart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CartCommand {
    /// Have so many pieces of a product in it, at the price that is shown.
    PutItem {
        /// Whose cart.
        customer_id: UserId,
        /// Where.
        region_id: RegionId,
        /// What is to be in it.
        item: CartItem,
    },
    /// Have a product in it no more.
    RemoveItem {
        /// Which product.
        product_id: ProductId,
    },
    /// Use these discount codes.
    SetCodes {
        /// Whose cart.
        customer_id: UserId,
        /// Where.
        region_id: RegionId,
        /// All of them; one that is named twice counts once.
        codes: Vec<CartCode>,
    },
    /// Empty it.
    ClearCart,
    /// Empty it into an order.
    CheckOut {
        /// The order.
        order_id: OrderId,
    },
}

/// Why a cart refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CartError {
    /// More products than an order may have lines.
    #[error("a cart holds at most {MAX_LINES} products")]
    TooManyItems,
    /// More than [`MAX_CODES`].
    #[error("at most {MAX_CODES} discount codes can be used at once")]
    TooManyCodes,
    /// Nothing is in it to be ordered.
    #[error("the cart is empty")]
    Empty,
}

impl_aggregate!(Cart, TYPE, CartCommand, CartEvent, CartError);

impl Decider for Cart {
    const STATE_VERSION: i32 = 1;
    const EVENTS: &'static [(&'static str, &'static str)] = CartEvent::CATALOGUE;

    fn decide(&self, command: CartCommand) -> Result<Vec<CartEvent>, CartError> {
        match command {
            CartCommand::PutItem {
                customer_id,
                region_id,
                item,
            } => {
                let there = self.item(item.product_id);
                if there == Some(&item) {
                    return Ok(vec![]);
                }
                if there.is_none() && self.items.len() >= MAX_LINES {
                    return Err(CartError::TooManyItems);
                }
                Ok(self.after_opening(
                    customer_id,
                    region_id,
                    CartEvent::CartItemPut {
                        product_id: item.product_id,
                        quantity: item.quantity,
                        unit_price: item.unit_price,
                    },
                ))
            }
            CartCommand::RemoveItem { product_id } => Ok(match self.item(product_id) {
                Some(_) => vec![CartEvent::CartItemRemoved { product_id }],
                None => vec![],
            }),
            CartCommand::SetCodes {
                customer_id,
                region_id,
                codes,
            } => {
                let codes = once_each(codes);
                if codes.len() > MAX_CODES {
                    return Err(CartError::TooManyCodes);
                }
                if codes == self.codes {
                    return Ok(vec![]);
                }
                Ok(self.after_opening(customer_id, region_id, CartEvent::CartCodesSet { codes }))
            }
            CartCommand::ClearCart => {
                let is_clear = self.items.is_empty() && self.codes.is_empty();
                Ok(if is_clear {
                    vec![]
                } else {
                    vec![CartEvent::CartCleared {}]
                })
            }
            CartCommand::CheckOut { order_id } if self.items.is_empty() => {
                if self.last_order == Some(order_id) {
                    Ok(vec![])
                } else {
                    Err(CartError::Empty)
                }
            }
            CartCommand::CheckOut { order_id } => Ok(vec![CartEvent::CartCheckedOut { order_id }]),
        }
    }

    fn evolve(&mut self, event: &CartEvent) {
        match event {
            CartEvent::CartOpened {
                customer_id,
                region_id,
            } => self.owner = Some((*customer_id, *region_id)),
            CartEvent::CartItemPut {
                product_id,
                quantity,
                unit_price,
            } => {
                let item = CartItem {
                    product_id: *product_id,
                    quantity: *quantity,
                    unit_price: *unit_price,
                };
                match self
                    .items
                    .iter_mut()
                    .find(|it| it.product_id == *product_id)
                {
                    Some(there) => *there = item,
                    None => self.items.push(item),
                }
            }
            CartEvent::CartItemRemoved { product_id } => {
                self.items.retain(|item| item.product_id != *product_id);
            }
            CartEvent::CartCodesSet { codes } => self.codes.clone_from(codes),
            CartEvent::CartCleared {} => self.clear(),
            CartEvent::CartCheckedOut { order_id } => {
                self.clear();
                self.last_order = Some(*order_id);
            }
        }
    }

    fn weight(&self) -> usize {
        let codes = self.codes.iter();
        self.items.len() * size_of::<CartItem>()
            + codes
                .map(|code| size_of::<CartCode>() + code.code.as_str().len())
                .sum::<usize>()
    }
}

impl Cart {
    fn after_opening(
        &self,
        customer_id: UserId,
        region_id: RegionId,
        event: CartEvent,
    ) -> Vec<CartEvent> {
        let opened = CartEvent::CartOpened {
            customer_id,
            region_id,
        };
        match self.owner {
            None => vec![opened, event],
            Some(_) => vec![event],
        }
    }

    fn clear(&mut self) {
        self.items.clear();
        self.codes.clear();
    }
}

fn once_each(codes: Vec<CartCode>) -> Vec<CartCode> {
    let mut once: Vec<CartCode> = Vec::with_capacity(codes.len().min(MAX_CODES));
    for code in codes {
        if once.iter().all(|it| it.code != code.code) {
            once.push(code);
        }
    }
    once
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use uuid::Uuid;

    use super::*;
    use crate::testing::{
        CUSTOMER, DISCOUNT, ORDER, OTHER_ORDER, OTHER_PRODUCT, PRODUCT, REGION, assert_text, given,
        history, outcomes, pieces, when,
    };

    fn put(product_id: ProductId, quantity: u64, unit_price: i64) -> CartCommand {
        CartCommand::PutItem {
            customer_id: CUSTOMER,
            region_id: REGION,
            item: CartItem {
                product_id,
                quantity: pieces(quantity),
                unit_price,
            },
        }
    }

    fn codes(codes: &[&str]) -> CartCommand {
        let codes = codes.iter().map(|code| CartCode {
            code: DiscountCode::parse(code).unwrap(),
            discount_id: DISCOUNT,
        });
        CartCommand::SetCodes {
            customer_id: CUSTOMER,
            region_id: REGION,
            codes: codes.collect(),
        }
    }

    fn check_out(order_id: OrderId) -> CartCommand {
        CartCommand::CheckOut { order_id }
    }

    #[test]
    fn every_command_in_every_state() {
        let filled = history::<Cart>(&[], [put(PRODUCT, 2, 1000)]);
        let states = [
            ("unused", vec![]),
            ("filled", filled.clone()),
            (
                "cleared",
                history::<Cart>(&filled, [CartCommand::ClearCart]),
            ),
            ("ordered", history::<Cart>(&filled, [check_out(ORDER)])),
        ];
        let remove = |product_id| CartCommand::RemoveItem { product_id };
        let commands = [
            ("PutItem", put(OTHER_PRODUCT, 1, 500)),
            ("PutItem, the same", put(PRODUCT, 2, 1000)),
            ("PutItem, at another price", put(PRODUCT, 2, 1100)),
            ("RemoveItem", remove(PRODUCT)),
            ("RemoveItem, another", remove(OTHER_PRODUCT)),
            ("SetCodes", codes(&["TET"])),
            ("SetCodes, none", codes(&[])),
            ("ClearCart", CartCommand::ClearCart),
            ("CheckOut", check_out(ORDER)),
            ("CheckOut, another order", check_out(OTHER_ORDER)),
        ];
        assert_text(
            &outcomes::<Cart>(&states, &commands),
            "
PutItem
  CartOpened CartItemPut: unused
  CartItemPut: filled, cleared, ordered
PutItem, the same
  CartOpened CartItemPut: unused
  -: filled
  CartItemPut: cleared, ordered
PutItem, at another price
  CartOpened CartItemPut: unused
  CartItemPut: filled, cleared, ordered
RemoveItem
  -: unused, cleared, ordered
  CartItemRemoved: filled
RemoveItem, another
  -: unused, filled, cleared, ordered
SetCodes
  CartOpened CartCodesSet: unused
  CartCodesSet: filled, cleared, ordered
SetCodes, none
  -: unused, filled, cleared, ordered
ClearCart
  -: unused, cleared, ordered
  CartCleared: filled
CheckOut
  !Empty: unused, cleared
  CartCheckedOut: filled
  -: ordered
CheckOut, another order
  !Empty: unused, cleared, ordered
  CartCheckedOut: filled
",
        );
    }

    #[test]
    fn items_keep_their_place_and_the_price_that_was_shown_last() {
        let commands = [
            put(PRODUCT, 2, 1000),
            put(OTHER_PRODUCT, 1, 500),
            put(PRODUCT, 3, 900),
        ];
        let cart = given::<Cart>(&history::<Cart>(&[], commands));
        let items: Vec<_> = cart.items().iter().map(|item| item.product_id).collect();
        assert_eq!(items, [PRODUCT, OTHER_PRODUCT]);
        let item = cart.item(PRODUCT).unwrap();
        assert_eq!((item.quantity, item.unit_price), (pieces(3), 900));
    }

    #[test]
    fn a_cart_holds_as_much_as_an_order_can() {
        let product = |number| ProductId(Uuid::from_u128(number));
        let full = (0..MAX_LINES as u128).map(|number| put(product(number), 1, 1));
        let full = history::<Cart>(&[], full);
        let more = when::<Cart>(&full, put(product(MAX_LINES as u128), 1, 1));
        assert_eq!(more, Err(CartError::TooManyItems));
        assert!(when::<Cart>(&full, put(product(0), 2, 1)).is_ok());
    }

    #[test]
    fn codes_count_once_and_are_few() {
        let twice = when::<Cart>(&[], codes(&["TET", "tet"])).unwrap();
        assert_eq!(given::<Cart>(&twice).codes().len(), 1);
        let many: Vec<String> = (0..=MAX_CODES).map(|n| format!("CODE-{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(
            when::<Cart>(&[], codes(&many)),
            Err(CartError::TooManyCodes)
        );
    }
}
