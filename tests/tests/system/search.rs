//! Searching products over HTTP: as shoppers type, page by page, and whatever else may come as a text.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    answer::{Answer, text_of},
    client::{Client, new_product},
    shop::Shop,
};

/// Makes products of these titles in this region; returns the position of the last one.
async fn offer(admin: &Client, region: &str, titles: &[&str]) -> String {
    let mut position = String::new();
    for (number, title) in titles.iter().enumerate() {
        let price = (100 * (number as i64 + 1), "USD");
        let mut body = new_product(region, &format!("S-{number}"), price, 1);
        body["title"] = json!(title);
        position = admin
            .post("/api/v1/products", &body)
            .await
            .expect(201)
            .position();
    }
    position
}

/// Where nothing is sold yet.
async fn own_region(admin: &Client) -> String {
    let body = json!({
        "title": "Elsewhere", "country": "US", "currency": "USD", "tax_rate": 0, "default_for_currency": false,
    });
    admin.post("/api/v1/regions", &body).await.expect(201).id()
}

fn titles(answer: &Answer) -> Vec<String> {
    let body = answer.json();
    let items = body["items"].as_array().expect("a list");
    items.iter().map(|item| text_of(&item["title"])).collect()
}

#[tokio::test]
async fn shoppers_find_what_they_type_by_relevance_or_by_price() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let all = [
        "Áo dài lụa đỏ",
        "Áo dài",
        "Letter opener",
        "Opener for letters and parcels",
    ];
    let region = own_region(&admin).await;
    let position = offer(&admin, &region, &all).await;
    let anybody = admin.anonymous();
    let search = async |query: &str| {
        let path = format!("/api/v1/products?region_id={region}&{query}");
        let ask = anybody.ask(Method::GET, &path).min_position(&position);
        titles(&ask.send().await.expect(200))
    };
    assert_eq!(search("q=ao+dai").await, ["Áo dài", "Áo dài lụa đỏ"]);
    assert_eq!(
        search("q=ao+dai&sort=-relevance").await,
        ["Áo dài lụa đỏ", "Áo dài"]
    );
    assert_eq!(
        search("q=ao+dai&sort=price").await,
        ["Áo dài lụa đỏ", "Áo dài"]
    );
    assert_eq!(
        search("q=ao+dai&currency=USD&price[gte]=200").await,
        ["Áo dài"]
    );
    assert_eq!(search("q=ao+dai+-lua").await, ["Áo dài"]);
    assert_eq!(
        search("q=opener+lett").await,
        ["Letter opener", "Opener for letters and parcels"]
    );
    assert_eq!(search("q=leter+opener").await, ["Letter opener"]);
    assert_eq!(
        search("q=%22letters+and%22").await,
        ["Opener for letters and parcels"]
    );
    shop.close().await;
}

#[tokio::test]
async fn a_search_goes_on_where_its_page_ended_and_knows_its_own_cursors_only() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let all: Vec<String> = (0..7).map(|n| format!("Lamp{}", " x".repeat(n))).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let region = own_region(&admin).await;
    let position = offer(&admin, &region, &all).await;
    let first = format!("/api/v1/products?region_id={region}&q=lamp&limit=3");
    let answer = admin
        .ask(Method::GET, &first)
        .min_position(&position)
        .send()
        .await
        .expect(200);
    let mut seen = titles(&answer);
    let cursor = text_of(&answer.json()["next_cursor"]);
    let mut page = answer;
    while let Some(link) = page.header("link") {
        assert!(link.contains("q=lamp"), "{link}");
        let path = link
            .trim_start_matches('<')
            .split('>')
            .next()
            .unwrap()
            .to_owned();
        page = admin.get(&path).await.expect(200);
        seen.extend(titles(&page));
    }
    assert_eq!(seen, all);
    assert_eq!(page.json()["next_cursor"], Value::Null);
    for other in ["sort=price", "sort=-relevance"] {
        let path = format!("{first}&{other}&cursor={cursor}");
        let problem = admin.get(&path).await.problem(400);
        assert_eq!(problem["errors"][0]["parameter"], "cursor", "{problem}");
    }
    shop.close().await;
}

#[tokio::test]
async fn any_text_has_a_clear_answer() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let region = own_region(&admin).await;
    let position = offer(&admin, &region, &["Lamp"]).await;
    let _ = admin
        .ask(Method::GET, "/api/v1/products?q=lamp")
        .min_position(&position)
        .send()
        .await
        .expect(200);
    let long = "a".repeat(10_000);
    for bad in ["", "%00", "...", "-lamp", "%22%22", &long] {
        let problem = admin
            .get(&format!("/api/v1/products?q={bad}"))
            .await
            .problem(400);
        assert_eq!(problem["errors"][0]["parameter"], "q", "{problem}");
    }
    let problem = admin
        .get("/api/v1/products?sort=relevance")
        .await
        .problem(400);
    assert_eq!(problem["errors"][0]["parameter"], "sort", "{problem}");
    for odd in [
        "'",
        "lamp'",
        "a%27%3A%2A",
        "%5C",
        "a+%26+%7C+%21b",
        "%F0%9F%9B%8B",
        "lamp%00",
        "a%3A%2A%3AA",
        "%28%28",
    ] {
        for sort in ["relevance", "-price", "title", "created_at"] {
            let answer = admin
                .get(&format!("/api/v1/products?q={odd}&sort={sort}"))
                .await;
            assert!([200, 400].contains(&answer.status), "{odd}: {answer}");
        }
    }
    shop.close().await;
}
