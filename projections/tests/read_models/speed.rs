//! How fast the projectors are; run by hand in release: `cargo test --release -p projections --test read_models speed
//! -- --ignored --nocapture`.

use std::time::{Duration, Instant};

use chrono::Utc;
use cqrs_es::DomainEvent;
use domain::{
    aggregate::Decider,
    ids::{OrderId, PaymentId, ProductId, RegionId, UserId},
    inventory::{Inventory, InventoryEvent},
    money::{Currency, Money, TaxRate},
    order::{Order, OrderEvent, OrderLine},
    payment::{Payment, PaymentEvent},
    sealed::Sealed,
    text::{PaymentMethod, Reference, Sku, Title},
};
use eventstore::subscription::Subscriptions;
use projections::{
    View, orders::OrdersProjector, payments::PaymentsProjector, products::ProductsProjector,
    timeline::TimelineProjector,
};
use uuid::Uuid;

use crate::shop::{Shop, quantity};

const ORDERS: usize = 30_000;
/// Orders that are placed before the first of them is paid, as with a payment delay.
const WINDOW: usize = 2_000;
const PRODUCTS: u128 = 500;

#[derive(Default)]
struct History {
    rows: Vec<(&'static str, String, i64, String, String)>,
    stock: std::collections::HashMap<ProductId, i64>,
}

impl History {
    fn push<A: Decider>(&mut self, id: impl std::fmt::Display, sequence: i64, event: &A::Event) {
        let payload = serde_json::to_string(event).unwrap();
        self.rows.push((
            A::TYPE,
            id.to_string(),
            sequence,
            event.event_type(),
            payload,
        ));
    }

    fn stock(&mut self, product_id: ProductId, event: &InventoryEvent) {
        let sequence = self.stock.entry(product_id).or_default();
        *sequence += 1;
        let sequence = *sequence;
        self.push::<Inventory>(product_id, sequence, event);
    }

    /// Four events of two products and one order.
    fn place(&mut self, n: usize) {
        let order_id = order(n);
        let (product_ids, quantity) = (products(n), quantity(1));
        let lines = product_ids
            .iter()
            .zip(1..)
            .map(|(product_id, line)| OrderLine {
                line,
                product_id: *product_id,
                sku: Sku::parse("TEE-01").unwrap(),
                title: Title::parse("A shirt with a title").unwrap(),
                quantity,
                unit_price: 2_599,
                discount: 0,
                net: 2_599,
                tax: 260,
                gross: 2_859,
            });
        let placed = OrderEvent::OrderPlaced {
            order_id,
            customer_id: UserId(Uuid::from_u128(n as u128 % 5_000)),
            customer_name: Sealed::new("s".repeat(100)),
            shipping_address: Sealed::new("s".repeat(160)),
            region_id: RegionId(Uuid::from_u128(n as u128 % 3)),
            currency: Currency::parse("USD").unwrap(),
            tax_rate: TaxRate::from_basis_points(1_000).unwrap(),
            prices_include_tax: false,
            payment_method: PaymentMethod::parse("default").unwrap(),
            lines: lines.collect(),
            subtotal: 5_198,
            discount: 0,
            tax: 520,
            total: 5_718 + n as i64 % 1_000,
            payment_delay_ms: 60_000,
            payment_window_ms: 0,
        };
        self.push::<Order>(order_id, 1, &placed);
        for product_id in product_ids {
            let available = 1_000_000;
            self.stock(
                product_id,
                &InventoryEvent::StockReserved {
                    product_id,
                    order_id,
                    quantity,
                    available,
                },
            );
        }
    }

    fn pay(&mut self, n: usize) {
        let order_id = order(n);
        let payment_id = PaymentId::of(order_id);
        let amount = Money::new(5_718, Currency::parse("USD").unwrap());
        let customer_id = UserId(Uuid::from_u128(n as u128 % 5_000));
        let method = PaymentMethod::parse("default").unwrap();
        let started = PaymentEvent::PaymentStarted {
            payment_id,
            order_id,
            customer_id,
            amount,
            method,
            attempt: 1,
            deadline_ms: 0,
        };
        self.push::<Payment>(payment_id, 1, &started);
        self.push::<Order>(
            order_id,
            2,
            &OrderEvent::OrderPaymentStarted {
                payment_id,
                attempt: 1,
            },
        );
        let reference = Reference::parse("ch_123456789").unwrap();
        self.push::<Payment>(
            payment_id,
            2,
            &PaymentEvent::PaymentCaptured {
                order_id,
                reference,
                amount,
                attempt: 1,
            },
        );
        self.push::<Order>(
            order_id,
            3,
            &OrderEvent::OrderPaid {
                payment_id,
                amount: amount.amount,
            },
        );
        for product_id in products(n) {
            self.stock(
                product_id,
                &InventoryEvent::StockSold {
                    product_id,
                    order_id,
                    quantity: quantity(1),
                },
            );
        }
    }

    async fn store(&self, shop: &Shop) {
        let metadata = serde_json::to_string(&crate::shop::cause()).unwrap();
        for (chunk, first) in self.rows.chunks(10_000).zip((1..).step_by(10_000)) {
            sqlx::query(
                "insert into events select t, i, s, e, '1.0', p::json, $6::json, $7 + n - 1, gen_random_uuid(), $8 \
                 from unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[]) \
                      with ordinality as x (t, i, s, e, p, n)",
            )
            .bind(chunk.iter().map(|row| row.0).collect::<Vec<_>>())
            .bind(chunk.iter().map(|row| row.1.as_str()).collect::<Vec<_>>())
            .bind(chunk.iter().map(|row| row.2).collect::<Vec<_>>())
            .bind(chunk.iter().map(|row| row.3.as_str()).collect::<Vec<_>>())
            .bind(chunk.iter().map(|row| row.4.as_str()).collect::<Vec<_>>())
            .bind(&metadata)
            .bind(i64::from(first))
            .bind(Utc::now())
            .execute(shop.log.pool())
            .await
            .unwrap();
        }
    }
}

fn order(n: usize) -> OrderId {
    let mut builder =
        uuid::Builder::from_unix_timestamp_millis(1_700_000_000_000 + n as u64, &[7; 10]);
    builder.set_version(uuid::Version::SortRand);
    OrderId(builder.into_uuid())
}

fn products(n: usize) -> [ProductId; 2] {
    [n as u128 % PRODUCTS, (n as u128 + 1) % PRODUCTS].map(|n| ProductId(Uuid::from_u128(n)))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn events_per_second_of_each_projector() {
    let shop = Shop::open_idle().await;
    let mut history = History::default();
    for n in 0..ORDERS + WINDOW {
        if n < ORDERS {
            history.place(n);
        }
        if n >= WINDOW {
            history.pay(n - WINDOW);
        }
    }
    history.store(&shop).await;
    let count = |kind: &str| history.rows.iter().filter(|row| row.0 == kind).count();
    println!(
        "{} events, {} of orders",
        history.rows.len(),
        count("order")
    );
    for (view, read) in [
        (View::Orders, count("order")),
        (View::Products, count("inventory")),
        (View::Payments, count("payment")),
        (View::Timeline, history.rows.len()),
    ] {
        let subscriptions = Subscriptions::new(shop.log.clone());
        let begun = Instant::now();
        match view {
            View::Orders => subscriptions.spawn(OrdersProjector::new()).await,
            View::Products => subscriptions.spawn(ProductsProjector::new()).await,
            View::Payments => subscriptions.spawn(PaymentsProjector::new()).await,
            _ => subscriptions.spawn(TimelineProjector::new()).await,
        }
        let head = shop.log.head().await.unwrap();
        let patience = Duration::from_mins(2);
        subscriptions
            .wait_for(view.schema().as_str(), head.position, patience)
            .await
            .unwrap();
        let milliseconds = begun.elapsed().as_millis() as usize;
        let rate = |events: usize| events * 1_000 / milliseconds;
        println!(
            "{view}: {} events/s of the log, {}/s of its own",
            rate(history.rows.len()),
            rate(read)
        );
        subscriptions.close().await;
    }
    shop.close().await;
}
