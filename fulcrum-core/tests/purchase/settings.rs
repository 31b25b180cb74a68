//! A setting that a provider does not know is never dropped: its offers are in no plan and in no fail-over, and it is refused
//! before the first call.

use std::sync::Arc;

use crate::support::{cloud, count, providers};
use fulcrum_core::{
    catalogue::{Catalogue, IngestOptions, Rates, ingest},
    compose::{ComposeError, ComposeOptions, Signal, compose, verify::verify, why_not},
    ledger::SqliteLedger,
    model::{Blueprint, FailOver, IdempotencyKey, OrderId, OrderState, Plan, Policy},
    provider::{
        Call, ErrorKind, OfferFilter, Provider, ProvisionRequest,
        sandbox::{Fault, FaultRule, Sandbox},
    },
    purchase::Engine,
};
use futures::TryStreamExt;
use rust_decimal::Decimal;

fn blueprint(setting: &str) -> Blueprint {
    Blueprint::from_yaml(&format!(
        "{{ name: shop, components: {{ web: {{ vcpu: 2, settings: {{ image: debian, {setting}: \"7\" }} }} }} }}"
    ))
    .expect("a blueprint")
}

/// Alpha is the cheapest, and knows the least; gamma does not say.
fn clouds() -> Vec<Sandbox> {
    vec![
        cloud("alpha", None).settings(&["image", "ssh_keys"]).build(),
        cloud("beta", None).settings(&["firewall", "image"]).build(),
        cloud("gamma", None).build(),
    ]
}

async fn catalogue(clouds: &[Sandbox]) -> Catalogue {
    let all: Vec<Arc<dyn Provider>> = providers(clouds).into_values().collect();
    ingest(&all, None, IngestOptions::new(jiff::Timestamp::now(), Rates::none())).await
}

fn composed(catalogue: &Catalogue, blueprint: &Blueprint) -> Result<Plan, ComposeError> {
    compose(catalogue, blueprint, &ComposeOptions::default(), &mut |_| Signal::Continue)
}

#[tokio::test]
async fn a_plan_is_made_where_all_settings_are_known() {
    let catalogue = catalogue(&clouds()).await;
    let plan = |setting: &str| composed(&catalogue, &blueprint(setting)).expect("a plan");
    let at = |setting: &str| plan(setting).leases[0].place.provider.to_string();
    assert_eq!([at("ssh_keys"), at("firewall"), at("anything")], ["alpha", "beta", "gamma"]);
    let (blueprint, plan) = (blueprint("firewall"), plan("firewall"));
    let alpha =
        catalogue.ids().map(|ix| catalogue.offer(ix)).find(|it| it.place.provider.as_str() == "alpha");
    let (options, id) = (ComposeOptions::default(), alpha.expect("it is listed").id());
    let why = why_not(&catalogue, &blueprint, &plan, &id, &options, &mut |_| Signal::Continue);
    assert_eq!(
        why.expect("an answer").reasons,
        ["web: alpha does not know the setting `firewall`; it knows image, ssh_keys"]
    );
    // A plan that says otherwise is found out.
    let mut other = composed(&catalogue, &self::blueprint("ssh_keys")).expect("a plan");
    other.blueprint_digest.clone_from(&plan.blueprint_digest);
    other.leases[0].settings.clone_from(&plan.leases[0].settings);
    let violation = verify(&catalogue, &blueprint, &other).expect_err("found out").to_string();
    assert!(violation.contains("alpha does not know the setting `firewall`"), "{violation}");
}

#[tokio::test]
async fn where_nobody_knows_a_setting_the_conflict_says_who_knows_what() {
    let catalogue = catalogue(&clouds()[..2]).await;
    let none = composed(&catalogue, &blueprint("security_groups"));
    let Err(ComposeError::Infeasible(conflict)) = none else { panic!("{none:?}") };
    assert!(conflict.conditions.iter().any(|it| it.contains("settings.security_groups")), "{conflict:?}");
    let hint = conflict.hint.clone().unwrap_or_default();
    assert!(
        hint.contains("alpha does not know the setting `security_groups`; it knows image, ssh_keys"),
        "{hint}"
    );
}

#[tokio::test]
async fn no_fail_over_goes_where_a_setting_is_not_known() {
    let rule = FaultRule { call: Call::Provision, sku: None, nth: 1, times: 1000, fault: Fault::SoldOut };
    let clouds = [
        cloud("alpha", None).settings(&["image"]).build(),
        cloud("beta", None).settings(&["firewall", "image"]).fault(rule).build(),
    ];
    let blueprint = blueprint("firewall");
    let plan = composed(&catalogue(&clouds).await, &blueprint).expect("a plan");
    let engine =
        Engine::new(providers(&clouds), Arc::new(SqliteLedger::in_memory().await.expect("a ledger")));
    let fail_over = FailOver::new(blueprint).with_max_rise_percent(Decimal::from(500));
    let policy = Policy::default().with_fail_over(fail_over);
    let order = engine.accept(plan, policy, None).await.expect("accepted");
    let order = engine.drive(&order.id).await.expect("driven");
    assert_eq!((order.state, count(&clouds).0), (OrderState::Failed, 0), "{:?}", order.reason);
    assert!(order.reason.unwrap_or_default().contains("sold out"));
}

#[tokio::test]
async fn what_is_not_known_is_refused_before_anything_is_made() {
    let alpha = &clouds()[0];
    let offer = alpha.offers(&OfferFilter::default()).try_next().await.expect("listed").expect("an offer");
    let mut request = ProvisionRequest::of(&offer, 0, "web");
    request.settings.insert("firewall".to_owned(), 7.into());
    let key = IdempotencyKey::of_step(&OrderId::generate(), 0);
    for refused in [
        alpha.provision(&request, &key).await.expect_err("refused"),
        alpha.quote(&request).await.expect_err("refused"),
    ] {
        assert!(matches!(refused.kind, ErrorKind::InvalidRequest { .. }), "{refused}");
        assert!(refused.to_string().contains("`firewall`"), "{refused}");
    }
    assert_eq!(alpha.resources().expect("state").len(), 0);
}

/// A plan that did not come from `compose` is looked at again, before the provider is asked.
#[tokio::test]
async fn a_value_of_another_type_is_refused_before_the_first_call() {
    let declared =
        serde_json::from_str(r#"[{"name": "ports", "type": {"list": "number"}}]"#).expect("declarations");
    let cloud = cloud("alpha", None).declared_settings(declared).build();
    let open = catalogue(&[crate::support::cloud("alpha", None).build()]).await;
    let text = "{ name: shop, components: { web: { vcpu: 2, settings: { ports: ssh } } } }";
    let plan = composed(&open, &Blueprint::from_yaml(text).expect("a blueprint")).expect("a plan");
    let ledger = Arc::new(SqliteLedger::in_memory().await.expect("a ledger"));
    let engine = Engine::new(providers(std::slice::from_ref(&cloud)), ledger);
    let order = engine.accept(plan, Policy::default(), None).await.expect("accepted");
    let order = engine.drive(&order.id).await.expect("driven");
    assert_eq!(order.state, OrderState::Refused, "{:?}", order.reason);
    let reason = order.reason.expect("why");
    assert!(reason.contains("takes the setting `ports` as a list of whole numbers"), "{reason}");
    assert!(cloud.resources().expect("memory").is_empty());
}
