//! Traffic between components, and between users and components.

use serde::{Deserialize, Serialize};

use super::{ComponentId, Coordinates};

/// Traffic from one component to another. Each replica of `from` talks to replicas of `to` in one place,
/// which the plan names. What stays inside a region is free; what leaves it pays the egress price of the
/// offer that it leaves from. A link between optional components holds only if both are deployed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Link {
    /// The component that sends. Answers are a link of their own.
    pub from: ComponentId,
    /// The component that receives.
    pub to: ComponentId,
    /// GiB that each replica of `from` sends in a month.
    #[serde(default)]
    pub traffic_gib: u64,
    /// The longest round trip, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_ms: Option<u32>,
}

impl Link {
    /// A link without traffic or limit; set those on the value.
    pub fn new(from: ComponentId, to: ComponentId) -> Self {
        Self { from, to, traffic_gib: 0, max_ms: None }
    }
}

/// People who use a component from one location. Together they are served by replicas in one place, which
/// the plan names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct UserGroup {
    /// The name of the group, for people and for the table of round trips.
    pub name: String,
    /// The location of the group.
    pub at: Coordinates,
    /// GiB that are sent to them in a month; pays the egress price of the offer that it leaves from.
    #[serde(default)]
    pub traffic_gib: u64,
    /// The longest round trip, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_ms: Option<u32>,
}

impl UserGroup {
    /// A group without traffic or limit; set those on the value.
    pub fn new(name: impl Into<String>, at: Coordinates) -> Self {
        Self { name: name.into(), at, traffic_gib: 0, max_ms: None }
    }
}
