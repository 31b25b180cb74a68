//! A document reads, writes and reaches what the program lets it.

use std::{os::unix::fs::symlink, path::Path};

use fulcrum_core::{
    federation::{ConfigError, Federation, FederationConfig},
    provider::{AccessDenied, AccessGrants, Base, http::HttpConfigError},
};
use serde_json::{Value, json};

use crate::peers::server::{Server, Story, answer};

const CATALOGUE: &str = r#"{"format": "fulcrum-catalogue/1", "providers": [
    {"id": "alpha", "name": "Alpha", "legal_name": "Alpha", "country": "DE", "regions": [{"id": "r", "country": "DE"}],
     "offers": [{"kind": "machine", "sku": "m", "region": "r", "vcpu": 2, "memory_mib": 4096, "monthly": "10",
                 "disk_gib": 40, "currency": "EUR", "tax": "net", "observed": "2026-11-01", "source": "a test"}]}]}"#;

/// A folder with the document's own one in it, `tenant`.
fn desk() -> tempfile::TempDir {
    let desk = tempfile::tempdir().expect("a folder");
    for folder in ["tenant", "other"] {
        std::fs::create_dir(desk.path().join(folder)).expect("a folder");
        std::fs::write(desk.path().join(folder).join("c.json"), CATALOGUE).expect("written");
        std::fs::write(desk.path().join(folder).join("token"), "canary-token").expect("written");
    }
    desk
}

fn document(providers: &Value) -> FederationConfig {
    let text = json!({ "ledger": ":memory:", "providers": [providers] }).to_string();
    FederationConfig::from_yaml(&text).expect("a document")
}

async fn open(document: &FederationConfig, base: &Base) -> Result<Federation, ConfigError> {
    document.open_within(base, []).await
}

fn is_outside<T>(said: &Result<T, ConfigError>) -> bool {
    use fulcrum_core::provider::sandbox::SandboxError;
    matches!(
        said,
        Err(ConfigError::AccessDenied(_)
            | ConfigError::Sandbox(SandboxError::AccessDenied(_))
            | ConfigError::Adapter { source: HttpConfigError::AccessDenied(_), .. })
    )
}

#[tokio::test]
async fn files_are_read_and_written_below_the_documents_folder_alone() {
    let desk = desk();
    let (tenant, other) = (desk.path().join("tenant"), desk.path().join("other"));
    symlink(other.join("c.json"), tenant.join("link.json")).expect("a link");
    symlink(&other, tenant.join("way")).expect("a link");
    symlink(desk.path().join("nowhere"), tenant.join("loose")).expect("a link");
    std::fs::create_dir(tenant.join("tables")).expect("a folder");
    symlink(other.join("c.json"), tenant.join("tables/c.json")).expect("a link");
    std::fs::write(tenant.join("pair.csv"), "").expect("written");
    symlink(other.join("c.json"), tenant.join("pair.json")).expect("a link");
    let absolute = other.join("c.json");
    let absolute = absolute.to_str().expect("text");
    let hetzner = |http: Value, token: &str| json!({ "hetzner": { "token": token, "http": http } });
    let mut documents = Vec::new();
    for providers in [
        json!({ "catalogue_file": "../other/c.json" }),
        json!({ "catalogue_file": "./../tenant/../other/c.json" }),
        json!({ "catalogue_file": absolute }),
        json!({ "catalogue_file": "link.json" }),
        json!({ "catalogue_file": "way/c.json" }),
        json!({ "catalogue_file": "tables" }),
        json!({ "catalogue_file": "pair.csv" }),
        json!({ "sandbox": { "catalogue": absolute } }),
        json!({ "sandbox": { "catalogue": "c.json", "state": "../state" } }),
        json!({ "sandbox": { "catalogue": "c.json", "state": "way/state" } }),
        hetzner(json!({}), "file:../other/token"),
        hetzner(json!({}), "file:way/token"),
        hetzner(json!({ "record": "../tape" }), "file:token"),
        hetzner(json!({ "record": "way/tape" }), "file:token"),
        hetzner(json!({ "record": "loose" }), "file:token"),
        hetzner(json!({ "ca_file": "../other/token" }), "file:token"),
        hetzner(json!({ "proxy": "http://127.0.0.1:9" }), "file:token"),
        json!({ "hetzner": { "token": "file:token", "catalogue": absolute } }),
    ] {
        let document = document(&providers);
        let said = document.open(&tenant).await;
        assert!(is_outside(&said), "{providers}: {said:?}");
        let error = said.expect_err("outside").to_string();
        assert!(error.contains("trusted") && !error.contains("canary"), "{error}");
        documents.push(document);
    }
    assert_eq!(std::fs::read_dir(&other).expect("a folder").count(), 2, "something was written there");
    for document in documents {
        let trusted = open(&document, &Base::trusted(&tenant)).await;
        assert!(!is_outside(&trusted), "{document:?}: {trusted:?}");
    }
    for ledger in ["../orders.db", "/dev/shm/orders.db", "way/orders.db", "postgresql://db.internal/orders"] {
        if ledger.starts_with("postgresql") && !cfg!(feature = "postgres") {
            continue;
        }
        let text = json!({ "ledger": ledger, "providers": [{ "catalogue_file": "c.json" }] }).to_string();
        let said = FederationConfig::from_yaml(&text).expect("a document").open(&tenant).await;
        assert!(is_outside(&said), "{ledger}: {said:?}");
    }
    let text = json!({ "ledger": ":memory:", "rates": "../other/c.json", "providers": [{ "catalogue_file": "c.json" }] });
    let said = FederationConfig::from_yaml(&text.to_string()).expect("a document").open(&tenant).await;
    assert!(is_outside(&said), "{said:?}");
}

/// What is below it is as before, also by its whole path, and where the program says that more may be read.
#[tokio::test]
async fn a_document_that_stays_below_its_folder_opens() {
    let desk = desk();
    let (tenant, other) = (desk.path().join("tenant"), desk.path().join("other"));
    symlink(tenant.join("c.json"), tenant.join("inner.json")).expect("a link");
    for path in [Path::new("c.json"), Path::new("./inner.json"), &tenant.join("c.json")] {
        document(&json!({ "catalogue_file": path })).open(&tenant).await.expect("it stays below");
    }
    let elsewhere = document(&json!({ "catalogue_file": other.join("c.json") }));
    open(&elsewhere, &Base::confined(&tenant, AccessGrants::default().folder(&other)))
        .await
        .expect("it may be read");
    let written = document(&json!({ "sandbox": { "catalogue": "c.json", "state": other.join("state") } }));
    let said = open(&written, &Base::confined(&tenant, AccessGrants::default().folder(&other))).await;
    assert!(is_outside(&said), "to read is not to write: {said:?}");
    document(&json!({ "hetzner": { "token": "file:token", "http": { "record": "tape.jsonl" } } }))
        .open(&tenant)
        .await
        .expect("the public API");
}

/// The name of a file of something else is no place for a recording.
#[tokio::test]
async fn a_recording_is_not_written_into_another_file() {
    let desk = desk();
    let tenant = desk.path().join("tenant");
    let said = document(&json!({ "hetzner": { "token": "file:token", "http": { "record": "c.json" } } }))
        .open(&tenant)
        .await;
    let error = said.expect_err("no recording").to_string();
    assert!(error.contains("not a recording"), "{error}");
    assert_eq!(std::fs::read_to_string(tenant.join("c.json")).expect("text"), CATALOGUE);
}

#[tokio::test]
async fn a_secret_is_sent_to_no_host_that_only_the_document_names() {
    let desk = desk();
    let tenant = desk.path().join("tenant");
    let server = Server::start(Story::say(&answer(404, &[], "{}"))).await;
    let document = document(
        &json!({ "hetzner": { "token": "file:token", "http": { "base_url": server.url(), "timeout_ms": 2000 } } }),
    );
    let said = document.open(&tenant).await;
    assert!(is_outside(&said), "{said:?}");
    let error = said.expect_err("outside").to_string();
    assert!(error.contains("file:token") && error.contains("127.0.0.1"), "{error}");
    let reach = AccessGrants::default().credential("file:token", "127.0.0.1");
    for base in [Base::confined(&tenant, reach), Base::trusted(&tenant)] {
        open(&document, &base).await.expect("the program names the host").refresh().await;
    }
    let said = open(
        &document,
        &Base::confined(&tenant, AccessGrants::default().credential("file:other", "127.0.0.1")),
    )
    .await;
    assert!(is_outside(&said), "{said:?}");
    assert!(server.requests().iter().all(|text| text.contains("canary-token")), "{:?}", server.requests());
    assert!(!server.requests().is_empty());
}

/// A file stands in for the usual variable of one field of one adapter, and goes to the hosts of its API alone: what lies beside
/// them, and what another adapter calls its own, may be anybody's.
#[cfg(feature = "adapters")]
#[tokio::test]
async fn a_file_goes_to_the_api_of_the_field_that_names_it() {
    let desk = desk();
    let tenant = desk.path().join("tenant");
    let table = |region: &str| {
        let row = format!("machine,m,{region},2,4096,40,5.00,EUR,net,2026-11-25,list\n");
        let head = "kind,sku,region,vcpu,memory_mib,disk_gib,monthly,currency,tax,observed,source\n";
        std::fs::write(tenant.join("aws.csv"), format!("{head}{row}")).expect("written");
        let facts = json!({ "format": "fulcrum-provider/1", "id": "aws", "name": "A", "legal_name": "A", "country": "US",
            "regions": [{ "id": region, "country": "DE" }] });
        std::fs::write(tenant.join("aws.json"), facts.to_string()).expect("written");
    };
    let hetzner = |base_url: &str| {
        document(&json!({ "hetzner": { "token": "file:token", "http": { "base_url": base_url } } }))
    };
    for host in [
        "ec2.eu-central-1.amazonaws.com",
        "abc123.execute-api.eu-central-1.amazonaws.com",
        "evil.exoscale.com",
        "api-ch-gva-2.exoscale.com",
        "a.api.hetzner.cloud",
    ] {
        let said = hetzner(&format!("https://{host}")).open(&tenant).await;
        assert!(is_outside(&said), "{host}: {said:?}");
    }
    hetzner("https://api.hetzner.cloud/v1").open(&tenant).await.expect("its own");
    let ec2 = |http: Value| {
        document(
            &json!({ "ec2": { "id": "aws", "endpoint": "https://ec2.{region}.amazonaws.com", "client_token": "honoured", "access_key": "file:token", "secret_key": "file:token",
            "catalogue": "aws.csv", "image": "ami-1", "public_ip": false, "http": http } }),
        )
    };
    table("eu-central-1");
    ec2(json!({})).open(&tenant).await.expect("its own");
    for host in ["ec2.s3.amazonaws.com", "x.amazonaws.com", "api.hetzner.cloud"] {
        let said = ec2(json!({ "base_url": format!("https://{host}") })).open(&tenant).await;
        assert!(is_outside(&said), "{host}: {said:?}");
    }
    // A table of prices chooses no host, also for a document of the operator's own.
    for region in ["evil.example#", "evil.example?", "x.evil.example", "s3"] {
        table(region);
        for base in [Base::confined(&tenant, AccessGrants::default()), Base::trusted(&tenant)] {
            let said = open(&ec2(json!({})), &base).await;
            let is_label = region == "s3";
            assert_eq!(said.is_ok(), is_label && base.is_trusted(), "{region}: {said:?}");
        }
    }
}

#[test]
fn what_is_outside_says_what_to_do() {
    let base = Base::confined("/srv/tenant", AccessGrants::default());
    for (outside, words) in [
        (base.to_read(Path::new("../x")).expect_err("outside"), "../x is not below /srv/tenant"),
        (
            base.check_destination("env:A", None, "a.example", false).expect_err("outside"),
            "the secret env:A may not be sent to a.example",
        ),
        (base.check_ledger("env:B").expect_err("outside"), "the ledger env:B may not be opened"),
        (AccessDenied::Setting { setting: "proxy" }, "`proxy` may stand in a trusted document only"),
    ] {
        assert!(outside.to_string().contains(words), "{outside}");
    }
}

/// What a catalogue calls a provider is a name, not a place in the file system; and links are not followed out.
#[tokio::test]
async fn a_sandbox_writes_below_its_folder_whatever_a_catalogue_says() {
    let desk = desk();
    let (tenant, other) = (desk.path().join("tenant"), desk.path().join("other"));
    let precious = "precious".repeat(20);
    let victims =
        ["precious.json", "precious.lock", "precious.json.lock", "precious.new", "precious.json.new"];
    for name in victims {
        std::fs::write(other.join(name), &precious).expect("written");
    }
    let before = std::fs::read_dir(&other).expect("a folder").count();
    let absolute = other.join("precious").display().to_string();
    for id in ["../../other/precious", absolute.as_str(), "a/../../../other/precious", "..", "/"] {
        let catalogue = CATALOGUE.replace(r#""id": "alpha""#, &format!(r#""id": "{id}""#));
        std::fs::write(tenant.join("evil.json"), catalogue).expect("written");
        let document = document(&json!({ "sandbox": { "catalogue": "evil.json", "state": "state" } }));
        for base in [Base::confined(&tenant, AccessGrants::default()), Base::trusted(&tenant)] {
            let catalogue = open(&document, &base).await.expect("it opens").refresh().await;
            assert_eq!(catalogue.len(), 1, "{id}: {:?}", catalogue.sources());
        }
    }
    assert_eq!(std::fs::read_dir(&other).expect("a folder").count(), before, "something was written there");
    for name in victims {
        assert_eq!(std::fs::read_to_string(other.join(name)).expect("text"), precious, "{name}");
    }
    // A file of somebody else's in the folder, and a link out of it.
    let document = document(&json!({ "sandbox": { "catalogue": "c.json", "state": "mine" } }));
    std::fs::create_dir(tenant.join("mine")).expect("a folder");
    for ending in [".lock", ".new", ""] {
        let file = tenant.join(format!("mine/alpha.json{ending}"));
        symlink(other.join("precious.json"), &file).expect("a link");
        if let Ok(market) = document.open(&tenant).await {
            assert_eq!(market.refresh().await.len(), 0, "{ending}");
        }
        std::fs::remove_file(&file).expect("removed");
        std::fs::write(&file, &precious).expect("written");
        let catalogue = document.open(&tenant).await.expect("it opens").refresh().await;
        assert!(
            catalogue.why_empty().is_some_and(|why| why.contains("of a sandbox")),
            "{:?}",
            catalogue.sources()
        );
        assert_eq!(std::fs::read_to_string(&file).expect("text"), precious, "{ending}");
        std::fs::remove_file(&file).expect("removed");
    }
    assert_eq!(std::fs::read_to_string(other.join("precious.json")).expect("text"), precious);
}

/// A folder on the way to the state, or the file of rates, that becomes a link later leads nowhere.
#[tokio::test]
async fn files_that_are_read_again_are_confined_again() {
    let desk = desk();
    let (tenant, other) = (desk.path().join("tenant"), desk.path().join("other"));
    let today = jiff::tz::TimeZone::UTC.to_datetime(jiff::Timestamp::now()).date();
    let rates = |folder: &Path, rate: &str| {
        std::fs::write(folder.join("rates.csv"), format!("Date, USD\n{today}, {rate}\n")).expect("written");
    };
    rates(&tenant, "1.25");
    rates(&other, "2.5");
    let text = json!({ "ledger": ":memory:", "rates": "rates.csv",
        "providers": [{ "sandbox": { "catalogue": "c.json", "state": "state" } }] });
    let document = FederationConfig::from_yaml(&text.to_string()).expect("a document");
    let market = document.open(&tenant).await.expect("it opens");
    let one = |catalogue: std::sync::Arc<fulcrum_core::catalogue::Catalogue>| {
        catalogue.rates().convert(1.into(), iso_currency::Currency::EUR, iso_currency::Currency::USD)
    };
    let (now, outside) = ("1.25".parse().ok(), "2.5".parse().ok());
    assert_eq!(one(market.refresh().await), now);
    std::fs::remove_file(tenant.join("rates.csv")).expect("removed");
    symlink(other.join("rates.csv"), tenant.join("rates.csv")).expect("a link");
    assert_eq!(one(market.refresh().await), now, "those before hold");
    let trusted = open(&document, &Base::trusted(&tenant)).await.expect("the operator's own");
    assert_eq!(one(trusted.refresh().await), outside);
    std::fs::rename(tenant.join("state"), tenant.join("old")).expect("renamed");
    symlink(&other, tenant.join("state")).expect("a link");
    let before = std::fs::read_dir(&other).expect("a folder").count();
    let catalogue = market.refresh().await;
    assert!(format!("{:?}", catalogue.sources()).contains("is not below"), "{:?}", catalogue.sources());
    assert_eq!(std::fs::read_dir(&other).expect("a folder").count(), before);
}

/// Whether a variable is there is none of a document's business that may not use it.
#[tokio::test]
async fn a_confined_document_learns_nothing_of_variables() {
    let desk = desk();
    let tenant = desk.path().join("tenant");
    let set = "PATH";
    assert!(std::env::var(set).is_ok() && std::env::var("FULCRUM_NOT_SET").is_err());
    let said =
        async |document: &FederationConfig| document.open(&tenant).await.expect_err("outside").to_string();
    let ledger = |name: &str| {
        let text = json!({ "ledger": format!("env:{name}"), "providers": [{ "catalogue_file": "c.json" }] });
        FederationConfig::from_yaml(&text.to_string()).expect("a document")
    };
    let token = |name: &str| document(&json!({ "hetzner": { "token": format!("env:{name}") } }));
    for of in [&ledger as &dyn Fn(&str) -> FederationConfig, &token] {
        let (there, not_there) = (said(&of(set)).await, said(&of("FULCRUM_NOT_SET")).await);
        assert_eq!(there.replace(set, "X"), not_there.replace("FULCRUM_NOT_SET", "X"));
        assert!(there.contains("trusted"), "{there}");
    }
}

/// What has no end, or waits for somebody who writes, is an error at once.
#[tokio::test]
async fn a_pipe_in_the_place_of_a_file_keeps_nobody_waiting() {
    let desk = desk();
    let tenant = desk.path().join("tenant");
    for name in ["pipe", "pipe.csv", "pipe.json"] {
        let made = std::process::Command::new("mkfifo").arg(tenant.join(name)).status().expect("mkfifo runs");
        assert!(made.success());
    }
    let provider = json!({ "catalogue_file": "c.json" });
    for (rates, provider) in [
        (json!("pipe"), provider.clone()),
        (json!(null), json!({ "catalogue_file": "pipe" })),
        (json!(null), json!({ "catalogue_file": "pipe.csv" })),
        (json!(null), json!({ "sandbox": { "catalogue": "pipe.json" } })),
        (
            json!(null),
            json!({ "scaleway": { "project": "p", "secret_key": "file:token", "storage": "pipe" } }),
        ),
    ] {
        let text = json!({ "ledger": ":memory:", "rates": rates, "providers": [provider] }).to_string();
        let Ok(document) = FederationConfig::from_yaml(&text) else { panic!("{text}") };
        let (sender, told) = std::sync::mpsc::channel();
        let folder = tenant.clone();
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            sender.send(runtime.block_on(document.open(&folder)).map(drop).map_err(|error| error.to_string()))
        });
        let said = told.recv_timeout(std::time::Duration::from_secs(20)).expect("it does not wait");
        let why = said.expect_err("it is no file");
        assert!(why.contains("a pipe, a device or a socket"), "{why}");
    }
}
