//! Branch and bound.
//!
//! * `branch_and_bound`: one search tree.
//! * `pseudo_costs`: the choice of the branching variable.
//! * `parallel`: several trees on several threads.
//! * `fork_join`: threads in lockstep, with results that do not depend on their speed.

pub(crate) mod branch_and_bound;
pub(crate) mod fork_join;
pub(crate) mod parallel;
pub(crate) mod pseudo_costs;
