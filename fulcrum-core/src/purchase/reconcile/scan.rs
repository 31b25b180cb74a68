//! Reads and confirms: first the lists, then the ledger, then each would-be finding once more.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::{StreamExt, TryStreamExt};
use tokio::time::sleep;

use super::{
    Reconciliation,
    judge::{Verdict, differences, held, judge, promised},
};
use crate::{
    ledger::{LedgerError, OrderQuery},
    model::{
        Finding, FindingKind, IdempotencyKey, Order, OrderId, OrderState, ProviderId, Service, ServiceId,
    },
    provider::{Call, Provider, ProviderError},
    purchase::{Engine, PurchaseError},
};

/// Orders that are listed at once.
const PAGE: u32 = 256;
/// Providers that are listed, and orders that are read, at the same time.
const AT_ONCE: usize = 8;

/// A service of a list.
struct Listed {
    service: Service,
    key: IdempotencyKey,
    order: OrderId,
    step: u32,
    /// Whether a step holds it, whatever its key says.
    is_held: bool,
}

/// A service that a committed order holds, and that does not look as it should.
#[derive(Clone)]
struct Suspect {
    order: OrderId,
    step: u32,
    provider: ProviderId,
    service: ServiceId,
}

/// Every provider's services with a key of ours.
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
        // What is made after the lists is not in them, and then found by `describe`; what is made before them is in
        // the ledger, at least as an intent, when that is read.
        self.list().await;
        // Who ends between the two looks is in the second one.
        self.compare_all(OrderQuery { is_unfinished: true, ..OrderQuery::default() }).await?;
        self.compare_all(OrderQuery { state: Some(OrderState::Committed), ..OrderQuery::default() }).await?;
        self.find_surplus().await?;
        self.find_worse().await?;
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
        let lists: Vec<_> = futures::stream::iter(lists).buffered(AT_ONCE).collect().await;
        for (id, list) in at.into_iter().zip(lists) {
            match list {
                Ok(list) => {
                    self.outcome.scanned.providers += 1;
                    self.outcome.scanned.services += list.len();
                    self.lists.insert(id.clone(), list);
                }
                Err(error) => self.fail(id, &error),
            }
        }
    }

    /// Nothing more is concluded about this provider.
    fn fail(&mut self, provider: &ProviderId, error: &ProviderError) {
        tracing::warn!(%provider, %error, "not reconciled");
        self.lists.remove(provider);
        self.outcome.failed.entry(provider.clone()).or_insert_with(|| error.to_string());
    }

    async fn compare_all(&mut self, query: OrderQuery) -> Result<(), PurchaseError> {
        let mut query = OrderQuery { limit: PAGE, ..query };
        loop {
            let ids = self.engine.ledger.list(&query).await?;
            let is_last = ids.len() < PAGE as usize;
            query.before = ids.last().cloned();
            let engine = self.engine;
            let loads: Vec<_> =
                ids.into_iter().map(|id| async move { engine.ledger.load(&id).await }).collect();
            let mut orders = futures::stream::iter(loads).buffered(AT_ONCE);
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

    /// Notes what an order holds, and what of it does not look as it should.
    fn compare(&mut self, order: &Order) {
        self.outcome.scanned.orders += 1;
        for step in &order.steps {
            let Some(own) = held(step) else { continue };
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
            if !is_fine && promised(order, step.index).is_some() {
                self.suspects.push(Suspect {
                    order: order.id.clone(),
                    step: step.index,
                    provider: step.provider.clone(),
                    service: own.id.clone(),
                });
            }
        }
    }

    /// What exists and no order holds.
    async fn find_surplus(&mut self) -> Result<(), PurchaseError> {
        for id in self.lists.keys().cloned().collect::<Vec<_>>() {
            let list = self.lists.get_mut(&id).map(std::mem::take).unwrap_or_default();
            for listed in list.into_values().filter(|listed| !listed.is_held) {
                // Its provider may have failed since.
                if self.lists.contains_key(&id) {
                    self.judge_listed(&id, &listed).await?;
                }
            }
        }
        Ok(())
    }

    /// An order, if there is one; none at all if it cannot be read: then nothing is concluded of what carries its keys.
    async fn readable(&self, order: &OrderId) -> Result<Option<Option<Order>>, PurchaseError> {
        match self.engine.ledger.load(order).await {
            Ok(order) => Ok(Some(order)),
            Err(LedgerError::Damaged(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What the ledger says must hold before and after the provider is asked: then it held at that moment.
    async fn judge_listed(&mut self, provider: &ProviderId, listed: &Listed) -> Result<(), PurchaseError> {
        let Listed { service, key, order, step, .. } = listed;
        let Some(present) = self.readable(order).await? else { return Ok(()) };
        let before = judge(present.as_ref(), key, provider, &service.id);
        if !matches!(before, Verdict::Surplus { .. }) {
            return Ok(());
        }
        let Some(now) = self.describe(provider, &service.id).await else { return Ok(()) };
        let Some(now) = now.filter(|now| now.key.as_ref() == Some(key)) else { return Ok(()) };
        let Some(present) = self.readable(order).await? else { return Ok(()) };
        let after = judge(present.as_ref(), key, provider, &service.id);
        if let (true, Verdict::Surplus { kind, why, .. }) = (before == after, after) {
            let evidence = format!("it is {} and carries the key {key}; {why}", now.status.word());
            self.found(kind, provider, &service.id, (order, *step), evidence);
        }
        Ok(())
    }

    /// What is not there any more, and what is not as it should be.
    async fn find_worse(&mut self) -> Result<(), PurchaseError> {
        let mut gone = Vec::new();
        for suspect in std::mem::take(&mut self.suspects) {
            match self.describe(&suspect.provider, &suspect.service).await {
                Some(Some(now)) => self.drifted(&suspect, &now).await?,
                Some(None) => gone.push(suspect),
                None => {}
            }
        }
        // A provider that shows new services late may show old ones late too, as after a change of its own.
        let lag = gone.iter().map(|suspect| self.lag(&suspect.provider)).max().unwrap_or_default();
        sleep(lag).await;
        for suspect in gone {
            match self.describe(&suspect.provider, &suspect.service).await {
                Some(Some(now)) => self.drifted(&suspect, &now).await?,
                Some(None) => self.missing(&suspect).await?,
                None => {}
            }
        }
        Ok(())
    }

    async fn drifted(&mut self, suspect: &Suspect, now: &Service) -> Result<(), PurchaseError> {
        let Suspect { order, step, provider, service } = suspect;
        // Read after the look: what a driver ends is written down before it is ended.
        let loaded = self.engine.load(order).await?;
        let Some((held_by, own)) = promised(&loaded, *step).filter(|(_, own)| own.id == *service) else {
            return Ok(());
        };
        let evidence = differences(&held_by.key, own, now);
        if !evidence.is_empty() {
            self.found(FindingKind::Drifted, provider, service, (order, *step), evidence);
        }
        Ok(())
    }

    async fn missing(&mut self, suspect: &Suspect) -> Result<(), PurchaseError> {
        let Suspect { order, step, provider, service } = suspect;
        let loaded = self.engine.load(order).await?;
        if promised(&loaded, *step).is_none_or(|(_, own)| own.id != *service) {
            return Ok(());
        }
        let evidence = format!(
            "its order is {} and holds it; its provider, asked for it twice and at least {} ms apart, said that it does \
             not exist",
            loaded.state.word(),
            self.lag(provider).as_millis()
        );
        self.found(FindingKind::Missing, provider, service, (order, *step), evidence);
        Ok(())
    }

    /// What the provider says of a service; none if it has failed, now or before.
    async fn describe(&mut self, provider: &ProviderId, service: &ServiceId) -> Option<Option<Service>> {
        if !self.lists.contains_key(provider) {
            return None;
        }
        match self.engine.providers.get(provider)?.describe(service).await {
            Ok(service) => Some(service),
            Err(error) => {
                self.fail(provider, &error);
                None
            }
        }
    }

    fn lag(&self, provider: &ProviderId) -> Duration {
        let lag = |provider: &Arc<dyn Provider>| provider.capabilities().list_lag();
        self.engine.providers.get(provider).map(lag).unwrap_or_default()
    }

    fn found(
        &mut self,
        kind: FindingKind,
        provider: &ProviderId,
        service: &ServiceId,
        (order, step): (&OrderId, u32),
        evidence: String,
    ) {
        crate::telemetry::found(kind);
        tracing::warn!(kind = kind.word(), %provider, %service, %order, step, evidence, "found");
        let (provider, service, order) = (provider.clone(), service.clone(), order.clone());
        self.outcome.findings.push(Finding { kind, provider, service, order, step, evidence });
    }
}

/// The services of one provider that carry a key of this library's form.
async fn list(provider: Arc<dyn Provider>) -> Result<BTreeMap<ServiceId, Listed>, ProviderError> {
    let mut list = BTreeMap::new();
    let mut services = provider.services();
    while let Some(service) = services.try_next().await? {
        let Some(key) = service.key.clone() else { continue };
        let Some((order, step)) = key.step() else { continue };
        // Not compared, and by far the largest part.
        let service = Service { attributes: BTreeMap::new(), ..service };
        list.insert(service.id.clone(), Listed { service, key, order, step, is_held: false });
    }
    Ok(list)
}
