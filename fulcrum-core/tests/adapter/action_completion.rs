//! What is done to a service is done when the service says so, and not before: at every adapter.

use fulcrum_core::{
    model::{Action, OrderState, ServiceId, ServiceStatus, StepState},
    provider::{OperationHandle, OperationStatus},
};
use serde_json::json;

use crate::{
    absence::plan,
    ambiguous_purchase::{engine, ledger, policy},
    imitation::{self, Api, Broken, Imitation, Mode, json as said, text},
};

/// What was bought, on.
async fn bought(api: Api) -> (Imitation, ServiceId) {
    let cloud = Imitation::start(api).await;
    let engine = engine(&cloud, &ledger().await);
    let order = engine.accept(plan(&api, &*cloud.provider).await, policy(), None).await.expect("accepted").id;
    let order = engine.drive(&order).await.expect("driven");
    let StepState::Committed { service } = &order.steps[0].state else { panic!("{}: {order:?}", api.name) };
    let service = service.id.clone();
    (cloud, service)
}

async fn act(cloud: &Imitation, service: &ServiceId, action: &Action) -> OperationHandle {
    let key = "f-act".parse().expect("a key");
    cloud.provider.act(service, action, &key).await.expect("accepted")
}

/// For longer than lists lag here.
async fn outcome(cloud: &Imitation, handle: &OperationHandle) -> OperationStatus {
    for _ in 0..30 {
        match cloud.provider.poll(handle).await.expect("polled") {
            OperationStatus::Running { .. } => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
            status => return status,
        }
    }
    OperationStatus::Running { percent: None }
}

fn to(sku: &str) -> Action {
    Action::Resize { sku: sku.parse().expect("a name") }
}

#[tokio::test]
async fn an_action_that_is_over_and_has_done_nothing_is_not_done() {
    for api in imitation::ALL.into_iter().filter(|api| api.name != "osb") {
        let (cloud, service) = bought(api).await;
        cloud.world().ignores_actions = true;
        let handle = act(&cloud, &service, &Action::Stop).await;
        let status = outcome(&cloud, &handle).await;
        assert!(!matches!(status, OperationStatus::Succeeded(_)), "{}: {status:?}", api.name);
        // What does something is done.
        cloud.world().ignores_actions = false;
        let handle = act(&cloud, &service, &Action::Stop).await;
        let OperationStatus::Succeeded(Some(now)) = outcome(&cloud, &handle).await else {
            panic!("{}: {:?}", api.name, cloud.world().asked)
        };
        assert_eq!(now.status, ServiceStatus::Stopped, "{}", api.name);
        // Those that can be made larger here.
        if matches!(api.name, "exoscale" | "openstack" | "proxmox") {
            continue;
        }
        cloud.world().ignores_actions = true;
        let handle = act(&cloud, &service, &to("large")).await;
        let status = outcome(&cloud, &handle).await;
        assert!(!matches!(status, OperationStatus::Succeeded(_)), "{}: {status:?}", api.name);
        cloud.world().ignores_actions = false;
        let handle = act(&cloud, &service, &to("large")).await;
        let OperationStatus::Succeeded(Some(now)) = outcome(&cloud, &handle).await else {
            panic!("{}: {:?}", api.name, cloud.world().asked)
        };
        assert_eq!(now.sku.as_str(), "large", "{}", api.name);
    }
}

/// For as long as the cloud is declared to lag, what was before is no word that nothing was done.
#[tokio::test]
async fn an_answer_that_is_older_than_the_action_is_waited_for() {
    let (cloud, service) = bought(imitation::ec2::API).await;
    for (action, is_on, sku) in
        [(Action::Stop, false, "small"), (to("large"), false, "large"), (Action::Start, true, "large")]
    {
        let handle = act(&cloud, &service, &action).await;
        cloud.world().old_looks = 2;
        let OperationStatus::Succeeded(Some(now)) = outcome(&cloud, &handle).await else {
            panic!("{action:?}: {:?}", cloud.world().asked)
        };
        assert!(action.is_done(&now), "{now:?}");
        let thing = cloud.world().things.values().next().cloned().expect("it is there");
        assert_eq!((thing.is_on, thing.sku.as_str()), (is_on, sku));
    }
}

/// A page, or another document, in the place of the answer to an action.
#[tokio::test]
async fn another_document_is_no_word_that_an_action_was_begun() {
    let key = "f-act".parse().expect("a key");
    for api in imitation::ALL {
        let (cloud, service) = bought(api).await;
        let action =
            if api.name == "osb" { to("pg/small") } else { Action::Other { name: "reboot".to_owned() } };
        for broken in [Broken::Html200, Broken::Page200, Broken::Array200] {
            // Nova says nothing more than that it has understood.
            if api.name == "openstack" && broken == Broken::Array200 {
                continue;
            }
            cloud.world().mode = Mode::BrokenChanges(broken);
            let error = cloud.provider.act(&service, &action, &key).await;
            let error = error.expect_err(&format!("{} {broken:?}", api.name));
            assert!(error.kind.may_have_happened(), "{} {broken:?}: {error}", api.name);
        }
    }
}

/// Whatever makes a clone run before it was given its size: it is as small as its template, and is not what was bought.
#[tokio::test]
async fn a_clone_in_its_templates_size_is_not_sold() {
    let api = imitation::proxmox::API;
    let cloud = Imitation::start(api).await;
    let engine = engine(&cloud, &ledger().await);
    let order = engine.accept(plan(&api, &*cloud.provider).await, policy(), None).await.expect("accepted").id;
    cloud.world().clones_run = true;
    let order = engine.drive(&order).await.expect("driven");
    assert_eq!(order.state, OrderState::Failed, "{:?}", order.reason);
    let reason = order.reason.unwrap_or_default();
    assert!(reason.contains("not as it was bought") && reason.contains("cores"), "{reason}");
    assert!(cloud.world().things.is_empty(), "{:?}", cloud.world().asked);
}

/// The answer was lost, and the server did not start: nobody was told.
#[tokio::test]
async fn a_server_that_is_off_after_a_lost_answer_is_started() {
    for api in imitation::ALL.into_iter().filter(|api| matches!(api.name, "exoscale" | "hetzner" | "upcloud"))
    {
        let cloud = Imitation::start(api).await;
        let engine = engine(&cloud, &ledger().await);
        let order =
            engine.accept(plan(&api, &*cloud.provider).await, policy(), None).await.expect("accepted").id;
        {
            let mut world = cloud.world();
            (world.made_off, world.instead) = (true, Some(text(503, "")));
        }
        let order = engine.drive(&order).await.expect("driven");
        assert_eq!(order.state, OrderState::Committed, "{}: {:?}", api.name, order.reason);
        let StepState::Committed { service } = &order.steps[0].state else { panic!("{}", api.name) };
        assert_eq!(service.status, ServiceStatus::Running, "{}", api.name);
        assert!(cloud.world().things.values().all(|thing| thing.is_on), "{}", api.name);
    }
}

/// The catalogue is served, and the way to instances leads to something else, or nowhere.
#[tokio::test]
async fn an_instance_behind_a_lost_way_is_not_gone() {
    let each = [
        json!({ "message": "no Route matched with those values" }),
        json!({ "timestamp": "2026-11-28T20:00:00Z", "status": 404, "error": "Not Found", "path": "/v2/x" }),
        json!({ "errors": [{ "code": 1000 }] }),
        json!({ "error": "Not Found" }),
        json!({}),
    ];
    for (at, body) in each.iter().enumerate() {
        for tells in [true, false] {
            let api = imitation::osb::API;
            let cloud = Imitation::start(api).await;
            cloud.world().tells_instances = tells;
            let engine = engine(&cloud, &ledger().await);
            let order =
                engine.accept(plan(&api, &*cloud.provider).await, policy(), None).await.expect("accepted").id;
            let order = engine.drive(&order).await.expect("driven");
            assert_eq!(order.state, OrderState::Committed, "{at} {tells}: {:?}", order.reason);
            cloud.world().lost_way = Some(said(404, body));
            let cancelled = engine.cancel(&order.id).await.expect("driven");
            assert!(!cancelled.state.is_over(), "{body} {tells}: {:?}", cancelled.state);
            assert_eq!(cloud.world().things.len(), 1);
            let by = fulcrum_core::model::Operator { who: "test".to_owned(), why: "found".to_owned() };
            cloud.world().lost_way = None;
            let ended = engine.retry(&order.id, by).await.expect("driven");
            assert_eq!(ended.state, OrderState::Ended, "{body} {tells}: {:?}", ended.reason);
        }
    }
}
