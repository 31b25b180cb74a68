//! One step back to nothing. A record is closed only after proof of absence.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::time::sleep;

use super::{
    PurchaseError,
    drive::Driver,
    machine::{Action, back_off, next_action},
};
use crate::{
    model::{IdempotencyKey, ServiceId, Step, StepState},
    provider::{OperationHandle, OperationStatus, ProviderError},
};

type Tried = Result<Result<(), ProviderError>, PurchaseError>;

impl Driver<'_> {
    /// Releases what the step made, or marks it stuck when the provider refuses for too long.
    pub(super) async fn compensate(&self, mut step: Step) -> Result<Step, PurchaseError> {
        let end = Instant::now() + Duration::from_secs(self.policy.compensation_timeout_s.into());
        let mut tries = 0;
        loop {
            let outcome = match next_action(&step, &self.mine, self.class(&step), true) {
                Action::FindToRelease { until } => self.look_to_release(&mut step, until).await?,
                Action::Release(service) => self.release(&mut step, &service).await?,
                Action::PollRelease(service, operation) => {
                    self.poll_release(&mut step, &service, &operation).await?
                }
                Action::Nothing => return Ok(step),
                // The order's state was written together with those of its steps: none is left to buy.
                Action::RecordIntent
                | Action::LookFirst
                | Action::RecordUnknown
                | Action::Provision
                | Action::FindByKey { .. }
                | Action::Poll(_) => {
                    let state =
                        super::machine::to_compensate(&step.state, Timestamp::now(), self.is_new(&step));
                    self.put(&mut step, state).await?;
                    Ok(())
                }
            };
            let Err(error) = outcome else {
                tries = 0;
                continue;
            };
            self.note(&mut step, &error).await?;
            if Instant::now() >= end {
                let reason = format!(
                    "could not be released for {} s ({}); look for the key {} at {} and end it there",
                    self.policy.compensation_timeout_s, error.kind, step.key, step.provider
                );
                self.put(&mut step, StepState::Stuck { reason }).await?;
                return Ok(step);
            }
            sleep(back_off(tries).max(error.kind.retry_after().unwrap_or_default())).await;
            tries += 1;
        }
    }

    async fn look_to_release(&self, step: &mut Step, until: Timestamp) -> Tried {
        let began = Timestamp::now();
        match self.provider(step).find_by_key(&step.key).await {
            Ok(Some(service)) => self.compensating(step, Some(service.id), None).await,
            Ok(None) if began < until => {
                let wait = until.duration_since(began).unsigned_abs();
                sleep(wait.min(Duration::from_secs(1))).await;
                Ok(Ok(()))
            }
            Ok(None) => self.put(step, StepState::Compensated).await.map(Ok),
            Err(error) => Ok(Err(error)),
        }
    }

    async fn release(&self, step: &mut Step, service: &ServiceId) -> Tried {
        match self.changing(step)?.release(service, &release_key(step)).await {
            Ok(operation) => self.compensating(step, Some(service.clone()), Some(operation)).await,
            Err(error) => Ok(Err(error)),
        }
    }

    async fn poll_release(&self, step: &mut Step, service: &ServiceId, operation: &OperationHandle) -> Tried {
        let provider = self.provider(step);
        match provider.poll(operation).await {
            Ok(OperationStatus::Running { .. }) => {
                sleep(self.poll_interval(step)).await;
                Ok(Ok(()))
            }
            Ok(OperationStatus::Succeeded(_)) => match provider.describe(service).await {
                // Gone, and nothing else of this key is there.
                Ok(None) => self.compensating(step, None, None).await,
                Ok(Some(_)) => {
                    sleep(self.poll_interval(step)).await;
                    Ok(Ok(()))
                }
                Err(error) => Ok(Err(error)),
            },
            Ok(OperationStatus::Failed { reason, .. }) => {
                self.note_text(step, reason, None).await?;
                self.compensating(step, Some(service.clone()), None).await
            }
            Err(error) => {
                // The handle may have been forgotten: releasing again is safe.
                let _ = self.compensating(step, Some(service.clone()), None).await?;
                Ok(Err(error))
            }
        }
    }

    async fn compensating(
        &self,
        step: &mut Step,
        service: Option<ServiceId>,
        operation: Option<OperationHandle>,
    ) -> Tried {
        let StepState::Compensating { sent, since, .. } = &step.state else {
            return Ok(Ok(()));
        };
        let operation = operation.map(|operation| operation.as_str().to_owned());
        let state = StepState::Compensating { service, operation, sent: *sent, since: *since };
        self.put(step, state).await.map(Ok)
    }
}

/// The key of a release: another effect than the step's own, and the same for ever.
fn release_key(step: &Step) -> IdempotencyKey {
    IdempotencyKey::new(format!("{}-r", step.key)).unwrap_or_else(|_| step.key.clone())
}
