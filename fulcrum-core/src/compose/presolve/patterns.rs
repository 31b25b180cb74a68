//! Every set of replicas that may share a machine and fits some offer.

use super::{
    columns::{Column, keep_cheapest},
    dominance,
    pattern_rules::Rules,
};
use crate::{
    compose::{
        error::ComposeError,
        formulation::{
            ids::CompId,
            problem::{Candidate, Problem},
        },
        id_vec::Id,
        interrupt::Looks,
    },
    model::OfferKind,
};

/// Patterns beyond which columns are made on demand, and steps that counting them may take.
const MAX_PATTERNS: usize = 20_000;
const MAX_STEPS: usize = 2_000_000;

/// A set of replicas under construction.
struct Growing {
    /// Sorted; the next component added is the last or a later one.
    members: Vec<(CompId, u32)>,
    demand: Vec<u64>,
    disk_gib: u64,
    /// Positions in `problem.candidates` of the offers that hold it.
    holders: Vec<usize>,
}

/// Adds the columns of all patterns and returns how many patterns there are; `None` if they are too many.
///
/// Level by level, so that small patterns come first: a pattern of `k` replicas grows from one of `k - 1`, and
/// what no offer holds does not grow further. Time: O(patterns × components × holders).
pub(crate) fn enumerate(
    problem: &Problem<'_>,
    columns: &mut Vec<Column>,
    looks: &mut Looks<'_>,
) -> Result<Option<usize>, ComposeError> {
    let rules = Rules::new(problem);
    let machines: Vec<CompId> =
        problem.components.ids().filter(|&c| problem.components[c].kind == OfferKind::Machine).collect();
    let empty = Growing {
        members: Vec::new(),
        demand: vec![0; problem.dimensions.len()],
        disk_gib: 0,
        holders: dominance::undominated(problem, looks)?,
    };
    let (mut level, mut found) = (vec![empty], Vec::new());
    let (mut patterns, mut steps) = (0, 0);
    while !level.is_empty() {
        let mut next = Vec::new();
        for growing in &level {
            let from = growing.members.last().map_or(CompId::from_index(0), |(component, _)| *component);
            for &component in machines.iter().filter(|component| **component >= from) {
                steps += growing.holders.len();
                if steps > MAX_STEPS {
                    return Ok(None);
                }
                looks.after(1 + growing.holders.len() / 16)?;
                let Some(grown) = grow(problem, &rules, growing, component) else { continue };
                if patterns == MAX_PATTERNS {
                    return Ok(None);
                }
                patterns += 1;
                next.push(grown);
            }
        }
        found.append(&mut level);
        level = next;
    }
    for pattern in found.iter().filter(|pattern| rules.is_complete(&pattern.members)) {
        looks.after(1 + pattern.holders.len())?;
        emit(problem, pattern, columns);
    }
    Ok(Some(patterns))
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
            let (cost, size_gib) = problem.machine_cost(candidate, pattern.disk_gib)?;
            Column::new(problem, candidate, pattern.members.clone(), cost, size_gib)
        })
        .collect();
    keep_cheapest(problem, options, columns);
}
