//! Headers of answers, into what a client makes of them: how long to wait, how fast to ask, where else to look.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use fulcrum_core::{
    model::ProviderId,
    provider::{
        Call, ErrorKind,
        http::{
            Cache, Client, HeaderMap, HttpConfig, RawRequest, RawResponse, Request, Transport, TransportError,
        },
    },
};
use secrecy::SecretString;
use tokio::time::Instant;

use super::{draw::Draw, fault, paused, wire, words};

/// How long a client of this target may wait for its turn.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Answers of one input.
const ANSWERS: usize = 12;

#[derive(Debug)]
struct Told {
    answer: RawResponse,
}

#[async_trait]
impl Transport for Told {
    async fn send(&self, request: RawRequest) -> Result<RawResponse, TransportError> {
        assert_eq!(request.url.host_str(), Some("127.0.0.1"), "a redirect was followed to {}", request.url);
        Ok(self.answer.clone())
    }
}

/// One client that hears one answer after the other.
pub fn headers(bytes: &[u8]) -> bool {
    let mut draw = Draw::new(bytes);
    let provider = ProviderId::new("acme").expect("a name");
    let config = HttpConfig {
        base_url: Some(wire::BASE.to_owned()),
        timeout_ms: u64::try_from(TIMEOUT.as_millis()).expect("a few seconds"),
        ..HttpConfig::default()
    };
    let client = Client::new(&provider, wire::BASE, &config).expect("a client");
    let client = if draw.chance(128) { client.leaky_bucket() } else { client };
    // What it proves itself by must not come back in words.
    let client = client.bearer(SecretString::from(super::SECRET)).expect("a token");
    let cache = Cache::default();
    paused(async {
        let mut heard = 0;
        for _ in 0..ANSWERS {
            if draw.is_empty() {
                break;
            }
            let mut headers = HeaderMap::new();
            for _ in 0..draw.below(6) {
                if let Some((name, value)) = wire::header(&mut draw) {
                    headers.append(name, value);
                }
            }
            let answer = RawResponse {
                status: wire::status(&mut draw),
                headers,
                body: draw.bytes(64).to_vec().into(),
            };
            let client = client.clone().with_transport(Arc::new(Told { answer }));
            let request = match draw.below(3) {
                0 => Request::get(Call::Describe, ["servers", "7"]),
                1 => Request::post(Call::Provision, ["servers"]).json(&serde_json::json!({ "name": "web" })),
                _ => Request::get(Call::Services, ["servers"]).query("page", 1),
            };
            let began = Instant::now();
            let answer = match draw.below(4) {
                0 => {
                    cache.fetch(&client, &request, Duration::ZERO).await.map(|(answer, _)| (*answer).clone())
                }
                _ => client.send(&request).await,
            };
            let took = began.elapsed();
            // A redirect asks again, each time in its turn.
            assert!(took <= TIMEOUT * 8, "it waited {took:?}");
            match answer {
                Ok(answer) => {
                    heard += 1;
                    let wait = answer.retry_after();
                    assert!(wait.is_none_or(|wait| wait <= ErrorKind::MAX_RETRY_AFTER), "{wait:?}");
                    fault::meet([
                        heard > 1,
                        answer.status() == 429,
                        wait.is_some(),
                        wait < Some(ErrorKind::MAX_RETRY_AFTER),
                    ]);
                    if let Err(error) = client.check(&answer) {
                        words::of_error("headers", &error);
                    }
                }
                Err(error) => words::of_error("headers", &error),
            }
            // Time goes on, also beyond what a client was asked to wait.
            if draw.chance(64) {
                tokio::time::advance(Duration::from_secs(draw.number().into())).await;
            }
        }
        heard > 0
    })
}
