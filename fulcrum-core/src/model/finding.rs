//! Findings: differences between a provider's services and the ledger.

use serde::{Deserialize, Serialize};

use super::{OrderId, ProviderId, ServiceId};

/// In which way a service does not fit.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// Exists with the key of a step that has no service any more: it costs money for nothing.
    Orphan,
    /// Exists with the key of a step that has another service: bought twice, or copied.
    Duplicate,
    /// An order has it, and it does not exist.
    Missing,
    /// An order has it, and it is not what the order bought, or does not work.
    Drifted,
    /// Exists with a key of this library's form, of which the ledger knows nothing: another ledger's, or one that was
    /// restored from an older copy.
    Unknown,
}

impl FindingKind {
    /// All kinds.
    pub const ALL: [Self; 5] = [Self::Orphan, Self::Duplicate, Self::Missing, Self::Drifted, Self::Unknown];

    /// The word in events and reports.
    pub fn word(self) -> &'static str {
        match self {
            Self::Orphan => "orphan",
            Self::Duplicate => "duplicate",
            Self::Missing => "missing",
            Self::Drifted => "drifted",
            Self::Unknown => "unknown",
        }
    }
}

/// A service that does not fit, and how that is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[non_exhaustive]
pub struct Finding {
    /// In which way.
    pub kind: FindingKind,
    /// Where.
    pub provider: ProviderId,
    /// The provider's name for it.
    pub service: ServiceId,
    /// Whose, as its key tells.
    pub order: OrderId,
    /// Of which step, as its key tells.
    pub step: u32,
    /// What the provider and the ledger say of it; for people. The same words as long as both say the same.
    pub evidence: String,
}

/// What was done about a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case", tag = "action")]
#[non_exhaustive]
pub enum RepairAction {
    /// It was written down.
    Recorded,
    /// The provider is about to be asked to end the service. Written before the call: a host that dies then leaves it
    /// to the next scan.
    Releasing,
    /// The provider has proven that the service is gone.
    Released,
    /// It still exists; the next scan tries again.
    Failed {
        /// What came back.
        reason: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_those_of_the_documents() {
        for kind in FindingKind::ALL {
            assert_eq!(serde_json::to_value(kind).expect("text"), kind.word());
        }
    }
}
