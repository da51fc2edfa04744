//! Clients that trade and keep their own record of what they were told.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use domain::{
    ids::{OperationId, OrderId, ProductId},
    inventory::{Inventory, InventoryCommand},
    text::{Quantity, Reason},
};
use eventstore::{
    event::Cause,
    position::Position,
    stream::StreamRef,
    testing::simulation::{Random, UNSTORABLE},
    unit::{Committed, ExecuteError, Halt, IdempotencyKey, Unit, Work},
};
use uuid::Uuid;

use crate::{
    cluster::Cluster,
    shelves::{PRODUCTS, Refusal, Seen, product, see},
};

/// How often a client repeats what may or may not have been done.
const REPETITIONS: u32 = 4;

/// What a client was told of one unit.
pub(crate) type Answer = Result<Committed<Seen>, ExecuteError<Refusal>>;

/// One attempt at one thing.
pub(crate) struct Record {
    /// Stands in the metadata of its events.
    pub(crate) id: String,
    pub(crate) key: Option<Uuid>,
    /// How many events it appends where it is accepted, and there is something to do; those of low stock apart.
    pub(crate) events: usize,
    /// Where the log ended when it was asked for …
    pub(crate) asked: Position,
    /// … and when it was answered.
    pub(crate) answered: Position,
    pub(crate) answer: Answer,
    /// What it wants to be unique, and for whom.
    pub(crate) claim: Option<(String, String)>,
}

/// A thing to be done.
#[derive(Clone)]
struct Wish {
    commands: Vec<(ProductId, InventoryCommand)>,
    named: bool,
    claim: Option<(String, String)>,
    release: Option<String>,
    key: Option<Uuid>,
    patience: Option<Duration>,
}

/// What all clients want to be unique.
const SCOPE: &str = "name";

/// Has clients trade, and returns all their records.
pub(crate) async fn trade(cluster: &Cluster, random: &mut Random) -> Vec<Record> {
    let records = Arc::new(Mutex::new(Vec::new()));
    let clients = random.pick(&[1, 3, 8]);
    let wishes = 40 / clients;
    let clients = (0..clients).map(|number| {
        let client = Client {
            number,
            cluster,
            random: random.fork(),
            orders: Vec::new(),
            records: records.clone(),
        };
        client.run(wishes)
    });
    futures::future::join_all(clients).await;
    std::mem::take(&mut *records.lock().unwrap())
}

struct Client<'a> {
    number: u64,
    cluster: &'a Cluster,
    random: Random,
    /// Reservations that were acknowledged.
    orders: Vec<(ProductId, OrderId)>,
    records: Arc<Mutex<Vec<Record>>>,
}

impl Client<'_> {
    async fn run(mut self, wishes: u64) {
        for number in 0..wishes {
            tokio::time::sleep(self.random.pick(&[0, 0, 1, 10, 500]).to_millis()).await;
            let wish = self.wish();
            let mut repetition = 0;
            while self.ask(&wish, number, repetition).await && repetition < REPETITIONS {
                repetition += 1;
                tokio::time::sleep(self.random.up_to(Duration::from_secs(1))).await;
            }
        }
    }

    fn wish(&mut self) -> Wish {
        let random = &mut self.random;
        let one = product(random.below(PRODUCTS));
        let other = product(random.below(PRODUCTS));
        let quantity = Quantity::parse(1 + random.below(3)).unwrap();
        let order = OrderId(random.uuid());
        let mut operation = |reason: Option<&str>| InventoryCommand::ReceiveStock {
            product_id: one,
            operation_id: OperationId(random.uuid()),
            quantity,
            reason: reason.map(Reason::lossy),
        };
        let reserve = |product_id| {
            let command = InventoryCommand::ReserveStock {
                product_id,
                order_id: order,
                quantity,
            };
            (product_id, command)
        };
        let receive = operation(None);
        let unstorable = operation(Some(UNSTORABLE));
        let adjust = InventoryCommand::AdjustStock {
            product_id: one,
            operation_id: OperationId(random.uuid()),
            delta: 1,
            reason: None,
        };
        let commands = match random.below(100) {
            0..20 => vec![(one, receive)],
            20..22 => vec![(one, unstorable)],
            22..24 => vec![(one, adjust)],
            24..55 => vec![reserve(one)],
            55..70 if one != other => vec![reserve(one), reserve(other)],
            70..80 => vec![],
            _ => match self.orders.pop() {
                Some((product_id, order_id)) if random.in_thousand(500) => {
                    vec![(
                        product_id,
                        InventoryCommand::SellStock {
                            product_id,
                            order_id,
                        },
                    )]
                }
                Some((product_id, order_id)) => {
                    vec![(
                        product_id,
                        InventoryCommand::ReleaseStock {
                            product_id,
                            order_id,
                        },
                    )]
                }
                None => vec![(one, receive)],
            },
        };
        let name = format!("name {}", random.below(3));
        Wish {
            commands,
            named: random.in_thousand(900),
            claim: random
                .in_thousand(60)
                .then(|| (name.clone(), format!("client {}", self.number))),
            release: random.in_thousand(30).then_some(name),
            key: random.in_thousand(400).then(|| random.uuid()),
            patience: random
                .in_thousand(50)
                .then(|| random.up_to(Duration::from_secs(2))),
        }
    }

    /// Asks some process, and notes down what it says. Whether it is to be asked again.
    async fn ask(&mut self, wish: &Wish, number: u64, repetition: u32) -> bool {
        let running = self.cluster.any(&mut self.random).await;
        let id = format!("{}-{number}-{repetition}", self.number);
        let asked = self.cluster.world().head().position;
        let answer = running.log.execute(unit(wish, &id)).await;
        if !running.process.is_alive() {
            // what a dead process still says nobody hears
            self.note(wish, id, asked, Err(ExecuteError::OutcomeUnknown));
            return wish.key.is_some();
        }
        if let Ok(committed) = &answer
            && committed.appended > 0
        {
            for (product, command) in &wish.commands {
                if let InventoryCommand::ReserveStock { order_id, .. } = command {
                    self.orders.push((*product, *order_id));
                }
            }
        }
        let again = match &answer {
            Err(ExecuteError::Unavailable(_) | ExecuteError::Overloaded) => true,
            // without a key it might be done twice
            Err(ExecuteError::OutcomeUnknown) => wish.key.is_some(),
            _ => false,
        };
        self.note(wish, id, asked, answer);
        again
    }

    fn note(&self, wish: &Wish, id: String, asked: Position, answer: Answer) {
        self.records.lock().unwrap().push(Record {
            id,
            key: wish.key,
            events: wish.commands.len(),
            asked,
            answered: self.cluster.world().head().position,
            answer,
            claim: wish.claim.clone(),
        });
    }
}

/// The unit returns what it saw before it did anything.
fn unit(wish: &Wish, id: &str) -> Unit<Seen, Refusal> {
    let cause = Cause {
        correlation_id: id.into(),
        ..Cause::default()
    };
    let mut products: Vec<ProductId> = wish.commands.iter().map(|(product, _)| *product).collect();
    if products.is_empty() {
        products = (0..PRODUCTS).map(product).collect();
    }
    // some units do not say what they need, and have it loaded on the way
    let named = if wish.named { &products[..] } else { &[] };
    let streams = named.iter().map(StreamRef::of::<Inventory>).collect();
    let key = wish.key.map(|id| IdempotencyKey {
        id,
        fingerprint: Vec::new(),
        status: 201,
        resource: String::new(),
    });
    let deadline = wish
        .patience
        .map(|patience| (tokio::time::Instant::now() + patience).into_std());
    let wish = wish.clone();
    Unit::new(cause, streams, move |work| decide(work, &wish, &products))
        .with_key(key)
        .with_deadline(deadline)
}

fn decide(
    work: &mut Work<'_, Refusal>,
    wish: &Wish,
    products: &[ProductId],
) -> Result<Seen, Halt<Refusal>> {
    let seen = see(work, products)?;
    for (product, command) in &wish.commands {
        match work.execute::<Inventory>(product, command.clone()) {
            Ok(_) => {}
            Err(Halt::Refused(_)) => return Err(Halt::Refused(Refusal::On(seen))),
            Err(other) => return Err(other),
        }
    }
    if let Some(name) = &wish.release {
        work.release(SCOPE, name);
    }
    if let Some((name, owner)) = &wish.claim {
        work.claim(SCOPE, name, owner);
    }
    Ok(seen)
}

/// A number of milliseconds.
trait ToMillis {
    fn to_millis(self) -> Duration;
}

impl ToMillis for u64 {
    fn to_millis(self) -> Duration {
        Duration::from_millis(self)
    }
}
