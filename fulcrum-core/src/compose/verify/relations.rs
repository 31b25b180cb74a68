//! Relations: what is attached to, serves, or is part of another component stands with it, and each lease says with which.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;

use super::{Check, Violation};
use crate::model::{ComponentId, Lease, Relation, RunningService, ServiceId};

/// Where replicas of one component are.
#[derive(Debug, Default)]
struct Presence {
    /// Leases by region, and the replicas on them.
    regions: BTreeMap<String, (u32, i128)>,
    /// Replicas by zone, without those that are sold for a region as a whole.
    zones: BTreeMap<String, i128>,
}

/// One pass over the plan, so that the checks do not grow with its square.
struct Census<'p> {
    presence: FxHashMap<&'p ComponentId, Presence>,
    /// How many of a component are attached to a lease.
    attached: FxHashMap<(&'p ComponentId, u32), u32>,
}

fn region(lease: &Lease) -> String {
    format!("{}/{}", lease.place.provider, lease.place.region)
}

impl<'p> Census<'p> {
    fn new(leases: &'p [Lease]) -> Self {
        let mut census = Self { presence: FxHashMap::default(), attached: FxHashMap::default() };
        for lease in leases {
            for (name, count) in &lease.replicas {
                let presence = census.presence.entry(name).or_default();
                let here = presence.regions.entry(region(lease)).or_default();
                *here = (here.0.saturating_add(1), here.1.saturating_add((*count).into()));
                if lease.place.zone.is_some() {
                    let here = presence.zones.entry(lease.place.to_string()).or_default();
                    *here = here.saturating_add((*count).into());
                }
                for at in lease.partners.get(Relation::Attach.word()).into_iter().flatten() {
                    let here = census.attached.entry((name, *at)).or_default();
                    *here = here.saturating_add(1);
                }
            }
        }
        census
    }

    fn replicas(&self, name: &ComponentId) -> BTreeMap<&str, i128> {
        let regions = self.presence.get(name).into_iter().flat_map(|presence| &presence.regions);
        regions.map(|(region, (_, replicas))| (region.as_str(), *replicas)).collect()
    }

    fn zones(&self, name: &ComponentId) -> impl Iterator<Item = (&str, i128)> {
        let zones = self.presence.get(name).into_iter().flat_map(|presence| &presence.zones);
        zones.map(|(zone, count)| (zone.as_str(), *count))
    }
}

impl Check<'_> {
    pub(super) fn relations(&self) -> Result<(), Violation> {
        let components = &self.blueprint.components;
        let is_plain = components.values().all(|component| component.relations().next().is_none());
        if is_plain && self.plan.leases.iter().all(|lease| lease.partners.is_empty()) {
            return Ok(());
        }
        let census = Census::new(&self.plan.leases);
        let mut members: BTreeMap<(Relation, &ComponentId), Vec<&ComponentId>> = BTreeMap::new();
        for (name, component) in components {
            for (relation, other) in component.relations() {
                let checked = match relation {
                    Relation::Attach => attach(&census, name, other),
                    Relation::Targets => {
                        same_regions((name, &census.replicas(name)), (other, &census.replicas(other)))
                    }
                    Relation::Network | Relation::NodesOf => {
                        members.entry((relation, other)).or_default().push(name);
                        Ok(())
                    }
                };
                let place = || format!("components.{name}.{relation}");
                checked.map_err(|message| Violation { place: place(), message })?;
            }
        }
        for ((relation, hub), names) in members {
            let all: BTreeMap<_, _> = names.iter().flat_map(|name| census.replicas(name)).collect();
            let hubs = census.replicas(hub);
            let several = hubs.iter().find(|(_, count)| **count > 1);
            let checked = match several {
                Some((region, count)) => Err(format!("{region} has {count} of {hub}")),
                None => same_regions((names[0], &all), (hub, &hubs)),
            };
            checked.map_err(|message| Violation {
                place: format!("components.{}.{relation}", names[0]),
                message,
            })?;
        }
        let running: FxHashMap<&ServiceId, &RunningService> =
            self.blueprint.running.services.iter().map(|service| (&service.id, service)).collect();
        let related = self.blueprint.related();
        for (at, lease) in self.plan.leases.iter().enumerate() {
            if let Some(service) = lease.keeps.as_ref().and_then(|id| running.get(id)) {
                self.stays_as_it_was(lease, service, &related)
                    .map_err(|message| Violation { place: format!("leases[{at}]"), message })?;
            }
        }
        for at in 0..self.plan.leases.len() {
            self.partners(at, &census)
                .map_err(|message| Violation { place: format!("leases[{at}].partners"), message })?;
        }
        Ok(())
    }

    /// Nothing is made anew for what is kept: what belongs together is where it was, and attached to what it was.
    fn stays_as_it_was(
        &self,
        lease: &Lease,
        service: &RunningService,
        related: &BTreeSet<&ComponentId>,
    ) -> Result<(), String> {
        let is_new = |name: &&ComponentId| related.contains(name) && !service.replicas.contains_key(*name);
        if let Some(name) = lease.replicas.keys().find(is_new) {
            return Err(format!("{} is kept, and {name} was not on it", service.id));
        }
        for at in lease.partners.get(Relation::Attach.word()).into_iter().flatten() {
            let to = usize::try_from(*at).ok().and_then(|at| self.plan.leases.get(at)?.keeps.as_ref());
            if to.is_none() || to != service.attach.as_ref() {
                return Err(format!("{} is kept, and attached to something else", service.id));
            }
        }
        Ok(())
    }

    /// The lease names the leases with which it is made: those that its components' relations ask for, and no others.
    fn partners(&self, at: usize, census: &Census<'_>) -> Result<(), String> {
        let lease = &self.plan.leases[at];
        let mut wanted: BTreeMap<&str, &ComponentId> = BTreeMap::new();
        for name in lease.replicas.keys() {
            let relations = self.blueprint.components[name].relations();
            wanted.extend(relations.map(|(relation, other)| (relation.word(), other)));
        }
        if !lease.partners.keys().map(String::as_str).eq(wanted.keys().copied()) {
            return Err("they are not those of its components".to_owned());
        }
        for (word, positions) in &lease.partners {
            let other = wanted[word.as_str()];
            let found: Option<Vec<&Lease>> =
                positions.iter().map(|at| self.plan.leases.get(usize::try_from(*at).ok()?)).collect();
            let found = found.ok_or_else(|| format!("{word} names a lease that is not there"))?;
            let is_beside = |one: &&Lease| {
                let places = [&one.place, &lease.place].map(|place| (&place.provider, &place.region));
                places[0] == places[1] && one.replicas.contains_key(other)
            };
            let is_distinct = positions.iter().collect::<BTreeSet<_>>().len() == positions.len();
            if !is_distinct || !found.iter().all(is_beside) {
                return Err(format!("{word} names a lease that is no {other} of its region"));
            }
            let beside = || census.presence.get(other)?.regions.get(&region(lease));
            let count = match Relation::of_word(word) {
                Some(Relation::Targets) => beside().map_or(0, |(leases, _)| *leases as usize),
                _ => 1,
            };
            if found.len() != count {
                return Err(format!("{word} names {}, and {count} are there to be named", found.len()));
            }
            if word == Relation::Attach.word() {
                self.attached(lease, (found[0], positions[0]), census)?;
            }
        }
        Ok(())
    }

    /// What is attached is in the zone of its machine, and each replica of the machine has one.
    fn attached(
        &self,
        lease: &Lease,
        (to, position): (&Lease, u32),
        census: &Census<'_>,
    ) -> Result<(), String> {
        let zone = &lease.place.zone;
        if zone.is_some() && *zone != to.place.zone {
            return Err(format!("{} is attached in another zone", lease.offer));
        }
        for name in lease.replicas.keys() {
            let Some(other) = &self.blueprint.components[name].attach else { continue };
            let room = to.replicas.get(other).copied().unwrap_or(0);
            if census.attached.get(&(name, position)).is_some_and(|count| *count > room) {
                return Err(format!("more than {room} of {name} are attached to one of {other}"));
            }
        }
        Ok(())
    }
}

/// For each replica of the whole one of the part: in its region, and in its zone if the part is sold for one.
fn attach(census: &Census<'_>, part: &ComponentId, whole: &ComponentId) -> Result<(), String> {
    let (parts, wholes) = (census.replicas(part), census.replicas(whole));
    let regions: BTreeSet<&str> = parts.keys().chain(wholes.keys()).copied().collect();
    let count = |of: &BTreeMap<&str, i128>, region: &str| of.get(region).copied().unwrap_or(0);
    for region in regions {
        let (parts, wholes) = (count(&parts, region), count(&wholes, region));
        if parts != wholes {
            return Err(format!("{region} has {parts}, and {wholes} of {whole}"));
        }
    }
    let wholes: BTreeMap<&str, i128> = census.zones(whole).collect();
    match census.zones(part).find(|(zone, parts)| *parts > count(&wholes, zone)) {
        Some((zone, parts)) => Err(format!("{zone} has {parts}, and {} of {whole}", count(&wholes, zone))),
        None => Ok(()),
    }
}

fn same_regions(
    (one, ones): (&ComponentId, &BTreeMap<&str, i128>),
    (other, others): (&ComponentId, &BTreeMap<&str, i128>),
) -> Result<(), String> {
    let lacks = |here: &BTreeMap<&str, i128>, there: &BTreeMap<&str, i128>| {
        here.keys().find(|place| !there.contains_key(*place)).map(|place| (*place).to_owned())
    };
    match (lacks(ones, others), lacks(others, ones)) {
        (Some(place), _) => Err(format!("{place} has {one}, and no {other}")),
        (None, Some(place)) => Err(format!("{place} has {other}, and no {one}")),
        (None, None) => Ok(()),
    }
}
