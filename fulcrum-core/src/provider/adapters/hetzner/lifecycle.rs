//! Actions on a server, its end, and how far operations are.

use serde_json::json;

use super::{
    Hetzner,
    handle::{Handle, number},
    services::key_of,
    wire::{ActionReply, Server},
};
use crate::{
    model::{Action, ServiceId},
    provider::{
        Call, ErrorKind, OperationHandle, OperationStatus, Result,
        adapters::{
            common::{CallErrors, Goal, RUNNING, failed, failed_for},
            operation_owner::OperationOwner,
        },
        http::Request,
        portable::{check_same_address, machine_type},
    },
};

impl Hetzner {
    /// Begins an action. Sends nothing if the state is reached already.
    pub(super) async fn begin_action(&self, service: &ServiceId, action: &Action) -> Result<OperationHandle> {
        let call = Call::Act;
        let missing = || self.error(call, ErrorKind::NotFound { what: service.to_string() });
        // Only services of this library are changed.
        let (server, _) = self.own_server(call, service).await?.ok_or_else(missing)?;
        let id = server.id;
        let is_off = server.status == "off";
        let nothing = json!({});
        let (begun, goal) = match action {
            Action::Start if is_off => {
                (Some(self.post_action(id, "poweron", &nothing).await?), Goal::Running)
            }
            Action::Start => (None, Goal::Running),
            Action::Stop if is_off => (None, Goal::Stopped),
            Action::Stop => (Some(self.post_action(id, "shutdown", &nothing).await?), Goal::Stopped),
            // The disk keeps its size, so that the server can be made smaller again.
            Action::Resize { sku } => {
                let wanted = machine_type(sku);
                let has = self.sku_of(&server).map_err(|error| self.protocol_error(call, &error))?;
                check_same_address(&has, sku).map_err(|why| self.invalid_request(call, why))?;
                let body = json!({ "server_type": wanted, "upgrade_disk": false });
                let begun = match server.server_type.name == wanted {
                    true => None,
                    false => Some(self.post_action(id, "change_type", &body).await?),
                };
                (begun, Goal::Sku(sku.clone()))
            }
            Action::Other { name } => match name.as_str() {
                "reboot" | "poweroff" | "reset" => {
                    (Some(self.post_action(id, name, &nothing).await?), Goal::Any)
                }
                _ => return Err(self.error(call, ErrorKind::Unsupported)),
            },
        };
        let handle = Handle::Act { server: id, action: begun, goal };
        Ok(OperationOwner::new(key_of(&server).as_ref()).handle(&handle.text()))
    }

    /// Begins to end a service.
    pub(super) async fn begin_release(&self, service: &ServiceId) -> Result<OperationHandle> {
        let call = Call::Release;
        // Ids are numbers above 0.
        let id = number(service.as_str()).unwrap_or(0);
        let mut owner = OperationOwner::default();
        if let Some(server) = self.server(call, id).await? {
            let key = key_of(&server);
            if key.is_none() {
                return Err(self.error(call, ErrorKind::Forbidden));
            }
            self.delete_server(call, &server).await?;
            owner = OperationOwner::new(key.as_ref());
        }
        Ok(owner.handle(&Handle::Release { server: id }.text()))
    }

    /// How far an operation is.
    pub(super) async fn poll_operation(&self, operation: &OperationHandle) -> Result<OperationStatus> {
        let call = Call::Poll;
        let what = || operation.as_str().chars().take(60).collect();
        let unknown = || self.error(call, ErrorKind::NotFound { what: what() });
        let (text, owner) = OperationOwner::parse(operation);
        match Handle::parse(text).ok_or_else(unknown)? {
            Handle::Provision { server, actions } => {
                for action in actions {
                    if let Some(status) = self.unfinished_action(action).await? {
                        return Ok(status);
                    }
                }
                self.poll_provision(server, &owner).await
            }
            Handle::Act { server, action, goal } => {
                if let Some(action) = action
                    && let Some(status) = self.unfinished_action(action).await?
                {
                    return Ok(status);
                }
                self.poll_action(server, &goal, &owner).await
            }
            Handle::Release { server } => {
                let Some(found) = self.server(call, server).await? else {
                    return Ok(OperationStatus::Succeeded(None));
                };
                let may_release = owner.may_release(key_of(&found).as_ref());
                if !may_release.map_err(|kind| self.error(call, kind))? {
                    return Ok(OperationStatus::Succeeded(None));
                }
                if found.status == "deleting" {
                    return Ok(RUNNING);
                }
                // The server is idle again, or the first request was lost.
                Ok(match self.delete_server(call, &found).await? {
                    true => RUNNING,
                    false => OperationStatus::Succeeded(None),
                })
            }
        }
    }

    /// Sends an action on a server. Returns the action's id.
    pub(super) async fn post_action(
        &self,
        server: u64,
        action: &str,
        body: &impl serde::Serialize,
    ) -> Result<u64> {
        let path = ["servers", &server.to_string(), "actions", action];
        let begun: ActionReply = self.client.json(&Request::post(Call::Act, path).json(body)).await?;
        let mut servers = begun.action.resources.iter().filter(|it| it.kind == "server");
        match servers.find(|it| it.id != server) {
            Some(other) => {
                let message =
                    format!("the response to an action on the server {server} is about {}", other.id);
                Err(self.protocol_error(Call::Act, &message))
            }
            None => Ok(begun.action.id),
        }
    }

    /// Deletes a server. Returns whether it still existed. Its disk, its addresses and its backups end with it; no purchase
    /// orders backups.
    async fn delete_server(&self, call: Call, server: &Server) -> Result<bool> {
        let volumes = server.volumes.iter().map(|id| format!("the volume {id}"));
        let addresses = server.public_net.floating_ips.iter().map(|id| format!("the floating IP {id}"));
        let backups = server.backup_window.iter().map(|window| format!("backups (made at {window})"));
        let parts: Vec<_> = volumes.chain(addresses).chain(backups).collect();
        if !parts.is_empty() {
            return Err(self.error(call, ErrorKind::attached(&server.name, &parts)));
        }
        let ask = Request::delete(Call::Release, ["servers", &server.id.to_string()]);
        match self.client.delete_if_exists(&ask).await {
            // The resource is busy: `poll` sends the request again.
            Err(error) if matches!(error.kind, ErrorKind::Conflict { .. }) => Ok(true),
            is_there => is_there,
        }
    }

    /// The status of an action; none if it has succeeded, or is so old that the API has forgotten it.
    async fn unfinished_action(&self, action: u64) -> Result<Option<OperationStatus>> {
        let ask = Request::get(Call::Poll, ["actions", &action.to_string()]);
        let Some(ActionReply { action: told }) = self.client.get_optional(&ask).await? else {
            return Ok(None);
        };
        if told.id != action {
            let message = format!("the response to a request about the action {action} is about {}", told.id);
            return Err(self.protocol_error(Call::Poll, &message));
        }
        let action = told;
        Ok(match (action.status.as_str(), action.error) {
            ("running", _) => Some(OperationStatus::Running { percent: Some(action.progress.min(100)) }),
            ("success", _) => None,
            (_, Some(cause)) => {
                let reason = format!("{} ({})", cause.message, cause.code);
                Some(failed_for(reason, cause.shortage()))
            }
            (other, None) => Some(failed(format!("the action ended as {other}"))),
        })
    }

    /// A server of this library whose actions are over. Otherwise the operation's status: running while the server is busy,
    /// failed if it is gone.
    pub(super) async fn idle_server(
        &self,
        id: u64,
        owner: &OperationOwner,
    ) -> Result<Result<Server, OperationStatus>> {
        let Some(server) = self.server(Call::Poll, id).await? else {
            return Ok(Err(failed("the server is gone")));
        };
        let key = key_of(&server);
        if key.is_none() {
            return Err(self.protocol_error(
                Call::Poll,
                &"the server has lost its name and its label; write the label again",
            ));
        }
        if !owner.owns(key.as_ref()) {
            return Err(self.error(Call::Poll, OperationOwner::stale_operation(format!("the server {id}"))));
        }
        let is_busy = matches!(
            server.status.as_str(),
            "initializing" | "starting" | "stopping" | "migrating" | "rebuilding"
        );
        Ok(if server.locked || is_busy { Err(RUNNING) } else { Ok(server) })
    }

    /// How far an action is, by the server's state. An action that is over was only passed on: a system may ignore the power
    /// button.
    async fn poll_action(&self, server: u64, goal: &Goal, owner: &OperationOwner) -> Result<OperationStatus> {
        let server = match self.idle_server(server, owner).await? {
            Ok(server) => server,
            Err(status) => return Ok(status),
        };
        let (status, kind) = (server.status.as_str(), server.server_type.name.as_str());
        let is_so = match goal {
            Goal::Any => true,
            Goal::Running => status == "running",
            Goal::Stopped => status == "off",
            Goal::Sku(sku) => kind == machine_type(sku),
        };
        if is_so {
            return Ok(OperationStatus::Succeeded(Some(self.service(Call::Poll, &server)?)));
        }
        let may_come = *goal == Goal::Stopped || !owner.is_past_lag(self.capabilities.list_lag());
        Ok(match may_come {
            true => RUNNING,
            false => failed(format!("the action is over, and the server is {status} and of the type {kind}")),
        })
    }
}
