//! Searching a catalogue of 100,000 products: how long a page takes at the database, whatever is asked for.
//!
//! The products are events in the log, and the read model is rebuilt from them. Texts are made of words that are as common
//! and as rare as words are; the questions are those of shoppers, and those that are hard on an index.

use std::{collections::BTreeMap, error::Error, time::Instant};

use domain::{
    ids::{CategoryId, OperationId, ProductId, RegionId, ShopId},
    inventory::{Inventory, InventoryCommand},
    kinds::{AttributeValue, Kind, Specification},
    money::{Currency, Money},
    product::{Product, ProductCommand},
    text::{Description, Quantity, Sku, Title},
};
use eventstore::{EventLog, event::Cause, stream::StreamRef, unit::Unit};
use futures::{StreamExt, TryStreamExt, stream};
use projections::{
    ReadModels, View, migrate_views,
    page::{Direction, Limits, PageRequest, Sort, SortValue, Span},
    products::{PriceSpan, ProductFilter, ProductSort, SearchText},
    rebuild::{Settings, rebuild},
};
use uuid::Uuid;

use crate::{
    env::{Env, Outcome},
    report::{Bound, Figure, Row},
    shop::request,
};

const NAME: &str = "search";

const PRODUCTS: usize = 100_000;
/// Questions of each shape.
const QUESTIONS: usize = 400;
/// Products made at a time.
const AT_ONCE: usize = 256;
const REGIONS: usize = 3;
const CATEGORIES: usize = 40;
const SHOPS: usize = 400;
/// Invented words, from common to rare, beside those below.
const WORDS: usize = 20_000;
/// Those of them that most descriptions have.
const COMMON: usize = 6;
/// The next ones, that one in ten has.
const MIDDLING: usize = 40;
const COLOURS: [&str; 12] = [
    "red", "blue", "green", "black", "white", "grey", "brown", "pink", "purple", "orange", "đỏ",
    "xanh",
];
const MATERIALS: [&str; 10] = [
    "cotton", "linen", "wool", "silk", "leather", "oak", "steel", "glass", "lụa", "gỗ",
];
const THINGS: [&str; 30] = [
    "shirt",
    "dress",
    "trousers",
    "jacket",
    "hat",
    "scarf",
    "table",
    "chair",
    "lamp",
    "shelf",
    "telephone",
    "camera",
    "letter opener",
    "teapot",
    "kettle",
    "mirror",
    "carpet",
    "curtain",
    "pillow",
    "blanket",
    "bag",
    "wallet",
    "belt",
    "watch",
    "clock",
    "radio",
    "speaker",
    "keyboard",
    "áo dài",
    "nón lá",
];
const SIZES: [&str; 5] = ["S", "M", "L", "XL", "one size"];

/// The row, where it is wanted.
pub(crate) async fn run(env: &Env) -> Outcome<Vec<Row>> {
    if !env.wants(NAME) {
        return Ok(Vec::new());
    }
    let database = env.fresh_database().await;
    let log = database.open_log().await;
    migrate_views(log.pool()).await?;
    let mut dice = Dice(1);
    let catalogue = Catalogue::make(&log, env.sized(PRODUCTS, 300), &mut dice).await?;
    show_rebuilt(&log).await?;
    let models = ReadModels::new(log.pool().clone());
    let (mut all, mut notes) = (Vec::new(), Vec::new());
    for shape in Shape::ALL {
        let mut times = Vec::new();
        let mut found = 0;
        // the first ones find the pages of the index on disk
        for question in 0..env.sized(QUESTIONS + 20, 3) {
            let (filter, mut page) = catalogue.ask(*shape, &mut dice)?;
            if matches!(shape, Shape::LaterPage) {
                let first = models.products(&filter, &page).await?;
                page = PageRequest::new(Limits::STANDARD, page.sort, None, first.next.as_deref())?;
            }
            let begun = Instant::now();
            let answer = models.products(&filter, &page).await?;
            let took = begun.elapsed().as_secs_f64() * 1e3;
            if env.quick || question >= 20 {
                times.push(took);
                found += answer.items.len();
            }
        }
        times.sort_by(f64::total_cmp);
        notes.push(format!(
            "{}: {:.1} ms (p50), {:.1} ms (p99), {:.1} ms at worst, {} products a page.",
            shape.described(),
            percentile(&times, 50),
            percentile(&times, 99),
            percentile(&times, 100),
            found / times.len()
        ));
        all.extend(times);
    }
    all.sort_by(f64::total_cmp);
    log.close().await;
    database.drop_database().await;
    Ok(vec![Row {
        name: NAME,
        what: "a page of a search in 100,000 products, at the database, p99",
        measured: Figure::new(percentile(&all, 99), "ms"),
        baseline: None,
        bound: Bound::Within {
            floor: 15.0,
            aim: 5.0,
        },
        explanation: "Products with titles of two to six words and descriptions of up to eighty, in 3 regions, 40 \
            categories, 400 shops and 3 kinds; pages of 50, as many of each of the shapes below, one after the other, timed \
            from the question until the rows are there. Statements are planned each time anew, which is in it.",
        held_by: "a word that a few in a hundred products have is neither rare enough for its index alone nor common enough for \
            the newest products to have it.",
        notes,
    }])
}

/// The time that so many of a hundred did not exceed.
fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let index = (sorted.len() * percent).div_ceil(100);
    sorted
        .get(index.saturating_sub(1))
        .copied()
        .unwrap_or(f64::NAN)
}

/// Builds the read model and has queries go to it.
async fn show_rebuilt(log: &EventLog) -> Outcome<()> {
    let schema = View::Products.beside(1);
    rebuild(log, View::Products, &schema, Settings::default()).await?;
    sqlx::query("update view_pointers set schema = $1 where name = $2")
        .bind(schema.as_str())
        .bind(View::Products.name())
        .execute(log.pool())
        .await?;
    sqlx::raw_sql("checkpoint").execute(log.pool()).await?;
    Ok(())
}

/// Numbers that come again in every run: xorshift.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % bound
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// A word: the smaller its number the more often, as words are.
    fn word(&mut self) -> usize {
        let rank = self.below(WORDS) + 1;
        self.below(rank)
    }
}

/// The invented word of this number.
fn word(number: usize) -> String {
    const SYLLABLES: [&str; 20] = [
        "ba", "con", "di", "el", "fo", "gar", "hi", "in", "ju", "ka", "lo", "men", "no", "or",
        "pe", "qui", "ra", "sol", "ti", "ver",
    ];
    let mut rest = number + 400;
    let mut word = String::new();
    while rest > 0 {
        word.push_str(SYLLABLES[rest % SYLLABLES.len()]);
        rest /= SYLLABLES.len();
    }
    word
}

/// What a shopper may ask for.
#[derive(Clone, Copy, Debug)]
enum Shape {
    Words,
    Beginning,
    WordsInCategory,
    Typo,
    CommonTitle,
    CommonTitleByPrice,
    CommonEverywhere,
    Middling,
    LaterPage,
    TwoCommon,
    CommonTitleByTitle,
    DeepInCategory,
    Attribute,
    Newest,
}

impl Shape {
    const ALL: &[Self] = &[
        Self::Words,
        Self::Beginning,
        Self::WordsInCategory,
        Self::Typo,
        Self::CommonTitle,
        Self::CommonTitleByPrice,
        Self::CommonEverywhere,
        Self::Middling,
        Self::LaterPage,
        Self::TwoCommon,
        Self::CommonTitleByTitle,
        Self::DeepInCategory,
        Self::Attribute,
        Self::Newest,
    ];

    const fn described(self) -> &'static str {
        match self {
            Self::Words => "Two words of a title, by relevance",
            Self::Beginning => "A word and the beginning of another",
            Self::WordsInCategory => "A word, a category, a span of prices, in stock",
            Self::Typo => "A title with a spelling mistake",
            Self::CommonTitle => "A word that some 8,000 titles have, in a region, by relevance",
            Self::CommonTitleByPrice => "The same, by price",
            Self::CommonEverywhere => {
                "A word that tens of thousands of descriptions have, by relevance"
            }
            Self::Middling => "A word of some hundreds to ten thousand descriptions, by relevance",
            Self::LaterPage => "The second page of such a word",
            Self::TwoCommon => "Two words that thousands of titles have, and no title both",
            Self::CommonTitleByTitle => "A word that some 8,000 titles have, in a region, by title",
            Self::DeepInCategory => "A category by price, deep in its pages, without a text",
            Self::Attribute => "A kind with two attributes, by price, without a text",
            Self::Newest => "A region in stock, the newest, without a text",
        }
    }
}

/// What there is to be asked for.
struct Catalogue {
    regions: Vec<RegionId>,
    categories: Vec<CategoryId>,
    titles: Vec<String>,
    ids: Vec<ProductId>,
}

impl Catalogue {
    async fn make(log: &EventLog, products: usize, dice: &mut Dice) -> Outcome<Self> {
        let mut this = Self {
            regions: (0..REGIONS).map(|_| RegionId(Uuid::now_v7())).collect(),
            categories: (0..CATEGORIES)
                .map(|_| CategoryId(Uuid::now_v7()))
                .collect(),
            titles: Vec::new(),
            ids: Vec::new(),
        };
        let shops: Vec<_> = (0..SHOPS).map(|_| ShopId(Uuid::now_v7())).collect();
        let mut commands = Vec::with_capacity(products);
        for number in 0..products {
            let title = title(dice);
            let product_id = ProductId(Uuid::now_v7());
            this.titles.push(title.clone());
            this.ids.push(product_id);
            let create = ProductCommand::CreateProduct {
                product_id,
                region_id: dice.one_of(&this.regions),
                region_currency: Currency::parse("USD")?,
                sku: Sku::parse(&format!("SKU-{number}"))?,
                title: Title::parse(&title)?,
                description: Description::parse(&description(dice))?,
                image_url: None,
                price: Money::new(100 + dice.below(50_000) as i64, Currency::parse("USD")?),
                shop_id: Some(dice.one_of(&shops)),
                category_id: Some(dice.one_of(&this.categories)),
                specification: (dice.below(3) > 0).then(|| clothing(dice)).flatten(),
            };
            // one in ten is sold out
            let stock = (dice.below(10) > 0).then(|| 1 + dice.below(100) as u64);
            commands.push((product_id, create, stock));
        }
        let made = stream::iter(commands)
            .map(|(product_id, create, stock)| put_on_sale(log, product_id, create, stock))
            .buffered(AT_ONCE);
        made.try_collect::<Vec<()>>().await?;
        Ok(this)
    }

    /// A question of that shape.
    fn ask(
        &self,
        shape: Shape,
        dice: &mut Dice,
    ) -> Outcome<(ProductFilter, PageRequest<ProductSort>)> {
        let title = &self.titles[dice.below(self.titles.len())];
        let words: Vec<&str> = title.split(' ').collect();
        let (first, second) = (dice.one_of(&words), dice.one_of(&words));
        let mut filter = ProductFilter::default();
        let mut sort = (ProductSort::Relevance, Direction::Asc);
        let mut after = None;
        let text = match shape {
            Shape::Words => Some(format!("{first} {second}")),
            Shape::Beginning => {
                let begun: String = second.chars().take(4).collect();
                Some(format!("{first} {begun}"))
            }
            Shape::WordsInCategory => {
                filter.category_id = Some(dice.one_of(&self.categories));
                filter.region_id = Some(dice.one_of(&self.regions));
                filter.in_stock = Some(true);
                filter.price = Some(prices(dice)?);
                Some(first.to_owned())
            }
            Shape::Typo => Some(misspelled(title, dice)),
            Shape::CommonTitle | Shape::CommonTitleByPrice | Shape::CommonTitleByTitle => {
                filter.region_id = Some(dice.one_of(&self.regions));
                sort.0 = match shape {
                    Shape::CommonTitleByPrice => ProductSort::Price,
                    Shape::CommonTitleByTitle => ProductSort::Title,
                    _ => ProductSort::Relevance,
                };
                Some(dice.one_of(&MATERIALS).to_owned())
            }
            Shape::CommonEverywhere => Some(word(dice.below(COMMON))),
            Shape::TwoCommon => {
                let material = dice.below(MATERIALS.len());
                let other = (material + 1 + dice.below(MATERIALS.len() - 1)) % MATERIALS.len();
                Some(format!("{} {}", MATERIALS[material], MATERIALS[other]))
            }
            Shape::Middling | Shape::LaterPage => Some(match dice.below(2) {
                0 => word(COMMON + dice.below(MIDDLING)),
                _ => word(COMMON + MIDDLING + dice.below(2_000)),
            }),
            Shape::DeepInCategory => {
                filter.category_id = Some(dice.one_of(&self.categories));
                sort = (ProductSort::Price, Direction::Asc);
                after = Some((SortValue::Integer(dice.below(50_000) as i64), Uuid::nil()));
                None
            }
            Shape::Attribute => {
                filter.kind = Some("clothing".into());
                filter.attributes = [
                    ("colour", dice.one_of(&COLOURS)),
                    ("size", dice.one_of(&SIZES)),
                ]
                .into_iter()
                .map(|(name, text)| {
                    Outcome::Ok((name.to_owned(), AttributeValue::Text(Title::parse(text)?)))
                })
                .collect::<Outcome<BTreeMap<_, _>>>()?;
                sort = (ProductSort::Price, Direction::Desc);
                None
            }
            Shape::Newest => {
                filter.region_id = Some(dice.one_of(&self.regions));
                filter.in_stock = Some(true);
                sort = (ProductSort::CreatedAt, Direction::Desc);
                None
            }
        };
        filter.text = text.as_deref().map(SearchText::parse).transpose()?;
        let (key, direction) = sort;
        let mut page = PageRequest::new(Limits::STANDARD, Sort { key, direction }, None, None)?;
        page.after = after;
        Ok((filter, page))
    }
}

/// A tenth of all prices.
fn prices(dice: &mut Dice) -> Outcome<PriceSpan> {
    let least = dice.below(45_000) as i64;
    Ok(PriceSpan {
        currency: Currency::parse("USD")?,
        amount: Span {
            gte: Some(least),
            lte: Some(least + 5_000),
        },
    })
}

fn title(dice: &mut Dice) -> String {
    let mut words = Vec::new();
    if dice.below(2) == 0 {
        words.push(dice.one_of(&COLOURS).to_owned());
    }
    if dice.below(5) < 4 {
        words.push(dice.one_of(&MATERIALS).to_owned());
    }
    words.push(dice.one_of(&THINGS).to_owned());
    for _ in 0..=dice.below(2) {
        words.push(word(dice.word()));
    }
    words.join(" ")
}

fn description(dice: &mut Dice) -> String {
    let words: Vec<String> = (0..20 + dice.below(60))
        .map(|_| match dice.below(12) {
            // every language has some that are nearly everywhere
            0 | 1 => word(dice.below(COMMON)),
            2 => dice.one_of(&MATERIALS).to_owned(),
            3 => word(COMMON + dice.below(MIDDLING)),
            _ => word(dice.word()),
        })
        .collect();
    words.join(" ")
}

fn clothing(dice: &mut Dice) -> Option<Specification> {
    let text = |text| Title::parse(text).ok().map(AttributeValue::Text);
    let given = [
        ("size", dice.one_of(&SIZES)),
        ("colour", dice.one_of(&COLOURS)),
        ("material", dice.one_of(&MATERIALS)),
    ];
    let given = given.map(|(name, value)| (name.to_owned(), text(value)));
    Kind::find("clothing")?.specify(given).ok()
}

/// The title with two letters of its longest word swapped, or one left out.
fn misspelled(title: &str, dice: &mut Dice) -> String {
    let longest = title.split(' ').max_by_key(|word| word.chars().count());
    let mut letters: Vec<char> = longest.unwrap_or(title).chars().collect();
    if letters.len() > 3 {
        let index = 1 + dice.below(letters.len() - 2);
        if dice.below(2) == 0 {
            letters.remove(index);
        } else {
            letters.swap(index, index + 1);
        }
    }
    letters.into_iter().collect()
}

/// The events of a product and of its stock, as its aggregates decide them.
async fn put_on_sale(
    log: &EventLog,
    product_id: ProductId,
    create: ProductCommand,
    stock: Option<u64>,
) -> Outcome<()> {
    let quantity = stock.map(Quantity::parse).transpose()?;
    let streams = vec![
        StreamRef::fresh::<Product>(product_id),
        StreamRef::fresh::<Inventory>(product_id),
    ];
    let cause: Cause = request("CreateProduct").cause;
    let unit = Unit::<(), Box<dyn Error + Send + Sync>>::new(cause, streams, move |work| {
        work.execute::<Product>(product_id, create.clone())?;
        if let Some(quantity) = quantity {
            let receive = InventoryCommand::ReceiveStock {
                product_id,
                operation_id: OperationId(Uuid::nil()),
                quantity,
                reason: None,
            };
            work.execute::<Inventory>(product_id, receive)?;
        }
        Ok(())
    });
    log.execute(unit)
        .await
        .map_err(|error| format!("{error:?}"))?;
    Ok(())
}
