//! Traffic tariffs in whole GiB and micro-units.

use iso_currency::Currency;
use rust_decimal::{Decimal, prelude::ToPrimitive};

use super::Rates;
use crate::model::{Charge, Micros, Price, to_micros};

/// A tariff for traffic in graduated tiers: `(from, price)` for GiB number `from + 1` and later.
///
/// Rounding, stated once: a tier begins at the whole GiB at or below its published start, and the price of one
/// GiB in a tier is rounded half to even to micro-units. All traffic that leaves one provider under one tariff is
/// added up before the tiers are applied.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrafficTariff {
    /// Rising; the first starts at 0.
    pub tiers: Vec<(u64, Micros)>,
}

impl TrafficTariff {
    /// Converts a price per unit to a currency; `None` if it is not a price per unit, or an exchange rate is missing.
    pub fn new(price: &Price, rates: &Rates, currency: Currency) -> Option<Self> {
        let Charge::PerUnit { unit, tiers } = &price.charge else { return None };
        let units_per_gib = unit.quantity_of_gib(1)?;
        let tiers = tiers
            .iter()
            .map(|tier| {
                let from = tier.from.checked_div(units_per_gib)?.floor().to_u64()?;
                let per_gib = tier.price.checked_mul(units_per_gib)?.checked_mul(unit.times_a_month())?;
                let net = rates.convert(price.net(per_gib)?, price.currency, currency)?;
                Some((from, to_micros(net).ok()?))
            })
            .collect::<Option<Vec<_>>>()?;
        tiers.first().is_some_and(|(from, _)| *from == 0).then_some(Self { tiers })
    }

    /// The cost of `gib` a month; `None` on overflow.
    pub fn month(&self, gib: u64) -> Option<Micros> {
        let ends = self.tiers.iter().skip(1).map(|(from, _)| *from).chain([u64::MAX]);
        self.tiers.iter().zip(ends).try_fold(0i64, |sum, ((from, price), end)| {
            let within = gib.min(end).saturating_sub(*from);
            sum.checked_add(price.checked_mul(i64::try_from(within).ok()?)?)
        })
    }

    /// For people: `0 up to 100 GiB, then 0.085`.
    pub fn text(&self) -> String {
        let price = |micros: Micros| Decimal::new(micros, 6).normalize();
        let mut text = price(self.tiers[0].1).to_string();
        for (from, micros) in &self.tiers[1..] {
            text += &format!(" up to {from} GiB, then {}", price(*micros));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{PurchaseOption, Tax, Tier, Unit};

    #[test]
    fn tiers_in_gb_become_tiers_in_gib() {
        let tier = |from: i64, price: i64| Tier { from: from.into(), price: Decimal::new(price, 2) };
        let price = Price {
            charge: Charge::PerUnit {
                unit: Unit::Gb,
                tiers: vec![tier(0, 0), tier(100, 9), tier(10_000, 8)],
            },
            once: Decimal::ZERO,
            currency: Currency::EUR,
            tax: Tax::Net,
            purchase_option: PurchaseOption::OnDemand,
            term_months: 0,
        };
        let tariff = TrafficTariff::new(&price, &Rates::none(), Currency::EUR).expect("a tariff");
        assert_eq!(tariff.tiers, [(0, 0), (93, 96_637), (9313, 85_899)]);
        assert_eq!(tariff.month(93), Some(0));
        assert_eq!(tariff.month(103), Some(966_370));
        assert_eq!(tariff.month(9314), Some(9220 * 96_637 + 85_899));
        assert_eq!(tariff.month(u64::MAX), None);
        assert_eq!(tariff.text(), "0 up to 93 GiB, then 0.096637 up to 9313 GiB, then 0.085899");
    }
}
