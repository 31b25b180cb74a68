//! A dry run: what a purchase would be refused for, found out before anything is bought.
#![deny(clippy::arithmetic_side_effects)]

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use super::{
    PurchaseError,
    accept::planned_step,
    backoff::{is_transient, retry_transient},
    engine::Engine,
    price_check,
    provision_request::request,
    step_failures::cut,
};
use crate::{
    model::{OfferId, OrderId, Plan, Policy, ProviderId, Step},
    provider::{Call, ErrorKind, ProvisionRequest},
};

/// What a purchase of a plan would be refused for now. Empty if nothing is known that speaks against it.
///
/// A later purchase may still be refused: stock, quotas and prices change, and no provider tells everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[non_exhaustive]
pub struct DryRun {
    /// What would be refused.
    pub refusals: Vec<DryRunFinding>,
    /// What could not be found out.
    pub unchecked: Vec<DryRunFinding>,
}

/// Some leases of one provider, and why they would be refused or could not be checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[non_exhaustive]
pub struct DryRunFinding {
    /// The provider; none if it is about the plan as a whole.
    pub provider: Option<ProviderId>,
    /// The positions of the leases in the plan.
    pub leases: Vec<usize>,
    /// Their offers, each once.
    pub offers: Vec<OfferId>,
    /// `price`, or the kind of the error that the purchase would have, such as `quota_exceeded`.
    pub kind: &'static str,
    /// Why, for people.
    pub reason: String,
}

impl fmt::Display for DryRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.refusals.is_empty() && self.unchecked.is_empty() {
            return write!(f, "nothing is known that speaks against it");
        }
        let lines = self.refusals.iter().map(|finding| ("refused", finding));
        let lines = lines.chain(self.unchecked.iter().map(|finding| ("not checked", finding)));
        for (at, (word, finding)) in lines.enumerate() {
            let end = if at == 0 { "" } else { "\n" };
            let offers: Vec<&str> = finding.offers.iter().map(|offer| offer.as_str()).collect();
            write!(f, "{end}{word}: {}: {}", offers.join(", "), finding.reason)?;
        }
        Ok(())
    }
}

impl Engine {
    /// What a purchase of this plan would be refused for now. Checks plan and policy as [`accept`](Self::accept) does, then the
    /// prices, then asks each provider for everything up to its first call that would cost something. Buys and records nothing.
    ///
    /// # Errors
    /// Those of [`accept`](Self::accept).
    pub async fn dry_run(&self, plan: &Plan, policy: &Policy) -> Result<DryRun, PurchaseError> {
        self.check(plan, policy)?;
        let order = OrderId::generate();
        let bought = plan.leases.iter().enumerate().filter(|(_, lease)| lease.keeps.is_none());
        let steps: Vec<(usize, Step)> = (0u32..)
            .zip(bought)
            .map(|(index, (at, lease))| (at, planned_step(None, &order, index, lease)))
            .collect();
        let mut found = DryRun::default();
        let finding = |leases: Vec<usize>, kind, reason| {
            let of = || leases.iter().filter_map(|at| plan.leases.get(*at));
            let mut offers: Vec<OfferId> = of().map(|lease| lease.offer.clone()).collect();
            offers.dedup();
            let provider = of().next().map(|lease| lease.place.provider.clone());
            DryRunFinding { provider, leases, offers, kind, reason }
        };
        let plain: Vec<Step> = steps.iter().map(|(_, step)| step.clone()).collect();
        for (at, why) in price_check::refusals(self, policy, plan, &plain).await {
            let lease = at.and_then(|at| steps.get(at)).map(|(lease, _)| *lease);
            found.refusals.push(finding(lease.into_iter().collect(), "price", why));
        }
        let mut asked: BTreeMap<&ProviderId, Vec<(usize, ProvisionRequest)>> = BTreeMap::new();
        for (lease, step) in &steps {
            let request = request(&plan.blueprint, step);
            let Some(provider) = self.providers.get(&step.provider) else { continue };
            // What is known at the purchase only may be required.
            match provider.capabilities().check_settings(request.kind, &request.settings) {
                Ok(()) => asked.entry(&step.provider).or_default().push((*lease, request)),
                Err(kind) if request.settings == step.lease.settings => {
                    found.refusals.push(finding(vec![*lease], kind.word(), kind.to_string()));
                }
                Err(kind) => {
                    let why = format!("its settings are known at the purchase only: {kind}");
                    found.unchecked.push(finding(vec![*lease], kind.word(), why));
                }
            }
        }
        for (id, asked) in asked {
            let Some(provider) = self.providers.get(id) else { continue };
            let (leases, requests): (Vec<usize>, Vec<ProvisionRequest>) = asked.into_iter().unzip();
            if !provider.capabilities().can(Call::DryRun) {
                let why = format!("{id} cannot try a purchase without making it");
                found.unchecked.push(finding(leases, ErrorKind::Unsupported.word(), why));
                continue;
            }
            match retry_transient(|| provider.dry_run(&requests)).await {
                Ok(refusals) => found.refusals.extend(refusals.into_iter().map(|refusal| {
                    let at = refusal.requests.iter().filter_map(|at| leases.get(*at).copied());
                    let kind = refusal.error.kind.word();
                    finding(at.collect(), kind, cut(&refusal.error.words()))
                })),
                Err(error) => {
                    let is_unknown = is_transient(&error.kind) || error.kind == ErrorKind::Unsupported;
                    let list = if is_unknown { &mut found.unchecked } else { &mut found.refusals };
                    list.push(finding(leases, error.kind.word(), cut(&error.to_string())));
                }
            }
        }
        Ok(found)
    }
}
