//! The state machine of a step: the next effect, from the ledger alone. No I/O, no clock.

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    model::{CallProgress, ClaimId, RequestSent, ServiceId, Step, StepState},
    provider::{Call, Capabilities, OperationHandle},
};

/// What a step does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Effect {
    /// Write the intent.
    RecordIntent,
    /// Write that the outcome of an earlier driver's request is unknown. The look-up begins now.
    RecordUnknown,
    /// Send the request.
    Provision,
    /// Look up the key before the first intent, as the ledger may have gone back. Absence proves nothing before `lag` is over.
    LookFirst { lag: Duration },
    /// Look up the key after an unknown outcome. Absence proves nothing before `lag` is over.
    FindByKey { lag: Duration },
    /// Poll the operation.
    Poll(OperationHandle),
    /// Look up what is to be released. Absence proves nothing before `lag` is over.
    FindToRelease { lag: Duration },
    /// Release the service.
    Release(ServiceId),
    /// Poll the release.
    PollRelease(ServiceId, OperationHandle),
    /// Nothing to do.
    Nothing,
}

/// How a provider treats repeated requests, and how late its lists are.
#[derive(Debug, Clone, Copy)]
pub(super) struct RetrySemantics {
    /// Whether a repeated request with the same key has no second effect.
    pub(super) is_repeatable: bool,
    /// How long a new service may be missing from look-ups.
    pub(super) lag: Duration,
}

impl From<&Capabilities> for RetrySemantics {
    fn from(capabilities: &Capabilities) -> Self {
        let class = capabilities.idempotency_of(Call::Provision);
        Self { is_repeatable: class.is_repeatable(), lag: capabilities.list_lag() }
    }
}

/// The next effect of a step, for the driver with the claim `mine`.
///
/// Only the driver that wrote an intent sends the request, right after writing it. A driver that finds another one's intent
/// looks up the key first, because the other one may have died after sending. If the provider de-duplicates, the look-up may be
/// skipped, unless it must prove that there is nothing to release.
///
/// `is_new`: nobody can have asked for a planned step, as this driver's own process has accepted the order, or has
/// looked.
///
/// `lag` is a span, not a time: the driver measures it by its monotonic clock.
pub(super) fn next_effect(step: &Step, mine: &ClaimId, semantics: RetrySemantics, is_new: bool) -> Effect {
    let RetrySemantics { is_repeatable, lag } = semantics;
    match &step.state {
        // A reservation is not a purchase.
        StepState::Planned | StepState::Reserving { .. } | StepState::Reserved { .. } => {
            if is_new || is_repeatable { Effect::RecordIntent } else { Effect::LookFirst { lag } }
        }
        StepState::Provisioning { claim, progress: CallProgress::IntentOnly, .. } if claim == mine => {
            Effect::Provision
        }
        StepState::Provisioning { progress: CallProgress::IntentOnly, .. } => Effect::RecordUnknown,
        // A repeated request finds what lists still hide.
        StepState::Provisioning { progress: CallProgress::OutcomeUnknown, .. } => {
            Effect::FindByKey { lag: if is_repeatable { Duration::ZERO } else { lag } }
        }
        StepState::Provisioning { progress: CallProgress::Running(operation), .. } => {
            Effect::Poll(OperationHandle::new(operation.as_str()))
        }
        StepState::Compensating { service: Some(service), operation: Some(operation), .. } => {
            Effect::PollRelease(service.clone(), OperationHandle::new(operation.as_str()))
        }
        StepState::Compensating { service: Some(service), operation: None, .. } => {
            Effect::Release(service.clone())
        }
        // Nothing was sent, and nobody else can have asked.
        StepState::Compensating { service: None, sent: RequestSent::Never, .. } => {
            Effect::FindToRelease { lag: Duration::ZERO }
        }
        StepState::Compensating { service: None, .. } => Effect::FindToRelease { lag },
        StepState::Provisioned { .. }
        | StepState::Committed { .. }
        | StepState::Acting { .. }
        | StepState::Compensated
        | StepState::Stuck { .. } => Effect::Nothing,
    }
}

/// The state in which a step's compensation begins. A step that never sent anything is compensated at once.
///
/// `now` is when the look-up begins: the request may be as recent as that. `is_new` as in [`next_effect`]: the key of any other
/// planned step is looked up, too.
pub(super) fn to_compensate(state: &StepState, now: Timestamp, is_new: bool) -> StepState {
    match state {
        StepState::Planned if is_new => StepState::Compensated,
        // A reservation ends with the compensation. If the ledger may have gone back, the step may have been bought.
        StepState::Planned | StepState::Reserving { .. } | StepState::Reserved { .. } => {
            let sent = if is_new { RequestSent::Never } else { RequestSent::Maybe { at: now } };
            StepState::Compensating { service: None, operation: None, sent, since: now }
        }
        StepState::Compensated => StepState::Compensated,
        // The service may be known by the operation's handle alone.
        StepState::Provisioning { progress: CallProgress::Running(handle), .. } => {
            let operation = Some(handle.clone());
            StepState::Compensating {
                service: None,
                operation,
                sent: RequestSent::Maybe { at: now },
                since: now,
            }
        }
        StepState::Provisioning { operation, .. } => {
            let operation = operation.clone();
            StepState::Compensating {
                service: None,
                operation,
                sent: RequestSent::Maybe { at: now },
                since: now,
            }
        }
        StepState::Provisioned { service }
        | StepState::Committed { service }
        | StepState::Acting { service, .. } => StepState::Compensating {
            service: Some(service.id.clone()),
            operation: None,
            sent: RequestSent::Known,
            since: now,
        },
        StepState::Compensating { .. } => state.clone(),
        // An operator retries: the service that was known is released, not only what the key finds.
        StepState::Stuck { service, operation, .. } => StepState::Compensating {
            service: service.clone(),
            operation: operation.clone(),
            sent: RequestSent::Maybe { at: now },
            since: now,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{IdempotencyKey, Lease, OfferKind, OrderId, Place};

    const NOW: Timestamp = Timestamp::MAX;

    fn step(state: StepState) -> Step {
        let place = Place {
            provider: "acme".parse().expect("a name"),
            region: "r".parse().expect("a name"),
            zone: None,
            country: "DE".parse().expect("a country"),
            coordinates: None,
        };
        Step {
            index: 0,
            key: IdempotencyKey::of_step(&OrderId::generate(), 0),
            provider: "acme".parse().expect("a name"),
            lease: Lease {
                offer: "acme/r/s".parse().expect("a name"),
                sku: "s".parse().expect("a name"),
                kind: OfferKind::Machine,
                place,
                replicas: indexmap::IndexMap::new(),
                size_gib: 0,
                keeps: None,
                settings: Default::default(),
                after: Default::default(),
                rank: 0,
                partners: Default::default(),
                purchase_option: Default::default(),
                term_months: 0,
                disk_sku: None,
                lines: Vec::new(),
                checked: None,
                later: Default::default(),
            },
            state,
            attempts: Vec::new(),
        }
    }

    fn claim(token: u64) -> ClaimId {
        ClaimId::of_token(token)
    }

    fn provisioning(token: u64, progress: CallProgress) -> Step {
        step(StepState::Provisioning { claim: claim(token), since: NOW, progress, operation: None })
    }

    const LIST_LAG: Duration = Duration::from_secs(5);
    const BY_KEY: RetrySemantics = RetrySemantics { is_repeatable: true, lag: LIST_LAG };
    const LAGGING: RetrySemantics = RetrySemantics { is_repeatable: false, lag: LIST_LAG };

    #[test]
    fn nothing_is_called_before_its_intent_is_written() {
        assert_eq!(next_effect(&step(StepState::Planned), &claim(1), BY_KEY, true), Effect::RecordIntent);
        assert_eq!(next_effect(&step(StepState::Planned), &claim(1), LAGGING, true), Effect::RecordIntent);
    }

    #[test]
    fn an_order_of_an_earlier_process_is_looked_for_unless_a_repeat_does_no_harm() {
        assert_eq!(
            next_effect(&step(StepState::Planned), &claim(1), LAGGING, false),
            Effect::LookFirst { lag: LIST_LAG }
        );
        assert_eq!(next_effect(&step(StepState::Planned), &claim(1), BY_KEY, false), Effect::RecordIntent);
    }

    #[test]
    fn only_the_writer_of_an_intent_makes_the_call() {
        assert_eq!(
            next_effect(&provisioning(1, CallProgress::IntentOnly), &claim(1), BY_KEY, true),
            Effect::Provision
        );
        assert_eq!(
            next_effect(&provisioning(2, CallProgress::IntentOnly), &claim(1), BY_KEY, true),
            Effect::RecordUnknown
        );
    }

    #[test]
    fn after_an_unknown_outcome_the_key_is_looked_up_for_as_long_as_lists_lag() {
        let unknown = provisioning(1, CallProgress::OutcomeUnknown);
        assert_eq!(next_effect(&unknown, &claim(1), LAGGING, true), Effect::FindByKey { lag: LIST_LAG });
        assert_eq!(next_effect(&unknown, &claim(1), BY_KEY, true), Effect::FindByKey { lag: Duration::ZERO });
    }

    #[test]
    fn compensation_of_an_unknown_outcome_looks_before_it_forgets() {
        let state = to_compensate(&provisioning(1, CallProgress::IntentOnly).state, NOW, true);
        for semantics in [BY_KEY, LAGGING] {
            let next = next_effect(&step(state.clone()), &claim(1), semantics, true);
            assert_eq!(next, Effect::FindToRelease { lag: LIST_LAG });
        }
    }

    #[test]
    fn compensation_keeps_the_handle_of_what_was_to_be_made() {
        let forgotten = StepState::Provisioning {
            claim: claim(1),
            since: NOW,
            progress: CallProgress::OutcomeUnknown,
            operation: Some("op".to_owned()),
        };
        for state in [provisioning(1, CallProgress::Running("op".to_owned())).state, forgotten] {
            let undone = to_compensate(&state, NOW, true);
            let StepState::Compensating { service: None, operation: Some(handle), .. } = &undone else {
                panic!("{undone:?}")
            };
            assert_eq!(handle, "op");
            let next = next_effect(&step(undone), &claim(1), BY_KEY, true);
            assert_eq!(next, Effect::FindToRelease { lag: LIST_LAG });
        }
    }

    #[test]
    fn what_was_never_sent_needs_no_release() {
        assert_eq!(to_compensate(&StepState::Planned, NOW, true), StepState::Compensated);
    }

    #[test]
    fn what_is_held_is_bought_like_what_is_planned_and_given_back_when_undone() {
        for held in [StepState::Reserving { since: NOW }, StepState::Reserved { until: NOW }] {
            assert_eq!(next_effect(&step(held.clone()), &claim(1), LAGGING, true), Effect::RecordIntent);
            assert_eq!(
                next_effect(&step(held.clone()), &claim(1), LAGGING, false),
                Effect::LookFirst { lag: LIST_LAG }
            );
            let undone = to_compensate(&held, NOW, true);
            let lag = Duration::ZERO;
            assert_eq!(next_effect(&step(undone), &claim(1), LAGGING, true), Effect::FindToRelease { lag });
        }
    }
}
