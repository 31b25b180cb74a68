//! From problem to proven solution.

use super::{
    bnb::branch_and_bound::Goal,
    colgen::driver,
    error::ComposeError,
    explicit,
    formulation::problem::Problem,
    interrupt::{Looks, watch_for_stop},
    mip::{model::Program, place_scope::Scope},
    options::{ComposeOptions, Method, Progress, Signal},
    presolve::enumerate::reduce,
    solution::Found,
};

/// Solves; `None` if it is proven that there is no plan.
pub(super) fn solve(
    problem: &Problem<'_>,
    options: &ComposeOptions,
    goal: Goal,
    watch: &mut dyn FnMut(&Progress) -> Signal,
) -> Result<Option<Found>, ComposeError> {
    // A plan at the cap is allowed; the tree looks for plans below the ceiling.
    let caps = problem.aim.caps.iter().filter(|(measure, _)| problem.aim.single() == Some(*measure));
    let ceiling = caps.map(|(_, max)| max + 1).min();
    let mut goes_on = || watch_for_stop(watch).is_ok();
    let mut looks = Looks::new(&mut goes_on);
    if options.method == Method::Auto
        && let Some(reduced) = reduce(problem, &mut looks)?
    {
        match Program::new(problem, &reduced, &Scope::All, None, &mut looks) {
            Ok(program) if program.size() <= MAX_DIRECT => {
                watch_for_stop(watch)?; // the last look before the search, which begins with a large table
                return explicit::solve(problem, &reduced, &program, options, goal, ceiling, watch);
            }
            Ok(_) | Err(ComposeError::TooLarge(_)) => {} // too large to be written down
            Err(error) => return Err(error),
        }
    }
    driver::solve(problem, options, ceiling, watch)
}

/// Entries of a program's table beyond which columns are made on demand.
const MAX_DIRECT: usize = 8 << 20;
