//! Purchases at a provider without idempotency keys: one step at a time, with the account listed before and after
//! (decisions 29 and 30).
//!
//! Each such provider has a serial slot in the ledger, which at most one step holds. The slot belongs to the step and not to a
//! host: whoever has the claim of the step's order has the slot. So the slot needs no clock and never expires, and a crash leaves
//! it to whoever resumes that order. A step
//!
//! 1. acquires the slot; lists the account, and notes at the slot which services exist (`before`); writes its intent; asks;
//! 2. after a definite reply keeps the slot until the ledger has the service's name;
//! 3. after an unknown outcome waits until lists do not lag any more, and lists again. A service is a candidate if it is new, of
//!    the step's product and place, still exists, and is no step's of this ledger. No candidate: the step may ask again. One:
//!    it is the step's own, and the slot notes that before anything else. Several: a person must look; none is touched.
//!
//! A step replaces another one as the slot's holder in two cases. The other step's state in the ledger is settled. Or the other
//! step has not asked yet, and its order's claim is taken for the check, so that its driver cannot write an intent any more.
//!
//! Why nothing is bought twice, and nothing runs unseen, with two hosts, a crash and a lost reply: Host A dies after asking for
//! step X. The ledger has X's intent and its `before`. Host B, with step Y of another order, finds that X holds the slot with an
//! intent: B waits, and neither lists nor asks. The next driver of X's order has a newer fencing token. (If A is alive, the
//! ledger refuses its writes and its slot, and A calls nothing.) That driver finds `before` at the slot. Since A's list no other
//! step of this ledger has asked, and the ledger had the names of all that earlier steps made before X acquired the slot. So a
//! service that is new and unknown is X's, or a stranger's. The attribution is made once and late, when everything that X can
//! have made is listed: a stranger's service is not taken for X's while X's own is still hidden. Only then Y acquires the slot,
//! and what X made is in Y's `before`, or known.
//!
//! Known limits: a stranger buys the same product at the same place between the two lists. If X's call made something too, there
//! are two candidates, and a person looks. If it made nothing, the stranger's service is taken for X's. A service stays unseen if
//! it appears after the provider's list lag, or comes from a host that paused in its call for longer than list lag + one claim
//! TTL. This is why a policy must allow such purchases.

use std::{collections::BTreeSet, time::Duration};

use futures::TryStreamExt;
use tokio::time::sleep;

use super::{
    PurchaseError,
    driver::{CallOutcome, Driver, protocol_error},
    operation_handle::MadeByOperation,
    provision_request::is_same_place,
    serial_slot::{SlotNote, slot_name},
};
use crate::{
    model::{OrderEventKind, RequestSent, Service, ServiceId, ServiceStatus, Step, StepState},
    provider::{Call, ErrorKind, ProviderError},
};

/// Services of an account at most: each purchase notes all of them.
const MAX_SERVICES_PER_ACCOUNT: usize = 10_000;

/// Which service a request of unknown outcome has made.
enum Attribution {
    /// Nothing; with it the account's services, for the next intent.
    NotCreated(Vec<Service>),
    /// This service.
    Created(ServiceId),
    /// One of these: a person must look.
    Ambiguous(Vec<ServiceId>),
    /// The account before the call is not known.
    Unknown,
}

/// Whether a service may be the one that a step has asked for.
fn is_candidate(step: &Step, service: &Service) -> bool {
    service.provider == step.provider
        && service.key.as_ref().is_none_or(|key| *key == step.key)
        && service.sku == step.lease.sku
        && is_same_place(&step.lease.place, &service.place)
        && service.status != ServiceStatus::Releasing
}

impl Driver<'_> {
    /// Lists the account, notes it at the slot, and then writes the intent.
    pub(super) async fn record_intent_non_idempotent(&self, step: &mut Step) -> CallOutcome {
        match self.list_account(step).await {
            Ok(services) => self.record_intent_after(step, services).await.map(Ok),
            Err(error) => Ok(Err(error)),
        }
    }

    async fn record_intent_after(
        &self,
        step: &mut Step,
        services: Vec<Service>,
    ) -> Result<(), PurchaseError> {
        let before = services.into_iter().map(|service| service.id).collect();
        self.annotate_slot(step, &SlotNote { before, made: None }).await?;
        self.record_intent(step).await
    }

    async fn list_account(&self, step: &Step) -> Result<Vec<Service>, ProviderError> {
        let read = async {
            let (mut services, mut list) = (Vec::new(), self.provider(step).services());
            while let Some(service) = list.try_next().await? {
                services.push(Service { attributes: Default::default(), ..service });
                if services.len() > MAX_SERVICES_PER_ACCOUNT {
                    let message = format!(
                        "its account has more than {MAX_SERVICES_PER_ACCOUNT} services, too many to compare before and after"
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
        // A missing list says nothing about the step's own operation or service.
        read.await.map_err(|error: ProviderError| match error.kind {
            ErrorKind::NotFound { what } => {
                protocol_error(step, Call::Services, &format!("its list is missing: {what}"))
            }
            _ => error,
        })
    }

    /// Attributes a request of unknown outcome, once lists do not lag any more.
    async fn attribute(&self, step: &Step) -> Result<Result<Attribution, ProviderError>, PurchaseError> {
        let Some(mut note) = self.slot_note(step).await? else { return Ok(Ok(Attribution::Unknown)) };
        if let Some(made) = note.made {
            return Ok(Ok(Attribution::Created(made)));
        }
        let services = match self.list_account(step).await {
            Ok(services) => services,
            Err(error) => return Ok(Err(error)),
        };
        // Read after the list, so that the ledger knows what other steps have made by then.
        let known: BTreeSet<ServiceId> =
            self.engine.ledger.services_at(&step.provider).await?.into_iter().collect();
        let is_new = |service: &&Service| {
            is_candidate(step, service) && !note.before.contains(&service.id) && !known.contains(&service.id)
        };
        let new: BTreeSet<ServiceId> =
            services.iter().filter(is_new).map(|service| service.id.clone()).collect();
        let mut candidates = Vec::new();
        for id in new {
            match self.provider(step).describe(&id).await {
                Ok(Some(now)) if is_candidate(step, &now) => candidates.push(id),
                Ok(Some(_)) => {}
                // A list that lags may show a service that is gone. Both calls must say the same.
                Ok(None) => {
                    let why = format!("its list has {id}, and its look-up says that {id} does not exist");
                    return Ok(Err(protocol_error(step, Call::Describe, &why)));
                }
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(match candidates.len() {
            0 => Attribution::NotCreated(services),
            1 => {
                let made = candidates.remove(0);
                tracing::warn!(order = %self.order.id, step = step.index, service = %made,
                    "the only one that a lost answer can have made");
                note.made = Some(made.clone());
                self.annotate_slot(step, &note).await?;
                Attribution::Created(made)
            }
            _ => Attribution::Ambiguous(candidates),
        }))
    }

    /// The account's services once a service that is said to be gone is not among them; none while it still is.
    async fn list_once_gone(
        &self,
        step: &Step,
        gone: &ServiceId,
    ) -> Result<Option<Vec<Service>>, ProviderError> {
        let services = self.list_account(step).await?;
        if services.iter().any(|listed| listed.id == *gone) {
            sleep(self.poll_interval(step)).await;
            return Ok(None);
        }
        Ok(Some(services))
    }

    /// Closes a step whose service is said to be gone, once the list agrees.
    pub(super) async fn close_non_idempotent(&self, step: &mut Step, service: &ServiceId) -> CallOutcome {
        match self.list_once_gone(step, service).await {
            Ok(Some(_)) => self.write_state(step, StepState::Compensated).await.map(Ok),
            Ok(None) => Ok(Ok(())),
            Err(error) => Ok(Err(error)),
        }
    }

    /// Finds the service of a request with an unknown outcome; while `lag` remains, absence proves nothing.
    pub(super) async fn look_up_non_idempotent(&self, step: &mut Step, lag: Duration) -> CallOutcome {
        if !lag.is_zero() {
            sleep(lag.min(Duration::from_secs(1))).await;
            return Ok(Ok(()));
        }
        let is_running = match self.made_by_handle(step).await? {
            Ok(MadeByOperation::Service(service)) => return self.adopt(step, service).await,
            Ok(MadeByOperation::NotYet) => true,
            Ok(MadeByOperation::Nothing) => false,
            Err(error) => return Ok(Err(error)),
        };
        match self.attribute(step).await? {
            Ok(Attribution::Created(id)) => match self.describe_own_service(step, &id).await {
                Ok(Some(service)) => self.adopt(step, service).await,
                Ok(None) => match self.list_once_gone(step, &id).await {
                    // It is gone again.
                    Ok(Some(services)) => self.record_intent_after(step, services).await.map(Ok),
                    Ok(None) => Ok(Ok(())),
                    Err(error) => Ok(Err(error)),
                },
                Err(error) => Ok(Err(error)),
            },
            Ok(Attribution::NotCreated(_)) if is_running => Ok(Ok(())),
            // Absence is proven: the step may ask again, after a new intent.
            Ok(Attribution::NotCreated(services)) => self.record_intent_after(step, services).await.map(Ok),
            Ok(Attribution::Ambiguous(services)) => {
                self.give_up(step, None, &ambiguous_reason(&services));
                Ok(Ok(()))
            }
            Ok(Attribution::Unknown) => {
                self.give_up(step, None, ATTRIBUTION_UNKNOWN);
                Ok(Ok(()))
            }
            Err(error) => Ok(Err(error)),
        }
    }

    /// Finds the service that is to be released; while `lag` remains, absence proves nothing.
    pub(super) async fn look_up_to_release_non_idempotent(
        &self,
        step: &mut Step,
        lag: Duration,
    ) -> CallOutcome {
        if matches!(&step.state, StepState::Compensating { sent: RequestSent::Never, .. }) {
            // Nothing was sent, as far as this ledger knows, and no look-up could tell more.
            return self.write_state(step, StepState::Compensated).await.map(Ok);
        }
        if !lag.is_zero() {
            sleep(lag.min(Duration::from_secs(1))).await;
            return Ok(Ok(()));
        }
        let is_running = match self.made_by_handle(step).await? {
            Ok(MadeByOperation::Service(service)) => {
                return self.write_compensating(step, Some(service.id.clone()), None).await;
            }
            Ok(MadeByOperation::NotYet) => true,
            Ok(MadeByOperation::Nothing) => false,
            Err(error) => return Ok(Err(error)),
        };
        let reason = match self.attribute(step).await? {
            Ok(Attribution::Created(service)) => {
                return self.write_compensating(step, Some(service), None).await;
            }
            Ok(Attribution::NotCreated(_)) if is_running => return Ok(Ok(())),
            Ok(Attribution::NotCreated(_)) => {
                return self.write_state(step, StepState::Compensated).await.map(Ok);
            }
            Ok(Attribution::Ambiguous(services)) => ambiguous_reason(&services),
            // As after an operator's `retry` of a stuck step.
            Ok(Attribution::Unknown) => match self.last_known_service(step).await? {
                Some(service) => return self.write_compensating(step, Some(service), None).await,
                None => ATTRIBUTION_UNKNOWN.to_owned(),
            },
            Err(error) => return Ok(Err(error)),
        };
        let reason = format!(
            "{reason}; look for {} at {}, and `settle` the order",
            self.search_hint(step),
            step.provider
        );
        self.mark_stuck(step, reason).await.map(Ok)
    }

    /// Leaves a step to a person. The slot is vacated first, and its note with it: the note tells less with each day, and a later
    /// try must not take what a stranger has bought since for the step's own.
    pub(super) async fn mark_stuck(&self, step: &mut Step, reason: String) -> Result<(), PurchaseError> {
        if self.is_non_idempotent(step) {
            let (ledger, name) = (&self.engine.ledger, slot_name(step));
            // An earlier driver may hold the slot under its own claim.
            ledger.acquire_slot(&name, &self.claim, step.index, None).await?;
            ledger.vacate_slot(&name, &self.claim, step.index).await?;
        }
        let (service, operation) = match &step.state {
            StepState::Compensating { service, operation, .. } => (service.clone(), operation.clone()),
            _ => (None, None),
        };
        self.write_state(step, StepState::Stuck { reason, service, operation }).await
    }

    /// The service that the step was last known to have, by the order's events; none if it has asked since.
    async fn last_known_service(&self, step: &Step) -> Result<Option<ServiceId>, PurchaseError> {
        let mut known = None;
        for event in self.engine.ledger.events(0, Some(&self.order.id), u32::MAX).await? {
            let OrderEventKind::Step { index, step: state, .. } = event.kind.into_kind() else { continue };
            if index != step.index {
                continue;
            }
            match &state {
                StepState::Compensating { service: None, .. } | StepState::Stuck { .. } => {}
                state => known = state.service_id().cloned(),
            }
        }
        Ok(known)
    }

    /// What a person searches for at the provider: the service, the product, or the key.
    pub(super) fn search_hint(&self, step: &Step) -> String {
        match &step.state {
            StepState::Compensating { service: Some(service), .. } if self.is_non_idempotent(step) => {
                service.to_string()
            }
            _ if self.is_non_idempotent(step) => {
                format!("a {} in {}", step.lease.sku, step.lease.place.region)
            }
            _ => format!("the key {}", step.key),
        }
    }
}

const ATTRIBUTION_UNKNOWN: &str =
    "whether a service was made cannot be told any more, as the account before the request is not known";

fn ambiguous_reason(services: &[ServiceId]) -> String {
    let names: Vec<&str> = services.iter().take(10).map(ServiceId::as_str).collect();
    format!(
        "the reply was lost, and one of these services may be the order's own: {}; none of them was touched",
        names.join(", ")
    )
}
