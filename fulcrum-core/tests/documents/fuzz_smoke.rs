//! The fuzz targets' bodies on committed inputs, and on seeded random and mutated ones: what the real fuzzers
//! (`make fuzz`) do for longer and with coverage.

use std::{fs, panic::AssertUnwindSafe, path::PathBuf};

use fulcrum_core::ledger::check_ledger;
use rand::{Rng, RngCore, SeedableRng, rngs::StdRng, seq::IndexedRandom};

use crate::{bodies, seed::seed};

/// How many inputs of a target; more where the code is optimised.
fn cases(target: &str) -> u64 {
    let set = std::env::var("FULCRUM_CASES").ok().and_then(|text| text.parse().ok());
    let usual = match target {
        "blueprint" | "catalogue" | "compose" => 3000,
        "archive" | "host_json" | "orders" => 300,
        // Each makes a client, which reads the authorities of the system.
        _ => 40,
    };
    set.unwrap_or(if cfg!(debug_assertions) { usual } else { usual * 10 })
}

/// What stands in the committed corpora: few files, and small ones.
const MOST_FILES: usize = 20;
const MOST_BYTES: u64 = 50 << 10;
/// What `scripts/fuzz --keep` has packed, all together.
const MOST_PACKED_BYTES: u64 = 1_500_000;

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
fn run(target: &str) -> (u64, u64) {
    let most_bytes =
        bodies::targets().into_iter().find(|it| it.name == target).expect("it is listed").most_bytes;
    let body = bodies::body(target).expect("a body");
    let corpus = corpus(target);
    let mut passed = 0;
    for (file, bytes) in &corpus {
        println!("{}", file.display());
        passed += u64::from(body(bytes));
    }
    assert!(passed > 0, "no committed input of {target} gets past the door");
    let (seed, most_bytes) = (seed(), most_bytes.min(2000));
    for case in 0..cases(target) {
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
        let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| body(&bytes)));
        let Ok(is_past) = outcome else {
            panic!("{target} fails; FULCRUM_SEED={} FULCRUM_CASES=1", seed.wrapping_add(case))
        };
        passed += u64::from(is_past);
    }
    let all = cases(target) + corpus.len() as u64;
    println!("{target}: {passed} of {all} accepted");
    (passed, all)
}

#[test]
fn prop_no_text_makes_the_blueprint_reader_panic() {
    let (accepted, all) = run("blueprint");
    assert!(accepted > 0 && accepted < all, "{accepted} of {all}");
}

#[test]
fn prop_no_text_makes_the_catalogue_reader_panic() {
    let (accepted, all) = run("catalogue");
    assert!(accepted > 0 && accepted < all, "{accepted} of {all}");
}

#[test]
fn prop_no_market_makes_the_engine_panic_and_every_plan_is_sound() {
    let (plans, all) = run("compose");
    assert!(
        cases("compose") < 1000 || plans * 40 > all,
        "only {plans} plans of {all}: the generator is too wild"
    );
}

#[test]
fn prop_no_answer_makes_an_adapter_panic_or_tell_a_secret() {
    for target in bodies::targets().iter().filter(|target| target.name.starts_with("answers_")) {
        run(target.name);
    }
}

#[test]
fn prop_no_header_makes_a_client_wait_for_ever() {
    run("headers");
}

#[test]
fn prop_no_recording_makes_its_player_panic() {
    run("cassette");
}

#[test]
fn prop_no_document_of_a_federation_reads_or_writes_elsewhere() {
    run("federation");
}

#[test]
fn prop_no_archive_is_believed_that_was_changed() {
    run("archive");
}

#[test]
fn prop_no_answer_of_a_host_makes_its_provider_panic() {
    run("host_json");
}

#[test]
fn prop_no_plan_and_no_failure_buys_twice_or_leaves_anything() {
    run("orders");
}

#[test]
fn the_list_of_targets_is_whole_and_their_corpora_are_small() {
    let targets = bodies::targets();
    for target in &targets {
        assert!(
            target.name == "c_calls" || bodies::body(target.name).is_some(),
            "{} has no body",
            target.name
        );
        assert!(["parser", "driver"].contains(&target.kind), "{}: {}", target.name, target.kind);
        let files = corpus(target.name);
        let bytes: u64 = files.iter().map(|(_, bytes)| bytes.len() as u64).sum();
        assert!(
            files.len() <= MOST_FILES && bytes <= MOST_BYTES,
            "{}: {} files, {bytes} bytes",
            target.name,
            files.len()
        );
        assert!(
            files.iter().all(|(_, bytes)| bytes.len() <= target.most_bytes),
            "{} has longer inputs",
            target.name
        );
    }
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz");
    for entry in fs::read_dir(folder).expect("a folder") {
        let name = entry.expect("an entry").file_name().into_string().expect("a name");
        assert!(
            name == "TARGETS" || name == "corpora" || targets.iter().any(|target| target.name == name),
            "{name} is the corpus of nothing"
        );
    }
}

#[test]
fn what_the_fuzzers_have_learnt_is_kept_and_small() {
    let mut bytes = 0;
    for entry in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/corpora")).expect("a folder") {
        let entry = entry.expect("an entry");
        let name = entry.file_name().into_string().expect("a name");
        let target = name.strip_suffix(".tar.xz").unwrap_or_default();
        assert!(
            bodies::targets().iter().any(|known| known.name == target),
            "{name} is the corpus of nothing"
        );
        bytes += entry.metadata().expect("a file").len();
    }
    assert!(bytes > 0 && bytes <= MOST_PACKED_BYTES, "{bytes} bytes");
}

#[tokio::test]
async fn the_ledger_of_the_targets_is_a_ledger() {
    let order = bodies::orders::an_order().await;
    check_ledger(&bodies::memory_ledger::MemoryLedger::default(), &order)
        .await
        .expect("it keeps every promise");
}

/// With FULCRUM_BLESS set the committed archives are written again.
#[tokio::test]
async fn archives_are_as_the_target_knows_them() {
    for (name, archive) in bodies::orders::archives().await {
        let text = archive.to_json().expect("text");
        if std::env::var_os("FULCRUM_BLESS").is_some() {
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/archive");
            fs::write(format!("{folder}/{name}.json"), &text).expect("written");
        }
        assert!(bodies::body("archive").expect("a body")(text.as_bytes()), "{name}");
    }
}
