//! Which orders may be purged.
#![cfg_attr(
    not(any(feature = "sqlite", feature = "postgres")),
    expect(dead_code, reason = "no store of ours is built in")
)]

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::model::{OrderEvent, OrderEventKind, OrderState, RepairAction, StepState};

/// Whether an order could be removed, from its state and the time of its last event.
pub(super) fn is_purge_candidate(state: OrderState, last: Timestamp, before: Timestamp) -> bool {
    state.is_over() && last < before
}

/// Whether nothing of an order exists any more, from all of its events: each of its steps is proven to have left nothing,
/// and no scan has found something since that is not proven to be gone.
pub(super) fn is_proven_over(events: &[OrderEvent]) -> bool {
    let (mut steps, mut found) = (BTreeMap::new(), BTreeMap::new());
    let mut is_proven = false;
    for event in events {
        match &*event.kind {
            OrderEventKind::Order { state, .. } => is_proven = state.is_over(),
            OrderEventKind::Step { index, step, .. } => {
                steps.insert(*index, *step == StepState::Compensated);
            }
            OrderEventKind::Reconciled { finding, action } => match action {
                RepairAction::Releasing | RepairAction::Failed { .. } => {
                    found.insert((&finding.provider, &finding.service), false);
                }
                RepairAction::Released => {
                    found.insert((&finding.provider, &finding.service), true);
                }
                // Of a service that a step held: the step's own end proves that it is gone.
                RepairAction::Recorded => {}
            },
            OrderEventKind::Attempt { .. }
            | OrderEventKind::FailedOver { .. }
            | OrderEventKind::Operator { .. }
            | OrderEventKind::CancellationRequested { .. }
            | OrderEventKind::DriveFailed { .. }
            | OrderEventKind::PriceUnchecked { .. }
            | OrderEventKind::PricesChecked { .. } => {}
            // It may say that something exists.
            OrderEventKind::Unknown => return false,
        }
    }
    is_proven && steps.into_values().all(|is_over| is_over) && found.into_values().all(|is_gone| is_gone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Finding, FindingKind, OrderId, RecordedKind};

    fn kinds(last: &[OrderEventKind]) -> Vec<OrderEvent> {
        let step = |step| OrderEventKind::Step { index: 0, provider: "acme".parse().expect("a name"), step };
        let order = |state| OrderEventKind::Order { state, reason: None, accepted: None };
        let stuck = StepState::Stuck { reason: "refused".to_owned(), service: None, operation: None };
        let mut kinds = vec![
            order(OrderState::Stuck),
            step(stuck),
            order(OrderState::Compensated),
            step(StepState::Compensated),
        ];
        kinds.extend(last.iter().cloned());
        let at = Timestamp::UNIX_EPOCH;
        let event = |(number, kind)| OrderEvent {
            sequence: number,
            number,
            order: OrderId::generate(),
            at,
            kind: RecordedKind::new(kind).expect("text"),
            hash: String::new(),
        };
        (1..).zip(kinds).map(event).collect()
    }

    fn found(action: RepairAction) -> OrderEventKind {
        let finding = Finding {
            kind: FindingKind::Orphan,
            provider: "acme".parse().expect("a name"),
            service: "vm-1".parse().expect("a name"),
            order: OrderId::generate(),
            step: 0,
            evidence: String::new(),
        };
        OrderEventKind::Reconciled { finding, action }
    }

    #[test]
    fn nothing_is_left_of_steps_that_are_compensated() {
        assert!(is_proven_over(&kinds(&[])));
        assert!(!is_proven_over(&kinds(&[])[..3]), "a step is stuck");
        assert!(!is_proven_over(&kinds(&[])[..1]), "the order is stuck");
        assert!(!is_proven_over(&[]));
    }

    #[test]
    fn what_a_scan_could_not_end_may_still_exist() {
        let failed = RepairAction::Failed { reason: "refused".to_owned() };
        for action in [RepairAction::Releasing, failed] {
            assert!(!is_proven_over(&kinds(&[found(action.clone())])), "{action:?}");
            assert!(is_proven_over(&kinds(&[found(action), found(RepairAction::Released)])));
        }
        assert!(is_proven_over(&kinds(&[found(RepairAction::Recorded)])));
    }

    #[test]
    fn an_order_is_over_by_each_word_for_it_and_never_where_a_later_version_said_something() {
        for state in [OrderState::Ended, OrderState::Failed, OrderState::Refused] {
            assert!(
                is_proven_over(&kinds(&[OrderEventKind::Order { state, reason: None, accepted: None }])),
                "{state:?}"
            );
        }
        assert!(!is_proven_over(&kinds(&[OrderEventKind::Unknown])));
    }

    #[test]
    fn only_compensated_orders_and_only_old_ones_are_looked_at() {
        let (now, later) = (Timestamp::UNIX_EPOCH, Timestamp::MAX);
        for state in [OrderState::Compensated, OrderState::Ended, OrderState::Failed, OrderState::Refused] {
            assert!(is_purge_candidate(state, now, later), "{state:?}");
            assert!(!is_purge_candidate(state, now, now), "{state:?}");
        }
        for state in [OrderState::Accepted, OrderState::Committed, OrderState::Stuck, OrderState::Abandoned] {
            assert!(!is_purge_candidate(state, now, later), "{state:?}");
        }
    }
}
