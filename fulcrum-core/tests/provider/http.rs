//! What adapters share, against servers that break.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use crate::peers::{
    self,
    server::{Server, Story, answer},
};
use fulcrum_core::{
    model::ProviderId,
    provider::{
        Call, ErrorKind,
        http::{
            Cache, Client, HeaderMap, HttpConfig, Method, Page, RawRequest, Recorder, Redactor, Replay,
            Request, Transport, paginate,
        },
    },
};
use futures::StreamExt;
use secrecy::SecretString;
use serde_json::{Value, json};

fn id() -> ProviderId {
    "acme".parse().expect("a name")
}

fn config(server: &Server) -> HttpConfig {
    HttpConfig { base_url: Some(server.url()), timeout_ms: 1500, ..HttpConfig::default() }
}

fn client(server: &Server) -> Client {
    Client::new(&id(), "https://unused.example", &config(server)).expect("a client")
}

fn order() -> Request {
    Request::post(Call::Provision, ["servers"]).json(&json!({ "name": "web" }))
}

fn list() -> Request {
    Request::get(Call::Services, ["servers"])
}

/// What comes of ordering and of listing.
async fn kinds(server: &Server) -> (ErrorKind, ErrorKind) {
    let client = client(server);
    let ordered = client.json::<Value>(&order()).await.expect_err("no order goes through").kind;
    let listed = client.json::<Value>(&list()).await.expect_err("no list goes through").kind;
    (plain(ordered), plain(listed))
}

const GONE: ErrorKind = ErrorKind::Unavailable { retry_after: None, cause: String::new() };
const NOT_SENT: ErrorKind = ErrorKind::NotSent { cause: String::new() };

/// Without its cause: that is told in words, which must be there.
fn plain(kind: ErrorKind) -> ErrorKind {
    match kind {
        ErrorKind::Unavailable { retry_after, cause } if !cause.is_empty() => {
            ErrorKind::Unavailable { retry_after, cause: String::new() }
        }
        ErrorKind::NotSent { cause } if !cause.is_empty() => NOT_SENT,
        other => other,
    }
}

#[tokio::test]
async fn where_nobody_listens_nothing_was_sent() {
    let server = Server::start(Story::close()).await;
    let config = config(&server);
    drop(server);
    let client = Client::new(&id(), "https://unused.example", &config).expect("a client");
    let error = client.json::<Value>(&order()).await.expect_err("nobody is there");
    assert_eq!(plain(error.kind), NOT_SENT);
}

#[tokio::test]
async fn where_tls_is_not_spoken_nothing_was_sent() {
    let server = Server::start(Story::say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")).await;
    let config =
        HttpConfig { base_url: Some(server.url().replace("http://", "https://")), ..config(&server) };
    let client = Client::new(&id(), "https://unused.example", &config).expect("a client");
    let error = client.json::<Value>(&order()).await.expect_err("no TLS");
    assert_eq!(plain(error.kind), NOT_SENT);
}

#[tokio::test]
async fn a_request_without_an_answer_is_ambiguous_if_it_changes_something() {
    let server = Server::start(Story::close()).await;
    assert_eq!(kinds(&server).await, (ErrorKind::Ambiguous, GONE));
}

#[tokio::test]
async fn so_is_one_whose_answer_breaks_off() {
    let server =
        Server::start(Story::say("HTTP/1.1 201 Created\r\nContent-Length: 90\r\n\r\n{\"id\":")).await;
    assert_eq!(kinds(&server).await, (ErrorKind::Ambiguous, GONE));
}

#[tokio::test]
async fn a_slow_drip_ends_in_time() {
    let server = Server::start(Story::drip()).await;
    let began = Instant::now();
    assert_eq!(kinds(&server).await, (ErrorKind::Ambiguous, GONE));
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off() {
    let server = Server::start(Story::endless()).await;
    let (ordered, listed) = kinds(&server).await;
    assert_eq!(ordered, ErrorKind::Ambiguous);
    assert!(matches!(listed, ErrorKind::Protocol { .. }), "{listed:?}");
}

#[tokio::test]
async fn so_is_one_that_grows_when_it_is_unpacked() {
    use std::io::Write;
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..256 {
        packed.write_all(&[b' '; 1 << 20]).expect("memory");
    }
    let packed = packed.finish().expect("memory");
    let mut text = format!(
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        packed.len()
    )
    .into_bytes();
    text.extend(packed);
    let server = Server::start(Story::bytes(text)).await;
    let error = client(&server).json::<Value>(&list()).await.expect_err("too large").kind;
    assert!(matches!(error, ErrorKind::Protocol { .. }), "{error:?}");
}

#[tokio::test]
async fn nonsense_is_a_protocol_error_that_may_have_happened() {
    for body in ["<html>", "{\"id\": 1} x", &"[".repeat(100_000)] {
        let server = Server::start(Story::say(&answer(200, &[], body))).await;
        let (ordered, listed) = kinds(&server).await;
        assert!(matches!(ordered, ErrorKind::Protocol { .. }) && ordered.may_have_happened(), "{ordered:?}");
        assert!(matches!(listed, ErrorKind::Protocol { .. }), "{listed:?}");
    }
}

#[tokio::test]
async fn a_gateways_error_says_nothing_about_the_server_behind_it() {
    for status in [500, 502, 503, 504, 408] {
        let server = Server::start(Story::say(&answer(status, &[], "sorry"))).await;
        assert_eq!(kinds(&server).await, (ErrorKind::Ambiguous, GONE), "{status}");
    }
}

#[tokio::test]
async fn refusals_are_certain() {
    for (status, word) in [
        (400, "invalid_request"),
        (401, "unauthorised"),
        (403, "forbidden"),
        (409, "conflict"),
        (422, "invalid_request"),
        (429, "rate_limited"),
        (501, "unsupported"),
    ] {
        let server = Server::start(Story::say(&answer(status, &[], "{}"))).await;
        let (ordered, listed) = kinds(&server).await;
        assert_eq!((ordered.word(), listed.word()), (word, word), "{status}");
        assert!(!ordered.may_have_happened(), "{status}");
    }
}

/// Of an API that has no word of its own for it, and of whatever stands in front of it.
#[tokio::test]
async fn a_status_alone_does_not_prove_that_nothing_is_there() {
    let page = "<html><body>not found</body></html>";
    for (status, headers, body) in [
        (404, vec![], "{}"),
        (404, vec![("Content-Type", "application/json")], "{}"),
        (410, vec![], "{}"),
        (404, vec![("Content-Type", "text/html")], page),
        (404, vec![("Content-Type", "text/plain")], "default backend - 404"),
        (404, vec![], ""),
        (410, vec![], page),
    ] {
        let server = Server::start(Story::say(&answer(status, &headers, body))).await;
        let client = client(&server);
        let ordered = client.json::<Value>(&order()).await.expect_err("no order goes through").kind;
        assert_eq!(ordered, ErrorKind::Ambiguous, "{status} {headers:?} {body}");
        let one = Request::get(Call::Describe, ["servers", "7"]);
        let found = client.get_optional::<Value>(&one).await.expect_err("no proof").kind;
        assert_eq!(plain(found), GONE, "{status} {headers:?} {body}");
        let ended = client.delete_if_exists(&Request::delete(Call::Release, ["servers", "7"])).await;
        assert_eq!(ended.expect_err("no proof").kind, ErrorKind::Ambiguous, "{status} {headers:?} {body}");
    }
}

/// A thin word needs a witness, and a page has none.
#[tokio::test]
async fn a_witness_is_asked_where_the_word_is_thin_and_only_there() {
    for (body, is_thin) in [("{}", true), ("<html>", false)] {
        let server = Server::start(Story::say(&answer(404, &[], body))).await;
        let client = client(&server);
        let one = Request::get(Call::Describe, ["servers", "7"]);
        let found = client.get_optional_with::<Value>(&one, async { Ok(()) }).await;
        assert_eq!(matches!(found, Ok(None)), is_thin, "{body}: {found:?}");
        let refused =
            client.get_optional_with::<Value>(&one, async { client.json::<Value>(&list()).await.map(drop) });
        assert!(refused.await.is_err(), "{body}: the witness is a page, too");
    }
}

/// A firewall that looks at answers may put its own page in the place of the API's, when the order has gone through.
#[tokio::test]
async fn a_page_is_no_certain_refusal_of_an_order() {
    for (status, word) in [
        (400, "invalid_request"),
        (401, "unauthorised"),
        (403, "forbidden"),
        (409, "conflict"),
        (422, "invalid_request"),
        (429, "rate_limited"),
    ] {
        let page = "<!DOCTYPE html><html><body>blocked</body></html>";
        for (kind, body) in
            [("text/html", page), ("application/json", page), ("text/plain", "{}"), ("text/xml", "{}")]
        {
            let server = Server::start(Story::say(&answer(status, &[("Content-Type", kind)], body))).await;
            let (ordered, listed) = kinds(&server).await;
            assert_eq!((ordered.word(), listed.word()), ("ambiguous", word), "{status} {kind} {body}");
        }
    }
}

/// What is decided by an answer must be so now: nobody may have kept it.
#[tokio::test]
async fn an_answer_from_a_cache_decides_nothing() {
    for headers in [
        vec![("Age", "86400")],
        vec![("Age", "3")],
        vec![("Age", "0"), ("Warning", "110 squid \"Response is stale\"")],
    ] {
        for (status, body) in [(200, "{}"), (404, "{}")] {
            let server = Server::start(Story::say(&answer(status, &headers, body))).await;
            let client = client(&server);
            let error = client.json::<Value>(&list()).await.expect_err("kept");
            assert_eq!(plain(error.kind.clone()), GONE, "{headers:?}");
            assert!(error.to_string().contains("from a cache"), "{error}");
            let one = Request::get(Call::Describe, ["servers", "7"]);
            let found =
                client.get_optional_with::<Value>(&one, async { Ok(()) }).await.expect_err("kept").kind;
            assert_eq!(plain(found), GONE, "{headers:?}");
            assert_eq!(client.send_ok(&order()).await.expect_err("kept").kind, ErrorKind::Ambiguous);
            let cached =
                Cache::default().fetch(&client, &list(), Duration::ZERO).await.expect_err("kept").kind;
            assert_eq!(plain(cached), GONE);
            for request in server.requests() {
                let request = request.to_ascii_lowercase();
                assert!(
                    request.contains("cache-control: no-cache") && request.contains("pragma: no-cache"),
                    "{request}"
                );
            }
        }
    }
    let server = Server::start(Story::say(&answer(200, &[("Age", "1")], "{}"))).await;
    client(&server).json::<Value>(&list()).await.expect("a second on the way");
}

/// Of what refuses, so much is read as an API needs to say why; of what is a list, so many values as lists have.
#[tokio::test]
async fn no_answer_is_read_that_is_larger_than_what_it_can_be() {
    let tree = format!("[{}0]", r#"{"":0},"#.repeat(600_000));
    for status in [403, 404] {
        let server = Server::start(Story::say(&answer(status, &[], &tree))).await;
        let client = client(&server);
        let response = client.send(&list()).await.expect("an answer");
        assert!(response.body().len() <= (64 << 10) + 1, "{}", response.body().len());
        assert_eq!(client.json::<Value>(&order()).await.expect_err("refused").kind, ErrorKind::Ambiguous);
    }
    let much = format!("[{}0]", "0,".repeat(15_000_000));
    let server = Server::start(Story::say(&answer(200, &[], &much))).await;
    let error = client(&server).json::<Value>(&list()).await.expect_err("too many").to_string();
    assert!(error.contains("more than 1048576 values"), "{error}");
}

#[tokio::test]
async fn credentials_do_not_follow_to_another_host() {
    let elsewhere = Server::start(Story::say(&answer(200, &[], "{}"))).await;
    let there = format!("{}/servers", elsewhere.url());
    let server = Server::start(Story::say(&answer(302, &[("Location", &there)], ""))).await;
    let client = client(&server).bearer(SecretString::from("canary")).expect("a token");
    for request in [list(), order()] {
        let error = client.json::<Value>(&request).await.expect_err("not followed").kind;
        assert!(matches!(error, ErrorKind::Protocol { .. }), "{error:?}");
    }
    assert!(elsewhere.requests().is_empty(), "{:?}", elsewhere.requests());
}

#[tokio::test]
async fn reading_follows_on_the_same_host_and_ordering_does_not() {
    let server = Server::start(Story::new(|text| {
        if text.starts_with("GET /servers ") || text.starts_with("POST") {
            answer(307, &[("Location", "/v2/servers")], "").into_bytes()
        } else {
            answer(200, &[], "{}").into_bytes()
        }
    }))
    .await;
    assert_eq!(client(&server).json::<Value>(&list()).await.expect("followed"), json!({}));
    let error = client(&server).json::<Value>(&order()).await.expect_err("not followed").kind;
    assert!(matches!(error, ErrorKind::Protocol { .. }), "{error:?}");
    assert_eq!(server.requests().iter().filter(|text| text.starts_with("POST")).count(), 1);
}

#[tokio::test]
async fn a_circle_of_redirects_ends() {
    let server = Server::start(Story::say(&answer(302, &[("Location", "/servers")], ""))).await;
    let error = client(&server).json::<Value>(&list()).await.expect_err("a circle").kind;
    assert!(matches!(error, ErrorKind::Protocol { .. }), "{error:?}");
    assert_eq!(server.requests().len(), 6);
}

fn paged(server: &Server) -> futures::stream::BoxStream<'static, fulcrum_core::provider::Result<u64>> {
    paginate(client(server), list().query("page", 1), |_, response| {
        let body: Value = response.json()?;
        let items = body["items"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
        let next = body["next"].as_u64().map(|page| list().query("page", page));
        Ok(Page { items, next })
    })
}

#[tokio::test]
async fn pages_are_read_to_the_last_one_request_each() {
    let server = Server::start(Story::new(|text| {
        let page =
            if text.contains("page=1") { json!({"items": [1, 2], "next": 2}) } else { json!({"items": [3]}) };
        answer(200, &[], &page.to_string()).into_bytes()
    }))
    .await;
    let items: Vec<_> = paged(&server).map(|item| item.expect("an item")).collect().await;
    assert_eq!((items, server.requests().len()), (vec![1, 2, 3], 2));
    // Who stops early asks no more.
    let first = paged(&server).next().await.expect("an item").expect("an item");
    assert_eq!((first, server.requests().len()), (1, 3));
}

#[tokio::test]
async fn a_list_that_comes_back_to_its_beginning_ends_with_an_error() {
    let server = Server::start(Story::say(&answer(200, &[], r#"{"items": [1], "next": 1}"#))).await;
    let items: Vec<_> = paged(&server).collect().await;
    assert_eq!(items.len(), 2);
    assert!(matches!(items[1].as_ref().expect_err("no end").kind, ErrorKind::Protocol { .. }));
}

/// Each page has another address, and says the same.
#[tokio::test]
async fn a_list_that_says_the_same_page_again_ends_with_an_error() {
    let server = Server::start(Story::say(&answer(200, &[], r#"{"items": [1], "more": true}"#))).await;
    let list = paginate(client(&server), list().query("page", 1), |request, response| {
        let body: Value = response.json()?;
        let items = body["items"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
        Ok(Page { items, next: Some(request.clone().next_page("page")) })
    });
    let items: Vec<fulcrum_core::provider::Result<u64>> = list.collect().await;
    let error = items.last().expect("an item").as_ref().expect_err("no end");
    assert!(items.len() == 2 && error.to_string().contains("the same page"), "{error}");
}

#[tokio::test]
async fn a_provider_that_asks_to_wait_for_years_is_asked_again_in_minutes() {
    let server = Server::start(Story::say(&answer(429, &[("Retry-After", "100000000")], "{}"))).await;
    let (ordered, _) = kinds(&server).await;
    assert_eq!(ordered.retry_after(), Some(ErrorKind::MAX_RETRY_AFTER));
    assert!(ErrorKind::MAX_RETRY_AFTER <= Duration::from_secs(300));
}

#[tokio::test]
async fn a_provider_that_asks_to_wait_is_not_asked_before() {
    let asked = Arc::new(Mutex::new(0));
    let server = Server::start(Story::new(move |_| {
        let mut asked = asked.lock().expect("nobody panics");
        *asked += 1;
        let headers = [("Retry-After", "1")];
        if *asked == 1 { answer(429, &headers, "") } else { answer(200, &[], "{}") }.into_bytes()
    }))
    .await;
    let client = client(&server);
    let began = Instant::now();
    let error = client.json::<Value>(&list()).await.expect_err("too fast").kind;
    assert_eq!(error, ErrorKind::RateLimited { retry_after: Some(Duration::from_secs(1)) });
    client.json::<Value>(&list()).await.expect("after the wait");
    assert!(began.elapsed() >= Duration::from_millis(900), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_wait_beyond_the_time_limit_is_an_error_at_once() {
    let server = Server::start(Story::say(&answer(429, &[("Retry-After", "30")], ""))).await;
    let client = client(&server);
    client.json::<Value>(&list()).await.expect_err("too fast");
    let began = Instant::now();
    let error = client.json::<Value>(&list()).await.expect_err("still too fast").kind;
    assert!(matches!(error, ErrorKind::RateLimited { retry_after: Some(_) }), "{error:?}");
    assert!(began.elapsed() < Duration::from_secs(15) && server.requests().len() == 1);
}

#[tokio::test]
async fn a_price_list_is_sent_again_only_if_it_has_changed() {
    let server = Server::start(Story::new(|text| {
        let known = text.to_ascii_lowercase().contains("if-none-match: \"v1\"");
        if known { answer(304, &[], "") } else { answer(200, &[("ETag", "\"v1\"")], "[1]") }.into_bytes()
    }))
    .await;
    let (client, cache) = (client(&server), Cache::default());
    let ask = |fresh_for| {
        let (client, cache) = (client.clone(), cache.clone());
        async move {
            cache
                .fetch(&client, &list(), fresh_for)
                .await
                .expect("an answer")
                .0
                .json::<Value>()
                .expect("JSON")
        }
    };
    assert_eq!(ask(Duration::ZERO).await, json!([1]));
    assert_eq!(ask(Duration::ZERO).await, json!([1]));
    assert_eq!(ask(Duration::from_secs(60)).await, json!([1]));
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_recording_plays_again_and_holds_no_secret() {
    let folder = tempfile::tempdir().expect("a folder");
    let tape = folder.path().join("tape.jsonl");
    let body = r#"{"id": 7, "root_password": "hunter2", "note": "canary inside"}"#;
    let server = Server::start(Story::say(&answer(200, &[("X-Auth-Token", "handed-out")], body))).await;
    let config = HttpConfig { record: Some(tape.clone()), ..config(&server) };
    let client = Client::new(&id(), "https://unused.example", &config).expect("a client");
    let client = client.bearer(SecretString::from("canary")).expect("a token");
    let request = order().query("token", "canary");
    client.json::<Value>(&request).await.expect("an answer");
    let text = std::fs::read_to_string(&tape).expect("a recording");
    for secret in ["canary", "hunter2", "handed-out"] {
        assert!(!text.contains(secret), "{secret} is in {text}");
    }
    let replay = Arc::new(Replay::of_text(&text).expect("a recording"));
    let again = client.with_transport(replay.clone());
    let played = again.json::<Value>(&order().query("token", "REDACTED")).await.expect("played");
    assert_eq!(played["id"], 7);
    assert!(replay.unplayed().is_empty());
    let error = again.json::<Value>(&list()).await.expect_err("not on it").kind;
    assert_eq!(plain(error), NOT_SENT);
}

#[tokio::test]
async fn what_cannot_be_written_to_the_recording_does_not_stop_an_order() {
    let server = Server::start(Story::say(&answer(200, &[], "{}"))).await;
    let live =
        Arc::new(fulcrum_core::provider::http::NetworkTransport::new(&config(&server)).expect("a transport"));
    let full = std::path::Path::new("/dev/full");
    if !full.exists() {
        println!("SKIPPED: there is no /dev/full");
        return;
    }
    let recorder = Recorder::append(live, full, Redactor::default()).expect("a device");
    client(&server).with_transport(Arc::new(recorder)).json::<Value>(&order()).await.expect("an answer");
}

/// An adapter in its smallest form.
#[derive(Debug)]
struct Smallest {
    client: Client,
    capabilities: fulcrum_core::provider::Capabilities,
}

#[async_trait::async_trait]
impl fulcrum_core::provider::Provider for Smallest {
    fn id(&self) -> &ProviderId {
        self.client.provider()
    }
    fn capabilities(&self) -> &fulcrum_core::provider::Capabilities {
        &self.capabilities
    }
    fn offers(&self, _: &fulcrum_core::provider::OfferFilter) -> fulcrum_core::provider::OfferStream {
        let client = self.client.clone();
        futures::stream::once(async move { client.json(&Request::get(Call::Offers, ["offers"])).await })
            .boxed()
    }
    async fn provision(
        &self,
        request: &fulcrum_core::provider::ProvisionRequest,
        key: &fulcrum_core::model::IdempotencyKey,
    ) -> fulcrum_core::provider::Result<fulcrum_core::provider::OperationHandle> {
        let body = json!({ "sku": request.sku, "key": key });
        self.client.json(&Request::post(Call::Provision, ["servers"]).json(&body)).await
    }
}

#[tokio::test]
async fn a_server_that_repeats_the_request_does_not_make_us_show_a_secret() {
    let make = |secret: &'static str| {
        move |config: HttpConfig| {
            let client = Client::new(&id(), "https://unused.example", &config).expect("a client");
            let client = client.basic("someone", SecretString::from(secret)).expect("credentials");
            let capabilities = fulcrum_core::provider::Capabilities::offers_only();
            Arc::new(Smallest { client, capabilities }) as Arc<dyn fulcrum_core::provider::Provider>
        }
    };
    // In the header it stands coded.
    let coded = "c29tZW9uZTpjYW5hcnktN2YzYQ";
    let count = peers::canary::check(&["canary-7f3a", coded], &["x"], make("canary-7f3a")).await;
    println!("canary: {count} texts");
    assert!(count > 300, "{count}");
}

/// Also those of which no adapter asks for anything, such as volumes and addresses alone.
#[tokio::test]
async fn every_recorded_flow_plays_to_its_end() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/recordings");
    if !folder.is_dir() {
        println!("SKIPPED: no recorded answers at {}", folder.display());
        return;
    }
    let (mut flows, mut responses) = (0, 0);
    for provider in ["scaleway", "upcloud"] {
        for file in std::fs::read_dir(folder.join(provider).join("flows")).expect("a folder") {
            let path = file.expect("a file").path();
            let mut elsewhere = Vec::new();
            let replay = Replay::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            for line in std::fs::read_to_string(&path).expect("text").lines() {
                let line: Value = serde_json::from_str(line).expect("JSON");
                let (asked, said) = (&line["request"], &line["response"]);
                let method: Method =
                    asked["method"].as_str().expect("a method").parse().expect("one that is known");
                let place = asked["path"].as_str().expect("a path");
                if place.starts_with("https:") {
                    // To a host of another name, where no client of ours goes.
                    elsewhere.push(format!("{method} {place}"));
                    continue;
                }
                let url = format!("https://api.example{place}").parse().expect("an address");
                let request = RawRequest { method, url, headers: HeaderMap::new(), body: None };
                let response = replay.send(request).await.expect("on the recording");
                assert_eq!(json!(response.status.as_u16()), said["status"], "{}", path.display());
                if said["body"].is_object() {
                    let body: Value = serde_json::from_slice(&response.body).expect("JSON");
                    assert_eq!(body, said["body"], "{}", path.display());
                }
                responses += 1;
            }
            assert_eq!(replay.unplayed(), elsewhere, "{}", path.display());
            flows += 1;
        }
    }
    println!("{flows} flows with {responses} answers");
    assert_eq!(flows, 59);
}
