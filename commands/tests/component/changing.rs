//! Changing and deleting orders: what is bought, who gets it, and that nobody's stock or money is lost over it.

use std::time::Duration;

use commands::{
    CommandSettings, Failure, Manager, PriceDifference, Shortage, Versioned,
    orders::{ChangeOrder, DeleteOrder, OrderItem, Progress},
    payment_methods::DEFAULT,
};
use domain::{
    ids::{OrderId, ProductId, UserId},
    money::Money,
    order::{OrderError, OrderStatus, PaymentStatus, PlacedOrder, ShipLine},
    product::{ProductChanges, ProductError},
    region::RegionError,
    sealed::Sealed,
    text::Quantity,
};
use eventstore::{
    sealing::{MasterKey, Vault},
    unit::Committed,
};
use futures::future::join_all;
use uuid::Uuid;

use crate::{
    discounts::{give, percent},
    shop::{Call, PRICE, Shop, in_shop, new_order, request, settings, usd},
};

/// Payments are not started while a test runs.
fn patient() -> CommandSettings {
    CommandSettings {
        payment_delay: Duration::from_hours(1),
        ..settings()
    }
}

fn items(items: &[(ProductId, u64)]) -> Vec<OrderItem> {
    let item = |&(product_id, pieces): &(ProductId, u64)| OrderItem {
        product_id,
        quantity: Quantity::parse(pieces).unwrap(),
    };
    items.iter().map(item).collect()
}

fn change_of(order_id: OrderId) -> ChangeOrder {
    ChangeOrder {
        order_id,
        customer_name: None,
        shipping_address: None,
        items: None,
        expected_total: None,
        only_of: None,
    }
}

type Changed = Result<Committed<Versioned<PlacedOrder>>, Failure>;

async fn change(shop: &Shop, change: ChangeOrder) -> Changed {
    shop.commands.change_order(request(), change, None).await
}

async fn buy(shop: &Shop, order_id: OrderId, wished: &[(ProductId, u64)]) -> Changed {
    let wished = ChangeOrder {
        items: Some(items(wished)),
        ..change_of(order_id)
    };
    change(shop, wished).await
}

async fn delete(shop: &Shop, order_id: OrderId) -> Result<Progress, Failure> {
    let delete = DeleteOrder {
        order_id,
        requested_by: None,
        only_of: None,
    };
    let deleted = shop.commands.delete_order(request(), delete, None).await?;
    Ok(deleted.output)
}

fn short(product_id: ProductId, requested: u64, available: u64) -> Shortage {
    let requested = Quantity::parse(requested).unwrap();
    Shortage {
        product_id,
        requested,
        available,
    }
}

/// What stands in a sealed text.
async fn opened(shop: &Shop, order_id: OrderId, field: &str, sealed: &Sealed) -> Option<String> {
    let master = MasterKey::from_base64("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").unwrap();
    let vault = Vault::new(shop.log.pool().clone(), master);
    let stream = format!("order/{order_id}");
    vault.open(sealed, &stream, field).await.unwrap()
}

#[tokio::test]
async fn the_buyers_own_reservation_never_blocks_the_buyer() {
    in_shop(patient(), |shop| async move {
        let teapot = shop.product(4).await;
        let order_id = shop.placed(&[(teapot, 3)], DEFAULT).await;
        let changed = buy(&shop, order_id, &[(teapot, 4)]).await.unwrap();
        let order = &changed.output.state;
        assert_eq!((order.total, order.lines.len()), (4 * PRICE + 400, 1));
        let stock = shop.stock(teapot).await;
        assert_eq!((stock.available, stock.reserved), (0, 4));

        let refused = buy(&shop, order_id, &[(teapot, 5)]).await.unwrap_err();
        let shortages = vec![short(teapot, 5, 4)];
        assert_eq!(refused, Failure::InsufficientStock { shortages });
        assert_eq!(shop.stock(teapot).await.reserved, 4);
    })
    .await;
}

#[tokio::test]
async fn the_same_product_twice_is_summed_before_the_check() {
    in_shop(patient(), |shop| async move {
        let teapot = shop.product(4).await;
        let order_id = shop.placed(&[(teapot, 1)], DEFAULT).await;
        let refused = buy(&shop, order_id, &[(teapot, 3), (teapot, 2)]).await;
        let shortages = vec![short(teapot, 5, 4)];
        assert_eq!(refused, Err(Failure::InsufficientStock { shortages }));
        let changed = buy(&shop, order_id, &[(teapot, 3), (teapot, 1)]).await;
        assert_eq!(changed.unwrap().output.state.lines.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn items_are_changed_all_or_none_and_every_short_one_is_named() {
    in_shop(patient(), |shop| async move {
        let (teapot, cup, spoon) = (
            shop.product(5).await,
            shop.product(2).await,
            shop.product(0).await,
        );
        let order_id = shop.placed(&[(teapot, 2), (cup, 1)], DEFAULT).await;
        let before = shop.head().await;
        let refused = buy(&shop, order_id, &[(teapot, 5), (cup, 3), (spoon, 1)]).await;
        let shortages = vec![short(cup, 3, 2), short(spoon, 1, 0)];
        assert_eq!(refused, Err(Failure::InsufficientStock { shortages }));
        assert_eq!(shop.head().await, before, "a refusal stores nothing");

        // what is left out is there for others again, in the same step
        shop.restock(spoon, 1).await;
        buy(&shop, order_id, &[(spoon, 1), (cup, 2)]).await.unwrap();
        let reserved = [teapot, cup, spoon].map(|id| shop.stock(id));
        let reserved: Vec<_> = join_all(reserved).await;
        let reserved: Vec<_> = reserved.iter().map(|stock| stock.reserved).collect();
        assert_eq!(reserved, [0, 2, 1]);
        shop.cancel(order_id).await.unwrap();
        for (product, stock) in [(teapot, 5), (cup, 2), (spoon, 1)] {
            assert_eq!(shop.stock(product).await.available, stock);
        }
    })
    .await;
}

#[tokio::test]
async fn a_changed_order_is_charged_its_new_total() {
    let settings = CommandSettings {
        payment_delay: Duration::from_secs(2),
        ..settings()
    };
    in_shop(settings, |shop| async move {
        let running = shop.run_saga().await;
        let teapot = shop.product(5).await;
        let order_id = shop.placed(&[(teapot, 1)], DEFAULT).await;
        buy(&shop, order_id, &[(teapot, 3)]).await.unwrap();
        shop.until_order(order_id, "it is paid", |order| order.paid.is_some())
            .await;
        let total = 3 * PRICE + 300;
        assert_eq!(shop.order(order_id).await.paid, Some(total));
        let payment = shop.payment(order_id).await.unwrap();
        assert_eq!(payment.amount, Money::new(total, usd()));
        assert_eq!(shop.stock(teapot).await.sold, 3);
        shop.until_no_timer().await;
        running.close().await;
    })
    .await;
}

#[tokio::test]
async fn an_order_that_comes_to_cost_nothing_is_paid_at_once() {
    in_shop(patient(), |shop| async move {
        let running = shop.run_saga().await;
        let (teapot, gift) = (shop.product(5).await, shop.product(5).await);
        let price = Some(Money::zero(usd()));
        let changes = ProductChanges {
            price,
            ..ProductChanges::default()
        };
        shop.commands
            .update_product(request(), Manager::Market, gift, changes, None)
            .await
            .unwrap();
        let order_id = shop.placed(&[(teapot, 1)], DEFAULT).await;
        let bought = buy(&shop, order_id, &[(gift, 2)]).await.unwrap();
        let order = &bought.output.state;
        assert_eq!(
            (order.status, order.payment_status, order.paid),
            (OrderStatus::Processing, PaymentStatus::Paid, Some(0))
        );
        assert_eq!(shop.stock(gift).await.sold, 2);
        assert_eq!(shop.stock(teapot).await.available, 5);
        shop.until_no_timer().await;
        assert_eq!(shop.gateway.calls(), []);
        running.close().await;
    })
    .await;
}

#[tokio::test]
async fn once_the_payment_was_started_the_items_stay() {
    in_shop(settings(), |shop| async move {
        let running = shop.run_saga().await;
        let teapot = shop.product(5).await;
        shop.gateway.let_charges_in(false);
        let order_id = shop.placed(&[(teapot, 1)], DEFAULT).await;
        shop.gateway.until_called(Call::Charge, 1).await;
        let refused = buy(&shop, order_id, &[(teapot, 2)]).await;
        let started = OrderError::PaymentStarted {
            payment: PaymentStatus::Awaiting,
            allowed: vec![OrderStatus::Processing, OrderStatus::Cancelled],
        };
        assert_eq!(refused, Err(Failure::Order(started)));
        shop.gateway.let_charges_in(true);
        shop.until_order(order_id, "it is paid", |order| order.paid.is_some())
            .await;
        let refused = buy(&shop, order_id, &[(teapot, 2)]).await;
        assert!(matches!(
            refused,
            Err(Failure::Order(OrderError::IllegalMove { .. }))
        ));
        // the same as it is: nothing to do
        let same = buy(&shop, order_id, &[(teapot, 1)]).await.unwrap();
        assert_eq!(same.appended, 0);
        running.close().await;
    })
    .await;
}

#[tokio::test]
async fn prices_are_those_of_today_and_the_tax_is_that_of_when_it_was_placed() {
    in_shop(patient(), |shop| async move {
        let teapot = shop.product(5).await;
        let order_id = shop.placed(&[(teapot, 1)], DEFAULT).await;
        let price = Some(Money::new(2 * PRICE, usd()));
        let changes = ProductChanges {
            price,
            ..ProductChanges::default()
        };
        shop.commands
            .update_product(request(), Manager::Market, teapot, changes, None)
            .await
            .unwrap();
        let rate = domain::money::TaxRate::from_basis_points(2_000).unwrap();
        let changes = commands::regions::RegionChanges {
            tax_rate: Some(rate),
            ..commands::regions::RegionChanges::default()
        };
        shop.commands
            .change_region(request(), shop.region_id, changes, None)
            .await
            .unwrap();
        let bought = buy(&shop, order_id, &[(teapot, 2)]).await.unwrap();
        let order = bought.output.state;
        assert_eq!((order.subtotal, order.tax), (4 * PRICE, 400));
    })
    .await;
}

#[tokio::test]
async fn what_is_not_sold_any_more_is_not_added_and_orders_that_hold_it_go_on() {
    in_shop(patient(), |shop| async move {
        let (teapot, cup) = (shop.product(5).await, shop.product(5).await);
        let order_id = shop.placed(&[(teapot, 1)], DEFAULT).await;
        shop.commands
            .delete_product(request(), Manager::Market, teapot, None)
            .await
            .unwrap();
        let refused = buy(&shop, order_id, &[(teapot, 2), (cup, 1)]).await;
        let not_on_sale = Failure::NotOnSale {
            product_id: teapot,
            reason: ProductError::Deleted,
        };
        assert_eq!(refused, Err(not_on_sale));
        assert_eq!(shop.order(order_id).await.lines.len(), 1);

        shop.commands
            .disable_region(request(), shop.region_id, None)
            .await
            .unwrap();
        let refused = buy(&shop, order_id, &[(cup, 1)]).await;
        assert_eq!(refused, Err(Failure::Region(RegionError::Disabled)));
        let address = ChangeOrder {
            shipping_address: Some("1 Tràng Tiền, Hà Nội".into()),
            ..change_of(order_id)
        };
        assert!(change(&shop, address).await.is_ok());
        assert_eq!(delete(&shop, order_id).await, Ok(Progress::Done));
    })
    .await;
}

#[tokio::test]
async fn name_and_address_are_sealed_anew_and_together_with_the_items() {
    in_shop(patient(), |shop| async move {
        let teapot = shop.product(5).await;
        let order_id = shop.placed(&[(teapot, 1)], DEFAULT).await;
        let before = shop.order(order_id).await;
        let wished = ChangeOrder {
            customer_name: Some("Trần Văn Bình".into()),
            shipping_address: Some("12 Hàng Bạc, Hà Nội".into()),
            items: Some(items(&[(teapot, 2)])),
            ..change_of(order_id)
        };
        // the order's two events, and what was reserved given up and reserved anew
        let changed = change(&shop, wished.clone()).await.unwrap();
        assert_eq!((changed.appended, changed.output.sequence), (4, 3));
        let order = shop.order(order_id).await;
        let name = opened(&shop, order_id, "customer_name", &order.customer_name).await;
        assert_eq!(name.as_deref(), Some("Trần Văn Bình"));
        assert_eq!(
            order.shipping_address, before.shipping_address,
            "what is the same is not sealed anew"
        );
        let again = change(&shop, wished).await.unwrap();
        assert_eq!(again.appended, 0);
        let payloads: Vec<String> =
            sqlx::query_scalar("select payload::text || metadata::text from events")
                .fetch_all(shop.log.pool())
                .await
                .unwrap();
        assert!(payloads.iter().all(|payload| !payload.contains("Bình")));

        // all or nothing: no name without its items
        let wished = ChangeOrder {
            customer_name: Some("Somebody else".into()),
            items: Some(items(&[(teapot, 6)])),
            ..change_of(order_id)
        };
        assert!(change(&shop, wished).await.is_err());
        assert_eq!(shop.order(order_id).await, order);
    })
    .await;
}

#[tokio::test]
async fn whoever_names_a_total_pays_exactly_that_or_nothing_is_changed() {
    in_shop(patient(), |shop| async move {
        let (teapot, cup) = (shop.product(5).await, shop.product(5).await);
        let order_id = shop.placed(&[(teapot, 1)], DEFAULT).await;
        let to = |expected_total| ChangeOrder {
            customer_name: Some("Somebody else".into()),
            items: Some(items(&[(teapot, 1), (cup, 2)])),
            expected_total: Some(expected_total),
            ..change_of(order_id)
        };
        let before = shop.order(order_id).await;
        let head = shop.head().await;
        let refused = change(&shop, to(before.total)).await;
        let total = Money::new(3 * (PRICE + PRICE / 10), usd());
        let was = None;
        let (tax, none) = (Money::new(3 * PRICE / 10, usd()), Money::zero(usd()));
        let differences = vec![
            PriceDifference::Tax { was, is: tax },
            PriceDifference::Discount { was, is: none },
        ];
        assert_eq!(refused, Err(Failure::PriceChanged { differences, total }));
        assert_eq!(shop.head().await, head);
        let changed = change(&shop, to(total.amount)).await.unwrap().output.state;
        assert_eq!(changed.total, total.amount);
        assert_ne!(changed.customer_name, before.customer_name);
    })
    .await;
}

/// The pieces are the same: what they came to is known.
#[tokio::test]
async fn whoever_changes_an_order_hears_what_its_discount_and_tax_were() {
    in_shop(patient(), |shop| async move {
        let teapot = shop.product(5).await;
        let order_id = shop.placed(&[(teapot, 1)], DEFAULT).await;
        let at = |expected_total| ChangeOrder {
            items: Some(items(&[(teapot, 1)])),
            expected_total: Some(expected_total),
            ..change_of(order_id)
        };
        let before = shop.order(order_id).await;
        let usd = |amount| Money::new(amount, usd());
        let (differences, total) = (vec![], usd(before.total));
        let refused = change(&shop, at(1)).await;
        assert_eq!(refused, Err(Failure::PriceChanged { differences, total }));

        let _ = give(&shop, None, percent(1_000)).await;
        let refused = change(&shop, at(before.total)).await;
        let differences = vec![
            PriceDifference::Tax {
                was: Some(usd(PRICE / 10)),
                is: usd(PRICE * 9 / 100),
            },
            PriceDifference::Discount {
                was: Some(usd(0)),
                is: usd(PRICE / 10),
            },
        ];
        let total = usd(PRICE * 99 / 100);
        assert_eq!(refused, Err(Failure::PriceChanged { differences, total }));
        assert_eq!(shop.order(order_id).await, before);
    })
    .await;
}

#[tokio::test]
async fn an_erased_customers_order_gets_no_new_address() {
    in_shop(patient(), |shop| async move {
        let teapot = shop.product(5).await;
        let order_id = shop.placed(&[(teapot, 1)], DEFAULT).await;
        let master =
            MasterKey::from_base64("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").unwrap();
        let customer_id = shop.order(order_id).await.customer_id;
        Vault::new(shop.log.pool().clone(), master)
            .erase(customer_id.0)
            .await
            .unwrap();
        let address = ChangeOrder {
            shipping_address: Some("somewhere".into()),
            ..change_of(order_id)
        };
        // another process, which has no key in its memory
        let other = shop.another_process(patient()).await;
        let refused = other.change_order(request(), address, None).await;
        assert_eq!(refused, Err(Failure::Erased));
        other.log().close().await;
    })
    .await;
}

#[tokio::test]
async fn nobody_else_and_no_old_version_changes_or_deletes_an_order() {
    in_shop(patient(), |shop| async move {
        let teapot = shop.product(5).await;
        let order_id = shop.placed(&[(teapot, 1)], DEFAULT).await;
        let not_found = Failure::NotFound { what: "order" };
        let stranger = Some(UserId(Uuid::now_v7()));
        let wished = ChangeOrder {
            customer_name: Some("Me".into()),
            only_of: stranger,
            ..change_of(order_id)
        };
        assert_eq!(change(&shop, wished).await, Err(not_found.clone()));
        let wished = ChangeOrder {
            items: Some(items(&[(teapot, 2)])),
            only_of: stranger,
            ..change_of(order_id)
        };
        assert_eq!(change(&shop, wished).await, Err(not_found.clone()));
        let by_stranger = DeleteOrder {
            order_id,
            requested_by: stranger,
            only_of: stranger,
        };
        let commands = &shop.commands;
        let refused = commands.delete_order(request(), by_stranger, None).await;
        assert_eq!(refused, Err(not_found.clone()));
        let nobodys = OrderId(Uuid::now_v7());
        assert_eq!(delete(&shop, nobodys).await, Err(not_found));

        let stale = Err(Failure::PreconditionFailed { current: 1 });
        let wished = ChangeOrder {
            items: Some(items(&[(teapot, 2)])),
            ..change_of(order_id)
        };
        let changed = commands.change_order(request(), wished, Some(7)).await;
        assert_eq!(changed.map(|done| done.appended), stale);
        let by_anybody = DeleteOrder {
            only_of: None,
            ..by_stranger
        };
        let deleted = commands.delete_order(request(), by_anybody, Some(7)).await;
        assert_eq!(deleted.map(|done| done.appended), stale);
    })
    .await;
}

#[tokio::test]
async fn a_deleted_order_is_cancelled_and_no_longer_there_for_its_customer() {
    in_shop(patient(), |shop| async move {
        let running = shop.run_saga().await;
        let teapot = shop.product(5).await;
        let order_id = shop.placed(&[(teapot, 2)], DEFAULT).await;
        assert_eq!(delete(&shop, order_id).await, Ok(Progress::Done));
        let order = shop.order(order_id).await;
        assert!(order.hidden);
        assert_eq!(order.status, OrderStatus::Cancelled);
        assert_eq!(shop.stock(teapot).await.available, 5);
        shop.until_no_timer().await;
        assert_eq!(shop.gateway.calls(), []);

        let head = shop.head().await;
        assert_eq!(delete(&shop, order_id).await, Ok(Progress::Done));
        assert_eq!(shop.head().await, head, "deleted again, nothing happens");
        let by_customer = ChangeOrder {
            customer_name: Some("Me".into()),
            only_of: Some(order.customer_id),
            ..change_of(order_id)
        };
        let not_found = Failure::NotFound { what: "order" };
        assert_eq!(change(&shop, by_customer).await, Err(not_found));
        running.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_paid_order_that_is_deleted_is_given_back_all_the_same() {
    in_shop(settings(), |shop| async move {
        let running = shop.run_saga().await;
        let teapot = shop.product(5).await;
        let order_id = shop.placed(&[(teapot, 2)], DEFAULT).await;
        shop.until_order(order_id, "it is paid", |order| order.paid.is_some())
            .await;
        assert_eq!(delete(&shop, order_id).await, Ok(Progress::Accepted));
        shop.until_order(order_id, "the money is given back", |order| {
            order.payment_status == PaymentStatus::Refunded
        })
        .await;
        assert_eq!(delete(&shop, order_id).await, Ok(Progress::Done));
        assert_eq!(shop.stock(teapot).await.available, 5);
        assert!(shop.order(order_id).await.hidden);
        running.close().await;
    })
    .await;
}

#[tokio::test]
async fn an_order_that_is_deleted_while_the_gateway_is_asked_ends_with_its_outcome() {
    in_shop(settings(), |shop| async move {
        let running = shop.run_saga().await;
        let teapot = shop.product(5).await;
        shop.gateway.let_answers_out(false);
        let order_id = shop.placed(&[(teapot, 2)], DEFAULT).await;
        shop.gateway.until_called(Call::Charge, 1).await;
        assert_eq!(delete(&shop, order_id).await, Ok(Progress::Accepted));
        assert_eq!(shop.order(order_id).await.status, OrderStatus::Pending);
        shop.gateway.let_answers_out(true);
        shop.until_order(order_id, "it is decided", |order| {
            matches!(
                (order.status, order.payment_status),
                (
                    OrderStatus::Cancelled,
                    PaymentStatus::Refunded | PaymentStatus::Unpaid
                )
            )
        })
        .await;
        assert_eq!(shop.stock(teapot).await.available, 5);
        shop.until_no_timer().await;
        running.close().await;
    })
    .await;
}

#[tokio::test]
async fn goods_on_their_way_are_not_deleted() {
    in_shop(settings(), |shop| async move {
        let running = shop.run_saga().await;
        let teapot = shop.product(5).await;
        let order_id = shop.placed(&[(teapot, 2)], DEFAULT).await;
        shop.until_order(order_id, "it is paid", |order| order.paid.is_some())
            .await;
        let ship = |pieces| commands::orders::ShipOrder {
            order_id,
            shipment_id: domain::ids::ShipmentId(Uuid::now_v7()),
            lines: Some(vec![ShipLine {
                line: 1,
                quantity: Quantity::parse(pieces).unwrap(),
            }]),
            by: Manager::Market,
        };
        for allowed in [OrderStatus::Shipped, OrderStatus::Delivered] {
            shop.commands
                .ship_order(request(), ship(1), None)
                .await
                .unwrap();
            match delete(&shop, order_id).await {
                Err(Failure::Order(OrderError::IllegalMove { allowed: next, .. })) => {
                    assert_eq!(next, [allowed]);
                }
                other => panic!("{other:?}"),
            }
        }
        let address = ChangeOrder {
            shipping_address: Some("too late".into()),
            ..change_of(order_id)
        };
        assert!(matches!(
            change(&shop, address).await,
            Err(Failure::Order(OrderError::IllegalMove { .. }))
        ));
        running.close().await;
    })
    .await;
}

#[tokio::test]
async fn changes_that_race_for_the_last_pieces_never_sell_more_than_there_are() {
    in_shop(patient(), |shop| async move {
        let (teapot, cup) = (shop.product(12).await, shop.product(12).await);
        let mut orders = vec![];
        for n in 0..12 {
            let first = if n % 2 == 0 { teapot } else { cup };
            orders.push(shop.placed(&[(first, 1)], DEFAULT).await);
        }
        // over the same products in either order
        let changes = orders.iter().zip(0..).map(|(order_id, n)| {
            let wished = if n % 2 == 0 {
                [(teapot, 2), (cup, 2)]
            } else {
                [(cup, 2), (teapot, 2)]
            };
            let shop = &shop;
            async move { buy(shop, *order_id, &wished).await }
        });
        let answers = join_all(changes).await;
        assert!(answers.iter().any(Result::is_ok));
        for refused in answers.into_iter().filter_map(Result::err) {
            assert!(
                matches!(refused, Failure::InsufficientStock { .. }),
                "{refused:?}"
            );
        }
        let mut reserved = [0, 0];
        for order_id in orders {
            for line in shop.order(order_id).await.lines {
                reserved[usize::from(line.product_id == cup)] += i64::from(line.quantity);
            }
        }
        for (product_id, reserved) in [teapot, cup].into_iter().zip(reserved) {
            let stock = shop.stock(product_id).await;
            assert_eq!(stock.reserved, reserved);
            assert!(stock.available >= 0 && stock.available + stock.reserved == 12);
        }
    })
    .await;
}

#[tokio::test]
async fn an_order_placed_again_after_it_was_changed_is_still_that_order() {
    in_shop(patient(), |shop| async move {
        let teapot = shop.product(5).await;
        let order = new_order(&[(teapot, 1)], DEFAULT);
        let order_id = order.order_id;
        let commands = &shop.commands;
        commands
            .place_order(request(), order.clone())
            .await
            .unwrap();
        buy(&shop, order_id, &[(teapot, 3)]).await.unwrap();
        let again = commands.place_order(request(), order).await.unwrap();
        assert_eq!(again.appended, 0);
        assert_eq!(again.output.state.total, 3 * PRICE + 300);
    })
    .await;
}
