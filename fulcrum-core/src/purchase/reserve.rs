//! Before anything is bought, providers that can hold something for a while hold it: what is sold out shows while it is still
//! free to change one's mind.
//!
//! A hold costs nothing and ends by itself, and the same key is the same hold: so a call without an answer is made again, and
//! what is forgotten does no harm.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use super::{
    PurchaseError,
    drive::Driver,
    failures::shortage_of,
    machine::pause,
    provision::{left, request},
};
use crate::{
    model::{Shortage, Step, StepState},
    provider::{Call, ErrorKind},
};

impl Driver<'_> {
    /// Whether the provider holds things for who asks. Where nothing is known by key, nothing can be held.
    fn can_hold(&self, step: &Step) -> bool {
        self.provider(step).capabilities().can(Call::Reserve) && !self.is_unkeyed(step)
    }

    /// Whether a step is to be held, or to be held again.
    fn wants_hold(&self, step: &Step) -> bool {
        match &step.state {
            StepState::Planned | StepState::Reserving { .. } => self.can_hold(step),
            StepState::Reserved { until } => *until <= Timestamp::now() && self.can_hold(step),
            _ => false,
        }
    }

    /// Lets all that is still to be bought be held where that can be, side by side. One thing alone need not be: buying it
    /// tells as much.
    pub(super) async fn reserve_rest(&mut self) -> Result<(), PurchaseError> {
        let open = self.order.steps.iter().filter(|step| super::metrics::is_open(&step.state)).count();
        if open < 2 || !self.order.steps.iter().any(|step| self.wants_hold(step)) {
            return Ok(());
        }
        let at_once = self.policy.concurrency.clamp(1, 256) as usize;
        let steps = std::mem::take(&mut self.order.steps);
        let held: Vec<Result<Step, PurchaseError>> = {
            let this = &*self;
            let places = &tokio::sync::Semaphore::new(at_once);
            let calls = steps.into_iter().map(|step| async move {
                match places.acquire().await {
                    Ok(_place) if this.wants_hold(&step) => this.hold(step).await,
                    _ => Ok(step),
                }
            });
            let calls: Vec<_> = calls.collect();
            futures::future::join_all(calls).await
        };
        self.order.steps = held.into_iter().collect::<Result<_, _>>()?;
        Ok(())
    }

    /// Holds a step again whose turn has come after its hold ended; else leaves it as it is.
    pub(super) async fn renew(&self, step: Step) -> Result<Step, PurchaseError> {
        let is_over = matches!(&step.state, StepState::Reserved { .. }) && self.wants_hold(&step);
        if is_over { self.hold(step).await } else { Ok(step) }
    }

    /// Lets one step be held, or says by `fail` that it cannot be had.
    async fn hold(&self, mut step: Step) -> Result<Step, PurchaseError> {
        let end = Instant::now() + Duration::from_secs(self.policy.step_timeout_s.into());
        let request = request(&self.order.plan.blueprint, &step);
        let (mut tries, mut last) = (0, None);
        while !self.should_stop().await? {
            if Instant::now() >= end {
                let cause: String = last.map_or_else(String::new, |cause| format!(": {cause}"));
                let why = format!("not held within {} s{cause}", self.policy.step_timeout_s);
                self.note_text(&mut step, why.clone(), Some(Shortage::Unavailable)).await?;
                self.fail(&step, Some(Shortage::Unavailable), &why);
                return Ok(step);
            }
            if !matches!(&step.state, StepState::Reserving { .. }) {
                self.put(&mut step, StepState::Reserving { since: Timestamp::now() }).await?;
            }
            let error = match self.changing(&step)?.reserve(&request, &step.key).await {
                Ok(until) => {
                    self.put(&mut step, StepState::Reserved { until }).await?;
                    return Ok(step);
                }
                Err(error) => error,
            };
            self.note(&mut step, &error).await?;
            if !is_worth_another_try(&error.kind) {
                self.fail(&step, shortage_of(&error.kind), &error.words());
                return Ok(step);
            }
            sleep(pause(tries, &error, left(end))).await;
            (tries, last) = (tries + 1, Some(error.words()));
        }
        Ok(step)
    }

    /// The state of a step that was refused, or for which nothing was sent.
    pub(super) fn unsent(&self, step: &Step) -> StepState {
        // One thing alone was never asked to be held.
        if self.can_hold(step) && self.held_by.len() > 1 {
            StepState::Reserving { since: Timestamp::now() }
        } else {
            StepState::Planned
        }
    }

    /// Gives back what may be held for a step of which nothing is left. It is tried once: a hold ends by itself.
    pub(super) async fn give_back(&self, step: &Step) {
        if !self.provider(step).capabilities().can(Call::Unreserve) || !self.can_hold(step) {
            return;
        }
        if let Err(error) = self.provider(step).unreserve(&step.key).await {
            tracing::info!(order = %self.order.id, step = step.index, %error, "not given back; it ends by itself");
        }
    }
}

/// No `_` arm: a new kind of error must decide.
pub(super) fn is_worth_another_try(kind: &ErrorKind) -> bool {
    match kind {
        ErrorKind::RateLimited { .. }
        | ErrorKind::Unavailable { .. }
        | ErrorKind::NotSent { .. }
        | ErrorKind::Ambiguous
        | ErrorKind::Protocol { .. } => true,
        ErrorKind::InvalidRequest { .. }
        | ErrorKind::Unauthorised
        | ErrorKind::Forbidden
        | ErrorKind::NotFound { .. }
        | ErrorKind::Conflict { .. }
        | ErrorKind::QuotaExceeded { .. }
        | ErrorKind::CapacityExhausted { .. }
        | ErrorKind::Unsupported => false,
    }
}
