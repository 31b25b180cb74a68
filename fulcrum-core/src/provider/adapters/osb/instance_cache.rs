//! A cache of this process for brokers that do not return instances: recently ordered products, and proven absences.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::model::{IdempotencyKey, SkuId};

/// Instances in the cache: more are not made or ended at the same time.
const MAX_INSTANCES: usize = 1_000;
/// How long a proof of absence is valid.
const ABSENCE_VALID_FOR: Duration = Duration::from_secs(60);

/// Values by instance, the newest first.
type Newest<T> = Mutex<VecDeque<(IdempotencyKey, T)>>;

fn put<T>(all: &Newest<T>, key: &IdempotencyKey, what: Option<T>) {
    let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
    all.retain(|(instance, _)| instance != key);
    if let Some(what) = what {
        all.truncate(MAX_INSTANCES - 1);
        all.push_front((key.clone(), what));
    }
}

fn get<T: Clone>(all: &Newest<T>, key: &IdempotencyKey) -> Option<T> {
    let all = all.lock().unwrap_or_else(PoisonError::into_inner);
    all.iter().find(|(instance, _)| instance == key).map(|(_, what)| what.clone())
}

/// Clones share the cache.
#[derive(Debug, Clone, Default)]
pub(super) struct InstanceCache(Arc<Entries>);

#[derive(Debug, Default)]
struct Entries {
    products: Newest<SkuId>,
    gone: Newest<Instant>,
}

impl InstanceCache {
    /// Records an ordered product, and drops the oldest ones. From now on the instance may exist.
    pub(super) fn record_sku(&self, key: &IdempotencyKey, sku: &SkuId) {
        put(&self.0.products, key, Some(sku.clone()));
        self.clear_absent(key);
    }

    /// Drops the product of an instance that is being changed.
    pub(super) fn drop_sku(&self, key: &IdempotencyKey) {
        put(&self.0.products, key, None);
    }

    pub(super) fn sku_of(&self, key: &IdempotencyKey) -> Option<SkuId> {
        get(&self.0.products, key)
    }

    /// Records a proof of absence.
    pub(super) fn record_absent(&self, key: &IdempotencyKey) {
        put(&self.0.gone, key, Some(Instant::now()));
    }

    /// Drops a proof of absence: a lost request may have made the instance since.
    pub(super) fn clear_absent(&self, key: &IdempotencyKey) {
        put(&self.0.gone, key, None);
    }

    /// Whether a valid proof of absence is recorded.
    pub(super) fn is_recently_absent(&self, key: &IdempotencyKey) -> bool {
        get(&self.0.gone, key).is_some_and(|at| at.elapsed() < ABSENCE_VALID_FOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_bounded() {
        let (asked, sku) = (InstanceCache::default(), SkuId::new("pg/small").expect("a name"));
        let key = |at: usize| IdempotencyKey::new(format!("k-{at}")).expect("a key");
        for at in 0..MAX_INSTANCES + 5 {
            asked.record_sku(&key(at), &sku);
            asked.record_sku(&key(at), &sku);
        }
        assert_eq!(asked.0.products.lock().expect("nobody panics").len(), MAX_INSTANCES);
        assert_eq!((asked.sku_of(&key(0)), asked.sku_of(&key(MAX_INSTANCES + 4))), (None, Some(sku)));
    }

    #[test]
    fn a_proof_of_absence_ends_with_the_next_request() {
        let (asked, sku) = (InstanceCache::default(), SkuId::new("pg/small").expect("a name"));
        let key = IdempotencyKey::new("k").expect("a key");
        assert!(!asked.is_recently_absent(&key));
        asked.record_absent(&key);
        assert!(asked.is_recently_absent(&key));
        asked.record_sku(&key, &sku);
        assert!(!asked.is_recently_absent(&key), "it was asked for again");
    }
}
