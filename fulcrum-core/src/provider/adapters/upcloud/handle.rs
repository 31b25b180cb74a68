//! Operation handles, as text that survives a restart. The provider has no operations of its own, only servers in states.

use crate::model::{ServiceId, SkuId};

/// An operation under way on a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Handle {
    /// A server is made, and starts by itself.
    Provision { server: String },
    /// A server is to reach a state, and to have a plan where one was asked for.
    Act { server: String, state: String, plan: Option<SkuId> },
    /// A server is stopped and ended, then these disks are.
    Release { server: String, disks: Vec<String> },
    /// A disk without its server is ended.
    ReleaseVolume { disk: String },
}

impl Handle {
    pub(super) fn text(&self) -> String {
        match self {
            Self::Provision { server } => format!("create/{server}"),
            Self::Act { server, state, plan: None } => format!("reach/{server}/{state}"),
            Self::Act { server, state, plan: Some(plan) } => format!("reach/{server}/{state}/{plan}"),
            Self::Release { server, disks } => {
                format!("delete/{server}{}", disks.iter().map(|disk| format!("/{disk}")).collect::<String>())
            }
            Self::ReleaseVolume { disk } => format!("{DISK_PREFIX}{disk}"),
        }
    }

    /// None for a text that this adapter has not written.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Some(rest) = text.strip_prefix("reach/") {
            let mut parts = rest.splitn(3, '/');
            let server = parts.next().filter(|server| is_uuid(server))?.to_owned();
            let state = parts.next().filter(|state| matches!(*state, "started" | "stopped"))?.to_owned();
            let plan = parts.next().map(SkuId::new).transpose().ok()?;
            return Some(Self::Act { server, state, plan });
        }
        let parts: Vec<_> = text.split('/').collect();
        match parts.as_slice() {
            ["create", server] if is_uuid(server) => Some(Self::Provision { server: (*server).to_owned() }),
            ["disk", disk] if is_uuid(disk) => Some(Self::ReleaseVolume { disk: (*disk).to_owned() }),
            ["delete", server, disks @ ..] if is_uuid(server) && disks.iter().all(|disk| is_plain(disk)) => {
                let disks = disks.iter().map(|disk| (*disk).to_owned()).collect();
                Some(Self::Release { server: (*server).to_owned(), disks })
            }
            _ => None,
        }
    }
}

/// Stands before a disk without its server, in the id of its service.
const DISK_PREFIX: &str = "disk/";

/// The service id of a disk without its server.
pub(super) fn disk_service(disk: &str) -> String {
    format!("{DISK_PREFIX}{disk}")
}

/// The disk of a service that is a disk without its server.
pub(super) fn disk_of(service: &ServiceId) -> Option<&str> {
    service.as_str().strip_prefix(DISK_PREFIX).filter(|id| is_uuid(id))
}

/// The server of a service. None if the id is not one of this adapter's: such a service does not exist.
pub(super) fn server_of(service: &ServiceId) -> Option<&str> {
    Some(service.as_str()).filter(|id| is_uuid(id))
}

/// Whether a text may be one segment of a path.
pub(super) fn is_plain(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn is_uuid(text: &str) -> bool {
    uuid::Uuid::parse_str(text).is_ok_and(|id| id.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_handle_is_read_and_nothing_else_is_one() {
        const ID: &str = "002018a7-c0a2-498f-a823-40e7cf735e61";
        let (id, stopped) = (|| ID.to_owned(), || "stopped".to_owned());
        let plan = SkuId::new("a/b").expect("a name");
        for (text, handle) in [
            (format!("create/{ID}"), Handle::Provision { server: id() }),
            (format!("reach/{ID}/stopped"), Handle::Act { server: id(), state: stopped(), plan: None }),
            (
                format!("reach/{ID}/stopped/a/b"),
                Handle::Act { server: id(), state: stopped(), plan: Some(plan) },
            ),
            (format!("delete/{ID}"), Handle::Release { server: id(), disks: Vec::new() }),
            (format!("delete/{ID}/{ID}/{ID}"), Handle::Release { server: id(), disks: vec![id(), id()] }),
            (format!("disk/{ID}"), Handle::ReleaseVolume { disk: id() }),
        ] {
            assert_eq!(handle.text(), text);
            assert_eq!(Handle::parse(&text), Some(handle));
        }
        for text in [
            "",
            "create",
            "create/x",
            "delete/../x",
            "disk/..",
            "conformance-unknown",
            &format!("reach/{ID}/gone"),
            &format!("delete/{ID}/"),
        ] {
            assert_eq!(Handle::parse(text), None, "{text}");
        }
    }
}
