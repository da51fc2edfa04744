//! What can go wrong with a request: one enum, and the one place that says which problem each error is.
//!
//! What a client cannot help is logged here with its cause and answered without it.

use axum::{
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};
use commands::{Failure, PriceDifference, Shortage};
use domain::{
    cart::CartError,
    category::CategoryError,
    discount::{DiscountError, RulesError},
    inventory::InventoryError,
    money::Money,
    order::{OrderError, OrderStatus, PaymentStatus},
    pricing::PricingError,
    product::ProductError,
    region::RegionError,
    shop::ShopError,
};
use eventstore::{LoadError, sealing::SealError, subscription::WaitError};
use identity::{
    ChangePasswordError, CodeError, LogInError, RefreshError, Refusal, RegisterError, TokenError,
    UsersError,
};
use projections::{QueryError, page::PageError};

use crate::{
    problem::{FieldError, Kind, Problem},
    routes::body::MoneyBody,
};

/// Everything that a request can fail of.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The request itself is at fault.
    #[error("{}", .0.kind().title())]
    Request(Box<Problem>),
    /// A command was not done.
    #[error(transparent)]
    Command(#[from] Failure),
    /// A read model was not read.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// Waiting for a read model ended in vain.
    #[error(transparent)]
    Wait(#[from] WaitError),
    /// An aggregate was not loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Personal data was not opened.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// Nobody was logged in.
    #[error(transparent)]
    LogIn(#[from] LogInError),
    /// A session was not continued.
    #[error(transparent)]
    Refresh(#[from] RefreshError),
    /// No account was made.
    #[error(transparent)]
    Register(#[from] RegisterError),
    /// A one-time code opened nothing.
    #[error(transparent)]
    Code(#[from] CodeError),
    /// A password was not changed.
    #[error(transparent)]
    ChangePassword(#[from] ChangePasswordError),
    /// Nobody was made, read or changed.
    #[error(transparent)]
    Users(#[from] UsersError),
    /// Users were not read or written.
    #[error(transparent)]
    Identity(#[from] identity::Fault),
    /// There is no access token, or not a good one.
    #[error("no valid access token")]
    Token(Option<TokenError>),
    /// The database did not answer, or refused.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// A handler did not come to its end: a defect.
    #[error("a handler did not come to its end")]
    Panicked,
}

impl From<Problem> for ApiError {
    fn from(problem: Problem) -> Self {
        Self::Request(Box::new(problem))
    }
}

impl From<Kind> for ApiError {
    fn from(kind: Kind) -> Self {
        Problem::new(kind).into()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        self.problem().into_response()
    }
}

impl ApiError {
    /// The problem that this error is answered with.
    pub fn problem(self) -> Problem {
        match self {
            Self::Request(problem) => *problem,
            Self::Command(failure) => of_command(failure),
            Self::Query(error) => of_query(error),
            Self::Wait(WaitError::TooSlow) => Problem::new(Kind::ReadModelBehind),
            Self::Load(LoadError::Unreadable(error)) => {
                tracing::warn!(%error, "an aggregate cannot be read");
                Problem::new(Kind::NewerVersion)
            }
            Self::Seal(SealError::Erased) => erased(),
            Self::LogIn(LogInError::WrongCredentials) => {
                Problem::new(Kind::WrongCredentials).header(header::WWW_AUTHENTICATE, CHALLENGE)
            }
            Self::Refresh(RefreshError::Refused) => {
                Problem::new(Kind::SessionOver).header(header::WWW_AUTHENTICATE, CHALLENGE)
            }
            Self::Register(RegisterError::EmailTaken) => Problem::new(Kind::EmailTaken),
            Self::Code(CodeError::Refused) => Problem::new(Kind::CodeRefused),
            Self::ChangePassword(error @ ChangePasswordError::WrongPassword) => {
                invalid("/current_password", error.to_string())
            }
            Self::Token(error) => of_token(error),
            Self::Users(UsersError::Refused(refused)) => of_user(&refused),
            Self::Users(UsersError::DeadlinePassed) => Problem::new(Kind::DeadlinePassed),
            Self::LogIn(LogInError::Fault(fault))
            | Self::Refresh(RefreshError::Fault(fault))
            | Self::Register(RegisterError::Fault(fault))
            | Self::Code(CodeError::Fault(fault))
            | Self::ChangePassword(ChangePasswordError::Fault(fault))
            | Self::Users(UsersError::Fault(fault))
            | Self::Identity(fault) => of_identity(&fault),
            Self::Database(error)
            | Self::Wait(WaitError::Database(error))
            | Self::Load(LoadError::Database(error))
            | Self::Seal(SealError::Database(error)) => of_database(&error),
            Self::Seal(error) => {
                tracing::error!(%error, "personal data cannot be opened");
                Problem::new(Kind::Internal)
            }
            Self::Panicked => Problem::new(Kind::Internal),
        }
    }
}

/// What is asked for where there is no token (RFC 6750, 3).
const CHALLENGE: HeaderValue = HeaderValue::from_static("Bearer realm=\"souk\"");
/// The same where there is one, but not a good one.
const BAD_TOKEN: HeaderValue =
    HeaderValue::from_static("Bearer realm=\"souk\", error=\"invalid_token\"");

fn of_token(error: Option<TokenError>) -> Problem {
    let problem = Problem::new(Kind::Unauthenticated);
    match error {
        None => problem.header(header::WWW_AUTHENTICATE, CHALLENGE),
        Some(error @ (TokenError::Expired | TokenError::Revoked | TokenError::ApiKey)) => problem
            .detail(match error {
                TokenError::Revoked => "the access token was revoked",
                TokenError::ApiKey => "there is no such API key, or not any more",
                _ => "the access token has expired",
            })
            .header(header::WWW_AUTHENTICATE, BAD_TOKEN),
        Some(error) => {
            tracing::debug!(%error, "access token refused");
            problem
                .detail("the access token is not valid")
                .header(header::WWW_AUTHENTICATE, BAD_TOKEN)
        }
    }
}

fn of_command(failure: Failure) -> Problem {
    match failure {
        Failure::NotFound { .. } => Problem::new(Kind::NotFound).detail(failure.to_string()),
        Failure::NotYours => Problem::new(Kind::Forbidden).detail(failure.to_string()),
        Failure::Category(error) => of_category(&error),
        Failure::Shop(error) => of_shop(&error),
        Failure::Region(error) => of_region(&error),
        Failure::CountryOutsideRegion { .. } => {
            Problem::new(Kind::CountryOutsideRegion).detail(failure.to_string())
        }
        Failure::Discount(error) => of_discount(&error),
        Failure::AutomaticDiscounts(_) | Failure::Redemptions(_) | Failure::CartChanged => {
            Problem::new(Kind::Conflict).detail(failure.to_string())
        }
        Failure::NotCovered { .. } => invalid("/scope/product_ids", failure.to_string()),
        Failure::DiscountNotDue { ref code, reason } => Problem::new(Kind::DiscountNotDue)
            .detail(failure.to_string())
            .member("code", code.as_str())
            .member("reason", reason.as_str()),
        Failure::Cart(error) => of_cart(error),
        Failure::PriceChanged { differences, total } => of_price(&differences, total),
        Failure::Product(error) => of_product(&error),
        Failure::Inventory(error) => of_inventory(&error),
        Failure::Order(error) => of_order(error),
        Failure::InsufficientStock { shortages } => of_shortages(&shortages),
        Failure::NotOnSale { product_id, .. } => Problem::new(Kind::NotOnSale)
            .detail(failure.to_string())
            .member("product_id", product_id.to_string()),
        Failure::ShopNotOpen { product_id, .. } => Problem::new(Kind::ShopNotOpen)
            .detail(failure.to_string())
            .member("product_id", product_id.to_string()),
        // which one of many it is, is said where their list is known; see `routes::orders::bulk`
        Failure::Element { reason, .. } => of_command(*reason),
        Failure::UnknownPaymentMethod { .. } => invalid("/payment_method", failure.to_string()),
        Failure::PreconditionFailed { current } => {
            Problem::new(Kind::PreconditionFailed).header(header::ETAG, entity_tag(current))
        }
        Failure::ClaimTaken { scope, value } => of_claim(&scope, &value),
        Failure::Erased => erased(),
        Failure::Unacceptable(reason) => Problem::new(Kind::Validation).detail(reason),
        Failure::Defect(what) => {
            tracing::error!(what, "a command met a defect");
            Problem::new(Kind::Internal)
        }
        // what the payment refuses is the saga's business, not a client's
        Failure::Payment(_) => Problem::new(Kind::Conflict).detail(failure.to_string()),
        // whoever sends a key answers with what it led to; see `idempotency`
        Failure::KeyTaken => Problem::new(Kind::IdempotencyKeyInUse),
        Failure::Unreadable(error) => {
            tracing::warn!(%error, "a command met a newer event");
            Problem::new(Kind::NewerVersion)
        }
        Failure::DeadlinePassed => Problem::new(Kind::DeadlinePassed),
        Failure::Overloaded => Problem::new(Kind::Overloaded),
        Failure::OutcomeUnknown => Problem::new(Kind::OutcomeUnknown),
        Failure::Unavailable(reason) => {
            tracing::error!(reason, "a command could not be done");
            Problem::new(Kind::Unavailable)
        }
    }
}

/// An ETag of this version.
pub fn entity_tag(sequence: i64) -> HeaderValue {
    // a quoted number is a valid header value; an empty one would still be answered
    HeaderValue::from_str(&format!("\"{sequence}\"")).unwrap_or(HeaderValue::from_static(""))
}

fn invalid(pointer: &str, detail: String) -> Problem {
    Problem::new(Kind::Validation).errors(vec![FieldError::at(pointer, detail)])
}

fn erased() -> Problem {
    Problem::new(Kind::Conflict).detail("the customer's account was erased")
}

fn of_region(error: &RegionError) -> Problem {
    let kind = match error {
        RegionError::NotFound | RegionError::Deleted => Kind::NotFound,
        RegionError::AlreadyExists => Kind::Conflict,
        RegionError::Disabled => Kind::RegionDisabled,
    };
    Problem::new(kind).detail(error.to_string())
}

fn of_discount(error: &DiscountError) -> Problem {
    let detail = error.to_string();
    let rules = match error {
        DiscountError::NotFound | DiscountError::Deleted => {
            return Problem::new(Kind::NotFound).detail(detail);
        }
        DiscountError::AlreadyExists | DiscountError::UsedUp => {
            return Problem::new(Kind::Conflict).detail(detail);
        }
        DiscountError::CurrencyDiffers { .. } => return invalid("/value/currency", detail),
        DiscountError::Rules(rules) => rules,
    };
    let pointer = match rules {
        RulesError::PercentageOutOfRange => "/value/basis_points",
        RulesError::NothingOff => "/value/amount",
        RulesError::NegativeMinimum => "/minimum/amount",
        RulesError::EndsBeforeStart => "/ends_at",
        RulesError::ScopeTooLarge => "/scope",
    };
    invalid(pointer, detail)
}

fn of_cart(error: CartError) -> Problem {
    match error {
        CartError::Empty => Problem::new(Kind::CartEmpty),
        CartError::TooManyCodes => invalid("/discount_codes", error.to_string()),
        CartError::TooManyItems => Problem::new(Kind::Conflict).detail(error.to_string()),
    }
}

fn of_price(differences: &[PriceDifference], total: Money) -> Problem {
    let differences: Vec<serde_json::Value> = differences.iter().map(of_difference).collect();
    Problem::new(Kind::PriceChanged)
        .detail(format!("it costs {total} now"))
        .member("order_total", serde_json::json!(MoneyBody::from(total)))
        .member("differences", differences)
}

fn of_difference(difference: &PriceDifference) -> serde_json::Value {
    let (what, was, is) = match *difference {
        PriceDifference::UnitPrice {
            product_id,
            was,
            is,
        } => {
            return serde_json::json!({
                "what": "unit_price",
                "product_id": product_id,
                "price_when_added": MoneyBody::from(was),
                "unit_price": MoneyBody::from(is),
            });
        }
        PriceDifference::Tax { was, is } => ("tax", was, is),
        PriceDifference::Discount { was, is } => ("discount", was, is),
    };
    let mut told = serde_json::json!({"what": what, "now": MoneyBody::from(is)});
    if let Some(was) = was {
        told["before"] = serde_json::json!(MoneyBody::from(was));
    }
    told
}

fn of_category(error: &CategoryError) -> Problem {
    let kind = match error {
        CategoryError::NotFound | CategoryError::Deleted => Kind::NotFound,
        CategoryError::AlreadyExists => Kind::Conflict,
    };
    Problem::new(kind).detail(error.to_string())
}

fn of_shop(error: &ShopError) -> Problem {
    let kind = match error {
        ShopError::NotFound => Kind::NotFound,
        ShopError::NotApproved | ShopError::Closed => Kind::ShopNotOpen,
        ShopError::AlreadyExists => Kind::Conflict,
    };
    Problem::new(kind).detail(error.to_string())
}

fn of_product(error: &ProductError) -> Problem {
    let detail = error.to_string();
    match error {
        ProductError::NotFound | ProductError::Deleted => {
            Problem::new(Kind::NotFound).detail(detail)
        }
        ProductError::AlreadyExists => Problem::new(Kind::Conflict).detail(detail),
        ProductError::NegativePrice | ProductError::PriceTooHigh => {
            invalid("/price/amount", detail)
        }
        ProductError::WrongCurrency { .. } => invalid("/price/currency", detail),
    }
}

fn of_inventory(error: &InventoryError) -> Problem {
    let detail = error.to_string();
    match error {
        InventoryError::Overflow => Problem::new(Kind::Validation).detail(detail),
        InventoryError::InsufficientStock { .. }
        | InventoryError::NoReservation
        | InventoryError::NotSold { .. } => Problem::new(Kind::Conflict).detail(detail),
    }
}

fn of_order(error: OrderError) -> Problem {
    let detail = error.to_string();
    match error {
        OrderError::NotFound => Problem::new(Kind::NotFound).detail(detail),
        OrderError::Pricing(error) => of_pricing(&error),
        OrderError::IllegalMove {
            from,
            payment,
            allowed,
            ..
        }
        | OrderError::AlreadyShipped {
            from,
            payment,
            allowed,
        } => illegal_move(detail, from, payment, &allowed),
        OrderError::PaymentStarted { payment, allowed } => {
            illegal_move(detail, OrderStatus::Pending, payment, &allowed)
        }
        _ => Problem::new(Kind::Conflict).detail(detail),
    }
}

fn illegal_move(
    detail: String,
    from: OrderStatus,
    payment: PaymentStatus,
    allowed: &[OrderStatus],
) -> Problem {
    let allowed: Vec<&str> = allowed.iter().map(|status| status.as_str()).collect();
    Problem::new(Kind::IllegalMove)
        .detail(detail)
        .member("order_status", from.as_str())
        .member("payment_status", payment.as_str())
        .member("allowed", allowed)
}

fn of_pricing(error: &PricingError) -> Problem {
    match error {
        // two requests raced, or a price moved in between: not the body's fault
        PricingError::PricesDiffer { .. } | PricingError::NegativePrice { .. } => {
            Problem::new(Kind::Conflict).detail(error.to_string())
        }
        _ => invalid("/items", error.to_string()),
    }
}

fn of_shortages(shortages: &[Shortage]) -> Problem {
    let detail: Vec<String> = shortages.iter().map(ToString::to_string).collect();
    let listed: Vec<serde_json::Value> = shortages
        .iter()
        .map(|shortage| {
            serde_json::json!({
                "product_id": shortage.product_id,
                "requested": shortage.requested,
                "available": shortage.available,
            })
        })
        .collect();
    let problem = Problem::new(Kind::InsufficientStock)
        .detail(detail.join("; "))
        .member("shortages", listed);
    match shortages.first() {
        Some(first) => problem
            .member("product_id", first.product_id.to_string())
            .member("available", first.available),
        None => problem,
    }
}

fn of_claim(scope: &str, value: &str) -> Problem {
    let problem = Problem::new(Kind::Taken);
    if scope == commands::regions::DEFAULT_REGION_SCOPE {
        return problem.detail(format!("another region is the default for {value}"));
    }
    if scope == commands::categories::CATEGORY_TITLE_SCOPE {
        return problem.detail("another category has this title");
    }
    let what = match scope.split_once(':') {
        Some(("discount-code", _)) => "code",
        _ => "sku",
    };
    problem.detail(format!("{what} {value:?} is taken in this region"))
}

fn of_query(error: QueryError) -> Problem {
    match error {
        QueryError::Page(error) => {
            let parameter = match error {
                PageError::LimitOutOfRange { .. } => "limit",
                PageError::InvalidCursor => "cursor",
                PageError::NothingToRank => "sort",
            };
            let errors = vec![FieldError::parameter(parameter, error.to_string())];
            Problem::new(Kind::InvalidParameter).errors(errors)
        }
        QueryError::Missing(view) => {
            tracing::error!(%view, "the read model does not exist: `souk migrate` has not run");
            Problem::new(Kind::Unavailable)
        }
        QueryError::BeingBuilt(view) => Problem::new(Kind::Unavailable).detail(format!(
            "the {view} of this version of the server are being built from the history"
        )),
        QueryError::EngineAway => Problem::new(Kind::Unavailable).detail(
            "what this list was searched with does not answer: ask again, or begin the list anew",
        ),
        QueryError::Database(error) => of_database(&error),
    }
}

fn of_identity(fault: &identity::Fault) -> Problem {
    tracing::error!(error = %fault, "identity");
    let kind = if fault.is_passing() {
        Kind::Unavailable
    } else {
        Kind::Internal
    };
    Problem::new(kind)
}

/// Why the one user that a request is about was refused. What is refused of many is said in `routes::users::bulk`.
fn of_user(refused: &[(usize, Refusal)]) -> Problem {
    match refused.first() {
        Some((_, Refusal::Missing)) => Problem::new(Kind::NotFound),
        Some((_, Refusal::EmailTaken)) => {
            let errors = vec![FieldError::at("/email", "belongs to an account already")];
            Problem::new(Kind::EmailTaken).errors(errors)
        }
        Some((_, Refusal::Stale { current })) => {
            Problem::new(Kind::PreconditionFailed).header(header::ETAG, entity_tag(*current))
        }
        Some((_, Refusal::LastAdmin)) => Problem::new(Kind::LastAdmin),
        // one alone repeats nothing
        Some((_, Refusal::Repeats { .. })) | None => Problem::new(Kind::Internal),
    }
}

/// What a database says that cannot serve now, as opposed to one that was asked something wrong (SQLSTATE classes:
/// connection exception, insufficient resources, operator intervention, system error, transaction rollback, object
/// not in prerequisite state, read only).
const PASSING_CLASSES: [&str; 7] = ["08", "53", "57", "58", "40", "55", "25"];

fn of_database(error: &sqlx::Error) -> Problem {
    tracing::error!(%error, "database");
    let passing = match error {
        sqlx::Error::Database(database) => database
            .code()
            .is_some_and(|code| PASSING_CLASSES.iter().any(|class| code.starts_with(class))),
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        _ => false,
    };
    Problem::new(if passing {
        Kind::Unavailable
    } else {
        Kind::Internal
    })
}

/// A header that is wrong.
pub fn bad_header(name: &HeaderName, detail: &str) -> ApiError {
    let errors = vec![FieldError::parameter(name.as_str(), detail)];
    Problem::new(Kind::InvalidParameter).errors(errors).into()
}

#[cfg(test)]
mod tests;
