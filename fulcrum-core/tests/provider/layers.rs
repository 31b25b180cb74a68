//! Each layer adds its one concern: time, repetition where that is safe, and a bound on calls at once.

use std::{sync::Arc, time::Duration};

use crate::support::{cloud, offers};
use fulcrum_core::{
    model::{IdempotencyKey, OrderId, ProviderId, Service, ServiceId, ServiceStatus},
    provider::{
        Call, Capabilities, ErrorContext, ErrorKind, OfferFilter, OfferStream, OperationHandle,
        OperationStatus, Provider, ProviderError, ProvisionRequest, RejectedRow, Result, ServiceStream,
        layers::{Concurrency, Deadline, Redact, Retry, RetryPolicy},
        sandbox::{Fault, FaultRule, Sandbox},
    },
};
use futures::{StreamExt, TryStreamExt};
use tokio::time::Instant;

fn request() -> ProvisionRequest {
    let offer = offers("alpha").remove(0);
    ProvisionRequest::of(&offer, 0, "layers")
}

fn key() -> IdempotencyKey {
    IdempotencyKey::of_step(&OrderId::generate(), 0)
}

fn failing(call: Call, times: u32, fault: Fault) -> Sandbox {
    cloud("alpha", None).fault(FaultRule { call, sku: None, nth: 1, times, fault }).build()
}

fn slow() -> Sandbox {
    cloud("alpha", None).latency(Duration::from_secs(60), Duration::from_secs(60)).build()
}

fn made(sandbox: &Sandbox) -> usize {
    sandbox.resources().expect("the state").len()
}

#[tokio::test(start_paused = true)]
async fn a_slow_read_is_unavailable_and_a_slow_purchase_is_of_unknown_outcome() {
    let provider = Deadline::new(slow(), Duration::from_secs(5));
    let start = Instant::now();
    let error = provider.find_by_key(&key()).await.expect_err("too slow");
    let ErrorKind::Unavailable { retry_after: None, cause } = &error.kind else { panic!("{error}") };
    assert!(cause.contains("no answer came within"), "{error}");
    let error = provider.provision(&request(), &key()).await.expect_err("too slow");
    assert_eq!(error.kind, ErrorKind::Ambiguous);
    let listed: Vec<_> = provider.offers(&OfferFilter::default()).collect().await;
    assert!(matches!(listed.as_slice(), [Err(error)] if error.is_retryable()), "{listed:?}");
    assert_eq!(start.elapsed().as_secs(), 15);
}

#[tokio::test(start_paused = true)]
async fn calls_without_effect_are_repeated_until_they_succeed() {
    for fault in [Fault::Unavailable, Fault::NotSent, Fault::RateLimited { retry_after_ms: 5 }] {
        let sandbox = failing(Call::Provision, 4, fault.clone());
        let provider = Retry::new(sandbox.clone(), RetryPolicy::default());
        provider.provision(&request(), &key()).await.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        assert_eq!(made(&sandbox), 1, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn tries_end_at_the_limit_of_the_policy() {
    let provider = Retry::new(failing(Call::Quote, 5, Fault::Unavailable), RetryPolicy::default());
    provider.quote(&request()).await.expect_err("all five tries failed");
    provider.quote(&request()).await.expect("the sixth call of the cloud works");
}

#[tokio::test(start_paused = true)]
async fn a_call_of_unknown_outcome_is_never_repeated() {
    for (fault, effects) in [(Fault::AmbiguousHappened, 1), (Fault::AmbiguousLost, 0)] {
        let sandbox = failing(Call::Provision, 1, fault);
        let provider = Retry::new(sandbox.clone(), RetryPolicy::default());
        let error = provider.provision(&request(), &key()).await.expect_err("the answer is lost");
        assert_eq!(error.kind, ErrorKind::Ambiguous);
        assert_eq!(made(&sandbox), effects);
    }
}

#[tokio::test(start_paused = true)]
async fn the_wait_that_a_provider_asks_for_is_kept_or_the_error_returned() {
    let asked = |ms| failing(Call::Quote, 1, Fault::RateLimited { retry_after_ms: ms });
    let start = Instant::now();
    Retry::new(asked(10_000), RetryPolicy::default()).quote(&request()).await.expect("after the wait");
    assert!(start.elapsed() >= Duration::from_secs(10), "only {:?}", start.elapsed());
    let start = Instant::now();
    let provider = Retry::new(asked(20_001), RetryPolicy::default());
    provider.quote(&request()).await.expect_err("longer than the policy waits");
    assert!(start.elapsed().is_zero(), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn no_wait_begins_that_would_end_after_the_budget() {
    let patient = RetryPolicy { max_attempts: 1000, ..RetryPolicy::default() };
    let start = Instant::now();
    Retry::new(failing(Call::Quote, 1000, Fault::Unavailable), patient)
        .quote(&request())
        .await
        .expect_err("the budget is used up");
    let elapsed = start.elapsed();
    assert!(elapsed <= patient.budget && elapsed >= patient.budget / 4, "{elapsed:?}");
    let endless = RetryPolicy { budget: Duration::MAX, ..RetryPolicy::default() };
    Retry::new(failing(Call::Quote, 4, Fault::Unavailable), endless)
        .quote(&request())
        .await
        .expect("a quote");
}

#[tokio::test(start_paused = true)]
async fn a_list_that_fails_before_its_first_item_is_opened_again() {
    let provider = Retry::new(failing(Call::Offers, 2, Fault::Unavailable), RetryPolicy::default());
    let offers: Vec<_> = provider.offers(&OfferFilter::default()).try_collect().await.expect("a list");
    assert_eq!(offers.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn calls_wait_for_a_place() {
    let provider = Arc::new(Concurrency::new(slow(), 2));
    let start = Instant::now();
    let calls = (0..6).map(|_| {
        let provider = provider.clone();
        async move { provider.find_by_key(&key()).await }
    });
    futures::future::try_join_all(calls).await.expect("all answer");
    assert_eq!(start.elapsed().as_secs(), 180, "six calls of a minute, two at once");
}

#[tokio::test(start_paused = true)]
async fn one_place_is_enough_to_call_while_a_list_is_open() {
    let provider = Concurrency::new(cloud("alpha", None).build(), 1);
    let mut open = provider.offers(&OfferFilter::default());
    open.next().await.expect("an item").expect("an offer");
    let request = request();
    let call = tokio::time::timeout(Duration::from_secs(600), provider.quote(&request));
    call.await.expect("it waits for the open list for ever").expect("a quote");
    assert!(open.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_list_that_waits_to_be_opened_again_holds_no_place() {
    let limited =
        Concurrency::new(failing(Call::Offers, 1, Fault::RateLimited { retry_after_ms: 20_000 }), 1);
    let provider = Arc::new(Retry::new(limited, RetryPolicy::default()));
    let start = Instant::now();
    let list = provider.offers(&OfferFilter::default()).try_collect::<Vec<_>>();
    let call = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        provider.quote(&request()).await.map(|_| start.elapsed().as_secs())
    };
    let (list, called_at) = tokio::join!(list, call);
    assert_eq!(list.expect("a list").len(), 1);
    assert_eq!(called_at.expect("a quote"), 1, "the call waited for the list");
}

#[tokio::test(start_paused = true)]
async fn an_empty_list_ends_through_every_pair_of_layers() {
    let empty = || cloud("alpha", None).build();
    let policy = RetryPolicy::default();
    let timed = Retry::new(Deadline::new(empty(), Duration::from_secs(5)), policy);
    assert_eq!(timed.services().count().await, 0);
    let limited = Retry::new(Concurrency::new(empty(), 1), policy);
    assert_eq!(limited.services().count().await, 0);
}

/// What a provider might say: its own credential, marks that turn a terminal or a line, and no end.
const EVIL: &str = "failed \u{1b}]0;owned\u{7}\u{1b}[2J canary-token canary-\u{200b}token \u{202e}gnp.exe\u{2066}\u{200b} x\nFAKE LINE";

/// Says it wherever it says anything.
#[derive(Debug)]
struct Talker {
    id: ProviderId,
    capabilities: Capabilities,
    /// What it calls things by.
    name: &'static str,
}

impl Talker {
    fn new(name: &'static str) -> Self {
        let cloud = cloud("alpha", None).build();
        Self { id: cloud.id().clone(), capabilities: cloud.capabilities().clone(), name }
    }

    fn error(&self, call: Call) -> ProviderError {
        let words = format!("{EVIL}{}", "x".repeat(1 << 20));
        let kind = match call {
            Call::Offers => ErrorKind::unavailable(words),
            Call::Provision => ErrorKind::Conflict { message: words },
            _ => {
                return ProviderError::new(self.id.clone(), call, ErrorKind::Forbidden)
                    .with_source(ErrorContext::new(words));
            }
        };
        ProviderError::new(self.id.clone(), call, kind)
    }

    fn service(&self) -> Service {
        let offer = offers("alpha").remove(0);
        {
            let mut service = Service::new(
                ServiceId::new(self.name).expect("a name"),
                self.id.clone(),
                None,
                offer.sku.clone(),
                (*offer.place).clone(),
                ServiceStatus::Running,
            );
            service.attributes =
                [("address".to_owned(), EVIL.to_owned()), (EVIL.to_owned(), "1".to_owned())].into();
            service
        }
    }
}

#[async_trait::async_trait]
impl Provider for Talker {
    fn id(&self) -> &ProviderId {
        &self.id
    }
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }
    fn redacted(&self, text: &str, _: bool) -> String {
        text.replace("canary-token", "REDACTED")
    }
    fn offers(&self, _: &OfferFilter) -> OfferStream {
        futures::stream::iter([Err(self.error(Call::Offers))]).boxed()
    }
    fn rejected(&self) -> Vec<RejectedRow> {
        vec![RejectedRow { row: EVIL.to_owned(), reason: EVIL.to_owned() }]
    }
    async fn provision(&self, _: &ProvisionRequest, _: &IdempotencyKey) -> Result<OperationHandle> {
        Err(self.error(Call::Provision))
    }
    async fn release(&self, _: &ServiceId, _: &IdempotencyKey) -> Result<OperationHandle> {
        Ok(OperationHandle::new(format!("end {}", self.name)))
    }
    async fn describe(&self, _: &ServiceId) -> Result<Option<Service>> {
        Ok(Some(self.service()))
    }
    async fn find_by_key(&self, _: &IdempotencyKey) -> Result<Option<Service>> {
        Err(self.error(Call::FindByKey))
    }
    fn services(&self) -> ServiceStream {
        futures::stream::iter([Ok(self.service())]).boxed()
    }
    async fn poll(&self, operation: &OperationHandle) -> Result<OperationStatus> {
        Ok(match operation.as_str() {
            "failed" => OperationStatus::Failed { reason: EVIL.to_owned(), shortage: None },
            _ => OperationStatus::Succeeded(Some(self.service())),
        })
    }
}

#[track_caller]
fn assert_shown(text: &str) {
    let is_odd = |c: char| c.is_control() || "\u{202e}\u{2066}\u{200b}".contains(c);
    assert!(!text.contains("canary") && !text.contains(is_odd) && text.len() < 2_200, "{text:?}");
    assert!(text.contains("REDACTED"), "{text:?}");
}

#[tokio::test]
async fn whatever_a_provider_says_is_shown_without_its_secrets_and_on_one_line() {
    let provider = Redact::new(Talker::new("web-1"));
    let id = ServiceId::new("web-1").expect("a name");
    let listed: Vec<_> = provider.offers(&OfferFilter::default()).collect().await;
    let Err(error) = &listed[0] else { panic!("{listed:?}") };
    assert_shown(&error.to_string());
    assert_shown(&provider.provision(&request(), &key()).await.expect_err("a conflict").to_string());
    assert_shown(&provider.find_by_key(&key()).await.expect_err("forbidden").to_string());
    for row in provider.rejected() {
        assert_shown(&row.row);
        assert_shown(&row.reason);
    }
    let failed = provider.poll(&OperationHandle::new("failed")).await.expect("a status");
    let OperationStatus::Failed { reason, .. } = failed else { panic!("{failed:?}") };
    assert_shown(&reason);
    let described = provider.describe(&id).await.expect("described").expect("there");
    let reached = provider.poll(&OperationHandle::new("reached")).await.expect("a status");
    let OperationStatus::Succeeded(Some(reached)) = reached else { panic!("{reached:?}") };
    let all: Vec<Service> = provider.services().try_collect().await.expect("a list");
    for service in all.iter().chain([&described, &reached]) {
        assert_shown(&service.attributes["address"]);
        assert_eq!(service.attributes.len(), 2);
        service.attributes.keys().filter(|name| *name != "address").for_each(|name| assert_shown(name));
    }
    assert_eq!(provider.release(&id, &key()).await.expect("a handle").as_str(), "end web-1");
    // What only its provider can read is kept as it is, or not at all.
    let provider = Redact::new(Talker::new("canary-token"));
    let errors = [
        provider.release(&id, &key()).await.map(drop).expect_err("a handle"),
        provider.describe(&id).await.map(drop).expect_err("a service"),
        provider.services().try_collect::<Vec<_>>().await.map(drop).expect_err("a list"),
    ];
    for error in errors {
        let words = error.to_string();
        assert!(matches!(error.kind, ErrorKind::Protocol { .. }) && !words.contains("canary"), "{words}");
        assert!(words.contains("credential"), "{words}");
    }
}
