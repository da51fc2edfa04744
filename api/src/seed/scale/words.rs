//! The words that a large demo shop is made of: goods in three languages with what they cost, and for each region the
//! names of people and places. Only data.
//!
//! Nothing here knows which attributes a kind of products has: values are looked up by the name of an attribute, and one
//! that has no words here gets some that fit any.

/// Goods of one sort.
pub(super) struct Goods {
    /// Slug and title of the category that they are in.
    pub(super) category: (&'static str, &'static str),
    /// Name of their kind; none where there is none for such goods.
    pub(super) kind: Option<&'static str>,
    /// What one of them costs in the middle, in US cents.
    pub(super) cents: f64,
    /// What they are called in each [`Language`], in the same order.
    pub(super) nouns: [&'static [&'static str]; 3],
}

/// In which titles are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    English,
    Vietnamese,
    Chinese,
}

/// What is sold, each sort as often as the others.
#[rustfmt::skip] // a table
pub(super) const GOODS: &[Goods] = &[
    Goods {
        category: ("clothes", "Clothes"),
        kind: Some("clothing"),
        cents: 3_500.0,
        nouns: [
            &["Shirt", "T-Shirt", "Trousers", "Jacket", "Dress", "Skirt", "Jumper", "Raincoat", "Scarf", "Socks"],
            &["Áo sơ mi", "Áo thun", "Quần tây", "Áo khoác", "Áo dài", "Chân váy", "Áo len", "Áo mưa", "Khăn quàng", "Tất"],
            &["衬衫", "T恤", "长裤", "夹克", "连衣裙", "半身裙", "毛衣", "雨衣", "围巾", "袜子"],
        ],
    },
    Goods {
        category: ("devices", "Devices"),
        kind: Some("electronics"),
        cents: 8_000.0,
        nouns: [
            &["Desk Lamp", "Headphones", "Power Bank", "Rice Cooker", "Table Fan", "Keyboard", "Speaker", "Kettle", "Torch", "Charger"],
            &["Đèn bàn", "Tai nghe", "Pin dự phòng", "Nồi cơm điện", "Quạt bàn", "Bàn phím", "Loa", "Ấm siêu tốc", "Đèn pin", "Bộ sạc"],
            &["台灯", "耳机", "充电宝", "电饭锅", "台扇", "键盘", "音箱", "电热水壶", "手电筒", "充电器"],
        ],
    },
    Goods {
        category: ("household", "Household"),
        kind: Some("furniture"),
        cents: 16_000.0,
        nouns: [
            &["Chair", "Table", "Bookshelf", "Stool", "Bench", "Bed Frame", "Wardrobe", "Desk", "Sideboard", "Shoe Rack"],
            &["Ghế", "Bàn", "Kệ sách", "Ghế đẩu", "Ghế băng", "Giường", "Tủ quần áo", "Bàn làm việc", "Tủ bếp", "Kệ giày"],
            &["椅子", "桌子", "书架", "凳子", "长椅", "床架", "衣柜", "书桌", "餐边柜", "鞋架"],
        ],
    },
    Goods {
        category: ("kitchen", "Kitchen"),
        kind: None,
        cents: 2_200.0,
        nouns: [
            &["Skillet", "Teapot", "Coffee Filter", "Chopping Board", "Bowl Set", "Chef's Knife", "Steamer", "Mug"],
            &["Chảo gang", "Ấm trà", "Phin cà phê", "Thớt gỗ", "Bộ bát", "Dao bếp", "Xửng hấp", "Cốc"],
            &["铸铁锅", "茶壶", "咖啡滤壶", "砧板", "碗具套装", "菜刀", "蒸笼", "马克杯"],
        ],
    },
    Goods {
        category: ("groceries", "Groceries"),
        kind: None,
        cents: 900.0,
        nouns: [
            &["Coffee Beans", "Green Tea", "Fish Sauce", "Chilli Paste", "Maple Syrup", "Rice Noodles", "Dried Mango", "Honey"],
            &["Cà phê hạt", "Trà xanh", "Nước mắm", "Tương ớt", "Mật mía", "Phở khô", "Xoài sấy", "Mật ong"],
            &["咖啡豆", "绿茶", "鱼露", "辣椒酱", "枫糖浆", "米粉", "芒果干", "蜂蜜"],
        ],
    },
    Goods {
        category: ("books", "Books"),
        kind: None,
        cents: 1_600.0,
        nouns: [
            &["Cookbook", "Novel", "Travel Guide", "Dictionary", "Notebook", "Picture Book", "Atlas", "Calendar"],
            &["Sách nấu ăn", "Tiểu thuyết", "Cẩm nang du lịch", "Từ điển", "Sổ tay", "Truyện tranh", "Bản đồ", "Lịch"],
            &["食谱", "小说", "旅行指南", "词典", "笔记本", "绘本", "地图册", "日历"],
        ],
    },
];

/// What goods are like, in each language.
#[rustfmt::skip] // a table
pub(super) const QUALITIES: [&[&str]; 3] = [
    &["Plain", "Handmade", "Light", "Sturdy", "Classic", "Folding", "Large", "Small", "Everyday", "Fine", "Travel", "Family"],
    &["đơn giản", "thủ công", "nhẹ", "bền", "cổ điển", "gấp gọn", "cỡ lớn", "cỡ nhỏ", "hằng ngày", "cao cấp", "du lịch", "gia đình"],
    &["简约", "手工", "轻便", "结实", "经典", "折叠", "大号", "小号", "日常", "精致", "旅行", "家用"],
];

/// What shops and makers are called.
#[rustfmt::skip] // a table
pub(super) const MAKERS: &[&str] = &[
    "Lumen", "Gió", "Sông Hồng", "Merlion", "Blue Heron", "Tre Việt", "Orchard", "Harbour", "Northwind", "Sao Mai",
    "Kampong", "Prairie", "Hoa Sen", "Lantern", "Redwood", "Mây",
];

/// What follows the name of a shop.
pub(super) const SHOPS: &[&str] = &[
    "Store", "Corner", "Market", "House", "& Co", "Works", "Trading", "Supply",
];

/// The text under a product, in each language; the maker's name and the number of the product follow.
#[rustfmt::skip] // a table
pub(super) const DESCRIPTIONS: [&[&str]; 3] = [
    &[
        "Chosen for daily use, and made to be repaired.",
        "Packed in paper, sent within two days.",
        "A favourite of our regulars for years.",
        "Made in small batches; no two are quite alike.",
    ],
    &[
        "Dùng hằng ngày, dễ sửa chữa.",
        "Gói bằng giấy, gửi trong hai ngày.",
        "Khách quen yêu thích nhiều năm nay.",
        "Làm từng mẻ nhỏ, không cái nào giống cái nào.",
    ],
    &["适合日常使用，易于维修。", "纸质包装，两天内发货。", "多年来深受老顾客喜爱。", "小批量制作，件件不同。"],
];

/// Values of attributes that are texts, by the name of the attribute, in each language.
#[rustfmt::skip] // a table
pub(super) const VALUES: &[(&str, [&[&str]; 3])] = &[
    (
        "colour",
        [
            &["black", "white", "navy", "olive", "red", "sand", "grey", "yellow"],
            &["đen", "trắng", "xanh đậm", "xanh rêu", "đỏ", "be", "xám", "vàng"],
            &["黑色", "白色", "藏青", "橄榄绿", "红色", "沙色", "灰色", "黄色"],
        ],
    ),
    (
        "material",
        [
            &["cotton", "linen", "bamboo", "oak", "rattan", "steel", "silk", "wool"],
            &["bông", "vải lanh", "tre", "gỗ sồi", "mây", "thép", "lụa", "len"],
            &["棉", "亚麻", "竹", "橡木", "藤", "钢", "丝绸", "羊毛"],
        ],
    ),
    ("brand", [MAKERS, MAKERS, MAKERS]),
    ("model", [MODELS, MODELS, MODELS]),
];

const MODELS: &[&str] = &["A-1", "A-2", "D-2", "K-30", "M-100", "Mini", "Pro", "X-5"];

/// Values of attributes that are numbers, by the name of the attribute.
pub(super) const NUMBERS: &[(&str, &[i64])] = &[
    ("warranty_months", &[6, 12, 24, 24, 36]),
    ("width_mm", &[400, 520, 600, 800, 1_200, 1_600]),
    ("depth_mm", &[300, 420, 560, 600, 800]),
    ("height_mm", &[450, 740, 780, 1_200, 1_800]),
];

/// Texts of attributes that have no words of their own.
pub(super) const ANY_VALUES: &[&str] = &["plain", "standard", "special"];

/// A region as its people, their addresses and its prices are.
pub(super) struct Place {
    /// Slug of the region.
    pub(super) region: &'static str,
    /// In which most titles are written, and in which the rest.
    pub(super) languages: [Language; 2],
    /// Titles of a hundred in the second one.
    pub(super) in_the_second: u64,
    /// Minor units of its currency for a US cent.
    pub(super) units_per_cent: f64,
    /// Prices are whole steps of so many minor units …
    pub(super) step: i64,
    /// … and that much below.
    pub(super) below_step: i64,
    /// A name is one of each, in this order.
    pub(super) names: [&'static [&'static str]; 3],
    /// Streets with room for a number: `{n}`.
    pub(super) streets: &'static [&'static str],
    /// The rest of an address, with room for digits of a postal code: each `#`.
    pub(super) cities: &'static [&'static str],
}

/// One for each region of the demo.
#[rustfmt::skip] // a table
pub(super) const PLACES: [Place; 3] = [
    Place {
        region: "vietnam",
        languages: [Language::Vietnamese, Language::English],
        in_the_second: 10,
        units_per_cent: 250.0,
        step: 1_000,
        below_step: 0,
        names: [
            &["Nguyễn", "Trần", "Lê", "Phạm", "Hoàng", "Huỳnh", "Phan", "Vũ", "Võ", "Đặng", "Bùi", "Đỗ", "Hồ", "Ngô", "Dương", "Lý"],
            &["Thị", "Văn", "Minh", "Ngọc", "Thanh", "Đức", "Hữu", "Quốc", "Thu", "Xuân"],
            &["Mai", "Lan", "Hùng", "Tuấn", "Hương", "Linh", "Nam", "Phúc", "Thảo", "Trang", "Dũng", "Hà", "Khánh", "Châu", "Sơn", "Yến"],
        ],
        streets: &[
            "{n} Lê Lợi", "{n} Nguyễn Huệ", "{n} Trần Hưng Đạo", "{n} Hai Bà Trưng", "{n} Lý Thường Kiệt", "{n} Điện Biên Phủ",
            "{n} Phan Đình Phùng", "{n} Cách Mạng Tháng Tám",
        ],
        cities: &[
            "Quận 1\nThành phố Hồ Chí Minh", "Quận 3\nThành phố Hồ Chí Minh", "Hoàn Kiếm\nHà Nội", "Cầu Giấy\nHà Nội",
            "Hải Châu\nĐà Nẵng", "Ninh Kiều\nCần Thơ", "Thuận Hóa\nHuế", "Lê Chân\nHải Phòng",
        ],
    },
    Place {
        region: "singapore",
        languages: [Language::English, Language::Chinese],
        in_the_second: 30,
        units_per_cent: 1.35,
        step: 10,
        below_step: 0,
        names: [
            &["Tan", "Lim", "Lee", "Ng", "Wong", "Goh", "Chua", "Ong", "Rajan", "Ismail", "Rahman", "Pereira"],
            &["Wei", "Hui", "Jia", "Mei", "Kai", "Zhi", "Nur", "Siti", "Anand", "Priya"],
            &["Ming", "Ling", "Xuan", "Jun", "Hao", "Aisyah", "Kumar", "Devi", "Farid", "Yen"],
        ],
        streets: &[
            "Blk {n} Toa Payoh Lorong 4", "Blk {n} Ang Mo Kio Avenue 3", "{n} Orchard Road", "{n} Joo Chiat Road",
            "Blk {n} Tampines Street 21", "{n} Serangoon Road", "Blk {n} Bedok North Road", "{n} Tiong Bahru Road",
        ],
        cities: &["Singapore 31####", "Singapore 56####", "Singapore 23####", "Singapore 42####", "Singapore 52####"],
    },
    Place {
        region: "united-states",
        languages: [Language::English, Language::Vietnamese],
        in_the_second: 3,
        units_per_cent: 1.0,
        step: 50,
        below_step: 1,
        names: [
            &["Mary", "James", "Linda", "Robert", "Maria", "David", "Emily", "Daniel", "Ana", "Joshua", "Grace", "Marcus", "Hannah", "Luis"],
            &["A.", "B.", "C.", "E.", "J.", "L.", "M.", "R.", "T.", "W."],
            &["Smith", "Johnson", "Garcia", "Miller", "Davis", "Nguyen", "Martinez", "Wilson", "Anderson", "Lee", "Thompson", "Clark", "Walker", "Kim"],
        ],
        streets: &[
            "{n} Main Street", "{n} Oak Avenue", "{n} Maple Street", "{n} Washington Boulevard", "{n} Lincoln Way", "{n} Hill Road",
            "{n} Lake Drive", "{n} 2nd Street",
        ],
        cities: &[
            "Portland, OR 972##", "Austin, TX 787##", "Columbus, OH 432##", "Denver, CO 802##", "Burlington, VT 054##",
            "Savannah, GA 314##", "San José, CA 951##", "Duluth, MN 558##",
        ],
    },
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use domain::kinds::Kind;

    use super::*;
    use crate::seed::catalogue::REGIONS;

    #[test]
    fn there_are_words_for_every_region_and_goods_of_kinds_that_there_are() {
        let places: Vec<&str> = PLACES.iter().map(|place| place.region).collect();
        let regions: Vec<&str> = REGIONS.iter().map(|region| region.slug).collect();
        assert_eq!(places, regions);
        for goods in GOODS {
            assert!(goods.kind.is_none_or(|kind| Kind::find(kind).is_some()));
            assert!(goods.cents > 100.0);
            assert!(
                goods
                    .nouns
                    .iter()
                    .all(|nouns| nouns.len() == goods.nouns[0].len())
            );
        }
        let categories: HashSet<_> = GOODS.iter().map(|goods| goods.category.0).collect();
        assert_eq!(categories.len(), GOODS.len());
    }

    #[test]
    fn nothing_is_empty_and_addresses_have_room_for_numbers() {
        for place in &PLACES {
            assert!(place.names.iter().all(|names| !names.is_empty()));
            assert!(place.streets.iter().all(|street| street.contains("{n}")));
            assert!(!place.cities.is_empty() && place.step > place.below_step);
        }
        for (_, values) in VALUES {
            assert!(values.iter().all(|values| !values.is_empty()));
        }
    }
}
