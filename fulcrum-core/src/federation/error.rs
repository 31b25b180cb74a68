//! Errors of a federation.

use super::ConfigError;
use crate::{
    compose::{ComposeError, InfeasibleSet},
    ledger::LedgerError,
    model::{DocumentError, ProviderId},
    provider::ProviderError,
    purchase::PurchaseError,
};

/// Any error of a federation; [`code`](Self::code) is what C and Python translate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FulcrumError {
    /// A document is not well formed.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The federation cannot be set up like this.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// There is no plan.
    #[error(transparent)]
    Compose(#[from] ComposeError),
    /// The purchase failed.
    #[error(transparent)]
    Purchase(#[from] PurchaseError),
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A provider failed.
    #[error(transparent)]
    Provider(#[from] ProviderError),
}

impl FulcrumError {
    /// The call to a provider that failed, with its circumstances.
    ///
    /// ```
    /// use fulcrum_core::{
    ///     federation::FulcrumError,
    ///     provider::{Call, ErrorKind, ProviderError},
    /// };
    /// let kind = ErrorKind::not_sent("no route");
    /// let error: FulcrumError = ProviderError::new("alpha".parse().unwrap(), Call::Poll, kind).into();
    /// assert!(error.failed_call().is_some_and(|failed| failed.call == Call::Poll && failed.is_retryable()));
    /// assert_eq!(error.provider().map(|provider| provider.as_str()), Some("alpha"));
    /// ```
    pub fn failed_call(&self) -> Option<&ProviderError> {
        match self {
            Self::Provider(failed) | Self::Purchase(PurchaseError::Provider(failed)) => Some(failed),
            _ => None,
        }
    }

    /// The provider that the error is about, if it is about one.
    pub fn provider(&self) -> Option<&ProviderId> {
        match self {
            Self::Purchase(
                PurchaseError::UnknownProvider(provider)
                | PurchaseError::NotBuyable { provider, .. }
                | PurchaseError::ActionUnsupported(provider),
            ) => Some(provider),
            _ => self.failed_call().map(|failed| &failed.provider),
        }
    }

    /// The conditions that no plan meets together, and the ways out, if that is the error.
    pub fn infeasible_set(&self) -> Option<&InfeasibleSet> {
        match self {
            Self::Compose(ComposeError::Infeasible(set)) => Some(set),
            _ => None,
        }
    }

    /// A number that stays the same for ever: 1xx providers, 2xx purchases, 3xx composition, 4xx configuration
    /// and documents, 5xx the ledger.
    pub fn code(&self) -> i32 {
        match self {
            Self::Document(_) => 401,
            Self::Config(ConfigError::Ledger(error)) | Self::Ledger(error) => error.code(),
            Self::Config(_) => 402,
            Self::Compose(error) => error.code(),
            Self::Purchase(error) => error.code(),
            Self::Provider(error) => error.kind.code(),
        }
    }
}
