//! The engine against brute force, and what must hold whatever the blueprint.

use std::{collections::BTreeMap, fmt::Write};

use fulcrum_core::{
    catalogue::{Catalogue, CatalogueBuilder, Rates},
    compose::{ComposeError, ComposeOptions, Signal, compose, verify::verify},
    model::{Blueprint, Lease, Offer, Plan, PriceLine, Statistics, StopReason, digest_of, parse_json},
    provider::table::Table,
};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use rust_decimal::Decimal;

const HEADER: &str =
    "kind,sku,region,vcpu,memory_mib,disk_gib,monthly,once,currency,tax,stock,observed,source";

fn offers(provider: &str, country: &str, rows: &str) -> Vec<Offer> {
    let provider = format!(
        r#"{{"id": "{provider}", "name": "{provider}", "legal_name": "{provider}", "country": "{country}",
            "regions": [{{"id": "one", "country": "{country}"}}, {{"id": "two", "country": "{country}"}}]}}"#
    );
    let provider = parse_json(&provider).expect("a provider");
    Table::from_csv(&provider, &format!("{HEADER}\n{rows}")).expect("a table").offers
}

fn catalogue(offers: impl IntoIterator<Item = Offer>) -> Catalogue {
    let mut builder = CatalogueBuilder::new("2026-11-23T00:00:00Z".parse().expect("a time"), Rates::none());
    builder.extend(offers);
    builder.build()
}

fn solve(catalogue: &Catalogue, blueprint: &Blueprint) -> Result<Plan, ComposeError> {
    compose(catalogue, blueprint, &ComposeOptions::default(), &mut |_| Signal::Continue)
}

/// Machines of random size and price in three places of two providers.
fn random_offers(chance: &mut StdRng) -> Vec<Offer> {
    let mut all = Vec::new();
    for (provider, country, regions) in [("acme", "DE", ["one", "two"].as_slice()), ("umbra", "US", &["one"])]
    {
        let mut rows = String::new();
        for region in regions {
            for size in 0..chance.random_range(1..=2) {
                let (vcpu, memory) = (chance.random_range(1..=4), chance.random_range(1..=4) * 1024);
                let (price, once) =
                    (chance.random_range(1..=20), [0, 0, 6].choose(chance).copied().unwrap_or(0));
                let stock = ["", "", "1"].choose(chance).copied().unwrap_or("");
                let once = if once == 0 { String::new() } else { once.to_string() };
                writeln!(rows, "machine,s{size},{region},{vcpu},{memory},10,{price},{once},EUR,net,{stock},2026-11-01,test")
                    .expect("text");
            }
        }
        all.extend(offers(provider, country, &rows));
    }
    all
}

/// Two small components under one to three random conditions.
fn random_blueprint(chance: &mut StdRng, kinds: &mut BTreeMap<&'static str, usize>) -> Blueprint {
    let mut component = || {
        let (vcpu, memory) = (chance.random_range(1..=3), chance.random_range(1..=3) * 1024);
        let min = chance.random_range(1..=2);
        format!("{{ vcpu: {vcpu}, memory_mib: {memory}, replicas: {{ min: {min}, max: 2 }} }}")
    };
    let (a, b) = (component(), component());
    let over =
        |chance: &mut StdRng| ["provider", "region", "country"].choose(chance).copied().unwrap_or("provider");
    let mut constraints = String::new();
    let mut extra = String::new();
    for _ in 0..chance.random_range(1..=3) {
        let (kind, text) = match chance.random_range(0..13) {
            0 => ("conflict", "conflict: { component: a, with: [b] }".to_owned()),
            1 => ("colocate", "colocate: { components: [a, b] }".to_owned()),
            2 => ("everywhere", "everywhere: { component: a, unless: [] }".to_owned()),
            3 => ("spread", format!("spread: {{ components: [a], over: {}, at_least: 2 }}", over(chance))),
            4 => ("share", format!("spread: {{ components: [b], over: {}, max_percent: 50 }}", over(chance))),
            5 => ("survive", format!("survive: {{ components: [a, b], loss_of: {} }}", over(chance))),
            6 => ("distinct", format!("distinct: {{ over: {}, at_most: 1 }}", over(chance))),
            7 => {
                ("count", format!("count: {{ components: [a, b], exactly: {} }}", chance.random_range(2..=4)))
            }
            8 => ("serves", "serves: { server: a, client: b, clients: 1, no_spare: true }".to_owned()),
            9 => (
                "linear",
                format!("linear: {{ terms: {{ a: 2, b: -1 }}, min: {} }}", chance.random_range(0..=3)),
            ),
            10 => ("one_of", "one_of: [a, b]".to_owned()),
            11 => {
                let _ = writeln!(extra, "budget: {}", chance.random_range(5..=40));
                *kinds.entry("budget").or_default() += 1;
                continue;
            }
            _ => {
                extra.push_str("where: { jurisdiction: EU }\n");
                *kinds.entry("where").or_default() += 1;
                continue;
            }
        };
        *kinds.entry(kind).or_default() += 1;
        let _ = writeln!(constraints, "  - {text}");
    }
    let constraints =
        if constraints.is_empty() { String::new() } else { format!("constraints:\n{constraints}") };
    let extra: String = {
        let mut lines: Vec<&str> = extra.lines().collect();
        lines.sort_unstable();
        lines.dedup_by_key(|line| line.split(':').next().map(str::to_owned));
        lines.join("\n")
    };
    let text =
        format!("name: random\nhorizon_months: 3\ncomponents:\n  a: {a}\n  b: {b}\n{constraints}{extra}\n");
    Blueprint::from_yaml(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// The least objective over all sets of up to four leases that the verifier lets pass.
fn brute_force(catalogue: &Catalogue, blueprint: &Blueprint) -> Option<Decimal> {
    let names: Vec<_> = blueprint.components.keys().cloned().collect();
    let mut kinds = Vec::new();
    for ix in catalogue.ids() {
        let offer = catalogue.offer(ix);
        for members in [[1, 0], [0, 1], [1, 1]] {
            kinds.push(Lease {
                offer: offer.id(),
                sku: offer.sku.clone(),
                kind: offer.kind,
                place: (*offer.place).clone(),
                replicas: names.iter().cloned().zip(members).filter(|(_, count)| *count > 0).collect(),
                size_gib: 0,
                lines: vec![PriceLine {
                    sku: offer.sku.clone(),
                    text: String::new(),
                    monthly: offer.price.net_month(0).expect("a price"),
                    once: offer.price.net_once().expect("a price"),
                }],
            });
        }
    }
    let mut plan = Plan {
        format: Plan::FORMAT.to_owned(),
        blueprint: blueprint.name.clone(),
        blueprint_digest: digest_of(blueprint),
        catalogue_digest: catalogue.digest().to_owned(),
        currency: blueprint.currency,
        leases: Vec::new(),
        monthly: Decimal::ZERO,
        once: Decimal::ZERO,
        objective: Decimal::ZERO,
        bound: Decimal::ZERO,
        gap_percent: Decimal::ZERO,
        stop: StopReason::Optimal,
        statistics: Statistics::default(),
    };
    let mut best = None;
    extend(catalogue, blueprint, &kinds, 0, &mut plan, &mut best);
    best
}

fn extend(
    catalogue: &Catalogue,
    blueprint: &Blueprint,
    kinds: &[Lease],
    from: usize,
    plan: &mut Plan,
    best: &mut Option<Decimal>,
) {
    let lines = || plan.leases.iter().flat_map(|lease| &lease.lines);
    plan.monthly = lines().map(|line| line.monthly).sum();
    plan.once = lines().map(|line| line.once).sum();
    plan.objective = plan.monthly + plan.once / Decimal::from(blueprint.horizon_months);
    plan.bound = plan.objective;
    let is_better = best.is_none_or(|best| plan.objective < best);
    if is_better && !plan.leases.is_empty() && verify(catalogue, blueprint, plan).is_ok() {
        *best = Some(plan.objective);
    }
    if plan.leases.len() == 4 {
        return;
    }
    for at in from..kinds.len() {
        plan.leases.push(kinds[at].clone());
        extend(catalogue, blueprint, kinds, at, plan, best);
        plan.leases.pop();
    }
}

#[test]
fn prop_the_engine_finds_what_brute_force_finds() {
    let seed = std::env::var("FULCRUM_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(rand::random::<u64>);
    println!("seed {seed}; set FULCRUM_SEED to repeat");
    let mut chance = StdRng::seed_from_u64(seed);
    let mut kinds = BTreeMap::new();
    let (mut feasible, mut infeasible) = (0, 0);
    for case in 0..150 {
        let catalogue = catalogue(random_offers(&mut chance));
        let blueprint = random_blueprint(&mut chance, &mut kinds);
        let expected = brute_force(&catalogue, &blueprint);
        let context = || {
            format!("seed {seed}, case {case}: {}", serde_json::to_string_pretty(&blueprint).expect("json"))
        };
        match solve(&catalogue, &blueprint) {
            Ok(plan) => {
                let off = expected.map(|expected| (plan.objective - expected).abs());
                assert!(
                    off.is_some_and(|off| off <= Decimal::new(1, 6)),
                    "{} not {expected:?}; {}",
                    plan.objective,
                    context()
                );
                assert!(plan.is_optimal(), "{}", context());
                feasible += 1;
            }
            Err(ComposeError::Infeasible(conflict)) => {
                assert_eq!(expected, None, "{conflict}; {}", context());
                assert!(conflict.is_minimal, "{conflict}; {}", context());
                infeasible += 1;
            }
            Err(error) => panic!("{error}; {}", context()),
        }
    }
    println!("{feasible} feasible, {infeasible} infeasible, conditions: {kinds:?}");
    assert!(feasible > 20 && infeasible > 10, "the generator is one-sided: {feasible} to {infeasible}");
    assert_eq!(kinds.len(), 13, "the generator misses conditions: {kinds:?}");
}

#[test]
fn prop_plans_do_not_depend_on_the_order_of_offers_and_never_cost_more_with_more_of_them() {
    let seed = rand::random::<u64>();
    println!("seed {seed}");
    let mut chance = StdRng::seed_from_u64(seed);
    for case in 0..60 {
        let all = random_offers(&mut chance);
        let blueprint = random_blueprint(&mut chance, &mut BTreeMap::new());
        let forward = solve(&catalogue(all.clone()), &blueprint).ok();
        let backward = solve(&catalogue(all.iter().rev().cloned()), &blueprint).ok();
        assert_eq!(forward, backward, "seed {seed}, case {case}");
        let fewer = solve(&catalogue(all[1..].to_vec()), &blueprint).ok();
        if let Some(fewer) = fewer {
            let more = forward.expect("still feasible").objective;
            assert!(more <= fewer.objective, "seed {seed}, case {case}: {more} > {}", fewer.objective);
        }
    }
}

fn infeasible(blueprint: &str) -> String {
    let blueprint = Blueprint::from_yaml(blueprint).expect("a blueprint");
    let rows = "machine,s,one,4,4096,10,10,,EUR,net,,2026-11-01,test\nmachine,l,two,8,8192,10,20,,EUR,net,,2026-11-01,test\n";
    match solve(&catalogue(offers("acme", "DE", rows)), &blueprint) {
        Err(error @ ComposeError::Infeasible(_)) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_need_that_no_offer_meets_is_named_with_what_there_is() {
    let message = infeasible("{ name: x, components: { web: { vcpu: 99 }, db: { vcpu: 1 } } }");
    assert_eq!(
        message,
        "no plan meets the blueprint: this cannot be met: components.web.vcpu: 99 (the largest machine in the catalogue has 8)"
    );
}

#[test]
fn a_conflict_names_only_the_conditions_that_clash() {
    let message = infeasible(
        "{ name: x, components: { web: { vcpu: 1 }, db: { vcpu: 1 } }, budget: 1000,
           constraints: [ spread: { components: [web], over: region, at_least: 2 },
                          count: { components: [db], max: 5 },
                          distinct: { over: region, at_most: 1 } ] }",
    );
    assert!(message.contains("constraints[0]") && message.contains("constraints[2]"), "{message}");
    assert!(!message.contains("constraints[1]") && !message.contains("budget"), "{message}");
}

#[test]
fn a_kind_that_nobody_sells_is_said_so() {
    let message = infeasible("{ name: x, components: { cache: { kind: database } } }");
    assert!(message.contains("the catalogue has no database for `cache`"), "{message}");
}

#[test]
fn a_search_that_is_stopped_says_so() {
    let rows = "machine,s,one,4,4096,10,10,,EUR,net,,2026-11-01,test\n";
    let blueprint =
        Blueprint::from_yaml("{ name: x, components: { web: { vcpu: 1 } } }").expect("a blueprint");
    let stopped =
        compose(&catalogue(offers("acme", "DE", rows)), &blueprint, &ComposeOptions::default(), &mut |_| {
            Signal::Cancel
        });
    assert_eq!(stopped, Err(ComposeError::Stopped));
}
