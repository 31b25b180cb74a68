//! Limits on the durations of a sandbox's document, so that every time fits the clock and every call ends.

use serde::{Deserialize, Deserializer};

/// The longest latency of a call: ten minutes.
const MAX_LATENCY_MS: u64 = 10 * 60 * 1_000;
/// The longest other duration: a year.
const MAX_DURATION_MS: u64 = 366 * 24 * 60 * 60 * 1_000;

fn within<E: serde::de::Error>(ms: u64, most: u64) -> Result<u64, E> {
    if ms <= most { Ok(ms) } else { Err(E::custom(format!("{ms} ms is too long; write at most {most}"))) }
}

pub(super) fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    within(u64::deserialize(deserializer)?, MAX_DURATION_MS)
}

pub(super) fn range<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u64; 2], D::Error> {
    both(deserializer, MAX_DURATION_MS)
}

pub(super) fn call<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u64; 2], D::Error> {
    both(deserializer, MAX_LATENCY_MS)
}

fn both<'de, D: Deserializer<'de>>(deserializer: D, most: u64) -> Result<[u64; 2], D::Error> {
    let [least, longest] = <[u64; 2]>::deserialize(deserializer)?;
    Ok([within(least, most)?, within(longest, most)?])
}

#[cfg(test)]
mod tests {
    use crate::{model::parse_yaml, provider::sandbox::SandboxConfig};

    #[test]
    fn times_have_an_end() {
        let read = |more: &str| parse_yaml::<SandboxConfig>(&format!("catalogue: c.json\n{more}\n"));
        for more in ["latency_ms: [0, 600000]", "operation_ms: [5, 31622400000]", "list_lag_ms: 31622400000"]
        {
            read(more).expect(more);
        }
        for (more, path) in [
            ("latency_ms: [0, 600001]", "latency_ms"),
            ("latency_ms: [18446744073709551615, 18446744073709551615]", "latency_ms"),
            ("operation_ms: [0, 1000000000000000]", "operation_ms"),
            ("list_lag_ms: 18446744073709551615", "list_lag_ms"),
            ("reserves_for_ms: 31622400001", "reserves_for_ms"),
            ("faults: [{ call: provision, fault: { late: { ms: 1000000000000000 } } }]", "faults"),
            (
                "faults: [{ call: quote, fault: { rate_limited: { retry_after_ms: 18446744073709551615 } } }]",
                "faults",
            ),
        ] {
            let why = read(more).expect_err(more).to_string();
            assert!(why.starts_with(path) && why.contains("write"), "{why}");
        }
    }
}
