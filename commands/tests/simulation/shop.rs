//! A shop of two or three processes on a simulated server, and what befalls them.

use std::{
    num::NonZeroU32,
    sync::{Arc, Mutex},
    time::Duration,
};

use commands::{
    CommandSettings, Commands, Manager, Request,
    discounts::NewDiscount,
    payment_methods::PaymentMethods,
    products::NewProduct,
    regions::NewRegion,
    saga::{RunningTimers, SagaSettings},
    testing::{TimerRow, simulated_payment_saga},
};
use domain::{
    discount::{DiscountRules, DiscountScope, DiscountValue, Percentage},
    ids::{DiscountId, OrderId, PaymentId, ProductId, RegionId, UserId},
    money::{Currency, Money, TaxRate},
    text::{CountryCode, Description, DiscountCode, Quantity, Sku, Title},
};
use eventstore::{
    EventLog,
    event::Cause,
    sealing::{MasterKey, Vault},
    subscription::Subscriptions,
    testing::simulation::{Process, Random, SubscriptionRow, Weather, World},
};
use tokio::{task::JoinHandle, time::Instant};
use uuid::Uuid;

use crate::gateway::SimGateway;

/// Pieces of each product at the start.
pub(crate) const STOCK: u64 = 6;
/// Few, so that some are sold out.
pub(crate) const PRODUCTS: u64 = 3;
/// How many orders may use each discount: few, so that they are used up.
pub(crate) const USES: u32 = 3;
/// What customers type in for one of them; the other is given by itself.
pub(crate) const CODE: &str = "TET";
/// How much they take off, in basis points: as much, so that the code is often outdone.
const SHARE: u32 = 1_000;
/// Longest that it may take until all is decided once nothing goes wrong any more.
const SETTLING: Duration = Duration::from_mins(30);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

pub(crate) const CUSTOMER: UserId = UserId(Uuid::from_u128(9));
const REGION: RegionId = RegionId(Uuid::from_u128(8));

pub(crate) fn product(number: u64) -> ProductId {
    ProductId(Uuid::from_u128(u128::from(number) + 100))
}

/// That of the code, and the one that needs none.
pub(crate) const DISCOUNTS: [DiscountId; 2] = [
    DiscountId(Uuid::from_u128(201)),
    DiscountId(Uuid::from_u128(202)),
];

fn saga_settings() -> SagaSettings {
    SagaSettings {
        gateway_retry: Duration::from_secs(1),
        longest_retry: Duration::from_secs(10),
        gateway_patience: Duration::from_secs(30),
        gateway_timeout: Duration::from_secs(5),
        claim: Duration::from_secs(4),
    }
}

pub(crate) fn request() -> Request {
    Request::new(Cause {
        correlation_id: "shop".into(),
        ..Cause::default()
    })
}

/// A process that runs.
#[derive(Clone)]
pub(crate) struct Running {
    pub(crate) process: Process,
    pub(crate) commands: Commands,
    log: EventLog,
    subscriptions: Subscriptions,
    timers: Arc<RunningTimers>,
}

type Places = Arc<Mutex<Vec<Option<Running>>>>;

pub(crate) struct Shop {
    pub(crate) world: World,
    pub(crate) gateway: SimGateway,
    settings: CommandSettings,
    places: Places,
    keepers: Mutex<Vec<JoinHandle<()>>>,
}

impl Shop {
    /// Opens it in fair weather, with its products.
    pub(crate) async fn open(world: World, gateway: SimGateway, random: &mut Random) -> Self {
        let settings = CommandSettings {
            payment_delay: Duration::from_secs(random.pick(&[0, 3])),
            payment_window: Duration::from_secs(random.pick(&[0, 20])),
            payment_methods: PaymentMethods::RealOnly,
        };
        let count = random.pick(&[1, 2, 2, 3]);
        let this = Self {
            world,
            gateway,
            settings,
            places: Arc::new(Mutex::new(vec![None; count])),
            keepers: Mutex::default(),
        };
        let first = this.keeper(0, random.fork()).start().await;
        furnish(&first.commands).await;
        this.keepers.lock().unwrap().extend((1..count).map(|place| {
            let keeper = this.keeper(place, random.fork());
            tokio::spawn(async move { drop(keeper.start().await) })
        }));
        this
    }

    /// From now on processes stand still and die, and the server is restarted.
    pub(crate) fn let_things_happen(&self, random: &mut Random) {
        let often = random.pick(&[0, 4_000, 20_000]);
        let mut keepers = self.keepers.lock().unwrap();
        if often > 0 {
            for place in 0..self.places.lock().unwrap().len() {
                keepers.push(tokio::spawn(self.keeper(place, random.fork()).run(often)));
            }
        }
        if random.in_thousand(300) {
            let (world, mut random) = (self.world.clone(), random.fork());
            keepers.push(tokio::spawn(async move {
                loop {
                    tokio::time::sleep(random.up_to(Duration::from_mins(1))).await;
                    world.restart_server(random.up_to(Duration::from_secs(6)));
                }
            }));
        }
    }

    fn keeper(&self, place: usize, random: Random) -> Keeper {
        Keeper {
            world: self.world.clone(),
            gateway: self.gateway.clone(),
            settings: self.settings,
            places: self.places.clone(),
            place,
            random,
        }
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
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Nothing goes wrong any more; returns once every timer is done but those of orders about which the gateway is mute.
    pub(crate) async fn settle(&self) {
        for keeper in self.keepers.lock().unwrap().drain(..) {
            keeper.abort();
        }
        self.world.set_weather(Weather::CALM);
        let alone = self.places.lock().unwrap().iter().all(Option::is_none);
        if alone {
            self.keeper(0, Random::new(0)).start().await;
        }
        tokio::time::sleep(LONGEST_PAUSE * 4).await;
        let give_up = Instant::now() + SETTLING;
        while !self.is_done() {
            assert!(
                Instant::now() < give_up,
                "it does not come to an end: head {:?}, {:?}, timers {:#?}",
                self.world.head(),
                self.world.rows::<SubscriptionRow>(),
                self.world.rows::<TimerRow>()
            );
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
    }

    fn is_done(&self) -> bool {
        let head = self.world.head();
        let rows = self.world.rows::<SubscriptionRow>();
        let timers = self.world.rows::<TimerRow>();
        rows.values().all(|row| row.head == head)
            && timers.values().all(|row| match row.timer {
                commands::saga::TimerId::Payment(order_id)
                | commands::saga::TimerId::Window(order_id) => self.is_stuck(order_id),
                commands::saga::TimerId::Refund(..) => false,
            })
    }

    /// Only where the gateway is mute may an order be left undecided.
    pub(crate) fn is_stuck(&self, order_id: OrderId) -> bool {
        let payment_id = PaymentId::of(order_id);
        self.gateway.book(|book| book.is_mute_about(payment_id))
    }
}

async fn furnish(commands: &Commands) {
    let currency = Currency::parse("USD").unwrap();
    let region = NewRegion {
        region_id: REGION,
        title: Title::parse("United States").unwrap(),
        country: CountryCode::parse("US").unwrap(),
        currency,
        tax_rate: TaxRate::from_basis_points(1_000).unwrap(),
        prices_include_tax: false,
        default_for_currency: false,
    };
    commands.open_region(request(), region).await.unwrap();
    for product_id in (0..PRODUCTS).map(product) {
        let new = NewProduct {
            product_id,
            region_id: REGION,
            sku: Sku::parse(&product_id.to_string()).unwrap(),
            title: Title::parse("Teapot").unwrap(),
            description: Description::parse("").unwrap(),
            image_url: None,
            price: Money::new(1_000, currency),
            shop_id: None,
            category_id: None,
            specification: None,
            stock: Quantity::parse(STOCK).ok(),
        };
        commands
            .create_product(request(), Manager::Market, new)
            .await
            .unwrap();
    }
    give_discounts(commands).await;
}

/// One by a code, and one that is given by itself on the first product alone.
async fn give_discounts(commands: &Commands) {
    let [by_code, by_itself] = DISCOUNTS;
    let first = DiscountScope {
        product_ids: [product(0)].into(),
        ..DiscountScope::default()
    };
    for (discount_id, code, scope) in [
        (by_code, Some(CODE), DiscountScope::default()),
        (by_itself, None, first),
    ] {
        let basis_points = Percentage::from_basis_points(SHARE).unwrap();
        let discount = NewDiscount {
            discount_id,
            region_id: REGION,
            currency: None,
            shop_id: None,
            code: code.map(|code| DiscountCode::parse(code).unwrap()),
            rules: DiscountRules {
                title: Title::parse("Tết").unwrap(),
                value: DiscountValue::Percentage { basis_points },
                scope,
                minimum: 0,
                starts_at: None,
                ends_at: None,
                max_uses: NonZeroU32::new(USES),
                max_uses_per_customer: None,
            },
        };
        commands
            .create_discount(request(), Manager::Market, discount)
            .await
            .unwrap();
    }
}

/// Starts the process of one place, lets it stand still, kills it, and starts another.
struct Keeper {
    world: World,
    gateway: SimGateway,
    settings: CommandSettings,
    places: Places,
    place: usize,
    random: Random,
}

impl Keeper {
    async fn run(mut self, often: u64) {
        loop {
            tokio::time::sleep(self.random.up_to(Duration::from_millis(2 * often))).await;
            let running = self.places.lock().unwrap()[self.place].clone();
            let Some(running) = running else { continue };
            if self.random.in_thousand(500) {
                running.process.pause(self.random.up_to(LONGEST_PAUSE));
                continue;
            }
            self.places.lock().unwrap()[self.place] = None;
            running.process.kill();
            running.log.kill().await;
            running.subscriptions.kill().await;
            running.timers.kill();
            tokio::time::sleep(self.random.up_to(Duration::from_secs(5))).await;
            self.start().await;
        }
    }

    async fn start(&self) -> Running {
        let (process, log) = loop {
            let process = self.world.start_process();
            let opening = process.open_log(1_000_000);
            let opened = tokio::time::timeout(Duration::from_secs(30), opening).await;
            if let Ok(Ok(log)) = opened {
                break (process, log);
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        };
        let master = MasterKey::from_base64("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
        let vault = Vault::new(log.pool().clone(), master.unwrap());
        vault.remember(CUSTOMER.0, &[7; 32]).unwrap();
        let commands =
            Commands::new(log.clone(), vault, self.settings).with_order_numbers(1..i64::MAX);
        let subscriptions = process.subscriptions(&log);
        let (saga, runner) = simulated_payment_saga(
            process.clone(),
            commands.clone(),
            Arc::new(self.gateway.clone()),
            saga_settings(),
        );
        process.follow(&subscriptions, saga).await;
        let running = Running {
            process,
            commands,
            log,
            subscriptions,
            timers: Arc::new(runner.spawn()),
        };
        self.places.lock().unwrap()[self.place] = Some(running.clone());
        running
    }
}
