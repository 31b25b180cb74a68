//! What a caller can set, and what it sees during a search.

use std::collections::BTreeSet;

use rust_decimal::Decimal;

use crate::model::OfferId;

/// How a plan is searched for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComposeOptions {
    /// Stop when the plan is proven to be at most this many per cent above the best. 0 proves the optimum.
    pub gap_percent: Decimal,
    /// Stop after so many nodes; a limit that does not depend on the machine's speed.
    pub max_nodes: u64,
    /// Offers that must not be used, such as those that turned out to be sold out.
    pub exclude: BTreeSet<OfferId>,
}

impl Default for ComposeOptions {
    fn default() -> Self {
        Self { gap_percent: Decimal::ZERO, max_nodes: u64::MAX, exclude: BTreeSet::new() }
    }
}

/// What is known during a search. Costs are per month with the share of set-up fees, in the blueprint's
/// currency.
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
