//! Blueprint and catalogue in, provably best plan out: pure, synchronous, no I/O, no clock.
//!
//! ```text
//! formulation  blueprint × catalogue → candidates, place classes
//! presolve     dominance, patterns, columns; row presolve of an integer program
//! mip          the integer program: variables, rows, coefficients
//! lp           dual simplex in floating point; safe dual bounds and reduced-cost fixing in integers
//! bnb          branch and bound: trees, pseudo-costs, threads
//! heuristics   warm start, RENS, LNS, meet in the middle for multiple-choice knapsacks
//! colgen       column generation, where the columns are too many to enumerate
//! explain      infeasible sets and ways out; binding conditions, runners-up, break-even discounts; rejections
//! verify       checks the plan from blueprint and catalogue alone; shares no code with the others
//! ```
//!
//! `lexicographic` solves the stages of an objective one after the other, `solve` one stage: by `explicit` over all
//! columns, or by `colgen`. `plan` writes the solution as a plan.
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
mod partners;
mod plan;
mod presolve;
mod solution;
mod solve;
pub mod verify;

pub use error::{ComposeError, InfeasibleSet, WayOut};
pub use explain::{Binding, EntryDiscount, Explanation, Rejection, RunnerUp, explain, why_not};
pub use options::{ComposeOptions, Method, Progress, Signal};
pub use pareto::{Frontier, pareto};

use lexicographic::best;

use crate::{
    catalogue::Catalogue,
    model::{Blueprint, Plan},
};

/// Finds the cheapest plan that meets a blueprint, with its proof.
///
/// `watch` is called every millisecond or so with the progress of the search. If it stops the search, the best plan so
/// far is returned with its gap.
///
/// # Errors
/// * [`ComposeError::Document`]: the blueprint is not well formed; mend it at the path named.
/// * [`ComposeError::Infeasible`]: nothing fits; the infeasible set names conditions of which one must give way.
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
    if let Some(infeasible_set) = InfeasibleSet::of_nothing(catalogue) {
        return Err(ComposeError::Infeasible(infeasible_set));
    }
    match best(catalogue, blueprint, options, watch)? {
        Some(plan) => Ok(plan),
        None => {
            Err(ComposeError::Infeasible(explain::iis::infeasible_set(catalogue, blueprint, options, watch)?))
        }
    }
}
