//! What is done to an order after its purchase: how it is prepared, asked for as often as a person would, and judged.

use std::{
    collections::BTreeSet,
    fs, io,
    io::Write,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use crate::{
    kill_points,
    support::{CLOUDS, assert_clean, cloud, count, plan},
};
use fulcrum_core::{
    model::{Operator, Order, OrderEvent, OrderId, OrderState, Policy, ServiceStatus, StepState},
    provider::{
        Action, Call, IdempotencyClass,
        sandbox::{Fault, FaultRule, Sandbox},
    },
    purchase::{Engine, PurchaseError},
};
use jiff::Timestamp;

const LAGGING: IdempotencyClass = IdempotencyClass::Searchable { list_lag_ms: 25 };
const DELIVERY: &str = "to the billing";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Cancel,
    Act,
    Release,
    Retry,
    Settle,
    Forget,
    Deliver,
}

pub(crate) const OPERATIONS: [Operation; 7] = [
    Operation::Cancel,
    Operation::Act,
    Operation::Release,
    Operation::Retry,
    Operation::Settle,
    Operation::Forget,
    Operation::Deliver,
];

impl Operation {
    /// Whether it is done to an order that waits for a person.
    pub(crate) fn is_of_stuck(self) -> bool {
        matches!(self, Self::Retry | Self::Settle)
    }
}

fn by() -> Operator {
    Operator { who: "ada".to_owned(), why: "a test".to_owned() }
}

/// The three clouds; of an operation on a stuck order gamma refuses to end a machine: as often as it is asked in so short a
/// time, before the order is stuck.
pub(crate) fn clouds(folder: Option<&Path>, refuses: bool) -> Vec<Sandbox> {
    let build = |name: &&str| {
        let builder = cloud(name, folder).idempotency(LAGGING).list_lag(25);
        let rule = FaultRule { call: Call::Release, sku: None, nth: 1, times: 2, fault: Fault::Forbidden };
        match refuses && *name == "gamma" {
            true => builder.fault(rule).build(),
            false => builder.build(),
        }
    };
    CLOUDS.iter().map(build).collect()
}

/// An order to which something can be done.
pub(crate) async fn prepare(operation: Operation, engine: &Engine) -> OrderId {
    let is_stuck = operation.is_of_stuck();
    let policy = Policy::default().with_compensation_timeout_s(if is_stuck { 0 } else { 600 });
    let order = engine.accept(plan(), policy, None).await.expect("accepted");
    let order = engine.drive(&order.id).await.expect("driven");
    assert_eq!(order.state, OrderState::Committed, "{:?}", order.reason);
    match operation {
        Operation::Retry | Operation::Settle => {
            let stuck = engine.release(&order.id, 2, by()).await.expect("driven");
            assert_eq!(stuck.state, OrderState::Stuck, "{:?}", stuck.reason);
        }
        Operation::Forget => drop(engine.cancel(&order.id).await.expect("cancelled")),
        Operation::Cancel | Operation::Act | Operation::Release | Operation::Deliver => {}
    }
    order.id
}

/// Who takes delivered events: each one's number is written down.
#[derive(Debug, Clone)]
pub(crate) enum Billing {
    /// As durable as a host that remembers how far it has come.
    File(PathBuf),
    Memory(Arc<Mutex<Vec<u64>>>),
}

impl Billing {
    fn take(&self, events: &[OrderEvent]) -> io::Result<()> {
        kill_points::point();
        match self {
            Self::File(path) => {
                let mut file = fs::OpenOptions::new().create(true).append(true).open(path)?;
                for event in events {
                    writeln!(file, "{}", event.sequence)?;
                }
                file.sync_all()?;
            }
            Self::Memory(told) => {
                told.lock().expect("no panic").extend(events.iter().map(|event| event.sequence));
            }
        }
        kill_points::point();
        Ok(())
    }

    fn told(&self) -> Vec<u64> {
        match self {
            Self::File(path) => {
                let text = fs::read_to_string(path).expect("delivered");
                text.lines().map(|line| line.parse().expect("a number")).collect()
            }
            Self::Memory(told) => told.lock().expect("no panic").clone(),
        }
    }
}

/// Does it, or goes on with it; whether it is done.
pub(crate) async fn step(
    operation: Operation,
    engine: &Engine,
    id: &OrderId,
    billing: &Billing,
) -> Result<bool, PurchaseError> {
    if operation == Operation::Forget {
        engine.purge(Timestamp::now()).await?;
        return Ok(engine.ledger().load(id).await?.is_none());
    }
    // What was begun goes on first.
    let order = engine.drive(id).await?;
    let is_done = |order: &Order| match operation {
        Operation::Cancel => order.state == OrderState::Ended,
        Operation::Act => status_of(order) == Some(ServiceStatus::Stopped),
        Operation::Release | Operation::Retry | Operation::Settle => {
            order.state == OrderState::Committed && order.steps[2].state == StepState::Compensated
        }
        Operation::Forget | Operation::Deliver => false,
    };
    if is_done(&order) {
        return Ok(true);
    }
    let order = match operation {
        Operation::Cancel => engine.cancel(id).await?,
        Operation::Act => engine.act(id, 2, Action::Stop, by()).await?,
        Operation::Release => engine.release(id, 2, by()).await?,
        Operation::Retry => engine.retry(id, by()).await?,
        Operation::Settle => engine.settle(id, 2, by(), "ended by hand".to_owned()).await?,
        Operation::Forget => return Ok(false),
        Operation::Deliver => {
            deliver(engine, billing).await?;
            return Ok(true);
        }
    };
    Ok(is_done(&order))
}

fn status_of(order: &Order) -> Option<ServiceStatus> {
    match &order.steps[2].state {
        StepState::Committed { service } => Some(service.status),
        _ => None,
    }
}

/// Delivers what has happened so far.
async fn deliver(engine: &Engine, billing: &Billing) -> Result<(), PurchaseError> {
    let sink = |events: Vec<OrderEvent>| async move { billing.take(&events) };
    let last = engine.ledger().events(0, None, u32::MAX).await?.last().map(|it| it.sequence);
    let all = async {
        while engine.ledger().consumer_offset(DELIVERY).await.ok() != last {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    engine.deliver(DELIVERY, sink, all).await;
    Ok(())
}

/// What must be true afterwards, by the clouds' own state.
pub(crate) async fn check(
    operation: Operation,
    clouds: &[Sandbox],
    engine: &Engine,
    id: &OrderId,
    billing: &Billing,
    context: &str,
) {
    let order = engine.ledger().load(id).await.expect("read");
    let (alive, of_key) = count(clouds);
    let (state, services) = match operation {
        Operation::Cancel => (Some(OrderState::Ended), 0),
        Operation::Act | Operation::Deliver => (Some(OrderState::Committed), 3),
        Operation::Release | Operation::Retry => (Some(OrderState::Committed), 2),
        // Nobody has ended it by hand.
        Operation::Settle => (Some(OrderState::Committed), 3),
        Operation::Forget => (None, 0),
    };
    assert_eq!(order.as_ref().map(|order| order.state), state, "{context}: {order:#?}");
    assert_eq!((alive, of_key.len()), (services, services), "{context}: {of_key:?}");
    let ever: usize = clouds.iter().map(|cloud| cloud.resources().expect("state").len()).sum();
    assert_eq!(ever, 3, "{context}: something was bought again");
    let events = engine.ledger().events(0, Some(id), u32::MAX).await.expect("events");
    match order {
        None => assert!(events.is_empty(), "{context}: {events:#?}"),
        Some(_) => engine.ledger().verify(id).await.expect("whole"),
    }
    if operation == Operation::Deliver {
        let told = billing.told();
        // Who skips what is not above the highest number has each once, and in order.
        let mut highest = 0;
        let new = |number: &u64| {
            let is_new = *number > highest;
            highest = highest.max(*number);
            is_new
        };
        let once: Vec<u64> = told.iter().copied().filter(new).collect();
        let all: BTreeSet<u64> = events.iter().map(|event| event.sequence).collect();
        assert_eq!(once, all.into_iter().collect::<Vec<_>>(), "{context}: {told:?}");
    } else if operation != Operation::Settle {
        assert_clean(&engine.reconcile().await.expect("reconciled"));
    }
}
