//! Placing orders: all or nothing, whoever else buys at the same moment.

use std::collections::BTreeSet;

use commands::{Failure, Manager, Shortage, payment_methods::DEFAULT};
use domain::{
    ids::{OrderId, ProductId, RegionId},
    money::Money,
    order::{OrderError, OrderStatus, PaymentStatus},
    pricing::PricingError,
    product::ProductError,
    region::RegionError,
    text::{PaymentMethod, Quantity},
};
use eventstore::{
    sealing::{MasterKey, Vault},
    unit::IdempotencyKey,
};
use futures::future::join_all;
use uuid::Uuid;

use crate::shop::{PRICE, in_shop, new_order, new_product, region, request, settings, usd};

#[tokio::test]
async fn a_placed_order_reserves_its_stock_and_freezes_its_price() {
    in_shop(settings(), |shop| async move {
        let (teapot, cup) = (shop.product(10).await, shop.product(10).await);
        let placed = shop.place(&[(teapot, 1), (cup, 2)], DEFAULT).await.unwrap();
        let order = &placed.output.state;
        assert_eq!(
            (order.subtotal, order.tax, order.total),
            (3 * PRICE, 300, 3 * PRICE + 300)
        );
        assert_eq!(
            (order.status, order.payment_status),
            (OrderStatus::Pending, PaymentStatus::Awaiting)
        );
        assert_eq!((placed.output.sequence, placed.appended), (1, 3));
        assert_eq!(shop.order(order.order_id).await, *order);
        let stock = shop.stock(cup).await;
        assert_eq!((stock.available, stock.reserved, stock.sold), (8, 2, 0));
    })
    .await;
}

#[tokio::test]
async fn name_and_address_are_stored_sealed_and_open_again() {
    in_shop(settings(), |shop| async move {
        let product = shop.product(1).await;
        let order_id = shop.placed(&[(product, 1)], DEFAULT).await;
        let payloads: Vec<String> =
            sqlx::query_scalar("select payload::text || metadata::text from events")
                .fetch_all(shop.log.pool())
                .await
                .unwrap();
        assert!(
            payloads
                .iter()
                .all(|payload| !payload.contains("Mai") && !payload.contains("Hàng"))
        );
        let order = shop.order(order_id).await;
        let master =
            MasterKey::from_base64("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").unwrap();
        let vault = Vault::new(shop.log.pool().clone(), master);
        let stream = format!("order/{order_id}");
        let name = vault
            .open(&order.customer_name, &stream, "customer_name")
            .await
            .unwrap();
        assert_eq!(name.as_deref(), Some("Nguyễn Thị Mai"));
        let address = vault
            .open(&order.shipping_address, &stream, "shipping_address")
            .await
            .unwrap();
        assert_eq!(address.as_deref(), Some("12 Hàng Bạc, Hà Nội"));
    })
    .await;
}

#[tokio::test]
async fn two_lines_with_the_same_product_are_summed_before_the_check() {
    in_shop(settings(), |shop| async move {
        let product = shop.product(3).await;
        let refused = shop
            .place(&[(product, 2), (product, 2)], DEFAULT)
            .await
            .unwrap_err();
        let requested = Quantity::parse(4).unwrap();
        let shortages = vec![Shortage {
            product_id: product,
            requested,
            available: 3,
        }];
        assert_eq!(refused, Failure::InsufficientStock { shortages });
        let placed = shop
            .place(&[(product, 1), (product, 2)], DEFAULT)
            .await
            .unwrap();
        assert_eq!(placed.output.state.lines.len(), 1);
        assert_eq!(shop.stock(product).await.available, 0);
    })
    .await;
}

#[tokio::test]
async fn one_short_product_of_several_refuses_the_whole_order_and_is_named() {
    in_shop(settings(), |shop| async move {
        let (plenty, short, gone) = (
            shop.product(100).await,
            shop.product(2).await,
            shop.product(0).await,
        );
        let before = shop.head().await;
        let refused = shop
            .place(&[(plenty, 1), (short, 3), (gone, 1)], DEFAULT)
            .await
            .unwrap_err();
        let shortage = |product_id, requested, available| Shortage {
            product_id,
            requested: Quantity::parse(requested).unwrap(),
            available,
        };
        let shortages = vec![shortage(short, 3, 2), shortage(gone, 1, 0)];
        assert_eq!(refused, Failure::InsufficientStock { shortages });
        assert_eq!(shop.head().await, before, "a refusal stores nothing");
        assert_eq!(shop.stock(plenty).await.reserved, 0);
    })
    .await;
}

#[tokio::test]
async fn every_other_refusal_stores_nothing() {
    in_shop(settings(), |shop| async move {
        let here = shop.product(5).await;
        let elsewhere_id = RegionId(Uuid::now_v7());
        shop.commands
            .open_region(request(), region(elsewhere_id))
            .await
            .unwrap();
        let elsewhere = ProductId(Uuid::now_v7());
        let product = new_product(elsewhere, elsewhere_id, 5);
        shop.commands
            .create_product(request(), Manager::Market, product)
            .await
            .unwrap();
        let deleted = shop.product(5).await;
        shop.commands
            .delete_product(request(), Manager::Market, deleted, None)
            .await
            .unwrap();
        let unknown = ProductId(Uuid::now_v7());
        let before = shop.head().await;

        let mixed = shop.place(&[(here, 1), (elsewhere, 1)], DEFAULT).await;
        let expected = PricingError::MixedRegions {
            product_id: elsewhere,
        };
        assert_eq!(
            mixed.unwrap_err(),
            Failure::Order(OrderError::Pricing(expected))
        );
        let empty = shop.place(&[], DEFAULT).await;
        assert_eq!(
            empty.unwrap_err(),
            Failure::Order(OrderError::Pricing(PricingError::Empty))
        );
        let many: Vec<_> = (0..201).map(|_| (ProductId(Uuid::now_v7()), 1)).collect();
        let many = shop.place(&many, DEFAULT).await;
        assert_eq!(
            many.unwrap_err(),
            Failure::Order(OrderError::Pricing(PricingError::TooManyLines))
        );
        let gone = shop.place(&[(here, 1), (deleted, 1)], DEFAULT).await;
        let expected = Failure::NotOnSale {
            product_id: deleted,
            reason: ProductError::Deleted,
        };
        assert_eq!(gone.unwrap_err(), expected);
        let nothing = shop.place(&[(unknown, 1)], DEFAULT).await;
        let expected = Failure::NotOnSale {
            product_id: unknown,
            reason: ProductError::NotFound,
        };
        assert_eq!(nothing.unwrap_err(), expected);
        let nowhere = new_order(&[(here, 1)], DEFAULT);
        let nowhere = commands::orders::NewOrder {
            region_id: Some(RegionId(Uuid::now_v7())),
            ..nowhere
        };
        let nowhere = shop.commands.place_order(request(), nowhere).await;
        assert_eq!(nowhere.unwrap_err(), Failure::NotFound { what: "region" });
        let method = PaymentMethod::parse("card_4242").unwrap();
        let unpayable = shop.place(&[(here, 1)], method.as_str()).await;
        assert_eq!(
            unpayable.unwrap_err(),
            Failure::UnknownPaymentMethod { method }
        );

        assert_eq!(shop.head().await, before);
        assert_eq!(shop.stock(here).await.reserved, 0);
    })
    .await;
}

#[tokio::test]
async fn a_disabled_region_takes_no_orders_until_it_is_enabled() {
    in_shop(settings(), |shop| async move {
        let product = shop.product(5).await;
        shop.commands
            .disable_region(request(), shop.region_id, None)
            .await
            .unwrap();
        let refused = shop.place(&[(product, 1)], DEFAULT).await.unwrap_err();
        assert_eq!(refused, Failure::Region(RegionError::Disabled));
        shop.commands
            .enable_region(request(), shop.region_id, None)
            .await
            .unwrap();
        assert!(shop.place(&[(product, 1)], DEFAULT).await.is_ok());
    })
    .await;
}

#[tokio::test]
async fn two_hundred_buyers_of_ten_pieces_are_ten_orders() {
    in_shop(settings(), |shop| async move {
        let product = shop.product(10).await;
        let other = shop.another_process(settings()).await;
        let buyers = (0..200).map(|buyer| {
            let commands = if buyer % 2 == 0 {
                shop.commands.clone()
            } else {
                other.clone()
            };
            async move {
                commands
                    .place_order(request(), new_order(&[(product, 1)], DEFAULT))
                    .await
            }
        });
        let answers = join_all(buyers).await;
        let sold = answers.iter().filter(|answer| answer.is_ok()).count();
        let requested = Quantity::ONE;
        let shortages = vec![Shortage {
            product_id: product,
            requested,
            available: 0,
        }];
        let refused = Failure::InsufficientStock { shortages };
        let clearly = answers
            .iter()
            .filter(|answer| answer.as_ref().err() == Some(&refused))
            .count();
        assert_eq!((sold, clearly), (10, 190));
        let stock = shop.stock(product).await;
        assert_eq!((stock.available, stock.reserved), (0, 10));
        other.log().close().await;
    })
    .await;
}

#[tokio::test]
async fn orders_over_the_same_products_in_opposite_order_all_go_through() {
    in_shop(settings(), |shop| async move {
        let (a, b) = (shop.product(100).await, shop.product(100).await);
        let orders = (0..60).map(|order| {
            let shop = shop.clone();
            let items = if order % 2 == 0 {
                [(a, 1), (b, 1)]
            } else {
                [(b, 1), (a, 1)]
            };
            async move { shop.placed(&items, DEFAULT).await }
        });
        let ids: BTreeSet<OrderId> = join_all(orders).await.into_iter().collect();
        assert_eq!(ids.len(), 60);
        assert_eq!(
            (shop.stock(a).await.reserved, shop.stock(b).await.reserved),
            (60, 60)
        );
    })
    .await;
}

#[tokio::test]
async fn a_restock_by_another_process_is_seen_by_the_next_order() {
    in_shop(settings(), |shop| async move {
        let product = shop.product(1).await;
        let other = shop.another_process(settings()).await;
        let place = || other.place_order(request(), new_order(&[(product, 1)], DEFAULT));
        place().await.unwrap();
        assert!(matches!(
            place().await.unwrap_err(),
            Failure::InsufficientStock { .. }
        ));
        shop.restock(product, 1).await;
        place().await.unwrap();
        other.log().close().await;
    })
    .await;
}

#[tokio::test]
async fn the_same_order_placed_again_is_the_same_order() {
    in_shop(settings(), |shop| async move {
        let product = shop.product(5).await;
        let order = new_order(&[(product, 2)], DEFAULT);
        let first = shop
            .commands
            .place_order(request(), order.clone())
            .await
            .unwrap();
        let again = shop.commands.place_order(request(), order).await.unwrap();
        assert_eq!(again.output, first.output);
        assert_eq!(again.appended, 0);
        assert_eq!(shop.stock(product).await.reserved, 2);
    })
    .await;
}

#[tokio::test]
async fn a_used_idempotency_key_places_nothing_and_names_the_first_order() {
    in_shop(settings(), |shop| async move {
        let product = shop.product(5).await;
        let keyed = |order_id: OrderId| {
            let key = IdempotencyKey {
                id: Uuid::from_u128(1),
                fingerprint: vec![1, 2, 3],
                status: 201,
                resource: order_id.to_string(),
            };
            commands::Request {
                key: Some(key),
                ..request()
            }
        };
        let clicks = (0..2).map(|_| {
            let order = new_order(&[(product, 1)], DEFAULT);
            shop.commands.place_order(keyed(order.order_id), order)
        });
        let answers = join_all(clicks).await;
        let placed: Vec<_> = answers
            .iter()
            .filter_map(|answer| answer.as_ref().ok())
            .collect();
        assert_eq!(placed.len(), 1);
        assert!(
            answers
                .iter()
                .any(|answer| answer.as_ref().err() == Some(&Failure::KeyTaken))
        );
        let stored = shop
            .log
            .stored_answer(Uuid::from_u128(1))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(stored.resource, placed[0].output.state.order_id.to_string());
        assert_eq!(shop.stock(product).await.reserved, 1);
    })
    .await;
}

#[tokio::test]
async fn an_order_that_costs_nothing_is_paid_at_once() {
    in_shop(settings(), |shop| async move {
        let product = ProductId(Uuid::now_v7());
        let mut free = new_product(product, shop.region_id, 3);
        free.price = Money::zero(usd());
        shop.commands
            .create_product(request(), Manager::Market, free)
            .await
            .unwrap();
        let placed = shop
            .place(&[(product, 1)], DEFAULT)
            .await
            .unwrap()
            .output
            .state;
        assert_eq!(
            (placed.status, placed.payment_status),
            (OrderStatus::Processing, PaymentStatus::Paid)
        );
        let stock = shop.stock(product).await;
        assert_eq!((stock.available, stock.reserved, stock.sold), (2, 0, 1));
        let cancelled = shop.cancel(placed.order_id).await.unwrap();
        assert_eq!(cancelled.output.progress, commands::orders::Progress::Done);
        assert_eq!(shop.stock(product).await.available, 3);
    })
    .await;
}

#[tokio::test]
async fn orders_keep_the_tax_rate_that_they_were_placed_under() {
    in_shop(settings(), |shop| async move {
        let product = shop.product(5).await;
        let before = shop.placed(&[(product, 1)], DEFAULT).await;
        let changes = commands::regions::RegionChanges {
            tax_rate: Some(domain::money::TaxRate::ZERO),
            ..Default::default()
        };
        shop.commands
            .change_region(request(), shop.region_id, changes, None)
            .await
            .unwrap();
        let after = shop.placed(&[(product, 1)], DEFAULT).await;
        assert_eq!(shop.order(before).await.tax, 100);
        assert_eq!(shop.order(after).await.tax, 0);
    })
    .await;
}

#[tokio::test]
async fn a_command_whose_deadline_has_passed_is_not_decided() {
    in_shop(settings(), |shop| async move {
        let product = shop.product(5).await;
        let late = commands::Request {
            deadline: Some(std::time::Instant::now()),
            ..request()
        };
        let order = new_order(&[(product, 1)], DEFAULT);
        let refused = shop.commands.place_order(late, order).await.unwrap_err();
        assert_eq!(refused, Failure::DeadlinePassed);
        assert!(refused.is_passing());
    })
    .await;
}
