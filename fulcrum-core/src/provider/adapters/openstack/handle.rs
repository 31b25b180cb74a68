//! Ids of services and operation handles, as text that survives a restart.

use crate::{
    model::{RegionId, ServiceId, SkuId},
    provider::adapters::common::Goal,
};

/// One server in one region: `<region>/<uuid>`; or a floating IP: `<region>/ip-<uuid>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ResourceRef {
    pub region: RegionId,
    pub id: String,
    pub is_address: bool,
}

/// Stands before the id of a floating IP.
const FLOATING_IP_PREFIX: &str = "ip-";

impl ResourceRef {
    pub(super) fn server(region: &RegionId, id: &str) -> Self {
        Self { region: region.clone(), id: id.to_owned(), is_address: false }
    }

    #[cfg(test)]
    pub(super) fn address(region: &RegionId, id: &str) -> Self {
        Self { region: region.clone(), id: id.to_owned(), is_address: true }
    }

    /// None if the text is not an id of this adapter's.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (region, id) = text.split_once('/')?;
        let (id, is_address) = id.strip_prefix(FLOATING_IP_PREFIX).map_or((id, false), |id| (id, true));
        uuid::Uuid::parse_str(id).ok()?;
        Some(Self { region: RegionId::new(region).ok()?, id: id.to_owned(), is_address })
    }

    pub(super) fn text(&self) -> String {
        let prefix = if self.is_address { FLOATING_IP_PREFIX } else { "" };
        format!("{}/{prefix}{}", self.region, self.id)
    }

    /// None if the cloud's id is too long, or has control characters.
    pub(super) fn service(&self) -> Option<ServiceId> {
        ServiceId::new(self.text()).ok()
    }
}

/// The id of the network that a service's id names.
pub(super) fn network_id<'a>(region: &RegionId, service: &'a str) -> Option<&'a str> {
    service.strip_prefix(region.as_str())?.strip_prefix("/network/")
}

/// An operation under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Handle {
    Provision(ResourceRef),
    /// A server is changed. The only action that sets no state is a reboot.
    Act(ResourceRef, Goal),
    Release(ResourceRef),
    /// A release of what was never there.
    Nothing,
}

const NOTHING: &str = "nothing";

impl Handle {
    pub(super) fn text(&self) -> String {
        match self {
            Self::Nothing => NOTHING.to_owned(),
            Self::Provision(resource) => format!("server/{}", resource.text()),
            Self::Act(server, Goal::Running) => format!("start/{}", server.text()),
            Self::Act(server, Goal::Stopped) => format!("stop/{}", server.text()),
            Self::Act(server, Goal::Any) => format!("reboot/{}", server.text()),
            Self::Act(server, Goal::Sku(sku)) => format!("resize/{}/{sku}", server.text()),
            Self::Release(resource) => format!("delete/{}", resource.text()),
        }
    }

    /// None for a text that this adapter has not written.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text == NOTHING {
            return Some(Self::Nothing);
        }
        let (kind, rest) = text.split_once('/')?;
        if kind == "resize" {
            // A flavor's name may have a slash; the parts before it may not.
            let mut parts = rest.splitn(3, '/');
            let server = ResourceRef::parse(&format!("{}/{}", parts.next()?, parts.next()?))?;
            return Some(Self::Act(server, Goal::Sku(SkuId::new(parts.next()?).ok()?)));
        }
        let resource = ResourceRef::parse(rest)?;
        Some(match kind {
            "server" => Self::Provision(resource),
            "start" => Self::Act(resource, Goal::Running),
            "stop" => Self::Act(resource, Goal::Stopped),
            "reboot" => Self::Act(resource, Goal::Any),
            "delete" => Self::Release(resource),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_handle_is_read_and_nothing_else_is_one() {
        let region = RegionId::new("GRA 11").expect("a name");
        let id = "0a1b2c3d-0a1b-2c3d-4e5f-0a1b2c3d4e5f";
        let (server, address) = (|| ResourceRef::server(&region, id), || ResourceRef::address(&region, id));
        let sku = SkuId::new("b3/8").expect("a name");
        for (text, handle) in [
            (format!("server/GRA 11/{id}"), Handle::Provision(server())),
            (format!("server/GRA 11/ip-{id}"), Handle::Provision(address())),
            (format!("delete/GRA 11/ip-{id}"), Handle::Release(address())),
            ("nothing".to_owned(), Handle::Nothing),
            (format!("start/GRA 11/{id}"), Handle::Act(server(), Goal::Running)),
            (format!("stop/GRA 11/{id}"), Handle::Act(server(), Goal::Stopped)),
            (format!("reboot/GRA 11/{id}"), Handle::Act(server(), Goal::Any)),
            (format!("resize/GRA 11/{id}/b3/8"), Handle::Act(server(), Goal::Sku(sku))),
        ] {
            assert_eq!(handle.text(), text);
            assert_eq!(Handle::parse(&text), Some(handle));
        }
        let text = server().service().expect("a name").to_string();
        assert_eq!(ResourceRef::parse(&text), Some(server()));
        for odd in
            ["", "server", "server/r", "server/r/../x", "other/r/0", "resize/r/1", "conformance-unknown"]
        {
            assert_eq!(Handle::parse(odd), None, "{odd}");
        }
    }
}
