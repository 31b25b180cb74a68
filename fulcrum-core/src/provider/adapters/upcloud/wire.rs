//! The API's documents, as far as they are used. Each list is in an object: `{"server": […]}`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use super::volumes::key_of_disk;
use crate::provider::{
    adapters::common::KEY_LABEL,
    http::{LenientList, reject_row},
};

#[derive(Debug, Deserialize)]
pub(super) struct Prices {
    pub(super) prices: PriceZones,
}

#[derive(Debug, Deserialize)]
pub(super) struct PriceZones {
    pub(super) zone: LenientList<PriceZone>,
}

/// A zone's name, and its prices by product.
#[derive(Debug, Deserialize)]
pub(super) struct PriceZone {
    pub(super) name: String,
    #[serde(flatten)]
    pub(super) items: Items,
}

/// Prices of a zone by product name. An unreadable price is left out.
#[derive(Debug, Deserialize)]
#[serde(from = "BTreeMap<String, Value>")]
pub(super) struct Items(pub(super) BTreeMap<String, Value>);

impl From<BTreeMap<String, Value>> for Items {
    fn from(mut all: BTreeMap<String, Value>) -> Self {
        all.retain(|name, item| match Item::deserialize(&*item) {
            Ok(_) => true,
            Err(error) => {
                reject_row(name, error);
                false
            }
        });
        Self(all)
    }
}

/// Cents an hour for this amount.
#[derive(Debug, Deserialize)]
pub(super) struct Item {
    pub(super) amount: Number,
    pub(super) price: Number,
}

#[derive(Debug, Deserialize)]
pub(super) struct Plans {
    pub(super) plans: PlanList,
}

#[derive(Debug, Deserialize)]
pub(super) struct PlanList {
    pub(super) plan: LenientList<Plan>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Plan {
    pub(super) name: String,
    pub(super) core_number: u32,
    /// MiB.
    pub(super) memory_amount: u64,
    /// GiB.
    #[serde(default)]
    pub(super) storage_size: u64,
    #[serde(default)]
    pub(super) storage_tier: Option<String>,
    #[serde(default)]
    pub(super) gpu_amount: Option<u32>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ServerReply {
    pub(super) server: Server,
}

#[derive(Debug, Deserialize)]
pub(super) struct Servers {
    pub(super) servers: ServerList,
}

#[derive(Debug, Deserialize)]
pub(super) struct ServerList {
    pub(super) server: LenientList<Server>,
}

/// Whether an unreadable server is certainly not this library's: no label holds a key.
pub(super) fn is_foreign(row: &Value) -> bool {
    let labels = row.pointer("/labels/label").and_then(Value::as_array);
    let is_other =
        |label: &Value| label.get("key").and_then(Value::as_str).is_some_and(|key| key != KEY_LABEL);
    labels.is_some_and(|labels| labels.iter().all(is_other))
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Server {
    pub(super) uuid: String,
    pub(super) zone: String,
    pub(super) plan: String,
    /// `started`, `stopped`, `maintenance` or `error`.
    pub(super) state: String,
    pub(super) labels: Labels,
    #[serde(default)]
    pub(super) ip_addresses: Addresses,
    /// Only in the document of one server.
    #[serde(default)]
    pub(super) storage_devices: Devices,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Labels {
    pub(super) label: Vec<Label>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Label {
    pub(super) key: String,
    pub(super) value: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Addresses {
    pub(super) ip_address: Vec<Address>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Devices {
    pub(super) storage_device: Vec<Device>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Device {
    pub(super) storage: String,
    /// `disk` or `cdrom`.
    #[serde(default, rename = "type")]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) storage_title: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct StorageReply {
    pub(super) storage: Storage,
}

#[derive(Debug, Deserialize)]
pub(super) struct Storages {
    pub(super) storages: StorageList,
}

#[derive(Debug, Deserialize)]
pub(super) struct StorageList {
    pub(super) storage: LenientList<Storage>,
}

/// A disk, a backup, a template or a medium.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Storage {
    pub(super) uuid: String,
    pub(super) title: String,
    /// `normal` is a disk.
    #[serde(rename = "type")]
    pub(super) kind: String,
    /// `public` for what all accounts see.
    #[serde(default)]
    pub(super) access: String,
    /// None for a storage of all zones.
    #[serde(default)]
    pub(super) zone: String,
    #[serde(default)]
    pub(super) tier: Option<String>,
    /// Price an hour of a licensed image.
    #[serde(default)]
    pub(super) license: Option<Number>,
    /// The servers that it is attached to. Only in the document of one storage.
    #[serde(default)]
    pub(super) servers: Option<AttachedServers>,
}

/// Whether an unreadable storage is certainly not this library's disk: its title is another one.
pub(super) fn is_foreign_disk(row: &Value) -> bool {
    row.get("title").and_then(Value::as_str).is_some_and(|title| key_of_disk(title).is_none())
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct AttachedServers {
    pub(super) server: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Address {
    /// `public`, `utility` or `private`.
    pub(super) access: String,
    pub(super) address: String,
    pub(super) family: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct ErrorReply {
    pub(super) error: Cause,
}

#[derive(Debug, Deserialize)]
pub(super) struct Cause {
    pub(super) error_code: String,
    #[serde(default)]
    pub(super) error_message: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Problem {
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) title: String,
    #[serde(default)]
    pub(super) invalid_params: Vec<Parameter>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Parameter {
    pub(super) name: String,
    #[serde(default)]
    pub(super) reason: String,
}
