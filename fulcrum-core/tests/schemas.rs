//! The committed JSON Schemas are those of the types. `FULCRUM_BLESS=1` writes them again.
#![expect(clippy::unwrap_used, reason = "a test stops at what it cannot read")]

use std::{fs, path::PathBuf};

use fulcrum_core::{
    model::{Blueprint, Plan},
    provider::table::CatalogueDocument,
};
use schemars::{JsonSchema, generate::SchemaSettings};

fn schema_of<T: JsonSchema>(title: &str) -> serde_json::Value {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>();
    schema.insert("title".to_owned(), title.into());
    schema.to_value()
}

fn assert_committed<T: JsonSchema>(name: &str, title: &str) {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../schemas")).join(format!("{name}.json"));
    let schema = schema_of::<T>(title);
    if std::env::var_os("FULCRUM_BLESS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, serde_json::to_string_pretty(&schema).unwrap() + "\n").unwrap();
    }
    let text = fs::read_to_string(&path)
        .unwrap_or_else(|_| panic!("schemas/{name}.json is missing; run `make schemas`"));
    let committed: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(
        committed == schema,
        "schemas/{name}.json is not that of the type; run `make schemas` and commit it"
    );
}

#[test]
fn the_committed_blueprint_schema_is_that_of_the_type() {
    assert_committed::<Blueprint>("blueprint", "Fulcrum blueprint");
}

#[test]
fn the_committed_plan_schema_is_that_of_the_type() {
    assert_committed::<Plan>("plan", "Fulcrum plan");
}

#[test]
fn the_committed_catalogue_schema_is_that_of_the_type() {
    assert_committed::<CatalogueDocument>("catalogue", "Fulcrum catalogue");
}

/// An editor that uses the schema must complain where the parser does.
#[test]
fn the_blueprint_schema_rejects_unknown_fields_as_the_parser_does() {
    let schema = schema_of::<Blueprint>("Fulcrum blueprint");
    assert_eq!(schema["additionalProperties"], false);
    let first = schema["properties"].as_object().unwrap().keys().next().unwrap();
    let error = Blueprint::from_json(&format!("{{\"{first}x\": 1}}")).unwrap_err().to_string();
    assert!(error.contains("unknown field"), "{error}");
}
