//! Column generation.

pub(crate) mod candidate_index;
pub(crate) mod driver;
pub(crate) mod duals;
pub(crate) mod initial_columns;
pub(crate) mod knapsack;
pub(crate) mod master;
pub(crate) mod neighbourhood;
pub(crate) mod pricing;
pub(crate) mod separation;
