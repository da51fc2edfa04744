//! Regions, products and their stock.

use domain::{
    category::{Category, CategoryCommand},
    ids::{CategoryId, OperationId, OrderId, ProductId, ShopId, UserId},
    inventory::{Inventory, InventoryCommand, LOW_STOCK},
    money::Currency,
    product::{Change, Product, ProductChanges, ProductCommand},
    region::{Region, RegionCommand},
    shop::{ShopCommand, ShopStatus},
    text::{Description, ImageUrl, Title},
};
use projections::{
    View,
    categories::{CategoryFilter, CategorySort},
    page::{Direction, Limits, Page, PageRequest, Sort, SortKey, Span},
    products::{PriceSpan, ProductFilter, ProductSort},
    regions::{RegionFilter, RegionSort},
    shops::{ShopFilter, ShopSort},
};
use uuid::Uuid;

use crate::shop::{Shop, clothing, quantity, usd};

/// A page of a list, the smallest first.
fn first_of<K: SortKey>(key: K, limit: Option<u32>, cursor: Option<&str>) -> PageRequest<K> {
    let direction = Direction::Asc;
    PageRequest::new(Limits::STANDARD, Sort { key, direction }, limit, cursor).unwrap()
}

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
    let (title, created_at) = (RegionSort::Title, RegionSort::CreatedAt);
    let none = RegionFilter::default();
    let enabled = |enabled| RegionFilter {
        enabled: Some(enabled),
        ..none
    };
    let currency = RegionFilter {
        currency: Some(row.details.currency),
        ..none
    };
    for (filter, key, expected) in [
        (none, title, vec![other, region_id]),
        (none, created_at, vec![region_id, other]),
        (enabled(true), title, vec![other]),
        (enabled(false), title, vec![region_id]),
        (currency, created_at, vec![region_id]),
    ] {
        let mut found = vec![];
        let mut cursor = None;
        loop {
            let page = first_of(key, Some(1), cursor.as_deref());
            let Page { items, next } = shop.models.regions(&filter, &page).await.unwrap();
            found.extend(items.iter().map(|region| region.details.region_id));
            cursor = next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(found, expected, "{filter:?} {key:?}");
    }
    shop.command::<Region>(other, RegionCommand::DeleteRegion)
        .await;
    shop.settle(&[View::Regions]).await;
    let (aggregate, sequence) = shop.log.load::<Region>(other).await.unwrap();
    let row = shop.models.region(other).await.unwrap().unwrap();
    assert_eq!(Some(&row.details), aggregate.details());
    assert_eq!((row.details.deleted, row.sequence), (true, sequence));
    let page = first_of(title, None, None);
    let shown = shop.models.regions(&none, &page).await.unwrap().items;
    let shown: Vec<_> = shown.iter().map(|it| it.details.region_id).collect();
    assert_eq!(shown, [region_id]);
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
    assert!(fresh.stock.is_sold_out() && fresh.stock.is_low() && !fresh.stock.is_oversold());
    assert_eq!(fresh.stock.threshold, LOW_STOCK);

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
        C::SetLowStockThreshold {
            product_id,
            threshold: 4,
        },
        C::AdjustStock {
            product_id,
            operation_id: OperationId(Uuid::now_v7()),
            delta: -6,
            reason: None,
        },
        C::SetLowStockThreshold {
            product_id,
            threshold: 0,
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
        assert_eq!(stock.threshold, inventory.low_stock_threshold());
        assert_eq!(stock.is_low(), inventory.is_told_low());
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
        shop_id: None,
        category_id: None,
        specification: None,
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
    let update = ProductCommand::UpdateProduct(ProductChanges {
        title: Some(Title::parse("Áo dài 👘").unwrap()),
        image_url: Change::Set(ImageUrl::parse("https://cdn.example.com/a.png").unwrap()),
        price: Some(usd(250)),
        ..ProductChanges::default()
    });
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
async fn products_are_found_by_shop_category_kind_and_attributes() {
    let shop = Shop::open().await;
    let region_id = shop.region("United States", "USD").await;
    let (hats, shirts) = (CategoryId(Uuid::now_v7()), ShopId(Uuid::now_v7()));
    let product_id = ProductId(Uuid::now_v7());
    let command = ProductCommand::CreateProduct {
        product_id,
        region_id,
        region_currency: usd(0).currency,
        sku: domain::text::Sku::parse("A").unwrap(),
        title: Title::parse("A").unwrap(),
        description: Description::parse("").unwrap(),
        image_url: None,
        price: usd(1),
        shop_id: Some(shirts),
        category_id: Some(hats),
        specification: Some(clothing("M", "đỏ")),
    };
    shop.command::<Product>(product_id, command).await;
    let other = shop.product(region_id, "B", usd(2)).await;
    shop.settle(&[View::Products]).await;
    let row = shop.models.product(product_id).await.unwrap().unwrap();
    assert_eq!((row.shop_id, row.category_id), (Some(shirts), Some(hats)));
    assert_eq!(row.kind.as_deref(), Some("clothing"));
    assert_eq!(&row.attributes, clothing("M", "đỏ").attributes());
    let bare = shop.models.product(other).await.unwrap().unwrap();
    assert_eq!(
        (bare.shop_id, bare.category_id, bare.kind),
        (None, None, None)
    );
    assert!(bare.attributes.is_empty());

    let all = ProductFilter::default;
    let of = |size, colour| clothing(size, colour).attributes().clone();
    let mut only_colour = of("M", "đỏ");
    only_colour.remove("size");
    let found = [
        ProductFilter {
            shop_id: Some(shirts),
            ..all()
        },
        ProductFilter {
            category_id: Some(hats),
            ..all()
        },
        ProductFilter {
            kind: Some("clothing".into()),
            ..all()
        },
        ProductFilter {
            attributes: of("M", "đỏ"),
            ..all()
        },
        ProductFilter {
            attributes: only_colour,
            ..all()
        },
    ];
    for filter in found {
        let skus = skus(&shop, &filter, ProductSort::Title, Direction::Asc).await;
        assert_eq!(skus, ["A"], "{filter:?}");
    }
    let none = [
        ProductFilter {
            shop_id: Some(ShopId(hats.0)),
            ..all()
        },
        ProductFilter {
            category_id: Some(CategoryId(shirts.0)),
            ..all()
        },
        ProductFilter {
            kind: Some("furniture".into()),
            ..all()
        },
        ProductFilter {
            attributes: of("L", "đỏ"),
            ..all()
        },
    ];
    for filter in none {
        let skus = skus(&shop, &filter, ProductSort::Title, Direction::Asc).await;
        assert!(skus.is_empty(), "{filter:?}");
    }
    let bare = ProductCommand::UpdateProduct(ProductChanges {
        category_id: Change::Clear,
        specification: Change::Clear,
        ..ProductChanges::default()
    });
    shop.command::<Product>(product_id, bare).await;
    shop.settle(&[View::Products]).await;
    let row = shop.models.product(product_id).await.unwrap().unwrap();
    assert_eq!(
        (row.category_id, row.kind, row.shop_id),
        (None, None, Some(shirts))
    );
    assert!(row.attributes.is_empty());
    shop.close().await;
}

#[tokio::test]
async fn categories_and_shops_are_as_their_events_tell() {
    let shop = Shop::open().await;
    let ids = [shop.category("Hats").await, shop.category("Coats").await];
    let rename = CategoryCommand::RenameCategory {
        title: Title::parse("Áo").unwrap(),
    };
    shop.command::<Category>(ids[1], rename).await;
    shop.command::<Category>(ids[0], CategoryCommand::DeleteCategory)
        .await;
    let owner_id = UserId(Uuid::now_v7());
    let shop_id = shop.wanted_shop(owner_id, "Nón").await;
    let change = ShopCommand::ChangeShop {
        title: None,
        description: Some(Description::parse("Hats").unwrap()),
    };
    for command in [change, ShopCommand::ApproveShop] {
        shop.command::<domain::shop::Shop>(shop_id, command).await;
    }
    shop.settle(&[View::Categories, View::Shops]).await;

    let named = |title: &str| CategoryFilter {
        title: Title::parse(title).ok(),
    };
    for (filter, count) in [(named("Hats"), 0), (named("Coats"), 0), (named("Áo"), 1)] {
        for key in CategorySort::ALL {
            let page = first_of(*key, None, None);
            let found = shop.models.categories(&filter, &page).await.unwrap();
            assert_eq!(found.items.len(), count, "{filter:?} {key:?}");
        }
    }
    let page = first_of(CategorySort::Title, None, None);
    let all = CategoryFilter::default();
    let shown = shop.models.categories(&all, &page).await.unwrap().items;
    let [shown] = &shown[..] else {
        panic!("one category: {shown:?}");
    };
    let (aggregate, sequence) = shop.log.load::<Category>(ids[1]).await.unwrap();
    assert_eq!(Some(&shown.details), aggregate.details());
    assert_eq!(shown.sequence, sequence);
    let gone = shop.models.category(ids[0]).await.unwrap().unwrap();
    assert!(gone.details.deleted);

    let row = shop.models.shop(shop_id).await.unwrap().unwrap();
    let (aggregate, sequence) = shop.log.load::<domain::shop::Shop>(shop_id).await.unwrap();
    assert_eq!(Some(&row.details), aggregate.details());
    assert_eq!(row.sequence, sequence);
    for (owner_id, status, count) in [
        (Some(owner_id), Some(ShopStatus::Open), 1),
        (Some(owner_id), Some(ShopStatus::Requested), 0),
        (Some(UserId(shop_id.0)), None, 0),
    ] {
        let filter = ShopFilter { owner_id, status };
        let page = first_of(ShopSort::Title, None, None);
        let listed = shop.models.shops(&filter, &page).await.unwrap();
        assert_eq!(listed.items.len(), count, "{filter:?}");
    }
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
    shop.receive(d, 10).await;
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
    let low_stock = ProductFilter {
        low_stock: Some(true),
        ..all()
    };
    assert_eq!(list(low_stock.clone()).await, ["B", "C", "A"]);
    assert_eq!(
        list(ProductFilter {
            low_stock: Some(false),
            ..low_stock
        })
        .await,
        ["D"]
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
