//! Eight clouds in a few lines each: enough of their APIs to buy, find and end one machine, and every way to answer wrongly.
#![allow(dead_code, unreachable_pub, reason = "each test uses its own part")]

pub mod ec2;
pub mod exoscale;
pub mod hetzner;
pub mod openstack;
pub mod osb;
pub mod proxmox;
pub mod scaleway;
pub mod upcloud;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, MutexGuard},
};

use fulcrum_core::provider::{Provider, http::Transport};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::Value;

use crate::peers::server::{Server, Story, answer};

/// An adapter over another transport than the network.
type Over = fn(&Path, &str, Arc<dyn Transport>) -> Arc<dyn Provider>;

/// What one cloud is in these tests.
#[derive(Debug, Clone, Copy)]
pub struct Api {
    pub name: &'static str,
    pub build: fn(&Path, &str) -> Arc<dyn Provider>,
    /// The same over another transport.
    pub over: Over,
    /// What it answers when it is well.
    pub answer: fn(&mut World, &Ask) -> Reply,
    pub is_purchase: fn(&Ask) -> bool,
    /// What is bought.
    pub blueprint: &'static str,
    /// Its list without the element that the list is in.
    pub no_element: &'static str,
    /// Its list, empty, which says that it goes on; none if there is no such word.
    pub goes_on: Option<&'static str>,
    /// The type of its documents.
    pub kind: &'static str,
}

/// A broker that tells nothing of what it has made.
pub const UNTOLD: Api = osb::UNTOLD;

pub const ALL: [Api; 8] = [
    ec2::API,
    exoscale::API,
    hetzner::API,
    openstack::API,
    osb::API,
    proxmox::API,
    scaleway::API,
    upcloud::API,
];

/// A machine, or whatever is sold.
#[derive(Debug, Clone)]
pub struct Thing {
    pub id: String,
    pub key: String,
    pub sku: String,
    pub is_on: bool,
    /// What hangs on it, such as a disk: its name, and whether the purchase made it.
    pub parts: BTreeMap<String, bool>,
    /// What its client has written on it.
    pub notes: BTreeMap<String, String>,
}

/// What exists, and how the cloud is.
#[derive(Debug, Default)]
pub struct World {
    pub things: BTreeMap<String, Thing>,
    /// Parts that exist, also those that hang on nothing any more.
    pub parts: BTreeMap<String, bool>,
    /// The key that a part was made with.
    pub made_with: BTreeMap<String, String>,
    /// What its client has written on a part.
    pub part_notes: BTreeMap<String, Value>,
    /// Somebody else's machine that a part hangs on.
    pub held_by: BTreeMap<String, String>,
    /// Whether lists of machines lag: what is there is missing from them.
    pub hides: bool,
    /// Whether the key may not list parts, where they have a list of their own that a release reads.
    pub forbids_parts: bool,
    /// What is told of each image, beside its name.
    pub image: Value,
    pub mode: Mode,
    /// Requests that buy.
    pub purchases: usize,
    /// What was asked: method and path.
    pub asked: Vec<String>,
    /// Rows that stand in each list beside its own.
    pub odd: Vec<Value>,
    /// Prices of known products that are none, where the API tells prices.
    pub odd_prices: Vec<Value>,
    /// What was sent that is no question.
    pub sent: Vec<Ask>,
    /// What is answered to a request that ends a disk, without an effect.
    pub keeps_disks: Option<Reply>,
    /// Whether what is to end takes for ever.
    pub keeps: bool,
    /// What is answered to a request that buys, without an effect.
    pub refuses: Option<Reply>,
    /// What is answered to the next request that buys, which has its effect.
    pub instead: Option<Reply>,
    /// Whether what is bought is off, as its start has failed.
    pub made_off: bool,
    /// Whether a clone runs at once, before anybody has given it a size.
    pub clones_run: bool,
    /// Whether actions are answered well and do nothing.
    pub ignores_actions: bool,
    /// How many looks at a machine tell how it was before the last action.
    pub old_looks: usize,
    /// How it was: whether it was on, and its type.
    pub old: Option<(bool, String)>,
    /// What is answered on the way to instances, which is lost, where the cloud has such a way.
    pub lost_way: Option<Reply>,
    /// Whether a broker declares that it tells its instances.
    pub tells_instances: bool,
    /// The name of the project that a token is for.
    pub project: Option<&'static str>,
    /// The volumes that an image brings, where the cloud has such images.
    pub image_volumes: Option<Value>,
    /// Whether a part of nova does not answer.
    pub is_cell_down: bool,
    /// Whether it tells one server in part to everybody.
    pub answers_in_part: bool,
    /// What a broker that does not tell its instances answers when it is asked for one, and for its last operation.
    pub untold: Option<(Reply, Reply)>,
    /// The JSON Schema of a plan's parameters, where it tells one.
    pub parameters: Option<Value>,
    /// What stands in each field that nobody has asked for, beside the API's own.
    pub canary: Option<&'static str>,
    /// Whether a refusal repeats the whole request.
    pub echoes: bool,
    /// Requests that are refused next, as there were too many.
    pub limits: usize,
    /// Whether those are only such as change something.
    pub limits_changes: bool,
    /// What its clock says, and when one may come back.
    pub dates: Option<(&'static str, &'static str)>,
    count: u32,
}

impl World {
    /// A new machine with one disk of its own.
    pub fn make(&mut self, id: impl Fn(u32) -> String, key: &str, sku: &str) -> Thing {
        self.count += 1;
        let id = id(self.count);
        let part = match id.strip_prefix("i-") {
            Some(number) => format!("vol-{number}"),
            None => uuid::Uuid::from_u128(0xd15c_0000 + u128::from(self.count)).to_string(),
        };
        self.parts.insert(part.clone(), true);
        self.made_with.insert(part.clone(), key.to_owned());
        let parts = BTreeMap::from([(part, true)]);
        let (key, sku, notes) = (key.to_owned(), sku.to_owned(), BTreeMap::new());
        let thing = Thing { id: id.clone(), key, sku, is_on: !self.made_off, parts, notes };
        self.things.insert(id, thing.clone());
        thing
    }

    /// Something is done to a machine, or not; for a while it looks as before.
    pub fn act(&mut self, id: &str, change: impl FnOnce(&mut Thing)) {
        let is_ignored = self.ignores_actions;
        let Some(thing) = self.things.get_mut(id).filter(|_| !is_ignored) else { return };
        self.old = Some((thing.is_on, thing.sku.clone()));
        change(thing);
    }

    /// A machine as it looks.
    pub fn look(&mut self, id: &str) -> Option<Thing> {
        let mut thing = self.things.get(id)?.clone();
        if self.old_looks > 0
            && let Some((is_on, sku)) = &self.old
        {
            self.old_looks -= 1;
            (thing.is_on, thing.sku) = (*is_on, sku.clone());
        }
        Some(thing)
    }

    /// A machine ends; its parts stay.
    pub fn end(&mut self, id: &str) {
        if !self.keeps {
            self.things.remove(id);
        }
    }

    /// A machine ends, and all that hangs on it: as the API would do it, whosever it is.
    pub fn end_with_parts(&mut self, id: &str) {
        if !self.keeps {
            let parts = self.things.remove(id).map(|thing| thing.parts).unwrap_or_default();
            self.parts.retain(|part, _| !parts.contains_key(part));
        }
    }

    /// A machine ends, its disk with it, and what else hangs on it stays.
    pub fn end_with_own(&mut self, id: &str) {
        if !self.keeps {
            let parts = self.things.remove(id).map(|thing| thing.parts).unwrap_or_default();
            self.parts.retain(|part, made| !*made || !parts.contains_key(part));
        }
    }

    /// On what a part hangs.
    pub fn holders(&self, part: &str) -> Vec<String> {
        let own = self.things.values().filter(|thing| thing.parts.contains_key(part));
        own.map(|thing| thing.id.clone()).chain(self.held_by.get(part).cloned()).collect()
    }

    /// What is told of an image.
    pub fn told_image(&self, told: Value) -> Value {
        let mut told = told;
        for (name, value) in self.image.as_object().into_iter().flatten() {
            told[name] = value.clone();
        }
        told
    }

    /// A customer takes something of his own off again.
    pub fn detach(&mut self, part: &str) {
        for thing in self.things.values_mut() {
            thing.parts.remove(part);
        }
    }

    /// A customer hangs something of his own on a machine.
    pub fn attach(&mut self, id: &str, part: &str) {
        self.parts.insert(part.to_owned(), false);
        self.things.get_mut(id).expect("it is there").parts.insert(part.to_owned(), false);
    }
}

/// How a cloud answers.
#[derive(Debug, Clone, Copy, Default)]
pub enum Mode {
    #[default]
    Well,
    /// Each request so, without an effect.
    Broken(Broken),
    /// Questions well, and all else so, without an effect.
    BrokenChanges(Broken),
    /// Well, but for the answer to the next purchase, which has its effect.
    LosesPurchase(Broken),
    /// Well until something is bought, which has its effect; that answer and all later ones so.
    BrokenFromPurchase(Broken),
    /// Each request has its effect, and some answers are changed in a few bytes, by this seed.
    Garbled(u64),
}

/// Answers that are none of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    Html404,
    Text404,
    Empty404,
    Object404,
    Message404,
    Code404,
    Html410,
    Html200,
    /// A page that says of itself to be of the API's type.
    Page200,
    Object200,
    Array200,
    Null200,
    NoContent204,
    OtherRoot,
    NoElement,
    GoesOn,
    Half,
    Html401,
    Text401,
    Object401,
    Html429,
    Text429,
    Message429,
    Html403,
    Text403,
    Empty403,
    Object403,
    Message403,
    Code403,
    Problem403,
    Data403,
    Message400,
    Text400,
    Object400,
    Empty405,
    Empty406,
    Text409,
    Text501,
    Html503,
}

pub const EVERY: [Broken; 39] = [
    Broken::Html404,
    Broken::Text404,
    Broken::Empty404,
    Broken::Object404,
    Broken::Message404,
    Broken::Code404,
    Broken::Html410,
    Broken::Html200,
    Broken::Page200,
    Broken::Object200,
    Broken::Array200,
    Broken::Null200,
    Broken::NoContent204,
    Broken::OtherRoot,
    Broken::NoElement,
    Broken::GoesOn,
    Broken::Half,
    Broken::Html401,
    Broken::Text401,
    Broken::Object401,
    Broken::Html429,
    Broken::Text429,
    Broken::Message429,
    Broken::Html403,
    Broken::Text403,
    Broken::Empty403,
    Broken::Object403,
    Broken::Message403,
    Broken::Code403,
    Broken::Problem403,
    Broken::Data403,
    Broken::Message400,
    Broken::Text400,
    Broken::Object400,
    Broken::Empty405,
    Broken::Empty406,
    Broken::Text409,
    Broken::Text501,
    Broken::Html503,
];

const PAGE: &str = "<html xmlns='http://www.w3.org/1999/xhtml'><head><title>Error</title></head><body><h1>404</h1></body></html>";

impl Broken {
    fn reply(self, api: &Api, well: impl FnOnce() -> Reply) -> Reply {
        let is_xml = api.kind.contains("xml");
        let (status, kind, body) = match self {
            Self::Html404 => (404, "text/html", PAGE),
            Self::Text404 => (404, "text/plain; charset=utf-8", "default backend - 404"),
            Self::Empty404 => (404, "", ""),
            Self::Object404 => (404, "application/json", "{}"),
            Self::Message404 => {
                (404, "application/json", r#"{"message": "no Route matched with those values"}"#)
            }
            Self::Code404 => {
                (404, "application/json", r#"{"error": {"code": "route_unknown", "message": "no"}}"#)
            }
            Self::Html410 => (410, "text/html", PAGE),
            Self::Html200 => (200, "text/html", PAGE),
            Self::Page200 => (200, api.kind, PAGE),
            Self::Object200 => (200, "application/json", "{}"),
            Self::Array200 => (200, "application/json", "[]"),
            Self::Null200 => (200, "application/json", "null"),
            Self::NoContent204 => (204, "", ""),
            Self::OtherRoot if is_xml => {
                (200, api.kind, "<DescribeVolumesResponse><volumeSet/></DescribeVolumesResponse>")
            }
            Self::OtherRoot => (200, api.kind, r#"{"volumes": [], "volume": {"id": "7"}, "total_count": 0}"#),
            Self::NoElement => (200, api.kind, api.no_element),
            Self::GoesOn => (200, api.kind, api.goes_on.unwrap_or("{")),
            Self::Half => {
                let Reply { status, kind, body, .. } = well();
                let half = body.len() / 2;
                let half = (half..body.len()).find(|at| body.is_char_boundary(*at)).unwrap_or(0);
                return Reply { status, kind, body: body[..half].to_owned(), token: None };
            }
            Self::Html401 => (401, "text/html", PAGE),
            Self::Text401 => (401, "text/plain", "Authorization Required"),
            Self::Object401 => (401, "application/json", "{}"),
            Self::Html429 => (429, "text/html", PAGE),
            Self::Text429 => (429, "text/plain", "slow down"),
            Self::Message429 => (429, "application/json", r#"{"message": "Too Many Requests"}"#),
            Self::Html403 => (403, "text/html", PAGE),
            Self::Text403 => (403, "text/plain", "Access denied. Your request was blocked."),
            Self::Empty403 => (403, "", ""),
            Self::Object403 => (403, "application/json", "{}"),
            Self::Message403 => (403, "application/json", r#"{"message":"Forbidden"}"#),
            Self::Code403 => {
                (403, "application/json", r#"{"error": {"code": "Forbidden", "message": "blocked"}}"#)
            }
            Self::Problem403 => (
                403,
                "application/json",
                r#"{"type": "https://gateway.example/problems/403", "title": "Forbidden", "status": 403}"#,
            ),
            Self::Data403 => {
                (403, "application/json", r#"{"code": 403, "message": "Forbidden", "data": null}"#)
            }
            Self::Message400 => (400, "application/json", r#"{"message": "Bad Request"}"#),
            Self::Text400 => (400, "text/plain", "Bad Request"),
            Self::Object400 => (400, "application/json", "{}"),
            Self::Empty405 => (405, "", ""),
            Self::Empty406 => (406, "", ""),
            Self::Text409 => (409, "text/plain", "Conflict"),
            Self::Text501 => (501, "text/plain", "Not Implemented"),
            Self::Html503 => (503, "text/html", PAGE),
        };
        Reply { status, kind: kind.to_owned(), body: body.to_owned(), token: None }
    }
}

/// A request.
#[derive(Debug, Clone)]
pub struct Ask {
    pub method: String,
    pub path: String,
    pub query: BTreeMap<String, String>,
    pub json: Value,
    pub form: BTreeMap<String, String>,
    pub headers: BTreeMap<String, String>,
}

impl Ask {
    fn read(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").expect("a request");
        let mut words = head.lines().next().expect("a line").split(' ');
        let method = words.next().expect("a method").to_owned();
        let url = url::Url::parse(&format!("http://x{}", words.next().expect("a path"))).expect("an address");
        let pairs = |text: &[u8]| url::form_urlencoded::parse(text).into_owned().collect();
        let headers = head.lines().skip(1).filter_map(|line| line.split_once(':'));
        Self {
            headers: headers.map(|(name, it)| (name.to_ascii_lowercase(), it.trim().to_owned())).collect(),
            method,
            path: url.path().to_owned(),
            query: pairs(url.query().unwrap_or_default().as_bytes()),
            json: serde_json::from_str(body).unwrap_or(Value::Null),
            form: pairs(body.as_bytes()),
        }
    }

    pub fn parts(&self) -> Vec<&str> {
        self.path.split('/').filter(|part| !part.is_empty()).collect()
    }

    /// The microversion that a request to nova is in.
    pub fn version(&self) -> (u32, u32) {
        let text = self.headers.get("openstack-api-version").map_or("", String::as_str);
        let (major, minor) = text.trim_start_matches("compute ").split_once('.').expect("a version");
        (major.parse().expect("a number"), minor.parse().expect("a number"))
    }

    pub fn get(&self, name: &str) -> &str {
        self.query.get(name).or(self.form.get(name)).map_or("", String::as_str)
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub kind: String,
    pub body: String,
    pub token: Option<&'static str>,
}

impl Reply {
    /// With a token of keystone's.
    pub fn with_token(self, token: &'static str) -> Self {
        Self { token: Some(token), ..self }
    }
}

pub fn json(status: u16, body: &Value) -> Reply {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    Reply { status, kind: "application/json".to_owned(), body, token: None }
}

pub fn text(status: u16, body: &str) -> Reply {
    Reply { status, kind: "text/plain".to_owned(), body: body.to_owned(), token: None }
}

pub fn xml(status: u16, body: &str) -> Reply {
    Reply { status, kind: "text/xml;charset=UTF-8".to_owned(), body: body.to_owned(), token: None }
}

/// One cloud, running.
pub struct Imitation {
    world: Arc<Mutex<World>>,
    /// Its adapter, without layers.
    pub provider: Arc<dyn Provider>,
    server: Server,
    api: Api,
}

impl Imitation {
    pub async fn start(api: Api) -> Self {
        let world = Arc::new(Mutex::new(World::default()));
        let state = world.clone();
        let server = Server::start(Story::new(move |request| {
            let Reply { status, kind, body, token } =
                respond(&api, &mut state.lock().expect("nobody panics"), request);
            let mut headers = vec![("Content-Type", kind.as_str())];
            headers.retain(|(_, kind)| !kind.is_empty());
            headers.extend(token.map(|token| ("X-Subject-Token", token)));
            let (canary, dates) = {
                let world = state.lock().expect("nobody panics");
                (world.canary, world.dates)
            };
            headers.extend(dates.map(|(date, _)| ("Date", date)));
            headers.extend(dates.filter(|_| status == 429).map(|(_, again)| ("Retry-After", again)));
            let body = canary.map_or(body.clone(), |canary| with_canary(&body, canary));
            let cookie = canary.map(|canary| format!("session={canary}"));
            headers.extend(cookie.as_deref().map(|cookie| ("Set-Cookie", cookie)));
            headers.extend(canary.map(|canary| ("X-Console", canary)));
            answer(status, &headers, &body).into_bytes()
        }))
        .await;
        let provider = build(&api, &server.url());
        Self { world, provider, server, api }
    }

    /// The adapter of another process, which knows nothing yet.
    pub fn another(&self) -> Arc<dyn Provider> {
        build(&self.api, &self.url())
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().expect("nobody panics")
    }

    pub fn set(&self, mode: Mode) {
        self.world().mode = mode;
    }

    pub fn url(&self) -> String {
        self.server.url()
    }
}

/// Fields of objects that hold what they name, and nothing else.
const MAPS: [&str; 8] =
    ["addresses", "amount", "extra_specs", "extra_volumes", "labels", "metadata", "tags", "volumes"];

/// With a canary in further fields of every object and element, and in whatever is written for people.
fn with_canary(body: &str, canary: &str) -> String {
    let Ok(mut value) = serde_json::from_str::<Value>(body) else {
        let fields = format!(
            "<adminPassword>{canary}</adminPassword><userData><name>{canary}</name><id>{canary}</id></userData><secret><item><key>{canary}</key></item></secret>"
        );
        let body = body
            .replace("</item>", &format!("{fields}</item>"))
            .replace("</requestId>", &format!("</requestId>{fields}"));
        return body.replace(
            "<tagSet>",
            &format!("<tagSet><item><key>{canary}-key</key><value>{canary}</value></item>"),
        );
    };
    put_canary(&mut value, canary, "");
    value.to_string()
}

fn put_canary(value: &mut Value, canary: &str, name: &str) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| put_canary(item, canary, name)),
        Value::Object(fields) => {
            for (name, value) in fields.iter_mut() {
                if name == "message" && value.is_string() {
                    *value = Value::String(format!("the password is {canary}"));
                }
                put_canary(value, canary, name);
            }
            if matches!(name, "labels" | "metadata")
                && !fields.contains_key("label")
                && !fields.contains_key("costs")
            {
                fields.insert("customer".to_owned(), canary.into());
                fields.insert(canary.to_owned(), "1".into());
            }
            // Products by their names.
            let is_map = name == "servers" && !fields.contains_key("server");
            if MAPS.contains(&name) || is_map {
                return;
            }
            let inner = serde_json::json!({ "id": canary, "name": canary, "key": canary, "value": [canary] });
            for name in ["adminPass", "root_password", "console-url", "cipassword", "note", "token"] {
                fields.entry(name).or_insert_with(|| canary.into());
            }
            fields.entry("credentials").or_insert_with(|| inner.clone());
            fields.insert("rescue".to_owned(), Value::Array(vec![inner, canary.into()]));
            fields.insert("pin".to_owned(), 7_771_234_567_u64.into());
        }
        _ => {}
    }
}

/// The lists of which rows are read one by one.
const LISTS: [&str; 13] = [
    "server_types",
    "instance-types",
    "instances",
    "servers",
    "server",
    "plan",
    "zone",
    "services",
    "plans",
    "flavors",
    "availabilityZoneInfo",
    "data",
    "locations",
];

/// With the odd rows at the end of each list.
fn with_odd(value: &mut Value, odd: &[Value]) {
    let Value::Object(fields) = value else { return };
    for (name, value) in fields {
        match value {
            Value::Array(rows) if LISTS.contains(&name.as_str()) => {
                rows.iter_mut().for_each(|row| with_odd(row, odd));
                rows.extend(odd.iter().cloned());
            }
            // A list by name.
            Value::Object(rows)
                if name == "servers"
                    && rows.values().all(|row| row.get("uuid").is_none())
                    && !rows.contains_key("server") =>
            {
                rows.extend(odd.iter().enumerate().map(|(at, row)| (format!("odd-{at}"), row.clone())));
            }
            value => with_odd(value, odd),
        }
    }
}

fn and_odd(reply: Reply, odd: &[Value]) -> Reply {
    let body = match serde_json::from_str::<Value>(&reply.body) {
        Ok(mut value) => {
            with_odd(&mut value, odd);
            value.to_string()
        }
        // Of EC2's only the text is known here.
        Err(_) => reply
            .body
            .replace("</instanceTypeSet>", "<item/><item><instanceType>odd</instanceType></item></instanceTypeSet>")
            .replace(
                "</reservationSet>",
                "<item><instancesSet><item><instanceId>i-0badbad0</instanceId><tagSet/></item></instancesSet></item></reservationSet>",
            ),
    };
    Reply { body, ..reply }
}

pub fn build(api: &Api, url: &str) -> Arc<dyn Provider> {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("secret"), SECRET.get()).expect("a file");
    (api.build)(folder.path(), url)
}

/// How each API words that there were too many requests; two of them have no word of their own for it.
fn too_many(api: &Api) -> Reply {
    const WORDS: &str = "too many requests";
    let body = match api.name {
        "ec2" => {
            return xml(
                429,
                &format!(
                    "<Response><Errors><Error><Code>RequestLimitExceeded</Code><Message>{WORDS}</Message></Error></Errors></Response>"
                ),
            );
        }
        "hetzner" => serde_json::json!({ "error": { "code": "rate_limit_exceeded", "message": WORDS } }),
        "openstack" => serde_json::json!({ "overLimit": { "code": 429, "message": WORDS } }),
        "osb" => serde_json::json!({ "error": "TooManyRequests", "description": WORDS }),
        "scaleway" => serde_json::json!({ "type": "too_many_requests", "message": WORDS }),
        "upcloud" => {
            serde_json::json!({ "error": { "error_code": "TOO_MANY_REQUESTS", "error_message": WORDS } })
        }
        "exoscale" | "proxmox" => serde_json::json!({ "message": WORDS }),
        other => panic!("how does {other} word that there were too many requests?"),
    };
    json(429, &body)
}

fn respond(api: &Api, world: &mut World, request: &str) -> Reply {
    let ask = Ask::read(request);
    if world.limits > 0 && !(world.limits_changes && ask.method == "GET") {
        world.limits -= 1;
        return too_many(api);
    }
    let is_purchase = (api.is_purchase)(&ask);
    world.purchases += usize::from(is_purchase);
    world.asked.push(format!("{} {}", ask.method, ask.path));
    if !matches!(ask.method.as_str(), "GET" | "HEAD") {
        world.sent.push(ask.clone());
    }
    let is_disk = ["/volumes/", "/storage/"].iter().any(|path| ask.path.contains(path));
    if let Some(reply) = world.keeps_disks.clone().filter(|_| is_disk && ask.method == "DELETE") {
        return reply;
    }
    if let Some(reply) = world.refuses.clone().filter(|_| is_purchase) {
        return reply;
    }
    if is_purchase && let Some(reply) = world.instead.take() {
        (api.answer)(world, &ask);
        return reply;
    }
    if world.echoes && is_purchase {
        let words = request.replace(['<', '&'], " ");
        return match api.kind.contains("xml") {
            true => xml(
                400,
                &format!(
                    "<Response><Errors><Error><Code>InvalidParameterValue</Code><Message>{words}</Message></Error></Errors></Response>"
                ),
            ),
            false => json(
                400,
                &serde_json::json!({ "message": words, "title": words, "description": words,
                "error": { "code": "invalid_input", "message": words, "error_message": words }, "errors": { "vmid": words },
                "details": [{ "argument_name": "x", "help_message": words }] }),
            ),
        };
    }
    let reads = ask.method == "GET";
    let odd = world.odd.clone();
    if reads && !odd.is_empty() {
        return and_odd((api.answer)(world, &ask), &odd);
    }
    match world.mode {
        Mode::Broken(broken) => broken.reply(api, || match reads {
            true => (api.answer)(world, &ask),
            false => json(200, &serde_json::json!({ "accepted": true })),
        }),
        Mode::BrokenChanges(broken) if !reads && !ask.path.ends_with("/auth/tokens") => {
            broken.reply(api, || json(200, &serde_json::json!({ "accepted": true })))
        }
        Mode::BrokenFromPurchase(broken) if is_purchase => {
            let well = (api.answer)(world, &ask);
            world.mode = Mode::Broken(broken);
            broken.reply(api, || well)
        }
        Mode::LosesPurchase(broken) if is_purchase => {
            let well = (api.answer)(world, &ask);
            world.mode = Mode::Well;
            broken.reply(api, || well)
        }
        Mode::Garbled(seed) => {
            let at = u64::try_from(world.asked.len()).unwrap_or_default();
            garbled((api.answer)(world, &ask), &mut StdRng::seed_from_u64(seed.wrapping_add(at)))
        }
        Mode::Well | Mode::BrokenChanges(_) | Mode::BrokenFromPurchase(_) | Mode::LosesPurchase(_) => {
            (api.answer)(world, &ask)
        }
    }
}

/// An answer with a few bytes cut, doubled or changed, numbers at an edge, or another status.
fn garbled(reply: Reply, chance: &mut StdRng) -> Reply {
    if chance.random_bool(0.4) {
        return reply;
    }
    let (mut bytes, mut status) = (reply.body.clone().into_bytes(), reply.status);
    if chance.random_bool(0.1) {
        status = *[200, 201, 202, 204, 400, 404, 409, 429, 500].choose(chance).expect("some");
    }
    for _ in 0..chance.random_range(0..=3) {
        if bytes.is_empty() {
            break;
        }
        let (a, b) = (chance.random_range(0..bytes.len()), chance.random_range(0..=bytes.len()));
        let (low, high) = (a.min(b), a.max(b));
        match chance.random_range(0..6) {
            0 => drop(bytes.drain(low..high.min(low + 30))),
            1 => bytes[a] = chance.random(),
            2 => drop(bytes.splice(a..a, bytes[low..high.min(low + 60)].to_vec())),
            3 => {
                let word =
                    ["null", "{}", "[]", "\"\"", "true", "-1", "\u{feff}"].choose(chance).expect("some");
                let start = (low..bytes.len()).find(|at| bytes[*at] == b':').map_or(low, |at| at + 1);
                let end =
                    (start..bytes.len()).find(|at| b",}]<".contains(&bytes[*at])).unwrap_or(bytes.len());
                drop(bytes.splice(start..end, word.bytes()));
            }
            _ => {
                let number = ["0", "1e400", "18446744073709551616", "-0.0000000000000000000000000000001"];
                let number = number.choose(chance).expect("some");
                let start = (low..bytes.len()).find(|at| bytes[*at].is_ascii_digit()).unwrap_or(low);
                let end = (start..bytes.len()).find(|at| !bytes[*at].is_ascii_digit()).unwrap_or(bytes.len());
                drop(bytes.splice(start..end, number.bytes()));
            }
        }
    }
    Reply { status, body: String::from_utf8_lossy(&bytes).into_owned(), ..reply }
}

/// A price table as if it had been read today: tables are believed for ninety days, and tests for longer.
pub fn read_today(table: &str) -> String {
    let today = jiff::Timestamp::now().strftime("%Y-%m-%d").to_string();
    let is_day = |word: &str| word.len() == today.len() && word.parse::<jiff::civil::Date>().is_ok();
    let dated = |line: &str| {
        let words: Vec<&str> =
            line.split(',').map(|word| if is_day(word) { &*today } else { word }).collect();
        words.join(",") + "\n"
    };
    table.lines().map(dated).collect()
}

/// A price table with the product `small` in the region `r`, and who sells it.
pub fn table(folder: &Path, id: &str, disk: bool) {
    let seller = format!(
        r#"{{"format": "fulcrum-provider/1", "id": "{id}", "name": "{id}", "legal_name": "{id}", "country": "DE",
            "regions": [{{"id": "r", "country": "DE"}}]}}"#
    );
    let (gib, storage) = match disk {
        true => ("", "block_storage,gp3,r,,,,,GiB-month,0.1,EUR,net,,2026-11-01,test\n"),
        false => ("20", ""),
    };
    let prices = format!(
        "kind,sku,region,vcpu,memory_mib,disk_gib,monthly,unit,unit_price,currency,tax,attributes,observed,source\n\
         machine,small,r,2,2048,{gib},5,,,EUR,net,,2026-11-01,test\n\
         public_ip,ipv4,r,,,,0.5,,,EUR,net,version=4,2026-11-01,test\n{storage}"
    );
    std::fs::write(folder.join("prices.json"), seller).expect("a file");
    std::fs::write(folder.join("prices.csv"), read_today(&prices)).expect("a file");
}

thread_local! {
    /// Where the adapters that this thread builds record what goes through.
    pub static RECORD: std::cell::RefCell<Option<std::path::PathBuf>> = const { std::cell::RefCell::new(None) };
}

thread_local! {
    /// The credential of the adapters that this thread builds.
    pub static SECRET: std::cell::Cell<&'static str> = const { std::cell::Cell::new("secret-0000") };
}

/// A configuration as a document.
pub fn config<T: serde::de::DeserializeOwned>(mut document: Value) -> T {
    if let Some(path) = RECORD.with_borrow(Clone::clone) {
        document["http"]["record"] = path.to_str().expect("text").into();
    }
    serde_json::from_value(document).expect("a configuration")
}

/// The machine of an id, or what is said when there is none.
pub fn known<'a>(world: &'a mut World, id: &str) -> Option<&'a mut Thing> {
    world.things.get_mut(id)
}
