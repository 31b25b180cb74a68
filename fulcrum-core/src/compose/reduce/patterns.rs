//! Every set of replicas that may share a machine and fits some offer.

use std::collections::BTreeSet;

use super::{Column, dominance, keep_cheapest};
use crate::{
    compose::{
        id_vec::Id,
        problem::{Candidate, CompId, Problem},
    },
    model::{Constraint, OfferKind},
};

/// Patterns beyond which the rest is left out and the optimum not claimed.
const MAX_PATTERNS: usize = 100_000;

/// A set of replicas under construction.
struct Growing {
    /// Sorted; the next component added is the last or a later one.
    members: Vec<(CompId, u32)>,
    demand: Vec<u64>,
    disk_gib: u64,
    /// Positions in `problem.candidates` of the offers that hold it.
    holders: Vec<usize>,
}

/// Adds the columns of all patterns; returns how many patterns there are and whether some were left out.
///
/// Level by level, so that small patterns come first: a pattern of `k` replicas grows from one of `k - 1`, and
/// what no offer holds does not grow further. Time: O(patterns × components × holders).
pub(super) fn enumerate(problem: &Problem<'_>, columns: &mut Vec<Column>) -> (usize, bool) {
    let rules = Rules::new(problem);
    let machines: Vec<CompId> =
        problem.components.ids().filter(|&c| problem.components[c].kind == OfferKind::Machine).collect();
    let empty = Growing {
        members: Vec::new(),
        demand: vec![0; problem.dimensions.len()],
        disk_gib: 0,
        holders: dominance::undominated(problem),
    };
    let mut level = vec![empty];
    let mut patterns = 0;
    while !level.is_empty() {
        let mut next = Vec::new();
        for growing in &level {
            let from = growing.members.last().map_or(CompId::from_index(0), |(component, _)| *component);
            for &component in machines.iter().filter(|component| **component >= from) {
                let Some(grown) = grow(problem, &rules, growing, component) else { continue };
                if patterns == MAX_PATTERNS {
                    return (patterns, true);
                }
                patterns += 1;
                if rules.is_complete(&grown.members) {
                    emit(problem, &grown, columns);
                }
                next.push(grown);
            }
        }
        level = next;
    }
    (patterns, false)
}

fn grow(problem: &Problem<'_>, rules: &Rules, growing: &Growing, component: CompId) -> Option<Growing> {
    let comp = &problem.components[component];
    let mut members = growing.members.clone();
    match members.last_mut() {
        Some((last, count)) if *last == component => {
            *count += 1;
            if *count > comp.per_machine.min(comp.max) {
                return None;
            }
        }
        _ => {
            if members.iter().any(|(other, _)| rules.conflict(*other, component)) {
                return None;
            }
            members.push((component, 1));
        }
    }
    let demand: Vec<u64> =
        growing.demand.iter().zip(&comp.demand).map(|(sum, own)| sum.saturating_add(*own)).collect();
    let disk_gib = growing.disk_gib.saturating_add(comp.disk_gib);
    let holders: Vec<usize> = growing
        .holders
        .iter()
        .copied()
        .filter(|&at| {
            let candidate = &problem.candidates[at];
            problem.may_carry(candidate, component) && holds(problem, candidate, &demand, disk_gib)
        })
        .collect();
    (!holders.is_empty()).then_some(Growing { members, demand, disk_gib, holders })
}

fn holds(problem: &Problem<'_>, candidate: &Candidate, demand: &[u64], disk_gib: u64) -> bool {
    problem.size(candidate).iter().zip(demand).all(|(capacity, demand)| capacity >= demand)
        && (problem.disk_gib(candidate) >= disk_gib
            || problem.catalogue.elastic_disk(candidate.offer).is_some())
}

fn emit(problem: &Problem<'_>, pattern: &Growing, columns: &mut Vec<Column>) {
    let options = pattern
        .holders
        .iter()
        .filter_map(|&at| {
            let candidate = &problem.candidates[at];
            let size_gib = pattern.disk_gib.saturating_sub(problem.disk_gib(candidate));
            let cost = candidate.base.checked_add(problem.disk_cost(candidate.offer, size_gib)?)?;
            Column::new(problem, candidate, pattern.members.clone(), cost, size_gib)
        })
        .collect();
    keep_cheapest(&problem.aim, options, columns);
}

/// What may share a machine.
struct Rules {
    conflicts: BTreeSet<(CompId, CompId)>,
    /// Together in equal numbers, or not at all.
    together: Vec<Vec<CompId>>,
    /// The first is there, or one of the others.
    everywhere: Vec<(CompId, Vec<CompId>)>,
}

impl Rules {
    fn new(problem: &Problem<'_>) -> Self {
        let mut rules = Self { conflicts: BTreeSet::new(), together: Vec::new(), everywhere: Vec::new() };
        for constraint in &problem.blueprint.constraints {
            match constraint {
                Constraint::Conflict(conflict) => {
                    let one = problem.component(&conflict.component);
                    for other in &conflict.with {
                        let other = problem.component(other);
                        rules.conflicts.insert((one.min(other), one.max(other)));
                    }
                }
                Constraint::Colocate(colocate) => {
                    rules
                        .together
                        .push(colocate.components.iter().map(|name| problem.component(name)).collect());
                }
                Constraint::Everywhere(everywhere) => {
                    let unless = everywhere.unless.iter().map(|name| problem.component(name)).collect();
                    rules.everywhere.push((problem.component(&everywhere.component), unless));
                }
                Constraint::Count(_)
                | Constraint::Serves(_)
                | Constraint::Linear(_)
                | Constraint::OneOf(_)
                | Constraint::Spread(_)
                | Constraint::Survive(_)
                | Constraint::Distinct(_)
                | Constraint::Limit(_) => {}
            }
        }
        rules
    }

    fn conflict(&self, one: CompId, other: CompId) -> bool {
        self.conflicts.contains(&(one.min(other), one.max(other)))
    }

    /// Whether a machine may carry just this.
    fn is_complete(&self, members: &[(CompId, u32)]) -> bool {
        let count =
            |component: &CompId| members.iter().find(|(c, _)| c == component).map_or(0, |(_, count)| *count);
        let is_together =
            |group: &Vec<CompId>| group.windows(2).all(|pair| count(&pair[0]) == count(&pair[1]));
        let is_there = |(component, unless): &(CompId, Vec<CompId>)| {
            count(component) > 0 || unless.iter().any(|other| count(other) > 0)
        };
        self.together.iter().all(is_together) && self.everywhere.iter().all(is_there)
    }
}
