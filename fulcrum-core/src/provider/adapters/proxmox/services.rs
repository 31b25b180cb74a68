//! Machines: found by their number, and read as services.
//!
//! The cluster's list tells at once which numbers are taken, and on which node. Its names and states may be some seconds old, so those
//! are read from the node.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
};

use futures::{StreamExt, TryStreamExt, stream};
use rust_decimal::{Decimal, prelude::ToPrimitive};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{
    Proxmox,
    provision::size_fields,
    vmid::{key_of, vmids_of},
    wire::{Data, MachineConfig, PowerState, Resource, Task},
};
use crate::{
    model::{IdempotencyKey, Place, Resources, Service, ServiceId, ServiceStatus, SkuId, map_of},
    provider::{
        Call, ErrorKind, ProviderError, Result,
        adapters::common::CallErrors,
        http::{LenientList, Request},
    },
};

/// Begins the line of a machine's notes with its key, which is also its name.
pub(super) const KEY_LINE: &str = "fulcrum-key: ";
/// Begins the line of a machine's notes with its product.
pub(super) const SKU_LINE: &str = "fulcrum-sku: ";
/// Begins the line of a machine's notes with the disks of its purchase.
pub(super) const DISKS_LINE: &str = "fulcrum-disks: ";
/// The tag of a machine whose purchase is complete.
pub(super) const MADE_TAG: &str = "fulcrum-made";
/// Buses that disks are attached to; `unused` are detached disks.
const BUSES: [&str; 7] = ["scsi", "virtio", "sata", "ide", "efidisk", "tpmstate", "unused"];
/// Stands for an unknown product.
const UNKNOWN_SKU: &str = "unknown";
/// Machines that are read in parallel.
const CONCURRENT_MACHINES: usize = 8;

/// A machine and its node.
#[derive(Debug, Clone)]
pub(super) struct Machine {
    pub(super) vmid: u64,
    pub(super) node: String,
    pub(super) config: MachineConfig,
    /// Whether it is a container: this library makes none.
    pub(super) is_container: bool,
}

impl Machine {
    /// Whether its clone has just begun, so that it has no name yet.
    pub(super) fn is_clone_starting(&self) -> bool {
        self.config.name.is_empty() && self.config.lock.as_deref() == Some("clone")
    }

    /// Whether its purchase is complete, so that it belongs to its customer.
    pub(super) fn is_made(&self) -> bool {
        self.tags().any(|tag| tag == MADE_TAG)
    }

    pub(super) fn tags(&self) -> impl Iterator<Item = &str> {
        self.config.tags.split([';', ',', ' ']).filter(|tag| !tag.is_empty())
    }

    /// The product that it was sold as.
    pub(super) fn sku(&self) -> Option<SkuId> {
        let line = self.config.description.lines().find_map(|line| line.trim().strip_prefix(SKU_LINE));
        SkuId::new(line?).ok()
    }

    /// Its disks: the bus, and the storage's name. A medium in a drive is not a disk.
    pub(super) fn disks(&self) -> BTreeMap<&str, &str> {
        let is_bus = |slot: &str| {
            let bus = slot.trim_end_matches(|c: char| c.is_ascii_digit());
            bus.len() < slot.len() && BUSES.contains(&bus)
        };
        let disks = self.config.rest.iter().filter_map(|(slot, value)| {
            let text = value.as_str().filter(|_| is_bus(slot))?;
            let is_drive = text.split(',').any(|option| option == "media=cdrom");
            let volume = text.split(',').next().filter(|_| !is_drive)?;
            let name = volume.rsplit([':', '/']).next()?;
            Some((slot.as_str(), name.split_once('.').map_or(name, |(name, _)| name)))
        });
        disks.collect()
    }

    /// Its disks, attached or detached, that its purchase did not make.
    pub(super) fn foreign_disks(&self, system: &str) -> Vec<String> {
        let noted = self.config.description.lines().find_map(|line| line.trim().strip_prefix(DISKS_LINE));
        let noted: Option<BTreeSet<&str>> = noted.map(|noted| noted.split(' ').collect());
        let is_own = |slot: &str, name: &str| match &noted {
            Some(noted) => noted.contains(name),
            // The purchase is not complete, or the notes are gone: only the system disk is certain.
            None => !self.is_made() || slot == system || slot == "efidisk0" || slot == "tpmstate0",
        };
        let disks = self.disks().into_iter();
        disks
            .filter(|(slot, name)| !is_own(slot, name))
            .map(|(slot, name)| format!("the disk {slot} ({name})"))
            .collect()
    }

    /// Checks that its configuration has the processors and the memory that were bought.
    ///
    /// # Errors
    /// In words: its size, and the size that was bought.
    pub(super) fn check_size(&self, size: &Resources) -> Result<(), String> {
        let told = |name: &str| self.config.rest.get(name);
        // A missing field has the API's default.
        let number = |name: &str, otherwise: u64| match told(name) {
            None => Some(Decimal::from(otherwise)),
            Some(value) => decimal(value),
        };
        let wanted = size_fields(size);
        let wanted = |name: &str| wanted.iter().find(|(it, _)| *it == name).map(|(_, value)| value.clone());
        for (name, otherwise) in [("cores", 1), ("memory", 512), ("cpulimit", 0)] {
            let bought = wanted(name).and_then(|value| value.parse::<Decimal>().ok()).unwrap_or_default();
            if number(name, otherwise) != Some(bought) {
                let has = told(name).map_or_else(|| otherwise.to_string(), ToString::to_string);
                return Err(format!("it has {name} {has}, and {bought} was bought"));
            }
        }
        Ok(())
    }

    /// Whether its configuration tells a smaller disk. Some storages do not tell the size of a disk.
    pub(super) fn has_smaller_disk(&self, system: &str, gib: u64) -> bool {
        let text = self.config.rest.get(system).and_then(Value::as_str).unwrap_or_default();
        let size = text.split(',').find_map(|option| option.strip_prefix("size="));
        size.and_then(bytes).is_some_and(|bytes| bytes >> 30 < gib)
    }

    /// A path below the machine's own.
    pub(super) fn path<'a>(&'a self, vmid: &'a str, rest: &[&'a str]) -> Vec<&'a str> {
        let mut path = vec!["nodes", self.node.as_str(), "qemu", vmid];
        path.extend(rest);
        path
    }
}

impl Proxmox {
    pub(super) async fn send_data<T: DeserializeOwned>(&self, request: &Request) -> Result<T> {
        Ok(self.client.json::<Data<T>>(request).await?.data)
    }

    async fn rows(&self, call: Call) -> Result<LenientList<Resource>> {
        self.send_data(&Request::get(call, ["cluster", "resources"])).await
    }

    /// All resources that the token may see.
    pub(super) async fn resources(&self, call: Call) -> Result<Vec<Resource>> {
        // The number of a machine that is missing here is checked before it counts as free.
        Ok(self.rows(call).await?.into_iter().collect())
    }

    /// The machine with a number, whoever made it; none after proof that the number is free.
    pub(super) async fn machine(&self, call: Call, vmid: u64) -> Result<Option<Machine>> {
        self.machine_among(call, &self.resources(call).await?, vmid).await
    }

    async fn machine_among(&self, call: Call, resources: &[Resource], vmid: u64) -> Result<Option<Machine>> {
        let is_it = |it: &&Resource| matches!(it.kind.as_str(), "qemu" | "lxc") && it.vmid == vmid;
        let Some(resource) = resources.iter().find(is_it) else {
            return self.prove_free(call, vmid).await.map(|()| None);
        };
        let node = resource.node.clone();
        if resource.kind == "lxc" {
            // This library makes no containers.
            return Ok(Some(Machine { vmid, node, config: MachineConfig::default(), is_container: true }));
        }
        let ask = Request::get(call, ["nodes", &node, "qemu", &vmid.to_string(), "config"]);
        match self.send_data::<Map<String, Value>>(&ask).await {
            Ok(config) => {
                let config =
                    config_of(config).map_err(|why| self.protocol_error(call, &format!("{vmid}: {why}")))?;
                Ok(Some(Machine { vmid, node, config, is_container: false }))
            }
            // The machine has gone or moved since the list was read.
            Err(error) if matches!(error.kind, ErrorKind::NotFound { .. }) => {
                let cause = format!("the machine {vmid} ends or moves at this moment; try again");
                Err(self.error(call, ErrorKind::unavailable(cause)))
            }
            Err(error) => Err(error),
        }
    }

    /// Checks that a number is free: the list leaves out machines that the token may not see, and this call does not.
    async fn prove_free(&self, call: Call, vmid: u64) -> Result<()> {
        let ask = Request::get(call, ["cluster", "nextid"]).query("vmid", vmid);
        match self.send_data::<Value>(&ask).await {
            Ok(Value::String(free)) if free == vmid.to_string() => Ok(()),
            Ok(Value::Number(free)) if free.as_u64() == Some(vmid) => Ok(()),
            Ok(_) => Err(self.protocol_error(
                call,
                &format!("the cluster does not say whether the number {vmid} is free"),
            )),
            Err(error) if matches!(error.kind, ErrorKind::InvalidRequest { .. }) => {
                tracing::warn!(
                    vmid,
                    "a machine is there that the token may not see: give it VM.Audit on /vms"
                );
                Err(self.error(call, ErrorKind::Forbidden))
            }
            Err(error) => Err(error),
        }
    }

    /// The machine of a key; none after proof that no number of the key has it.
    ///
    /// # Errors
    /// A conflict: a machine of this library at such a number has lost its key.
    pub(super) async fn machine_of_key(
        &self,
        call: Call,
        resources: &[Resource],
        key: &IdempotencyKey,
    ) -> Result<Option<Machine>> {
        for vmid in vmids_of(key, self.config.vmids) {
            let Some(mut machine) = self.machine_among(call, resources, vmid).await? else { continue };
            // A clone that has just begun has no name yet; nobody else uses these numbers.
            if machine.is_clone_starting() {
                machine.config.name = key.to_string();
            }
            match self.key(&machine) {
                Some(its) if its == *key => return Ok(Some(machine)),
                None if machine.is_made() => return Err(self.lost_key(call, &machine)),
                _ => {}
            }
        }
        Ok(None)
    }

    /// The error of a machine without a key: a person has changed its name and its notes, or a foreign machine has the number.
    pub(super) fn lost_key(&self, call: Call, machine: &Machine) -> ProviderError {
        let message = format!(
            "the machine {} has neither the name nor the notes that it was made with; if it is the order's, \
             write the line `{KEY_LINE}` with its key into its notes",
            machine.vmid
        );
        self.error(call, ErrorKind::Conflict { message })
    }

    /// The machines that this library has made.
    pub(super) async fn own_services(&self, call: Call) -> Result<Vec<Service>> {
        let rows = self.rows(call).await?;
        let numbers = self.config.vmids.from..=self.config.vmids.to;
        // A list of services is complete, so an unreadable row that may be this library's is an error.
        if let Some(odd) =
            rows.unreadable().iter().find(|odd| odd.may_match(|row| may_be_machine(row, &numbers)))
        {
            let (name, why) = (&odd.name, &odd.reason);
            return Err(self.protocol_error(
                call,
                &format!("{name} cannot be read ({why}), and may be a machine of this library"),
            ));
        }
        let resources: Vec<Resource> = rows.into_iter().collect();
        let listed = resources.iter().filter(|it| it.kind == "qemu" && numbers.contains(&it.vmid));
        let asked = listed.map(|it| async {
            match self.machine_among(call, &resources, it.vmid).await {
                Ok(Some(machine)) if self.key(&machine).is_some() => {
                    let power = self.power_state(call, &machine).await?;
                    power.map(|power| self.service(call, &machine, &power)).transpose()
                }
                Ok(_) => Ok(None),
                Err(error) => Err(error),
            }
        });
        let asked: Vec<_> = asked.collect();
        let services: Vec<Option<Service>> =
            stream::iter(asked).buffered(CONCURRENT_MACHINES).try_collect().await?;
        Ok(services.into_iter().flatten().collect())
    }

    /// The key that a machine was made with: its name or, if a person has renamed it, the line of its notes. None if this
    /// library did not make it.
    pub(super) fn key(&self, machine: &Machine) -> Option<IdempotencyKey> {
        let noted = machine.config.description.lines().find_map(|line| line.trim().strip_prefix(KEY_LINE));
        [Some(machine.config.name.as_str()), noted]
            .into_iter()
            .flatten()
            .find_map(|name| key_of(name.trim(), machine.vmid, self.config.vmids))
    }

    /// The power state of a machine; none if it has gone meanwhile.
    pub(super) async fn power_state(&self, call: Call, machine: &Machine) -> Result<Option<PowerState>> {
        let vmid = machine.vmid.to_string();
        match self
            .send_data::<PowerState>(&Request::get(call, machine.path(&vmid, &["status", "current"])))
            .await
        {
            Ok(power) if power.vmid != 0 && power.vmid != machine.vmid => {
                let message =
                    format!("the response to a request about the machine {vmid} is about {}", power.vmid);
                Err(self.protocol_error(call, &message))
            }
            Ok(power) => Ok(Some(power)),
            Err(error) if matches!(error.kind, ErrorKind::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A machine's tasks on its node, the newest first.
    pub(super) async fn tasks(&self, call: Call, machine: &Machine) -> Result<Vec<Task>> {
        let ask = Request::get(call, ["nodes", &machine.node, "tasks"])
            .query("vmid", machine.vmid)
            .query("source", "all")
            .query("limit", 50);
        let mut tasks: Vec<Task> = self.send_data(&ask).await?;
        tasks.sort_by_key(|task| std::cmp::Reverse(task.starttime));
        Ok(tasks)
    }

    /// A machine as a service, without a key if this library did not make it.
    pub(super) fn service(&self, call: Call, machine: &Machine, power: &PowerState) -> Result<Service> {
        let odd = |what: &dyn std::fmt::Display| {
            self.protocol_error(call, &format!("the machine {}: {what}", machine.vmid))
        };
        let lock = power.lock.as_deref().or(machine.config.lock.as_deref());
        let status = match (lock, power.status.as_str()) {
            (Some("destroyed"), _) => ServiceStatus::Releasing,
            // Only this library's machines have the tag.
            _ if !machine.is_made() && self.key(machine).is_some() => ServiceStatus::Starting,
            (_, "running") => ServiceStatus::Running,
            (_, "stopped") => ServiceStatus::Stopped,
            _ => ServiceStatus::Failed,
        };
        let sku = machine.sku().map_or_else(|| SkuId::new(UNKNOWN_SKU), Ok);
        Ok(Service {
            id: ServiceId::new(machine.vmid.to_string()).map_err(|error| odd(&error))?,
            provider: self.id.clone(),
            key: self.key(machine),
            sku: sku.map_err(|error| odd(&error))?,
            place: self.place_of(&machine.node).ok_or_else(|| odd(&"its node is in no region of `nodes`"))?,
            status,
            attributes: map_of([("node".to_owned(), machine.node.clone())]),
        })
    }

    /// The region of a node. A node that no region names, where a machine was moved to, counts for the first region.
    fn place_of(&self, node: &str) -> Option<Place> {
        let region = self.config.nodes.iter().find(|(_, nodes)| nodes.iter().any(|name| name == node));
        let (region, _) = region.or(self.config.nodes.iter().next())?;
        self.places.iter().find(|place| place.region == *region).cloned()
    }
}

impl Proxmox {
    /// A machine of this library by its service's id, which is a number.
    pub(super) async fn own_machine(&self, call: Call, service: &ServiceId) -> Result<Option<Machine>> {
        let Some(vmid) = vmid_of(service) else { return Ok(None) };
        let machine = self.machine(call, vmid).await?;
        Ok(machine.filter(|machine| self.key(machine).is_some()))
    }

    /// A machine as a service. A machine that goes meanwhile is an error to retry, not a proof of absence.
    pub(super) async fn describe_machine(&self, call: Call, machine: &Machine) -> Result<Service> {
        match self.power_state(call, machine).await? {
            Some(power) => self.service(call, machine, &power),
            None => {
                let cause = format!("the machine {} ends or moves at this moment; try again", machine.vmid);
                Err(self.error(call, ErrorKind::unavailable(cause)))
            }
        }
    }
}

/// Whether an unreadable row may be a machine with one of these numbers.
fn may_be_machine(row: &Value, numbers: &RangeInclusive<u64>) -> bool {
    let is_machine = row.get("type").is_none_or(|kind| kind.as_str().is_none_or(|kind| kind == "qemu"));
    let number = match row.get("vmid") {
        // A machine has a number.
        None | Some(Value::Null) => return false,
        Some(Value::Number(number)) => number.as_u64(),
        Some(Value::String(number)) => number.trim().parse().ok(),
        Some(_) => None,
    };
    is_machine && number.is_none_or(|number| numbers.contains(&number))
}

/// A number in any form; memory may be `current=2048`.
fn decimal(value: &Value) -> Option<Decimal> {
    match value {
        Value::Number(number) => number.to_string().parse().ok(),
        Value::String(text) => text.trim().trim_start_matches("current=").parse().ok(),
        _ => None,
    }
}

/// A disk's size: `20G`, `512M`, or bytes.
fn bytes(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match &text[digits.len()..] {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return None,
    };
    let number: Decimal = digits.parse().ok()?;
    number.checked_mul(Decimal::from(1_u64 << shift))?.trunc().to_u64()
}

/// A machine's configuration by its node. It is never empty.
fn config_of(config: Map<String, Value>) -> Result<MachineConfig, String> {
    if config.is_empty() {
        return Err("its configuration is empty".to_owned());
    }
    serde_json::from_value(Value::Object(config)).map_err(|error| error.to_string())
}

pub(super) fn vmid_of(service: &ServiceId) -> Option<u64> {
    service.as_str().parse().ok().filter(|vmid: &u64| vmid.to_string() == service.as_str())
}
