//! What is done to servers, and how far it is. What takes several calls is driven by whoever polls.

use std::time::Duration;

use serde_json::json;

use super::{
    client::Cloud,
    errors::shortage_of,
    handle::{Handle, ResourceRef},
    provision, services, wire,
};
use crate::{
    model::{Action, ServiceStatus, SkuId},
    provider::{
        Call, ErrorKind, OperationHandle, OperationStatus, Result,
        adapters::{
            common::{CallErrors, Goal, RUNNING, failed, failed_for},
            operation_owner::OperationOwner,
        },
        http::Request,
    },
};

/// Starts a lifecycle action; what is under way or done already is not asked for again.
pub(super) async fn act(cloud: &Cloud, target: &ResourceRef, action: &Action) -> Result<OperationHandle> {
    let call = Call::Act;
    let missing = || cloud.error(call, ErrorKind::NotFound { what: format!("server {}", target.id) });
    if target.is_address {
        return Err(cloud.error(call, ErrorKind::Unsupported));
    }
    let server = services::get_own(cloud, target, call).await?.ok_or_else(missing)?;
    let task = server.task.as_deref();
    let (operation, is_under_way, body) = match action {
        Action::Start => {
            let is_so = task == Some("powering-on") || (task.is_none() && server.status == "ACTIVE");
            (Handle::Act(target.clone(), Goal::Running), is_so, json!({ "os-start": null }))
        }
        Action::Stop => {
            let is_so = task == Some("powering-off") || (task.is_none() && server.status == "SHUTOFF");
            (Handle::Act(target.clone(), Goal::Stopped), is_so, json!({ "os-stop": null }))
        }
        Action::Resize { sku } => {
            let flavor = cloud.flavor(&target.region, sku, call).await?;
            let is_so = matches!(server.status.as_str(), "RESIZE" | "VERIFY_RESIZE")
                || services::flavor_of(cloud, &target.region, &server, call).await?.as_deref()
                    == Some(sku.as_str());
            let body = json!({ "resize": { "flavorRef": flavor.id } });
            (Handle::Act(target.clone(), Goal::Sku(sku.clone())), is_so, body)
        }
        Action::Other { name } if name == "reboot" => {
            let is_so = task.is_some_and(|task| task.starts_with("reboot"));
            (Handle::Act(target.clone(), Goal::Any), is_so, json!({ "reboot": { "type": "SOFT" } }))
        }
        Action::Other { .. } => return Err(cloud.error(call, ErrorKind::Unsupported)),
    };
    if !is_under_way {
        let compute = cloud.compute(&target.region, call).await?;
        services::action(&compute, target, call, body).await?;
    }
    Ok(OperationOwner::new(services::key_of(&server).as_ref()).handle(&operation.text()))
}

/// Ends a server.
pub(super) async fn release(cloud: &Cloud, target: ResourceRef) -> Result<OperationHandle> {
    let call = Call::Release;
    let nothing = || Ok(OperationOwner::default().handle(&Handle::Nothing.text()));
    let Some(server) = services::get_own(cloud, &target, call).await? else { return nothing() };
    if services::status_of(&server) != ServiceStatus::Releasing {
        services::check_attached(cloud, &server, call)?;
    }
    let compute = cloud.compute(&target.region, call).await?;
    let request = compute.with_version(Request::delete(call, ["servers", &target.id]));
    match compute.client.delete_if_exists(&request).await? {
        true => {
            let owner = OperationOwner::new(services::key_of(&server).as_ref());
            Ok(owner.handle(&Handle::Release(target).text()))
        }
        false => nothing(),
    }
}

/// How far a release is.
pub(super) async fn poll_release(cloud: &Cloud, target: &ResourceRef) -> Result<OperationStatus> {
    let Some(server) = services::get(cloud, target, Call::Poll).await? else {
        return Ok(OperationStatus::Succeeded(None));
    };
    // Nova marks a server before it answers the order to delete it.
    Ok(match server.status.as_str() {
        _ if services::is_busy(&server) => RUNNING,
        "BUILD" => RUNNING,
        status => failed(format!("the server is {status} and no longer being deleted{}", fault_of(&server))),
    })
}

fn fault_of(server: &wire::Server) -> String {
    server.fault.as_ref().map(|fault| format!(": {}", fault.message)).unwrap_or_default()
}

/// How far another operation is.
pub(super) async fn poll(
    cloud: &Cloud,
    operation: &Handle,
    target: &ResourceRef,
    owner: &OperationOwner,
) -> Result<OperationStatus> {
    let call = Call::Poll;
    let missing = || cloud.error(call, ErrorKind::NotFound { what: format!("server {}", target.id) });
    let server = services::get(cloud, target, call).await?.ok_or_else(missing)?;
    if !owner.owns(services::key_of(&server).as_ref()) {
        return Err(missing());
    }
    if server.status == "ERROR" {
        let fault = server.fault.as_ref().map_or("it is broken", |fault| &fault.message);
        return Ok(failed_for(fault.chars().take(500).collect::<String>(), shortage_of(fault)));
    }
    let is_busy = services::is_busy(&server);
    let is_done = match operation {
        Handle::Provision(_) if server.status == "BUILD" => return Ok(RUNNING),
        Handle::Provision(_) => true,
        Handle::Act(_, Goal::Sku(sku)) => return poll_resize(cloud, target, &server, sku, owner).await,
        _ if is_busy => return Ok(RUNNING),
        Handle::Act(_, Goal::Running) => server.status == "ACTIVE",
        Handle::Act(_, Goal::Stopped) => server.status == "SHUTOFF",
        Handle::Act(_, Goal::Any) => server.status == "ACTIVE",
        Handle::Release(_) | Handle::Nothing => true,
    };
    if is_done {
        if matches!(operation, Handle::Provision(_)) {
            provision::record_volumes(cloud, target, &server).await?;
        }
        succeeded(cloud, target, &server).await
    } else if !owner.is_past_lag(Duration::from_millis(cloud.config.list_lag_ms)) {
        // A database that is a copy may be older than the action.
        Ok(RUNNING)
    } else {
        Ok(failed(format!("it is {}", server.status)))
    }
}

async fn succeeded(cloud: &Cloud, target: &ResourceRef, server: &wire::Server) -> Result<OperationStatus> {
    let service = services::service_of(cloud, &target.region, server, Call::Poll).await?;
    Ok(OperationStatus::Succeeded(Some(service)))
}

/// A new size is confirmed, then written down, then done. Each call may be made again.
async fn poll_resize(
    cloud: &Cloud,
    target: &ResourceRef,
    server: &wire::Server,
    sku: &SkuId,
    owner: &OperationOwner,
) -> Result<OperationStatus> {
    let call = Call::Poll;
    let compute = cloud.compute(&target.region, call).await?;
    let flavor = services::flavor_of(cloud, &target.region, server, call).await?;
    let is_sized = flavor.as_deref() == Some(sku.as_str());
    match server.status.as_str() {
        "VERIFY_RESIZE" if services::is_busy(server) => Ok(RUNNING),
        "VERIFY_RESIZE" if !is_sized => Ok(failed("another resize waits for its confirmation")),
        "VERIFY_RESIZE" => {
            match services::action(&compute, target, call, json!({ "confirmResize": null })).await {
                // Somebody else, or nova itself, was faster.
                Err(error)
                    if matches!(
                        error.kind,
                        ErrorKind::Conflict { .. } | ErrorKind::InvalidRequest { .. }
                    ) => {}
                confirmed => confirmed?,
            }
            Ok(RUNNING)
        }
        _ if services::is_busy(server) || server.status == "RESIZE" => Ok(RUNNING),
        _ if !is_sized && !owner.is_past_lag(Duration::from_millis(cloud.config.list_lag_ms)) => Ok(RUNNING),
        _ if !is_sized => Ok(failed("the server kept its size; there may be no room for the new one")),
        _ => {
            if server.metadata.get(provision::SKU_FIELD).is_none_or(|known| known != sku.as_str()) {
                let body = json!({ "metadata": { (provision::SKU_FIELD): sku.as_str() } });
                let request = Request::post(call, ["servers", &target.id, "metadata"]).json(&body);
                compute.client.send_ok(&compute.with_version(request)).await?;
            }
            succeeded(cloud, target, server).await
        }
    }
}
