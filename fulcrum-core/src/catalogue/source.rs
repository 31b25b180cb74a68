//! How providers answered, and why a catalogue is empty.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Catalogue, ages::OLD};
use crate::{
    model::{ProviderId, is_hidden},
    provider::RejectedRow,
};

/// Rows that a report names.
const MAX_NAMED: usize = 100;
/// Characters of a reason that are kept: the words are somebody else's.
const LONGEST: usize = 500;
/// Providers that a sentence names.
const MAX_TOLD: usize = 3;

/// How one provider answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceReport {
    /// Who.
    pub provider: ProviderId,
    /// How.
    pub state: SourceState,
    /// Offers in the snapshot.
    pub offers: usize,
    /// When these offers were listed.
    pub listed_at: Option<Timestamp>,
    /// The first hundred rows of its list that are left out by themselves, or that only blueprints in their own currency
    /// can use: which, and why.
    #[serde(default)]
    pub rejected: Vec<RejectedRow>,
    /// How many there are in all.
    #[serde(default)]
    pub rejected_count: usize,
}

/// Whether a provider's offers are fresh.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceState {
    /// All listed just now.
    Fresh,
    /// The provider failed; its offers are those of the snapshot before.
    Stale {
        /// What went wrong.
        reason: String,
    },
    /// The provider failed and nothing that is new enough is known: none of its offers are in.
    Missing {
        /// What went wrong.
        reason: String,
    },
}

impl SourceReport {
    pub(super) fn new(provider: ProviderId, state: SourceState, listed_at: Option<Timestamp>) -> Self {
        Self { provider, state, offers: 0, listed_at, rejected: Vec::new(), rejected_count: 0 }
    }

    /// Counts a row that is left out, and names it if it is one of the first.
    pub(super) fn reject(&mut self, row: RejectedRow) {
        self.rejected_count = self.rejected_count.saturating_add(1);
        if self.rejected.len() < MAX_NAMED {
            let RejectedRow { row, reason } = row;
            self.rejected.push(RejectedRow::new(row, reason));
        }
    }

    /// Its list is too old: none of its offers are in.
    pub(super) fn outdate(&mut self, age: &str) {
        let reason = match &self.state {
            SourceState::Fresh => format!("{age}; call refresh()"),
            SourceState::Stale { reason } | SourceState::Missing { reason } => format!("{reason}; {age}"),
        };
        (self.state, self.listed_at) = (SourceState::Missing { reason }, None);
    }

    /// What keeps its offers out, in words; none if all that it lists is there.
    fn trouble(&self) -> Option<String> {
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

/// Words of a provider's, short and on one line.
pub(super) fn cut(words: &str) -> String {
    words.chars().filter(|c| !is_hidden(*c)).take(LONGEST).collect()
}

fn told(sources: &[&SourceReport]) -> String {
    let mut words: Vec<_> = sources.iter().filter_map(|source| source.trouble()).take(MAX_TOLD).collect();
    let more = sources.len().saturating_sub(MAX_TOLD);
    if more > 0 {
        words.push(format!("and {more} more"));
    }
    words.join("; ")
}

impl Catalogue {
    /// Why there is no offer in it; none if there is one.
    pub fn why_empty(&self) -> Option<String> {
        if !self.is_empty() {
            return None;
        }
        let all = self.sources().len();
        Some(match self.gaps() {
            Some(words) => format!("the catalogue is empty: {words}"),
            None if all == 0 => "the catalogue is empty: call refresh()".to_owned(),
            None => format!("the catalogue is empty: {all} of {all} providers list nothing"),
        })
    }

    /// Whose offers are not all there, and why; none if all that is listed is.
    pub(crate) fn gaps(&self) -> Option<String> {
        let all = self.sources().len();
        let silent: Vec<_> = self.sources().iter().filter(|it| it.state != SourceState::Fresh).collect();
        let odd: Vec<_> = self.sources().iter().filter(|it| it.rejected_count > 0).collect();
        match (silent.is_empty(), odd.is_empty(), self.quarantined().first()) {
            (false, _, _) => {
                let is_old = |source: &&SourceReport| matches!(&source.state, SourceState::Missing { reason } if reason.starts_with(OLD));
                let what = if silent.iter().all(is_old) {
                    "providers' lists are too old"
                } else {
                    "providers did not answer"
                };
                Some(format!("{} of {all} {what}: {}", silent.len(), told(&silent)))
            }
            (true, false, _) => Some(told(&odd)),
            (true, true, Some(it)) => Some(format!("{} in {} is left out: {}", it.sku, it.place, it.reason)),
            (true, true, None) => None,
        }
    }
}
