//! Flow rows: where replicas send, where users are served from, and what traffic and round trips cost.
//!
//! Each sending replica picks one region that holds the receiver; each group of users is served from one site. Where
//! only traffic is priced, all other regions cost the same, so "stays" and "leaves" are enough. Where round trips
//! count, each region has a variable of its own.

use super::{
    builder::{Builder, too_large},
    model::{FlowVar, Role, ServedVar, Target, Var},
};
use crate::{
    catalogue::TrafficTariff,
    compose::{
        error::ComposeError,
        formulation::{
            ids::ComponentIx,
            place_classes::{PartitionKey, Site},
        },
    },
    model::{ComponentId, Constraint, EndPoint, FailureDomain, Link, Measure, UserGroup},
};

/// How round trips count.
#[derive(Clone, Copy)]
struct LatencyTerms {
    /// Round trips are weighted with traffic.
    weighted: bool,
    /// The variable that no round trip exceeds, in microseconds.
    worst: Option<Var>,
}

/// Traffic of one provider under one tariff: variables, each with the GiB that one unit sends.
type TariffTraffic = (crate::model::ProviderId, TrafficTariff, Vec<(Var, i64)>);

const MICROS_PER_MICROSECOND: i64 = 1000; // millionths of a millisecond in a microsecond

impl Builder<'_> {
    /// `check_interrupt` runs after each link and each group of users.
    pub(super) fn flows(
        &mut self,
        check_interrupt: &mut dyn FnMut() -> Result<(), ComposeError>,
    ) -> Result<(), ComposeError> {
        let blueprint = self.problem.blueprint;
        let horizon = i64::from(blueprint.horizon_months);
        self.mip.set_context("worst round trip");
        let worst = self.problem.stage.tracks(Measure::WorstLatency).then(|| {
            let var = self.mip.add_var(Role::Auxiliary, 0, 0, 20_000_000);
            self.count_measure(var, Measure::WorstLatency, horizon * MICROS_PER_MICROSECOND);
            var
        });
        let latency = LatencyTerms { weighted: self.problem.stage.tracks(Measure::Latency), worst };
        let mut pools: Vec<TariffTraffic> = Vec::new();
        for (at, link) in blueprint.links.iter().enumerate() {
            let is_free = link.traffic_gib == 0 && link.max_ms.is_none();
            if is_free && !latency.weighted && latency.worst.is_none() {
                continue; // the choice of receivers makes no difference
            }
            self.link(at, link, latency, &mut pools)?;
            check_interrupt()?;
        }
        for (name, component) in &blueprint.components {
            for (at, users) in component.users.iter().enumerate() {
                self.users(name, at, users, latency, &mut pools)?;
                check_interrupt()?;
            }
        }
        pools.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
        for same in pools.chunk_by(|a, b| (&a.0, &a.1) == (&b.0, &b.1)) {
            let traffic: Vec<(Var, i64)> = same.iter().flat_map(|(_, _, traffic)| traffic).copied().collect();
            self.mip.set_context(("tariff", same[0].0.as_str(), &same[0].1.tiers));
            self.tariff(&same[0].1, &traffic, horizon)?;
        }
        Ok(())
    }

    fn link(
        &mut self,
        at: usize,
        link: &Link,
        latency: LatencyTerms,
        pools: &mut Vec<TariffTraffic>,
    ) -> Result<(), ComposeError> {
        let problem = self.problem;
        let (from, to) = (problem.component(&link.from), problem.component(&link.to));
        let senders = self.replicas_at(from, PartitionKey::Site);
        let receivers = self.replicas_at(to, PartitionKey::Domain(FailureDomain::Region));
        let outside_scope = self.outside_scope(to, PartitionKey::Domain(FailureDomain::Region));
        let most = i64::from(problem.components[from].max);
        if link.max_ms.is_none()
            && !latency.weighted
            && latency.worst.is_none()
            && self.deployed[to].is_none()
        {
            return self.priced_link(at, link, pools);
        }
        let by_region = latency.weighted || latency.worst.is_some();
        // Flows into each region, for the row that requires a receiver there.
        let mut received: Vec<Vec<(Var, i64)>> = vec![Vec::new(); receivers.len()];
        for &(site_at, sending) in senders.iter() {
            let site = &problem.places.sites[site_at];
            let mut all = Vec::new();
            let mut leaving = Vec::new();
            let mut can_leave_to = Vec::new();
            for (position, &(region, holds)) in receivers.iter().enumerate() {
                let us = round_trip(self, site, &problem.places.ends[region]);
                let is_free = region == site.region || link.traffic_gib == 0;
                if !is_near(us, link.max_ms, by_region) || !(is_free || site.tariff.is_some()) {
                    continue;
                }
                if by_region || region == site.region {
                    self.mip.set_context(("flow", at, site_at, Some(region)));
                    let var = self.mip.add_var(Role::FlowVar, 0, 0, most);
                    self.mip.flows.push(FlowVar {
                        link: at,
                        site: site_at,
                        target: Target::Region(region),
                        var,
                    });
                    self.add_latency(var, us.unwrap_or(0), link.traffic_gib, most, latency)?;
                    received[position].push((var, 1));
                    all.push((var, 1));
                    if region != site.region {
                        leaving.push((var, as_i64(link.traffic_gib)));
                    }
                } else {
                    can_leave_to.push((holds, -most));
                }
            }
            // Regions outside the scope may be near and may hold a receiver: that relaxes the condition.
            let beyond = !outside_scope.is_empty() && (link.traffic_gib == 0 || site.tariff.is_some());
            if !can_leave_to.is_empty() || beyond {
                self.mip.set_context(("flow", at, site_at, None::<usize>));
                let var = self.mip.add_var(Role::FlowVar, 0, 0, most);
                self.mip.flows.push(FlowVar { link: at, site: site_at, target: Target::Elsewhere, var });
                if beyond {
                    can_leave_to.extend(outside_scope.iter().map(|(term, factor)| (*term, -most * factor)));
                }
                self.mip.add_row(None, Some(0), can_leave_to.into_iter().chain([(var, 1)]));
                all.push((var, 1));
                if !by_region {
                    leaving.push((var, as_i64(link.traffic_gib)));
                }
            }
            // All replicas at the site send, unless the receiver is not deployed.
            match self.deployed[to] {
                None => {
                    self.mip.add_row(Some(0), Some(0), all.into_iter().chain([(sending, -1)]));
                }
                Some(deployed) => {
                    self.mip.add_row(None, Some(0), all.iter().copied().chain([(sending, -1)]));
                    let terms = all.into_iter().chain([(sending, -1), (deployed, -most)]);
                    self.mip.add_row(Some(-most), None, terms);
                }
            }
            if let (Some(tariff), true) = (&site.tariff, link.traffic_gib > 0) {
                pools.push((site.provider.clone(), tariff.clone(), leaving));
            }
        }
        for (terms, &(_, holds)) in received.into_iter().zip(receivers.iter()) {
            if !terms.is_empty() {
                self.mip.add_row(None, Some(0), terms.into_iter().chain([(holds, -most)]));
            }
        }
        Ok(())
    }

    /// A link of which only the price counts, to a component that is always deployed. The replicas that leave a site
    /// are at least those at the site, unless its region holds a receiver.
    fn priced_link(
        &mut self,
        at: usize,
        link: &Link,
        pools: &mut Vec<TariffTraffic>,
    ) -> Result<(), ComposeError> {
        let problem = self.problem;
        let (from, to) = (problem.component(&link.from), problem.component(&link.to));
        let senders = self.replicas_at(from, PartitionKey::Site);
        let receivers = self.replicas_at(to, PartitionKey::Domain(FailureDomain::Region));
        let most = self.most_in_region(from);
        for same in
            senders.chunk_by(|a, b| problem.places.sites[a.0].region == problem.places.sites[b.0].region)
        {
            let region = problem.places.sites[same[0].0].region;
            let mut terms: Vec<(Var, i64)> = same.iter().map(|(_, sending)| (*sending, -1)).collect();
            for (site_at, sending) in same {
                let site = &problem.places.sites[*site_at];
                let Some(tariff) = &site.tariff else { continue };
                self.mip.set_context(("flow", at, site_at, None::<usize>));
                let var = self.mip.add_var(Role::FlowVar, 0, 0, most);
                self.mip.flows.push(FlowVar { link: at, site: *site_at, target: Target::Elsewhere, var });
                terms.push((var, 1));
                if same.len() > 1 {
                    self.mip.add_row(None, Some(0), [(var, 1), (*sending, -1)]);
                }
                pools.push((site.provider.clone(), tariff.clone(), vec![(var, as_i64(link.traffic_gib))]));
            }
            let here = receivers.iter().find(|(place, _)| *place == region).map(|(_, holds)| (*holds, most));
            self.mip.add_row(Some(0), None, terms.into_iter().chain(here));
        }
        Ok(())
    }

    /// The replicas of a component that one region can hold: survival and spread leave some elsewhere.
    fn most_in_region(&self, component: ComponentIx) -> i64 {
        let problem = self.problem;
        let spec = &problem.components[component];
        let max = i64::from(spec.max);
        let is_named = |names: &[ComponentId], over: FailureDomain| {
            // A region lies in one provider and one country; a zone is less than a region.
            over != FailureDomain::Zone && names.iter().any(|name| problem.component(name) == component)
        };
        let elsewhere = problem.blueprint.constraints.iter().map(|constraint| match constraint {
            Constraint::FaultTolerance(survive) if is_named(&survive.components, survive.loss_of) => {
                i64::from(survive.remaining)
            }
            Constraint::Spread(spread) if is_named(&spread.components, spread.over) => {
                i64::from(spread.at_least.unwrap_or(1)) - 1
            }
            _ => 0,
        });
        // Without the component nothing is required.
        let elsewhere = if spec.is_optional { 0 } else { elsewhere.max().unwrap_or(0) };
        (max - elsewhere).clamp(1, max.max(1))
    }

    fn users(
        &mut self,
        name: &ComponentId,
        group: usize,
        users: &UserGroup,
        latency: LatencyTerms,
        pools: &mut Vec<TariffTraffic>,
    ) -> Result<(), ComposeError> {
        let problem = self.problem;
        let component = problem.component(name);
        let by_time = latency.weighted || latency.worst.is_some();
        let end = EndPoint { name: users.name.clone(), at: Some(users.at) };
        let mut all = Vec::new();
        for &(site_at, holds) in self.replicas_at(component, PartitionKey::Site).iter() {
            let site = &problem.places.sites[site_at];
            let us = round_trip(self, site, &end);
            if !is_near(us, users.max_ms, by_time) || (users.traffic_gib > 0 && site.tariff.is_none()) {
                continue;
            }
            self.mip.set_context(("served", component, group, Some(site_at)));
            let var = self.mip.add_var(Role::ServedVar, 0, 0, 1);
            self.mip.add_row(None, Some(0), [(var, 1), (holds, -1)]);
            self.mip.served.push(ServedVar { component, group, site: site_at, var });
            self.add_latency(var, us.unwrap_or(0), users.traffic_gib, 1, latency)?;
            all.push((var, 1));
            if let (Some(tariff), true) = (&site.tariff, users.traffic_gib > 0) {
                pools.push((site.provider.clone(), tariff.clone(), vec![(var, as_i64(users.traffic_gib))]));
            }
        }
        let outside_scope = self.outside_scope(component, PartitionKey::Site);
        if !outside_scope.is_empty() {
            self.mip.set_context(("served", component, group, None::<usize>));
            let var = self.mip.add_var(Role::ServedVar, 0, 0, 1);
            self.mip.add_row(Some(0), None, outside_scope.into_iter().chain([(var, -1)]));
            all.push((var, 1));
        }
        let (need, switch) = self.if_deployed(component, 1);
        self.mip.add_row(Some(need), Some(need), all.into_iter().chain(switch));
        Ok(())
    }

    /// Adds the round trip of one unit of a variable that is at most `most`.
    fn add_latency(
        &mut self,
        var: Var,
        us: u32,
        traffic_gib: u64,
        most: i64,
        latency: LatencyTerms,
    ) -> Result<(), ComposeError> {
        if latency.weighted {
            let horizon = i64::from(self.problem.blueprint.horizon_months);
            let weight = as_i64(traffic_gib.max(1)).checked_mul(horizon * MICROS_PER_MICROSECOND);
            let amount = weight.and_then(|weight| weight.checked_mul(us.into())).ok_or_else(too_large)?;
            self.count_measure(var, Measure::Latency, amount);
        }
        if let Some(worst) = latency.worst {
            let is_used = if most == 1 {
                var
            } else {
                let is_used = self.mip.add_var(Role::Place, 0, 0, 1);
                self.mip.add_row(None, Some(0), [(var, 1), (is_used, -most)]);
                is_used
            };
            self.mip.add_row(Some(0), None, [(worst, 1), (is_used, -i64::from(us))]);
        }
        Ok(())
    }

    /// Graduated tiers: GiB fill one tier after the other. A dearer later tier fills in this order by itself. A
    /// cheaper later tier needs a switch that forces the tiers before it to be full.
    fn tariff(
        &mut self,
        tariff: &TrafficTariff,
        traffic: &[(Var, i64)],
        horizon: i64,
    ) -> Result<(), ComposeError> {
        let price = |micros: i64| micros.checked_mul(horizon).ok_or_else(too_large);
        if let [(_, micros)] = tariff.tiers.as_slice() {
            for (var, gib) in traffic {
                self.count_measure(
                    *var,
                    Measure::Cost,
                    price(*micros)?.checked_mul(*gib).ok_or_else(too_large)?,
                );
            }
            return Ok(());
        }
        let all = traffic
            .iter()
            .fold(0i64, |sum, (var, gib)| sum.saturating_add(self.mip.upper[*var].saturating_mul(*gib)));
        let ends = tariff.tiers.iter().skip(1).map(|(from, _)| as_i64(*from)).chain([i64::MAX]);
        let mut tiers: Vec<(Var, i64, i64)> = Vec::new();
        for ((from, micros), end) in tariff.tiers.iter().zip(ends) {
            let width = end.min(all).saturating_sub(as_i64(*from));
            if width <= 0 {
                break;
            }
            let var = self.mip.add_var(Role::Auxiliary, 0, 0, width);
            self.count_measure(var, Measure::Cost, price(*micros)?);
            let dearer: Vec<(Var, i64)> = tiers
                .iter()
                .filter(|(_, _, price)| price > micros)
                .map(|(before, full, _)| (*before, *full))
                .collect();
            if !dearer.is_empty() {
                let is_reached = self.mip.add_var(Role::Tier, 0, 0, 1);
                for (before, full) in dearer {
                    self.mip.add_row(Some(0), None, [(before, 1), (is_reached, -full)]);
                }
                self.mip.add_row(None, Some(0), [(var, 1), (is_reached, -width)]);
            }
            tiers.push((var, width, *micros));
        }
        let filled = tiers.into_iter().map(|(var, ..)| (var, -1));
        self.mip.add_row(Some(0), Some(0), traffic.iter().copied().chain(filled));
        Ok(())
    }
}

fn as_i64(gib: u64) -> i64 {
    i64::try_from(gib).unwrap_or(i64::MAX)
}

/// Where round trips are measured, a region with an unknown round trip is not near.
fn is_near(us: Option<u32>, max_ms: Option<u32>, is_measured: bool) -> bool {
    match (us, max_ms) {
        (Some(us), Some(max_ms)) => u64::from(us) <= u64::from(max_ms) * 1000,
        (None, Some(_)) => false,
        (Some(_), None) => true,
        (None, None) => !is_measured,
    }
}

fn round_trip(builder: &Builder<'_>, site: &Site, to: &EndPoint) -> Option<u32> {
    builder.problem.blueprint.assumptions.latency.round_trip_us(&builder.problem.places.ends[site.region], to)
}
