//! Nothing is bought at a price that nobody agreed to: each price is checked where its provider tells it, and a check that is
//! too old is made again.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use fulcrum_core::{
    catalogue::{CatalogueBuilder, Rates},
    compose::{ComposeOptions, Signal, compose},
    ledger::{Ledger, OrderUpdate, SqliteLedger},
    model::{
        Action, Blueprint, Charge, ElasticDisk, IdempotencyKey, Money, Offer, Operator, Order,
        OrderEventKind, OrderState, Plan, Policy, Price, PriceAuthority, PriceCheck, ProviderId,
        PurchaseOption, Service, ServiceId, Surcharge, Tier, Unit,
    },
    provider::{
        Call, Capabilities, ErrorKind, OfferFilter, OfferStream, OperationHandle, OperationStatus, Provider,
        ProviderError, ProvisionRequest, Result, ServiceStream, sandbox::Sandbox,
    },
    purchase::{Engine, PurchaseError},
};
use futures::{StreamExt, stream};
use jiff::{Timestamp, ToSpan, tz::TimeZone};
use rust_decimal::Decimal;

use crate::support;

macro_rules! dec {
    ($amount:literal) => {
        stringify!($amount).parse::<Decimal>().expect("an amount")
    };
}

/// A cloud that lists its offers and quotes nothing, as most do.
#[derive(Debug, Clone)]
struct Lists {
    cloud: Sandbox,
    capabilities: Capabilities,
    /// What it lists now; none if it answers with an error.
    offers: Arc<Mutex<Option<Vec<Offer>>>>,
    listed: Arc<AtomicUsize>,
    asked: Arc<AtomicUsize>,
    acted: Arc<AtomicUsize>,
    /// What it says of what it makes.
    swaps: Swap,
    /// Whether its list never comes.
    hangs: bool,
}

/// What is said instead of what was made.
#[derive(Debug, Clone, Copy)]
enum Swap {
    Nothing,
    Product,
    Place,
}

impl Lists {
    fn new(offers: Vec<Offer>) -> Self {
        let cloud = Sandbox::builder("alpha".parse().expect("a name"), offers.clone())
            .operation(Duration::from_millis(1), Duration::from_millis(3))
            .build();
        let mut capabilities = cloud.capabilities().clone();
        capabilities.calls.retain(|call| *call != Call::Quote);
        let offers = Arc::new(Mutex::new(Some(offers)));
        let (listed, asked, acted) = (Arc::default(), Arc::default(), Arc::default());
        Self { cloud, capabilities, offers, listed, asked, acted, swaps: Swap::Nothing, hangs: false }
    }

    fn said(&self, service: Service) -> Service {
        let mut said = service;
        match self.swaps {
            Swap::Nothing => {}
            Swap::Product => said.sku = "large".parse().expect("a name"),
            Swap::Place => said.place.region = "elsewhere".parse().expect("a name"),
        }
        said
    }

    /// Changes what it lists from now on.
    fn change(&self, change: impl FnOnce(&mut Vec<Offer>)) {
        change(self.offers.lock().unwrap_or_else(PoisonError::into_inner).as_mut().expect("it answers"));
    }

    /// Calls that were asked to buy.
    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    async fn engine(&self) -> Engine {
        self.engine_on(Arc::new(SqliteLedger::in_memory().await.expect("a ledger")))
    }

    fn engine_on(&self, ledger: Arc<dyn Ledger>) -> Engine {
        let provider = Arc::new(self.clone()) as Arc<dyn Provider>;
        Engine::new(BTreeMap::from([(self.id().clone(), provider)]), ledger)
    }

    async fn buy(&self, plan: Plan, policy: Policy) -> (Order, Engine) {
        let engine = self.engine().await;
        let order = engine.accept(plan, policy, None).await.expect("accepted");
        let order = engine.drive(&order.id).await.expect("driven");
        (order, engine)
    }
}

#[async_trait]
impl Provider for Lists {
    fn id(&self) -> &ProviderId {
        self.cloud.id()
    }
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }
    fn offers(&self, _filter: &OfferFilter) -> OfferStream {
        self.listed.fetch_add(1, Ordering::SeqCst);
        let offers = self.offers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let refused = || ProviderError::new(self.id().clone(), Call::Offers, ErrorKind::Unauthorised);
        if self.hangs {
            return stream::pending().boxed();
        }
        match offers {
            Some(offers) => stream::iter(offers.into_iter().map(Ok)).boxed(),
            None => stream::iter([Err(refused())]).boxed(),
        }
    }
    async fn provision(&self, request: &ProvisionRequest, key: &IdempotencyKey) -> Result<OperationHandle> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.cloud.provision(request, key).await
    }
    async fn find_by_key(&self, key: &IdempotencyKey) -> Result<Option<Service>> {
        Ok(self.cloud.find_by_key(key).await?.map(|service| self.said(service)))
    }
    async fn describe(&self, service: &ServiceId) -> Result<Option<Service>> {
        Ok(self.cloud.describe(service).await?.map(|service| self.said(service)))
    }
    async fn act(
        &self,
        service: &ServiceId,
        action: &Action,
        key: &IdempotencyKey,
    ) -> Result<OperationHandle> {
        self.acted.fetch_add(1, Ordering::SeqCst);
        self.cloud.act(service, action, key).await
    }
    fn services(&self) -> ServiceStream {
        self.cloud.services()
    }
    async fn release(&self, service: &ServiceId, key: &IdempotencyKey) -> Result<OperationHandle> {
        self.cloud.release(service, key).await
    }
    async fn poll(&self, operation: &OperationHandle) -> Result<OperationStatus> {
        Ok(match self.cloud.poll(operation).await? {
            OperationStatus::Succeeded(Some(service)) => OperationStatus::Succeeded(Some(self.said(service))),
            other => other,
        })
    }
}

fn days_ago(days: i32) -> jiff::civil::Date {
    let today = TimeZone::UTC.to_datetime(Timestamp::now()).date();
    today.checked_sub(days.days()).expect("a day")
}

fn monthly(amount: Decimal) -> Charge {
    Charge::Monthly(amount)
}

/// A small machine with an address that is paid besides, for 10 and 1 a month, and a large one.
fn offers() -> Vec<Offer> {
    let mut small = support::offers("alpha").remove(0);
    Arc::make_mut(&mut small.provenance).observed = days_ago(0);
    Arc::make_mut(&mut small.provenance).authority = PriceAuthority::Listing;
    small.surcharges = Arc::new(vec![surcharge("ipv4")]);
    let mut large = small.clone();
    large.sku = "large".parse().expect("a name");
    large.price.charge = monthly(dec!(40));
    vec![small, large]
}

fn surcharge(sku: &str) -> Surcharge {
    let price = support::offers("alpha").remove(0).price;
    Surcharge { sku: sku.parse().expect("a name"), price: Price { charge: monthly(dec!(1)), ..price } }
}

/// A plan for components, over half a year.
fn plan_of(offers: Vec<Offer>, components: &str) -> Plan {
    let mut builder = CatalogueBuilder::new(Timestamp::now(), Rates::none());
    builder.extend(offers);
    let blueprint = format!("{{ name: one, horizon_months: 6, components: {{ {components} }} }}");
    let blueprint = Blueprint::from_yaml(&blueprint).expect("a blueprint");
    let plan = compose(&builder.build(), &blueprint, &ComposeOptions::default(), &mut |_| Signal::Continue);
    plan.expect("a plan")
}

fn plan() -> Plan {
    let plan = plan_of(offers(), "web: { vcpu: 2 }");
    assert_eq!((plan.monthly, plan.leases[0].sku.as_str()), (dec!(11), "small"));
    plan
}

/// How a check is told, by events.
async fn told(engine: &Engine, order: &Order) -> Vec<OrderEventKind> {
    let events = engine.ledger().events(0, Some(&order.id), 1000).await.expect("events");
    let is_check = |kind: &OrderEventKind| {
        matches!(kind, OrderEventKind::PricesChecked { .. } | OrderEventKind::PriceUnchecked { .. })
    };
    events.into_iter().map(|event| event.kind.into_kind()).filter(is_check).collect()
}

/// That a plan is refused, for a reason, with no request sent.
async fn assert_refused(cloud: &Lists, plan: Plan, policy: Policy, what: &str, why: &str) {
    let (order, engine) = cloud.buy(plan, policy).await;
    let reason = order.reason.clone().unwrap_or_default();
    assert_eq!((order.state, cloud.asked()), (OrderState::Refused, 0), "{what}: {reason}");
    assert!(cloud.cloud.resources().expect("state").is_empty(), "{what}");
    assert!(reason.contains(why), "{what}: {reason}");
    assert_eq!(told(&engine, &order).await, [], "{what}: nothing was checked");
}

#[tokio::test]
async fn a_price_that_a_provider_lists_is_checked_and_told() {
    let cloud = Lists::new(offers());
    let (order, engine) = cloud.buy(plan(), Policy::default()).await;
    assert_eq!((order.state, cloud.asked()), (OrderState::Committed, 1), "{:?}", order.reason);
    let told = told(&engine, &order).await;
    let [OrderEventKind::PricesChecked { planned, current, checks }] = &told[..] else {
        panic!("{told:?}");
    };
    let half_a_year = Money::new(dec!(66), order.plan.currency);
    assert_eq!((*planned, *current), (half_a_year, half_a_year));
    let check = &checks[0].check;
    assert_eq!((check.authority, check.day), (Some(PriceAuthority::Listing), Some(days_ago(0))));
    assert_eq!((check.monthly, check.once, check.total), (dec!(11), dec!(0), dec!(66)));
    assert_eq!(order.steps[0].lease.checked.as_ref(), Some(check));
}

/// Between plan and purchase the provider changes its list. Its own list says so, and nobody is asked for a quote.
#[tokio::test]
async fn what_has_changed_since_the_plan_is_not_asked_for() {
    type Meddle = fn(&mut Vec<Offer>);
    let changes: [(&str, Meddle, &str); 14] = [
        ("the price rises", |all| all[0].price.charge = monthly(dec!(10.000001)), "costs"),
        ("it is sold by the hour, for more", |all| all[0].price.charge = Charge::Hourly(dec!(0.02)), "costs"),
        (
            "it is sold by size",
            |all| {
                let tiers = vec![Tier { from: Decimal::ZERO, price: dec!(0.01) }];
                all[0].price.charge = Charge::PerUnit { unit: Unit::GibMonth, tiers };
            },
            "by size now",
        ),
        ("a set-up fee appears", |all| all[0].price.once = dec!(0.01), "over the horizon"),
        ("the price is absurd", |all| all[0].price.charge = monthly(dec!(0)), "absurd"),
        ("a term appears", |all| all[0].price.term_months = 12, "term is 12 months now, 0 in the plan"),
        (
            "it is sold by commitment alone",
            |all| {
                all[0].price.purchase_option = PurchaseOption::Committed(12);
                all[0].price.term_months = 12;
            },
            "not offered any more",
        ),
        (
            "it is sold as spot alone, for less",
            |all| {
                all[0].price.purchase_option = PurchaseOption::Spot;
                all[0].price.charge = monthly(dec!(1));
            },
            "not offered any more",
        ),
        (
            "a surcharge appears",
            |all| {
                Arc::make_mut(&mut all[0].surcharges).push(surcharge("licence"));
            },
            "ipv4, licence now, ipv4 in the plan",
        ),
        (
            "a surcharge becomes another one",
            |all| all[0].surcharges = Arc::new(vec![surcharge("nat")]),
            "nat now",
        ),
        (
            "a surcharge rises",
            |all| {
                Arc::make_mut(&mut all[0].surcharges)[0].price.charge = monthly(dec!(1.5));
            },
            "costs",
        ),
        ("the SKU vanishes", |all| drop(all.remove(0)), "not offered any more"),
        (
            "it is no machine any more",
            |all| {
                all[0].kind = fulcrum_core::model::OfferKind::Other;
            },
            "not offered any more",
        ),
        (
            "two offers of its name differ",
            |all| {
                let mut other = all[0].clone();
                other.price.charge = monthly(dec!(9));
                all.push(other);
            },
            "not offered any more",
        ),
    ];
    for (what, change, why) in changes {
        let cloud = Lists::new(offers());
        cloud.change(change);
        assert_refused(&cloud, plan(), Policy::default(), what, why).await;
    }
}

/// Who stays beyond the horizon pays the month.
#[tokio::test]
async fn a_cheaper_start_does_not_make_up_for_a_dearer_month() {
    let with_fee = |month, once| {
        let mut all = offers();
        (all[0].price.charge, all[0].price.once) = (monthly(month), once);
        all
    };
    let plan = plan_of(with_fee(dec!(10), dec!(30)), "web: { vcpu: 2 }");
    let cloud = Lists::new(with_fee(dec!(12), dec!(0)));
    assert_refused(&cloud, plan, Policy::default(), "cheaper over the horizon", "a month now").await;
}

/// The start is due at once, whatever it saves later.
#[tokio::test]
async fn a_cheaper_month_does_not_make_up_for_a_dearer_start() {
    let cloud = Lists::new(offers());
    cloud.change(|all| (all[0].price.charge, all[0].price.once) = (monthly(dec!(1)), dec!(54)));
    assert_refused(&cloud, plan(), Policy::default(), "cheaper by the month", "at the start now").await;
}

/// A list that never comes holds up no cancellation.
#[tokio::test]
async fn a_cancellation_is_heard_while_a_provider_does_not_tell_its_price() {
    let mut cloud = Lists::new(offers());
    cloud.hangs = true;
    let engine = cloud.engine().await;
    let order = engine.accept(plan(), Policy::default(), None).await.expect("accepted").id;
    let cancel = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        engine.ledger().request_cancel(&order, None).await.expect("noted");
    };
    let began = std::time::Instant::now();
    let (driven, ()) = futures::future::join(engine.drive(&order), cancel).await;
    assert_eq!(driven.expect("driven").state, OrderState::Refused);
    assert!(began.elapsed() < Duration::from_secs(25), "it waited for the list: {:?}", began.elapsed());
    // And so does the order's own time.
    let policy = Policy::default().with_order_timeout_s(1);
    let order = engine.accept(plan(), policy, None).await.expect("accepted").id;
    let driven = engine.drive(&order).await.expect("driven");
    assert_eq!((driven.state, cloud.asked()), (OrderState::Refused, 0), "{:?}", driven.reason);
}

#[tokio::test]
async fn a_list_that_cannot_be_had_is_no_price() {
    let cloud = Lists::new(offers());
    *cloud.offers.lock().expect("nobody panics") = None;
    assert_refused(&cloud, plan(), Policy::default(), "no list", "no present price").await;
}

#[tokio::test]
async fn a_table_tells_a_price_for_as_long_as_the_policy_says() {
    let of_table = |days: i32, valid_until: Option<jiff::civil::Date>| {
        let cloud = Lists::new(offers());
        cloud.change(|all| {
            let provenance = Arc::make_mut(&mut all[0].provenance);
            provenance.authority = PriceAuthority::Table;
            (provenance.observed, provenance.valid_until) = (days_ago(days), valid_until);
        });
        cloud
    };
    let policy = |days| Policy::default().with_max_table_age_days(days);
    assert_refused(&of_table(91, None), plan(), Policy::default(), "ninety days", "91 days old").await;
    assert_refused(&of_table(2, None), plan(), policy(1), "one day", "2 days old").await;
    assert_refused(&of_table(-3, None), plan(), Policy::default(), "days ahead", "in the future").await;
    let over = of_table(2, Some(days_ago(1)));
    assert_refused(&over, plan(), Policy::default(), "it was valid", "only until a day that has passed")
        .await;
    for (days, most) in [(90, 90), (2, 2), (400, 1000)] {
        let cloud = of_table(days, Some(days_ago(0)));
        let (order, engine) = cloud.buy(plan(), policy(most)).await;
        assert_eq!(order.state, OrderState::Committed, "{days}: {:?}", order.reason);
        let told = told(&engine, &order).await;
        let [OrderEventKind::PricesChecked { checks, .. }] = &told[..] else { panic!("{told:?}") };
        let told = (checks[0].check.authority, checks[0].check.day);
        assert_eq!(
            told,
            (Some(PriceAuthority::Table), Some(days_ago(days))),
            "never told as the provider's word"
        );
    }
}

/// A disk that is bought with a machine has a price of its own.
#[tokio::test]
async fn a_disk_that_is_bought_with_a_machine_is_checked_too() {
    let disk = |sku: &str, per_gib: Decimal| {
        let price = support::offers("alpha").remove(0).price;
        let charge = Charge::PerUnit {
            unit: Unit::GibMonth,
            tiers: vec![Tier { from: Decimal::ZERO, price: per_gib }],
        };
        ElasticDisk { sku: sku.parse().expect("a name"), price: Price { charge, ..price } }
    };
    let with_disk = |disk: Option<ElasticDisk>| {
        let mut all = offers();
        all[0].elastic_disk = disk.map(Arc::new);
        all
    };
    let planned = || {
        let plan = plan_of(with_disk(Some(disk("ssd", dec!(0.1)))), "web: { vcpu: 2, disk_gib: 140 }");
        assert!(plan.leases[0].size_gib > 0 && plan.leases[0].disk_sku.is_some(), "{:#?}", plan.leases);
        plan
    };
    for (what, now, why) in [
        ("the disk's price rises", Some(disk("ssd", dec!(0.101))), "costs"),
        ("another disk comes with it", Some(disk("hdd", dec!(0.01))), "the disk that was planned"),
        ("no disk comes with it", None, "the disk that was planned"),
    ] {
        let cloud = Lists::new(with_disk(now));
        assert_refused(&cloud, planned(), Policy::default(), what, why).await;
    }
    let cloud = Lists::new(with_disk(Some(disk("ssd", dec!(0.1)))));
    let (order, _) = cloud.buy(planned(), Policy::default()).await;
    assert_eq!((order.state, order.monthly()), (OrderState::Committed, Some(order.plan.monthly)));
}

#[tokio::test]
async fn within_the_tolerance_the_order_says_what_is_paid() {
    let dearer = |charge| {
        let cloud = Lists::new(offers());
        cloud.change(|all| all[0].price.charge = charge);
        cloud
    };
    let policy = Policy::default().with_price_tolerance_percent(dec!(10));
    let cloud = dearer(monthly(dec!(11.1)));
    let (order, engine) = cloud.buy(plan(), policy.clone()).await;
    assert_eq!(order.state, OrderState::Committed, "{:?}", order.reason);
    assert_eq!(
        (order.plan.monthly, order.monthly(), order.once()),
        (dec!(11), Some(dec!(12.1)), Some(dec!(0)))
    );
    let loaded = engine.load(&order.id).await.expect("loaded");
    assert_eq!(loaded.monthly(), Some(dec!(12.1)), "the ledger knows it too");
    assert_refused(&dearer(monthly(dec!(11.100001))), plan(), policy.clone(), "a bit more", "costs").await;
    // What it comes to is limited as a whole.
    let limited = policy.clone().with_max_total(dec!(72.5));
    let cloud = dearer(monthly(dec!(11.1)));
    assert_refused(&cloud, plan(), limited, "beyond the limit", "max_total").await;
    let limited = policy.with_max_total(dec!(72.6));
    assert_eq!(dearer(monthly(dec!(11.1))).buy(plan(), limited).await.0.state, OrderState::Committed);
}

#[tokio::test]
async fn what_nobody_can_check_is_bought_only_if_the_policy_says_so() {
    let silent = || {
        let mut cloud = Lists::new(offers());
        cloud.capabilities.calls.retain(|call| *call != Call::Offers);
        cloud
    };
    assert_refused(&silent(), plan(), Policy::default(), "no authority", "may_buy_unchecked").await;
    let policy = Policy::default().with_allow_unchecked_prices(true);
    let (order, engine) = silent().buy(plan(), policy).await;
    assert_eq!(order.state, OrderState::Committed, "{:?}", order.reason);
    let planned = Money::new(dec!(66), order.plan.currency);
    let event =
        OrderEventKind::PriceUnchecked { index: 0, provider: "alpha".parse().expect("a name"), planned };
    assert_eq!(told(&engine, &order).await, [event], "and it is never told as checked");
    let check = order.steps[0].lease.checked.as_ref().expect("noted");
    assert_eq!((check.authority, check.total), (None, dec!(66)));
}

/// What a small machine came to when it was last checked.
fn check_of_hours_ago() -> PriceCheck {
    PriceCheck {
        at: Timestamp::now().checked_sub(2.hours()).expect("a time"),
        authority: Some(PriceAuthority::Listing),
        day: None,
        valid_until: None,
        monthly: dec!(11),
        once: dec!(0),
        total: dec!(66),
    }
}

/// The order was under way and its host died; the next one comes hours later.
#[tokio::test]
async fn a_check_of_hours_ago_is_made_again_before_the_next_purchase() {
    for (price, expected) in [(dec!(10), OrderState::Committed), (dec!(10.5), OrderState::Refused)] {
        let cloud = Lists::new(offers());
        let ledger: Arc<dyn Ledger> = Arc::new(SqliteLedger::in_memory().await.expect("a ledger"));
        let order = cloud.engine_on(ledger.clone()).accept(plan(), Policy::default(), None).await;
        let mut order = order.expect("accepted");
        let claim = ledger.claim(&order.id, "a host that died", Duration::ZERO).await.expect("claimed");
        order.steps[0].lease.checked = Some(check_of_hours_ago());
        let order_state = Some((OrderState::Provisioning, None));
        let change = OrderUpdate { order: order_state, steps: order.steps.clone(), ..OrderUpdate::default() };
        ledger.write(&claim, &change).await.expect("written");
        cloud.change(|all| all[0].price.charge = monthly(price));
        let next = cloud.engine_on(ledger);
        let driven = next.drive(&order.id).await.expect("driven");
        assert_eq!(driven.state, expected, "{:?}", driven.reason);
        assert_eq!(cloud.asked(), usize::from(expected == OrderState::Committed));
        let checks = told(&next, &order).await.len();
        assert_eq!(checks, usize::from(expected == OrderState::Committed), "a check that held is told");
    }
}

/// Rate limits survive: a hundred orders at once ask for one list.
#[tokio::test]
async fn one_list_serves_all_orders_of_a_host() {
    let cloud = Lists::new(offers());
    let engine = cloud.engine().await;
    let mut ids = Vec::new();
    for _ in 0..30 {
        ids.push(engine.accept(plan(), Policy::default(), None).await.expect("accepted").id);
    }
    let driven = futures::future::join_all(ids.iter().map(|id| engine.drive(id))).await;
    assert!(driven.iter().all(|it| it.as_ref().is_ok_and(|order| order.state == OrderState::Committed)));
    assert_eq!((cloud.asked(), cloud.listed.load(Ordering::SeqCst)), (30, 1));
}

/// A limit is looked at before anything is written down.
#[tokio::test]
async fn a_plan_beyond_the_limit_is_not_accepted() {
    let cloud = Lists::new(offers());
    let engine = cloud.engine().await;
    let policy = |most: Decimal| Policy::default().with_max_total(most);
    let refused = engine.accept(plan(), policy(dec!(65.999999)), None).await;
    assert!(
        matches!(&refused, Err(PurchaseError::OverLimit(why)) if why.contains("max_total")),
        "{refused:?}"
    );
    assert!(engine.ledger().list(&Default::default()).await.expect("a list").is_empty());
    let (order, _) = cloud.buy(plan(), policy(dec!(66))).await;
    assert_eq!(order.state, OrderState::Committed, "{:?}", order.reason);
}

/// Two steps whose prices each rose within the tolerance, and together beyond the limit.
#[tokio::test]
async fn what_has_risen_since_the_order_began_counts_against_the_limit() {
    for (price, expected) in [(dec!(10.6), OrderState::Committed), (dec!(10.7), OrderState::Failed)] {
        let cloud = Lists::new(offers());
        let ledger: Arc<dyn Ledger> = Arc::new(SqliteLedger::in_memory().await.expect("a ledger"));
        let plan = plan_of(offers(), "web: { vcpu: 2, replicas: 2, per_machine: 1 }");
        assert_eq!((plan.leases.len(), plan.total()), (2, Some(dec!(132))));
        let policy = Policy::default()
            .with_max_total(dec!(140))
            .with_price_tolerance_percent(dec!(10))
            .with_concurrency(1);
        let order = cloud.engine_on(ledger.clone()).accept(plan, policy, None).await;
        let mut order = order.expect("accepted");
        let claim = ledger.claim(&order.id, "a host that died", Duration::ZERO).await.expect("claimed");
        for step in &mut order.steps {
            step.lease.checked = Some(check_of_hours_ago());
        }
        let order_state = Some((OrderState::Provisioning, None));
        let change = OrderUpdate { order: order_state, steps: order.steps.clone(), ..OrderUpdate::default() };
        ledger.write(&claim, &change).await.expect("written");
        cloud.change(|all| all[0].price.charge = monthly(price));
        let driven = cloud.engine_on(ledger).drive(&order.id).await.expect("driven");
        let reason = driven.reason.clone().unwrap_or_default();
        assert_eq!(driven.state, expected, "{price}: {reason}");
        let is_over = expected == OrderState::Failed;
        assert_eq!(reason.contains("max_total"), is_over, "{reason}");
        assert_eq!(cloud.asked(), if is_over { 1 } else { 2 });
    }
}

fn by() -> Operator {
    Operator { who: "ada".to_owned(), why: "it is too small".to_owned() }
}

/// Another size is another price.
#[tokio::test]
async fn another_size_is_had_at_a_price_that_somebody_tells_and_within_the_limit() {
    let large = Action::Resize { sku: "large".parse().expect("a name") };
    let policy = |max_total: Option<Decimal>| Policy::default().with_max_total(max_total);
    type Meddle = fn(&mut Vec<Offer>);
    let refused: [(&str, Option<Decimal>, Meddle, &str); 4] = [
        ("beyond the limit", Some(dec!(245)), |_| {}, "max_total"),
        ("it is not listed", None, |all| drop(all.pop()), "not offered any more"),
        ("its price is absurd", None, |all| all[1].price.charge = monthly(dec!(0)), "absurd"),
        ("it is sold on other terms", None, |all| all[1].price.term_months = 12, "term is 12 months now"),
    ];
    for (what, max_total, change, why) in refused {
        let cloud = Lists::new(offers());
        cloud.change(change);
        let (order, engine) = cloud.buy(plan(), policy(max_total)).await;
        assert_eq!(order.state, OrderState::Committed, "{what}: {:?}", order.reason);
        let order = engine.act(&order.id, 0, large.clone(), by()).await.expect("driven");
        let reason = order.reason.clone().unwrap_or_default();
        assert_eq!((order.state, cloud.acted.load(Ordering::SeqCst)), (OrderState::Committed, 0), "{what}");
        assert!(reason.contains(why) && reason.contains("not done"), "{what}: {reason}");
        assert_eq!((order.steps[0].lease.sku.as_str(), order.monthly()), ("small", Some(dec!(11))), "{what}");
    }
    let cloud = Lists::new(offers());
    let (order, engine) = cloud.buy(plan(), policy(Some(dec!(246)))).await;
    let order = engine.act(&order.id, 0, large, by()).await.expect("resized");
    assert_eq!((order.state, cloud.acted.load(Ordering::SeqCst)), (OrderState::Committed, 1));
    assert_eq!((order.steps[0].lease.sku.as_str(), order.monthly()), ("large", Some(dec!(41))));
    assert_eq!(order.steps[0].lease.offer, order.steps[0].lease.own_offer_id(), "later plans know what runs");
    let told = told(&engine, &order).await;
    let Some(OrderEventKind::PricesChecked { planned, current, .. }) = told.last() else {
        panic!("{told:?}")
    };
    let money = |amount| Money::new(amount, order.plan.currency);
    assert_eq!((*planned, *current), (money(dec!(66)), money(dec!(246))));
    // What is released costs nothing any more, and nor does an order that is over.
    let ended = engine.release(&order.id, 0, by()).await.expect("released");
    assert_eq!((ended.state, ended.monthly()), (OrderState::Ended, Some(dec!(0))));
}

/// What is made is what was ordered, whatever its provider calls it: anything else is ended.
#[tokio::test]
async fn another_product_than_was_ordered_is_not_kept() {
    for (swaps, why) in [(Swap::Product, "is large in "), (Swap::Place, "elsewhere")] {
        let mut cloud = Lists::new(offers());
        cloud.swaps = swaps;
        let (order, _) = cloud.buy(plan(), Policy::default()).await;
        let reason = order.reason.clone().unwrap_or_default();
        assert_eq!((order.state, cloud.asked()), (OrderState::Failed, 1), "{reason}");
        assert!(reason.contains(why) && reason.contains("was ordered"), "{reason}");
        let now = Timestamp::now();
        assert!(cloud.cloud.resources().expect("state").iter().all(|it| !it.exists(now)));
    }
}
