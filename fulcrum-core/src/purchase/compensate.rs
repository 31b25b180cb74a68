//! One step back to nothing. A record is closed only after proof of absence.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use super::{
    PurchaseError,
    drive::Driver,
    failures::cut,
    machine::{Action, back_off, between_polls, next_action, pause},
    provision::{ABSENT, Made, kept, left, protocol},
};
use crate::{
    model::{IdempotencyKey, ServiceId, Step, StepState},
    provider::{Call, ErrorKind, OperationHandle, OperationStatus, ProviderError},
};

/// Actions that may follow when the time is up.
const LATE: u32 = 10;

pub(super) type Tried = Result<Result<(), ProviderError>, PurchaseError>;

impl Driver<'_> {
    /// Releases what the step made, or marks it stuck when the provider refuses for too long.
    pub(super) async fn unmake(&self, mut step: Step) -> Result<Step, PurchaseError> {
        if self.is_absent(&step) && !matches!(step.state, StepState::Compensated | StepState::Stuck { .. }) {
            let reason = format!("{ABSENT}; it may have {} at {}", self.trace_of(&step), step.provider);
            self.stick(&mut step, reason).await?;
            return Ok(step);
        }
        // Also from when on lists may lag: no call that makes something is under way any more.
        let began = Instant::now();
        let most = Duration::from_secs(self.policy.compensation_timeout_s.into());
        let unsettled = self.unsettled(&step);
        let end = began + most.max(self.list_lag(&step) + unsettled);
        let (mut tries, mut releases, mut polled, mut late) = (0, 0, 0, 0);
        loop {
            let outcome = match next_action(&step, &self.mine, self.manners(&step), true) {
                Action::FindToRelease { .. } if self.is_unkeyed(&step) => {
                    let lag = self.list_lag(&step) + unsettled;
                    self.look_to_release_unkeyed(&mut step, lag.saturating_sub(began.elapsed())).await?
                }
                Action::FindToRelease { lag } => {
                    let lag = lag + unsettled;
                    self.look_to_release(&mut step, lag.saturating_sub(began.elapsed())).await?
                }
                Action::Release(service) => {
                    // Once more: it was not gone, or shows again.
                    if releases > 0 {
                        sleep(back_off(releases).min(left(end))).await;
                    }
                    releases += 1;
                    self.release(&mut step, &service).await?
                }
                Action::PollRelease(service, operation) => {
                    polled += 1;
                    self.poll_release(&mut step, &service, &operation, polled).await?
                }
                Action::Nothing => return Ok(step),
                // The order's state was written together with those of its steps: none is left to buy.
                Action::RecordIntent
                | Action::LookFirst { .. }
                | Action::RecordUnknown
                | Action::Provision
                | Action::FindByKey { .. }
                | Action::Poll(_) => {
                    let state = super::machine::to_compensate(
                        &step.state,
                        Timestamp::now(),
                        self.is_new() || self.is_unkeyed(&step),
                    );
                    self.put(&mut step, state).await?;
                    Ok(())
                }
            };
            late += u32::from(Instant::now() >= end);
            let error = match outcome {
                // What is about done may be finished.
                Ok(()) if late <= LATE => {
                    tries = 0;
                    continue;
                }
                Ok(()) if step.state == StepState::Compensated => return Ok(step),
                Ok(()) => protocol(&step, Call::Release, "it never comes to an end"),
                Err(error) => error,
            };
            self.note(&mut step, &error).await?;
            if late > 0 {
                let reason = format!(
                    "could not be released for {} s ({}); look for {} at {} and end it there",
                    self.policy.compensation_timeout_s,
                    cut(&error.words()),
                    self.trace_of(&step),
                    step.provider
                );
                self.stick(&mut step, reason).await?;
                return Ok(step);
            }
            sleep(pause(tries, &error, left(end))).await;
            tries += 1;
        }
    }

    /// With `lag` still left, what is missing may only be hidden.
    async fn look_to_release(&self, step: &mut Step, lag: Duration) -> Tried {
        // Nothing that this order did not make is ever touched.
        match self.find_own(step).await {
            Ok(Some(service)) => self.compensating(step, Some(service.id.clone()), None).await,
            Ok(None) if !lag.is_zero() => {
                sleep(lag.min(Duration::from_secs(1))).await;
                Ok(Ok(()))
            }
            Ok(None) => match self.made_by_handle(step).await? {
                Ok(Made::Service(service)) => self.compensating(step, Some(service.id.clone()), None).await,
                Ok(Made::NotYet) => Ok(Ok(())),
                Ok(Made::Nothing) => self.put(step, StepState::Compensated).await.map(Ok),
                Err(error) => Ok(Err(error)),
            },
            Err(error) => Ok(Err(error)),
        }
    }

    async fn release(&self, step: &mut Step, service: &ServiceId) -> Tried {
        // A provider may have given the name to somebody else's service since.
        match self.describe_own(step, service).await {
            Ok(Some(_)) => {}
            Ok(None) if self.is_unkeyed(step) => return self.close_unkeyed(step, service).await,
            Ok(None) => return self.compensating(step, None, None).await,
            Err(error) => return Ok(Err(error)),
        }
        let asked = self.changing(step)?.release(service, &release_key(step)).await;
        match asked.and_then(|operation| kept(step, Call::Release, &operation)) {
            Ok(operation) => self.compensating(step, Some(service.clone()), Some(operation)).await,
            Err(error) => Ok(Err(error)),
        }
    }

    async fn poll_release(
        &self,
        step: &mut Step,
        service: &ServiceId,
        operation: &OperationHandle,
        polled: u32,
    ) -> Tried {
        let (provider, pause) = (self.provider(step), between_polls(self.poll_interval(step), polled));
        match provider.poll(operation).await {
            Ok(OperationStatus::Running { .. }) => {
                sleep(pause).await;
                Ok(Ok(()))
            }
            Ok(OperationStatus::Succeeded(_)) => match provider.describe(service).await {
                Ok(None) if self.is_unkeyed(step) => self.close_unkeyed(step, service).await,
                // Gone, and nothing else of this key is there.
                Ok(None) => self.compensating(step, None, None).await,
                Ok(Some(_)) => {
                    sleep(pause).await;
                    Ok(Ok(()))
                }
                Err(error) => Ok(Err(error)),
            },
            Ok(OperationStatus::Failed { reason, .. }) => {
                self.note_text(step, reason, None).await?;
                self.compensating(step, Some(service.clone()), None).await
            }
            // The handle is forgotten: releasing again is safe.
            Err(error) if is_forgotten(&error.kind) => {
                let _ = self.compensating(step, Some(service.clone()), None).await?;
                Ok(Err(error))
            }
            // It may know of parts that outlive the service, such as its disks: only it leads to the end of them.
            Err(error) => Ok(Err(error)),
        }
    }

    pub(super) async fn compensating(
        &self,
        step: &mut Step,
        service: Option<ServiceId>,
        operation: Option<String>,
    ) -> Tried {
        let StepState::Compensating { sent, since, .. } = &step.state else {
            return Ok(Ok(()));
        };
        let state = StepState::Compensating { service, operation, sent: *sent, since: *since };
        self.put(step, state).await.map(Ok)
    }
}

/// Whether an operation's handle says nothing to its provider any more.
pub(super) fn is_forgotten(kind: &ErrorKind) -> bool {
    matches!(kind, ErrorKind::NotFound { .. })
}

/// The key of a release: another effect than the step's own, and the same for ever.
fn release_key(step: &Step) -> IdempotencyKey {
    IdempotencyKey::new(format!("{}-r", step.key)).unwrap_or_else(|_| step.key.clone())
}
