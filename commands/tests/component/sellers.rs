//! Categories and shops: what a seller may manage, what is unique, and what can be ordered of whom.

use commands::{
    Failure, Manager,
    payment_methods::DEFAULT,
    products::NewProduct,
    shops::{NewShop, ShopChanges},
};
use domain::{
    category::CategoryError,
    ids::{CategoryId, ProductId, RegionId, ShopId, UserId},
    product::{Change, ProductChanges},
    shop::{ShopError, ShopStatus},
    text::{Description, Quantity, Title},
};
use uuid::Uuid;

use crate::shop::{Shop, change_of, in_shop, new_order, new_product, request, settings};

fn title(text: &str) -> Title {
    Title::parse(text).unwrap()
}

fn new_shop(owner_id: UserId, needs_approval: bool) -> NewShop {
    NewShop {
        shop_id: ShopId(Uuid::now_v7()),
        owner_id,
        title: title("Hats"),
        description: Description::parse("").unwrap(),
        needs_approval,
    }
}

pub(crate) async fn open(shop: &Shop, owner_id: UserId) -> ShopId {
    let new = new_shop(owner_id, false);
    let id = new.shop_id;
    shop.commands.open_shop(request(), new).await.unwrap();
    id
}

pub(crate) fn product_of(shop_id: ShopId, region_id: RegionId) -> NewProduct {
    NewProduct {
        shop_id: Some(shop_id),
        ..new_product(ProductId(Uuid::now_v7()), region_id, 10)
    }
}

pub(crate) fn someone() -> UserId {
    UserId(Uuid::now_v7())
}

fn renamed() -> ProductChanges {
    ProductChanges {
        title: Some(title("Another")),
        ..ProductChanges::default()
    }
}

#[tokio::test]
async fn a_seller_manages_what_belongs_to_their_shops_and_nothing_else() {
    in_shop(settings(), |shop| async move {
        let (mai, lan) = (someone(), someone());
        let (hats, coats) = (open(&shop, mai).await, open(&shop, lan).await);
        let commands = &shop.commands;
        let seller = Manager::Seller(mai);
        let own = product_of(hats, shop.region_id);
        let id = own.product_id;
        let created = commands.create_product(request(), seller, own).await;
        assert_eq!(created.unwrap().output.state.shop_id, Some(hats));
        let changed = commands.update_product(request(), seller, id, renamed(), None);
        assert_eq!(changed.await.unwrap().output.state.title, title("Another"));
        let mut restock = change_of(id);
        restock.by = seller;
        let stock = commands.receive_stock(request(), restock, Quantity::ONE, None);
        assert_eq!(stock.await.unwrap().output.state.available, 11);

        // neither another's, nor the market's
        let markets = shop.product(5).await;
        let others = product_of(coats, shop.region_id);
        let another = others.product_id;
        let refused = commands.create_product(request(), seller, others.clone());
        assert_eq!(refused.await.unwrap_err(), Failure::NotYours);
        let _ = commands
            .create_product(request(), Manager::Market, others)
            .await
            .unwrap();
        let of_nobody = new_product(ProductId(Uuid::now_v7()), shop.region_id, 1);
        let refused = commands.create_product(request(), seller, of_nobody);
        assert_eq!(refused.await.unwrap_err(), Failure::NotYours);
        for product in [markets, another] {
            let change = commands.update_product(request(), seller, product, renamed(), None);
            assert_eq!(change.await.unwrap_err(), Failure::NotYours);
            let deletion = commands.delete_product(request(), seller, product, None);
            assert_eq!(deletion.await.unwrap_err(), Failure::NotYours);
            let mut restock = change_of(product);
            restock.by = seller;
            let stock = commands.receive_stock(request(), restock, Quantity::ONE, None);
            assert_eq!(stock.await.unwrap_err(), Failure::NotYours);
        }
        let close = commands.close_shop(request(), seller, coats, None);
        assert_eq!(close.await.unwrap_err(), Failure::NotYours);
        let change = commands.change_shop(request(), seller, coats, ShopChanges::default(), None);
        assert_eq!(change.await.unwrap_err(), Failure::NotYours);

        // whoever manages the market manages all of it
        let _ = commands
            .delete_product(request(), Manager::Market, id, None)
            .await
            .unwrap();
    })
    .await;
}

#[tokio::test]
async fn only_what_an_open_shop_offers_can_be_ordered() {
    in_shop(settings(), |shop| async move {
        let mai = someone();
        let commands = &shop.commands;
        let wanted = new_shop(mai, true);
        let id = wanted.shop_id;
        let asked = commands.open_shop(request(), wanted).await.unwrap();
        assert_eq!(asked.output.state.status, ShopStatus::Requested);
        let product = product_of(id, shop.region_id);
        let product_id = product.product_id;
        for by in [Manager::Seller(mai), Manager::Market] {
            let early = commands.create_product(request(), by, product.clone());
            assert_eq!(
                early.await.unwrap_err(),
                Failure::Shop(ShopError::NotApproved)
            );
        }
        let _ = commands.approve_shop(request(), id, Some(1)).await.unwrap();
        let _ = commands
            .create_product(request(), Manager::Seller(mai), product)
            .await
            .unwrap();
        let order = |pieces| new_order(&[(product_id, pieces)], DEFAULT);
        let placed = commands.place_order(request(), order(2)).await.unwrap();
        assert_eq!(placed.output.state.lines[0].shop_id, Some(id));

        let _ = commands
            .close_shop(request(), Manager::Seller(mai), id, None)
            .await
            .unwrap();
        let refused = commands.place_order(request(), order(1)).await.unwrap_err();
        let reason = ShopError::Closed;
        assert_eq!(refused, Failure::ShopNotOpen { product_id, reason });
        assert_eq!(shop.stock(product_id).await.available, 8);
        let late =
            commands.update_product(request(), Manager::Seller(mai), product_id, renamed(), None);
        assert_eq!(late.await.unwrap_err(), Failure::Shop(ShopError::Closed));
    })
    .await;
}

#[tokio::test]
async fn a_title_names_one_category_that_is_shown() {
    in_shop(settings(), |shop| async move {
        let commands = &shop.commands;
        let ids: Vec<CategoryId> = (0..3).map(|_| CategoryId(Uuid::now_v7())).collect();
        let create = |id, name| commands.create_category(request(), id, title(name));
        let rename = |id, name| commands.rename_category(request(), id, title(name), None);
        let taken = |value: &str| Failure::ClaimTaken {
            scope: "category-title".into(),
            value: value.into(),
        };
        let _ = create(ids[0], "Áo").await.unwrap();
        assert_eq!(create(ids[1], "ÁO").await.unwrap_err(), taken("áo"));
        let _ = create(ids[1], "Hats").await.unwrap();
        assert_eq!(rename(ids[1], "áo").await.unwrap_err(), taken("áo"));
        // its own title in other letters is no other title
        let respelled = rename(ids[0], "áo").await.unwrap();
        assert_eq!(respelled.output.state.title, title("áo"));
        let _ = rename(ids[0], "Shirts").await.unwrap();
        let _ = create(ids[2], "Áo").await.unwrap();
        for _ in 0..2 {
            let deleted = commands.delete_category(request(), ids[2], None).await;
            assert!(deleted.unwrap().output.state.deleted);
        }
        let _ = rename(ids[1], "Áo").await.unwrap();
        let gone = rename(ids[2], "Coats").await.unwrap_err();
        assert_eq!(gone, Failure::Category(CategoryError::Deleted));
        let stale = commands.rename_category(request(), ids[1], title("Caps"), Some(1));
        let current = 2;
        assert_eq!(
            stale.await.unwrap_err(),
            Failure::PreconditionFailed { current }
        );
    })
    .await;
}

#[tokio::test]
async fn a_product_goes_into_a_category_that_is_shown() {
    in_shop(settings(), |shop| async move {
        let commands = &shop.commands;
        let (hats, gone) = (CategoryId(Uuid::now_v7()), CategoryId(Uuid::now_v7()));
        for (id, name) in [(hats, "Hats"), (gone, "Coats")] {
            let _ = commands
                .create_category(request(), id, title(name))
                .await
                .unwrap();
        }
        let _ = commands
            .delete_category(request(), gone, None)
            .await
            .unwrap();
        let put = |id, category| {
            let changes = ProductChanges {
                category_id: category,
                ..ProductChanges::default()
            };
            commands.update_product(request(), Manager::Market, id, changes, None)
        };
        let product = shop.product(1).await;
        let unknown = put(product, Change::Set(CategoryId(Uuid::now_v7()))).await;
        assert_eq!(unknown.unwrap_err(), Failure::NotFound { what: "category" });
        let deleted = put(product, Change::Set(gone)).await.unwrap_err();
        assert_eq!(deleted, Failure::Category(CategoryError::Deleted));
        let there = put(product, Change::Set(hats)).await.unwrap().output.state;
        assert_eq!(there.category_id, Some(hats));
        // what is in a category stays there when it is deleted, and may leave
        let _ = commands
            .delete_category(request(), hats, None)
            .await
            .unwrap();
        let kept = put(product, Change::Keep).await.unwrap().output.state;
        assert_eq!(kept.category_id, Some(hats));
        let left = put(product, Change::Clear).await.unwrap().output.state;
        assert_eq!(left.category_id, None);
        let new = NewProduct {
            category_id: Some(gone),
            ..new_product(ProductId(Uuid::now_v7()), shop.region_id, 1)
        };
        let refused = commands.create_product(request(), Manager::Market, new);
        assert_eq!(
            refused.await.unwrap_err(),
            Failure::Category(CategoryError::Deleted)
        );
    })
    .await;
}
