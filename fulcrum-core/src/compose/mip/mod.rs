//! The integer program.

pub(crate) mod builder;
pub(crate) mod flows;
pub(crate) mod measures;
pub(crate) mod model;
pub(crate) mod place_scope;
pub(crate) mod places;
pub(crate) mod row_terms;
pub(crate) mod running;
pub(crate) mod var_bounds;
