//! The API's documents, as far as they are used.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use super::KEY_TAG;
use crate::provider::http::{LenientList, LenientMap};

#[derive(Debug, Deserialize)]
pub(super) struct Products {
    pub(super) servers: LenientMap<Product>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Product {
    pub(super) arch: String,
    pub(super) ncpus: u32,
    /// Bytes.
    pub(super) ram: u64,
    #[serde(default)]
    pub(super) gpu: Option<u32>,
    /// Euro, net.
    pub(super) hourly_price: Number,
    #[serde(default)]
    pub(super) end_of_service: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct Stocks {
    pub(super) servers: LenientMap<Stock>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Stock {
    /// `available`, `scarce` or `shortage`.
    pub(super) availability: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Images {
    pub(super) local_images: LenientList<Image>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Image {
    pub(super) id: String,
    #[serde(default)]
    pub(super) compatible_commercial_types: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ImageReply {
    pub(super) image: ImageDetails,
}

#[derive(Debug, Deserialize)]
pub(super) struct ImageDetails {
    pub(super) id: String,
    /// Volumes that the image brings beside the system disk.
    #[serde(default)]
    pub(super) extra_volumes: Option<BTreeMap<String, Value>>,
}

#[derive(Debug, Serialize)]
pub(super) struct NewServer<'a> {
    pub(super) name: &'a str,
    pub(super) project: &'a str,
    pub(super) commercial_type: &'a str,
    pub(super) image: &'a str,
    pub(super) boot_type: &'static str,
    pub(super) dynamic_ip_required: bool,
    pub(super) tags: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) volumes: BTreeMap<&'static str, NewVolume>,
}

#[derive(Debug, Serialize)]
pub(super) struct NewVolume {
    /// Bytes.
    pub(super) size: u64,
    pub(super) volume_type: &'static str,
}

#[derive(Debug, Deserialize)]
pub(super) struct ServerReply {
    pub(super) server: Server,
}

/// The response to an action.
#[derive(Debug, Deserialize)]
pub(super) struct TaskReply {
    #[serde(rename = "task")]
    pub(super) _task: BTreeMap<String, Value>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Servers {
    pub(super) servers: LenientList<Server>,
}

/// Whether an unreadable server is certainly not this library's: no tag holds a key.
pub(super) fn is_foreign(row: &Value) -> bool {
    let tags = row.get("tags").and_then(Value::as_array);
    tags.is_some_and(|tags| tags.iter().all(|tag| tag.as_str().is_some_and(|tag| !tag.starts_with(KEY_TAG))))
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Server {
    pub(super) id: String,
    pub(super) commercial_type: String,
    pub(super) state: String,
    #[serde(default)]
    pub(super) state_detail: String,
    pub(super) tags: Vec<String>,
    #[serde(default)]
    pub(super) volumes: BTreeMap<String, Volume>,
    #[serde(default)]
    pub(super) public_ips: Vec<Address>,
    #[serde(default)]
    pub(super) private_ip: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Volume {
    pub(super) id: String,
    #[serde(default)]
    pub(super) volume_type: String,
    #[serde(default)]
    pub(super) name: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Address {
    pub(super) address: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ErrorReply {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) message: String,
    pub(super) resource: String,
    pub(super) details: Vec<Detail>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Detail {
    pub(super) argument_name: String,
    pub(super) help_message: String,
    pub(super) resource: String,
}

/// A volume of the API of instances, with its attachment.
#[derive(Debug, Deserialize)]
pub(super) struct VolumeReply {
    pub(super) volume: InstanceVolume,
}

#[derive(Debug, Deserialize)]
pub(super) struct InstanceVolume {
    #[serde(default)]
    pub(super) id: Option<String>,
    #[serde(default)]
    pub(super) server: Option<Named>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Named {
    pub(super) id: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct BlockVolumes {
    pub(super) volumes: LenientList<BlockVolume>,
    /// The number of volumes on all pages.
    pub(super) total_count: u64,
}

/// A volume of block storage, by its own API.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct BlockVolume {
    pub(super) id: String,
    #[serde(default, rename = "type")]
    pub(super) kind: String,
    pub(super) tags: Vec<String>,
    /// Its attachments, also one that has just ended.
    pub(super) references: Vec<Attachment>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Attachment {
    /// Such as `instance_server`.
    #[serde(default, rename = "product_resource_type")]
    pub(super) kind: String,
    #[serde(rename = "product_resource_id")]
    pub(super) id: String,
    #[serde(default)]
    pub(super) status: String,
}
