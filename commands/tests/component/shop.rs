//! A shop to test with: a region, products, commands, and a gateway that is watched.

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use commands::{
    CommandSettings, Commands, Failure, Manager, Request, Versioned,
    gateway::{
        Answer, Charge, ChargeKey, ChargeStatus, FakeGateway, PaymentGateway, Refund, RefundStatus,
    },
    inventory::{StockChange, StockLevel},
    orders::{CancelOrder, Cancellation, NewOrder, OrderItem},
    payment_methods::PaymentMethods,
    products::NewProduct,
    regions::NewRegion,
    saga::{self, PaymentSaga, RunningTimers, SagaSettings, payment_saga},
};
use domain::{
    ids::{OperationId, OrderId, PaymentId, ProductId, RegionId, UserId},
    inventory::Inventory,
    money::{Currency, Money, TaxRate},
    order::{Order, PlacedOrder},
    payment::{Payment, StartedPayment},
    text::{CountryCode, Description, PaymentMethod, Quantity, Reason, Sku, Title},
};
use eventstore::{
    EventLog,
    event::Cause,
    position::{Head, Position},
    sealing::{MasterKey, Vault},
    subscription::Subscriptions,
    testing::{TestDatabase, eventually},
    unit::Committed,
};
use futures::FutureExt;
use tokio::sync::watch;
use uuid::Uuid;

/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The price of every product, in cents.
pub(crate) const PRICE: i64 = 1_000;

pub(crate) fn settings() -> CommandSettings {
    CommandSettings {
        payment_delay: Duration::ZERO,
        payment_window: Duration::ZERO,
        payment_methods: PaymentMethods::WithTests,
    }
}

/// Quick enough for tests; still long against a round trip.
pub(crate) fn saga_settings() -> SagaSettings {
    SagaSettings {
        gateway_retry: Duration::from_millis(20),
        longest_retry: Duration::from_millis(100),
        gateway_patience: Duration::from_millis(200),
        gateway_timeout: Duration::from_secs(5),
        claim: Duration::from_secs(1),
    }
}

pub(crate) struct Shop {
    database: Option<TestDatabase>,
    pub(crate) log: EventLog,
    pub(crate) commands: Commands,
    pub(crate) gateway: Arc<WatchedGateway>,
    pub(crate) region_id: RegionId,
    subscriptions: Subscriptions,
}

/// Runs a test in a shop of its own, which is taken down whether or not the test fails.
pub(crate) async fn in_shop<F: Future<Output = ()>>(
    settings: CommandSettings,
    test: impl FnOnce(Arc<Shop>) -> F,
) {
    let shop = Arc::new(Shop::open(settings).await);
    let outcome = AssertUnwindSafe(test(shop.clone())).catch_unwind().await;
    shop.subscriptions.close().await;
    shop.log.close().await;
    if let Ok(mut shop) = Arc::try_unwrap(shop)
        && let Some(database) = shop.database.take()
    {
        database.drop_database().await;
    }
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

impl Shop {
    async fn open(settings: CommandSettings) -> Self {
        let database = TestDatabase::create().await;
        let log = database.open_log().await;
        let commands = commands_on(&log, settings);
        let gateway = Arc::new(WatchedGateway::new(FakeGateway::new(log.pool())));
        let region_id = RegionId(Uuid::now_v7());
        let subscriptions = Subscriptions::new(log.clone());
        let this = Self {
            database: Some(database),
            log,
            commands,
            gateway,
            region_id,
            subscriptions,
        };
        this.commands
            .open_region(request(), region(region_id))
            .await
            .unwrap();
        this
    }

    /// Another process on the same database.
    pub(crate) async fn another_process(&self, settings: CommandSettings) -> Commands {
        let log = self.database.as_ref().unwrap().open_log().await;
        commands_on(&log, settings)
    }

    /// Runs both halves of the saga.
    pub(crate) async fn run_saga(&self) -> RunningTimers {
        let gateway: Arc<dyn PaymentGateway> = self.gateway.clone();
        let (saga, runner) = payment_saga(self.commands.clone(), gateway, saga_settings());
        self.follow(saga).await;
        runner.spawn()
    }

    /// Runs the half of the saga that follows the log.
    pub(crate) async fn follow(&self, saga: PaymentSaga) {
        self.subscriptions.spawn(saga).await;
    }

    /// Runs another runner, as another process would.
    pub(crate) fn run_timers(&self) -> RunningTimers {
        let gateway: Arc<dyn PaymentGateway> = self.gateway.clone();
        let (_, runner) = payment_saga(self.commands.clone(), gateway, saga_settings());
        runner.spawn()
    }

    pub(crate) async fn product(&self, stock: u64) -> ProductId {
        let product_id = ProductId(Uuid::now_v7());
        let product = new_product(product_id, self.region_id, stock);
        self.commands
            .create_product(request(), Manager::Market, product)
            .await
            .unwrap();
        product_id
    }

    pub(crate) async fn place(
        &self,
        items: &[(ProductId, u64)],
        method: &str,
    ) -> Result<Committed<Versioned<PlacedOrder>>, Failure> {
        self.commands
            .place_order(request(), new_order(items, method))
            .await
    }

    pub(crate) async fn placed(&self, items: &[(ProductId, u64)], method: &str) -> OrderId {
        self.place(items, method)
            .await
            .unwrap()
            .output
            .state
            .order_id
    }

    pub(crate) async fn cancel(
        &self,
        order_id: OrderId,
    ) -> Result<Committed<Cancellation>, Failure> {
        self.commands
            .cancel_order(request(), cancellation_of(order_id), None)
            .await
    }

    pub(crate) async fn restock(&self, product_id: ProductId, pieces: u64) {
        let quantity = Quantity::parse(pieces).unwrap();
        self.commands
            .receive_stock(request(), change_of(product_id), quantity, None)
            .await
            .unwrap();
    }

    pub(crate) async fn order(&self, order_id: OrderId) -> PlacedOrder {
        self.log
            .load::<Order>(order_id)
            .await
            .unwrap()
            .0
            .placed()
            .unwrap()
            .clone()
    }

    pub(crate) async fn payment(&self, order_id: OrderId) -> Option<StartedPayment> {
        self.log
            .load::<Payment>(PaymentId::of(order_id))
            .await
            .unwrap()
            .0
            .started()
            .cloned()
    }

    pub(crate) async fn stock(&self, product_id: ProductId) -> StockLevel {
        StockLevel::from(&self.log.load::<Inventory>(product_id).await.unwrap().0)
    }

    pub(crate) async fn head(&self) -> Head {
        self.log.head().await.unwrap()
    }

    /// Waits until the order is as wanted.
    pub(crate) async fn until_order(
        &self,
        order_id: OrderId,
        what: &str,
        wanted: impl Fn(&PlacedOrder) -> bool,
    ) {
        let wanted = &wanted;
        eventually(what, PATIENCE, || async move {
            wanted(&self.order(order_id).await).then_some(())
        })
        .await;
    }

    /// Waits until the saga has read all that is committed now.
    pub(crate) async fn until_saga_read_all(&self) {
        let head: Position = self.head().await.position;
        self.subscriptions
            .wait_for(saga::NAME, head, PATIENCE)
            .await
            .unwrap();
    }

    /// Waits until no timer is left.
    pub(crate) async fn until_no_timer(&self) {
        self.until_saga_read_all().await;
        eventually("no timer is left", PATIENCE, || async {
            (self.timers().await == 0).then_some(())
        })
        .await;
    }

    pub(crate) async fn timers(&self) -> i64 {
        sqlx::query_scalar("select count(*) from timers")
            .fetch_one(self.log.pool())
            .await
            .unwrap()
    }

    /// The events of the order and its payment, by name, in order.
    pub(crate) async fn told(&self, order_id: OrderId) -> Vec<String> {
        sqlx::query_scalar(
            "select event_type from events where aggregate_id in ($1, $2) order by position",
        )
        .bind(order_id.to_string())
        .bind(PaymentId::of(order_id).to_string())
        .fetch_all(self.log.pool())
        .await
        .unwrap()
    }

    pub(crate) async fn captures_of(&self, order_id: OrderId) -> i64 {
        self.gateway
            .inner
            .captures_of(PaymentId::of(order_id))
            .await
            .unwrap()
    }
}

fn commands_on(log: &EventLog, settings: CommandSettings) -> Commands {
    // every process of a shop has the same master key
    let master = MasterKey::from_base64("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").unwrap();
    Commands::new(
        log.clone(),
        Vault::new(log.pool().clone(), master),
        settings,
    )
}

pub(crate) fn request() -> Request {
    Request::new(Cause {
        correlation_id: Uuid::now_v7().to_string(),
        causation_id: String::new(),
        actor: "test".into(),
        command: "Test".into(),
    })
}

pub(crate) fn usd() -> Currency {
    Currency::parse("USD").unwrap()
}

pub(crate) fn region(region_id: RegionId) -> NewRegion {
    NewRegion {
        region_id,
        title: Title::parse("United States").unwrap(),
        country: CountryCode::parse("US").unwrap(),
        currency: usd(),
        tax_rate: TaxRate::from_basis_points(1_000).unwrap(),
        prices_include_tax: false,
        default_for_currency: false,
    }
}

pub(crate) fn new_product(product_id: ProductId, region_id: RegionId, stock: u64) -> NewProduct {
    NewProduct {
        product_id,
        region_id,
        sku: Sku::parse(&product_id.to_string()).unwrap(),
        title: Title::parse("Teapot").unwrap(),
        description: Description::parse("").unwrap(),
        image_url: None,
        price: Money::new(PRICE, usd()),
        shop_id: None,
        category_id: None,
        specification: None,
        stock: Quantity::parse(stock).ok(),
    }
}

pub(crate) fn new_order(items: &[(ProductId, u64)], method: &str) -> NewOrder {
    let item = |&(product_id, pieces): &(ProductId, u64)| OrderItem {
        product_id,
        quantity: Quantity::parse(pieces).unwrap(),
    };
    NewOrder {
        order_id: OrderId(Uuid::now_v7()),
        customer_id: UserId(Uuid::now_v7()),
        customer_name: "Nguyễn Thị Mai".into(),
        shipping_address: "12 Hàng Bạc, Hà Nội".into(),
        shipping_country: None,
        region_id: None,
        payment_method: Some(PaymentMethod::parse(method).unwrap()),
        items: items.iter().map(item).collect(),
        codes: vec![],
        expected_total: None,
    }
}

pub(crate) fn change_of(product_id: ProductId) -> StockChange {
    StockChange {
        product_id,
        by: Manager::Market,
        operation_id: OperationId(Uuid::now_v7()),
        reason: None,
    }
}

pub(crate) fn cancellation_of(order_id: OrderId) -> CancelOrder {
    CancelOrder {
        order_id,
        reason: Reason::parse("changed my mind").unwrap(),
        requested_by: None,
        only_of: None,
    }
}

/// A call of the gateway, as the watch notes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Charge,
    Ask,
    Void,
    Refund,
}

/// The fake gateway with a list of its calls, and a gate before and one behind its charges.
pub(crate) struct WatchedGateway {
    pub(crate) inner: FakeGateway,
    calls: Mutex<Vec<Call>>,
    before_charge: watch::Sender<bool>,
    after_charge: watch::Sender<bool>,
    refuses_refunds: AtomicBool,
}

impl WatchedGateway {
    fn new(inner: FakeGateway) -> Self {
        Self {
            inner,
            calls: Mutex::default(),
            before_charge: watch::Sender::new(true),
            after_charge: watch::Sender::new(true),
            refuses_refunds: AtomicBool::new(false),
        }
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    pub(crate) fn count(&self, call: Call) -> usize {
        self.calls()
            .into_iter()
            .filter(|made| *made == call)
            .count()
    }

    /// Whether charges reach the gateway; until then they hang.
    pub(crate) fn let_charges_in(&self, open: bool) {
        self.before_charge.send_replace(open);
    }

    /// Whether answers to charges come back; until then they hang, after the money moved.
    pub(crate) fn let_answers_out(&self, open: bool) {
        self.after_charge.send_replace(open);
    }

    pub(crate) fn refuse_refunds(&self, refuse: bool) {
        self.refuses_refunds.store(refuse, Ordering::SeqCst);
    }

    pub(crate) async fn until_called(&self, call: Call, times: usize) {
        eventually("the gateway is called", PATIENCE, || async {
            (self.count(call) >= times).then_some(())
        })
        .await;
    }

    fn note(&self, call: Call) {
        self.calls.lock().unwrap().push(call);
    }
}

impl PaymentGateway for WatchedGateway {
    fn charge(&self, charge: Charge) -> Answer<'_, ChargeStatus> {
        Box::pin(async move {
            self.note(Call::Charge);
            self.before_charge
                .subscribe()
                .wait_for(|open| *open)
                .await
                .unwrap();
            let answer = self.inner.charge(charge).await;
            self.after_charge
                .subscribe()
                .wait_for(|open| *open)
                .await
                .unwrap();
            answer
        })
    }

    fn ask(&self, key: ChargeKey) -> Answer<'_, ChargeStatus> {
        self.note(Call::Ask);
        self.inner.ask(key)
    }

    fn void(&self, key: ChargeKey) -> Answer<'_, ChargeStatus> {
        self.note(Call::Void);
        self.inner.void(key)
    }

    fn refund(&self, refund: Refund) -> Answer<'_, RefundStatus> {
        self.note(Call::Refund);
        if self.refuses_refunds.load(Ordering::SeqCst) {
            let reason = Reason::parse("not today").unwrap();
            return Box::pin(async move { Ok(RefundStatus::Refused { reason }) });
        }
        self.inner.refund(refund)
    }
}
