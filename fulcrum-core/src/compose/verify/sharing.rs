//! Machines that several components share: the blueprint permits each pair.

use std::collections::{BTreeMap, BTreeSet};

use super::{Check, Violation, violation};
use crate::model::{ComponentId, Constraint, Share};

/// The components that are always together. One name of each group stands for it.
#[derive(Default)]
struct Groups<'a> {
    /// A name of the same group that comes earlier in the alphabet; none for the first.
    before: BTreeMap<&'a ComponentId, &'a ComponentId>,
}

impl<'a> Groups<'a> {
    fn first(&self, mut name: &'a ComponentId) -> &'a ComponentId {
        while let Some(before) = self.before.get(name) {
            name = before;
        }
        name
    }
}

impl Check<'_> {
    /// No machine has two components that nothing permits to share one. Time: O(constraints × pairs on machines).
    pub(super) fn sharing(&self) -> Result<(), Violation> {
        let groups = self.groups();
        // Each pair of groups on a machine, with the place where it is seen.
        let mut open: BTreeMap<(&ComponentId, &ComponentId), (usize, &ComponentId, &ComponentId)> =
            BTreeMap::new();
        for (at, lease) in self.plan.leases.iter().enumerate() {
            let names: Vec<&ComponentId> = lease.replicas.keys().collect();
            for (before, one) in names.iter().enumerate() {
                for other in &names[..before] {
                    let (a, b) = (groups.first(one), groups.first(other));
                    if a != b {
                        open.entry((a.min(b), a.max(b))).or_insert((at, other, one));
                    }
                }
            }
        }
        let mut members: BTreeMap<&ComponentId, Vec<&ComponentId>> = BTreeMap::new();
        for name in groups.before.keys() {
            members.entry(groups.first(name)).or_default().push(name);
        }
        for constraint in &self.blueprint.constraints {
            match constraint {
                Constraint::Share(Share::All) => return Ok(()),
                Constraint::Share(Share::Among(names)) => {
                    let permitted: BTreeSet<_> = names.iter().map(|name| groups.first(name)).collect();
                    open.retain(|(a, b), _| !(permitted.contains(a) && permitted.contains(b)));
                }
                Constraint::FullDeployment(everywhere) => {
                    let agent = groups.first(&everywhere.component);
                    let unless: BTreeSet<_> = everywhere.unless.iter().collect();
                    let admits = |group: &ComponentId| {
                        let others = members.get(group).into_iter().flatten();
                        !unless.contains(group) || others.into_iter().any(|name| !unless.contains(name))
                    };
                    open.retain(|(a, b), _| !(*a == agent && admits(b) || *b == agent && admits(a)));
                }
                _ => {}
            }
        }
        for service in &self.blueprint.running.services {
            let permitted: BTreeSet<_> = service.replicas.keys().map(|name| groups.first(name)).collect();
            open.retain(|(a, b), _| !(permitted.contains(a) && permitted.contains(b)));
        }
        match open.into_values().min() {
            None => Ok(()),
            Some((at, one, other)) => violation(
                format!("leases[{at}]"),
                format!("has {one} and {other}, which no `share` permits to stand on one machine"),
            ),
        }
    }

    /// The groups that `colocate` makes, also through a component that two of them name.
    fn groups(&self) -> Groups<'_> {
        let mut groups = Groups::default();
        for constraint in &self.blueprint.constraints {
            let Constraint::Affinity(affinity) = constraint else { continue };
            let roots: BTreeSet<_> = affinity.components.iter().map(|name| groups.first(name)).collect();
            let mut roots = roots.into_iter();
            let first = roots.next();
            for (root, first) in roots.filter_map(|root| Some((root, first?))) {
                groups.before.insert(root, first);
            }
        }
        groups
    }
}
