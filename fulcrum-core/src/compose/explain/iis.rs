//! For a blueprint that nothing meets: a minimal set of conditions that clash, and the ways out.
//!
//! A deletion filter (J. W. Chinneck, *Feasibility and Infeasibility in Optimization*, Springer 2008, §6.2.1):
//! leave conditions out one by one; what stays infeasible without a condition does not need it. What remains is
//! minimal: without any one of its conditions there is a plan.

use super::{
    conditions,
    conditions::Condition,
    oracle::{Answer, Asker},
};
use crate::{
    catalogue::Catalogue,
    compose::{
        bnb::branch_and_bound::Goal,
        error::{ComposeError, Conflict, Relaxation},
        options::{ComposeOptions, Progress, Signal},
    },
    model::Blueprint,
};

/// The conflict in a blueprint that has no plan.
pub(crate) fn conflict(
    catalogue: &Catalogue,
    blueprint: &Blueprint,
    options: &ComposeOptions,
    watch: &mut dyn FnMut(&Progress) -> Signal,
) -> Result<Conflict, ComposeError> {
    let mut asker = Asker::new(catalogue, options, watch);
    let mut is_minimal = true;
    let mut remaining = blueprint.clone();
    let mut kept = Vec::new();
    for condition in conditions::all(catalogue, blueprint) {
        let without = condition.removed_from(&remaining);
        match asker.ask(&without, Goal::Any, |_| {}) {
            Answer::Nothing => remaining = without,
            Answer::Plan(_) => kept.push(condition),
            // Not decided: the condition stays, and the set is not called minimal.
            Answer::Unknown => {
                is_minimal = false;
                kept.push(condition);
            }
        }
    }
    // What helps alone is in every conflict, and so in this one.
    let mut relaxations: Vec<Relaxation> = kept
        .iter()
        .filter(|condition| !matches!(condition, Condition::Need(..)))
        .filter_map(|condition| match asker.best(&condition.removed_from(blueprint)) {
            Answer::Plan(value) => Some(Relaxation {
                condition: condition.text(blueprint),
                objective: value.objective,
                is_proven: value.is_proven,
            }),
            Answer::Nothing | Answer::Unknown => None,
        })
        .collect();
    relaxations.sort_by_key(|way| way.objective);
    let hint = conditions::hint(catalogue, blueprint, &kept);
    Ok(Conflict {
        conditions: kept.iter().map(|condition| condition.text(blueprint)).collect(),
        is_minimal,
        hint,
        relaxations,
    })
}
