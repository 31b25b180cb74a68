//! Patterns: the multisets of replicas that may share a machine and fit some offer.

use super::{
    columns::{Column, push_nondominated},
    dominance,
    pattern_rules::PatternRules,
};
use crate::{
    compose::{
        error::ComposeError,
        formulation::{
            ids::ComponentIx,
            problem::{Candidate, Problem},
        },
        id_vec::Id,
        interrupt::InterruptCheck,
    },
    model::OfferKind,
};

/// Checks of a holder that the enumeration may take, and more for each pattern.
const MIN_HOLDER_CHECKS: usize = 200_000;
const HOLDER_CHECKS_PER_PATTERN: usize = 100;

/// A pattern that may still grow.
struct PartialPattern {
    /// Sorted; the next component is the last one again, or a later one.
    members: Vec<(ComponentIx, u32)>,
    demand: Vec<u64>,
    disk_gib: u64,
    /// Positions in `problem.candidates` of the offers that can hold the pattern.
    holders: Vec<usize>,
}

/// Adds the columns of all patterns and returns the number of patterns; `None` if they are too many.
///
/// Patterns grow replica by replica: a pattern of `k` replicas extends one of `k - 1`. A pattern that no offer holds
/// does not grow further. Time: O(patterns × components × holders).
pub(crate) fn enumerate(
    problem: &Problem<'_>,
    max_patterns: usize,
    columns: &mut Vec<Column>,
    interrupt: &mut InterruptCheck<'_>,
) -> Result<Option<usize>, ComposeError> {
    let rules = PatternRules::new(problem);
    let machines: Vec<ComponentIx> =
        problem.components.ids().filter(|&c| problem.components[c].kind == OfferKind::Machine).collect();
    let empty = PartialPattern {
        members: Vec::new(),
        demand: vec![0; problem.dimensions.len()],
        disk_gib: 0,
        holders: dominance::undominated(problem, interrupt)?,
    };
    let (mut level, mut found) = (vec![empty], Vec::new());
    let (mut patterns, mut steps) = (0, 0);
    while !level.is_empty() {
        let mut next = Vec::new();
        for pattern in &level {
            let from = pattern.members.last().map_or(ComponentIx::from_index(0), |(component, _)| *component);
            for &component in machines.iter().filter(|component| **component >= from) {
                steps += pattern.holders.len();
                if steps > MIN_HOLDER_CHECKS + max_patterns * HOLDER_CHECKS_PER_PATTERN {
                    return Ok(None);
                }
                interrupt.charge(1 + pattern.holders.len() / 16)?;
                let Some(grown) = grow(problem, &rules, pattern, component) else { continue };
                if patterns == max_patterns {
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
        interrupt.charge(1 + pattern.holders.len())?;
        push_columns(problem, pattern, columns);
    }
    Ok(Some(patterns))
}

fn grow(
    problem: &Problem<'_>,
    rules: &PatternRules,
    pattern: &PartialPattern,
    component: ComponentIx,
) -> Option<PartialPattern> {
    let spec = &problem.components[component];
    let mut members = pattern.members.clone();
    match members.last_mut() {
        Some((last, count)) if *last == component => {
            *count += 1;
            if *count > spec.per_machine.min(spec.max) {
                return None;
            }
        }
        _ => {
            if members.iter().any(|(other, _)| rules.are_anti_affine(*other, component)) {
                return None;
            }
            members.push((component, 1));
        }
    }
    let demand: Vec<u64> =
        pattern.demand.iter().zip(&spec.demand).map(|(sum, own)| sum.saturating_add(*own)).collect();
    let disk_gib = pattern.disk_gib.saturating_add(spec.disk_gib);
    let holders: Vec<usize> = pattern
        .holders
        .iter()
        .copied()
        .filter(|&at| {
            let candidate = &problem.candidates[at];
            problem.may_carry(candidate, component) && holds(problem, candidate, &demand, disk_gib)
        })
        .collect();
    (!holders.is_empty()).then_some(PartialPattern { members, demand, disk_gib, holders })
}

fn holds(problem: &Problem<'_>, candidate: &Candidate, demand: &[u64], disk_gib: u64) -> bool {
    problem.size(candidate).iter().zip(demand).all(|(capacity, demand)| capacity >= demand)
        && (problem.disk_gib(candidate) >= disk_gib
            || problem.catalogue.elastic_disk(candidate.offer).is_some())
}

fn push_columns(problem: &Problem<'_>, pattern: &PartialPattern, columns: &mut Vec<Column>) {
    let options = pattern
        .holders
        .iter()
        .filter_map(|&at| {
            let candidate = &problem.candidates[at];
            let (cost, size_gib) = problem.machine_cost(candidate, pattern.disk_gib)?;
            Column::new(problem, candidate, pattern.members.clone(), cost, size_gib)
        })
        .collect();
    push_nondominated(problem, options, columns);
}
