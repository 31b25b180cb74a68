//! The places that a program tells apart.

use std::collections::BTreeSet;

use crate::compose::formulation::{place_classes::Cut, problem::Problem};

/// Places by level. A place outside has no rows of its own; conditions on it are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scope {
    /// All.
    All,
    /// These.
    Some(BTreeSet<(Cut, usize)>),
}

impl Scope {
    /// The places of a level that are told apart, rising.
    pub(crate) fn places(&self, problem: &Problem<'_>, cut: Cut) -> Vec<usize> {
        let all = 0..problem.sites.level(cut).names.len();
        match self {
            Self::All => all.collect(),
            Self::Some(active) => all.filter(|place| active.contains(&(cut, *place))).collect(),
        }
    }

    /// Whether all places are told apart.
    pub(crate) fn is_all(&self) -> bool {
        *self == Self::All
    }
}
