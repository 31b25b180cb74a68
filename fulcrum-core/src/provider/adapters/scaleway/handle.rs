//! Operation handles, as text that survives a restart. The provider keeps no operations of its own.

use crate::model::{ServiceId, SkuId};

/// An operation under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Handle {
    /// A server is made and started. Its volumes are empty if the response that names them was lost.
    Provision { server: ServerRef, disks: Vec<Disk> },
    /// A server is to reach a state, and to have a type where one was asked for.
    Act { server: ServerRef, state: String, sku: Option<SkuId> },
    /// A server is stopped and ended, then its volumes are.
    Release { server: ServerRef, disks: Vec<Disk> },
    /// A volume without its server is ended.
    ReleaseVolume { volume: VolumeRef },
}

/// A server in its zone: `fr-par-1/<id>` as a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServerRef {
    pub(super) zone: String,
    pub(super) server: String,
}

impl ServerRef {
    /// None if the id is not one of this adapter's.
    pub(super) fn parse(service: &ServiceId) -> Option<Self> {
        let (zone, server) = service.as_str().split_once('/')?;
        (is_plain(zone) && is_plain(server))
            .then(|| Self { zone: zone.to_owned(), server: server.to_owned() })
    }

    pub(super) fn service(&self) -> Option<ServiceId> {
        ServiceId::new(format!("{}/{}", self.zone, self.server)).ok()
    }
}

/// A volume of block storage without its server, in its zone: `fr-par-1/volume/<id>` as a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct VolumeRef {
    pub(super) zone: String,
    pub(super) volume: String,
}

/// Stands between the zone and the volume in the id of its service.
const VOLUME_INFIX: &str = "/volume/";

impl VolumeRef {
    /// None if the id is not one of a volume.
    pub(super) fn parse(service: &ServiceId) -> Option<Self> {
        let (zone, volume) = service.as_str().split_once(VOLUME_INFIX)?;
        (is_plain(zone) && is_plain(volume))
            .then(|| Self { zone: zone.to_owned(), volume: volume.to_owned() })
    }

    pub(super) fn service(&self) -> Option<ServiceId> {
        ServiceId::new(format!("{}{VOLUME_INFIX}{}", self.zone, self.volume)).ok()
    }
}

/// A volume, and which API ends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Disk {
    pub(super) is_block: bool,
    pub(super) id: String,
}

impl Disk {
    /// Its form in handles and tags.
    pub(super) fn text(&self) -> String {
        format!("{}{}", if self.is_block { 'b' } else { 'l' }, self.id)
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let (kind, id) = text.split_at_checked(1)?;
        let is_block = match kind {
            "b" => true,
            "l" => false,
            _ => return None,
        };
        is_plain(id).then(|| Self { is_block, id: id.to_owned() })
    }
}

impl Handle {
    pub(super) fn text(&self) -> String {
        let texts = |disks: &[Disk]| disks.iter().map(|disk| format!("/{}", disk.text())).collect::<String>();
        match self {
            Self::Provision { server: ServerRef { zone, server }, disks } => {
                format!("create/{zone}/{server}{}", texts(disks))
            }
            Self::Act { server: ServerRef { zone, server }, state, sku: None } => {
                format!("reach/{zone}/{server}/{state}")
            }
            Self::Act { server: ServerRef { zone, server }, state, sku: Some(sku) } => {
                format!("reach/{zone}/{server}/{state}/{sku}")
            }
            Self::Release { server: ServerRef { zone, server }, disks } => {
                format!("delete/{zone}/{server}{}", texts(disks))
            }
            Self::ReleaseVolume { volume: VolumeRef { zone, volume } } => format!("volume/{zone}/{volume}"),
        }
    }

    /// None for a text that this adapter has not written.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let server_ref =
            |zone: &str, server: &str| ServerRef { zone: zone.to_owned(), server: server.to_owned() };
        if let Some(rest) = text.strip_prefix("reach/") {
            let mut parts = rest.splitn(4, '/');
            let (zone, server, state) = (parts.next()?, parts.next()?, parts.next()?);
            let sku = parts.next().map(SkuId::new).transpose().ok()?;
            let are_plain = [zone, server, state].into_iter().all(is_plain);
            let (server, state) = (server_ref(zone, server), state.to_owned());
            return are_plain.then_some(Self::Act { server, state, sku });
        }
        let parts: Vec<_> = text.split('/').collect();
        if !parts.iter().all(|part| is_plain(part)) {
            return None;
        }
        let all = |disks: &[&str]| disks.iter().map(|text| Disk::parse(text)).collect::<Option<Vec<_>>>();
        match parts.as_slice() {
            ["create", zone, server, disks @ ..] => {
                Some(Self::Provision { server: server_ref(zone, server), disks: all(disks)? })
            }
            ["volume", zone, volume] => {
                let volume = VolumeRef { zone: (*zone).to_owned(), volume: (*volume).to_owned() };
                Some(Self::ReleaseVolume { volume })
            }
            ["delete", zone, server, disks @ ..] => {
                Some(Self::Release { server: server_ref(zone, server), disks: all(disks)? })
            }
            _ => None,
        }
    }
}

fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 100
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | ' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_handle_is_read_and_nothing_else_is_one() {
        let server = || ServerRef { zone: "fr-par-1".to_owned(), server: "5f-0".to_owned() };
        let volume = VolumeRef { zone: "fr-par-1".to_owned(), volume: "a1".to_owned() };
        let stopped = || "stopped".to_owned();
        let sku = SkuId::new("PRO2.XS/1").expect("a name");
        let disks =
            vec![Disk { is_block: true, id: "a1".to_owned() }, Disk { is_block: false, id: "b2".to_owned() }];
        for (text, handle) in [
            ("create/fr-par-1/5f-0", Handle::Provision { server: server(), disks: Vec::new() }),
            ("create/fr-par-1/5f-0/ba1/lb2", Handle::Provision { server: server(), disks: disks.clone() }),
            ("reach/fr-par-1/5f-0/stopped", Handle::Act { server: server(), state: stopped(), sku: None }),
            (
                "reach/fr-par-1/5f-0/stopped/PRO2.XS/1",
                Handle::Act { server: server(), state: stopped(), sku: Some(sku) },
            ),
            ("delete/fr-par-1/5f-0/ba1/lb2", Handle::Release { server: server(), disks }),
            ("delete/fr-par-1/5f-0", Handle::Release { server: server(), disks: Vec::new() }),
            ("volume/fr-par-1/a1", Handle::ReleaseVolume { volume }),
        ] {
            assert_eq!(handle.text(), text);
            assert_eq!(Handle::parse(text), Some(handle));
        }
        for text in [
            "",
            "create",
            "create/a/b/c",
            "create/a/b/b",
            "create/../b",
            "delete/a/b/xc",
            "conformance-unknown",
            "reach/a//b",
        ] {
            assert_eq!(Handle::parse(text), None, "{text}");
        }
    }
}
