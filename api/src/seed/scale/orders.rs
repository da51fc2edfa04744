//! The orders of a large demo shop: who orders often is few, what is ordered often is few, most orders are of one line
//! and most lines of one piece.

use std::collections::BTreeSet;

use commands::{
    orders::{NewOrder, OrderItem},
    payment_methods::TEST_DECLINED,
};
use domain::{
    ids::{OrderId, UserId},
    text::{PaymentMethod, Quantity},
};

use super::{
    Scale,
    people::Person,
    random::{Random, Thing},
    shares::{count_in, nth_in, place_of},
    words::PLACES,
};
use crate::seed::{SeedError, region_id};

/// How many orders of a hundred have at least so many lines: at least one, two …
const LINES: [u64; 5] = [100, 50, 25, 12, 4];
/// Pieces of an order, on average: its lines times their pieces.
pub(super) const PIECES: f64 = 1.91 * 1.24;
/// Orders of a hundred that are paid by a card that will be declined, where such cards are accepted.
const DECLINED: u64 = 3;

impl Scale {
    /// The id of the order of this number.
    pub(super) fn order_id(&self, number: u64) -> OrderId {
        OrderId(Thing::Order.id(self.random_seed, number))
    }

    /// The order of this number, by one of these customers.
    pub(super) fn order(
        &self,
        number: u64,
        customers: &[UserId],
        test_methods: bool,
    ) -> Result<NewOrder, SeedError> {
        let mut random = Random::of(Thing::Order, self.random_seed, number);
        let customer = random.faithful(customers.len() as u64);
        let customer_id = customers.get(customer as usize).copied();
        let customer_id =
            customer_id.ok_or_else(|| SeedError::Invalid("nobody is there to order".into()))?;
        let Person { name, address } = self.person(Thing::Customer, customer);
        let place = self.market_of(customer);
        let declined = random.chance(DECLINED) && test_methods;
        Ok(NewOrder {
            order_id: self.order_id(number),
            customer_id,
            customer_name: name,
            shipping_address: address,
            region_id: Some(region_id(PLACES[place].region)),
            payment_method: declined
                .then(|| PaymentMethod::parse(TEST_DECLINED))
                .transpose()?,
            codes: Vec::new(),
            expected_total: None,
            shipping_country: None,
            items: self.items(place, &mut random)?,
        })
    }

    /// Where a customer buys: at home, or in the first region where nothing is sold at home.
    fn market_of(&self, customer: u64) -> usize {
        let home = place_of(customer);
        if count_in(home, self.products) > 0 {
            home
        } else {
            0
        }
    }

    /// How much of all orders is placed in this region, about.
    #[allow(clippy::cast_precision_loss)] // ten of them
    pub(super) fn share(&self, place: usize) -> f64 {
        let customers = (0..10).filter(|customer| self.market_of(*customer) == place);
        customers.count() as f64 / 10.0
    }

    fn items(&self, place: usize, random: &mut Random) -> Result<Vec<OrderItem>, SeedError> {
        let drawn = random.below(100);
        let lines = LINES
            .iter()
            .filter(|of_a_hundred| drawn < **of_a_hundred)
            .count();
        let products: BTreeSet<u64> = (0..lines)
            .map(|_| nth_in(place, random.popular(count_in(place, self.products))))
            .collect();
        let item = |number| {
            let pieces = match random.below(100) {
                0..85 => 1,
                85..95 => 2,
                other => other - 92,
            };
            Ok::<_, SeedError>(OrderItem {
                product_id: self.product_id(number),
                quantity: Quantity::parse(pieces.min(4))?,
            })
        };
        products.into_iter().map(item).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::{BTreeMap, HashSet};

    use domain::ids::ProductId;
    use uuid::Uuid;

    use super::*;

    fn customers(scale: &Scale) -> Vec<UserId> {
        (0..scale.customers)
            .map(|number| UserId(Uuid::from_u128(number.into())))
            .collect()
    }

    fn all(scale: &Scale) -> Vec<NewOrder> {
        let customers = customers(scale);
        let order = |number| scale.order(number, &customers, true).unwrap();
        (0..scale.orders).map(order).collect()
    }

    #[test]
    fn an_order_is_the_same_whenever_it_is_drawn_however_many_there_are() {
        let scale = Scale::of(300);
        let more = Scale {
            orders: 3_000,
            ..scale
        };
        assert!(all(&scale) == all(&scale));
        assert!(all(&scale)[..] == all(&more)[..300]);
        let other = Scale {
            random_seed: 9,
            ..scale
        };
        let ids: HashSet<OrderId> = [scale, other]
            .iter()
            .flat_map(all)
            .map(|order| order.order_id)
            .collect();
        assert_eq!(ids.len(), 600);
    }

    #[test]
    fn orders_are_of_products_of_their_region_by_people_who_live_there() {
        let scale = Scale::of(1_000);
        let shown = HashSet::new();
        let regions: BTreeMap<ProductId, _> = (0..scale.products)
            .map(|number| scale.product(number, &shown).unwrap())
            .map(|product| (product.product_id, product.region_id))
            .collect();
        let mut seen = HashSet::new();
        for order in all(&scale) {
            for item in &order.items {
                assert_eq!(regions[&item.product_id], order.region_id.unwrap());
            }
            assert!((1..=5).contains(&order.items.len()));
            seen.insert(order.region_id);
        }
        assert_eq!(seen.len(), PLACES.len());
    }

    #[test]
    fn most_lines_are_of_one_piece_and_some_products_and_people_come_again_and_again() {
        let scale = Scale::of(10_000);
        let (mut products, mut people) = (BTreeMap::new(), BTreeMap::new());
        let (mut lines, mut pieces, mut declined) = (0, 0, 0);
        for order in all(&scale) {
            *people.entry(order.customer_id).or_insert(0) += 1;
            declined += u32::from(order.payment_method.is_some());
            for item in &order.items {
                *products.entry(item.product_id).or_insert(0) += 1;
                lines += 1;
                pieces += item.quantity.get();
            }
        }
        assert!(
            (1.7..2.0).contains(&(f64::from(lines) / 10_000.0)),
            "{lines}"
        );
        assert!(
            (1.7 * 1.15..PIECES).contains(&(f64::from(pieces) / 10_000.0)),
            "{pieces}"
        );
        assert!((200..400).contains(&declined), "{declined}");
        assert!(products.values().max() > Some(&400) && products.len() > 2_000);
        assert!(people.values().max() > Some(&20) && people.len() > 4_000);
    }

    #[test]
    fn there_is_stock_for_what_is_ordered() {
        for scale in [
            Scale::of(1),
            Scale::of(30),
            Scale::of(3_000),
            Scale {
                products: 3,
                customers: 100,
                ..Scale::of(20_000)
            },
            Scale {
                products: 50,
                customers: 1,
                ..Scale::of(5_000)
            },
        ] {
            let shown = HashSet::new();
            let mut stock: BTreeMap<ProductId, i64> = (0..scale.products)
                .map(|number| scale.product(number, &shown).unwrap())
                .map(|product| (product.product_id, product.stock.unwrap().into()))
                .collect();
            for item in all(&scale).iter().flat_map(|order| &order.items) {
                *stock.get_mut(&item.product_id).unwrap() -= i64::from(item.quantity);
            }
            assert!(
                stock.values().all(|left| *left >= 0),
                "{scale:?}: {stock:?}"
            );
        }
    }

    #[test]
    fn cards_that_will_be_declined_are_left_out_where_they_are_not_accepted() {
        let scale = Scale::of(1_000);
        let customers = customers(&scale);
        let order = |number| scale.order(number, &customers, false).unwrap();
        assert!(
            (0..1_000)
                .map(order)
                .all(|order| order.payment_method.is_none())
        );
        assert!(scale.order(0, &[], true).is_err());
    }
}
