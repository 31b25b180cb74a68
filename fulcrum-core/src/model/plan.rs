//! The answer to a blueprint.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use iso_currency::Currency;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{
    ComponentId, FeeLine, Flow, Measure, MoveLine, OfferId, OfferKind, Place, ServiceId, SkuId, TrafficLine,
};

/// Which offers, where, how many, what runs on what, what it costs, and how good that is.
///
/// The same blueprint, catalogue and options give the same plan, byte for byte, unless a time limit or a
/// cancellation stopped the search.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// `fulcrum-plan/3`.
    pub format: String,
    /// The blueprint's name.
    pub blueprint: String,
    /// BLAKE3 of the blueprint.
    pub blueprint_digest: String,
    /// BLAKE3 of the catalogue snapshot.
    pub catalogue_digest: String,
    /// Of all amounts here; ISO 4217.
    #[schemars(with = "String")]
    pub currency: Currency,
    /// What is bought.
    pub leases: Vec<Lease>,
    /// Who talks to whom.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flows: Vec<Flow>,
    /// What traffic costs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub traffic: Vec<TrafficLine>,
    /// What the providers cost besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fees: Vec<FeeLine>,
    /// What moving replicas that run already costs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moves: Vec<MoveLine>,
    /// Net cost of a month, without set-up fees.
    #[serde(with = "crate::model::decimal")]
    #[schemars(with = "crate::model::AnyDecimal")]
    pub monthly: Decimal,
    /// Net cost at the start.
    #[serde(with = "crate::model::decimal")]
    #[schemars(with = "crate::model::AnyDecimal")]
    pub once: Decimal,
    /// Every measure that the objective or a limit looks at, and the cost; lower is better. Of an objective in turn
    /// those that the search came to.
    #[schemars(with = "std::collections::BTreeMap<Measure, String>")]
    pub measures: Measures,
    /// What was minimised: one measure or a weighted sum; of several in turn the first.
    #[serde(with = "crate::model::decimal")]
    #[schemars(with = "crate::model::AnyDecimal")]
    pub objective: Decimal,
    /// A value that no plan can be below, proven.
    #[serde(with = "crate::model::decimal")]
    #[schemars(with = "crate::model::AnyDecimal")]
    pub bound: Decimal,
    /// `(objective - bound) / objective`, in per cent, rounded up to two decimals; 0 means proven optimal.
    #[serde(with = "crate::model::decimal")]
    #[schemars(with = "crate::model::AnyDecimal")]
    pub gap_percent: Decimal,
    /// What was minimised after that, in turn.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub then: Vec<Stage>,
    /// Why the search stopped.
    pub stop: StopReason,
    /// How much work it was.
    pub statistics: Statistics,
}

impl Plan {
    /// The format that this version writes and reads.
    pub const FORMAT: &str = "fulcrum-plan/3";

    /// Whether the plan is proven to be the best.
    pub fn is_optimal(&self) -> bool {
        self.stop == StopReason::Optimal
    }

    /// Reads a plan that was written as JSON.
    ///
    /// # Errors
    /// [`DocumentError`](super::DocumentError): the text is no plan, or of another format version.
    pub fn from_json(text: &str) -> Result<Self, super::DocumentError> {
        let plan: Self = super::parse_json(text)?;
        if plan.format != Self::FORMAT {
            let message = format!(
                "{:?} is not the format that this version reads; compose again to get {}",
                plan.format,
                Self::FORMAT
            );
            return Err(super::DocumentError::at("format", message));
        }
        Ok(plan)
    }
}

/// Values of measures.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Measures(pub BTreeMap<Measure, Amount>);

/// A number that is written as text, digit by digit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Amount(#[serde(with = "crate::model::decimal")] pub Decimal);

impl Measures {
    /// The value of a measure, if it was looked at.
    pub fn get(&self, measure: Measure) -> Option<Decimal> {
        self.0.get(&measure).map(|amount| amount.0)
    }
}

/// A measure that was minimised among the plans that are best in all before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Which.
    pub measure: Measure,
    /// Its value.
    #[serde(with = "crate::model::decimal")]
    #[schemars(with = "crate::model::AnyDecimal")]
    pub value: Decimal,
    /// What no plan that is as good in all before can be below.
    #[serde(with = "crate::model::decimal")]
    #[schemars(with = "crate::model::AnyDecimal")]
    pub bound: Decimal,
}

fn is_zero(rank: &u32) -> bool {
    *rank == 0
}

/// One instance of an offer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lease {
    /// Which offer.
    pub offer: OfferId,
    /// Its SKU.
    pub sku: SkuId,
    /// Its kind.
    pub kind: OfferKind,
    /// Where it is.
    pub place: Place,
    /// How many replicas of which components are on it.
    #[schemars(with = "std::collections::BTreeMap<ComponentId, u32>")]
    pub replicas: IndexMap<ComponentId, u32>,
    /// GiB of storage that are bought with it or as it; 0 if its size is fixed.
    pub size_gib: u64,
    /// The running service that it is, if the blueprint named one that stays; else it is to be bought.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keeps: Option<ServiceId>,
    /// What it is made with: the settings of its components.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
    /// Components of which all leases with a lower rank must be there before this one is bought.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub after: BTreeSet<ComponentId>,
    /// The greatest rank of its components: how many must be there one after the other before it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rank: u32,
    /// What it costs, line by line.
    pub lines: Vec<PriceLine>,
}

/// One line of a lease's cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PriceLine {
    /// What is paid for: the offer's SKU, or that of the disk that is bought with it.
    pub sku: SkuId,
    /// For people: how the figure comes about.
    pub text: String,
    /// Net, per month, in the plan's currency, rounded to micro-units.
    #[serde(with = "crate::model::decimal")]
    #[schemars(with = "crate::model::AnyDecimal")]
    pub monthly: Decimal,
    /// Net, once; of a commitment each time that it is renewed.
    #[serde(with = "crate::model::decimal")]
    #[schemars(with = "crate::model::AnyDecimal")]
    pub once: Decimal,
    /// Net, all that is paid over the blueprint's horizon, renewals included.
    #[serde(with = "crate::model::decimal")]
    #[schemars(with = "crate::model::AnyDecimal")]
    pub total: Decimal,
}

/// Why a search stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// The plan is proven best.
    Optimal,
    /// The allowed gap is reached.
    GapReached,
    /// Time or nodes are used up.
    Limit,
    /// The caller asked for it.
    Cancelled,
}

/// How much work a search was; counts only, so that plans stay comparable byte for byte.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Statistics {
    /// Offers in the catalogue.
    pub offers: u64,
    /// Offers that some component may use.
    pub eligible: u64,
    /// Sets of replicas that fit some offer.
    pub patterns: u64,
    /// Variables of the integer program.
    pub variables: u64,
    /// Rows of the integer program.
    pub rows: u64,
    /// Nodes of the search tree.
    pub nodes: u64,
    /// Steps of the simplex method.
    pub pivots: u64,
}
