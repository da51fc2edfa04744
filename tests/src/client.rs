//! A client of the HTTP interface: asks, logs in, and does what nearly every test does first.
//!
//! The shapes of bodies that many tests send are here and nowhere else.

use std::{collections::BTreeMap, time::Duration};

use eventstore::testing::eventually;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::answer::{Answer, text_of};

/// How long something that follows by itself may take on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A client, logged in or not. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    address: String,
    token: Option<String>,
}

/// A request that is being put together.
pub struct Ask {
    name: String,
    builder: RequestBuilder,
}

impl Client {
    /// A client of the server at this address, not logged in.
    pub fn new(address: &str) -> Self {
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([]) // our servers speak plain HTTP
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_mins(1)) // bounds a test, not the server
            .build()
            .expect("a client");
        Self {
            http,
            address: address.to_owned(),
            token: None,
        }
    }

    /// The same person at another server process.
    #[must_use]
    pub fn at(&self, address: &str) -> Self {
        Self {
            address: address.to_owned(),
            ..self.clone()
        }
    }

    /// The same client with this access token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self {
            token: Some(token.to_owned()),
            ..self.clone()
        }
    }

    /// The same client without a token.
    #[must_use]
    pub fn anonymous(&self) -> Self {
        Self {
            token: None,
            ..self.clone()
        }
    }

    /// Its access token.
    pub fn token(&self) -> &str {
        self.token.as_deref().expect("logged in")
    }

    /// Where its server listens, such as `127.0.0.1:41234`.
    pub fn authority(&self) -> &str {
        self.address.trim_start_matches("http://")
    }

    /// A request by any method. `path` begins with a slash.
    pub fn ask(&self, method: Method, path: &str) -> Ask {
        let name = format!("{method} {path}");
        let mut builder = self.http.request(method, format!("{}{path}", self.address));
        if let Some(token) = &self.token {
            builder = builder.bearer_auth(token);
        }
        Ask { name, builder }
    }

    /// Reads.
    pub async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path).send().await
    }

    /// Sends a body by POST.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.ask(Method::POST, path).json(body).send().await
    }

    /// Sends a body by PUT.
    pub fn put(&self, path: &str, body: &Value) -> Ask {
        self.ask(Method::PUT, path).json(body)
    }

    /// Sends a body by PATCH.
    pub fn patch(&self, path: &str, body: &Value) -> Ask {
        self.ask(Method::PATCH, path).json(body)
    }

    /// Makes an account by the simple client contract, and logs in.
    pub async fn register(&self, name: &str, email: &str, password: &str) -> Self {
        let body = json!({"name": name, "email": email, "password": password});
        let answer = self.post("/api/registration", &body).await;
        assert!((200..300).contains(&answer.status), "{answer}");
        self.log_in(email, password).await
    }

    /// The same client, logged in.
    pub async fn log_in(&self, email: &str, password: &str) -> Self {
        let answer = self
            .post(
                "/api/v1/login",
                &json!({"email": email, "password": password}),
            )
            .await
            .expect(200);
        self.with_token(&text_of(&answer.json()["access_token"]))
    }

    /// The id of the region with this currency.
    pub async fn region(&self, currency: &str) -> String {
        let path = format!("/api/v1/regions?currency={currency}");
        let list = self.get(&path).await.expect(200).json();
        let regions = list["items"].as_array().expect("a list");
        text_of(&regions.first().expect("seeded")["region_id"])
    }

    /// Creates a product for so many cents with some stock in the United States region, and returns its id. As an
    /// admin.
    pub async fn product(&self, cents: i64, stock: u64) -> String {
        let region = self.region("USD").await;
        self.product_in(&region, (cents, "USD"), stock).await
    }

    /// Creates a product with some stock, and returns its id. As an admin.
    pub async fn product_in(&self, region: &str, price: Price<'_>, stock: u64) -> String {
        let sku = Uuid::new_v4().simple().to_string();
        let body = new_product(region, &sku, price, stock);
        self.post("/api/v1/products", &body).await.expect(201).id()
    }

    /// Asks for an order of so many pieces of each product.
    pub async fn order(&self, items: &[(&str, u64)]) -> Answer {
        self.post("/api/v1/orders", &new_order(items)).await
    }

    /// Places an order that is to be paid by this method and can be shipped, and returns its id.
    pub async fn place(&self, items: &[(&str, u64)], method: &str) -> String {
        let mut body = new_order(items);
        body["shipping_address"] = json!("12 Hàng Bạc, Hà Nội");
        body["payment_method"] = json!(method);
        self.post("/api/v1/orders", &body).await.expect(201).id()
    }

    /// Reads an order, once the read model holds it.
    pub async fn read_order(&self, id: &str) -> Value {
        let path = format!("/api/v1/orders/{id}");
        eventually("the order can be read", PATIENCE, || async {
            let answer = self.get(&path).await;
            (answer.status == 200).then(|| answer.json())
        })
        .await
    }

    /// Waits until the order has this payment status, and returns it.
    pub async fn wait_for_payment(&self, id: &str, payment_status: &str) -> Value {
        let path = format!("/api/v1/orders/{id}");
        let what = format!("order {id} is {payment_status}");
        eventually(&what, PATIENCE, || async {
            let answer = self.get(&path).await;
            let order = (answer.status == 200).then(|| answer.json())?;
            (order["payment_status"] == payment_status).then_some(order)
        })
        .await
    }

    /// Waits until the order is paid, and returns it.
    pub async fn wait_until_paid(&self, id: &str) -> Value {
        self.wait_for_payment(id, "paid").await
    }

    /// The stock of a product as the read model tells it at this position: available, reserved, sold.
    pub async fn stock_at(&self, product: &str, position: &str) -> [i64; 3] {
        let path = format!("/api/v1/products/{product}/stock");
        let answer = self
            .ask(Method::GET, &path)
            .min_position(position)
            .send()
            .await
            .expect(200);
        stock_of(&answer.json())
    }

    /// Waits until the stock of a product is this: available, reserved, sold.
    pub async fn wait_for_stock(&self, product: &str, expected: [i64; 3]) {
        let path = format!("/api/v1/products/{product}/stock");
        let what = format!("stock of {product} is {expected:?}");
        eventually(&what, PATIENCE, || async {
            let answer = self.get(&path).await;
            (answer.status == 200 && stock_of(&answer.json()) == expected).then_some(())
        })
        .await;
    }

    /// Puts pieces on the shelf, as an admin. Returns the position token.
    pub async fn restock(&self, product: &str, pieces: u64) -> String {
        let path = format!("/api/v1/products/{product}/stock/receipts");
        let answer = self.post(&path, &json!({"quantity": pieces})).await;
        assert!((200..300).contains(&answer.status), "{answer}");
        answer.position()
    }
}

impl Ask {
    /// With this JSON body.
    #[must_use]
    pub fn json(mut self, body: &Value) -> Self {
        self.builder = self.builder.json(body);
        self
    }

    /// With these bytes as the body, and no content type of its own.
    #[must_use]
    pub fn body(mut self, body: impl Into<reqwest::Body>) -> Self {
        self.builder = self.builder.body(body);
        self
    }

    /// With this header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.builder = self.builder.header(name, value);
        self
    }

    /// With this Idempotency-Key.
    #[must_use]
    pub fn key(self, key: &str) -> Self {
        self.header("idempotency-key", key)
    }

    /// With this If-Match.
    #[must_use]
    pub fn if_match(self, etag: &str) -> Self {
        self.header("if-match", etag)
    }

    /// Not before the read model holds this position.
    #[must_use]
    pub fn min_position(self, position: &str) -> Self {
        self.header("souk-min-position", position)
    }

    /// Sends it, and fails when there is no answer.
    pub async fn send(self) -> Answer {
        let name = self.name.clone();
        self.try_send()
            .await
            .unwrap_or_else(|error| panic!("{name}: {error:?}"))
    }

    /// Sends it. Where there is no answer, why not stands in the body of one with status 0.
    pub async fn send_or_say(self) -> Answer {
        let request = self.name.clone();
        self.try_send().await.unwrap_or_else(|error| Answer {
            request,
            status: 0,
            headers: reqwest::header::HeaderMap::new(),
            body: format!("{error:?}").into(),
        })
    }

    /// Sends it. Without an answer nothing is known of what it did.
    pub async fn try_send(self) -> Result<Answer, reqwest::Error> {
        let response = self.builder.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Answer {
            request: self.name,
            status,
            headers,
            body: response.bytes().await?,
        })
    }
}

/// Body of a new order.
pub fn new_order(items: &[(&str, u64)]) -> Value {
    let items: Vec<Value> = items
        .iter()
        .map(|(id, quantity)| json!({"product_id": id, "quantity": quantity}))
        .collect();
    json!({"items": items})
}

/// Minor units and their currency.
pub type Price<'a> = (i64, &'a str);

/// Body of a new product.
pub fn new_product(region: &str, sku: &str, price: Price<'_>, stock: u64) -> Value {
    let mut body = json!({
        "region_id": region, "sku": sku, "title": format!("Product {sku}"), "description": "For a test.",
        "price": {"amount": price.0, "currency": price.1},
    });
    if stock > 0 {
        body["stock"] = json!(stock);
    }
    body
}

/// Available, reserved and sold pieces in a body that tells stock.
pub fn stock_of(body: &Value) -> [i64; 3] {
    ["available", "reserved", "sold"].map(|name| crate::answer::number_of(&body[name]))
}

/// How often each status and kind of problem was answered, such as `409 insufficient_stock`.
pub fn tally(answers: &[Answer]) -> BTreeMap<String, usize> {
    let mut tally = BTreeMap::new();
    for answer in answers {
        let kind = answer
            .kind()
            .filter(|_| answer.status >= 400)
            .unwrap_or_default();
        *tally
            .entry(format!("{} {kind}", answer.status).trim_end().to_owned())
            .or_default() += 1;
    }
    tally
}
