//! Explanations.
//!
//! * `iis`: no plan: an irreducible infeasible set, and the ways out.
//! * `sensitivity`: a plan: binding conditions and runners-up.
//! * `break_even`: the discounts that would bring other providers in.
//! * `rejection`: why an offer is not in the plan.
//! * `conditions`, `oracle`: the blueprint with conditions switched off, and the engine that solves it.

mod break_even;
mod conditions;
pub(super) mod iis;
mod oracle;
mod rejection;
mod sensitivity;

pub use break_even::EntryDiscount;
pub use rejection::{Rejection, why_not};
pub use sensitivity::{Binding, Explanation, RunnerUp, explain};
