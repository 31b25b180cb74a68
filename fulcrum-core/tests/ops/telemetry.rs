//! What a host's monitoring gets to see.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::support::{clouds, duo, duo_plan, duo_policy, plan};
use fulcrum_core::{
    ledger::SqliteLedger,
    model::{Operator, OrderState, Policy, ProviderId},
    provider::{
        Call, IdempotencyClass, Provider,
        layers::Trace,
        sandbox::{Fault, FaultRule, Sandbox, SandboxResource},
    },
    purchase::Engine,
    telemetry,
};
use metrics::{
    Counter, CounterFn, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};

/// Every number by its name and labels: how often it was counted.
#[derive(Debug, Default, Clone)]
struct Numbers(Arc<Mutex<BTreeMap<String, u64>>>, Arc<Mutex<BTreeMap<String, Unit>>>);

struct Number(String, Numbers);

impl Number {
    fn add(&self, count: u64) {
        *self.1.0.lock().expect("no panic").entry(self.0.clone()).or_default() += count;
    }
}

impl CounterFn for Number {
    fn increment(&self, value: u64) {
        self.add(value);
    }
    fn absolute(&self, _: u64) {
        panic!("{} goes back", self.0);
    }
}

impl HistogramFn for Number {
    fn record(&self, seconds: f64) {
        assert!((0.0..60.0).contains(&seconds), "{} took {seconds} s", self.0);
        self.add(1);
    }
}

impl Numbers {
    fn number(&self, key: &Key) -> Arc<Number> {
        let labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        Arc::new(Number(format!("{} {}", key.name(), labels.join(" ")).trim_end().to_owned(), self.clone()))
    }

    fn of(&self, name: &str) -> u64 {
        self.0.lock().expect("no panic").get(name).copied().unwrap_or(0)
    }
}

impl Recorder for Numbers {
    fn describe_counter(&self, key: KeyName, unit: Option<Unit>, _: SharedString) {
        self.1.lock().expect("no panic").insert(key.as_str().to_owned(), unit.expect("a unit"));
    }
    fn describe_gauge(&self, key: KeyName, _: Option<Unit>, _: SharedString) {
        panic!("{key:?} is not in the table");
    }
    fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, text: SharedString) {
        self.describe_counter(key, unit, text);
    }
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.number(key))
    }
    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        panic!("{key:?} is not in the table");
    }
    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.number(key))
    }
}

fn traced(clouds: &[Sandbox]) -> BTreeMap<ProviderId, Arc<dyn Provider>> {
    let traced = |cloud: &Sandbox| Arc::new(Trace::new(cloud.clone())) as Arc<dyn Provider>;
    clouds.iter().map(|cloud| (cloud.id().clone(), traced(cloud))).collect()
}

async fn engine(at: &str, faults: &[FaultRule]) -> (Engine, Vec<Sandbox>) {
    let clouds = clouds(None, IdempotencyClass::Key, at, faults);
    let ledger = Arc::new(SqliteLedger::in_memory().await.expect("a ledger"));
    (Engine::new(traced(&clouds), ledger), clouds)
}

fn fault(call: Call, fault: Fault) -> FaultRule {
    FaultRule { call, sku: None, nth: 1, times: 1, fault }
}

#[tokio::test]
async fn a_purchase_that_fails_over_is_counted_with_its_labels() {
    let numbers = Numbers::default();
    let _guard = metrics::set_default_local_recorder(&numbers);
    let (engine, _) = engine("beta", &[fault(Call::Provision, Fault::SoldOut)]).await;
    let blueprint = duo("");
    let order = engine.accept(duo_plan(&blueprint), duo_policy(blueprint), None).await.expect("accepted");
    engine.drive(&order.id).await.expect("driven");
    engine.cancel(&order.id).await.expect("cancelled");
    for (name, count) in [
        ("fulcrum_orders_total state=accepted", 1),
        ("fulcrum_orders_total state=provisioning", 1),
        ("fulcrum_orders_total state=committed", 1),
        ("fulcrum_orders_total state=compensating", 1),
        ("fulcrum_orders_total state=ended", 1),
        ("fulcrum_order_seconds state=committed", 1),
        ("fulcrum_order_seconds state=ended", 1),
        ("fulcrum_order_seconds state=provisioning", 0),
        ("fulcrum_fail_overs_total", 1),
        ("fulcrum_attempts_failed_total provider=beta kind=capacity_exhausted", 1),
        ("fulcrum_step_seconds provider=alpha", 1),
        ("fulcrum_step_seconds provider=beta", 0),
        ("fulcrum_step_seconds provider=gamma", 1),
        ("fulcrum_provider_call_seconds provider=alpha call=provision outcome=ok", 1),
        ("fulcrum_provider_call_seconds provider=beta call=provision outcome=capacity_exhausted", 1),
        ("fulcrum_provider_call_seconds provider=gamma call=offers outcome=ok", 1),
        ("fulcrum_provider_call_seconds provider=gamma call=release outcome=ok", 1),
    ] {
        assert_eq!(numbers.of(name), count, "{name}: {numbers:#?}");
    }
    assert!(numbers.of("fulcrum_ledger_write_seconds") > 10, "{numbers:#?}");
}

#[tokio::test]
async fn findings_are_counted_by_kind_and_a_list_that_fails_by_its_error() {
    let numbers = Numbers::default();
    let _guard = metrics::set_default_local_recorder(&numbers);
    let (engine, clouds) = engine("gamma", &[fault(Call::Services, Fault::Unavailable)]).await;
    let order = engine.accept(plan(), Policy::default(), None).await.expect("accepted");
    engine.drive(&order.id).await.expect("driven");
    let copy = |resources: &mut Vec<SandboxResource>| {
        let resource = &resources[0];
        let service = {
            let mut changed = resource.service.clone();
            changed.id = "a-copy".parse().expect("a name");
            changed
        };
        resources.push(SandboxResource { service, ..resource.clone() });
    };
    clouds[0].tamper(copy).expect("tampered");
    engine.reconcile().await.expect("reconciled");
    for (name, count) in [
        ("fulcrum_findings_total kind=duplicate", 1),
        ("fulcrum_findings_total kind=orphan", 0),
        ("fulcrum_provider_call_seconds provider=alpha call=services outcome=ok", 1),
        ("fulcrum_provider_call_seconds provider=gamma call=services outcome=unavailable", 1),
        ("fulcrum_provider_call_seconds provider=gamma call=services outcome=ok", 0),
    ] {
        assert_eq!(numbers.of(name), count, "{name}: {numbers:#?}");
    }
}

#[tokio::test]
async fn what_a_person_does_is_counted_too() {
    let numbers = Numbers::default();
    let _guard = metrics::set_default_local_recorder(&numbers);
    let refused = FaultRule { times: 1_000, ..fault(Call::Release, Fault::Unauthorised) };
    let (engine, _) = engine("gamma", &[refused]).await;
    let policy = Policy::default().with_compensation_timeout_s(0);
    let order = engine.accept(plan(), policy, None).await.expect("accepted");
    engine.drive(&order.id).await.expect("driven");
    assert_eq!(engine.cancel(&order.id).await.expect("stuck").state, OrderState::Stuck);
    let by = Operator { who: "ada".to_owned(), why: "it is gone".to_owned() };
    engine.settle(&order.id, 2, by, "seen in the console".to_owned()).await.expect("settled");
    for state in ["stuck", "ended"] {
        assert_eq!(numbers.of(&format!("fulcrum_orders_total state={state}")), 1, "{numbers:#?}");
    }
    assert!(numbers.of("fulcrum_attempts_failed_total provider=gamma kind=unauthorised") > 0, "{numbers:#?}");
}

/// The guide's table has all of them and no other, and each has a unit that its name tells.
#[test]
fn all_numbers_are_described_and_in_the_table() {
    let numbers = Numbers::default();
    metrics::with_local_recorder(&numbers, telemetry::describe);
    let described = numbers.1.lock().expect("no panic").clone();
    for (name, unit) in &described {
        let end = if *unit == Unit::Seconds { "_seconds" } else { "_total" };
        assert!(name.ends_with(end), "{name} is in {unit:?}");
    }
    let guide = include_str!("../../../docs/orders.md");
    let rows = guide.lines().filter_map(|line| line.strip_prefix("| `fulcrum_")?.split('`').next());
    let in_table: Vec<_> = rows.map(|name| format!("fulcrum_{name}")).collect();
    assert_eq!(described.len(), in_table.len());
    assert!(in_table.iter().all(|name| described.contains_key(name)), "{in_table:?}");
}

/// The alerts of the guide ask for numbers and labels that there are.
#[test]
fn the_sample_of_alerts_uses_what_is_counted() {
    let numbers = Numbers::default();
    metrics::with_local_recorder(&numbers, telemetry::describe);
    let described = numbers.1.lock().expect("no panic").clone();
    let guide = include_str!("../../../docs/operations.md");
    let rules = guide.split("```yaml\ngroups:").nth(1).and_then(|rest| rest.split("\n```").next());
    let rules: serde_json::Value =
        fulcrum_core::model::parse_yaml(&format!("groups:{}", rules.expect("the rules"))).expect("YAML");
    let rules = rules["groups"][0]["rules"].as_array().expect("a list");
    let states: Vec<_> = OrderState::ALL.iter().map(|state| state.word()).collect();
    for rule in rules {
        let text = rule["expr"].as_str().expect("an expression").to_owned()
            + rule["annotations"]["summary"].as_str().expect("a summary");
        let names = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        for name in names.filter(|name| name.starts_with("fulcrum_")) {
            let plain = name.trim_end_matches("_count").trim_end_matches("_sum");
            assert!(described.contains_key(plain), "{name}");
        }
        let mut asked = text.split("state=\"").skip(1).filter_map(|rest| rest.split('"').next());
        assert!(asked.all(|state| states.contains(&state)), "{text}");
    }
    assert!(rules.len() > 4);
}

/// A span: its name, its fields, and the span around it.
#[derive(Debug, Default, Clone)]
struct Seen {
    name: &'static str,
    fields: BTreeMap<&'static str, String>,
    parent: Option<u64>,
}

impl Visit for Seen {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.fields.insert(field.name(), format!("{value:?}").trim_matches('"').to_owned());
    }
}

/// Remembers all spans; for one thread, on which they are entered and left.
#[derive(Debug, Default, Clone)]
struct Spans {
    seen: Arc<Mutex<BTreeMap<u64, Seen>>>,
    inside: Arc<Mutex<Vec<u64>>>,
    last: Arc<AtomicU64>,
}

impl Subscriber for Spans {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let id = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let parent =
            span.is_contextual().then(|| self.inside.lock().expect("no panic").last().copied()).flatten();
        let mut seen = Seen { name: span.metadata().name(), parent, ..Seen::default() };
        span.record(&mut seen);
        self.seen.lock().expect("no panic").insert(id, seen);
        Id::from_u64(id)
    }
    fn record(&self, span: &Id, values: &Record<'_>) {
        if let Some(seen) = self.seen.lock().expect("no panic").get_mut(&span.into_u64()) {
            values.record(seen);
        }
    }
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, span: &Id) {
        self.inside.lock().expect("no panic").push(span.into_u64());
    }
    fn exit(&self, span: &Id) {
        let mut inside = self.inside.lock().expect("no panic");
        assert_eq!(
            inside.pop(),
            Some(span.into_u64()),
            "spans are left in the order in which they were entered"
        );
    }
}

#[tokio::test]
async fn a_calls_span_is_in_its_steps_and_that_in_its_orders() {
    let spans = Spans::default();
    let _guard = tracing::subscriber::set_default(spans.clone());
    let (engine, _) = engine("beta", &[fault(Call::Provision, Fault::Late { ms: 5 })]).await;
    let buy_and_cancel = async || {
        let order = engine.accept(plan(), Policy::default(), None).await.expect("accepted");
        engine.drive(&order.id).await.expect("driven");
        engine.cancel(&order.id).await.expect("cancelled");
        order
    };
    // A span that another test's thread, which sees none, meets first just now would be left out: so all are met, and then
    // asked for anew.
    buy_and_cancel().await;
    tracing::callsite::rebuild_interest_cache();
    spans.seen.lock().expect("no panic").clear();
    let order = buy_and_cancel().await;
    let seen = spans.seen.lock().expect("no panic").clone();
    let parent = |span: &Seen| span.parent.map(|id| seen[&id].clone()).unwrap_or_default();
    for (call, state) in [("provision", "committed"), ("poll", "committed"), ("release", "ended")] {
        let is_call = |span: &&Seen| span.name == "fulcrum.provider.call" && span.fields["call"] == call;
        let calls: Vec<_> = seen.values().filter(is_call).collect();
        assert!(calls.len() >= 3, "{call}: {seen:#?}");
        for span in calls {
            let step = parent(span);
            assert_eq!((step.name, &step.fields["provider"]), ("fulcrum.step", &span.fields["provider"]));
            assert_eq!(
                (step.fields["order"].as_str(), step.fields["sku"].as_str()),
                (order.id.as_str(), "small")
            );
            assert!(["0", "1", "2"].contains(&step.fields["step"].as_str()));
            let whole = parent(&step);
            assert!(call == "poll" || whole.fields["state"] == state, "{whole:?}");
            assert_eq!((whole.name, whole.fields["order"].as_str()), ("fulcrum.order", order.id.as_str()));
        }
    }
}
