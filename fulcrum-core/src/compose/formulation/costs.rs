//! What offers, disks and surcharges cost over the horizon.

use rust_decimal::Decimal;

use super::problem::{Candidate, Problem};
use crate::{
    catalogue::OfferIx,
    compose::objective::{Cost, MICROS_PER_UNIT, per_month},
    model::{Charge, Price},
};

impl Problem<'_> {
    /// The cost of a machine over the horizon with so much disk in all, and the GiB bought for it. A running machine
    /// keeps its disk.
    pub(crate) fn machine_cost(&self, candidate: &Candidate, disk_gib: u64) -> Option<(Cost, u64)> {
        let further = disk_gib.saturating_sub(self.disk_gib(candidate));
        let Some(group) = candidate.retained().map(|at| &self.running[at]) else {
            let cost = candidate.base.checked_add(self.disk_cost(candidate.offer, further)?)?;
            return Some((cost, further));
        };
        let size_gib = further.max(group.size_gib);
        if size_gib == 0 {
            return Some((candidate.base, 0));
        }
        let disk = &self.catalogue.elastic_disk(candidate.offer)?.price;
        let disk = self.paid_cost(disk, size_gib, group.size_gib > 0)?;
        Some((candidate.base.checked_add(disk)?, size_gib))
    }

    /// The cost of an offer over the horizon; `gib` is the size for prices per unit. Each part is rounded to
    /// micro-units, as in a price line.
    pub(crate) fn cost(&self, ix: OfferIx, gib: u64) -> Option<Cost> {
        Some(self.discounted(ix, self.base_cost(ix, gib, false)?))
    }

    /// The cost after the discount that the stage supposes, rounded down.
    pub(super) fn discounted(&self, ix: OfferIx, cost: Cost) -> Cost {
        match &self.stage.discount {
            Some((provider, millionths)) if self.catalogue.place(ix).provider == *provider => {
                let rest =
                    i128::from(cost) * i128::from(MICROS_PER_UNIT - millionths) / i128::from(MICROS_PER_UNIT);
                i64::try_from(rest).unwrap_or(cost) // it lies between 0 and the cost
            }
            _ => cost,
        }
    }

    /// The cost of an offer and its surcharges. A running service does not pay again for its start.
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

    /// The cost of a price. If it was paid before, set-up fees are left out.
    pub(crate) fn paid_cost(&self, price: &Price, gib: u64, is_paid: bool) -> Option<Cost> {
        let currency = self.blueprint.currency;
        let horizon = self.blueprint.horizon_months;
        self.catalogue.rates().payments(price, gib, horizon, currency)?.total(is_paid)
    }

    /// The cost of further disk over the horizon; `None` if the offer sells none.
    pub(crate) fn disk_cost(&self, ix: OfferIx, gib: u64) -> Option<Cost> {
        if gib == 0 {
            return Some(0);
        }
        Some(self.discounted(ix, self.cost_of(&self.catalogue.elastic_disk(ix)?.price, gib)?))
    }

    /// A lower bound on the cost of each GiB of further disk: the price of a GiB, if there is one tier.
    pub(super) fn least_gib_cost(&self, ix: OfferIx) -> Cost {
        const SAMPLE_GIB: u64 = 1 << 20;
        let price = self.catalogue.elastic_disk(ix).map(|disk| &disk.price);
        match price.map(|price| &price.charge) {
            Some(Charge::PerUnit { tiers, .. }) if tiers.len() == 1 => {
                // Rounding takes at most half a micro-unit off each month.
                let sampled = self.disk_cost(ix, SAMPLE_GIB).unwrap_or(0) / SAMPLE_GIB.cast_signed();
                (sampled - 1).max(0)
            }
            _ => 0,
        }
    }

    pub(crate) fn gib_cost(&self, candidate: &Candidate) -> Cost {
        // The disk's set-up fee may be paid already, or its price may be discounted.
        if candidate.retained().is_some() || self.stage.discount.is_some() {
            return 0;
        }
        self.gib_costs.get(&candidate.disk).copied().unwrap_or(0)
    }
}

/// A value over the horizon as a value per month in the objective's unit, rounded to millionths.
pub(crate) fn monthly(problem: &Problem<'_>, value: i128) -> Decimal {
    per_month(&problem.stage, problem.blueprint.horizon_months, value)
}
