//! Age limits of offers, exchange rates and price tables.

use jiff::{SignedDuration, Timestamp, Unit, civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};

use super::Rates;
use crate::model::{PriceAuthority, Provenance};

/// The host's age limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AgeLimits {
    /// Of the last complete list of a failing provider; older offers are in no plan.
    pub max_offer_age_hours: u32,
    /// Of exchange rates; older ones convert nothing.
    pub max_rates_age_days: u32,
    /// Of prices in dated tables; older ones are left out.
    pub max_table_age_days: u32,
}

/// Prefix of the message about a list that is too old.
pub(super) const TOO_OLD_PREFIX: &str = "its list of";

impl Default for AgeLimits {
    fn default() -> Self {
        Self { max_offer_age_hours: 24, max_rates_age_days: 7, max_table_age_days: 90 }
    }
}

/// The day of a moment, in UTC.
pub(super) fn day_of(moment: Timestamp) -> Date {
    TimeZone::UTC.to_datetime(moment).date()
}

fn days(from: Date, to: Date) -> i64 {
    from.until((Unit::Day, to)).map_or(i64::MAX, |span| span.get_days().into())
}

impl AgeLimits {
    /// Why a provider's list is too old; none if it is not.
    pub(super) fn list_too_old(&self, listed_at: Timestamp, now: Timestamp) -> Option<String> {
        let limit = SignedDuration::from_hours(self.max_offer_age_hours.into());
        (now.duration_since(listed_at) > limit).then(|| {
            let hours = self.max_offer_age_hours;
            format!("{TOO_OLD_PREFIX} {listed_at:.0} is older than max_offer_age_hours, which is {hours}")
        })
    }

    /// Why exchange rates are too old or dated in the future; none if they are not. Rates without a date never are.
    pub fn rates_too_old(&self, rates: &Rates, now: Timestamp) -> Option<String> {
        let date = rates.date?;
        let (age, limit) = (days(date, day_of(now)), self.max_rates_age_days);
        if age < -Provenance::MAX_DAYS_AHEAD {
            return Some(format!(
                "the exchange rates are of {date}, a day to come; give those of a day that was"
            ));
        }
        (age > limit.into()).then(|| {
            format!(
                "the exchange rates are of {date}, {age} days old, and max_rates_age_days is {limit}; give newer ones"
            )
        })
    }

    /// Why a table's price is too old or dated in the future; none if it is not, or not from a table.
    pub(super) fn price_too_old(&self, provenance: &Provenance, now: Timestamp) -> Option<String> {
        if provenance.authority != PriceAuthority::Table {
            return None;
        }
        if let Some(why) = provenance.day_to_come(now) {
            return Some(why);
        }
        let (observed, limit) = (provenance.observed, self.max_table_age_days);
        let age = days(observed, day_of(now));
        (age > limit.into()).then(|| {
            format!(
                "its table's price is of {observed}, {age} days old, and max_table_age_days is {limit}; renew the table"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_of_use_up_to_the_limit() {
        let rates = Rates::from_ecb_csv("Date, USD\n20 November 2026, 1.25\n").expect("rates");
        let at = |text: &str| text.parse::<Timestamp>().expect("a time");
        let ages = AgeLimits::default();
        assert_eq!(ages.rates_too_old(&rates, at("2026-11-27T23:00:00Z")), None);
        let words = ages.rates_too_old(&rates, at("2026-11-28T01:00:00Z")).expect("too old");
        assert!(words.contains("of 2026-11-20, 8 days old") && words.contains("is 7"), "{words}");
        assert_eq!(
            ages.rates_too_old(&rates, at("2026-11-18T00:00:00Z")),
            None,
            "a clock that is late is no age"
        );
        let words = ages.rates_too_old(&rates, at("2026-11-17T23:00:00Z")).expect("to come");
        assert!(words.contains("of 2026-11-20, a day to come"), "{words}");
        let never = Rates::from_ecb_csv("Date, USD\n31 December 9999, 1.25\n").expect("rates");
        assert!(ages.rates_too_old(&never, at("2026-11-20T00:00:00Z")).is_some());
        let price = |day: &str| {
            let (observed, authority) = (day.parse().expect("a day"), PriceAuthority::Table);
            let price = Provenance { source: String::new(), observed, valid_until: None, authority };
            ages.price_too_old(&price, at("2026-11-20T12:00:00Z"))
        };
        assert_eq!((price("2026-11-22"), price("2026-10-01")), (None, None));
        assert!(price("2099-12-31").is_some_and(|words| words.contains("a day to come")));
        assert_eq!(ages.rates_too_old(&Rates::none(), at("2026-11-28T01:00:00Z")), None);
    }
}
