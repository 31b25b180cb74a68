//! Measures, and the objective that a plan minimises.

use std::fmt;

use indexmap::IndexMap;
use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A figure of a plan; lower is better.
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
pub enum Measure {
    /// Money a month, in the blueprint's currency: prices, traffic, fees; what is paid once is spread over the
    /// horizon.
    #[default]
    Cost,
    /// Estimated emissions in kg CO₂e a month, by `assume.carbon`.
    Carbon,
    /// Round trips weighted with traffic, in ms × GiB a month, over all links and user groups; where no traffic
    /// is stated it counts as 1 GiB.
    Latency,
    /// The longest round trip of any link or user group, in ms.
    WorstLatency,
    /// How many providers are used.
    Providers,
    /// Points that the leases miss to a sovereignty score of 100, each weighted with its replicas.
    Sovereignty,
}

impl Measure {
    /// All measures with their names.
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::Cost, "cost"),
        (Self::Carbon, "carbon"),
        (Self::Latency, "latency"),
        (Self::WorstLatency, "worst_latency"),
        (Self::Providers, "providers"),
        (Self::Sovereignty, "sovereignty"),
    ];

    /// Its unit; money is in `currency`.
    pub fn unit(self, currency: iso_currency::Currency) -> String {
        match self {
            Self::Cost => currency.code().to_owned(),
            Self::Carbon => "kg CO2e".to_owned(),
            Self::Latency => "ms × GiB".to_owned(),
            Self::WorstLatency => "ms".to_owned(),
            Self::Providers => "providers".to_owned(),
            Self::Sovereignty => "points".to_owned(),
        }
    }

    /// The word in a blueprint.
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(measure, _)| *measure == self).map_or("", |(_, word)| word)
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What is best: `cost`, or `[cost, carbon]` (the second among the best of the first, and so on), or
/// `{ cost: 1, carbon: 0.05 }` (the least weighted sum). Of plans that are equally good the cheapest is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Objective {
    /// The least of each in turn, among the plans that are best in all before it. Never empty.
    InTurn(Vec<Measure>),
    /// The least weighted sum; weights are positive, with at most three decimals.
    Weighted(IndexMap<Measure, Decimal>),
}

impl Default for Objective {
    fn default() -> Self {
        Self::InTurn(vec![Measure::Cost])
    }
}

impl Objective {
    /// All measures that it looks at.
    pub fn measures(&self) -> Vec<Measure> {
        match self {
            Self::InTurn(measures) => measures.clone(),
            Self::Weighted(weights) => weights.keys().copied().collect(),
        }
    }

    /// What is minimised after the first stage: the further measures, and in the end cost, so that no plan costs more than it
    /// must. None if cost has a weight, or a place of its own.
    pub(crate) fn tie_breakers(&self) -> Vec<Measure> {
        let mut then = match self {
            Self::InTurn(measures) => measures.get(1..).unwrap_or_default().to_vec(),
            Self::Weighted(_) => Vec::new(),
        };
        then.extend((!self.measures().contains(&Measure::Cost)).then_some(Measure::Cost));
        then
    }

    /// The unit of what is minimised first; money is in `currency`.
    pub fn unit(&self, currency: iso_currency::Currency) -> String {
        match self {
            Self::InTurn(measures) => {
                measures.first().map_or(String::new(), |measure| measure.unit(currency))
            }
            Self::Weighted(_) => "weighted points".to_owned(),
        }
    }

    pub(super) fn check(&self) -> Result<(), String> {
        match self {
            Self::InTurn(measures) if measures.is_empty() => Err("write at least one measure".to_owned()),
            Self::InTurn(measures) => {
                let twice =
                    measures.iter().enumerate().find(|(at, measure)| measures[..*at].contains(measure));
                twice.map_or(Ok(()), |(_, measure)| Err(format!("`{measure}` is named twice; name it once")))
            }
            Self::Weighted(weights) => {
                let is_sane = |weight: &Decimal| {
                    *weight > Decimal::ZERO
                        && *weight <= Decimal::from(1_000_000)
                        && weight.normalize().scale() <= 3
                };
                if !weights.is_empty() && weights.values().all(is_sane) {
                    Ok(())
                } else {
                    Err("write weights above 0, up to 1000000, with at most three decimals".to_owned())
                }
            }
        }
    }
}

impl Serialize for Objective {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::InTurn(measures) => match measures.as_slice() {
                [one] => one.serialize(serializer),
                many => many.serialize(serializer),
            },
            Self::Weighted(weights) => {
                serializer.collect_map(weights.iter().map(|(measure, weight)| (measure, weight.to_string())))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Objective {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> de::Visitor<'de> for Read {
            type Value = Objective;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a measure such as cost, a list of measures, or measures with weights")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Objective, E> {
                Measure::deserialize(de::value::StrDeserializer::new(text))
                    .map(|one| Objective::InTurn(vec![one]))
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Objective, A::Error> {
                let mut measures = Vec::new();
                while let Some(measure) = seq.next_element()? {
                    measures.push(measure);
                }
                Ok(Objective::InTurn(measures))
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Objective, A::Error> {
                #[derive(Deserialize)]
                #[serde(transparent)]
                struct Weight(#[serde(with = "crate::model::decimal")] Decimal);
                let mut weights = IndexMap::new();
                while let Some((measure, Weight(weight))) = map.next_entry::<Measure, Weight>()? {
                    if weights.insert(measure, weight).is_some() {
                        return Err(de::Error::custom(format!(
                            "`{measure}` is weighted twice; write it once"
                        )));
                    }
                }
                Ok(Objective::Weighted(weights))
            }
        }
        deserializer.deserialize_any(Read)
    }
}

impl schemars::JsonSchema for Objective {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Objective".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let measure = generator.subschema_for::<Measure>();
        let names: Vec<_> = Measure::ALL.iter().map(|(_, word)| *word).collect();
        schemars::json_schema!({
            "description": "A measure; a list of measures, each best among the best of those before it; or measures with weights.",
            "anyOf": [
                measure,
                { "type": "array", "items": measure, "minItems": 1, "uniqueItems": true },
                { "type": "object", "propertyNames": { "enum": names }, "minProperties": 1,
                  "additionalProperties": { "type": ["number", "string"] } },
            ],
        })
    }
}
