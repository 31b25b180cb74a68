//! A transport in the process: an imitation of a cloud answers, and the input changes some of the answers.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use fulcrum_core::provider::http::{
    HeaderMap, HeaderName, HeaderValue, RawRequest, RawResponse, StatusCode, Transport, TransportError,
};
use serde_json::Value;

use super::{draw::Draw, edit};
use crate::imitation::{Api, Ask, World};

/// Where the cloud is said to be.
pub const BASE: &str = "http://127.0.0.1:9";

/// Headers that clients read, and some that they should not.
const HEADERS: [&str; 24] = [
    "retry-after",
    "ratelimit-limit",
    "ratelimit-remaining",
    "ratelimit-reset",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "link",
    "location",
    "content-type",
    "etag",
    "last-modified",
    "x-request-id",
    "x-correlation-id",
    "x-openstack-request-id",
    "x-compute-request-id",
    "x-amzn-requestid",
    "x-subject-token",
    "openstack-api-version",
    "x-total-count",
    "date",
    "set-cookie",
    "content-encoding",
    "content-length",
];

const VALUES: [&str; 16] = [
    "0",
    "1",
    "137",
    "-1",
    "18446744073709551615",
    "99999999999999999999999",
    "1795593630",
    "Wed, 25 Nov 2026 08:00:30 GMT",
    "Fri, 31 Dec 9999 23:59:59 GMT",
    "application/json",
    "text/html",
    "text/xml; charset=utf-16",
    "/next?page=2",
    "http://evil.example/v1",
    "<http://127.0.0.1:9/next>; rel=\"next\"",
    super::SECRET,
];

const STATUSES: [u16; 30] = [
    200, 201, 202, 203, 204, 206, 301, 302, 304, 307, 308, 400, 401, 402, 403, 404, 405, 408, 409, 410, 412,
    422, 423, 425, 429, 500, 501, 502, 503, 504,
];

/// A header as the input says; none if it cannot be one.
pub fn header(draw: &mut Draw<'_>) -> Option<(HeaderName, HeaderValue)> {
    let name = match draw.below(HEADERS.len() + 1) {
        0 => HeaderName::from_bytes(draw.bytes(40)).ok()?,
        at => HeaderName::from_static(HEADERS[at - 1]),
    };
    let value = match draw.below(3) {
        0 => HeaderValue::from_static(VALUES[draw.below(VALUES.len())]),
        1 => HeaderValue::from_bytes(draw.bytes(80)).ok()?,
        _ => HeaderValue::from(draw.number()),
    };
    Some((name, value))
}

pub fn status(draw: &mut Draw<'_>) -> StatusCode {
    let code = match draw.below(STATUSES.len() + 1) {
        0 => 100 + draw.number() % 900,
        at => STATUSES[at - 1],
    };
    StatusCode::from_u16(code).unwrap_or(StatusCode::OK)
}

/// A script of changes, one after the other, an imitation, and what was asked of it.
pub struct Wire {
    api: Api,
    world: Mutex<World>,
    /// What is left of the input.
    script: Mutex<Vec<u8>>,
    /// Requests in all.
    pub requests: AtomicUsize,
    /// Requests that went to another host than the cloud's.
    pub strayed: Mutex<Vec<String>>,
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.api.name)
    }
}

fn held<T>(it: &Mutex<T>) -> MutexGuard<'_, T> {
    it.lock().expect("nobody panics")
}

impl Wire {
    pub fn new(api: Api, world: World, script: &[u8]) -> Arc<Self> {
        Arc::new(Self {
            api,
            world: Mutex::new(world),
            script: Mutex::new(script.to_vec()),
            requests: AtomicUsize::new(0),
            strayed: Mutex::default(),
        })
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        held(&self.world)
    }

    /// As many of the script's bytes as one answer takes.
    fn turn(&self) -> Vec<u8> {
        let mut script = held(&self.script);
        let Some(first) = script.first().copied() else { return Vec::new() };
        // Most answers are as they are, for one byte.
        if first < 96 {
            return script.drain(..1).collect();
        }
        let count = script.get(1).map_or(0, |count| usize::from(*count)).min(script.len().saturating_sub(2));
        let end = (2 + count).min(script.len());
        script.drain(..end).collect()
    }
}

fn ask(request: &RawRequest) -> Ask {
    let body = request.body.as_deref().unwrap_or_default();
    let pairs = |text: &[u8]| -> BTreeMap<String, String> {
        url::form_urlencoded::parse(text).into_owned().collect()
    };
    let header = |(name, value): (&HeaderName, &HeaderValue)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    Ask {
        method: request.method.to_string(),
        path: request.url.path().to_owned(),
        query: pairs(request.url.query().unwrap_or_default().as_bytes()),
        json: serde_json::from_slice(body).unwrap_or(Value::Null),
        form: pairs(body),
        headers: request.headers.iter().map(header).collect(),
    }
}

#[async_trait]
impl Transport for Wire {
    async fn send(&self, request: RawRequest) -> Result<RawResponse, TransportError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        if request.url.origin().ascii_serialization() != BASE {
            held(&self.strayed).push(request.url.to_string());
        }
        let turn = self.turn();
        let kind = turn.first().copied().unwrap_or_default();
        let mut draw = Draw::new(turn.get(2..).unwrap_or_default());
        if kind >= 248 {
            return Err(lost(kind));
        }
        // What is changed may have had its effect, or not.
        let has_effect = kind < 96 || kind % 2 == 0;
        let reply = {
            let mut world = held(&self.world);
            let ask = ask(&request);
            world.purchases += usize::from((self.api.is_purchase)(&ask));
            let kept = (!has_effect).then(|| (world.things.clone(), world.parts.clone()));
            let reply = (self.api.answer)(&mut world, &ask);
            if let Some((things, parts)) = kept {
                (world.things, world.parts) = (things, parts);
            }
            reply
        };
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_str(&reply.kind)
            && !reply.kind.is_empty()
        {
            headers.insert("content-type", value);
        }
        if let Some(token) = reply.token {
            headers.insert("x-subject-token", HeaderValue::from_static(token));
        }
        let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::OK);
        let mut answer = RawResponse { status, headers, body: reply.body.into_bytes().into() };
        if kind >= 96 {
            change(&mut answer, kind, &mut draw);
        }
        Ok(answer)
    }
}

fn lost(kind: u8) -> TransportError {
    match kind % 3 {
        0 => TransportError::NotSent("refused".into()),
        1 => TransportError::OutcomeUnknown("it broke off".into()),
        _ => TransportError::TooLarge { limit: 1 << 20 },
    }
}

fn change(answer: &mut RawResponse, kind: u8, draw: &mut Draw<'_>) {
    let mut body = answer.body.to_vec();
    // Nodes of documents, mostly.
    match kind {
        96..176 => {
            let times = draw.within(1..4);
            if let Ok(mut document) = serde_json::from_slice::<Value>(&body) {
                (0..times).for_each(|_| edit::node(&mut document, draw));
                body = document.to_string().into_bytes();
            } else {
                let mut text = String::from_utf8_lossy(&body).into_owned();
                (0..times).for_each(|_| text = edit::element(&text, draw));
                body = text.into_bytes();
            }
        }
        176..196 => edit::raw(&mut body, draw),
        196..216 => body = draw.bytes(4096).to_vec(),
        _ => {}
    }
    let times = match kind {
        196..=255 => draw.within(1..5),
        _ => draw.below(3),
    };
    if matches!(kind, 196..=255) || draw.chance(32) {
        answer.status = status(draw);
    }
    for _ in 0..times {
        if let Some((name, value)) = header(draw) {
            answer.headers.append(name, value);
        }
    }
    if draw.chance(16) {
        answer.headers.remove("content-type");
    }
    // Elements that are repeated again and again grow fast.
    body.truncate(4 << 20);
    answer.body = body.into();
}
