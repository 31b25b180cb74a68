//! The multiple-choice knapsack problem with several resources (MCKP).
//!
//! * `structure`: recognises such programs.
//! * `schroeppel_shamir`: meet in the middle with four lists.

pub(crate) mod schroeppel_shamir;
pub(crate) mod structure;
