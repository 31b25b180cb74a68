//! What this process has asked for lately: brokers do not say which product an instance is before it is there.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use crate::model::{IdempotencyKey, SkuId};

/// Instances that are kept in mind: more are not being made at once.
const MOST: usize = 1_000;

/// Products by instance, the newest first. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked(Arc<Mutex<VecDeque<(IdempotencyKey, SkuId)>>>);

impl Asked {
    /// Keeps in mind what is asked for, and forgets what was asked for long ago.
    pub(super) fn remember(&self, key: &IdempotencyKey, sku: &SkuId) {
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        asked.retain(|(instance, _)| instance != key);
        asked.truncate(MOST - 1);
        asked.push_front((key.clone(), sku.clone()));
    }

    pub(super) fn sku_of(&self, key: &IdempotencyKey) -> Option<SkuId> {
        let asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        asked.iter().find(|(instance, _)| instance == key).map(|(_, sku)| sku.clone())
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
        assert_eq!(asked.0.lock().expect("nobody panics").len(), MOST);
        assert_eq!((asked.sku_of(&key(0)), asked.sku_of(&key(MOST + 4))), (None, Some(sku)));
    }
}
