//! A provider whose calls the host answers through callbacks, as JSON. C and Python hosts write their own providers so.
//!
//! | call | arguments | reply |
//! |---|---|---|
//! | `offers` | `filter` | `rows`, as in a price table; text instead of a row says why there is none |
//! | `quote` | `request` | a quote |
//! | `dry_run` | `requests` | `refusals`: of each the positions of its `requests`, and `kind` and `message` as in an error |
//! | `reserve` | `request`, `key` | `until` |
//! | `unreserve` | `key` | an empty object |
//! | `provision` | `request`, `key` | `operation` |
//! | `resume_operation` | `request`, `service` as the host returned it | `operation`, or null |
//! | `find_by_key` | `key` | `service`, or null |
//! | `describe` | `service` | `service`, or null |
//! | `services` | | `services` |
//! | `act` | `service`, `action`, `key` | `operation` |
//! | `access` | `service` | `values`: texts by name, such as `user` and `password` |
//! | `release` | `service`, `key` | `operation` |
//! | `poll` | `operation` | `status`: `running`, `succeeded` with `service`, or `failed` with `reason` and `shortage`: `sold_out`, `quota`, `unavailable` or none |
//! | `usage` | `period` | `records` |
//!
//! Any call may reply with `error` instead: `kind` (see [`ErrorKind::word`]), `message`, `retry_after_ms`.

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
use secrecy::SecretString;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    Access, Call, Capabilities, ErrorContext, ErrorKind, OfferFilter, OfferStream, OperationHandle,
    OperationStatus, Provider, ProviderError, ProvisionRequest, Quote, Refusal, RejectedRow, Result,
    ServiceStream, StreamLimits, UsagePeriod, UsageStream,
    sanitise::foreign_text,
    table::{ProviderDocument, Table},
};
use crate::{
    model::{
        Action, DocumentError, IdempotencyKey, Place, ProviderId, RegionId, Service, ServiceId,
        ServiceStatus, Shortage, SkuId, UsageRecord, ZoneId,
    },
    threads::{self, BlockingError},
};

/// Bytes of one reply, as of all pages of an HTTP list.
const MAX_REPLY_BYTES: usize = 256 << 20;

/// The host's callback.
pub trait ProviderCallbacks: fmt::Debug + Send + Sync + 'static {
    /// Answers one call, from JSON to JSON. The callback may block: it runs on a thread of its own.
    ///
    /// # Errors
    /// A message for logs. After a failed mutation the outcome is unknown, and the library looks the key up.
    fn call(&self, call: Call, request: &str) -> Result<String, String>;
}

/// Describes a provider that the host implements.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CallbackDescription {
    /// The seller, and its regions.
    pub provider: ProviderDocument,
    /// The implemented calls, and their idempotency.
    pub capabilities: Capabilities,
}

/// A provider that the host implements by callbacks. Cheap to clone.
#[derive(Debug, Clone)]
pub struct CallbackProvider {
    facts: Arc<ProviderDocument>,
    capabilities: Arc<Capabilities>,
    calls: Arc<dyn ProviderCallbacks>,
    rejected: Arc<Mutex<Vec<RejectedRow>>>,
}

/// A service in a reply. Seller and country follow from the description.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CallbackService {
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

impl CallbackService {
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
enum StatusReply {
    Running {
        #[serde(default)]
        percent: Option<u8>,
    },
    Succeeded {
        #[serde(deserialize_with = "Option::deserialize")]
        service: Option<CallbackService>,
    },
    Failed {
        reason: String,
        #[serde(default)]
        shortage: Option<Shortage>,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ErrorReply {
    kind: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    retry_after_ms: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OffersReply {
    /// Parsed one by one.
    rows: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RefusalReply {
    requests: Vec<usize>,
    kind: String,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DryRunReply {
    refusals: Vec<RefusalReply>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReserveReply {
    until: Timestamp,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OperationReply {
    operation: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ResumeReply {
    #[serde(deserialize_with = "Option::deserialize")]
    operation: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ServiceReply {
    /// Required: a missing field is an error, null is none.
    #[serde(deserialize_with = "Option::deserialize")]
    service: Option<CallbackService>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ServicesReply {
    services: Vec<CallbackService>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UsageReply {
    records: Vec<UsageRecord>,
}

impl CallbackProvider {
    /// A provider whose calls the host answers.
    ///
    /// # Errors
    /// [`DocumentError`] names the fault of the description, such as two regions of one name.
    pub fn new(
        description: CallbackDescription,
        calls: Arc<dyn ProviderCallbacks>,
    ) -> Result<Self, DocumentError> {
        let CallbackDescription { provider, capabilities } = description;
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
        self.error(call, ErrorKind::Protocol { message: foreign_text(&error.to_string()) })
    }

    /// Calls the host on a thread that may block. A dropped call goes on there.
    async fn invoke<T: DeserializeOwned>(
        &self,
        call: Call,
        request: &Value,
        sku: Option<&SkuId>,
    ) -> Result<T> {
        if !self.capabilities.can(call) {
            return Err(self.error(call, ErrorKind::Unsupported));
        }
        let (calls, request) = (self.calls.clone(), request.to_string());
        let text = match threads::spawn_blocking(move || calls.call(call, &request)).await {
            Ok(Ok(text)) => text,
            Ok(Err(words)) => return Err(self.outcome_unknown(call, foreign_text(&words))),
            Err(BlockingError::NoThread) => {
                return Err(self.error(call, ErrorKind::not_sent(BlockingError::NoThread.to_string())));
            }
            // The callback panicked, or the runtime shuts down.
            Err(error) => return Err(self.outcome_unknown(call, foreign_text(&error.to_string()))),
        };
        if text.len() > MAX_REPLY_BYTES {
            return Err(self.protocol_error(
                call,
                &format!("the reply has more than {} MiB; return less", MAX_REPLY_BYTES >> 20),
            ));
        }
        let value: Value = serde_json::from_str(&text).map_err(|error| self.protocol_error(call, &error))?;
        if !value.is_object() {
            return Err(self.protocol_error(call, &"the reply is not a JSON object"));
        }
        match value.get("error") {
            Some(error) => {
                let error =
                    ErrorReply::deserialize(error).map_err(|error| self.protocol_error(call, &error))?;
                Err(self.error(call, error_kind(error, sku)))
            }
            None => T::deserialize(value).map_err(|error| self.protocol_error(call, &error)),
        }
    }

    fn check_settings(&self, call: Call, request: &ProvisionRequest) -> Result<()> {
        self.capabilities
            .check_settings(request.kind, &request.settings)
            .map_err(|kind| self.error(call, kind))
    }

    fn outcome_unknown(&self, call: Call, words: String) -> ProviderError {
        let kind = match call.is_mutation() {
            true => ErrorKind::Ambiguous,
            false => ErrorKind::unavailable(words.clone()),
        };
        self.error(call, kind).with_source(ErrorContext::new(words))
    }

    /// A list within the limits of every list; the time includes the callback's own.
    fn bounded_list<T: Send + 'static>(
        &self,
        bounds: StreamLimits,
        call: Call,
        list: impl Future<Output = Result<Vec<Result<T>>>> + Send + 'static,
    ) -> BoxStream<'static, Result<T>> {
        bounds.apply(&self.facts.id, call, list.map_ok(stream::iter).try_flatten_stream())
    }

    async fn invoke_operation(
        &self,
        call: Call,
        request: &Value,
        sku: Option<&SkuId>,
    ) -> Result<OperationHandle> {
        let begun: OperationReply = self.invoke(call, request, sku).await?;
        Ok(OperationHandle::new(begun.operation))
    }

    fn service(&self, call: Call, reply: CallbackService) -> Result<Service> {
        let region = self.facts.regions.iter().find(|region| region.id == reply.region);
        let unknown = || {
            self.protocol_error(
                call,
                &format!("{} is in {}, which is not a region of the description", reply.id, reply.region),
            )
        };
        let country = region.ok_or_else(unknown)?.country;
        Ok(Service {
            id: reply.id,
            provider: self.facts.id.clone(),
            key: reply.key,
            sku: reply.sku,
            place: Place {
                provider: self.facts.id.clone(),
                region: reply.region,
                zone: reply.zone,
                country,
                coordinates: None,
            },
            status: reply.status,
            attributes: reply.attributes,
        })
    }

    async fn invoke_lookup(&self, call: Call, request: &Value) -> Result<Option<Service>> {
        let found: ServiceReply = self.invoke(call, request, None).await?;
        found.service.map(|service| self.service(call, service)).transpose()
    }
}

/// The kind of an error reply. An unknown kind is a protocol error, after which the call may have had its effect.
fn error_kind(error: ErrorReply, sku: Option<&SkuId>) -> ErrorKind {
    let ErrorReply { kind, message, retry_after_ms } = error;
    let (message, retry_after) = (foreign_text(&message), retry_after_ms.map(Duration::from_millis));
    match kind.as_str() {
        "invalid_request" => ErrorKind::InvalidRequest { message },
        "unauthorised" => ErrorKind::Unauthorised,
        "forbidden" => ErrorKind::Forbidden,
        "not_found" => ErrorKind::NotFound {
            what: if message.is_empty() { "the requested resource".to_owned() } else { message },
        },
        "conflict" => ErrorKind::Conflict { message },
        "quota_exceeded" => ErrorKind::QuotaExceeded { quota: message },
        "capacity_exhausted" => match sku {
            Some(sku) => ErrorKind::CapacityExhausted { sku: sku.clone() },
            None => ErrorKind::Conflict { message: "no capacity is left; compose again".to_owned() },
        },
        "rate_limited" => ErrorKind::RateLimited { retry_after },
        "unavailable" => ErrorKind::Unavailable { retry_after, cause: message },
        "not_sent" => ErrorKind::NotSent { cause: message },
        "ambiguous" => ErrorKind::Ambiguous,
        "unsupported" => ErrorKind::Unsupported,
        _ => ErrorKind::Protocol { message: foreign_text(&format!("{kind}: {message}")) },
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)] // a call that is new in the contract must reach hosts, too
impl Provider for CallbackProvider {
    fn id(&self) -> &ProviderId {
        &self.facts.id
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    // The library holds no credentials of a host's own provider.
    fn redacted(&self, text: &str, _is_for_people: bool) -> String {
        text.to_owned()
    }

    /// The layer `Redact` withholds them.
    fn withhold(&self, _: &[SecretString]) {}

    fn offers(&self, filter: &OfferFilter) -> OfferStream {
        let (this, filter) = (self.clone(), filter.clone());
        self.bounded_list(StreamLimits::LONG_LIST, Call::Offers, async move {
            let call = Call::Offers;
            let OffersReply { rows } = this.invoke(call, &json!({ "filter": filter }), None).await?;
            if rows.len() > StreamLimits::LIST.items {
                let message =
                    format!("the reply has more than {} rows; return fewer", StreamLimits::LIST.items);
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
        self.invoke(Call::Quote, &json!({ "request": request }), Some(&request.sku)).await
    }

    async fn dry_run(&self, requests: &[ProvisionRequest]) -> Result<Vec<Refusal>> {
        let call = Call::DryRun;
        let reply: DryRunReply = self.invoke(call, &json!({ "requests": requests }), None).await?;
        let refusal = |RefusalReply { requests: refused, kind, message }| {
            let first = refused.first().and_then(|at| requests.get(*at));
            if first.is_none() || refused.iter().any(|at| *at >= requests.len()) {
                return Err(self.protocol_error(call, &"a refusal is about a request that was not made"));
            }
            let error = ErrorReply { kind, message, retry_after_ms: None };
            let kind = error_kind(error, first.map(|request| &request.sku));
            Ok(Refusal { requests: refused, error: self.error(Call::Provision, kind) })
        };
        reply.refusals.into_iter().map(refusal).collect()
    }

    async fn reserve(&self, request: &ProvisionRequest, key: &IdempotencyKey) -> Result<Timestamp> {
        self.check_settings(Call::Reserve, request)?;
        let arguments = json!({ "request": request, "key": key });
        let ReserveReply { until } = self.invoke(Call::Reserve, &arguments, Some(&request.sku)).await?;
        Ok(until)
    }

    async fn unreserve(&self, key: &IdempotencyKey) -> Result<()> {
        self.invoke::<Value>(Call::Unreserve, &json!({ "key": key }), None).await.map(drop)
    }

    async fn provision(&self, request: &ProvisionRequest, key: &IdempotencyKey) -> Result<OperationHandle> {
        self.check_settings(Call::Provision, request)?;
        let arguments = json!({ "request": request, "key": key });
        self.invoke_operation(Call::Provision, &arguments, Some(&request.sku)).await
    }

    async fn resume_operation(
        &self,
        request: &ProvisionRequest,
        service: &Service,
    ) -> Result<Option<OperationHandle>> {
        let arguments = json!({ "request": request, "service": CallbackService::of(service) });
        let ResumeReply { operation } =
            self.invoke(Call::ResumeOperation, &arguments, Some(&request.sku)).await?;
        Ok(operation.map(OperationHandle::new))
    }

    async fn find_by_key(&self, key: &IdempotencyKey) -> Result<Option<Service>> {
        self.invoke_lookup(Call::FindByKey, &json!({ "key": key })).await
    }

    async fn describe(&self, service: &ServiceId) -> Result<Option<Service>> {
        self.invoke_lookup(Call::Describe, &json!({ "service": service })).await
    }

    fn services(&self) -> ServiceStream {
        let this = self.clone();
        self.bounded_list(StreamLimits::LIST, Call::Services, async move {
            let call = Call::Services;
            // An unreadable service fails the list: without it, the service would look released.
            let ServicesReply { services } = this.invoke(call, &json!({}), None).await?;
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
        let arguments = json!({ "service": service, "action": action, "key": key });
        self.invoke_operation(Call::Act, &arguments, sku).await
    }

    async fn access(&self, service: &ServiceId) -> Result<Access> {
        let call = Call::Access;
        let reply: Value = self.invoke(call, &json!({ "service": service }), None).await?;
        // No part of the reply may stand in an error.
        let Some(Value::Object(values)) = reply.get("values") else {
            return Err(self.protocol_error(call, &"the reply has no `values`"));
        };
        let mut access = Access::default();
        for (name, value) in values {
            let Value::String(value) = value else {
                return Err(self.protocol_error(call, &"a value is not a text"));
            };
            access = access.with(foreign_text(name), value.clone());
        }
        Ok(access)
    }

    async fn release(&self, service: &ServiceId, key: &IdempotencyKey) -> Result<OperationHandle> {
        self.invoke_operation(Call::Release, &json!({ "service": service, "key": key }), None).await
    }

    async fn poll(&self, operation: &OperationHandle) -> Result<OperationStatus> {
        let call = Call::Poll;
        Ok(match self.invoke(call, &json!({ "operation": operation }), None).await? {
            StatusReply::Running { percent } => OperationStatus::Running { percent },
            StatusReply::Succeeded { service } => {
                let service = service.map(|service| self.service(call, service)).transpose()?;
                OperationStatus::Succeeded(service)
            }
            StatusReply::Failed { reason, shortage } => {
                OperationStatus::Failed { reason: foreign_text(&reason), shortage }
            }
        })
    }

    fn usage(&self, period: &UsagePeriod) -> UsageStream {
        let (this, period) = (self.clone(), *period);
        self.bounded_list(StreamLimits::LONG_LIST, Call::Usage, async move {
            let UsageReply { records } = this.invoke(Call::Usage, &json!({ "period": period }), None).await?;
            Ok(records.into_iter().map(Ok).collect())
        })
    }
}
