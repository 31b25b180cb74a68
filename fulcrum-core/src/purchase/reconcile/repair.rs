//! Repairs findings as the policy says, under the claim of each finding's order.

use std::collections::BTreeMap;

use futures::StreamExt;

use super::{
    judge::{UNKNOWN, committed_service},
    policy::RepairPolicy,
    report::{Reconciliation, Unrepaired},
};
use crate::{
    ledger::OrderUpdate,
    model::{Finding, FindingKind, OrderEventKind, OrderId, ProviderId, RepairAction, ServiceId},
    purchase::{PurchaseError, claim_guard::ClaimGuard, engine::Engine},
};

/// Orders that are repaired side by side.
const MAX_PARALLEL_REPAIRS: usize = 4;
/// Events in one page.
const EVENTS_PER_PAGE: u32 = 256;

/// What was done about a finding.
pub(super) enum RepairOutcome {
    Released,
    Recorded,
    /// The same finding was recorded before.
    AlreadyRecorded,
    Skipped(String),
}

impl Engine {
    /// Repairs the findings as the policy says, and adds the outcome.
    pub(super) async fn repair_found(&self, policy: &RepairPolicy, outcome: &mut Reconciliation) {
        // One claim for each order: its findings one after the other.
        let mut of_order: BTreeMap<OrderId, Vec<Finding>> = BTreeMap::new();
        for finding in outcome.findings.iter().filter(|finding| policy.covers(finding.kind)) {
            of_order.entry(finding.order.clone()).or_default().push(finding.clone());
        }
        let repairs: Vec<_> = of_order
            .into_iter()
            .map(|(order, findings)| self.repair_order(policy, order, findings))
            .collect();
        let mut repairs = futures::stream::iter(repairs).buffer_unordered(MAX_PARALLEL_REPAIRS);
        while let Some(done) = repairs.next().await {
            for (finding, done) in done {
                let Finding { kind, provider, service, order, .. } = &finding;
                let kind = kind.word();
                match done {
                    RepairOutcome::Released => {
                        tracing::info!(kind, %provider, %service, %order, "released");
                        outcome.repaired.push(finding);
                    }
                    RepairOutcome::Recorded => {
                        tracing::info!(kind, %provider, %service, %order, "recorded");
                        outcome.recorded.push(finding);
                    }
                    RepairOutcome::AlreadyRecorded => {}
                    RepairOutcome::Skipped(reason) => {
                        tracing::warn!(kind, %provider, %service, %order, reason, "not repaired");
                        outcome.unrepaired.push(Unrepaired { finding, reason });
                    }
                }
            }
        }
    }

    async fn repair_order(
        &self,
        policy: &RepairPolicy,
        order: OrderId,
        findings: Vec<Finding>,
    ) -> Vec<(Finding, RepairOutcome)> {
        let mut done = Vec::new();
        let lost = match self.repair_claimed(policy, &order, &findings, &mut done).await {
            Ok(()) => return done,
            Err(error) => error.to_string(),
        };
        let left = findings.into_iter().skip(done.len());
        let left: Vec<_> = left.map(|finding| (finding, RepairOutcome::Skipped(lost.clone()))).collect();
        done.extend(left);
        done
    }

    async fn repair_claimed(
        &self,
        policy: &RepairPolicy,
        order: &OrderId,
        findings: &[Finding],
        done: &mut Vec<(Finding, RepairOutcome)>,
    ) -> Result<(), PurchaseError> {
        // Most scans find what an earlier one has recorded: that needs no claim.
        let known = self.last_actions(order).await?;
        if findings.iter().all(|finding| is_recorded(&known, finding)) {
            done.extend(findings.iter().map(|finding| (finding.clone(), RepairOutcome::AlreadyRecorded)));
            return Ok(());
        }
        let guard = self.claim(order).await?;
        let work = async {
            // Under the claim nobody else writes them.
            let known = self.last_actions(order).await?;
            for finding in findings {
                let outcome = match finding.kind {
                    FindingKind::Orphan | FindingKind::Duplicate => {
                        let before = known.get(&service_of(finding)).map(|(_, action)| action);
                        self.release_surplus(policy, &guard, finding, before).await?
                    }
                    FindingKind::Missing | FindingKind::Drifted if is_recorded(&known, finding) => {
                        RepairOutcome::AlreadyRecorded
                    }
                    FindingKind::Missing | FindingKind::Drifted => self.record(&guard, finding).await?,
                    FindingKind::Unknown => RepairOutcome::Skipped(UNKNOWN.to_owned()),
                };
                done.push((finding.clone(), outcome));
            }
            Ok(())
        };
        let outcome = tokio::select! {
            biased;
            lost = guard.renew_until_lost(self.claim_ttl) => Err(lost.into()),
            outcome = work => outcome,
        };
        guard.relinquish().await;
        outcome
    }

    /// What was last done about each service.
    async fn last_actions(&self, order: &OrderId) -> Result<Known, PurchaseError> {
        let (mut known, mut after) = (Known::new(), 0);
        loop {
            let events = self.ledger.events(after, Some(order), EVENTS_PER_PAGE).await?;
            let Some(last) = events.last() else { return Ok(known) };
            after = last.sequence;
            for event in events {
                if let OrderEventKind::Reconciled { finding, action } = event.kind.into_kind() {
                    known.insert(service_of(&finding), (finding, action));
                }
            }
        }
    }

    async fn record(&self, guard: &ClaimGuard, finding: &Finding) -> Result<RepairOutcome, PurchaseError> {
        let order = self.load(guard.order()).await?;
        if committed_service(&order, finding.step).is_none_or(|(_, own)| own.id != finding.service) {
            return Ok(RepairOutcome::Skipped("its order has changed meanwhile".to_owned()));
        }
        self.record_repair(guard, finding, RepairAction::Recorded).await?;
        Ok(RepairOutcome::Recorded)
    }

    pub(super) async fn record_repair(
        &self,
        guard: &ClaimGuard,
        finding: &Finding,
        action: RepairAction,
    ) -> Result<(), PurchaseError> {
        let event = OrderEventKind::Reconciled { finding: finding.clone(), action };
        let change = OrderUpdate { events: vec![event], ..OrderUpdate::default() };
        self.ledger.write(guard.claim(), &change).await?;
        Ok(())
    }
}

/// What was last done about each service.
type Known = BTreeMap<(ProviderId, ServiceId), (Finding, RepairAction)>;

fn service_of(finding: &Finding) -> (ProviderId, ServiceId) {
    (finding.provider.clone(), finding.service.clone())
}

/// Whether this very finding was the last that was written down about its service.
fn is_recorded(known: &Known, finding: &Finding) -> bool {
    known
        .get(&service_of(finding))
        .is_some_and(|(last, action)| last == finding && *action == RepairAction::Recorded)
}
