//! When something was, by two clocks.

use std::time::{Duration, Instant};

use jiff::Timestamp;

/// A moment of this process. The clock that nobody sets stands still while the machine sleeps; the other one does not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    unset: Instant,
    wall: Timestamp,
}

impl Moment {
    pub(super) fn now() -> Self {
        Self { unset: Instant::now(), wall: Timestamp::now() }
    }

    /// Whether it is no longer ago than this, by both clocks.
    pub(super) fn is_within(self, span: Duration) -> bool {
        let ago = Timestamp::now().duration_since(self.wall);
        self.unset.elapsed() < span && !ago.is_negative() && ago.unsigned_abs() < span
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_before_the_machine_slept_is_long_ago() {
        let hour = Duration::from_secs(3600);
        let now = Moment::now();
        assert!(now.is_within(hour));
        assert!(!Moment { wall: Timestamp::now() - hour, ..now }.is_within(hour), "the machine slept");
        assert!(!Moment { wall: Timestamp::now() + hour, ..now }.is_within(hour), "a clock was set back");
    }
}
