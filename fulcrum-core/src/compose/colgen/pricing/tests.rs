//! Pricing against all patterns of each machine, written down one by one.

use rand::{Rng, SeedableRng, rngs::StdRng};
use rust_decimal::Decimal;
use serde_json::json;

use super::*;
use crate::{
    catalogue::{Catalogue, CatalogueBuilder, Rates},
    compose::{
        colgen::knapsack,
        formulation::ids::ComponentIx,
        id_vec::Id,
        lp::safe_bound::micros_to_scaled,
        objective::ObjectiveStage,
        options::{ComposeOptions, Signal},
    },
    model::{Blueprint, parse_json},
    provider::table::Table,
};

const COMPONENT_COUNT: usize = 6;

fn market(chance: &mut StdRng) -> Catalogue {
    let provider = json!({
        "id": "acme", "name": "acme", "legal_name": "acme", "country": "DE",
        "regions": [{ "id": "one", "country": "DE", "latitude": "52.5", "longitude": "13.4" }],
    });
    let provider = parse_json(&provider.to_string()).expect("a provider");
    let mut rows =
        "kind,sku,region,vcpu,memory_mib,disk_gib,monthly,once,currency,tax,stock,observed,source\n"
            .to_owned();
    for at in 0..6 {
        let (vcpu, gib) = (chance.random_range(2..=8), chance.random_range(4..=24));
        let euros = Decimal::new(chance.random_range(200..4_000), 2);
        rows.push_str(&format!(
            "machine,m{at},one,{vcpu},{},20,{euros},,EUR,net,,2026-11-01,test\n",
            1024 * gib
        ));
    }
    let table = Table::from_csv(&provider, &rows).expect("a table");
    let mut builder = CatalogueBuilder::new("2026-11-23T00:00:00Z".parse().expect("a time"), Rates::none());
    builder.extend(table.offers);
    builder.build()
}

fn blueprint(chance: &mut StdRng) -> Blueprint {
    let part = |chance: &mut StdRng| {
        let vcpu = ["0.5", "1", "2"][chance.random_range(0..3)];
        let (memory_mib, disk_gib) = (1024 * chance.random_range(1..=6), chance.random_range(0..8));
        json!({ "vcpu": vcpu, "memory_mib": memory_mib, "disk_gib": disk_gib, "replicas": chance.random_range(1..=2) })
    };
    let parts: serde_json::Map<_, _> =
        (0..COMPONENT_COUNT).map(|at| (format!("c{at}"), part(chance))).collect();
    let document = json!({ "name": "pairs", "components": parts,
        "constraints": [{ "share": "all" }, { "conflict": { "component": "c0", "with": ["c1"] } }] });
    Blueprint::from_json(&document.to_string()).expect("a blueprint")
}

/// All patterns that a machine can carry, by trying each number of each component.
fn all_by_trying(problem: &Problem<'_>, rules: &PatternRules, at: usize) -> Vec<Column> {
    let mut found = vec![Vec::new()];
    for component in problem.components.ids() {
        let spec = &problem.components[component];
        let more = found.iter().flat_map(|members: &Vec<(ComponentIx, u32)>| {
            (1..=spec.max.min(spec.per_machine))
                .map(|count| members.iter().copied().chain([(component, count)]).collect())
        });
        let more: Vec<_> = more.collect();
        found.extend(more);
    }
    let candidate = &problem.candidates[at];
    let fits = |members: &Vec<(ComponentIx, u32)>| {
        let sum = |d: usize| -> u64 {
            members.iter().map(|(it, count)| problem.components[*it].demand[d] * u64::from(*count)).sum()
        };
        let disk: u64 =
            members.iter().map(|(it, count)| problem.components[*it].disk_gib * u64::from(*count)).sum();
        let clash = members
            .iter()
            .any(|(one, _)| members.iter().any(|(two, _)| one != two && rules.are_anti_affine(*one, *two)));
        !members.is_empty()
            && !clash
            && disk <= problem.disk_gib(candidate)
            && problem.size(candidate).iter().enumerate().all(|(d, room)| sum(d) <= *room)
    };
    found.into_iter().filter(fits).filter_map(|members| knapsack::column(problem, at, members)).collect()
}

#[test]
fn pricing_finds_the_least_of_all_patterns_with_pairs_that_cost_and_pairs_that_are_wanted() {
    let seed = rand::random::<u64>();
    println!("seed {seed}");
    let mut with_pair = 0;
    for case in 0..60 {
        let mut chance = StdRng::seed_from_u64(seed.wrapping_add(case));
        let (catalogue, blueprint) = (market(&mut chance), blueprint(&mut chance));
        let options = ComposeOptions::default();
        let stage = ObjectiveStage::stages(&blueprint, &options).expect("stages").remove(0);
        let mut watch = |_: &_| Signal::Continue;
        let problem = Problem::new(&catalogue, &blueprint, stage, &options, &mut watch).expect("a problem");
        let rules = PatternRules::new(&problem);
        let worth = |chance: &mut StdRng| chance.random_range(-1_000_000i64..12_000_000) * 12;
        let dual_value = problem.components.ids().map(|_| worth(&mut chance)).collect();
        let mut duals = Duals::none(&problem);
        for _ in 0..chance.random_range(1..=4) {
            let one = chance.random_range(0..COMPONENT_COUNT - 1);
            let two = chance.random_range(one + 1..COMPONENT_COUNT);
            let dual = micros_to_scaled(chance.random_range(-30_000_000i64..30_000_000));
            duals.add_pair((ComponentIx::from_index(one), ComponentIx::from_index(two)), dual);
        }
        let pricing =
            Pricing { problem: &problem, rules: &rules, duals: &duals, dual_value: &dual_value, rest: None };
        let mut go_on = || true;
        let mut interrupt = InterruptCheck::new(&mut go_on);
        for at in 0..problem.candidates.len() {
            let all = all_by_trying(&problem, &rules, at);
            let least = all.iter().map(|column| pricing.reduced_cost(column)).min().expect("a pattern");
            let limit = least.max(0) + 1;
            let priced = best_patterns(&pricing, &[at], (limit, 1), &mut interrupt).expect("not stopped");
            let found = priced.columns.first().map(|(reduced, _)| *reduced);
            assert_eq!(found, Some(least), "machine {at}, seed {seed}, case {case}");
            assert!(priced.bound.amount >= -least, "{:?}, seed {seed}, case {case}", priced.bound);
            let within = least + 5_000_000;
            let expected = all.iter().filter(|column| pricing.reduced_cost(column) <= within).count();
            let listed = all_patterns(&pricing, &[at], Wanted::All, (within, 10_000), &mut interrupt);
            assert_eq!(
                listed.expect("not stopped").map(|all| all.len()),
                Some(expected),
                "seed {seed}, case {case}"
            );
            let (_, column) = &priced.columns[0];
            let has = |it: ComponentIx| column.members.iter().any(|(component, _)| *component == it);
            with_pair += u32::from(duals.pair_prices().any(|((one, two), _)| has(one) && has(two)));
        }
    }
    assert!(with_pair > 20, "{with_pair}");
}
