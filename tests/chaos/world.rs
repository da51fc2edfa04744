//! What a scenario takes place in: a shop of its own, its server processes, and the doors that clients go through.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    client::{Client, new_product},
    history::Event,
    server::Server,
    shop::{Opening, Shop},
    topics::Topics,
};
use tokio::sync::watch;

use crate::{
    clients::{Door, Doors, Load, Rules},
    seed::{Choices, Seed},
};

/// Products on sale: few, so that clients meet.
const PRODUCTS: usize = 6;
/// Pieces of each at first: the first ones are sold out before long.
const STOCK: [u64; PRODUCTS] = [10, 40, 400, 100_000, 100_000, 100_000];
/// How many orders may use the discount that needs no code: few, so that clients meet there, too.
const USES: u32 = 25;
/// Customers, each with one order in flight.
pub(crate) const CUSTOMERS: usize = 8;
/// How long whatever a scenario waits for may take.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

/// Payments follow soon, gateways are given up soon, declined ones are tried for a while: so that every path of the
/// saga is taken while things fail.
const SETTINGS: &[(&str, &str)] = &[
    ("SOUK_PAYMENT_DELAY", "1s"),
    ("SOUK_PAYMENT_WINDOW", "3s"),
    ("SOUK_GATEWAY_TIMEOUT", "2s"),
    ("SOUK_GATEWAY_RETRY", "200ms"),
    ("SOUK_GATEWAY_PATIENCE", "3s"),
    ("SOUK_TOKEN_TTL", "4h"),
    ("SOUK_LOG", "info,sqlx=off"),
];

/// Settings of one process.
pub(crate) type Own<'a> = &'a [(&'a str, &'a str)];

/// See the module.
pub(crate) struct World {
    pub(crate) shop: Shop,
    /// By number; none where a process is down.
    servers: Vec<Option<Server>>,
    doors: watch::Sender<Doors>,
    own_settings: Vec<Vec<(String, String)>>,
    pub(crate) products: Vec<String>,
    customers: Vec<Client>,
    admin: Client,
    /// The log as it was before it was restored to an older state, which the gateway's book never is; else empty.
    pub(crate) before_restore: Vec<Event>,
    /// Of the topics that are published now.
    generation: u32,
    /// How often the clients have been started again.
    loads: u32,
    /// Dropped last, so that a failure ends with what repeats it.
    pub(crate) seed: Seed,
}

/// A shop's usual opening for chaos.
pub(crate) fn opening() -> Opening {
    SETTINGS
        .iter()
        .fold(Shop::opening(), |opening, (name, value)| {
            opening.set(name, value)
        })
}

fn owned(own: Own<'_>) -> Vec<(String, String)> {
    own.iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

impl World {
    /// A world of these server processes, each with settings of its own, with products and customers.
    pub(crate) async fn open(
        scenario: &'static str,
        opening: Opening,
        processes: &[Own<'_>],
    ) -> Self {
        let seed = Seed::of(scenario);
        let shop = opening.open().await;
        let mut this = Self {
            shop,
            servers: Vec::new(),
            doors: watch::Sender::new(vec![None; processes.len()]),
            own_settings: processes.iter().map(|own| owned(own)).collect(),
            products: Vec::new(),
            customers: Vec::new(),
            admin: Client::new(""),
            before_restore: Vec::new(),
            generation: 1,
            loads: 0,
            seed,
        };
        this.servers.resize_with(processes.len(), || None);
        this.start_all().await;
        this.furnish().await;
        this
    }

    /// Products on the shelf, and customers.
    async fn furnish(&mut self) {
        let server = self.server(0);
        self.shop.caught_up(server).await;
        self.admin = self.shop.admin(server).await;
        let region = self.admin.region("USD").await;
        for (number, stock) in STOCK.into_iter().enumerate() {
            let body = new_product(&region, &format!("chaos-{number}"), (1_000, "USD"), stock);
            let made = self.admin.post("/api/v1/products", &body).await.expect(201);
            self.products.push(made.id());
        }
        let discount = json!({
            "region_id": region, "title": "For the first", "max_uses": USES,
            "value": {"kind": "percentage", "basis_points": 1_000},
        });
        let given = self.admin.post("/api/v1/discounts", &discount).await;
        let _ = given.expect(201);
        for _ in 0..CUSTOMERS {
            let customer = self.shop.customer(self.server(0)).await;
            self.customers.push(customer);
        }
        // clients look at these products from the first moment on
        self.shop.caught_up(self.server(0)).await;
    }

    /// Clients that go on until they are asked to stop.
    pub(crate) fn load(&self, rules: Rules) -> Load {
        Load::start(
            self.seed.scenario,
            |client| {
                self.seed
                    .choices(&format!("client {client} of load {}", self.loads))
            },
            &self.customers,
            &self.admin,
            &self.products,
            &self.doors.subscribe(),
            rules,
        )
    }

    /// The same clients once more, with other choices: keys are never used twice.
    pub(crate) fn load_again(&mut self, rules: Rules) -> Load {
        self.loads += 1;
        self.load(rules)
    }

    /// A server process that runs.
    pub(crate) fn server(&self, number: usize) -> &Server {
        self.servers[number].as_ref().expect("it runs")
    }

    /// All that run.
    pub(crate) fn running(&self) -> Vec<usize> {
        let numbers = 0..self.servers.len();
        numbers
            .filter(|number| self.servers[*number].is_some())
            .collect()
    }

    /// Ends a process as a power cut would. Who stands in its door gets no answer; nobody is led there any more.
    pub(crate) async fn kill(&mut self, number: usize) {
        if let Some(server) = self.servers[number].take() {
            server.kill_9().await;
            self.close_door(number);
        }
    }

    /// Starts the process of that number (again).
    pub(crate) async fn start(&mut self, number: usize) {
        let server = self.shop.serve_with(&self.settings(number)).await;
        self.servers[number] = Some(server);
        self.open_door(number);
    }

    /// Starts one more process, with settings of its own.
    pub(crate) async fn add(&mut self, own: Own<'_>) {
        let number = self.servers.len();
        self.servers.push(None);
        self.own_settings.push(owned(own));
        self.doors.send_modify(|doors| doors.push(None));
        self.start(number).await;
    }

    /// Leads clients to a process, where it takes requests at all.
    pub(crate) fn open_door(&self, number: usize) {
        let roles = self.own_settings[number]
            .iter()
            .find(|(name, _)| name == "SOUK_ROLES");
        if roles.is_none_or(|(_, roles)| roles.contains("api")) {
            let door = Door {
                address: self.server(number).address.clone(),
                since: Instant::now(),
            };
            self.doors.send_modify(|doors| doors[number] = Some(door));
        }
    }

    /// Leads nobody to a process any more.
    pub(crate) fn close_door(&self, number: usize) {
        self.doors.send_modify(|doors| doors[number] = None);
    }

    /// Tells all processes another setting, from their next start on.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        for own in &mut self.own_settings {
            own.push((name.to_owned(), value.to_owned()));
        }
    }

    /// Stops all processes in order, and starts them with a new generation of topics: what an operator does.
    pub(crate) async fn start_new_generation(&mut self) {
        self.stop_all().await;
        self.generation += 1;
        self.set("SOUK_KAFKA_GENERATION", &self.generation.to_string());
        self.start_all().await;
    }

    /// Stops all processes in order.
    pub(crate) async fn stop_all(&mut self) {
        for number in self.running() {
            self.close_door(number);
            let server = self.servers[number].take().expect("it runs");
            assert!(server.stop().await.success(), "it ends well");
        }
    }

    /// Starts a process and kills it again somewhere in its start.
    pub(crate) async fn stumble(&self, number: usize, choices: &mut Choices) {
        let after = Duration::from_millis(choices.between(1, 150));
        let settings = self.settings(number);
        // dropped in its start, and killed with that
        let _ = tokio::time::timeout(after, self.shop.serve_with(&settings)).await;
    }

    fn settings(&self, number: usize) -> Vec<(&str, &str)> {
        let own = self.own_settings[number].iter();
        own.map(|(name, value)| (name.as_str(), value.as_str()))
            .collect()
    }

    /// Makes sure that all processes run, at the end of the faults.
    pub(crate) async fn start_all(&mut self) {
        for number in 0..self.servers.len() {
            if self.servers[number].is_none() {
                self.start(number).await;
            }
        }
    }

    /// Its topics, of the generation that is published now.
    pub(crate) fn topics(&self) -> Topics {
        self.shop.topics().generation(self.generation)
    }

    /// Ends its processes and removes its data. A scenario that fails keeps them.
    pub(crate) async fn close(mut self) {
        for server in self.servers.iter_mut().filter_map(Option::take) {
            server.kill_9().await;
        }
        self.shop.close().await;
    }

    /// The admin at a server that runs.
    pub(crate) fn admin(&self) -> Client {
        self.admin.at(&self.server(self.running()[0]).address)
    }

    /// What a process tells of its readiness; null where it does not answer.
    pub(crate) async fn readiness(&self, number: usize) -> Value {
        let client = self.admin.at(&self.server(number).address);
        let told = client.ask(Method::GET, "/health/ready").send_or_say().await;
        if told.status == 0 {
            Value::Null
        } else {
            told.json()
        }
    }

    /// The state of a subscription in a process, such as `leading`.
    pub(crate) async fn state(&self, number: usize, subscription: &str) -> Option<String> {
        let told = self.readiness(number).await;
        let all = told["subscriptions"].as_array()?;
        let named = all.iter().find(|it| it["name"] == subscription)?;
        Some(named["state"].as_str()?.to_owned())
    }
}
