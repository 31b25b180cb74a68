//! The plan: the answer to a blueprint.

use std::collections::BTreeMap;

use iso_currency::Currency;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{Blueprint, FeeLine, Flow, Lease, Measure, MoveLine, Policy, TrafficLine};

/// Which offers, where, how many, what runs on what, what it costs, and how good that is.
///
/// The same blueprint, catalogue and options give the same plan, byte for byte, unless a time limit or a
/// cancellation stopped the search.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[non_exhaustive]
pub struct Plan {
    /// `fulcrum-plan/4`; a later minor version, `fulcrum-plan/4.1`, may have more fields.
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
    #[serde(default, rename = "then", skip_serializing_if = "Vec::is_empty")]
    pub later_stages: Vec<Stage>,
    /// Why the search stopped.
    pub stop: StopReason,
    /// How much work it was.
    pub statistics: Statistics,
    /// Months over which the cost was minimised; none in plans of format 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub horizon_months: Option<u32>,
    /// Whether only orderable offers took part, or all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offers: Option<OfferMode>,
    /// The day of the exchange rates with which amounts were converted; none if none were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub rates_date: Option<jiff::civil::Date>,
    /// Whether this process has made the plan, and so knows what it claims of its bound. Never written nor read.
    #[serde(skip)]
    pub proof: Proof,
    /// What a later minor version has written: kept as it is, and part of the digest.
    #[serde(flatten)]
    pub later: BTreeMap<String, serde_json::Value>,
}

/// Whether a plan's bound is known to this process; none says so of another's plan. Two plans that differ in it alone are
/// equal.
#[derive(Debug, Clone, Copy, Default)]
pub struct Proof(bool);

impl Proof {
    /// Of a plan whose bound this process has just found.
    pub(crate) fn proven() -> Self {
        Self(true)
    }
}

impl PartialEq for Proof {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Proof {}

/// Which offers a search may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OfferMode {
    /// Those that their provider sells here.
    Orderable,
    /// Those of comparison tables too.
    All,
}

impl Plan {
    /// A plan for a blueprint that buys nothing yet; its amounts are zero. For programs that make plans of their own: such a
    /// plan proves nothing, whatever its `stop` says.
    pub fn new(blueprint: &Blueprint, catalogue_digest: impl Into<String>) -> Self {
        Self {
            format: Self::FORMAT.to_owned(),
            blueprint: blueprint.name.clone(),
            blueprint_digest: super::digest_of(blueprint),
            catalogue_digest: catalogue_digest.into(),
            currency: blueprint.currency,
            leases: Vec::new(),
            flows: Vec::new(),
            traffic: Vec::new(),
            fees: Vec::new(),
            moves: Vec::new(),
            monthly: Decimal::ZERO,
            once: Decimal::ZERO,
            measures: Measures::default(),
            objective: Decimal::ZERO,
            bound: Decimal::ZERO,
            gap_percent: Decimal::ZERO,
            later_stages: Vec::new(),
            stop: StopReason::Limit,
            statistics: Statistics::default(),
            horizon_months: Some(blueprint.horizon_months),
            offers: None,
            rates_date: None,
            proof: Proof::default(),
            later: BTreeMap::new(),
        }
    }

    /// The format that this version writes. It reads format 3 too, and later minor versions of format 4.
    pub const FORMAT: &str = "fulcrum-plan/4";
    const FORMAT_3: &str = "fulcrum-plan/3";

    /// Whether the plan is proven to be the best: this process has found it, and no other can be better. What was read, from
    /// a document or a ledger, only claims that by `stop` and `bound`; to know it, compose again with the plan as `start`.
    pub fn is_optimal(&self) -> bool {
        self.stop == StopReason::Optimal && self.proof.0
    }

    /// Whether it is of format 3, which tells no horizon.
    pub(crate) fn is_format_3(&self) -> bool {
        self.format == Self::FORMAT_3
    }

    /// Whether this version knows what the plan's format means.
    ///
    /// # Errors
    /// [`DocumentError`](super::DocumentError) names the format.
    pub(crate) fn check_format(&self) -> Result<(), super::DocumentError> {
        let is_known = self.is_format_3()
            || self.format == Self::FORMAT
            || self.format.strip_prefix(Self::FORMAT).is_some_and(|minor| minor.starts_with('.'));
        if is_known {
            return Ok(());
        }
        let message = format!(
            "{:?} is not a format that this version reads; compose again to get {}",
            self.format,
            Self::FORMAT
        );
        Err(super::DocumentError::at("format", message))
    }

    /// Reads a plan that was written as JSON.
    ///
    /// # Errors
    /// [`DocumentError`](super::DocumentError): the text is not a plan, or of another format version, or an amount is out of
    /// range.
    pub fn from_json(text: &str) -> Result<Self, super::DocumentError> {
        super::check_size(text, super::limits::MAX_PLAN_BYTES)?;
        let plan: Self = super::parse_json(text)?;
        plan.check_format()?;
        plan.check().map_err(|error| error.located(text))?;
        Ok(plan)
    }

    /// For each lease the index of its step, in an order with so many steps; `None` for what the plan keeps. The last plan of an
    /// order has the last steps.
    pub(crate) fn steps_of_leases(&self, steps: usize) -> Vec<Option<u32>> {
        let bought = self.leases.iter().filter(|lease| lease.keeps.is_none()).count();
        let mut next = u32::try_from(steps.saturating_sub(bought)).unwrap_or(u32::MAX);
        let mut index = |lease: &Lease| {
            let index = lease.keeps.is_none().then_some(next);
            next = next.saturating_add(u32::from(index.is_some()));
            index
        };
        self.leases.iter().map(&mut index).collect()
    }

    /// What the plan commits to over its horizon, everything included: leases with their renewals, traffic, fees and moves.
    /// Plans of format 3 tell no horizon: of them it is a month and the start. `None` if it is out of range.
    pub fn total(&self) -> Option<Decimal> {
        let months = Decimal::from(self.horizon_months.unwrap_or(1));
        let leases = self.leases.iter().map(|lease| match self.horizon_months {
            Some(_) => lease.total(),
            None => lease
                .lines
                .iter()
                .try_fold(Decimal::ZERO, |sum, line| sum.checked_add(line.monthly)?.checked_add(line.once)),
        });
        let monthly =
            self.traffic.iter().map(|line| line.monthly).chain(self.fees.iter().map(|fee| fee.monthly));
        let once = self.fees.iter().map(|fee| fee.once).chain(self.moves.iter().map(|line| line.once));
        let parts = leases.chain(monthly.map(|amount| amount.checked_mul(months))).chain(once.map(Some));
        parts.into_iter().try_fold(Decimal::ZERO, |sum, part| sum.checked_add(part?))
    }

    /// The measure that `objective` is of; none if it is a weighted sum, or the plan does not tell.
    ///
    /// A plan has no word of it, but a plan for anything other than cost breaks ties by cost, in a later stage.
    pub fn objective_measure(&self) -> Option<Measure> {
        let is_later = |measure| self.later_stages.iter().any(|stage| stage.measure == measure);
        let fits = |measure: &Measure| self.measures.get(*measure) == Some(self.objective);
        if !is_later(Measure::Cost) {
            return Some(Measure::Cost).filter(fits);
        }
        let mut first = self.measures.0.keys().copied().filter(|measure| !is_later(*measure)).filter(fits);
        first.next().filter(|_| first.next().is_none())
    }

    /// The digest of plan and policy, which an approval step shows and signs off: BLAKE3, as 64 hexadecimal digits.
    /// A purchase that names it buys this plan under this policy and nothing else.
    pub fn approval_digest(&self, policy: &Policy) -> String {
        super::digest_of(&(self, policy))
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
#[non_exhaustive]
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
    /// Pricing problems of column generation that ended at a limit: they count with a bound, which the proof allows for.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub inexact_pricing: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}
