//! The stages of an objective, one after the other.

use super::{
    bnb::branch_and_bound::Goal,
    error::ComposeError,
    formulation::problem::Problem,
    objective::{Aim, per_month},
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
    let mut stages = Aim::stages(blueprint, options)?.into_iter();
    // An objective is never empty, as Blueprint::check has made sure.
    let Some(first) = stages.next() else { return Err(ComposeError::Stopped) };
    let Some((mut best, bound)) = stage(catalogue, blueprint, &first, options, watch)? else {
        return Ok(None);
    };
    let mut done = vec![(first.clone(), bound)];
    for mut aim in stages {
        if best.plan.stop != StopReason::Optimal {
            break;
        }
        // As good in all before.
        let before = done.iter().filter_map(|(aim, _)| Some((aim.single()?, best.value(aim))));
        aim.caps.extend(before);
        match stage(catalogue, blueprint, &aim, options, watch) {
            Ok(Some((built, bound))) => {
                best = built;
                done.push((aim, bound));
            }
            Ok(None) | Err(ComposeError::Stopped) => best.plan.stop = StopReason::Limit,
            Err(error) => return Err(error),
        }
    }
    let horizon = blueprint.horizon_months;
    best.prove(&first, horizon, bound);
    best.plan.then = done[1..]
        .iter()
        .filter_map(|(aim, bound)| {
            let value = best.value(aim);
            let month = |value| per_month(aim, horizon, value);
            Some(Stage { measure: aim.single()?, value: month(value), bound: month((*bound).min(value)) })
        })
        .collect();
    verify::verify(catalogue, blueprint, &best.plan).map_err(ComposeError::Verification)?;
    Ok(Some(best.plan))
}

/// The best plan for one aim, and its bound; `None` if there is no plan.
fn stage(
    catalogue: &Catalogue,
    blueprint: &Blueprint,
    aim: &Aim,
    options: &ComposeOptions,
    watch: &mut dyn FnMut(&Progress) -> Signal,
) -> Result<Option<(Built, i128)>, ComposeError> {
    let problem = Problem::new(catalogue, blueprint, aim.clone(), options, watch)?;
    let Some(found) = solve(&problem, options, Goal::Best, watch)? else { return Ok(None) };
    Ok(Some((plan::build(&problem, &found)?, found.bound)))
}
