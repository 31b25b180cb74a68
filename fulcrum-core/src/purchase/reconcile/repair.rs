//! Does what the policy says about findings, under the claim of the order that each belongs to.

use std::collections::BTreeMap;

use futures::StreamExt;

use super::{
    Reconciliation, Record, Repair, RepairPolicy, Unrepaired,
    judge::{UNKNOWN, promised},
};
use crate::{
    ledger::Change,
    model::{Finding, FindingKind, OrderEventKind, OrderId, ProviderId, RepairAction, ServiceId},
    purchase::{Engine, PurchaseError, held::Held},
};

/// Orders that are repaired at once.
const AT_ONCE: usize = 4;
/// Events that are read at once.
const PAGE: u32 = 256;

/// What became of a finding.
pub(super) enum Done {
    Released,
    Recorded,
    /// It was recorded before.
    Known,
    Left(String),
}

impl Engine {
    /// Does what the policy says about the findings, and adds what came of it.
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
        let mut repairs = futures::stream::iter(repairs).buffer_unordered(AT_ONCE);
        while let Some(done) = repairs.next().await {
            for (finding, done) in done {
                let Finding { kind, provider, service, order, .. } = &finding;
                let kind = kind.word();
                match done {
                    Done::Released => {
                        tracing::info!(kind, %provider, %service, %order, "released");
                        outcome.repaired.push(finding);
                    }
                    Done::Recorded => {
                        tracing::info!(kind, %provider, %service, %order, "recorded");
                        outcome.recorded.push(finding);
                    }
                    Done::Known => {}
                    Done::Left(reason) => {
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
    ) -> Vec<(Finding, Done)> {
        let mut done = Vec::new();
        let lost = match self.repair_claimed(policy, &order, &findings, &mut done).await {
            Ok(()) => return done,
            Err(error) => error.to_string(),
        };
        let left = findings.into_iter().skip(done.len());
        let left: Vec<_> = left.map(|finding| (finding, Done::Left(lost.clone()))).collect();
        done.extend(left);
        done
    }

    async fn repair_claimed(
        &self,
        policy: &RepairPolicy,
        order: &OrderId,
        findings: &[Finding],
        done: &mut Vec<(Finding, Done)>,
    ) -> Result<(), PurchaseError> {
        // Most scans find what the one before them has written down: that needs no claim.
        let known = self.last_actions(order).await?;
        if findings.iter().all(|finding| is_recorded(&known, finding)) {
            done.extend(findings.iter().map(|finding| (finding.clone(), Done::Known)));
            return Ok(());
        }
        let held = self.claim(order).await?;
        let work = async {
            // Under the claim nobody else writes them.
            let known = self.last_actions(order).await?;
            for finding in findings {
                let outcome = match finding.kind {
                    FindingKind::Orphan | FindingKind::Duplicate => {
                        let before = known.get(&place(finding)).map(|(_, action)| action);
                        self.end(policy, &held, finding, before).await?
                    }
                    FindingKind::Missing | FindingKind::Drifted if is_recorded(&known, finding) => {
                        Done::Known
                    }
                    FindingKind::Missing | FindingKind::Drifted => self.record(&held, finding).await?,
                    FindingKind::Unknown => Done::Left(UNKNOWN.to_owned()),
                };
                done.push((finding.clone(), outcome));
            }
            Ok(())
        };
        let outcome = tokio::select! {
            biased;
            lost = held.keep(self.lease) => Err(lost.into()),
            outcome = work => outcome,
        };
        held.give_back().await;
        outcome
    }

    /// The last of what was done about each finding's service.
    async fn last_actions(&self, order: &OrderId) -> Result<Known, PurchaseError> {
        let (mut known, mut after) = (Known::new(), 0);
        loop {
            let events = self.ledger.events(after, Some(order), PAGE).await?;
            let Some(last) = events.last() else { return Ok(known) };
            after = last.sequence;
            for event in events {
                if let OrderEventKind::Reconciled { finding, action } = event.kind.into_kind() {
                    known.insert(place(&finding), (finding, action));
                }
            }
        }
    }

    async fn record(&self, held: &Held, finding: &Finding) -> Result<Done, PurchaseError> {
        let order = self.load(held.order()).await?;
        if promised(&order, finding.step).is_none_or(|(_, own)| own.id != finding.service) {
            return Ok(Done::Left("its order has changed meanwhile".to_owned()));
        }
        self.tell(held, finding, RepairAction::Recorded).await?;
        Ok(Done::Recorded)
    }

    pub(super) async fn tell(
        &self,
        held: &Held,
        finding: &Finding,
        action: RepairAction,
    ) -> Result<(), PurchaseError> {
        let event = OrderEventKind::Reconciled { finding: finding.clone(), action };
        let change = Change { events: vec![event], ..Change::default() };
        self.ledger.write(held.claim(), &change).await?;
        Ok(())
    }
}

/// What was last done about each service.
type Known = BTreeMap<(ProviderId, ServiceId), (Finding, RepairAction)>;

fn place(finding: &Finding) -> (ProviderId, ServiceId) {
    (finding.provider.clone(), finding.service.clone())
}

/// Whether this very finding was the last that was written down about its service.
fn is_recorded(known: &Known, finding: &Finding) -> bool {
    known
        .get(&place(finding))
        .is_some_and(|(last, action)| last == finding && *action == RepairAction::Recorded)
}

impl RepairPolicy {
    fn covers(&self, kind: FindingKind) -> bool {
        match kind {
            FindingKind::Orphan => self.orphans == Repair::Release,
            FindingKind::Duplicate => self.duplicates == Repair::Release,
            FindingKind::Missing => self.missing == Record::Record,
            FindingKind::Drifted => self.drifted == Record::Record,
            FindingKind::Unknown => false,
        }
    }
}
