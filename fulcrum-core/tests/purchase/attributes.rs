//! An attribute that nobody will tell is never planned with: no purchase ends for want of an address.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use fulcrum_core::{
    catalogue::{Catalogue, IngestOptions, Rates, ingest},
    compose::{ComposeError, ComposeOptions, Signal, compose, verify::verify, why_not},
    ledger::SqliteLedger,
    model::{Blueprint, Offer, OfferKind, OrderState, Plan, Policy, StepState, parse_json},
    provider::{Provider, sandbox::Sandbox, table::Table},
    purchase::Engine,
};

use crate::support::providers;

fn offers(cloud: &str, price: u32) -> Vec<Offer> {
    let provider = format!(
        r#"{{"id": "{cloud}", "name": "{cloud}", "legal_name": "{cloud}", "country": "DE", "regions": [{{"id": "r", "country": "DE"}}]}}"#
    );
    let csv = format!(
        "kind,sku,region,vcpu,memory_mib,disk_gib,monthly,currency,tax,observed,source\n\
         machine,small,r,2,4096,40,{price},EUR,net,2026-11-01,a test\n\
         database,pg,r,,,,{price},EUR,net,2026-11-01,a test\n"
    );
    Table::from_csv(&parse_json(&provider).expect("a provider"), &csv).expect("a table").offers
}

fn cloud(name: &str, price: u32) -> fulcrum_core::provider::sandbox::SandboxBuilder {
    Sandbox::builder(name.parse().expect("a name"), offers(name, price))
}

fn told(kind: OfferKind, names: &[&str]) -> Option<BTreeMap<OfferKind, BTreeSet<String>>> {
    Some(BTreeMap::from([(kind, names.iter().map(|name| (*name).to_owned()).collect())]))
}

async fn catalogue(clouds: &[Sandbox]) -> Catalogue {
    let all: Vec<Arc<dyn Provider>> = providers(clouds).into_values().collect();
    ingest(&all, None, IngestOptions::new(jiff::Timestamp::now(), Rates::none())).await
}

/// A web server that is told an attribute of a database.
fn blueprint(attribute: &str) -> Blueprint {
    Blueprint::from_yaml(&format!(
        "{{ name: shop, components: {{ db: {{ kind: database, replicas: 1 }},
             web: {{ vcpu: 2, replicas: 1, after: [db], settings: {{ user_data: \"db=${{db.{attribute}}}\" }} }} }} }}"
    ))
    .expect("a blueprint")
}

async fn composed(clouds: &[Sandbox], attribute: &str) -> Result<Plan, ComposeError> {
    let options = ComposeOptions::default();
    compose(&catalogue(clouds).await, &blueprint(attribute), &options, &mut |_| Signal::Continue)
}

fn seller_of(plan: &Plan, kind: OfferKind) -> String {
    let lease = plan.leases.iter().find(|lease| lease.kind == kind).expect("a lease");
    lease.place.provider.to_string()
}

#[tokio::test]
async fn what_a_sandbox_tells_reaches_who_asks() {
    let clouds = vec![cloud("alpha", 10).build()];
    let plan = composed(&clouds, "host").await.expect("a plan");
    let ledger = Arc::new(SqliteLedger::in_memory().await.expect("a ledger"));
    let engine = Engine::new(providers(&clouds), ledger);
    let order = engine.accept(plan, Policy::default(), None).await.expect("accepted");
    let order = engine.drive(&order.id).await.expect("driven");
    assert_eq!(order.state, OrderState::Committed, "{:?}", order.reason);
    let db = order.steps.iter().find(|step| step.lease.kind == OfferKind::Database).expect("a step");
    let StepState::Committed { service } = &db.state else { panic!("{:?}", db.state) };
    assert_eq!(service.attributes["host"], format!("{}.sandbox.example", service.id));
    assert_eq!(service.attributes["port"], "5432");
}

#[tokio::test]
async fn a_plan_takes_a_component_from_who_tells_what_others_ask() {
    // The cheapest tells a name only, the next an address, and the dearest has not said what it tells.
    let clouds = [
        cloud("alpha", 10).declared_attributes(told(OfferKind::Database, &["name"])).build(),
        cloud("beta", 20).declared_attributes(told(OfferKind::Database, &["name", "private_ip"])).build(),
        cloud("gamma", 30).declared_attributes(None).build(),
    ];
    for (attribute, seller) in
        [("id", "alpha"), ("name", "alpha"), ("private_ip", "beta"), ("colour", "gamma")]
    {
        let plan = composed(&clouds, attribute).await.expect("a plan");
        assert_eq!(seller_of(&plan, OfferKind::Database), seller, "{attribute}");
        assert_eq!(seller_of(&plan, OfferKind::Machine), "alpha", "{attribute}");
    }
    let plan = composed(&clouds, "private_ip").await.expect("a plan");
    let (catalogue, shop) = (catalogue(&clouds).await, blueprint("private_ip"));
    let (id, options) = ("alpha/r/pg".parse().expect("an offer"), ComposeOptions::default());
    let why = why_not(&catalogue, &shop, &plan, &id, &options, &mut |_| Signal::Continue).expect("an answer");
    let said = "db: alpha does not tell `private_ip` of a database; it tells id, name";
    assert!(why.reasons.iter().any(|reason| reason == said), "{:?}", why.reasons);
    // A plan that says otherwise is found out.
    let mut lie = composed(&clouds, "name").await.expect("a plan");
    lie.blueprint_digest.clone_from(&plan.blueprint_digest);
    let violation = verify(&catalogue, &shop, &lie).expect_err("found out").to_string();
    assert!(violation.contains("alpha does not tell `private_ip`"), "{violation}");
}

#[tokio::test]
async fn where_nobody_tells_it_the_conflict_says_what_is_told() {
    let clouds = [cloud("alpha", 10).build()];
    let Err(ComposeError::Infeasible(conflict)) = composed(&clouds, "private_ip").await else {
        panic!("a database has no such address here")
    };
    let said = conflict.to_string();
    assert!(said.contains("alpha does not tell `private_ip` of a database"), "{said}");
    assert!(said.contains("host") && said.contains("port"), "{said}");
    assert!(
        conflict.conditions.iter().any(|it| it.contains("settings.user_data")),
        "{:?}",
        conflict.conditions
    );
}
