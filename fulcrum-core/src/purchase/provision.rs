//! One step from planned to provisioned.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{
    PurchaseError,
    compensate::is_forgotten,
    drive::Driver,
    failures::shortage_of,
    machine::{Action, back_off, between_polls, next_action, pause},
};
use crate::{
    model::{
        CallProgress, LineKind, OwnService, Place, Service, ServiceStatus, Settings, Shortage, Step,
        StepState, TemplatePart, parse_template, text_values,
    },
    provider::{Call, ErrorKind, OperationHandle, OperationStatus, ProviderError, ProvisionRequest},
};

/// What a failed call means for the step.
enum Next {
    Retry,
    GiveUp,
}

impl Driver<'_> {
    /// Makes the service, or says by `fail` that it cannot be had and leaves the step as far as it is known.
    pub(super) async fn make(&self, mut step: Step) -> Result<Step, PurchaseError> {
        if self.is_absent(&step) {
            self.note_text(&mut step, ABSENT.to_owned(), None).await?;
            self.fail(&step, None, ABSENT);
            return Ok(step);
        }
        let end = Instant::now() + Duration::from_secs(self.policy.step_timeout_s.into());
        let mut tries = 0;
        let mut is_new = self.is_new() || self.is_unkeyed(&step);
        let settings = self.turns.settings(&step, &self.held_by, &self.order.plan);
        // When this driver last did anything but look: from then on lists may lag. By a clock that nobody sets, and from
        // this driver's own time only: the moment in the ledger may be by a clock that has jumped since.
        let mut acted = Instant::now();
        // Whether an earlier call may still show its effect: then a refusal of a later one is no proof that there is nothing.
        let mut may_exist = false;
        // What went wrong last.
        let mut last: Option<String> = None;
        let (mut asked, mut polled) = (0u32, 0u32);
        loop {
            match step.state {
                // There, or given up in an earlier round.
                StepState::Provisioned { .. } | StepState::Committed { .. } | StepState::Compensated => {
                    return Ok(step);
                }
                StepState::Provisioning { progress: CallProgress::OutcomeUnknown, .. } => may_exist = true,
                // Asked again after a look that was long enough.
                StepState::Provisioning { progress: CallProgress::IntentOnly, .. } => {
                    may_exist &= self.class(&step).is_repeatable();
                }
                _ => {}
            }
            if self.failures.has(&step) || self.should_stop().await? {
                return Ok(step);
            }
            if Instant::now() >= end {
                let last = last.map(|words| format!("; the last answer: {words}")).unwrap_or_default();
                let why = format!("not there within {} s{last}", self.policy.step_timeout_s);
                self.note_text(&mut step, why.clone(), Some(Shortage::Unavailable)).await?;
                self.fail(&step, Some(Shortage::Unavailable), &why);
                return Ok(step);
            }
            let action = next_action(&step, &self.mine, self.manners(&step), is_new);
            let is_looking = matches!(action, Action::LookFirst { .. })
                || matches!(
                    &step.state,
                    StepState::Provisioning { progress: CallProgress::OutcomeUnknown, .. }
                );
            if let (Action::RecordIntent | Action::Provision, Err(why)) = (&action, &settings) {
                self.note_text(&mut step, why.clone(), None).await?;
                self.fail(&step, None, why);
                return Ok(step);
            }
            let outcome = match action {
                Action::LookFirst { lag } => match self.find_own(&step).await {
                    Ok(Some(service)) => {
                        tracing::warn!(order = %self.order.id, step = step.index, service = %service.id,
                            "exists, though this ledger never asked for it: was it restored from an older copy?");
                        is_new = true;
                        self.unknown(&mut step).await.map(Ok)?
                    }
                    Ok(None) => {
                        let lag = lag.saturating_sub(acted.elapsed());
                        is_new = lag.is_zero();
                        sleep(lag.min(Duration::from_secs(1)).min(left(end))).await;
                        Ok(())
                    }
                    Err(error) => Err(error),
                },
                Action::RecordIntent if self.is_unkeyed(&step) => self.intend_unkeyed(&mut step).await?,
                Action::RecordIntent => self.intend(&mut step).await.map(Ok)?,
                Action::RecordUnknown => self.unknown(&mut step).await.map(Ok)?,
                Action::Provision => {
                    // Once more, as its provider says now that nothing came of it.
                    if asked > 0 {
                        sleep(back_off(asked).min(left(end))).await;
                    }
                    asked = asked.saturating_add(1);
                    self.ask(&mut step, settings.clone().unwrap_or_default()).await?
                }
                Action::FindByKey { .. } if self.is_unkeyed(&step) => {
                    let lag = self.list_lag(&step) + self.unsettled(&step);
                    self.look_unkeyed(&mut step, lag.saturating_sub(acted.elapsed())).await?
                }
                Action::FindByKey { lag } => {
                    let unsettled = self.unsettled(&step);
                    let lag = if self.class(&step).is_repeatable() { lag } else { lag + unsettled };
                    self.look(&mut step, lag.saturating_sub(acted.elapsed())).await?
                }
                Action::Poll(operation) => {
                    polled = polled.saturating_add(1);
                    let outcome = self.poll(&mut step, &operation, polled).await?;
                    // Its provider answers again.
                    if outcome.is_ok() {
                        tries = 0;
                    }
                    outcome
                }
                Action::FindToRelease { .. }
                | Action::Release(_)
                | Action::PollRelease(..)
                | Action::Nothing => {
                    self.fail(&step, None, "it is being released");
                    return Ok(step);
                }
            };
            if !is_looking {
                acted = Instant::now();
            }
            let Err(error) = outcome else { continue };
            let is_asking =
                matches!(&step.state, StepState::Provisioning { progress: CallProgress::IntentOnly, .. });
            if is_asking && !error.kind.may_have_happened() {
                if may_exist {
                    self.unknown(&mut step).await?;
                } else {
                    // Refused, or never sent: nothing was made, and nothing has to be looked for. It may still be held.
                    step.state = self.unsent(&step);
                }
            }
            self.note(&mut step, &error).await?;
            last = Some(error.words());
            match self.after(&mut step, &error, is_asking).await? {
                Next::Retry => {
                    sleep(pause(tries, &error, left(end))).await;
                    tries += 1;
                }
                Next::GiveUp => {
                    self.fail(&step, shortage_of(&error.kind), &error.words());
                    return Ok(step);
                }
            }
        }
    }

    /// Writes down that the provider will be asked, unless the price does not hold any more: then `fail` has said so.
    pub(super) async fn intend(&self, step: &mut Step) -> Result<(), PurchaseError> {
        if !self.price_holds(step).await? {
            return Ok(());
        }
        self.enter_provisioning(step, CallProgress::IntentOnly).await
    }

    /// Looks from now on for what the step may have made. What an operation's handle may still name is kept.
    async fn unknown(&self, step: &mut Step) -> Result<(), PurchaseError> {
        let operation = match &step.state {
            StepState::Provisioning { progress: CallProgress::Running(handle), .. } => Some(handle.clone()),
            StepState::Provisioning { operation, .. } => operation.clone(),
            _ => None,
        };
        self.enter_unknown(step, operation).await
    }

    async fn enter_unknown(&self, step: &mut Step, operation: Option<String>) -> Result<(), PurchaseError> {
        let (claim, since) = (self.mine.clone(), Timestamp::now());
        let progress = CallProgress::OutcomeUnknown;
        self.put(step, StepState::Provisioning { claim, since, progress, operation }).await
    }

    async fn enter_provisioning(&self, step: &mut Step, progress: CallProgress) -> Result<(), PurchaseError> {
        let (claim, since) = (self.mine.clone(), Timestamp::now());
        self.put(step, StepState::Provisioning { claim, since, progress, operation: None }).await
    }

    async fn ask(
        &self,
        step: &mut Step,
        settings: Settings,
    ) -> Result<Result<(), ProviderError>, PurchaseError> {
        let request = ProvisionRequest { settings, ..request(&self.order.plan.blueprint, step) };
        let provider = self.changing(step)?;
        if let Err(kind) = provider.capabilities().check_settings(&request.settings) {
            return Ok(Err(ProviderError::new(step.provider.clone(), Call::Provision, kind)));
        }
        let asked = provider.provision(&request, &step.key).await;
        match asked.and_then(|operation| kept(step, Call::Provision, &operation)) {
            Ok(operation) => {
                self.enter_provisioning(step, CallProgress::Running(operation)).await?;
                Ok(Ok(()))
            }
            Err(error) => Ok(Err(error)),
        }
    }

    /// With `lag` still left, what is missing may only be hidden.
    async fn look(&self, step: &mut Step, lag: Duration) -> Result<Result<(), ProviderError>, PurchaseError> {
        match self.find_own(step).await {
            Ok(Some(service)) => self.found(step, service).await,
            Ok(None) if !lag.is_zero() => {
                sleep(lag.min(Duration::from_secs(1))).await;
                Ok(Ok(()))
            }
            Ok(None) => match self.made_by_handle(step).await? {
                Ok(Made::Service(service)) => self.found(step, service).await,
                Ok(Made::NotYet) => Ok(Ok(())),
                // Proven absent: the same key may be sent again, after a new intent.
                Ok(Made::Nothing) => self.intend(step).await.map(Ok),
                Err(error) => Ok(Err(error)),
            },
            Err(error) => Ok(Err(error)),
        }
    }

    /// What the operation has made by which the step was last to be made: asked before absence is believed, as a list may be
    /// late for longer than its provider says.
    pub(super) async fn made_by_handle(
        &self,
        step: &Step,
    ) -> Result<Result<Made, ProviderError>, PurchaseError> {
        let handle = match &step.state {
            StepState::Provisioning { operation: Some(handle), .. }
            | StepState::Compensating { service: None, operation: Some(handle), .. } => handle,
            _ => return Ok(Ok(Made::Nothing)),
        };
        let service = match self.provider(step).poll(&OperationHandle::new(handle.as_str())).await {
            Ok(OperationStatus::Succeeded(Some(service))) => service,
            Ok(OperationStatus::Running { .. }) => {
                sleep(between_polls(self.poll_interval(step), 10)).await;
                return Ok(Ok(Made::NotYet));
            }
            Ok(OperationStatus::Succeeded(None) | OperationStatus::Failed { .. }) => {
                return Ok(Ok(Made::Nothing));
            }
            Err(error) if is_forgotten(&error.kind) => return Ok(Ok(Made::Nothing)),
            Err(error) => return Ok(Err(error)),
        };
        let was_there = self.was_there(step, &service).await?;
        // An operation that is somebody else's tells nothing, and one of long ago may tell of what is gone.
        match self.own(step, Call::Poll, None, service) {
            Ok(service) if !was_there => {
                let now = self.describe_own(step, &service.id).await;
                Ok(now.map(|now| now.map_or(Made::Nothing, Made::Service)))
            }
            _ => Ok(Ok(Made::Nothing)),
        }
    }

    pub(super) async fn found(
        &self,
        step: &mut Step,
        service: OwnService,
    ) -> Result<Result<(), ProviderError>, PurchaseError> {
        match service.status {
            // Its key is that of a step which the ledger has forgotten, or its provider makes what nobody ordered: it is ours,
            // and ends.
            ServiceStatus::Running | ServiceStatus::Stopped if !is_as_ordered(step, &service) => {
                let (is, wanted) = ((&service.sku, &service.place), (&step.lease.sku, &step.lease.place));
                let why = format!(
                    "{} is {} in {}, and {} in {} was ordered",
                    service.id, is.0, is.1, wanted.0, wanted.1
                );
                self.note_text(step, why.clone(), None).await?;
                self.fail(step, None, &why);
            }
            ServiceStatus::Running | ServiceStatus::Stopped => {
                self.put(step, StepState::Provisioned { service }).await?;
            }
            ServiceStatus::Starting => match self.resumed(step, &service).await {
                // Who asked for it is gone, and it does not come about by itself.
                Ok(Some(operation)) => match kept(step, Call::ResumeOperation, &operation) {
                    Ok(operation) => self.enter_provisioning(step, CallProgress::Running(operation)).await?,
                    Err(error) => return Ok(Err(error)),
                },
                Ok(None) => sleep(between_polls(self.poll_interval(step), 5)).await,
                Err(error) => return Ok(Err(error)),
            },
            ServiceStatus::Failed | ServiceStatus::Releasing => {
                self.fail(step, None, &format!("{} is broken or being released", service.id));
            }
        }
        Ok(Ok(()))
    }

    /// The operation by which a service goes on that is starting, if somebody must drive it.
    async fn resumed(
        &self,
        step: &Step,
        service: &Service,
    ) -> Result<Option<OperationHandle>, ProviderError> {
        // It is asked for once: who polls is told by the operation itself.
        let is_polled =
            matches!(&step.state, StepState::Provisioning { progress: CallProgress::Running(_), .. });
        let provider = self.provider(step);
        if is_polled || !provider.capabilities().can(Call::ResumeOperation) {
            return Ok(None);
        }
        // With less than what was asked for nobody goes on.
        let Ok(settings) = self.turns.settings(step, &self.held_by, &self.order.plan) else {
            return Ok(None);
        };
        let request = ProvisionRequest { settings, ..request(&self.order.plan.blueprint, step) };
        provider.resume_operation(&request, service).await
    }

    async fn poll(
        &self,
        step: &mut Step,
        operation: &OperationHandle,
        polled: u32,
    ) -> Result<Result<(), ProviderError>, PurchaseError> {
        match self.provider(step).poll(operation).await {
            Ok(OperationStatus::Running { .. }) => {
                sleep(between_polls(self.poll_interval(step), polled)).await;
            }
            Ok(OperationStatus::Succeeded(Some(service))) => {
                let was_there = self.was_there(step, &service).await?;
                return match self.own(step, Call::Poll, None, service) {
                    Ok(service) if !was_there => self.found(step, service).await,
                    // The operation is somebody else's: what is the step's own only its key can tell.
                    outcome => {
                        self.enter_unknown(step, None).await?;
                        let was_there =
                            || protocol(step, Call::Poll, "it answered with a service that was there before");
                        Ok(Err(outcome.err().unwrap_or_else(was_there)))
                    }
                };
            }
            // Done, and yet nothing is there: only a look can tell.
            Ok(OperationStatus::Succeeded(None)) => self.unknown(step).await?,
            Ok(OperationStatus::Failed { reason, shortage }) => {
                self.note_text(step, reason.clone(), shortage).await?;
                self.fail(step, shortage, &reason);
            }
            Err(error) => return Ok(Err(error)),
        }
        Ok(Ok(()))
    }

    /// What to do after a failed call. No `_` arm: a new kind of error must decide.
    async fn after(
        &self,
        step: &mut Step,
        error: &ProviderError,
        is_asking: bool,
    ) -> Result<Next, PurchaseError> {
        match &error.kind {
            kind if is_asking && kind.may_have_happened() => {
                self.unknown(step).await?;
                Ok(Next::Retry)
            }
            ErrorKind::RateLimited { .. }
            | ErrorKind::Unavailable { .. }
            | ErrorKind::NotSent { .. }
            | ErrorKind::Ambiguous
            | ErrorKind::Protocol { .. } => Ok(Next::Retry),
            // The operation is forgotten, the service may be there.
            ErrorKind::NotFound { .. } if !is_asking => {
                self.unknown(step).await?;
                Ok(Next::Retry)
            }
            ErrorKind::InvalidRequest { .. }
            | ErrorKind::Unauthorised
            | ErrorKind::Forbidden
            | ErrorKind::NotFound { .. }
            | ErrorKind::Conflict { .. }
            | ErrorKind::QuotaExceeded { .. }
            | ErrorKind::CapacityExhausted { .. }
            | ErrorKind::Unsupported => Ok(Next::GiveUp),
        }
    }
}

/// What an operation's handle leads to.
pub(super) enum Made {
    /// The step's own service, and it is there.
    Service(OwnService),
    /// Its provider is still at it.
    NotYet,
    /// Nothing, or there is no handle.
    Nothing,
}

/// Why nothing can be done about a step.
pub(super) const ABSENT: &str = "its provider is not in this federation; add it, and drive the order again";
/// Bytes of an operation's handle: a provider's answer must not fill the ledger.
const MAX_HANDLE: usize = 16 << 10;

/// An operation's handle, as a step keeps it. Each call that begins an operation comes by here.
pub(super) fn kept(step: &Step, call: Call, operation: &OperationHandle) -> Result<String, ProviderError> {
    let handle = operation.as_str();
    let is_short = handle.len() <= MAX_HANDLE;
    is_short
        .then(|| handle.to_owned())
        .ok_or_else(|| protocol(step, call, "the operation's handle is too long"))
}

pub(super) fn protocol(step: &Step, call: Call, message: &str) -> ProviderError {
    ProviderError::new(step.provider.clone(), call, ErrorKind::Protocol { message: message.to_owned() })
}

/// By the clock of the pauses, so that both stand still together.
pub(super) fn left(end: Instant) -> Duration {
    end.saturating_duration_since(Instant::now())
}

/// Whether a service is the product that was ordered, where it was ordered.
fn is_as_ordered(step: &Step, service: &Service) -> bool {
    service.sku == step.lease.sku && is_same_place(&service.place, &step.lease.place)
}

/// Whether two places may be the same. A zone that only one side tells is no difference.
pub(super) fn is_same_place(one: &Place, other: &Place) -> bool {
    one.region == other.region
        && one.country == other.country
        && !matches!((&one.zone, &other.zone), (Some(one), Some(other)) if one != other)
}

fn owned((name, value): (&String, &Value)) -> (String, Value) {
    (name.clone(), value.clone())
}

/// What is asked of a provider for a step, without what only other steps can tell.
pub(super) fn request(blueprint: &str, step: &Step) -> ProvisionRequest {
    let replicas: Vec<_> = step.lease.replicas.keys().map(|name| name.as_str()).collect();
    let refers = |text: &str| {
        let all = parse_template(text, |name| step.lease.after.contains(name)).unwrap_or_default();
        all.iter().any(|piece| matches!(piece, TemplatePart::Reference(_)))
    };
    let is_known = |(_, value): &(&String, &Value)| !text_values(value).iter().any(|text| refers(text));
    let surcharges = step.lease.lines.iter().filter(|line| line.kind == LineKind::Surcharge);
    ProvisionRequest {
        sku: step.lease.sku.clone(),
        kind: step.lease.kind,
        place: step.lease.place.clone(),
        size_gib: step.lease.size_gib,
        disk_sku: step.lease.disk_sku.clone(),
        purchase_option: step.lease.purchase_option,
        term_months: step.lease.term_months,
        surcharges: surcharges.map(|line| line.sku.clone()).collect(),
        name: format!("{blueprint}-{}-{}", replicas.join("-"), step.index),
        // A reference stands for what is not known before its turn.
        settings: step.lease.settings.iter().filter(is_known).map(owned).collect(),
    }
}
