//! The API's documents, as far as they are used (Open Service Broker API 2.17).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use crate::{
    model::{Settings, SkuId},
    provider::{
        Result,
        http::{LenientList, Response},
    },
};

#[derive(Debug, Deserialize)]
pub(super) struct Catalog {
    pub(super) services: LenientList<Offering>,
}

impl Catalog {
    /// Whether a service or a plan cannot be read.
    pub(super) fn has_odd_rows(&self) -> bool {
        !self.services.unreadable().is_empty()
            || self.services.iter().any(|service| !service.plans.unreadable().is_empty())
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Offering {
    pub(super) id: String,
    pub(super) name: String,
    /// Whether an instance is told when it is asked for.
    #[serde(default)]
    pub(super) instances_retrievable: bool,
    pub(super) plans: LenientList<Plan>,
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
#[derive(Debug, Deserialize)]
#[serde(from = "Value")]
pub(super) struct Costs(Result<Vec<Cost>, String>);

impl Default for Costs {
    fn default() -> Self {
        Self(Ok(Vec::new()))
    }
}

impl From<Value> for Costs {
    fn from(value: Value) -> Self {
        if value.is_null() {
            return Self::default();
        }
        let read = serde_path_to_error::deserialize::<_, Metadata>(&value);
        Self(
            read.map(|metadata| metadata.costs)
                .map_err(|error| format!("its metadata cannot be read: {error}")),
        )
    }
}

impl Costs {
    /// Each of them.
    ///
    /// # Errors
    /// In words, why they cannot be read.
    pub(super) fn costs(&self) -> Result<&[Cost], String> {
        self.0.as_deref().map_err(Clone::clone)
    }
}

#[derive(Debug, Default, Deserialize)]
struct Metadata {
    #[serde(default)]
    costs: Vec<Cost>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Cost {
    /// By currency; in lower case, says the convention.
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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) parameters: Option<&'a Settings>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Begun {
    pub(super) operation: Option<String>,
}

impl Begun {
    /// What an answer says, which must be an object: also a list would be read as one in which nothing stands.
    pub(super) fn of(response: &Response) -> Result<Self> {
        let fields: BTreeMap<String, Value> = response.json()?;
        match fields.get("operation") {
            None | Some(Value::Null) => Ok(Self::default()),
            Some(Value::String(name)) => Ok(Self { operation: Some(name.clone()) }),
            Some(_) => Err(response.protocol_error("operation: it is no text")),
        }
    }
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
    Make {
        instance: String,
        operation: Option<String>,
        /// What was asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sku: Option<SkuId>,
        /// Whether the broker has answered that it is there.
        #[serde(default, skip_serializing_if = "is_false")]
        is_done: bool,
        /// With which settings it may be asked for again, where that alone tells whether it is there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        settings: Option<Settings>,
    },
    Change {
        instance: String,
        operation: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sku: Option<SkuId>,
        #[serde(default, skip_serializing_if = "is_false")]
        is_done: bool,
    },
    End {
        instance: String,
        operation: Option<String>,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}
