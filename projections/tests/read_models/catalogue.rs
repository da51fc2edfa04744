//! Regions, products and their stock.

use domain::{
    ids::{OperationId, OrderId, ProductId},
    inventory::{Inventory, InventoryCommand},
    money::Currency,
    product::{Change, Product, ProductCommand},
    region::{Region, RegionCommand},
    text::{Description, ImageUrl, Title},
};
use projections::{
    View,
    page::{Direction, Limits, PageRequest, Sort, Span},
    products::{LOW_STOCK, PriceSpan, ProductFilter, ProductSort},
};
use uuid::Uuid;

use crate::shop::{Shop, quantity, usd};

async fn skus(
    shop: &Shop,
    filter: &ProductFilter,
    key: ProductSort,
    direction: Direction,
) -> Vec<String> {
    let page = PageRequest::new(Limits::STANDARD, Sort { key, direction }, None, None).unwrap();
    let page = shop.models.products(filter, &page).await.unwrap();
    page.items.into_iter().map(|product| product.sku).collect()
}

#[tokio::test]
async fn a_region_is_as_its_events_tell() {
    let shop = Shop::open().await;
    let region_id = shop.region("Vietnam", "VND").await;
    let other = shop.region("Singapore", "SGD").await;
    let change = RegionCommand::ChangeRegion {
        title: Some(Title::parse("Việt Nam").unwrap()),
        country: None,
        tax_rate: None,
        prices_include_tax: Some(true),
        default_for_currency: Some(false),
    };
    shop.command::<Region>(region_id, change).await;
    shop.command::<Region>(region_id, RegionCommand::DisableRegion)
        .await;
    shop.settle(&[View::Regions]).await;

    let (aggregate, sequence) = shop.log.load::<Region>(region_id).await.unwrap();
    let row = shop.models.region(region_id).await.unwrap().unwrap();
    assert_eq!(Some(&row.details), aggregate.details());
    assert_eq!(row.sequence, sequence);
    assert!(row.updated_at > row.created_at);
    let all = shop.models.regions().await.unwrap();
    assert_eq!(
        all.iter()
            .map(|region| region.details.region_id)
            .collect::<Vec<_>>(),
        [other, region_id]
    );
    shop.close().await;
}

#[tokio::test]
async fn stock_follows_every_movement_as_the_inventory_does() {
    use InventoryCommand as C;
    let shop = Shop::open().await;
    let region_id = shop.region("United States", "USD").await;
    let product_id = shop.product(region_id, "A", usd(100)).await;
    shop.settle(&[View::Products]).await;
    let fresh = shop.models.product(product_id).await.unwrap().unwrap();
    assert_eq!(
        (
            fresh.stock.available,
            fresh.stock.sequence,
            fresh.stock.updated_at
        ),
        (0, 0, None)
    );
    assert!(fresh.stock.is_sold_out() && !fresh.stock.is_low() && !fresh.stock.is_oversold());

    let [first, second] = [1, 2].map(|n| OrderId(Uuid::from_u128(n)));
    let operation_id = OperationId(Uuid::now_v7());
    let (one, four, two) = (quantity(1), quantity(4), quantity(2));
    let steps = [
        C::ReceiveStock {
            product_id,
            operation_id,
            quantity: quantity(10),
            reason: None,
        },
        C::ReserveStock {
            product_id,
            order_id: first,
            quantity: four,
        },
        C::ReserveStock {
            product_id,
            order_id: second,
            quantity: two,
        },
        C::ReserveStock {
            product_id,
            order_id: second,
            quantity: one,
        },
        C::SellStock {
            product_id,
            order_id: first,
        },
        C::ReleaseStock {
            product_id,
            order_id: second,
        },
        C::ReturnStock {
            product_id,
            order_id: first,
            operation_id: OperationId(Uuid::now_v7()),
            quantity: two,
        },
        C::SetStock {
            product_id,
            operation_id: OperationId(Uuid::now_v7()),
            available: 5,
            reason: None,
        },
        C::AdjustStock {
            product_id,
            operation_id: OperationId(Uuid::now_v7()),
            delta: -6,
            reason: None,
        },
    ];
    for step in steps {
        shop.command::<Inventory>(product_id, step).await;
        shop.settle(&[View::Products]).await;
        let stock = shop
            .models
            .product(product_id)
            .await
            .unwrap()
            .unwrap()
            .stock;
        let (inventory, sequence) = shop.log.load::<Inventory>(product_id).await.unwrap();
        assert_eq!(
            (stock.available, stock.reserved, stock.sold, stock.sequence),
            (
                inventory.available(),
                inventory.reserved(),
                inventory.sold(),
                sequence
            )
        );
        assert_eq!(stock.is_low(), (1..=LOW_STOCK).contains(&stock.available));
    }
    let stock = shop
        .models
        .product(product_id)
        .await
        .unwrap()
        .unwrap()
        .stock;
    assert!(stock.is_oversold() && stock.is_sold_out() && !stock.is_low());
    shop.close().await;
}

#[tokio::test]
async fn stock_that_comes_before_its_product_is_not_lost() {
    let shop = Shop::open().await;
    let region_id = shop.region("United States", "USD").await;
    let product_id = ProductId(Uuid::now_v7());
    shop.receive(product_id, 3).await;
    shop.settle(&[View::Products]).await;
    assert_eq!(shop.models.product(product_id).await.unwrap(), None);
    let command = ProductCommand::CreateProduct {
        product_id,
        region_id,
        region_currency: usd(0).currency,
        sku: domain::text::Sku::parse("A").unwrap(),
        title: Title::parse("A").unwrap(),
        description: Description::parse("").unwrap(),
        image_url: None,
        price: usd(1),
    };
    shop.command::<Product>(product_id, command).await;
    shop.settle(&[View::Products]).await;
    assert_eq!(
        shop.models
            .product(product_id)
            .await
            .unwrap()
            .unwrap()
            .stock
            .available,
        3
    );
    shop.close().await;
}

#[tokio::test]
async fn a_product_changes_and_a_deleted_one_is_hidden_unless_asked_for() {
    let shop = Shop::open().await;
    let region_id = shop.region("United States", "USD").await;
    let product_id = shop.product(region_id, "A", usd(100)).await;
    let update = ProductCommand::UpdateProduct {
        title: Some(Title::parse("Áo dài 👘").unwrap()),
        description: None,
        image_url: Change::Set(ImageUrl::parse("https://cdn.example.com/a.png").unwrap()),
        price: Some(usd(250)),
    };
    shop.command::<Product>(product_id, update).await;
    shop.settle(&[View::Products]).await;
    let row = shop.models.product(product_id).await.unwrap().unwrap();
    let (aggregate, sequence) = shop.log.load::<Product>(product_id).await.unwrap();
    let details = aggregate.details().unwrap();
    assert_eq!(
        (row.title.as_str(), row.price, row.sequence),
        ("Áo dài 👘", usd(250), sequence)
    );
    assert_eq!(
        row.image_url.as_deref(),
        details.image_url.as_ref().map(ImageUrl::as_str)
    );
    assert_eq!(
        (row.description.as_str(), row.sku.as_str()),
        (details.description.as_str(), "A")
    );

    shop.command::<Product>(product_id, ProductCommand::DeleteProduct)
        .await;
    shop.settle(&[View::Products]).await;
    assert!(
        shop.models
            .product(product_id)
            .await
            .unwrap()
            .unwrap()
            .deleted
    );
    let mut filter = ProductFilter::default();
    assert!(
        skus(&shop, &filter, ProductSort::Title, Direction::Asc)
            .await
            .is_empty()
    );
    filter.include_deleted = true;
    assert_eq!(
        skus(&shop, &filter, ProductSort::Title, Direction::Asc).await,
        ["A"]
    );
    shop.close().await;
}

#[tokio::test]
async fn products_are_filtered_and_sorted() {
    let shop = Shop::open().await;
    let (america, vietnam) = (
        shop.region("United States", "USD").await,
        shop.region("Vietnam", "VND").await,
    );
    let dong = |amount| domain::money::Money::new(amount, Currency::parse("VND").unwrap());
    let a = shop.product(america, "A", usd(300)).await;
    shop.product(america, "B", usd(100)).await;
    let c = shop.product(america, "C", usd(200)).await;
    let d = shop.product(vietnam, "D", dong(200)).await;
    for product_id in [a, c, d] {
        shop.receive(product_id, 1).await;
    }
    shop.adjust(c, -1).await;
    shop.settle(&[View::Products]).await;

    let list = async |filter: ProductFilter| {
        skus(&shop, &filter, ProductSort::Price, Direction::Asc).await
    };
    let all = ProductFilter::default;
    assert_eq!(list(all()).await.first().map(String::as_str), Some("B"));
    assert_eq!(
        list(ProductFilter {
            region_id: Some(america),
            ..all()
        })
        .await,
        ["B", "C", "A"]
    );
    assert_eq!(
        list(ProductFilter {
            sku: Some("C".into()),
            ..all()
        })
        .await,
        ["C"]
    );
    let in_stock = ProductFilter {
        region_id: Some(america),
        in_stock: Some(true),
        ..all()
    };
    assert_eq!(list(in_stock.clone()).await, ["A"]);
    assert_eq!(
        list(ProductFilter {
            in_stock: Some(false),
            ..in_stock
        })
        .await,
        ["B", "C"]
    );
    let span = Span {
        gte: Some(150),
        lte: Some(200),
    };
    let price = PriceSpan {
        currency: usd(0).currency,
        amount: span,
    };
    assert_eq!(
        list(ProductFilter {
            price: Some(price),
            ..all()
        })
        .await,
        ["C"]
    );

    let newest = skus(&shop, &all(), ProductSort::CreatedAt, Direction::Desc).await;
    assert_eq!(newest, ["D", "C", "B", "A"]);
    let by_title = skus(&shop, &all(), ProductSort::Title, Direction::Asc).await;
    assert_eq!(by_title, ["A", "B", "C", "D"]);
    shop.close().await;
}
