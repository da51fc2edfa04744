//! Orders: rows move as the aggregate does.

use domain::{
    ids::{OrderId, PaymentId, RefundId, ShipmentId, ShopId},
    money::Money,
    order::{ContactChange, Order, OrderCommand, OrderStatus, PaymentStatus, ShipLine},
    sealed::Sealed,
    text::Reason,
};
use projections::{
    ReadModels, View,
    orders::{OrderFilter, OrderSort, OrderView},
    page::{Direction, Limits, PageRequest, Sort, Span},
    rebuild::{Settings, rebuild},
};
use uuid::Uuid;

use crate::shop::{Shop, customer, number, quantity, tenth_off, usd};

fn reason() -> Reason {
    Reason::parse("changed my mind").unwrap()
}

fn start(order_id: OrderId, attempt: u32) -> OrderCommand {
    OrderCommand::StartPayment {
        payment_id: PaymentId::of(order_id),
        attempt,
    }
}

fn pay(order_id: OrderId, amount: Money) -> OrderCommand {
    OrderCommand::ConfirmPayment {
        payment_id: PaymentId::of(order_id),
        amount,
    }
}

fn decline(order_id: OrderId, attempt: u32, last: bool) -> OrderCommand {
    OrderCommand::DeclinePayment {
        payment_id: PaymentId::of(order_id),
        attempt,
        reason: reason(),
        last,
    }
}

fn cancel() -> OrderCommand {
    OrderCommand::CancelOrder {
        reason: reason(),
        requested_by: None,
    }
}

fn ship(shipment: u128, lines: &[(u32, u64)]) -> OrderCommand {
    let lines = lines.iter().map(|(line, pieces)| ShipLine {
        line: *line,
        quantity: quantity(*pieces),
    });
    OrderCommand::ShipItems {
        shipment_id: ShipmentId(Uuid::from_u128(shipment)),
        lines: lines.collect(),
    }
}

fn refund(order_id: OrderId, name: &str, amount: Money) -> OrderCommand {
    OrderCommand::RecordRefund {
        refund_id: RefundId::of(order_id, name),
        amount,
    }
}

/// The row says what the aggregate says.
async fn check(shop: &Shop, order_id: OrderId) -> OrderView {
    let row = shop.models.order(order_id).await.unwrap().unwrap();
    let (order, sequence) = shop.log.load::<Order>(order_id).await.unwrap();
    let order = order.placed().unwrap();
    assert_eq!(
        (row.status, row.payment_status),
        (order.status, order.payment_status)
    );
    assert_eq!(
        (row.payment_id, row.paid, row.refunded),
        (order.payment_id, order.paid, order.refunded)
    );
    let asked = order.cancellation.is_some() && order.status == OrderStatus::Pending;
    assert_eq!(row.cancellation_requested, asked);
    assert_eq!(row.paid_at.is_some(), order.paid.is_some());
    assert_eq!(row.deleted, order.hidden);
    assert_eq!(row.sequence, sequence);
    assert_eq!(
        (row.subtotal, row.discount, row.tax, row.total),
        (order.subtotal, order.discount, order.tax, order.total)
    );
    assert_eq!(
        (row.customer_id, row.region_id, row.currency),
        (
            order.customer_id,
            order.terms.region_id,
            order.terms.currency
        )
    );
    assert_eq!(
        (&row.customer_name, &row.shipping_address),
        (&order.customer_name, &order.shipping_address)
    );
    assert_eq!(
        (row.number, &row.discounts),
        (order.number, &order.discounts)
    );
    assert_eq!(row.lines.len(), order.lines.len());
    for (line, expected) in row.lines.iter().zip(&order.lines) {
        assert_eq!(
            (line.line, line.product_id, line.shop_id),
            (expected.line, expected.product_id, expected.shop_id)
        );
        assert_eq!(
            (line.sku.as_str(), line.title.as_str()),
            (expected.sku.as_str(), expected.title.as_str())
        );
        assert_eq!(line.discount_id, expected.discount_id);
        assert_eq!(line.quantity, i64::from(expected.quantity));
        assert_eq!(line.shipped, i64::from(order.shipped_of(expected.line)));
        let amounts = (
            line.unit_price,
            line.discount,
            line.net,
            line.tax,
            line.gross,
        );
        assert_eq!(
            amounts,
            (
                expected.unit_price,
                expected.discount,
                expected.net,
                expected.tax,
                expected.gross
            )
        );
    }
    row
}

/// Every path through the table of moves, each in two ways: followed event by event, and taken in one batch.
#[tokio::test]
async fn an_order_moves_as_its_aggregate_does() {
    let mut shop = Shop::open().await;
    let region_id = shop.region("United States", "USD").await;
    let products = [
        shop.product(region_id, "A", usd(1_000)).await,
        shop.product(region_id, "B", usd(333)).await,
    ];
    let total = usd(4_400 / 2 + 1_099);
    let histories: Vec<fn(OrderId, Money) -> Vec<OrderCommand>> = vec![
        |id, total| {
            vec![
                start(id, 1),
                pay(id, total),
                ship(1, &[(1, 1)]),
                ship(2, &[(1, 1), (2, 3)]),
                OrderCommand::DeliverOrder,
            ]
        },
        |id, total| {
            vec![
                start(id, 1),
                decline(id, 1, false),
                start(id, 2),
                pay(id, total),
                refund(id, "a", usd(100)),
            ]
        },
        |id, _| vec![start(id, 1), decline(id, 1, true)],
        |_, _| vec![cancel()],
        |id, total| {
            vec![
                start(id, 1),
                cancel(),
                pay(id, total),
                refund(id, "a", total),
            ]
        },
        |id, _| {
            vec![
                start(id, 1),
                cancel(),
                OrderCommand::GiveUpPayment { reason: reason() },
            ]
        },
        |id, total| {
            vec![
                start(id, 1),
                pay(id, total),
                cancel(),
                refund(id, "cancelled", total),
            ]
        },
        |id, total| {
            vec![
                start(id, 1),
                pay(id, total),
                ship(1, &[(2, 2)]),
                cancel(),
                OrderCommand::DeliverOrder,
            ]
        },
        |id, total| vec![cancel(), pay(id, total), refund(id, "late", total)],
        |id, total| {
            vec![
                start(id, 1),
                pay(id, total),
                refund(id, "a", usd(1)),
                refund(id, "b", usd(2)),
            ]
        },
    ];
    let mut placed = vec![];
    for history in &histories {
        let order_id = shop
            .order(customer(), region_id, &[(products[0], 2), (products[1], 3)])
            .await;
        placed.push(order_id);
        for command in history(order_id, total) {
            shop.command::<Order>(order_id, command).await;
            shop.settle(&[View::Orders]).await;
            check(&shop, order_id).await;
        }
    }
    // while nobody follows
    shop.subscriptions.close().await;
    for history in &histories {
        let order_id = shop
            .order(customer(), region_id, &[(products[0], 2), (products[1], 3)])
            .await;
        placed.push(order_id);
        for command in history(order_id, total) {
            shop.command::<Order>(order_id, command).await;
        }
    }
    shop.restart().await;
    shop.settle(&[View::Orders]).await;
    for order_id in placed {
        check(&shop, order_id).await;
    }
    shop.close().await;
}

fn contact(name: Option<&str>, address: Option<&str>) -> OrderCommand {
    OrderCommand::ChangeContact(ContactChange {
        customer_name: name.map(Sealed::new),
        shipping_address: address.map(Sealed::new),
    })
}

fn hide() -> OrderCommand {
    OrderCommand::HideOrder {
        reason: reason(),
        requested_by: None,
    }
}

/// Whose goods an order holds, as the view knows it.
async fn shops_of(shop: &Shop, order_id: OrderId) -> Vec<Uuid> {
    let sql = format!(
        "select shop_id from {}.order_shops where order_id = $1 order by shop_id",
        View::Orders.schema()
    );
    sqlx::query_scalar(&sql)
        .bind(order_id.0)
        .fetch_all(shop.log.pool())
        .await
        .unwrap()
}

#[tokio::test]
async fn what_is_changed_of_an_order_replaces_what_was_there() {
    let mut shop = Shop::open().await;
    let region_id = shop.region("United States", "USD").await;
    let [hats, coats] = [1, 2].map(|n| ShopId(Uuid::from_u128(n)));
    let hat = shop
        .product_of(Some(hats), region_id, "A", usd(1_000))
        .await;
    let coat = shop.product_of(Some(coats), region_id, "B", usd(333)).await;
    let plain = shop.product(region_id, "C", usd(50)).await;
    let changes = [
        (vec![(coat, 1)], vec![coats.0]),
        (vec![(plain, 2), (hat, 1), (coat, 1)], vec![hats.0, coats.0]),
        (vec![(plain, 2)], vec![]),
    ];
    // event by event, then all of it in one batch
    for followed in [true, false] {
        if !followed {
            shop.subscriptions.close().await;
        }
        let bought = [(hat, 2), (plain, 3)];
        let order_id = shop
            .order_with(customer(), region_id, &bought, vec![tenth_off(1)])
            .await;
        if followed {
            shop.settle(&[View::Orders]).await;
            let row = check(&shop, order_id).await;
            assert_eq!((row.discounts.len(), row.discount), (1, 215));
        }
        for (items, shops) in &changes {
            let items = shop.priced(items).await;
            let offers = if shops.len() > 1 {
                vec![tenth_off(1), tenth_off(2)]
            } else {
                vec![]
            };
            let commands = [
                OrderCommand::ChangeItems { items, offers },
                contact(Some(&format!("name {}", shops.len())), None),
            ];
            for command in commands {
                shop.command::<Order>(order_id, command).await;
            }
            if followed {
                shop.settle(&[View::Orders]).await;
                check(&shop, order_id).await;
                assert_eq!(shops_of(&shop, order_id).await, *shops);
            }
        }
        shop.command::<Order>(order_id, contact(None, Some("there")))
            .await;
        shop.command::<Order>(order_id, hide()).await;
        if !followed {
            shop.restart().await;
        }
        shop.settle(&[View::Orders]).await;
        let row = check(&shop, order_id).await;
        assert_eq!((row.total, row.lines.len(), row.deleted), (110, 1, true));
        assert!(shops_of(&shop, order_id).await.is_empty());
    }
    shop.close().await;
}

#[tokio::test]
async fn a_deleted_order_is_listed_for_those_who_ask_for_deleted_ones() {
    let shop = Shop::open().await;
    let region_id = shop.region("United States", "USD").await;
    let product_id = shop.product(region_id, "A", usd(100)).await;
    let ann = customer();
    let kept = shop.order(ann, region_id, &[(product_id, 1)]).await;
    let deleted = shop.order(ann, region_id, &[(product_id, 2)]).await;
    shop.command::<Order>(deleted, hide()).await;
    shop.settle(&[View::Orders]).await;
    let list = async |include_deleted, status| {
        let filter = OrderFilter {
            customer_id: Some(ann),
            include_deleted,
            status,
            ..OrderFilter::default()
        };
        let sort = Sort {
            key: OrderSort::CreatedAt,
            direction: Direction::Asc,
        };
        let page = PageRequest::new(Limits::STANDARD, sort, None, None).unwrap();
        let page = shop.models.orders(&filter, &page).await.unwrap();
        let listed = page.items.into_iter();
        listed
            .map(|order| (order.order_id, order.deleted))
            .collect::<Vec<_>>()
    };
    let cancelled = Some(OrderStatus::Cancelled);
    assert_eq!(list(false, None).await, [(kept, false)]);
    assert_eq!(list(false, cancelled).await, []);
    assert_eq!(list(true, None).await, [(kept, false), (deleted, true)]);
    assert_eq!(list(true, cancelled).await, [(deleted, true)]);
    shop.close().await;
}

#[tokio::test]
async fn an_order_tells_when_it_will_be_paid_and_when_it_was() {
    let shop = Shop::open().await;
    let region_id = shop.region("United States", "USD").await;
    let product_id = shop.product(region_id, "A", usd(1_000)).await;
    let order_id = shop.order(customer(), region_id, &[(product_id, 1)]).await;
    shop.settle(&[View::Orders]).await;
    let row = check(&shop, order_id).await;
    assert_eq!((row.payment_due_at - row.created_at).num_seconds(), 60);
    assert_eq!((row.paid_at, row.created_at), (None, row.updated_at));
    let committed = shop
        .command::<Order>(order_id, pay(order_id, usd(1_100)))
        .await;
    shop.settle(&[View::Orders]).await;
    let row = check(&shop, order_id).await;
    assert_eq!(
        (row.paid_at, Some(row.updated_at)),
        (committed.recorded_at, committed.recorded_at)
    );
    assert_eq!(
        shop.models.order(OrderId(Uuid::now_v7())).await.unwrap(),
        None
    );
    shop.close().await;
}

#[tokio::test]
async fn orders_are_filtered_and_sorted() {
    let shop = Shop::open().await;
    let (america, vietnam) = (
        shop.region("United States", "USD").await,
        shop.region("Vietnam", "USD").await,
    );
    let (cheap, dear) = (
        shop.product(america, "A", usd(100)).await,
        shop.product(vietnam, "B", usd(900)).await,
    );
    let (ann, ben) = (customer(), customer());
    let first = shop.order(ann, america, &[(cheap, 1)]).await;
    let second = shop.order(ben, vietnam, &[(dear, 1)]).await;
    let third = shop.order(ann, america, &[(cheap, 3)]).await;
    shop.command::<Order>(second, cancel()).await;
    shop.command::<Order>(third, pay(third, usd(330))).await;
    shop.settle(&[View::Orders]).await;

    let sorted = async |filter: OrderFilter, key, direction| {
        let page = PageRequest::new(Limits::STANDARD, Sort { key, direction }, None, None).unwrap();
        let page = shop.models.orders(&filter, &page).await.unwrap();
        page.items
            .into_iter()
            .map(|order| order.order_id)
            .collect::<Vec<_>>()
    };
    let list = async |filter| sorted(filter, OrderSort::CreatedAt, Direction::Asc).await;
    let all = OrderFilter::default;
    assert_eq!(list(all()).await, [first, second, third]);
    assert_eq!(
        list(OrderFilter {
            number: Some(number(second)),
            ..all()
        })
        .await,
        [second]
    );
    assert_eq!(
        sorted(all(), OrderSort::Total, Direction::Desc).await,
        [second, third, first]
    );
    assert_eq!(
        sorted(all(), OrderSort::CreatedAt, Direction::Desc).await,
        [third, second, first]
    );
    assert_eq!(
        list(OrderFilter {
            customer_id: Some(ann),
            ..all()
        })
        .await,
        [first, third]
    );
    assert_eq!(
        list(OrderFilter {
            region_id: Some(vietnam),
            ..all()
        })
        .await,
        [second]
    );
    assert_eq!(
        list(OrderFilter {
            status: Some(OrderStatus::Cancelled),
            ..all()
        })
        .await,
        [second]
    );
    assert_eq!(
        list(OrderFilter {
            payment_status: Some(PaymentStatus::Paid),
            ..all()
        })
        .await,
        [third]
    );
    let total = Span {
        gte: Some(110),
        lte: Some(330),
    };
    assert_eq!(list(OrderFilter { total, ..all() }).await, [first, third]);
    let placed = shop.models.order(second).await.unwrap().unwrap().created_at;
    let created_at = Span {
        gte: Some(placed),
        lte: None,
    };
    assert_eq!(
        list(OrderFilter {
            created_at,
            ..all()
        })
        .await,
        [second, third]
    );
    let nothing = OrderFilter {
        customer_id: Some(ben),
        payment_status: Some(PaymentStatus::Paid),
        ..all()
    };
    assert!(list(nothing).await.is_empty());
    shop.close().await;
}

#[tokio::test]
async fn whoever_waited_for_one_schema_reads_that_one_wherever_queries_go_by_now() {
    let shop = Shop::open().await;
    let region_id = shop.region("United States", "USD").await;
    let empty = View::Orders.beside(1);
    rebuild(&shop.log, View::Orders, &empty, Settings::default())
        .await
        .unwrap();
    let product_id = shop.product(region_id, "TEE-01", usd(100)).await;
    shop.receive(product_id, 10).await;
    shop.order(customer(), region_id, &[(product_id, 1)]).await;
    shop.settle_all().await;
    let live = shop.models.schema(View::Orders).await.unwrap();
    sqlx::query("update view_pointers set schema = $1 where name = 'orders'")
        .bind(empty.as_str())
        .execute(shop.log.pool())
        .await
        .unwrap();
    // another process, that has not asked yet where queries go
    let models = ReadModels::new(shop.log.pool().clone());
    let newest = Sort {
        key: OrderSort::CreatedAt,
        direction: Direction::Desc,
    };
    let page = PageRequest::new(Limits::STANDARD, newest, None, None).unwrap();
    let filter = OrderFilter::default();
    let moved = models.orders(&filter, &page).await.unwrap();
    assert_eq!(moved.items.len(), 0);
    let waited_for = models.orders_in(&live, &filter, &page).await.unwrap();
    assert_eq!(waited_for.items.len(), 1);
    shop.close().await;
}
