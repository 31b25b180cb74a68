//! Sizes as people write them.

use std::str::FromStr;

use rust_decimal::{Decimal, RoundingStrategy, prelude::ToPrimitive};

/// A size in bytes, read from text such as `16 GiB` or `1.5 TB`.
///
/// ```
/// use fulcrum_core::model::Size;
/// assert_eq!("16 GiB".parse::<Size>()?.mib(), 16_384);
/// assert_eq!("500 GB".parse::<Size>()?.gib(), 466, "at least as much as was asked for");
/// assert!("16 G".parse::<Size>().is_err());
/// # Ok::<(), fulcrum_core::model::SizeError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(u64);

/// The text is no size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a size; write a number and a unit, such as 16 GiB or 500 MB")]
pub struct SizeError(String);

/// Bytes in each unit.
const UNITS: [(&str, u64); 9] = [
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("PiB", 1 << 50),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("PB", 1_000_000_000_000_000),
];

impl Size {
    /// In MiB, rounded up.
    pub fn mib(self) -> u64 {
        self.0.div_ceil(1 << 20)
    }

    /// In GiB, rounded up.
    pub fn gib(self) -> u64 {
        self.0.div_ceil(1 << 30)
    }
}

impl FromStr for Size {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        let read = || {
            let text = text.trim();
            let (unit, bytes) = UNITS.iter().find(|(unit, _)| text.ends_with(unit))?;
            let number: Decimal = text.strip_suffix(unit)?.trim_end().parse().ok()?;
            let bytes = number.checked_mul(Decimal::from(*bytes))?;
            bytes.round_dp_with_strategy(0, RoundingStrategy::ToPositiveInfinity).to_u64()
        };
        read().map(Self).ok_or_else(|| SizeError(text.chars().take(40).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_no_smaller_than_what_is_written() {
        let read = |text: &str| text.parse::<Size>().map(|size| (size.mib(), size.gib()));
        assert_eq!(read("16GiB"), Ok((16_384, 16)));
        assert_eq!(read(" 16 GB "), Ok((15_259, 15)));
        assert_eq!(read("1.5 TiB"), Ok((1_572_864, 1_536)));
        assert_eq!(read("1 kB"), Ok((1, 1)));
        assert_eq!(read("0 MiB"), Ok((0, 0)));
        assert_eq!(read("0.0001 kB"), Ok((1, 1)));
    }

    #[test]
    fn what_may_mean_something_else_is_refused() {
        for text in [
            "",
            "16",
            "GiB",
            "16 G",
            "16 Gb",
            "16 gib",
            "-1 GiB",
            "1e400 GB",
            "NaN GB",
            "16,5 GB",
            "99999999 PB",
        ] {
            let error = text.parse::<Size>().expect_err(text).to_string();
            assert!(error.contains("16 GiB or 500 MB"), "{error}");
        }
    }
}
