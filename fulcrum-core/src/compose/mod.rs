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

mod bnb;
mod colgen;
mod deferred_drop;
mod error;
mod explain;
mod explicit;
mod formulation;
mod heuristics;
mod id_vec;
mod interrupt;
mod lexicographic;
mod lp;
mod mip;
mod objective;
mod options;
mod pareto;
mod plan;
mod presolve;
mod solution;
mod solve;
pub mod verify;

pub use error::{ComposeError, Conflict, Relaxation};
pub use explain::{Binding, Entry, Explanation, Rejection, RunnerUp, explain, why_not};
pub use options::{ComposeOptions, Method, Progress, Signal};
pub use pareto::{Frontier, pareto};

use lexicographic::best;

use crate::{
    catalogue::Catalogue,
    model::{Blueprint, Plan},
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
        None => Err(ComposeError::Infeasible(explain::iis::conflict(catalogue, blueprint, options, watch)?)),
    }
}
