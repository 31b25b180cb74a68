//! Branch and bound.

pub(crate) mod branch_and_bound;
pub(crate) mod fork_join;
pub(crate) mod parallel;
pub(crate) mod pseudo_costs;
