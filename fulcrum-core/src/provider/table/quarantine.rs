//! Prices that nobody should be sold at: left out, and named.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::model::{Charge, HOURS_PER_MONTH, Offer, OfferKind, Price, ProviderId, SkuId, Tax, Tier};

/// The longest term, in months: a hundred years.
const MAX_TERM: u32 = 1200;

/// An offer that was left out of a catalogue.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Quarantined {
    /// Whose.
    pub provider: ProviderId,
    /// Which.
    pub sku: SkuId,
    /// Where.
    pub place: String,
    /// Why.
    pub reason: String,
}

/// Why an offer's price is not to be trusted; `None` if it looks sane.
///
/// Zero and negative prices, prices beyond a million a month, tiers that do not rise from zero, tax that is no
/// percentage, a term beyond a hundred years, and a monthly cap above what the hours add up to or below a tenth of it; the
/// same of further disk, of surcharges and of traffic. Traffic and surcharges alone may be free.
pub fn quarantine_reason(offer: &Offer) -> Option<String> {
    price_reason(&offer.price, offer.kind == OfferKind::Other)
        .or_else(|| {
            unit_reason(&offer.elastic_disk.as_ref()?.price, false).map(|why| format!("its disk: {why}"))
        })
        .or_else(|| {
            offer.surcharges.iter().find_map(|surcharge| {
                surcharge_reason(&surcharge.price).map(|why| format!("its {}: {why}", surcharge.sku))
            })
        })
        .or_else(|| unit_reason(offer.egress.as_ref()?, true).map(|why| format!("its traffic: {why}")))
}

/// The most that anything costs, a month or once.
fn most() -> Decimal {
    Decimal::from(1_000_000)
}

/// What must hold of every price, however it is charged.
fn common_reason(price: &Price) -> Option<String> {
    if let Tax::Gross { vat_percent } = price.tax
        && !(Decimal::ZERO..=Decimal::ONE_HUNDRED).contains(&vat_percent)
    {
        return Some(format!("its tax of {vat_percent} % is no percentage"));
    }
    if !(Decimal::ZERO..=most()).contains(&price.once) {
        return Some(format!("its set-up fee of {} is absurd", price.once));
    }
    if price.term_months > MAX_TERM {
        return Some(format!("its term of {} months is absurd", price.term_months));
    }
    None
}

/// The same of a price per unit that comes with an offer.
fn unit_reason(price: &Price, may_be_free: bool) -> Option<String> {
    let Charge::PerUnit { tiers, .. } = &price.charge else {
        return Some("it is not a price per unit".to_owned());
    };
    common_reason(price).or_else(|| tiers_reason(tiers, price.net_month(1000), may_be_free))
}

fn surcharge_reason(price: &Price) -> Option<String> {
    match &price.charge {
        Charge::PerUnit { .. } => Some("it is a price per unit".to_owned()),
        Charge::Hourly(amount) | Charge::Monthly(amount) if amount.is_zero() => common_reason(price),
        _ => price_reason(price, true),
    }
}

fn tiers_reason(tiers: &[Tier], month: Option<Decimal>, may_be_free: bool) -> Option<String> {
    let is_rising =
        tiers.first().is_some_and(|tier| tier.from.is_zero()) && tiers.is_sorted_by(|a, b| a.from < b.from);
    if !is_rising || tiers.iter().any(|tier| tier.price < Decimal::ZERO) {
        Some("its tiers do not rise from zero, or one is negative".to_owned())
    } else if !may_be_free && tiers.iter().all(|tier| tier.price.is_zero())
        || tiers.iter().any(|tier| tier.price > most())
        || month.is_none_or(|month| month > most())
    {
        Some("its price per unit is zero or absurd".to_owned())
    } else {
        None
    }
}

fn price_reason(price: &Price, may_be_free: bool) -> Option<String> {
    let is_sane = |amount: Decimal| amount > Decimal::ZERO && amount <= most();
    let Some(month) = price.net_month(1000) else {
        return Some("its price is beyond the range of money".to_owned());
    };
    let own = match &price.charge {
        Charge::Hourly(amount) | Charge::Monthly(amount) if !is_sane(*amount) || month > most() => {
            Some(format!("its price of {amount} is zero or absurd"))
        }
        Charge::Hourly(_) | Charge::Monthly(_) => None,
        Charge::HourlyCapped { hourly, monthly } => {
            let hours = hourly.checked_mul(HOURS_PER_MONTH.into()).unwrap_or(most());
            // 745 hours: a month of 31 days with the hour that daylight saving gives back.
            let month_at_most = hourly.checked_mul(745.into()).unwrap_or(most());
            if !is_sane(*hourly) || !is_sane(*monthly) {
                Some(format!("its price of {hourly} an hour, {monthly} a month is zero or absurd"))
            } else if *monthly > month_at_most || monthly.saturating_mul(Decimal::TEN) < hours {
                Some(format!("its month at {monthly} does not fit its hour at {hourly}"))
            } else {
                None
            }
        }
        Charge::PerUnit { tiers, .. } => tiers_reason(tiers, Some(month), false),
        Charge::Once if !is_sane(price.once) && !may_be_free => Some("it has no price".to_owned()),
        Charge::Once => None,
    };
    common_reason(price).or(own)
}
