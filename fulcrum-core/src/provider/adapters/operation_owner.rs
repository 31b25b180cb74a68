//! The owner of an operation handle: the key of its service, and the time of the handle.
//!
//! A cloud may reuse an identifier for another service. So a handle names the key of its service, and `poll` compares that key with
//! the service as it is now, before it changes anything.

use std::{fmt, time::Duration};

use jiff::Timestamp;

use crate::{
    model::IdempotencyKey,
    provider::{ErrorKind, OperationHandle},
};

/// Stands before the key, behind the adapter's own text.
const KEY_PREFIX: &str = " fulcrum-key=";
/// Stands before the time, in milliseconds, at the end.
const TIME_PREFIX: &str = " since=";

/// What stands at the end of a handle. Handles of older versions have none of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct OperationOwner {
    key: Option<IdempotencyKey>,
    since: Option<Timestamp>,
}

impl OperationOwner {
    /// Of a service with this key, from now on.
    pub(super) fn new(key: Option<&IdempotencyKey>) -> Self {
        Self { key: key.cloned(), since: Some(Timestamp::now()) }
    }

    /// A handle of the adapter's own text and this owner.
    pub(super) fn handle(&self, text: &str) -> OperationHandle {
        let key = self.key.as_ref().map(|key| format!("{KEY_PREFIX}{key}")).unwrap_or_default();
        let since =
            self.since.map(|since| format!("{TIME_PREFIX}{}", since.as_millisecond())).unwrap_or_default();
        OperationHandle::new(format!("{text}{key}{since}"))
    }

    /// The adapter's own text of a handle, and the handle's owner.
    pub(super) fn parse(handle: &OperationHandle) -> (&str, Self) {
        let text = handle.as_str();
        let timed =
            |(text, since): (_, &str)| Some((text, Timestamp::from_millisecond(since.parse().ok()?).ok()?));
        let (text, since) = text.rsplit_once(TIME_PREFIX).and_then(timed).unzip();
        let text = text.unwrap_or(handle.as_str());
        let keyed = |(text, key): (_, &str)| Some((text, IdempotencyKey::new(key).ok()?));
        match text.rsplit_once(KEY_PREFIX).and_then(keyed) {
            Some((text, key)) => (text, Self { key: Some(key), since }),
            None => (text, Self { key: None, since }),
        }
    }

    pub(super) fn key(&self) -> Option<&IdempotencyKey> {
        self.key.as_ref()
    }

    /// Whether the handle may end a service that has this key now. If not, the identifier is another order's by now, and the
    /// handle's own service is gone.
    ///
    /// # Errors
    /// Forbidden if the service has no key. Not found if the handle has none: then the operation counts as forgotten, and the caller
    /// gets a new handle.
    pub(super) fn may_release(&self, now: Option<&IdempotencyKey>) -> Result<bool, ErrorKind> {
        match (&self.key, now) {
            (_, None) => Err(ErrorKind::Forbidden),
            (None, Some(_)) => {
                Err(ErrorKind::NotFound { what: "the key in this operation's handle".to_owned() })
            }
            (Some(key), Some(now)) => Ok(key == now),
        }
    }

    /// Whether a service that has this key now is the handle's service. A handle without a key owns each service that has one.
    pub(super) fn owns(&self, now: Option<&IdempotencyKey>) -> bool {
        now.is_some_and(|now| self.key.as_ref().is_none_or(|key| key == now))
    }

    /// The error of an operation whose service is another order's by now: the operation counts as forgotten, and only the key
    /// leads on.
    pub(super) fn stale_operation(what: impl fmt::Display) -> ErrorKind {
        ErrorKind::NotFound { what: format!("{what} of this operation") }
    }

    /// Whether the effect of the operation must show by now: responses may be older by `lag`. After a clock was set back this waits
    /// for longer, at most until the order's own time is over.
    pub(super) fn is_past_lag(&self, lag: Duration) -> bool {
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
    fn a_handle_keeps_its_owner_and_the_adapter_s_text() {
        for text in ["end/101", "resize/r/i-01234567/a b", r#"{"end":{"at":null}}"#, ""] {
            for own in [None, Some(key("f-0-1")), Some(key("a key with blanks = and signs"))] {
                let owner = OperationOwner::new(own.as_ref());
                let handle = owner.handle(text);
                let (said, read) = OperationOwner::parse(&handle);
                assert_eq!((said, read.key()), (text, own.as_ref()));
                assert!(!read.is_past_lag(Duration::from_secs(60)) && read.is_past_lag(Duration::ZERO));
            }
            let handle = OperationHandle::new(text);
            let (said, read) = OperationOwner::parse(&handle);
            assert_eq!((said, &read), (text, &OperationOwner::default()), "of an older version");
            assert!(read.is_past_lag(Duration::MAX));
        }
    }

    #[test]
    fn a_stored_handle_is_read() {
        let handle = OperationHandle::new("end/101 fulcrum-key=f-0-1 since=1700000000000");
        let (text, owner) = OperationOwner::parse(&handle);
        assert_eq!((text, owner.key()), ("end/101", Some(&key("f-0-1"))));
        assert_eq!(owner.since, Timestamp::from_millisecond(1_700_000_000_000).ok());
        assert_eq!(owner.handle(text), handle, "as it was written");
    }

    #[test]
    fn a_service_of_another_key_is_not_the_one() {
        let (own, other) = (key("f-0-1"), key("f-0-2"));
        let (owner, old) = (OperationOwner::new(Some(&own)), OperationOwner::default());
        assert!(owner.owns(Some(&own)) && !owner.owns(Some(&other)) && !owner.owns(None));
        assert!(old.owns(Some(&own)) && !old.owns(None));
        assert_eq!((owner.may_release(Some(&own)), owner.may_release(Some(&other))), (Ok(true), Ok(false)));
        assert_eq!(owner.may_release(None), Err(ErrorKind::Forbidden));
        assert!(matches!(old.may_release(Some(&own)), Err(ErrorKind::NotFound { .. })));
    }
}
