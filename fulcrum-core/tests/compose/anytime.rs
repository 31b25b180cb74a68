//! A search that is given more never ends worse: under a growing limit of nodes neither plan nor bound gets worse, and
//! what a caller is told on the way is true and only gets better.

use std::{collections::BTreeMap, sync::Arc};

use crate::packing;
use fulcrum_core::{
    catalogue::Catalogue,
    compose::{ComposeError, ComposeOptions, Method, Progress, Signal, compose},
    model::{Blueprint, Plan},
};
use rand::{SeedableRng, rngs::StdRng};
use rust_decimal::Decimal;

use crate::random::{catalogue, random_blueprint, random_offers, seed, solve};

/// Limits of nodes that are tried.
const LIMITS: [u64; 11] = [1, 2, 3, 5, 10, 30, 100, 300, 1_000, 3_000, u64::MAX];

/// Seeds of cases that once went wrong.
const KNOWN: [u64; 2] = [15_490_662_748_148_589_844, 2_591_159_808_523_327_598];

/// How many random cases of each kind are tried; more where the code is optimised.
fn cases() -> u64 {
    let set = std::env::var("FULCRUM_CASES").ok().and_then(|text| text.parse().ok());
    set.unwrap_or(if cfg!(debug_assertions) { 30 } else { 60 })
}

/// What a caller is told, and what it gets, under one limit.
#[derive(Debug, Clone, Default)]
struct Run {
    /// Incumbent and bound at each look.
    looks: Vec<(Option<Decimal>, Decimal)>,
    /// Objective and bound of the plan; none if the search stopped before it had one.
    end: Option<(Decimal, Decimal)>,
}

/// How often something became better.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Better {
    /// Plans and bounds, from one limit to the next.
    plans: usize,
    bounds: usize,
    /// Plans and bounds, from one look to the next of a run.
    incumbents: usize,
    told_bounds: usize,
}

/// Figures are told as a month's, rounded to millionths.
const SLACK: Decimal = Decimal::from_parts(2, 0, 0, false, 6);

/// Compares runs in the order of their limits with each other and with the optimum.
fn judge(runs: &[Run], optimum: Decimal) -> Result<Better, String> {
    let mut better = Better::default();
    let wrong = |what: &str, was: Decimal, is: Decimal| Err(format!("{what}: first {was}, then {is}"));
    let mut before: Option<(Decimal, Decimal)> = None;
    for run in runs {
        let mut last: Option<(Option<Decimal>, Decimal)> = None;
        for &(incumbent, bound) in &run.looks {
            if bound > optimum + SLACK {
                return wrong("a bound beyond the optimum was told", optimum, bound);
            }
            if let Some(value) = incumbent.filter(|value| *value < optimum - SLACK) {
                return wrong("a plan better than the best was told", optimum, value);
            }
            if let Some((old, old_bound)) = last {
                match (old, incumbent) {
                    (Some(old), None) => return wrong("a plan was told and taken back", old, old),
                    (Some(old), Some(new)) if new > old => return wrong("a worse plan was told", old, new),
                    (Some(old), Some(new)) => better.incumbents += usize::from(new < old),
                    (None, _) => {}
                }
                if bound < old_bound {
                    return wrong("a worse bound was told", old_bound, bound);
                }
                better.told_bounds += usize::from(bound > old_bound);
            }
            last = Some((incumbent, bound));
        }
        match (run.end, last) {
            (Some((value, _)), Some((Some(incumbent), _))) if value > incumbent => {
                return wrong("a worse plan than told was returned", incumbent, value);
            }
            (Some((_, end)), Some((_, bound))) if end < bound => {
                return wrong("a worse bound than told was returned", bound, end);
            }
            (None, Some((Some(incumbent), _))) => {
                return wrong("a plan was told and not returned", incumbent, incumbent);
            }
            _ => {}
        }
        match (before, run.end) {
            (Some((old, _)), None) => return wrong("a higher limit gave no plan", old, old),
            (Some((old, _)), Some((new, _))) if new > old => {
                return wrong("a higher limit gave a worse plan", old, new);
            }
            (Some((_, old)), Some((_, new))) if new < old => {
                return wrong("a higher limit gave a worse bound", old, new);
            }
            (Some((old, old_bound)), Some((new, new_bound))) => {
                better.plans += usize::from(new < old);
                better.bounds += usize::from(new_bound > old_bound);
            }
            (None, _) => {}
        }
        if let Some((value, bound)) = run.end
            && (value < optimum - SLACK || bound > optimum + SLACK)
        {
            return Err(format!("{value} with bound {bound}, but the optimum is {optimum}"));
        }
        before = run.end;
    }
    Ok(better)
}

/// Composes under a limit. Of several objectives in turn only the first counts: each begins anew.
fn run(catalogue: &Catalogue, blueprint: &Blueprint, options: &ComposeOptions) -> Result<Run, ComposeError> {
    let (mut looks, mut is_over) = (Vec::new(), false);
    let mut watch = |progress: &Progress| {
        match progress.bound {
            Some(bound) if !is_over => looks.push((progress.incumbent, bound)),
            Some(_) => {}
            // While a problem is made nothing is known of it.
            None => is_over = !looks.is_empty(),
        }
        Signal::Continue
    };
    match compose(catalogue, blueprint, options, &mut watch) {
        Ok(plan) => Ok(Run { looks, end: Some((plan.objective, plan.bound)) }),
        Err(ComposeError::Stopped { .. }) => Ok(Run { looks, end: None }),
        Err(error) => Err(error),
    }
}

/// Runs a case under all limits. `None` if the method does not take it, or there is no plan.
fn judged(
    catalogue: &Catalogue,
    blueprint: &Blueprint,
    method: Method,
    start: Option<Arc<Plan>>,
) -> Option<Result<Better, String>> {
    let optimum = solve(catalogue, blueprint).ok()?.objective;
    let mut runs = Vec::new();
    for max_nodes in LIMITS {
        let options = ComposeOptions { max_nodes, method, start: start.clone(), ..ComposeOptions::default() };
        match run(catalogue, blueprint, &options) {
            Ok(run) => runs.push(run),
            Err(ComposeError::TooLarge(_)) => return None,
            Err(error) => return Some(Err(error.to_string())),
        }
    }
    Some(judge(&runs, optimum))
}

/// Judges many cases, and that they could have told a wrong engine from a right one.
fn judge_all(method: Method, with_start: bool, make: fn(&mut StdRng) -> (Catalogue, Blueprint)) -> Better {
    let seed = seed();
    let mut sum = Better::default();
    for seed in KNOWN.into_iter().chain((0..cases()).map(|case| seed.wrapping_add(case))) {
        let mut chance = StdRng::seed_from_u64(seed);
        let (catalogue, blueprint) = make(&mut chance);
        // An earlier plan, of another market.
        let start = with_start.then(|| make(&mut chance).0).and_then(|other| solve(&other, &blueprint).ok());
        let Some(outcome) = judged(&catalogue, &blueprint, method, start.map(Arc::new)) else { continue };
        let better = outcome.unwrap_or_else(|error| {
            let json = serde_json::to_string_pretty(&blueprint).expect("json");
            panic!("FULCRUM_SEED={seed} FULCRUM_CASES=1: {error}\n{json}")
        });
        sum.plans += better.plans;
        sum.bounds += better.bounds;
        sum.incumbents += better.incumbents;
        sum.told_bounds += better.told_bounds;
    }
    println!("{sum:?}");
    sum
}

fn any_condition(chance: &mut StdRng) -> (Catalogue, Blueprint) {
    let market = catalogue(random_offers(chance));
    (market, random_blueprint(chance, &mut BTreeMap::new()))
}

fn packing(chance: &mut StdRng) -> (Catalogue, Blueprint) {
    (packing::market(chance), packing::application(chance))
}

#[test]
fn prop_more_nodes_never_end_worse_under_any_condition() {
    judge_all(Method::Auto, false, any_condition);
}

#[test]
fn prop_more_nodes_never_end_worse() {
    let better = judge_all(Method::Auto, false, packing);
    let is_telling = better.plans.min(better.bounds).min(better.incumbents).min(better.told_bounds) > 2;
    assert!(cases() < 30 || is_telling, "too easy to tell anything: {better:?}");
}

#[test]
fn prop_more_nodes_never_end_worse_with_columns_on_demand() {
    judge_all(Method::OnDemand, false, any_condition);
    let better = judge_all(Method::OnDemand, false, packing);
    let is_telling = better.plans.min(better.bounds).min(better.incumbents).min(better.told_bounds) > 2;
    assert!(cases() < 30 || is_telling, "too easy to tell anything: {better:?}");
}

#[test]
fn prop_more_nodes_never_end_worse_from_an_earlier_plan() {
    for method in [Method::Auto, Method::OnDemand] {
        judge_all(method, true, any_condition);
        judge_all(method, true, packing);
    }
}

/// One look and one end for a limit, as whole numbers: incumbent, bound; objective, bound.
type Figures = (Option<i64>, i64, Option<(i64, i64)>);

fn runs(figures: &[Figures]) -> Vec<Run> {
    let run = |(incumbent, bound, end): &Figures| Run {
        looks: vec![(incumbent.map(Decimal::from), (*bound).into())],
        end: end.map(|(value, bound)| (value.into(), bound.into())),
    };
    figures.iter().map(run).collect()
}

#[test]
fn the_judge_accepts_what_becomes_better() {
    let runs = runs(&[(None, 0, None), (Some(12), 5, Some((12, 5))), (Some(10), 8, Some((10, 10)))]);
    let better = Better { plans: 1, bounds: 1, ..Better::default() };
    assert_eq!(judge(&runs, 10.into()), Ok(better));
}

#[test]
fn the_judge_finds_each_fault() {
    let faults = [
        (vec![(None, 11, None)], "a bound beyond the optimum was told"),
        (vec![(Some(9), 5, Some((10, 9)))], "a plan better than the best was told"),
        (vec![(Some(11), 5, Some((12, 5)))], "a worse plan than told was returned"),
        (vec![(Some(11), 5, Some((11, 4)))], "a worse bound than told was returned"),
        (vec![(Some(11), 5, None)], "a plan was told and not returned"),
        (vec![(None, 0, Some((11, 5))), (None, 0, None)], "a higher limit gave no plan"),
        (vec![(None, 0, Some((11, 5))), (None, 0, Some((12, 5)))], "a higher limit gave a worse plan"),
        (vec![(None, 0, Some((11, 5))), (None, 0, Some((11, 4)))], "a higher limit gave a worse bound"),
        (vec![(None, 0, Some((9, 9)))], "but the optimum is"),
        (vec![(None, 0, Some((11, 11)))], "but the optimum is"),
    ];
    for (figures, fault) in faults {
        let error = judge(&runs(&figures), 10.into()).expect_err(fault);
        assert!(error.contains(fault), "{error}");
    }
    let looks = [
        ([(Some(12), 5), (None, 5)], "taken back"),
        ([(Some(12), 5), (Some(13), 5)], "a worse plan was told"),
        ([(Some(12), 5), (Some(12), 4)], "a worse bound was told"),
    ];
    for (looks, fault) in looks {
        let looks = looks.map(|(incumbent, bound)| (incumbent.map(Decimal::from), Decimal::from(bound)));
        let run = Run { looks: looks.to_vec(), end: Some((10.into(), 10.into())) };
        let error = judge(&[run], 10.into()).expect_err(fault);
        assert!(error.contains(fault), "{error}");
    }
}
