//! Products searched by a real OpenSearch: it finds what PostgreSQL finds, hears of every change, and nothing depends on it.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use eventstore::testing::Proxy;
use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    answer::{Answer, text_of},
    client::{Client, PATIENCE, new_product},
    engine::{engine_address, engine_url},
    eventually,
    server::Server,
    shop::Shop,
};
use uuid::Uuid;

/// Waits until readiness, which stays green, says this of the engine.
async fn engine_is(shop: &Shop, server: &Server, state: &str) {
    let client = shop.client(server);
    let what = format!("the search engine is {state}");
    eventually(&what, PATIENCE, || async {
        let ready = client.get("/health/ready").await.expect(200).json();
        (ready["search"] == state).then_some(())
    })
    .await;
}

/// Waits until the index holds what the log holds now, and the server knows.
async fn filled(shop: &Shop, server: &Server) {
    shop.index().filled(shop.head().await).await;
    engine_is(shop, server, "ok").await;
}

/// Where nothing is sold yet.
async fn own_region(admin: &Client) -> String {
    let body = json!({
        "title": "Elsewhere", "country": "US", "currency": "USD", "tax_rate": 0, "default_for_currency": false,
    });
    admin.post("/api/v1/regions", &body).await.expect(201).id()
}

/// Makes a product of this title; returns its id.
async fn offer(admin: &Client, region: &str, title: &str, cents: i64) -> String {
    let sku = Uuid::new_v4().simple().to_string();
    let mut body = new_product(region, &sku, (cents, "USD"), 10);
    body["title"] = json!(title);
    admin.post("/api/v1/products", &body).await.expect(201).id()
}

fn skus(answer: &Answer) -> Vec<String> {
    members(answer, "sku")
}

fn members(answer: &Answer, name: &str) -> Vec<String> {
    let body = answer.json();
    let items = body["items"].as_array().expect("a list");
    items.iter().map(|item| text_of(&item[name])).collect()
}

/// The address of the next page.
fn next(answer: &Answer) -> Option<String> {
    let link = answer.header("link")?;
    let address = link.trim_start_matches('<').split('>').next();
    Some(address.expect("an address").to_owned())
}

/// The ids of what a query finds, all pages of it.
async fn found(client: &Client, query: &str) -> Vec<String> {
    let mut path = format!("/api/v1/products?{query}");
    let mut all = Vec::new();
    loop {
        let page = client.get(&path).await.expect(200);
        all.extend(members(&page, "product_id"));
        match next(&page) {
            Some(address) => path = address,
            None => return all,
        }
    }
}

/// Waits until exactly these are found.
async fn until_found(client: &Client, query: &str, ids: &[&str]) {
    let expected: BTreeSet<&str> = ids.iter().copied().collect();
    let what = format!("{query} finds {expected:?}");
    eventually(&what, PATIENCE, || async {
        let found = found(client, query).await;
        let found: BTreeSet<&str> = found.iter().map(String::as_str).collect();
        (found == expected).then_some(())
    })
    .await;
}

/// A catalogue with something for every filter, in this category where it is a hat; each sku ends with `mark`.
async fn fill(admin: &Client, region: &str, category: &str, mark: &str) {
    let none = json!({});
    let wool = json!({"kind": "clothing", "attributes": {"size": "M", "colour": "Đỏ tươi", "material": "sheep's wool"}});
    let silk = json!({"kind": "clothing", "attributes": {"size": "L", "colour": "blue"}});
    let hat = json!({"category_id": category});
    for (sku, title, description, cents, stock, more) in [
        (
            "AD-01-red",
            "Áo dài lụa đỏ",
            "Lụa tơ tằm, sewn by hand.",
            900,
            10,
            &silk,
        ),
        ("AD-02", "Áo dài", "A red lining.", 800, 0, &none),
        (
            "TEE-01",
            "Blue t-shirt",
            "Cotton. T-shirts shrink.",
            700,
            3,
            &silk,
        ),
        (
            "TEE-02",
            "Shirt, t for two",
            "Not what you think",
            600,
            10,
            &none,
        ),
        ("HAT-01", "Red hat", "Made of wool and felt", 500, 10, &hat),
        (
            "HAT-02",
            "Hat",
            "Felt and wool, made of both. Red.",
            400,
            10,
            &hat,
        ),
        ("LMP-1", "Lamp", "A lamp", 300, 10, &none),
        (
            "LMP-2",
            "Lamps of all kinds",
            "Lamp, lamp, lamp",
            300,
            10,
            &none,
        ),
        ("PUL-1", "Pullover", "Warm", 1_200, 10, &wool),
        (
            "ODD-1",
            "½ price: women's “Levi’s” 한글 カメラ",
            "Größe \\ \"x\" {\"a\": [1]}",
            100,
            10,
            &none,
        ),
    ] {
        let sku = format!("{sku}{mark}");
        let mut body = new_product(region, &sku, (cents, "USD"), stock);
        body["title"] = json!(title);
        body["description"] = json!(description);
        for (name, value) in more.as_object().expect("members") {
            body[name] = value.clone();
        }
        let _ = admin.post("/api/v1/products", &body).await.expect(201);
    }
}

async fn hats(admin: &Client) -> String {
    let hats = json!({"title": "Hats"});
    let made = admin.post("/api/v1/categories", &hats).await;
    made.expect(201).id()
}

/// What is looked for, one a line.
const TEXTS: &str = r#"
ao dai | ÁO DÀI | áo | lua | red | do | red -hat | -red hat | hat -"made of" | "made of" | "of made" | made of | wool felt
"wool and felt" | t-shirt | t-shir | "t-shir" | shirt t | tee | tee-01 | TEE-01- | ad-01-r | clothing | tuoi | do tuoi
"do tuoi" | sheeps | wool -pullover | lam | lamp | lamps | la | pull | women's | levis | half | 1 2 price | 한글 | カメラ
grosse | "x" | a 1 | a | felt hat red | nothing | lanp | puloverr | {"a" | shirt* OR (red) | title:lamp | \ | lamp\ | red~2 ^4
"#;

#[tokio::test]
async fn it_finds_what_postgresql_finds() {
    let shop = Shop::opening().with_engine_at(&engine_url()).open().await;
    let searching = shop.serve().await;
    let plain = shop.serve_with(&[("SOUK_SEARCH_URL", "")]).await;
    let admin = shop.admin(&searching).await;
    let region = own_region(&admin).await;
    let category = hats(&admin).await;
    // two of each, so that what both find has a second page, which says whose list it is
    for mark in ["", "x"] {
        fill(&admin, &region, &category, mark).await;
    }
    filled(&shop, &searching).await;
    shop.caught_up(&plain).await;
    let (engine, postgres) = (shop.client(&searching), shop.client(&plain));
    let before = shop.index().searches().await;

    let region = format!("region_id={region}");
    let text = |text: &str| format!("{region}&q={}", encoded(text));
    let texts = TEXTS.split(['\n', '|']).map(str::trim);
    let mut asked_of_it = 0;
    for asked in texts.filter(|text| !text.is_empty()) {
        let query = text(asked);
        let plainly = postgres.get(&format!("/api/v1/products?{query}")).await;
        if plainly.status == 400 {
            let refused = engine.get(&format!("/api/v1/products?{query}")).await;
            assert_eq!(refused.json(), plainly.json(), "{asked}");
            continue;
        }
        let (mut one, mut two) = (found(&engine, &query).await, found(&postgres, &query).await);
        one.sort_unstable();
        two.sort_unstable();
        assert_eq!(one, two, "{asked}");
        let first = format!("/api/v1/products?{query}&limit=1");
        let told = postgres.get(&first).await.expect(200);
        if noted(&told).is_some_and(|noted| noted.get("q").is_none()) {
            let told = engine.get(&first).await.expect(200);
            assert_eq!(noted(&told), Some(json!({"e": 1})), "{asked}");
            asked_of_it += 1;
        }
        for sort in ["price", "-price", "created_at", "-created_at", "title"] {
            let sorted = format!("{query}&sort={sort}&limit=2");
            let (one, two) = (
                found(&engine, &sorted).await,
                found(&postgres, &sorted).await,
            );
            assert_eq!(one, two, "{asked} by {sort}");
        }
    }
    for filter in [
        "in_stock=true",
        "in_stock=false",
        "low_stock=true",
        "low_stock=false",
        "currency=USD&price[gte]=600",
        "currency=USD&price[lte]=600",
        "currency=USD&price[gte]=500&price[lte]=800",
        "currency=VND",
        "sku=TEE-01",
        "sku=tee-01",
        "kind=clothing",
        "kind=furniture",
        "kind=clothing&attributes[size]=L",
        "kind=clothing&attributes[size]=M",
        "kind=clothing&attributes[colour]=%C4%90%E1%BB%8F%20t%C6%B0%C6%A1i",
        "kind=clothing&attributes[colour]=do%20tuoi",
    ] {
        for asked in ["red", "do", "shirt", "lamp -x"] {
            let query = format!("{}&{filter}&sort=price", text(asked));
            let (one, two) = (found(&engine, &query).await, found(&postgres, &query).await);
            assert_eq!(one, two, "{query}");
        }
    }
    let red_hats = format!("{}&category_id={category}&sort=price", text("red"));
    let (one, two) = (
        found(&engine, &red_hats).await,
        found(&postgres, &red_hats).await,
    );
    assert_eq!((one.len(), one), (4, two));
    // all but what nothing has, or is spelled wrongly
    assert!(asked_of_it > 35, "{asked_of_it}");
    assert!(shop.index().searches().await > before + 200);
    shop.close().await;
}

/// What the cursor of a page's end holds beside its place; none at the end of the list.
fn noted(answer: &Answer) -> Option<Value> {
    let body = answer.json();
    let cursor = URL_SAFE_NO_PAD
        .decode(body["next_cursor"].as_str()?)
        .unwrap();
    let cursor: Value = serde_json::from_slice(&cursor).unwrap();
    Some(cursor["n"].clone())
}

/// As it stands in an address.
fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}

#[tokio::test]
async fn what_has_all_words_in_its_title_comes_first_and_pages_of_it_keep_together() {
    let shop = Shop::opening().with_engine_at(&engine_url()).open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let region = own_region(&admin).await;
    fill(&admin, &region, &hats(&admin).await, "").await;
    filled(&shop, &server).await;
    let search = async |query: &str| {
        let path = format!("/api/v1/products?region_id={region}&{query}");
        skus(&shop.client(&server).get(&path).await.expect(200))
    };
    assert_eq!(search("q=ao+dai").await, ["AD-02", "AD-01-red"]);
    assert_eq!(search("q=lamp").await, ["LMP-1", "LMP-2"]);
    // one word in the title is not all of them; an attribute counts for more than a description
    assert_eq!(search("q=red").await[..2], ["HAT-01", "AD-01-red"]);
    assert_eq!(search("q=wool").await[0], "PUL-1");
    let mut backwards = search("q=red&sort=-relevance").await;
    backwards.reverse();
    assert_eq!(search("q=red").await, backwards);

    // those of before are all seen once, whatever happens meanwhile
    let mut before = Vec::new();
    for number in 0..20 {
        before.push(
            offer(
                &admin,
                &region,
                &format!("Chair{}", " x".repeat(number % 4)),
                100,
            )
            .await,
        );
    }
    filled(&shop, &server).await;
    let mut page = admin
        .get(&format!(
            "/api/v1/products?region_id={region}&q=chair&limit=6"
        ))
        .await
        .expect(200);
    let mut seen = members(&page, "product_id");
    let gone: Vec<String> = before
        .iter()
        .filter(|id| !seen.contains(id))
        .take(3)
        .cloned()
        .collect();
    for id in &gone {
        let path = format!("/api/v1/products/{id}");
        let _ = admin.ask(Method::DELETE, &path).send().await.expect(204);
    }
    let added = offer(&admin, &region, "Chair", 100).await;
    filled(&shop, &server).await;
    shop.caught_up(&server).await;
    while let Some(address) = next(&page) {
        page = admin.get(&address).await.expect(200);
        assert!(skus(&page).len() == 6 || next(&page).is_none(), "{page}");
        seen.extend(members(&page, "product_id"));
    }
    let distinct: BTreeSet<&String> = seen.iter().collect();
    assert_eq!(distinct.len(), seen.len());
    let kept = before.iter().filter(|id| !gone.contains(id));
    assert!(kept.clone().all(|id| seen.contains(id)));
    assert!(
        seen.iter()
            .all(|id| *id == added || kept.clone().any(|kept| kept == id))
    );
    shop.close().await;
}

#[tokio::test]
async fn it_hears_of_every_change() {
    let shop = Shop::opening().with_engine_at(&engine_url()).open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let region = admin.region("USD").await;
    let word = format!("zq{}", &Uuid::new_v4().simple().to_string()[..8]);
    let owner = shop.customer(&server).await;
    let hats = json!({"title": "Hats"});
    let shop_id = owner.post("/api/v1/shops", &hats).await.expect(201).id();
    let mut body = new_product(
        &region,
        &Uuid::new_v4().simple().to_string(),
        (500, "USD"),
        5,
    );
    body["shop_id"] = json!(shop_id);
    body["title"] = json!(format!("{word} hat"));
    let hat = owner.post("/api/v1/products", &body).await.expect(201).id();
    let lamp = offer(&admin, &region, &format!("{word} lamp"), 100).await;
    let (query, client) = (format!("q={word}"), shop.client(&server));
    until_found(&client, &query, &[&hat, &lamp]).await;
    filled(&shop, &server).await;
    let before = shop.index().searches().await;

    // another title
    let path = format!("/api/v1/products/{lamp}");
    let changed = admin.patch(&path, &json!({"title": format!("{word} lantern")}));
    let _ = changed.send().await.expect(200);
    until_found(&client, &format!("q={word}+lantern"), &[&lamp]).await;
    until_found(&client, &format!("q={word}+lamp"), &[]).await;

    // sold out by an order, and there again
    let buyer = shop.customer(&server).await;
    let _ = buyer.order(&[(&hat, 5)]).await.expect(201);
    let in_stock = format!("q={word}&in_stock=true");
    until_found(&client, &in_stock, &[&lamp]).await;
    until_found(&client, &format!("q={word}&in_stock=false"), &[&hat]).await;
    filled(&shop, &server).await;
    let (document, _) = shop.index().document(&hat).await.unwrap();
    assert_eq!(
        (&document["in_stock"], &document["price"]),
        (&json!(false), &json!(500))
    );
    let _ = owner.restock(&hat, 1).await;
    until_found(&client, &in_stock, &[&hat, &lamp]).await;

    // the shop closes, the product is deleted
    let closing = owner.ask(Method::DELETE, &format!("/api/v1/shops/{shop_id}"));
    assert!(closing.send().await.status < 300);
    until_found(&client, &query, &[&lamp]).await;
    let _ = admin.ask(Method::DELETE, &path).send().await.expect(204);
    until_found(&client, &query, &[]).await;
    filled(&shop, &server).await;
    for id in [&hat, &lamp] {
        let (document, _) = shop.index().document(id).await.unwrap();
        assert_eq!(document, json!({"product_id": id}));
    }
    assert!(shop.index().searches().await > before);
    shop.close().await;
}

#[tokio::test]
async fn whoever_names_a_position_finds_what_is_there_then() {
    let shop = Shop::opening().with_engine_at(&engine_url()).open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let region = own_region(&admin).await;
    let _ = offer(&admin, &region, "First lamp", 100).await;
    filled(&shop, &server).await;
    for number in 2..12 {
        let mut body = new_product(&region, &format!("S-{number}"), (100, "USD"), 1);
        body["title"] = json!(format!("Lamp {number}"));
        let made = admin.post("/api/v1/products", &body).await.expect(201);
        let path = format!("/api/v1/products?region_id={region}&q=lamp");
        let ask = admin.ask(Method::GET, &path).min_position(&made.position());
        assert_eq!(skus(&ask.send().await.expect(200)).len(), number);
    }
    shop.close().await;
}

#[tokio::test]
async fn while_it_is_away_postgresql_searches_and_nobody_waits() {
    const PAGE: &str = "&limit=2";
    let way = Proxy::start(engine_address().await).await;
    let shop = Shop::opening()
        .with_engine_at(&format!("http://somebody:a-password@{}", way.address()))
        .open()
        .await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let region = own_region(&admin).await;
    let mut lamps = Vec::new();
    for number in 0..5 {
        lamps.push(offer(&admin, &region, &format!("Lamp {number}"), 100 + number).await);
    }
    filled(&shop, &server).await;
    let client = shop.client(&server);
    let ranked = format!("region_id={region}&q=lamp{PAGE}");
    let priced = format!("{ranked}&sort=price");
    let path = |query: &str| format!("/api/v1/products?{query}");
    let begun = client.get(&path(&ranked)).await.expect(200);
    let by_price = client.get(&path(&priced)).await.expect(200);

    // it may also have been met while it made the index
    let lines = || server.output().matches("the search engine is away").count();
    let told = lines();
    way.refuse(true);
    way.cut();
    for _ in 0..5 {
        assert_eq!(found(&client, &priced).await, lamps);
        assert_eq!(found(&client, &ranked).await.len(), 5);
    }
    engine_is(&shop, &server, "away").await;
    // its own order only it knows; prices are the same for everybody
    let on = next(&begun).unwrap();
    let refused = client.get(&on).await;
    refused.problem_of(503, "unavailable");
    assert!(refused.header("retry-after").is_some());
    let second = client.get(&next(&by_price).unwrap()).await.expect(200);
    assert_eq!(members(&second, "product_id"), lamps[2..4]);
    assert_eq!(lines(), told + 1);
    let _ = offer(&admin, &region, "Lamp while it is away", 90).await;

    way.refuse(false);
    filled(&shop, &server).await;
    let before = shop.index().searches().await;
    let second = client.get(&on).await.expect(200);
    assert_eq!(members(&second, "product_id").len(), 2);
    assert_eq!(found(&client, &priced).await.len(), 6);
    assert!(shop.index().searches().await > before);
    assert!(!server.output().contains("a-password"));
    shop.close().await;
}

#[tokio::test]
async fn an_engine_that_says_nothing_costs_one_request_its_timeout() {
    let way = Proxy::start(engine_address().await).await;
    let shop = Shop::opening()
        .with_engine_at(&format!("http://{}", way.address()))
        .set("SOUK_SEARCH_TIMEOUT", "1500ms")
        .open()
        .await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let region = own_region(&admin).await;
    let lamp = offer(&admin, &region, "Lamp", 100).await;
    filled(&shop, &server).await;
    let query = format!("region_id={region}&q=lamp");
    way.swallow_answers(true);
    let begun = Instant::now();
    for _ in 0..20 {
        assert_eq!(found(&shop.client(&server), &query).await, [lamp.as_str()]);
    }
    let taken = begun.elapsed();
    assert!(taken < Duration::from_secs(8), "{taken:?}");
    engine_is(&shop, &server, "away").await;
    way.swallow_answers(false);
    way.cut();
    engine_is(&shop, &server, "ok").await;
    assert_eq!(found(&shop.client(&server), &query).await, [lamp.as_str()]);
    shop.close().await;
}

#[tokio::test]
async fn an_index_that_is_gone_or_of_another_history_is_made_anew() {
    let shop = Shop::opening().with_engine_at(&engine_url()).open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let region = own_region(&admin).await;
    let lamp = offer(&admin, &region, "Lamp", 100).await;
    filled(&shop, &server).await;
    let (client, query) = (shop.client(&server), format!("region_id={region}&q=lamp"));

    shop.index().remove().await;
    let other = offer(&admin, &region, "Other lamp", 100).await;
    until_found(&client, &query, &[&lamp, &other]).await;
    filled(&shop, &server).await;
    assert!(shop.index().document(&lamp).await.is_some());
    assert!(server.stop().await.success());

    // as another database would leave it, or this one before it was restored
    let stranger = Uuid::new_v4().to_string();
    let written = shop
        .index()
        .write(&stranger, 1, &json!({"product_id": stranger}))
        .await;
    assert_eq!(written, 201);
    let elsewhere = json!({"position": 3, "event_id": Uuid::new_v4()});
    assert_eq!(
        shop.index().write("progress", 1 << 60, &elsewhere).await,
        200
    );
    let server = shop.serve().await;
    eventually("the index is made anew", PATIENCE, || async {
        server
            .output()
            .contains("made from another history")
            .then_some(())
    })
    .await;
    filled(&shop, &server).await;
    assert_eq!(shop.index().document(&stranger).await, None);
    let before = shop.index().searches().await;
    until_found(&shop.client(&server), &query, &[&lamp, &other]).await;
    assert!(shop.index().searches().await > before);
    shop.close().await;
}

#[tokio::test]
async fn a_write_that_comes_late_does_not_win() {
    let shop = Shop::opening().with_engine_at(&engine_url()).open().await;
    let (one, two) = (shop.serve().await, shop.serve().await);
    let admin = shop.admin(&one).await;
    let region = own_region(&admin).await;
    let lamp = offer(&admin, &region, "Lamp", 100).await;
    filled(&shop, &one).await;
    let index = shop.index();
    let (before, version) = index.document(&lamp).await.unwrap();
    let late = json!({"product_id": lamp, "title": "late"});
    assert_eq!(index.write(&lamp, version - 1, &late).await, 409);
    assert_eq!(index.document(&lamp).await, Some((before, version)));

    // whoever led stands still, another one goes on, and the first comes back
    let leads = |server: &Server| {
        server
            .output()
            .contains("subscription=\"product_search\" epoch")
    };
    let (first, second) = if leads(&one) {
        (&one, &two)
    } else {
        (&two, &one)
    };
    first.pause().await;
    let admin = admin.at(&second.address);
    let path = format!("/api/v1/products/{lamp}");
    let changed = admin.patch(&path, &json!({"title": "Lantern"}));
    let _ = changed.send().await.expect(200);
    filled(&shop, second).await;
    let (_, noted) = index.document("progress").await.unwrap();
    first.resume().await;
    engine_is(&shop, first, "ok").await;
    let _ = offer(&admin, &region, "Lantern, too", 100).await;
    filled(&shop, second).await;
    let (document, _) = index.document(&lamp).await.unwrap();
    assert_eq!(document["title"], "lantern");
    assert!(index.document("progress").await.unwrap().1 > noted);
    shop.close().await;
}

#[tokio::test]
async fn a_product_that_the_engine_refuses_is_parked_and_keeps_no_other_waiting() {
    let shop = Shop::opening().with_engine_at(&engine_url()).open().await;
    // somebody has made the index by hand, and took the sku for a number
    let properties = json!({"sku": {"type": "integer"}, "product_id": {"type": "keyword"}});
    let index = shop.index();
    index.make(&properties).await;
    let start = json!({"position": 0, "event_id": Uuid::nil()});
    assert_eq!(index.write("progress", 0, &start).await, 201);
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let region = own_region(&admin).await;
    let mut ids = Vec::new();
    for sku in ["LAMP", "4711"] {
        let body = new_product(&region, sku, (100, "USD"), 1);
        ids.push(admin.post("/api/v1/products", &body).await.expect(201).id());
    }
    index.filled(shop.head().await).await;
    assert!(index.document(&ids[1]).await.is_some());
    assert_eq!(index.document(&ids[0]).await, None);
    let parked = shop.run(&["projections", "parked"]).await;
    let line = parked.lines().find(|line| line.contains(&ids[0])).unwrap();
    assert!(line.starts_with("product_search"), "{line}");
    assert!(!parked.contains(&ids[1]), "{parked}");
    engine_is(&shop, &server, "ok").await;

    // once the index is as it should be, whatever was parked is tried again
    index.remove().await;
    let changed = admin.patch(
        &format!("/api/v1/products/{}", ids[1]),
        &json!({"title": "Seen"}),
    );
    let _ = changed.send().await.expect(200);
    eventually("nothing is parked", PATIENCE, || async {
        let parked = shop.run(&["projections", "parked"]).await;
        (!parked.contains("product_search")).then_some(())
    })
    .await;
    filled(&shop, &server).await;
    assert!(index.document(&ids[0]).await.is_some());
    shop.close().await;
}

#[tokio::test]
async fn an_engine_that_is_nowhere_keeps_no_server_from_serving_and_settings_of_none_do() {
    let shop = Shop::opening()
        .with_engine_at("http://somebody:a-password@127.0.0.1:9")
        .open()
        .await;
    let server = shop.serve().await;
    engine_is(&shop, &server, "away").await;
    let admin = shop.admin(&server).await;
    let region = own_region(&admin).await;
    let lamp = offer(&admin, &region, "Lamp", 100).await;
    let query = format!("region_id={region}&q=lamp");
    until_found(&shop.client(&server), &query, &[&lamp]).await;
    assert!(!server.output().contains("a-password"));
    for (variable, value) in [
        ("SOUK_SEARCH_URL", "redis://:a-password@127.0.0.1"),
        ("SOUK_SEARCH_PREFIX", "A/B"),
        ("SOUK_SEARCH_TIMEOUT", "0s"),
    ] {
        let refused = shop.try_run(&[(variable, value)], &["serve"]).await;
        assert!(!refused.status.success(), "{variable}");
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(said.contains(variable), "{said}");
        assert!(!said.contains("a-password"), "{said}");
    }
    let plain = shop.serve_with(&[("SOUK_SEARCH_URL", "")]).await;
    engine_is(&shop, &plain, "not_configured").await;
    let _: Value = shop
        .client(&plain)
        .get("/health/ready")
        .await
        .expect(200)
        .json();
    shop.close().await;
}
