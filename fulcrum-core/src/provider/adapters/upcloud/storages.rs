//! Storages: the disk that is made with a server and may outlive it, and what an image costs.

use rust_decimal::Decimal;
use serde_json::{Number, Value};

use super::{
    RUNNING, UpCloud,
    handle::{disk_name, is_plain},
    key_of,
    wire::{self, OneStorage, Storage, Storages},
};
use crate::{
    model::{IdempotencyKey, Service, ServiceId, ServiceStatus, SkuId},
    provider::{
        Call, ErrorKind, OperationStatus, ProviderError, ProvisionRequest, Result, adapters::whose::Whose,
        http::Request,
    },
};

/// What a disk is called that is made with a server; so it is known again, also without its server.
pub(super) fn disk_title(key: &IdempotencyKey) -> String {
    format!("{key}{DISK}")
}

/// Ends the title of a disk that is made with a server.
const DISK: &str = "-disk";
/// What a storage is that is a disk; others are backups, templates and media, and the customer's.
const NORMAL: &str = "normal";

/// The key of what a disk was made with, by its title; none if this library did not make it.
pub(super) fn key_of_disk(title: &str) -> Option<IdempotencyKey> {
    IdempotencyKey::new(title.strip_suffix(DISK)?).ok().filter(|key| key.step().is_some())
}

impl UpCloud {
    pub(super) async fn storage(&self, call: Call, id: &str) -> Result<Option<Storage>> {
        let found: Option<OneStorage> =
            self.client.get_optional(&Request::get(call, ["storage", id])).await?;
        match found {
            Some(OneStorage { storage }) if storage.uuid != id => Err(self
                .protocol_error(call, &format!("asked for the storage {id}, it tells of {}", storage.uuid))),
            found => Ok(found.map(|found| found.storage)),
        }
    }

    /// A disk by itself: what is no disk does not exist here.
    pub(super) async fn disk(&self, call: Call, id: &str) -> Result<Option<Storage>> {
        Ok(self.storage(call, id).await?.filter(|storage| storage.kind == NORMAL))
    }

    /// What a key has made and the list of servers does not have: a disk that has outlived its server, or the server that such a
    /// disk names. The list of storages comes on one page.
    pub(super) async fn left_of(&self, call: Call, key: &IdempotencyKey) -> Result<Option<Service>> {
        let response = self.client.send_ok(&Request::get(call, ["storage", "private"])).await?;
        let listed =
            response.json::<Storages>()?.storages.storage.conclusive(&response, wire::is_foreign_disk)?;
        let title = disk_title(key);
        let Some(left) = listed.iter().find(|storage| storage.kind == NORMAL && storage.title == title)
        else {
            return Ok(None);
        };
        // Only by itself it tells on what it hangs; it may have gone since.
        let Some(left) = self.disk(call, &left.uuid).await? else { return Ok(None) };
        for holder in left.servers.iter().flat_map(|holders| &holders.server) {
            let server = self.server(call, holder).await?;
            if let Some(server) = server.filter(|server| key_of(server).as_ref() == Some(key)) {
                return self.service(call, &server).map(Some);
            }
        }
        self.left(call, &left).map(Some)
    }

    /// A disk whose server is gone, as what is left of a service. It exists: what cannot be read of it is an error.
    pub(super) fn left(&self, call: Call, disk: &Storage) -> Result<Service> {
        let odd = |what: &str| self.protocol_error(call, &format!("the storage {} has {what}", disk.uuid));
        let region = self.facts.regions.iter().find(|region| region.id.as_str() == disk.zone);
        let region = region.ok_or_else(|| odd(&format!("the zone {}, which is not known", disk.zone)))?;
        let sku = disk.tier.as_deref().unwrap_or("storage");
        Ok(Service {
            id: ServiceId::new(disk_name(&disk.uuid)).map_err(|error| odd(&error.to_string()))?,
            provider: self.id.clone(),
            key: key_of_disk(&disk.title),
            sku: SkuId::new(sku).map_err(|error| odd(&error.to_string()))?,
            place: self.place_of(region),
            status: ServiceStatus::Failed,
            attributes: [("left".to_owned(), "a disk without its server".to_owned())].into(),
        })
    }

    /// That a disk hangs on nothing but the server that it was made with.
    pub(super) fn check_held(&self, call: Call, disk: &Storage, server: Option<&str>) -> Result<()> {
        let servers = disk.servers.iter().flat_map(|holders| &holders.server);
        let others = servers.filter(|holder| Some(holder.as_str()) != server);
        let others: Vec<_> = others.map(|holder| format!("the server {holder}")).collect();
        match others.is_empty() {
            true => Ok(()),
            false => Err(self.error(call, ErrorKind::held(format!("the storage {}", disk.uuid), &others))),
        }
    }

    /// Ends the disks of a server that is gone, each if it hangs on nothing else by now. Backups of them are the customer's.
    pub(super) async fn end_disks(
        &self,
        server: Option<&str>,
        disks: &[String],
        whose: &Whose,
    ) -> Result<OperationStatus> {
        for disk in disks {
            let of_disk = |error: ProviderError| error.of_part(format!("the storage {disk}"));
            let Some(found) = self.storage(Call::Poll, disk).await.map_err(of_disk)? else { continue };
            // Another order's disk has got its name since.
            if key_of_disk(&found.title).is_some_and(|key| whose.key().is_some_and(|own| *own != key)) {
                continue;
            }
            self.check_held(Call::Poll, &found, server)?;
            let ask = Request::delete(Call::Release, ["storage", disk]).query("backups", "keep");
            let is_there = match self.client.delete_if_exists(&ask).await {
                // Accepted is not gone.
                Ok(true) => {
                    let ask = Request::get(Call::Poll, ["storage", disk]);
                    self.client.get_optional::<Value>(&ask).await.map_err(of_disk)?.is_some()
                }
                Ok(false) => false,
                // Still held by the server that is going.
                Err(error) if matches!(error.kind, ErrorKind::Conflict { .. } | ErrorKind::Ambiguous) => true,
                Err(error) => return Err(of_disk(error)),
            };
            if is_there {
                return Ok(RUNNING);
            }
        }
        Ok(OperationStatus::Succeeded(None))
    }

    /// The image that a request boots, if it can be had for what the plan costs.
    pub(super) async fn image(&self, request: &ProvisionRequest) -> Result<String> {
        let call = Call::Provision;
        let image = request.setting("image").unwrap_or_else(|| self.settings.image.clone());
        let refuse = |why: &str| {
            let message = format!("the image {image} {why}; choose another `image`");
            self.error(call, ErrorKind::InvalidRequest { message })
        };
        if !is_plain(&image) {
            return Err(refuse("is no identifier of a storage"));
        }
        let found = self.storage(call, &image).await?.ok_or_else(|| refuse("does not exist"))?;
        match found.license {
            Some(licence) if !is_nothing(&licence) => Err(refuse(&format!(
                "has a licence that is paid by the hour ({licence}), and no line has its price"
            ))),
            _ => Ok(image),
        }
    }
}

/// Whether a price is 0: what cannot be read is not.
fn is_nothing(price: &Number) -> bool {
    Decimal::from_str_exact(&price.to_string()).is_ok_and(|price| price.is_zero())
}
