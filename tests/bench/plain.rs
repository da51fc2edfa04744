//! The baseline "plain": what a program does that follows the documentation of cqrs-es and postgres-es.
//!
//! Two aggregates, order and inventory, are the very ones of Souk, so that events and their bytes are the same; each
//! has a `postgres_cqrs` on one pool of 32 connections, over the table that postgres-es ships, with none of our columns,
//! indexes or triggers. To place an order, the order is placed and its stock is reserved, one after the other; who
//! loses the race for a stream tries again. It has no idempotency key, seals nothing, and is told price and terms.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use cqrs_es::AggregateError;
use domain::{
    ids::{OperationId, OrderId, ProductId, RegionId, UserId},
    inventory::{Inventory, InventoryCommand, InventoryError},
    money::{Currency, Money, TaxRate},
    order::{Order, OrderCommand, OrderNumber, PlaceOrder},
    pricing::PricedItem,
    region::RegionTerms,
    sealed::Sealed,
    text::{PaymentMethod, Quantity, Sku, Title},
};
use eventstore::testing::TestDatabase;
use postgres_es::{PostgresCqrs, postgres_cqrs};
use sqlx::{ConnectOptions, PgPool, postgres::PgPoolOptions};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::{
    env::Outcome,
    shop::{ADDRESS, NAME, PLENTY, TITLE},
};

/// Connections in the pool.
pub(crate) const POOL: u32 = 32;

/// postgres-es's own table (db/init.sql of its 0.5.0), in a schema of its own.
const TABLE: &str = "create schema plain;
    create table plain.events (
        aggregate_type text                         not null,
        aggregate_id   text                         not null,
        sequence       bigint check (sequence >= 0) not null,
        event_type     text                         not null,
        event_version  text                         not null,
        payload        json                         not null,
        metadata       json                         not null,
        primary key (aggregate_type, aggregate_id, sequence)
    )";

/// A plain program with its products.
pub(crate) struct Plain {
    database: TestDatabase,
    pool: PgPool,
    shop: Arc<Shop>,
    products: Vec<ProductId>,
}

struct Shop {
    orders: PostgresCqrs<Order>,
    stock: PostgresCqrs<Inventory>,
    region_id: RegionId,
}

impl Plain {
    /// A fresh table with so many products in stock.
    pub(crate) async fn open(products: usize) -> Outcome<Self> {
        let database = TestDatabase::create().await;
        sqlx::raw_sql(TABLE)
            .execute(&mut database.connect().await)
            .await?;
        let pool = PgPoolOptions::new()
            .max_connections(POOL)
            .acquire_timeout(Duration::from_mins(5))
            .connect_with(
                database
                    .options()
                    .options([("search_path", "plain")])
                    .disable_statement_logging(),
            )
            .await?;
        let shop = Arc::new(Shop {
            orders: postgres_cqrs(pool.clone(), vec![], ()),
            stock: postgres_cqrs(pool.clone(), vec![], ()),
            region_id: RegionId(Uuid::now_v7()),
        });
        Ok(Self {
            products: shop.stock_up(products).await?,
            database,
            pool,
            shop,
        })
    }

    /// Its products where that many are wanted, otherwise so many new ones.
    pub(crate) async fn some(&self, count: usize) -> Outcome<Vec<ProductId>> {
        if count == self.products.len() {
            return Ok(self.products.clone());
        }
        self.shop.stock_up(count).await
    }

    /// Orders per second with so many in flight, spread over all its products.
    pub(crate) async fn pass_over_all(&self, in_flight: usize, time: Duration) -> Outcome<f64> {
        self.pass(&self.products, in_flight, time).await
    }

    /// Orders per second with so many in flight. An order counts when its stock is reserved within the time.
    pub(crate) async fn pass(
        &self,
        products: &[ProductId],
        in_flight: usize,
        time: Duration,
    ) -> Outcome<f64> {
        let begun = Instant::now();
        let products: Arc<[ProductId]> = products.into();
        let placed = Arc::new(AtomicU64::new(0));
        let mut buyers = JoinSet::new();
        for buyer in 0..in_flight {
            let (shop, products, placed) = (self.shop.clone(), products.clone(), placed.clone());
            buyers.spawn(async move {
                let mut turn = buyer;
                while begun.elapsed() < time {
                    turn += 7_919; // a prime: every buyer comes to every product
                    let product_id = products[turn % products.len()];
                    if shop.place(product_id, begun + time).await? {
                        placed.fetch_add(1, Ordering::Relaxed);
                    }
                }
                Outcome::Ok(())
            });
        }
        while let Some(ended) = buyers.join_next().await {
            ended??;
        }
        let placed = placed.load(Ordering::Relaxed);
        #[allow(clippy::cast_precision_loss)] // far below 2^52
        Ok(placed as f64 / begun.elapsed().as_secs_f64())
    }

    /// Drops the database.
    pub(crate) async fn close(self) {
        self.pool.close().await;
        self.database.drop_database().await;
    }
}

impl Shop {
    async fn stock_up(&self, count: usize) -> Outcome<Vec<ProductId>> {
        let products: Vec<_> = (0..count).map(|_| ProductId(Uuid::now_v7())).collect();
        for product_id in &products {
            let receive = InventoryCommand::ReceiveStock {
                product_id: *product_id,
                operation_id: OperationId(Uuid::now_v7()),
                quantity: Quantity::parse(PLENTY)?,
                reason: None,
            };
            self.stock.execute(&product_id.to_string(), receive).await?;
        }
        Ok(products)
    }

    /// Places an order of one piece and reserves its stock, again and again until it is the first. False where the
    /// time is over before that: the order then stands without stock, which plain has no means against.
    async fn place(&self, product_id: ProductId, deadline: Instant) -> Outcome<bool> {
        let order_id = OrderId(Uuid::now_v7());
        let metadata = metadata();
        let place = self.order(order_id, product_id)?;
        self.orders
            .execute_with_metadata(&order_id.to_string(), place, metadata.clone())
            .await?;
        let reserve = InventoryCommand::ReserveStock {
            product_id,
            order_id,
            quantity: Quantity::parse(1)?,
        };
        let stream = product_id.to_string();
        while Instant::now() < deadline {
            match self
                .stock
                .execute_with_metadata(&stream, reserve.clone(), metadata.clone())
                .await
            {
                Ok(()) => return Ok(true),
                Err(AggregateError::<InventoryError>::AggregateConflict) => {}
                Err(other) => return Err(other.into()),
            }
        }
        Ok(false)
    }

    fn order(&self, order_id: OrderId, product_id: ProductId) -> Outcome<OrderCommand> {
        let currency = Currency::parse("USD")?;
        let customer_id = UserId(Uuid::now_v7());
        Ok(OrderCommand::PlaceOrder(PlaceOrder {
            order_id,
            number: OrderNumber(100_001),
            customer_id,
            customer_name: as_long_as_sealed(customer_id, NAME),
            shipping_address: as_long_as_sealed(customer_id, ADDRESS),
            terms: RegionTerms {
                region_id: self.region_id,
                currency,
                tax_rate: TaxRate::from_basis_points(1_000)?,
                prices_include_tax: false,
            },
            payment_method: PaymentMethod::parse(commands::payment_methods::DEFAULT)?,
            items: vec![PricedItem {
                product_id,
                region_id: self.region_id,
                shop_id: None,
                category_id: None,
                sku: Sku::parse(&product_id.to_string())?,
                title: Title::parse(TITLE)?,
                quantity: Quantity::parse(1)?,
                unit_price: Money::new(1_000, currency),
            }],
            offers: vec![],
            payment_delay_ms: 60_000,
            payment_window_ms: 0,
        }))
    }
}

/// Plain seals nothing; the text only has the length of a sealed one: version, person, and in base64 nonce, text, tag.
fn as_long_as_sealed(person: UserId, plain: &str) -> Sealed {
    let sealed = "A".repeat(((12 + plain.len() + 16) * 4).div_ceil(3));
    Sealed::new(format!("v1.{}.{sealed}", person.0.simple()))
}

/// The metadata that an order of ours has.
fn metadata() -> HashMap<String, String> {
    HashMap::from([
        ("correlation_id".into(), Uuid::now_v7().to_string()),
        ("causation_id".into(), Uuid::now_v7().to_string()),
        ("actor".into(), format!("user:{}", Uuid::now_v7())),
        ("command".into(), "PlaceOrder".into()),
    ])
}
