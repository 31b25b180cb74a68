//! A plan is a stranger's document: what does not fit together, costs too much or was not approved is refused before anything
//! is written down.

use std::sync::Arc;

use fulcrum_core::{
    ledger::SqliteLedger,
    model::{LineKind, OrderEventKind, OrderState, Plan, Policy, PriceLine, PurchaseOption},
    provider::{IdempotencyClass, sandbox::Sandbox},
    purchase::{Engine, PurchaseError, PurchaseOptions},
};
use rust_decimal::Decimal;

use crate::support::{clouds, plan, providers, retotal};

async fn engine() -> (Vec<Sandbox>, Engine) {
    let clouds = clouds(None, IdempotencyClass::Key, "", &[]);
    let ledger = SqliteLedger::in_memory().await.expect("a ledger");
    let engine = Engine::new(providers(&clouds), Arc::new(ledger));
    (clouds, engine)
}

fn ever(clouds: &[Sandbox]) -> usize {
    clouds.iter().map(|cloud| cloud.resources().expect("state").len()).sum()
}

async fn is_empty(engine: &Engine) -> bool {
    engine.ledger().list(&Default::default()).await.expect("a list").is_empty()
}

type Meddle = fn(&mut Plan);

/// Each with the words by which it is refused. Written as documents and read again, as strangers' plans are.
const MEDDLED: [(&str, Meddle, &str); 24] = [
    (
        "forty copies of a lease",
        |plan| {
            let one = plan.leases[0].clone();
            plan.leases.extend(std::iter::repeat_n(one, 40));
        },
        "add up",
    ),
    ("one lease less", |plan| drop(plan.leases.pop()), "add up"),
    ("a total of nothing", |plan| plan.monthly = Decimal::ZERO, "add up"),
    ("a lowered line", |plan| plan.leases[0].lines[0].monthly = Decimal::ONE, "add up"),
    (
        "a line that is made up for by another one",
        |plan| {
            plan.leases[0].lines[0].monthly -= Decimal::from(50);
            plan.leases[1].lines[0].monthly += Decimal::from(50);
        },
        "not a valid amount of money",
    ),
    ("less over the horizon than in a month", |plan| plan.leases[0].lines[0].total = Decimal::ONE, "add up"),
    (
        "a cent less over the horizon than its months",
        |plan| plan.leases[0].lines[0].total -= Decimal::new(1, 2),
        "add up",
    ),
    (
        "more over the horizon than its months, to hide a fee",
        |plan| plan.leases[0].lines[0].total *= Decimal::TEN,
        "add up",
    ),
    ("no horizon", |plan| plan.horizon_months = None, "horizon_months"),
    ("a horizon of nothing", |plan| plan.horizon_months = Some(0), "horizon_months"),
    ("a horizon of ages", |plan| plan.horizon_months = Some(121), "horizon_months"),
    ("another SKU", |plan| plan.leases[0].sku = id("large"), "names the offer"),
    (
        "another SKU with its name",
        |plan| {
            plan.leases[0].sku = id("large");
            plan.leases[0].offer = plan.leases[0].own_offer_id();
        },
        "is priced as small and buys large",
    ),
    (
        "the name of another offer",
        |plan| plan.leases[0].offer = plan.leases[1].offer.clone(),
        "names the offer",
    ),
    ("a name of nothing", |plan| plan.leases[0].offer = id("alpha/alpha-1/free"), "names the offer"),
    ("another provider", |plan| plan.leases[0].place.provider = id("beta"), "names the offer"),
    ("another place", |plan| plan.leases[0].place.region = id("elsewhere"), "names the offer"),
    (
        "another purchase option",
        |plan| plan.leases[0].purchase_option = PurchaseOption::Committed(36),
        "names the offer",
    ),
    ("nothing on a machine", |plan| plan.leases[0].replicas.clear(), "carries nothing"),
    (
        "no replicas on a machine",
        |plan| plan.leases[0].replicas.values_mut().for_each(|count| *count = 0),
        "carries nothing",
    ),
    (
        "a disk that is not priced",
        |plan| plan.leases[0].disk_sku = Some(id("ssd")),
        "does not price the disk",
    ),
    (
        "a disk that is not bought",
        |plan| {
            let mut line = free(&plan.leases[0].lines[0]);
            line.kind = LineKind::Disk;
            plan.leases[0].lines.push(line);
        },
        "does not price the disk",
    ),
    (
        "two offers in one",
        |plan| {
            let line = free(&plan.leases[0].lines[0]);
            plan.leases[0].lines.push(line);
        },
        "prices two offers",
    ),
    (
        "no price",
        |plan| {
            plan.leases[0].lines.clear();
            retotal(plan);
        },
        "has no price",
    ),
];

fn id<T: std::str::FromStr<Err: std::fmt::Debug>>(name: &str) -> T {
    name.parse().expect("a name")
}

/// A line that costs nothing.
fn free(line: &PriceLine) -> PriceLine {
    let nothing = Decimal::ZERO;
    {
        let mut changed = line.clone();
        changed.monthly = nothing;
        changed.once = nothing;
        changed.total = nothing;
        changed
    }
}

#[tokio::test]
async fn a_plan_that_does_not_fit_together_is_not_accepted() {
    let (clouds, engine) = engine().await;
    for (what, meddle, why) in MEDDLED {
        let mut meddled = plan();
        meddle(&mut meddled);
        let text = serde_json::to_string(&meddled).expect("written");
        let refused = match Plan::from_json(&text) {
            Ok(read) => engine.accept(read, Policy::default(), None).await.expect_err(what),
            Err(error) => PurchaseError::InvalidPlan(error.to_string()),
        };
        assert!(matches!(refused, PurchaseError::InvalidPlan(_)), "{what}: {refused:?}");
        assert!(refused.to_string().contains(why), "{what}: {refused}");
    }
    assert!(is_empty(&engine).await, "something was written down");
    assert_eq!(ever(&clouds), 0);
    // It is the meddling that is refused.
    let order = engine.accept(plan(), Policy::default(), None).await.expect("accepted");
    assert_eq!(engine.drive(&order.id).await.expect("driven").state, OrderState::Committed);
}

/// A document that was lowered throughout fits together; then it is the provider's own word that counts.
#[tokio::test]
async fn a_plan_whose_prices_are_made_up_buys_nothing() {
    let lower: [(&str, Meddle); 2] = [
        ("each price", |plan| {
            let months = Decimal::from(plan.horizon_months.expect("a horizon"));
            for line in plan.leases.iter_mut().flat_map(|lease| &mut lease.lines) {
                (line.monthly, line.total) = (Decimal::ONE, months);
            }
        }),
        ("a dear SKU by the name of a cheap one", |plan| {
            plan.leases[2].sku = id("large");
            plan.leases[2].lines[0].sku = id("large");
            plan.leases[2].offer = plan.leases[2].own_offer_id();
        }),
    ];
    for (what, meddle) in lower {
        let (clouds, engine) = engine().await;
        let mut lowered = plan();
        meddle(&mut lowered);
        retotal(&mut lowered);
        let order = engine.accept(lowered, Policy::default(), None).await.expect("it fits together");
        let order = engine.drive(&order.id).await.expect("driven");
        assert_eq!((order.state, ever(&clouds)), (OrderState::Refused, 0), "{what}: {:?}", order.reason);
    }
}

#[tokio::test]
async fn only_what_was_approved_is_accepted() {
    let (_, engine) = engine().await;
    let policy = Policy::default().with_concurrency(2);
    let digest = plan().approval_digest(&policy);
    let approved = |digest: &str| PurchaseOptions { id: None, approved: Some(digest.to_owned()) };

    let mut dearer = plan();
    dearer.leases[0].settings.insert("image".to_owned(), "other".into());
    let looser = policy.clone().with_price_tolerance_percent(Decimal::TEN);
    for (what, plan, policy, digest) in [
        ("another plan", dearer, policy.clone(), digest.as_str()),
        ("another policy", plan(), looser, digest.as_str()),
        ("another digest", plan(), policy.clone(), "b3:0"),
        ("no digest at all", plan(), policy.clone(), ""),
    ] {
        let refused = engine.accept(plan, policy, approved(digest)).await.expect_err(what);
        let PurchaseError::NotApproved { approved, actual } = &refused else { panic!("{what}: {refused:?}") };
        assert_eq!((approved.as_str(), refused.code()), (digest, 209));
        assert_ne!(actual, digest, "{what}");
    }
    assert!(is_empty(&engine).await, "something was written down");

    let order = engine.accept(plan(), policy.clone(), approved(&digest)).await.expect("accepted");
    let nobody_asked = engine.accept(plan(), policy.clone(), None).await.expect("accepted");
    // The same id buys once what was approved, and nothing else.
    let again = |policy| {
        let digest = plan().approval_digest(&policy);
        engine.accept(plan(), policy, PurchaseOptions { id: Some(order.id.clone()), approved: Some(digest) })
    };
    assert_eq!(again(policy.clone()).await.expect("the same").id, order.id);
    let looser = policy.clone().with_price_tolerance_percent(Decimal::TEN);
    let taken = again(looser).await.expect_err("another policy");
    assert!(matches!(taken, PurchaseError::IdTaken(_)), "{taken:?}");
    for (order, is_approved) in [(order, true), (nobody_asked, false)] {
        let events = engine.ledger().events(0, Some(&order.id), 1).await.expect("events");
        let OrderEventKind::Order { accepted: Some(accepted), .. } = &*events[0].kind else {
            panic!("{events:?}");
        };
        assert_eq!((accepted.is_approved, &accepted.approval), (is_approved, &digest));
        engine.ledger().verify(&order.id).await.expect("a whole chain");
    }
}
