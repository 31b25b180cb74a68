//! A plan can be bought: it uses offers that a configured provider sells, and not those of comparison tables, unless its caller
//! says so. A provider that does not answer changes nothing about that.

use std::sync::Arc;

use crate::support::{cloud, duo_policy, providers};
use fulcrum_core::{
    catalogue::{Catalogue, IngestOptions, Query, Rates, ingest},
    compose::{ComposeError, ComposeOptions, Signal, compose, explain, why_not},
    ledger::SqliteLedger,
    model::{Blueprint, OfferMode, Plan, Policy, digest_of},
    provider::{
        Call, Provider,
        adapters::catalogue_file::CatalogueFile,
        sandbox::{Fault, FaultRule, Sandbox},
    },
    purchase::{Engine, PurchaseError},
};

/// The cheapest of all, and only listed.
fn table() -> Arc<dyn Provider> {
    let folder = tempfile::tempdir().expect("a folder");
    let about = r#"{"id": "leaflet", "name": "Leaflet", "legal_name": "Leaflet GmbH", "country": "DE",
        "regions": [{"id": "one", "country": "DE"}]}"#;
    let day = jiff::Timestamp::now().strftime("%Y-%m-%d");
    let rows = format!(
        "kind,sku,region,vcpu,memory_mib,disk_gib,monthly,currency,tax,observed,source\n\
         machine,tiny,one,8,16384,100,1,EUR,net,{day},a test\n\
         load_balancer,lb,one,,,,3,EUR,net,{day},a test\n"
    );
    std::fs::write(folder.path().join("leaflet.json"), about).expect("written");
    std::fs::write(folder.path().join("leaflet.csv"), rows).expect("written");
    let file = CatalogueFile::open(folder.path()).expect("a catalogue").remove(0);
    Arc::new(file)
}

async fn market(clouds: &[Sandbox]) -> Catalogue {
    let mut all: Vec<Arc<dyn Provider>> = providers(clouds).into_values().collect();
    all.push(table());
    ingest(&all, None, IngestOptions::new(jiff::Timestamp::now(), Rates::none())).await
}

fn composed(catalogue: &Catalogue, text: &str, offers: Option<OfferMode>) -> Result<Plan, ComposeError> {
    let blueprint = Blueprint::from_yaml(text).expect("a blueprint");
    let options = ComposeOptions { offers, ..ComposeOptions::default() };
    compose(catalogue, &blueprint, &options, &mut |_| Signal::Continue)
}

const WEB: &str = "{ name: shop, components: { web: { vcpu: 2 } } }";

fn sold_by(plan: &Plan) -> &str {
    plan.leases[0].place.provider.as_str()
}

#[tokio::test]
async fn a_plan_uses_what_can_be_ordered_and_says_so() {
    let catalogue = market(&[cloud("alpha", None).build()]).await;
    let plan = composed(&catalogue, WEB, None).expect("a plan");
    assert_eq!((sold_by(&plan), plan.offers), ("alpha", Some(OfferMode::Orderable)));
    let compared = composed(&catalogue, WEB, Some(OfferMode::All)).expect("a plan");
    assert_eq!((sold_by(&compared), compared.offers), ("leaflet", Some(OfferMode::All)));
    let read = Plan::from_json(&serde_json::to_string(&compared).expect("JSON")).expect("a plan");
    assert_eq!(read.offers, Some(OfferMode::All), "the plan tells it to whoever reads it");
}

#[tokio::test]
async fn where_nobody_sells_all_offers_are_compared() {
    let catalogue = market(&[]).await;
    let plan = composed(&catalogue, WEB, None).expect("a plan");
    assert_eq!((sold_by(&plan), plan.offers), ("leaflet", Some(OfferMode::All)));
    let strict = composed(&catalogue, WEB, Some(OfferMode::Orderable)).expect_err("nobody sells");
    assert!(strict.to_string().contains("leaflet lists one only in a table"), "{strict}");
}

#[tokio::test]
async fn a_seller_that_does_not_answer_makes_no_comparison_of_a_plan() {
    let silent =
        FaultRule { call: Call::Offers, sku: None, nth: 1, times: u32::MAX, fault: Fault::Unavailable };
    let alpha = cloud("alpha", None).fault(silent).build();
    let catalogue = market(&[alpha]).await;
    let why = composed(&catalogue, WEB, None).expect_err("the only seller is silent").to_string();
    assert!(why.contains("alpha") && !why.contains("loosen"), "{why}");
}

#[tokio::test]
async fn who_only_lists_a_kind_is_named_with_the_way_to_compare() {
    let catalogue = market(&[cloud("alpha", None).build()]).await;
    let text = "{ name: shop, components: { lb: { kind: load_balancer } } }";
    let why = composed(&catalogue, text, None).expect_err("nobody sells one").to_string();
    for words in ["alpha", "load_balancer for `lb`", "leaflet lists one only in a table", "`offers: all`"] {
        assert!(why.contains(words), "{words}: {why}");
    }
    assert_eq!(sold_by(&composed(&catalogue, text, Some(OfferMode::All)).expect("a plan")), "leaflet");
}

#[tokio::test]
async fn tables_stay_in_queries_and_explanations() {
    let catalogue = market(&[cloud("alpha", None).build()]).await;
    let all = catalogue.query(&Query::default());
    assert!(all.iter().any(|ix| catalogue.offer(*ix).place.provider.as_str() == "leaflet"));
    let (blueprint, options) = (Blueprint::from_yaml(WEB).expect("a blueprint"), ComposeOptions::default());
    let plan = composed(&catalogue, WEB, None).expect("a plan");
    let listed = "leaflet/one/tiny".parse().expect("an id");
    let why = why_not(&catalogue, &blueprint, &plan, &listed, &options, &mut |_| Signal::Continue);
    let why = why.expect("an answer").reasons.join("; ");
    assert!(why.contains("leaflet only lists it") && why.contains("`offers: all`"), "{why}");
    // A plan over all offers is explained over all offers.
    let compared = composed(&catalogue, WEB, Some(OfferMode::All)).expect("a plan");
    let said =
        explain(&catalogue, &blueprint, &compared, &options, &mut |_| Signal::Continue).expect("explained");
    let without = said.runners_up.iter().find(|it| it.without.as_str() == "leaflet").expect("a runner-up");
    assert_eq!(without.plan.as_ref().map(sold_by), Some("alpha"));
}

#[tokio::test]
async fn a_lease_that_cannot_be_ordered_is_refused_by_name_before_anything_is_bought() {
    let alpha = cloud("alpha", None).build();
    let catalogue = market(std::slice::from_ref(&alpha)).await;
    let text = "{ name: shop, components: { web: { vcpu: 2 }, lb: { kind: load_balancer } } }";
    let plan = composed(&catalogue, text, Some(OfferMode::All)).expect("a plan to compare");
    let mut all = providers(std::slice::from_ref(&alpha));
    let table = table();
    all.insert(table.id().clone(), table);
    let engine = Engine::new(all, Arc::new(SqliteLedger::in_memory().await.expect("a ledger")));
    let why = engine.accept(plan, Policy::default(), None).await.expect_err("a table sells nothing");
    assert!(matches!(why, PurchaseError::NotBuyable { .. }), "{why}");
    let why = why.to_string();
    assert!(why.contains("only lists offers, such as leaflet/one/"), "{why}");
    assert!(alpha.resources().expect("memory").is_empty());
}

#[tokio::test]
async fn a_plan_with_shared_machines_is_refused_by_a_policy_that_lets_nobody_share() {
    let clouds = [cloud("alpha", None).build()];
    let market = market(&clouds).await;
    let text = |constraints: &str| {
        format!(
            "{{ name: shop, components: {{ web: {{ vcpu: 1 }}, db: {{ vcpu: 1 }} }}, constraints: [{constraints}] }}"
        )
    };
    let mut plan = composed(&market, &text("share: all"), None).expect("a plan");
    assert_eq!(plan.leases.len(), 1, "both on one machine");
    // As a version made it that knew no `share`.
    let blueprint = Blueprint::from_yaml(&text("")).expect("a blueprint");
    plan.blueprint_digest = digest_of(&blueprint);
    let engine =
        Engine::new(providers(&clouds), Arc::new(SqliteLedger::in_memory().await.expect("a ledger")));
    let refused =
        engine.accept(plan.clone(), duo_policy(blueprint), None).await.expect_err("nobody may share");
    assert!(refused.to_string().contains("no `share` permits"), "{refused}");
    engine.accept(plan, Policy::default(), None).await.expect("it fails over to nothing else");
}
