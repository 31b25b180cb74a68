//! The shipped price tables: a plan shows what is paid with a product, and each part of it once.

use std::{collections::BTreeSet, path::Path};

use fulcrum_core::{
    catalogue::{Catalogue, CatalogueBuilder, Rates},
    compose::{ComposeOptions, Signal, compose},
    model::{Blueprint, LineKind, Offer, OfferKind, Plan},
    provider::table::Table,
};
use rust_decimal::Decimal;

fn tables() -> Vec<Table> {
    Table::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/catalogue"))
        .expect("the shipped tables")
}

fn catalogue(offers: &[Offer]) -> Catalogue {
    let at = "2026-11-23T00:00:00Z".parse().expect("a time");
    let mut builder = CatalogueBuilder::new(at, Rates::none());
    builder.extend(offers.iter().cloned());
    builder.build()
}

/// The cheapest plan for one component over these offers.
fn plan(offers: &[Offer], component: &str) -> Plan {
    let currency = offers[0].price.currency.code();
    let text = format!("{{ name: shop, currency: {currency}, components: {{ web: {component} }} }}");
    let blueprint = Blueprint::from_yaml(&text).expect("a blueprint");
    compose(&catalogue(offers), &blueprint, &ComposeOptions::default(), &mut |_| Signal::Continue)
        .expect("a plan")
}

/// Its lines: which, of what, and the cost of a month.
fn lines(plan: &Plan) -> Vec<(LineKind, String, Decimal)> {
    let lines = plan.leases.iter().flat_map(|lease| &lease.lines);
    lines.map(|line| (line.kind, line.sku.to_string(), line.monthly)).collect()
}

#[test]
fn the_cheapest_machine_whose_address_is_extra_is_paid_with_its_address() {
    let tables = tables();
    let mut seen = BTreeSet::new();
    for (provider, address, month) in [
        ("aws", "public-ipv4", Decimal::new(365, 2)),
        ("hetzner", "primary-ipv4", Decimal::new(50, 2)),
        ("scaleway", "flexible-ipv4", Decimal::new(365, 2)),
        ("upcloud", "ipv4-additional", Decimal::new(351_276, 5)),
    ] {
        let table = tables.iter().find(|table| table.provider.as_str() == provider).expect("its table");
        let component = "{ vcpu: 1, where: { attributes: { public_ipv4: extra } } }";
        let plan = plan(&table.offers, component);
        let lines = lines(&plan);
        let line = lines.iter().filter(|(kind, sku, _)| *kind == LineKind::Surcharge && sku == address);
        assert_eq!(line.map(|(.., monthly)| *monthly).collect::<Vec<_>>(), [month], "{provider}: {lines:?}");
        assert_eq!(lines.iter().map(|(.., monthly)| *monthly).sum::<Decimal>(), plan.objective, "{lines:?}");
        seen.insert(provider);
    }
    // The others say nowhere that an address is extra.
    for table in tables.iter().filter(|table| !seen.contains(table.provider.as_str())) {
        let says_so = |offer: &Offer| offer.attributes.get("public_ipv4").is_some_and(|it| it == "extra");
        assert!(!table.offers.iter().any(says_so), "{}", table.provider);
    }
}

/// What the tables' READMEs and rows call extra is a line of the offer or its disk by size.
#[test]
fn what_a_shipped_row_calls_extra_is_priced() {
    for offer in tables().iter().flat_map(|table| &table.offers) {
        for (name, _) in offer.attributes.iter().filter(|(_, value)| *value == "extra") {
            let is_priced = match name.as_str() {
                "public_ipv4" => offer.surcharges.iter().any(|it| it.sku.as_str().contains("ipv4")),
                "storage" => offer.elastic_disk.is_some() && offer.capacity.disk_gib > 0,
                other => panic!("{}: {other} is extra", offer.id()),
            };
            assert!(is_priced, "{}: {name}", offer.id());
        }
    }
}

#[test]
fn no_part_of_a_shipped_product_is_paid_twice() {
    let mut with_parts = 0;
    for offer in tables().iter().flat_map(|table| &table.offers) {
        let mut parts: Vec<_> = offer.surcharges.iter().map(|it| &it.sku).collect();
        with_parts += usize::from(!parts.is_empty());
        parts.push(&offer.sku);
        let different: BTreeSet<_> = parts.iter().collect();
        assert_eq!(different.len(), parts.len(), "{}: {parts:?}", offer.id());
        // A disk that is included is not bought besides.
        let has_least = offer.elastic_disk.as_ref().is_some_and(|disk| parts.contains(&&disk.sku));
        assert!(!has_least || offer.capacity.disk_gib > 0, "{}", offer.id());
    }
    assert!(with_parts > 500, "{with_parts}");
}

#[test]
fn a_database_is_paid_with_its_storage() {
    let tables = tables();
    for (provider, storage, least) in [("aws", "rds-gp3-storage", 20), ("scaleway", "rdb-storage-sbs_5k", 5)]
    {
        let table = tables.iter().find(|table| table.provider.as_str() == provider).expect("its table");
        let databases: Vec<_> =
            table.offers.iter().filter(|offer| offer.kind == OfferKind::Database).cloned().collect();
        assert!(databases.len() > 10, "{provider}");
        let single = plan(&databases, "{ kind: database, where: { attributes: { ha: \"no\" } } }");
        let [(_, _, own), (kind, sku, of_least)] = &lines(&single)[..] else {
            panic!("{:?}", lines(&single))
        };
        assert_eq!((*kind, sku.as_str()), (LineKind::Surcharge, storage));
        // Twice the least is the least, and as much bought besides.
        let component = format!(
            "{{ kind: database, disk_gib: {}, where: {{ attributes: {{ ha: \"no\" }} }} }}",
            2 * least
        );
        let larger = plan(&databases, &component);
        let [_, (LineKind::Disk, sku, bought), (LineKind::Surcharge, ..)] = &lines(&larger)[..] else {
            panic!("{:?}", lines(&larger))
        };
        assert_eq!((sku.as_str(), bought), (storage, of_least));
        assert_eq!(larger.objective, own + of_least + of_least);
    }
    // The storage of two zones costs twice as much as that of one.
    let aws = tables.iter().find(|table| table.provider.as_str() == "aws").expect("its table");
    let double = plan(&aws.offers, "{ kind: database, where: { attributes: { ha: \"yes\" } } }");
    assert_eq!(lines(&double)[1].1, "rds-gp3-storage-multi-az");
}
