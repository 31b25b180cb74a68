//! The contract between a cloud and the library.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::{Access, Call, Capabilities, ErrorKind, ProviderError, Result, single_line};
use crate::model::{
    Action, IdempotencyKey, Offer, OfferKind, Place, Price, ProviderId, PurchaseOption, RegionId, Service,
    ServiceId, Settings, Shortage, SkuId, Surcharge, UsageRecord, setting_text,
};

/// A stream of offers.
pub type OfferStream = BoxStream<'static, Result<Offer>>;
/// A stream of services.
pub type ServiceStream = BoxStream<'static, Result<Service>>;
/// A stream of usage records.
pub type UsageStream = BoxStream<'static, Result<UsageRecord>>;

/// One independent cloud behind one API.
///
/// A provider implements the calls that its [`Capabilities`] declare. All others return
/// [`Unsupported`](super::ErrorKind::Unsupported) by default.
///
/// A wrapper must forward every call: a forgotten one would turn into the default. Put
/// `#[deny(clippy::missing_trait_methods)]` on its `impl`; this repository's tests demand that of each wrapper.
///
/// Dropping the future of a call that changes state leaves its outcome unknown; only
/// [`find_by_key`](Self::find_by_key) can tell.
#[async_trait]
pub trait Provider: fmt::Debug + Send + Sync + 'static {
    /// The provider's id in the federation.
    fn id(&self) -> &ProviderId;

    /// The declared capabilities. They do not change while the provider is in use.
    fn capabilities(&self) -> &Capabilities;

    /// A text of this provider's responses without its credentials. For people, prefixes of credentials and confidential texts
    /// of requests are removed, too. Sends nothing.
    fn redacted(&self, text: &str, _is_for_people: bool) -> String {
        text.to_owned()
    }

    /// From now on these texts are no part of messages and attributes that this provider returns: requests carry them, and what a
    /// provider repeats of them is recorded. Sends nothing. The [recommended layers](super::layers) keep this promise for every
    /// provider.
    fn withhold(&self, _secrets: &[SecretString]) {}

    /// All offers that pass the filter, or an error: one request for each page that is polled. The stream ends, or yields one
    /// error and then ends.
    fn offers(&self, filter: &OfferFilter) -> OfferStream;

    /// Unreadable rows of the last complete list of [`offers`](Self::offers). Sends nothing.
    fn rejected(&self) -> Vec<RejectedRow> {
        Vec::new()
    }

    /// The present price of a request. Buys nothing.
    async fn quote(&self, _request: &ProvisionRequest) -> Result<Quote> {
        Err(unsupported(self.id(), Call::Quote))
    }

    /// What would be refused of these purchases now, as far as that can be known without a change: credentials, quotas and
    /// limits, capacity, and what the settings name. Everything happens up to the first call that would change or cost
    /// something. The requests are of one plan, so that their sum is held against a quota. Empty if nothing is known to be
    /// refused. What cannot be found out of a request is among the refusals, with an error that may be repeated, such as
    /// unavailable.
    async fn dry_run(&self, _requests: &[ProvisionRequest]) -> Result<Vec<Refusal>> {
        Err(unsupported(self.id(), Call::DryRun))
    }

    /// Reserves capacity for this key until the returned time; then the reservation ends by itself. It costs nothing. The same
    /// key renews the same reservation, and [`provision`](Self::provision) with it uses the reserved capacity. The call may be
    /// repeated.
    async fn reserve(&self, _request: &ProvisionRequest, _key: &IdempotencyKey) -> Result<Timestamp> {
        Err(unsupported(self.id(), Call::Reserve))
    }

    /// Ends a reservation. A key without one is success.
    async fn unreserve(&self, _key: &IdempotencyKey) -> Result<()> {
        Err(unsupported(self.id(), Call::Unreserve))
    }

    /// Starts one service and returns at once. The same `key` never starts a second one if the declared
    /// idempotency class is natural or key.
    async fn provision(&self, _request: &ProvisionRequest, _key: &IdempotencyKey) -> Result<OperationHandle> {
        Err(unsupported(self.id(), Call::Provision))
    }

    /// The operation that completes a starting service, if completing it takes further calls and the caller of the first one is
    /// gone. None if the service starts by itself. This call has no effect; [`poll`](Self::poll) continues the operation.
    async fn resume_operation(
        &self,
        _request: &ProvisionRequest,
        _service: &Service,
    ) -> Result<Option<OperationHandle>> {
        Err(unsupported(self.id(), Call::ResumeOperation))
    }

    /// The service that this key started, in any state, if it exists and the list lag is over.
    async fn find_by_key(&self, _key: &IdempotencyKey) -> Result<Option<Service>> {
        Err(unsupported(self.id(), Call::FindByKey))
    }

    /// One service; none only with proof of its absence.
    async fn describe(&self, _service: &ServiceId) -> Result<Option<Service>> {
        Err(unsupported(self.id(), Call::Describe))
    }

    /// All services that carry a key of this library, or an error.
    ///
    /// A provider whose idempotency class for `provision` is `None` lists all services of the account without keys, also
    /// starting ones. The difference of the lists before and after a call shows what the call created. Such a provider keeps
    /// its class while orders are open.
    fn services(&self) -> ServiceStream {
        unsupported_list(self.id(), Call::Services)
    }

    /// Starts a lifecycle action.
    async fn act(
        &self,
        _service: &ServiceId,
        _action: &Action,
        _key: &IdempotencyKey,
    ) -> Result<OperationHandle> {
        Err(unsupported(self.id(), Call::Act))
    }

    /// Ends a service with the parts that its purchase created, and nothing that was attached later. Releasing a service that
    /// does not exist is success.
    ///
    /// The provider's own labels tell which parts belong to the purchase, so that any process can release the service. If a
    /// foreign part would end with it, nothing ends, and the error is a [conflict](super::ErrorKind::attached) that names the
    /// part. [`poll`](Self::poll) checks again before each step.
    async fn release(&self, _service: &ServiceId, _key: &IdempotencyKey) -> Result<OperationHandle> {
        Err(unsupported(self.id(), Call::Release))
    }

    /// What opens a service, such as the user name and the password of a database. It may be asked for at any time, and again. If
    /// the present password cannot be known, the call sets the one that it returns.
    async fn access(&self, _service: &ServiceId) -> Result<Access> {
        Err(unsupported(self.id(), Call::Access))
    }

    /// The state of an operation.
    async fn poll(&self, _operation: &OperationHandle) -> Result<OperationStatus> {
        Err(unsupported(self.id(), Call::Poll))
    }

    /// Metered usage of a period.
    fn usage(&self, _period: &UsagePeriod) -> UsageStream {
        unsupported_list(self.id(), Call::Usage)
    }
}

fn unsupported(provider: &ProviderId, call: Call) -> ProviderError {
    ProviderError::new(provider.clone(), call, ErrorKind::Unsupported)
}

fn unsupported_list<T: Send + 'static>(provider: &ProviderId, call: Call) -> BoxStream<'static, Result<T>> {
    stream::iter([Err(unsupported(provider, call))]).boxed()
}

/// A row of a provider's list that was left out by itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RejectedRow {
    /// Its SKU and place, if they can be read; else its position in the list.
    pub row: String,
    /// Why it was left out.
    pub reason: String,
}

impl RejectedRow {
    /// Characters of each text that are kept.
    const MAX_TEXT_CHARS: usize = 300;

    /// A row and the reason, each on one line, without invisible characters, and truncated.
    pub fn new(row: impl fmt::Display, reason: impl fmt::Display) -> Self {
        let cleaned = |text: String| single_line(&text, Self::MAX_TEXT_CHARS);
        Self { row: cleaned(row.to_string()), reason: cleaned(reason.to_string()) }
    }
}

/// Selects offers. Empty for all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferFilter {
    /// Only these kinds; empty for all.
    pub kinds: Vec<OfferKind>,
    /// Only these regions; empty for all.
    pub regions: Vec<RegionId>,
    /// Only this SKU.
    pub sku: Option<SkuId>,
}

impl OfferFilter {
    /// Whether an offer passes.
    pub fn admits(&self, offer: &Offer) -> bool {
        (self.kinds.is_empty() || self.kinds.contains(&offer.kind))
            && (self.regions.is_empty() || self.regions.contains(&offer.place.region))
            && self.sku.as_ref().is_none_or(|sku| *sku == offer.sku)
    }
}

/// A request for one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProvisionRequest {
    /// The SKU.
    pub sku: SkuId,
    /// The kind of product.
    pub kind: OfferKind,
    /// The place.
    pub place: Place,
    /// GiB of storage bought with it or as it; 0 if its size is fixed.
    pub size_gib: u64,
    /// The block storage product of that size, if it is bought with a machine.
    #[serde(default)]
    pub disk_sku: Option<SkuId>,
    /// On demand, spot, or committed for so many months.
    #[serde(default)]
    pub purchase_option: PurchaseOption,
    /// Minimum term in months; 0 for none.
    #[serde(default)]
    pub term_months: u32,
    /// SKUs of the surcharges that are paid with it: an adapter orders nothing else with it.
    #[serde(default)]
    pub surcharges: Vec<SkuId>,
    /// For people: shown as name or description where the provider has one.
    pub name: String,
    /// Adapter-specific settings, such as the image to boot; no secrets.
    #[serde(default)]
    pub settings: Settings,
}

impl ProvisionRequest {
    /// A request for exactly this offer, with `size_gib` of storage; without settings.
    pub fn of(offer: &Offer, size_gib: u64, name: impl Into<String>) -> Self {
        Self {
            sku: offer.sku.clone(),
            kind: offer.kind,
            place: (*offer.place).clone(),
            size_gib,
            disk_sku: offer.elastic_disk.as_ref().filter(|_| size_gib > 0).map(|disk| disk.sku.clone()),
            purchase_option: offer.price.purchase_option,
            term_months: offer.price.term_months,
            surcharges: offer.surcharges.iter().map(|it| it.sku.clone()).collect(),
            name: name.into(),
            settings: Settings::new(),
        }
    }

    /// A setting as text, for one field of an API; see [`setting_text`].
    pub fn setting(&self, name: &str) -> Option<String> {
        self.settings.get(name).and_then(setting_text)
    }

    /// A setting as a list; text is split at commas and spaces.
    pub fn setting_list(&self, name: &str) -> Option<Vec<String>> {
        match self.settings.get(name)? {
            serde_json::Value::Array(values) => Some(values.iter().filter_map(setting_text).collect()),
            value => {
                let text = setting_text(value)?;
                let words = text.split([',', ' ']).filter(|word| !word.is_empty());
                Some(words.map(str::to_owned).collect())
            }
        }
    }
}

/// A present price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quote {
    /// Of the requested SKU.
    pub price: Price,
    /// Of the disk bought with it, per unit; none without a disk.
    pub disk: Option<Price>,
    /// The surcharges, each once: exactly those of the offer.
    #[serde(default)]
    pub surcharges: Vec<Surcharge>,
    /// Until when the price is guaranteed; none if the provider does not say.
    pub valid_until: Option<Timestamp>,
}

/// Purchases that would be refused now.
#[derive(Debug)]
pub struct Refusal {
    /// The positions of their requests among those of the dry run: one, equal ones, or those that exceed a limit together.
    pub requests: Vec<usize>,
    /// Why: the error that the purchase would have.
    pub error: ProviderError,
}

/// The handle of a long operation. It is text, survives a restart, and has a meaning for its provider only.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OperationHandle(Arc<str>);

impl OperationHandle {
    /// Wraps the text by which the provider finds the operation again.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The text to store.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The state of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationStatus {
    /// Not done yet.
    Running {
        /// Per cent, if the provider tells.
        percent: Option<u8>,
    },
    /// Done: the present service, or none if it was released.
    Succeeded(Option<Service>),
    /// Ended without success. A service may exist: look the key up.
    Failed {
        /// The reason, for people.
        reason: String,
        /// The kind of shortage, if another offer or provider could do instead.
        shortage: Option<Shortage>,
    },
}

/// A period of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsagePeriod {
    /// Inclusive.
    pub from: Timestamp,
    /// Exclusive.
    pub to: Timestamp,
}
