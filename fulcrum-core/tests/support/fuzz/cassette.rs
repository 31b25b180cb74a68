//! A text as a recording, which is then played.

use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use fulcrum_core::{
    model::{IdempotencyKey, ServiceId},
    provider::{
        OfferFilter, OperationHandle, Provider,
        http::{Method, RawRequest, Replay, Transport},
    },
};
use futures::StreamExt;

use super::{fault, paused, wire::BASE, words};
use crate::imitation;

/// Lines that are asked for one by one.
const MOST_LINES: usize = 64;

fn folder() -> PathBuf {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let make = || {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("secret"), super::SECRET).expect("a file");
        folder
    };
    FOLDER.get_or_init(make).path().to_owned()
}

/// Each line is asked for as it stands there; then an adapter asks as if it were its cloud.
pub fn cassette(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let replay = match Replay::of_text(text) {
        Ok(replay) => Arc::new(replay),
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return false;
        }
    };
    let rest = replay.unplayed();
    paused(async {
        for line in rest.iter().take(MOST_LINES) {
            let Some((method, path)) = line.split_once(' ') else { continue };
            let (Ok(method), Ok(url)) =
                (Method::from_bytes(method.as_bytes()), format!("{BASE}{path}").parse())
            else {
                continue;
            };
            let request = RawRequest { method, url, headers: Default::default(), body: None };
            if let Ok(answer) = replay.send(request).await {
                let kind = answer.headers.get("content-type").and_then(|kind| kind.to_str().ok());
                fault::plant(kind.unwrap_or_default());
            }
        }
        let again: Arc<Replay> = Arc::new(Replay::of_text(text).expect("it was one"));
        let provider = (imitation::hetzner::API.over)(&folder(), BASE, again);
        listen(&*provider).await;
        !rest.is_empty()
    })
}

async fn listen(provider: &dyn Provider) {
    let at = "cassette";
    for offer in provider.offers(&OfferFilter::default()).collect::<Vec<_>>().await {
        offer.map_err(|error| words::of_error(at, &error)).ok();
    }
    for service in provider.services().collect::<Vec<_>>().await {
        service.map_err(|error| words::of_error(at, &error)).ok();
    }
    let service = ServiceId::new("7").expect("a name");
    let key: IdempotencyKey = "k".parse().expect("a key");
    provider.describe(&service).await.map_err(|error| words::of_error(at, &error)).ok();
    provider.find_by_key(&key).await.map_err(|error| words::of_error(at, &error)).ok();
    let begun = provider.release(&service, &key).await.map_err(|error| words::of_error(at, &error)).ok();
    let handle = begun.unwrap_or_else(|| OperationHandle::new("make/7/1"));
    provider.poll(&handle).await.map_err(|error| words::of_error(at, &error)).ok();
}
