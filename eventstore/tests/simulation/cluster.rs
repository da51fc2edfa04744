//! Two or three processes on one server, and what befalls them.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use eventstore::{
    EventLog,
    subscription::Subscriptions,
    testing::simulation::{Process, Random, SubscriptionRow, Weather, World},
};
use tokio::{task::JoinHandle, time::Instant};

use crate::followers;

/// Longest that it may take until all is done once nothing goes wrong any more.
const SETTLING: Duration = Duration::from_mins(3);
/// Longest that a process stands still.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// A process that runs.
#[derive(Clone)]
pub(crate) struct Running {
    pub(crate) process: Process,
    pub(crate) log: EventLog,
    subscriptions: Option<Subscriptions>,
}

impl Running {
    async fn kill(&self) {
        self.process.kill();
        self.log.kill().await;
        if let Some(subscriptions) = &self.subscriptions {
            subscriptions.kill().await;
        }
    }
}

/// The places of processes: each is taken by one that runs, or by none while it is down.
type Places = Arc<Mutex<Vec<Option<Running>>>>;

pub(crate) struct Cluster {
    world: World,
    places: Places,
    keepers: Vec<JoinHandle<()>>,
    follows: bool,
}

impl Cluster {
    /// Starts processes, and what befalls them until [`Self::settle`].
    pub(crate) fn start(world: World, random: &mut Random, follows: bool) -> Self {
        let count = random.pick(&[1, 2, 2, 2, 3]);
        let cache_bytes = random.pick(&[0, 2_000, 1_000_000]);
        let often = random.pick(&[0, 0, 2_000, 10_000]);
        let places: Places = Arc::new(Mutex::new(vec![None; count]));
        let keepers = (0..count)
            .map(|place| {
                let keeper = Keeper {
                    world: world.clone(),
                    places: places.clone(),
                    place,
                    follows,
                    cache_bytes,
                    random: random.fork(),
                };
                tokio::spawn(keeper.run(often))
            })
            .collect();
        let mut this = Self {
            world,
            places,
            keepers,
            follows,
        };
        let (world, random, often) = (this.world.clone(), random.fork(), random.pick(&[0, 20_000]));
        if often > 0 {
            this.keepers
                .push(tokio::spawn(restart_server(world, random, often)));
        }
        this
    }

    pub(crate) const fn world(&self) -> &World {
        &self.world
    }

    /// One of the processes that run.
    pub(crate) async fn any(&self, random: &mut Random) -> Running {
        loop {
            {
                let places = self.places.lock().unwrap();
                let place = random.below(places.len() as u64) as usize;
                if let Some(running) = &places[place] {
                    return running.clone();
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Nothing goes wrong any more; returns once everything is done that was begun.
    pub(crate) async fn settle(&self) {
        for keeper in &self.keepers {
            keeper.abort();
        }
        self.world.set_weather(Weather::CALM);
        let alone = self.places.lock().unwrap().iter().all(Option::is_none);
        if alone {
            let keeper = Keeper {
                world: self.world.clone(),
                places: self.places.clone(),
                place: 0,
                follows: self.follows,
                cache_bytes: 1_000_000,
                random: Random::new(0),
            };
            keeper.start().await;
        }
        // whoever stands still goes on, and what is under way gets there or is given up
        tokio::time::sleep(LONGEST_PAUSE * 4).await;
        let give_up = Instant::now() + SETTLING;
        while self.follows && !self.followers_are_done() {
            assert!(
                Instant::now() < give_up,
                "the subscriptions do not get to the end: {:?}, {:?}",
                self.world.head(),
                self.world.rows::<SubscriptionRow>()
            );
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    fn followers_are_done(&self) -> bool {
        let head = self.world.head();
        let rows = self.world.rows::<SubscriptionRow>();
        rows.len() == followers::NAMES.len() && rows.values().all(|row| row.head == head)
    }

    /// The logs of the processes that run.
    pub(crate) fn logs(&self) -> Vec<EventLog> {
        let places = self.places.lock().unwrap();
        places
            .iter()
            .flatten()
            .map(|running| running.log.clone())
            .collect()
    }
}

async fn restart_server(world: World, mut random: Random, often: u64) {
    loop {
        tokio::time::sleep(random.up_to(Duration::from_millis(often))).await;
        world.restart_server(random.up_to(Duration::from_secs(6)));
    }
}

/// Starts the process of one place, lets it stand still, kills it, and starts another.
struct Keeper {
    world: World,
    places: Places,
    place: usize,
    follows: bool,
    cache_bytes: usize,
    random: Random,
}

impl Keeper {
    /// Something happens every so many milliseconds, at most.
    async fn run(mut self, often: u64) {
        loop {
            let running = self.start().await;
            if often == 0 {
                return;
            }
            loop {
                tokio::time::sleep(self.random.up_to(Duration::from_millis(2 * often))).await;
                if self.random.in_thousand(500) {
                    break;
                }
                running.process.pause(self.random.up_to(LONGEST_PAUSE));
            }
            self.places.lock().unwrap()[self.place] = None;
            running.kill().await;
            tokio::time::sleep(self.random.up_to(Duration::from_secs(5))).await;
        }
    }

    async fn start(&self) -> Running {
        loop {
            let process = self.world.start_process();
            let opening = process.open_log(self.cache_bytes);
            let opened = tokio::time::timeout(Duration::from_secs(30), opening).await;
            if let Ok(Ok(log)) = opened {
                let subscriptions = if self.follows {
                    let subscriptions = process.subscriptions(&log);
                    for follower in followers::both() {
                        process.follow(&subscriptions, follower).await;
                    }
                    Some(subscriptions)
                } else {
                    None
                };
                let running = Running {
                    process,
                    log,
                    subscriptions,
                };
                self.places.lock().unwrap()[self.place] = Some(running.clone());
                return running;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}
