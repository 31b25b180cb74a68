//! The parameters of a broker's plan are settings with types: what its JSON Schema does not take is never planned or sent.

use std::{collections::BTreeMap, sync::Arc};

use fulcrum_core::{
    catalogue::{Catalogue, IngestOptions, Rates, ingest},
    compose::{ComposeError, ComposeOptions, Signal, compose},
    ledger::SqliteLedger,
    model::{Blueprint, Order, OrderState, Plan, Policy},
    purchase::Engine,
};
use serde_json::{Value, json};

use crate::imitation::{self, Imitation};

/// A broker whose plan takes a version, which it needs, a number of nodes and networks.
async fn broker() -> Imitation {
    let cloud =
        Imitation::start(imitation::ALL.into_iter().find(|api| api.name == "osb").expect("a broker")).await;
    cloud.world().tells_instances = true;
    cloud.world().parameters = Some(json!({
        "type": "object",
        "properties": {
            "version": { "type": "string", "enum": ["16", "17"] },
            "nodes": { "type": "integer" },
            "networks": { "type": "array", "items": { "type": "string" } },
        },
        "required": ["version"],
    }));
    cloud
}

async fn catalogue(cloud: &Imitation) -> Catalogue {
    let all = std::slice::from_ref(&cloud.provider);
    ingest(all, None, IngestOptions::new(jiff::Timestamp::now(), Rates::none())).await
}

fn blueprint(settings: &Value) -> Blueprint {
    let text = json!({ "name": "shop", "components": { "db": { "kind": "database", "replicas": 1, "settings": settings } } });
    Blueprint::from_json(&text.to_string()).expect("a blueprint")
}

async fn composed(cloud: &Imitation, settings: Value) -> Result<Plan, ComposeError> {
    let options = ComposeOptions::default();
    compose(&catalogue(cloud).await, &blueprint(&settings), &options, &mut |_| Signal::Continue)
}

async fn bought(cloud: &Imitation, plan: Plan) -> Order {
    let provider = cloud.provider.clone();
    let ledger = Arc::new(SqliteLedger::in_memory().await.expect("a ledger"));
    let engine = Engine::new(BTreeMap::from([(provider.id().clone(), provider)]), ledger);
    let policy = Policy::default().with_step_timeout_s(5).with_max_table_age_days(u32::MAX);
    let order = engine.accept(plan, policy, None).await.expect("accepted");
    engine.drive(&order.id).await.expect("driven")
}

fn parameters(cloud: &Imitation) -> Vec<Value> {
    let world = cloud.world();
    world.sent.iter().filter(|ask| ask.method == "PUT").map(|ask| ask.json["parameters"].clone()).collect()
}

#[tokio::test]
async fn what_a_plan_takes_is_planned_and_sent_in_its_type() {
    let cloud = broker().await;
    let plan =
        composed(&cloud, json!({ "version": 17, "nodes": "3", "networks": "a, b" })).await.expect("a plan");
    let order = bought(&cloud, plan).await;
    assert_eq!(order.state, OrderState::Committed, "{:?}", order.reason);
    assert_eq!(parameters(&cloud), [json!({ "version": "17", "nodes": 3, "networks": ["a", "b"] })]);
    // The declaration stands in the offer, for hosts that draw forms.
    let catalogue = catalogue(&cloud).await;
    let offer = catalogue.offer(catalogue.ids().next().expect("an offer"));
    let declared = offer.settings.expect("declared");
    assert_eq!(declared.schema(offer.kind)["required"], json!(["version"]));
}

/// The engine of a database is the service itself, unless it is a parameter.
#[tokio::test]
async fn an_engine_is_the_service_that_is_named_after_it() {
    let cloud = broker().await;
    let catalogue = catalogue(&cloud).await;
    let offer = catalogue.offer(catalogue.ids().next().expect("an offer"));
    let (service, _) = offer.sku.as_str().split_once('/').expect("a service and a plan");
    let plan = composed(&cloud, json!({ "version": 17, "engine": service })).await.expect("a plan");
    let order = bought(&cloud, plan).await;
    assert_eq!(order.state, OrderState::Committed, "{:?}", order.reason);
    assert_eq!(parameters(&cloud), [json!({ "version": "17" })]);
    let refused =
        composed(&cloud, json!({ "version": 17, "engine": "oracle" })).await.expect_err("another engine");
    assert!(refused.to_string().contains("engine"), "{refused}");
}

#[tokio::test]
async fn what_a_plan_does_not_take_is_never_planned() {
    let cloud = broker().await;
    for (settings, words) in [
        (json!({}), "osb needs the setting `version`, one of 16, 17"),
        (json!({ "version": 15 }), "osb takes the setting `version` as one of 16, 17"),
        (json!({ "version": 17, "node": 3 }), "osb does not know the setting `node`"),
    ] {
        let Err(ComposeError::Infeasible(why)) = composed(&cloud, settings.clone()).await else {
            panic!("{settings} cannot be had")
        };
        assert!(why.to_string().contains(words), "{settings}: {why}");
    }
    // A broker that says nothing takes anything.
    cloud.world().parameters = None;
    assert!(composed(&cloud, json!({ "node": 3 })).await.is_ok());
}

/// The plan was made before the broker had said what it takes, or by hand.
#[tokio::test]
async fn what_a_plan_does_not_take_is_refused_before_it_is_sent() {
    let cloud = broker().await;
    let mut plan = composed(&cloud, json!({ "version": 17 })).await.expect("a plan");
    plan.leases[0].settings.insert("nodse".to_owned(), json!(3));
    plan.catalogue_digest = "0".repeat(64);
    let order = bought(&cloud, plan).await;
    assert_eq!(order.state, OrderState::Failed);
    assert!(order.reason.as_ref().is_some_and(|why| why.contains("`nodse`")), "{:?}", order.reason);
    assert_eq!(parameters(&cloud), Vec::<Value>::new());
}
