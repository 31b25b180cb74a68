//! The API's answers, as far as they are used, and what an operation's handle says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::{IdempotencyKey, Settings, SkuId};

/// Every answer.
#[derive(Debug, Deserialize)]
pub(super) struct Data<T> {
    pub(super) data: T,
}

/// A line of the cluster's list: a node, a machine, a container, a storage.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Resource {
    /// `node`, `qemu`, `lxc`, `storage`, ….
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) node: String,
    #[serde(default)]
    pub(super) vmid: u64,
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) status: String,
    #[serde(default)]
    pub(super) template: u8,
    /// Bytes.
    #[serde(default)]
    pub(super) maxmem: u64,
}

/// How a machine is made. Numbers come as text or as numbers.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct MachineConfig {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) tags: String,
    /// What is being done to it.
    pub(super) lock: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct PowerState {
    /// `running` or `stopped`.
    pub(super) status: String,
    #[serde(default)]
    pub(super) lock: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct TaskStatus {
    /// `running` or `stopped`.
    pub(super) status: String,
    #[serde(default)]
    pub(super) exitstatus: Option<String>,
}

/// A line of a node's list of tasks.
#[derive(Debug, Deserialize)]
pub(super) struct Task {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) starttime: u64,
    /// None while it runs.
    #[serde(default)]
    pub(super) endtime: Option<u64>,
    /// How it ended.
    #[serde(default)]
    pub(super) status: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Refusal {
    pub(super) message: String,
    pub(super) errors: BTreeMap<String, String>,
}

/// What an operation's handle says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Handle {
    /// A machine is cloned, sized, started and marked as made.
    Make { key: IdempotencyKey, sku: SkuId, task: Option<String>, settings: Settings },
    /// Something is done to a machine.
    Act { vmid: u64, task: Option<String> },
    /// A machine is stopped and ended.
    End { vmid: u64, key: Option<IdempotencyKey> },
}
