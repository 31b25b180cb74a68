//! A search that was made before begins where that one ended: with the leases of an earlier plan, as far as they can
//! still be had, at today's prices. What cannot be had any more is left to the search.

use std::collections::BTreeMap;

use crate::{
    catalogue::OfferIx,
    compose::{
        bnb::branch_and_bound::{Goal, Tree},
        formulation::{
            ids::CompId,
            problem::{Candidate, Problem},
        },
        id_vec::{Id, IdVec},
        mip::{model::Program, var_bounds::Bounds},
        options::{ComposeOptions, Signal},
        presolve::{
            columns::{Column, ColumnId, Reduced},
            pattern_rules::Rules,
            products::product_cost,
            row_presolve::{ByRow, Presolved},
        },
    },
    model::{Lease, OfferKind, Plan},
};

/// Nodes that putting an earlier plan together again may take.
const MAX_NODES: u64 = 300;

/// Replicas by component, sorted.
type Members = Vec<(CompId, u32)>;

/// The candidate of each lease with what is on it; leases whose offer is gone are left out.
fn leases(problem: &Problem<'_>, plan: &Plan) -> Vec<(usize, Members)> {
    let bought = problem.candidates.partition_point(|candidate| candidate.keeps().is_none());
    let candidate = |lease: &Lease, ix: OfferIx| match &lease.keeps {
        None => problem.candidates[..bought].binary_search_by_key(&ix, |candidate| candidate.offer).ok(),
        Some(id) => {
            let services = &problem.blueprint.running.services;
            let is_it = |at: usize| {
                let alike = problem.candidates[at].keeps().map(|alike| &problem.running[alike]);
                alike.is_some_and(|alike| alike.services.iter().any(|service| services[*service].id == *id))
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
                    Some((CompId::from_index(position), *count))
                })
                .collect::<Option<_>>()?;
            members.sort_unstable();
            let is_allowed = members.iter().all(|(c, _)| problem.may_carry(&problem.candidates[at], *c));
            is_allowed.then_some((at, members))
        })
        .collect()
}

/// The columns of an earlier plan at today's prices.
pub(crate) fn columns(problem: &Problem<'_>, rules: &Rules, plan: &Plan) -> Vec<Column> {
    let column = |(at, members): (usize, Members)| {
        let candidate = &problem.candidates[at];
        let (first, _) = members.first()?;
        let comp = &problem.components[*first];
        let (cost, size_gib) = match comp.kind {
            OfferKind::Machine if !fits(problem, rules, candidate, &members) => return None,
            OfferKind::Machine => {
                let disk = members.iter().map(|(c, n)| problem.components[*c].disk_gib * u64::from(*n)).sum();
                problem.machine_cost(candidate, disk)?
            }
            _ if members != [(*first, 1)] => return None,
            _ => product_cost(problem, comp, candidate)?,
        };
        Column::new(problem, candidate, members, cost, size_gib)
    };
    leases(problem, plan).into_iter().filter_map(column).collect()
}

/// Whether a machine still holds what was on it, and the blueprint still lets that share a machine: an offer of the same
/// name may be another size today.
fn fits(problem: &Problem<'_>, rules: &Rules, candidate: &Candidate, members: &[(CompId, u32)]) -> bool {
    let are_few = members.iter().all(|(component, count)| {
        let comp = &problem.components[*component];
        (1..=comp.per_machine.min(comp.max)).contains(count)
    });
    let agree = |one: CompId| members.iter().all(|(two, _)| one == *two || !rules.conflict(one, *two));
    let holds = problem.size(candidate).iter().enumerate().all(|(axis, size)| {
        let demand = |(c, n): &(CompId, u32)| problem.components[*c].demand[axis].saturating_mul((*n).into());
        members.iter().map(demand).fold(0, u64::saturating_add) <= *size
    });
    are_few && holds && members.iter().all(|(one, _)| agree(*one)) && rules.is_complete(members)
}

/// Offers an earlier plan to a tree over all columns, if the leases that are left of it can be completed to a plan.
pub(crate) fn offer(
    problem: &Problem<'_>,
    reduced: &Reduced,
    program: &Program,
    plan: &Plan,
    tree: &mut Tree<'_>,
    watch: &mut dyn FnMut(Option<i128>, i128, u64) -> Signal,
) {
    let mut counts: BTreeMap<ColumnId, i64> = BTreeMap::new();
    let mut missing: IdVec<CompId, i64> =
        problem.components.iter().map(|(_, comp)| comp.min.into()).collect();
    for (at, members) in leases(problem, plan) {
        let candidate = &problem.candidates[at];
        let same = |column: &Column| {
            column.members == members && column.class == candidate.class && column.keeps == candidate.keeps()
        };
        // The offer itself, or the one that makes it superfluous.
        let columns = reduced.columns.iter().filter(|(_, column)| same(column));
        let best =
            columns.min_by_key(|(id, column)| (column.offer != candidate.offer, column.cost, id.index()));
        if let Some((id, column)) = best {
            *counts.entry(id).or_default() += 1;
            column.members.iter().for_each(|(component, count)| missing[*component] -= i64::from(*count));
        }
    }
    let mut bounds = Bounds::of(program);
    for (id, column) in reduced.columns.iter() {
        let var = program.leases[id];
        let count = counts.get(&id).copied().unwrap_or(0).min(bounds.high[var]);
        if count > 0 || !column.members.iter().any(|(component, _)| missing[*component] > 0) {
            (bounds.low[var], bounds.high[var]) = (count, count);
        }
    }
    let Some(presolved) = Presolved::within(program, &ByRow::new(program), bounds) else { return };
    let mut small = Tree::new(&presolved.program, None);
    // Plans and bounds of a part of the program, without what is settled in it, are none of the whole.
    let bound = tree.bound();
    let mut inner = |_: Option<i128>, _: i128, _: u64| watch(None, bound, 0);
    small.go_on(&ComposeOptions::default(), MAX_NODES, Goal::Best, &mut inner);
    if let Some((values, value)) = small.best {
        tree.offer(presolved.restore(&values), value + presolved.offset);
    }
}
