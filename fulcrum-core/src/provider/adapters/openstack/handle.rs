//! Names of services and operations, as text that survives a restart.

use crate::model::{RegionId, ServiceId, SkuId};

/// One thing in one region: `<region>/<uuid>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub region: RegionId,
    pub id: String,
    pub is_address: bool,
}

/// Stands before the identifier of a floating IP.
const FLOATING: &str = "ip-";

impl Target {
    pub(super) fn server(region: &RegionId, id: &str) -> Self {
        Self { region: region.clone(), id: id.to_owned(), is_address: false }
    }

    pub(super) fn address(region: &RegionId, id: &str) -> Self {
        Self { region: region.clone(), id: id.to_owned(), is_address: true }
    }

    /// None for what this adapter has not named.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (region, id) = text.split_once('/')?;
        let (id, is_address) = id.strip_prefix(FLOATING).map_or((id, false), |id| (id, true));
        uuid::Uuid::parse_str(id).ok()?;
        Some(Self { region: RegionId::new(region).ok()?, id: id.to_owned(), is_address })
    }

    fn text(&self) -> String {
        let floating = if self.is_address { FLOATING } else { "" };
        format!("{}/{floating}{}", self.region, self.id)
    }

    /// None if the cloud's identifier is none: too long, or with control characters.
    pub(super) fn service(&self) -> Option<ServiceId> {
        ServiceId::new(self.text()).ok()
    }
}

/// What is under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Operation {
    Provision(Target),
    Release(Target),
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
            Self::Provision(target) => format!("server/{}", target.text()),
            Self::Release(target) => format!("delete/{}", target.text()),
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
            // A flavor's name may hold a slash, what stands before it not.
            let mut parts = rest.splitn(3, '/');
            let target = Target::parse(&format!("{}/{}", parts.next()?, parts.next()?))?;
            return Some(Self::Resize(target, SkuId::new(parts.next()?).ok()?));
        }
        let target = Target::parse(rest)?;
        Some(match kind {
            "server" => Self::Provision(target),
            "delete" => Self::Release(target),
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
        let region = RegionId::new("GRA 11").expect("a name");
        let id = "0a1b2c3d-0a1b-2c3d-4e5f-0a1b2c3d4e5f";
        let (server, address) = (Target::server(&region, id), Target::address(&region, id));
        let sku = SkuId::new("b3/8").expect("a name");
        for operation in [
            Operation::Provision(server.clone()),
            Operation::Provision(address.clone()),
            Operation::Release(address),
            Operation::Nothing,
            Operation::Start(server.clone()),
            Operation::Stop(server.clone()),
            Operation::Reboot(server.clone()),
            Operation::Resize(server.clone(), sku),
        ] {
            assert_eq!(Operation::parse(&operation.text()), Some(operation));
        }
        let text = server.service().expect("a name").to_string();
        assert_eq!(Target::parse(&text), Some(server));
        for odd in
            ["", "server", "server/r", "server/r/../x", "other/r/0", "resize/r/1", "conformance-unknown"]
        {
            assert_eq!(Operation::parse(odd), None, "{odd}");
        }
    }
}
