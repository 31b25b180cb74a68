//! Drives one order from its present state to a final one: which steps are provisioned, compensated or acted on, in which
//! order, and what the order's state is then.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use futures::StreamExt;
use jiff::Timestamp;
use rust_decimal::Decimal;
use tokio::sync::Semaphore;
use tracing::Instrument;

use super::{
    PurchaseError, driver::Driver, machine, price_check, spans::span_of_step, step_dependencies,
    step_failures::Outcome,
};
use crate::{
    ledger::OrderUpdate,
    model::{Order, OrderEventKind, OrderState, Step, StepState},
    telemetry,
};

impl Driver<'_> {
    /// Drives the order to a final state, and returns it.
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

    /// Begins to undo everything, for the first reason that a step or the customer has given.
    async fn compensate_for_failure(&mut self) -> Result<(), PurchaseError> {
        let reason = self.failures.take().reason_to_undo.unwrap_or_default();
        self.begin_compensation(reason).await
    }

    /// Checks the price of every step, and buys or refuses.
    async fn check_prices(&mut self) -> Result<(), PurchaseError> {
        let (plan, steps) = (&self.order.plan, &self.order.steps);
        let check = price_check::check(self.engine, &self.policy, plan, steps, Decimal::ZERO);
        let Some(checked) = self.unless_stopped(check).await? else {
            return self.compensate_for_failure().await;
        };
        let checked = match checked {
            Ok(checked) => self.use_approval().await?.map(|()| checked),
            refused => refused,
        };
        match checked {
            Ok(checked) => {
                self.enter_state(OrderState::Provisioning, None, checked.steps, checked.events).await
            }
            Err(refusal) if !self.is_new() => self.undo(refusal, Vec::new()).await,
            Err(refusal) => {
                // Nothing was bought: every step is done at once.
                let steps = self.changed_steps(|_| StepState::Compensated);
                self.enter_state(OrderState::Refused, Some(refusal), steps, Vec::new()).await
            }
        }
    }

    /// Uses up the order's approval: one approval buys once. A serial slot of the ledger keeps it, also after the order was purged.
    /// The inner error says that another order has used it.
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
        let used_by = ledger.acquire_slot(&name, &self.claim, 0, None).await?.order;
        if used_by == self.order.id {
            return Ok(Ok(()));
        }
        Ok(Err(format!(
            "its approval was used for order {used_by}, and one approval buys once; give the policy another \
             valid_until, and have that approved"
        )))
    }

    async fn provision_all(&mut self) -> Result<(), PurchaseError> {
        if self.should_stop().await? {
            return self.compensate_for_failure().await;
        }
        // Steps that an earlier round gave up are released first.
        let is_given_up = |step: &Step| matches!(step.state, StepState::Compensating { .. });
        let ended = self.compensate_where(is_given_up).await?;
        let is_stuck = |index: &usize| matches!(self.order.steps[*index].state, StepState::Stuck { .. });
        if let Some(index) = ended.into_iter().find(is_stuck) {
            return self.begin_compensation(format!("step {index} could not be released")).await;
        }
        if self.failed_steps().any(|step| !self.is_optional(step)) {
            return self.fail_over().await;
        }
        self.reserve_pending().await?;
        if !self.failures.is_any() && !self.failures.must_stop() {
            self.provision_pending().await?;
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
            state: machine::to_compensate(&step.state, now, self.is_new() || self.is_non_idempotent(step)),
            ..step.clone()
        };
        let steps = failed.map(given_up).collect();
        self.apply(OrderUpdate { steps, ..OrderUpdate::default() }).await
    }

    /// Provisions all open steps, side by side, each once its prerequisites are there.
    async fn provision_pending(&mut self) -> Result<(), PurchaseError> {
        let at_once = self.policy.concurrency.clamp(1, 256) as usize;
        self.dependencies.start(&self.order.steps);
        let before = step_dependencies::prerequisites(&self.order.steps);
        let components = |step: &Step| step.lease.replicas.keys().map(ToString::to_string).collect();
        self.components = self.order.steps.iter().map(|step| (step.index, components(step))).collect();
        self.refresh_headroom();
        let steps = std::mem::take(&mut self.order.steps);
        // A lost claim ends everything. A failed step stops the others between two calls, unless the order can go on without it.
        let driven: Vec<Result<Step, PurchaseError>> = {
            let this = &*self;
            let permits = &Semaphore::new(at_once);
            let calls = steps.into_iter().zip(before).map(|(step, before)| async move {
                // A waiting step takes no permit.
                let (index, is_turn) = (step.index, this.dependencies.wait_for(&before).await);
                let mut step = step;
                let is_in = if is_turn { this.acquire_slot(&mut step).await } else { Ok(false) };
                let made = match (is_in, permits.acquire().await) {
                    (Ok(true), Ok(_permit)) => match this.renew_reservation(step).await {
                        Ok(step) => this.drive_provision(step).await,
                        Err(error) => Err(error),
                    },
                    (Ok(_), _) => Ok(step),
                    (Err(error), _) => Err(error),
                };
                this.dependencies.resolve(index, made.as_ref().ok());
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
        if let Some(service) = self.duplicate_service() {
            let reason =
                format!("{service} is named as the service of two steps; its provider is not to be trusted");
            return self.begin_compensation(reason).await;
        }
        let steps = self.changed_steps(|step| match &step.state {
            StepState::Provisioned { service } => StepState::Committed { service: service.clone() },
            other => other.clone(),
        });
        let missed: Vec<String> =
            self.failed_steps().map(|step| format!("{} at {}", step.lease.sku, step.provider)).collect();
        let reason = (!missed.is_empty()).then(|| format!("without {}", missed.join(", ")));
        self.enter_state(OrderState::Committed, reason, steps, Vec::new()).await
    }

    /// A service that the provider has named for two steps.
    fn duplicate_service(&self) -> Option<String> {
        let mut seen = BTreeSet::new();
        self.order.steps.iter().find_map(|step| match &step.state {
            StepState::Provisioned { service } if !seen.insert((&step.provider, &service.id)) => {
                Some(format!("{} at {}", service.id, step.provider))
            }
            _ => None,
        })
    }

    async fn compensate_all(&mut self) -> Result<(), PurchaseError> {
        self.compensate_where(|_| true).await?;
        let stuck = self.stuck();
        let state = if stuck.is_some() { OrderState::Stuck } else { self.terminal_state().await? };
        self.enter_state(state, stuck, Vec::new(), Vec::new()).await
    }

    /// Compensates steps by falling rank, as later steps depend on earlier ones. Steps of one rank run side by side, so that a
    /// silent provider holds up no other. Returns the positions of the compensated steps.
    async fn compensate_where(
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
                let calls =
                    indexes.iter().map(|index| this.drive_compensation(this.order.steps[*index].clone()));
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

    /// Runs all actions and releases that an operator has requested, one after the other.
    async fn act_all(&mut self) -> Result<(), PurchaseError> {
        let mut failure = None;
        for index in 0..self.order.steps.len() {
            let step = self.order.steps[index].clone();
            let step = match step.state {
                StepState::Acting { .. } => self.drive_action(step, &mut failure).await?,
                StepState::Compensating { .. } => self.drive_compensation(step).await?,
                _ => continue,
            };
            self.order.steps[index] = step;
            if self.failures.must_stop() {
                return self.compensate_for_failure().await;
            }
        }
        if let Some(reason) = self.stuck() {
            return self.enter_state(OrderState::Stuck, Some(reason), Vec::new(), Vec::new()).await;
        }
        let is_committed = |step: &Step| matches!(step.state, StepState::Committed { .. });
        let state = match self.order.steps.iter().any(is_committed) {
            true => OrderState::Committed,
            false => OrderState::Ended,
        };
        self.enter_state(state, failure, Vec::new(), Vec::new()).await
    }

    /// Provisions a step: the entry point, with its span, its slot and its metric.
    async fn drive_provision(&self, step: Step) -> Result<Step, PurchaseError> {
        let (span, began) = (span_of_step(&self.order.id, &step), Instant::now());
        let was_open = step.state.is_open();
        let step = self.provision_step(step).instrument(span).await?;
        self.vacate_slot(&step).await?;
        if was_open && matches!(step.state, StepState::Provisioned { .. }) {
            telemetry::step_provisioned(&step.provider, began);
        }
        Ok(step)
    }

    /// Compensates a step: the entry point, with its span, its slot and its reservation.
    async fn drive_compensation(&self, step: Step) -> Result<Step, PurchaseError> {
        let span = span_of_step(&self.order.id, &step);
        let was_there = step.state != StepState::Compensated;
        let step = self.compensate_step(step).instrument(span).await?;
        self.vacate_slot(&step).await?;
        if was_there && step.state == StepState::Compensated {
            self.unreserve(&step).await;
        }
        Ok(step)
    }

    /// Runs a step's action: the entry point, with its span. `failure` says why an action was not done.
    async fn drive_action(&self, step: Step, failure: &mut Option<String>) -> Result<Step, PurchaseError> {
        let span = span_of_step(&self.order.id, &step);
        self.run_action(step, failure).instrument(span).await
    }
}
