//! For a blueprint that nothing meets: a minimal set of conditions that clash.
//!
//! A deletion filter (J. W. Chinneck, *Feasibility and Infeasibility in Optimization*, Springer 2008, §6.2.1):
//! leave conditions out one by one; what stays infeasible without a condition does not need it. What remains is
//! minimal: without any one of its conditions there is a plan.

mod conditions;

use super::{
    aim::Aim,
    error::{ComposeError, Conflict},
    options::{ComposeOptions, Progress, Signal},
    problem::Problem,
    search::{Goal, solve},
};
use crate::{catalogue::Catalogue, model::Blueprint};

/// Nodes that one question may take: then the answer is "not minimal", not a hang.
const MAX_NODES: u64 = 20_000;

/// The conflict in a blueprint that has no plan.
pub(super) fn conflict(
    catalogue: &Catalogue,
    blueprint: &Blueprint,
    options: &ComposeOptions,
    watch: &mut dyn FnMut(&Progress) -> Signal,
) -> Result<Conflict, ComposeError> {
    let options = ComposeOptions { max_nodes: MAX_NODES, ..options.clone() };
    let mut is_minimal = true;
    let mut has_no_plan = |blueprint: &Blueprint| {
        let mut any = || {
            let Some(aim) = Aim::stages(blueprint, &options)?.into_iter().next() else { return Ok(None) };
            solve(&Problem::new(catalogue, blueprint, aim, &options, watch)?, &options, Goal::Any, watch)
        };
        match any() {
            Ok(None) => true,
            Ok(Some(_)) => false,
            // Not decided: the condition stays, and the set is not called minimal.
            Err(_) => {
                is_minimal = false;
                false
            }
        }
    };
    let mut remaining = blueprint.clone();
    let mut kept = Vec::new();
    for condition in conditions::all(blueprint) {
        let without = condition.removed_from(&remaining);
        if has_no_plan(&without) {
            remaining = without;
        } else {
            kept.push(condition);
        }
    }
    let hint = conditions::hint(catalogue, blueprint, &kept);
    Ok(Conflict {
        conditions: kept.iter().map(|condition| condition.text(blueprint)).collect(),
        is_minimal,
        hint,
    })
}
