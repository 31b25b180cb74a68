//! Old orders: exported as a document that proves itself, and purged.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt};
use indexmap::IndexMap;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{PurchaseError, accept::planned_step, backoff::back_off, engine::Engine};
use crate::{
    ledger::{LedgerError, OrderQuery, verify_events},
    model::{
        Acceptance, Action, Cancellation, ComponentId, DocumentError, FailOverRound, Lease, Operator, Order,
        OrderEvent, OrderEventKind, OrderId, OrderState, Plan, ProviderId, SkuId, Step, StepState,
        check_fields, check_size, limits, parse_json,
    },
};

/// Orders that are listed at once.
const ORDERS_PER_PAGE: u32 = 256;
/// Orders that are purged side by side: a ledger commits them as a group.
const MAX_PARALLEL_PURGES: usize = 16;

/// An order with all that ever happened to it, as a document that is kept outside of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderArchive {
    /// [`OrderArchive::FORMAT`].
    pub format: String,
    /// As it was when it was exported.
    pub order: Order,
    /// From the first to the last.
    pub events: Vec<OrderEvent>,
    /// The hash of the last event. Kept elsewhere too, it tells whether the whole archive was written anew.
    pub head: String,
}

impl OrderArchive {
    /// The format that this version writes and reads.
    pub const FORMAT: &str = "fulcrum-order-archive/1";

    /// Reads an archive; [`verify`](Self::verify) it before it is believed.
    ///
    /// # Errors
    /// [`DocumentError`]: it is no archive, or of another version; or it has a field twice, or one that nobody knows. Fields
    /// of a later version in an event are kept, as the chain of hashes goes over them.
    pub fn from_json(text: &str) -> Result<Self, DocumentError> {
        check_size(text, limits::MAX_ARCHIVE_BYTES)?;
        let archive: Self = parse_json(text)?;
        if archive.format != Self::FORMAT {
            let (found, known) = (&archive.format, Self::FORMAT);
            let message = format!("{found:?} is not the format that this version reads, which is {known}");
            return Err(DocumentError::at("format", message));
        }
        // What nothing here reads, nothing here could check.
        let known = serde_json::to_value(&archive).map_err(|error| DocumentError::at("", error))?;
        check_fields(text, &known)?;
        Ok(archive)
    }

    /// The archive as JSON.
    ///
    /// # Errors
    /// [`LedgerError::Damaged`]: something in it cannot be written as JSON, which none of this library's orders has.
    pub fn to_json(&self) -> Result<String, LedgerError> {
        serde_json::to_string(self).map_err(|error| LedgerError::Damaged(error.to_string()))
    }

    /// Checks that no event was changed, removed, added or moved, and that the order is where its events lead: its state,
    /// reason and fail-overs, and the state of each step; and that plan, policy, day, keys, leases and prices are those that
    /// were accepted. In archives of orders from before plan format 4 the first plan, the policy, leases and keys are in no
    /// event; never are what the attempts say, the events' numbers in their ledger, and a step's own copy of its last price check,
    /// of which an event of its own tells.
    ///
    /// # Errors
    /// [`LedgerError::Damaged`]: what does not fit.
    pub fn verify(&self) -> Result<(), LedgerError> {
        let order = &self.order;
        let damaged = |what: String| LedgerError::Damaged(format!("archive of order {}: {what}", order.id));
        if verify_events(&self.events)? != self.head {
            return Err(damaged("its last events are missing, or were added by others".to_owned()));
        }
        if let Some(other) = self.events.iter().find(|event| event.order != order.id) {
            return Err(damaged(format!("event {} belongs to order {}", other.number, other.order)));
        }
        let replayed = ReplayedEvents::of(&self.events);
        let Some(state) = replayed.state else { return Err(damaged("there is no event of it".to_owned())) };
        // An older version had one word for what is ended, failed or refused, and its events keep it.
        let is_told = state == order.state || (state == OrderState::Compensated && order.state.is_over());
        if !is_told || replayed.reason != order.reason.as_deref() {
            let (is, was) = (order.state.word(), state.word());
            return Err(damaged(format!("it is {is} and its events lead to {was}, or to another reason")));
        }
        let rounds =
            order.rounds.iter().zip(&replayed.rounds).all(|(round, (replayed, _))| round == *replayed);
        let plan = replayed.rounds.last().is_none_or(|(_, plan)| **plan == order.plan);
        if !rounds || !plan || order.rounds.len() != replayed.rounds.len() {
            return Err(damaged("its fail-overs or its plan are not those of its events".to_owned()));
        }
        if !replayed.is_cancelled_as(order.cancellation.as_ref()) {
            return Err(damaged("its cancellation is not that of its events".to_owned()));
        }
        if order.is_approved && !replayed.accepted.is_some_and(|accepted| accepted.is_approved) {
            return Err(damaged("it says that it was approved, and its first event does not".to_owned()));
        }
        if let Some(accepted) = replayed.accepted {
            verify_accepted(order, accepted, &replayed.resized).map_err(damaged)?;
        }
        for (index, event) in replayed.steps {
            let step = order.steps.iter().find(|step| step.index == index);
            if step.is_none_or(|step| (&step.provider, &step.state) != event) {
                return Err(damaged(format!("step {index} is not where its events lead")));
            }
        }
        let planned = |index| !self.events.iter().any(|event| event.is_of_step(index));
        for step in &order.steps {
            if step.state != StepState::Planned && planned(step.index) {
                return Err(damaged(format!("nothing is told of step {}", step.index)));
            }
        }
        Ok(())
    }
}

/// What a lease carries, after what, when, and made with which others.
type Carried<'l> =
    (&'l IndexMap<ComponentId, u32>, &'l BTreeSet<ComponentId>, u32, &'l BTreeMap<String, Vec<u32>>);

fn carried(lease: &Lease) -> Carried<'_> {
    (&lease.replicas, &lease.after, lease.rank, &lease.partners)
}

/// Whether an order is still what was accepted, as far as it may not change; `resized` has the sizes that steps have since.
fn verify_accepted(
    order: &Order,
    accepted: &Acceptance,
    resized: &BTreeMap<u32, &SkuId>,
) -> Result<(), String> {
    let first = order.first_plan();
    if accepted.created != order.created {
        return Err("it was accepted at another moment".to_owned());
    }
    if accepted.approval != first.approval_digest(&order.policy) {
        return Err("its first plan or its policy is not the one that was accepted".to_owned());
    }
    let bought = |plan: &Plan| -> Vec<Lease> {
        plan.leases.iter().filter(|lease| lease.keeps.is_none()).cloned().collect()
    };
    let step =
        |(index, lease): (u32, &Lease)| planned_step(order.namespace.as_ref(), &order.id, index, lease);
    let mut steps: Vec<Step> = (0..).zip(&bought(first)).map(step).collect();
    if accepted.steps != Acceptance::digest_of_steps(&steps) {
        return Err("its keys or its leases are not those that were accepted".to_owned());
    }
    // Each fail-over adds what its plan buys.
    let later = || {
        let plans = order.rounds.iter().skip(1).map(|round| &round.plan).chain([&order.plan]);
        plans.take(order.rounds.len())
    };
    for plan in later() {
        let first = u32::try_from(steps.len()).unwrap_or(u32::MAX);
        steps.extend((first..).zip(&bought(plan)).map(step));
    }
    if steps.len() != order.steps.len() {
        return Err(format!("it has {} steps, and its plans buy {}", order.steps.len(), steps.len()));
    }
    for (planned, step) in steps.iter().zip(&order.steps) {
        let mut wanted = planned.lease.clone();
        if let Some(sku) = resized.get(&planned.index) {
            wanted.sku = (*sku).clone();
            wanted.offer = wanted.own_offer_id();
        }
        // What a step carries may change in a fail-over, to what its plan says of something that it keeps.
        let mut kept = later().flat_map(|plan| &plan.leases).filter(|lease| lease.keeps.is_some());
        if let Some(kept) =
            kept.find(|kept| carried(kept) == carried(&step.lease) && kept.place == wanted.place)
        {
            wanted.replicas = kept.replicas.clone();
            (wanted.after, wanted.rank) = (kept.after.clone(), kept.rank);
            wanted.partners = kept.partners.clone();
        }
        // Its price check is of its own time.
        wanted.checked = step.lease.checked.clone();
        let is_same =
            (step.index, &step.key, &step.provider) == (planned.index, &planned.key, &planned.provider);
        if !is_same || step.lease != wanted {
            return Err(format!("step {} is not what was planned", step.index));
        }
    }
    Ok(())
}

/// The state to which the events of an order lead.
#[derive(Default)]
struct ReplayedEvents<'a> {
    accepted: Option<&'a Acceptance>,
    state: Option<OrderState>,
    reason: Option<&'a str>,
    steps: BTreeMap<u32, (&'a ProviderId, &'a StepState)>,
    /// The sizes to which actions have resized steps.
    resized: BTreeMap<u32, &'a SkuId>,
    rounds: Vec<(&'a FailOverRound, &'a Plan)>,
    /// When the order was cancelled, and by whom.
    cancelled: Option<(Timestamp, Option<&'a Operator>)>,
}

impl<'a> ReplayedEvents<'a> {
    fn of(events: &'a [OrderEvent]) -> Self {
        let mut replayed = Self::default();
        for event in events {
            match &*event.kind {
                OrderEventKind::Order { state, reason, accepted } => {
                    // Only the first event says it.
                    replayed.accepted =
                        replayed.accepted.or(accepted.as_deref().filter(|_| replayed.state.is_none()));
                    replayed.state = Some(*state);
                    replayed.reason = reason.as_deref().or(replayed.reason);
                }
                OrderEventKind::Step { index, provider, step } => {
                    let before = replayed.steps.insert(*index, (provider, step));
                    // A resize is done once the service is there in that size.
                    if let Some((_, StepState::Acting { action: Action::Resize { sku }, .. })) = before
                        && let StepState::Committed { service } = step
                        && service.sku == *sku
                    {
                        replayed.resized.insert(*index, sku);
                    }
                }
                OrderEventKind::FailedOver { round, plan } => replayed.rounds.push((round, plan)),
                // The first one counts.
                OrderEventKind::CancellationRequested { by } => {
                    replayed.cancelled.get_or_insert((event.at, by.as_ref()));
                }
                OrderEventKind::Attempt { .. }
                | OrderEventKind::Operator { .. }
                | OrderEventKind::Reconciled { .. }
                | OrderEventKind::DriveFailed { .. }
                | OrderEventKind::Unknown
                | OrderEventKind::PricesChecked { .. }
                | OrderEventKind::PriceUnchecked { .. } => {}
            }
        }
        replayed
    }

    /// Whether a cancellation is the one that was replayed. Older versions wrote no event of it.
    fn is_cancelled_as(&self, cancellation: Option<&Cancellation>) -> bool {
        match (self.cancelled, cancellation) {
            (Some((replayed, by)), Some(it)) => {
                // The ledger may take the time for each of both.
                let is_then =
                    it.at.is_some_and(|at| at.duration_since(replayed).abs() < SignedDuration::from_secs(1));
                is_then && it.by.as_ref() == by
            }
            (Some(_), None) => false,
            (None, Some(it)) => it.at.is_none() && it.by.is_none(),
            (None, None) => true,
        }
    }
}

impl OrderEvent {
    fn is_of_step(&self, step: u32) -> bool {
        matches!(*self.kind, OrderEventKind::Step { index, .. } if index == step)
    }
}

impl Engine {
    /// An order with all of its events, read at one moment. An order under way is exported as it is so far.
    ///
    /// # Errors
    /// [`LedgerError::NoSuchOrder`]; [`LedgerError::Damaged`]: the ledger's own records do not fit together.
    pub async fn export(&self, order: &OrderId) -> Result<OrderArchive, PurchaseError> {
        let mut tries = 0;
        loop {
            let events = self.ledger.events(0, Some(order), u32::MAX).await?;
            let present = self.load(order).await?;
            let last = events.last().map_or(0, |event| event.sequence);
            // Whatever changes an order is told: with no event since, all of it is of one moment.
            if self.ledger.events(last, Some(order), 1).await?.is_empty() {
                let (format, head) = (OrderArchive::FORMAT.to_owned(), verify_events(&events)?);
                let archive = OrderArchive { format, order: present, events, head };
                archive.verify()?;
                return Ok(archive);
            }
            tokio::time::sleep(back_off(tries)).await;
            tries += 1;
        }
    }

    /// Purges the orders that are ended, failed or refused and to which nothing has happened since `before`, with their events;
    /// returns how many. [`export`](Self::export) first what is to be kept.
    ///
    /// Orders of which something exists or may exist stay: those that are committed, stuck, abandoned or
    /// under way, and those at which a scan has found something that is not proven to be gone. The id of a purged order is never
    /// used again, and a scan reports a service that appears with its key later as unknown.
    ///
    /// # Errors
    /// The ledger cannot be used; what was purged until then stays purged.
    pub async fn purge(&self, before: Timestamp) -> Result<u64, PurchaseError> {
        let mut purged = 0;
        for state in [OrderState::Ended, OrderState::Failed, OrderState::Refused, OrderState::Compensated] {
            purged += self.purge_in(state, before).await?;
        }
        tracing::info!(purged, %before, "old orders removed");
        Ok(purged)
    }

    async fn purge_in(&self, state: OrderState, before: Timestamp) -> Result<u64, PurchaseError> {
        let mut query = OrderQuery { state: Some(state), limit: ORDERS_PER_PAGE, ..OrderQuery::default() };
        let mut purged = 0;
        loop {
            let ids = self.ledger.list(&query).await?;
            let is_last = ids.len() < ORDERS_PER_PAGE as usize;
            query.before = ids.last().cloned();
            let removals: Vec<_> =
                ids.into_iter().map(|id| async move { self.ledger.purge(&id, before).await }).collect();
            let removed = futures::stream::iter(removals).buffer_unordered(MAX_PARALLEL_PURGES);
            purged += removed.try_fold(0, async |sum, is_gone| Ok(sum + u64::from(is_gone))).await?;
            if is_last {
                return Ok(purged);
            }
        }
    }
}
