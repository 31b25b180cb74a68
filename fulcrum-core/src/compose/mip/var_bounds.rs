//! Bounds of the variables at one node of the search.

use super::model::{Program, Var};
use crate::compose::id_vec::IdVec;

/// Limits of the unknowns at one node of the search.
#[derive(Debug, Clone)]
pub(crate) struct Bounds {
    pub(crate) low: IdVec<Var, i64>,
    pub(crate) high: IdVec<Var, i64>,
}

impl Bounds {
    pub(crate) fn of(program: &Program) -> Self {
        Self { low: program.low.clone(), high: program.high.clone() }
    }
}
