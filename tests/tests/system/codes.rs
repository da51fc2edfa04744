//! One-time codes and mail as people meet them: registering, confirming an address, forgetting a password; what strangers
//! cannot find out; and mails on their way to a mail server.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    answer::{Answer, number_of, text_of},
    client::{Client, PATIENCE},
    eventually,
    server::Server,
    shop::{DEMO_PASSWORD, Shop},
    smtp::{MailServer, Received},
};
use uuid::Uuid;

const NEW_PASSWORD: &str = "another one";

fn new_address() -> String {
    format!("{}@example.com", Uuid::new_v4().simple())
}

fn registration(email: &str) -> Value {
    json!({"name": "Mai", "email": email, "password": DEMO_PASSWORD})
}

async fn register(client: &Client, email: &str) {
    let _ = client
        .post("/api/v1/registrations", &registration(email))
        .await
        .expect(202);
}

/// The mails to that address, newest first, as the outbox shows them.
async fn outbox(admin: &Client, email: &str) -> Vec<Value> {
    let page = admin
        .get("/api/v1/mails?limit=200")
        .await
        .expect(200)
        .json();
    let items = page["items"].as_array().expect("a list");
    let theirs = items.iter().filter(|mail| mail["to"] == email);
    theirs.cloned().collect()
}

/// Waits for the mail with that number to that address, the first being 1, and returns it.
async fn mail_number(admin: &Client, email: &str, number: usize) -> Value {
    eventually("the mail is written", PATIENCE, || async {
        let mails = outbox(admin, email).await;
        (mails.len() >= number).then(|| mails[mails.len() - number].clone())
    })
    .await
}

/// Waits until the last try to send the mail to that address is told so.
async fn mail_that(admin: &Client, email: &str, fits: impl Fn(&Value) -> bool) -> Value {
    eventually("the mail is noted so", PATIENCE, || async {
        outbox(admin, email).await.into_iter().find(&fits)
    })
    .await
}

/// The line of a text that is a code.
fn code_in(text: &str) -> String {
    let is_code = |line: &&str| line.len() == 8 && line.chars().all(|c| c.is_ascii_digit());
    let code = text.lines().map(str::trim).find(is_code);
    code.unwrap_or_else(|| panic!("a code in {text}"))
        .to_owned()
}

/// The code in the mail with that number to that address.
pub(crate) async fn read_code(admin: &Client, email: &str, number: usize) -> String {
    code_in(&text_of(&mail_number(admin, email, number).await["body"]))
}

async fn confirm(client: &Client, email: &str, code: &str) -> Answer {
    let body = json!({"email": email, "code": code});
    client
        .post("/api/v1/email-verifications/confirm", &body)
        .await
}

async fn reset(client: &Client, email: &str, code: &str) -> Answer {
    let body = json!({"email": email, "code": code, "password": NEW_PASSWORD});
    client.post("/api/v1/password-resets/confirm", &body).await
}

async fn order_by_contract(client: &Client, product: &str) -> Answer {
    let body = json!({"items": [{"productId": product, "quantity": 1}]});
    client.post("/api/orders/create", &body).await
}

#[tokio::test]
async fn somebody_registers_confirms_the_address_and_may_order() {
    let shop = Shop::opening()
        .set("SOUK_UNVERIFIED_MAY_ORDER", "false")
        .open()
        .await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let product = admin.product(100, 10).await;
    let email = new_address();
    register(&shop.client(&server), &email).await;
    let mai = shop.client(&server).log_in(&email, DEMO_PASSWORD).await;
    let orders = [
        mai.order(&[(&product, 1)]).await,
        order_by_contract(&mai, &product).await,
    ];
    for refused in orders {
        refused.problem_of(403, "email-not-verified");
    }
    let code = read_code(&admin, &email, 1).await;
    confirm(&mai, &email, "nonsense")
        .await
        .problem_of(422, "code-refused");
    let _ = confirm(&mai, &email, &code).await.expect(204);
    let _ = mai.order(&[(&product, 1)]).await.expect(201);
    let _ = order_by_contract(&mai, &product).await.expect(201);
    confirm(&mai, &email, &code)
        .await
        .problem_of(422, "code-refused");
    // demo users are known to whoever runs the shop
    let demo = shop.demo_user(&server, "customer").await;
    let _ = demo.order(&[(&product, 1)]).await.expect(201);
    shop.close().await;
}

#[tokio::test]
async fn without_the_setting_unverified_customers_order() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let product = shop.admin(&server).await.product(100, 10).await;
    let email = new_address();
    register(&shop.client(&server), &email).await;
    let mai = shop.client(&server).log_in(&email, DEMO_PASSWORD).await;
    let _ = mai.order(&[(&product, 1)]).await.expect(201);
    shop.close().await;
}

#[tokio::test]
async fn the_outbox_is_read_on_the_command_line() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let email = new_address();
    register(&shop.client(&server), &email).await;
    let code = read_code(&admin, &email, 1).await;
    let told = shop.run(&["mails", "--to", &email]).await;
    let line: Value = serde_json::from_str(told.trim()).expect("one line of JSON");
    assert_eq!(line["to"], email.as_str());
    assert_eq!(code_in(&text_of(&line["body"])), code);
    assert_eq!(line["sent_at"], Value::Null);
    assert_eq!(shop.run(&["mails", "--limit", "0"]).await, "");
    shop.close().await;
}

#[tokio::test]
async fn a_forgotten_password_is_replaced_and_all_sessions_end() {
    let shop = Shop::open().await;
    let (server, other) = tokio::join!(shop.serve(), shop.serve_with(&[]));
    let admin = shop.admin(&server).await;
    let email = new_address();
    register(&shop.client(&server), &email).await;
    mail_number(&admin, &email, 1).await;
    let credentials = json!({"email": email, "password": DEMO_PASSWORD});
    let session = shop
        .client(&server)
        .post("/api/v1/login", &credentials)
        .await
        .expect(200)
        .json();
    let stolen = shop
        .client(&other)
        .with_token(&text_of(&session["access_token"]));
    let _ = stolen.get("/api/profile").await.expect(200);

    let nobody = shop.client(&server);
    let _ = nobody
        .post("/api/v1/password-resets", &json!({"email": email}))
        .await
        .expect(202);
    let code = read_code(&admin, &email, 2).await;
    let _ = reset(&nobody, &email, &code).await.expect(204);
    reset(&nobody, &email, &code)
        .await
        .problem_of(422, "code-refused");

    eventually(
        "the token is refused by the other process",
        PATIENCE,
        || async { (stolen.get("/api/profile").await.status == 401).then_some(()) },
    )
    .await;
    let refresh = json!({"refresh_token": session["refresh_token"]});
    nobody
        .post("/api/v1/refresh", &refresh)
        .await
        .problem_of(401, "session-over");
    nobody
        .post("/api/v1/login", &credentials)
        .await
        .problem_of(401, "wrong-credentials");
    nobody.log_in(&email, NEW_PASSWORD).await;
    shop.close().await;
}

#[tokio::test]
async fn five_wrong_codes_use_a_code_up() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let email = new_address();
    let nobody = shop.client(&server);
    register(&nobody, &email).await;
    let code = read_code(&admin, &email, 1).await;
    for _ in 0..5 {
        let wrong = if code == "12345678" {
            "87654321"
        } else {
            "12345678"
        };
        confirm(&nobody, &email, wrong)
            .await
            .problem_of(422, "code-refused");
    }
    confirm(&nobody, &email, &code)
        .await
        .problem_of(422, "code-refused");
    shop.close().await;
}

#[tokio::test]
async fn a_password_is_changed_with_the_old_one() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let email = new_address();
    register(&shop.client(&server), &email).await;
    let mai = shop.client(&server).log_in(&email, DEMO_PASSWORD).await;
    let change = async |current: &str, new: &str| {
        let body = json!({"current_password": current, "new_password": new});
        mai.put("/api/v1/profile/password", &body).send().await
    };
    let refused = change("a wrong one", NEW_PASSWORD)
        .await
        .problem_of(422, "validation");
    assert_eq!(refused["errors"][0]["pointer"], "/current_password");
    let refused = change(DEMO_PASSWORD, "short")
        .await
        .problem_of(422, "validation");
    assert_eq!(refused["errors"][0]["pointer"], "/new_password");
    let _ = change(DEMO_PASSWORD, NEW_PASSWORD).await.expect(204);
    mai.get("/api/profile")
        .await
        .problem_of(401, "unauthenticated");
    shop.client(&server).log_in(&email, NEW_PASSWORD).await;
    shop.close().await;
}

/// What of an answer a stranger can compare.
fn seen(answer: &Answer) -> (u16, String, Vec<String>) {
    let headers = answer.headers.keys().map(ToString::to_string);
    (answer.status, answer.text().to_owned(), headers.collect())
}

#[tokio::test]
async fn answers_do_not_tell_whether_an_address_is_known() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let (known, unknown) = (new_address(), new_address());
    register(&shop.client(&server), &known).await;
    mail_number(&admin, &known, 1).await;
    let nobody = shop.client(&server);
    let ask = async |path: &str, body: Value| {
        let sent = nobody.ask(Method::POST, path).json(&body).send();
        seen(&sent.await)
    };
    for path in ["/api/v1/email-verifications", "/api/v1/password-resets"] {
        let (one, other) = (
            ask(path, json!({"email": known})).await,
            ask(path, json!({"email": unknown})).await,
        );
        assert_eq!((one.0, &one), (202, &other), "{path}");
    }
    for (path, extra) in [
        ("/api/v1/email-verifications/confirm", Value::Null),
        ("/api/v1/password-resets/confirm", json!(NEW_PASSWORD)),
    ] {
        let body = |email: &str| {
            let mut body = json!({"email": email, "code": "nonsense"});
            if !extra.is_null() {
                body["password"] = extra.clone();
            }
            body
        };
        let (one, other) = (
            ask(path, body(&known)).await,
            ask(path, body(&unknown)).await,
        );
        assert_eq!((one.0, &one), (422, &other), "{path}");
    }
    let (one, other) = (
        ask("/api/v1/registrations", registration(&known)).await,
        ask("/api/v1/registrations", registration(&unknown)).await,
    );
    assert_eq!((one.0, &one), (202, &other));
    mail_that(&admin, &known, |mail| mail["kind"] == "already_registered").await;
    shop.close().await;
}

/// A shop that sends its mails there.
async fn shop_with_mail(url: &str) -> Shop {
    Shop::opening()
        .set("SOUK_SMTP_URL", url)
        .set("SOUK_MAIL_FROM", "Souk <shop@example.com>")
        .set("SOUK_LOG", "debug,rdkafka=info,librdkafka=info")
        .open()
        .await
}

/// Fails where the server has logged any of these.
fn assert_not_logged(server: &Server, secrets: &[&str]) {
    let output = server.output();
    assert!(output.contains("DEBUG"), "the server logs at length");
    for secret in secrets {
        assert!(!output.contains(secret), "{secret} is in the server's log");
    }
}

async fn received(mail_server: &MailServer, email: &str, number: usize) -> Received {
    eventually("the mail has arrived", PATIENCE, || async {
        mail_server.mails_to(email).get(number - 1).cloned()
    })
    .await
}

#[tokio::test]
async fn codes_come_by_mail_and_stay_out_of_list_and_logs() {
    let mail_server = MailServer::start().await;
    let shop = shop_with_mail(&mail_server.url()).await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let email = new_address();
    let nobody = shop.client(&server);
    register(&nobody, &email).await;
    let mail = received(&mail_server, &email, 1).await;
    for line in [
        "From: Souk <shop@example.com>",
        "Auto-Submitted: auto-generated",
    ] {
        assert!(mail.text.contains(line), "{line} in {}", mail.text);
    }
    let code = code_in(&mail.text);
    let listed = mail_that(&admin, &email, |mail| mail["sent_at"].is_string()).await;
    assert_eq!(listed["body"], Value::Null, "it is for its recipient alone");
    assert!(
        mail.text.contains(&text_of(&listed["mail_id"])),
        "the Message-ID"
    );
    let _ = confirm(&nobody, &email, &code).await.expect(204);
    let _ = nobody
        .post("/api/v1/password-resets", &json!({"email": email}))
        .await
        .expect(202);
    let second = code_in(&received(&mail_server, &email, 2).await.text);
    let _ = reset(&nobody, &email, &second).await.expect(204);
    assert_not_logged(&server, &[&code, &second, &email, NEW_PASSWORD]);
    shop.close().await;
}

#[tokio::test]
async fn a_mail_server_that_is_away_gets_the_mail_once_when_it_is_back() {
    let address = MailServer::nowhere().await;
    let shop = shop_with_mail(&format!("smtp://{address}")).await;
    let (server, _other) = tokio::join!(shop.serve(), shop.serve_with(&[]));
    let admin = shop.admin(&server).await;
    let email = new_address();
    register(&shop.client(&server), &email).await;
    let tried = |mail: &Value| mail["last_error"] == "connection";
    mail_that(&admin, &email, tried).await;
    let mail_server = MailServer::start_at(address).await;
    received(&mail_server, &email, 1).await;
    let sent = mail_that(&admin, &email, |mail| mail["sent_at"].is_string()).await;
    assert!(number_of(&sent["attempts"]) > 1, "{sent}");
    assert_eq!(sent["last_error"], Value::Null);
    // whatever is sent afterwards would come behind a second one
    let next = new_address();
    register(&shop.client(&server), &next).await;
    received(&mail_server, &next, 1).await;
    assert_eq!(mail_server.mails_to(&email).len(), 1);
    shop.close().await;
}

#[tokio::test]
async fn a_refused_mail_is_given_up_or_tried_again_and_keeps_no_other_waiting() {
    let mail_server = MailServer::start().await;
    let shop = shop_with_mail(&mail_server.url()).await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let nobody = shop.client(&server);
    let [refused, later, fine] =
        ["refused", "later", "fine"].map(|who| format!("{who}-{}", new_address()));
    for email in [&refused, &later, &fine] {
        register(&nobody, email).await;
    }
    let given_up = mail_that(&admin, &refused, |mail| mail["failed_at"].is_string()).await;
    assert_eq!(given_up["last_error"], "smtp-550");
    assert_eq!(
        (number_of(&given_up["attempts"]), &given_up["sent_at"]),
        (1, &Value::Null)
    );
    received(&mail_server, &fine, 1).await;
    let put_off = mail_that(&admin, &later, |mail| mail["sent_at"].is_string()).await;
    assert_eq!(
        (number_of(&put_off["attempts"]), &put_off["failed_at"]),
        (2, &Value::Null)
    );
    assert_eq!(mail_server.mails_to(&later).len(), 1);
    assert!(mail_server.mails_to(&refused).is_empty());
    // the mail server has said the addresses
    assert_not_logged(&server, &[&refused, &later, &fine]);
    assert!(server.output().contains("smtp-550"));
    shop.close().await;
}

#[tokio::test]
async fn a_mail_server_without_a_sender_or_with_a_bad_address_is_refused_at_the_start() {
    let shop = Shop::open().await;
    for (settings, told) in [
        (
            vec![("SOUK_SMTP_URL", "smtp://127.0.0.1:1")],
            "SOUK_MAIL_FROM",
        ),
        (
            vec![
                ("SOUK_SMTP_URL", "http://user:hush@127.0.0.1"),
                ("SOUK_MAIL_FROM", "shop@example.com"),
            ],
            "SOUK_SMTP_URL",
        ),
    ] {
        let output = shop.try_run(&settings, &["serve"]).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(told) && !said.contains("hush"), "{said}");
    }
    shop.close().await;
}
