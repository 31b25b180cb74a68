//! The purchase engine as the federation sees it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use futures::{StreamExt, stream::BoxStream};
use jiff::Timestamp;
use tracing::Instrument;

use super::{
    PurchaseError,
    drive::Driver,
    held::{End, Held},
};
use crate::{
    catalogue::{Catalogue, CatalogueBuilder, Rates},
    ledger::{Ledger, LedgerError, OrderQuery},
    model::{
        IdempotencyKey, Lease, Order, OrderEvent, OrderEventKind, OrderId, OrderState, Piece, Plan, Policy,
        ProviderId, Step, StepState, digest_of, pieces,
    },
    provider::{Call, IdempotencyClass, Provider},
    telemetry,
};

/// Accepted orders that an engine remembers; of an older one it asks its provider once more than it need.
const MOST_ACCEPTED: usize = 20_000;

/// The present catalogue, shared.
pub(crate) type Present = Arc<RwLock<Arc<Catalogue>>>;

/// A step of which nothing was sent.
pub(super) fn planned(order: &OrderId, index: u32, lease: &Lease) -> Step {
    Step {
        index,
        key: IdempotencyKey::of_step(order, index),
        provider: lease.place.provider.clone(),
        lease: lease.clone(),
        state: StepState::Planned,
        attempts: Vec::new(),
    }
}

/// What a setting refers to must be bought or kept, before anything is bought in vain.
fn check_references(plan: &Plan) -> Result<(), PurchaseError> {
    for value in plan.leases.iter().flat_map(|lease| lease.settings.values()) {
        for piece in pieces(value).map_err(PurchaseError::InvalidPlan)? {
            let Piece::Of(component, _) = piece else { continue };
            let holds = |lease: &Lease| lease.replicas.keys().any(|name| name.as_str() == component);
            if !plan.leases.iter().any(holds) {
                return Err(PurchaseError::InvalidPlan(format!(
                    "a setting refers to {component}, of which it has none; compose again"
                )));
            }
        }
    }
    Ok(())
}

/// Events that are read at once.
const PAGE: u32 = 256;

/// Drives orders. Several engines, also in several processes, may share a ledger.
#[derive(Debug)]
pub struct Engine {
    pub(super) providers: BTreeMap<ProviderId, Arc<dyn Provider>>,
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) rates: Rates,
    /// What was last known of the market, for fail-overs.
    pub(super) market: Present,
    /// Orders that this process has accepted and not seen end, the newest.
    pub(super) accepted: Mutex<BTreeSet<OrderId>>,
    owner: String,
    pub(super) lease: Duration,
}

impl Engine {
    /// An engine over some providers and a ledger.
    pub fn new(providers: BTreeMap<ProviderId, Arc<dyn Provider>>, ledger: Arc<dyn Ledger>) -> Self {
        let owner = format!("process {} {}", std::process::id(), uuid::Uuid::now_v7());
        let empty = CatalogueBuilder::new(Timestamp::UNIX_EPOCH, Rates::none()).build();
        let market = Arc::new(RwLock::new(Arc::new(empty)));
        let (accepted, lease) = (Mutex::default(), Duration::from_secs(15));
        Self { providers, ledger, rates: Rates::none(), market, accepted, owner, lease }
    }

    /// Sets the exchange rates for checking prices.
    #[must_use]
    pub fn with_rates(self, rates: Rates) -> Self {
        Self { rates, ..self }
    }

    /// Shares what is known of the market, so that a fail-over also knows the offers of a provider that does not answer.
    #[must_use]
    pub(crate) fn with_market(self, market: Present) -> Self {
        Self { market, ..self }
    }

    /// Sets how long another host waits before it takes over the orders of one that has died.
    #[must_use]
    pub fn with_lease(self, lease: Duration) -> Self {
        Self { lease, ..self }
    }

    /// Where purchases are remembered.
    pub fn ledger(&self) -> &Arc<dyn Ledger> {
        &self.ledger
    }

    /// Writes an order down without buying yet. With an id of the caller's, repeating the call is safe.
    ///
    /// # Errors
    /// * [`PurchaseError::InvalidPlan`]: the plan buys nothing.
    /// * [`PurchaseError::UnknownProvider`], [`PurchaseError::NotBuyable`]: compose again without that provider.
    /// * [`PurchaseError::IdTaken`]: use a new id for a new purchase.
    pub async fn accept(
        &self,
        plan: Plan,
        policy: Policy,
        id: Option<OrderId>,
    ) -> Result<Order, PurchaseError> {
        // What the plan keeps runs already and is never bought again.
        let bought: Vec<&Lease> = plan.leases.iter().filter(|lease| lease.keeps.is_none()).collect();
        if bought.is_empty() {
            let message = if plan.leases.is_empty() {
                "it has no leases; compose again"
            } else {
                "it keeps what runs and buys nothing; there is no order to place"
            };
            return Err(PurchaseError::InvalidPlan(message.to_owned()));
        }
        for lease in &bought {
            self.check_buyable(&policy, &lease.place.provider)?;
        }
        check_references(&plan)?;
        if let Some(fail_over) = &policy.fail_over {
            fail_over.blueprint.check().map_err(|error| PurchaseError::InvalidPlan(error.to_string()))?;
            if digest_of(&fail_over.blueprint) != plan.blueprint_digest {
                let message =
                    "the policy's fail_over names another blueprint than the one that it was made for";
                return Err(PurchaseError::InvalidPlan(message.to_owned()));
            }
        }
        let id = id.unwrap_or_else(OrderId::generate);
        if uuid::Uuid::parse_str(id.as_str()).is_err() {
            return Err(PurchaseError::InvalidPlan(format!(
                "{id} is no order id; write a UUID, or none for a new one"
            )));
        }
        let steps = (0u32..).zip(bought).map(|(index, lease)| planned(&id, index, lease)).collect();
        let (state, created, reason) = (OrderState::Accepted, Timestamp::now(), None);
        let rounds = Vec::new();
        let (namespace, cancellation) = (None, None);
        let order = Order {
            id: id.clone(),
            plan,
            policy,
            state,
            created,
            reason,
            namespace,
            cancellation,
            rounds,
            steps,
        };
        match self.ledger.create(&order).await {
            Ok(()) => {
                telemetry::order_entered(order.state, order.created);
                let mut accepted = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
                accepted.insert(id);
                if accepted.len() > MOST_ACCEPTED {
                    accepted.pop_first();
                }
                Ok(order)
            }
            Err(LedgerError::Exists(_)) => {
                // One that was forgotten is there no more, and its id is not used again.
                let Some(existing) = self.ledger.load(&id).await? else {
                    return Err(PurchaseError::IdTaken(id));
                };
                if *existing.first_plan() == order.plan {
                    Ok(existing)
                } else {
                    Err(PurchaseError::IdTaken(id))
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn check_buyable(&self, policy: &Policy, id: &ProviderId) -> Result<(), PurchaseError> {
        let provider = self.providers.get(id).ok_or_else(|| PurchaseError::UnknownProvider(id.clone()))?;
        let capabilities = provider.capabilities();
        let refuse = |why| Err(PurchaseError::NotBuyable { provider: id.clone(), why });
        let class = capabilities.idempotency_of(Call::Provision);
        let look = if class == IdempotencyClass::None { Call::Services } else { Call::FindByKey };
        let needed = [Call::Provision, look, Call::Describe, Call::Release, Call::Poll];
        if !needed.into_iter().all(|call| capabilities.can(call)) {
            return refuse(match capabilities.can(Call::Provision) {
                true => "not all calls of a purchase are declared",
                false => "it only lists offers",
            });
        }
        match class {
            IdempotencyClass::None if !policy.may_buy_unkeyed => refuse(super::unkeyed::REFUSED),
            IdempotencyClass::None
            | IdempotencyClass::Natural
            | IdempotencyClass::Key
            | IdempotencyClass::Searchable { .. } => Ok(()),
        }
    }

    /// One order.
    ///
    /// # Errors
    /// [`LedgerError::NoSuchOrder`], or the ledger cannot be read.
    pub async fn load(&self, order: &OrderId) -> Result<Order, PurchaseError> {
        let loaded = self.ledger.load(order).await?;
        loaded.ok_or_else(|| LedgerError::NoSuchOrder(order.clone()).into())
    }

    /// Drives an order until it is committed, compensated or stuck. Dropping the future leaves an order that can be
    /// driven again.
    ///
    /// # Errors
    /// [`LedgerError::Claimed`]: another host drives it. [`LedgerError::Fenced`]: another host has taken it over.
    pub async fn drive(&self, order: &OrderId) -> Result<Order, PurchaseError> {
        let present = self.load(order).await?;
        if !present.is_unfinished() {
            return Ok(present);
        }
        let held = self.claim(order).await?;
        self.drive_claimed(held).await
    }

    /// The right to drive an order. Asked for by a task of its own: dropped half-way, a claim could be in the ledger
    /// of which nobody knows the token.
    pub(super) async fn claim(&self, order: &OrderId) -> Result<Held, LedgerError> {
        let (ledger, order, owner, lease) =
            (self.ledger.clone(), order.clone(), self.owner.clone(), self.lease);
        let asked = tokio::spawn(async move {
            let end = End::after(lease);
            let claim = ledger.claim(&order, &owner, lease).await?;
            Ok(Held::new(ledger, claim, end))
        });
        asked.await.unwrap_or_else(|error| Err(LedgerError::Store(format!("the host is ending: {error}"))))
    }

    /// The right to drive orders that wait, at most so many.
    pub(super) async fn claim_next(&self, most: usize) -> Result<Vec<Held>, LedgerError> {
        let (ledger, owner, lease) = (self.ledger.clone(), self.owner.clone(), self.lease);
        let providers: Vec<_> = self.providers.keys().cloned().collect();
        let asked = tokio::spawn(async move {
            let end = End::after(lease);
            let most = u32::try_from(most).unwrap_or(u32::MAX);
            let claims = ledger.claim_next(&owner, lease, most, &providers).await?;
            Ok(claims.into_iter().map(|claim| Held::new(ledger.clone(), claim, end)).collect())
        });
        asked.await.unwrap_or_else(|error| Err(LedgerError::Store(format!("the host is ending: {error}"))))
    }

    pub(super) async fn drive_claimed(&self, held: Held) -> Result<Order, PurchaseError> {
        let order = held.order().clone();
        let driver = Driver::new(self, &held, self.load(&order).await?)?;
        let span = driver.span.clone();
        // Where the claim cannot be renewed the work must end at once: somebody else may have begun it.
        let outcome = tokio::select! {
            biased;
            lost = held.keep(self.lease) => Err(lost.into()),
            outcome = driver.run().instrument(span) => outcome,
        };
        held.give_back().await;
        outcome?;
        self.load(&order).await
    }

    /// Takes up every unfinished order that nobody drives, and drives it to its end. A claim that its host has not
    /// renewed when it lapses is that of a dead one: it is waited for, for as long as a claim lasts.
    ///
    /// # Errors
    /// The ledger cannot be read. What goes wrong with one order is logged and leaves the others.
    pub async fn resume_all(&self) -> Result<Vec<Order>, PurchaseError> {
        let unfinished =
            self.ledger.list(&OrderQuery { is_unfinished: true, ..OrderQuery::default() }).await?;
        let mut done = Vec::new();
        let drives: Vec<_> =
            unfinished.iter().map(|order| async move { (order, self.take_over(order).await) }).collect();
        let mut driven = futures::stream::iter(drives).buffer_unordered(4);
        while let Some((order, outcome)) = driven.next().await {
            match outcome {
                Ok(order) => done.push(order),
                Err(error) => tracing::warn!(%order, %error, "order not resumed"),
            }
        }
        Ok(done)
    }

    async fn take_over(&self, order: &OrderId) -> Result<Order, PurchaseError> {
        let outcome = self.drive(order).await;
        let Err(PurchaseError::Ledger(LedgerError::Claimed { until, .. })) = &outcome else { return outcome };
        // Waiting is bounded: clocks of two hosts may differ.
        let left = Duration::try_from(until.duration_since(Timestamp::now())).unwrap_or_default();
        tokio::time::sleep(left.min(self.lease) + Duration::from_millis(20)).await;
        self.drive(order).await
    }

    /// Undoes an order: one that is under way is compensated, of a committed one all services are released.
    ///
    /// # Errors
    /// As [`drive`](Self::drive). If another host drives the order it is told, and this call waits for the claim.
    pub async fn cancel(&self, order: &OrderId) -> Result<Order, PurchaseError> {
        self.ledger.request_cancel(order, None).await?;
        loop {
            match self.claim(order).await {
                Ok(held) => return self.drive_claimed(held).await,
                Err(LedgerError::Claimed { .. }) => tokio::time::sleep(Duration::from_millis(100)).await,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The events of one order, those of the past first, then as they happen; ends when the order is final.
    pub fn follow(&self, order: OrderId) -> BoxStream<'static, Result<OrderEvent, PurchaseError>> {
        let ledger = self.ledger.clone();
        // None when nothing more is to come.
        let start = Some((ledger.changes(), 0u64, false));
        futures::stream::unfold(start, move |state| {
            let (ledger, order) = (ledger.clone(), order.clone());
            async move {
                let (mut changes, after, was_final) = state?;
                loop {
                    let events = match ledger.events(after, Some(&order), PAGE).await {
                        Ok(events) => events,
                        Err(error) => return Some((vec![Err(error.into())], None)),
                    };
                    let Some(last) = events.last() else {
                        if was_final {
                            return None;
                        }
                        // Other processes do not announce their writes here: ask again by and by.
                        let _ = tokio::time::timeout(Duration::from_millis(250), changes.changed()).await;
                        continue;
                    };
                    let is_final = |event: &OrderEvent| {
                        matches!(&*event.kind, OrderEventKind::Order { state, .. } if state.is_final())
                    };
                    // What a scan wrote down later leaves the order as it was.
                    let is_own = |event: &&OrderEvent| !matches!(*event.kind, OrderEventKind::Reconciled { .. });
                    let is_final = events.iter().rfind(is_own).map_or(was_final, is_final);
                    let is_over = is_final && events.len() < PAGE as usize;
                    let next = (!is_over).then_some((changes, last.sequence, is_final));
                    return Some((events.into_iter().map(Ok).collect(), next));
                }
            }
        })
        .flat_map(futures::stream::iter)
        .boxed()
    }
}
