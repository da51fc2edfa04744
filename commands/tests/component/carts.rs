//! Carts: what is in them, what changed since, and their becoming orders.

use commands::{
    Failure, Manager, PriceDifference,
    carts::{CartNow, NotForSale, Put},
    orders::CheckOut,
};
use domain::{
    cart::CartError,
    discount::NotDue,
    ids::{OrderId, ProductId, RegionId, UserId},
    money::Money,
    order::OrderError,
    pricing::PricingError,
    product::ProductChanges,
    text::{CountryCode, Quantity},
};
use futures::future::join_all;
use uuid::Uuid;

use crate::shop::{PRICE, Shop, in_shop, new_product, region, request, settings, usd};

fn pieces(number: u64) -> Quantity {
    Quantity::parse(number).unwrap()
}

async fn put(shop: &Shop, customer: UserId, product: ProductId, put: Put) -> CartNow {
    shop.commands
        .put_in_cart(request(), customer, shop.region_id, product, put)
        .await
        .unwrap()
        .output
}

fn wanted(shop: &Shop, customer_id: UserId, expected_total: Option<i64>) -> CheckOut {
    CheckOut {
        order_id: OrderId(Uuid::now_v7()),
        customer_id,
        region_id: shop.region_id,
        customer_name: "Nguyễn Thị Mai".into(),
        shipping_address: "12 Hàng Bạc, Hà Nội".into(),
        shipping_country: None,
        payment_method: None,
        expected_total,
    }
}

async fn set_price(shop: &Shop, product: ProductId, cents: i64) {
    let changes = ProductChanges {
        price: Some(Money::new(cents, usd())),
        ..ProductChanges::default()
    };
    shop.commands
        .update_product(request(), Manager::Market, product, changes, None)
        .await
        .unwrap();
}

fn customer() -> UserId {
    UserId(Uuid::now_v7())
}

#[tokio::test]
async fn pieces_are_added_set_and_taken_out_and_nothing_is_reserved() {
    in_shop(settings(), |shop| async move {
        let (teapot, cup) = (shop.product(5).await, shop.product(5).await);
        let mai = customer();
        put(&shop, mai, teapot, Put::Add(pieces(2))).await;
        put(&shop, mai, cup, Put::Set(pieces(1))).await;
        let cart = put(&shop, mai, teapot, Put::Add(pieces(1))).await;
        let held: Vec<_> = cart
            .items
            .iter()
            .map(|item| (item.product_id, item.quantity))
            .collect();
        assert_eq!(held, [(teapot, pieces(3)), (cup, pieces(1))]);
        assert_eq!(cart.priced.unwrap().total, 4_400);
        assert_eq!(shop.stock(teapot).await.reserved, 0);
        let others = shop
            .commands
            .cart(request(), customer(), shop.region_id)
            .await;
        assert!(others.unwrap().output.items.is_empty());
        let left = shop
            .commands
            .remove_from_cart(request(), mai, shop.region_id, teapot)
            .await;
        assert_eq!(left.unwrap().output.items.len(), 1);
        let cleared = shop.commands.clear_cart(request(), mai, shop.region_id);
        let cleared = cleared.await.unwrap().output;
        assert!(cleared.items.is_empty() && cleared.priced.is_none());
    })
    .await;
}

#[tokio::test]
async fn many_tabs_that_add_at_once_all_count() {
    in_shop(settings(), |shop| async move {
        let (product, mai) = (shop.product(5).await, customer());
        join_all((0..10).map(|_| put(&shop, mai, product, Put::Add(pieces(1))))).await;
        let cart = shop.commands.cart(request(), mai, shop.region_id).await;
        assert_eq!(cart.unwrap().output.items[0].quantity, pieces(10));
    })
    .await;
}

/// Edge case 34: nothing is converted, and each region has a cart of its own.
#[tokio::test]
async fn a_cart_takes_nothing_of_another_region() {
    in_shop(settings(), |shop| async move {
        let elsewhere = RegionId(Uuid::now_v7());
        let open = shop.commands.open_region(request(), region(elsewhere));
        open.await.unwrap();
        let product_id = ProductId(Uuid::now_v7());
        let product = new_product(product_id, elsewhere, 1);
        let create = shop
            .commands
            .create_product(request(), Manager::Market, product);
        create.await.unwrap();
        let mai = customer();
        let refused = shop
            .commands
            .put_in_cart(
                request(),
                mai,
                shop.region_id,
                product_id,
                Put::Add(pieces(1)),
            )
            .await;
        let mixed = PricingError::MixedRegions { product_id };
        assert_eq!(
            refused.unwrap_err(),
            Failure::Order(OrderError::Pricing(mixed))
        );
        let there = shop
            .commands
            .put_in_cart(request(), mai, elsewhere, product_id, Put::Add(pieces(1)))
            .await;
        assert_eq!(there.unwrap().output.items.len(), 1);
        let here = shop.commands.cart(request(), mai, shop.region_id).await;
        assert!(here.unwrap().output.items.is_empty());
    })
    .await;
}

/// Edge case 31.
#[tokio::test]
async fn a_price_that_changed_since_is_shown_and_paid_only_by_who_accepts_it() {
    in_shop(settings(), |shop| async move {
        let (product, mai) = (shop.product(5).await, customer());
        put(&shop, mai, product, Put::Add(pieces(1))).await;
        set_price(&shop, product, 1_200).await;
        let cart = shop.commands.cart(request(), mai, shop.region_id).await;
        let cart = cart.unwrap().output;
        assert_eq!(cart.items[0].price_then.amount, PRICE);
        assert_eq!(cart.items[0].product.as_ref().unwrap().price.amount, 1_200);
        let check_out = async |expected| {
            let wanted = wanted(&shop, mai, expected);
            shop.commands.check_out(request(), wanted).await
        };
        let differs = Failure::PriceChanged {
            differences: vec![
                PriceDifference::UnitPrice {
                    product_id: product,
                    was: Money::new(PRICE, usd()),
                    is: Money::new(1_200, usd()),
                },
                PriceDifference::Tax {
                    was: None,
                    is: Money::new(120, usd()),
                },
                PriceDifference::Discount {
                    was: None,
                    is: Money::zero(usd()),
                },
            ],
            total: Money::new(1_320, usd()),
        };
        assert_eq!(check_out(None).await.unwrap_err(), differs);
        assert_eq!(check_out(Some(1_100)).await.unwrap_err(), differs);
        assert_eq!(shop.stock(product).await.reserved, 0);
        let placed = check_out(Some(1_320)).await.unwrap();
        assert_eq!(placed.output.state.total, 1_320);
        assert_eq!(
            check_out(Some(1_320)).await.unwrap_err(),
            Failure::Cart(CartError::Empty)
        );
    })
    .await;
}

/// Edge case 32.
#[tokio::test]
async fn a_deleted_product_blocks_the_checkout_until_it_is_taken_out() {
    in_shop(settings(), |shop| async move {
        let (gone, cup, mai) = (shop.product(5).await, shop.product(5).await, customer());
        put(&shop, mai, gone, Put::Add(pieces(1))).await;
        put(&shop, mai, cup, Put::Add(pieces(1))).await;
        let ordered = wanted(&shop, mai, None);
        let order_id = shop.commands.check_out(request(), ordered).await.unwrap();
        let order_id = order_id.output.state.order_id;
        put(&shop, mai, gone, Put::Add(pieces(1))).await;
        put(&shop, mai, cup, Put::Add(pieces(1))).await;
        let delete = shop
            .commands
            .delete_product(request(), Manager::Market, gone, None);
        delete.await.unwrap();
        let cart = shop.commands.cart(request(), mai, shop.region_id).await;
        let cart = cart.unwrap().output;
        assert_eq!(cart.items[0].product, Err(NotForSale::NotOnSale));
        assert_eq!(cart.priced.unwrap().total, 1_100, "of what is sold");
        let blocked = shop
            .commands
            .check_out(request(), wanted(&shop, mai, Some(1_100)))
            .await;
        assert!(matches!(
            blocked,
            Err(Failure::NotOnSale { product_id, .. }) if product_id == gone
        ));
        let remove = shop
            .commands
            .remove_from_cart(request(), mai, shop.region_id, gone);
        remove.await.unwrap();
        let placed = shop
            .commands
            .check_out(request(), wanted(&shop, mai, Some(1_100)))
            .await;
        placed.unwrap();
        assert_eq!(shop.order(order_id).await.lines.len(), 2, "unchanged");
    })
    .await;
}

#[tokio::test]
async fn of_many_tabs_that_check_out_one_orders() {
    in_shop(settings(), |shop| async move {
        let (product, mai) = (shop.product(5).await, customer());
        put(&shop, mai, product, Put::Add(pieces(1))).await;
        let answers = join_all((0..8).map(|_| {
            let wanted = wanted(&shop, mai, None);
            shop.commands.check_out(request(), wanted)
        }))
        .await;
        let placed = answers.iter().filter(|answer| answer.is_ok()).count();
        assert_eq!(placed, 1);
        assert_eq!(shop.stock(product).await.reserved, 1);
        let others = answers.into_iter().filter_map(Result::err);
        for other in others {
            let known = [Failure::CartChanged, Failure::Cart(CartError::Empty)];
            assert!(known.contains(&other), "{other:?}");
        }
    })
    .await;
}

/// Edge case 33.
#[tokio::test]
async fn an_order_to_another_country_than_the_regions_is_refused() {
    in_shop(settings(), |shop| async move {
        let (product, mai) = (shop.product(5).await, customer());
        put(&shop, mai, product, Put::Add(pieces(1))).await;
        let to = |country: &str| CheckOut {
            shipping_country: Some(CountryCode::parse(country).unwrap()),
            ..wanted(&shop, mai, None)
        };
        let refused = shop.commands.check_out(request(), to("VN")).await;
        assert!(matches!(refused, Err(Failure::CountryOutsideRegion { .. })));
        assert_eq!(shop.stock(product).await.reserved, 0);
        shop.commands.check_out(request(), to("us")).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn an_order_that_is_refused_leaves_the_cart_as_it_is() {
    in_shop(settings(), |shop| async move {
        let (product, mai) = (shop.product(1).await, customer());
        put(&shop, mai, product, Put::Add(pieces(2))).await;
        let short = wanted(&shop, mai, None);
        let short = shop.commands.check_out(request(), short).await;
        assert!(matches!(short, Err(Failure::InsufficientStock { .. })));
        let cart = shop.commands.cart(request(), mai, shop.region_id).await;
        assert_eq!(cart.unwrap().output.items[0].quantity, pieces(2));
        let nothing = wanted(&shop, customer(), None);
        let nothing = shop.commands.check_out(request(), nothing).await;
        assert_eq!(nothing.unwrap_err(), Failure::Cart(CartError::Empty));
    })
    .await;
}

#[tokio::test]
async fn the_codes_of_a_cart_are_used_by_its_order() {
    use crate::discounts::{code, give};
    use domain::discount::{DiscountRules, DiscountScope, DiscountValue};
    use domain::text::Title;
    in_shop(settings(), |shop| async move {
        let (product, mai) = (shop.product(5).await, customer());
        let rules = DiscountRules {
            title: Title::parse("Three off").unwrap(),
            value: DiscountValue::Amount { amount: 300 },
            scope: DiscountScope::default(),
            minimum: 2 * PRICE,
            starts_at: None,
            ends_at: None,
            max_uses: None,
            max_uses_per_customer: None,
        };
        give(&shop, Some("THREE"), rules).await;
        let set = async |codes: &[&str]| {
            let codes: Vec<_> = codes.iter().map(|text| code(text)).collect();
            shop.commands
                .set_cart_codes(request(), mai, shop.region_id, &codes)
                .await
        };
        let unknown = Failure::DiscountNotDue {
            code: code("NOSUCH"),
            reason: NotDue::Unknown,
        };
        assert_eq!(set(&["NOSUCH"]).await.unwrap_err(), unknown);
        put(&shop, mai, product, Put::Add(pieces(1))).await;
        let cart = set(&["three"]).await.unwrap().output;
        assert_eq!(cart.refused[0].reason, NotDue::BelowMinimum);
        let blocked = shop.commands.check_out(request(), wanted(&shop, mai, None));
        assert!(matches!(
            blocked.await,
            Err(Failure::DiscountNotDue {
                reason: NotDue::BelowMinimum,
                ..
            })
        ));
        let cart = put(&shop, mai, product, Put::Set(pieces(2))).await;
        assert!(cart.refused.is_empty());
        assert_eq!(cart.priced.unwrap().total, 1_870);
        let placed = shop.commands.check_out(request(), wanted(&shop, mai, None));
        assert_eq!(placed.await.unwrap().output.state.total, 1_870);
        let cart = shop.commands.cart(request(), mai, shop.region_id).await;
        assert!(cart.unwrap().output.codes.is_empty(), "ordered");
    })
    .await;
}
