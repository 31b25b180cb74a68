//! What comes next, from the ledger alone: no I/O, no clock.

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    model::{CallProgress, ServiceId, Step, StepState},
    provider::{Call, Capabilities, OperationHandle, ProviderError},
};

/// The next action of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// Write down that the provider will be asked.
    RecordIntent,
    /// Write down that an earlier driver may have asked, and that the look-up begins now.
    RecordUnknown,
    /// Ask the provider.
    Provision,
    /// Look whether the key has started something that this ledger does not know of, as after it went back; until it has
    /// been looked for as long as lists lag, not finding it proves nothing: the copy may be of a moment ago.
    LookFirst { lag: Duration },
    /// Look for what the key may have started; until it has been looked for as long as lists lag, not finding it proves
    /// nothing.
    FindByKey { lag: Duration },
    /// Ask how far it is.
    Poll(OperationHandle),
    /// Look for what is to be released; until it has been looked for as long as lists lag, not finding it proves nothing.
    FindToRelease { lag: Duration },
    /// End the service.
    Release(ServiceId),
    /// Ask how far the release is.
    PollRelease(ServiceId, OperationHandle),
    /// Nothing to do.
    Nothing,
}

/// What a provider says of repeated calls and of its lists.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manners {
    /// Whether the same call with the same key may be sent again without looking first.
    pub(super) is_repeatable: bool,
    /// How long a new service may be missing from look-ups.
    pub(super) lag: Duration,
}

impl From<&Capabilities> for Manners {
    fn from(capabilities: &Capabilities) -> Self {
        let class = capabilities.idempotency_of(Call::Provision);
        Self { is_repeatable: class.is_repeatable(), lag: capabilities.list_lag() }
    }
}

/// The next action of a step, for the driver that holds the claim `mine`.
///
/// A call is only ever made by the driver that wrote its intent, right after writing it. Whoever finds an intent of
/// somebody else must look first: the other one may have died after sending. Where the provider itself
/// de-duplicates, the look may be skipped, unless it is to prove that there is nothing to release.
///
/// `is_new`: nobody can have asked for a planned step, as this driver's own process has accepted the order, or has
/// looked.
///
/// How long it must be looked for is told as a span, not as a moment: the driver measures it by a clock that nobody sets.
pub(super) fn next_action(step: &Step, mine: &str, manners: Manners, is_new: bool) -> Action {
    let Manners { is_repeatable, lag } = manners;
    match &step.state {
        // What is held is not bought.
        StepState::Planned | StepState::Reserving { .. } | StepState::Reserved { .. } => {
            if is_new || is_repeatable { Action::RecordIntent } else { Action::LookFirst { lag } }
        }
        StepState::Provisioning { claim, progress: CallProgress::IntentOnly, .. } if claim == mine => {
            Action::Provision
        }
        StepState::Provisioning { progress: CallProgress::IntentOnly, .. } => Action::RecordUnknown,
        // What is hidden yet is found by asking again.
        StepState::Provisioning { progress: CallProgress::OutcomeUnknown, .. } => {
            Action::FindByKey { lag: if is_repeatable { Duration::ZERO } else { lag } }
        }
        StepState::Provisioning { progress: CallProgress::Running(operation), .. } => {
            Action::Poll(OperationHandle::new(operation.as_str()))
        }
        StepState::Compensating { service: Some(service), operation: Some(operation), .. } => {
            Action::PollRelease(service.clone(), OperationHandle::new(operation.as_str()))
        }
        StepState::Compensating { service: Some(service), operation: None, .. } => {
            Action::Release(service.clone())
        }
        // Nothing was sent, and nobody else can have asked.
        StepState::Compensating { service: None, sent: Some(sent), .. } if *sent == Timestamp::UNIX_EPOCH => {
            Action::FindToRelease { lag: Duration::ZERO }
        }
        StepState::Compensating { service: None, .. } => Action::FindToRelease { lag },
        StepState::Provisioned { .. }
        | StepState::Committed { .. }
        | StepState::Acting { .. }
        | StepState::Compensated
        | StepState::Stuck { .. } => Action::Nothing,
    }
}

/// The state in which a step's compensation begins; a step that never sent anything is done at once.
///
/// `now` is when the look-up begins: an intent, or an answer that is missing, may be as young as that. `is_new` as in
/// [`next_action`]: of another planned step it is looked whether there is something, too.
pub(super) fn to_compensate(state: &StepState, now: Timestamp, is_new: bool) -> StepState {
    match state {
        StepState::Planned if is_new => StepState::Compensated,
        // What is held is given back. Where the ledger may have gone back, it may have been bought a moment ago.
        StepState::Planned | StepState::Reserving { .. } | StepState::Reserved { .. } => {
            let sent = Some(if is_new { Timestamp::UNIX_EPOCH } else { now });
            StepState::Compensating { service: None, operation: None, sent, since: now }
        }
        StepState::Compensated => StepState::Compensated,
        // What an operation was to make may be known by its handle alone.
        StepState::Provisioning { progress: CallProgress::Running(handle), .. } => {
            let operation = Some(handle.clone());
            StepState::Compensating { service: None, operation, sent: Some(now), since: now }
        }
        StepState::Provisioning { operation, .. } => {
            let operation = operation.clone();
            StepState::Compensating { service: None, operation, sent: Some(now), since: now }
        }
        StepState::Provisioned { service }
        | StepState::Committed { service }
        | StepState::Acting { service, .. } => StepState::Compensating {
            service: Some(service.id.clone()),
            operation: None,
            sent: None,
            since: now,
        },
        StepState::Compensating { .. } => state.clone(),
        // A person has asked to try again: what was known to exist is ended, not only what its key finds.
        StepState::Stuck { service, operation, .. } => StepState::Compensating {
            service: service.clone(),
            operation: operation.clone(),
            sent: Some(now),
            since: now,
        },
    }
}

/// The longest wait that a provider can ask for.
const MOST_PAUSE: Duration = Duration::from_secs(300);

/// How long to wait after a failed call: growing with each try, as long as the provider asks for if that is no more than
/// five minutes, and never longer than the time that is left.
pub(super) fn pause(tries: u32, error: &ProviderError, left: Duration) -> Duration {
    let asked = error.kind.retry_after().unwrap_or_default().min(MOST_PAUSE);
    back_off(tries).max(asked).min(left)
}

/// How long to wait before the `n`-th try in a row: doubling from 50 ms to 5 s.
pub(super) fn back_off(n: u32) -> Duration {
    Duration::from_millis(50u64.saturating_mul(1 << n.min(7))).min(Duration::from_secs(5))
}

/// How long to wait before the `n`-th poll in a row of one operation, as long as its provider asks for at least: growing to
/// a second where it asks for less, so that what takes long is not asked for all the time.
pub(super) fn between_polls(interval: Duration, n: u32) -> Duration {
    interval.max(Duration::from_millis(u64::from(n).saturating_mul(10)).min(Duration::from_secs(1)))
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

    fn provisioning(claim: &str, progress: CallProgress) -> Step {
        step(StepState::Provisioning { claim: claim.to_owned(), since: NOW, progress, operation: None })
    }

    const LAG: Duration = Duration::from_secs(5);
    const KEY: Manners = Manners { is_repeatable: true, lag: LAG };
    const LAGGING: Manners = Manners { is_repeatable: false, lag: LAG };

    #[test]
    fn nothing_is_called_before_its_intent_is_written() {
        assert_eq!(next_action(&step(StepState::Planned), "me", KEY, true), Action::RecordIntent);
        assert_eq!(next_action(&step(StepState::Planned), "me", LAGGING, true), Action::RecordIntent);
    }

    #[test]
    fn an_order_of_an_earlier_process_is_looked_for_unless_a_repeat_does_no_harm() {
        assert_eq!(
            next_action(&step(StepState::Planned), "me", LAGGING, false),
            Action::LookFirst { lag: LAG }
        );
        assert_eq!(next_action(&step(StepState::Planned), "me", KEY, false), Action::RecordIntent);
    }

    #[test]
    fn only_the_writer_of_an_intent_makes_the_call() {
        assert_eq!(
            next_action(&provisioning("me", CallProgress::IntentOnly), "me", KEY, true),
            Action::Provision
        );
        assert_eq!(
            next_action(&provisioning("other", CallProgress::IntentOnly), "me", KEY, true),
            Action::RecordUnknown
        );
    }

    #[test]
    fn after_an_unknown_outcome_the_key_is_looked_up_for_as_long_as_lists_lag() {
        let unknown = provisioning("me", CallProgress::OutcomeUnknown);
        assert_eq!(next_action(&unknown, "me", LAGGING, true), Action::FindByKey { lag: LAG });
        assert_eq!(next_action(&unknown, "me", KEY, true), Action::FindByKey { lag: Duration::ZERO });
    }

    #[test]
    fn compensation_of_an_unknown_outcome_looks_before_it_forgets() {
        let state = to_compensate(&provisioning("me", CallProgress::IntentOnly).state, NOW, true);
        for manners in [KEY, LAGGING] {
            let next = next_action(&step(state.clone()), "me", manners, true);
            assert_eq!(next, Action::FindToRelease { lag: LAG });
        }
    }

    #[test]
    fn compensation_keeps_the_handle_of_what_was_to_be_made() {
        let forgotten = StepState::Provisioning {
            claim: "me".to_owned(),
            since: NOW,
            progress: CallProgress::OutcomeUnknown,
            operation: Some("op".to_owned()),
        };
        for state in [provisioning("me", CallProgress::Running("op".to_owned())).state, forgotten] {
            let undone = to_compensate(&state, NOW, true);
            let StepState::Compensating { service: None, operation: Some(handle), .. } = &undone else {
                panic!("{undone:?}")
            };
            assert_eq!(handle, "op");
            let next = next_action(&step(undone), "me", KEY, true);
            assert_eq!(next, Action::FindToRelease { lag: LAG });
        }
    }

    #[test]
    fn what_was_never_sent_needs_no_release() {
        assert_eq!(to_compensate(&StepState::Planned, NOW, true), StepState::Compensated);
    }

    #[test]
    fn what_is_held_is_bought_like_what_is_planned_and_given_back_when_undone() {
        for held in [StepState::Reserving { since: NOW }, StepState::Reserved { until: NOW }] {
            assert_eq!(next_action(&step(held.clone()), "me", LAGGING, true), Action::RecordIntent);
            assert_eq!(
                next_action(&step(held.clone()), "me", LAGGING, false),
                Action::LookFirst { lag: LAG }
            );
            let undone = to_compensate(&held, NOW, true);
            let lag = Duration::ZERO;
            assert_eq!(next_action(&step(undone), "me", LAGGING, true), Action::FindToRelease { lag });
        }
    }

    #[test]
    fn back_off_grows_and_is_bounded() {
        assert_eq!(back_off(0), Duration::from_millis(50));
        assert_eq!(back_off(u32::MAX), Duration::from_secs(5));
    }
}
