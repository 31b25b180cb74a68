//! What a provider of the host's own describes itself as, and answers.

use std::sync::{Arc, Mutex};

use fulcrum_core::{
    model::{Action, IdempotencyKey, OfferKind, Service, ServiceId, ServiceStatus, parse_json},
    provider::{
        Call, OfferFilter, OperationHandle, OperationStatus, Provider, ProvisionRequest, Result, UsagePeriod,
        callback::{CallbackDescription, CallbackProvider, ProviderCallbacks},
    },
};
use futures::StreamExt;
use serde_json::json;

use super::{fault, paused, words};

const AT: &str = "host";

/// Answers that a text holds, a line each; the last one again and again.
#[derive(Debug)]
struct Lines {
    lines: Mutex<Vec<String>>,
}

impl ProviderCallbacks for Lines {
    fn call(&self, _: Call, request: &str) -> Result<String, String> {
        assert!(serde_json::from_str::<serde_json::Value>(request).is_ok(), "{request}");
        let mut lines = self.lines.lock().expect("nobody panics");
        match lines.len() {
            0 => Err("nothing is left to say".to_owned()),
            1 => Ok(lines[0].clone()),
            _ => Ok(lines.remove(0)),
        }
    }
}

fn usual() -> CallbackDescription {
    let calls = [
        "offers",
        "quote",
        "reserve",
        "unreserve",
        "provision",
        "resume_operation",
        "find_by_key",
        "describe",
        "services",
        "act",
        "release",
        "poll",
        "usage",
        "dry_run",
        "access",
    ];
    let text = json!({
        "provider": { "id": "own", "name": "Own", "legal_name": "Own", "country": "DE",
            "regions": [{ "id": "r", "country": "DE", "zones": ["a"] }] },
        "capabilities": { "calls": calls, "idempotency": { "provision": { "class": "key" } },
            "concurrency": null, "poll_interval_ms": 10 },
    });
    parse_json(&text.to_string()).expect("a description")
}

/// The first line describes the provider, or not; each other one answers a call.
pub fn host_json(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    // A host's own texts hold no secret of this library's: what it says itself may be repeated to it.
    if text.contains(super::SECRET) {
        return false;
    }
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let described = lines.first().and_then(|line| parse_json::<CallbackDescription>(line).ok());
    if described.is_some() {
        lines.remove(0);
    }
    let calls = Arc::new(Lines { lines: Mutex::new(lines) });
    let Ok(provider) = CallbackProvider::new(described.unwrap_or_else(usual), calls) else { return false };
    paused(call_all(&provider)) > 0
}

/// How many calls succeeded.
async fn call_all(provider: &CallbackProvider) -> usize {
    let mut well = 0;
    let mut offers = Vec::new();
    for offer in provider.offers(&OfferFilter::default()).collect::<Vec<_>>().await {
        offers.extend(heard(&mut well, offer));
    }
    for row in provider.rejected() {
        words::are_readable(AT, &row.row);
        words::are_readable(AT, &row.reason);
    }
    let key: IdempotencyKey = "a-key".parse().expect("a key");
    let Some(request) =
        offers.first().map(|offer| ProvisionRequest::of(offer, 0, "web")).or_else(|| own(provider))
    else {
        return well;
    };
    let quote = provider.quote(&request).await;
    heard(&mut well, quote);
    let held = provider.reserve(&request, &key).await;
    heard(&mut well, held);
    let given_back = provider.unreserve(&key).await;
    heard(&mut well, given_back);
    let begun = provider.provision(&request, &key).await;
    let handle = heard(&mut well, begun).unwrap_or_else(|| OperationHandle::new("op"));
    let polled = provider.poll(&handle).await;
    let mut service = match heard(&mut well, polled) {
        Some(OperationStatus::Succeeded(service)) => service,
        Some(OperationStatus::Failed { reason, .. }) => {
            words::are_readable(AT, &reason);
            None
        }
        _ => None,
    };
    let found = provider.find_by_key(&key).await;
    service = service.or(heard(&mut well, found).flatten());
    let id = service
        .as_ref()
        .map_or_else(|| ServiceId::new("vm-1").expect("a name"), |service| service.id.clone());
    let described = provider.describe(&id).await;
    service = service.or(heard(&mut well, described).flatten());
    if let Some(service) = &service {
        fault::plant(service.id.as_str());
        assert_eq!(service.provider, *provider.id());
    }
    for service in provider.services().collect::<Vec<_>>().await {
        heard(&mut well, service);
    }
    let service = service.unwrap_or_else(|| {
        Service::new(
            id.clone(),
            provider.id().clone(),
            Some(key.clone()),
            request.sku.clone(),
            request.place.clone(),
            ServiceStatus::Starting,
        )
    });
    let resumed = provider.resume_operation(&request, &service).await;
    heard(&mut well, resumed);
    for refusal in
        heard(&mut well, provider.dry_run(std::slice::from_ref(&request)).await).into_iter().flatten()
    {
        words::of_error("host", &refusal.error);
    }
    let acted = provider.act(&id, &Action::Stop, &key).await;
    heard(&mut well, acted);
    let ended = provider.release(&id, &key).await;
    heard(&mut well, ended);
    let period = UsagePeriod { from: jiff::Timestamp::UNIX_EPOCH, to: jiff::Timestamp::now() };
    for record in provider.usage(&period).collect::<Vec<_>>().await {
        heard(&mut well, record);
    }
    let opened = provider.access(&id).await;
    for name in heard(&mut well, opened).iter().flat_map(fulcrum_core::provider::Access::names) {
        words::are_readable(AT, name);
    }
    well
}

fn heard<T>(well: &mut usize, outcome: Result<T>) -> Option<T> {
    match outcome {
        Ok(it) => {
            *well += 1;
            Some(it)
        }
        Err(error) => {
            words::of_error(AT, &error);
            None
        }
    }
}

/// A request that no offer stands behind.
fn own(provider: &CallbackProvider) -> Option<ProvisionRequest> {
    let request = json!({ "sku": "small", "kind": OfferKind::Machine, "size_gib": 0, "name": "web", "place":
        { "provider": provider.id(), "region": "r", "zone": null, "country": "DE", "coordinates": null } });
    serde_json::from_value(request).ok()
}
