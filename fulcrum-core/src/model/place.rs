//! Places and jurisdictions.

use std::{fmt, str::FromStr};

use rust_decimal::{Decimal, prelude::ToPrimitive};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{ProviderId, RegionId, ZoneId};

/// A country of ISO 3166-1, as its two capital letters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CountryCode([u8; 2]);

/// The text names no country or jurisdiction that the library knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a country code; write two capital letters of ISO 3166-1, such as DE (or EU, EEA where a jurisdiction is asked)"
)]
pub struct UnknownCountry(String);

impl CountryCode {
    /// The two letters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("??")
    }
}

impl FromStr for CountryCode {
    type Err = UnknownCountry;
    fn from_str(text: &str) -> Result<Self, UnknownCountry> {
        let unknown = || UnknownCountry(text.chars().take(20).collect());
        let country = celes::Country::from_alpha2(text).map_err(|_| unknown())?;
        let letters: [u8; 2] = country.alpha2.as_bytes().try_into().map_err(|_| unknown())?;
        (country.alpha2 == text).then_some(Self(letters)).ok_or_else(unknown)
    }
}

/// Members of the European Union (27 since 2020-02-01; source: Treaty on European Union, article 52).
const EU: [&str; 27] = [
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IT", "LT",
    "LU", "LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK",
];
/// The other members of the European Economic Area.
const EEA_ONLY: [&str; 3] = ["IS", "LI", "NO"];

/// An area of law: one country, the European Union, or the European Economic Area.
///
/// ```
/// use fulcrum_core::model::Jurisdiction;
/// let eu: Jurisdiction = "EU".parse()?;
/// assert!(eu.has("FI".parse()?) && !eu.has("CH".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Jurisdiction {
    /// One country.
    Country(CountryCode),
    /// The 27 members of the European Union.
    Eu,
    /// The European Union with Iceland, Liechtenstein and Norway.
    Eea,
}

impl Jurisdiction {
    /// Whether a country is part of this area.
    pub fn has(&self, country: CountryCode) -> bool {
        match self {
            Self::Country(own) => *own == country,
            Self::Eu => EU.contains(&country.as_str()),
            Self::Eea => EU.contains(&country.as_str()) || EEA_ONLY.contains(&country.as_str()),
        }
    }
}

impl FromStr for Jurisdiction {
    type Err = UnknownCountry;
    fn from_str(text: &str) -> Result<Self, UnknownCountry> {
        match text {
            "EU" => Ok(Self::Eu),
            "EEA" => Ok(Self::Eea),
            country => country.parse().map(Self::Country),
        }
    }
}

impl fmt::Display for Jurisdiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Country(country) => country.fmt(f),
            Self::Eu => f.write_str("EU"),
            Self::Eea => f.write_str("EEA"),
        }
    }
}

impl fmt::Display for CountryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for CountryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

macro_rules! text_form {
    ($name:ident, $pattern:literal) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "pattern": $pattern })
            }
        }
    };
}
text_form!(CountryCode, "^[A-Z]{2}$");
text_form!(Jurisdiction, "^([A-Z]{2}|EEA)$");

/// A point on the globe, in degrees (WGS 84); north and east are positive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Coordinates {
    /// -90 to 90.
    #[serde(with = "crate::model::decimal")]
    #[schemars(with = "crate::model::AnyDecimal")]
    pub latitude: Decimal,
    /// -180 to 180.
    #[serde(with = "crate::model::decimal")]
    #[schemars(with = "crate::model::AnyDecimal")]
    pub longitude: Decimal,
}

impl Coordinates {
    /// Whether there is such a point.
    pub fn is_on_earth(&self) -> bool {
        self.latitude.abs() <= Decimal::from(90) && self.longitude.abs() <= Decimal::from(180)
    }

    /// The great-circle distance in whole kilometres, rounded; `None` if a point is not on the globe.
    ///
    /// The haversine formula (R. W. Sinnott, "Virtues of the Haversine", Sky and Telescope 68, 1984) on a sphere
    /// of 6371.0088 km, in arithmetic that is the same on every platform.
    pub fn distance_km(&self, other: &Self) -> Option<u32> {
        if !self.is_on_earth() || !other.is_on_earth() {
            return None;
        }
        let radians = |degrees: Decimal| Some(degrees.to_f64()?.to_radians());
        let (lat_a, lat_b) = (radians(self.latitude)?, radians(other.latitude)?);
        let half = |a: f64, b: f64| libm::sin((b - a) / 2.0);
        let (across, along) = (half(lat_a, lat_b), half(radians(self.longitude)?, radians(other.longitude)?));
        let h = across * across + libm::cos(lat_a) * libm::cos(lat_b) * along * along;
        Some((2.0 * 6371.0088 * libm::asin(libm::sqrt(h.clamp(0.0, 1.0)))).round() as u32)
    }
}

/// All of where an offer is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Who sells there.
    pub provider: ProviderId,
    /// The provider's area.
    pub region: RegionId,
    /// The failure domain in it; none when the product is sold for the region as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<ZoneId>,
    /// Where the machines stand.
    pub country: CountryCode,
    /// Where in that country, as far as it is published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coordinates: Option<Coordinates>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.zone {
            Some(zone) => write!(f, "{}/{}/{}", self.provider, self.region, zone),
            None => write!(f, "{}/{}", self.provider, self.region),
        }
    }
}
