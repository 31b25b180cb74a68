//! The API's answers, as far as they are used, and what an operation's handle says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::LABEL;
use crate::{model::SkuId, provider::http::LenientList};

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
    /// Whether the organisation may have it.
    #[serde(default = "yes")]
    pub(super) authorized: bool,
    /// Where it is; empty if that is not told.
    #[serde(default)]
    pub(super) zones: Vec<String>,
}

fn yes() -> bool {
    true
}

/// One template, as far as it tells what is paid for with it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct OneTemplate {
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
}

#[derive(Debug, Deserialize)]
pub(super) struct Instances {
    pub(super) instances: LenientList<Instance>,
}

/// Whether an instance that cannot be read is certainly none of ours: it has no label of ours.
pub(super) fn is_foreign(row: &Value) -> bool {
    row.get("labels").and_then(Value::as_object).is_some_and(|labels| !labels.contains_key(LABEL))
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
    /// Elastic addresses that lead to it.
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
    /// On what it hangs.
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
pub(super) struct Refusal {
    pub(super) message: String,
}

/// What an operation's handle says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Handle {
    /// An instance is made, and starts by itself; by no operation that is known, if the answer was lost.
    Make { at: At, operation: Option<String> },
    /// It is to be in a state; none if nothing had to be asked for.
    Reach {
        at: At,
        operation: Option<String>,
        state: String,
        /// The type that it is to have, where that was asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sku: Option<SkuId>,
    },
    /// It is ended; none if it was not there.
    End { at: Option<At> },
}

/// An instance in its zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct At {
    pub(super) zone: String,
    pub(super) instance: String,
}
