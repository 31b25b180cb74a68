//! Columns on demand against all columns written down, on markets with products that are no machines: what runs
//! already, what must be used, and every limit. Random cases with machines only are in `oracle` and `explain`.

use std::collections::BTreeMap;

use fulcrum_core::{
    compose::{ComposeError, ComposeOptions, Method, Signal, compose, why_not},
    model::{Blueprint, Offer, OfferKind, Price},
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use rust_decimal::Decimal;
use serde_json::json;

use crate::random::{KINDS, blueprint_with, catalogue, offers, random_offers, seed, solve, solve_over_all};

fn cases() -> u64 {
    let set = std::env::var("FULCRUM_CASES").ok().and_then(|text| text.parse().ok());
    set.unwrap_or(if cfg!(debug_assertions) { 250 } else { 3000 })
}

/// Load balancers and object storage, some of them limited in stock.
fn products(chance: &mut StdRng) -> Vec<Offer> {
    let mut all = Vec::new();
    for (provider, country, region) in [("acme", "DE", "one"), ("acme", "DE", "two"), ("umbra", "US", "one")]
    {
        for kind in [OfferKind::LoadBalancer, OfferKind::ObjectStorage] {
            for size in 0..chance.random_range(1..=2) {
                let price = chance.random_range(1..=9);
                let stock = if chance.random_bool(0.3) { "1" } else { "" };
                let name = if kind == OfferKind::LoadBalancer { "lb" } else { "store" };
                let row = format!(
                    "machine,{name}{size},{region},1,1024,0,{price},,EUR,net,{stock},2026-11-01,test\n"
                );
                let mut offer = offers(provider, country, &row).remove(0);
                offer.kind = kind;
                offer.capacity.named.insert("power_w".to_owned(), chance.random_range(0..=4));
                if kind == OfferKind::ObjectStorage {
                    let tiers = json!([{ "from": "0", "price": price }, { "from": "8", "price": "0.5" }]);
                    let charge = json!({ "per_unit": { "unit": "GiB-month", "tiers": tiers } });
                    let price = json!({ "charge": charge, "currency": "EUR" });
                    offer.price = serde_json::from_value::<Price>(price).expect("a price");
                }
                all.push(offer);
            }
        }
    }
    all
}

/// A random blueprint with two components more, and perhaps services that run them.
fn blueprint(chance: &mut StdRng, kinds: &mut BTreeMap<&'static str, usize>) -> Blueprint {
    // Half of them with what runs already, or with a limit: the others are in other tests.
    let first = ["running", "pinned", "max_moves", "resource", "limit", "in_turn", "weighted"];
    let mut chosen = vec![first[chance.random_range(0..first.len())]];
    chosen.extend((0..chance.random_range(0..=3)).map(|_| KINDS[chance.random_range(0..KINDS.len())]));
    let mut blueprint = blueprint_with(chance, &chosen, kinds);
    let service = |chance: &mut StdRng, at: usize, kind: &str, component: &str| {
        let place = ["acme/one", "acme/two", "umbra/one"][chance.random_range(0..3)];
        json!({ "id": format!("p{at}"), "offer": format!("{place}/{kind}{}", chance.random_range(0..=1)),
                "replicas": { component: 1 }, "pinned": chance.random_bool(0.2),
                "size_gib": if kind == "store" { chance.random_range(1..12) } else { 0 } })
    };
    let services = match chance.random_range(0..4) {
        0 => vec![service(chance, 0, "lb", "c")],
        1 => vec![service(chance, 0, "store", "d")],
        2 => vec![service(chance, 0, "lb", "c"), service(chance, 1, "store", "d")],
        _ => Vec::new(),
    };
    let more = json!({
        "name": "more",
        "components": {
            "c": { "kind": "load_balancer", "replicas": { "min": 1, "max": chance.random_range(1..=2) } },
            "d": { "kind": "object_storage", "disk_gib": chance.random_range(1..20) },
        },
        "running": { "services": services },
    });
    let more = Blueprint::from_json(&more.to_string()).expect("a blueprint");
    blueprint.components.extend(more.components);
    blueprint.running.services.extend(more.running.services);
    blueprint
}

#[test]
fn prop_columns_on_demand_agree_with_all_columns_where_products_and_services_are() {
    let seed = seed();
    let (mut optimal, mut open, mut infeasible) = (0, 0, 0);
    for case in (0..cases()).map(|case| seed.wrapping_add(case)) {
        let mut chance = StdRng::seed_from_u64(case);
        let mut all = random_offers(&mut chance);
        all.extend(products(&mut chance));
        let market = catalogue(all);
        let blueprint = blueprint(&mut chance, &mut BTreeMap::new());
        let context = || {
            let json = serde_json::to_string_pretty(&blueprint).expect("json");
            format!("FULCRUM_SEED={case} FULCRUM_CASES=1: {json}")
        };
        let expected = solve_over_all(&market, &blueprint);
        let options = ComposeOptions { method: Method::OnDemand, ..ComposeOptions::default() };
        let found = compose(&market, &blueprint, &options, &mut |_| Signal::Continue);
        let slack = Decimal::new(2, 6);
        match (&expected, &found) {
            (Ok(all), Ok(found)) => {
                let is_right = if found.is_optimal() {
                    (found.objective - all.objective).abs() <= slack
                        && found.later_stages.len() == all.later_stages.len()
                } else {
                    found.objective >= all.objective - slack && found.bound <= all.objective + slack
                };
                assert!(is_right, "{} not {}; {}", found.objective, all.objective, context());
                let then = found.later_stages.iter().zip(&all.later_stages);
                let is_as_good = then.clone().all(|(a, b)| (a.value - b.value).abs() <= slack);
                assert!(
                    is_as_good || !found.is_optimal(),
                    "{:?} not {:?}; {}",
                    found.later_stages,
                    all.later_stages,
                    context()
                );
                if found.is_optimal() { optimal += 1 } else { open += 1 }
            }
            (Err(ComposeError::Infeasible(_)), Err(ComposeError::Infeasible(_))) => infeasible += 1,
            (_, Err(ComposeError::Stopped { .. })) => open += 1,
            (all, found) => panic!("{all:?} but on demand {found:?}; {}", context()),
        }
    }
    println!(
        "figure: columns on demand: {optimal} optimal, {infeasible} infeasible, {open} not decided, none wrong"
    );
    assert!(cases() < 250 || optimal > 20 * open && optimal > 20 && infeasible > 10);
}

#[test]
fn prop_what_must_be_used_costs_as_much_on_demand() {
    let seed = seed();
    let (mut same, mut never, mut open) = (0, 0, 0);
    for case in (0..cases() / 5).map(|case| seed.wrapping_add(case)) {
        let mut chance = StdRng::seed_from_u64(case);
        let mut all = random_offers(&mut chance);
        all.extend(products(&mut chance));
        let market = catalogue(all);
        let blueprint = blueprint(&mut chance, &mut BTreeMap::new());
        let Ok(plan) = solve(&market, &blueprint) else { continue };
        for ix in market.ids() {
            let id = market.offer(ix).id();
            let ask = |method: Method| {
                let options = ComposeOptions { method, ..ComposeOptions::default() };
                why_not(&market, &blueprint, &plan, &id, &options, &mut |_| Signal::Continue)
                    .expect("answered")
            };
            let (expected, found) = (ask(Method::Auto), ask(Method::OnDemand));
            if expected == found {
                if found.more.is_some() {
                    same += 1
                } else {
                    never += 1
                }
                continue;
            }
            // A search that gave up says so; what it found is no better than the best.
            let is_open = found.reasons[0].contains("could not be found out")
                || found.reasons[0].contains("the best plan found");
            assert!(
                is_open && found.more >= expected.more.or(found.more),
                "FULCRUM_SEED={case}: {found:?} not {expected:?}"
            );
            open += 1;
        }
    }
    println!("{same} plans as good, {never} times none, {open} not decided");
    assert!(cases() < 250 || same > 20 * open && same > 20 && never > 20);
}

/// Whenever it is told to stop, a search ends at once, with what is proven by then or nothing.
#[test]
fn prop_a_search_that_is_stopped_claims_no_more_than_it_knows() {
    let seed = seed();
    let (mut plans, mut early) = (0, 0);
    for case in (0..cases() / 5).map(|case| seed.wrapping_add(case)) {
        let mut chance = StdRng::seed_from_u64(case);
        let mut all = random_offers(&mut chance);
        all.extend(products(&mut chance));
        let market = catalogue(all);
        let blueprint = blueprint(&mut chance, &mut BTreeMap::new());
        let expected = solve_over_all(&market, &blueprint);
        let method = if chance.random_bool(0.8) { Method::OnDemand } else { Method::Auto };
        let options = ComposeOptions { method, ..ComposeOptions::default() };
        let (last, mut asked) = (chance.random_range(1..60), 0);
        let found = compose(&market, &blueprint, &options, &mut |_| {
            asked += 1;
            if asked < last { Signal::Continue } else { Signal::Cancel }
        });
        assert!(
            asked < last + 40,
            "FULCRUM_SEED={case} FULCRUM_CASES=5: asked {asked} times, told at {last}"
        );
        let slack = Decimal::new(2, 6);
        match (&expected, &found) {
            (Ok(all), Ok(found)) => {
                let is_sound =
                    found.objective >= all.objective - slack && found.bound <= all.objective + slack;
                assert!(is_sound, "FULCRUM_SEED={case} FULCRUM_CASES=5: {found:?} but {all:?}");
                plans += 1;
            }
            (_, Err(ComposeError::Stopped { .. })) => early += 1,
            (Err(ComposeError::Infeasible(_)), Err(ComposeError::Infeasible(_))) => {}
            (all, found) => panic!("FULCRUM_SEED={case} FULCRUM_CASES=5: {all:?} but {found:?}"),
        }
    }
    println!("{plans} plans, {early} times none yet");
    assert!(cases() < 250 || plans > 5 && early > 5);
}
