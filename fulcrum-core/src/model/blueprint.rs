//! The customer's request.

use std::{collections::BTreeMap, fmt};

use indexmap::IndexMap;
use iso_currency::Currency;
use rust_decimal::{Decimal, prelude::ToPrimitive};
use serde::{Deserialize, Deserializer, Serialize, de};

use super::{ComponentId, Constraint, DocumentError, Filter, OfferKind, Resources, parse_yaml};

/// What the customer wants: components, conditions, and what is best.
///
/// ```
/// use fulcrum_core::model::Blueprint;
/// let blueprint = Blueprint::from_yaml("
/// name: shop
/// components:
///   web: { vcpu: 2, memory_mib: 2048, replicas: 3 }
///   db: { vcpu: 4, memory_mib: 8192, disk_gib: 100, replicas: 2 }
/// where: { jurisdiction: EU }
/// constraints:
///   - spread: { components: [db], over: provider, at_least: 2 }
/// ")?;
/// assert_eq!(blueprint.components.len(), 2);
/// # Ok::<(), fulcrum_core::model::DocumentError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Blueprint {
    /// For people.
    pub name: String,
    /// In which costs are added and compared; ISO 4217.
    #[serde(default = "euro")]
    #[schemars(with = "String")]
    pub currency: Currency,
    /// The parts of the application, by name.
    #[schemars(with = "BTreeMap<ComponentId, Component>")]
    pub components: IndexMap<ComponentId, Component>,
    /// Which offers may be used, for all components.
    #[serde(default, rename = "where")]
    pub filter: Filter,
    /// Conditions on the plan as a whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<Constraint>,
    /// The most that a month may cost, net, in `currency`.
    #[serde(default, with = "crate::model::decimal::option", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub budget: Option<Decimal>,
    /// Months over which set-up fees are spread, and the longest minimum term that is accepted; 1 to 120.
    #[serde(default = "a_year")]
    pub horizon_months: u32,
    /// What is best.
    #[serde(default)]
    pub objective: Objective,
}

fn euro() -> Currency {
    Currency::EUR
}

fn a_year() -> u32 {
    12
}

fn one() -> u32 {
    1
}

/// What makes one plan better than another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// The lowest monthly cost, set-up fees spread over the horizon.
    #[default]
    Cost,
}

/// One part of an application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Component {
    /// What it runs on. Only machines are shared between components.
    #[serde(default)]
    pub kind: OfferKind,
    /// Virtual CPUs of one replica, in steps of a thousandth.
    #[serde(default, with = "crate::model::decimal", skip_serializing_if = "Decimal::is_zero")]
    #[schemars(with = "String")]
    pub vcpu: Decimal,
    /// MiB of memory of one replica.
    #[serde(default)]
    pub memory_mib: u64,
    /// GiB of disk, or of storage, of one replica.
    #[serde(default)]
    pub disk_gib: u64,
    /// Graphics processors of one replica.
    #[serde(default)]
    pub gpu: u32,
    /// Other needs by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub resources: BTreeMap<String, u64>,
    /// How many.
    #[serde(default)]
    pub replicas: Replicas,
    /// How many of them may share a machine.
    #[serde(default = "one")]
    pub per_machine: u32,
    /// Which offers may carry it, besides the blueprint's own `where`.
    #[serde(default, rename = "where")]
    pub filter: Filter,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
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

/// Limits against blueprints that nobody means.
const MAX_COMPONENTS: usize = 200;
pub(crate) const MAX_REPLICAS: u32 = 1000;
const MAX_FACTOR: u64 = 1_000_000;

impl Blueprint {
    /// Reads and checks a blueprint in YAML; JSON is read too.
    ///
    /// # Errors
    /// [`DocumentError`] with the path and line, and what to write instead.
    pub fn from_yaml(text: &str) -> Result<Self, DocumentError> {
        let blueprint: Self = parse_yaml(text)?;
        blueprint.check()?;
        Ok(blueprint)
    }

    /// Reads and checks a blueprint in JSON.
    ///
    /// # Errors
    /// As [`from_yaml`](Self::from_yaml).
    pub fn from_json(text: &str) -> Result<Self, DocumentError> {
        let blueprint: Self = super::parse_json(text)?;
        blueprint.check()?;
        Ok(blueprint)
    }

    /// Checks what the form alone does not: names that are used exist, numbers make sense.
    ///
    /// # Errors
    /// [`DocumentError`] with the path, and what to write instead.
    pub fn check(&self) -> Result<(), DocumentError> {
        let count = self.components.len();
        if count == 0 || count > MAX_COMPONENTS {
            return Err(DocumentError::at(
                "components",
                format!("{count} components; write 1 to {MAX_COMPONENTS}"),
            ));
        }
        if !(1..=120).contains(&self.horizon_months) {
            return Err(DocumentError::at("horizon_months", "write 1 to 120 months"));
        }
        if self.budget.is_some_and(|budget| budget.is_sign_negative()) {
            return Err(DocumentError::at("budget", "write a budget of zero or more"));
        }
        for (name, component) in &self.components {
            component.check().map_err(|(field, message)| {
                DocumentError::at(format!("components.{name}.{field}"), message)
            })?;
        }
        for (index, constraint) in self.constraints.iter().enumerate() {
            let path = format!("constraints[{index}].{}", constraint.word());
            self.check_constraint(constraint).map_err(|message| DocumentError::at(path, message))?;
        }
        Ok(())
    }

    fn check_constraint(&self, constraint: &Constraint) -> Result<(), String> {
        for name in constraint.components() {
            if !self.components.contains_key(name) {
                let known: Vec<_> = self.components.keys().map(ComponentId::as_str).collect();
                return Err(format!("no component is called `{name}`; write one of {}", known.join(", ")));
            }
        }
        let machines_only = |names: &[&ComponentId]| {
            let other = names.iter().find(|name| self.components[name.as_str()].kind != OfferKind::Machine);
            other.map_or(Ok(()), |name| {
                Err(format!("`{name}` is no machine and shares none; leave it out of this constraint"))
            })
        };
        match constraint {
            Constraint::Count(count) => match (count.min, count.max, count.exactly) {
                (None, None, None) => Err("write min, max or exactly".to_owned()),
                (Some(_), _, Some(_)) | (_, Some(_), Some(_)) => {
                    Err("write exactly, or min and max".to_owned())
                }
                _ if count.components.is_empty() => Err("write at least one component".to_owned()),
                _ => Ok(()),
            },
            Constraint::Serves(serves) => {
                let is_sane = |n: u32| n >= 1 && u64::from(n) <= MAX_FACTOR;
                if is_sane(serves.servers) && is_sane(serves.clients) {
                    Ok(())
                } else {
                    Err(format!("write servers and clients from 1 to {MAX_FACTOR}"))
                }
            }
            Constraint::Linear(linear) => {
                if linear.min.is_none() && linear.max.is_none() {
                    Err("write min or max".to_owned())
                } else if linear.terms.values().any(|factor| factor.unsigned_abs() > MAX_FACTOR)
                    || [linear.min, linear.max]
                        .into_iter()
                        .flatten()
                        .any(|n| n.unsigned_abs() > MAX_FACTOR * 1000)
                {
                    Err(format!("write factors up to {MAX_FACTOR} and bounds up to {}", MAX_FACTOR * 1000))
                } else {
                    Ok(())
                }
            }
            Constraint::OneOf(components) if components.len() < 2 => {
                Err("write at least two components".to_owned())
            }
            Constraint::OneOf(components) => {
                let twice = components.iter().enumerate().find(|(at, name)| components[..*at].contains(name));
                twice.map_or(Ok(()), |(_, name)| Err(format!("`{name}` is named twice; name it once")))
            }
            Constraint::Conflict(conflict) if conflict.with.contains(&conflict.component) => {
                Err("a component cannot conflict with itself; write per_machine: 1 on it instead".to_owned())
            }
            Constraint::Conflict(_) | Constraint::Colocate(_) | Constraint::Everywhere(_) => {
                machines_only(&constraint.components())
            }
            Constraint::Spread(spread) => {
                let percent = spread.max_percent;
                if spread.at_least.is_none() && percent.is_none() {
                    Err("write at_least or max_percent".to_owned())
                } else if percent
                    .is_some_and(|p| p <= Decimal::ZERO || p > Decimal::ONE_HUNDRED || p.scale() > 2)
                {
                    Err("write max_percent above 0, up to 100, with at most two decimals".to_owned())
                } else {
                    Ok(())
                }
            }
            Constraint::Survive(_) => Ok(()),
            Constraint::Distinct(distinct) if distinct.at_most == 0 => {
                Err("write at_most of 1 or more".to_owned())
            }
            Constraint::Distinct(_) => Ok(()),
        }
    }
}

impl Component {
    fn check(&self) -> Result<(), (&'static str, String)> {
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
        let is_storage = matches!(self.kind, OfferKind::BlockStorage | OfferKind::ObjectStorage);
        if is_storage && self.disk_gib == 0 {
            return Err(("disk_gib", "write how many GiB of storage one replica needs".to_owned()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        Blueprint::from_yaml(text).expect_err("a mistake").to_string()
    }

    #[test]
    fn a_misspelt_field_is_named_with_its_line_and_the_right_word() {
        let text = "name: x\ncomponents:\n  web:\n    vcpus: 2\n";
        let message = error(text);
        assert!(message.contains("components.web"), "{message}");
        assert!(message.contains("line 4"), "{message}");
        assert!(message.contains("did you mean `vcpu`?"), "{message}");
    }

    #[test]
    fn an_unknown_component_is_named_with_those_that_exist() {
        let message =
            error("name: x\ncomponents: {web: {}}\nconstraints:\n- conflict: {component: web, with: [db]}\n");
        assert_eq!(message, "constraints[0].conflict: no component is called `db`; write one of web");
    }

    #[test]
    fn json_and_yaml_read_alike() {
        let json = r#"{"name":"x","components":{"web":{"vcpu":0.5,"replicas":{"min":2}}},
            "constraints":[{"count":{"components":["web"],"max":4}}]}"#;
        let from_json = Blueprint::from_json(json).expect("json");
        assert_eq!(from_json, Blueprint::from_yaml(json).expect("yaml"));
        assert_eq!(from_json.components["web"].demand().vcpu_milli, 500);
        let again =
            Blueprint::from_json(&serde_json::to_string(&from_json).expect("to json")).expect("again");
        assert_eq!(from_json, again);
    }

    #[test]
    fn hostile_documents_are_errors() {
        for text in [
            "",
            "[",
            "name: [",
            "name: x\ncomponents: {}",
            "&a [*a, *a]",
            "name: x\ncomponents: {a: {vcpu: 1e400}}",
            "name: x\ncomponents: {a: {vcpu: -1}}",
            "name: x\ncomponents: {a: {replicas: 0}}",
            "name: x\ncomponents: {a: {replicas: -3}}",
        ] {
            assert!(Blueprint::from_yaml(text).is_err(), "{text:?} was read");
        }
        assert!(Blueprint::from_yaml(&"[".repeat(100_000)).is_err());
        assert!(Blueprint::from_json(&"[".repeat(100_000)).is_err());
    }
}
