//! Making the views and running them: at once, again, and over the same history twice.

use domain::{
    ids::PaymentId,
    inventory::{Inventory, InventoryCommand},
    order::{Order, OrderCommand, ShipLine},
};
use eventstore::testing::TestDatabase;
use projections::{
    View, migrate_views,
    orders::{OrderFilter, OrderSort, OrderView},
    page::{Direction, Limits, PageRequest, Sort},
    products::{ProductFilter, ProductSort, ProductView},
};
use uuid::Uuid;

use crate::shop::{Shop, customer, quantity, usd};

#[tokio::test]
async fn views_are_made_once_by_however_many_processes() {
    let database = TestDatabase::create().await;
    let log = database.open_log().await;
    let made = (0..6).map(|_| migrate_views(log.pool()));
    for result in futures::future::join_all(made).await {
        result.unwrap();
    }
    let pointers: Vec<(String, String)> =
        sqlx::query_as("select name, schema from view_pointers order by name")
            .fetch_all(log.pool())
            .await
            .unwrap();
    let mut expected = View::ALL.map(|view| (view.name().to_owned(), view.schema().to_string()));
    expected.sort();
    assert_eq!(pointers, expected);
    log.close().await;
    database.drop_database().await;
}

async fn rows(shop: &Shop) -> (Vec<OrderView>, Vec<ProductView>) {
    let direction = Direction::Asc;
    let by_age = Sort {
        key: OrderSort::CreatedAt,
        direction,
    };
    let page = PageRequest::new(Limits::STANDARD, by_age, None, None).unwrap();
    let orders = shop
        .models
        .orders(&OrderFilter::default(), &page)
        .await
        .unwrap()
        .items;
    let by_age = Sort {
        key: ProductSort::CreatedAt,
        direction,
    };
    let page = PageRequest::new(Limits::STANDARD, by_age, None, None).unwrap();
    let products = shop
        .models
        .products(&ProductFilter::default(), &page)
        .await
        .unwrap()
        .items;
    (orders, products)
}

#[tokio::test]
async fn taking_the_whole_history_again_changes_nothing() {
    let mut shop = Shop::open().await;
    let region_id = shop.region("United States", "USD").await;
    let product_id = shop.product(region_id, "A", usd(1_000)).await;
    shop.receive(product_id, 10).await;
    for _ in 0..3 {
        let order_id = shop.order(customer(), region_id, &[(product_id, 2)]).await;
        let reserve = InventoryCommand::ReserveStock {
            product_id,
            order_id,
            quantity: quantity(2),
        };
        shop.command::<Inventory>(product_id, reserve).await;
        let pay = OrderCommand::ConfirmPayment {
            payment_id: PaymentId::of(order_id),
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
        let lines = vec![ShipLine {
            line: 1,
            quantity: quantity(1),
        }];
        let hand_over = OrderCommand::ShipItems {
            shipment_id: domain::ids::ShipmentId(Uuid::now_v7()),
            lines,
        };
        shop.command::<Order>(order_id, hand_over).await;
    }
    shop.settle_all().await;
    let first = rows(&shop).await;
    assert_eq!(
        (
            first.0.len(),
            first.0[0].lines[0].shipped,
            first.1[0].stock.sold
        ),
        (3, 1, 6)
    );

    shop.subscriptions.close().await;
    sqlx::query(
        "update subscriptions set position = 0, event_id = '00000000-0000-0000-0000-000000000000'",
    )
    .execute(shop.log.pool())
    .await
    .unwrap();
    shop.restart().await;
    shop.settle_all().await;
    assert_eq!(rows(&shop).await, first);
    shop.close().await;
}
