//! Names of services and operations, as text that survives a restart.

use crate::model::{RegionId, ServiceId, SkuId};

/// One machine in one region: `<region>/i-<hexadecimal>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub region: RegionId,
    pub id: String,
}

impl Target {
    /// None if the text is no identifier of a machine.
    pub(super) fn new(region: &RegionId, id: &str) -> Option<Self> {
        is_id(id, "i-").then(|| Self { region: region.clone(), id: id.to_owned() })
    }

    /// A volume whose machine is gone: `<region>/vol-<hexadecimal>`. None if the text is no identifier of a volume.
    pub(super) fn volume(region: &RegionId, id: &str) -> Option<Self> {
        is_id(id, VOLUME).then(|| Self { region: region.clone(), id: id.to_owned() })
    }

    /// The same of a service's name.
    pub(super) fn parse_volume(text: &str) -> Option<Self> {
        let (region, id) = text.split_once('/')?;
        Self::volume(&RegionId::new(region).ok()?, id)
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let (region, id) = text.split_once('/')?;
        Self::new(&RegionId::new(region).ok()?, id)
    }

    fn text(&self) -> String {
        format!("{}/{}", self.region, self.id)
    }

    pub(super) fn service(&self) -> Option<ServiceId> {
        ServiceId::new(self.text()).ok()
    }
}

/// Begins the identifier of a volume.
const VOLUME: &str = "vol-";

fn is_id(text: &str, begin: &str) -> bool {
    text.strip_prefix(begin).is_some_and(|digits| {
        (8..=32).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

/// What is under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Operation {
    Provision(Target),
    Release(Target),
    /// A volume that has outlived its machine is ended.
    ReleaseVolume(Target),
    /// A release of what was never there.
    Nothing,
    Start(Target),
    Stop(Target),
    Reboot(Target),
    Resize(Target, SkuId),
}

const NOTHING: &str = "nothing";

impl Operation {
    pub(super) fn text(&self) -> String {
        match self {
            Self::Nothing => NOTHING.to_owned(),
            Self::Provision(target) => format!("instance/{}", target.text()),
            Self::Release(target) => format!("terminate/{}", target.text()),
            Self::ReleaseVolume(target) => format!("volume/{}", target.text()),
            Self::Start(target) => format!("start/{}", target.text()),
            Self::Stop(target) => format!("stop/{}", target.text()),
            Self::Reboot(target) => format!("reboot/{}", target.text()),
            Self::Resize(target, sku) => format!("resize/{}/{sku}", target.text()),
        }
    }

    /// None for what this adapter has not handed out.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text == NOTHING {
            return Some(Self::Nothing);
        }
        let (kind, rest) = text.split_once('/')?;
        if kind == "resize" {
            let mut parts = rest.splitn(3, '/');
            let target = Target::parse(&format!("{}/{}", parts.next()?, parts.next()?))?;
            return Some(Self::Resize(target, SkuId::new(parts.next()?).ok()?));
        }
        if kind == "volume" {
            return Target::parse_volume(rest).map(Self::ReleaseVolume);
        }
        let target = Target::parse(rest)?;
        Some(match kind {
            "instance" => Self::Provision(target),
            "terminate" => Self::Release(target),
            "start" => Self::Start(target),
            "stop" => Self::Stop(target),
            "reboot" => Self::Reboot(target),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_is_read_as_it_was_written_and_nothing_else_is() {
        let region = RegionId::new("eu-west-3").expect("a name");
        let target = Target::new(&region, "i-0123456789abcdef0").expect("an id");
        let sku = SkuId::new("t3.small").expect("a name");
        for operation in [
            Operation::Provision(target.clone()),
            Operation::Release(target.clone()),
            Operation::ReleaseVolume(Target::volume(&region, "vol-0123456789abcdef0").expect("an id")),
            Operation::Nothing,
            Operation::Start(target.clone()),
            Operation::Stop(target.clone()),
            Operation::Reboot(target.clone()),
            Operation::Resize(target, sku),
        ] {
            assert_eq!(Operation::parse(&operation.text()), Some(operation));
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
            assert_eq!(Operation::parse(odd), None, "{odd}");
        }
    }
}
