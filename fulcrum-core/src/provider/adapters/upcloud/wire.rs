//! The API's answers, as far as they are used. Lists stand in an object each: `{"server": […]}`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

#[derive(Debug, Deserialize)]
pub(super) struct Prices {
    pub(super) prices: PriceZones,
}

#[derive(Debug, Deserialize)]
pub(super) struct PriceZones {
    pub(super) zone: Vec<PriceZone>,
}

/// A name, and prices by what is sold.
#[derive(Debug, Deserialize)]
pub(super) struct PriceZone {
    pub(super) name: String,
    #[serde(flatten)]
    pub(super) items: BTreeMap<String, Value>,
}

/// Cents an hour for so much of it.
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
    pub(super) plan: Vec<Plan>,
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
pub(super) struct OneServer {
    pub(super) server: Server,
}

#[derive(Debug, Deserialize)]
pub(super) struct Servers {
    pub(super) servers: ServerList,
}

#[derive(Debug, Deserialize)]
pub(super) struct ServerList {
    pub(super) server: Vec<Server>,
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

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Address {
    /// `public`, `utility` or `private`.
    pub(super) access: String,
    pub(super) address: String,
    pub(super) family: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Refusal {
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
