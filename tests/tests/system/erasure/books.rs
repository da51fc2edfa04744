//! The shop's books: what must be the same before and after somebody was erased.

use domain::{aggregate::Decider, inventory::Inventory, order::Order, payment::Payment};
use eventstore::EventLog;
use serde_json::Value;
use tests::{
    answer::text_of,
    client::{Client, stock_of},
    shop::Shop,
};

/// What the shop's books say of these orders, their payments and the product: by the read models, and by the events of
/// the log from the first on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Books {
    orders: Vec<Value>,
    payments: Vec<Value>,
    pub(super) stock: Vec<i64>,
    log: Vec<Vec<i64>>,
}

impl Books {
    /// Reads them.
    pub(super) async fn read(
        shop: &Shop,
        admin: &Client,
        orders: &[String],
        product: &str,
    ) -> Self {
        let stock = format!("/api/v1/products/{product}/stock");
        let stock = stock_of(&admin.get(&stock).await.expect(200).json()).to_vec();
        let mut books = Self {
            orders: Vec::new(),
            payments: Vec::new(),
            stock,
            log: Vec::new(),
        };
        let log = shop.database().open_log().await;
        for order in orders {
            let mut told = admin.read_order(order).await;
            let payment_id = text_of(&told["payment_id"]);
            let path = format!("/api/v1/payments/{payment_id}");
            let payment = admin.get(&path).await.expect(200).json();
            let fields = told.as_object_mut().expect("an object");
            fields.retain(|field, _| {
                !["customer_name", "shipping_address"].contains(&field.as_str())
            });
            let order: Order = replayed(&log, order).await;
            let order = order.placed().expect("placed");
            let paid: Payment = replayed(&log, &payment_id).await;
            let paid = paid.started().expect("started");
            let captured = paid.captured().expect("captured").1.amount;
            let by_log = [
                order.total,
                order.tax,
                order.refunded,
                captured,
                paid.refunded(),
            ];
            let amount = |of: &Value| of["amount"].as_i64().expect("an amount");
            assert_eq!(
                by_log,
                [
                    amount(&told["order_total"]),
                    amount(&told["tax"]),
                    amount(&told["refunded"]),
                    amount(&payment["captured"]),
                    amount(&payment["refunded"]),
                ],
                "{told} {payment}"
            );
            books.orders.push(told);
            books.payments.push(payment);
            books.log.push(by_log.to_vec());
        }
        let inventory: Inventory = replayed(&log, product).await;
        let by_log = [
            inventory.available(),
            inventory.reserved(),
            inventory.sold(),
        ];
        assert_eq!(books.stock, by_log);
        books.log.push(by_log.to_vec());
        log.close().await;
        books
    }
}

/// An aggregate by all of its events, without a snapshot.
async fn replayed<A: Decider>(log: &EventLog, id: &str) -> A {
    let events = log.stream(A::TYPE, id, 0, 1_000).await.unwrap();
    let mut state = A::default();
    for event in &events {
        state.evolve(&event.decode::<A>().unwrap());
    }
    state
}
