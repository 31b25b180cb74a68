//! Pattern rules: which replicas may share a machine.

use std::collections::BTreeSet;

use crate::{
    compose::{
        formulation::{ids::ComponentIx, problem::Problem},
        id_vec::Id,
    },
    model::{Component, Constraint, SettingIndex, Sharing, anti_affine_pairs},
};

/// Affinity and anti-affinity of components on one machine.
#[derive(Debug)]
pub(crate) struct PatternRules {
    anti_affine: BTreeSet<(ComponentIx, ComponentIx)>,
    /// Components of a group share machines in equal numbers.
    pub(crate) affinity_groups: Vec<Vec<ComponentIx>>,
    /// The first component is on every machine, or one of the others is.
    pub(crate) full_deployments: Vec<(ComponentIx, Vec<ComponentIx>)>,
}

impl PatternRules {
    pub(crate) fn new(problem: &Problem<'_>) -> Self {
        let mut rules =
            Self { anti_affine: BTreeSet::new(), affinity_groups: Vec::new(), full_deployments: Vec::new() };
        for constraint in &problem.blueprint.constraints {
            match constraint {
                Constraint::AntiAffinity(conflict) => {
                    let one = problem.component(&conflict.component);
                    for other in &conflict.with {
                        let other = problem.component(other);
                        rules.anti_affine.insert((one.min(other), one.max(other)));
                    }
                }
                Constraint::Affinity(colocate) => {
                    rules
                        .affinity_groups
                        .push(colocate.components.iter().map(|name| problem.component(name)).collect());
                }
                Constraint::FullDeployment(everywhere) => {
                    let unless = everywhere.unless.iter().map(|name| problem.component(name)).collect();
                    rules.full_deployments.push((problem.component(&everywhere.component), unless));
                }
                Constraint::Count(_)
                | Constraint::Ratio(_)
                | Constraint::Linear(_)
                | Constraint::OneOf(_)
                | Constraint::Share(_)
                | Constraint::Spread(_)
                | Constraint::FaultTolerance(_)
                | Constraint::MaxDistinct(_)
                | Constraint::Limit(_) => {}
            }
        }
        let sharing = Sharing::of(problem.blueprint);
        if sharing.is_restricted() {
            let machines: Vec<_> = problem.blueprint.machines().collect();
            for (at, one) in machines.iter().enumerate() {
                for other in machines[..at].iter().filter(|other| !sharing.is_permitted(one, other)) {
                    let (one, other) = (problem.component(one), problem.component(other));
                    rules.anti_affine.insert((one.min(other), one.max(other)));
                }
            }
        }
        // A machine is set up in one way: components with different settings are anti-affine.
        let components = &problem.blueprint.components;
        let index = SettingIndex::of(problem.blueprint);
        let is_set_up = |one: &Component| !one.settings.is_empty() || one.relations().next().is_some();
        for (at, (one, _)) in components.iter().enumerate().filter(|(_, (_, one))| is_set_up(one)) {
            for (before, other) in components.keys().enumerate().take(at) {
                if index.setting_conflict(one, other).is_some() {
                    rules.anti_affine.insert((Id::from_index(before), Id::from_index(at)));
                }
            }
        }
        for (one, other) in anti_affine_pairs(problem.blueprint, &problem.ranks) {
            let (one, other) = (problem.component(one), problem.component(other));
            rules.anti_affine.insert((one.min(other), one.max(other)));
        }
        rules
    }

    pub(crate) fn are_anti_affine(&self, one: ComponentIx, other: ComponentIx) -> bool {
        self.anti_affine.contains(&(one.min(other), one.max(other)))
    }

    /// Whether a machine may carry exactly these replicas.
    pub(crate) fn is_complete(&self, members: &[(ComponentIx, u32)]) -> bool {
        let count = |component: &ComponentIx| {
            members.iter().find(|(c, _)| c == component).map_or(0, |(_, count)| *count)
        };
        let is_together =
            |group: &Vec<ComponentIx>| group.windows(2).all(|pair| count(&pair[0]) == count(&pair[1]));
        let is_there = |(component, unless): &(ComponentIx, Vec<ComponentIx>)| {
            count(component) > 0 || unless.iter().any(|other| count(other) > 0)
        };
        self.affinity_groups.iter().all(is_together) && self.full_deployments.iter().all(is_there)
    }
}
