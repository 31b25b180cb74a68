//! What is ordered is what was priced: each offer of each adapter and of the sandbox is bought as it is, and a request that
//! differs from it in anything is refused before anybody is asked. Each field of what is sent is declared.

use std::{collections::BTreeSet, time::Duration};

use fulcrum_core::{
    model::{
        DeclaredSetting, DeclaredSettings, IdempotencyKey, Offer, OfferKind, OrderId, PurchaseOption,
        SettingType, SkuId,
    },
    provider::{
        ErrorKind, OfferFilter, OperationStatus, Priced, Provider, ProvisionRequest, adapters,
        sandbox::Sandbox, table::Table,
    },
};
use futures::TryStreamExt;
use serde_json::{Value, json};

use crate::imitation::{self, Api, Imitation};

fn key() -> IdempotencyKey {
    IdempotencyKey::of_step(&OrderId::generate(), 0)
}

fn sku(text: &str) -> SkuId {
    text.parse().expect("a name")
}

/// A request for an offer, with a disk if one is bought with it, and with the setting that such an offer needs.
pub(crate) fn request(offer: &Offer) -> ProvisionRequest {
    let mut request = ProvisionRequest::of(offer, if offer.elastic_disk.is_some() { 20 } else { 0 }, "web");
    if has_no_address(offer) {
        request.settings.insert("public_ipv4".to_owned(), json!(false));
    }
    request
}

/// Whether an offer is a machine that is sold without its address.
fn has_no_address(offer: &Offer) -> bool {
    offer.attributes.get("public_ipv4").is_some_and(|it| it == "none")
}

/// Requests that differ from what an offer says in one point each.
pub(crate) fn others(offer: &Offer) -> Vec<(&'static str, ProvisionRequest)> {
    let own = request(offer);
    let change = |what: &'static str, change: &dyn Fn(&mut ProvisionRequest)| {
        let mut other = own.clone();
        change(&mut other);
        (what, other)
    };
    let mut all = vec![
        change("another kind", &|it| {
            it.kind = if it.kind == OfferKind::Machine { OfferKind::Other } else { OfferKind::Machine };
        }),
        change("another region", &|it| it.place.region = "elsewhere".parse().expect("a name")),
        change("another zone", &|it| it.place.zone = Some("nowhere".parse().expect("a name"))),
        change("another provider", &|it| it.place.provider = "somebody".parse().expect("a name")),
        change("a longer term", &|it| it.term_months += 12),
        change("one surcharge more", &|it| it.surcharges.push(sku("licence"))),
        change("another disk", &|it| {
            (it.size_gib, it.disk_sku) = (20, Some(sku("another-disk")));
        }),
        change("a disk of no product", &|it| (it.size_gib, it.disk_sku) = (it.size_gib + 1, None)),
    ];
    for option in [PurchaseOption::OnDemand, PurchaseOption::Spot, PurchaseOption::Committed(12)] {
        if option != offer.price.purchase_option {
            all.push(change("another purchase option", &|it| it.purchase_option = option));
        }
    }
    for at in 0..own.surcharges.len() {
        all.push(change("one surcharge less", &|it| drop(it.surcharges.remove(at))));
        all.push(change("a surcharge twice", &|it| it.surcharges.push(it.surcharges[at].clone())));
    }
    if offer.kind == OfferKind::Machine && offer.attributes.contains_key("public_ipv4") {
        all.push(change("another address", &|it| {
            it.settings.insert("public_ipv4".to_owned(), json!(has_no_address(offer)));
        }));
    }
    // What is sold by size is sold in any.
    if matches!(offer.price.charge, fulcrum_core::model::Charge::PerUnit { .. }) {
        all.retain(|(what, _)| *what != "a disk of no product");
    }
    all
}

/// Each request that differs is refused in words. How many.
pub(crate) async fn refuses(provider: &dyn Provider, offer: &Offer) -> usize {
    let others = others(offer);
    for (what, other) in &others {
        let refused = provider.provision(other, &key()).await.expect_err(what);
        assert!(
            matches!(refused.kind, ErrorKind::InvalidRequest { .. } | ErrorKind::Unsupported),
            "{}, {what}: {refused}",
            offer.id()
        );
    }
    others.len()
}

async fn offers(provider: &dyn Provider) -> Vec<Offer> {
    provider.offers(&OfferFilter::default()).try_collect().await.expect("offers")
}

/// A setting's value that an imitation understands.
fn value(api: &Api, setting: &DeclaredSetting) -> Value {
    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";
    match (setting.name.as_str(), api.name) {
        ("image", "proxmox") => json!("debian-13"),
        ("image", "ec2") => json!("ami-1"),
        ("image" | "network", _) => json!("11111111-2222-3333-4444-555555555556"),
        ("user_data", _) => json!("#!/bin/sh"),
        ("labels", _) => json!({ "team": "shop" }),
        ("disk", _) => json!("ssd"),
        ("public_ipv4", _) => json!(setting.value != SettingType::Always(false)),
        ("ssh_keys", _) if setting.value == SettingType::List(Box::new(SettingType::PublicKey)) => {
            json!([KEY])
        }
        _ => json!("7"),
    }
}

/// What the settings of an adapter are, or some for one that takes any.
fn richest(api: &Api, provider: &dyn Provider, offer: &Offer) -> ProvisionRequest {
    let mut request = request(offer);
    let declared = provider.capabilities().settings.clone();
    let declared = declared.unwrap_or_else(|| DeclaredSettings::of_names(&["size"]));
    let of_kind = declared.iter().filter(|it| it.kinds.is_empty() || it.kinds.contains(&request.kind));
    // A network is bought beside it.
    let of_kind = of_kind.filter(|setting| (api.name, setting.name.as_str()) != ("ec2", "network"));
    let own = std::mem::take(&mut request.settings);
    request.settings = of_kind.map(|setting| (setting.name.clone(), value(api, setting))).collect();
    request.settings.extend(own);
    request
}

/// Buys, and answers with what was sent.
async fn bought(cloud: &Imitation, request: &ProvisionRequest) -> Vec<imitation::Ask> {
    cloud.world().sent.clear();
    let provider = &cloud.provider;
    let handle = provider.provision(request, &key()).await.expect("ordered");
    // Others ask for more of their own later, such as notes of what was made.
    if matches!(provider.id().as_str(), "proxmox" | "scaleway") {
        for _ in 0..20 {
            match provider.poll(&handle).await.expect("polled") {
                OperationStatus::Running { .. } => tokio::time::sleep(Duration::from_millis(5)).await,
                OperationStatus::Succeeded(_) => break,
                OperationStatus::Failed { reason, .. } => panic!("{reason}"),
            }
        }
    }
    let sent = cloud.world().sent.clone();
    sent.into_iter().filter(|ask| !ask.path.ends_with("/tokens")).collect()
}

/// The paths of all that is in a body.
fn paths(ask: &imitation::Ask) -> BTreeSet<String> {
    fn walk(at: &str, value: &Value, all: &mut BTreeSet<String>) {
        let below = |name: &str| if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
        match value {
            Value::Object(fields) => fields.iter().for_each(|(name, value)| walk(&below(name), value, all)),
            Value::Array(values) => values.iter().for_each(|value| walk(&format!("{at}[]"), value, all)),
            _ => drop(all.insert(at.to_owned())),
        }
    }
    let mut all = BTreeSet::new();
    if ask.json.is_null() {
        let number = |part: &str| if part.parse::<u32>().is_ok() { "N".to_owned() } else { part.to_owned() };
        all.extend(ask.form.keys().map(|name| name.split('.').map(number).collect::<Vec<_>>().join(".")));
    } else {
        walk("", &ask.json, &mut all);
    }
    all
}

fn fields(name: &str) -> &'static [(&'static str, Priced)] {
    match name {
        "ec2" => adapters::ec2::FIELDS,
        "exoscale" => adapters::exoscale::FIELDS,
        "hetzner" => adapters::hetzner::FIELDS,
        "openstack" => adapters::openstack::FIELDS,
        "osb" => adapters::osb::FIELDS,
        "proxmox" => adapters::proxmox::FIELDS,
        "scaleway" => adapters::scaleway::FIELDS,
        "upcloud" => adapters::upcloud::FIELDS,
        other => panic!("{other}"),
    }
}

/// Where in what is sent an offer's own words stand.
fn orders(name: &str, sent: &[imitation::Ask], offer: &Offer) {
    let at = |path: &str| sent.iter().find_map(|ask| ask.json.pointer(path)).cloned().unwrap_or(Value::Null);
    let form = |name: &str| sent.iter().find_map(|ask| ask.form.get(name)).cloned().unwrap_or_default();
    let (sku, region) = (offer.sku.as_str(), offer.place.region.as_str());
    match name {
        "ec2" => {
            let kind = sku.trim_end_matches("+no-ipv4");
            assert_eq!((form("InstanceType").as_str(), form("MaxCount").as_str()), (kind, "1"));
            assert_eq!(form("BlockDeviceMapping.1.Ebs.VolumeSize"), "28", "8 GiB of each machine, and 20");
            assert_eq!(form("BlockDeviceMapping.1.Ebs.VolumeType"), "gp3");
            let has_address = form("NetworkInterface.1.AssociatePublicIpAddress");
            assert_eq!(has_address, (!has_no_address(offer)).to_string());
        }
        "exoscale" => assert_eq!(at("/disk-size"), 30, "10 GiB of each machine, and 20"),
        "hetzner" => {
            assert_eq!((at("/server_type"), at("/location")), (json!(sku), json!(region)));
            assert_eq!(at("/public_net/enable_ipv4"), true);
        }
        "openstack" => assert_eq!(
            (at("/server/flavorRef"), at("/server/metadata/fulcrum-sku")),
            (json!("1"), json!(sku))
        ),
        "osb" => assert_eq!((at("/service_id"), at("/plan_id")), (json!("s1"), json!("p1"))),
        "proxmox" => {
            assert_eq!((form("cores").as_str(), form("memory").as_str()), ("2", "2048"));
            assert_eq!(form("size"), "20G");
        }
        "scaleway" => {
            assert_eq!((at("/commercial_type"), at("/dynamic_ip_required")), (json!(sku), json!(true)));
            // 30 GiB are 32.2 GB.
            assert_eq!(at("/volumes/0/size"), 33_000_000_000_u64);
        }
        "upcloud" => {
            assert_eq!((at("/server/plan"), at("/server/zone")), (json!(sku), json!(region)));
            assert_eq!(at("/server/storage_devices/storage_device/0/size"), offer.capacity.disk_gib);
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn prop_each_adapter_orders_each_offer_as_it_is_and_nothing_else() {
    let (mut count, mut refused) = (0, 0);
    for api in imitation::ALL {
        let cloud = Imitation::start(api).await;
        let offers = offers(&*cloud.provider).await;
        assert!(!offers.is_empty(), "{}", api.name);
        for offer in offers {
            let asked = cloud.world().asked.len();
            refused += refuses(&*cloud.provider, &offer).await;
            let world = cloud.world().asked[asked..].to_vec();
            assert!(world.is_empty(), "{}: it asks before it refuses: {world:?}", api.name);
            orders(api.name, &bought(&cloud, &request(&offer)).await, &offer);
            count += 1;
        }
    }
    println!("{count} offers of 8 adapters, {refused} requests refused");
}

#[tokio::test]
async fn prop_the_sandbox_sells_each_offer_as_it_is_and_nothing_else() {
    let seller = r#"{"id": "acme", "name": "Acme", "legal_name": "Acme", "country": "DE",
        "regions": [{"id": "r", "country": "DE", "zones": ["a", "b"]}, {"id": "s", "country": "DE"}]}"#;
    let prices = "kind,sku,region,zone,vcpu,memory_mib,disk_gib,hourly,monthly,unit,unit_price,currency,tax,purchase_option,term_months,attributes,observed,source
machine,small,r,a b,2,2048,20,,5,,,EUR,net,,,,2026-11-01,test
machine,small,s,,2,2048,20,,5,,,EUR,net,,,,2026-11-01,test
machine,large,s,,4,8192,,,9,,,EUR,net,,,,2026-11-01,test
machine,large,s,,4,8192,,,3,,,EUR,net,spot,,,2026-11-01,test
machine,large,s,,4,8192,,,6,,,EUR,net,committed,36,,2026-11-01,test
block_storage,ssd,s,,,,,,,GiB-month,0.1,EUR,net,,,,2026-11-01,test
database,pg,s,,2,4096,20,,30,,,EUR,net,,,,2026-11-01,test
surcharge,ipv4,*,,,,,,0.5,,,EUR,net,,,,2026-11-01,test
surcharge,licence-pg,s,,,,,0.1,,,,EUR,net,,,with=database,2026-11-01,test
";
    let seller = fulcrum_core::model::parse_json(seller).expect("a seller");
    let offers =
        Table::from_csv(&seller, &prices.replace("purchase_option", "market")).expect("a table").offers;
    let with = |offer: &Offer| offer.surcharges.iter().map(|it| it.sku.to_string()).collect::<Vec<_>>();
    for offer in &offers {
        let due: &[&str] = match offer.kind {
            OfferKind::Machine => &["ipv4"],
            OfferKind::Database => &["licence-pg"],
            _ => &[],
        };
        assert_eq!(with(offer), due, "{}", offer.id());
    }
    let sandbox = Sandbox::builder("acme".parse().expect("a name"), offers.clone()).build();
    // The same product is sold in several ways: what differs from one offer may be another.
    let sold: Vec<_> = offers.iter().map(|offer| json!(request(offer))).collect();
    for offer in &offers {
        for (what, other) in others(offer).into_iter().filter(|(_, other)| !sold.contains(&json!(other))) {
            sandbox.provision(&other, &key()).await.expect_err(what);
            sandbox.quote(&other).await.expect_err(what);
        }
        sandbox.provision(&request(offer), &key()).await.expect("ordered");
    }
    assert_eq!(sandbox.resources().expect("state").len(), offers.len());
}

#[tokio::test]
async fn each_field_that_is_sent_is_declared_as_priced_or_free() {
    for api in imitation::ALL {
        let cloud = Imitation::start(api).await;
        let declared = fields(api.name);
        let mut seen = BTreeSet::new();
        for offer in offers(&*cloud.provider).await {
            let request = richest(&api, &*cloud.provider, &offer);
            for ask in bought(&cloud, &request).await {
                for path in paths(&ask) {
                    let is_it = |(name, _): &&(&str, Priced)| {
                        name.strip_suffix('*').map_or(path == *name, |start| path.starts_with(start))
                    };
                    assert!(
                        declared.iter().any(|field| is_it(&field)),
                        "{}: {path} is sent, and neither priced nor free; declare it in FIELDS",
                        api.name
                    );
                    seen.insert(path);
                }
            }
        }
        println!("{}: {} of {} declared fields are sent", api.name, seen.len(), declared.len());
        assert!(seen.len() * 3 >= declared.len() * 2, "{}: {seen:?}", api.name);
    }
}

#[tokio::test]
async fn an_undeclared_setting_or_one_without_a_form_is_refused_before_anybody_is_asked() {
    for api in imitation::ALL {
        let cloud = Imitation::start(api).await;
        let offer = offers(&*cloud.provider).await.remove(0);
        let Some(known) = cloud.provider.capabilities().settings.clone() else {
            assert_eq!(api.name, "osb", "a broker looks at parameters itself");
            continue;
        };
        let asked = cloud.world().asked.len();
        for (name, value) in
            [("firewal", json!("7")), ("image", json!({ "name": "debian" })), ("image", Value::Null)]
        {
            let mut request = request(&offer);
            request.settings.insert(name.to_owned(), value);
            let refused = cloud.provider.provision(&request, &key()).await.expect_err("refused").to_string();
            assert!(refused.contains(&format!("`{name}`")), "{}: {refused}", api.name);
            if name == "firewal" {
                let of_kind = |it: &&DeclaredSetting| it.kinds.is_empty() || it.kinds.contains(&offer.kind);
                assert!(
                    known.iter().filter(of_kind).all(|setting| refused.contains(&setting.name)),
                    "{}: {refused}",
                    api.name
                );
            }
        }
        assert_eq!(cloud.world().asked.len(), asked, "{}: {:?}", api.name, cloud.world().asked);
    }
}

/// What an image brings that is paid, and no line has: it is refused in words, and nothing is bought.
#[tokio::test]
async fn an_image_that_brings_what_is_paid_is_refused_before_anything_is_bought() {
    let brings = [
        (
            6,
            json!({ "extra_volumes": { "1": { "id": "v", "volume_type": "b_ssd", "size": 100_000_000_000_u64 } } }),
            "at 1",
        ),
        (7, json!({ "license": 3.36 }), "3.36"),
        (7, json!({ "license": 1e-30 }), "licence"),
    ];
    for (api, image, word) in brings {
        let api = imitation::ALL[api];
        let cloud = Imitation::start(api).await;
        let offer = offers(&*cloud.provider).await.remove(0);
        cloud.world().image = image.clone();
        let refused = cloud.provider.provision(&request(&offer), &key()).await.expect_err(api.name);
        assert!(matches!(refused.kind, ErrorKind::InvalidRequest { .. }), "{} {image}: {refused}", api.name);
        assert!(refused.to_string().contains(word), "{} {image}: {refused}", api.name);
        let world = cloud.world();
        assert!(world.purchases == 0 && world.sent.is_empty(), "{} {image}: {:?}", api.name, world.sent);
    }
}
