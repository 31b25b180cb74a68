//! A component: one part of an application.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use rust_decimal::{Decimal, prelude::ToPrimitive};
use serde::{Deserialize, Deserializer, Serialize, de};

use super::{ComponentId, Filter, OfferKind, Resources, Settings, UserGroup};

fn one() -> u32 {
    1
}

pub(crate) const MAX_REPLICAS: u32 = 1000;

/// One part of an application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Component {
    /// The kind of product that it runs on; a machine if it is left out. Only machines are shared.
    #[serde(default)]
    pub kind: OfferKind,
    /// Virtual CPUs that one replica needs, in steps of a thousandth.
    #[serde(default, with = "crate::model::decimal", skip_serializing_if = "Decimal::is_zero")]
    #[schemars(with = "crate::model::AnyDecimal")]
    pub vcpu: Decimal,
    /// MiB of memory that one replica needs.
    #[serde(default)]
    pub memory_mib: u64,
    /// GiB of disk, or of storage, that one replica needs.
    #[serde(default)]
    pub disk_gib: u64,
    /// Graphics processors that one replica needs.
    #[serde(default)]
    pub gpu: u32,
    /// Further needs of one replica by name, such as `power_w: 40`, held by the offers' `capacity.named`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub resources: BTreeMap<String, u64>,
    /// How many replicas there are: a number, or a range from which the engine chooses.
    #[serde(default)]
    pub replicas: Replicas,
    /// How many of its own replicas may share one machine; 1 if it is left out.
    #[serde(default = "one")]
    pub per_machine: u32,
    /// What its services are made with: `image: debian-13`. No secrets. What stands under a provider's name reaches that provider
    /// only: `hetzner: { placement_group: 12 }`. Components that give one setting different values share no machine. `${network.id}` stands for what a component named under `after`
    /// has become: its id, or another attribute; `${network.range|raw}` for one that is no plain word. `$${` is the text
    /// `${`; all else, such as `${HOME}`, stays as it is.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: Settings,
    /// Components that must be there before it is bought, such as the network of a machine.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<ComponentId>,
    /// Of block storage or a public address: the machine component to which it is attached. Each replica of that one has a
    /// replica of this one for itself, in its zone, or in its region if this one is sold for a region as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attach: Option<ComponentId>,
    /// Of a load balancer: the machine component to which it forwards. It is in each region in which that one is, and in no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub targets: Option<ComponentId>,
    /// The network component in which it is. There is one in each region in which its members are, and in no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<ComponentId>,
    /// Of a machine: the Kubernetes component of which it is a node. There is one in each region in which its nodes are, and in no
    /// other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes_of: Option<ComponentId>,
    /// Groups of people who use it, each at a location, with their traffic and longest round trip.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<UserGroup>,
    /// Conditions on the offers that may carry it, besides the blueprint's own `where`.
    #[serde(default, rename = "where")]
    pub filter: Filter,
}

impl Default for Component {
    /// A machine's tenant without needs: one replica or more, each on a machine of its own.
    fn default() -> Self {
        Self {
            kind: OfferKind::default(),
            vcpu: Decimal::ZERO,
            memory_mib: 0,
            disk_gib: 0,
            gpu: 0,
            resources: BTreeMap::new(),
            replicas: Replicas::default(),
            per_machine: one(),
            settings: Settings::new(),
            after: Vec::new(),
            attach: None,
            targets: None,
            network: None,
            nodes_of: None,
            users: Vec::new(),
            filter: Filter::default(),
        }
    }
}

impl Component {
    /// What one replica needs.
    pub fn demand(&self) -> Resources {
        let milli =
            self.vcpu.checked_mul(1000.into()).map(|milli| milli.ceil()).and_then(|milli| milli.to_u32());
        Resources {
            vcpu_milli: milli.unwrap_or(u32::MAX),
            memory_mib: self.memory_mib,
            disk_gib: self.disk_gib,
            gpu: self.gpu,
            named: self.resources.clone(),
        }
    }
}

/// A number of replicas: `3`, or `{ min: 2, max: 6 }`. At least one unless a `one_of` leaves it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Replicas {
    /// At least, if deployed at all.
    pub min: u32,
    /// At most; if left out the engine tries up to 250, or the minimum if that is more.
    pub max: Option<u32>,
}

impl Default for Replicas {
    fn default() -> Self {
        Self { min: 1, max: None }
    }
}

impl schemars::JsonSchema for Replicas {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Replicas".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let number = |kind: serde_json::Value| serde_json::json!({ "type": kind, "minimum": 1, "maximum": MAX_REPLICAS });
        let described = |kind: serde_json::Value, text: &str| {
            let mut schema = number(kind);
            schema["description"] = text.into();
            schema
        };
        schemars::json_schema!({
            "description": "A number of replicas: `3`, or `{ min: 2, max: 6 }`. Without a max the engine tries up to 250, \
                or the minimum if that is more.",
            "anyOf": [
                number("integer".into()),
                {
                    "type": "object",
                    "properties": {
                        "min": described("integer".into(), "The least number, if the component is deployed at all."),
                        "max": described(
                            serde_json::json!(["integer", "null"]),
                            "The greatest number; if it is left out the engine tries up to 250, or the minimum if that is more.",
                        ),
                    },
                    "additionalProperties": false,
                },
            ],
        })
    }
}

impl<'de> Deserialize<'de> for Replicas {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;

        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Range {
            #[serde(default = "one")]
            min: u32,
            max: Option<u32>,
        }

        impl<'de> de::Visitor<'de> for Read {
            type Value = Replicas;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of replicas such as 3, or { min: 2, max: 6 }")
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Replicas, E> {
                let exact = u32::try_from(value)
                    .map_err(|_| E::invalid_value(de::Unexpected::Unsigned(value), &self))?;
                Ok(Replicas { min: exact, max: Some(exact) })
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Replicas, E> {
                match u64::try_from(value) {
                    Ok(value) => self.visit_u64(value),
                    Err(_) => Err(E::invalid_value(de::Unexpected::Signed(value), &self)),
                }
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Replicas, A::Error> {
                let range = Range::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(Replicas { min: range.min, max: range.max })
            }
        }
        deserializer.deserialize_any(Read)
    }
}

impl Component {
    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        let limit: u64 = 1 << 40;
        if self.vcpu.is_sign_negative() && !self.vcpu.is_zero() || self.vcpu > Decimal::from(1_000_000) {
            return Err(("vcpu", "write 0 to 1000000".to_owned()));
        }
        let sizes = [("memory_mib", self.memory_mib), ("disk_gib", self.disk_gib)];
        if let Some((field, _)) = sizes.into_iter().find(|(_, size)| *size > limit) {
            return Err((field, format!("write at most {limit}")));
        }
        if self.resources.values().any(|size| *size > limit) {
            return Err(("resources", format!("write at most {limit} of each")));
        }
        let Replicas { min, max } = self.replicas;
        if min == 0 || min > MAX_REPLICAS || max.is_some_and(|max| max < min || max > MAX_REPLICAS) {
            return Err((
                "replicas",
                format!("write 1 to {MAX_REPLICAS}, and a min that is not above the max"),
            ));
        }
        if !(1..=MAX_REPLICAS).contains(&self.per_machine) {
            return Err(("per_machine", format!("write 1 to {MAX_REPLICAS}")));
        }
        if self.kind != OfferKind::Machine && self.per_machine != 1 {
            return Err(("per_machine", "only machines are shared; leave it out".to_owned()));
        }
        let mut known = BTreeSet::new();
        if let Some(group) = self.users.iter().find(|group| !known.insert(&group.name)) {
            return Err((
                "users",
                format!("two groups are called `{}`; give each a name of its own", group.name),
            ));
        }
        if self.kind == OfferKind::Other
            && self.filter.skus.allow.is_empty()
            && self.filter.attributes.is_empty()
        {
            let message = "anything can be an `other`; write which product, as `skus: { allow: [NAME] }` or by its \
                           `attributes`";
            return Err(("where", message.to_owned()));
        }
        let is_storage = matches!(self.kind, OfferKind::BlockStorage | OfferKind::ObjectStorage);
        if is_storage && self.disk_gib == 0 {
            return Err(("disk_gib", "write how many GiB of storage one replica needs".to_owned()));
        }
        Ok(())
    }
}
