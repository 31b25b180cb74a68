//! A driver: one host that drives one order under a claim. Here are its data, its writes to the ledger, and what it knows of
//! the order; what it does with them is in the files of each phase.

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use rust_decimal::Decimal;

use super::{
    PurchaseError,
    claim_guard::ClaimGuard,
    engine::Engine,
    machine::{self, RetrySemantics},
    spans::span_of_order,
    step_dependencies::StepDependencies,
    step_failures::{Failures, cut, kind_of, shortage_of},
};
use crate::{
    ledger::{Claim, OrderUpdate},
    model::{
        Attempt, ClaimId, Order, OrderEventKind, OrderState, Policy, RequestSent, Shortage, Step, StepState,
    },
    provider::{Call, ErrorKind, IdempotencyClass, Provider, ProviderError},
    telemetry,
};

/// Attempts that a step remembers.
const MAX_ATTEMPTS: usize = 10;
/// Cancellation poll interval; every write also returns the flag.
const CANCELLATION_POLL_INTERVAL: Duration = Duration::from_millis(100);

/// What a call to a provider came to. The outer error is the ledger's: it ends the drive.
pub(super) type CallOutcome = Result<Result<(), ProviderError>, PurchaseError>;

/// One host that drives one order under a claim.
pub(super) struct Driver<'a> {
    pub(super) engine: &'a Engine,
    guard: &'a ClaimGuard,
    pub(super) claim: Claim,
    /// The claim as steps remember it.
    pub(super) claim_id: ClaimId,
    pub(super) order: Order,
    pub(super) policy: Policy,
    pub(super) failures: Failures,
    pub(super) span: tracing::Span,
    /// Whether no other driver can have had the order before.
    is_first_drive: bool,
    /// Steps for which an earlier driver may have a call under way.
    taken_over: BTreeSet<u32>,
    /// When the ledger last said that the order is not cancelled.
    not_cancelled_at: Mutex<Instant>,
    /// What the policy's `max_total` leaves beyond the prices that were last checked; none without a limit.
    pub(super) headroom: Mutex<Option<Decimal>>,
    /// What steps have become, for the steps that depend on them.
    pub(super) dependencies: StepDependencies,
    /// The components of each step.
    pub(super) components: BTreeMap<u32, Vec<String>>,
}

impl<'a> Driver<'a> {
    pub(super) fn new(
        engine: &'a Engine,
        guard: &'a ClaimGuard,
        order: Order,
    ) -> Result<Self, PurchaseError> {
        let claim = guard.claim().clone();
        // This process has just created the order, and its ledger gave the first claim.
        let is_first_drive = engine.recent.take(&order.id) && claim.token == 1;
        let claim_id = ClaimId::of_token(claim.token);
        let policy = order.policy.clone();
        let (failures, not_cancelled_at) = (Failures::default(), Mutex::new(Instant::now()));
        let span = span_of_order(&order);
        let may_be_asked = |step: &&Step| match &step.state {
            StepState::Provisioning { .. } => true,
            StepState::Compensating { service: None, sent, .. } => *sent != RequestSent::Never,
            _ => false,
        };
        let taken_over = order.steps.iter().filter(may_be_asked).map(|step| step.index).collect();
        Ok(Self {
            engine,
            guard,
            claim,
            claim_id,
            order,
            policy,
            failures,
            span,
            is_first_drive,
            taken_over,
            not_cancelled_at,
            headroom: Mutex::default(),
            dependencies: StepDependencies::default(),
            components: BTreeMap::new(),
        })
    }

    /// Steps that ended without a service and that no fail-over has replaced.
    pub(super) fn failed_steps(&self) -> impl Iterator<Item = &Step> {
        let is_replaced =
            |step: &Step| self.order.rounds.iter().any(|round| round.replaced.contains(&step.index));
        let steps = self.order.steps.iter();
        steps.filter(move |step| step.state == StepState::Compensated && !is_replaced(step))
    }

    /// Whether the policy lets the order do without a step.
    pub(super) fn is_optional(&self, step: &Step) -> bool {
        step.lease.replicas.keys().all(|component| self.policy.optional_components.contains(component))
    }

    /// Begins to compensate the whole order, unless that has begun, so that no restart goes on buying.
    pub(super) async fn begin_compensation(&mut self, reason: String) -> Result<(), PurchaseError> {
        if self.order.state == OrderState::Compensating {
            return Ok(());
        }
        self.undo(reason, Vec::new()).await
    }

    pub(super) fn check_stuck(&self) -> Result<(), PurchaseError> {
        match self.order.state {
            OrderState::Stuck | OrderState::Abandoned => Ok(()),
            _ => Err(PurchaseError::NotStuck(self.order.id.clone())),
        }
    }

    /// Writes in one transaction that the whole order is compensated, and why.
    pub(super) async fn undo(
        &mut self,
        reason: String,
        events: Vec<OrderEventKind>,
    ) -> Result<(), PurchaseError> {
        let now = Timestamp::now();
        let steps = self.changed_steps(|step| {
            machine::to_compensate(&step.state, now, self.is_new() || self.is_non_idempotent(step))
        });
        self.enter_state(OrderState::Compensating, Some(reason), steps, events).await
    }

    /// Why the order is stuck, if a step is.
    pub(super) fn stuck(&self) -> Option<String> {
        self.order.steps.iter().find_map(|step| match &step.state {
            StepState::Stuck { reason, .. } => {
                Some(format!("{} at {}: {reason}", step.lease.sku, step.provider))
            }
            _ => None,
        })
    }

    /// Writes a new state of the order, with all of its changed steps, in one transaction.
    pub(super) async fn enter_state(
        &mut self,
        state: OrderState,
        reason: Option<String>,
        steps: Vec<Step>,
        events: Vec<OrderEventKind>,
    ) -> Result<(), PurchaseError> {
        tracing::info!(order = %self.order.id, state = state.word(), reason, "order");
        self.apply(OrderUpdate { order: Some((state, reason)), steps, events, plan: None }).await
    }

    /// Writes an update to the ledger, and applies it to the driver's own copy of the order.
    pub(super) async fn apply(&mut self, change: OrderUpdate) -> Result<(), PurchaseError> {
        self.write(&change).await?;
        if let Some((state, reason)) = change.order {
            telemetry::order_entered(state, self.order.created);
            self.span.record("state", state.word());
            self.order.state = state;
            self.order.reason = reason.or(self.order.reason.take());
        }
        if let Some((plan, rounds)) = change.plan {
            (self.order.plan, self.order.rounds) = (plan, rounds);
        }
        for step in change.steps {
            match self.order.steps.get_mut(step.index as usize) {
                Some(place) => *place = step,
                None => self.order.steps.push(step),
            }
        }
        Ok(())
    }

    async fn write(&self, change: &OrderUpdate) -> Result<(), PurchaseError> {
        let written = self.engine.ledger.write(&self.claim, change).await?;
        self.observe_cancellation(written.is_cancelled);
        Ok(())
    }

    /// Stops the steps if the customer has cancelled the order.
    fn observe_cancellation(&self, is_cancelled: bool) {
        if is_cancelled {
            self.failures.stop("cancelled by the customer".to_owned());
        } else {
            *self.not_cancelled_at.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        }
    }

    /// The steps whose state changes.
    pub(super) fn changed_steps(&self, state: impl Fn(&Step) -> StepState) -> Vec<Step> {
        let changed = |step: &Step| Step { state: state(step), ..step.clone() };
        self.order
            .steps
            .iter()
            .map(changed)
            .zip(&self.order.steps)
            .filter(|(new, old)| new != *old)
            .map(|(new, _)| new)
            .collect()
    }

    /// Writes a step's new state. It is durable when this returns.
    pub(super) async fn write_state(&self, step: &mut Step, state: StepState) -> Result<(), PurchaseError> {
        step.state = state;
        self.write(&OrderUpdate { steps: vec![step.clone()], ..OrderUpdate::default() }).await
    }

    /// Records a failed call with its step, and as an event.
    pub(super) async fn record_error(
        &self,
        step: &mut Step,
        error: &ProviderError,
    ) -> Result<(), PurchaseError> {
        let shortage = shortage_of(&error.kind);
        self.record_attempt(step, error.kind.word(), error.to_string(), shortage).await
    }

    pub(super) async fn record_failure(
        &self,
        step: &mut Step,
        error: String,
        shortage: Option<Shortage>,
    ) -> Result<(), PurchaseError> {
        self.record_attempt(step, kind_of(shortage), error, shortage).await
    }

    async fn record_attempt(
        &self,
        step: &mut Step,
        kind: &'static str,
        error: String,
        shortage: Option<Shortage>,
    ) -> Result<(), PurchaseError> {
        let error = cut(&error);
        telemetry::attempt_failed(&step.provider, kind);
        tracing::warn!(order = %self.order.id, step = step.index, error, "attempt failed");
        if step.attempts.len() == MAX_ATTEMPTS {
            // An attempt with a shortage decides about fail-over: later ones must not push it out.
            let oldest = step.attempts.iter().position(|attempt| attempt.shortage.is_none()).unwrap_or(0);
            step.attempts.remove(oldest);
        }
        step.attempts.push(Attempt { at: Timestamp::now(), error: error.clone(), shortage });
        let event = OrderEventKind::Attempt { index: step.index, provider: step.provider.clone(), error };
        self.write(&OrderUpdate { steps: vec![step.clone()], events: vec![event], ..OrderUpdate::default() })
            .await
    }

    /// Writes a step, with further events.
    pub(super) async fn write_step(
        &self,
        step: &Step,
        events: Vec<OrderEventKind>,
    ) -> Result<(), PurchaseError> {
        self.write(&OrderUpdate { steps: vec![step.clone()], events, ..OrderUpdate::default() }).await
    }

    /// Gives a step up. The other steps stop too, unless the order can go on without it or with another plan.
    pub(super) fn give_up(&self, step: &Step, shortage: Option<Shortage>, why: &str) {
        let can_go_on = self.is_optional(step) || (shortage.is_some() && self.has_rounds_left());
        self.failures.add(step, why, can_go_on);
    }

    /// Awaits a call unless the order is cancelled or its time is over; none then.
    pub(super) async fn unless_stopped<T>(
        &self,
        call: impl Future<Output = T>,
    ) -> Result<Option<T>, PurchaseError> {
        let mut call = pin!(call);
        loop {
            match tokio::time::timeout(CANCELLATION_POLL_INTERVAL, call.as_mut()).await {
                Ok(done) => return Ok(Some(done)),
                Err(_) if self.should_stop().await? => return Ok(None),
                Err(_) => {}
            }
        }
    }

    pub(super) async fn should_stop(&self) -> Result<bool, PurchaseError> {
        if self.failures.must_stop() {
            return Ok(true);
        }
        let heard = *self.not_cancelled_at.lock().unwrap_or_else(PoisonError::into_inner);
        if heard.elapsed() >= CANCELLATION_POLL_INTERVAL {
            self.observe_cancellation(self.engine.ledger.is_cancelled(&self.order.id).await?);
        }
        // The time-out is that of the purchase, not of a later action.
        let is_buying = matches!(self.order.state, OrderState::Accepted | OrderState::Provisioning);
        if let Some(most) = self.policy.order_timeout_s.filter(|_| is_buying) {
            let end = self.order.created.checked_add(Duration::from_secs(most.into()));
            if end.is_ok_and(|end| Timestamp::now() > end) {
                self.failures
                    .stop(format!("not all services were provisioned within {most} s (order_timeout_s)"));
            }
        }
        Ok(self.failures.must_stop())
    }

    /// Whether nobody can have asked for a planned step before: this process has just accepted the order, and this is its first
    /// driver. Under any other driver even the steps of a fail-over are not new: a ledger that went back may have lost a driver
    /// that bought under the same keys.
    pub(super) fn is_new(&self) -> bool {
        self.is_first_drive
    }

    /// The takeover margin: after a takeover, absence is trusted only after list lag + one claim TTL, as a paused host may still
    /// finish its call. `reconcile` finds what a host makes that is paused for longer.
    pub(super) fn takeover_margin(&self, step: &Step) -> Duration {
        if self.taken_over.contains(&step.index) { self.engine.claim_ttl } else { Duration::ZERO }
    }

    /// The step's provider for a call with an effect, unless the claim has expired.
    pub(super) fn provider_for_effect(&self, step: &Step) -> Result<&Arc<dyn Provider>, PurchaseError> {
        self.guard.check()?;
        Ok(self.provider(step))
    }

    pub(super) fn provider(&self, step: &Step) -> &Arc<dyn Provider> {
        self.engine.providers.get(&step.provider).unwrap_or(&self.engine.absent)
    }

    /// Whether the step's provider is not in this federation.
    pub(super) fn is_absent(&self, step: &Step) -> bool {
        !self.engine.providers.contains_key(&step.provider)
    }

    pub(super) fn idempotency_class(&self, step: &Step) -> IdempotencyClass {
        self.provider(step).capabilities().idempotency_of(Call::Provision)
    }

    pub(super) fn retry_semantics(&self, step: &Step) -> RetrySemantics {
        RetrySemantics::from(self.provider(step).capabilities())
    }

    pub(super) fn poll_interval(&self, step: &Step) -> Duration {
        Duration::from_millis(self.provider(step).capabilities().poll_interval_ms.clamp(1, 60_000))
    }

    /// Whether the step's provider takes no idempotency keys.
    pub(super) fn is_non_idempotent(&self, step: &Step) -> bool {
        self.idempotency_class(step) == IdempotencyClass::None
    }

    /// The longest time after a step's call for which its service may be missing from look-ups.
    pub(super) fn list_lag(&self, step: &Step) -> Duration {
        self.provider(step).capabilities().list_lag()
    }

    pub(super) fn has_rounds_left(&self) -> bool {
        let rounds = self.order.rounds.len();
        self.policy.fail_over.as_ref().is_some_and(|policy| rounds < policy.rounds as usize)
    }
}

/// A reply of a step's provider that breaks the contract.
pub(super) fn protocol_error(step: &Step, call: Call, message: &str) -> ProviderError {
    ProviderError::new(step.provider.clone(), call, ErrorKind::Protocol { message: message.to_owned() })
}
