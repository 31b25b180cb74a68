//! Running services: retained ones, moves, and their cost.

use std::collections::{BTreeMap, BTreeSet};

use super::{Check, Violation, violation};
use crate::model::{ComponentId, Lease, RunningService, ServiceId, from_micros, to_micros};

impl Check<'_> {
    /// The service that a lease retains.
    pub(super) fn kept(&self, lease: &Lease) -> Option<&RunningService> {
        let id = lease.keeps.as_ref()?;
        self.blueprint.running.services.iter().find(|service| service.id == *id)
    }

    pub(super) fn running(&self) -> Result<(), Violation> {
        let running = &self.blueprint.running;
        let mut seen: BTreeSet<&ServiceId> = BTreeSet::new();
        let mut kept: BTreeMap<&ComponentId, u32> = BTreeMap::new();
        for (at, lease) in self.plan.leases.iter().enumerate() {
            let Some(id) = &lease.keeps else { continue };
            let fail = |message: String| violation(format!("leases[{at}].keeps"), message);
            let Some(service) = self.kept(lease) else { return fail(format!("{id} does not run")) };
            if !seen.insert(id) {
                return fail(format!("{id} is kept twice"));
            }
            if service.offer != lease.offer || lease.size_gib < service.size_gib {
                return fail(format!("{id} is another offer, or loses storage"));
            }
            for (name, count) in &lease.replicas {
                let before = service.replicas.get(name).copied().unwrap_or(0);
                *kept.entry(name).or_default() += before.min(*count);
            }
        }
        for (at, service) in running.services.iter().enumerate().filter(|(_, service)| service.pinned) {
            let stays = |lease: &Lease| {
                lease.keeps.as_ref() == Some(&service.id)
                    && service.replicas.iter().all(|(name, count)| lease.replicas.get(name) >= Some(count))
            };
            if !self.plan.leases.iter().any(stays) {
                let place = format!("running.services[{at}].pinned");
                return violation(place, format!("{} does not stay as it is", service.id));
            }
        }
        let mut expected = Vec::new();
        for name in self.blueprint.components.keys() {
            let now: u32 = running.services.iter().filter_map(|service| service.replicas.get(name)).sum();
            let here = u32::try_from(self.n(name)).unwrap_or(u32::MAX);
            let moved = now.min(here) - kept.get(name).copied().unwrap_or(0).min(now.min(here));
            if moved > 0 {
                let each = to_micros(running.cost_of(name)).map(from_micros).unwrap_or_default();
                expected.push((name, moved, each.saturating_mul(moved.into())));
            }
        }
        let said = self.plan.moves.iter().map(|line| (&line.component, line.replicas, line.once));
        if !said.eq(expected.iter().copied()) {
            return violation("moves", format!("should be {expected:?}"));
        }
        let moves: u64 = expected.iter().map(|(_, moved, _)| u64::from(*moved)).sum();
        match running.max_moves {
            Some(most) if moves > u64::from(most) => {
                violation("running.max_moves", format!("{moves} replicas move"))
            }
            _ => Ok(()),
        }
    }
}
