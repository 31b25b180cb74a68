//! The header `Retry-After`, and other headers that count seconds.

use std::time::Duration;

use jiff::{Timestamp, fmt::rfc2822};

use crate::provider::ErrorKind;

/// `Retry-After`: seconds, or a date (RFC 9110, section 10.2.3). No provider makes its customers wait for longer than a few
/// minutes by it: a greater number is a mistake, or meant ill.
pub(super) fn wait_of(text: &str, now: Timestamp) -> Option<Duration> {
    let wait = match seconds_in(text) {
        Some(seconds) => Duration::from_secs(seconds),
        None => {
            let date = rfc2822::parse(text.trim()).ok()?.timestamp();
            Duration::try_from(date.duration_since(now)).unwrap_or_default()
        }
    };
    Some(wait.min(ErrorKind::MAX_RETRY_AFTER))
}

/// A header's number of seconds; digits that do not fit are many.
pub(super) fn seconds_in(text: &str) -> Option<u64> {
    let text = text.trim();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_seconds_or_a_date() {
        let now: Timestamp = "2026-11-25T08:00:00Z".parse().expect("a time");
        assert_eq!(wait_of("7", now), Some(Duration::from_secs(7)));
        assert_eq!(wait_of("Wed, 25 Nov 2026 08:00:30 GMT", now), Some(Duration::from_secs(30)));
        assert_eq!(wait_of("Wed, 25 Nov 2026 07:00:30 GMT", now), Some(Duration::ZERO));
        assert_eq!(wait_of("soon", now), None);
        assert_eq!(wait_of("", now), None);
        assert_eq!(wait_of("-1", now), None);
    }

    #[test]
    fn nobody_is_made_to_wait_for_years() {
        let now: Timestamp = "2026-11-25T08:00:00Z".parse().expect("a time");
        let most = Some(ErrorKind::MAX_RETRY_AFTER);
        for text in ["100000000", "18446744073709551615", &"9".repeat(40), "Wed, 25 Nov 2099 08:00:30 GMT"] {
            assert_eq!(wait_of(text, now), most, "{text}");
        }
        let told = Some(Duration::from_secs(100_000_000));
        for kind in [
            ErrorKind::RateLimited { retry_after: told },
            ErrorKind::Unavailable { retry_after: told, cause: String::new() },
        ] {
            assert_eq!(kind.retry_after(), most);
        }
    }
}
