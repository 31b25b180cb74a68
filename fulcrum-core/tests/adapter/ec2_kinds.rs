//! The kinds of product beside machines at a server that speaks AWS's APIs.

use std::{sync::Arc, time::Duration};

use fulcrum_core::{
    model::{Offer, OfferKind, Service, ServiceStatus},
    provider::{
        Access, ErrorKind, OperationHandle, Provider, ProvisionRequest,
        adapters::ec2::{self, Ec2},
        conformance::{SuiteConfig, check_provider},
        http::Transport,
        layers,
    },
};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::{
    dying,
    ec2::{Desk, end, key, left, live, made, moto},
    peers::{self, Faults, host_of, orders::Ground, stormy::Stormy},
};

const KINDS: [OfferKind; 6] = [
    OfferKind::BlockStorage,
    OfferKind::PublicIp,
    OfferKind::Network,
    OfferKind::LoadBalancer,
    OfferKind::ObjectStorage,
    OfferKind::Database,
];

/// A cloud that sells every kind.
pub(crate) fn cloud(desk: &Desk, change: Value) -> Ec2 {
    let mut all = json!({
        "kinds": ec2::all_kinds(),
        "endpoints": { "elasticloadbalancing": desk.endpoint, "rds": desk.endpoint, "s3": desk.endpoint },
        "password_secret": "file:passwords",
        "images": { "debian-13": "ami-785db401" },
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
        OfferKind::BlockStorage | OfferKind::ObjectStorage | OfferKind::Machine | OfferKind::Database => 20,
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
    assert_eq!(python(&peer, COUNT), "0 0 0 0 0 0 0 0 0\n", "nothing is left");
}

#[tokio::test]
async fn a_machine_without_an_address_is_a_product_of_its_own() {
    let Some((peer, desk)) = moto() else { return };
    let cloud = cloud(&desk, json!({}));
    let offers = peers::orders::offers(&cloud).await;
    let without = offers.iter().find(|offer| offer.sku.as_str().ends_with("+no-ipv4")).expect("it is sold");
    let with = offers
        .iter()
        .find(|offer| {
            format!("{}+no-ipv4", offer.sku) == without.sku.as_str() && offer.place == without.place
        })
        .expect("it is sold with an address");
    assert_eq!(with.surcharges.len(), without.surcharges.len() + 1);
    let mut request = ProvisionRequest::of(without, 20, "a test");
    let refused = cloud.provision(&request, &key()).await.expect_err("the setting is missing");
    assert!(matches!(refused.kind, ErrorKind::InvalidRequest { .. }), "{refused}");
    request.settings.insert("public_ipv4".to_owned(), json!(false));
    let key = key();
    let handle = cloud.provision(&request, &key).await.expect("ordered");
    let machine = made(&cloud, &handle).await;
    assert_eq!((&machine.sku, machine.attributes.get("public_ipv4")), (&without.sku, None), "{machine:?}");
    assert_eq!(cloud.find_by_key(&key).await.expect("looked up").expect("found").sku, without.sku);
    let script = "
import boto3
print([i.get('PublicIpAddress') for r in boto3.client('ec2').describe_instances()['Reservations'] for i in r['Instances']])
";
    assert_eq!(python(&peer, script), "[None]\n", "as others see it");
    let resize = fulcrum_core::model::Action::Resize { sku: with.sku.clone() };
    let refused = cloud.act(&machine.id, &resize, &key).await.expect_err("it would need an address");
    assert!(matches!(refused.kind, ErrorKind::InvalidRequest { .. }), "{refused}");
    end(&cloud, &machine).await;
    assert_eq!(left(&cloud).await, []);
}

/// Seven components of seven kinds.
pub(crate) const SHOP: &str = r#"
name: shop
components:
  net: { kind: network, settings: { cidr: 10.30.0.0/16, firewall: [{ allow: tcp, ports: 443, from: 0.0.0.0/0 }] } }
  web:
    vcpu: 1
    memory_mib: 512
    disk_gib: 20
    replicas: 3
    network: net
    after: [db]
    settings:
      image: debian-13
      ssh_keys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEHaEpZaNInVDaiOKyMvtKIYI1PcnCW2KyPqfMbE7Fdk ops@example.com"]
      user_data: |
        #cloud-config
        write_files: [{ path: /etc/shop, content: "${db.id}" }]
  db: { kind: database, settings: { engine: postgresql } }
  disk: { kind: block_storage, disk_gib: 30, attach: web }
  address: { kind: public_ip, attach: web }
  balancer: { kind: load_balancer, targets: web, network: net, settings: { listen: 443 } }
  files: { kind: object_storage, disk_gib: 50, settings: { bucket: files, versioning: true } }
"#;

#[tokio::test]
async fn orders_of_all_kinds_hold_on_a_network_that_breaks() {
    let Some((peer, desk)) = moto() else { return };
    let seed = std::env::var("FULCRUM_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(8200);
    let Some(faults) = Faults::before(host_of(peer.get("AWS_ENDPOINT_URL"))) else { return };
    let storm = Stormy::over(live());
    let through = format!("http://{}", faults.address());
    let broken = cloud(
        &desk,
        json!({ "endpoint": through, "endpoints": { "elasticloadbalancing": through, "rds": through, "s3": through } }),
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
    assert_eq!(python(&peer, COUNT), "0 0 0 0 0 0 0 0 0\n", "nothing is left");
}

#[tokio::test]
async fn a_network_lets_in_what_its_firewall_says() {
    let Some((peer, desk)) = moto() else { return };
    let cloud = cloud(&desk, json!({}));
    let rules = json!([
        { "allow": "tcp", "ports": "8000-8010", "from": "192.0.2.0/24" },
        { "allow": "tcp", "ports": "8000-8010", "from": "198.51.100.0/24" },
        { "allow": "udp", "ports": 53, "from": "::/0" },
        { "allow": "icmp", "from": "0.0.0.0/0" },
    ]);
    let network = bought(&cloud, OfferKind::Network, json!({ "firewall": rules })).await;
    let web = bought(&cloud, OfferKind::Machine, json!({ "network": network.id })).await;
    let seen = "
import boto3
e = boto3.client('ec2')
vpc = [v for v in e.describe_vpcs()['Vpcs'] if v.get('Tags')][0]['VpcId']
group = e.describe_security_groups(Filters=[{'Name': 'vpc-id', 'Values': [vpc]}, {'Name': 'group-name', 'Values': ['default']}])['SecurityGroups'][0]
rules = group['IpPermissions']
told = [(r['IpProtocol'], r.get('FromPort'), r.get('ToPort'), [i['CidrIp'] for i in r['IpRanges']] + [i['CidrIpv6'] for i in r['Ipv6Ranges']]) for r in rules if not r['UserIdGroupPairs']]
print(sorted(told))
";
    assert_eq!(
        python(&peer, seen),
        "[('icmp', -1, -1, ['0.0.0.0/0']), ('tcp', 8000, 8010, ['192.0.2.0/24', '198.51.100.0/24']), ('udp', 53, 53, ['::/0'])]\n"
    );
    end(&cloud, &web).await;
    end(&cloud, &network).await;
    let mut wrong = request(&cloud, OfferKind::Network, json!({})).await;
    let rule = json!([{ "allow": "tcp", "ports": 22 }]);
    wrong.settings.insert("firewall".to_owned(), rule);
    let refused = cloud.provision(&wrong, &key()).await.expect_err("from nowhere");
    assert!(
        matches!(&refused.kind, ErrorKind::InvalidRequest { message } if message.contains("firewall")),
        "{refused}"
    );
    assert_eq!(python(&peer, COUNT), "0 0 0 0 0 0 0 0 0\n", "nothing is left");
}

#[tokio::test]
async fn a_database_is_opened_by_whoever_has_the_secret() {
    let Some((peer, desk)) = moto() else { return };
    let first = cloud(&desk, json!({}));
    let network = bought(&first, OfferKind::Network, json!({})).await;
    let settings = json!({ "network": network.id, "engine": "postgresql", "version": "17" });
    let db = bought(&first, OfferKind::Database, settings).await;
    for (name, value) in [("port", "5432"), ("database", "main"), ("user", "fulcrum")] {
        assert_eq!(db.attributes[name], value, "{:?}", db.attributes);
    }
    let seen = "
import boto3
d = boto3.client('rds').describe_db_instances()['DBInstances'][0]
print(d['DBInstanceClass'], d['Engine'], d['EngineVersion'], d['AllocatedStorage'], d['MultiAZ'], d['PubliclyAccessible'], len(d['DBSubnetGroup']['Subnets']))
";
    assert_eq!(python(&peer, seen), "db.t4g.micro postgres 17 40 False False 3\n");

    // The same for everybody with the secret.
    let password = |access: &Access| access.get("password").expect("it has one").expose_secret().to_owned();
    let access = cloud(&desk, json!({})).access(&db.id).await.expect("opened");
    assert_eq!(access.names().collect::<Vec<_>>(), ["database", "host", "password", "port", "user"]);
    let before = password(&access);
    assert_eq!(password(&first.access(&db.id).await.expect("opened")), before);
    assert!(!format!("{access:?}").contains(&before));

    // Without the secret nobody knows it, and nothing is changed.
    let without = cloud(&desk, json!({ "password_secret": null }));
    let refused = without.access(&db.id).await.expect_err("no secret");
    assert!(
        matches!(&refused.kind, ErrorKind::InvalidRequest { message } if message.contains("password_secret")),
        "{refused}"
    );
    // Another secret sets another password, once.
    let other =
        layers::recommended(Arc::new(cloud(&desk, json!({ "password_secret": "file:other-passwords" }))));
    let after = password(&other.access(&db.id).await.expect("opened"));
    assert_ne!(after, before);
    assert_eq!(password(&other.access(&db.id).await.expect("opened")), after);
    // A third change, by a host that has set its own before.
    let first_again = layers::recommended(Arc::new(cloud(&desk, json!({}))));
    assert_eq!(password(&first_again.access(&db.id).await.expect("opened")), before);
    assert_eq!(password(&other.access(&db.id).await.expect("opened")), after);
    let marks = "
import boto3
print(len([t for t in boto3.client('rds').describe_db_instances()['DBInstances'][0]['TagList'] if t['Key'] == 'fulcrum-password']))
";
    assert_eq!(python(&peer, marks), "1\n");

    // A database that was bought without a secret can be opened later.
    let silent = bought(&without, OfferKind::Database, json!({})).await;
    let layered = layers::recommended(Arc::new(cloud(&desk, json!({}))));
    assert_eq!(password(&layered.access(&silent.id).await.expect("opened")).len(), 32);
    // What others put into its subnets keeps it from ending, with all of its data.
    let add = "
import boto3
d = boto3.client('rds')
group = d.describe_db_instances()['DBInstances'][0]['DBSubnetGroup']['DBSubnetGroupName']
d.create_db_instance(DBInstanceIdentifier='other', DBInstanceClass='db.t4g.micro', Engine='postgres', DBSubnetGroupName=group, AllocatedStorage=20, MasterUsername='x', MasterUserPassword='xxxxxxxx')
d.create_db_instance_read_replica(DBInstanceIdentifier='copy', SourceDBInstanceIdentifier=d.describe_db_instances()['DBInstances'][0]['DBInstanceIdentifier'])
";
    python(&peer, add);
    let refused = first.release(&db.id, &key()).await.expect_err("others are there");
    for word in ["other", "copy"] {
        assert!(
            matches!(&refused.kind, ErrorKind::Conflict { message } if message.contains(word)),
            "{refused}"
        );
    }
    python(
        &peer,
        "import boto3; [boto3.client('rds').delete_db_instance(DBInstanceIdentifier=n, SkipFinalSnapshot=True) for n in ('copy', 'other')]",
    );
    assert!(matches!(first.access(&network.id).await.expect_err("a network").kind, ErrorKind::Unsupported));
    for service in [&silent, &db, &network] {
        end(&first, service).await;
    }
    assert_eq!(python(&peer, COUNT), "0 0 0 0 0 0 0 0 0\n", "nothing is left");
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
database,db.t4g.micro,*,2,1024,,0.018,,,EUR,net,engine=postgresql;ha=no;storage=extra,2026-11-20,test
surcharge,rds-gp3,*,,,,,GB-month,0.133,EUR,net,with=database storage=extra;least_gib=20,2026-11-20,test
";
            let head = "kind,sku,region,vcpu,memory_mib,disk_gib,hourly,unit,unit_price,currency,tax,attributes,observed,source\n";
            write(format!("{id}.csv"), crate::imitation::read_today(&format!("{head}{rows}{rest}")));
        }
        write("access".to_owned(), "AKIDEXAMPLE".to_owned());
        write("secret".to_owned(), "canary-secret".to_owned());
        write("passwords".to_owned(), "canary-secret-for-passwords-of-all".to_owned());
        Self { folder }
    }

    /// Both clouds at this address.
    fn clouds(&self, address: &str) -> [Ec2; 2] {
        SELLERS.map(|(id, _, _)| {
            let config = json!({
                "id": id,
                "endpoint": address,
                "endpoints": { "elasticloadbalancing": address, "rds": address, "s3": address },
                "kinds": ec2::all_kinds(),
                "access_key": "file:access",
                "secret_key": "file:secret",
                "catalogue": format!("{id}.csv"),
                "password_secret": "file:passwords",
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
            assert_eq!(python(peer, &there), "0 0 0 0 0 0 0 0 0\n", "nothing is left in {region}");
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

#[tokio::test]
async fn a_process_may_die_at_each_request_of_each_kind() {
    let Some((peer, desk)) = moto() else { return };
    let direct = cloud(&desk, json!({}));
    let web = bought(&direct, OfferKind::Machine, json!({})).await;
    let mut requests = Vec::new();
    for kind in KINDS {
        let settings = match kind {
            OfferKind::BlockStorage | OfferKind::PublicIp => json!({ "attach": web.id }),
            OfferKind::LoadBalancer => json!({ "targets": web.id }),
            OfferKind::ObjectStorage => json!({ "versioning": true }),
            OfferKind::Network => {
                json!({ "firewall": [{ "allow": "tcp", "ports": 22, "from": "10.0.0.0/8" }] })
            }
            _ => json!({}),
        };
        requests.push(request(&direct, kind, settings).await);
    }
    let over = |transport: Arc<dyn Transport>| {
        Arc::new(cloud(&desk, json!({})).with_transport(transport)) as Arc<dyn Provider>
    };
    let deaths = dying::at_each_request("ec2", &requests, &live(), &over).await;
    assert!(deaths.purchases > 30 && deaths.releases > 20, "{deaths:?}");
    end(&direct, &web).await;
    assert_eq!(python(&peer, COUNT), "0 0 0 0 0 0 0 0 0\n", "nothing is left");
}

#[tokio::test]
async fn what_is_doubled_or_not_ours_or_not_configured_stays() {
    let Some((peer, desk)) = moto() else { return };
    let cloud = cloud(&desk, json!({}));
    // Two requests of one key, as after a lost answer: each is a service, and the end of one is not that of the other.
    let (address, twice) = (request(&cloud, OfferKind::PublicIp, json!({})).await, key());
    for _ in 0..2 {
        cloud.provision(&address, &twice).await.expect("ordered");
    }
    let both = left(&cloud).await;
    assert_eq!(both.len(), 2, "{both:?}");
    end(&cloud, &both[1]).await;
    assert!(cloud.describe(&both[0].id).await.expect("described").is_some(), "the other one stays");

    // A kind that is taken out of the configuration is not gone.
    let without = desk.cloud(json!({ "kinds": ["machine"] }));
    let refused = without.describe(&both[0].id).await.expect_err("nobody looks there");
    assert!(
        matches!(&refused.kind, ErrorKind::InvalidRequest { message } if message.contains("kinds")),
        "{refused}"
    );
    assert!(without.release(&both[0].id, &key()).await.is_err());
    assert!(!without.capabilities().covers(OfferKind::PublicIp, &both[0].place));
    end(&cloud, &both[0]).await;

    // What others add keeps a service, and all of its parts, from ending.
    let network = bought(&cloud, OfferKind::Network, json!({})).await;
    let balancer = bought(&cloud, OfferKind::LoadBalancer, json!({ "network": network.id })).await;
    let add = "
import boto3
e, b = boto3.client('ec2'), boto3.client('elbv2')
vpc = [v for v in e.describe_vpcs()['Vpcs'] if v.get('Tags')][0]['VpcId']
e.create_subnet(VpcId=vpc, CidrBlock='10.0.255.0/28')
group = b.create_target_group(Name='other', Protocol='TCP', Port=81, VpcId=vpc)['TargetGroups'][0]['TargetGroupArn']
arn = b.describe_load_balancers()['LoadBalancers'][0]['LoadBalancerArn']
print(b.create_listener(LoadBalancerArn=arn, Protocol='TCP', Port=81, DefaultActions=[{'Type': 'forward', 'TargetGroupArn': group}])['Listeners'][0]['ListenerArn'])
";
    let listener = python(&peer, add);
    for (service, word) in [(&balancer, "listener"), (&network, "subnet")] {
        let refused = cloud.release(&service.id, &key()).await.expect_err(word);
        assert!(
            matches!(&refused.kind, ErrorKind::Conflict { message } if message.contains(word)),
            "{refused}"
        );
        let whole = cloud.describe(&service.id).await.expect("described").expect("it is there");
        assert_eq!(whole.attributes, service.attributes);
    }
    let take_away = format!(
        "
import boto3
e, b = boto3.client('ec2'), boto3.client('elbv2')
b.delete_listener(ListenerArn='{}')
b.delete_target_group(TargetGroupArn=b.describe_target_groups(Names=['other'])['TargetGroups'][0]['TargetGroupArn'])
[e.delete_subnet(SubnetId=s['SubnetId']) for s in e.describe_subnets()['Subnets'] if s['CidrBlock'] == '10.0.255.0/28']
",
        listener.trim()
    );
    python(&peer, &take_away);
    end(&cloud, &balancer).await;
    end(&cloud, &network).await;
    assert_eq!(python(&peer, COUNT), "0 0 0 0 0 0 0 0 0\n", "nothing is left");
}

/// Volumes, addresses, networks beside the default one, gateways beside its own, balancers, target groups, buckets, databases, their groups of
/// subnets.
const COUNT: &str = "
import boto3
e, b, s, d = (boto3.client(name) for name in ('ec2', 'elbv2', 's3', 'rds'))
ours = lambda rows: [row for row in rows if row.get('Tags')]
print(len(e.describe_volumes()['Volumes']), len(e.describe_addresses()['Addresses']), len(ours(e.describe_vpcs()['Vpcs'])),
      len(ours(e.describe_internet_gateways()['InternetGateways'])), len(b.describe_load_balancers()['LoadBalancers']),
      len(b.describe_target_groups()['TargetGroups']), len(s.list_buckets()['Buckets']),
      len(d.describe_db_instances()['DBInstances']), len(d.describe_db_subnet_groups()['DBSubnetGroups']))
";

fn python(peer: &peers::Peer, script: &str) -> String {
    let mut python = std::process::Command::new(peer.get("MOTO_PYTHON"));
    let output = python.args(["-c", script]).envs(&peer.env).output().expect("python runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A cloud of which only the buckets are bought: its other APIs are not asked, and need not exist.
#[tokio::test]
async fn buckets_alone_need_no_other_api() {
    let Some((peer, desk)) = moto() else { return };
    // Nobody listens at the address of EC2.
    let config = json!({ "kinds": ["object_storage"], "endpoint": "http://127.0.0.1:9", "endpoints": { "s3": desk.endpoint } });
    let cloud: Arc<dyn Provider> = Arc::new(desk.cloud(config));
    let offers = peers::orders::offers(&*cloud).await;
    assert_eq!(offers.iter().map(|offer| offer.kind).collect::<Vec<_>>(), [OfferKind::ObjectStorage]);
    let request =
        request(&*cloud, OfferKind::ObjectStorage, json!({ "bucket": "files", "versioning": true })).await;
    let report =
        check_provider(cloud.clone(), SuiteConfig::new(Some(request), Duration::from_secs(30))).await;
    println!("{report}");
    assert!(report.is_passed(), "{report}");
    assert_eq!(left(&*cloud).await, []);
    assert_eq!(python(&peer, COUNT), "0 0 0 0 0 0 0 0 0\n", "nothing is left");
}
