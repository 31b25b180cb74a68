//! The report of a scan: findings, and what was done about them.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::model::{Finding, FindingKind, ProviderId};

/// The outcome of a scan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Reconciliation {
    /// What does not fit, by provider and service; also what was repaired since.
    pub findings: Vec<Finding>,
    /// Services of the findings that are proven to be gone by now, ended by this scan.
    pub repaired: Vec<Finding>,
    /// What the policy says to end, and why it still exists.
    pub unrepaired: Vec<Unrepaired>,
    /// What this scan has written into its order, and none before it.
    pub recorded: Vec<Finding>,
    /// Providers that answered with an error. What was found there before it stands; nothing else is concluded.
    pub failed: BTreeMap<ProviderId, String>,
    /// Providers that can sell but not list, and those of an order that are not here: nothing is concluded about them.
    pub unlisted: BTreeSet<ProviderId>,
    /// How much was looked at.
    pub scanned: Scanned,
}

/// How much a scan has looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Scanned {
    /// Providers that were listed to the end.
    pub providers: usize,
    /// Services with a key of this library's form. All others are somebody else's and not looked at.
    pub services: usize,
    /// Orders that hold services, or may be about to.
    pub orders: usize,
    /// Orders that could not be read: damaged, or written by a later version. Nothing is concluded of them.
    pub unreadable: usize,
}

/// Something that the policy says to end or to record, and that was left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Unrepaired {
    /// What.
    pub finding: Finding,
    /// Why, and what to do.
    pub reason: String,
}

impl Reconciliation {
    /// Whether every provider was listed and everything fits.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
            && self.failed.is_empty()
            && self.unlisted.is_empty()
            && self.scanned.unreadable == 0
    }

    /// The findings of one kind.
    pub fn of(&self, kind: FindingKind) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |finding| finding.kind == kind)
    }
}
