//! Volumes that are made with a server and may outlive it.

use futures::TryStreamExt;
use serde_json::{Value, json};

use super::{
    KEY_TAG, PAGE_SIZE, Scaleway,
    handle::{Disk, ServerRef, VolumeRef},
    lifecycle::is_transient,
    services::{key_in, key_of},
    wire::{self, Attachment, BlockVolume, BlockVolumes, Server, VolumeReply},
};
use crate::{
    model::{IdempotencyKey, Service, ServiceStatus, SkuId, ZoneId},
    provider::{
        Call, ErrorKind, OperationStatus, ProviderError, Result,
        adapters::{
            common::{CallErrors, RUNNING},
            operation_owner::OperationOwner,
        },
        http::{Method, Page, Request, Response, paginate},
    },
};

/// The kind of an attachment to a server.
const SERVER_ATTACHMENT: &str = "instance_server";
/// Begins the tag that records a volume of the purchase.
pub(super) const DISK_TAG: &str = "fulcrum-disk=";

impl Scaleway {
    async fn block(&self, call: Call, zone: &str, id: &str) -> Result<Option<BlockVolume>> {
        let ask = Request::get(call, ["block", "v1alpha1", "zones", zone, "volumes", id]);
        match self.client.get_optional::<BlockVolume>(&ask).await? {
            Some(block) if block.id != id => Err(self.protocol_error(
                call,
                &format!("the response to a request about the volume {id} is about {}", block.id),
            )),
            found => Ok(found),
        }
    }

    /// Tags the block volumes of a server with its key, so that a search finds them without the server.
    ///
    /// # Errors
    /// A retry may help. A final refusal is only logged.
    pub(super) async fn tag_volumes(&self, zone: &str, key: &IdempotencyKey, made: &[Disk]) -> Result<()> {
        for disk in made.iter().filter(|disk| disk.is_block) {
            let tags = json!({ "tags": [format!("{KEY_TAG}{key}")] });
            let mark = Request::new(Call::Act, Method::PATCH, path(zone, disk)).json(&tags);
            match self.client.send_ok(&mark).await {
                Ok(_) => {}
                // The volume is being made: a retry may help.
                Err(error)
                    if error.is_retryable()
                        || error.kind.may_have_happened()
                        || matches!(error.kind, ErrorKind::Conflict { .. }) =>
                {
                    return Err(error);
                }
                Err(error) => {
                    tracing::warn!(volume = disk.id, %error, "the volume could not be tagged; a search will not find it without its server");
                }
            }
        }
        Ok(())
    }

    /// The volume of a key in a zone whose server is not in the list, or the server that such a volume names.
    pub(super) async fn orphaned_volume(
        &self,
        call: Call,
        zone: &ZoneId,
        key: &IdempotencyKey,
    ) -> Result<Option<Service>> {
        let first = Request::get(call, ["block", "v1alpha1", "zones", zone.as_str(), "volumes"])
            .query("project_id", &self.settings.project)
            .query("tags", format!("{KEY_TAG}{key}"))
            .query("page_size", PAGE_SIZE)
            .query("page", 1);
        let listed = paginate(self.client.clone(), first, |request, response| {
            let page: BlockVolumes = response.json()?;
            let count = page.volumes.count();
            let next = next_volume_page(request, response, count, page.total_count)?;
            Ok(Page { items: page.volumes.conclusive(response, wire::is_foreign)?, next })
        });
        let listed: Vec<BlockVolume> = match listed.try_collect().await {
            Ok(listed) => listed,
            // By the API's own words this zone has no block storage.
            Err(error) if matches!(error.kind, ErrorKind::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let Some(block) = listed.into_iter().find(|block| key_in(&block.tags).as_ref() == Some(key)) else {
            return Ok(None);
        };
        for holder in block.references.iter().filter(|holder| holder.kind == SERVER_ATTACHMENT) {
            let place = ServerRef { zone: zone.to_string(), server: holder.id.clone() };
            let server = self.server(call, &place).await?;
            if let Some(server) = server.filter(|server| key_of(server).as_ref() == Some(key)) {
                return self.service(call, zone, &server).map(Some);
            }
        }
        self.orphan_service(call, zone, &block).map(Some)
    }

    /// A volume without its server, as a failed service. The volume exists, so a field that cannot be read is an error.
    fn orphan_service(&self, call: Call, zone: &ZoneId, block: &BlockVolume) -> Result<Service> {
        let odd = |what: &str| self.protocol_error(call, &format!("the volume {} has {what}", block.id));
        let region = self.facts.regions.iter().find(|region| region.zones.contains(zone));
        let region = region.ok_or_else(|| odd(&format!("the zone {zone}, which is not known")))?;
        let id = VolumeRef { zone: zone.to_string(), volume: block.id.clone() }.service();
        let sku = if block.kind.is_empty() { "volume" } else { &block.kind };
        Ok(Service {
            id: id.ok_or_else(|| odd("an id that is not valid"))?,
            provider: self.id.clone(),
            key: key_in(&block.tags),
            sku: SkuId::new(sku).map_err(|error| odd(&error.to_string()))?,
            place: self.place_of(region, zone),
            status: ServiceStatus::Failed,
            attributes: [("left".to_owned(), "a volume without its server".to_owned())].into(),
        })
    }

    pub(super) async fn describe_orphan(&self, call: Call, left: &VolumeRef) -> Result<Option<Service>> {
        let zone = ZoneId::new(&left.zone).map_err(|error| self.protocol_error(call, &error))?;
        self.check_zone(call, &left.zone, &left.volume)?;
        let block = self.block(call, &left.zone, &left.volume).await?;
        block.map(|block| self.orphan_service(call, &zone, &block)).transpose()
    }

    /// Checks that a volume without its server may be deleted: it has a key, which is returned, and no attachment. None if it
    /// is gone.
    pub(super) async fn check_orphan(&self, call: Call, left: &VolumeRef) -> Result<Option<IdempotencyKey>> {
        self.check_zone(call, &left.zone, &left.volume)?;
        let Some(block) = self.block(call, &left.zone, &left.volume).await? else { return Ok(None) };
        let key = key_in(&block.tags).ok_or_else(|| self.error(call, ErrorKind::Forbidden))?;
        self.check_unattached(call, &block.id, &block.references, None)?;
        Ok(Some(key))
    }

    /// Checks that a volume is attached to no server but its own.
    fn check_unattached(
        &self,
        call: Call,
        volume: &str,
        holders: &[Attachment],
        server: Option<&str>,
    ) -> Result<()> {
        let others = holders.iter().filter(|it| Some(it.id.as_str()) != server && it.status != "detaching");
        let others: Vec<_> = others
            .map(|it| match it.kind.as_str() {
                SERVER_ATTACHMENT | "" => format!("the server {}", it.id),
                kind => format!("the {kind} {}", it.id),
            })
            .collect();
        match others.is_empty() {
            true => Ok(()),
            false => Err(self.error(call, ErrorKind::attached_to(format!("the volume {volume}"), &others))),
        }
    }

    /// A volume's attachments and the key of its tag; none if the volume is gone.
    async fn attachments(
        &self,
        call: Call,
        zone: &str,
        disk: &Disk,
    ) -> Result<Option<(Vec<Attachment>, Option<IdempotencyKey>)>> {
        if disk.is_block {
            let block = self.block(call, zone, &disk.id).await?;
            return Ok(block.map(|block| (block.references, key_in(&block.tags))));
        }
        let found: Option<VolumeReply> =
            self.client.get_optional(&Request::get(call, path(zone, disk))).await?;
        if let Some(other) = found.as_ref().and_then(|it| it.volume.id.as_ref()).filter(|id| **id != disk.id)
        {
            return Err(self.protocol_error(
                call,
                &format!("the response to a request about the volume {} is about {other}", disk.id),
            ));
        }
        Ok(found.map(|found| {
            let holder = |it: wire::Named| Attachment {
                kind: SERVER_ATTACHMENT.to_owned(),
                id: it.id,
                status: String::new(),
            };
            (found.volume.server.map(holder).into_iter().collect(), None)
        }))
    }

    /// Deletes volumes whose server is gone, each if nothing else has it by now.
    pub(super) async fn delete_volumes(
        &self,
        zone: &str,
        disks: &[Disk],
        server: Option<&str>,
        owner: &OperationOwner,
    ) -> Result<OperationStatus> {
        for disk in disks {
            let of_disk = |error: ProviderError| error.of_part(format!("the volume {}", disk.id));
            let holders = self.attachments(Call::Poll, zone, disk).await.map_err(of_disk)?;
            let Some((holders, marked)) = holders else { continue };
            // Another order's volume has this id by now.
            if marked.is_some_and(|key| owner.key().is_some_and(|own| *own != key)) {
                continue;
            }
            self.check_unattached(Call::Poll, &disk.id, &holders, server)?;
            match self.client.delete_if_exists(&Request::delete(Call::Release, path(zone, disk))).await {
                // An accepted request is not yet absence.
                Ok(true) => {
                    let ask = Request::get(Call::Poll, path(zone, disk));
                    let left: Option<Value> = self.client.get_optional(&ask).await.map_err(of_disk)?;
                    if left.is_some() {
                        return Ok(RUNNING);
                    }
                }
                Ok(false) => {}
                // The disk is still attached to the server that is ending.
                Err(error) if is_transient(&error.kind) => return Ok(RUNNING),
                Err(error) => return Err(of_disk(ProviderError { call: Call::Poll, ..error })),
            }
        }
        Ok(OperationStatus::Succeeded(None))
    }
}

/// A volume's path in the API that it belongs to.
fn path<'a>(zone: &'a str, disk: &'a Disk) -> Vec<&'a str> {
    let api: &[&str] = if disk.is_block { &["block", "v1alpha1"] } else { &["instance", "v1"] };
    api.iter().copied().chain(["zones", zone, "volumes", &disk.id]).collect()
}

/// The next page of volumes. A list with fewer volumes than its total is incomplete.
fn next_volume_page(
    request: &Request,
    response: &Response,
    count: usize,
    total: u64,
) -> Result<Option<Request>> {
    let page = request.parameter("page").and_then(|page| page.parse::<u64>().ok()).unwrap_or(1);
    let seen = page.saturating_sub(1).saturating_mul(PAGE_SIZE.into()).saturating_add(count as u64);
    match (seen < total, count) {
        (false, _) => Ok(None),
        (true, 0) => {
            Err(response.protocol_error(format!("the list ends before its total of {total} volumes")))
        }
        (true, _) => Ok(Some(request.clone().next_page("page"))),
    }
}

/// The volumes that a server's purchase made, by its tags.
pub(super) fn recorded_disks(server: &Server) -> Vec<Disk> {
    server.tags.iter().filter_map(|tag| Disk::parse(tag.strip_prefix(DISK_TAG)?)).collect()
}

pub(super) fn disk_of(volume: &wire::Volume) -> Disk {
    Disk { is_block: volume.volume_type.starts_with("sbs"), id: volume.id.clone() }
}

/// The system disk.
pub(super) fn system_disk(server: &Server) -> Vec<Disk> {
    server.volumes.get("0").map(disk_of).into_iter().collect()
}
