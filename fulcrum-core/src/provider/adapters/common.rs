//! Small things that several adapters share.

use std::fmt::Display;

use serde::{Deserialize, Serialize};

use crate::{
    model::{ProviderId, Shortage, SkuId},
    provider::{Call, ErrorKind, OperationStatus, Provider, ProviderError, single_line},
};

/// The label, tag or field of metadata that holds a service's idempotency key at its provider.
pub(super) const KEY_LABEL: &str = "fulcrum-key";

/// An operation that is under way, of unknown progress.
pub(super) const RUNNING: OperationStatus = OperationStatus::Running { percent: None };

/// An operation that ended without success. Another offer need not do better.
pub(super) fn failed(reason: impl Into<String>) -> OperationStatus {
    failed_for(reason, None)
}

/// An operation that ended without success, because of a shortage if one is given.
pub(super) fn failed_for(
    reason: impl Into<String>,
    shortage: impl Into<Option<Shortage>>,
) -> OperationStatus {
    OperationStatus::Failed { reason: reason.into(), shortage: shortage.into() }
}

/// How long a new service may be missing from look-ups, in milliseconds, where a configuration does not say.
pub(super) fn list_lag_ms() -> u64 {
    10_000
}

/// What a service is to be when an action on it is over.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Goal {
    /// The action sets no state.
    #[default]
    #[serde(rename = "anything")]
    Any,
    Running,
    Stopped,
    /// Of this size.
    #[serde(rename = "size")]
    Sku(SkuId),
}

impl Goal {
    pub(super) fn is_any(&self) -> bool {
        *self == Self::Any
    }
}

/// Errors of one provider's calls.
pub(super) trait CallErrors {
    fn provider_id(&self) -> &ProviderId;

    /// A text for people, without credentials.
    fn cleaned(&self, text: &str) -> String;

    /// An error. Its texts may repeat what the provider has said, and so a credential. Invisible characters go first, as they may
    /// split one.
    fn error(&self, call: Call, kind: ErrorKind) -> ProviderError {
        let kind = kind.with_texts(&|text: String| self.cleaned(&single_line(&text, usize::MAX)));
        ProviderError::new(self.provider_id().clone(), call, kind)
    }

    /// The provider's response is not what its API promises.
    fn protocol_error(&self, call: Call, error: &dyn Display) -> ProviderError {
        self.error(call, ErrorKind::Protocol { message: error.to_string() })
    }

    /// The request cannot be carried out as it is.
    fn invalid_request(&self, call: Call, message: impl Into<String>) -> ProviderError {
        self.error(call, ErrorKind::InvalidRequest { message: message.into() })
    }
}

impl<P: Provider> CallErrors for P {
    fn provider_id(&self) -> &ProviderId {
        self.id()
    }

    fn cleaned(&self, text: &str) -> String {
        self.redacted(text, true)
    }
}
