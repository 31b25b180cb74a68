//! SQLite's write-ahead log as a power cut may leave it (https://www.sqlite.org/walformat.html).

use std::path::Path;

use rand::{Rng, rngs::StdRng};

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;

/// Spoils what lies behind the last frame that ends a transaction: nothing there was ever acknowledged. Says whether there
/// was a log.
pub fn tear(path: &Path, chance: &mut StdRng) -> bool {
    let Ok(mut log) = std::fs::read(path) else { return false };
    if log.len() < HEADER {
        return false;
    }
    let number = |at: usize| u32::from_be_bytes(log[at..at + 4].try_into().expect("four bytes"));
    let frame = FRAME_HEADER + number(8) as usize;
    let (mut at, mut end) = (HEADER, HEADER);
    // Frames of this log carry its salts; what comes after them is older.
    while at + frame <= log.len() && log[at + 8..at + 16] == log[16..24] {
        at += frame;
        if number(at - frame + 4) != 0 {
            end = at;
        }
    }
    match chance.random_range(0..3) {
        // Cut off in the middle.
        0 => log.truncate(chance.random_range(end..=log.len())),
        // Written, and something else is there.
        1 => log[end..].iter_mut().for_each(|byte| *byte = chance.random()),
        // The head of a frame that would end a transaction, and a part of its page.
        _ => {
            let mut torn = vec![0; chance.random_range(FRAME_HEADER..=frame)];
            torn[..8].copy_from_slice(&[0, 0, 0, 2, 0, 0, 0, 9]);
            torn[8..16].copy_from_slice(&log[16..24]);
            torn[16..].iter_mut().for_each(|byte| *byte = chance.random());
            log.truncate(end);
            log.extend(torn);
        }
    }
    std::fs::write(path, log).expect("written");
    true
}
