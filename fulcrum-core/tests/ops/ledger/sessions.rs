//! Sessions with the database: poolers, fail-overs, and who is at the other end.

use std::{
    path::Path,
    process::{Child, Command},
    time::Duration,
};

use fulcrum_core::{
    ledger::{Ledger, LedgerError, OrderUpdate, PostgresLedger, check_ledger},
    model::OrderState,
};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::orders;
use crate::support::postgres::database;

const CLAIM_TTL: Duration = Duration::from_secs(600);

async fn open(url: &str) -> PostgresLedger {
    PostgresLedger::with_connections(url, 8).await.expect("a ledger")
}

/// Of the server, and not of the database that is changed.
async fn administer(url: &str, sql: &str) {
    let (server, name) = url.rsplit_once('/').expect("a database");
    let mut raw = PgConnection::connect(&format!("{server}/postgres")).await.expect("connected");
    let sql = AssertSqlSafe(sql.replace("THIS", name));
    sqlx::raw_sql(sql).execute(&mut raw).await.expect("run");
}

const CUT: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'THIS'";

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_take_no_writes_any_more_are_dropped_and_the_process_goes_on() {
    let Some(url) = database().await else { return };
    let ledger = std::sync::Arc::new(open(&url).await);
    let order = orders(1).await.remove(0);
    ledger.create(&order).await.expect("created");
    let claim = ledger.claim(&order.id, "a host", CLAIM_TTL).await.expect("claimed");
    let change = OrderUpdate { order: Some((OrderState::Provisioning, None)), ..OrderUpdate::default() };

    // As with a primary that became a standby: sessions live, and refuse everything.
    administer(&url, "ALTER DATABASE THIS SET default_transaction_read_only = on").await;
    administer(&url, CUT).await;
    // Enough to fill the pool with sessions that can only read.
    let refused = futures::future::join_all((0..8).map(|_| ledger.request_cancel(&order.id, None))).await;
    for refused in refused {
        let Err(LedgerError::Store(words)) = refused else { panic!("{refused:?}") };
        assert!(words.contains("read-only"), "{words}");
    }
    let waiting = tokio::spawn({
        let (ledger, claim, change) = (ledger.clone(), claim.clone(), change.clone());
        async move { ledger.write(&claim, &change).await }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!waiting.is_finished(), "a write did not wait for a session that can write");

    // New sessions can write, and those that are open cannot.
    administer(&url, "ALTER DATABASE THIS RESET default_transaction_read_only").await;
    waiting.await.expect("no panic").expect("written");
    for _ in 0..20 {
        ledger.write(&claim, &change).await.expect("written");
        ledger.renew(&claim, CLAIM_TTL).await.expect("renewed");
    }
    ledger.request_cancel(&order.id, None).await.expect("noted");
    ledger.verify(&order.id).await.expect("whole");
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_were_ended_are_made_anew() {
    let Some(url) = database().await else { return };
    let ledger = open(&url).await;
    let order = orders(1).await.remove(0);
    ledger.create(&order).await.expect("created");
    let claim = ledger.claim(&order.id, "a host", CLAIM_TTL).await.expect("claimed");
    for state in
        [OrderState::Provisioning, OrderState::Committed, OrderState::Compensating, OrderState::Ended]
    {
        administer(&url, CUT).await;
        ledger
            .write(&claim, &OrderUpdate { order: Some((state, None)), ..OrderUpdate::default() })
            .await
            .expect("written");
    }
    assert_eq!(ledger.load(&order.id).await.expect("read").expect("there").state, OrderState::Ended);
    ledger.verify(&order.id).await.expect("whole");
}

#[tokio::test]
async fn a_server_that_cannot_be_verified_is_refused_in_words() {
    let Some(url) = database().await else { return };
    // The tests' server has no certificate; to its own machine nobody asks for one.
    open(&url).await;
    let refused = PostgresLedger::open(&format!("{}?sslmode=verify-full", &*url))
        .await
        .expect_err("refused")
        .to_string();
    for word in ["TLS", "sslrootcert", "sslmode", "127.0.0.1"] {
        assert!(refused.contains(word), "{word}: {refused}");
    }
}

/// PgBouncer before the server of the tests; ended with the test.
struct Pooler {
    process: Child,
    url: String,
    _folder: tempfile::TempDir,
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Pooler {
    /// `None`, and said aloud, where it is not installed.
    async fn start(url: &str, mode: &str, more: &str) -> Option<Self> {
        let program = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer", "/usr/local/bin/pgbouncer"]
            .into_iter()
            .find(|path| Path::new(path).exists());
        let Some(program) = program else {
            println!("SKIPPED: poolers, as PgBouncer is not installed; run: apt-get install pgbouncer");
            return None;
        };
        let (server, name) = url.rsplit_once('/').expect("a database");
        let (user, address) = server.trim_start_matches("postgresql://").split_once('@').expect("a user");
        let (host, port) = address.split_once(':').expect("a port");
        let free = crate::support::port::free_port();
        let folder = tempfile::tempdir().expect("a folder");
        let document = format!(
            "[databases]\n{name} = host={host} port={port} user={user}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {free}\nauth_type = any\npool_mode = {mode}\nunix_socket_dir =\n{more}\n"
        );
        let path = folder.path().join("pgbouncer.ini");
        std::fs::write(&path, document).expect("written");
        // It refuses to run as root, as the server does.
        let id = Command::new("id").arg("-u").output().expect("a number").stdout;
        let mut command = match id.trim_ascii() {
            b"0" => {
                let open = |path: &Path, mode| {
                    use std::os::unix::fs::PermissionsExt;
                    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("opened");
                };
                open(folder.path(), 0o755);
                open(&path, 0o644);
                let mut command = Command::new("setpriv");
                command.args(["--reuid", "postgres", "--regid", "postgres", "--init-groups", "--", program]);
                command
            }
            _ => Command::new(program),
        };
        let quiet = || std::process::Stdio::null();
        let process = command.arg("-q").arg(&path).stdout(quiet()).stderr(quiet()).spawn().expect("started");
        let pooler =
            Self { process, url: format!("postgresql://{user}@127.0.0.1:{free}/{name}"), _folder: folder };
        for _ in 0..200 {
            if tokio::net::TcpStream::connect(("127.0.0.1", free)).await.is_ok() {
                return Some(pooler);
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("PgBouncer does not listen");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_that_gives_each_transaction_another_session_is_refused_in_words() {
    let Some(url) = database().await else { return };
    for (mode, more) in [
        ("transaction", "default_pool_size = 1"),
        ("transaction", "default_pool_size = 4"),
        ("transaction", "default_pool_size = 4\nserver_round_robin = 1\nmin_pool_size = 4"),
        ("statement", "default_pool_size = 4"),
    ] {
        let Some(pooler) = Pooler::start(&url, mode, more).await else { return };
        let opened = tokio::time::timeout(Duration::from_secs(60), PostgresLedger::open(&pooler.url)).await;
        let refused = opened.expect("in time").expect_err("refused").to_string();
        assert!(refused.contains("pool_mode = session"), "{mode}, {more}: {refused}");
    }
    // Nothing was made meanwhile that the next one would stumble over.
    open(&url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_in_session_mode_works() {
    let Some(url) = database().await else { return };
    let Some(pooler) = Pooler::start(&url, "session", "default_pool_size = 20").await else { return };
    let (here, there) = (open(&pooler.url).await, open(&pooler.url).await);
    check_ledger(&here, &orders(1).await[0]).await.expect("a ledger that keeps its promises");
    let mut changes = here.changes();
    changes.mark_unchanged();
    there.create(&orders(1).await[0]).await.expect("created");
    tokio::time::timeout(Duration::from_secs(10), changes.changed())
        .await
        .expect("heard")
        .expect("listening");
}
