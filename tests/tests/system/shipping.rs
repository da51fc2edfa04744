//! Shipping over HTTP: by lines, once, by whoever may; what sellers see of orders, and what becomes of the rest.

use std::slice::from_ref;

use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    answer::{Answer, text_of},
    client::{Client, new_order},
    shop::Shop,
};
use uuid::Uuid;

use crate::{
    erasure::{assert_nameless, close, erased_at, event_of, user_id},
    payment::refunds,
    stalls::{Stalls, make_seller},
};

async fn ship(client: &Client, order: &str, body: &Value) -> Answer {
    let path = format!("/api/v1/orders/{order}/shipments");
    client.post(&path, body).await
}

async fn deliver(client: &Client, order: &str) -> Answer {
    let path = format!("/api/v1/orders/{order}/deliver");
    client.ask(Method::POST, &path).send().await
}

async fn cancel(client: &Client, order: &str) -> Answer {
    let path = format!("/api/v1/orders/{order}/cancel");
    client.post(&path, &json!({})).await
}

fn pieces(line: u32, quantity: u32) -> Value {
    json!({"lines": [{"line": line, "quantity": quantity}]})
}

/// The products of the lines that a body shows.
fn products_in(order: &Value) -> Vec<String> {
    let items = order["items"].as_array().expect("items");
    items
        .iter()
        .map(|item| text_of(&item["product_id"]))
        .collect()
}

#[tokio::test]
async fn an_order_without_an_address_gets_one_before_it_is_shipped() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    // what costs nothing is paid at once
    let tea = admin.product(0, 5).await;
    let customer = shop.customer(&server).await;
    let order = customer.order(&[(&tea, 1)]).await.expect(201).id();
    let read = customer.read_order(&order).await;
    assert_eq!(read["shipping_address"], "");
    let refused = ship(&admin, &order, &json!({})).await;
    refused.problem_of(409, "conflict");

    let path = format!("/api/v1/orders/{order}");
    let address = json!({"shipping_address": "1 Tràng Tiền, Hà Nội"});
    let _ = customer.patch(&path, &address).send().await.expect(200);
    let shipped = ship(&admin, &order, &json!({})).await.expect(200);
    assert_eq!(shipped.json()["status"], "shipped");
    shop.close().await;
}

#[tokio::test]
async fn an_order_is_shipped_piece_by_piece_and_arrives() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    // what costs nothing is paid at once
    let (tea, cup) = (admin.product(0, 5).await, admin.product(0, 5).await);
    let customer = shop.customer(&server).await;
    let order = customer.place(&[(&tea, 3), (&cup, 1)], "default").await;

    let shipped = ship(&admin, &order, &pieces(1, 2)).await.expect(200);
    let body = shipped.json();
    assert_eq!(body["status"], "partly_shipped");
    assert_eq!(body["items"][0]["shipped"], 2);
    assert_eq!(body["next_statuses"], json!(["shipped"]));
    let path = format!("/api/v1/orders/{order}");
    let read = customer.ask(Method::GET, &path);
    let read = read
        .min_position(&shipped.position())
        .send()
        .await
        .expect(200);
    assert_eq!(read.etag(), shipped.etag());
    assert_eq!(read.json()["items"][0]["shipped"], 2);

    // the version that was decided on is an old one
    let shipments = format!("/api/v1/orders/{order}/shipments");
    let stale = admin.ask(Method::POST, &shipments).json(&json!({}));
    let stale = stale.if_match("\"1\"").send().await;
    stale.problem_of(412, "precondition-failed");
    let rest = || admin.ask(Method::POST, &shipments).key("the rest");
    let first = rest().json(&json!({})).send().await.expect(200);
    assert_eq!(first.json()["status"], "shipped");
    let head = shop.head().await;
    let again = rest().json(&json!({})).send().await.expect(200);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.json(), first.json());
    let other = rest().json(&pieces(1, 1)).send().await;
    other.problem_of(422, "idempotency-key-reused");
    assert_eq!(shop.head().await, head, "one shipment");

    for _ in 0..2 {
        let delivered = deliver(&admin, &order).await.expect(200);
        assert_eq!(delivered.json()["status"], "delivered");
        assert_eq!(delivered.json()["next_statuses"], json!([]));
    }
    let late = cancel(&customer, &order).await;
    late.problem_of(409, "illegal-move");
    shop.close().await;
}

#[tokio::test]
async fn what_is_not_paid_not_there_or_not_left_is_refused_with_the_way_on() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let customer = shop.customer(&server).await;
    let (dear, free) = (admin.product(100, 5).await, admin.product(0, 5).await);
    let unpaid = customer.place(&[(&dear, 1)], "default").await;
    let paid = customer.place(&[(&free, 3)], "default").await;
    let before = shop.head().await;

    for early in [
        ship(&admin, &unpaid, &json!({})).await,
        deliver(&admin, &unpaid).await,
    ] {
        let told = early.problem_of(409, "illegal-move");
        assert_eq!(told["order_status"], "pending");
        assert_eq!(told["allowed"], json!(["processing", "cancelled"]));
    }
    let early = deliver(&admin, &paid).await.problem_of(409, "illegal-move");
    let next = json!(["partly_shipped", "shipped", "cancelled"]);
    assert_eq!(early["allowed"], next);
    let over = ship(&admin, &paid, &pieces(1, 4)).await;
    let over = over.problem_of(409, "conflict");
    assert_eq!(over["errors"][0]["pointer"], "/lines/0/quantity");
    assert_eq!(over["left"], 3);
    let two = json!({"lines": [{"line": 1, "quantity": 1}, {"line": 2, "quantity": 1}]});
    let unknown = ship(&admin, &paid, &two)
        .await
        .problem_of(422, "validation");
    assert_eq!(unknown["errors"][0]["pointer"], "/lines/1/line");
    for (body, pointer) in [
        (json!({"lines": []}), "/lines"),
        (pieces(0, 1), "/lines/0/line"),
        (pieces(201, 1), "/lines/0/line"),
        (pieces(1, 0), "/lines/0/quantity"),
        (json!({"lines": [{"line": 1}]}), "/lines/0/quantity"),
    ] {
        let refused = ship(&admin, &paid, &body)
            .await
            .problem_of(422, "validation");
        assert_eq!(refused["errors"][0]["pointer"], pointer, "{body}");
    }
    let nobody_s = Uuid::new_v4().to_string();
    for refused in [
        ship(&admin, &nobody_s, &json!({})).await,
        deliver(&admin, &nobody_s).await,
        ship(&admin, "x", &json!({})).await,
    ] {
        refused.problem_of(404, "not-found");
    }
    assert_eq!(shop.head().await, before, "nothing is stored");
    shop.close().await;
}

/// Edge 44.
#[tokio::test]
async fn cancelled_after_a_part_was_shipped_only_the_rest_is_called_off_and_given_back() {
    let shop = Shop::opening().set("SOUK_PAYMENT_DELAY", "0s").open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let product = admin.product(10_000, 5).await;
    let customer = shop.customer(&server).await;
    let order = customer.place(&[(&product, 3)], "test_succeeds").await;
    let total = customer.wait_until_paid(&order).await["order_total"]["amount"].clone();
    let _ = ship(&admin, &order, &pieces(1, 1)).await.expect(200);
    let cancelled = cancel(&customer, &order).await.expect(202).json();
    assert_eq!(cancelled["status"], "shipped", "what was sent stays sent");
    let line = &cancelled["items"][0];
    assert_eq!(
        (&line["shipped"], &line["cancelled"]),
        (&json!(1), &json!(2))
    );
    let given_back = customer
        .wait_for_payment(&order, "partially_refunded")
        .await;
    // 8.25 percent of tax on each piece
    assert_eq!(
        (total, &given_back["refunded"]["amount"]),
        (json!(32_475), &json!(21_650))
    );
    customer.wait_for_stock(&product, [4, 0, 1]).await;
    assert_eq!(refunds(&shop).await, 1);
    let more = ship(&admin, &order, &json!({}))
        .await
        .problem_of(409, "illegal-move");
    assert_eq!(more["allowed"], json!(["delivered"]));
    let delivered = deliver(&admin, &order).await.expect(200).json();
    assert_eq!(delivered["status"], "delivered");
    shop.close().await;
}

#[tokio::test]
async fn the_data_of_a_closed_account_is_kept_until_what_was_paid_has_arrived() {
    let shop = Shop::opening()
        .set("SOUK_ERASURE_GRACE", "200ms")
        .open()
        .await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let product = admin.product(0, 5).await;
    let customer = shop.customer(&server).await;
    let user = user_id(&customer).await;
    let order = customer.place(&[(&product, 2)], "default").await;
    let _ = close(&admin, &user, "").await;
    // what is to be sent still says to whom
    let shipped = ship(&admin, &order, &pieces(1, 1)).await.expect(200).json();
    assert_eq!(shipped["customer_name"], "Test Buyer");
    let _ = ship(&admin, &order, &json!({})).await.expect(200);
    let _ = deliver(&admin, &order).await.expect(200);
    let erased_at = erased_at(&admin, &user).await;
    let events = shop.events().await;
    let delivered = event_of(&events, &order, "OrderDelivered");
    assert!(delivered.recorded_at <= erased_at);
    assert_nameless(&admin.read_order(&order).await);
    shop.close().await;
}

/// Two sellers with a shop each, an order over both and the market, and one of the first shop alone that nobody paid.
struct Market {
    admin: Client,
    customer: Client,
    sellers: [Client; 2],
    shops: [String; 2],
    /// Of the first shop, of the second, and of no shop.
    products: [String; 3],
    order: String,
    unpaid: String,
}

impl Market {
    async fn open(shop: &Shop, server: &tests::server::Server) -> Self {
        let admin = shop.admin(server).await;
        let stalls = Stalls::beside(shop).await;
        let region = admin.region("USD").await;
        let sellers = [shop.customer(server).await, shop.customer(server).await];
        let (mut shops, mut products) = (Vec::new(), Vec::new());
        for seller in &sellers {
            let owner = make_seller(&admin, seller).await;
            let stall = stalls.open(&owner).await;
            products.push(stalls.offer(&stall, &region, (0, "USD"), 9).await);
            shops.push(stall);
        }
        let dear = stalls.offer(&shops[0], &region, (500, "USD"), 9).await;
        stalls.leave().await;
        products.push(admin.product(0, 9).await);
        let customer = shop.customer(server).await;
        let mut body = new_order(&[(&products[0], 2), (&products[1], 1), (&products[2], 1)]);
        body["customer_name"] = json!("Trần Văn Bình");
        body["shipping_address"] = json!("1 Tràng Tiền, Hà Nội");
        let order = customer
            .post("/api/v1/orders", &body)
            .await
            .expect(201)
            .id();
        body["items"] = new_order(&[(&dear, 2)])["items"].clone();
        let unpaid = customer.post("/api/v1/orders", &body).await.expect(201);
        let head = unpaid.position();
        for stall in &shops {
            let seen = admin.ask(Method::GET, &format!("/api/v1/shops/{stall}/orders"));
            let _ = seen.min_position(&head).send().await.expect(200);
        }
        Self {
            admin,
            customer,
            sellers,
            shops: shops.try_into().unwrap(),
            products: products.try_into().unwrap(),
            order,
            unpaid: unpaid.id(),
        }
    }

    fn orders_of(&self, index: usize) -> String {
        format!("/api/v1/shops/{}/orders", self.shops[index])
    }

    /// Fails where the answer tells anything of a line that is not of this shop.
    fn assert_shows_only(&self, index: usize, answer: &Answer) {
        let text = answer.text();
        for (other, product) in self.products.iter().enumerate() {
            assert_eq!(text.contains(product), other == index, "{answer}");
        }
    }
}

/// Edge 46.
#[tokio::test]
async fn of_an_order_over_several_shops_each_seller_sees_and_ships_only_their_lines() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let market = Market::open(&shop, &server).await;
    let order = &market.order;
    for (index, seller) in market.sellers.iter().enumerate() {
        let one = format!("{}/{order}", market.orders_of(index));
        let read = seller.get(&one).await.expect(200);
        market.assert_shows_only(index, &read);
        assert_eq!(products_in(&read.json()), [market.products[index].clone()]);
        let list = seller.get(&market.orders_of(index)).await.expect(200);
        market.assert_shows_only(index, &list);
        // another's shop, and the whole order, do not exist for them
        let other = 1 - index;
        for hidden in [
            market.orders_of(other),
            format!("{}/{order}", market.orders_of(other)),
            format!("/api/v1/orders/{order}"),
        ] {
            seller.get(&hidden).await.problem_of(404, "not-found");
        }
        let theirs = if index == 0 { 2 } else { 1 };
        for line in [theirs, 3] {
            let refused = ship(seller, order, &pieces(line, 1)).await;
            let told = refused.problem_of(422, "validation");
            assert_eq!(told["errors"][0]["pointer"], "/lines/0/line");
        }
    }
    let shipped = ship(&market.sellers[0], order, &json!({}))
        .await
        .expect(200);
    market.assert_shows_only(0, &shipped);
    let body = shipped.json();
    assert_eq!(
        (&body["status"], &body["items"][0]["shipped"]),
        (&json!("partly_shipped"), &json!(2))
    );
    assert_eq!(body["shipping_address"], "1 Tràng Tiền, Hà Nội");
    let nothing = ship(&market.sellers[0], order, &json!({})).await;
    nothing.problem_of(409, "conflict");
    let _ = ship(&market.sellers[1], order, &pieces(2, 1))
        .await
        .expect(200);
    let last = ship(&market.admin, order, &json!({}))
        .await
        .expect(200)
        .json();
    assert_eq!(
        (products_in(&last), &last["status"]),
        (market.products.to_vec(), &json!("shipped"))
    );
    // nobody says of another's parcel that it arrived
    deliver(&market.sellers[0], order)
        .await
        .problem_of(403, "forbidden");
    let _ = deliver(&market.admin, order).await.expect(200);
    shop.close().await;
}

#[tokio::test]
async fn a_seller_whose_part_was_called_off_does_not_see_where_the_rest_went() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let market = Market::open(&shop, &server).await;
    let order = &market.order;
    let _ = ship(&market.sellers[0], order, &json!({}))
        .await
        .expect(200);
    let called_off = cancel(&market.admin, order).await.expect(200);
    for (index, told) in [json!("1 Tràng Tiền, Hà Nội"), Value::Null]
        .iter()
        .enumerate()
    {
        let seen = market.sellers[index]
            .ask(Method::GET, &format!("{}/{order}", market.orders_of(index)))
            .min_position(&called_off.position())
            .send()
            .await
            .expect(200)
            .json();
        assert_eq!(&seen["shipping_address"], told);
        let line = &seen["items"][0];
        let left = if index == 0 { "cancelled" } else { "shipped" };
        assert_eq!(line[left], 0, "{line}");
    }
    shop.close().await;
}

#[tokio::test]
async fn whoever_has_no_line_in_an_order_neither_sees_nor_ships_it() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let market = Market::open(&shop, &server).await;
    let stranger = shop.customer(&server).await;
    let other = &market.sellers[1];
    let absent = Uuid::new_v4().to_string();
    let before = shop.head().await;
    for (theirs, absent) in [
        (
            ship(other, &market.unpaid, &json!({})).await,
            ship(other, &absent, &json!({})).await,
        ),
        (
            deliver(other, &market.unpaid).await,
            deliver(other, &absent).await,
        ),
    ] {
        theirs.problem_of(404, "not-found");
        assert_eq!(theirs.text(), absent.text(), "the two cannot be told apart");
    }
    let one = format!("{}/{}", market.orders_of(1), market.unpaid);
    other.get(&one).await.problem_of(404, "not-found");
    // customers sell nothing, not even what they have bought themselves
    for client in [&stranger, &market.customer] {
        ship(client, &market.order, &json!({}))
            .await
            .problem_of(403, "forbidden");
        deliver(client, &market.order)
            .await
            .problem_of(403, "forbidden");
        client
            .get(&market.orders_of(0))
            .await
            .problem_of(403, "forbidden");
    }
    // an admin sees each shop, and no shop where there is none
    let _ = market.admin.get(&market.orders_of(1)).await.expect(200);
    let nowhere = format!("/api/v1/shops/{absent}/orders");
    market
        .admin
        .get(&nowhere)
        .await
        .problem_of(404, "not-found");
    assert_eq!(shop.head().await, before);
    shop.close().await;
}

#[tokio::test]
async fn a_seller_learns_where_an_order_goes_once_it_is_paid_and_while_it_is_not_called_off() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let market = Market::open(&shop, &server).await;
    let seller = &market.sellers[0];
    let of = async |order: &str, position: Option<&str>| {
        let path = format!("{}/{order}", market.orders_of(0));
        let ask = seller.ask(Method::GET, &path);
        let ask = match position {
            Some(position) => ask.min_position(position),
            None => ask,
        };
        ask.send().await.expect(200)
    };
    let paid = of(&market.order, None).await.json();
    assert_eq!(paid["customer_name"], "Trần Văn Bình");
    assert_eq!(paid["shipping_address"], "1 Tràng Tiền, Hà Nội");
    let unpaid = of(&market.unpaid, None).await;
    assert!(!unpaid.text().contains("Tràng Tiền") && !unpaid.text().contains("Bình"));
    let unpaid = unpaid.json();
    assert_eq!(
        (&unpaid["customer_name"], &unpaid["shipping_address"]),
        (&Value::Null, &Value::Null)
    );
    // two pieces for 500 cents, with 8.25 percent of tax
    assert_eq!(
        (&unpaid["tax"]["amount"], &unpaid["items_total"]["amount"]),
        (&json!(83), &json!(1_083))
    );
    let cancelled = cancel(&market.customer, &market.order).await.expect(200);
    let off = of(&market.order, Some(&cancelled.position())).await.json();
    assert_eq!(
        (&off["status"], &off["shipping_address"]),
        (&json!("cancelled"), &Value::Null)
    );
    shop.close().await;
}

#[tokio::test]
async fn the_orders_of_a_shop_are_filtered_sorted_and_paged() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let market = Market::open(&shop, &server).await;
    let seller = &market.sellers[0];
    let path = market.orders_of(0);
    let ids = async |query: &str| {
        let list = seller
            .get(&format!("{path}?{query}"))
            .await
            .expect(200)
            .json();
        let items = list["items"].as_array().unwrap().clone();
        let ids: Vec<String> = items
            .iter()
            .map(|order| text_of(&order["order_id"]))
            .collect();
        (ids, list["next_cursor"].clone())
    };
    let (order, unpaid) = (market.order.clone(), market.unpaid.clone());
    assert_eq!(ids("").await.0, [unpaid.clone(), order.clone()]);
    assert_eq!(
        ids("sort=created_at").await.0,
        [order.clone(), unpaid.clone()]
    );
    assert_eq!(ids("status=processing").await.0, from_ref(&order));
    assert_eq!(ids("payment_status=awaiting").await.0, from_ref(&unpaid));
    assert_eq!(ids("status=delivered").await.0, [] as [String; 0]);
    assert_eq!(
        ids("created_at[gte]=2999-01-01T00:00:00Z").await.0,
        [] as [String; 0]
    );
    let (first, cursor) = ids("limit=1").await;
    let (second, end) = ids(&format!("limit=1&cursor={}", text_of(&cursor))).await;
    assert_eq!(
        (first, second, end),
        (vec![unpaid], vec![order], Value::Null)
    );
    for query in [
        "status=nonsense",
        "limit=0",
        "sort=total",
        "cursor=x",
        "surplus=1",
    ] {
        let refused = seller.get(&format!("{path}?{query}")).await;
        refused.problem_of(400, "invalid-parameter");
    }
    shop.close().await;
}
