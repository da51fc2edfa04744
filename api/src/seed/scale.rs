//! A large demo shop: so many products, customers and orders, for measurements and demonstrations. Demo mode only.
//!
//! All of it goes through the commands that clients use, hundreds at a time, so that the log commits them in groups.
//! What is made depends on a seed alone, and things have ids that derive from it and from their number: what is there
//! already is left as it is, whatever became of it, so that a run that was interrupted, or one of a larger scale, adds
//! what is missing. Accounts share one password, hashed once. Used by `souk seed --scale`.

use std::{
    cell::Cell,
    collections::HashSet,
    fmt,
    ops::Range,
    time::{Duration, Instant},
};

use commands::{Failure, Manager};
use domain::{
    aggregate::Decider,
    category::Category,
    ids::{CategoryId, UserId},
    order::{Order, OrderError},
    product::{Product, ProductError},
    shop::{Shop, ShopError},
};
use eventstore::unit::Committed;
use futures::{StreamExt, future::join_all, stream};
use identity::{Password, PasswordHash};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::{
    progress::{per_second, thousands},
    random::Thing,
    words::GOODS,
};
use super::{Maker, PASSWORD, SeedError, Seeded, category_id, seed};
use crate::{config::Config, services::Services};

mod orders;
mod people;
mod products;
mod progress;
mod random;
mod shares;
mod words;

pub use self::progress::Progress;

/// Things that are made, or found to be there, by one task at a time.
const CHUNK: u64 = 128;
/// Tasks at once: with the chunk, as many units as the log commits in one batch.
const AT_ONCE: usize = 4;

/// How large a shop is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    /// Products, those of the small demo apart.
    pub products: u64,
    /// Customers with an account.
    pub customers: u64,
    /// Orders of these products by these customers.
    pub orders: u64,
    /// What all that is made depends on. Another one makes another shop beside the first.
    pub random_seed: u64,
}

impl Scale {
    /// The seed where nothing else is said.
    pub const DEFAULT_SEED: u64 = 1;

    /// So many of each.
    pub const fn of(count: u64) -> Self {
        Self {
            products: count,
            customers: count,
            orders: count,
            random_seed: Self::DEFAULT_SEED,
        }
    }
}

/// What became of some of the things that were to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Made.
    pub made: u64,
    /// There already.
    pub there: u64,
    /// Refused by a rule of the shop: the product was sold out, a region is disabled.
    pub refused: u64,
    /// The first reason of these.
    pub reason: Option<String>,
}

impl Tally {
    fn there(count: usize) -> Self {
        Self {
            there: count as u64,
            ..Self::default()
        }
    }

    fn all(&self) -> u64 {
        self.made + self.there + self.refused
    }

    fn add(&mut self, other: Self) {
        self.made += other.made;
        self.there += other.there;
        self.refused += other.refused;
        if self.reason.is_none() {
            self.reason = other.reason;
        }
    }

    /// Counts what became of one. A failure that says nothing about it ends the run.
    fn count<T>(
        &mut self,
        what: &str,
        done: Result<Committed<T>, Failure>,
    ) -> Result<(), SeedError> {
        match done {
            Ok(committed) if committed.appended > 0 => self.made += 1,
            // somebody else has made it since we looked
            Ok(_)
            | Err(
                Failure::Order(OrderError::AlreadyExists)
                | Failure::Product(ProductError::AlreadyExists)
                | Failure::Shop(ShopError::AlreadyExists),
            ) => self.there += 1,
            Err(failure) if failure.is_passing() || matches!(failure, Failure::Defect(_)) => {
                let what = what.to_owned();
                return Err(SeedError::Refused { what, failure });
            }
            Err(failure) => {
                self.refused += 1;
                self.reason.get_or_insert_with(|| failure.to_string());
            }
        }
        Ok(())
    }
}

/// What a part of the run did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Of what, for instance `orders`.
    pub what: &'static str,
    /// What became of them.
    pub tally: Tally,
    /// How long it took.
    pub took: Duration,
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally {
            made,
            there,
            refused,
            reason,
        } = &self.tally;
        let seconds = self.took.as_secs_f64();
        write!(f, "{}: {} made", self.what, thousands(*made))?;
        if *there > 0 {
            write!(f, ", {} there already", thousands(*there))?;
        }
        if *refused > 0 {
            let reason = reason.as_deref().unwrap_or_default();
            write!(f, ", {} refused (the first: {reason})", thousands(*refused))?;
        }
        let rate = per_second(self.tally.all(), self.took);
        write!(f, ", in {seconds:.1} s ({}/s)", thousands(rate))
    }
}

/// What the whole run did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scaled {
    /// What was missing of the small demo.
    pub seeded: Seeded,
    /// One part after the other; one that was interrupted has counted less than was wanted.
    pub parts: Vec<Counted>,
    /// Whether it was stopped before its end. The same again goes on from there.
    pub stopped: bool,
}

/// Makes what is missing of the demo data and of a shop of this scale, in the database of these settings, which must be
/// migrated. Once `stop` is cancelled, what has begun is finished and the rest is left.
pub async fn run(
    config: Config,
    scale: Scale,
    progress: &Progress,
    stop: &CancellationToken,
) -> Result<Scaled, SeedError> {
    if !config.demo() {
        return Err(SeedError::NotADemo);
    }
    let services = Services::open(config).await?;
    let works = Works {
        maker: Maker {
            commands: services.commands.clone(),
            correlation_id: Uuid::now_v7(),
        },
        services: &services,
        scale,
        progress,
        stop,
    };
    let made = works.run().await;
    services.close().await;
    made
}

/// The categories that goods are in: slug and title.
fn categories() -> impl Iterator<Item = (&'static str, &'static str)> {
    GOODS.iter().map(|goods| goods.category)
}

/// What it takes to make a large shop.
struct Works<'a> {
    maker: Maker,
    services: &'a Services,
    scale: Scale,
    progress: &'a Progress,
    stop: &'a CancellationToken,
}

impl Works<'_> {
    /// One part after the other, because each needs those before it.
    async fn run(&self) -> Result<Scaled, SeedError> {
        let mut scaled = Scaled {
            seeded: seed(self.services).await?,
            ..Scaled::default()
        };
        let (scale, into) = (&self.scale, &mut scaled);
        let shown = self.categories().await?;
        let password = PASSWORD.parse::<Password>()?;
        let hash = self.services.identity.hash_for_many(&password).await?;

        let accounts = |numbers| self.accounts(Thing::Seller, numbers, &hash);
        let sellers = self.part("sellers", scale.shops(), accounts, into).await?;
        let sellers = sellers.concat();
        let shops = |numbers| self.shops(numbers, &sellers);
        self.part("shops", scale.shops(), shops, into).await?;
        let products = |numbers| self.products(numbers, &sellers, &shown);
        self.part("products", scale.products, products, into)
            .await?;
        let accounts = |numbers| self.accounts(Thing::Customer, numbers, &hash);
        let customers = self.part("customers", scale.customers, accounts, into);
        let customers = customers.await?.concat();
        let orders = |numbers| self.orders(numbers, &customers);
        self.part("orders", scale.orders, orders, into).await?;
        Ok(scaled)
    }

    /// Makes so many of something, some at a time, and counts them. Returns what came of each time, in order. After a
    /// failure, or once it is to be stopped, nothing more is begun.
    async fn part<T, F>(
        &self,
        what: &'static str,
        count: u64,
        work: impl Fn(Range<u64>) -> F,
        scaled: &mut Scaled,
    ) -> Result<Vec<T>, SeedError>
    where
        F: Future<Output = Result<(Tally, T), SeedError>>,
    {
        let (begun, shown) = (Instant::now(), self.progress.begin(what, count));
        let failing = Cell::new(false);
        let starts = (0..count)
            .step_by(CHUNK as usize)
            .take_while(|_| !failing.get() && !self.stop.is_cancelled());
        let mut running = stream::iter(starts)
            .map(|from| work(from..count.min(from + CHUNK)))
            .buffered(AT_ONCE);
        let (mut tally, mut outputs, mut failed) = (Tally::default(), Vec::new(), None);
        while let Some(done) = running.next().await {
            match done {
                Ok((some, output)) => {
                    shown.add(some.all());
                    tally.add(some);
                    outputs.push(output);
                }
                Err(error) => {
                    failing.set(true);
                    failed.get_or_insert(error);
                }
            }
        }
        drop(shown);
        let counted = Counted {
            what,
            tally,
            took: begun.elapsed(),
        };
        if counted.tally.all() > 0 {
            self.progress.say(&counted);
        }
        if let Some(error) = failed {
            return Err(error);
        }
        scaled.stopped |= counted.tally.all() < count;
        scaled.parts.push(counted);
        Ok(outputs)
    }

    /// Makes the categories, unless others have their titles. Returns those that are shown: some may have been deleted.
    async fn categories(&self) -> Result<HashSet<CategoryId>, SeedError> {
        let mut shown = HashSet::new();
        for (slug, title) in categories() {
            match self.maker.category(slug, title).await {
                Ok(_)
                | Err(SeedError::Refused {
                    failure: Failure::ClaimTaken { .. },
                    ..
                }) => {}
                Err(error) => return Err(error),
            }
            let id = category_id(slug);
            let (category, _) = self.services.log.load::<Category>(id).await?;
            if category.shown().is_ok() {
                shown.insert(id);
            }
        }
        Ok(shown)
    }

    async fn accounts(
        &self,
        thing: Thing,
        numbers: Range<u64>,
        hash: &PasswordHash,
    ) -> Result<(Tally, Vec<UserId>), SeedError> {
        let people = numbers
            .map(|number| self.scale.account(thing, number))
            .collect::<Result<Vec<_>, _>>()?;
        let ensured = self.services.identity.ensure_users(&people, hash).await?;
        let mut tally = Tally::there(people.len() - ensured.made);
        tally.made = ensured.made as u64;
        Ok((tally, ensured.ids))
    }

    async fn shops(
        &self,
        numbers: Range<u64>,
        sellers: &[UserId],
    ) -> Result<(Tally, ()), SeedError> {
        let id = |number| self.scale.shop_id(number);
        let (mut tally, missing) = self.missing::<Shop, _>(numbers, id).await?;
        let mut opening = Vec::with_capacity(missing.len());
        for number in missing {
            let shop = self.scale.shop(number, seller(sellers, number)?)?;
            let request = self.maker.request("OpenShop");
            opening.push(self.maker.commands.open_shop(request, shop));
        }
        for done in join_all(opening).await {
            tally.count("shops", done)?;
        }
        Ok((tally, ()))
    }

    async fn products(
        &self,
        numbers: Range<u64>,
        sellers: &[UserId],
        shown: &HashSet<CategoryId>,
    ) -> Result<(Tally, ()), SeedError> {
        let id = |number| self.scale.product_id(number);
        let (mut tally, missing) = self.missing::<Product, _>(numbers, id).await?;
        let mut creating = Vec::with_capacity(missing.len());
        for number in missing {
            let by = match self.scale.shop_of(number) {
                Some(shop) => Manager::Seller(seller(sellers, shop)?),
                None => Manager::Market,
            };
            let product = self.scale.product(number, shown)?;
            let request = self.maker.request("CreateProduct");
            creating.push(self.maker.commands.create_product(request, by, product));
        }
        for done in join_all(creating).await {
            tally.count("products", done)?;
        }
        Ok((tally, ()))
    }

    async fn orders(
        &self,
        numbers: Range<u64>,
        customers: &[UserId],
    ) -> Result<(Tally, ()), SeedError> {
        let id = |number| self.scale.order_id(number);
        let (mut tally, missing) = self.missing::<Order, _>(numbers, id).await?;
        let test_methods = self.services.config.test_payment_methods();
        let orders = missing
            .into_iter()
            .map(|number| self.scale.order(number, customers, test_methods))
            .collect::<Result<Vec<_>, _>>()?;
        // names and addresses are sealed: one by one, each customer's first order would wait for a key to be made
        let people = orders.iter().map(|order| order.customer_id.0);
        self.services.vault.make_keys(people).await?;
        let placing = orders.into_iter().map(|order| {
            let request = self.maker.request("PlaceOrder");
            self.maker.commands.place_order(request, order)
        });
        for done in join_all(placing).await {
            tally.count("orders", done)?;
        }
        Ok((tally, ()))
    }

    /// The numbers of those that are not there, and a count of those that are.
    async fn missing<A: Decider, I: fmt::Display>(
        &self,
        numbers: Range<u64>,
        id: impl Fn(u64) -> I,
    ) -> Result<(Tally, Vec<u64>), SeedError> {
        let ids = numbers.clone().map(&id);
        let there = self.services.log.existing::<A>(ids).await;
        let there = there.map_err(SeedError::Looking)?;
        let missing = numbers.filter(|number| !there.contains(&id(*number).to_string()));
        Ok((Tally::there(there.len()), missing.collect()))
    }
}

fn seller(sellers: &[UserId], number: u64) -> Result<UserId, SeedError> {
    let seller = sellers.get(number as usize).copied();
    seller.ok_or_else(|| SeedError::Invalid(format!("shop {number} has no seller")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(failure: Failure) -> Result<Committed<()>, Failure> {
        Err(failure)
    }

    #[test]
    fn what_a_rule_refuses_is_counted_and_what_says_nothing_ends_the_run() {
        let mut tally = Tally::there(2);
        for failure in [
            Failure::NotFound { what: "region" },
            Failure::Erased,
            OrderError::AlreadyExists.into(),
        ] {
            assert!(tally.count("orders", refused(failure)).is_ok());
        }
        assert_eq!((tally.made, tally.there, tally.refused), (0, 3, 2));
        assert_eq!(tally.reason.as_deref(), Some("the region does not exist"));
        for failure in [Failure::OutcomeUnknown, Failure::Defect("of ours")] {
            assert!(tally.count("orders", refused(failure)).is_err());
        }
        assert_eq!(tally.all(), 5);
    }

    #[test]
    fn a_part_says_what_became_of_its_things_and_how_fast() {
        let mut counted = Counted {
            what: "orders",
            tally: Tally {
                made: 12_000,
                ..Tally::default()
            },
            took: Duration::from_millis(1_500),
        };
        assert_eq!(
            counted.to_string(),
            "orders: 12,000 made, in 1.5 s (8,000/s)"
        );
        counted.tally.add(Tally::there(3_000));
        counted.tally.add(Tally {
            refused: 1,
            reason: Some("sold out".into()),
            ..Tally::default()
        });
        assert_eq!(
            counted.to_string(),
            "orders: 12,000 made, 3,000 there already, 1 refused (the first: sold out), in 1.5 s (10,000/s)"
        );
    }
}
