//! A service that is proven to belong to a step.

use std::ops::Deref;

use serde::{Deserialize, Serialize};

use super::{Service, ServiceId, Step};

/// Bytes of a service's attributes: a provider's response must not fill the ledger.
const MAX_ATTRIBUTE_BYTES: usize = 64 << 10;

/// A service that belongs to a step: at its provider, under its key, and the one that was asked about. Only
/// [`check`](Self::check) makes one; ledgers and archives store it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct OwnService(Service);

/// A service is not the step's own, and must not be touched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ForeignService {
    /// Of another provider.
    #[error("it answered with a service of another provider")]
    Provider,
    /// Of another key, or without one where the provider knows keys.
    #[error("it answered with a service of another key")]
    Key,
    /// Another one than was asked about.
    #[error("it was asked about one service and answered with another one")]
    Id,
}

impl OwnService {
    /// Checks that a service is the step's own.
    ///
    /// `is_keyless`: the provider knows no keys, so that a service without one may be the step's. `about`: the service that
    /// was asked about, if one was. Attributes beyond 64 KiB are left out.
    ///
    /// # Errors
    /// [`ForeignService`]: leave it alone.
    pub fn check(
        step: &Step,
        is_keyless: bool,
        about: Option<&ServiceId>,
        mut service: Service,
    ) -> Result<Self, ForeignService> {
        if service.provider != step.provider {
            return Err(ForeignService::Provider);
        }
        let is_own = match &service.key {
            Some(key) => *key == step.key,
            None => is_keyless,
        };
        if !is_own {
            return Err(ForeignService::Key);
        }
        if about.is_some_and(|id| *id != service.id) {
            return Err(ForeignService::Id);
        }
        let mut size = 0_usize;
        service.attributes.retain(|name, value| {
            size = size.saturating_add(name.len()).saturating_add(value.len());
            size <= MAX_ATTRIBUTE_BYTES
        });
        Ok(Self(service))
    }

    /// The same service with the product and place that its step ordered. Reconciliation finds what the provider has changed
    /// since.
    pub(crate) fn with_ordered_product(mut self, promised: &Self) -> Self {
        self.0.sku.clone_from(&promised.sku);
        self.0.place.clone_from(&promised.place);
        self
    }

    /// The service.
    pub fn into_inner(self) -> Service {
        self.0
    }
}

#[cfg(test)]
impl OwnService {
    /// Without a check, for tests of what comes after it.
    pub(crate) fn unchecked(service: Service) -> Self {
        Self(service)
    }
}

impl Deref for OwnService {
    type Target = Service;

    fn deref(&self) -> &Service {
        &self.0
    }
}
