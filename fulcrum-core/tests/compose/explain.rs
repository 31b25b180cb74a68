//! What is said of a plan must be what the engine, or brute force, finds when it is asked apart.

use std::collections::BTreeMap;

use fulcrum_core::{
    catalogue::Catalogue,
    compose::{ComposeError, ComposeOptions, Method, Signal, explain, pareto, why_not},
    model::{Blueprint, Constraint, Measure, Objective, Offer, Plan, Share},
};
use rand::{SeedableRng, rngs::StdRng, seq::IndexedRandom};
use rust_decimal::Decimal;

use crate::brute::{brute_force_using, brute_frontier};
use crate::random::{KINDS, blueprint_with, catalogue, offers, random_offers, seed, solve};

/// Random markets with a blueprint that has a plan, and those conditions in it.
fn cases(
    seed: u64,
    count: usize,
    kinds: &'static [&'static str],
) -> impl Iterator<Item = (u64, Vec<Offer>, Blueprint, Plan)> {
    let all = (0..).map(move |case| seed.wrapping_add(case));
    let feasible = all.filter_map(move |seed| {
        let mut chance = StdRng::seed_from_u64(seed);
        let offers = random_offers(&mut chance);
        let chosen: Vec<&'static str> =
            kinds.choose_multiple(&mut chance, 2.min(kinds.len())).copied().collect();
        let blueprint = blueprint_with(&mut chance, &chosen, &mut BTreeMap::new());
        let plan = solve(&catalogue(offers.clone()), &blueprint).ok()?;
        Some((seed, offers, blueprint, plan))
    });
    feasible.take(count)
}

const SLACK: Decimal = Decimal::from_parts(3, 0, 0, false, 6);

fn is_near(a: Decimal, b: Decimal) -> bool {
    (a - b).abs() <= SLACK
}

fn count(debug: usize) -> usize {
    if cfg!(debug_assertions) { debug } else { debug * 6 }
}

#[test]
fn prop_what_a_condition_costs_is_what_a_plan_without_it_saves() {
    let kinds = &["where", "survive", "spread", "distinct", "conflict", "max_moves"];
    let mut costly = 0;
    for (seed, offers, blueprint, plan) in cases(seed(), count(40), kinds) {
        let market = catalogue(offers);
        let options = ComposeOptions::default();
        let said =
            explain(&market, &blueprint, &plan, &options, &mut |_| Signal::Continue).expect("explained");
        assert!(said.is_complete);
        let saved = |change: &dyn Fn(&mut Blueprint)| {
            let mut less = blueprint.clone();
            change(&mut less);
            plan.objective - solve(&market, &less).expect("still feasible").objective
        };
        let check = |word: &str, saves: Decimal| {
            let said = said.binding.iter().find(|binding| binding.condition.starts_with(word));
            let costs = said.map_or(Decimal::ZERO, |binding| binding.costs);
            assert!(is_near(costs, saves), "seed {seed}: {word} costs {saves}, said {said:?}");
            usize::from(!costs.is_zero())
        };
        costly += check("where.jurisdiction", saved(&|b| b.filter.jurisdiction = None));
        costly += check("running.max_moves", saved(&|b| b.running.max_moves = None));
        costly += check(
            "constraints: no `share: all`",
            saved(&|b| b.constraints.push(Constraint::Share(Share::All))),
        );
        // A permission costs nothing.
        let is_condition = |at: &usize| !matches!(blueprint.constraints[*at], Constraint::Share(_));
        for at in (0..blueprint.constraints.len()).filter(is_condition) {
            costly += check(&format!("constraints[{at}]"), saved(&|b| drop(b.constraints.remove(at))));
        }
    }
    println!("{costly} conditions that cost something");
    assert!(costly > 5, "{costly}");
}

#[test]
fn prop_a_runner_up_is_the_best_plan_without_a_provider() {
    let (mut some, mut none) = (0, 0);
    for (seed, offers, blueprint, plan) in cases(seed(), count(40), &["link", "fees", "conflict", "spread"]) {
        let market = catalogue(offers);
        let options = ComposeOptions::default();
        let said =
            explain(&market, &blueprint, &plan, &options, &mut |_| Signal::Continue).expect("explained");
        for runner_up in &said.runners_up {
            let mut without = blueprint.clone();
            without.filter.providers.deny.push(runner_up.without.clone());
            let expected = solve(&market, &without).ok();
            assert_eq!(runner_up.plan, expected, "seed {seed}");
            *(if expected.is_some() { &mut some } else { &mut none }) += 1;
        }
    }
    println!("{some} runners-up, {none} times none");
    assert!(some > 5 && none > 0);
}

/// The offers of one provider at so many per cent less.
fn cheaper(offers: &[Offer], provider: &str, percent: Decimal) -> Catalogue {
    catalogue(offers.iter().cloned().map(|mut offer| {
        if offer.place.provider.as_str() == provider {
            let factor = Decimal::ONE - percent / Decimal::ONE_HUNDRED;
            offer.price.once *= factor;
            if let fulcrum_core::model::Charge::Monthly(amount) = &mut offer.price.charge {
                *amount *= factor;
            }
        }
        offer
    }))
}

#[test]
fn prop_a_provider_gets_in_at_the_discount_that_is_said_and_not_before() {
    let (mut at, mut never) = (0, 0);
    for (seed, offers, blueprint, plan) in cases(seed(), count(60), &["conflict", "count", "fees", "link"]) {
        let market = catalogue(offers.clone());
        let options = ComposeOptions::default();
        let said =
            explain(&market, &blueprint, &plan, &options, &mut |_| Signal::Continue).expect("explained");
        for entry in &said.entry_discounts {
            let provider = entry.provider.as_str();
            let least = |percent: Decimal| {
                let market = cheaper(&offers, provider, percent);
                // What the others can do at best, which does not change.
                let with = solve(&market, &blueprint).unwrap_or_else(|error| {
                    panic!(
                        "seed {seed}, {percent} %: {error} {}",
                        serde_json::to_string(&blueprint).expect("json")
                    )
                });
                (with.objective, with.leases.iter().any(|lease| lease.place.provider.as_str() == provider))
            };
            match entry.discount_percent {
                // At a hundred per cent prices are zero, which no catalogue takes.
                Some(percent) if percent < Decimal::from(99) => {
                    let (after, _) = least((percent + Decimal::new(1, 1)).min(Decimal::from(99)));
                    assert!(after <= plan.objective + SLACK, "seed {seed}: {entry:?}");
                    if percent > Decimal::ONE {
                        let (before, is_in) = least(percent - Decimal::new(1, 1));
                        assert!(is_near(before, plan.objective) && !is_in, "seed {seed}: {entry:?} {before}");
                    }
                    at += 1;
                }
                Some(_) => {}
                None => {
                    let (before, is_in) = least(Decimal::new(999, 1));
                    assert!(is_near(before, plan.objective) && !is_in, "seed {seed}: {entry:?} {before}");
                    never += 1;
                }
            }
        }
    }
    println!("{at} would get in, {never} never");
    assert!(at > 5);
}

#[test]
fn prop_what_an_offer_costs_more_is_what_brute_force_finds() {
    let (mut fits, mut refused) = (0, 0);
    for (seed, offers, blueprint, plan) in cases(seed(), count(25), &KINDS) {
        let market = catalogue(offers);
        let methods = [Method::Auto, Method::OnDemand];
        for (ix, method) in market.ids().flat_map(|ix| methods.map(|method| (ix, method))) {
            let id = market.offer(ix).id();
            let options = ComposeOptions { method, ..ComposeOptions::default() };
            let said = why_not(&market, &blueprint, &plan, &id, &options, &mut |_| Signal::Continue);
            let said = said.expect("answered");
            assert!(!said.reasons.is_empty(), "seed {seed}");
            if said.reasons == ["the plan uses it"] {
                continue;
            }
            let expected = brute_force_using(&market, &blueprint, &id);
            match (&said.more, expected) {
                (Some(more), Some(best)) => {
                    assert!(is_near(plan.objective + more, best[0]), "seed {seed}: {said:?} {best:?}");
                    fits += 1;
                }
                (None, None) => refused += 1,
                (_, expected) => panic!("seed {seed}: {said:?} but {expected:?}"),
            }
        }
    }
    println!("{fits} offers that fit, {refused} that do not");
    assert!(fits > 5 && refused > 5);
}

#[test]
fn prop_the_frontier_is_that_of_brute_force() {
    let others = [Measure::Carbon, Measure::Latency, Measure::Sovereignty, Measure::Providers];
    let mut longest = 0;
    for (seed, offers, blueprint, _) in
        cases(seed(), count(8), &["link", "users", "spread", "survive", "count"])
    {
        let market = catalogue(offers);
        let methods = [Method::Auto, Method::OnDemand];
        for (second, method) in others.into_iter().flat_map(|second| methods.map(|method| (second, method))) {
            let measures = [Measure::Cost, second];
            let options = ComposeOptions { method, ..ComposeOptions::default() };
            let step = Decimal::new(1, 6);
            let found = pareto(&market, &blueprint, measures, step, &options, &mut |_| Signal::Continue);
            let found = match found {
                Ok(found) => found,
                Err(ComposeError::Infeasible(_)) => continue, // a round trip that is not known
                Err(error) => panic!("seed {seed}: {error}"),
            };
            assert!(found.is_complete, "seed {seed}");
            let both = {
                let mut changed = blueprint.clone();
                changed.objective = Objective::InTurn(measures.to_vec());
                changed
            };
            let mut expected = brute_frontier(&market, &both);
            // What differs by less than the rounding of a figure is one point.
            expected.dedup_by(|b, a| is_near(a[0], b[0]) || is_near(a[1], b[1]));
            let said: Vec<_> = found.plans.iter().map(|plan| found.values(plan)).collect();
            let is_same = said.len() == expected.len()
                && said.iter().zip(&expected).all(|(a, b)| is_near(a[0], b[0]) && is_near(a[1], b[1]));
            assert!(is_same, "seed {seed}, {second}: {said:?} not {expected:?}");
            longest = longest.max(said.len());
        }
    }
    println!("up to {longest} points");
    assert!(longest > 1);
}

#[test]
fn a_conflict_names_the_cheapest_way_out_with_its_price() {
    let rows = "machine,s,one,4,4096,10,10,,EUR,net,,2026-11-01,test\nmachine,l,two,8,8192,10,20,,EUR,net,,2026-11-01,test\n";
    let blueprint = Blueprint::from_yaml(
        "{ name: x, components: { web: { vcpu: 4, replicas: 2 } }, budget: 15, where: { regions: { allow: [one] } },
           constraints: [ spread: { components: [web], over: region, at_least: 2 } ] }",
    )
    .expect("a blueprint");
    let blueprint = {
        let mut changed = blueprint;
        changed.filter = Default::default();
        changed
    };
    let Err(ComposeError::Infeasible(conflict)) = solve(&catalogue(offers("acme", "DE", rows)), &blueprint)
    else {
        panic!("feasible");
    };
    let ways: Vec<String> =
        conflict.ways_out.iter().map(|way| format!("{} -> {}", way.condition, way.objective)).collect();
    assert_eq!(ways, ["components.web.replicas: at least 2 -> 30", "budget: 15 -> 30"][1..], "{conflict}");
}

#[test]
fn a_budget_that_no_plan_meets_is_named_alone_with_what_the_cheapest_plan_costs() {
    let rows = "machine,s,one,4,4096,10,10,,EUR,net,,2026-11-01,test\nmachine,l,two,8,8192,10,20,,EUR,net,,2026-11-01,test\n";
    let market = catalogue(offers("acme", "DE", rows));
    let explained = |budget: &str| {
        let blueprint = Blueprint::from_yaml(&format!(
            "{{ name: x, components: {{ web: {{ vcpu: 4, replicas: 2 }}, db: {{ vcpu: 1 }} }}, budget: {budget},
                constraints: [ spread: {{ components: [web], over: region, at_least: 2 }} ] }}"
        ))
        .expect("a blueprint");
        match solve(&market, &blueprint) {
            Err(ComposeError::Infeasible(conflict)) => conflict,
            other => panic!("{other:?}"),
        }
    };
    let tight = explained("39");
    let names = ["constraints[0]", "constraints: no `share: all`", "budget: 39"];
    assert_eq!(tight.conditions.len(), names.len(), "{tight}");
    assert!(tight.conditions.iter().zip(names).all(|(it, name)| it.starts_with(name)), "{tight}");
    let hint = tight.hint.as_deref().expect("a hint");
    assert_eq!(hint, "the cheapest plan costs 40 EUR a month, and the budget is 39 EUR");
    let low = explained("1");
    assert_eq!((low.conditions.as_slice(), low.is_minimal), (&["budget: 1".to_owned()][..], true), "{low}");
}
