//! What is done to servers, and how far it is. What takes several calls is driven by whoever polls.

use std::time::Duration;

use serde_json::json;

use super::{
    cloud::Cloud,
    errors::shortage_of,
    handle::{Operation, Target},
    servers, wire,
};
use crate::{
    model::{Action, ServiceStatus, Shortage, SkuId},
    provider::{
        Call, ErrorKind, OperationHandle, OperationStatus, Result, adapters::whose::Whose, http::Request,
    },
};

/// Starts a lifecycle action; what is under way or done already is not asked for again.
pub(super) async fn act(cloud: &Cloud, target: &Target, action: &Action) -> Result<OperationHandle> {
    let call = Call::Act;
    let missing = || cloud.error(call, ErrorKind::NotFound { what: format!("server {}", target.id) });
    if target.is_address {
        return Err(cloud.error(call, ErrorKind::Unsupported));
    }
    let server = servers::get_own(cloud, target, call).await?.ok_or_else(missing)?;
    let task = server.task.as_deref();
    let (operation, is_under_way, body) = match action {
        Action::Start => {
            let is_so = task == Some("powering-on") || (task.is_none() && server.status == "ACTIVE");
            (Operation::Start(target.clone()), is_so, json!({ "os-start": null }))
        }
        Action::Stop => {
            let is_so = task == Some("powering-off") || (task.is_none() && server.status == "SHUTOFF");
            (Operation::Stop(target.clone()), is_so, json!({ "os-stop": null }))
        }
        Action::Resize { sku } => {
            let flavor = cloud.flavor(&target.region, sku, call).await?;
            let is_so = matches!(server.status.as_str(), "RESIZE" | "VERIFY_RESIZE")
                || servers::flavor_of(cloud, &target.region, &server, call).await?.as_deref()
                    == Some(sku.as_str());
            let body = json!({ "resize": { "flavorRef": flavor.id } });
            (Operation::Resize(target.clone(), sku.clone()), is_so, body)
        }
        Action::Other { name } if name == "reboot" => {
            let is_so = task.is_some_and(|task| task.starts_with("reboot"));
            (Operation::Reboot(target.clone()), is_so, json!({ "reboot": { "type": "SOFT" } }))
        }
        Action::Other { .. } => return Err(cloud.error(call, ErrorKind::Unsupported)),
    };
    if !is_under_way {
        let compute = cloud.compute(&target.region, call).await?;
        servers::action(&compute, target, call, body).await?;
    }
    Ok(Whose::of(servers::key_of(&server).as_ref()).handle(&operation.text()))
}

/// Ends a server.
pub(super) async fn release(cloud: &Cloud, target: Target) -> Result<OperationHandle> {
    let call = Call::Release;
    let nothing = || Ok(Whose::default().handle(&Operation::Nothing.text()));
    let Some(server) = servers::get_own(cloud, &target, call).await? else { return nothing() };
    if servers::status_of(&server) != ServiceStatus::Releasing {
        servers::check_attached(cloud, &server, call)?;
    }
    let compute = cloud.compute(&target.region, call).await?;
    let request = compute.speak(Request::delete(call, ["servers", &target.id]));
    match compute.client.delete_if_exists(&request).await? {
        true => {
            let whose = Whose::of(servers::key_of(&server).as_ref());
            Ok(whose.handle(&Operation::Release(target).text()))
        }
        false => nothing(),
    }
}

fn running() -> OperationStatus {
    OperationStatus::Running { percent: None }
}

fn failed(reason: impl Into<String>, shortage: Option<Shortage>) -> OperationStatus {
    OperationStatus::Failed { reason: reason.into(), shortage }
}

/// How far a release is.
pub(super) async fn poll_release(cloud: &Cloud, target: &Target) -> Result<OperationStatus> {
    let Some(server) = servers::get(cloud, target, Call::Poll).await? else {
        return Ok(OperationStatus::Succeeded(None));
    };
    // Nova marks a server before it answers the order to delete it.
    Ok(match server.status.as_str() {
        _ if servers::is_busy(&server) => running(),
        "BUILD" => running(),
        status => failed(format!("it is {status} and no longer being deleted{}", fault_of(&server)), None),
    })
}

fn fault_of(server: &wire::Server) -> String {
    server.fault.as_ref().map(|fault| format!(": {}", fault.message)).unwrap_or_default()
}

/// How far another operation is.
pub(super) async fn poll(
    cloud: &Cloud,
    operation: &Operation,
    target: &Target,
    whose: &Whose,
) -> Result<OperationStatus> {
    let call = Call::Poll;
    let missing = || cloud.error(call, ErrorKind::NotFound { what: format!("server {}", target.id) });
    let server = servers::get(cloud, target, call).await?.ok_or_else(missing)?;
    if !whose.is_of(servers::key_of(&server).as_ref()) {
        return Err(missing());
    }
    if server.status == "ERROR" {
        let fault = server.fault.as_ref().map_or("it is broken", |fault| &fault.message);
        return Ok(failed(fault.chars().take(500).collect::<String>(), shortage_of(fault)));
    }
    let is_busy = servers::is_busy(&server);
    let is_done = match operation {
        Operation::Provision(_) if server.status == "BUILD" => return Ok(running()),
        Operation::Provision(_) => true,
        Operation::Resize(_, sku) => return resized(cloud, target, &server, sku, whose).await,
        _ if is_busy => return Ok(running()),
        Operation::Start(_) => server.status == "ACTIVE",
        Operation::Stop(_) => server.status == "SHUTOFF",
        Operation::Reboot(_) => server.status == "ACTIVE",
        Operation::Release(_) | Operation::Nothing => true,
    };
    if is_done {
        if matches!(operation, Operation::Provision(_)) {
            servers::note_volumes(cloud, target, &server).await?;
        }
        succeeded(cloud, target, &server).await
    } else if !whose.is_settled(Duration::from_millis(cloud.config.list_lag_ms)) {
        // A database that is a copy may be older than the action.
        Ok(running())
    } else {
        Ok(failed(format!("it is {}", server.status), None))
    }
}

async fn succeeded(cloud: &Cloud, target: &Target, server: &wire::Server) -> Result<OperationStatus> {
    let service = servers::service_of(cloud, &target.region, server, Call::Poll).await?;
    Ok(OperationStatus::Succeeded(Some(service)))
}

/// A new size is confirmed, then written down, then done. Each call may be made again.
async fn resized(
    cloud: &Cloud,
    target: &Target,
    server: &wire::Server,
    sku: &SkuId,
    whose: &Whose,
) -> Result<OperationStatus> {
    let call = Call::Poll;
    let compute = cloud.compute(&target.region, call).await?;
    let flavor = servers::flavor_of(cloud, &target.region, server, call).await?;
    let is_sized = flavor.as_deref() == Some(sku.as_str());
    match server.status.as_str() {
        "VERIFY_RESIZE" if servers::is_busy(server) => Ok(running()),
        "VERIFY_RESIZE" if !is_sized => Ok(failed("another change of size waits to be confirmed", None)),
        "VERIFY_RESIZE" => {
            match servers::action(&compute, target, call, json!({ "confirmResize": null })).await {
                // Somebody else, or nova itself, was faster.
                Err(error)
                    if matches!(
                        error.kind,
                        ErrorKind::Conflict { .. } | ErrorKind::InvalidRequest { .. }
                    ) => {}
                confirmed => confirmed?,
            }
            Ok(running())
        }
        _ if servers::is_busy(server) || server.status == "RESIZE" => Ok(running()),
        _ if !is_sized && !whose.is_settled(Duration::from_millis(cloud.config.list_lag_ms)) => Ok(running()),
        _ if !is_sized => Ok(failed("it kept its size; there may be no room for the new one", None)),
        _ => {
            if server.metadata.get(servers::SKU).is_none_or(|known| known != sku.as_str()) {
                let body = json!({ "metadata": { (servers::SKU): sku.as_str() } });
                let request = Request::post(call, ["servers", &target.id, "metadata"]).json(&body);
                compute.client.send_ok(&compute.speak(request)).await?;
            }
            succeeded(cloud, target, server).await
        }
    }
}
