//! The API's answers, as far as they are used, and what an operation's handle says.

use std::collections::BTreeMap;

use rust_decimal::{Decimal, prelude::ToPrimitive};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::model::{IdempotencyKey, Settings, SkuId};

/// Every answer.
#[derive(Debug, Deserialize)]
pub(super) struct Data<T> {
    pub(super) data: T,
}

/// A line of the cluster's list: a node, a machine, a container, a storage.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Line")]
pub(super) struct Resource {
    pub(super) kind: String,
    pub(super) node: String,
    pub(super) vmid: u64,
    pub(super) name: String,
    pub(super) status: String,
    pub(super) template: u64,
    pub(super) maxmem: u64,
}

impl TryFrom<Line> for Resource {
    type Error = String;

    /// A node or a machine that does not tell which one it is, or how large, is none that can be counted with.
    fn try_from(line: Line) -> Result<Self, String> {
        let Line { kind, node, vmid, name, status, template, maxmem } = line;
        match kind.as_str() {
            "node" if node.is_empty() => return Err("a node without a name".to_owned()),
            "node" if status == "online" && maxmem == 0 => {
                return Err(format!("the node {node} is online without a memory"));
            }
            "qemu" | "lxc" if vmid == 0 => return Err("a machine without a number".to_owned()),
            "qemu" | "lxc" if node.is_empty() => return Err(format!("the machine {vmid} is on no node")),
            _ => {}
        }
        Ok(Self { kind, node, vmid, name, status, template, maxmem })
    }
}

/// The same as it is told.
#[derive(Debug, Deserialize)]
struct Line {
    /// `node`, `qemu`, `lxc`, `storage`, ….
    #[serde(rename = "type")]
    kind: String,
    #[serde(default, deserialize_with = "text")]
    node: String,
    #[serde(default, deserialize_with = "number")]
    vmid: u64,
    #[serde(default, deserialize_with = "text")]
    name: String,
    #[serde(default, deserialize_with = "text")]
    status: String,
    #[serde(default, deserialize_with = "number")]
    template: u64,
    /// Bytes.
    #[serde(default, deserialize_with = "number")]
    maxmem: u64,
}

/// A whole number, however it is written: as one, as text, with an exponent, as a truth; 0 for nothing.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let told = Value::deserialize(deserializer)?;
    let text = match &told {
        Value::Null => return Ok(0),
        Value::Bool(is_so) => return Ok(u64::from(*is_so)),
        Value::Number(number) => number.to_string(),
        Value::String(text) if text.trim().is_empty() => return Ok(0),
        Value::String(text) => text.trim().to_owned(),
        Value::Array(_) | Value::Object(_) => String::new(),
    };
    let decimal = text.parse::<Decimal>().or_else(|_| Decimal::from_scientific(&text)).ok();
    let whole = decimal.and_then(|number| number.trunc().to_u64());
    whole.ok_or_else(|| serde::de::Error::custom(format!("{told} is no whole number")))
}

/// Text; empty for nothing, and a number as it is written.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(String::new()),
        Value::String(text) => Ok(text),
        Value::Number(number) => Ok(number.to_string()),
        other => Err(serde::de::Error::custom(format!("{other} is no text"))),
    }
}

/// A value that is there, also one that is null.
fn told<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// How a machine is made. Numbers come as text or as numbers.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct MachineConfig {
    #[serde(deserialize_with = "text")]
    pub(super) name: String,
    #[serde(deserialize_with = "text")]
    pub(super) description: String,
    #[serde(deserialize_with = "text")]
    pub(super) tags: String,
    /// What is being done to it.
    pub(super) lock: Option<String>,
    /// Disks by where they are attached, and everything else.
    #[serde(flatten)]
    pub(super) rest: BTreeMap<String, Value>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct PowerState {
    /// `running` or `stopped`.
    pub(super) status: String,
    #[serde(default)]
    pub(super) lock: Option<String>,
    /// Which machine it is.
    #[serde(default, deserialize_with = "number")]
    pub(super) vmid: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct TaskStatus {
    /// Which task it is.
    #[serde(default)]
    pub(super) upid: Option<String>,
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
    #[serde(deserialize_with = "told")]
    pub(super) data: Option<Value>,
    pub(super) message: String,
    pub(super) errors: BTreeMap<String, String>,
}

/// What an operation's handle says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Handle {
    /// A machine is cloned, sized, started and marked as made.
    Make {
        key: IdempotencyKey,
        sku: SkuId,
        task: Option<String>,
        settings: Settings,
        /// GiB of disk that were bought beyond what the size includes.
        #[serde(default)]
        size_gib: u64,
    },
    /// Something is done to a machine.
    Act {
        vmid: u64,
        task: Option<String>,
        #[serde(default, skip_serializing_if = "Wanted::is_anything")]
        wanted: Wanted,
    },
    /// A machine is stopped and ended.
    End { vmid: u64, key: Option<IdempotencyKey> },
}

/// How a machine is to be when an action is over.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Wanted {
    /// An action that sets no state.
    #[default]
    Anything,
    Running,
    Stopped,
    Size(SkuId),
}

impl Wanted {
    fn is_anything(&self) -> bool {
        *self == Self::Anything
    }
}
