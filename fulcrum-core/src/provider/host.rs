//! A provider that the host has written in another language: calls go out as JSON and come back as JSON. The C library and
//! the Python module are made of it.
//!
//! | call | asks | answers |
//! |---|---|---|
//! | `offers` | `filter` | `rows`, as in a price table; text instead of a row says why there is none |
//! | `quote` | `request` | a quote |
//! | `reserve` | `request`, `key` | `until` |
//! | `provision` | `request`, `key` | `operation` |
//! | `resume_operation` | `request`, `service` with all that the host has told of it | `operation`, or null |
//! | `find_by_key` | `key` | `service`, or null |
//! | `describe` | `service` | `service`, or null |
//! | `services` | | `services` |
//! | `act` | `service`, `action`, `key` | `operation` |
//! | `release` | `service`, `key` | `operation` |
//! | `poll` | `operation` | `status`: `running`, `succeeded` with `service`, or `failed` with `reason` and `shortage`: `sold_out`, `quota`, `unavailable` or none |
//! | `usage` | `period` | `records` |
//!
//! Instead of an answer any call may say `error`: `kind` (the words of [`ErrorKind::word`]), `message`, `retry_after_ms`.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use futures::{
    TryFutureExt,
    stream::{self, BoxStream},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    Bounds, Call, Capabilities, ErrorKind, OfferFilter, OfferStream, OperationHandle, OperationStatus,
    Provider, ProviderError, ProvisionRequest, Quote, RejectedRow, Result, ServiceStream, UsagePeriod,
    UsageStream, Worded,
    table::{ProviderDocument, Table},
};
use crate::{
    model::{
        Action, DocumentError, IdempotencyKey, Place, ProviderId, RegionId, Service, ServiceId,
        ServiceStatus, Shortage, SkuId, UsageRecord, ZoneId,
    },
    threads::{self, BlockingError},
};

/// Characters of a host's words that are kept.
const LONGEST: usize = 500;
/// Bytes of one answer, as of all pages of a list by HTTP.
const MAX_BYTES: usize = 256 << 20;

/// What the host does when it is called.
pub trait HostCalls: fmt::Debug + Send + Sync + 'static {
    /// Answers one call, from JSON to JSON. It may wait: it has a thread of its own.
    ///
    /// # Errors
    /// Words for logs. What a call that changes something has done is unknown then, and is looked for by its key.
    fn call(&self, call: Call, request: &str) -> Result<String, String>;
}

/// Who sells, and what the host can do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HostDescription {
    /// Who, and where the regions are.
    pub provider: ProviderDocument,
    /// Which calls are answered, and what repeating them does.
    pub capabilities: Capabilities,
}

/// A provider of the host's own. Cheap to clone.
#[derive(Debug, Clone)]
pub struct HostProvider {
    facts: Arc<ProviderDocument>,
    capabilities: Arc<Capabilities>,
    calls: Arc<dyn HostCalls>,
    rejected: Arc<Mutex<Vec<RejectedRow>>>,
}

/// A service as a host tells it: who sells it, and in which country that is, follows from the description.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HostService {
    id: ServiceId,
    #[serde(default)]
    key: Option<IdempotencyKey>,
    sku: SkuId,
    region: RegionId,
    #[serde(default)]
    zone: Option<ZoneId>,
    status: ServiceStatus,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
}

impl HostService {
    fn of(service: &Service) -> Self {
        Self {
            id: service.id.clone(),
            key: service.key.clone(),
            sku: service.sku.clone(),
            region: service.place.region.clone(),
            zone: service.place.zone.clone(),
            status: service.status,
            attributes: service.attributes.clone(),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", tag = "status", deny_unknown_fields)]
enum HostStatus {
    Running {
        #[serde(default)]
        percent: Option<u8>,
    },
    Succeeded {
        #[serde(deserialize_with = "Option::deserialize")]
        service: Option<HostService>,
    },
    Failed {
        reason: String,
        #[serde(default)]
        shortage: Option<Shortage>,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HostError {
    kind: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    retry_after_ms: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rows {
    /// Read one by one.
    rows: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Held {
    until: Timestamp,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Begun {
    operation: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Resumed {
    #[serde(deserialize_with = "Option::deserialize")]
    operation: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Found {
    /// What is left out is not the same as nothing.
    #[serde(deserialize_with = "Option::deserialize")]
    service: Option<HostService>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    services: Vec<HostService>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Records {
    records: Vec<UsageRecord>,
}

impl HostProvider {
    /// A provider whose calls the host answers.
    ///
    /// # Errors
    /// [`DocumentError`] names what is wrong with the description, such as two regions of one name.
    pub fn new(description: HostDescription, calls: Arc<dyn HostCalls>) -> Result<Self, DocumentError> {
        let HostDescription { provider, capabilities } = description;
        provider.check()?;
        if !provider.offers.is_empty() {
            return Err(DocumentError::at("provider.offers", "leave it out; the call `offers` tells them"));
        }
        let (facts, capabilities) = (Arc::new(provider), Arc::new(capabilities));
        Ok(Self { facts, capabilities, calls, rejected: Arc::default() })
    }

    fn error(&self, call: Call, kind: ErrorKind) -> ProviderError {
        ProviderError::new(self.facts.id.clone(), call, kind)
    }

    fn protocol_error(&self, call: Call, error: &dyn fmt::Display) -> ProviderError {
        self.error(call, ErrorKind::Protocol { message: cut(&error.to_string()) })
    }

    /// Asks the host on a thread that may wait. A call that is dropped goes on there.
    async fn ask<T: DeserializeOwned>(&self, call: Call, request: &Value, sku: Option<&SkuId>) -> Result<T> {
        if !self.capabilities.can(call) {
            return Err(self.error(call, ErrorKind::Unsupported));
        }
        let (calls, request) = (self.calls.clone(), request.to_string());
        let text = match threads::spawn_blocking(move || calls.call(call, &request)).await {
            Ok(Ok(text)) => text,
            Ok(Err(words)) => return Err(self.unknown(call, cut(&words))),
            Err(BlockingError::NoThread) => {
                return Err(self.error(call, ErrorKind::not_sent(BlockingError::NoThread.to_string())));
            }
            // It panicked, or the program ends.
            Err(error) => return Err(self.unknown(call, cut(&error.to_string()))),
        };
        if text.len() > MAX_BYTES {
            return Err(
                self.protocol_error(call, &format!("its answer has more than {} MiB", MAX_BYTES >> 20))
            );
        }
        let value: Value = serde_json::from_str(&text).map_err(|error| self.protocol_error(call, &error))?;
        if !value.is_object() {
            return Err(self.protocol_error(call, &"it is no object"));
        }
        match value.get("error") {
            Some(error) => {
                let error =
                    HostError::deserialize(error).map_err(|error| self.protocol_error(call, &error))?;
                Err(self.error(call, kind_of(error, sku)))
            }
            None => T::deserialize(value).map_err(|error| self.protocol_error(call, &error)),
        }
    }

    fn check_settings(&self, call: Call, request: &ProvisionRequest) -> Result<()> {
        self.capabilities.check_settings(&request.settings).map_err(|kind| self.error(call, kind))
    }

    fn unknown(&self, call: Call, words: String) -> ProviderError {
        let kind = match call.is_mutation() {
            true => ErrorKind::Ambiguous,
            false => ErrorKind::unavailable(words.clone()),
        };
        self.error(call, kind).with_source(Worded::new(words))
    }

    /// A list of the host's within the bounds of every list; the time counts while the host works on it.
    fn list<T: Send + 'static>(
        &self,
        bounds: Bounds,
        call: Call,
        list: impl Future<Output = Result<Vec<Result<T>>>> + Send + 'static,
    ) -> BoxStream<'static, Result<T>> {
        bounds.of(&self.facts.id, call, list.map_ok(stream::iter).try_flatten_stream())
    }

    async fn begin(&self, call: Call, request: &Value, sku: Option<&SkuId>) -> Result<OperationHandle> {
        let begun: Begun = self.ask(call, request, sku).await?;
        Ok(OperationHandle::new(begun.operation))
    }

    fn service(&self, call: Call, told: HostService) -> Result<Service> {
        let region = self.facts.regions.iter().find(|region| region.id == told.region);
        let unknown = || {
            self.protocol_error(call, &format!("{} is in {}, which is no region of it", told.id, told.region))
        };
        let country = region.ok_or_else(unknown)?.country;
        Ok(Service {
            id: told.id,
            provider: self.facts.id.clone(),
            key: told.key,
            sku: told.sku,
            place: Place {
                provider: self.facts.id.clone(),
                region: told.region,
                zone: told.zone,
                country,
                coordinates: None,
            },
            status: told.status,
            attributes: told.attributes,
        })
    }

    async fn found(&self, call: Call, request: &Value) -> Result<Option<Service>> {
        let found: Found = self.ask(call, request, None).await?;
        found.service.map(|service| self.service(call, service)).transpose()
    }
}

/// What a host's word stands for. One that is none breaks the contract, and may have had its effect.
fn kind_of(error: HostError, sku: Option<&SkuId>) -> ErrorKind {
    let HostError { kind, message, retry_after_ms } = error;
    let (message, retry_after) = (cut(&message), retry_after_ms.map(Duration::from_millis));
    match kind.as_str() {
        "invalid_request" => ErrorKind::InvalidRequest { message },
        "unauthorised" => ErrorKind::Unauthorised,
        "forbidden" => ErrorKind::Forbidden,
        "not_found" => {
            ErrorKind::NotFound { what: if message.is_empty() { "it".to_owned() } else { message } }
        }
        "conflict" => ErrorKind::Conflict { message },
        "quota_exceeded" => ErrorKind::QuotaExceeded { quota: message },
        "capacity_exhausted" => match sku {
            Some(sku) => ErrorKind::CapacityExhausted { sku: sku.clone() },
            None => ErrorKind::Conflict { message: "no capacity is left".to_owned() },
        },
        "rate_limited" => ErrorKind::RateLimited { retry_after },
        "unavailable" => ErrorKind::Unavailable { retry_after, cause: message },
        "not_sent" => ErrorKind::NotSent { cause: message },
        "ambiguous" => ErrorKind::Ambiguous,
        "unsupported" => ErrorKind::Unsupported,
        _ => ErrorKind::Protocol { message: cut(&format!("{kind}: {message}")) },
    }
}

fn cut(words: &str) -> String {
    super::words::plain(words, LONGEST)
}

#[async_trait]
impl Provider for HostProvider {
    fn id(&self) -> &ProviderId {
        &self.facts.id
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn offers(&self, filter: &OfferFilter) -> OfferStream {
        let (this, filter) = (self.clone(), filter.clone());
        self.list(Bounds::LONG_LIST, Call::Offers, async move {
            let call = Call::Offers;
            let Rows { rows } = this.ask(call, &json!({ "filter": filter }), None).await?;
            if rows.len() > Bounds::LIST.items {
                let message = format!("its list has more than {} rows", Bounds::LIST.items);
                return Err(this.protocol_error(call, &message));
            }
            let mut table =
                Table::from_values(&this.facts, rows).map_err(|error| this.protocol_error(call, &error))?;
            let rejected = std::mem::take(&mut table.rejected);
            *this.rejected.lock().unwrap_or_else(PoisonError::into_inner) = rejected;
            Ok(table.into_listed().into_iter().filter(|offer| filter.admits(offer)).map(Ok).collect())
        })
    }

    fn rejected(&self) -> Vec<RejectedRow> {
        self.rejected.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn quote(&self, request: &ProvisionRequest) -> Result<Quote> {
        self.check_settings(Call::Quote, request)?;
        self.ask(Call::Quote, &json!({ "request": request }), Some(&request.sku)).await
    }

    async fn reserve(&self, request: &ProvisionRequest, key: &IdempotencyKey) -> Result<Timestamp> {
        self.check_settings(Call::Reserve, request)?;
        let ask = json!({ "request": request, "key": key });
        let Held { until } = self.ask(Call::Reserve, &ask, Some(&request.sku)).await?;
        Ok(until)
    }

    async fn unreserve(&self, key: &IdempotencyKey) -> Result<()> {
        self.ask::<Value>(Call::Unreserve, &json!({ "key": key }), None).await.map(drop)
    }

    async fn provision(&self, request: &ProvisionRequest, key: &IdempotencyKey) -> Result<OperationHandle> {
        self.check_settings(Call::Provision, request)?;
        let ask = json!({ "request": request, "key": key });
        self.begin(Call::Provision, &ask, Some(&request.sku)).await
    }

    async fn resume_operation(
        &self,
        request: &ProvisionRequest,
        service: &Service,
    ) -> Result<Option<OperationHandle>> {
        let ask = json!({ "request": request, "service": HostService::of(service) });
        let Resumed { operation } = self.ask(Call::ResumeOperation, &ask, Some(&request.sku)).await?;
        Ok(operation.map(OperationHandle::new))
    }

    async fn find_by_key(&self, key: &IdempotencyKey) -> Result<Option<Service>> {
        self.found(Call::FindByKey, &json!({ "key": key })).await
    }

    async fn describe(&self, service: &ServiceId) -> Result<Option<Service>> {
        self.found(Call::Describe, &json!({ "service": service })).await
    }

    fn services(&self) -> ServiceStream {
        let this = self.clone();
        self.list(Bounds::LIST, Call::Services, async move {
            let call = Call::Services;
            // A service that cannot be read fails the list: left out, it would pass for one that is gone.
            let Listed { services } = this.ask(call, &json!({}), None).await?;
            Ok(services.into_iter().map(|service| this.service(call, service)).collect())
        })
    }

    async fn act(
        &self,
        service: &ServiceId,
        action: &Action,
        key: &IdempotencyKey,
    ) -> Result<OperationHandle> {
        let sku = if let Action::Resize { sku } = action { Some(sku) } else { None };
        let ask = json!({ "service": service, "action": action, "key": key });
        self.begin(Call::Act, &ask, sku).await
    }

    async fn release(&self, service: &ServiceId, key: &IdempotencyKey) -> Result<OperationHandle> {
        self.begin(Call::Release, &json!({ "service": service, "key": key }), None).await
    }

    async fn poll(&self, operation: &OperationHandle) -> Result<OperationStatus> {
        let call = Call::Poll;
        Ok(match self.ask(call, &json!({ "operation": operation }), None).await? {
            HostStatus::Running { percent } => OperationStatus::Running { percent },
            HostStatus::Succeeded { service } => {
                let service = service.map(|service| self.service(call, service)).transpose()?;
                OperationStatus::Succeeded(service)
            }
            HostStatus::Failed { reason, shortage } => {
                OperationStatus::Failed { reason: cut(&reason), shortage }
            }
        })
    }

    fn usage(&self, period: &UsagePeriod) -> UsageStream {
        let (this, period) = (self.clone(), *period);
        self.list(Bounds::LONG_LIST, Call::Usage, async move {
            let Records { records } = this.ask(Call::Usage, &json!({ "period": period }), None).await?;
            Ok(records.into_iter().map(Ok).collect())
        })
    }
}
