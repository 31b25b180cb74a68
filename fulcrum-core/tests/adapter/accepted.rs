//! What was tried against documents alone is bought only where the host accepts that.

use std::sync::Arc;

use fulcrum_core::{
    catalogue::{Catalogue, IngestOptions, Rates, ingest},
    compose::{ComposeError, ComposeOptions, Signal, compose, why_not},
    model::{Blueprint, OfferMode, Plan},
    provider::{Accept, Capabilities, Provider, TestedAgainst, sandbox::Sandbox},
    purchase::PurchaseError,
};

use crate::ambiguous_purchase::{ledger, policy};

const WEB: &str = "{ name: shop, components: { web: { vcpu: 2 } } }";

/// A cloud whose adapter says how its machines were tried, and what its host accepts.
fn cloud(name: &str, price: u32, tested: TestedAgainst, accept: Option<Accept>) -> Sandbox {
    let about = format!(
        r#"{{"id": "{name}", "name": "{name}", "legal_name": "{name}", "country": "DE",
            "regions": [{{"id": "r", "country": "DE"}}]}}"#
    );
    let about = fulcrum_core::model::parse_json(&about).expect("a provider");
    let day = jiff::Timestamp::now().strftime("%Y-%m-%d");
    let csv = format!(
        "kind,sku,region,vcpu,memory_mib,disk_gib,monthly,currency,tax,observed,source\n\
         machine,small,r,2,4096,40,{price},EUR,net,{day},a test\n"
    );
    let offers = fulcrum_core::provider::table::Table::from_csv(&about, &csv).expect("a table").offers;
    let cloud = Sandbox::builder(name.parse().expect("a name"), offers);
    cloud.tested(Capabilities::machines_tested(tested), accept).build()
}

async fn market(clouds: &[&Sandbox]) -> Catalogue {
    let all: Vec<Arc<dyn Provider>> =
        clouds.iter().map(|cloud| Arc::new((*cloud).clone()) as Arc<dyn Provider>).collect();
    ingest(&all, None, IngestOptions::new(jiff::Timestamp::now(), Rates::none())).await
}

fn composed(catalogue: &Catalogue, offers: Option<OfferMode>) -> Result<Plan, ComposeError> {
    let blueprint = Blueprint::from_yaml(WEB).expect("a blueprint");
    compose(catalogue, &blueprint, &ComposeOptions { offers, ..ComposeOptions::default() }, &mut |_| {
        Signal::Continue
    })
}

#[tokio::test]
async fn a_kind_of_documents_is_sold_where_it_is_accepted() {
    for (tested, accept, is_sold) in [
        (TestedAgainst::Server, None, true),
        (TestedAgainst::Recording, None, true),
        (TestedAgainst::Document, None, false),
        (TestedAgainst::Document, Some(Accept::Document), true),
    ] {
        let cloud = cloud("acme", 10, tested, accept);
        let catalogue = market(&[&cloud]).await;
        let plan = composed(&catalogue, None);
        assert_eq!(plan.is_ok(), is_sold, "{tested:?}, {accept:?}");
        let compared = composed(&catalogue, Some(OfferMode::All)).expect("all are compared");
        let providers = std::collections::BTreeMap::from([(
            cloud.id().clone(),
            Arc::new(cloud.clone()) as Arc<dyn Provider>,
        )]);
        let engine = fulcrum_core::purchase::Engine::new(providers, ledger().await);
        let bought = engine.accept(compared.clone(), policy(), None).await;
        assert_eq!(bought.is_ok(), is_sold, "{tested:?}, {accept:?}");
        let Err(why) = plan else { continue };
        assert!(why.to_string().contains("`accept: document`") && why.to_string().contains("acme"), "{why}");
        let refused = bought.expect_err("not accepted");
        assert!(
            matches!(&refused, PurchaseError::NotBuyable { why, .. } if why.contains("`accept: document`")),
            "{refused}"
        );
    }
}

#[tokio::test]
async fn what_was_left_out_is_named() {
    let (acme, beta) =
        (cloud("acme", 10, TestedAgainst::Document, None), cloud("beta", 20, TestedAgainst::Server, None));
    let catalogue = market(&[&acme, &beta]).await;
    let plan = composed(&catalogue, None).expect("beta sells");
    assert_eq!(plan.leases[0].place.provider.as_str(), "beta");
    let offer = catalogue.ids().map(|ix| catalogue.offer(ix)).find(|it| it.place.provider.as_str() == "acme");
    let (blueprint, offer) = (Blueprint::from_yaml(WEB).expect("a blueprint"), offer.expect("listed").id());
    let options = ComposeOptions::default();
    let rejection = why_not(&catalogue, &blueprint, &plan, &offer, &options, &mut |_| Signal::Continue);
    let words = rejection.expect("a reason").reasons.join(" ");
    assert!(words.contains("`accept: document`"), "{words}");
}
