//! Orders as one shop sees them: its lines and no others, whatever is bought instead.

use domain::{
    ids::{OrderId, ProductId, ShopId},
    order::{Order, OrderCommand, OrderStatus},
};
use projections::{
    View,
    orders::{OrderView, ShopOrderFilter, ShopOrderSort},
    page::{Direction, Limits, Page, PageRequest, Sort},
};

use crate::shop::{Shop, customer, usd};

async fn list(
    shop: &Shop,
    filter: &ShopOrderFilter,
    limit: u32,
    cursor: Option<&str>,
) -> Page<OrderView> {
    let newest = Sort {
        key: ShopOrderSort::CreatedAt,
        direction: Direction::Desc,
    };
    let page = PageRequest::new(Limits::STANDARD, newest, Some(limit), cursor).unwrap();
    shop.models.shop_orders(filter, &page).await.unwrap()
}

async fn ids(shop: &Shop, filter: &ShopOrderFilter) -> Vec<OrderId> {
    let page = list(shop, filter, 50, None).await;
    page.items.iter().map(|order| order.order_id).collect()
}

/// The products of the lines that a shop is shown of an order.
async fn shown(shop: &Shop, shop_id: ShopId, order_id: OrderId) -> Option<Vec<ProductId>> {
    let order = shop.models.shop_order(shop_id, order_id).await.unwrap()?;
    Some(order.lines.iter().map(|line| line.product_id).collect())
}

#[tokio::test]
async fn a_shop_is_shown_its_lines_of_its_orders_and_nothing_else() {
    let shop = Shop::open().await;
    let region = shop.region("United States", "USD").await;
    let (hats, coats) = (
        shop.wanted_shop(customer(), "Hats").await,
        shop.wanted_shop(customer(), "Coats").await,
    );
    let hat = shop.product_of(Some(hats), region, "HAT", usd(100)).await;
    let cap = shop.product_of(Some(hats), region, "CAP", usd(200)).await;
    let coat = shop.product_of(Some(coats), region, "COAT", usd(300)).await;
    let cup = shop.product(region, "CUP", usd(400)).await;
    let both = shop
        .order(
            customer(),
            region,
            &[(hat, 1), (coat, 1), (cap, 2), (cup, 1)],
        )
        .await;
    let of_coats = shop.order(customer(), region, &[(coat, 1)]).await;
    let market_s = shop.order(customer(), region, &[(cup, 1)]).await;
    let gone = shop.order(customer(), region, &[(hat, 1)]).await;
    let hide = OrderCommand::HideOrder {
        reason: domain::text::Reason::lossy("deleted"),
        requested_by: None,
    };
    shop.command::<Order>(gone, hide).await;
    shop.settle(&[View::Orders]).await;

    let of_hats = ShopOrderFilter::of(hats);
    assert_eq!(
        ids(&shop, &of_hats).await,
        [gone, both],
        "also what was deleted"
    );
    assert_eq!(
        ids(&shop, &ShopOrderFilter::of(coats)).await,
        [of_coats, both]
    );
    assert_eq!(shown(&shop, hats, both).await, Some(vec![hat, cap]));
    assert_eq!(shown(&shop, coats, both).await, Some(vec![coat]));
    for order_id in [of_coats, market_s] {
        assert_eq!(shown(&shop, hats, order_id).await, None);
    }
    let cancelled = ShopOrderFilter {
        status: Some(OrderStatus::Cancelled),
        ..of_hats.clone()
    };
    assert_eq!(ids(&shop, &cancelled).await, [gone]);
    let first = list(&shop, &of_hats, 1, None).await;
    let second = list(&shop, &of_hats, 1, first.next.as_deref()).await;
    assert_eq!(
        (
            first.items[0].order_id,
            second.items[0].order_id,
            second.next
        ),
        (gone, both, None)
    );

    // something else is bought instead, of one shop less and in other lines
    let items = shop.priced(&[(cup, 1), (cap, 1)]).await;
    shop.command::<Order>(
        both,
        OrderCommand::ChangeItems {
            items,
            offers: vec![],
        },
    )
    .await;
    shop.settle(&[View::Orders]).await;
    assert_eq!(shown(&shop, hats, both).await, Some(vec![cap]));
    assert_eq!(shown(&shop, coats, both).await, None);
    assert_eq!(ids(&shop, &ShopOrderFilter::of(coats)).await, [of_coats]);

    let mut found: Vec<OrderId> = shop
        .models
        .orders_by_id(&[both, gone, OrderId(region.0)])
        .await
        .unwrap()
        .iter()
        .map(|order| order.order_id)
        .collect();
    found.sort_unstable();
    assert_eq!(found, [both, gone], "those that there are");
    shop.close().await;
}
