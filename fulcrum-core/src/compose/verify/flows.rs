//! Flows: who sends to whom, and what that costs.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use super::{Check, Checked, Violation, ensure, violation};
use crate::{
    catalogue::TrafficTariff,
    model::{ComponentId, EndPoint, Flow, FlowTarget, Link, ProviderId, UserGroup, from_micros, to_micros},
};

/// Replicas by region and tariff.
type Senders = BTreeMap<(String, Option<String>), u32>;

impl Check<'_> {
    pub(super) fn flows(&self) -> Result<(), Violation> {
        for (at, flow) in self.plan.flows.iter().enumerate() {
            self.flow(flow).map_err(|message| Violation { place: format!("flows[{at}]"), message })?;
        }
        for (at, link) in self.blueprint.links.iter().enumerate() {
            let fail = |message| Violation { place: format!("links[{at}]"), message };
            self.link(at, link).map_err(fail)?;
        }
        for (name, component) in &self.blueprint.components {
            for (at, users) in component.users.iter().enumerate() {
                let fail = |message| Violation { place: format!("components.{name}.users[{at}]"), message };
                self.users(name, users).map_err(fail)?;
            }
        }
        self.traffic()?;
        self.fees()
    }

    pub(super) fn tariff(&self, at: usize) -> Option<TrafficTariff> {
        let price = self.catalogue.egress(self.offers[at])?;
        TrafficTariff::new(price, self.catalogue.rates(), self.blueprint.currency)
    }

    fn region(&self, at: usize) -> EndPoint {
        EndPoint::of(&self.plan.leases[at].place)
    }

    fn holders<'c>(&'c self, name: &'c ComponentId) -> impl Iterator<Item = (usize, u32)> + 'c {
        let leases = self.plan.leases.iter().enumerate();
        leases.filter_map(move |(at, lease)| Some((at, *lease.replicas.get(name)?)))
    }

    fn senders(&self, name: &ComponentId) -> Senders {
        let mut senders = Senders::new();
        for (at, count) in self.holders(name) {
            let tariff = self.tariff(at).as_ref().map(TrafficTariff::text);
            let sum: &mut u32 = senders.entry((self.region(at).name, tariff)).or_default();
            *sum = sum.saturating_add(count);
        }
        senders
    }

    /// Regions exist, and round trip and quantity are right.
    fn flow(&self, flow: &Flow) -> Checked {
        let component = self.blueprint.components.get(&flow.from);
        let component = component.ok_or_else(|| format!("comes from unknown {}", flow.from))?;
        let from =
            self.holders(&flow.from).map(|(at, _)| self.region(at)).find(|end| end.name == flow.from_region);
        let from = from.ok_or_else(|| format!("{} is not in {}", flow.from, flow.from_region))?;
        let (to, max_ms, gib) = match &flow.to {
            FlowTarget::Link { link, region } => {
                let link = self.blueprint.links.get(*link).ok_or("follows no link")?;
                ensure(link.from == flow.from, || format!("the link comes from {}", link.from))?;
                let to =
                    self.holders(&link.to).map(|(at, _)| self.region(at)).find(|end| end.name == *region);
                let to = to.ok_or_else(|| format!("{} is not in {region}", link.to))?;
                let gib = if to.name == from.name {
                    0
                } else {
                    link.traffic_gib.saturating_mul(flow.replicas.into())
                };
                (to, link.max_ms, gib)
            }
            FlowTarget::Users(name) => {
                let users = component.users.iter().find(|users| users.name == *name);
                let users = users.ok_or_else(|| format!("serves unknown users {name}"))?;
                let end = EndPoint { name: users.name.clone(), at: Some(users.at) };
                (end, users.max_ms, users.traffic_gib)
            }
        };
        ensure(flow.gib == gib, || format!("sends {gib} GiB, not {}", flow.gib))?;
        ensure(gib == 0 || flow.tariff.is_some(), || "leaves for a price that nobody knows".to_owned())?;
        let us = self.blueprint.assumptions.latency.round_trip_us(&from, &to);
        ensure(us == flow.round_trip_us, || format!("takes {us:?} µs, not {:?}", flow.round_trip_us))?;
        let is_in_time = max_ms.is_none_or(|max| us.is_some_and(|us| u64::from(us) <= 1000 * u64::from(max)));
        ensure(is_in_time, || format!("takes {us:?} µs, more than {max_ms:?} ms"))
    }

    /// Every sending replica sends, if there is a receiver.
    fn link(&self, at: usize, link: &Link) -> Checked {
        let expected = if self.n(&link.to) > 0 { self.senders(&link.from) } else { Senders::new() };
        let mut sending = Senders::new();
        for flow in &self.plan.flows {
            if matches!(&flow.to, FlowTarget::Link { link, .. } if *link == at) {
                let sum: &mut u32 =
                    sending.entry((flow.from_region.clone(), flow.tariff.clone())).or_default();
                *sum = sum.saturating_add(flow.replicas);
            }
        }
        ensure(sending == expected, || format!("{expected:?} should send, {sending:?} do"))
    }

    /// Each group of users is served once, by replicas that exist.
    fn users(&self, name: &ComponentId, users: &UserGroup) -> Checked {
        let is_served = |flow: &&Flow| flow.from == *name && flow.to == FlowTarget::Users(users.name.clone());
        let serving: Vec<&Flow> = self.plan.flows.iter().filter(is_served).collect();
        let expected = usize::from(self.n(name) > 0);
        ensure(serving.len() == expected, || format!("served {} times", serving.len()))?;
        let senders = self.senders(name);
        serving.iter().try_for_each(|flow| {
            let is_there = senders.contains_key(&(flow.from_region.clone(), flow.tariff.clone()));
            ensure(is_there && flow.replicas == 1, || format!("nothing in {} serves them", flow.from_region))
        })
    }

    fn traffic(&self) -> Result<(), Violation> {
        let mut gib: BTreeMap<(ProviderId, String), u64> = BTreeMap::new();
        let mut month: BTreeMap<(ProviderId, String), TrafficTariff> = BTreeMap::new();
        for flow in self.plan.flows.iter().filter(|flow| flow.gib > 0) {
            let found = self.holders(&flow.from).find_map(|(at, _)| {
                let tariff = self.tariff(at)?;
                let is_it = self.region(at).name == flow.from_region && flow.tariff == Some(tariff.text());
                is_it.then(|| (self.plan.leases[at].place.provider.clone(), tariff))
            });
            let Some((provider, tariff)) = found else { return violation("flows", "nobody charges for one") };
            let key = (provider, tariff.text());
            let sum = gib.entry(key.clone()).or_default();
            *sum = sum.saturating_add(flow.gib);
            month.insert(key, tariff);
        }
        let listed = &self.plan.traffic;
        if listed.len() != gib.len() {
            return violation("traffic", format!("{} lines are needed", gib.len()));
        }
        for line in listed {
            let key = (line.provider.clone(), line.tariff.clone());
            let total = gib.get(&key).copied();
            let cost = total.and_then(|gib| month[&key].month(gib)).map(from_micros);
            if total != Some(line.gib) || cost != Some(line.monthly) {
                return violation("traffic", format!("{} sends {total:?} GiB for {cost:?}", line.provider));
            }
        }
        Ok(())
    }

    fn fees(&self) -> Result<(), Violation> {
        let mut expected: BTreeMap<&ProviderId, (Decimal, Decimal)> = BTreeMap::new();
        for lease in &self.plan.leases {
            let fee = self.blueprint.provider_fees.of(&lease.place.provider);
            let round = |amount| to_micros(amount).map_or(amount, from_micros);
            expected.insert(&lease.place.provider, (round(fee.monthly), round(fee.once)));
        }
        expected.retain(|_, (monthly, once)| !monthly.is_zero() || !once.is_zero());
        let listed: BTreeMap<&ProviderId, (Decimal, Decimal)> =
            self.plan.fees.iter().map(|line| (&line.provider, (line.monthly, line.once))).collect();
        if listed != expected || listed.len() != self.plan.fees.len() {
            return violation("fees", format!("are {expected:?}"));
        }
        Ok(())
    }
}
