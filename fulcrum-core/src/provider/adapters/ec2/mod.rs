//! Clouds that speak EC2's query API, signed by version 4.
//!
//! See `docs/adapters/ec2.md`.

mod actions;
mod cloud;
mod config;
mod errors;
mod handle;
mod instances;
mod offers;
mod sign;
mod volumes;
mod wire;

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use futures::{FutureExt, StreamExt, future, stream};

use self::{
    cloud::Cloud,
    handle::{Operation, Target},
};
use crate::{
    model::{Action, IdempotencyKey, ProviderId, RegionId, Service, ServiceId, ServiceStatus},
    provider::{
        Call, Capabilities, ErrorKind, IdempotencyClass, OfferFilter, OfferStream, OperationHandle,
        OperationStatus, Provider, ProvisionRequest, RejectedRow, Result, ServiceStream,
        adapters::whose::Whose,
        check_settings,
        http::{Transport, bounded},
    },
};
pub use config::{ClientToken, Ec2Config};
pub use instances::FIELDS;

/// One cloud that speaks EC2's query API, as one pair of keys sees it.
#[derive(Debug)]
pub struct Ec2 {
    capabilities: Capabilities,
    cloud: Arc<Cloud>,
}

impl Ec2 {
    fn new(cloud: Cloud) -> Self {
        let capabilities = Self::capabilities(cloud.config.client_token, cloud.config.list_lag_ms);
        Self { capabilities, cloud: Arc::new(cloud) }
    }

    /// The same over another transport, such as a recording.
    #[must_use]
    pub fn with_transport(self, transport: Arc<dyn Transport>) -> Self {
        Self::new(self.cloud.with_transport(&transport))
    }

    /// What a cloud can do that does this with a `ClientToken`, and where a new machine may be missing from lists for so
    /// many milliseconds.
    pub fn capabilities(client_token: ClientToken, list_lag_ms: u64) -> Capabilities {
        let class = match client_token {
            ClientToken::Honoured => IdempotencyClass::Key,
            ClientToken::Ignored => IdempotencyClass::Searchable { list_lag_ms },
        };
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
            ],
            // Of `act` nothing is said: a reboot that is asked for twice is done twice.
            idempotency: BTreeMap::from([
                (Call::Provision, class),
                (Call::Release, IdempotencyClass::Natural),
            ]),
            concurrency: Some(8),
            poll_interval_ms: 1000,
            list_lag_ms: Some(list_lag_ms),
            settings: Capabilities::takes(&["image", "key_name", "security_groups", "subnet", "user_data"]),
        }
    }

    /// What a service's name stands for; none for one that this adapter has not given.
    fn target(&self, service: &ServiceId, call: Call) -> Result<Option<Target>> {
        let target = Target::parse(service.as_str());
        target.map(|target| self.in_use(target, call)).transpose()
    }

    /// The volume that is left of a service, if that is what its name stands for.
    fn left(&self, service: &ServiceId, call: Call) -> Result<Option<Target>> {
        let target = Target::parse_volume(service.as_str());
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

    async fn provision(&self, request: &ProvisionRequest, key: &IdempotencyKey) -> Result<OperationHandle> {
        let is_known = check_settings(request, &self.capabilities);
        is_known.map_err(|kind| self.cloud.error(Call::Provision, kind))?;
        instances::provision(&self.cloud, request, key).await
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
        let look = |region: RegionId| async move { instances::find(&self.cloud, &region, key).await };
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
        if let Some(left) = self.left(service, Call::Describe)? {
            return volumes::describe(&self.cloud, &left).await;
        }
        let Some(target) = self.target(service, Call::Describe)? else { return Ok(None) };
        let instance = instances::get(&self.cloud, &target, Call::Describe).await?;
        let service =
            |instance| instances::service_of(&self.cloud, &target.region, &instance, Call::Describe);
        instance.map(service).transpose()
    }

    fn services(&self) -> ServiceStream {
        let cloud = self.cloud.clone();
        let list = move |region: RegionId| instances::of_region(&cloud, &region, None, Call::Services);
        bounded(self.id(), Call::Services, stream::iter(self.cloud.regions()).flat_map(list))
    }

    async fn act(&self, service: &ServiceId, action: &Action, _: &IdempotencyKey) -> Result<OperationHandle> {
        let missing = || self.cloud.error(Call::Act, ErrorKind::NotFound { what: service.to_string() });
        let target = self.target(service, Call::Act)?.ok_or_else(missing)?;
        actions::act(&self.cloud, &target, action).await
    }

    async fn release(&self, service: &ServiceId, _: &IdempotencyKey) -> Result<OperationHandle> {
        if let Some(left) = self.left(service, Call::Release)? {
            return volumes::release(&self.cloud, left).await;
        }
        match self.target(service, Call::Release)? {
            None => Ok(Whose::default().handle(&Operation::Nothing.text())),
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
            | Operation::ReleaseVolume(target)
            | Operation::Start(target)
            | Operation::Stop(target)
            | Operation::Reboot(target)
            | Operation::Resize(target, _) => target,
        };
        let target = &self.in_use(target.clone(), Call::Poll)?;
        match &operation {
            Operation::Release(_) => actions::poll_release(&self.cloud, target, &whose).await,
            Operation::ReleaseVolume(_) => volumes::poll_release(&self.cloud, target, &whose).await,
            _ => actions::poll(&self.cloud, &operation, target, &whose).await,
        }
    }
}
