//! What is in the cluster, as it is now.
//!
//! The cluster's list tells at once which numbers are taken and on which node; names and states in it may be some seconds old.
//! So those are asked for at the node.

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
    make::sizes,
    numbers::{key_of, numbers_of},
    wire::{Data, MachineConfig, PowerState, Resource, Task},
};
use crate::{
    model::{IdempotencyKey, Place, Resources, Service, ServiceId, ServiceStatus, SkuId},
    provider::{
        Call, ErrorKind, ProviderError, Result,
        http::{LenientList, Request},
    },
};

/// Begins the line of a machine's notes that says its key, which is its name as well.
pub(super) const KEY: &str = "fulcrum-key: ";
/// Begins the line of a machine's notes that says which product it is.
pub(super) const SKU: &str = "fulcrum-sku: ";
/// Begins the line of a machine's notes that names the disks which were made with it.
pub(super) const DISKS: &str = "fulcrum-disks: ";
/// The tag of a machine that has been made to its end.
pub(super) const MADE: &str = "fulcrum-made";
/// Where disks are attached; `unused` are those that were put aside.
const BUSES: [&str; 7] = ["scsi", "virtio", "sata", "ide", "efidisk", "tpmstate", "unused"];
/// Stands for a product that cannot be told yet.
const UNKNOWN: &str = "unknown";
/// Machines that are asked about at once.
const AT_ONCE: usize = 8;

/// A machine, and where it is.
#[derive(Debug, Clone)]
pub(super) struct Machine {
    pub(super) vmid: u64,
    pub(super) node: String,
    pub(super) config: MachineConfig,
    /// Whether it is a container: none of ours ever was one.
    pub(super) is_container: bool,
}

impl Machine {
    /// Whether its clone has just begun: it has no name yet.
    pub(super) fn is_begun(&self) -> bool {
        self.config.name.is_empty() && self.config.lock.as_deref() == Some("clone")
    }

    /// Whether it was started after it was made, and so belongs to its customer.
    pub(super) fn is_made(&self) -> bool {
        self.tags().any(|tag| tag == MADE)
    }

    pub(super) fn tags(&self) -> impl Iterator<Item = &str> {
        self.config.tags.split([';', ',', ' ']).filter(|tag| !tag.is_empty())
    }

    /// The product that it was sold as.
    pub(super) fn sku(&self) -> Option<SkuId> {
        let line = self.config.description.lines().find_map(|line| line.trim().strip_prefix(SKU));
        SkuId::new(line?).ok()
    }

    /// Its disks: where they are attached, and what the storage calls them. What lies in a drive is none.
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

    /// The disks that its purchase did not make. They hang on it, or were put aside.
    pub(super) fn foreign_disks(&self, system: &str) -> Vec<String> {
        let noted = self.config.description.lines().find_map(|line| line.trim().strip_prefix(DISKS));
        let noted: Option<BTreeSet<&str>> = noted.map(|noted| noted.split(' ').collect());
        let is_own = |slot: &str, name: &str| match &noted {
            Some(noted) => noted.contains(name),
            // Nobody has been given it yet, or its notes are gone: then the disk that it starts from is certain.
            None => !self.is_made() || slot == system || slot == "efidisk0" || slot == "tpmstate0",
        };
        let disks = self.disks().into_iter();
        disks
            .filter(|(slot, name)| !is_own(slot, name))
            .map(|(slot, name)| format!("the disk {slot} ({name})"))
            .collect()
    }

    /// That it has the processors and the memory that were bought, by its configuration.
    ///
    /// # Errors
    /// In words: what it has, and what was bought.
    pub(super) fn check_size(&self, size: &Resources) -> Result<(), String> {
        let told = |name: &str| self.config.rest.get(name);
        // What is not told is as the API makes it by itself.
        let number = |name: &str, otherwise: u64| match told(name) {
            None => Some(Decimal::from(otherwise)),
            Some(value) => decimal(value),
        };
        let wanted = sizes(size);
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

    /// Whether its configuration tells a smaller disk than that. Some storages do not say how large a disk is.
    pub(super) fn has_less_than(&self, system: &str, gib: u64) -> bool {
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
    pub(super) async fn get<T: DeserializeOwned>(&self, request: &Request) -> Result<T> {
        Ok(self.client.json::<Data<T>>(request).await?.data)
    }

    async fn rows(&self, call: Call) -> Result<LenientList<Resource>> {
        self.get(&Request::get(call, ["cluster", "resources"])).await
    }

    /// All that the token may see.
    pub(super) async fn resources(&self, call: Call) -> Result<Vec<Resource>> {
        // What is not among them is looked for by its number before anything follows from that.
        Ok(self.rows(call).await?.into_iter().collect())
    }

    /// The machine with a number, whosever it is; none after proof that the number is free.
    pub(super) async fn machine(&self, call: Call, vmid: u64) -> Result<Option<Machine>> {
        self.among(call, &self.resources(call).await?, vmid).await
    }

    async fn among(&self, call: Call, resources: &[Resource], vmid: u64) -> Result<Option<Machine>> {
        let is_it = |it: &&Resource| matches!(it.kind.as_str(), "qemu" | "lxc") && it.vmid == vmid;
        let Some(resource) = resources.iter().find(is_it) else {
            return self.prove_free(call, vmid).await.map(|()| None);
        };
        let node = resource.node.clone();
        if resource.kind == "lxc" {
            // A container is none of ours.
            return Ok(Some(Machine { vmid, node, config: MachineConfig::default(), is_container: true }));
        }
        let ask = Request::get(call, ["nodes", &node, "qemu", &vmid.to_string(), "config"]);
        match self.get::<Map<String, Value>>(&ask).await {
            Ok(config) => {
                let config =
                    config_of(config).map_err(|why| self.protocol_error(call, &format!("{vmid}: {why}")))?;
                Ok(Some(Machine { vmid, node, config, is_container: false }))
            }
            // It has gone or moved since the list was told: ask again.
            Err(error) if matches!(error.kind, ErrorKind::NotFound { .. }) => {
                let cause = format!("the machine {vmid} goes or moves at this moment");
                Err(self.error(call, ErrorKind::unavailable(cause)))
            }
            Err(error) => Err(error),
        }
    }

    /// The list leaves out what the token may not see; whether a number is free is told to everybody.
    async fn prove_free(&self, call: Call, vmid: u64) -> Result<()> {
        let ask = Request::get(call, ["cluster", "nextid"]).query("vmid", vmid);
        match self.get::<Value>(&ask).await {
            Ok(Value::String(free)) if free == vmid.to_string() => Ok(()),
            Ok(Value::Number(free)) if free.as_u64() == Some(vmid) => Ok(()),
            Ok(_) => {
                Err(self.protocol_error(call, &format!("asked whether {vmid} is free, it does not say so")))
            }
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
    /// A conflict: a machine of ours at such a number does not tell any more whose it is.
    pub(super) async fn of_key(
        &self,
        call: Call,
        resources: &[Resource],
        key: &IdempotencyKey,
    ) -> Result<Option<Machine>> {
        for vmid in numbers_of(key, self.config.vmids) {
            let Some(mut machine) = self.among(call, resources, vmid).await? else { continue };
            // While a clone is begun it has no name yet; nobody else takes numbers of ours.
            if machine.is_begun() {
                machine.config.name = key.to_string();
            }
            match self.key(&machine) {
                Some(its) if its == *key => return Ok(Some(machine)),
                None if machine.is_made() => return Err(self.has_lost_its_key(call, &machine)),
                _ => {}
            }
        }
        Ok(None)
    }

    /// Whose a machine is cannot be told: a person has changed its name and its notes, or somebody else's has the number.
    pub(super) fn has_lost_its_key(&self, call: Call, machine: &Machine) -> ProviderError {
        let message = format!(
            "the machine {} has neither the name nor the notes that it was made with; if it is the order's, \
             write the line `{KEY}` with its key into its notes",
            machine.vmid
        );
        self.error(call, ErrorKind::Conflict { message })
    }

    /// The machines that this library has made.
    pub(super) async fn own(&self, call: Call) -> Result<Vec<Service>> {
        let rows = self.rows(call).await?;
        let numbers = self.config.vmids.from..=self.config.vmids.to;
        // A list of services is whole: one that may be ours must not be missing from it.
        if let Some(odd) = rows.unreadable().iter().find(|odd| odd.may_match(|row| may_be_at(row, &numbers)))
        {
            let (name, why) = (&odd.name, &odd.reason);
            return Err(
                self.protocol_error(call, &format!("{name} cannot be read ({why}), and may be one of ours"))
            );
        }
        let resources: Vec<Resource> = rows.into_iter().collect();
        let listed = resources.iter().filter(|it| it.kind == "qemu" && numbers.contains(&it.vmid));
        let asked = listed.map(|it| async {
            match self.among(call, &resources, it.vmid).await {
                Ok(Some(machine)) if self.key(&machine).is_some() => {
                    let power = self.power(call, &machine).await?;
                    power.map(|power| self.service(call, &machine, &power)).transpose()
                }
                Ok(_) => Ok(None),
                Err(error) => Err(error),
            }
        });
        let asked: Vec<_> = asked.collect();
        let services: Vec<Option<Service>> = stream::iter(asked).buffered(AT_ONCE).try_collect().await?;
        Ok(services.into_iter().flatten().collect())
    }

    /// The key that a machine was made with: its name, or, where a person has given it another one, what its notes say. None if
    /// this library did not make it.
    pub(super) fn key(&self, machine: &Machine) -> Option<IdempotencyKey> {
        let noted = machine.config.description.lines().find_map(|line| line.trim().strip_prefix(KEY));
        [Some(machine.config.name.as_str()), noted]
            .into_iter()
            .flatten()
            .find_map(|name| key_of(name.trim(), machine.vmid, self.config.vmids))
    }

    /// Whether it runs; none if it has gone meanwhile.
    pub(super) async fn power(&self, call: Call, machine: &Machine) -> Result<Option<PowerState>> {
        let vmid = machine.vmid.to_string();
        match self.get::<PowerState>(&Request::get(call, machine.path(&vmid, &["status", "current"]))).await {
            Ok(power) if power.vmid != 0 && power.vmid != machine.vmid => {
                let message = format!("asked for the machine {vmid}, it tells of {}", power.vmid);
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
        let mut tasks: Vec<Task> = self.get(&ask).await?;
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
            // One that is not ours is not made by us.
            _ if !machine.is_made() && self.key(machine).is_some() => ServiceStatus::Starting,
            (_, "running") => ServiceStatus::Running,
            (_, "stopped") => ServiceStatus::Stopped,
            _ => ServiceStatus::Failed,
        };
        let sku = machine.sku().map_or_else(|| SkuId::new(UNKNOWN), Ok);
        Ok(Service {
            id: ServiceId::new(machine.vmid.to_string()).map_err(|error| odd(&error))?,
            provider: self.id.clone(),
            key: self.key(machine),
            sku: sku.map_err(|error| odd(&error))?,
            place: self.place_of(&machine.node).ok_or_else(|| odd(&"it is on no node of any region"))?,
            status,
            attributes: [("node".to_owned(), machine.node.clone())].into(),
        })
    }

    /// Where a node is. One that no region names, as a machine was moved there, counts for the first region.
    fn place_of(&self, node: &str) -> Option<Place> {
        let region = self.config.nodes.iter().find(|(_, nodes)| nodes.iter().any(|name| name == node));
        let (region, _) = region.or(self.config.nodes.iter().next())?;
        self.places.iter().find(|place| place.region == *region).cloned()
    }
}

/// Whether a row that cannot be read may be a machine with one of these numbers.
fn may_be_at(row: &Value, numbers: &RangeInclusive<u64>) -> bool {
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

/// A number, however it is written; memory may be `current=2048`.
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

/// How a machine is made, as its node tells it: of every machine there is something to tell.
fn config_of(config: Map<String, Value>) -> Result<MachineConfig, String> {
    if config.is_empty() {
        return Err("nothing is told of it".to_owned());
    }
    serde_json::from_value(Value::Object(config)).map_err(|error| error.to_string())
}
