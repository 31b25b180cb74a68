//! A first plan near the root's relaxation.

use crate::{
    compose::{
        bnb::{
            branch_and_bound::{Goal, Tree},
            fork_join::Watch,
        },
        formulation::{ids::CompId, problem::Problem},
        heuristics::splitmix::mixed,
        id_vec::{Id, IdVec},
        mip::{model::Program, var_bounds::Bounds},
        options::{ComposeOptions, Signal},
        presolve::{
            columns::{ColumnId, Reduced},
            row_presolve::{ByRow, Presolved},
        },
    },
    model::StopReason,
};

/// Nodes of the search for it.
const FIRST_NODES: u64 = 500;

/// A first plan near the root's relaxation: what is whole there stays, the rest is searched, together with more
/// and more components drawn at random until there is a plan (relaxation enforced neighbourhood search: T. Berthold,
/// Operations Research Letters 42(6), 2014).
pub(crate) fn begin(
    problem: &Problem<'_>,
    reduced: &Reduced,
    program: &Program,
    tree: &mut Tree<'_>,
    watch: &mut Watch<'_>,
) -> Option<StopReason> {
    let by_row = ByRow::new(program);
    let ranked = tree.root_prices();
    let whole: IdVec<ColumnId, Option<i64>> = reduced
        .columns
        .ids()
        .map(|id| {
            let var = program.leases[id];
            (tree.root().fraction(var) == 0).then(|| tree.root().nearest(var))
        })
        .collect();
    let bound = tree.bound();
    let mut more = 0;
    for turn in 0..8u64 {
        let mut out: IdVec<CompId, bool> =
            problem.components.ids().map(|c| mixed(turn, c.index() as u64) % 64 < more).collect();
        for (_, column) in reduced.columns.iter().filter(|(id, _)| whole[*id].is_none()) {
            column.members.iter().for_each(|(component, _)| out[*component] = true);
        }
        let mut bounds = Bounds::of(program);
        let mut joining = Vec::new();
        for (id, column) in reduced.columns.iter() {
            let var = program.leases[id];
            let value = whole[id].unwrap_or(0).clamp(bounds.low[var], bounds.high[var]);
            if !column.members.iter().any(|(component, _)| out[*component]) {
                (bounds.low[var], bounds.high[var]) = (value, value);
            } else if value == 0 && whole[id].is_some() {
                joining.push((ranked.as_ref().map_or(0, |(costs, _)| costs[var]), var));
            }
        }
        joining.sort_unstable();
        joining.into_iter().skip(400).for_each(|(_, var)| bounds.high[var] = bounds.low[var]);
        more = 1 + 2 * more;
        let Some(presolved) = Presolved::within(program, &by_row, bounds) else { continue };
        let mut small = Tree::new(&presolved.program, None);
        let mut stop = None;
        let mut inner = |_: Option<i128>, _: i128, _: u64| {
            let signal = watch(None, bound, 1);
            stop = match signal {
                Signal::Continue => None,
                Signal::Limit => Some(StopReason::Limit),
                Signal::Cancel => Some(StopReason::Cancelled),
            };
            signal
        };
        small.go_on(&ComposeOptions::default(), FIRST_NODES, Goal::Any, &mut inner);
        if stop.is_some() {
            return stop;
        }
        if let Some((values, value)) = small.best {
            tree.offer(presolved.restore(&values), value + presolved.offset);
            return None;
        }
    }
    None
}
