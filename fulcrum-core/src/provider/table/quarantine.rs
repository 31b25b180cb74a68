//! Prices that nobody should be sold at: left out, and named.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::model::{Charge, HOURS_PER_MONTH, Offer, OfferKind, Price, ProviderId, SkuId, Tier};

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
/// percentage, and a monthly cap above what the hours add up to or below a tenth of it; the same of further disk and
/// of traffic, which alone may be free.
pub fn quarantine_reason(offer: &Offer) -> Option<String> {
    price_reason(offer)
        .or_else(|| {
            unit_reason(&offer.elastic_disk.as_ref()?.price, false).map(|why| format!("its disk: {why}"))
        })
        .or_else(|| unit_reason(offer.egress.as_ref()?, true).map(|why| format!("its traffic: {why}")))
}

/// The same of a price per unit that comes with an offer.
fn unit_reason(price: &Price, may_be_free: bool) -> Option<String> {
    let Charge::PerUnit { tiers, .. } = &price.charge else {
        return Some("it is no price per unit".to_owned());
    };
    tiers_reason(tiers, price.net_month(1000), may_be_free).or_else(|| {
        (price.once.is_sign_negative() && !price.once.is_zero()).then(|| "it pays at the start".to_owned())
    })
}

fn tiers_reason(tiers: &[Tier], month: Option<Decimal>, may_be_free: bool) -> Option<String> {
    let is_rising =
        tiers.first().is_some_and(|tier| tier.from.is_zero()) && tiers.is_sorted_by(|a, b| a.from < b.from);
    if !is_rising || tiers.iter().any(|tier| tier.price.is_sign_negative() && !tier.price.is_zero()) {
        Some("its tiers do not rise from zero, or one is negative".to_owned())
    } else if !may_be_free && tiers.iter().all(|tier| tier.price.is_zero())
        || month.is_none_or(|month| month > Decimal::from(1_000_000))
    {
        Some("its price per unit is zero or absurd".to_owned())
    } else {
        None
    }
}

fn price_reason(offer: &Offer) -> Option<String> {
    let price = &offer.price;
    let million = Decimal::from(1_000_000);
    let is_sane = |amount: Decimal| amount > Decimal::ZERO && amount <= million;
    let Some(month) = price.net_month(1000) else {
        return Some("its price is beyond the range of money".to_owned());
    };
    if price.once.is_sign_negative() && !price.once.is_zero() || price.once > million {
        return Some(format!("its set-up fee of {} is absurd", price.once));
    }
    match &price.charge {
        Charge::Hourly(amount) | Charge::Monthly(amount) if !is_sane(*amount) || month > million => {
            Some(format!("its price of {amount} is zero or absurd"))
        }
        Charge::Hourly(_) | Charge::Monthly(_) => None,
        Charge::HourlyCapped { hourly, monthly } => {
            let hours = hourly.checked_mul(HOURS_PER_MONTH.into()).unwrap_or(million);
            // 745 hours: a month of 31 days with the hour that daylight saving gives back.
            let most = hourly.checked_mul(745.into()).unwrap_or(million);
            if !is_sane(*hourly) || !is_sane(*monthly) {
                Some(format!("its price of {hourly} an hour, {monthly} a month is zero or absurd"))
            } else if *monthly > most || monthly.saturating_mul(Decimal::TEN) < hours {
                Some(format!("its month at {monthly} does not fit its hour at {hourly}"))
            } else {
                None
            }
        }
        Charge::PerUnit { tiers, .. } => tiers_reason(tiers, Some(month), false),
        Charge::Once if !is_sane(price.once) && offer.kind != OfferKind::Other => {
            Some("it has no price".to_owned())
        }
        Charge::Once => None,
    }
}
