//! Releases a surplus service: it is checked once more under the claim, and the intent is written before the call.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::{
    judge::{Verdict, judge},
    policy::RepairPolicy,
    repair::RepairOutcome,
};
use crate::{
    model::{Finding, IdempotencyKey, KeyNamespace, Order, OrderState, RepairAction, ServiceStatus},
    provider::{OperationHandle, OperationStatus, Provider, ProviderError},
    purchase::{
        PurchaseError, backoff::back_off, claim_guard::ClaimGuard, engine::Engine,
        operation_handle::is_handle_unknown,
    },
};

/// A surplus service that is being released.
struct SurplusRelease<'a> {
    engine: &'a Engine,
    guard: &'a ClaimGuard,
    order: &'a Order,
    provider: &'a dyn Provider,
    finding: &'a Finding,
    until: Instant,
}

const CHANGED: &str = "its order has changed meanwhile";
const UNDONE: &str = "its order is about to be undone";

impl Engine {
    /// Releases a service if it is still surplus; `before` is what was last done about it.
    pub(super) async fn release_surplus(
        &self,
        policy: &RepairPolicy,
        guard: &ClaimGuard,
        finding: &Finding,
        before: Option<&RepairAction>,
    ) -> Result<RepairOutcome, PurchaseError> {
        let left = |reason: String| Ok(RepairOutcome::Skipped(reason));
        let Some(provider) = self.providers.get(&finding.provider) else {
            return left("its provider is not in this federation".to_owned());
        };
        let order = self.load(guard.order()).await?;
        if let Err(reason) = self.check_surplus(&order, provider.as_ref(), finding).await {
            return left(reason);
        }
        let patience = policy.timeout_s.min(order.policy.compensation_timeout_s);
        let until = Instant::now() + Duration::from_secs(patience.into());
        let ending = SurplusRelease {
            engine: self,
            guard,
            order: &order,
            provider: provider.as_ref(),
            finding,
            until,
        };
        if ending.is_undone().await? {
            return left(UNDONE.to_owned());
        }
        // An intent from an earlier scan stands: an order does not grow with each scan.
        let stands = matches!(before, Some(RepairAction::Releasing | RepairAction::Failed { .. }));
        if !stands {
            self.record_repair(guard, finding, RepairAction::Releasing).await?;
        }
        let (action, done) = match ending.run().await? {
            Ok(()) => (RepairAction::Released, RepairOutcome::Released),
            Err(reason) => (RepairAction::Failed { reason: reason.clone() }, RepairOutcome::Skipped(reason)),
        };
        if !stands || before != Some(&action) {
            self.record_repair(guard, finding, action).await?;
        }
        Ok(done)
    }

    /// Whether a service is still what the finding says; else why it is skipped.
    async fn check_surplus(
        &self,
        order: &Order,
        provider: &dyn Provider,
        finding: &Finding,
    ) -> Result<(), String> {
        let key = IdempotencyKey::in_namespace(order.namespace.as_ref(), &order.id, finding.step);
        let Verdict::Surplus { kind, spared, instead, .. } =
            judge(Some(order), &key, &finding.provider, &finding.service)
        else {
            return Err(CHANGED.to_owned());
        };
        if kind != finding.kind {
            return Err(CHANGED.to_owned());
        }
        if let Some(reason) = spared {
            return Err(reason.to_owned());
        }
        let failed = |error: ProviderError| error.words();
        if let Some((at, own)) = instead {
            let other = match self.providers.get(&at) {
                Some(other) => other.describe(&own).await.map_err(failed)?,
                None => None,
            };
            let is_well = |status| match status {
                ServiceStatus::Starting | ServiceStatus::Running | ServiceStatus::Stopped => true,
                ServiceStatus::Failed | ServiceStatus::Releasing => false,
            };
            if !other.is_some_and(|other| is_well(other.status)) {
                return Err(format!(
                    "{own}, which its step has, is gone or broken: this may be all that is left of it; compare them"
                ));
            }
        }
        let now = provider.describe(&finding.service).await.map_err(failed)?;
        match now {
            Some(now) if now.key.as_ref() == Some(&key) => Ok(()),
            Some(_) => Err("it carries another key by now".to_owned()),
            None => Err("it is gone by itself".to_owned()),
        }
    }
}

impl SurplusRelease<'_> {
    /// Releases until the service is proven to be gone; else why it is not.
    async fn run(&self) -> Result<Result<(), String>, PurchaseError> {
        let key = release_key(self.order.namespace.as_ref(), self.finding);
        let mut tries = 0;
        loop {
            // A host that was paused for longer than its claim must not call.
            self.guard.check()?;
            let reason = match self.provider.release(&self.finding.service, &key).await {
                Ok(operation) => match self.gone(&operation).await? {
                    Ok(()) => return Ok(Ok(())),
                    Err(reason) => reason,
                },
                // A second release is always safe. After a definite refusal a person must look.
                Err(error) if error.kind.is_retryable() || error.kind.may_have_happened() => {
                    sleep(error.kind.retry_after().unwrap_or_default().min(self.left())).await;
                    error.words()
                }
                Err(error) => return Ok(Err(error.words())),
            };
            if self.left().is_zero() || self.is_undone().await? {
                return Ok(Err(reason));
            }
            sleep(back_off(tries).min(self.left())).await;
            tries += 1;
        }
    }

    /// Waits until a release is over.
    async fn gone(&self, operation: &OperationHandle) -> Result<Result<(), String>, PurchaseError> {
        let pause = Duration::from_millis(self.provider.capabilities().poll_interval_ms.clamp(1, 60_000));
        loop {
            // The operation may go on when the service is gone, as for its disks. Both must be over.
            let is_over = match self.provider.poll(operation).await {
                Ok(OperationStatus::Succeeded(_)) => true,
                Ok(OperationStatus::Failed { reason, .. }) => return Ok(Err(reason)),
                Ok(OperationStatus::Running { .. }) => false,
                Err(error) => is_handle_unknown(&error.kind),
            };
            if is_over {
                match self.provider.describe(&self.finding.service).await {
                    Ok(None) => return Ok(Ok(())),
                    Ok(Some(_)) => {}
                    Err(error) => return Ok(Err(error.words())),
                }
            }
            if self.left().is_zero() {
                return Ok(Err("it was asked to end, and still existed when the time was over".to_owned()));
            }
            if self.is_undone().await? {
                return Ok(Err(UNDONE.to_owned()));
            }
            sleep(pause).await;
        }
    }

    fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    /// Whether the customer has cancelled the order, and waits for its claim.
    async fn is_undone(&self) -> Result<bool, PurchaseError> {
        let may_be = self.order.state == OrderState::Committed;
        Ok(may_be && self.engine.ledger.is_cancelled(&self.order.id).await?)
    }
}

/// The idempotency key of the release: another effect than the release of the step's own service.
fn release_key(namespace: Option<&KeyNamespace>, finding: &Finding) -> IdempotencyKey {
    let key = IdempotencyKey::in_namespace(namespace, &finding.order, finding.step);
    let service = blake3::hash(finding.service.as_str().as_bytes()).to_hex();
    IdempotencyKey::new(format!("{key}-r{}", &service[..12])).unwrap_or(key)
}
