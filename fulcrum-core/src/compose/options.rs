//! What a caller can set, and what it sees during a search.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroUsize,
    sync::Arc,
};

use rust_decimal::Decimal;

use crate::model::{Measure, OfferId, Plan, ProviderId, StopReason};

/// How a plan is searched for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComposeOptions {
    /// Stop when the plan is proven to be at most this many per cent above the best. 0 proves the optimum.
    pub gap_percent: Decimal,
    /// Stop after so many nodes; a limit that does not depend on the machine's speed.
    pub max_nodes: u64,
    /// How many threads search, up to 64. For the same number the answer is the same each time; another number may give
    /// another plan of the same cost, or at a limit another plan.
    pub threads: NonZeroUsize,
    /// Offers that must not be used, such as those that turned out to be sold out.
    pub exclude: BTreeSet<OfferId>,
    /// Providers of whom nothing more must be bought; what runs there already may stay.
    pub exclude_providers: BTreeSet<ProviderId>,
    /// The most of a measure, besides the blueprint's own limits; in the measure's unit.
    pub caps: BTreeMap<Measure, Decimal>,
    /// A plan that was made for the same blueprint or one like it, perhaps from another catalogue: the search begins
    /// with what of it can still be had. It changes how soon plans are found, never how good the best one is.
    pub start: Option<Arc<Plan>>,
    /// How lease kinds are found.
    pub method: Method,
}

/// How the engine finds the kinds of lease that a plan may use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Method {
    /// All are written down if they are not too many, else they are made on demand.
    #[default]
    Auto,
    /// Made on demand, as for large markets.
    OnDemand,
}

impl Default for ComposeOptions {
    fn default() -> Self {
        Self {
            gap_percent: Decimal::ZERO,
            max_nodes: u64::MAX,
            threads: NonZeroUsize::MIN,
            exclude: BTreeSet::new(),
            exclude_providers: BTreeSet::new(),
            caps: BTreeMap::new(),
            start: None,
            method: Method::Auto,
        }
    }
}

/// What is known during a search. Values are a month's, in the unit of what is minimised: of cost the blueprint's
/// currency, the share of set-up fees included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The best plan so far.
    pub incumbent: Option<Decimal>,
    /// What no plan can be below.
    pub bound: Option<Decimal>,
    /// Nodes done.
    pub nodes: u64,
}

/// A caller's answer to [`Progress`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Go on.
    Continue,
    /// Time is up: return the best so far.
    Limit,
    /// The caller has lost interest: return the best so far.
    Cancel,
}

impl Signal {
    /// Why the search stops; `None` if it goes on.
    pub(crate) fn stop(self) -> Option<StopReason> {
        match self {
            Self::Continue => None,
            Self::Limit => Some(StopReason::Limit),
            Self::Cancel => Some(StopReason::Cancelled),
        }
    }
}
