//! Lower bounds.

pub(crate) mod reduced_cost_fixing;
pub(crate) mod safe_bound;
pub(crate) mod simplex;
