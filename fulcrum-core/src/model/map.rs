//! Maps of few entries.

use std::collections::BTreeMap;

/// A map of entries; of two with the same key the later one counts.
///
/// It inserts one after the other. `collect` and `BTreeMap::from` sort first, with 7 kB of machine code of their own at each place
/// that uses them.
pub(crate) fn map_of<K: Ord, V>(entries: impl IntoIterator<Item = (K, V)>) -> BTreeMap<K, V> {
    let mut map = BTreeMap::new();
    map.extend(entries);
    map
}
