//! No space is left at each write to the ledger, one after the other: the order stops before the call that it could not
//! have recorded, the error says what to do, and with space again the order goes on to its end.
//!
//! Twice: with a limit on files' sizes, which needs no rights, and on a small file system of its own that is really full,
//! where the system lets one be made. There the ledger is also opened read-only. Each is a process of this executable.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::{
    hindered_ledger::{Hindered, Hindrance},
    ledger_spy::Witness,
    support::{self, clouds, count, plan},
};
use async_trait::async_trait;
use fulcrum_core::{
    ledger::{Ledger, LedgerError, SqliteLedger},
    model::{OrderId, OrderState, Policy},
    provider::{
        Call, IdempotencyClass,
        sandbox::{Fault, FaultRule},
    },
    purchase::{Engine, PurchaseError},
};

/// Short, as a claim that cannot be given back is waited for. One that is lost is taken again.
pub(crate) const CLAIM_TTL: Duration = Duration::from_millis(250);
const LAGGING: IdempotencyClass = IdempotencyClass::Searchable { list_lag_ms: 25 };

/// How this process runs out of space.
#[derive(Debug)]
pub(crate) enum Disk {
    /// No file may be written any more: a limit of the process, set from outside as `setrlimit` is not safe Rust.
    Limit,
    /// The file system of the ledger is filled to the last byte.
    Ballast(PathBuf),
}

impl Disk {
    fn limit(soft: &str) {
        let pid = std::process::id().to_string();
        let set =
            Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={soft}:unlimited")]).status();
        assert!(set.expect("prlimit").success(), "the limit cannot be set");
    }

    pub(crate) fn of(kind: &str, folder: &Path) -> Self {
        if kind == "limit" { Self::Limit } else { Self::Ballast(folder.join("ballast")) }
    }

    fn fill(&self) {
        match self {
            Self::Limit => Self::limit("0"),
            Self::Ballast(path) => {
                let mut file = std::fs::File::create(path).expect("a file");
                while file.write_all(&[0; 512]).is_ok() {}
            }
        }
    }

    fn free(&self) {
        match self {
            Self::Limit => Self::limit("unlimited"),
            Self::Ballast(path) => std::fs::remove_file(path).expect("removed"),
        }
    }
}

/// No space on a disk, from when it is hindered until somebody frees some.
#[derive(Debug)]
pub(crate) struct FullDisk {
    disk: Disk,
    is_full: AtomicBool,
}

impl FullDisk {
    pub(crate) fn new(disk: Disk) -> Arc<Self> {
        Arc::new(Self { disk, is_full: AtomicBool::new(false) })
    }

    pub(crate) fn is_full(&self) -> bool {
        self.is_full.load(Ordering::SeqCst)
    }

    pub(crate) fn free(&self) {
        if self.is_full.swap(false, Ordering::SeqCst) {
            self.disk.free();
        }
    }
}

#[async_trait]
impl Hindrance for FullDisk {
    async fn begin(&self) {
        self.disk.fill();
        self.is_full.store(true, Ordering::SeqCst);
    }
}

/// Runs an ignored test as a process on each kind of disk that can be had here.
pub(crate) fn on_each_disk(test: &str, kinds: &[&str]) {
    let this = std::env::current_exe().expect("this executable");
    let folder = tempfile::tempdir().expect("a folder");
    let is_there = |name: &str| {
        let found = Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        found.is_ok_and(|status| status.success())
    };
    let mount = "mount -t tmpfs -o size=4m tmpfs \"$FULCRUM_FULL_FOLDER\" && exec \"$0\" \"$@\"";
    let mounts = Command::new("unshare")
        .args(["-rm", "mount", "-t", "tmpfs", "tmpfs"])
        .arg(folder.path())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    let mut tried = 0;
    for kind in kinds {
        let mut command = match *kind {
            "limit" if is_there("prlimit") => {
                let mut command = Command::new("sh");
                // A write beyond the limit must fail, not end the process: what is ignored here stays so in the process.
                command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]);
                command
            }
            "limit" => {
                println!("SKIPPED: a limit on files' sizes, as there is no prlimit");
                continue;
            }
            _ if mounts => {
                let mut command = Command::new("unshare");
                command.args(["-rm", "sh", "-c", mount]);
                command
            }
            _ => {
                println!("SKIPPED: a file system that is {kind}, as this user may not make one");
                continue;
            }
        };
        let output = command
            .arg(&this)
            .args(["--exact", test, "--ignored", "--nocapture"])
            .env("FULCRUM_FULL_FOLDER", folder.path())
            .env("FULCRUM_FULL_KIND", kind)
            .output()
            .expect("a child process");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{kind}: {said}{}", String::from_utf8_lossy(&output.stderr));
        let figures: Vec<_> = said.lines().filter(|line| line.starts_with("figure: ")).collect();
        assert!(!figures.is_empty(), "{kind}: the test was not run: {said}");
        figures.iter().for_each(|line| println!("{line}"));
        tried += 1;
    }
    assert!(tried > 0, "nothing was tried");
}

/// The file of a ledger of its own: the one before may still be closing its files.
pub(crate) fn file(folder: &Path) -> PathBuf {
    static FILES: AtomicUsize = AtomicUsize::new(0);
    folder.join(format!("orders-{}.db", FILES.fetch_add(1, Ordering::SeqCst)))
}

/// The files of a ledger go away, whatever is in them.
pub(crate) fn clear(path: &Path) {
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{end}", path.display()));
    }
}

/// What a process of these tests is told; nothing where it was not started as one.
pub(crate) fn told() -> Option<(PathBuf, String)> {
    let folder = std::env::var_os("FULCRUM_FULL_FOLDER").map(PathBuf::from)?;
    Some((folder, std::env::var("FULCRUM_FULL_KIND").expect("a kind")))
}

#[test]
fn an_order_stops_before_the_call_that_it_could_not_record() {
    on_each_disk("disk_full::the_process_without_space", &["limit", "ballast", "read-only"]);
}

#[test]
#[ignore = "run by the test above, as the process that runs out of space"]
fn the_process_without_space() {
    let Some((folder, kind)) = told() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        if kind == "read-only" {
            return read_only(&folder).await;
        }
        let (mut writes, mut refused) = (0, 0);
        for class in [IdempotencyClass::Key, LAGGING] {
            for (fault, end) in [(None, OrderState::Committed), (Some(Fault::SoldOut), OrderState::Failed)] {
                for at in 1.. {
                    let path = file(&folder);
                    let disk = Disk::of(&kind, &folder);
                    let was_reached = buy(&path, disk, at, class, fault.clone(), end, &mut refused).await;
                    clear(&path);
                    if !was_reached {
                        break;
                    }
                    writes += 1;
                }
            }
        }
        println!(
            "figure: {kind}: no space at {writes} writes, {refused} errors: 0 calls without their record, 0 in limbo"
        );
        assert!(writes > 40, "only {writes} writes");
    });
}

/// Whether an error names the ledger, and what to do.
pub(crate) fn is_said(error: &str) -> bool {
    error.contains("ledger") && error.contains("free space")
}

/// One order, with no space from the `at`-th write on until it has stopped.
async fn buy(
    path: &Path,
    disk: Disk,
    at: usize,
    class: IdempotencyClass,
    fault: Option<Fault>,
    end: OrderState,
    refused: &mut usize,
) -> bool {
    let faults: Vec<FaultRule> = fault
        .map(|fault| FaultRule { call: Call::Provision, sku: None, nth: 1, times: 1000, fault })
        .into_iter()
        .collect();
    let clouds = clouds(None, class, "gamma", &faults);
    let ledger = Arc::new(SqliteLedger::open(path).await.expect("a ledger"));
    let full = FullDisk::new(disk);
    let hindered = Hindered::new(ledger.clone(), at, full.clone());
    let id = OrderId::generate();
    let witness = Witness::new(ledger.clone(), id.clone());
    let engine = Engine::new(witness.at(&clouds), hindered.clone()).with_claim_ttl(CLAIM_TTL);
    let policy = Policy::default().with_concurrency(if at.is_multiple_of(2) { 1 } else { 8 });
    let context = format!("{class:?}, no space at write {at}");
    let order = tokio::time::timeout(Duration::from_secs(300), async {
        loop {
            let outcome = match engine.accept(plan(), policy.clone(), Some(id.clone())).await {
                Ok(_) => engine.drive(&id).await,
                Err(error) => Err(error),
            };
            match outcome {
                Ok(order) => return order,
                // Claims are short, so that the next driver need not wait long.
                Err(PurchaseError::Ledger(LedgerError::Claimed { .. } | LedgerError::Fenced(_))) => {}
                Err(error) => {
                    let text = error.to_string();
                    assert!(full.is_full() && is_said(&text), "{context}: {text}");
                    *refused += 1;
                }
            }
            full.free();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let order = order.await.unwrap_or_else(|_| panic!("{context}: the order is in limbo"));
    full.free();
    assert_eq!(order.state, end, "{context}: {:?}", order.reason);
    assert_eq!(witness.wrong(), Vec::<String>::new(), "{context}");
    let (alive, of_key) = count(&clouds);
    let all = if end == OrderState::Committed { 3 } else { 0 };
    assert_eq!((alive, of_key.len()), (all, all), "{context}");
    ledger.verify(&id).await.expect("whole");
    hindered.writes() >= at
}

/// A ledger on a file system that nobody may write to.
async fn read_only(folder: &Path) {
    let path = folder.join("orders.db");
    let clouds = clouds(None, LAGGING, "", &[]);
    let ledger = SqliteLedger::open(&path).await.expect("a ledger");
    let engine = Engine::new(support::providers(&clouds), Arc::new(ledger));
    let order = engine.accept(plan(), Policy::default(), None).await.expect("accepted");
    drop(engine);
    let remount = |how: &str| {
        // Connections are closed in the background.
        (0..100).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            let remounted =
                Command::new("mount").args(["-o", how]).arg(folder).stderr(Stdio::null()).status();
            remounted.expect("mount").success()
        })
    };
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(remount("remount,ro"), "it cannot be made read-only");
    // That it cannot be written may show as late as at the first claim; nothing is bought in any case.
    let refused = match SqliteLedger::open(&path).await {
        Err(error) => error.to_string(),
        Ok(ledger) => {
            let engine = Engine::new(support::providers(&clouds), Arc::new(ledger));
            engine.drive(&order.id).await.expect_err("refused").to_string()
        }
    };
    assert!(refused.contains("ledger") && refused.contains("rights"), "{refused}");
    assert!(refused.contains("orders.db"), "{refused}");
    assert_eq!(count(&clouds).0, 0);
    assert!(remount("remount,rw"), "it cannot be made writable");
    let engine = Engine::new(
        support::providers(&clouds),
        Arc::new(SqliteLedger::open(&path).await.expect("a ledger")),
    );
    assert_eq!(engine.drive(&order.id).await.expect("driven").state, OrderState::Committed);
    assert_eq!(count(&clouds).0, 3);
    println!("figure: read-only: nothing was bought");
    println!("the error was: {refused}");
}
