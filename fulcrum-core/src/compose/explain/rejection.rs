//! Rejections: why an offer is not in a plan.

use serde::Serialize;

use super::{
    conditions::{ALLOW_ALL, not_accepted},
    oracle::{Oracle, Verdict},
};
use crate::{
    catalogue::{Catalogue, OfferIx},
    compose::{
        bnb::branch_and_bound::Goal,
        error::ComposeError,
        formulation::eligibility,
        options::{ComposeOptions, Progress, Signal},
    },
    model::{Blueprint, Charge, Component, Dimension, Interface, OfferId, OfferKind, OfferMode, Plan},
};

/// Why an offer is not in a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Rejection {
    /// The offer.
    pub offer: OfferId,
    /// What excludes the offer, for each component; or the cost of using it. Never empty.
    pub reasons: Vec<String>,
    /// How much worse the best plan with the offer is, in the unit of the first objective. `None` if there is no such
    /// plan, or the search ended before one was found.
    #[schemars(with = "Option<String>")]
    pub more: Option<rust_decimal::Decimal>,
}

/// Explains why an offer is not in a plan, in the blueprint's words. If nothing excludes the offer, the answer is the
/// cost of using it.
///
/// # Errors
/// [`ComposeError`]: the blueprint is not well formed, or the plan does not belong to it.
pub fn why_not(
    catalogue: &Catalogue,
    blueprint: &Blueprint,
    plan: &Plan,
    offer: &OfferId,
    options: &ComposeOptions,
    watch: &mut dyn FnMut(&Progress) -> Signal,
) -> Result<Rejection, ComposeError> {
    blueprint.check()?;
    crate::compose::verify::verify(catalogue, blueprint, plan).map_err(ComposeError::PlanMismatch)?;
    let answer = |reasons, more| Ok(Rejection { offer: offer.clone(), reasons, more });
    let only = |reason: String| answer(vec![reason], None);
    if plan.leases.iter().any(|lease| lease.offer == *offer) {
        return only("the plan uses it".to_owned());
    }
    let Some(ix) = catalogue.find(offer) else { return only(missing(catalogue, offer)) };
    let options = &options.as_for(plan);
    if options.exclude.contains(offer) {
        return only("the caller excludes it".to_owned());
    }
    if options.offer_mode(catalogue) == OfferMode::Orderable && !catalogue.is_orderable(ix) {
        let provider = &catalogue.place(ix).provider;
        return only(match catalogue.is_not_accepted(ix) {
            true => not_accepted(provider, catalogue.kind(ix)),
            false => format!("{provider} only lists it; {ALLOW_ALL}"),
        });
    }
    if catalogue.stock(ix) == Some(0) {
        return only("it is sold out".to_owned());
    }
    if catalogue.month_micros(ix, 1, blueprint.currency).is_none() {
        let (from, to) = (catalogue.price(ix).currency.code(), blueprint.currency.code());
        return only(format!("there is no exchange rate from {from} to {to}"));
    }
    let refusals: Vec<Option<String>> = blueprint
        .components
        .iter()
        .zip(blueprint.interfaces())
        .map(|((name, component), interface)| {
            refusal((catalogue, ix), blueprint, component, &interface).map(|why| format!("{name}: {why}"))
        })
        .collect();
    if refusals.iter().all(Option::is_some) {
        return answer(refusals.into_iter().flatten().collect(), None);
    }
    let mut oracle = Oracle::new(catalogue, options, watch);
    match oracle.solve(blueprint, Goal::Best, |stage| stage.must_use = Some(ix)) {
        Verdict::Infeasible => only("it fits, but no plan that uses it meets all conditions".to_owned()),
        Verdict::Unknown => {
            only("it fits; what using it would cost could not be found out in time".to_owned())
        }
        Verdict::Plan(value) => {
            let more = value.objective.saturating_sub(plan.objective);
            let unit = blueprint.objective.unit(blueprint.currency);
            let reason = match (more.is_sign_positive() && !more.is_zero(), value.is_proven) {
                (true, true) => {
                    format!("it fits, but the best plan that uses it is {} {unit} worse", more.normalize())
                }
                (true, false) => {
                    format!("it fits; the best plan found that uses it is {} {unit} worse", more.normalize())
                }
                (false, _) => "it fits, and a plan that uses it is as good as this one".to_owned(),
            };
            answer(vec![reason], Some(more))
        }
    }
}

fn missing(catalogue: &Catalogue, offer: &OfferId) -> String {
    let left_out = catalogue
        .quarantined()
        .iter()
        .find(|left_out| offer.as_str().starts_with(&format!("{}/{}", left_out.place, left_out.sku)));
    left_out.map_or_else(
        || "the catalogue has no such offer".to_owned(),
        |left_out| format!("it was left out of the catalogue: {}", left_out.reason),
    )
}

/// Why a component cannot run on an offer.
fn refusal(
    (catalogue, ix): (&Catalogue, OfferIx),
    blueprint: &Blueprint,
    component: &Component,
    interface: &Interface<'_>,
) -> Option<String> {
    if component.kind != catalogue.kind(ix) {
        return Some(format!("needs a {}, this is a {}", component.kind, catalogue.kind(ix)));
    }
    let price = catalogue.price(ix);
    if price.term_months > blueprint.horizon_months {
        return Some(format!("a term of {} months is beyond horizon_months", price.term_months));
    }
    let (global, own) = eligibility::pair(&blueprint.filter, &component.filter);
    if let Some(clause) = catalogue.failed_clause(ix, &global) {
        return Some(format!("where.{clause} does not allow it"));
    }
    if let Some(clause) = catalogue.failed_clause(ix, &own) {
        return Some(format!("its own where.{clause} does not allow it"));
    }
    if let Some(unknown) = catalogue.interface_fault(ix, interface) {
        return Some(unknown);
    }
    let (demand, capacity) = (component.demand(), catalogue.capacity(ix));
    let is_by_size = matches!(price.charge, Charge::PerUnit { .. });
    if is_by_size && demand.disk_gib == 0 && component.kind != OfferKind::Machine {
        return Some("it is sold by the GiB; write disk_gib".to_owned());
    }
    demand.dimensions().find_map(|dimension| {
        let (need, has) = (demand.along(&dimension), capacity.along(&dimension));
        let is_bought =
            dimension == Dimension::DiskGib && (is_by_size || catalogue.elastic_disk(ix).is_some());
        (has < need && !is_bought).then(|| format!("needs {need} of {dimension}, it has {has}"))
    })
}
