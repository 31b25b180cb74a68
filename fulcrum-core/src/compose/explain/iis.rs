//! Irreducible infeasible sets (IIS), and the ways out.
//!
//! A deletion filter (J. W. Chinneck, *Feasibility and Infeasibility in Optimization*, Springer 2008, §6.2.1) switches
//! conditions off one by one. A condition that is not needed for infeasibility stays off. The rest is irreducible:
//! without any one of its conditions there is a plan.

use super::{
    conditions,
    conditions::Condition,
    oracle::{Oracle, Verdict},
};
use crate::{
    catalogue::Catalogue,
    compose::{
        bnb::branch_and_bound::Goal,
        error::{ComposeError, InfeasibleSet, WayOut},
        options::{ComposeOptions, Progress, Signal},
    },
    model::Blueprint,
};

/// The infeasible set of a blueprint that has no plan.
pub(crate) fn infeasible_set(
    catalogue: &Catalogue,
    blueprint: &Blueprint,
    options: &ComposeOptions,
    watch: &mut dyn FnMut(&Progress) -> Signal,
) -> Result<InfeasibleSet, ComposeError> {
    let mut oracle = Oracle::new(catalogue, options, watch);
    let mut is_minimal = true;
    let mut off: Vec<Condition> = Vec::new();
    let mut kept = Vec::new();
    for condition in conditions::all(catalogue, blueprint) {
        let without = conditions::without(blueprint, off.iter().chain([&condition]));
        match oracle.solve(&without, Goal::Feasible, |_| {}) {
            Verdict::Infeasible => off.push(condition),
            Verdict::Plan(_) => kept.push(condition),
            // Undecided: the condition stays, and the set is not called minimal.
            Verdict::Unknown => {
                is_minimal = false;
                kept.push(condition);
            }
        }
    }
    // A condition that helps alone is in every infeasible set, and so in this one.
    let mut ways_out: Vec<WayOut> = kept
        .iter()
        .filter(|condition| !matches!(condition, Condition::Need(..)))
        .filter_map(|condition| match oracle.best(&conditions::without(blueprint, [condition])) {
            Verdict::Plan(value) => Some(WayOut {
                condition: condition.text(blueprint),
                objective: value.objective,
                is_proven: value.is_proven,
            }),
            Verdict::Infeasible | Verdict::Unknown => None,
        })
        .collect();
    ways_out.sort_by_key(|way| way.objective);
    let hint = conditions::hint(catalogue, blueprint, options, &kept);
    Ok(InfeasibleSet {
        conditions: kept.iter().map(|condition| condition.text(blueprint)).collect(),
        is_minimal,
        hint,
        ways_out,
    })
}
