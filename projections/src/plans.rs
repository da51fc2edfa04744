//! Tests of query plans: every filter and every sort of every list, over many rows, is served by an index. No
//! sequential scan, and a page costs few blocks however many rows there are.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::{
    ids::{CategoryId, OrderId, RegionId, ShopId, UserId},
    kinds::AttributeValue,
    money::Currency,
    order::{OrderNumber, OrderStatus, PaymentStatus},
    payment::PaymentState,
    shop::ShopStatus,
    text::{DiscountCode, Title},
};
use eventstore::testing::{
    TestDatabase,
    plans::{assert_served_by_indexes, assert_served_within, pages},
};
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use crate::{
    carts::{self, CartFilter, CartSort},
    categories::{self, CategoryFilter, CategorySort},
    discounts::{self, DiscountFilter, DiscountSort},
    orders::{self, OrderFilter, OrderSort, ShopOrderFilter, ShopOrderSort},
    page::{PageRequest, SortKey, SortValue, Span},
    payments::{self, PaymentFilter, PaymentSort},
    products::{self, ALIKE, Found, PriceSpan, ProductFilter, ProductSort, SearchText},
    regions::{self, RegionFilter, RegionSort},
    shops::{self, ShopFilter, ShopSort},
    timeline::{self, TimelineSort},
    views::{View, migrate_views},
};

// Rows of the same shape as the projectors', with the spread of a shop: few regions, many customers, most orders
// settled, a few in trouble.
const PRODUCTS: &str = "
    insert into products_v4.products
        select md5('p' || n)::uuid, md5('r' || n % 3)::uuid, 'sku-' || n, title, description, null,
               n * 7919 % 100000, case n % 3 when 0 then 'USD' when 1 then 'VND' else 'SGD' end,
               case when n % 3 > 0 then md5('s' || n % 400)::uuid end, md5('g' || n % 40)::uuid,
               case n % 4 when 0 then 'clothing' when 1 then 'furniture' end,
               case n % 4 when 0 then jsonb_build_object('size', 'M', 'colour', 'c' || n % 97)
                    when 1 then jsonb_build_object('material', 'oak', 'width_mm', n % 1000) else '{}' end,
               n % 50 = 0, 1,
               timestamptz '2026-01-01' + n * interval '1 minute', now(),
               setweight(to_tsvector('simple', title), 'A'),
               setweight(to_tsvector('simple', title), 'A') || to_tsvector('simple', description)
        from generate_series(1, 20000) n,
            lateral (select 'Title ' || md5(n::text) || case n % 2 when 0 then ' cotton' else ' linen' end || ' w' || n % 20 || ' k' || n % 300
                        || case when n % 500 = 0 then ' velvet' else '' end,
                            'soft' || repeat(' and soft', 18) || case n % 10 when 0 then ' woollen' else '' end
                        || ' r' || n % 2000) as told (title, description);
    insert into products_v4.stock (product_id, available, reserved, sold, threshold, sequence, updated_at)
        select md5('p' || n)::uuid, case when n % 400 = 0 then 0 when n % 999 = 0 then 3 else n % 40 + 6 end, 0, 0, 5, 1, now()
        from generate_series(1, 20000) n;
    insert into products_v4.vocabulary
        select word, count(*) from products_v4.products, unnest(tsvector_to_array(title_words)) as word group by word;
    analyze products_v4.products, products_v4.stock, products_v4.vocabulary;
";
const ORDERS: &str = "
    insert into orders_v3.orders
        select md5('o' || n)::uuid, 100000 + n, md5('c' || n % 2000)::uuid, repeat('s', 80), repeat('s', 120),
               md5('r' || n % 3)::uuid, 'USD', 0, false, 'default', n, 0, 0, n * 7919 % 100000, '[]', now(),
               timestamptz '2026-01-01' + n * interval '1 minute'
        from generate_series(1, 20000) n;
    insert into orders_v3.order_states
        select md5('o' || n)::uuid, timestamptz '2026-01-01' + n * interval '1 minute',
               case when n % 500 = 0 then 'pending' else 'delivered' end,
               case when n % 400 = 0 then 'failed' else 'paid' end, null, null, null, 0, false, null, n % 50 = 0, 3, now()
        from generate_series(1, 20000) n;
    insert into orders_v3.order_lines
        select md5('o' || n)::uuid, line, md5('p' || n)::uuid, md5('s' || n % 400)::uuid, 'sku', 'title', 1, 1, 0, 1, 0, 1, null
        from generate_series(1, 20000) n, generate_series(1, 2) line;
    insert into orders_v3.order_shops
        select md5('o' || n)::uuid, md5('s' || n % 400)::uuid, timestamptz '2026-01-01' + n * interval '1 minute'
        from generate_series(1, 20000) n;
    analyze orders_v3.orders, orders_v3.order_states, orders_v3.order_lines, orders_v3.order_shops;
";
const PAYMENTS: &str = "
    insert into payments_v1.payments
        select md5('y' || n)::uuid, md5('o' || n)::uuid, md5('c' || n % 2000)::uuid, n, 'USD', 'default',
               case when n % 500 = 0 then 'stuck' else 'captured' end, 1, now(), n, now(), 0, false, false, null, null,
               null, 2, timestamptz '2026-01-01' + n * interval '1 minute', now()
        from generate_series(1, 20000) n;
    insert into payments_v1.payment_ledger
        select md5('y' || n)::uuid, 2, 'ch_1', 'captured', n, now() from generate_series(1, 20000) n;
    analyze payments_v1.payments, payments_v1.payment_ledger;
";

// Over the years most have ended; a few are given by themselves, most are used up or given out one by one.
const DISCOUNTS: &str = "
    insert into discounts_v1.discounts (discount_id, region_id, currency, shop_id, code, title, value, scope, minimum,
            starts_at, ends_at, max_uses, max_uses_per_customer, used, revision, deleted, sequence, created_at, updated_at)
        select md5('d' || n)::uuid, md5('r' || n % 3)::uuid, 'USD', case when n % 3 > 0 then md5('s' || n % 400)::uuid end,
               case when n % 200 not in (1, 3) then 'CODE-' || n end, 'Title ' || md5(n::text),
               jsonb_build_object('kind', 'percentage', 'basis_points', 1000),
               jsonb_build_object('product_ids', jsonb_build_array(md5('p' || n)::uuid)), 0,
               case when n % 7 = 0 then timestamptz '2020-01-01' end,
               case when n % 100 <> 1 then timestamptz '2020-01-01' + n * interval '1 minute' end,
               case when n % 5 > 0 then n % 9 + 1 end, 1, n % 4, 1, n % 50 = 0, 1,
               timestamptz '2026-01-01' + n * interval '1 minute', now()
        from generate_series(1, 20000) n;
    analyze discounts_v1.discounts;
";
const CARTS: &str = "
    insert into carts_v1.carts
        select md5('b' || n)::uuid, md5('c' || n % 2000)::uuid, md5('r' || n)::uuid, n % 3, n % 3 * 2, '[]', '[]', 1,
               now(), timestamptz '2026-01-01' + n * interval '1 minute'
        from generate_series(1, 20000) n;
    analyze carts_v1.carts;
";

const SHOPS: &str = "
    insert into shops_v1.shops
        select md5('s' || n)::uuid, md5('c' || n % 9000)::uuid, 'Shop ' || md5(n::text), '',
               case when n % 200 = 0 then 'requested' when n % 100 = 0 then 'closed' else 'open' end, 1,
               timestamptz '2026-01-01' + n * interval '1 minute', now()
        from generate_series(1, 20000) n;
    analyze shops_v1.shops;
";

// Far more than there will be: regions in a handful of currencies, a few disabled; one in ten of both deleted.
const REGIONS: &str = "
    insert into regions_v2.regions
        select md5('r' || n)::uuid, 'Region ' || md5(n::text), 'US',
               case n % 4 when 0 then 'USD' when 1 then 'VND' when 2 then 'SGD' else 'EUR' end, 825, false, false,
               n % 199 > 0 and n % 10 > 0, n % 10 = 0, 1, timestamptz '2026-01-01' + n * interval '1 minute', now()
        from generate_series(1, 20000) n;
    analyze regions_v2.regions;
";

const CATEGORIES: &str = "
    insert into categories_v2.categories
        select md5('g' || n)::uuid, 'Category ' || md5(n::text), n % 10 = 0, 1,
               timestamptz '2026-01-01' + n * interval '1 minute', now()
        from generate_series(1, 20000) n;
    analyze categories_v2.categories;
";

const TIMELINE: &str = "
    insert into events
        select 'order', md5('o' || n / 5), n % 5 + 1, 'OrderPlaced', '1.0', '{}', '{}', n, gen_random_uuid(), now()
        from generate_series(1, 20000) n;
    insert into timeline_v1.timeline select md5('o' || n / 5)::uuid, n from generate_series(1, 20000) n;
    analyze events, timeline_v1.timeline;
";

/// What `md5('…')::uuid` makes in the rows above.
const REGION: Uuid = Uuid::from_u128(0x7c92_cf1e_ee8d_99cc_85f8_355a_3d6e_4b86); // r1
const CUSTOMER: Uuid = Uuid::from_u128(0x4d3a_21d8_c684_c09c_19b9_3be9_1182_7fd5); // c7
const ORDER: Uuid = Uuid::from_u128(0x5e74_9466_2ea0_4ad8_e731_cc25_c614_0eb6); // o7

const SHOP: Uuid = Uuid::from_u128(0x9d71_15b4_2254_d59b_8244_0ebe_8084_927f); // s7
const CATEGORY: Uuid = Uuid::from_u128(0x727b_b92f_57c3_951d_1169_5a52_c92c_2b0c); // g7

fn attribute(name: &str, text: &str) -> BTreeMap<String, AttributeValue> {
    let value = AttributeValue::Text(Title::parse(text).unwrap());
    BTreeMap::from([(name.to_owned(), value)])
}

fn middle_of_time() -> DateTime<Utc> {
    "2026-01-08T00:00:00Z".parse().unwrap()
}

fn order_filters() -> Vec<OrderFilter> {
    let all = OrderFilter::default;
    let day = Span {
        gte: Some(middle_of_time()),
        lte: Some(middle_of_time() + chrono::TimeDelta::days(1)),
    };
    let customer_id = Some(UserId(CUSTOMER));
    vec![
        all(),
        OrderFilter {
            number: Some(OrderNumber(100_007)),
            ..all()
        },
        OrderFilter {
            customer_id,
            ..all()
        },
        OrderFilter {
            region_id: Some(RegionId(REGION)),
            ..all()
        },
        OrderFilter {
            status: Some(OrderStatus::Pending),
            ..all()
        },
        OrderFilter {
            status: Some(OrderStatus::Delivered),
            ..all()
        },
        OrderFilter {
            payment_status: Some(PaymentStatus::Failed),
            ..all()
        },
        OrderFilter {
            payment_status: Some(PaymentStatus::Paid),
            ..all()
        },
        OrderFilter {
            include_deleted: true,
            ..all()
        },
        OrderFilter {
            status: Some(OrderStatus::Pending),
            include_deleted: true,
            ..all()
        },
        OrderFilter {
            created_at: day,
            customer_id,
            ..all()
        },
        OrderFilter {
            total: Span {
                gte: Some(5_000),
                lte: Some(5_100),
            },
            ..all()
        },
        OrderFilter {
            customer_id,
            status: Some(OrderStatus::Delivered),
            ..all()
        },
    ]
}

#[tokio::test]
async fn every_filter_and_sort_of_orders_is_served_by_an_index() {
    let (database, mut connection) = filled_with(ORDERS).await;
    for key in OrderSort::ALL {
        let middle = match key {
            OrderSort::CreatedAt => SortValue::Time(middle_of_time()),
            OrderSort::Total => SortValue::Integer(50_000),
        };
        for filter in order_filters() {
            for page in pages(*key, &middle) {
                let query = orders::list(&View::Orders.schema(), &filter, &page);
                assert_served_by_indexes(&format!("{page:?} {filter:?}"), query, &mut connection)
                    .await;
            }
        }
    }
    database.drop_database().await;
}

#[tokio::test]
async fn every_filter_and_sort_of_a_shop_s_orders_is_served_by_an_index() {
    let (database, mut connection) = filled_with(ORDERS).await;
    let all = || ShopOrderFilter::of(ShopId(SHOP));
    let day = Span {
        gte: Some(middle_of_time()),
        lte: Some(middle_of_time() + chrono::TimeDelta::days(1)),
    };
    let filters = [
        all(),
        ShopOrderFilter {
            status: Some(OrderStatus::Delivered),
            ..all()
        },
        ShopOrderFilter {
            status: Some(OrderStatus::Pending),
            ..all()
        },
        ShopOrderFilter {
            payment_status: Some(PaymentStatus::Paid),
            ..all()
        },
        ShopOrderFilter {
            payment_status: Some(PaymentStatus::Failed),
            ..all()
        },
        ShopOrderFilter {
            created_at: day,
            ..all()
        },
    ];
    for filter in filters {
        for page in pages(ShopOrderSort::CreatedAt, &SortValue::Time(middle_of_time())) {
            let query = orders::list_of_shop(&View::Orders.schema(), &filter, &page);
            assert_served_by_indexes(&format!("{page:?} {filter:?}"), query, &mut connection).await;
        }
    }
    database.drop_database().await;
}

#[tokio::test]
async fn every_filter_and_sort_of_products_is_served_by_an_index() {
    let (database, mut connection) = filled_with(PRODUCTS).await;
    let all = ProductFilter::default;
    let region_id = Some(RegionId(REGION));
    let price = |gte, lte| {
        Some(PriceSpan {
            currency: Currency::parse("VND").unwrap(),
            amount: Span { gte, lte },
        })
    };
    let filters = [
        all(),
        ProductFilter {
            include_deleted: true,
            ..all()
        },
        ProductFilter { region_id, ..all() },
        ProductFilter {
            sku: Some("sku-77".into()),
            ..all()
        },
        ProductFilter {
            in_stock: Some(true),
            ..all()
        },
        ProductFilter {
            in_stock: Some(true),
            region_id,
            ..all()
        },
        ProductFilter {
            in_stock: Some(false),
            ..all()
        },
        ProductFilter {
            in_stock: Some(false),
            region_id,
            ..all()
        },
        ProductFilter {
            low_stock: Some(true),
            ..all()
        },
        ProductFilter {
            low_stock: Some(true),
            region_id,
            ..all()
        },
        ProductFilter {
            low_stock: Some(false),
            ..all()
        },
        ProductFilter {
            low_stock: Some(true),
            in_stock: Some(true),
            ..all()
        },
        ProductFilter {
            price: price(None, None),
            ..all()
        },
        ProductFilter {
            price: price(Some(5_000), Some(5_100)),
            ..all()
        },
        ProductFilter {
            price: price(Some(5_000), Some(5_100)),
            region_id,
            ..all()
        },
        ProductFilter {
            shop_id: Some(ShopId(SHOP)),
            ..all()
        },
        ProductFilter {
            category_id: Some(CategoryId(CATEGORY)),
            ..all()
        },
        ProductFilter {
            category_id: Some(CategoryId(CATEGORY)),
            in_stock: Some(true),
            region_id,
            ..all()
        },
        ProductFilter {
            kind: Some("clothing".into()),
            ..all()
        },
        ProductFilter {
            kind: Some("clothing".into()),
            attributes: attribute("colour", "c12"),
            ..all()
        },
        ProductFilter {
            attributes: attribute("material", "oak"),
            region_id,
            ..all()
        },
    ];
    for key in ProductSort::ALL {
        // only what a text finds has one
        if *key == ProductSort::Relevance {
            continue;
        }
        let middle = middle_of_products(*key);
        for filter in &filters {
            for page in pages(*key, &middle) {
                let query = products::list(&View::Products.schema(), filter, &page, |_| {});
                assert_served_by_indexes(&format!("{page:?} {filter:?}"), query, &mut connection)
                    .await;
            }
        }
    }
    database.drop_database().await;
}

fn middle_of_products(key: ProductSort) -> SortValue {
    match key {
        ProductSort::CreatedAt => SortValue::Time(middle_of_time()),
        ProductSort::Price => SortValue::Integer(50_000),
        ProductSort::Title => SortValue::Text("Title 8".into()),
        ProductSort::Relevance => SortValue::Integer(500_000),
    }
}

/// Filters that shoppers put beside a text.
fn filters_of_searches() -> Vec<ProductFilter> {
    let all = ProductFilter::default;
    let region_id = Some(RegionId(REGION));
    vec![
        all(),
        ProductFilter { region_id, ..all() },
        ProductFilter {
            category_id: Some(CategoryId(CATEGORY)),
            region_id,
            ..all()
        },
        ProductFilter {
            shop_id: Some(ShopId(SHOP)),
            ..all()
        },
        ProductFilter {
            price: Some(PriceSpan {
                currency: Currency::parse("VND").unwrap(),
                amount: Span {
                    gte: Some(5_000),
                    lte: Some(9_000),
                },
            }),
            region_id,
            ..all()
        },
        ProductFilter {
            kind: Some("clothing".into()),
            attributes: attribute("colour", "c12"),
            ..all()
        },
        ProductFilter {
            in_stock: Some(true),
            region_id,
            ..all()
        },
        ProductFilter {
            in_stock: Some(false),
            ..all()
        },
        ProductFilter {
            low_stock: Some(true),
            ..all()
        },
        ProductFilter {
            sku: Some("sku-77".into()),
            ..all()
        },
    ]
}

/// Words of half of all titles, of few, of none but of all descriptions, of a tenth of them, of a handful of products; the
/// beginning of one; a phrase; what is not wanted.
const TEXTS: [&str; 8] = [
    "cotton",
    "velvet",
    "soft",
    "woollen",
    "r77",
    "wooll",
    "\"linen w7\"",
    "cotton w12 -woollen",
];

/// Searches look at candidates, and read those that they rank once more: more blocks than a page has, and still far fewer
/// than the catalogue takes.
const MOST_BLOCKS_OF_SEARCHES: i64 = 3_500;

/// What the first page of a search notes down for the later ones.
async fn note_candidates(
    found: &mut Found,
    filter: &ProductFilter,
    text: &SearchText,
    first: &PageRequest<ProductSort>,
    connection: &mut PgConnection,
) {
    let schema = View::Products.schema();
    let mut query = products::statement(&schema, filter, text, first, found).unwrap();
    let rows = query.build().fetch_all(connection).await.unwrap();
    found.note_candidates(&rows, first).unwrap();
}

#[tokio::test]
async fn every_search_with_every_filter_and_sort_is_served_by_an_index() {
    let (database, mut connection) = filled_with(PRODUCTS).await;
    let schema = View::Products.schema();
    for text in TEXTS {
        let text = SearchText::parse(text).unwrap();
        for key in ProductSort::ALL {
            for filter in filters_of_searches() {
                for page in pages(*key, &middle_of_products(*key)) {
                    let mut found = Found::default();
                    if *key == ProductSort::Relevance && page.after.is_some() {
                        let mut first = page.clone();
                        first.after = None;
                        note_candidates(&mut found, &filter, &text, &first, &mut connection).await;
                    }
                    let query =
                        products::statement(&schema, &filter, &text, &page, &found).unwrap();
                    let what = format!("{page:?} {text:?} {filter:?} {found:?}");
                    assert_served_within(&what, MOST_BLOCKS_OF_SEARCHES, query, &mut connection)
                        .await;
                }
            }
        }
    }
    database.drop_database().await;
}

/// What the planner takes for half of all titles, and no title has.
#[tokio::test]
async fn common_words_that_never_meet_are_looked_for_by_the_index_of_the_text_in_the_end() {
    let (database, mut connection) = filled_with(PRODUCTS).await;
    let schema = View::Products.schema();
    let text = SearchText::parse("cotton linen").unwrap();
    for key in ProductSort::ALL {
        for filter in filters_of_searches() {
            for mut page in pages(*key, &middle_of_products(*key)) {
                page.after = None;
                let found = Found::default();
                let query = products::statement(&schema, &filter, &text, &page, &found).unwrap();
                sqlx::raw_sql(products::BY_TEXT)
                    .execute(&mut connection)
                    .await
                    .unwrap();
                let what = format!("{page:?} {filter:?}");
                assert_served_within(&what, MOST_BLOCKS_OF_SEARCHES, query, &mut connection).await;
                sqlx::raw_sql("rollback")
                    .execute(&mut connection)
                    .await
                    .unwrap();
            }
        }
    }
    database.drop_database().await;
}

#[tokio::test]
async fn words_are_looked_up_and_corrected_by_an_index() {
    let (database, mut own) = filled_with(PRODUCTS).await;
    let mut connection = own.begin().await.unwrap();
    let _ = sqlx::query(products::SESSION)
        .bind(ALIKE)
        .execute(&mut *connection)
        .await
        .unwrap();
    let schema = View::Products.schema();
    for word in ["'velvet'", "'velvte'", "'velv':*"] {
        let query = products::is_known_statement(&schema, word);
        assert_served_by_indexes(word, query, &mut connection).await;
    }
    for word in ["velvte", "coton", "w", "xyzzy"] {
        let query = products::most_alike_statement(&schema, word);
        assert_served_within(word, MOST_BLOCKS_OF_SEARCHES, query, &mut connection).await;
    }
    connection.rollback().await.unwrap();
    database.drop_database().await;
}

#[tokio::test]
async fn every_filter_and_sort_of_shops_is_served_by_an_index() {
    let (database, mut connection) = filled_with(SHOPS).await;
    let all = ShopFilter::default;
    let owner_id = Some(UserId(CUSTOMER));
    let mut filters = vec![all(), ShopFilter { owner_id, ..all() }];
    for status in ShopStatus::ALL {
        let status = Some(status);
        filters.push(ShopFilter { status, ..all() });
        filters.push(ShopFilter { owner_id, status });
    }
    for key in ShopSort::ALL {
        let middle = match key {
            ShopSort::CreatedAt => SortValue::Time(middle_of_time()),
            ShopSort::Title => SortValue::Text("Shop 8".into()),
        };
        for filter in &filters {
            for page in pages(*key, &middle) {
                let query = shops::list(&View::Shops.schema(), filter, &page);
                assert_served_by_indexes(&format!("{page:?} {filter:?}"), query, &mut connection)
                    .await;
            }
        }
    }
    database.drop_database().await;
}

#[tokio::test]
async fn every_filter_and_sort_of_regions_is_served_by_an_index() {
    let (database, mut connection) = filled_with(REGIONS).await;
    for key in RegionSort::ALL {
        let middle = match key {
            RegionSort::Title => SortValue::Text("Region 8".into()),
            RegionSort::CreatedAt => SortValue::Time(middle_of_time()),
        };
        for currency in [None, Currency::parse("VND").ok()] {
            for enabled in [None, Some(true), Some(false)] {
                let filter = RegionFilter { currency, enabled };
                for page in pages(*key, &middle) {
                    let query = regions::list(&View::Regions.schema(), &filter, &page);
                    let what = format!("{page:?} {filter:?}");
                    assert_served_by_indexes(&what, query, &mut connection).await;
                }
            }
        }
    }
    database.drop_database().await;
}

#[tokio::test]
async fn every_filter_and_sort_of_categories_is_served_by_an_index() {
    let (database, mut connection) = filled_with(CATEGORIES).await;
    for key in CategorySort::ALL {
        let middle = match key {
            CategorySort::Title => SortValue::Text("Category 8".into()),
            CategorySort::CreatedAt => SortValue::Time(middle_of_time()),
        };
        for title in [None, Title::parse("Category 7").ok()] {
            let filter = CategoryFilter { title };
            for page in pages(*key, &middle) {
                let query = categories::list(&View::Categories.schema(), &filter, &page);
                let what = format!("{page:?} {filter:?}");
                assert_served_by_indexes(&what, query, &mut connection).await;
            }
        }
    }
    database.drop_database().await;
}

fn discount_filters() -> Vec<DiscountFilter> {
    let all = DiscountFilter::default;
    let (region_id, shop_id) = (Some(RegionId(REGION)), Some(ShopId(SHOP)));
    let mut filters = vec![
        DiscountFilter {
            code: Some(DiscountCode::parse("code-77").unwrap()),
            ..all()
        },
        DiscountFilter {
            region_id,
            automatic: Some(true),
            active: Some(true),
            ..all()
        },
        DiscountFilter {
            include_deleted: true,
            ..all()
        },
    ];
    for (region_id, shop_id) in [(None, None), (region_id, None), (None, shop_id)] {
        let there = || DiscountFilter {
            region_id,
            shop_id,
            ..all()
        };
        filters.push(there());
        for flag in [true, false] {
            filters.push(DiscountFilter {
                automatic: Some(flag),
                ..there()
            });
            filters.push(DiscountFilter {
                active: Some(flag),
                ..there()
            });
        }
    }
    filters
}

#[tokio::test]
async fn every_filter_and_sort_of_discounts_is_served_by_an_index() {
    let (database, mut connection) = filled_with(DISCOUNTS).await;
    for key in DiscountSort::ALL {
        let middle = match key {
            DiscountSort::CreatedAt => SortValue::Time(middle_of_time()),
            DiscountSort::Title => SortValue::Text("Title 8".into()),
            DiscountSort::EndsAt => SortValue::Time("2020-01-08T00:00:00Z".parse().unwrap()),
        };
        for filter in discount_filters() {
            for page in pages(*key, &middle) {
                let query = discounts::list(&View::Discounts.schema(), &filter, &page);
                assert_served_by_indexes(&format!("{page:?} {filter:?}"), query, &mut connection)
                    .await;
            }
        }
    }
    database.drop_database().await;
}

#[tokio::test]
async fn a_customer_s_carts_are_served_by_an_index() {
    let (database, mut connection) = filled_with(CARTS).await;
    let filter = CartFilter {
        customer_id: UserId(CUSTOMER),
    };
    for page in pages(CartSort::UpdatedAt, &SortValue::Time(middle_of_time())) {
        let query = carts::list(&View::Carts.schema(), &filter, &page);
        assert_served_by_indexes(&format!("{page:?}"), query, &mut connection).await;
    }
    database.drop_database().await;
}

#[tokio::test]
async fn every_filter_and_sort_of_payments_is_served_by_an_index() {
    let (database, mut connection) = filled_with(PAYMENTS).await;
    let all = PaymentFilter::default;
    let day = Span {
        gte: Some(middle_of_time()),
        lte: Some(middle_of_time() + chrono::TimeDelta::days(1)),
    };
    let filters = [
        all(),
        PaymentFilter {
            status: Some(PaymentState::Stuck),
            ..all()
        },
        PaymentFilter {
            status: Some(PaymentState::Captured),
            ..all()
        },
        PaymentFilter {
            order_id: Some(OrderId(ORDER)),
            ..all()
        },
        PaymentFilter {
            customer_id: Some(UserId(CUSTOMER)),
            ..all()
        },
        PaymentFilter {
            created_at: day,
            ..all()
        },
    ];
    for filter in filters {
        for page in pages(PaymentSort::CreatedAt, &SortValue::Time(middle_of_time())) {
            let query = payments::list(&View::Payments.schema(), &filter, &page);
            assert_served_by_indexes(&format!("{page:?} {filter:?}"), query, &mut connection).await;
        }
    }
    database.drop_database().await;
}

#[tokio::test]
async fn a_timeline_is_served_by_an_index() {
    let (database, mut connection) = filled_with(TIMELINE).await;
    for page in pages(TimelineSort::Position, &SortValue::Integer(36)) {
        let query = timeline::list(&View::Timeline.schema(), OrderId(ORDER), &page);
        assert_served_by_indexes(&format!("{page:?}"), query, &mut connection).await;
    }
    database.drop_database().await;
}

async fn filled_with(rows: &str) -> (TestDatabase, PgConnection) {
    let database = TestDatabase::create().await;
    let log = database.open_log().await;
    migrate_views(log.pool()).await.unwrap();
    log.close().await;
    let mut connection = database.connect().await;
    sqlx::raw_sql(rows).execute(&mut connection).await.unwrap();
    (database, connection)
}
