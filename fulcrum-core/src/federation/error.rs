//! Errors of a federation.

use super::ConfigError;
use crate::{
    compose::ComposeError, ledger::LedgerError, model::DocumentError, provider::ProviderError,
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
