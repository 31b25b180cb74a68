//! The purchase engine as the federation sees it.

use std::{
    collections::BTreeMap,
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{FutureExt, StreamExt, stream::BoxStream};
use jiff::Timestamp;
use tokio::time::sleep;
use tracing::Instrument;

use super::{
    PurchaseError,
    absent::Absent,
    drive::Driver,
    failures::MAX_WORDS,
    fresh::FreshOrders,
    held::{End, Held},
    listings::Listings,
};
use crate::{
    catalogue::{AgeLimits, MarketState, Rates},
    ledger::{Change, Ledger, LedgerError, OrderQuery},
    model::{
        KeyNamespace, Operator, Order, OrderEvent, OrderEventKind, OrderId, OrderState, Policy, ProviderId,
    },
    provider::{Call, IdempotencyClass, Provider},
    telemetry,
};

/// Events that are read at once.
const PAGE: u32 = 256;
/// Between two looks at an order that another host drives.
pub(super) const LEAST_WAIT: Duration = Duration::from_millis(20);
const MOST_WAIT: Duration = Duration::from_millis(250);

/// How long an order waits for a host that has all of its providers, before one without them does what it can.
const OTHERS_FIRST: Duration = Duration::from_secs(10);

/// Drives of an order that fail in a row, before it waits for a person.
const MOST_FAILED_DRIVES: u32 = 10;

/// What a panic says.
fn words_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("it says nothing").chars().take(200).collect()
}

/// Drives orders. Several engines, also in several processes, may share a ledger.
#[derive(Debug)]
pub struct Engine {
    pub(super) providers: BTreeMap<ProviderId, Arc<dyn Provider>>,
    pub(super) ledger: Arc<dyn Ledger>,
    /// What was last known of the market: offers for fail-overs, rates for checking prices.
    pub(super) market: Arc<MarketState>,
    /// Stands for providers that an order names and that are not here.
    pub(super) absent: Arc<dyn Provider>,
    /// What providers list, for checking prices.
    pub(super) listings: Listings,
    /// Orders that this process has just accepted.
    pub(super) fresh: FreshOrders,
    /// The namespace of the keys of orders that are accepted here.
    pub(super) namespace: Option<KeyNamespace>,
    owner: String,
    pub(super) lease: Duration,
}

impl Engine {
    /// An engine over some providers and a ledger.
    pub fn new(providers: BTreeMap<ProviderId, Arc<dyn Provider>>, ledger: Arc<dyn Ledger>) -> Self {
        let owner = format!("process {} {}", std::process::id(), uuid::Uuid::now_v7());
        let market = Arc::new(MarketState::new(Rates::none(), AgeLimits::default()));
        let (listings, fresh) = (Listings::default(), FreshOrders::default());
        let lease = Duration::from_secs(15);
        let absent = Absent::shared();
        let namespace = KeyNamespace::of_ledger(ledger.id());
        Self { providers, ledger, market, absent, listings, fresh, namespace, owner, lease }
    }

    /// Sets the exchange rates for checking prices.
    #[must_use]
    pub fn with_rates(self, rates: Rates) -> Self {
        self.market.set_rates(rates);
        self
    }

    /// Sets how old offers, exchange rates and price tables may be.
    #[must_use]
    pub fn with_ages(self, ages: AgeLimits) -> Self {
        let rates = (*self.market.configured_rates()).clone();
        Self { market: Arc::new(MarketState::new(rates, ages)), ..self }
    }

    /// Shares what is known of the market, so that a fail-over also knows the offers of a provider that does not answer.
    #[must_use]
    pub(crate) fn with_market(self, market: Arc<MarketState>) -> Self {
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

    pub(super) fn check_buyable(&self, policy: &Policy, id: &ProviderId) -> Result<(), PurchaseError> {
        let provider = self.providers.get(id).ok_or_else(|| PurchaseError::UnknownProvider(id.clone()))?;
        let capabilities = provider.capabilities();
        let refuse = |why: String| Err(PurchaseError::NotBuyable { provider: id.clone(), why });
        let class = capabilities.idempotency_of(Call::Provision);
        let look = if class == IdempotencyClass::None { Call::Services } else { Call::FindByKey };
        let needed = [Call::Provision, look, Call::Describe, Call::Release, Call::Poll];
        let missing: Vec<_> =
            needed.into_iter().filter(|call| !capabilities.can(*call)).map(Call::word).collect();
        if !capabilities.can(Call::Provision) {
            return refuse("it only lists offers".to_owned());
        }
        if !missing.is_empty() {
            return refuse(format!(
                "a purchase needs {} too, and it does not declare that",
                missing.join(", ")
            ));
        }
        match class {
            IdempotencyClass::None if !policy.allow_non_idempotent_purchase => {
                refuse(super::unkeyed::REFUSED.to_owned())
            }
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

    /// Drives an order until it is over, committed or stuck. Where another host drives it, its work is followed to the
    /// end, and taken up if that host goes; so does a host that was away for longer than its claim. Dropping the future
    /// leaves an order that can be driven again.
    ///
    /// # Errors
    /// The ledger cannot be used, or the order is damaged.
    pub async fn drive(&self, order: &OrderId) -> Result<Order, PurchaseError> {
        let began = Instant::now();
        // One that was accepted here a moment ago need not be read to know that it waits, with providers that are here.
        let mut is_known = self.fresh.has(order);
        loop {
            if !std::mem::take(&mut is_known) {
                let present = self.load(order).await?;
                if !present.is_unfinished() {
                    return Ok(present);
                }
                // A host that has all of its providers can do more, if there is one.
                let is_whole = present.steps.iter().all(|step| self.providers.contains_key(&step.provider));
                if !is_whole && began.elapsed() < OTHERS_FIRST {
                    self.follow_for_a_moment(Timestamp::MAX).await;
                    continue;
                }
            }
            match self.claim(order).await {
                Ok(held) => match self.drive_claimed(held).await {
                    // Somebody else may have it by now, or nobody. A host that is always late must not keep the ledger busy.
                    Err(PurchaseError::Ledger(LedgerError::Fenced(_))) => sleep(LEAST_WAIT).await,
                    outcome => return outcome,
                },
                Err(LedgerError::Claimed { until, .. }) => self.follow_for_a_moment(until).await,
                Err(LedgerError::Fenced(_)) => sleep(LEAST_WAIT).await,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Waits until the ledger tells something new, or the claim of another host may have ended.
    async fn follow_for_a_moment(&self, until: Timestamp) {
        let mut changes = self.ledger.changes();
        // Waiting is bounded: clocks of two hosts may differ, and other processes do not announce their writes.
        let left = Duration::try_from(until.duration_since(Timestamp::now())).unwrap_or_default();
        let moment = left.clamp(LEAST_WAIT, MOST_WAIT);
        let _ = tokio::time::timeout(moment, changes.changed()).await;
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

    /// Drives an order under a claim to where it goes on no more by itself, and gives the claim back.
    pub(super) async fn drive_claimed(&self, held: Held) -> Result<Order, PurchaseError> {
        let order = held.order().clone();
        // On the heap: a host's thread has little room, and whoever holds the call's future would hold all of this.
        let drive = Box::pin(self.drive_held(&held));
        // A panic of one order must end nothing but its own drive.
        let driven = AssertUnwindSafe(drive).catch_unwind().await;
        let outcome =
            driven.unwrap_or_else(|panic| Err(PurchaseError::Panicked { order, message: words_of(&*panic) }));
        if let Err(error) = &outcome {
            self.count_failure(&held, error).await;
        }
        held.give_back().await;
        outcome
    }

    /// Lets an order that cannot be driven wait, longer each time, and in the end for a person: it must not keep hosts from
    /// the others.
    async fn count_failure(&self, held: &Held, error: &PurchaseError) {
        match error {
            PurchaseError::Ledger(LedgerError::Store(_)) => return self.fresh.forget_all(),
            // Nothing is wrong with the order.
            PurchaseError::Ledger(LedgerError::Fenced(_) | LedgerError::Claimed { .. }) => return,
            _ => {}
        }
        let reason: String = error.to_string().chars().take(MAX_WORDS).collect();
        let counted = async {
            // Doubling from a second to some minutes.
            let wait = Duration::from_secs(1 << self.failed_before(held.order()).await.min(9));
            let next = Timestamp::now().checked_add(wait).unwrap_or(Timestamp::MAX);
            let count = self.ledger.note_failed_drive(held.claim(), &reason, next).await?;
            if count >= MOST_FAILED_DRIVES {
                let reason = format!(
                    "it could not be driven {count} times in a row: {reason}; look at it, and `retry` or `abandon` it"
                );
                let order = Some((OrderState::Stuck, Some(reason)));
                self.ledger.write(held.claim(), &Change { order, ..Change::default() }).await?;
                if let Some(order) = self.ledger.load(held.order()).await? {
                    telemetry::order_entered(OrderState::Stuck, order.created);
                }
            }
            Ok::<_, LedgerError>(())
        };
        if let Err(error) = counted.await {
            tracing::warn!(order = %held.order(), %error, "a failed drive was not counted");
        }
    }

    /// How often drives of an order have failed in a row, by its events; where these cannot be read, often.
    async fn failed_before(&self, order: &OrderId) -> u32 {
        let Ok(events) = self.ledger.events(0, Some(order), u32::MAX).await else {
            return MOST_FAILED_DRIVES;
        };
        events.iter().fold(0, |before, event| match &*event.kind {
            OrderEventKind::DriveFailed { count, .. } => *count,
            OrderEventKind::Order { .. } => 0,
            _ => before,
        })
    }

    async fn drive_held(&self, held: &Held) -> Result<Order, PurchaseError> {
        let driver = Driver::new(self, held, self.load(held.order()).await?)?;
        let span = driver.span.clone();
        // Where the claim cannot be renewed the work must end at once: somebody else may have begun it.
        tokio::select! {
            biased;
            lost = held.keep(self.lease) => Err(lost.into()),
            outcome = driver.run().instrument(span) => outcome,
        }
    }

    /// Takes up every unfinished order whose providers are here and that nobody drives, and drives it to its end. A claim
    /// that its host has not renewed when it lapses is that of a dead one: it is waited for, for as long as a claim lasts.
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
                Ok(Some(order)) => done.push(order),
                Ok(None) => tracing::info!(%order, "order left to a host that has its providers"),
                Err(error) => tracing::warn!(%order, %error, "order not resumed"),
            }
        }
        Ok(done)
    }

    /// None if the order is one for other hosts.
    async fn take_over(&self, order: &OrderId) -> Result<Option<Order>, PurchaseError> {
        let present = self.load(order).await?;
        if !present.steps.iter().all(|step| self.providers.contains_key(&step.provider)) {
            return Ok(None);
        }
        self.drive(order).await.map(Some)
    }

    /// Undoes an order: one that is under way is compensated, of a committed one all services are released. The wish is in
    /// the ledger before anything else: if this host dies, any other one takes it up.
    ///
    /// # Errors
    /// As [`drive`](Self::drive). If another host drives the order it is told, and this call follows its work.
    pub async fn cancel(&self, order: &OrderId) -> Result<Order, PurchaseError> {
        self.ledger.request_cancel(order, None).await?;
        self.drive(order).await
    }

    /// As [`cancel`](Self::cancel); who and why are recorded.
    ///
    /// # Errors
    /// * [`PurchaseError::NobodySaid`]: `by` names nobody, or no reason.
    /// * As [`cancel`](Self::cancel).
    pub async fn cancel_by(&self, order: &OrderId, by: Operator) -> Result<Order, PurchaseError> {
        by.check()?;
        self.ledger.request_cancel(order, Some(&by)).await?;
        self.drive(order).await
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
                        // Every order has an event from the start on.
                        if after == 0 {
                            return Some((vec![Err(LedgerError::NoSuchOrder(order).into())], None));
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
