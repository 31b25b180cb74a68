//! Links and users: who talks to which place, how long that takes, and what the traffic costs.
//!
//! Each replica that sends picks one region that holds the receiver; each group of users is served from one site.
//! Where only prices count, all regions other than one's own cost the same, so "stays" and "leaves" are enough;
//! where round trips count, each region is an unknown of its own.

use super::{
    builder::{Builder, too_large},
    model::{Flow, Role, Served, Target, Var},
};
use crate::{
    catalogue::TrafficTariff,
    compose::{
        error::ComposeError,
        formulation::place_classes::{Cut, Site},
    },
    model::{ComponentId, EndPoint, Link, Measure, Over, UserGroup},
};

/// What counts of round trips.
#[derive(Clone, Copy)]
struct Clock {
    /// Round trips weighted with traffic.
    weighted: bool,
    /// The unknown that no round trip exceeds, in microseconds.
    worst: Option<Var>,
}

/// Traffic of one provider under one tariff: an unknown and the GiB that one unit of it sends.
type Pool = (crate::model::ProviderId, TrafficTariff, Vec<(Var, i64)>);

const MICROS_PER_US: i64 = 1000; // of a millisecond

impl Builder<'_> {
    /// `look` asks between one link or group of users and the next whether to go on.
    pub(super) fn flows(
        &mut self,
        look: &mut dyn FnMut() -> Result<(), ComposeError>,
    ) -> Result<(), ComposeError> {
        let blueprint = self.problem.blueprint;
        let horizon = i64::from(blueprint.horizon_months);
        let worst = self.problem.aim.knows(Measure::WorstLatency).then(|| {
            let var = self.program.var(Role::Figure, 0, 0, 20_000_000);
            self.figure(var, Measure::WorstLatency, horizon * MICROS_PER_US);
            var
        });
        let clock = Clock { weighted: self.problem.aim.knows(Measure::Latency), worst };
        let mut pools: Vec<Pool> = Vec::new();
        for (at, link) in blueprint.links.iter().enumerate() {
            let is_free = link.traffic_gib == 0 && link.max_ms.is_none();
            if is_free && !clock.weighted && clock.worst.is_none() {
                continue; // whoever talks to whom, it makes no difference
            }
            self.link(at, link, clock, &mut pools)?;
            look()?;
        }
        for (name, component) in &blueprint.components {
            for (at, users) in component.users.iter().enumerate() {
                self.users(name, at, users, clock, &mut pools)?;
                look()?;
            }
        }
        pools.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
        for same in pools.chunk_by(|a, b| (&a.0, &a.1) == (&b.0, &b.1)) {
            let traffic: Vec<(Var, i64)> = same.iter().flat_map(|(_, _, traffic)| traffic).copied().collect();
            self.tariff(&same[0].1, &traffic, horizon)?;
        }
        Ok(())
    }

    fn link(
        &mut self,
        at: usize,
        link: &Link,
        clock: Clock,
        pools: &mut Vec<Pool>,
    ) -> Result<(), ComposeError> {
        let problem = self.problem;
        let (from, to) = (problem.component(&link.from), problem.component(&link.to));
        let senders = self.replicas_at(from, Cut::Site);
        let receivers = self.replicas_at(to, Cut::Over(Over::Region));
        let elsewhere = self.elsewhere(to, Cut::Over(Over::Region));
        let most = i64::from(problem.components[from].max);
        if link.max_ms.is_none() && !clock.weighted && clock.worst.is_none() && self.deployed[to].is_none() {
            return self.priced_link(at, link, pools);
        }
        let by_region = clock.weighted || clock.worst.is_some();
        // What each region receives, to be matched with whether it holds a receiver.
        let mut received: Vec<Vec<(Var, i64)>> = vec![Vec::new(); receivers.len()];
        for &(site_at, sending) in senders.iter() {
            let site = &problem.sites.sites[site_at];
            let mut all = Vec::new();
            let mut leaving = Vec::new();
            let mut can_leave_to = Vec::new();
            for (position, &(region, holds)) in receivers.iter().enumerate() {
                let us = round_trip(self, site, &problem.sites.ends[region]);
                let is_free = region == site.region || link.traffic_gib == 0;
                if !is_near(us, link.max_ms, by_region) || !(is_free || site.tariff.is_some()) {
                    continue;
                }
                if by_region || region == site.region {
                    let var = self.program.var(Role::Flow, 0, 0, most);
                    self.program.flows.push(Flow {
                        link: at,
                        site: site_at,
                        target: Target::Region(region),
                        var,
                    });
                    self.time(var, us.unwrap_or(0), link.traffic_gib, most, clock)?;
                    received[position].push((var, 1));
                    all.push((var, 1));
                    if region != site.region {
                        leaving.push((var, as_i64(link.traffic_gib)));
                    }
                } else {
                    can_leave_to.push((holds, -most));
                }
            }
            // Regions outside the scope may be near and may hold a receiver: that is a relaxation.
            let beyond = !elsewhere.is_empty() && (link.traffic_gib == 0 || site.tariff.is_some());
            if !can_leave_to.is_empty() || beyond {
                let var = self.program.var(Role::Flow, 0, 0, most);
                self.program.flows.push(Flow { link: at, site: site_at, target: Target::Elsewhere, var });
                if beyond {
                    can_leave_to.extend(elsewhere.iter().map(|(term, factor)| (*term, -most * factor)));
                }
                self.program.row(None, Some(0), can_leave_to.into_iter().chain([(var, 1)]));
                all.push((var, 1));
                if !by_region {
                    leaving.push((var, as_i64(link.traffic_gib)));
                }
            }
            // All that is there sends, unless the receiver is not deployed.
            match self.deployed[to] {
                None => {
                    self.program.row(Some(0), Some(0), all.into_iter().chain([(sending, -1)]));
                }
                Some(deployed) => {
                    self.program.row(None, Some(0), all.iter().copied().chain([(sending, -1)]));
                    let terms = all.into_iter().chain([(sending, -1), (deployed, -most)]);
                    self.program.row(Some(-most), None, terms);
                }
            }
            if let (Some(tariff), true) = (&site.tariff, link.traffic_gib > 0) {
                pools.push((site.provider.clone(), tariff.clone(), leaving));
            }
        }
        for (terms, &(_, holds)) in received.into_iter().zip(receivers.iter()) {
            if !terms.is_empty() {
                self.program.row(None, Some(0), terms.into_iter().chain([(holds, -most)]));
            }
        }
        Ok(())
    }

    /// A link of which only the price counts, to a component that is always there: what leaves a site is at least
    /// what is there, unless the region holds a receiver.
    fn priced_link(&mut self, at: usize, link: &Link, pools: &mut Vec<Pool>) -> Result<(), ComposeError> {
        let problem = self.problem;
        let (from, to) = (problem.component(&link.from), problem.component(&link.to));
        let senders = self.replicas_at(from, Cut::Site);
        let receivers = self.replicas_at(to, Cut::Over(Over::Region));
        let most = i64::from(problem.components[from].max);
        for same in
            senders.chunk_by(|a, b| problem.sites.sites[a.0].region == problem.sites.sites[b.0].region)
        {
            let region = problem.sites.sites[same[0].0].region;
            let mut terms: Vec<(Var, i64)> = same.iter().map(|(_, sending)| (*sending, -1)).collect();
            for (site_at, sending) in same {
                let site = &problem.sites.sites[*site_at];
                let Some(tariff) = &site.tariff else { continue };
                let var = self.program.var(Role::Flow, 0, 0, most);
                self.program.flows.push(Flow { link: at, site: *site_at, target: Target::Elsewhere, var });
                terms.push((var, 1));
                if same.len() > 1 {
                    self.program.row(None, Some(0), [(var, 1), (*sending, -1)]);
                }
                pools.push((site.provider.clone(), tariff.clone(), vec![(var, as_i64(link.traffic_gib))]));
            }
            let here = receivers.iter().find(|(place, _)| *place == region).map(|(_, holds)| (*holds, most));
            self.program.row(Some(0), None, terms.into_iter().chain(here));
        }
        Ok(())
    }

    fn users(
        &mut self,
        name: &ComponentId,
        group: usize,
        users: &UserGroup,
        clock: Clock,
        pools: &mut Vec<Pool>,
    ) -> Result<(), ComposeError> {
        let problem = self.problem;
        let component = problem.component(name);
        let by_time = clock.weighted || clock.worst.is_some();
        let end = EndPoint { name: users.name.clone(), at: Some(users.at) };
        let mut all = Vec::new();
        for &(site_at, holds) in self.replicas_at(component, Cut::Site).iter() {
            let site = &problem.sites.sites[site_at];
            let us = round_trip(self, site, &end);
            if !is_near(us, users.max_ms, by_time) || (users.traffic_gib > 0 && site.tariff.is_none()) {
                continue;
            }
            let var = self.program.var(Role::Served, 0, 0, 1);
            self.program.row(None, Some(0), [(var, 1), (holds, -1)]);
            self.program.served.push(Served { component, group, site: site_at, var });
            self.time(var, us.unwrap_or(0), users.traffic_gib, 1, clock)?;
            all.push((var, 1));
            if let (Some(tariff), true) = (&site.tariff, users.traffic_gib > 0) {
                pools.push((site.provider.clone(), tariff.clone(), vec![(var, as_i64(users.traffic_gib))]));
            }
        }
        let elsewhere = self.elsewhere(component, Cut::Site);
        if !elsewhere.is_empty() {
            let var = self.program.var(Role::Served, 0, 0, 1);
            self.program.row(Some(0), None, elsewhere.into_iter().chain([(var, -1)]));
            all.push((var, 1));
        }
        let (need, switch) = self.if_deployed(component, 1);
        self.program.row(Some(need), Some(need), all.into_iter().chain(switch));
        Ok(())
    }

    /// What the round trip of one unit of an unknown, which is at most `most`, counts.
    fn time(
        &mut self,
        var: Var,
        us: u32,
        traffic_gib: u64,
        most: i64,
        clock: Clock,
    ) -> Result<(), ComposeError> {
        if clock.weighted {
            let horizon = i64::from(self.problem.blueprint.horizon_months);
            let weight = as_i64(traffic_gib.max(1)).checked_mul(horizon * MICROS_PER_US);
            let amount = weight.and_then(|weight| weight.checked_mul(us.into())).ok_or_else(too_large)?;
            self.figure(var, Measure::Latency, amount);
        }
        if let Some(worst) = clock.worst {
            let is_used = if most == 1 {
                var
            } else {
                let is_used = self.program.var(Role::Place, 0, 0, 1);
                self.program.row(None, Some(0), [(var, 1), (is_used, -most)]);
                is_used
            };
            self.program.row(Some(0), None, [(worst, 1), (is_used, -i64::from(us))]);
        }
        Ok(())
    }

    /// Graduated tiers: GiB fill one tier after the other. Where a later tier is dearer that happens by itself;
    /// to reach one that is cheaper than some before it, those must be full, which a switch makes sure of.
    fn tariff(
        &mut self,
        tariff: &TrafficTariff,
        traffic: &[(Var, i64)],
        horizon: i64,
    ) -> Result<(), ComposeError> {
        let price = |micros: i64| micros.checked_mul(horizon).ok_or_else(too_large);
        if let [(_, micros)] = tariff.tiers.as_slice() {
            for (var, gib) in traffic {
                self.figure(*var, Measure::Cost, price(*micros)?.checked_mul(*gib).ok_or_else(too_large)?);
            }
            return Ok(());
        }
        let all = traffic
            .iter()
            .fold(0i64, |sum, (var, gib)| sum.saturating_add(self.program.high[*var].saturating_mul(*gib)));
        let ends = tariff.tiers.iter().skip(1).map(|(from, _)| as_i64(*from)).chain([i64::MAX]);
        let mut tiers: Vec<(Var, i64, i64)> = Vec::new();
        for ((from, micros), end) in tariff.tiers.iter().zip(ends) {
            let width = end.min(all).saturating_sub(as_i64(*from));
            if width <= 0 {
                break;
            }
            let var = self.program.var(Role::Figure, 0, 0, width);
            self.figure(var, Measure::Cost, price(*micros)?);
            let dearer: Vec<(Var, i64)> = tiers
                .iter()
                .filter(|(_, _, price)| price > micros)
                .map(|(before, full, _)| (*before, *full))
                .collect();
            if !dearer.is_empty() {
                let is_reached = self.program.var(Role::Tier, 0, 0, 1);
                for (before, full) in dearer {
                    self.program.row(Some(0), None, [(before, 1), (is_reached, -full)]);
                }
                self.program.row(None, Some(0), [(var, 1), (is_reached, -width)]);
            }
            tiers.push((var, width, *micros));
        }
        let filled = tiers.into_iter().map(|(var, ..)| (var, -1));
        self.program.row(Some(0), Some(0), traffic.iter().copied().chain(filled));
        Ok(())
    }
}

fn as_i64(gib: u64) -> i64 {
    i64::try_from(gib).unwrap_or(i64::MAX)
}

/// Where round trips are measured an unknown one is none.
fn is_near(us: Option<u32>, max_ms: Option<u32>, is_measured: bool) -> bool {
    match (us, max_ms) {
        (Some(us), Some(max_ms)) => u64::from(us) <= u64::from(max_ms) * 1000,
        (None, Some(_)) => false,
        (Some(_), None) => true,
        (None, None) => !is_measured,
    }
}

fn round_trip(builder: &Builder<'_>, site: &Site, to: &EndPoint) -> Option<u32> {
    builder.problem.blueprint.assume.latency.round_trip_us(&builder.problem.sites.ends[site.region], to)
}
