//! The products of a large demo shop, and the shops that they belong to: goods of every kind there is, in the languages
//! of their region, at prices that spread as prices do, with enough on the shelf for the orders that will come.

use std::collections::HashSet;

use commands::{products::NewProduct, shops::NewShop};
use domain::{
    ids::{CategoryId, ProductId, ShopId, UserId},
    kinds::{self, Attribute, AttributeValue, Kind, Rule, Specification},
    money::{Currency, Money},
    text::{Description, Quantity, Sku, Title},
};

use super::{
    Scale, orders,
    random::{Random, Thing, popularity},
    shares::{count_in, place_of, rank_of},
    words::{self, GOODS, Goods, Language, PLACES, Place},
};
use crate::seed::{SeedError, catalogue::REGIONS, category_id, region_id};

/// Products of a shop, on average: those that are known have more.
const PER_SHOP: u64 = 100;
/// Products of a hundred that are nobody's but the market's.
const OF_THE_MARKET: u64 = 20;
/// How far prices spread: a third of them are beyond this factor of `e` from the middle.
const SPREAD: f64 = 0.5;
/// Stock for so many times the pieces that are likely to be ordered.
const PRUDENCE: f64 = 2.2;

/// What something is, before it has a name: goods that there are words for, or of a kind that there are none for yet.
#[derive(Clone, Copy)]
enum Sort {
    Known(&'static Goods),
    Unnamed(&'static Kind),
}

impl Scale {
    /// How many shops there are, each with a seller.
    pub(super) const fn shops(&self) -> u64 {
        let shops = self.products / PER_SHOP;
        if shops == 0 { 1 } else { shops }
    }

    /// The id of the shop of this number.
    pub(super) fn shop_id(&self, number: u64) -> ShopId {
        ShopId(Thing::Shop.id(self.random_seed, number))
    }

    /// The id of the product of this number.
    pub(super) fn product_id(&self, number: u64) -> ProductId {
        ProductId(Thing::Product.id(self.random_seed, number))
    }

    /// The shop of this number, of that seller.
    pub(super) fn shop(&self, number: u64, owner_id: UserId) -> Result<NewShop, SeedError> {
        let mut random = Random::of(Thing::Shop, self.random_seed, number);
        let title = format!(
            "{} {}",
            random.pick(words::MAKERS),
            random.pick(words::SHOPS)
        );
        Ok(NewShop {
            shop_id: self.shop_id(number),
            owner_id,
            title: Title::parse(&format!("{title} {}", number + 1))?,
            description: Description::parse(random.pick(words::DESCRIPTIONS[0]))?,
            needs_approval: false,
        })
    }

    /// The number of the shop that a product belongs to; none where it is the market's.
    pub(super) fn shop_of(&self, number: u64) -> Option<u64> {
        let mut random = Random::of(Thing::Product, self.random_seed, number);
        (!random.chance(OF_THE_MARKET)).then(|| random.popular(self.shops()))
    }

    /// The product of this number. It is in its category where that is among those that are shown.
    pub(super) fn product(
        &self,
        number: u64,
        shown: &HashSet<CategoryId>,
    ) -> Result<NewProduct, SeedError> {
        let at = place_of(number);
        let (place, region) = (&PLACES[at], &REGIONS[at]);
        let mut random = Random::of(Thing::Product, self.random_seed, number);
        random.skip(); // what its shop was drawn with
        let sort = sort(&mut random);
        let language = place.languages[usize::from(random.chance(place.in_the_second))];
        let maker = random.pick(words::MAKERS);
        let category = sort.category().map(category_id);
        let description = random.pick(words::DESCRIPTIONS[language as usize]);
        Ok(NewProduct {
            product_id: self.product_id(number),
            region_id: region_id(region.slug),
            sku: Sku::parse(&format!("D{}-{}", self.random_seed, number + 1))?,
            title: Title::parse(&sort.title(language, maker, &mut random))?,
            description: Description::parse(&format!("{description} {maker} № {}", number + 1))?,
            image_url: None,
            price: Money::new(
                price(place, sort.cents(), &mut random),
                Currency::parse(region.currency)?,
            ),
            shop_id: self.shop_of(number).map(|shop| self.shop_id(shop)),
            category_id: category.filter(|category| shown.contains(category)),
            specification: sort
                .kind()
                .map(|kind| specification(kind, language, &mut random))
                .transpose()?,
            stock: Some(self.stock(number, &mut random)?),
        })
    }

    /// Pieces for the orders of this run, as popular as the product is, and some more.
    #[allow(clippy::cast_precision_loss)] // far below 2^52
    fn stock(&self, number: u64, random: &mut Random) -> Result<Quantity, SeedError> {
        let place = place_of(number);
        let known = popularity(rank_of(number), count_in(place, self.products));
        let ordered = self.orders as f64 * self.share(place) * orders::PIECES * known;
        let pieces = (ordered * PRUDENCE) as u64 + 20 + random.below(180);
        Ok(Quantity::parse(pieces.min(Quantity::MAX.into()))?)
    }
}

impl Sort {
    /// Slug of its category.
    const fn category(self) -> Option<&'static str> {
        match self {
            Self::Known(goods) => Some(goods.category.0),
            Self::Unnamed(_) => None,
        }
    }

    fn kind(self) -> Option<&'static Kind> {
        match self {
            Self::Known(goods) => goods.kind.and_then(Kind::find),
            Self::Unnamed(kind) => Some(kind),
        }
    }

    const fn cents(self) -> f64 {
        match self {
            Self::Known(goods) => goods.cents,
            Self::Unnamed(_) => 5_000.0,
        }
    }

    fn title(self, language: Language, maker: &str, random: &mut Random) -> String {
        let noun = match self {
            Self::Known(goods) => random.pick(goods.nouns[language as usize]).to_owned(),
            Self::Unnamed(kind) => kind.name.replace('_', " "),
        };
        let quality = random.pick(words::QUALITIES[language as usize]);
        match language {
            Language::English => format!("{maker} {quality} {noun}"),
            Language::Vietnamese => format!("{noun} {quality} {maker}"),
            Language::Chinese => format!("{maker} {quality}{noun}"),
        }
    }
}

/// Each as often as the others; kinds that no goods are of come too.
fn sort(random: &mut Random) -> Sort {
    let unnamed: Vec<&'static Kind> = kinds::ALL
        .iter()
        .copied()
        .filter(|kind| GOODS.iter().all(|goods| goods.kind != Some(kind.name)))
        .collect();
    let drawn = random.below((GOODS.len() + unnamed.len()) as u64) as usize;
    match GOODS.get(drawn) {
        Some(goods) => Sort::Known(goods),
        None => Sort::Unnamed(unnamed[drawn - GOODS.len()]),
    }
}

/// Most prices are near the middle, some far above it; each is one that a price tag would show.
#[allow(clippy::cast_precision_loss)] // far below 2^52
fn price(place: &Place, cents: f64, random: &mut Random) -> i64 {
    let units = cents * (SPREAD * random.deviation()).exp() * place.units_per_cent;
    let steps = (units / place.step as f64).round().max(1.0) as i64;
    steps * place.step - place.below_step
}

/// All that must be told of a product of this kind, and some of what may be.
fn specification(
    kind: &'static Kind,
    language: Language,
    random: &mut Random,
) -> Result<Specification, SeedError> {
    let mut told = Vec::new();
    for attribute in kind.attributes {
        if attribute.required || random.chance(60) {
            let value = value(attribute, language, random)?;
            told.push((attribute.name.to_owned(), Some(value)));
        }
    }
    kind.specify(told).map_err(|unfit| {
        let unfit: Vec<String> = unfit.iter().map(ToString::to_string).collect();
        SeedError::Invalid(format!("{}: {}", kind.name, unfit.join(", ")))
    })
}

fn value(
    attribute: &Attribute,
    language: Language,
    random: &mut Random,
) -> Result<AttributeValue, SeedError> {
    Ok(match attribute.rule {
        Rule::Line => {
            let words = words::VALUES
                .iter()
                .find(|(name, _)| *name == attribute.name);
            let words = words.map_or(words::ANY_VALUES, |(_, words)| words[language as usize]);
            AttributeValue::Text(Title::parse(random.pick(words))?)
        }
        Rule::OneOf(choices) => AttributeValue::Text(Title::parse(random.pick(choices))?),
        Rule::Whole { least, most } => {
            let numbers = words::NUMBERS
                .iter()
                .find(|(name, _)| *name == attribute.name);
            let number = match numbers {
                Some((_, numbers)) => random.pick(numbers),
                None => least.saturating_add(random.below(1_000) as i64),
            };
            AttributeValue::Whole(number.clamp(least, most))
        }
        Rule::YesOrNo => AttributeValue::YesOrNo(random.chance(50)),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_precision_loss)]
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::seed::scale::categories;

    fn all(scale: &Scale) -> Vec<NewProduct> {
        let shown = categories().map(|(slug, _)| category_id(slug)).collect();
        let product = |number| scale.product(number, &shown).unwrap();
        (0..scale.products).map(product).collect()
    }

    #[test]
    fn a_product_is_the_same_whenever_it_is_drawn_and_whatever_else_there_is() {
        let products = all(&Scale::of(500));
        assert_eq!(all(&Scale::of(500)), products);
        for (small, large) in products.iter().zip(all(&Scale::of(5_000))) {
            let same = NewProduct {
                // there are more shops to belong to and more orders to be ready for
                shop_id: small.shop_id,
                stock: small.stock,
                ..large
            };
            assert_eq!(same, *small);
        }
        let other = Scale {
            random_seed: 2,
            ..Scale::of(500)
        };
        let ids = |products: &[NewProduct]| -> BTreeSet<ProductId> {
            products.iter().map(|product| product.product_id).collect()
        };
        assert!(ids(&all(&other)).is_disjoint(&ids(&products)));
        let titles = |products: &[NewProduct]| -> Vec<Title> {
            products
                .iter()
                .map(|product| product.title.clone())
                .collect()
        };
        assert_ne!(titles(&all(&other)), titles(&products));
    }

    #[test]
    fn there_are_products_of_every_kind_in_every_region_and_category() {
        let products = all(&Scale::of(2_000));
        let mut kinds = BTreeMap::new();
        let mut told = BTreeSet::new();
        for product in &products {
            let kind = product.specification.as_ref().map(Specification::kind);
            let kind = kind.map(|kind| kind.as_str().to_owned());
            *kinds.entry((product.region_id, kind)).or_insert(0) += 1;
            let names = product
                .specification
                .iter()
                .flat_map(|it| it.attributes().keys());
            told.extend(names.cloned());
        }
        for region in REGIONS {
            for kind in kinds::ALL
                .iter()
                .map(|kind| Some(kind.name.to_owned()))
                .chain([None])
            {
                let key = (region_id(region.slug), kind);
                assert!(kinds.get(&key).is_some_and(|count| *count > 10), "{key:?}");
            }
        }
        let attributes = kinds::ALL.iter().flat_map(|kind| kind.attributes);
        for attribute in attributes {
            assert!(told.contains(attribute.name), "{}", attribute.name);
        }
        let categories: BTreeSet<_> = products.iter().filter_map(|it| it.category_id).collect();
        assert_eq!(categories.len(), GOODS.len());
        let without = Scale::of(10).product(0, &HashSet::new()).unwrap();
        assert_eq!(without.category_id, None);
    }

    #[test]
    fn of_every_kind_there_could_be_something_comes_out_that_fits() {
        for kind in kinds::ALL {
            for number in 0..200 {
                let mut random = Random::of(Thing::Product, 3, number);
                for language in [Language::English, Language::Vietnamese, Language::Chinese] {
                    specification(kind, language, &mut random).unwrap();
                    let title = Sort::Unnamed(kind).title(language, "Gió", &mut random);
                    Title::parse(&title).unwrap();
                }
            }
        }
    }

    #[test]
    fn prices_spread_around_the_middle_in_steps_of_the_currency() {
        for (place, region) in PLACES.iter().zip(REGIONS) {
            let mut prices: Vec<i64> = (0..1_001)
                .map(|number| price(place, 3_000.0, &mut Random::of(Thing::Product, 1, number)))
                .collect();
            prices.sort_unstable();
            let middle = 3_000.0 * place.units_per_cent;
            let near =
                |at: usize, factor: f64| (prices[at] as f64 / (middle * factor) - 1.0).abs() < 0.2;
            assert!(near(500, 1.0), "{}: {}", region.slug, prices[500]);
            assert!(near(841, 1.65) && near(159, 0.61), "{}", region.slug);
            assert!(
                prices[0] > 0
                    && prices
                        .iter()
                        .all(|it| (it + place.below_step) % place.step == 0)
            );
        }
        assert_eq!(
            price(&PLACES[2], 1.0, &mut Random::of(Thing::Product, 1, 1)),
            49
        );
    }

    #[test]
    fn shops_are_many_and_the_market_has_its_share() {
        let products = all(&Scale::of(2_000));
        let of_the_market = products.iter().filter(|it| it.shop_id.is_none()).count();
        assert!((300..500).contains(&of_the_market), "{of_the_market}");
        let shops: BTreeSet<_> = products.iter().filter_map(|it| it.shop_id).collect();
        assert_eq!(shops.len(), 20);
        let skus: BTreeSet<_> = products.iter().map(|it| &it.sku).collect();
        assert_eq!(skus.len(), products.len());
        assert_eq!((Scale::of(1).shops(), Scale::of(199).shops()), (1, 1));
    }
}
