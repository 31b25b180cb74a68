//! Changes of texts, word by word: half of what libFuzzer changes in a document makes it none, so that little is tried behind
//! its reader. After Padhye, Lemieux, Sen, Papadakis, Le Traon (2019), "Semantic Fuzzing with Zest": stay within the form.

use rand::{Rng, SeedableRng, rngs::StdRng};

/// Values that programs are careless with.
const VALUES: [&str; 18] = [
    "", "0", "-1", "1", "4", "1.5", "0.0000001", "1e9", "65536", "4294967296", "18446744073709551616", "null", "true", "~",
    "[]", "{}", "\"\"", "*",
];
const PUNCTUATION_CHARS: &[u8] = b"-_. :/@+%~!?=,;*&#'\"()[]{}<>|\\^$";

/// Changes the first `size` bytes of `data`, of which there may come to be `data.len()`. Returns how many there are then.
pub fn mutate(data: &mut [u8], size: usize, seed: u32) -> usize {
    let mut random = StdRng::seed_from_u64(seed.into());
    let mut text = data[..size].to_vec();
    for _ in 0..random.random_range(1..=3) {
        change(&mut text, &mut random);
    }
    let size = text.len().min(data.len());
    data[..size].copy_from_slice(&text[..size]);
    size
}

fn change(text: &mut Vec<u8>, random: &mut StdRng) {
    let words = words(text);
    if words.is_empty() {
        text.extend(VALUES[random.random_range(0..VALUES.len())].bytes());
        return;
    }
    let (from, to) = words[random.random_range(0..words.len())];
    match random.random_range(0..8) {
        0 | 1 => {
            let at = random.random_range(from..=to);
            text.insert(at, letter(random));
        }
        2 | 3 => text[random.random_range(from..to)] = letter(random),
        4 => {
            let (other, end) = words[random.random_range(0..words.len())];
            let other = text[other..end].to_vec();
            text.splice(from..to, other);
        }
        5 => {
            text.splice(from..to, VALUES[random.random_range(0..VALUES.len())].bytes());
        }
        6 => {
            text.drain(from..to);
        }
        _ => {
            let begin = text[..from].iter().rposition(|it| *it == b'\n').map_or(0, |at| at + 1);
            let end = text[to..].iter().position(|it| *it == b'\n').map_or(text.len(), |at| to + at + 1);
            let line = text[begin..end].to_vec();
            text.splice(begin..begin, line);
        }
    }
}

fn letter(random: &mut StdRng) -> u8 {
    match random.random_range(0..4) {
        0 => random.random_range(b'0'..=b'9'),
        1 => random.random_range(b'a'..=b'z'),
        2 => random.random_range(b'A'..=b'Z'),
        _ => PUNCTUATION_CHARS[random.random_range(0..PUNCTUATION_CHARS.len())],
    }
}

/// Where each word begins and ends: what stands between the signs of a form.
fn words(text: &[u8]) -> Vec<(usize, usize)> {
    let is_sign = |it: &u8| it.is_ascii_whitespace() || b",;:{}[]\"'#=<>".contains(it);
    let mut words = Vec::new();
    let mut from = None;
    for (at, byte) in text.iter().enumerate() {
        match (is_sign(byte), from) {
            (true, Some(begin)) => {
                words.push((begin, at));
                from = None;
            }
            (false, None) => from = Some(at),
            _ => {}
        }
    }
    words.extend(from.map(|begin| (begin, text.len())));
    words
}
