//! What a cloud answers, to each call of each adapter.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, OnceLock, atomic::Ordering},
    time::Duration,
};

use fulcrum_core::{
    model::{Action, IdempotencyKey, Offer, Place, Service, ServiceId, ServiceStatus},
    provider::{
        Call, OfferFilter, OperationHandle, OperationStatus, Provider, ProvisionRequest, UsagePeriod,
        layers::Redact,
    },
};
use futures::{StreamExt, TryStreamExt};

use super::{
    draw::Draw,
    fault, paused,
    wire::{BASE, Wire},
    words,
};
use crate::imitation::{Api, World};

/// Calls of one input.
const CALLS: usize = 24;
/// Requests for one call: more than an honest answer ever leads to, and fewer than a list may have pages.
const MOST_REQUESTS: usize = 400;
const KEY: &str = "f-018f0000-0000-7000-8000-000000000001-0";

/// The adapter's folder, with its secret.
fn folder(api: &Api) -> PathBuf {
    static FOLDERS: Mutex<BTreeMap<&str, Arc<tempfile::TempDir>>> = Mutex::new(BTreeMap::new());
    let mut folders = FOLDERS.lock().expect("nobody panics");
    let folder = folders.entry(api.name).or_insert_with(|| {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("secret"), super::SECRET).expect("a file");
        Arc::new(folder)
    });
    folder.path().to_owned()
}

/// What the cloud sells when it is well.
fn offers(api: &Api) -> Vec<Offer> {
    type Known = BTreeMap<&'static str, Arc<OnceLock<Vec<Offer>>>>;
    static KNOWN: Mutex<Known> = Mutex::new(BTreeMap::new());
    let known = KNOWN.lock().expect("nobody panics").entry(api.name).or_default().clone();
    let list = || {
        let provider = (api.over)(&folder(api), BASE, Wire::new(*api, World::default(), &[]));
        let offers = paused(async { provider.offers(&OfferFilter::default()).try_collect::<Vec<_>>().await });
        offers.expect("a cloud that is well lists its offers")
    };
    known.get_or_init(list).clone()
}

/// What is known so far of a cloud, and may be asked for.
struct Caller<'a, 'b> {
    at: String,
    provider: Arc<dyn Provider>,
    wire: Arc<Wire>,
    draw: &'a mut Draw<'b>,
    offers: Vec<Offer>,
    keys: Vec<IdempotencyKey>,
    services: Vec<Service>,
    handles: Vec<OperationHandle>,
    /// Calls that succeeded.
    well: usize,
    /// Whether an error had the cloud's own name of the request, and whether one said how long to wait.
    has_request_id: bool,
    has_wait: bool,
}

/// Calls an adapter again and again while its cloud answers as the input says.
pub fn answers(api: Api, bytes: &[u8]) -> bool {
    let mut draw = Draw::new(bytes);
    let calls = draw.bytes(200);
    let mut world = World::default();
    let flags = draw.byte();
    world.hides = flags & 1 != 0;
    world.keeps = flags & 2 != 0;
    world.is_cell_down = flags & 4 != 0;
    world.answers_in_part = flags & 8 != 0;
    let mut rest = Vec::new();
    while !draw.is_empty() {
        rest.push(draw.byte());
    }
    let wire = Wire::new(api, world, &rest);
    let provider = (api.over)(&folder(&api), BASE, wire.clone());
    let mut draw = Draw::new(calls);
    let caller = Caller {
        at: api.name.to_owned(),
        provider,
        wire,
        draw: &mut draw,
        offers: offers(&api),
        keys: vec![KEY.parse().expect("a key")],
        services: Vec::new(),
        handles: Vec::new(),
        well: 0,
        has_request_id: false,
        has_wait: false,
    };
    paused(caller.run())
}

impl Caller<'_, '_> {
    async fn run(mut self) -> bool {
        // What is asked first is what a purchase asks, so that there is something to ask about.
        for call in [Call::Offers, Call::Provision, Call::Poll, Call::FindByKey, Call::Describe] {
            self.once(call).await;
        }
        for _ in 0..CALLS {
            let call = *self.draw.choose(&[
                Call::Release,
                Call::Poll,
                Call::Services,
                Call::FindByKey,
                Call::Describe,
                Call::Provision,
                Call::ResumeOperation,
                Call::Act,
                Call::Offers,
                Call::Quote,
                Call::Reserve,
                Call::Usage,
            ]);
            if self.draw.is_empty() {
                break;
            }
            self.once(call).await;
        }
        for call in [
            Call::Services,
            Call::Act,
            Call::ResumeOperation,
            Call::Release,
            Call::Poll,
            Call::DryRun,
            Call::Access,
        ] {
            self.once(call).await;
        }
        if !self.at.starts_with("openstack") {
            let strayed = self.wire.strayed.lock().expect("nobody panics");
            assert!(strayed.is_empty(), "{}: asked {strayed:?}", self.at);
        }
        fault::meet([self.well > 6, self.has_wait, self.has_request_id, self.handles.len() > 1]);
        self.well > 3
    }

    async fn once(&mut self, call: Call) {
        let before = self.wire.requests.load(Ordering::Relaxed);
        let began = tokio::time::Instant::now();
        self.make(call).await;
        let requests = self.wire.requests.load(Ordering::Relaxed) - before;
        // A broker that does not tell an instance's product is asked to end one of each product.
        let is_each_product = self.at.starts_with("osb") && matches!(call, Call::Release | Call::Poll);
        let most = if is_each_product { 20 * MOST_REQUESTS } else { MOST_REQUESTS };
        assert!(requests <= most, "{}: {call} made {requests} requests", self.at);
        let took = began.elapsed();
        assert!(took <= Duration::from_secs(3_600), "{}: {call} took {took:?}", self.at);
    }

    fn note<T>(&mut self, outcome: fulcrum_core::provider::Result<T>) -> Option<T> {
        match outcome {
            Ok(it) => {
                self.well += 1;
                Some(it)
            }
            Err(error) => {
                words::of_error(&self.at, &error);
                self.has_request_id |= error.request_id.is_some_and(|id| !id.is_empty());
                self.has_wait |= error.kind.retry_after().is_some();
                None
            }
        }
    }

    fn key(&mut self) -> IdempotencyKey {
        if self.draw.chance(24)
            && let Ok(key) = IdempotencyKey::new(self.draw.text(80))
        {
            self.keys.push(key);
        }
        self.keys[self.draw.below(self.keys.len())].clone()
    }

    fn service(&mut self) -> ServiceId {
        if self.draw.chance(24)
            && let Ok(id) = ServiceId::new(self.draw.text(80))
        {
            return id;
        }
        match self.services.is_empty() {
            true => ServiceId::new("7").expect("a name"),
            false => self.services[self.draw.below(self.services.len())].id.clone(),
        }
    }

    fn handle(&mut self) -> OperationHandle {
        let known = match self.handles.is_empty() {
            true => OperationHandle::new(""),
            false => self.handles[self.handles.len() - 1 - self.draw.below(self.handles.len())].clone(),
        };
        match self.draw.below(8) {
            6 => OperationHandle::new(self.draw.text(160)),
            7 => {
                let text = known.as_str();
                let at = self.draw.below(text.len() + 1);
                let (head, tail) = text.split_at(text.floor_char_boundary(at));
                OperationHandle::new(format!("{head}{}{tail}", self.draw.text(40)))
            }
            _ => known,
        }
    }

    fn request(&mut self) -> Option<ProvisionRequest> {
        if self.offers.is_empty() {
            return None;
        }
        let offer = &self.offers[self.draw.below(self.offers.len())];
        let gib = if offer.elastic_disk.is_some() { 20 } else { 0 };
        let mut request = ProvisionRequest::of(offer, gib, "web");
        if self.draw.chance(48) {
            let declared = self.provider.capabilities().settings.iter();
            let names: Vec<String> =
                declared.flat_map(|all| all.iter()).map(|setting| setting.name.clone()).collect();
            for _ in 0..self.draw.within(1..4) {
                let name = match names.is_empty() || self.draw.chance(16) {
                    true => self.draw.text(20),
                    false => self.draw.choose(&names).clone(),
                };
                request.settings.insert(name, super::edit::value(self.draw));
            }
        }
        if self.draw.chance(24) {
            request.name = self.draw.text(80);
        }
        if self.draw.chance(24) {
            request.size_gib = self.draw.number().into();
        }
        Some(request)
    }

    /// A service as a ledger may have it.
    fn whole(&mut self, request: &ProvisionRequest) -> Service {
        if let Some(known) = self.services.last() {
            return known.clone();
        }
        let place: Place = request.place.clone();
        {
            let mut service = Service::new(
                self.service(),
                place.provider.clone(),
                Some(self.key()),
                request.sku.clone(),
                place,
                ServiceStatus::Starting,
            );
            service.attributes = BTreeMap::from([("name".to_owned(), request.name.clone())]);
            service
        }
    }

    fn keep(&mut self, service: Option<Service>) {
        if let Some(service) = service {
            words::are_readable(&self.at, service.id.as_str());
            self.services.push(service);
        }
    }

    async fn make(&mut self, call: Call) {
        let provider = self.provider.clone();
        match call {
            Call::Offers => {
                for offer in provider.offers(&OfferFilter::default()).collect::<Vec<_>>().await {
                    if let Some(offer) = self.note(offer) {
                        self.offers.push(offer);
                    }
                }
                self.offers.truncate(64);
                for row in provider.rejected() {
                    words::are_readable(&self.at, &row.row);
                    words::are_readable(&self.at, &row.reason);
                }
            }
            Call::Services => {
                for service in provider.services().collect::<Vec<_>>().await {
                    let service = self.note(service);
                    self.keep(service);
                }
                self.services.truncate(64);
            }
            Call::Usage => {
                let period = UsagePeriod { from: jiff::Timestamp::UNIX_EPOCH, to: jiff::Timestamp::now() };
                for record in provider.usage(&period).collect::<Vec<_>>().await {
                    self.note(record);
                }
            }
            Call::DryRun => {
                let Some(request) = self.request() else { return };
                let refused = provider.dry_run(&[request]).await;
                for refusal in self.note(refused).into_iter().flatten() {
                    words::of_error(&self.at, &refusal.error);
                }
            }
            Call::Quote | Call::Reserve | Call::Unreserve => {
                let Some(request) = self.request() else { return };
                let key = self.key();
                let (quoted, held) = (provider.quote(&request).await, provider.reserve(&request, &key).await);
                self.note(quoted);
                self.note(held);
                let given_back = provider.unreserve(&key).await;
                self.note(given_back);
            }
            Call::Provision => {
                let Some(request) = self.request() else { return };
                let key = self.key();
                let begun = provider.provision(&request, &key).await;
                let begun = self.note(begun);
                self.handles.extend(begun);
            }
            Call::ResumeOperation => {
                let Some(request) = self.request() else { return };
                let service = self.whole(&request);
                let resumed = provider.resume_operation(&request, &service).await;
                let resumed = self.note(resumed).flatten();
                self.handles.extend(resumed);
            }
            Call::FindByKey => {
                let key = self.key();
                let found = provider.find_by_key(&key).await;
                let found = self.note(found).flatten();
                self.keep(found);
            }
            Call::Describe => {
                let service = self.service();
                let found = provider.describe(&service).await;
                let found = self.note(found).flatten();
                self.keep(found);
            }
            Call::Act => {
                let action = match self.draw.below(4) {
                    0 => Action::Stop,
                    1 => Action::Start,
                    2 => match self.offers.is_empty() {
                        true => return,
                        false => Action::Resize {
                            sku: self.offers[self.draw.below(self.offers.len())].sku.clone(),
                        },
                    },
                    _ => Action::Other { name: self.draw.text(20) },
                };
                let (service, key) = (self.service(), self.key());
                let begun = provider.act(&service, &action, &key).await;
                let begun = self.note(begun);
                self.handles.extend(begun);
            }
            Call::Access => {
                let service = self.service();
                let opened = provider.access(&service).await;
                if let Some(access) = self.note(opened) {
                    access.names().for_each(|name| words::are_readable(&self.at, name));
                }
            }
            Call::Release => {
                let (service, key) = (self.service(), self.key());
                let begun = provider.release(&service, &key).await;
                let begun = self.note(begun);
                self.handles.extend(begun);
            }
            Call::Poll => {
                // A reason of a failure is the cloud's own text until it has passed this layer.
                let shown = Redact::new(provider);
                for _ in 0..3 {
                    let handle = self.handle();
                    let status = shown.poll(&handle).await;
                    match self.note(status) {
                        Some(OperationStatus::Succeeded(service)) => {
                            self.keep(service);
                            return;
                        }
                        Some(OperationStatus::Failed { reason, .. }) => {
                            words::are_readable(&self.at, &reason);
                            return;
                        }
                        Some(OperationStatus::Running { .. }) => {}
                        None => return,
                    }
                }
            }
        }
    }
}
