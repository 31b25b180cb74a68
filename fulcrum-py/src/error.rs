//! Errors of the library as Python exceptions; the classes are in `fulcrum/errors.py`.

use fulcrum_core::{
    compose::ComposeError, federation::FulcrumError, model::ProviderId, provider::ProviderError,
    purchase::PurchaseError,
};
use pyo3::prelude::*;

/// The exception for an error, with what is known of its circumstances.
pub(crate) fn raise(error: impl Into<FulcrumError>) -> PyErr {
    let error = error.into();
    let conditions = match &error {
        FulcrumError::Compose(ComposeError::Infeasible(conflict)) => conflict.conditions.clone(),
        _ => Vec::new(),
    };
    let failed = failed_call(&error);
    let circumstances = (
        failed.map(|failed| &failed.provider).or_else(|| provider(&error)).map(ProviderId::as_str),
        failed.map(|failed| failed.call.word()),
        failed.and_then(|failed| failed.request_id.as_deref()),
        failed.map(ProviderError::is_retryable),
    );
    Python::attach(|py| {
        let made = py.import("fulcrum.errors").and_then(|errors| {
            errors.call_method1("_make", (error.code(), error.to_string(), conditions, circumstances))
        });
        made.map_or_else(|failure| failure, PyErr::from_value)
    })
}

/// The call to a provider that failed.
fn failed_call(error: &FulcrumError) -> Option<&ProviderError> {
    match error {
        FulcrumError::Provider(failed) | FulcrumError::Purchase(PurchaseError::Provider(failed)) => {
            Some(failed)
        }
        _ => None,
    }
}

/// The provider that an error without a call is about.
fn provider(error: &FulcrumError) -> Option<&ProviderId> {
    match error {
        FulcrumError::Purchase(
            PurchaseError::UnknownProvider(provider) | PurchaseError::NotBuyable { provider, .. },
        ) => Some(provider),
        _ => None,
    }
}
