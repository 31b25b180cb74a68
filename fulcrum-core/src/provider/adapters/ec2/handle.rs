//! Ids of services and operation handles, as text that survives a restart.

use crate::{
    model::{RegionId, ServiceId, SkuId},
    provider::adapters::common::Goal,
};

/// One machine in one region: `<region>/i-<hexadecimal>`; or a volume without its machine: `<region>/vol-<hexadecimal>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ResourceRef {
    pub region: RegionId,
    pub id: String,
}

/// Begins the id of a machine.
const MACHINE_PREFIX: &str = "i-";
/// Begins the id of a volume.
const VOLUME_PREFIX: &str = "vol-";

impl ResourceRef {
    /// A machine. None if the text is not the id of one.
    pub(super) fn new(region: &RegionId, id: &str) -> Option<Self> {
        is_id(id, MACHINE_PREFIX).then(|| Self { region: region.clone(), id: id.to_owned() })
    }

    /// A volume. None if the text is not the id of one.
    pub(super) fn volume(region: &RegionId, id: &str) -> Option<Self> {
        is_id(id, VOLUME_PREFIX).then(|| Self { region: region.clone(), id: id.to_owned() })
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let (region, id) = text.split_once('/')?;
        Self::new(&RegionId::new(region).ok()?, id)
    }

    pub(super) fn parse_volume(text: &str) -> Option<Self> {
        let (region, id) = text.split_once('/')?;
        Self::volume(&RegionId::new(region).ok()?, id)
    }

    fn text(&self) -> String {
        format!("{}/{}", self.region, self.id)
    }

    pub(super) fn service(&self) -> Option<ServiceId> {
        ServiceId::new(self.text()).ok()
    }
}

fn is_id(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix).is_some_and(|digits| {
        (8..=32).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

/// An operation under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Handle {
    Provision(ResourceRef),
    /// A machine is changed. The only action that sets no state is a reboot.
    Act(ResourceRef, Goal),
    Release(ResourceRef),
    /// A volume without its machine is ended.
    ReleaseVolume(ResourceRef),
    /// A release of what was never there.
    Nothing,
}

const NOTHING: &str = "nothing";

impl Handle {
    pub(super) fn text(&self) -> String {
        match self {
            Self::Nothing => NOTHING.to_owned(),
            Self::Provision(machine) => format!("instance/{}", machine.text()),
            Self::Act(machine, Goal::Running) => format!("start/{}", machine.text()),
            Self::Act(machine, Goal::Stopped) => format!("stop/{}", machine.text()),
            Self::Act(machine, Goal::Any) => format!("reboot/{}", machine.text()),
            Self::Act(machine, Goal::Sku(sku)) => format!("resize/{}/{sku}", machine.text()),
            Self::Release(machine) => format!("terminate/{}", machine.text()),
            Self::ReleaseVolume(volume) => format!("volume/{}", volume.text()),
        }
    }

    /// None for a text that this adapter has not written.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text == NOTHING {
            return Some(Self::Nothing);
        }
        let (kind, rest) = text.split_once('/')?;
        if kind == "resize" {
            let mut parts = rest.splitn(3, '/');
            let machine = ResourceRef::parse(&format!("{}/{}", parts.next()?, parts.next()?))?;
            return Some(Self::Act(machine, Goal::Sku(SkuId::new(parts.next()?).ok()?)));
        }
        if kind == "volume" {
            return ResourceRef::parse_volume(rest).map(Self::ReleaseVolume);
        }
        let machine = ResourceRef::parse(rest)?;
        Some(match kind {
            "instance" => Self::Provision(machine),
            "start" => Self::Act(machine, Goal::Running),
            "stop" => Self::Act(machine, Goal::Stopped),
            "reboot" => Self::Act(machine, Goal::Any),
            "terminate" => Self::Release(machine),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_handle_is_read_and_nothing_else_is_one() {
        let region = RegionId::new("eu-west-3").expect("a name");
        let machine = || ResourceRef::new(&region, "i-0123456789abcdef0").expect("an id");
        let volume = ResourceRef::volume(&region, "vol-0123456789abcdef0").expect("an id");
        let sku = SkuId::new("t3.small").expect("a name");
        for (text, handle) in [
            ("instance/eu-west-3/i-0123456789abcdef0", Handle::Provision(machine())),
            ("terminate/eu-west-3/i-0123456789abcdef0", Handle::Release(machine())),
            ("volume/eu-west-3/vol-0123456789abcdef0", Handle::ReleaseVolume(volume)),
            ("nothing", Handle::Nothing),
            ("start/eu-west-3/i-0123456789abcdef0", Handle::Act(machine(), Goal::Running)),
            ("stop/eu-west-3/i-0123456789abcdef0", Handle::Act(machine(), Goal::Stopped)),
            ("reboot/eu-west-3/i-0123456789abcdef0", Handle::Act(machine(), Goal::Any)),
            ("resize/eu-west-3/i-0123456789abcdef0/t3.small", Handle::Act(machine(), Goal::Sku(sku))),
        ] {
            assert_eq!(handle.text(), text);
            assert_eq!(Handle::parse(text), Some(handle));
        }
        for odd in [
            "",
            "start",
            "start/r",
            "start/r/i-..",
            "start/r/ami-01234567",
            "volume/r/i-01234567",
            "terminate/r/vol-01234567",
            "other/r/i-01234567",
            "resize/r/i-01234567",
        ] {
            assert_eq!(Handle::parse(odd), None, "{odd}");
        }
    }
}
