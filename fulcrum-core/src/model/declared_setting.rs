//! Declared settings: what a provider takes with a product, and of which type.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Map, Value, json};

use super::{
    OfferKind, Settings, firewall_rule::FirewallRule, public_key::is_public_key, setting_text,
    template::may_hold_secrets, text_values,
};

/// The type of a setting's value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SettingType {
    /// Any JSON value: the provider has not said.
    #[default]
    Any,
    /// Text; a number or a truth is read as its text.
    Text,
    /// A whole number, also as text.
    Number,
    /// `true` or `false`.
    Boolean,
    /// One of these words.
    Choice(Vec<String>),
    /// A list, also as text with commas between its members.
    List(Box<SettingType>),
    /// A name or id of something at the provider, such as what a component under `after` has become.
    Reference,
    /// A public key in OpenSSH's form: `ssh-ed25519 AAAA… comment`.
    PublicKey,
    /// Up to 40 texts by name: what each provider takes as labels. Names have 2 to 32 letters, digits, `-` and `_`, values up to
    /// 63 with `.` too.
    Labels,
    /// One label of a host's name (RFC 1123): up to 63 letters, digits and hyphens.
    Hostname,
    /// What may come in: a list of `{ allow: tcp, ports: 22, from: 10.0.0.0/8 }`, up to 30. `allow` is tcp, udp or icmp, `ports` one
    /// or a range such as `8000-8010`, `from` a range of addresses.
    FirewallRules,
}

/// A setting that a provider takes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct DeclaredSetting {
    /// Its name in a component's `settings`.
    pub name: String,
    /// The kinds of product that take it; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<OfferKind>,
    /// The type of its value.
    #[serde(default, rename = "type")]
    pub value: SettingType,
    /// Whether nothing is bought without it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub required: bool,
    /// Whether it means the same at each provider that takes it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub portable: bool,
    /// What it does, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub about: String,
}

fn is_false(value: &bool) -> bool {
    !value
}

impl DeclaredSetting {
    /// A setting of all kinds of product, which may be left out.
    pub fn new(name: impl Into<String>, value: SettingType) -> Self {
        let (name, about) = (name.into(), String::new());
        Self { name, kinds: Vec::new(), value, required: false, portable: false, about }
    }

    /// Of these kinds of product only.
    #[must_use]
    pub fn of(self, kinds: impl Into<Vec<OfferKind>>) -> Self {
        Self { kinds: kinds.into(), ..self }
    }

    /// Described for people.
    #[must_use]
    pub fn about(self, about: impl Into<String>) -> Self {
        Self { about: about.into(), ..self }
    }

    /// Means the same at each provider that takes it.
    #[must_use]
    pub fn portable(self) -> Self {
        Self { portable: true, ..self }
    }

    /// Nothing is bought without it.
    #[must_use]
    pub fn required(self) -> Self {
        Self { required: true, ..self }
    }

    fn is_of(&self, kind: OfferKind) -> bool {
        self.kinds.is_empty() || self.kinds.contains(&kind)
    }
}

/// All settings that a provider takes.
///
/// In JSON a list of [`DeclaredSetting`]s; a name alone is a setting of any type, for all kinds of product.
///
/// ```
/// use fulcrum_core::model::{DeclaredSettings, OfferKind, Settings};
/// let declared: DeclaredSettings = serde_json::from_str(
///     r#"["note", {"name": "image", "kinds": ["machine"], "type": "text", "required": true},
///        {"name": "ports", "type": {"list": "number"}}]"#,
/// )?;
/// let settings: Settings = serde_json::from_str(r#"{"image": "debian-13", "ports": [22, 443]}"#)?;
/// assert_eq!(declared.fault(OfferKind::Machine, &settings), None);
/// let wrong: Settings = serde_json::from_str(r#"{"ports": ["ssh"]}"#)?;
/// let fault = declared.fault(OfferKind::Machine, &wrong).expect("it is wrong");
/// assert_eq!(fault, "takes the setting `ports` as a list of whole numbers; write it so");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, schemars::JsonSchema)]
#[schemars(with = "Vec<AnyDeclaration>")]
pub struct DeclaredSettings(Vec<DeclaredSetting>);

/// A declaration as it may be written.
#[derive(schemars::JsonSchema)]
#[schemars(untagged)]
enum AnyDeclaration {
    Name(String),
    Declared(DeclaredSetting),
}

impl<'de> Deserialize<'de> for AnyDeclaration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> de::Visitor<'de> for Read {
            type Value = AnyDeclaration;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a setting, or { name: image, type: text }")
            }
            fn visit_str<E: de::Error>(self, name: &str) -> Result<AnyDeclaration, E> {
                Ok(AnyDeclaration::Name(name.to_owned()))
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<AnyDeclaration, A::Error> {
                let declared = DeclaredSetting::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(AnyDeclaration::Declared(declared))
            }
        }
        deserializer.deserialize_any(Read)
    }
}

impl<'de> Deserialize<'de> for DeclaredSettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let declared = |any| match any {
            AnyDeclaration::Name(name) => DeclaredSetting::new(name, SettingType::Any),
            AnyDeclaration::Declared(declared) => declared,
        };
        Ok(Vec::deserialize(deserializer)?.into_iter().map(declared).collect())
    }
}

impl Serialize for DeclaredSettings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|declared| {
            match *declared == DeclaredSetting::new(&declared.name, SettingType::Any) {
                true => json!(declared.name),
                false => json!(declared),
            }
        }))
    }
}

impl FromIterator<DeclaredSetting> for DeclaredSettings {
    fn from_iter<I: IntoIterator<Item = DeclaredSetting>>(all: I) -> Self {
        let mut all: Vec<DeclaredSetting> = all.into_iter().collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        Self(all)
    }
}

impl DeclaredSettings {
    /// Settings of any type, by name.
    pub fn of_names(names: &[&str]) -> Self {
        names.iter().map(|name| DeclaredSetting::new(*name, SettingType::Any)).collect()
    }

    /// All declarations, by name.
    pub fn iter(&self) -> impl Iterator<Item = &DeclaredSetting> {
        self.0.iter()
    }

    /// Whether a setting of this name is taken by any kind of product.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|declared| declared.name == name)
    }

    /// Whether a product of this kind can be made with this value of this setting.
    /// Whether secrets may stand in `user_data`: it is declared as the portable setting.
    pub(crate) fn take_secrets(&self) -> bool {
        self.iter().any(|it| it.portable && may_hold_secrets(&it.name))
    }

    pub(crate) fn admits(&self, kind: OfferKind, name: &str, value: &Value) -> bool {
        let mut of_kind = self.0.iter().filter(|declared| declared.is_of(kind));
        of_kind.any(|declared| declared.name == name && declared.value.admits(value))
    }

    /// Whether some kind of product is not made without a setting of this name.
    pub(crate) fn needs(&self, name: &str) -> bool {
        self.0.iter().any(|declared| declared.required && declared.name == name)
    }

    /// The first setting that a product of this kind cannot be made with, in words that follow the provider's name; none if it can
    /// be made with all.
    pub fn fault(&self, kind: OfferKind, settings: &Settings) -> Option<String> {
        let of_kind = || self.0.iter().filter(|declared| declared.is_of(kind));
        for (name, value) in settings {
            if name.starts_with("ssh_key") && has_private_key(value) {
                return Some(format!(
                    "is given no secrets, and the setting `{name}` holds a private key; leave it out"
                ));
            }
            match of_kind().find(|declared| declared.name == *name) {
                Some(declared) if declared.value.admits(value) => {}
                Some(declared) => {
                    return Some(format!("takes the setting `{name}` as {}; write it so", declared.value));
                }
                None if self.has(name) => return Some(format!("takes the setting `{name}` with no {kind}")),
                None => {
                    let known: Vec<&str> = of_kind().map(|declared| declared.name.as_str()).collect();
                    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                    return Some(format!("does not know the setting `{name}`; it knows {known}"));
                }
            }
        }
        let missing = of_kind().find(|declared| declared.required && !settings.contains_key(&declared.name));
        missing.map(|declared| format!("needs the setting `{}`, {}", declared.name, declared.value))
    }

    /// Settings that [`fault`](Self::fault) admits, with each value in its declared type: `"5"` as the number 5, `"a, b"` as a list.
    pub fn typed(&self, kind: OfferKind, settings: &Settings) -> Settings {
        let typed = |(name, value): (&String, &Value)| {
            let declared = self.0.iter().find(|declared| declared.is_of(kind) && declared.name == *name);
            (name.clone(), declared.map_or_else(|| value.clone(), |declared| declared.value.typed(value)))
        };
        settings.iter().map(typed).collect()
    }

    /// The JSON Schema of the settings of a component of this kind, to draw a form from. A form's values are checked by [`fault`](Self::fault), which also reads numbers and lists as text.
    pub fn schema(&self, kind: OfferKind) -> Value {
        let of_kind = || self.0.iter().filter(|declared| declared.is_of(kind));
        let properties: Map<String, Value> = of_kind()
            .map(|declared| {
                let mut schema = declared.value.schema();
                if !declared.about.is_empty() {
                    schema["description"] = json!(declared.about);
                }
                (declared.name.clone(), schema)
            })
            .collect();
        let required: Vec<&str> =
            of_kind().filter(|declared| declared.required).map(|declared| declared.name.as_str()).collect();
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        })
    }
}

/// Characters of a label's value.
const MAX_LABEL_CHARS: usize = 63;
/// Labels of one component: EC2 takes 50 tags, and some are this library's.
const MAX_LABELS: usize = 40;

/// Whether a text is one label of a host's name (RFC 1123, section 2.1).
fn is_hostname(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Whether a text can be a label's value at each provider.
fn is_label_value(text: &str) -> bool {
    let is_end = |byte: Option<u8>| byte.is_none_or(|byte| byte.is_ascii_alphanumeric());
    text.len() <= MAX_LABEL_CHARS
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        && is_end(text.bytes().next())
        && is_end(text.bytes().last())
}

/// Whether a text can be a label's name at each provider: UpCloud takes 2 to 32 characters without dots. Names that this library
/// and providers' boot scripts use cannot.
fn is_label_name(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    (2..=32).contains(&text.len())
        && is_label_value(text)
        && !text.contains('.')
        && !lower.starts_with("fulcrum")
        && lower != "authorized_key"
}

/// The lines of a text that are not blank.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty())
}

/// Whether a value holds a private key, in any of its texts.
fn has_private_key(value: &Value) -> bool {
    text_values(value).iter().any(|text| text.contains("PRIVATE KEY-----"))
}

/// Whether a text refers to another component, so that its value is known at the purchase only.
fn is_reference(text: &str) -> bool {
    text.contains("${")
}

impl SettingType {
    fn admits(&self, value: &Value) -> bool {
        let scalar = match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(truth) => Some(truth.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        };
        let is_late = scalar.as_deref().is_some_and(is_reference);
        match self {
            Self::Any => true,
            // A list of one is read as its member.
            Self::Text | Self::Reference => match value {
                Value::Array(all) => matches!(&**all, [one] if !one.is_array() && self.admits(one)),
                _ => scalar.is_some(),
            },
            Self::Number => is_late || scalar.is_some_and(|text| text.trim().parse::<i64>().is_ok()),
            Self::Boolean => is_late || scalar.is_some_and(|text| text == "true" || text == "false"),
            Self::Choice(words) => is_late || scalar.is_some_and(|text| words.contains(&text)),
            Self::PublicKey => is_late || scalar.is_some_and(|text| is_public_key(&text)),
            Self::Hostname => is_late || scalar.is_some_and(|text| is_hostname(&text)),
            Self::FirewallRules => FirewallRule::all(Some(value)).is_ok(),
            Self::Labels => value.as_object().is_some_and(|all| {
                all.len() <= MAX_LABELS
                    && all.iter().all(|(name, value)| {
                        let value = setting_text(value).filter(|_| !value.is_array());
                        is_label_name(name)
                            && value.is_some_and(|text| is_reference(&text) || is_label_value(&text))
                    })
            }),
            Self::List(of) => match (value, scalar) {
                (Value::Array(all), _) => all.iter().all(|one| of.admits(one)),
                (_, Some(text)) if is_late => !text.is_empty(),
                // A key has blanks.
                (_, Some(text)) if **of == Self::PublicKey => {
                    lines(&text).all(|line| of.admits(&json!(line)))
                }
                (_, Some(text)) => {
                    let mut words = text.split([',', ' ']).filter(|word| !word.is_empty());
                    words.all(|word| of.admits(&json!(word)))
                }
                (_, None) => false,
            },
        }
    }

    /// A value that it admits, in its own type.
    fn typed(&self, value: &Value) -> Value {
        match (self, value) {
            (Self::Any, value) => value.clone(),
            (Self::List(of), Value::Array(all)) => all.iter().map(|one| of.typed(one)).collect(),
            (Self::List(of), value) => {
                let text = setting_text(value).unwrap_or_default();
                if **of == Self::PublicKey {
                    return lines(&text).map(|line| json!(line)).collect();
                }
                let words = text.split([',', ' ']).filter(|word| !word.is_empty());
                words.map(|word| of.typed(&json!(word))).collect()
            }
            (_, Value::Array(all)) if all.len() == 1 => self.typed(&all[0]),
            (Self::Number, Value::String(text)) => {
                text.trim().parse::<i64>().map_or_else(|_| value.clone(), Value::from)
            }
            (Self::Boolean, Value::String(text)) => {
                text.parse::<bool>().map_or_else(|_| value.clone(), Value::from)
            }
            (
                Self::Text | Self::Reference | Self::Choice(_) | Self::Hostname,
                Value::Number(_) | Value::Bool(_),
            ) => Value::String(setting_text(value).unwrap_or_default()),
            (_, value) => value.clone(),
        }
    }

    fn schema(&self) -> Value {
        match self {
            Self::Any => json!({}),
            Self::Text | Self::Reference | Self::PublicKey => json!({ "type": "string" }),
            Self::Hostname => {
                json!({ "type": "string", "pattern": "^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$" })
            }
            Self::Labels => {
                json!({ "type": "object", "additionalProperties": { "type": "string", "maxLength": 63 } })
            }
            Self::FirewallRules => FirewallRule::schema(),
            Self::Number => json!({ "type": "integer" }),
            Self::Boolean => json!({ "type": "boolean" }),
            Self::Choice(words) => json!({ "enum": words }),
            Self::List(of) => json!({ "type": "array", "items": of.schema() }),
        }
    }

    fn plural(&self) -> String {
        match self {
            Self::Any => "values".to_owned(),
            Self::Text => "texts".to_owned(),
            Self::Number => "whole numbers".to_owned(),
            Self::Boolean => "truths".to_owned(),
            Self::Choice(words) => format!("words, each one of {}", words.join(", ")),
            Self::List(of) => format!("lists of {}", of.plural()),
            Self::Reference => "names or ids".to_owned(),
            Self::PublicKey => "public keys (ssh-ed25519 AAAA…)".to_owned(),
            Self::Labels => "maps of labels".to_owned(),
            Self::Hostname => "host names".to_owned(),
            Self::FirewallRules => "lists of firewall rules".to_owned(),
        }
    }
}

impl fmt::Display for SettingType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any value"),
            Self::Text => f.write_str("a text"),
            Self::Number => f.write_str("a whole number"),
            Self::Boolean => f.write_str("true or false"),
            Self::Choice(words) => write!(f, "one of {}", words.join(", ")),
            Self::List(of) => write!(f, "a list of {}", of.plural()),
            Self::Reference => f.write_str("a name or id"),
            Self::PublicKey => f.write_str("a public key (ssh-ed25519 AAAA…)"),
            Self::Labels => f.write_str(
                "a map of labels: names of 2 to 32 letters, digits, - and _, not fulcrum…; values of up to 63, with . too",
            ),
            Self::FirewallRules => {
                f.write_str("a list of rules, such as { allow: tcp, ports: 80-90, from: 10.0.0.0/8 }")
            }
            Self::Hostname => f.write_str("a host's name: letters, digits and hyphens, 63 at most"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared() -> DeclaredSettings {
        let list = |of| SettingType::List(Box::new(of));
        [
            DeclaredSetting::new("image", SettingType::Text)
                .of([OfferKind::Machine])
                .required()
                .about("what it boots"),
            DeclaredSetting::new("ports", list(SettingType::Number)),
            DeclaredSetting::new("disk", SettingType::Choice(vec!["ssd".to_owned(), "hdd".to_owned()])),
            DeclaredSetting::new("public", SettingType::Boolean),
            DeclaredSetting::new("extra", SettingType::Any),
        ]
        .into_iter()
        .collect()
    }

    fn fault(kind: OfferKind, settings: Value) -> Option<String> {
        declared().fault(kind, &serde_json::from_value(settings).expect("settings"))
    }

    #[test]
    fn a_value_has_its_declared_type() {
        let with = |name: &str, value: Value| fault(OfferKind::Machine, json!({ "image": "x", name: value }));
        for (name, value) in [
            ("ports", json!([22, "443"])),
            ("ports", json!("22, 443")),
            ("ports", json!(22)),
            ("ports", json!("${lb.port}")),
            ("disk", json!("ssd")),
            ("public", json!(true)),
            ("public", json!("false")),
            ("image", json!(12)),
            ("extra", json!({ "a": [1] })),
            ("image", json!(["debian-13"])),
        ] {
            assert_eq!(with(name, value.clone()), None, "{name}: {value}");
        }
        for (name, value, words) in [
            ("ports", json!("ssh"), "a list of whole numbers"),
            ("ports", json!({ "a": 1 }), "a list of whole numbers"),
            ("ports", json!([[1]]), "a list of whole numbers"),
            ("disk", json!("tape"), "one of ssd, hdd"),
            ("public", json!("yes"), "true or false"),
            ("image", json!(["a", "b"]), "a text"),
            ("image", json!([["a"]]), "a text"),
            ("image", json!(null), "a text"),
        ] {
            let why = with(name, value.clone()).unwrap_or_else(|| panic!("{name}: {value}"));
            assert!(why.contains(words) && why.contains(name), "{why}");
        }
    }

    #[test]
    fn values_are_sent_in_their_type() {
        let settings = json!({ "ports": "22, 443", "public": "false", "image": 12, "disk": ["ssd"], "extra": { "a": "1" } });
        let settings: Settings = serde_json::from_value(settings).expect("settings");
        let typed = serde_json::to_value(declared().typed(OfferKind::Machine, &settings)).expect("JSON");
        let wanted = json!({ "ports": [22, 443], "public": false, "image": "12", "disk": "ssd", "extra": { "a": "1" } });
        assert_eq!(typed, wanted);
        let again = serde_json::from_value(typed).expect("settings");
        assert_eq!(declared().typed(OfferKind::Machine, &again), again);
    }

    #[test]
    fn what_a_kind_does_not_take_or_lacks_is_named() {
        let why = fault(OfferKind::Machine, json!({ "imgae": "x" })).expect("unknown");
        assert_eq!(why, "does not know the setting `imgae`; it knows disk, extra, image, ports, public");
        let why = fault(OfferKind::Database, json!({ "image": "x" })).expect("of a machine");
        assert_eq!(why, "takes the setting `image` with no database");
        let why = fault(OfferKind::Machine, json!({})).expect("required");
        assert_eq!(why, "needs the setting `image`, a text");
        assert_eq!(fault(OfferKind::Database, json!({})), None);
    }

    #[test]
    fn a_form_can_be_drawn_from_the_schema() {
        let schema = declared().schema(OfferKind::Machine);
        assert_eq!(schema["required"], json!(["image"]));
        assert_eq!(
            schema["properties"]["image"],
            json!({ "type": "string", "description": "what it boots" })
        );
        assert_eq!(schema["properties"]["ports"]["items"]["type"], "integer");
        assert_eq!(declared().schema(OfferKind::Database)["properties"].get("image"), None);
    }

    #[test]
    fn names_alone_are_written_as_names() {
        let text = r#"["a",{"name":"b","required":true,"type":{"choice":["x"]}}]"#;
        let read: DeclaredSettings = serde_json::from_str(text).expect("declarations");
        assert_eq!(serde_json::to_string(&read).expect("JSON"), text);
    }
}
