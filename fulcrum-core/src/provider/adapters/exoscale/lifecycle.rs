//! Actions on an instance, its end, and how far operations are.

use serde_json::{Value, json};

use super::{
    Exoscale, errors,
    handle::{Handle, InstanceRef},
    offers::{TYPES_FRESH_FOR, sku_of},
    services::key_of,
    wire::{Instance, Operation, Volume, Volumes},
};
use crate::{
    model::{Action, IdempotencyKey, ServiceId, SkuId},
    provider::{
        Call, ErrorKind, OperationHandle, OperationStatus, Result,
        adapters::{
            common::{CallErrors, RUNNING, failed, failed_for},
            operation_owner::OperationOwner,
        },
        http::{Method, Request},
    },
};

impl Exoscale {
    /// Begins an action. Sends nothing if the state is reached already.
    pub(super) async fn begin_action(&self, service: &ServiceId, action: &Action) -> Result<OperationHandle> {
        let call = Call::Act;
        let missing = || self.error(call, ErrorKind::NotFound { what: service.to_string() });
        let at = self.instance_ref(call, service)?.ok_or_else(missing)?;
        // Only services of this library are changed.
        let (instance, known) = self.describe_instance(call, &at).await?.ok_or_else(missing)?;
        known.key.as_ref().ok_or_else(missing)?;
        let zone = self.zone(call, &at.zone)?;
        let is_on = instance.state == "running";
        let mut wanted = None;
        let (verb, body, state) = match action {
            Action::Start => ((!is_on).then_some("start"), json!({}), "running"),
            Action::Stop => (is_on.then_some("stop"), json!({}), "stopped"),
            Action::Resize { sku } => {
                let types = self.instance_types(call, zone, TYPES_FRESH_FOR).await?;
                let kind = types.iter().find(|kind| sku_of(kind) == sku.as_str());
                let none = || self.error(call, ErrorKind::NotFound { what: sku.to_string() });
                let body = json!({ "instance-type": { "id": kind.ok_or_else(none)?.id } });
                wanted = Some(sku.clone());
                ((known.sku != *sku).then_some("scale"), body, "stopped")
            }
            Action::Other { name } if name == "reboot" => (Some("reboot"), json!({}), "running"),
            Action::Other { .. } => return Err(self.error(call, ErrorKind::Unsupported)),
        };
        let operation = match verb {
            None => None,
            Some(verb) => {
                let name = format!("{}:{verb}", at.instance);
                let ask = Request::new(call, Method::PUT, ["instance", &name]).json(&body);
                let begun: Operation = zone.client.json(&ask).await?;
                if let Some(other) = begun.reference.filter(|it| it.id != at.instance) {
                    let message = format!("the response to {verb} {} is about {}", at.instance, other.id);
                    return Err(self.protocol_error(call, &message));
                }
                Some(begun.id)
            }
        };
        let handle = Handle::Act { at, operation, state: state.to_owned(), sku: wanted };
        self.handle(call, &handle, known.key.as_ref())
    }

    /// Begins to end a service.
    pub(super) async fn begin_release(&self, service: &ServiceId) -> Result<OperationHandle> {
        let call = Call::Release;
        // An id that is not this adapter's does not exist.
        let at = self.instance_ref(call, service)?;
        let mut key = None;
        if let Some(at) = &at
            && let Some(instance) = self.instance(call, at).await?
        {
            key = key_of(&instance);
            if key.is_none() {
                return Err(self.error(call, ErrorKind::Forbidden));
            }
            self.check_attached(call, at, &instance).await?;
        }
        self.handle(call, &Handle::Release { at }, key.as_ref())
    }

    /// How far an operation is.
    pub(super) async fn poll_operation(&self, operation: &OperationHandle) -> Result<OperationStatus> {
        let unknown = || self.error(Call::Poll, ErrorKind::NotFound { what: "this operation".to_owned() });
        let (text, owner) = OperationOwner::parse(operation);
        let mut is_new = false;
        let (at, operation, state, sku) = match Handle::parse(text).ok_or_else(unknown)? {
            Handle::Release { at: None } => return Ok(OperationStatus::Succeeded(None)),
            Handle::Release { at: Some(at) } => return self.poll_release(&at, &owner).await,
            Handle::Provision { at, operation } => {
                is_new = true;
                (at, operation, "running".to_owned(), None)
            }
            Handle::Act { at, operation, state, sku } => (at, operation, state, sku),
        };
        if let Some(operation) = operation
            && let Some(status) = self.unfinished_operation(&at, &operation).await?
        {
            return Ok(status);
        }
        if is_new {
            self.first_start(&at, &owner).await?;
        }
        self.poll_action(&at, &state, sku.as_ref(), &owner).await
    }

    pub(super) fn handle(
        &self,
        call: Call,
        handle: &Handle,
        key: Option<&IdempotencyKey>,
    ) -> Result<OperationHandle> {
        let text = serde_json::to_string(handle).map_err(|error| self.protocol_error(call, &error))?;
        Ok(OperationOwner::new(key).handle(&text))
    }

    /// The status of an operation; none if it has succeeded, or if the API has forgotten it.
    async fn unfinished_operation(
        &self,
        at: &InstanceRef,
        operation: &str,
    ) -> Result<Option<OperationStatus>> {
        let zone = self.zone(Call::Poll, &at.zone)?;
        let ask = Request::get(Call::Poll, ["operation", operation]);
        // A forgotten operation proves nothing: the instance's state decides.
        let found: Option<Operation> = zone.client.get_optional_with(&ask, async { Ok(()) }).await?;
        if let Some(other) = found.as_ref().filter(|found| found.id != operation) {
            let message =
                format!("the response to a request about the operation {operation} is about {}", other.id);
            return Err(self.protocol_error(Call::Poll, &message));
        }
        Ok(found.and_then(|operation| match operation.state.as_str() {
            "success" => None,
            "pending" => Some(RUNNING),
            state => {
                let message = operation.message.unwrap_or_else(|| state.to_owned());
                let shortage = errors::shortage_of(&message);
                let reason = match operation.reason {
                    Some(reason) => format!("{message} ({reason})"),
                    None => message,
                };
                Some(failed_for(reason, shortage))
            }
        }))
    }

    /// How far an action is, by the instance's state and type. The end of its operation is not enough.
    async fn poll_action(
        &self,
        at: &InstanceRef,
        state: &str,
        sku: Option<&SkuId>,
        owner: &OperationOwner,
    ) -> Result<OperationStatus> {
        match self.describe_instance(Call::Poll, at).await? {
            None => Ok(failed("the instance is gone")),
            Some((_, service)) if service.key.is_none() => Err(self
                .protocol_error(Call::Poll, &"the instance has lost the label with its key; write it again")),
            Some((instance, service)) if !owner.owns(service.key.as_ref()) => {
                let what = format!("the instance {}", instance.id);
                Err(self.error(Call::Poll, OperationOwner::stale_operation(what)))
            }
            Some((instance, service)) if instance.state == state => match sku {
                Some(sku) if service.sku != *sku && owner.is_past_lag(self.capabilities.list_lag()) => {
                    Ok(failed(format!("the operation is over, and the instance is still a {}", service.sku)))
                }
                Some(sku) if service.sku != *sku => Ok(RUNNING),
                _ => Ok(OperationStatus::Succeeded(Some(service))),
            },
            Some((instance, _)) if matches!(instance.state.as_str(), "error" | "destroyed") => {
                Ok(failed(format!("the instance is in the state {}", instance.state)))
            }
            Some(_) => Ok(RUNNING),
        }
    }

    /// Checks that nothing is attached to an instance which its purchase did not make. Its own disk is part of it.
    async fn check_attached(&self, call: Call, at: &InstanceRef, instance: &Instance) -> Result<()> {
        let zone = self.zone(call, &at.zone)?;
        let volumes = match zone.client.json::<Volumes>(&Request::get(call, ["block-storage"])).await {
            Ok(list) => {
                let odd = list.block_storage_volumes.unreadable();
                let names_it = |row: &Value| row.to_string().contains(&instance.id);
                if let Some(odd) = odd.iter().find(|odd| odd.may_match(names_it)) {
                    let part =
                        format!("the volume {}, of which not all can be read ({})", odd.name, odd.reason);
                    return Err(self.error(call, ErrorKind::attached(&instance.id, &[part])));
                }
                list.block_storage_volumes.into_iter().collect()
            }
            // The zone has no block storage. A key that may not see volumes does not prove that there are none.
            Err(error) => match error.kind {
                ErrorKind::NotFound { .. } | ErrorKind::Unsupported => Vec::new(),
                _ => return Err(error),
            },
        };
        let is_here = |volume: &&Volume| volume.instance.as_ref().is_some_and(|it| it.id == instance.id);
        let volumes = volumes.iter().filter(is_here).map(|volume| match &volume.name {
            Some(name) if *name != volume.id => format!("the volume {} ({name})", volume.id),
            _ => format!("the volume {}", volume.id),
        });
        let addresses = instance.elastic_ips.iter();
        let addresses = addresses.map(|it| format!("the elastic IP {}", it.ip.as_ref().unwrap_or(&it.id)));
        let parts: Vec<_> = volumes.chain(addresses).collect();
        match parts.is_empty() {
            true => Ok(()),
            false => Err(self.error(call, ErrorKind::attached(&instance.id, &parts))),
        }
    }

    async fn poll_release(&self, at: &InstanceRef, owner: &OperationOwner) -> Result<OperationStatus> {
        let call = Call::Poll;
        let Some(instance) = self.instance(call, at).await? else {
            return Ok(OperationStatus::Succeeded(None));
        };
        let may_release = owner.may_release(key_of(&instance).as_ref());
        if !may_release.map_err(|kind| self.error(call, kind))? {
            return Ok(OperationStatus::Succeeded(None));
        }
        if matches!(instance.state.as_str(), "expunging" | "destroying") {
            return Ok(RUNNING);
        }
        self.check_attached(call, at, &instance).await?;
        let ask = Request::delete(Call::Release, ["instance", &at.instance]);
        match self.zone(call, &at.zone)?.client.send_ok(&ask).await {
            Ok(_) => Ok(RUNNING),
            Err(error) => match error.kind {
                ErrorKind::Conflict { .. } | ErrorKind::Ambiguous => Ok(RUNNING),
                _ => Err(error),
            },
        }
    }
}
