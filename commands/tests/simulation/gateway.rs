//! A gateway that keeps its book whatever becomes of those who call it: it declines, decides late, answers late, loses
//! requests and answers, and is mute for some charges for good.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use commands::gateway::{
    Answer, Charge, ChargeKey, ChargeStatus, GatewayError, PaymentGateway, Refund, RefundStatus,
};
use domain::{
    ids::{PaymentId, RefundId},
    money::Money,
    text::{Reason, Reference},
};
use eventstore::testing::simulation::Random;
use tokio::time::Instant;

/// The gateway's own view of a charge.
#[derive(Clone, Debug)]
pub(crate) enum Entry {
    Captured(Money),
    Declined,
    Voided,
    /// Decided at that moment, unless it is voided before.
    Open {
        until: Instant,
        then: Option<Money>,
    },
}

/// What moved, and what did not.
#[derive(Default)]
pub(crate) struct Book {
    pub(crate) charges: BTreeMap<String, (PaymentId, Entry)>,
    pub(crate) refunds: BTreeMap<RefundId, (String, i64)>,
    /// Charges about which it never says anything.
    pub(crate) mute: Vec<String>,
}

impl Book {
    /// What was captured for a payment, charge by charge, with what went back.
    pub(crate) fn captures_of(&self, payment_id: PaymentId) -> Vec<(i64, i64)> {
        let of_payment = self.charges.iter().filter(|(_, (of, _))| *of == payment_id);
        of_payment
            .filter_map(|(key, (_, entry))| {
                let Entry::Captured(amount) = entry else {
                    return None;
                };
                let back = self.refunds.values().filter(|(of, _)| of == key);
                Some((amount.amount, back.map(|(_, amount)| amount).sum()))
            })
            .collect()
    }

    /// Whether it says nothing about some charge of the payment.
    pub(crate) fn is_mute_about(&self, payment_id: PaymentId) -> bool {
        let prefix = format!("{payment_id}-");
        self.mute.iter().any(|key| key.starts_with(&prefix))
    }
}

/// How the gateway is in one history, in a thousand calls.
#[derive(Clone, Copy)]
pub(crate) struct Manners {
    declines: u64,
    decides_late: u64,
    is_mute: u64,
    loses: u64,
    is_slow: u64,
}

impl Manners {
    /// It captures at once and says so.
    pub(crate) const GOOD: Self = Self {
        declines: 0,
        decides_late: 0,
        is_mute: 0,
        loses: 0,
        is_slow: 0,
    };

    pub(crate) fn draw(random: &mut Random) -> Self {
        Self {
            declines: random.pick(&[0, 150, 700]),
            decides_late: random.pick(&[0, 100, 500]),
            is_mute: random.pick(&[0, 0, 0, 100]),
            loses: random.pick(&[0, 50, 300]),
            is_slow: random.pick(&[0, 50, 300]),
        }
    }
}

struct State {
    book: Book,
    manners: Manners,
    random: Random,
}

/// One gateway for all processes; cheap to clone.
#[derive(Clone)]
pub(crate) struct SimGateway(Arc<Mutex<State>>);

impl SimGateway {
    pub(crate) fn new(manners: Manners, random: Random) -> Self {
        Self(Arc::new(Mutex::new(State {
            book: Book::default(),
            manners,
            random,
        })))
    }

    pub(crate) fn book<R>(&self, read: impl FnOnce(&Book) -> R) -> R {
        read(&self.state().book)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// A call on its way there and back. It gets there even if the caller is gone.
    fn call<T: Send + 'static>(
        &self,
        key: String,
        effect: impl FnOnce(&mut State) -> Result<T, GatewayError> + Send + 'static,
    ) -> Answer<'_, T> {
        Box::pin(async move {
            let (lost, delay) = {
                let mut state = self.state();
                let State {
                    manners, random, ..
                } = &mut *state;
                let lost = random.in_thousand(manners.loses);
                let delay = if random.in_thousand(manners.is_slow) {
                    random.up_to(Duration::from_secs(20))
                } else {
                    random.up_to(Duration::from_millis(50))
                };
                (lost.then(|| random.in_thousand(500)), delay)
            };
            let this = self.clone();
            let work = tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                if lost == Some(true) {
                    // before it took effect
                    return Err(GatewayError::Unavailable("lost".into()));
                }
                let answer = {
                    let mut state = this.state();
                    let answer = effect(&mut state);
                    let mute = state.book.mute.contains(&key);
                    if mute {
                        Err(GatewayError::Timeout)
                    } else {
                        answer
                    }
                };
                if lost == Some(false) {
                    return Err(GatewayError::Timeout);
                }
                answer
            });
            work.await.unwrap()
        })
    }
}

impl State {
    fn told(&mut self, key: &str) -> ChargeStatus {
        let Some((_, entry)) = self.book.charges.get_mut(key) else {
            return ChargeStatus::NotFound;
        };
        if let Entry::Open { until, then } = *entry
            && Instant::now() >= until
        {
            *entry = then.map_or(Entry::Declined, Entry::Captured);
        }
        match entry {
            Entry::Captured(amount) => ChargeStatus::Captured {
                reference: Reference::parse(&format!("ch_{key}")).unwrap(),
                amount: *amount,
            },
            Entry::Declined => ChargeStatus::Declined {
                reference: None,
                reason: Reason::lossy("declined"),
            },
            Entry::Voided => ChargeStatus::Voided { reference: None },
            Entry::Open { .. } => ChargeStatus::Pending,
        }
    }

    fn enter(&mut self, key: &str, charge: &Charge) {
        if self.book.charges.contains_key(key) {
            return;
        }
        let declined = self.random.in_thousand(self.manners.declines);
        let outcome = (!declined).then_some(charge.amount);
        let entry = if self.random.in_thousand(self.manners.decides_late) {
            Entry::Open {
                until: Instant::now() + self.random.up_to(Duration::from_mins(1)),
                then: outcome,
            }
        } else {
            outcome.map_or(Entry::Declined, Entry::Captured)
        };
        if self.random.in_thousand(self.manners.is_mute) {
            self.book.mute.push(key.to_owned());
        }
        self.book
            .charges
            .insert(key.to_owned(), (charge.key.payment_id, entry));
    }
}

impl PaymentGateway for SimGateway {
    fn charge(&self, charge: Charge) -> Answer<'_, ChargeStatus> {
        let key = charge.key.to_string();
        self.call(key.clone(), move |state| {
            state.enter(&key, &charge);
            Ok(state.told(&key))
        })
    }

    fn ask(&self, key: ChargeKey) -> Answer<'_, ChargeStatus> {
        let key = key.to_string();
        self.call(key.clone(), move |state| Ok(state.told(&key)))
    }

    fn void(&self, key: ChargeKey) -> Answer<'_, ChargeStatus> {
        let (payment_id, key) = (key.payment_id, key.to_string());
        self.call(key.clone(), move |state| {
            if matches!(
                state.told(&key),
                ChargeStatus::NotFound | ChargeStatus::Pending
            ) {
                let entry = (payment_id, Entry::Voided);
                state.book.charges.insert(key.clone(), entry);
            }
            Ok(state.told(&key))
        })
    }

    fn refund(&self, refund: Refund) -> Answer<'_, RefundStatus> {
        let id = refund.refund_id.to_string();
        self.call(id, move |state| {
            if state.manners.loses > 0 && state.random.in_thousand(100) {
                let reason = Reason::lossy("not now");
                return Ok(RefundStatus::Refused { reason });
            }
            let charge = refund.charge.as_str().trim_start_matches("ch_").to_owned();
            let amount = refund.amount.amount;
            let refunds = &mut state.book.refunds;
            refunds.entry(refund.refund_id).or_insert((charge, amount));
            Ok(RefundStatus::Refunded {
                reference: Reference::parse(&format!("re_{}", refund.refund_id)).unwrap(),
            })
        })
    }
}
