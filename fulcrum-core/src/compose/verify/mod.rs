//! The independent verifier: checks a plan from blueprint and catalogue alone. It shares no code with the search.

mod flows;
mod relations;
mod running;
mod setup;
mod sharing;
mod totals;

use std::collections::{BTreeMap, BTreeSet};

use iso_currency::Currency;
use rust_decimal::{Decimal, prelude::FromPrimitive};

use crate::{
    catalogue::{Catalogue, OfferIx},
    model::{
        Blueprint, Charge, ComponentId, Constraint, FailureDomain, Interface, Lease, LineKind, OfferKind,
        OfferMode, Plan, Price, PricingCategory, digest_of, from_micros, to_micros,
    },
};

/// A condition that a plan violates.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct Violation {
    /// The place in the plan or the blueprint.
    pub place: String,
    /// The violation.
    pub message: String,
}

fn violation<T>(place: impl Into<String>, message: impl Into<String>) -> Result<T, Violation> {
    Err(Violation { place: place.into(), message: message.into() })
}

/// Checks that a plan meets every condition of a blueprint, and adds every price up again.
///
/// Time: O(leases × (constraints + log offers)).
///
/// # Errors
/// The first [`Violation`] found.
pub fn verify(catalogue: &Catalogue, blueprint: &Blueprint, plan: &Plan) -> Result<(), Violation> {
    // Fields of a later minor version are not known here; all others are checked.
    if let Err(error) = plan.check_format() {
        return violation("format", error.message);
    }
    if plan.catalogue_digest != catalogue.digest() {
        return violation("catalogue_digest", "the plan was made from another catalogue");
    }
    if plan.blueprint != blueprint.name || plan.blueprint_digest != digest_of(blueprint) {
        return violation("blueprint_digest", "the plan was made for another blueprint");
    }
    if plan.currency != blueprint.currency {
        return violation("currency", "is not the blueprint's");
    }
    if plan.horizon_months != Some(blueprint.horizon_months)
        && !(plan.is_format_3() && plan.horizon_months.is_none())
    {
        return violation("horizon_months", format!("the blueprint says {}", blueprint.horizon_months));
    }
    let offers = plan
        .leases
        .iter()
        .enumerate()
        .map(|(at, lease)| {
            let found = catalogue.find(&lease.offer);
            found.map_or_else(
                || violation(format!("leases[{at}]"), format!("{} is not in the catalogue", lease.offer)),
                Ok,
            )
        })
        .collect::<Result<Vec<_>, _>>()?;
    if plan.offers == Some(OfferMode::Orderable) {
        let is_listed_only =
            |at: &usize| plan.leases[*at].keeps.is_none() && !catalogue.is_orderable(offers[*at]);
        if let Some(at) = (0..plan.leases.len()).find(is_listed_only) {
            return violation(format!("leases[{at}]"), "its provider only lists it");
        }
    }
    let check = Check { catalogue, blueprint, plan, offers, interfaces: blueprint.interfaces() };
    for at in 0..plan.leases.len() {
        check.lease(at).map_err(|message| Violation { place: format!("leases[{at}]"), message })?;
        check.prices(at).map_err(|message| Violation { place: format!("leases[{at}].lines"), message })?;
    }
    check.sharing()?;
    check.stock()?;
    check.running()?;
    check.replicas()?;
    for (at, constraint) in blueprint.constraints.iter().enumerate() {
        check.constraint(constraint).map_err(|message| Violation {
            place: format!("constraints[{at}].{}", constraint.word()),
            message,
        })?;
    }
    check.relations()?;
    check.setup()?;
    check.flows()?;
    check.totals()?;
    check.rates()
}

struct Check<'a> {
    catalogue: &'a Catalogue,
    blueprint: &'a Blueprint,
    plan: &'a Plan,
    /// For each lease.
    offers: Vec<OfferIx>,
    /// For each component.
    interfaces: Vec<Interface<'a>>,
}

type Checked = Result<(), String>;

fn ensure(is_met: bool, message: impl FnOnce() -> String) -> Checked {
    if is_met { Ok(()) } else { Err(message()) }
}

impl Check<'_> {
    /// The lease is what the offer says, may be used, and holds its replicas.
    fn lease(&self, at: usize) -> Checked {
        let (lease, ix) = (&self.plan.leases[at], self.offers[at]);
        let is_copy = lease.sku == *self.catalogue.sku(ix)
            && lease.kind == self.catalogue.kind(ix)
            && lease.place == *self.catalogue.place(ix)
            && lease.purchase_option == self.catalogue.price(ix).purchase_option
            && lease.term_months == self.catalogue.price(ix).term_months;
        ensure(is_copy, || format!("does not say what offer {} says", lease.offer))?;
        ensure(!lease.replicas.is_empty() && lease.replicas.values().all(|count| *count > 0), || {
            "carries nothing".to_owned()
        })?;
        let is_short_enough =
            lease.keeps.is_some() || self.catalogue.price(ix).term_months <= self.blueprint.horizon_months;
        ensure(is_short_enough, || "has a minimum term beyond the horizon".to_owned())?;
        for name in lease.replicas.keys() {
            let component =
                self.blueprint.components.get(name).ok_or_else(|| format!("carries unknown {name}"))?;
            ensure(component.kind == lease.kind, || format!("{name} needs a {}", component.kind))?;
            let mut global = self.blueprint.filter.clone();
            let mut own = component.filter.clone();
            // The component's markets, otherwise the blueprint's, otherwise on demand.
            let markets = match (own.pricing_categories.is_empty(), global.pricing_categories.is_empty()) {
                (false, _) => own.pricing_categories.clone(),
                (true, false) => global.pricing_categories.clone(),
                (true, true) => vec![PricingCategory::OnDemand],
            };
            global.pricing_categories.clone_from(&markets);
            own.pricing_categories = markets;
            for filter in [&global, &own] {
                if let Some(clause) = self.catalogue.failed_clause(ix, filter) {
                    return Err(format!("{} is not allowed for {name}: {clause}", lease.offer));
                }
            }
            let position = self.blueprint.components.get_index_of(name);
            let interface = position.and_then(|position| self.interfaces.get(position));
            let was_there = self.kept(lease).is_some_and(|service| service.replicas.contains_key(name));
            let unknown = interface.and_then(|interface| match &lease.keeps {
                None => self.catalogue.interface_fault(ix, interface),
                Some(_) if was_there => None,
                Some(_) => self.catalogue.offer_fault(ix, interface),
            });
            if let Some(unknown) = unknown {
                return Err(format!("{} cannot be made for {name}: {unknown}", lease.offer));
            }
            let count = lease.replicas[name];
            ensure(count <= component.per_machine, || format!("carries {count} of {name}"))?;
        }
        if lease.kind != OfferKind::Machine {
            let total = lease.replicas.values().sum::<u32>();
            ensure(total == 1, || "is no machine and carries more than one replica".to_owned())?;
        }
        self.size(lease, ix)
    }

    fn size(&self, lease: &Lease, ix: OfferIx) -> Checked {
        let mut demand: BTreeMap<String, u128> = BTreeMap::new();
        for (name, count) in &lease.replicas {
            let need = self.blueprint.components[name].demand();
            for dimension in need.dimensions() {
                *demand.entry(dimension.to_string()).or_default() +=
                    u128::from(need.along(&dimension)) * u128::from(*count);
            }
        }
        let capacity = self.catalogue.capacity(ix);
        let is_by_size = matches!(self.catalogue.price(ix).charge, Charge::PerUnit { .. });
        let held =
            capacity.dimensions().fold(BTreeMap::new(), |mut held: BTreeMap<String, u128>, dimension| {
                held.insert(dimension.to_string(), capacity.along(&dimension).into());
                held
            });
        for (dimension, need) in demand {
            let mut has = held.get(&dimension).copied().unwrap_or(0);
            if dimension == "disk_gib" {
                has = if is_by_size {
                    lease.size_gib.into()
                } else {
                    u128::saturating_add(has, lease.size_gib.into())
                };
            }
            ensure(has >= need, || format!("has {has} of {dimension}, {need} are needed"))?;
        }
        Ok(())
    }

    /// The lines are the offer's prices.
    fn prices(&self, at: usize) -> Checked {
        let (lease, ix) = (&self.plan.leases[at], self.offers[at]);
        let price = self.catalogue.price(ix);
        let is_by_size = matches!(price.charge, Charge::PerUnit { .. });
        let gib = if is_by_size { lease.size_gib } else { 0 };
        let mut expected = vec![(LineKind::Offer, self.catalogue.sku(ix), price, gib)];
        let is_retained = self.kept(lease).is_some();
        ensure(!is_by_size || gib > 0 || is_retained, || "is a lease of 0 GiB".to_owned())?;
        let mut disk_sku = None;
        if !is_by_size && lease.size_gib > 0 {
            let disk = self.catalogue.elastic_disk(ix).ok_or("buys disk that is not sold")?;
            expected.push((LineKind::Disk, &disk.sku, &disk.price, lease.size_gib));
            disk_sku = Some(&disk.sku);
        }
        ensure(lease.disk_sku.as_ref() == disk_sku, || "names another disk than it pays for".to_owned())?;
        let surcharges = self.catalogue.surcharges(ix).iter();
        expected.extend(surcharges.map(|it| (LineKind::Surcharge, &it.sku, &it.price, 0)));
        ensure(expected.len() == lease.lines.len(), || format!("{} lines are needed", expected.len()))?;
        let running = self.kept(lease);
        for ((kind, sku, price, gib), line) in expected.into_iter().zip(&lease.lines) {
            // Set-up fees of running services and their disks are paid.
            let is_paid = running.is_some_and(|service| kind != LineKind::Disk || service.size_gib > 0);
            ensure(line.sku == *sku && line.kind == kind, || format!("{} is not {sku}", line.sku))?;
            let monthly = self.money(price, price.net_month(gib))?;
            let once = self.money(price, price.net_once())?;
            let (months, payments) = price.payments(self.blueprint.horizon_months);
            let payments = if is_paid { payments.saturating_sub(1) } else { payments };
            let renewals = once.checked_mul(payments.into());
            let total = monthly.checked_mul(months.into()).zip(renewals);
            let total =
                total.and_then(|(months, renewals)| months.checked_add(renewals)).ok_or(totals::FAR)?;
            let once = if is_paid { Decimal::ZERO } else { once };
            ensure(line.total == total, || format!("{sku} costs {total} over the horizon"))?;
            ensure(line.monthly == monthly && line.once == once, || {
                format!(
                    "{sku} costs {monthly} a month and {once} once, not {} and {}",
                    line.monthly, line.once
                )
            })?;
        }
        Ok(())
    }

    fn money(&self, price: &Price, amount: Option<Decimal>) -> Result<Decimal, String> {
        let currency: Currency = self.blueprint.currency;
        let amount =
            amount.and_then(|amount| self.catalogue.rates().convert(amount, price.currency, currency));
        let amount = amount.ok_or_else(|| {
            format!("no exchange rate from {} to {}", price.currency.code(), currency.code())
        })?;
        to_micros(amount).map(from_micros).map_err(|error| error.to_string())
    }

    fn stock(&self) -> Result<(), Violation> {
        let mut used: BTreeMap<OfferIx, u32> = BTreeMap::new();
        let bought = self.plan.leases.iter().zip(&self.offers).filter(|(lease, _)| lease.keeps.is_none());
        for (_, ix) in bought {
            *used.entry(*ix).or_default() += 1;
        }
        match used.iter().find(|(ix, count)| self.catalogue.stock(**ix).is_some_and(|stock| **count > stock))
        {
            Some((ix, count)) => {
                violation("leases", format!("{count} of {}, more than are left", self.catalogue.sku(*ix)))
            }
            None => Ok(()),
        }
    }

    fn n(&self, name: &ComponentId) -> i128 {
        self.plan
            .leases
            .iter()
            .filter_map(|lease| lease.replicas.get(name))
            .map(|count| i128::from(*count))
            .sum::<i128>()
    }

    fn replicas(&self) -> Result<(), Violation> {
        let optional = self.blueprint.optional();
        for (name, component) in &self.blueprint.components {
            let n = self.n(name);
            let is_enough = n >= component.replicas.min.into() || (n == 0 && optional.contains(name));
            if !is_enough || component.replicas.max.is_some_and(|max| n > max.into()) {
                return violation(format!("components.{name}.replicas"), format!("there are {n}"));
            }
        }
        Ok(())
    }

    fn constraint(&self, constraint: &Constraint) -> Checked {
        match constraint {
            Constraint::Count(count) => {
                let sum = count.components.iter().map(|name| self.n(name)).sum::<i128>();
                let low = count.exactly.or(count.min).map(i128::from);
                let high = count.exactly.or(count.max).map(i128::from);
                ensure(is_within(sum, low, high), || format!("the sum is {sum}"))
            }
            Constraint::Ratio(serves) => {
                if serves.when.as_ref().is_some_and(|name| self.n(name) == 0) {
                    return Ok(());
                }
                let (servers, clients) = (self.n(&serves.server), self.n(&serves.client));
                let serve = |servers: i128| {
                    servers * i128::from(serves.clients) >= clients * i128::from(serves.servers)
                };
                ensure(serve(servers), || format!("{servers} servers do not serve {clients} clients"))?;
                ensure(!serves.no_spare || !serve(servers - 1), || "a server is superfluous".to_owned())
            }
            Constraint::Linear(linear) => {
                if linear.when.as_ref().is_some_and(|name| self.n(name) == 0) {
                    return Ok(());
                }
                let sum = linear
                    .terms
                    .iter()
                    .map(|(name, factor)| self.n(name) * i128::from(*factor))
                    .sum::<i128>();
                let (low, high) = (linear.min.map(i128::from), linear.max.map(i128::from));
                ensure(is_within(sum, low, high), || format!("the sum is {sum}"))
            }
            Constraint::OneOf(names) => {
                let deployed = names.iter().filter(|name| self.n(name) > 0).count();
                ensure(deployed == 1, || format!("{deployed} are deployed"))
            }
            // All permissions together are looked at with each lease.
            Constraint::Share(_) => Ok(()),
            Constraint::AntiAffinity(conflict) => self.machines(|lease| {
                !lease.replicas.contains_key(&conflict.component)
                    || !conflict.with.iter().any(|other| lease.replicas.contains_key(other))
            }),
            Constraint::Affinity(colocate) => self.machines(|lease| {
                let mut counts = colocate.components.iter().map(|name| lease.replicas.get(name));
                let first = counts.next();
                first.is_none_or(|first| counts.all(|count| count == first))
            }),
            Constraint::FullDeployment(everywhere) => self.machines(|lease| {
                lease.kind != OfferKind::Machine
                    || lease.replicas.contains_key(&everywhere.component)
                    || everywhere.unless.iter().any(|name| lease.replicas.contains_key(name))
            }),
            Constraint::Spread(spread) => {
                spread.components.iter().filter(|name| self.n(name) > 0).try_for_each(|name| {
                    let places = self.places(name, spread.over);
                    let (k, n) = (places.len(), self.n(name));
                    let word = spread.over.word();
                    ensure(spread.at_least.is_none_or(|least| k >= least as usize), || {
                        format!("{name} is in {k} {word}(s)")
                    })?;
                    let most = places.values().max().copied().unwrap_or(0);
                    let is_shared = spread.max_percent.is_none_or(|percent| {
                        let (most, n) = (Decimal::from_i128(most), Decimal::from_i128(n));
                        most.zip(n).is_some_and(|(most, n)| {
                            most.saturating_mul(Decimal::ONE_HUNDRED) <= percent.saturating_mul(n)
                        })
                    });
                    ensure(is_shared, || format!("{most} of {n} replicas of {name} are in one {word}"))
                })
            }
            Constraint::FaultTolerance(survive) => {
                survive.components.iter().filter(|name| self.n(name) > 0).try_for_each(|name| {
                    let most = self.places(name, survive.loss_of).values().max().copied().unwrap_or(0);
                    let left = self.n(name) - most;
                    ensure(left >= survive.remaining.into(), || {
                        format!("only {left} of {name} are left if one {} vanishes", survive.loss_of.word())
                    })
                })
            }
            Constraint::Limit(limit) => self.limit(limit),
            Constraint::MaxDistinct(distinct) => {
                let places: BTreeSet<String> =
                    self.offers.iter().map(|ix| self.catalogue.place_key(*ix, distinct.over)).collect();
                let k = places.len();
                ensure(k <= distinct.at_most as usize, || format!("{k} {}(s) are used", distinct.over.word()))
            }
        }
    }

    fn machines(&self, is_met: impl Fn(&Lease) -> bool) -> Checked {
        let at = self.plan.leases.iter().position(|lease| !is_met(lease));
        at.map_or(Ok(()), |at| Err(format!("leases[{at}] breaks it")))
    }

    fn places(&self, name: &ComponentId, over: FailureDomain) -> BTreeMap<String, i128> {
        let mut places = BTreeMap::new();
        for (lease, ix) in self.plan.leases.iter().zip(&self.offers) {
            if let Some(count) = lease.replicas.get(name) {
                *places.entry(self.catalogue.place_key(*ix, over)).or_default() += i128::from(*count);
            }
        }
        places
    }
}

fn is_within(sum: i128, low: Option<i128>, high: Option<i128>) -> bool {
    low.is_none_or(|low| sum >= low) && high.is_none_or(|high| sum <= high)
}
