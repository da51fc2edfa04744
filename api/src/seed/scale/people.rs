//! The people of a large demo shop: customers with an address of their region, and sellers.

use identity::{DemoUser, Email, Role, Roles};

use super::{
    Scale,
    random::{Random, Thing},
    shares::place_of,
    words::{PLACES, Place},
};
use crate::seed::SeedError;

/// What is personal of somebody: the same whenever it is drawn.
pub(super) struct Person {
    pub(super) name: String,
    pub(super) address: String,
}

impl Scale {
    /// The customer or seller of this number.
    pub(super) fn person(&self, thing: Thing, number: u64) -> Person {
        let mut random = Random::of(thing, self.random_seed, number);
        let place = &PLACES[place_of(number)];
        Person {
            name: place.names.map(|names| random.pick(names)).join(" "),
            address: address(place, &mut random),
        }
    }

    /// The same with what they log in with.
    pub(super) fn account(&self, thing: Thing, number: u64) -> Result<DemoUser, SeedError> {
        let Person { name, address } = self.person(thing, number);
        let (what, roles): (_, Roles) = match thing {
            Thing::Seller => ("seller", Roles::from(Role::Customer).with(Role::Seller)),
            _ => ("customer", Role::Customer.into()),
        };
        let email = format!("{what}-{}-{}@example.com", self.random_seed, number + 1);
        Ok(DemoUser {
            name: name.parse()?,
            email: email.parse::<Email>()?,
            address: address.parse()?,
            roles,
        })
    }
}

fn address(place: &Place, random: &mut Random) -> String {
    let number = (1 + random.below(240)).to_string();
    let street = random.pick(place.streets).replace("{n}", &number);
    let mut address = format!("{street}\n");
    for c in random.pick(place.cities).chars() {
        match c {
            '#' => address.push(char::from(b'0' + random.below(10) as u8)),
            other => address.push(other),
        }
    }
    address
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::HashSet;

    use super::*;

    fn scale(random_seed: u64) -> Scale {
        Scale {
            random_seed,
            ..Scale::of(1_000)
        }
    }

    #[test]
    fn people_can_log_in_and_have_addresses_that_are_complete() {
        let mut emails = HashSet::new();
        for thing in [Thing::Customer, Thing::Seller] {
            for number in 0..1_000 {
                let account = scale(1).account(thing, number).unwrap();
                assert!(emails.insert(account.email));
                let Person { name, address } = scale(1).person(thing, number);
                assert_eq!(account.name.as_str(), name);
                assert_eq!(account.address.as_str(), address);
                assert!(!address.contains(['#', '{', '}']), "{address}");
                assert!(address.lines().count() > 1);
                assert_eq!(account.roles.contains(Role::Seller), thing == Thing::Seller);
            }
        }
        assert!(emails.contains(&"customer-1-1000@example.com".parse().unwrap()));
    }

    #[test]
    fn they_are_many_different_ones_and_others_by_another_seed() {
        let all = |seed| -> HashSet<String> {
            let person = |number| scale(seed).person(Thing::Customer, number);
            (0..1_000)
                .map(person)
                .map(|it| it.name + "\n" + &it.address)
                .collect()
        };
        let (one, two) = (all(1), all(2));
        assert!(one.len() > 990, "{}", one.len());
        assert_eq!(all(1), one);
        assert!(one.intersection(&two).count() < 20);
    }
}
