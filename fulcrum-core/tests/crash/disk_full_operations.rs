//! No space is left at a write of what is done to an order after its purchase: it is cancelled, acted upon, released, tried
//! again, settled, forgotten, or its events are delivered. The call says what to do, no cloud is asked for what is not
//! recorded, and with space again the same is asked for once more, and has been done once.
//!
//! Some writes of each operation are drawn by chance; with `FULCRUM_POINTS=all` every one is tried.

use std::{
    collections::BTreeSet,
    io::Write,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use crate::{
    disk_full::{CLAIM_TTL, Disk, FullDisk, clear, file, is_said, on_each_disk, told},
    hindered_ledger::Hindered,
    ledger_spy::Witness,
    operation::{self, Billing, OPERATIONS, Operation, clouds},
    support::{providers, seed},
};
use fulcrum_core::{
    ledger::{Ledger, LedgerError, SqliteLedger},
    purchase::{Engine, PurchaseError},
};
use rand::{Rng, SeedableRng, rngs::StdRng};

/// Writes of each operation that are drawn, unless all are tried.
const SAMPLE: usize = 4;
/// Longer than this, and an order is in limbo.
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn what_is_done_to_an_order_stops_where_it_cannot_be_recorded() {
    on_each_disk("disk_full_operations::the_process_without_space", &["limit", "ballast"]);
}

#[test]
#[ignore = "run by the test above, as the process that runs out of space"]
fn the_process_without_space() {
    let Some((folder, kind)) = told() else { return };
    let all = std::env::var("FULCRUM_POINTS").is_ok_and(|points| points == "all");
    let mut chance = StdRng::seed_from_u64(seed::seed());
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (mut tried, mut refused) = (0, 0);
    for operation in OPERATIONS {
        let mut run = |at: usize| {
            let disk = FullDisk::new(Disk::of(&kind, &folder));
            let path = file(&folder);
            let done = runtime.block_on(perform(operation, at, &path, disk, &log));
            clear(&path);
            refused += done.refused;
            done
        };
        let last = run(usize::MAX).writes;
        assert!(last > 0, "{operation:?} writes nothing");
        let points: BTreeSet<usize> = match all {
            true => (1..=last).collect(),
            false => (0..SAMPLE).map(|_| chance.random_range(1..=last)).collect(),
        };
        for at in points {
            // What is written besides, such as a renewal of a claim, may be once less.
            let done = run(at);
            assert!(done.writes >= at || at + 1 >= last, "{operation:?}: {} writes of {last}", done.writes);
            tried += 1;
        }
    }
    println!(
        "figure: {kind}: no space at {tried} writes of {} operations, {refused} errors: 0 calls without their record, each \
         is done once",
        OPERATIONS.len()
    );
    assert!(refused > OPERATIONS.len(), "only {refused} errors");
}

/// What is logged, as text.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn take(&self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut *self.0.lock().expect("no panic"))).into_owned()
    }
}

struct Done {
    writes: usize,
    refused: usize,
}

/// One operation, with no space from its `at`-th write on until it has said so.
async fn perform(operation: Operation, at: usize, path: &Path, full: Arc<FullDisk>, log: &Log) -> Done {
    let context = format!("{operation:?}, no space at write {at}");
    let clouds = clouds(None, operation.is_of_stuck());
    let ledger: Arc<dyn Ledger> = Arc::new(SqliteLedger::open(path).await.expect("a ledger"));
    let id = operation::prepare(operation, &Engine::new(providers(&clouds), ledger.clone())).await;
    let hindered = Hindered::new(ledger.clone(), at, full.clone());
    let witness = Witness::new(ledger.clone(), id.clone());
    let engine = Engine::new(witness.at(&clouds), hindered.clone()).with_claim_ttl(CLAIM_TTL);
    let billing = Billing::Memory(Arc::default());
    log.take();
    let mut refused = 0;
    let done = async {
        loop {
            let stepped = operation::step(operation, &engine, &id, &billing);
            let outcome = match operation {
                // It has nobody to tell but the log, and goes on by itself.
                Operation::Deliver => {
                    tokio::select! { done = stepped => done, never = free_later(&full) => never }
                }
                _ => stepped.await,
            };
            match outcome {
                Ok(true) => return,
                // Claims are short, so that the next driver need not wait long.
                Ok(false)
                | Err(PurchaseError::Ledger(LedgerError::Claimed { .. } | LedgerError::Fenced(_))) => {}
                Err(error) => {
                    let text = error.to_string();
                    assert!(full.is_full() && is_said(&text), "{context}: {text}");
                    refused += 1;
                }
            }
            full.free();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, done).await.unwrap_or_else(|_| panic!("{context}: it is in limbo"));
    full.free();
    let said = log.take();
    if operation == Operation::Deliver && hindered.writes() >= at {
        let is_told = |line: &str| line.contains("events not delivered") && is_said(line);
        refused += said.lines().filter(|line| is_told(line)).count();
        // Of the claim of an order that is done already nobody need hear.
        assert!(refused > 0 || said.contains("claim not released"), "{context}: {said}");
    }
    assert_eq!(witness.wrong(), Vec::<String>::new(), "{context}");
    let calls = match operation {
        Operation::Cancel => 3,
        Operation::Act | Operation::Release | Operation::Retry => 1,
        Operation::Settle | Operation::Forget | Operation::Deliver => 0,
    };
    let asked = witness.asked();
    assert_eq!(asked.len(), calls, "{context}: asked for otherwise than once: {asked:?}");
    let calm = Engine::new(providers(&clouds), ledger);
    operation::check(operation, &clouds, &calm, &id, &billing, &context).await;
    Done { writes: hindered.writes(), refused }
}

/// Frees the disk by and by, for ever.
async fn free_later(full: &FullDisk) -> Result<bool, PurchaseError> {
    loop {
        tokio::time::sleep(Duration::from_millis(150)).await;
        full.free();
    }
}
