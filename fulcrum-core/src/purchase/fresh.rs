//! Orders that this very process has just created: of their steps nobody else can have asked yet.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;

use super::moment::Moment;
use crate::model::OrderId;

/// Orders that are remembered; of an older one its provider is asked once more than need be.
const MOST: usize = 20_000;
/// How long an order is taken for new. Later its ledger may have gone back to before another host drove it.
const FOR: Duration = Duration::from_secs(60);

/// An order is new once: to the first driver of this process, soon after this process has created it. Whatever the ledger
/// says later, somebody may have asked: it may have gone back, as after a restore or a fail-over to a lagging replica. One
/// that is created a second time was lost by its ledger, and is new to nobody; nor is one whose id, by the time that is in it,
/// was made long ago: another process may have had it.
#[derive(Debug, Default)]
pub(super) struct FreshOrders(Mutex<BTreeMap<OrderId, Option<Moment>>>);

impl FreshOrders {
    pub(super) fn insert(&self, order: OrderId) {
        let mut orders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = !orders.contains_key(&order) && !is_old(&order, Timestamp::now());
        orders.insert(order, is_new.then(Moment::now));
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

/// Whether an id tells when it was made, and that was long ago. Of a clock that is ahead by as much nobody can tell.
fn is_old(order: &OrderId, now: Timestamp) -> bool {
    let made = uuid::Uuid::parse_str(order.as_str()).ok().and_then(|uuid| uuid.get_timestamp());
    let seconds = made.and_then(|made| i64::try_from(made.to_unix().0).ok());
    let made = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
    made.is_some_and(|made| now.duration_since(made).unsigned_abs() > FOR)
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
    fn an_id_that_was_made_long_ago_is_not_new() {
        let now = Timestamp::now();
        let id = OrderId::generate();
        assert!(!is_old(&id, now));
        assert!(is_old(&id, now + FOR * 2) && is_old(&id, now - FOR * 2));
        let by_chance: OrderId = "0d9b2d4e-3c1f-4b5a-9c7d-8e6f5a4b3c2d".parse().expect("an id");
        assert!(!is_old(&by_chance, now), "it does not tell");
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
