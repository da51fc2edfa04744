//! Regions, products and stock: what must be unique, and who may change what on which version.

use commands::{
    Failure, Manager,
    inventory::StockChange,
    products::NewProduct,
    regions::{NewRegion, RegionChanges},
};
use domain::{
    ids::{OperationId, ProductId, RegionId, UserId},
    inventory::LOW_STOCK,
    money::{Currency, Money},
    product::{ProductChanges, ProductError},
    region::RegionError,
    text::{Quantity, Sku, Title},
};
use futures::future::join_all;
use uuid::Uuid;

use crate::shop::{change_of, in_shop, new_product, region, request, settings, usd};

fn default_region(region_id: RegionId) -> NewRegion {
    NewRegion {
        default_for_currency: true,
        ..region(region_id)
    }
}

fn with_sku(product_id: ProductId, region_id: RegionId, sku: &str) -> NewProduct {
    NewProduct {
        sku: Sku::parse(sku).unwrap(),
        ..new_product(product_id, region_id, 0)
    }
}

#[tokio::test]
async fn a_currency_has_one_default_region() {
    in_shop(settings(), |shop| async move {
        let (first, second) = (RegionId(Uuid::now_v7()), RegionId(Uuid::now_v7()));
        shop.commands
            .open_region(request(), default_region(first))
            .await
            .unwrap();
        let refused = shop
            .commands
            .open_region(request(), default_region(second))
            .await
            .unwrap_err();
        let taken = Failure::ClaimTaken {
            scope: "region-default".into(),
            value: "USD".into(),
        };
        assert_eq!(refused, taken);
        assert_eq!(
            shop.commands.default_region(usd()).await.unwrap(),
            Some(first)
        );

        let switch = |on| RegionChanges {
            default_for_currency: Some(on),
            ..Default::default()
        };
        shop.commands
            .change_region(request(), first, switch(false), None)
            .await
            .unwrap();
        assert_eq!(shop.commands.default_region(usd()).await.unwrap(), None);
        shop.commands
            .open_region(request(), region(second))
            .await
            .unwrap();
        shop.commands
            .change_region(request(), second, switch(true), None)
            .await
            .unwrap();
        assert_eq!(
            shop.commands.default_region(usd()).await.unwrap(),
            Some(second)
        );
        let refused = shop
            .commands
            .change_region(request(), first, switch(true), None)
            .await
            .unwrap_err();
        assert_eq!(refused, taken);
    })
    .await;
}

#[tokio::test]
async fn a_region_opened_again_with_the_same_content_is_the_same() {
    in_shop(settings(), |shop| async move {
        let id = RegionId(Uuid::now_v7());
        let first = shop
            .commands
            .open_region(request(), default_region(id))
            .await
            .unwrap();
        let again = shop
            .commands
            .open_region(request(), default_region(id))
            .await
            .unwrap();
        assert_eq!((again.output, again.appended), (first.output, 0));
        let other = shop
            .commands
            .open_region(request(), region(id))
            .await
            .unwrap_err();
        assert_eq!(other, Failure::Region(RegionError::AlreadyExists));
    })
    .await;
}

#[tokio::test]
async fn a_sku_is_unique_in_its_region_and_free_again_after_the_product() {
    in_shop(settings(), |shop| async move {
        let ids: Vec<ProductId> = (0..4).map(|_| ProductId(Uuid::now_v7())).collect();
        let create = |id, region| {
            shop.commands
                .create_product(request(), Manager::Market, with_sku(id, region, "TEA-1"))
        };
        create(ids[0], shop.region_id).await.unwrap();
        let refused = create(ids[1], shop.region_id).await.unwrap_err();
        assert!(matches!(refused, Failure::ClaimTaken { value, .. } if value == "TEA-1"));
        let elsewhere = RegionId(Uuid::now_v7());
        shop.commands
            .open_region(request(), region(elsewhere))
            .await
            .unwrap();
        create(ids[2], elsewhere).await.unwrap();

        shop.commands
            .delete_product(request(), Manager::Market, ids[0], None)
            .await
            .unwrap();
        create(ids[3], shop.region_id).await.unwrap();
        // deleted again, it does not take the sku from its new owner
        shop.commands
            .delete_product(request(), Manager::Market, ids[0], None)
            .await
            .unwrap();
        let refused = create(ids[1], shop.region_id).await.unwrap_err();
        assert!(matches!(refused, Failure::ClaimTaken { .. }));
    })
    .await;
}

#[tokio::test]
async fn a_product_fits_its_region() {
    in_shop(settings(), |shop| async move {
        let id = ProductId(Uuid::now_v7());
        let vnd = Currency::parse("VND").unwrap();
        let priced = NewProduct {
            price: Money::new(5, vnd),
            ..new_product(id, shop.region_id, 0)
        };
        let refused = shop
            .commands
            .create_product(request(), Manager::Market, priced)
            .await
            .unwrap_err();
        let wrong = ProductError::WrongCurrency {
            region: usd(),
            given: vnd,
        };
        assert_eq!(refused, Failure::Product(wrong));
        let nowhere = new_product(id, RegionId(Uuid::now_v7()), 0);
        let refused = shop
            .commands
            .create_product(request(), Manager::Market, nowhere)
            .await
            .unwrap_err();
        assert_eq!(refused, Failure::NotFound { what: "region" });
        shop.commands
            .disable_region(request(), shop.region_id, None)
            .await
            .unwrap();
        let disabled = new_product(id, shop.region_id, 0);
        let refused = shop
            .commands
            .create_product(request(), Manager::Market, disabled)
            .await
            .unwrap_err();
        assert_eq!(refused, Failure::Region(RegionError::Disabled));
    })
    .await;
}

#[tokio::test]
async fn a_deleted_region_takes_nothing_new_and_leaves_its_currency_to_another() {
    in_shop(settings(), |shop| async move {
        let id = RegionId(Uuid::now_v7());
        let open = |id| shop.commands.open_region(request(), default_region(id));
        let opened = open(id).await.unwrap().output;
        let other = RegionId(Uuid::now_v7());
        assert!(matches!(
            open(other).await.unwrap_err(),
            Failure::ClaimTaken { .. }
        ));
        let delete = |expected| shop.commands.delete_region(request(), id, expected);
        assert_eq!(
            delete(Some(7)).await.unwrap_err(),
            Failure::PreconditionFailed { current: 1 }
        );
        let deleted = delete(Some(opened.sequence)).await.unwrap().output;
        assert!(deleted.state.deleted && !deleted.state.default_for_currency);
        let again = delete(Some(7)).await.unwrap();
        assert_eq!((again.output, again.appended), (deleted, 0));
        let enabled = shop.commands.enable_region(request(), id, None).await;
        assert_eq!(enabled.unwrap_err(), Failure::Region(RegionError::Deleted));
        let product = new_product(ProductId(Uuid::now_v7()), id, 0);
        let create = shop
            .commands
            .create_product(request(), Manager::Market, product);
        assert_eq!(
            create.await.unwrap_err(),
            Failure::Region(RegionError::Disabled)
        );
        let _ = open(other).await.unwrap();
        let unknown = RegionId(Uuid::now_v7());
        let unknown = shop.commands.delete_region(request(), unknown, None).await;
        assert_eq!(unknown.unwrap_err(), Failure::NotFound { what: "region" });
    })
    .await;
}

#[tokio::test]
async fn an_update_on_an_old_version_is_refused_with_the_current_one() {
    in_shop(settings(), |shop| async move {
        let id = shop.product(0).await;
        let rename = |title: &str| ProductChanges {
            title: Some(Title::parse(title).unwrap()),
            ..Default::default()
        };
        let update = |title, expected| {
            shop.commands
                .update_product(request(), Manager::Market, id, rename(title), expected)
        };
        let renamed = update("Kettle", Some(1)).await.unwrap();
        assert_eq!(
            (renamed.output.sequence, renamed.output.state.title.as_str()),
            (2, "Kettle")
        );
        let refused = update("Pan", Some(1)).await.unwrap_err();
        assert_eq!(refused, Failure::PreconditionFailed { current: 2 });
        assert_eq!(update("Pan", None).await.unwrap().output.sequence, 3);
        let delete = |expected| {
            shop.commands
                .delete_product(request(), Manager::Market, id, expected)
        };
        assert_eq!(
            delete(Some(2)).await.unwrap_err(),
            Failure::PreconditionFailed { current: 3 }
        );
        assert!(delete(Some(3)).await.unwrap().output.state.deleted);
        assert_eq!(
            update("Wok", None).await.unwrap_err(),
            Failure::Product(ProductError::Deleted)
        );
    })
    .await;
}

#[tokio::test]
async fn relative_corrections_add_up_and_absolute_ones_need_the_version() {
    in_shop(settings(), |shop| async move {
        let id = shop.product(10).await;
        let adjust = |delta| {
            shop.commands
                .adjust_stock(request(), change_of(id), delta, None)
        };
        for outcome in join_all((0..20).map(|_| adjust(1))).await {
            outcome.unwrap();
        }
        assert_eq!(shop.stock(id).await.available, 30);
        let set = |available, expected| {
            shop.commands
                .set_stock(request(), change_of(id), available, expected)
        };
        let sequence = set(7, 21).await.unwrap().output.sequence;
        let refused = set(9, 21).await.unwrap_err();
        assert_eq!(refused, Failure::PreconditionFailed { current: sequence });
        assert_eq!(shop.stock(id).await.available, 7);
    })
    .await;
}

#[tokio::test]
async fn stock_set_below_what_is_reserved_is_allowed_and_told() {
    in_shop(settings(), |shop| async move {
        let id = shop.product(5).await;
        shop.placed(&[(id, 4)], "default").await;
        let lost = shop
            .commands
            .adjust_stock(request(), change_of(id), -3, None)
            .await
            .unwrap();
        assert_eq!(
            (lost.output.state.available, lost.output.state.reserved),
            (-2, 4)
        );
        let told: Vec<String> = sqlx::query_scalar(
            "select event_type from events where aggregate_type = 'inventory' order by position",
        )
        .fetch_all(shop.log.pool())
        .await
        .unwrap();
        assert_eq!(
            told,
            [
                "StockReceived",
                "StockReserved",
                "StockRanLow",
                "StockAdjusted",
                "StockOversold"
            ]
        );
        let refused = shop.place(&[(id, 1)], "default").await.unwrap_err();
        assert!(refused.to_string().ends_with("0 are left"), "{refused}");
    })
    .await;
}

#[tokio::test]
async fn a_threshold_for_low_stock_is_the_products_own_and_what_follows_from_it_is_told() {
    in_shop(settings(), |shop| async move {
        let id = shop.product(10).await;
        let set = |id, by, threshold| {
            shop.commands
                .set_low_stock_threshold(request(), id, by, threshold, None)
        };
        assert_eq!(shop.stock(id).await.low_stock_threshold, LOW_STOCK);
        let after = set(id, Manager::Market, 9).await.unwrap().output;
        assert_eq!((after.state.low_stock_threshold, after.sequence), (9, 2));
        // the reservation, and that the stock has run low
        shop.placed(&[(id, 1)], "default").await;
        let again = set(id, Manager::Market, 9).await.unwrap().output;
        assert_eq!(again.sequence, 4);
        let stranger = Manager::Seller(UserId(Uuid::now_v7()));
        assert_eq!(set(id, stranger, 3).await.unwrap_err(), Failure::NotYours);
        let unknown = set(ProductId(Uuid::now_v7()), Manager::Market, 3).await;
        assert_eq!(unknown.unwrap_err(), Failure::NotFound { what: "product" });
        let told: Vec<String> = sqlx::query_scalar(
            "select event_type from events where aggregate_type = 'inventory' order by position",
        )
        .fetch_all(shop.log.pool())
        .await
        .unwrap();
        assert_eq!(
            told,
            [
                "StockReceived",
                "LowStockThresholdSet",
                "StockReserved",
                "StockRanLow"
            ]
        );
    })
    .await;
}

#[tokio::test]
async fn a_change_of_stock_sent_twice_is_taken_once_and_needs_its_product() {
    in_shop(settings(), |shop| async move {
        let id = shop.product(0).await;
        let change = StockChange {
            operation_id: OperationId(Uuid::from_u128(5)),
            ..change_of(id)
        };
        let five = Quantity::parse(5).unwrap();
        for _ in 0..2 {
            shop.commands
                .receive_stock(request(), change.clone(), five, None)
                .await
                .unwrap();
        }
        assert_eq!(shop.stock(id).await.available, 5);
        let receive = |id| {
            shop.commands
                .receive_stock(request(), change_of(id), five, None)
        };
        let unknown = receive(ProductId(Uuid::now_v7())).await.unwrap_err();
        assert_eq!(unknown, Failure::NotFound { what: "product" });
        shop.commands
            .delete_product(request(), Manager::Market, id, None)
            .await
            .unwrap();
        assert_eq!(
            receive(id).await.unwrap_err(),
            Failure::Product(ProductError::Deleted)
        );
    })
    .await;
}
