//! Solves one stage: enumerates all columns if they are not too many, otherwise generates them.

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
    let mut should_continue = || watch_for_stop(watch).is_ok();
    let mut interrupt = InterruptCheck::new(&mut should_continue);
    if options.method == Method::Auto
        && let Some(column_set) = enumerate_columns(problem, &mut interrupt)?
    {
        match Mip::new(problem, &column_set, &PlaceScope::All, None, &mut interrupt) {
            Ok(mip) if mip.size() <= MAX_EXPLICIT_ENTRIES => {
                watch_for_stop(watch)?; // the last question before the search, which begins with a large tableau
                return explicit::solve(problem, &column_set, &mip, options, goal, cutoff, watch);
            }
            Ok(_) | Err(ComposeError::TooLarge(_)) => {} // too large to be written down
            Err(error) => return Err(error),
        }
    }
    driver::solve(problem, options, cutoff, watch)
}

/// Coefficients of a dense program beyond which columns are generated.
const MAX_EXPLICIT_ENTRIES: usize = 8 << 20;
