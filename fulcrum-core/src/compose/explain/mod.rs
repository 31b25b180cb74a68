//! Why: a minimal conflict and the ways out where there is no plan; what binds, what comes next and who would get in
//! where there is one; what is wrong with an offer that somebody asks about.
//!
//! All answers come from the engine itself, asked about a blueprint that is changed in one point.

mod break_even;
mod conditions;
pub(super) mod iis;
mod oracle;
mod rejection;
mod sensitivity;

pub use break_even::Entry;
pub use rejection::{Rejection, why_not};
pub use sensitivity::{Binding, Explanation, RunnerUp, explain};
