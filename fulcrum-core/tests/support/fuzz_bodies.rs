//! What the fuzz targets do with bytes: plain functions, so that the stable compiler runs them too. A panic is a
//! finding. Each says whether the bytes got past the door, for tests of the generator itself.

use fulcrum_core::{
    catalogue::{CatalogueBuilder, Rates},
    compose::{ComposeError, Signal, compose, verify::verify},
    model::{Blueprint, Plan, parse_json},
    provider::table::{CatalogueDocument, ProviderDocument, Table},
};

#[path = "fuzz_documents.rs"]
mod documents;

/// Text to a blueprint. What is read can be written and read again, and is the same.
pub fn blueprint(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let json = Blueprint::from_json(text).ok();
    for blueprint in [Blueprint::from_yaml(text).ok(), json.clone()].into_iter().flatten() {
        let again = serde_json::to_string(&blueprint).expect("a blueprint can be written");
        assert_eq!(Blueprint::from_json(&again).as_ref(), Ok(&blueprint), "{again}");
    }
    Plan::from_json(text).ok();
    json.is_some() || Blueprint::from_yaml(text).is_ok()
}

/// Text to offers, as JSON and as the CSV of a small provider; and the offers to a snapshot.
pub fn catalogue(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let provider: ProviderDocument = parse_json(
        r#"{ "id": "p", "name": "P", "legal_name": "P", "country": "DE", "regions": [
            { "id": "one", "country": "DE", "latitude": "52", "longitude": "13", "zones": ["x", "y"] },
            { "id": "two", "country": "FR" } ] }"#,
    )
    .expect("a provider");
    parse_json::<ProviderDocument>(text).ok();
    parse_json::<CatalogueDocument>(text).ok();
    Rates::from_ecb_csv(text).ok();
    Rates::from_ecb_xml(text).ok();
    let tables =
        Table::from_json(text).ok().into_iter().flatten().chain(Table::from_csv(&provider, text).ok());
    let mut builder = CatalogueBuilder::new("2026-11-23T00:00:00Z".parse().expect("a time"), Rates::none());
    for table in tables {
        builder.extend(table.offers);
    }
    let catalogue = builder.build();
    for ix in catalogue.ids() {
        assert_eq!(catalogue.find(&catalogue.offer(ix).id()), Some(ix), "{}", catalogue.offer(ix).id());
        catalogue.month_micros(ix, u64::MAX, iso_currency::Currency::EUR);
    }
    !catalogue.is_empty()
}

/// A small market and a blueprint to a plan: every plan passes the verifier and survives being written.
pub fn plan(bytes: &[u8]) -> bool {
    let Ok(Some(case)) = documents::case(bytes) else { return false };
    let mut calls = 0;
    let outcome = compose(&case.catalogue, &case.blueprint, &case.options, &mut |_| {
        calls += 1;
        assert!(calls < 10_000, "the search goes on after it was stopped");
        if calls < case.most_calls { Signal::Continue } else { Signal::Limit }
    });
    match outcome {
        Ok(plan) => {
            assert_eq!(verify(&case.catalogue, &case.blueprint, &plan), Ok(()));
            let text = serde_json::to_string(&plan).expect("a plan can be written");
            assert_eq!(Plan::from_json(&text).as_ref(), Ok(&plan), "{text}");
            true
        }
        Err(error @ ComposeError::Verification(_)) => panic!(
            "{error}: {} on {}",
            serde_json::to_string(&case.blueprint).expect("json"),
            case.catalogue
                .ids()
                .map(|ix| serde_json::to_string(&case.catalogue.offer(ix)).expect("json"))
                .collect::<Vec<_>>()
                .join("\n")
        ),
        Err(ComposeError::Infeasible(conflict)) => {
            assert!(!conflict.to_string().is_empty());
            false
        }
        Err(_) => false,
    }
}
