//! What is answered once a purchase was sent is no proof that nothing was made: at every adapter.

use std::{collections::BTreeMap, sync::Arc};

use fulcrum_core::{
    ledger::{Ledger, SqliteLedger},
    model::{Order, OrderState, Policy},
    purchase::Engine,
};
use serde_json::json;

use crate::{
    absence::plan,
    imitation::{self, Api, Imitation, Reply, json, xml},
};

/// How each API says that what is wanted is there already, or busy.
fn taken(name: &str) -> Reply {
    let (status, body) = match name {
        "ec2" => {
            return xml(
                400,
                "<Response><Errors><Error><Code>IdempotentParameterMismatch</Code><Message>taken</Message></Error></Errors></Response>",
            );
        }
        "hetzner" => (
            409,
            json!({ "error": { "code": "uniqueness_error", "message": "server name is already used" } }),
        ),
        "openstack" => (409, json!({ "conflictingRequest": { "code": 409, "message": "it is there" } })),
        "osb" => (422, json!({ "error": "ConcurrencyError", "description": "another request is under way" })),
        "scaleway" => (409, json!({ "type": "conflict", "message": "it is there" })),
        "upcloud" => {
            (409, json!({ "error": { "error_code": "SERVER_ALREADY_EXISTS", "error_message": "x" } }))
        }
        "proxmox" => (
            500,
            json!({ "data": null, "message": "unable to create VM 1000001: config file already exists" }),
        ),
        "exoscale" => (409, json!({ "message": "Instance is locked" })),
        other => panic!("how does {other} word that a name is taken?"),
    };
    json(status, &body)
}

pub(crate) fn engine(cloud: &Imitation, ledger: &Arc<dyn Ledger>) -> Engine {
    let provider = cloud.provider.clone();
    Engine::new(BTreeMap::from([(provider.id().clone(), provider)]), ledger.clone())
}

pub(crate) async fn ledger() -> Arc<dyn Ledger> {
    Arc::new(SqliteLedger::in_memory().await.expect("a ledger"))
}

pub(crate) fn policy() -> Policy {
    Policy::default().with_step_timeout_s(10).with_compensation_timeout_s(2).with_max_table_age_days(u32::MAX)
}

/// An order whose purchase has its effect and is answered so.
async fn bought(api: Api, reply: Reply) -> (Order, Imitation) {
    let cloud = Imitation::start(api).await;
    let engine = engine(&cloud, &ledger().await);
    let order = engine.accept(plan(&api, &*cloud.provider).await, policy(), None).await.expect("accepted").id;
    cloud.world().instead = Some(reply);
    (engine.drive(&order).await.expect("driven"), cloud)
}

/// Something on the way has sent the request twice: the second one is refused because of the first.
#[tokio::test]
async fn what_is_said_to_be_there_already_is_found_and_not_taken_for_nothing() {
    let each = imitation::ALL.map(|api| async move {
        let (order, cloud) = bought(api, taken(api.name)).await;
        assert_eq!(order.state, OrderState::Committed, "{}: {:?}", api.name, order.reason);
        assert_eq!(cloud.world().things.len(), 1, "{}: {:?}", api.name, cloud.world().asked);
    });
    futures::future::join_all(each).await;
}

/// A handle that no ledger keeps.
#[tokio::test]
async fn a_task_whose_name_is_too_long_was_begun_all_the_same() {
    let name = format!("UPID:pve1:{}:", "0".repeat(13_000));
    let (order, cloud) = bought(imitation::proxmox::API, json(200, &json!({ "data": name }))).await;
    assert_eq!(order.state, OrderState::Committed, "{:?}", order.reason);
    assert_eq!(cloud.world().things.len(), 1);
}
