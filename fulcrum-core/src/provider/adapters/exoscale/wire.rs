//! The API's documents, as far as they are used.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::provider::{adapters::common::KEY_LABEL, http::LenientList};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct InstanceTypes {
    pub(super) instance_types: LenientList<InstanceType>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct InstanceType {
    pub(super) id: String,
    pub(super) family: String,
    pub(super) size: String,
    pub(super) cpus: u32,
    /// Bytes.
    pub(super) memory: u64,
    #[serde(default)]
    pub(super) gpus: u32,
    /// Whether the organisation may order the type.
    #[serde(default = "default_true")]
    pub(super) authorized: bool,
    /// Zones of the type; empty if the API does not tell.
    #[serde(default)]
    pub(super) zones: Vec<String>,
}

fn default_true() -> bool {
    true
}

/// One template, with the fields that tell a licence.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct TemplateReply {
    pub(super) name: String,
    pub(super) family: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Templates {
    pub(super) templates: LenientList<Template>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Template {
    pub(super) id: String,
    pub(super) name: String,
    #[serde(default, rename = "created-at")]
    pub(super) created_at: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Instances {
    pub(super) instances: LenientList<Instance>,
}

/// Whether an unreadable instance is certainly not this library's: it has no label of a key.
pub(super) fn is_foreign(row: &Value) -> bool {
    row.get("labels").and_then(Value::as_object).is_some_and(|labels| !labels.contains_key(KEY_LABEL))
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Instance {
    pub(super) id: String,
    pub(super) state: String,
    #[serde(default)]
    pub(super) labels: BTreeMap<String, String>,
    pub(super) instance_type: Reference,
    #[serde(default)]
    pub(super) public_ip: Option<String>,
    #[serde(default)]
    pub(super) ipv6_address: Option<String>,
    /// Its elastic IPs.
    #[serde(default)]
    pub(super) elastic_ips: Vec<ElasticIp>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct ElasticIp {
    pub(super) id: String,
    #[serde(default)]
    pub(super) ip: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Volumes {
    pub(super) block_storage_volumes: LenientList<Volume>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Volume {
    pub(super) id: String,
    #[serde(default)]
    pub(super) name: Option<String>,
    /// The instance that it is attached to.
    #[serde(default)]
    pub(super) instance: Option<Reference>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Reference {
    pub(super) id: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Operation {
    pub(super) id: String,
    /// `pending`, `success`, `failure` or `timeout`.
    pub(super) state: String,
    #[serde(default)]
    pub(super) message: Option<String>,
    #[serde(default)]
    pub(super) reason: Option<String>,
    #[serde(default)]
    pub(super) reference: Option<Reference>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ErrorReply {
    pub(super) message: String,
}
