//! The guides by example: each of their documents is one that its reader and its schema take, and together they show every field.
#![expect(clippy::unwrap_used, reason = "a test stops at what it cannot read")]

use std::{collections::BTreeSet, fs, path::PathBuf};

use fulcrum_core::{
    model::{Blueprint, Policy, parse_yaml},
    purchase::RepairPolicy,
};
use serde_json::Value;

fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn schema(name: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(root().join(format!("schemas/{name}.json"))).unwrap()).unwrap()
}

/// The YAML documents of a page.
fn documents(page: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join("docs").join(page)).unwrap();
    let blocks = text.split("\n```").skip(1).step_by(2);
    blocks.filter_map(|block| block.strip_prefix("yaml\n")).map(str::to_owned).collect()
}

/// What a schema says of a document.
struct Guide {
    schema: Value,
    /// `type.field` of each field that a document has.
    shown: BTreeSet<String>,
}

impl Guide {
    fn new(name: &str) -> Self {
        Self { schema: schema(name), shown: BTreeSet::new() }
    }

    /// Notes the fields of a document, after the schema has taken it.
    fn show(&mut self, text: &str) {
        let document = parse_yaml::<Value>(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let validator = jsonschema::validator_for(&self.schema).unwrap();
        let object = |error: jsonschema::ValidationError<'_>| format!("{}: {error}", error.instance_path());
        assert_eq!(validator.iter_errors(&document).map(object).collect::<Vec<_>>(), [""; 0], "{text}");
        let root = self.schema.clone();
        self.walk(&root, "", &document);
    }

    fn resolved<'a>(&'a self, schema: &'a Value) -> (&'a Value, Option<&'a str>) {
        match schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")) {
            Some(name) => (&self.schema["$defs"][name], Some(name)),
            None => (schema, None),
        }
    }

    fn walk(&mut self, schema: &Value, name: &str, value: &Value) {
        let (resolved, known) = self.resolved(schema);
        let (schema, name) = (resolved.clone(), known.unwrap_or(name).to_owned());
        for choice in ["anyOf", "oneOf", "allOf"] {
            for one in schema[choice].as_array().into_iter().flatten() {
                let fits = jsonschema::validator_for(&self.with_definitions(one)).unwrap().is_valid(value);
                if fits {
                    self.walk(one, &name, value);
                }
            }
        }
        match value {
            Value::Object(fields) => {
                for (field, value) in fields {
                    if let Some(known) = schema["properties"].get(field) {
                        self.shown.insert(format!("{name}.{field}"));
                        self.walk(known, &format!("{name}.{field}"), value);
                    } else if schema["additionalProperties"].is_object() {
                        self.walk(&schema["additionalProperties"], &name, value);
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.walk(&schema["items"], &name, item)),
            _ => {}
        }
    }

    fn with_definitions(&self, schema: &Value) -> Value {
        let mut one = schema.clone();
        if let Some(object) = one.as_object_mut() {
            object.insert("$defs".to_owned(), self.schema["$defs"].clone());
        }
        one
    }

    /// `type.field` of all fields that the schema has below a type, for those types that `counts`.
    fn fields(&self, counts: impl Fn(&str) -> bool) -> BTreeSet<String> {
        let definitions = self.schema["$defs"].as_object().into_iter().flatten();
        let all = definitions.map(|(name, schema)| (name.as_str(), schema)).chain([("", &self.schema)]);
        let mut fields = BTreeSet::new();
        for (name, schema) in all.filter(|(name, _)| counts(name)) {
            let choices =
                ["oneOf", "anyOf"].into_iter().flat_map(|it| schema[it].as_array().into_iter().flatten());
            for one in choices.chain([schema]) {
                let names = one["properties"].as_object().into_iter().flatten();
                fields.extend(names.map(|(field, _)| format!("{name}.{field}")));
            }
        }
        fields
    }

    fn lacks(&self, counts: impl Fn(&str) -> bool) -> Vec<String> {
        // Types of equal form have numbers: `Allow2`.
        let plain = |field: &String| field.replace(char::is_numeric, "");
        let shown: BTreeSet<_> = self.shown.iter().map(plain).collect();
        self.fields(counts).into_iter().filter(|field| !shown.contains(&plain(field))).collect()
    }
}

#[test]
fn the_guide_of_blueprints_shows_every_field() {
    let mut guide = Guide::new("blueprint");
    assert!(guide.lacks(|_| true).len() > 80, "nothing is shown yet");
    let documents = documents("blueprint.md");
    for text in &documents {
        Blueprint::from_yaml(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        guide.show(text);
    }
    assert_eq!(guide.lacks(|_| true), [""; 0], "of {} documents", documents.len());
}

/// Of its own fields, of a sandbox's and of what all adapters share; those of an adapter are on its page.
#[cfg(all(feature = "adapters", feature = "sandbox"))]
#[test]
fn the_guide_of_federations_shows_every_field() {
    let mut guide = Guide::new("federation");
    let documents = documents("federation.md");
    for text in &documents {
        fulcrum_core::federation::FederationConfig::from_yaml(text)
            .unwrap_or_else(|error| panic!("{error}\n{text}"));
        guide.show(text);
    }
    let counts = |name: &str| ["", "SandboxConfig", "HttpConfig", "FaultRule"].contains(&name);
    assert_eq!(guide.lacks(counts), [""; 0]);
}

#[test]
fn the_guide_of_policies_shows_every_field() {
    let (mut order, mut repair) = (Guide::new("policy"), Guide::new("repair-policy"));
    for text in documents("policy.md") {
        if text.starts_with("# order policy\n") {
            Policy::from_yaml(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
            order.show(&text);
        } else {
            assert!(text.starts_with("# repair policy\n"), "say of what it is: {text}");
            parse_yaml::<RepairPolicy>(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
            repair.show(&text);
        }
    }
    assert_eq!(order.lacks(|name| ["", "FailOver"].contains(&name)), [""; 0]);
    assert_eq!(repair.lacks(|_| true), [""; 0]);
}

/// An editor finds the schema of each example, and the example is one that the schema takes.
#[test]
fn the_examples_name_their_schema() {
    let mut count = 0;
    for entry in fs::read_dir(root().join("examples/blueprints")).unwrap() {
        let file = entry.unwrap().path();
        let text = fs::read_to_string(&file).unwrap();
        let first = text.lines().next().unwrap();
        let path = first.strip_prefix("# yaml-language-server: $schema=").expect("the first line names it");
        let schema = fs::read_to_string(file.parent().unwrap().join(path)).unwrap();
        let schema: Value = serde_json::from_str(&schema).unwrap();
        assert!(jsonschema::is_valid(&schema, &parse_yaml(&text).unwrap()), "{}", file.display());
        count += 1;
    }
    assert!(count > 0);
}

/// What an editor shows beside a field tells what to write there, and is no fragment.
#[test]
fn the_fields_of_documents_are_described() {
    for name in ["blueprint", "federation", "query", "policy", "repair-policy", "provider", "catalogue"] {
        let schema = schema(name);
        assert!(schema["title"].is_string() && schema["description"].is_string(), "{name}");
        let mut bare = Vec::new();
        describe(&schema, name, &mut bare);
        assert_eq!(bare, [""; 0], "{name}");
    }
}

/// Collects fields without a sentence of their own.
fn describe(schema: &Value, path: &str, bare: &mut Vec<String>) {
    match schema {
        Value::Object(object) => {
            // The choices of an enum are described as a whole.
            let is_choice = object.contains_key("description") && object.get("required").is_some();
            for (field, one) in object.get("properties").and_then(Value::as_object).into_iter().flatten() {
                let text = one["description"].as_str().unwrap_or_default();
                let words = text.split_whitespace().count();
                let is_only = object["properties"].as_object().is_some_and(|all| all.len() == 1);
                // The word that tells the choices apart is explained by their texts.
                let is_tag = one.get("const").is_some();
                if words < 3 && !is_tag && !(is_choice && is_only && words == 0) {
                    bare.push(format!("{path}.{field}: {text:?}"));
                }
            }
            object.iter().for_each(|(key, value)| describe(value, &format!("{path}/{key}"), bare));
        }
        Value::Array(items) => items.iter().for_each(|item| describe(item, path, bare)),
        _ => {}
    }
}
