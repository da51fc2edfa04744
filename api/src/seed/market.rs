//! What sellers add to the demo shop: categories, the shop of the demo seller with products of several kinds, and discounts.
//!
//! Only data, as in the catalogue. Which attributes a kind has is not said here: they are checked when they are seeded.

use std::num::NonZeroU32;

use super::catalogue::DemoProduct;

/// A category: its slug, which names it for good, and its title.
pub(super) const CATEGORIES: &[(&str, &str)] = &[
    ("clothes", "Clothes"),
    ("household", "Household"),
    ("devices", "Devices"),
];

/// The shop of the demo seller.
pub(super) const SHOP: DemoShop = DemoShop {
    slug: "sams-corner",
    owner: "seller@example.com",
    title: "Sam's Corner",
    description: "Things to wear, to sit on and to switch on, chosen one by one.",
    offers: OFFERS,
};

/// A shop to be opened.
pub(super) struct DemoShop {
    /// Names it for good.
    pub(super) slug: &'static str,
    /// The address that its owner logs in with.
    pub(super) owner: &'static str,
    pub(super) title: &'static str,
    pub(super) description: &'static str,
    pub(super) offers: &'static [Offer],
}

/// A product of the shop.
pub(super) struct Offer {
    /// Slug of the region where it is sold.
    pub(super) region: &'static str,
    /// Slug of its category.
    pub(super) category: &'static str,
    pub(super) kind: &'static str,
    pub(super) attributes: &'static [(&'static str, Told)],
    pub(super) product: DemoProduct,
}

/// A discount, as a share of what it covers.
pub(super) struct DemoDiscount {
    /// Names it for good, within its region.
    pub(super) slug: &'static str,
    /// Slug of the region where it is given.
    pub(super) region: &'static str,
    pub(super) title: &'static str,
    /// What is to be typed in; given by itself where there is nothing.
    pub(super) code: Option<&'static str>,
    /// In basis points.
    pub(super) share: u32,
    /// How many orders of one customer may use it.
    pub(super) per_customer: Option<NonZeroU32>,
    /// Slug of the category that it covers, of the shop's products; everything of everybody, where there is none.
    pub(super) of_shop: Option<&'static str>,
}

/// For the first order of each customer, in every region.
const fn welcome(region: &'static str) -> DemoDiscount {
    DemoDiscount {
        slug: "welcome",
        region,
        title: "Welcome",
        code: Some("WELCOME10"),
        share: 1_000,
        per_customer: Some(NonZeroU32::MIN),
        of_shop: None,
    }
}

/// The discounts.
pub(super) const DISCOUNTS: &[DemoDiscount] = &[
    welcome("vietnam"),
    welcome("singapore"),
    welcome("united-states"),
    DemoDiscount {
        slug: "sams-household",
        region: "singapore",
        title: "Household week at Sam's",
        code: None,
        share: 500,
        per_customer: None,
        of_shop: Some("household"),
    },
];

/// The value of an attribute.
#[derive(Clone, Copy)]
pub(super) enum Told {
    Text(&'static str),
    Whole(i64),
    YesOrNo(bool),
}

const OFFERS: &[Offer] = &[
    Offer {
        region: "vietnam",
        category: "clothes",
        kind: "clothing",
        attributes: &[
            ("size", Told::Text("L")),
            ("colour", Told::Text("chàm")),
            ("material", Told::Text("hemp")),
            ("fit", Told::Text("unisex")),
        ],
        product: DemoProduct {
            sku: "SAM-AO-CHAM-L",
            title: "Áo khoác nhuộm chàm, cỡ L",
            description: "Hemp jacket, woven and dyed with indigo in Sa Pa. It bleeds a little at first.",
            price: "780000",
            stock: 45,
        },
    },
    Offer {
        region: "singapore",
        category: "clothes",
        kind: "clothing",
        attributes: &[
            ("size", Told::Text("one size")),
            ("colour", Told::Text("natural")),
        ],
        product: DemoProduct {
            sku: "SAM-APRON",
            title: "Canvas Apron",
            description: "Heavy canvas with two pockets and a loop for a towel.",
            price: "32.00",
            stock: 70,
        },
    },
    Offer {
        region: "singapore",
        category: "household",
        kind: "furniture",
        attributes: &[
            ("material", Told::Text("rattan")),
            ("width_mm", Told::Whole(520)),
            ("depth_mm", Told::Whole(560)),
            ("height_mm", Told::Whole(780)),
            ("needs_assembly", Told::YesOrNo(false)),
        ],
        product: DemoProduct {
            sku: "SAM-RATTAN-CHAIR",
            title: "Rattan Chair",
            description: "Woven by hand on a steel frame, for balconies with a roof.",
            price: "168.00",
            stock: 18,
        },
    },
    Offer {
        region: "united-states",
        category: "household",
        kind: "furniture",
        attributes: &[
            ("material", Told::Text("white oak")),
            ("width_mm", Told::Whole(800)),
            ("depth_mm", Told::Whole(300)),
            ("height_mm", Told::Whole(1_800)),
            ("needs_assembly", Told::YesOrNo(true)),
        ],
        product: DemoProduct {
            sku: "SAM-OAK-SHELF",
            title: "White Oak Bookshelf",
            description: "Five shelves, solid boards, a bag of screws and a drawing.",
            price: "349.00",
            stock: 12,
        },
    },
    Offer {
        region: "united-states",
        category: "devices",
        kind: "electronics",
        attributes: &[
            ("brand", Told::Text("Lumen & Co")),
            ("model", Told::Text("D-2")),
            ("warranty_months", Told::Whole(24)),
            ("rechargeable", Told::YesOrNo(true)),
        ],
        product: DemoProduct {
            sku: "SAM-DESK-LAMP",
            title: "Desk Lamp D-2",
            description: "Warm light, three levels, twelve hours on one charge.",
            price: "59.90",
            stock: 110,
        },
    },
    Offer {
        region: "vietnam",
        category: "devices",
        kind: "electronics",
        attributes: &[
            ("brand", Told::Text("Gió")),
            ("warranty_months", Told::Whole(12)),
            ("rechargeable", Told::YesOrNo(false)),
        ],
        product: DemoProduct {
            sku: "SAM-QUAT-BAN",
            title: "Quạt bàn Gió",
            description: "Table fan with metal blades, three speeds, quiet enough for an afternoon nap.",
            price: "590000",
            stock: 80,
        },
    },
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use std::collections::HashSet;

    use domain::{
        discount::Percentage,
        money::{Currency, Money},
        text::{Description, DiscountCode, Quantity, Sku, Title},
    };

    use super::*;
    use crate::seed::{USERS, catalogue::REGIONS, specification};

    #[test]
    fn all_of_it_is_what_the_domain_accepts_and_names_what_is_there() {
        for (_, title) in CATEGORIES {
            Title::parse(title).unwrap();
        }
        Title::parse(SHOP.title).unwrap();
        Description::parse(SHOP.description).unwrap();
        assert!(USERS.iter().any(|(_, email, _)| *email == SHOP.owner));
        for offer in SHOP.offers {
            let product = &offer.product;
            let region = REGIONS.iter().find(|region| region.slug == offer.region);
            let currency = Currency::parse(region.expect(offer.region).currency).unwrap();
            assert!(CATEGORIES.iter().any(|(slug, _)| *slug == offer.category));
            specification(offer).expect(product.sku);
            Sku::parse(product.sku).unwrap();
            Title::parse(product.title).unwrap();
            Description::parse(product.description).unwrap();
            Quantity::parse(product.stock).unwrap();
            assert!(
                Money::parse_decimal(product.price, currency)
                    .unwrap()
                    .amount
                    > 0
            );
        }
    }

    #[test]
    fn discounts_are_given_where_there_is_something_to_buy() {
        for discount in DISCOUNTS {
            Title::parse(discount.title).unwrap();
            Percentage::from_basis_points(discount.share).unwrap();
            if let Some(code) = discount.code {
                DiscountCode::parse(code).unwrap();
            }
            assert!(REGIONS.iter().any(|region| region.slug == discount.region));
            let covered = |offer: &Offer| {
                offer.region == discount.region && Some(offer.category) == discount.of_shop
            };
            assert!(discount.of_shop.is_none() || SHOP.offers.iter().any(covered));
        }
        let names = |discount: &DemoDiscount| (discount.slug, discount.region);
        let names: HashSet<_> = DISCOUNTS.iter().map(names).collect();
        assert_eq!(names.len(), DISCOUNTS.len());
    }

    #[test]
    fn there_is_something_of_several_kinds_and_nothing_is_named_twice() {
        let kinds: HashSet<&str> = SHOP.offers.iter().map(|offer| offer.kind).collect();
        let skus: HashSet<&str> = SHOP.offers.iter().map(|offer| offer.product.sku).collect();
        assert_eq!(skus.len(), SHOP.offers.len());
        assert!(kinds.len() > 2, "{kinds:?}");
    }
}
