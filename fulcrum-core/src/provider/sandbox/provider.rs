//! The provider calls of the sandbox.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use async_trait::async_trait;
use futures::{
    FutureExt, StreamExt,
    stream::{self, BoxStream},
};
use jiff::{SignedDuration, Timestamp};
use rand::{Rng, SeedableRng, rngs::SmallRng};
use rust_decimal::Decimal;

use super::{
    Fault, Sandbox, SandboxReservation, SandboxResource, attributes,
    state::{CloudState, Operation},
};
use crate::{
    model::{Charge, IdempotencyKey, Offer, Price, ProviderId, Service, ServiceId, ServiceStatus, SkuId},
    provider::{
        Access, Action, Call, Capabilities, ErrorKind, IdempotencyClass, OfferFilter, OfferStream,
        OperationHandle, OperationStatus, Provider, ProviderError, ProvisionRequest, Quote, Refusal,
        RejectedRow, Result, ServiceStream, UsagePeriod, UsageStream, find_exact,
    },
};

/// The conditions of one call: its fault, and the latency of its result.
#[derive(Debug)]
struct CallConditions {
    fault: Option<Fault>,
    return_latency: Duration,
}

/// The time after a duration from now, at most the last representable one.
fn after(time: Duration) -> Timestamp {
    let time = SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX);
    Timestamp::now().checked_add(time).unwrap_or(Timestamp::MAX)
}

async fn wait(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}

/// A list of one page, or an error in its place.
fn single_page<T: Send + 'static>(
    asked: impl Future<Output = Result<Vec<T>>> + Send + 'static,
) -> BoxStream<'static, Result<T>> {
    let lines = asked.map(|told| match told {
        Ok(lines) => lines.into_iter().map(Ok).collect(),
        Err(error) => vec![Err(error)],
    });
    lines.map(stream::iter).flatten_stream().boxed()
}

impl Sandbox {
    fn error(&self, call: Call, kind: ErrorKind) -> ProviderError {
        ProviderError::new(self.inner.id.clone(), call, kind)
    }

    fn change<T>(&self, call: Call, change: impl FnOnce(&mut CloudState) -> T) -> Result<T> {
        let store = &self.inner.store;
        store.with(change).map_err(|error| {
            self.error(call, ErrorKind::unavailable(format!("its state: {error}"))).with_source(error)
        })
    }

    /// Randomness that depends on seed, cloud and event only, and not on other calls.
    fn rng(&self, what: impl Hash) -> SmallRng {
        let mut hasher = DefaultHasher::new();
        (self.inner.seed, &self.inner.id, what).hash(&mut hasher);
        SmallRng::seed_from_u64(hasher.finish())
    }

    fn random_duration(rng: &mut SmallRng, (least, most): (Duration, Duration)) -> Duration {
        if least == most { least } else { rng.random_range(least..=most) }
    }

    /// Waits for half of the latency, and applies faults that come before the effect.
    async fn before_effect(&self, call: Call, sku: Option<&SkuId>) -> Result<CallConditions> {
        let (count, fault) = self.change(call, |state| {
            let calls = state.calls.entry(call).or_default();
            *calls += 1;
            let count = *calls;
            let mut conditions = None;
            for (number, rule) in self.inner.faults.iter().enumerate() {
                let is_match = rule.call == call && (rule.sku.is_none() || rule.sku.as_ref() == sku);
                if is_match {
                    let matched = state.matched.entry(number as u32).or_default();
                    *matched += 1;
                    if conditions.is_none()
                        && *matched >= rule.nth
                        && *matched < rule.nth.saturating_add(rule.times)
                    {
                        conditions = Some(rule.fault.clone());
                    }
                }
            }
            (count, conditions)
        })?;
        let latency = Self::random_duration(&mut self.rng((call, count)), self.inner.latency);
        let return_latency = latency / 2;
        wait(latency - return_latency).await;
        if let Some(kind) = fault.as_ref().and_then(|fault| fault.error_kind(sku)) {
            return Err(self.error(call, kind));
        }
        if fault == Some(Fault::CrashBefore) {
            (self.inner.crash)();
        }
        Ok(CallConditions { fault, return_latency })
    }

    /// Applies faults that come after the effect, and waits for the rest of the latency.
    async fn after_effect<T>(&self, call: Call, conditions: &CallConditions, answer: T) -> Result<T> {
        if conditions.fault == Some(Fault::CrashAfter) {
            (self.inner.crash)();
        }
        wait(conditions.return_latency).await;
        if conditions.fault == Some(Fault::AmbiguousHappened) {
            return Err(self.error(call, ErrorKind::Ambiguous));
        }
        Ok(answer)
    }

    /// The offer that a request matches exactly.
    fn offer(&self, call: Call, request: &ProvisionRequest) -> Result<&Offer> {
        let is_known = self.inner.capabilities.check_settings(request.kind, &request.settings);
        is_known.and_then(|()| find_exact(request, &self.inner.offers)).map_err(|kind| self.error(call, kind))
    }

    fn unknown(&self, call: Call, what: impl ToString) -> ProviderError {
        self.error(call, ErrorKind::NotFound { what: what.to_string() })
    }

    fn done_at(&self, state: &CloudState, fault: Option<&Fault>) -> Timestamp {
        let mut rng = self.rng(("operation", state.operations.len()));
        let late =
            if let Some(Fault::Late { ms }) = fault { Duration::from_millis(*ms) } else { Duration::ZERO };
        after(Self::random_duration(&mut rng, self.inner.operation).saturating_add(late))
    }

    /// How many more of an offer a key can get, by the SKU's stock over all places and the offer's own.
    fn left(&self, state: &CloudState, offer: &Offer, key: Option<&IdempotencyKey>) -> Option<u32> {
        let (anywhere, here) = self.stock_left(state, offer, key);
        anywhere.into_iter().chain(here).min()
    }

    /// The same for the SKU over all places, and for the offer's own place.
    fn stock_left(
        &self,
        state: &CloudState,
        offer: &Offer,
        key: Option<&IdempotencyKey>,
    ) -> (Option<u32>, Option<u32>) {
        let now = Timestamp::now();
        let reserved = |is_it: &dyn Fn(&SandboxReservation) -> bool| {
            let reservations =
                state.reserved_by_others(key, now).filter(|reservation| reservation.sku == offer.sku);
            reservations.filter(|reservation| is_it(reservation)).count() as u32
        };
        let used = |is_it: &dyn Fn(&Service) -> bool| {
            let alive = state.resources.iter().filter(|resource| resource.exists(now));
            alive.filter(|resource| resource.service.sku == offer.sku && is_it(&resource.service)).count()
                as u32
        };
        let anywhere = used(&|_| true) + reserved(&|_| true);
        let anywhere = self.inner.stock.get(&offer.sku).map(|stock| stock.saturating_sub(anywhere));
        let here =
            used(&|s| s.place == *offer.place) + reserved(&|reservation| reservation.place == *offer.place);
        (anywhere, offer.stock.map(|stock| stock.saturating_sub(here)))
    }

    /// Why a key cannot get one more; none if it can.
    fn admit(&self, state: &CloudState, offer: &Offer, key: &IdempotencyKey) -> Option<ErrorKind> {
        let now = Timestamp::now();
        let alive = || state.resources.iter().filter(|resource| resource.exists(now));
        if self.left(state, offer, Some(key)) == Some(0) {
            return Some(ErrorKind::CapacityExhausted { sku: offer.sku.clone() });
        }
        let used = alive().count() + state.reserved_by_others(Some(key), now).count();
        let is_over = self.inner.quota.is_some_and(|quota| used >= quota as usize);
        is_over.then(|| ErrorKind::QuotaExceeded { quota: "services".to_owned() })
    }

    /// Why one more of an offer cannot be bought once some requests have been; none if it can.
    fn refuses(&self, state: &CloudState, offer: &Offer, before: &[ProvisionRequest]) -> Option<ErrorKind> {
        let now = Timestamp::now();
        let alike = || before.iter().filter(|request| request.sku == offer.sku);
        let here = alike().filter(|request| request.place == *offer.place).count() as u32;
        let (anywhere_left, here_left) = self.stock_left(state, offer, None);
        let is_out = |left: Option<u32>, wanted: u32| left.is_some_and(|left| left <= wanted);
        if is_out(anywhere_left, alike().count() as u32) || is_out(here_left, here) {
            return Some(ErrorKind::CapacityExhausted { sku: offer.sku.clone() });
        }
        let used = state.resources.iter().filter(|resource| resource.exists(now)).count();
        let used = used + state.reserved_by_others(None, now).count() + before.len();
        let is_over = self.inner.quota.is_some_and(|quota| used >= quota as usize);
        is_over.then(|| ErrorKind::QuotaExceeded { quota: "services".to_owned() })
    }

    /// The earlier operation of a key, in a cloud that de-duplicates.
    fn operation_of(&self, state: &CloudState, key: &IdempotencyKey) -> Option<OperationHandle> {
        match self.inner.actual_class {
            IdempotencyClass::Natural | IdempotencyClass::Key => {
                let by_key = |operation: &Operation| operation.key.as_ref() == Some(key);
                let found = state.operations.iter().find(|(_, operation)| by_key(operation));
                found.map(|(name, _)| OperationHandle::new(name.as_str()))
            }
            IdempotencyClass::Searchable { .. } | IdempotencyClass::None => None,
        }
    }

    fn start(
        &self,
        state: &mut CloudState,
        request: &ProvisionRequest,
        key: &IdempotencyKey,
        fault: Option<&Fault>,
    ) -> OperationHandle {
        // A provider's name may be as long as a service's.
        let cloud: String = self.inner.id.as_str().chars().take(150).collect();
        let id = ServiceId::new(format!("{cloud}-{}", state.resources.len() + 1));
        let id = id.expect("a provider's name and a number");
        let is_unkeyed = self.inner.actual_class == IdempotencyClass::None;
        let lag = Duration::from_millis(self.inner.capabilities.list_lag_ms.unwrap_or_default());
        let lag = lag.max(self.inner.actual_class.list_lag());
        let attributes = attributes::of(request, &id, state.resources.len() + 1);
        state.resources.push(SandboxResource {
            service: Service {
                id: id.clone(),
                provider: self.inner.id.clone(),
                key: (!is_unkeyed).then(|| key.clone()),
                sku: request.sku.clone(),
                place: request.place.clone(),
                status: ServiceStatus::Starting,
                attributes,
            },
            size_gib: request.size_gib,
            visible_at: after(lag),
            released_at: None,
        });
        let (fails, shortage) = match fault {
            Some(Fault::OperationFails { leaves_resource, shortage }) => (Some(*leaves_resource), *shortage),
            _ => (None, None),
        };
        let (key, done_at) = (Some(key.clone()), self.done_at(state, fault));
        state.begin(Operation { service: id, key, done_at, fails, shortage, is_release: false })
    }
}

/// All amounts of a price times a factor.
fn scaled(price: &Price, factor: Decimal) -> Price {
    let mut price = price.clone();
    match &mut price.charge {
        Charge::Hourly(amount) | Charge::Monthly(amount) => *amount = amount.saturating_mul(factor),
        Charge::HourlyCapped { hourly, monthly } => {
            *hourly = hourly.saturating_mul(factor);
            *monthly = monthly.saturating_mul(factor);
        }
        Charge::PerUnit { tiers, .. } => {
            tiers.iter_mut().for_each(|tier| tier.price = tier.price.saturating_mul(factor))
        }
        Charge::Once => price.once = price.once.saturating_mul(factor),
    }
    price
}

#[async_trait]
impl Provider for Sandbox {
    fn id(&self) -> &ProviderId {
        &self.inner.id
    }

    fn capabilities(&self) -> &Capabilities {
        &self.inner.capabilities
    }

    fn offers(&self, filter: &OfferFilter) -> OfferStream {
        let (cloud, filter) = (self.clone(), filter.clone());
        single_page(async move {
            let conditions = cloud.before_effect(Call::Offers, None).await?;
            // With what is left of them now.
            let offers = cloud.change(Call::Offers, |state| {
                let now = |offer: &Offer| Offer { stock: cloud.left(state, offer, None), ..offer.clone() };
                cloud.inner.offers.iter().filter(|offer| filter.admits(offer)).map(now).collect()
            })?;
            cloud.after_effect(Call::Offers, &conditions, offers).await
        })
    }

    fn rejected(&self) -> Vec<RejectedRow> {
        self.inner.rejected.clone()
    }

    async fn quote(&self, request: &ProvisionRequest) -> Result<Quote> {
        let conditions = self.before_effect(Call::Quote, Some(&request.sku)).await?;
        let offer = self.offer(Call::Quote, request)?;
        let factor = self.inner.price_factor.get(&request.sku).copied().unwrap_or(Decimal::ONE);
        let quote = Quote {
            price: scaled(&offer.price, factor),
            disk: offer.elastic_disk.as_ref().map(|disk| disk.price.clone()),
            surcharges: offer.surcharges.to_vec(),
            valid_until: None,
        };
        self.after_effect(Call::Quote, &conditions, quote).await
    }

    async fn dry_run(&self, requests: &[ProvisionRequest]) -> Result<Vec<Refusal>> {
        let call = Call::DryRun;
        let conditions = self.before_effect(call, None).await?;
        let refusals = self.change(call, |state| {
            state.advance_to(Timestamp::now());
            let refusal = |(at, request): (usize, &ProvisionRequest)| {
                let refused = match self.offer(Call::Provision, request) {
                    Err(error) => Some(error),
                    Ok(offer) => self
                        .refuses(state, offer, &requests[..at])
                        .map(|kind| self.error(Call::Provision, kind)),
                };
                refused.map(|error| Refusal { requests: vec![at], error })
            };
            requests.iter().enumerate().filter_map(refusal).collect()
        })?;
        self.after_effect(call, &conditions, refusals).await
    }

    async fn reserve(&self, request: &ProvisionRequest, key: &IdempotencyKey) -> Result<Timestamp> {
        let call = Call::Reserve;
        if !self.inner.capabilities.can(call) {
            return Err(self.error(call, ErrorKind::Unsupported));
        }
        let offer = self.offer(call, request)?;
        let conditions = self.before_effect(call, Some(&request.sku)).await?;
        let until = self.change(call, |state| {
            let now = Timestamp::now();
            state.advance_to(now);
            let until = after(self.inner.reservation_ttl);
            let is_bought = state.resources.iter().any(|resource| resource.service.key.as_ref() == Some(key));
            if let Some(kind) = self.admit(state, offer, key).filter(|_| !is_bought) {
                return Err(self.error(call, kind));
            }
            state.reservations.retain(|reservation| reservation.until > now && reservation.key != *key);
            if !is_bought {
                let (key, sku, place) = (key.clone(), request.sku.clone(), request.place.clone());
                state.reservations.push(SandboxReservation { key, sku, place, until });
            }
            Ok(until)
        })??;
        self.after_effect(call, &conditions, until).await
    }

    async fn unreserve(&self, key: &IdempotencyKey) -> Result<()> {
        let call = Call::Unreserve;
        if !self.inner.capabilities.can(call) {
            return Err(self.error(call, ErrorKind::Unsupported));
        }
        let conditions = self.before_effect(call, None).await?;
        self.change(call, |state| state.reservations.retain(|reservation| reservation.key != *key))?;
        self.after_effect(call, &conditions, ()).await
    }

    async fn provision(&self, request: &ProvisionRequest, key: &IdempotencyKey) -> Result<OperationHandle> {
        let call = Call::Provision;
        let offer = self.offer(call, request)?;
        let conditions = self.before_effect(call, Some(&request.sku)).await?;
        let started = self.change(call, |state| {
            state.advance_to(Timestamp::now());
            if let Some(earlier) = self.operation_of(state, key) {
                return Ok(earlier);
            }
            match self.admit(state, offer, key) {
                Some(kind) => Err(self.error(call, kind)),
                None => {
                    state.reservations.retain(|reservation| reservation.key != *key);
                    Ok(self.start(state, request, key, conditions.fault.as_ref()))
                }
            }
        })??;
        self.after_effect(call, &conditions, started).await
    }

    async fn find_by_key(&self, key: &IdempotencyKey) -> Result<Option<Service>> {
        if !self.inner.capabilities.can(Call::FindByKey) {
            return Err(self.error(Call::FindByKey, ErrorKind::Unsupported));
        }
        let conditions = self.before_effect(Call::FindByKey, None).await?;
        let found = self.change(Call::FindByKey, |state| {
            let now = Timestamp::now();
            state.advance_to(now);
            let is_it = |r: &&SandboxResource| {
                r.service.key.as_ref() == Some(key) && r.exists(now) && r.visible_at <= now
            };
            state.resources.iter().find(is_it).map(|resource| resource.service.clone())
        })?;
        self.after_effect(Call::FindByKey, &conditions, found).await
    }

    async fn describe(&self, service: &ServiceId) -> Result<Option<Service>> {
        let conditions = self.before_effect(Call::Describe, None).await?;
        let found = self.change(Call::Describe, |state| {
            let now = Timestamp::now();
            state.advance_to(now);
            state
                .resource(service)
                .filter(|resource| resource.exists(now))
                .map(|resource| resource.service.clone())
        })?;
        self.after_effect(Call::Describe, &conditions, found).await
    }

    fn services(&self) -> ServiceStream {
        let cloud = self.clone();
        single_page(async move {
            let conditions = cloud.before_effect(Call::Services, None).await?;
            let services = cloud.change(Call::Services, |state| {
                let now = Timestamp::now();
                state.advance_to(now);
                let seen = state.resources.iter().filter(|r| r.exists(now) && r.visible_at <= now);
                seen.map(|resource| resource.service.clone()).collect()
            })?;
            cloud.after_effect(Call::Services, &conditions, services).await
        })
    }

    async fn act(
        &self,
        service: &ServiceId,
        action: &Action,
        key: &IdempotencyKey,
    ) -> Result<OperationHandle> {
        let conditions = self.before_effect(Call::Act, None).await?;
        let started = self.change(Call::Act, |state| {
            let now = Timestamp::now();
            state.advance_to(now);
            if let Some(earlier) = self.operation_of(state, key) {
                return Ok(earlier);
            }
            let Some(resource) = state.resource_mut(service).filter(|resource| resource.exists(now)) else {
                return Err(self.unknown(Call::Act, service));
            };
            match action {
                Action::Start => resource.service.status = ServiceStatus::Running,
                Action::Stop => resource.service.status = ServiceStatus::Stopped,
                Action::Resize { sku } => resource.service.sku = sku.clone(),
                Action::Other { .. } => return Err(self.error(Call::Act, ErrorKind::Unsupported)),
            }
            let done_at = self.done_at(state, conditions.fault.as_ref());
            let (service, key) = (service.clone(), Some(key.clone()));
            Ok(state.begin(Operation {
                service,
                key,
                done_at,
                fails: None,
                shortage: None,
                is_release: false,
            }))
        })??;
        self.after_effect(Call::Act, &conditions, started).await
    }

    async fn access(&self, service: &ServiceId) -> Result<Access> {
        let call = Call::Access;
        let conditions = self.before_effect(call, None).await?;
        let found = self.change(call, |state| {
            let now = Timestamp::now();
            state.advance_to(now);
            state.resource(service).filter(|resource| resource.exists(now)).map(|it| it.service.clone())
        })?;
        let found = found.ok_or_else(|| self.unknown(call, service))?;
        let kind = self.inner.offers.iter().find(|offer| offer.sku == found.sku).map(|offer| offer.kind);
        let access = kind.and_then(|kind| attributes::access(kind, &found));
        let access = access.ok_or_else(|| self.error(call, ErrorKind::Unsupported))?;
        self.after_effect(call, &conditions, access).await
    }

    async fn release(&self, service: &ServiceId, _: &IdempotencyKey) -> Result<OperationHandle> {
        let conditions = self.before_effect(Call::Release, None).await?;
        let started = self.change(Call::Release, |state| {
            let now = Timestamp::now();
            state.advance_to(now);
            let done_at = self.done_at(state, conditions.fault.as_ref());
            let parts = state.attached.get(service).filter(|parts| !parts.is_empty());
            if let Some(parts) = parts
                && state.resource(service).is_some_and(|resource| resource.exists(now))
            {
                return Err(self.error(Call::Release, ErrorKind::attached(service, parts)));
            }
            if let Some(resource) =
                state.resource_mut(service).filter(|resource| resource.released_at.is_none())
            {
                resource.service.status = ServiceStatus::Releasing;
                resource.released_at = Some(done_at);
            }
            Ok(state.begin(Operation {
                service: service.clone(),
                key: None,
                done_at,
                fails: None,
                shortage: None,
                is_release: true,
            }))
        })??;
        self.after_effect(Call::Release, &conditions, started).await
    }

    async fn poll(&self, operation: &OperationHandle) -> Result<OperationStatus> {
        let conditions = self.before_effect(Call::Poll, None).await?;
        let status = self.change(Call::Poll, |state| {
            let now = Timestamp::now();
            state.advance_to(now);
            let Some(found) = state.operations.get(operation.as_str()) else {
                return Err(self.unknown(Call::Poll, operation.as_str()));
            };
            if now < found.done_at {
                return Ok(OperationStatus::Running { percent: None });
            }
            if found.fails.is_some() {
                let (reason, shortage) = ("failed on request".to_owned(), found.shortage);
                return Ok(OperationStatus::Failed { reason, shortage });
            }
            let service = state.resource(&found.service).filter(|resource| resource.exists(now));
            Ok(OperationStatus::Succeeded(service.map(|resource| resource.service.clone())))
        })??;
        self.after_effect(Call::Poll, &conditions, status).await
    }

    fn usage(&self, _: &UsagePeriod) -> UsageStream {
        let cloud = self.clone();
        single_page(async move {
            cloud.before_effect(Call::Usage, None).await?;
            Err(cloud.error(Call::Usage, ErrorKind::Unsupported))
        })
    }
}
