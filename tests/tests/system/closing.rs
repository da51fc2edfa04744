//! What keeps the data of somebody whose account was closed, and for how long: an order that nobody can see into, one that
//! another process still took, a process that dies in the middle.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tests::{
    answer::text_of,
    client::{Client, PATIENCE, new_order},
    eventually,
    server::Server,
    shop::{DEMO_PASSWORD, Shop},
};
use uuid::Uuid;

use crate::erasure::{
    EMAIL, NAME, Needles, assert_nameless, close, closure, erased_at, event_of, quick,
    tables_that_tell, time, user_id,
};

/// Somebody with an order that is paid.
async fn somebody(shop: &Shop, server: &Server) -> (Client, String, String) {
    let product = shop.admin(server).await.product(100, 10).await;
    let client = shop.client(server);
    let customer = client.register(NAME, EMAIL, DEMO_PASSWORD).await;
    let order = customer.place(&[(&product, 1)], "test_succeeds").await;
    customer.wait_until_paid(&order).await;
    let user = user_id(&customer).await;
    (customer, user, order)
}

/// Waits until the account was looked at twice from now on, long after the grace, and fails where that erased it.
async fn assert_kept(shop: &Shop, admin: &Client, user: &str) {
    let mut known = None;
    for look in ["now", "once more", "twice more"] {
        let what = format!("the account is looked at {look}");
        known = eventually(&what, PATIENCE, || async {
            let next: Option<DateTime<Utc>> = sqlx::query_scalar(
                "select look_at from account_closures
                 where person_id = $1::uuid and look_at > closed_at + interval '1 second'",
            )
            .bind(user)
            .fetch_optional(&shop.pool)
            .await
            .unwrap();
            (next.is_some() && next != known).then_some(next)
        })
        .await;
    }
    let closure = closure(admin, user).await.expect("closed");
    assert_eq!(closure["state"], "pending", "{closure}");
}

/// What is noted of an order that the read model of orders could not take; none where it is not parked.
async fn parked(shop: &Shop, order: &str) -> Option<String> {
    let noted = sqlx::query_scalar(
        "select error from parked_events where subscription = 'orders_v3' and key = $1",
    );
    noted.bind(order).fetch_optional(&shop.pool).await.unwrap()
}

#[tokio::test]
async fn an_order_that_is_parked_keeps_the_key_until_an_operator_has_looked_at_it() {
    let shop = quick().set("SOUK_PAYMENT_DELAY", "0s").open().await;
    let server = shop.serve().await;
    let admin = shop.admin(&server).await;
    let (_, user, order) = somebody(&shop, &server).await;
    // the same order once more under another id, as a plain postgres-es program might write it, with a name for a total:
    // what is noted of it repeats that name
    let events = shop.events().await;
    let mut payload = event_of(&events, &order, "OrderPlaced").content();
    let sealed = text_of(&payload["customer_name"]);
    payload["total"] = json!(sealed);
    let poisoned = Uuid::new_v4().to_string();
    sqlx::query(
        "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
         values ('order', $1, 1, 'OrderPlaced', '1.0', $2::json, '{}')",
    )
    .bind(&poisoned)
    .bind(payload.to_string())
    .execute(&shop.pool)
    .await
    .unwrap();
    let noted = eventually("it is parked", PATIENCE, || parked(&shop, &poisoned)).await;
    assert!(
        sealed.starts_with("v1.") && noted.contains(&sealed),
        "{noted}"
    );

    close(&admin, &user, "").await;
    assert_kept(&shop, &admin, &user).await;
    assert_eq!(
        tables_that_tell(&shop.pool).await,
        BTreeSet::new(),
        "what is parked is sealed"
    );
    let told = shop.run(&["projections", "parked"]).await;
    assert!(told.contains(&poisoned), "{told}");
    assert_eq!(Needles::new().found_in(&told), None);

    // handled again it is no better than before
    let retry = ["projections", "retry", "orders", poisoned.as_str()];
    let retried = shop.try_run(&[], &retry).await;
    assert!(parked(&shop, &poisoned).await.is_some(), "{retried:?}");
    assert_kept(&shop, &admin, &user).await;
    let given_up = shop
        .run(&["projections", "discard", "orders", &poisoned])
        .await;
    assert!(given_up.contains("1 event"), "{given_up}");
    erased_at(&admin, &user).await;
    assert_nameless(&admin.read_order(&order).await);
    let story = admin
        .get(&format!("/api/v1/events?aggregate=order/{poisoned}"))
        .await
        .expect(200);
    assert_eq!(Needles::new().found_in(story.text()), None);
    assert_eq!(tables_that_tell(&shop.pool).await, BTreeSet::new());
    shop.close().await;
}

#[tokio::test]
async fn a_process_that_dies_between_key_and_note_leaves_an_erasure_that_another_ends() {
    let shop = quick().set("SOUK_PAYMENT_DELAY", "0s").open().await;
    let server = shop.serve().await;
    let (_, user, order) = somebody(&shop, &server).await;
    assert!(server.stop().await.success());
    // nobody sees to closed accounts
    let server = shop.serve_with(&[("SOUK_ROLES", "api,projectors")]).await;
    let admin = shop.admin(&server).await;
    close(&admin, &user, "").await;
    // all that the one that died had done
    eventstore::sealing::erase(&shop.pool, user.parse().unwrap())
        .await
        .unwrap();
    assert_eq!(closure(&admin, &user).await.unwrap()["state"], "pending");

    let saga = shop.serve_with(&[("SOUK_ROLES", "saga,projectors")]).await;
    erased_at(&admin, &user).await;
    let left: (i64, i64) = sqlx::query_as(
        "select (select count(*) from person_keys where person_id = $1::uuid),
                (select count(*) from erased_people where person_id = $1::uuid)",
    )
    .bind(&user)
    .fetch_one(&shop.pool)
    .await
    .unwrap();
    assert_eq!(left, (0, 1));
    eventually("nobody can read it any more", PATIENCE, || async {
        let told = admin.read_order(&order).await;
        told["customer_name"].is_null().then_some(())
    })
    .await;
    assert_eq!(tables_that_tell(&shop.pool).await, BTreeSet::new());
    drop(saga);
    shop.close().await;
}

#[tokio::test]
async fn an_order_that_another_process_still_took_is_finished_first() {
    let shop = quick()
        .set("SOUK_ERASURE_GRACE", "4s")
        .set("SOUK_PAYMENT_DELAY", "7s")
        .open()
        .await;
    let (one, two) = (shop.serve().await, shop.serve().await);
    let admin = shop.admin(&one).await;
    let product = admin.product(100, 10).await;
    let (user, closed, order) = late_order(&shop, [&one, &two], &admin, &product).await;
    let erased = erased_at(&admin, &user).await;
    let events = shop.events().await;
    let placed = event_of(&events, &order, "OrderPlaced").recorded_at;
    let paid = event_of(&events, &order, "OrderPaid").recorded_at;
    let closed = time(&closed["closed_at"]);
    assert!(
        closed < placed && placed < paid && paid < erased,
        "{closed} {placed} {paid} {erased}"
    );
    admin.wait_until_paid(&order).await;
    admin.wait_for_stock(&product, [9, 0, 1]).await;
    shop.close().await;
}

/// Somebody whose account was closed at one process while they ordered at another, which did not know it yet: for two
/// seconds it goes by what it has read. Where the machine was too slow for that, somebody else does.
async fn late_order(
    shop: &Shop,
    [one, two]: [&Server; 2],
    admin: &Client,
    product: &str,
) -> (String, Value, String) {
    for _ in 0..20 {
        let customer = shop.customer(one).await.at(&two.address);
        let user = user_id(&customer).await;
        let closed = close(admin, &user, "").await;
        let body = new_order(&[(product, 1)]);
        let answer = customer.post("/api/v1/orders", &body).await;
        if answer.status == 201 {
            return (user, closed, answer.id());
        }
        answer.problem(401);
    }
    panic!("no process was late");
}
