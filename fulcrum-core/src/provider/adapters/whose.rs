//! Whose service an operation's handle is for, and since when.
//!
//! A cloud may give an identifier again. So a handle names the key of the service that it was given out for, and whoever asks by it
//! how far the operation is compares that with the service as it is now, before anything is changed.

use std::{fmt, time::Duration};

use jiff::Timestamp;

use crate::{
    model::IdempotencyKey,
    provider::{ErrorKind, OperationHandle},
};

/// Stands before the key, behind what the adapter itself says.
const KEY: &str = " fulcrum-key=";
/// Stands before the moment, in milliseconds, at the end.
const SINCE: &str = " since=";

/// What stands at the end of a handle. Handles of older versions have none of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Whose {
    key: Option<IdempotencyKey>,
    since: Option<Timestamp>,
}

impl Whose {
    /// For the service of a key, from now on.
    pub(super) fn of(key: Option<&IdempotencyKey>) -> Self {
        Self { key: key.cloned(), since: Some(Timestamp::now()) }
    }

    /// A handle of what the adapter says, and of this.
    pub(super) fn handle(&self, text: &str) -> OperationHandle {
        let key = self.key.as_ref().map(|key| format!("{KEY}{key}")).unwrap_or_default();
        let since = self.since.map(|since| format!("{SINCE}{}", since.as_millisecond())).unwrap_or_default();
        OperationHandle::new(format!("{text}{key}{since}"))
    }

    /// What the adapter says in a handle, and whose it is.
    pub(super) fn read(handle: &OperationHandle) -> (&str, Self) {
        let text = handle.as_str();
        let moment =
            |(text, since): (_, &str)| Some((text, Timestamp::from_millisecond(since.parse().ok()?).ok()?));
        let (text, since) = text.rsplit_once(SINCE).and_then(moment).unzip();
        let text = text.unwrap_or(handle.as_str());
        let keyed = |(text, key): (_, &str)| Some((text, IdempotencyKey::new(key).ok()?));
        match text.rsplit_once(KEY).and_then(keyed) {
            Some((text, key)) => (text, Self { key: Some(key), since }),
            None => (text, Self { key: None, since }),
        }
    }

    pub(super) fn key(&self) -> Option<&IdempotencyKey> {
        self.key.as_ref()
    }

    /// Whether a service that has this key now may be ended by the handle. If not, its identifier is another order's by now, and
    /// what the handle was given out for is gone.
    ///
    /// # Errors
    /// Forbidden where the service does not tell whose it is, and not found where the handle does not: it is as good as
    /// forgotten, and whoever asks is given another one.
    pub(super) fn may_end(&self, now: Option<&IdempotencyKey>) -> Result<bool, ErrorKind> {
        match (&self.key, now) {
            (_, None) => Err(ErrorKind::Forbidden),
            (None, Some(_)) => {
                Err(ErrorKind::NotFound { what: "the key in this operation's handle".to_owned() })
            }
            (Some(key), Some(now)) => Ok(key == now),
        }
    }

    /// Whether a service that has this key now is the one that the handle was given out for, as far as the handle tells: it has
    /// a key of this library in any case.
    pub(super) fn is_of(&self, now: Option<&IdempotencyKey>) -> bool {
        now.is_some_and(|now| self.key.as_ref().is_none_or(|key| key == now))
    }

    /// The error of an operation whose service is another order's by now: it is as good as forgotten, and only the key leads on.
    pub(super) fn forgotten(what: impl fmt::Display) -> ErrorKind {
        ErrorKind::NotFound { what: format!("{what} of this operation") }
    }

    /// Whether what was asked for must be seen by now: answers may be older for so long. A clock that was set back makes it wait
    /// for longer, until the order's own time is over.
    pub(super) fn is_settled(&self, lag: Duration) -> bool {
        let waited = self.since.map(|since| Timestamp::now().duration_since(since));
        waited.is_none_or(|waited| Duration::try_from(waited).is_ok_and(|waited| waited >= lag))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> IdempotencyKey {
        IdempotencyKey::new(text).expect("a key")
    }

    #[test]
    fn a_handle_tells_whose_it_is_and_what_the_adapter_says() {
        for text in ["end/101", "resize/r/i-01234567/a b", r#"{"end":{"at":null}}"#, ""] {
            for own in [None, Some(key("f-0-1")), Some(key("a key with blanks = and signs"))] {
                let whose = Whose::of(own.as_ref());
                let handle = whose.handle(text);
                let (said, read) = Whose::read(&handle);
                assert_eq!((said, read.key()), (text, own.as_ref()));
                assert!(!read.is_settled(Duration::from_secs(60)) && read.is_settled(Duration::ZERO));
            }
            let handle = OperationHandle::new(text);
            let (said, read) = Whose::read(&handle);
            assert_eq!((said, &read), (text, &Whose::default()), "of an older version");
            assert!(read.is_settled(Duration::MAX));
        }
    }

    #[test]
    fn a_service_of_another_key_is_not_the_one() {
        let (own, other) = (key("f-0-1"), key("f-0-2"));
        let (whose, old) = (Whose::of(Some(&own)), Whose::default());
        assert!(whose.is_of(Some(&own)) && !whose.is_of(Some(&other)) && !whose.is_of(None));
        assert!(old.is_of(Some(&own)) && !old.is_of(None));
        assert_eq!((whose.may_end(Some(&own)), whose.may_end(Some(&other))), (Ok(true), Ok(false)));
        assert_eq!(whose.may_end(None), Err(ErrorKind::Forbidden));
        assert!(matches!(old.may_end(Some(&own)), Err(ErrorKind::NotFound { .. })));
    }
}
