//! What the demo shop sells: three regions, eight products each, with prices and stock that make sense there.
//!
//! Only data. A slug names a thing for good: its id derives from it, so that a second seeding finds it again.

/// A region to be opened, with its products.
pub(super) struct DemoRegion {
    /// Names it for good.
    pub(super) slug: &'static str,
    pub(super) title: &'static str,
    pub(super) country: &'static str,
    pub(super) currency: &'static str,
    /// In basis points.
    pub(super) tax_rate: u32,
    pub(super) products: &'static [DemoProduct],
}

/// A product to be created, with the pieces that are there at first.
pub(super) struct DemoProduct {
    /// Names it for good, within its region.
    pub(super) sku: &'static str,
    pub(super) title: &'static str,
    pub(super) description: &'static str,
    /// As a decimal number in the region's currency.
    pub(super) price: &'static str,
    pub(super) stock: u64,
}

const fn product(
    sku: &'static str,
    title: &'static str,
    price: &'static str,
    stock: u64,
    description: &'static str,
) -> DemoProduct {
    DemoProduct {
        sku,
        title,
        description,
        price,
        stock,
    }
}

/// The regions. Prices exclude tax, as is the default.
pub(super) const REGIONS: &[DemoRegion] = &[
    DemoRegion {
        slug: "vietnam",
        title: "Vietnam",
        country: "VN",
        currency: "VND",
        tax_rate: 1_000, // value added tax, standard rate
        products: VIETNAM,
    },
    DemoRegion {
        slug: "singapore",
        title: "Singapore",
        country: "SG",
        currency: "SGD",
        tax_rate: 900, // goods and services tax
        products: SINGAPORE,
    },
    DemoRegion {
        slug: "united-states",
        title: "United States",
        country: "US",
        currency: "USD",
        tax_rate: 825, // there is no federal sales tax; a common combined rate of state and city
        products: UNITED_STATES,
    },
];

/// The product that the text after the start orders: region and sku. Cheap, and there is plenty of it.
pub(super) const FIRST_ORDER: (&str, &str) = ("vietnam", "CA-PHE-500");

#[rustfmt::skip] // a table
const VIETNAM: &[DemoProduct] = &[
    product("CA-PHE-500", "Cà phê Robusta Buôn Ma Thuột 500 g", "145000", 2_000,
        "Whole Robusta beans from Đắk Lắk, dark roast. Made for the phin, strong enough for condensed milk."),
    product("PHIN-4", "Phin nhôm bốn tách", "65000", 1_200,
        "Aluminium drip filter for four cups, with screw-down press and lid."),
    product("AO-DAI-M", "Áo dài lụa Hà Đông, cỡ M", "1890000", 60,
        "Hand-finished silk áo dài from the Hà Đông looms, with trousers. Dry clean only."),
    product("NON-LA", "Nón lá Chuông", "120000", 400,
        "Palm-leaf hat from Chuông village, sixteen bamboo rings, light and rainproof."),
    product("TRA-SEN-100", "Trà sen Tây Hồ 100 g", "690000", 150,
        "Green tea scented with West Lake lotus, in a tin. A thousand flowers go into a kilogram."),
    product("GOM-BT-6", "Bộ ấm chén gốm Bát Tràng", "540000", 90,
        "Stoneware teapot with six cups and a tray, celadon glaze, from the kilns of Bát Tràng."),
    product("NUOC-MAM-500", "Nước mắm Phú Quốc 40°N 500 ml", "98000", 900,
        "First-press anchovy fish sauce, aged twelve months in wooden vats on Phú Quốc."),
    product("VONG-DU", "Võng dù gấp", "175000", 250,
        "Parachute hammock with ropes and carabiners, packs into its own bag. Holds 200 kg."),
];

#[rustfmt::skip]
const SINGAPORE: &[DemoProduct] = &[
    product("KAYA-300", "Pandan Kaya 300 g", "8.90", 800,
        "Coconut and egg jam with fresh pandan, cooked slowly in small batches. Keep refrigerated."),
    product("KOPI-250", "Kopi Powder, Traditional Roast 250 g", "12.50", 700,
        "Robusta roasted with sugar and margarine the Nanyang way, ground for the sock."),
    product("SOCK-FILTER", "Kopi Sock with Steel Handle", "9.80", 300,
        "Cotton flannel filter on a stainless ring. Rinse, do not wash with soap."),
    product("BATIK-L", "Batik Shirt, Short Sleeves, L", "79.00", 120,
        "Hand-stamped cotton, orchid motif, mother-of-pearl buttons, straight hem."),
    product("TILE-COASTER-4", "Peranakan Tile Coasters, Set of 4", "28.00", 220,
        "Ceramic coasters after shophouse tiles of Joo Chiat, cork backs."),
    product("UMBRELLA-27", "Two-Person Umbrella 27\"", "45.90", 180,
        "Vented canopy for afternoon storms, fibreglass ribs, UPF 50+."),
    product("CHILLI-CRAB-2", "Chilli Crab Paste for Two", "7.20", 650,
        "Sauce base with tomato, ginger and fermented soybeans. Bring your own crab, or tofu."),
    product("POWER-20K", "Power Bank 20,000 mAh, USB-C 45 W", "69.90", 140,
        "Charges a laptop, a phone and a fan at once; within the limit for hand luggage."),
];

#[rustfmt::skip]
const UNITED_STATES: &[DemoProduct] = &[
    product("SKILLET-10", "Cast Iron Skillet 10\"", "24.90", 500,
        "Pre-seasoned, two pour spouts, helper handle. Will outlive the stove."),
    product("DENIM-34-32", "Selvedge Denim Jeans 34x32", "128.00", 90,
        "Fourteen-ounce selvedge, straight leg, copper rivets. Shrinks an inch on the first wash."),
    product("MAPLE-16", "Vermont Maple Syrup, Dark, 16 fl oz", "18.50", 420,
        "Single-forest syrup, grade A dark, in glass."),
    product("ENAMEL-MUG", "Enamel Camp Mug 12 oz", "14.00", 600,
        "Steel, double dipped, chips only where you drop it."),
    product("HEADLAMP-400", "Rechargeable Headlamp 400 lm", "39.95", 160,
        "Red light, lockout, eight hours on medium. USB-C."),
    product("HOT-SAUCE-5", "Louisiana Hot Sauce 5 fl oz", "4.25", 1_500,
        "Aged cayenne peppers, vinegar, salt. Nothing else."),
    product("QUILT-QUEEN", "Patchwork Quilt, Queen", "189.00", 40,
        "Cotton top and backing, machine pieced, hand bound. No two are alike."),
    product("NOTEBOOK-3", "Field Notebooks, Pack of 3", "11.75", 900,
        "Forty-eight dot-grid pages each, stitched, fit a back pocket."),
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use std::collections::HashSet;

    use domain::{
        money::{Currency, Money, TaxRate},
        text::{CountryCode, Description, Quantity, Sku, Title},
    };

    use super::*;

    #[test]
    fn all_of_it_is_what_the_domain_accepts() {
        for region in REGIONS {
            Title::parse(region.title).unwrap();
            CountryCode::parse(region.country).unwrap();
            TaxRate::from_basis_points(region.tax_rate).unwrap();
            let currency = Currency::parse(region.currency).unwrap();
            for product in region.products {
                Sku::parse(product.sku).unwrap();
                Title::parse(product.title).unwrap();
                Description::parse(product.description).unwrap();
                Quantity::parse(product.stock).unwrap();
                let price = Money::parse_decimal(product.price, currency).expect(product.sku);
                assert!(price.amount > 0, "{}", product.sku);
            }
        }
    }

    #[test]
    fn nothing_is_named_twice() {
        let slugs: HashSet<&str> = REGIONS.iter().map(|region| region.slug).collect();
        assert_eq!(slugs.len(), REGIONS.len());
        for region in REGIONS {
            let skus: HashSet<&str> = region.products.iter().map(|product| product.sku).collect();
            assert_eq!(skus.len(), region.products.len(), "{}", region.slug);
            assert_eq!(region.products.len(), 8);
        }
    }

    #[test]
    fn the_first_order_names_a_product_of_the_catalogue() {
        let (slug, sku) = FIRST_ORDER;
        let region = REGIONS.iter().find(|region| region.slug == slug).unwrap();
        assert!(region.products.iter().any(|product| product.sku == sku));
    }
}
