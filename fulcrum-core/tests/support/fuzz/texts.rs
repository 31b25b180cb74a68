//! Texts that people write, to blueprints, plans and catalogues.

use fulcrum_core::{
    catalogue::{CatalogueBuilder, Rates},
    model::{Blueprint, Plan, parse_json},
    provider::table::{CatalogueDocument, ProviderDocument, Table},
};

use super::fault;

/// Text to a blueprint. What is read can be written and read again, and is the same.
pub fn blueprint(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let json = Blueprint::from_json(text).ok();
    for blueprint in [Blueprint::from_yaml(text).ok(), json.clone()].into_iter().flatten() {
        fault::plant(&blueprint.name);
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
        fault::plant(catalogue.offer(ix).sku.as_str());
        assert_eq!(catalogue.find(&catalogue.offer(ix).id()), Some(ix), "{}", catalogue.offer(ix).id());
        catalogue.month_micros(ix, u64::MAX, iso_currency::Currency::EUR);
    }
    !catalogue.is_empty()
}
