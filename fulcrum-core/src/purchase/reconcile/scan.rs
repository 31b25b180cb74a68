//! The scan: reads the lists, then the ledger, and looks at each suspect once more.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::{StreamExt, TryStreamExt};
use tokio::time::sleep;

use super::{
    judge::{Verdict, committed_service, differences, judge},
    report::Reconciliation,
};
use crate::{
    ledger::{LedgerError, OrderQuery},
    model::{
        Finding, FindingKind, IdempotencyKey, Order, OrderId, OrderState, ProviderId, Service, ServiceId,
    },
    provider::{Call, Provider, ProviderError},
    purchase::{PurchaseError, engine::Engine},
};

/// Orders in one page.
const ORDERS_PER_PAGE: u32 = 256;
/// Orders that are loaded side by side.
const MAX_PARALLEL_LOADS: usize = 8;
/// Look-ups at one provider side by side.
const MAX_PARALLEL_LOOKUPS: usize = 4;
/// How long a provider may take for its list, and again for all single services.
const SCAN_TIMEOUT: Duration = Duration::from_secs(600);

/// A service of a list.
struct Listed {
    service: Service,
    key: IdempotencyKey,
    order: OrderId,
    step: u32,
    /// Whether a step has it, whatever its key says.
    is_held: bool,
}

/// A service of a committed order that may be missing or drifted.
#[derive(Clone)]
struct Suspect {
    order: OrderId,
    step: u32,
    provider: ProviderId,
    service: ServiceId,
}

/// Each provider's services with a key of this library's form.
type Lists = BTreeMap<ProviderId, BTreeMap<ServiceId, Listed>>;

pub(super) struct Scan<'a> {
    engine: &'a Engine,
    lists: Lists,
    suspects: Vec<Suspect>,
    outcome: Reconciliation,
}

impl<'a> Scan<'a> {
    pub(super) fn new(engine: &'a Engine) -> Self {
        let (lists, suspects, outcome) = (Lists::new(), Vec::new(), Reconciliation::default());
        Self { engine, lists, suspects, outcome }
    }

    pub(super) async fn run(mut self) -> Result<Reconciliation, PurchaseError> {
        // A service that is made after the lists is found by `describe`. One that is made before them is in the ledger, at least
        // as an intent, when that is read.
        self.list().await;
        // An order that becomes final between the two queries is in the second one.
        self.compare_all(OrderQuery { is_unfinished: true, ..OrderQuery::default() }).await?;
        self.compare_all(OrderQuery { state: Some(OrderState::Committed), ..OrderQuery::default() }).await?;
        self.confirm().await?;
        let by_place = |finding: &Finding| {
            (
                finding.provider.clone(),
                finding.service.clone(),
                finding.kind,
                finding.order.clone(),
                finding.step,
            )
        };
        self.outcome.findings.sort_by_cached_key(by_place);
        Ok(self.outcome)
    }

    async fn list(&mut self) {
        let (mut lists, mut at) = (Vec::new(), Vec::new());
        for (id, provider) in &self.engine.providers {
            let can = |call| provider.capabilities().can(call);
            // Without `describe` nothing could be confirmed.
            if can(Call::Services) && can(Call::Describe) {
                lists.push(list(provider.clone()));
                at.push(id);
            } else if can(Call::Provision) {
                self.outcome.unlisted.insert(id.clone());
            }
        }
        let lists = futures::future::join_all(lists).await;
        for (id, list) in at.into_iter().zip(lists) {
            match list {
                Ok(list) => {
                    self.outcome.scanned.providers += 1;
                    self.outcome.scanned.services += list.len();
                    self.lists.insert(id.clone(), list);
                }
                Err(why) => self.fail(id, why),
            }
        }
    }

    /// Nothing more is concluded about this provider.
    fn fail(&mut self, provider: &ProviderId, why: String) {
        tracing::warn!(%provider, why, "not reconciled");
        self.outcome.failed.entry(provider.clone()).or_insert(why);
    }

    async fn compare_all(&mut self, query: OrderQuery) -> Result<(), PurchaseError> {
        let mut query = OrderQuery { limit: ORDERS_PER_PAGE, ..query };
        loop {
            let ids = self.engine.ledger.list(&query).await?;
            let is_last = ids.len() < ORDERS_PER_PAGE as usize;
            query.before = ids.last().cloned();
            let engine = self.engine;
            let loads: Vec<_> =
                ids.into_iter().map(|id| async move { engine.ledger.load(&id).await }).collect();
            let mut orders = futures::stream::iter(loads).buffered(MAX_PARALLEL_LOADS);
            while let Some(order) = orders.next().await {
                match order {
                    Ok(Some(order)) => self.compare(&order),
                    Ok(None) => {}
                    // One that cannot be read hides nothing of the others.
                    Err(LedgerError::Damaged(why)) => {
                        tracing::warn!(why, "an order cannot be read; not reconciled");
                        self.outcome.scanned.unreadable += 1;
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            if is_last {
                return Ok(());
            }
        }
    }

    /// Marks the services that an order has, and collects suspects.
    fn compare(&mut self, order: &Order) {
        self.outcome.scanned.orders += 1;
        for step in &order.steps {
            let Some(own) = step.state.service() else { continue };
            let list = self.lists.get_mut(&step.provider);
            let Some(list) = list else {
                if !self.engine.providers.contains_key(&step.provider) {
                    self.outcome.unlisted.insert(step.provider.clone());
                }
                continue;
            };
            let listed = list.get_mut(&own.id);
            let is_fine = match listed {
                Some(listed) => {
                    listed.is_held = true;
                    differences(&step.key, own, &listed.service).is_empty()
                }
                None => false,
            };
            if !is_fine && committed_service(order, step.index).is_some() {
                self.suspects.push(Suspect {
                    order: order.id.clone(),
                    step: step.index,
                    provider: step.provider.clone(),
                    service: own.id.clone(),
                });
            }
        }
    }

    /// Confirms suspects at all providers side by side: a slow or silent one holds up no other.
    async fn confirm(&mut self) -> Result<(), PurchaseError> {
        let mut suspects: BTreeMap<ProviderId, Vec<Suspect>> = BTreeMap::new();
        for suspect in std::mem::take(&mut self.suspects) {
            suspects.entry(suspect.provider.clone()).or_default().push(suspect);
        }
        let mut looks = Vec::new();
        for (id, list) in std::mem::take(&mut self.lists) {
            let surplus: Vec<Listed> = list.into_values().filter(|listed| !listed.is_held).collect();
            let suspects = suspects.remove(&id).unwrap_or_default();
            if let (Some(provider), false) =
                (self.engine.providers.get(&id), surplus.is_empty() && suspects.is_empty())
            {
                looks.push(
                    ProviderCheck::new(self.engine, provider, surplus.len() + suspects.len())
                        .run(surplus, suspects),
                );
            }
        }
        for looked in futures::future::join_all(looks).await {
            let (provider, findings, failed) = looked?;
            self.outcome.findings.extend(findings);
            if let Some(why) = failed {
                self.fail(&provider, why);
            }
        }
        Ok(())
    }
}

/// Why the check of a provider ends early.
enum Stop {
    Provider(ProviderError),
    Ledger(PurchaseError),
}

impl From<PurchaseError> for Stop {
    fn from(error: PurchaseError) -> Self {
        Self::Ledger(error)
    }
}

/// The look-ups of single services at one provider.
struct ProviderCheck<'a> {
    engine: &'a Engine,
    provider: &'a Arc<dyn Provider>,
    /// So many services are to be looked at, and so many were.
    services: usize,
    asked: AtomicUsize,
    findings: Mutex<Vec<Finding>>,
}

impl<'a> ProviderCheck<'a> {
    fn new(engine: &'a Engine, provider: &'a Arc<dyn Provider>, services: usize) -> Self {
        Self { engine, provider, services, asked: AtomicUsize::new(0), findings: Mutex::default() }
    }

    /// The findings, and why the check ended early.
    async fn run(
        self,
        surplus: Vec<Listed>,
        suspects: Vec<Suspect>,
    ) -> Result<(ProviderId, Vec<Finding>, Option<String>), PurchaseError> {
        let (id, patience) = (self.provider.id().clone(), SCAN_TIMEOUT + self.lag());
        let looked = tokio::time::timeout(patience, async {
            // Collected first: a closure that borrows inside a stream would keep the future from being spawned.
            let calls: Vec<_> = surplus.iter().map(|listed| self.judge_listed(listed)).collect();
            side_by_side(calls).await?;
            self.find_worse(suspects).await
        });
        let failed = match looked.await {
            Ok(Ok(())) => None,
            Ok(Err(Stop::Ledger(error))) => return Err(error),
            Ok(Err(Stop::Provider(error))) => Some(error.to_string()),
            Err(_) => Some(format!(
                "it did not answer {} look-ups of {} services within {} s; scan again",
                self.asked.load(Ordering::Relaxed),
                self.services,
                patience.as_secs()
            )),
        };
        Ok((id, self.findings.into_inner().unwrap_or_else(PoisonError::into_inner), failed))
    }

    /// An order, if there is one; none at all if it cannot be read: then nothing is concluded about services with its keys.
    async fn readable(&self, order: &OrderId) -> Result<Option<Option<Order>>, PurchaseError> {
        match self.engine.ledger.load(order).await {
            Ok(order) => Ok(Some(order)),
            Err(LedgerError::Damaged(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The ledger must say the same before and after the provider is asked: then it held at that moment.
    async fn judge_listed(&self, listed: &Listed) -> Result<(), Stop> {
        let (Listed { service, key, order, step, .. }, provider) = (listed, self.provider.id());
        let Some(present) = self.readable(order).await? else { return Ok(()) };
        let before = judge(present.as_ref(), key, provider, &service.id);
        if !matches!(before, Verdict::Surplus { .. }) {
            return Ok(());
        }
        let now = self.describe(&service.id).await?;
        let Some(now) = now.filter(|now| now.key.as_ref() == Some(key)) else { return Ok(()) };
        let Some(present) = self.readable(order).await? else { return Ok(()) };
        let after = judge(present.as_ref(), key, provider, &service.id);
        if let (true, Verdict::Surplus { kind, why, .. }) = (before == after, after) {
            let evidence = format!("it is {} and carries the key {key}; {why}", now.status.word());
            self.found(kind, &service.id, (order, *step), evidence);
        }
        Ok(())
    }

    /// Finds services that are missing or drifted.
    async fn find_worse(&self, suspects: Vec<Suspect>) -> Result<(), Stop> {
        let gone = Mutex::new(Vec::new());
        let calls: Vec<_> = suspects.iter().map(|suspect| self.first_look(suspect, &gone)).collect();
        side_by_side(calls).await?;
        let gone = gone.into_inner().unwrap_or_else(PoisonError::into_inner);
        if gone.is_empty() {
            return Ok(());
        }
        // A provider whose lists lag may show old services late too.
        sleep(self.lag()).await;
        let calls: Vec<_> = gone.iter().map(|suspect| self.second_look(suspect)).collect();
        side_by_side(calls).await
    }

    async fn first_look(&self, suspect: &Suspect, gone: &Mutex<Vec<Suspect>>) -> Result<(), Stop> {
        match self.describe(&suspect.service).await? {
            Some(now) => Ok(self.drifted(suspect, &now).await?),
            None => {
                gone.lock().unwrap_or_else(PoisonError::into_inner).push(suspect.clone());
                Ok(())
            }
        }
    }

    async fn second_look(&self, suspect: &Suspect) -> Result<(), Stop> {
        match self.describe(&suspect.service).await? {
            Some(now) => Ok(self.drifted(suspect, &now).await?),
            None => Ok(self.missing(suspect).await?),
        }
    }

    async fn drifted(&self, suspect: &Suspect, now: &Service) -> Result<(), PurchaseError> {
        let Suspect { order, step, service, .. } = suspect;
        // Read after the look-up: a driver writes before it releases.
        let loaded = self.engine.load(order).await?;
        let Some((held_by, own)) = committed_service(&loaded, *step).filter(|(_, own)| own.id == *service)
        else {
            return Ok(());
        };
        let evidence = differences(&held_by.key, own, now);
        if !evidence.is_empty() {
            self.found(FindingKind::Drifted, service, (order, *step), evidence);
        }
        Ok(())
    }

    async fn missing(&self, suspect: &Suspect) -> Result<(), PurchaseError> {
        let Suspect { order, step, service, .. } = suspect;
        let loaded = self.engine.load(order).await?;
        if committed_service(&loaded, *step).is_none_or(|(_, own)| own.id != *service) {
            return Ok(());
        }
        let evidence = format!(
            "its order is {} and holds it; its provider, asked for it twice and at least {} ms apart, said that it does \
             not exist",
            loaded.state.word(),
            self.lag().as_millis()
        );
        self.found(FindingKind::Missing, service, (order, *step), evidence);
        Ok(())
    }

    /// The service as its provider describes it.
    async fn describe(&self, service: &ServiceId) -> Result<Option<Service>, Stop> {
        let described = self.provider.describe(service).await.map_err(Stop::Provider)?;
        let asked = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        if asked.is_multiple_of(100) {
            let (provider, services) = (self.provider.id(), self.services);
            tracing::info!(%provider, asked, services, "reconciling");
        }
        Ok(described)
    }

    fn lag(&self) -> Duration {
        self.provider.capabilities().list_lag()
    }

    fn found(
        &self,
        kind: FindingKind,
        service: &ServiceId,
        (order, step): (&OrderId, u32),
        evidence: String,
    ) {
        let provider = self.provider.id();
        crate::telemetry::finding_reported(kind);
        tracing::warn!(kind = kind.word(), %provider, %service, %order, step, evidence, "found");
        let (provider, service, order) = (provider.clone(), service.clone(), order.clone());
        let finding = Finding { kind, provider, service, order, step, evidence };
        self.findings.lock().unwrap_or_else(PoisonError::into_inner).push(finding);
    }
}

/// Runs calls side by side until one fails.
async fn side_by_side<F: Future<Output = Result<(), Stop>>>(calls: Vec<F>) -> Result<(), Stop> {
    let mut calls = futures::stream::iter(calls).buffer_unordered(MAX_PARALLEL_LOOKUPS);
    while let Some(done) = calls.next().await {
        done?;
    }
    Ok(())
}

/// The services of one provider with a key of this library's form, or why its list failed.
async fn list(provider: Arc<dyn Provider>) -> Result<BTreeMap<ServiceId, Listed>, String> {
    let mut list = BTreeMap::new();
    let read = tokio::time::timeout(SCAN_TIMEOUT, async {
        let mut services = provider.services();
        while let Some(service) = services.try_next().await? {
            let Some(key) = service.key.clone() else { continue };
            let Some((order, step)) = key.step() else { continue };
            // Attributes are not compared, and are the largest part.
            let service = Service { attributes: BTreeMap::new(), ..service };
            list.insert(service.id.clone(), Listed { service, key, order, step, is_held: false });
        }
        Ok::<(), ProviderError>(())
    });
    match read.await {
        Ok(read) => read.map(|()| list).map_err(|error| error.to_string()),
        Err(_) => Err(format!("its list did not end within {} s; scan again", SCAN_TIMEOUT.as_secs())),
    }
}
