//! Assumptions of a blueprint that no price list carries: round-trip times and emissions.

use std::collections::BTreeMap;

use rust_decimal::{Decimal, prelude::ToPrimitive};
use serde::{Deserialize, Serialize};

use super::{Coordinates, CountryCode, HOURS_PER_MONTH, Place, Resources};

/// Assumptions of a blueprint; part of it, so that a plan can be checked against them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Assume")]
#[non_exhaustive]
pub struct Assumptions {
    /// How round trips are estimated where none was measured.
    pub latency: LatencyModel,
    /// How much is emitted; needed by the measure `carbon`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub carbon: Option<CarbonModel>,
}

/// Round trips: measured ones where there are any, else derived from the distance.
///
/// The defaults: light in fibre needs 10 µs a kilometre there and back (refractive index 1.47; ITU-T G.652),
/// and routes are about half as long again as the great circle; 1 ms for the equipment at both ends, and half a
/// millisecond inside a region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct LatencyModel {
    /// Microseconds of every round trip that leaves a region.
    pub base_us: u32,
    /// Microseconds for each kilometre of the great circle.
    pub us_per_km: u32,
    /// Microseconds inside one region.
    pub local_us: u32,
    /// Measured round trips; they come before those derived.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pairs: Vec<MeasuredLatency>,
}

impl Default for LatencyModel {
    fn default() -> Self {
        Self { base_us: 1000, us_per_km: 15, local_us: 500, pairs: Vec::new() }
    }
}

/// One measured round trip, in both directions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MeasuredLatency {
    /// A region as `provider/region`, or the name of a user group.
    pub a: String,
    /// The other end of the round trip, in the same form.
    pub b: String,
    /// The round trip in microseconds.
    pub us: u32,
}

/// The end of a round trip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndPoint {
    /// `provider/region`, or the name of a user group.
    pub name: String,
    /// Where it is, if known.
    pub at: Option<Coordinates>,
}

impl EndPoint {
    /// The region of a place.
    pub fn of(place: &Place) -> Self {
        Self { name: format!("{}/{}", place.provider, place.region), at: place.coordinates }
    }
}

impl LatencyModel {
    /// The round trip between two ends in microseconds; `None` if nothing is known of it.
    pub fn round_trip_us(&self, a: &EndPoint, b: &EndPoint) -> Option<u32> {
        let is_pair = |pair: &&MeasuredLatency| {
            (pair.a == a.name && pair.b == b.name) || (pair.a == b.name && pair.b == a.name)
        };
        if let Some(pair) = self.pairs.iter().find(is_pair) {
            return Some(pair.us);
        }
        if a.name == b.name {
            return Some(self.local_us);
        }
        let km = a.at?.distance_km(&b.at?)?;
        Some(self.base_us.saturating_add(self.us_per_km.saturating_mul(km)))
    }
}

/// Emissions of what is leased: power by size, times the hours of a month, times the grid's intensity.
///
/// The method is that of ISO/IEC 21031 (Software Carbon Intensity), operational part, location based.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct CarbonModel {
    /// Grams CO₂e for each kWh, by country. An offer in another country cannot be used where carbon counts.
    #[serde(with = "decimals")]
    #[schemars(with = "BTreeMap<CountryCode, crate::model::AnyDecimal>")]
    pub g_per_kwh: BTreeMap<CountryCode, Decimal>,
    /// Watts of one virtual CPU.
    #[serde(default, with = "crate::model::decimal")]
    #[schemars(with = "crate::model::AnyDecimal")]
    pub watts_per_vcpu: Decimal,
    /// Watts of one GiB of memory.
    #[serde(default, with = "crate::model::decimal")]
    #[schemars(with = "crate::model::AnyDecimal")]
    pub watts_per_gib_memory: Decimal,
    /// Watts of one TiB of disk or storage.
    #[serde(default, with = "crate::model::decimal")]
    #[schemars(with = "crate::model::AnyDecimal")]
    pub watts_per_tib_disk: Decimal,
    /// Watts of one graphics processor.
    #[serde(default, with = "crate::model::decimal")]
    #[schemars(with = "crate::model::AnyDecimal")]
    pub watts_per_gpu: Decimal,
    /// Power usage effectiveness of the data centres (ISO/IEC 30134-2); 1 or more.
    #[serde(default = "one", with = "crate::model::decimal")]
    #[schemars(with = "crate::model::AnyDecimal")]
    pub pue: Decimal,
}

fn one() -> Decimal {
    Decimal::ONE
}

impl CarbonModel {
    /// Milligrams CO₂e a month of a lease in a country, rounded half to even; `None` if the country's grid is
    /// not known or the figure is absurd.
    pub fn month_mg(&self, country: CountryCode, capacity: &Resources, bought_gib: u64) -> Option<i64> {
        let intensity = self.g_per_kwh.get(&country)?;
        let disk = Decimal::from(capacity.disk_gib.checked_add(bought_gib)?);
        let watts = [
            (self.watts_per_vcpu, Decimal::new(capacity.vcpu_milli.into(), 3)),
            (self.watts_per_gib_memory, Decimal::from(capacity.memory_mib).checked_div(1024.into())?),
            (self.watts_per_tib_disk, disk.checked_div(1024.into())?),
            (self.watts_per_gpu, Decimal::from(capacity.gpu)),
        ]
        .into_iter()
        .try_fold(Decimal::ZERO, |sum, (watts, size)| sum.checked_add(watts.checked_mul(size)?))?;
        // W × h × g/kWh are milligrams.
        let mg = watts.checked_mul(HOURS_PER_MONTH.into())?.checked_mul(self.pue)?.checked_mul(*intensity)?;
        mg.round_dp(0).to_i64().filter(|mg| (0..=1_000_000_000_000_000).contains(mg))
    }

    pub(super) fn check(&self) -> Result<(), String> {
        let figures =
            [self.watts_per_vcpu, self.watts_per_gib_memory, self.watts_per_tib_disk, self.watts_per_gpu];
        let is_sane = |figure: &Decimal| (Decimal::ZERO..=Decimal::from(100_000)).contains(figure);
        if !figures.iter().chain(self.g_per_kwh.values()).all(is_sane) {
            return Err("write figures from 0 to 100000".to_owned());
        }
        if !(Decimal::ONE..=Decimal::from(10)).contains(&self.pue) {
            return Err("write a pue from 1 to 10".to_owned());
        }
        Ok(())
    }
}

mod decimals {
    use std::collections::BTreeMap;

    use rust_decimal::Decimal;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::model::CountryCode;

    #[derive(Serialize, Deserialize)]
    #[serde(transparent)]
    struct Figure(#[serde(with = "crate::model::decimal")] Decimal);

    pub(super) fn serialize<S: Serializer>(
        map: &BTreeMap<CountryCode, Decimal>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(map.iter().map(|(country, figure)| (country, Figure(*figure))))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<CountryCode, Decimal>, D::Error> {
        let map = BTreeMap::<CountryCode, Figure>::deserialize(deserializer)?;
        Ok(map.into_iter().map(|(country, Figure(figure))| (country, figure)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(latitude: i64, longitude: i64) -> Coordinates {
        Coordinates { latitude: latitude.into(), longitude: longitude.into() }
    }

    #[test]
    fn a_quarter_of_the_equator_is_ten_thousand_kilometres() {
        assert_eq!(at(0, 0).distance_km(&at(0, 90)), Some(10_008));
        assert_eq!(at(0, 0).distance_km(&at(90, 0)), Some(10_008));
        assert_eq!(at(10, 20).distance_km(&at(10, 20)), Some(0));
    }

    #[test]
    fn measured_round_trips_come_first_and_hold_both_ways() {
        let (a, b) = (
            EndPoint { name: "x/a".to_owned(), at: Some(at(0, 0)) },
            EndPoint { name: "y/b".to_owned(), at: Some(at(0, 90)) },
        );
        let mut model = LatencyModel::default();
        assert_eq!(model.round_trip_us(&a, &b), Some(1000 + 15 * 10_008));
        model.pairs.push(MeasuredLatency { a: b.name.clone(), b: a.name.clone(), us: 7 });
        assert_eq!((model.round_trip_us(&a, &b), model.round_trip_us(&b, &a)), (Some(7), Some(7)));
        let nowhere = EndPoint { name: "z/c".to_owned(), at: None };
        assert_eq!(model.round_trip_us(&a, &nowhere), None);
        assert_eq!(model.round_trip_us(&a, &a), Some(500));
    }

    #[test]
    fn ten_watts_for_a_month_on_a_clean_grid() {
        let france: CountryCode = "FR".parse().expect("a country");
        let model = CarbonModel {
            g_per_kwh: BTreeMap::from([(france, Decimal::from(50))]),
            watts_per_vcpu: Decimal::from(5),
            watts_per_gib_memory: Decimal::ZERO,
            watts_per_tib_disk: Decimal::ZERO,
            watts_per_gpu: Decimal::ZERO,
            pue: Decimal::ONE,
        };
        let two = Resources { vcpu_milli: 2000, ..Resources::default() };
        // 10 W × 730 h = 7.3 kWh, 365 g
        assert_eq!(model.month_mg(france, &two, 0), Some(365_000));
        assert_eq!(model.month_mg("DE".parse().expect("a country"), &two, 0), None);
    }
}
