//! What is done to services of an order that is done: started, stopped, resized, released.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use super::{
    Engine, PurchaseError,
    drive::Driver,
    held::Held,
    machine::{back_off, between_polls, pause, to_compensate},
    operate::Wanted,
    provision::{is_same_place, kept, left},
};
use crate::{
    ledger::Change,
    model::{
        Action, CallProgress, IdempotencyKey, Operator, OperatorAction, Order, OrderEventKind, OrderId,
        OrderState, OwnService, Service, ServiceStatus, Step, StepState,
    },
    provider::{Call, ErrorKind, IdempotencyClass, OperationHandle, OperationStatus, ProviderError},
};

/// Nobody: whoever takes the action up looks first whether it is done already.
const NOBODY: &str = "";

impl Engine {
    /// Starts, stops or resizes a service of a committed order, or does to it what its provider calls by another name.
    /// Who and why are recorded. What is as wanted already is left alone, so that repeating the call is safe; after a
    /// crash or a lost answer the provider is looked at before it is asked again. If the provider refuses, the
    /// service stays as it is and the order's reason says so. Another size is asked for only at a price that somebody tells,
    /// or where the policy buys unchecked, and within `max_total`.
    ///
    /// # Errors
    /// * [`PurchaseError::NotHeld`]: that step holds no service, or another action is under way.
    /// * [`PurchaseError::CannotAct`]: the provider knows no actions.
    /// * [`PurchaseError::NobodySaid`]: `by` names nobody, or no reason.
    /// * As [`drive`](Self::drive).
    pub async fn act(
        &self,
        order: &OrderId,
        step: u32,
        action: Action,
        by: Operator,
    ) -> Result<Order, PurchaseError> {
        by.check()?;
        self.want(order, Wanted::Change { step, by, action: Some(action) }).await
    }

    /// Ends one service of a committed order; with the last one the order is ended. Who and why are recorded.
    ///
    /// # Errors
    /// As [`act`](Self::act).
    pub async fn release(&self, order: &OrderId, step: u32, by: Operator) -> Result<Order, PurchaseError> {
        by.check()?;
        self.want(order, Wanted::Change { step, by, action: None }).await
    }

    pub(super) async fn begin_change(
        &self,
        held: &Held,
        index: u32,
        by: Operator,
        action: Option<Action>,
    ) -> Result<(), PurchaseError> {
        let mut driver = Driver::new(self, held, self.load(held.order()).await?)?;
        let not_held = || PurchaseError::NotHeld { order: held.order().clone(), step: index };
        let step = driver.order.steps.get(index as usize).cloned().ok_or_else(not_held)?;
        let StepState::Committed { service } = &step.state else { return Err(not_held()) };
        if driver.order.state != OrderState::Committed {
            return Err(not_held());
        }
        if action.is_some() && !driver.provider(&step).capabilities().can(Call::Act) {
            return Err(PurchaseError::CannotAct(step.provider.clone()));
        }
        let since = Timestamp::now();
        let state = match action.clone() {
            Some(action) => {
                let (service, claim, progress) =
                    (service.clone(), NOBODY.to_owned(), CallProgress::IntentOnly);
                StepState::Acting { service, action, claim, since, progress }
            }
            None => to_compensate(&step.state, since, true),
        };
        let reason = format!(
            "{} {} wanted by {}: {}",
            action.as_ref().map_or("release", Action::word),
            step.lease.sku,
            by.who,
            by.why
        );
        let recorded = OperatorAction::Act { index, wanted: action };
        driver
            .change(Change {
                order: Some((OrderState::Changing, Some(reason))),
                steps: vec![Step { state, ..step }],
                events: vec![OrderEventKind::Operator { by, action: recorded }],
                plan: None,
            })
            .await
    }
}

/// An action under way, as its step remembers it.
struct Under {
    service: OwnService,
    action: Action,
    since: Timestamp,
}

impl Under {
    fn of(step: &Step) -> Option<Self> {
        match &step.state {
            StepState::Acting { service, action, since, .. } => {
                Some(Self { service: service.clone(), action: action.clone(), since: *since })
            }
            _ => None,
        }
    }

    /// What is not as it was before, though the action is not to change it; none if nothing is.
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

    /// Whether a service is as it is to be; of what only its provider knows, that it has changed in nothing else.
    fn is_done(&self, now: &Service) -> bool {
        let is_as_wanted = matches!(self.action, Action::Other { .. }) || self.action.is_done(now);
        is_as_wanted && self.changed(now).is_none()
    }

    /// The same for ever: the same action at another moment is another effect.
    fn key(&self, step: &Step) -> IdempotencyKey {
        IdempotencyKey::new(format!("{}-a{}", step.key, self.since.as_microsecond()))
            .unwrap_or_else(|_| step.key.clone())
    }
}

impl Driver<'_> {
    /// Carries all that is wanted through, one after the other, and ends the change.
    pub(super) async fn act_all(&mut self) -> Result<(), PurchaseError> {
        let mut failure = None;
        for index in 0..self.order.steps.len() {
            let step = self.order.steps[index].clone();
            let step = match step.state {
                StepState::Acting { .. } => self.carry_out(step, &mut failure).await?,
                StepState::Compensating { .. } => self.compensate(step).await?,
                _ => continue,
            };
            self.order.steps[index] = step;
            if self.failures.must_stop() {
                let reason = self.failures.take().reason_to_undo.unwrap_or_default();
                return self.begin_compensation(reason).await;
            }
        }
        if let Some(reason) = self.stuck() {
            return self.enter(OrderState::Stuck, Some(reason), Vec::new(), Vec::new()).await;
        }
        let is_held = |step: &Step| matches!(step.state, StepState::Committed { .. });
        let state = match self.order.steps.iter().any(is_held) {
            true => OrderState::Committed,
            false => OrderState::Ended,
        };
        self.enter(state, failure, Vec::new(), Vec::new()).await
    }

    /// One action to its end. What the provider refuses is told by `failure`, and the service stays as it is.
    pub(super) async fn act_on(
        &self,
        mut step: Step,
        failure: &mut Option<String>,
    ) -> Result<Step, PurchaseError> {
        let end = Instant::now() + Duration::from_secs(self.policy.step_timeout_s.into());
        let (mut tries, mut pace) = (0, Pace::new(end));
        while let Some(under) = Under::of(&step) {
            if self.should_stop().await? {
                return Ok(step);
            }
            match self.advance(&mut step, &under, &mut pace).await? {
                Ok(()) => {}
                Err(error) => {
                    self.note(&mut step, &error).await?;
                    if may_pass(&error.kind) && Instant::now() < end {
                        sleep(pause(tries, &error, left(end))).await;
                        tries += 1;
                    } else {
                        let why = error.words();
                        *failure = Some(self.give_up(&mut step, under, &why).await?);
                    }
                    continue;
                }
            }
            if Instant::now() >= end && Under::of(&step).is_some() {
                let why = format!("not done within {} s", self.policy.step_timeout_s);
                *failure = Some(self.give_up(&mut step, under, &why).await?);
            }
        }
        Ok(step)
    }

    /// The next call of an action.
    async fn advance(
        &self,
        step: &mut Step,
        under: &Under,
        pace: &mut Pace,
    ) -> Result<Result<(), ProviderError>, PurchaseError> {
        let StepState::Acting { claim, progress, .. } = step.state.clone() else { return Ok(Ok(())) };
        match progress {
            CallProgress::IntentOnly if claim == self.mine => {
                let (service, action) = (&under.service.id, &under.action);
                if let Action::Resize { sku } = action
                    && let Err(message) = self.resize_holds(step, sku).await?
                {
                    return Ok(Err(self.refused(step, ErrorKind::InvalidRequest { message })));
                }
                pace.before_asking().await;
                let asked = self.changing(step)?.act(service, action, &under.key(step)).await;
                match asked.and_then(|operation| kept(step, Call::Act, &operation)) {
                    Ok(operation) => self.acting(step, under, CallProgress::Running(operation)).await.map(Ok),
                    Err(error) if error.kind.may_have_happened() => {
                        self.acting(step, under, CallProgress::OutcomeUnknown).await?;
                        Ok(Err(error))
                    }
                    Err(error) => Ok(Err(error)),
                }
            }
            CallProgress::IntentOnly | CallProgress::OutcomeUnknown => {
                match self.describe_own(step, &under.service.id).await {
                    Ok(Some(now)) if under.action.is_done(&now) && under.is_done(&now) => {
                        self.done(step, now).await.map(Ok)
                    }
                    // Asked again it would not be what it was.
                    Ok(Some(now)) if under.changed(&now).is_some() => {
                        let message = under.changed(&now).unwrap_or_default();
                        Ok(Err(self.refused(step, ErrorKind::Conflict { message })))
                    }
                    // To ask twice for a state is to ask once.
                    Ok(Some(_)) if claim == NOBODY || self.may_repeat(step, &under.action) => {
                        self.acting(step, under, CallProgress::IntentOnly).await.map(Ok)
                    }
                    Ok(Some(_)) => {
                        let message = "whether it was done cannot be told; look at the provider".to_owned();
                        Ok(Err(self.refused(step, ErrorKind::Conflict { message })))
                    }
                    Ok(None) => {
                        let what = under.service.id.to_string();
                        Ok(Err(self.refused(step, ErrorKind::NotFound { what })))
                    }
                    Err(error) => Ok(Err(error)),
                }
            }
            CallProgress::Running(handle) => {
                match self.provider(step).poll(&OperationHandle::new(handle)).await {
                    Ok(OperationStatus::Running { .. }) => {
                        pace.between_polls(self.poll_interval(step)).await;
                        Ok(Ok(()))
                    }
                    Ok(OperationStatus::Succeeded(Some(now))) => {
                        match self.own(step, Call::Poll, Some(&under.service.id), now) {
                            Ok(now) => self.look_after(step, under, now, pace).await,
                            // The operation is somebody else's: only a look at the own service can tell.
                            Err(error) => {
                                self.acting(step, under, CallProgress::OutcomeUnknown).await?;
                                Ok(Err(error))
                            }
                        }
                    }
                    Ok(OperationStatus::Succeeded(None)) => {
                        self.acting(step, under, CallProgress::OutcomeUnknown).await.map(Ok)
                    }
                    Ok(OperationStatus::Failed { reason, .. }) => {
                        Ok(Err(self.refused(step, ErrorKind::Conflict { message: reason })))
                    }
                    // The handle is forgotten: only a look can tell.
                    Err(error) if matches!(error.kind, ErrorKind::NotFound { .. }) => {
                        self.acting(step, under, CallProgress::OutcomeUnknown).await.map(Ok)
                    }
                    Err(error) => Ok(Err(error)),
                }
            }
        }
    }

    /// What has come of an action that is said to be done: where the provider tells of single services, that is believed and
    /// not the answer. For as long as lists lag, it may tell of what was before.
    async fn look_after(
        &self,
        step: &mut Step,
        under: &Under,
        told: OwnService,
        pace: &mut Pace,
    ) -> Result<Result<(), ProviderError>, PurchaseError> {
        let now = match self.provider(step).capabilities().can(Call::Describe) {
            true => match self.describe_own(step, &under.service.id).await {
                Ok(Some(now)) => now,
                Ok(None) => {
                    let what = under.service.id.to_string();
                    return Ok(Err(self.refused(step, ErrorKind::NotFound { what })));
                }
                Err(error) => return Ok(Err(error)),
            },
            false => told,
        };
        if under.is_done(&now) {
            return self.done(step, now).await.map(Ok);
        }
        let since = *pace.done_since.get_or_insert_with(Instant::now);
        if now.status == ServiceStatus::Starting || since.elapsed() < self.list_lag(step) {
            pace.between_polls(self.poll_interval(step)).await;
            return Ok(Ok(()));
        }
        let is_now =
            || format!("it was said to be done, and {} is a {}, {}", now.id, now.sku, now.status.word());
        let message = under.changed(&now).unwrap_or_else(is_now);
        Ok(Err(self.refused(step, ErrorKind::Conflict { message })))
    }

    /// A provider's own action, such as a reboot, sets no state that could be looked at: only a key keeps it from coming
    /// twice.
    fn may_repeat(&self, step: &Step, action: &Action) -> bool {
        match action {
            Action::Start | Action::Stop | Action::Resize { .. } => true,
            Action::Other { .. } => {
                let class = self.provider(step).capabilities().idempotency_of(Call::Act);
                class == IdempotencyClass::Key
            }
        }
    }

    fn refused(&self, step: &Step, kind: ErrorKind) -> ProviderError {
        ProviderError::new(step.provider.clone(), Call::Act, kind)
    }

    async fn acting(
        &self,
        step: &mut Step,
        under: &Under,
        progress: CallProgress,
    ) -> Result<(), PurchaseError> {
        let (service, action) = (under.service.clone(), under.action.clone());
        let state =
            StepState::Acting { service, action, claim: self.mine.clone(), since: under.since, progress };
        self.put(step, state).await
    }

    async fn done(&self, step: &mut Step, service: OwnService) -> Result<(), PurchaseError> {
        // The product changes by a resize alone, whatever a provider says.
        if let StepState::Acting { action: Action::Resize { sku }, .. } = &step.state
            && *sku == service.sku
        {
            // It is what it costs now; where nobody tells, what was told before it was asked for stands in its events.
            step.lease.checked = self.resized_price(step, sku).await.ok().or(step.lease.checked.take());
            step.lease.sku = sku.clone();
            step.lease.offer = step.lease.own_offer_id();
        }
        self.put(step, StepState::Committed { service }).await
    }

    /// Leaves the service as it is; what it is then, if the provider tells. For people: what was not done, and why.
    async fn give_up(&self, step: &mut Step, under: Under, why: &str) -> Result<String, PurchaseError> {
        let now = self.describe_own(step, &under.service.id).await.ok().flatten();
        let is_done = now.as_ref().is_some_and(|now| under.action.is_done(now) && under.is_done(now));
        let changed = now.as_ref().and_then(|now| under.changed(now)).filter(|what| !why.contains(what));
        let why = changed.map_or_else(|| why.to_owned(), |what| format!("{why}; {what}"));
        // What it has become without being asked for is no part of the order: a scan tells of it.
        let held = match (is_done, now) {
            (true, Some(now)) => now,
            (_, now) => {
                now.map_or_else(|| under.service.clone(), |now| now.with_ordered_product(&under.service))
            }
        };
        self.done(step, held).await?;
        let (action, sku, provider) = (under.action.word(), &step.lease.sku, &step.provider);
        Ok(match is_done {
            true => format!("{action} of {sku} at {provider} is done, though: {why}"),
            false => format!("{action} of {sku} at {provider} was not done: {why}"),
        })
    }
}

/// How fast an action goes on: a provider that answers at once, with whatever, is asked again with growing pauses.
struct Pace {
    end: Instant,
    asked: u32,
    polled: u32,
    /// When it was first said to be done.
    done_since: Option<Instant>,
}

impl Pace {
    fn new(end: Instant) -> Self {
        Self { end, asked: 0, polled: 0, done_since: None }
    }

    async fn before_asking(&mut self) {
        if self.asked > 0 {
            sleep(back_off(self.asked).min(left(self.end))).await;
        }
        self.asked = self.asked.saturating_add(1);
    }

    async fn between_polls(&mut self, interval: Duration) {
        self.polled = self.polled.saturating_add(1);
        sleep(between_polls(interval, self.polled).min(left(self.end))).await;
    }
}

/// Whether the same call may succeed later.
fn may_pass(kind: &ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::RateLimited { .. }
            | ErrorKind::Unavailable { .. }
            | ErrorKind::NotSent { .. }
            | ErrorKind::Ambiguous
            | ErrorKind::Protocol { .. }
    )
}
