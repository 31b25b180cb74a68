//! Pricing categories and purchase options: on demand, spot, or committed for a term.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How firmly capacity is sold, as a filter names it; an offer says it as a [`PurchaseOption`].
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "Market")]
pub enum PricingCategory {
    /// Until it is released.
    #[default]
    OnDemand,
    /// For a minimum term.
    Committed,
    /// Until the provider wants it back.
    Spot,
}

/// How firmly capacity is sold, and for how long: `on_demand`, `spot` or `{ committed: 12 }`.
///
/// Offer, lease and request carry it, so that what is ordered is what was priced.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum PurchaseOption {
    /// Until it is released.
    #[default]
    OnDemand,
    /// Until the provider wants it back.
    Spot,
    /// For so many months at least; renewed until it is released.
    Committed(u32),
}

impl PurchaseOption {
    /// From the two columns of a price table; the term counts for a commitment only.
    pub fn new(market: PricingCategory, term_months: u32) -> Self {
        match market {
            PricingCategory::OnDemand => Self::OnDemand,
            PricingCategory::Spot => Self::Spot,
            PricingCategory::Committed => Self::Committed(term_months),
        }
    }

    /// As a filter names it.
    pub fn pricing_category(self) -> PricingCategory {
        match self {
            Self::OnDemand => PricingCategory::OnDemand,
            Self::Spot => PricingCategory::Spot,
            Self::Committed(_) => PricingCategory::Committed,
        }
    }

    /// Whether it is a commitment.
    pub fn is_committed(self) -> bool {
        self.committed_months().is_some()
    }

    /// The term of a commitment; none for all else.
    pub fn committed_months(self) -> Option<u32> {
        match self {
            Self::Committed(months) => Some(months),
            Self::OnDemand | Self::Spot => None,
        }
    }
}

/// For people: `on demand`, `spot`, `committed for 12 months`.
impl fmt::Display for PurchaseOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OnDemand => f.write_str("on demand"),
            Self::Spot => f.write_str("spot"),
            Self::Committed(months) => write!(f, "committed for {months} months"),
        }
    }
}
