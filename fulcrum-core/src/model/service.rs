//! A service at a provider, and lifecycle actions.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{IdempotencyKey, Place, ProviderId, ServiceId, SkuId};

/// What a service does right now, as its provider reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ServiceStatus {
    /// Being made; may already cost money.
    Starting,
    /// Works.
    Running,
    /// Exists, costs money, does not work.
    Stopped,
    /// The provider says that it is broken; it may cost money.
    Failed,
    /// Being ended.
    Releasing,
}

impl ServiceStatus {
    /// All states.
    pub const ALL: [Self; 5] = [Self::Starting, Self::Running, Self::Stopped, Self::Failed, Self::Releasing];

    /// The word in documents and reports.
    pub fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
            Self::Releasing => "releasing",
        }
    }
}

/// One running thing at a provider that somebody pays for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[non_exhaustive]
pub struct Service {
    /// The provider's name for it.
    pub id: ServiceId,
    /// Who runs it.
    pub provider: ProviderId,
    /// The key of the intent that made it; none if somebody else made it.
    pub key: Option<IdempotencyKey>,
    /// What was bought.
    pub sku: SkuId,
    /// Where.
    pub place: Place,
    /// What it does now.
    pub status: ServiceStatus,
    /// Addresses and other facts that the application needs; no secrets.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
}

impl Service {
    /// A service without attributes. `key` is that of the request that made it, if it has one.
    pub fn new(
        id: ServiceId,
        provider: ProviderId,
        key: Option<IdempotencyKey>,
        sku: SkuId,
        place: Place,
        status: ServiceStatus,
    ) -> Self {
        Self { id, provider, key, sku, place, status, attributes: BTreeMap::new() }
    }
}

/// A lifecycle action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Action {
    /// Start what is stopped.
    Start,
    /// Stop what runs.
    Stop,
    /// Change to another SKU.
    Resize {
        /// The new SKU.
        sku: SkuId,
    },
    /// Any other, by the provider's name for it.
    Other {
        /// The name.
        name: String,
    },
}

impl Action {
    /// The word for it.
    pub fn word(&self) -> &str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Resize { .. } => "resize",
            Self::Other { name } => name,
        }
    }

    /// Whether a service is as it would be after it; of an action that only its provider knows that cannot be told.
    pub fn is_done(&self, service: &Service) -> bool {
        match self {
            Self::Start => service.status == ServiceStatus::Running,
            Self::Stop => service.status == ServiceStatus::Stopped,
            Self::Resize { sku } => service.sku == *sku,
            Self::Other { .. } => false,
        }
    }
}
