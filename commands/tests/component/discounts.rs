//! Discounts: whoever orders at the same time, no more orders use one than may, and a use comes back once.

use std::num::NonZeroU32;

use commands::{
    Commands, Failure, Manager,
    discounts::{DiscountChanges, NewDiscount},
    orders::{ChangeOrder, DeleteOrder, NewOrder, OrderItem, QuoteRequest},
    payment_methods::DEFAULT,
};
use domain::{
    automatic_discounts::{AutomaticDiscountsError, MAX_AUTOMATIC},
    discount::{Discount, DiscountRules, DiscountScope, DiscountValue, NotDue, Percentage},
    ids::{DiscountId, ProductId, UserId},
    order::{OrderStatus, PaymentStatus},
    product::Change,
    text::{DiscountCode, Quantity, Title},
};
use futures::future::join_all;
use uuid::Uuid;

use crate::{
    sellers::{open, product_of, someone},
    shop::{PRICE, Shop, in_shop, new_order, request, settings},
};

const CODE: &str = "TET";

pub(crate) fn code(text: &str) -> DiscountCode {
    DiscountCode::parse(text).unwrap()
}

pub(crate) fn percent(basis_points: u32) -> DiscountRules {
    let basis_points = Percentage::from_basis_points(basis_points).unwrap();
    rules(DiscountValue::Percentage { basis_points })
}

fn rules(value: DiscountValue) -> DiscountRules {
    DiscountRules {
        title: Title::parse("Tết").unwrap(),
        value,
        scope: DiscountScope::default(),
        minimum: 0,
        starts_at: None,
        ends_at: None,
        max_uses: None,
        max_uses_per_customer: None,
    }
}

pub(crate) async fn give(shop: &Shop, code: Option<&str>, rules: DiscountRules) -> DiscountId {
    let discount_id = DiscountId(Uuid::now_v7());
    let discount = NewDiscount {
        discount_id,
        region_id: shop.region_id,
        currency: None,
        shop_id: None,
        code: code.map(|code| DiscountCode::parse(code).unwrap()),
        rules,
    };
    let given = shop
        .commands
        .create_discount(request(), Manager::Market, discount)
        .await;
    given.unwrap().output.state.discount_id
}

pub(crate) async fn used(shop: &Shop, id: DiscountId) -> u64 {
    let (discount, _) = shop.log.load::<Discount>(id).await.unwrap();
    discount.details().unwrap().used
}

fn with_code(items: &[(ProductId, u64)]) -> NewOrder {
    NewOrder {
        codes: vec![code(CODE)],
        ..new_order(items, DEFAULT)
    }
}

fn once(rules: DiscountRules) -> DiscountRules {
    DiscountRules {
        max_uses: NonZeroU32::new(1),
        ..rules
    }
}

fn of(product: ProductId, rules: DiscountRules) -> DiscountRules {
    DiscountRules {
        scope: DiscountScope {
            product_ids: [product].into(),
            ..DiscountScope::default()
        },
        ..rules
    }
}

fn not_due(reason: NotDue) -> Failure {
    let code = code(CODE);
    Failure::DiscountNotDue { code, reason }
}

#[tokio::test]
async fn an_order_has_the_discount_of_its_code_and_the_ones_that_need_none() {
    in_shop(settings(), |shop| async move {
        let (teapot, cup) = (shop.product(10).await, shop.product(10).await);
        let automatic = give(&shop, None, of(teapot, percent(5_000))).await;
        let coded = give(&shop, Some(CODE), percent(1_000)).await;
        let order = with_code(&[(teapot, 1), (cup, 1)]);
        let placed = shop.commands.place_order(request(), order).await.unwrap();
        let order = placed.output.state;
        // half of the teapot, a tenth of the cup, and the tax on what is left
        assert_eq!((order.subtotal, order.discount), (2 * PRICE, 600));
        assert_eq!(order.total, 1_540);
        let ids: Vec<_> = order.discounts.iter().map(|it| it.discount_id).collect();
        assert_eq!(ids, [automatic, coded]);
        assert_eq!(
            (used(&shop, automatic).await, used(&shop, coded).await),
            (1, 1)
        );
        let without = shop.place(&[(cup, 1)], DEFAULT).await.unwrap();
        assert_eq!(without.output.state.discounts, []);
    })
    .await;
}

/// Edge case 39.
#[tokio::test]
async fn the_last_use_of_a_coupon_goes_to_one_of_many_buyers() {
    in_shop(settings(), |shop| async move {
        let product = shop.product(100).await;
        let discount = give(&shop, Some(CODE), once(percent(1_000))).await;
        let other = shop.another_process(settings()).await;
        let placed = join_all((0..40).map(|number| {
            let commands: &Commands = if number % 2 == 0 {
                &shop.commands
            } else {
                &other
            };
            commands.place_order(request(), with_code(&[(product, 1)]))
        }))
        .await;
        other.log().close().await;
        let won = placed.iter().filter(|placed| placed.is_ok()).count();
        assert_eq!(won, 1);
        let lost = placed.into_iter().filter_map(Result::err);
        assert!(lost.into_iter().all(|lost| lost == not_due(NotDue::UsedUp)));
        assert_eq!(used(&shop, discount).await, 1);
        assert_eq!(shop.stock(product).await.reserved, 1);
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_an_unpaid_and_a_deleted_order_give_their_use_back_once() {
    in_shop(settings(), |shop| async move {
        let product = shop.product(10).await;
        let discount = give(&shop, Some(CODE), once(percent(1_000))).await;
        let place = async || {
            let order = with_code(&[(product, 1)]);
            let placed = shop.commands.place_order(request(), order).await;
            placed.map(|placed| placed.output.state.order_id)
        };
        let first = place().await.unwrap();
        assert_eq!(place().await, Err(not_due(NotDue::UsedUp)));
        shop.cancel(first).await.unwrap();
        shop.cancel(first).await.unwrap();
        assert_eq!(used(&shop, discount).await, 0);
        let second = place().await.unwrap();
        let delete = DeleteOrder {
            order_id: second,
            requested_by: None,
            only_of: None,
        };
        let deleted = shop.commands.delete_order(request(), delete, None).await;
        deleted.unwrap();
        assert_eq!(used(&shop, discount).await, 0);
        let running = shop.run_saga().await;
        let third = NewOrder {
            codes: vec![code(CODE)],
            ..new_order(&[(product, 1)], "test_declined")
        };
        let third = shop.commands.place_order(request(), third).await.unwrap();
        let third = third.output.state.order_id;
        shop.until_order(third, "unpaid", |order| {
            order.status == OrderStatus::Cancelled
        })
        .await;
        assert_eq!(used(&shop, discount).await, 0);
        running.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_customer_uses_a_discount_as_often_as_one_may() {
    in_shop(settings(), |shop| async move {
        let product = shop.product(10).await;
        let rules = DiscountRules {
            max_uses_per_customer: NonZeroU32::new(1),
            ..percent(1_000)
        };
        let discount = give(&shop, Some(CODE), rules).await;
        let (mai, binh) = (UserId(Uuid::now_v7()), UserId(Uuid::now_v7()));
        let place = async |customer_id| {
            let order = with_code(&[(product, 1)]);
            let order = NewOrder {
                customer_id,
                ..order
            };
            let placed = shop.commands.place_order(request(), order).await;
            placed.map(|placed| placed.output.state.order_id)
        };
        let first = place(mai).await.unwrap();
        assert_eq!(place(mai).await, Err(not_due(NotDue::UsedUpByCustomer)));
        place(binh).await.unwrap();
        shop.cancel(first).await.unwrap();
        place(mai).await.unwrap();
        assert_eq!(used(&shop, discount).await, 2);
    })
    .await;
}

/// What the customer has used of it is not even looked up: it would be, for every discount that there is.
#[tokio::test]
async fn a_discount_that_covers_nothing_says_so_also_to_whoever_has_used_it_up() {
    in_shop(settings(), |shop| async move {
        let (teapot, cup) = (shop.product(10).await, shop.product(10).await);
        let of_teapots = DiscountRules {
            max_uses_per_customer: NonZeroU32::new(1),
            minimum: 2 * PRICE,
            ..of(teapot, once(percent(1_000)))
        };
        give(&shop, Some(CODE), of_teapots).await;
        let customer_id = UserId(Uuid::now_v7());
        let refused = async |customer_id, items: &[(ProductId, u64)]| {
            let order = NewOrder {
                customer_id,
                ..with_code(items)
            };
            let placed = shop.commands.place_order(request(), order).await;
            placed.map(|_| ())
        };
        let below = refused(customer_id, &[(teapot, 1)]).await;
        assert_eq!(below, Err(not_due(NotDue::BelowMinimum)));
        assert_eq!(refused(customer_id, &[(teapot, 2)]).await, Ok(()));
        for (buyer, items, reason) in [
            (customer_id, (cup, 5), NotDue::NothingCovered),
            (customer_id, (teapot, 2), NotDue::UsedUp),
            (UserId(Uuid::now_v7()), (teapot, 1), NotDue::UsedUp),
        ] {
            assert_eq!(refused(buyer, &[items]).await, Err(not_due(reason)));
        }
    })
    .await;
}

#[tokio::test]
async fn discounts_of_a_shop_that_was_closed_are_neither_given_nor_counted() {
    in_shop(settings(), |shop| async move {
        let mai = someone();
        let (hats, coats) = (open(&shop, mai).await, open(&shop, mai).await);
        let (hat, coat) = (
            product_of(hats, shop.region_id),
            product_of(coats, shop.region_id),
        );
        let bought = [(hat.product_id, 1), (coat.product_id, 1)];
        for product in [hat, coat] {
            let created = shop
                .commands
                .create_product(request(), Manager::Seller(mai), product);
            created.await.unwrap();
        }
        let give_in = async |shop_id, code: Option<&str>| {
            let discount = NewDiscount {
                discount_id: DiscountId(Uuid::now_v7()),
                region_id: shop.region_id,
                currency: None,
                shop_id: Some(shop_id),
                code: code.map(|code| DiscountCode::parse(code).unwrap()),
                rules: percent(1_000),
            };
            let by = Manager::Seller(mai);
            let given = shop.commands.create_discount(request(), by, discount);
            given.await.map(|_| ())
        };
        for _ in 0..MAX_AUTOMATIC {
            give_in(hats, None).await.unwrap();
        }
        let too_many = Failure::AutomaticDiscounts(AutomaticDiscountsError::TooMany);
        assert_eq!(give_in(hats, None).await, Err(too_many));
        give_in(hats, Some(CODE)).await.unwrap();
        let placed = shop.place(&bought, DEFAULT).await.unwrap();
        assert_eq!(placed.output.state.discount, PRICE / 10, "of the hat");

        let closing = shop
            .commands
            .close_shop(request(), Manager::Seller(mai), hats, None);
        closing.await.unwrap();
        let refused = shop
            .commands
            .place_order(request(), with_code(&bought[1..]));
        assert_eq!(refused.await.unwrap_err(), not_due(NotDue::NothingCovered));
        let placed = shop.place(&bought[1..], DEFAULT).await.unwrap();
        assert_eq!(placed.output.state.discounts, []);
        give_in(coats, None).await.unwrap();
        let placed = shop.place(&bought[1..], DEFAULT).await.unwrap();
        assert_eq!(placed.output.state.discount, PRICE / 10);
    })
    .await;
}

#[tokio::test]
async fn a_customer_who_orders_in_many_tabs_at_once_uses_a_discount_as_often_as_one_may() {
    in_shop(settings(), |shop| async move {
        let product = shop.product(100).await;
        let rules = DiscountRules {
            max_uses_per_customer: NonZeroU32::new(2),
            ..percent(1_000)
        };
        let discount = give(&shop, Some(CODE), rules).await;
        let other = shop.another_process(settings()).await;
        let customer_id = UserId(Uuid::now_v7());
        let placed = join_all((0..30).map(|number| {
            let commands: &Commands = if number % 2 == 0 {
                &shop.commands
            } else {
                &other
            };
            let order = with_code(&[(product, 1)]);
            let order = NewOrder {
                customer_id,
                ..order
            };
            commands.place_order(request(), order)
        }))
        .await;
        other.log().close().await;
        let won = placed.iter().filter(|placed| placed.is_ok()).count();
        assert_eq!(won, 2);
        let used_up = not_due(NotDue::UsedUpByCustomer);
        let mut lost = placed.into_iter().filter_map(Result::err);
        assert!(lost.all(|lost| lost == used_up));
        assert_eq!(used(&shop, discount).await, 2);
    })
    .await;
}

#[tokio::test]
async fn changed_items_keep_a_discount_that_is_used_up_and_let_go_of_one_that_covers_nothing() {
    in_shop(settings(), |shop| async move {
        let (teapot, cup) = (shop.product(10).await, shop.product(10).await);
        let of_teapots = of(teapot, once(percent(5_000)));
        let discount = give(&shop, Some(CODE), of_teapots).await;
        let order = with_code(&[(teapot, 1)]);
        let placed = shop.commands.place_order(request(), order).await.unwrap();
        let order_id = placed.output.state.order_id;
        let change = async |product_id, pieces| {
            let change = ChangeOrder {
                order_id,
                customer_name: None,
                shipping_address: None,
                items: Some(vec![OrderItem {
                    product_id,
                    quantity: Quantity::parse(pieces).unwrap(),
                }]),
                expected_total: None,
                only_of: None,
            };
            let changed = shop.commands.change_order(request(), change, None).await;
            changed.unwrap().output.state
        };
        let more = change(teapot, 3).await;
        assert_eq!((more.discount, used(&shop, discount).await), (1_500, 1));
        let other = change(cup, 1).await;
        assert_eq!((other.discount, used(&shop, discount).await), (0, 0));
        assert_eq!(shop.stock(teapot).await.reserved, 0);
    })
    .await;
}

/// Edge case 38.
#[tokio::test]
async fn a_discount_of_everything_is_paid_at_once_without_a_gateway() {
    in_shop(settings(), |shop| async move {
        let product = shop.product(10).await;
        give(&shop, Some(CODE), percent(10_000)).await;
        let order = with_code(&[(product, 2)]);
        let placed = shop.commands.place_order(request(), order).await.unwrap();
        let order = placed.output.state;
        assert_eq!(
            (order.total, order.payment_status),
            (0, PaymentStatus::Paid)
        );
        assert_eq!(order.status, OrderStatus::Processing);
        assert_eq!(shop.payment(order.order_id).await, None);
        assert_eq!(shop.stock(product).await.sold, 2);
    })
    .await;
}

#[tokio::test]
async fn a_code_is_one_discounts_until_that_is_deleted() {
    in_shop(settings(), |shop| async move {
        let product = shop.product(10).await;
        let first = give(&shop, Some(CODE), percent(1_000)).await;
        let again = NewDiscount {
            discount_id: DiscountId(Uuid::now_v7()),
            region_id: shop.region_id,
            currency: None,
            shop_id: None,
            code: Some(code("tet")),
            rules: percent(2_000),
        };
        let create = async || {
            shop.commands
                .create_discount(request(), Manager::Market, again.clone())
                .await
        };
        assert!(matches!(
            create().await,
            Err(Failure::ClaimTaken { value, .. }) if value == CODE
        ));
        let deleted = shop
            .commands
            .delete_discount(request(), Manager::Market, first, Some(1))
            .await;
        deleted.unwrap();
        let gone = with_code(&[(product, 1)]);
        let refused = shop.commands.place_order(request(), gone).await;
        assert_eq!(refused.unwrap_err(), not_due(NotDue::Unknown));
        create().await.unwrap();
        let order = with_code(&[(product, 1)]);
        let placed = shop.commands.place_order(request(), order).await.unwrap();
        assert_eq!(placed.output.state.discount, 200);
    })
    .await;
}

#[tokio::test]
async fn a_discount_that_needs_no_code_is_given_as_its_rules_are_now_and_no_more_when_deleted() {
    in_shop(settings(), |shop| async move {
        let product = shop.product(10).await;
        let discount = give(&shop, None, percent(1_000)).await;
        let discounted = async || {
            let placed = shop.place(&[(product, 1)], DEFAULT).await.unwrap();
            placed.output.state.discount
        };
        assert_eq!(discounted().await, 100);
        let change = async |changes| {
            shop.commands
                .change_discount(request(), Manager::Market, discount, changes, None)
                .await
                .unwrap()
        };
        let ended = chrono::Utc::now() - chrono::TimeDelta::seconds(1);
        change(DiscountChanges {
            ends_at: Change::Set(ended),
            ..DiscountChanges::default()
        })
        .await;
        assert_eq!(discounted().await, 0);
        let changed = change(DiscountChanges {
            ends_at: Change::Clear,
            minimum: Some(PRICE),
            ..DiscountChanges::default()
        })
        .await;
        assert_eq!(
            changed.output.sequence, 3,
            "an order that used it does not count"
        );
        assert_eq!(discounted().await, 100);
        let stale = shop
            .commands
            .delete_discount(request(), Manager::Market, discount, Some(2))
            .await;
        assert_eq!(
            stale.unwrap_err(),
            Failure::PreconditionFailed { current: 3 }
        );
        let deleted = shop
            .commands
            .delete_discount(request(), Manager::Market, discount, Some(3))
            .await;
        deleted.unwrap();
        assert_eq!(discounted().await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_quote_shows_the_price_of_an_order_and_changes_nothing() {
    in_shop(settings(), |shop| async move {
        let product = shop.product(2).await;
        let discount = give(&shop, Some(CODE), once(percent(1_000))).await;
        let wanted = |pieces| QuoteRequest {
            customer_id: UserId(Uuid::now_v7()),
            region_id: None,
            items: vec![OrderItem {
                product_id: product,
                quantity: Quantity::parse(pieces).unwrap(),
            }],
            codes: vec![code(CODE), code("NOSUCH")],
        };
        let head = shop.head().await;
        let quote = shop.commands.quote(request(), wanted(3)).await.unwrap();
        assert_eq!((quote.appended, shop.head().await), (0, head));
        let quote = quote.output;
        assert_eq!((quote.priced.discount, quote.priced.total), (300, 2_970));
        let refused: Vec<_> = quote
            .refused
            .iter()
            .map(|refused| (refused.code.as_str(), refused.reason))
            .collect();
        assert_eq!(refused, [("NOSUCH", NotDue::Unknown)]);
        assert_eq!(quote.shortages[0].available, 2);
        let order = with_code(&[(product, 2)]);
        shop.commands.place_order(request(), order).await.unwrap();
        let quote = shop.commands.quote(request(), wanted(1)).await.unwrap();
        assert_eq!(quote.output.refused[0].reason, NotDue::UsedUp);
        assert_eq!(used(&shop, discount).await, 1);
    })
    .await;
}

#[tokio::test]
async fn an_order_is_placed_at_the_total_that_its_customer_names_or_not_at_all() {
    in_shop(settings(), |shop| async move {
        let product = shop.product(10).await;
        let at = |expected_total| NewOrder {
            expected_total: Some(expected_total),
            ..new_order(&[(product, 1)], DEFAULT)
        };
        let refused = shop.commands.place_order(request(), at(1_000)).await;
        assert!(matches!(
            refused,
            Err(Failure::PriceChanged { total, .. }) if total.amount == 1_100
        ));
        assert_eq!(shop.stock(product).await.reserved, 0);
        let placed = shop.commands.place_order(request(), at(1_100)).await;
        placed.unwrap();
    })
    .await;
}
