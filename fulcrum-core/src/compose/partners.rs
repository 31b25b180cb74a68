//! Partners: which lease is attached to which, forwards to which, is in which network, is a node of which cluster.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;

use crate::model::{
    Blueprint, ComponentId, Lease, ProviderId, RegionId, Relation, RunningService, ServiceId, ZoneId,
};

/// A region of a provider.
type Region = (ProviderId, RegionId);

/// The leases of each component, by region.
type ByRegion = FxHashMap<ComponentId, BTreeMap<Region, Vec<usize>>>;

fn region(lease: &Lease) -> Region {
    (lease.place.provider.clone(), lease.place.region.clone())
}

/// Notes for each lease the leases with which it is made. The leases are those of a plan that keeps together what must stand together.
/// Time: O(leases × log leases), and what is noted.
pub(super) fn assign(blueprint: &Blueprint, leases: &mut [Lease]) {
    if blueprint.components.values().all(|component| component.relations().next().is_none()) {
        return;
    }
    let mut by_region = ByRegion::default();
    for (at, lease) in leases.iter().enumerate() {
        for name in lease.replicas.keys() {
            by_region.entry(name.clone()).or_default().entry(region(lease)).or_default().push(at);
        }
    }
    for (name, component) in &blueprint.components {
        for (relation, other) in component.relations() {
            let (Some(these), Some(those)) = (by_region.get(name), by_region.get(other)) else { continue };
            let partners: Vec<(usize, Vec<usize>)> = match relation {
                Relation::Attach => attach(blueprint, leases, these, (other, those)),
                Relation::Targets | Relation::Network | Relation::NodesOf => {
                    // One network or cluster of the region is enough to be in it.
                    let most = if relation == Relation::Targets { usize::MAX } else { 1 };
                    let near = |region| those.get(region).into_iter().flatten().take(most).copied().collect();
                    let all = these.iter();
                    all.flat_map(|(region, at)| at.iter().map(move |at| (*at, near(region)))).collect()
                }
            };
            for (at, with) in partners {
                let with = with.into_iter().filter_map(|at| u32::try_from(at).ok()).collect();
                leases[at].partners.insert(relation.word().to_owned(), with);
            }
        }
    }
}

/// Room for parts at the wholes of one region: positions by zone.
#[derive(Default)]
struct Room {
    left: FxHashMap<usize, u32>,
    by_zone: BTreeMap<Option<ZoneId>, BTreeSet<usize>>,
}

impl Room {
    /// The first position with room, in a zone or anywhere.
    fn first(&self, zone: Option<&ZoneId>) -> Option<usize> {
        match zone {
            Some(zone) => self.by_zone.get(&Some(zone.clone()))?.first().copied(),
            None => self.by_zone.values().filter_map(|positions| positions.first().copied()).min(),
        }
    }

    /// Takes one place at a position; whether there was one.
    fn take(&mut self, at: usize, zone: Option<&ZoneId>) -> bool {
        let Some(left) = self.left.get_mut(&at).filter(|left| **left > 0) else { return false };
        *left -= 1;
        if *left == 0
            && let Some(positions) = self.by_zone.get_mut(&zone.cloned())
        {
            positions.remove(&at);
        }
        true
    }
}

/// Each part with its whole. What is attached already stays so; then what is sold for one zone chooses, as it has less choice.
fn attach(
    blueprint: &Blueprint,
    leases: &[Lease],
    parts: &BTreeMap<Region, Vec<usize>>,
    (whole, wholes): (&ComponentId, &BTreeMap<Region, Vec<usize>>),
) -> Vec<(usize, Vec<usize>)> {
    let running: FxHashMap<&ServiceId, &RunningService> =
        blueprint.running.services.iter().map(|service| (&service.id, service)).collect();
    let attached_to = |at: usize| running.get(leases[at].keeps.as_ref()?)?.attach.as_ref();
    let zone = |at: usize| leases[at].place.zone.as_ref();
    let mut attached = Vec::new();
    for (region, parts) in parts {
        let (mut room, mut kept) = (Room::default(), FxHashMap::default());
        for at in wholes.get(region).into_iter().flatten().copied() {
            room.left.insert(at, leases[at].replicas.get(whole).copied().unwrap_or(0));
            room.by_zone.entry(zone(at).cloned()).or_default().insert(at);
            kept.extend(leases[at].keeps.as_ref().map(|id| (id, at)));
        }
        let mut parts = parts.clone();
        parts.sort_by_key(|at| (leases[*at].keeps.is_none(), zone(*at).is_none(), *at));
        for at in parts {
            let own = zone(at);
            // What is kept stays where it is.
            let to = match &leases[at].keeps {
                Some(_) => attached_to(at).and_then(|id| kept.get(id)).copied(),
                None => room.first(own),
            };
            let to = to.filter(|to| room.take(*to, zone(*to)));
            attached.extend(to.map(|to| (at, vec![to])));
        }
    }
    attached
}
