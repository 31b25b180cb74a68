//! From a solution to a plan document.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use rust_decimal::Decimal;

use crate::{
    catalogue::TrafficTariff,
    compose::{
        error::ComposeError,
        formulation::{
            place_classes::{PartitionKey, Site},
            problem::Problem,
        },
        id_vec::Id,
        mip::model::Target,
        objective::{MICROS_PER_UNIT, ObjectiveStage, per_month},
        partners,
        presolve::columns::Column,
        solution::{Solution, UserAssignment},
    },
    model::{
        Amount, Blueprint, Charge, CommitmentCost, Component, ComponentId, EndPoint, FailureDomain, FeeLine,
        Flow, FlowTarget, HOURS_PER_MONTH, Lease, LineKind, Measure, Measures, MoveLine, Plan, Price,
        PriceLine, Proof, ProviderId, SkuId, TrafficLine, digest_of, from_micros, to_micros,
    },
};

/// A plan, and its measures over the horizon in millionths.
pub(super) struct Built {
    pub(super) plan: Plan,
    measure_values: BTreeMap<Measure, i128>,
}

impl Built {
    /// The objective of a stage over the horizon, in millionths times its scale.
    pub(super) fn value(&self, stage: &ObjectiveStage) -> i128 {
        self.measure_values
            .iter()
            .map(|(measure, value)| i128::from(stage.weight(*measure)) * value)
            .sum::<i128>()
    }

    /// Sets the objective of a stage, its bound and the gap.
    pub(super) fn prove(&mut self, stage: &ObjectiveStage, horizon_months: u32, bound: i128) {
        let value = self.value(stage);
        let bound = bound.min(value);
        let gap = if value == 0 { 0 } else { ((value - bound) * 10_000 + value - 1) / value };
        let month = |value| per_month(stage, horizon_months, value);
        self.plan.objective = month(value);
        self.plan.bound = month(bound);
        self.plan.gap_percent = Decimal::new(i64::try_from(gap).unwrap_or(i64::MAX), 2).normalize();
    }
}

pub(super) fn build(problem: &Problem<'_>, found: &Solution) -> Result<Built, ComposeError> {
    let blueprint = problem.blueprint;
    let too_large =
        |what: String| ComposeError::TooLarge(format!("a price of {what} is beyond the range of money"));
    let mut leases = Vec::new();
    let mut kept = vec![0; problem.running.len()];
    let mut columns: Vec<&(Column, i64)> = found.leases.iter().collect();
    columns
        .sort_by(|(a, _), (b, _)| (a.offer, a.retained, &a.members).cmp(&(b.offer, b.retained, &b.members)));
    for (column, count) in columns {
        let lease = lease(problem, column)
            .ok_or_else(|| too_large(problem.catalogue.offer(column.offer).id().to_string()))?;
        for _ in 0..*count {
            // Services of a group stay in the order in which they are written.
            let keeps = column.retained.and_then(|group| {
                let next = &mut kept[group];
                *next += 1;
                let service = *problem.running[group].services.get(*next - 1)?;
                Some(blueprint.running.services[service].id.clone())
            });
            leases.push(Lease { keeps, ..lease.clone() });
        }
    }
    partners::assign(blueprint, &mut leases);
    let flows = flows(problem, found);
    let traffic = traffic(problem, &flows).ok_or_else(|| too_large("traffic".to_owned()))?;
    let is_converted = is_converted(problem, found, &traffic);
    let fees = fees(problem, &leases);
    let moves = moves(blueprint, &leases);
    let measure_values = measure_values(problem, found, &leases, &flows, &traffic, (&fees, &moves));
    let months = Decimal::from(blueprint.horizon_months);
    let measures = measure_values
        .iter()
        .map(|(measure, value)| {
            let month =
                Decimal::try_from_i128_with_scale(*value, 6).ok().and_then(|it| it.checked_div(months));
            Some((*measure, Amount(month?.round_dp(6).normalize())))
        })
        .collect::<Option<_>>()
        .ok_or_else(|| too_large("all leases".to_owned()))?;
    let plan = Plan {
        format: Plan::FORMAT.to_owned(),
        blueprint: blueprint.name.clone(),
        blueprint_digest: digest_of(blueprint),
        catalogue_digest: problem.catalogue.digest().to_owned(),
        currency: blueprint.currency,
        leases,
        flows,
        traffic,
        fees,
        moves,
        monthly: Decimal::ZERO,
        once: Decimal::ZERO,
        measures: Measures(measures),
        objective: Decimal::ZERO,
        bound: Decimal::ZERO,
        gap_percent: Decimal::ZERO,
        later_stages: Vec::new(),
        stop: found.stop,
        statistics: found.statistics,
        horizon_months: Some(blueprint.horizon_months),
        offers: Some(problem.offers),
        rates_date: problem.catalogue.rates().date.filter(|_| is_converted),
        proof: Proof::proven(),
        later: BTreeMap::new(),
    };
    let (monthly, once) = plan.sums().ok_or_else(|| too_large("all leases".to_owned()))?;
    let plan = Plan { monthly, once, ..plan };
    let mut built = Built { plan, measure_values };
    built.prove(&problem.stage, blueprint.horizon_months, found.bound);
    Ok(built)
}

/// All tracked measures, and the cost, over the horizon.
fn measure_values(
    problem: &Problem<'_>,
    found: &Solution,
    leases: &[Lease],
    flows: &[Flow],
    traffic: &[TrafficLine],
    (fees, moves): (&[FeeLine], &[MoveLine]),
) -> BTreeMap<Measure, i128> {
    let horizon = i128::from(problem.blueprint.horizon_months);
    let micros = |amount: Decimal| i128::from(to_micros(amount).unwrap_or(i64::MAX));
    let columns = |measure: Measure| -> i128 {
        found
            .leases
            .iter()
            .map(|(column, count)| i128::from(column.measure(measure)) * i128::from(*count))
            .sum::<i128>()
    };
    let us = |flow: &Flow| i128::from(flow.round_trip_us.unwrap_or(0)) * 1000;
    let value = |measure: Measure| match measure {
        Measure::Cost => {
            columns(measure)
                + traffic.iter().map(|line| micros(line.monthly) * horizon).sum::<i128>()
                + fees.iter().map(|fee| micros(fee.monthly) * horizon + micros(fee.once)).sum::<i128>()
                + moves.iter().map(|line| micros(line.once)).sum::<i128>()
        }
        Measure::Carbon | Measure::Sovereignty => columns(measure),
        Measure::Latency => {
            let weight = |flow: &Flow| match &flow.to {
                FlowTarget::Link { link, .. } => {
                    problem.blueprint.links[*link].traffic_gib.max(1) * u64::from(flow.replicas)
                }
                FlowTarget::Users(name) => {
                    let users = &problem.blueprint.components[&flow.from].users;
                    users.iter().find(|group| group.name == *name).map_or(1, |group| group.traffic_gib.max(1))
                }
            };
            flows.iter().map(|flow| us(flow) * i128::from(weight(flow)) * horizon).sum::<i128>()
        }
        Measure::WorstLatency => flows.iter().map(us).max().unwrap_or(0) * horizon,
        Measure::Providers => {
            let providers: BTreeSet<&ProviderId> = leases.iter().map(|lease| &lease.place.provider).collect();
            providers.len() as i128 * i128::from(MICROS_PER_UNIT) * horizon
        }
    };
    let known = Measure::ALL.iter().map(|(measure, _)| *measure);
    let known = known.filter(|measure| *measure == Measure::Cost || problem.stage.tracks(*measure));
    known.map(|measure| (measure, value(measure))).collect()
}

fn lease(problem: &Problem<'_>, column: &Column) -> Option<Lease> {
    let offer = problem.catalogue.offer(column.offer);
    let is_by_size = matches!(offer.price.charge, Charge::PerUnit { .. });
    let gib = if is_by_size { column.size_gib } else { 0 };
    let running = column.retained.map(|group| &problem.running[group]);
    let mut lines = vec![line(problem, LineKind::Offer, (&offer.sku, &offer.price), gib, running.is_some())?];
    let mut disk_sku = None;
    if !is_by_size && column.size_gib > 0 {
        let disk = offer.elastic_disk.as_ref()?;
        let is_paid = running.is_some_and(|group| group.size_gib > 0);
        lines.push(line(problem, LineKind::Disk, (&disk.sku, &disk.price), column.size_gib, is_paid)?);
        disk_sku = Some(disk.sku.clone());
    }
    for surcharge in offer.surcharges.iter() {
        let priced = (&surcharge.sku, &surcharge.price);
        lines.push(line(problem, LineKind::Surcharge, priced, 0, running.is_some())?);
    }
    let replicas: IndexMap<_, _> = column
        .members
        .iter()
        .map(|(component, count)| {
            let (name, _) = problem.blueprint.components.get_index(component.index())?;
            Some((name.clone(), *count))
        })
        .collect::<Option<_>>()?;
    let components =
        || replicas.keys().filter_map(|name| Some((name, problem.blueprint.components.get(name)?)));
    let provider = &offer.place.provider;
    let own = |component: &Component| {
        problem.catalogue.settings_of_provider(component.lease_settings(), provider).into_owned()
    };
    let settings = components().flat_map(|(_, component)| own(component)).collect();
    let after: BTreeSet<_> =
        components().flat_map(|(_, component)| component.predecessors().cloned()).collect();
    let rank = components().filter_map(|(name, _)| problem.ranks.get(name).copied()).max().unwrap_or(0);
    Some(Lease {
        settings,
        after,
        rank,
        partners: BTreeMap::new(),
        offer: offer.id(),
        sku: offer.sku.clone(),
        kind: offer.kind,
        place: (*offer.place).clone(),
        purchase_option: offer.price.purchase_option,
        term_months: offer.price.term_months,
        replicas,
        size_gib: column.size_gib,
        disk_sku,
        keeps: None,
        lines,
        checked: None,
        later: BTreeMap::new(),
    })
}

/// `is_paid`: the set-up fee of a running service was paid at its start.
fn line(
    problem: &Problem<'_>,
    kind: LineKind,
    (sku, price): (&SkuId, &Price),
    gib: u64,
    is_paid: bool,
) -> Option<PriceLine> {
    let (horizon, currency) = (problem.blueprint.horizon_months, problem.blueprint.currency);
    let payments = problem.catalogue.rates().payments(price, gib, horizon, currency)?;
    let CommitmentCost { monthly, once, total } = payments.cost(is_paid)?;
    let later = BTreeMap::new();
    Some(PriceLine { sku: sku.clone(), kind, text: text(price, gib), monthly, once, total, later })
}

/// The text of a price: how the amount comes about.
fn text(price: &Price, gib: u64) -> String {
    let code = price.currency.code();
    match &price.charge {
        Charge::Hourly(hourly) => format!("{hourly} {code}/hour × {HOURS_PER_MONTH} h"),
        Charge::Monthly(monthly) => format!("{monthly} {code}/month"),
        Charge::HourlyCapped { hourly, monthly } => {
            format!("{hourly} {code}/hour, at most {monthly} {code}/month")
        }
        Charge::PerUnit { unit, tiers } => match tiers.as_slice() {
            [tier] => format!("{gib} GiB at {} {code}/{unit}", tier.price),
            tiers => {
                format!("{gib} GiB at {} {code}/{unit} and {} further tiers", tiers[0].price, tiers.len() - 1)
            }
        },
        Charge::Once => format!("{} {code} once", price.once),
    }
}

/// Flows: those that the search decided, and the shortest way where it made no difference.
fn flows(problem: &Problem<'_>, found: &Solution) -> Vec<Flow> {
    let (blueprint, sites) = (problem.blueprint, &problem.places);
    if blueprint.links.is_empty() && found.user_assignments.is_empty() {
        return Vec::new();
    }
    let count = |name: &ComponentId, key: PartitionKey| -> BTreeMap<usize, i64> {
        let component = problem.component(name);
        let partition = sites.partition(key);
        let mut places = BTreeMap::new();
        for (column, leases) in &found.leases {
            for (_, count) in column.members.iter().filter(|(member, _)| *member == component) {
                *places.entry(partition.place_of[column.class]).or_default() += leases * i64::from(*count);
            }
        }
        places
    };
    let trip = |site: &Site, to: &EndPoint| {
        blueprint.assumptions.latency.round_trip_us(&sites.ends[site.region], to)
    };
    let is_timed = problem.stage.tracks(Measure::Latency) || problem.stage.tracks(Measure::WorstLatency);
    let mut flows = Vec::new();
    for (at, link) in blueprint.links.iter().enumerate() {
        let receivers = count(&link.to, PartitionKey::Domain(FailureDomain::Region));
        if receivers.is_empty() {
            continue;
        }
        let nearest = |site: &Site, can_stay: bool| {
            let others = receivers.keys().filter(|region| can_stay || **region != site.region);
            others.copied().min_by_key(|region| {
                (trip(site, &sites.ends[*region]).unwrap_or(u32::MAX), *region != site.region, *region)
            })
        };
        let decided: Vec<_> = found.link_flows.iter().filter(|sending| sending.link == at).copied().collect();
        let region = |site: usize, target: Target| match target {
            Target::Region(region) => Some(region),
            // A free flow may leave although no other region has a receiver: then it stays.
            Target::Elsewhere => {
                let site = &sites.sites[site];
                nearest(site, false).or_else(|| nearest(site, true))
            }
        };
        // Free flows may be more than the replicas at the site.
        let mut idle = count(&link.from, PartitionKey::Site);
        let mut chosen: Vec<(usize, Option<usize>, i64)> = Vec::new();
        for sending in &decided {
            let idle = idle.entry(sending.site).or_default();
            let replicas = sending.replicas.min(*idle);
            *idle -= replicas;
            if replicas > 0 {
                chosen.push((sending.site, region(sending.site, sending.target), replicas));
            }
        }
        // All other replicas stay in their region if they can.
        for (site, replicas) in idle {
            let own = sites.sites[site].region;
            let region = if receivers.contains_key(&own) && !is_timed {
                Some(own)
            } else {
                nearest(&sites.sites[site], true)
            };
            if replicas > 0 {
                chosen.push((site, region, replicas));
            }
        }
        for (site, region, replicas) in chosen {
            let (site, Some(region)) = (&sites.sites[site], region) else { continue };
            let leaves = region != site.region;
            let gib = if leaves { link.traffic_gib * replicas.unsigned_abs() } else { 0 };
            flows.push(Flow {
                from: link.from.clone(),
                from_region: sites.ends[site.region].name.clone(),
                to: FlowTarget::Link { link: at, region: sites.ends[region].name.clone() },
                replicas: u32::try_from(replicas).unwrap_or(u32::MAX),
                gib,
                tariff: site.tariff.as_ref().map(TrafficTariff::text),
                round_trip_us: trip(site, &sites.ends[region]),
            });
        }
    }
    for UserAssignment { component, group, site } in &found.user_assignments {
        let (name, component) = blueprint.components.get_index(component.index()).expect("a component of it");
        let (users, site) = (&component.users[*group], &sites.sites[*site]);
        let end = EndPoint { name: users.name.clone(), at: Some(users.at) };
        flows.push(Flow {
            from: name.clone(),
            from_region: sites.ends[site.region].name.clone(),
            to: FlowTarget::Users(users.name.clone()),
            replicas: 1,
            gib: users.traffic_gib,
            tariff: site.tariff.as_ref().map(TrafficTariff::text),
            round_trip_us: trip(site, &end),
        });
    }
    flows
}

/// One line for each provider and tariff.
fn traffic(problem: &Problem<'_>, flows: &[Flow]) -> Option<Vec<TrafficLine>> {
    let mut pools: BTreeMap<(ProviderId, String), (u64, &TrafficTariff)> = BTreeMap::new();
    for flow in flows.iter().filter(|flow| flow.gib > 0) {
        let site = problem.places.sites.iter().find(|site| {
            problem.places.ends[site.region].name == flow.from_region
                && site.tariff.as_ref().map(TrafficTariff::text) == flow.tariff
        })?;
        let key = (site.provider.clone(), flow.tariff.clone()?);
        let pool = pools.entry(key).or_insert((0, site.tariff.as_ref()?));
        pool.0 = pool.0.checked_add(flow.gib)?;
    }
    pools
        .into_iter()
        .map(|((provider, text), (gib, tariff))| {
            Some(TrafficLine { provider, tariff: text, gib, monthly: from_micros(tariff.month(gib)?) })
        })
        .collect()
}

/// Whether any line was converted by an exchange rate.
fn is_converted(problem: &Problem<'_>, found: &Solution, traffic: &[TrafficLine]) -> bool {
    let (catalogue, own) = (problem.catalogue, problem.blueprint.currency);
    let is_charged = |provider: &ProviderId, price: &Price| {
        let tariff = TrafficTariff::new(price, catalogue.rates(), own).map(|tariff| tariff.text());
        traffic.iter().any(|line| line.provider == *provider && Some(&line.tariff) == tariff.as_ref())
    };
    found.leases.iter().filter(|(_, count)| *count > 0).any(|(column, _)| {
        let ix = column.offer;
        let is_by_size = matches!(catalogue.price(ix).charge, Charge::PerUnit { .. });
        let disk = catalogue.elastic_disk(ix).filter(|_| !is_by_size && column.size_gib > 0);
        let provider = &catalogue.place(ix).provider;
        let egress = catalogue.egress(ix).filter(|price| price.currency != own);
        let prices = std::iter::once(catalogue.price(ix)).chain(disk.map(|disk| &disk.price));
        prices
            .chain(catalogue.surcharges(ix).iter().map(|surcharge| &surcharge.price))
            .any(|price| price.currency != own)
            || egress.is_some_and(|price| is_charged(provider, price))
    })
}

fn fees(problem: &Problem<'_>, leases: &[Lease]) -> Vec<FeeLine> {
    let providers: BTreeSet<&ProviderId> = leases.iter().map(|lease| &lease.place.provider).collect();
    let fees = &problem.blueprint.provider_fees;
    let round = |amount: Decimal| to_micros(amount).map_or(amount, from_micros);
    providers
        .into_iter()
        .map(|provider| {
            let fee = fees.of(provider);
            FeeLine { provider: provider.clone(), monthly: round(fee.monthly), once: round(fee.once) }
        })
        .filter(|line| !line.monthly.is_zero() || !line.once.is_zero())
        .collect()
}

/// Replicas of running services that move.
fn moves(blueprint: &Blueprint, leases: &[Lease]) -> Vec<MoveLine> {
    let running = &blueprint.running;
    let mut lines = Vec::new();
    for name in blueprint.components.keys() {
        let now = running.services.iter().filter_map(|service| service.replicas.get(name)).sum::<u32>();
        let planned = leases.iter().filter_map(|lease| lease.replicas.get(name)).sum::<u32>();
        let kept = leases.iter().filter_map(|lease| {
            let id = lease.keeps.as_ref()?;
            let service = running.services.iter().find(|service| service.id == *id)?;
            Some(*lease.replicas.get(name)?.min(service.replicas.get(name)?))
        });
        let replicas = now.min(planned).saturating_sub(kept.sum::<u32>());
        if replicas > 0 {
            let cost = running.cost_of(name);
            let once = to_micros(cost).map_or(cost, from_micros).saturating_mul(Decimal::from(replicas));
            lines.push(MoveLine { component: name.clone(), replicas, once });
        }
    }
    lines
}
