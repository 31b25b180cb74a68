//! A plan and a policy as a stranger may have changed them, bought in a small market whose calls fail as the input says, and
//! then whatever a host can do to an order.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use fulcrum_core::{
    catalogue::{CatalogueBuilder, Rates},
    compose::{ComposeOptions, Signal, compose},
    ledger::Ledger,
    model::{
        Action, Blueprint, FailOver, Offer, Operator, Order, OrderId, OrderState, Plan, Policy,
        PriceAuthority, ProviderId, Service, ServiceId, ServiceStatus, StepState, parse_json,
    },
    provider::{
        IdempotencyClass, Provider,
        sandbox::{Sandbox, SandboxResource},
        table::Table,
    },
    purchase::{Engine, OrderArchive, PurchaseError, RepairPolicy},
};
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde_json::Value;

use super::{
    draw::Draw,
    edit, fault,
    memory_ledger::{MemoryLedger, is_at_rest},
    paused,
    script::{Script, Scripted},
};

const CLOUDS: [&str; 3] = ["alpha", "beta", "gamma"];
/// What a host does to one order, at most.
const MOST_DEEDS: usize = 12;
/// A drive that fails is tried again so often: after ten failures the order waits for a person.
const MOST_DRIVES: usize = 14;
/// Of an order of another ledger.
const FOREIGN_KEY: &str = "f-theirs0000-018f0000-0000-7000-8000-000000000001-0";

/// The market and what was planned on it.
struct Market {
    offers: BTreeMap<&'static str, Vec<Offer>>,
    plans: Vec<(Value, Value)>,
}

fn offers_of(cloud: &str, at: usize) -> Vec<Offer> {
    let provider = format!(
        r#"{{"id": "{cloud}", "name": "{cloud}", "legal_name": "{cloud} GmbH", "country": "DE",
            "regions": [{{"id": "{cloud}-1", "country": "DE"}}]}}"#
    );
    let csv = format!(
        "kind,sku,region,vcpu,memory_mib,disk_gib,architecture,monthly,currency,tax,observed,source\n\
         machine,small,{cloud}-1,2,4096,40,x86_64,{}0,EUR,net,2026-11-01,a test\n\
         machine,large,{cloud}-1,8,16384,160,x86_64,{}00,EUR,net,2026-11-01,a test\n",
        at + 1,
        at + 1,
    );
    let provider = parse_json(&provider).expect("a provider");
    Table::from_csv(&provider, &csv).expect("a table").offers
}

fn market() -> &'static Market {
    static MARKET: OnceLock<Market> = OnceLock::new();
    MARKET.get_or_init(|| {
        let offers: BTreeMap<_, _> = (0..).zip(CLOUDS).map(|(at, cloud)| (cloud, offers_of(cloud, at))).collect();
        let mut builder = CatalogueBuilder::new("2026-11-23T00:00:00Z".parse().expect("a time"), Rates::none());
        offers.values().for_each(|offers| builder.extend(offers.clone()));
        let catalogue = builder.build();
        let plan = |(yaml, fails_over): (&str, bool)| {
            let blueprint = Blueprint::from_yaml(yaml).expect("a blueprint");
            let plan = compose(&catalogue, &blueprint, &ComposeOptions::default(), &mut |_| Signal::Continue);
            let fail_over = FailOver::new(blueprint).with_max_rise_percent(Decimal::from(60));
            let fail_over = fails_over.then(|| Box::new(fail_over));
            let mut policy = Policy::default();
            policy.fail_over = fail_over;
            let json = |value: Result<Value, serde_json::Error>| value.expect("JSON");
            (json(serde_json::to_value(plan.expect("a plan"))), json(serde_json::to_value(policy)))
        };
        let duo = "{ name: duo, components: { web: { vcpu: 2, replicas: 2 } },
            constraints: [ spread: { components: [web], over: provider, at_least: 2 } ] }";
        let trio = "{ name: trio, components: { web: { vcpu: 2, replicas: 3 } },
            constraints: [ spread: { components: [web], over: provider, at_least: 3 } ] }";
        let waiting = "{ name: pair, components: { db: { vcpu: 2, where: { providers: { deny: [alpha] } } },
            web: { vcpu: 2, after: [db], settings: { note: '${db.name}' }, where: { providers: { allow: [alpha] } } } } }";
        let plans = [(duo, true), (trio, false), (waiting, false), (waiting, true), (duo, false)];
        Market { plans: plans.into_iter().map(plan).collect(), offers }
    })
}

/// The clouds of one input, what goes wrong at them, and by how much their prices have risen.
struct Clouds {
    all: Vec<Sandbox>,
    script: Script,
    factors: BTreeMap<&'static str, Decimal>,
}

/// Somebody else's services: one of another ledger, and one of nobody's.
fn foreign(cloud: &Sandbox) -> Vec<SandboxResource> {
    let offer = &market().offers[cloud.id().as_str()][0];
    let resource = |(id, key): (&str, Option<&str>)| SandboxResource {
        service: Service::new(
            ServiceId::new(format!("{}-{id}", cloud.id())).expect("a name"),
            cloud.id().clone(),
            key.map(|key| key.parse().expect("a key")),
            offer.sku.clone(),
            (*offer.place).clone(),
            ServiceStatus::Running,
        ),
        size_gib: 0,
        visible_at: Timestamp::UNIX_EPOCH,
        released_at: None,
    };
    [("theirs", Some(FOREIGN_KEY)), ("nobodys", None)].map(resource).into()
}

fn is_foreign(id: &ServiceId) -> bool {
    id.as_str().ends_with("-theirs") || id.as_str().ends_with("-nobodys")
}

impl Clouds {
    fn new(draw: &mut Draw<'_>, script: Script) -> Self {
        let mut factors = BTreeMap::new();
        let all = CLOUDS.map(|name| {
            let shape = draw.byte();
            let class = match shape & 7 {
                0..=3 => IdempotencyClass::Key,
                4 => IdempotencyClass::Natural,
                5 | 6 => IdempotencyClass::Searchable { list_lag_ms: 0 },
                _ => IdempotencyClass::None,
            };
            let mut builder = Sandbox::builder(name.parse().expect("a name"), market().offers[name].clone());
            builder = builder.idempotency(class).list_lag(0);
            if shape & 8 != 0 {
                builder = builder.reservation_ttl(std::time::Duration::from_secs(60));
            }
            let factor = match shape >> 4 & 3 {
                2 => Decimal::new(105, 2),
                3 => Decimal::TWO,
                _ => Decimal::ONE,
            };
            factors.insert(name, factor);
            builder = builder.price_factor("small".parse().expect("a name"), factor);
            if shape & 64 != 0 {
                builder = builder.stock("small".parse().expect("a name"), u32::from(shape >> 7) + 1);
            } else if shape & 128 != 0 {
                builder = builder.quota(3);
            }
            let cloud = builder.build();
            cloud.tamper(|resources| resources.extend(foreign(&cloud))).expect("memory");
            cloud
        });
        Self { all: all.into(), script, factors }
    }

    fn providers(&self) -> BTreeMap<ProviderId, Arc<dyn Provider>> {
        let scripted = |cloud: &Sandbox| {
            let provider = Scripted { inner: cloud.clone(), script: self.script.clone() };
            (cloud.id().clone(), Arc::new(provider) as Arc<dyn Provider>)
        };
        self.all.iter().map(scripted).collect()
    }

    /// What exists, and is not somebody else's.
    fn alive(&self) -> Vec<Service> {
        let now = Timestamp::now();
        let all = self.all.iter().flat_map(|cloud| cloud.resources().expect("memory"));
        all.filter(|it| it.exists(now) && !is_foreign(&it.service.id)).map(|it| it.service).collect()
    }

    fn check_foreign(&self) {
        for cloud in &self.all {
            for resource in cloud.resources().expect("memory").iter().filter(|it| is_foreign(&it.service.id))
            {
                let is_as_it_was =
                    resource.released_at.is_none() && resource.service.status == ServiceStatus::Running;
                assert!(is_as_it_was, "somebody else's service was touched: {resource:?}");
            }
        }
    }

    /// What a month of a service costs, by the cloud's quotes or by its list.
    fn price(&self, service: &Service, is_listed: bool) -> Decimal {
        let (name, offers) = market().offers.get_key_value(service.provider.as_str()).expect("a cloud");
        let offer = offers.iter().find(|offer| offer.sku == service.sku).expect("it is sold");
        let has_risen = service.sku.as_str() == "small" && !is_listed;
        let factor = if has_risen { self.factors[name] } else { Decimal::ONE };
        offer.price.net_month(0).unwrap_or_default() * factor
    }
}

fn by() -> Operator {
    Operator { who: "a test".to_owned(), why: "to see what happens".to_owned() }
}

/// A document with some nodes changed, read as a stranger's; none if it cannot be read.
fn meddled(known: &Value, draw: &mut Draw<'_>) -> Value {
    let mut value = known.clone();
    for _ in 0..draw.below(6).saturating_sub(2) {
        edit::node(&mut value, draw);
    }
    value
}

/// An order that nobody drives yet, for tests of the ledger.
pub async fn an_order() -> Order {
    let (plan, policy) = &market().plans[0];
    let script = Script::default();
    let clouds = Clouds::new(&mut Draw::new(&[]), script);
    let engine = Engine::new(clouds.providers(), Arc::new(MemoryLedger::default()));
    let plan = Plan::from_json(&plan.to_string()).expect("a plan");
    let policy = Policy::from_json(&policy.to_string()).expect("a policy");
    engine.accept(plan, policy, None).await.expect("accepted")
}

/// Archives of a committed order, of one that has failed over, and of one that is ended.
pub async fn archives() -> Vec<(&'static str, OrderArchive)> {
    let mut archives = Vec::new();
    for (name, has_beta, is_cancelled) in
        [("committed", true, false), ("failed-over", false, false), ("ended", true, true)]
    {
        let mut clouds = Clouds::new(&mut Draw::new(&[]), Script::default());
        if !has_beta {
            let beta = Sandbox::builder("beta".parse().expect("a name"), market().offers["beta"].clone());
            clouds.all[1] = beta.stock("small".parse().expect("a name"), 0).build();
        }
        let (plan, policy) = &market().plans[0];
        let engine = Engine::new(clouds.providers(), Arc::new(MemoryLedger::default()));
        let plan = Plan::from_json(&plan.to_string()).expect("a plan");
        let policy = Policy::from_json(&policy.to_string()).expect("a policy");
        let order = engine.accept(plan, policy, None).await.expect("accepted").id;
        engine.drive(&order).await.expect("driven");
        if is_cancelled {
            engine.cancel(&order).await.expect("cancelled");
        }
        archives.push((name, engine.export(&order).await.expect("exported")));
    }
    archives
}

/// An order bought and handled on a market, as the bytes say.
pub fn orders(bytes: &[u8]) -> bool {
    let mut draw = Draw::new(bytes);
    let script = Script::new(draw.bytes(200));
    let deeds = draw.bytes(40);
    let clouds = Clouds::new(&mut draw, script);
    let (plan, policy) = draw.choose(&market().plans);
    let (mut plan, mut policy) = (meddled(plan, &mut draw), meddled(policy, &mut draw));
    if draw.chance(96) {
        policy["may_buy_unkeyed"] = true.into();
    }
    if draw.chance(64) {
        policy["max_total"] = u32::from(draw.byte()).to_string().into();
    }
    if draw.chance(64) {
        policy["price_tolerance_percent"] = u32::from(draw.byte()).to_string().into();
    }
    if draw.chance(32)
        && let Ok(mut read) = serde_json::from_value::<Plan>(plan.clone())
        && let Some((monthly, once)) = read.sums()
    {
        (read.monthly, read.once) = (monthly, once);
        plan = serde_json::to_value(read).expect("JSON");
    }
    let (Ok(plan), Ok(mut policy)) =
        (Plan::from_json(&plan.to_string()), Policy::from_json(&policy.to_string()))
    else {
        return false;
    };
    // So that an order comes to an end.
    policy.step_timeout_s = policy.step_timeout_s.min(1);
    policy.compensation_timeout_s = policy.compensation_timeout_s.min(1);
    if let Some(fail_over) = &mut policy.fail_over {
        fail_over.search_timeout_s = fail_over.search_timeout_s.min(1);
    }
    paused(
        Trial { clouds, ledger: Arc::new(MemoryLedger::default()), deeds: Draw::new(deeds) }
            .run(plan, policy),
    )
}

struct Trial<'a> {
    clouds: Clouds,
    ledger: Arc<dyn Ledger>,
    deeds: Draw<'a>,
}

/// What was done to an order besides buying it.
#[derive(Default)]
struct Done {
    /// Its services may be others than planned.
    is_changed: bool,
    is_given_up: bool,
}

impl Trial<'_> {
    /// Another process on the same ledger.
    fn engine(&self) -> Engine {
        Engine::new(self.clouds.providers(), self.ledger.clone())
    }

    async fn run(mut self, plan: Plan, policy: Policy) -> bool {
        let mut engine = self.engine();
        let order = match engine.accept(plan.clone(), policy.clone(), None).await {
            Ok(order) => order.id,
            Err(error) => {
                assert!(!error.to_string().is_empty());
                assert!(self.clouds.alive().is_empty(), "a refused plan was bought");
                return false;
            }
        };
        let mut done = Done::default();
        if !self.deeds.chance(32) {
            drive(&engine, &order).await;
        }
        for _ in 0..MOST_DEEDS {
            if self.deeds.is_empty() {
                break;
            }
            if self.deeds.chance(48) {
                engine = self.engine();
            }
            self.deed(&engine, &order, &mut done).await;
            self.clouds.check_foreign();
        }
        // From now on all is well: the order comes to rest.
        self.clouds.script.end();
        let engine = self.engine();
        let mut last = drive(&engine, &order).await;
        if last.state == OrderState::Stuck {
            engine.retry(&order, by()).await.ok();
            last = drive(&engine, &order).await;
        }
        self.check(&engine, &last, &policy, &done).await;
        fault::meet([
            last.state == OrderState::Ended,
            last.steps.len() == 2,
            self.clouds.factors["gamma"] == Decimal::TWO,
            policy.allow_non_idempotent_purchase,
        ]);
        true
    }

    async fn deed(&mut self, engine: &Engine, order: &OrderId, done: &mut Done) {
        let step = u32::from(self.deeds.byte() % 5);
        let outcome = match self.deeds.below(14) {
            0 => engine.drive(order).await.map(drop),
            1 => engine.cancel(order).await.map(drop),
            2 => engine.retry(order, by()).await.map(drop),
            3 => {
                done.is_changed = true;
                engine.act(order, step, Action::Stop, by()).await.map(drop)
            }
            4 => {
                done.is_changed = true;
                engine.act(order, step, Action::Start, by()).await.map(drop)
            }
            5 => {
                done.is_changed = true;
                let sku = if self.deeds.chance(128) { "large" } else { "small" };
                let action = Action::Resize { sku: sku.parse().expect("a name") };
                engine.act(order, step, action, by()).await.map(drop)
            }
            6 => {
                done.is_changed = true;
                engine.release(order, step, by()).await.map(drop)
            }
            7 => engine.reconcile().await.map(drop),
            8 => engine.repair(&RepairPolicy::all()).await.map(drop),
            9 => engine.resume_all().await.map(drop),
            10 => {
                done.is_given_up = true;
                engine.abandon(order, by()).await.map(drop)
            }
            11 => {
                // A person may be wrong.
                done.is_given_up = true;
                engine.settle(order, step, by(), "looked".to_owned()).await.map(drop)
            }
            12 => {
                // A host that dies in the middle.
                let moments = self.deeds.byte();
                tokio::select! {
                    biased;
                    driven = engine.drive(order) => driven.map(drop),
                    () = moments_pass(moments) => Ok(()),
                }
            }
            _ => {
                let action = Action::Other { name: "reboot".to_owned() };
                engine.act(order, step, action, by()).await.map(drop)
            }
        };
        if let Err(error) = outcome {
            let words = error.to_string();
            assert!(!words.is_empty() && words.len() < 8_000, "{words}");
            assert!(!matches!(error, PurchaseError::Panicked { .. }), "{words}");
        }
        // What a dropped driver still gives back.
        tokio::task::yield_now().await;
    }

    async fn check(&self, engine: &Engine, order: &Order, policy: &Policy, done: &Done) {
        self.clouds.check_foreign();
        assert!(is_at_rest(order), "it is {:?}: {:?}", order.state, order.reason);
        self.ledger.verify(&order.id).await.expect("the chain holds");
        engine.export(&order.id).await.expect("an order proves itself");
        let alive = self.clouds.alive();
        match order.state {
            OrderState::Ended | OrderState::Failed | OrderState::Refused if !done.is_given_up => {
                assert!(alive.is_empty(), "it is {:?}, and there is {alive:?}: {order:#?}", order.state);
            }
            OrderState::Committed => self.check_committed(order, &alive, policy, done),
            OrderState::Stuck => {
                assert!(
                    order.reason.as_ref().is_some_and(|reason| !reason.is_empty()),
                    "nobody says why it is stuck"
                );
            }
            _ => {}
        }
    }

    fn check_committed(&self, order: &Order, alive: &[Service], policy: &Policy, done: &Done) {
        let mut held = 0;
        let mut paid = Decimal::ZERO;
        for step in &order.steps {
            let StepState::Committed { service } = &step.state else { continue };
            held += 1;
            let of_step =
                alive.iter().filter(|it| it.provider == step.provider && it.id == service.id).count();
            assert_eq!(of_step, 1, "{} is there {of_step} times", service.id);
            let of_key = alive.iter().filter(|it| it.key.as_ref() == Some(&step.key)).count();
            assert!(of_key <= 1, "{} is there {of_key} times", step.key);
            if done.is_changed {
                continue;
            }
            // A cloud that declares quotes and then knows no such call is believed by its list, where prices have not risen.
            let is_listed =
                step.lease.checked.as_ref().is_some_and(|it| it.authority == Some(PriceAuthority::Listing));
            let price = self.clouds.price(service, is_listed);
            paid += price;
            let planned = step.lease.lines.iter().map(|line| line.monthly).sum::<Decimal>();
            let most = planned * (Decimal::ONE + policy.price_tolerance_percent / Decimal::ONE_HUNDRED);
            assert!(
                price <= most + Decimal::new(1, 6),
                "{} costs {price}, and {planned} was planned",
                service.id
            );
        }
        if !done.is_given_up {
            assert_eq!(held, alive.len(), "more is there than the order holds: {alive:?}, {order:#?}");
        }
        if let (Some(most), Some(months)) = (policy.max_total, order.plan.horizon_months) {
            let total = paid * Decimal::from(months);
            assert!(total <= most + Decimal::new(1, 6), "{total} is paid, and {most} was the most");
        }
    }
}

/// Drives until it needs no more driving.
async fn drive(engine: &Engine, order: &OrderId) -> Order {
    for _ in 0..MOST_DRIVES {
        match engine.drive(order).await {
            Ok(order) => return order,
            Err(error) => {
                assert!(!matches!(error, PurchaseError::Panicked { .. }), "{error}");
            }
        }
    }
    engine.load(order).await.expect("it is there")
}

/// So many turns of the other tasks.
async fn moments_pass(count: u8) {
    for _ in 0..count {
        tokio::task::yield_now().await;
    }
}
