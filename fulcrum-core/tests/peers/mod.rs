//! Real servers for tests, which scripts outside this project start; where those are not there a test says that it skips.
#![allow(dead_code, unreachable_pub, reason = "each test uses its own part")]

pub mod canary;
pub mod orders;
pub mod server;
pub mod stormy;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Condvar, Mutex, PoisonError},
};

/// Whether a server is up. One at a time: a network that breaks is slow, and side by side they outrun their time limits.
static IS_UP: Mutex<bool> = Mutex::new(false);
static IS_DOWN: Condvar = Condvar::new();

/// The turn of one test.
#[derive(Debug)]
struct Turn;

impl Turn {
    fn wait() -> Self {
        let is_up = IS_UP.lock().unwrap_or_else(PoisonError::into_inner);
        *IS_DOWN.wait_while(is_up, |is_up| *is_up).unwrap_or_else(PoisonError::into_inner) = true;
        Self
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *IS_UP.lock().unwrap_or_else(PoisonError::into_inner) = false;
        IS_DOWN.notify_one();
    }
}

/// One server of its own for a test; stopped when dropped.
#[derive(Debug)]
pub struct Peer {
    scripts: PathBuf,
    folder: PathBuf,
    /// None if it was running already, and goes on.
    own: Option<tempfile::TempDir>,
    /// What `env` in its folder says: endpoint and credentials.
    pub env: BTreeMap<String, String>,
    /// None for the proxy, which stands in front of another one.
    _turn: Option<Turn>,
}

/// Where the scripts are.
fn scripts(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/peers").join(name)
}

/// How many whole orders a test buys: `FULCRUM_RUNS`, or so many.
pub fn runs(otherwise: u64) -> u64 {
    std::env::var("FULCRUM_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(otherwise)
}

impl Peer {
    /// As [`start`](Self::start), for a server that takes minutes: only when all are wanted, as `make test-peers` says.
    pub fn start_slow(name: &str, settings: &[(&str, &str)]) -> Option<Self> {
        let is_wanted = std::env::var("FULCRUM_PEERS").is_ok_and(|peers| peers == "all");
        let runs_already = std::env::var_os(format!("FULCRUM_PEER_{}", name.to_uppercase())).is_some();
        if !is_wanted && !runs_already {
            println!("SKIPPED: {name} takes minutes; `make test-peers` tries it");
            return None;
        }
        Self::start(name, settings)
    }

    /// As [`start`](Self::start), beside a server that has the turn.
    pub fn start_beside(name: &str, settings: &[(&str, &str)]) -> Option<Self> {
        Self::start_with(name, settings, false)
    }

    /// Installs (quick when it is there already) and starts a server with settings of its own. None, said loudly, where its
    /// scripts are not.
    pub fn start(name: &str, settings: &[(&str, &str)]) -> Option<Self> {
        Self::start_with(name, settings, name != PROXY)
    }

    fn start_with(name: &str, settings: &[(&str, &str)], has_turn: bool) -> Option<Self> {
        let scripts = scripts(name);
        if !scripts.is_dir() {
            println!("SKIPPED: no script to start {name} at {}", scripts.display());
            return None;
        }
        let turn = has_turn.then(Turn::wait);
        // `FULCRUM_PEER_OPENSTACK=/tmp/w` is one that was started before.
        if let Some(folder) = std::env::var_os(format!("FULCRUM_PEER_{}", name.to_uppercase())) {
            let folder = PathBuf::from(folder);
            let env = read_env(&folder.join("env"));
            return Some(Self { scripts, folder, own: None, env, _turn: turn });
        }
        let folder = tempfile::Builder::new().prefix(&format!("peer-{name}-")).tempdir().expect("a folder");
        run(Command::new(scripts.join("install.sh")));
        let mut start = Command::new(scripts.join("start.sh"));
        start.arg(folder.path()).envs(settings.iter().copied());
        run(start);
        let env = read_env(&folder.path().join("env"));
        Some(Self { scripts, folder: folder.path().to_owned(), own: Some(folder), env, _turn: turn })
    }

    /// A value of its `env`.
    pub fn get(&self, name: &str) -> &str {
        self.env.get(name).unwrap_or_else(|| panic!("{name} is not in {:?}", self.env.keys()))
    }

    /// Where it keeps its logs and its process numbers.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if self.own.is_none() {
            return;
        }
        let stopped =
            Command::new(self.scripts.join("stop.sh")).arg(&self.folder).stdin(Stdio::null()).output();
        if !stopped.as_ref().is_ok_and(|output| output.status.success()) {
            eprintln!("{} was not stopped: {stopped:?}", self.scripts.display());
        }
    }
}

fn run(mut command: Command) {
    let output = command.stdin(Stdio::null()).output().expect("a script that can be run");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Lines of the form `export NAME='value'`.
fn read_env(path: &Path) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(path).expect("the server's env file");
    let line = |line: &str| {
        let (name, value) = line.strip_prefix("export ")?.split_once('=')?;
        Some((name.to_owned(), value.trim_matches('\'').to_owned()))
    };
    text.lines().filter_map(line).collect()
}

const PROXY: &str = "faults";

/// A proxy that breaks connections, in front of a server.
#[derive(Debug, Clone)]
pub struct Faults {
    peer: Arc<Peer>,
}

impl Faults {
    /// In front of a host and port on loopback.
    pub fn before(target: &str) -> Option<Self> {
        Some(Self { peer: Arc::new(Peer::start(PROXY, &[("FAULT_TARGET", target)])?) })
    }

    /// Host and port to connect to instead.
    pub fn address(&self) -> &str {
        self.peer.get("FAULT_PROXY")
    }

    /// Sets what goes wrong with the next connections: a list of rules in JSON; see the proxy's own comment.
    pub async fn rules(&self, rules: &serde_json::Value) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let address = self.peer.get("FAULT_CONTROL_URL").trim_start_matches("http://").to_owned();
        let body = rules.to_string();
        let request = format!(
            "PUT /rules HTTP/1.1\r\nHost: {address}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        let mut stream = tokio::net::TcpStream::connect(&address).await.expect("the proxy's control port");
        stream.write_all(request.as_bytes()).await.expect("it listens");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("it answers");
        assert!(answer.starts_with("HTTP/1.") && answer.contains(" 200"), "{answer}");
    }
}

/// Host and port of an address such as `http://127.0.0.1:8080/v1`.
pub fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}
