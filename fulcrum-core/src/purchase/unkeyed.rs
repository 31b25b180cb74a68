//! Buying where nothing can be told by a key: one step at a time, with the account listed before and after.
//!
//! Each such provider has a *gate* in the ledger, with at most one step in it. It belongs to the step and not to a host:
//! whoever holds the claim of the step's order has it, so it needs no clock, no lease and no renewal of its own, and a crash
//! leaves it to whoever resumes that order. A step
//!
//! 1. goes in; lists the account, and notes at the gate what is there (`before`); writes its intent; asks;
//! 2. after a definite answer stays in until the service's name is in the ledger;
//! 3. after an unknown outcome waits until lists do not lag any more, and lists again. What is new, of its product and
//!    place, still exists, and is no step's of this ledger, may be its own. Nothing: it may ask again. One: it is its own,
//!    and that is noted before anything else. More: a person must look; none of them is touched.
//!
//! A step is let in instead of another only if that one's state in the ledger says that all it has made is known there,
//! or if it has not asked yet and its order's claim was taken for the look, so that its driver cannot write an intent any
//! more.
//!
//! Why nothing is bought twice, nor left running unseen, with two hosts, a crash and a lost answer: Host A dies after
//! asking for step X, with X's intent and `before` in the ledger. Host B, with another order's step Y, finds X in the gate,
//! in an intent: it waits, and neither lists nor asks. Whoever takes X's order next (a claim with a newer token: A, if it
//! is alive, is fenced off the ledger and the gate, and calls nothing) finds `before` at the gate. Since A's list no other
//! step of this ledger has asked, and the names of all that earlier ones made were in the ledger before X came in; so what
//! is new and not known is X's, or a stranger's. It is decided once and late, when all that X can have made is listed, so
//! that a stranger's service is not taken for X's while X's own is still hidden. Only then Y comes in, and what X made is in
//! Y's `before`, or known.
//!
//! What is left: a stranger buys the same product at the same place between the two lists. If X's call made something too,
//! there are two, and a person looks. If it made nothing, the stranger's one is taken for X's. And what appears later than
//! the provider says its list lags, or comes from a host that was stopped in the middle of its call for longer than that and
//! a lease, is seen by nobody. This is why a policy must allow it.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use futures::TryStreamExt;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use super::{
    PurchaseError,
    compensate::Tried,
    drive::Driver,
    machine::back_off,
    provision::{Made, is_same_place, protocol},
};
use crate::{
    ledger::{Gate, LedgerError},
    model::{OrderEventKind, Service, ServiceId, ServiceStatus, Shortage, Step, StepState},
    provider::{Call, ErrorKind, IdempotencyClass, ProviderError},
};

pub(super) const REFUSED: &str = "it takes no key by which a repeated purchase could be told from a new one; \
     `may_buy_unkeyed` in the policy allows it where nobody else buys in that account, as what others buy there at the \
     same moment may be taken for the order's own; else";

/// Services of an account at most: what is there before is written down for each purchase.
const MOST: usize = 10_000;
/// Between two looks whether a gate is free, at most.
const PAUSE: Duration = Duration::from_millis(500);

/// What is noted at the gate.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Note {
    /// All services of the account before the call.
    before: BTreeSet<ServiceId>,
    /// What the call is found to have made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    made: Option<ServiceId>,
}

/// What a call of unknown outcome may have made.
enum May {
    Nothing(Vec<Service>),
    Be(ServiceId),
    BeOneOf(Vec<ServiceId>),
    /// What was there before is not known.
    NotBeTold,
}

fn gate(step: &Step) -> String {
    format!("provision/{}", step.provider)
}

/// Whether all that a step has made is known to the ledger, for good.
fn is_over(state: &StepState) -> bool {
    match state {
        StepState::Provisioned { .. }
        | StepState::Committed { .. }
        | StepState::Acting { .. }
        | StepState::Compensating { service: Some(_), .. }
        | StepState::Compensated
        | StepState::Stuck { .. } => true,
        StepState::Planned
        | StepState::Reserving { .. }
        | StepState::Reserved { .. }
        | StepState::Provisioning { .. }
        | StepState::Compensating { service: None, .. } => false,
    }
}

/// Whether a service may be what a step has asked for.
fn may_be(step: &Step, service: &Service) -> bool {
    service.provider == step.provider
        && service.key.as_ref().is_none_or(|key| *key == step.key)
        && service.sku == step.lease.sku
        && is_same_place(&step.lease.place, &service.place)
        && service.status != ServiceStatus::Releasing
}

impl Driver<'_> {
    /// Whether a step's purchase cannot be told by its key.
    pub(super) fn is_unkeyed(&self, step: &Step) -> bool {
        self.class(step) == IdempotencyClass::None
    }

    /// How long after a step's call its service may still be hidden.
    pub(super) fn list_lag(&self, step: &Step) -> Duration {
        self.provider(step).capabilities().list_lag()
    }

    /// Lets a step in where only one at a time may be; else it is left as it is, as others were given up or it was told to
    /// stop, or fails as its turn does not come. Who waits here takes no place away from those that do not.
    pub(super) async fn pass_gate(&self, step: &mut Step) -> Result<bool, PurchaseError> {
        let is_planned = step.state == StepState::Planned;
        if self.is_absent(step)
            || !self.is_unkeyed(step)
            || !(is_planned || matches!(step.state, StepState::Provisioning { .. }))
        {
            return Ok(true);
        }
        if is_planned && !self.policy.allow_non_idempotent_purchase {
            self.fail(step, None, REFUSED.trim_end_matches("; else"));
            return Ok(false);
        }
        let timeout = Duration::from_secs(self.policy.step_timeout_s.into());
        let (mut tries, mut end, mut last) = (0, Instant::now() + timeout, None);
        loop {
            // Others may wait for what this order has in other gates and has given up: that goes first.
            if is_planned && (self.failures.is_any() || self.should_stop().await?) {
                return Ok(false);
            }
            let Some(other) = self.try_enter(step).await? else { return Ok(true) };
            let other = (other.order, other.step);
            if last.as_ref() != Some(&other) {
                // It goes on.
                end = Instant::now() + timeout;
                last = Some(other.clone());
            }
            if Instant::now() >= end {
                let why = format!(
                    "one purchase at a time can be made there, and that of step {} of order {} does not come to an end; \
                     drive that order",
                    other.1, other.0
                );
                self.note_text(step, why.clone(), Some(Shortage::Unavailable)).await?;
                self.fail(step, Some(Shortage::Unavailable), &why);
                return Ok(false);
            }
            sleep(back_off(tries).min(PAUSE)).await;
            tries += 1;
        }
    }

    /// Who is in instead, if the step could not come in.
    async fn try_enter(&self, step: &Step) -> Result<Option<Gate>, PurchaseError> {
        let (ledger, name) = (&self.engine.ledger, gate(step));
        let present = ledger.enter_gate(&name, &self.claim, step.index, None).await?;
        if present.is_of(&self.claim, step.index) {
            return Ok(None);
        }
        let loaded = match ledger.load(&present.order).await {
            // What cannot be read may be in the middle of its purchase.
            Err(LedgerError::Damaged(_)) => return Ok(Some(present)),
            loaded => loaded?,
        };
        let other = match loaded {
            Some(order) => order.steps.into_iter().find(|step| step.index == present.step),
            // It was forgotten, as nothing of it exists.
            None => None,
        };
        let Some(other) = other else { return self.instead_of(step, present).await };
        match &other.state {
            state if is_over(state) => self.instead_of(step, present).await,
            // An earlier driver of this very order came so far: it is fenced off.
            StepState::Planned if present.order == self.order.id && present.token < self.claim.token => {
                self.instead_of(step, present).await
            }
            StepState::Planned if present.order != self.order.id => {
                // Who drives it may be about to write its intent; with its claim it cannot.
                let held = match self.engine.claim(&present.order).await {
                    Ok(held) => held,
                    Err(LedgerError::Claimed { .. } | LedgerError::NoSuchOrder(_)) => {
                        return Ok(Some(present));
                    }
                    Err(error) => return Err(error.into()),
                };
                let entered = match ledger.load(&present.order).await {
                    Ok(Some(order)) if order.steps.get(present.step as usize) == Some(&other) => {
                        self.instead_of(step, present).await
                    }
                    Ok(_) => Ok(Some(present)),
                    Err(error) => Err(error.into()),
                };
                held.give_back().await;
                entered
            }
            _ => Ok(Some(present)),
        }
    }

    async fn instead_of(&self, step: &Step, other: Gate) -> Result<Option<Gate>, PurchaseError> {
        let ledger = &self.engine.ledger;
        let present = ledger.enter_gate(&gate(step), &self.claim, step.index, Some(&other)).await?;
        Ok((!present.is_of(&self.claim, step.index)).then_some(present))
    }

    /// Lets the next one in, once all that a step has made is known, or it has made nothing.
    pub(super) async fn leave(&self, step: &Step) -> Result<(), PurchaseError> {
        if self.is_unkeyed(step) && (is_over(&step.state) || step.state == StepState::Planned) {
            self.engine.ledger.leave_gate(&gate(step), &self.claim, step.index).await?;
        }
        Ok(())
    }

    /// What is noted for a step that is in, if it is.
    async fn noted(&self, step: &Step) -> Result<Option<Note>, PurchaseError> {
        let present = self.engine.ledger.enter_gate(&gate(step), &self.claim, step.index, None).await?;
        let note = present.note.filter(|_| present.order == self.claim.order && present.step == step.index);
        let read = |text: String| {
            let damaged = |error| LedgerError::Damaged(format!("the note of a gate: {error}"));
            serde_json::from_str(&text).map_err(damaged)
        };
        Ok(note.map(read).transpose()?)
    }

    async fn put_note(&self, step: &Step, note: &Note) -> Result<(), PurchaseError> {
        let text = serde_json::to_string(note).map_err(|error| LedgerError::Damaged(error.to_string()))?;
        Ok(self.engine.ledger.note_gate(&gate(step), &self.claim, step.index, &text).await?)
    }

    /// Notes what is there, and then writes the intent.
    pub(super) async fn intend_unkeyed(&self, step: &mut Step) -> Tried {
        match self.list_all(step).await {
            Ok(services) => self.intend_after(step, services).await.map(Ok),
            Err(error) => Ok(Err(error)),
        }
    }

    async fn intend_after(&self, step: &mut Step, services: Vec<Service>) -> Result<(), PurchaseError> {
        let before = services.into_iter().map(|service| service.id).collect();
        self.put_note(step, &Note { before, made: None }).await?;
        self.intend(step).await
    }

    async fn list_all(&self, step: &Step) -> Result<Vec<Service>, ProviderError> {
        let read = async {
            let (mut services, mut list) = (Vec::new(), self.provider(step).services());
            while let Some(service) = list.try_next().await? {
                services.push(Service { attributes: Default::default(), ..service });
                if services.len() > MOST {
                    let message = format!(
                        "its account has more than {MOST} services, too many to compare before and after"
                    );
                    return Err(ProviderError::new(
                        step.provider.clone(),
                        Call::Services,
                        ErrorKind::Conflict { message },
                    ));
                }
            }
            Ok(services)
        };
        // A list that is not found says nothing about the step's own operation or service.
        read.await.map_err(|error: ProviderError| match error.kind {
            ErrorKind::NotFound { what } => {
                protocol(step, Call::Services, &format!("its list is missing: {what}"))
            }
            _ => error,
        })
    }

    /// Whether a service was there before the step asked, so that it cannot be what was made.
    pub(super) async fn was_there(&self, step: &Step, service: &Service) -> Result<bool, PurchaseError> {
        if !self.is_unkeyed(step) {
            return Ok(false);
        }
        Ok(self.noted(step).await?.is_some_and(|note| note.before.contains(&service.id)))
    }

    /// What an unknown call may have made, once lists do not lag any more.
    async fn find_made(&self, step: &Step) -> Result<Result<May, ProviderError>, PurchaseError> {
        let Some(mut note) = self.noted(step).await? else { return Ok(Ok(May::NotBeTold)) };
        if let Some(made) = note.made {
            return Ok(Ok(May::Be(made)));
        }
        let services = match self.list_all(step).await {
            Ok(services) => services,
            Err(error) => return Ok(Err(error)),
        };
        // After the list: what other steps have made by then, the ledger knows.
        let known: BTreeSet<ServiceId> =
            self.engine.ledger.services_at(&step.provider).await?.into_iter().collect();
        let is_new = |service: &&Service| {
            may_be(step, service) && !note.before.contains(&service.id) && !known.contains(&service.id)
        };
        let new: BTreeSet<ServiceId> =
            services.iter().filter(is_new).map(|service| service.id.clone()).collect();
        let mut candidates = Vec::new();
        for id in new {
            match self.provider(step).describe(&id).await {
                Ok(Some(now)) if may_be(step, &now) => candidates.push(id),
                Ok(Some(_)) => {}
                // A list may show what is gone, for as long as it is late. It is not decided before both say the same.
                Ok(None) => {
                    let why = format!("it lists {id}, and says that there is no such service");
                    return Ok(Err(protocol(step, Call::Describe, &why)));
                }
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(match candidates.len() {
            0 => May::Nothing(services),
            1 => {
                let made = candidates.remove(0);
                tracing::warn!(order = %self.order.id, step = step.index, service = %made,
                    "the only one that a lost answer can have made");
                note.made = Some(made.clone());
                self.put_note(step, &note).await?;
                May::Be(made)
            }
            _ => May::BeOneOf(candidates),
        }))
    }

    /// The account's services, if one that is said to be gone is not among them either; none while it is: a list may be late,
    /// but what it shows for good is there.
    async fn list_without(
        &self,
        step: &Step,
        gone: &ServiceId,
    ) -> Result<Option<Vec<Service>>, ProviderError> {
        let services = self.list_all(step).await?;
        if services.iter().any(|listed| listed.id == *gone) {
            sleep(self.poll_interval(step)).await;
            return Ok(None);
        }
        Ok(Some(services))
    }

    /// Closes a step whose service is said to be gone.
    pub(super) async fn close_unkeyed(&self, step: &mut Step, service: &ServiceId) -> Tried {
        match self.list_without(step, service).await {
            Ok(Some(_)) => self.put(step, StepState::Compensated).await.map(Ok),
            Ok(None) => Ok(Ok(())),
            Err(error) => Ok(Err(error)),
        }
    }

    /// Looks for what a call of unknown outcome has made; with `lag` still left, what is new may only be hidden.
    pub(super) async fn look_unkeyed(&self, step: &mut Step, lag: Duration) -> Tried {
        if !lag.is_zero() {
            sleep(lag.min(Duration::from_secs(1))).await;
            return Ok(Ok(()));
        }
        let is_at_it = match self.made_by_handle(step).await? {
            Ok(Made::Service(service)) => return self.found(step, service).await,
            Ok(Made::NotYet) => true,
            Ok(Made::Nothing) => false,
            Err(error) => return Ok(Err(error)),
        };
        match self.find_made(step).await? {
            Ok(May::Be(id)) => match self.describe_own(step, &id).await {
                Ok(Some(service)) => self.found(step, service).await,
                Ok(None) => match self.list_without(step, &id).await {
                    // Gone again: nothing is there.
                    Ok(Some(services)) => self.intend_after(step, services).await.map(Ok),
                    Ok(None) => Ok(Ok(())),
                    Err(error) => Ok(Err(error)),
                },
                Err(error) => Ok(Err(error)),
            },
            Ok(May::Nothing(_)) if is_at_it => Ok(Ok(())),
            // Proven absent: it may be asked for again, after a new intent.
            Ok(May::Nothing(services)) => self.intend_after(step, services).await.map(Ok),
            Ok(May::BeOneOf(services)) => {
                self.fail(step, None, &one_of(&services));
                Ok(Ok(()))
            }
            Ok(May::NotBeTold) => {
                self.fail(step, None, NOT_TOLD);
                Ok(Ok(()))
            }
            Err(error) => Ok(Err(error)),
        }
    }

    /// Looks for what is to be released; with `lag` still left, what is new may only be hidden.
    pub(super) async fn look_to_release_unkeyed(&self, step: &mut Step, lag: Duration) -> Tried {
        if matches!(&step.state, StepState::Compensating { sent: Some(at), .. } if *at == Timestamp::UNIX_EPOCH)
        {
            // Never asked, as far as this ledger knows, and nothing could tell more.
            return self.put(step, StepState::Compensated).await.map(Ok);
        }
        if !lag.is_zero() {
            sleep(lag.min(Duration::from_secs(1))).await;
            return Ok(Ok(()));
        }
        let is_at_it = match self.made_by_handle(step).await? {
            Ok(Made::Service(service)) => {
                return self.compensating(step, Some(service.id.clone()), None).await;
            }
            Ok(Made::NotYet) => true,
            Ok(Made::Nothing) => false,
            Err(error) => return Ok(Err(error)),
        };
        let reason = match self.find_made(step).await? {
            Ok(May::Be(service)) => return self.compensating(step, Some(service), None).await,
            Ok(May::Nothing(_)) if is_at_it => return Ok(Ok(())),
            Ok(May::Nothing(_)) => return self.put(step, StepState::Compensated).await.map(Ok),
            Ok(May::BeOneOf(services)) => one_of(&services),
            // As where a person lets a stuck step be undone once more.
            Ok(May::NotBeTold) => match self.last_known(step).await? {
                Some(service) => return self.compensating(step, Some(service), None).await,
                None => NOT_TOLD.to_owned(),
            },
            Err(error) => return Ok(Err(error)),
        };
        let reason = format!(
            "{reason}; look for {} at {}, and `settle` the order",
            self.trace_of(step),
            step.provider
        );
        self.stick(step, reason).await.map(Ok)
    }

    /// Leaves a step to a person. What was there before it asked is forgotten first: it tells less with each day, and a
    /// later try must not take what a stranger has bought since for the step's own.
    pub(super) async fn stick(&self, step: &mut Step, reason: String) -> Result<(), PurchaseError> {
        if self.is_unkeyed(step) {
            let (ledger, name) = (&self.engine.ledger, gate(step));
            // An earlier driver's note is left behind with its claim.
            ledger.enter_gate(&name, &self.claim, step.index, None).await?;
            ledger.leave_gate(&name, &self.claim, step.index).await?;
        }
        let (service, operation) = match &step.state {
            StepState::Compensating { service, operation, .. } => (service.clone(), operation.clone()),
            _ => (None, None),
        };
        self.put(step, StepState::Stuck { reason, service, operation }).await
    }

    /// The service that a step was last known to have, by the order's events; none if it has asked since.
    async fn last_known(&self, step: &Step) -> Result<Option<ServiceId>, PurchaseError> {
        let mut known = None;
        for event in self.engine.ledger.events(0, Some(&self.order.id), u32::MAX).await? {
            let OrderEventKind::Step { index, step: state, .. } = event.kind.into_kind() else { continue };
            if index != step.index {
                continue;
            }
            match state {
                StepState::Provisioned { service }
                | StepState::Committed { service }
                | StepState::Acting { service, .. } => known = Some(service.id.clone()),
                StepState::Compensating { service: Some(service), .. } => known = Some(service),
                StepState::Planned
                | StepState::Reserving { .. }
                | StepState::Reserved { .. }
                | StepState::Provisioning { .. }
                | StepState::Compensated => known = None,
                StepState::Compensating { service: None, .. } | StepState::Stuck { .. } => {}
            }
        }
        Ok(known)
    }

    /// By what a person finds what a step may have made.
    pub(super) fn trace_of(&self, step: &Step) -> String {
        match &step.state {
            StepState::Compensating { service: Some(service), .. } if self.is_unkeyed(step) => {
                service.to_string()
            }
            _ if self.is_unkeyed(step) => format!("a {} in {}", step.lease.sku, step.lease.place.region),
            _ => format!("the key {}", step.key),
        }
    }
}

const NOT_TOLD: &str =
    "whether something was made cannot be told any more, as what was there before is not known";

fn one_of(services: &[ServiceId]) -> String {
    let names: Vec<&str> = services.iter().take(10).map(ServiceId::as_str).collect();
    format!(
        "the answer was lost, and one of these may be its own: {}; none of them was touched",
        names.join(", ")
    )
}
