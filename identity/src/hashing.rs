//! bcrypt, on threads of its own that give way to everything else, and never more at once than the machine has cores, so
//! that a burst of log-ins does not slow other requests. Verifying takes the same time whether or not there is anything to verify against.
//! Used by [`crate::accounts`] alone.

use std::{
    fmt, io,
    num::NonZeroUsize,
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use bcrypt::BcryptError;
use futures::{StreamExt, TryStreamExt};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    time::timeout,
};

use self::{queue::Queue, threads::Threads};
use crate::password::Password;

mod queue;
mod threads;

/// How passwords are hashed.
#[derive(Clone, Debug)]
pub struct HashingSettings {
    /// bcrypt's cost, 4 to 31: each step doubles the time of a hash. 12 takes about a quarter of a second.
    pub cost: u32,
    /// How many passwords are hashed or verified at once. A core each, since nothing but the processor is used.
    pub concurrency: NonZeroUsize,
    /// How long one waits for its turn before it is refused as [`HashingError::Busy`]; at once where those before it will
    /// take longer.
    pub max_wait: Duration,
}

impl Default for HashingSettings {
    fn default() -> Self {
        Self {
            cost: bcrypt::DEFAULT_COST,
            concurrency: all_cores_but_one(),
            max_wait: Duration::from_secs(10),
        }
    }
}

/// As many as there are cores, but for one, which is left to everything else; at least one.
pub fn all_cores_but_one() -> NonZeroUsize {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    NonZeroUsize::new(cores - 1).unwrap_or(NonZeroUsize::MIN)
}

/// A bcrypt hash with its salt and cost, as it is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(pub(crate) String);

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

/// Hashes and verifies passwords. Clones share one bound.
#[derive(Clone, Debug)]
pub struct PasswordHasher {
    cost: u32,
    /// What an attempt without a known user name is verified against: as much work, and never a match.
    no_match: PasswordHash,
    slots: Arc<Semaphore>,
    concurrency: NonZeroUsize,
    threads: Threads,
    queue: Arc<Queue>,
    max_wait: Duration,
}

impl PasswordHasher {
    /// A hasher of its own bound, with threads of its own.
    pub fn new(settings: &HashingSettings) -> Result<Self, HasherNotStarted> {
        let cost = settings.cost;
        if !(4..=31).contains(&cost) {
            return Err(HasherNotStarted::CostNotAllowed { cost });
        }
        Ok(Self {
            cost,
            no_match: no_match(cost),
            slots: Arc::new(Semaphore::new(settings.concurrency.get())),
            concurrency: settings.concurrency,
            threads: Threads::start(settings.concurrency)?,
            queue: Arc::default(),
            max_wait: settings.max_wait,
        })
    }

    /// Hashes with a new random salt.
    pub async fn hash(&self, password: &Password) -> Result<PasswordHash, HashingError> {
        let (password, cost) = (password.clone(), self.cost);
        // The plain functions, not the `non_truncating` ones: those count the terminating NUL and so refuse 72 bytes.
        // A `Password` has at most 72, so nothing of it is cut off.
        let hash = self
            .run(move || bcrypt::hash(password.as_bytes(), cost))
            .await??;
        Ok(PasswordHash(hash))
    }

    /// Hashes each of them, and returns the hashes in the same order. No more of them wait for their turn than are hashed
    /// at once: whoever logs in meanwhile waits for some of them and not for all.
    pub async fn hash_all(
        &self,
        passwords: Vec<Password>,
    ) -> Result<Vec<PasswordHash>, HashingError> {
        futures::stream::iter(passwords)
            .map(|password| async move { self.hash(&password).await })
            .buffered(self.concurrency.get())
            .try_collect()
            .await
    }

    /// Whether the password is the one that was hashed.
    ///
    /// Without a password (the text could not be one) or without a hash (nobody has that name) the answer is no, after
    /// the same work: time must not tell an unknown name from a wrong password. A hash of a lower cost than is set now,
    /// made before it was raised, is less work: where it does not match, the rest is done in vain.
    pub async fn verify(
        &self,
        password: Option<&Password>,
        hash: Option<&PasswordHash>,
    ) -> Result<bool, HashingError> {
        let can_match = password.is_some() && hash.is_some();
        let in_vain = hash.map_or(0..0, |hash| self.costs_in_vain(hash));
        let password = password.map_or_else(Vec::new, |password| password.as_bytes().to_vec());
        let hash = hash.unwrap_or(&self.no_match).clone();
        let matches = self
            .run(move || {
                let matches = bcrypt::verify(&password, &hash.0)? && can_match;
                for cost in in_vain.filter(|_| !matches) {
                    bcrypt::verify(&password, &no_match(cost).0)?;
                }
                Ok::<_, BcryptError>(matches)
            })
            .await??;
        Ok(matches)
    }

    /// The costs of what makes up for a hash that is less work than one of now: each step doubles it, so all from the
    /// hash's own to below ours, and the hash itself, are as much as one of ours.
    fn costs_in_vain(&self, hash: &PasswordHash) -> Range<u32> {
        let own = hash.0.parse::<bcrypt::HashParts>();
        own.map_or(0..0, |parts| parts.get_cost()..self.cost)
    }

    /// Whether the hash was made with a lower cost than is set now, and should be made anew. One of a higher cost stays:
    /// where a process with the new setting has raised it, one that still has the old setting must not lower it again.
    pub fn is_outdated(&self, hash: &PasswordHash) -> bool {
        hash.0
            .parse::<bcrypt::HashParts>()
            .is_ok_and(|parts| parts.get_cost() < self.cost)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, HashingError> {
        let slot = self.slot().await?;
        let (tell, told) = oneshot::channel();
        let queue = Arc::clone(&self.queue);
        let begun = self.threads.run(move || {
            // the slot goes with the work: a caller that gives up does not stop it, so it must not free the place
            let _slot = slot;
            let begun = Instant::now();
            let _ = tell.send(work()); // nobody may be waiting any more
            queue.note(begun.elapsed());
        });
        if !begun {
            return Err(HashingError::Interrupted);
        }
        told.await.map_err(|_| HashingError::Interrupted)
    }

    /// A place among those that are worked on, when its turn comes.
    async fn slot(&self) -> Result<OwnedSemaphorePermit, HashingError> {
        let _waiting = self
            .queue
            .enter(self.concurrency, self.max_wait)
            .ok_or(HashingError::Busy)?;
        timeout(self.max_wait, Arc::clone(&self.slots).acquire_owned())
            .await
            .map_err(|_| HashingError::Busy)?
            .map_err(|_| HashingError::Interrupted)
    }
}

/// Salt and digest of zeros: well-formed, and no password is known that hashes to it.
fn no_match(cost: u32) -> PasswordHash {
    PasswordHash(format!("$2b${cost:02}${}", ".".repeat(53)))
}

/// Why there is no hasher.
#[derive(Debug, thiserror::Error)]
pub enum HasherNotStarted {
    /// The cost is not one that bcrypt knows.
    #[error("a bcrypt cost is between 4 and 31, not {cost}")]
    CostNotAllowed {
        /// What was set.
        cost: u32,
    },
    /// The system gives no threads.
    #[error("threads to hash on: {0}")]
    Threads(#[from] io::Error),
}

/// Why a password could be neither hashed nor verified.
#[derive(Debug, thiserror::Error)]
pub enum HashingError {
    /// Too many wait already; it passes.
    #[error("too many log-ins at once")]
    Busy,
    /// The server is shutting down.
    #[error("interrupted")]
    Interrupted,
    /// The stored hash is not bcrypt's, or the system has no randomness.
    #[error("bcrypt: {0}")]
    Bcrypt(#[from] BcryptError),
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Instant;

    use super::*;

    fn hasher(cost: u32, concurrency: usize, max_wait: Duration) -> PasswordHasher {
        let concurrency = NonZeroUsize::new(concurrency).unwrap();
        PasswordHasher::new(&HashingSettings {
            cost,
            concurrency,
            max_wait,
        })
        .unwrap()
    }

    fn quick() -> PasswordHasher {
        hasher(4, 2, Duration::from_secs(10))
    }

    fn password(text: &str) -> Password {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn a_password_matches_its_own_hash_only() {
        let hasher = quick();
        let hash = hasher.hash(&password("correct horse")).await.unwrap();
        assert!(
            hasher
                .verify(Some(&password("correct horse")), Some(&hash))
                .await
                .unwrap()
        );
        assert!(
            !hasher
                .verify(Some(&password("correct horsf")), Some(&hash))
                .await
                .unwrap()
        );
        assert!(!hasher.verify(None, Some(&hash)).await.unwrap());
        assert!(
            !hasher
                .verify(Some(&password("correct horse")), None)
                .await
                .unwrap()
        );
    }

    #[tokio::test]
    async fn nothing_matches_where_no_password_was_given() {
        let hash_of_nothing = PasswordHash(bcrypt::hash("", 4).unwrap());
        assert!(!quick().verify(None, Some(&hash_of_nothing)).await.unwrap());
    }

    #[tokio::test]
    async fn one_password_has_another_hash_each_time() {
        let hasher = quick();
        let first = hasher.hash(&password("souk-demo")).await.unwrap();
        let second = hasher.hash(&password("souk-demo")).await.unwrap();
        assert_ne!(first, second);
        assert!(first.0.starts_with("$2b$04$") && second.0.starts_with("$2b$04$"));
    }

    #[tokio::test]
    async fn all_72_bytes_of_a_password_count() {
        let hasher = quick();
        let hash = hasher
            .hash(&password(&format!("{}a", "x".repeat(71))))
            .await
            .unwrap();
        assert!(
            hasher
                .verify(
                    Some(&password(&format!("{}a", "x".repeat(71)))),
                    Some(&hash)
                )
                .await
                .unwrap()
        );
        assert!(
            !hasher
                .verify(
                    Some(&password(&format!("{}b", "x".repeat(71)))),
                    Some(&hash)
                )
                .await
                .unwrap()
        );
        assert!(
            !hasher
                .verify(Some(&password(&"x".repeat(71))), Some(&hash))
                .await
                .unwrap()
        );
    }

    #[test]
    fn an_unknown_name_is_as_much_work_as_a_known_one() {
        for cost in [4, 12, 31] {
            let no_match = hasher(cost, 1, Duration::ZERO).no_match;
            assert_eq!(
                no_match.0.parse::<bcrypt::HashParts>().unwrap().get_cost(),
                cost
            );
        }
    }

    #[tokio::test]
    async fn a_hash_of_a_lower_cost_is_made_up_for() {
        let raised = hasher(6, 1, Duration::from_mins(1));
        let hasher = hasher(12, 1, Duration::ZERO);
        for own in [4, 8, 11, 12] {
            let in_vain = hasher.costs_in_vain(&no_match(own));
            let work: u32 = in_vain.map(|cost| 1 << cost).sum();
            assert_eq!(work + (1 << own), 1 << 12, "a hash of cost {own}");
        }
        assert!(hasher.costs_in_vain(&no_match(13)).is_empty());
        let old = quick().hash(&password("souk-demo")).await.unwrap();
        for (text, is_right) in [("souk-demo", true), ("other-demo", false)] {
            let verified = raised
                .verify(Some(&password(text)), Some(&old))
                .await
                .unwrap();
            assert_eq!(verified, is_right);
        }
    }

    #[tokio::test]
    async fn a_wrong_password_takes_as_long_after_the_cost_was_raised() {
        let (raised, wrong) = (hasher(9, 1, Duration::from_mins(1)), password("other-demo"));
        let [old, new] = [quick(), raised.clone()]
            .map(|hasher| async move { hasher.hash(&password("souk-demo")).await.unwrap() });
        let hashes = [Some(old.await), Some(new.await), None];
        // by turns, and the least of each: what else the machine does falls on all alike
        let mut least = [Duration::MAX; 3];
        for _ in 0..7 {
            for (least, hash) in least.iter_mut().zip(&hashes) {
                let begun = Instant::now();
                assert!(!raised.verify(Some(&wrong), hash.as_ref()).await.unwrap());
                *least = begun.elapsed().min(*least);
            }
        }
        // without the work in vain the first would be a thirtieth
        let unknown = least[2];
        let alike = |time: &Duration| *time > unknown / 2 && *time < unknown * 2;
        assert!(least.iter().all(alike), "{least:?}");
    }

    #[tokio::test]
    async fn a_hash_of_a_lower_cost_is_outdated_and_one_of_a_higher_cost_is_not() {
        let hash = hasher(5, 1, Duration::from_mins(1))
            .hash(&password("souk-demo"))
            .await
            .unwrap();
        for (cost, is_outdated) in [(4, false), (5, false), (6, true)] {
            let hasher = hasher(cost, 1, Duration::ZERO);
            assert_eq!(hasher.is_outdated(&hash), is_outdated, "{cost}");
        }
    }

    #[tokio::test]
    async fn many_are_hashed_in_order_and_nobody_else_waits_for_all_of_them() {
        let hasher = hasher(8, 1, Duration::from_mins(1));
        let passwords: Vec<Password> = (0..20)
            .map(|n| password(&format!("souk-demo-{n}")))
            .collect();
        let (many, other) = (hasher.hash_all(passwords.clone()), password("souk-demo"));
        let mut many = std::pin::pin!(many);
        let one = async {
            tokio::task::yield_now().await; // the many come first
            hasher.hash(&other).await
        };
        tokio::select! {
            _ = &mut many => panic!("the one should be done before the twenty"),
            hash = one => assert!(hash.is_ok()),
        }
        let done = many.await.unwrap();
        let last = hasher.verify(Some(&passwords[19]), Some(&done[19])).await;
        assert!(last.unwrap() && done.len() == 20);
    }

    #[tokio::test]
    async fn no_more_than_the_bound_run_at_once_and_who_waits_too_long_is_refused() {
        let hasher = hasher(11, 1, Duration::from_millis(5));
        let (wanted, unlucky) = (password("souk-demo"), password("other-demo"));
        let (first, second) = tokio::join!(hasher.hash(&wanted), hasher.hash(&unlucky));
        assert!(first.is_ok());
        assert!(matches!(second, Err(HashingError::Busy)), "{second:?}");
    }

    #[tokio::test]
    async fn a_caller_that_gives_up_does_not_free_the_place_of_its_work() {
        let hasher = hasher(11, 1, Duration::from_mins(1));
        let souk_demo = password("souk-demo");
        let given_up = timeout(Duration::from_millis(1), hasher.hash(&souk_demo)).await;
        assert!(given_up.is_err());
        assert_eq!(hasher.slots.available_permits(), 0);
        assert!(
            hasher.hash(&souk_demo).await.is_ok(),
            "and it is free when the work is done"
        );
    }

    #[test]
    fn a_cost_that_bcrypt_does_not_know_is_refused() {
        for cost in [0, 3, 32] {
            let settings = HashingSettings {
                cost,
                ..HashingSettings::default()
            };
            let refusal = PasswordHasher::new(&settings).unwrap_err();
            assert!(
                matches!(refusal, HasherNotStarted::CostNotAllowed { cost: it } if it == cost),
                "{refusal}"
            );
        }
    }

    #[tokio::test]
    async fn neither_hash_nor_password_is_in_debug_output() {
        let hash = quick().hash(&password("souk-demo")).await.unwrap();
        assert_eq!(format!("{hash:?}"), "PasswordHash(..)");
        assert!(!format!("{:?}", quick()).contains("$2b$"));
    }
}
