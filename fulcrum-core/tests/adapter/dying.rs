//! Processes that die at one of their requests: for each kind of product, at each request with an effect, just before it is sent or
//! just after. The next process has the key alone.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use fulcrum_core::{
    model::{IdempotencyKey, OrderId, Service, ServiceStatus},
    provider::{
        OperationHandle, OperationStatus, Provider, ProvisionRequest,
        http::{Method, RawRequest, RawResponse, Transport, TransportError},
    },
};
use futures::TryStreamExt;

/// How many processes died.
#[derive(Debug, Default)]
pub(crate) struct Deaths {
    pub(crate) purchases: usize,
    pub(crate) releases: usize,
}

/// The network of a process that ends after so many requests with an effect.
#[derive(Debug)]
struct Dying {
    inner: Arc<dyn Transport>,
    lives_for: usize,
    sends_the_last: bool,
    sent: AtomicUsize,
}

#[async_trait]
impl Transport for Dying {
    async fn send(&self, request: RawRequest) -> Result<RawResponse, TransportError> {
        let is_dead = self.sent.load(Ordering::SeqCst) > self.lives_for;
        let has_effect = request.method != Method::GET && !request.url.path().ends_with("/tokens");
        if is_dead || (has_effect && self.sent.fetch_add(1, Ordering::SeqCst) == self.lives_for) {
            if !is_dead && self.sends_the_last {
                self.inner.send(request).await?;
            }
            return Err(TransportError::OutcomeUnknown("the process has ended".into()));
        }
        self.inner.send(request).await
    }
}

/// A cloud over a network.
type Over<'a> = &'a dyn Fn(Arc<dyn Transport>) -> Arc<dyn Provider>;

/// Buys and releases each request, with a death at each of its requests. Nothing is made twice, and nothing is left.
pub(crate) async fn at_each_request(
    name: &str,
    requests: &[ProvisionRequest],
    network: &Arc<dyn Transport>,
    over: Over<'_>,
) -> Deaths {
    let (direct, mut deaths) = (over(network.clone()), Deaths::default());
    let before = all(&*direct).await;
    for request in requests {
        let usual = undisturbed(&*direct, request).await;
        for lives_for in 0.. {
            let mut is_over = true;
            for sends_the_last in [false, true] {
                let dying = || {
                    let (inner, sent) = (network.clone(), AtomicUsize::new(0));
                    over(Arc::new(Dying { inner, lives_for, sends_the_last, sent }))
                };
                let at = format!("{name}: {}, {lives_for}, {sends_the_last}", request.kind);
                let next = || over(network.clone());
                is_over &= one(&at, request, &usual, [&*dying(), &*dying()], &next, &mut deaths).await;
            }
            if is_over {
                break;
            }
        }
        assert_eq!(all(&*direct).await, before, "{name}: {}", request.kind);
    }
    println!(
        "figure: {name}: {} processes died in purchases, {} in releases: nothing was made twice, nothing is left",
        deaths.purchases, deaths.releases
    );
    deaths
}

fn names(service: &Service) -> Vec<String> {
    service.attributes.keys().cloned().collect()
}

/// What a service tells whose purchase nobody disturbs.
async fn undisturbed(cloud: &dyn Provider, request: &ProvisionRequest) -> Vec<String> {
    let key = IdempotencyKey::of_step(&OrderId::generate(), 0);
    let handle = cloud.provision(request, &key).await.expect("ordered");
    let Some(OperationStatus::Succeeded(Some(service))) = ended(cloud, &handle).await else {
        panic!("{}: not made", request.kind)
    };
    let handle = cloud.release(&service.id, &key).await.expect("released");
    assert_eq!(ended(cloud, &handle).await, Some(OperationStatus::Succeeded(None)));
    names(&service)
}

/// One service, bought and released by processes that may die. Whether none did.
async fn one(
    at: &str,
    request: &ProvisionRequest,
    usual: &[String],
    [buyer, releaser]: [&dyn Provider; 2],
    next: &dyn Fn() -> Arc<dyn Provider>,
    deaths: &mut Deaths,
) -> bool {
    let key = IdempotencyKey::of_step(&OrderId::generate(), 0);
    let is_bought = match buyer.provision(request, &key).await {
        Ok(handle) => ended(buyer, &handle).await.is_some(),
        Err(_) => false,
    };
    let judge = next();
    let service = continued(&*judge, request, &key).await;
    assert_eq!(service.status, ServiceStatus::Running, "{at}: {service:?}");
    let of_key: Vec<_> =
        services(&*judge).await.into_iter().filter(|it| it.key.as_ref() == Some(&key)).collect();
    assert_eq!(of_key.len(), 1, "{at}: {of_key:?}");
    let whole = judge.describe(&service.id).await.expect("described").expect("it is there");
    assert_eq!(whole.attributes, service.attributes, "{at}");
    // It tells what one tells whose purchase nobody has disturbed.
    assert_eq!(names(&service), usual, "{at}");

    let is_released = match releaser.release(&service.id, &key).await {
        Ok(handle) => ended(releaser, &handle).await.is_some(),
        Err(_) => false,
    };
    let judge = next();
    if let Some(found) = judge.find_by_key(&key).await.expect("looked up") {
        assert!(!is_released, "{at}: {found:?} is left");
        let handle = judge.release(&found.id, &key).await.unwrap_or_else(|error| panic!("{at}: {error}"));
        assert_eq!(ended(&*judge, &handle).await, Some(OperationStatus::Succeeded(None)), "{at}");
    }
    assert_eq!(judge.find_by_key(&key).await.expect("looked up"), None, "{at}");
    deaths.purchases += usize::from(!is_bought);
    deaths.releases += usize::from(!is_released);
    is_bought && is_released
}

/// Polls until the end, or until the process has died.
async fn ended(cloud: &dyn Provider, handle: &OperationHandle) -> Option<OperationStatus> {
    for _ in 0..2_000 {
        match cloud.poll(&OperationHandle::new(handle.as_str())).await {
            Ok(OperationStatus::Running { .. }) => tokio::time::sleep(Duration::from_millis(20)).await,
            Ok(over) => return Some(over),
            Err(_) => return None,
        }
    }
    panic!("{} does not end", handle.as_str());
}

/// What the next process does, which has the key alone. It looks for as long as lists lag.
async fn continued(cloud: &dyn Provider, request: &ProvisionRequest, key: &IdempotencyKey) -> Service {
    let found = match cloud.find_by_key(key).await.expect("looked up") {
        None => {
            tokio::time::sleep(cloud.capabilities().list_lag()).await;
            cloud.find_by_key(key).await.expect("looked up")
        }
        found => found,
    };
    let operation = match found {
        Some(service) if service.status == ServiceStatus::Starting => {
            cloud.resume_operation(request, &service).await.expect("asked").expect("it goes on")
        }
        Some(service) => return service,
        None => cloud.provision(request, key).await.expect("ordered"),
    };
    match ended(cloud, &operation).await {
        Some(OperationStatus::Succeeded(Some(service))) => service,
        other => panic!("{}: {other:?}", operation.as_str()),
    }
}

async fn services(cloud: &dyn Provider) -> Vec<Service> {
    cloud.services().try_collect().await.expect("services")
}

/// The ids of all that is there.
async fn all(cloud: &dyn Provider) -> Vec<String> {
    let mut ids: Vec<_> = services(cloud).await.into_iter().map(|service| service.id.to_string()).collect();
    ids.sort();
    ids
}
