//! What providers have and what the ledger holds are the same, or each difference is found, with evidence, and repaired
//! as the policy says. Numbers such as "pain 5" are rows of what users of comparable systems ask for, in their words.

mod kinds;
mod meddled;
mod races;
mod random;
mod repair;

use std::{sync::Arc, time::Duration};

use crate::support::{clouds, plan, providers};
use fulcrum_core::{
    ledger::{Ledger, LedgerError, SqliteLedger},
    model::{
        Finding, FindingKind, IdempotencyKey, Order, OrderEventKind, OrderState, Policy, RepairAction,
        Service, ServiceId, ServiceStatus, StepState,
    },
    provider::{
        IdempotencyClass,
        sandbox::{FaultRule, Sandbox, SandboxResource},
    },
    purchase::Engine,
};
use jiff::Timestamp;

const LAGGING: IdempotencyClass = IdempotencyClass::Searchable { list_lag_ms: 40 };

/// An engine over three clouds, the third with faults, and one order that was bought.
struct Market {
    clouds: Vec<Sandbox>,
    engine: Arc<Engine>,
    order: Order,
}

async fn market(faults: &[FaultRule]) -> Market {
    let clouds = clouds(None, LAGGING, "gamma", faults);
    let engine = Arc::new(Engine::new(providers(&clouds), Arc::new(sqlite().await)));
    let order = bought(&engine, Policy::default()).await;
    Market { clouds, engine, order }
}

async fn sqlite() -> SqliteLedger {
    SqliteLedger::in_memory().await.expect("a ledger")
}

/// Every store that is here.
async fn stores() -> Vec<Arc<dyn Ledger>> {
    let mut stores: Vec<Arc<dyn Ledger>> = vec![Arc::new(sqlite().await)];
    #[cfg(feature = "postgres")]
    if let Some(url) = crate::support::postgres::database().await {
        let ledger = fulcrum_core::ledger::PostgresLedger::with_connections(&url, 4).await;
        stores.push(Arc::new(ledger.expect("a ledger")));
    }
    stores
}

/// An order, and its services in every list.
async fn bought(engine: &Engine, policy: Policy) -> Order {
    let order = engine.accept(plan(), policy, None).await.expect("accepted");
    let order = engine.drive(&order.id).await.expect("driven");
    assert_eq!(order.state, OrderState::Committed, "{:?}", order.reason);
    tokio::time::sleep(LAGGING.list_lag() + Duration::from_millis(5)).await;
    order
}

/// What a step of a committed order holds.
fn held(order: &Order, step: usize) -> Service {
    match &order.steps[step].state {
        StepState::Committed { service } => service.clone().into_inner(),
        other => panic!("{other:?}"),
    }
}

impl Market {
    fn cloud(&self, service: &Service) -> &Sandbox {
        cloud_of(&self.clouds, service)
    }

    /// Changes a service behind the library's back.
    fn change(&self, service: &Service, change: impl FnOnce(&mut SandboxResource)) {
        tamper(&self.clouds, service, change);
    }

    /// Waits until nobody has the order's claim: what died gives it back by and by.
    async fn is_let_go(&self) {
        let ledger = self.engine.ledger();
        loop {
            match ledger.claim(&self.order.id, "the test", Duration::from_secs(60)).await {
                Ok(claim) => return ledger.relinquish(&claim).await.expect("released"),
                Err(LedgerError::Claimed { .. }) => tokio::time::sleep(Duration::from_millis(5)).await,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// What the order's steps were told by scans.
    async fn told(&self) -> Vec<(Finding, RepairAction)> {
        let events = self.engine.ledger().events(0, Some(&self.order.id), 10_000).await.expect("events");
        self.engine.ledger().verify(&self.order.id).await.expect("whole");
        let told = events.into_iter().filter_map(|event| match event.kind.into_kind() {
            OrderEventKind::Reconciled { finding, action } => Some((finding, action)),
            _ => None,
        });
        told.collect()
    }
}

fn cloud_of<'a>(clouds: &'a [Sandbox], service: &Service) -> &'a Sandbox {
    use fulcrum_core::provider::Provider;
    clouds.iter().find(|cloud| *cloud.id() == service.provider).expect("its cloud")
}

fn tamper(clouds: &[Sandbox], service: &Service, change: impl FnOnce(&mut SandboxResource)) {
    let tampered = cloud_of(clouds, service).tamper(|resources| {
        change(resources.iter_mut().find(|resource| resource.service.id == service.id).expect("it exists"));
    });
    tampered.expect("tampered");
}

/// Another service like this one, with a key, that appears in lists after so many milliseconds.
fn copy(clouds: &[Sandbox], of: &Service, key: Option<IdempotencyKey>, after_ms: i64) -> Service {
    let mut copied = of.clone();
    let tampered = cloud_of(clouds, of).tamper(|resources| {
        let id = ServiceId::new(format!("{}-copy-{}", of.provider, resources.len() + 1)).expect("a name");
        copied = {
            let mut changed = of.clone();
            changed.id = id;
            changed.key = key;
            changed.status = ServiceStatus::Running;
            changed
        };
        resources.push(SandboxResource {
            service: copied.clone(),
            size_gib: 0,
            visible_at: Timestamp::now() + jiff::SignedDuration::from_millis(after_ms),
            released_at: None,
        });
    });
    tampered.expect("tampered");
    copied
}

fn exists(clouds: &[Sandbox], service: &Service) -> bool {
    let all = cloud_of(clouds, service).resources().expect("readable");
    let now = Timestamp::now();
    all.iter().any(|resource| resource.service.id == service.id && resource.exists(now))
}

/// What was found, in short.
fn short(findings: &[Finding]) -> Vec<(FindingKind, &ServiceId)> {
    findings.iter().map(|finding| (finding.kind, &finding.service)).collect()
}
