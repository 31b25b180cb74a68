//! A server that speaks EC2's query API: what is bought, what is refused, what is left. It takes a `ClientToken` and does
//! not look at it.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use crate::peers::{self, Faults, Peer, host_of, orders::Ground, stormy::Stormy};
use async_trait::async_trait;
use fulcrum_core::{
    model::{Action, IdempotencyKey, Offer, OrderId, Place, Service, ServiceStatus},
    provider::{
        ErrorKind, OperationHandle, OperationStatus, Provider, ProvisionRequest,
        adapters::ec2::{Ec2, Ec2Config},
        conformance::{Outcome, SuiteConfig, check_provider},
        http::{
            HeaderMap, HttpConfig, NetworkTransport, RawRequest, RawResponse, StatusCode, Transport,
            TransportError,
        },
    },
};
use futures::{TryStreamExt, future};
use serde_json::{Value, json};

const SELLER: &str = r#"{
    "id": "acme", "name": "Acme", "legal_name": "Acme SA", "country": "FR",
    "regions": [{ "id": "eu-west-3", "country": "FR", "city": "Paris" }]
}"#;
/// `t3.small` stands there with another size than it has; `t9.ghost` does not exist.
const PRICES: &str = "\
kind,sku,region,vcpu,memory_mib,disk_gib,hourly,unit,unit_price,currency,tax,attributes,observed,source
machine,t3.nano,*,2,512,,0.0059,,,EUR,net,,2026-11-20,acme.example
machine,t3.small,*,1,1024,,0.0236,,,EUR,net,,2026-11-20,acme.example
machine,c5.large,*,2,4096,,0.101,,,EUR,net,,2026-11-20,acme.example
machine,t9.ghost,*,1,512,,0.001,,,EUR,net,,2026-11-20,acme.example
block_storage,gp3,*,,,,,GB-month,0.0928,EUR,net,,2026-11-20,acme.example
public_ip,public-ipv4,*,,,,0.005,,,EUR,net,version=4,2026-11-20,acme.example
network,vpc,*,,,,0,,,EUR,net,,2026-11-20,acme.example
load_balancer,network,*,,,,0.025,,,EUR,net,,2026-11-20,acme.example
object_storage,standard,*,,,,,GB-month,0.024,EUR,net,,2026-11-20,acme.example
database,db.t4g.micro,*,2,1024,,0.018,,,EUR,net,engine=postgresql;ha=no;storage=extra,2026-11-20,acme.example
database,db.t4g.micro-multi-az,*,2,1024,,0.036,,,EUR,net,engine=postgresql;ha=yes;storage=extra,2026-11-20,acme.example
surcharge,rds-gp3,*,,,,,GB-month,0.133,EUR,net,with=database storage=extra ha=no;least_gib=20,2026-11-20,acme.example
surcharge,rds-gp3-multi-az,*,,,,,GB-month,0.266,EUR,net,with=database storage=extra ha=yes;least_gib=20,2026-11-20,acme.example
";

/// The rows of the price table, without what a cloud says of them.
pub(crate) fn rows() -> Vec<Offer> {
    let seller = fulcrum_core::model::parse_json(SELLER).expect("a seller");
    let table =
        fulcrum_core::provider::table::Table::from_csv(&seller, &crate::imitation::read_today(PRICES));
    table.expect("a table").offers
}

/// A folder with a price table and keys.
pub(crate) struct Desk {
    folder: tempfile::TempDir,
    pub(crate) endpoint: String,
}

impl Desk {
    pub(crate) fn new(endpoint: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
        write("acme.csv", &crate::imitation::read_today(PRICES));
        write("acme.json", SELLER);
        write("access", "AKIDEXAMPLE");
        write("secret", "canary-secret");
        write("passwords", "canary-secret-for-passwords-of-all");
        write("other-passwords", "canary-secret-for-passwords-of-another-day");
        Self { folder, endpoint: endpoint.to_owned() }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A cloud, with some of its configuration changed.
    pub(crate) fn cloud(&self, change: Value) -> Ec2 {
        let mut config = json!({
            "id": "acme",
            "endpoint": self.endpoint,
            "access_key": "file:access",
            "secret_key": "file:secret",
            "catalogue": "acme.csv",
            "client_token": "ignored",
            "image": "ami-785db401",
            "list_lag_ms": 0,
            "http": { "keep_alive": false },
        });
        let fields = change.as_object().expect("an object").clone();
        config.as_object_mut().expect("an object").extend(fields);
        let config: Ec2Config = serde_json::from_value(config).expect("a configuration");
        config.build(self.path()).expect("a cloud")
    }
}

pub(crate) fn key() -> IdempotencyKey {
    IdempotencyKey::of_step(&OrderId::generate(), 0)
}

async fn offers(cloud: &dyn Provider) -> Vec<Offer> {
    peers::orders::offers(cloud).await
}

async fn request(cloud: &dyn Provider, sku: &str) -> ProvisionRequest {
    let offers = offers(cloud).await;
    let offer = offers.iter().find(|offer| offer.sku.as_str() == sku).expect("the offer");
    ProvisionRequest::of(offer, 20, "a test")
}

pub(crate) async fn finish(cloud: &dyn Provider, handle: &OperationHandle) -> OperationStatus {
    let end = Instant::now() + Duration::from_secs(30);
    while Instant::now() < end {
        match cloud.poll(handle).await.expect("polled") {
            OperationStatus::Running { .. } => tokio::time::sleep(Duration::from_millis(50)).await,
            over => return over,
        }
    }
    panic!("{} does not end", handle.as_str());
}

pub(crate) async fn made(cloud: &dyn Provider, handle: &OperationHandle) -> Service {
    match finish(cloud, handle).await {
        OperationStatus::Succeeded(Some(service)) => service,
        other => panic!("{}: {other:?}", handle.as_str()),
    }
}

pub(crate) async fn end(cloud: &dyn Provider, service: &Service) {
    let handle = cloud.release(&service.id, &key()).await.expect("released");
    assert_eq!(finish(cloud, &handle).await, OperationStatus::Succeeded(None));
}

pub(crate) async fn left(cloud: &dyn Provider) -> Vec<Service> {
    cloud.services().try_collect().await.expect("services")
}

pub(crate) fn moto() -> Option<(Peer, Desk)> {
    let peer = Peer::start("moto", &[])?;
    let desk = Desk::new(peer.get("AWS_ENDPOINT_URL"));
    Some((peer, desk))
}

#[tokio::test]
async fn a_cloud_that_ignores_client_tokens_sells_as_declared_and_a_wrong_declaration_is_caught() {
    let Some((_peer, desk)) = moto() else { return };
    let cloud: Arc<dyn Provider> = Arc::new(desk.cloud(json!({})));
    let all = offers(&*cloud).await;
    let ids: BTreeSet<String> = all.iter().map(|offer| offer.id().to_string()).collect();
    // Each is sold with an address, and without one.
    let of_zone = |zone: &'static str| {
        let all = ["t3.nano", "t3.small", "c5.large"];
        all.map(|sku| ["", "+no-ipv4"].map(|end| format!("acme/eu-west-3/{zone}/{sku}{end}")))
            .into_iter()
            .flatten()
    };
    assert_eq!(
        ids,
        ["eu-west-3a", "eu-west-3b", "eu-west-3c"]
            .iter()
            .flat_map(|zone| of_zone(zone))
            .collect::<BTreeSet<_>>()
    );
    let small = all.iter().find(|offer| offer.sku.as_str() == "t3.small").expect("it is offered");
    assert_eq!((small.capacity.vcpu_milli, small.capacity.memory_mib), (2000, 2048));
    assert!(small.elastic_disk.is_some(), "its disk is bought with it");

    let trial = SuiteConfig::new(Some(request(&*cloud, "t3.nano").await), Duration::from_secs(30));
    let report = check_provider(cloud.clone(), trial.clone()).await;
    println!("{report}");
    assert!(report.is_passed());

    // Declared to honour what it ignores.
    let wrong: Arc<dyn Provider> = Arc::new(desk.cloud(json!({ "client_token": "honoured" })));
    let report = check_provider(wrong, trial).await;
    println!("{report}");
    let failed: Vec<_> = report.failures().map(|check| check.name).collect();
    assert!(failed.contains(&"the same key twice makes one service"), "{failed:?}");
    let clean = report
        .checks
        .iter()
        .find(|check| check.name == "nothing of this run is left")
        .expect("it is checked");
    assert_eq!(clean.outcome, Outcome::Passed, "what was made beside is found and released");
    assert_eq!(left(&*cloud).await, []);
}

/// Gives the same answer to the same `ClientToken`, as clouds do that honour it, and shows new machines in lists only
/// after a while.
#[derive(Debug, Default)]
struct Honouring {
    answers: tokio::sync::Mutex<BTreeMap<String, (Instant, RawResponse)>>,
}

/// How long a new machine is missing from lists.
const LAG: Duration = Duration::from_millis(1500);

#[async_trait]
impl Transport for Honouring {
    async fn send(&self, request: RawRequest) -> Result<RawResponse, TransportError> {
        let body = request.body.as_deref().map(String::from_utf8_lossy).unwrap_or_default().into_owned();
        let field = |text: &str, name: &str| {
            text.split('&').find_map(|it| it.strip_prefix(name)?.strip_prefix('=').map(str::to_owned))
        };
        let mut answers = self.answers.lock().await;
        let Some(token) = field(&body, "ClientToken") else {
            let wanted = field(request.url.query().unwrap_or_default(), "Filter.1.Value.1");
            let is_hidden =
                wanted.and_then(|key| answers.get(&key)).is_some_and(|(at, _)| at.elapsed() < LAG);
            let is_of_machines = field(request.url.query().unwrap_or_default(), "Action");
            if !is_hidden || is_of_machines.as_deref() != Some("DescribeInstances") {
                return live().send(request).await;
            }
            let body = "<DescribeInstancesResponse><reservationSet/></DescribeInstancesResponse>".into();
            return Ok(RawResponse { status: StatusCode::OK, headers: HeaderMap::new(), body });
        };
        if let Some((_, answer)) = answers.get(&token) {
            return Ok(answer.clone());
        }
        let answer = live().send(request).await?;
        answers.insert(token, (Instant::now(), answer.clone()));
        Ok(answer)
    }
}

#[tokio::test]
async fn a_cloud_that_honours_client_tokens_sells_as_declared_though_its_lists_lag() {
    let Some((_peer, desk)) = moto() else { return };
    let honoured = json!({ "client_token": "honoured", "list_lag_ms": 1900 });
    let cloud: Arc<dyn Provider> =
        Arc::new(desk.cloud(honoured).with_transport(Arc::new(Honouring::default())));
    let request = request(&*cloud, "t3.nano").await;
    let trial = SuiteConfig::new(Some(request.clone()), Duration::from_secs(30));
    let report = check_provider(cloud.clone(), trial).await;
    println!("{report}");
    assert!(report.is_passed());
    // Not listed at once, and found when lists no longer lag as it is declared.
    let key = key();
    cloud.provision(&request, &key).await.expect("ordered");
    assert!(cloud.find_by_key(&key).await.expect("looked up").is_none(), "the test's list does not lag");
    tokio::time::sleep(cloud.capabilities().list_lag()).await;
    let service = cloud.find_by_key(&key).await.expect("looked up").expect("it is found");
    end(&*cloud, &service).await;
}

#[tokio::test]
async fn machines_are_started_stopped_resized_and_ended() {
    let Some((peer, desk)) = moto() else { return };
    let cloud: Arc<dyn Provider> = Arc::new(desk.cloud(json!({ "page_size": 5 })));
    let request = request(&*cloud, "t3.nano").await;
    // More than one page of them.
    let keys: Vec<_> = (0..7).map(|_| key()).collect();
    let order = |key| {
        let (cloud, request) = (cloud.clone(), request.clone());
        async move { made(&*cloud, &cloud.provision(&request, key).await.expect("ordered")).await }
    };
    let all = future::join_all(keys.iter().map(order)).await;
    let listed: BTreeSet<_> = left(&*cloud).await.into_iter().map(|service| service.id).collect();
    assert_eq!(listed, all.iter().map(|service| service.id.clone()).collect());
    for (key, service) in keys.iter().zip(&all) {
        assert_eq!(
            cloud.find_by_key(key).await.expect("looked up").map(|it| it.id),
            Some(service.id.clone())
        );
    }
    let service = &all[0];
    assert!(service.attributes.contains_key("address"), "{:?}", service.attributes);
    let resize = Action::Resize { sku: "t3.small".parse().expect("a name") };
    let refused = cloud.act(&service.id, &resize, &key()).await.expect_err("it runs");
    assert!(matches!(refused.kind, ErrorKind::Conflict { .. }), "{refused}");
    let reboot = Action::Other { name: "reboot".to_owned() };
    for action in [Action::Stop, Action::Stop, resize.clone(), resize, Action::Start, Action::Start, reboot] {
        let handle = cloud.act(&service.id, &action, &key()).await.expect("acted");
        // Somebody else goes on with the text alone.
        let other = desk.cloud(json!({}));
        let now = made(&other, &OperationHandle::new(handle.as_str().to_owned())).await;
        assert!(action.is_done(&now) || matches!(action, Action::Other { .. }), "{action:?}: {now:?}");
    }
    let strange = Action::Other { name: "hibernate".to_owned() };
    let refused = cloud.act(&service.id, &strange, &key()).await.expect_err("it is not known");
    assert_eq!(refused.kind, ErrorKind::Unsupported);
    future::join_all(all.iter().map(|service| end(&*cloud, service))).await;
    let script = "import boto3; print(len(boto3.client('ec2').describe_volumes()['Volumes']))";
    let mut python = Command::new(peer.get("MOTO_PYTHON"));
    let output = python.args(["-c", script]).envs(&peer.env).output().expect("python runs");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "0", "their disks are gone");
    // They are shown for a while, and do not exist.
    assert_eq!(cloud.describe(&service.id).await.expect("described"), None);
    assert_eq!((cloud.find_by_key(&keys[0]).await.expect("looked up"), left(&*cloud).await), (None, vec![]));
    end(&*cloud, service).await;
    let gone = cloud.act(&service.id, &Action::Stop, &key()).await.expect_err("it is gone");
    assert!(matches!(gone.kind, ErrorKind::NotFound { .. }), "{gone}");
}

#[tokio::test]
async fn what_somebody_else_made_is_not_touched() {
    let Some((peer, desk)) = moto() else { return };
    let cloud = desk.cloud(json!({}));
    let script = "import boto3; print(boto3.client('ec2').run_instances(ImageId='ami-785db401', MinCount=1, MaxCount=1)['Instances'][0]['InstanceId'])";
    let mut python = Command::new(peer.get("MOTO_PYTHON"));
    let output = python.args(["-c", script]).envs(&peer.env).output().expect("python runs");
    let id = format!("eu-west-3/{}", String::from_utf8_lossy(&output.stdout).trim()).parse().expect("a name");
    let refused = cloud.release(&id, &key()).await.expect_err("it is not ours");
    assert!(matches!(refused.kind, ErrorKind::Conflict { .. }), "{refused}");
    let refused = cloud.act(&id, &Action::Stop, &key()).await.expect_err("it is not ours");
    assert!(matches!(refused.kind, ErrorKind::Conflict { .. }), "{refused}");
    let theirs = cloud.describe(&id).await.expect("described").expect("it exists");
    assert_eq!((theirs.key, left(&cloud).await), (None, vec![]));
}

/// Answers every order with a status and a code, as the documentation of the API has them.
#[derive(Debug)]
struct Refusing {
    inner: NetworkTransport,
    status: u16,
    code: &'static str,
}

#[async_trait]
impl Transport for Refusing {
    async fn send(&self, request: RawRequest) -> Result<RawResponse, TransportError> {
        if request.body.is_none() {
            return self.inner.send(request).await;
        }
        let code = self.code;
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>{code}</Code><Message>Because.</Message>\
             </Error></Errors><RequestID>1-2-3</RequestID></Response>"
        );
        let status = StatusCode::from_u16(self.status).expect("a status");
        Ok(RawResponse { status, headers: HeaderMap::new(), body: body.into() })
    }
}

#[tokio::test]
async fn refusals_are_told_apart() {
    let Some((_peer, desk)) = moto() else { return };
    let cloud = desk.cloud(json!({}));
    let request = request(&cloud, "t3.nano").await;
    let sku = request.sku.clone();
    let said = |code: &str| format!("{code}: Because.");
    let invalid = |code: &str| ErrorKind::InvalidRequest { message: said(code) };
    let cases = [
        (500, "InsufficientInstanceCapacity", ErrorKind::CapacityExhausted { sku: sku.clone() }),
        (400, "Unsupported", ErrorKind::CapacityExhausted { sku: sku.clone() }),
        (400, "InstanceLimitExceeded", ErrorKind::QuotaExceeded { quota: said("InstanceLimitExceeded") }),
        (503, "RequestLimitExceeded", ErrorKind::RateLimited { retry_after: None }),
        (401, "AuthFailure", ErrorKind::Unauthorised),
        (403, "UnauthorizedOperation", ErrorKind::Forbidden),
        (400, "InvalidAMIID.NotFound", invalid("InvalidAMIID.NotFound")),
        (400, "InvalidKeyPair.NotFound", invalid("InvalidKeyPair.NotFound")),
        // Something has our own token already.
        (400, "IdempotentParameterMismatch", ErrorKind::Ambiguous),
        (400, "InvalidInstanceType", ErrorKind::NotFound { what: sku.to_string() }),
        (500, "InternalError", ErrorKind::Ambiguous),
        (503, "Unavailable", ErrorKind::Ambiguous),
    ];
    for (status, code, kind) in cases {
        let inner = NetworkTransport::new(&HttpConfig::default()).expect("a transport");
        let cloud = desk.cloud(json!({})).with_transport(Arc::new(Refusing { inner, status, code }));
        let error = cloud.provision(&request, &key()).await.expect_err("it is refused");
        assert_eq!(error.kind, kind, "{code}");
    }
    let mut bare = request.clone();
    bare.place.region = "eu-west-9".parse().expect("a name");
    let mut imageless = request.clone();
    imageless.settings.insert("image".to_owned(), "ami-00000000".into());
    let error = cloud.provision(&imageless, &key()).await.expect_err("there is no such image");
    assert!(matches!(error.kind, ErrorKind::InvalidRequest { .. }), "{error}");
    let error = cloud.provision(&bare, &key()).await.expect_err("there is no such region");
    assert!(matches!(error.kind, ErrorKind::InvalidRequest { .. }), "{error}");
    let service = "eu-west-3/i-00000000000000000".parse().expect("a name");
    assert_eq!(cloud.describe(&service).await.expect("described"), None);
    let cloud = desk.cloud(json!({ "image": null }));
    let error = cloud.provision(&request, &key()).await.expect_err("no image");
    assert!(error.to_string().contains("`image`"), "{error}");
    assert!(!format!("{cloud:?}").contains("canary"));
    assert_eq!(left(&cloud).await.iter().filter(|it| it.status != ServiceStatus::Releasing).count(), 0);
}

/// Keeps what goes out.
#[derive(Debug, Default)]
struct Kept(Mutex<Vec<RawRequest>>);

#[async_trait]
impl Transport for Kept {
    async fn send(&self, request: RawRequest) -> Result<RawResponse, TransportError> {
        let is_image = request.url.as_str().contains("DescribeImages");
        self.0.lock().expect("nobody panics").push(request);
        if is_image {
            let body =
                "<R><imagesSet><item><rootDeviceName>/dev/sda1</rootDeviceName></item></imagesSet></R>"
                    .into();
            return Ok(RawResponse { status: StatusCode::OK, headers: HeaderMap::new(), body });
        }
        Err(TransportError::NotSent("it is kept".into()))
    }
}

/// A cloud with one image, of which nothing is bought.
#[derive(Debug)]
struct Gallery(&'static str, Mutex<Vec<String>>);

#[async_trait]
impl Transport for Gallery {
    async fn send(&self, request: RawRequest) -> Result<RawResponse, TransportError> {
        let url = request.url.as_str();
        self.1.lock().expect("nobody panics").push(request.method.to_string());
        let body = if url.contains("DescribeImages") {
            format!("<R><imagesSet><item>{}</item></imagesSet></R>", self.0)
        } else if url.contains("DescribeInstanceTypes") {
            "<R><instanceTypeSet><item><instanceType>t3.nano</instanceType><vCpuInfo><defaultVCpus>2</defaultVCpus></vCpuInfo>
             <memoryInfo><sizeInMiB>512</sizeInMiB></memoryInfo></item></instanceTypeSet></R>"
                .to_owned()
        } else if url.contains("DescribeAvailabilityZones") {
            "<R><availabilityZoneInfo/></R>".to_owned()
        } else {
            return Err(TransportError::NotSent("it is sold".into()));
        };
        let headers = [("content-type", "text/xml")];
        let headers =
            headers.map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")));
        Ok(RawResponse { status: StatusCode::OK, headers: headers.into_iter().collect(), body: body.into() })
    }
}

#[tokio::test]
async fn an_image_that_costs_more_than_the_lines_say_is_not_bought() {
    let desk = Desk::new("https://cloud.example");
    const ROOT: &str = "<rootDeviceName>/dev/sda1</rootDeviceName><blockDeviceMapping><item><deviceName>/dev/sda1</deviceName>
        <ebs><volumeSize>8</volumeSize><volumeType>io2</volumeType></ebs></item></blockDeviceMapping>";
    for (image, word) in [
        ("<rootDeviceName>/dev/sda1</rootDeviceName><platform>windows</platform>", "platform windows"),
        ("<rootDeviceName>/dev/sda1</rootDeviceName><usageOperation>RunInstances:0010</usageOperation>", "RunInstances:0010"),
        ("<rootDeviceName>/dev/sda1</rootDeviceName><productCodes><item><productCode>p1</productCode></item></productCodes>", "p1"),
        ("<rootDeviceName>/dev/sda1</rootDeviceName><blockDeviceMapping><item><deviceName>/dev/sdb</deviceName>
          <ebs><volumeSize>500</volumeSize></ebs></item></blockDeviceMapping>", "500 GiB"),
        ("<rootDeviceName>/dev/sda1</rootDeviceName><blockDeviceMapping><item><deviceName>/dev/sda1</deviceName>
          <ebs><volumeSize>64</volumeSize></ebs></item></blockDeviceMapping>", "28 GiB are bought"),
        ("", "no system disk"),
    ] {
        let gallery = Arc::new(Gallery(image, Mutex::default()));
        let cloud = desk.cloud(json!({})).with_transport(gallery.clone());
        let request = request(&cloud, "t3.nano").await;
        let refused = cloud.provision(&request, &key()).await.expect_err(word);
        assert!(matches!(refused.kind, ErrorKind::InvalidRequest { .. }), "{word}: {refused}");
        assert!(refused.to_string().contains(word), "{word}: {refused}");
        let asked = gallery.1.lock().expect("nobody panics").clone();
        assert!(!asked.contains(&"POST".to_owned()), "{word}: {asked:?}");
    }
    let gallery = Arc::new(Gallery(ROOT, Mutex::default()));
    let cloud = desk.cloud(json!({})).with_transport(gallery.clone());
    let request = request(&cloud, "t3.nano").await;
    let sold = cloud.provision(&request, &key()).await.expect_err("it is sold");
    assert!(matches!(sold.kind, ErrorKind::NotSent { .. }), "{sold:?}");
    let types = desk.cloud(json!({ "volume_type": "io2" })).with_transport(gallery);
    types.provision(&request, &key()).await.expect_err("the table's gp3 is what is ordered");
}

#[tokio::test]
async fn a_machine_whose_address_or_disk_no_row_prices_is_not_offered() {
    let desk = Desk::new("https://cloud.example");
    for (row, word) in [("public_ip", "public_ip"), ("block_storage", "block storage")] {
        let prices: Vec<_> = PRICES.lines().filter(|line| !line.starts_with(row)).collect();
        std::fs::write(desk.path().join("acme.csv"), prices.join("\n")).expect("written");
        let cloud = desk.cloud(json!({})).with_transport(Arc::new(Gallery("", Mutex::default())));
        assert_eq!(offers(&cloud).await, []);
        let left_out = cloud.rejected();
        assert_eq!(left_out.len(), 4, "{left_out:?}");
        assert!(left_out.iter().all(|row| row.reason.contains(word)), "{left_out:?}");
        assert_eq!(
            offers(
                &desk
                    .cloud(json!({ "public_ip": false }))
                    .with_transport(Arc::new(Gallery("", Mutex::default())))
            )
            .await
            .len(),
            usize::from(row == "public_ip")
        );
    }
}

/// Signs a request anew, at the time that it says, and prints the signature.
const SIGN: &str = "
import json, sys
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
it = json.load(sys.stdin)
request = AWSRequest(method=it['method'], url=it['url'], data=it['body'].encode(), headers=it['headers'])
request.context['timestamp'] = it['headers']['x-amz-date']
auth = SigV4Auth(Credentials('AKIDEXAMPLE', 'canary-secret'), 'ec2', 'eu-west-3')
print(auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request))
";

#[tokio::test]
async fn another_implementation_signs_alike() {
    let Some((peer, desk)) = moto() else { return };
    let request = request(&desk.cloud(json!({})), "t3.nano").await;
    let kept = Arc::new(Kept::default());
    let cloud =
        desk.cloud(json!({ "endpoint": "https://cloud.example:8443/api" })).with_transport(kept.clone());
    let place = Place { zone: None, ..request.place };
    let odd = ProvisionRequest { name: "blanks + signs = é/~".to_owned(), place, ..request };
    cloud.provision(&odd, &key()).await.expect_err("it is kept");
    cloud.find_by_key(&key()).await.expect_err("it is kept");
    let all: Vec<RawRequest> = kept.0.lock().expect("nobody panics").drain(..).collect();
    assert_eq!(all.iter().map(|it| it.method.as_str()).collect::<Vec<_>>(), ["GET", "POST", "GET"]);
    for request in all {
        let text = |name: &str| request.headers[name].to_str().expect("text").to_owned();
        let (head, signature) = {
            let all = text("authorization");
            let (head, signature) = all.split_once(", Signature=").expect("a signature");
            (head.to_owned(), signature.to_owned())
        };
        let (_, signed) = head.split_once("SignedHeaders=").expect("which headers");
        let headers =
            signed.split(';').filter(|name| *name != "host").map(|name| (name.to_owned(), text(name)));
        let it = json!({
            "method": request.method.as_str(),
            "url": request.url.as_str(),
            "body": String::from_utf8_lossy(request.body.as_deref().unwrap_or_default()),
            "headers": headers.collect::<BTreeMap<_, _>>(),
        });
        let mut python = Command::new(peer.get("MOTO_PYTHON"));
        let mut python = python
            .args(["-c", SIGN])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python runs");
        python.stdin.take().expect("it listens").write_all(it.to_string().as_bytes()).expect("written");
        let output = python.wait_with_output().expect("it ends");
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), signature, "{it}");
    }
}

#[test]
fn the_guide_has_a_configuration_that_is_read() {
    let guide = include_str!("../../../docs/adapters/ec2.md");
    let yaml = guide.split("```yaml").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    fulcrum_core::federation::FederationConfig::from_yaml(yaml).expect("a configuration");
}

#[tokio::test]
async fn nothing_shows_a_key() {
    let desk = Desk::new("https://unused.example");
    let write = |name: &str, text: &str| std::fs::write(desk.path().join(name), text).expect("written");
    write("acme.json", &SELLER.replace("eu-west-3", "r"));
    write("access", "canary-5caf-access");
    write("secret", "canary-5caf-secret");
    write("session", "canary-5caf-session");
    let make = |http: HttpConfig| {
        let http = serde_json::to_value(http).expect("JSON");
        Arc::new(desk.cloud(json!({ "http": http, "session_token": "file:session" }))) as Arc<dyn Provider>
    };
    let handles = ["instance/r/i-0123456789abcdef0", "terminate/r/i-0123456789abcdef0"];
    let count = peers::canary::check(&["canary-5caf"], &handles, make).await;
    println!("canary: {count} texts");
}

/// Has none left of one product.
#[derive(Debug)]
struct SoldOut {
    inner: Arc<dyn Transport>,
    sku: &'static str,
}

#[async_trait]
impl Transport for SoldOut {
    async fn send(&self, request: RawRequest) -> Result<RawResponse, TransportError> {
        let body = request.body.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
        if !body.contains(&format!("InstanceType={}&", self.sku)) {
            return self.inner.send(request).await;
        }
        let body =
            "<Response><Errors><Error><Code>InsufficientInstanceCapacity</Code></Error></Errors></Response>";
        Ok(RawResponse {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            headers: HeaderMap::new(),
            body: body.into(),
        })
    }
}

pub(crate) fn live() -> Arc<dyn Transport> {
    let http = HttpConfig { keep_alive: false, timeout_ms: 10_000, ..HttpConfig::default() };
    Arc::new(NetworkTransport::new(&http).expect("a transport"))
}

#[tokio::test]
async fn orders_hold_on_a_network_that_breaks() {
    let Some((peer, desk)) = moto() else { return };
    let runs: u64 = peers::runs(10);
    let seed = std::env::var("FULCRUM_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(8000);
    // Two machines that do not fit on one; then two of which the second is sold out.
    for (name, memory, runs) in [("ec2", 1024, runs), ("ec2, sold out", 4096, runs.div_ceil(4))] {
        let Some(faults) = Faults::before(host_of(peer.get("AWS_ENDPOINT_URL"))) else { return };
        let storm = Stormy::over(live());
        let sold_out = |inner| Arc::new(SoldOut { inner, sku: "c5.large" });
        let broken = desk.cloud(json!({ "endpoint": format!("http://{}", faults.address()) }));
        let blueprint = format!(
            "{{ name: shop, components: {{ web: {{ vcpu: 1, memory_mib: 512, disk_gib: 20 }}, \
             db: {{ vcpu: 1, memory_mib: {memory}, disk_gib: 20 }} }}, \
             constraints: [{{ conflict: {{ component: web, with: [db] }} }}] }}"
        );
        let ground = Ground {
            beside: Vec::new(),
            broken: Arc::new(broken.with_transport(sold_out(storm.clone()))),
            direct: Arc::new(desk.cloud(json!({})).with_transport(sold_out(live()))),
            faults,
            storm,
            blueprint,
            leave_out: &[],
            step_timeout_s: 20,
        };
        let sum = peers::orders::run(name, &ground, runs, seed).await;
        assert!(if memory == 1024 { sum.committed > 0 } else { sum.committed == 0 });
        assert_eq!(left(&*ground.direct).await, []);
    }
}

/// Gateways that break: what is below them honours client tokens.
#[tokio::test]
async fn orders_hold_where_client_tokens_are_honoured() {
    let Some((peer, desk)) = moto() else { return };
    let honouring = Arc::new(Honouring::default());
    let storm = Stormy::over(honouring.clone());
    let cloud = |transport: Arc<dyn Transport>| {
        let honoured = json!({ "client_token": "honoured", "list_lag_ms": 1900 });
        let sold_out = SoldOut { inner: transport, sku: "c5.large" };
        Arc::new(desk.cloud(honoured).with_transport(Arc::new(sold_out)))
    };
    for (name, memory) in [("ec2, honoured", 1024), ("ec2, honoured, sold out", 4096)] {
        let blueprint = format!(
            "{{ name: shop, components: {{ web: {{ vcpu: 1, memory_mib: 512, disk_gib: 20 }}, \
             db: {{ vcpu: 1, memory_mib: {memory}, disk_gib: 20 }} }}, \
             constraints: [{{ conflict: {{ component: web, with: [db] }} }}] }}"
        );
        // Nobody connects to it: the tokens are remembered on this side of it.
        let Some(faults) = Faults::before(host_of(peer.get("AWS_ENDPOINT_URL"))) else { return };
        let ground = Ground {
            beside: Vec::new(),
            broken: cloud(storm.clone()),
            direct: cloud(honouring.clone()),
            faults,
            storm: storm.clone(),
            blueprint,
            leave_out: &[],
            step_timeout_s: 20,
        };
        let sum = peers::orders::run(name, &ground, peers::runs(4), 9000).await;
        assert!(if memory == 1024 { sum.committed > 0 } else { sum.committed == 0 });
        tokio::time::sleep(LAG).await;
        assert_eq!(left(&*ground.direct).await, []);
    }
}
