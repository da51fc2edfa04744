//! Commands on carts: each answers with the cart as it is then, priced afresh, with what changed since each item was put
//! into it. A cart reserves nothing.

use chrono::Utc;
use domain::{
    automatic_discounts::AutomaticDiscounts,
    cart::{Cart, CartCode, CartCommand, CartItem},
    discount::{Discount, NotDue},
    ids::{AutomaticDiscountsId, CartId, ProductId, RegionId, ShopId, UserId},
    inventory::Inventory,
    money::Money,
    order::OrderError,
    pricing::{PricedItem, PricedOrder, PricingError},
    region::{Region, RegionError, RegionTerms},
    text::{DiscountCode, Quantity, Sku, Title},
};
use eventstore::{
    stream::StreamRef,
    unit::{Committed, Halt, Work},
};

use crate::{
    absent::Absent,
    failure::{Failure, pieces_left, refuse},
    orders::{Buyer, CodeNotDue, NamedDiscount, OrderItem, few_codes, priced, quoted},
    request::{Commands, Request},
};

/// How many pieces of a product are to be in a cart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// So many more.
    Add(Quantity),
    /// So many.
    Set(Quantity),
}

/// A cart as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CartNow {
    /// Which.
    pub cart_id: CartId,
    /// By which terms it would be ordered.
    pub terms: RegionTerms,
    /// What is in it, in the order in which it was first put there.
    pub items: Vec<ItemNow>,
    /// Its discount codes.
    pub codes: Vec<DiscountCode>,
    /// Those that bring nothing now, and why.
    pub refused: Vec<CodeNotDue>,
    /// What that which is for sale costs; nothing where nothing is, or where it is more than an order can cost.
    pub priced: Option<PricedOrder>,
    /// Whether the region takes orders.
    pub takes_orders: bool,
}

/// An item of a cart as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemNow {
    /// Which product.
    pub product_id: ProductId,
    /// How many pieces are wanted.
    pub quantity: Quantity,
    /// Price of one piece when it was put into the cart.
    pub price_then: Money,
    /// The product, where it can be ordered; otherwise why not.
    pub product: Result<ProductNow, NotForSale>,
}

/// A product that can be ordered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProductNow {
    /// The seller's number.
    pub sku: Sku,
    /// Its name.
    pub title: Title,
    /// Whose it is.
    pub shop_id: Option<ShopId>,
    /// Price of one piece.
    pub price: Money,
    /// Pieces that can be reserved.
    pub available: u64,
}

/// Why a product in a cart cannot be ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotForSale {
    /// It was deleted.
    NotOnSale,
    /// Its shop sells nothing.
    ShopNotOpen,
}

impl Commands {
    /// What is in the cart.
    pub async fn cart(
        &self,
        request: Request,
        customer_id: UserId,
        region_id: RegionId,
    ) -> Result<Committed<CartNow>, Failure> {
        self.on_cart(request, customer_id, region_id, |_, _| Ok(()))
            .await
    }

    /// Puts pieces of a product into the cart, at the price of today.
    pub async fn put_in_cart(
        &self,
        request: Request,
        customer_id: UserId,
        region_id: RegionId,
        product_id: ProductId,
        put: Put,
    ) -> Result<Committed<CartNow>, Failure> {
        self.on_cart(request, customer_id, region_id, move |work, cart_id| {
            let there = work.state::<Cart>(cart_id)?.item(product_id);
            let there = there.map(|item| item.quantity);
            let quantity = match (put, there) {
                (Put::Add(more), Some(there)) => there
                    .checked_add(more)
                    .map_err(|_| unpriceable(PricingError::QuantityTooLarge { product_id }))?,
                (Put::Add(quantity), None) | (Put::Set(quantity), _) => quantity,
            };
            let item = OrderItem {
                product_id,
                quantity,
            };
            let item = priced(work, &item)?;
            if item.region_id != region_id {
                return Err(unpriceable(PricingError::MixedRegions { product_id }));
            }
            let put = CartCommand::PutItem {
                customer_id,
                region_id,
                item: CartItem {
                    product_id,
                    quantity,
                    unit_price: item.unit_price.amount,
                },
            };
            work.execute::<Cart>(cart_id, put)?;
            Ok(())
        })
        .await
    }

    /// Takes a product out of the cart. Where it is not in it, nothing happens.
    pub async fn remove_from_cart(
        &self,
        request: Request,
        customer_id: UserId,
        region_id: RegionId,
        product_id: ProductId,
    ) -> Result<Committed<CartNow>, Failure> {
        self.on_cart(request, customer_id, region_id, move |work, cart_id| {
            work.execute::<Cart>(cart_id, CartCommand::RemoveItem { product_id })?;
            Ok(())
        })
        .await
    }

    /// Has these discount codes used, all of them. A code that nobody knows is refused; one that brings nothing now is
    /// told, and may bring something when more is in the cart.
    pub async fn set_cart_codes(
        &self,
        request: Request,
        customer_id: UserId,
        region_id: RegionId,
        codes: &[DiscountCode],
    ) -> Result<Committed<CartNow>, Failure> {
        let named = self
            .named_discounts(region_id, &few_codes(codes)?)
            .await?
            .into_iter()
            .map(|NamedDiscount { code, discount_id }| match discount_id {
                Some(discount_id) => Ok(CartCode { code, discount_id }),
                None => Err(Failure::DiscountNotDue {
                    code,
                    reason: NotDue::Unknown,
                }),
            })
            .collect::<Result<Vec<_>, _>>()?;
        self.on_cart(request, customer_id, region_id, move |work, cart_id| {
            let set = CartCommand::SetCodes {
                customer_id,
                region_id,
                codes: named.clone(),
            };
            work.execute::<Cart>(cart_id, set)?;
            Ok(())
        })
        .await
    }

    /// Empties the cart.
    pub async fn clear_cart(
        &self,
        request: Request,
        customer_id: UserId,
        region_id: RegionId,
    ) -> Result<Committed<CartNow>, Failure> {
        self.on_cart(request, customer_id, region_id, |work, cart_id| {
            work.execute::<Cart>(cart_id, CartCommand::ClearCart)?;
            Ok(())
        })
        .await
    }

    /// Changes a cart, or nothing, and answers with what it is then.
    async fn on_cart(
        &self,
        request: Request,
        customer_id: UserId,
        region_id: RegionId,
        change: impl Fn(&mut Work<'_, Failure>, CartId) -> Result<(), Halt<Failure>> + Send + 'static,
    ) -> Result<Committed<CartNow>, Failure> {
        let buyer = Buyer {
            customer_id,
            region_id,
            order_id: None,
            now: Utc::now(),
        };
        let cart_id = CartId::of(customer_id, region_id);
        let streams = vec![
            StreamRef::of::<Cart>(cart_id),
            StreamRef::of::<Region>(region_id),
            StreamRef::of::<AutomaticDiscounts>(AutomaticDiscountsId::of(region_id, None)),
        ];
        self.commit(request, streams, move |work| {
            change(work, cart_id)?;
            cart_now(work, cart_id, &buyer)
        })
        .await
    }
}

fn unpriceable(error: PricingError) -> Halt<Failure> {
    refuse(OrderError::Pricing(error))
}

/// The cart as this unit leaves it.
fn cart_now(
    work: &mut Work<'_, Failure>,
    cart_id: CartId,
    buyer: &Buyer,
) -> Result<CartNow, Halt<Failure>> {
    // a cart can be looked at and emptied where nothing can be ordered at the moment
    let region = work.state::<Region>(buyer.region_id)?;
    let region = region
        .details()
        .ok_or_else(|| refuse(RegionError::NotFound))?;
    let (terms, takes_orders) = (region.terms(), region.enabled);
    let cart = work.state::<Cart>(cart_id)?.clone();
    let mut items = Vec::with_capacity(cart.items().len());
    let mut for_sale = Vec::with_capacity(cart.items().len());
    let mut absent = Absent::default();
    for item in cart.items() {
        let Some(product) = absent.note(product_now(work, item, &mut for_sale))? else {
            continue;
        };
        items.push(ItemNow {
            product_id: item.product_id,
            quantity: item.quantity,
            price_then: Money::new(item.unit_price, terms.currency),
            product,
        });
    }
    // asked for with the products, so that all of it is loaded at once
    for code in cart.codes() {
        absent.note(work.state::<Discount>(code.discount_id).map(|_| ()))?;
    }
    absent.check()?;
    let codes: Vec<NamedDiscount> = cart.codes().iter().map(Into::into).collect();
    let (priced, refused) = match quoted(work, &terms, buyer, &for_sale, &codes) {
        Ok((priced, refused)) => (Some(priced), refused),
        // nothing is for sale, or a price has risen beyond what an order can cost
        Err(Halt::Refused(Failure::Order(OrderError::Pricing(_)))) => (None, vec![]),
        Err(other) => return Err(other),
    };
    Ok(CartNow {
        cart_id,
        terms,
        items,
        codes: cart.codes().iter().map(|code| code.code.clone()).collect(),
        refused,
        priced,
        takes_orders,
    })
}

fn product_now(
    work: &mut Work<'_, Failure>,
    item: &CartItem,
    for_sale: &mut Vec<PricedItem>,
) -> Result<Result<ProductNow, NotForSale>, Halt<Failure>> {
    let &CartItem {
        product_id,
        quantity,
        unit_price: _,
    } = item;
    let item = OrderItem {
        product_id,
        quantity,
    };
    // asked for before the product, so that both are loaded at once
    let stock = work
        .state::<Inventory>(product_id)
        .map(Inventory::available);
    let item = match priced(work, &item) {
        Ok(item) => item,
        Err(Halt::Refused(Failure::NotOnSale { .. })) => return Ok(Err(NotForSale::NotOnSale)),
        Err(Halt::Refused(Failure::ShopNotOpen { .. })) => {
            return Ok(Err(NotForSale::ShopNotOpen));
        }
        Err(other) => return Err(other),
    };
    let product = ProductNow {
        sku: item.sku.clone(),
        title: item.title.clone(),
        shop_id: item.shop_id,
        price: item.unit_price,
        available: pieces_left(stock?),
    };
    for_sale.push(item);
    Ok(Ok(product))
}
