//! From problem to proven solution.

mod tree;

use rust_decimal::Decimal;

use super::{
    error::ComposeError,
    id_vec::Id,
    options::{ComposeOptions, Progress, Signal},
    problem::Problem,
    program::Program,
    reduce::{Column, reduce},
};
use crate::{
    catalogue::Catalogue,
    model::{Blueprint, Statistics, StopReason, from_micros, to_micros},
};

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Goal {
    /// The best plan.
    Best,
    /// Any plan: is there one at all?
    Any,
}

/// A solution with its proof.
#[derive(Debug)]
pub(super) struct Found {
    /// Each kind of lease and how many of it, in a fixed order.
    pub(super) leases: Vec<(Column, i64)>,
    /// Over the horizon, in micro-units.
    pub(super) cost: i128,
    /// Over the horizon, in micro-units.
    pub(super) bound: i128,
    pub(super) stop: StopReason,
    pub(super) statistics: Statistics,
}

/// Solves; `None` if it is proven that there is no plan.
pub(super) fn solve(
    catalogue: &Catalogue,
    blueprint: &Blueprint,
    options: &ComposeOptions,
    goal: Goal,
    watch: &mut dyn FnMut(&Progress) -> Signal,
) -> Result<Option<Found>, ComposeError> {
    let problem = Problem::new(catalogue, blueprint, options)?;
    let reduced = reduce(&problem);
    let program = Program::new(&problem, &reduced)?;
    let horizon = blueprint.horizon_months;
    // A plan at the budget is allowed; the tree looks for plans below the ceiling.
    let ceiling = match blueprint.budget {
        None => None,
        Some(budget) => to_micros(budget).ok().map(|micros| i128::from(micros) * i128::from(horizon) + 1),
    };
    let mut watch_month = |incumbent: Option<i128>, bound: i128, nodes: u64| {
        watch(&Progress {
            incumbent: incumbent.map(|cost| a_month(cost, horizon)),
            bound: Some(a_month(bound, horizon)),
            nodes,
        })
    };
    let outcome = tree::search(&program, options, goal, ceiling, &mut watch_month);
    if let (Goal::Best, Some((_, cost))) = (goal, &outcome.best) {
        // The last word to the watcher, which is the only one where the first relaxation was solved by itself.
        let bound = if outcome.stop.is_none() { *cost } else { outcome.bound.min(*cost) };
        watch_month(Some(*cost), bound, outcome.nodes);
    }
    let statistics = Statistics {
        offers: catalogue.len() as u64,
        eligible: problem.candidates.len() as u64,
        patterns: reduced.patterns as u64,
        variables: program.cost.len() as u64,
        rows: program.row_low.len() as u64,
        nodes: outcome.nodes,
        pivots: outcome.pivots,
    };
    let Some((values, cost)) = outcome.best else {
        return match outcome.stop {
            None if reduced.is_truncated => Err(ComposeError::TooLarge(
                "more than 100000 ways to share a machine; add conflicts, or larger demands, or split the blueprint".to_owned(),
            )),
            None => Ok(None),
            Some(_) => Err(ComposeError::Stopped),
        };
    };
    let leases = reduced
        .columns
        .iter()
        .map(|(id, column)| (column, values[program.leases[id].index()]))
        .filter(|(_, count)| *count > 0)
        .map(|(column, count)| (column.clone(), count))
        .collect();
    // With patterns left out the search proves nothing about those: then only what every plan pays is a bound.
    let (bound, stop) = match outcome.stop {
        _ if reduced.is_truncated => {
            (tree::trivial_bound(&program), outcome.stop.unwrap_or(StopReason::Limit))
        }
        None => (cost, StopReason::Optimal),
        Some(stop) => (outcome.bound.min(cost), stop),
    };
    Ok(Some(Found { leases, cost, bound, stop, statistics }))
}

/// A cost over the horizon as a month's cost in main units, rounded to micro-units.
pub(super) fn a_month(cost: i128, horizon: u32) -> Decimal {
    let months = i128::from(horizon);
    let micros = (2 * cost + months).div_euclid(2 * months);
    from_micros(micros.clamp(i64::MIN.into(), i64::MAX.into()) as i64)
}
