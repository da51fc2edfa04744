//! Discounts: what is given, by which rules, and how often it was used.

use std::num::NonZeroU32;

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    discount::{
        CreateDiscount, Discount, DiscountCommand, DiscountRules, DiscountScope, DiscountValue,
    },
    ids::{CategoryId, DiscountId, OrderId, ProductId, RegionId, ShopId},
    money::Currency,
    text::{DiscountCode, Title},
};
use projections::{
    View,
    discounts::{DiscountFilter, DiscountSort, DiscountView},
    page::{Direction, Limits, PageRequest, Sort},
};
use uuid::Uuid;

use crate::shop::{Shop, tenth_off};

fn rules(title: &str) -> DiscountRules {
    DiscountRules {
        title: Title::parse(title).unwrap(),
        value: DiscountValue::Amount { amount: 500 },
        scope: DiscountScope::default(),
        minimum: 0,
        starts_at: None,
        ends_at: None,
        max_uses: None,
        max_uses_per_customer: None,
    }
}

fn code(text: &str) -> DiscountCode {
    DiscountCode::parse(text).unwrap()
}

async fn give(
    shop: &Shop,
    region_id: RegionId,
    shop_id: Option<ShopId>,
    code: Option<DiscountCode>,
    rules: DiscountRules,
) -> DiscountId {
    let discount_id = DiscountId(Uuid::now_v7());
    let create = DiscountCommand::CreateDiscount(CreateDiscount {
        discount_id,
        region_id,
        currency: Currency::parse("USD").unwrap(),
        shop_id,
        code,
        rules,
    });
    shop.command::<Discount>(discount_id, create).await;
    discount_id
}

/// The row says what the aggregate says.
async fn check(shop: &Shop, discount_id: DiscountId) -> DiscountView {
    shop.settle(&[View::Discounts]).await;
    let row = shop.models.discount(discount_id).await.unwrap().unwrap();
    let (discount, sequence) = shop.log.load::<Discount>(discount_id).await.unwrap();
    assert_eq!(Some(&row.details), discount.details());
    assert_eq!(row.sequence, sequence);
    row
}

#[tokio::test]
async fn a_discount_is_as_its_events_tell_and_a_use_is_no_change_of_it() {
    let shop = Shop::open().await;
    let region_id = shop.region("United States", "USD").await;
    let at = |text: &str| Some(text.parse::<DateTime<Utc>>().unwrap());
    let full = DiscountRules {
        value: tenth_off(1).value,
        scope: DiscountScope {
            product_ids: [1, 2].map(|n| ProductId(Uuid::from_u128(n))).into(),
            category_ids: [CategoryId(Uuid::from_u128(3))].into(),
        },
        minimum: 2_500,
        starts_at: at("2026-11-27T00:00:00.000001Z"),
        ends_at: at("2026-11-30T00:00:00Z"),
        max_uses: NonZeroU32::new(u32::MAX),
        max_uses_per_customer: NonZeroU32::new(1),
        ..rules("Áo dài")
    };
    let shop_id = Some(ShopId(Uuid::now_v7()));
    let made = give(&shop, region_id, shop_id, Some(code("tet")), full).await;
    let created = check(&shop, made).await;
    assert_eq!((created.details.revision, created.details.used), (1, 0));

    let order = |number| OrderId(Uuid::from_u128(number));
    for command in [
        DiscountCommand::CountUse { order_id: order(1) },
        DiscountCommand::CountUse { order_id: order(2) },
        DiscountCommand::ReturnUse { order_id: order(1) },
    ] {
        shop.command::<Discount>(made, command).await;
    }
    let used = check(&shop, made).await;
    assert_eq!((used.details.revision, used.details.used), (1, 1));
    assert_eq!(used.updated_at, created.updated_at);

    let other = DiscountCommand::ChangeDiscount {
        rules: rules("Tết"),
    };
    shop.command::<Discount>(made, other).await;
    let changed = check(&shop, made).await;
    assert_eq!((changed.details.revision, changed.details.used), (2, 1));
    assert!(changed.updated_at > used.updated_at && changed.created_at == used.created_at);
    shop.command::<Discount>(made, DiscountCommand::DeleteDiscount)
        .await;
    let deleted = check(&shop, made).await;
    assert!(deleted.details.deleted && deleted.details.revision == 3);
    let nothing = shop.models.discount(DiscountId(Uuid::now_v7())).await;
    assert_eq!(nothing.unwrap(), None);
    shop.close().await;
}

async fn titles(
    shop: &Shop,
    filter: &DiscountFilter,
    key: DiscountSort,
    direction: Direction,
) -> Vec<String> {
    let (mut titles, mut cursor) = (vec![], None);
    loop {
        let sort = Sort { key, direction };
        let page = PageRequest::new(Limits::STANDARD, sort, Some(2), cursor.as_deref()).unwrap();
        let page = shop.models.discounts(filter, &page).await.unwrap();
        let shown = page.items.iter();
        titles.extend(shown.map(|discount| discount.details.rules.title.to_string()));
        cursor = page.next;
        if cursor.is_none() {
            return titles;
        }
    }
}

#[tokio::test]
async fn discounts_are_filtered_and_sorted() {
    use DiscountSort as S;
    let shop = Shop::open().await;
    let america = shop.region("United States", "USD").await;
    let elsewhere = shop.region("Elsewhere", "USD").await;
    let hats = ShopId(Uuid::now_v7());
    let hour = |hours| Some(Utc::now() + TimeDelta::hours(hours));
    let ended = DiscountRules {
        ends_at: hour(-1),
        ..rules("E ended")
    };
    let to_come = DiscountRules {
        starts_at: hour(1),
        ends_at: hour(2),
        ..rules("D to come")
    };
    let once = DiscountRules {
        max_uses: NonZeroU32::new(1),
        ends_at: hour(3),
        ..rules("C once")
    };
    give(&shop, america, None, Some(code("ended")), ended).await;
    give(&shop, america, Some(hats), Some(code("to-come")), to_come).await;
    let once = give(&shop, america, None, Some(code("once")), once).await;
    give(&shop, elsewhere, None, Some(code("open")), rules("B open")).await;
    give(&shop, america, Some(hats), None, rules("A given")).await;
    let gone = give(&shop, america, None, None, rules("F gone")).await;
    shop.command::<Discount>(gone, DiscountCommand::DeleteDiscount)
        .await;
    shop.settle(&[View::Discounts]).await;

    let all = DiscountFilter::default;
    let sorted = async |key, direction| titles(&shop, &all(), key, direction).await.join(", ");
    let by_title = "A given, B open, C once, D to come, E ended";
    assert_eq!(sorted(S::Title, Direction::Asc).await, by_title);
    assert_eq!(
        sorted(S::CreatedAt, Direction::Desc).await,
        "A given, B open, C once, D to come, E ended"
    );
    // what never ends comes last, also across pages
    assert_eq!(
        sorted(S::EndsAt, Direction::Asc).await,
        "E ended, D to come, C once, B open, A given"
    );
    assert_eq!(
        sorted(S::EndsAt, Direction::Desc).await,
        "A given, B open, C once, D to come, E ended"
    );

    let letters = async |filter: DiscountFilter| {
        let titles = titles(&shop, &filter, S::Title, Direction::Asc).await;
        titles.iter().map(|title| &title[..1]).collect::<String>()
    };
    let active = |active| DiscountFilter {
        active: Some(active),
        ..all()
    };
    let automatic = |automatic| DiscountFilter {
        automatic: Some(automatic),
        ..all()
    };
    let everything = DiscountFilter {
        include_deleted: true,
        ..all()
    };
    let in_region = DiscountFilter {
        region_id: Some(america),
        ..all()
    };
    let of_shop = DiscountFilter {
        shop_id: Some(hats),
        ..all()
    };
    let coded = DiscountFilter {
        code: Some(code("Once")),
        ..all()
    };
    for (filter, expected) in [
        (everything.clone(), "ABCDEF"),
        (in_region, "ACDE"),
        (of_shop.clone(), "AD"),
        (coded, "C"),
        (automatic(true), "A"),
        (automatic(false), "BCDE"),
        (active(true), "ABC"),
        (active(false), "DE"),
        (
            DiscountFilter {
                active: Some(false),
                ..everything
            },
            "DEF",
        ),
        (
            DiscountFilter {
                active: Some(true),
                ..of_shop
            },
            "A",
        ),
    ] {
        assert_eq!(letters(filter.clone()).await, expected, "{filter:?}");
    }
    // the last use ends it, and one that comes back begins it anew
    let order_id = OrderId(Uuid::now_v7());
    for (command, expected) in [
        (DiscountCommand::CountUse { order_id }, "AB"),
        (DiscountCommand::ReturnUse { order_id }, "ABC"),
    ] {
        shop.command::<Discount>(once, command).await;
        shop.settle(&[View::Discounts]).await;
        assert_eq!(letters(active(true)).await, expected);
    }
    shop.close().await;
}
