//! Lexicographic objectives: solves the stages in their order, each under the value that the stage before it reached.

use std::sync::Arc;

use super::{
    bnb::branch_and_bound::Goal,
    error::ComposeError,
    formulation::problem::Problem,
    objective::{ObjectiveStage, per_month},
    options::{ComposeOptions, Progress, Signal},
    plan::{self, Built},
    solve::solve,
    verify,
};
use crate::{
    catalogue::Catalogue,
    model::{Blueprint, Plan, Stage, StopReason},
};

/// The best plan, verified; `None` if there is none.
pub(super) fn best(
    catalogue: &Catalogue,
    blueprint: &Blueprint,
    options: &ComposeOptions,
    watch: &mut dyn FnMut(&Progress) -> Signal,
) -> Result<Option<Plan>, ComposeError> {
    let mut stages = ObjectiveStage::stages(blueprint, options)?.into_iter();
    // Blueprint::check has refused an empty objective.
    let Some(first) = stages.next() else { return Err(ComposeError::STOPPED) };
    let Some((mut best, bound)) = solve_stage(catalogue, blueprint, &first, options, watch)? else {
        return Ok(None);
    };
    let mut done = vec![(first.clone(), bound)];
    for mut stage in stages {
        if best.plan.stop != StopReason::Optimal {
            break;
        }
        // What was minimised before keeps its value.
        stage.caps.extend(done.iter().map(|(stage, _)| stage.cap_at(best.value(stage))));
        let from_best = ComposeOptions { start: Some(Arc::new(best.plan.clone())), ..options.clone() };
        match solve_stage(catalogue, blueprint, &stage, &from_best, watch) {
            Ok(Some((built, bound))) => {
                best = built;
                done.push((stage, bound));
            }
            // The plan stands; that it is the best in this stage too is not known.
            Ok(None) | Err(ComposeError::Stopped { .. } | ComposeError::TooLarge(_)) => {
                best.plan.stop = StopReason::Limit;
            }
            Err(error) => return Err(error),
        }
    }
    let horizon = blueprint.horizon_months;
    best.prove(&first, horizon, bound);
    best.plan.later_stages = done[1..]
        .iter()
        .filter_map(|(stage, bound)| {
            let value = best.value(stage);
            let month = |value| per_month(stage, horizon, value);
            Some(Stage {
                measure: stage.single_measure()?,
                value: month(value),
                bound: month((*bound).min(value)),
            })
        })
        .collect();
    verify::verify(catalogue, blueprint, &best.plan).map_err(ComposeError::Verification)?;
    Ok(Some(best.plan))
}

/// The best plan for one stage and its bound; `None` if there is no plan.
fn solve_stage(
    catalogue: &Catalogue,
    blueprint: &Blueprint,
    stage: &ObjectiveStage,
    options: &ComposeOptions,
    watch: &mut dyn FnMut(&Progress) -> Signal,
) -> Result<Option<(Built, i128)>, ComposeError> {
    let problem = Problem::new(catalogue, blueprint, stage.clone(), options, watch)?;
    let Some(found) = solve(&problem, options, Goal::Best, watch)? else { return Ok(None) };
    Ok(Some((plan::build(&problem, &found)?, found.bound)))
}
