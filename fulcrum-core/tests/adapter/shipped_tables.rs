//! An adapter and its shipped price table alone: one product has the same lines, and each of them once.
//!
//! The adapter adds what it orders, such as an address. A table alone, as a sandbox sells it, shows the same.

use std::{path::Path, sync::Arc};

use fulcrum_core::{
    catalogue::{CatalogueBuilder, Rates},
    compose::{ComposeOptions, Signal, compose},
    model::{Blueprint, LineKind, Offer},
    provider::{
        OfferFilter, Provider,
        adapters::{
            ec2::Ec2Config, exoscale::ExoscaleConfig, hetzner::HetznerConfig, scaleway::ScalewayConfig,
        },
        table::Table,
    },
};
use futures::TryStreamExt;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::{
    imitation::{self, Imitation},
    peers::server::{Server, Story, answer},
};

fn shipped(provider: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../examples/catalogue/{provider}.csv"))
}

/// The offer of a SKU at a place, by the table alone.
fn listed(provider: &str, sku: &str, place: &str) -> Offer {
    let offers = Table::load(&shipped(provider)).expect("the shipped table").remove(0).offers;
    one(offers, sku, place)
}

fn one(offers: Vec<Offer>, sku: &str, place: &str) -> Offer {
    let known: Vec<_> = offers.iter().map(|offer| offer.id().to_string()).take(5).collect();
    let is_it = |offer: &Offer| offer.sku.as_str() == sku && offer.place.to_string() == place;
    offers.into_iter().find(is_it).unwrap_or_else(|| panic!("{sku} in {place}: {known:?}"))
}

async fn offered(provider: Arc<dyn Provider>) -> Vec<Offer> {
    provider.offers(&OfferFilter::default()).try_collect().await.expect("offers")
}

/// The cheapest plan for one component on this offer: its lines, and the total of a month.
fn bill(offer: &Offer, component: &str) -> (Vec<(LineKind, String, Decimal)>, Decimal) {
    let at = "2026-11-23T00:00:00Z".parse().expect("a time");
    let mut builder = CatalogueBuilder::new(at, Rates::none());
    builder.extend([offer.clone()]);
    let currency = offer.price.currency.code();
    let text = format!("{{ name: shop, currency: {currency}, components: {{ web: {component} }} }}");
    let blueprint = Blueprint::from_yaml(&text).expect("a blueprint");
    let plan = compose(&builder.build(), &blueprint, &ComposeOptions::default(), &mut |_| Signal::Continue);
    let plan = plan.expect("a plan");
    let mut lines: Vec<_> = plan.leases.iter().flat_map(|lease| &lease.lines).collect();
    lines.sort_by_key(|line| (line.kind != LineKind::Offer, line.sku.to_string(), line.monthly));
    (lines.iter().map(|line| (line.kind, line.sku.to_string(), line.monthly)).collect(), plan.objective)
}

/// Asserts that both show these lines, whether or not disk is bought.
fn assert_same(adapter: &Offer, table: &Offer, skus: &[&str]) {
    for component in ["{ vcpu: 1 }", "{ vcpu: 1, disk_gib: 10 }", "{ vcpu: 1, disk_gib: 40 }"] {
        let (of_adapter, of_table) = (bill(adapter, component), bill(table, component));
        assert_eq!(of_adapter, of_table, "{}: {component}", table.id());
    }
    let (lines, total) = bill(table, "{ vcpu: 1 }");
    let shown: Vec<_> = lines.iter().map(|(_, sku, _)| sku.as_str()).collect();
    assert_eq!(shown, skus, "{}", table.id());
    assert_eq!(lines.iter().map(|(.., monthly)| *monthly).sum::<Decimal>(), total);
}

/// A cloud that answers each request for a path by a document.
async fn cloud(paths: Vec<(&'static str, Value)>) -> Server {
    let reply = move |request: &str| {
        let line = request.lines().next().unwrap_or_default().to_owned();
        let known = paths.iter().find(|(path, _)| line.contains(path));
        let (status, body) = known.map_or((404, json!({})), |(_, body)| (200, body.clone()));
        answer(status, &[], &body.to_string()).into_bytes()
    };
    Server::start(Story::new(reply)).await
}

fn secret(folder: &Path) {
    std::fs::write(folder.join("secret"), "secret-0000").expect("a file");
}

#[tokio::test]
async fn hetzner_and_its_table_ask_the_same() {
    let types = {
        let kind = json!({ "id": 1, "name": "cx23", "cores": 2, "memory": 4.0, "disk": 40, "prices": [],
            "locations": [{ "id": 1, "name": "fsn1", "available": true }, { "id": 2, "name": "sin", "available": true }] });
        json!({ "server_types": [kind], "meta": { "pagination": { "page": 1, "next_page": null } } })
    };
    let server = cloud(vec![("/server_types", types)]).await;
    let folder = tempfile::tempdir().expect("a folder");
    secret(folder.path());
    let config: HetznerConfig =
        imitation::config(json!({ "token": "file:secret", "catalogue": shipped("hetzner"),
        "http": { "base_url": server.url() } }));
    let adapter = offered(Arc::new(config.build(folder.path()).expect("an adapter"))).await;
    let (adapter, table) = (one(adapter, "cx23", "hetzner/fsn1"), listed("hetzner", "cx23", "hetzner/fsn1"));
    // Its disk is included.
    let (own, with) = (bill(&adapter, "{ vcpu: 1 }"), bill(&table, "{ vcpu: 1 }"));
    assert_eq!(own, with);
    assert_eq!(with.0.iter().map(|(_, sku, _)| sku.as_str()).collect::<Vec<_>>(), ["cx23", "primary-ipv4"]);
    assert_eq!(with.1, Decimal::new(599, 2));
    // Without addresses the adapter orders none, whatever the table says.
    let config = HetznerConfig { public_ipv4: false, ..config };
    let adapter = offered(Arc::new(config.build(folder.path()).expect("an adapter"))).await;
    assert!(one(adapter, "cx23", "hetzner/fsn1").surcharges.is_empty());
}

#[tokio::test]
async fn exoscale_and_its_table_ask_the_same() {
    let cloud = Imitation::start(imitation::exoscale::API).await;
    let folder = tempfile::tempdir().expect("a folder");
    secret(folder.path());
    let config: ExoscaleConfig =
        imitation::config(json!({ "catalogue": shipped("exoscale"), "zones": ["ch-gva-2"],
        "key": "file:secret", "secret": "file:secret", "http": { "base_url": cloud.url() } }));
    let adapter = offered(Arc::new(config.build(folder.path()).expect("an adapter"))).await;
    let sku = "standard.small";
    let (adapter, table) =
        (one(adapter, sku, "exoscale/ch-gva-2"), listed("exoscale", sku, "exoscale/ch-gva-2"));
    assert_same(&adapter, &table, &[sku, "local-volume"]);
}

#[tokio::test]
async fn scaleway_and_its_table_ask_the_same() {
    let products = {
        json!({ "servers": { "PLAY2-NANO": { "arch": "x86_64", "ncpus": 2, "ram": 4_294_967_296_u64,
        "hourly_price": 0.02754 } } })
    };
    let stocks = json!({ "servers": { "PLAY2-NANO": { "availability": "available" } } });
    let server =
        cloud(vec![("/products/servers/availability", stocks), ("/products/servers", products)]).await;
    let folder = tempfile::tempdir().expect("a folder");
    secret(folder.path());
    let config: ScalewayConfig =
        imitation::config(json!({ "project": "11111111-2222-3333-4444-555555555555",
        "secret_key": "file:secret", "zones": ["fr-par-1"], "http": { "base_url": server.url() } }));
    let adapter = offered(Arc::new(config.build(folder.path()).expect("an adapter"))).await;
    let (sku, place) = ("PLAY2-NANO", "scaleway/fr-par/fr-par-1");
    let (adapter, table) = (one(adapter, sku, place), listed("scaleway", sku, place));
    assert_same(&adapter, &table, &[sku, "flexible-ipv4", "sbs_5k"]);
}

/// The imitation knows one type.
#[tokio::test]
async fn ec2_and_its_table_ask_the_same() {
    let cloud = Imitation::start(imitation::ec2::API).await;
    let folder = tempfile::tempdir().expect("a folder");
    secret(folder.path());
    let facts = std::fs::read_to_string(shipped("aws").with_extension("json")).expect("a file");
    let rows = std::fs::read_to_string(shipped("aws")).expect("a file");
    std::fs::write(folder.path().join("aws.json"), facts).expect("a file");
    std::fs::write(folder.path().join("aws.csv"), rows.replace("machine,t4g.small,", "machine,small,"))
        .expect("a file");
    let config: Ec2Config = imitation::config(
        json!({ "id": "aws", "endpoint": cloud.url(), "catalogue": "aws.csv",
        "access_key": "file:secret", "secret_key": "file:secret", "client_token": "honoured", "image": "ami-1",
        "regions": ["eu-west-1"] }),
    );
    let adapter = offered(Arc::new(config.build(folder.path()).expect("an adapter"))).await;
    let adapter = adapter.into_iter().find(|offer| offer.sku.as_str() == "small").expect("it is offered");
    let offers = Table::load(&folder.path().join("aws.csv")).expect("a table").remove(0).offers;
    assert_same(&adapter, &one(offers, "small", "aws/eu-west-1"), &["small", "gp3", "public-ipv4"]);
}
