//! The API's documents, as far as they are used.

use std::collections::BTreeMap;

use rust_decimal::{Decimal, prelude::ToPrimitive};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Each response.
#[derive(Debug, Deserialize)]
pub(super) struct Data<T> {
    pub(super) data: T,
}

/// A line of the cluster's list: a node, a machine, a container, a storage.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "RawResource")]
pub(super) struct Resource {
    pub(super) kind: String,
    pub(super) node: String,
    pub(super) vmid: u64,
    pub(super) name: String,
    pub(super) status: String,
    pub(super) template: u64,
    pub(super) maxmem: u64,
}

impl TryFrom<RawResource> for Resource {
    type Error = String;

    /// A node or a machine without its id or its memory cannot be counted with.
    fn try_from(line: RawResource) -> Result<Self, String> {
        let RawResource { kind, node, vmid, name, status, template, maxmem } = line;
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

/// The same with all fields optional.
#[derive(Debug, Deserialize)]
struct RawResource {
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

/// A whole number in any form: number, text, with an exponent, Boolean; 0 for null.
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
    whole.ok_or_else(|| serde::de::Error::custom(format!("{told} is not a whole number")))
}

/// Text; empty for null, and a number as its digits.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(String::new()),
        Value::String(text) => Ok(text),
        Value::Number(number) => Ok(number.to_string()),
        other => Err(serde::de::Error::custom(format!("{other} is not text"))),
    }
}

/// A value that is present, also null.
fn told<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// A machine's configuration. Numbers come as text or as numbers.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct MachineConfig {
    #[serde(deserialize_with = "text")]
    pub(super) name: String,
    #[serde(deserialize_with = "text")]
    pub(super) description: String,
    #[serde(deserialize_with = "text")]
    pub(super) tags: String,
    /// The operation that locks it.
    pub(super) lock: Option<String>,
    /// Disks by bus, and all other fields.
    #[serde(flatten)]
    pub(super) rest: BTreeMap<String, Value>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct PowerState {
    /// `running` or `stopped`.
    pub(super) status: String,
    #[serde(default)]
    pub(super) lock: Option<String>,
    /// The machine's number.
    #[serde(default, deserialize_with = "number")]
    pub(super) vmid: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct TaskStatus {
    /// The task's id.
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
pub(super) struct ErrorReply {
    #[serde(deserialize_with = "told")]
    pub(super) data: Option<Value>,
    pub(super) message: String,
    pub(super) errors: BTreeMap<String, String>,
}
