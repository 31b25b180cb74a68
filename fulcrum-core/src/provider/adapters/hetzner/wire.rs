//! The API's documents, as far as they are used.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Number, Value};

use crate::{
    model::IdempotencyKey,
    provider::{adapters::common::KEY_LABEL, http::LenientList},
};

/// Where the list goes on. A list that does not say so may be incomplete.
#[derive(Debug, Deserialize)]
pub(super) struct Meta {
    pub(super) pagination: Pagination,
}

#[derive(Debug, Deserialize)]
pub(super) struct Pagination {
    #[serde(deserialize_with = "present_or_null")]
    pub(super) next_page: Option<u64>,
}

/// None for `null`, and an error where the field is missing.
fn present_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Option::deserialize(deserializer)
}

#[derive(Debug, Deserialize)]
pub(super) struct ServerTypes {
    pub(super) server_types: LenientList<ServerType>,
    pub(super) meta: Meta,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct ServerType {
    pub(super) name: String,
    pub(super) cores: u32,
    /// GiB.
    pub(super) memory: Number,
    /// GiB.
    pub(super) disk: u64,
    #[serde(default)]
    pub(super) cpu_type: String,
    #[serde(default)]
    pub(super) architecture: String,
    #[serde(default)]
    pub(super) prices: LenientList<LocationPrice>,
    /// Locations that sell the type; empty from a cloud that does not tell.
    #[serde(default)]
    pub(super) locations: LenientList<LocationStock>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct LocationStock {
    pub(super) name: String,
    #[serde(default)]
    pub(super) available: Option<bool>,
    #[serde(default)]
    pub(super) deprecation: Option<Deprecation>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Deprecation {
    pub(super) unavailable_after: Timestamp,
}

/// Prices are text with many digits.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Amount {
    #[serde(deserialize_with = "decimal_text")]
    pub(super) net: String,
}

/// Text that is a number. Other text makes its row unreadable.
fn decimal_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    match Decimal::from_str_exact(&text) {
        Ok(_) => Ok(text),
        Err(error) => Err(serde::de::Error::custom(format!("{text:?} is not a valid amount: {error}"))),
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct LocationPrice {
    pub(super) location: String,
    pub(super) price_hourly: Amount,
    pub(super) price_monthly: Amount,
}

#[derive(Debug, Deserialize)]
pub(super) struct PricingReply {
    pub(super) pricing: Pricing,
}

#[derive(Debug, Deserialize)]
pub(super) struct Pricing {
    pub(super) currency: String,
    #[serde(default)]
    pub(super) primary_ips: LenientList<AddressPrices>,
}

#[derive(Debug, Deserialize)]
pub(super) struct AddressPrices {
    /// `ipv4` or `ipv6`.
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) prices: LenientList<LocationPrice>,
}

#[derive(Debug, Serialize)]
pub(super) struct NewServer<'a> {
    pub(super) name: &'a str,
    pub(super) server_type: &'a str,
    pub(super) image: String,
    pub(super) location: &'a str,
    pub(super) start_after_create: bool,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) public_net: PublicNet,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) ssh_keys: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) user_data: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) networks: Vec<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) firewalls: Vec<Firewall>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) placement_group: Option<u64>,
}

#[derive(Debug, Serialize)]
pub(super) struct PublicNet {
    pub(super) enable_ipv4: bool,
    pub(super) enable_ipv6: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct Firewall {
    pub(super) firewall: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct CreatedServer {
    pub(super) server: Server,
    pub(super) action: Action,
    #[serde(default)]
    pub(super) next_actions: Vec<Action>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ServerReply {
    pub(super) server: Server,
}

#[derive(Debug, Deserialize)]
pub(super) struct Servers {
    pub(super) servers: LenientList<Server>,
    pub(super) meta: Meta,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Server {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) status: String,
    pub(super) server_type: Named,
    /// Its location; older versions of the API send the data centre instead.
    #[serde(default)]
    pub(super) location: Option<Named>,
    #[serde(default)]
    pub(super) datacenter: Option<Datacenter>,
    #[serde(default)]
    pub(super) labels: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) locked: bool,
    #[serde(default)]
    pub(super) public_net: Addresses,
    #[serde(default)]
    pub(super) private_net: Vec<Address>,
    /// Attached volumes.
    #[serde(default)]
    pub(super) volumes: Vec<u64>,
    /// The time of its backups; none without backups.
    #[serde(default)]
    pub(super) backup_window: Option<String>,
}

/// Whether an unreadable server is certainly not this library's: it has neither the label nor a key as its name.
pub(super) fn is_foreign(row: &Value) -> bool {
    let is_unlabelled =
        row.get("labels").and_then(Value::as_object).is_some_and(|it| !it.contains_key(KEY_LABEL));
    let name = row.get("name").and_then(Value::as_str);
    is_unlabelled
        && name.is_some_and(|name| IdempotencyKey::new(name).ok().is_none_or(|key| key.step().is_none()))
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Named {
    pub(super) name: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Datacenter {
    pub(super) location: Named,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Addresses {
    pub(super) ipv4: Option<Address>,
    pub(super) ipv6: Option<Address>,
    pub(super) floating_ips: Vec<u64>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Address {
    pub(super) ip: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct ActionReply {
    pub(super) action: Action,
}

#[derive(Debug, Deserialize)]
pub(super) struct Action {
    pub(super) id: u64,
    /// `running`, `success` or `error`.
    pub(super) status: String,
    #[serde(default)]
    pub(super) progress: u8,
    /// The resources of the action.
    #[serde(default)]
    pub(super) resources: Vec<Resource>,
    #[serde(default)]
    pub(super) error: Option<Cause>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Resource {
    pub(super) id: u64,
    #[serde(rename = "type")]
    pub(super) kind: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct ErrorReply {
    pub(super) error: Cause,
}

#[derive(Debug, Deserialize)]
pub(super) struct Cause {
    pub(super) code: String,
    #[serde(default)]
    pub(super) message: String,
    #[serde(default)]
    pub(super) details: Option<Details>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Details {
    pub(super) fields: Vec<Field>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Field {
    pub(super) name: String,
    #[serde(default)]
    pub(super) messages: Vec<String>,
}
