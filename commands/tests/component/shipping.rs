//! Shipping: by lines, once, only what is paid and what is one's own; and what is called off of an order that was shipped
//! in part.

use std::sync::Arc;

use commands::{
    Failure, Manager, Versioned,
    orders::{Progress, ShipOrder},
    payment_methods::DEFAULT,
};
use domain::{
    ids::{OrderId, ProductId, ShipmentId, UserId},
    money::Money,
    order::{OrderError, OrderStatus, PaymentStatus, PlacedOrder, ShipLine},
    text::Quantity,
};
use eventstore::unit::Committed;
use uuid::Uuid;

use crate::{
    sellers::{open, product_of, someone},
    shop::{Call, PRICE, Shop, in_shop, new_product, request, settings, usd},
};

/// So many pieces of each line.
fn pieces(lines: &[(u32, u64)]) -> Vec<ShipLine> {
    let lines = lines.iter().map(|(line, pieces)| ShipLine {
        line: *line,
        quantity: Quantity::parse(*pieces).unwrap(),
    });
    lines.collect()
}

fn shipment(order_id: OrderId, by: Manager, lines: Option<Vec<ShipLine>>) -> ShipOrder {
    ShipOrder {
        order_id,
        shipment_id: ShipmentId(Uuid::now_v7()),
        lines,
        by,
    }
}

async fn ship(
    shop: &Shop,
    order_id: OrderId,
    by: Manager,
    lines: Option<Vec<ShipLine>>,
) -> Result<Committed<Versioned<PlacedOrder>>, Failure> {
    let shipment = shipment(order_id, by, lines);
    shop.commands.ship_order(request(), shipment, None).await
}

async fn deliver(
    shop: &Shop,
    order_id: OrderId,
    by: Manager,
) -> Result<Committed<Versioned<PlacedOrder>>, Failure> {
    shop.commands
        .deliver_order(request(), order_id, by, None)
        .await
}

/// A product that costs nothing, so that what is ordered of it is paid at once.
async fn free_product(shop: &Shop) -> ProductId {
    let product_id = ProductId(Uuid::now_v7());
    let mut product = new_product(product_id, shop.region_id, 10);
    product.price = Money::zero(usd());
    let created = shop
        .commands
        .create_product(request(), Manager::Market, product);
    created.await.unwrap();
    product_id
}

/// A product that costs nothing, of a new shop of that seller.
async fn free_product_of(shop: &Shop, seller: UserId) -> ProductId {
    let mut product = product_of(open(shop, seller).await, shop.region_id);
    product.price = Money::zero(usd());
    let product_id = product.product_id;
    let created = shop
        .commands
        .create_product(request(), Manager::Market, product);
    created.await.unwrap();
    product_id
}

fn is_illegal(failure: &Failure, from: OrderStatus, allowed: &[OrderStatus]) -> bool {
    matches!(failure, Failure::Order(OrderError::IllegalMove { from: told, allowed: next, .. })
        if *told == from && next == allowed)
}

#[tokio::test]
async fn pieces_are_shipped_until_none_is_left_and_then_the_order_arrives() {
    in_shop(settings(), |shop| async move {
        let (first, second) = (free_product(&shop).await, free_product(&shop).await);
        let order_id = shop.placed(&[(first, 3), (second, 1)], DEFAULT).await;
        let early = deliver(&shop, order_id, Manager::Market).await.unwrap_err();
        let next = [
            OrderStatus::PartlyShipped,
            OrderStatus::Shipped,
            OrderStatus::Cancelled,
        ];
        assert!(
            is_illegal(&early, OrderStatus::Processing, &next),
            "{early:?}"
        );

        let part = ship(&shop, order_id, Manager::Market, Some(pieces(&[(1, 2)])));
        let order = part.await.unwrap().output.state;
        assert_eq!(
            (order.status, order.shipped_of(1)),
            (OrderStatus::PartlyShipped, 2)
        );
        let rest = ship(&shop, order_id, Manager::Market, None).await.unwrap();
        assert_eq!(rest.output.state.status, OrderStatus::Shipped);
        assert_eq!(rest.output.state.unshipped(), []);

        for appended in [1, 0] {
            let delivered = deliver(&shop, order_id, Manager::Market).await.unwrap();
            assert_eq!(delivered.output.state.status, OrderStatus::Delivered);
            assert_eq!(delivered.appended, appended);
        }
    })
    .await;
}

#[tokio::test]
async fn a_shipment_that_is_sent_again_is_one_shipment() {
    in_shop(settings(), |shop| async move {
        let product = free_product(&shop).await;
        let order_id = shop.placed(&[(product, 3)], DEFAULT).await;
        for lines in [Some(pieces(&[(1, 1)])), None] {
            let shipment = shipment(order_id, Manager::Market, lines);
            for appended in [1, 0] {
                let again = shop.commands.ship_order(request(), shipment.clone(), None);
                assert_eq!(again.await.unwrap().appended, appended);
            }
        }
        assert_eq!(shop.order(order_id).await.shipped_of(1), 3);
    })
    .await;
}

#[tokio::test]
async fn what_is_not_paid_not_there_or_not_left_is_not_shipped() {
    in_shop(settings(), |shop| async move {
        let unpaid = shop.placed(&[(shop.product(5).await, 1)], DEFAULT).await;
        let order_id = shop
            .placed(&[(free_product(&shop).await, 3)], DEFAULT)
            .await;
        let before = shop.head().await;
        let refused = ship(&shop, unpaid, Manager::Market, None)
            .await
            .unwrap_err();
        let next = [OrderStatus::Processing, OrderStatus::Cancelled];
        assert!(
            is_illegal(&refused, OrderStatus::Pending, &next),
            "{refused:?}"
        );

        let nobody_s = ship(&shop, OrderId(Uuid::now_v7()), Manager::Market, None).await;
        assert_eq!(nobody_s.unwrap_err(), Failure::NotFound { what: "order" });
        let unknown = ship(
            &shop,
            order_id,
            Manager::Market,
            Some(pieces(&[(1, 1), (2, 1)])),
        )
        .await;
        let no_line = OrderError::UnknownLine { line: 2 };
        assert_eq!(unknown.unwrap_err(), Failure::Order(no_line));
        // what is named twice is added up
        let over = ship(
            &shop,
            order_id,
            Manager::Market,
            Some(pieces(&[(1, 2), (1, 2)])),
        )
        .await;
        let too_many = OrderError::OverShipped {
            line: 1,
            requested: 4,
            left: 3,
        };
        assert_eq!(over.unwrap_err(), Failure::Order(too_many));
        let stale = shipment(order_id, Manager::Market, None);
        let stale = shop.commands.ship_order(request(), stale, Some(1)).await;
        let current = 2;
        assert_eq!(stale.unwrap_err(), Failure::PreconditionFailed { current });
        assert_eq!(shop.head().await, before);

        let _ = ship(&shop, order_id, Manager::Market, None).await.unwrap();
        let nothing = ship(&shop, order_id, Manager::Market, None)
            .await
            .unwrap_err();
        let next = [OrderStatus::Delivered];
        assert!(
            is_illegal(&nothing, OrderStatus::Shipped, &next),
            "{nothing:?}"
        );
    })
    .await;
}

/// Edge 44.
#[tokio::test]
async fn cancelled_after_a_part_was_shipped_only_the_rest_is_called_off_and_given_back() {
    in_shop(settings(), |shop| async move {
        let running = shop.run_saga().await;
        let product = shop.product(5).await;
        let order_id = shop.placed(&[(product, 3)], DEFAULT).await;
        shop.until_order(order_id, "it is paid", |order| order.paid.is_some())
            .await;
        let _ = ship(&shop, order_id, Manager::Market, Some(pieces(&[(1, 1)])))
            .await
            .unwrap();
        let cancelled = shop.cancel(order_id).await.unwrap();
        assert_eq!(cancelled.output.progress, Progress::Accepted);
        assert_eq!(cancelled.output.order.state.status, OrderStatus::Shipped);
        shop.until_order(order_id, "the rest is given back", |order| {
            order.payment_status == PaymentStatus::PartiallyRefunded
        })
        .await;
        // ten percent of tax on each piece
        assert_eq!(
            shop.order(order_id).await.refunded,
            2 * (PRICE + PRICE / 10)
        );
        let stock = shop.stock(product).await;
        assert_eq!((stock.available, stock.reserved, stock.sold), (4, 0, 1));
        let refused = shop.cancel(order_id).await.unwrap_err();
        assert!(
            matches!(refused, Failure::Order(OrderError::AlreadyShipped { .. })),
            "{refused:?}"
        );
        let delivered = deliver(&shop, order_id, Manager::Market).await.unwrap();
        assert_eq!(delivered.output.state.status, OrderStatus::Delivered);
        shop.until_no_timer().await;
        assert_eq!(shop.gateway.count(Call::Refund), 1);
        running.close().await;
    })
    .await;
}

/// Edge 46.
#[tokio::test]
async fn of_an_order_over_several_shops_each_seller_ships_only_their_lines() {
    in_shop(settings(), |shop| async move {
        let (mai, lan, other) = (someone(), someone(), someone());
        let of_mai = free_product_of(&shop, mai).await;
        let of_lan = free_product_of(&shop, lan).await;
        let market_s = free_product(&shop).await;
        let items = [(of_mai, 2), (of_lan, 1), (market_s, 1)];
        let order_id = shop.placed(&items, DEFAULT).await;
        let [mai, lan, other] = [mai, lan, other].map(Manager::Seller);

        for line in [2, 3] {
            let refused = ship(&shop, order_id, mai, Some(pieces(&[(1, 1), (line, 1)]))).await;
            let no_line = OrderError::UnknownLine { line };
            assert_eq!(refused.unwrap_err(), Failure::Order(no_line));
        }
        let refused = ship(&shop, order_id, other, None).await.unwrap_err();
        assert_eq!(refused, Failure::NotFound { what: "order" });

        let shipped = ship(&shop, order_id, mai, None).await.unwrap().output.state;
        let of_each = [1, 2, 3].map(|line| shipped.shipped_of(line));
        assert_eq!(
            (shipped.status, of_each),
            (OrderStatus::PartlyShipped, [2, 0, 0])
        );
        let nothing = ship(&shop, order_id, mai, None).await.unwrap_err();
        assert_eq!(nothing, Failure::Order(OrderError::NothingToShip));
        let _ = ship(&shop, order_id, lan, Some(pieces(&[(2, 1)])))
            .await
            .unwrap();
        let last = ship(&shop, order_id, Manager::Market, None).await.unwrap();
        assert_eq!(last.output.state.status, OrderStatus::Shipped);

        // nobody says of another's parcel that it arrived
        for (seller, refusal) in [
            (mai, Failure::NotYours),
            (other, Failure::NotFound { what: "order" }),
        ] {
            let refused = deliver(&shop, order_id, seller).await.unwrap_err();
            assert_eq!(refused, refusal);
        }
        let _ = deliver(&shop, order_id, Manager::Market).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_seller_finishes_an_order_of_their_own_also_when_the_shop_was_closed() {
    in_shop(settings(), |shop| async move {
        let mai = someone();
        let product = free_product_of(&shop, mai).await;
        let order_id = shop.placed(&[(product, 2)], DEFAULT).await;
        let shop_id = shop.order(order_id).await.lines[0].shop_id.unwrap();
        let seller = Manager::Seller(mai);
        let close = shop.commands.close_shop(request(), seller, shop_id, None);
        close.await.unwrap();
        let shipped = ship(&shop, order_id, seller, None).await.unwrap();
        assert_eq!(shipped.output.state.status, OrderStatus::Shipped);
        let delivered = deliver(&shop, order_id, seller).await.unwrap();
        assert_eq!(delivered.output.state.status, OrderStatus::Delivered);
    })
    .await;
}

/// What a seller ships and what is called off at the same moment: each piece is one or the other.
#[tokio::test]
async fn a_shipment_and_a_cancellation_at_once_never_share_a_piece() {
    in_shop(settings(), |shop| async move {
        let product = free_product(&shop).await;
        for _ in 0..10 {
            let order_id = shop.placed(&[(product, 1)], DEFAULT).await;
            let (one, other): (Arc<Shop>, Arc<Shop>) = (shop.clone(), shop.clone());
            let (shipped, cancelled) = tokio::join!(
                async move { ship(&one, order_id, Manager::Market, None).await },
                async move { other.cancel(order_id).await },
            );
            assert_ne!(shipped.is_ok(), cancelled.is_ok());
            let ended = shop.order(order_id).await.status;
            let expected = match shipped {
                Ok(_) => OrderStatus::Shipped,
                Err(_) => OrderStatus::Cancelled,
            };
            assert_eq!(ended, expected);
        }
    })
    .await;
}
