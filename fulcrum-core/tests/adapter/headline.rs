//! The same bytes, bought from servers of several sorts: the blueprint that is shipped, and a shop of seven components.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use fulcrum_core::provider::{
    Provider,
    adapters::{ec2::Ec2Config, hetzner::HetznerConfig, openstack::OpenStackConfig, osb::OsbConfig},
    http::Transport,
};
use serde_json::{Value, json};

use crate::{
    ec2::live,
    ec2_kinds::SHOP,
    openstack::{administer, know_zones},
    openstack_kinds::More,
    peers::{self, Faults, Peer, host_of, orders::Ground, stormy::Stormy},
};

const HEAD: &str = "kind,sku,region,vcpu,memory_mib,disk_gib,hourly,unit,unit_price,currency,tax,attributes,observed,source\n";

/// A folder with price tables and secrets.
struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).expect("written");
    }

    /// Who sells, and for how much.
    fn seller(&self, id: &str, region: &str, country: &str, rows: &str) {
        let seller = json!({
            "format": "fulcrum-provider/1", "id": id, "name": id, "legal_name": format!("{id} SA"), "country": country,
            "regions": [{ "id": region, "country": country }],
        });
        self.write(&format!("{id}.json"), &seller.to_string());
        let rows: String = rows.lines().map(|row| format!("{},2026-11-20,test\n", row.trim())).collect();
        self.write(&format!("{id}.csv"), &crate::imitation::read_today(&format!("{HEAD}{rows}")));
    }
}

/// A cloud over each of two networks.
type Cloud = [Arc<dyn Provider>; 2];

/// All kinds of a project at OpenStack.
fn project(desk: &Desk, peer: &Peer, id: &str, user: &str, password: &str, storm: &Arc<Stormy>) -> Cloud {
    desk.write(&format!("{id}-password"), password);
    let config = json!({
        "id": id,
        "auth_url": peer.get("OS_AUTH_URL"),
        "auth": { "password": { "user": user, "project": user, "password": format!("file:{id}-password") } },
        "kinds": fulcrum_core::provider::adapters::openstack::all_kinds(),
        "catalogue": format!("{id}.csv"),
        "images": { "debian-13": "debian-12" },
        "network": "private",
        "floating_network": "public",
        "list_lag_ms": 10_000,
        "http": { "keep_alive": false, "timeout_ms": 20_000 },
    });
    let config: OpenStackConfig = serde_json::from_value(config).expect("a configuration");
    let cloud = || config.build(desk.path()).expect("a cloud");
    [Arc::new(cloud().with_transport(storm.clone() as Arc<dyn Transport>)), Arc::new(cloud())]
}

/// What a project sells.
const PROJECT: &str = "\
machine,m1.tiny,*,1,512,1,0.01,,,EUR,net,
machine,m1.medium,*,2,4096,40,0.04,,,EUR,net,
machine,m1.large,*,4,8192,80,0.08,,,EUR,net,
public_ip,floating,*,,,,0.004,,,EUR,net,
network,private,*,,,,0,,,EUR,net,
load_balancer,octavia,*,,,,0.02,,,EUR,net,
block_storage,standard,*,,,,,GB-month,0.05,EUR,net,
object_storage,swift,*,,,,,GB-month,0.02,EUR,net,";

/// An OpenStack with all its services and much room; none where that takes too long.
fn openstack() -> Option<(Peer, More)> {
    let peer = Peer::start_slow("openstack", &[("OS_COMPUTE_DRIVER", "fake.FakeDriver")])?;
    know_zones(&peer);
    let more = More::start(peer.folder())?;
    Some((peer, more))
}

/// A second project with a user and a network of its own.
fn second_project(peer: &Peer) -> &'static str {
    let password = "canary-secret-of-the-second-project";
    administer(peer, &["project", "create", "second", "--or-show"]);
    administer(peer, &["user", "create", "second", "--password", password, "--or-show"]);
    administer(peer, &["role", "add", "--project", "second", "--user", "second", "member"]);
    // The name is unique to each project.
    let own = |arguments: &[&str]| {
        let mut command = Command::new(peer.get("FULCRUM_OS_CLI"));
        command.args(arguments).envs(&peer.env);
        command.envs([("OS_USERNAME", "second"), ("OS_PASSWORD", password), ("OS_PROJECT_NAME", "second")]);
        command.output().expect("it runs")
    };
    if !own(&["network", "show", "private"]).status.success() {
        for arguments in [
            &["network", "create", "private"][..],
            &["subnet", "create", "private", "--network", "private", "--subnet-range", "10.99.0.0/24"],
        ] {
            let output = own(arguments);
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
    }
    password
}

fn shipped() -> String {
    let path: PathBuf =
        [env!("CARGO_MANIFEST_DIR"), "../examples/blueprints/three-tier.yaml"].iter().collect();
    std::fs::read_to_string(path).expect("the blueprint")
}

fn seed() -> u64 {
    std::env::var("FULCRUM_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(8600)
}

/// Buys, and finds nothing left.
async fn buy(
    name: &str,
    blueprint: &str,
    clouds: &[Cloud],
    at: (&Faults, &Arc<Stormy>),
    most: u64,
) -> BTreeSet<String> {
    let (faults, storm) = at;
    let [first, beside @ ..] = clouds else { panic!("no cloud") };
    let ground = Ground {
        broken: first[0].clone(),
        direct: first[1].clone(),
        beside: beside.to_vec(),
        faults: faults.clone(),
        storm: storm.clone(),
        blueprint: blueprint.to_owned(),
        leave_out: &["postgresql/sold-out"],
        step_timeout_s: 120,
    };
    let plan = peers::orders::plan(&ground).await;
    let sellers: BTreeSet<String> = plan.leases.iter().map(|it| it.place.provider.to_string()).collect();
    println!("{name}: {} leases at {sellers:?}", plan.leases.len());
    let sum = peers::orders::run(name, &ground, peers::runs(1).min(most), seed()).await;
    assert!(sum.committed > 0, "{name}");
    sellers
}

fn names(all: &[&str]) -> BTreeSet<String> {
    all.iter().map(|name| (*name).to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shipped_blueprint_is_bought_at_two_projects_of_openstack() {
    let Some((peer, _more)) = openstack() else { return };
    let Some(faults) = Faults::before(host_of(peer.get("FULCRUM_OS_COMPUTE"))) else { return };
    let (desk, storm) = (Desk::new(), Stormy::over(live()));
    for id in ["nimbus", "stratus"] {
        desk.seller(id, "RegionOne", "FR", PROJECT);
    }
    let second = second_project(&peer);
    let clouds = [
        project(&desk, &peer, "nimbus", "demo", peer.get("OS_PASSWORD"), &storm),
        project(&desk, &peer, "stratus", "second", second, &storm),
    ];
    let name = "three-tier at two projects of OpenStack";
    let sellers = buy(name, &shipped(), &clouds, (&faults, &storm), 20).await;
    assert_eq!(sellers, names(&["nimbus", "stratus"]));
}

/// Prices at which the best plan takes something from each.
#[tokio::test(flavor = "multi_thread")]
async fn both_blueprints_are_bought_across_four_sorts_of_provider() {
    let Some((stack, _more)) = openstack() else { return };
    let (Some(moto), Some(alone), Some(broker)) = (
        Peer::start_beside("moto", &[]),
        Peer::start_beside("cloudalone", &[]),
        Peer::start_beside("osb", &[("OSB_DELAY", "0.1"), ("OSB_INSTANCE_LIMIT", "50")]),
    ) else {
        return;
    };
    let Some(faults) = Faults::before(host_of(moto.get("AWS_ENDPOINT_URL"))) else { return };
    let (desk, storm) = (Desk::new(), Stormy::over(live()));
    desk.seller(
        "nimbus",
        "RegionOne",
        "FR",
        &PROJECT.replace("m1.large,*,4,8192,80,0.08", "m1.large,*,4,8192,80,0.8"),
    );
    desk.seller(
        "lutetia",
        "eu-west-3",
        "FR",
        "machine,t3.medium,*,2,4096,,0.05,,,EUR,net,
         machine,c5.xlarge,*,4,8192,,0.9,,,EUR,net,
         block_storage,gp3,*,,,,,GB-month,0.0928,EUR,net,
         public_ip,public-ipv4,*,,,,0.005,,,EUR,net,version=4
         network,vpc,*,,,,0,,,EUR,net,
         load_balancer,network,*,,,,0.025,,,EUR,net,
         object_storage,standard,*,,,,,GB-month,0.001,EUR,net,
         database,db.t4g.micro,*,2,1024,,0.9,,,EUR,net,engine=postgresql;ha=no;storage=extra
         surcharge,rds-gp3,*,,,,,GB-month,0.133,EUR,net,with=database storage=extra;least_gib=20",
    );
    desk.seller(
        "hetzner",
        "abilian",
        "DE",
        "machine,medium,*,2,4096,40,0.4,,,EUR,net,
         machine,large,*,4,8192,80,0.02,,,EUR,net,
         public_ip,ipv4,*,,,,0.001,,,EUR,net,version=4",
    );
    desk.seller("hoster", "de-fra", "DE", "");
    for (name, text) in [
        ("access", "AKIDEXAMPLE"),
        ("secret", "canary-secret"),
        ("passwords", "canary-secret-for-passwords-of-all"),
        ("token", alone.get("HCLOUD_TOKEN")),
        ("broker", broker.get("OSB_PASSWORD")),
    ] {
        desk.write(name, text);
    }
    let lutetia = |address: &str| {
        let config = json!({
            "id": "lutetia",
            "endpoint": address,
            "endpoints": { "elasticloadbalancing": address, "rds": address, "s3": address },
            "kinds": fulcrum_core::provider::adapters::ec2::all_kinds(),
            "access_key": "file:access", "secret_key": "file:secret", "password_secret": "file:passwords",
            "catalogue": "lutetia.csv",
            "client_token": "ignored",
            "image": "ami-785db401",
            "images": { "debian-13": "ami-785db401" },
            "list_lag_ms": 0,
            "http": { "keep_alive": false },
        });
        let config: Ec2Config = serde_json::from_value(config).expect("a configuration");
        config.build(desk.path()).expect("a cloud")
    };
    let hetzner = json!({
        "token": "file:token", "catalogue": "hetzner.csv", "list_lag_ms": 1000,
        "http": { "base_url": alone.get("HCLOUD_ENDPOINT"), "keep_alive": false },
    });
    let hetzner: HetznerConfig = serde_json::from_value(hetzner).expect("a configuration");
    let hetzner = || hetzner.build(desk.path()).expect("a cloud");
    let hoster = json!({
        "provider": "hoster.json", "username": broker.get("OSB_USERNAME"), "password": "file:broker",
        "list_lag_ms": 1000, "usage_units": ["1GB of traffic"],
        "http": { "base_url": broker.get("OSB_URL"), "keep_alive": false },
    });
    let hoster: OsbConfig = serde_json::from_value(hoster).expect("a configuration");
    let hoster = || hoster.build(desk.path()).expect("a broker");
    let over = || storm.clone() as Arc<dyn Transport>;
    let through = format!("http://{}", faults.address());
    let clouds: [Cloud; 4] = [
        project(&desk, &stack, "nimbus", "demo", stack.get("OS_PASSWORD"), &storm),
        [Arc::new(lutetia(&through).with_transport(over())), Arc::new(lutetia(moto.get("AWS_ENDPOINT_URL")))],
        [Arc::new(hetzner().with_transport(over())), Arc::new(hetzner())],
        [Arc::new(hoster().with_transport(over())), Arc::new(hoster())],
    ];
    let at = (&faults, &storm);
    let of_tiers = buy("three-tier across four", &shipped(), &clouds, at, 20).await;
    let of_shop = buy("shop across four", SHOP, &clouds, at, 20).await;
    // The broker sells databases alone, and Hetzner no networks in which a shop could stand.
    assert_eq!(of_tiers, names(&["hetzner", "lutetia", "nimbus"]));
    assert_eq!(of_shop, names(&["hoster", "lutetia", "nimbus"]));
    let all: Vec<Value> = of_tiers.union(&of_shop).map(|name| json!(name)).collect();
    assert_eq!(all.len(), clouds.len());
}
