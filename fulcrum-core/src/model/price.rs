//! The price of an offer, as its provider publishes it.
#![deny(clippy::float_arithmetic)]

use std::{fmt, str::FromStr};

use iso_currency::Currency;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{PricingCategory, PurchaseOption};

/// Hours in an average month: 365 × 24 / 12. Hourly prices become monthly costs with it.
pub const HOURS_PER_MONTH: u32 = 730;

/// Whether a price contains value added tax.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Tax {
    /// Without value added tax.
    #[default]
    Net,
    /// With value added tax of so many per cent inside.
    Gross {
        /// Per cent of the net price.
        #[serde(with = "crate::model::decimal")]
        #[schemars(with = "crate::model::AnyDecimal")]
        vat_percent: Decimal,
    },
}

/// What a price per unit counts, over one month.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
pub enum Unit {
    /// 10⁹ bytes kept for a month.
    #[serde(rename = "GB-month")]
    GbMonth,
    /// 2³⁰ bytes kept for a month.
    #[serde(rename = "GiB-month")]
    GibMonth,
    /// 10⁹ bytes kept for an hour.
    #[serde(rename = "GB-hour")]
    GbHour,
    /// 2³⁰ bytes kept for an hour.
    #[serde(rename = "GiB-hour")]
    GibHour,
    /// 10⁹ bytes moved.
    #[serde(rename = "GB")]
    Gb,
    /// 2³⁰ bytes moved.
    #[serde(rename = "GiB")]
    Gib,
}

impl Unit {
    const ALL: [(Self, &'static str); 6] = [
        (Self::GbMonth, "GB-month"),
        (Self::GibMonth, "GiB-month"),
        (Self::GbHour, "GB-hour"),
        (Self::GibHour, "GiB-hour"),
        (Self::Gb, "GB"),
        (Self::Gib, "GiB"),
    ];

    /// How many of this unit a number of GiB is, over a month.
    pub(crate) fn quantity_of_gib(self, gib: u64) -> Option<Decimal> {
        // 2^30 / 10^9, exact (IEC 80000-13).
        let gb_per_gib = Decimal::new(1_073_741_824, 9);
        let gib = Decimal::from(gib);
        match self {
            Self::GbMonth | Self::Gb | Self::GbHour => gib.checked_mul(gb_per_gib),
            Self::GibMonth | Self::Gib | Self::GibHour => Some(gib),
        }
    }

    /// How often a month's price holds the unit price.
    pub(crate) fn times_a_month(self) -> Decimal {
        match self {
            Self::GbHour | Self::GibHour => HOURS_PER_MONTH.into(),
            Self::GbMonth | Self::GibMonth | Self::Gb | Self::Gib => Decimal::ONE,
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::ALL.iter().find(|(unit, _)| unit == self).map_or("", |(_, text)| text))
    }
}

impl FromStr for Unit {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.iter().find(|(_, name)| *name == text).map(|(unit, _)| *unit).ok_or_else(|| {
            format!(
                "{text:?} is not a unit of quantity; write GB-month, GiB-month, GB-hour, GiB-hour, GB or GiB"
            )
        })
    }
}

/// A price per unit from a quantity upwards, until the next tier begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// In the price's unit; the first tier starts at zero, later ones rise.
    #[serde(with = "crate::model::decimal")]
    #[schemars(with = "crate::model::AnyDecimal")]
    pub from: Decimal,
    /// Per unit.
    #[serde(with = "crate::model::decimal")]
    #[schemars(with = "crate::model::AnyDecimal")]
    pub price: Decimal,
}

/// How an offer is charged.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Charge {
    /// Every hour.
    Hourly(
        #[serde(with = "crate::model::decimal")]
        #[schemars(with = "crate::model::AnyDecimal")]
        Decimal,
    ),
    /// Every month.
    Monthly(
        #[serde(with = "crate::model::decimal")]
        #[schemars(with = "crate::model::AnyDecimal")]
        Decimal,
    ),
    /// Every hour, but at most so much a month.
    HourlyCapped {
        /// Per hour.
        #[serde(with = "crate::model::decimal")]
        #[schemars(with = "crate::model::AnyDecimal")]
        hourly: Decimal,
        /// The most that a month costs.
        #[serde(with = "crate::model::decimal")]
        #[schemars(with = "crate::model::AnyDecimal")]
        monthly: Decimal,
    },
    /// By quantity, in graduated tiers: each part of the quantity at the price of its own tier.
    PerUnit {
        /// What is counted.
        unit: Unit,
        /// At least one; see [`Tier`].
        tiers: Vec<Tier>,
    },
    /// Once and never again.
    Once,
}

/// A published price.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(try_from = "PriceDocument")]
#[schemars(!try_from)]
#[schemars(deny_unknown_fields)]
pub struct Price {
    /// How it is charged.
    pub charge: Charge,
    /// Set-up fee or one-off price, in main units.
    #[serde(default, with = "crate::model::decimal", skip_serializing_if = "Decimal::is_zero")]
    #[schemars(with = "crate::model::AnyDecimal")]
    pub once: Decimal,
    /// ISO 4217.
    #[schemars(with = "String")]
    pub currency: Currency,
    /// Net or gross.
    #[serde(default)]
    pub tax: Tax,
    /// On demand, spot, or committed for so many months.
    #[serde(default)]
    pub purchase_option: PurchaseOption,
    /// Months that must be paid at least; 0 for none. Of a commitment its own term.
    #[serde(default)]
    pub term_months: u32,
}

/// A price as documents have it: those from before plan format 4 say `market` and `term_months`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PriceDocument {
    charge: Charge,
    #[serde(default, with = "crate::model::decimal")]
    once: Decimal,
    currency: Currency,
    #[serde(default)]
    tax: Tax,
    #[serde(default)]
    purchase_option: Option<PurchaseOption>,
    #[serde(default)]
    market: Option<PricingCategory>,
    #[serde(default)]
    term_months: u32,
}

impl TryFrom<PriceDocument> for Price {
    type Error = String;

    fn try_from(read: PriceDocument) -> Result<Self, String> {
        let PriceDocument { charge, once, currency, tax, purchase_option, market, term_months } = read;
        let purchase_option = match (purchase_option, market) {
            (Some(option), None) => option,
            (None, market) => PurchaseOption::new(market.unwrap_or_default(), term_months),
            (Some(_), Some(_)) => return Err("write purchase_option, and leave `market` out".to_owned()),
        };
        Price { charge, once, currency, tax, purchase_option, term_months }.with_term_of_option()
    }
}

/// How many months are paid over a horizon, and how often the start.
pub(crate) fn payments(option: PurchaseOption, term_months: u32, horizon_months: u32) -> (u32, u32) {
    if term_months == 0 {
        return (horizon_months, 1);
    }
    let terms = horizon_months.div_ceil(term_months).max(1);
    (terms.saturating_mul(term_months), if option.is_committed() { terms } else { 1 })
}

impl Price {
    /// The price with the commitment's term as its own.
    ///
    /// # Errors
    /// In words: two terms are given that differ, or a commitment has none.
    pub(crate) fn with_term_of_option(mut self) -> Result<Self, String> {
        match (self.purchase_option.committed_months(), self.term_months) {
            (Some(0), _) => return Err("a commitment has a term; write { committed: 12 }, say".to_owned()),
            (Some(months), 0) => self.term_months = months,
            (Some(months), term) if months != term => {
                return Err(format!(
                    "it is committed for {months} months and has a term of {term}; write one of them"
                ));
            }
            _ => {}
        }
        Ok(self)
    }

    /// What a month costs, net, in main units; `gib` is the size for prices per unit and ignored by others.
    ///
    /// `None` if the arithmetic leaves the range of a decimal.
    pub fn net_month(&self, gib: u64) -> Option<Decimal> {
        let hours = Decimal::from(HOURS_PER_MONTH);
        let amount = match &self.charge {
            Charge::Hourly(hourly) => hourly.checked_mul(hours)?,
            Charge::Monthly(monthly) => *monthly,
            Charge::HourlyCapped { hourly, monthly } => hourly.checked_mul(hours)?.min(*monthly),
            Charge::PerUnit { unit, tiers } => {
                graduated(tiers, unit.quantity_of_gib(gib)?)?.checked_mul(unit.times_a_month())?
            }
            Charge::Once => Decimal::ZERO,
        };
        self.net(amount)
    }

    /// How many months and how many times the one-off part are paid over a horizon. A commitment is renewed until
    /// the end of the horizon, its up-front payment with it; a set-up fee is paid once.
    pub fn payments(&self, horizon_months: u32) -> (u32, u32) {
        payments(self.purchase_option, self.term_months, horizon_months)
    }

    /// The one-off part, net, in main units.
    pub fn net_once(&self) -> Option<Decimal> {
        self.net(self.once)
    }

    pub(crate) fn net(&self, amount: Decimal) -> Option<Decimal> {
        match self.tax {
            Tax::Net => Some(amount),
            Tax::Gross { vat_percent } => {
                let hundred = Decimal::ONE_HUNDRED;
                amount.checked_mul(hundred)?.checked_div(hundred.checked_add(vat_percent)?)
            }
        }
    }
}

/// The cost of a quantity under graduated tiers.
fn graduated(tiers: &[Tier], quantity: Decimal) -> Option<Decimal> {
    let ends = tiers.iter().skip(1).map(|tier| Some(tier.from)).chain([None]);
    tiers.iter().zip(ends).try_fold(Decimal::ZERO, |sum, (tier, end)| {
        let within = end.map_or(quantity, |end| end.min(quantity)).checked_sub(tier.from)?;
        if within.is_sign_negative() { Some(sum) } else { sum.checked_add(within.checked_mul(tier.price)?) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(charge: Charge) -> Price {
        Price {
            charge,
            once: Decimal::ZERO,
            currency: Currency::EUR,
            tax: Tax::Net,
            purchase_option: PurchaseOption::OnDemand,
            term_months: 0,
        }
    }

    fn decimal(text: &str) -> Decimal {
        text.parse().expect("a decimal")
    }

    #[test]
    fn a_capped_price_never_exceeds_its_month() {
        let capped = price(Charge::HourlyCapped { hourly: decimal("0.01"), monthly: decimal("5") });
        assert_eq!(capped.net_month(0), Some(decimal("5")));
        let low = price(Charge::HourlyCapped { hourly: decimal("0.001"), monthly: decimal("5") });
        assert_eq!(low.net_month(0), Some(decimal("0.730")));
    }

    #[test]
    fn each_part_of_a_quantity_pays_its_own_tier() {
        let tiers = vec![
            Tier { from: decimal("0"), price: decimal("0") },
            Tier { from: decimal("10"), price: decimal("2") },
            Tier { from: decimal("20"), price: decimal("1") },
        ];
        let tiered = price(Charge::PerUnit { unit: Unit::GibMonth, tiers });
        assert_eq!(tiered.net_month(5), Some(decimal("0")));
        assert_eq!(tiered.net_month(15), Some(decimal("10")));
        assert_eq!(tiered.net_month(25), Some(decimal("25")));
    }

    #[test]
    fn a_gib_costs_more_than_a_gb() {
        let tiers = vec![Tier { from: Decimal::ZERO, price: Decimal::ONE }];
        let per_gb = price(Charge::PerUnit { unit: Unit::GbMonth, tiers });
        assert_eq!(per_gb.net_month(1), Some(decimal("1.073741824")));
    }

    #[test]
    fn gross_prices_lose_their_tax() {
        let gross = Price {
            tax: Tax::Gross { vat_percent: decimal("19") },
            ..price(Charge::Monthly(decimal("11.9")))
        };
        assert_eq!(gross.net_month(0), Some(decimal("10")));
    }

    #[test]
    fn an_absurd_price_is_no_panic() {
        assert_eq!(price(Charge::Hourly(Decimal::MAX)).net_month(0), None);
    }
}
