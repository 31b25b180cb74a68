//! What several tests need: three small clouds, and a plan that buys from each of them.
#![allow(dead_code, unreachable_pub, reason = "each test uses its own part")]

pub mod port;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod seed;

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use fulcrum_core::{
    catalogue::{Catalogue, CatalogueBuilder, Rates},
    compose::{ComposeOptions, Signal, compose},
    model::{Blueprint, FailOver, Offer, Plan, Policy, ProviderId, Service},
    provider::{
        IdempotencyClass, Provider,
        sandbox::{FaultRule, Sandbox, SandboxBuilder},
        table::Table,
    },
    purchase::Reconciliation,
};
use rust_decimal::Decimal;

/// The names of the clouds.
pub const CLOUDS: [&str; 3] = ["alpha", "beta", "gamma"];

/// The offers of one cloud: a small machine, dearer from cloud to cloud.
pub fn offers(cloud: &str) -> Vec<Offer> {
    let provider = format!(
        r#"{{"id": "{cloud}", "name": "{cloud}", "legal_name": "{cloud} GmbH", "country": "DE",
            "regions": [{{"id": "{cloud}-1", "country": "DE"}}]}}"#
    );
    let price = 1 + CLOUDS.iter().position(|name| *name == cloud).unwrap_or(9);
    let csv = format!(
        "kind,sku,region,vcpu,memory_mib,disk_gib,architecture,monthly,currency,tax,observed,source\n\
         machine,small,{cloud}-1,2,4096,40,x86_64,{price}0,EUR,net,2026-11-01,a test\n"
    );
    let provider = fulcrum_core::model::parse_json(&provider).expect("a provider");
    Table::from_csv(&provider, &csv).expect("a table").offers
}

/// A catalogue of all clouds.
pub fn catalogue() -> Catalogue {
    let mut builder = CatalogueBuilder::new("2026-11-23T00:00:00Z".parse().expect("a time"), Rates::none());
    CLOUDS.iter().for_each(|cloud| builder.extend(offers(cloud)));
    builder.build()
}

/// A plan with one machine at each cloud.
pub fn plan() -> Plan {
    let blueprint = Blueprint::from_yaml(
        "{ name: trio, components: { web: { vcpu: 2, replicas: 3 } },
           constraints: [ spread: { components: [web], over: provider, at_least: 3 } ] }",
    )
    .expect("a blueprint");
    let plan = compose(&catalogue(), &blueprint, &ComposeOptions::default(), &mut |_| Signal::Continue)
        .expect("a plan");
    assert_eq!(plan.leases.len(), 3);
    plan
}

/// Two machines at two clouds.
pub fn duo(more: &str) -> Blueprint {
    Blueprint::from_yaml(&format!(
        "{{ name: duo, components: {{ web: {{ vcpu: 2, replicas: 2 }} }},
            constraints: [ spread: {{ components: [web], over: provider, at_least: 2 }} ] {more} }}"
    ))
    .expect("a blueprint")
}

/// One machine at alpha that is made after one at beta, or at gamma as it is dearer.
pub fn duo_waiting() -> Blueprint {
    Blueprint::from_yaml(
        "{ name: duo, components: { db: { vcpu: 2, where: { providers: { deny: [alpha] } } },
             web: { vcpu: 2, after: [db], where: { providers: { allow: [alpha] } } } } }",
    )
    .expect("a blueprint")
}

/// One machine at alpha and one at beta, as gamma is dearer.
pub fn duo_plan(blueprint: &Blueprint) -> Plan {
    let plan = compose(&catalogue(), blueprint, &ComposeOptions::default(), &mut |_| Signal::Continue);
    let plan = plan.expect("a plan");
    let providers: Vec<_> = plan.leases.iter().map(|lease| lease.place.provider.as_str()).collect();
    assert_eq!(providers, ["alpha", "beta"]);
    plan
}

/// With another plan for what cannot be had, up to half as dear again.
pub fn duo_policy(blueprint: Blueprint) -> Policy {
    let fail_over = FailOver::new(blueprint).with_max_rise_percent(Decimal::from(50));
    Policy::default().with_fail_over(fail_over)
}

/// A cloud whose state is in a folder, or in memory.
pub fn cloud(name: &str, folder: Option<&Path>) -> SandboxBuilder {
    let builder = Sandbox::builder(name.parse().expect("a name"), offers(name))
        .operation(Duration::from_millis(1), Duration::from_millis(3));
    match folder {
        Some(folder) => builder.state_file(folder.join(format!("{name}.json"))),
        None => builder,
    }
}

/// The three clouds with the same class and, at one of them, faults.
pub fn clouds(
    folder: Option<&Path>,
    class: IdempotencyClass,
    at: &str,
    faults: &[FaultRule],
) -> Vec<Sandbox> {
    CLOUDS
        .iter()
        .map(|name| {
            let builder = cloud(name, folder).idempotency(class);
            let faults = if *name == at { faults } else { &[] };
            faults.iter().fold(builder, |builder, rule| builder.fault(rule.clone())).build()
        })
        .collect()
}

/// As an engine takes them.
pub fn providers(clouds: &[Sandbox]) -> BTreeMap<ProviderId, Arc<dyn Provider>> {
    clouds.iter().map(|cloud| (cloud.id().clone(), Arc::new(cloud.clone()) as Arc<dyn Provider>)).collect()
}

/// What providers have is what the ledger holds.
pub fn assert_clean(outcome: &Reconciliation) {
    assert!(outcome.is_clean(), "{outcome:#?}");
}

/// Services that exist, and all that were ever made, for each key.
pub fn count(clouds: &[Sandbox]) -> (usize, BTreeMap<String, usize>) {
    let now = jiff::Timestamp::now();
    let mut alive = 0;
    let mut alive_of_key: BTreeMap<String, usize> = BTreeMap::new();
    for cloud in clouds {
        for resource in cloud.resources().expect("readable state") {
            if resource.exists(now) {
                alive += 1;
                // One without keys keeps none.
                let Service { key, id, .. } = resource.service;
                let key = key.map_or_else(|| id.to_string(), |key| key.to_string());
                *alive_of_key.entry(key).or_default() += 1;
            }
        }
    }
    (alive, alive_of_key)
}

/// Makes the totals of a plan that was changed by hand the sums of its lines again.
pub fn retotal(plan: &mut Plan) {
    (plan.monthly, plan.once) = plan.sums().expect("amounts in range");
}
