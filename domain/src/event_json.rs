//! The JSON of every event is a storage format: one sample per event, frozen in `snapshots/`. A snapshot that differs
//! is a change of what is stored, and needs a new version of the event with an upcaster.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::num::NonZeroU32;

use cqrs_es::{Aggregate, DomainEvent};

use crate::{
    aggregate::Decider,
    automatic_discounts::{AutomaticDiscounts, AutomaticDiscountsEvent},
    cart::{Cart, CartCode, CartEvent},
    category::{Category, CategoryEvent},
    discount::{Discount, DiscountEvent, DiscountRules, DiscountScope},
    ids::PaymentId,
    inventory::{Inventory, InventoryEvent as I},
    order::{AppliedDiscount, LineQuantity, Order, OrderEvent as O, OrderLine, OrderNumber},
    payment::{Payment, PaymentEvent as P},
    product::{Product, ProductEvent},
    redemptions::{Redemptions, RedemptionsEvent},
    region::{Region, RegionEvent},
    sealed::Sealed,
    shop::{Shop, ShopEvent},
    testing::{
        CATEGORY, CUSTOMER, DISCOUNT, ORDER, PRODUCT, REFUND, REGION, SHIPMENT, SHOP, at, clothing,
        currency, off, operation, percent, pieces, rate, reason, sku, title, usd,
    },
    text::{CountryCode, Description, DiscountCode, ImageUrl, PaymentMethod, Reference},
};

/// Asserts that there is exactly one sample of each event, and that each comes back from its JSON as it went in.
fn check<A: Decider>(samples: &[A::Event]) {
    let names: Vec<_> = samples.iter().map(DomainEvent::event_type).collect();
    let known: Vec<_> = A::EVENTS.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, known, "one sample per event, in order");
    for (sample, (name, version)) in samples.iter().zip(A::EVENTS) {
        assert_eq!(DomainEvent::event_version(sample), *version);
        let json = serde_json::to_string(sample).unwrap();
        assert!(
            json.starts_with(&format!("{{\"type\":\"{name}\"")),
            "{json}"
        );
        assert_eq!(serde_json::from_str::<A::Event>(&json).unwrap(), *sample);
        // as jsonb gives it back: keys in another order
        let shuffled: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(
            serde_json::from_value::<A::Event>(shuffled).unwrap(),
            *sample
        );
    }
}

fn reference(text: &str) -> Reference {
    Reference::parse(text).unwrap()
}

fn card() -> PaymentMethod {
    PaymentMethod::parse("pm_card_visa").unwrap()
}

fn lines() -> Vec<LineQuantity> {
    vec![LineQuantity {
        line: 1,
        product_id: PRODUCT,
        quantity: pieces(3),
    }]
}

#[test]
fn aggregate_types_are_frozen() {
    let types = [
        Region::TYPE,
        Category::TYPE,
        Shop::TYPE,
        Product::TYPE,
        Inventory::TYPE,
        Order::TYPE,
        Payment::TYPE,
    ];
    assert_eq!(
        types,
        [
            "region",
            "category",
            "shop",
            "product",
            "inventory",
            "order",
            "payment"
        ]
    );
}

#[test]
fn region_events_are_frozen() {
    let country = CountryCode::parse("US").unwrap();
    let samples = [
        RegionEvent::RegionOpened {
            region_id: REGION,
            title: title("United States"),
            country: country.clone(),
            currency: currency("USD"),
            tax_rate: rate(825),
            prices_include_tax: false,
            default_for_currency: true,
        },
        RegionEvent::RegionChanged {
            title: title("United States"),
            country,
            tax_rate: rate(900),
            prices_include_tax: true,
            default_for_currency: false,
        },
        RegionEvent::RegionDisabled {},
        RegionEvent::RegionEnabled {},
        RegionEvent::RegionDeleted {},
    ];
    check::<Region>(&samples);
    insta::assert_json_snapshot!(samples);
}

#[test]
fn category_events_are_frozen() {
    let samples = [
        CategoryEvent::CategoryCreated {
            category_id: CATEGORY,
            title: title("Áo"),
        },
        CategoryEvent::CategoryRenamed {
            title: title("Shirts"),
            previous: title("Áo"),
        },
        CategoryEvent::CategoryDeleted {},
    ];
    check::<Category>(&samples);
    insta::assert_json_snapshot!(samples);
}

#[test]
fn shop_events_are_frozen() {
    let description = Description::parse("Hats.\nAnd coats.").unwrap();
    let samples = [
        ShopEvent::ShopRequested {
            shop_id: SHOP,
            owner_id: CUSTOMER,
            title: title("Nón"),
            description: description.clone(),
        },
        ShopEvent::ShopOpened {
            shop_id: SHOP,
            owner_id: CUSTOMER,
            title: title("Nón"),
            description: description.clone(),
        },
        ShopEvent::ShopDetailsChanged {
            title: title("Hats"),
            description,
        },
        ShopEvent::ShopClosed {},
    ];
    check::<Shop>(&samples);
    insta::assert_json_snapshot!(samples);
}

#[test]
fn product_events_are_frozen() {
    let description = Description::parse("Cotton.\nWash at 30 °C.").unwrap();
    let image_url = Some(ImageUrl::parse("https://cdn.example.com/tee.png").unwrap());
    let samples = [
        ProductEvent::ProductCreated {
            product_id: PRODUCT,
            region_id: REGION,
            sku: sku("TEE-1"),
            title: title("Áo thun"),
            description: description.clone(),
            image_url,
            price: usd(2599),
        },
        ProductEvent::ProductOfferedByShop { shop_id: SHOP },
        ProductEvent::ProductCategorised {
            category_id: Some(CATEGORY),
        },
        ProductEvent::ProductSpecified {
            specification: Some(clothing("M")),
        },
        ProductEvent::ProductDetailsChanged {
            title: title("Tee"),
            description,
            image_url: None,
        },
        ProductEvent::ProductPriceChanged {
            price: usd(1999),
            previous: usd(2599),
        },
        ProductEvent::ProductDeleted {},
    ];
    check::<Product>(&samples);
    insta::assert_json_snapshot!(samples);
}

#[test]
fn inventory_events_are_frozen() {
    let (product_id, order_id, operation_id) = (PRODUCT, ORDER, operation(1));
    let quantity = pieces(3);
    let samples = [
        I::StockReceived {
            product_id,
            operation_id,
            quantity,
            available: 3,
            reason: Some(reason("delivery")),
        },
        I::StockAdjusted {
            product_id,
            operation_id,
            delta: -4,
            available: -1,
            reason: None,
        },
        I::StockOversold {
            product_id,
            available: -1,
        },
        I::StockReserved {
            product_id,
            order_id,
            quantity,
            available: 7,
        },
        I::StockReleased {
            product_id,
            order_id,
            quantity,
            available: 10,
        },
        I::StockSold {
            product_id,
            order_id,
            quantity,
        },
        I::StockReturned {
            product_id,
            order_id,
            operation_id,
            quantity,
            available: 10,
        },
        I::LowStockThresholdSet {
            product_id,
            threshold: 3,
            previous: 5,
        },
        I::StockRanLow {
            product_id,
            available: 3,
            threshold: 3,
        },
        I::StockRecovered {
            product_id,
            available: 4,
        },
    ];
    check::<Inventory>(&samples);
    insta::assert_json_snapshot!(samples);
}

fn code() -> DiscountCode {
    DiscountCode::parse("TET").unwrap()
}

fn applied() -> AppliedDiscount {
    AppliedDiscount {
        discount_id: DISCOUNT,
        title: title("Tết"),
        code: Some(code()),
        amount: 300,
    }
}

#[test]
fn discount_events_are_frozen() {
    let everything = DiscountRules {
        scope: DiscountScope {
            product_ids: [PRODUCT].into(),
            category_ids: [CATEGORY].into(),
        },
        minimum: 5000,
        starts_at: Some(at(0)),
        ends_at: Some(at(86_400)),
        max_uses: NonZeroU32::new(100),
        max_uses_per_customer: NonZeroU32::new(1),
        ..percent(1250)
    };
    let samples = [
        DiscountEvent::DiscountCreated {
            discount_id: DISCOUNT,
            region_id: REGION,
            currency: currency("USD"),
            shop_id: Some(SHOP),
            code: Some(code()),
            rules: everything,
        },
        DiscountEvent::DiscountChanged { rules: off(500) },
        DiscountEvent::DiscountDeleted {},
        DiscountEvent::DiscountUsed { order_id: ORDER },
        DiscountEvent::DiscountUseReturned { order_id: ORDER },
    ];
    check::<Discount>(&samples);
    insta::assert_json_snapshot!(samples);
}

#[test]
fn redemptions_events_are_frozen() {
    let samples = [
        RedemptionsEvent::DiscountRedeemed {
            discount_id: DISCOUNT,
            customer_id: CUSTOMER,
            order_id: ORDER,
        },
        RedemptionsEvent::RedemptionReturned { order_id: ORDER },
    ];
    check::<Redemptions>(&samples);
    insta::assert_json_snapshot!(samples);
}

#[test]
fn automatic_discounts_events_are_frozen() {
    let samples = [
        AutomaticDiscountsEvent::DiscountListed {
            discount_id: DISCOUNT,
            ends_at: Some(at(86_400)),
        },
        AutomaticDiscountsEvent::DiscountUnlisted {
            discount_id: DISCOUNT,
        },
    ];
    check::<AutomaticDiscounts>(&samples);
    insta::assert_json_snapshot!(samples);
}

#[test]
fn cart_events_are_frozen() {
    let samples = [
        CartEvent::CartOpened {
            customer_id: CUSTOMER,
            region_id: REGION,
        },
        CartEvent::CartItemPut {
            product_id: PRODUCT,
            quantity: pieces(3),
            unit_price: 1000,
        },
        CartEvent::CartItemRemoved {
            product_id: PRODUCT,
        },
        CartEvent::CartCodesSet {
            codes: vec![CartCode {
                code: code(),
                discount_id: DISCOUNT,
            }],
        },
        CartEvent::CartCleared {},
        CartEvent::CartCheckedOut { order_id: ORDER },
    ];
    check::<Cart>(&samples);
    insta::assert_json_snapshot!(samples);
}

#[test]
fn order_events_are_frozen() {
    let payment_id = PaymentId::of(ORDER);
    let line = OrderLine {
        line: 1,
        product_id: PRODUCT,
        shop_id: Some(SHOP),
        sku: sku("TEE-1"),
        title: title("Tee"),
        quantity: pieces(3),
        unit_price: 1000,
        discount: 300,
        discount_id: Some(DISCOUNT),
        net: 2700,
        tax: 270,
        gross: 2970,
    };
    let samples = [
        O::OrderPlaced {
            order_id: ORDER,
            number: Some(OrderNumber(100_001)),
            customer_id: CUSTOMER,
            customer_name: Sealed::new("v1.key.name"),
            shipping_address: Sealed::new("v1.key.address"),
            region_id: REGION,
            currency: currency("USD"),
            tax_rate: rate(1000),
            prices_include_tax: false,
            payment_method: card(),
            lines: vec![line.clone()],
            subtotal: 3000,
            discount: 300,
            discounts: vec![applied()],
            tax: 270,
            total: 2970,
            payment_delay_ms: 60_000,
            payment_window_ms: 1_800_000,
        },
        O::OrderPaymentStarted {
            payment_id,
            attempt: 1,
        },
        O::OrderPaid {
            payment_id,
            amount: 3300,
        },
        O::OrderPaymentFailed {
            payment_id,
            attempt: 1,
            reason: reason("card declined"),
        },
        O::OrderUnpaid {
            payment_id: Some(payment_id),
            reason: reason("deadline passed"),
        },
        O::OrderCancellationRequested {
            reason: reason("changed my mind"),
            requested_by: Some(CUSTOMER),
        },
        O::OrderCancelled {
            reason: reason("changed my mind"),
            lines: lines(),
            refund: 3300,
        },
        O::OrderRemainderCancelled {
            reason: reason("changed my mind"),
            lines: lines(),
            refund: 1100,
        },
        O::OrderContactChanged {
            customer_name: None,
            shipping_address: Some(Sealed::new("v1.sealed")),
        },
        O::OrderItemsChanged {
            lines: vec![line],
            subtotal: 3000,
            discount: 300,
            discounts: vec![applied()],
            tax: 270,
            total: 2970,
        },
        O::OrderHidden {},
        O::OrderItemsShipped {
            shipment_id: SHIPMENT,
            lines: lines(),
            complete: true,
        },
        O::OrderDelivered {},
        O::OrderRefunded {
            refund_id: REFUND,
            amount: 1100,
            refunded_total: 1100,
            complete: false,
        },
    ];
    check::<Order>(&samples);
    insta::assert_json_snapshot!(samples);
}

#[test]
fn payment_events_are_frozen() {
    let (order_id, refund_id) = (ORDER, REFUND);
    let samples = [
        P::PaymentStarted {
            payment_id: PaymentId::of(ORDER),
            order_id,
            customer_id: CUSTOMER,
            amount: usd(3300),
            method: card(),
            attempt: 1,
            deadline_ms: 1_800_000,
        },
        P::PaymentCaptured {
            order_id,
            reference: reference("ch_1"),
            amount: usd(3300),
            attempt: 1,
        },
        P::PaymentDeclined {
            order_id,
            reference: Some(reference("ch_1")),
            reason: reason("card declined"),
            attempt: 1,
        },
        P::PaymentVoidRequested {
            order_id,
            reason: reason("no answer"),
        },
        P::PaymentVoided {
            order_id,
            reference: Some(reference("ch_1")),
        },
        P::PaymentStuck {
            order_id,
            asked: 5,
            reason: reason("timeout"),
        },
        P::PaymentExpired { order_id },
        P::RefundRequested {
            order_id,
            refund_id,
            amount: usd(1100),
            reason: reason("cancelled"),
        },
        P::RefundSucceeded {
            order_id,
            refund_id,
            reference: reference("re_1"),
            amount: usd(1100),
        },
        P::RefundFailed {
            order_id,
            refund_id,
            reason: reason("try later"),
        },
    ];
    check::<Payment>(&samples);
    insta::assert_json_snapshot!(samples);
}

/// As version 1.0 wrote it, before lines named a shop.
#[test]
fn an_order_of_version_1_0_is_read() {
    let stored = r#"{"type":"OrderPlaced","order_id":"00000000-0000-0000-0000-000000003001",
        "customer_id":"00000000-0000-0000-0000-000000005001","customer_name":"v1.key.name",
        "shipping_address":"v1.key.address","region_id":"00000000-0000-0000-0000-000000001001","currency":"USD",
        "tax_rate":1000,"prices_include_tax":false,"payment_method":"pm_card_visa","lines":[{"line":1,
        "product_id":"00000000-0000-0000-0000-000000002001","sku":"TEE-1","title":"Tee","quantity":3,
        "unit_price":1000,"discount":0,"net":3000,"tax":300,"gross":3300}],"subtotal":3000,"discount":0,"tax":300,
        "total":3300,"payment_delay_ms":60000,"payment_window_ms":0}"#;
    let versions = ["1.0", "1.1", "1.2", "1.3"];
    let read = |event| versions.map(|version| Order::reads(event, version));
    assert_eq!(read("OrderPlaced"), [true, true, true, false]);
    assert_eq!(read("OrderItemsChanged"), [true, true, false, false]);
    assert_eq!(read("OrderPaid"), [true, false, false, false]);
    let O::OrderPlaced {
        number,
        lines,
        discounts,
        ..
    } = serde_json::from_str(stored).unwrap()
    else {
        panic!("another event");
    };
    assert_eq!((number, discounts), (None, vec![]));
    assert_eq!((lines[0].shop_id, lines[0].discount_id), (None, None));
    assert_eq!(lines[0].gross, 3300);
}
