//! Settings and order of leases.

use std::collections::{BTreeMap, BTreeSet};

use super::{Check, Violation, violation};
use crate::model::{Blueprint, ComponentId};

impl Check<'_> {
    /// A lease has the settings of its components, and waits for all that they wait for.
    pub(super) fn setup(&self) -> Result<(), Violation> {
        let mut known = BTreeMap::new();
        let all = self
            .blueprint
            .components
            .iter()
            .map(|(name, component)| (name, component.referenced_components()));
        let referring: Vec<_> = all.filter(|(_, referred)| !referred.is_empty()).collect();
        for (at, lease) in self.plan.leases.iter().enumerate() {
            let place = || format!("leases[{at}]");
            let (mut wanted, mut after, mut rank) = (BTreeMap::new(), BTreeSet::new(), 0);
            for name in lease.replicas.keys() {
                let component = &self.blueprint.components[name];
                let settings =
                    self.catalogue.settings_of_provider(component.lease_settings(), &lease.place.provider);
                for (setting, value) in settings.as_ref() {
                    let before = wanted.insert(setting.clone(), value.clone());
                    if before.is_some_and(|before| before != *value) {
                        return violation(place(), format!("its components want another `{setting}` each"));
                    }
                }
                after.extend(component.predecessors().cloned());
                rank = rank.max(longest(self.blueprint, name, self.blueprint.components.len(), &mut known)?);
            }
            for (name, referred) in &referring {
                let refers = |held: &&ComponentId| referred.contains(held.as_str());
                let Some(held) = lease.replicas.keys().find(refers) else { continue };
                if longest(self.blueprint, name, self.blueprint.components.len(), &mut known)? <= rank {
                    let message =
                        format!("it holds `{held}`, and comes too late for `{name}`, which refers to it");
                    return violation(place(), message);
                }
            }
            if lease.settings != wanted {
                return violation(place(), "its settings are not those of its components");
            }
            if (&lease.after, lease.rank) != (&after, rank) {
                return violation(place(), "it does not wait for what its components wait for");
            }
        }
        Ok(())
    }
}

/// The longest chain of `after` from a component; each component is visited once.
fn longest<'a>(
    blueprint: &'a Blueprint,
    name: &ComponentId,
    most: usize,
    known: &mut BTreeMap<&'a ComponentId, u32>,
) -> Result<u32, Violation> {
    if let Some(rank) = known.get(name) {
        return Ok(*rank);
    }
    let Some((name, component)) = blueprint.components.get_key_value(name) else {
        return violation("components", format!("there is no {name}"));
    };
    if most == 0 {
        return violation(format!("components.{name}.after"), "it waits for itself");
    }
    let mut rank = 0;
    for before in component.predecessors() {
        rank = rank.max(longest(blueprint, before, most - 1, known)? + 1);
    }
    known.insert(name, rank);
    Ok(rank)
}
