//! What the pricing problem packs: components, or those that must share machines as one.

use super::duals::Duals;
use crate::{
    compose::{
        formulation::{ids::ComponentIx, problem::Problem},
        id_vec::IdVec,
        presolve::pattern_rules::PatternRules,
    },
    model::OfferKind,
};

/// Components that share machines, and their dual value together.
#[derive(Debug)]
pub(crate) struct Item {
    pub(super) members: Vec<ComponentIx>,
    pub(super) dual_value: i64,
    /// Demand along the problem's dimensions.
    pub(super) demand: Vec<u64>,
    pub(super) disk_gib: u64,
    pub(super) max_count: u32,
}

/// Which components may be carried.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wanted<'a> {
    /// Components with a positive dual value, and those that must be carried.
    PositiveValue,
    /// All components.
    All,
    /// Only these components.
    Only(&'a [ComponentIx]),
}

/// Groups the components that must share machines.
pub(crate) fn items(
    problem: &Problem<'_>,
    rules: &PatternRules,
    (dual_value, duals): (&IdVec<ComponentIx, i64>, &Duals),
    wanted: Wanted<'_>,
    rest: Option<&IdVec<ComponentIx, u32>>,
) -> Vec<Item> {
    let mut is_done: IdVec<ComponentIx, bool> = problem.components.ids().map(|_| false).collect();
    let mut items = Vec::new();
    let most = |component: ComponentIx| {
        let spec = &problem.components[component];
        spec.per_machine.min(rest.map_or(spec.max, |rest| rest[component]))
    };
    for component in problem.components.ids() {
        if is_done[component] || problem.components[component].kind != OfferKind::Machine {
            continue;
        }
        let mut members = vec![component];
        // The transitive closure of the affinity groups.
        let mut at = 0;
        while at < members.len() {
            let one = members[at];
            for group in rules.affinity_groups.iter().filter(|group| group.contains(&one)) {
                let more: Vec<ComponentIx> =
                    group.iter().copied().filter(|other| !members.contains(other)).collect();
                members.extend(more);
            }
            at += 1;
        }
        members.iter().for_each(|member| is_done[*member] = true);
        let total: i64 = members.iter().fold(0i64, |sum, member| sum.saturating_add(dual_value[*member]));
        let in_pairs =
            members.iter().fold(0i64, |sum, member| sum.saturating_add(duals.worth_in_pairs(*member)));
        let is_forced = rules.full_deployments.iter().any(|(component, unless)| {
            members.contains(component) || unless.iter().any(|other| members.contains(other))
        });
        let is_wanted = match wanted {
            Wanted::PositiveValue => total.saturating_add(in_pairs) > 0 || is_forced,
            Wanted::All => true,
            Wanted::Only(these) => members.iter().all(|member| these.contains(member)),
        };
        let clash = members
            .iter()
            .any(|one| members.iter().any(|two| one != two && rules.are_anti_affine(*one, *two)));
        if !is_wanted || clash || members.iter().any(|member| most(*member) == 0) {
            continue;
        }
        let sum = |of: &dyn Fn(ComponentIx) -> u64| members.iter().map(|member| of(*member)).sum();
        items.push(Item {
            dual_value: total,
            demand: (0..problem.dimensions.len())
                .map(|d| sum(&|member| problem.components[member].demand[d]))
                .collect(),
            disk_gib: sum(&|member| problem.components[member].disk_gib),
            max_count: members.iter().map(|member| most(*member)).min().unwrap_or(0),
            members,
        });
    }
    items
}
