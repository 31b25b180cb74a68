//! The kinds of product beside machines at a server that speaks AWS's APIs.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use fulcrum_core::{
    model::{IdempotencyKey, Offer, OfferKind, Service, ServiceStatus},
    provider::{
        ErrorKind, OperationHandle, OperationStatus, Provider, ProvisionRequest,
        adapters::ec2::{self, Ec2},
        conformance::{SuiteConfig, check_provider},
        http::{Method, RawRequest, RawResponse, Transport, TransportError},
    },
};
use serde_json::{Value, json};

use crate::{
    ec2::{Desk, end, key, left, live, made, moto},
    peers::{self, Faults, host_of, orders::Ground, stormy::Stormy},
};

const KINDS: [OfferKind; 5] = [
    OfferKind::BlockStorage,
    OfferKind::PublicIp,
    OfferKind::Network,
    OfferKind::LoadBalancer,
    OfferKind::ObjectStorage,
];

/// A cloud that sells every kind.
fn cloud(desk: &Desk, change: Value) -> Ec2 {
    let mut all = json!({
        "kinds": ec2::all_kinds(),
        "endpoints": { "elasticloadbalancing": desk.endpoint, "s3": desk.endpoint },
    });
    all.as_object_mut().expect("an object").extend(change.as_object().expect("an object").clone());
    desk.cloud(all)
}

async fn offer(cloud: &dyn Provider, kind: OfferKind) -> Offer {
    let offers = peers::orders::offers(cloud).await;
    offers.into_iter().find(|offer| offer.kind == kind).unwrap_or_else(|| panic!("no {kind} is offered"))
}

async fn request(cloud: &dyn Provider, kind: OfferKind, settings: Value) -> ProvisionRequest {
    let offer = offer(cloud, kind).await;
    let size = match kind {
        OfferKind::BlockStorage | OfferKind::ObjectStorage | OfferKind::Machine => 20,
        _ => 0,
    };
    let mut request = ProvisionRequest::of(&offer, size, "a test");
    request.settings = serde_json::from_value(settings).expect("settings");
    request
}

async fn bought(cloud: &dyn Provider, kind: OfferKind, settings: Value) -> Service {
    let request = request(cloud, kind, settings).await;
    let handle = cloud.provision(&request, &key()).await.unwrap_or_else(|error| panic!("{kind}: {error}"));
    made(cloud, &OperationHandle::new(handle.as_str())).await
}

#[tokio::test]
async fn each_kind_keeps_the_contract() {
    let Some((_peer, desk)) = moto() else { return };
    let cloud: Arc<dyn Provider> = Arc::new(cloud(&desk, json!({})));
    for kind in KINDS {
        let request = request(&*cloud, kind, json!({})).await;
        let report =
            check_provider(cloud.clone(), SuiteConfig::new(Some(request), Duration::from_secs(30))).await;
        println!("{kind}\n{report}");
        assert!(report.is_passed(), "{kind}");
    }
    assert_eq!(left(&*cloud).await, []);
}

#[tokio::test]
async fn a_shop_stands_in_its_network_and_ends_with_all_its_parts() {
    let Some((peer, desk)) = moto() else { return };
    let cloud = cloud(&desk, json!({}));
    let network =
        bought(&cloud, OfferKind::Network, json!({ "cidr": "10.20.0.0/16", "labels": { "team": "shop" } }))
            .await;
    assert_eq!(network.attributes["cidr"], "10.20.0.0/16");
    assert_eq!(
        network.attributes["subnets"].split(',').count(),
        3,
        "one in each zone: {:?}",
        network.attributes
    );
    let web = bought(&cloud, OfferKind::Machine, json!({ "network": network.id })).await;
    assert!(web.attributes["private_ip"].starts_with("10.20."), "{:?}", web.attributes);
    assert!(web.attributes.contains_key("public_ipv4"), "{:?}", web.attributes);
    let disk = bought(&cloud, OfferKind::BlockStorage, json!({ "attach": web.id })).await;
    assert!(disk.attributes["device"].starts_with("/dev/sd"), "{:?}", disk.attributes);
    let address = bought(&cloud, OfferKind::PublicIp, json!({ "attach": web.id })).await;
    let described = cloud.describe(&web.id).await.expect("described").expect("it is there");
    assert_eq!(
        described.attributes["public_ipv4"], address.attributes["public_ipv4"],
        "it is at the machine"
    );
    let settings = json!({ "targets": web.id, "network": network.id, "listen": 443, "target_port": 8443, "check": "/health" });
    let balancer = bought(&cloud, OfferKind::LoadBalancer, settings).await;
    assert!(balancer.attributes["host"].contains('.'), "{:?}", balancer.attributes);
    let files =
        bought(&cloud, OfferKind::ObjectStorage, json!({ "bucket": "files", "versioning": true })).await;
    assert!(files.attributes["bucket"].starts_with("files-"), "{:?}", files.attributes);

    let all = left(&cloud).await;
    assert_eq!(all.len(), 6, "{all:?}");
    assert!(all.iter().all(|service| service.status == ServiceStatus::Running), "{all:?}");
    // As others see it.
    let script = "
import boto3
e, b, s = (boto3.client(name) for name in ('ec2', 'elbv2', 's3'))
print(e.describe_volumes()['Volumes'][-1]['VolumeType'] != '')
listener = b.describe_listeners(LoadBalancerArn=b.describe_load_balancers()['LoadBalancers'][0]['LoadBalancerArn'])['Listeners'][0]
group = b.describe_target_groups()['TargetGroups'][0]
print(listener['Port'], group['Port'], group['HealthCheckPath'], len(b.describe_target_health(TargetGroupArn=group['TargetGroupArn'])['TargetHealthDescriptions']))
print(s.get_bucket_versioning(Bucket=s.list_buckets()['Buckets'][0]['Name'])['Status'])
";
    assert_eq!(python(&peer, script), "True\n443 8443 /health 1\nEnabled\n");

    // What others put there keeps a service from ending, and nothing of it ends.
    let refused = cloud.release(&network.id, &key()).await.expect_err("machines stand in it");
    assert!(matches!(refused.kind, ErrorKind::Conflict { .. }), "{refused}");
    let put = "
import boto3
s = boto3.client('s3')
s.put_object(Bucket=s.list_buckets()['Buckets'][0]['Name'], Key='a', Body=b'b')
";
    python(&peer, put);
    let refused = cloud.release(&files.id, &key()).await.expect_err("a file is in it");
    assert!(
        matches!(&refused.kind, ErrorKind::Conflict { message } if message.contains("objects")),
        "{refused}"
    );
    let empty = "
import boto3
s = boto3.client('s3')
b = s.list_buckets()['Buckets'][0]['Name']
for v in s.list_object_versions(Bucket=b)['Versions']: s.delete_object(Bucket=b, Key=v['Key'], VersionId=v['VersionId'])
";
    python(&peer, empty);
    for service in [&balancer, &address, &disk, &files, &web, &network] {
        end(&cloud, service).await;
        end(&cloud, service).await;
        assert_eq!(cloud.describe(&service.id).await.expect("described"), None);
    }
    assert_eq!(left(&cloud).await, []);
    assert_eq!(python(&peer, COUNT), "0 0 0 0 0 0 0\n", "nothing is left");
}

/// Seven components of six kinds.
const SHOP: &str = "
name: shop
components:
  net: { kind: network, settings: { cidr: 10.30.0.0/16 } }
  web: { vcpu: 1, memory_mib: 512, disk_gib: 20, replicas: 2, network: net }
  db: { vcpu: 1, memory_mib: 1024, disk_gib: 20, network: net }
  disk: { kind: block_storage, disk_gib: 30, attach: db }
  address: { kind: public_ip, attach: db }
  balancer: { kind: load_balancer, targets: web, network: net, settings: { listen: 443 } }
  files: { kind: object_storage, disk_gib: 50, settings: { bucket: files, versioning: true } }
";

#[tokio::test]
async fn orders_of_all_kinds_hold_on_a_network_that_breaks() {
    let Some((peer, desk)) = moto() else { return };
    let seed = std::env::var("FULCRUM_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(8200);
    let Some(faults) = Faults::before(host_of(peer.get("AWS_ENDPOINT_URL"))) else { return };
    let storm = Stormy::over(live());
    let through = format!("http://{}", faults.address());
    let broken = cloud(
        &desk,
        json!({ "endpoint": through, "endpoints": { "elasticloadbalancing": through, "s3": through } }),
    );
    let ground = Ground {
        beside: Vec::new(),
        broken: Arc::new(broken.with_transport(storm.clone())),
        direct: Arc::new(cloud(&desk, json!({}))),
        faults,
        storm,
        blueprint: SHOP.to_owned(),
        leave_out: &[],
        step_timeout_s: 40,
    };
    let sum = peers::orders::run("ec2, all kinds", &ground, peers::runs(3), seed).await;
    assert!(sum.committed > 0);
    assert_eq!(left(&*ground.direct).await, []);
    assert_eq!(python(&peer, COUNT), "0 0 0 0 0 0 0\n", "nothing is left");
}

/// Two regions as two providers.
const SELLERS: [(&str, &str, &str); 2] = [("lutetia", "eu-west-3", "FR"), ("borealis", "eu-north-1", "SE")];
/// Types that are sold in both, at prices that differ a little.
const TYPES: [(&str, u32, u32, u32); 3] =
    [("t3.medium", 2, 4096, 41), ("c5.xlarge", 4, 8192, 170), ("m5.large", 2, 8192, 96)];

/// A folder with the price tables of both, and a cloud of each.
struct Two {
    folder: tempfile::TempDir,
}

impl Two {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let write =
            |name: String, text: String| std::fs::write(folder.path().join(name), text).expect("written");
        for (at, (id, region, country)) in SELLERS.into_iter().enumerate() {
            let seller = json!({
                "id": id, "name": id, "legal_name": format!("{id} SA"), "country": country,
                "regions": [{ "id": region, "country": country, "city": region }],
            });
            write(format!("{id}.json"), seller.to_string());
            let machine = |(sku, vcpu, memory, mils): (&str, u32, u32, u32)| {
                format!(
                    "machine,{sku},*,{vcpu},{memory},,0.{:04},,,EUR,net,,2026-11-20,test\n",
                    mils * 10 + at as u32
                )
            };
            let rows = TYPES.into_iter().map(machine).collect::<String>();
            let rest = "\
block_storage,gp3,*,,,,,GB-month,0.0928,EUR,net,,2026-11-20,test
public_ip,public-ipv4,*,,,,0.005,,,EUR,net,version=4,2026-11-20,test
network,vpc,*,,,,0,,,EUR,net,,2026-11-20,test
load_balancer,network,*,,,,0.025,,,EUR,net,,2026-11-20,test
object_storage,standard,*,,,,,GB-month,0.024,EUR,net,,2026-11-20,test
";
            let head = "kind,sku,region,vcpu,memory_mib,disk_gib,hourly,unit,unit_price,currency,tax,attributes,observed,source\n";
            write(format!("{id}.csv"), crate::imitation::read_today(&format!("{head}{rows}{rest}")));
        }
        write("access".to_owned(), "AKIDEXAMPLE".to_owned());
        write("secret".to_owned(), "canary-secret".to_owned());
        Self { folder }
    }

    /// Both clouds at this address.
    fn clouds(&self, address: &str) -> [Ec2; 2] {
        SELLERS.map(|(id, _, _)| {
            let config = json!({
                "id": id,
                "endpoint": address,
                "endpoints": { "elasticloadbalancing": address, "s3": address },
                "kinds": ec2::all_kinds(),
                "access_key": "file:access",
                "secret_key": "file:secret",
                "catalogue": format!("{id}.csv"),
                "client_token": "ignored",
                "image": "ami-785db401",
                "images": { "debian-13": "ami-785db401" },
                "list_lag_ms": 0,
                "http": { "keep_alive": false },
            });
            let config: ec2::Ec2Config = serde_json::from_value(config).expect("a configuration");
            config.build(self.folder.path()).expect("a cloud")
        })
    }

    async fn orders(
        &self,
        peer: &peers::Peer,
        name: &str,
        blueprint: &str,
        runs: u64,
        seed: u64,
    ) -> Option<peers::orders::Sum> {
        let faults = Faults::before(host_of(peer.get("AWS_ENDPOINT_URL")))?;
        let storm = Stormy::over(live());
        let through = self.clouds(&format!("http://{}", faults.address()));
        let [first, second] =
            through.map(|cloud| Arc::new(cloud.with_transport(storm.clone())) as Arc<dyn Provider>);
        let direct =
            self.clouds(peer.get("AWS_ENDPOINT_URL")).map(|cloud| Arc::new(cloud) as Arc<dyn Provider>);
        let ground = Ground {
            broken: first,
            direct: direct[0].clone(),
            beside: vec![[second, direct[1].clone()]],
            faults,
            storm,
            blueprint: blueprint.to_owned(),
            leave_out: &[],
            step_timeout_s: 60,
        };
        let sum = peers::orders::run(name, &ground, runs, seed).await;
        for cloud in direct {
            assert_eq!(left(&*cloud).await, []);
        }
        for (_, region, _) in SELLERS {
            let there = format!("import boto3; boto3.setup_default_session(region_name='{region}'){COUNT}");
            assert_eq!(python(peer, &there), "0 0 0 0 0 0 0\n", "nothing is left in {region}");
        }
        Some(sum)
    }
}

/// The blueprint that is shipped, and the shop, at two regions that are two providers.
#[tokio::test]
async fn the_shipped_blueprint_is_bought_at_two_providers() {
    let Some((peer, _desk)) = moto() else { return };
    let seed = std::env::var("FULCRUM_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(8400);
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/blueprints/three-tier.yaml");
    let shipped = std::fs::read_to_string(shipped).expect("the blueprint");
    let two = Two::new();
    for (name, blueprint) in
        [("three-tier at two providers", shipped.as_str()), ("shop at two providers", SHOP)]
    {
        let Some(sum) = two.orders(&peer, name, blueprint, peers::runs(1), seed).await else { return };
        assert!(sum.committed > 0, "{name}");
    }
}

/// A process that dies at one of its requests with an effect: just before it is sent, or just after. Nothing is sent then.
#[derive(Debug)]
struct Dying {
    inner: Arc<dyn Transport>,
    lives_for: usize,
    sends_the_last: bool,
    sent: AtomicUsize,
}

#[async_trait]
impl Transport for Dying {
    async fn send(&self, request: RawRequest) -> Result<RawResponse, TransportError> {
        let is_dead = self.sent.load(Ordering::SeqCst) > self.lives_for;
        let has_effect = request.method != Method::GET;
        if is_dead || (has_effect && self.sent.fetch_add(1, Ordering::SeqCst) == self.lives_for) {
            if !is_dead && self.sends_the_last {
                self.inner.send(request).await?;
            }
            return Err(TransportError::OutcomeUnknown("the process has ended".into()));
        }
        self.inner.send(request).await
    }
}

/// Polls until the end, or until the process has died.
async fn polled(cloud: &dyn Provider, handle: &OperationHandle) -> Option<OperationStatus> {
    for _ in 0..600 {
        match cloud.poll(handle).await {
            Ok(OperationStatus::Running { .. }) => tokio::time::sleep(Duration::from_millis(5)).await,
            Ok(over) => return Some(over),
            Err(_) => return None,
        }
    }
    panic!("{} does not end", handle.as_str());
}

/// What the next process does, which has the key alone.
async fn continued(cloud: &dyn Provider, request: &ProvisionRequest, key: &IdempotencyKey) -> Service {
    let found = cloud.find_by_key(key).await.expect("looked up");
    let operation = match found {
        Some(service) if service.status == ServiceStatus::Starting => {
            cloud.resume_operation(request, &service).await.expect("asked").expect("it goes on")
        }
        Some(service) => return service,
        None => cloud.provision(request, key).await.expect("ordered"),
    };
    made(cloud, &operation).await
}

#[tokio::test]
async fn a_process_may_die_at_each_request_of_each_kind() {
    let Some((peer, desk)) = moto() else { return };
    let direct = cloud(&desk, json!({}));
    let web = bought(&direct, OfferKind::Machine, json!({})).await;
    let (mut deaths, mut endings) = (0, 0);
    for kind in KINDS {
        let settings = match kind {
            OfferKind::BlockStorage | OfferKind::PublicIp => json!({ "attach": web.id }),
            OfferKind::LoadBalancer => json!({ "targets": web.id }),
            OfferKind::ObjectStorage => json!({ "versioning": true }),
            _ => json!({}),
        };
        let request = request(&direct, kind, settings).await;
        for lives_for in 0.. {
            let mut is_over = false;
            for sends_the_last in [false, true] {
                let dying = |at| {
                    Arc::new(Dying {
                        inner: live(),
                        lives_for: at,
                        sends_the_last,
                        sent: AtomicUsize::new(0),
                    })
                };
                let (first, key) = (cloud(&desk, json!({})).with_transport(dying(lives_for)), key());
                let mut is_bought = false;
                if let Ok(handle) = first.provision(&request, &key).await {
                    is_bought = polled(&first, &handle).await.is_some();
                }
                let service = continued(&cloud(&desk, json!({})), &request, &key).await;
                assert_eq!(service.status, ServiceStatus::Running, "{kind}, {lives_for}: {service:?}");
                let of_key: Vec<_> =
                    left(&direct).await.into_iter().filter(|it| it.key.as_ref() == Some(&key)).collect();
                assert_eq!(of_key.len(), 1, "{kind}, {lives_for}: {of_key:?}");
                let whole = direct.describe(&service.id).await.expect("described").expect("it is there");
                assert_eq!(whole.attributes, service.attributes, "{kind}, {lives_for}");
                // And at its end.
                let second = cloud(&desk, json!({})).with_transport(dying(lives_for));
                let mut is_ended = false;
                if let Ok(handle) = second.release(&service.id, &key).await {
                    is_ended = polled(&second, &handle).await.is_some();
                }
                let third = cloud(&desk, json!({}));
                if let Some(found) = third.find_by_key(&key).await.expect("looked up") {
                    assert!(!is_ended, "{kind}, {lives_for}: {found:?} is left");
                    end(&third, &found).await;
                }
                assert_eq!(third.find_by_key(&key).await.expect("looked up"), None);
                deaths += usize::from(!is_bought);
                endings += usize::from(!is_ended);
                is_over = is_bought && is_ended;
            }
            if is_over {
                break;
            }
        }
        let all = left(&direct).await;
        assert!(matches!(all.as_slice(), [one] if one.id == web.id), "{kind}: {all:?}");
    }
    end(&direct, &web).await;
    println!("figure: {deaths} deaths in purchases, {endings} in releases: nothing doubled, nothing left");
    assert!(deaths > 30 && endings > 20, "{deaths} {endings}");
    assert_eq!(python(&peer, COUNT), "0 0 0 0 0 0 0\n", "nothing is left");
}

/// Volumes, addresses, networks beside the default one, gateways beside its own, balancers, target groups, buckets.
const COUNT: &str = "
import boto3
e, b, s = (boto3.client(name) for name in ('ec2', 'elbv2', 's3'))
ours = lambda rows: [row for row in rows if row.get('Tags')]
print(len(e.describe_volumes()['Volumes']), len(e.describe_addresses()['Addresses']), len(ours(e.describe_vpcs()['Vpcs'])),
      len(ours(e.describe_internet_gateways()['InternetGateways'])), len(b.describe_load_balancers()['LoadBalancers']),
      len(b.describe_target_groups()['TargetGroups']), len(s.list_buckets()['Buckets']))
";

fn python(peer: &peers::Peer, script: &str) -> String {
    let mut python = std::process::Command::new(peer.get("MOTO_PYTHON"));
    let output = python.args(["-c", script]).envs(&peer.env).output().expect("python runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
