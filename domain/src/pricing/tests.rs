//! Lines add up, tax is rounded per line, and nothing overflows.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::{
    discount::{DiscountScope, DiscountValue, NotDue, Percentage},
    product::MAX_PRICE,
    testing::{CATEGORY, REGION, currency, pieces, rate, sku, title, usd},
};

fn terms(basis_points: u32, prices_include_tax: bool) -> RegionTerms {
    RegionTerms {
        region_id: REGION,
        currency: currency("USD"),
        tax_rate: rate(basis_points),
        prices_include_tax,
    }
}

fn item(product: u128, quantity: u64, cents: i64) -> PricedItem {
    PricedItem {
        product_id: ProductId(Uuid::from_u128(product)),
        region_id: REGION,
        shop_id: Some(ShopId(Uuid::from_u128(product))),
        category_id: None,
        sku: sku(&format!("SKU-{product}")),
        title: title(&format!("Product {product}")),
        quantity: pieces(quantity),
        unit_price: usd(cents),
    }
}

fn sums(order: &PricedOrder) -> (i64, i64, i64, i64) {
    (order.subtotal, order.discount, order.tax, order.total)
}

fn amounts(line: &OrderLine) -> (i64, i64, i64, i64) {
    (line.discount, line.net, line.tax, line.gross)
}

#[test]
fn tax_comes_on_top_where_prices_exclude_it() {
    let order = price_lines(
        &terms(825, false),
        &[item(1, 2, 2599), item(2, 1, 1000)],
        &[],
    )
    .unwrap();
    // 8.25 % of 51.98 is 4.28835, of 10.00 is 0.825
    assert_eq!(amounts(&order.lines[0]), (0, 5198, 429, 5627));
    assert_eq!(amounts(&order.lines[1]), (0, 1000, 83, 1083));
    assert_eq!(sums(&order), (6198, 0, 512, 6710));
}

#[test]
fn tax_is_inside_where_prices_include_it() {
    let order = price_lines(
        &terms(900, true),
        &[item(1, 1, 10_900), item(2, 3, 333)],
        &[],
    )
    .unwrap();
    assert_eq!(amounts(&order.lines[0]), (0, 10_000, 900, 10_900));
    // 9.99 / 1.09 × 0.09 is 0.82486
    assert_eq!(amounts(&order.lines[1]), (0, 917, 82, 999));
    assert_eq!(sums(&order), (11_899, 0, 982, 11_899));
}

#[test]
fn a_discount_is_spread_by_largest_remainder_before_tax() {
    let items = [item(1, 1, 1000), item(2, 1, 1000), item(3, 1, 1000)];
    let order = price_lines(&terms(1000, false), &items, &[amount_off(1, 100)]).unwrap();
    assert_eq!(
        order
            .lines
            .iter()
            .map(|line| line.discount)
            .collect::<Vec<_>>(),
        [34, 33, 33]
    );
    assert_eq!(
        order.lines.iter().map(|line| line.net).collect::<Vec<_>>(),
        [966, 967, 967]
    );
    assert_eq!(
        order.lines.iter().map(|line| line.tax).collect::<Vec<_>>(),
        [97, 97, 97]
    );
    assert_eq!(sums(&order), (3000, 100, 291, 3191));
}

#[test]
fn a_discount_of_everything_leaves_nothing_to_pay() {
    let order = price_lines(
        &terms(1000, false),
        &[item(1, 3, 999), item(2, 1, 0)],
        &[share_off(1, 10_000)],
    )
    .unwrap();
    assert_eq!(sums(&order), (2997, 2997, 0, 0));
    assert_eq!(order.lines[1].discount, 0);
}

#[test]
fn the_same_product_twice_is_one_line() {
    let order = price_lines(
        &terms(0, false),
        &[item(1, 2, 100), item(2, 1, 50), item(1, 3, 100)],
        &[],
    )
    .unwrap();
    let lines: Vec<_> = order
        .lines
        .iter()
        .map(|line| (line.line, line.sku.as_str(), line.quantity.get()))
        .collect();
    assert_eq!(lines, [(1, "SKU-1", 5), (2, "SKU-2", 1)]);
    assert_eq!(order.total, 550);
}

#[test]
fn what_cannot_be_one_order_is_refused() {
    let terms = terms(1000, false);
    let priced = |items: &[PricedItem]| price_lines(&terms, items, &[]).unwrap_err();
    let product_id = ProductId(Uuid::from_u128(1));
    assert_eq!(priced(&[]), PricingError::Empty);

    let elsewhere = PricedItem {
        region_id: RegionId(Uuid::from_u128(9)),
        ..item(1, 1, 1)
    };
    assert_eq!(
        priced(&[item(2, 1, 1), elsewhere]),
        PricingError::MixedRegions { product_id }
    );

    let vnd = PricedItem {
        unit_price: Money::new(1, currency("VND")),
        ..item(1, 1, 1)
    };
    let (expected, found) = (currency("USD"), currency("VND"));
    assert_eq!(
        priced(&[vnd]),
        PricingError::MixedCurrencies {
            product_id,
            expected,
            found
        }
    );

    assert_eq!(
        priced(&[item(1, 1, 1), item(1, 1, 2)]),
        PricingError::PricesDiffer { product_id }
    );
    assert_eq!(
        priced(&[item(1, 1, -1)]),
        PricingError::NegativePrice { product_id }
    );
    let too_many = [item(1, 600_000, 1), item(1, 600_000, 1)];
    assert_eq!(
        priced(&too_many),
        PricingError::QuantityTooLarge { product_id }
    );
}

#[test]
fn an_order_has_at_most_200_lines() {
    let items = |number: u128| {
        (0..number)
            .map(|product| item(product, 1, 1))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        price_lines(&terms(0, false), &items(200), &[])
            .unwrap()
            .lines
            .len(),
        MAX_LINES
    );
    assert_eq!(
        price_lines(&terms(0, false), &items(201), &[]),
        Err(PricingError::TooManyLines)
    );
    // naming one product often is no other line
    assert!(price_lines(&terms(0, false), &vec![item(1, 1, 1); 500], &[]).is_ok());
}

#[test]
fn a_total_beyond_64_bits_is_refused() {
    let too_large = |items: &[PricedItem], basis_points| {
        assert_eq!(
            price_lines(&terms(basis_points, false), items, &[]),
            Err(PricingError::TotalTooLarge)
        );
    };
    too_large(&[item(1, 2, i64::MAX)], 0);
    too_large(&[item(1, 1, i64::MAX), item(2, 1, 1)], 0);
    too_large(&[item(1, 1, i64::MAX)], 1);
    assert_eq!(
        price_lines(&terms(10_000, true), &[item(1, 1, i64::MAX)], &[])
            .unwrap()
            .total,
        i64::MAX
    );
}

#[test]
fn the_largest_order_of_the_dearest_products_has_a_total() {
    let lines = MAX_LINES as u128;
    let items: Vec<_> = (1..=lines)
        .map(|number| item(number, Quantity::MAX.into(), MAX_PRICE))
        .collect();
    let order = price_lines(&terms(10_000, false), &items, &[]).unwrap();
    assert_eq!(order.total, 2 * order.subtotal);
    assert_eq!(order.subtotal, 200 * 1_000_000 * MAX_PRICE);
}

/// Over everything, without a minimum.
fn offer(number: u128, value: DiscountValue) -> Offer {
    Offer {
        discount_id: DiscountId(Uuid::from_u128(number)),
        title: title(&format!("Discount {number}")),
        code: None,
        shop_id: None,
        value,
        minimum: 0,
        scope: DiscountScope::default(),
    }
}

fn amount_off(number: u128, amount: i64) -> Offer {
    offer(number, DiscountValue::Amount { amount })
}

fn share_off(number: u128, basis_points: u32) -> Offer {
    let basis_points = Percentage::from_basis_points(basis_points).unwrap();
    offer(number, DiscountValue::Percentage { basis_points })
}

fn on(products: &[u128], offer: Offer) -> Offer {
    let product_ids = products
        .iter()
        .map(|number| ProductId(Uuid::from_u128(*number)));
    let scope = DiscountScope {
        product_ids: product_ids.collect(),
        ..DiscountScope::default()
    };
    Offer { scope, ..offer }
}

/// What was taken off a line, and by the discount of which number.
type OfLine = (i64, u128);
/// The number of a discount, and what it took off.
type OfDiscount = (u128, i64);

/// Per line, what was taken off and by which discount; then the discounts with their amounts.
fn given(items: &[PricedItem], offers: &[Offer]) -> (Vec<OfLine>, Vec<OfDiscount>) {
    let order = price_lines(&terms(0, false), items, offers).unwrap();
    let number = |id: DiscountId| id.0.as_u128();
    let lines = order.lines.iter();
    let lines = lines.map(|line| (line.discount, line.discount_id.map_or(0, number)));
    let discounts = order.discounts.iter();
    let discounts = discounts.map(|given| (number(given.discount_id), given.amount));
    (lines.collect(), discounts.collect())
}

#[test]
fn no_line_is_discounted_twice_and_what_takes_the_most_off_goes_first() {
    let items = [item(1, 1, 1000), item(2, 1, 1000), item(3, 1, 1000)];
    // 10 % of everything is 300; half of the first is 500, after which 10 % of the others is 200
    let offers = [share_off(1, 1000), on(&[1], share_off(2, 5000))];
    assert_eq!(
        given(&items, &offers),
        (vec![(500, 2), (100, 1), (100, 1)], vec![(2, 500), (1, 200)])
    );
    // 20 % of everything is 600 and leaves nothing for the other
    let offers = [share_off(1, 2000), on(&[1], share_off(2, 5000))];
    assert_eq!(
        given(&items, &offers),
        (vec![(200, 1), (200, 1), (200, 1)], vec![(1, 600)])
    );
}

#[test]
fn of_two_that_take_the_same_off_the_one_made_first_goes_first() {
    let items = [item(1, 1, 1000)];
    let offers = [amount_off(2, 100), share_off(1, 1000)];
    assert_eq!(given(&items, &offers).1, [(1, 100)]);
    let twice = [amount_off(2, 100), amount_off(2, 100)];
    assert_eq!(given(&items, &twice).1, [(2, 100)], "and once only");
}

#[test]
fn a_minimum_is_what_is_bought_of_what_the_discount_covers_before_any_discount() {
    let items = [item(1, 1, 1000), item(2, 2, 500)];
    let with = |minimum, offer| Offer { minimum, ..offer };
    assert_eq!(given(&items, &[with(2000, amount_off(1, 10))]).1, [(1, 10)]);
    assert_eq!(given(&items, &[with(2001, amount_off(1, 10))]).1, []);
    let first = |minimum| with(minimum, on(&[1], amount_off(1, 10)));
    assert_eq!(first(1000).check(&items), Ok(()));
    assert_eq!(first(1001).check(&items), Err(NotDue::BelowMinimum));
    // the larger discount takes a line, and the minimum of the other is reached all the same
    let offers = [with(2000, share_off(1, 1000)), on(&[1], amount_off(2, 900))];
    assert_eq!(given(&items, &offers).1, [(2, 900), (1, 100)]);
}

#[test]
fn a_discount_covers_its_shop_and_its_categories_only() {
    let shirt = PricedItem {
        category_id: Some(CATEGORY),
        ..item(1, 1, 1000)
    };
    let items = [shirt, item(2, 1, 1000)];
    let of_shop = |number| Offer {
        shop_id: Some(ShopId(Uuid::from_u128(number))),
        ..share_off(1, 1000)
    };
    assert_eq!(given(&items, &[of_shop(2)]).0, [(0, 0), (100, 1)]);
    assert_eq!(of_shop(3).check(&items), Err(NotDue::NothingCovered));
    let scope = DiscountScope {
        category_ids: [CATEGORY].into(),
        ..DiscountScope::default()
    };
    let shirts = Offer {
        scope,
        ..share_off(1, 1000)
    };
    assert_eq!(given(&items, &[shirts]).0, [(100, 1), (0, 0)]);
}

#[test]
fn an_amount_takes_no_more_off_than_its_lines_are_worth() {
    let items = [item(1, 1, 100), item(2, 1, 1000), item(3, 1, 0)];
    let offers = [on(&[1, 3], amount_off(1, 500))];
    assert_eq!(
        given(&items, &offers),
        (vec![(100, 1), (0, 0), (0, 0)], vec![(1, 100)])
    );
}

proptest! {
    #[test]
    fn lines_add_up_to_the_totals(
        basis_points in 0_u32..=10_000,
        included: bool,
        items in prop::collection::vec((0_u128..8, 1_u64..=50, 0_i64..=100_000_000), 1..12),
        shares in prop::collection::vec((1_u32..=10_000, prop::collection::vec(0_u128..8, 0..4)), 0..4),
        off in prop::collection::vec((1_i64..=1_000_000, prop::collection::vec(0_u128..8, 0..4)), 0..4),
    ) {
        // one price per product
        let price = |product| items.iter().find(|item| item.0 == product).unwrap().2;
        let items: Vec<_> = items.iter().map(|(product, quantity, _)| item(*product, *quantity, price(*product))).collect();
        let subtotal: i64 = items.iter().map(|item| item.unit_price.amount * i64::from(item.quantity)).sum();
        let shares = shares.iter().zip(1..).map(|((share, products), number)| on(products, share_off(number, *share)));
        let off = off.iter().zip(100..).map(|((amount, products), number)| on(products, amount_off(number, *amount)));
        let offers: Vec<_> = shares.chain(off).collect();
        let terms = terms(basis_points, included);
        let order = price_lines(&terms, &items, &offers).unwrap();
        let discount = order.discount;

        prop_assert_eq!(order.subtotal, subtotal);
        prop_assert!((0..=subtotal).contains(&discount));
        prop_assert_eq!(order.lines.iter().map(|line| line.discount).sum::<i64>(), discount);
        for given in &order.discounts {
            let lines = order.lines.iter().filter(|line| line.discount_id == Some(given.discount_id));
            prop_assert_eq!(lines.map(|line| line.discount).sum::<i64>(), given.amount);
            prop_assert!(given.amount > 0);
        }
        let mut reversed = offers.clone();
        reversed.reverse();
        prop_assert_eq!(price_lines(&terms, &items, &reversed).unwrap(), order.clone(), "whatever order they come in");
        prop_assert_eq!(order.lines.iter().map(|line| line.tax).sum::<i64>(), order.tax);
        prop_assert_eq!(order.lines.iter().map(|line| line.gross).sum::<i64>(), order.total);
        prop_assert_eq!(order.total, if included { subtotal - discount } else { subtotal - discount + order.tax });
        for (line, number) in order.lines.iter().zip(1..) {
            let amount = line.unit_price * i64::from(line.quantity);
            prop_assert_eq!(line.line, number);
            prop_assert_eq!(line.net + line.tax, line.gross);
            prop_assert!((0..=amount).contains(&line.discount));
            prop_assert_eq!(amount - line.discount, if included { line.gross } else { line.net });
            let tax = if included { terms.tax_rate.tax_within(line.gross) } else { terms.tax_rate.tax_on(line.net) };
            prop_assert_eq!(line.tax, tax);
        }
    }
}
