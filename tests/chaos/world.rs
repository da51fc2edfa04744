//! What a scenario takes place in: a shop of its own, its server processes, and the doors that clients go through.

use std::time::Duration;

use eventstore::testing::eventually;
use reqwest::Method;
use serde_json::json;
use tests::{
    client::{Client, new_product},
    server::Server,
    shop::{Opening, Shop},
    topics::Topics,
};
use tokio::sync::watch;

use crate::{
    clients::{Load, Rules},
    seed::{Choices, Seed},
};

/// Products on sale: few, so that clients meet.
const PRODUCTS: usize = 6;
/// Pieces of each at first: the first ones are sold out before long.
const STOCK: [u64; PRODUCTS] = [10, 40, 400, 100_000, 100_000, 100_000];
/// Customers, each with one order in flight.
const CUSTOMERS: usize = 8;
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

/// See the module.
pub(crate) struct World {
    pub(crate) shop: Shop,
    /// By number; none where a process is down.
    servers: Vec<Option<Server>>,
    doors: watch::Sender<Vec<Option<String>>>,
    own_settings: Vec<Vec<(String, String)>>,
    pub(crate) products: Vec<String>,
    customers: Vec<Client>,
    admin: Client,
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

impl World {
    /// A world of one server process, with products and customers. `opening` says what its processes are told.
    pub(crate) async fn open(scenario: &'static str, opening: Opening) -> Self {
        let seed = Seed::of(scenario);
        let shop = opening.open().await;
        let server = shop.serve().await;
        let admin = shop.admin(&server).await;
        let region = admin.region("USD").await;
        let mut products = Vec::new();
        for (number, stock) in STOCK.into_iter().enumerate() {
            let body = new_product(&region, &format!("chaos-{number}"), (1_000, "USD"), stock);
            let made = admin.post("/api/v1/products", &body).await.expect(201);
            products.push(made.id());
        }
        let mut customers = Vec::new();
        for _ in 0..CUSTOMERS {
            customers.push(shop.customer(&server).await);
        }
        let doors = watch::Sender::new(vec![Some(server.address.clone())]);
        Self {
            shop,
            servers: vec![Some(server)],
            doors,
            own_settings: vec![Vec::new()],
            products,
            customers,
            admin,
            seed,
        }
    }

    /// Starts one more server process with settings of its own, and returns its number.
    pub(crate) async fn add_server(&mut self, own: &[(&str, &str)]) -> usize {
        let number = self.servers.len();
        self.servers.push(None);
        self.doors.send_modify(|doors| doors.push(None));
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        self.own_settings.push(own.iter().map(owned).collect());
        self.start(number).await;
        number
    }

    /// Clients that go on until they are asked to stop.
    pub(crate) fn load(&self, rules: Rules) -> Load {
        Load::start(
            &self.seed,
            &self.customers,
            &self.admin,
            &self.products,
            self.doors.subscribe(),
            rules,
        )
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

    /// Ends a process as a power cut would. Nobody is led to its door any more; who stands in it gets no answer.
    pub(crate) async fn kill(&mut self, number: usize) {
        if let Some(server) = self.servers[number].take() {
            self.doors.send_modify(|doors| doors[number] = None);
            server.kill_9().await;
        }
    }

    /// Starts the process of that number again.
    pub(crate) async fn start(&mut self, number: usize) {
        let server = self.shop.serve_with(&self.settings(number)).await;
        self.doors
            .send_modify(|doors| doors[number] = Some(server.address.clone()));
        self.servers[number] = Some(server);
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
        self.shop.topics()
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

    /// Waits until readiness of a process tells this of one of its subscriptions, such as that it is `leading`.
    pub(crate) async fn wait_for_state(&self, number: usize, subscription: &str, state: &str) {
        let client = self.admin.at(&self.server(number).address);
        let what = format!("{subscription} is {state} in process {number}");
        eventually(&what, PATIENCE, || async {
            let told = client.ask(Method::GET, "/health/ready").send_or_say().await;
            let told = (told.status != 0).then(|| told.json())?;
            let all = told["subscriptions"].as_array()?;
            let of_name = all.iter().find(|it| it["name"] == subscription)?;
            (of_name["state"] == json!(state)).then_some(())
        })
        .await;
    }
}
