//! What an operation's handle says: the provider has no operations of its own that would be kept.

use crate::model::{ServiceId, SkuId};

/// An operation under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Handle {
    /// A server is made with these volumes, if the answer was not lost, then started.
    Create(Place, Vec<Disk>),
    /// A server is to be in a state, and of a type where that was asked for.
    Reach(Place, String, Option<SkuId>),
    /// A server is stopped, then ended, then its volumes are.
    Delete(Place, Vec<Disk>),
    /// A volume that has outlived its server is ended.
    Volume(Left),
}

/// A volume of block storage in its zone, whose server is gone: what is left of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Left {
    pub(super) zone: String,
    pub(super) volume: String,
}

/// Stands between the zone and the volume in the name of what is left.
const VOLUME: &str = "/volume/";

impl Left {
    /// Of a service's name, `fr-par-1/volume/<id>`.
    pub(super) fn of(service: &ServiceId) -> Option<Self> {
        let (zone, volume) = service.as_str().split_once(VOLUME)?;
        (is_plain(zone) && is_plain(volume))
            .then(|| Self { zone: zone.to_owned(), volume: volume.to_owned() })
    }

    pub(super) fn service(&self) -> Option<ServiceId> {
        ServiceId::new(format!("{}{VOLUME}{}", self.zone, self.volume)).ok()
    }
}

/// A server in its zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) zone: String,
    pub(super) server: String,
}

/// A volume, and which API ends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Disk {
    pub(super) is_block: bool,
    pub(super) id: String,
}

impl Place {
    /// Of a service's name, `fr-par-1/<id>`.
    pub(super) fn of(service: &ServiceId) -> Option<Self> {
        let (zone, server) = service.as_str().split_once('/')?;
        (is_plain(zone) && is_plain(server))
            .then(|| Self { zone: zone.to_owned(), server: server.to_owned() })
    }

    pub(super) fn service(&self) -> Option<ServiceId> {
        ServiceId::new(format!("{}/{}", self.zone, self.server)).ok()
    }
}

impl Disk {
    /// As it stands in handles and tags.
    pub(super) fn text(&self) -> String {
        format!("{}{}", if self.is_block { 'b' } else { 'l' }, self.id)
    }

    pub(super) fn of(text: &str) -> Option<Self> {
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
            Self::Create(Place { zone, server }, disks) => format!("create/{zone}/{server}{}", texts(disks)),
            Self::Reach(Place { zone, server }, state, None) => format!("reach/{zone}/{server}/{state}"),
            Self::Reach(Place { zone, server }, state, Some(sku)) => {
                format!("reach/{zone}/{server}/{state}/{sku}")
            }
            Self::Delete(Place { zone, server }, disks) => {
                format!("delete/{zone}/{server}{}", texts(disks))
            }
            Self::Volume(Left { zone, volume }) => format!("volume/{zone}/{volume}"),
        }
    }

    pub(super) fn of(text: &str) -> Option<Self> {
        let place = |zone: &str, server: &str| Place { zone: zone.to_owned(), server: server.to_owned() };
        if let Some(rest) = text.strip_prefix("reach/") {
            let mut parts = rest.splitn(4, '/');
            let (zone, server, state) = (parts.next()?, parts.next()?, parts.next()?);
            let sku = parts.next().map(SkuId::new).transpose().ok()?;
            let are_plain = [zone, server, state].into_iter().all(is_plain);
            return are_plain.then(|| Self::Reach(place(zone, server), state.to_owned(), sku));
        }
        let parts: Vec<_> = text.split('/').collect();
        if !parts.iter().all(|part| is_plain(part)) {
            return None;
        }
        let all = |disks: &[&str]| disks.iter().map(|text| Disk::of(text)).collect::<Option<Vec<_>>>();
        match parts.as_slice() {
            ["create", zone, server, disks @ ..] => Some(Self::Create(place(zone, server), all(disks)?)),
            ["volume", zone, volume] => {
                Some(Self::Volume(Left { zone: (*zone).to_owned(), volume: (*volume).to_owned() }))
            }
            ["delete", zone, server, disks @ ..] => Some(Self::Delete(place(zone, server), all(disks)?)),
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
    fn a_handle_survives_as_text_and_nothing_else_is_one() {
        let place = || Place { zone: "fr-par-1".to_owned(), server: "5f-0".to_owned() };
        let disks =
            vec![Disk { is_block: true, id: "a1".to_owned() }, Disk { is_block: false, id: "b2".to_owned() }];
        for handle in [
            Handle::Create(place(), Vec::new()),
            Handle::Create(place(), disks.clone()),
            Handle::Reach(place(), "stopped".to_owned(), None),
            Handle::Reach(place(), "stopped".to_owned(), Some(SkuId::new("PRO2.XS/1").expect("a name"))),
            Handle::Delete(place(), disks),
            Handle::Delete(place(), Vec::new()),
            Handle::Volume(Left { zone: "fr-par-1".to_owned(), volume: "a1".to_owned() }),
        ] {
            assert_eq!(Handle::of(&handle.text()), Some(handle));
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
            assert_eq!(Handle::of(text), None, "{text}");
        }
    }
}
