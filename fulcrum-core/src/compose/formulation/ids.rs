//! Typed indices of the formulation, and sets of components.

use crate::compose::id_vec::id_type;

id_type!(
    /// A component, in the blueprint's order.
    ComponentIx
);
id_type!(
    /// An equivalence class of places: no condition tells its places apart.
    ClassId
);
id_type!(
    /// A set of components that some offers may carry.
    AllowedId
);
id_type!(
    /// The metrics of an offer besides its price.
    MetricsId
);
id_type!(
    /// A size along the blueprint's dimensions.
    ShapeId
);

/// A set of components.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ComponentBitSet(Vec<u64>);

impl ComponentBitSet {
    pub(crate) fn insert(&mut self, component: usize) {
        if self.0.len() <= component / 64 {
            self.0.resize(component / 64 + 1, 0);
        }
        self.0[component / 64] |= 1 << (component % 64);
    }

    pub(crate) fn contains(&self, component: usize) -> bool {
        self.0.get(component / 64).is_some_and(|word| word >> (component % 64) & 1 == 1)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    pub(crate) fn is_superset(&self, other: &Self) -> bool {
        (0..other.0.len()).all(|at| {
            let own = self.0.get(at).copied().unwrap_or(0);
            own & other.0[at] == other.0[at]
        })
    }
}
