//! What this process knows of instances that their broker does not tell: which product was asked for lately, and which
//! instances are proven to be gone.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::model::{IdempotencyKey, SkuId};

/// Instances that are kept in mind: more are not being made, or ended, at once.
const MOST: usize = 1_000;
/// For so long a proof of absence is worth anything: who asks for it does so at once.
const PROOF_FOR: Duration = Duration::from_secs(60);

/// Something by instance, the newest first.
type Newest<T> = Mutex<VecDeque<(IdempotencyKey, T)>>;

fn put<T>(all: &Newest<T>, key: &IdempotencyKey, what: Option<T>) {
    let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
    all.retain(|(instance, _)| instance != key);
    if let Some(what) = what {
        all.truncate(MOST - 1);
        all.push_front((key.clone(), what));
    }
}

fn get<T: Clone>(all: &Newest<T>, key: &IdempotencyKey) -> Option<T> {
    let all = all.lock().unwrap_or_else(PoisonError::into_inner);
    all.iter().find(|(instance, _)| instance == key).map(|(_, what)| what.clone())
}

/// Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked(Arc<Known>);

#[derive(Debug, Default)]
struct Known {
    products: Newest<SkuId>,
    gone: Newest<Instant>,
}

impl Asked {
    /// Keeps in mind what is asked for, and forgets what was asked for long ago. From now on the instance may be there.
    pub(super) fn remember(&self, key: &IdempotencyKey, sku: &SkuId) {
        put(&self.0.products, key, Some(sku.clone()));
        self.may_exist(key);
    }

    /// The product may be another one from now on, as it is being changed.
    pub(super) fn forget(&self, key: &IdempotencyKey) {
        put(&self.0.products, key, None);
    }

    pub(super) fn sku_of(&self, key: &IdempotencyKey) -> Option<SkuId> {
        get(&self.0.products, key)
    }

    /// An instance is proven to be gone.
    pub(super) fn note_gone(&self, key: &IdempotencyKey) {
        put(&self.0.gone, key, Some(Instant::now()));
    }

    /// A proof of absence holds no longer: a request that was lost may have made the instance since.
    pub(super) fn may_exist(&self, key: &IdempotencyKey) {
        put(&self.0.gone, key, None);
    }

    /// Whether an instance was proven to be gone a moment ago.
    pub(super) fn was_gone(&self, key: &IdempotencyKey) -> bool {
        get(&self.0.gone, key).is_some_and(|at| at.elapsed() < PROOF_FOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_does_not_grow_for_ever() {
        let (asked, sku) = (Asked::default(), SkuId::new("pg/small").expect("a name"));
        let key = |at: usize| IdempotencyKey::new(format!("k-{at}")).expect("a key");
        for at in 0..MOST + 5 {
            asked.remember(&key(at), &sku);
            asked.remember(&key(at), &sku);
        }
        assert_eq!(asked.0.products.lock().expect("nobody panics").len(), MOST);
        assert_eq!((asked.sku_of(&key(0)), asked.sku_of(&key(MOST + 4))), (None, Some(sku)));
    }

    #[test]
    fn a_proof_of_absence_ends_with_the_next_request() {
        let (asked, sku) = (Asked::default(), SkuId::new("pg/small").expect("a name"));
        let key = IdempotencyKey::new("k").expect("a key");
        assert!(!asked.was_gone(&key));
        asked.note_gone(&key);
        assert!(asked.was_gone(&key));
        asked.remember(&key, &sku);
        assert!(!asked.was_gone(&key), "it was asked for again");
    }
}
