//! Components that fill few machines: what stands where is whole at once, and only who shares with whom is left to split.

use fulcrum_core::{
    compose::{ComposeOptions, Method, Signal, compose},
    model::{Blueprint, Offer},
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use rust_decimal::Decimal;
use serde_json::json;

use crate::random::{catalogue, offers, seed, solve_over_all};

fn cases() -> u64 {
    if cfg!(debug_assertions) { 25 } else { 300 }
}

/// A few sizes, nearly as dear by size everywhere.
fn machines(chance: &mut StdRng) -> Vec<Offer> {
    let sizes = [(4, 8), (4, 16), (8, 16), (8, 32), (16, 32), (16, 64)];
    let mut all = Vec::new();
    for (provider, country) in [("acme", "DE"), ("umbra", "US")] {
        for (vcpu, gib) in sizes.into_iter().filter(|_| chance.random_bool(0.7)).collect::<Vec<_>>() {
            let cents = 300 * vcpu + 130 * gib + chance.random_range(0..150);
            let row = format!(
                "machine,m{vcpu}x{gib},one,{vcpu},{},0,{}.{:02},,EUR,net,,2026-11-01,test\n",
                1024 * gib,
                cents / 100,
                cents % 100
            );
            all.extend(offers(provider, country, &row));
        }
    }
    all
}

fn blueprint(chance: &mut StdRng) -> Blueprint {
    let count = chance.random_range(6..=10);
    let part = |chance: &mut StdRng| {
        let vcpu = ["0.5", "1", "2", "3"][chance.random_range(0..4)];
        let memory_mib = 1024 * chance.random_range(1..=7);
        json!({ "vcpu": vcpu, "memory_mib": memory_mib, "replicas": 1 + chance.random_range(0..4) / 3 })
    };
    let parts: serde_json::Map<_, _> = (0..count).map(|at| (format!("c{at}"), part(chance))).collect();
    let mut constraints = vec![json!({ "share": "all" })];
    if chance.random_bool(0.3) {
        constraints.push(json!({ "conflict": { "component": "c0", "with": ["c1"] } }));
    }
    let document = json!({ "name": "packed", "components": parts, "constraints": constraints });
    Blueprint::from_json(&document.to_string()).expect("a blueprint")
}

#[test]
fn prop_few_machines_that_many_components_share_cost_the_same_on_demand() {
    let seed = seed();
    let mut proven = 0;
    for case in (0..cases()).map(|case| seed.wrapping_add(case)) {
        let mut chance = StdRng::seed_from_u64(case);
        let market = catalogue(machines(&mut chance));
        let blueprint = blueprint(&mut chance);
        let options = ComposeOptions { method: Method::OnDemand, ..ComposeOptions::default() };
        let found = compose(&market, &blueprint, &options, &mut |_| Signal::Continue);
        let (Ok(expected), Ok(found)) = (solve_over_all(&market, &blueprint), found) else { continue };
        let slack = Decimal::new(2, 6);
        assert!(found.bound <= expected.objective + slack, "bound {}, seed {case}", found.bound);
        assert!(found.objective >= expected.objective - slack, "{}, seed {case}", found.objective);
        if found.is_optimal() {
            assert!((found.objective - expected.objective).abs() <= slack, "seed {case}");
            proven += 1;
        }
    }
    println!("figure: packed components: {proven} of {} proven on demand", cases());
    assert!(proven * 10 >= cases() * 8, "{proven}");
}
