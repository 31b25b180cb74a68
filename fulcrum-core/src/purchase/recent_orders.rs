//! Recent orders: this process has just created them, so nobody else can have asked for their steps yet.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;

use super::dual_clock::DualInstant;
use crate::model::OrderId;

/// Orders that are remembered. The driver of an older one makes one look-up more than it needs.
const MAX_REMEMBERED_ORDERS: usize = 20_000;
/// How long an order counts as new. Later its ledger may have gone back to before another host drove it.
const RECENT_PERIOD: Duration = Duration::from_secs(60);

/// An order is new once: to the first driver of this process, soon after this process has created it. Later somebody may have
/// asked whatever the ledger says, because it may have gone back: after a restore, or a fail-over to a lagging replica. An order
/// that is created a second time was lost by its ledger, and is not new. Nor is an order whose id is old, by the time in it:
/// another process may have had it.
#[derive(Debug, Default)]
pub(super) struct RecentOrders(Mutex<BTreeMap<OrderId, Option<DualInstant>>>);

impl RecentOrders {
    pub(super) fn insert(&self, order: OrderId) {
        let mut orders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = !orders.contains_key(&order) && !is_old(&order, Timestamp::now());
        orders.insert(order, is_new.then(DualInstant::now));
        if orders.len() > MAX_REMEMBERED_ORDERS {
            orders.pop_first();
        }
    }

    /// Whether this process has accepted the order, and has not driven it yet.
    pub(super) fn contains(&self, order: &OrderId) -> bool {
        let orders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        orders.get(order).is_some_and(Option::is_some)
    }

    /// Whether an order is new to the driver that begins now. It is not new to any later one.
    pub(super) fn take(&self, order: &OrderId) -> bool {
        let mut orders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        orders.get_mut(order).and_then(Option::take).is_some_and(|since| since.is_within(RECENT_PERIOD))
    }

    /// Forgets all: after an error of the store, the ledger may answer from an older copy.
    pub(super) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values_mut().for_each(|since| *since = None);
    }
}

/// Whether an id has a time that is not recent. A clock that is ahead by as much goes unnoticed.
fn is_old(order: &OrderId, now: Timestamp) -> bool {
    let made = uuid::Uuid::parse_str(order.as_str()).ok().and_then(|uuid| uuid.get_timestamp());
    let seconds = made.and_then(|made| i64::try_from(made.to_unix().0).ok());
    let made = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
    made.is_some_and(|made| now.duration_since(made).unsigned_abs() > RECENT_PERIOD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_new_once() {
        let (orders, id) = (RecentOrders::default(), OrderId::generate());
        assert!(!orders.take(&id), "another process's");
        orders.insert(id.clone());
        assert!(orders.take(&id));
        assert!(!orders.take(&id), "the ledger may have gone back since");
        let id = OrderId::generate();
        orders.insert(id.clone());
        orders.clear();
        assert!(!orders.take(&id));
    }

    #[test]
    fn an_id_that_was_made_long_ago_is_not_new() {
        let now = Timestamp::now();
        let id = OrderId::generate();
        assert!(!is_old(&id, now));
        assert!(is_old(&id, now + RECENT_PERIOD * 2) && is_old(&id, now - RECENT_PERIOD * 2));
        let by_chance: OrderId = "0d9b2d4e-3c1f-4b5a-9c7d-8e6f5a4b3c2d".parse().expect("an id");
        assert!(!is_old(&by_chance, now), "it does not tell");
    }

    #[test]
    fn an_order_that_its_ledger_lost_is_not_new_when_it_is_created_again() {
        let (orders, id) = (RecentOrders::default(), OrderId::generate());
        orders.insert(id.clone());
        assert!(orders.take(&id));
        orders.insert(id.clone());
        assert!(!orders.contains(&id) && !orders.take(&id), "the lost one may have bought");
    }
}
