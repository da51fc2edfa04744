//! SIGKILL at random moments: one of two processes, the other, or both, also while they start.

use crate::{
    checks,
    clients::Rules,
    seed::rounds,
    world::{World, opening},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_are_killed_at_random_moments_lose_and_double_nothing() {
    let mut world = World::open("kill", opening().with_kafka(), &[&[], &[]]).await;
    let mut choices = world.seed.choices("killer");
    let mut load = world.load(Rules::DEATHS);
    for _ in 0..rounds() {
        load.successes(choices.between(1, 60)).await;
        let victims = choices.of(&[vec![0], vec![1], vec![0, 1]]);
        for victim in &victims {
            world.kill(*victim).await;
        }
        for victim in &victims {
            if choices.percent(25) {
                world.stumble(*victim, &mut choices).await;
            }
            world.start(*victim).await;
        }
    }
    let record = load.finish().await;
    checks::all(world, record).await;
}
