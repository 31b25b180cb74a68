//! Declared settings: what a provider takes with a product, and of which type.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Map, Value, json};

use super::{OfferKind, SettingType, Settings, template::may_hold_secrets, text_values};

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

    /// Whether secrets may stand in `user_data`: it is declared as the portable setting.
    pub(crate) fn take_secrets(&self) -> bool {
        self.iter().any(|it| it.portable && may_hold_secrets(&it.name))
    }

    /// With another type for the settings of a name.
    #[cfg(any(feature = "ec2", feature = "exoscale", feature = "hetzner", feature = "scaleway"))]
    pub(crate) fn with_type(self, name: &str, value: &SettingType) -> Self {
        let changed = |setting: DeclaredSetting| match setting.name == name {
            true => DeclaredSetting { value: value.clone(), ..setting },
            false => setting,
        };
        self.0.into_iter().map(changed).collect()
    }

    /// Whether products of this kind take a portable setting of this name.
    pub(crate) fn has_portable(&self, kind: OfferKind, name: &str) -> bool {
        self.0.iter().any(|declared| declared.portable && declared.name == name && declared.is_of(kind))
    }

    /// Whether a product of this kind can be made with this value of this setting.
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

/// Whether a value holds a private key, in any of its texts.
fn has_private_key(value: &Value) -> bool {
    text_values(value).iter().any(|text| text.contains("PRIVATE KEY-----"))
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
            DeclaredSetting::new("shared", SettingType::Always(false)),
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
            ("shared", json!("false")),
            ("shared", json!(false)),
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
            ("shared", json!(true), "false alone"),
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
        assert_eq!(
            why,
            "does not know the setting `imgae`; it knows disk, extra, image, ports, public, shared"
        );
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
