//! Purchases: one part after the other, each with the order's key.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::{
    Api, Kit, Order, Parts, Product, Progress, Resource, ResourceType, State,
    order::{MAX_ORDER_BYTES, Operation, purchase_handle},
};
use crate::{
    model::{IdempotencyKey, Service, ServiceId, ServiceStatus, Shortage},
    provider::{
        Call, ErrorKind, OperationHandle, OperationStatus, ProvisionRequest, Result,
        adapters::{
            common::{RUNNING, failed},
            operation_owner::OperationOwner,
            purchase_outcome::purchase_response,
        },
    },
};

/// When this process has sent requests that make parts, by key and position. What it has not sent, another process may have sent
/// until a moment ago: then a list lag has to pass.
#[derive(Debug, Default)]
pub(super) struct Attempts(Mutex<BTreeMap<IdempotencyKey, Attempt>>);

#[derive(Debug, Clone)]
struct Attempt {
    /// Before this moment nothing further is made.
    from: Instant,
    asked: BTreeMap<usize, Instant>,
}

/// Purchases that are remembered; older ones count as those of another process.
const MAX_ATTEMPTS: usize = 10_000;

impl Attempts {
    fn with<T>(&self, key: &IdempotencyKey, from: Instant, change: impl FnOnce(&mut Attempt) -> T) -> T {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MAX_ATTEMPTS {
            all.clear();
        }
        let known = all.entry(key.clone());
        change(known.or_insert_with(|| Attempt { from, asked: BTreeMap::new() }))
    }

    /// A purchase begins here.
    fn begin(&self, key: &IdempotencyKey, at: usize) {
        let now = Instant::now();
        self.with(key, now, |attempt| attempt.asked.insert(at, now));
    }

    /// Whether a part that lists do not show may be made now. If so, the request counts as sent.
    fn may_make(&self, key: &IdempotencyKey, at: usize, lag: Duration) -> bool {
        let now = Instant::now();
        self.with(key, now.checked_add(lag).unwrap_or(now), |attempt| {
            let is_shown = |asked: &Instant| now.duration_since(*asked) >= lag;
            let may = now >= attempt.from && attempt.asked.get(&at).is_none_or(is_shown);
            if may {
                attempt.asked.insert(at, now);
            }
            may
        })
    }

    pub(super) fn forget(&self, key: &IdempotencyKey) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

/// What a look at the parts has led to.
enum Step {
    /// A request was sent; look again.
    Sent,
    /// Something is awaited.
    Wait,
    Over(OperationStatus),
}

/// What a request of a purchase under way has led to, if it is not done. What is busy is awaited, for as long as the step may take.
fn sent(outcome: Result<Progress>) -> Result<Option<Step>> {
    match outcome {
        Ok(Progress::Running) => Ok(Some(Step::Sent)),
        Ok(Progress::Done) => Ok(None),
        Err(error) if matches!(error.kind, ErrorKind::Conflict { .. }) => {
            tracing::debug!(%error, "a part is busy");
            Ok(Some(Step::Wait))
        }
        Err(error) => Err(error),
    }
}

/// Requests with an effect that one call sends, so that it ends in time.
const MAX_REQUESTS: usize = 4;

impl<A: Api> Kit<A> {
    /// Whether the kit sells this kind.
    pub(in crate::provider::adapters) fn sells(&self, request: &ProvisionRequest) -> bool {
        self.product(request.kind).is_some()
    }

    /// Makes the first part of a service.
    pub(in crate::provider::adapters) async fn provision(
        &self,
        request: &ProvisionRequest,
        key: &IdempotencyKey,
    ) -> Result<OperationHandle> {
        let call = Call::Provision;
        let unsold =
            || self.api.invalid_request(call, format!("this adapter does not sell {}", request.kind));
        let product = self.product(request.kind).ok_or_else(unsold)?;
        product.check(&self.api, request, call).await?;
        let order = Order::new(request, key);
        let handle = purchase_handle(&order).ok_or_else(|| {
            self.api.invalid_request(call, format!("the settings are longer than {MAX_ORDER_BYTES} bytes"))
        })?;
        let body = product.body(&self.api, 0, &order, &Parts::default()).await?;
        let (Some(body), Some(first)) = (body, product.parts().first()) else {
            return Err(self.api.invalid_request(call, "nothing would be made"));
        };
        self.attempts.begin(key, 0);
        purchase_response(self.api.create(*first, &order, body).await)?;
        Ok(handle)
    }

    /// The operation that goes on with a service of the kit which was found by its key.
    pub(in crate::provider::adapters) fn resume(
        &self,
        request: &ProvisionRequest,
        service: &Service,
    ) -> Option<OperationHandle> {
        let key = service.key.as_ref().filter(|_| service.status == ServiceStatus::Starting)?;
        self.target(service.id.as_str())?;
        purchase_handle(&Order::new(request, key))
    }

    /// How far an operation is; `None` for a handle of other code.
    pub(in crate::provider::adapters) async fn poll(
        &self,
        handle: &OperationHandle,
    ) -> Result<Option<OperationStatus>> {
        match self.operation(handle) {
            None => Ok(None),
            Some((Operation::Purchase(order), _)) => self.poll_purchase(&order).await.map(Some),
            Some((Operation::Release(target), owner)) => self.poll_release(&target, &owner).await.map(Some),
        }
    }

    /// How far the purchase of a service of one part is whose handle other code wrote.
    pub(in crate::provider::adapters) async fn poll_service(
        &self,
        service: &str,
        owner: &OperationOwner,
    ) -> Result<OperationStatus> {
        let missing = || self.api.error(Call::Poll, ErrorKind::NotFound { what: service.to_owned() });
        let id = ServiceId::new(service).map_err(|_| missing())?;
        let found = self.describe(&id).await?.flatten().ok_or_else(missing)?;
        if !owner.owns(found.key.as_ref()) {
            return Err(self.api.error(Call::Poll, OperationOwner::stale_operation(service)));
        }
        Ok(match found.status {
            ServiceStatus::Failed => failed("the cloud reports an error"),
            ServiceStatus::Starting => RUNNING,
            _ => OperationStatus::Succeeded(Some(found)),
        })
    }

    async fn poll_purchase(&self, order: &Order) -> Result<OperationStatus> {
        let call = Call::Poll;
        self.check_region(&order.region, call)?;
        let product = self.product(order.kind).ok_or_else(|| {
            self.api.error(
                call,
                ErrorKind::NotFound { what: format!("the product {} of this operation", order.kind) },
            )
        })?;
        for _ in 0..MAX_REQUESTS {
            match self.step(product, order).await? {
                Step::Sent => {}
                Step::Wait => return Ok(RUNNING),
                Step::Over(status) => return Ok(status),
            }
        }
        Ok(RUNNING)
    }

    /// Looks at the parts, and sends the next request.
    async fn step(&self, product: &dyn Product<A>, order: &Order) -> Result<Step> {
        let call = Call::Poll;
        let parts = self.parts(product, &order.region, &order.key, call).await?;
        for (at, sort) in product.parts().iter().enumerate() {
            if let Some(step) = self.end_double(*sort, order, parts.0.get(at)).await? {
                return Ok(step);
            }
            match parts.get(at).map(|part| &part.state) {
                Some(State::Ready) => {}
                Some(State::Pending) => return Ok(Step::Wait),
                Some(State::Ending) => {
                    return Ok(Step::Over(failed(format!("its {} is being deleted", sort.word()))));
                }
                Some(State::Failed(why)) => return Ok(Step::Over(failed(why.clone()))),
                Some(State::SoldOut) => {
                    let reason = format!("there is no capacity for the {}", sort.word());
                    let shortage = Some(Shortage::SoldOut);
                    return Ok(Step::Over(OperationStatus::Failed { reason, shortage }));
                }
                // The first part alone shows that the purchase has happened.
                None if at == 0 => return self.missing(order, sort.word()),
                None => {
                    let Some(body) = product.body(&self.api, at, order, &parts).await? else { continue };
                    if !self.attempts.may_make(&order.key, at, self.api.list_lag()) {
                        return Ok(Step::Wait);
                    }
                    let made = self.api.create(*sort, order, body).await;
                    return Ok(sent(made.map(|_| Progress::Running))?.unwrap_or(Step::Wait));
                }
            }
        }
        if let Some(step) = sent(product.connect(&self.api, order, &parts).await)? {
            return Ok(step);
        }
        let service = self.service(product, &order.region, &parts, call)?;
        self.attempts.forget(&order.key);
        Ok(Step::Over(OperationStatus::Succeeded(Some(service))))
    }

    /// The first part is in no list: it may still come, or somebody has ended it.
    fn missing(&self, order: &Order, word: &str) -> Result<Step> {
        let is_awaited = !self.attempts.may_make(&order.key, 0, self.api.list_lag());
        match is_awaited {
            true => Ok(Step::Wait),
            false => {
                let what = format!("the {word} of {}", order.key);
                Err(self.api.error(Call::Poll, ErrorKind::NotFound { what }))
            }
        }
    }

    /// Ends what was made twice: two requests of one part can both have an effect where its API takes no key.
    async fn end_double(
        &self,
        sort: A::Type,
        order: &Order,
        found: Option<&Vec<Resource>>,
    ) -> Result<Option<Step>> {
        let Some(found) = found.filter(|found| found.len() > 1) else { return Ok(None) };
        let kept = found.iter().map(|it| &it.id).min();
        for double in found.iter().filter(|it| Some(&it.id) != kept) {
            tracing::warn!(key = %order.key, id = double.id, "a {} was made twice; ending this one", sort.word());
            if double.state != State::Ending {
                self.api.delete(sort, &order.region, double).await?;
            }
        }
        Ok(Some(Step::Wait))
    }
}
