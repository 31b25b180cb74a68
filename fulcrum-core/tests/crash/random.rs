//! A process that drives orders is killed at random moments while much else goes wrong: replies that are lost, late or come
//! twice, lists that lag, a full disk, a torn last write, clocks that jump. In the end each order has all of its services
//! once, or none, by the clouds' own state.
//!
//! `FULCRUM_KILLS` says how often, `FULCRUM_SEED` where chance starts. The process is this test's own executable.

use std::{
    collections::BTreeMap,
    io::Read,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use crate::{
    clocks::jump,
    support::{CLOUDS, cloud, duo, duo_plan, duo_policy, plan, seed},
    wal,
};
use async_trait::async_trait;
use fulcrum_core::{
    ledger::{Ledger, OrderQuery, SqliteLedger},
    model::{
        IdempotencyKey, OrderId, OrderState, Plan, Policy, ProviderId, Service, ServiceId, Step, StepState,
    },
    provider::{
        Action, Call, Capabilities, IdempotencyClass, OfferFilter, OfferStream, OperationHandle,
        OperationStatus, Provider, ProvisionRequest, Quote, Refusal, Result, ServiceStream, UsagePeriod,
        UsageStream,
        sandbox::{Fault, FaultRule, Sandbox},
    },
    purchase::Engine,
};
use jiff::{SignedDuration, Timestamp};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};

/// Short, as every process waits for the claims of the one before. One that loses a claim takes it up again.
const CLAIM_TTL: Duration = Duration::from_millis(250);
/// Orders of one world, and how often its process is killed before it may end in peace.
const ORDERS: usize = 5;
const KILLS_OF_ONE: u32 = 14;
/// Longer than this, and an order is in limbo.
const PATIENCE: Duration = Duration::from_secs(300);

/// A ledger and three clouds, with faults by chance. The same number gives the same world, in every process.
struct World {
    class: IdempotencyClass,
    is_duo: bool,
    concurrency: u32,
    /// How long look-ups and lists lag, in milliseconds.
    lag: u64,
    /// How long the clouds hold what is to be bought.
    holds_for: Duration,
    faults: Vec<(&'static str, FaultRule)>,
}

impl World {
    fn new(number: u64) -> Self {
        let mut chance = StdRng::seed_from_u64(number);
        // Longer than a claim lasts and a driver waits before it looks, else a look too early would not show.
        let lag = chance.random_range(5..800);
        let classes = [
            IdempotencyClass::Key,
            IdempotencyClass::Natural,
            IdempotencyClass::Searchable { list_lag_ms: lag },
            IdempotencyClass::Searchable { list_lag_ms: lag },
        ];
        let class = *classes.choose(&mut chance).expect("some");
        let happened = Fault::AmbiguousHappened;
        let lost = [happened.clone(), happened, Fault::AmbiguousLost, Fault::NotSent, Fault::Unavailable];
        let mut faults = Vec::new();
        for name in CLOUDS {
            for call in [
                Call::Reserve,
                Call::Unreserve,
                Call::Provision,
                Call::Poll,
                Call::FindByKey,
                Call::Release,
                Call::Describe,
                Call::Quote,
            ] {
                let rules = match call {
                    Call::Quote => 0..=1,
                    Call::Provision => 1..=4,
                    _ => 0..=3,
                };
                for _ in 0..chance.random_range(rules) {
                    let late = Fault::Late { ms: chance.random_range(5..60) };
                    let limited = Fault::RateLimited { retry_after_ms: chance.random_range(1..20) };
                    let leaves_resource = chance.random_bool(0.5);
                    let fault = match chance.random_range(0..10) {
                        0 => limited,
                        1 if call == Call::Provision => Fault::SoldOut,
                        2 if call == Call::Provision => {
                            Fault::OperationFails { leaves_resource, shortage: None }
                        }
                        3 | 4 => late,
                        _ => lost.choose(&mut chance).expect("some").clone(),
                    };
                    let (nth, times) = (chance.random_range(1..10), chance.random_range(1..3));
                    faults.push((name, FaultRule { call, sku: None, nth, times, fault }));
                }
            }
        }
        // Also so short that a hold may end before it is taken.
        let holds_for = Duration::from_millis(*[0, 0, 40, 5000].choose(&mut chance).expect("some"));
        Self {
            holds_for,
            class,
            lag,
            is_duo: chance.random_bool(0.3),
            concurrency: chance.random_range(1..5),
            faults,
        }
    }

    fn clouds(&self, folder: &Path) -> Vec<Sandbox> {
        let ms = Duration::from_millis;
        let build = |name: &&str| {
            let builder = cloud(name, Some(folder)).idempotency(self.class).list_lag(self.lag);
            let builder =
                builder.latency(ms(0), ms(4)).operation(ms(2), ms(30)).reservation_ttl(self.holds_for);
            let faults = self.faults.iter().filter(|(at, _)| at == name);
            faults.fold(builder, |builder, (_, rule)| builder.fault(rule.clone())).build()
        };
        CLOUDS.iter().map(build).collect()
    }

    fn purchase(&self) -> (Plan, Policy) {
        let (plan, policy) = match self.is_duo {
            true => (duo_plan(&duo("")), duo_policy(duo(""))),
            false => (plan(), Policy::default()),
        };
        (plan, policy.with_concurrency(self.concurrency))
    }
}

/// What went wrong on purpose, and how it ended.
#[derive(Debug, Default)]
struct Tally {
    kills: u32,
    torn: u32,
    full: u32,
    clocks: u32,
    orders: usize,
    committed: usize,
    compensated: usize,
    orphans: usize,
    duplicates: usize,
    missing: usize,
    limbo: usize,
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { kills, torn, full, clocks, orders, committed, compensated, .. } = self;
        let Self { orphans, duplicates, missing, limbo, .. } = self;
        write!(
            f,
            "{kills} kills, {torn} torn writes, {full} full disks, {clocks} jumps of the clock; {orders} orders: "
        )?;
        write!(f, "{committed} committed, {compensated} undone, {orphans} orphans, {duplicates} doubles, ")?;
        write!(f, "{missing} missing, {limbo} in limbo")
    }
}

#[test]
fn orders_survive_sigkill_at_random_moments() {
    let kills = std::env::var("FULCRUM_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(40);
    let seed = seed::seed();
    let mut chance = StdRng::seed_from_u64(seed);
    let mut tally = Tally::default();
    while tally.kills < kills {
        let number = chance.random();
        let folder = tempfile::tempdir().expect("a folder");
        let ids: Vec<OrderId> = (0..ORDERS).map(|_| OrderId::generate()).collect();
        let most = KILLS_OF_ONE.min(kills - tally.kills);
        suffer(folder.path(), number, &ids, most, &mut chance, &mut tally);
        count(folder.path(), number, &ids, &mut tally);
        let wrong = tally.orphans + tally.duplicates + tally.missing + tally.limbo;
        if wrong > 0 {
            println!("what went wrong is in {}", folder.keep().display());
        }
        assert_eq!(wrong, 0, "seed {seed}, world {number}: {tally:#?}");
    }
    println!("figure: {tally}");
    let tried = [tally.committed as u32, tally.torn, tally.full, tally.clocks];
    assert!(tried.iter().all(|count| *count > 0), "too little was tried: {tally:?}");
}

/// Lets processes work on the orders of a world, one after the other, until all have ended.
fn suffer(folder: &Path, number: u64, ids: &[OrderId], most: u32, chance: &mut StdRng, tally: &mut Tally) {
    let begun = tally.kills;
    for run in 0.. {
        let is_last = tally.kills - begun >= most;
        // Each kind of harm comes about at least once.
        let is_full = !is_last && run > 0 && (tally.full == 0 || chance.random_bool(0.15));
        let mut child = spawn(folder, number, run, ids, is_full.then(|| chance.random_range(0..200_000)));
        let life = if is_last { PATIENCE } else { Duration::from_millis(chance.random_range(8..600)) };
        let status = match wait(&mut child, life) {
            Some(status) => status,
            None if is_last => {
                // Counted as limbo, from the ledger.
                child.kill().expect("killed");
                child.wait().expect("ended");
                return;
            }
            None => {
                child.kill().expect("killed");
                tally.kills += 1;
                child.wait().expect("ended")
            }
        };
        tally.full += u32::from(is_full);
        if status.success() {
            return;
        }
        if status.signal() != Some(9) {
            let mut said = String::new();
            child.stderr.take().expect("a pipe").read_to_string(&mut said).expect("read");
            let is_no_space =
                ["free space", "File too large", "disk is full"].iter().any(|it| said.contains(it));
            assert!(is_full && is_no_space, "world {number}: the process failed: {status}: {said}");
        }
        if tally.torn == 0 || chance.random_bool(0.5) {
            tally.torn += u32::from(wal::tear(&folder.join("orders.db-wal"), chance));
        }
        if tally.clocks == 0 || chance.random_bool(0.2) {
            let hour = SignedDuration::from_hours(if chance.random_bool(0.5) { 1 } else { -1 });
            if runtime().block_on(jump(&folder.join("orders.db"), hour)).is_ok() {
                tally.clocks += 1;
            }
        }
    }
}

fn wait(child: &mut Child, life: Duration) -> Option<std::process::ExitStatus> {
    let end = Instant::now() + life;
    loop {
        if let Some(status) = child.try_wait().expect("a process") {
            return Some(status);
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        std::thread::sleep(left.min(Duration::from_millis(3)));
    }
}

/// With `room`, no file may grow beyond the present end of the write-ahead log and so many bytes.
fn spawn(folder: &Path, number: u64, run: u64, ids: &[OrderId], room: Option<u64>) -> Child {
    let this = std::env::current_exe().expect("this executable");
    let mut command = match room {
        None => Command::new(this),
        Some(room) => {
            let log = std::fs::metadata(folder.join("orders.db-wal")).map_or(0, |file| file.len());
            let mut shell = Command::new("sh");
            // In blocks of 512 or 1024 bytes: shells differ. What is ignored here stays so in the process.
            shell
                .arg("-c")
                .arg(format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", (log + room) / 512));
            shell.arg(this);
            shell
        }
    };
    command
        .args(["--exact", "random::the_process_that_is_killed", "--ignored", "--nocapture"])
        .env("FULCRUM_KILL_FOLDER", folder)
        .env("FULCRUM_KILL_WORLD", number.to_string())
        .env("FULCRUM_KILL_RUN", run.to_string())
        .env("FULCRUM_KILL_ORDERS", ids.iter().map(OrderId::as_str).collect::<Vec<_>>().join(","))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a child process")
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// The invariants, read from the clouds' own state.
fn count(folder: &Path, number: u64, ids: &[OrderId], tally: &mut Tally) {
    let world = World::new(number);
    let mut alive = BTreeMap::<IdempotencyKey, Vec<ServiceId>>::new();
    // Until when the services of a key have existed so far.
    let mut ever = BTreeMap::<IdempotencyKey, Option<Timestamp>>::new();
    let now = Timestamp::now();
    for cloud in world.clouds(folder) {
        // In the order in which they were made.
        for resource in cloud.resources().expect("readable state") {
            let key = resource.service.key.clone().expect("the sandbox keeps keys");
            let made = resource.visible_at - Duration::from_millis(world.lag);
            // One that has failed and is gone may be made again.
            if ever.get(&key).is_some_and(|before| before.is_none_or(|gone| gone > made)) {
                println!("world {number}, {:?}: the key {key} has had two services", world.class);
                tally.duplicates += 1;
            }
            ever.insert(key.clone(), resource.released_at);
            if resource.exists(now) {
                alive.entry(key).or_default().push(resource.service.id);
            }
        }
    }
    runtime().block_on(async {
        let ledger = SqliteLedger::open(folder.join("orders.db")).await.expect("a ledger");
        for id in ids {
            let order = ledger.load(id).await.expect("readable").expect("an accepted order is never lost");
            ledger.verify(id).await.expect("whole");
            let of_step = |step: &Step| match &step.state {
                StepState::Committed { service } => Some((step.key.clone(), service.id.clone())),
                _ => None,
            };
            let held: Vec<_> = order.steps.iter().filter_map(of_step).collect();
            let all = match order.state {
                OrderState::Committed if order.cancellation.is_some() => {
                    println!("world {number}: cancelled, and committed all the same: {order:#?}");
                    tally.limbo += 1;
                    continue;
                }
                OrderState::Committed => order.plan.leases.len(),
                state if state.is_over() => 0,
                _ => {
                    println!("world {number}: {order:#?}");
                    tally.limbo += 1;
                    continue;
                }
            };
            tally.committed += usize::from(all > 0);
            tally.compensated += usize::from(all == 0);
            let mut found = 0;
            for (key, service) in held {
                if let Some(services) = alive.get_mut(&key) {
                    found += services.iter().filter(|other| **other == service).count();
                    services.retain(|other| *other != service);
                }
            }
            tally.missing += all.saturating_sub(found);
        }
    });
    tally.orders += ids.len();
    for (key, left) in alive.iter().filter(|(_, left)| !left.is_empty()) {
        println!("world {number}, {:?}: {left:?} of the key {key} is nobody's", world.class);
        tally.orphans += left.len();
    }
}

#[test]
#[ignore = "run by the test above, as the process that is killed"]
fn the_process_that_is_killed() {
    let variable = |name: &str| std::env::var(name).ok();
    let Some(folder) = variable("FULCRUM_KILL_FOLDER").map(PathBuf::from) else { return };
    let number = |name: &str| variable(name).and_then(|text| text.parse::<u64>().ok()).expect("a number");
    let (world, run) = (World::new(number("FULCRUM_KILL_WORLD")), number("FULCRUM_KILL_RUN"));
    let ids = variable("FULCRUM_KILL_ORDERS").expect("orders");
    let ids: Vec<OrderId> = ids.split(',').map(|id| id.parse().expect("an id")).collect();
    let mut chance = StdRng::seed_from_u64(number("FULCRUM_KILL_WORLD") ^ run);
    let mut echo = |cloud: Sandbox| {
        let chance = Mutex::new(StdRng::seed_from_u64(chance.random()));
        let (class, answers) = (world.class, Mutex::default());
        let provider: Arc<dyn Provider> = Arc::new(Echo { inner: cloud, class, chance, answers });
        (provider.id().clone(), provider)
    };
    let providers = world.clouds(&folder).into_iter().map(&mut echo).collect();
    runtime().block_on(async {
        let ledger = Arc::new(SqliteLedger::open(folder.join("orders.db")).await.expect("a ledger"));
        let engine = Engine::new(providers, ledger.clone()).with_claim_ttl(CLAIM_TTL);
        for id in &ids {
            let (plan, policy) = world.purchase();
            engine.accept(plan, policy, Some(id.clone())).await.expect("accepted");
        }
        for id in &ids {
            if chance.random_bool(0.02) {
                ledger.request_cancel(id, None).await.expect("noted");
            }
        }
        let unfinished = OrderQuery { is_unfinished: true, ..OrderQuery::default() };
        engine
            .serve(ids.len(), async {
                loop {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    if ledger.list(&unfinished).await.is_ok_and(|left| left.is_empty()) {
                        return;
                    }
                }
            })
            .await;
    });
}

/// A network that sends some requests twice where that is harmless by contract, and brings some answers again.
#[derive(Debug)]
struct Echo {
    inner: Sandbox,
    class: IdempotencyClass,
    chance: Mutex<StdRng>,
    answers: Mutex<BTreeMap<String, OperationStatus>>,
}

impl Echo {
    fn comes_twice(&self) -> bool {
        self.chance.lock().expect("no panic").random_bool(0.2)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Provider for Echo {
    fn id(&self) -> &ProviderId {
        self.inner.id()
    }
    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }
    fn offers(&self, filter: &OfferFilter) -> OfferStream {
        self.inner.offers(filter)
    }
    async fn quote(&self, request: &ProvisionRequest) -> Result<Quote> {
        self.inner.quote(request).await
    }
    async fn dry_run(&self, requests: &[ProvisionRequest]) -> Result<Vec<Refusal>> {
        self.inner.dry_run(requests).await
    }
    async fn provision(&self, request: &ProvisionRequest, key: &IdempotencyKey) -> Result<OperationHandle> {
        if self.class.is_repeatable() && self.comes_twice() {
            let first = self.inner.provision(request, key).await;
            // Of a key that has worked a cloud of this class tells that again, and no refusal.
            return if first.is_ok() { self.inner.provision(request, key).await.or(first) } else { first };
        }
        self.inner.provision(request, key).await
    }
    async fn find_by_key(&self, key: &IdempotencyKey) -> Result<Option<Service>> {
        self.inner.find_by_key(key).await
    }
    async fn describe(&self, service: &ServiceId) -> Result<Option<Service>> {
        self.inner.describe(service).await
    }
    fn services(&self) -> ServiceStream {
        self.inner.services()
    }
    async fn act(
        &self,
        service: &ServiceId,
        action: &Action,
        key: &IdempotencyKey,
    ) -> Result<OperationHandle> {
        self.inner.act(service, action, key).await
    }
    fn withhold(&self, secrets: &[secrecy::SecretString]) {
        self.inner.withhold(secrets);
    }
    async fn access(&self, service: &ServiceId) -> Result<fulcrum_core::provider::Access> {
        self.inner.access(service).await
    }

    async fn release(&self, service: &ServiceId, key: &IdempotencyKey) -> Result<OperationHandle> {
        if self.comes_twice() {
            let _ = self.inner.release(service, key).await;
        }
        self.inner.release(service, key).await
    }
    async fn poll(&self, operation: &OperationHandle) -> Result<OperationStatus> {
        let before = self.answers.lock().expect("no panic").get(operation.as_str()).cloned();
        if let Some(answer) = before.filter(|_| self.comes_twice()) {
            return Ok(answer);
        }
        let answer = self.inner.poll(operation).await?;
        self.answers.lock().expect("no panic").insert(operation.as_str().to_owned(), answer.clone());
        Ok(answer)
    }
    fn usage(&self, period: &UsagePeriod) -> UsageStream {
        self.inner.usage(period)
    }
    fn rejected(&self) -> Vec<fulcrum_core::provider::RejectedRow> {
        self.inner.rejected()
    }
    fn redacted(&self, text: &str, is_for_people: bool) -> String {
        self.inner.redacted(text, is_for_people)
    }
    async fn reserve(&self, request: &ProvisionRequest, key: &IdempotencyKey) -> Result<Timestamp> {
        self.inner.reserve(request, key).await
    }
    async fn unreserve(&self, key: &IdempotencyKey) -> Result<()> {
        self.inner.unreserve(key).await
    }
    async fn resume_operation(
        &self,
        request: &ProvisionRequest,
        service: &Service,
    ) -> Result<Option<OperationHandle>> {
        self.inner.resume_operation(request, service).await
    }
}
