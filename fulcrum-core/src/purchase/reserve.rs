//! Reservations: before anything is bought, all that can be reserved is. A sold-out offer then shows while nothing costs money.
//!
//! A reservation costs nothing and ends by itself, and the same key is the same reservation. So a call without a reply is
//! repeated, and a forgotten reservation does no harm.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use super::{
    PurchaseError,
    backoff::{is_transient, pause, time_left},
    driver::Driver,
    provision_request::request,
    step_failures::shortage_of,
};
use crate::{
    model::{Shortage, Step, StepState},
    provider::Call,
};

impl Driver<'_> {
    /// Whether the step's provider takes reservations. Without idempotency keys there are none.
    fn can_reserve(&self, step: &Step) -> bool {
        self.provider(step).capabilities().can(Call::Reserve) && !self.is_non_idempotent(step)
    }

    /// Whether a step is to be reserved, or reserved again.
    fn needs_reservation(&self, step: &Step) -> bool {
        match &step.state {
            StepState::Planned | StepState::Reserving { .. } => self.can_reserve(step),
            StepState::Reserved { until } => *until <= Timestamp::now() && self.can_reserve(step),
            _ => false,
        }
    }

    /// Reserves all open steps, side by side. A single step needs no reservation: buying it tells as much.
    pub(super) async fn reserve_pending(&mut self) -> Result<(), PurchaseError> {
        let open = self.order.steps.iter().filter(|step| step.state.is_open()).count();
        if open < 2 || !self.order.steps.iter().any(|step| self.needs_reservation(step)) {
            return Ok(());
        }
        let at_once = self.policy.concurrency.clamp(1, 256) as usize;
        let steps = std::mem::take(&mut self.order.steps);
        let held: Vec<Result<Step, PurchaseError>> = {
            let this = &*self;
            let permits = &tokio::sync::Semaphore::new(at_once);
            let calls = steps.into_iter().map(|step| async move {
                match permits.acquire().await {
                    Ok(_permit) if this.needs_reservation(&step) => this.reserve_step(step).await,
                    _ => Ok(step),
                }
            });
            let calls: Vec<_> = calls.collect();
            futures::future::join_all(calls).await
        };
        self.order.steps = held.into_iter().collect::<Result<_, _>>()?;
        Ok(())
    }

    /// Reserves a step again whose reservation has ended before its turn; else leaves it as it is.
    pub(super) async fn renew_reservation(&self, step: Step) -> Result<Step, PurchaseError> {
        let is_over = matches!(&step.state, StepState::Reserved { .. }) && self.needs_reservation(&step);
        if is_over { self.reserve_step(step).await } else { Ok(step) }
    }

    /// Reserves one step, or gives it up.
    async fn reserve_step(&self, mut step: Step) -> Result<Step, PurchaseError> {
        let end = Instant::now() + Duration::from_secs(self.policy.step_timeout_s.into());
        let request = request(&self.order.plan.blueprint, &step);
        let (mut tries, mut last) = (0, None);
        while !self.should_stop().await? {
            if Instant::now() >= end {
                let cause: String = last.map_or_else(String::new, |cause| format!(": {cause}"));
                let why =
                    format!("not reserved within {} s (step_timeout_s){cause}", self.policy.step_timeout_s);
                self.record_failure(&mut step, why.clone(), Some(Shortage::Unavailable)).await?;
                self.give_up(&step, Some(Shortage::Unavailable), &why);
                return Ok(step);
            }
            if !matches!(&step.state, StepState::Reserving { .. }) {
                self.write_state(&mut step, StepState::Reserving { since: Timestamp::now() }).await?;
            }
            let error = match self.provider_for_effect(&step)?.reserve(&request, &step.key).await {
                Ok(until) => {
                    self.write_state(&mut step, StepState::Reserved { until }).await?;
                    return Ok(step);
                }
                Err(error) => error,
            };
            self.record_error(&mut step, &error).await?;
            if !is_transient(&error.kind) {
                self.give_up(&step, shortage_of(&error.kind), &error.words());
                return Ok(step);
            }
            sleep(pause(tries, &error, time_left(end))).await;
            (tries, last) = (tries + 1, Some(error.words()));
        }
        Ok(step)
    }

    /// The state of a step that was refused, or for which nothing was sent: it may still be reserved.
    pub(super) fn state_when_unsent(&self, step: &Step) -> StepState {
        // A single step was never reserved.
        if self.can_reserve(step) && self.components.len() > 1 {
            StepState::Reserving { since: Timestamp::now() }
        } else {
            StepState::Planned
        }
    }

    /// Ends the reservation of a step that has no service any more. It is tried once: a reservation ends by itself.
    pub(super) async fn unreserve(&self, step: &Step) {
        if !self.provider(step).capabilities().can(Call::Unreserve) || !self.can_reserve(step) {
            return;
        }
        if let Err(error) = self.provider(step).unreserve(&step.key).await {
            tracing::info!(order = %self.order.id, step = step.index, %error, "not unreserved; the reservation ends by itself");
        }
    }
}
