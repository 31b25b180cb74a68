//! Ranges of addresses (RFC 4632): a network's `cidr`.

use std::{fmt, net::Ipv4Addr};

/// The range of a network that does not say.
const DEFAULT_RANGE: &str = "10.0.0.0/16";
/// The shortest and the longest prefix of a network.
const PREFIX_BITS: std::ops::RangeInclusive<u8> = 8..=28;

/// A range of IPv4 addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::provider) struct Cidr {
    first: u32,
    bits: u8,
}

impl Cidr {
    /// The range in a network's settings.
    ///
    /// # Errors
    /// Why the text is none, and what to write.
    pub(in crate::provider) fn of(setting: &dyn Fn(&str) -> Option<String>) -> Result<Self, String> {
        Self::parse(&setting("cidr").unwrap_or_else(|| DEFAULT_RANGE.to_owned()))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            let (shortest, longest) = (PREFIX_BITS.start(), PREFIX_BITS.end());
            format!(
                "the cidr {text} is no range of a network; write its first address and a prefix of {shortest} to {longest} bits, such as {DEFAULT_RANGE}"
            )
        };
        let (address, bits) = text.split_once('/').ok_or_else(wrong)?;
        let address: Ipv4Addr = address.parse().map_err(|_| wrong())?;
        let bits: u8 = bits.parse().map_err(|_| wrong())?;
        let first = u32::from(address);
        let is_first = PREFIX_BITS.contains(&bits) && first.trailing_zeros() >= 32 - u32::from(bits);
        is_first.then_some(Self { first, bits }).ok_or_else(wrong)
    }

    pub(in crate::provider) fn bits(self) -> u8 {
        self.bits
    }

    /// One of its parts with so many further bits. None if there are not so many.
    pub(in crate::provider) fn part(self, number: u32, further_bits: u8) -> Option<Self> {
        let bits = self.bits.checked_add(further_bits).filter(|bits| *bits <= 32)?;
        let is_there = u64::from(number) < 1 << further_bits;
        let first = self.first | number.checked_shl(32 - u32::from(bits)).unwrap_or_default();
        is_there.then_some(Self { first, bits })
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from(self.first), self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_lie_side_by_side() {
        let cidr = Cidr::of(&|_| None).expect("the default");
        assert_eq!(cidr.to_string(), "10.0.0.0/16");
        let part = |number| cidr.part(number, 3).map(|part| part.to_string());
        assert_eq!(
            [0, 1, 7].map(part),
            ["10.0.0.0/19", "10.0.32.0/19", "10.0.224.0/19"].map(|it| Some(it.to_owned()))
        );
        assert_eq!((part(8), cidr.part(0, 17)), (None, None));
        assert_eq!(cidr.part(0, 16).map(|it| it.to_string()).as_deref(), Some("10.0.0.0/32"));
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for wrong in [
            "",
            "10.0.0.0",
            "10.0.0.0/7",
            "10.0.0.0/29",
            "10.0.0.1/16",
            "10.0.0.0/x",
            "::/20",
            "10.0.0.0/255",
        ] {
            let why = Cidr::parse(wrong).expect_err(wrong);
            assert!(why.contains(wrong) && why.contains(DEFAULT_RANGE), "{why}");
        }
    }
}
