//! Whether a provider does what it declares: one suite for all of them, to run before the first purchase.
//!
//! Without a request nothing is bought. With one the suite buys it a few times, loses replies on purpose, and
//! releases all that it made; at a real cloud that costs money.

mod attached;
mod steady;

pub use attached::{Customer, check_attached};

use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};

use futures::{FutureExt, StreamExt, stream::BoxStream};
use jiff::Timestamp;
use tokio::time::{Instant, sleep, timeout};

use super::{
    Action, Call, ErrorKind, IdempotencyClass, OfferFilter, OperationHandle, OperationStatus, Provider,
    ProvisionRequest, UsagePeriod,
};
use crate::model::{IdempotencyKey, OrderId, Service, ServiceId};

/// How long a call that was given up may still be on its way.
const ON_ITS_WAY: Duration = Duration::from_secs(1);

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case", tag = "outcome", content = "why")]
pub enum Outcome {
    /// As declared.
    Passed,
    /// Not as declared; in which way.
    Failed(String),
    /// Not tried; why.
    Skipped(String),
}

/// One promise of the contract.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Check {
    /// The promise, as a sentence.
    pub name: &'static str,
    /// Whether it was kept.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// All that was checked, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// One for each promise.
    pub checks: Vec<Check>,
}

impl Report {
    /// Whether no promise was broken. What was skipped is not known to be kept: read the report.
    pub fn is_passed(&self) -> bool {
        self.failures().next().is_none()
    }

    /// The broken promises.
    pub fn failures(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| matches!(check.outcome, Outcome::Failed(_)))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Check { name, outcome } in &self.checks {
            match outcome {
                Outcome::Passed => writeln!(f, "passed   {name}")?,
                Outcome::Failed(reason) => writeln!(f, "FAILED   {name}: {reason}")?,
                Outcome::Skipped(reason) => writeln!(f, "skipped  {name}: {reason}")?,
            }
        }
        Ok(())
    }
}

/// What the suite may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// What to buy, a few times; none to buy nothing.
    pub request: Option<ProvisionRequest>,
    /// What is known to be sold out; none if nothing is.
    pub sold_out: Option<ProvisionRequest>,
    /// How long one list or operation may take.
    pub patience: Duration,
}

impl Trial {
    /// Buys this a few times; nothing is known to be sold out.
    pub fn new(request: Option<ProvisionRequest>, patience: Duration) -> Self {
        Self { request, sold_out: None, patience }
    }
}

/// Checks a provider against the contract and its own capabilities.
///
/// What goes wrong is in the report, also when something could not be released again.
pub async fn check_provider(provider: Arc<dyn Provider>, trial: Trial) -> Report {
    let mut suite = Suite::new(provider, trial);
    suite.check_reading().await;
    suite.check_strangers().await;
    suite.check_steadiness().await;
    suite.check_buying().await;
    suite.report
}

/// Kept, or in which way not.
type Finding = Result<(), String>;

struct Suite {
    provider: Arc<dyn Provider>,
    trial: Trial,
    /// Where the keys come from, so that no other run has the same.
    order: OrderId,
    keys: u32,
    /// What was bought of a provider that knows no keys.
    bought: Vec<ServiceId>,
    report: Report,
}

fn ensure(is_kept: bool, broken: impl FnOnce() -> String) -> Finding {
    if is_kept { Ok(()) } else { Err(broken()) }
}

impl Suite {
    fn new(provider: Arc<dyn Provider>, trial: Trial) -> Self {
        let order = OrderId::generate();
        Self { provider, trial, order, keys: 0, bought: Vec::new(), report: Report::default() }
    }

    fn note(&mut self, name: &'static str, finding: Finding) {
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

    async fn check_reading(&mut self) {
        const OFFERS: &str = "offers end, are the provider's own, and come once each";
        const FILTER: &str = "a filter leaves out exactly what it does not admit";
        const UNDECLARED: &str = "calls that are not declared answer that they are not supported";
        if self.can(&[Call::Offers]) {
            let finding = self.offers().await;
            self.note(OFFERS, finding);
            let finding = self.filtered().await;
            self.note(FILTER, finding);
        } else {
            self.skip(OFFERS, "offers is not declared");
            self.skip(FILTER, "offers is not declared");
        }
        let finding = self.undeclared().await;
        self.note(UNDECLARED, finding);
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

    /// Provision is left out: a provider that is wrong about it would sell.
    async fn undeclared(&self) -> Finding {
        let (service, key) = (stranger(), IdempotencyKey::of_step(&self.order, 0));
        let operation = OperationHandle::new("conformance-unknown");
        let provider = &self.provider;
        let period = UsagePeriod { from: Timestamp::UNIX_EPOCH, to: Timestamp::now() };
        for call in [
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

    async fn check_strangers(&mut self) {
        const SERVICE: &str = "an unknown service does not exist, and releasing it is success";
        const KEY: &str = "an unknown key finds nothing";
        const OPERATION: &str = "an unknown operation is not found";
        if self.can(&[Call::Describe, Call::Release, Call::Poll]) {
            let finding = self.unknown_service().await;
            self.note(SERVICE, finding);
        } else {
            self.skip(SERVICE, "describe, release or poll is not declared");
        }
        if self.can(&[Call::FindByKey]) {
            let key = self.key();
            let found = self.provider.find_by_key(&key).await;
            let finding = found
                .map_err(|error| error.to_string())
                .and_then(|found| ensure(found.is_none(), || format!("found {found:?}")));
            self.note(KEY, finding);
        } else {
            self.skip(KEY, "find_by_key is not declared");
        }
        if self.can(&[Call::Poll]) {
            let finding = match self.provider.poll(&OperationHandle::new("conformance-unknown")).await {
                Err(error) if matches!(error.kind, ErrorKind::NotFound { .. }) => Ok(()),
                other => Err(format!("poll answers {other:?}")),
            };
            self.note(OPERATION, finding);
        } else {
            self.skip(OPERATION, "poll is not declared");
        }
    }

    async fn unknown_service(&mut self) -> Finding {
        let found = self.provider.describe(&stranger()).await.map_err(|error| error.to_string())?;
        ensure(found.is_none(), || format!("describe finds {found:?}"))?;
        self.release(&stranger()).await
    }

    async fn check_buying(&mut self) {
        const QUOTE: &str = "a quote has the price of the request";
        const HOLD: &str = "what is held is held once, can be given back twice, and is taken by its key";
        const MAKE: &str = "a purchase ends in the service that was asked for; its handle survives as text";
        const FIND: &str = "the key finds the service within the declared lag";
        const LIST: &str = "the list has the service once within the declared lag";
        const REPEAT: &str = "the same key twice makes one service";
        const LOST: &str = "a call whose answer is lost makes one service at most";
        const GONE: &str = "what is released twice is gone, with success both times";
        const SOLD_OUT: &str = "what is sold out is refused as that, each time";
        const CLEAN: &str = "nothing of this run is left";
        const BUYING: [&str; 8] = [MAKE, FIND, LIST, REPEAT, LOST, GONE, SOLD_OUT, CLEAN];
        let class = self.provider.capabilities().idempotency_of(Call::Provision);
        let is_unkeyed = class == IdempotencyClass::None;
        let lag = self.provider.capabilities().list_lag();
        let look = if is_unkeyed { Call::Services } else { Call::FindByKey };
        let needed = [Call::Provision, Call::Poll, Call::Describe, look, Call::Release];
        let Some(request) = self.trial.request.clone() else {
            return [QUOTE, HOLD]
                .iter()
                .chain(&BUYING)
                .for_each(|name| self.skip(name, "nothing may be bought"));
        };
        if self.can(&[Call::Quote]) {
            let quote = self.provider.quote(&request).await;
            let finding = quote.map_err(|error| error.to_string()).and_then(|quote| {
                ensure(quote.price.purchase_option == request.purchase_option, || {
                    format!("another market: {quote:?}")
                })
            });
            self.note(QUOTE, finding);
        } else {
            self.skip(QUOTE, "quote is not declared");
        }
        // Without these the suite could not release what it buys.
        if !self.can(&needed) {
            return [HOLD]
                .iter()
                .chain(&BUYING)
                .for_each(|name| self.skip(name, "not all calls of a purchase are declared"));
        }
        if self.can(&[Call::Reserve, Call::Unreserve]) && !is_unkeyed {
            let finding = self.held(&request).await;
            self.note(HOLD, finding);
        } else {
            self.skip(HOLD, "reserve and unreserve are not declared");
        }
        let key = self.key();
        match self.buy(&request, &key).await {
            Err(reason) => {
                self.note(MAKE, Err(reason));
                [FIND, LIST, REPEAT, LOST, GONE].iter().for_each(|name| self.skip(name, "nothing was made"));
            }
            Ok(service) => {
                self.note(MAKE, self.is_as_asked(&service, &request, &key));
                sleep(lag).await;
                if is_unkeyed {
                    self.bought.push(service.id.clone());
                    self.skip(FIND, "not declared; it is told by its absence from the list before");
                } else {
                    let finding = self.found(&key, &service.id).await;
                    self.note(FIND, finding);
                }
                if self.can(&[Call::Services]) {
                    let finding = match is_unkeyed {
                        true => self.listed_among_all(&service.id).await,
                        false => self.listed(&key, &service.id).await,
                    };
                    self.note(LIST, finding);
                } else {
                    self.skip(LIST, "services is not declared");
                }
                if class.is_repeatable() {
                    let finding = self.repeat(&request, &key, &service.id).await;
                    self.note(REPEAT, finding);
                } else {
                    self.skip(REPEAT, "not declared; a caller looks first");
                }
                if is_unkeyed {
                    self.skip(LOST, "not declared; such calls are serialised");
                } else {
                    let finding = self.lose(&request, class).await;
                    self.note(LOST, finding);
                }
                let finding = self.gone(&key, &service.id).await;
                self.note(GONE, finding);
            }
        }
        if let Some(request) = self.trial.sold_out.clone() {
            let finding = self.sold_out(&request).await;
            self.note(SOLD_OUT, finding);
        } else {
            self.skip(SOLD_OUT, "the trial names nothing that is sold out");
        }
        let finding = self.clean(lag).await;
        self.note(CLEAN, finding);
    }

    /// Holds, gives back, holds and takes.
    async fn held(&mut self, request: &ProvisionRequest) -> Finding {
        let (provider, key, unknown) = (self.provider.clone(), self.key(), self.key());
        let words = |error: super::ProviderError| error.to_string();
        for _ in 0..2 {
            let until = provider.reserve(request, &key).await.map_err(words)?;
            ensure(until > Timestamp::now(), || format!("the hold ended at {until}, before it was told"))?;
        }
        provider.unreserve(&unknown).await.map_err(|error| format!("of an unknown key: {error}"))?;
        let found = match self.can(&[Call::FindByKey]) {
            true => provider.find_by_key(&key).await.map_err(words)?,
            false => None,
        };
        ensure(found.is_none(), || format!("the hold is found as a service: {found:?}"))?;
        for _ in 0..2 {
            provider.unreserve(&key).await.map_err(words)?;
        }
        provider.reserve(request, &key).await.map_err(|error| format!("after it was given back: {error}"))?;
        let service = self.buy(request, &key).await?;
        provider.unreserve(&key).await.map_err(|error| format!("after it was taken: {error}"))?;
        let left = provider.describe(&service.id).await.map_err(words)?;
        ensure(left.is_some(), || format!("giving back ended {}, which was bought", service.id))?;
        self.release(&service.id).await
    }

    async fn buy(&self, request: &ProvisionRequest, key: &IdempotencyKey) -> Result<Service, String> {
        let handle = self.provider.provision(request, key).await.map_err(|error| error.to_string())?;
        // A process that starts again has the text only.
        let handle = OperationHandle::new(handle.as_str().to_owned());
        self.finish(&handle).await?.ok_or_else(|| "the operation succeeded without a service".to_owned())
    }

    fn is_as_asked(&self, service: &Service, request: &ProvisionRequest, key: &IdempotencyKey) -> Finding {
        let is_same = service.provider == *self.provider.id()
            && service.sku == request.sku
            && service.place == request.place
            && match self.is_unkeyed() {
                true => service.key.is_none(),
                false => service.key.as_ref() == Some(key),
            };
        ensure(is_same, || format!("asked for {request:?} with {key}, got {service:?}"))
    }

    async fn found(&self, key: &IdempotencyKey, id: &ServiceId) -> Finding {
        let found = self.provider.find_by_key(key).await.map_err(|error| error.to_string())?;
        let described = self.provider.describe(id).await.map_err(|error| error.to_string())?;
        ensure(described.is_some_and(|it| it.id == *id), || format!("describe does not know {id}"))?;
        ensure(found.as_ref().is_some_and(|it| it.id == *id), || format!("find_by_key answers {found:?}"))
    }

    fn is_unkeyed(&self) -> bool {
        self.provider.capabilities().idempotency_of(Call::Provision) == IdempotencyClass::None
    }

    /// Once, and with no key, as nothing else would tell it from those that were there before.
    async fn listed_among_all(&self, id: &ServiceId) -> Finding {
        let described = self.provider.describe(id).await.map_err(|error| error.to_string())?;
        ensure(described.is_some_and(|it| it.id == *id), || format!("describe does not know {id}"))?;
        let services = self.all(self.provider.services()).await?;
        let it: Vec<_> = services.iter().filter(|service| service.id == *id).collect();
        let is_fine = matches!(it.as_slice(), [one] if one.key.is_none());
        ensure(is_fine, || format!("made {id}, the list has {it:?}"))
    }

    async fn listed(&self, key: &IdempotencyKey, id: &ServiceId) -> Finding {
        let of_key = self.of_key(key).await?;
        ensure(of_key == [id.clone()], || format!("made {id}, the list has {of_key:?}"))
    }

    /// All that is known of a key: by the list where there is one.
    async fn of_key(&self, key: &IdempotencyKey) -> Result<Vec<ServiceId>, String> {
        if !self.can(&[Call::Services]) {
            let found = self.provider.find_by_key(key).await.map_err(|error| error.to_string())?;
            return Ok(found.into_iter().map(|service| service.id).collect());
        }
        let services = self.all(self.provider.services()).await?;
        let of_key = services.into_iter().filter(|service| service.key.as_ref() == Some(key));
        Ok(of_key.map(|service| service.id).collect())
    }

    async fn repeat(&self, request: &ProvisionRequest, key: &IdempotencyKey, id: &ServiceId) -> Finding {
        let again = self.buy(request, key).await?;
        ensure(again.id == *id, || format!("the key made {id}, and then {} too", again.id))?;
        self.listed(key, id).await
    }

    /// Gives a call up in mid-air, then goes on as the declared class allows.
    async fn lose(&mut self, request: &ProvisionRequest, class: IdempotencyClass) -> Finding {
        let (key, lag) = (self.key(), self.provider.capabilities().list_lag());
        drop(self.provider.provision(request, &key).now_or_never());
        // What was given up may still be on its way, and only then does its lag begin.
        sleep(lag.saturating_add(ON_ITS_WAY)).await;
        let is_made = !class.is_repeatable()
            && self.provider.find_by_key(&key).await.map_err(|error| error.to_string())?.is_some();
        if !is_made {
            self.buy(request, &key).await?;
            sleep(lag).await;
        }
        let of_key = self.of_key(&key).await?;
        ensure(of_key.len() == 1, || format!("{key} made {of_key:?}"))
    }

    async fn gone(&mut self, key: &IdempotencyKey, id: &ServiceId) -> Finding {
        self.release(id).await?;
        self.release(id).await.map_err(|reason| format!("the second time: {reason}"))?;
        let described = self.provider.describe(id).await.map_err(|error| error.to_string())?;
        ensure(described.is_none(), || format!("describe still finds {described:?}"))?;
        if self.is_unkeyed() {
            return Ok(());
        }
        let found = self.provider.find_by_key(key).await.map_err(|error| error.to_string())?;
        ensure(found.is_none_or(|found| found.id != *id), || format!("the key still finds {id}"))
    }

    /// Releases all that carries a key of this run, also what a wrong provider made beside.
    async fn clean(&mut self, lag: Duration) -> Finding {
        sleep(lag).await;
        let mut broken = Vec::new();
        for service in self.own().await? {
            if let Err(reason) = self.release(&service).await {
                broken.push(format!("{service}: {reason}"));
            }
        }
        broken.extend(self.own().await?.iter().map(|service| format!("{service} is still listed")));
        ensure(broken.is_empty(), || format!("release these by hand: {}", broken.join("; ")))
    }

    async fn own(&self) -> Result<Vec<ServiceId>, String> {
        if self.is_unkeyed() {
            let mut own = Vec::new();
            for id in &self.bought {
                let now = self.provider.describe(id).await.map_err(|error| error.to_string())?;
                own.extend(now.map(|service| service.id));
            }
            return Ok(own);
        }
        let keys: Vec<_> = (1..=self.keys).map(|at| IdempotencyKey::of_step(&self.order, at)).collect();
        if !self.can(&[Call::Services]) {
            let mut own = Vec::new();
            for key in &keys {
                own.extend(self.of_key(key).await?);
            }
            return Ok(own);
        }
        let services = self.all(self.provider.services()).await?;
        let own = services.into_iter().filter(|it| it.key.as_ref().is_some_and(|key| keys.contains(key)));
        Ok(own.map(|service| service.id).collect())
    }

    async fn release(&mut self, service: &ServiceId) -> Finding {
        let key = self.key();
        let handle = self.provider.release(service, &key).await.map_err(|error| error.to_string())?;
        let left = self.finish(&handle).await?;
        ensure(left.is_none(), || format!("released, and still there: {left:?}"))
    }

    async fn finish(&self, handle: &OperationHandle) -> Result<Option<Service>, String> {
        let end = Instant::now() + self.trial.patience;
        let interval = Duration::from_millis(self.provider.capabilities().poll_interval_ms.max(1));
        loop {
            match self.provider.poll(handle).await.map_err(|error| error.to_string())? {
                OperationStatus::Succeeded(service) => return Ok(service),
                OperationStatus::Failed { reason, .. } => {
                    return Err(format!("the operation failed: {reason}"));
                }
                OperationStatus::Running { .. } if Instant::now() >= end => {
                    return Err(format!("{} did not end in {:?}", handle.as_str(), self.trial.patience));
                }
                OperationStatus::Running { .. } => sleep(interval).await,
            }
        }
    }

    /// A whole list, or why there is none.
    async fn all<T>(&self, mut list: BoxStream<'static, super::Result<T>>) -> Result<Vec<T>, String> {
        let read = async {
            let mut items = Vec::new();
            while let Some(item) = list.next().await {
                items.push(item.map_err(|error| error.to_string())?);
            }
            Ok(items)
        };
        let late = |_| Err(format!("the list did not end in {:?}", self.trial.patience));
        timeout(self.trial.patience, read).await.unwrap_or_else(late)
    }
}

/// A service that nobody made.
fn stranger() -> ServiceId {
    ServiceId::new("conformance-unknown").expect("a plain word is a service id")
}
