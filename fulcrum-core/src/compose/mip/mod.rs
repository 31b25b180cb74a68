//! The integer program.
//!
//! * `model`: variables, rows and coefficients.
//! * `builder`: rows over numbers of replicas; `places`, `flows`, `measures` and `running` add the others.
//! * `row_terms`: what rows count of a lease itself.
//! * `place_scope`: the places that have rows.
//! * `var_bounds`: bounds of the variables at a node.

pub(crate) mod builder;
pub(crate) mod flows;
pub(crate) mod measures;
pub(crate) mod model;
pub(crate) mod place_scope;
pub(crate) mod places;
pub(crate) mod row_terms;
pub(crate) mod running;
pub(crate) mod var_bounds;
