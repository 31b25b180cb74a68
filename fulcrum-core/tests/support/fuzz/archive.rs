//! An archive of an order, as anybody may have changed it.

use std::{collections::BTreeMap, sync::OnceLock};

use super::fault;
use fulcrum_core::{
    model::{Order, OrderEvent, Step},
    purchase::{OrderArchive, Timeline},
};

/// The committed archives, by the hash of their last event.
fn known() -> &'static BTreeMap<String, OrderArchive> {
    static KNOWN: OnceLock<BTreeMap<String, OrderArchive>> = OnceLock::new();
    KNOWN.get_or_init(|| {
        let texts = [
            include_str!("../../fuzz/archive/committed.json"),
            include_str!("../../fuzz/archive/failed-over.json"),
            include_str!("../../fuzz/archive/ended.json"),
        ];
        let read = |text| OrderArchive::from_json(text).ok();
        texts.into_iter().filter_map(read).map(|archive| (archive.head.clone(), archive)).collect()
    })
}

/// What the chain proves of an order: not its attempts, and not what its prices were checked at last.
fn proven(order: &Order) -> Order {
    let step = |step: &Step| {
        let mut step = step.clone();
        step.attempts.clear();
        step.lease.checked = None;
        step
    };
    {
        let mut changed = order.clone();
        changed.steps = order.steps.iter().map(step).collect();
        changed
    }
}

/// Its events as the chain proves them: not where they stand in their ledger.
fn told(archive: &OrderArchive) -> Vec<OrderEvent> {
    archive.events.iter().map(|event| OrderEvent { sequence: 0, ..event.clone() }).collect()
}

/// Reads, checks and writes it again. What is believed under a hash that is known is what was under it.
pub fn archive(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let archive = match OrderArchive::from_json(text) {
        Ok(archive) => archive,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return false;
        }
    };
    let again = archive.to_json().expect("it can be written");
    let read = OrderArchive::from_json(&again).expect("it can be read again");
    assert_eq!(read.verify().is_ok(), archive.verify().is_ok(), "it is believed once only: {again}");
    let timeline = Timeline::new(&archive.order, &archive.events);
    assert!(timeline.to_string().lines().count() > archive.events.len(), "a line for each event");
    fault::meet([
        archive.verify().is_err(),
        archive.events.len() > 4,
        again.contains(['#', '%', '&', '~', '^', '*', '+', '@', '!', 'J', 'K', 'Q', 'V', 'W', 'X']),
        archive.events.windows(2).any(|pair| pair[0].sequence.checked_add(1) != Some(pair[1].sequence)),
    ]);
    if let Err(error) = archive.verify() {
        assert!(!error.to_string().is_empty());
        return false;
    }
    if let Some(known) = known().get(&archive.head) {
        assert_eq!(told(&archive), told(known), "other events under the same hash");
        assert_eq!(proven(&archive.order), proven(&known.order), "another order under the same hash");
    }
    true
}
