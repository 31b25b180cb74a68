//! The blueprint: what a customer asks for.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use iso_currency::Currency;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{
    Assumptions, Component, ComponentId, DocumentError, Filter, Link, Measure, Objective, ProviderId,
    Running, check_size, is_hidden, limits, money, parse_yaml,
};
use crate::model::Constraint;

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
#[non_exhaustive]
pub struct Blueprint {
    /// The name of the application, for people; it is part of the names of what is bought.
    pub name: String,
    /// The currency in which costs are added up and compared, as an ISO 4217 code; EUR if it is left out.
    #[serde(default = "euro")]
    #[schemars(with = "String")]
    pub currency: Currency,
    /// The parts of the application, by name.
    #[serde(deserialize_with = "super::document::unique")]
    #[schemars(with = "BTreeMap<ComponentId, Component>")]
    pub components: IndexMap<ComponentId, Component>,
    /// Conditions on the offers that may be used, for all components.
    #[serde(default, rename = "where")]
    pub filter: Filter,
    /// Conditions on the plan as a whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<Constraint>,
    /// The most that a month may cost, net, in `currency`.
    #[serde(default, with = "crate::model::decimal::option", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<crate::model::AnyDecimal>")]
    pub budget: Option<Decimal>,
    /// Traffic from one component to another, with its price and its longest round trip.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
    /// What it costs to have a provider at all, whatever is bought there.
    #[serde(default, skip_serializing_if = "ProviderFees::is_none")]
    pub provider_fees: ProviderFees,
    /// Services that run already; a plan keeps of them what is worth keeping.
    #[serde(default, skip_serializing_if = "Running::is_none")]
    pub running: Running,
    /// What is assumed of round trips and emissions, which no price list tells.
    #[serde(default, rename = "assume", skip_serializing_if = "is_default")]
    pub assumptions: Assumptions,
    /// Months over which set-up fees are spread, and the longest minimum term that is accepted; 1 to 120. A
    /// committed price whose term is shorter is renewed until the end of the horizon.
    #[serde(default = "a_year")]
    pub horizon_months: u32,
    /// What is minimised: a measure, several in turn, or a weighted sum; cost if it is left out.
    #[serde(default)]
    pub objective: Objective,
}

fn euro() -> Currency {
    Currency::EUR
}

fn a_year() -> u32 {
    12
}

fn is_default(assume: &Assumptions) -> bool {
    *assume == Assumptions::default()
}

/// What a contract with a provider costs besides what is bought: onboarding, a minimum fee, one's own work.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct ProviderFees {
    /// The fee of each provider that is not named under `providers`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<ProviderFee>,
    /// The fees of single providers, by their ids in the federation.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub providers: BTreeMap<ProviderId, ProviderFee>,
}

/// A fee for each provider that a plan uses, net, in the blueprint's currency.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct ProviderFee {
    /// The fee of every month.
    #[serde(with = "crate::model::decimal")]
    #[schemars(with = "crate::model::AnyDecimal")]
    pub monthly: Decimal,
    /// The fee that is paid once.
    #[serde(with = "crate::model::decimal")]
    #[schemars(with = "crate::model::AnyDecimal")]
    pub once: Decimal,
}

impl ProviderFees {
    /// Whether there are none.
    pub fn is_none(&self) -> bool {
        self.default.is_none() && self.providers.is_empty()
    }

    /// The fee of a provider.
    pub fn of(&self, provider: &ProviderId) -> ProviderFee {
        self.providers.get(provider).copied().or(self.default).unwrap_or_default()
    }
}

/// Limits against blueprints that nobody means.
const MAX_TRAFFIC: u64 = 1_000_000_000;

/// Whether a text may be the name of a blueprint: it stands in the names of machines.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    if name.chars().any(is_hidden) {
        return Err("it has characters that do not show; leave them out".to_owned());
    }
    if name.chars().count() > limits::MAX_BLUEPRINT_NAME_CHARS {
        return Err(format!("write at most {} characters", limits::MAX_BLUEPRINT_NAME_CHARS));
    }
    Ok(())
}

impl Blueprint {
    /// A blueprint of some components in euros, over twelve months, at the least cost. Other fields are set on the value:
    ///
    /// ```
    /// use fulcrum_core::model::{Blueprint, Component};
    /// let mut web = Component::default();
    /// (web.vcpu, web.memory_mib) = (2.into(), 4096);
    /// let mut blueprint = Blueprint::new("shop", [("web".parse()?, web)]);
    /// blueprint.horizon_months = 36;
    /// blueprint.check()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(
        name: impl Into<String>,
        components: impl IntoIterator<Item = (ComponentId, Component)>,
    ) -> Self {
        Self {
            name: name.into(),
            currency: euro(),
            components: components.into_iter().collect(),
            filter: Filter::default(),
            constraints: Vec::new(),
            budget: None,
            links: Vec::new(),
            provider_fees: ProviderFees::default(),
            running: Running::default(),
            assumptions: Assumptions::default(),
            horizon_months: a_year(),
            objective: Objective::default(),
        }
    }
}

impl Blueprint {
    /// Reads and checks a blueprint in YAML; JSON is read too.
    ///
    /// # Errors
    /// [`DocumentError`] with the path and line, and what to write instead.
    pub fn from_yaml(text: &str) -> Result<Self, DocumentError> {
        check_size(text, limits::MAX_BLUEPRINT_BYTES)?;
        let blueprint: Self = parse_yaml(text)?;
        blueprint.check().map_err(|error| error.located(text))?;
        Ok(blueprint)
    }

    /// Reads and checks a blueprint in JSON.
    ///
    /// # Errors
    /// As [`from_yaml`](Self::from_yaml).
    pub fn from_json(text: &str) -> Result<Self, DocumentError> {
        check_size(text, limits::MAX_BLUEPRINT_BYTES)?;
        let blueprint: Self = super::parse_json(text)?;
        blueprint.check().map_err(|error| error.located(text))?;
        Ok(blueprint)
    }

    /// Checks what the form alone does not: names that are used exist, numbers make sense.
    ///
    /// # Errors
    /// [`DocumentError`] with the path, and what to write instead.
    pub fn check(&self) -> Result<(), DocumentError> {
        self.check_counts()?;
        let (count, most) = (self.components.len(), limits::MAX_COMPONENTS);
        if count == 0 || count > most {
            return Err(DocumentError::at("components", format!("{count} components; write 1 to {most}")));
        }
        if !(1..=120).contains(&self.horizon_months) {
            return Err(DocumentError::at("horizon_months", "write 1 to 120 months"));
        }
        if let Some(Err(why)) = self.budget.map(money::check_amount) {
            return Err(DocumentError::at("budget", why));
        }
        for (name, component) in &self.components {
            component.check().and_then(|()| self.check_relations(component)).map_err(
                |(field, message)| DocumentError::at(format!("components.{name}.{field}"), message),
            )?;
        }
        self.check_links()?;
        self.check_measures()?;
        self.running.check(self)?;
        for (index, constraint) in self.constraints.iter().enumerate() {
            let path = format!("constraints[{index}].{}", constraint.word());
            constraint.check(self).map_err(|message| DocumentError::at(path, message))?;
        }
        self.check_dependencies()
    }

    /// Whether there is not so much of anything that no check of it ends soon.
    fn check_counts(&self) -> Result<(), DocumentError> {
        check_name(&self.name).map_err(|message| DocumentError::at("name", message))?;
        let named = self.constraints.iter().map(|constraint| constraint.components().len()).sum::<usize>();
        let users = self.components.values().map(|component| component.users.len()).sum::<usize>();
        let pairs = self.assumptions.latency.pairs.len();
        let carried = self.running.services.iter().map(|service| service.replicas.len()).sum::<usize>();
        for (path, count, most, what) in [
            ("constraints", self.constraints.len(), limits::MAX_CONSTRAINTS, "conditions"),
            (
                "constraints",
                named,
                limits::MAX_CONSTRAINT_REFERENCES,
                "names of components in all conditions",
            ),
            ("links", self.links.len(), limits::MAX_LINKS, "links"),
            ("components", users, limits::MAX_LINKS, "groups of users"),
            ("assume.latency.pairs", pairs, limits::MAX_LINKS, "pairs"),
            ("running.services", self.running.services.len(), limits::MAX_RUNNING_SERVICES, "services"),
            (
                "running.services",
                carried,
                limits::MAX_CONSTRAINT_REFERENCES,
                "names of components in all replicas",
            ),
        ] {
            if count > most {
                return Err(DocumentError::at(
                    path,
                    format!("these are {count} {what}; write at most {most}"),
                ));
            }
        }
        let mut groups =
            self.components.values().flat_map(|component| &component.users).map(|group| &group.name);
        if let Some(name) = groups.find(|name| name.chars().any(is_hidden)) {
            return Err(DocumentError::at(
                "",
                format!("{name:?} has characters that do not show; leave them out"),
            ));
        }
        Ok(())
    }

    fn check_links(&self) -> Result<(), DocumentError> {
        for (at, link) in self.links.iter().enumerate() {
            let fail = |message: String| Err(DocumentError::at(format!("links[{at}]"), message));
            if let Some(name) =
                [&link.from, &link.to].into_iter().find(|name| !self.components.contains_key(*name))
            {
                return fail(self.unknown(name));
            }
            if link.from == link.to {
                return fail("a component is always where it is itself; link two components".to_owned());
            }
            if link.traffic_gib > MAX_TRAFFIC {
                return fail(format!("write a traffic_gib up to {MAX_TRAFFIC}"));
            }
        }
        for (name, component) in &self.components {
            for (at, users) in component.users.iter().enumerate() {
                let path = || format!("components.{name}.users[{at}]");
                if users.traffic_gib > MAX_TRAFFIC {
                    return Err(DocumentError::at(
                        path(),
                        format!("write a traffic_gib up to {MAX_TRAFFIC}"),
                    ));
                }
                if !users.at.is_on_earth() {
                    return Err(DocumentError::at(
                        path(),
                        "write a latitude of -90 to 90 and a longitude of -180 to 180",
                    ));
                }
            }
        }
        Ok(())
    }

    fn check_measures(&self) -> Result<(), DocumentError> {
        self.objective.check().map_err(|message| DocumentError::at("objective", message))?;
        if let Some(carbon) = &self.assumptions.carbon {
            carbon.check().map_err(|message| DocumentError::at("assume.carbon", message))?;
        } else if self.measures().contains(&Measure::Carbon) {
            return Err(DocumentError::at(
                "assume.carbon",
                "the measure carbon needs it: write g_per_kwh and watts",
            ));
        }
        let latencies = &self.assumptions.latency;
        if latencies.base_us.max(latencies.us_per_km).max(latencies.local_us) > 10_000_000
            || latencies.pairs.iter().any(|pair| pair.us > 10_000_000)
        {
            return Err(DocumentError::at("assume.latency", "write at most 10000000 microseconds"));
        }
        let fees = self.provider_fees.default.iter().chain(self.provider_fees.providers.values());
        let limit = Decimal::from(1_000_000);
        let is_sane = |amount: Decimal| (Decimal::ZERO..=limit).contains(&amount);
        if fees.into_iter().any(|fee| !is_sane(fee.monthly) || !is_sane(fee.once)) {
            return Err(DocumentError::at("provider_fees", format!("write fees from 0 to {limit}")));
        }
        Ok(())
    }

    /// All measures that the objective or a limit looks at.
    pub fn measures(&self) -> Vec<Measure> {
        let mut measures = self.objective.measures();
        for constraint in &self.constraints {
            if let Constraint::Limit(limit) = constraint {
                measures.extend(limit.measure);
            }
        }
        measures.sort_unstable();
        measures.dedup();
        measures
    }

    pub(super) fn unknown(&self, name: &ComponentId) -> String {
        let known: Vec<_> = self.components.keys().map(ComponentId::as_str).collect();
        format!("no component is called `{name}`; write one of {}", known.join(", "))
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
        assert_eq!(
            message,
            "constraints[0].conflict: line 4, column 3: no component is called `db`; write one of web"
        );
    }

    #[test]
    fn mistakes_that_the_form_allows_have_a_line_too() {
        let with =
            |component: &str, rest: &str| format!("name: x\ncomponents:\n  web:\n    {component}\n{rest}");
        for (text, place) in [
            (with("vcpu: -2", ""), "components.web.vcpu: line 4, column 11: "),
            (with("replicas: 0", ""), "components.web.replicas: line 4, column 15: "),
            (with("replicas: { min: 3, max: 2 }", ""), "components.web.replicas: line 4, column 5: "),
            (with("vcpu: 2", "budget: -1"), "budget: line 5, column 9: "),
            (with("vcpu: 2", "horizon_months: 0"), "horizon_months: line 5, column 17: "),
            (with("vcpu: 2", "links:\n  - { from: web, to: db }"), "links[0]: line 6, column 5: "),
            (with("vcpu: 2", "constraints:\n  - one_of: [web]"), "constraints[0].one_of: line 6, column 5: "),
        ] {
            let said = error(&text);
            assert!(said.starts_with(place), "{text}\n{said}");
        }
        let json = "{\"name\": \"x\",\n \"components\": {\"web\": {\n  \"vcpu\": -2}}}";
        let said = Blueprint::from_json(json).expect_err("a mistake").to_string();
        assert!(said.starts_with("components.web.vcpu: line 3, column 11: "), "{said}");
    }

    /// Words of the parsers that no user should meet.
    const JARGON: [&str; 12] = [
        "u64", "u32", "Options", "Policy", "policy", "from_str", "variant", "AED", "struct ", ".?", "EOF",
        "end of ",
    ];

    #[test]
    fn mistakes_are_said_in_words_of_what_to_write() {
        let web = |fields: &str| format!("name: x\ncomponents:\n  web: {{ {fields} }}\n");
        for (text, words) in [
            (web("memory_mib: -5"), "a whole number from 0 to 18446744073709551615"),
            (web("memory_mib: 100000000000000000000000000"), "a whole number from 0"),
            (web("memory_mib: many"), "a whole number from 0"),
            (web("memory_mib: [1]"), "write one value, not a list"),
            (web("replicas: many"), "a number of replicas such as 3"),
            (web("vcpu: .inf"), "such as 12.5"),
            (web("vcpu: two"), "a decimal number such as 12.5"),
            (web("kind: machin"), "did you mean `machine`?"),
            (web("users: 7"), "a list, as [a, b]"),
            (web("vcpu: 1, vcpu: 2"), "components.web: line 3, column 19: `vcpu` is written twice; keep one"),
            (
                web("vcpu: 1") + "  web: {}\n",
                "components: line 4, column 3: `web` is written twice; keep one",
            ),
            (web("vcpu: 1") + "name: y\n", "`name` is written twice; keep one of them"),
            (
                web("vcpu: 1") + "constraints: [{ count: { components: [web], min: 1 }, serves: {} }]\n",
                "only one word",
            ),
            (web("vcpu: 1") + "currency: {}\n", "write a word"),
            ("name: x\n components: y\n".to_owned(), "mend the indentation"),
            ("name: x\ncomponents:\n\tweb: {}\n".to_owned(), "instead of tabs"),
            (web("vcpu: 1") + "---\nname: y\n", "a second document starts here; write one in a file"),
            (
                web("vcpu: 1") + "currency: EURO\n",
                "`EURO` is not a currency of ISO 4217; write one such as EUR",
            ),
            (web("vcpu: 1") + "constraints: [{ sprad: {} }]\n", "did you mean `spread`?"),
            ("name: x\ncomponents: 7\n".to_owned(), "components: line 2, column 13: write "),
            ("name: x\n".to_owned(), "`components` is missing; write it"),
            ("name: [1".to_owned(), "name: line 1"),
            (String::new(), "the document is empty"),
            ("# a comment\n".to_owned(), "the document is empty"),
        ] {
            let said = error(&text);
            assert!(said.contains(words), "{text}\n{said}");
            assert!(!JARGON.iter().any(|word| said.contains(word)), "{text}\n{said}");
        }
        let web = |fields: &str| format!("{{\"name\": \"x\", \"components\": {{\"web\": {{{fields}}}}}");
        for (text, words) in [
            (
                web("\"memory_mib\": -5") + "}",
                "write a whole number from 0 to 18446744073709551615, not `-5`",
            ),
            (web("\"memory_mib\": 100000000000000000000000000") + "}", "a whole number from 0"),
            (web("\"kind\": \"machin\"") + "}", "did you mean `machine`?"),
            (web("}, \"web\": {") + "}}", "components: line 1, column 45: `web` is written twice; keep one"),
            (web("") + ", \"currency\": \"EURO\"}", "not a currency of ISO 4217"),
            (web("") + ", \"name\": \"y\"}", "`name` is written twice"),
            (web(""), "the document ends too early"),
            (String::new(), "the document is empty"),
            ("7".to_owned(), "write fields"),
        ] {
            let said = Blueprint::from_json(&text).expect_err("a mistake").to_string();
            assert!(said.contains(words), "{text}\n{said}");
            assert!(!JARGON.iter().any(|word| said.contains(word)), "{text}\n{said}");
        }
    }

    #[test]
    fn conditions_that_ask_for_nothing_are_refused() {
        for (constraint, words) in [
            ("spread: { components: [], over: provider, at_least: 2 }", "at least one component"),
            ("spread: { components: [web], over: provider }", "at_least or max_percent"),
            ("spread: { components: [web], over: provider, at_least: 0 }", "at_least of 1 or more"),
            ("survive: { components: [], loss_of: provider }", "at least one component"),
            ("survive: { components: [web], loss_of: provider, remaining: 0 }", "remaining of 1 or more"),
            ("colocate: { components: [] }", "at least one component"),
        ] {
            let said =
                error(&format!("name: x\ncomponents: {{ web: {{}} }}\nconstraints:\n  - {constraint}\n"));
            assert!(said.contains(words) && said.contains("line 4"), "{constraint}\n{said}");
        }
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

    #[test]
    fn there_is_so_much_in_a_blueprint() {
        let with = |more: &str| error(&format!("name: x\ncomponents: {{ a: {{}}, b: {{}} }}\n{more}\n"));
        let many = |what: &str, count: usize| format!("[{}]", vec![what; count].join(","));
        for (more, words) in [
            (
                format!("constraints: {}", many("{distinct: {over: zone, at_most: 9}}", 2_001)),
                "2001 conditions; write at most 2000",
            ),
            (
                format!("constraints: [{{ count: {{ components: {}, min: 1 }} }}]", many("a", 100_001)),
                "100001 names of components in all conditions",
            ),
            (
                format!("links: {}", many("{from: a, to: b}", 10_001)),
                "these are 10001 links; write at most 10000",
            ),
        ] {
            let said = with(&more);
            assert!(said.contains(words), "{said}");
        }
        let said = error("name: \"x\\u202ey\"\ncomponents: { a: {} }\n");
        assert!(said.contains("characters that do not show"), "{said}");
        let said = error(&format!("name: {}\ncomponents: {{ a: {{}} }}\n", "x".repeat(1_001)));
        assert!(said.contains("name: ") && said.contains("write at most 1000 characters"), "{said}");
        let said = error(&format!("name: x\n# {}\ncomponents: {{ a: {{}} }}\n", "x".repeat(32 << 20)));
        assert!(said.contains("bytes; write at most 33554432"), "{said}");
    }
}
