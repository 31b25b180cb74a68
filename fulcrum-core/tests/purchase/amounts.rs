//! Amounts that nobody can pay are refused with words, wherever they come from, and never a panic.

use std::{collections::BTreeMap, sync::Arc};

use fulcrum_core::{
    catalogue::{Catalogue, CatalogueBuilder, Rates},
    compose::{ComposeOptions, Signal, compose, explain, verify::verify},
    ledger::SqliteLedger,
    model::{
        Blueprint, Charge, ElasticDisk, FailOver, Offer, Plan, Policy, Price, Surcharge, Tax, Tier, Unit,
    },
    provider::Provider,
    purchase::{Engine, PurchaseError},
};
use iso_currency::Currency;
use rand::{Rng, SeedableRng, rngs::StdRng};
use rust_decimal::Decimal;
use serde_json::Value;

use crate::support::{self, seed};

/// Rounds of each test.
const ROUNDS: u32 = 300;

/// Amounts that break arithmetic, and a few that are only odd.
fn hostile(chance: &mut StdRng) -> Decimal {
    let tiny = Decimal::from_parts(chance.random(), 0, 0, chance.random(), 28);
    let scaled = Decimal::from_parts(chance.random(), chance.random(), chance.random(), chance.random(), 28);
    let whole = Decimal::from_parts(u32::MAX, u32::MAX, chance.random(), chance.random(), 0);
    let all = [
        Decimal::MAX,
        Decimal::MIN,
        whole,
        tiny,
        scaled,
        Decimal::from(1_000_000_001_i64),
        Decimal::from(-1),
        Decimal::ZERO,
        "-0".parse().expect("a decimal"),
        "79228162514264337593543950335".parse().expect("a decimal"),
    ];
    all[chance.random_range(0..all.len())]
}

/// Every place in a document that holds a number as text.
fn amounts(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::String(text) if text.parse::<Decimal>().is_ok() => found.push(path.to_owned()),
        Value::Array(values) => {
            values.iter().enumerate().for_each(|(at, value)| amounts(value, &format!("{path}/{at}"), found));
        }
        Value::Object(values) => {
            values.iter().for_each(|(name, value)| amounts(value, &format!("{path}/{name}"), found));
        }
        _ => {}
    }
}

fn engine(cloud: &str) -> impl Future<Output = Engine> {
    let cloud = support::cloud(cloud, None).build();
    async move {
        let providers = BTreeMap::from([(cloud.id().clone(), Arc::new(cloud) as Arc<dyn Provider>)]);
        Engine::new(providers, Arc::new(SqliteLedger::in_memory().await.expect("a ledger")))
    }
}

fn blueprint() -> Blueprint {
    Blueprint::from_yaml(
        "{ name: app, components: { web: { vcpu: 2, replicas: 2 } }, budget: 1000, horizon_months: 120,
           objective: { cost: 1.5, providers: 2 }, provider_fees: { default: { monthly: 1, once: 2 } } }",
    )
    .expect("a blueprint")
}

fn composed(
    catalogue: &Catalogue,
    blueprint: &Blueprint,
) -> Result<Plan, fulcrum_core::compose::ComposeError> {
    compose(catalogue, blueprint, &ComposeOptions::default(), &mut |_| Signal::Continue)
}

#[tokio::test]
async fn a_plan_with_amounts_that_nobody_can_pay_is_refused() {
    let mut chance = StdRng::seed_from_u64(seed::seed());
    let (catalogue, blueprint) = (support::catalogue(), blueprint());
    let plan = composed(&catalogue, &blueprint).expect("a plan");
    Plan::from_json(&serde_json::to_string(&plan).expect("JSON")).expect("it is a plan");
    let document = serde_json::to_value(&plan).expect("JSON");
    let mut places = Vec::new();
    amounts(&document, "", &mut places);
    assert!(places.len() > 8, "{places:?}");
    let engine = engine("alpha").await;
    let mut refused = 0;
    for _ in 0..ROUNDS {
        let mut document = document.clone();
        for _ in 0..chance.random_range(1..4) {
            let place = &places[chance.random_range(0..places.len())];
            *document.pointer_mut(place).expect("it is there") = hostile(&mut chance).to_string().into();
        }
        let text = document.to_string();
        let read = Plan::from_json(&text);
        if let Err(error) = &read {
            refused += 1;
            let shown = error.to_string();
            assert!(!error.path.is_empty() && error.line > 0 && shown.contains("write"), "{shown}");
        }
        // As a host of Rust hands it in, unread.
        let plan: Plan = serde_json::from_value(document).expect("it has the form");
        assert_eq!(plan.check().is_err(), read.is_err());
        let _ = verify(&catalogue, &blueprint, &plan);
        let _ = explain(&catalogue, &blueprint, &plan, &ComposeOptions::default(), &mut |_| Signal::Limit);
        let accepted = engine.accept(plan, Policy::default(), None).await;
        if read.is_err() {
            assert!(matches!(accepted, Err(PurchaseError::InvalidPlan(_))), "{accepted:?}");
        }
    }
    assert!(refused > ROUNDS / 2, "only {refused} were refused");
}

#[tokio::test]
async fn a_policy_with_percentages_that_nobody_means_is_refused() {
    let (mut chance, engine) = (StdRng::seed_from_u64(seed::seed()), engine("alpha").await);
    let blueprint = Blueprint::from_yaml("{ name: app, components: { web: { vcpu: 2 } } }").expect("one");
    let plan = composed(&support::catalogue(), &blueprint).expect("a plan");
    for field in ["price_tolerance_percent", "fail_over.max_rise_percent"] {
        for _ in 0..ROUNDS / 10 {
            let percent = hostile(&mut chance);
            if (Decimal::ZERO..=Decimal::from(10_000)).contains(&percent) {
                continue;
            }
            let mut fail_over = FailOver::new(blueprint.clone());
            let mut policy = Policy::default();
            if field == "price_tolerance_percent" {
                policy.price_tolerance_percent = percent;
            } else {
                fail_over.max_rise_percent = percent;
                policy.fail_over = Some(Box::new(fail_over));
            }
            let text = serde_json::to_string(&policy).expect("JSON");
            for error in
                [Policy::from_json(&text), Policy::from_yaml(&text)].map(|read| read.expect_err(field))
            {
                assert_eq!((error.path.as_str(), error.line), (field, 1), "{error}");
                assert!(error.message.ends_with("write 0 to 10000"), "{error}");
            }
            let refusal = engine.accept(plan.clone(), policy, None).await.expect_err("it is refused");
            assert!(refusal.to_string().contains(&format!("policy.{field}")), "{refusal}");
        }
    }
    assert!(Policy::from_json("{\"price_tolerance_percent\": \"10000\"}").is_ok());
}

fn price(chance: &mut StdRng) -> Price {
    let mut amount =
        || if chance.random_bool(0.7) { hostile(chance) } else { Decimal::new(chance.random(), 9) };
    let charge = match amount().scale() % 5 {
        0 => Charge::Hourly(amount()),
        1 => Charge::Monthly(amount()),
        2 => Charge::HourlyCapped { hourly: amount(), monthly: amount() },
        3 => Charge::Once,
        _ => Charge::PerUnit {
            unit: Unit::GbHour,
            tiers: vec![
                Tier { from: Decimal::ZERO, price: amount() },
                Tier { from: amount(), price: amount() },
                Tier { from: amount(), price: amount() },
            ],
        },
    };
    let (once, vat_percent) = (amount(), amount());
    Price {
        charge,
        once,
        currency: [Currency::EUR, Currency::USD, Currency::JPY][chance.random_range(0..3)],
        tax: if chance.random_bool(0.5) { Tax::Net } else { Tax::Gross { vat_percent } },
        purchase_option: Default::default(),
        term_months: if chance.random_bool(0.5) { 0 } else { chance.random() },
    }
}

fn odd(chance: &mut StdRng, sane: &Offer, at: u32) -> Offer {
    let mut offer = Offer { sku: format!("odd-{at}").parse().expect("a name"), ..sane.clone() };
    if chance.random_bool(0.6) {
        offer.price = price(chance);
    }
    if chance.random_bool(0.4) {
        let disk = ElasticDisk { sku: "disk".parse().expect("a name"), price: price(chance) };
        offer.elastic_disk = Some(Arc::new(disk));
        offer.capacity.disk_gib = 0;
    }
    if chance.random_bool(0.4) {
        offer.egress = Some(Arc::new(price(chance)));
    }
    if chance.random_bool(0.4) {
        let surcharge = Surcharge { sku: "address".parse().expect("a name"), price: price(chance) };
        offer.surcharges = Arc::new(vec![surcharge]);
    }
    if chance.random_bool(0.2) {
        offer.capacity.memory_mib = u64::MAX;
        offer.capacity.vcpu_milli = u32::MAX;
        offer.capacity.disk_gib = u64::MAX;
    }
    offer
}

#[test]
fn offers_with_amounts_that_nobody_can_pay_stay_out_of_plans() {
    let mut chance = StdRng::seed_from_u64(seed::seed());
    let mut rates = Rates::none();
    rates.set(Currency::USD, Decimal::new(1, 28)).expect("above zero");
    rates.set(Currency::JPY, Decimal::MAX).expect("above zero");
    let sane = support::offers("alpha").remove(0);
    let blueprint = Blueprint::from_yaml(
        "{ name: app, components: { web: { vcpu: 2, disk_gib: 30, replicas: 2 }, db: { vcpu: 1 } }, horizon_months: 120,
           links: [ { from: web, to: db, traffic_gib: 1000000000 } ] }",
    )
    .expect("a blueprint");
    for round in 0..ROUNDS / 10 {
        let mut builder =
            CatalogueBuilder::new("2026-11-23T00:00:00Z".parse().expect("a time"), rates.clone());
        builder.add(sane.clone());
        builder.extend((0..20).map(|at| odd(&mut chance, &sane, at)));
        let catalogue = builder.build();
        let plan = composed(&catalogue, &blueprint).unwrap_or_else(|error| panic!("round {round}: {error}"));
        plan.check().expect("what is composed passes its own check");
        let _ = explain(&catalogue, &blueprint, &plan, &ComposeOptions::default(), &mut |_| Signal::Continue);
    }
}

#[test]
fn rates_that_nobody_quotes_leave_offers_out() {
    let dollars = Offer {
        price: Price { currency: Currency::USD, ..support::offers("alpha")[0].price.clone() },
        ..support::offers("alpha").remove(0)
    };
    let blueprint = Blueprint::from_yaml("{ name: app, components: { web: { vcpu: 2 } } }").expect("one");
    for rate in [Decimal::MAX, Decimal::new(1, 28)] {
        let mut rates = Rates::none();
        rates.set(Currency::USD, rate).expect("above zero");
        let mut builder = CatalogueBuilder::new("2026-11-23T00:00:00Z".parse().expect("a time"), rates);
        builder.add(dollars.clone());
        let _ = composed(&builder.build(), &blueprint);
    }
}
