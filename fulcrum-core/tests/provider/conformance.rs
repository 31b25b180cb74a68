//! The sandbox does what it declares in every idempotency class, and the suite catches a provider that lies.

use std::{sync::Arc, time::Duration};

use crate::support::{cloud, offers};
use fulcrum_core::{
    model::{IdempotencyKey, Service, ServiceId},
    provider::{
        Action, Call, ErrorKind, IdempotencyClass, OfferFilter, OfferStream, OperationHandle,
        OperationStatus, Provider, ProviderError, ProvisionRequest, Quote, Refusal, Result, ServiceStream,
        UsagePeriod, UsageStream,
        adapters::catalogue_file::CatalogueFile,
        conformance::{Customer, Outcome, Report, SuiteConfig, check_attached, check_provider},
        layers,
        sandbox::{Fault, FaultRule, Sandbox},
    },
};
use futures::{StreamExt, TryStreamExt};

const CLASSES: [IdempotencyClass; 4] = [
    IdempotencyClass::Natural,
    IdempotencyClass::Key,
    IdempotencyClass::Searchable { list_lag_ms: 40 },
    IdempotencyClass::None,
];

fn trial() -> SuiteConfig {
    let offer = offers("alpha").remove(0);
    let request = ProvisionRequest::of(&offer, 0, "conformance");
    SuiteConfig::new(Some(request), Duration::from_secs(30))
}

async fn report_of(sandbox: &Sandbox) -> Report {
    check_provider(Arc::new(sandbox.clone()), trial()).await
}

fn broken(report: &Report) -> Vec<&str> {
    report.failures().map(|check| check.name).collect()
}

fn alive(sandbox: &Sandbox) -> usize {
    let now = jiff::Timestamp::now();
    sandbox.resources().expect("the state").iter().filter(|resource| resource.exists(now)).count()
}

#[tokio::test]
async fn the_sandbox_keeps_every_promise_in_every_class_and_is_left_clean() {
    for class in CLASSES {
        let sandbox =
            cloud("alpha", None).idempotency(class).reservation_ttl(Duration::from_secs(60)).build();
        let report = report_of(&sandbox).await;
        assert!(report.is_passed(), "{class:?}\n{report}");
        assert_eq!(sandbox.reservations().expect("the state"), [], "{class:?}");
        let made = sandbox.resources().expect("the state").len();
        assert!(made >= 1, "{class:?}: the suite bought nothing\n{report}");
        assert_eq!(alive(&sandbox), 0, "{class:?}\n{report}");
    }
}

#[tokio::test]
async fn the_sandbox_keeps_every_promise_from_a_file_and_behind_all_layers() {
    let folder = tempfile::tempdir().expect("a folder");
    let sandbox = cloud("alpha", Some(folder.path())).build();
    let report = check_provider(layers::recommended(Arc::new(sandbox.clone())), trial()).await;
    assert!(report.is_passed(), "{report}");
    let again = cloud("alpha", Some(folder.path())).build();
    assert_eq!(again.resources().expect("the state"), sandbox.resources().expect("the state"));
    assert_eq!(alive(&again), 0);
}

#[tokio::test]
async fn a_provider_that_declares_keys_and_ignores_them_is_caught_and_cleaned_up() {
    let lies = cloud("alpha", None)
        .idempotency(IdempotencyClass::Key)
        .actual_class(IdempotencyClass::Searchable { list_lag_ms: 0 })
        .build();
    let report = report_of(&lies).await;
    assert!(broken(&report).contains(&"the same key twice makes one service"), "{report}");
    assert!(broken(&report).contains(&"a call whose answer is lost makes one service at most"), "{report}");
    assert_eq!(alive(&lies), 0, "duplicates were left\n{report}");
}

#[tokio::test]
async fn a_provider_whose_list_lags_longer_than_declared_is_caught() {
    let lies = cloud("alpha", None)
        .idempotency(IdempotencyClass::Searchable { list_lag_ms: 1 })
        .actual_class(IdempotencyClass::Searchable { list_lag_ms: 60_000 })
        .build();
    let report = report_of(&lies).await;
    assert!(broken(&report).contains(&"the key finds the service within the declared lag"), "{report}");
    assert!(broken(&report).contains(&"the list has the service once within the declared lag"), "{report}");
}

#[tokio::test]
async fn an_operation_that_fails_is_reported_and_what_it_leaves_is_released() {
    let fault = Fault::OperationFails { leaves_resource: true, shortage: None };
    let rule = FaultRule { call: Call::Provision, sku: None, nth: 1, times: 1, fault };
    let sandbox = cloud("alpha", None).fault(rule).build();
    let report = report_of(&sandbox).await;
    assert_eq!(broken(&report).len(), 1, "{report}");
    assert_eq!(sandbox.resources().expect("the state").len(), 1);
    assert_eq!(alive(&sandbox), 0, "the wreck was left\n{report}");
}

#[tokio::test]
async fn without_a_request_nothing_is_bought() {
    let sandbox = cloud("alpha", None).build();
    let report =
        check_provider(Arc::new(sandbox.clone()), SuiteConfig::new(None, Duration::from_secs(30))).await;
    assert!(report.is_passed(), "{report}");
    assert!(sandbox.resources().expect("the state").is_empty());
}

#[tokio::test]
async fn a_catalogue_file_sells_nothing_and_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let provider = r#"{"id": "acme", "name": "Acme", "legal_name": "Acme GmbH", "country": "DE",
        "regions": [{"id": "r1", "country": "DE"}, {"id": "r2", "country": "DE"}]}"#;
    let csv = "kind,sku,region,vcpu,memory_mib,disk_gib,monthly,currency,tax,observed,source\n\
        machine,small,*,2,4096,40,10,EUR,net,2026-11-01,a test\n";
    std::fs::write(folder.path().join("acme.json"), provider).expect("written");
    std::fs::write(folder.path().join("acme.csv"), csv).expect("written");
    let mut files = CatalogueFile::open(folder.path()).expect("a catalogue");
    assert_eq!(files.len(), 1);
    let file = files.remove(0);
    assert_eq!(file.id().as_str(), "acme");
    let report = check_provider(Arc::new(file), trial()).await;
    assert!(report.is_passed(), "{report}");
    let passed = report.checks.iter().filter(|check| check.outcome == Outcome::Passed).count();
    assert_eq!(passed, 5, "{report}");
}

/// A sandbox that is odd in one way.
#[derive(Debug)]
struct Odd {
    cloud: Sandbox,
    way: Way,
    lists: std::sync::atomic::AtomicUsize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    /// Each list is dearer than the one before.
    Dearer,
    /// It holds the thread of its caller.
    Blocks,
    /// It breaks when it is asked much.
    Breaks,
    /// It says of what is sold out that it is in a conflict.
    Mumbles,
}

#[async_trait::async_trait]
#[deny(clippy::missing_trait_methods)]
impl Provider for Odd {
    fn id(&self) -> &fulcrum_core::model::ProviderId {
        self.cloud.id()
    }
    fn capabilities(&self) -> &fulcrum_core::provider::Capabilities {
        self.cloud.capabilities()
    }
    fn offers(&self, filter: &OfferFilter) -> OfferStream {
        let count = self.lists.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let way = self.way;
        self.cloud
            .offers(filter)
            .map_ok(move |mut offer| {
                if way == Way::Dearer {
                    offer.price.once += rust_decimal::Decimal::from(count);
                }
                offer
            })
            .boxed()
    }
    async fn quote(&self, request: &ProvisionRequest) -> Result<Quote> {
        self.cloud.quote(request).await
    }
    async fn dry_run(&self, requests: &[ProvisionRequest]) -> Result<Vec<Refusal>> {
        self.cloud.dry_run(requests).await
    }
    async fn provision(&self, request: &ProvisionRequest, key: &IdempotencyKey) -> Result<OperationHandle> {
        let answer = self.cloud.provision(request, key).await;
        answer.map_err(|error| match self.way {
            Way::Mumbles => {
                let message = "something is wrong".to_owned();
                ProviderError::new(self.id().clone(), Call::Provision, ErrorKind::Conflict { message })
            }
            _ => error,
        })
    }
    async fn find_by_key(&self, key: &IdempotencyKey) -> Result<Option<Service>> {
        let count = self.lists.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        if self.way == Way::Blocks && count < 24 {
            std::thread::sleep(Duration::from_millis(600));
        }
        if self.way == Way::Breaks && count > 20 {
            let kind = ErrorKind::Protocol { message: "half an answer".to_owned() };
            return Err(ProviderError::new(self.id().clone(), Call::FindByKey, kind));
        }
        self.cloud.find_by_key(key).await
    }
    async fn describe(&self, service: &ServiceId) -> Result<Option<Service>> {
        self.cloud.describe(service).await
    }
    fn services(&self) -> ServiceStream {
        self.cloud.services()
    }
    async fn act(
        &self,
        service: &ServiceId,
        action: &Action,
        key: &IdempotencyKey,
    ) -> Result<OperationHandle> {
        self.cloud.act(service, action, key).await
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
        self.cloud.poll(operation).await
    }
    fn usage(&self, period: &UsagePeriod) -> UsageStream {
        self.cloud.usage(period)
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
}

#[tokio::test]
async fn a_provider_that_is_odd_in_one_way_is_caught_in_that() {
    let gone = offers("alpha").remove(0).sku;
    for (way, name) in [
        (Way::Dearer, "two lists in a row have the same prices"),
        (Way::Blocks, "a call that is given up ends at once, and the next one is answered"),
        (Way::Breaks, "many calls at once are answered, or refused as too many"),
        (Way::Mumbles, "what is sold out is refused as that, each time"),
    ] {
        let mut builder = cloud("alpha", None);
        if way == Way::Mumbles {
            builder = builder.stock(gone.clone(), 0);
        }
        let odd = Odd { cloud: builder.build(), way, lists: 0.into() };
        let request = trial().request.filter(|_| way == Way::Mumbles);
        let mut trial = SuiteConfig::new(request.clone(), Duration::from_secs(30));
        trial.sold_out = request;
        let report = check_provider(Arc::new(odd), trial).await;
        let caught: Vec<_> = report.failures().map(|check| check.name).collect();
        assert!(caught.contains(&name), "{way:?}: {report}");
        // What is sold out cannot be bought either.
        assert!(caught.len() == 1 || way == Way::Mumbles, "{way:?}: {report}");
    }
}

#[tokio::test]
async fn what_is_sold_out_is_refused_as_that() {
    let sku = offers("alpha").remove(0).sku;
    let sandbox = cloud("alpha", None).stock(sku, 0).build();
    let mut trial = trial();
    trial.sold_out = trial.request.clone();
    let report = check_provider(Arc::new(sandbox), trial).await;
    let name = "what is sold out is refused as that, each time";
    let check = report.checks.iter().find(|check| check.name == name).expect("checked");
    assert_eq!(check.outcome, Outcome::Passed, "{report}");
}

/// What a call does under a fault: the code of its error, or nothing.
async fn outcome(sandbox: &Sandbox, call: Call) -> Option<i32> {
    use fulcrum_core::model::OrderId;
    let request = trial().request.expect("a request");
    let key = IdempotencyKey::of_step(&OrderId::generate(), 0);
    let service: ServiceId = "none".parse().expect("a name");
    let period = UsagePeriod { from: jiff::Timestamp::MIN, to: jiff::Timestamp::MAX };
    let done = match call {
        Call::Offers => sandbox.offers(&OfferFilter::default()).try_collect::<Vec<_>>().await.map(drop),
        Call::Quote => sandbox.quote(&request).await.map(drop),
        Call::DryRun => sandbox.dry_run(std::slice::from_ref(&request)).await.map(drop),
        Call::Reserve => sandbox.reserve(&request, &key).await.map(drop),
        Call::Unreserve => sandbox.unreserve(&key).await,
        Call::Provision => sandbox.provision(&request, &key).await.map(drop),
        // The sandbox does not declare it.
        Call::ResumeOperation => Ok(()),
        Call::FindByKey => sandbox.find_by_key(&key).await.map(drop),
        Call::Describe => sandbox.describe(&service).await.map(drop),
        Call::Services => sandbox.services().try_collect::<Vec<_>>().await.map(drop),
        Call::Act => sandbox.act(&service, &Action::Stop, &key).await.map(drop),
        Call::Access => sandbox.access(&service).await.map(drop),
        Call::Release => sandbox.release(&service, &key).await.map(drop),
        Call::Poll => sandbox.poll(&OperationHandle::new("none")).await.map(drop),
        Call::Usage => sandbox.usage(&period).try_collect::<Vec<_>>().await.map(drop),
    };
    done.err().map(|error| error.kind.code())
}

#[tokio::test]
async fn a_fault_is_met_at_every_call() {
    let calls = [
        Call::Offers,
        Call::Quote,
        Call::Reserve,
        Call::Unreserve,
        Call::Provision,
        Call::FindByKey,
        Call::Describe,
        Call::Services,
        Call::Act,
        Call::Release,
        Call::Poll,
        Call::Usage,
    ];
    for call in calls {
        for fault in [Fault::Unavailable, Fault::NotSent, Fault::AmbiguousHappened, Fault::AmbiguousLost] {
            let rule = FaultRule { call, sku: None, nth: 1, times: 1, fault: fault.clone() };
            let cloud = || cloud("alpha", None).reservation_ttl(Duration::from_secs(1));
            let with = outcome(&cloud().fault(rule).build(), call).await;
            let without = outcome(&cloud().build(), call).await;
            // A call that fails anyway has no effect whose answer could be lost.
            let is_lost = fault == Fault::AmbiguousHappened && without.is_some();
            assert!(with.is_some() && (is_lost || with != without), "{call:?} under {fault:?}: {with:?}");
        }
    }
}

/// Hangs a volume on what is bought.
#[derive(Debug)]
struct Meddler(Sandbox);

const VOLUME: &str = "volume-of-the-customer";

#[async_trait::async_trait]
impl Customer for Meddler {
    async fn attach(&self, service: &Service) -> std::result::Result<String, String> {
        self.0.attach(&service.id, VOLUME).map(|()| VOLUME.to_owned()).map_err(|error| error.to_string())
    }

    /// It ends with what it hangs on.
    async fn has(&self, part: &str) -> std::result::Result<bool, String> {
        Ok(part == VOLUME && alive(&self.0) == 1)
    }

    async fn detach(&self, service: &Service, part: &str) -> std::result::Result<(), String> {
        self.0.detach(&service.id, part).map(drop).map_err(|error| error.to_string())
    }
}

/// Takes off whatever hangs on a service before it releases it.
#[derive(Debug)]
struct Careless(Sandbox);

#[async_trait::async_trait]
#[deny(clippy::missing_trait_methods)]
impl Provider for Careless {
    fn id(&self) -> &fulcrum_core::model::ProviderId {
        self.0.id()
    }

    fn capabilities(&self) -> &fulcrum_core::provider::Capabilities {
        self.0.capabilities()
    }

    fn offers(&self, filter: &OfferFilter) -> OfferStream {
        self.0.offers(filter)
    }

    async fn provision(&self, request: &ProvisionRequest, key: &IdempotencyKey) -> Result<OperationHandle> {
        self.0.provision(request, key).await
    }

    async fn find_by_key(&self, key: &IdempotencyKey) -> Result<Option<Service>> {
        self.0.find_by_key(key).await
    }
    async fn describe(&self, service: &ServiceId) -> Result<Option<Service>> {
        self.0.describe(service).await
    }

    fn withhold(&self, secrets: &[secrecy::SecretString]) {
        self.0.withhold(secrets);
    }
    async fn access(&self, service: &ServiceId) -> Result<fulcrum_core::provider::Access> {
        self.0.access(service).await
    }

    async fn release(&self, service: &ServiceId, key: &IdempotencyKey) -> Result<OperationHandle> {
        self.0.detach(service, VOLUME).expect("the state");
        self.0.release(service, key).await
    }

    async fn poll(&self, operation: &OperationHandle) -> Result<OperationStatus> {
        self.0.poll(operation).await
    }
    fn rejected(&self) -> Vec<fulcrum_core::provider::RejectedRow> {
        self.0.rejected()
    }
    fn redacted(&self, text: &str, is_for_people: bool) -> String {
        self.0.redacted(text, is_for_people)
    }
    async fn quote(&self, request: &ProvisionRequest) -> Result<Quote> {
        self.0.quote(request).await
    }
    async fn dry_run(&self, requests: &[ProvisionRequest]) -> Result<Vec<Refusal>> {
        self.0.dry_run(requests).await
    }
    async fn reserve(&self, request: &ProvisionRequest, key: &IdempotencyKey) -> Result<jiff::Timestamp> {
        self.0.reserve(request, key).await
    }
    async fn unreserve(&self, key: &IdempotencyKey) -> Result<()> {
        self.0.unreserve(key).await
    }
    async fn resume_operation(
        &self,
        request: &ProvisionRequest,
        service: &Service,
    ) -> Result<Option<OperationHandle>> {
        self.0.resume_operation(request, service).await
    }
    fn services(&self) -> ServiceStream {
        self.0.services()
    }
    async fn act(
        &self,
        service: &ServiceId,
        action: &Action,
        key: &IdempotencyKey,
    ) -> Result<OperationHandle> {
        self.0.act(service, action, key).await
    }
    fn usage(&self, period: &UsagePeriod) -> UsageStream {
        self.0.usage(period)
    }
}

#[tokio::test]
async fn what_was_attached_later_is_spared_and_who_ends_it_is_caught() {
    let sandbox = cloud("alpha", None).build();
    let report = check_attached(Arc::new(sandbox.clone()), trial(), &Meddler(sandbox.clone())).await;
    assert!(report.is_passed() && report.checks.len() == 2, "{report}");
    assert_eq!(alive(&sandbox), 0, "{report}");
    let sandbox = cloud("alpha", None).build();
    let report = check_attached(Arc::new(Careless(sandbox.clone())), trial(), &Meddler(sandbox)).await;
    assert_eq!(report.failures().count(), 1, "{report}");
    let report = check_attached(
        Arc::new(cloud("alpha", None).build()),
        SuiteConfig::new(None, Duration::from_secs(30)),
        &Meddler(cloud("alpha", None).build()),
    )
    .await;
    assert!(report.checks.iter().all(|check| matches!(check.outcome, Outcome::Skipped(_))), "{report}");
}
