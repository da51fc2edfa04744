//! The timeline of an order.

use domain::{
    ids::{OrderId, PaymentId, UserId},
    inventory::{Inventory, InventoryCommand},
    order::{Order, OrderCommand},
    payment::{Payment, PaymentCommand, StartPayment},
    text::PaymentMethod,
};
use projections::{
    View,
    page::{Direction, Limits, PageRequest, Sort},
    timeline::{TimelineEntry, TimelineSort},
};

use crate::shop::{Shop, customer, quantity, usd};

fn page(limit: u32, cursor: Option<&str>) -> PageRequest<TimelineSort> {
    let sort = Sort {
        key: TimelineSort::Position,
        direction: Direction::Asc,
    };
    PageRequest::new(Limits::STANDARD, sort, Some(limit), cursor).unwrap()
}

async fn story(shop: &Shop, order_id: OrderId) -> Vec<TimelineEntry> {
    shop.models
        .timeline(order_id, &page(200, None))
        .await
        .unwrap()
        .items
}

fn names(entries: &[TimelineEntry]) -> Vec<&str> {
    entries
        .iter()
        .map(|entry| entry.event_type.as_str())
        .collect()
}

#[tokio::test]
async fn a_timeline_tells_all_that_happened_to_an_order_with_its_cause() {
    let shop = Shop::open().await;
    let region_id = shop.region("United States", "USD").await;
    let product_id = shop.product(region_id, "A", usd(1_000)).await;
    shop.receive(product_id, 10).await;
    let customer_id = customer();
    let order_id = shop.order(customer_id, region_id, &[(product_id, 2)]).await;
    let other = shop.order(customer_id, region_id, &[(product_id, 1)]).await;
    for (order_id, pieces) in [(order_id, 2), (other, 1)] {
        let reserve = InventoryCommand::ReserveStock {
            product_id,
            order_id,
            quantity: quantity(pieces),
        };
        shop.command::<Inventory>(product_id, reserve).await;
    }
    let start = StartPayment {
        payment_id: PaymentId::of(order_id),
        order_id,
        customer_id,
        amount: usd(2_200),
        method: PaymentMethod::parse("test_succeeds").unwrap(),
        attempt: 1,
        deadline_ms: 0,
    };
    shop.command::<Payment>(
        start.payment_id,
        PaymentCommand::StartPayment(start.clone()),
    )
    .await;
    let pay = OrderCommand::ConfirmPayment {
        payment_id: start.payment_id,
        amount: usd(2_200),
    };
    shop.command::<Order>(order_id, pay).await;
    shop.command::<Inventory>(
        product_id,
        InventoryCommand::SellStock {
            product_id,
            order_id,
        },
    )
    .await;
    shop.settle(&[View::Timeline]).await;

    let entries = story(&shop, order_id).await;
    assert_eq!(
        names(&entries),
        [
            "OrderPlaced",
            "StockReserved",
            "PaymentStarted",
            "OrderPaid",
            "StockSold"
        ]
    );
    assert!(entries.is_sorted_by_key(|entry| entry.position));
    for entry in &entries {
        let stored = shop.log.event_at(entry.position).await.unwrap().unwrap();
        assert_eq!(
            (entry.event_id, entry.recorded_at),
            (stored.event_id, stored.recorded_at)
        );
        assert_eq!(
            (&*entry.aggregate_type, entry.sequence),
            (&*stored.aggregate_type, stored.sequence)
        );
        assert_eq!(entry.payload.get(), &*stored.payload);
        let cause = [
            &entry.actor,
            &entry.command,
            &entry.causation_id,
            &entry.correlation_id,
        ];
        assert_eq!(
            cause.map(|value| value.as_deref().unwrap()),
            ["user:test", "Test", "request", "correlation"]
        );
    }
    assert!(
        entries[0].payload.get().contains("sealed name"),
        "sealed fields are carried as they are"
    );

    let mut cursor = None;
    let mut paged = vec![];
    loop {
        let part = shop
            .models
            .timeline(order_id, &page(2, cursor.as_deref()))
            .await
            .unwrap();
        assert!(part.items.len() <= 2);
        paged.extend(part.items);
        cursor = part.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(names(&paged), names(&entries));
    assert_eq!(
        names(&story(&shop, other).await),
        ["OrderPlaced", "StockReserved"]
    );
    assert!(
        story(&shop, OrderId(UserId::from(uuid::Uuid::now_v7()).0))
            .await
            .is_empty()
    );
    shop.close().await;
}

#[tokio::test]
async fn an_event_that_no_view_can_read_still_shows_up() {
    let shop = Shop::open().await;
    let order_id = OrderId(uuid::Uuid::now_v7());
    shop.insert_plain(
        "order",
        order_id,
        1,
        "OrderPlaced",
        r#"{"type":"OrderPlaced","damaged":true}"#,
    )
    .await;
    shop.settle(&[View::Timeline]).await;
    let entries = story(&shop, order_id).await;
    assert_eq!(names(&entries), ["OrderPlaced"]);
    assert_eq!((&entries[0].actor, &entries[0].command), (&None, &None));
    shop.close().await;
}
