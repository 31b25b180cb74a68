//! A time by two clocks.

use std::time::{Duration, Instant};

use jiff::Timestamp;

/// A time of this process. The monotonic clock pauses while the machine sleeps; the wall clock can be set.
#[derive(Debug, Clone, Copy)]
pub(super) struct DualInstant {
    monotonic: Instant,
    wall: Timestamp,
}

impl DualInstant {
    pub(super) fn now() -> Self {
        Self { monotonic: Instant::now(), wall: Timestamp::now() }
    }

    /// Whether it is no longer ago than this, by both clocks.
    pub(super) fn is_within(self, span: Duration) -> bool {
        let ago = Timestamp::now().duration_since(self.wall);
        self.monotonic.elapsed() < span && !ago.is_negative() && ago.unsigned_abs() < span
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_before_the_machine_slept_is_long_ago() {
        let hour = Duration::from_secs(3600);
        let now = DualInstant::now();
        assert!(now.is_within(hour));
        assert!(!DualInstant { wall: Timestamp::now() - hour, ..now }.is_within(hour), "the machine slept");
        assert!(
            !DualInstant { wall: Timestamp::now() + hour, ..now }.is_within(hour),
            "a clock was set back"
        );
    }
}
