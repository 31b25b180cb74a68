//! One blueprint in portable words is bought at each provider, in that provider's own words.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use fulcrum_core::{
    catalogue::{Catalogue, CatalogueBuilder, Rates},
    compose::{ComposeError, ComposeOptions, Signal, compose},
    model::{Blueprint, OrderState, Plan},
    provider::Provider,
};
use serde_json::json;

use crate::{
    ambiguous_purchase::{engine, ledger, policy},
    imitation::{self, Api, Imitation},
    peers::orders::offers,
};

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f ada@example";

async fn catalogue(providers: &[&dyn Provider]) -> Catalogue {
    let mut builder = CatalogueBuilder::new(jiff::Timestamp::now(), Rates::none());
    for provider in providers {
        builder.extend(offers(*provider).await);
        let declared = provider.capabilities().settings.clone().expect("declared");
        builder.declare_settings(provider.id().clone(), declared);
    }
    builder.build()
}

fn composed(
    catalogue: &Catalogue,
    blueprint: &str,
    settings: &serde_json::Value,
) -> Result<Plan, ComposeError> {
    let mut blueprint = Blueprint::from_yaml(blueprint).expect("a blueprint");
    for component in blueprint.components.values_mut() {
        component.settings = serde_json::from_value(settings.clone()).expect("settings");
    }
    compose(catalogue, &blueprint, &ComposeOptions::default(), &mut |_| Signal::Continue)
}

/// What was sent to buy, with what is in base64, escapes and escapes of those as plain text.
fn sent(cloud: &Imitation) -> String {
    let mut text = String::new();
    for ask in &cloud.world().sent {
        text += &format!(
            "{} {} ",
            ask.json,
            ask.form.iter().map(|(name, value)| format!("{name} {value} ")).collect::<String>()
        );
    }
    let decoded: Vec<String> = text
        .split(|c: char| !(c.is_ascii_alphanumeric() || "+/=".contains(c)))
        .filter(|word| word.len() > 60)
        .filter_map(|word| String::from_utf8(STANDARD.decode(word).ok()?).ok())
        .collect();
    format!("{text} {}", decoded.join(" "))
        .replace("%20", " ")
        .replace("%2B", "+")
        .replace("%2F", "/")
        .replace("%40", "@")
}

fn machines(without: &str) -> impl Iterator<Item = Api> + '_ {
    imitation::ALL.into_iter().filter(move |api| api.name != "osb" && api.name != without)
}

#[tokio::test]
async fn one_blueprint_is_bought_in_each_providers_words() {
    let settings =
        json!({ "image": "debian-13", "ssh_keys": [KEY], "hostname": "web-7", "labels": { "team": "shop" } });
    for api in machines("proxmox") {
        let cloud = Imitation::start(api).await;
        let plan = composed(&catalogue(&[&*cloud.provider]).await, api.blueprint, &settings).expect(api.name);
        let engine = engine(&cloud, &ledger().await);
        let order = engine.accept(plan, policy(), None).await.expect("accepted");
        let order = engine.drive(&order.id).await.expect("driven");
        assert_eq!(order.state, OrderState::Committed, "{}: {:?}", api.name, order.reason);
        let sent = sent(&cloud);
        // Scaleway's tags have underscores in the place of blanks.
        let key = if api.name == "scaleway" { KEY.replace(' ', "_") } else { KEY.to_owned() };
        for word in [key.as_str(), "web-7", "team", "shop"] {
            assert!(sent.contains(word), "{}: {word} is not sent: {sent}", api.name);
        }
    }
}

#[tokio::test]
async fn a_template_takes_keys_and_a_word_without_a_form_is_not_sold_to() {
    let api = imitation::proxmox::API;
    let cloud = Imitation::start(api).await;
    let catalogue = catalogue(&[&*cloud.provider]).await;
    let plan = composed(&catalogue, api.blueprint, &json!({ "image": "debian-13", "ssh_keys": [KEY] }))
        .expect("a plan");
    let engine = engine(&cloud, &ledger().await);
    let order = engine.accept(plan, policy(), None).await.expect("accepted");
    let order = engine.drive(&order.id).await.expect("driven");
    assert_eq!(order.state, OrderState::Committed, "{:?}", order.reason);
    assert!(sent(&cloud).contains(KEY), "{}", sent(&cloud));
    let why =
        composed(&catalogue, api.blueprint, &json!({ "labels": { "a": "b" } })).expect_err("no labels there");
    assert!(why.to_string().contains("does not know the setting `labels`"), "{why}");
}

#[tokio::test]
async fn a_value_that_is_none_is_refused_before_anything_is_asked() {
    for api in machines("proxmox") {
        let cloud = Imitation::start(api).await;
        let catalogue = catalogue(&[&*cloud.provider]).await;
        let asked = cloud.world().asked.len();
        for (wrong, word) in [
            (json!({ "hostname": "no_host.name" }), "hostname"),
            (json!({ "labels": { "fulcrum-key": "f-1" } }), "labels"),
            (json!({ "labels": { "a b": "c" } }), "labels"),
            (json!({ "labels": "team=shop" }), "labels"),
            (json!({ "labels": { "app.kubernetes.io": "c" } }), "labels"),
            (json!({ "labels": { "AUTHORIZED_KEY": "c" } }), "labels"),
            (json!({ "imgae": "debian-13" }), "imgae"),
        ] {
            let why = composed(&catalogue, api.blueprint, &wrong).expect_err(word).to_string();
            assert!(why.contains(word), "{}: {why}", api.name);
        }
        assert_eq!(cloud.world().asked.len(), asked);
    }
}

#[tokio::test]
async fn what_stands_under_a_providers_name_reaches_that_provider_alone() {
    let (hetzner, exoscale) =
        (Imitation::start(imitation::hetzner::API).await, Imitation::start(imitation::exoscale::API).await);
    let catalogue = catalogue(&[&*hetzner.provider, &*exoscale.provider]).await;
    let settings = json!({ "image": "debian-13", "hetzner": { "placement_group": 12, "image": "rocky-9" } });
    let both = "{ name: shop, components: { web: { vcpu: 2, replicas: 2 } },
        constraints: [ spread: { components: [web], over: provider, at_least: 2 } ] }";
    let plan = composed(&catalogue, both, &settings).expect("a plan");
    let of = |name: &str| {
        let lease = plan.leases.iter().find(|lease| lease.place.provider.as_str() == name).expect(name);
        serde_json::to_value(&lease.settings).expect("JSON")
    };
    assert_eq!(of("hetzner"), json!({ "image": "rocky-9", "placement_group": 12 }));
    assert_eq!(of("exoscale"), json!({ "image": "debian-13" }));
    // Without the provider's name, only those that know it are left.
    let one = composed(&catalogue, both, &json!({ "placement_group": 12 })).expect_err("one is too few");
    assert!(one.to_string().contains("placement_group"), "{one}");
    // One that is not in the federation is not passed over.
    for other in ["hetzer", "scaleway"] {
        let why =
            composed(&catalogue, both, &json!({ (other): { "placement_group": 12 } })).expect_err(other);
        assert!(why.to_string().contains(other), "{why}");
    }
}

#[tokio::test]
async fn components_with_different_sections_share_no_machine() {
    let hetzner = Imitation::start(imitation::hetzner::API).await;
    let catalogue = catalogue(&[&*hetzner.provider]).await;
    let text = "{ name: shop, constraints: [ share: all ], components: {
        a: { settings: { image: debian-13 } }, b: { settings: { hetzner: { image: rocky-9 } } } } }";
    let blueprint = Blueprint::from_yaml(text).expect("a blueprint");
    let plan = compose(&catalogue, &blueprint, &ComposeOptions::default(), &mut |_| Signal::Continue);
    let plan = plan.expect("two machines");
    let mut images: Vec<_> = plan.leases.iter().map(|lease| lease.settings["image"].to_string()).collect();
    images.sort();
    assert_eq!(images, ["\"debian-13\"", "\"rocky-9\""]);
}

#[tokio::test]
async fn a_private_key_goes_nowhere() {
    let private = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n-----END OPENSSH PRIVATE KEY-----\n";
    for api in machines("") {
        let cloud = Imitation::start(api).await;
        let catalogue = catalogue(&[&*cloud.provider]).await;
        for keys in [json!(private), json!([private])] {
            let why = composed(&catalogue, api.blueprint, &json!({ "ssh_keys": keys })).expect_err("private");
            assert!(why.to_string().contains("ssh_keys") && !why.to_string().contains("b3Bl"), "{why}");
        }
    }
}
