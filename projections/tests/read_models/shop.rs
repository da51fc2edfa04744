//! A shop with its log and all read models running, and short ways to make things happen in it.

use std::{fmt::Display, time::Duration};

use domain::{
    aggregate::Decider,
    category::{Category, CategoryCommand},
    discount::{DiscountScope, DiscountValue, Percentage},
    ids::{CategoryId, DiscountId, OperationId, OrderId, ProductId, RegionId, ShopId, UserId},
    inventory::{Inventory, InventoryCommand},
    kinds::{AttributeValue, Kind, Specification},
    money::{Currency, Money, TaxRate},
    order::{Order, OrderCommand, OrderNumber, PlaceOrder},
    pricing::{Offer, PricedItem},
    product::{Product, ProductCommand},
    region::{Region, RegionCommand},
    sealed::Sealed,
    shop::ShopCommand,
    text::{CountryCode, Description, DiscountCode, PaymentMethod, Quantity, Sku, Title},
};
use eventstore::{
    EventLog,
    event::Cause,
    stream::StreamRef,
    subscription::Subscriptions,
    testing::TestDatabase,
    unit::{Committed, Unit},
};
use projections::{ReadModels, View, migrate_views, spawn_all};
use uuid::Uuid;

/// How long a view may take to catch up before a test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// See the module.
pub(crate) struct Shop {
    pub(crate) database: TestDatabase,
    pub(crate) log: EventLog,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) models: ReadModels,
}

impl Shop {
    pub(crate) async fn open() -> Self {
        let shop = Self::open_idle().await;
        spawn_all(&shop.subscriptions).await;
        shop
    }

    /// Without projectors running.
    pub(crate) async fn open_idle() -> Self {
        let database = TestDatabase::create().await;
        let log = database.open_log().await;
        migrate_views(log.pool()).await.unwrap();
        let subscriptions = Subscriptions::new(log.clone());
        let models = ReadModels::new(log.pool().clone());
        Self {
            database,
            log,
            subscriptions,
            models,
        }
    }

    pub(crate) async fn close(self) {
        self.subscriptions.close().await;
        self.log.close().await;
        self.database.drop_database().await;
    }

    /// Starts all projectors once more, as another process would after this one's end.
    pub(crate) async fn restart(&mut self) {
        self.subscriptions.close().await;
        self.subscriptions = Subscriptions::new(self.log.clone());
        spawn_all(&self.subscriptions).await;
    }

    /// Waits until the views have taken all that is in the log.
    pub(crate) async fn settle(&self, views: &[View]) {
        let head = self.log.head().await.unwrap();
        for view in views {
            let name = view.schema();
            let waited = self
                .subscriptions
                .wait_for(name.as_str(), head.position, PATIENCE);
            if let Err(error) = waited.await {
                panic!("{name}: {error}; {:?}", self.subscriptions.statuses());
            }
        }
    }

    pub(crate) async fn settle_all(&self) {
        self.settle(&View::ALL).await;
    }

    /// Has an aggregate decide; it must not refuse.
    pub(crate) async fn command<A: Decider>(
        &self,
        id: impl Display,
        command: A::Command,
    ) -> Committed<usize> {
        let id = id.to_string();
        let streams = vec![StreamRef::of::<A>(&id)];
        let unit = Unit::new(cause(), streams, move |work| {
            work.execute::<A>(&id, command.clone())
        });
        self.log.execute::<usize, A::Error>(unit).await.unwrap()
    }

    pub(crate) async fn region(&self, title: &str, currency: &str) -> RegionId {
        let region_id = RegionId(Uuid::now_v7());
        let command = RegionCommand::OpenRegion {
            region_id,
            title: Title::parse(title).unwrap(),
            country: CountryCode::parse("VN").unwrap(),
            currency: Currency::parse(currency).unwrap(),
            tax_rate: TaxRate::from_basis_points(1_000).unwrap(),
            prices_include_tax: false,
            default_for_currency: true,
        };
        self.command::<Region>(region_id, command).await;
        region_id
    }

    pub(crate) async fn category(&self, title: &str) -> CategoryId {
        let category_id = CategoryId(Uuid::now_v7());
        let command = CategoryCommand::CreateCategory {
            category_id,
            title: Title::parse(title).unwrap(),
        };
        self.command::<Category>(category_id, command).await;
        category_id
    }

    /// A seller's shop that waits for approval.
    pub(crate) async fn wanted_shop(&self, owner_id: UserId, title: &str) -> ShopId {
        let shop_id = ShopId(Uuid::now_v7());
        let command = ShopCommand::OpenShop {
            shop_id,
            owner_id,
            title: Title::parse(title).unwrap(),
            description: Description::parse("").unwrap(),
            needs_approval: true,
        };
        self.command::<domain::shop::Shop>(shop_id, command).await;
        shop_id
    }

    pub(crate) async fn product(&self, region_id: RegionId, sku: &str, price: Money) -> ProductId {
        self.product_of(None, region_id, sku, price).await
    }

    /// A product of that shop.
    pub(crate) async fn product_of(
        &self,
        shop_id: Option<ShopId>,
        region_id: RegionId,
        sku: &str,
        price: Money,
    ) -> ProductId {
        let product_id = ProductId(Uuid::now_v7());
        let command = ProductCommand::CreateProduct {
            product_id,
            region_id,
            region_currency: price.currency,
            sku: Sku::parse(sku).unwrap(),
            title: Title::parse(&format!("Title of {sku}")).unwrap(),
            description: Description::parse("Áo dài").unwrap(),
            image_url: None,
            price,
            shop_id,
            category_id: None,
            specification: None,
        };
        self.command::<Product>(product_id, command).await;
        product_id
    }

    pub(crate) async fn receive(&self, product_id: ProductId, pieces: u64) {
        let command = InventoryCommand::ReceiveStock {
            product_id,
            operation_id: OperationId(Uuid::now_v7()),
            quantity: quantity(pieces),
            reason: None,
        };
        self.command::<Inventory>(product_id, command).await;
    }

    pub(crate) async fn adjust(&self, product_id: ProductId, delta: i64) {
        let command = InventoryCommand::AdjustStock {
            product_id,
            operation_id: OperationId(Uuid::now_v7()),
            delta,
            reason: None,
        };
        self.command::<Inventory>(product_id, command).await;
    }

    /// Places an order; stock is left alone.
    pub(crate) async fn order(
        &self,
        customer_id: UserId,
        region_id: RegionId,
        items: &[(ProductId, u64)],
    ) -> OrderId {
        self.order_with(customer_id, region_id, items, vec![]).await
    }

    /// The same with these discounts; their uses are left alone.
    pub(crate) async fn order_with(
        &self,
        customer_id: UserId,
        region_id: RegionId,
        items: &[(ProductId, u64)],
        offers: Vec<Offer>,
    ) -> OrderId {
        let order_id = OrderId(Uuid::now_v7());
        let (region, _) = self.log.load::<Region>(region_id).await.unwrap();
        let priced = self.priced(items).await;
        let command = OrderCommand::PlaceOrder(PlaceOrder {
            order_id,
            number: number(order_id),
            customer_id,
            customer_name: Sealed::new("sealed name"),
            shipping_address: Sealed::new("sealed address"),
            terms: region.terms().unwrap(),
            payment_method: PaymentMethod::parse("test_succeeds").unwrap(),
            items: priced,
            offers,
            payment_delay_ms: 60_000,
            payment_window_ms: 0,
        });
        self.command::<Order>(order_id, command).await;
        order_id
    }

    /// So many pieces of each at their prices of today.
    pub(crate) async fn priced(&self, items: &[(ProductId, u64)]) -> Vec<PricedItem> {
        let mut priced = vec![];
        for (product_id, pieces) in items {
            let (product, _) = self.log.load::<Product>(product_id).await.unwrap();
            priced.push(product.priced(quantity(*pieces)).unwrap());
        }
        priced
    }

    /// Writes an event as a plain postgres-es program would.
    pub(crate) async fn insert_plain(
        &self,
        aggregate_type: &str,
        aggregate_id: impl Display,
        sequence: i64,
        event_type: &str,
        payload: &str,
    ) {
        sqlx::query(
            "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata) \
             values ($1, $2, $3, $4, '1.0', $5::json, '{}')",
        )
        .bind(aggregate_type)
        .bind(aggregate_id.to_string())
        .bind(sequence)
        .bind(event_type)
        .bind(payload)
        .execute(self.log.pool())
        .await
        .unwrap();
    }
}

pub(crate) fn cause() -> Cause {
    Cause {
        correlation_id: "correlation".into(),
        causation_id: "request".into(),
        actor: "user:test".into(),
        command: "Test".into(),
    }
}

pub(crate) fn quantity(pieces: u64) -> Quantity {
    Quantity::parse(pieces).unwrap()
}

pub(crate) fn usd(cents: i64) -> Money {
    Money::new(cents, Currency::parse("USD").unwrap())
}

pub(crate) fn customer() -> UserId {
    UserId(Uuid::now_v7())
}

/// A number that no other order has.
pub(crate) fn number(order_id: OrderId) -> OrderNumber {
    let (_, random) = order_id.0.as_u64_pair();
    OrderNumber((random >> 1) as i64)
}

/// A tenth off everything.
pub(crate) fn tenth_off(number: u128) -> Offer {
    Offer {
        discount_id: DiscountId(Uuid::from_u128(number)),
        title: Title::parse(&format!("Discount {number}")).unwrap(),
        code: Some(DiscountCode::parse("TENTH").unwrap()),
        shop_id: None,
        value: DiscountValue::Percentage {
            basis_points: Percentage::from_basis_points(1_000).unwrap(),
        },
        minimum: 0,
        scope: DiscountScope::default(),
    }
}

/// A piece of clothing of that size and colour.
pub(crate) fn clothing(size: &str, colour: &str) -> Specification {
    let text = |text| Some(AttributeValue::Text(Title::parse(text).unwrap()));
    let given = [("size", text(size)), ("colour", text(colour))];
    let given = given.map(|(name, value)| (name.to_owned(), value));
    Kind::find("clothing").unwrap().specify(given).unwrap()
}
