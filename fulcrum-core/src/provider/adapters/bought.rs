//! What is certain of a purchase once its request was sent: the one place for all adapters.
//!
//! A request may be sent again on its way, by a proxy or a library: then the first one makes what is wanted, and the second one
//! is refused because of that. So a refusal that may speak of what has our own key or name is no word that nothing was made, and
//! nothing that fails afterwards is one.

use crate::provider::{ErrorKind, ProviderError, Result, Worded};

/// The answer to the request that buys. That something is there already, or busy, may be said of what the same request has made.
///
/// # Errors
/// A conflict is ambiguous, with its words; other refusals stay what they are.
pub(super) fn answered<T>(outcome: Result<T>) -> Result<T> {
    outcome.map_err(|error| match error.kind {
        ErrorKind::Conflict { .. } => unknown(error),
        _ => error,
    })
}

/// What follows the request that buys, and its answer: nothing of it says that nothing was made.
///
/// # Errors
/// Each is one after which it is looked for what was made.
pub(super) fn afterwards<T>(outcome: Result<T>) -> Result<T> {
    outcome.map_err(|error| if error.kind.may_have_happened() { error } else { unknown(error) })
}

/// Ambiguous, in the words of what went wrong.
fn unknown(error: ProviderError) -> ProviderError {
    let words = error.words();
    let source = match error.source {
        Some(below) => Worded::above(words, below),
        None => Worded::new(words),
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
    fn a_conflict_is_not_believed_and_keeps_its_words() {
        let taken = || error(ErrorKind::Conflict { message: "the name is taken".to_owned() });
        for error in [answered::<()>(Err(taken())), afterwards::<()>(Err(taken()))] {
            let error = error.expect_err("an error");
            assert_eq!(error.kind, ErrorKind::Ambiguous);
            assert!(error.words().contains("the name is taken"), "{error}");
        }
        let refused = || error(ErrorKind::QuotaExceeded { quota: "cores".to_owned() });
        let is_certain = |outcome: Result<()>| !outcome.expect_err("an error").kind.may_have_happened();
        assert!(is_certain(answered(Err(refused()))), "the API's own word");
        assert!(!is_certain(afterwards(Err(refused()))), "of a look-up");
        assert!(!is_certain(afterwards(Err(error(ErrorKind::not_sent("no route"))))), "of a look-up");
    }
}
