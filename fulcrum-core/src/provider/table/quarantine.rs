//! Quarantine: offers with implausible prices are left out and named.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::model::{Charge, HOURS_PER_MONTH, Offer, OfferKind, Price, ProviderId, SkuId, Tax, Tier};

/// The longest term, in months: a hundred years.
const MAX_TERM_MONTHS: u32 = 1200;

/// An offer that is left out of a catalogue.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[non_exhaustive]
pub struct Quarantined {
    /// The provider.
    pub provider: ProviderId,
    /// The SKU.
    pub sku: SkuId,
    /// The place.
    pub place: String,
    /// The reason.
    pub reason: String,
}

/// Why an offer's price is implausible; `None` if it is plausible.
///
/// Implausible are zero and negative prices, prices beyond a million a month, tiers that do not rise from zero, tax outside
/// 0–100 %, a term beyond a hundred years, and a monthly cap above the sum of the hours or below a tenth of it. The same holds
/// for elastic disk, surcharges and traffic; only traffic, surcharges, networks and
/// what is of kind `other` may be free.
pub fn quarantine_reason(offer: &Offer) -> Option<String> {
    let own = match offer.kind {
        OfferKind::Network => surcharge_reason(&offer.price),
        kind => price_reason(&offer.price, kind == OfferKind::Other),
    };
    own.or_else(|| {
        unit_reason(&offer.elastic_disk.as_ref()?.price, false).map(|why| format!("its disk: {why}"))
    })
    .or_else(|| {
        offer.surcharges.iter().find_map(|surcharge| {
            surcharge_reason(&surcharge.price).map(|why| format!("its {}: {why}", surcharge.sku))
        })
    })
    .or_else(|| unit_reason(offer.egress.as_ref()?, true).map(|why| format!("its traffic: {why}")))
}

/// The highest plausible price, monthly or once.
fn max_price() -> Decimal {
    Decimal::from(1_000_000)
}

/// Checks that apply to every price.
fn common_reason(price: &Price) -> Option<String> {
    if let Tax::Gross { vat_percent } = price.tax
        && !(Decimal::ZERO..=Decimal::ONE_HUNDRED).contains(&vat_percent)
    {
        return Some(format!("its tax of {vat_percent} % is not between 0 and 100 %"));
    }
    if !(Decimal::ZERO..=max_price()).contains(&price.once) {
        return Some(format!("its set-up fee of {} is absurd", price.once));
    }
    if price.term_months > MAX_TERM_MONTHS {
        return Some(format!("its term of {} months is absurd", price.term_months));
    }
    None
}

/// Checks a price per unit that comes with an offer.
fn unit_reason(price: &Price, may_be_free: bool) -> Option<String> {
    let Charge::PerUnit { tiers, .. } = &price.charge else {
        return Some("it is not a price per unit".to_owned());
    };
    common_reason(price).or_else(|| tiers_reason(tiers, price.net_month(1000), may_be_free))
}

/// Of what may be free: a surcharge, or a network.
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
        || tiers.iter().any(|tier| tier.price > max_price())
        || month.is_none_or(|month| month > max_price())
    {
        Some("its price per unit is zero or absurd".to_owned())
    } else {
        None
    }
}

fn price_reason(price: &Price, may_be_free: bool) -> Option<String> {
    let is_sane = |amount: Decimal| amount > Decimal::ZERO && amount <= max_price();
    let Some(month) = price.net_month(1000) else {
        return Some("its price is beyond the range of money".to_owned());
    };
    let own = match &price.charge {
        Charge::Hourly(amount) | Charge::Monthly(amount) if !is_sane(*amount) || month > max_price() => {
            Some(format!("its price of {amount} is zero or absurd"))
        }
        Charge::Hourly(_) | Charge::Monthly(_) => None,
        Charge::HourlyCapped { hourly, monthly } => {
            let hours = hourly.checked_mul(HOURS_PER_MONTH.into()).unwrap_or(max_price());
            // 745 hours: a month of 31 days with the hour that daylight saving gives back.
            let month_at_most = hourly.checked_mul(745.into()).unwrap_or(max_price());
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
