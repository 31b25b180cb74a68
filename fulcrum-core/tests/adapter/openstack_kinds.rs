//! The kinds of product beside servers at OpenStack's own services.

use std::{path::Path, sync::Arc, time::Duration};

use fulcrum_core::provider::{
    ErrorKind, OperationHandle, Provider, ProvisionRequest,
    adapters::openstack,
    conformance::{SuiteConfig, check_provider},
    http::{HttpConfig, NetworkTransport, Transport},
};
use serde_json::{Value, json};

use crate::openstack::{Ward, end, key, left, made, offers, request};

/// Services beside nova and neutron, which `scripts/peers-openstack` starts. Ended when dropped.
pub(crate) struct More {
    scripts: std::path::PathBuf,
    folder: std::path::PathBuf,
}

impl More {
    /// Beside the peer in a folder.
    pub(crate) fn start(folder: &Path) -> Option<Self> {
        if std::env::var_os("FULCRUM_PEER_MORE").is_none() {
            println!("SKIPPED: cinder, swift and octavia; `make proof ARGS=kinds` tries them");
            return None;
        }
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/peers-openstack");
        for (script, argument) in [("install.sh", None), ("start.sh", Some(folder))] {
            let output =
                std::process::Command::new(scripts.join(script)).args(argument).output().expect("a script");
            print!("{}", String::from_utf8_lossy(&output.stdout));
            assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        }
        Some(Self { scripts, folder: folder.to_owned() })
    }
}

impl Drop for More {
    fn drop(&mut self) {
        let _ = std::process::Command::new(self.scripts.join("stop.sh")).arg(&self.folder).output();
    }
}

/// Everything that is bought, with cinder, swift and octavia.
pub(crate) async fn all_kinds_are_sold(ward: &Ward) {
    let Some(_more) = More::start(ward.peer.folder()) else { return };
    let all = json!({ "floating_network": "public", "kinds": openstack::all_kinds(), "network": "private" });
    let cloud = ward.cloud(all.clone());
    for (sku, size) in [("standard", 3), ("octavia", 0), ("swift", 5)] {
        let offer = offers(&*cloud).await.into_iter().find(|it| it.sku.as_str() == sku).expect("the offer");
        let request = ProvisionRequest::of(&offer, size, "a test");
        let report =
            check_provider(cloud.clone(), SuiteConfig::new(Some(request), Duration::from_secs(90))).await;
        println!("{sku}\n{report}");
        assert!(report.is_passed(), "{sku}");
    }
    ward.say("the conformance suite passed for a volume, a load balancer and a container");
    let bought = async |sku: &str, zone: &str, size: u64, settings: Value| {
        let request = request(&*cloud, sku, zone).await;
        let request = ProvisionRequest {
            size_gib: size,
            settings: serde_json::from_value(settings).expect("settings"),
            ..request
        };
        let handle = cloud.provision(&request, &key()).await.unwrap_or_else(|error| panic!("{sku}: {error}"));
        made(&*cloud, &OperationHandle::new(handle.as_str())).await
    };
    a_process_may_die(ward, &all).await;
    let network = bought("private", "", 0, json!({})).await;
    let web = bought("m1.tiny", "zone-a", 0, json!({ "network": network.id, "image": "debian-12" })).await;
    let disk = bought("standard", "", 2, json!({ "attach": web.id, "labels": { "team": "shop" } })).await;
    assert!(disk.attributes["device"].starts_with("/dev/"), "{:?}", disk.attributes);
    let settings = json!({ "targets": web.id, "network": network.id, "protocol": "http", "listen": 8080, "check": "/health" });
    let balancer = bought("octavia", "", 0, settings).await;
    assert!(balancer.attributes.contains_key("private_ip"), "{:?}", balancer.attributes);
    let files = bought("swift", "", 5, json!({ "bucket": "files", "versioning": true })).await;
    assert!(files.attributes["bucket"].starts_with("files-"), "{:?}", files.attributes);
    assert_eq!(left(&*cloud).await.len(), 5);
    // A machine with a bought disk ends after the disk.
    let refused = cloud.release(&web.id, &key()).await.expect_err("a disk is attached");
    assert!(matches!(refused.kind, ErrorKind::Conflict { .. }), "{refused}");
    for service in [&balancer, &files, &disk, &web, &network] {
        end(&*cloud, service).await;
        end(&*cloud, service).await;
        assert_eq!(cloud.describe(&service.id).await.expect("described"), None);
    }
    assert_eq!(left(&*cloud).await, []);
    ward.say("five kinds were bought together and ended");
}

/// At each request of each kind.
async fn a_process_may_die(ward: &Ward, all: &Value) {
    let mut config = all.clone();
    // These lists do not lag, and each process that knows the key alone waits for this long.
    config["list_lag_ms"] = json!(500);
    let cloud = ward.cloud(config.clone());
    let web = {
        let mut request = request(&*cloud, "m1.tiny", "zone-a").await;
        request.settings = serde_json::from_value(json!({ "network": "private" })).expect("settings");
        made(&*cloud, &cloud.provision(&request, &key()).await.expect("ordered")).await
    };
    let attached = json!({ "attach": web.id });
    let mut requests = Vec::new();
    for (sku, size, settings) in [
        ("standard", 1, attached.clone()),
        ("floating", 0, json!({})),
        ("private", 0, json!({ "firewall": [{ "allow": "tcp", "ports": 22, "from": "10.0.0.0/8" }] })),
        ("octavia", 0, json!({ "targets": web.id })),
        ("swift", 1, json!({})),
    ] {
        let request = request(&*cloud, sku, "").await;
        let settings = serde_json::from_value(settings).expect("settings");
        requests.push(ProvisionRequest { size_gib: size, settings, ..request });
    }
    let network = NetworkTransport::new(&HttpConfig::default()).expect("a network");
    let network: Arc<dyn Transport> = Arc::new(network);
    let over = |transport: Arc<dyn Transport>| {
        Arc::new(ward.desk.cloud(ward.auth_url(), config.clone()).with_transport(transport))
            as Arc<dyn Provider>
    };
    let deaths = crate::dying::at_each_request("openstack", &requests, &network, &over).await;
    assert!(deaths.purchases > 10 && deaths.releases > 10, "{deaths:?}");
    end(&*cloud, &web).await;
}

/// A network of its own, a machine in it, and an address at the machine.
pub(crate) async fn kinds_are_bought_together(ward: &Ward) {
    let kinds = json!(["machine", "public_ip", "network"]);
    let cloud = ward.cloud(json!({ "floating_network": "public", "kinds": kinds, "network": "none" }));
    let bought = async |sku: &str, zone: &str, settings: Value| {
        let mut request = request(&*cloud, sku, zone).await;
        request.settings = serde_json::from_value(settings).expect("settings");
        let handle = cloud.provision(&request, &key()).await.unwrap_or_else(|error| panic!("{sku}: {error}"));
        made(&*cloud, &OperationHandle::new(handle.as_str())).await
    };
    let rules = json!([{ "allow": "tcp", "ports": "8000-8010", "from": "192.0.2.0/24" }, { "allow": "icmp", "from": "::/0" }]);
    let network = bought("private", "", json!({ "cidr": "10.77.0.0/24", "firewall": rules })).await;
    assert_eq!(network.attributes["cidr"], "10.77.0.0/24");
    let web = bought("m1.tiny", "zone-b", json!({ "network": network.id, "image": "debian-12" })).await;
    let id = web.id.as_str().rsplit_once('/').map_or(web.id.as_str(), |(_, id)| id).to_owned();
    let groups = ward.cli(&["server", "show", &id, "-f", "value", "-c", "security_groups"]);
    assert_eq!(groups.matches("name").count(), 1, "one group, not the default one, too: {groups}");
    let told = ward.cli(&["security", "group", "rule", "list", "--ingress", "-f", "value"]);
    for parts in [["tcp", "192.0.2.0/24", "8000:8010"], ["icmp", "::/0", ""], ["None", "10.77.0.0/24", ""]] {
        let is_there = |line: &str| parts.iter().all(|part| line.contains(part));
        assert!(told.lines().any(is_there), "{parts:?} is not in {told}");
    }
    assert!(web.attributes["private_ip"].starts_with("10.77.0."), "{:?}", web.attributes);
    let address = bought("floating", "", json!({ "attach": web.id })).await;
    let described = cloud.describe(&address.id).await.expect("described").expect("it is there");
    assert_eq!(described.attributes["public_ipv4"], address.attributes["public_ipv4"]);
    let refused = cloud.release(&network.id, &key()).await.expect_err("a machine is in it");
    assert!(
        matches!(&refused.kind, ErrorKind::Conflict { message } if message.contains("the port")),
        "{refused}"
    );
    assert_eq!(left(&*cloud).await.len(), 3);
    for service in [&address, &web, &network] {
        end(&*cloud, service).await;
        end(&*cloud, service).await;
        assert_eq!(cloud.describe(&service.id).await.expect("described"), None);
    }
    assert_eq!(left(&*cloud).await, []);
    ward.say("a network, a machine in it, and its address were bought and ended");
}
