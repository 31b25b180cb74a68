//! Which failures of a purchase are certain. All adapters use this one place.
//!
//! A proxy or a library may send a request twice. Then the first one makes the service, and the API refuses the second one because of
//! that. So a refusal that may speak of the order's own key or name is ambiguous, and so is each failure after the request.

use crate::provider::{ErrorContext, ErrorKind, ProviderError, Result};

/// The response to the purchase request. *Taken* and *busy* may speak of the service that the same request has made.
///
/// # Errors
/// A conflict is ambiguous, with its words. Other refusals stay as they are.
pub(super) fn purchase_response<T>(outcome: Result<T>) -> Result<T> {
    outcome.map_err(|error| match error.kind {
        ErrorKind::Conflict { .. } => ambiguous(error),
        _ => error,
    })
}

/// A step after the purchase request. Its failure does not say that nothing was made.
///
/// # Errors
/// Each error is one after which the engine looks for the service.
pub(super) fn after_purchase<T>(outcome: Result<T>) -> Result<T> {
    outcome.map_err(|error| if error.kind.may_have_happened() { error } else { ambiguous(error) })
}

/// An ambiguous error in the words of another one.
fn ambiguous(error: ProviderError) -> ProviderError {
    let words = error.words();
    let source = match error.source {
        Some(below) => ErrorContext::wrap(words, below),
        None => ErrorContext::new(words),
    };
    ProviderError { kind: ErrorKind::Ambiguous, source: Some(source.into()), ..error }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::ProviderId, provider::Call};

    fn error(kind: ErrorKind) -> ProviderError {
        ProviderError::new(ProviderId::new("acme").expect("a name"), Call::Provision, kind)
    }

    #[test]
    fn a_conflict_is_ambiguous_and_keeps_its_words() {
        let taken = || error(ErrorKind::Conflict { message: "the name is taken".to_owned() });
        for error in [purchase_response::<()>(Err(taken())), after_purchase::<()>(Err(taken()))] {
            let error = error.expect_err("an error");
            assert_eq!(error.kind, ErrorKind::Ambiguous);
            assert!(error.words().contains("the name is taken"), "{error}");
        }
        let refused = || error(ErrorKind::QuotaExceeded { quota: "cores".to_owned() });
        let is_certain = |outcome: Result<()>| !outcome.expect_err("an error").kind.may_have_happened();
        assert!(is_certain(purchase_response(Err(refused()))), "the API's own word");
        assert!(!is_certain(after_purchase(Err(refused()))), "of a look-up");
        assert!(!is_certain(after_purchase(Err(error(ErrorKind::not_sent("no route"))))), "of a look-up");
    }
}
