//! Which components a blueprint lets share machines.

use std::{borrow::Cow, collections::BTreeSet, fmt};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::ComponentId;

/// Which components may share machines: `share: [web, cache]`, or `share: all`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Share {
    /// All machine components.
    All,
    /// Any of these with any other of these.
    Among(Vec<ComponentId>),
}

impl Serialize for Share {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All => serializer.serialize_str("all"),
            Self::Among(components) => components.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> de::Visitor<'de> for Read {
            type Value = Share;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("all, or a list of components")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Share, E> {
                match text {
                    "all" => Ok(Share::All),
                    other => Err(E::invalid_value(de::Unexpected::Str(other), &self)),
                }
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Share, A::Error> {
                let mut components = Vec::new();
                while let Some(component) = seq.next_element()? {
                    components.push(component);
                }
                Ok(Share::Among(components))
            }
        }
        deserializer.deserialize_any(Read)
    }
}

impl schemars::JsonSchema for Share {
    fn schema_name() -> Cow<'static, str> {
        "Share".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let component = generator.subschema_for::<ComponentId>();
        schemars::json_schema!({
            "description": "Which components may share machines: a list of them, or all.",
            "anyOf": [
                { "const": "all" },
                { "type": "array", "items": component, "minItems": 2, "uniqueItems": true },
            ],
        })
    }
}

impl Share {
    pub(super) fn check(&self) -> Result<(), String> {
        let Self::Among(components) = self else { return Ok(()) };
        let mut known = BTreeSet::new();
        match components.iter().find(|name| !known.insert(*name)) {
            Some(name) => Err(format!("`{name}` is named twice; name it once")),
            None if components.len() < 2 => Err("write at least two components, or all".to_owned()),
            None => Ok(()),
        }
    }
}
