//! The embedded ledger's files are taken away while it has them open. Processes are this test's own program.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use fulcrum_core::ledger::{Ledger, LedgerError, OrderUpdate, SqliteLedger};

use super::orders;

/// Set in a process that a test has started: what it does, and where.
const ROLE: &str = "FULCRUM_TEST_FILES";

fn beside(database: &Path, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{}{suffix}", database.display()))
}

/// Looks into the ledger from another process, with another copy of SQLite, which tidies up when it believes to be the last.
fn look(database: &Path) -> Output {
    let look = "import sqlite3, sys\n\
                database = sqlite3.connect(sys.argv[1])\n\
                print(database.execute('SELECT count(*) FROM orders').fetchone()[0])\n\
                database.close()";
    Command::new("python3").args(["-c", look]).arg(database).output().expect("Python")
}

fn child(role: &str, database: &Path) -> Command {
    let mut child = Command::new(std::env::current_exe().expect("this program"));
    child.args(["--exact", "ledger::files::other_processes", "--nocapture"]);
    child.env(ROLE, format!("{role} {}", database.display()));
    child
}

/// Not a test by itself: what the processes of the others do.
#[tokio::test]
async fn other_processes() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let (role, database) = role.split_once(' ').expect("a role and a path");
    let database = Path::new(database);
    match role {
        "host" => {
            let orders = orders(3).await;
            let ledger = SqliteLedger::open(database).await.expect("a ledger");
            ledger.create(&orders[0]).await.expect("created");
            // A backup, as somebody makes it who does not know better: its end drops this process's locks.
            fs::copy(database, beside(database, ".copy")).expect("copied");
            let looked = look(database);
            assert!(looked.status.success(), "{}", String::from_utf8_lossy(&looked.stderr));
            for order in &orders[1..] {
                // Refused would be right too; lost is not.
                if ledger.create(order).await.is_ok() {
                    println!("confirmed {}", order.id);
                }
            }
            println!("confirmed {}", orders[0].id);
            // As a crash: nothing is tidied up.
            std::process::abort();
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn what_was_confirmed_is_there_though_the_process_lost_its_locks_and_another_one_looked() {
    if !Command::new("python3").arg("--version").output().is_ok_and(|output| output.status.success()) {
        println!("SKIPPED: another copy of SQLite, as Python is not installed");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let database = folder.path().join("orders.db");
    let host = child("host", &database).output().expect("run");
    let said = String::from_utf8_lossy(&host.stdout);
    let confirmed: Vec<_> = said.lines().filter_map(|line| line.strip_prefix("confirmed ")).collect();
    assert!(!confirmed.is_empty(), "{said}{}", String::from_utf8_lossy(&host.stderr));
    let ledger = SqliteLedger::open(&database).await.expect("a ledger");
    for order in &confirmed {
        let order = ledger.load(&order.parse().expect("an id")).await.expect("read");
        assert!(order.is_some(), "an order that was confirmed is lost: {said}");
    }
    // Where the system has locks that stay, the look did no harm at all.
    if cfg!(target_os = "linux") {
        assert_eq!(confirmed.len(), 3, "{said}");
    }
}

#[tokio::test]
async fn a_ledger_whose_files_were_taken_away_refuses_the_next_write_with_words() {
    for (suffix, is_replaced) in [("-wal", false), ("-wal", true), ("-shm", false), ("", false), ("", true)] {
        let folder = tempfile::tempdir().expect("a folder");
        let database = folder.path().join("orders.db");
        let orders = orders(2).await;
        let ledger = SqliteLedger::open(&database).await.expect("a ledger");
        ledger.create(&orders[0]).await.expect("created");
        let claim =
            ledger.claim(&orders[0].id, "a host", std::time::Duration::from_secs(60)).await.expect("claimed");
        let file = beside(&database, suffix);
        let copy = beside(&database, ".copy");
        fs::copy(&file, &copy).expect("copied");
        fs::remove_file(&file).expect("removed");
        if is_replaced {
            fs::rename(&copy, &file).expect("put back");
        }
        let refused = [
            ledger.write(&claim, &OrderUpdate::default()).await.map(drop),
            ledger.create(&orders[1]).await,
            ledger.renew(&claim, std::time::Duration::from_secs(60)).await.map(drop),
            ledger.load(&orders[0].id).await.map(drop),
        ];
        let name = file.file_name().expect("a name").to_string_lossy().into_owned();
        for refused in refused {
            let Err(LedgerError::Store(words)) = refused else { panic!("{suffix}: {refused:?}") };
            let what = if is_replaced { "is another file now" } else { "is gone" };
            assert!(words.contains(&format!("{name} {what}")) && words.contains("operations.md"), "{words}");
        }
        let is_new = !is_replaced && suffix.is_empty();
        assert_eq!(database.exists(), !is_new, "a connection has made a new file");
    }
}

#[tokio::test]
async fn a_ledger_that_is_closed_leaves_one_file_with_everything_in_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = folder.path().join("orders.db");
    let order = orders(1).await.remove(0);
    let ledger = SqliteLedger::open(&database).await.expect("a ledger");
    ledger.create(&order).await.expect("created");
    drop(ledger);
    // The thread that writes ends by itself.
    for _ in 0..500 {
        if !beside(&database, "-wal").exists() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert!(!beside(&database, "-wal").exists(), "its log was left");
    let copy = beside(&database, ".copy");
    fs::copy(&database, &copy).expect("copied");
    let copy = SqliteLedger::open(&copy).await.expect("a ledger");
    assert_eq!(copy.load(&order.id).await.expect("read"), Some(order));
}
