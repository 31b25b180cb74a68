//! What exists in the cloud, in memory or in a file.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    model::{IdempotencyKey, Place, Service, ServiceId, ServiceStatus, Shortage, SkuId},
    provider::{Call, OperationHandle},
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
    File(PathBuf),
}

impl Store {
    /// Reads, changes and writes the state as one step, also among processes.
    pub(super) fn with<T>(&self, change: impl FnOnce(&mut CloudState) -> T) -> io::Result<T> {
        match self {
            Self::Memory(state) => Ok(change(&mut state.lock().unwrap_or_else(PoisonError::into_inner))),
            Self::File(path) => {
                let lock = File::create(path.with_extension("lock"))?;
                lock.lock()?;
                let mut state = match fs::read(path) {
                    Ok(bytes) => serde_json::from_slice(&bytes)?,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => CloudState::default(),
                    Err(error) => return Err(error),
                };
                let result = change(&mut state);
                // Written beside and renamed, so that a killed process leaves the old state or the new one.
                let beside = path.with_extension("new");
                fs::write(&beside, serde_json::to_vec_pretty(&state)?)?;
                fs::rename(&beside, path)?;
                Ok(result)
            }
        }
    }
}
