//! A call that gets no answer says why, and what to do.

use std::{io::Write, net::TcpListener, path::PathBuf, sync::Arc, thread};

use fulcrum_core::{
    model::ProviderId,
    provider::{
        Call, ErrorKind, ProviderError,
        http::{Client, HttpConfig, Request},
    },
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use secrecy::SecretString;
use serde_json::Value;

use crate::peers::server::{Server, Story, answer};

fn tls_folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/provider/tls"))
}

async fn failure_of(config: HttpConfig, is_order: bool) -> ProviderError {
    let id: ProviderId = "acme".parse().expect("a name");
    let config = HttpConfig { timeout_ms: 3_000, connect_timeout_ms: 2_000, ..config };
    let client = Client::new(&id, "https://unused.example", &config).expect("a client");
    let client = client.bearer(SecretString::from("canary-token")).expect("a token");
    let request = match is_order {
        true => {
            Request::post(Call::Provision, ["servers"]).json(&serde_json::json!({ "name": "canary-body" }))
        }
        false => Request::get(Call::Services, ["servers"]),
    };
    client.json::<Value>(&request).await.expect_err("nobody is there")
}

fn at(url: &str) -> HttpConfig {
    HttpConfig { base_url: Some(url.to_owned()), ..HttpConfig::default() }
}

/// Its words, in the error and in its kind alone, which is all that a step's events keep.
async fn says(config: HttpConfig, words: &[&str]) {
    for is_order in [false, true] {
        let error = failure_of(config.clone(), is_order).await;
        assert!(matches!(error.kind, ErrorKind::NotSent { .. }), "{error}");
        for text in [error.to_string(), error.kind.to_string()] {
            assert!(text.contains("nothing was sent: "), "{text}");
            assert!(words.iter().all(|word| text.contains(word)), "{text} does not say {words:?}");
            assert!(!text.contains("canary"), "{text}");
        }
    }
}

/// A place at which nobody listens.
fn free() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").to_string()
}

/// Shakes hands with whoever comes, as `other.example`.
fn tls_server() -> String {
    let pem = |name: &str| tls_folder().join(name);
    let certificates: Vec<_> = CertificateDer::pem_file_iter(pem("server.pem"))
        .expect("a file")
        .map(|it| it.expect("a certificate"))
        .collect();
    let key = PrivateKeyDer::from_pem_file(pem("server.key")).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .expect("a certificate and its key");
    let (listener, config) = (TcpListener::bind("127.0.0.1:0").expect("a port"), Arc::new(config));
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut session = rustls::ServerConnection::new(config.clone()).expect("a session");
            while session.is_handshaking() && session.complete_io(&mut stream).is_ok() {}
        }
    });
    format!("https://127.0.0.1:{port}")
}

#[tokio::test]
async fn a_port_that_nobody_has_is_named() {
    let place = free();
    let url = format!("http://{place}");
    says(at(&url), &[&place, "refused the connection", "`base_url`"]).await;
    says(at(&url.replace("http", "https")), &[&place, "refused the connection"]).await;
}

#[tokio::test]
async fn a_name_that_nobody_knows_is_told_from_a_port() {
    says(at("https://cloud.invalid/v1"), &["cloud.invalid:443", "cannot be resolved", "DNS"]).await;
}

#[tokio::test]
async fn an_authority_that_nobody_trusts_and_a_wrong_name_are_told_apart() {
    let url = tls_server();
    let trusting =
        |config: HttpConfig| HttpConfig { ca_file: Some(tls_folder().join("authority.pem")), ..config };
    says(trusting(at(&url)), &["not for the name 127.0.0.1", "`base_url`"]).await;
    // Of this machine's authorities none has signed it, if it has any.
    let error = failure_of(at(&url), true).await.to_string();
    let is_said = error.contains("an authority that is not trusted here")
        || error.contains("has no certificate authorities");
    assert!(is_said && error.contains("`ca_file`"), "{error}");
}

#[tokio::test]
async fn a_port_without_tls_is_told() {
    // Says that it wants plain HTTP, as most servers do.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("https://{}", listener.local_addr().expect("an address"));
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        }
    });
    says(at(&url), &["does not speak TLS", "port"]).await;
}

#[tokio::test]
async fn a_proxy_that_refuses_is_told_from_the_cloud() {
    let through = |proxy: String| HttpConfig { proxy: Some(proxy), ..at("https://cloud.example/v1") };
    let gone = free();
    says(
        through(format!("http://{gone}")),
        &[&format!("the proxy {gone}"), "refused the connection", "HTTPS_PROXY"],
    )
    .await;
    for (status, words) in [(407, "wants a login"), (403, "does not let through to cloud.example:443")] {
        let server = Server::start(Story::say(&answer(status, &[], "canary-page"))).await;
        let address = server.url().replace("http://", "http://canary:canary-password@");
        says(through(address), &[&server.url().replace("http://", "the proxy "), words]).await;
    }
    says(
        through("http://proxy.invalid:3128".to_owned()),
        &["the proxy proxy.invalid:3128", "cannot be resolved"],
    )
    .await;
}

#[tokio::test]
async fn what_was_lost_on_the_way_says_how() {
    let server = Server::start(Story::close()).await;
    let listed = failure_of(at(&server.url()), false).await;
    assert!(matches!(&listed.kind, ErrorKind::Unavailable { cause, .. } if !cause.is_empty()), "{listed}");
    let ordered = failure_of(at(&server.url()), true).await;
    assert_eq!(ordered.kind, ErrorKind::Ambiguous);
    let place = server.url().replace("http://", "");
    assert!(ordered.to_string().contains(&place), "{ordered}");
    let slow = failure_of(HttpConfig { ..at(&Server::start(Story::drip()).await.url()) }, true).await;
    assert!(!slow.to_string().contains("canary"), "{slow}");
    let busy = Server::start(Story::say(&answer(503, &[], "canary-page"))).await;
    let busy = failure_of(at(&busy.url()), false).await.to_string();
    assert!(busy.contains("the API answered 503") && !busy.contains("canary"), "{busy}");
}
