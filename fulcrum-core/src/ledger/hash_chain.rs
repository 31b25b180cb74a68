//! The hash chain of an order's events: each event carries a hash over itself and the event before, so that a change shows.
//!
//! Whoever can write to the store can also write a new chain. To detect that too, keep the hash of an order's last event
//! elsewhere (S. Haber, W. S. Stornetta, "How to time-stamp a digital document", J. Cryptology 3, 1991).
#![cfg_attr(
    not(any(feature = "sqlite", feature = "postgres")),
    expect(dead_code, reason = "no store of ours is built in")
)]

use jiff::Timestamp;

use super::{LedgerError, Result};
use crate::model::{OrderEvent, OrderEventKind, OrderId};

/// The hash before the first event.
pub(super) const GENESIS_HASH: &str = "";

/// The end of an order's chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ChainHead {
    /// How many events there are.
    pub(super) count: u64,
    /// The hash of the last one.
    pub(super) hash: String,
}

/// An event as it is stored.
#[derive(Debug)]
pub(super) struct ChainLink {
    pub(super) number: u64,
    pub(super) at: String,
    pub(super) kind: String,
    pub(super) hash: String,
}

impl ChainHead {
    /// The next event.
    pub(super) fn append(
        &mut self,
        order: &OrderId,
        at: Timestamp,
        kind: &OrderEventKind,
    ) -> Result<ChainLink> {
        let kind = super::json::text(kind)?;
        let at = at.to_string();
        self.count += 1;
        self.hash = hash(&self.hash, order, self.count, &at, &kind);
        Ok(ChainLink { number: self.count, at, kind, hash: self.hash.clone() })
    }

    /// Whether an event is the next one, which it then is.
    fn accept(&mut self, event: &OrderEvent) -> bool {
        let (number, at) = (self.count + 1, event.at.to_string());
        let is_of = |text: &str| hash(&self.hash, &event.order, number, &at, text) == event.hash;
        let is_next = event.number == number
            && (is_of(event.kind.text()) || event.kind.rewritten().is_some_and(|text| is_of(&text)));
        (self.count, self.hash) = (number, event.hash.clone());
        is_next
    }
}

/// Each part with its length before it, so that no two lists of parts give the same bytes.
fn hash(previous: &str, order: &OrderId, number: u64, at: &str, kind: &str) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in [previous, order.as_str(), &number.to_string(), at, kind] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

/// Checks all events of one order, in their order; gives the hash of the last one.
///
/// # Errors
/// [`LedgerError::Damaged`]: the first event that was changed, added, or follows on one that was removed.
pub fn verify_events(events: &[OrderEvent]) -> Result<String> {
    let mut head = ChainHead { count: 0, hash: GENESIS_HASH.to_owned() };
    for event in events {
        if !head.accept(event) {
            return Err(LedgerError::Damaged(format!(
                "event {} of order {} does not follow from those before it: one of them was changed, or is missing",
                event.number, event.order
            )));
        }
    }
    Ok(head.hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{OrderState, RecordedKind};

    fn kind(text: &str) -> RecordedKind {
        RecordedKind::from_text(text).expect("an event")
    }

    fn events() -> Vec<OrderEvent> {
        let order = OrderId::generate();
        let mut head = ChainHead { count: 0, hash: GENESIS_HASH.to_owned() };
        let states = [OrderState::Accepted, OrderState::Provisioning, OrderState::Committed];
        let events = states.into_iter().map(|state| {
            let (at, kind) =
                (Timestamp::now(), OrderEventKind::Order { state, reason: None, accepted: None });
            let link = head.append(&order, at, &kind).expect("a link");
            let kind = RecordedKind::new(kind).expect("text");
            OrderEvent { sequence: 7, number: link.number, order: order.clone(), at, kind, hash: link.hash }
        });
        events.collect()
    }

    #[test]
    fn a_chain_as_written_holds() {
        let events = events();
        assert_eq!(verify_events(&events).expect("whole"), events[2].hash);
        assert_eq!(verify_events(&[]).expect("nothing is whole"), GENESIS_HASH);
    }

    #[test]
    fn every_change_shows() {
        let changes: [fn(&mut Vec<OrderEvent>); 7] = [
            |events| events[1].kind = kind(r#"{"event":"order","state":"stuck","reason":null}"#),
            |events| {
                events[1].kind = kind(r#"{"event":"order","state":"provisioning","reason":null,"new":1}"#)
            },
            |events| events[0].at += jiff::SignedDuration::from_nanos(1),
            |events| events[2].order = OrderId::generate(),
            |events| events[1].hash = events[2].hash.clone(),
            |events| drop(events.remove(1)),
            |events| events.swap(0, 1),
        ];
        for (at, change) in changes.into_iter().enumerate() {
            let mut events = events();
            change(&mut events);
            assert!(verify_events(&events).is_err(), "change {at}");
        }
    }

    #[test]
    fn fields_of_a_later_version_are_covered_too() {
        let text = r#"{"event":"order","state":"committed","reason":null,"later":{"b":1,"a":2}}"#;
        let (order, at) = (OrderId::generate(), Timestamp::now());
        let hash = hash(GENESIS_HASH, &order, 1, &at.to_string(), text);
        let event = OrderEvent { sequence: 1, number: 1, order, at, kind: kind(text), hash };
        verify_events(std::slice::from_ref(&event)).expect("whole");
        for other in [text.replace("\"a\":2", "\"a\":3"), text.replace(r#","later":{"b":1,"a":2}"#, "")] {
            let changed = OrderEvent { kind: kind(&other), ..event.clone() };
            assert!(verify_events(&[changed]).is_err(), "{other}");
        }
        // An archive that was indented, and one whose fields were sorted.
        let indented = serde_json::to_string_pretty(&event).expect("text");
        verify_events(&[serde_json::from_str(&indented).expect("an event")]).expect("whole");
        let events = events();
        let sorted = serde_json::to_value(&events).expect("JSON");
        verify_events(&serde_json::from_value::<Vec<_>>(sorted).expect("events")).expect("whole");
    }
}
