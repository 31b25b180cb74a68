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
/// says later, somebody may have asked: it may have gone back, as after a restore or a fail-over to a lagging replica. One
/// that is created a second time was lost by its ledger, and is new to nobody.
#[derive(Debug, Default)]
pub(super) struct FreshOrders(Mutex<BTreeMap<OrderId, Option<Moment>>>);

impl FreshOrders {
    pub(super) fn insert(&self, order: OrderId) {
        let mut orders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = !orders.contains_key(&order);
        orders.insert(order, is_first.then(Moment::now));
        if orders.len() > MOST {
            orders.pop_first();
        }
    }

    /// Whether this process has accepted an order that nobody here has driven yet.
    pub(super) fn has(&self, order: &OrderId) -> bool {
        let orders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        orders.get(order).is_some_and(Option::is_some)
    }

    /// Whether an order is new to the driver that begins now; it is new to no other.
    pub(super) fn take(&self, order: &OrderId) -> bool {
        let mut orders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        orders.get_mut(order).and_then(Option::take).is_some_and(|since| since.is_within(FOR))
    }

    /// After an error of the store nothing is new: it may answer from an older copy next.
    pub(super) fn forget_all(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values_mut().for_each(|since| *since = None);
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
        let id = OrderId::generate();
        orders.insert(id.clone());
        orders.forget_all();
        assert!(!orders.take(&id));
    }

    #[test]
    fn an_order_that_its_ledger_lost_is_not_new_when_it_is_created_again() {
        let (orders, id) = (FreshOrders::default(), OrderId::generate());
        orders.insert(id.clone());
        assert!(orders.take(&id));
        orders.insert(id.clone());
        assert!(!orders.has(&id) && !orders.take(&id), "the lost one may have bought");
    }
}
