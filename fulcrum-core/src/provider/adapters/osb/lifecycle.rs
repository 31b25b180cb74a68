//! Changes of an instance, its end, and how far operations are.

use super::{
    Osb,
    errors::is_absence_word,
    handle::Handle,
    offers::CATALOG_FRESH_FOR,
    provision::PutOutcome,
    services::{Evidence, UNKNOWN_SKU},
    wire::{Accepted, InstanceRequest},
};
use crate::{
    model::{Action, IdempotencyKey, Service, ServiceId, ServiceStatus},
    provider::{
        Call, ErrorKind, OperationHandle, OperationStatus, Result,
        adapters::{
            common::{CallErrors, RUNNING, failed},
            operation_owner::OperationOwner,
        },
        http::{Method, Request},
    },
};

impl Osb {
    /// Begins an action. A broker does not tell the plan of an instance dependably, so it is asked also for one that may have it.
    pub(super) async fn begin_action(&self, service: &ServiceId, action: &Action) -> Result<OperationHandle> {
        let call = Call::Act;
        let Action::Resize { sku } = action else { return Err(self.error(call, ErrorKind::Unsupported)) };
        let missing = || self.error(call, ErrorKind::NotFound { what: service.to_string() });
        let key = IdempotencyKey::new(service.as_str()).map_err(|_| missing())?;
        if let Evidence::Absent = self.look_up(call, &key).await? {
            return Err(missing());
        }
        let ids = self.ids_of(call, sku).await?;
        let wanted = InstanceRequest {
            service_id: &ids.service,
            plan_id: &ids.plan,
            organization_guid: None,
            space_guid: None,
            parameters: None,
        };
        let path = ["v2", "service_instances", service.as_str()];
        let ask = Request::new(call, Method::PATCH, path)
            .query("accepts_incomplete", true)
            .json(&wanted)
            .for_sku(sku);
        self.instance_cache.drop_sku(&key);
        let response = self.client.send_ok(&ask).await?;
        // Only the API's own document confirms the action.
        let Accepted { operation } = Accepted::of(&response)?;
        let is_done = match response.status().as_u16() {
            200 => true,
            202 => false,
            status => {
                return Err(
                    response.protocol_error(format!("the status {status} is not defined for this request"))
                );
            }
        };
        let (instance, sku) = (service.to_string(), Some(sku.clone()));
        let text = self.handle(call, &Handle::Act { instance, operation, sku, is_done })?;
        Ok(OperationOwner::new(Some(&key)).handle(text.as_str()))
    }

    /// How far an operation is.
    pub(super) async fn poll_operation(&self, operation: &OperationHandle) -> Result<OperationStatus> {
        let call = Call::Poll;
        let unknown = || self.error(call, ErrorKind::NotFound { what: "this operation".to_owned() });
        let (text, owner) = OperationOwner::parse(operation);
        let handle = Handle::parse(text).ok_or_else(unknown)?;
        let (Handle::Provision { instance, operation: named, .. }
        | Handle::Act { instance, operation: named, .. }
        | Handle::Release { instance, operation: named }) = &handle;
        let key = IdempotencyKey::new(instance).map_err(|_| unknown())?;
        // None if the broker is synchronous, or has forgotten the operation.
        let last = self.last_operation(call, instance, named.as_deref()).await?.told;
        let state = last.as_ref().map(|last| last.state.as_str());
        let why = || last.as_ref().and_then(|last| last.description.clone()).unwrap_or_default();
        let is_change = matches!(handle, Handle::Act { .. });
        let (sku, is_done, settings) = match handle {
            _ if state == Some("in progress") => return Ok(RUNNING),
            // The instance is idle again, or its deletion has failed: once more.
            Handle::Release { instance, .. } => {
                return Ok(match self.delete_instance(Call::Release, &instance).await? {
                    (false, _) => OperationStatus::Succeeded(None),
                    (true, _) => RUNNING,
                });
            }
            _ if state == Some("failed") => return Ok(failed(format!("the broker has failed: {}", why()))),
            Handle::Provision { sku, is_done, settings, .. } => (sku, is_done, settings),
            Handle::Act { sku, is_done, .. } => (sku, is_done, None),
        };
        let service = match (self.look_up(call, &key).await?, settings) {
            (Evidence::Retrieved(service) | Evidence::Inferred(service), _)
                if service.status == ServiceStatus::Starting =>
            {
                return Ok(RUNNING);
            }
            // The broker tells the plan, and the plan has not changed yet.
            (Evidence::Retrieved(service) | Evidence::Inferred(service), _)
                if is_change
                    && service.sku.as_str() != UNKNOWN_SKU
                    && sku.as_ref().is_some_and(|sku| *sku != service.sku) =>
            {
                return Ok(match owner.is_past_lag(self.capabilities.list_lag()) {
                    true => failed(format!("the instance is still a {}", service.sku)),
                    false => RUNNING,
                });
            }
            (Evidence::Retrieved(service) | Evidence::Inferred(service), _) => service,
            // The same request may be sent again.
            (Evidence::Absent, Some(_)) => return Err(unknown()),
            (Evidence::Absent, None) => return Ok(failed("the instance is gone")),
            // The response to the request said so.
            (Evidence::Unknown, None) if is_done => {
                self.service(key.clone(), ServiceStatus::Running, None).await?
            }
            // A look-up by key sends the request again.
            (Evidence::Unknown, None) => return Err(unknown()),
            (Evidence::Unknown, Some(settings)) => {
                self.prove_broker(call).await?;
                let ids = self.ids_of(call, sku.as_ref().ok_or_else(unknown)?).await?;
                match self.put_instance(call, &key, &ids, &settings).await? {
                    PutOutcome::Done { .. } => {
                        self.service(key.clone(), ServiceStatus::Running, None).await?
                    }
                    PutOutcome::Accepted(_) | PutOutcome::Busy(_) => return Ok(RUNNING),
                }
            }
        };
        // The broker does not tell the product, and has accepted the request for it.
        Ok(OperationStatus::Succeeded(Some(match sku {
            Some(sku) if service.sku.as_str() == UNKNOWN_SKU => {
                self.instance_cache.record_sku(&key, &sku);
                Service { sku, ..service }
            }
            _ => service,
        })))
    }

    /// Deletes an instance. Returns whether it may still exist, and the operation. The request must name the product: an
    /// unknown product means a request for each. An instance that the broker does not tell is gone when the broker says so for
    /// each product, and has proved by its catalogue that it is the broker.
    pub(super) async fn delete_instance(&self, call: Call, instance: &str) -> Result<(bool, Option<String>)> {
        let Ok(key) = IdempotencyKey::new(instance) else { return Ok((false, None)) };
        let (known, may_be_gone) = match self.look_up(call, &key).await? {
            Evidence::Absent => return Ok((false, None)),
            Evidence::Retrieved(service) => (Some(service.sku), false),
            // While an instance is made, the broker says that it does not exist.
            Evidence::Inferred(service) => (Some(service.sku), service.status != ServiceStatus::Starting),
            Evidence::Unknown => (self.instance_cache.sku_of(&key), true),
        };
        let known = known.filter(|sku| sku.as_str() != UNKNOWN_SKU);
        let catalog =
            self.catalog(call, if known.is_some() { CATALOG_FRESH_FOR } else { Default::default() }).await?;
        let has_unreadable_rows = catalog.has_unreadable_rows();
        let mut products = self.products_of(catalog);
        products.retain(|ids| known.as_ref().is_none_or(|sku| ids.sku == *sku));
        if products.is_empty() {
            let message = "its product is not in the catalogue any more; end it at the broker".to_owned();
            return Err(self.invalid_request(call, message));
        }
        let (mut refusal, mut is_reached) = (None, false);
        for ids in products {
            if ids.is_bindable && !self.end_access(call, instance, &ids).await? {
                return Ok((true, None));
            }
            let ask = Request::delete(call, ["v2", "service_instances", instance])
                .query("service_id", &ids.service)
                .query("plan_id", &ids.plan)
                .query("accepts_incomplete", true);
            let response = self.client.send(&ask).await?;
            match self.client.check(&response) {
                Ok(()) => {
                    return Ok((true, response.try_json::<Accepted>().and_then(|begun| begun.operation)));
                }
                // Only a broker answers 410.
                Err(_) if is_absence_word(&response) => is_reached |= response.status().as_u16() == 410,
                Err(error) => match error.kind {
                    // The instance is busy: `poll` sends the request again.
                    ErrorKind::Conflict { .. } | ErrorKind::Ambiguous => return Ok((true, None)),
                    ErrorKind::InvalidRequest { .. } => refusal = Some(error),
                    _ => return Err(error),
                },
            }
        }
        if let Some(refusal) = refusal {
            return Err(refusal);
        }
        if !may_be_gone {
            return Ok((true, None));
        }
        if known.is_none() && has_unreadable_rows {
            let cause = "the instance may be of a product that cannot be read in the catalogue";
            return Err(self.error(call, ErrorKind::unavailable(cause)));
        }
        let is_reached = is_reached || self.last_operation(call, instance, None).await?.is_own;
        self.prove_route(call, is_reached).await?;
        self.instance_cache.record_absent(&key);
        Ok((false, None))
    }

    pub(super) fn handle(&self, call: Call, handle: &Handle) -> Result<OperationHandle> {
        let text = serde_json::to_string(handle);
        text.map(OperationHandle::new).map_err(|error| self.protocol_error(call, &error))
    }
}
