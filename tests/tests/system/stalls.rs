//! Sellers' shops with something in them, arranged by the commands themselves, as a program beside the servers would.

use commands::{
    CommandSettings, Commands, Manager, Request, discounts::NewDiscount, products::NewProduct,
    shops::NewShop,
};
use domain::{
    discount::{DiscountRules, DiscountScope, DiscountValue},
    ids::{DiscountId, ProductId, ShopId, UserId},
    money::{Currency, Money},
    text::{Description, Quantity, Sku, Title},
};
use eventstore::{
    event::Cause,
    sealing::{MasterKey, Vault},
};
use tests::{client::Client, shop::Shop};
use uuid::Uuid;

use crate::erasure::user_id;

/// Commands on the log of a shop.
pub(crate) struct Stalls {
    commands: Commands,
}

impl Stalls {
    pub(crate) async fn beside(shop: &Shop) -> Self {
        let log = shop.database().open_log().await;
        let master = MasterKey::from_base64(shop.setting("SOUK_MASTER_KEY")).unwrap();
        let vault = Vault::new(log.pool().clone(), master);
        Self {
            commands: Commands::new(log, vault, CommandSettings::default()),
        }
    }

    /// Opens a shop of that seller, and returns its id.
    pub(crate) async fn open(&self, owner: &str) -> String {
        let shop_id = ShopId(Uuid::now_v7());
        let opening = NewShop {
            shop_id,
            owner_id: owner.parse::<UserId>().unwrap(),
            title: Title::parse("A stall").unwrap(),
            description: Description::parse("").unwrap(),
            needs_approval: false,
        };
        let opened = self.commands.open_shop(request("OpenShop"), opening);
        opened.await.unwrap();
        shop_id.to_string()
    }

    /// Puts so many pieces of a new product on sale there, and returns its id.
    pub(crate) async fn offer(
        &self,
        shop: &str,
        region: &str,
        (amount, currency): (i64, &str),
        stock: u64,
    ) -> String {
        let product_id = ProductId(Uuid::now_v7());
        let product = NewProduct {
            product_id,
            region_id: region.parse().unwrap(),
            sku: Sku::parse(&product_id.to_string()).unwrap(),
            title: Title::parse(&format!("Product {product_id}")).unwrap(),
            description: Description::parse("").unwrap(),
            image_url: None,
            price: Money::new(amount, Currency::parse(currency).unwrap()),
            shop_id: Some(shop.parse().unwrap()),
            category_id: None,
            specification: None,
            stock: Quantity::parse(stock).ok(),
        };
        let created =
            self.commands
                .create_product(request("CreateProduct"), Manager::Market, product);
        created.await.unwrap();
        product_id.to_string()
    }

    /// Gives a cent off there without a code, and returns the id of that discount.
    pub(crate) async fn discount(&self, shop: &str, region: &str) -> String {
        let discount_id = DiscountId(Uuid::now_v7());
        let discount = NewDiscount {
            discount_id,
            region_id: region.parse().unwrap(),
            currency: None,
            shop_id: Some(shop.parse().unwrap()),
            code: None,
            rules: DiscountRules {
                title: Title::parse("A cent off").unwrap(),
                value: DiscountValue::Amount { amount: 1 },
                scope: DiscountScope::default(),
                minimum: 0,
                starts_at: None,
                ends_at: None,
                max_uses: None,
                max_uses_per_customer: None,
            },
        };
        let given =
            self.commands
                .create_discount(request("CreateDiscount"), Manager::Market, discount);
        given.await.unwrap();
        discount_id.to_string()
    }

    /// Lets go of the log.
    pub(crate) async fn leave(self) {
        self.commands.log().close().await;
    }
}

fn request(command: &str) -> Request {
    Request::new(Cause {
        correlation_id: Uuid::now_v7().to_string(),
        causation_id: String::new(),
        actor: "test".into(),
        command: command.into(),
    })
}

/// Makes a seller of somebody, at once for the server of `admin`. Returns their id.
pub(crate) async fn make_seller(admin: &Client, who: &Client) -> String {
    let id = user_id(who).await;
    let path = format!("/api/v1/users/{id}/roles/seller");
    let granted = admin.ask(reqwest::Method::PUT, &path).send().await;
    assert_eq!(granted.status, 200, "{granted}");
    id
}
