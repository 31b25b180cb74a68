//! Relations: what is attached to, serves, or is part of another component stands with it, and each lease says with which.

use std::collections::{BTreeMap, BTreeSet};

use super::{Check, Violation};
use crate::model::{ComponentId, FailureDomain, Lease, OfferKind, Relation};

impl Check<'_> {
    pub(super) fn relations(&self) -> Result<(), Violation> {
        for (name, component) in &self.blueprint.components {
            for (relation, other) in component.relations() {
                let place = format!("components.{name}.{relation}");
                self.relation(relation, name, other).map_err(|message| Violation { place, message })?;
            }
        }
        for at in 0..self.plan.leases.len() {
            self.partners(at)
                .map_err(|message| Violation { place: format!("leases[{at}].partners"), message })?;
        }
        Ok(())
    }

    fn relation(&self, relation: Relation, name: &ComponentId, other: &ComponentId) -> Result<(), String> {
        let regions = |name: &ComponentId| self.places(name, FailureDomain::Region);
        match relation {
            Relation::Attach => {
                let (parts, wholes) = (regions(name), regions(other));
                if parts != wholes {
                    return Err(format!("by region there are {parts:?}, and of {other} {wholes:?}"));
                }
                let wholes = self.places(other, FailureDomain::Zone);
                for (zone, count) in self.in_zones(name) {
                    let most = wholes.get(&zone).copied().unwrap_or(0);
                    if count > most {
                        return Err(format!("{zone} has {count}, and {most} of {other}"));
                    }
                }
                Ok(())
            }
            Relation::Targets => {
                let (here, there) = (regions(name), regions(other));
                same_keys(name, &here, other, &there)
            }
            Relation::Network | Relation::NodesOf => {
                let hubs = regions(other);
                if let Some((region, count)) = hubs.iter().find(|(_, count)| **count > 1) {
                    return Err(format!("{region} has {count} of {other}"));
                }
                let mut members = BTreeMap::new();
                for (member, component) in &self.blueprint.components {
                    if component.related(relation) == Some(other) {
                        members.extend(regions(member));
                    }
                }
                same_keys(name, &members, other, &hubs)
            }
        }
    }

    /// Replicas of a component in zones, without those that are sold for a region as a whole.
    fn in_zones(&self, name: &ComponentId) -> BTreeMap<String, i128> {
        let mut zones = BTreeMap::new();
        for (lease, ix) in self.plan.leases.iter().zip(&self.offers) {
            if let Some(count) = lease.replicas.get(name).filter(|_| lease.place.zone.is_some()) {
                *zones.entry(self.catalogue.place_key(*ix, FailureDomain::Zone)).or_default() +=
                    i128::from(*count);
            }
        }
        zones
    }

    /// The lease names the leases with which it is made: those that its components' relations ask for, and no others.
    fn partners(&self, at: usize) -> Result<(), String> {
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
            let count = match Relation::of_word(word) {
                Some(Relation::Targets) => self.plan.leases.iter().filter(is_beside).count(),
                _ => 1,
            };
            if found.len() != count {
                return Err(format!("{word} names {}, and {count} are there to be named", found.len()));
            }
            if word == Relation::Attach.word() {
                self.attached(lease, found[0], positions[0])?;
            }
        }
        Ok(())
    }

    /// What is attached is in the zone of its machine, and each replica of the machine has one.
    fn attached(&self, lease: &Lease, to: &Lease, position: u32) -> Result<(), String> {
        let zone = &lease.place.zone;
        if zone.is_some() && *zone != to.place.zone {
            return Err(format!("{} is attached in another zone", lease.offer));
        }
        let names = lease
            .replicas
            .keys()
            .filter_map(|name| Some((name, self.blueprint.components[name].attach.as_ref()?)));
        for (name, other) in names {
            let rivals = self.plan.leases.iter().filter(|one| {
                one.replicas.contains_key(name)
                    && one.partners.get(Relation::Attach.word()).is_some_and(|it| it.contains(&position))
            });
            let room = to.replicas.get(other).copied().unwrap_or(0);
            if rivals.count() > room as usize {
                return Err(format!("more than {room} of {name} are attached to one {}", OfferKind::Machine));
            }
        }
        Ok(())
    }
}

fn same_keys(
    one: &ComponentId,
    ones: &BTreeMap<String, i128>,
    other: &ComponentId,
    others: &BTreeMap<String, i128>,
) -> Result<(), String> {
    let lacks = |here: &BTreeMap<String, i128>, there: &BTreeMap<String, i128>| {
        here.keys().find(|place| !there.contains_key(*place)).cloned()
    };
    match (lacks(ones, others), lacks(others, ones)) {
        (Some(place), _) => Err(format!("{place} has {one}, and no {other}")),
        (None, Some(place)) => Err(format!("{place} has {other}, and no {one}")),
        (None, None) => Ok(()),
    }
}
