//! The sandbox's state, in memory or in a file.

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

/// A resource that exists or existed in the cloud.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxResource {
    /// The service that callers see.
    pub service: Service,
    /// GiB bought with it.
    pub size_gib: u64,
    /// From when look-ups and lists show it.
    pub visible_at: Timestamp,
    /// When it ends or ended; none while it exists.
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
    /// Some if the operation fails; whether a broken resource stays.
    pub(super) fails: Option<bool>,
    /// The shortage that the failure names.
    #[serde(default)]
    pub(super) shortage: Option<Shortage>,
    pub(super) is_release: bool,
}

/// A reservation for a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SandboxReservation {
    /// The key.
    pub key: IdempotencyKey,
    /// The SKU.
    pub sku: SkuId,
    /// The place.
    pub place: Place,
    /// When it ends.
    pub until: Timestamp,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct CloudState {
    pub(super) resources: Vec<SandboxResource>,
    pub(super) operations: BTreeMap<String, Operation>,
    /// At most one for each key.
    #[serde(default, rename = "holds")]
    pub(super) reservations: Vec<SandboxReservation>,
    /// Matching calls so far, for each fault rule.
    pub(super) matched: BTreeMap<u32, u32>,
    /// Parts attached to services.
    #[serde(default)]
    pub(super) attached: BTreeMap<ServiceId, Vec<String>>,
    /// Calls so far, by which randomness continues after a restart.
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

    /// Present reservations of other keys.
    pub(super) fn reserved_by_others(
        &self,
        key: Option<&IdempotencyKey>,
        now: Timestamp,
    ) -> impl Iterator<Item = &SandboxReservation> {
        self.reservations
            .iter()
            .filter(move |reservation| reservation.until > now && Some(&reservation.key) != key)
    }

    pub(super) fn begin(&mut self, operation: Operation) -> OperationHandle {
        let name = format!("op-{}", self.operations.len() + 1);
        self.operations.insert(name.clone(), operation);
        OperationHandle::new(name)
    }

    /// Completes the operations that are due.
    pub(super) fn advance_to(&mut self, now: Timestamp) {
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

/// The storage of the state.
pub(super) enum Store {
    Memory(Box<Mutex<CloudState>>),
    File {
        path: PathBuf,
        /// The document's access rights and its own path, unless the program chose the path.
        within: Option<Box<(Base, PathBuf)>>,
    },
}

impl Store {
    /// Reads, changes and writes the state atomically, also among processes.
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
                // Written to a temporary file and renamed, so that a killed process leaves the old state or the new one.
                let new = beside(path, ".new");
                write_new(&new, &serde_json::to_vec_pretty(&state)?).map_err(named(&new))?;
                fs::rename(&new, path)?;
                Ok(result)
            }
        }
    }
}

/// A path with an extension appended.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// The first bytes of every state file.
const STATE_FILE_HEADER: &[u8] = b"{\n  \"resources\": [";

/// Opens the lock file, which must be empty: any other file belongs to somebody else.
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
                let message = format!(
                    "the file is not a state of a sandbox ({error}); remove it, or name another file"
                );
                io::Error::new(io::ErrorKind::InvalidData, message)
            })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(CloudState::default()),
        Err(error) => Err(error),
    }
}

/// Writes a new file. A leftover of a killed process is replaced; any other existing file is an error.
fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match open_regular(OpenOptions::new().read(true), path, Links::Refused) {
        Ok(left) => {
            let mut head = Vec::new();
            left.take(STATE_FILE_HEADER.len() as u64).read_to_end(&mut head)?;
            if !STATE_FILE_HEADER.starts_with(&head) {
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
    let message = format!("the file is not a {what} of a sandbox; move it away, or keep the state elsewhere");
    io::Error::new(io::ErrorKind::AlreadyExists, message)
}

/// Bytes of a state file's name that come from the provider's id.
const MAX_FILE_NAME_BYTES: usize = 120;

/// The state file's name of a provider. Each byte but `a-z 0-9 -` is percent-encoded, so that no id leads to another folder and
/// no two ids share a file. The rest of a long id is replaced by a digest.
pub(super) fn file_name(provider: &ProviderId) -> String {
    let mut name = String::new();
    for byte in provider.as_str().bytes() {
        if byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("%{byte:02X}"));
        }
    }
    if name.len() > MAX_FILE_NAME_BYTES {
        let digest = blake3::hash(provider.as_str().as_bytes()).to_hex();
        name.truncate(MAX_FILE_NAME_BYTES);
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
        assert!(text.starts_with(STATE_FILE_HEADER));
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
        // A leftover of a killed process is replaced.
        for left in [&b""[..], &STATE_FILE_HEADER[..7], b"{\n  \"resources\": [ and so on"] {
            fs::write(beside(&state, ".new"), left).expect("written");
            assert_eq!(use_it().expect("it goes on"), 0);
        }
    }
}
