//! Actions on a server, its end, and how far operations are.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    UpCloud,
    handle::{Handle, disk_of, is_plain, server_of},
    services::key_of,
    volumes::{disk_title, key_of_disk},
    wire::{Server, ServerReply},
};
use crate::{
    model::{Action, IdempotencyKey, ServiceId},
    provider::{
        Call, ErrorKind, OperationHandle, OperationStatus, ProviderError, Result,
        adapters::{
            common::{CallErrors, RUNNING, failed},
            operation_owner::OperationOwner,
        },
        http::{Method, Request},
    },
};

impl UpCloud {
    /// Begins an action. Sends nothing if the state is reached already.
    pub(super) async fn begin_action(&self, service: &ServiceId, action: &Action) -> Result<OperationHandle> {
        let call = Call::Act;
        let missing = || self.error(call, ErrorKind::NotFound { what: service.to_string() });
        let id = server_of(service).ok_or_else(missing)?;
        let server = self.server(call, id).await?.ok_or_else(missing)?;
        // Only services of this library are changed.
        let key = key_of(&server).ok_or_else(missing)?;
        let mut wanted = None;
        // A machine that does not stop within a minute is switched off.
        let soft = json!({ "stop_type": "soft", "timeout": "60", "timeout_action": "destroy" });
        let is_on = server.state == "started";
        let state = match action {
            Action::Start => {
                if !is_on {
                    self.post_action(call, id, "start", &json!({ "server": {} })).await?;
                }
                "started"
            }
            Action::Stop => {
                if is_on {
                    let gently = json!({ "stop_server": { "stop_type": "soft", "timeout": "60" } });
                    self.post_action(call, id, "stop", &gently).await?;
                }
                "stopped"
            }
            Action::Resize { sku } => {
                if server.plan != sku.as_str() {
                    let body = json!({ "server": { "plan": sku } });
                    let ask = Request::new(call, Method::PUT, ["server", id]).json(&body).for_sku(sku);
                    self.modify_server(call, id, &ask).await?;
                }
                wanted = Some(sku.clone());
                "stopped"
            }
            Action::Other { name } if name == "reboot" => {
                self.post_action(call, id, "restart", &json!({ "restart_server": soft })).await?;
                "started"
            }
            Action::Other { .. } => return Err(self.error(call, ErrorKind::Unsupported)),
        };
        Ok(OperationOwner::new(Some(&key))
            .handle(&Handle::Act { server: id.to_owned(), state: state.to_owned(), plan: wanted }.text()))
    }

    /// Begins to end a service.
    pub(super) async fn begin_release(&self, service: &ServiceId) -> Result<OperationHandle> {
        let call = Call::Release;
        if let Some(id) = disk_of(service) {
            let mut owner = OperationOwner::default();
            if let Some(disk) = self.disk(call, id).await? {
                let key = key_of_disk(&disk.title).ok_or_else(|| self.error(call, ErrorKind::Forbidden))?;
                self.check_unattached(call, &disk, None)?;
                owner = OperationOwner::new(Some(&key));
            }
            return Ok(owner.handle(&Handle::ReleaseVolume { disk: id.to_owned() }.text()));
        }
        let Some(id) = server_of(service) else {
            // This adapter has no such service.
            let nothing = Handle::Release { server: uuid::Uuid::nil().to_string(), disks: Vec::new() };
            return Ok(OperationOwner::default().handle(&nothing.text()));
        };
        let (disks, owner) = match self.server(call, id).await? {
            None => (Vec::new(), OperationOwner::default()),
            Some(server) => {
                let key = key_of(&server).ok_or_else(|| self.error(call, ErrorKind::Forbidden))?;
                (self.own_disks(call, &server, &key)?, OperationOwner::new(Some(&key)))
            }
        };
        if let Some(odd) = disks.iter().find(|disk| !is_plain(disk)) {
            return Err(self.protocol_error(call, &format!("the server {id} has a storage {odd:?}")));
        }
        Ok(owner.handle(&Handle::Release { server: id.to_owned(), disks }.text()))
    }

    /// How far an operation is.
    pub(super) async fn poll_operation(&self, operation: &OperationHandle) -> Result<OperationStatus> {
        let what = || operation.as_str().chars().take(60).collect();
        let unknown = || self.error(Call::Poll, ErrorKind::NotFound { what: what() });
        let (text, owner) = OperationOwner::parse(operation);
        let is_new = text.starts_with("create/");
        let (id, wanted, plan) = match Handle::parse(text).ok_or_else(unknown)? {
            Handle::Release { server, disks } => return self.poll_release(&server, &disks, &owner).await,
            Handle::ReleaseVolume { disk } => return self.delete_disks(None, &[disk], &owner).await,
            Handle::Provision { server } => (server, "started".to_owned(), None),
            Handle::Act { server, state, plan } => (server, state, plan),
        };
        match self.server(Call::Poll, &id).await? {
            None => Ok(failed("the server is gone")),
            Some(server) if server.state == wanted => match plan {
                Some(plan) if server.plan != plan.as_str() => {
                    Ok(match owner.is_past_lag(self.capabilities.list_lag()) {
                        true => failed(format!("the server is still a {}", server.plan)),
                        false => RUNNING,
                    })
                }
                _ => self.succeeded(&server, &owner),
            },
            // The server's own start has failed.
            Some(server) if is_new && server.state == "stopped" && owner.owns(key_of(&server).as_ref()) => {
                match self.post_action(Call::Act, &id, "start", &json!({ "server": {} })).await {
                    Ok(()) => Ok(RUNNING),
                    Err(error) => match error.kind {
                        ErrorKind::Conflict { .. } | ErrorKind::Ambiguous => Ok(RUNNING),
                        _ => Err(ProviderError { call: Call::Poll, ..error }),
                    },
                }
            }
            Some(server) if server.state == "error" => {
                Ok(failed("the provider reports an error of the server"))
            }
            Some(_) => Ok(RUNNING),
        }
    }

    async fn post_action(&self, call: Call, id: &str, action: &str, body: &Value) -> Result<()> {
        self.modify_server(call, id, &Request::post(call, ["server", id, action]).json(body)).await
    }

    /// Sends a change of a server. The response is the server.
    async fn modify_server(&self, call: Call, id: &str, ask: &Request) -> Result<()> {
        let ServerReply { server } = self.client.json(ask).await?;
        match server.uuid == id {
            true => Ok(()),
            false => {
                let message = format!("the response to a change of the server {id} is about {}", server.uuid);
                Err(self.protocol_error(call, &message))
            }
        }
    }

    fn succeeded(&self, server: &Server, owner: &OperationOwner) -> Result<OperationStatus> {
        let key = key_of(server);
        if key.is_none() {
            return Err(self
                .protocol_error(Call::Poll, &"the server has lost the label with its key; write it again"));
        }
        if !owner.owns(key.as_ref()) {
            return Err(self
                .error(Call::Poll, OperationOwner::stale_operation(format!("the server {}", server.uuid))));
        }
        Ok(OperationStatus::Succeeded(Some(self.service(Call::Poll, server)?)))
    }

    /// The disks that a server's purchase made.
    ///
    /// # Errors
    /// A conflict: something else is attached, which would end with the server.
    fn own_disks(&self, call: Call, server: &Server, key: &IdempotencyKey) -> Result<Vec<String>> {
        // A medium in the drive stays when the server ends.
        let disks = server.storage_devices.storage_device.iter().filter(|device| device.kind != "cdrom");
        let (own, others): (Vec<_>, Vec<_>) = disks.partition(|disk| disk.storage_title == disk_title(key));
        let others = others.iter().map(|disk| match disk.storage_title.as_str() {
            title if title.is_empty() || title == disk.storage => format!("the storage {}", disk.storage),
            title => format!("the storage {} ({title})", disk.storage),
        });
        let addresses = &server.ip_addresses.ip_address;
        let faces: BTreeSet<_> =
            addresses.iter().map(|ip| (ip.access.as_str(), ip.family.as_str())).collect();
        let several = faces.into_iter().filter(|(access, _)| matches!(*access, "public" | "utility"));
        let several = several.filter_map(|face| {
            let of_face = addresses.iter().filter(|ip| (ip.access.as_str(), ip.family.as_str()) == face);
            let of_face: Vec<_> = of_face.map(|ip| ip.address.as_str()).collect();
            (of_face.len() > 1).then(|| format!("the addresses {}, one of", of_face.join(" and ")))
        });
        let others: Vec<_> = others.chain(several).collect();
        match others.is_empty() {
            true => Ok(own.into_iter().map(|disk| disk.storage.clone()).collect()),
            false => Err(self.error(call, ErrorKind::attached(&server.uuid, &others))),
        }
    }

    /// The next step of a release: stop the server, delete it, delete its disks. Each step can be repeated. A refusal concerns
    /// a part: the handle stays valid, as nothing else knows the disks of a server that is gone.
    async fn poll_release(
        &self,
        id: &str,
        disks: &[String],
        owner: &OperationOwner,
    ) -> Result<OperationStatus> {
        let of_server = |error: ProviderError| error.of_part(format!("the server {id}"));
        let Some(server) = self.server(Call::Poll, id).await.map_err(of_server)? else {
            return self.delete_disks(Some(id), disks, owner).await;
        };
        let foreign = |kind| self.error(Call::Poll, kind);
        let key = key_of(&server);
        if !owner.may_release(key.as_ref()).map_err(foreign)? {
            return self.delete_disks(Some(id), disks, owner).await;
        }
        let key = key.ok_or_else(|| foreign(ErrorKind::Forbidden))?;
        let own = self.own_disks(Call::Poll, &server, &key)?;
        if !own.iter().all(|disk| disks.contains(disk)) {
            // A handle of an older version names no disks. Another release names them.
            let what = "a handle without the server's disks".to_owned();
            return Err(self.error(Call::Poll, ErrorKind::NotFound { what }));
        }
        let outcome = match server.state.as_str() {
            "started" => {
                let hard = json!({ "stop_server": { "stop_type": "hard" } });
                self.post_action(Call::Release, id, "stop", &hard).await
            }
            "maintenance" => return Ok(RUNNING),
            // Without its storages: a disk that is attached at this moment stays.
            _ => self.client.send_ok(&Request::delete(Call::Release, ["server", id])).await.map(drop),
        };
        match outcome {
            Ok(()) => Ok(RUNNING),
            Err(error) => match error.kind {
                ErrorKind::Conflict { .. } | ErrorKind::NotFound { .. } | ErrorKind::Ambiguous => Ok(RUNNING),
                _ => Err(of_server(error)),
            },
        }
    }
}
