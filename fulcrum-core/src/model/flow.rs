//! Network traffic and provider fees of a plan.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{ComponentId, ProviderId};

/// Replicas of a component in one region and under one egress tariff, and whom they talk to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Flow {
    /// Who sends.
    pub from: ComponentId,
    /// From where, as `provider/region`.
    pub from_region: String,
    /// To whom.
    pub to: FlowTarget,
    /// How many replicas send; of users how many groups are served: 1.
    pub replicas: u32,
    /// GiB that leave the region in a month, all replicas together.
    pub gib: u64,
    /// What they cost, such as `0 up to 100 GiB, then 0.085`; none if not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tariff: Option<String>,
    /// Microseconds there and back; none if not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round_trip_us: Option<u32>,
}

/// The receiving end of a [`Flow`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FlowTarget {
    /// A component, along a link of the blueprint.
    Link {
        /// Position in the blueprint's `links`, from 0.
        link: usize,
        /// Where the receiving replicas are, as `provider/region`.
        region: String,
    },
    /// The component's user group of this name.
    Users(String),
}

/// What all traffic that leaves one provider under one tariff costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrafficLine {
    /// Who charges.
    pub provider: ProviderId,
    /// The price of a GiB, tier by tier.
    pub tariff: String,
    /// GiB a month.
    pub gib: u64,
    /// Net, per month, in the plan's currency.
    #[serde(with = "crate::model::decimal")]
    #[schemars(with = "crate::model::AnyDecimal")]
    pub monthly: Decimal,
}

/// What a provider costs besides what is bought from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FeeLine {
    /// Whom.
    pub provider: ProviderId,
    /// Net, per month.
    #[serde(with = "crate::model::decimal")]
    #[schemars(with = "crate::model::AnyDecimal")]
    pub monthly: Decimal,
    /// Net, once.
    #[serde(with = "crate::model::decimal")]
    #[schemars(with = "crate::model::AnyDecimal")]
    pub once: Decimal,
}
