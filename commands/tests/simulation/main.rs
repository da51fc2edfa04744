//! The payment saga in a simulated world: customers order and cancel, the gateway declines, keeps silent and answers late,
//! processes stand still and die. Thousands of seeded histories, each checked against the gateway's own book.
//!
//! A history that fails names its seed; `SOUK_SIMULATION_SEED` repeats it alone.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod check;
mod customers;
mod gateway;
mod scenarios;
mod shop;

use eventstore::testing::simulation::{Random, Weather, World, histories};

/// So many that it takes about ten seconds.
const HISTORIES: u64 = 500;

#[test]
fn every_order_is_paid_or_unpaid_exactly_once_and_nobody_is_charged_twice() {
    histories("payments", HISTORIES, |seed| async move {
        let mut random = Random::new(seed);
        let world = World::new(random.fork(), Weather::CALM);
        let manners = gateway::Manners::draw(&mut random);
        let gateway = gateway::SimGateway::new(manners, random.fork());
        let shop = shop::Shop::open(world, gateway, &mut random).await;
        shop.world.set_weather(Weather::draw(&mut random));
        shop.let_things_happen(&mut random);
        let told = customers::order_and_cancel(&shop, &mut random).await;
        shop.settle().await;
        check::stuck_payments_show(&shop).await;
        check::all(&shop, &told);
        check::caches(&shop, &told, &mut random).await;
    });
}
