//! The command line beside a server: repeatable, and clear about what is in the way.

use tests::shop::Shop;

#[tokio::test]
async fn seeding_and_migrating_again_add_nothing() {
    let shop = Shop::open().await;
    let before = shop.head().await;
    let events = shop.events().await;
    let count = |name: &str| {
        events
            .iter()
            .filter(|event| event.event_type == name)
            .count()
    };
    assert_eq!(count("RegionOpened"), 3);
    assert!(count("ProductCreated") >= 3 * 8);
    assert!(count("CategoryCreated") > 0);
    assert_eq!(count("ShopOpened"), 1);
    assert!(count("DiscountCreated") > count("DiscountListed"));
    assert_eq!(count("ProductOfferedByShop"), count("ProductSpecified"));
    // two at once each, as when several servers are rolled out
    tokio::join!(shop.run(&["migrate"]), shop.run(&["migrate"]));
    tokio::join!(shop.run(&["seed"]), shop.run(&["seed"]));
    assert_eq!(shop.head().await, before);
    shop.close().await;
}

#[tokio::test]
async fn what_is_missing_is_said_in_one_line() {
    let shop = Shop::open().await;
    for (own, arguments, code, told) in [
        (vec![("SOUK_DEMO", "false")], vec!["seed"], 1, "SOUK_DEMO"),
        (
            vec![("SOUK_DEMO", "false"), ("SOUK_JWT_SECRET", "")],
            vec!["serve"],
            1,
            "SOUK_JWT_SECRET",
        ),
        (
            vec![("SOUK_DEMO", "false"), ("SOUK_MASTER_KEY", "")],
            vec!["serve"],
            1,
            "SOUK_MASTER_KEY",
        ),
        (
            vec![("SOUK_DEMO", "false"), ("SOUK_ERASURE_GRACE", "31s")],
            vec!["serve"],
            1,
            "SOUK_ERASURE_GRACE",
        ),
        (
            vec![("DATABASE_URL", "mysql://x")],
            vec!["migrate"],
            1,
            "DATABASE_URL",
        ),
        (
            vec![("SOUK_PAYMENT_DELAY", "soon")],
            vec!["serve"],
            2,
            "payment-delay",
        ),
        (vec![], vec!["fly"], 2, "fly"),
    ] {
        let output = shop.try_run(&own, &arguments).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{own:?} {arguments:?}: {said}"
        );
        assert!(said.contains(told), "{own:?} {arguments:?}: {said}");
        assert!(output.stdout.is_empty());
        if code == 1 {
            // the server may have logged something before
            let last = said.trim().lines().last().unwrap_or_default();
            assert!(last.starts_with("souk: ") && last.contains(told), "{said}");
        }
    }
    shop.close().await;
}

#[tokio::test]
async fn the_status_of_projections_names_each_with_its_lag() {
    let shop = Shop::open().await;
    let server = shop.serve().await;
    let told = shop.run(&["projections", "status"]).await;
    for name in [
        "regions_v2",
        "products_v4",
        "orders_v3",
        "payments_v1",
        "timeline_v1",
        "categories_v2",
        "shops_v1",
        "discounts_v1",
        "carts_v1",
        "payment_saga",
        "sellers",
    ] {
        assert!(told.contains(name), "{told}");
    }
    let document = shop.run(&["openapi"]).await;
    let printed: serde_json::Value = serde_json::from_str(&document).unwrap();
    let document_served = shop
        .client(&server)
        .get("/openapi.json")
        .await
        .expect(200)
        .json();
    assert_eq!(printed["paths"], document_served["paths"]);
    shop.close().await;
}
