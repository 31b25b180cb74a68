//! What offers, disks and surcharges cost over the horizon.

use rust_decimal::Decimal;

use super::problem::{Candidate, Problem};
use crate::{
    catalogue::OfferIx,
    compose::objective::{Cost, MICRO, per_month},
    model::{Charge, Price},
};

impl Problem<'_> {
    /// What a machine costs over the horizon with so much disk in all, and the GiB bought for it. One that runs
    /// already keeps the disk that it has.
    pub(crate) fn machine_cost(&self, candidate: &Candidate, disk_gib: u64) -> Option<(Cost, u64)> {
        let further = disk_gib.saturating_sub(self.disk_gib(candidate));
        let Some(alike) = candidate.keeps().map(|at| &self.running[at]) else {
            let cost = candidate.base.checked_add(self.disk_cost(candidate.offer, further)?)?;
            return Some((cost, further));
        };
        let size_gib = further.max(alike.size_gib);
        if size_gib == 0 {
            return Some((candidate.base, 0));
        }
        let disk = &self.catalogue.elastic_disk(candidate.offer)?.price;
        let disk = self.paid_cost(disk, size_gib, alike.size_gib > 0)?;
        Some((candidate.base.checked_add(disk)?, size_gib))
    }

    /// What an offer costs over the horizon; `gib` is the size for prices per unit. Each part is rounded to
    /// micro-units as a price line is.
    pub(crate) fn cost(&self, ix: OfferIx, gib: u64) -> Option<Cost> {
        Some(self.discounted(ix, self.base_cost(ix, gib, false)?))
    }

    /// With the discount that the aim supposes, rounded down.
    pub(super) fn discounted(&self, ix: OfferIx, cost: Cost) -> Cost {
        match &self.aim.discount {
            Some((provider, millionths)) if self.catalogue.place(ix).provider == *provider => {
                let rest = i128::from(cost) * i128::from(MICRO - millionths) / i128::from(MICRO);
                i64::try_from(rest).unwrap_or(cost) // it lies between 0 and the cost
            }
            _ => cost,
        }
    }

    /// What an offer and its surcharges come to; if it runs already, without what was due at the start.
    pub(crate) fn base_cost(&self, ix: OfferIx, gib: u64, is_paid: bool) -> Option<Cost> {
        let own = self.paid_cost(self.catalogue.price(ix), gib, is_paid)?;
        let surcharges = self.catalogue.surcharges(ix).iter();
        surcharges
            .map(|it| self.paid_cost(&it.price, 0, is_paid))
            .try_fold(own, |sum, cost| sum.checked_add(cost?))
    }

    fn cost_of(&self, price: &Price, gib: u64) -> Option<Cost> {
        self.paid_cost(price, gib, false)
    }

    /// What a price comes to; if it has been paid before, without what is due at the start.
    pub(crate) fn paid_cost(&self, price: &Price, gib: u64, is_paid: bool) -> Option<Cost> {
        let currency = self.blueprint.currency;
        let horizon = self.blueprint.horizon_months;
        self.catalogue.rates().payments(price, gib, horizon, currency)?.total(is_paid)
    }

    /// What so many GiB of further disk cost over the horizon; `None` if the offer sells none.
    pub(crate) fn disk_cost(&self, ix: OfferIx, gib: u64) -> Option<Cost> {
        if gib == 0 {
            return Some(0);
        }
        Some(self.discounted(ix, self.cost_of(&self.catalogue.elastic_disk(ix)?.price, gib)?))
    }

    /// What each GiB of further disk costs at least over the horizon: the price of a GiB if there is one tier.
    pub(super) fn least_gib_cost(&self, ix: OfferIx) -> Cost {
        const MANY: u64 = 1 << 20;
        let price = self.catalogue.elastic_disk(ix).map(|disk| &disk.price);
        match price.map(|price| &price.charge) {
            Some(Charge::PerUnit { tiers, .. }) if tiers.len() == 1 => {
                // Rounding takes half a micro-unit off a month at most.
                let many = self.disk_cost(ix, MANY).unwrap_or(0) / MANY.cast_signed();
                (many - 1).max(0)
            }
            _ => 0,
        }
    }

    pub(crate) fn gib_cost(&self, candidate: &Candidate) -> Cost {
        // What is due at the start of a disk may be paid, or its price be supposed to be lower.
        if candidate.keeps().is_some() || self.aim.discount.is_some() {
            return 0;
        }
        self.gib_costs.get(&candidate.disk).copied().unwrap_or(0)
    }
}

/// A figure over the horizon as a month's in the unit of what is minimised, rounded to millionths.
pub(crate) fn a_month(problem: &Problem<'_>, value: i128) -> Decimal {
    per_month(&problem.aim, problem.blueprint.horizon_months, value)
}
