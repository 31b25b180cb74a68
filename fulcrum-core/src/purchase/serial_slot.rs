//! The serial slot of a provider that takes no idempotency keys: at most one step at a time buys there.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use super::{PurchaseError, accept::NON_IDEMPOTENT_REFUSED, backoff::back_off, driver::Driver};
use crate::{
    ledger::{LedgerError, SerialSlot},
    model::{Service, ServiceId, Shortage, Step, StepState},
};

/// The longest pause between two tries for a slot.
const MAX_SLOT_WAIT: Duration = Duration::from_millis(500);

/// What a step notes at its slot.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct SlotNote {
    /// All services of the account before the call.
    pub(super) before: BTreeSet<ServiceId>,
    /// The service that is attributed to the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) made: Option<ServiceId>,
}

pub(super) fn slot_name(step: &Step) -> String {
    format!("provision/{}", step.provider)
}

impl Driver<'_> {
    /// Acquires the slot of the step's provider, if that takes no idempotency keys. False: the step is left as it is, because the
    /// order stops, or was given up, because the slot did not become free in time. A waiting step takes no permit.
    pub(super) async fn acquire_slot(&self, step: &mut Step) -> Result<bool, PurchaseError> {
        let is_planned = step.state == StepState::Planned;
        if self.is_absent(step)
            || !self.is_non_idempotent(step)
            || !(is_planned || matches!(step.state, StepState::Provisioning { .. }))
        {
            return Ok(true);
        }
        if is_planned && !self.policy.allow_non_idempotent_purchase {
            self.give_up(step, None, NON_IDEMPOTENT_REFUSED);
            return Ok(false);
        }
        let timeout = Duration::from_secs(self.policy.step_timeout_s.into());
        let (mut tries, mut end, mut last) = (0, Instant::now() + timeout, None);
        loop {
            // Other orders may wait for slots that this order has to vacate: that goes first.
            if is_planned && (self.failures.is_any() || self.should_stop().await?) {
                return Ok(false);
            }
            let Some(other) = self.try_acquire_slot(step).await? else { return Ok(true) };
            let other = (other.order, other.step);
            if last.as_ref() != Some(&other) {
                // The slot changed hands.
                end = Instant::now() + timeout;
                last = Some(other.clone());
            }
            if Instant::now() >= end {
                let why = format!(
                    "its provider takes one purchase at a time, and that of step {} of order {} does not end; drive that order",
                    other.1, other.0
                );
                self.record_failure(step, why.clone(), Some(Shortage::Unavailable)).await?;
                self.give_up(step, Some(Shortage::Unavailable), &why);
                return Ok(false);
            }
            sleep(back_off(tries).min(MAX_SLOT_WAIT)).await;
            tries += 1;
        }
    }

    /// Tries to acquire the slot; returns the holder if another step has it.
    async fn try_acquire_slot(&self, step: &Step) -> Result<Option<SerialSlot>, PurchaseError> {
        let (ledger, name) = (&self.engine.ledger, slot_name(step));
        let present = ledger.acquire_slot(&name, &self.claim, step.index, None).await?;
        if present.is_of(&self.claim, step.index) {
            return Ok(None);
        }
        let loaded = match ledger.load(&present.order).await {
            // An order that cannot be read may be in the middle of its purchase.
            Err(LedgerError::Damaged(_)) => return Ok(Some(present)),
            loaded => loaded?,
        };
        let other = match loaded {
            Some(order) => order.steps.into_iter().find(|step| step.index == present.step),
            // It was purged, as nothing of it exists.
            None => None,
        };
        let Some(other) = other else { return self.replace_holder(step, present).await };
        match &other.state {
            state if state.is_settled() => self.replace_holder(step, present).await,
            // The holder is an earlier driver of this very order: its token is older.
            StepState::Planned if present.order == self.order.id && present.token < self.claim.token => {
                self.replace_holder(step, present).await
            }
            StepState::Planned if present.order != self.order.id => {
                // Its driver may be about to write its intent; without its claim it cannot.
                let guard = match self.engine.claim(&present.order).await {
                    Ok(guard) => guard,
                    Err(LedgerError::Claimed { .. } | LedgerError::NoSuchOrder(_)) => {
                        return Ok(Some(present));
                    }
                    Err(error) => return Err(error.into()),
                };
                let acquired = match ledger.load(&present.order).await {
                    Ok(Some(order)) if order.steps.get(present.step as usize) == Some(&other) => {
                        self.replace_holder(step, present).await
                    }
                    Ok(_) => Ok(Some(present)),
                    Err(error) => Err(error.into()),
                };
                guard.relinquish().await;
                acquired
            }
            _ => Ok(Some(present)),
        }
    }

    async fn replace_holder(
        &self,
        step: &Step,
        other: SerialSlot,
    ) -> Result<Option<SerialSlot>, PurchaseError> {
        let ledger = &self.engine.ledger;
        let present = ledger.acquire_slot(&slot_name(step), &self.claim, step.index, Some(&other)).await?;
        Ok((!present.is_of(&self.claim, step.index)).then_some(present))
    }

    /// Vacates the slot once the step is settled, or has never asked.
    pub(super) async fn vacate_slot(&self, step: &Step) -> Result<(), PurchaseError> {
        if self.is_non_idempotent(step) && (step.state.is_settled() || step.state == StepState::Planned) {
            self.engine.ledger.vacate_slot(&slot_name(step), &self.claim, step.index).await?;
        }
        Ok(())
    }

    /// The note of the step's slot, if the step holds it.
    pub(super) async fn slot_note(&self, step: &Step) -> Result<Option<SlotNote>, PurchaseError> {
        let present =
            self.engine.ledger.acquire_slot(&slot_name(step), &self.claim, step.index, None).await?;
        let note = present.note.filter(|_| present.order == self.claim.order && present.step == step.index);
        let read = |text: String| {
            let damaged = |error| LedgerError::Damaged(format!("the note of a serial slot: {error}"));
            serde_json::from_str(&text).map_err(damaged)
        };
        Ok(note.map(read).transpose()?)
    }

    pub(super) async fn annotate_slot(&self, step: &Step, note: &SlotNote) -> Result<(), PurchaseError> {
        let text = serde_json::to_string(note).map_err(|error| LedgerError::Damaged(error.to_string()))?;
        Ok(self.engine.ledger.annotate_slot(&slot_name(step), &self.claim, step.index, &text).await?)
    }

    /// Whether a service existed before the step asked, so that the step cannot have made it.
    pub(super) async fn is_pre_existing(
        &self,
        step: &Step,
        service: &Service,
    ) -> Result<bool, PurchaseError> {
        if !self.is_non_idempotent(step) {
            return Ok(false);
        }
        Ok(self.slot_note(step).await?.is_some_and(|note| note.before.contains(&service.id)))
    }
}
