//! Offers from a file, to compare prices with; nothing can be bought from it.

use std::path::Path;

use async_trait::async_trait;
use futures::{StreamExt, stream};

use crate::{
    model::{IdempotencyKey, Offer, ProviderId, Service, ServiceId},
    provider::{
        Action, Call, Capabilities, ErrorKind, OfferFilter, OfferStream, OperationHandle, OperationStatus,
        Provider, ProviderError, ProvisionRequest, Quote, Result, ServiceStream, UsagePeriod, UsageStream,
        table::{Table, TableError},
    },
};

/// One provider of a catalogue file.
#[derive(Debug)]
pub struct CatalogueFile {
    id: ProviderId,
    capabilities: Capabilities,
    offers: Vec<Offer>,
}

impl CatalogueFile {
    /// Opens a file or folder; see [`Table::load`]. One provider each.
    ///
    /// # Errors
    /// [`TableError`] names file and line.
    pub fn open(path: &Path) -> Result<Vec<Self>, TableError> {
        let tables = Table::load(path)?;
        Ok(tables
            .into_iter()
            .map(|table| Self {
                id: table.provider.clone(),
                capabilities: Capabilities::offers_only(),
                offers: table.into_listed(),
            })
            .collect())
    }

    fn unsupported<T>(&self, call: Call) -> Result<T> {
        Err(ProviderError::new(self.id.clone(), call, ErrorKind::Unsupported))
    }
}

#[async_trait]
impl Provider for CatalogueFile {
    fn id(&self) -> &ProviderId {
        &self.id
    }
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }
    fn offers(&self, filter: &OfferFilter) -> OfferStream {
        let offers: Vec<_> =
            self.offers.iter().filter(|offer| filter.admits(offer)).cloned().map(Ok).collect();
        stream::iter(offers).boxed()
    }
    async fn quote(&self, _: &ProvisionRequest) -> Result<Quote> {
        self.unsupported(Call::Quote)
    }
    async fn provision(&self, _: &ProvisionRequest, _: &IdempotencyKey) -> Result<OperationHandle> {
        self.unsupported(Call::Provision)
    }
    async fn find_by_key(&self, _: &IdempotencyKey) -> Result<Option<Service>> {
        self.unsupported(Call::FindByKey)
    }
    async fn describe(&self, _: &ServiceId) -> Result<Option<Service>> {
        self.unsupported(Call::Describe)
    }
    fn services(&self) -> ServiceStream {
        stream::iter([self.unsupported(Call::Services)]).boxed()
    }
    async fn act(&self, _: &ServiceId, _: &Action, _: &IdempotencyKey) -> Result<OperationHandle> {
        self.unsupported(Call::Act)
    }
    async fn release(&self, _: &ServiceId, _: &IdempotencyKey) -> Result<OperationHandle> {
        self.unsupported(Call::Release)
    }
    async fn poll(&self, _: &OperationHandle) -> Result<OperationStatus> {
        self.unsupported(Call::Poll)
    }
    fn usage(&self, _: &UsagePeriod) -> UsageStream {
        stream::iter([self.unsupported(Call::Usage)]).boxed()
    }
}
