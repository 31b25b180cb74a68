//! Blueprint × catalogue as numbers: who may run on what.

pub(crate) mod costs;
pub(crate) mod eligibility;
pub(crate) mod ids;
pub(crate) mod place_classes;
pub(crate) mod problem;
