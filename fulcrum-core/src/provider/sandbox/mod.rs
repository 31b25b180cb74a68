//! An in-process cloud for tests and demos: seeded, with stock that runs out, operations that take time, and
//! faults on request. Its state can live in a file, so that a host that was killed finds the cloud as it left it.
//!
//! ```
//! use fulcrum_core::provider::{Provider, sandbox::Sandbox};
//! let sandbox = Sandbox::builder("acme".parse()?, Vec::new()).seed(7).build();
//! assert_eq!(sandbox.id().as_str(), "acme");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bounded;
mod config;
mod faults;
mod provider;
mod state;

use std::{
    collections::BTreeMap,
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use rust_decimal::Decimal;

pub use config::{SandboxConfig, SandboxError};
pub use faults::{Fault, FaultRule};
pub use state::{SandboxHold, SandboxResource};

use super::{Base, Call, Capabilities, IdempotencyClass};
use crate::model::{Offer, PriceAuthority, ProviderId, ServiceId, SkuId};
use state::{CloudState, Store};

/// What happens when a fault says that the caller dies.
pub type CrashHook = Arc<dyn Fn() + Send + Sync>;

/// The in-process cloud. Clones are the same cloud.
#[derive(Clone)]
pub struct Sandbox {
    inner: Arc<Inner>,
}

struct Inner {
    id: ProviderId,
    capabilities: Capabilities,
    offers: Vec<Offer>,
    seed: u64,
    latency: (Duration, Duration),
    operation: (Duration, Duration),
    stock: BTreeMap<SkuId, u32>,
    quota: Option<u32>,
    price_factor: BTreeMap<SkuId, Decimal>,
    /// How long something is held that is asked to be.
    holds_for: Duration,
    faults: Vec<FaultRule>,
    /// What it does, where that differs from what it declares.
    behaves: IdempotencyClass,
    crash: CrashHook,
    store: Store,
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandbox")
            .field("id", &self.inner.id)
            .field("offers", &self.inner.offers.len())
            .finish()
    }
}

/// Sets a [`Sandbox`] up.
pub struct SandboxBuilder {
    inner: Inner,
}

impl fmt::Debug for SandboxBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SandboxBuilder").field("id", &self.inner.id).finish()
    }
}

/// An offer as a cloud's own API tells it.
fn listed_here(mut offer: Offer) -> Offer {
    if offer.provenance.authority != PriceAuthority::Listing {
        Arc::make_mut(&mut offer.provenance).authority = PriceAuthority::Listing;
    }
    offer
}

impl Sandbox {
    /// A cloud that sells these offers, at once, without limits and without faults, and de-duplicates by key. It lists them
    /// itself, so that their prices have no table's authority any more.
    pub fn builder(id: ProviderId, offers: Vec<Offer>) -> SandboxBuilder {
        let class = IdempotencyClass::Key;
        let offers = offers.into_iter().map(listed_here).collect();
        SandboxBuilder {
            inner: Inner {
                id,
                capabilities: capabilities(class),
                offers,
                seed: 0,
                latency: (Duration::ZERO, Duration::ZERO),
                operation: (Duration::ZERO, Duration::ZERO),
                stock: BTreeMap::new(),
                quota: None,
                price_factor: BTreeMap::new(),
                holds_for: Duration::ZERO,
                faults: Vec::new(),
                behaves: class,
                crash: Arc::new(|| std::process::abort()),
                store: Store::Memory(Box::new(Mutex::new(CloudState::default()))),
            },
        }
    }

    /// How many offers it has.
    #[cfg_attr(not(feature = "sqlite"), allow(dead_code, reason = "counted by documents of federations"))]
    pub(crate) fn listed(&self) -> usize {
        self.inner.offers.len()
    }

    /// All that was ever made here, released or not, for tests to check.
    ///
    /// # Errors
    /// The state file cannot be read.
    pub fn resources(&self) -> std::io::Result<Vec<SandboxResource>> {
        self.inner.store.with(|state| state.resources.clone())
    }

    /// What is held at the moment, for tests to check.
    ///
    /// # Errors
    /// The state file cannot be read.
    pub fn holds(&self) -> std::io::Result<Vec<SandboxHold>> {
        let now = jiff::Timestamp::now();
        self.inner.store.with(|state| state.holds.iter().filter(|hold| hold.until > now).cloned().collect())
    }

    /// Attaches something to a service, as its customer would, for tests: until it is detached, the service is not released.
    ///
    /// # Errors
    /// The state file cannot be read or written.
    pub fn attach(&self, service: &ServiceId, part: &str) -> std::io::Result<()> {
        let attach = |state: &mut CloudState| {
            state.attached.entry(service.clone()).or_default().push(part.to_owned());
        };
        self.inner.store.with(attach)
    }

    /// Takes off what [`attach`](Self::attach) has attached; whether it was there.
    ///
    /// # Errors
    /// The state file cannot be read or written.
    pub fn detach(&self, service: &ServiceId, part: &str) -> std::io::Result<bool> {
        let detach = |state: &mut CloudState| {
            let Some(parts) = state.attached.get_mut(service) else { return false };
            let before = parts.len();
            parts.retain(|it| it != part);
            parts.len() < before
        };
        self.inner.store.with(detach)
    }

    /// Changes what exists behind the library's back, as a person or another program would, for tests. To end something,
    /// set when it was released: a name is never used twice.
    ///
    /// # Errors
    /// The state file cannot be read or written.
    pub fn tamper(&self, change: impl FnOnce(&mut Vec<SandboxResource>)) -> std::io::Result<()> {
        self.inner.store.with(|state| change(&mut state.resources))
    }
}

fn capabilities(class: IdempotencyClass) -> Capabilities {
    use Call::{Act, Describe, FindByKey, Offers, Poll, Provision, Quote, Release, Services};
    let mut calls = vec![Offers, Quote, Provision, FindByKey, Describe, Services, Act, Release, Poll];
    if class == IdempotencyClass::None {
        calls.retain(|call| *call != FindByKey);
    }
    Capabilities {
        calls,
        idempotency: BTreeMap::from([(Provision, class), (Act, class), (Release, IdempotencyClass::Natural)]),
        concurrency: None,
        poll_interval_ms: 10,
        list_lag_ms: Some(0),
        settings: None,
    }
}

impl SandboxBuilder {
    /// Where chance starts: equal seeds give equal clouds.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.inner.seed = seed;
        self
    }

    /// Keeps the state in a file, which other processes may use at the same time.
    #[must_use]
    pub fn state_file(mut self, path: PathBuf) -> Self {
        self.inner.store = Store::File { path, within: None };
        self
    }

    /// Keeps the state in a file that a document names, as long as that may be written.
    pub(super) fn state_within(mut self, path: PathBuf, base: Base, told: PathBuf) -> Self {
        self.inner.store = Store::File { path, within: Some(Box::new((base, told))) };
        self
    }

    /// How long each call takes, at least and at most.
    #[must_use]
    pub fn latency(mut self, least: Duration, most: Duration) -> Self {
        self.inner.latency = (least, most.max(least));
        self
    }

    /// How long making and ending a service takes, at least and at most.
    #[must_use]
    pub fn operation(mut self, least: Duration, most: Duration) -> Self {
        self.inner.operation = (least, most.max(least));
        self
    }

    /// What it declares of repeated calls, and does. In class `None` it keeps no keys.
    #[must_use]
    pub fn idempotency(mut self, class: IdempotencyClass) -> Self {
        let Capabilities { list_lag_ms, settings, .. } = self.inner.capabilities.clone();
        self.inner.capabilities = Capabilities { list_lag_ms, settings, ..capabilities(class) };
        self.inner.behaves = class;
        let holds_for = self.inner.holds_for;
        self.reserves(holds_for)
    }

    /// Lets it hold things for so long for who asks; zero for a cloud that does not.
    #[must_use]
    pub fn reserves(mut self, holds_for: Duration) -> Self {
        let calls = &mut self.inner.capabilities.calls;
        calls.retain(|call| !matches!(call, Call::Reserve | Call::Unreserve));
        if !holds_for.is_zero() {
            calls.extend([Call::Reserve, Call::Unreserve]);
        }
        self.inner.holds_for = holds_for;
        self
    }

    /// How long its look-ups and lists lag, in milliseconds; in class `Searchable` that of the class if it is longer.
    #[must_use]
    pub fn list_lag(mut self, ms: u64) -> Self {
        self.inner.capabilities.list_lag_ms = Some(ms);
        self
    }

    /// The settings that it takes; else any.
    #[must_use]
    pub fn settings(mut self, names: &[&str]) -> Self {
        self.inner.capabilities.settings = Capabilities::takes(names);
        self
    }

    /// What it does with repeated calls, whatever it declares: to test that a lie is caught.
    #[must_use]
    pub fn behaves(mut self, class: IdempotencyClass) -> Self {
        self.inner.behaves = class;
        self
    }

    /// How many of a product are left, over all places.
    #[must_use]
    pub fn stock(mut self, sku: SkuId, left: u32) -> Self {
        self.inner.stock.insert(sku, left);
        self
    }

    /// How many services the account may have at once.
    #[must_use]
    pub fn quota(mut self, services: u32) -> Self {
        self.inner.quota = Some(services);
        self
    }

    /// Multiplies the price that `quote` tells: prices have changed since the offers were listed.
    #[must_use]
    pub fn price_factor(mut self, sku: SkuId, factor: Decimal) -> Self {
        self.inner.price_factor.insert(sku, factor);
        self
    }

    /// Adds a fault.
    #[must_use]
    pub fn fault(mut self, rule: FaultRule) -> Self {
        self.inner.faults.push(rule);
        self
    }

    /// What to do when a fault says that the caller dies; the default aborts the process.
    #[must_use]
    pub fn on_crash(mut self, hook: CrashHook) -> Self {
        self.inner.crash = hook;
        self
    }

    /// The cloud.
    pub fn build(self) -> Sandbox {
        Sandbox { inner: Arc::new(self.inner) }
    }
}
