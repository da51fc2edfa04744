//! Payments: rows move as the aggregate does, the ledger keeps what the gateway said.

use domain::{
    ids::{OrderId, PaymentId, RefundId, UserId},
    payment::{FactKind, Payment, PaymentCommand, PaymentState, RefundOutcome, StartPayment},
    text::{PaymentMethod, Reason, Reference},
};
use projections::{
    View,
    page::{Direction, Limits, PageRequest, Sort, Span},
    payments::{PaymentFilter, PaymentSort, PaymentView},
};
use uuid::Uuid;

use crate::shop::{Shop, customer, usd};

const AMOUNT: i64 = 2_599;

fn reason(text: &str) -> Reason {
    Reason::parse(text).unwrap()
}

fn reference(text: &str) -> Reference {
    Reference::parse(text).unwrap()
}

fn start(order_id: OrderId, customer_id: UserId, attempt: u32) -> PaymentCommand {
    PaymentCommand::StartPayment(StartPayment {
        payment_id: PaymentId::of(order_id),
        order_id,
        customer_id,
        amount: usd(AMOUNT),
        method: PaymentMethod::parse("test_succeeds").unwrap(),
        attempt,
        deadline_ms: 60_000,
    })
}

fn capture(attempt: u32) -> PaymentCommand {
    PaymentCommand::RecordCapture {
        attempt,
        reference: reference("ch_1"),
        amount: usd(AMOUNT),
    }
}

fn decline(attempt: u32) -> PaymentCommand {
    let reference = Some(reference(&format!("ch_declined_{attempt}")));
    PaymentCommand::RecordDecline {
        attempt,
        reference,
        reason: reason("card_declined"),
    }
}

fn request_refund(order_id: OrderId, name: &str, cents: i64) -> PaymentCommand {
    PaymentCommand::RequestRefund {
        refund_id: RefundId::of(order_id, name),
        amount: usd(cents),
        reason: reason("returned"),
    }
}

fn refunded(order_id: OrderId, name: &str) -> PaymentCommand {
    PaymentCommand::RecordRefund {
        refund_id: RefundId::of(order_id, name),
        reference: reference(&format!("re_{name}")),
    }
}

fn refund_failed(order_id: OrderId, name: &str) -> PaymentCommand {
    PaymentCommand::RecordRefundFailure {
        refund_id: RefundId::of(order_id, name),
        reason: reason("no funds"),
    }
}

/// The row says what the aggregate says.
async fn check(shop: &Shop, order_id: OrderId) -> PaymentView {
    let payment_id = PaymentId::of(order_id);
    let row = shop.models.payment(payment_id).await.unwrap().unwrap();
    let (payment, sequence) = shop.log.load::<Payment>(payment_id).await.unwrap();
    let payment = payment.started().unwrap();
    assert_eq!(row.status, payment.state());
    assert_eq!(
        (row.order_id, row.customer_id, row.amount),
        (order_id, payment.customer_id, payment.amount)
    );
    assert_eq!(
        (row.attempt, row.sequence),
        (i64::from(payment.attempt), sequence)
    );
    assert_eq!(
        row.captured,
        payment.captured().map(|(_, money)| money.amount)
    );
    assert_eq!(row.refunded, payment.refunded());
    let said: Vec<_> = row
        .ledger
        .iter()
        .map(|entry| (entry.reference.as_str(), entry.kind, entry.amount))
        .collect();
    let expected = payment.ledger.iter();
    let expected: Vec<_> = expected
        .map(|fact| {
            (
                fact.reference.as_str(),
                fact.kind,
                fact.amount.map(|money| money.amount),
            )
        })
        .collect();
    assert_eq!(said, expected);
    assert_eq!(row.refunds.len(), payment.refunds.len());
    for refund in &row.refunds {
        let expected = &payment.refunds[&refund.refund_id];
        assert_eq!(
            (refund.amount, refund.outcome),
            (expected.amount.amount, expected.outcome)
        );
        assert_eq!(refund.reason, expected.reason.as_str());
        assert_eq!(
            refund.failure.is_some(),
            refund.outcome == RefundOutcome::Failed
        );
    }
    row
}

/// Every state, each history in two ways: followed event by event, and taken in one batch.
#[tokio::test]
async fn a_payment_moves_as_its_aggregate_does() {
    use PaymentCommand as C;
    let mut shop = Shop::open().await;
    let stuck = || C::ReportStuck {
        asked: 7,
        reason: reason("timeout"),
    };
    let void = || C::RequestVoid {
        reason: reason("cancelled"),
    };
    let histories: Vec<Box<dyn Fn(OrderId) -> Vec<PaymentCommand>>> = vec![
        Box::new(|_| vec![capture(1)]),
        Box::new(|_| vec![decline(1)]),
        Box::new(|id| vec![decline(1), start(id, UserId(id.0), 2), capture(2)]),
        Box::new(|_| vec![decline(1), C::ExpirePayment]),
        Box::new(|_| vec![decline(1), C::ExpirePayment, capture(1)]),
        Box::new(move |_| vec![stuck()]),
        Box::new(move |_| {
            vec![
                stuck(),
                void(),
                C::RecordVoid {
                    reference: Some(reference("void_1")),
                },
            ]
        }),
        Box::new(move |_| vec![void(), capture(1)]),
        Box::new(move |_| vec![void(), C::RecordVoid { reference: None }]),
        Box::new(|id| vec![capture(1), request_refund(id, "a", 99), refunded(id, "a")]),
        Box::new(|id| {
            vec![
                capture(1),
                request_refund(id, "a", AMOUNT),
                refund_failed(id, "a"),
                refunded(id, "a"),
            ]
        }),
        Box::new(|id| {
            vec![
                capture(1),
                request_refund(id, "a", 1),
                request_refund(id, "b", 2),
                refund_failed(id, "b"),
                refunded(id, "a"),
            ]
        }),
    ];
    let mut begun = vec![];
    for live in [true, false] {
        if !live {
            shop.subscriptions.close().await;
        }
        for history in &histories {
            let order_id = OrderId(Uuid::now_v7());
            begun.push(order_id);
            shop.command::<Payment>(
                PaymentId::of(order_id),
                start(order_id, UserId(order_id.0), 1),
            )
            .await;
            for command in history(order_id) {
                shop.command::<Payment>(PaymentId::of(order_id), command)
                    .await;
                if live {
                    shop.settle(&[View::Payments]).await;
                    check(&shop, order_id).await;
                }
            }
        }
    }
    shop.restart().await;
    shop.settle(&[View::Payments]).await;
    let mut seen = vec![];
    for order_id in begun {
        seen.push(check(&shop, order_id).await.status);
    }
    let unseen = PaymentState::ALL
        .into_iter()
        .filter(|state| !seen.contains(state))
        .collect::<Vec<_>>();
    assert_eq!(
        unseen,
        [PaymentState::Pending, PaymentState::Voiding],
        "seen on the way, not at an end"
    );
    shop.close().await;
}

#[tokio::test]
async fn payments_are_filtered_and_sorted() {
    let shop = Shop::open().await;
    let (ann, ben) = (customer(), customer());
    let orders = [1, 2, 3].map(|_| OrderId(Uuid::now_v7()));
    let ids = orders.map(PaymentId::of);
    for (order_id, customer_id) in orders.into_iter().zip([ann, ben, ann]) {
        shop.command::<Payment>(PaymentId::of(order_id), start(order_id, customer_id, 1))
            .await;
    }
    let stuck = PaymentCommand::ReportStuck {
        asked: 3,
        reason: reason("timeout"),
    };
    shop.command::<Payment>(ids[1], stuck).await;
    shop.command::<Payment>(ids[2], capture(1)).await;
    shop.settle(&[View::Payments]).await;

    let sorted = async |filter: PaymentFilter, direction| {
        let sort = Sort {
            key: PaymentSort::CreatedAt,
            direction,
        };
        let page = PageRequest::new(Limits::STANDARD, sort, None, None).unwrap();
        let page = shop.models.payments(&filter, &page).await.unwrap();
        page.items
            .into_iter()
            .map(|payment| payment.payment_id)
            .collect::<Vec<_>>()
    };
    let list = async |filter| sorted(filter, Direction::Asc).await;
    let all = PaymentFilter::default;
    assert_eq!(list(all()).await, ids);
    assert_eq!(
        sorted(all(), Direction::Desc).await,
        [ids[2], ids[1], ids[0]]
    );
    assert_eq!(
        list(PaymentFilter {
            status: Some(PaymentState::Stuck),
            ..all()
        })
        .await,
        [ids[1]]
    );
    assert_eq!(
        list(PaymentFilter {
            order_id: Some(orders[0]),
            ..all()
        })
        .await,
        [ids[0]]
    );
    assert_eq!(
        list(PaymentFilter {
            customer_id: Some(ann),
            ..all()
        })
        .await,
        [ids[0], ids[2]]
    );
    let second = shop.models.payment(ids[1]).await.unwrap().unwrap();
    assert_eq!((second.deadline_at - second.created_at).num_seconds(), 60);
    assert_eq!(second.reason.as_deref(), Some("timeout"));
    let created_at = Span {
        gte: None,
        lte: Some(second.created_at),
    };
    assert_eq!(
        list(PaymentFilter {
            created_at,
            ..all()
        })
        .await,
        [ids[0], ids[1]]
    );
    let third = shop.models.payment(ids[2]).await.unwrap().unwrap();
    assert_eq!(third.ledger[0].kind, FactKind::Captured);
    assert_eq!(Some(third.ledger[0].recorded_at), third.captured_at);
    shop.close().await;
}
