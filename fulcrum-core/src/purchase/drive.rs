//! One driver, one order: from its present state to a final one.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::StreamExt;
use jiff::Timestamp;
use rust_decimal::Decimal;
use tokio::sync::Semaphore;

use super::{
    Engine, PurchaseError,
    failures::{Failures, Outcome, cut, shortage_of},
    held::Held,
    machine::{self, Manners},
    metrics::{kind_of, span_of_order},
    prices,
    turns::{self, Turns},
};
use crate::{
    ledger::{Change, Claim},
    model::{Attempt, Order, OrderEventKind, OrderState, Policy, Shortage, Step, StepState},
    provider::{Call, IdempotencyClass, Provider, ProviderError},
    telemetry,
};

/// Attempts that a step remembers.
const MAX_ATTEMPTS: usize = 10;
/// How old an answer may be to whether the customer wants the order undone. Each write answers it too.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

pub(super) struct Driver<'a> {
    pub(super) engine: &'a Engine,
    held: &'a Held,
    pub(super) claim: Claim,
    /// The claim as steps remember it.
    pub(super) mine: String,
    pub(super) order: Order,
    pub(super) policy: Policy,
    pub(super) failures: Failures,
    pub(super) span: tracing::Span,
    /// Whether nobody can have driven the order before.
    is_fresh: bool,
    /// Steps for which another driver may have a call on its way.
    taken_over: BTreeSet<u32>,
    /// When the ledger last said that the customer does not want the order undone.
    is_wanted_at: Mutex<Instant>,
    /// What may be committed to beyond the prices that were last checked; none where the policy does not limit it.
    pub(super) room: Mutex<Option<Decimal>>,
    /// What others wait for.
    pub(super) turns: Turns,
    /// The components of each step.
    pub(super) held_by: BTreeMap<u32, Vec<String>>,
}

impl<'a> Driver<'a> {
    pub(super) fn new(engine: &'a Engine, held: &'a Held, order: Order) -> Result<Self, PurchaseError> {
        let claim = held.claim().clone();
        // The first claim of an order that this process has just created, in the ledger in which it created it.
        let is_fresh = engine.fresh.take(&order.id) && claim.token == 1;
        let mine = claim.token.to_string();
        let policy = order.policy.clone();
        let (failures, is_wanted_at) = (Failures::default(), Mutex::new(Instant::now()));
        let span = span_of_order(&order);
        let may_be_asked = |step: &&Step| match &step.state {
            StepState::Provisioning { .. } => true,
            StepState::Compensating { service: None, sent, .. } => *sent != Some(Timestamp::UNIX_EPOCH),
            _ => false,
        };
        let taken_over = order.steps.iter().filter(may_be_asked).map(|step| step.index).collect();
        Ok(Self {
            engine,
            held,
            claim,
            mine,
            order,
            policy,
            failures,
            span,
            is_fresh,
            taken_over,
            is_wanted_at,
            room: Mutex::default(),
            turns: Turns::default(),
            held_by: BTreeMap::new(),
        })
    }

    /// Drives to a final state: the order as the ledger has it then.
    pub(super) async fn run(mut self) -> Result<Order, PurchaseError> {
        tracing::info!(order = %self.order.id, state = self.order.state.word(), "driving");
        if self.engine.ledger.is_cancelled(&self.order.id).await? && !self.order.state.is_over() {
            self.begin_compensation("cancelled by the customer".to_owned()).await?;
        }
        loop {
            match self.order.state {
                OrderState::Accepted => self.check_prices().await?,
                OrderState::Provisioning => self.provision_all().await?,
                OrderState::Compensating => self.compensate_all().await?,
                OrderState::Changing => self.act_all().await?,
                OrderState::Committed
                | OrderState::Ended
                | OrderState::Failed
                | OrderState::Refused
                | OrderState::Compensated
                | OrderState::Stuck
                | OrderState::Abandoned => return Ok(self.order),
            }
        }
    }

    async fn check_prices(&mut self) -> Result<(), PurchaseError> {
        let (plan, steps) = (&self.order.plan, &self.order.steps);
        let check = prices::check(self.engine, &self.policy, plan, steps, Decimal::ZERO);
        let Some(checked) = self.unless_stopped(check).await? else {
            let reason = self.failures.take().reason_to_undo.unwrap_or_default();
            return self.begin_compensation(reason).await;
        };
        let checked = match checked {
            Ok(checked) => self.use_approval().await?.map(|()| checked),
            refused => refused,
        };
        match checked {
            Ok(checked) => self.enter(OrderState::Provisioning, None, checked.steps, checked.events).await,
            Err(refusal) if !self.is_new() => self.undo(refusal, Vec::new()).await,
            Err(refusal) => {
                // Nothing was bought: every step is done at once.
                let steps = self.steps_as(|_| StepState::Compensated);
                self.enter(OrderState::Refused, Some(refusal), steps, Vec::new()).await
            }
        }
    }

    /// Uses up what somebody has approved: one approval buys once. A gate in the ledger keeps it, also after its order was
    /// forgotten. The inner error says that another order has used it.
    async fn use_approval(&self) -> Result<Result<(), String>, PurchaseError> {
        let ledger = &self.engine.ledger;
        let Some(first) = ledger.events(0, Some(&self.order.id), 1).await?.into_iter().next() else {
            return Ok(Ok(()));
        };
        let OrderEventKind::Order { accepted: Some(accepted), .. } = first.kind.into_kind() else {
            return Ok(Ok(()));
        };
        if !accepted.is_approved {
            return Ok(Ok(()));
        }
        let name = format!("approval/{}", accepted.approval);
        let used_by = ledger.enter_gate(&name, &self.claim, 0, None).await?.order;
        if used_by == self.order.id {
            return Ok(Ok(()));
        }
        Ok(Err(format!(
            "its approval was used for order {used_by}, and one approval buys once; give the policy another              valid_until and have that approved"
        )))
    }

    async fn provision_all(&mut self) -> Result<(), PurchaseError> {
        if self.should_stop().await? {
            let reason = self.failures.take().reason_to_undo.unwrap_or_default();
            return self.begin_compensation(reason).await;
        }
        // What an earlier round gave up goes first.
        let is_given_up = |step: &Step| matches!(step.state, StepState::Compensating { .. });
        let ended = self.compensate_some(is_given_up).await?;
        let is_stuck = |index: &usize| matches!(self.order.steps[*index].state, StepState::Stuck { .. });
        if let Some(index) = ended.into_iter().find(is_stuck) {
            return self.begin_compensation(format!("step {index} could not be released")).await;
        }
        if self.lost().any(|step| !self.may_miss(step)) {
            return self.fail_over().await;
        }
        self.reserve_rest().await?;
        if !self.failures.is_any() && !self.failures.must_stop() {
            self.provision_rest().await?;
        }
        let Outcome { reason_to_undo, failed } = self.failures.take();
        if let Some(reason) = reason_to_undo {
            return self.begin_compensation(reason).await;
        }
        if failed.is_empty() {
            return self.commit().await;
        }
        let now = Timestamp::now();
        let failed = self.order.steps.iter().filter(|step| failed.contains(&step.index));
        let given_up = |step: &Step| Step {
            state: machine::to_compensate(&step.state, now, self.is_new() || self.is_unkeyed(step)),
            ..step.clone()
        };
        let steps = failed.map(given_up).collect();
        self.change(Change { steps, ..Change::default() }).await
    }

    /// Reckons anew what may still be committed to.
    pub(super) fn know_room(&self) {
        *self.room.lock().unwrap_or_else(PoisonError::into_inner) = prices::room(&self.order);
    }

    /// Drives all steps that are not there yet, side by side.
    async fn provision_rest(&mut self) -> Result<(), PurchaseError> {
        let at_once = self.policy.concurrency.clamp(1, 256) as usize;
        self.turns.begin(&self.order.steps);
        let before = turns::before(&self.order.steps);
        let components = |step: &Step| step.lease.replicas.keys().map(ToString::to_string).collect();
        self.held_by = self.order.steps.iter().map(|step| (step.index, components(step))).collect();
        self.know_room();
        let steps = std::mem::take(&mut self.order.steps);
        // A lost claim ends everything; what goes wrong with one step stops the others between two calls, unless the
        // order can go on without it.
        let driven: Vec<Result<Step, PurchaseError>> = {
            let this = &*self;
            let places = &Semaphore::new(at_once);
            let calls = steps.into_iter().zip(before).map(|(step, before)| async move {
                // Who waits for others takes no place away from them.
                let (index, is_turn) = (step.index, this.turns.wait(&before).await);
                let mut step = step;
                let is_in = if is_turn { this.pass_gate(&mut step).await } else { Ok(false) };
                let made = match (is_in, places.acquire().await) {
                    (Ok(true), Ok(_place)) => match this.renew(step).await {
                        Ok(step) => this.provision(step).await,
                        Err(error) => Err(error),
                    },
                    (Ok(_), _) => Ok(step),
                    (Err(error), _) => Err(error),
                };
                this.turns.tell(index, made.as_ref().ok());
                made
            });
            // Collected first: a closure that borrows inside a stream would keep the order's future from being spawned.
            let calls: Vec<_> = calls.collect();
            futures::future::join_all(calls).await
        };
        self.order.steps = driven.into_iter().collect::<Result<_, _>>()?;
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), PurchaseError> {
        if let Some(service) = self.counted_twice() {
            let reason =
                format!("{service} is named as the service of two steps; its provider is not to be trusted");
            return self.begin_compensation(reason).await;
        }
        let steps = self.steps_as(|step| match &step.state {
            StepState::Provisioned { service } => StepState::Committed { service: service.clone() },
            other => other.clone(),
        });
        let missed: Vec<String> =
            self.lost().map(|step| format!("{} at {}", step.lease.sku, step.provider)).collect();
        let reason = (!missed.is_empty()).then(|| format!("without {}", missed.join(", ")));
        self.enter(OrderState::Committed, reason, steps, Vec::new()).await
    }

    /// A service that is said to be that of two steps.
    fn counted_twice(&self) -> Option<String> {
        let mut seen = BTreeSet::new();
        self.order.steps.iter().find_map(|step| match &step.state {
            StepState::Provisioned { service } if !seen.insert((&step.provider, &service.id)) => {
                Some(format!("{} at {}", service.id, step.provider))
            }
            _ => None,
        })
    }

    /// Steps that ended with nothing and that no later plan stands in for.
    pub(super) fn lost(&self) -> impl Iterator<Item = &Step> {
        let is_replaced =
            |step: &Step| self.order.rounds.iter().any(|round| round.replaced.contains(&step.index));
        let steps = self.order.steps.iter();
        steps.filter(move |step| step.state == StepState::Compensated && !is_replaced(step))
    }

    /// Whether the order may do without a step.
    fn may_miss(&self, step: &Step) -> bool {
        step.lease.replicas.keys().all(|component| self.policy.optional_components.contains(component))
    }

    /// Begins to undo everything, unless that has begun, so that no restart goes on buying.
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

    /// Writes down in one go that everything is to be undone, and what led to it.
    pub(super) async fn undo(
        &mut self,
        reason: String,
        events: Vec<OrderEventKind>,
    ) -> Result<(), PurchaseError> {
        let now = Timestamp::now();
        let steps = self.steps_as(|step| {
            machine::to_compensate(&step.state, now, self.is_new() || self.is_unkeyed(step))
        });
        self.enter(OrderState::Compensating, Some(reason), steps, events).await
    }

    async fn compensate_all(&mut self) -> Result<(), PurchaseError> {
        self.compensate_some(|_| true).await?;
        let stuck = self.stuck();
        let state = if stuck.is_some() { OrderState::Stuck } else { self.over_state().await? };
        self.enter(state, stuck, Vec::new(), Vec::new()).await
    }

    /// Ends steps: in reverse, as what was bought last may depend on what was bought first; those of one rank side by side,
    /// so that one provider which does not answer holds up nobody else. The positions of those that were ended.
    async fn compensate_some(
        &mut self,
        is_wanted: impl Fn(&Step) -> bool,
    ) -> Result<Vec<usize>, PurchaseError> {
        let mut ranks: BTreeMap<Reverse<u32>, Vec<usize>> = BTreeMap::new();
        for (index, step) in self.order.steps.iter().enumerate().filter(|(_, step)| is_wanted(step)) {
            ranks.entry(Reverse(step.lease.rank)).or_default().push(index);
        }
        let at_once = self.policy.concurrency.clamp(1, 256) as usize;
        let mut ended = Vec::new();
        for indexes in ranks.into_values() {
            let done: Vec<Result<Step, PurchaseError>> = {
                let this = &*self;
                let calls = indexes.iter().map(|index| this.compensate(this.order.steps[*index].clone()));
                // Collected first: a closure that borrows inside a stream would keep the future from being spawned.
                let calls: Vec<_> = calls.collect();
                futures::stream::iter(calls).buffered(at_once).collect().await
            };
            for (index, step) in indexes.iter().zip(done) {
                self.order.steps[*index] = step?;
            }
            ended.extend(indexes);
        }
        Ok(ended)
    }

    /// At what a person must look.
    pub(super) fn stuck(&self) -> Option<String> {
        self.order.steps.iter().find_map(|step| match &step.state {
            StepState::Stuck { reason, .. } => {
                Some(format!("{} at {}: {reason}", step.lease.sku, step.provider))
            }
            _ => None,
        })
    }

    /// Writes a new state of the order, with all of its changed steps, in one transaction.
    pub(super) async fn enter(
        &mut self,
        state: OrderState,
        reason: Option<String>,
        steps: Vec<Step>,
        events: Vec<OrderEventKind>,
    ) -> Result<(), PurchaseError> {
        tracing::info!(order = %self.order.id, state = state.word(), reason, "order");
        self.change(Change { order: Some((state, reason)), steps, events, plan: None }).await
    }

    /// Writes a change, and takes it over.
    pub(super) async fn change(&mut self, change: Change) -> Result<(), PurchaseError> {
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

    async fn write(&self, change: &Change) -> Result<(), PurchaseError> {
        let written = self.engine.ledger.write(&self.claim, change).await?;
        self.hear(written.is_cancelled);
        Ok(())
    }

    /// Takes account of whether the customer wants the order undone.
    fn hear(&self, is_cancelled: bool) {
        if is_cancelled {
            self.failures.stop("cancelled by the customer".to_owned());
        } else {
            *self.is_wanted_at.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        }
    }

    /// The steps whose state changes.
    fn steps_as(&self, state: impl Fn(&Step) -> StepState) -> Vec<Step> {
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

    /// Writes a step's new state; nothing is done before it is durable.
    pub(super) async fn put(&self, step: &mut Step, state: StepState) -> Result<(), PurchaseError> {
        step.state = state;
        self.write(&Change { steps: vec![step.clone()], ..Change::default() }).await
    }

    /// Remembers and tells a failed try; it is written with the step's next state.
    pub(super) async fn note(&self, step: &mut Step, error: &ProviderError) -> Result<(), PurchaseError> {
        let shortage = shortage_of(&error.kind);
        self.note_as(step, error.kind.word(), error.to_string(), shortage).await
    }

    pub(super) async fn note_text(
        &self,
        step: &mut Step,
        error: String,
        shortage: Option<Shortage>,
    ) -> Result<(), PurchaseError> {
        self.note_as(step, kind_of(shortage), error, shortage).await
    }

    async fn note_as(
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
            // What tells that an offer cannot be had must not be pushed out by later noise.
            let oldest = step.attempts.iter().position(|attempt| attempt.shortage.is_none()).unwrap_or(0);
            step.attempts.remove(oldest);
        }
        step.attempts.push(Attempt { at: Timestamp::now(), error: error.clone(), shortage });
        let event = OrderEventKind::Attempt { index: step.index, provider: step.provider.clone(), error };
        self.write(&Change { steps: vec![step.clone()], events: vec![event], ..Change::default() }).await
    }

    /// Writes a step down, with what else there is to tell.
    pub(super) async fn tell(&self, step: &Step, events: Vec<OrderEventKind>) -> Result<(), PurchaseError> {
        self.write(&Change { steps: vec![step.clone()], events, ..Change::default() }).await
    }

    /// Gives a step up. Unless the order can go on without it, or with another plan, the other steps stop too.
    pub(super) fn fail(&self, step: &Step, shortage: Option<Shortage>, why: &str) {
        let can_go_on = self.may_miss(step) || (shortage.is_some() && self.has_rounds_left());
        self.failures.add(step, why, can_go_on);
    }

    /// What a call answers, or nothing once the order is to be undone, or its time is over: no provider's silence outlasts
    /// that.
    pub(super) async fn unless_stopped<T>(
        &self,
        call: impl Future<Output = T>,
    ) -> Result<Option<T>, PurchaseError> {
        let mut call = pin!(call);
        loop {
            match tokio::time::timeout(BETWEEN_LOOKS, call.as_mut()).await {
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
        let heard = *self.is_wanted_at.lock().unwrap_or_else(PoisonError::into_inner);
        if heard.elapsed() >= BETWEEN_LOOKS {
            self.hear(self.engine.ledger.is_cancelled(&self.order.id).await?);
        }
        // What is all there in time is not undone because something is done to it later.
        let is_buying = matches!(self.order.state, OrderState::Accepted | OrderState::Provisioning);
        if let Some(most) = self.policy.order_timeout_s.filter(|_| is_buying) {
            let end = self.order.created.checked_add(Duration::from_secs(most.into()));
            if end.is_ok_and(|end| Timestamp::now() > end) {
                self.failures.stop(format!("not all there within {most} s"));
            }
        }
        Ok(self.failures.must_stop())
    }

    /// Whether nobody can have asked for a planned step before: this process has just accepted the order, and this is its
    /// first driver. What another driver plans in a fail-over is not new: one that the ledger has forgotten may have planned
    /// and bought under the same key.
    pub(super) fn is_new(&self) -> bool {
        self.is_fresh
    }

    /// How much longer than lists lag it must be looked for what a step may have made: a host that was stopped in the
    /// middle of its call goes on with it when it is let. One that is stopped for longer is beyond this; then
    /// `reconcile` finds what it made late.
    pub(super) fn unsettled(&self, step: &Step) -> Duration {
        if self.taken_over.contains(&step.index) { self.engine.lease } else { Duration::ZERO }
    }

    /// The provider, for a call that makes or ends something.
    pub(super) fn changing(&self, step: &Step) -> Result<&Arc<dyn Provider>, PurchaseError> {
        self.held.check()?;
        Ok(self.provider(step))
    }

    pub(super) fn provider(&self, step: &Step) -> &Arc<dyn Provider> {
        self.engine.providers.get(&step.provider).unwrap_or(&self.engine.absent)
    }

    /// Whether the step's provider is not in this federation.
    pub(super) fn is_absent(&self, step: &Step) -> bool {
        !self.engine.providers.contains_key(&step.provider)
    }

    pub(super) fn class(&self, step: &Step) -> IdempotencyClass {
        self.provider(step).capabilities().idempotency_of(Call::Provision)
    }

    pub(super) fn manners(&self, step: &Step) -> Manners {
        Manners::from(self.provider(step).capabilities())
    }

    pub(super) fn poll_interval(&self, step: &Step) -> Duration {
        Duration::from_millis(self.provider(step).capabilities().poll_interval_ms.clamp(1, 60_000))
    }
}
