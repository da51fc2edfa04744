//! Poison parks its own key; what a newer binary wrote parks nothing.

use std::time::Duration;

use domain::{
    ids::{OrderId, PaymentId},
    order::{Order, OrderCommand, OrderStatus},
    text::Reason,
};
use eventstore::{
    subscription::{self, State},
    testing::eventually,
};
use projections::{View, views};
use uuid::Uuid;

use crate::shop::{Shop, customer, number, usd};

const DAMAGED: &str = r#"{"type":"OrderPlaced","order_id":"nonsense"}"#;

async fn parked(shop: &Shop) -> Vec<(String, String, i64)> {
    let keys = subscription::parked_keys(shop.log.pool()).await.unwrap();
    keys.into_iter()
        .map(|parked| (parked.subscription, parked.key, parked.events))
        .collect()
}

#[tokio::test]
async fn a_malformed_event_parks_its_order_and_the_rest_goes_on() {
    let shop = Shop::open().await;
    let region_id = shop.region("United States", "USD").await;
    let product_id = shop.product(region_id, "A", usd(1_000)).await;
    let damaged = OrderId(Uuid::now_v7());
    let before = shop.order(customer(), region_id, &[(product_id, 1)]).await;
    shop.insert_plain("order", damaged, 1, "OrderPlaced", DAMAGED)
        .await;
    let after = shop.order(customer(), region_id, &[(product_id, 1)]).await;
    shop.settle_all().await;
    // what comes later for the same order waits behind it
    shop.insert_plain(
        "order",
        damaged,
        2,
        "OrderDelivered",
        r#"{"type":"OrderDelivered"}"#,
    )
    .await;
    shop.settle_all().await;

    let key = damaged.to_string();
    let name = View::Orders.schema();
    assert_eq!(parked(&shop).await, [(name.to_string(), key.clone(), 2)]);
    for order_id in [before, after] {
        assert!(shop.models.order(order_id).await.unwrap().is_some());
        assert!(
            !shop
                .models
                .is_degraded(View::Orders, order_id)
                .await
                .unwrap()
        );
    }
    assert!(
        shop.models
            .is_degraded(View::Orders, damaged)
            .await
            .unwrap()
    );
    assert!(
        !shop
            .models
            .is_degraded(View::Timeline, damaged)
            .await
            .unwrap()
    );
    assert_eq!(shop.models.order(damaged).await.unwrap(), None);

    // still damaged: it stays parked, whole
    assert!(views::retry(&shop.log, View::Orders, &key).await.is_err());
    assert_eq!(parked(&shop).await, [(name.to_string(), key.clone(), 2)]);

    assert_eq!(
        subscription::discard(shop.log.pool(), name.as_str(), &key)
            .await
            .unwrap(),
        2
    );
    assert!(
        !shop
            .models
            .is_degraded(View::Orders, damaged)
            .await
            .unwrap()
    );
    // without a beginning there is no row, and its later events harm nobody
    shop.insert_plain(
        "order",
        damaged,
        3,
        "OrderDelivered",
        r#"{"type":"OrderDelivered"}"#,
    )
    .await;
    shop.settle_all().await;
    assert!(parked(&shop).await.is_empty());
    assert_eq!(shop.models.order(damaged).await.unwrap(), None);
    shop.close().await;
}

#[tokio::test]
async fn a_parked_order_is_retried_in_order_once_the_cause_is_gone() {
    let shop = Shop::open().await;
    let region_id = shop.region("United States", "USD").await;
    let product_id = shop.product(region_id, "A", usd(1_000)).await;
    let schema = View::Orders.schema();
    // a leftover in the view's own table is in the way
    let order_id = OrderId(Uuid::now_v7());
    let leftover = format!(
        "insert into {schema}.order_lines select $1, 1, $1, null, '', '', 1, 0, 0, 0, 0, 0"
    );
    sqlx::query(&leftover)
        .bind(order_id.0)
        .execute(shop.log.pool())
        .await
        .unwrap();
    let (region, _) = shop
        .log
        .load::<domain::region::Region>(region_id)
        .await
        .unwrap();
    let (product, _) = shop
        .log
        .load::<domain::product::Product>(product_id)
        .await
        .unwrap();
    let place = OrderCommand::PlaceOrder(domain::order::PlaceOrder {
        order_id,
        number: number(order_id),
        customer_id: customer(),
        customer_name: domain::sealed::Sealed::new("name"),
        shipping_address: domain::sealed::Sealed::new("address"),
        terms: region.terms().unwrap(),
        payment_method: domain::text::PaymentMethod::parse("test_succeeds").unwrap(),
        items: vec![product.priced(domain::text::Quantity::ONE).unwrap()],
        offers: vec![],
        payment_delay_ms: 0,
        payment_window_ms: 0,
    });
    shop.command::<Order>(order_id, place).await;
    let pay = OrderCommand::ConfirmPayment {
        payment_id: PaymentId::of(order_id),
        amount: usd(1_100),
    };
    shop.command::<Order>(order_id, pay).await;
    shop.settle(&[View::Orders]).await;
    assert_eq!(
        parked(&shop).await,
        [(schema.to_string(), order_id.to_string(), 2)]
    );

    let remove = format!("delete from {schema}.order_lines where order_id = $1");
    sqlx::query(&remove)
        .bind(order_id.0)
        .execute(shop.log.pool())
        .await
        .unwrap();
    assert_eq!(
        views::retry(&shop.log, View::Orders, &order_id.to_string())
            .await
            .unwrap(),
        2
    );
    assert!(parked(&shop).await.is_empty());
    let cancel = OrderCommand::CancelOrder {
        reason: Reason::parse("late").unwrap(),
        requested_by: None,
    };
    shop.command::<Order>(order_id, cancel).await;
    shop.settle(&[View::Orders]).await;
    let order = shop.models.order(order_id).await.unwrap().unwrap();
    assert_eq!(
        (order.status, order.paid, order.lines.len()),
        (OrderStatus::Cancelled, Some(1_100), 1)
    );
    shop.close().await;
}

#[tokio::test]
async fn an_event_of_a_newer_binary_hands_over_and_parks_nothing() {
    let shop = Shop::open().await;
    let region_id = shop.region("United States", "USD").await;
    let product_id = shop.product(region_id, "A", usd(1_000)).await;
    let order_id = shop.order(customer(), region_id, &[(product_id, 1)]).await;
    shop.settle_all().await;
    let head = shop.log.head().await.unwrap();
    shop.insert_plain(
        "order",
        order_id,
        2,
        "OrderTeleported",
        r#"{"type":"OrderTeleported"}"#,
    )
    .await;

    for view in [View::Orders, View::Timeline] {
        let name = view.schema();
        let state = eventually("it hands over", Duration::from_secs(20), async || {
            let statuses = shop.subscriptions.statuses();
            let status = statuses
                .into_iter()
                .find(|(known, _)| known == name.as_str())
                .map(|(_, status)| status);
            status.filter(|status| matches!(status.state, State::HandedOver(_)))
        });
        assert_eq!(state.await.head, head, "it did not go past the event");
    }
    // the views that do not read it go on
    shop.settle(&[View::Regions, View::Products, View::Payments])
        .await;
    assert!(parked(&shop).await.is_empty());
    assert!(shop.models.order(order_id).await.unwrap().is_some());
    shop.close().await;
}

#[tokio::test]
async fn a_stream_that_is_not_named_by_a_uuid_is_parked_under_its_own_name() {
    let shop = Shop::open().await;
    shop.insert_plain(
        "order",
        "legacy-7",
        1,
        "OrderDelivered",
        r#"{"type":"OrderDelivered"}"#,
    )
    .await;
    shop.settle_all().await;
    let keys = parked(&shop).await;
    let orders = (View::Orders.schema().to_string(), "legacy-7".to_owned(), 1);
    let timeline = (
        View::Timeline.schema().to_string(),
        "order/legacy-7".to_owned(),
        1,
    );
    assert!(
        keys.contains(&orders) && keys.contains(&timeline) && keys.len() == 2,
        "{keys:?}"
    );
    shop.close().await;
}
