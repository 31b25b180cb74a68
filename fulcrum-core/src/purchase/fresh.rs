//! Orders that this very process has just created: of their steps nobody else can have asked yet.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use super::moment::Moment;
use crate::model::OrderId;

/// Orders that are remembered; of an older one its provider is asked once more than need be.
const MOST: usize = 20_000;
/// How long an order is taken for new. Later its ledger may have gone back to before another host drove it.
const FOR: Duration = Duration::from_secs(60);

/// An order is new once: to the first driver of this process, soon after this process has created it. Whatever the ledger
/// says later, somebody may have asked: it may have gone back, as after a restore or a fail-over to a lagging replica.
#[derive(Debug, Default)]
pub(super) struct FreshOrders(Mutex<BTreeMap<OrderId, Moment>>);

impl FreshOrders {
    pub(super) fn insert(&self, order: OrderId) {
        let mut orders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        orders.insert(order, Moment::now());
        if orders.len() > MOST {
            orders.pop_first();
        }
    }

    /// Whether this process has accepted an order that nobody here has driven yet.
    pub(super) fn has(&self, order: &OrderId) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(order)
    }

    /// Whether an order is new to the driver that begins now; it is new to no other.
    pub(super) fn take(&self, order: &OrderId) -> bool {
        let since = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(order);
        since.is_some_and(|since| since.is_within(FOR))
    }

    /// After an error of the store nothing is new: it may answer from an older copy next.
    pub(super) fn forget_all(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_new_once() {
        let (orders, id) = (FreshOrders::default(), OrderId::generate());
        assert!(!orders.take(&id), "another process's");
        orders.insert(id.clone());
        assert!(orders.take(&id));
        assert!(!orders.take(&id), "the ledger may have gone back since");
        orders.insert(id.clone());
        orders.forget_all();
        assert!(!orders.take(&id));
    }
}
