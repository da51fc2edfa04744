//! Many orders in one unit of work: all or none, and the one at fault is named.

use commands::{
    Failure, Manager, Shortage,
    orders::{ChangeOrder, MAX_BULK_ITEMS, NewOrder, OrderItem},
    payment_methods::DEFAULT,
};
use domain::{
    ids::{OrderId, ProductId},
    order::OrderStatus,
    product::ProductError,
    text::Quantity,
};
use uuid::Uuid;

use crate::{
    discounts::{give, percent, used},
    sellers::{open, product_of, someone},
    shop::{PRICE, in_shop, new_order, request, settings},
};

fn element(index: usize, reason: Failure) -> Failure {
    Failure::Element {
        index,
        reason: Box::new(reason),
    }
}

fn orders(product: ProductId, pieces: &[u64]) -> Vec<NewOrder> {
    let order = |pieces: &u64| new_order(&[(product, *pieces)], DEFAULT);
    pieces.iter().map(order).collect()
}

#[tokio::test]
async fn orders_placed_together_find_what_those_before_them_left_or_none_is_placed() {
    in_shop(settings(), |shop| async move {
        let product = shop.product(5).await;
        let before = shop.head().await;
        let refused = shop
            .commands
            .place_orders(request(), orders(product, &[1, 3, 2]));
        let short = Failure::InsufficientStock {
            shortages: vec![Shortage {
                product_id: product,
                requested: Quantity::parse(2).unwrap(),
                available: 1,
            }],
        };
        assert_eq!(refused.await.unwrap_err(), element(2, short));
        assert_eq!(shop.head().await, before);
        assert_eq!(shop.stock(product).await.reserved, 0);

        let together = orders(product, &[1, 3, 1]);
        let ids: Vec<OrderId> = together.iter().map(|order| order.order_id).collect();
        let placed = shop
            .commands
            .place_orders(request(), together)
            .await
            .unwrap();
        let told = placed.output.iter().map(|order| order.state.order_id);
        assert!(told.eq(ids.iter().copied()), "in the order of the request");
        let stock = shop.stock(product).await;
        assert_eq!((stock.available, stock.reserved), (0, 5));
        for id in ids {
            assert_eq!(shop.order(id).await.status, OrderStatus::Pending);
        }
    })
    .await;
}

#[tokio::test]
async fn an_order_that_cannot_be_placed_is_named_and_none_is() {
    in_shop(settings(), |shop| async move {
        let product = shop.product(5).await;
        let before = shop.head().await;
        let unknown = ProductId(Uuid::now_v7());
        let mut together = orders(product, &[1]);
        together.extend(orders(unknown, &[1]));
        let refused = shop.commands.place_orders(request(), together).await;
        let not_there = Failure::NotOnSale {
            product_id: unknown,
            reason: ProductError::NotFound,
        };
        assert_eq!(refused.unwrap_err(), element(1, not_there));
        // found before anything is decided
        let mut together = orders(product, &[1, 1]);
        together[1].items.clear();
        let refused = shop.commands.place_orders(request(), together).await;
        assert!(
            matches!(refused.unwrap_err(), Failure::Element { index: 1, .. }),
            "an order without items"
        );
        let mut together = orders(product, &[1]);
        together[0].items = vec![together[0].items[0]; MAX_BULK_ITEMS + 1];
        let refused = shop.commands.place_orders(request(), together).await;
        assert!(matches!(refused.unwrap_err(), Failure::Unacceptable(_)));
        assert_eq!(shop.head().await, before);
    })
    .await;
}

#[tokio::test]
async fn a_process_that_has_seen_nothing_of_them_places_orders_over_many_shops() {
    in_shop(settings(), |shop| async move {
        let mut together = Vec::new();
        for _ in 0..20 {
            let product = product_of(open(&shop, someone()).await, shop.region_id);
            together.extend(orders(product.product_id, &[2]));
            let created = shop
                .commands
                .create_product(request(), Manager::Market, product);
            created.await.unwrap();
        }
        let other = shop.another_process(settings()).await;
        let placed = other.place_orders(request(), together).await.unwrap();
        assert_eq!(placed.output.len(), 20);
        other.log().close().await;
    })
    .await;
}

#[tokio::test]
async fn as_many_items_as_one_unit_takes_are_placed_at_once() {
    in_shop(settings(), |shop| async move {
        let mut products = Vec::new();
        for _ in 0..100 {
            products.push((shop.product(10).await, 1));
        }
        let together: Vec<NewOrder> = (0..MAX_BULK_ITEMS / products.len())
            .map(|_| new_order(&products, DEFAULT))
            .collect();
        let count = together.len();
        let placed = shop
            .commands
            .place_orders(request(), together)
            .await
            .unwrap();
        assert_eq!(placed.output.len(), count);
        for (product, _) in products {
            assert_eq!(shop.stock(product).await.available, 0);
        }
    })
    .await;
}

/// What each lacks is asked for in one pass over all of them, and what one order costs does not grow with those before it:
/// otherwise this takes minutes.
#[tokio::test]
async fn a_thousand_orders_of_as_many_customers_are_placed_at_once_with_discounts_of_which_nothing_is_in_memory()
 {
    in_shop(settings(), |shop| async move {
        let product = shop.product(1_000).await;
        let mut discounts = Vec::new();
        for _ in 0..10 {
            discounts.push(give(&shop, None, percent(1_000)).await);
        }
        let other = shop.another_process(settings()).await;
        let together = orders(product, &[1; MAX_BULK_ITEMS]);
        let placed = other.place_orders(request(), together).await.unwrap();
        assert_eq!(placed.output.len(), MAX_BULK_ITEMS);
        let discounted = placed.output.iter().map(|order| order.state.discount);
        assert_eq!(discounted.sum::<i64>(), MAX_BULK_ITEMS as i64 * PRICE / 10);
        // no line is discounted twice, and of equals the first is given
        assert_eq!(used(&shop, discounts[0]).await, MAX_BULK_ITEMS as u64);
        assert_eq!(used(&shop, discounts[9]).await, 0);
        other.log().close().await;
    })
    .await;
}

/// That much of one product, and nothing else.
fn only(order_id: OrderId, product_id: ProductId, pieces: u64) -> ChangeOrder {
    let quantity = Quantity::parse(pieces).unwrap();
    ChangeOrder {
        order_id,
        customer_name: None,
        shipping_address: None,
        items: Some(vec![OrderItem {
            product_id,
            quantity,
        }]),
        expected_total: None,
        only_of: None,
    }
}

#[tokio::test]
async fn items_of_many_orders_are_changed_together_and_one_finds_what_another_gave_back() {
    in_shop(settings(), |shop| async move {
        let product = shop.product(5).await;
        let first = shop.placed(&[(product, 4)], DEFAULT).await;
        let second = shop.placed(&[(product, 1)], DEFAULT).await;
        let before = shop.head().await;
        // in this order: the second finds nothing yet
        let wrong = vec![
            (only(second, product, 4), None),
            (only(first, product, 1), None),
        ];
        let refused = shop.commands.change_orders(request(), wrong).await;
        let short = Failure::InsufficientStock {
            shortages: vec![Shortage {
                product_id: product,
                requested: Quantity::parse(4).unwrap(),
                available: 1,
            }],
        };
        assert_eq!(refused.unwrap_err(), element(0, short));
        let mut dear = only(second, product, 4);
        dear.expected_total = Some(1);
        let dear = vec![(only(first, product, 1), None), (dear, None)];
        let refused = shop.commands.change_orders(request(), dear).await;
        let Err(Failure::Element { index: 1, reason }) = refused else {
            panic!("{refused:?}");
        };
        assert!(matches!(*reason, Failure::PriceChanged { .. }), "{reason}");
        let mut many = only(first, product, 1);
        many.items = many.items.map(|items| vec![items[0]; MAX_BULK_ITEMS]);
        let many = vec![(many, None), (only(second, product, 1), None)];
        let refused = shop.commands.change_orders(request(), many).await;
        assert!(matches!(refused.unwrap_err(), Failure::Unacceptable(_)));
        assert_eq!(shop.head().await, before);

        let right = vec![
            (only(first, product, 1), Some(1)),
            (only(second, product, 4), None),
        ];
        let changed = shop.commands.change_orders(request(), right).await.unwrap();
        let totals = changed.output.iter().map(|order| order.state.subtotal);
        assert!(totals.eq([PRICE, 4 * PRICE]));
        let stock = shop.stock(product).await;
        assert_eq!((stock.available, stock.reserved), (0, 5));
    })
    .await;
}

/// What they hold and use until now is not known before they are loaded; what each lacks is asked for at once all the same.
#[tokio::test]
async fn a_process_that_has_seen_nothing_of_them_changes_many_orders() {
    in_shop(settings(), |shop| async move {
        let discount = give(&shop, None, percent(1_000)).await;
        let cheap = shop.product(1_000).await;
        let mut wished = Vec::new();
        for _ in 0..60 {
            let product = shop.product(5).await;
            let order = shop.placed(&[(product, 3)], DEFAULT).await;
            wished.push((only(order, cheap, 2), None));
        }
        let other = shop.another_process(settings()).await;
        let changed = other.change_orders(request(), wished).await.unwrap();
        assert_eq!(changed.output.len(), 60);
        assert_eq!(shop.stock(cheap).await.reserved, 120);
        assert_eq!(used(&shop, discount).await, 60);
        other.log().close().await;
    })
    .await;
}

#[tokio::test]
async fn orders_are_changed_together_or_none_is() {
    in_shop(settings(), |shop| async move {
        let product = shop.product(5).await;
        let mut ids = Vec::new();
        for _ in 0..3 {
            ids.push(shop.placed(&[(product, 1)], DEFAULT).await);
        }
        let to = |order_id: OrderId, address: &str| ChangeOrder {
            order_id,
            customer_name: None,
            shipping_address: Some(address.into()),
            items: None,
            expected_total: None,
            only_of: None,
        };
        let before = shop.head().await;
        let stale = vec![
            (to(ids[0], "1 Long Street"), None),
            (to(ids[1], "2 Long Street"), Some(7)),
        ];
        let refused = shop.commands.change_orders(request(), stale).await;
        let current = 1;
        let moved = Failure::PreconditionFailed { current };
        assert_eq!(refused.unwrap_err(), element(1, moved));
        let unknown = vec![(to(OrderId(Uuid::now_v7()), "3 Long Street"), None)];
        let refused = shop.commands.change_orders(request(), unknown).await;
        let not_there = Failure::NotFound { what: "order" };
        assert_eq!(refused.unwrap_err(), element(0, not_there));
        assert_eq!(shop.head().await, before);

        let all = ids.iter().map(|id| (to(*id, "4 Long Street"), Some(1)));
        let changed = shop
            .commands
            .change_orders(request(), all.collect())
            .await
            .unwrap();
        assert_eq!((changed.output.len(), changed.appended), (3, 3));
        assert!(changed.output.iter().all(|order| order.sequence == 2));
    })
    .await;
}
