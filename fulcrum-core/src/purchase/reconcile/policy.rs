//! The repair policy: what a scan may do by itself.

use serde::{Deserialize, Serialize};

use crate::model::FindingKind;

/// What a scan may do by itself. The default only reports. What is unknown is never touched.
///
/// ```
/// use fulcrum_core::purchase::{Repair, RepairPolicy};
/// let policy = RepairPolicy { orphans: Repair::Release, ..RepairPolicy::default() };
/// assert_eq!(policy.duplicates, Repair::Report);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RepairPolicy {
    /// What to do about services that no order has any more: `report`, or `release`.
    pub orphans: Repair,
    /// What to do about services beside the one that their step has: `report`, or `release`.
    pub duplicates: Repair,
    /// What to do about services that an order has and that do not exist: `report`, or `record`.
    pub missing: Record,
    /// What to do about services that are not what was bought, or do not work: `report`, or `record`.
    pub drifted: Record,
    /// How long one scan waits for the end of a service, in seconds, before it leaves it to the next one; at most as
    /// long as its order's policy lets a compensation take.
    pub timeout_s: u32,
}

impl Default for RepairPolicy {
    fn default() -> Self {
        Self {
            orphans: Repair::Report,
            duplicates: Repair::Report,
            missing: Record::Report,
            drifted: Record::Report,
            timeout_s: 300,
        }
    }
}

impl RepairPolicy {
    /// Ends orphans and duplicates, records what is missing or drifted.
    pub fn all() -> Self {
        Self {
            orphans: Repair::Release,
            duplicates: Repair::Release,
            missing: Record::Record,
            drifted: Record::Record,
            ..Self::default()
        }
    }

    /// Whether the policy says to do something about findings of a kind.
    pub(super) fn covers(&self, kind: FindingKind) -> bool {
        match kind {
            FindingKind::Orphan => self.orphans == Repair::Release,
            FindingKind::Duplicate => self.duplicates == Repair::Release,
            FindingKind::Missing => self.missing == Record::Record,
            FindingKind::Drifted => self.drifted == Record::Record,
            FindingKind::Unknown => false,
        }
    }
}

/// What to do about a service too many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Repair {
    /// Leave it to a person.
    #[default]
    Report,
    /// End it, under the claim of its order and after a look whether it is still too many.
    Release,
}

/// What to do about a service that an order holds and that is not as it should be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// Leave it to a person.
    #[default]
    Report,
    /// Write it into the order as an event, once and not at each scan.
    Record,
}
