//! The API's documents, as far as they are used (Open Service Broker API 2.17).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use crate::provider::http::{Rows, leave_out};

#[derive(Debug, Deserialize)]
pub(super) struct Catalog {
    pub(super) services: Rows<Offering>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Offering {
    pub(super) id: String,
    pub(super) name: String,
    /// Whether an instance is told when it is asked for.
    #[serde(default)]
    pub(super) instances_retrievable: bool,
    pub(super) plans: Rows<Plan>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Plan {
    pub(super) id: String,
    pub(super) name: String,
    #[serde(default)]
    pub(super) metadata: Costs,
}

/// What a plan costs. It is told in what the specification leaves to each broker: where it cannot be read the plan is there,
/// and has no price.
#[derive(Debug, Default, Deserialize)]
#[serde(from = "Value")]
pub(super) struct Costs(Option<Metadata>);

impl From<Value> for Costs {
    fn from(value: Value) -> Self {
        if value.is_null() {
            return Self(None);
        }
        match serde_path_to_error::deserialize(&value) {
            Ok(metadata) => Self(Some(metadata)),
            Err(error) => {
                leave_out("a plan's metadata", &error);
                Self(None)
            }
        }
    }
}

impl Costs {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Metadata> + Clone {
        self.0.iter()
    }
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Metadata {
    #[serde(default)]
    pub(super) costs: Vec<Cost>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Cost {
    /// By currency, in lower case.
    #[serde(default)]
    pub(super) amount: BTreeMap<String, Number>,
    #[serde(default)]
    pub(super) unit: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Wanted<'a> {
    pub(super) service_id: &'a str,
    pub(super) plan_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) organization_guid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) space_guid: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) parameters: BTreeMap<&'a str, Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Begun {
    pub(super) operation: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Instance {
    #[serde(default)]
    pub(super) service_id: Option<String>,
    #[serde(default)]
    pub(super) plan_id: Option<String>,
    #[serde(default)]
    pub(super) dashboard_url: Option<String>,
}

impl Instance {
    /// Whether nothing is told of it.
    pub(super) fn is_empty(&self) -> bool {
        self.service_id.is_none() && self.plan_id.is_none() && self.dashboard_url.is_none()
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct LastOperation {
    /// `in progress`, `succeeded` or `failed`.
    pub(super) state: String,
    #[serde(default)]
    pub(super) description: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Bound {
    #[serde(default)]
    pub(super) credentials: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Refusal {
    pub(super) error: String,
    pub(super) description: String,
}

/// What an operation's handle says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Handle {
    Make { instance: String, operation: Option<String> },
    Change { instance: String, operation: Option<String> },
    End { instance: String, operation: Option<String> },
}
