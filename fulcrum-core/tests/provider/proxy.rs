//! What goes to this machine goes through no proxy of the environment, whatever it is called there.

use std::process::Command;

use fulcrum_core::provider::{
    Call, ErrorKind,
    http::{Client, HttpConfig, Request},
};
use secrecy::SecretString;
use serde_json::Value;

use crate::peers::server::{Server, Story, answer};

const ADDRESSES: &str = "FULCRUM_TEST_PROXY_ADDRESSES";

async fn ask(base_url: &str, proxy: Option<String>) -> Result<Value, ErrorKind> {
    let config = HttpConfig {
        base_url: Some(base_url.to_owned()),
        proxy,
        timeout_ms: 5_000,
        connect_timeout_ms: 2_000,
        ..HttpConfig::default()
    };
    let id = "acme".parse().expect("a name");
    let client = Client::new(&id, "https://unused.example", &config).expect("a client");
    let client = client.bearer(SecretString::from("canary-token")).expect("a token");
    client.json(&Request::get(Call::Services, ["servers"])).await.map_err(|error| error.kind)
}

/// In a process of its own, whose environment names proxies. Each address with whether it must be answered.
#[tokio::test]
async fn child() {
    let Ok(addresses) = std::env::var(ADDRESSES) else { return };
    for line in addresses.lines() {
        let (is_answered, address) = line.split_once(' ').expect("two words");
        let said = ask(address, None).await;
        assert_eq!(said.is_ok(), is_answered == "answered", "{address}: {said:?}");
        if let Err(kind) = said {
            println!("{address}: {kind}");
        }
    }
}

async fn run(proxies: &[(&str, &str)], addresses: &str) -> String {
    let mut child = Command::new(std::env::current_exe().expect("a program"));
    child.args(["proxy::child", "--exact", "--nocapture"]).env(ADDRESSES, addresses);
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"] {
        child.env_remove(name).env_remove(name.to_lowercase());
    }
    child.envs(proxies.iter().copied());
    let output = tokio::task::spawn_blocking(move || child.output()).await.expect("no panic").expect("run");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

#[tokio::test]
async fn this_machine_is_reached_without_the_environments_proxy() {
    let proxy = Server::start(Story::say(&answer(502, &[], "canary-proxy"))).await;
    let api = Server::start(Story::say(&answer(200, &[], "{}"))).await;
    let port = api.url().rsplit(':').next().expect("a port").to_owned();
    let here = ["127.0.0.1", "localhost", "LOCALHOST", "api.localhost", "localhost.", "[::ffff:127.0.0.1]"];
    let mut addresses: Vec<String> =
        here.iter().map(|host| format!("answered http://{host}:{port}/v1")).collect();
    // Nobody speaks TLS there, which the proxy must not learn either.
    addresses.extend(
        ["127.0.0.1", "127.8.9.10", "localhost", "[::1]"]
            .map(|host| format!("refused https://{host}:{port}/v1")),
    );
    for names in [
        vec!["HTTP_PROXY", "HTTPS_PROXY"],
        vec!["http_proxy", "https_proxy"],
        vec!["ALL_PROXY"],
        vec!["all_proxy"],
    ] {
        let proxies: Vec<_> = names.iter().map(|name| (*name, proxy.url())).collect();
        let proxies: Vec<_> = proxies.iter().map(|(name, url)| (*name, url.as_str())).collect();
        run(&proxies, &addresses.join("\n")).await;
        assert_eq!(proxy.requests(), Vec::<String>::new(), "{names:?}");
    }
    assert_eq!(
        api.requests().iter().filter(|text| text.starts_with("GET /v1/servers")).count(),
        here.len() * 4
    );
}

/// The counterpart: with the same environment, what is elsewhere does go through it.
#[tokio::test]
async fn what_is_elsewhere_is_reached_through_it() {
    let proxy = Server::start(Story::say(&answer(502, &[], ""))).await;
    let said = run(&[("HTTPS_PROXY", &proxy.url())], "refused https://cloud.example/v1").await;
    assert!(said.contains("the proxy 127.0.0.1"), "{said}");
    assert!(proxy.requests().iter().all(|text| text.starts_with("CONNECT cloud.example:443")));
    assert_eq!(proxy.requests().len(), 1);
    assert!(!proxy.requests()[0].contains("canary"));
}

/// One that the configuration itself names is used, if nothing leaves the machine on the way to it.
#[tokio::test]
async fn a_proxy_on_this_machine_that_is_asked_for_is_used() {
    let proxy = Server::start(Story::say(&answer(200, &[], "{}"))).await;
    assert!(ask("http://127.0.0.1:9/v1", Some(proxy.url())).await.is_ok());
    assert!(proxy.requests()[0].starts_with("GET http://127.0.0.1:9/v1/servers"), "{:?}", proxy.requests());
}
