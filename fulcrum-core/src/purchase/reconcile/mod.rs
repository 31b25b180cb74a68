//! What the providers have, against what the ledger knows: found with evidence, repaired by policy.
//!
//! `judge` decides from an order and a service alone what is wrong; `scan` reads and confirms; `repair` does what the
//! policy says, with `release` to end a service; `schedule` does it again and again.

mod judge;
mod release;
mod repair;
mod scan;
mod schedule;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Engine, PurchaseError};
use crate::model::{Finding, FindingKind, ProviderId};

/// The outcome of a scan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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
    /// Services that no step holds any more.
    pub orphans: Repair,
    /// Services beside the one that their step holds.
    pub duplicates: Repair,
    /// Services that an order holds and that do not exist.
    pub missing: Record,
    /// Services that are not what their order bought, or do not work.
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

impl Engine {
    /// Compares what the providers have with what the ledger holds; changes nothing. Orders that are under way, and
    /// services without a key of this library's form, are left alone.
    ///
    /// Reads every provider's list, then the orders page by page; memory is that of the list. A provider is asked
    /// about single services only where something seems not to fit.
    ///
    /// # Errors
    /// The ledger cannot be read. A provider that fails is in [`Reconciliation::failed`] and leaves the others.
    pub async fn reconcile(&self) -> Result<Reconciliation, PurchaseError> {
        scan::Scan::new(self).run().await
    }

    /// [Compares](Self::reconcile), and then does what the policy says. Many hosts may do so at the same time: a
    /// service is ended by who has the claim of its order, and whoever dies in between leaves it to the next scan.
    ///
    /// ```
    /// # async fn example(engine: fulcrum_core::purchase::Engine) -> Result<(), Box<dyn std::error::Error>> {
    /// use fulcrum_core::purchase::{Repair, RepairPolicy};
    /// let policy = RepairPolicy { orphans: Repair::Release, ..RepairPolicy::default() };
    /// let outcome = engine.repair(&policy).await?;
    /// for left in &outcome.unrepaired {
    ///     println!("{} at {}: {}", left.finding.service, left.finding.provider, left.reason);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`reconcile`](Self::reconcile). What cannot be repaired is in [`Reconciliation::unrepaired`].
    pub async fn repair(&self, policy: &RepairPolicy) -> Result<Reconciliation, PurchaseError> {
        let mut outcome = self.reconcile().await?;
        self.repair_found(policy, &mut outcome).await;
        Ok(outcome)
    }
}
