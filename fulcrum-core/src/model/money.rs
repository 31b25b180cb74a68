//! Money: exact decimals at the border, integer micro-units in the engine, never a float.
//!
//! Rounding rules, stated once:
//! * A price stays the decimal that the provider published.
//! * A cost becomes micro-units (a millionth of the currency's main unit) once per price line, rounded
//!   half to even ([`to_micros`]); totals are sums of rounded lines, so that a plan adds up as printed.
//! * Amounts are shown with the currency's own minor digits, or with six if that would hide something.
#![deny(clippy::float_arithmetic)]

use std::fmt;

use iso_currency::Currency;
use rust_decimal::{Decimal, RoundingStrategy, prelude::ToPrimitive};
use serde::{Deserialize, Serialize};

/// Millionths of a currency's main unit. Costs in the engine are at most a thousand million main units.
pub type Micros = i64;

/// Micro-units in one main unit of any currency.
pub const MICROS_PER_UNIT: Micros = 1_000_000;

/// The largest cost of one lease that the engine takes: a thousand million a month. It leaves room to add
/// nine thousand such leases in 64 bits.
pub(crate) const MAX_MICROS: Micros = MAX_UNITS * MICROS_PER_UNIT;

/// The largest amount in a document, either way, in main units of its currency.
const MAX_UNITS: i64 = 1_000_000_000;

/// The largest percentage in a document: a hundredfold.
const MAX_PERCENT: i64 = 10_000;

/// An amount could not be used as money.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Beyond a thousand million, either way.
    #[error("{0} is outside the range of a price; write at most 1000000000")]
    OutOfRange(Decimal),
    /// Two currencies in one sum.
    #[error("cannot add {0} to {1}; convert one of them first")]
    MixedCurrencies(Currency, Currency),
}

/// An exact amount in one currency (ISO 4217).
///
/// ```
/// use fulcrum_core::model::Money;
/// let price = Money::new("12.34".parse()?, iso_currency::Currency::EUR);
/// assert_eq!(price.to_string(), "12.34 EUR");
/// # Ok::<(), rust_decimal::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Money {
    /// In main units of the currency.
    #[serde(with = "crate::model::decimal")]
    #[schemars(with = "crate::model::AnyDecimal")]
    pub amount: Decimal,
    /// ISO 4217.
    #[schemars(with = "String")]
    pub currency: Currency,
}

impl Money {
    /// An amount in main units of a currency.
    pub fn new(amount: Decimal, currency: Currency) -> Self {
        Self { amount, currency }
    }

    /// Adds two amounts of one currency.
    ///
    /// # Errors
    /// [`MoneyError::MixedCurrencies`]: convert one of them first; [`MoneyError::OutOfRange`] on overflow.
    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::MixedCurrencies(other.currency, self.currency));
        }
        let amount = self.amount.checked_add(other.amount).ok_or(MoneyError::OutOfRange(self.amount))?;
        Ok(Self { amount, ..self })
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minor = self.currency.exponent().map_or(2, u32::from);
        let short = self.amount.round_dp(minor);
        let shown = if short == self.amount { short } else { self.amount.round_dp(6).normalize() };
        let digits = shown.scale().max(minor) as usize;
        write!(f, "{shown:.digits$} {}", self.currency.code())
    }
}

/// An amount in micro-units, rounded half to even.
///
/// # Errors
/// [`MoneyError::OutOfRange`] beyond a thousand million main units, either way.
pub fn to_micros(amount: Decimal) -> Result<Micros, MoneyError> {
    amount
        .checked_mul(Decimal::from(MICROS_PER_UNIT))
        .map(|micros| micros.round_dp_with_strategy(0, RoundingStrategy::MidpointNearestEven))
        .and_then(|micros| micros.to_i64())
        .filter(|micros| (-MAX_MICROS..=MAX_MICROS).contains(micros))
        .ok_or(MoneyError::OutOfRange(amount))
}

/// Adds amounts up; `None` beyond the range of a decimal, where an operator would panic.
pub fn checked_sum(amounts: impl IntoIterator<Item = Decimal>) -> Option<Decimal> {
    amounts.into_iter().try_fold(Decimal::ZERO, Decimal::checked_add)
}

/// An amount raised by so many per cent; `None` beyond the range of a decimal.
///
/// ```
/// use fulcrum_core::model::raised;
/// assert_eq!(raised(80.into(), 5.into()), Some(84.into()));
/// ```
pub fn raised(amount: Decimal, percent: Decimal) -> Option<Decimal> {
    amount.checked_add(amount.checked_mul(percent)?.checked_div(Decimal::ONE_HUNDRED)?)
}

/// That an amount of a document is between zero and a thousand million; else what to write.
pub(crate) fn check_amount(amount: Decimal) -> Result<(), String> {
    let is_right = (Decimal::ZERO..=Decimal::from(MAX_UNITS)).contains(&amount);
    if is_right {
        Ok(())
    } else {
        Err(format!("{amount} is not a valid amount of money; write 0 to {MAX_UNITS}"))
    }
}

/// That a percentage of a document is between zero and a hundredfold; else what to write.
pub(crate) fn check_percent(percent: Decimal) -> Result<(), String> {
    let is_right = (Decimal::ZERO..=Decimal::from(MAX_PERCENT)).contains(&percent);
    if is_right {
        Ok(())
    } else {
        Err(format!("{percent} is not a valid percentage; write 0 to {MAX_PERCENT}"))
    }
}

/// Micro-units as a decimal amount; exact.
pub fn from_micros(micros: Micros) -> Decimal {
    Decimal::new(micros, 6).normalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        text.parse().expect("a decimal")
    }

    #[test]
    fn halves_round_to_even() {
        assert_eq!(to_micros(decimal("0.0000005")), Ok(0));
        assert_eq!(to_micros(decimal("0.0000015")), Ok(2));
        assert_eq!(to_micros(decimal("0.0000025")), Ok(2));
        assert_eq!(to_micros(decimal("-0.0000015")), Ok(-2));
    }

    #[test]
    fn amounts_outside_the_range_are_refused() {
        assert!(to_micros(decimal("1000000000")).is_ok());
        assert!(to_micros(decimal("1000000000.000001")).is_err());
        assert!(to_micros(Decimal::MAX).is_err());
        assert!(to_micros(Decimal::MIN).is_err());
    }

    #[test]
    fn micros_survive_a_round_trip() {
        for micros in [0, 1, -1, 999_999, MAX_MICROS] {
            assert_eq!(to_micros(from_micros(micros)), Ok(micros));
        }
    }

    #[test]
    fn small_amounts_are_not_hidden_by_rounding() {
        assert_eq!(Money::new(decimal("0.00042"), Currency::EUR).to_string(), "0.00042 EUR");
        assert_eq!(Money::new(decimal("3"), Currency::EUR).to_string(), "3.00 EUR");
        assert_eq!(Money::new(decimal("300"), Currency::JPY).to_string(), "300 JPY");
    }

    #[test]
    fn sums_beyond_a_decimal_are_none() {
        assert_eq!(checked_sum([Decimal::ONE, Decimal::TWO]), Some(3.into()));
        assert_eq!(checked_sum([]), Some(Decimal::ZERO));
        assert_eq!(checked_sum([Decimal::MAX, Decimal::MAX]), None);
        assert_eq!(raised(Decimal::MAX, Decimal::ONE), None);
        assert_eq!(raised(Decimal::TWO, Decimal::MAX), None);
    }

    #[test]
    fn two_currencies_do_not_add() {
        let euro = Money::new(Decimal::ONE, Currency::EUR);
        let dollar = Money::new(Decimal::ONE, Currency::USD);
        assert_eq!(euro.checked_add(dollar), Err(MoneyError::MixedCurrencies(Currency::USD, Currency::EUR)));
    }
}
