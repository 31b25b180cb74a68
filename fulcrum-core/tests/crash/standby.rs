//! A pair of servers of a test's own: a primary, and a standby that follows it by streaming. Both are reached through relays
//! that the test can cut, or turn to the other one.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

use crate::support::port::free_port;

/// Where PostgreSQL's programs are; none, and said aloud, where it is not installed. The build server must have it.
fn programs() -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|version| version.path().join("bin"))
        .filter(|bin| bin.join("pg_basebackup").exists())
        .collect();
    found.sort();
    let found = std::env::var_os("PG_BIN").map(PathBuf::from).or(found.pop());
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "no PostgreSQL; run: apt-get install postgresql");
        println!("SKIPPED: a standby, as PostgreSQL is not installed; run: apt-get install postgresql");
    }
    found
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().expect("a number").stdout.trim_ascii() == b"0"
}

/// One server. It ends with the test.
#[derive(Debug)]
pub(crate) struct Server {
    bin: PathBuf,
    data: PathBuf,
    /// Known once it has started.
    pub(crate) port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Server {
    /// One of PostgreSQL's programs. The server refuses to run as root: there it runs as the user that the package makes.
    fn run(&self, program: &str, arguments: &[&str]) {
        self.try_to_run(program, arguments).unwrap_or_else(|said| panic!("{program} {arguments:?}: {said}"));
    }

    /// What it said, if it failed.
    fn try_to_run(&self, program: &str, arguments: &[&str]) -> Result<(), String> {
        let path = self.bin.join(program);
        let mut command = match is_root() {
            true => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid", "postgres", "--regid", "postgres", "--init-groups", "--"]).arg(path);
                command
            }
            false => Command::new(path),
        };
        // What stays in the background must hold no pipe of ours.
        let log = std::fs::File::create(self.data.with_extension("said")).expect("a file");
        let done = command
            .args(arguments)
            .env("LC_ALL", "C.UTF-8")
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file"))
            .stderr(log)
            .status()
            .expect("started");
        let said = || std::fs::read_to_string(self.data.with_extension("said")).unwrap_or_default();
        if done.success() { Ok(()) } else { Err(said()) }
    }

    /// On a port that is free: one that was free a moment ago may be another's now.
    fn start(&mut self) {
        let log = self.data.with_extension("log");
        let data = self.data.to_str().expect("a path").to_owned();
        for _ in 0..20 {
            self.port = free_port();
            let options = format!(
                "-c listen_addresses=127.0.0.1 -c port={} -c unix_socket_directories= -c fsync=off \
                 -c max_connections=100 -c max_wal_senders=4 -c wal_keep_size=64 -c wal_retrieve_retry_interval=100ms",
                self.port
            );
            let file = log.to_str().expect("a path");
            match self.try_to_run("pg_ctl", &["-D", &data, "-l", file, "-o", &options, "-w", "start"]) {
                Ok(()) => return,
                Err(said) => {
                    let log = std::fs::read_to_string(&log).unwrap_or_default();
                    assert!(log.contains("could not bind"), "{said}{log}");
                }
            }
        }
        panic!("no port is free");
    }

    /// Like a crash.
    pub(crate) fn stop(&self) {
        if self.data.join("postmaster.pid").exists() {
            self.run("pg_ctl", &["-D", self.data.to_str().expect("a path"), "-m", "immediate", "-w", "stop"]);
        }
    }

    pub(crate) async fn ask<T>(&self, sql: &str) -> T
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
    {
        let mut raw = PgConnection::connect(&url(self.port, "postgres")).await.expect("connected");
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&mut raw).await.expect("answered")
    }

    pub(crate) async fn run_sql(&self, sql: &str) {
        let mut raw = PgConnection::connect(&url(self.port, "postgres")).await.expect("connected");
        for sql in sql.split(';') {
            sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut raw).await.expect("run");
        }
    }
}

pub(crate) fn url(port: u16, database: &str) -> String {
    format!("postgresql://fulcrum@127.0.0.1:{port}/{database}")
}

/// Passes connections on to a server; those that are open are cut when it turns to another one, or to none.
#[derive(Debug)]
pub(crate) struct Relay {
    pub(crate) port: u16,
    target: watch::Sender<Option<u16>>,
    accepting: JoinHandle<()>,
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Relay {
    async fn to(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("its number").port();
        let (target, turned) = watch::channel(Some(target));
        let accepting = tokio::spawn(async move {
            while let Ok((mut here, _)) = listener.accept().await {
                let mut turned = turned.clone();
                tokio::spawn(async move {
                    let Some(port) = *turned.borrow_and_update() else { return };
                    let Ok(mut there) = TcpStream::connect(("127.0.0.1", port)).await else { return };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut here, &mut there) => {}
                        _ = turned.changed() => {}
                    }
                });
            }
        });
        Self { port, target, accepting }
    }

    pub(crate) fn turn(&self, target: Option<u16>) {
        self.target.send_replace(target);
    }
}

#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) primary: Server,
    pub(crate) standby: Server,
    /// What hosts are given as the ledger's address.
    pub(crate) address: Relay,
    /// What the standby hears of the primary by.
    stream: Relay,
    _folder: tempfile::TempDir,
}

impl Pair {
    /// Both servers; none where PostgreSQL is not installed.
    pub(crate) async fn start() -> Option<Self> {
        let bin = programs()?;
        let folder = tempfile::tempdir().expect("a folder");
        if is_root() {
            let owned = Command::new("chown").arg("postgres:").arg(folder.path()).status();
            assert!(owned.expect("chown").success());
        }
        let server = |name: &str| Server { bin: bin.clone(), data: folder.path().join(name), port: 0 };
        let (mut primary, mut standby) = (server("primary"), server("standby"));
        let path = |server: &Server| server.data.to_str().expect("a path").to_owned();
        let made = ["-U", "fulcrum", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"];
        primary.run("initdb", &[&["-D", &path(&primary)][..], &made].concat());
        primary.start();
        let stream = Relay::to(primary.port).await;
        let address = Relay::to(primary.port).await;
        let port = stream.port.to_string();
        let copy = ["-h", "127.0.0.1", "-p", &port, "-U", "fulcrum", "-X", "stream", "-c", "fast", "-R"];
        let data = path(&standby);
        let copied = [&["-D", &data, "--no-sync"][..], &copy].concat();
        let standby = tokio::task::spawn_blocking({
            let copied: Vec<String> = copied.iter().map(ToString::to_string).collect();
            move || {
                standby.run("pg_basebackup", &copied.iter().map(String::as_str).collect::<Vec<_>>());
                standby.start();
                standby
            }
        });
        let standby = standby.await.expect("no panic");
        let pair = Self { primary, standby, address, stream, _folder: folder };
        pair.catch_up().await;
        Some(pair)
    }

    /// Waits until the standby has all that the primary has.
    pub(crate) async fn catch_up(&self) {
        // Something is written for it: the end of what was written before may lie where nothing begins yet.
        let end: String = self.primary.ask("SELECT pg_logical_emit_message(true, 'test', '')::text").await;
        let has = format!("SELECT coalesce(pg_last_wal_replay_lsn() >= '{end}'::pg_lsn, false)");
        for _ in 0..600 {
            if self.standby.ask::<bool>(&has).await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the standby does not follow");
    }

    /// From now on the standby lags.
    pub(crate) fn cut_off(&self) {
        self.stream.turn(None);
    }
}
