//! Compensates one step: releases what it has made. A step is closed only after proof of absence.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use super::{
    PurchaseError,
    absent_provider::ABSENT_PROVIDER,
    backoff::{back_off, between_polls, pause, time_left},
    driver::{CallOutcome, Driver, protocol_error},
    machine::{Effect, next_effect, to_compensate},
    operation_handle::{MadeByOperation, checked_handle, is_handle_unknown},
    step_failures::cut,
};
use crate::{
    model::{IdempotencyKey, ServiceId, Step, StepState},
    provider::{Call, OperationHandle, OperationStatus},
};

/// Effects that may follow after the time-out, so that a release that is nearly done can end.
const MAX_LATE_EFFECTS: u32 = 10;

impl Driver<'_> {
    /// Releases what the step has made. A provider that refuses for too long leaves the step stuck.
    pub(super) async fn compensate_step(&self, mut step: Step) -> Result<Step, PurchaseError> {
        if self.is_absent(&step) && !matches!(step.state, StepState::Compensated | StepState::Stuck { .. }) {
            let reason =
                format!("{ABSENT_PROVIDER}; it may have {} at {}", self.search_hint(&step), step.provider);
            self.mark_stuck(&mut step, reason).await?;
            return Ok(step);
        }
        // Lists may lag from here on: no request is under way any more.
        let began = Instant::now();
        let most = Duration::from_secs(self.policy.compensation_timeout_s.into());
        let margin = self.takeover_margin(&step);
        let end = began + most.max(self.list_lag(&step) + margin);
        let (mut tries, mut releases, mut polled, mut late) = (0, 0, 0, 0);
        loop {
            let outcome = match next_effect(&step, &self.claim_id, self.retry_semantics(&step), true) {
                Effect::FindToRelease { .. } if self.is_non_idempotent(&step) => {
                    let lag = self.list_lag(&step) + margin;
                    self.look_up_to_release_non_idempotent(&mut step, lag.saturating_sub(began.elapsed()))
                        .await?
                }
                Effect::FindToRelease { lag } => {
                    let lag = lag + margin;
                    self.look_up_to_release(&mut step, lag.saturating_sub(began.elapsed())).await?
                }
                Effect::Release(service) => {
                    // The service was not gone, or shows again.
                    if releases > 0 {
                        sleep(back_off(releases).min(time_left(end))).await;
                    }
                    releases += 1;
                    self.release_service(&mut step, &service).await?
                }
                Effect::PollRelease(service, operation) => {
                    polled += 1;
                    self.poll_release(&mut step, &service, &operation, polled).await?
                }
                Effect::Nothing => return Ok(step),
                // The order is being compensated: an open step is not bought any more.
                Effect::RecordIntent
                | Effect::LookFirst { .. }
                | Effect::RecordUnknown
                | Effect::Provision
                | Effect::FindByKey { .. }
                | Effect::Poll(_) => {
                    let state = to_compensate(
                        &step.state,
                        Timestamp::now(),
                        self.is_new() || self.is_non_idempotent(&step),
                    );
                    self.write_state(&mut step, state).await?;
                    Ok(())
                }
            };
            late += u32::from(Instant::now() >= end);
            let error = match outcome {
                // A release that is nearly done may end.
                Ok(()) if late <= MAX_LATE_EFFECTS => {
                    tries = 0;
                    continue;
                }
                Ok(()) if step.state == StepState::Compensated => return Ok(step),
                Ok(()) => protocol_error(&step, Call::Release, "it never comes to an end"),
                Err(error) => error,
            };
            self.record_error(&mut step, &error).await?;
            if late > 0 {
                let reason = format!(
                    "could not be released for {} s ({}); look for {} at {} and end it there",
                    self.policy.compensation_timeout_s,
                    cut(&error.words()),
                    self.search_hint(&step),
                    step.provider
                );
                self.mark_stuck(&mut step, reason).await?;
                return Ok(step);
            }
            sleep(pause(tries, &error, time_left(end))).await;
            tries += 1;
        }
    }

    /// Looks up what is to be released; while `lag` remains, absence proves nothing.
    async fn look_up_to_release(&self, step: &mut Step, lag: Duration) -> CallOutcome {
        // Only what this order has made is ever touched.
        match self.find_own_service(step).await {
            Ok(Some(service)) => self.write_compensating(step, Some(service.id.clone()), None).await,
            Ok(None) if !lag.is_zero() => {
                sleep(lag.min(Duration::from_secs(1))).await;
                Ok(Ok(()))
            }
            Ok(None) => match self.made_by_handle(step).await? {
                Ok(MadeByOperation::Service(service)) => {
                    self.write_compensating(step, Some(service.id.clone()), None).await
                }
                Ok(MadeByOperation::NotYet) => Ok(Ok(())),
                Ok(MadeByOperation::Nothing) => self.write_state(step, StepState::Compensated).await.map(Ok),
                Err(error) => Ok(Err(error)),
            },
            Err(error) => Ok(Err(error)),
        }
    }

    async fn release_service(&self, step: &mut Step, service: &ServiceId) -> CallOutcome {
        // The provider may have given the name to another service since.
        match self.describe_own_service(step, service).await {
            Ok(Some(_)) => {}
            Ok(None) if self.is_non_idempotent(step) => {
                return self.close_non_idempotent(step, service).await;
            }
            Ok(None) => return self.write_compensating(step, None, None).await,
            Err(error) => return Ok(Err(error)),
        }
        let asked = self.provider_for_effect(step)?.release(service, &release_key(step)).await;
        match asked.and_then(|operation| checked_handle(step, Call::Release, &operation)) {
            Ok(operation) => self.write_compensating(step, Some(service.clone()), Some(operation)).await,
            Err(error) => Ok(Err(error)),
        }
    }

    async fn poll_release(
        &self,
        step: &mut Step,
        service: &ServiceId,
        operation: &OperationHandle,
        polled: u32,
    ) -> CallOutcome {
        let (provider, pause) = (self.provider(step), between_polls(self.poll_interval(step), polled));
        match provider.poll(operation).await {
            Ok(OperationStatus::Running { .. }) => {
                sleep(pause).await;
                Ok(Ok(()))
            }
            Ok(OperationStatus::Succeeded(_)) => match provider.describe(service).await {
                Ok(None) if self.is_non_idempotent(step) => self.close_non_idempotent(step, service).await,
                // It is gone. The key is looked up once more.
                Ok(None) => self.write_compensating(step, None, None).await,
                Ok(Some(_)) => {
                    sleep(pause).await;
                    Ok(Ok(()))
                }
                Err(error) => Ok(Err(error)),
            },
            Ok(OperationStatus::Failed { reason, .. }) => {
                self.record_failure(step, reason, None).await?;
                self.write_compensating(step, Some(service.clone()), None).await
            }
            // The provider has forgotten the handle: a second release is safe.
            Err(error) if is_handle_unknown(&error.kind) => {
                let _ = self.write_compensating(step, Some(service.clone()), None).await?;
                Ok(Err(error))
            }
            // The operation may release parts that outlive the service, such as disks: it is polled to its end.
            Err(error) => Ok(Err(error)),
        }
    }

    pub(super) async fn write_compensating(
        &self,
        step: &mut Step,
        service: Option<ServiceId>,
        operation: Option<String>,
    ) -> CallOutcome {
        let StepState::Compensating { sent, since, .. } = &step.state else {
            return Ok(Ok(()));
        };
        let state = StepState::Compensating { service, operation, sent: *sent, since: *since };
        self.write_state(step, state).await.map(Ok)
    }
}

/// The idempotency key of a release: another effect than the step's own, and always the same.
fn release_key(step: &Step) -> IdempotencyKey {
    IdempotencyKey::new(format!("{}-r", step.key)).unwrap_or_else(|_| step.key.clone())
}
