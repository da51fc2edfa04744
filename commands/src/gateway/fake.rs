//! A payment gateway that moves no money, with a book of its own: the default, and what tests pay with.
//!
//! It keeps what the port asks for: keys are idempotent, voids are for good, no more goes back than was captured. The
//! payment method chooses the outcome ([`crate::payment_methods`]); a call that "times out" fails at once. Its book
//! stands for another company's database: charges that come in together are entered by one statement, so that the
//! fake is not what limits the shop.

mod book;

use domain::text::{PaymentMethod, Reason, Reference};
use sqlx::PgPool;

use self::book::{Book, Entry, Status};
use super::{
    Answer, Charge, ChargeKey, ChargeStatus, GatewayError, PaymentGateway, Refund, RefundStatus,
};
use crate::payment_methods::{
    TEST_DECLINED, TEST_DECLINED_THEN_SUCCEEDS, TEST_NEVER_ANSWERS, TEST_TIMES_OUT_THEN_SUCCEEDS,
    TEST_VOIDS_AFTER_SILENCE,
};

/// What it says when it declines.
const DECLINED: &str = "card_declined";

/// See the module.
pub struct FakeGateway {
    book: Book,
}

impl FakeGateway {
    /// A gateway with its book in this database. Needs a Tokio runtime; its task ends with it.
    pub fn new(database: &PgPool) -> Self {
        Self {
            book: Book::open(database),
        }
    }

    /// How often money was captured in the name of this payment: more than once would be a double charge.
    pub async fn captures_of(
        &self,
        payment_id: domain::ids::PaymentId,
    ) -> Result<i64, sqlx::Error> {
        self.book.captures_of(payment_id).await
    }
}

/// What becomes of a charge, by its method and the number of the attempt.
fn verdict(method: &PaymentMethod, attempt: u32) -> Status {
    match method.as_str() {
        TEST_DECLINED => Status::Declined,
        TEST_DECLINED_THEN_SUCCEEDS if attempt == 1 => Status::Declined,
        TEST_NEVER_ANSWERS | TEST_VOIDS_AFTER_SILENCE => Status::Silent,
        _ => Status::Captured,
    }
}

/// What the book tells of a charge.
fn told(entry: &Entry) -> Result<ChargeStatus, GatewayError> {
    let reference = entry
        .reference
        .as_deref()
        .and_then(|reference| Reference::parse(reference).ok());
    match (entry.status, reference, entry.amount) {
        (Status::Captured, Some(reference), Some(amount)) => {
            Ok(ChargeStatus::Captured { reference, amount })
        }
        (Status::Declined, reference, _) => Ok(ChargeStatus::Declined {
            reference,
            reason: Reason::lossy(DECLINED),
        }),
        (Status::Voided, reference, _) => Ok(ChargeStatus::Voided { reference }),
        (Status::Silent, ..) => Err(GatewayError::Timeout),
        (Status::Captured, ..) => Err(GatewayError::Unavailable("the book is damaged".into())),
    }
}

impl PaymentGateway for FakeGateway {
    fn charge(&self, charge: Charge) -> Answer<'_, ChargeStatus> {
        Box::pin(async move {
            let status = verdict(&charge.method, charge.key.attempt);
            let answer_is_lost = charge.method.as_str() == TEST_TIMES_OUT_THEN_SUCCEEDS;
            let entry = self.book.enter(charge, status).await?;
            if entry.is_new && answer_is_lost {
                return Err(GatewayError::Timeout);
            }
            told(&entry)
        })
    }

    fn ask(&self, key: ChargeKey) -> Answer<'_, ChargeStatus> {
        Box::pin(async move {
            match self.book.find(key).await? {
                Some(entry) => told(&entry),
                None => Ok(ChargeStatus::NotFound),
            }
        })
    }

    fn void(&self, key: ChargeKey) -> Answer<'_, ChargeStatus> {
        Box::pin(async move { told(&self.book.void(key).await?) })
    }

    fn refund(&self, refund: Refund) -> Answer<'_, RefundStatus> {
        Box::pin(async move { self.book.refund(refund).await })
    }
}

impl From<sqlx::Error> for GatewayError {
    fn from(error: sqlx::Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::payment_methods::{DEFAULT, TEST_METHODS, TEST_SUCCEEDS};

    #[test]
    fn the_method_chooses_the_outcome() {
        let verdict = |name: &str, attempt| verdict(&PaymentMethod::parse(name).unwrap(), attempt);
        for name in [DEFAULT, TEST_SUCCEEDS, TEST_TIMES_OUT_THEN_SUCCEEDS] {
            assert_eq!(verdict(name, 1), Status::Captured, "{name}");
        }
        assert_eq!(verdict(TEST_DECLINED, 7), Status::Declined);
        assert_eq!(verdict(TEST_DECLINED_THEN_SUCCEEDS, 1), Status::Declined);
        assert_eq!(verdict(TEST_DECLINED_THEN_SUCCEEDS, 2), Status::Captured);
        assert_eq!(verdict(TEST_NEVER_ANSWERS, 1), Status::Silent);
        assert_eq!(verdict(TEST_VOIDS_AFTER_SILENCE, 1), Status::Silent);
        assert_eq!(
            TEST_METHODS.len(),
            6,
            "a new method for tests needs its outcome here"
        );
    }
}
