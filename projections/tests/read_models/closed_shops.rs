//! What is of a closed shop is hidden, whichever comes first, and in a rebuilt view as in the one that followed the log.

use domain::{
    ids::{ProductId, RegionId, ShopId},
    product::{Product, ProductChanges, ProductCommand},
    shop::ShopCommand,
    text::{Description, Sku, Title},
};
use projections::{
    View,
    page::{Direction, Limits, PageRequest, Sort},
    products::{ProductFilter, ProductSort},
    rebuild::{Settings, differences, rebuild},
};
use uuid::Uuid;

use crate::shop::{Shop, customer, usd};

async fn offer(shop: &Shop, region_id: RegionId, shop_id: ShopId, sku: &str) -> ProductId {
    let product_id = ProductId(Uuid::now_v7());
    let command = ProductCommand::CreateProduct {
        product_id,
        region_id,
        region_currency: usd(0).currency,
        sku: Sku::parse(sku).unwrap(),
        title: Title::parse(sku).unwrap(),
        description: Description::parse("").unwrap(),
        image_url: None,
        price: usd(1),
        shop_id: Some(shop_id),
        category_id: None,
        specification: None,
    };
    shop.command::<Product>(product_id, command).await;
    product_id
}

async fn listed(shop: &Shop, include_deleted: bool) -> Vec<String> {
    let sort = Sort {
        key: ProductSort::Title,
        direction: Direction::Asc,
    };
    let page = PageRequest::new(Limits::STANDARD, sort, None, None).unwrap();
    let filter = ProductFilter {
        include_deleted,
        ..ProductFilter::default()
    };
    let page = shop.models.products(&filter, &page).await.unwrap();
    let mut skus: Vec<_> = page.items.into_iter().map(|it| it.sku).collect();
    skus.sort_unstable();
    skus
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_of_a_closed_shop_is_hidden_whichever_comes_first() {
    let shop = Shop::open().await;
    let region_id = shop.region("United States", "USD").await;
    let stays = shop.wanted_shop(customer(), "Stays").await;
    let ends = shop.wanted_shop(customer(), "Ends").await;
    shop.product(region_id, "market", usd(1)).await;
    offer(&shop, region_id, stays, "stays").await;
    let before = offer(&shop, region_id, ends, "before").await;
    shop.settle(&[View::Products]).await;
    assert_eq!(listed(&shop, false).await, ["before", "market", "stays"]);

    shop.command::<domain::shop::Shop>(ends, ShopCommand::CloseShop)
        .await;
    shop.settle(&[View::Products]).await;
    // nothing in the log does this; a view that was behind with the product would see it so
    offer(&shop, region_id, ends, "after").await;
    let renamed = ProductCommand::UpdateProduct(ProductChanges {
        title: Some(Title::parse("changed since").unwrap()),
        ..ProductChanges::default()
    });
    shop.command::<Product>(before, renamed).await;
    shop.settle(&[View::Products]).await;
    assert_eq!(listed(&shop, false).await, ["market", "stays"]);
    assert_eq!(listed(&shop, true).await.len(), 4);
    let hidden = shop.models.product(before).await.unwrap().unwrap();
    assert!(hidden.shop_closed && !hidden.deleted && !hidden.is_shown());

    let tiny = Settings {
        until: None,
        stretch: 2,
        rows_in_memory: 2,
    };
    let schema = View::Products.beside(1);
    let rebuilt = rebuild(&shop.log, View::Products, &schema, tiny);
    let rebuilt = rebuilt.await.unwrap();
    let live = View::Products.schema();
    let found = differences(shop.log.pool(), View::Products, &live, &rebuilt.schema, 10);
    assert_eq!(found.await.unwrap(), []);
    shop.close().await;
}
