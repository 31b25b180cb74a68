//! Stands for a provider that an order names and this federation does not have.

use std::sync::Arc;

use futures::{StreamExt, stream};

use crate::{
    model::ProviderId,
    provider::{Call, Capabilities, ErrorKind, OfferFilter, OfferStream, Provider, ProviderError},
};

/// Why a step cannot be driven.
pub(super) const ABSENT_PROVIDER: &str =
    "its provider is not in this federation; add it, and drive the order again";

/// A provider without any capability.
#[derive(Debug)]
pub(super) struct AbsentProvider {
    id: ProviderId,
    capabilities: Capabilities,
}

impl AbsentProvider {
    pub(super) fn shared() -> Arc<dyn Provider> {
        let id = ProviderId::new("absent").expect("a name");
        Arc::new(Self { id, capabilities: Capabilities { calls: Vec::new(), ..Capabilities::offers_only() } })
    }
}

#[async_trait::async_trait]
impl Provider for AbsentProvider {
    fn id(&self) -> &ProviderId {
        &self.id
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn offers(&self, _filter: &OfferFilter) -> OfferStream {
        let error = ProviderError::new(self.id.clone(), Call::Offers, ErrorKind::Unsupported);
        stream::iter([Err(error)]).boxed()
    }
}
