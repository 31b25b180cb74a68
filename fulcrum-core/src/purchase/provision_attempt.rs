//! What one driver knows about its own calls for one step. The ledger does not have it: a driver that takes over begins anew.

use std::time::Duration;

use tokio::time::Instant;

use crate::model::{CallProgress, StepState};

/// The memory of one driver while it provisions one step: pure, so that each rule can be tested without a provider.
#[derive(Debug, Clone)]
pub(super) struct ProvisionAttempt {
    /// Whether an earlier request may still show its effect: then the refusal of a later one does not prove absence.
    may_exist: bool,
    /// When this driver last did anything but look: lists may lag from then on. By the monotonic clock, and from this
    /// driver's own time only: the time in the ledger may be by a clock that has jumped since.
    acted_at: Instant,
    /// Whether nobody can have asked for the step while it is planned.
    is_new: bool,
    /// Failed calls in a row.
    failures: u32,
    requests: u32,
    polls: u32,
}

impl ProvisionAttempt {
    /// `is_new`: this driver's own process has accepted the order, or a look-up by key would tell nothing.
    pub(super) fn new(now: Instant, is_new: bool) -> Self {
        Self { may_exist: false, acted_at: now, is_new, failures: 0, requests: 0, polls: 0 }
    }

    /// Takes account of the step's state before the next effect.
    pub(super) fn observe(&mut self, state: &StepState, is_repeatable: bool) {
        self.may_exist = Self::may_exist_in(self.may_exist, state, is_repeatable);
    }

    /// Whether a service may exist that no look-up has shown yet. An unknown outcome may be one. An intent follows a look-up
    /// that was long enough, except where a repeated request is safe: there nobody has waited for lists.
    pub(super) fn may_exist_in(may_exist: bool, state: &StepState, is_repeatable: bool) -> bool {
        match state {
            StepState::Provisioning { progress: CallProgress::OutcomeUnknown, .. } => true,
            StepState::Provisioning { progress: CallProgress::IntentOnly, .. } => may_exist && is_repeatable,
            _ => may_exist,
        }
    }

    pub(super) fn may_exist(&self) -> bool {
        self.may_exist
    }

    pub(super) fn is_new(&self) -> bool {
        self.is_new
    }

    /// How long absence still proves nothing.
    pub(super) fn remaining(&self, lag: Duration, now: Instant) -> Duration {
        lag.saturating_sub(now.saturating_duration_since(self.acted_at))
    }

    /// A planned step was looked up before its first intent; `remaining` is how long absence still proves nothing.
    pub(super) fn looked_first(&mut self, remaining: Duration) {
        self.is_new = remaining.is_zero();
    }

    /// This driver did something else than look.
    pub(super) fn acted(&mut self, now: Instant) {
        self.acted_at = now;
    }

    /// The provider answers again.
    pub(super) fn provider_answered(&mut self) {
        self.failures = 0;
    }

    /// Counts a failed call; how many failed in a row before it.
    pub(super) fn count_failure(&mut self) -> u32 {
        count(&mut self.failures)
    }

    /// Counts a request; how many were sent before it.
    pub(super) fn count_request(&mut self) -> u32 {
        count(&mut self.requests)
    }

    /// Counts a poll, this one included.
    pub(super) fn count_poll(&mut self) -> u32 {
        count(&mut self.polls).saturating_add(1)
    }
}

fn count(counter: &mut u32) -> u32 {
    let before = *counter;
    *counter = before.saturating_add(1);
    before
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::model::ClaimId;

    fn provisioning(progress: CallProgress) -> StepState {
        let claim = ClaimId::of_token(1);
        StepState::Provisioning { claim, since: Timestamp::UNIX_EPOCH, progress, operation: None }
    }

    fn attempt() -> ProvisionAttempt {
        ProvisionAttempt::new(Instant::now(), true)
    }

    #[test]
    fn a_refusal_proves_absence_until_an_outcome_is_unknown() {
        let mut attempt = attempt();
        attempt.observe(&StepState::Planned, false);
        attempt.observe(&provisioning(CallProgress::IntentOnly), false);
        assert!(!attempt.may_exist());
        attempt.observe(&provisioning(CallProgress::OutcomeUnknown), false);
        assert!(attempt.may_exist());
        attempt.observe(&provisioning(CallProgress::Running("op".to_owned())), false);
        assert!(attempt.may_exist(), "an operation proves nothing about an earlier request");
    }

    #[test]
    fn a_new_intent_proves_absence_only_where_it_was_looked_for_long_enough() {
        for is_repeatable in [false, true] {
            let mut attempt = attempt();
            attempt.observe(&provisioning(CallProgress::OutcomeUnknown), is_repeatable);
            attempt.observe(&provisioning(CallProgress::IntentOnly), is_repeatable);
            assert_eq!(attempt.may_exist(), is_repeatable);
        }
    }

    #[test]
    fn absence_is_believed_once_lists_have_lagged_since_the_last_act() {
        let (mut attempt, lag) = (attempt(), Duration::from_secs(5));
        let start = attempt.acted_at;
        assert_eq!(attempt.remaining(lag, start + Duration::from_secs(2)), Duration::from_secs(3));
        attempt.acted(start + Duration::from_secs(4));
        assert_eq!(attempt.remaining(lag, start + Duration::from_secs(5)), Duration::from_secs(4));
        assert_eq!(attempt.remaining(lag, start + Duration::from_secs(60)), Duration::ZERO);
    }

    #[test]
    fn a_planned_step_is_new_after_a_look_that_was_long_enough() {
        let mut attempt = ProvisionAttempt::new(Instant::now(), false);
        attempt.looked_first(Duration::from_secs(1));
        assert!(!attempt.is_new());
        attempt.looked_first(Duration::ZERO);
        assert!(attempt.is_new());
    }

    #[test]
    fn an_answer_ends_a_row_of_failures() {
        let mut attempt = attempt();
        assert_eq!((attempt.count_failure(), attempt.count_failure()), (0, 1));
        attempt.provider_answered();
        assert_eq!(attempt.count_failure(), 0);
        assert_eq!((attempt.count_request(), attempt.count_request()), (0, 1));
        assert_eq!((attempt.count_poll(), attempt.count_poll()), (1, 2));
    }
}
