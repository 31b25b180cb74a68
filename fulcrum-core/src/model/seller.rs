//! The legal side of a provider: owner, control, certificates.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::{CountryCode, Jurisdiction, Place, SealAssessment, SovereigntyObjective};

/// A company and the country whose law governs it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LegalEntity {
    /// The name of the company, as registered.
    pub name: String,
    /// The country whose law governs the company, as ISO 3166-1 code.
    pub country: CountryCode,
}

/// A certificate that a provider holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Certification {
    /// As the scheme writes it, such as `ISO 27001` or `SecNumCloud 3.2`.
    pub name: String,
    /// The last day on which it holds; none when the source tells none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub valid_until: Option<Date>,
    /// The page or document that names the certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The day on which it was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub observed: Option<Date>,
}

/// The company behind a provider: who owns it, whose law reaches it, what it is certified for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Seller {
    /// The company that sells and invoices.
    pub owner: LegalEntity,
    /// Who owns that company, upwards, as far as it is published.
    #[serde(default)]
    pub control_chain: Vec<LegalEntity>,
    /// What it is certified for.
    #[serde(default)]
    pub certifications: Vec<Certification>,
    /// Sovereignty levels that somebody has assessed; they come before those computed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub assessments: BTreeMap<SovereigntyObjective, SealAssessment>,
}

impl Seller {
    /// Whether the place, the seller and everybody who controls it are inside an area of law.
    pub fn is_within(&self, jurisdiction: Jurisdiction, place: &Place) -> bool {
        jurisdiction.has(place.country)
            && jurisdiction.has(self.owner.country)
            && self.control_chain.iter().all(|entity| jurisdiction.has(entity.country))
    }

    /// Whether a certificate of this name (any case) holds on a day.
    pub fn is_certified(&self, name: &str, on: Date) -> bool {
        self.certifications.iter().any(|certification| {
            certification.name.eq_ignore_ascii_case(name)
                && certification.valid_until.is_none_or(|end| on <= end)
        })
    }
}
