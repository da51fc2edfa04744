//! Demo data: users of every role, regions, products, categories, a seller's shop and discounts, for trying Souk out. Demo
//! mode only.
//!
//! Made through the commands that clients use, under ids that derive from names, so that a second run finds all of it
//! and adds nothing; what somebody has changed or deleted since stays as they left it. Several may run at once. Used by
//! `souk seed`; the text after the start ([`crate::cli`]) names what is made here. A shop as large as one likes is made by
//! [`scale`].

use std::fmt;

use commands::{
    Commands, Failure, Manager, Request, discounts::NewDiscount, products::NewProduct,
    regions::NewRegion, shops::NewShop,
};
use domain::{
    category::{Category, CategoryError},
    discount::{
        Discount, DiscountError, DiscountRules, DiscountScope, DiscountValue, Percentage,
        RulesError,
    },
    ids::{CategoryId, DiscountId, NAMESPACE, ProductId, RegionId, ShopId, UserId},
    kinds::{AttributeValue, Kind, Specification},
    money::{Currency, Money, MoneyError, TaxRate},
    product::{Product, ProductError},
    region::{Region, RegionError},
    shop::{Shop, ShopError},
    text::{CountryCode, Description, DiscountCode, Invalid, Quantity, Sku, Title},
};
use eventstore::{LoadError, event::Cause, sealing::SealError};
use identity::{Email, Fault, Identity, NewAccount, Password, PersonName, Role, Roles};
use uuid::Uuid;

use self::{
    catalogue::{DemoProduct, DemoRegion, REGIONS},
    market::{CATEGORIES, DISCOUNTS, DemoDiscount, DemoShop, Offer, SHOP, Told},
};
use crate::{
    config::Config,
    services::{Services, StartError},
};

mod catalogue;
mod market;
pub mod scale;

/// The password of every demo user.
pub const PASSWORD: &str = "souk-demo";

/// The demo users: name, address, roles.
pub const USERS: &[(&str, &str, &[Role])] = &[
    ("Ada Admin", "admin@example.com", &[Role::Admin]),
    ("Sam Seller", "seller@example.com", &[Role::Seller]),
    ("Ann Analyst", "analyst@example.com", &[Role::Analyst]),
    ("Châu Customer", "customer@example.com", &[Role::Customer]),
    (
        "Bo Both",
        "both@example.com",
        &[Role::Customer, Role::Admin],
    ),
];

/// Why the demo data was not made. What was made before stays, and the next run goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// Demo users with a known password have no place anywhere else.
    #[error(
        "demo data is made in demo mode only: set SOUK_DEMO=true if this database is one to play with"
    )]
    NotADemo,
    /// The settings or the database do not allow it.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Users could not be made.
    #[error("demo users: {0}")]
    Users(#[from] Fault),
    /// A command was refused, for instance because another region is the default of a currency.
    #[error("{what}: {failure}")]
    Refused {
        /// What was to be made.
        what: String,
        /// Why it was not.
        failure: Failure,
    },
    /// What is there already could not be read.
    #[error("{0}")]
    Unreadable(#[from] LoadError),
    /// It could not be seen what is there already.
    #[error("database: {0}")]
    Looking(sqlx::Error),
    /// The keys of customers could not be made.
    #[error("keys of customers: {0}")]
    Keys(#[from] SealError),
    /// The demo data breaks a rule of the domain: a defect of this program.
    #[error("the demo data is not valid: {0}")]
    Invalid(String),
}

macro_rules! invalid_from {
    ($($error:ty),+) => {$(
        impl From<$error> for SeedError {
            fn from(error: $error) -> Self {
                Self::Invalid(error.to_string())
            }
        }
    )+};
}
invalid_from!(
    Invalid,
    MoneyError,
    RulesError,
    identity::InvalidEmail,
    identity::InvalidPassword,
    identity::InvalidPersonName,
    identity::InvalidPostalAddress
);

/// How much was made; nothing where it was there already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seeded {
    /// Regions opened.
    pub regions: usize,
    /// Categories made.
    pub categories: usize,
    /// Shops opened.
    pub shops: usize,
    /// Products created.
    pub products: usize,
    /// Discounts given.
    pub discounts: usize,
}

impl fmt::Display for Seeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::default() {
            return f.write_str("the demo data is there already");
        }
        let Self {
            regions,
            categories,
            shops,
            products,
            discounts,
        } = self;
        write!(
            f,
            "demo data: {regions} regions, {categories} categories, {shops} shops, {products} products and {discounts} discounts made"
        )
    }
}

/// Makes what is missing of the demo data in the database of these settings, which must be migrated.
pub async fn run(config: Config) -> Result<Seeded, SeedError> {
    if !config.demo() {
        return Err(SeedError::NotADemo);
    }
    let services = Services::open(config).await?;
    let seeded = seed(&services).await;
    services.close().await;
    seeded
}

async fn seed(services: &Services) -> Result<Seeded, SeedError> {
    let users = users(&services.identity).await?;
    let maker = Maker {
        commands: services.commands.clone(),
        correlation_id: Uuid::now_v7(),
    };
    let mut seeded = Seeded::default();
    for region in REGIONS {
        seeded.regions += usize::from(maker.region(region).await?);
        for product in region.products {
            let product = of_the_market(region, product)?;
            seeded.products += usize::from(maker.product(Manager::Market, product).await?);
        }
    }
    for (slug, title) in CATEGORIES {
        seeded.categories += usize::from(maker.category(slug, title).await?);
    }
    let owner = users.iter().find(|(email, _)| *email == SHOP.owner);
    let (_, owner_id) = owner.ok_or_else(|| SeedError::Invalid(SHOP.owner.to_owned()))?;
    seeded.shops += usize::from(maker.shop(&SHOP, *owner_id).await?);
    for offer in SHOP.offers {
        let product = of_a_shop(&SHOP, offer)?;
        seeded.products += usize::from(maker.product(Manager::Seller(*owner_id), product).await?);
    }
    for demo in DISCOUNTS {
        seeded.discounts += usize::from(maker.discount(demo).await?);
    }
    Ok(seeded)
}

/// Returns them by the address that they log in with.
async fn users(identity: &Identity) -> Result<Vec<(&'static str, UserId)>, SeedError> {
    let mut users = Vec::new();
    for (name, email, roles) in USERS {
        let account = NewAccount {
            name: name.parse::<PersonName>()?,
            email: email.parse::<Email>()?,
            password: PASSWORD.parse::<Password>()?,
            roles: roles.iter().copied().collect::<Roles>(),
        };
        users.push((*email, identity.ensure_user(&account).await?));
    }
    Ok(users)
}

/// Id of a demo region: the same in every installation.
fn region_id(slug: &str) -> RegionId {
    RegionId(Uuid::new_v5(
        &NAMESPACE,
        format!("demo-region:{slug}").as_bytes(),
    ))
}

/// Id of a demo product: the same in every installation.
fn product_id(slug: &str, sku: &str) -> ProductId {
    ProductId(Uuid::new_v5(
        &NAMESPACE,
        format!("demo-product:{slug}:{sku}").as_bytes(),
    ))
}

/// Id of a demo category: the same in every installation.
fn category_id(slug: &str) -> CategoryId {
    CategoryId(Uuid::new_v5(
        &NAMESPACE,
        format!("demo-category:{slug}").as_bytes(),
    ))
}

/// Id of a demo shop: the same in every installation.
fn shop_id(slug: &str) -> ShopId {
    ShopId(Uuid::new_v5(
        &NAMESPACE,
        format!("demo-shop:{slug}").as_bytes(),
    ))
}

/// Id of a demo discount: the same in every installation.
fn discount_id(demo: &DemoDiscount) -> DiscountId {
    let (region, slug) = (demo.region, demo.slug);
    DiscountId(Uuid::new_v5(
        &NAMESPACE,
        format!("demo-discount:{region}:{slug}").as_bytes(),
    ))
}

/// Kind and attributes of an offer.
fn specification(offer: &Offer) -> Result<Specification, SeedError> {
    let invalid = |what: &dyn fmt::Display| {
        SeedError::Invalid(format!("{} {}: {what}", offer.kind, offer.product.sku))
    };
    let kind = Kind::find(offer.kind).ok_or_else(|| invalid(&"there is no such kind"))?;
    let mut attributes = Vec::new();
    for (name, told) in offer.attributes {
        let value = match *told {
            Told::Text(text) => AttributeValue::Text(Title::parse(text)?),
            Told::Whole(number) => AttributeValue::Whole(number),
            Told::YesOrNo(yes) => AttributeValue::YesOrNo(yes),
        };
        attributes.push(((*name).to_owned(), Some(value)));
    }
    kind.specify(attributes).map_err(|unfit| {
        let unfit: Vec<String> = unfit.iter().map(ToString::to_string).collect();
        invalid(&unfit.join(", "))
    })
}

/// A product that is nobody's but the market's.
fn of_the_market(region: &DemoRegion, demo: &DemoProduct) -> Result<NewProduct, SeedError> {
    Ok(NewProduct {
        product_id: product_id(region.slug, demo.sku),
        region_id: region_id(region.slug),
        sku: Sku::parse(demo.sku)?,
        title: Title::parse(demo.title)?,
        description: Description::parse(demo.description)?,
        image_url: None,
        price: Money::parse_decimal(demo.price, Currency::parse(region.currency)?)?,
        shop_id: None,
        category_id: None,
        specification: None,
        stock: Some(Quantity::parse(demo.stock)?),
    })
}

/// A product of a seller's shop.
fn of_a_shop(shop: &DemoShop, offer: &Offer) -> Result<NewProduct, SeedError> {
    let region = REGIONS.iter().find(|region| region.slug == offer.region);
    let region = region.ok_or_else(|| SeedError::Invalid(offer.region.to_owned()))?;
    Ok(NewProduct {
        shop_id: Some(shop_id(shop.slug)),
        category_id: Some(category_id(offer.category)),
        specification: Some(specification(offer)?),
        ..of_the_market(region, &offer.product)?
    })
}

/// A discount of the market, or of the demo shop.
fn given(demo: &DemoDiscount) -> Result<NewDiscount, SeedError> {
    let category_ids = demo.of_shop.map(category_id).into_iter().collect();
    Ok(NewDiscount {
        discount_id: discount_id(demo),
        region_id: region_id(demo.region),
        currency: None,
        shop_id: demo.of_shop.map(|_| shop_id(SHOP.slug)),
        code: demo.code.map(DiscountCode::parse).transpose()?,
        rules: DiscountRules {
            title: Title::parse(demo.title)?,
            value: DiscountValue::Percentage {
                basis_points: Percentage::from_basis_points(demo.share)?,
            },
            scope: DiscountScope {
                category_ids,
                ..DiscountScope::default()
            },
            minimum: 0,
            starts_at: None,
            ends_at: None,
            max_uses: None,
            max_uses_per_customer: demo.per_customer,
        },
    })
}

/// The product that a first order is placed for, and the region it is sold in.
pub fn first_order() -> (RegionId, ProductId) {
    let (slug, sku) = catalogue::FIRST_ORDER;
    (region_id(slug), product_id(slug, sku))
}

struct Maker {
    commands: Commands,
    correlation_id: Uuid,
}

impl Maker {
    fn request(&self, command: &str) -> Request {
        Request::new(Cause {
            correlation_id: self.correlation_id.to_string(),
            causation_id: self.correlation_id.to_string(),
            actor: "seed".into(),
            command: command.into(),
        })
    }

    /// Opens the region unless it is there, whatever became of it. Returns whether it was opened.
    async fn region(&self, demo: &DemoRegion) -> Result<bool, SeedError> {
        let region_id = region_id(demo.slug);
        let (there, _) = self.commands.log().load::<Region>(region_id).await?;
        if there.details().is_some() {
            return Ok(false);
        }
        let region = NewRegion {
            region_id,
            title: Title::parse(demo.title)?,
            country: CountryCode::parse(demo.country)?,
            currency: Currency::parse(demo.currency)?,
            tax_rate: TaxRate::from_basis_points(demo.tax_rate)?,
            prices_include_tax: false,
            default_for_currency: true,
        };
        match self
            .commands
            .open_region(self.request("OpenRegion"), region)
            .await
        {
            Ok(committed) => Ok(committed.appended > 0),
            // opened and changed by others since we looked
            Err(Failure::Region(RegionError::AlreadyExists)) => Ok(false),
            Err(failure) => Err(SeedError::Refused {
                what: format!("region {}", demo.title),
                failure,
            }),
        }
    }

    /// Makes the category unless it is there, whatever became of it. Returns whether it was made.
    async fn category(&self, slug: &str, title: &str) -> Result<bool, SeedError> {
        let category_id = category_id(slug);
        let (there, _) = self.commands.log().load::<Category>(category_id).await?;
        if there.details().is_some() {
            return Ok(false);
        }
        let request = self.request("CreateCategory");
        let made = self
            .commands
            .create_category(request, category_id, Title::parse(title)?);
        match made.await {
            Ok(committed) => Ok(committed.appended > 0),
            // made and changed by others since we looked
            Err(Failure::Category(CategoryError::AlreadyExists | CategoryError::Deleted)) => {
                Ok(false)
            }
            Err(failure) => Err(SeedError::Refused {
                what: format!("category {title}"),
                failure,
            }),
        }
    }

    /// Opens the shop unless it is there, whatever became of it. Returns whether it was opened.
    async fn shop(&self, demo: &DemoShop, owner_id: UserId) -> Result<bool, SeedError> {
        let shop_id = shop_id(demo.slug);
        let (there, _) = self.commands.log().load::<Shop>(shop_id).await?;
        if there.details().is_some() {
            return Ok(false);
        }
        let shop = NewShop {
            shop_id,
            owner_id,
            title: Title::parse(demo.title)?,
            description: Description::parse(demo.description)?,
            needs_approval: false,
        };
        match self
            .commands
            .open_shop(self.request("OpenShop"), shop)
            .await
        {
            Ok(committed) => Ok(committed.appended > 0),
            // opened and changed by others since we looked
            Err(Failure::Shop(ShopError::AlreadyExists | ShopError::Closed)) => Ok(false),
            Err(failure) => Err(SeedError::Refused {
                what: format!("shop {}", demo.title),
                failure,
            }),
        }
    }

    /// Gives the discount unless it is there, whatever became of it. Returns whether it was given.
    async fn discount(&self, demo: &DemoDiscount) -> Result<bool, SeedError> {
        let id = discount_id(demo);
        let (there, _) = self.commands.log().load::<Discount>(id).await?;
        if there.details().is_some() {
            return Ok(false);
        }
        let request = self.request("CreateDiscount");
        let discount = given(demo)?;
        match self
            .commands
            .create_discount(request, Manager::Market, discount)
            .await
        {
            Ok(committed) => Ok(committed.appended > 0),
            // given and changed by others since we looked, or without a place: nothing is sold in its region, its shop or
            // its category is no more, or somebody gives another by its code
            Err(
                Failure::Discount(DiscountError::AlreadyExists | DiscountError::Deleted)
                | Failure::Shop(ShopError::Closed)
                | Failure::Category(CategoryError::Deleted)
                | Failure::Region(RegionError::Disabled)
                | Failure::ClaimTaken { .. },
            ) => Ok(false),
            Err(failure) => Err(SeedError::Refused {
                what: format!("discount {}", demo.title),
                failure,
            }),
        }
    }

    /// Creates the product with its stock unless it is there, whatever became of it. Returns whether it was created.
    async fn product(&self, by: Manager, product: NewProduct) -> Result<bool, SeedError> {
        let (product_id, sku) = (product.product_id, product.sku.clone());
        let (there, _) = self.commands.log().load::<Product>(product_id).await?;
        if there.details().is_some() {
            return Ok(false);
        }
        match self
            .commands
            .create_product(self.request("CreateProduct"), by, product)
            .await
        {
            Ok(committed) => Ok(committed.appended > 0),
            // created and changed by others since we looked, or without a place: its shop or its category is no more
            Err(
                Failure::Product(ProductError::AlreadyExists | ProductError::Deleted)
                | Failure::Shop(ShopError::Closed)
                | Failure::Category(CategoryError::Deleted),
            ) => Ok(false),
            Err(failure) => Err(SeedError::Refused {
                what: format!("product {sku}"),
                failure,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn there_is_a_demo_user_of_every_role_and_one_of_two() {
        for role in Role::ALL {
            assert!(USERS.iter().any(|(_, _, roles)| *roles == [role]), "{role}");
        }
        assert!(USERS.iter().any(|(_, _, roles)| roles.len() == 2));
        for (name, email, _) in USERS {
            name.parse::<PersonName>().unwrap();
            email.parse::<Email>().unwrap();
        }
        PASSWORD.parse::<Password>().unwrap();
    }

    #[test]
    fn demo_ids_are_the_same_for_good() {
        // frozen: they are in databases and in the README
        let (region, product) = first_order();
        assert_eq!(region.to_string(), "a5a46331-e34d-5ee3-b4ae-54ed0b402e17");
        assert_eq!(product.to_string(), "57ba28a4-cc07-590e-97e1-c14c40dcb849");
    }
}
