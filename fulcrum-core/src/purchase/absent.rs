//! A provider that an order names and this federation does not have.

use std::sync::Arc;

use futures::{StreamExt, stream};

use crate::{
    model::ProviderId,
    provider::{Call, Capabilities, ErrorKind, OfferFilter, OfferStream, Provider, ProviderError},
};

/// Can do nothing, and says so.
#[derive(Debug)]
pub(super) struct Absent {
    id: ProviderId,
    capabilities: Capabilities,
}

impl Absent {
    pub(super) fn shared() -> Arc<dyn Provider> {
        let id = ProviderId::new("absent").expect("a name");
        Arc::new(Self { id, capabilities: Capabilities { calls: Vec::new(), ..Capabilities::offers_only() } })
    }
}

#[async_trait::async_trait]
impl Provider for Absent {
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
