//! Clouds that speak EC2's query API, signed by version 4.
//!
//! See `docs/adapters/ec2.md`.

mod client;
mod config;
mod dry_run;
mod endpoints;
mod errors;
mod handle;
mod kinds;
mod lifecycle;
mod offers;
mod official_images;
mod provision;
mod query_api;
mod resources;
mod s3;
mod services;
mod sign;
mod subnets;
mod tags;
mod volumes;
mod wire;

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;
use futures::{FutureExt, StreamExt, future, stream};

use self::{
    client::Cloud,
    handle::{Handle, ResourceRef},
};
use crate::{
    model::{
        Action, IdempotencyKey, OfferKind, ProviderId, RegionId, Service, ServiceId, ServiceStatus, map_of,
    },
    provider::{
        Access, Call, Capabilities, ErrorKind, IdempotencyClass, OfferFilter, OfferStream, OperationHandle,
        OperationStatus, Provider, ProvisionRequest, Refusal, RejectedRow, Result, ServiceStream,
        TestedAgainst,
        adapters::{self, common::CallErrors, kit::Kit, operation_owner::OperationOwner},
        check_settings,
        http::{Transport, bounded},
    },
};

pub use config::{ClientToken, Ec2Config};
pub use kinds::all_kinds;
pub use provision::FIELDS;

/// One cloud that speaks EC2's query API, as one pair of keys sees it.
#[derive(Debug)]
pub struct Ec2 {
    capabilities: Capabilities,
    cloud: Arc<Cloud>,
    kit: Kit<Cloud>,
}

/// The adapter's capabilities, by the cloud's treatment of a `ClientToken`, its list lag, and the kinds of product.
pub fn capabilities(
    client_token: ClientToken,
    list_lag_ms: u64,
    kinds: &BTreeSet<OfferKind>,
) -> Capabilities {
    // Requests that make other products take no token.
    let is_by_token = kinds.iter().all(|kind| *kind == OfferKind::Machine);
    let class = match client_token {
        ClientToken::Honoured if is_by_token => IdempotencyClass::Key,
        ClientToken::Honoured | ClientToken::Ignored => IdempotencyClass::Searchable { list_lag_ms },
    };
    Capabilities {
        calls: vec![
            Call::Offers,
            Call::DryRun,
            Call::Provision,
            Call::ResumeOperation,
            Call::FindByKey,
            Call::Describe,
            Call::Services,
            Call::Act,
            Call::Access,
            Call::Release,
            Call::Poll,
        ],
        // `Act` has no class: a reboot that is requested twice is done twice.
        idempotency: map_of([(Call::Provision, class), (Call::Release, IdempotencyClass::Natural)]),
        concurrency: Some(8),
        poll_interval_ms: 1000,
        list_lag_ms: Some(list_lag_ms),
        settings: Some(kinds::settings().into_iter().collect()),
        attributes: Some(kinds::attributes()),
        // With a secret for passwords: see `Ec2::new`.
        secrets: map_of([]),
        places: None,
        kinds: Some(kinds.clone()),
        tested: kinds.iter().map(|kind| (*kind, TestedAgainst::Server)).collect(),
        accept: None,
    }
}

impl Ec2 {
    fn new(cloud: Cloud) -> Self {
        let places = cloud.regions().into_iter().map(|region| region.to_string()).collect();
        let capabilities = Capabilities {
            places: Some(places),
            secrets: kinds::secrets(&cloud),
            accept: cloud.config.accept,
            ..capabilities(cloud.config.client_token, cloud.config.list_lag_ms, &cloud.config.kinds)
                .with_public_ipv4(cloud.config.public_ip, true)
        };
        let cloud = Arc::new(cloud);
        let kit = Kit::new(cloud.clone(), kinds::products(), cloud.config.kinds.clone());
        Self { capabilities, cloud, kit }
    }

    /// The same adapter over another transport, such as a recording.
    #[must_use]
    pub fn with_transport(self, transport: Arc<dyn Transport>) -> Self {
        Self::new(self.cloud.with_transport(&transport))
    }

    /// The resource of a service. None if the id is not one of this adapter's.
    fn resource_ref(&self, service: &ServiceId, call: Call) -> Result<Option<ResourceRef>> {
        let target = ResourceRef::parse(service.as_str());
        target.map(|target| self.check_region(target, call)).transpose()
    }

    /// The volume of a service that is a volume without its machine.
    fn orphaned_volume(&self, service: &ServiceId, call: Call) -> Result<Option<ResourceRef>> {
        let target = ResourceRef::parse_volume(service.as_str());
        target.map(|target| self.check_region(target, call)).transpose()
    }

    /// Checks that a resource's region is configured. A resource in another region is not gone.
    fn check_region(&self, target: ResourceRef, call: Call) -> Result<ResourceRef> {
        if self.cloud.place(&target.region).is_some() {
            return Ok(target);
        }
        let region = &target.region;
        Err(self.cloud.invalid_request(call, format!("{region} is not configured; add it to `regions`")))
    }
}

#[async_trait]
impl Provider for Ec2 {
    fn id(&self) -> &ProviderId {
        self.cloud.id()
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn redacted(&self, text: &str, is_for_people: bool) -> String {
        self.cloud.redacted(text, is_for_people)
    }

    fn offers(&self, filter: &OfferFilter) -> OfferStream {
        let (cloud, filter) = (self.cloud.clone(), filter.clone());
        let list = async move {
            stream::iter(match offers::offers(&cloud, &filter).await {
                Ok(offers) => offers.into_iter().map(Ok).collect(),
                Err(error) => vec![Err(error)],
            })
        };
        bounded(self.id(), Call::Offers, list.flatten_stream())
    }

    fn rejected(&self) -> Vec<RejectedRow> {
        self.cloud.rejected()
    }

    async fn dry_run(&self, requests: &[ProvisionRequest]) -> Result<Vec<Refusal>> {
        adapters::dry_run::dry_run(self, requests).await
    }

    async fn provision(&self, request: &ProvisionRequest, key: &IdempotencyKey) -> Result<OperationHandle> {
        let is_known = check_settings(request, &self.capabilities);
        is_known.map_err(|kind| self.cloud.error(Call::Provision, kind))?;
        if self.kit.sells(request) {
            return self.kit.provision(request, key).await;
        }
        provision::provision(&self.cloud, request, key).await
    }

    /// `poll` must run until the machine is there: then it records the machine's own disks.
    async fn resume_operation(
        &self,
        request: &ProvisionRequest,
        service: &Service,
    ) -> Result<Option<OperationHandle>> {
        if let Some(operation) = self.kit.resume(request, service) {
            return Ok(Some(operation));
        }
        let target =
            ResourceRef::parse(service.id.as_str()).filter(|_| service.status == ServiceStatus::Starting);
        let operation = target.map(Handle::Provision);
        Ok(operation.map(|operation| OperationOwner::new(service.key.as_ref()).handle(&operation.text())))
    }

    async fn find_by_key(&self, key: &IdempotencyKey) -> Result<Option<Service>> {
        let look = |region: RegionId| async move {
            let machine = match self.cloud.speaks_ec2() {
                true => services::find_in_region(&self.cloud, &region, key).await?,
                false => None,
            };
            match machine {
                None => self.kit.find_in_region(&region, key).await,
                found => Ok(found),
            }
        };
        let mut failure = None;
        for outcome in future::join_all(self.cloud.regions().into_iter().map(look)).await {
            match outcome {
                Ok(None) => {}
                Ok(found) => return Ok(found),
                Err(error) => failure = Some(error),
            }
        }
        // The service may be in a region that does not answer.
        failure.map_or(Ok(None), Err)
    }

    async fn describe(&self, service: &ServiceId) -> Result<Option<Service>> {
        if let Some(described) = self.kit.describe(service).await? {
            return Ok(described);
        }
        if let Some(left) = self.orphaned_volume(service, Call::Describe)? {
            return volumes::describe(&self.cloud, &left).await;
        }
        let Some(target) = self.resource_ref(service, Call::Describe)? else { return Ok(None) };
        let instance = services::get(&self.cloud, &target, Call::Describe).await?;
        let service = |instance| services::service_of(&self.cloud, &target.region, &instance, Call::Describe);
        instance.map(service).transpose()
    }

    fn services(&self) -> ServiceStream {
        let cloud = self.cloud.clone();
        let list = move |region: RegionId| services::list_region(&cloud, &region, None, Call::Services);
        let regions = if self.cloud.speaks_ec2() { self.cloud.regions() } else { Vec::new() };
        let machines = stream::iter(regions).flat_map(list);
        bounded(self.id(), Call::Services, machines.chain(self.kit.services()))
    }

    async fn act(&self, service: &ServiceId, action: &Action, _: &IdempotencyKey) -> Result<OperationHandle> {
        let missing = || self.cloud.error(Call::Act, ErrorKind::NotFound { what: service.to_string() });
        let target = self.resource_ref(service, Call::Act)?.ok_or_else(missing)?;
        lifecycle::act(&self.cloud, &target, action).await
    }

    async fn access(&self, service: &ServiceId) -> Result<Access> {
        let unsupported = || self.cloud.error(Call::Access, ErrorKind::Unsupported);
        self.kit.access(service).await?.ok_or_else(unsupported)
    }

    async fn release(&self, service: &ServiceId, _: &IdempotencyKey) -> Result<OperationHandle> {
        if let Some(operation) = self.kit.release(service).await? {
            return Ok(operation.unwrap_or_else(|| OperationOwner::default().handle(&Handle::Nothing.text())));
        }
        if let Some(left) = self.orphaned_volume(service, Call::Release)? {
            return volumes::release(&self.cloud, left).await;
        }
        match self.resource_ref(service, Call::Release)? {
            None => Ok(OperationOwner::default().handle(&Handle::Nothing.text())),
            Some(target) => lifecycle::release(&self.cloud, target).await,
        }
    }

    async fn poll(&self, operation: &OperationHandle) -> Result<OperationStatus> {
        if let Some(status) = self.kit.poll(operation).await? {
            return Ok(status);
        }
        let unknown = || {
            let what: String = operation.as_str().chars().take(200).collect();
            self.cloud.error(Call::Poll, ErrorKind::NotFound { what })
        };
        let (text, owner) = OperationOwner::parse(operation);
        let operation = Handle::parse(text).ok_or_else(unknown)?;
        let target = match &operation {
            Handle::Nothing => return Ok(OperationStatus::Succeeded(None)),
            Handle::Provision(target)
            | Handle::Release(target)
            | Handle::ReleaseVolume(target)
            | Handle::Act(target, _) => target,
        };
        let target = &self.check_region(target.clone(), Call::Poll)?;
        match &operation {
            Handle::Release(_) => lifecycle::poll_release(&self.cloud, target, &owner).await,
            Handle::ReleaseVolume(_) => volumes::poll_release(&self.cloud, target, &owner).await,
            _ => lifecycle::poll(&self.cloud, &operation, target, &owner).await,
        }
    }
}
