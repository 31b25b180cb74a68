//! OpenStack clouds: keystone v3, nova, glance and neutron, each where the cloud's own list of services says.
//!
//! See `docs/adapters/openstack.md`.

mod actions;
mod addresses;
mod cloud;
mod compute;
mod config;
mod errors;
mod handle;
mod offers;
mod scope;
mod servers;
mod session;
mod usage;
mod wire;

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use futures::{FutureExt, StreamExt, future, stream};

use self::{
    cloud::Cloud,
    handle::{Operation, Target},
};
use crate::{
    model::{Action, IdempotencyKey, OfferKind, ProviderId, RegionId, Service, ServiceId, ServiceStatus},
    provider::{
        Call, Capabilities, ErrorKind, IdempotencyClass, OfferFilter, OfferStream, OperationHandle,
        OperationStatus, Provider, ProvisionRequest, RejectedRow, Result, ServiceStream, UsagePeriod,
        UsageStream,
        adapters::whose::Whose,
        check_settings,
        http::{Transport, bounded},
    },
};
pub use config::{ApplicationCredentialAuth, Auth, OpenStackConfig, PasswordAuth};
pub use servers::FIELDS;

/// One OpenStack cloud, as one login sees it.
#[derive(Debug)]
pub struct OpenStack {
    capabilities: Capabilities,
    cloud: Arc<Cloud>,
}

impl OpenStack {
    fn new(cloud: Cloud) -> Self {
        Self { capabilities: Self::capabilities(cloud.config.list_lag_ms), cloud: Arc::new(cloud) }
    }

    /// The same over another transport, such as a recording.
    #[must_use]
    pub fn with_transport(self, transport: Arc<dyn Transport>) -> Self {
        Self::new(self.cloud.with_transport(transport))
    }

    /// What such a cloud can do, where a new server may be missing from lists for so many milliseconds.
    pub fn capabilities(list_lag_ms: u64) -> Capabilities {
        Capabilities {
            calls: vec![
                Call::Offers,
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
            // Of `act` nothing is said: a reboot that is asked for twice is done twice.
            idempotency: BTreeMap::from([
                (Call::Provision, IdempotencyClass::Searchable { list_lag_ms }),
                (Call::Release, IdempotencyClass::Natural),
            ]),
            concurrency: Some(8),
            poll_interval_ms: 1000,
            list_lag_ms: None,
            settings: Capabilities::takes(&["image", "key_name", "network", "security_groups", "user_data"]),
        }
    }

    /// What a service's name stands for; none for one that this adapter has not given.
    fn target(&self, service: &ServiceId, call: Call) -> Result<Option<Target>> {
        let target = Target::parse(service.as_str());
        target.map(|target| self.in_use(target, call)).transpose()
    }

    /// A thing in a region that is no longer configured is not gone.
    fn in_use(&self, target: Target, call: Call) -> Result<Target> {
        if self.cloud.place(&target.region).is_some() {
            return Ok(target);
        }
        let region = &target.region;
        Err(self.cloud.invalid(call, format!("{region} is not configured; add it to `regions`")))
    }

    fn sells_addresses(&self) -> bool {
        self.cloud.config.floating_network.is_some()
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

    async fn provision(&self, request: &ProvisionRequest, key: &IdempotencyKey) -> Result<OperationHandle> {
        let call = Call::Provision;
        check_settings(request, &self.capabilities).map_err(|kind| self.cloud.error(call, kind))?;
        match request.kind {
            OfferKind::PublicIp if !request.settings.is_empty() => {
                Err(self.cloud.invalid(call, "a public address takes no settings; leave them out"))
            }
            OfferKind::Machine => servers::provision(&self.cloud, request, key).await,
            OfferKind::PublicIp => addresses::provision(&self.cloud, request, key).await,
            kind => Err(self.cloud.invalid(call, format!("{kind} is not sold here"))),
        }
    }

    /// Somebody must ask until it is there: then it is written down which disks were made with it.
    async fn resume_operation(
        &self,
        _: &ProvisionRequest,
        service: &Service,
    ) -> Result<Option<OperationHandle>> {
        let target = Target::parse(service.id.as_str()).filter(|_| service.status == ServiceStatus::Starting);
        let operation = target.map(Operation::Provision);
        Ok(operation.map(|operation| Whose::of(service.key.as_ref()).handle(&operation.text())))
    }

    async fn find_by_key(&self, key: &IdempotencyKey) -> Result<Option<Service>> {
        let look = |region: RegionId| async move {
            match servers::find(&self.cloud, &region, key).await? {
                None if self.sells_addresses() => addresses::find(&self.cloud, &region, key).await,
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
        // A region that does not answer may hold it.
        failure.map_or(Ok(None), Err)
    }

    async fn describe(&self, service: &ServiceId) -> Result<Option<Service>> {
        let call = Call::Describe;
        let Some(target) = self.target(service, call)? else { return Ok(None) };
        if target.is_address {
            return addresses::describe(&self.cloud, &target, call).await;
        }
        match servers::get(&self.cloud, &target, call).await? {
            Some(server) => servers::service_of(&self.cloud, &target.region, &server, call).await.map(Some),
            None => Ok(None),
        }
    }

    fn services(&self) -> ServiceStream {
        let mut lists = Vec::new();
        for region in self.cloud.regions() {
            lists.push(servers::list_services(self.cloud.clone(), region.clone()));
            if self.sells_addresses() {
                lists.push(addresses::list(self.cloud.clone(), region, Call::Services));
            }
        }
        bounded(self.id(), Call::Services, stream::iter(lists).flatten())
    }

    async fn act(&self, service: &ServiceId, action: &Action, _: &IdempotencyKey) -> Result<OperationHandle> {
        let missing = || self.cloud.error(Call::Act, ErrorKind::NotFound { what: service.to_string() });
        let target = self.target(service, Call::Act)?.ok_or_else(missing)?;
        actions::act(&self.cloud, &target, action).await
    }

    async fn release(&self, service: &ServiceId, _: &IdempotencyKey) -> Result<OperationHandle> {
        match self.target(service, Call::Release)? {
            None => Ok(Whose::default().handle(&Operation::Nothing.text())),
            Some(target) if target.is_address => addresses::release(&self.cloud, target).await,
            Some(target) => actions::release(&self.cloud, target).await,
        }
    }

    async fn poll(&self, operation: &OperationHandle) -> Result<OperationStatus> {
        let unknown = || {
            let what: String = operation.as_str().chars().take(200).collect();
            self.cloud.error(Call::Poll, ErrorKind::NotFound { what })
        };
        let (text, whose) = Whose::read(operation);
        let operation = Operation::parse(text).ok_or_else(unknown)?;
        let target = match &operation {
            Operation::Nothing => return Ok(OperationStatus::Succeeded(None)),
            Operation::Provision(target)
            | Operation::Release(target)
            | Operation::Start(target)
            | Operation::Stop(target)
            | Operation::Reboot(target)
            | Operation::Resize(target, _) => target,
        };
        let target = &self.in_use(target.clone(), Call::Poll)?;
        match &operation {
            Operation::Release(_) if target.is_address => {
                addresses::poll(&self.cloud, target, true, &whose).await
            }
            _ if target.is_address => addresses::poll(&self.cloud, target, false, &whose).await,
            Operation::Release(_) => actions::poll_release(&self.cloud, target).await,
            _ => actions::poll(&self.cloud, &operation, target, &whose).await,
        }
    }

    fn usage(&self, period: &UsagePeriod) -> UsageStream {
        let list = |region| usage::list(self.cloud.clone(), region, *period);
        let lists: Vec<_> = self.cloud.regions().into_iter().map(list).collect();
        bounded(self.id(), Call::Usage, stream::iter(lists).flatten())
    }
}
