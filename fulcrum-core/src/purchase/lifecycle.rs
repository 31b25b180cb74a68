//! Actions on running services: start, stop, resize, and what a provider calls by another name.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use super::{
    PurchaseError,
    backoff::{back_off, between_polls, is_transient, pause, time_left},
    driver::{CallOutcome, Driver},
    operation_handle::{checked_handle, is_handle_unknown},
    provision_request::is_same_place,
};
use crate::{
    model::{Action, CallProgress, IdempotencyKey, OwnService, Service, ServiceStatus, Step, StepState},
    provider::{Call, ErrorKind, IdempotencyClass, OperationHandle, OperationStatus, ProviderError},
};

/// An action under way, as its step remembers it.
struct ActionInProgress {
    service: OwnService,
    action: Action,
    since: Timestamp,
}

impl ActionInProgress {
    fn of(step: &Step) -> Option<Self> {
        match &step.state {
            StepState::Acting { service, action, since, .. } => {
                Some(Self { service: service.clone(), action: action.clone(), since: *since })
            }
            _ => None,
        }
    }

    /// What has changed though the action does not change it; none if nothing has.
    fn changed(&self, now: &Service) -> Option<String> {
        let (before, id) = (&self.service, &now.id);
        if !is_same_place(&now.place, &before.place) {
            return Some(format!(
                "{id} is in {} ({}) now, and was in {} ({})",
                now.place.region, now.place.country, before.place.region, before.place.country
            ));
        }
        let asked = match &self.action {
            Action::Resize { sku } => Some(sku),
            _ => None,
        };
        let is_known = now.sku == before.sku || asked == Some(&now.sku);
        let words = || match asked {
            Some(asked) => format!("{id} is a {} now, and {asked} was asked for", now.sku),
            None => format!("{id} is a {} now, and was a {}", now.sku, before.sku),
        };
        (!is_known).then(words)
    }

    /// Whether the action is done: the service is as wanted, and nothing else has changed. Of an action that only its provider
    /// knows, only the latter can be checked.
    fn is_done(&self, now: &Service) -> bool {
        let is_as_wanted = matches!(self.action, Action::Other { .. }) || self.action.is_done(now);
        is_as_wanted && self.changed(now).is_none()
    }

    /// The idempotency key of the action. The same action at another time is another effect.
    fn key(&self, step: &Step) -> IdempotencyKey {
        IdempotencyKey::new(format!("{}-a{}", step.key, self.since.as_microsecond()))
            .unwrap_or_else(|_| step.key.clone())
    }
}

impl Driver<'_> {
    /// Runs one action to its end. `failure` says why an action was not done; the service stays as it is then.
    pub(super) async fn run_action(
        &self,
        mut step: Step,
        failure: &mut Option<String>,
    ) -> Result<Step, PurchaseError> {
        let end = Instant::now() + Duration::from_secs(self.policy.step_timeout_s.into());
        let (mut tries, mut pacing) = (0, Pacing::new(end));
        while let Some(running) = ActionInProgress::of(&step) {
            if self.should_stop().await? {
                return Ok(step);
            }
            match self.next_call(&mut step, &running, &mut pacing).await? {
                Ok(()) => {}
                Err(error) => {
                    self.record_error(&mut step, &error).await?;
                    if is_transient(&error.kind) && Instant::now() < end {
                        sleep(pause(tries, &error, time_left(end))).await;
                        tries += 1;
                    } else {
                        let why = error.words();
                        *failure = Some(self.abandon_action(&mut step, running, &why).await?);
                    }
                    continue;
                }
            }
            if Instant::now() >= end && ActionInProgress::of(&step).is_some() {
                let why = format!("not done within {} s (step_timeout_s)", self.policy.step_timeout_s);
                *failure = Some(self.abandon_action(&mut step, running, &why).await?);
            }
        }
        Ok(step)
    }

    /// Makes the next call of an action.
    async fn next_call(
        &self,
        step: &mut Step,
        running: &ActionInProgress,
        pacing: &mut Pacing,
    ) -> CallOutcome {
        let StepState::Acting { claim, progress, .. } = step.state.clone() else { return Ok(Ok(())) };
        match progress {
            CallProgress::IntentOnly if claim.as_ref() == Some(&self.claim_id) => {
                let (service, action) = (&running.service.id, &running.action);
                if let Action::Resize { sku } = action
                    && let Err(message) = self.resize_price_holds(step, sku).await?
                {
                    return Ok(Err(self.refusal(step, ErrorKind::InvalidRequest { message })));
                }
                pacing.before_asking().await;
                let asked = self.provider_for_effect(step)?.act(service, action, &running.key(step)).await;
                match asked.and_then(|operation| checked_handle(step, Call::Act, &operation)) {
                    Ok(operation) => {
                        self.write_acting(step, running, CallProgress::Running(operation)).await.map(Ok)
                    }
                    Err(error) if error.kind.may_have_happened() => {
                        self.write_acting(step, running, CallProgress::OutcomeUnknown).await?;
                        Ok(Err(error))
                    }
                    Err(error) => Ok(Err(error)),
                }
            }
            CallProgress::IntentOnly | CallProgress::OutcomeUnknown => {
                match self.describe_own_service(step, &running.service.id).await {
                    Ok(Some(now)) if running.action.is_done(&now) && running.is_done(&now) => {
                        self.commit_service(step, now).await.map(Ok)
                    }
                    // The service has changed otherwise: the action would have another effect now.
                    Ok(Some(now)) if running.changed(&now).is_some() => {
                        let message = running.changed(&now).unwrap_or_default();
                        Ok(Err(self.refusal(step, ErrorKind::Conflict { message })))
                    }
                    // Nobody has asked, or a second request has no second effect.
                    Ok(Some(_)) if claim.is_none() || self.may_repeat(step, &running.action) => {
                        self.write_acting(step, running, CallProgress::IntentOnly).await.map(Ok)
                    }
                    Ok(Some(_)) => {
                        let message =
                            "whether the action was done cannot be told; look at the provider".to_owned();
                        Ok(Err(self.refusal(step, ErrorKind::Conflict { message })))
                    }
                    Ok(None) => {
                        let what = running.service.id.to_string();
                        Ok(Err(self.refusal(step, ErrorKind::NotFound { what })))
                    }
                    Err(error) => Ok(Err(error)),
                }
            }
            CallProgress::Running(handle) => {
                match self.provider(step).poll(&OperationHandle::new(handle)).await {
                    Ok(OperationStatus::Running { .. }) => {
                        pacing.between_polls(self.poll_interval(step)).await;
                        Ok(Ok(()))
                    }
                    Ok(OperationStatus::Succeeded(Some(now))) => {
                        match self.verify_ownership(step, Call::Poll, Some(&running.service.id), now) {
                            Ok(now) => self.confirm_action(step, running, now, pacing).await,
                            // The operation is not the step's: only the service itself can tell.
                            Err(error) => {
                                self.write_acting(step, running, CallProgress::OutcomeUnknown).await?;
                                Ok(Err(error))
                            }
                        }
                    }
                    Ok(OperationStatus::Succeeded(None)) => {
                        self.write_acting(step, running, CallProgress::OutcomeUnknown).await.map(Ok)
                    }
                    Ok(OperationStatus::Failed { reason, .. }) => {
                        Ok(Err(self.refusal(step, ErrorKind::Conflict { message: reason })))
                    }
                    // The provider has forgotten the handle: only the service can tell.
                    Err(error) if is_handle_unknown(&error.kind) => {
                        self.write_acting(step, running, CallProgress::OutcomeUnknown).await.map(Ok)
                    }
                    Err(error) => Ok(Err(error)),
                }
            }
        }
    }

    /// Confirms an action that is said to be done. A provider that describes services is believed only by that, and it may
    /// describe the state before for as long as its lists lag.
    async fn confirm_action(
        &self,
        step: &mut Step,
        running: &ActionInProgress,
        told: OwnService,
        pacing: &mut Pacing,
    ) -> CallOutcome {
        let now = match self.provider(step).capabilities().can(Call::Describe) {
            true => match self.describe_own_service(step, &running.service.id).await {
                Ok(Some(now)) => now,
                Ok(None) => {
                    let what = running.service.id.to_string();
                    return Ok(Err(self.refusal(step, ErrorKind::NotFound { what })));
                }
                Err(error) => return Ok(Err(error)),
            },
            false => told,
        };
        if running.is_done(&now) {
            return self.commit_service(step, now).await.map(Ok);
        }
        let since = *pacing.done_since.get_or_insert_with(Instant::now);
        if now.status == ServiceStatus::Starting || since.elapsed() < self.list_lag(step) {
            pacing.between_polls(self.poll_interval(step)).await;
            return Ok(Ok(()));
        }
        let is_now =
            || format!("it was said to be done, and {} is a {}, {}", now.id, now.sku, now.status.word());
        let message = running.changed(&now).unwrap_or_else(is_now);
        Ok(Err(self.refusal(step, ErrorKind::Conflict { message })))
    }

    /// Whether a repeated request has no second effect. A provider's own action, such as a reboot, sets no state: only a key
    /// keeps it from happening twice.
    fn may_repeat(&self, step: &Step, action: &Action) -> bool {
        match action {
            Action::Start | Action::Stop | Action::Resize { .. } => true,
            Action::Other { .. } => {
                let class = self.provider(step).capabilities().idempotency_of(Call::Act);
                class == IdempotencyClass::Key
            }
        }
    }

    fn refusal(&self, step: &Step, kind: ErrorKind) -> ProviderError {
        ProviderError::new(step.provider.clone(), Call::Act, kind)
    }

    async fn write_acting(
        &self,
        step: &mut Step,
        running: &ActionInProgress,
        progress: CallProgress,
    ) -> Result<(), PurchaseError> {
        let (service, action) = (running.service.clone(), running.action.clone());
        let state = StepState::Acting {
            service,
            action,
            claim: Some(self.claim_id.clone()),
            since: running.since,
            progress,
        };
        self.write_state(step, state).await
    }

    async fn commit_service(&self, step: &mut Step, service: OwnService) -> Result<(), PurchaseError> {
        // Only a resize changes the product, whatever a provider says.
        if let StepState::Acting { action: Action::Resize { sku }, .. } = &step.state
            && *sku == service.sku
        {
            // The price of the new size, if its provider tells one now; else the price event before the action has it.
            step.lease.checked = self.resized_price(step, sku).await.ok().or(step.lease.checked.take());
            step.lease.sku = sku.clone();
            step.lease.offer = step.lease.own_offer_id();
        }
        self.write_state(step, StepState::Committed { service }).await
    }

    /// Ends an action that was not done, and keeps the service as the provider describes it. Returns what was not done, and why.
    async fn abandon_action(
        &self,
        step: &mut Step,
        running: ActionInProgress,
        why: &str,
    ) -> Result<String, PurchaseError> {
        let now = self.describe_own_service(step, &running.service.id).await.ok().flatten();
        let is_done = now.as_ref().is_some_and(|now| running.action.is_done(now) && running.is_done(now));
        let changed = now.as_ref().and_then(|now| running.changed(now)).filter(|what| !why.contains(what));
        let why = changed.map_or_else(|| why.to_owned(), |what| format!("{why}; {what}"));
        // An unwanted change is not part of the order: a scan reports it as drift.
        let service = match (is_done, now) {
            (true, Some(now)) => now,
            (_, now) => {
                now.map_or_else(|| running.service.clone(), |now| now.with_ordered_product(&running.service))
            }
        };
        self.commit_service(step, service).await?;
        let (action, sku, provider) = (running.action.word(), &step.lease.sku, &step.provider);
        Ok(match is_done {
            true => format!("{action} of {sku} at {provider} is done, though: {why}"),
            false => format!("{action} of {sku} at {provider} was not done: {why}"),
        })
    }
}

/// The pauses of one action: a provider that answers at once is asked again with growing pauses.
struct Pacing {
    end: Instant,
    asked: u32,
    polled: u32,
    /// When the provider first said that the action is done.
    done_since: Option<Instant>,
}

impl Pacing {
    fn new(end: Instant) -> Self {
        Self { end, asked: 0, polled: 0, done_since: None }
    }

    async fn before_asking(&mut self) {
        if self.asked > 0 {
            sleep(back_off(self.asked).min(time_left(self.end))).await;
        }
        self.asked = self.asked.saturating_add(1);
    }

    async fn between_polls(&mut self, interval: Duration) {
        self.polled = self.polled.saturating_add(1);
        sleep(between_polls(interval, self.polled).min(time_left(self.end))).await;
    }
}
