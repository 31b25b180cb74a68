//! Constraints on a plan as a whole. `n(x)` is the number of replicas of component `x`.

use indexmap::IndexMap;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{ComponentId, Measure, Share};

/// One condition, written as `- spread: { components: [db], over: provider, at_least: 2 }`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Constraint {
    /// Bounds on the number of replicas of some components together.
    Count(Count),
    /// How many replicas of one component serve how many of another one.
    #[serde(rename = "serves")]
    Ratio(Ratio),
    /// Bounds on a weighted sum of replicas: the general form of `count` and `serves`.
    Linear(Linear),
    /// Exactly one of these components is deployed, the others not at all.
    OneOf(Vec<ComponentId>),
    /// Components that may share machines. Without it a machine carries replicas of one component.
    Share(Share),
    /// Components that never share a machine, whatever else permits it.
    #[serde(rename = "conflict")]
    AntiAffinity(AntiAffinity),
    /// On each machine all of these components, in equal numbers, or none.
    #[serde(rename = "colocate")]
    Affinity(Affinity),
    /// A component, such as a monitoring agent, that is on every machine.
    #[serde(rename = "everywhere")]
    FullDeployment(FullDeployment),
    /// Replicas in several places: at least so many places, or at most a share in one.
    Spread(Spread),
    /// Any one provider, region, zone or country may vanish, and enough replicas remain.
    #[serde(rename = "survive")]
    FaultTolerance(FaultTolerance),
    /// At most so many providers, regions, zones or countries for the whole plan.
    #[serde(rename = "distinct")]
    MaxDistinct(MaxDistinct),
    /// An upper limit on a measure, or on a named resource, of the whole plan.
    Limit(Limit),
}

/// What is counted as one place.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "Over")]
pub enum FailureDomain {
    /// A provider with all its regions.
    Provider,
    /// One region of one provider.
    Region,
    /// One zone of one region; what is sold for a region as a whole counts as a zone of its own.
    Zone,
    /// A country, whoever sells there.
    Country,
}

impl FailureDomain {
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
#[non_exhaustive]
pub struct Count {
    /// The components whose replicas are added up.
    #[schemars(length(min = 1))]
    pub components: Vec<ComponentId>,
    /// The least number of replicas together; leave it out if `exactly` is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<u32>,
    /// The greatest number of replicas together; leave it out if `exactly` is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
    /// The exact number of replicas together, in place of `min` and `max`.
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
#[schemars(rename = "Serves")]
#[non_exhaustive]
pub struct Ratio {
    /// The component that serves.
    pub server: ComponentId,
    /// How many replicas of `server` serve `clients` replicas of `client`; 1 if it is left out.
    #[serde(default = "one")]
    pub servers: u32,
    /// The component that is served.
    pub client: ComponentId,
    /// How many replicas of `client` that many servers can serve.
    pub clients: u32,
    /// Whether no server may be superfluous: with one fewer the clients would not be served.
    #[serde(default)]
    pub no_spare: bool,
    /// The component that must be deployed for the condition to hold; for components in a `one_of`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<ComponentId>,
}

/// `min ≤ Σ factor · n(component) ≤ max`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Linear {
    /// The factor of each component, -1,000,000 to 1,000,000.
    #[serde(deserialize_with = "super::document::unique")]
    #[schemars(with = "std::collections::BTreeMap<ComponentId, i64>")]
    pub terms: IndexMap<ComponentId, i64>,
    /// The least value of the sum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<i64>,
    /// The greatest value of the sum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<i64>,
    /// The component that must be deployed for the condition to hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<ComponentId>,
}

/// `component` never shares a machine with any of `with`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Conflict")]
#[non_exhaustive]
pub struct AntiAffinity {
    /// The component that keeps away from the others.
    pub component: ComponentId,
    /// The components with which it never shares a machine.
    pub with: Vec<ComponentId>,
}

/// On each machine all of the components, in equal numbers, or none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Colocate")]
#[non_exhaustive]
pub struct Affinity {
    /// The components that are on the same machines, in equal numbers.
    #[schemars(length(min = 1))]
    pub components: Vec<ComponentId>,
}

/// `component` is on every leased machine that carries none of `unless`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Everywhere")]
#[non_exhaustive]
pub struct FullDeployment {
    /// The component that is on every machine.
    pub component: ComponentId,
    /// Components whose machines need not carry it.
    #[serde(default)]
    pub unless: Vec<ComponentId>,
}

/// Each of the components, if deployed, is in at least so many places, and at most a share of its replicas
/// is in any one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Spread {
    /// The components that are spread, each by itself.
    #[schemars(length(min = 1))]
    pub components: Vec<ComponentId>,
    /// What counts as one place: a provider, region, zone or country.
    pub over: FailureDomain,
    /// The least number of places with a replica.
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
#[schemars(rename = "Survive")]
#[non_exhaustive]
pub struct FaultTolerance {
    /// The components that survive, each by itself.
    #[schemars(length(min = 1))]
    pub components: Vec<ComponentId>,
    /// What may vanish: any one provider, region, zone or country.
    pub loss_of: FailureDomain,
    /// How many replicas must be left of each; 1 if it is left out.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    pub remaining: u32,
}

/// The whole plan uses at most so many places, to keep the number of contracts small.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Distinct")]
pub struct MaxDistinct {
    /// What counts as one place: a provider, region, zone or country.
    pub over: FailureDomain,
    /// The greatest number of places that the plan uses.
    #[schemars(range(min = 1))]
    pub at_most: u32,
}

/// An upper limit on a measure, or on a named resource that the leased offers use up, added over all leases.
///
/// `limit: { measure: carbon, max: 40 }`, `limit: { resource: power_w, max: 800 }`. What an offer uses of a
/// resource is its figure in the offer's `capacity.named`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Limit {
    /// The measure that is limited; or write `resource`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measure: Option<Measure>,
    /// The name of the resource that is limited; or write `measure`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// The components whose leases count; empty for all. Only with `resource`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<ComponentId>,
    /// The greatest value, in the unit of the measure or resource.
    #[serde(with = "crate::model::decimal")]
    #[schemars(with = "crate::model::AnyDecimal")]
    pub max: Decimal,
}

impl Constraint {
    /// The word that starts it in a blueprint.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Count(_) => "count",
            Self::Ratio(_) => "serves",
            Self::Linear(_) => "linear",
            Self::OneOf(_) => "one_of",
            Self::Share(_) => "share",
            Self::AntiAffinity(_) => "conflict",
            Self::Affinity(_) => "colocate",
            Self::FullDeployment(_) => "everywhere",
            Self::Spread(_) => "spread",
            Self::FaultTolerance(_) => "survive",
            Self::MaxDistinct(_) => "distinct",
            Self::Limit(_) => "limit",
        }
    }

    /// All components that it names.
    pub fn components(&self) -> Vec<&ComponentId> {
        match self {
            Self::Count(count) => count.components.iter().collect(),
            Self::Ratio(serves) => [&serves.server, &serves.client].into_iter().chain(&serves.when).collect(),
            Self::Linear(linear) => linear.terms.keys().chain(&linear.when).collect(),
            Self::OneOf(components) => components.iter().collect(),
            Self::Share(Share::All) => Vec::new(),
            Self::Share(Share::Among(components)) => components.iter().collect(),
            Self::AntiAffinity(conflict) => [&conflict.component].into_iter().chain(&conflict.with).collect(),
            Self::Affinity(colocate) => colocate.components.iter().collect(),
            Self::FullDeployment(everywhere) => {
                [&everywhere.component].into_iter().chain(&everywhere.unless).collect()
            }
            Self::Spread(spread) => spread.components.iter().collect(),
            Self::FaultTolerance(survive) => survive.components.iter().collect(),
            Self::MaxDistinct(_) => Vec::new(),
            Self::Limit(limit) => limit.components.iter().collect(),
        }
    }
}

impl Count {
    /// Without bounds; set `min`, `max` or `exactly` on the value.
    pub fn new(components: Vec<ComponentId>) -> Self {
        Self { components, min: None, max: None, exactly: None }
    }
}

impl Ratio {
    /// One replica of `server` for `clients` replicas of `client`.
    pub fn new(server: ComponentId, client: ComponentId, clients: u32) -> Self {
        Self { server, servers: one(), client, clients, no_spare: false, when: None }
    }
}

impl Linear {
    /// Without bounds; set `min` or `max` on the value.
    pub fn new(terms: impl IntoIterator<Item = (ComponentId, i64)>) -> Self {
        Self { terms: terms.into_iter().collect(), min: None, max: None, when: None }
    }
}

impl AntiAffinity {
    /// `component` shares no machine with any of `with`.
    pub fn new(component: ComponentId, with: Vec<ComponentId>) -> Self {
        Self { component, with }
    }
}

impl Affinity {
    /// All of the components on each machine that has one of them.
    pub fn new(components: Vec<ComponentId>) -> Self {
        Self { components }
    }
}

impl FullDeployment {
    /// On every machine; set `unless` on the value.
    pub fn new(component: ComponentId) -> Self {
        Self { component, unless: Vec::new() }
    }
}

impl Spread {
    /// Without conditions; set `at_least` or `max_percent` on the value.
    pub fn new(components: Vec<ComponentId>, over: FailureDomain) -> Self {
        Self { components, over, at_least: None, max_percent: None }
    }
}

impl FaultTolerance {
    /// One replica of each component remains.
    pub fn new(components: Vec<ComponentId>, loss_of: FailureDomain) -> Self {
        Self { components, loss_of, remaining: one() }
    }
}

impl Limit {
    /// An upper limit on a measure.
    pub fn of_measure(measure: Measure, max: Decimal) -> Self {
        Self { measure: Some(measure), resource: None, components: Vec::new(), max }
    }

    /// An upper limit on a named resource of the leased offers.
    pub fn of_resource(resource: impl Into<String>, max: Decimal) -> Self {
        Self { measure: None, resource: Some(resource.into()), components: Vec::new(), max }
    }
}
