//! Warm start: the search begins with the leases of an earlier plan that can still be had, at today's prices.

use std::collections::BTreeMap;

use crate::{
    catalogue::OfferIx,
    compose::{
        bnb::branch_and_bound::{Goal, Tree},
        formulation::{
            ids::ComponentIx,
            problem::{Candidate, Problem},
        },
        id_vec::{Id, IdVec},
        mip::{model::Mip, var_bounds::VarBounds},
        options::{ComposeOptions, Signal},
        presolve::{
            columns::{Column, ColumnId, ColumnSet},
            pattern_rules::PatternRules,
            products::product_cost,
            row_presolve::{PresolvedMip, RowwiseMatrix},
        },
    },
    model::{Lease, OfferKind, Plan},
};

/// Nodes for completing an earlier plan.
const COMPLETION_NODES: u64 = 300;

/// Replicas by component, sorted.
type Members = Vec<(ComponentIx, u32)>;

/// The candidate of each lease and its replicas; leases whose offer is gone are left out.
fn match_leases(problem: &Problem<'_>, plan: &Plan) -> Vec<(usize, Members)> {
    let bought = problem.candidates.partition_point(|candidate| candidate.retained().is_none());
    let candidate = |lease: &Lease, ix: OfferIx| match &lease.keeps {
        None => problem.candidates[..bought].binary_search_by_key(&ix, |candidate| candidate.offer).ok(),
        Some(id) => {
            let services = &problem.blueprint.running.services;
            let is_it = |at: usize| {
                let group = problem.candidates[at].retained().map(|group| &problem.running[group]);
                group.is_some_and(|group| group.services.iter().any(|service| services[*service].id == *id))
            };
            (bought..problem.candidates.len()).find(|at| is_it(*at))
        }
    };
    plan.leases
        .iter()
        .filter_map(|lease| {
            let at = candidate(lease, problem.catalogue.find(&lease.offer)?)?;
            let mut members: Members = lease
                .replicas
                .iter()
                .map(|(name, count)| {
                    let position = problem.blueprint.components.get_index_of(name)?;
                    Some((ComponentIx::from_index(position), *count))
                })
                .collect::<Option<_>>()?;
            members.sort_unstable();
            let is_allowed = members.iter().all(|(c, _)| problem.may_carry(&problem.candidates[at], *c));
            is_allowed.then_some((at, members))
        })
        .collect()
}

/// The columns of an earlier plan at today's prices.
pub(crate) fn columns_of_plan(problem: &Problem<'_>, rules: &PatternRules, plan: &Plan) -> Vec<Column> {
    let column = |(at, members): (usize, Members)| {
        let candidate = &problem.candidates[at];
        let (first, _) = members.first()?;
        let spec = &problem.components[*first];
        let (cost, size_gib) = match spec.kind {
            OfferKind::Machine if !is_still_feasible(problem, rules, candidate, &members) => return None,
            OfferKind::Machine => {
                let disk = members.iter().map(|(c, n)| problem.components[*c].disk_gib * u64::from(*n)).sum();
                problem.machine_cost(candidate, disk)?
            }
            _ if members != [(*first, 1)] => return None,
            _ => product_cost(problem, spec, candidate)?,
        };
        Column::new(problem, candidate, members, cost, size_gib)
    };
    match_leases(problem, plan).into_iter().filter_map(column).collect()
}

/// Whether a machine still holds its replicas, and the blueprint still lets them share a machine. An offer of the same
/// name may have another size today.
fn is_still_feasible(
    problem: &Problem<'_>,
    rules: &PatternRules,
    candidate: &Candidate,
    members: &[(ComponentIx, u32)],
) -> bool {
    let are_few = members.iter().all(|(component, count)| {
        let spec = &problem.components[*component];
        (1..=spec.per_machine.min(spec.max)).contains(count)
    });
    let agree =
        |one: ComponentIx| members.iter().all(|(two, _)| one == *two || !rules.are_anti_affine(one, *two));
    let holds = problem.size(candidate).iter().enumerate().all(|(axis, size)| {
        let demand =
            |(c, n): &(ComponentIx, u32)| problem.components[*c].demand[axis].saturating_mul((*n).into());
        members.iter().map(demand).fold(0, u64::saturating_add) <= *size
    });
    are_few && holds && members.iter().all(|(one, _)| agree(*one)) && rules.is_complete(members)
}

/// Makes an earlier plan the incumbent, if its remaining leases can be completed to a plan.
pub(crate) fn install(
    problem: &Problem<'_>,
    column_set: &ColumnSet,
    mip: &Mip,
    plan: &Plan,
    tree: &mut Tree<'_>,
    watch: &mut dyn FnMut(Option<i128>, i128, u64) -> Signal,
) {
    let mut counts: BTreeMap<ColumnId, i64> = BTreeMap::new();
    let mut unmet: IdVec<ComponentIx, i64> =
        problem.components.iter().map(|(_, spec)| spec.min.into()).collect();
    for (at, members) in match_leases(problem, plan) {
        let candidate = &problem.candidates[at];
        let same = |column: &Column| {
            column.members == members
                && column.class == candidate.class
                && column.retained == candidate.retained()
        };
        // The same offer, or the one that dominates it.
        let columns = column_set.columns.iter().filter(|(_, column)| same(column));
        let best =
            columns.min_by_key(|(id, column)| (column.offer != candidate.offer, column.cost, id.index()));
        if let Some((id, column)) = best {
            *counts.entry(id).or_default() += 1;
            column.members.iter().for_each(|(component, count)| unmet[*component] -= i64::from(*count));
        }
    }
    let mut bounds = VarBounds::of(mip);
    for (id, column) in column_set.columns.iter() {
        let var = mip.leases[id];
        let count = counts.get(&id).copied().unwrap_or(0).min(bounds.upper[var]);
        if count > 0 || !column.members.iter().any(|(component, _)| unmet[*component] > 0) {
            (bounds.lower[var], bounds.upper[var]) = (count, count);
        }
    }
    let Some(presolved) = PresolvedMip::within(mip, &RowwiseMatrix::new(mip), bounds) else { return };
    let mut sub_tree = Tree::new(&presolved.mip, None);
    // Values and bounds of the smaller program lack the fixed part, so the watcher does not see them.
    let bound = tree.bound();
    let mut inner = |_: Option<i128>, _: i128, _: u64| watch(None, bound, 0);
    sub_tree.resume(&ComposeOptions::default(), COMPLETION_NODES, Goal::Best, &mut inner);
    if let Some((values, value)) = sub_tree.best {
        tree.install_incumbent(presolved.restore(&values), value + presolved.offset);
    }
}
