//! What a provider says when it refuses a purchase stands in the order's reason.

use std::{collections::BTreeMap, sync::Arc};

use fulcrum_core::{
    ledger::{Ledger, SqliteLedger},
    model::{Order, OrderState, Policy},
    purchase::Engine,
};
use serde_json::{Value, json};

use crate::{
    absence::plan,
    imitation::{self, Api, Imitation, Reply, json, xml},
};

const WORDS: &str = "Policy does not allow zebras to be created";

/// How each API words that something is not allowed.
fn refusal(name: &str) -> Reply {
    let body = match name {
        "ec2" => {
            return xml(
                403,
                &format!(
                    "<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>{WORDS}</Message></Error></Errors></Response>"
                ),
            );
        }
        "hetzner" => json!({ "error": { "code": "forbidden", "message": WORDS } }),
        "openstack" => json!({ "forbidden": { "code": 403, "message": WORDS } }),
        "osb" => json!({ "error": "NotAllowed", "description": WORDS }),
        "scaleway" => json!({ "type": "permissions_denied", "message": WORDS }),
        "upcloud" => json!({ "error": { "error_code": "ACTION_FORBIDDEN", "error_message": WORDS } }),
        "proxmox" => json!({ "data": null, "message": WORDS }),
        "exoscale" => json!({ "message": WORDS }),
        other => panic!("how does {other} word a refusal?"),
    };
    json(403, &body)
}

async fn refused(api: Api, reply: Reply) -> (Order, usize) {
    let cloud = Imitation::start(api).await;
    let ledger: Arc<dyn Ledger> = Arc::new(SqliteLedger::in_memory().await.expect("a ledger"));
    let provider = cloud.provider.clone();
    let plan = plan(&api, &*provider).await;
    let engine = Engine::new(BTreeMap::from([(provider.id().clone(), provider)]), ledger);
    let policy = Policy::default()
        .with_step_timeout_s(2)
        .with_compensation_timeout_s(2)
        .with_max_table_age_days(u32::MAX);
    let order = engine.accept(plan, policy, None).await.expect("accepted").id;
    cloud.world().refuses = Some(reply);
    let order = engine.drive(&order).await.expect("driven");
    let purchases = cloud.world().purchases;
    (order, purchases)
}

#[tokio::test]
async fn the_words_of_a_refusal_are_the_orders_reason_at_every_adapter() {
    for api in imitation::ALL {
        let (order, _) = refused(api, refusal(api.name)).await;
        let reason = order.reason.unwrap_or_default();
        assert!(
            matches!(order.state, OrderState::Failed | OrderState::Refused),
            "{}: {:?}",
            api.name,
            order.state
        );
        assert!(reason.contains(WORDS), "{}: {reason}", api.name);
    }
}

/// Older clouds of OpenStack say by 413 what may pass, and what is over a limit.
#[tokio::test]
async fn what_was_refused_until_the_time_was_over_is_told_with_it() {
    let over = |message: &str| {
        json(413, &json!({ "overLimit": { "code": 413, "message": message, "retryAfter": "0" } }))
    };
    let (order, purchases) = refused(imitation::openstack::API, over("This request was rate-limited.")).await;
    let reason = order.reason.unwrap_or_default();
    assert!(
        reason.contains("not provisioned within 2 s") && reason.contains("This request was rate-limited."),
        "{reason}"
    );
    assert!(purchases > 1, "it may pass");
    let (order, purchases) =
        refused(imitation::openstack::API, over("Quota exceeded for cores: Requested 2")).await;
    let reason = order.reason.unwrap_or_default();
    assert!(reason.contains("quota of cores") && purchases == 1, "{reason}");
}

/// A page of something before the API is no word of the provider.
#[tokio::test]
async fn a_page_for_people_is_not_quoted() {
    let page: Value = json!({ "x": format!("<html>{WORDS}</html>") });
    let reply = imitation::text(429, page["x"].as_str().expect("text"));
    let (order, _) = refused(imitation::openstack::API, reply).await;
    let reason = order.reason.unwrap_or_default();
    assert!(!reason.contains(WORDS), "{reason}");
}
