#![allow(clippy::unwrap_used, clippy::expect_used)]
use domain::{
    money::{Money, TaxRate},
    order::{OrderCommand, OrderNumber, PlaceOrder},
    pricing::PricedItem,
    region::RegionTerms,
    text::{PaymentMethod, Quantity, Sku, Title},
};

use uuid::Uuid;

use super::*;

/// An order of so many pieces at 25.99 USD and 10 % tax.
fn placed(pieces: u64) -> PlacedOrder {
    let region_id = RegionId(Uuid::from_u128(1));
    let currency = Currency::parse("USD").unwrap();
    let command = OrderCommand::PlaceOrder(PlaceOrder {
        order_id: OrderId(Uuid::from_u128(2)),
        number: OrderNumber(100_001),
        customer_id: UserId(Uuid::from_u128(3)),
        customer_name: Sealed::new("sealed name"),
        shipping_address: Sealed::new("sealed address"),
        terms: RegionTerms {
            region_id,
            currency,
            tax_rate: TaxRate::from_basis_points(1_000).unwrap(),
            prices_include_tax: false,
        },
        payment_method: PaymentMethod::parse("default").unwrap(),
        items: vec![PricedItem {
            product_id: ProductId(Uuid::from_u128(4)),
            region_id,
            shop_id: None,
            category_id: None,
            sku: Sku::parse("TEE-01").unwrap(),
            title: Title::parse("Áo dài").unwrap(),
            quantity: Quantity::parse(pieces).unwrap(),
            unit_price: Money::new(2_599, currency),
        }],
        offers: vec![],
        payment_delay_ms: 60_000,
        payment_window_ms: 0,
    });
    let mut order = Order::default();
    for event in order.decide(command).unwrap() {
        order.evolve(&event);
    }
    order.placed().unwrap().clone()
}

fn shown(order: PlacedOrder, name: Option<&str>) -> serde_json::Value {
    let at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let versioned = Versioned {
        state: order,
        sequence: 1,
    };
    let body =
        Snapshot::just_placed(versioned, Some(at)).into_body(name.map(ToOwned::to_owned), None);
    serde_json::to_value(body).unwrap()
}

#[test]
fn the_next_statuses_are_those_of_the_domain() {
    for pieces in [1, 2, 500] {
        for status in OrderStatus::ALL {
            for payment_status in PaymentStatus::ALL {
                let order = PlacedOrder {
                    status,
                    payment_status,
                    ..placed(pieces)
                };
                let (next, of_money) = (order.next_statuses(), order.next_payment_statuses());
                let shown = shown(order, None);
                assert_eq!(shown["next_statuses"], serde_json::json!(next));
                assert_eq!(shown["next_payment_statuses"], serde_json::json!(of_money));
            }
        }
    }
}

#[test]
fn amounts_are_shown_in_minor_units_and_as_decimals() {
    let order = shown(placed(2), Some("Anna"));
    assert_eq!(order["subtotal"]["decimal"], "51.98");
    assert_eq!(order["tax"]["amount"], 520);
    assert_eq!(
        order["order_total"],
        serde_json::json!({"amount": 5718, "currency": "USD", "decimal": "57.18"})
    );
    assert_eq!(order["items"][0]["total"]["decimal"], "57.18");
    assert_eq!(order["items"][0]["quantity"], 2);
}

#[test]
fn an_order_that_was_just_placed_waits_for_its_payment() {
    let order = shown(placed(1), Some("Anna"));
    assert_eq!(
        (&order["status"], &order["payment_status"]),
        (&"pending".into(), &"awaiting".into())
    );
    assert_eq!(
        order["next_statuses"],
        serde_json::json!(["processing", "cancelled"])
    );
    assert_eq!(order["created_at"], "2027-01-15T08:00:00Z");
    assert_eq!(order["payment_due_at"], "2027-01-15T08:01:00Z");
    assert!(order["paid_at"].is_null() && order["payment_id"].is_null());
}

#[test]
fn personal_fields_are_what_was_opened_and_never_the_sealed_text() {
    let order = shown(placed(1), Some("Anna"));
    assert_eq!(order["customer_name"], "Anna");
    assert!(
        order["shipping_address"].is_null(),
        "of somebody who was erased"
    );
    assert!(!order.to_string().contains("sealed"));
}
