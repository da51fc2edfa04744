//! A shop on the store, without HTTP: a region, products, and buyers that place orders through the production path.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use commands::{
    CommandSettings, Commands, Failure, Manager, Request,
    orders::{NewOrder, OrderItem},
    payment_methods::PaymentMethods,
    products::NewProduct,
    regions::NewRegion,
};
use domain::{
    ids::{OrderId, ProductId, RegionId, UserId},
    money::{Currency, Money, TaxRate},
    text::{CountryCode, Description, Quantity, Sku, Title},
};
use eventstore::{
    EventLog,
    event::Cause,
    sealing::{MasterKey, Vault},
    testing::TestDatabase,
    unit::IdempotencyKey,
};
use futures::{StreamExt, TryStreamExt, stream};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::{env::Outcome, process::cpu_seconds};

/// Who every order is for, where it goes and what it is: "plain" has the same, so that payloads are of one size.
pub(crate) const NAME: &str = "Ada Lovelace";
pub(crate) const ADDRESS: &str = "12 St James's Square, London";
pub(crate) const TITLE: &str = "Teapot";

/// More than any pass sells.
pub(crate) const PLENTY: u64 = 900_000;
/// Buyers come back: their keys are at hand, as they are in a server that runs.
const CUSTOMERS: usize = 200;
/// Products made at a time.
const AT_ONCE: usize = 256;

/// A process with commands on the log of a database.
pub(crate) struct Shop {
    pub(crate) log: EventLog,
    pub(crate) commands: Commands,
    master: MasterKey,
    region_id: RegionId,
    customers: Vec<UserId>,
    pub(crate) products: Vec<ProductId>,
}

/// What a pass did.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pass {
    /// Orders that were accepted.
    pub(crate) placed: u64,
    /// Orders that were refused, because the stock was sold.
    pub(crate) sold_out: u64,
    /// From the first to the last answer.
    pub(crate) seconds: f64,
    /// Processors that this process took on average: buyers and the product are both in it.
    pub(crate) processors: f64,
}

impl Pass {
    /// Accepted orders per second.
    #[allow(clippy::cast_precision_loss)] // far below 2^52
    pub(crate) fn rate(&self) -> f64 {
        self.placed as f64 / self.seconds
    }
}

impl Shop {
    /// Opens the log of this database and a region with so many products, each with so much stock.
    pub(crate) async fn open(
        database: &TestDatabase,
        products: usize,
        stock: u64,
    ) -> Outcome<Self> {
        let log = database.open_log().await;
        let master = MasterKey::from_base64(&MasterKey::generate_base64()?)?;
        let mut this = Self {
            commands: commands_on(&log, master.clone()),
            log,
            master,
            region_id: RegionId(Uuid::now_v7()),
            customers: (0..CUSTOMERS).map(|_| UserId(Uuid::now_v7())).collect(),
            products: Vec::new(),
        };
        this.open_region().await?;
        this.products = this.stock_up(products, stock).await?;
        Ok(this)
    }

    /// The same shop after a restart: nothing of the log is in memory.
    pub(crate) async fn restarted(self, database: &TestDatabase) -> Self {
        self.log.close().await;
        let log = database.open_log().await;
        Self {
            commands: commands_on(&log, self.master.clone()),
            log,
            ..self
        }
    }

    async fn open_region(&self) -> Outcome<()> {
        let region = NewRegion {
            region_id: self.region_id,
            title: Title::parse("United States")?,
            country: CountryCode::parse("US")?,
            currency: Currency::parse("USD")?,
            tax_rate: TaxRate::from_basis_points(1_000)?,
            prices_include_tax: false,
            default_for_currency: false,
        };
        self.commands
            .open_region(request("OpenRegion"), region)
            .await?;
        Ok(())
    }

    /// Makes new products.
    pub(crate) async fn stock_up(&self, products: usize, stock: u64) -> Outcome<Vec<ProductId>> {
        let create = |_| async move {
            let product_id = ProductId(Uuid::now_v7());
            let product = NewProduct {
                product_id,
                region_id: self.region_id,
                sku: Sku::parse(&product_id.to_string())?,
                title: Title::parse(TITLE)?,
                description: Description::parse("")?,
                image_url: None,
                price: Money::new(1_000, Currency::parse("USD")?),
                shop_id: None,
                category_id: None,
                specification: None,
                stock: Some(Quantity::parse(stock)?),
            };
            self.commands
                .create_product(request("CreateProduct"), Manager::Market, product)
                .await?;
            Outcome::Ok(product_id)
        };
        stream::iter(0..products)
            .map(create)
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }

    /// Places one order of one piece, as the route does, and says which. None where the product is sold out.
    pub(crate) async fn place(
        &self,
        turn: usize,
        product_id: ProductId,
    ) -> Outcome<Option<OrderId>> {
        let order_id = OrderId(Uuid::now_v7());
        let request = Request {
            key: Some(IdempotencyKey {
                id: Uuid::new_v4(), // a digest in the product: as random as this
                fingerprint: vec![7; 32],
                status: 201,
                resource: order_id.to_string(),
            }),
            ..request("PlaceOrder")
        };
        let order = NewOrder {
            order_id,
            customer_id: self.customers[turn % self.customers.len()],
            customer_name: NAME.into(),
            shipping_address: ADDRESS.into(),
            shipping_country: None,
            region_id: Some(self.region_id),
            payment_method: None,
            items: vec![OrderItem {
                product_id,
                quantity: Quantity::parse(1)?,
            }],
            codes: vec![],
            expected_total: None,
        };
        match self.commands.place_order(request, order).await {
            Ok(_) => Ok(Some(order_id)),
            Err(Failure::InsufficientStock { .. }) => Ok(None),
            Err(other) => Err(other.into()),
        }
    }

    /// So many buyers, each with one order in flight, for so long, or until so many orders were asked for.
    pub(crate) async fn pass(
        self: &Arc<Self>,
        products: &[ProductId],
        in_flight: usize,
        time: Duration,
        attempts: u64,
    ) -> Outcome<Pass> {
        let begun = Instant::now();
        let cpu_before = cpu_seconds(std::process::id())?;
        let products: Arc<[ProductId]> = products.into();
        let tried = Arc::new(AtomicU64::new(0));
        let mut buyers = JoinSet::new();
        for buyer in 0..in_flight {
            let (shop, products, tried) = (self.clone(), products.clone(), tried.clone());
            buyers.spawn(async move {
                let (mut placed, mut sold_out, mut turn) = (0, 0, buyer);
                while begun.elapsed() < time && tried.fetch_add(1, Ordering::Relaxed) < attempts {
                    turn += 7_919; // a prime: every buyer comes to every product
                    match shop.place(turn, products[turn % products.len()]).await? {
                        Some(_) => placed += 1,
                        None => sold_out += 1,
                    }
                }
                Outcome::Ok((placed, sold_out))
            });
        }
        let (mut placed, mut sold_out) = (0, 0);
        while let Some(ended) = buyers.join_next().await {
            let buyer = ended??;
            placed += buyer.0;
            sold_out += buyer.1;
        }
        let seconds = begun.elapsed().as_secs_f64();
        let processors = (cpu_seconds(std::process::id())? - cpu_before) / seconds;
        Ok(Pass {
            placed,
            sold_out,
            seconds,
            processors,
        })
    }
}

fn commands_on(log: &EventLog, master: MasterKey) -> Commands {
    let settings = CommandSettings {
        payment_delay: Duration::from_mins(1),
        payment_window: Duration::ZERO,
        payment_methods: PaymentMethods::RealOnly,
    };
    Commands::new(
        log.clone(),
        Vault::new(log.pool().clone(), master),
        settings,
    )
}

/// A request of somebody, without a key.
pub(crate) fn request(command: &str) -> Request {
    Request::new(Cause {
        correlation_id: Uuid::now_v7().to_string(),
        causation_id: Uuid::now_v7().to_string(),
        actor: format!("user:{}", Uuid::now_v7()),
        command: command.into(),
    })
}
