//! What is done to machines, and how far it is.

use std::time::Duration;

use super::{
    cloud::{Cloud, changes},
    errors::shortage_of,
    handle::{Operation, Target},
    instances, wire,
};
use crate::{
    model::Action,
    provider::{Call, ErrorKind, OperationHandle, OperationStatus, Result, adapters::whose::Whose},
};

fn one(target: &Target) -> Vec<(String, String)> {
    vec![("InstanceId.1".to_owned(), target.id.clone())]
}

/// Starts a lifecycle action; what is done already is not asked for again.
pub(super) async fn act(cloud: &Cloud, target: &Target, action: &Action) -> Result<OperationHandle> {
    let call = Call::Act;
    let missing = || cloud.error(call, ErrorKind::NotFound { what: format!("machine {}", target.id) });
    let instance = instances::get_own(cloud, target, call).await?.ok_or_else(missing)?;
    let state = instance.state.as_str();
    let (operation, is_done, request) = match action {
        Action::Start => {
            let is_so = matches!(state, "running" | "pending");
            (Operation::Start(target.clone()), is_so, changes(call, "StartInstances", &one(target)))
        }
        Action::Stop => {
            let is_so = matches!(state, "stopped" | "stopping");
            (Operation::Stop(target.clone()), is_so, changes(call, "StopInstances", &one(target)))
        }
        Action::Resize { sku } => {
            let is_so = instance.kind == *sku;
            if !is_so && state != "stopped" {
                let message = format!("it is {state}; a machine must be stopped to change its size");
                return Err(cloud.error(call, ErrorKind::Conflict { message }));
            }
            let fields = [("InstanceId", target.id.as_str()), ("InstanceType.Value", sku.as_str())];
            let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
            let request = changes(call, "ModifyInstanceAttribute", &fields).for_sku(sku);
            (Operation::Resize(target.clone(), sku.clone()), is_so, request)
        }
        Action::Other { name } if name == "reboot" => {
            (Operation::Reboot(target.clone()), false, changes(call, "RebootInstances", &one(target)))
        }
        Action::Other { .. } => return Err(cloud.error(call, ErrorKind::Unsupported)),
    };
    if !is_done {
        let response = cloud.client(&target.region, call)?.send_ok(&request).await?;
        // Another document is nobody's word that it was done.
        if let Some(other) = wire::read(&response, wire::done)?.into_iter().find(|id| *id != target.id) {
            let message = format!("asked for an action on {}, it tells of {other}", target.id);
            return Err(response.protocol_error(message));
        }
    }
    Ok(Whose::of(instances::key_of(&instance).as_ref()).handle(&operation.text()))
}

/// Ends a machine.
pub(super) async fn release(cloud: &Cloud, target: Target) -> Result<OperationHandle> {
    let call = Call::Release;
    let nothing = || Ok(Whose::default().handle(&Operation::Nothing.text()));
    let Some(instance) = instances::get_own(cloud, &target, call).await? else { return nothing() };
    if instance.state != "shutting-down" {
        instances::check_attached(cloud, &instance, call)?;
    }
    let whose = Whose::of(instances::key_of(&instance).as_ref());
    match terminate(cloud, &target).await? {
        true => Ok(whose.handle(&Operation::Release(target).text())),
        false => nothing(),
    }
}

/// Asks for a machine's end; whether there still was one.
async fn terminate(cloud: &Cloud, target: &Target) -> Result<bool> {
    let call = Call::Release;
    cloud
        .client(&target.region, call)?
        .delete_if_exists(&changes(call, "TerminateInstances", &one(target)))
        .await
}

fn running() -> OperationStatus {
    OperationStatus::Running { percent: None }
}

/// How far a release is.
pub(super) async fn poll_release(cloud: &Cloud, target: &Target, whose: &Whose) -> Result<OperationStatus> {
    let call = Call::Poll;
    let gone = OperationStatus::Succeeded(None);
    let Some(instance) = instances::get_own(cloud, target, call).await? else { return Ok(gone) };
    let may_end = whose.may_end(instances::key_of(&instance).as_ref());
    if !may_end.map_err(|kind| cloud.error(call, kind))? {
        return Ok(gone);
    }
    if instance.state == "shutting-down" {
        return Ok(running());
    }
    // The request was lost.
    instances::check_attached(cloud, &instance, call)?;
    match terminate(cloud, target).await? {
        true => Ok(running()),
        false => Ok(gone),
    }
}

/// How far another operation is.
pub(super) async fn poll(
    cloud: &Cloud,
    operation: &Operation,
    target: &Target,
    whose: &Whose,
) -> Result<OperationStatus> {
    let call = Call::Poll;
    let missing = || cloud.error(call, ErrorKind::NotFound { what: format!("machine {}", target.id) });
    let Some(instance) = instances::look(cloud, target, call).await? else {
        // What was just made may not be shown yet.
        let is_new = matches!(operation, Operation::Provision(_));
        return if is_new { Ok(running()) } else { Err(missing()) };
    };
    if !whose.is_of(instances::key_of(&instance).as_ref()) {
        return Err(missing());
    }
    if instance.state == "terminated" {
        return Ok(ended(&instance));
    }
    let state = instance.state.as_str();
    let is_done = match operation {
        Operation::Provision(_) | Operation::Start(_) => state == "running",
        Operation::Stop(_) => state == "stopped",
        Operation::Resize(_, sku) => instance.kind == *sku,
        Operation::Reboot(_) | Operation::Release(_) | Operation::ReleaseVolume(_) | Operation::Nothing => {
            true
        }
    };
    let is_made = matches!(operation, Operation::Provision(_));
    let lag = Duration::from_millis(cloud.config.list_lag_ms);
    let is_over = match operation {
        Operation::Provision(_) => matches!(state, "stopping" | "stopped" | "shutting-down"),
        Operation::Start(_) => matches!(state, "stopping" | "stopped" | "shutting-down"),
        Operation::Stop(_) => matches!(state, "running" | "pending" | "shutting-down"),
        _ => true,
    };
    if is_done {
        if matches!(operation, Operation::Provision(_)) {
            instances::note_disks(cloud, target, &instance).await?;
        }
        let service = instances::service_of(cloud, &target.region, &instance, call)?;
        Ok(OperationStatus::Succeeded(Some(service)))
    } else if is_over && (is_made || whose.is_settled(lag)) {
        Ok(ended(&instance))
    } else {
        // Answers may be older than the action: for as long as the cloud is said to lag.
        Ok(running())
    }
}

/// Over without success.
fn ended(instance: &wire::Instance) -> OperationStatus {
    let code = instance.reason.as_deref().unwrap_or("no reason is given");
    let reason = format!("it is {}: {}", instance.state, code.chars().take(200).collect::<String>());
    OperationStatus::Failed { reason, shortage: shortage_of(code) }
}
