//! Solves one stage: writes all columns down if they are few, otherwise generates them.

use super::{
    bnb::branch_and_bound::Goal,
    colgen::driver,
    error::ComposeError,
    explicit,
    formulation::problem::Problem,
    interrupt::{InterruptCheck, watch_for_stop},
    mip::{model::Mip, place_scope::PlaceScope},
    options::{ComposeOptions, Method, Progress, Signal},
    presolve::enumerate::enumerate_columns,
    solution::Solution,
};
use crate::model::StopReason;

/// Solves; `None` if it is proven that there is no plan.
pub(super) fn solve(
    problem: &Problem<'_>,
    options: &ComposeOptions,
    goal: Goal,
    watch: &mut dyn FnMut(&Progress) -> Signal,
) -> Result<Option<Solution>, ComposeError> {
    // A plan at the cap is allowed, and the search looks for plans below the cutoff.
    let minimised = problem.stage.single_measure();
    let caps =
        problem.stage.caps.iter().filter(|cap| minimised.is_some() && cap.single_measure() == minimised);
    let cutoff = caps.map(|cap| cap.max + 1).min();
    if options.method == Method::OnDemand {
        return driver::solve(problem, options, goal, cutoff, watch);
    }
    let few = match options.method {
        Method::AllColumns => MANY_PATTERNS,
        _ => FEW_PATTERNS + 2 * problem.components.len(),
    };
    if let Some(solved) = solve_explicit(problem, few, options, goal, cutoff, watch)? {
        return Ok(solved);
    }
    let mut is_stopped = false;
    let mut observed = |progress: &Progress| {
        let signal = watch(progress);
        is_stopped |= signal != Signal::Continue;
        signal
    };
    let generated = driver::solve(problem, options, goal, cutoff, &mut observed);
    let nodes = match &generated {
        Ok(Some(found)) if found.stop == StopReason::Limit => found.statistics.nodes,
        Err(ComposeError::Stopped { .. }) if options.max_nodes == u64::MAX => 0,
        _ => return generated,
    };
    if is_stopped || nodes >= options.max_nodes {
        return generated;
    }
    // It has given up by itself.
    let rest = ComposeOptions { max_nodes: options.max_nodes - nodes, ..options.clone() };
    match solve_explicit(problem, MANY_PATTERNS, &rest, goal, cutoff, watch) {
        Ok(Some(Some(solved))) if solved.stop == StopReason::Optimal => Ok(Some(solved)),
        Ok(Some(None)) => Ok(None),
        Ok(_) | Err(ComposeError::Stopped { .. }) => generated,
        Err(error) => Err(error),
    }
}

/// Solves over all columns, if there are at most so many patterns and the program is not too large.
fn solve_explicit(
    problem: &Problem<'_>,
    max_patterns: usize,
    options: &ComposeOptions,
    goal: Goal,
    cutoff: Option<i128>,
    watch: &mut dyn FnMut(&Progress) -> Signal,
) -> Result<Option<Option<Solution>>, ComposeError> {
    let mut should_continue = || watch_for_stop(watch).is_ok();
    let mut interrupt = InterruptCheck::new(&mut should_continue);
    let Some(column_set) = enumerate_columns(problem, max_patterns, &mut interrupt)? else {
        return Ok(None);
    };
    match Mip::new(problem, &column_set, &PlaceScope::All, None, &mut interrupt) {
        Ok(mip) if mip.size() <= MAX_EXPLICIT_ENTRIES => {
            watch_for_stop(watch)?; // the last question before the search, which begins with a large tableau
            explicit::solve(problem, &column_set, &mip, options, goal, cutoff, watch).map(Some)
        }
        Ok(_) | Err(ComposeError::TooLarge(_)) => Ok(None), // too large to be written down
        Err(error) => Err(error),
    }
}

/// Patterns up to which all columns are written down at once, beside two for each component.
const FEW_PATTERNS: usize = 100;
/// The same where column generation has ended without a proof.
const MANY_PATTERNS: usize = 20_000;
/// Coefficients of a dense program beyond which columns are generated.
const MAX_EXPLICIT_ENTRIES: usize = 8 << 20;
