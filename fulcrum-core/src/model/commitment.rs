//! The cost of a price over a horizon. Commitments are calculated here and nowhere else.
#![deny(clippy::float_arithmetic, clippy::arithmetic_side_effects)]

use rust_decimal::Decimal;

use super::{Micros, Price, from_micros, to_micros};

/// What a price comes to over a horizon, net, in main units; each part rounded to micro-units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct CommitmentCost {
    /// Each month.
    pub monthly: Decimal,
    /// At the start; of a commitment each time that it is renewed.
    pub once: Decimal,
    /// All that is paid over the horizon: whole terms, and each renewal with its up-front payment.
    pub total: Decimal,
}

/// What a price comes to over a horizon, in the price's own currency; [`Rates::commitment_cost`] says it in another one.
///
/// `size_gib` is the size for prices per unit and ignored by others. `None` if the arithmetic leaves the range of money.
///
/// ```
/// use fulcrum_core::model::{Price, commitment_cost};
/// // 10 a month for a year at least, and 24 up front each time that the year is renewed.
/// let price: Price = serde_json::from_str(
///     r#"{"charge": {"monthly": "10"}, "once": "24", "currency": "EUR", "purchase_option": {"committed": 12}}"#,
/// )?;
/// let cost = commitment_cost(&price, 0, 13).expect("in range");
/// assert_eq!(cost.monthly, "10".parse().unwrap());
/// assert_eq!(cost.once, "24".parse().unwrap());
/// assert_eq!(cost.total, "288".parse().unwrap()); // two terms: 24 months and two payments
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// [`Rates::commitment_cost`]: crate::catalogue::Rates::commitment_cost
pub fn commitment_cost(price: &Price, size_gib: u64, horizon_months: u32) -> Option<CommitmentCost> {
    Payments::of(price, size_gib, horizon_months, Some)?.cost(false)
}

/// What is paid how often over a horizon, for the search, which adds integers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Payments {
    month: Micros,
    once: Micros,
    months: u32,
    times: u32,
}

impl Payments {
    /// `exchange` takes an amount into the currency that is reckoned in.
    pub(crate) fn of(
        price: &Price,
        size_gib: u64,
        horizon_months: u32,
        exchange: impl Fn(Decimal) -> Option<Decimal>,
    ) -> Option<Self> {
        let month = to_micros(exchange(price.net_month(size_gib)?)?).ok()?;
        let once = to_micros(exchange(price.net_once()?)?).ok()?;
        let (months, times) = price.payments(horizon_months);
        Some(Self { month, once, months, times })
    }

    /// Of what runs already, what was due at its start `is_paid`.
    fn times_due(&self, is_paid: bool) -> u32 {
        self.times.saturating_sub(u32::from(is_paid))
    }

    /// All that is paid over the horizon.
    pub(crate) fn total(&self, is_paid: bool) -> Option<Micros> {
        let once = self.once.checked_mul(self.times_due(is_paid).into())?;
        self.month.checked_mul(self.months.into())?.checked_add(once)
    }

    /// The same as decimals.
    pub(crate) fn cost(&self, is_paid: bool) -> Option<CommitmentCost> {
        let (monthly, once) = (from_micros(self.month), from_micros(self.once));
        let renewals = once.checked_mul(self.times_due(is_paid).into())?;
        let total = monthly.checked_mul(self.months.into())?.checked_add(renewals)?;
        Some(CommitmentCost { monthly, once: if is_paid { Decimal::ZERO } else { once }, total })
    }
}

#[cfg(test)]
mod tests {
    use iso_currency::Currency;

    use super::*;
    use crate::model::{Charge, PricingCategory, PurchaseOption, Tax};

    fn price(market: PricingCategory, term_months: u32) -> Price {
        Price {
            charge: Charge::Monthly(Decimal::TEN),
            once: Decimal::from(7),
            currency: Currency::EUR,
            tax: Tax::Net,
            purchase_option: PurchaseOption::new(market, term_months),
            term_months,
        }
    }

    fn total(price: &Price, horizon: u32) -> Decimal {
        commitment_cost(price, 0, horizon).expect("in range").total
    }

    #[test]
    fn renewals_pay_again_and_setup_fees_do_not() {
        assert_eq!(total(&price(PricingCategory::OnDemand, 0), 13), Decimal::from(137));
        assert_eq!(total(&price(PricingCategory::OnDemand, 12), 13), Decimal::from(247));
        assert_eq!(total(&price(PricingCategory::Committed, 12), 13), Decimal::from(254));
        assert_eq!(total(&price(PricingCategory::Committed, 36), 1), Decimal::from(367));
    }

    #[test]
    fn what_runs_already_has_paid_its_start() {
        let payments = Payments::of(&price(PricingCategory::Committed, 12), 0, 13, Some).expect("in range");
        let cost = payments.cost(true).expect("in range");
        assert_eq!((cost.once, cost.total), (Decimal::ZERO, Decimal::from(247)));
        assert_eq!(payments.total(true), to_micros(cost.total).ok());
    }

    #[test]
    fn amounts_beyond_money_are_none() {
        for amount in [Decimal::MAX, Decimal::MIN, Decimal::from(10_000_000_000_i64)] {
            let price = Price { once: amount, ..price(PricingCategory::OnDemand, 0) };
            assert_eq!(commitment_cost(&price, 0, 12), None);
            let price = Price { charge: Charge::Hourly(amount), once: Decimal::ZERO, ..price };
            assert_eq!(commitment_cost(&price, u64::MAX, 12), None);
        }
        let long = price(PricingCategory::Committed, u32::MAX);
        let dear = Price { charge: Charge::Monthly(Decimal::from(1_000_000_000)), ..long };
        let payments = Payments::of(&dear, 0, 120, Some).expect("each part is in range");
        assert_eq!(payments.total(false), None);
    }
}
