//! The fuzz targets' bodies on committed inputs, and on seeded random and mutated ones: what the real fuzzers
//! (`make fuzz`) do for longer and with coverage.

use std::{fs, path::PathBuf};

use rand::{Rng, RngCore, SeedableRng, rngs::StdRng, seq::IndexedRandom};

use crate::{bodies, seed::seed};

/// How many inputs; more where the code is optimised.
fn cases() -> u64 {
    let set = std::env::var("FULCRUM_CASES").ok().and_then(|text| text.parse().ok());
    set.unwrap_or(if cfg!(debug_assertions) { 3000 } else { 30_000 })
}

/// The committed inputs of a target, by name.
fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz")).join(target);
    let mut files: Vec<PathBuf> =
        fs::read_dir(&folder).expect("a corpus").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files.into_iter().map(|file| (file.clone(), fs::read(&file).expect("a file"))).collect()
}

/// Cuts, doubles, swaps, and numbers at an edge put in the place of others.
fn mutate(chance: &mut StdRng, bytes: &mut Vec<u8>) {
    for _ in 0..chance.random_range(1..=4) {
        if bytes.is_empty() {
            return;
        }
        let (a, b) = (chance.random_range(0..bytes.len()), chance.random_range(0..=bytes.len()));
        let (low, high) = (a.min(b), a.max(b));
        match chance.random_range(0..6) {
            0 => drop(bytes.drain(low..high.min(low + 40))),
            1 => bytes[a] = chance.random(),
            2 => {
                let part = bytes[low..high.min(low + 60)].to_vec();
                bytes.splice(a..a, part);
            }
            3 => bytes[a] ^= 1 << chance.random_range(0..8),
            _ => {
                let numbers = [
                    "0",
                    "-1",
                    "1e400",
                    "18446744073709551616",
                    "79228162514264337593543950336",
                    "0.0000000000000000000000000000001",
                    "9".repeat(60).as_str(),
                ]
                .map(str::to_owned);
                let number = numbers.choose(chance).expect("a number").clone();
                let start = (low..bytes.len()).find(|at| bytes[*at].is_ascii_digit()).unwrap_or(low);
                let end = (start..bytes.len()).find(|at| !bytes[*at].is_ascii_digit()).unwrap_or(bytes.len());
                bytes.splice(start..end, number.bytes());
            }
        }
    }
}

/// Runs a body on each committed input, then on changed ones and random bytes; returns how many got past the door.
fn run(target: &str, most_bytes: usize, body: fn(&[u8]) -> bool) -> (u64, u64) {
    let corpus = corpus(target);
    let mut passed = 0;
    for (file, bytes) in &corpus {
        println!("{}", file.display());
        passed += u64::from(body(bytes));
    }
    let seed = seed();
    for case in 0..cases() {
        let mut chance = StdRng::seed_from_u64(seed.wrapping_add(case));
        let bytes = if chance.random_bool(0.8) && target != "compose" {
            let mut bytes = corpus.choose(&mut chance).expect("an input").1.clone();
            mutate(&mut chance, &mut bytes);
            bytes
        } else {
            let mut bytes = vec![0; chance.random_range(0..most_bytes)];
            chance.fill_bytes(&mut bytes);
            bytes
        };
        let outcome = std::panic::catch_unwind(|| body(&bytes));
        let Ok(is_past) = outcome else {
            panic!("{target} fails; FULCRUM_SEED={} FULCRUM_CASES=1", seed.wrapping_add(case))
        };
        passed += u64::from(is_past);
    }
    println!("{target}: {passed} of {} accepted", cases() + corpus.len() as u64);
    (passed, cases() + corpus.len() as u64)
}

#[test]
fn prop_no_text_makes_the_blueprint_reader_panic() {
    let (accepted, all) = run("blueprint", 300, bodies::blueprint);
    assert!(accepted > 0 && accepted < all, "{accepted} of {all}");
}

#[test]
fn prop_no_text_makes_the_catalogue_reader_panic() {
    let (accepted, all) = run("catalogue", 300, bodies::catalogue);
    assert!(accepted > 0 && accepted < all, "{accepted} of {all}");
}

#[test]
fn prop_no_market_makes_the_engine_panic_and_every_plan_is_sound() {
    let (plans, all) = run("compose", 2000, bodies::plan);
    assert!(cases() < 1000 || plans * 40 > all, "only {plans} plans of {all}: the generator is too wild");
}
