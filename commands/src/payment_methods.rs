//! The payment methods that an order may name.
//!
//! The names that begin with `test_` choose the outcome at the fake gateway, for demonstrations and tests. They are
//! accepted only where that is switched on; elsewhere an order that names one is refused.

use domain::text::PaymentMethod;

use crate::failure::Failure;

/// The method of an order that names none. The fake gateway captures it.
pub const DEFAULT: &str = "default";
/// Captured.
pub const TEST_SUCCEEDS: &str = "test_succeeds";
/// Declined, every time.
pub const TEST_DECLINED: &str = "test_declined";
/// The first attempt is declined, the second captured. Needs a payment window.
pub const TEST_DECLINED_THEN_SUCCEEDS: &str = "test_declined_then_succeeds";
/// The first call times out although the charge took place; asked again, the gateway tells that it is captured.
pub const TEST_TIMES_OUT_THEN_SUCCEEDS: &str = "test_times_out_then_succeeds";
/// Every call times out, also the void: the payment gets stuck.
pub const TEST_NEVER_ANSWERS: &str = "test_never_answers";
/// Charge and question time out, the void is confirmed: the order becomes unpaid.
pub const TEST_VOIDS_AFTER_SILENCE: &str = "test_voids_after_silence";

/// Every method for tests.
pub const TEST_METHODS: [&str; 6] = [
    TEST_SUCCEEDS,
    TEST_DECLINED,
    TEST_DECLINED_THEN_SUCCEEDS,
    TEST_TIMES_OUT_THEN_SUCCEEDS,
    TEST_NEVER_ANSWERS,
    TEST_VOIDS_AFTER_SILENCE,
];

/// Which payment methods are accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PaymentMethods {
    /// [`DEFAULT`] alone.
    #[default]
    RealOnly,
    /// [`DEFAULT`] and [`TEST_METHODS`].
    WithTests,
}

impl PaymentMethods {
    /// The method that an order is to be paid by, if it may name it.
    pub(crate) fn choose(self, wished: Option<PaymentMethod>) -> Result<PaymentMethod, Failure> {
        let Some(method) = wished else {
            // cannot fail: the name keeps the rule of payment methods, as a test shows
            return PaymentMethod::parse(DEFAULT)
                .map_err(|error| Failure::Unacceptable(error.to_string()));
        };
        let accepted = match self {
            Self::RealOnly => method.as_str() == DEFAULT,
            Self::WithTests => {
                method.as_str() == DEFAULT || TEST_METHODS.contains(&method.as_str())
            }
        };
        if accepted {
            Ok(method)
        } else {
            Err(Failure::UnknownPaymentMethod { method })
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn method(name: &str) -> PaymentMethod {
        PaymentMethod::parse(name).unwrap()
    }

    #[test]
    fn an_order_that_names_no_method_gets_the_default() {
        for accepted in [PaymentMethods::RealOnly, PaymentMethods::WithTests] {
            assert_eq!(accepted.choose(None).unwrap().as_str(), DEFAULT);
            assert_eq!(
                accepted.choose(Some(method(DEFAULT))).unwrap().as_str(),
                DEFAULT
            );
        }
    }

    #[test]
    fn methods_for_tests_are_refused_unless_switched_on() {
        for name in TEST_METHODS {
            let method = method(name);
            let refused = Failure::UnknownPaymentMethod {
                method: method.clone(),
            };
            assert_eq!(
                PaymentMethods::RealOnly.choose(Some(method.clone())),
                Err(refused)
            );
            assert_eq!(
                PaymentMethods::WithTests.choose(Some(method.clone())),
                Ok(method)
            );
        }
    }

    #[test]
    fn any_other_method_is_refused() {
        let method = method("test_of_mine");
        let refused = Failure::UnknownPaymentMethod {
            method: method.clone(),
        };
        assert_eq!(PaymentMethods::WithTests.choose(Some(method)), Err(refused));
    }
}
