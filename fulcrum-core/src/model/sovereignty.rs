//! Sovereignty as data and arithmetic: the European Commission's Cloud Sovereignty Framework, version 1.2.1 of
//! October 2025 (eight objectives, levels SEAL-0 to SEAL-4, weights), computed from what is published of a seller.
//!
//! The framework lets a buyer's assessors set the levels. Here a level follows from evidence by the rules below,
//! never from a seller's own word; an assessment that names its source overrides the rule. What nothing is known
//! of is level 0.
//!
//! | objective | rule |
//! |---|---|
//! | SOV-1 strategic | owner and all who control it in the EU: 4; owner in the EU, control elsewhere: 2; else 0 |
//! | SOV-2 legal | as SOV-1, the place in the EU too: 4; owner and place in the EU: 2; place only: 1; else 0 |
//! | SOV-3 data and AI | place in the EU: 1; and owner: 2; and all who control it: 3; with SecNumCloud: 4 |
//! | SOV-4 operational | owner in the EU: 2; with SecNumCloud or C5: 3; else 0 |
//! | SOV-5 supply chain, SOV-6 technology | assessments only |
//! | SOV-7 security | ISO 27001: 2; C5, ENS or EUCS: 3; SecNumCloud, owner and control in the EU: 4 |
//! | SOV-8 environment | ISO 14001, ISO 50001, EMAS or the Climate Neutral Data Centre Pact: 2 |

use std::{collections::BTreeMap, fmt};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::{Jurisdiction, Place, Seller};

/// An objective of the framework.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[schemars(rename = "Sov")]
pub enum SovereigntyObjective {
    /// Strategic sovereignty.
    #[serde(rename = "SOV-1")]
    Strategic,
    /// Legal and jurisdictional sovereignty.
    #[serde(rename = "SOV-2")]
    Legal,
    /// Data and AI sovereignty.
    #[serde(rename = "SOV-3")]
    Data,
    /// Operational sovereignty.
    #[serde(rename = "SOV-4")]
    Operational,
    /// Supply chain sovereignty.
    #[serde(rename = "SOV-5")]
    SupplyChain,
    /// Technology sovereignty.
    #[serde(rename = "SOV-6")]
    Technology,
    /// Security and compliance sovereignty.
    #[serde(rename = "SOV-7")]
    Security,
    /// Environmental sustainability.
    #[serde(rename = "SOV-8")]
    Environment,
}

impl SovereigntyObjective {
    /// All objectives with their names and weights in per cent.
    pub const ALL: [(Self, &'static str, u32); 8] = [
        (Self::Strategic, "SOV-1", 15),
        (Self::Legal, "SOV-2", 10),
        (Self::Data, "SOV-3", 10),
        (Self::Operational, "SOV-4", 15),
        (Self::SupplyChain, "SOV-5", 20),
        (Self::Technology, "SOV-6", 15),
        (Self::Security, "SOV-7", 10),
        (Self::Environment, "SOV-8", 5),
    ];
}

impl fmt::Display for SovereigntyObjective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::ALL.iter().find(|(sov, ..)| sov == self).map_or("", |(_, name, _)| name))
    }
}

/// A level that somebody with a name has assessed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Assessment")]
pub struct SealAssessment {
    /// 0 to 4.
    pub seal: u8,
    /// Who says so, and where.
    pub source: String,
}

/// What an offer must show, as a condition in `where`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SovereigntyFloor {
    /// The least weighted score, 0 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<u32>,
    /// The least level in every objective, 0 to 4.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seal: Option<u8>,
    /// The least level in single objectives.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub levels: BTreeMap<SovereigntyObjective, u8>,
}

/// The level of one objective and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SovereigntyLevel {
    /// Which.
    pub objective: SovereigntyObjective,
    /// SEAL-0 to SEAL-4.
    pub seal: u8,
    /// What it rests on.
    pub evidence: String,
}

/// All eight levels of an offer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SovereigntyReport {
    /// In the order of the framework.
    pub levels: Vec<SovereigntyLevel>,
}

impl SovereigntyReport {
    /// Assesses what is known of a seller and a place on a day.
    pub fn new(seller: &Seller, place: &Place, on: Date) -> Self {
        let eu = Jurisdiction::Eu;
        let is_place = eu.has(place.country);
        let is_owner = eu.has(seller.owner.country);
        let foreign = seller.control_chain.iter().find(|entity| !eu.has(entity.country));
        let is_controlled = is_owner && foreign.is_none();
        let holds = |names: &[&'static str]| {
            names.iter().copied().find(|name| {
                seller.certifications.iter().any(|certification| {
                    certification.name.to_ascii_lowercase().starts_with(&name.to_ascii_lowercase())
                        && certification.valid_until.is_none_or(|end| on <= end)
                })
            })
        };
        let owner = match foreign {
            _ if !is_owner => format!("{} is under the law of {}", seller.owner.name, seller.owner.country),
            None => format!(
                "{} ({}) and all who control it are in the EU",
                seller.owner.name, seller.owner.country
            ),
            Some(entity) => {
                format!("{} is controlled by {} ({})", seller.owner.name, entity.name, entity.country)
            }
        };
        let with_place = format!("{owner}; the place is in {}", place.country);
        let qualified = holds(&["SecNumCloud"]);
        let cited = |name: Option<&str>| name.map_or_else(String::new, |name| format!("; certified {name}"));
        let level = |sov: SovereigntyObjective| -> (u8, String) {
            match sov {
                SovereigntyObjective::Strategic => (
                    if is_controlled {
                        4
                    } else if is_owner {
                        2
                    } else {
                        0
                    },
                    owner.clone(),
                ),
                SovereigntyObjective::Legal => {
                    let seal = match (is_place, is_owner, is_controlled) {
                        (true, true, true) => 4,
                        (true, true, false) => 2,
                        (true, false, _) => 1,
                        (false, ..) => 0,
                    };
                    (seal, with_place.clone())
                }
                SovereigntyObjective::Data => {
                    let seal = match (is_place, is_owner, is_controlled) {
                        (true, true, true) if qualified.is_some() => 4,
                        (true, true, true) => 3,
                        (true, true, false) => 2,
                        (true, false, _) => 1,
                        (false, ..) => 0,
                    };
                    (seal, format!("{with_place}{}", cited(qualified)))
                }
                SovereigntyObjective::Operational => {
                    let certificate = holds(&["SecNumCloud", "C5"]);
                    let seal = if !is_owner {
                        0
                    } else if certificate.is_some() {
                        3
                    } else {
                        2
                    };
                    (seal, format!("{owner}{}", cited(certificate)))
                }
                SovereigntyObjective::SupplyChain | SovereigntyObjective::Technology => {
                    (0, "nothing is published".to_owned())
                }
                SovereigntyObjective::Security => {
                    match (qualified, holds(&["C5", "ENS", "EUCS"]), holds(&["ISO 27001", "ISO/IEC 27001"])) {
                        (Some(name), ..) if is_controlled => (4, format!("certified {name}")),
                        (Some(name), ..) | (None, Some(name), _) => (3, format!("certified {name}")),
                        (None, None, Some(name)) => (2, format!("certified {name}")),
                        (None, None, None) => (0, "no certificate is known".to_owned()),
                    }
                }
                SovereigntyObjective::Environment => {
                    match holds(&["ISO 14001", "ISO 50001", "EMAS", "Climate Neutral Data Centre Pact"]) {
                        Some(name) => (2, format!("certified {name}")),
                        None => (0, "no certificate is known".to_owned()),
                    }
                }
            }
        };
        let levels = SovereigntyObjective::ALL
            .iter()
            .map(|(sov, ..)| match seller.assessments.get(sov) {
                Some(assessment) => SovereigntyLevel {
                    objective: *sov,
                    seal: assessment.seal.min(4),
                    evidence: assessment.source.clone(),
                },
                None => {
                    let (seal, evidence) = level(*sov);
                    SovereigntyLevel { objective: *sov, seal, evidence }
                }
            })
            .collect();
        Self { levels }
    }

    /// The weighted score in hundredths of a point, 0 to 10000.
    pub fn score(&self) -> u32 {
        self.levels
            .iter()
            .zip(SovereigntyObjective::ALL)
            .map(|(level, (_, _, weight))| weight * u32::from(level.seal) * 25)
            .sum()
    }

    /// Whether a floor is met.
    pub fn meets(&self, floor: &SovereigntyFloor) -> bool {
        floor.score.is_none_or(|score| self.score() >= score.saturating_mul(100))
            && self.levels.iter().all(|level| {
                floor.seal.is_none_or(|seal| level.seal >= seal)
                    && floor.levels.get(&level.objective).is_none_or(|seal| level.seal >= *seal)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Certification, LegalEntity};

    fn seller(country: &str, control: &[&str], certificates: &[&str]) -> Seller {
        let entity = |country: &str| LegalEntity {
            name: format!("{country} GmbH"),
            country: country.parse().expect("a country"),
        };
        Seller {
            owner: entity(country),
            control_chain: control.iter().map(|country| entity(country)).collect(),
            certifications: certificates
                .iter()
                .map(|name| Certification {
                    name: (*name).to_owned(),
                    valid_until: None,
                    source: None,
                    observed: None,
                })
                .collect(),
            assessments: BTreeMap::new(),
        }
    }

    fn seals(seller: &Seller, country: &str) -> Vec<u8> {
        let place = Place {
            provider: "p".parse().expect("an id"),
            region: "r".parse().expect("an id"),
            zone: None,
            country: country.parse().expect("a country"),
            coordinates: None,
        };
        let report = SovereigntyReport::new(seller, &place, "2026-11-24".parse().expect("a date"));
        report.levels.iter().map(|level| level.seal).collect()
    }

    #[test]
    fn the_weights_add_up() {
        assert_eq!(SovereigntyObjective::ALL.iter().map(|(.., weight)| weight).sum::<u32>(), 100);
    }

    #[test]
    fn levels_follow_from_evidence() {
        assert_eq!(seals(&seller("DE", &[], &["ISO 27001"]), "DE"), [4, 4, 3, 2, 0, 0, 2, 0]);
        assert_eq!(
            seals(&seller("FR", &["FR"], &["SecNumCloud 3.2", "ISO 50001:2018"]), "FR"),
            [4, 4, 4, 3, 0, 0, 4, 2]
        );
        assert_eq!(seals(&seller("IE", &["US"], &["C5"]), "DE"), [2, 2, 2, 3, 0, 0, 3, 0]);
        assert_eq!(seals(&seller("US", &[], &["C5"]), "DE"), [0, 1, 1, 0, 0, 0, 3, 0]);
    }

    #[test]
    fn an_assessment_with_a_source_comes_first() {
        let mut assessed = seller("DE", &[], &[]);
        assessed.assessments.insert(
            SovereigntyObjective::Technology,
            SealAssessment { seal: 4, source: "an audit".to_owned() },
        );
        let levels = seals(&assessed, "DE");
        assert_eq!(levels[5], 4);
    }
}
