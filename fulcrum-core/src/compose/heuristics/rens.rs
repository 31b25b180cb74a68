//! Relaxation enforced neighbourhood search (RENS): a first plan near the root's relaxation (T. Berthold, Operations
//! Research Letters 42(6), 2014).

use super::splitmix::splitmix64;
use crate::{
    compose::{
        bnb::{
            branch_and_bound::{Goal, Tree},
            fork_join::Watch,
        },
        formulation::{ids::ComponentIx, problem::Problem},
        id_vec::{Id, IdVec},
        mip::{model::Mip, var_bounds::VarBounds},
        options::ComposeOptions,
        presolve::{
            columns::{ColumnId, ColumnSet},
            row_presolve::{PresolvedMip, RowwiseMatrix},
        },
    },
    model::StopReason,
};

/// Nodes of one attempt.
const SUB_MIP_NODES: u64 = 500;

/// Fixes the columns that are integral in the relaxation and searches the rest. Each attempt frees more components,
/// drawn at random, until there is a plan.
pub(crate) fn rens(
    problem: &Problem<'_>,
    column_set: &ColumnSet,
    mip: &Mip,
    tree: &mut Tree<'_>,
    watch: &mut Watch<'_>,
) -> Option<StopReason> {
    let rowwise = RowwiseMatrix::new(mip);
    let reduced_costs = tree.root_reduced_costs();
    let integral: IdVec<ColumnId, Option<i64>> = column_set
        .columns
        .ids()
        .map(|id| {
            let var = mip.leases[id];
            (tree.root().fraction(var) == 0).then(|| tree.root().nearest(var))
        })
        .collect();
    let bound = tree.bound();
    let mut widening = 0;
    for attempt in 0..8u64 {
        let mut free: IdVec<ComponentIx, bool> =
            problem.components.ids().map(|c| splitmix64(attempt, c.index() as u64) % 64 < widening).collect();
        for (_, column) in column_set.columns.iter().filter(|(id, _)| integral[*id].is_none()) {
            column.members.iter().for_each(|(component, _)| free[*component] = true);
        }
        let mut bounds = VarBounds::of(mip);
        let mut candidates = Vec::new();
        for (id, column) in column_set.columns.iter() {
            let var = mip.leases[id];
            let value = integral[id].unwrap_or(0).clamp(bounds.lower[var], bounds.upper[var]);
            if !column.members.iter().any(|(component, _)| free[*component]) {
                (bounds.lower[var], bounds.upper[var]) = (value, value);
            } else if value == 0 && integral[id].is_some() {
                candidates.push((reduced_costs.as_ref().map_or(0, |root| root.costs[var]), var));
            }
        }
        candidates.sort_unstable();
        candidates.into_iter().skip(400).for_each(|(_, var)| bounds.upper[var] = bounds.lower[var]);
        widening = 1 + 2 * widening;
        let Some(presolved) = PresolvedMip::within(mip, &rowwise, bounds) else { continue };
        let mut sub_tree = Tree::new(&presolved.mip, None);
        let mut stop = None;
        let mut inner = |_: Option<i128>, _: i128, _: u64| {
            let signal = watch(None, bound, 1);
            stop = signal.stop();
            signal
        };
        sub_tree.resume(&ComposeOptions::default(), SUB_MIP_NODES, Goal::Feasible, &mut inner);
        if stop.is_some() {
            return stop;
        }
        if let Some((values, value)) = sub_tree.best {
            tree.install_incumbent(presolved.restore(&values), value + presolved.offset);
            return None;
        }
    }
    None
}
