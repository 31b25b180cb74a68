//! Blueprint and catalogue in, provably best plan out: pure, synchronous, no I/O, no clock.
//!
//! ```text
//! problem   who may run on what          (blueprint × catalogue, filters applied)
//! reduce    offers → patterns → columns  (dominance, place classes, cheapest offer of each pattern)
//! program   columns → integer program    (counts, ratios, spread, survival, stock as rows)
//! bound     dual simplex as an adviser; every bound re-computed exactly in integers
//! search    branch and bound over the program
//! verify    re-checks the plan from blueprint and catalogue alone; shares no code with the above
//! explain   why there is no plan and what would help; why this plan, and what else there is
//! ```
//!
//! The same blueprint, catalogue and options give the same plan, byte for byte, unless the caller stops the
//! search early.

#![deny(clippy::float_arithmetic)]

mod aim;
mod aside;
mod bound;
mod eligible;
mod error;
mod explain;
mod id_vec;
mod looks;
mod options;
mod pareto;
mod plan;
mod problem;
mod program;
mod reduce;
mod search;
mod sites;
pub mod verify;

pub use error::{ComposeError, Conflict, Relaxation};
pub use explain::{Binding, Entry, Explanation, Rejection, RunnerUp, explain, why_not};
pub use options::{ComposeOptions, Method, Progress, Signal};
pub use pareto::{Frontier, pareto};

use aim::Aim;
use problem::Problem;

use crate::{
    catalogue::Catalogue,
    model::{Blueprint, Plan, Stage, StopReason},
};

/// Finds the cheapest plan that meets a blueprint, with its proof.
///
/// `watch` is called every millisecond or so of the search with what is known so far; its answer goes on or stops the
/// search, in which case the best plan so far is returned with its gap.
///
/// # Errors
/// * [`ComposeError::Document`]: the blueprint contradicts itself in form; mend it at the path named.
/// * [`ComposeError::Infeasible`]: nothing fits; the conflict names conditions of which one must give way.
/// * [`ComposeError::Stopped`]: the search was stopped before it found a plan; give it more time.
/// * [`ComposeError::TooLarge`]: beyond the engine's limits; the message names the lever.
/// * [`ComposeError::Verification`]: the verifier refused the plan; this is a fault of the library, report it.
///
/// ```
/// use fulcrum_core::{catalogue::{CatalogueBuilder, Rates}, compose::{compose, ComposeError, ComposeOptions, Signal}, model::Blueprint};
/// let catalogue = CatalogueBuilder::new(jiff::Timestamp::UNIX_EPOCH, Rates::none()).build();
/// let blueprint = Blueprint::from_yaml("{ name: tiny, components: { web: { vcpu: 1 } } }")?;
/// let outcome = compose(&catalogue, &blueprint, &ComposeOptions::default(), &mut |_| Signal::Continue);
/// assert!(matches!(outcome, Err(ComposeError::Infeasible(_)))); // an empty catalogue has no offers
/// # Ok::<(), fulcrum_core::model::DocumentError>(())
/// ```
pub fn compose(
    catalogue: &Catalogue,
    blueprint: &Blueprint,
    options: &ComposeOptions,
    watch: &mut dyn FnMut(&Progress) -> Signal,
) -> Result<Plan, ComposeError> {
    blueprint.check()?;
    if let Some(conflict) = Conflict::of_nothing(catalogue) {
        return Err(ComposeError::Infeasible(conflict));
    }
    match best(catalogue, blueprint, options, watch)? {
        Some(plan) => Ok(plan),
        None => Err(ComposeError::Infeasible(explain::conflict(catalogue, blueprint, options, watch)?)),
    }
}

/// The best plan, verified; `None` if there is none.
fn best(
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
    best.plan.later_stages = done[1..]
        .iter()
        .filter_map(|(aim, bound)| {
            let value = best.value(aim);
            let month = |value| search::per_month(aim, horizon, value);
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
) -> Result<Option<(plan::Built, i128)>, ComposeError> {
    let problem = Problem::new(catalogue, blueprint, aim.clone(), options, watch)?;
    let Some(found) = search::solve(&problem, options, search::Goal::Best, watch)? else { return Ok(None) };
    Ok(Some((plan::build(&problem, &found)?, found.bound)))
}
