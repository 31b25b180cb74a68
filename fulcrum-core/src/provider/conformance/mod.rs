//! The conformance suite: whether a provider keeps the contract and its declared capabilities. Run it before the first purchase.
//!
//! Without a request the suite buys nothing. With one it buys the request a few times, loses replies on purpose, and releases
//! everything; at a real cloud that costs money.

mod attached;
mod purchase;
mod report;
mod stability;

pub use attached::{Customer, check_attached};
pub use report::{Check, Outcome, Report};

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::{StreamExt, stream::BoxStream};
use jiff::Timestamp;
use tokio::time::{Instant, sleep, timeout};

use super::{
    Action, Call, ErrorKind, OfferFilter, OperationHandle, OperationStatus, Provider, ProvisionRequest,
    UsagePeriod,
};
use crate::model::{IdempotencyKey, OrderId, Service, ServiceId};

/// How long a dropped call may still be in flight.
const MAX_IN_FLIGHT_TIME: Duration = Duration::from_secs(1);

/// What the suite may buy, and its time-out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SuiteConfig {
    /// The request to buy, a few times; none to buy nothing.
    pub request: Option<ProvisionRequest>,
    /// A request that is known to be sold out, if there is one.
    pub sold_out: Option<ProvisionRequest>,
    /// The time-out of one list or operation.
    pub timeout: Duration,
}

impl SuiteConfig {
    /// Buys this request a few times; nothing is known to be sold out.
    pub fn new(request: Option<ProvisionRequest>, timeout: Duration) -> Self {
        Self { request, sold_out: None, timeout }
    }

    /// Also checks that this request is refused as sold out.
    #[must_use]
    pub fn with_sold_out(self, request: ProvisionRequest) -> Self {
        Self { sold_out: Some(request), ..self }
    }
}

/// Checks a provider against the contract and its own capabilities.
///
/// The report names each broken promise, also a service that could not be released.
pub async fn check_provider(provider: Arc<dyn Provider>, config: SuiteConfig) -> Report {
    let mut suite = Suite::new(provider, config);
    suite.check_listings().await;
    suite.check_unowned().await;
    suite.check_stability().await;
    suite.check_purchase().await;
    suite.report
}

/// Kept, or how it was broken.
type Finding = Result<(), String>;

struct Suite {
    provider: Arc<dyn Provider>,
    config: SuiteConfig,
    /// The order that all keys derive from, so that no other run has the same.
    order: OrderId,
    keys: u32,
    /// Services bought at a provider without keys.
    bought: Vec<ServiceId>,
    report: Report,
}

fn ensure(is_kept: bool, broken: impl FnOnce() -> String) -> Finding {
    if is_kept { Ok(()) } else { Err(broken()) }
}

impl Suite {
    fn new(provider: Arc<dyn Provider>, config: SuiteConfig) -> Self {
        let order = OrderId::generate();
        Self { provider, config, order, keys: 0, bought: Vec::new(), report: Report::default() }
    }

    fn record(&mut self, name: &'static str, finding: Finding) {
        let outcome = finding.map_or_else(Outcome::Failed, |()| Outcome::Passed);
        self.report.checks.push(Check { name, outcome });
    }

    fn skip(&mut self, name: &'static str, reason: impl Into<String>) {
        self.report.checks.push(Check { name, outcome: Outcome::Skipped(reason.into()) });
    }

    fn key(&mut self) -> IdempotencyKey {
        self.keys += 1;
        IdempotencyKey::of_step(&self.order, self.keys)
    }

    fn can(&self, calls: &[Call]) -> bool {
        calls.iter().all(|call| self.provider.capabilities().can(*call))
    }

    async fn check_listings(&mut self) {
        const OFFERS: &str = "offers end, are the provider's own, and come once each";
        const FILTER: &str = "a filter leaves out exactly what it does not admit";
        const UNDECLARED: &str = "calls that are not declared answer that they are not supported";
        if self.can(&[Call::Offers]) {
            let finding = self.offers().await;
            self.record(OFFERS, finding);
            let finding = self.filtered().await;
            self.record(FILTER, finding);
        } else {
            self.skip(OFFERS, "offers is not declared");
            self.skip(FILTER, "offers is not declared");
        }
        let finding = self.undeclared().await;
        self.record(UNDECLARED, finding);
    }

    async fn offers(&self) -> Finding {
        let offers = self.all(self.provider.offers(&OfferFilter::default())).await?;
        let mut seen = BTreeSet::new();
        for offer in &offers {
            let id = offer.id();
            let is_own = offer.place.provider == *self.provider.id();
            ensure(is_own, || format!("{id} belongs to {}", offer.place.provider))?;
            ensure(seen.insert(id.clone()), || format!("{id} comes twice"))?;
        }
        Ok(())
    }

    async fn filtered(&self) -> Finding {
        let offers = self.all(self.provider.offers(&OfferFilter::default())).await?;
        let Some(first) = offers.first() else { return Ok(()) };
        let filter = OfferFilter {
            kinds: vec![first.kind],
            regions: vec![first.place.region.clone()],
            sku: Some(first.sku.clone()),
        };
        let ids = |offers: &[crate::model::Offer]| -> BTreeSet<_> {
            offers.iter().filter(|offer| filter.admits(offer)).map(crate::model::Offer::id).collect()
        };
        let few = self.all(self.provider.offers(&filter)).await?;
        let is_admitted = few.iter().all(|offer| filter.admits(offer));
        ensure(is_admitted, || format!("{filter:?} let others pass"))?;
        ensure(ids(&few) == ids(&offers), || format!("{filter:?} lost some"))
    }

    /// `provision` is left out: a provider with a wrong declaration would sell.
    async fn undeclared(&self) -> Finding {
        let (service, key) = (unowned_service(), IdempotencyKey::of_step(&self.order, 0));
        let operation = OperationHandle::new("conformance-unknown");
        let provider = &self.provider;
        let period = UsagePeriod { from: Timestamp::UNIX_EPOCH, to: Timestamp::now() };
        for call in [
            Call::DryRun,
            Call::Unreserve,
            Call::FindByKey,
            Call::Describe,
            Call::Services,
            Call::Act,
            Call::Release,
            Call::Poll,
            Call::Usage,
        ] {
            if self.can(&[call]) {
                continue;
            }
            let answer = match call {
                Call::FindByKey => provider.find_by_key(&key).await.map(drop),
                Call::Describe => provider.describe(&service).await.map(drop),
                Call::Services => provider.services().next().await.map_or(Ok(()), |item| item.map(drop)),
                Call::Act => provider.act(&service, &Action::Start, &key).await.map(drop),
                Call::Release => provider.release(&service, &key).await.map(drop),
                Call::Poll => provider.poll(&operation).await.map(drop),
                Call::Usage => provider.usage(&period).next().await.map_or(Ok(()), |item| item.map(drop)),
                Call::Unreserve => provider.unreserve(&key).await,
                Call::Access => provider.access(&service).await.map(drop),
                Call::DryRun => provider.dry_run(&[]).await.map(drop),
                Call::Offers | Call::Quote | Call::Reserve | Call::Provision | Call::ResumeOperation => {
                    continue;
                }
            };
            match answer {
                Err(error) if error.kind == ErrorKind::Unsupported => {}
                Err(error) => return Err(format!("{call} answers: {error}")),
                Ok(()) => return Err(format!("{call} answers, and is not declared")),
            }
        }
        Ok(())
    }

    async fn check_unowned(&mut self) {
        const SERVICE: &str = "an unknown service does not exist, and releasing it is success";
        const KEY: &str = "an unknown key finds nothing";
        const OPERATION: &str = "an unknown operation is not found";
        if self.can(&[Call::Describe, Call::Release, Call::Poll]) {
            let finding = self.unknown_service().await;
            self.record(SERVICE, finding);
        } else {
            self.skip(SERVICE, "describe, release or poll is not declared");
        }
        if self.can(&[Call::FindByKey]) {
            let key = self.key();
            let found = self.provider.find_by_key(&key).await;
            let finding = found
                .map_err(|error| error.to_string())
                .and_then(|found| ensure(found.is_none(), || format!("found {found:?}")));
            self.record(KEY, finding);
        } else {
            self.skip(KEY, "find_by_key is not declared");
        }
        if self.can(&[Call::Poll]) {
            let finding = match self.provider.poll(&OperationHandle::new("conformance-unknown")).await {
                Err(error) if matches!(error.kind, ErrorKind::NotFound { .. }) => Ok(()),
                other => Err(format!("poll answers {other:?}")),
            };
            self.record(OPERATION, finding);
        } else {
            self.skip(OPERATION, "poll is not declared");
        }
    }

    async fn unknown_service(&mut self) -> Finding {
        let found = self.provider.describe(&unowned_service()).await.map_err(|error| error.to_string())?;
        ensure(found.is_none(), || format!("describe finds {found:?}"))?;
        self.release(&unowned_service()).await
    }

    async fn release(&mut self, service: &ServiceId) -> Finding {
        let key = self.key();
        let handle = self.provider.release(service, &key).await.map_err(|error| error.to_string())?;
        let left = self.finish(&handle).await?;
        ensure(left.is_none(), || format!("released, and still there: {left:?}"))
    }

    async fn finish(&self, handle: &OperationHandle) -> Result<Option<Service>, String> {
        let end = Instant::now() + self.config.timeout;
        let interval = Duration::from_millis(self.provider.capabilities().poll_interval_ms.max(1));
        loop {
            match self.provider.poll(handle).await.map_err(|error| error.to_string())? {
                OperationStatus::Succeeded(service) => return Ok(service),
                OperationStatus::Failed { reason, .. } => {
                    return Err(format!("the operation failed: {reason}"));
                }
                OperationStatus::Running { .. } if Instant::now() >= end => {
                    return Err(format!("{} did not end in {:?}", handle.as_str(), self.config.timeout));
                }
                OperationStatus::Running { .. } => sleep(interval).await,
            }
        }
    }

    /// A whole list, or why it failed.
    async fn all<T>(&self, mut list: BoxStream<'static, super::Result<T>>) -> Result<Vec<T>, String> {
        let read = async {
            let mut items = Vec::new();
            while let Some(item) = list.next().await {
                items.push(item.map_err(|error| error.to_string())?);
            }
            Ok(items)
        };
        let late = |_| Err(format!("the list did not end in {:?}", self.config.timeout));
        timeout(self.config.timeout, read).await.unwrap_or_else(late)
    }
}

/// A service that does not exist.
fn unowned_service() -> ServiceId {
    ServiceId::new("conformance-unknown").expect("a plain word is a service id")
}
