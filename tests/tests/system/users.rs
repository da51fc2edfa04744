//! Users and profiles over HTTP: what admins do with accounts, one and many at once, what people do with their own, and
//! that roles count where and when they should.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    answer::{Answer, text_of},
    client::Client,
    server::Server,
    shop::{DEMO_PASSWORD, Shop},
};
use uuid::Uuid;

/// Body of a new user.
fn new_user(name: &str, email: &str) -> Value {
    json!({"name": name, "email": email, "password": DEMO_PASSWORD})
}

fn fresh_email() -> String {
    format!("{}@example.com", Uuid::new_v4().simple())
}

/// Makes a user as an admin, and returns its id.
async fn made(admin: &Client, body: &Value) -> String {
    admin.post("/api/v1/users", body).await.expect(201).id()
}

async fn role(admin: &Client, method: Method, user: &str, role: &str) -> Answer {
    let path = format!("/api/v1/users/{user}/roles/{role}");
    admin.ask(method, &path).send().await
}

async fn id_of(client: &Client) -> String {
    let profile = client.get("/api/v1/profile").await.expect(200).json();
    text_of(&profile["user_id"])
}

/// The pointers of a problem, with their details.
fn errors(problem: &Value) -> Vec<(String, String)> {
    let errors = problem["errors"].as_array().expect("errors").iter();
    errors
        .map(|error| (text_of(&error["pointer"]), text_of(&error["detail"])))
        .collect()
}

fn pointers(problem: &Value) -> Vec<String> {
    errors(problem)
        .into_iter()
        .map(|(pointer, _)| pointer)
        .collect()
}

async fn number_of_users(shop: &Shop) -> i64 {
    sqlx::query_scalar("select count(*) from users")
        .fetch_one(&shop.pool)
        .await
        .unwrap()
}

async fn open() -> (Shop, Server, Client) {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    (shop, server, admin)
}

#[tokio::test]
async fn an_admin_makes_reads_and_changes_a_user() {
    let (shop, server, admin) = open().await;
    let email = fresh_email();
    let mut body = new_user("Nguyễn Thị Mai", &email.to_uppercase());
    body["phone"] = json!("+84 28 3822 1234");
    body["address"] = json!("1 Lê Lợi\nHuế");
    body["roles"] = json!(["seller", "customer"]);
    let created = admin.post("/api/v1/users", &body).await.expect(201);
    assert_eq!(created.etag(), "\"1\"");
    let path = format!("/api/v1/users/{}", created.id());
    assert_eq!(created.header("location"), Some(path.as_str()));
    let user = created.json();
    let mut members: Vec<&str> = user
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    members.sort_unstable();
    let expected = [
        "address",
        "contact_email",
        "created_at",
        "name",
        "phone",
        "roles",
        "updated_at",
        "user_id",
        "version",
    ];
    assert_eq!(members, expected, "and nothing of the log-in");
    assert_eq!(user["contact_email"], email.as_str());
    assert_eq!(user["roles"], json!(["customer", "seller"]));

    let read = admin.get(&path).await.expect(200);
    assert_eq!((read.json(), read.etag()), (user.clone(), created.etag()));
    let theirs = shop.client(&server).log_in(&email, DEMO_PASSWORD).await;
    assert_eq!(theirs.get("/api/v1/profile").await.expect(200).json(), user);

    let new_values = json!({"name": "Mai", "phone": null, "contact_email": "post@example.com"});
    let changed = admin
        .patch(&path, &new_values)
        .if_match("\"1\"")
        .send()
        .await
        .expect(200);
    assert_eq!(changed.etag(), "\"2\"");
    let told = changed.json();
    assert_eq!(
        (&told["name"], &told["phone"]),
        (&json!("Mai"), &Value::Null)
    );
    assert_eq!(told["contact_email"], "post@example.com");
    assert_eq!(told["address"], user["address"], "what is absent stays");
    let stale = admin
        .patch(&path, &new_values)
        .if_match("\"1\"")
        .send()
        .await;
    stale.problem_of(412, "precondition-failed");
    assert_eq!(stale.etag(), "\"2\"");
    let nothing = admin.patch(&path, &new_values).send().await.expect(200);
    assert_eq!(nothing.etag(), "\"2\"", "nothing changed");
    // what one logs in with stays
    shop.client(&server).log_in(&email, DEMO_PASSWORD).await;
    shop.close().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_user_is_said_and_nothing_is_stored() {
    let (shop, _server, admin) = open().await;
    let before = number_of_users(&shop).await;
    let email = fresh_email();
    let id = made(&admin, &new_user("Mai", &email)).await;
    for (member, value) in [
        ("name", json!("")),
        ("email", json!("not an address")),
        ("password", json!("short")),
        ("password", json!("x".repeat(73))),
        ("phone", json!("call me")),
        ("address", json!("a\u{1b}b")),
        ("roles", json!(["root"])),
        ("roles", json!("admin")),
    ] {
        let mut body = new_user("Tom", &fresh_email());
        body[member] = value;
        let problem = admin
            .post("/api/v1/users", &body)
            .await
            .problem_of(422, "validation");
        assert_eq!(pointers(&problem), [format!("/{member}")]);
    }
    for surplus in ["user_id", "version", "contact_email", "verified"] {
        let mut body = new_user("Tom", &fresh_email());
        body[surplus] = json!("x");
        admin
            .post("/api/v1/users", &body)
            .await
            .problem_of(422, "validation");
    }
    for new_values in [
        json!({"email": "x@example.com"}),
        json!({"password": "a long password"}),
        json!({"version": 1}),
        json!({"roles": ["root"]}),
        json!({"phone": ""}),
    ] {
        let path = format!("/api/v1/users/{id}");
        admin
            .patch(&path, &new_values)
            .send()
            .await
            .problem_of(422, "validation");
    }
    let taken = admin.post("/api/v1/users", &new_user("Tom", &email)).await;
    let problem = taken.problem_of(409, "email-taken");
    assert_eq!(pointers(&problem), ["/email"]);
    assert_eq!(number_of_users(&shop).await, before + 1);
    for path in [
        format!("/api/v1/users/{}", Uuid::new_v4()),
        "/api/v1/users/1".to_owned(),
    ] {
        admin.get(&path).await.problem_of(404, "not-found");
        let new_values = admin.patch(&path, &json!({"name": "X"})).send().await;
        new_values.problem_of(404, "not-found");
    }
    role(&admin, Method::PUT, &Uuid::new_v4().to_string(), "seller")
        .await
        .problem_of(404, "not-found");
    role(&admin, Method::PUT, &id, "root")
        .await
        .problem_of(404, "not-found");
    shop.close().await;
}

#[tokio::test]
async fn a_profile_is_ones_own_and_orders_go_by_it_at_once() {
    let (shop, server, admin) = open().await;
    let product = admin.product(100, 10).await;
    let customer = shop.customer(&server).await;
    let before = customer.order(&[(&product, 1)]).await.expect(201).json();
    assert_eq!(before["customer_name"], "Test Buyer");
    let new_values = json!({"name": "Mai", "address": "1 Lê Lợi\nHuế", "phone": "113"});
    let changed = customer
        .patch("/api/v1/profile", &new_values)
        .send()
        .await
        .expect(200);
    let read = customer.get("/api/v1/profile").await.expect(200);
    assert_eq!((read.json(), read.etag()), (changed.json(), changed.etag()));
    let after = customer.order(&[(&product, 1)]).await.expect(201).json();
    assert_eq!(after["customer_name"], "Mai");
    assert_eq!(after["shipping_address"], "1 Lê Lợi\nHuế");

    let stale = customer
        .patch("/api/v1/profile", &new_values)
        .if_match("\"1\"")
        .send()
        .await;
    stale.problem_of(412, "precondition-failed");
    for forbidden in [
        json!({"roles": ["admin"]}),
        json!({"email": "x@example.com"}),
        json!({"password": "a long password"}),
        json!({"user_id": Uuid::new_v4()}),
    ] {
        let answer = customer.patch("/api/v1/profile", &forbidden).send().await;
        answer.problem_of(422, "validation");
    }
    assert_eq!(customer.get("/api/v1/profile").await.json(), changed.json());
    shop.close().await;
}

#[tokio::test]
async fn nobody_but_an_admin_reaches_other_users_nor_themselves_among_them() {
    let (shop, server, admin) = open().await;
    let victim = made(&admin, &new_user("Mai", &fresh_email())).await;
    let path = format!("/api/v1/users/{victim}");
    let before = admin.get(&path).await.expect(200).json();
    for who in ["customer", "seller", "analyst"] {
        let client = shop.demo_user(&server, who).await;
        let own = id_of(&client).await;
        for id in [&victim, &own] {
            let path = format!("/api/v1/users/{id}");
            client.get(&path).await.problem_of(403, "forbidden");
            let new_values = client
                .patch(&path, &json!({"roles": ["admin"]}))
                .send()
                .await;
            new_values.problem_of(403, "forbidden");
            for method in [Method::PUT, Method::DELETE] {
                role(&client, method, id, "admin")
                    .await
                    .problem_of(403, "forbidden");
            }
            let bulk = json!({"ids": [id]});
            let bulk = client.post("/api/v1/users/bulk-read", &bulk).await;
            bulk.problem_of(403, "forbidden");
        }
        client
            .get("/api/v1/users")
            .await
            .problem_of(403, "forbidden");
        let roles = client.get("/api/v1/profile").await.expect(200).json()["roles"].clone();
        assert_eq!(roles, json!([who]));
    }
    assert_eq!(admin.get(&path).await.expect(200).json(), before);
    shop.close().await;
}

#[tokio::test]
async fn many_users_are_made_all_or_none() {
    let (shop, server, admin) = open().await;
    let before = number_of_users(&shop).await;
    let emails: Vec<String> = (0..5).map(|_| fresh_email()).collect();
    let users: Vec<Value> = emails.iter().map(|email| new_user(email, email)).collect();
    let created = admin
        .post("/api/v1/users/bulk-create", &json!({"users": users}))
        .await
        .expect(201)
        .json();
    let names: Vec<String> = created["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|user| text_of(&user["name"]))
        .collect();
    assert_eq!(names, emails, "in the order of the request");
    shop.client(&server).log_in(&emails[4], DEMO_PASSWORD).await;
    assert_eq!(number_of_users(&shop).await, before + 5);

    let attempt = async |users: Vec<Value>| {
        admin
            .post("/api/v1/users/bulk-create", &json!({"users": users}))
            .await
    };
    let free = || new_user("Tom", &fresh_email());
    let taken = |index: usize| new_user("Tom", &emails[index]);
    let problem = attempt(vec![free(), taken(0), free(), taken(3)])
        .await
        .problem_of(409, "email-taken");
    assert_eq!(pointers(&problem), ["/users/1/email", "/users/3/email"]);
    let twice = free();
    let problem = attempt(vec![twice.clone(), free(), twice])
        .await
        .problem_of(422, "validation");
    let expected = (
        "/users/2/email".to_owned(),
        "is the same as /users/0/email".to_owned(),
    );
    assert_eq!(errors(&problem), [expected]);
    let mut wrong = free();
    wrong["email"] = json!("x");
    wrong["phone"] = json!("x");
    let problem = attempt(vec![free(), free(), free(), wrong])
        .await
        .problem_of(422, "validation");
    assert_eq!(pointers(&problem), ["/users/3/email", "/users/3/phone"]);
    let problem = attempt(vec![]).await.problem_of(422, "validation");
    assert_eq!(pointers(&problem), ["/users"]);
    let problem = attempt((0..101).map(|_| free()).collect())
        .await
        .problem_of(422, "validation");
    assert_eq!(pointers(&problem), ["/users"]);
    assert!(errors(&problem)[0].1.contains("100"));
    assert_eq!(
        number_of_users(&shop).await,
        before + 5,
        "none of these left anything"
    );
    shop.close().await;
}

#[tokio::test]
async fn many_users_are_read_and_those_who_are_not_there_are_named() {
    let (shop, _server, admin) = open().await;
    let mai = made(&admin, &new_user("Mai", &fresh_email())).await;
    let tom = made(&admin, &new_user("Tom", &fresh_email())).await;
    let (nobody, nobody_else) = (Uuid::new_v4().to_string(), Uuid::new_v4().to_string());
    let read = async |ids: &[&str]| {
        admin
            .post("/api/v1/users/bulk-read", &json!({"ids": ids}))
            .await
    };
    let found = read(&[&tom, &nobody, &mai, &nobody_else])
        .await
        .expect(200)
        .json();
    let ids: Vec<String> = found["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|user| text_of(&user["user_id"]))
        .collect();
    assert_eq!(ids, [tom.as_str(), mai.as_str()]);
    assert_eq!(
        found["missing"],
        json!([{"pointer": "/ids/1", "user_id": nobody}, {"pointer": "/ids/3", "user_id": nobody_else}])
    );
    let problem = read(&[&mai, &tom, &mai])
        .await
        .problem_of(422, "validation");
    assert_eq!(
        errors(&problem),
        [("/ids/2".to_owned(), "is the same as /ids/0".to_owned())]
    );
    let problem = read(&[&mai, "x"]).await.problem_of(422, "validation");
    assert_eq!(pointers(&problem), ["/ids/1"]);
    let many: Vec<String> = (0..101).map(|_| Uuid::new_v4().to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for (ids, status) in [(&many[..0], 422), (&many[..100], 200), (&many[..], 422)] {
        let answer = read(ids).await;
        assert_eq!(answer.status, status, "{answer}");
        if status == 422 {
            assert_eq!(pointers(&answer.problem_of(422, "validation")), ["/ids"]);
        }
    }
    shop.close().await;
}

#[tokio::test]
async fn a_member_that_is_missing_is_named_with_its_element() {
    let (shop, _server, admin) = open().await;
    let before = number_of_users(&shop).await;
    let mut without_email = new_user("Tom", &fresh_email());
    without_email.as_object_mut().unwrap().remove("email");
    let id = made(&admin, &new_user("Mai", &fresh_email())).await;
    for (path, users, pointer) in [
        (
            "bulk-create",
            json!([new_user("Mai", &fresh_email()), without_email]),
            "/users/1/email",
        ),
        (
            "bulk-update",
            json!([{"user_id": id, "name": "X"}, {"name": "Y"}]),
            "/users/1/user_id",
        ),
    ] {
        let path = format!("/api/v1/users/{path}");
        let refused = admin.post(&path, &json!({"users": users})).await;
        let problem = refused.problem_of(422, "validation");
        assert_eq!(pointers(&problem), [pointer]);
    }
    assert_eq!(number_of_users(&shop).await, before + 1);
    shop.close().await;
}

#[tokio::test]
async fn roles_that_many_get_at_once_count_at_once() {
    let (shop, server, admin) = open().await;
    let (email, other) = (fresh_email(), fresh_email());
    let mai = made(&admin, &new_user("Mai", &email)).await;
    let tom = made(&admin, &new_user("Tom", &other)).await;
    let client = shop.client(&server);
    let people = [
        client.log_in(&email, DEMO_PASSWORD).await,
        client.log_in(&other, DEMO_PASSWORD).await,
    ];
    for (role, status) in [("customer", 403), ("admin", 200), ("customer", 403)] {
        let users = json!([{"user_id": mai, "roles": [role]}, {"user_id": tom, "roles": [role]}]);
        let body = json!({"users": users});
        let _ = admin
            .post("/api/v1/users/bulk-update", &body)
            .await
            .expect(200);
        for person in &people {
            assert_eq!(person.get("/api/v1/users").await.status, status, "{role}");
        }
    }
    shop.close().await;
}

#[tokio::test]
async fn a_password_that_bcrypt_cannot_take_whole_is_refused_wherever_one_is_chosen() {
    let (shop, server, _admin) = open().await;
    let client = shop.client(&server);
    let customer = shop.customer(&server).await;
    let before = number_of_users(&shop).await;
    let long = "x".repeat(73);
    let registration = json!({"name": "Mai", "email": fresh_email(), "password": long});
    let reset = json!({"email": "customer@example.com", "code": "01234567", "password": long});
    let change = json!({"current_password": DEMO_PASSWORD, "new_password": long});
    let confirm = "/api/v1/password-resets/confirm";
    for (answer, pointer) in [
        (
            client.post("/api/v1/registrations", &registration).await,
            "/password",
        ),
        (
            client.post("/api/registration", &registration).await,
            "/password",
        ),
        (client.post(confirm, &reset).await, "/password"),
        (
            customer
                .put("/api/v1/profile/password", &change)
                .send()
                .await,
            "/new_password",
        ),
    ] {
        let problem = answer.problem_of(422, "validation");
        let [(at, why)] = &errors(&problem)[..] else {
            panic!("one error: {problem}");
        };
        assert_eq!(at, pointer);
        assert!(why.contains("at most 72 bytes, this one has 73"), "{why}");
    }
    assert_eq!(number_of_users(&shop).await, before);
    shop.close().await;
}

#[tokio::test]
async fn many_users_are_changed_all_or_none() {
    let shop = Shop::opening().set("SOUK_BULK_LIMIT", "4").open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let mut ids = Vec::new();
    for name in ["A", "B", "C"] {
        ids.push(made(&admin, &new_user(name, &fresh_email())).await);
    }
    let update = async |users: Value| {
        admin
            .post("/api/v1/users/bulk-update", &json!({"users": users}))
            .await
    };
    let changed = update(json!([
        {"user_id": ids[2], "name": "C2", "roles": ["seller"]},
        {"user_id": ids[0], "phone": "113", "version": 1},
    ]))
    .await
    .expect(200)
    .json();
    assert_eq!(changed["items"][0]["name"], "C2");
    assert_eq!(changed["items"][0]["roles"], json!(["seller"]));
    assert_eq!(changed["items"][1]["phone"], "113");
    assert_eq!(changed["items"][1]["version"], 2);

    let problem = update(json!([
        {"user_id": ids[1], "name": "B3"},
        {"user_id": ids[0], "name": "A3", "version": 1},
    ]))
    .await
    .problem_of(409, "conflict");
    assert_eq!(
        errors(&problem),
        [("/users/1/version".to_owned(), "is 2 by now".to_owned())]
    );
    let problem = update(json!([
        {"user_id": ids[1], "name": "B3"},
        {"user_id": Uuid::new_v4(), "name": "X"},
        {"user_id": ids[0], "version": 7},
    ]))
    .await
    .problem_of(422, "validation");
    assert_eq!(pointers(&problem), ["/users/1/user_id", "/users/2/version"]);
    let problem = update(json!([
        {"user_id": ids[1], "name": "B3"},
        {"user_id": ids[1], "name": "B4"},
    ]))
    .await
    .problem_of(422, "validation");
    assert_eq!(pointers(&problem), ["/users/1/user_id"]);
    let five = vec![json!({"user_id": ids[1], "name": "B3"}); 5];
    let problem = update(json!(five)).await.problem_of(422, "validation");
    assert_eq!(pointers(&problem), ["/users"]);
    assert!(
        errors(&problem)[0].1.contains('4'),
        "the limit is a setting"
    );
    let b = admin
        .get(&format!("/api/v1/users/{}", ids[1]))
        .await
        .expect(200);
    assert_eq!(
        (b.json()["name"].clone(), b.etag()),
        (json!("B"), "\"1\"".to_owned())
    );
    shop.close().await;
}

#[tokio::test]
async fn passwords_of_many_have_their_time_and_an_honest_refusal_beyond_it() {
    let (shop, quick, admin) = open().await;
    let before = number_of_users(&shop).await;
    let make = async |cost: &str, number: usize| {
        let settings = [
            ("SOUK_BCRYPT_COST", cost),
            ("SOUK_REQUEST_TIMEOUT", "300ms"),
        ];
        let server = shop.serve_with(&settings).await;
        let users: Vec<Value> = (0..number)
            .map(|_| new_user("Somebody", &fresh_email()))
            .collect();
        let admin = admin.at(&server.address);
        let body = json!({"users": users});
        admin.post("/api/v1/users/bulk-create", &body).await
    };
    // each of them takes some seconds
    let too_slow = make("16", 4).await;
    too_slow.problem_of(503, "deadline-passed");
    assert!(too_slow.header("retry-after").is_some());
    assert_eq!(number_of_users(&shop).await, before);

    // all of them take longer than a request may, each of them does not
    let slow = make("10", 40).await.expect(201).json();
    assert_eq!(slow["items"].as_array().map(Vec::len), Some(40));
    assert_eq!(number_of_users(&shop).await, before + 40);
    drop(quick);
    shop.close().await;
}

#[tokio::test]
async fn a_role_counts_at_once_where_it_was_changed_and_within_seconds_elsewhere() {
    let (shop, here, admin) = open().await;
    let there = shop.serve().await;
    let email = fresh_email();
    let user = made(&admin, &new_user("Tom", &email)).await;
    let tom = shop.client(&here).log_in(&email, DEMO_PASSWORD).await;
    // a write that changes nothing: who may is told what is wrong with it, who may not is refused
    let status_at = async |server: &Server| {
        let body = json!({"nonsense": 1});
        tom.at(&server.address)
            .post("/api/v1/regions", &body)
            .await
            .status
    };
    assert_eq!(
        (status_at(&here).await, status_at(&there).await),
        (403, 403)
    );
    let granted = role(&admin, Method::PUT, &user, "admin").await.expect(200);
    assert_eq!(granted.json()["roles"], json!(["customer", "admin"]));
    assert_eq!(
        status_at(&here).await,
        422,
        "at once, with the token of before"
    );
    let again = role(&admin, Method::PUT, &user, "admin").await.expect(200);
    assert_eq!(again.etag(), granted.etag());
    wait_for(&there, 422, &status_at).await;

    // the other process has looked a moment ago, and still notices in time
    let revoked = role(&admin, Method::DELETE, &user, "admin")
        .await
        .expect(200);
    assert_eq!(revoked.json()["roles"], json!(["customer"]));
    assert_eq!(status_at(&here).await, 403);
    wait_for(&there, 403, &status_at).await;
    let again = role(&admin, Method::DELETE, &user, "admin")
        .await
        .expect(200);
    assert_eq!(again.etag(), revoked.etag());
    shop.close().await;
}

/// Waits until it is so, for five seconds at most: what is promised.
async fn wait_for(server: &Server, expected: u16, status_at: &impl AsyncFn(&Server) -> u16) {
    let begun = Instant::now();
    while status_at(server).await != expected {
        assert!(
            begun.elapsed() < Duration::from_secs(5),
            "{expected} is promised by now"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn the_last_admin_stays_also_when_two_revoke_each_other_in_two_processes() {
    let (shop, here, admin) = open().await;
    let there = shop.serve().await;
    let both = shop.demo_user(&there, "both").await;
    let (id_of_admin, id_of_both) = (id_of(&admin).await, id_of(&both).await);
    for _ in 0..10 {
        let (one, other) = tokio::join!(
            role(&admin, Method::DELETE, &id_of_both, "admin"),
            role(&both, Method::DELETE, &id_of_admin, "admin"),
        );
        // who comes second is told so, or is no admin any more
        let (winner, loser) = if one.status == 200 {
            (&one, &other)
        } else {
            (&other, &one)
        };
        assert_eq!(winner.status, 200, "{winner}");
        assert!([403, 409].contains(&loser.status), "{loser}");
        if loser.status == 409 {
            loser.problem_of(409, "last-admin");
        }
        let admins: i64 =
            sqlx::query_scalar("select count(*) from users where 'admin' = any (roles)")
                .fetch_one(&shop.pool)
                .await
                .unwrap();
        assert_eq!(admins, 1);
        let (left, id_of_left, gone) = if one.status == 200 {
            (&admin, &id_of_admin, &id_of_both)
        } else {
            (&both, &id_of_both, &id_of_admin)
        };
        let alone = role(left, Method::DELETE, id_of_left, "admin").await;
        alone.problem_of(409, "last-admin");
        let path = format!("/api/v1/users/{id_of_left}");
        let set = left.patch(&path, &json!({"roles": []})).send().await;
        set.problem_of(409, "last-admin");
        let bulk = json!({"users": [{"user_id": gone, "name": "X"}, {"user_id": id_of_left, "roles": []}]});
        let bulk = left.post("/api/v1/users/bulk-update", &bulk).await;
        assert_eq!(
            pointers(&bulk.problem_of(409, "last-admin")),
            ["/users/1/roles"]
        );
        let _ = role(left, Method::PUT, gone, "admin").await.expect(200);
        // so that both may act again
        for (client, server) in [(&admin, &here), (&both, &there)] {
            wait_for(server, 200, &async |_: &Server| {
                client.get("/api/v1/users").await.status
            })
            .await;
        }
    }
    shop.close().await;
}

#[tokio::test]
async fn users_are_listed_with_filters_sorts_and_cursors() {
    let (shop, _server, admin) = open().await;
    let mark = Uuid::new_v4().simple().to_string();
    for n in 0..5 {
        let mut body = new_user(&format!("{mark} {n}"), &format!("{mark}-{n}@example.com"));
        if n == 3 {
            body["roles"] = json!(["seller"]);
        }
        made(&admin, &body).await;
    }
    let list = async |query: &str| {
        let page = admin
            .get(&format!("/api/v1/users?{query}"))
            .await
            .expect(200);
        let items = page.json()["items"].as_array().unwrap().clone();
        let names = items.iter().map(|user| {
            let name = text_of(&user["name"]);
            name.rsplit(' ').next().unwrap_or_default().to_owned()
        });
        (names.collect::<Vec<_>>(), page)
    };
    let begins = format!("name={}", mark.to_uppercase());
    assert_eq!(
        list(&begins).await.0,
        ["4", "3", "2", "1", "0"],
        "newest first"
    );
    assert_eq!(
        list(&format!("{begins}&sort=name")).await.0,
        ["0", "1", "2", "3", "4"]
    );
    assert_eq!(list(&format!("{begins}&role=seller")).await.0, ["3"]);
    assert_eq!(
        list(&format!("email={mark}-2%40EXAMPLE.com")).await.0,
        ["2"]
    );
    assert!(
        list(&format!("email={mark}-2%40example.com&role=admin"))
            .await
            .0
            .is_empty()
    );
    assert_eq!(list("role=admin").await.0.len(), 2, "the demo has two");
    let (first, page) = list(&format!("{begins}&sort=-name&limit=2")).await;
    assert_eq!(first, ["4", "3"]);
    let link = page.header("link").expect("a next page").to_owned();
    let next = link
        .trim_start_matches('<')
        .split('>')
        .next()
        .unwrap()
        .to_owned();
    let second = admin.get(&next).await.expect(200).json();
    assert_eq!(second["items"][0]["name"], format!("{mark} 2"));
    let cursor = text_of(&second["next_cursor"]);
    assert_eq!(
        list(&format!("{begins}&sort=-name&limit=2&cursor={cursor}"))
            .await
            .0,
        ["0"]
    );

    for (query, parameter) in [
        ("role=root", "role"),
        ("email=x", "email"),
        ("name=", "name"),
        ("name=a%00b", "name"),
        ("sort=email", "sort"),
        ("limit=201", "limit"),
        ("cursor=x", "cursor"),
        ("phone=113", "phone"),
    ] {
        let answer = admin.get(&format!("/api/v1/users?{query}")).await;
        let problem = answer.problem_of(400, "invalid-parameter");
        assert_eq!(problem["errors"][0]["parameter"], parameter, "{query}");
    }
    shop.close().await;
}

/// Nothing else contains these.
const SECRETS: [&str; 6] = [
    "Zyxwvut",
    "quetzal",
    "Geheimweg",
    "555-0143-77",
    "hunter2-hunter2",
    "Kukulkan",
];

#[tokio::test]
async fn nothing_personal_is_logged() {
    let shop = Shop::opening().set("SOUK_LOG", "debug").open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let mut body = new_user("Zyxwvut", "quetzal@example.com");
    body["password"] = json!("hunter2-hunter2");
    body["address"] = json!("Geheimweg 4711");
    body["phone"] = json!("555-0143-77");
    let id = made(&admin, &body).await;
    let path = format!("/api/v1/users/{id}");
    admin
        .post("/api/v1/users", &body)
        .await
        .problem_of(409, "email-taken");
    body["name"] = json!("Zyxwvut\u{1}");
    admin.post("/api/v1/users", &body).await.problem(422);
    body["name"] = json!("Kukulkan");
    let bulk = json!({"users": [body]});
    admin
        .post("/api/v1/users/bulk-create", &bulk)
        .await
        .problem(409);
    admin
        .patch(&path, &json!({"name": "Kukulkan"}))
        .send()
        .await
        .expect(200)
        .etag();
    let theirs = shop
        .client(&server)
        .log_in("quetzal@example.com", "hunter2-hunter2")
        .await;
    let new_values = json!({"address": "Geheimweg 5", "phone": "555-0143-77"});
    theirs
        .patch("/api/v1/profile", &new_values)
        .send()
        .await
        .expect(200)
        .etag();
    for query in [
        "name=Zyxwvut",
        "email=quetzal%40example.com",
        "name=Kukulkan&sort=name&limit=1",
    ] {
        admin
            .get(&format!("/api/v1/users?{query}"))
            .await
            .expect(200)
            .json();
    }
    let printed = server.output();
    assert!(printed.contains("answered"), "debug logs are on");
    for secret in SECRETS {
        assert!(!printed.contains(secret), "{secret} was logged");
    }
    shop.close().await;
}
