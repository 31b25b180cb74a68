//! Separation: the places outside the scope whose conditions a solution violates.
#![expect(
    clippy::float_arithmetic,
    reason = "a guess at what to look into next; whole plans are checked in integers, by the verifier"
)]

use std::collections::{BTreeMap, BTreeSet};

use super::master::{MasterSolution, RestrictedMaster};
use crate::{
    compose::{
        formulation::{ids::ComponentIx, place_classes::PartitionKey},
        id_vec::Id,
        mip::model::Mip,
        presolve::columns::{Column, ColumnId, ColumnSet},
    },
    model::{ComponentId, Constraint, FailureDomain, Measure, Together},
};

/// Places that come into scope at a time.
const MAX_ENTERING_PLACES: usize = 40;

/// Replicas by component and place, in a fractional solution.
type Replicas = BTreeMap<(ComponentIx, PartitionKey, usize), f64>;

const REPLICA_TOLERANCE: f64 = 2e-4;

impl RestrictedMaster<'_> {
    /// The columns that a solved master uses, each with its number of leases.
    pub(crate) fn values<'s>(
        &'s self,
        solution: &'s MasterSolution,
    ) -> impl Iterator<Item = (&'s Column, f64)> {
        let all = solution.used.iter().map(|(id, leases)| (&self.column_set.columns[*id], *leases));
        all.filter(|(_, leases)| *leases > REPLICA_TOLERANCE)
    }

    /// The places outside the scope whose conditions some leases violate, or whose costs they do not pay.
    pub(crate) fn violated_by_leases(&self, used: &[(ColumnId, f64)]) -> BTreeSet<(PartitionKey, usize)> {
        self.violated(used.iter().map(|(id, leases)| (&self.column_set.columns[*id], *leases)))
    }

    /// The same for a solved master.
    pub(crate) fn violated_by_master(&self, solution: &MasterSolution) -> BTreeSet<(PartitionKey, usize)> {
        self.violated(self.values(solution))
    }

    /// The same for an integer solution in the master's scope.
    pub(crate) fn violated_by(
        &self,
        column_set: &ColumnSet,
        mip: &Mip,
        values: &[i64],
    ) -> BTreeSet<(PartitionKey, usize)> {
        let columns = column_set.columns.iter().map(|(id, column)| (column, values[mip.leases[id].index()]));
        self.violated(
            columns.filter(|(_, leases)| *leases > 0).map(|(column, leases)| (column, leases as f64)),
        )
    }

    fn violated<'c>(
        &self,
        leases: impl Iterator<Item = (&'c Column, f64)>,
    ) -> BTreeSet<(PartitionKey, usize)> {
        let mut replicas = Replicas::new();
        for (column, leases) in leases {
            for (component, count) in &column.members {
                for (key, place) in self.places_of(column.class) {
                    *replicas.entry((*component, key, place)).or_default() += leases * f64::from(*count);
                }
            }
        }
        let mut violated = BTreeSet::new();
        for constraint in &self.problem.blueprint.constraints {
            self.violated_constraint(constraint, &replicas, &mut violated);
        }
        for rule in self.problem.blueprint.together() {
            self.violated_together(&rule, &replicas, &mut violated);
        }
        let used_providers = || places_at(&replicas, PartitionKey::Domain(FailureDomain::Provider));
        let fees = &self.problem.blueprint.provider_fees;
        if !fees.is_none() || self.problem.stage.tracks(Measure::Providers) {
            violated.extend(
                used_providers()
                    .into_iter()
                    .map(|place| (PartitionKey::Domain(FailureDomain::Provider), place)),
            );
        }
        self.violated_links(&replicas, &mut violated);
        violated.into_iter().filter(|place| !self.scope.contains(place)).take(MAX_ENTERING_PLACES).collect()
    }

    fn violated_constraint(
        &self,
        constraint: &Constraint,
        replicas: &Replicas,
        violated: &mut BTreeSet<(PartitionKey, usize)>,
    ) {
        let total = |component: ComponentIx, key: PartitionKey| -> f64 {
            at(replicas, component, key).map(|(_, n)| n).sum()
        };
        let mut add = |names: &[ComponentId], over: FailureDomain, is_broken: &dyn Fn(f64, f64) -> bool| {
            let key = PartitionKey::Domain(over);
            for name in names {
                let component = self.problem.component(name);
                let all = total(component, key);
                violated.extend(
                    at(replicas, component, key)
                        .filter(|(_, n)| is_broken(*n, all))
                        .map(|(place, _)| (key, place)),
                );
            }
        };
        match constraint {
            Constraint::Spread(spread) => {
                if let Some(k) = spread.at_least {
                    add(&spread.components, spread.over, &|n, _| k > 1 && n > 1.0 + REPLICA_TOLERANCE);
                }
                if let Some(percent) = spread.max_percent {
                    let share = rust_decimal::prelude::ToPrimitive::to_f64(&percent).unwrap_or(100.0) / 100.0;
                    add(&spread.components, spread.over, &|n, all| n > share * all + REPLICA_TOLERANCE);
                }
            }
            Constraint::FaultTolerance(survive) => {
                let remaining = f64::from(survive.remaining);
                add(&survive.components, survive.loss_of, &|n, all| all - n < remaining - REPLICA_TOLERANCE);
            }
            Constraint::MaxDistinct(distinct) => {
                let key = PartitionKey::Domain(distinct.over);
                violated.extend(places_at(replicas, key).into_iter().map(|place| (key, place)));
            }
            Constraint::Count(_)
            | Constraint::Ratio(_)
            | Constraint::Linear(_)
            | Constraint::OneOf(_)
            | Constraint::Share(_)
            | Constraint::AntiAffinity(_)
            | Constraint::Affinity(_)
            | Constraint::FullDeployment(_)
            | Constraint::Limit(_) => {}
        }
    }

    fn violated_together(
        &self,
        rule: &Together<'_>,
        replicas: &Replicas,
        violated: &mut BTreeSet<(PartitionKey, usize)>,
    ) {
        let region = PartitionKey::Domain(FailureDomain::Region);
        let zone = PartitionKey::Domain(FailureDomain::Zone);
        let n = |component: ComponentIx, key: PartitionKey, place: usize| -> f64 {
            replicas.get(&(component, key, place)).copied().unwrap_or(0.0)
        };
        let max = |component: ComponentIx| f64::from(self.problem.components[component].max);
        match rule {
            Together::OneEach { part, whole } => {
                let (part, whole) = (self.problem.component(part), self.problem.component(whole));
                let regions = [part, whole].into_iter().flat_map(|component| at(replicas, component, region));
                let is_uneven = |place: usize| {
                    (n(part, region, place) - n(whole, region, place)).abs() > REPLICA_TOLERANCE
                };
                violated
                    .extend(regions.filter(|(place, _)| is_uneven(*place)).map(|(place, _)| (region, place)));
                let zones = at(replicas, part, zone).filter(|(place, _)| self.problem.places.is_zone[*place]);
                violated.extend(
                    zones
                        .filter(|(place, parts)| *parts > n(whole, zone, *place) + REPLICA_TOLERANCE)
                        .map(|(place, _)| (zone, place)),
                );
            }
            Together::SameRegions { hub, members, is_single } => {
                let hub = self.problem.component(hub);
                let members: Vec<_> = members.iter().map(|name| self.problem.component(name)).collect();
                for member in &members {
                    let is_without = |(place, count): &(usize, f64)| {
                        *count > max(*member) * n(hub, region, *place) + REPLICA_TOLERANCE
                    };
                    violated.extend(
                        at(replicas, *member, region).filter(is_without).map(|(place, _)| (region, place)),
                    );
                }
                let is_idle = |(place, count): &(usize, f64)| {
                    let served: f64 = members.iter().map(|member| n(*member, region, *place)).sum();
                    *count > max(hub) * served + REPLICA_TOLERANCE
                        || (*is_single && *count > 1.0 + REPLICA_TOLERANCE)
                };
                violated.extend(at(replicas, hub, region).filter(is_idle).map(|(place, _)| (region, place)));
            }
        }
    }

    /// Senders outside the scope pay nothing and have no distance.
    fn violated_links(&self, replicas: &Replicas, violated: &mut BTreeSet<(PartitionKey, usize)>) {
        let region = PartitionKey::Domain(FailureDomain::Region);
        let is_timed =
            self.problem.stage.tracks(Measure::Latency) || self.problem.stage.tracks(Measure::WorstLatency);
        for link in &self.problem.blueprint.links {
            if link.traffic_gib == 0 && link.max_ms.is_none() && !is_timed {
                continue;
            }
            let (from, to) = (self.problem.component(&link.from), self.problem.component(&link.to));
            for (site, n) in at(replicas, from, PartitionKey::Site) {
                let here = self.problem.places.sites[site].region;
                let received = replicas.get(&(to, region, here)).copied().unwrap_or(0.0);
                if received < n.min(1.0) - REPLICA_TOLERANCE || link.max_ms.is_some() || is_timed {
                    violated.extend([(PartitionKey::Site, site), (region, here)]);
                }
            }
            if link.max_ms.is_some() || is_timed {
                violated.extend(at(replicas, to, region).map(|(place, _)| (region, place)));
            }
        }
        for (name, component) in &self.problem.blueprint.components {
            if !component.users.is_empty() {
                let component = self.problem.component(name);
                violated.extend(
                    at(replicas, component, PartitionKey::Site).map(|(site, _)| (PartitionKey::Site, site)),
                );
            }
        }
    }
}

fn at(replicas: &Replicas, component: ComponentIx, key: PartitionKey) -> impl Iterator<Item = (usize, f64)> {
    replicas
        .range((component, key, 0)..=(component, key, usize::MAX))
        .map(|((_, _, place), n)| (*place, *n))
        .filter(|(_, n)| *n > REPLICA_TOLERANCE)
}

fn places_at(replicas: &Replicas, key: PartitionKey) -> BTreeSet<usize> {
    let here = replicas.iter().filter(|((_, of, _), n)| *of == key && **n > REPLICA_TOLERANCE);
    here.map(|((_, _, place), _)| *place).collect()
}
