//! A secret that was rotated is read again when it is refused, without a restart, and what was refused is asked once more.

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use fulcrum_core::provider::{
    Call, ErrorKind,
    http::{Client, Credential, HttpConfig, Request},
};
use serde_json::{Value, json};

use crate::peers::server::{Server, Story, answer};

/// Takes one token at a time.
struct Cloud {
    server: Server,
    good: Arc<Mutex<String>>,
}

impl Cloud {
    async fn start(token: &str) -> Self {
        let good = Arc::new(Mutex::new(token.to_owned()));
        let known = good.clone();
        let server = Server::start(Story::new(move |request| {
            let known = known.lock().expect("nobody panics").clone();
            let is_known = request
                .to_ascii_lowercase()
                .contains(&format!("authorization: {}\r", known.to_ascii_lowercase()));
            answer(if is_known { 200 } else { 401 }, &[], "{}").into_bytes()
        }))
        .await;
        Self { server, good }
    }

    fn rotate(&self, token: &str) {
        *self.good.lock().expect("nobody panics") = token.to_owned();
    }

    /// How many requests it has seen since it was asked last.
    fn seen(&self) -> usize {
        self.server.requests().len()
    }
}

fn credential(folder: &Path, value: &str) -> Credential {
    std::fs::write(folder.join("token"), value).expect("written");
    "file:token".parse().expect("a place")
}

fn client(cloud: &Cloud) -> Client {
    let config =
        HttpConfig { base_url: Some(cloud.server.url()), timeout_ms: 3_000, ..HttpConfig::default() };
    Client::new(&"acme".parse().expect("a name"), "https://unused.example", &config).expect("a client")
}

fn order() -> Request {
    Request::post(Call::Provision, ["servers"]).json(&json!({ "name": "web" }))
}

async fn buy(client: &Client) -> Result<Value, ErrorKind> {
    client.json(&order()).await.map_err(|error| error.kind)
}

#[tokio::test]
async fn a_rotated_token_is_read_again_and_the_order_goes_through() {
    let folder = tempfile::tempdir().expect("a folder");
    let cloud = Cloud::start("Bearer canary-one").await;
    let secret = credential(folder.path(), "canary-one").read(folder.path()).expect("a secret");
    let client = client(&cloud).bearer(secret).expect("a client");
    assert_eq!(buy(&client).await, Ok(json!({})));
    assert_eq!(cloud.seen(), 1);
    // The cloud has a new one, and nobody has written it yet: the refusal stands, and nothing is asked twice.
    cloud.rotate("Bearer canary-two");
    assert_eq!(buy(&client).await, Err(ErrorKind::Unauthorised));
    assert_eq!(cloud.seen(), 2);
    // Half written is not read either.
    std::fs::write(folder.path().join("token"), "").expect("written");
    assert_eq!(buy(&client).await, Err(ErrorKind::Unauthorised));
    assert_eq!(cloud.seen(), 3);
    std::fs::write(folder.path().join("token"), "canary-two\n").expect("written");
    assert_eq!(buy(&client).await, Ok(json!({})));
    assert_eq!(cloud.seen(), 5);
    // From now on it is known, to clients for other addresses of the API as well.
    assert_eq!(buy(&client.with_base_url(&cloud.server.url()).expect("an address")).await, Ok(json!({})));
    assert_eq!(cloud.seen(), 6);
    // A wrong one is tried once, and the refusal stands.
    std::fs::write(folder.path().join("token"), "canary-three").expect("written");
    cloud.rotate("Bearer canary-four");
    assert_eq!(buy(&client).await, Err(ErrorKind::Unauthorised));
    assert_eq!(cloud.seen(), 8);
    for secret in ["canary-one", "canary-two", "canary-three"] {
        assert!(!client.redactor().text(&format!("it was {secret}")).contains("canary"), "{secret}");
        assert!(!format!("{client:?}").contains("canary"));
    }
}

#[tokio::test]
async fn so_is_a_password_and_a_header_of_the_apis_own() {
    let folder = tempfile::tempdir().expect("a folder");
    // `me:canary-one` and `me:canary-two`, coded.
    let cloud = Cloud::start("Basic bWU6Y2FuYXJ5LW9uZQ==").await;
    let secret = credential(folder.path(), "canary-one").read(folder.path()).expect("a secret");
    let basic = client(&cloud).basic("me", &secret).expect("a client");
    assert_eq!(buy(&basic).await, Ok(json!({})));
    let own = |token: &str| format!("PVEAPIToken=me={token}");
    let header =
        client(&cloud).secret_header_of(::http::header::AUTHORIZATION, &secret, own).expect("a client");
    std::fs::write(folder.path().join("token"), "canary-two").expect("written");
    cloud.rotate("Basic bWU6Y2FuYXJ5LXR3bw==");
    assert_eq!(buy(&basic).await, Ok(json!({})));
    cloud.rotate("PVEAPIToken=me=canary-two");
    assert_eq!(buy(&header).await, Ok(json!({})));
    assert!(!basic.redactor().text("bWU6Y2FuYXJ5LXR3bw==").contains("bWU6"));
}

/// A page in the place of the API's answer may stand there after the order has gone through.
#[tokio::test]
async fn a_page_that_lets_nobody_in_makes_no_second_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(Story::new(|_| answer(401, &[], "<html>log in</html>").into_bytes())).await;
    let secret = credential(folder.path(), "canary-one").read(folder.path()).expect("a secret");
    let config = HttpConfig { base_url: Some(server.url()), timeout_ms: 3_000, ..HttpConfig::default() };
    let client = Client::new(&"acme".parse().expect("a name"), "https://unused.example", &config);
    let client = client.and_then(|client| client.bearer(secret)).expect("a client");
    std::fs::write(folder.path().join("token"), "canary-two").expect("written");
    assert_eq!(buy(&client).await, Err(ErrorKind::Ambiguous));
    assert_eq!(server.requests().len(), 1);
    // What only reads is asked again.
    let listed =
        client.json::<Value>(&Request::get(Call::Services, ["servers"])).await.map_err(|error| error.kind);
    assert_eq!((listed, server.requests().len()), (Err(ErrorKind::Unauthorised), 3));
}

/// Ten at once, all with the old one: each is asked once more, and no more.
#[tokio::test]
async fn many_requests_that_are_refused_at_once_all_go_through() {
    let folder = tempfile::tempdir().expect("a folder");
    let cloud = Cloud::start("Bearer canary-one").await;
    let secret = credential(folder.path(), "canary-one").read(folder.path()).expect("a secret");
    let client = client(&cloud).bearer(secret).expect("a client");
    std::fs::write(folder.path().join("token"), "canary-two").expect("written");
    cloud.rotate("Bearer canary-two");
    let all = futures::future::join_all((0..10).map(|_| buy(&client))).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    assert!((11..=20).contains(&cloud.seen()), "{}", cloud.seen());
}
