//! Products that are not machines: one replica a lease, priced by quantity where the offer is.

use super::columns::{Column, keep_cheapest};
use crate::{
    compose::{
        formulation::{
            ids::CompId,
            problem::{Candidate, Comp, Problem},
        },
        objective::Cost,
    },
    model::{Charge, OfferKind},
};

/// Adds the columns of all components that are not machines; returns how many such components there are.
pub(crate) fn columns(problem: &Problem<'_>, columns: &mut Vec<Column>) -> usize {
    let products: Vec<CompId> =
        problem.components.ids().filter(|&c| problem.components[c].kind != OfferKind::Machine).collect();
    for &component in &products {
        let comp = &problem.components[component];
        let options = problem
            .candidates
            .iter()
            .filter(|candidate| problem.may_carry(candidate, component))
            .filter_map(|candidate| {
                let (cost, size_gib) = product_cost(problem, comp, candidate)?;
                Column::new(problem, candidate, vec![(component, 1)], cost, size_gib)
            })
            .collect();
        keep_cheapest(problem, options, columns);
    }
    products.len()
}

/// What one replica costs on an offer, and the GiB bought; `None` if it does not fit.
pub(crate) fn product_cost(problem: &Problem<'_>, comp: &Comp, candidate: &Candidate) -> Option<(Cost, u64)> {
    let is_large_enough =
        problem.size(candidate).iter().zip(&comp.demand).all(|(capacity, demand)| capacity >= demand);
    if !is_large_enough {
        return None;
    }
    let charge = &problem.catalogue.price(candidate.offer).charge;
    if let Some(alike) = candidate.keeps().map(|at| &problem.running[at]) {
        let Charge::PerUnit { .. } = charge else { return problem.machine_cost(candidate, comp.disk_gib) };
        let size_gib = comp.disk_gib.max(alike.size_gib);
        return Some((problem.base_cost(candidate.offer, size_gib, true)?, size_gib));
    }
    match charge {
        Charge::PerUnit { .. } => Some((problem.cost(candidate.offer, comp.disk_gib)?, comp.disk_gib)),
        Charge::Hourly(_) | Charge::Monthly(_) | Charge::HourlyCapped { .. } | Charge::Once => {
            let further = comp.disk_gib.saturating_sub(problem.disk_gib(candidate));
            Some((candidate.base.checked_add(problem.disk_cost(candidate.offer, further)?)?, further))
        }
    }
}
