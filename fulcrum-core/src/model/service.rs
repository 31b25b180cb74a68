//! What exists at a provider.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{IdempotencyKey, Place, ProviderId, ServiceId, SkuId};

/// What a service does right now, as its provider reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
