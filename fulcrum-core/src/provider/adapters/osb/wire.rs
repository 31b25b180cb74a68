//! The API's documents, as far as they are used.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use crate::{
    model::{Settings, read_foreign_value},
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
    /// Whether a service or a plan is unreadable.
    pub(super) fn has_unreadable_rows(&self) -> bool {
        !self.services.unreadable().is_empty()
            || self.services.iter().any(|service| !service.plans.unreadable().is_empty())
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Offering {
    pub(super) id: String,
    pub(super) name: String,
    /// Words for what it is, such as `postgresql`.
    #[serde(default)]
    pub(super) tags: Value,
    /// Whether the broker returns instances.
    #[serde(default)]
    pub(super) instances_retrievable: bool,
    /// Whether instances have bindings, unless the plan says otherwise.
    #[serde(default)]
    pub(super) bindable: bool,
    pub(super) plans: LenientList<Plan>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Plan {
    pub(super) id: String,
    pub(super) name: String,
    #[serde(default)]
    pub(super) metadata: Costs,
    #[serde(default)]
    pub(super) bindable: Option<bool>,
    /// JSON Schemas of what its instances and bindings are made with.
    #[serde(default)]
    pub(super) schemas: Value,
}

/// The costs of a plan. The specification leaves their form to each broker: a plan with unreadable costs exists, and has no
/// price.
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
        let read = read_foreign_value::<Metadata>(&value);
        Self(
            read.map(|metadata| metadata.costs).map_err(|fault| {
                format!("its metadata cannot be read: {}: {}", fault.path(), fault.finding())
            }),
        )
    }
}

impl Costs {
    /// The costs.
    ///
    /// # Errors
    /// In words: why the costs are unreadable.
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
    /// Amounts by currency, in lower case by convention.
    #[serde(default)]
    pub(super) amount: BTreeMap<String, Number>,
    #[serde(default)]
    pub(super) unit: String,
}

#[derive(Debug, Serialize)]
pub(super) struct InstanceRequest<'a> {
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
pub(super) struct Accepted {
    pub(super) operation: Option<String>,
}

impl Accepted {
    /// Reads a response, which must be an object: a list would be read as an empty object.
    pub(super) fn of(response: &Response) -> Result<Self> {
        let fields: BTreeMap<String, Value> = response.json()?;
        match fields.get("operation") {
            None | Some(Value::Null) => Ok(Self::default()),
            Some(Value::String(name)) => Ok(Self { operation: Some(name.clone()) }),
            Some(_) => Err(response.protocol_error("operation: not text")),
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
    /// Whether the document is empty.
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
pub(super) struct BindingReply {
    #[serde(default)]
    pub(super) credentials: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ErrorReply {
    pub(super) error: String,
    pub(super) description: String,
}
