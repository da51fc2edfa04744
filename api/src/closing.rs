//! The worker that ends what closed accounts have left behind: it closes their shops, so that nobody orders from a shop
//! without an owner, cancels their open orders where that was asked for, waits until the last one has ended, and then
//! destroys the key of the person's data.
//!
//! Every process that runs the saga looks; of several one takes an account, and each step can be repeated. When an order
//! has ended is told in `docs/ORDER_STATES.md`. Orders and shops are found in read models, once they hold what was committed
//! before the look, so no order is missed that was placed before; a person's tokens die with the account within seconds,
//! and the grace outlasts every request that was under way. Started by [`crate::Application`].

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use commands::{Failure, Manager, Request, orders::CancelOrder};
use domain::{
    ids::{OrderId, PaymentId, ShopId, UserId},
    order::{OrderStatus, PaymentStatus},
    payment::{Payment, PaymentState, RefundOutcome},
    shop::ShopStatus,
    text::Reason,
};
use eventstore::{
    LoadError,
    event::Cause,
    sealing::SealError,
    subscription::{self, Subscriptions, WaitError},
};
use identity::DueClosure;
use projections::{
    QueryError, View,
    orders::{OrderFilter, OrderSort, OrderView},
    page::{Direction, Limits, Page, PageError, PageRequest, Sort},
    shops::{ShopFilter, ShopSort},
    views::Schema,
};
use serde::Deserialize;

use crate::services::Services;

/// Who acts, in the metadata of the events that the worker causes.
const ACTOR: &str = "system:closing";
/// How often it looks for accounts that are due.
const LOOK: Duration = Duration::from_secs(2);

/// Why an account was not seen to. It is looked at again.
#[derive(Debug, thiserror::Error)]
enum NotSeenTo {
    #[error(transparent)]
    Identity(#[from] identity::Fault),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Wait(#[from] WaitError),
    #[error(transparent)]
    Query(#[from] QueryError),
    #[error(transparent)]
    Page(#[from] PageError),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Command(#[from] Failure),
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// Sees to closed accounts until the process ends.
pub(crate) async fn run(services: Services, subscriptions: Subscriptions) {
    let worker = Worker {
        services,
        subscriptions,
    };
    let config = &worker.services.config;
    let grace = config.closing.erasure_grace;
    let pause = LOOK.min(grace);
    let mut looks = tokio::time::interval(pause.max(Duration::from_millis(100)));
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        loop {
            match worker.services.identity.next_closure(looks.period()).await {
                Ok(Some(due)) => {
                    let user_id = due.closure.user_id;
                    if let Err(error) = worker.see_to(&due).await {
                        tracing::warn!(%user_id, %error, "a closed account is looked at again later");
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(%error, "closed accounts cannot be looked at");
                    break;
                }
            }
        }
    }
}

struct Worker {
    services: Services,
    subscriptions: Subscriptions,
}

impl Worker {
    /// Erases the person where nothing needs their data any more.
    async fn see_to(&self, due: &DueClosure) -> Result<(), NotSeenTo> {
        let Services {
            config,
            vault,
            identity,
            ..
        } = &self.services;
        let closure = &due.closure;
        let user_id = closure.user_id;
        let open = self.close_shops(user_id).await? + self.open_orders(due).await?;
        let grace = bounded(config.closing.erasure_grace);
        if open > 0 || due.now < closure.closed_at + grace {
            tracing::debug!(%user_id, open, "a closed account is not erased yet");
            return Ok(());
        }
        vault.erase(user_id.0).await?;
        identity.finish_closure(user_id).await?;
        tracing::info!(%user_id, "the data of a closed account was erased");
        Ok(())
    }

    /// Closes what shops the person has. Returns how many the read model cannot show as they are.
    async fn close_shops(&self, user_id: UserId) -> Result<usize, NotSeenTo> {
        let schema = self.settled(View::Shops).await?;
        let parked = self.parked(user_id, &schema, domain::shop::TYPE).await?;
        let oldest = Sort {
            key: ShopSort::CreatedAt,
            direction: Direction::Asc,
        };
        let filter = ShopFilter {
            owner_id: Some(user_id),
            status: None,
        };
        let mut cursor = None;
        loop {
            let most = Some(Limits::STANDARD.max);
            let page = PageRequest::new(Limits::STANDARD, oldest, most, cursor.as_deref())?;
            let Page { items, next } = self.services.read_models.shops(&filter, &page).await?;
            for shop in items.into_iter().map(|shop| shop.details) {
                if shop.status != ShopStatus::Closed {
                    self.close_shop(shop.shop_id, user_id).await?;
                }
            }
            cursor = next;
            if cursor.is_none() {
                return Ok(parked);
            }
        }
    }

    async fn close_shop(&self, shop_id: ShopId, user_id: UserId) -> Result<(), NotSeenTo> {
        let request = request(user_id, "CloseShop");
        let commands = &self.services.commands;
        commands
            .close_shop(request, Manager::Market, shop_id, None)
            .await?;
        Ok(())
    }

    /// How many orders of the person have not ended. Cancels those that can be, where that was asked for.
    async fn open_orders(&self, due: &DueClosure) -> Result<usize, NotSeenTo> {
        let user_id = due.closure.user_id;
        // one schema for the whole look: another one, that queries may go to meanwhile, was not waited for
        let schema = self.settled(View::Orders).await?;
        let mut open = self.parked(user_id, &schema, domain::order::TYPE).await?;
        let filter = OrderFilter {
            customer_id: Some(user_id),
            // one that was deleted may still be given back
            include_deleted: true,
            ..OrderFilter::default()
        };
        let oldest = Sort {
            key: OrderSort::CreatedAt,
            direction: Direction::Asc,
        };
        let mut cursor = None;
        loop {
            let most = Some(Limits::STANDARD.max);
            let page = PageRequest::new(Limits::STANDARD, oldest, most, cursor.as_deref())?;
            let orders = self.services.read_models.orders_in(&schema, &filter, &page);
            let Page { items, next } = orders.await?;
            for order in &items {
                open += usize::from(self.is_open(order, due).await?);
            }
            cursor = next;
            if cursor.is_none() {
                return Ok(open);
            }
        }
    }

    /// The schema of the view, which holds whatever was committed before now.
    async fn settled(&self, view: View) -> Result<Schema, NotSeenTo> {
        let schema = self.services.read_models.schema(view).await?;
        // read after `due.now`: whatever was committed until then is in the view when it has got there
        let head = self.services.log.head().await?;
        let patience = self.services.config.http.read_wait;
        self.subscriptions
            .wait_for(schema.as_str(), head.position, patience)
            .await?;
        Ok(schema)
    }

    /// Whether the order has not ended. One that is cancelled just now is looked at again.
    async fn is_open(&self, order: &OrderView, due: &DueClosure) -> Result<bool, NotSeenTo> {
        if due.closure.cancel_orders && can_be_cancelled(order) {
            self.cancel(order.order_id, due.closure.user_id).await?;
            return Ok(true);
        }
        let fulfilment_time = bounded(self.services.config.closing.fulfilment_time);
        if awaits_goods(order, due.now, fulfilment_time) {
            return Ok(true);
        }
        let payment_id = PaymentId::of(order.order_id);
        let (payment, _) = self.services.log.load::<Payment>(payment_id).await?;
        Ok(awaits_money(&payment))
    }

    /// Cancels as anybody would: what was done before is not done again.
    async fn cancel(&self, order_id: OrderId, user_id: UserId) -> Result<(), NotSeenTo> {
        let request = request(user_id, "CancelOrder");
        let cancel = CancelOrder {
            order_id,
            reason: Reason::lossy("the account was closed"),
            requested_by: None,
            only_of: Some(user_id),
        };
        match self
            .services
            .commands
            .cancel_order(request, cancel, None)
            .await
        {
            // it was shipped in the meantime, so it is finished
            Ok(_) | Err(Failure::Order(_)) => Ok(()),
            Err(failure) => Err(failure.into()),
        }
    }

    /// How many orders or shops of the person the read model cannot show as they are: an operator has to look at them
    /// first.
    async fn parked(
        &self,
        user_id: UserId,
        schema: &Schema,
        aggregate_type: &str,
    ) -> Result<usize, NotSeenTo> {
        let log = &self.services.log;
        let mut parked = 0;
        let keys = subscription::parked_keys(log.pool()).await?;
        for key in keys
            .iter()
            .filter(|key| key.subscription == schema.as_str())
        {
            let events = log.stream(aggregate_type, &key.key, 0, 1).await?;
            let whose = events
                .first()
                .and_then(|event| serde_json::from_str::<Whose>(&event.payload).ok());
            parked += usize::from(whose.is_some_and(|whose| whose.customer_id == user_id));
        }
        Ok(parked)
    }
}

/// What the worker does for that account, as events tell it.
fn request(user_id: UserId, command: &str) -> Request {
    let closing = format!("closing:{user_id}");
    Request::new(Cause {
        correlation_id: closing.clone(),
        causation_id: closing,
        actor: ACTOR.into(),
        command: command.into(),
    })
}

/// What of the event that places an order or opens a shop says whose it is.
#[derive(Deserialize)]
struct Whose {
    #[serde(alias = "owner_id")]
    customer_id: UserId,
}

/// Settings beyond a thousand years mean never.
fn bounded(duration: Duration) -> TimeDelta {
    const FOREVER: TimeDelta = TimeDelta::days(365_000);
    TimeDelta::from_std(duration).map_or(FOREVER, |duration| duration.min(FOREVER))
}

/// Whether something of it was not handed to a carrier.
fn can_be_cancelled(order: &OrderView) -> bool {
    let status = matches!(
        order.status,
        OrderStatus::Pending | OrderStatus::Processing | OrderStatus::PartlyShipped
    );
    status && !order.cancellation_requested
}

/// Whether it is still to be paid or delivered. Some never record what they ship, or that it arrived: a paid order of which
/// that is not known is taken to be delivered once the `fulfilment_time` has passed.
fn awaits_goods(order: &OrderView, now: DateTime<Utc>, fulfilment_time: TimeDelta) -> bool {
    match order.status {
        OrderStatus::Pending | OrderStatus::PartlyShipped => true,
        // what happened last: the last parcel went, or money was given back after it
        OrderStatus::Shipped => now - order.updated_at < fulfilment_time,
        OrderStatus::Processing => {
            order.payment_status != PaymentStatus::Refunded
                && order
                    .paid_at
                    .is_none_or(|paid_at| now - paid_at < fulfilment_time)
        }
        OrderStatus::Delivered | OrderStatus::Cancelled => false,
    }
}

/// Whether the gateway has still to say what became of the money, or has some to give back.
fn awaits_money(payment: &Payment) -> bool {
    payment.started().is_some_and(|payment| {
        let undecided = matches!(
            payment.state(),
            PaymentState::Pending | PaymentState::Voiding | PaymentState::Stuck
        );
        let mut refunds = payment.refunds.values();
        undecided || refunds.any(|refund| refund.outcome != RefundOutcome::Succeeded)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use domain::{
        aggregate::Decider,
        ids::RefundId,
        money::{Currency, Money},
        payment::PaymentEvent,
        sealed::Sealed,
        text::{PaymentMethod, Reference},
    };
    use uuid::Uuid;

    use super::*;

    fn order(status: OrderStatus, payment_status: PaymentStatus) -> OrderView {
        let sealed = || Sealed::new(String::new());
        let id = Uuid::nil();
        OrderView {
            order_id: id.into(),
            number: None,
            customer_id: id.into(),
            customer_name: sealed(),
            shipping_address: sealed(),
            region_id: id.into(),
            currency: Currency::parse("USD").unwrap(),
            tax_rate: 0,
            prices_include_tax: false,
            payment_method: String::new(),
            lines: Vec::new(),
            subtotal: 0,
            discount: 0,
            discounts: Vec::new(),
            tax: 0,
            total: 0,
            payment_due_at: DateTime::UNIX_EPOCH,
            status,
            payment_status,
            payment_id: None,
            paid: Some(1),
            paid_at: Some(DateTime::UNIX_EPOCH),
            refunded: 0,
            cancellation_requested: false,
            cancellation_reason: None,
            deleted: false,
            sequence: 1,
            created_at: DateTime::UNIX_EPOCH,
            updated_at: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn an_order_has_ended_when_nothing_is_to_be_paid_or_delivered_any_more() {
        use {OrderStatus as S, PaymentStatus as P};
        let days = TimeDelta::days;
        for (status, payment_status, after, awaits) in [
            (S::Pending, P::Awaiting, days(100), true),
            (S::Pending, P::Failed, days(100), true),
            (S::Processing, P::Paid, days(13), true),
            (S::Processing, P::Paid, days(14), false),
            (S::Processing, P::PartiallyRefunded, days(13), true),
            (S::Processing, P::Refunded, days(1), false),
            (S::PartlyShipped, P::Paid, days(100), true),
            (S::Shipped, P::Paid, days(13), true),
            (S::Shipped, P::Paid, days(14), false),
            (S::Delivered, P::Paid, days(1), false),
            (S::Cancelled, P::Unpaid, days(1), false),
            (S::Cancelled, P::Refunded, days(1), false),
        ] {
            let now = DateTime::UNIX_EPOCH + after;
            assert_eq!(
                awaits_goods(&order(status, payment_status), now, days(14)),
                awaits,
                "{status} {payment_status} {after}"
            );
        }
    }

    /// What can happen to the payment of an order, and to a refund of it.
    fn payment_events() -> impl Fn(&str) -> PaymentEvent {
        let order_id = OrderId(Uuid::nil());
        let refund_id = RefundId::of(order_id, "cancelled");
        let amount = Money::new(100, Currency::parse("USD").unwrap());
        let (reference, reason) = (Reference::parse("r").unwrap(), Reason::lossy("why"));
        move |name| {
            let (reference, reason) = (reference.clone(), reason.clone());
            match name {
                "started" => PaymentEvent::PaymentStarted {
                    payment_id: PaymentId::of(order_id),
                    order_id,
                    customer_id: UserId(Uuid::nil()),
                    amount,
                    method: PaymentMethod::parse("default").unwrap(),
                    attempt: 1,
                    deadline_ms: 0,
                },
                "captured" => PaymentEvent::PaymentCaptured {
                    order_id,
                    reference,
                    amount,
                    attempt: 1,
                },
                "declined" => PaymentEvent::PaymentDeclined {
                    order_id,
                    reference: None,
                    reason,
                    attempt: 1,
                },
                "void requested" => PaymentEvent::PaymentVoidRequested { order_id, reason },
                "voided" => PaymentEvent::PaymentVoided {
                    order_id,
                    reference: None,
                },
                "stuck" => PaymentEvent::PaymentStuck {
                    order_id,
                    asked: 9,
                    reason,
                },
                "expired" => PaymentEvent::PaymentExpired { order_id },
                "refund requested" => PaymentEvent::RefundRequested {
                    order_id,
                    refund_id,
                    amount,
                    reason,
                },
                "refund failed" => PaymentEvent::RefundFailed {
                    order_id,
                    refund_id,
                    reason,
                },
                "refunded" => PaymentEvent::RefundSucceeded {
                    order_id,
                    refund_id,
                    reference,
                    amount,
                },
                other => panic!("{other}"),
            }
        }
    }

    #[test]
    fn money_is_awaited_until_the_gateway_has_said_what_became_of_it() {
        let event = payment_events();
        for (history, awaits) in [
            ("", false),
            ("started", true),
            ("started, captured", false),
            ("started, declined", false),
            ("started, declined, expired", false),
            ("started, stuck", true),
            ("started, stuck, captured", false),
            ("started, void requested", true),
            ("started, void requested, stuck", true),
            ("started, void requested, voided", false),
            ("started, void requested, captured", false),
            ("started, captured, refund requested", true),
            ("started, captured, refund requested, refund failed", true),
            ("started, captured, refund requested, refunded", false),
            (
                "started, captured, refund requested, refund failed, refunded",
                false,
            ),
        ] {
            let mut payment = Payment::default();
            for name in history.split(", ").filter(|name| !name.is_empty()) {
                payment.evolve(&event(name));
            }
            assert_eq!(awaits_money(&payment), awaits, "{history}");
        }
    }

    #[test]
    fn what_was_not_shipped_is_cancelled_once() {
        for status in OrderStatus::ALL {
            let open = matches!(
                status,
                OrderStatus::Pending | OrderStatus::Processing | OrderStatus::PartlyShipped
            );
            let mut order = order(status, PaymentStatus::Paid);
            assert_eq!(can_be_cancelled(&order), open, "{status}");
            order.cancellation_requested = true;
            assert!(!can_be_cancelled(&order), "{status}");
        }
    }

    #[test]
    fn settings_of_any_length_can_be_added_to_a_time() {
        let forever = bounded(Duration::MAX);
        assert!(Utc::now().checked_add_signed(forever).is_some());
        assert_eq!(bounded(Duration::from_secs(1)), TimeDelta::seconds(1));
    }
}
