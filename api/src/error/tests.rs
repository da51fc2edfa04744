#![allow(clippy::unwrap_used, clippy::expect_used)]
use axum::{body::to_bytes, http::StatusCode};
use domain::{
    category::CategoryError,
    ids::ProductId,
    money::Currency,
    shop::ShopError,
    text::{PaymentMethod, Quantity},
};
use eventstore::event::Unreadable;
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;

async fn answered(error: impl Into<ApiError>) -> (StatusCode, Value) {
    let response = error.into().into_response();
    let status = response.status();
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

fn kind(error: impl Into<ApiError>) -> Kind {
    error.into().problem().kind()
}

#[tokio::test]
async fn what_is_short_is_named_with_how_many_are_left() {
    let shortage = |id, requested, available| Shortage {
        product_id: ProductId(Uuid::from_u128(id)),
        requested: Quantity::parse(requested).unwrap(),
        available,
    };
    let shortages = vec![shortage(1, 5, 2), shortage(2, 9, 0)];
    let (status, document) = answered(Failure::InsufficientStock { shortages }).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(document["type"], "/problems/insufficient_stock");
    assert_eq!(document["product_id"], Uuid::from_u128(1).to_string());
    assert_eq!(document["available"], 2);
    assert_eq!(document["shortages"][1]["available"], 0);
    assert_eq!(document["shortages"][1]["requested"], 9);
}

#[tokio::test]
async fn an_illegal_move_shows_the_legal_ones() {
    let refused = OrderError::IllegalMove {
        from: OrderStatus::Delivered,
        payment: PaymentStatus::Paid,
        command: "CancelOrder",
        allowed: vec![OrderStatus::Shipped],
    };
    let (status, document) = answered(Failure::from(refused)).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(document["type"], "/problems/illegal-move");
    assert_eq!(
        (
            &document["status"],
            &document["order_status"],
            &document["payment_status"],
            &document["allowed"]
        ),
        (
            &json!(409),
            &json!("delivered"),
            &json!("paid"),
            &json!(["shipped"])
        )
    );
}

#[tokio::test]
async fn a_stale_version_is_answered_with_the_current_one() {
    let response = ApiError::from(Failure::PreconditionFailed { current: 7 }).into_response();
    assert_eq!(response.status(), StatusCode::PRECONDITION_FAILED);
    assert_eq!(response.headers()[header::ETAG], "\"7\"");
}

#[test]
fn what_passes_is_503_and_nothing_else_is() {
    let product_id = ProductId(Uuid::from_u128(1));
    let newer = Unreadable::Newer {
        event_type: "OrderFlown".into(),
        event_version: "1.0".into(),
    };
    let malformed = Unreadable::Malformed {
        event_type: "OrderPlaced".into(),
        reason: "x".into(),
    };
    let failures = [
        Failure::NotFound { what: "order" },
        Failure::Region(RegionError::Disabled),
        Failure::Product(ProductError::Deleted),
        Failure::Inventory(InventoryError::Overflow),
        Failure::Order(OrderError::AlreadyShipped {
            from: OrderStatus::Shipped,
            payment: PaymentStatus::Paid,
            allowed: vec![OrderStatus::Delivered],
        }),
        Failure::NotOnSale {
            product_id,
            reason: ProductError::Deleted,
        },
        Failure::NotYours,
        Failure::Category(CategoryError::AlreadyExists),
        Failure::Shop(ShopError::AlreadyExists),
        Failure::ShopNotOpen {
            product_id,
            reason: ShopError::AlreadyExists,
        },
        Failure::UnknownPaymentMethod {
            method: PaymentMethod::parse("x").unwrap(),
        },
        Failure::PreconditionFailed { current: 1 },
        Failure::ClaimTaken {
            scope: "sku:1".into(),
            value: "A".into(),
        },
        Failure::KeyTaken,
        Failure::Erased,
        Failure::Unacceptable("too large".into()),
        Failure::Unreadable(newer),
        Failure::Unreadable(malformed),
        Failure::DeadlinePassed,
        Failure::Overloaded,
        Failure::Unavailable("secret address".into()),
        Failure::OutcomeUnknown,
    ];
    for failure in failures {
        let (passing, shown) = (failure.is_passing(), format!("{failure:?}"));
        let status = kind(failure).status();
        assert_eq!(
            status == StatusCode::SERVICE_UNAVAILABLE,
            passing,
            "{shown}"
        );
        assert!(passing || status.is_client_error(), "{shown}");
    }
    assert_eq!(kind(Failure::Defect("a bug")), Kind::Internal);
}

#[tokio::test]
async fn what_the_client_cannot_help_is_not_told() {
    let io = || sqlx::Error::Io(std::io::Error::other("10.0.0.7 refused"));
    let errors = [
        ApiError::Command(Failure::Unavailable("10.0.0.7 refused".into())),
        ApiError::Database(io()),
        ApiError::Query(QueryError::Database(io())),
        ApiError::Query(QueryError::EngineAway),
        ApiError::Wait(WaitError::Database(io())),
        ApiError::Identity(identity::Fault::Database(io())),
        ApiError::Seal(SealError::Database(io())),
    ];
    for error in errors {
        let (status, document) = answered(error).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(!document.to_string().contains("10.0.0.7"), "{document}");
    }
    assert_eq!(kind(sqlx::Error::RowNotFound), Kind::Internal);
}

#[test]
fn reasons_of_the_domain_point_at_the_field() {
    let usd = Currency::parse("USD").unwrap();
    let vnd = Currency::parse("VND").unwrap();
    let wrong = Failure::Product(ProductError::WrongCurrency {
        region: vnd,
        given: usd,
    });
    for (failure, expected) in [
        (wrong, Kind::Validation),
        (
            Failure::Product(ProductError::NegativePrice),
            Kind::Validation,
        ),
        (
            Failure::Product(ProductError::PriceTooHigh),
            Kind::Validation,
        ),
        (
            Failure::Order(OrderError::Pricing(PricingError::Empty)),
            Kind::Validation,
        ),
        (
            Failure::Order(OrderError::Pricing(PricingError::TotalTooLarge)),
            Kind::Validation,
        ),
        (Failure::Region(RegionError::Disabled), Kind::RegionDisabled),
        (Failure::Region(RegionError::Deleted), Kind::NotFound),
        (
            Failure::ClaimTaken {
                scope: "sku:1".into(),
                value: "A".into(),
            },
            Kind::Taken,
        ),
    ] {
        assert_eq!(kind(failure), expected);
    }
}
