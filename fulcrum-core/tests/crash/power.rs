//! The power fails at a point of an order, and with it goes all that was written and not synchronised. SIGKILL alone leaves
//! that in the system's memory, where the next process finds it.
//!
//! A shim that is loaded before the process (`power.c`) keeps what it synchronises.

use std::{
    fs,
    os::unix::process::ExitStatusExt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    process::Command,
};

use fulcrum_core::model::OrderId;
use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::{
    every_point::{self, Scenario},
    support::seed,
};

/// Points that are drawn, unless all are tried.
const SAMPLE: usize = 16;
/// The scenario in which a second request for a step is a second machine.
const SCENARIO: &str = "all at once";

/// Makes the shim.
fn shim(folder: &Path) -> PathBuf {
    let library = folder.join("power.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/crash/power.c");
    let made = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
        .args([&library, &source])
        .args(["-ldl", "-lpthread"])
        .status();
    assert!(made.expect("a C compiler").success(), "the shim does not compile");
    library
}

/// What is left of the ledger: what was synchronised.
fn lose_power(ledger: &Path, kept: &Path) {
    for end in ["", "-wal", "-shm", "-journal"] {
        let path = PathBuf::from(format!("{}{end}", ledger.display()));
        let copy = kept.join(path.file_name().expect("a name"));
        let _ = fs::remove_file(&path);
        if copy.exists() {
            fs::copy(&copy, &path).expect("copied");
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// The process ended before its point came.
    NotKilled,
    /// All services are there once, or none.
    Whole,
    /// Something is lost, or there twice; the message is above.
    Broken,
}

/// What is wrong after the process was killed is a panic.
fn try_point(shim: &Path, scenario: &Scenario, number: usize, point: u64, ignores: bool) -> Outcome {
    let (folder, id) = (tempfile::tempdir().expect("a folder"), OrderId::generate());
    let (ledger, kept) = (folder.path().join("orders.db"), folder.path().join("kept"));
    fs::create_dir(&kept).expect("a folder");
    let mut child = every_point::child(folder.path(), number, point, &id);
    child.env("LD_PRELOAD", shim).env("FULCRUM_POWER_FILE", &ledger).env("FULCRUM_POWER_KEPT", &kept);
    if ignores {
        child.env("FULCRUM_POWER_IGNORE", "1");
    }
    let output = child.output().expect("a child process");
    if output.status.signal() != Some(9) {
        every_point::assert_ended(&output, scenario.name);
        return Outcome::NotKilled;
    }
    lose_power(&ledger, &kept);
    let recovered = every_point::child(folder.path(), number, 0, &id).output().expect("a child process");
    every_point::assert_ended(&recovered, &format!("{}: no recovery after point {point}", scenario.name));
    every_point::check(scenario, folder.path(), point, &id);
    Outcome::Whole
}

#[test]
fn what_is_not_synchronised_may_be_lost_at_every_point() {
    let folder = tempfile::tempdir().expect("a folder");
    let shim = shim(folder.path());
    let scenarios = every_point::scenarios();
    let number = scenarios.iter().position(|it| it.name == SCENARIO).expect("the scenario");
    let scenario = &scenarios[number];
    let last = every_point::points_of(scenario, number);
    let mut chance = StdRng::seed_from_u64(seed::seed());
    let points: Vec<u64> = match std::env::var("FULCRUM_POINTS").is_ok_and(|points| points == "all") {
        true => (1..=last).collect(),
        false => (0..SAMPLE).map(|_| chance.random_range(1..=last)).collect(),
    };
    let tried = |ignores: bool| -> Vec<Outcome> {
        let shim = &shim;
        points
            .chunks(8)
            .flat_map(|some| {
                std::thread::scope(|scope| {
                    let tried: Vec<_> = some
                        .iter()
                        .map(|point| {
                            let tried = move || try_point(shim, scenario, number, *point, ignores);
                            scope.spawn(move || catch_unwind(AssertUnwindSafe(tried)))
                        })
                        .collect();
                    let outcome = |tried: std::thread::ScopedJoinHandle<_>| tried.join().expect("caught");
                    tried.into_iter().map(outcome).collect::<Vec<_>>()
                })
            })
            .map(|outcome| outcome.unwrap_or(Outcome::Broken))
            .collect()
    };
    let count = |outcomes: &[Outcome], of: Outcome| outcomes.iter().filter(|it| **it == of).count();
    let outcomes = tried(false);
    let whole = count(&outcomes, Outcome::Whole);
    assert_eq!(count(&outcomes, Outcome::Broken), 0, "an order did not survive: {outcomes:?}");
    assert!(whole > 0, "no process was killed: {outcomes:?}");
    // A disk that forgets all: this test must notice.
    let broken = count(&tried(true), Outcome::Broken);
    assert!(broken > 0, "nothing is lost where nothing is synchronised");
    println!(
        "figure: the power failed at {whole} of {last} points: 0 orphans, 0 doubles, 0 in limbo; {broken} orders are \
         broken where nothing is synchronised"
    );
}
