//! Bounds of the variables at one node of the search.

use super::model::{Mip, Var};
use crate::compose::id_vec::IdVec;

/// Lower and upper bounds of the variables at one node of the search.
#[derive(Debug, Clone)]
pub(crate) struct VarBounds {
    pub(crate) lower: IdVec<Var, i64>,
    pub(crate) upper: IdVec<Var, i64>,
}

impl VarBounds {
    pub(crate) fn of(mip: &Mip) -> Self {
        Self { lower: mip.lower.clone(), upper: mip.upper.clone() }
    }
}
