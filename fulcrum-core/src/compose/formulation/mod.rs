//! The formulation: blueprint × catalogue as candidates, each an offer with the components that it may carry.
//!
//! * `problem`: components and candidates as numbers.
//! * `eligibility`: which components an offer may carry.
//! * `place_classes`: which places are equivalent.
//! * `costs`: what candidates cost over the horizon.
//! * `ids`: typed indices and sets of components.

pub(crate) mod costs;
pub(crate) mod eligibility;
pub(crate) mod ids;
pub(crate) mod place_classes;
pub(crate) mod problem;
