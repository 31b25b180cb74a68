//! The contract between a cloud and the library.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Call, Capabilities, ErrorKind, ProviderError, Result, words};
use crate::model::{
    Action, IdempotencyKey, Offer, OfferKind, Place, Price, ProviderId, PurchaseOption, RegionId, Service,
    ServiceId, Settings, Shortage, SkuId, Surcharge, UsageRecord, setting_text,
};

/// Offers as they come in.
pub type OfferStream = BoxStream<'static, Result<Offer>>;
/// Services as they come in.
pub type ServiceStream = BoxStream<'static, Result<Service>>;
/// Usage as it comes in.
pub type UsageStream = BoxStream<'static, Result<UsageRecord>>;

/// One independent cloud behind one API.
///
/// What a provider cannot do it leaves out here and in its [`Capabilities`]: the calls that are not written answer
/// [`Unsupported`](super::ErrorKind::Unsupported).
///
/// Dropping the future of a call that changes state leaves its outcome unknown; only
/// [`find_by_key`](Self::find_by_key) can tell.
#[async_trait]
pub trait Provider: fmt::Debug + Send + Sync + 'static {
    /// Its name in the federation.
    fn id(&self) -> &ProviderId;

    /// What it can do. Does not change while the provider is in use.
    fn capabilities(&self) -> &Capabilities;

    /// A text of this provider's answers without what must not be shown: its credentials as a whole; and where only people read
    /// it, also their beginnings, and what its requests have told that is nobody else's. Asks nobody.
    fn redacted(&self, text: &str, _is_for_people: bool) -> String {
        text.to_owned()
    }

    /// All offers that pass the filter, complete, or an error: one request per page polled; ends, or yields
    /// one error and then ends.
    fn offers(&self, filter: &OfferFilter) -> OfferStream;

    /// Rows that the last complete list of [`offers`](Self::offers) left out because they could not be read. Asks nobody.
    fn rejected(&self) -> Vec<RejectedRow> {
        Vec::new()
    }

    /// What a request would cost right now. Buys nothing.
    async fn quote(&self, _request: &ProvisionRequest) -> Result<Quote> {
        Err(unsupported(self.id(), Call::Quote))
    }

    /// Holds what a request asks for, for this key alone, until the moment that is answered; then it ends by itself. It costs
    /// nothing. The same key again is the same hold, perhaps for longer, and [`provision`](Self::provision) with it takes what
    /// is held. A call without an answer may simply be made again.
    async fn reserve(&self, _request: &ProvisionRequest, _key: &IdempotencyKey) -> Result<Timestamp> {
        Err(unsupported(self.id(), Call::Reserve))
    }

    /// Gives back what `reserve` holds. What is not held, or not any more, is success.
    async fn unreserve(&self, _key: &IdempotencyKey) -> Result<()> {
        Err(unsupported(self.id(), Call::Unreserve))
    }

    /// Starts one service and returns at once. The same `key` never starts a second one if the declared
    /// idempotency class is natural or key.
    async fn provision(&self, _request: &ProvisionRequest, _key: &IdempotencyKey) -> Result<OperationHandle> {
        Err(unsupported(self.id(), Call::Provision))
    }

    /// The operation by which a service that is starting goes on, where somebody must drive it: making it takes several calls,
    /// and who began may be gone. None if it comes about by itself. It changes nothing; [`poll`](Self::poll) goes on.
    async fn resume_operation(
        &self,
        _request: &ProvisionRequest,
        _service: &Service,
    ) -> Result<Option<OperationHandle>> {
        Err(unsupported(self.id(), Call::ResumeOperation))
    }

    /// The service that this key started, in whatever state, if it exists and the look-up shows it yet.
    async fn find_by_key(&self, _key: &IdempotencyKey) -> Result<Option<Service>> {
        Err(unsupported(self.id(), Call::FindByKey))
    }

    /// One service; none after proof that it does not exist.
    async fn describe(&self, _service: &ServiceId) -> Result<Option<Service>> {
        Err(unsupported(self.id(), Call::Describe))
    }

    /// All services that carry a key of this library, complete, or an error.
    ///
    /// A provider whose idempotency class for `provision` is `None` lists all services of the account, with no key, also
    /// those that it is just making, and keeps that class while orders are under way: only what the list has before and
    /// after a call tells what the call made.
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

    /// Ends a service: what its purchase made, and nothing that was attached to it later. Releasing what is already gone is
    /// success.
    ///
    /// Which parts the purchase made can be told at the provider alone, also by a process that knows no more than the
    /// service's name. Where something else hangs on it that would end with it, nothing ends, and the answer is a
    /// [conflict](super::ErrorKind::attached) that names the part; [`poll`](Self::poll) looks once more before each step.
    async fn release(&self, _service: &ServiceId, _key: &IdempotencyKey) -> Result<OperationHandle> {
        Err(unsupported(self.id(), Call::Release))
    }

    /// How far an operation is.
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
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RejectedRow {
    /// Which: the product and its place where they can be read, else the row's place in the list.
    pub row: String,
    /// What is wrong with it.
    pub reason: String,
}

impl RejectedRow {
    /// Characters of each text that are kept: the words are somebody else's.
    const LONGEST: usize = 300;

    /// Names a row and what is wrong with it, each on one line; marks that nobody sees and what is too long are cut.
    pub fn new(row: impl fmt::Display, reason: impl fmt::Display) -> Self {
        let cut = |text: String| words::plain(&text, Self::LONGEST);
        Self { row: cut(row.to_string()), reason: cut(reason.to_string()) }
    }
}

/// Which offers are wanted. Empty for all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferFilter {
    /// Only these kinds; empty for all.
    pub kinds: Vec<OfferKind>,
    /// Only these regions; empty for all.
    pub regions: Vec<RegionId>,
    /// Only this product.
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

/// One service that is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProvisionRequest {
    /// What.
    pub sku: SkuId,
    /// What sort of product it is.
    pub kind: OfferKind,
    /// Where.
    pub place: Place,
    /// GiB of storage bought with it or as it; 0 if its size is fixed.
    pub size_gib: u64,
    /// The block storage product of that size, if it is bought with a machine.
    #[serde(default)]
    pub disk_sku: Option<SkuId>,
    /// On demand, spot, or committed for so many months.
    #[serde(default)]
    pub purchase_option: PurchaseOption,
    /// Months that must be paid at least; 0 for none.
    #[serde(default)]
    pub term_months: u32,
    /// What is paid with it besides, by product code: what is ordered together with it must be among these.
    #[serde(default)]
    pub surcharges: Vec<SkuId>,
    /// For people: shown as name or description where the provider has one.
    pub name: String,
    /// Adapter-specific settings, such as the image to boot; no secrets.
    #[serde(default)]
    pub settings: Settings,
}

impl ProvisionRequest {
    /// A request for exactly what an offer says, with so many GiB bought with it or as it; without settings.
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

    /// A setting as the text that an API takes in one field; see [`setting_text`].
    pub fn setting(&self, name: &str) -> Option<String> {
        self.settings.get(name).and_then(setting_text)
    }

    /// A setting as a list: a list as it is, text cut at commas and spaces.
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

/// A price as it is right now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quote {
    /// Of the requested SKU.
    pub price: Price,
    /// Of the disk bought with it, per unit; none if no disk is.
    pub disk: Option<Price>,
    /// What must be paid besides, each once; no more and no less than the offer's own.
    #[serde(default)]
    pub surcharges: Vec<Surcharge>,
    /// How long it holds; none if the provider does not say.
    pub valid_until: Option<Timestamp>,
}

/// A long call's handle. It is text, survives a restart, and means something to its provider only.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OperationHandle(Arc<str>);

impl OperationHandle {
    /// Wraps what the provider needs to find the operation again.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The text to store.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// How far an operation is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationStatus {
    /// Not done yet.
    Running {
        /// Per cent, where the provider tells.
        percent: Option<u8>,
    },
    /// Done; the service as it is now, or none if it was released.
    Succeeded(Option<Service>),
    /// Over without success. Something may still exist: look the key up.
    Failed {
        /// As an [`ErrorKind`](super::ErrorKind) would say it; for people.
        reason: String,
        /// Whether something else, or another provider, could do instead, and why.
        shortage: Option<Shortage>,
    },
}

/// A span of time, from inclusive, to exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsagePeriod {
    /// Inclusive.
    pub from: Timestamp,
    /// Exclusive.
    pub to: Timestamp,
}
