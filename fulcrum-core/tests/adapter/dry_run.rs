//! A dry run asks each cloud what a purchase would ask, and sends nothing that would have an effect.

use fulcrum_core::{
    catalogue::{CatalogueBuilder, Rates},
    compose::{ComposeOptions, Signal, compose},
    model::{Blueprint, Lease, Plan},
    purchase::DryRun,
};
use serde_json::json;

use crate::{
    absence::plan,
    ambiguous_purchase::{engine, ledger, policy},
    imitation::{self, Api, Broken, Imitation, Mode},
};

/// A plan with a setting.
fn with(mut plan: Plan, name: &str, value: serde_json::Value) -> Plan {
    let set = |lease: &mut Lease| drop(lease.settings.insert(name.to_owned(), value.clone()));
    plan.leases.iter_mut().for_each(set);
    plan
}

async fn tried(cloud: &Imitation, plan: &Plan) -> DryRun {
    let found = engine(cloud, &ledger().await).dry_run(plan, &policy()).await.expect("accepted");
    let world = cloud.world();
    let sent: Vec<_> = world.sent.iter().filter(|ask| !ask.path.ends_with("/auth/tokens")).collect();
    assert!(world.purchases == 0 && world.things.is_empty() && sent.is_empty(), "{found}: {sent:?}");
    found
}

#[tokio::test]
async fn what_can_be_bought_is_not_refused_and_not_bought() {
    let each = imitation::ALL.map(|api: Api| async move {
        let cloud = Imitation::start(api).await;
        let found = tried(&cloud, &plan(&api, &*cloud.provider).await).await;
        assert!(found == DryRun::default(), "{}: {found}; asked {:?}", api.name, cloud.world().asked);
    });
    futures::future::join_all(each).await;
}

#[tokio::test]
async fn what_a_cloud_does_not_have_is_refused_in_words() {
    let cases = [
        ("ec2", "image", json!("ami-00000000")),
        ("ec2", "key_name", json!("nobody")),
        ("ec2", "security_groups", json!(["sg-00000000"])),
        ("ec2", "subnet", json!("subnet-00000000")),
        ("exoscale", "ssh_keys", json!(["nobody"])),
        ("hetzner", "image", json!("no-such-image")),
        ("hetzner", "ssh_keys", json!(["nobody"])),
        ("hetzner", "networks", json!([99])),
        ("openstack", "key_name", json!("nobody")),
        ("openstack", "security_groups", json!(["no such group"])),
    ];
    for (name, setting, value) in cases {
        let api = imitation::ALL.into_iter().find(|api| api.name == name).expect("known");
        let cloud = Imitation::start(api).await;
        let plan = with(plan(&api, &*cloud.provider).await, setting, value.clone());
        let found = tried(&cloud, &plan).await;
        let [refused] = found.refusals.as_slice() else {
            panic!("{name}, {setting}: {found}; asked {:?}", cloud.world().asked)
        };
        let leases: Vec<usize> = (0..plan.leases.len()).collect();
        assert_eq!(
            (&refused.leases, refused.kind),
            (&leases, "invalid_request"),
            "{name}, {setting}: {found}"
        );
        assert!(found.to_string().starts_with("refused: "), "{found}");
    }
}

#[tokio::test]
async fn what_cannot_be_found_out_is_said_to_be_unchecked() {
    let each = imitation::ALL.map(|api: Api| async move {
        let cloud = Imitation::start(api).await;
        let plan = plan(&api, &*cloud.provider).await;
        cloud.world().mode = Mode::Broken(Broken::Html503);
        let found = tried(&cloud, &plan).await;
        let is_told = found.refusals.iter().all(|refused| refused.kind == "price");
        assert!(
            is_told && !(found.refusals.is_empty() && found.unchecked.is_empty()),
            "{}: {found}",
            api.name
        );
    });
    futures::future::join_all(each).await;
}

/// A key that is known once another machine is there: without it the request is not the one that is bought.
#[tokio::test]
async fn what_is_known_at_the_purchase_only_refuses_nothing() {
    let api = imitation::upcloud::API;
    let cloud = Imitation::start(api).await;
    let offers = crate::peers::orders::offers(&*cloud.provider).await;
    let mut builder = CatalogueBuilder::new(jiff::Timestamp::now(), Rates::none());
    builder.extend(offers);
    let text = "{ name: shop, components: { k: { vcpu: 2 },
        web: { vcpu: 2, after: [k], settings: { user: ada, ssh_keys: '${k.public_ipv4}' } } } }";
    let blueprint = Blueprint::from_yaml(text).expect("a blueprint");
    let plan = compose(&builder.build(), &blueprint, &ComposeOptions::default(), &mut |_| Signal::Continue);
    let found = tried(&cloud, &plan.expect("a plan")).await;
    assert!(found.refusals.is_empty() && found.unchecked.len() == 1, "{found}");
    assert!(found.to_string().contains("known at the purchase only"), "{found}");
}
