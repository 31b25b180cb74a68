//! An order is accepted: its plan is read as a stranger's document, and nothing in it is believed.
#![deny(clippy::arithmetic_side_effects)]

use std::collections::BTreeSet;

use jiff::Timestamp;
use rust_decimal::Decimal;

use super::{Engine, PurchaseError, place, prices, traffic, turns::MAX_REFERENCES};
use crate::{
    catalogue::Catalogue,
    compose::verify::verify,
    ledger::LedgerError,
    model::{
        IdempotencyKey, KeyNamespace, Lease, LineKind, OfferKind, Order, OrderId, OrderState, Plan, Policy,
        PriceLine, Reference, Step, StepState, TemplatePart, digest_of, parse_template, payments,
        text_values,
    },
    telemetry,
};

/// How a purchase is asked for, besides plan and policy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PurchaseOptions {
    /// The caller's own id: the same call with the same id buys once. None for a new one.
    pub id: Option<OrderId>,
    /// The digest of plan and policy that somebody has approved ([`Plan::approval_digest`]): anything else is refused.
    pub approved: Option<String>,
}

impl From<Option<OrderId>> for PurchaseOptions {
    fn from(id: Option<OrderId>) -> Self {
        Self { id, approved: None }
    }
}

/// A step of which nothing was sent.
pub(super) fn planned(namespace: Option<&KeyNamespace>, order: &OrderId, index: u32, lease: &Lease) -> Step {
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
    /// Writes an order down without buying yet. With an id of the caller's, repeating the call is safe.
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
            .map(|(index, lease)| planned(namespace.as_ref(), &id, index, lease))
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
                self.fresh.insert(id);
                Ok(order)
            }
            Err(LedgerError::Exists(_)) => {
                // One that was forgotten is there no more, and its id is not used again.
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

    /// Whether a plan may be bought as it stands.
    fn check(&self, plan: &Plan, policy: &Policy) -> Result<(), PurchaseError> {
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
        traffic::check_lines(plan).map_err(invalid)?;
        plan.leases.iter().enumerate().try_for_each(|(at, lease)| {
            check_lease(lease).map_err(|why| invalid(format!("leases[{at}] {why}; compose again")))
        })?;
        for lease in &bought {
            self.check_buyable(policy, &lease.place.provider)?;
        }
        check_references(plan)?;
        if let Some(fail_over) = &policy.fail_over {
            fail_over.blueprint.check().map_err(|error| invalid(error.to_string()))?;
            if digest_of(&fail_over.blueprint) != plan.blueprint_digest {
                let why = "the policy's fail_over names another blueprint than the one that it was made for";
                return Err(invalid(why.to_owned()));
            }
        }
        let present = self.market.catalogue();
        place::check_places(&present, plan).map_err(invalid)?;
        if present.digest() == plan.catalogue_digest {
            traffic::check_known(&present, plan, policy).map_err(invalid)?;
            check_against(&present, plan, policy).map_err(invalid)?;
        }
        if let Some(most) = policy.max_total {
            let total = plan.total().ok_or_else(|| invalid("its amounts are out of range".to_owned()))?;
            prices::check_limit(most, total, plan.currency).map_err(PurchaseError::OverLimit)?;
        }
        Ok(())
    }

    /// The namespace of keys of orders that this ledger accepts.
    fn namespace(&self) -> Option<KeyNamespace> {
        self.namespace.clone()
    }
}

/// Whether somebody has approved just this; without a digest nobody was asked.
fn check_approval(plan: &Plan, policy: &Policy, approved: Option<&str>) -> Result<bool, PurchaseError> {
    let Some(approved) = approved else { return Ok(false) };
    let actual = plan.approval_digest(policy);
    if approved.trim().eq_ignore_ascii_case(&actual) {
        return Ok(true);
    }
    Err(PurchaseError::NotApproved { approved: approved.chars().take(80).collect(), actual })
}

/// Whether totals are the sums of their lines, over what is kept too.
fn check_sums(plan: &Plan) -> Result<(), String> {
    let out_of_range = || "its amounts are out of range; compose again".to_owned();
    let sum = |amounts: &mut dyn Iterator<Item = Decimal>| {
        let add = |sum: Option<Decimal>, amount| sum?.checked_add(amount);
        amounts.fold(Some(Decimal::ZERO), add).ok_or_else(out_of_range)
    };
    let lines = || plan.leases.iter().flat_map(|lease| &lease.lines);
    let monthly = sum(&mut lines()
        .map(|line| line.monthly)
        .chain(plan.traffic.iter().map(|line| line.monthly))
        .chain(plan.fees.iter().map(|fee| fee.monthly)))?;
    let once = sum(&mut lines()
        .map(|line| line.once)
        .chain(plan.fees.iter().map(|fee| fee.once))
        .chain(plan.moves.iter().map(|line| line.once)))?;
    if (monthly, once) != (plan.monthly, plan.once) {
        return Err(format!(
            "it says {} a month and {} once, and its lines add up to {monthly} and {once}; compose again",
            plan.monthly, plan.once
        ));
    }
    for lease in &plan.leases {
        for line in &lease.lines {
            let is_amount = line.monthly >= Decimal::ZERO && line.once >= Decimal::ZERO;
            let (least, most) = totals(lease, line, plan.horizon_months).ok_or_else(out_of_range)?;
            if !is_amount || line.total < least || line.total > most {
                return Err(format!("the line of {} does not add up; compose again", line.sku));
            }
        }
    }
    Ok(())
}

/// Months over which a plan can be made.
const HORIZONS: std::ops::RangeInclusive<u32> = 1..=120;
/// The longest term that a disk or a surcharge may have of its own.
const OTHER_TERM: u32 = 36;

/// Whether it is known over which months a plan commits to what it says.
fn check_horizon(plan: &Plan, policy: &Policy) -> Result<(), String> {
    let Some(months) = plan.horizon_months else {
        return match (plan.is_format_3(), policy.max_total) {
            (false, _) => Err(format!("it is a {} and tells no horizon_months; compose again", plan.format)),
            (true, Some(_)) => Err(format!(
                "it is a {} and tells no horizon, over which max_total counts; compose again",
                plan.format
            )),
            (true, None) => Ok(()),
        };
    };
    if !HORIZONS.contains(&months) {
        return Err(format!("its horizon_months are {months}; compose again over 1 to 120 months"));
    }
    match &policy.fail_over {
        Some(fail_over) if fail_over.blueprint.horizon_months != months => Err(format!(
            "its horizon_months are {months}, those of its blueprint {}; compose again",
            fail_over.blueprint.horizon_months
        )),
        _ => Ok(()),
    }
}

/// What a line comes to over the horizon, at least and at most: each month, and the start. Of the offer's own line term and
/// renewals are known; a disk or a surcharge may have others, and of what runs already the start is paid. Plans of format 3 tell
/// no horizon.
fn totals(lease: &Lease, line: &PriceLine, horizon_months: Option<u32>) -> Option<(Decimal, Decimal)> {
    let Some(horizon) = horizon_months else { return Some((Decimal::ZERO, Decimal::MAX)) };
    // A month is rounded to micro-units, and so is the sum.
    let (down, up) = (Decimal::new(-1, 6), Decimal::new(1, 6));
    let sum = |months: u32, times: u32, rounding: Decimal| {
        let month = line.monthly.checked_add(rounding)?.max(Decimal::ZERO).checked_mul(months.into())?;
        month.checked_add(line.once.checked_mul(times.into())?)?.checked_add(rounding)
    };
    if lease.keeps.is_some() {
        return Some((sum(horizon, 0, down)?, Decimal::MAX));
    }
    let (months, times) = match line.kind {
        LineKind::Offer => payments(lease.purchase_option, lease.term_months, horizon),
        LineKind::Disk | LineKind::Surcharge => (horizon, 1),
    };
    let (most_months, most_times) = match line.kind {
        LineKind::Offer => (months, times),
        LineKind::Disk | LineKind::Surcharge => (horizon.checked_add(OTHER_TERM)?, horizon),
    };
    Some((sum(months, times, down)?, sum(most_months, most_times, up)?))
}

/// Whether offer, place, product, option, lines and replicas of a lease belong together.
fn check_lease(lease: &Lease) -> Result<(), String> {
    if !lease.names_its_offer() {
        return Err(format!(
            "names the offer {} and describes another one, {}",
            lease.offer,
            lease.own_offer_id()
        ));
    }
    if lease.replicas.is_empty() || lease.replicas.values().any(|count| *count == 0) {
        return Err("carries nothing".to_owned());
    }
    let mut replicas: u64 = 0;
    for count in lease.replicas.values() {
        replicas = replicas.saturating_add((*count).into());
    }
    if lease.kind != OfferKind::Machine && replicas != 1 {
        return Err(format!("is a {} and carries {replicas} replicas", lease.kind));
    }
    let Some((first, others)) = lease.lines.split_first() else {
        return Err("has no price".to_owned());
    };
    if first.kind != LineKind::Offer || first.sku != lease.sku {
        return Err(format!("is priced as {} and buys {}", first.sku, lease.sku));
    }
    let mut disks = others.iter().filter(|line| line.kind == LineKind::Disk).map(|line| &line.sku);
    if disks.next() != lease.disk_sku.as_ref() || disks.next().is_some() {
        return Err("does not price the disk that it buys".to_owned());
    }
    if others.iter().any(|line| line.kind == LineKind::Offer) {
        return Err("prices two offers".to_owned());
    }
    Ok(())
}

/// Whether each lease is an offer of the catalogue that the plan was made of, at its price; and, where the blueprint is
/// known, all else.
fn check_against(catalogue: &Catalogue, plan: &Plan, policy: &Policy) -> Result<(), String> {
    for (at, lease) in plan.leases.iter().enumerate() {
        let missing = || format!("leases[{at}] is not an offer of its own catalogue; compose again");
        let offer = catalogue.offer(catalogue.find(&lease.own_offer_id()).ok_or_else(missing)?);
        let is_copy = offer.sku == lease.sku
            && offer.kind == lease.kind
            && *offer.place == lease.place
            && offer.price.purchase_option == lease.purchase_option
            && offer.price.term_months == lease.term_months;
        if !is_copy {
            return Err(missing());
        }
    }
    let Some(fail_over) = &policy.fail_over else { return Ok(()) };
    verify(catalogue, &fail_over.blueprint, plan).map_err(|violation| violation.to_string())
}

/// What a setting refers to must be bought or kept, before anything is bought in vain.
fn check_references(plan: &Plan) -> Result<(), PurchaseError> {
    let held: BTreeSet<&str> =
        plan.leases.iter().flat_map(|lease| lease.replicas.keys()).map(|name| name.as_str()).collect();
    for (at, lease) in plan.leases.iter().enumerate() {
        let mut references: usize = 0;
        for value in lease.settings.values().flat_map(text_values) {
            for piece in parse_template(value, |name| lease.after.contains(name))
                .map_err(PurchaseError::InvalidPlan)?
            {
                let TemplatePart::Reference(Reference { component, .. }) = piece else { continue };
                references = references.saturating_add(1);
                if references > MAX_REFERENCES {
                    return Err(PurchaseError::InvalidPlan(format!(
                        "the settings of leases[{at}] refer to others more than {MAX_REFERENCES} times; refer to \
                         less, and compose again"
                    )));
                }
                if !held.contains(component) {
                    return Err(PurchaseError::InvalidPlan(format!(
                        "a setting refers to {component}, of which it has none; compose again"
                    )));
                }
            }
        }
    }
    Ok(())
}
