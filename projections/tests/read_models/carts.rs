//! Carts: what customers mean to buy.

use domain::{
    cart::{Cart, CartCode, CartCommand, CartItem},
    ids::{CartId, DiscountId, OrderId, ProductId, RegionId, UserId},
    text::DiscountCode,
};
use projections::{
    View,
    carts::{CartFilter, CartSort, CartView},
    page::{Direction, Limits, PageRequest, Sort},
};
use uuid::Uuid;

use crate::shop::{Shop, customer, quantity};

fn product(number: u128) -> ProductId {
    ProductId(Uuid::from_u128(number))
}

fn put(owner: (UserId, RegionId), number: u128, pieces: u64, unit_price: i64) -> CartCommand {
    let (customer_id, region_id) = owner;
    CartCommand::PutItem {
        customer_id,
        region_id,
        item: CartItem {
            product_id: product(number),
            quantity: quantity(pieces),
            unit_price,
        },
    }
}

/// The row says what the aggregate says.
async fn check(shop: &Shop, (customer_id, region_id): (UserId, RegionId)) -> CartView {
    let id = CartId::of(customer_id, region_id);
    let row = shop.models.cart(id).await.unwrap().unwrap();
    let (cart, sequence) = shop.log.load::<Cart>(id).await.unwrap();
    assert_eq!((row.cart_id, row.sequence), (id, sequence));
    assert_eq!((row.customer_id, row.region_id), (customer_id, region_id));
    assert_eq!(row.items, cart.items());
    assert_eq!(row.codes, cart.codes());
    assert_eq!(row.products, row.items.len() as i64);
    let pieces = row.items.iter().map(|item| i64::from(item.quantity));
    assert_eq!(row.pieces, pieces.sum::<i64>());
    row
}

#[tokio::test]
async fn a_cart_is_as_its_events_tell_followed_or_in_one_batch() {
    let mut shop = Shop::open().await;
    let region_id = RegionId(Uuid::now_v7());
    let codes = |owner: (UserId, RegionId)| CartCommand::SetCodes {
        customer_id: owner.0,
        region_id: owner.1,
        codes: vec![CartCode {
            code: DiscountCode::parse("tet").unwrap(),
            discount_id: DiscountId(Uuid::from_u128(9)),
        }],
    };
    let history = |owner| {
        let order_id = OrderId(Uuid::now_v7());
        vec![
            put(owner, 1, 2, 1_000),
            put(owner, 2, 1, 500),
            codes(owner),
            put(owner, 1, 3, 900),
            CartCommand::RemoveItem {
                product_id: product(2),
            },
            CartCommand::ClearCart,
            put(owner, 2, 7, 500),
            CartCommand::CheckOut { order_id },
            codes(owner),
            put(owner, 1, 1, 1),
        ]
    };
    let followed = (customer(), region_id);
    for command in history(followed) {
        shop.command::<Cart>(CartId::of(followed.0, region_id), command)
            .await;
        shop.settle(&[View::Carts]).await;
        check(&shop, followed).await;
    }
    // while nobody follows
    shop.subscriptions.close().await;
    let at_once = (customer(), region_id);
    for command in history(at_once) {
        shop.command::<Cart>(CartId::of(at_once.0, region_id), command)
            .await;
    }
    shop.restart().await;
    shop.settle(&[View::Carts]).await;
    let row = check(&shop, at_once).await;
    assert_eq!((row.products, row.pieces, row.codes.len()), (1, 1, 1));
    assert!(row.updated_at >= row.created_at);
    let nothing = shop.models.cart(CartId(Uuid::now_v7())).await.unwrap();
    assert_eq!(nothing, None);
    shop.close().await;
}

#[tokio::test]
async fn a_customer_s_carts_that_hold_something_are_listed_the_last_one_first() {
    let shop = Shop::open().await;
    let (ann, ben) = (customer(), customer());
    let regions = [1, 2, 3, 4].map(|number| RegionId(Uuid::from_u128(number)));
    for region_id in regions {
        let id = CartId::of(ann, region_id);
        shop.command::<Cart>(id, put((ann, region_id), 1, 1, 100))
            .await;
    }
    let of_ben = CartId::of(ben, regions[0]);
    shop.command::<Cart>(of_ben, put((ben, regions[0]), 1, 1, 100))
        .await;
    let id = |index: usize| CartId::of(ann, regions[index]);
    shop.command::<Cart>(id(1), CartCommand::ClearCart).await;
    let order_id = OrderId(Uuid::now_v7());
    shop.command::<Cart>(id(2), CartCommand::CheckOut { order_id })
        .await;
    shop.command::<Cart>(id(0), put((ann, regions[0]), 2, 1, 100))
        .await;
    shop.settle(&[View::Carts]).await;

    let (mut listed, mut cursor) = (vec![], None);
    loop {
        let newest = Sort {
            key: CartSort::UpdatedAt,
            direction: Direction::Desc,
        };
        let page = PageRequest::new(Limits::STANDARD, newest, Some(1), cursor.as_deref()).unwrap();
        let filter = CartFilter { customer_id: ann };
        let page = shop.models.carts(&filter, &page).await.unwrap();
        listed.extend(page.items.iter().map(|cart| cart.cart_id));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(listed, [id(0), id(3)]);
    shop.close().await;
}
