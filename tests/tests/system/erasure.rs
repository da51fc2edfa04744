//! Closed accounts: open orders end first, then nothing that is stored anywhere tells who the person was; also in a
//! backup that was restored, and while the master key is exchanged.

use std::collections::BTreeSet;

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use domain::order::Order;
use projections::{
    View,
    rebuild::{Settings, differences, rebuild},
};
use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    answer::{Answer, text_of},
    client::{Client, PATIENCE, new_order},
    eventually,
    history::{Event, assert_topics_equal_log},
    own::postgres::{End, OwnPostgres},
    server::Server,
    shop::{DEMO_PASSWORD, Opening, Shop},
};

pub(crate) use self::search::{EMAIL, NAME, Needles, tables_that_tell};
use self::{
    books::Books,
    search::{
        ADDRESS, CONTACT_EMAIL, OTHER_ADDRESS, OTHER_NAME, PHONE, analyze, files_that_tell,
        meant_to_tell,
    },
};

mod books;
mod search;

/// Settings under which an account is erased as soon as its last order is paid or cancelled.
pub(crate) fn quick() -> Opening {
    Shop::opening()
        .set("SOUK_ERASURE_GRACE", "200ms")
        .set("SOUK_FULFILMENT_TIME", "0s")
}

pub(crate) async fn user_id(client: &Client) -> String {
    text_of(&client.get("/api/v1/profile").await.expect(200).json()["user_id"])
}

pub(crate) async fn close(admin: &Client, user: &str, query: &str) -> Value {
    let path = format!("/api/v1/users/{user}{query}");
    let closed = admin.ask(Method::DELETE, &path).send().await;
    closed.expect(202).json()
}

/// What admins are told of a closed account.
pub(crate) async fn closure(admin: &Client, user: &str) -> Option<Value> {
    let list = admin.get("/api/v1/account-closures").await.expect(200);
    let list = list.json();
    let items = list["items"].as_array().expect("a list");
    items
        .iter()
        .find(|closure| closure["user_id"] == user)
        .cloned()
}

/// Waits until the account's data is erased, and returns when that was.
pub(crate) async fn erased_at(admin: &Client, user: &str) -> DateTime<Utc> {
    eventually("the account is erased", PATIENCE, || async {
        let closure = closure(admin, user).await?;
        (closure["state"] == "erased").then(|| time(&closure["erased_at"]))
    })
    .await
}

pub(crate) fn time(value: &Value) -> DateTime<Utc> {
    text_of(value).parse().expect("RFC 3339")
}

/// The event of that type in the order's own stream.
pub(crate) fn event_of<'e>(events: &'e [Event], order: &str, event_type: &str) -> &'e Event {
    let mut of_order = events.iter().filter(|event| event.aggregate_id == order);
    of_order
        .find(|event| event.event_type == event_type)
        .unwrap_or_else(|| panic!("no {event_type} of {order}"))
}

pub(crate) fn assert_nameless(body: &Value) {
    assert_eq!(
        (&body["customer_name"], &body["shipping_address"]),
        (&Value::Null, &Value::Null),
        "{body}"
    );
}

/// Quirinius, with all that he can leave behind: a profile, an API key, mails, orders through both APIs, the last of them
/// cancelled.
async fn quirinius(shop: &Shop, server: &Server, product: &str) -> (Client, Client, Vec<String>) {
    let client = shop.client(server);
    let customer = client.register(NAME, EMAIL, DEMO_PASSWORD).await;
    let profile = json!({"phone": PHONE, "address": ADDRESS, "contact_email": CONTACT_EMAIL});
    let patched = customer.patch("/api/v1/profile", &profile).send().await;
    let _ = patched.expect(200);
    let key = json!({"name": format!("the till of {NAME}"), "scopes": ["read_own_orders"]});
    let key = customer.post("/api/v1/api-keys", &key).await.expect(201);
    let program = client.with_token(&text_of(&key.json()["api_key"]));
    let reset = json!({"email": EMAIL});
    let reset = client.post("/api/v1/password-resets", &reset).await;
    assert!((200..300).contains(&reset.status), "{reset}");

    let place = async |body: &Value, key: &str| {
        let ask = customer.ask(Method::POST, "/api/v1/orders").json(body);
        ask.key(key).send().await.expect(201).id()
    };
    let own = new_order(&[(product, 1)]);
    let mut other = new_order(&[(product, 2)]);
    other["customer_name"] = json!(OTHER_NAME);
    other["shipping_address"] = json!(OTHER_ADDRESS);
    let mut orders = vec![place(&own, NAME).await, place(&other, EMAIL).await];
    let simple = json!({"items": [{"productId": product, "quantity": 3}]});
    let simple = customer.post("/api/orders/create", &simple).await;
    orders.push(text_of(&simple.expect(201).json()["orderId"]));
    orders.push(place(&new_order(&[(product, 4)]), "regretted").await);
    for order in &orders {
        customer.wait_until_paid(order).await;
    }
    let cancel = format!("/api/v1/orders/{}/cancel", orders[3]);
    let reason = json!({"reason": "changed_mind"});
    let _ = customer.post(&cancel, &reason).await.expect(202);
    customer.wait_for_payment(&orders[3], "refunded").await;
    talks_too_much(&customer, &orders[0], product).await;
    (customer, program, orders)
}

/// Puts the name wherever else a request has room for one. None of it is taken.
async fn talks_too_much(customer: &Client, order: &str, product: &str) {
    let cancel = format!("/api/v1/orders/{order}/cancel");
    let reason = json!({"reason": format!("it is for {NAME}")});
    let refused = customer.post(&cancel, &reason).await.problem(422);
    assert_eq!(refused["errors"][0]["pointer"], "/reason");
    let mut paid_so = new_order(&[(product, 1)]);
    paid_so["payment_method"] = json!("Zyxwvutsch");
    let mut surplus = new_order(&[(product, 1)]);
    surplus[NAME] = json!(ADDRESS);
    let mut bought = new_order(&[(product, 1)]);
    bought["items"][0]["product_id"] = json!(NAME);
    for body in [paid_so, surplus, bought] {
        customer.post("/api/v1/orders", &body).await.problem(422);
    }
    let agent = customer.ask(Method::GET, "/api/v1/profile");
    let agent = agent.header("user-agent", EMAIL).header("referer", EMAIL);
    let _ = agent.send().await.expect(200);
    for path in [
        "/api/v1/orders?sort=Zyxwvutsch",
        "/api/v1/products/Zyxwvutsch",
        "/api/v1/orders?cursor=Zyxwvutsch",
        "/Zyxwvutsch",
    ] {
        let answer = customer.get(path).await;
        assert!([400, 404].contains(&answer.status), "{answer}");
    }
    let wrong = json!({"email": EMAIL, "password": NAME});
    let log_in = customer.anonymous().post("/api/v1/login", &wrong).await;
    log_in.problem(401);
}

/// Has the log take a snapshot of each order, as it does of streams of many events, so that there is something sealed
/// among the snapshots, and a process that starts has its states from there alone.
async fn take_snapshots(shop: &Shop, orders: &[String]) {
    let log = shop.database().open_log().await;
    for order in orders {
        assert!(log.take_snapshot::<Order>(order).await.unwrap());
    }
    log.close().await;
    assert_eq!(snapshots_that_hold_all(shop).await, orders.len());
}

/// How many snapshots of orders hold something sealed, and all that happened to the order.
async fn snapshots_that_hold_all(shop: &Shop) -> usize {
    let count: i64 = sqlx::query_scalar(
        "select count(*) from aggregate_snapshots s where s.aggregate_type = 'order' and s.state::text like '%\"v1.%'
         and s.sequence = (select max(e.sequence) from events e
             where e.aggregate_type = s.aggregate_type and e.aggregate_id = s.aggregate_id)",
    )
    .fetch_one(&shop.pool)
    .await
    .unwrap();
    count.try_into().unwrap()
}

#[tokio::test]
async fn nothing_that_is_stored_anywhere_tells_who_an_erased_person_was() {
    let shop = quick()
        .with_kafka()
        .set("SOUK_PAYMENT_DELAY", "0s")
        .set("SOUK_LOG", "debug,rdkafka=info,librdkafka=info")
        .open()
        .await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let product = admin.product(100, 20).await;
    let (customer, program, orders) = quirinius(&shop, &server, &product).await;
    let user = user_id(&customer).await;
    for path in [
        "/api/v1/users?name=Quirinius".to_owned(),
        format!("/api/v1/users?email={CONTACT_EMAIL}"),
    ] {
        let found = admin.get(&path).await.expect(200);
        assert!(found.text().contains(&user), "{found}");
    }
    eventually("the mails are written", PATIENCE, || async {
        let requests: i64 = sqlx::query_scalar("select count(*) from code_requests")
            .fetch_one(&shop.pool)
            .await
            .unwrap();
        let mails = admin.get("/api/v1/mails").await.expect(200);
        (requests == 0 && mails.text().contains(EMAIL)).then_some(())
    })
    .await;

    // the search finds what is there, and everything else is sealed all along
    take_snapshots(&shop, &orders).await;
    shop.caught_up(&server).await;
    analyze(&shop.pool).await;
    let telling = tables_that_tell(&shop.pool).await;
    let found = meant_to_tell().into_iter();
    let found: BTreeSet<_> = found.filter(|it| it != "public.code_requests").collect();
    assert!(found.is_subset(&telling), "{telling:?}");
    assert!(telling.is_subset(&meant_to_tell()), "{telling:?}");
    let books = Books::read(&shop, &admin, &orders, &product).await;
    assert_eq!(books.stock, [14, 0, 6]);
    assert_eq!(admin.read_order(&orders[0]).await["customer_name"], NAME);
    assert_eq!(
        admin.read_order(&orders[1]).await["shipping_address"],
        OTHER_ADDRESS
    );

    let body = json!({"password": DEMO_PASSWORD});
    let closed = customer
        .ask(Method::DELETE, "/api/v1/profile")
        .json(&body)
        .send()
        .await
        .expect(202)
        .json();
    assert_eq!(
        (&closed["user_id"], &closed["state"]),
        (&json!(user), &json!("pending"))
    );
    for path in ["/api/v1/orders", "/api/profile"] {
        customer.get(path).await.problem(401);
    }
    program.get("/api/v1/orders").await.problem(401);
    let log_in = json!({"email": EMAIL, "password": DEMO_PASSWORD});
    let log_in = shop.client(&server).post("/api/v1/login", &log_in).await;
    log_in.problem_of(401, "wrong-credentials");
    erased_at(&admin, &user).await;

    assert_history_replays_without_names(&shop, &admin, &user, &orders).await;
    let again = Books::read(&shop, &admin, &orders, &product).await;
    assert_eq!(again, books, "orders add up as before");
    assert_eq!(snapshots_that_hold_all(&shop).await, orders.len());
    assert_a_new_process_tells_nobody(&shop, &user, &orders).await;
    assert_eq!(tables_that_tell(&shop.pool).await, BTreeSet::new());
    analyze(&shop.pool).await;
    assert_eq!(tables_that_tell(&shop.pool).await, BTreeSet::new());
    let events = shop.events().await;
    let records = shop.topics().records(events.len()).await;
    assert_topics_equal_log(&records, &events, &shop.prefix);
    for record in &records {
        let told = Needles::new()
            .found_in(&format!("{record:?}"))
            .map(str::to_owned);
        assert_eq!(told, None, "{record:?}");
    }
    assert!(
        server.output().contains("DEBUG"),
        "the server logs at length"
    );
    assert_eq!(files_that_tell(shop.folder()), Vec::<String>::new());
    shop.close().await;
}

/// Orders, their lists, their stories and rebuilt read models are as they were, but for whose they are.
async fn assert_history_replays_without_names(
    shop: &Shop,
    admin: &Client,
    user: &str,
    orders: &[String],
) {
    let list = format!("/api/v1/orders?customer_id={user}&sort=total");
    let list = admin.get(&list).await.expect(200).json();
    let listed = list["items"].as_array().expect("a list");
    let pieces: Vec<&Value> = listed
        .iter()
        .map(|order| &order["items"][0]["quantity"])
        .collect();
    assert_eq!(pieces, [1, 2, 3, 4]);
    for (order, payment_status) in listed.iter().zip(["paid", "paid", "paid", "refunded"]) {
        assert_nameless(order);
        assert_eq!(order["payment_status"], payment_status);
    }
    for order in orders {
        assert_nameless(&admin.read_order(order).await);
        let story = format!("/api/v1/orders/{order}/timeline");
        let story = admin.get(&story).await.expect(200).json();
        let first = &story["items"][0];
        assert_eq!(first["event_type"], "OrderPlaced");
        assert_nameless(&first["payload"]);
    }
    let events = admin
        .get("/api/v1/events?type=OrderPlaced&limit=1000")
        .await;
    for event in events.expect(200).json()["items"]
        .as_array()
        .expect("a list")
    {
        assert_nameless(&event["payload"]);
    }
    // the schemas stay, so that they are searched as well
    let log = shop.database().open_log().await;
    for view in View::ALL {
        let (live, again) = (view.schema(), view.beside(1));
        rebuild(&log, view, &again, Settings::default())
            .await
            .unwrap_or_else(|error| panic!("{view} is not rebuilt: {error}"));
        let found = differences(&shop.pool, view, &live, &again, 10).await;
        assert_eq!(found.unwrap(), [], "{view}");
    }
    log.close().await;
}

/// A process that never had the key goes by what is stored: it decides on orders from their snapshots, and names nobody.
async fn assert_a_new_process_tells_nobody(shop: &Shop, user: &str, orders: &[String]) {
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    for order in orders {
        assert_nameless(&admin.read_order(order).await);
    }
    let cancel = format!("/api/v1/orders/{}/cancel", orders[0]);
    let cancelled = admin.post(&cancel, &json!({})).await.expect(202).json();
    assert_nameless(&cancelled);
    assert_eq!(cancelled["customer_id"], user);
    let refunded = admin.wait_for_payment(&orders[0], "refunded").await;
    assert_nameless(&refunded);
    assert_eq!(refunded["cancellation_reason"], "on_request");
    assert!(server.stop().await.success());
}

#[tokio::test]
async fn an_open_order_is_finished_before_the_key_goes() {
    let shop = quick().set("SOUK_PAYMENT_DELAY", "5s").open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let product = admin.product(100, 10).await;
    let customer = shop
        .client(&server)
        .register(NAME, EMAIL, DEMO_PASSWORD)
        .await;
    let user = user_id(&customer).await;
    let order = customer.place(&[(&product, 1)], "test_succeeds").await;

    let closed = close(&admin, &user, "").await;
    assert_eq!(
        (&closed["state"], &closed["erased_at"]),
        (&json!("pending"), &Value::Null)
    );
    customer.get("/api/v1/orders").await.problem(401);
    assert_eq!(
        admin.read_order(&order).await["customer_name"],
        NAME,
        "an order that is open keeps its name"
    );
    let erased = erased_at(&admin, &user).await;
    let events = shop.events().await;
    let paid = event_of(&events, &order, "OrderPaid").recorded_at;
    let closed = time(&closed["closed_at"]);
    assert!(closed < paid && paid < erased, "{closed} {paid} {erased}");
    let order = admin.wait_until_paid(&order).await;
    assert_nameless(&order);
    admin.wait_for_stock(&product, [9, 0, 1]).await;
    assert_eq!(tables_that_tell(&shop.pool).await, BTreeSet::new());
    shop.close().await;
}

#[tokio::test]
async fn open_orders_are_cancelled_before_the_key_goes_where_that_is_asked_for() {
    // a paid order is taken to be on its way for two weeks, the default
    let shop = Shop::opening()
        .set("SOUK_ERASURE_GRACE", "200ms")
        .open()
        .await;
    let slow = shop.serve().await;
    let quick = shop.serve_with(&[("SOUK_PAYMENT_DELAY", "0s")]).await;
    let admin = shop.admin(&slow).await;
    let product = admin.product(100, 10).await;
    let customer = shop.customer(&slow).await;
    let user = user_id(&customer).await;
    let pending = customer.place(&[(&product, 1)], "test_succeeds").await;
    let customer = customer.at(&quick.address);
    let paid = customer.place(&[(&product, 2)], "test_succeeds").await;
    customer.wait_until_paid(&paid).await;

    let closed = close(&admin, &user, "?cancel_open_orders=true").await;
    assert_eq!(closed["cancel_open_orders"], true);
    let erased = erased_at(&admin, &user).await;
    let events = shop.events().await;
    for order in [&pending, &paid] {
        let cancelled = event_of(&events, order, "OrderCancelled");
        assert_eq!(cancelled.cause("actor"), "system:closing");
        assert!(cancelled.recorded_at < erased);
    }
    let refunded = event_of(&events, &paid, "OrderRefunded");
    assert!(
        refunded.recorded_at < erased,
        "not before the money is back"
    );
    for (order, payment_status) in [(&pending, "unpaid"), (&paid, "refunded")] {
        let told = admin.wait_for_payment(order, payment_status).await;
        assert_eq!(told["status"], "cancelled");
        // one of two processes erased: the other may have the key at hand for a moment
        eventually("nobody can read it any more", PATIENCE, || async {
            let told = admin.read_order(order).await;
            told["customer_name"].is_null().then_some(())
        })
        .await;
    }
    admin.wait_for_stock(&product, [10, 0, 0]).await;
    shop.close().await;
}

#[tokio::test]
async fn accounts_are_closed_in_person_and_the_last_admin_stays() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let customer = shop.customer(&server).await;
    let delete = async |body: Value| {
        let ask = customer.ask(Method::DELETE, "/api/v1/profile");
        ask.json(&body).send().await
    };
    let pointer = |answer: Answer, status| {
        let problem = answer.problem(status);
        text_of(&problem["errors"][0]["pointer"])
    };
    assert_eq!(pointer(delete(json!({})).await, 422), "/password");
    let wrong = json!({"password": "not the one"});
    assert_eq!(pointer(delete(wrong).await, 422), "/password");
    let surplus = json!({"password": DEMO_PASSWORD, "cancel_orders": true});
    delete(surplus).await.problem_of(422, "validation");
    let key = json!({"name": "a script", "scopes": ["manage_users"]});
    let key = admin.post("/api/v1/api-keys", &key).await.expect(201);
    let script = admin.with_token(&text_of(&key.json()["api_key"]));
    let user = user_id(&customer).await;
    let by_script = script.ask(Method::DELETE, &format!("/api/v1/users/{user}"));
    by_script.send().await.problem_of(403, "forbidden");
    let _ = script.get("/api/v1/account-closures").await.expect(200);
    let nobody = format!("/api/v1/users/{}", uuid::Uuid::new_v4());
    let nobody = admin.ask(Method::DELETE, &nobody).send().await;
    nobody.problem_of(404, "not-found");
    let _ = customer.get("/api/v1/profile").await.expect(200);

    // two of the demo's users are admins
    let both = user_id(&shop.demo_user(&server, "both").await).await;
    close(&admin, &both, "").await;
    let own = format!("/api/v1/users/{}", user_id(&admin).await);
    let last = admin.ask(Method::DELETE, &own).send().await;
    last.problem_of(409, "last-admin");
    let password = json!({"password": DEMO_PASSWORD});
    let last = admin.ask(Method::DELETE, "/api/v1/profile");
    let last = last.json(&password).send().await;
    last.problem_of(409, "last-admin");
    assert_eq!(closure(&admin, &both).await.unwrap()["state"], "pending");
    shop.close().await;
}

#[tokio::test]
async fn many_accounts_are_closed_at_once_or_none() {
    let shop = Shop::opening().set("SOUK_BULK_LIMIT", "3").open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let mut users = Vec::new();
    for _ in 0..3 {
        users.push(user_id(&shop.customer(&server).await).await);
    }
    let bulk = async |ids: &[&str]| {
        let body = json!({"ids": ids});
        admin.post("/api/v1/users/bulk-delete", &body).await
    };
    let nobody = uuid::Uuid::new_v4().to_string();
    let own = user_id(&admin).await;
    let both = user_id(&shop.demo_user(&server, "both").await).await;
    let (nobody, own, both) = (nobody.as_str(), own.as_str(), both.as_str());
    let [an, binh, chi] = [0, 1, 2].map(|index: usize| users[index].as_str());
    for (ids, kind, pointers) in [
        (vec![], "validation", vec!["/ids"]),
        (vec!["x", an], "validation", vec!["/ids/0"]),
        (vec![an, nobody, binh], "validation", vec!["/ids/1"]),
        (vec![an, an], "validation", vec!["/ids/1"]),
        (vec![an, binh, chi, nobody], "validation", vec!["/ids"]),
        (vec![own, an, both], "last-admin", vec!["/ids/0", "/ids/2"]),
    ] {
        let answer = bulk(&ids).await;
        let status = if kind == "validation" { 422 } else { 409 };
        let problem = answer.problem_of(status, kind);
        let told = problem["errors"].as_array().expect("errors").iter();
        let told: Vec<String> = told.map(|error| text_of(&error["pointer"])).collect();
        assert_eq!(told, pointers, "{ids:?}");
    }
    let list = admin.get("/api/v1/account-closures").await.expect(200);
    assert_eq!(list.json()["items"], json!([]), "nobody's was closed");

    let ids: Vec<&str> = users.iter().rev().map(String::as_str).collect();
    let closed = bulk(&ids).await.expect(202).json();
    let closed = closed["items"].as_array().expect("a list").iter();
    let closed: Vec<String> = closed.map(|item| text_of(&item["user_id"])).collect();
    assert_eq!(closed, ids, "in the order of the request");
    let page = "/api/v1/account-closures?state=pending&limit=2&sort=closed_at";
    let page = admin.get(page).await.expect(200);
    assert_eq!(page.json()["items"].as_array().unwrap().len(), 2);
    let link = page.header("link").expect("a next page").to_owned();
    let next = link.trim_start_matches('<').split('>').next().unwrap();
    let rest = admin.get(next).await.expect(200).json();
    assert_eq!(rest["items"].as_array().unwrap().len(), 1);
    assert_eq!(rest["next_cursor"], Value::Null);
    let none = admin.get("/api/v1/account-closures?state=erased").await;
    assert_eq!(none.expect(200).json()["items"], json!([]));
    let wrong = admin.get("/api/v1/account-closures?state=gone").await;
    wrong.problem_of(400, "invalid-parameter");
    shop.close().await;
}

#[tokio::test]
async fn a_restored_backup_forgets_again_before_it_serves() {
    let mut postgres = OwnPostgres::start().await;
    let shop = quick()
        .on_postgres(postgres.options())
        .set("SOUK_PAYMENT_DELAY", "0s")
        .open()
        .await;
    let server = shop.serve().await;
    let product = shop.admin(&server).await.product(100, 10).await;
    let gone = shop
        .client(&server)
        .register(NAME, EMAIL, DEMO_PASSWORD)
        .await;
    let gone_id = user_id(&gone).await;
    let order = gone.place(&[(&product, 1)], "test_succeeds").await;
    gone.wait_until_paid(&order).await;
    let (leaving, staying) = (shop.customer(&server).await, shop.customer(&server).await);
    let leaving_id = user_id(&leaving).await;
    let open = leaving.place(&[(&product, 1)], "test_never_answers").await;
    leaving.read_order(&open).await;
    assert!(server.stop().await.success());
    analyze(&shop.pool).await;
    let backup = postgres.backup().await;

    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    close(&admin, &gone_id, "").await;
    close(&admin, &leaving_id, "").await;
    erased_at(&admin, &gone_id).await;
    let export = shop.run(&["erasures", "export"]).await;
    assert_eq!(export.lines().count(), 2, "{export}");
    assert_eq!(Needles::new().found_in(&export), None);
    assert!(server.stop().await.success());
    postgres.end(End::Fast).await;
    postgres.restore(&backup);
    postgres.go_on().await;
    let back = tables_that_tell(&shop.pool).await;
    for place in ["public.users", "pg_stats"] {
        assert!(back.contains(place), "the backup knows: {back:?}");
    }

    let file = shop.folder().join("erasures.jsonl");
    std::fs::write(&file, &export).unwrap();
    let file = file.to_str().unwrap();
    for _ in 0..2 {
        let told = shop.run(&["erasures", "apply", file]).await;
        assert_eq!(told, "2 account(s) closed, 1 person(s) erased\n");
    }
    assert_eq!(tables_that_tell(&shop.pool).await, BTreeSet::new());
    std::fs::write(file, &export[..export.len() / 2]).unwrap();
    let damaged = shop.try_run(&[], &["erasures", "apply", file]).await;
    assert_eq!(damaged.status.code(), Some(1));

    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    assert_nameless(&admin.read_order(&order).await);
    let open = admin.read_order(&open).await;
    assert_eq!(open["customer_name"], "Test Buyer", "it is open still");
    leaving
        .at(&server.address)
        .get("/api/v1/profile")
        .await
        .problem(401);
    let stayed = staying.at(&server.address).get("/api/v1/profile").await;
    assert_eq!(stayed.status, 200, "{stayed}");
    let states = [&gone_id, &leaving_id].map(|id| closure(&admin, id));
    let states = futures::future::join_all(states).await;
    let states: Vec<Value> = states
        .into_iter()
        .map(|it| it.unwrap()["state"].clone())
        .collect();
    assert_eq!(states, ["erased", "pending"]);
    assert!(server.stop().await.success());
    shop.close().await;
}

#[tokio::test]
async fn the_master_key_is_exchanged_while_a_server_runs() {
    let shop = Shop::open().await;
    let settings = shop.settings_with(&[]);
    let old = settings
        .into_iter()
        .find(|(name, _)| name == "SOUK_MASTER_KEY");
    let (old, new) = (old.unwrap().1, STANDARD.encode([9; 32]));
    let wraps_with_old = [("SOUK_PREVIOUS_MASTER_KEYS", new.as_str())];
    let wraps_with_new = [
        ("SOUK_MASTER_KEY", new.as_str()),
        ("SOUK_PREVIOUS_MASTER_KEYS", old.as_str()),
    ];
    let only_new = [("SOUK_MASTER_KEY", new.as_str())];

    let first = shop.serve_with(&wraps_with_old).await;
    shop.caught_up(&first).await;
    let product = shop.admin(&first).await.product(100, 100).await;
    let mut orders = Vec::new();
    let customer = shop.customer(&first).await;
    let repeated = async |server: &Server| {
        let ask = customer
            .at(&server.address)
            .ask(Method::POST, "/api/v1/orders");
        let ask = ask.json(&new_order(&[(&product, 1)])).key("once");
        ask.send().await.expect(201)
    };
    orders.push(repeated(&first).await.id());
    for _ in 0..4 {
        let customer = shop.customer(&first).await;
        orders.push(customer.order(&[(&product, 1)]).await.expect(201).id());
    }
    let second = shop.serve_with(&wraps_with_new).await;
    let customer = shop.customer(&second).await;
    orders.push(customer.order(&[(&product, 1)]).await.expect(201).id());
    let again = repeated(&second).await;
    assert_eq!(
        (again.id(), again.header("idempotency-replayed")),
        (orders[0].clone(), Some("true")),
        "a request of before is known again"
    );
    assert_all_open(&shop, &first, &orders).await;
    assert_all_open(&shop, &second, &orders).await;

    let refused = shop.try_run(&only_new, &["keys", "rewrap"]).await;
    assert_eq!(refused.status.code(), Some(1), "the old one is not known");
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(told.contains("SOUK_PREVIOUS_MASTER_KEYS"), "{told}");
    assert!(!told.contains(&old) && !told.contains(&new), "{told}");
    let ordering = async {
        let mut placed = Vec::new();
        for _ in 0..10 {
            let customer = shop.customer(&second).await;
            placed.push(customer.order(&[(&product, 1)]).await.expect(201).id());
        }
        placed
    };
    let (rewrapped, placed) =
        tokio::join!(shop.try_run(&wraps_with_new, &["keys", "rewrap"]), ordering);
    assert!(rewrapped.status.success(), "{rewrapped:?}");
    orders.extend(placed);
    assert_all_open(&shop, &first, &orders).await;
    assert!(first.stop().await.success());
    assert!(second.stop().await.success());

    // now the old one is needed for nothing
    let last = shop.serve_with(&only_new).await;
    assert_all_open(&shop, &last, &orders).await;
    let done = shop.try_run(&only_new, &["keys", "rewrap"]).await;
    assert_eq!(
        String::from_utf8_lossy(&done.stdout),
        "0 key(s) wrapped anew\n"
    );
    shop.close().await;
}

#[tokio::test]
async fn a_key_that_a_server_cannot_read_keeps_no_other_order_from_being_listed() {
    let shop = Shop::open().await;
    let first = shop.serve().await;
    let product = shop.admin(&first).await.product(100, 10).await;
    let shut = shop.customer(&first).await;
    let shut = shut.order(&[(&product, 1)]).await.expect(201).id();
    // a mistake in its settings: it does not know the master key of before
    let other = [("SOUK_MASTER_KEY", STANDARD.encode([9; 32]))];
    let second = shop.serve_with(&[(other[0].0, other[0].1.as_str())]).await;
    let open = shop.customer(&second).await;
    let open = open.order(&[(&product, 1)]).await.expect(201).id();

    let admin = shop.admin(&second).await;
    admin.read_order(&open).await;
    let list = admin.get("/api/v1/orders?sort=created_at").await;
    let list = list.expect(200).json();
    let names: Vec<(&Value, &Value)> = list["items"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|order| (&order["order_id"], &order["customer_name"]))
        .collect();
    assert_eq!(
        names,
        [
            (&json!(shut), &Value::Null),
            (&json!(open), &json!("Test Buyer"))
        ]
    );
    let events = admin.get("/api/v1/events?type=OrderPlaced").await;
    assert_eq!(
        events.expect(200).json()["items"].as_array().unwrap().len(),
        2
    );
    let alone = admin.get(&format!("/api/v1/orders/{shut}")).await;
    assert!(alone.status >= 500, "{alone}");
    assert!(second.output().contains("another master key"));
    shop.close().await;
}

/// Everybody's name is told to an admin.
async fn assert_all_open(shop: &Shop, server: &Server, orders: &[String]) {
    let admin = shop.admin(server).await;
    for order in orders {
        let order = admin.read_order(order).await;
        assert_eq!(order["customer_name"], "Test Buyer", "{order}");
    }
}
