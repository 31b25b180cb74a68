//! A provider that the host has written elsewhere, with JSON between: here over the sandbox, as a program in another language
//! would be over its own cloud.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::support;
use fulcrum_core::{
    federation::FederationConfig,
    model::{Blueprint, IdempotencyKey, OrderState, Policy, Service},
    provider::{
        Call, ErrorKind, IdempotencyClass, OperationHandle, OperationStatus, Provider, ProvisionRequest,
        callback::{CallbackDescription, CallbackProvider, ProviderCallbacks},
        sandbox::{Fault, FaultRule, Sandbox},
    },
};
use futures::TryStreamExt;
use serde_json::{Value, json};

/// What a program in another language does: it reads JSON, asks its cloud, and writes JSON.
#[derive(Debug)]
struct Program {
    cloud: Sandbox,
    /// Loses the answers to so many purchases.
    loses: std::sync::atomic::AtomicUsize,
}

fn told(service: &Service) -> Value {
    json!({ "id": service.id, "key": service.key, "sku": service.sku, "region": service.place.region,
        "status": service.status, "attributes": service.attributes })
}

impl ProviderCallbacks for Program {
    fn call(&self, call: Call, request: &str) -> Result<String, String> {
        let ask: Value = serde_json::from_str(request).expect("JSON");
        let cloud = &self.cloud;
        let key = || serde_json::from_value::<IdempotencyKey>(ask["key"].clone()).expect("a key");
        let service = || serde_json::from_value(ask["service"].clone()).expect("a service");
        let wanted = || serde_json::from_value(ask["request"].clone()).expect("a request");
        let answer = tokio::runtime::Handle::current().block_on(async {
            let begun = |operation: OperationHandle| json!({ "operation": operation });
            let found = |service: Option<Service>| json!({ "service": service.as_ref().map(told) });
            Ok(match call {
                Call::Offers => {
                    json!({ "rows": [{ "kind": "machine", "sku": "small", "region": "alpha-1", "vcpu": 2,
                    "memory_mib": 4096, "disk_gib": 40, "architecture": "x86_64", "monthly": "10", "currency": "EUR",
                    "tax": "net", "observed": "2026-11-01", "source": "a program" }] })
                }
                Call::Quote => serde_json::to_value(cloud.quote(&wanted()).await?).expect("JSON"),
                Call::DryRun => {
                    let requests: Vec<ProvisionRequest> =
                        serde_json::from_value(ask["requests"].clone()).expect("requests");
                    let refusals = cloud.dry_run(&requests).await?.into_iter().map(|refusal| {
                        let kind = refusal.error.kind;
                        json!({ "requests": refusal.requests, "kind": kind.word(), "message": kind.to_string() })
                    });
                    json!({ "refusals": refusals.collect::<Vec<_>>() })
                }
                Call::Provision => {
                    let operation = cloud.provision(&wanted(), &key()).await?;
                    let left = &self.loses;
                    let is_lost = left
                        .fetch_update(
                            Ordering::SeqCst,
                            Ordering::SeqCst,
                            |n| n.checked_sub(1),
                        )
                        .is_ok();
                    if is_lost {
                        json!({ "error": { "kind": "the program has died" } })
                    } else {
                        begun(operation)
                    }
                }
                Call::Reserve => json!({ "until": cloud.reserve(&wanted(), &key()).await? }),
                Call::Unreserve => {
                    cloud.unreserve(&key()).await?;
                    json!({})
                }
                Call::FindByKey => found(cloud.find_by_key(&key()).await?),
                Call::Describe => found(cloud.describe(&service()).await?),
                Call::Services => {
                    let all: Vec<Service> = cloud.services().try_collect().await?;
                    json!({ "services": all.iter().map(told).collect::<Vec<_>>() })
                }
                Call::Act => {
                    let action = serde_json::from_value(ask["action"].clone()).expect("an action");
                    begun(cloud.act(&service(), &action, &key()).await?)
                }
                Call::Access => {
                    let access = cloud.access(&service()).await?;
                    json!({ "values": access.exposed().collect::<BTreeMap<_, _>>() })
                }
                Call::Release => begun(cloud.release(&service(), &key()).await?),
                Call::Poll => {
                    match cloud.poll(&OperationHandle::new(ask["operation"].as_str().expect("text"))).await? {
                        OperationStatus::Running { .. } => json!({ "status": "running" }),
                        OperationStatus::Succeeded(service) => {
                            json!({ "status": "succeeded", "service": service.as_ref().map(told) })
                        }
                        OperationStatus::Failed { reason, shortage } => {
                            json!({ "status": "failed", "reason": reason, "shortage": shortage })
                        }
                    }
                }
                Call::Usage => json!({ "records": [] }),
                Call::ResumeOperation => json!({ "operation": null }),
            })
        });
        let refused = |error: fulcrum_core::provider::ProviderError| json!({ "error": { "kind": error.kind.word(), "message": error.kind.to_string() } });
        Ok(answer.unwrap_or_else(refused).to_string())
    }
}

fn description(cloud: &Sandbox) -> CallbackDescription {
    let facts = r#"{"id": "alpha", "name": "Alpha", "legal_name": "Alpha GmbH", "country": "DE",
        "regions": [{"id": "alpha-1", "country": "DE"}]}"#;
    let provider = fulcrum_core::model::parse_json(facts).expect("a provider");
    CallbackDescription { provider, capabilities: cloud.capabilities().clone() }
}

fn program(cloud: Sandbox, loses: usize) -> Arc<dyn Provider> {
    let description = description(&cloud);
    let calls = Arc::new(Program { cloud, loses: loses.into() });
    Arc::new(CallbackProvider::new(description, calls).expect("a provider"))
}

async fn market(provider: Arc<dyn Provider>) -> fulcrum_core::federation::Federation {
    let config =
        FederationConfig::from_yaml("{ ledger: ':memory:', providers: [] }").expect("a configuration");
    config.open_with(Path::new("."), [provider]).await.expect("a federation")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_keeps_every_promise_in_every_class() {
    for class in [
        IdempotencyClass::Natural,
        IdempotencyClass::Key,
        IdempotencyClass::Searchable { list_lag_ms: 40 },
        IdempotencyClass::None,
    ] {
        let cloud =
            support::cloud("alpha", None).idempotency(class).reservation_ttl(Duration::from_secs(60)).build();
        let market = market(program(cloud.clone(), 0)).await;
        let (id, sku) = ("alpha".parse().expect("a name"), "small".parse().expect("a name"));
        let patience = Duration::from_secs(30);
        let report = market.check(&id, Some(&sku), BTreeMap::new(), patience).await.expect("checked");
        assert!(report.is_passed(), "{class:?}\n{report}");
        assert_eq!(support::count(&[cloud]).0, 0);
        let nothing = market.check(&id, None, BTreeMap::new(), patience).await.expect("checked");
        assert!(nothing.is_passed() && nothing.to_string().contains("nothing may be bought"), "{nothing}");
        let missing =
            market.check(&id, Some(&"none".parse().expect("a name")), BTreeMap::new(), patience).await;
        assert_eq!(missing.expect_err("not sold").code(), 104);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_declaration_is_caught() {
    let lying =
        support::cloud("alpha", None).actual_class(IdempotencyClass::Searchable { list_lag_ms: 0 }).build();
    let market = market(program(lying, 0)).await;
    let (id, sku) = ("alpha".parse().expect("a name"), "small".parse().expect("a name"));
    let report =
        market.check(&id, Some(&sku), BTreeMap::new(), Duration::from_secs(30)).await.expect("checked");
    let broken: Vec<_> = report.failures().map(|check| check.name).collect();
    assert!(broken.contains(&"the same key twice makes one service"), "{report}");
}

/// The program dies after it has bought, and its cloud loses answers too: each order is whole, and nothing is bought twice.
#[tokio::test(flavor = "multi_thread")]
async fn orders_at_a_program_are_whole() {
    for class in [IdempotencyClass::Key, IdempotencyClass::Searchable { list_lag_ms: 30 }] {
        let fault =
            FaultRule { call: Call::Provision, sku: None, nth: 2, times: 1, fault: Fault::AmbiguousHappened };
        let cloud = support::cloud("alpha", None).idempotency(class).fault(fault).build();
        let market = market(program(cloud.clone(), 1)).await;
        market.refresh().await;
        let blueprint = "{ name: shop, components: { web: { vcpu: 2, replicas: 3 } } }";
        let plan = market.compose(&Blueprint::from_yaml(blueprint).expect("a blueprint")).expect("a plan");
        let order = market.purchase(&plan, Policy::default()).await.expect("driven");
        assert_eq!(order.state, OrderState::Committed, "{:?}", order.reason);
        assert_eq!(support::count(&[cloud]).0, 3);
    }
}

/// One answer to every call.
#[derive(Debug)]
struct Says(Result<&'static str, &'static str>);

impl ProviderCallbacks for Says {
    fn call(&self, _: Call, _: &str) -> Result<String, String> {
        match self.0 {
            Ok("panic") => panic!("as a program may"),
            Ok(text) => Ok(text.to_owned()),
            Err(words) => Err(words.to_owned()),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_program_says_wrong_is_never_taken_for_success_or_absence() {
    let cloud = support::cloud("alpha", None).build();
    let request = serde_json::from_value(json!({ "sku": "small", "kind": "machine",
        "place": { "provider": "alpha", "region": "alpha-1", "country": "DE" }, "size_gib": 0, "market": "on_demand", "name": "web" }));
    let request = request.expect("a request");
    let key = IdempotencyKey::new("k").expect("a key");
    for (answer, on_provision, on_find) in [
        (Ok("panic"), "ambiguous", "unavailable"),
        (Err("KeyError: 'token'"), "ambiguous", "unavailable"),
        (Ok(""), "protocol", "protocol"),
        (Ok("null"), "protocol", "protocol"),
        (Ok("{}"), "protocol", "protocol"),
        (Ok("[1]"), "protocol", "protocol"),
        (Ok("[null]"), "protocol", "protocol"),
        (Ok(r#"{"operation": 7}"#), "protocol", "protocol"),
        (Ok(r#"{"service": {"id": "a"}}"#), "protocol", "protocol"),
        (
            Ok(r#"{"service": {"id": "a", "sku": "s", "region": "mars", "status": "running"}}"#),
            "protocol",
            "protocol",
        ),
        (Ok(r#"{"error": {"kind": "capacity_exhausted"}}"#), "capacity_exhausted", "conflict"),
        (Ok(r#"{"error": {"kind": "rate_limited", "retry_after_ms": 5}}"#), "rate_limited", "rate_limited"),
        (Ok(r#"{"error": {"kind": "unheard_of"}}"#), "protocol", "protocol"),
        (Ok(r#"{"error": "text"}"#), "protocol", "protocol"),
    ] {
        let provider =
            CallbackProvider::new(description(&cloud), Arc::new(Says(answer))).expect("a provider");
        let provision = provider.provision(&request, &key).await.expect_err("refused");
        let find = provider.find_by_key(&key).await.expect_err("refused");
        assert_eq!(
            (provision.kind.word(), find.kind.word()),
            (on_provision, on_find),
            "{answer:?}: {provision}"
        );
    }
    // Only null is nothing, and only where it is said so.
    let nothing = CallbackProvider::new(description(&cloud), Arc::new(Says(Ok(r#"{"service": null}"#))));
    assert_eq!(nothing.expect("a provider").find_by_key(&key).await.expect("said"), None);
}

/// A program whose machines start by a second call only, and which dies after the first one.
#[derive(Debug)]
struct Twice {
    program: Program,
    is_started: AtomicBool,
}

impl ProviderCallbacks for Twice {
    fn call(&self, call: Call, request: &str) -> Result<String, String> {
        let ask: Value = serde_json::from_str(request).expect("JSON");
        if call == Call::ResumeOperation {
            assert_eq!(ask["request"]["sku"], "small");
            return Ok(
                json!({ "operation": format!("start {}", ask["service"]["id"].as_str().expect("text")) })
                    .to_string(),
            );
        }
        if call == Call::Poll
            && let Some(id) = ask["operation"].as_str().and_then(|text| text.strip_prefix("start "))
        {
            self.is_started.store(true, Ordering::SeqCst);
            let service: Value = serde_json::from_str(
                &self.program.call(Call::Describe, &json!({ "service": id }).to_string())?,
            )
            .expect("JSON");
            return Ok(json!({ "status": "succeeded", "service": service["service"] }).to_string());
        }
        let answer = self.program.call(call, request)?;
        match self.is_started.load(Ordering::SeqCst) {
            true => Ok(answer),
            false => Ok(answer.replace(r#""status":"running""#, r#""status":"starting""#)),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_of_two_calls_survives_a_lost_answer() {
    for class in [IdempotencyClass::Natural, IdempotencyClass::Searchable { list_lag_ms: 20 }] {
        let cloud = support::cloud("alpha", None).idempotency(class).build();
        let mut description = description(&cloud);
        description.capabilities.calls.push(Call::ResumeOperation);
        let program = Program { cloud: cloud.clone(), loses: 1.into() };
        let twice = Arc::new(Twice { program, is_started: false.into() });
        let provider = Arc::new(CallbackProvider::new(description, twice).expect("a provider"));
        let market = market(provider).await;
        market.refresh().await;
        let blueprint = Blueprint::from_yaml("{ name: shop, components: { web: { vcpu: 2 } } }");
        let plan = market.compose(&blueprint.expect("a blueprint")).expect("a plan");
        let policy = Policy::default().with_step_timeout_s(5);
        let order = market.purchase(&plan, policy).await.expect("driven");
        assert_eq!(order.state, OrderState::Committed, "{class:?}: {:?}", order.reason);
        assert_eq!(support::count(&[cloud]).0, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_tells_what_would_be_refused() {
    let small = "small".parse().expect("a name");
    let cloud = support::cloud("alpha", None).stock(small, 0).build();
    let mut description = description(&cloud);
    description.capabilities.calls.push(Call::DryRun);
    let program = Program { cloud: cloud.clone(), loses: 0.into() };
    let market =
        market(Arc::new(CallbackProvider::new(description.clone(), Arc::new(program)).expect("a provider")))
            .await;
    market.refresh().await;
    let blueprint = Blueprint::from_yaml("{ name: shop, components: { web: { vcpu: 2 } } }");
    let plan = market.compose(&blueprint.expect("a blueprint")).expect("a plan");
    let found = market.dry_run(&plan, &Policy::default()).await.expect("accepted");
    assert_eq!(found.refusals.len(), 1, "{found}");
    assert_eq!(found.refusals[0].kind, "capacity_exhausted", "{found}");
    // What is about no request is no answer.
    for odd in [
        r#"{"refusals": [{"requests": [], "kind": "forbidden"}]}"#,
        r#"{"refusals": [{"requests": [7], "kind": "forbidden"}]}"#,
    ] {
        let says = Says(Ok(odd));
        let provider = CallbackProvider::new(description.clone(), Arc::new(says)).expect("a provider");
        let refused = provider.dry_run(&[]).await.expect_err(odd);
        assert!(matches!(refused.kind, ErrorKind::Protocol { .. }), "{refused}");
    }
}
