//! A machine's number follows from its key: so the same key twice is the same machine, or a refusal.

use super::config::Numbers;
use crate::model::IdempotencyKey;

/// How many numbers a key may have: where a stranger has one, the next is taken.
const CHOICES: u8 = 4;

/// The numbers that a key may have, in the order in which they are taken.
pub(super) fn numbers_of(key: &IdempotencyKey, range: Numbers) -> Vec<u64> {
    let size = range.to.saturating_sub(range.from).saturating_add(1);
    let number = |choice: u8| {
        let digest = blake3::Hasher::new().update(key.as_str().as_bytes()).update(&[0, choice]).finalize();
        let [a, b, c, d, e, f, g, h, ..] = *digest.as_bytes();
        range.from + u64::from_be_bytes([a, b, c, d, e, f, g, h]) % size
    };
    let mut numbers = Vec::new();
    for number in (0..CHOICES).map(number) {
        if !numbers.contains(&number) {
            numbers.push(number);
        }
    }
    numbers
}

/// The key of a machine by its name, if the name and its number belong together. Nothing else is ever touched.
pub(super) fn key_of(name: &str, number: u64, range: Numbers) -> Option<IdempotencyKey> {
    IdempotencyKey::new(name).ok().filter(|key| numbers_of(key, range).contains(&number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::OrderId;

    #[test]
    fn a_number_belongs_to_its_key_alone() {
        let range = Numbers { from: 5_000_000, to: 5_999_999 };
        let key = |at| IdempotencyKey::of_step(&OrderId::generate(), at);
        for at in 0..50 {
            let (one, other) = (key(at), key(at));
            let numbers = numbers_of(&one, range);
            assert_eq!(numbers, numbers_of(&one, range), "always the same");
            assert!(numbers.iter().all(|number| (range.from..=range.to).contains(number)));
            for number in numbers {
                assert_eq!(key_of(one.as_str(), number, range), Some(one.clone()));
                assert_eq!(key_of(other.as_str(), number, range), None);
                assert_eq!(key_of("Web server", number, range), None);
            }
        }
        // All that there is: whoever reserves one number has one.
        assert_eq!(numbers_of(&key(0), Numbers { from: 7, to: 7 }), [7]);
    }
}
