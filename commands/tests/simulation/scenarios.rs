//! What histories brought to light, each as a small story of its own.

use std::time::Duration;

use domain::ids::OrderId;
use eventstore::testing::simulation::{Fault, Random, Weather, World};
use uuid::Uuid;

use crate::{
    check,
    customers::{Told, new_order},
    gateway::{Manners, SimGateway},
    shop::{Shop, request},
};

/// Has an order paid while one statement of the timers gets no answer.
#[test]
fn a_timer_runner_whose_connection_falls_silent_goes_on_with_another() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut random = Random::new(0);
        let world = World::new(random.fork(), Weather::CALM);
        let gateway = SimGateway::new(Manners::GOOD, random.fork());
        let shop = Shop::open(world, gateway, &mut random).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        // one for each process that there may be
        for _ in 0..3 {
            shop.world
                .befall("statement", Fault::Silent { effect: false });
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
        let order_id = OrderId(Uuid::from_u128(77));
        let running = shop.any(&mut random).await;
        let order = new_order(order_id, &mut random);
        running
            .commands
            .place_order(request(), order)
            .await
            .unwrap();
        shop.settle().await;
        let told = Told {
            order_id,
            placed: Some(true),
            cancelled: false,
        };
        check::all(&shop, &[told]);
    });
}
