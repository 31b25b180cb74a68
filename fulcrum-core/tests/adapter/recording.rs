//! What a recording holds, and what is shown of a refusal, at every adapter: nothing that is not known to be harmless, in
//! answers and in requests, and enough to play it again.

use std::{collections::BTreeMap, os::unix::fs::PermissionsExt, path::Path, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use fulcrum_core::{
    ledger::{Ledger, SqliteLedger},
    model::{IdempotencyKey, OrderId, Policy},
    provider::{
        OfferFilter, OperationStatus, Provider, ProviderError, ProvisionRequest,
        http::{HeaderMap, RawRequest, Replay, Transport},
    },
    purchase::Engine,
};
use futures::{FutureExt, StreamExt, TryStreamExt};

use crate::{
    absence::plan,
    exact::request,
    imitation::{self, Api, Imitation, RECORD},
    peers::server::{Server, Story, answer},
};

const CANARY: &str = "canary-90d1";
const PIN: &str = "7771234567";
/// What a machine is told at its first start.
const USER_DATA: &str = "#cloud-config\npassword: canary-u5e7\nwrite_files: [\"canary-f11e <&>\"]\n";
const TOLD: [&str; 3] = [CANARY, "canary-u5e7", "canary-f11e"];

fn recording<T>(path: &Path, make: impl FnOnce() -> T) -> T {
    RECORD.set(Some(path.to_owned()));
    let made = make();
    RECORD.set(None);
    made
}

/// A request with a canary in each setting that the adapter takes as it is.
fn with_secrets(provider: &dyn Provider, request: ProvisionRequest) -> ProvisionRequest {
    let taken = provider.capabilities().settings.clone();
    let mut request = request;
    for name in ["user_data", "ssh_key", "password"] {
        if taken.as_ref().is_none_or(|taken| taken.has(name)) {
            let value =
                if name == "ssh_key" { format!("ssh-ed25519 AAAA {CANARY}") } else { USER_DATA.to_owned() };
            request.settings.insert(name.to_owned(), value.as_str().into());
        }
    }
    request
}

fn shown(error: &ProviderError) -> Vec<String> {
    let mut texts = vec![format!("{error} {error:?} {}", error.kind)];
    let mut cause = std::error::Error::source(error);
    while let Some(at) = cause {
        texts.push(format!("{at} {at:?}"));
        cause = at.source();
    }
    texts.extend(error.request_id.clone());
    texts
}

/// Not in any form in which it could have been written.
fn assert_hidden(at: &str, text: &str) {
    let coded: Vec<String> = [USER_DATA, CANARY].iter().map(|text| STANDARD.encode(text)).collect();
    let percent: String = url::form_urlencoded::byte_serialize(USER_DATA.as_bytes()).collect();
    let forms = TOLD.iter().map(|it| (*it).to_owned()).chain(coded).chain([percent, PIN.to_owned()]);
    for form in forms {
        if let Some(found) = text.find(&form) {
            let from = text[..found].char_indices().rev().nth(300).map_or(0, |(at, _)| at);
            panic!("{at}: {form} is shown: {}", &text[from..found]);
        }
    }
}

/// Buys one, looks at it in every way, and ends it. The answer is all that was said of what went wrong.
async fn live(api: &Api, provider: &dyn Provider, texts: &mut Vec<String>) -> IdempotencyKey {
    let offers: Vec<_> = provider.offers(&OfferFilter::default()).try_collect().await.expect(api.name);
    let request = with_secrets(provider, request(&offers[0]));
    let key = IdempotencyKey::of_step(&OrderId::generate(), 0);
    let mut note = |error: Option<ProviderError>| texts.extend(error.iter().flat_map(shown));
    let handle = match provider.provision(&request, &key).await {
        Ok(handle) => handle,
        Err(error) => panic!("{}: {error}", api.name),
    };
    for _ in 0..8 {
        match provider.poll(&handle).await {
            Ok(OperationStatus::Running { .. }) => {}
            said => {
                note(said.err());
                break;
            }
        }
    }
    let found = provider.find_by_key(&key).await;
    if let Ok(Some(service)) = &found {
        note(provider.describe(&service.id).await.err());
        note(provider.services().next().await.and_then(Result::err));
        let end = IdempotencyKey::new(format!("{key}-r")).expect("a key");
        match provider.release(&service.id, &end).await {
            Ok(handle) => note(provider.poll(&handle).await.err()),
            said => note(said.err()),
        }
        note(provider.describe(&service.id).await.err());
    }
    note(found.err());
    key
}

#[tokio::test]
async fn no_field_that_is_not_known_is_in_a_recording() {
    let folder = tempfile::tempdir().expect("a folder");
    for api in imitation::ALL {
        let cloud = Imitation::start(api).await;
        cloud.world().canary = Some(CANARY);
        let tape = folder.path().join(api.name);
        let provider = recording(&tape, || cloud.another());
        let mut texts = vec![format!("{provider:?}")];
        live(&api, &*provider, &mut texts).await;
        let recorded = std::fs::read_to_string(&tape).expect("a recording");
        assert!(recorded.lines().count() > 4, "{}: {recorded}", api.name);
        assert!(
            recorded.contains("REDACTED-string-11"),
            "{}: the canary was in no answer: {recorded}",
            api.name
        );
        texts.push(recorded);
        texts.iter().for_each(|text| assert_hidden(api.name, text));
    }
}

/// What was refused by an API that repeats the whole request, in all that is shown and kept of it.
#[tokio::test]
async fn a_refusal_that_repeats_the_request_shows_nothing_of_it() {
    let folder = tempfile::tempdir().expect("a folder");
    for api in imitation::ALL {
        let cloud = Imitation::start(api).await;
        let tape = folder.path().join(api.name);
        let provider = recording(&tape, || cloud.another());
        let offers: Vec<_> = provider.offers(&OfferFilter::default()).try_collect().await.expect(api.name);
        let request = with_secrets(&*provider, request(&offers[0]));
        cloud.world().echoes = true;
        let key = IdempotencyKey::of_step(&OrderId::generate(), 0);
        let mut error = provider.provision(&request, &key).await.map(|handle| (handle, ())).err();
        if error.is_none() {
            // What takes several calls is refused by a later one.
            let (handle, ()) = (provider.provision(&request, &key).await.expect("a handle"), ());
            error = provider.poll(&handle).await.err();
        }
        if let Some(error) = &error {
            shown(error).iter().for_each(|text| assert_hidden(api.name, text));
        }
        assert_hidden(api.name, &std::fs::read_to_string(&tape).expect("a recording"));
        // And what an order keeps of it beside what was ordered.
        let ledger: Arc<dyn Ledger> = Arc::new(SqliteLedger::in_memory().await.expect("a ledger"));
        let engine = Engine::new(BTreeMap::from([(provider.id().clone(), provider.clone())]), ledger.clone());
        let mut plan = plan(&api, &*provider).await;
        for component in &mut plan.leases {
            component.settings = request.settings.clone();
        }
        let policy = Policy::default()
            .with_step_timeout_s(2)
            .with_compensation_timeout_s(1)
            .with_max_table_age_days(u32::MAX);
        let Ok(order) = engine.accept(plan, policy, None).await else { continue };
        let order = engine.drive(&order.id).await.expect("driven");
        let reason =
            format!("{:?} {:?}", order.reason, engine.timeline(&order.id).await.expect("a timeline"));
        assert_hidden(api.name, &reason);
    }
}

/// By a server that says what the recording says, and nothing else.
#[tokio::test]
async fn what_an_adapter_has_recorded_plays_again() {
    let folder = tempfile::tempdir().expect("a folder");
    // Proxmox keeps the key in a machine's notes, which are the customer's, too.
    for api in imitation::ALL.into_iter().filter(|api| api.name != "proxmox") {
        let cloud = Imitation::start(api).await;
        cloud.world().canary = Some(CANARY);
        let tape = folder.path().join(api.name);
        let provider = recording(&tape, || cloud.another());
        let wanted = request(
            &provider.offers(&OfferFilter::default()).try_collect::<Vec<_>>().await.expect(api.name)[0],
        );
        let key = IdempotencyKey::of_step(&OrderId::generate(), 0);
        let handle = provider.provision(&wanted, &key).await.expect(api.name);
        while let Ok(OperationStatus::Running { .. }) = provider.poll(&handle).await {}
        let service = provider.find_by_key(&key).await.expect(api.name).expect("it is there");
        let described = provider.describe(&service.id).await.expect(api.name);
        let replay = Replay::open(&tape).expect("a recording");
        let player = Server::start(Story::new(move |request| {
            let line = request.lines().next().expect("a line");
            let mut words = line.split(' ');
            let method = words.next().expect("a method").parse().expect("a method");
            let url = format!("http://x{}", words.next().expect("a path")).parse().expect("an address");
            let asked = RawRequest { method, url, headers: HeaderMap::new(), body: None };
            let Some(Ok(said)) = replay.send(asked).now_or_never() else {
                return answer(599, &[], line).into_bytes();
            };
            let headers: Vec<_> = said
                .headers
                .iter()
                .map(|(name, value)| (name.as_str(), value.to_str().expect("text")))
                .collect();
            let own = |name: &str| ["content-length", "connection"].contains(&name);
            let headers: Vec<_> = headers.into_iter().filter(|(name, _)| !own(name)).collect();
            answer(said.status.as_u16(), &headers, &String::from_utf8_lossy(&said.body)).into_bytes()
        }))
        .await;
        let again = imitation::build(&api, &player.url());
        let offers: Vec<_> = again.offers(&OfferFilter::default()).try_collect().await.expect(api.name);
        assert_eq!(request(&offers[0]), wanted, "{}", api.name);
        assert_eq!(
            again.find_by_key(&key).await.expect(api.name).map(|it| it.id),
            Some(service.id.clone()),
            "{}",
            api.name
        );
        // Of an earlier moment of the recording, in which it may still have been starting.
        let played = again.describe(&service.id).await.expect(api.name).map(|it| (it.id, it.key, it.sku));
        assert_eq!(played, described.map(|it| (it.id, it.key, it.sku)), "{}", api.name);
    }
}

#[tokio::test]
async fn a_recording_is_its_owners_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let tape = folder.path().join("tape.jsonl");
    let mode = || std::fs::metadata(&tape).expect("a file").permissions().mode() & 0o777;
    let cloud = Imitation::start(imitation::hetzner::API).await;
    let provider = recording(&tape, || cloud.another());
    assert_eq!(mode(), 0o600);
    let _: Vec<_> = provider.offers(&OfferFilter::default()).collect().await;
    std::fs::set_permissions(&tape, std::fs::Permissions::from_mode(0o644)).expect("changed");
    let length = std::fs::metadata(&tape).expect("a file").len();
    recording(&tape, || cloud.another());
    assert_eq!((mode(), std::fs::metadata(&tape).expect("a file").len()), (0o600, length));
}
