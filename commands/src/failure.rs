//! Why a command was not done: one enum for every handler, so that the edge maps it in one place.
//!
//! Nothing of a failed command is stored. [`Failure::is_passing`] tells apart what a repetition may cure.

use std::fmt;

use domain::{
    automatic_discounts::AutomaticDiscountsError,
    cart::CartError,
    category::CategoryError,
    discount::{DiscountError, NotDue},
    ids::ProductId,
    inventory::InventoryError,
    money::Money,
    order::OrderError,
    payment::PaymentError,
    product::ProductError,
    redemptions::RedemptionsError,
    region::RegionError,
    shop::ShopError,
    text::{CountryCode, DiscountCode, PaymentMethod, Quantity},
};
use eventstore::{
    event::Unreadable,
    sealing::SealError,
    unit::{ExecuteError, Halt},
};

/// A product of which fewer pieces are left than were asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shortage {
    /// Which.
    pub product_id: ProductId,
    /// How many were asked for, over all lines.
    pub requested: Quantity,
    /// How many are left.
    pub available: u64,
}

/// What is left for a buyer: below zero (more is promised than is there) means none.
pub(crate) fn pieces_left(available: i64) -> u64 {
    u64::try_from(available).unwrap_or(0)
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            product_id,
            requested,
            available,
        } = self;
        write!(
            f,
            "{requested} pieces of product {product_id} were asked for, {available} are left"
        )
    }
}

/// A part of the total that is another than the cart, or the order that is changed, shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PriceDifference {
    /// The price of one piece of a product.
    UnitPrice {
        /// Which.
        product_id: ProductId,
        /// When it was put into the cart, or ordered.
        was: Money,
        /// Now.
        is: Money,
    },
    /// The tax of all of it.
    Tax {
        /// Before, where that is known. Carts fix none.
        was: Option<Money>,
        /// Now.
        is: Money,
    },
    /// What discounts take off all of it.
    Discount {
        /// Before, where that is known. Carts fix none.
        was: Option<Money>,
        /// Now.
        is: Money,
    },
}

/// Why a command was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// There is no such thing, or none that the caller may see.
    #[error("the {what} does not exist")]
    NotFound {
        /// Its kind, for instance `order`.
        what: &'static str,
    },
    /// It belongs to somebody else, whose it is to change.
    #[error("it belongs to somebody else")]
    NotYours,
    /// The category refuses.
    #[error(transparent)]
    Category(CategoryError),
    /// The shop refuses.
    #[error(transparent)]
    Shop(ShopError),
    /// The discount refuses.
    #[error(transparent)]
    Discount(DiscountError),
    /// The list of the discounts that are given without a code refuses.
    #[error(transparent)]
    AutomaticDiscounts(#[from] AutomaticDiscountsError),
    /// The customer has used a discount as often as one may.
    #[error(transparent)]
    Redemptions(#[from] RedemptionsError),
    /// A discount names a product that it cannot cover: of another region or shop, or one that is not on sale.
    #[error("product {product_id} is not on sale where the discount is given")]
    NotCovered {
        /// Which.
        product_id: ProductId,
    },
    /// A discount that was asked for by its code is not to be had.
    #[error("code {code}: {reason}")]
    DiscountNotDue {
        /// The code.
        code: DiscountCode,
        /// Why not.
        reason: NotDue,
    },
    /// The cart refuses.
    #[error(transparent)]
    Cart(#[from] CartError),
    /// The cart was changed between being read and being ordered.
    #[error("the cart was changed at the same time")]
    CartChanged,
    /// What is to be ordered costs something else than what was shown. Nothing was ordered, or changed.
    #[error("the order costs {total} now")]
    PriceChanged {
        /// What is another than was shown, and what may be, since it was not. None where the order is as it was, and only the
        /// total that was named is not its own.
        differences: Vec<PriceDifference>,
        /// What is to be paid now.
        total: Money,
    },
    /// The region refuses.
    #[error(transparent)]
    Region(RegionError),
    /// The order goes to a country that its region does not serve.
    #[error("the region serves {expected}, not {country}")]
    CountryOutsideRegion {
        /// Where it goes.
        country: CountryCode,
        /// Where the region is.
        expected: CountryCode,
    },
    /// The product refuses.
    #[error(transparent)]
    Product(ProductError),
    /// The stock refuses.
    #[error(transparent)]
    Inventory(InventoryError),
    /// The order refuses.
    #[error(transparent)]
    Order(OrderError),
    /// The payment refuses.
    #[error(transparent)]
    Payment(PaymentError),
    /// A product of an order cannot be ordered.
    #[error("product {product_id} cannot be ordered: {reason}")]
    NotOnSale {
        /// Which.
        product_id: ProductId,
        /// Why.
        reason: ProductError,
    },
    /// The shop of a product of an order does not sell.
    #[error("product {product_id} cannot be ordered: {reason}")]
    ShopNotOpen {
        /// Which product.
        product_id: ProductId,
        /// Why not.
        reason: ShopError,
    },
    /// Not enough stock for the whole order; nothing was reserved. Names every short product, at least one.
    #[error("not enough stock: {}", Listed(.shortages))]
    InsufficientStock {
        /// What is short.
        shortages: Vec<Shortage>,
    },
    /// One of many was refused, and with it all of them.
    #[error("element {index}: {reason}")]
    Element {
        /// Which, counted from zero.
        index: usize,
        /// Why.
        reason: Box<Failure>,
    },
    /// The payment method is not known, or it is one for tests and those are switched off.
    #[error("payment method {method} is not accepted")]
    UnknownPaymentMethod {
        /// The method.
        method: PaymentMethod,
    },
    /// The caller decided on another version than the current one.
    #[error("the current version is {current}")]
    PreconditionFailed {
        /// Sequence of the aggregate that the command decides on.
        current: i64,
    },
    /// Something that must be unique belongs to somebody else.
    #[error("{scope} {value:?} is taken")]
    ClaimTaken {
        /// What must be unique: `sku:<region>`, `discount-code:<region>`, `region-default` or `category-title`.
        scope: String,
        /// The value.
        value: String,
    },
    /// The idempotency key was used before: see `EventLog::stored_answer`.
    #[error("the idempotency key was used before")]
    KeyTaken,
    /// The person was erased: nothing can be kept for them any more.
    #[error("the customer's account was erased")]
    Erased,
    /// The log does not accept the content.
    #[error("not acceptable: {0}")]
    Unacceptable(String),
    /// A defect of ours.
    #[error("a defect: {0}")]
    Defect(&'static str),
    /// Some stream holds events of a newer version of Souk.
    #[error(transparent)]
    Unreadable(Unreadable),
    /// The deadline passed before the decision.
    #[error("the deadline passed before the command was decided")]
    DeadlinePassed,
    /// Too many commands are waiting.
    #[error("too many commands are waiting")]
    Overloaded,
    /// The database cannot serve now; nothing was stored.
    #[error("not available: {0}")]
    Unavailable(String),
    /// It is not known whether the command was committed.
    #[error("the outcome is not known yet; retry with the same key")]
    OutcomeUnknown,
}

impl Failure {
    /// Whether the same command may succeed later without anybody changing it (503, not 4xx).
    pub const fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Unreadable(_)
                | Self::DeadlinePassed
                | Self::Overloaded
                | Self::Unavailable(_)
                | Self::OutcomeUnknown
        )
    }

    /// The same as what became of one of many. What a repetition may cure is nobody's fault, so it names none.
    pub(crate) fn of_element(self, index: usize) -> Self {
        if self.is_passing() {
            return self;
        }
        Self::Element {
            index,
            reason: Box::new(self),
        }
    }
}

struct Listed<'a>(&'a [Shortage]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, shortage) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{shortage}")?;
        }
        Ok(())
    }
}

/// Refuses a unit of work for a reason of the domain.
pub(crate) fn refuse(reason: impl Into<Failure>) -> Halt<Failure> {
    Halt::Refused(reason.into())
}

/// What the domain says when the aggregate is not there is the same failure for every kind of aggregate.
macro_rules! from_domain {
    ($($error:ident => $variant:ident, $what:literal;)+) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                match error {
                    $error::NotFound => Self::NotFound { what: $what },
                    error => Self::$variant(error),
                }
            }
        }
    )+};
}

from_domain! {
    CategoryError => Category, "category";
    ShopError => Shop, "shop";
    DiscountError => Discount, "discount";
    RegionError => Region, "region";
    ProductError => Product, "product";
    OrderError => Order, "order";
    PaymentError => Payment, "payment";
}

impl From<InventoryError> for Failure {
    fn from(error: InventoryError) -> Self {
        Self::Inventory(error)
    }
}

impl From<SealError> for Failure {
    fn from(error: SealError) -> Self {
        match error {
            SealError::Erased => Self::Erased,
            // a wrong master key or a damaged row: an operator must help, the caller can only come back
            other => Self::Unavailable(other.to_string()),
        }
    }
}

impl From<ExecuteError<Failure>> for Failure {
    fn from(error: ExecuteError<Self>) -> Self {
        match error {
            ExecuteError::Refused(failure) => failure,
            ExecuteError::KeyTaken => Self::KeyTaken,
            ExecuteError::ClaimTaken { scope, value } => Self::ClaimTaken { scope, value },
            ExecuteError::Unacceptable(reason) => Self::Unacceptable(reason),
            ExecuteError::Defect(what) => Self::Defect(what),
            ExecuteError::Unreadable(unreadable) => Self::Unreadable(unreadable),
            ExecuteError::DeadlinePassed => Self::DeadlinePassed,
            ExecuteError::Overloaded => Self::Overloaded,
            ExecuteError::Unavailable(reason) => Self::Unavailable(reason),
            ExecuteError::OutcomeUnknown => Self::OutcomeUnknown,
        }
    }
}
