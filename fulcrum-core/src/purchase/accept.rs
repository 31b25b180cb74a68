//! Accepts orders: a plan is read as a stranger's document, and nothing in it is believed.
#![deny(clippy::arithmetic_side_effects)]

use jiff::Timestamp;

use super::{
    PurchaseError,
    engine::Engine,
    place_check,
    plan_check::{check_against, check_horizon, check_lease, check_partners, check_references, check_sums},
    price_terms, traffic_check,
};
use crate::{
    ledger::LedgerError,
    model::{
        Blueprint, IdempotencyKey, KeyNamespace, Lease, OfferKind, Order, OrderId, OrderState, Plan, Policy,
        ProviderId, Sharing, Step, StepState, digest_of,
    },
    provider::{Call, IdempotencyClass},
    telemetry,
};

/// Why a provider without idempotency keys is refused.
pub(super) const NON_IDEMPOTENT_REFUSED: &str = "it takes no idempotency keys, so a repeated purchase cannot be told from a new one; set `may_buy_unkeyed` in the \
     policy if nobody else buys in that account, as what others buy there at the same moment may be taken for the order's \
     own";

/// Options of a purchase, besides plan and policy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PurchaseOptions {
    /// The caller's own id: the same call with the same id buys once. None for a new id.
    pub id: Option<OrderId>,
    /// The approved digest of plan and policy ([`Plan::approval_digest`]); any other plan or policy is refused.
    pub approved: Option<String>,
}

impl From<Option<OrderId>> for PurchaseOptions {
    fn from(id: Option<OrderId>) -> Self {
        Self { id, approved: None }
    }
}

/// A planned step: nothing was sent for it.
pub(super) fn planned_step(
    namespace: Option<&KeyNamespace>,
    order: &OrderId,
    index: u32,
    lease: &Lease,
) -> Step {
    Step {
        index,
        key: IdempotencyKey::in_namespace(namespace, order, index),
        provider: lease.place.provider.clone(),
        lease: Lease { checked: None, ..lease.clone() },
        state: StepState::Planned,
        attempts: Vec::new(),
    }
}

impl Engine {
    /// Accepts an order without buying yet. With an id of the caller's, repeating the call is safe.
    ///
    /// # Errors
    /// * [`PurchaseError::InvalidPlan`]: the plan buys nothing, or does not fit together; compose again.
    /// * [`PurchaseError::NotApproved`]: plan or policy are not those that were approved.
    /// * [`PurchaseError::OverLimit`]: it costs more than the policy's `max_total`.
    /// * [`PurchaseError::UnknownProvider`], [`PurchaseError::NotBuyable`]: compose again without that provider.
    /// * [`PurchaseError::IdTaken`]: use a new id for a new purchase.
    pub async fn accept(
        &self,
        plan: Plan,
        policy: Policy,
        options: impl Into<PurchaseOptions>,
    ) -> Result<Order, PurchaseError> {
        let PurchaseOptions { id, approved } = options.into();
        let is_approved = check_approval(&plan, &policy, approved.as_deref())?;
        self.check(&plan, &policy)?;
        let id = id.unwrap_or_else(OrderId::generate);
        let Some(id) = OrderId::from_uuid(id.as_str()) else {
            return Err(PurchaseError::InvalidPlan(format!(
                "{id} is not an order id; write a UUID, or none for a new one"
            )));
        };
        let namespace = self.namespace();
        let bought = plan.leases.iter().filter(|lease| lease.keeps.is_none());
        let steps = (0u32..)
            .zip(bought)
            .map(|(index, lease)| planned_step(namespace.as_ref(), &id, index, lease))
            .collect();
        let (state, created, reason) = (OrderState::Accepted, Timestamp::now(), None);
        let rounds = Vec::new();
        let order = Order {
            id: id.clone(),
            plan,
            policy,
            state,
            created,
            reason,
            namespace,
            is_approved,
            cancellation: None,
            rounds,
            steps,
        };
        match self.ledger.create(&order).await {
            Ok(()) => {
                telemetry::order_entered(order.state, order.created);
                self.recent.insert(id);
                Ok(order)
            }
            Err(LedgerError::Exists(_)) => {
                // An order that was purged is gone, and its id is not used again.
                let Some(existing) = self.ledger.load(&id).await? else {
                    return Err(PurchaseError::IdTaken(id));
                };
                // Plan and policy were approved together.
                let is_same = *existing.first_plan() == order.plan
                    && (!order.is_approved || existing.policy == order.policy);
                if is_same { Ok(existing) } else { Err(PurchaseError::IdTaken(id)) }
            }
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn check_buyable(
        &self,
        policy: &Policy,
        id: &ProviderId,
        kind: OfferKind,
    ) -> Result<(), PurchaseError> {
        let provider = self.providers.get(id).ok_or_else(|| PurchaseError::UnknownProvider(id.clone()))?;
        let capabilities = provider.capabilities();
        let refuse = |why: String| Err(PurchaseError::NotBuyable { provider: id.clone(), why });
        let class = capabilities.idempotency_of(Call::Provision);
        let missing: Vec<_> = capabilities.missing_to_buy().into_iter().map(Call::word).collect();
        if !capabilities.can(Call::Provision) {
            return refuse("it only lists offers".to_owned());
        }
        if !missing.is_empty() {
            return refuse(format!(
                "a purchase needs {} too, and it does not declare that",
                missing.join(", ")
            ));
        }
        if capabilities.not_accepted().contains(&kind) {
            return refuse(format!(
                "its adapter was tried for a {kind} against documents alone; write `accept: document` in its configuration"
            ));
        }
        match class {
            IdempotencyClass::None if !policy.allow_non_idempotent_purchase => {
                refuse(NON_IDEMPOTENT_REFUSED.to_owned())
            }
            IdempotencyClass::None
            | IdempotencyClass::Natural
            | IdempotencyClass::Key
            | IdempotencyClass::Searchable { .. } => Ok(()),
        }
    }

    /// Whether a plan may be bought as it stands.
    pub(super) fn check(&self, plan: &Plan, policy: &Policy) -> Result<(), PurchaseError> {
        // What the plan keeps runs already and is never bought again.
        let bought: Vec<&Lease> = plan.leases.iter().filter(|lease| lease.keeps.is_none()).collect();
        let invalid = |why: String| PurchaseError::InvalidPlan(why);
        if bought.is_empty() {
            return Err(invalid(match plan.leases.is_empty() {
                true => "it has no leases; compose again".to_owned(),
                false => "it keeps what runs and buys nothing; there is no order to place".to_owned(),
            }));
        }
        policy.check().map_err(|error| invalid(error.inside("policy").to_string()))?;
        plan.check_format().and_then(|()| plan.check()).map_err(|error| invalid(error.to_string()))?;
        check_horizon(plan, policy).map_err(invalid)?;
        check_sums(plan).map_err(invalid)?;
        traffic_check::check_lines(plan).map_err(invalid)?;
        plan.leases.iter().enumerate().try_for_each(|(at, lease)| {
            check_lease(lease).map_err(|why| invalid(format!("leases[{at}] {why}; compose again")))
        })?;
        for lease in &bought {
            self.check_buyable(policy, &lease.place.provider, lease.kind).map_err(|error| match error {
                PurchaseError::NotBuyable { provider, why } => {
                    PurchaseError::NotBuyable { provider, why: format!("{why}, such as {}", lease.offer) }
                }
                other => other,
            })?;
        }
        check_references(plan)?;
        check_partners(plan).map_err(invalid)?;
        if let Some(fail_over) = &policy.fail_over {
            fail_over.blueprint.check().map_err(|error| invalid(error.to_string()))?;
            if digest_of(&fail_over.blueprint) != plan.blueprint_digest {
                let why = "the policy's fail_over names another blueprint than the one that it was made for";
                return Err(invalid(why.to_owned()));
            }
            check_sharing(plan, &fail_over.blueprint).map_err(invalid)?;
        }
        let present = self.market.catalogue();
        place_check::check_places(&present, plan).map_err(invalid)?;
        if present.digest() == plan.catalogue_digest {
            traffic_check::check_against_catalogue(&present, plan, policy).map_err(invalid)?;
            check_against(&present, plan, policy).map_err(invalid)?;
        }
        if let Some(most) = policy.max_total {
            let total = plan.total().ok_or_else(|| invalid("its amounts are out of range".to_owned()))?;
            price_terms::check_limit(most, total, plan.currency).map_err(PurchaseError::OverLimit)?;
        }
        Ok(())
    }

    /// The namespace of keys of orders that this ledger accepts.
    fn namespace(&self) -> Option<KeyNamespace> {
        self.namespace.clone()
    }
}

/// Refuses machines that the blueprint lets nobody share, as plans of versions before `share` have them.
fn check_sharing(plan: &Plan, blueprint: &Blueprint) -> Result<(), String> {
    let sharing = Sharing::of(blueprint);
    for (at, lease) in plan.leases.iter().enumerate() {
        let names: Vec<_> = lease.replicas.keys().collect();
        for (before, one) in names.iter().enumerate() {
            if let Some(other) = names[..before].iter().find(|other| !sharing.is_permitted(one, other)) {
                return Err(format!(
                    "leases[{at}] has {other} and {one}, which no `share` permits to stand on one machine; compose again"
                ));
            }
        }
    }
    Ok(())
}

/// Whether plan and policy are those that were approved; false without a digest.
fn check_approval(plan: &Plan, policy: &Policy, approved: Option<&str>) -> Result<bool, PurchaseError> {
    let Some(approved) = approved else { return Ok(false) };
    let actual = plan.approval_digest(policy);
    if approved.trim().eq_ignore_ascii_case(&actual) {
        return Ok(true);
    }
    Err(PurchaseError::NotApproved { approved: approved.chars().take(80).collect(), actual })
}
