//! Products that are not machines: one replica per lease, priced by quantity if the offer is.

use super::columns::{Column, push_nondominated};
use crate::{
    compose::{
        formulation::{
            ids::ComponentIx,
            problem::{Candidate, ComponentSpec, Problem},
        },
        objective::Cost,
    },
    model::{Charge, OfferKind},
};

/// Adds the columns of all components that are not machines; returns how many such components there are.
pub(crate) fn columns(problem: &Problem<'_>, columns: &mut Vec<Column>) -> usize {
    let products: Vec<ComponentIx> =
        problem.components.ids().filter(|&c| problem.components[c].kind != OfferKind::Machine).collect();
    for &component in &products {
        let spec = &problem.components[component];
        let options = problem
            .candidates
            .iter()
            .filter(|candidate| problem.may_carry(candidate, component))
            .filter_map(|candidate| {
                let (cost, size_gib) = product_cost(problem, spec, candidate)?;
                Column::new(problem, candidate, vec![(component, 1)], cost, size_gib)
            })
            .collect();
        push_nondominated(problem, options, columns);
    }
    products.len()
}

/// The cost of one replica on an offer, and the GiB bought; `None` if it does not fit.
pub(crate) fn product_cost(
    problem: &Problem<'_>,
    spec: &ComponentSpec,
    candidate: &Candidate,
) -> Option<(Cost, u64)> {
    let is_large_enough =
        problem.size(candidate).iter().zip(&spec.demand).all(|(capacity, demand)| capacity >= demand);
    if !is_large_enough {
        return None;
    }
    let charge = &problem.catalogue.price(candidate.offer).charge;
    if let Some(group) = candidate.retained().map(|at| &problem.running[at]) {
        let Charge::PerUnit { .. } = charge else { return problem.machine_cost(candidate, spec.disk_gib) };
        let size_gib = spec.disk_gib.max(group.size_gib);
        return Some((problem.base_cost(candidate.offer, size_gib, true)?, size_gib));
    }
    match charge {
        // Of a product that is sold by the GiB, nothing is no answer.
        Charge::PerUnit { .. } if spec.disk_gib == 0 => None,
        Charge::PerUnit { .. } => Some((problem.cost(candidate.offer, spec.disk_gib)?, spec.disk_gib)),
        Charge::Hourly(_) | Charge::Monthly(_) | Charge::HourlyCapped { .. } | Charge::Once => {
            let further = spec.disk_gib.saturating_sub(problem.disk_gib(candidate));
            Some((candidate.base.checked_add(problem.disk_cost(candidate.offer, further)?)?, further))
        }
    }
}
