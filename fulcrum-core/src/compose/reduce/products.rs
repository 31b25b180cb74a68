//! Products that are not machines: one replica a lease, priced by quantity where the offer is.

use super::{Column, keep_cheapest};
use crate::{
    compose::{
        id_vec::Id,
        problem::{Candidate, Comp, CompId, Cost, Problem},
    },
    model::{Charge, OfferKind},
};

/// Adds the columns of all components that are not machines; returns how many such components there are.
pub(super) fn columns(problem: &Problem<'_>, columns: &mut Vec<Column>) -> usize {
    let products: Vec<CompId> =
        problem.components.ids().filter(|&c| problem.components[c].kind != OfferKind::Machine).collect();
    for &component in &products {
        let comp = &problem.components[component];
        let mut options: Vec<Column> = problem
            .candidates
            .iter()
            .filter(|candidate| candidate.allowed.contains(component.index()))
            .filter_map(|candidate| {
                let (cost, size_gib) = cost(problem, comp, candidate)?;
                Some(Column {
                    members: vec![(component, 1)],
                    offer: candidate.offer,
                    class: candidate.class,
                    cost,
                    size_gib,
                    stock: candidate.stock,
                })
            })
            .collect();
        keep_cheapest(&mut options);
        columns.append(&mut options);
    }
    products.len()
}

/// What one replica costs on an offer, and the GiB bought; `None` if it does not fit.
fn cost(problem: &Problem<'_>, comp: &Comp, candidate: &Candidate) -> Option<(Cost, u64)> {
    let is_large_enough =
        candidate.capacity.iter().zip(&comp.demand).all(|(capacity, demand)| capacity >= demand);
    if !is_large_enough {
        return None;
    }
    match problem.catalogue.price(candidate.offer).charge {
        Charge::PerUnit { .. } => Some((problem.cost(candidate.offer, comp.disk_gib)?, comp.disk_gib)),
        Charge::Hourly(_) | Charge::Monthly(_) | Charge::HourlyCapped { .. } | Charge::Once => {
            let further = comp.disk_gib.saturating_sub(candidate.disk_gib);
            Some((candidate.base.checked_add(problem.disk_cost(candidate.offer, further)?)?, further))
        }
    }
}
