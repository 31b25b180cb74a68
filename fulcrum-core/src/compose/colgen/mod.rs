//! Column generation, for problems whose columns are too many to enumerate.
//!
//! * `driver`: the search.
//! * `master`: the restricted master, a linear program.
//! * `initial_columns`: the columns that it starts with.
//! * `duals`, `pricing`, `knapsack`: the pricing problem, one knapsack per machine.
//! * `candidate_index`: candidates by capacity and by place class.
//! * `separation`: places whose conditions the master violates.
//! * `neighbourhood`: places and leases in which better plans are sought.

pub(crate) mod candidate_index;
pub(crate) mod driver;
pub(crate) mod duals;
pub(crate) mod initial_columns;
pub(crate) mod knapsack;
pub(crate) mod master;
pub(crate) mod neighbourhood;
pub(crate) mod pricing;
pub(crate) mod separation;
