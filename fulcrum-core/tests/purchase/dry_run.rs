//! A dry run tells what a purchase would be refused for, and buys and records nothing.

use std::sync::Arc;

use rand::{Rng, SeedableRng, rngs::StdRng};
use rust_decimal::Decimal;

use crate::support::{CLOUDS, catalogue, cloud, count, plan, providers, seed};
use fulcrum_core::{
    catalogue::{CatalogueBuilder, Rates},
    compose::{ComposeOptions, Signal, compose},
    ledger::SqliteLedger,
    model::{Blueprint, OrderState, Plan, Policy},
    provider::{
        Call,
        sandbox::{Fault, FaultRule, Sandbox, SandboxBuilder},
        table::Table,
    },
    purchase::{DryRun, Engine, PurchaseError},
};

async fn engine(clouds: &[Sandbox]) -> Engine {
    Engine::new(providers(clouds), Arc::new(SqliteLedger::in_memory().await.expect("a ledger")))
}

fn composed(blueprint: &Blueprint) -> Plan {
    compose(&catalogue(), blueprint, &ComposeOptions::default(), &mut |_| Signal::Continue).expect("a plan")
}

async fn tried(clouds: &[Sandbox], plan: &Plan) -> DryRun {
    let engine = engine(clouds).await;
    let found = engine.dry_run(plan, &Policy::default()).await.expect("accepted");
    let orders = engine.ledger().list(&Default::default()).await.expect("a list");
    assert!(orders.is_empty() && count(clouds).0 == 0, "something was bought or written down");
    found
}

fn clouds(at: &str, change: impl Fn(SandboxBuilder) -> SandboxBuilder) -> Vec<Sandbox> {
    let build = |name: &&str| match *name == at {
        true => change(cloud(name, None)).build(),
        false => cloud(name, None).build(),
    };
    CLOUDS.iter().map(build).collect()
}

fn kinds(found: &DryRun) -> Vec<(&str, &str)> {
    let mut all = Vec::new();
    for finding in &found.refusals {
        all.push((finding.provider.as_ref().map_or("", |id| id.as_str()), finding.kind));
    }
    all
}

#[tokio::test]
async fn each_cause_is_told_with_its_leases() {
    let small = || "small".parse().expect("a name");
    let always = |fault| FaultRule { call: Call::DryRun, sku: None, nth: 1, times: u32::MAX, fault };
    assert_eq!(tried(&clouds("", |it| it), &plan()).await, DryRun::default());
    let sold_out = tried(&clouds("beta", |it| it.stock(small(), 0)), &plan()).await;
    assert_eq!(kinds(&sold_out), [("beta", "capacity_exhausted")]);
    let at = plan().leases.iter().position(|lease| lease.place.provider.as_str() == "beta").expect("there");
    assert_eq!((&sold_out.refusals[0].leases, sold_out.refusals[0].offers.len()), (&vec![at], 1));
    assert!(sold_out.to_string().starts_with("refused: beta/beta-1/small: "), "{sold_out}");
    let quota = tried(&clouds("beta", |it| it.quota(0)), &plan()).await;
    assert_eq!(kinds(&quota), [("beta", "quota_exceeded")]);
    let login = tried(&clouds("gamma", |it| it.fault(always(Fault::Unauthorised))), &plan()).await;
    assert_eq!(kinds(&login), [("gamma", "unauthorised")]);
    let dearer = tried(&clouds("alpha", |it| it.price_factor(small(), Decimal::TWO)), &plan()).await;
    assert_eq!(kinds(&dearer), [("alpha", "price")]);
    assert!(dearer.refusals[0].reason.contains("20"), "{dearer}");
    let away = tried(&clouds("beta", |it| it.fault(always(Fault::Unavailable))), &plan()).await;
    assert!(away.refusals.is_empty() && away.unchecked.len() == 1, "{away}");
    assert!(away.to_string().starts_with("not checked: beta/beta-1/small: "), "{away}");
}

#[tokio::test]
async fn the_sum_of_a_plan_is_held_against_stock_and_quota() {
    let three = Blueprint::from_yaml("{ name: shop, components: { web: { vcpu: 2, replicas: 3 } } }");
    let three = composed(&three.expect("a blueprint"));
    assert_eq!(three.leases.len(), 3);
    let found = tried(&clouds("alpha", |it| it.quota(2)), &three).await;
    assert_eq!(kinds(&found), [("alpha", "quota_exceeded")]);
    let found = tried(&clouds("alpha", |it| it.stock("small".parse().expect("a name"), 1)), &three).await;
    assert_eq!(kinds(&found), [("alpha", "capacity_exhausted"); 2]);
}

#[tokio::test]
async fn a_plan_that_would_not_be_accepted_is_an_error() {
    let engine = engine(&clouds("", |it| it)).await;
    let over = Policy::default().with_max_total(Decimal::ONE);
    let refused = engine.dry_run(&plan(), &over).await.expect_err("over its limit");
    assert!(matches!(refused, PurchaseError::OverLimit(_)), "{refused}");
    let mut damaged = plan();
    damaged.monthly += Decimal::ONE;
    assert!(engine.dry_run(&damaged, &Policy::default()).await.is_err());
}

#[tokio::test]
async fn stock_is_counted_where_it_is() {
    let facts = r#"{"id": "alpha", "name": "alpha", "legal_name": "alpha", "country": "DE",
        "regions": [{"id": "one", "country": "DE"}, {"id": "two", "country": "DE"}]}"#;
    let facts = fulcrum_core::model::parse_json(facts).expect("a provider");
    let csv = "kind,sku,region,vcpu,memory_mib,disk_gib,monthly,currency,tax,observed,source,stock\n\
        machine,small,one,2,4096,40,10,EUR,net,2026-11-01,a test,1\n\
        machine,small,two,2,4096,40,10,EUR,net,2026-11-01,a test,1\n";
    let offers = Table::from_csv(&facts, csv).expect("a table").offers;
    let mut builder = CatalogueBuilder::new("2026-11-23T00:00:00Z".parse().expect("a time"), Rates::none());
    builder.extend(offers.clone());
    let two = Blueprint::from_yaml("{ name: shop, components: { web: { vcpu: 2, replicas: 2 } } }")
        .expect("a blueprint");
    let plan = compose(&builder.build(), &two, &ComposeOptions::default(), &mut |_| Signal::Continue)
        .expect("a plan");
    let cloud = Sandbox::builder("alpha".parse().expect("a name"), offers).build();
    assert_eq!(tried(&[cloud], &plan).await, DryRun::default());
}

#[tokio::test]
async fn a_provider_whose_price_cannot_be_asked_is_unchecked() {
    let silent = |call| FaultRule { call, sku: None, nth: 1, times: u32::MAX, fault: Fault::Unauthorised };
    let found =
        tried(&clouds("beta", |it| it.fault(silent(Call::Quote)).fault(silent(Call::Offers))), &plan()).await;
    assert!(found.refusals.is_empty(), "{found}");
    assert_eq!(found.unchecked.iter().map(|it| it.kind).collect::<Vec<_>>(), ["price"], "{found}");
}

#[tokio::test]
async fn what_names_another_step_is_not_asked_for() {
    let text = "{ name: duo, components: { db: { vcpu: 2, where: { providers: { allow: [beta] } } },
        web: { vcpu: 2, after: [db], where: { providers: { allow: [alpha] } }, settings: { db: '${db.id}' } } } }";
    let plan = composed(&Blueprint::from_yaml(text).expect("a blueprint"));
    assert_eq!(tried(&clouds("", |it| it), &plan).await, DryRun::default());
}

/// What a dry run finds the purchase meets, and nothing else: over random stocks, quotas and prices.
#[tokio::test]
async fn a_purchase_meets_what_its_dry_run_has_told() {
    let mut random = StdRng::seed_from_u64(seed::seed());
    for _ in 0..150 {
        let number = random.random_range(1..=5);
        let mut build = |name: &&str| {
            let mut it = cloud(name, None);
            if random.random_bool(0.3) {
                it = it.quota(random.random_range(0..3));
            }
            if random.random_bool(0.3) {
                it = it.stock("small".parse().expect("a name"), random.random_range(0..3));
            }
            if random.random_bool(0.1) {
                it = it.price_factor("small".parse().expect("a name"), Decimal::TWO);
            }
            it.build()
        };
        let clouds: Vec<Sandbox> = CLOUDS.iter().map(&mut build).collect();
        let text = format!(
            "{{ name: some, components: {{ web: {{ vcpu: 2, replicas: {number} }} }},
                constraints: [ spread: {{ components: [web], over: provider, at_least: {} }} ] }}",
            number.min(3)
        );
        let plan = composed(&Blueprint::from_yaml(&text).expect("a blueprint"));
        let found = tried(&clouds, &plan).await;
        let engine = engine(&clouds).await;
        let order = engine.accept(plan, Policy::default(), None).await.expect("accepted");
        let order = engine.drive(&order.id).await.expect("driven");
        let is_bought = order.state == OrderState::Committed;
        assert_eq!(is_bought, found == DryRun::default(), "{found}; {:?}", order.reason);
    }
}
