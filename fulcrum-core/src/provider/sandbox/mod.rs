//! An in-process cloud for tests and demos: seeded, with limited stock, slow operations and injected faults. Its state can live
//! in a file, so that a killed host finds the cloud as it left it.
//!
//! ```
//! use fulcrum_core::provider::{Provider, sandbox::Sandbox};
//! let sandbox = Sandbox::builder("acme".parse()?, Vec::new()).seed(7).build();
//! assert_eq!(sandbox.id().as_str(), "acme");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod attributes;
mod config;
mod duration_limits;
mod faults;
mod provider;
mod state;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use rust_decimal::Decimal;

pub use config::{SandboxConfig, SandboxError};
pub use faults::{Fault, FaultRule};
pub use state::{SandboxReservation, SandboxResource};

use super::{Accept, Base, Call, Capabilities, IdempotencyClass, RejectedRow, TestedAgainst};
use crate::model::{
    DeclaredSettings, Offer, OfferKind, PriceAuthority, ProviderId, ServiceId, SkuId, map_of,
};
use state::{CloudState, Store};

/// Called by the faults that kill the caller.
pub type CrashHook = Arc<dyn Fn() + Send + Sync>;

/// The in-process cloud. Clones share its state.
#[derive(Clone)]
pub struct Sandbox {
    inner: Arc<Inner>,
}

struct Inner {
    id: ProviderId,
    capabilities: Capabilities,
    offers: Vec<Offer>,
    /// Products of its table that it does not offer.
    rejected: Vec<RejectedRow>,
    seed: u64,
    latency: (Duration, Duration),
    operation: (Duration, Duration),
    stock: BTreeMap<SkuId, u32>,
    quota: Option<u32>,
    price_factor: BTreeMap<SkuId, Decimal>,
    /// How long a reservation lasts; zero for none.
    reservation_ttl: Duration,
    faults: Vec<FaultRule>,
    /// The idempotency class of its behaviour, which may differ from the declared one.
    actual_class: IdempotencyClass,
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

/// Builds a [`Sandbox`].
pub struct SandboxBuilder {
    inner: Inner,
}

impl fmt::Debug for SandboxBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SandboxBuilder").field("id", &self.inner.id).finish()
    }
}

/// An offer with the authority of a cloud's own listing.
fn listed_here(mut offer: Offer) -> Offer {
    if offer.provenance.authority != PriceAuthority::Listing {
        Arc::make_mut(&mut offer.provenance).authority = PriceAuthority::Listing;
    }
    offer
}

impl Sandbox {
    /// A cloud that sells these offers, without latency, limits and faults, of class `Key`. It lists the offers itself, so that
    /// their prices have the authority of a listing.
    pub fn builder(id: ProviderId, offers: Vec<Offer>) -> SandboxBuilder {
        let class = IdempotencyClass::Key;
        let offers = offers.into_iter().map(listed_here).collect();
        SandboxBuilder {
            inner: Inner {
                id,
                capabilities: capabilities(class),
                offers,
                rejected: Vec::new(),
                seed: 0,
                latency: (Duration::ZERO, Duration::ZERO),
                operation: (Duration::ZERO, Duration::ZERO),
                stock: BTreeMap::new(),
                quota: None,
                price_factor: BTreeMap::new(),
                reservation_ttl: Duration::ZERO,
                faults: Vec::new(),
                actual_class: class,
                crash: Arc::new(|| std::process::abort()),
                store: Store::Memory(Box::new(Mutex::new(CloudState::default()))),
            },
        }
    }

    /// The number of its offers.
    #[cfg_attr(not(feature = "sqlite"), allow(dead_code, reason = "counted by documents of federations"))]
    pub(crate) fn offer_count(&self) -> usize {
        self.inner.offers.len()
    }

    /// All resources ever created, released or not, for tests.
    ///
    /// # Errors
    /// The state file cannot be read.
    pub fn resources(&self) -> std::io::Result<Vec<SandboxResource>> {
        self.inner.store.with(|state| state.resources.clone())
    }

    /// The present reservations, for tests.
    ///
    /// # Errors
    /// The state file cannot be read.
    pub fn reservations(&self) -> std::io::Result<Vec<SandboxReservation>> {
        let now = jiff::Timestamp::now();
        self.inner.store.with(|state| {
            state.reservations.iter().filter(|reservation| reservation.until > now).cloned().collect()
        })
    }

    /// Attaches a part to a service, as a customer would, for tests. The service is not released while a part is attached.
    ///
    /// # Errors
    /// The state file cannot be read or written.
    pub fn attach(&self, service: &ServiceId, part: &str) -> std::io::Result<()> {
        let attach = |state: &mut CloudState| {
            state.attached.entry(service.clone()).or_default().push(part.to_owned());
        };
        self.inner.store.with(attach)
    }

    /// Detaches a part; false if it is not attached.
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

    /// Changes resources behind the library's back, as a person or another program would, for tests. To end one, set its
    /// release time: ids are never reused.
    ///
    /// # Errors
    /// The state file cannot be read or written.
    pub fn tamper(&self, change: impl FnOnce(&mut Vec<SandboxResource>)) -> std::io::Result<()> {
        self.inner.store.with(|state| change(&mut state.resources))
    }
}

fn capabilities(class: IdempotencyClass) -> Capabilities {
    use Call::{Access, Act, Describe, DryRun, FindByKey, Offers, Poll, Provision, Quote, Release, Services};
    let mut calls =
        vec![Offers, Quote, DryRun, Provision, FindByKey, Describe, Services, Act, Access, Release, Poll];
    if class == IdempotencyClass::None {
        calls.retain(|call| *call != FindByKey);
    }
    Capabilities {
        calls,
        idempotency: map_of([(Provision, class), (Act, class), (Release, IdempotencyClass::Natural)]),
        concurrency: None,
        poll_interval_ms: 10,
        list_lag_ms: Some(0),
        settings: None,
        attributes: Some(attributes::declared()),
        secrets: attributes::secrets(),
        places: None,
        kinds: None,
        tested: BTreeMap::new(),
        accept: None,
    }
}

impl SandboxBuilder {
    /// The seed of all randomness: equal seeds give equal clouds.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.inner.seed = seed;
        self
    }

    /// Products of its table that it does not offer, with reasons.
    pub(crate) fn rejected(mut self, rows: Vec<RejectedRow>) -> Self {
        self.inner.rejected = rows;
        self
    }

    /// Keeps the state in a file that several processes may share.
    #[must_use]
    pub fn state_file(mut self, path: PathBuf) -> Self {
        self.inner.store = Store::File { path, within: None };
        self
    }

    /// Keeps the state in a file that a document names; its access is checked at each use.
    pub(super) fn confined_state_file(mut self, path: PathBuf, base: Base, told: PathBuf) -> Self {
        self.inner.store = Store::File { path, within: Some(Box::new((base, told))) };
        self
    }

    /// The latency of each call, at least and at most.
    #[must_use]
    pub fn latency(mut self, least: Duration, most: Duration) -> Self {
        self.inner.latency = (least, most.max(least));
        self
    }

    /// The duration of creating and ending a service, at least and at most.
    #[must_use]
    pub fn operation(mut self, least: Duration, most: Duration) -> Self {
        self.inner.operation = (least, most.max(least));
        self
    }

    /// Against what it says that its kinds of product were tried, and what its host accepts.
    #[must_use]
    pub fn tested(mut self, tested: BTreeMap<OfferKind, TestedAgainst>, accept: Option<Accept>) -> Self {
        self.inner.capabilities = Capabilities { tested, accept, ..self.inner.capabilities };
        self
    }

    /// Its declared and actual idempotency class. In class `None` it keeps no keys.
    #[must_use]
    pub fn idempotency(mut self, class: IdempotencyClass) -> Self {
        let Capabilities { list_lag_ms, settings, tested, accept, .. } = self.inner.capabilities.clone();
        self.inner.capabilities =
            Capabilities { list_lag_ms, settings, tested, accept, ..capabilities(class) };
        self.inner.actual_class = class;
        let reservation_ttl = self.inner.reservation_ttl;
        self.reservation_ttl(reservation_ttl)
    }

    /// How long a reservation lasts; zero for a cloud without reservations.
    #[must_use]
    pub fn reservation_ttl(mut self, reservation_ttl: Duration) -> Self {
        let calls = &mut self.inner.capabilities.calls;
        calls.retain(|call| !matches!(call, Call::Reserve | Call::Unreserve));
        if !reservation_ttl.is_zero() {
            calls.extend([Call::Reserve, Call::Unreserve]);
        }
        self.inner.reservation_ttl = reservation_ttl;
        self
    }

    /// Its list lag in milliseconds; in class `Searchable` that of the class if longer.
    #[must_use]
    pub fn list_lag(mut self, ms: u64) -> Self {
        self.inner.capabilities.list_lag_ms = Some(ms);
        self
    }

    /// The settings that it knows; by default it accepts any.
    #[must_use]
    pub fn settings(mut self, names: &[&str]) -> Self {
        self.inner.capabilities.settings = Some(DeclaredSettings::of_names(names));
        self
    }

    /// The settings that it takes, with their types.
    #[must_use]
    pub fn declared_settings(mut self, settings: DeclaredSettings) -> Self {
        self.inner.capabilities.settings = Some(settings);
        self
    }

    /// The attributes that it declares to tell, whatever it tells: to test that nobody plans with others. `None` for a cloud that has
    /// not said.
    #[must_use]
    pub fn declared_attributes(mut self, attributes: Option<BTreeMap<OfferKind, BTreeSet<String>>>) -> Self {
        self.inner.capabilities.attributes = attributes;
        self
    }

    /// Its actual idempotency class, whatever it declares: to test that a false declaration is caught.
    #[must_use]
    pub fn actual_class(mut self, class: IdempotencyClass) -> Self {
        self.inner.actual_class = class;
        self
    }

    /// The stock of a SKU over all places.
    #[must_use]
    pub fn stock(mut self, sku: SkuId, left: u32) -> Self {
        self.inner.stock.insert(sku, left);
        self
    }

    /// The account's quota of services.
    #[must_use]
    pub fn quota(mut self, services: u32) -> Self {
        self.inner.quota = Some(services);
        self
    }

    /// Multiplies quoted prices, as if prices had changed since the offers were listed.
    #[must_use]
    pub fn price_factor(mut self, sku: SkuId, factor: Decimal) -> Self {
        self.inner.price_factor.insert(sku, factor);
        self
    }

    /// Injects a fault.
    #[must_use]
    pub fn fault(mut self, rule: FaultRule) -> Self {
        self.inner.faults.push(rule);
        self
    }

    /// Replaces the crash of the caller; the default aborts the process.
    #[must_use]
    pub fn on_crash(mut self, hook: CrashHook) -> Self {
        self.inner.crash = hook;
        self
    }

    /// Builds the cloud.
    pub fn build(self) -> Sandbox {
        Sandbox { inner: Arc::new(self.inner) }
    }
}
