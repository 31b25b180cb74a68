//! Errors of the library as Python exceptions; the classes are in `fulcrum_market/errors.py`.

use std::any::Any;

use fulcrum_core::{
    compose::ComposeError, federation::FulcrumError, model::ProviderId, provider::ProviderError,
    purchase::PurchaseError,
};
use pyo3::prelude::*;

use crate::runtime::attach;

/// What the library itself is to blame for; the same number as in C.
const INTERNAL_ERROR_CODE: i32 = 902;
/// What the host's process does not allow; the same numbers as in C, which knows no ending.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Host {
    Forked = 904,
    NoThread = 905,
    Ending = 906,
}

/// Provider, call, request id, and whether the call may be sent again.
type Circumstances<'a> = (Option<&'a str>, Option<&'a str>, Option<&'a str>, Option<bool>);

/// The exception for an error, with what is known of its circumstances.
pub(crate) fn raise(error: impl Into<FulcrumError>) -> PyErr {
    let error = error.into();
    let conflict = match &error {
        FulcrumError::Compose(ComposeError::Infeasible(conflict)) => serde_json::to_string(conflict).ok(),
        _ => None,
    };
    let failed = failed_call(&error);
    let circumstances = (
        failed.map(|failed| &failed.provider).or_else(|| provider(&error)).map(ProviderId::as_str),
        failed.map(|failed| failed.call.word()),
        failed.and_then(|failed| failed.request_id.as_deref()),
        failed.map(ProviderError::is_retryable),
    );
    make(error.code(), &error.to_string(), conflict, circumstances)
}

/// The exception for a panic, with what it carried.
pub(crate) fn fault(panic: &(dyn Any + Send)) -> PyErr {
    let text = panic.downcast_ref::<&str>().copied();
    let text =
        text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("it left no words");
    let message = format!("a fault of the library, please report it: {text}");
    make(INTERNAL_ERROR_CODE, &message, None, (None, None, None, None))
}

/// The exception for what the process cannot do: it has no thread, it was forked, or it ends.
pub(crate) fn host_error(why: Host, message: &str) -> PyErr {
    make(why as i32, message, None, (None, None, None, None))
}

fn make(code: i32, message: &str, conflict: Option<String>, circumstances: Circumstances<'_>) -> PyErr {
    let made = attach(|py| {
        let made = py
            .import("fulcrum_market.errors")?
            .call_method1("_make", (code, message, conflict, circumstances));
        made.map(PyErr::from_value)
    });
    made.unwrap_or_else(|failure| failure)
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
