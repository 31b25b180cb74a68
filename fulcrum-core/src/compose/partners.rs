//! Partners: which lease is attached to which, forwards to which, is in which network, is a node of which cluster.

use std::collections::BTreeMap;

use crate::model::{Blueprint, ComponentId, Lease, RegionId, Relation, RunningService};

/// Notes for each lease the leases with which it is made. The leases are those of a plan that keeps together what must stand together.
pub(super) fn assign(blueprint: &Blueprint, leases: &mut [Lease]) {
    for (name, component) in &blueprint.components {
        for (relation, other) in component.relations() {
            let partners: Vec<(usize, Vec<usize>)> = match relation {
                Relation::Attach => attach(blueprint, leases, name, other),
                Relation::Targets => {
                    holders(leases, name).map(|at| (at, beside(leases, at, other))).collect()
                }
                // One of each region is enough to be in it.
                Relation::Network | Relation::NodesOf => holders(leases, name)
                    .map(|at| (at, beside(leases, at, other).into_iter().take(1).collect()))
                    .collect(),
            };
            for (at, with) in partners {
                let with = with.into_iter().filter_map(|at| u32::try_from(at).ok()).collect();
                leases[at].partners.insert(relation.word().to_owned(), with);
            }
        }
    }
}

fn holders<'l>(leases: &'l [Lease], name: &'l ComponentId) -> impl Iterator<Item = usize> + use<'l> {
    leases.iter().enumerate().filter(|(_, lease)| lease.replicas.contains_key(name)).map(|(at, _)| at)
}

fn region(lease: &Lease) -> (&str, &RegionId) {
    (lease.place.provider.as_str(), &lease.place.region)
}

/// The leases of a component in the region of a lease.
fn beside(leases: &[Lease], at: usize, name: &ComponentId) -> Vec<usize> {
    holders(leases, name).filter(|other| region(&leases[*other]) == region(&leases[at])).collect()
}

/// Each part with its whole. What is attached already stays so; then what is sold for one zone chooses, as it has less choice.
fn attach(
    blueprint: &Blueprint,
    leases: &[Lease],
    part: &ComponentId,
    whole: &ComponentId,
) -> Vec<(usize, Vec<usize>)> {
    let mut room: BTreeMap<usize, u32> =
        holders(leases, whole).map(|at| (at, leases[at].replicas.get(whole).copied().unwrap_or(0))).collect();
    let service = |at: usize| -> Option<&RunningService> {
        let id = leases[at].keeps.as_ref()?;
        blueprint.running.services.iter().find(|service| service.id == *id)
    };
    let is_attached = |one: usize, other: usize| {
        let to = service(one).and_then(|service| service.attach.as_ref());
        to.is_some() && to == leases[other].keeps.as_ref()
    };
    let mut parts: Vec<usize> = holders(leases, part).collect();
    parts.sort_by_key(|at| {
        let is_running = service(*at).is_some_and(|service| service.attach.is_some());
        (!is_running, leases[*at].place.zone.is_none(), *at)
    });
    let mut attached = Vec::new();
    for at in parts {
        let zone = leases[at].place.zone.as_ref();
        let is_near = |other: &usize| {
            region(&leases[*other]) == region(&leases[at])
                && zone.is_none_or(|zone| leases[*other].place.zone.as_ref() == Some(zone))
        };
        let free = || room.iter().filter(|(_, room)| **room > 0).map(|(other, _)| *other).filter(is_near);
        let Some(to) = free().find(|other| is_attached(at, *other)).or_else(|| free().next()) else {
            continue;
        };
        room.entry(to).and_modify(|room| *room -= 1);
        attached.push((at, vec![to]));
    }
    attached
}
