//! Actions on a server, its end, and how far operations are.

use serde_json::json;

use super::{
    Scaleway,
    handle::{Disk, Handle, ServerRef, VolumeRef},
    services::key_of,
    volumes::{recorded_disks, system_disk},
    wire::{Server, ServerReply, TaskReply},
};
use crate::{
    model::{Action, ServiceId, SkuId, ZoneId},
    provider::{
        Call, ErrorKind, OperationHandle, OperationStatus, ProviderError, Result,
        adapters::{
            common::{CallErrors, RUNNING, failed},
            operation_owner::OperationOwner,
        },
        http::{Method, Request},
    },
};

impl Scaleway {
    /// Begins an action. Sends nothing if the state is reached already.
    pub(super) async fn begin_action(&self, service: &ServiceId, action: &Action) -> Result<OperationHandle> {
        let call = Call::Act;
        let missing = || self.error(call, ErrorKind::NotFound { what: service.to_string() });
        let place = self.server_ref(call, service)?.ok_or_else(missing)?;
        let server = self.server(call, &place).await?.ok_or_else(missing)?;
        // Only services of this library are changed.
        let key = key_of(&server).ok_or_else(missing)?;
        let mut wanted = None;
        let state = match action {
            Action::Start => {
                if !matches!(server.state.as_str(), "running" | "starting") {
                    let sku = SkuId::new(&server.commercial_type).ok();
                    self.post_action(call, &place, "poweron", sku.as_ref()).await?;
                }
                "running"
            }
            Action::Stop => {
                if !matches!(server.state.as_str(), "stopped" | "stopping") {
                    self.post_action(call, &place, "poweroff", None).await?;
                }
                "stopped"
            }
            Action::Resize { sku } => {
                if server.commercial_type != sku.as_str() {
                    let path = ["instance", "v1", "zones", &place.zone, "servers", &place.server];
                    let patch = Request::new(call, Method::PATCH, path)
                        .json(&json!({ "commercial_type": sku }))
                        .for_sku(sku);
                    let told: ServerReply = self.client.json(&patch).await?;
                    if told.server.id != place.server {
                        let (asked, told) = (&place.server, &told.server.id);
                        let message =
                            format!("the response to a change of the server {asked} is about {told}");
                        return Err(self.protocol_error(call, &message));
                    }
                }
                wanted = Some(sku.clone());
                "stopped"
            }
            Action::Other { name } if name == "reboot" => {
                self.post_action(call, &place, "reboot", None).await?;
                "running"
            }
            Action::Other { .. } => return Err(self.error(call, ErrorKind::Unsupported)),
        };
        Ok(OperationOwner::new(Some(&key))
            .handle(&Handle::Act { server: place, state: state.to_owned(), sku: wanted }.text()))
    }

    /// Begins to end a service.
    pub(super) async fn begin_release(&self, service: &ServiceId) -> Result<OperationHandle> {
        let call = Call::Release;
        let unowned = |handle: Handle| Ok(OperationOwner::default().handle(&handle.text()));
        if let Some(left) = VolumeRef::parse(service) {
            let key = self.check_orphan(call, &left).await?;
            return Ok(
                OperationOwner::new(key.as_ref()).handle(&Handle::ReleaseVolume { volume: left }.text())
            );
        }
        let Some(place) = self.server_ref(call, service)? else {
            // This adapter has no such service.
            let unknown = ServerRef { zone: self.zones[0].to_string(), server: "0".to_owned() };
            return unowned(Handle::Release { server: unknown, disks: Vec::new() });
        };
        let Some(server) = self.server(call, &place).await? else {
            return unowned(Handle::Release { server: place, disks: Vec::new() });
        };
        let key = key_of(&server).ok_or_else(|| self.error(call, ErrorKind::Forbidden))?;
        // The volumes outlive the server and cost money, so the handle names them.
        let noted = recorded_disks(&server);
        let disks = if noted.is_empty() { system_disk(&server) } else { noted };
        self.check_attached(call, &server, &disks)?;
        Ok(OperationOwner::new(Some(&key)).handle(&Handle::Release { server: place, disks }.text()))
    }

    /// How far an operation is.
    pub(super) async fn poll_operation(&self, operation: &OperationHandle) -> Result<OperationStatus> {
        let unknown = || {
            self.error(
                Call::Poll,
                ErrorKind::NotFound { what: operation.as_str().chars().take(60).collect() },
            )
        };
        let (text, owner) = OperationOwner::parse(operation);
        match Handle::parse(text).ok_or_else(unknown)? {
            Handle::Provision { server: place, disks } => self.poll_provision(&place, &disks, &owner).await,
            Handle::Release { server: place, disks } => self.poll_release(&place, &disks, &owner).await,
            Handle::ReleaseVolume { volume: VolumeRef { zone, volume } } => {
                self.delete_volumes(&zone, &[Disk { is_block: true, id: volume }], None, &owner).await
            }
            Handle::Act { server: place, state, sku } => {
                let Some(server) = self.server(Call::Poll, &place).await? else {
                    return Ok(failed("the server is gone"));
                };
                self.check_owner(&server, &owner)?;
                let is_sized = sku.is_none_or(|sku| server.commercial_type == sku.as_str());
                match server.state == state {
                    true if is_sized => self.succeeded(&place, &server),
                    true if owner.is_past_lag(self.capabilities.list_lag()) => {
                        Ok(failed(format!("the server is still a {}", server.commercial_type)))
                    }
                    _ => Ok(RUNNING),
                }
            }
        }
    }

    pub(super) async fn post_action(
        &self,
        call: Call,
        place: &ServerRef,
        action: &str,
        sku: Option<&SkuId>,
    ) -> Result<()> {
        let path = ["instance", "v1", "zones", &place.zone, "servers", &place.server, "action"];
        let mut request = Request::post(call, path).json(&json!({ "action": action }));
        if let Some(sku) = sku {
            request = request.for_sku(sku);
        }
        // Any task confirms the action.
        self.client.json::<TaskReply>(&request).await.map(drop)
    }

    /// Checks that a server belongs to an operation's handle: no other server is tagged or started.
    pub(super) fn check_owner(&self, server: &Server, owner: &OperationOwner) -> Result<()> {
        let key = key_of(server);
        if key.is_none() {
            return Err(
                self.protocol_error(Call::Poll, &"the server has lost the tag with its key; write it again")
            );
        }
        match owner.owns(key.as_ref()) {
            true => Ok(()),
            false => {
                Err(self
                    .error(Call::Poll, OperationOwner::stale_operation(format!("the server {}", server.id))))
            }
        }
    }

    pub(super) fn succeeded(&self, place: &ServerRef, server: &Server) -> Result<OperationStatus> {
        let zone = ZoneId::new(&place.zone).map_err(|error| self.protocol_error(Call::Poll, &error))?;
        Ok(OperationStatus::Succeeded(Some(self.service(Call::Poll, &zone, server)?)))
    }

    /// Checks that a server has no other volumes than these.
    fn check_attached(&self, call: Call, server: &Server, disks: &[Disk]) -> Result<()> {
        let others = server.volumes.values().filter(|volume| !disks.iter().any(|disk| disk.id == volume.id));
        let others: Vec<_> = others
            .map(|volume| match &volume.name {
                Some(name) if *name != volume.id => format!("the volume {} ({name})", volume.id),
                _ => format!("the volume {}", volume.id),
            })
            .collect();
        match others.is_empty() {
            true => Ok(()),
            false => Err(self.error(call, ErrorKind::attached(&server.id, &others))),
        }
    }

    /// The next step of a release: stop the server, delete it, delete its volumes. Each step can be repeated. A refusal
    /// concerns a part: the handle stays valid, as nothing else knows the volumes of a server that is gone.
    async fn poll_release(
        &self,
        place: &ServerRef,
        disks: &[Disk],
        owner: &OperationOwner,
    ) -> Result<OperationStatus> {
        let running = Ok(RUNNING);
        let of_server = |error: ProviderError| error.of_part(format!("the server {}", place.server));
        let server = self.server(Call::Poll, place).await.map_err(of_server)?;
        // Another order's server has this id by now: the order's own server is gone.
        let is_ours = |server: &Server| owner.may_release(key_of(server).as_ref());
        let is_there = server.as_ref().map_or(Ok(false), is_ours);
        let is_there = is_there.map_err(|kind| self.error(Call::Poll, kind))?;
        if let Some(server) = server.filter(|_| is_there) {
            self.check_attached(Call::Poll, &server, disks)?;
            let outcome = match server.state.as_str() {
                "stopped" => {
                    let path = ["instance", "v1", "zones", &place.zone, "servers", &place.server];
                    self.client.send_ok(&Request::delete(Call::Release, path)).await.map(drop)
                }
                "running" | "stopped in place" => {
                    self.post_action(Call::Release, place, "poweroff", None).await
                }
                "locked" => return Ok(failed("the server is locked by the provider")),
                _ => Ok(()),
            };
            return match outcome {
                Err(error) if !is_transient(&error.kind) => {
                    Err(of_server(ProviderError { call: Call::Poll, ..error }))
                }
                _ => running,
            };
        }
        self.delete_volumes(&place.zone, disks, Some(&place.server), owner).await
    }
}

/// Whether a later retry is enough.
pub(super) fn is_transient(kind: &ErrorKind) -> bool {
    matches!(kind, ErrorKind::Conflict { .. } | ErrorKind::Ambiguous | ErrorKind::NotFound { .. })
}
