//! The outbox as admins see it where not all of its mails open.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tests::{
    answer::text_of,
    client::{Client, PATIENCE},
    eventually,
    shop::{DEMO_PASSWORD, Shop},
};
use uuid::Uuid;

/// Registers somebody; a mail to confirm the address follows.
async fn register(client: &Client) -> String {
    let email = format!("{}@example.com", Uuid::new_v4().simple());
    let body = json!({"name": "Mai", "email": email, "password": DEMO_PASSWORD});
    let _ = client
        .post("/api/v1/registrations", &body)
        .await
        .expect(202);
    email
}

/// The newest mails, once there are so many.
async fn mails(admin: &Client, number: usize) -> Vec<Value> {
    eventually("the mails are written", PATIENCE, || async {
        let page = admin.get("/api/v1/mails").await.expect(200).json();
        let items = page["items"].as_array().expect("a list").clone();
        (items.len() == number).then_some(items)
    })
    .await
}

#[tokio::test]
async fn a_mail_that_does_not_open_is_shown_without_its_texts_beside_the_others() {
    let shop = Shop::open().await;
    let before = shop.serve().await;
    register(&shop.client(&before)).await;
    let first = mails(&shop.admin(&before).await, 1).await;
    assert!(before.stop().await.success());

    // the old master key is forgotten too early
    let new_key = STANDARD.encode([9; 32]);
    let settings = [("SOUK_MASTER_KEY", new_key.as_str())];
    let server = shop.serve_with(&settings).await;
    let email = register(&shop.client(&server)).await;
    let all = mails(&shop.admin(&server).await, 2).await;
    assert_eq!(all[0]["to"], email.as_str());
    assert_eq!(all[1]["mail_id"], first[0]["mail_id"]);
    let told = shop.try_run(&settings, &["mails"]).await;
    assert!(told.status.success(), "{told:?}");
    let lines: Vec<Value> = String::from_utf8_lossy(&told.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(lines.len(), 2);
    for shown in [&all, &lines] {
        for text in ["to", "subject", "body"] {
            assert!(!text_of(&shown[0][text]).is_empty());
            assert_eq!(shown[1][text], Value::Null, "{text}");
        }
    }
    shop.close().await;
}
