//! Provisions one step: from planned to provisioned.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use super::{
    PurchaseError,
    absent_provider::ABSENT_PROVIDER,
    backoff::{back_off, between_polls, pause, time_left},
    driver::{CallOutcome, Driver, protocol_error},
    machine::{Effect, next_effect},
    operation_handle::{MadeByOperation, checked_handle},
    provision_attempt::ProvisionAttempt,
    provision_request::{is_same_place, request},
    step_failures::shortage_of,
    step_secrets::ResolvedSettings,
};
use crate::{
    model::{CallProgress, OwnService, Service, ServiceStatus, Shortage, Step, StepState},
    provider::{Call, ErrorKind, OperationHandle, OperationStatus, ProviderError, ProvisionRequest},
};

/// What follows a failed call.
enum AfterError {
    Retry,
    GiveUp,
}

impl Driver<'_> {
    /// Provisions the step's service. What cannot be had is given up; the step keeps the state that is known.
    pub(super) async fn provision_step(&self, mut step: Step) -> Result<Step, PurchaseError> {
        if self.is_absent(&step) {
            self.record_failure(&mut step, ABSENT_PROVIDER.to_owned(), None).await?;
            self.give_up(&step, None, ABSENT_PROVIDER);
            return Ok(step);
        }
        let end = Instant::now() + Duration::from_secs(self.policy.step_timeout_s.into());
        let is_new = self.is_new() || self.is_non_idempotent(&step);
        let mut attempt = ProvisionAttempt::new(Instant::now(), is_new);
        // Not before they are needed: secrets among them are asked for at their provider.
        let mut resolved: Option<Result<ResolvedSettings, String>> = None;
        let mut last_error: Option<String> = None;
        loop {
            // Provisioned, or given up in an earlier round.
            if let StepState::Provisioned { .. } | StepState::Committed { .. } | StepState::Compensated =
                step.state
            {
                return Ok(step);
            }
            attempt.observe(&step.state, self.idempotency_class(&step).is_repeatable());
            if self.failures.has(&step) || self.should_stop().await? {
                return Ok(step);
            }
            if Instant::now() >= end {
                let last = last_error.map(|words| format!("; the last error: {words}")).unwrap_or_default();
                let why =
                    format!("not provisioned within {} s (step_timeout_s){last}", self.policy.step_timeout_s);
                self.record_failure(&mut step, why.clone(), Some(Shortage::Unavailable)).await?;
                self.give_up(&step, Some(Shortage::Unavailable), &why);
                return Ok(step);
            }
            let effect = next_effect(&step, &self.claim_id, self.retry_semantics(&step), attempt.is_new());
            let is_looking = matches!(effect, Effect::LookFirst { .. })
                || matches!(
                    &step.state,
                    StepState::Provisioning { progress: CallProgress::OutcomeUnknown, .. }
                );
            if let (Effect::RecordIntent | Effect::Provision, None) = (&effect, &resolved) {
                resolved = Some(self.resolved_settings(&step).await);
            }
            if let (Effect::RecordIntent | Effect::Provision, Some(Err(why))) = (&effect, &resolved) {
                self.record_failure(&mut step, why.clone(), None).await?;
                self.give_up(&step, None, why);
                return Ok(step);
            }
            let outcome = match effect {
                Effect::LookFirst { lag } => self.look_first(&mut step, &mut attempt, lag, end).await?,
                Effect::RecordIntent if self.is_non_idempotent(&step) => {
                    self.record_intent_non_idempotent(&mut step).await?
                }
                Effect::RecordIntent => self.record_intent(&mut step).await.map(Ok)?,
                Effect::RecordUnknown => self.mark_outcome_unknown(&mut step).await.map(Ok)?,
                Effect::Provision => {
                    // Its provider says now that nothing came of the request before.
                    if let requests @ 1.. = attempt.count_request() {
                        sleep(back_off(requests).min(time_left(end))).await;
                    }
                    let resolved = resolved.clone().and_then(Result::ok).unwrap_or_default();
                    self.send_request(&mut step, &resolved).await?
                }
                Effect::FindByKey { .. } if self.is_non_idempotent(&step) => {
                    let lag = self.list_lag(&step) + self.takeover_margin(&step);
                    let remaining = attempt.remaining(lag, Instant::now());
                    self.look_up_non_idempotent(&mut step, remaining).await?
                }
                Effect::FindByKey { lag } => {
                    let is_repeatable = self.idempotency_class(&step).is_repeatable();
                    let lag = if is_repeatable { lag } else { lag + self.takeover_margin(&step) };
                    let remaining = attempt.remaining(lag, Instant::now());
                    self.look_up(&mut step, remaining).await?
                }
                Effect::Poll(operation) => {
                    let outcome = self.poll(&mut step, &operation, attempt.count_poll()).await?;
                    if outcome.is_ok() {
                        attempt.provider_answered();
                    }
                    outcome
                }
                Effect::FindToRelease { .. }
                | Effect::Release(_)
                | Effect::PollRelease(..)
                | Effect::Nothing => {
                    self.give_up(&step, None, "it is being released");
                    return Ok(step);
                }
            };
            if !is_looking {
                attempt.acted(Instant::now());
            }
            let Err(error) = outcome else { continue };
            let is_requesting =
                matches!(&step.state, StepState::Provisioning { progress: CallProgress::IntentOnly, .. });
            if is_requesting && !error.kind.may_have_happened() {
                if attempt.may_exist() {
                    self.mark_outcome_unknown(&mut step).await?;
                } else {
                    // Refused, or never sent: nothing exists, and nothing is to be looked up. It may still be reserved.
                    step.state = self.state_when_unsent(&step);
                }
            }
            self.record_error(&mut step, &error).await?;
            last_error = Some(error.words());
            match self.after_error(&mut step, &error, is_requesting).await? {
                AfterError::Retry => sleep(pause(attempt.count_failure(), &error, time_left(end))).await,
                AfterError::GiveUp => {
                    self.give_up(&step, shortage_of(&error.kind), &error.words());
                    return Ok(step);
                }
            }
        }
    }

    /// Looks up a planned step's key before its first intent, for as long as lists lag.
    async fn look_first(
        &self,
        step: &mut Step,
        attempt: &mut ProvisionAttempt,
        lag: Duration,
        end: Instant,
    ) -> CallOutcome {
        match self.find_own_service(step).await {
            Ok(Some(service)) => {
                tracing::warn!(order = %self.order.id, step = step.index, service = %service.id,
                    "exists, though this ledger never asked for it: was it restored from an older copy?");
                attempt.looked_first(Duration::ZERO);
                self.mark_outcome_unknown(step).await.map(Ok)
            }
            Ok(None) => {
                let remaining = attempt.remaining(lag, Instant::now());
                attempt.looked_first(remaining);
                sleep(remaining.min(Duration::from_secs(1)).min(time_left(end))).await;
                Ok(Ok(()))
            }
            Err(error) => Ok(Err(error)),
        }
    }

    /// Writes the intent of a request, unless the price does not hold any more: then the step was given up.
    pub(super) async fn record_intent(&self, step: &mut Step) -> Result<(), PurchaseError> {
        if !self.price_holds(step).await? {
            return Ok(());
        }
        self.enter_provisioning(step, CallProgress::IntentOnly).await
    }

    /// Writes that the outcome is unknown: from now on the key is looked up. The handle of an operation is kept.
    async fn mark_outcome_unknown(&self, step: &mut Step) -> Result<(), PurchaseError> {
        let operation = match &step.state {
            StepState::Provisioning { progress: CallProgress::Running(handle), .. } => Some(handle.clone()),
            StepState::Provisioning { operation, .. } => operation.clone(),
            _ => None,
        };
        self.write_outcome_unknown(step, operation).await
    }

    async fn write_outcome_unknown(
        &self,
        step: &mut Step,
        operation: Option<String>,
    ) -> Result<(), PurchaseError> {
        let (claim, since) = (self.claim_id.clone(), Timestamp::now());
        let progress = CallProgress::OutcomeUnknown;
        self.write_state(step, StepState::Provisioning { claim, since, progress, operation }).await
    }

    async fn enter_provisioning(&self, step: &mut Step, progress: CallProgress) -> Result<(), PurchaseError> {
        let (claim, since) = (self.claim_id.clone(), Timestamp::now());
        self.write_state(step, StepState::Provisioning { claim, since, progress, operation: None }).await
    }

    async fn send_request(&self, step: &mut Step, resolved: &ResolvedSettings) -> CallOutcome {
        let settings = resolved.settings.clone();
        let request = ProvisionRequest { settings, ..request(&self.order.plan.blueprint, step) };
        let provider = self.provider_for_effect(step)?;
        if let Err(kind) = provider.capabilities().check_settings(request.kind, &request.settings) {
            return Ok(Err(ProviderError::new(step.provider.clone(), Call::Provision, kind)));
        }
        let asked = provider.provision(&request, &step.key).await;
        let is_clean = |operation| {
            let checked = resolved.check_handle(operation);
            checked.map_err(|kind| ProviderError::new(step.provider.clone(), Call::Provision, kind))
        };
        let asked = asked.and_then(is_clean);
        match asked.and_then(|operation| checked_handle(step, Call::Provision, &operation)) {
            Ok(operation) => {
                self.enter_provisioning(step, CallProgress::Running(operation)).await?;
                Ok(Ok(()))
            }
            Err(error) => Ok(Err(error)),
        }
    }

    /// Looks up the step's key; while `lag` remains, absence proves nothing.
    async fn look_up(&self, step: &mut Step, lag: Duration) -> CallOutcome {
        match self.find_own_service(step).await {
            Ok(Some(service)) => self.adopt(step, service).await,
            Ok(None) if !lag.is_zero() => {
                sleep(lag.min(Duration::from_secs(1))).await;
                Ok(Ok(()))
            }
            Ok(None) => match self.made_by_handle(step).await? {
                Ok(MadeByOperation::Service(service)) => self.adopt(step, service).await,
                Ok(MadeByOperation::NotYet) => Ok(Ok(())),
                // Absence is proven: the same key may be sent again, after a new intent.
                Ok(MadeByOperation::Nothing) => self.record_intent(step).await.map(Ok),
                Err(error) => Ok(Err(error)),
            },
            Err(error) => Ok(Err(error)),
        }
    }

    /// Takes a service that is the step's own: provisioned, still starting, or not what was ordered.
    pub(super) async fn adopt(&self, step: &mut Step, service: OwnService) -> CallOutcome {
        match service.status {
            // A ledger that went back has lost the order that asked for it, or the provider makes what nobody ordered. It is the
            // step's own, and is released.
            ServiceStatus::Running | ServiceStatus::Stopped if !is_as_ordered(step, &service) => {
                let (is, wanted) = ((&service.sku, &service.place), (&step.lease.sku, &step.lease.place));
                let why = format!(
                    "{} is {} in {}, and {} in {} was ordered",
                    service.id, is.0, is.1, wanted.0, wanted.1
                );
                self.record_failure(step, why.clone(), None).await?;
                self.give_up(step, None, &why);
            }
            ServiceStatus::Running | ServiceStatus::Stopped => {
                self.write_state(step, StepState::Provisioned { service }).await?;
            }
            ServiceStatus::Starting => match self.resume_operation_of(step, &service).await {
                // The driver that asked is gone, and the service needs further calls.
                Ok(Some(operation)) => match checked_handle(step, Call::ResumeOperation, &operation) {
                    Ok(operation) => self.enter_provisioning(step, CallProgress::Running(operation)).await?,
                    Err(error) => return Ok(Err(error)),
                },
                Ok(None) => sleep(between_polls(self.poll_interval(step), 5)).await,
                Err(error) => return Ok(Err(error)),
            },
            ServiceStatus::Failed | ServiceStatus::Releasing => {
                self.give_up(step, None, &format!("{} is broken or being released", service.id));
            }
        }
        Ok(Ok(()))
    }

    /// Resumes the operation of a starting service, if its provider needs further calls.
    async fn resume_operation_of(
        &self,
        step: &Step,
        service: &Service,
    ) -> Result<Option<OperationHandle>, ProviderError> {
        // Only once: a poll says the rest.
        let is_polled =
            matches!(&step.state, StepState::Provisioning { progress: CallProgress::Running(_), .. });
        let provider = self.provider(step);
        if is_polled || !provider.capabilities().can(Call::ResumeOperation) {
            return Ok(None);
        }
        // Without the settings of the request the operation cannot go on.
        let Ok(resolved) = self.resolved_settings(step).await else { return Ok(None) };
        let settings = resolved.settings.clone();
        let request = ProvisionRequest { settings, ..request(&self.order.plan.blueprint, step) };
        let operation = provider.resume_operation(&request, service).await?;
        let checked = operation.map(|operation| resolved.check_handle(operation)).transpose();
        checked.map_err(|kind| ProviderError::new(step.provider.clone(), Call::ResumeOperation, kind))
    }

    async fn poll(&self, step: &mut Step, operation: &OperationHandle, polled: u32) -> CallOutcome {
        match self.provider(step).poll(operation).await {
            Ok(OperationStatus::Running { .. }) => {
                sleep(between_polls(self.poll_interval(step), polled)).await;
            }
            Ok(OperationStatus::Succeeded(Some(service))) => {
                let was_there = self.is_pre_existing(step, &service).await?;
                return match self.verify_ownership(step, Call::Poll, None, service) {
                    Ok(service) if !was_there => self.adopt(step, service).await,
                    // The operation is not the step's: only its key can tell what is.
                    outcome => {
                        self.write_outcome_unknown(step, None).await?;
                        let was_there = || {
                            protocol_error(
                                step,
                                Call::Poll,
                                "it answered with a service that was there before",
                            )
                        };
                        Ok(Err(outcome.err().unwrap_or_else(was_there)))
                    }
                };
            }
            // Done, and no service was named: only a look-up can tell.
            Ok(OperationStatus::Succeeded(None)) => self.mark_outcome_unknown(step).await?,
            Ok(OperationStatus::Failed { reason, shortage }) => {
                self.record_failure(step, reason.clone(), shortage).await?;
                self.give_up(step, shortage, &reason);
            }
            Err(error) => return Ok(Err(error)),
        }
        Ok(Ok(()))
    }

    /// Whether a failed call is repeated. No `_` arm: a new kind of error must decide.
    async fn after_error(
        &self,
        step: &mut Step,
        error: &ProviderError,
        is_requesting: bool,
    ) -> Result<AfterError, PurchaseError> {
        match &error.kind {
            kind if is_requesting && kind.may_have_happened() => {
                self.mark_outcome_unknown(step).await?;
                Ok(AfterError::Retry)
            }
            ErrorKind::RateLimited { .. }
            | ErrorKind::Unavailable { .. }
            | ErrorKind::NotSent { .. }
            | ErrorKind::Ambiguous
            | ErrorKind::Protocol { .. } => Ok(AfterError::Retry),
            // The provider has forgotten the operation; the service may exist.
            ErrorKind::NotFound { .. } if !is_requesting => {
                self.mark_outcome_unknown(step).await?;
                Ok(AfterError::Retry)
            }
            ErrorKind::InvalidRequest { .. }
            | ErrorKind::Unauthorised
            | ErrorKind::Forbidden
            | ErrorKind::NotFound { .. }
            | ErrorKind::Conflict { .. }
            | ErrorKind::QuotaExceeded { .. }
            | ErrorKind::CapacityExhausted { .. }
            | ErrorKind::Unsupported => Ok(AfterError::GiveUp),
        }
    }
}

/// Whether a service is the ordered product at the ordered place.
fn is_as_ordered(step: &Step, service: &Service) -> bool {
    service.sku == step.lease.sku && is_same_place(&service.place, &step.lease.place)
}
