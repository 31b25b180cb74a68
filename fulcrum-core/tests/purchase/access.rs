//! Secrets of bought services reach whoever asks for them, and nothing else.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use fulcrum_core::{
    catalogue::{CatalogueBuilder, Rates},
    compose::{ComposeError, ComposeOptions, Signal, compose},
    federation::Federation,
    ledger::SqliteLedger,
    model::{Blueprint, IdempotencyKey, Offer, Order, OrderState, Policy, ProviderId, Service, ServiceId},
    provider::{
        Access, Action, Call, Capabilities, ErrorKind, OfferFilter, OfferStream, OperationHandle,
        OperationStatus, Provider, ProviderError, ProvisionRequest, Quote, Refusal, RejectedRow, Result,
        ServiceStream, UsagePeriod, UsageStream, layers, portable_settings, sandbox::Sandbox,
    },
    purchase::{Engine, PurchaseError},
};
use secrecy::ExposeSecret;

const CATALOGUE: &str = r#"{"format": "fulcrum-catalogue/1", "providers": [
    {"id": "alpha", "name": "Alpha", "legal_name": "Alpha", "country": "DE", "regions": [{"id": "r", "country": "DE"}],
     "offers": [
        {"kind": "machine", "sku": "m", "region": "r", "vcpu": 2, "memory_mib": 4096, "monthly": "10", "disk_gib": 40,
         "currency": "EUR", "tax": "net", "observed": "2026-11-01", "source": "a test"},
        {"kind": "database", "sku": "d", "region": "r", "vcpu": 2, "memory_mib": 4096, "monthly": "20", "disk_gib": 40,
         "currency": "EUR", "tax": "net", "observed": "2026-11-01", "source": "a test"}]}]}"#;

fn blueprint(setting: &str, text: &str) -> Blueprint {
    let text = format!(
        "{{ name: shop, components: {{ db: {{ kind: database }}, web: {{ vcpu: 2, after: [db], settings: {{ {setting}: \"{text}\" }} }} }} }}"
    );
    Blueprint::from_yaml(&text).expect("a blueprint")
}

/// A sandbox that notes its requests, and may fail some calls of `access` first.
#[derive(Debug)]
struct Watched {
    cloud: Sandbox,
    requests: Mutex<Vec<ProvisionRequest>>,
    /// How the next calls of `access` fail.
    failures: Mutex<Vec<ErrorKind>>,
    /// Repeats user data in handles, attributes and errors, as JSON.
    repeats: bool,
}

impl Watched {
    fn repeated(&self) -> Option<String> {
        let requests = self.requests.lock().expect("nobody panics");
        let data = requests.iter().find_map(|request| request.settings.get("user_data").cloned());
        data.filter(|_| self.repeats).map(|data| format!("|{data}"))
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Provider for Watched {
    fn id(&self) -> &ProviderId {
        self.cloud.id()
    }
    fn capabilities(&self) -> &Capabilities {
        self.cloud.capabilities()
    }
    fn offers(&self, filter: &OfferFilter) -> OfferStream {
        self.cloud.offers(filter)
    }
    async fn provision(&self, request: &ProvisionRequest, key: &IdempotencyKey) -> Result<OperationHandle> {
        self.requests.lock().expect("nobody panics").push(request.clone());
        let is_first = self.requests.lock().expect("nobody panics").len() == 2;
        if let Some(data) = self.repeated().filter(|_| is_first) {
            let kind = ErrorKind::unavailable(format!("busy with {data}"));
            return Err(ProviderError::new(self.id().clone(), Call::Provision, kind));
        }
        let handle = self.cloud.provision(request, key).await?;
        Ok(OperationHandle::new(format!("{}{}", handle.as_str(), self.repeated().unwrap_or_default())))
    }
    fn redacted(&self, text: &str, is_for_people: bool) -> String {
        self.cloud.redacted(text, is_for_people)
    }
    fn rejected(&self) -> Vec<RejectedRow> {
        self.cloud.rejected()
    }
    async fn quote(&self, request: &ProvisionRequest) -> Result<Quote> {
        self.cloud.quote(request).await
    }
    async fn dry_run(&self, requests: &[ProvisionRequest]) -> Result<Vec<Refusal>> {
        self.cloud.dry_run(requests).await
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
        action: &Action,
        key: &IdempotencyKey,
    ) -> Result<OperationHandle> {
        self.cloud.act(service, action, key).await
    }
    fn usage(&self, period: &UsagePeriod) -> UsageStream {
        self.cloud.usage(period)
    }
    async fn find_by_key(&self, key: &IdempotencyKey) -> Result<Option<Service>> {
        let mut found = self.cloud.find_by_key(key).await?;
        if let (Some(service), Some(data)) = (&mut found, self.repeated()) {
            service.attributes.insert("note".to_owned(), data);
        }
        Ok(found)
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
    async fn access(&self, service: &ServiceId) -> Result<Access> {
        let failure = self.failures.lock().expect("nobody panics").pop();
        match failure {
            Some(kind) => Err(ProviderError::new(self.id().clone(), Call::Access, kind)),
            None => self.cloud.access(service).await,
        }
    }
    async fn release(&self, service: &ServiceId, key: &IdempotencyKey) -> Result<OperationHandle> {
        self.cloud.release(service, key).await
    }
    async fn poll(&self, operation: &OperationHandle) -> Result<OperationStatus> {
        let own = operation.as_str().split('|').next().unwrap_or_default();
        let status = self.cloud.poll(&OperationHandle::new(own)).await?;
        Ok(match (status, self.repeated()) {
            (OperationStatus::Succeeded(Some(mut service)), Some(data)) => {
                service.attributes.insert("note".to_owned(), data);
                OperationStatus::Succeeded(Some(service))
            }
            (status, _) => status,
        })
    }
}

struct Shop {
    cloud: Arc<Watched>,
    engine: Engine,
    offers: Vec<Offer>,
    ledger: tempfile::TempDir,
}

impl Shop {
    async fn new(failures: Vec<ErrorKind>) -> Self {
        Self::of(failures, false).await
    }

    async fn of(failures: Vec<ErrorKind>, repeats: bool) -> Self {
        let ledger = tempfile::tempdir().expect("a folder");
        let path = ledger.path().join("catalogue.json");
        std::fs::write(&path, CATALOGUE).expect("written");
        let offers = fulcrum_core::provider::table::Table::load(&path).expect("a table").remove(0).offers;
        let id = ProviderId::new("alpha").expect("a name");
        let cloud =
            Sandbox::builder(id.clone(), offers.clone()).declared_settings(portable_settings()).build();
        let cloud =
            Arc::new(Watched { cloud, requests: Mutex::default(), failures: failures.into(), repeats });
        let layered = layers::recommended(cloud.clone() as Arc<dyn Provider>);
        let providers = BTreeMap::from([(id, layered)]);
        let store = SqliteLedger::open(&ledger.path().join("orders.db")).await.expect("a ledger");
        Self { cloud, engine: Engine::new(providers, Arc::new(store)), offers, ledger }
    }

    fn compose(&self, blueprint: &Blueprint) -> std::result::Result<fulcrum_core::model::Plan, ComposeError> {
        let mut builder =
            CatalogueBuilder::new("2026-11-23T00:00:00Z".parse().expect("a time"), Rates::none());
        builder.extend(self.offers.clone());
        let (id, told) = (self.cloud.id().clone(), self.cloud.capabilities());
        builder.declare_attributes(id.clone(), told.attributes.clone().expect("it says what it tells"));
        builder.declare_secrets(id.clone(), told.secrets.clone());
        builder.declare_settings(id, told.settings.clone().expect("it says what it takes"));
        compose(&builder.build(), blueprint, &ComposeOptions::default(), &mut |_| Signal::Continue)
    }

    async fn buy(&self, blueprint: &Blueprint) -> Order {
        let plan = self.compose(blueprint).expect("a plan");
        let order = self.engine.accept(plan, Policy::default(), None).await.expect("accepted");
        self.engine.drive(&order.id).await.expect("driven")
    }

    /// What the machine was asked to be made with.
    fn user_data(&self) -> Option<String> {
        let requests = self.cloud.requests.lock().expect("nobody panics");
        requests.iter().find_map(|request| Some(request.settings.get("user_data")?.as_str()?.to_owned()))
    }

    async fn password(&self, order: &Order) -> String {
        let at = order.steps.iter().find(|step| step.lease.sku.as_str() == "d").expect("a database").index;
        let access = self.engine.access(&order.id, at).await.expect("opened");
        access.get("password").expect("it has one").expose_secret().to_owned()
    }
}

/// Whether a text stands in any file of a folder.
fn stands_in(folder: &Path, text: &str) -> bool {
    let files = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    files.into_iter().any(|file| {
        let bytes = std::fs::read(file).expect("read");
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    })
}

#[tokio::test]
async fn a_secret_reaches_user_data_and_is_recorded_nowhere() {
    let shop = Shop::new(vec![ErrorKind::unavailable("a moment")]).await;
    let order = shop.buy(&blueprint("user_data", "url: ${db.user}:${db.password}@${db.host}")).await;
    assert_eq!(order.state, OrderState::Committed, "{:?}", order.reason);
    let password = shop.password(&order).await;
    let made = shop.user_data().expect("it was asked for");
    assert!(made.starts_with(&format!("url: admin:{password}@")), "{made}");

    let archive = shop.engine.export(&order.id).await.expect("exported");
    let timeline = shop.engine.timeline(&order.id).await.expect("told");
    let told = format!(
        "{order:?}{archive:?}{timeline:?}{timeline}{}",
        serde_json::to_string(&archive).expect("JSON")
    );
    assert!(told.contains("${db.password}") && !told.contains(&password));
    assert!(stands_in(shop.ledger.path(), "${db.password}"), "the ledger is where it is looked for");
    assert!(!stands_in(shop.ledger.path(), &password));
}

#[tokio::test]
async fn what_a_provider_repeats_of_a_secret_is_recorded_nowhere() {
    let shop = Shop::of(Vec::new(), true).await;
    let order = shop.buy(&blueprint("user_data", "a \\\"quoted\\\" ${db.password} text")).await;
    assert_eq!(order.state, OrderState::Committed, "{:?}", order.reason);
    let password = shop.password(&order).await;
    assert!(shop.user_data().is_some_and(|made| made.contains(&password)));
    let archive = shop.engine.export(&order.id).await.expect("exported");
    let told = format!("{order:?}{}", serde_json::to_string(&archive).expect("JSON"));
    // The handle is refused, and the service found by its key.
    assert!(told.contains("holds a secret of the request"));
    assert!(told.matches("(secret)").count() > 1 && !told.contains(&password), "{told}");
    assert!(!stands_in(shop.ledger.path(), &password));
}

#[tokio::test]
async fn an_order_is_undone_whose_secret_nobody_gives() {
    let shop = Shop::new(vec![ErrorKind::Forbidden]).await;
    let order = shop.buy(&blueprint("user_data", "${db.password}")).await;
    assert_eq!(order.state, OrderState::Failed, "{:?}", order.reason);
    assert!(
        order.reason.as_deref().is_some_and(|why| why.contains("db does not give `password`")),
        "{order:?}"
    );
    assert_eq!(shop.user_data(), None);
    assert!(order.steps.iter().all(|step| step.state.service().is_none()), "{order:?}");
}

#[tokio::test]
async fn a_secret_stands_in_user_data_alone() {
    let shop = Shop::new(Vec::new()).await;
    for (setting, attribute, words) in [
        ("hostname", "password", "for `user_data` alone"),
        ("user_data", "token", "does not tell `token`"),
        ("user_data", "kubeconfig", "does not tell `kubeconfig`"),
    ] {
        let refused =
            shop.compose(&blueprint(setting, &format!("${{db.{attribute}}}"))).expect_err(attribute);
        assert!(refused.to_string().contains(words), "{refused}");
    }
    // The same secret in both places does not slip through.
    let both = "{ name: shop, components: { db: { kind: database }, web: { vcpu: 2, after: [db],
        settings: { user_data: '${db.password}', hostname: '${db.password}' } } } }";
    let both = Blueprint::from_yaml(both).expect("a blueprint");
    assert!(shop.compose(&both).is_err());
}

/// A plan that somebody wrote by hand, past the check.
#[tokio::test]
async fn a_plan_cannot_move_a_secret_elsewhere() {
    let shop = Shop::new(Vec::new()).await;
    let mut plan = shop.compose(&blueprint("user_data", "${db.password}")).expect("a plan");
    let web =
        plan.leases.iter_mut().find(|lease| !lease.after.is_empty()).expect("it comes after another one");
    web.settings.insert("hostname".to_owned(), "${db.password}".into());
    let order = shop.engine.accept(plan, Policy::default(), None).await.expect("accepted");
    let order = shop.engine.drive(&order.id).await.expect("driven");
    assert_eq!(order.state, OrderState::Failed);
    assert!(order.reason.as_deref().is_some_and(|why| why.contains("db has no `password`")), "{order:?}");
    assert_eq!(shop.user_data(), None);
}

#[tokio::test]
async fn access_is_to_services_that_are_there() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("catalogue.json"), CATALOGUE).expect("written");
    let config = folder.path().join("federation.yaml");
    std::fs::write(
        &config,
        "{ ledger: ':memory:', providers: [ { sandbox: { catalogue: catalogue.json } } ] }",
    )
    .expect("written");
    let market = Federation::open(&config).await.expect("opened");
    market.refresh().await;
    let plan = market.compose(&blueprint("user_data", "x")).expect("a plan");
    let order = market.purchase(&plan, Policy::default()).await.expect("bought");
    let position =
        |sku: &str| order.steps.iter().find(|step| step.lease.sku.as_str() == sku).expect("a step").index;
    let (db, web) = (position("d"), position("m"));
    let access = market.access(&order.id, db).await.expect("opened");
    assert_eq!(access.names().collect::<Vec<_>>(), ["database", "host", "password", "port", "user"]);
    let again = market.access(&order.id, db).await.expect("opened");
    assert!(access.exposed().eq(again.exposed()), "it is the same");

    let refused = market.access(&order.id, web).await.expect_err("a machine");
    assert!(
        matches!(&refused, PurchaseError::Provider(error) if error.kind == ErrorKind::Unsupported),
        "{refused}"
    );
    let refused = market.access(&order.id, 9).await.expect_err("no step");
    assert!(matches!(refused, PurchaseError::NoService { step: 9, .. }));
    market.cancel(&order.id).await.expect("cancelled");
    let refused = market.access(&order.id, db).await.expect_err("released");
    assert!(matches!(refused, PurchaseError::NoService { .. }), "{refused}");
}
