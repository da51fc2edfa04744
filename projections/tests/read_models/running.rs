//! Making the views and running them: at once, again, and over the same history twice.

use domain::{
    ids::PaymentId,
    inventory::{Inventory, InventoryCommand},
    order::{Order, OrderCommand, ShipLine},
};
use eventstore::testing::TestDatabase;
use projections::{
    QueryError, ReadModels, View, migrate_views,
    orders::{OrderFilter, OrderSort, OrderView},
    page::{Direction, Limits, PageRequest, Sort},
    products::{ProductFilter, ProductSort, ProductView},
    promotion::{promote, promote_those_at},
    spawn_all,
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

#[tokio::test]
async fn a_view_of_a_new_version_is_asked_once_it_holds_what_the_log_held() {
    let shop = Shop::open_idle().await;
    let region_id = shop.region("United States", "USD").await;
    shop.product(region_id, "A", usd(1_000)).await;
    let held = shop.log.head().await.unwrap().position;
    point(&shop, View::Products, "products_v2_r1").await;
    point(&shop, View::Orders, "orders_v99").await;
    let asked = || async {
        // one that has not asked yet where queries go
        let models = ReadModels::new(shop.log.pool().clone());
        let by_age = Sort {
            key: ProductSort::CreatedAt,
            direction: Direction::Asc,
        };
        let page = PageRequest::new(Limits::STANDARD, by_age, None, None).unwrap();
        models.products(&ProductFilter::default(), &page).await
    };

    // nothing fills it yet
    let left = promote_those_at(&shop.log, held).await.unwrap();
    assert_eq!(left, [View::Products]);
    let refused = asked().await.unwrap_err();
    assert!(matches!(refused, QueryError::BeingBuilt(View::Products)));

    spawn_all(&shop.subscriptions).await;
    promote(shop.log.clone()).await;
    assert_eq!(asked().await.unwrap().items.len(), 1);
    let newer = shop.models.schema(View::Orders).await.unwrap();
    assert_eq!(newer.as_str(), "orders_v99", "left alone");
    shop.close().await;
}

async fn point(shop: &Shop, view: View, schema: &str) {
    sqlx::query("update view_pointers set schema = $2 where name = $1")
        .bind(view.name())
        .bind(schema)
        .execute(shop.log.pool())
        .await
        .unwrap();
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
