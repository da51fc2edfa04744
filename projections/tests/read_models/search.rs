//! Searching by text: what finds a product, in which order, and that pages keep together while products change.

use std::collections::HashSet;

use domain::{
    ids::{ProductId, RegionId},
    kinds::Specification,
    product::{Change, Product, ProductChanges, ProductCommand},
    shop::ShopCommand,
    text::{Description, Sku, Title},
};
use projections::{
    View,
    page::{Direction, Limits, Page, PageRequest, Sort, SortKey},
    products::{ProductFilter, ProductSort, ProductView, SearchText},
};
use uuid::Uuid;

use crate::shop::{Shop, clothing, customer, usd};

const BEST_FIRST: Sort<ProductSort> = Sort {
    key: ProductSort::Relevance,
    direction: Direction::Asc,
};

/// What is said of a product.
#[derive(Clone, Copy, Default)]
struct Told<'t> {
    sku: &'t str,
    title: &'t str,
    description: &'t str,
}

async fn offer(shop: &Shop, region_id: RegionId, told: Told<'_>) -> ProductId {
    offer_of_kind(shop, region_id, told, None).await
}

async fn offer_of_kind(
    shop: &Shop,
    region_id: RegionId,
    told: Told<'_>,
    specification: Option<Specification>,
) -> ProductId {
    let product_id = ProductId(Uuid::now_v7());
    let command = ProductCommand::CreateProduct {
        product_id,
        region_id,
        region_currency: usd(0).currency,
        sku: Sku::parse(told.sku).unwrap(),
        title: Title::parse(told.title).unwrap(),
        description: Description::parse(told.description).unwrap(),
        image_url: None,
        price: usd(100),
        shop_id: None,
        category_id: None,
        specification,
    };
    shop.command::<Product>(product_id, command).await;
    product_id
}

fn search(text: &str) -> ProductFilter {
    ProductFilter {
        text: Some(SearchText::parse(text).unwrap()),
        ..ProductFilter::default()
    }
}

async fn page(
    shop: &Shop,
    filter: &ProductFilter,
    sort: Sort<ProductSort>,
    limit: u32,
    cursor: Option<&str>,
) -> Page<ProductView> {
    let request = PageRequest::new(Limits::STANDARD, sort, Some(limit), cursor).unwrap();
    shop.models.products(filter, &request).await.unwrap()
}

/// The skus of what is found, the best first.
async fn found(shop: &Shop, text: &str) -> Vec<String> {
    let page = page(shop, &search(text), BEST_FIRST, 200, None).await;
    page.items.into_iter().map(|product| product.sku).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn products_are_found_as_shoppers_spell_them() {
    let shop = Shop::open().await;
    let region_id = shop.region("United States", "USD").await;
    for (sku, title, description) in [
        ("AD-01", "Áo dài đỏ", "Lụa tơ tằm"),
        ("LET-7", "Letter, 1900", "A sheet of paper with a red seal"),
        ("TEL-1", "Red telephone", "Made of bakelite"),
        (
            "TEL-2",
            "Telephone table",
            "Oak, for a red telephone of long ago",
        ),
        ("TEE-1", "Women's T-shirt", ""),
    ] {
        offer(
            &shop,
            region_id,
            Told {
                sku,
                title,
                description,
            },
        )
        .await;
    }
    let dress = Told {
        sku: "DR-1",
        title: "Summer dress",
        description: "Light",
    };
    offer_of_kind(&shop, region_id, dress, Some(clothing("M", "Crème"))).await;
    shop.settle(&[View::Products]).await;
    let cases: &[(&str, &[&str])] = &[
        // without accents and case, in any order, whole or begun
        ("ao dai", &["AD-01"]),
        ("ÁO ĐỎ", &["AD-01"]),
        ("do áo", &["AD-01"]),
        ("teleph", &["TEL-1", "TEL-2"]),
        ("womens t-shi", &["TEE-1"]),
        // only the last word may go on: this is a spelling mistake
        ("teleph table", &["TEL-2"]),
        // what stands elsewhere: the description, the kind and what is told of it, the sku
        ("bakelite", &["TEL-1"]),
        ("clothing creme", &["DR-1"]),
        ("tel-2", &["TEL-2"]),
        // where no title has all of them, the last word may go on anywhere
        ("bakel", &["TEL-1"]),
        ("summer clothi", &["DR-1"]),
        // titles come before the rest
        ("red", &["TEL-1", "LET-7", "TEL-2"]),
        ("red telephone", &["TEL-1", "TEL-2"]),
        // phrases, and what is not wanted
        ("\"red telephone\"", &["TEL-1", "TEL-2"]),
        ("\"telephone red\"", &[]),
        ("telephone -oak", &["TEL-1"]),
        ("telephone -\"telephone table\"", &["TEL-1"]),
        // a phrase does not go from the title into the sku or the description
        ("\"telephone made\"", &[]),
        // spelling mistakes
        ("leter", &["LET-7"]),
        ("lettre", &["LET-7"]),
        ("telefone", &["TEL-1", "TEL-2"]),
        ("sumer dres", &["DR-1"]),
        ("leter -paper", &[]),
        ("xyzzy", &[]),
    ];
    for (text, expected) in cases {
        let mut skus = found(&shop, text).await;
        // equally good ones are in the order of their ids, and titles of equal length are equally good
        if *text == "red" {
            skus[1..].sort_unstable();
        }
        assert_eq!(skus, *expected, "{text}");
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spelling_mistake_is_corrected_to_a_word_of_what_is_shown() {
    let shop = Shop::open().await;
    let region_id = shop.region("United States", "USD").await;
    let ends = shop.wanted_shop(customer(), "Ends").await;
    shop.product_of(Some(ends), region_id, "Lettre", usd(1))
        .await;
    let titled = |title| Told {
        sku: title,
        title,
        description: "",
    };
    offer(&shop, region_id, titled("Letter")).await;
    let telephone = offer(&shop, region_id, titled("Telephone")).await;
    let sofa = offer(&shop, region_id, titled("Sofa")).await;
    shop.settle(&[View::Products]).await;
    assert_eq!(found(&shop, "lettre").await, ["Lettre"]);
    assert_eq!(found(&shop, "telefone").await, ["Telephone"]);

    shop.command::<domain::shop::Shop>(ends, ShopCommand::CloseShop)
        .await;
    let renamed = ProductCommand::UpdateProduct(ProductChanges {
        title: Some(Title::parse("Radio").unwrap()),
        ..ProductChanges::default()
    });
    shop.command::<Product>(telephone, renamed).await;
    shop.command::<Product>(sofa, ProductCommand::DeleteProduct)
        .await;
    shop.settle(&[View::Products]).await;
    assert_eq!(found(&shop, "lettre").await, ["Letter"]);
    for gone in ["telefone", "sofaa"] {
        assert_eq!(found(&shop, gone).await, [""; 0], "{gone}");
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_changed_or_deleted_is_found_as_it_is_now() {
    let shop = Shop::open().await;
    let region_id = shop.region("United States", "USD").await;
    let told = Told {
        sku: "A",
        title: "Lamp",
        description: "of brass",
    };
    let product_id = offer(&shop, region_id, told).await;
    shop.settle(&[View::Products]).await;
    assert_eq!(found(&shop, "lamp brass").await, ["A"]);
    let changed = ProductChanges {
        title: Some(Title::parse("Lantern").unwrap()),
        specification: Change::Set(clothing("M", "golden")),
        ..ProductChanges::default()
    };
    shop.command::<Product>(product_id, ProductCommand::UpdateProduct(changed))
        .await;
    shop.settle(&[View::Products]).await;
    assert_eq!(found(&shop, "lamp -lantern").await, [""; 0]);
    assert_eq!(found(&shop, "lantern golden").await, ["A"]);
    shop.command::<Product>(product_id, ProductCommand::DeleteProduct)
        .await;
    shop.settle(&[View::Products]).await;
    assert_eq!(found(&shop, "lantern").await, [""; 0]);
    shop.close().await;
}

/// Whatever somebody types is either refused at once or answered, by every sort.
#[tokio::test(flavor = "multi_thread")]
async fn any_text_is_answered() {
    let shop = Shop::open().await;
    let region_id = shop.region("United States", "USD").await;
    let told = Told {
        sku: "A",
        title: "a 'b' \\c :* d",
        description: "e & f | !g <-> h",
    };
    offer(&shop, region_id, told).await;
    shop.settle(&[View::Products]).await;
    let words = [
        "a",
        "'",
        "\"",
        "-",
        ":*",
        "\\",
        "&",
        "|",
        "!",
        "(",
        ")",
        "<->",
        "<2>",
        "\0",
        "%",
        "_",
        "$1",
        "é",
        "字",
        "\u{93f}",
        "🛋",
        "0",
        "1e9",
        "-1",
        "a.b",
        "x@y.z",
        "http://a/b",
        "OR",
        "not",
        " ",
    ];
    let mut random = 7;
    let mut asked = 0;
    for _ in 0..400 {
        let mut text = String::new();
        for _ in 0..next(&mut random, 12) {
            text.push_str(words[next(&mut random, words.len())]);
            if next(&mut random, 2) == 0 {
                text.push(' ');
            }
        }
        let Ok(parsed) = SearchText::parse(&text) else {
            continue;
        };
        asked += 1;
        let filter = ProductFilter {
            text: Some(parsed),
            ..ProductFilter::default()
        };
        for key in ProductSort::ALL {
            let sort = Sort {
                key: *key,
                direction: Direction::Asc,
            };
            let request = PageRequest::new(Limits::STANDARD, sort, None, None).unwrap();
            let answer = shop.models.products(&filter, &request).await;
            assert!(answer.is_ok(), "{text:?} {key:?}: {answer:?}");
        }
    }
    assert!(asked > 200, "{asked}");
    assert_eq!(found(&shop, "a 'b' \\c :* d").await, ["A"]);
    shop.close().await;
}

/// A number below `bound`; xorshift, so that a run can be repeated.
fn next(state: &mut u64, bound: usize) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    usize::try_from(*state >> 16).unwrap_or_default() % bound
}

const WORDS: [&str; 8] = [
    "lamp", "lamps", "brass", "oak", "red", "table", "old", "lamp",
];

fn some_words(random: &mut u64) -> String {
    let count = 1 + next(random, 4);
    let words: Vec<_> = (0..count)
        .map(|_| WORDS[next(random, WORDS.len())])
        .collect();
    words.join(" ")
}

/// Does something to the catalogue, and returns the product that it was done to.
async fn change_something(
    shop: &Shop,
    region_id: RegionId,
    ids: &mut Vec<ProductId>,
    random: &mut u64,
) -> ProductId {
    let title = some_words(random);
    let description = some_words(random);
    let chosen = next(random, ids.len());
    let product_id = ids[chosen];
    let command = match next(random, 4) {
        0 | 1 if ids.len() <= 50 => {
            let sku = Uuid::now_v7().simple().to_string();
            let told = Told {
                sku: &sku,
                title: &title,
                description: &description,
            };
            let product_id = offer(shop, region_id, told).await;
            ids.push(product_id);
            return product_id;
        }
        0 | 1 => {
            ids.swap_remove(chosen);
            ProductCommand::DeleteProduct
        }
        2 => ProductCommand::UpdateProduct(ProductChanges {
            price: Some(usd(next(random, 6) as i64)),
            ..ProductChanges::default()
        }),
        _ => ProductCommand::UpdateProduct(ProductChanges {
            title: Some(Title::parse(&title).unwrap()),
            description: Some(Description::parse(&description).unwrap()),
            ..ProductChanges::default()
        }),
    };
    shop.command::<Product>(product_id, command).await;
    product_id
}

/// For every sort, both ways, as it was typed and as it was corrected: what was found at the beginning and has not
/// been changed comes exactly once, in the same order, whatever happens to other products between two pages.
#[tokio::test(flavor = "multi_thread")]
async fn pages_of_a_search_keep_together_while_products_change() {
    let shop = Shop::open().await;
    let region_id = shop.region("United States", "USD").await;
    let mut random = 4_711;
    let mut ids = vec![];
    for n in 0..50 {
        let (sku, title, description) = (
            format!("P{n}"),
            some_words(&mut random),
            some_words(&mut random),
        );
        let told = Told {
            sku: &sku,
            title: &title,
            description: &description,
        };
        ids.push(offer(&shop, region_id, told).await);
    }
    // nothing has the last one, and much has one like it
    for text in ["lamp", "oak -red", "lammp"] {
        let filter = search(text);
        for key in ProductSort::ALL {
            for direction in [Direction::Asc, Direction::Desc] {
                let sort = Sort {
                    key: *key,
                    direction,
                };
                shop.settle(&[View::Products]).await;
                let before = page(&shop, &filter, sort, 200, None).await;
                assert_eq!(before.next, None);
                let before: Vec<_> = before.items.iter().map(|it| it.product_id).collect();
                let (mut seen, mut touched, mut cursor) = (vec![], HashSet::new(), None::<String>);
                loop {
                    let Page { items, next } =
                        page(&shop, &filter, sort, 3, cursor.as_deref()).await;
                    seen.extend(items.into_iter().map(|product| product.product_id));
                    cursor = next;
                    if cursor.is_none() {
                        break;
                    }
                    assert!(seen.len() < 500, "{text} {sort:?} does not end");
                    for _ in 0..2 {
                        touched.insert(
                            change_something(&shop, region_id, &mut ids, &mut random).await,
                        );
                    }
                    shop.settle(&[View::Products]).await;
                }
                let untouched = |ids: &[ProductId]| -> Vec<ProductId> {
                    ids.iter()
                        .copied()
                        .filter(|id| !touched.contains(id))
                        .collect()
                };
                assert!(before.len() > 6, "{text} finds too little to tell");
                assert_eq!(untouched(&seen), untouched(&before), "{text} {sort:?}");
            }
        }
    }
    shop.close().await;
}

/// A word of very many products: the newest of them are ranked, by every page the same, and the other sorts list all.
#[tokio::test(flavor = "multi_thread")]
async fn of_very_many_products_the_newest_are_ranked() {
    const MANY: usize = 520;
    const RANKED: usize = 250;
    let shop = Shop::open().await;
    let region_id = shop.region("United States", "USD").await;
    let mut ids = vec![];
    for n in 0..MANY {
        let (sku, title) = (format!("P{n}"), format!("Lamp {}", "x ".repeat(n % 7)));
        let told = Told {
            sku: &sku,
            title: &title,
            description: "",
        };
        ids.push(offer(&shop, region_id, told).await);
    }
    let elsewhere = Told {
        sku: "E",
        title: "Shade",
        description: "for a lamp",
    };
    offer(&shop, region_id, elsewhere).await;
    shop.settle(&[View::Products]).await;
    let filter = search("lamp");
    let (mut seen, mut cursor) = (vec![], None::<String>);
    loop {
        let Page { items, next } = page(&shop, &filter, BEST_FIRST, 100, cursor.as_deref()).await;
        seen.extend(items.into_iter().map(|product| product.product_id));
        cursor = next;
        if cursor.is_none() {
            break;
        }
        // as good as the best: they take no place from those that were ranked at first
        for n in 0..3 {
            let sku = format!("N{}-{n}", seen.len());
            let told = Told {
                sku: &sku,
                title: "Lamp",
                description: "",
            };
            offer(&shop, region_id, told).await;
        }
        shop.settle(&[View::Products]).await;
    }
    let distinct: HashSet<_> = seen.iter().copied().collect();
    assert_eq!(distinct.len(), seen.len(), "some come twice");
    let ranked: HashSet<_> = ids[MANY - RANKED..].iter().copied().collect();
    assert!(
        ranked.is_subset(&distinct),
        "{} are missing",
        ranked.difference(&distinct).count()
    );
    assert!(ids[..MANY - RANKED].iter().all(|id| !distinct.contains(id)));

    let by_price = Sort {
        key: ProductSort::Price,
        direction: Direction::Asc,
    };
    let (mut count, mut cursor) = (0, None::<String>);
    loop {
        let Page { items, next } = page(&shop, &filter, by_price, 200, cursor.as_deref()).await;
        count += items.len();
        cursor = next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(count, MANY + 1 + 2 * 3);
    shop.close().await;
}
