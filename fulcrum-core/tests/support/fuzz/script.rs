//! A cloud that is a sandbox, and whose calls fail as an input says: before their effect, after it, or for good.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use fulcrum_core::{
    model::{IdempotencyKey, ProviderId, Service, ServiceId},
    provider::{
        Action, Call, Capabilities, ErrorKind, OfferFilter, OfferStream, OperationHandle, OperationStatus,
        Provider, ProviderError, ProvisionRequest, Quote, Refusal, RejectedRow, Result, ServiceStream,
        UsagePeriod, UsageStream, sandbox::Sandbox,
    },
};
use futures::{StreamExt, stream};
use jiff::Timestamp;

/// Calls that one input may lead to, in all.
const MOST_CALLS: usize = 4_000;

/// What is to go wrong, call by call; then nothing does.
#[derive(Debug, Clone, Default)]
pub struct Script {
    inner: Arc<Mutex<Lines>>,
}

#[derive(Debug, Default)]
struct Lines {
    fates: Vec<u8>,
    next: usize,
    calls: usize,
}

impl Script {
    pub fn new(fates: &[u8]) -> Self {
        let fates = fates.to_vec();
        Self { inner: Arc::new(Mutex::new(Lines { fates, ..Lines::default() })) }
    }

    /// Nothing goes wrong any more.
    pub fn end(&self) {
        self.inner.lock().expect("nobody panics").fates.clear();
    }

    fn fate(&self) -> u8 {
        let mut lines = self.inner.lock().expect("nobody panics");
        lines.calls += 1;
        assert!(lines.calls < MOST_CALLS, "it calls for ever");
        let fate = lines.fates.get(lines.next).copied().unwrap_or_default();
        lines.next += 1;
        fate
    }
}

#[derive(Debug)]
pub struct Scripted {
    pub inner: Sandbox,
    pub script: Script,
}

/// How a call goes wrong.
enum Fate {
    Well,
    Before(ErrorKind),
    After,
}

impl Scripted {
    fn fate(&self, call: Call) -> Fate {
        let retry_after = Some(Duration::from_secs(3));
        Fate::Before(match self.script.fate() {
            0..128 => return Fate::Well,
            128..148 => {
                return if call.is_mutation() {
                    Fate::After
                } else {
                    Fate::Before(ErrorKind::unavailable(""))
                };
            }
            148..164 if call.is_mutation() => ErrorKind::Ambiguous,
            148..164 => ErrorKind::unavailable("it rests"),
            164..180 => ErrorKind::not_sent("nobody is there"),
            180..192 => ErrorKind::RateLimited { retry_after },
            192..200 => ErrorKind::Unavailable { retry_after, cause: String::new() },
            200..208 => ErrorKind::Unauthorised,
            208..212 => ErrorKind::Forbidden,
            212..220 => ErrorKind::QuotaExceeded { quota: "services".to_owned() },
            220..232 => ErrorKind::CapacityExhausted { sku: "small".parse().expect("a name") },
            232..238 => ErrorKind::InvalidRequest { message: "no".to_owned() },
            238..244 => ErrorKind::Conflict { message: "busy".to_owned() },
            244..250 => ErrorKind::Protocol { message: "nonsense".to_owned() },
            250..254 => ErrorKind::Unsupported,
            _ => ErrorKind::NotFound { what: "it".to_owned() },
        })
    }

    fn error(&self, call: Call, kind: ErrorKind) -> ProviderError {
        ProviderError::new(self.inner.id().clone(), call, kind)
    }

    async fn meet<T>(&self, call: Call, done: impl Future<Output = Result<T>> + Send) -> Result<T> {
        match self.fate(call) {
            Fate::Well => done.await,
            Fate::Before(kind) => Err(self.error(call, kind)),
            Fate::After => {
                done.await?;
                Err(self.error(call, ErrorKind::Ambiguous))
            }
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Provider for Scripted {
    fn id(&self) -> &ProviderId {
        self.inner.id()
    }

    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }

    fn offers(&self, filter: &OfferFilter) -> OfferStream {
        match self.fate(Call::Offers) {
            Fate::Well | Fate::After => self.inner.offers(filter),
            Fate::Before(kind) => stream::iter([Err(self.error(Call::Offers, kind))]).boxed(),
        }
    }

    fn rejected(&self) -> Vec<RejectedRow> {
        self.inner.rejected()
    }
    fn redacted(&self, text: &str, is_for_people: bool) -> String {
        self.inner.redacted(text, is_for_people)
    }

    async fn quote(&self, request: &ProvisionRequest) -> Result<Quote> {
        self.meet(Call::Quote, self.inner.quote(request)).await
    }

    async fn dry_run(&self, requests: &[ProvisionRequest]) -> Result<Vec<Refusal>> {
        self.meet(Call::DryRun, self.inner.dry_run(requests)).await
    }

    async fn reserve(&self, request: &ProvisionRequest, key: &IdempotencyKey) -> Result<Timestamp> {
        self.meet(Call::Reserve, self.inner.reserve(request, key)).await
    }

    async fn unreserve(&self, key: &IdempotencyKey) -> Result<()> {
        self.meet(Call::Unreserve, self.inner.unreserve(key)).await
    }

    async fn provision(&self, request: &ProvisionRequest, key: &IdempotencyKey) -> Result<OperationHandle> {
        self.meet(Call::Provision, self.inner.provision(request, key)).await
    }

    async fn resume_operation(
        &self,
        request: &ProvisionRequest,
        service: &Service,
    ) -> Result<Option<OperationHandle>> {
        self.inner.resume_operation(request, service).await
    }

    async fn find_by_key(&self, key: &IdempotencyKey) -> Result<Option<Service>> {
        self.meet(Call::FindByKey, self.inner.find_by_key(key)).await
    }

    async fn describe(&self, service: &ServiceId) -> Result<Option<Service>> {
        self.meet(Call::Describe, self.inner.describe(service)).await
    }

    fn services(&self) -> ServiceStream {
        match self.fate(Call::Services) {
            Fate::Well | Fate::After => self.inner.services(),
            Fate::Before(kind) => stream::iter([Err(self.error(Call::Services, kind))]).boxed(),
        }
    }

    async fn act(
        &self,
        service: &ServiceId,
        action: &Action,
        key: &IdempotencyKey,
    ) -> Result<OperationHandle> {
        self.meet(Call::Act, self.inner.act(service, action, key)).await
    }

    fn withhold(&self, secrets: &[secrecy::SecretString]) {
        self.inner.withhold(secrets);
    }
    async fn access(&self, service: &ServiceId) -> Result<fulcrum_core::provider::Access> {
        self.inner.access(service).await
    }

    async fn release(&self, service: &ServiceId, key: &IdempotencyKey) -> Result<OperationHandle> {
        self.meet(Call::Release, self.inner.release(service, key)).await
    }

    async fn poll(&self, operation: &OperationHandle) -> Result<OperationStatus> {
        self.meet(Call::Poll, self.inner.poll(operation)).await
    }

    fn usage(&self, period: &UsagePeriod) -> UsageStream {
        self.inner.usage(period)
    }
}
