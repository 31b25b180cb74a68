//! Linear programming: a floating-point simplex proposes dual values, integers compute the bound.
//!
//! * `simplex`: a dual simplex on a dense tableau.
//! * `sparse`: a primal and dual simplex for programs that grow by columns and rows.
//! * `safe_bound`: safe dual bounds and reduced costs in 128-bit integers.
//! * `reduced_cost_fixing`: fixes variables by their exact reduced costs.

pub(crate) mod reduced_cost_fixing;
pub(crate) mod safe_bound;
pub(crate) mod simplex;
pub(crate) mod sparse;
