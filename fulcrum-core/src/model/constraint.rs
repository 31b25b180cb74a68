//! Conditions on a plan as a whole. `n(x)` is the number of replicas of component `x`.

use indexmap::IndexMap;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{ComponentId, Measure};

/// One condition, written as `- spread: { components: [db], over: provider, at_least: 2 }`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Constraint {
    /// Bounds on the sum of replicas.
    Count(Count),
    /// So many replicas of one component serve so many of another.
    Serves(Serves),
    /// Bounds on a weighted sum of replicas: the general form of the two above.
    Linear(Linear),
    /// Exactly one of these components is deployed, the others not at all.
    OneOf(Vec<ComponentId>),
    /// Components that never share a machine.
    Conflict(Conflict),
    /// On each machine all of these components, in equal numbers, or none.
    Colocate(Colocate),
    /// A component that is on every machine.
    Everywhere(Everywhere),
    /// Replicas in several places.
    Spread(Spread),
    /// Any one place may vanish and enough replicas remain.
    Survive(Survive),
    /// At most so many places for the whole plan.
    Distinct(Distinct),
    /// An upper limit on a figure of the whole plan.
    Limit(Limit),
}

/// What is counted as one place.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Over {
    /// A provider with all its regions.
    Provider,
    /// One region of one provider.
    Region,
    /// One zone of one region; what is sold for a region as a whole counts as a zone of its own.
    Zone,
    /// A country, whoever sells there.
    Country,
}

impl Over {
    /// The word in a blueprint.
    pub fn word(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Region => "region",
            Self::Zone => "zone",
            Self::Country => "country",
        }
    }
}

/// `min ≤ Σ n(components) ≤ max`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Count {
    /// Whose replicas are added.
    #[schemars(length(min = 1))]
    pub components: Vec<ComponentId>,
    /// At least; with `exactly` left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<u32>,
    /// At most; with `exactly` left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
    /// Both at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exactly: Option<u32>,
}

fn one() -> u32 {
    1
}

/// `servers` replicas of `server` serve at most `clients` replicas of `client`:
/// `servers · n(client) ≤ clients · n(server)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Serves {
    /// Who serves.
    pub server: ComponentId,
    /// So many of them together …
    #[serde(default = "one")]
    pub servers: u32,
    /// … serve replicas of this component …
    pub client: ComponentId,
    /// … at most so many.
    pub clients: u32,
    /// The other direction too: no server is superfluous; one fewer would not be enough.
    #[serde(default)]
    pub no_spare: bool,
    /// Holds only if this component is deployed; for components in a `one_of`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<ComponentId>,
}

/// `min ≤ Σ factor · n(component) ≤ max`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Linear {
    /// The factor of each component, -1,000,000 to 1,000,000.
    #[serde(deserialize_with = "super::document::unique")]
    #[schemars(with = "std::collections::BTreeMap<ComponentId, i64>")]
    pub terms: IndexMap<ComponentId, i64>,
    /// At least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<i64>,
    /// At most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<i64>,
    /// Holds only if this component is deployed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<ComponentId>,
}

/// `component` never shares a machine with any of `with`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Conflict {
    /// The one.
    pub component: ComponentId,
    /// The others.
    pub with: Vec<ComponentId>,
}

/// On each machine all of the components, in equal numbers, or none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Colocate {
    /// Which.
    #[schemars(length(min = 1))]
    pub components: Vec<ComponentId>,
}

/// `component` is on every leased machine that carries none of `unless`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Everywhere {
    /// What is on every machine.
    pub component: ComponentId,
    /// Machines that carry one of these are let off.
    #[serde(default)]
    pub unless: Vec<ComponentId>,
}

/// Each of the components, if deployed, is in at least so many places, and at most a share of its replicas
/// is in any one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Spread {
    /// Which, each for itself.
    #[schemars(length(min = 1))]
    pub components: Vec<ComponentId>,
    /// What counts as one place.
    pub over: Over,
    /// Distinct places with at least one replica.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub at_least: Option<u32>,
    /// The largest share of the replicas in one place, in per cent.
    #[serde(default, with = "crate::model::decimal::option", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<crate::model::AnyDecimal>")]
    pub max_percent: Option<Decimal>,
}

/// Of each of the components, if deployed, `remaining` replicas are left whichever one place vanishes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Survive {
    /// Which, each for itself.
    #[schemars(length(min = 1))]
    pub components: Vec<ComponentId>,
    /// What vanishes.
    pub loss_of: Over,
    /// Replicas that must be left.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    pub remaining: u32,
}

/// The whole plan uses at most so many places, to keep the number of contracts small.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Distinct {
    /// What counts as one place.
    pub over: Over,
    /// At most.
    #[schemars(range(min = 1))]
    pub at_most: u32,
}

/// An upper limit on a measure, or on a named resource that the leased offers use up, added over all leases.
///
/// `limit: { measure: carbon, max: 40 }`, `limit: { resource: power_w, max: 800 }`. What an offer uses of a
/// resource is its figure in the offer's `capacity.named`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// Which measure; or a resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measure: Option<Measure>,
    /// Which resource, by name; or a measure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// Only leases that carry one of these; empty for all. Of a resource only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<ComponentId>,
    /// The most, in the unit of the measure or resource.
    #[serde(with = "crate::model::decimal")]
    #[schemars(with = "crate::model::AnyDecimal")]
    pub max: Decimal,
}

impl Constraint {
    /// The word that starts it in a blueprint.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Count(_) => "count",
            Self::Serves(_) => "serves",
            Self::Linear(_) => "linear",
            Self::OneOf(_) => "one_of",
            Self::Conflict(_) => "conflict",
            Self::Colocate(_) => "colocate",
            Self::Everywhere(_) => "everywhere",
            Self::Spread(_) => "spread",
            Self::Survive(_) => "survive",
            Self::Distinct(_) => "distinct",
            Self::Limit(_) => "limit",
        }
    }

    /// All components that it names.
    pub fn components(&self) -> Vec<&ComponentId> {
        match self {
            Self::Count(count) => count.components.iter().collect(),
            Self::Serves(serves) => {
                [&serves.server, &serves.client].into_iter().chain(&serves.when).collect()
            }
            Self::Linear(linear) => linear.terms.keys().chain(&linear.when).collect(),
            Self::OneOf(components) => components.iter().collect(),
            Self::Conflict(conflict) => [&conflict.component].into_iter().chain(&conflict.with).collect(),
            Self::Colocate(colocate) => colocate.components.iter().collect(),
            Self::Everywhere(everywhere) => {
                [&everywhere.component].into_iter().chain(&everywhere.unless).collect()
            }
            Self::Spread(spread) => spread.components.iter().collect(),
            Self::Survive(survive) => survive.components.iter().collect(),
            Self::Distinct(_) => Vec::new(),
            Self::Limit(limit) => limit.components.iter().collect(),
        }
    }
}
