//! The committed JSON Schemas are those of the types. `FULCRUM_BLESS=1` writes them again.
#![expect(clippy::unwrap_used, reason = "a test stops at what it cannot read")]

use std::{fs, path::PathBuf};

use fulcrum_core::{
    catalogue::{Query, SourceReport},
    compose::{Explanation, Rejection},
    model::{Blueprint, Offer, OfferId, Order, OrderEvent, Plan, Policy, Service, parse_yaml},
    provider::table::{CatalogueDocument, ProviderDocument, Quarantined, Table},
    purchase::{DryRun, OrderArchive, Reconciliation, RepairPolicy, Timeline},
};
use schemars::{JsonSchema, generate::SchemaSettings};

fn schema_of<T: JsonSchema>(title: &str) -> serde_json::Value {
    titled::<T>(title, SchemaSettings::draft2020_12())
}

fn titled<T: JsonSchema>(title: &str, settings: SchemaSettings) -> serde_json::Value {
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    schema.insert("title".to_owned(), title.into());
    schema.to_value()
}

fn assert_committed<T: JsonSchema>(name: &str, title: &str) {
    assert_committed_as(name, schema_of::<T>(title));
}

fn assert_committed_as(name: &str, schema: serde_json::Value) {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../schemas")).join(format!("{name}.json"));
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

#[test]
fn the_committed_provider_schema_is_that_of_the_type() {
    assert_committed::<ProviderDocument>("provider", "Fulcrum provider of a price table");
}

#[test]
fn the_committed_query_schema_is_that_of_the_type() {
    assert_committed::<Query>("query", "Fulcrum query of offers");
}

#[test]
fn the_committed_policy_schemas_are_those_of_the_types() {
    assert_committed::<Policy>("policy", "Fulcrum order policy");
    assert_committed::<RepairPolicy>("repair-policy", "Fulcrum repair policy");
}

/// It has the adapters that are built in, so that only a build with all of them may write it.
#[cfg(all(feature = "adapters", feature = "sandbox"))]
#[test]
fn the_committed_federation_schema_is_that_of_the_type() {
    assert_committed::<fulcrum_core::federation::FederationConfig>("federation", "Fulcrum federation");
}

/// What the library writes, whatever the language of the host: a field is required here if it is always written.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "its schema is what counts")]
struct Answers {
    plan: Plan,
    order: Order,
    service: Service,
    event: OrderEvent,
    archive: OrderArchive,
    timeline: Timeline,
    reconciliation: Reconciliation,
    dry_run: DryRun,
    offer: ListedOffer,
    source: SourceReport,
    quarantined: Quarantined,
    explanation: WordedExplanation,
    rejection: Rejection,
}

/// An offer with its id, as queries answer.
#[derive(JsonSchema)]
#[schemars(rename = "Offer")]
#[expect(dead_code, reason = "its schema is what counts")]
struct ListedOffer {
    /// Its name among all offers.
    id: OfferId,
    #[schemars(flatten)]
    offer: Offer,
}

/// Why a plan is as it is, with the lines for people.
#[derive(JsonSchema)]
#[schemars(rename = "Explanation")]
#[expect(dead_code, reason = "its schema is what counts")]
struct WordedExplanation {
    #[schemars(flatten)]
    explanation: Explanation,
    /// All of it in words, a line each.
    text: String,
}

#[test]
fn the_committed_schema_of_answers_is_that_of_the_types() {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    assert_committed_as("answers", titled::<Answers>("Fulcrum answers", settings));
}

fn examples(folder: &str, extension: &str) -> Vec<PathBuf> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples")).join(folder);
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<_> = files.filter(|file| file.extension().is_some_and(|it| it == extension)).collect();
    assert!(!files.is_empty(), "the examples have no {extension}");
    files
}

/// What a validator finds wrong, as an editor would underline it.
fn objections(schema: &serde_json::Value, document: &serde_json::Value) -> Vec<String> {
    let validator = jsonschema::validator_for(schema).unwrap();
    let object = |error: jsonschema::ValidationError<'_>| format!("{}: {error}", error.instance_path());
    validator.iter_errors(document).map(object).collect()
}

#[test]
fn the_blueprint_schema_takes_the_blueprints_of_the_examples() {
    let schema = schema_of::<Blueprint>("Fulcrum blueprint");
    for file in examples("blueprints", "yaml") {
        let text = fs::read_to_string(&file).unwrap();
        let document = parse_yaml(&text).unwrap();
        assert_eq!(objections(&schema, &document), [""; 0], "{}", file.display());
        Blueprint::from_yaml(&text).unwrap();
        // What the library writes, it takes again.
        let written = serde_json::to_value(Blueprint::from_yaml(&text).unwrap()).unwrap();
        assert_eq!(objections(&schema, &written), [""; 0], "{} as it is written", file.display());
    }
}

const CATALOGUE: &str = r#"{"format": "fulcrum-catalogue/1", "providers": [{
    "id": "acme", "name": "Acme", "legal_name": "Acme GmbH", "country": "DE",
    "regions": [{"id": "r1", "country": "DE", "latitude": 52.5, "longitude": "13.4"}],
    "offers": [{"kind": "machine", "sku": 12, "region": "r1", "vcpu": 2, "memory_mib": "4096", "disk_gib": "",
        "gpu": null, "hourly": 0.01, "currency": "EUR", "tax": "net", "observed": "2026-11-01", "source": "a test"}]}]}"#;

#[test]
fn the_catalogue_schema_takes_what_the_parser_takes() {
    let schema = schema_of::<CatalogueDocument>("Fulcrum catalogue");
    Table::from_json(CATALOGUE).unwrap();
    assert_eq!(objections(&schema, &serde_json::from_str(CATALOGUE).unwrap()), [""; 0]);
    for file in examples("catalogue", "json") {
        let provider: serde_json::Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        let document = serde_json::json!({ "format": "fulcrum-catalogue/1", "providers": [provider] });
        assert_eq!(objections(&schema, &document), [""; 0], "{}", file.display());
    }
}

#[test]
fn the_schemas_refuse_what_the_parser_refuses() {
    let schema = schema_of::<Blueprint>("Fulcrum blueprint");
    for mistake in [
        "{ name: x }",
        "{ name: x, components: { web: { vcpus: 2 } } }",
        "{ name: x, components: { web: { vcpu: two } } }",
        "{ name: x, components: { web: { vcpu: true } } }",
        "{ name: x, components: { web: { memory_mib: -5 } } }",
        "{ name: x, components: { web: { kind: machin } } }",
        "{ name: x, components: { web: { replicas: 0 } } }",
        "{ name: x, components: { web: { replicas: -3 } } }",
        "{ name: x, components: { web: { replicas: many } } }",
        "{ name: x, components: { web: { replicas: { most: 3 } } } }",
        "{ name: x, components: { web: {} }, budget: cheap }",
        "{ name: x, components: { web: {} }, constraints: [{ sprad: {} }] }",
        "{ name: x, components: { web: {} }, constraints: [{ survive: { components: [], loss_of: region } }] }",
    ] {
        Blueprint::from_yaml(mistake).unwrap_err();
        assert_ne!(objections(&schema, &parse_yaml(mistake).unwrap()), [""; 0], "{mistake}");
    }
    let schema = schema_of::<CatalogueDocument>("Fulcrum catalogue");
    for (right, wrong) in [
        (r#""vcpu": 2"#, r#""vcpu": "two""#),
        (r#""vcpu": 2"#, r#""vcpus": 2"#),
        (r#""hourly": 0.01"#, r#""hourly": true"#),
        ("2026-11-01", "soon"),
        (r#""name": "Acme","#, ""),
        ("52.5", r#""north""#),
    ] {
        let mistake = CATALOGUE.replacen(right, wrong, 1);
        Table::from_json(&mistake).unwrap_err();
        assert_ne!(objections(&schema, &serde_json::from_str(&mistake).unwrap()), [""; 0], "{wrong}");
    }
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
