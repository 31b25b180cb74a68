//! Providers that lie: services of other keys, one service for two steps, operations that never end, what goes backwards,
//! vanishes and comes back, answers that are huge or never come. An order ends in its time: with its own services, with
//! none, or stuck with words that say at what; and what it did not make is never touched.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use crate::support::{catalogue, cloud, seed};
use async_trait::async_trait;
use fulcrum_core::{
    compose::{ComposeOptions, Signal, compose},
    ledger::SqliteLedger,
    model::{
        Blueprint, IdempotencyKey, Operator, Order, OrderState, Plan, Policy, ProviderId, PurchaseOption,
        Service, ServiceId, ServiceStatus, Step, StepState,
    },
    provider::{
        Action, Call, Capabilities, ErrorKind, IdempotencyClass, OfferFilter, OfferStream, OperationHandle,
        OperationStatus, Provider, ProviderError, ProvisionRequest, Quote, Refusal, Result, ServiceStream,
        UsagePeriod, UsageStream, layers::Deadline, sandbox::Sandbox,
    },
    purchase::{Engine, PurchaseError},
};
use futures::StreamExt;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};

/// What a provider does instead of telling the truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lie {
    /// An operation made somebody else's service.
    PollsForeign,
    /// A key is that of somebody else's service.
    FindsForeign,
    /// Every service has the first one's id.
    OneIdForAll,
    /// What runs is starting, broken or being ended again.
    StatusGoesBack,
    /// Making never ends.
    MakingNeverEnds,
    /// Ending never ends.
    EndingNeverEnds,
    /// Ending fails each time.
    EndingFails,
    /// What is there is described as gone.
    Vanishes,
    /// A million attributes.
    HugeService,
    /// Megabytes of words.
    HugeWords,
    /// A handle of megabytes.
    HugeHandle,
    /// The same of what is done to a service that was bought.
    HugeAction,
    /// No answer, ever.
    Hangs,
    /// Come back in thirty years.
    AsksForYears,
    /// A price of another sort, or one that has ended.
    QuotesOtherwise,
    /// What is held is held for ever, or was until yesterday.
    HoldsOddly,
    /// An action is done to somebody else's service.
    ActsOnForeign,
    /// All that it dates is years off: quotes, holds, when a service was made.
    DatesOddly,
    /// Its account has services that nobody can describe, others each time it is listed.
    ListsMore,
    /// Its list breaks off.
    ListFails,
}

const LIES: [Lie; 20] = [
    Lie::PollsForeign,
    Lie::FindsForeign,
    Lie::OneIdForAll,
    Lie::StatusGoesBack,
    Lie::MakingNeverEnds,
    Lie::EndingNeverEnds,
    Lie::EndingFails,
    Lie::Vanishes,
    Lie::HugeService,
    Lie::HugeWords,
    Lie::HugeHandle,
    Lie::HugeAction,
    Lie::Hangs,
    Lie::AsksForYears,
    Lie::QuotesOtherwise,
    Lie::HoldsOddly,
    Lie::ActsOnForeign,
    Lie::DatesOddly,
    Lie::ListsMore,
    Lie::ListFails,
];
const CLASSES: [IdempotencyClass; 3] = [IdempotencyClass::Key, LAGGING, IdempotencyClass::None];
const LAGGING: IdempotencyClass = IdempotencyClass::Searchable { list_lag_ms: 20 };

#[derive(Debug)]
struct Liar {
    inner: Sandbox,
    lies: Vec<Lie>,
    /// Of a hundred answers so many are lies.
    odds: u32,
    chance: Mutex<StdRng>,
    foreign: Service,
    first: Mutex<Option<ServiceId>>,
    was_huge: Mutex<bool>,
    releases: Mutex<BTreeSet<String>>,
}

impl Liar {
    fn lies(&self, lie: Lie) -> bool {
        self.lies.contains(&lie) && self.chance.lock().expect("no panic").random_ratio(self.odds, 100)
    }

    async fn hang(&self) {
        if self.lies(Lie::Hangs) {
            std::future::pending::<()>().await;
        }
    }

    fn limited(&self, call: Call) -> Result<()> {
        if !self.lies(Lie::AsksForYears) {
            return Ok(());
        }
        let retry_after = Some(Duration::from_secs(30 * 366 * 86_400));
        Err(ProviderError::new(self.id().clone(), call, ErrorKind::RateLimited { retry_after }))
    }

    fn told(&self, mut service: Service) -> Service {
        if self.lies.contains(&Lie::OneIdForAll) {
            let mut first = self.first.lock().expect("no panic");
            service.id = first.get_or_insert(service.id).clone();
        }
        if self.lies(Lie::StatusGoesBack) {
            let back = [ServiceStatus::Starting, ServiceStatus::Failed, ServiceStatus::Releasing];
            service.status = *back.choose(&mut *self.chance.lock().expect("no panic")).expect("some");
        }
        if self.lies(Lie::DatesOddly) {
            let names = ["created", "created_at", "launched", "updated"];
            service.attributes.extend(names.map(|name| (name.to_owned(), self.odd_date().to_string())));
        }
        if self.lies(Lie::HugeService) {
            // Once a million, as they take their time to make.
            let is_first = !std::mem::replace(&mut *self.was_huge.lock().expect("no panic"), true);
            let many = if is_first { 1_000_000 } else { 20_000 };
            service.attributes = (0..many).map(|at| (format!("a{at}"), String::new())).collect();
        }
        service
    }

    fn odd_date(&self) -> jiff::Timestamp {
        let dates =
            ["1970-01-01T00:00:00Z", "2001-09-09T01:46:40Z", "2106-02-07T06:28:15Z", "9999-12-30T00:00:00Z"];
        let date = *dates.choose(&mut *self.chance.lock().expect("no panic")).expect("some");
        date.parse().expect("a time")
    }

    fn handle(&self, handle: OperationHandle) -> OperationHandle {
        if self.lies(Lie::HugeHandle) { OperationHandle::new("x".repeat(4 << 20)) } else { handle }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Provider for Liar {
    fn id(&self) -> &ProviderId {
        self.inner.id()
    }
    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }
    fn offers(&self, filter: &OfferFilter) -> OfferStream {
        self.inner.offers(filter)
    }
    async fn quote(&self, request: &ProvisionRequest) -> Result<Quote> {
        let mut quote = self.inner.quote(request).await?;
        if self.lies(Lie::QuotesOtherwise) {
            match self.chance.lock().expect("no panic").random_range(0..3) {
                0 => quote.valid_until = Some(jiff::Timestamp::UNIX_EPOCH),
                1 => quote.price.term_months = u32::MAX,
                _ => quote.price.purchase_option = PurchaseOption::Spot,
            }
        }
        if self.lies(Lie::DatesOddly) {
            quote.valid_until = Some(self.odd_date());
        }
        Ok(quote)
    }
    async fn dry_run(&self, requests: &[ProvisionRequest]) -> Result<Vec<Refusal>> {
        self.inner.dry_run(requests).await
    }
    async fn provision(&self, request: &ProvisionRequest, key: &IdempotencyKey) -> Result<OperationHandle> {
        self.limited(Call::Provision)?;
        let made = self.inner.provision(request, key).await?;
        self.hang().await;
        Ok(self.handle(made))
    }
    async fn find_by_key(&self, key: &IdempotencyKey) -> Result<Option<Service>> {
        self.hang().await;
        self.limited(Call::FindByKey)?;
        if self.lies(Lie::FindsForeign) {
            return Ok(Some(self.foreign.clone()));
        }
        Ok(self.inner.find_by_key(key).await?.map(|service| self.told(service)))
    }
    async fn describe(&self, service: &ServiceId) -> Result<Option<Service>> {
        self.hang().await;
        self.limited(Call::Describe)?;
        if self.lies(Lie::Vanishes) {
            return Ok(None);
        }
        self.inner.describe(service).await
    }
    fn services(&self) -> ServiceStream {
        let list = self.inner.services();
        if self.lies(Lie::ListFails) {
            let kind = ErrorKind::Unavailable { retry_after: None, cause: "it broke off".to_owned() };
            let error = ProviderError::new(self.id().clone(), Call::Services, kind);
            return list.take(1).chain(futures::stream::iter([Err(error)])).boxed();
        }
        if !self.lies(Lie::ListsMore) {
            return list;
        }
        let ghost = |_| {
            let mut changed = self.foreign.clone();
            changed.id = format!("ghost-{}", uuid::Uuid::now_v7()).parse().expect("a name");
            changed
        };
        list.chain(futures::stream::iter((0..5).map(ghost).map(Ok).collect::<Vec<_>>())).boxed()
    }
    async fn act(
        &self,
        service: &ServiceId,
        action: &Action,
        key: &IdempotencyKey,
    ) -> Result<OperationHandle> {
        self.limited(Call::Act)?;
        if self.lies(Lie::ActsOnForeign) {
            return Ok(OperationHandle::new("foreign"));
        }
        let acted = self.inner.act(service, action, key).await?;
        self.hang().await;
        Ok(if self.lies(Lie::HugeAction) {
            OperationHandle::new("x".repeat(4 << 20))
        } else {
            self.handle(acted)
        })
    }
    fn withhold(&self, secrets: &[secrecy::SecretString]) {
        self.inner.withhold(secrets);
    }
    async fn access(&self, service: &ServiceId) -> Result<fulcrum_core::provider::Access> {
        self.inner.access(service).await
    }

    async fn release(&self, service: &ServiceId, key: &IdempotencyKey) -> Result<OperationHandle> {
        self.limited(Call::Release)?;
        // What vanishes is only said to be ended.
        let ended = if self.lies(Lie::Vanishes) {
            OperationHandle::new("ended")
        } else {
            self.inner.release(service, key).await?
        };
        self.hang().await;
        self.releases.lock().expect("no panic").insert(ended.as_str().to_owned());
        Ok(self.handle(ended))
    }
    async fn poll(&self, operation: &OperationHandle) -> Result<OperationStatus> {
        self.hang().await;
        self.limited(Call::Poll)?;
        if operation.as_str() == "foreign" {
            return Ok(OperationStatus::Succeeded(Some(self.foreign.clone())));
        }
        let is_release = self.releases.lock().expect("no panic").contains(operation.as_str());
        if self.lies(if is_release { Lie::EndingNeverEnds } else { Lie::MakingNeverEnds }) {
            return Ok(OperationStatus::Running { percent: Some(99) });
        }
        if (is_release && self.lies(Lie::EndingFails)) || self.lies(Lie::HugeWords) {
            let reason = if self.lies(Lie::HugeWords) { "so ".repeat(1 << 20) } else { "no".to_owned() };
            return Ok(OperationStatus::Failed { reason, shortage: None });
        }
        if !is_release && self.lies(Lie::PollsForeign) {
            return Ok(OperationStatus::Succeeded(Some(self.foreign.clone())));
        }
        if operation.as_str() == "ended" {
            return Ok(OperationStatus::Succeeded(None));
        }
        Ok(match self.inner.poll(operation).await? {
            OperationStatus::Succeeded(Some(service)) => OperationStatus::Succeeded(Some(self.told(service))),
            other => other,
        })
    }
    fn usage(&self, period: &UsagePeriod) -> UsageStream {
        self.inner.usage(period)
    }
    fn rejected(&self) -> Vec<fulcrum_core::provider::RejectedRow> {
        self.inner.rejected()
    }
    fn redacted(&self, text: &str, is_for_people: bool) -> String {
        self.inner.redacted(text, is_for_people)
    }
    async fn reserve(&self, request: &ProvisionRequest, key: &IdempotencyKey) -> Result<jiff::Timestamp> {
        let until = self.inner.reserve(request, key).await?;
        if self.lies(Lie::DatesOddly) {
            return Ok(self.odd_date());
        }
        Ok(match self.lies(Lie::HoldsOddly) {
            true => *[jiff::Timestamp::MAX, jiff::Timestamp::UNIX_EPOCH]
                .choose(&mut *self.chance.lock().expect("no panic"))
                .expect("some"),
            false => until,
        })
    }
    async fn unreserve(&self, key: &IdempotencyKey) -> Result<()> {
        self.inner.unreserve(key).await
    }
    async fn resume_operation(
        &self,
        request: &ProvisionRequest,
        service: &Service,
    ) -> Result<Option<OperationHandle>> {
        self.inner.resume_operation(request, service).await
    }
}

/// Two machines at alpha, the cheapest.
fn pair() -> Plan {
    let blueprint = Blueprint::from_yaml("{ name: pair, components: { web: { vcpu: 2, replicas: 2 } } }");
    let blueprint = blueprint.expect("a blueprint");
    let plan = compose(&catalogue(), &blueprint, &ComposeOptions::default(), &mut |_| Signal::Continue);
    let plan = plan.expect("a plan");
    assert!(
        plan.leases.len() == 2 && plan.leases.iter().all(|lease| lease.place.provider.as_str() == "alpha")
    );
    plan
}

/// One order at a liar; how it ended.
async fn buy(lies: Vec<Lie>, class: IdempotencyClass, odds: u32, seed: u64) -> OrderState {
    let context = format!("{lies:?}, {class:?}, {odds} %, seed {seed}");
    let holds = lies.contains(&Lie::HoldsOddly) || lies.contains(&Lie::DatesOddly);
    let holds = Duration::from_secs(if holds { 60 } else { 0 });
    let builder = cloud("alpha", None).idempotency(class).reservation_ttl(holds);
    let alpha = if class == IdempotencyClass::None { builder.list_lag(20) } else { builder }.build();
    let plan = pair();
    // Somebody else's, made before.
    let lease = &plan.leases[0];
    let request = ProvisionRequest {
        sku: lease.sku.clone(),
        kind: lease.kind,
        place: lease.place.clone(),
        size_gib: 0,
        disk_sku: None,
        purchase_option: Default::default(),
        term_months: 0,
        surcharges: Vec::new(),
        name: "foreign".to_owned(),
        settings: BTreeMap::new(),
    };
    let key: IdempotencyKey = "another".parse().expect("a key");
    alpha.provision(&request, &key).await.expect("made");
    tokio::time::sleep(Duration::from_millis(25)).await;
    let foreign = alpha.resources().expect("state").remove(0).service;
    let liar = Liar {
        inner: alpha.clone(),
        lies,
        odds,
        chance: Mutex::new(StdRng::seed_from_u64(seed)),
        foreign: foreign.clone(),
        first: Mutex::default(),
        was_huge: Mutex::default(),
        releases: Mutex::default(),
    };
    let liar: Arc<dyn Provider> = Arc::new(Deadline::new(liar, Duration::from_millis(100)));
    let ledger = Arc::new(SqliteLedger::in_memory().await.expect("a ledger"));
    let engine = Engine::new([(liar.id().clone(), liar.clone())].into(), ledger);
    let allow_non_idempotent_purchase = class == IdempotencyClass::None;
    let policy = Policy::default()
        .with_step_timeout_s(1)
        .with_compensation_timeout_s(1)
        .with_allow_non_idempotent_purchase(allow_non_idempotent_purchase);
    let order = engine.accept(plan, policy, None).await.expect("accepted");
    let order = in_time(&context, engine.drive(&order.id)).await;
    check(&context, class, &order, &alpha, &foreign);
    let order = match order.state {
        OrderState::Committed => {
            let by = Operator { who: "ada".to_owned(), why: "a test".to_owned() };
            let acted = in_time(&context, engine.act(&order.id, 0, Action::Stop, by)).await;
            check(&context, class, &acted, &alpha, &foreign);
            in_time(&context, engine.cancel(&order.id)).await
        }
        _ => order,
    };
    check(&context, class, &order, &alpha, &foreign);
    let events = engine.ledger().events(0, Some(&order.id), 10_000).await.expect("events");
    let size: usize = events.iter().map(|event| format!("{:?}", event.kind).len()).sum();
    assert!(events.len() < 1000 && size < 2 << 20, "{context}: {} events of {size} bytes", events.len());
    engine.ledger().verify(&order.id).await.expect("whole");
    order.state
}

/// A second to make it, one to end each of two, and what may be late; with a busy machine's patience.
async fn in_time(
    context: &str,
    driven: impl Future<Output = std::result::Result<Order, PurchaseError>>,
) -> Order {
    let driven = tokio::time::timeout(Duration::from_secs(120), driven).await;
    driven.unwrap_or_else(|_| panic!("{context}: hangs")).expect("driven")
}

/// What must hold of an order at its end, by the cloud's own state.
fn check(context: &str, class: IdempotencyClass, order: &Order, alpha: &Sandbox, foreign: &Service) {
    let alive: Vec<Service> = alpha
        .resources()
        .expect("state")
        .into_iter()
        .filter(|resource| resource.exists(jiff::Timestamp::now()))
        .map(|resource| resource.service)
        .collect();
    assert!(alive.iter().any(|service| service.id == foreign.id), "{context}: it ended what is not its own");
    let own: BTreeSet<&ServiceId> =
        alive.iter().filter(|service| service.id != foreign.id).map(|service| &service.id).collect();
    let words = order.reason.clone().unwrap_or_default();
    match order.state {
        OrderState::Committed => {
            let held = |step: &Step| match &step.state {
                StepState::Committed { service } => {
                    let key = (class != IdempotencyClass::None).then_some(&step.key);
                    assert_eq!(service.key.as_ref(), key, "{context}: another's service");
                    service.id.clone()
                }
                other => panic!("{context}: {other:?}"),
            };
            let held: Vec<ServiceId> = order.steps.iter().map(held).collect();
            assert_eq!(held.iter().collect::<BTreeSet<_>>(), own, "{context}");
            assert_eq!(own.len(), 2, "{context}");
        }
        state if state.is_over() => assert_eq!(own, BTreeSet::new(), "{context}: {words}"),
        OrderState::Stuck => {
            // Without a key a person finds it by its name, or by what it is and where.
            let is_named = match class {
                IdempotencyClass::None => words.contains("look for ") || words.contains(" in alpha-1"),
                _ => order.steps.iter().any(|step| words.contains(step.key.as_str())),
            };
            assert!(is_named && words.contains("alpha"), "{context}: {words}");
        }
        other => panic!("{context}: {other:?}"),
    }
}

async fn all(cases: Vec<(Vec<Lie>, IdempotencyClass, u32, u64)>) -> BTreeMap<&'static str, usize> {
    let mut ends = BTreeMap::<&'static str, usize>::new();
    // Mostly they wait: all side by side.
    let cases: Vec<_> = cases
        .into_iter()
        .map(|(lies, class, odds, seed)| tokio::spawn(buy(lies, class, odds, seed)))
        .collect();
    for case in cases {
        *ends.entry(case.await.expect("no panic").word()).or_default() += 1;
    }
    ends
}

#[tokio::test(flavor = "multi_thread")]
async fn no_lie_makes_an_order_hang_or_touch_what_is_not_its_own() {
    let seed = seed::seed();
    let mut cases = Vec::new();
    for lie in LIES {
        for class in CLASSES {
            for odds in [100, 50] {
                cases.push((vec![lie], class, odds, seed));
            }
        }
    }
    let count = cases.len();
    let ends = all(cases).await;
    println!(
        "figure: {count} orders at providers that lie in one way: {ends:?}; none hangs, nothing foreign is touched"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn prop_no_mixture_of_lies_does_either() {
    let seed = seed::seed();
    let mut chance = StdRng::seed_from_u64(seed);
    let cases: Vec<_> = (0..60)
        .map(|_| {
            let lies = LIES.iter().copied().filter(|_| chance.random_bool(0.3)).collect();
            let class = *CLASSES.choose(&mut chance).expect("some");
            (lies, class, chance.random_range(5..60), chance.random())
        })
        .collect();
    let ends = all(cases).await;
    println!(
        "figure: 60 orders at providers that lie in many ways: {ends:?}; none hangs, nothing foreign is touched"
    );
}

/// Found by chance: what an unknown call had made was found, then said to be gone, and bought again while it ran.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_to_be_gone_is_not_bought_again_while_the_account_lists_it() {
    let seed = seed::seed();
    let lies = vec![Lie::Vanishes, Lie::HugeHandle];
    let cases = (0..60).map(|at| (lies.clone(), IdempotencyClass::None, 60, seed.wrapping_add(at)));
    let ends = all(cases.collect()).await;
    println!("figure: 60 orders: {ends:?}; nothing is bought twice");
}

/// Found by reading: a step that an order may do without was asked about again and again once it had failed.
#[tokio::test]
async fn what_an_order_may_miss_is_asked_about_once_when_it_has_failed() {
    use fulcrum_core::provider::sandbox::{Fault, FaultRule};
    let fails = Fault::OperationFails { leaves_resource: true, shortage: None };
    let rule = FaultRule { call: Call::Provision, sku: None, nth: 2, times: 1, fault: fails };
    let alpha = cloud("alpha", None).fault(rule).build();
    let blueprint =
        Blueprint::from_yaml("{ name: two, components: { web: { vcpu: 2 }, spare: { vcpu: 2 } } }");
    let plan =
        compose(&catalogue(), &blueprint.expect("a blueprint"), &ComposeOptions::default(), &mut |_| {
            Signal::Continue
        });
    let optional_components = ["web".parse().expect("a name"), "spare".parse().expect("a name")].into();
    let policy = Policy::default()
        .with_optional_components(optional_components)
        .with_concurrency(1)
        .with_step_timeout_s(5);
    let ledger = Arc::new(SqliteLedger::in_memory().await.expect("a ledger"));
    let provider: Arc<dyn Provider> = Arc::new(alpha.clone());
    let engine = Engine::new([(provider.id().clone(), provider)].into(), ledger);
    let order = engine.accept(plan.expect("a plan"), policy, None).await.expect("accepted");
    let order = engine.drive(&order.id).await.expect("driven");
    assert_eq!(order.state, OrderState::Committed, "{:?}", order.reason);
    let failed = order.steps.iter().find(|step| step.state == StepState::Compensated).expect("one failed");
    assert_eq!(failed.attempts.len(), 1, "{:?}", failed.attempts);
    let alive = alpha.resources().expect("state");
    assert_eq!(alive.iter().filter(|resource| resource.exists(jiff::Timestamp::now())).count(), 1);
}
