//! What servers share in a Redis: limits that hold for all of them, and products that are read from there and never
//! older than they may be. Without it, before it comes, and when it dies in the middle, everything works.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use api::{
    config::{RedisConfig, Secret},
    shared::{
        Shared,
        products::{Begun, ProductCache, Stretch},
        tries::Verdict,
    },
};
use domain::ids::ProductId;
use eventstore::position::Position;
use projections::{
    View,
    products::{ProductAsOf, ProductView},
    views::Schema,
};
use reqwest::Method;
use serde_json::json;
use sqlx::Connection;
use tests::{
    answer::{Answer, text_of},
    client::{Client, PATIENCE, new_product},
    eventually,
    own::{
        redis::{OwnRedis, Redis},
        toxiproxy::Toxiproxy,
    },
    server::Server,
    shop::{DEMO_PASSWORD, Shop},
};
use uuid::Uuid;

use crate::erasure::{EMAIL, NAME, Needles};

/// Waits until readiness, which stays green, says this of Redis.
async fn redis_is(shop: &Shop, server: &Server, state: &str) {
    let client = shop.client(server);
    let what = format!("Redis is {state}");
    eventually(&what, PATIENCE, || async {
        let ready = client.get("/health/ready").await.expect(200).json();
        (ready["redis"] == state).then_some(())
    })
    .await;
}

/// A try to log in of nobody, from there.
async fn try_from(shop: &Shop, server: &Server, address: &str) -> Answer {
    let email = format!("{}@example.com", Uuid::new_v4().simple());
    let client = shop.client(server);
    let ask = client.ask(Method::POST, "/api/v1/login");
    ask.header("x-forwarded-for", address)
        .json(&json!({"email": email, "password": "a wrong password"}))
        .send()
        .await
}

/// Fails unless so many more tries are allowed, and then none.
async fn assert_left(shop: &Shop, server: &Server, address: &str, tries: u32) {
    for left in (0..tries).rev() {
        let answer = try_from(shop, server, address).await;
        answer.problem_of(401, "wrong-credentials");
        let told = answer.header("ratelimit").unwrap();
        let expected = format!("\"log-in\";r={left};t=");
        assert!(told.starts_with(&expected), "{told}, not {expected}");
    }
    let refused = try_from(shop, server, address).await;
    refused.problem_of(429, "too-many-tries");
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=3_600).contains(&seconds), "{refused}");
}

fn lines_with(server: &Server, text: &str) -> usize {
    server.output().matches(text).count()
}

#[tokio::test]
async fn a_limit_holds_for_all_servers_and_for_each_of_them_while_redis_is_away() {
    let mut redis = OwnRedis::start().await;
    let shop = Shop::opening()
        .with_redis_at(&redis.url())
        .set("SOUK_RATE_LIMITS", "true")
        .set("SOUK_TRUSTED_PROXIES", "127.0.0.0/8")
        .set("SOUK_LIMIT_LOG_IN", "4/1h")
        .open()
        .await;
    let (one, two) = (shop.serve().await, shop.serve().await);
    for server in [&one, &two] {
        redis_is(&shop, server, "ok").await;
    }
    let product = shop.admin(&one).await.product(100, 10).await;
    let product = format!("/api/v1/products/{product}");
    for _ in 0..2 {
        let tried = try_from(&shop, &one, "192.0.2.1").await;
        tried.problem_of(401, "wrong-credentials");
    }
    assert_left(&shop, &two, "192.0.2.1", 2).await;
    assert_left(&shop, &one, "192.0.2.1", 0).await;

    redis.kill().await;
    for server in [&one, &two] {
        redis_is(&shop, server, "away").await;
        let _ = shop.client(server).get(&product).await.expect(200);
        assert_left(&shop, server, "192.0.2.2", 4).await;
        // each knows of those that it has seen itself
        assert_left(&shop, server, "192.0.2.1", 2).await;
        assert_eq!(lines_with(server, "Redis is away"), 1);
    }
    assert_left(&shop, &one, "192.0.2.4", 4).await;

    redis.go_on().await;
    for server in [&one, &two] {
        redis_is(&shop, server, "ok").await;
        let _ = shop.client(server).get(&product).await.expect(200);
    }
    let tried = try_from(&shop, &two, "192.0.2.3").await;
    tried.problem_of(401, "wrong-credentials");
    assert_left(&shop, &one, "192.0.2.3", 3).await;
    assert_left(&shop, &two, "192.0.2.3", 0).await;
    // it came back empty, which gives nobody more than each server would
    assert_left(&shop, &one, "192.0.2.2", 0).await;
    // what one refuses by itself is not taken from what all allow
    for _ in 0..4 {
        assert_left(&shop, &one, "192.0.2.4", 0).await;
    }
    assert_left(&shop, &two, "192.0.2.4", 4).await;
    shop.close().await;
}

#[tokio::test]
async fn a_redis_that_is_nowhere_keeps_no_server_from_serving_and_an_address_of_none_does() {
    let shop = Shop::opening()
        .with_redis_at("redis://:a-password@127.0.0.1:9")
        .open()
        .await;
    let server = shop.serve().await;
    redis_is(&shop, &server, "away").await;
    let admin = shop.admin(&server).await;
    let product = admin.product(100, 10).await;
    let position = admin.restock(&product, 5).await;
    assert_eq!(admin.stock_at(&product, &position).await, [15, 0, 0]);
    let refused = shop
        .try_run(
            &[("SOUK_REDIS_URL", "http://:a-password@127.0.0.1")],
            &["serve"],
        )
        .await;
    assert!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("SOUK_REDIS_URL"), "{said}");
    assert!(!said.contains("a-password"), "{said}");
    assert!(!server.output().contains("a-password"));
    let other = Shop::open().await;
    redis_is(&other, &other.serve().await, "not_configured").await;
    other.close().await;
    shop.close().await;
}

/// Reads the product until Redis holds it as it is.
async fn until_kept(shop: &Shop, redis: &Redis, client: &Client, product: &str) {
    let (path, key) = (
        format!("/api/v1/products/{product}"),
        format!("{}:*:product:{product}", shop.prefix),
    );
    eventually("the product is kept", PATIENCE, || async {
        if client.get(&path).await.status != 200 {
            return None; // the read model has not heard of it
        }
        let kept = redis.contents(&key).await;
        let fields = kept.values().next()?;
        fields.iter().any(|field| field == "value").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_product_that_one_server_has_read_is_served_by_the_other_without_the_read_model() {
    let redis = Redis::find().await;
    let shop = Shop::opening().with_redis_at(redis.url()).open().await;
    let (one, two) = (shop.serve().await, shop.serve().await);
    for server in [&one, &two] {
        redis_is(&shop, server, "ok").await;
    }
    let admin = shop.admin(&one).await;
    let product = admin.product(100, 10).await;
    let position = admin.restock(&product, 5).await;
    let _ = admin.stock_at(&product, &position).await;
    until_kept(&shop, &redis, &admin, &product).await;

    let path = format!("/api/v1/products/{product}");
    let read = admin.get(&path).await.expect(200);
    let schema = View::Products.schema();
    let mut connection = shop.database().connect().await;
    let mut locked = connection.begin().await.unwrap();
    sqlx::query(&format!(
        "lock table {schema}.products, {schema}.stock in access exclusive mode"
    ))
    .execute(&mut *locked)
    .await
    .unwrap();
    let other = shop.client(&two);
    let plain = other.get(&path).await.expect(200);
    let since = other.ask(Method::GET, &path).min_position(&position);
    let since = since.send().await.expect(200);
    let stock = other.get(&format!("{path}/stock")).await.expect(200);
    locked.rollback().await.unwrap();
    for answer in [plain, since] {
        assert_eq!(answer.json(), read.json());
        assert_eq!(answer.etag(), read.etag());
    }
    assert_eq!(stock.json()["available"], 15);
    shop.close().await;
}

/// Readers of one product at some servers, who never stop, so that there is always somebody who keeps what is old.
struct Readers {
    ended: Arc<AtomicBool>,
    reads: Arc<AtomicU64>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Readers {
    fn start(shop: &Shop, servers: &[&Server], path: &str) -> Self {
        let (ended, reads) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let read = |client: Client| {
            let (ended, reads, path) = (ended.clone(), reads.clone(), path.to_owned());
            async move {
                while !ended.load(Ordering::Relaxed) {
                    let _ = client.get(&path).await.expect(200);
                    reads.fetch_add(1, Ordering::Relaxed);
                }
            }
        };
        let clients = servers.iter().map(|server| shop.client(server));
        let tasks = clients.map(|client| tokio::spawn(read(client))).collect();
        Self {
            ended,
            reads,
            tasks,
        }
    }

    async fn end(self) -> u64 {
        self.ended.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.unwrap();
        }
        self.reads.load(Ordering::Relaxed)
    }
}

#[tokio::test]
async fn databases_that_use_one_redis_under_one_prefix_share_nothing() {
    let redis = Redis::find().await;
    let opening = |prefix: &str| {
        Shop::opening()
            .with_redis_at(redis.url())
            .set("SOUK_REDIS_PREFIX", prefix)
            .set(
                "SOUK_MASTER_KEY",
                "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
            )
            .set("SOUK_RATE_LIMITS", "true")
            .set("SOUK_TRUSTED_PROXIES", "127.0.0.0/8")
            .set("SOUK_LIMIT_LOG_IN", "4/1h")
    };
    let prefix = format!("test-{}", Uuid::new_v4().simple());
    let (one, other) = (opening(&prefix).open().await, opening(&prefix).open().await);
    let (server, others) = (one.serve().await, other.serve().await);
    redis_is(&one, &server, "ok").await;
    redis_is(&other, &others, "ok").await;
    assert_left(&one, &server, "192.0.2.1", 4).await;
    assert_left(&other, &others, "192.0.2.1", 4).await;

    // products that the seed has made in both, with the same ids
    let admin = one.admin(&server).await;
    let first = "/api/v1/products?sort=title&limit=1";
    let first = admin.get(first).await.expect(200).json();
    let id = text_of(&first["items"][0]["product_id"]);
    let path = format!("/api/v1/products/{id}");
    let rename = json!({"title": "Renamed here"});
    let _ = admin.patch(&path, &rename).send().await.expect(200);
    let same = other.client(&others);
    let title = same.get(&path).await.expect(200).json()["title"].clone();
    let read = async |client: &Client| client.get(&path).await.expect(200).json()["title"].clone();
    eventually("both databases keep the product", PATIENCE, || async {
        let (_, theirs) = (read(&admin).await, read(&same).await);
        assert_eq!(theirs, title);
        let kept = redis.contents(&format!("{prefix}:*:product:{id}")).await;
        let rows = kept
            .values()
            .filter(|fields| fields.iter().any(|field| field == "value"));
        (rows.count() == 2).then_some(())
    })
    .await;
    assert_eq!(read(&admin).await, "Renamed here");
    assert_eq!(read(&same).await, title);
    one.close().await;
    other.close().await;
}

#[tokio::test]
async fn what_is_changed_at_one_server_is_read_at_the_other() {
    const CHANGES: usize = 20;
    let redis = Redis::find().await;
    let shop = Shop::opening().with_redis_at(redis.url()).open().await;
    let (one, two) = (shop.serve().await, shop.serve().await);
    for server in [&one, &two] {
        redis_is(&shop, server, "ok").await;
    }
    let admin = shop.admin(&one).await;
    let product = admin.product(100, 10).await;
    until_kept(&shop, &redis, &admin, &product).await;
    let path = format!("/api/v1/products/{product}");
    let reader = shop.client(&two);
    let readers = Readers::start(&shop, &[&one, &two], &path);
    let mut in_time = 0;
    for change in 0..CHANGES {
        let title = format!("Title {change}");
        let changed = admin.patch(&path, &json!({"title": title})).send().await;
        let (changed, since) = (changed.expect(200), Instant::now());
        let read = reader.ask(Method::GET, &path);
        let read = read.min_position(&changed.position()).send().await;
        assert_eq!(read.expect(200).json()["title"], title.as_str());
        eventually(
            "the change is seen without a position",
            PATIENCE,
            || async {
                let read = reader.get(&path).await.expect(200);
                (read.json()["title"] == title.as_str()).then_some(())
            },
        )
        .await;
        in_time += usize::from(since.elapsed() < Duration::from_millis(250));
        let position = admin.restock(&product, 1).await;
        let stock = reader.stock_at(&product, &position).await;
        assert_eq!(stock, [11 + change as i64, 0, 0]);
    }
    // a busy machine may take longer once in a while
    assert!(in_time * 10 >= CHANGES * 8, "{in_time} of {CHANGES}");
    assert!(readers.end().await > 0);
    until_kept(&shop, &redis, &admin, &product).await;
    for _ in 0..20 {
        for server in [&one, &two] {
            let read = shop.client(server).get(&path).await.expect(200).json();
            assert_eq!(read["title"], format!("Title {}", CHANGES - 1));
            assert_eq!(read["stock"]["available"], 10 + CHANGES);
        }
    }
    shop.close().await;
}

#[tokio::test]
async fn the_products_of_a_shop_that_was_closed_are_shown_by_no_server() {
    let redis = Redis::find().await;
    let shop = Shop::opening().with_redis_at(redis.url()).open().await;
    let (one, two) = (shop.serve().await, shop.serve().await);
    let owner = shop.customer(&one).await;
    let hats = json!({"title": "Hats"});
    let shop_id = owner.post("/api/v1/shops", &hats).await.expect(201).id();
    let sku = Uuid::new_v4().simple().to_string();
    let region = owner.region("USD").await;
    let mut body = new_product(&region, &sku, (1_000, "USD"), 10);
    body["shop_id"] = json!(shop_id);
    let offered = owner.post("/api/v1/products", &body).await.expect(201);
    let (product, position) = (offered.id(), offered.position());
    let _ = owner.stock_at(&product, &position).await;
    until_kept(&shop, &redis, &owner, &product).await;
    let closing = owner.ask(Method::DELETE, &format!("/api/v1/shops/{shop_id}"));
    let closed = closing.send().await;
    let path = format!("/api/v1/products/{product}");
    for server in [&one, &two] {
        let client = shop.client(server);
        let read = client.ask(Method::GET, &path);
        let read = read.min_position(&closed.position()).send().await;
        read.problem(404);
        eventually("it is shown no more", PATIENCE, || async {
            (client.get(&path).await.status == 404).then_some(())
        })
        .await;
        client.get(&path).await.problem(404);
    }
    shop.close().await;
}

#[tokio::test]
async fn a_redis_that_dies_and_comes_back_empty_is_used_again_and_tells_nothing_old() {
    let mut redis = OwnRedis::start().await;
    let shop = Shop::opening().with_redis_at(&redis.url()).open().await;
    let server = shop.serve().await;
    redis_is(&shop, &server, "ok").await;
    let admin = shop.admin(&server).await;
    let product = admin.product(100, 10).await;
    let path = format!("/api/v1/products/{product}");
    let mut expected = 10;
    for _ in 0..3 {
        redis.kill().await;
        expected += 1;
        let position = admin.restock(&product, 1).await;
        assert_eq!(admin.stock_at(&product, &position).await[0], expected);
        redis.go_on().await;
        redis_is(&shop, &server, "ok").await;
        eventually("it is kept again", PATIENCE, || async {
            let read = admin.get(&path).await.expect(200).json();
            assert_eq!(read["stock"]["available"], expected);
            let mut connection = shop.database().connect().await;
            let mut locked = connection.begin().await.unwrap();
            let schema = View::Products.schema();
            sqlx::query(&format!(
                "lock table {schema}.products in access exclusive mode"
            ))
            .execute(&mut *locked)
            .await
            .unwrap();
            let read = tokio::time::timeout(Duration::from_millis(500), admin.get(&path));
            read.await.ok().map(|read| {
                assert_eq!(read.expect(200).json()["stock"]["available"], expected);
            })
        })
        .await;
    }
    shop.close().await;
}

#[tokio::test]
async fn a_redis_over_tls_is_used_by_who_trusts_its_certificate() {
    let redis = OwnRedis::start_with_tls().await;
    let shop = Shop::opening()
        .with_redis_at(&redis.url())
        .set("SOUK_RATE_LIMITS", "true")
        .set("SOUK_TRUSTED_PROXIES", "127.0.0.0/8")
        .set("SOUK_LIMIT_LOG_IN", "4/1h")
        .open()
        .await;
    let authority = redis.authority().display().to_string();
    let trusting = [("SSL_CERT_FILE", &*authority)];
    let one = shop.serve_with(&trusting).await;
    let two = shop.serve_with(&trusting).await;
    let stranger = shop.serve().await;
    for server in [&one, &two] {
        redis_is(&shop, server, "ok").await;
    }
    let tried = try_from(&shop, &one, "192.0.2.1").await;
    tried.problem_of(401, "wrong-credentials");
    assert_left(&shop, &two, "192.0.2.1", 3).await;
    assert_eq!(lines_with(&two, "Redis is away"), 0);
    eventually("the stranger has tried", PATIENCE, || async {
        (lines_with(&stranger, "Redis is away") == 1).then_some(())
    })
    .await;
    redis_is(&shop, &stranger, "away").await;
    assert_left(&shop, &stranger, "192.0.2.1", 4).await;
    shop.close().await;
}

#[tokio::test]
async fn a_redis_that_answers_too_late_is_left_alone_until_it_is_quick_again() {
    let redis = OwnRedis::start().await;
    let shop = Shop::open().await;
    let way = Toxiproxy::start(redis.address(), shop.folder()).await;
    let url = format!("redis://{}", way.address());
    let server = shop.serve_with(&[("SOUK_REDIS_URL", &url)]).await;
    redis_is(&shop, &server, "ok").await;
    let admin = shop.admin(&server).await;
    let product = admin.product(100, 10).await;
    let path = format!("/api/v1/products/{product}");
    let late = json!({"latency": 200});
    way.put("late", "latency", "downstream", &late).await;
    redis_is(&shop, &server, "away").await;
    let since = Instant::now();
    // longer than it takes to try it again some times
    while since.elapsed() < Duration::from_secs(3) {
        eventually("the read model knows it", PATIENCE, || async {
            (admin.get(&path).await.status == 200).then_some(())
        })
        .await;
    }
    assert_eq!(lines_with(&server, "Redis is there"), 1);
    assert_eq!(lines_with(&server, "Redis is away"), 1);
    way.take("late").await;
    redis_is(&shop, &server, "ok").await;
    assert_eq!(lines_with(&server, "Redis is there"), 2);
    shop.close().await;
}

#[tokio::test]
async fn nothing_personal_is_kept_in_redis() {
    const ADDRESS: &str = "198.51.100.177";
    let redis = Redis::find().await;
    let shop = Shop::opening()
        .with_redis_at(redis.url())
        .set("SOUK_RATE_LIMITS", "true")
        .set("SOUK_TRUSTED_PROXIES", "127.0.0.0/8")
        .set("SOUK_LIMIT_LOG_IN", "30/1h") // what is counted stays there for some minutes
        .open()
        .await;
    let server = shop.serve().await;
    redis_is(&shop, &server, "ok").await;
    let product = shop.admin(&server).await.product(100, 10).await;
    let client = shop.client(&server);
    let customer = client.register(NAME, EMAIL, DEMO_PASSWORD).await;
    let wrong = json!({"email": EMAIL, "password": "a wrong password"});
    let ask = client.ask(Method::POST, "/api/v1/login").json(&wrong);
    let _ = ask.header("x-forwarded-for", ADDRESS).send().await;
    let reset = json!({"email": EMAIL});
    let reset = client.post("/api/v1/password-resets", &reset).await;
    let _ = reset.expect(202);
    let _ = customer.order(&[(&product, 1)]).await.expect(201);
    until_kept(&shop, &redis, &customer, &product).await;

    let contents = redis.contents(&shop.prefix).await;
    let kept = |part: &str| contents.keys().any(|key| key.contains(part));
    for part in [":tries:log-in:", ":tries:codes-account:", ":product:"] {
        assert!(kept(part), "{part} {contents:?}");
    }
    let told = format!("{contents:?}");
    assert_eq!(Needles::new().found_in(&told), None, "{told}");
    assert!(!told.contains(ADDRESS) && !told.contains("127.0.0.1"));
    shop.close().await;
}

/// What a server has of a Redis, under keys of its own.
async fn shared(url: &str) -> Shared {
    let config = RedisConfig {
        redis_url: Some(Secret::from(url.to_owned())),
        redis_prefix: format!("test-{}", Uuid::new_v4().simple()),
        redis_timeout: Duration::from_secs(5),
    };
    let client = config.client().unwrap().unwrap();
    let secret = Secret::from("secret".to_owned());
    let shared = Shared::start(client, &config, "a-database", &secret);
    eventually("Redis is there", PATIENCE, || async {
        shared.is_there().then_some(())
    })
    .await;
    shared
}

/// A product as it was read at this position; its sequence tells how many changes of it were in it.
fn read_at(position: i64, id: ProductId, changes: i64) -> ProductAsOf {
    let product: ProductView = serde_json::from_value(json!({
        "product_id": id, "region_id": Uuid::nil(), "sku": "A", "title": "A", "description": "", "image_url": null,
        "price": {"amount": 1, "currency": "USD"}, "shop_id": null, "category_id": null, "kind": null,
        "attributes": {}, "deleted": false, "shop_closed": false, "sequence": changes,
        "stock": {"available": 1, "reserved": 0, "sold": 0, "threshold": 0, "sequence": 1, "updated_at": null},
        "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
    }))
    .unwrap();
    ProductAsOf {
        product,
        position: Position(position),
        parked: false,
    }
}

/// A cache in which one product is looked for.
struct Scene {
    cache: ProductCache,
    schema: Schema,
    id: ProductId,
}

impl Scene {
    async fn new(url: &str) -> Self {
        Self {
            cache: shared(url).await.products(),
            schema: View::Products.schema(),
            id: ProductId(Uuid::new_v4()),
        }
    }

    async fn keep(&self, position: i64) -> bool {
        let read = read_at(position, self.id, position);
        self.cache.keep(&self.schema, &read).await
    }

    /// At which position what is found was read, if it holds all up to `least`.
    async fn look(&self, least: i64) -> Option<i64> {
        let found = self.cache.look(&self.schema, self.id, Position(least));
        found.await.map(|product| product.sequence)
    }

    async fn change(&self, generation: &str, after: i64, to: i64) -> bool {
        let changed = BTreeMap::from([(self.id.0, Position(to))]);
        let stretch = Stretch {
            after: Position(after),
            to: Position(to),
            floor: Position(10),
        };
        self.cache.take_out(generation, stretch, &changed).await
    }
}

#[tokio::test]
async fn a_row_that_was_read_before_a_change_is_not_kept_after_it() {
    let redis = Redis::find().await;
    let scene = Scene::new(redis.url()).await;
    assert!(!scene.keep(10).await, "nobody would take it out");
    assert_eq!(
        scene.cache.begin("first", 1, Position(10)).await,
        Begun::Yes
    );
    assert!(scene.keep(10).await);
    assert_eq!(scene.look(0).await, Some(10));
    assert!(scene.change("first", 10, 12).await);
    assert_eq!(scene.look(0).await, None);
    assert!(!scene.keep(11).await, "the change is not in it");
    assert_eq!(scene.look(0).await, None);
    assert!(scene.keep(12).await);
    assert!(!scene.keep(11).await, "a later one is there");
    assert_eq!(scene.look(12).await, Some(12));
    assert_eq!(scene.look(13).await, None, "nobody has looked that far");

    // the read model may be ahead of what is taken out
    assert!(scene.keep(15).await);
    assert!(scene.change("first", 12, 14).await);
    assert_eq!(scene.look(15).await, Some(15));
    let unchanged = BTreeMap::new();
    let stretch = Stretch {
        after: Position(14),
        to: Position(20),
        floor: Position(12),
    };
    let taken_out = scene.cache.take_out("first", stretch, &unchanged).await;
    assert!(taken_out);
    assert_eq!(scene.look(20).await, Some(15), "nothing has happened to it");
    let other = ProductId(Uuid::new_v4());
    let old = read_at(11, other, 1);
    assert!(
        !scene.cache.keep(&scene.schema, &old).await,
        "before the floor"
    );
    let mut parked = read_at(20, other, 1);
    parked.parked = true;
    assert!(!scene.cache.keep(&scene.schema, &parked).await);
    let rebuilt = View::Products.beside(1);
    let found = scene.cache.look(&rebuilt, scene.id, Position::START).await;
    assert!(found.is_none(), "of another schema");
}

#[tokio::test]
async fn what_redis_has_lost_or_another_has_begun_is_not_gone_on_with() {
    let redis = Redis::find().await;
    let scene = Scene::new(redis.url()).await;
    assert_eq!(
        scene.cache.begin("first", 1, Position(10)).await,
        Begun::Yes
    );
    assert!(scene.keep(10).await);
    assert!(!scene.change("first", 11, 12).await, "a stretch is missing");
    assert!(!scene.cache.renew("first", Position(11), Position(10)).await);
    assert!(scene.cache.renew("first", Position(10), Position(10)).await);
    assert_eq!(scene.look(0).await, Some(10));
    assert_eq!(
        scene.cache.begin("second", 1, Position(10)).await,
        Begun::Yes
    );
    assert_eq!(scene.look(0).await, None, "kept before it began");
    assert!(!scene.change("first", 10, 12).await);
    assert!(!scene.cache.renew("first", Position(10), Position(10)).await);
    assert!(!scene.cache.end("first").await);
    assert!(scene.keep(10).await);
    assert!(scene.cache.end("second").await);
    assert_eq!(scene.look(0).await, None);
    assert!(!scene.keep(10).await);

    assert_eq!(
        scene.cache.begin("third", 1, Position(10)).await,
        Begun::Yes
    );
    assert!(scene.keep(10).await);
    eventually(
        "it is not renewed, and counts no more",
        PATIENCE,
        || async { scene.look(0).await.is_none().then_some(()) },
    )
    .await;
    assert!(!scene.change("third", 10, 12).await);
}

#[tokio::test]
async fn a_leader_that_was_paused_does_not_bring_its_generation_back() {
    let redis = Redis::find().await;
    let scene = Scene::new(redis.url()).await;
    let begin = async |generation, epoch| scene.cache.begin(generation, epoch, Position(10)).await;
    assert_eq!(begin("paused", 1).await, Begun::Yes);
    assert_eq!(begin("later", 2).await, Begun::Yes);
    assert!(scene.keep(10).await);
    assert!(
        !scene
            .cache
            .renew("paused", Position(10), Position(10))
            .await
    );
    assert_eq!(begin("paused again", 1).await, Begun::Overtaken);
    assert_eq!(scene.look(0).await, Some(10), "the later one goes on");
    assert_eq!(begin("the same leads again", 2).await, Begun::Yes);
    assert_eq!(scene.look(0).await, None);
}

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// A log of changes of three products, a read model that follows it, readers that are slow, and what takes out: each does
/// its next step when it likes.
struct World {
    products: [ProductId; 3],
    /// Which product each event changes, from position 1.
    log: Vec<usize>,
    read_model: usize,
    taken_out: usize,
    /// Read, and not kept yet.
    pending: Vec<ProductAsOf>,
}

impl World {
    /// How many changes of it there are up to a position.
    fn changes(&self, product: usize, position: usize) -> i64 {
        let changes = self.log[..position].iter();
        changes.filter(|changed| **changed == product).count() as i64
    }

    fn read(&mut self, product: usize) {
        let changes = self.changes(product, self.read_model);
        let position = self.read_model as i64;
        let read = read_at(position, self.products[product], changes);
        self.pending.push(read);
    }

    async fn take_out(&mut self, cache: &ProductCache, to: usize) {
        let from = self.taken_out;
        let changed = (from..to)
            .map(|index| {
                let id = self.products[self.log[index]];
                (id.0, Position(index as i64 + 1))
            })
            .collect();
        let stretch = Stretch {
            after: Position(from as i64),
            to: Position(to as i64),
            floor: Position(from.saturating_sub(8) as i64),
        };
        assert!(cache.take_out("one", stretch, &changed).await);
        self.taken_out = to;
    }
}

#[tokio::test]
async fn whoever_comes_first_nothing_is_found_that_is_older_than_what_was_taken_out() {
    let redis = Redis::find().await;
    let shared = shared(redis.url()).await;
    let (cache, schema) = (shared.products(), View::Products.schema());
    let (mut numbers, mut found) = (Numbers(0x5eed_5eed), 0);
    let mut world = World {
        products: [(); 3].map(|()| ProductId(Uuid::new_v4())),
        log: Vec::new(),
        read_model: 0,
        taken_out: 0,
        pending: Vec::new(),
    };
    assert_eq!(cache.begin("one", 1, Position::START).await, Begun::Yes);
    for step in 0..3_000 {
        let product = numbers.below(3) as usize;
        match numbers.below(9) {
            0 => world.log.push(product),
            1 => {
                let behind = world.log.len() - world.read_model;
                world.read_model += numbers.below(behind as u64 + 1) as usize;
            }
            2 | 3 => world.read(product),
            4 | 5 if !world.pending.is_empty() => {
                let which = numbers.below(world.pending.len() as u64) as usize;
                let read = world.pending.swap_remove(which);
                cache.keep(&schema, &read).await;
            }
            6 => {
                let behind = world.log.len() - world.taken_out;
                let to = world.taken_out + numbers.below(behind as u64 + 1) as usize;
                world.take_out(&cache, to).await;
            }
            _ => {
                let id = world.products[product];
                let Some(row) = cache.look(&schema, id, Position::START).await else {
                    continue;
                };
                found += 1;
                let least = world.changes(product, world.taken_out);
                assert!(
                    row.sequence >= least,
                    "step {step}: {} < {least}",
                    row.sequence
                );
                let at = Position(world.taken_out as i64);
                let known = cache.look(&schema, id, at).await;
                assert!(known.is_some(), "step {step}: it holds all up to there");
            }
        }
        if step % 100 == 0 {
            let at = Position(world.taken_out as i64);
            let floor = Position(world.taken_out.saturating_sub(8) as i64);
            assert!(cache.renew("one", at, floor).await);
        }
    }
    assert!(found > 100, "{found}");
}

#[tokio::test]
async fn tries_at_once_are_counted_one_by_one_and_are_given_again_with_time() {
    let redis = Redis::find().await;
    let shared = shared(redis.url()).await;
    let tries = shared.tries();
    let limit = "10/1h".parse().unwrap();
    let all = (0..30).map(|_| tries.spend("log-in", "somebody", limit));
    let verdicts = futures::future::join_all(all).await;
    let mut left: Vec<u32> = Vec::new();
    for verdict in verdicts {
        match verdict.expect("Redis answers") {
            Verdict::Allowed { remaining } => left.push(remaining),
            Verdict::Refused { wait } => {
                let six = Duration::from_mins(6);
                assert!(wait <= six && wait > Duration::from_mins(5), "{wait:?}");
            }
        }
    }
    left.sort_unstable();
    assert_eq!(left, (0..10).collect::<Vec<_>>());
    let other = tries.spend("log-in", "somebody else", limit).await;
    assert_eq!(other, Some(Verdict::Allowed { remaining: 9 }));
    let other = tries.spend("codes", "somebody", limit).await;
    assert_eq!(other, Some(Verdict::Allowed { remaining: 9 }));
    let quick = "1/1s".parse().unwrap();
    let first = tries.spend("refresh", "somebody", quick).await;
    assert_eq!(first, Some(Verdict::Allowed { remaining: 0 }));
    let again = tries.spend("refresh", "somebody", quick).await;
    assert!(matches!(again, Some(Verdict::Refused { .. })), "{again:?}");
    eventually("it is given again", PATIENCE, || async {
        let again = tries.spend("refresh", "somebody", quick).await;
        matches!(again, Some(Verdict::Allowed { .. })).then_some(())
    })
    .await;
}
