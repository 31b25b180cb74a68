//! The disk that is made with a server and may outlive it.

use serde_json::Value;

use super::{
    UpCloud,
    handle::disk_service,
    services::key_of,
    wire::{self, Storage, StorageReply, Storages},
};
use crate::{
    model::{IdempotencyKey, Service, ServiceId, ServiceStatus, SkuId},
    provider::{
        Call, ErrorKind, OperationStatus, ProviderError, Result,
        adapters::{
            common::{CallErrors, RUNNING},
            operation_owner::OperationOwner,
        },
        http::Request,
    },
};

/// Ends the title of a server's disk.
const DISK_SUFFIX: &str = "-disk";
/// The kind of a disk. Other storages are backups, templates and media, and the customer's.
const DISK_KIND: &str = "normal";

impl UpCloud {
    pub(super) async fn storage(&self, call: Call, id: &str) -> Result<Option<Storage>> {
        let found: Option<StorageReply> =
            self.client.get_optional(&Request::get(call, ["storage", id])).await?;
        match found {
            Some(StorageReply { storage }) if storage.uuid != id => Err(self.protocol_error(
                call,
                &format!("the response to a request about the storage {id} is about {}", storage.uuid),
            )),
            found => Ok(found.map(|found| found.storage)),
        }
    }

    /// A disk by its id. Other storages do not exist here.
    pub(super) async fn disk(&self, call: Call, id: &str) -> Result<Option<Storage>> {
        Ok(self.storage(call, id).await?.filter(|storage| storage.kind == DISK_KIND))
    }

    /// The disk of a key whose server is not in the list, or the server that such a disk names. The list of storages has one
    /// page.
    pub(super) async fn orphaned_disk(&self, call: Call, key: &IdempotencyKey) -> Result<Option<Service>> {
        let response = self.client.send_ok(&Request::get(call, ["storage", "private"])).await?;
        let listed =
            response.json::<Storages>()?.storages.storage.conclusive(&response, wire::is_foreign_disk)?;
        let title = disk_title(key);
        let Some(left) = listed.iter().find(|storage| storage.kind == DISK_KIND && storage.title == title)
        else {
            return Ok(None);
        };
        // Only a single storage tells its servers; it may have gone since.
        let Some(left) = self.disk(call, &left.uuid).await? else { return Ok(None) };
        for holder in left.servers.iter().flat_map(|holders| &holders.server) {
            let server = self.server(call, holder).await?;
            if let Some(server) = server.filter(|server| key_of(server).as_ref() == Some(key)) {
                return self.service(call, &server).map(Some);
            }
        }
        self.orphan_service(call, &left).map(Some)
    }

    /// A disk without its server, as a failed service. The disk exists, so a field that cannot be read is an error.
    pub(super) fn orphan_service(&self, call: Call, disk: &Storage) -> Result<Service> {
        let odd = |what: &str| self.protocol_error(call, &format!("the storage {} has {what}", disk.uuid));
        let region = self.facts.regions.iter().find(|region| region.id.as_str() == disk.zone);
        let region = region.ok_or_else(|| odd(&format!("the zone {}, which is not known", disk.zone)))?;
        let sku = disk.tier.as_deref().unwrap_or("storage");
        Ok(Service {
            id: ServiceId::new(disk_service(&disk.uuid)).map_err(|error| odd(&error.to_string()))?,
            provider: self.id.clone(),
            key: key_of_disk(&disk.title),
            sku: SkuId::new(sku).map_err(|error| odd(&error.to_string()))?,
            place: self.place_of(region),
            status: ServiceStatus::Failed,
            attributes: [("left".to_owned(), "a disk without its server".to_owned())].into(),
        })
    }

    /// Checks that a disk is attached to no server but its own.
    pub(super) fn check_unattached(&self, call: Call, disk: &Storage, server: Option<&str>) -> Result<()> {
        let servers = disk.servers.iter().flat_map(|holders| &holders.server);
        let others = servers.filter(|holder| Some(holder.as_str()) != server);
        let others: Vec<_> = others.map(|holder| format!("the server {holder}")).collect();
        match others.is_empty() {
            true => Ok(()),
            false => {
                Err(self.error(call, ErrorKind::attached_to(format!("the storage {}", disk.uuid), &others)))
            }
        }
    }

    /// Deletes the disks of a server that is gone, each if nothing else has it by now. Their backups are the customer's.
    pub(super) async fn delete_disks(
        &self,
        server: Option<&str>,
        disks: &[String],
        owner: &OperationOwner,
    ) -> Result<OperationStatus> {
        for disk in disks {
            let of_disk = |error: ProviderError| error.of_part(format!("the storage {disk}"));
            let Some(found) = self.storage(Call::Poll, disk).await.map_err(of_disk)? else { continue };
            // Another order's disk has this id by now.
            if key_of_disk(&found.title).is_some_and(|key| owner.key().is_some_and(|own| *own != key)) {
                continue;
            }
            self.check_unattached(Call::Poll, &found, server)?;
            let ask = Request::delete(Call::Release, ["storage", disk]).query("backups", "keep");
            let is_there = match self.client.delete_if_exists(&ask).await {
                // An accepted request is not yet absence.
                Ok(true) => {
                    let ask = Request::get(Call::Poll, ["storage", disk]);
                    self.client.get_optional::<Value>(&ask).await.map_err(of_disk)?.is_some()
                }
                Ok(false) => false,
                // The disk is still attached to the server that is ending.
                Err(error) if matches!(error.kind, ErrorKind::Conflict { .. } | ErrorKind::Ambiguous) => true,
                Err(error) => return Err(of_disk(error)),
            };
            if is_there {
                return Ok(RUNNING);
            }
        }
        Ok(OperationStatus::Succeeded(None))
    }
}

/// The title of a server's disk. It identifies the disk without its server.
pub(super) fn disk_title(key: &IdempotencyKey) -> String {
    format!("{key}{DISK_SUFFIX}")
}

/// The key of a disk, by its title; none if this library did not make it.
pub(super) fn key_of_disk(title: &str) -> Option<IdempotencyKey> {
    IdempotencyKey::new(title.strip_suffix(DISK_SUFFIX)?).ok().filter(|key| key.step().is_some())
}
