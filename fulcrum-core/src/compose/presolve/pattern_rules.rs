//! Which replicas may share a machine.

use std::collections::BTreeSet;

use crate::{
    compose::{
        formulation::{ids::CompId, problem::Problem},
        id_vec::Id,
    },
    model::{Constraint, Ways, apart},
};

/// What may share a machine.
#[derive(Debug)]
pub(crate) struct Rules {
    conflicts: BTreeSet<(CompId, CompId)>,
    /// Together in equal numbers, or not at all.
    pub(crate) together: Vec<Vec<CompId>>,
    /// The first is there, or one of the others.
    pub(crate) everywhere: Vec<(CompId, Vec<CompId>)>,
}

impl Rules {
    pub(crate) fn new(problem: &Problem<'_>) -> Self {
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
        // A machine is made in one way.
        let components = &problem.blueprint.components;
        let ways = Ways::of(problem.blueprint);
        for (at, (one, _)) in components.iter().enumerate().filter(|(_, (_, one))| !one.settings.is_empty()) {
            for (before, other) in components.keys().enumerate().take(at) {
                if ways.clash(one, other).is_some() {
                    rules.conflicts.insert((Id::from_index(before), Id::from_index(at)));
                }
            }
        }
        for (one, other) in apart(problem.blueprint, &problem.ranks) {
            let (one, other) = (problem.component(one), problem.component(other));
            rules.conflicts.insert((one.min(other), one.max(other)));
        }
        rules
    }

    pub(crate) fn conflict(&self, one: CompId, other: CompId) -> bool {
        self.conflicts.contains(&(one.min(other), one.max(other)))
    }

    /// Whether a machine may carry just this.
    pub(crate) fn is_complete(&self, members: &[(CompId, u32)]) -> bool {
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
