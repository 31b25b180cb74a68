//! What a caller can set, and what it sees during a search.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroUsize,
    sync::Arc,
};

use rust_decimal::Decimal;

use crate::{
    catalogue::{Catalogue, OfferIx},
    model::{Measure, OfferId, OfferMode, Plan, ProviderId, StopReason},
};

/// How a plan is searched for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComposeOptions {
    /// Stop when the plan is proven to be at most this many per cent above the best. 0 proves the optimum.
    pub gap_percent: Decimal,
    /// Stop after so many nodes; a limit that does not depend on the machine's speed.
    pub max_nodes: u64,
    /// Threads that search, at most 64. The same number gives the same plan each time. Another number may give another
    /// plan of the same cost, or another plan at a limit.
    pub threads: NonZeroUsize,
    /// Offers that must not be used, such as those that turned out to be sold out.
    pub exclude: BTreeSet<OfferId>,
    /// Providers of whom nothing more must be bought; what runs there already may stay.
    pub exclude_providers: BTreeSet<ProviderId>,
    /// Which offers may be used; none for [`Catalogue::default_offer_mode`](crate::catalogue::Catalogue::default_offer_mode).
    pub offers: Option<OfferMode>,
    /// Upper limits on measures, besides the blueprint's own; in the measure's unit.
    pub caps: BTreeMap<Measure, Decimal>,
    /// A warm start: a plan that was made for the same blueprint or one like it, perhaps from another catalogue. The
    /// search begins with those of its leases that can still be had. It changes how soon plans are found, never the
    /// optimum.
    pub start: Option<Arc<Plan>>,
    /// How columns are found.
    pub method: Method,
}

/// How the engine finds the columns, which are the kinds of lease that a plan may use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Method {
    /// All columns are written down if they are few; otherwise column generation finds them.
    #[default]
    Auto,
    /// Column generation, whatever the size.
    OnDemand,
    /// All columns are written down up to 20,000 patterns: another way to the same optimum, mostly a slower one.
    AllColumns,
}

impl ComposeOptions {
    /// The options to ask about a plan with: over the offers that the plan was made of, unless the caller says otherwise.
    pub(crate) fn as_for(&self, plan: &Plan) -> Self {
        Self { offers: self.offers.or(plan.offers), ..self.clone() }
    }

    /// Which offers a plan uses.
    pub(crate) fn offer_mode(&self, catalogue: &Catalogue) -> OfferMode {
        self.offers.unwrap_or_else(|| catalogue.default_offer_mode())
    }

    /// Whether the caller lets a plan lease an offer.
    pub(crate) fn admits(&self, catalogue: &Catalogue, ix: OfferIx) -> bool {
        let is_sold = || self.offer_mode(catalogue) == OfferMode::All || catalogue.is_orderable(ix);
        is_sold()
            && !self.exclude_providers.contains(&catalogue.place(ix).provider)
            && (self.exclude.is_empty() || !self.exclude.contains(&catalogue.offer(ix).id()))
    }
}

impl Default for ComposeOptions {
    fn default() -> Self {
        Self {
            gap_percent: Decimal::ZERO,
            max_nodes: u64::MAX,
            threads: NonZeroUsize::MIN,
            exclude: BTreeSet::new(),
            exclude_providers: BTreeSet::new(),
            offers: None,
            caps: BTreeMap::new(),
            start: None,
            method: Method::Auto,
        }
    }
}

/// What is known during a search. Values are per month in the objective's unit. A cost is in the blueprint's currency
/// and includes a share of set-up fees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The value of the best plan so far.
    pub incumbent: Option<Decimal>,
    /// A value that no plan can beat.
    pub bound: Option<Decimal>,
    /// Nodes of branch and bound so far.
    pub nodes: u64,
}

/// A caller's answer to [`Progress`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Go on.
    Continue,
    /// Time is up: return the best so far.
    Limit,
    /// The caller does not need the plan any more: return the best so far.
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
