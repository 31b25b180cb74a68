//! Lower bounds: a floating-point simplex advises, integers decide.

mod exact;
mod simplex;

pub(crate) use exact::{Bounds, lagrange, proves_infeasible, reduced_costs, scaled_whole, unscaled, whole};
pub(crate) use simplex::{Outcome, Simplex};
