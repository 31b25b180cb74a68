//! OpenStack: a part of nova that does not answer makes nothing absent, and an image that brings volumes is not ordered.

use std::{collections::BTreeMap, sync::Arc};

use fulcrum_core::{
    ledger::{Ledger, SqliteLedger},
    model::{FindingKind, IdempotencyKey, Operator, OrderId, OrderState, Policy, StepState},
    provider::{ErrorKind, OfferFilter, ProviderError, ProvisionRequest},
    purchase::Engine,
};
use futures::TryStreamExt;
use serde_json::{Value, json};

use crate::{
    absence::plan,
    imitation::{self, Api, Broken, Imitation, Mode},
};

const API: Api = imitation::openstack::API;

async fn accepted(cloud: &Imitation) -> (Engine, OrderId) {
    let ledger: Arc<dyn Ledger> = Arc::new(SqliteLedger::in_memory().await.expect("a ledger"));
    let provider = cloud.provider.clone();
    let plan = plan(&API, &*provider).await;
    let engine = Engine::new(BTreeMap::from([(provider.id().clone(), provider)]), ledger);
    let policy = Policy::default()
        .with_step_timeout_s(2)
        .with_compensation_timeout_s(1)
        .with_max_table_age_days(u32::MAX);
    let order = engine.accept(plan, policy, None).await.expect("accepted").id;
    (engine, order)
}

fn by() -> Operator {
    Operator { who: "test".to_owned(), why: "the cell is up again".to_owned() }
}

fn is_cell(error: &ProviderError) -> bool {
    matches!(&error.kind, ErrorKind::Unavailable { cause, .. } if cause.contains("cell"))
}

#[tokio::test]
async fn a_server_of_a_cell_that_is_down_is_not_absent() {
    let cloud = Imitation::start(API).await;
    let (engine, order) = accepted(&cloud).await;
    let bought = engine.drive(&order).await.expect("driven");
    assert_eq!(bought.state, OrderState::Committed, "{:?}", bought.reason);
    let StepState::Committed { service } = &bought.steps[0].state else { panic!("not bought") };
    cloud.world().is_cell_down = true;
    for provider in [cloud.provider.clone(), cloud.another()] {
        let error =
            provider.find_by_key(&bought.steps[0].key).await.expect_err("it is missing from the list");
        assert!(is_cell(&error), "{error}");
        let error = provider.services().try_collect::<Vec<_>>().await.expect_err("the list is not whole");
        assert!(is_cell(&error), "{error}");
        cloud.world().answers_in_part = false;
        assert!(provider.describe(&service.id).await.is_err(), "it is not told");
        cloud.world().answers_in_part = true;
        let error = provider.describe(&service.id).await.expect_err("it is told in part");
        assert!(is_cell(&error), "{error}");
    }
    let seen = engine.reconcile().await.expect("looked");
    assert!(seen.of(FindingKind::Missing).next().is_none(), "{:?}", seen.findings);
    let cancelled = engine.cancel(&order).await.expect("driven");
    assert!(!cancelled.state.is_over(), "{:?} {:?}", cancelled.state, cancelled.reason);
    cloud.world().is_cell_down = false;
    let ended = engine.retry(&order, by()).await.expect("driven");
    assert_eq!(ended.state, OrderState::Ended, "{:?}", ended.reason);
    assert!(cloud.world().things.is_empty());
}

#[tokio::test]
async fn nothing_is_bought_twice_nor_called_failed_while_a_cell_is_down() {
    let cloud = Imitation::start(API).await;
    let (engine, order) = accepted(&cloud).await;
    cloud.world().is_cell_down = true;
    cloud.set(Mode::LosesPurchase(Broken::Html503));
    let driven = engine.drive(&order).await.expect("driven");
    assert!(!driven.state.is_over(), "{:?} {:?}", driven.state, driven.reason);
    {
        let world = cloud.world();
        assert_eq!((world.purchases, world.things.len()), (1, 1), "{:?}", world.asked);
    }
    cloud.world().is_cell_down = false;
    let ended = engine.retry(&order, by()).await.expect("driven");
    assert_eq!(ended.state, OrderState::Failed, "{:?}", ended.reason);
    assert!(cloud.world().things.is_empty());
}

#[tokio::test]
async fn an_image_that_brings_volumes_is_refused_before_anything_is_ordered() {
    let cloud = Imitation::start(API).await;
    let offers: Vec<_> = cloud.provider.offers(&OfferFilter::default()).try_collect().await.expect("offers");
    let key = |at: usize| IdempotencyKey::new(format!("k-{at}")).expect("a key");
    let volume = json!([{ "boot_index": 0, "source_type": "snapshot", "volume_size": 40, "delete_on_termination": true }]);
    let brings = [json!(volume.to_string()), volume, json!("not JSON"), json!(7)];
    let brings_none = [Value::Null, json!("[]"), json!([]), json!("")];
    let all = brings.iter().map(|it| (it, true)).chain(brings_none.iter().map(|it| (it, false)));
    for (at, (volumes, is_refused)) in all.enumerate() {
        for image in ["11111111-2222-3333-4444-555555555556", "web snapshot"] {
            cloud.world().image_volumes = Some(volumes.clone());
            let before = cloud.world().purchases;
            let mut request = ProvisionRequest::of(&offers[0], 0, "web");
            request.settings.insert("image".to_owned(), image.into());
            let outcome = cloud.another().provision(&request, &key(at)).await;
            if is_refused {
                let error = outcome.expect_err("it brings volumes");
                assert!(matches!(error.kind, ErrorKind::InvalidRequest { .. }), "{volumes}: {error}");
                assert!(error.to_string().contains("block_device_mapping"), "{error}");
                assert_eq!(cloud.world().purchases, before, "{volumes}");
            } else {
                outcome.expect("it brings none");
            }
        }
    }
}
