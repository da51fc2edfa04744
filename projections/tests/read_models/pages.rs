//! Lists page by page.

use projections::{
    QueryError, View,
    orders::{OrderFilter, OrderSort},
    page::{Direction, Limits, Page, PageError, PageRequest, Sort},
    products::{ProductFilter, ProductSort},
    regions::{RegionFilter, RegionSort},
};

use crate::shop::{Shop, customer, usd};

/// Every row that was there at the beginning comes exactly once, whatever is inserted between two pages; each page is
/// in order.
#[tokio::test]
async fn pages_are_stable_while_rows_are_inserted() {
    let shop = Shop::open().await;
    let region_id = shop.region("United States", "USD").await;
    for direction in [Direction::Asc, Direction::Desc] {
        for key in [
            ProductSort::CreatedAt,
            ProductSort::Price,
            ProductSort::Title,
        ] {
            let run = format!(
                "{}{}",
                ProductSort::Price as u8,
                uuid::Uuid::now_v7().simple()
            );
            // pairs of equal prices, so that the id decides
            for n in 0..7 {
                shop.product(region_id, &format!("{run}-{n}"), usd(n / 2 * 100))
                    .await;
            }
            shop.settle(&[View::Products]).await;
            let before = walk(&shop, key, direction, async || {}).await;
            let added = std::sync::atomic::AtomicI64::new(0);
            let during = walk(&shop, key, direction, async || {
                let n = added.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                shop.product(region_id, &format!("{run}-new-{n}"), usd(n * 70))
                    .await;
                shop.settle(&[View::Products]).await;
            })
            .await;
            let kept: Vec<_> = during.iter().filter(|sku| before.contains(*sku)).collect();
            assert_eq!(
                kept,
                before.iter().collect::<Vec<_>>(),
                "{key:?} {direction:?}"
            );
        }
    }
    shop.close().await;
}

/// The skus of all pages of three.
async fn walk(
    shop: &Shop,
    key: ProductSort,
    direction: Direction,
    between: impl AsyncFn(),
) -> Vec<String> {
    let sort = Sort { key, direction };
    let (mut skus, mut cursor) = (vec![], None);
    for _ in 0..1_000 {
        let request = PageRequest::new(Limits::STANDARD, sort, Some(3), cursor.as_deref()).unwrap();
        let Page { items, next } = shop
            .models
            .products(&ProductFilter::default(), &request)
            .await
            .unwrap();
        skus.extend(items.into_iter().map(|product| product.sku));
        // rows inserted ahead of an ascending walk would make it endless
        if next.is_none() || skus.len() > 500 {
            break;
        }
        cursor = next;
        if skus.len() < 15 {
            between().await;
        }
    }
    skus
}

#[tokio::test]
async fn a_cursor_of_another_list_is_refused_before_the_database_is_asked() {
    let shop = Shop::open().await;
    let region_id = shop.region("United States", "USD").await;
    let product_id = shop.product(region_id, "A", usd(100)).await;
    for _ in 0..2 {
        shop.order(customer(), region_id, &[(product_id, 1)]).await;
    }
    shop.settle(&[View::Orders]).await;
    let sort = |key, direction| Sort { key, direction };
    let newest = sort(OrderSort::CreatedAt, Direction::Desc);
    let request = PageRequest::new(Limits::STANDARD, newest, Some(1), None).unwrap();
    let page = shop
        .models
        .orders(&OrderFilter::default(), &request)
        .await
        .unwrap();
    let cursor = page.next.unwrap();
    for other in [
        sort(OrderSort::Total, Direction::Desc),
        sort(OrderSort::CreatedAt, Direction::Asc),
    ] {
        let refused = PageRequest::new(Limits::STANDARD, other, Some(1), Some(&cursor));
        assert_eq!(refused, Err(PageError::InvalidCursor));
    }
    let request = PageRequest::new(Limits::STANDARD, newest, Some(1), Some(&cursor)).unwrap();
    let last = shop
        .models
        .orders(&OrderFilter::default(), &request)
        .await
        .unwrap();
    assert_eq!((last.items.len(), last.next), (1, None));
    assert_ne!(last.items[0].order_id, page.items[0].order_id);
    shop.close().await;
}

#[tokio::test]
async fn without_views_a_query_says_so() {
    let database = eventstore::testing::TestDatabase::create().await;
    let log = database.open_log().await;
    let models = projections::ReadModels::new(log.pool().clone());
    let by_title = Sort {
        key: RegionSort::Title,
        direction: Direction::Asc,
    };
    let first = PageRequest::new(Limits::STANDARD, by_title, None, None).unwrap();
    assert!(matches!(
        models.regions(&RegionFilter::default(), &first).await,
        Err(QueryError::Missing(View::Regions))
    ));
    projections::migrate_views(log.pool()).await.unwrap();
    let none = models.regions(&RegionFilter::default(), &first).await;
    assert!(none.unwrap().items.is_empty());
    log.close().await;
    database.drop_database().await;
}
