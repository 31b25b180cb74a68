//! No way through an adapter shows a secret.

use std::{
    io::Write,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use fulcrum_core::{
    model::{Action, IdempotencyKey, OfferKind, OrderId, Place, PurchaseOption, ServiceId},
    provider::{
        OfferFilter, OperationHandle, Provider, ProviderError, ProvisionRequest, UsagePeriod,
        http::HttpConfig, layers,
    },
};
use futures::StreamExt;

use super::server::{Server, Story, answer};

/// Whatever is logged, kept as text.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Calls everything that an adapter has at servers that repeat the whole request, credentials included, in answers of every
/// sort, and looks for the secrets in errors, their causes, Debug texts, logs and recordings. The answer is the number of
/// texts that were looked at.
///
/// `make` builds the adapter with the secrets given.
pub async fn check(
    secrets: &[&str],
    handles: &[&str],
    make: impl Fn(HttpConfig) -> Arc<dyn Provider>,
) -> usize {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let folder = tempfile::tempdir().expect("a folder");
    let mut texts = Vec::new();
    for status in [200, 201, 202, 204, 302, 400, 401, 403, 404, 409, 410, 413, 422, 429, 500, 502, 503] {
        for form in 0..3 {
            let server = Server::start(Story::new(move |request| echo(status, form, request))).await;
            let tape = folder.path().join(format!("{status}-{form}.jsonl"));
            let config = HttpConfig {
                base_url: Some(server.url()),
                timeout_ms: 500,
                record: Some(tape.clone()),
                ..HttpConfig::default()
            };
            let provider = make(config);
            texts.push(format!("{provider:?}"));
            // Without the layer that repeats; with the one that logs.
            let traced: Arc<dyn Provider> = Arc::new(layers::Trace::new(provider));
            call_all(&*traced, handles, &mut texts).await;
            texts.push(read(&tape));
        }
    }
    drop(guard);
    texts.push(String::from_utf8_lossy(&log.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned());
    for text in &texts {
        for secret in secrets {
            if let Some(at) = text.find(secret) {
                let from = text[..at].char_indices().rev().nth(200).map_or(0, |(at, _)| at);
                panic!("a secret is shown behind: {}", &text[from..at]);
            }
        }
    }
    texts.len()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// The request in an answer: as text, in the error of several APIs at once, and as a value where a number is expected.
fn echo(status: u16, form: usize, request: &str) -> Vec<u8> {
    let line: String = request.chars().map(|c| if c.is_control() { ' ' } else { c }).take(3000).collect();
    let json = serde_json::to_string(&line).expect("text");
    let body = match form {
        0 => line.clone(),
        1 => format!(
            r#"{{"error": {{"code": {json}, "message": {json}, "error_message": {json}}}, "message": {json},
                "description": {json}, "title": {json}, "errors": {{"field": {json}}}, "details": [{json}]}}"#
        ),
        _ => format!(
            r#"{{"servers": {json}, "server": {json}, "data": {json}, "services": {json}, "id": {json}}}"#
        ),
    };
    let id: String = line.chars().filter(char::is_ascii).take(200).collect();
    answer(status, &[("X-Request-Id", &id), ("Location", "/elsewhere")], &body).into_bytes()
}

async fn call_all(provider: &dyn Provider, handles: &[&str], texts: &mut Vec<String>) {
    let key = IdempotencyKey::of_step(&OrderId::generate(), 0);
    let service = ServiceId::new("42").expect("a name");
    let request = ProvisionRequest {
        sku: "small".parse().expect("a name"),
        kind: OfferKind::Machine,
        place: Place {
            provider: provider.id().clone(),
            region: "r".parse().expect("a name"),
            zone: None,
            country: "DE".parse().expect("a country"),
            coordinates: None,
        },
        size_gib: 10,
        disk_sku: None,
        purchase_option: PurchaseOption::OnDemand,
        term_months: 0,
        surcharges: Vec::new(),
        name: "canary-test".to_owned(),
        settings: [("image", "debian-12"), ("network", "n"), ("template", "9000")]
            .map(|(name, value)| (name.to_owned(), value.into()))
            .into(),
    };
    let mut note = |error: Option<ProviderError>| {
        let Some(error) = error else { return };
        texts.push(format!("{error} {error:?}"));
        let mut cause = std::error::Error::source(&error);
        while let Some(at) = cause {
            texts.push(format!("{at} {at:?}"));
            cause = at.source();
        }
        texts.extend(error.request_id);
    };
    note(provider.quote(&request).await.err());
    note(provider.provision(&request, &key).await.err());
    note(provider.find_by_key(&key).await.err());
    note(provider.describe(&service).await.err());
    for action in [
        Action::Start,
        Action::Stop,
        Action::Resize { sku: "large".parse().expect("a name") },
        Action::Other { name: "reboot".to_owned() },
    ] {
        note(provider.act(&service, &action, &key).await.err());
    }
    note(provider.release(&service, &key).await.err());
    for handle in handles {
        note(provider.poll(&OperationHandle::new(*handle)).await.err());
    }
    note(provider.offers(&OfferFilter::default()).next().await.and_then(Result::err));
    note(provider.services().next().await.and_then(Result::err));
    let period = UsagePeriod { from: jiff::Timestamp::UNIX_EPOCH, to: jiff::Timestamp::now() };
    note(provider.usage(&period).next().await.and_then(Result::err));
}
