//! Spaces requests by the provider's own rate-limit headers.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use ::http::{StatusCode, header::HeaderMap};
use jiff::Timestamp;
use tokio::time::Instant;

use super::Response;

/// The longest wait that is believed; a greater number in a header is a mistake.
const MAX_WAIT: Duration = Duration::from_secs(3600);
/// With less than one part in this many of a period's requests left, the rest is spread over the rest of the period.
const LOW_BUDGET_SHARE: u64 = 10;

/// A client-side rate limiter. Without rate-limit headers it delays nothing.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    /// Whether the budget refills steadily until the reset; else all of it returns at the reset.
    leaky_bucket: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// No request is sent earlier.
    next: Option<Instant>,
    /// The time between two requests, and until when it applies.
    min_interval: Option<(Duration, Instant)>,
}

impl Throttle {
    /// For a provider whose budget refills steadily.
    pub(super) fn leaky_bucket() -> Self {
        Self { leaky_bucket: true, state: Mutex::default() }
    }

    /// Waits for the next free slot. If that takes longer than `longest`, returns the wait as an error at once.
    pub(super) async fn wait(&self, longest: Duration) -> Result<(), Duration> {
        let turn = {
            let now = Instant::now();
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let turn = state.next.unwrap_or(now).max(now);
            if turn - now > longest {
                return Err(turn - now);
            }
            match state.min_interval {
                Some((between, until)) if now < until => state.next = Some(turn + between),
                _ => state.min_interval = None,
            }
            if turn <= now {
                return Ok(()); // a timer would cost a millisecond
            }
            turn
        };
        tokio::time::sleep_until(turn).await;
        Ok(())
    }

    /// Reads the rate-limit headers of a response.
    pub(super) fn observe(&self, response: &Response) {
        let asked =
            matches!(response.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
                .then(|| response.retry_after())
                .flatten();
        let budget = Budget::of(response.headers(), Timestamp::now());
        if let Some(asked) = asked {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.next = state.next.max(Some(Instant::now() + asked.min(MAX_WAIT)));
        }
        if let Some(budget) = budget {
            self.apply(budget);
        }
    }

    fn apply(&self, budget: Budget) {
        let now = Instant::now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match budget {
            Budget { left, limit, reset } if self.leaky_bucket => {
                let missing = u32::try_from(limit.saturating_sub(left)).unwrap_or(u32::MAX).max(1);
                let between = reset / missing;
                state.min_interval =
                    (left.saturating_mul(LOW_BUDGET_SHARE) < limit).then_some((between, now + reset));
                if left == 0 {
                    state.next = state.next.max(Some(now + between));
                }
            }
            Budget { left: 0, reset, .. } => state.next = state.next.max(Some(now + reset)),
            Budget { left, limit, reset } if left.saturating_mul(LOW_BUDGET_SHARE) < limit => {
                let between = reset / u32::try_from(left).unwrap_or(u32::MAX);
                state.min_interval = Some((between, now + reset));
            }
            Budget { .. } => state.min_interval = None,
        }
    }
}

/// The rate-limit budget of a period.
#[derive(Debug, PartialEq, Eq)]
struct Budget {
    limit: u64,
    left: u64,
    reset: Duration,
}

impl Budget {
    /// `RateLimit-Limit`, `-Remaining` and `-Reset`, with or without `X-`. The reset is in seconds, or a time.
    fn of(headers: &HeaderMap, now: Timestamp) -> Option<Self> {
        let number = |name: &str| -> Option<u64> {
            let plain = headers.get(format!("ratelimit-{name}"));
            let text = plain.or_else(|| headers.get(format!("x-ratelimit-{name}")))?.to_str().ok()?;
            text.split([',', ';', '.']).next()?.trim().parse().ok()
        };
        let (left, reset) = (number("remaining")?, number("reset")?);
        let seconds = match i64::try_from(reset).ok()? {
            epoch if epoch > 1_000_000_000 => epoch.saturating_sub(now.as_second()),
            seconds => seconds,
        };
        let reset = Duration::from_secs(u64::try_from(seconds).unwrap_or(0)).min(MAX_WAIT);
        Some(Self { limit: number("limit").unwrap_or(0), left, reset })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(headers: &[(&'static str, &'static str)]) -> HeaderMap {
        let header = |(name, value): &(&str, &str)| {
            (
                name.parse::<::http::header::HeaderName>().expect("a name"),
                value.parse::<::http::header::HeaderValue>().expect("a value"),
            )
        };
        headers.iter().map(header).collect()
    }

    fn budget(headers: &[(&'static str, &'static str)]) -> Option<Budget> {
        let now: Timestamp = "2026-11-25T08:00:00Z".parse().expect("a time");
        Budget::of(&map(headers), now)
    }

    #[test]
    fn a_reset_is_a_span_or_a_time() {
        let seconds = |n| Some(Budget { limit: 100, left: 3, reset: Duration::from_secs(n) });
        let of = |reset| {
            [("x-ratelimit-limit", "100"), ("x-ratelimit-remaining", "3"), ("x-ratelimit-reset", reset)]
        };
        assert_eq!(budget(&of("30")), seconds(30));
        assert_eq!(budget(&of("1795593630")), seconds(30), "2026-11-25T08:00:30Z");
        assert_eq!(budget(&of("1")), seconds(1));
        assert_eq!(budget(&of("99999999")), seconds(3600));
        assert_eq!(budget(&[("ratelimit-remaining", "3")]), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_budget_that_fills_steadily_is_not_waited_for_until_it_is_full() {
        let headers =
            [("ratelimit-limit", "3600"), ("ratelimit-remaining", "0"), ("ratelimit-reset", "3600")];
        for (throttle, longest) in [(Throttle::leaky_bucket(), 1), (Throttle::default(), 3600)] {
            throttle.apply(Budget::of(&map(&headers), Timestamp::now()).expect("a budget"));
            let began = Instant::now();
            throttle.wait(MAX_WAIT).await.expect("its turn comes");
            assert_eq!(began.elapsed().as_secs(), longest);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_scarce_is_spread() {
        let throttle = Throttle::default();
        let until = Instant::now() + Duration::from_secs(10);
        throttle.state.lock().expect("nobody panics").min_interval = Some((Duration::from_secs(2), until));
        let began = Instant::now();
        for _ in 0..3 {
            throttle.wait(Duration::from_secs(60)).await.expect("not too long");
        }
        assert_eq!(began.elapsed().as_secs(), 4);
        assert_eq!(throttle.wait(Duration::from_millis(10)).await, Err(Duration::from_secs(2)));
    }
}
