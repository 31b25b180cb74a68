//! What a step needs is there before it, and ends after it; and each is made with what its components want.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use crate::support;
use async_trait::async_trait;
use fulcrum_core::{
    catalogue::{Catalogue, CatalogueBuilder, Rates},
    compose::{ComposeOptions, Signal, compose},
    ledger::SqliteLedger,
    model::{
        Blueprint, IdempotencyKey, Offer, Order, OrderState, Plan, Policy, ProviderId, Service, ServiceId,
        StepState,
    },
    provider::{
        Capabilities, ErrorKind, OfferFilter, OfferStream, OperationHandle, OperationStatus, Provider,
        ProviderError, ProvisionRequest, Quote, Refusal, Result, ServiceStream, sandbox::Sandbox,
    },
    purchase::Engine,
};

/// A sandbox that notes what it is asked, and refuses names that hold a word.
#[derive(Debug, Clone)]
struct Noting {
    cloud: Sandbox,
    log: Arc<Mutex<Vec<String>>>,
    requests: Arc<Mutex<Vec<ProvisionRequest>>>,
    refused: Option<&'static str>,
}

impl Noting {
    fn note(&self, what: &str, name: &str) {
        self.log.lock().expect("nobody panics").push(format!("{what} {name}"));
    }
    fn log(&self) -> Vec<String> {
        self.log.lock().expect("nobody panics").clone()
    }
}

/// `web` of `app-web-0`.
fn component(request: &ProvisionRequest) -> String {
    request
        .name
        .split('-')
        .skip(1)
        .take_while(|word| word.parse::<u32>().is_err())
        .collect::<Vec<_>>()
        .join("+")
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Provider for Noting {
    fn id(&self) -> &ProviderId {
        self.cloud.id()
    }
    fn capabilities(&self) -> &Capabilities {
        self.cloud.capabilities()
    }
    fn offers(&self, filter: &OfferFilter) -> OfferStream {
        self.cloud.offers(filter)
    }
    async fn quote(&self, request: &ProvisionRequest) -> Result<Quote> {
        self.cloud.quote(request).await
    }
    async fn dry_run(&self, requests: &[ProvisionRequest]) -> Result<Vec<Refusal>> {
        self.cloud.dry_run(requests).await
    }
    async fn provision(&self, request: &ProvisionRequest, key: &IdempotencyKey) -> Result<OperationHandle> {
        let name = component(request);
        self.note("ask", &name);
        self.requests.lock().expect("nobody panics").push(request.clone());
        if self.refused.is_some_and(|word| name.contains(word)) {
            let kind = ErrorKind::InvalidRequest { message: "refused by the test".to_owned() };
            return Err(ProviderError::new(self.id().clone(), fulcrum_core::provider::Call::Provision, kind));
        }
        let handle = self.cloud.provision(request, key).await?;
        Ok(OperationHandle::new(format!("{name}|{}", handle.as_str())))
    }
    async fn find_by_key(&self, key: &IdempotencyKey) -> Result<Option<Service>> {
        self.cloud.find_by_key(key).await
    }
    async fn describe(&self, service: &ServiceId) -> Result<Option<Service>> {
        self.cloud.describe(service).await
    }
    fn services(&self) -> ServiceStream {
        self.cloud.services()
    }
    fn withhold(&self, secrets: &[secrecy::SecretString]) {
        self.cloud.withhold(secrets);
    }
    async fn access(&self, service: &ServiceId) -> Result<fulcrum_core::provider::Access> {
        self.cloud.access(service).await
    }

    async fn release(&self, service: &ServiceId, key: &IdempotencyKey) -> Result<OperationHandle> {
        self.note("release", key.as_str().trim_end_matches("-r").rsplit('-').next().unwrap_or_default());
        Ok(OperationHandle::new(format!("|{}", self.cloud.release(service, key).await?.as_str())))
    }
    async fn poll(&self, operation: &OperationHandle) -> Result<OperationStatus> {
        let (name, handle) = operation.as_str().split_once('|').expect("a handle of ours");
        let status = self.cloud.poll(&OperationHandle::new(handle)).await?;
        if !name.is_empty() && matches!(status, OperationStatus::Succeeded(_)) {
            self.note("made", name);
        }
        Ok(status)
    }
    fn rejected(&self) -> Vec<fulcrum_core::provider::RejectedRow> {
        self.cloud.rejected()
    }
    fn redacted(&self, text: &str, is_for_people: bool) -> String {
        self.cloud.redacted(text, is_for_people)
    }
    async fn reserve(&self, request: &ProvisionRequest, key: &IdempotencyKey) -> Result<jiff::Timestamp> {
        self.cloud.reserve(request, key).await
    }
    async fn unreserve(&self, key: &IdempotencyKey) -> Result<()> {
        self.cloud.unreserve(key).await
    }
    async fn resume_operation(
        &self,
        request: &ProvisionRequest,
        service: &Service,
    ) -> Result<Option<OperationHandle>> {
        self.cloud.resume_operation(request, service).await
    }
    async fn act(
        &self,
        service: &ServiceId,
        action: &fulcrum_core::model::Action,
        key: &IdempotencyKey,
    ) -> Result<OperationHandle> {
        self.cloud.act(service, action, key).await
    }
    fn usage(&self, period: &fulcrum_core::provider::UsagePeriod) -> fulcrum_core::provider::UsageStream {
        self.cloud.usage(period)
    }
}

fn noting(refused: Option<&'static str>) -> Noting {
    let cloud =
        support::cloud("alpha", None).operation(Duration::from_millis(20), Duration::from_millis(30)).build();
    Noting { cloud, log: Arc::default(), requests: Arc::default(), refused }
}

fn offers() -> Vec<Offer> {
    support::offers("alpha")
}

fn catalogue() -> Catalogue {
    let mut builder = CatalogueBuilder::new("2026-11-23T00:00:00Z".parse().expect("a time"), Rates::none());
    builder.extend(offers());
    builder.build()
}

fn planned(text: &str) -> Plan {
    let blueprint = Blueprint::from_yaml(text).expect("a blueprint");
    compose(&catalogue(), &blueprint, &ComposeOptions::default(), &mut |_| Signal::Continue).expect("a plan")
}

async fn bought(cloud: &Noting, plan: &Plan, policy: Policy) -> Order {
    let providers = BTreeMap::from([(cloud.id().clone(), Arc::new(cloud.clone()) as Arc<dyn Provider>)]);
    let engine = Engine::new(providers, Arc::new(SqliteLedger::in_memory().await.expect("a ledger")));
    let order = engine.accept(plan.clone(), policy, None).await.expect("accepted");
    let driven = tokio::time::timeout(Duration::from_secs(300), engine.drive(&order.id));
    driven.await.expect("nobody waits in a circle").expect("driven")
}

fn at(log: &[String], what: &str) -> usize {
    log.iter().position(|line| line == what).unwrap_or_else(|| panic!("no {what} in {log:?}"))
}

/// Each on a machine of its own.
const CHAIN: &str = "{ name: app, components: {
    web: { vcpu: 2, after: [db, net] }, db: { vcpu: 2, after: [net] }, net: { vcpu: 2 }, other: { vcpu: 2 } } }";

#[tokio::test]
async fn each_waits_for_what_it_needs_and_for_nothing_else() {
    for concurrency in [1, 2, 8] {
        let cloud = noting(None);
        let order = bought(&cloud, &planned(CHAIN), Policy::default().with_concurrency(concurrency)).await;
        assert_eq!(order.state, OrderState::Committed, "{:?}", order.reason);
        let log = cloud.log();
        assert!(at(&log, "made net") < at(&log, "ask db"), "{log:?}");
        assert!(at(&log, "made db") < at(&log, "ask web"), "{log:?}");
        if concurrency > 1 {
            assert!(at(&log, "ask other") < at(&log, "made net"), "{log:?}");
        }
    }
}

#[tokio::test]
async fn what_needs_something_that_is_refused_is_never_asked_for() {
    let cloud = noting(Some("db"));
    let order = bought(&cloud, &planned(CHAIN), Policy::default()).await;
    assert_eq!(order.state, OrderState::Failed);
    assert!(!cloud.log().contains(&"ask web".to_owned()), "{:?}", cloud.log());
    assert!(order.reason.is_some_and(|reason| reason.contains("refused by the test")));
}

#[tokio::test]
async fn what_may_be_missing_is_not_waited_for() {
    let cloud = noting(Some("net"));
    let policy = Policy::default().with_optional_components(["net".parse().expect("a name")].into());
    let order = bought(&cloud, &planned(CHAIN), policy).await;
    assert_eq!(order.state, OrderState::Committed, "{:?}", order.reason);
    let log = cloud.log();
    assert!(at(&log, "made db") < at(&log, "ask web"), "{log:?}");
}

#[tokio::test]
async fn the_end_comes_in_reverse() {
    let cloud = noting(None);
    let providers = BTreeMap::from([(cloud.id().clone(), Arc::new(cloud.clone()) as Arc<dyn Provider>)]);
    let engine = Engine::new(providers, Arc::new(SqliteLedger::in_memory().await.expect("a ledger")));
    let order = engine.accept(planned(CHAIN), Policy::default(), None).await.expect("accepted");
    let order = engine.drive(&order.id).await.expect("driven");
    let of = |name: &str| {
        let holds =
            |step: &&fulcrum_core::model::Step| step.lease.replicas.keys().any(|it| it.as_str() == name);
        format!("release {}", order.steps.iter().find(holds).expect("a step").index)
    };
    engine.cancel(&order.id).await.expect("cancelled");
    let log = cloud.log();
    assert!(at(&log, &of("web")) < at(&log, &of("db")), "{log:?}");
    assert!(at(&log, &of("db")) < at(&log, &of("net")), "{log:?}");
}

#[tokio::test]
async fn components_that_share_machines_crosswise_wait_in_no_circle() {
    // Two machines, each with a and b: each holds what the other one needs.
    let plan = planned(
        "{ name: app, components: { a: { vcpu: 1, replicas: 2, after: [b] }, b: { vcpu: 1, replicas: 2 } },
           constraints: [ colocate: { components: [a, b] } ] }",
    );
    assert!(
        plan.leases.iter().all(|lease| lease.rank == 1 && lease.replicas.len() == 2),
        "{:?}",
        plan.leases
    );
    let cloud = noting(None);
    let order = bought(&cloud, &plan, Policy::default().with_concurrency(1)).await;
    assert_eq!(order.state, OrderState::Committed);
}

#[tokio::test]
async fn settings_reach_the_provider_with_what_others_have_become() {
    let plan = planned(
        "{ name: app, components: {
            web: { vcpu: 2, after: [net], settings: { image: debian-12, network: \"vpc-${net.id}\" } },
            net: { vcpu: 2, settings: { image: router } } } }",
    );
    let cloud = noting(None);
    let order = bought(&cloud, &plan, Policy::default()).await;
    assert_eq!(order.state, OrderState::Committed, "{:?}", order.reason);
    let net = order.steps.iter().find_map(|step| match &step.state {
        StepState::Committed { service } if step.lease.after.is_empty() => Some(service.id.clone()),
        _ => None,
    });
    let requests = cloud.requests.lock().expect("nobody panics").clone();
    let settings = |name: &str| {
        let request = requests.iter().find(|request| component(request) == name).expect("asked");
        request.settings.clone()
    };
    let expected = [("image", "debian-12".to_owned()), ("network", format!("vpc-{}", net.expect("made")))];
    assert_eq!(settings("web"), expected.map(|(name, value)| (name.to_owned(), value.into())).into());
    assert_eq!(settings("net"), [("image".to_owned(), "router".into())].into());
}

#[tokio::test]
async fn a_reference_to_what_nobody_says_stops_before_the_call() {
    let plan = planned(
        "{ name: app, components: {
            web: { vcpu: 2, after: [net], settings: { network: \"${net.color}\" } }, net: { vcpu: 2 } } }",
    );
    let cloud = noting(None);
    let order = bought(&cloud, &plan, Policy::default()).await;
    assert_eq!(order.state, OrderState::Failed);
    assert!(
        order.reason.as_ref().is_some_and(|reason| reason.contains("net has no `color`")),
        "{:?}",
        order.reason
    );
    assert!(!cloud.log().contains(&"ask web".to_owned()));
}

#[tokio::test]
async fn components_with_different_settings_share_no_machine() {
    let text = |image: &str| {
        format!(
            "{{ name: app, components: {{ a: {{ vcpu: 1, settings: {{ image: x, size: s }} }},
                b: {{ vcpu: 1, settings: {{ image: {image} }} }} }}, constraints: [ share: all ] }}"
        )
    };
    assert_eq!(planned(&text("x")).leases.len(), 1);
    let apart = planned(&text("y"));
    assert_eq!(apart.leases.len(), 2);
    assert!(apart.leases.iter().all(|lease| lease.replicas.len() == 1));
    let settings = planned(&text("x")).leases[0].settings.clone();
    assert_eq!(settings, [("image", "x"), ("size", "s")].map(|(a, b)| (a.to_owned(), b.into())).into());
}
