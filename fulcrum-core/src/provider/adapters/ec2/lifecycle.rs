//! Actions on a machine, its end, and how far operations are.

use std::time::Duration;

use super::{
    client::{Cloud, mutation},
    errors::shortage_of,
    handle::{Handle, ResourceRef},
    provision, services, wire,
};
use crate::{
    model::Action,
    provider::{
        Call, ErrorKind, OperationHandle, OperationStatus, Result,
        adapters::{
            common::{CallErrors, Goal, RUNNING, failed_for},
            operation_owner::OperationOwner,
        },
        portable::{check_same_address, machine_type},
    },
};

fn instance_field(target: &ResourceRef) -> Vec<(String, String)> {
    vec![("InstanceId.1".to_owned(), target.id.clone())]
}

/// Begins an action. Sends nothing if the state is reached already.
pub(super) async fn act(cloud: &Cloud, target: &ResourceRef, action: &Action) -> Result<OperationHandle> {
    let call = Call::Act;
    let missing = || cloud.error(call, ErrorKind::NotFound { what: format!("machine {}", target.id) });
    let instance = services::get_own(cloud, target, call).await?.ok_or_else(missing)?;
    let state = instance.state.as_str();
    let (operation, is_done, request) = match action {
        Action::Start => {
            let is_so = matches!(state, "running" | "pending");
            (
                Handle::Act(target.clone(), Goal::Running),
                is_so,
                mutation(call, "StartInstances", &instance_field(target)),
            )
        }
        Action::Stop => {
            let is_so = matches!(state, "stopped" | "stopping");
            (
                Handle::Act(target.clone(), Goal::Stopped),
                is_so,
                mutation(call, "StopInstances", &instance_field(target)),
            )
        }
        Action::Resize { sku } => {
            check_same_address(&services::sku_of(&instance), sku)
                .map_err(|why| cloud.invalid_request(call, why))?;
            let wanted = machine_type(sku);
            let is_so = instance.kind.as_str() == wanted;
            if !is_so && state != "stopped" {
                let message = format!("the machine is {state}; stop it before a resize");
                return Err(cloud.error(call, ErrorKind::Conflict { message }));
            }
            let fields = [("InstanceId", target.id.as_str()), ("InstanceType.Value", wanted)];
            let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
            let request = mutation(call, "ModifyInstanceAttribute", &fields).for_sku(sku);
            (Handle::Act(target.clone(), Goal::Sku(sku.clone())), is_so, request)
        }
        Action::Other { name } if name == "reboot" => (
            Handle::Act(target.clone(), Goal::Any),
            false,
            mutation(call, "RebootInstances", &instance_field(target)),
        ),
        Action::Other { .. } => return Err(cloud.error(call, ErrorKind::Unsupported)),
    };
    if !is_done {
        let response = cloud.client(&target.region, call)?.send_ok(&request).await?;
        // Only the API's own document confirms the action.
        if let Some(other) =
            wire::read(&response, wire::acted_instances)?.into_iter().find(|id| *id != target.id)
        {
            let message = format!("the response to an action on {} is about {other}", target.id);
            return Err(response.protocol_error(message));
        }
    }
    Ok(OperationOwner::new(services::key_of(&instance).as_ref()).handle(&operation.text()))
}

/// Ends a machine.
pub(super) async fn release(cloud: &Cloud, target: ResourceRef) -> Result<OperationHandle> {
    let call = Call::Release;
    let nothing = || Ok(OperationOwner::default().handle(&Handle::Nothing.text()));
    let Some(instance) = services::get_own(cloud, &target, call).await? else { return nothing() };
    if instance.state != "shutting-down" {
        services::check_attached(cloud, &instance, call)?;
    }
    let owner = OperationOwner::new(services::key_of(&instance).as_ref());
    match terminate(cloud, &target).await? {
        true => Ok(owner.handle(&Handle::Release(target).text())),
        false => nothing(),
    }
}

/// Terminates a machine. Returns whether it still existed.
async fn terminate(cloud: &Cloud, target: &ResourceRef) -> Result<bool> {
    let call = Call::Release;
    cloud
        .client(&target.region, call)?
        .delete_if_exists(&mutation(call, "TerminateInstances", &instance_field(target)))
        .await
}

/// How far a release is.
pub(super) async fn poll_release(
    cloud: &Cloud,
    target: &ResourceRef,
    owner: &OperationOwner,
) -> Result<OperationStatus> {
    let call = Call::Poll;
    let gone = OperationStatus::Succeeded(None);
    let Some(instance) = services::get_own(cloud, target, call).await? else { return Ok(gone) };
    let may_release = owner.may_release(services::key_of(&instance).as_ref());
    if !may_release.map_err(|kind| cloud.error(call, kind))? {
        return Ok(gone);
    }
    if instance.state == "shutting-down" {
        return Ok(RUNNING);
    }
    // The first request was lost.
    services::check_attached(cloud, &instance, call)?;
    match terminate(cloud, target).await? {
        true => Ok(RUNNING),
        false => Ok(gone),
    }
}

/// How far another operation is.
pub(super) async fn poll(
    cloud: &Cloud,
    operation: &Handle,
    target: &ResourceRef,
    owner: &OperationOwner,
) -> Result<OperationStatus> {
    let call = Call::Poll;
    let missing = || cloud.error(call, ErrorKind::NotFound { what: format!("machine {}", target.id) });
    let Some(instance) = services::get_with_ended(cloud, target, call).await? else {
        // A new machine may not be listed yet.
        let is_new = matches!(operation, Handle::Provision(_));
        return if is_new { Ok(RUNNING) } else { Err(missing()) };
    };
    if !owner.owns(services::key_of(&instance).as_ref()) {
        return Err(missing());
    }
    if instance.state == "terminated" {
        return Ok(failed_instance(&instance));
    }
    let state = instance.state.as_str();
    let is_done = match operation {
        Handle::Provision(_) | Handle::Act(_, Goal::Running) => state == "running",
        Handle::Act(_, Goal::Stopped) => state == "stopped",
        Handle::Act(_, Goal::Sku(sku)) => instance.kind.as_str() == machine_type(sku),
        Handle::Act(_, Goal::Any) | Handle::Release(_) | Handle::ReleaseVolume(_) | Handle::Nothing => true,
    };
    let is_made = matches!(operation, Handle::Provision(_));
    let lag = Duration::from_millis(cloud.config.list_lag_ms);
    let is_over = match operation {
        Handle::Provision(_) => matches!(state, "stopping" | "stopped" | "shutting-down"),
        Handle::Act(_, Goal::Running) => matches!(state, "stopping" | "stopped" | "shutting-down"),
        Handle::Act(_, Goal::Stopped) => matches!(state, "running" | "pending" | "shutting-down"),
        _ => true,
    };
    if is_done {
        if matches!(operation, Handle::Provision(_)) {
            provision::record_disks(cloud, target, &instance).await?;
        }
        let service = services::service_of(cloud, &target.region, &instance, call)?;
        Ok(OperationStatus::Succeeded(Some(service)))
    } else if is_over && (is_made || owner.is_past_lag(lag)) {
        Ok(failed_instance(&instance))
    } else {
        // Within the list lag a response may be older than the action.
        Ok(RUNNING)
    }
}

/// The status of an operation that ended without success.
fn failed_instance(instance: &wire::Instance) -> OperationStatus {
    let code = instance.reason.as_deref().unwrap_or("no reason is given");
    let reason = format!("the machine is {}: {}", instance.state, code.chars().take(200).collect::<String>());
    failed_for(reason, shortage_of(code))
}
