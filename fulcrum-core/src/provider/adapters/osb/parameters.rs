//! The parameters of a plan: of its JSON Schema the names, types and texts at the top.

use serde_json::{Map, Value};

use crate::model::{DeclaredSetting, DeclaredSettings, SettingType};

/// Keywords beside `properties` that add properties of their own.
const COMPOSED: [&str; 7] =
    ["allOf", "anyOf", "oneOf", "$ref", "if", "patternProperties", "dependentSchemas"];

/// The settings that a plan takes; `None` if its schema names none, or says that it takes others. A schema that does not say so is
/// read as closed, so that a misspelt setting is found before the purchase.
pub(super) fn declared(schemas: &Value) -> Option<DeclaredSettings> {
    let schema = schemas.pointer("/service_instance/create/parameters")?.as_object()?;
    let is_open = match schema.get("additionalProperties") {
        None | Some(Value::Bool(false)) => COMPOSED.iter().any(|keyword| schema.contains_key(*keyword)),
        Some(_) => true,
    };
    let properties = schema.get("properties")?.as_object()?;
    if is_open {
        return None;
    }
    let required = schema.get("required").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let setting = |(name, property): (&String, &Value)| {
        let type_of = property.as_object().map_or(SettingType::Any, type_of);
        let declared = DeclaredSetting::new(name, type_of);
        let about = property.get("description").and_then(Value::as_str).unwrap_or_default();
        let declared = declared.about(about);
        if required.iter().any(|wanted| wanted.as_str() == Some(name)) {
            declared.required()
        } else {
            declared
        }
    };
    Some(properties.iter().map(setting).collect())
}

/// The type of a property; any value for what has several, or none that a setting can have.
fn type_of(property: &Map<String, Value>) -> SettingType {
    if let Some(words) = property.get("enum").and_then(Value::as_array) {
        let words: Option<Vec<String>> = words.iter().map(|word| word.as_str().map(str::to_owned)).collect();
        return words.map_or(SettingType::Any, SettingType::Choice);
    }
    match property.get("type").and_then(Value::as_str) {
        Some("string") => SettingType::Text,
        Some("integer") => SettingType::Number,
        Some("boolean") => SettingType::Boolean,
        Some("array") => {
            let of = property.get("items").and_then(Value::as_object).map_or(SettingType::Any, type_of);
            SettingType::List(Box::new(of))
        }
        _ => SettingType::Any,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::OfferKind;

    fn read(parameters: Value) -> Option<DeclaredSettings> {
        declared(&json!({ "service_instance": { "create": { "parameters": parameters } } }))
    }

    #[test]
    fn names_and_types_at_the_top_are_read() {
        let declared = read(json!({
            "$schema": "http://json-schema.org/draft-04/schema#",
            "type": "object",
            "properties": {
                "version": { "type": "string", "enum": ["16", "17"], "description": "of PostgreSQL" },
                "nodes": { "type": "integer", "minimum": 1 },
                "is_public": { "type": "boolean" },
                "networks": { "type": "array", "items": { "type": "string" } },
                "ratio": { "type": "number" },
                "either": { "oneOf": [{ "type": "string" }, { "type": "integer" }] },
                "nested": { "type": "object", "properties": { "a": { "type": "string" } } },
            },
            "required": ["version"],
        }))
        .expect("declared");
        let fault = |settings: Value| {
            declared.fault(OfferKind::Database, &serde_json::from_value(settings).expect("settings"))
        };
        assert_eq!(fault(json!({ "version": 17, "nodes": "3", "networks": "a,b", "ratio": 1.5 })), None);
        assert_eq!(fault(json!({ "version": "17", "either": 1, "nested": { "a": "b" } })), None);
        for (settings, words) in [
            (json!({}), "needs the setting `version`"),
            (json!({ "version": "15" }), "one of 16, 17"),
            (json!({ "version": "17", "nodes": "many" }), "a whole number"),
            (json!({ "version": "17", "node": 1 }), "does not know the setting `node`"),
        ] {
            let why = fault(settings).expect("a fault");
            assert!(why.contains(words), "{why}");
        }
        assert_eq!(
            declared.schema(OfferKind::Database)["properties"]["version"]["description"],
            "of PostgreSQL"
        );
    }

    #[test]
    fn a_schema_that_takes_anything_declares_nothing() {
        let properties = json!({ "a": { "type": "string" } });
        for schema in [
            json!({}),
            json!(7),
            json!({ "properties": [] }),
            json!({ "type": "object" }),
            json!({ "properties": properties, "additionalProperties": true }),
            json!({ "properties": properties, "additionalProperties": { "type": "string" } }),
            json!({ "properties": properties, "patternProperties": {} }),
            json!({ "properties": properties, "allOf": [{ "properties": { "b": {} } }] }),
            json!({ "properties": properties, "$ref": "#/definitions/more" }),
        ] {
            assert_eq!(read(schema.clone()), None, "{schema}");
        }
        let closed = read(json!({ "properties": {}, "additionalProperties": false })).expect("declared");
        assert_eq!(closed, DeclaredSettings::default());
        assert_eq!(declared(&json!(null)), None);
    }
}
