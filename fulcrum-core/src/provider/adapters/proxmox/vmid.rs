//! The number of a machine (VMID), which follows from its key: the same key twice is the same machine, or a refusal.

use super::config::VmidRange;
use crate::model::IdempotencyKey;

/// Numbers of a key: if a foreign machine has one, the next is used.
const VMIDS_PER_KEY: u8 = 4;

/// The numbers of a key, in the order in which they are tried.
pub(super) fn vmids_of(key: &IdempotencyKey, range: VmidRange) -> Vec<u64> {
    let size = range.to.saturating_sub(range.from).saturating_add(1);
    let number = |choice: u8| {
        let digest = blake3::Hasher::new().update(key.as_str().as_bytes()).update(&[0, choice]).finalize();
        let [a, b, c, d, e, f, g, h, ..] = *digest.as_bytes();
        range.from + u64::from_be_bytes([a, b, c, d, e, f, g, h]) % size
    };
    let mut numbers = Vec::new();
    for number in (0..VMIDS_PER_KEY).map(number) {
        if !numbers.contains(&number) {
            numbers.push(number);
        }
    }
    numbers
}

/// The key of a machine, if its name and its number belong together. No other machine is ever changed.
pub(super) fn key_of(name: &str, number: u64, range: VmidRange) -> Option<IdempotencyKey> {
    IdempotencyKey::new(name).ok().filter(|key| vmids_of(key, range).contains(&number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::OrderId;

    #[test]
    fn a_number_belongs_to_its_key_alone() {
        let range = VmidRange { from: 5_000_000, to: 5_999_999 };
        let key = |at| IdempotencyKey::of_step(&OrderId::generate(), at);
        for at in 0..50 {
            let (one, other) = (key(at), key(at));
            let numbers = vmids_of(&one, range);
            assert_eq!(numbers, vmids_of(&one, range), "always the same");
            assert!(numbers.iter().all(|number| (range.from..=range.to).contains(number)));
            for number in numbers {
                assert_eq!(key_of(one.as_str(), number, range), Some(one.clone()));
                assert_eq!(key_of(other.as_str(), number, range), None);
                assert_eq!(key_of("Web server", number, range), None);
            }
        }
        // A range of one number has one number.
        assert_eq!(vmids_of(&key(0), VmidRange { from: 7, to: 7 }), [7]);
    }
}
