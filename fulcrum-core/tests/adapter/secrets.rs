//! A whole order at every adapter, with canaries in its credential and in what its machine is told at its first start: neither
//! is in anything that is written anywhere, but for the settings in the ledger, of which `SECURITY.md` says so.
//!
//! In a process of its own, so that all threads log to this test.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    path::Path,
    process::Command,
    sync::{Arc, Mutex},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use fulcrum_core::{
    catalogue::{CatalogueBuilder, Rates},
    compose::{ComposeOptions, Signal, compose, explain},
    ledger::{Ledger, SqliteLedger},
    model::{Action, Blueprint, Operator, Order, OrderState, Plan, Policy},
    provider::{OfferFilter, Provider, ProviderError, layers},
    purchase::{Engine, PurchaseError, RepairPolicy},
};
use futures::TryStreamExt;
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use sqlx::{AssertSqlSafe, Connection, Row, SqliteConnection};

use crate::imitation::{self, Api, Imitation, RECORD, SECRET};

/// Taken for a name, a key or a password by each adapter.
const CREDENTIAL: &str = "canary-cred-51f0";
const USER_DATA: &str = "#cloud-config\npassword: canary-user-77aa\nwrite_files: [\"canary-file-<&>\"]\n";
const TOLD: [&str; 2] = ["canary-user-77aa", "canary-file-"];
/// What keystone has told, which is as good as a password.
const SESSION: &str = "t0k3n-0000";
/// Where settings are kept.
const KEPT: [(&str, &str); 3] = [("orders", "plan"), ("orders", "rounds"), ("steps", "lease")];

/// Where handles are kept.
const HANDLES: [(&str, &str); 2] = [("steps", "state"), ("events", "kind")];

/// Every form in which a text could have been written, as far as one can tell.
fn forms(text: &str) -> BTreeSet<String> {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut forms = BTreeSet::from([text.to_owned(), STANDARD.encode(text), hex(text.as_bytes())]);
    forms.insert(url::form_urlencoded::byte_serialize(text.as_bytes()).collect());
    // Behind a name, as basic credentials are, at each of the three shifts.
    for before in ["u:", "uu:", "uuu:"] {
        let coded = STANDARD.encode(format!("{before}{text}"));
        forms.insert(coded[8..coded.len() - 4].to_owned());
    }
    forms
}

fn credentials() -> BTreeSet<String> {
    let mut all = forms(CREDENTIAL);
    all.insert(SESSION.to_owned());
    all
}

fn user_data() -> BTreeSet<String> {
    let mut all: BTreeSet<String> = TOLD.iter().map(|it| (*it).to_owned()).collect();
    all.insert(STANDARD.encode(USER_DATA));
    all.insert(url::form_urlencoded::byte_serialize(USER_DATA.as_bytes()).collect());
    all
}

/// The first of these that is shown, and what stands before it.
fn shown<'a>(text: &'a str, canaries: &BTreeSet<String>) -> Option<(String, &'a str)> {
    canaries.iter().find_map(|canary| {
        let found = text.find(canary.as_str())?;
        let from = text[..found].char_indices().rev().nth(300).map_or(0, |(at, _)| at);
        Some((canary.clone(), &text[from..found]))
    })
}

/// Where making a service takes several requests, the later ones need the settings: an operation's handle holds them, which
/// the order and its events keep.
const IN_HANDLES: [&str; 2] = ["osb", "proxmox"];
/// They take no setting that could hold it.
const TELLS_NOTHING: [&str; 1] = ["scaleway"];
/// What shows handles.
const SHOW_HANDLES: [&str; 7] = ["purchase", "act", "cancel", "refused", "events", "follow", "archive"];

fn assert_hidden(at: &str, text: &str) {
    assert_none_of(at, text, &credentials().union(&user_data()).cloned().collect());
}

/// Credentials are nowhere; what a machine is told may be where handles are, at the APIs that need it there.
fn assert_hidden_beside_handles(api: &str, at: &str, text: &str) {
    match IN_HANDLES.contains(&api) && SHOW_HANDLES.contains(&at) {
        true => assert_none_of(&format!("{api}, {at}"), text, &credentials()),
        false => assert_hidden(&format!("{api}, {at}"), text),
    }
}

fn assert_none_of(at: &str, text: &str, all: &BTreeSet<String>) {
    if let Some((canary, before)) = shown(text, all) {
        panic!("{at}: {canary} is shown behind: {before}");
    }
}

/// All that is logged, and by all threads.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The names and labels of all numbers.
#[derive(Debug, Clone, Default)]
struct Names(Arc<Mutex<BTreeSet<String>>>);

impl Names {
    fn note(&self, key: &Key) {
        self.0.lock().expect("no panic").insert(format!("{key:?}"));
    }
}

impl Recorder for Names {
    fn describe_counter(&self, key: KeyName, _: Option<Unit>, text: SharedString) {
        self.0.lock().expect("no panic").insert(format!("{key:?} {text}"));
    }
    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, text: SharedString) {
        self.describe_counter(key, unit, text);
    }
    fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, text: SharedString) {
        self.describe_counter(key, unit, text);
    }
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        self.note(key);
        Counter::noop()
    }
    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        self.note(key);
        Gauge::noop()
    }
    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        self.note(key);
        Histogram::noop()
    }
}

fn by() -> Operator {
    Operator { who: "ada".to_owned(), why: "a test".to_owned() }
}

/// An error, its causes, and both as programs print them.
fn told(error: &(dyn std::error::Error + 'static)) -> Vec<String> {
    let mut texts = vec![format!("{error} {error:?}")];
    let mut cause = error.source();
    while let Some(at) = cause {
        texts.push(format!("{at} {at:?}"));
        cause = at.source();
    }
    texts
}

/// Where the texts of one order are from, and what they are.
type Texts = Vec<(&'static str, String)>;

/// A plan for a machine that is told something in each setting that may hold it; what is explained of it is shown.
async fn wanted(api: &Api, provider: &dyn Provider, texts: &mut Texts) -> Plan {
    let offers = provider.offers(&OfferFilter::default()).try_collect::<Vec<_>>().await.expect(api.name);
    let mut builder = CatalogueBuilder::new(jiff::Timestamp::now(), Rates::none());
    builder.extend(offers);
    let catalogue = builder.build();
    let mut blueprint = Blueprint::from_yaml(api.blueprint).expect("a blueprint");
    let taken = provider.capabilities().settings.clone();
    for component in blueprint.components.values_mut() {
        for name in ["user_data", "ssh_key", "password"] {
            if taken.as_ref().is_none_or(|taken| taken.has(name)) {
                component.settings.insert(name.to_owned(), USER_DATA.into());
            }
        }
    }
    let options = ComposeOptions::default();
    let plan = compose(&catalogue, &blueprint, &options, &mut |_| Signal::Continue).expect(api.name);
    let explained =
        explain(&catalogue, &blueprint, &plan, &options, &mut |_| Signal::Continue).expect(api.name);
    texts.push(("explain", format!("{explained:?} {}", serde_json::to_string(&explained).expect("JSON"))));
    plan
}

fn reports(at: &'static str, order: &Order, texts: &mut Texts) {
    texts.push((at, format!("{:?}", order.reason)));
    for step in &order.steps {
        texts.push((at, format!("{} {} {:?} {:?}", step.key, step.provider, step.state, step.attempts)));
    }
}

async fn outcome(
    at: &'static str,
    outcome: Result<Order, PurchaseError>,
    texts: &mut Texts,
) -> Option<OrderState> {
    match outcome {
        Ok(order) => {
            reports(at, &order, texts);
            Some(order.state)
        }
        Err(error) => {
            texts.extend(told(&error).into_iter().map(|text| (at, text)));
            None
        }
    }
}

/// What a program shows of an order, and of all of them.
async fn show(engine: &Engine, order: &Order, texts: &mut Texts) {
    let events = engine.ledger().events(0, Some(&order.id), u32::MAX).await.expect("events");
    texts.push(("events", format!("{events:?} {}", serde_json::to_string(&events).expect("JSON"))));
    let followed: Vec<_> = engine.follow(order.id.clone()).try_collect().await.expect("followed");
    texts.push(("follow", format!("{followed:?}")));
    let timeline = engine.timeline(&order.id).await.expect("a timeline");
    texts.push((
        "timeline",
        format!("{timeline} {timeline:?} {}", serde_json::to_string(&timeline).expect("JSON")),
    ));
    let scan = engine.reconcile().await.expect("a scan");
    texts.push(("reconcile", format!("{scan:?} {}", serde_json::to_string(&scan).expect("JSON"))));
    let repair = engine.repair(&RepairPolicy::all()).await.expect("a scan");
    texts.push(("repair", format!("{repair:?} {}", serde_json::to_string(&repair).expect("JSON"))));
    texts.push(("engine", format!("{engine:?}")));
}

/// An archive is a copy of the order: its settings are in the plan and the leases, and nowhere else.
async fn archived(engine: &Engine, order: &Order, api: &str) {
    let archive = engine.export(&order.id).await.expect("an archive");
    let mut archive = serde_json::to_value(&archive).expect("JSON");
    assert_none_of(api, &archive.to_string(), &credentials());
    without_settings(&mut archive);
    assert_hidden_beside_handles(api, "archive", &archive.to_string());
}

fn without_settings(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(fields) => {
            fields.remove("settings");
            fields.values_mut().for_each(without_settings);
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(without_settings),
        _ => {}
    }
}

/// One order from its start to its end; and one that is refused by an API that repeats the whole request.
async fn live(api: Api, folder: &Path) -> (usize, String) {
    let cloud = Imitation::start(api).await;
    let tape = folder.join(format!("{}.jsonl", api.name));
    RECORD.set(Some(tape.clone()));
    SECRET.set(CREDENTIAL);
    let provider = cloud.another();
    RECORD.set(None);
    SECRET.set("secret-0000");
    let mut texts: Texts = vec![("provider", format!("{provider:?}"))];
    let bare = provider.clone();
    let provider: Arc<dyn Provider> = Arc::new(layers::Trace::new(provider));
    texts.push(("provider", format!("{provider:?}")));
    let path = folder.join(format!("{}.db", api.name));
    let ledger: Arc<dyn Ledger> = Arc::new(SqliteLedger::open(&path).await.expect("a ledger"));
    texts.push(("ledger", format!("{ledger:?}")));
    let engine = Engine::new(BTreeMap::from([(provider.id().clone(), provider.clone())]), ledger.clone());
    let policy = Policy::default()
        .with_step_timeout_s(5)
        .with_compensation_timeout_s(1)
        .with_max_table_age_days(u32::MAX);
    let wanted = wanted(&api, &*bare, &mut texts).await;

    let accepted = engine.accept(wanted.clone(), policy.clone(), None).await.expect(api.name);
    let state = outcome("purchase", engine.drive(&accepted.id).await, &mut texts).await;
    assert_eq!(state, Some(OrderState::Committed), "{}: {texts:#?}", api.name);
    outcome("act", engine.act(&accepted.id, 0, Action::Stop, by()).await, &mut texts).await;
    let reboot = Action::Other { name: "reboot".to_owned() };
    outcome("act", engine.act(&accepted.id, 0, reboot, by()).await, &mut texts).await;
    let state = outcome("cancel", engine.cancel(&accepted.id).await, &mut texts).await;
    assert_eq!(state, Some(OrderState::Ended), "{}: {texts:#?}", api.name);
    let ended = engine.load(&accepted.id).await.expect("loaded");
    show(&engine, &ended, &mut texts).await;
    archived(&engine, &ended, api.name).await;

    // Refused, with the whole request in the refusal.
    cloud.world().echoes = true;
    let refused = engine.accept(wanted, policy, None).await.expect(api.name);
    outcome("refused", engine.drive(&refused.id).await, &mut texts).await;
    cloud.world().echoes = false;
    outcome("refused", engine.cancel(&refused.id).await, &mut texts).await;
    let refused = engine.load(&refused.id).await.expect("loaded");
    show(&engine, &refused, &mut texts).await;
    archived(&engine, &refused, api.name).await;
    let refused: Option<ProviderError> =
        provider.offers(&OfferFilter::default()).try_collect::<Vec<_>>().await.err();
    texts.extend(refused.iter().flat_map(|error| told(error)).map(|text| ("offers", text)));

    let recorded = std::fs::read_to_string(&tape).expect("a recording");
    assert!(recorded.lines().count() > 6, "{}: {recorded}", api.name);
    texts.push(("recording", recorded));
    for (at, text) in &texts {
        assert_hidden_beside_handles(api.name, at, text);
    }
    drop((engine, ledger));
    (texts.len(), kept(&path, api.name).await)
}

/// The credential is nowhere in the ledger's files, and what a machine is told only among its settings. The answer is what
/// was found there.
async fn kept(path: &Path, api: &str) -> String {
    for end in ["", "-wal", "-shm", "-journal"] {
        let Ok(bytes) = std::fs::read(format!("{}{end}", path.display())) else { continue };
        let text = String::from_utf8_lossy(&bytes);
        if let Some((canary, _)) = shown(&text, &credentials()) {
            panic!("{api}: {canary} is in the ledger's file");
        }
    }
    let mut raw = SqliteConnection::connect(path.to_str().expect("a path")).await.expect("connected");
    let columns = "SELECT m.name, p.name FROM sqlite_schema AS m, pragma_table_info(m.name) AS p
        WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'";
    let columns: Vec<(String, String)> = sqlx::query_as(columns).fetch_all(&mut raw).await.expect("columns");
    assert!(columns.len() > 20, "{columns:?}");
    let mut settings = String::new();
    for (table, column) in columns {
        let query = format!("SELECT CAST(\"{column}\" AS BLOB) FROM \"{table}\"");
        for row in sqlx::query(AssertSqlSafe(query)).fetch_all(&mut raw).await.expect("rows") {
            let bytes: Vec<u8> = row.get::<Option<Vec<u8>>, _>(0).unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes);
            let place = (table.as_str(), column.as_str());
            if KEPT.contains(&place) || (IN_HANDLES.contains(&api) && HANDLES.contains(&place)) {
                settings.push_str(&text);
            } else {
                assert_hidden(&format!("{api}, the ledger's {table}.{column}"), &text);
            }
        }
    }
    settings
}

#[test]
fn no_canary_of_a_whole_order_shows_anywhere() {
    let output = Command::new(std::env::current_exe().expect("this executable"))
        .args(["--exact", "secrets::the_process_with_secrets", "--ignored", "--nocapture"])
        .env("FULCRUM_SECRETS", "1")
        .output()
        .expect("a child process");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let figure = said.lines().find(|line| line.starts_with("figure: "));
    println!("{}", figure.expect("the test was run"));
}

#[test]
#[ignore = "run by the test above, as a process of its own"]
fn the_process_with_secrets() {
    if std::env::var_os("FULCRUM_SECRETS").is_none() {
        return;
    }
    let (log, names) = (Log::default(), Names::default());
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::set_global_default(subscriber).expect("the only one");
    metrics::set_global_recorder(names.clone()).expect("the only one");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    // Mostly they wait.
    let lives = imitation::ALL.map(|api| live(api, folder.path()));
    let lived = runtime.block_on(futures::future::join_all(lives));
    let mut counted = 0;
    for (api, (texts, settings)) in imitation::ALL.iter().zip(lived) {
        counted += texts;
        // Else nothing was looked for.
        let has_user_data = shown(&settings, &user_data()).is_some();
        let is_told = !TELLS_NOTHING.contains(&api.name);
        assert_eq!(has_user_data, is_told, "{}: {settings}", api.name);
    }
    let names = names.0.lock().expect("no panic").clone();
    assert!(names.len() > 8, "{names:?}");
    names.iter().for_each(|name| assert_hidden("a metric", name));
    let log = String::from_utf8_lossy(&log.0.lock().expect("no panic")).into_owned();
    assert!(log.contains("TRACE") && log.lines().count() > 500, "nothing was logged");
    assert_hidden("the log", &log);
    println!(
        "figure: an order and a refusal at {} adapters: {counted} texts, {} names of metrics, {} lines of log: no canary",
        imitation::ALL.len(),
        names.len(),
        log.lines().count()
    );
}
