//! Whether a plan fits together: its sums, its horizon, each lease, its references, and its own catalogue. A plan is read as a
//! stranger's document, and nothing in it is believed.
#![deny(clippy::arithmetic_side_effects)]

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;

use super::{PurchaseError, step_dependencies::MAX_REFERENCES};
use crate::{
    catalogue::Catalogue,
    compose::verify::verify,
    model::{
        Lease, LineKind, OfferKind, Plan, Policy, PriceLine, Reference, Relation, TemplatePart,
        parse_template, payments, text_values,
    },
};

/// Whether totals are the sums of their lines, kept services included.
pub(super) fn check_sums(plan: &Plan) -> Result<(), String> {
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

/// Horizons of plans, in months.
const HORIZON_MONTHS: std::ops::RangeInclusive<u32> = 1..=120;

/// The longest term of a disk or a surcharge, in months.
const MAX_OTHER_TERM_MONTHS: u32 = 36;

/// Whether a plan has a valid horizon, that of its blueprint.
pub(super) fn check_horizon(plan: &Plan, policy: &Policy) -> Result<(), String> {
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
    if !HORIZON_MONTHS.contains(&months) {
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

/// The least and the greatest total of a line over the horizon. The offer's own line has a known term and renewals; a disk or a
/// surcharge may have others, and a running service has paid its start. Plans of format 3 have no horizon.
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
        LineKind::Disk | LineKind::Surcharge => (horizon.checked_add(MAX_OTHER_TERM_MONTHS)?, horizon),
    };
    Some((sum(months, times, down)?, sum(most_months, most_times, up)?))
}

/// Whether offer, place, product, option, lines and replicas of a lease belong together.
pub(super) fn check_lease(lease: &Lease) -> Result<(), String> {
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

/// Whether each lease is an offer of the plan's own catalogue; if the blueprint is known, the verifier checks all else.
pub(super) fn check_against(catalogue: &Catalogue, plan: &Plan, policy: &Policy) -> Result<(), String> {
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

/// Whether each component that a setting refers to is bought or kept.
pub(super) fn check_references(plan: &Plan) -> Result<(), PurchaseError> {
    let held: BTreeSet<&str> =
        plan.leases.iter().flat_map(|lease| lease.replicas.keys()).map(|name| name.as_str()).collect();
    let kept = plan.leases.iter().filter(|lease| lease.keeps.is_some());
    let kept: BTreeSet<&str> =
        kept.flat_map(|lease| lease.replicas.keys()).map(|name| name.as_str()).collect();
    for (at, lease) in plan.leases.iter().enumerate().filter(|(_, lease)| lease.keeps.is_none()) {
        let mut references: usize = 0;
        for value in lease.settings.values().flat_map(text_values) {
            for piece in parse_template(value, |name| lease.after.contains(name))
                .map_err(PurchaseError::InvalidPlan)?
            {
                let TemplatePart::Reference(Reference { component, attribute, .. }) = piece else { continue };
                references = references.saturating_add(1);
                if references > MAX_REFERENCES {
                    return Err(PurchaseError::InvalidPlan(format!(
                        "the settings of leases[{at}] refer to others more than {MAX_REFERENCES} times; refer to \
                         less, and compose again"
                    )));
                }
                if attribute != "id" && kept.contains(component) {
                    return Err(PurchaseError::InvalidPlan(format!(
                        "a setting refers to `{attribute}` of {component}, which it keeps, and of what is kept only the id is \
                         known; write the value in its place"
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

/// Whether each lease's partners are in its region and come before it, carry what its setting of that name refers to, and have room.
pub(super) fn check_partners(plan: &Plan) -> Result<(), String> {
    let mut attached: BTreeMap<(&str, u32), u32> = BTreeMap::new();
    for (at, lease) in plan.leases.iter().enumerate() {
        for (word, positions) in &lease.partners {
            let fail = |why: &str| Err(format!("leases[{at}].partners.{word} {why}; compose again"));
            let Some(relation) = Relation::of_word(word) else { return fail("is no relation") };
            let setting = lease.settings.get(word).and_then(serde_json::Value::as_str).unwrap_or_default();
            let pieces = parse_template(setting, |name| lease.after.contains(name))?;
            let [TemplatePart::Reference(Reference { component, attribute: "id", .. })] = &*pieces else {
                return fail("is of no setting that refers to a component");
            };
            let component = *component;
            let is_distinct = positions.iter().collect::<BTreeSet<_>>().len() == positions.len();
            if !is_distinct || positions.is_empty() || (relation != Relation::Targets && positions.len() > 1)
            {
                return fail("does not name what it belongs to once");
            }
            for position in positions {
                let Some(other) = usize::try_from(*position).ok().and_then(|at| plan.leases.get(at)) else {
                    return fail("names a lease that is not there");
                };
                let places = [&lease.place, &other.place].map(|place| (&place.provider, &place.region));
                if places[0] != places[1] || other.rank >= lease.rank {
                    return fail("names a lease of another region, or one that comes later");
                }
                let Some(room) = other.replicas.get(component) else {
                    return fail("names a lease of another component");
                };
                if relation == Relation::Attach {
                    if lease.place.zone.is_some() && lease.place.zone != other.place.zone {
                        return fail("names a lease of another zone");
                    }
                    for name in lease.replicas.keys() {
                        let count = attached.entry((name.as_str(), *position)).or_default();
                        *count = count.saturating_add(1);
                        if *count > *room {
                            return fail("names a lease to which others are attached already");
                        }
                    }
                }
                if let (Some(kept), None) = (&lease.keeps, &other.keeps) {
                    return Err(format!(
                        "it keeps {kept}, whose `{word}` would be a new service, and nothing is made anew for what \
                         is kept; leave {kept} out of `running`, or keep what it belongs to"
                    ));
                }
            }
        }
    }
    Ok(())
}
