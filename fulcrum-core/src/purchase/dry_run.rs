//! A dry run: what a purchase would be refused for, found out before anything is bought.
#![deny(clippy::arithmetic_side_effects)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

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
    provider::{Call, ErrorKind, ProviderError, ProvisionRequest, Refusal},
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
        let (positions, steps): (Vec<usize>, Vec<Step>) = (0u32..)
            .zip(bought)
            .map(|(index, (at, lease))| (at, planned_step(None, &order, index, lease)))
            .unzip();
        let mut found = DryRun::default();
        let finding = |provider: Option<&ProviderId>, leases: Vec<usize>, kind, reason| {
            let of = leases.iter().filter_map(|at| plan.leases.get(*at));
            let offers: BTreeSet<OfferId> = of.map(|lease| lease.offer.clone()).collect();
            let (provider, offers) = (provider.cloned(), offers.into_iter().collect());
            DryRunFinding { provider, leases, offers, kind, reason }
        };
        for (at, why) in price_check::refusals(self, policy, plan, &steps).await {
            let provider = at.and_then(|at| steps.get(at)).map(|step| &step.provider);
            let leases = at.and_then(|at| positions.get(at)).copied().into_iter().collect();
            let is_unknown = why.contains(price_check::NO_PRESENT_PRICE);
            let list = if is_unknown { &mut found.unchecked } else { &mut found.refusals };
            list.push(finding(provider, leases, "price", why));
        }
        let mut asked: BTreeMap<&ProviderId, Asked> = BTreeMap::new();
        for (lease, step) in positions.iter().zip(&steps) {
            let request = request(&plan.blueprint, step);
            let Some(provider) = self.providers.get(&step.provider) else { continue };
            // The whole settings are judged by the declaration, which knows that a reference is resolved later.
            let capabilities = provider.capabilities();
            if let Err(kind) = capabilities.check_settings(request.kind, &step.lease.settings) {
                let why = kind.to_string();
                found.refusals.push(finding(Some(&step.provider), vec![*lease], kind.word(), why));
                continue;
            }
            let asked = asked.entry(&step.provider).or_default();
            asked.is_whole.push(request.settings == step.lease.settings);
            asked.leases.push(*lease);
            asked.requests.push(request);
        }
        let asking: Vec<_> = asked.iter().map(|(id, asked)| self.try_requests(id, &asked.requests)).collect();
        let answers = futures::future::join_all(asking).await;
        for ((id, asked), answer) in asked.iter().zip(answers) {
            match answer {
                Ok(refusals) => {
                    for Refusal { requests, error } in refusals {
                        let at = requests.iter().filter_map(|at| asked.leases.get(*at).copied()).collect();
                        let is_late = matches!(error.kind, ErrorKind::InvalidRequest { .. })
                            && requests.iter().any(|at| asked.is_whole.get(*at) == Some(&false));
                        let (is_unknown, kind) = (is_unknown(&error.kind) || is_late, error.kind.word());
                        let why = match is_late {
                            true => format!(
                                "a setting is known at the purchase only; without it: {}",
                                cut(&error.words())
                            ),
                            false => cut(&error.words()),
                        };
                        let list = if is_unknown { &mut found.unchecked } else { &mut found.refusals };
                        list.push(finding(Some(id), at, kind, why));
                    }
                }
                Err(error) => {
                    let kind = error.kind.word();
                    let why = match error.kind {
                        ErrorKind::Unsupported => format!("{id} cannot try a purchase without making it"),
                        _ => cut(&error.to_string()),
                    };
                    let list =
                        if is_unknown(&error.kind) { &mut found.unchecked } else { &mut found.refusals };
                    list.push(finding(Some(id), asked.leases.clone(), kind, why));
                }
            }
        }
        Ok(found)
    }

    async fn try_requests(
        &self,
        id: &ProviderId,
        requests: &[ProvisionRequest],
    ) -> Result<Vec<Refusal>, ProviderError> {
        let unsupported = || ProviderError::new(id.clone(), Call::DryRun, ErrorKind::Unsupported);
        let provider = self.providers.get(id).ok_or_else(unsupported)?;
        match provider.capabilities().can(Call::DryRun) {
            true => retry_transient(|| provider.dry_run(requests)).await,
            false => Err(unsupported()),
        }
    }
}

/// What one provider is asked.
#[derive(Default)]
struct Asked {
    requests: Vec<ProvisionRequest>,
    /// The position of each one's lease in the plan.
    leases: Vec<usize>,
    /// Whether each has all of its lease's settings: others are known at the purchase only.
    is_whole: Vec<bool>,
}

/// Whether an error says nothing about the purchase.
fn is_unknown(kind: &ErrorKind) -> bool {
    is_transient(kind) || *kind == ErrorKind::Unsupported
}
