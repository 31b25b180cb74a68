//! A plan is a stranger's document: what it says is compared with what is known, in every format that is read.

use std::{collections::BTreeMap, sync::Arc};

use fulcrum_core::{
    compose::{ComposeOptions, Signal, compose, verify::verify},
    federation::Federation,
    ledger::SqliteLedger,
    model::{
        Blueprint, Charge, FailOver, Offer, OrderState, Plan, Policy, Price, PurchaseOption, StopReason, Tax,
        Tier, Unit,
    },
    provider::sandbox::Sandbox,
    purchase::{Engine, PurchaseError, PurchaseOptions},
};
use iso_currency::Currency;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::support::{self, CLOUDS, cloud, clouds, duo, duo_plan, duo_policy, offers, providers, retotal};

async fn market(clouds: Vec<Sandbox>) -> Federation {
    let builder = clouds.into_iter().fold(Federation::builder(), |builder, cloud| builder.provider(cloud));
    let ledger = SqliteLedger::in_memory().await.expect("a ledger");
    let federation = builder.ledger(ledger).build().expect("a federation");
    federation.refresh().await;
    federation
}

fn all() -> Vec<Sandbox> {
    CLOUDS.iter().map(|name| cloud(name, None).build()).collect()
}

fn refused<T: std::fmt::Debug>(outcome: Result<T, PurchaseError>) -> String {
    outcome.expect_err("refused").to_string()
}

#[tokio::test]
async fn a_plan_of_any_format_is_verified_where_its_blueprint_is_known() {
    let federation = market(all()).await;
    let blueprint = duo("");
    let plan = federation.compose(&blueprint).expect("a plan");
    for format in ["fulcrum-plan/4", "fulcrum-plan/4.1", "fulcrum-plan/4.17", "fulcrum-plan/3"] {
        let mut plan = {
            let mut changed = plan.clone();
            changed.format = format.to_owned();
            changed
        };
        let mut least = {
            let mut changed = plan.clone();
            changed.format = "fulcrum-plan/4".to_owned();
            changed
        };
        if format.ends_with('3') {
            plan.horizon_months = None;
        }
        verify(&federation.catalogue(), &blueprint, &plan).expect("it is right");
        plan.leases.truncate(1);
        retotal(&mut plan);
        least.horizon_months = None;
        let why = refused(federation.accept(&plan, duo_policy(blueprint.clone()), None).await);
        assert!(why.contains("web"), "{format}: {why}");
        least.format = format.replace('3', "4");
        let why = refused(federation.accept(&least, Policy::default(), None).await);
        assert!(why.contains(&least.format) && why.contains("horizon_months"), "{why}");
    }
    let unknown = {
        let mut changed = plan;
        changed.format = "fulcrum-plan/5".to_owned();
        changed
    };
    let why = refused(federation.accept(&unknown, Policy::default(), None).await);
    assert!(why.contains("fulcrum-plan/5"), "{why}");
}

/// Also under another catalogue's digest, and at a provider that quotes and so never tells where something is.
#[tokio::test]
async fn a_place_is_that_of_the_market_or_nothing_is_bought() {
    let changes: [fn(&mut Plan); 3] = [
        |plan| plan.leases[0].place.country = "CH".parse().expect("a country"),
        |plan| {
            plan.leases[0].place.coordinates =
                Some(serde_json::from_value(json!({ "latitude": "47", "longitude": "8" })).expect("a point"));
        },
        |plan| {
            for lease in &mut plan.leases {
                lease.place.country = "FR".parse().expect("a country");
            }
        },
    ];
    for change in changes {
        let federation = market(all()).await;
        let mut plan = federation.compose(&duo("")).expect("a plan");
        change(&mut plan);
        plan.catalogue_digest = "0".repeat(64);
        let why = refused(federation.accept(&plan, Policy::default(), None).await);
        assert!(why.contains("by the market"), "{why}");
        // A host that knows no market asks the provider.
        let clouds = all();
        let ledger = Arc::new(SqliteLedger::in_memory().await.expect("a ledger"));
        let engine = Engine::new(providers(&clouds), ledger);
        let order = engine.accept(plan, Policy::default(), None).await.expect("accepted");
        let order = engine.drive(&order.id).await.expect("driven");
        assert_eq!(order.state, OrderState::Refused);
        assert!(order.reason.as_deref().is_some_and(|why| why.contains("by the market")), "{order:?}");
    }
}

fn per_gib(price: Decimal) -> Option<Arc<Price>> {
    Some(Arc::new(Price {
        charge: Charge::PerUnit { unit: Unit::Gib, tiers: vec![Tier { from: Decimal::ZERO, price }] },
        once: Decimal::ZERO,
        currency: Currency::EUR,
        tax: Tax::Net,
        purchase_option: PurchaseOption::OnDemand,
        term_months: 0,
    }))
}

/// Alpha, with so much for a GiB that leaves it.
fn sending(price: i64) -> Sandbox {
    let offers: Vec<Offer> = offers("alpha")
        .into_iter()
        .map(|offer| Offer { egress: per_gib(Decimal::new(price, 2)), ..offer })
        .collect();
    Sandbox::builder("alpha".parse().expect("a name"), offers).build()
}

fn busy() -> Blueprint {
    Blueprint::from_yaml(
        "{ name: app, components: { web: { vcpu: 2, users: [ { name: all, at: { latitude: 50, longitude: 8 },
             traffic_gib: 1000 } ] } } }",
    )
    .expect("a blueprint")
}

#[tokio::test]
async fn traffic_costs_what_the_plan_says_or_nothing_is_bought() {
    let federation = market(vec![sending(1)]).await;
    let plan = federation.compose(&busy()).expect("a plan");
    assert_eq!(plan.traffic[0].monthly, Decimal::from(10));
    type Change = fn(&mut Plan);
    let changes: [(&str, Change); 4] = [
        ("its flows send", |plan| plan.traffic.clear()),
        ("its flows send", |plan| plan.traffic[0].gib = 1),
        ("10.00 EUR a month now", |plan| plan.traffic[0].monthly = Decimal::new(1, 2)),
        ("its flows send", |plan| plan.traffic.push(plan.traffic[0].clone())),
    ];
    for (expected, change) in changes {
        let mut plan = plan.clone();
        change(&mut plan);
        retotal(&mut plan);
        let why = refused(federation.accept(&plan, Policy::default(), None).await);
        assert!(why.contains(expected), "{why}");
    }
    let order = federation.purchase(&plan, Policy::default()).await.expect("bought");
    assert_eq!(order.state, OrderState::Committed, "{:?}", order.reason);

    // Dearer since: within what is tolerated and allowed in all, or not at all.
    let half = |max_total: Option<i64>| {
        Policy::default()
            .with_price_tolerance_percent(Decimal::from(50))
            .with_max_total(max_total.map(Decimal::from))
    };
    for (price, policy, is_bought) in [
        (2, Policy::default(), false),
        (1000, Policy::default(), false),
        (1000, half(None), false),
        (2, Policy::default().with_price_tolerance_percent(Decimal::from(100)), true),
    ] {
        let clouds = [sending(price)];
        let ledger = Arc::new(SqliteLedger::in_memory().await.expect("a ledger"));
        let engine = Engine::new(providers(&clouds), ledger);
        let order = engine.accept(plan.clone(), policy, None).await.expect("accepted");
        let order = engine.drive(&order.id).await.expect("driven");
        let expected = if is_bought { OrderState::Committed } else { OrderState::Refused };
        assert_eq!(order.state, expected, "{price}: {:?}", order.reason);
        assert!(is_bought || order.reason.is_some_and(|why| why.contains("traffic of alpha costs")));
    }
    // All that is tolerated counts against the limit.
    let total = plan.total().expect("in range");
    let tolerant = Decimal::from(100);
    let policy = Policy::default().with_price_tolerance_percent(tolerant).with_max_total(total);
    let clouds = [sending(2)];
    let ledger = Arc::new(SqliteLedger::in_memory().await.expect("a ledger"));
    let engine = Engine::new(providers(&clouds), ledger);
    let order = engine.accept(plan, policy, None).await.expect("accepted");
    let order = engine.drive(&order.id).await.expect("driven");
    assert_eq!(order.state, OrderState::Refused);
    assert!(order.reason.as_deref().is_some_and(|why| why.contains("max_total")), "{:?}", order.reason);
}

#[tokio::test]
async fn a_claim_that_was_read_is_no_proof() {
    let federation = market(all()).await;
    let blueprint = duo("");
    let plan = federation.compose(&blueprint).expect("a plan");
    assert!(plan.is_optimal());
    let read = Plan::from_json(&serde_json::to_string(&plan).expect("JSON")).expect("a plan");
    assert_eq!(
        (read.is_optimal(), read.stop),
        (false, StopReason::Optimal),
        "it claims, and nobody here knows"
    );
    assert_eq!(read, plan, "it is the same plan");
    // To know it, this process looks itself.
    let options = ComposeOptions { start: Some(Arc::new(read.clone())), ..ComposeOptions::default() };
    let again = compose(&federation.catalogue(), &blueprint, &options, &mut |_| Signal::Continue);
    assert!(again.expect("a plan").is_optimal());
    let order = federation.purchase(&read, Policy::default()).await.expect("bought");
    assert_eq!((order.state, order.plan.is_optimal()), (OrderState::Committed, false));
}

#[tokio::test]
async fn one_approval_buys_once() {
    let clouds = clouds(None, fulcrum_core::provider::IdempotencyClass::Key, "", &[]);
    let ledger = Arc::new(SqliteLedger::in_memory().await.expect("a ledger"));
    let engine = Engine::new(providers(&clouds), ledger);
    let (plan, policy) = (support::plan(), Policy::default());
    let approved = Some(plan.approval_digest(&policy));
    let options = || PurchaseOptions { id: None, approved: approved.clone() };
    let first = engine.accept(plan.clone(), policy.clone(), options()).await.expect("accepted");
    let second = engine.accept(plan.clone(), policy.clone(), options()).await.expect("accepted");
    let first = engine.drive(&first.id).await.expect("driven");
    let second = engine.drive(&second.id).await.expect("driven");
    assert_eq!((first.state, second.state), (OrderState::Committed, OrderState::Refused));
    let why = second.reason.unwrap_or_default();
    assert!(why.contains(first.id.as_str()) && why.contains("valid_until"), "{why}");
    assert_eq!(support::count(&clouds).0, 3);
    // The same purchase again is the same order, and whoever was not to be asked buys as ever.
    let options = PurchaseOptions { id: Some(first.id.clone()), approved };
    let same = engine.accept(plan.clone(), policy.clone(), options).await.expect("the same");
    assert_eq!(same.id, first.id);
    let free = engine.accept(plan, policy, None).await.expect("accepted");
    assert_eq!(engine.drive(&free.id).await.expect("driven").state, OrderState::Committed);
}

#[test]
fn a_field_that_is_written_twice_is_refused_wherever_it_stands() {
    let blueprint = duo("");
    let plan = duo_plan(&blueprint);
    let text = serde_json::to_string(&plan).expect("JSON");
    let places = [
        (r#""replicas":{"#, r#""replicas":{"web":7,"#, "web"),
        (r#""place":{"#, r#""place":{"country":"CH","#, "country"),
        (r#""lines":[{"#, r#""lines":[{"monthly":"0","#, "monthly"),
        (r#""statistics":{"#, r#""statistics":{"rows":1,"#, "rows"),
        (r#""size_gib":0"#, r#""size_gib":0,"settings":{"image":"good","image":"evil"}"#, "image"),
        (r#""size_gib":0"#, r#""size_gib":0,"settings":{"a":[{"b":1,"b":2}]}"#, "b"),
        (r#""size_gib":0"#, r#""size_gib":0,"settings":{"a":1},"settings":{}"#, "settings"),
        (r#"{"format""#, r#"{"later":1,"later":2,"format""#, "later"),
    ];
    Plan::from_json(&text).expect("a plan");
    for (from, to, name) in places {
        let twice = text.replacen(from, to, 1);
        assert_ne!(twice, text, "{from}");
        let why = Plan::from_json(&twice).expect_err(to).to_string();
        assert!(why.contains(name) && (why.contains("twice") || why.contains("duplicate")), "{to}: {why}");
    }
    let policy = Policy::default().with_fail_over(FailOver::new(blueprint));
    let text = serde_json::to_string(&policy).expect("JSON");
    let twice = text.replacen(r#""replicas":{"#, r#""settings":{"a":{"b":1,"b":2}},"replicas":{"#, 1);
    for (text, twice) in [(&text, twice), (&text, text.replacen('{', r#"{"concurrency":1,"#, 1))] {
        assert_ne!(*text, twice);
        let why = Policy::from_json(&twice).expect_err("twice").to_string();
        assert!(why.contains("twice") || why.contains("duplicate"), "{why}");
    }
}

#[tokio::test]
async fn the_limits_of_settings_and_names_hold_in_plans_too() {
    let blueprint = duo("");
    let plan = duo_plan(&blueprint);
    let settings: [(&str, BTreeMap<String, Value>); 4] = [
        ("bytes", BTreeMap::from([("user_data".to_owned(), json!("x".repeat(65 << 10)))])),
        ("256", (0..300).map(|at| (format!("a{at}"), json!(at))).collect()),
        ("bytes", (0..10).map(|at| (format!("a{at}"), json!("x".repeat(60 << 10)))).collect()),
        ("is not a valid setting name", BTreeMap::from([("x".repeat(1 << 20), json!(1))])),
    ];
    let clouds = all();
    let ledger = Arc::new(SqliteLedger::in_memory().await.expect("a ledger"));
    let engine = Engine::new(providers(&clouds), ledger);
    for (expected, settings) in settings {
        let mut plan = plan.clone();
        plan.leases[0].settings = settings;
        let why = refused(engine.accept(plan.clone(), Policy::default(), None).await);
        assert!(why.contains(expected) && why.contains("leases[0].settings"), "{why:.300}");
        assert!(why.len() < 1000);
        assert!(Plan::from_json(&serde_json::to_string(&plan).expect("JSON")).is_err());
    }
    let named = {
        let mut changed = plan;
        changed.blueprint = "x".repeat(1001);
        changed
    };
    let why = refused(engine.accept(named, Policy::default(), None).await);
    assert!(why.contains("at most 1000"), "{why}");
    let long = format!("{{ name: {}, components: {{ web: {{ vcpu: 1 }} }} }}", "x".repeat(1001));
    let why = Blueprint::from_yaml(&long).expect_err("too long").to_string();
    assert!(why.contains("name") && why.contains("at most 1000"), "{why}");
}
