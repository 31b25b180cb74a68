//! What exists in the cloud, in memory or in a file.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    files::{Links, open_regular, read_from},
    model::{IdempotencyKey, Place, ProviderId, Service, ServiceId, ServiceStatus, Shortage, SkuId, limits},
    provider::{Base, Call, OperationHandle},
};

/// A thing that exists, or existed, in the cloud.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxResource {
    /// As a caller sees it.
    pub service: Service,
    /// GiB bought with it.
    pub size_gib: u64,
    /// From when on a look-up by key or a list shows it.
    pub visible_at: Timestamp,
    /// When it ended, or will have ended; none while it lives.
    pub released_at: Option<Timestamp>,
}

impl SandboxResource {
    /// Whether it exists and costs money.
    pub fn exists(&self, now: Timestamp) -> bool {
        self.released_at.is_none_or(|end| now < end)
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Operation {
    pub(super) service: ServiceId,
    pub(super) key: Option<IdempotencyKey>,
    pub(super) done_at: Timestamp,
    /// Fails when done; whether something broken stays.
    pub(super) fails: Option<bool>,
    /// What the failure says about whether it can be had at all.
    #[serde(default)]
    pub(super) shortage: Option<Shortage>,
    pub(super) is_release: bool,
}

/// What is held for a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxHold {
    /// For whom.
    pub key: IdempotencyKey,
    /// Of what.
    pub sku: SkuId,
    /// Where.
    pub place: Place,
    /// Until when.
    pub until: Timestamp,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct CloudState {
    pub(super) resources: Vec<SandboxResource>,
    pub(super) operations: BTreeMap<String, Operation>,
    /// At most one for each key.
    #[serde(default)]
    pub(super) holds: Vec<SandboxHold>,
    /// Matching calls so far, for each fault rule.
    pub(super) matched: BTreeMap<u32, u32>,
    /// What people have attached to services.
    #[serde(default)]
    pub(super) attached: BTreeMap<ServiceId, Vec<String>>,
    /// Calls so far: chance goes on where it was.
    #[serde(default)]
    pub(super) calls: BTreeMap<Call, u64>,
}

impl CloudState {
    pub(super) fn resource(&self, id: &ServiceId) -> Option<&SandboxResource> {
        self.resources.iter().find(|resource| resource.service.id == *id)
    }

    pub(super) fn resource_mut(&mut self, id: &ServiceId) -> Option<&mut SandboxResource> {
        self.resources.iter_mut().find(|resource| resource.service.id == *id)
    }

    /// What is held now for others than a key.
    pub(super) fn held_for_others(
        &self,
        key: Option<&IdempotencyKey>,
        now: Timestamp,
    ) -> impl Iterator<Item = &SandboxHold> {
        self.holds.iter().filter(move |hold| hold.until > now && Some(&hold.key) != key)
    }

    pub(super) fn begin(&mut self, operation: Operation) -> OperationHandle {
        let name = format!("op-{}", self.operations.len() + 1);
        self.operations.insert(name.clone(), operation);
        OperationHandle::new(name)
    }

    /// Lets what is due come about.
    pub(super) fn settle(&mut self, now: Timestamp) {
        for operation in self.operations.values().filter(|operation| operation.done_at <= now) {
            let Some(resource) = self.resources.iter_mut().find(|r| r.service.id == operation.service) else {
                continue;
            };
            let is_starting = resource.service.status == ServiceStatus::Starting;
            match operation.fails {
                Some(false) if is_starting => resource.released_at = Some(operation.done_at),
                Some(true) if is_starting => resource.service.status = ServiceStatus::Failed,
                None if is_starting && !operation.is_release => {
                    resource.service.status = ServiceStatus::Running
                }
                _ => {}
            }
        }
    }
}

/// Where the state is.
pub(super) enum Store {
    Memory(Box<Mutex<CloudState>>),
    File {
        path: PathBuf,
        /// Where a document says that it is, if it may not be everywhere.
        within: Option<Box<(Base, PathBuf)>>,
    },
}

impl Store {
    /// Reads, changes and writes the state as one step, also among processes.
    pub(super) fn with<T>(&self, change: impl FnOnce(&mut CloudState) -> T) -> io::Result<T> {
        match self {
            Self::Memory(state) => Ok(change(&mut state.lock().unwrap_or_else(PoisonError::into_inner))),
            Self::File { path, within } => {
                // A folder on the way may have become a link since the document was opened.
                if let Some((base, told)) = within.as_deref() {
                    base.to_write(told).map_err(io::Error::other)?;
                }
                let named = |path: &Path| {
                    let path = path.display().to_string();
                    move |error: io::Error| io::Error::new(error.kind(), format!("{path}: {error}"))
                };
                let lock_path = beside(path, ".lock");
                let lock = open_lock(&lock_path).map_err(named(&lock_path))?;
                lock.lock()?;
                let mut state = read(path).map_err(named(path))?;
                let result = change(&mut state);
                // Written beside and renamed, so that a killed process leaves the old state or the new one.
                let new = beside(path, ".new");
                write_new(&new, &serde_json::to_vec_pretty(&state)?).map_err(named(&new))?;
                fs::rename(&new, path)?;
                Ok(result)
            }
        }
    }
}

/// The name of a file, and more.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// How a state begins, whatever is in it.
const BEGINS: &[u8] = b"{\n  \"resources\": [";

/// Whose file it is does not show in an empty one, and an empty one is all that a lock needs.
fn open_lock(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let lock =
        open_regular(options.read(true).write(true).create(true).truncate(false), path, Links::Refused)?;
    if lock.metadata()?.len() > 0 {
        return Err(foreign("lock"));
    }
    Ok(lock)
}

fn read(path: &Path) -> io::Result<CloudState> {
    let limit = u64::try_from(limits::MAX_SANDBOX_STATE_BYTES).unwrap_or(u64::MAX);
    match open_regular(OpenOptions::new().read(true), path, Links::Refused) {
        Ok(file) => {
            let bytes = read_from(file, limit)?;
            serde_json::from_slice(&bytes).map_err(|error| {
                let message =
                    format!("it is no state of a sandbox ({error}); remove it, or name another file");
                io::Error::new(io::ErrorKind::InvalidData, message)
            })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(CloudState::default()),
        Err(error) => Err(error),
    }
}

/// Writes a file that is not there. One that a killed process has left is taken away; somebody else's is left alone.
fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match open_regular(OpenOptions::new().read(true), path, Links::Refused) {
        Ok(left) => {
            let mut head = Vec::new();
            left.take(BEGINS.len() as u64).read_to_end(&mut head)?;
            if !BEGINS.starts_with(&head) {
                return Err(foreign("state"));
            }
            fs::remove_file(path)?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut options = OpenOptions::new();
    open_regular(options.write(true).create_new(true), path, Links::Refused)?.write_all(bytes)
}

fn foreign(what: &str) -> io::Error {
    let message = format!("it is no {what} of a sandbox; move it away, or keep the state elsewhere");
    io::Error::new(io::ErrorKind::AlreadyExists, message)
}

/// Bytes of a file's name that are the provider's.
const LONGEST: usize = 120;

/// The name of a provider's file: each byte but `a-z 0-9 -` is written as `%2F`, so that no name leads elsewhere, and no two
/// names are one file. The rest of a long one is written as its digest.
pub(super) fn file_name(provider: &ProviderId) -> String {
    let mut name = String::new();
    for byte in provider.as_str().bytes() {
        if byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("%{byte:02X}"));
        }
    }
    if name.len() > LONGEST {
        let digest = blake3::hash(provider.as_str().as_bytes()).to_hex();
        name.truncate(LONGEST);
        name.push_str("%-");
        name.push_str(&digest.as_str()[..32]);
    }
    name + ".json"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(id: &str) -> String {
        file_name(&ProviderId::new(id).expect("a name"))
    }

    #[test]
    fn no_name_of_a_provider_leads_elsewhere() {
        for (id, name) in [
            ("rack-7", "rack-7.json"),
            ("../../out/precious", "%2E%2E%2F%2E%2E%2Fout%2Fprecious.json"),
            ("/etc/passwd", "%2Fetc%2Fpasswd.json"),
            ("..", "%2E%2E.json"),
            ("a%2f", "a%252f.json"),
            ("Ä\\", "%C3%84%5C.json"),
        ] {
            assert_eq!(named(id), name);
        }
        let long = |end: &str| named(&("x".repeat(199) + end));
        assert!(long("a").len() <= 160 && long("a") != long("b"), "{}", long("a"));
        assert!(named(&"ü".repeat(200)).len() <= 160);
    }

    #[test]
    fn a_state_begins_as_is_said() {
        let text = serde_json::to_vec_pretty(&CloudState::default()).expect("JSON");
        assert!(text.starts_with(BEGINS));
    }

    #[cfg(unix)]
    #[test]
    fn files_of_others_and_links_are_left_as_they_are() {
        let folder = tempfile::tempdir().expect("a folder");
        let state = folder.path().join("rack.json");
        let store = Store::File { path: state.clone(), within: None };
        let use_it = || store.with(|state| state.calls.len());
        let precious = "precious".repeat(20);
        for ending in ["", ".lock", ".new"] {
            let file = beside(&state, ending);
            fs::write(&file, &precious).expect("written");
            let why = use_it().expect_err("somebody else's").to_string();
            assert!(why.contains("of a sandbox") && why.contains("rack.json"), "{why}");
            assert_eq!(fs::read_to_string(&file).expect("text"), precious, "{ending}");
            fs::remove_file(&file).expect("removed");
            let victim = folder.path().join("victim");
            for is_there in [true, false] {
                if is_there {
                    fs::write(&victim, &precious).expect("written");
                }
                std::os::unix::fs::symlink(&victim, &file).expect("a link");
                let why = use_it().expect_err("a link").to_string();
                assert!(why.contains("it is a link"), "{ending}: {why}");
                assert_eq!(victim.exists(), is_there);
                if is_there {
                    assert_eq!(fs::read_to_string(&victim).expect("text"), precious, "{ending}");
                    fs::remove_file(&victim).expect("removed");
                }
                fs::remove_file(&file).expect("removed");
            }
        }
        // What a killed process has left is in nobody's way.
        for left in [&b""[..], &BEGINS[..7], b"{\n  \"resources\": [ and so on"] {
            fs::write(beside(&state, ".new"), left).expect("written");
            assert_eq!(use_it().expect("it goes on"), 0);
        }
    }
}
