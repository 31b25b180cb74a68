//! The place scope: the places for which a program has rows.

use std::collections::BTreeSet;

use crate::compose::formulation::{place_classes::PartitionKey, problem::Problem};

/// Places by partition. A place outside the scope has no rows, so conditions on it are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PlaceScope {
    /// All.
    All,
    /// These.
    Some(BTreeSet<(PartitionKey, usize)>),
}

impl PlaceScope {
    /// The places of a partition that are in scope, rising.
    pub(crate) fn places(&self, problem: &Problem<'_>, key: PartitionKey) -> Vec<usize> {
        let all = 0..problem.places.partition(key).names.len();
        match self {
            Self::All => all.collect(),
            Self::Some(active) => all.filter(|place| active.contains(&(key, *place))).collect(),
        }
    }

    /// Whether all places are in scope.
    pub(crate) fn is_all(&self) -> bool {
        *self == Self::All
    }
}
