//! Source reports: how each provider answered, and why a catalogue is empty.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Catalogue, age_limits::TOO_OLD_PREFIX};
use crate::{model::ProviderId, provider::RejectedRow};

/// Rejected rows that a report names.
const MAX_NAMED_ROWS: usize = 100;
/// Providers that a message names.
const MAX_NAMED_SOURCES: usize = 3;

/// The outcome of one provider's listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[non_exhaustive]
pub struct SourceReport {
    /// The provider.
    pub provider: ProviderId,
    /// The state of its offers.
    pub state: SourceState,
    /// Its offers in the snapshot.
    pub offers: usize,
    /// When its offers were listed.
    #[schemars(with = "Option<String>")]
    pub listed_at: Option<Timestamp>,
    /// The first hundred rejected rows of its list, and rows that only blueprints in their own currency can use.
    #[serde(default)]
    pub rejected: Vec<RejectedRow>,
    /// The number of all such rows.
    #[serde(default)]
    pub rejected_count: usize,
}

/// The state of a provider's offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SourceState {
    /// Listed for this snapshot.
    Fresh,
    /// The provider failed; its offers are those of the previous snapshot.
    Stale {
        /// The failure.
        reason: String,
    },
    /// The provider failed and its previous offers are too old or unknown: the snapshot has none.
    Missing {
        /// The failure.
        reason: String,
    },
}

impl SourceReport {
    pub(super) fn new(provider: ProviderId, state: SourceState, listed_at: Option<Timestamp>) -> Self {
        Self { provider, state, offers: 0, listed_at, rejected: Vec::new(), rejected_count: 0 }
    }

    /// Counts a rejected row, and names it if it is one of the first.
    pub(super) fn reject(&mut self, row: RejectedRow) {
        self.rejected_count = self.rejected_count.saturating_add(1);
        if self.rejected.len() < MAX_NAMED_ROWS {
            let RejectedRow { row, reason } = row;
            self.rejected.push(RejectedRow::new(row, reason));
        }
    }

    /// Marks its list as too old: the snapshot has none of its offers.
    pub(super) fn mark_too_old(&mut self, age: &str) {
        let reason = match &self.state {
            SourceState::Fresh => format!("{age}; call refresh()"),
            SourceState::Stale { reason } | SourceState::Missing { reason } => format!("{reason}; {age}"),
        };
        (self.state, self.listed_at) = (SourceState::Missing { reason }, None);
    }

    /// Why offers of it are missing; none if all are there.
    fn problem(&self) -> Option<String> {
        let provider = &self.provider;
        match (&self.state, self.rejected.first()) {
            (SourceState::Missing { reason } | SourceState::Stale { reason }, _) => {
                Some(format!("{provider}: {reason}"))
            }
            (SourceState::Fresh, Some(RejectedRow { row, reason })) => {
                let count = self.rejected_count;
                Some(format!("{provider}: {count} rows are left out, such as {row} ({reason})"))
            }
            (SourceState::Fresh, None) => None,
        }
    }
}

fn summary(sources: &[&SourceReport]) -> String {
    let mut words: Vec<_> =
        sources.iter().filter_map(|source| source.problem()).take(MAX_NAMED_SOURCES).collect();
    let more = sources.len().saturating_sub(MAX_NAMED_SOURCES);
    if more > 0 {
        words.push(format!("and {more} more"));
    }
    words.join("; ")
}

impl Catalogue {
    /// Why the catalogue is empty; none if it is not.
    pub fn why_empty(&self) -> Option<String> {
        if !self.is_empty() {
            return None;
        }
        let all = self.sources().len();
        Some(match self.incomplete_sources() {
            Some(words) => format!("the catalogue is empty: {words}"),
            None if all == 0 => "the catalogue is empty: call refresh()".to_owned(),
            None => format!("the catalogue is empty: {all} of {all} providers list nothing"),
        })
    }

    /// The providers whose offers are incomplete, with reasons; none if all offers are there.
    pub(crate) fn incomplete_sources(&self) -> Option<String> {
        let all = self.sources().len();
        let silent: Vec<_> = self.sources().iter().filter(|it| it.state != SourceState::Fresh).collect();
        let odd: Vec<_> = self.sources().iter().filter(|it| it.rejected_count > 0).collect();
        match (silent.is_empty(), odd.is_empty(), self.quarantined().first()) {
            (false, _, _) => {
                let is_old = |source: &&SourceReport| matches!(&source.state, SourceState::Missing { reason } if reason.starts_with(TOO_OLD_PREFIX));
                let what = if silent.iter().all(is_old) {
                    "providers' lists are too old"
                } else {
                    "providers did not answer"
                };
                Some(format!("{} of {all} {what}: {}", silent.len(), summary(&silent)))
            }
            (true, false, _) => Some(summary(&odd)),
            (true, true, Some(it)) => Some(format!("{} in {} is left out: {}", it.sku, it.place, it.reason)),
            (true, true, None) => None,
        }
    }
}
