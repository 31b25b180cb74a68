//! The multiple-choice knapsack.

pub(crate) mod schroeppel_shamir;
pub(crate) mod structure;
