//! OpenStack clouds: keystone v3, nova, glance and neutron, at the URLs of the service catalogue.
//!
//! See `docs/adapters/openstack.md`.

mod client;
mod compute;
mod config;
mod dry_run;
mod errors;
mod handle;
mod kinds;
mod lifecycle;
mod marks;
mod offers;
mod provision;
mod resources;
mod rest_api;
mod scope;
mod security_groups;
mod services;
mod session;
mod swift;
mod usage;
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
        Action, IdempotencyKey, OfferKind, ProviderId, RegionId, Service, ServiceId, ServiceStatus,
        SettingType, map_of,
    },
    provider::{
        Call, Capabilities, ErrorKind, IdempotencyClass, OfferFilter, OfferStream, OperationHandle,
        OperationStatus, Provider, ProvisionRequest, Refusal, RejectedRow, Result, ServiceStream,
        TestedAgainst, UsagePeriod, UsageStream,
        adapters::{self, common::CallErrors, kit::Kit, operation_owner::OperationOwner},
        check_settings,
        http::{Transport, bounded},
        portable,
    },
};

pub use config::{ApplicationCredentialAuth, Auth, OpenStackConfig, PasswordAuth};
pub use kinds::all_kinds;
pub use provision::FIELDS;

/// One OpenStack cloud, as one login sees it.
#[derive(Debug)]
pub struct OpenStack {
    capabilities: Capabilities,
    cloud: Arc<Cloud>,
    kit: Kit<Cloud>,
}

/// The adapter's capabilities, by list lag and kinds of product.
pub fn capabilities(list_lag_ms: u64, kinds: &BTreeSet<OfferKind>) -> Capabilities {
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
            Call::Release,
            Call::Poll,
            Call::Usage,
        ],
        // `Act` has no class: a reboot that is requested twice is done twice.
        idempotency: map_of([
            (Call::Provision, IdempotencyClass::Searchable { list_lag_ms }),
            (Call::Release, IdempotencyClass::Natural),
        ]),
        concurrency: Some(8),
        poll_interval_ms: 1000,
        list_lag_ms: None,
        settings: Some(
            [
                portable::hostname("by cloud-init"),
                portable::image("what the configuration's `images` says; the newest image of that name; else the newest with `os_distro` and `os_version`; or an id"),
                portable::own("key_name", SettingType::Text, "the name of a key pair"),
                portable::disk([OfferKind::Machine, OfferKind::BlockStorage]),
                portable::labels("metadata of the server"),
                portable::network_of([OfferKind::Machine], "the private network; or the name or id of a network"),
                portable::own("security_groups", SettingType::List(Box::new(SettingType::Text)), "names of security groups"),
                portable::ssh_keys(SettingType::PublicKey, "by cloud-init"),
                portable::user_data("as it is, up to 48 KiB"),
            ]
            .into_iter()
            .chain(kinds::settings())
            .collect(),
        ),
        attributes: Some(kinds::attributes()),
        secrets: map_of([]),
        places: None,
        kinds: Some(kinds.clone()),
        tested: kinds.iter().map(|kind| (*kind, TestedAgainst::Server)).collect(),
        accept: None,
    }
}

impl OpenStack {
    fn new(cloud: Cloud) -> Self {
        let places = cloud.regions().into_iter().map(|region| region.to_string()).collect();
        let capabilities = Capabilities {
            places: Some(places),
            accept: cloud.config.accept,
            ..capabilities(cloud.config.list_lag_ms, &cloud.config.kinds())
        };
        let cloud = Arc::new(cloud);
        let kit = Kit::new(cloud.clone(), kinds::products(), cloud.config.kinds());
        Self { capabilities, cloud, kit }
    }

    /// The same adapter over another transport, such as a recording.
    #[must_use]
    pub fn with_transport(self, transport: Arc<dyn Transport>) -> Self {
        Self::new(self.cloud.with_transport(transport))
    }

    /// The resource of a service. None if the id is not one of this adapter's.
    fn resource_ref(&self, service: &ServiceId, call: Call) -> Result<Option<ResourceRef>> {
        let target = ResourceRef::parse(service.as_str());
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
impl Provider for OpenStack {
    fn id(&self) -> &ProviderId {
        self.cloud.id()
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn redacted(&self, text: &str, is_for_people: bool) -> String {
        self.cloud.redactor().sanitised(text, is_for_people)
    }

    fn offers(&self, filter: &OfferFilter) -> OfferStream {
        let (cloud, filter) = (self.cloud.clone(), filter.clone());
        let list = async move {
            let offers = offers::offers(&cloud, &filter).await;
            stream::iter(match offers {
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
        let call = Call::Provision;
        check_settings(request, &self.capabilities).map_err(|kind| self.cloud.error(call, kind))?;
        match request.kind {
            OfferKind::Machine => {
                let group = security_groups::group_for(&self.cloud, request).await?;
                provision::provision(&self.cloud, request, key, group).await
            }
            _ => self.kit.provision(request, key).await,
        }
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
            match services::find_in_region(&self.cloud, &region, key).await? {
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
        let call = Call::Describe;
        if let Some(described) = self.kit.describe(service).await? {
            return Ok(described);
        }
        let Some(target) = self.resource_ref(service, call)? else { return Ok(None) };
        match services::get(&self.cloud, &target, call).await? {
            Some(server) => services::service_of(&self.cloud, &target.region, &server, call).await.map(Some),
            None => Ok(None),
        }
    }

    fn services(&self) -> ServiceStream {
        let list = |region| services::list_services(self.cloud.clone(), region);
        let servers: Vec<_> = self.cloud.regions().into_iter().map(list).collect();
        let all = stream::iter(servers).flatten().chain(self.kit.services());
        bounded(self.id(), Call::Services, all)
    }

    async fn act(&self, service: &ServiceId, action: &Action, _: &IdempotencyKey) -> Result<OperationHandle> {
        let missing = || self.cloud.error(Call::Act, ErrorKind::NotFound { what: service.to_string() });
        let target = self.resource_ref(service, Call::Act)?.ok_or_else(missing)?;
        lifecycle::act(&self.cloud, &target, action).await
    }

    async fn release(&self, service: &ServiceId, _: &IdempotencyKey) -> Result<OperationHandle> {
        let nothing = || OperationOwner::default().handle(&Handle::Nothing.text());
        if let Some(operation) = self.kit.release(service).await? {
            return Ok(operation.unwrap_or_else(nothing));
        }
        match self.resource_ref(service, Call::Release)? {
            None => Ok(nothing()),
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
            Handle::Provision(target) | Handle::Release(target) | Handle::Act(target, _) => target,
        };
        let target = &self.check_region(target.clone(), Call::Poll)?;
        match &operation {
            // As they were written before there was a kit.
            Handle::Release(_) if target.is_address => self.kit.poll_release_of(&target.text(), &owner).await,
            _ if target.is_address => self.kit.poll_service(&target.text(), &owner).await,
            Handle::Release(_) => lifecycle::poll_release(&self.cloud, target).await,
            _ => lifecycle::poll(&self.cloud, &operation, target, &owner).await,
        }
    }

    fn usage(&self, period: &UsagePeriod) -> UsageStream {
        let list = |region| usage::list(self.cloud.clone(), region, *period);
        let lists: Vec<_> = self.cloud.regions().into_iter().map(list).collect();
        bounded(self.id(), Call::Usage, stream::iter(lists).flatten())
    }
}
