//! Identifiers that are given again, and answers about something else: nothing is ended, marked or started that is not of the
//! purchase itself, and nothing is taken for gone because of them.

use fulcrum_core::{
    model::{IdempotencyKey, Order, OrderId, OrderState, ServiceId, StepState},
    provider::{OperationHandle, OperationStatus},
};
use serde_json::{Value, json};

use crate::{
    absence::plan,
    ambiguous_purchase::{engine, ledger, policy},
    imitation::{self, Api, Ask, Imitation, Reply, json as said, xml},
};

/// What an order has bought, by a cloud without layers.
async fn buy(api: Api) -> (Imitation, Order, ServiceId) {
    let cloud = Imitation::start(api).await;
    let engine = engine(&cloud, &ledger().await);
    let order = engine.accept(plan(&api, &*cloud.provider).await, policy(), None).await.expect("accepted").id;
    let order = engine.drive(&order).await.expect("driven");
    assert_eq!(order.state, OrderState::Committed, "{}: {:?}", api.name, order.reason);
    let StepState::Committed { service } = &order.steps[0].state else { panic!("{}", api.name) };
    let service = service.id.clone();
    (cloud, order, service)
}

/// Clouds whose identifiers are their own: at the others the key is the name, or the number follows from it.
fn of_their_own() -> impl Iterator<Item = Api> {
    imitation::ALL.into_iter().filter(|api| !matches!(api.name, "osb" | "proxmox"))
}

fn another() -> IdempotencyKey {
    IdempotencyKey::of_step(&OrderId::generate(), 0)
}

/// All that there is belongs to another order from now on.
fn gives_again(cloud: &Imitation, key: &IdempotencyKey) {
    let mut world = cloud.world();
    for thing in world.things.values_mut() {
        thing.key = key.to_string();
    }
    let parts: Vec<_> = world.parts.keys().cloned().collect();
    for part in parts {
        world.made_with.insert(part.clone(), key.to_string());
        let tags = match part.starts_with("vol-") {
            true => json!({ "fulcrum-key": key }),
            false => json!([format!("fulcrum-key={key}")]),
        };
        world.part_notes.insert(part, tags);
    }
}

#[tokio::test]
async fn a_handle_of_one_order_does_not_end_what_another_one_has_under_the_same_name() {
    for api in of_their_own() {
        let (cloud, order, service) = buy(api).await;
        // It does not go at once.
        cloud.world().keeps = true;
        let ending = cloud.provider.release(&service, &order.steps[0].key).await.expect(api.name);
        gives_again(&cloud, &another());
        {
            let mut world = cloud.world();
            world.keeps = false;
            world.sent.clear();
        }
        for _ in 0..3 {
            let status = cloud.provider.poll(&ending).await;
            // Nova has marked a server before it answers, and is not asked again.
            if api.name != "openstack" {
                let is_gone = matches!(status, Ok(OperationStatus::Succeeded(None)));
                assert!(is_gone, "{}: its own is gone: {status:?}", api.name);
            }
        }
        let world = cloud.world();
        assert_eq!((world.things.len(), world.parts.len()), (1, 1), "{}: {:?}", api.name, world.asked);
        assert!(world.sent.iter().all(is_login), "{}: {:?}", api.name, world.sent);
    }
}

fn is_login(ask: &Ask) -> bool {
    ask.path.ends_with("/auth/tokens")
}

/// As ledgers have them since before handles told a key.
#[tokio::test]
async fn a_handle_that_tells_no_key_ends_nothing_and_is_forgotten() {
    for api in of_their_own().filter(|api| api.name != "openstack") {
        let (cloud, order, service) = buy(api).await;
        cloud.world().keeps = true;
        let ending = cloud.provider.release(&service, &order.steps[0].key).await.expect(api.name);
        let (old, _) = ending.as_str().split_once(" fulcrum-key=").expect("it tells its key");
        cloud.world().keeps = false;
        let error = cloud.provider.poll(&OperationHandle::new(old)).await.expect_err(api.name);
        assert_eq!(error.kind.word(), "not_found", "{}", api.name);
        assert_eq!(cloud.world().things.len(), 1, "{}", api.name);
        // Asked again it ends.
        let ending = cloud.provider.release(&service, &order.steps[0].key).await.expect(api.name);
        for _ in 0..6 {
            if cloud.provider.poll(&ending).await.is_ok_and(|it| it == OperationStatus::Succeeded(None)) {
                break;
            }
        }
        assert!(cloud.world().things.is_empty(), "{}: {:?}", api.name, cloud.world().asked);
    }
}

#[tokio::test]
async fn an_answer_about_something_else_is_no_word_that_it_is_gone() {
    for api in of_their_own() {
        let (cloud, order, service) = buy(api).await;
        cloud.world().keeps = true;
        let ending = cloud.provider.release(&service, &order.steps[0].key).await.expect(api.name);
        {
            let mut world = cloud.world();
            let other = match api.name {
                "ec2" => "i-00000000000000ff".to_owned(),
                "hetzner" => "999".to_owned(),
                _ => uuid::Uuid::from_u128(0xff).to_string(),
            };
            for thing in world.things.values_mut() {
                thing.id.clone_from(&other);
            }
        }
        let described = cloud.provider.describe(&service).await;
        assert!(described.is_err(), "{}: {described:?}", api.name);
        let status = cloud.provider.poll(&ending).await;
        assert!(!matches!(status, Ok(OperationStatus::Succeeded(_))), "{}: {status:?}", api.name);
    }
}

/// The answer to a purchase as it would be for a machine of the customer's own.
fn made(api: &Api, cloud: &Imitation, id: &str) -> Reply {
    let path = match api.name {
        "scaleway" => format!("/instance/v1/zones/fr-par-1/servers/{id}"),
        "upcloud" => format!("/server/{id}"),
        "hetzner" => format!("/servers/{id}"),
        "openstack" => return said(202, &json!({ "server": { "id": id } })),
        "exoscale" => {
            return said(
                200,
                &json!({ "id": "0f000000-0000-4000-8000-000000000001", "state": "success",
            "reference": { "id": id } }),
            );
        }
        _ => {
            return xml(
                200,
                &format!(
                    "<RunInstancesResponse><instancesSet><item><instanceId>{id}</instanceId></item></instancesSet></RunInstancesResponse>"
                ),
            );
        }
    };
    let ask = Ask {
        method: "GET".to_owned(),
        path,
        query: Default::default(),
        json: Value::Null,
        form: Default::default(),
        headers: Default::default(),
    };
    let told = (api.answer)(&mut cloud.world(), &ask);
    let mut body: Value = serde_json::from_str(&told.body).expect("JSON");
    body["action"] = json!({ "id": 1, "status": "success", "progress": 100, "error": null });
    said(201, &body)
}

#[tokio::test]
async fn a_purchase_that_is_answered_with_the_customers_own_machine_leaves_that_alone() {
    for api in of_their_own() {
        let cloud = Imitation::start(api).await;
        let engine = engine(&cloud, &ledger().await);
        let id = {
            let mut world = cloud.world();
            let id = |_| match api.name {
                "ec2" => "i-00000000000000aa".to_owned(),
                "hetzner" => "777".to_owned(),
                _ => uuid::Uuid::from_u128(0xaa).to_string(),
            };
            let thing = world.make(id, "accounting", "small");
            world.things.get_mut(&thing.id).expect("it is there").is_on = false;
            thing.id
        };
        let reply = made(&api, &cloud, &id);
        let order =
            engine.accept(plan(&api, &*cloud.provider).await, policy(), None).await.expect("accepted").id;
        cloud.world().instead = Some(reply);
        let order = engine.drive(&order).await.expect("driven");
        // What it has made itself is found by its key.
        assert_eq!(order.state, OrderState::Committed, "{}: {:?}", api.name, order.reason);
        let StepState::Committed { service } = &order.steps[0].state else { panic!("{}", api.name) };
        assert!(!service.id.as_str().ends_with(&id), "{}", api.name);
        let world = cloud.world();
        assert_eq!(world.things.len(), 2, "{}: {:?}", api.name, world.asked);
        let theirs = &world.things[&id];
        assert!(!theirs.is_on && theirs.notes.is_empty(), "{}: {theirs:?}", api.name);
        let names_it = |ask: &&Ask| ask.path.contains(&id) || ask.form.values().any(|value| *value == id);
        assert!(!world.sent.iter().any(|ask| names_it(&ask)), "{}: {:?}", api.name, world.sent);
    }
}

/// A login that leads to another project: there, nothing of this one is to be seen.
#[tokio::test]
async fn a_token_of_another_project_is_not_used() {
    let (cloud, order, service) = buy(imitation::openstack::API).await;
    cloud.world().project = Some("other");
    let provider = cloud.another();
    cloud.world().asked.clear();
    let error = provider.describe(&service).await.expect_err("another project").to_string();
    assert!(error.contains("project") && error.contains("other"), "{error}");
    provider.find_by_key(&order.steps[0].key).await.expect_err("another project");
    provider.release(&service, &order.steps[0].key).await.expect_err("another project");
    let world = cloud.world();
    assert!(world.asked.iter().all(|asked| asked.ends_with("/auth/tokens")), "{:?}", world.asked);
}
