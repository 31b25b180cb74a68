//! What an operation's handle says: the provider has no operations of its own, only servers in states.

use crate::model::{ServiceId, SkuId};

/// An operation under way on a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Handle {
    /// It is made, and starts by itself.
    Create(String),
    /// It is to be in a state, and of a plan where that was asked for.
    Reach(String, String, Option<SkuId>),
    /// It is stopped, then ended, then these disks are.
    Delete(String, Vec<String>),
    /// A disk that has outlived its server is ended.
    Disk(String),
}

impl Handle {
    pub(super) fn text(&self) -> String {
        match self {
            Self::Create(server) => format!("create/{server}"),
            Self::Reach(server, state, None) => format!("reach/{server}/{state}"),
            Self::Reach(server, state, Some(plan)) => format!("reach/{server}/{state}/{plan}"),
            Self::Disk(disk) => format!("{DISK}{disk}"),
            Self::Delete(server, disks) => {
                format!("delete/{server}{}", disks.iter().map(|disk| format!("/{disk}")).collect::<String>())
            }
        }
    }

    pub(super) fn of(text: &str) -> Option<Self> {
        if let Some(rest) = text.strip_prefix("reach/") {
            let mut parts = rest.splitn(3, '/');
            let server = parts.next().filter(|server| is_uuid(server))?.to_owned();
            let state = parts.next().filter(|state| matches!(*state, "started" | "stopped"))?.to_owned();
            let plan = parts.next().map(SkuId::new).transpose().ok()?;
            return Some(Self::Reach(server, state, plan));
        }
        let parts: Vec<_> = text.split('/').collect();
        match parts.as_slice() {
            ["create", server] if is_uuid(server) => Some(Self::Create((*server).to_owned())),
            ["disk", disk] if is_uuid(disk) => Some(Self::Disk((*disk).to_owned())),
            ["delete", server, disks @ ..] if is_uuid(server) && disks.iter().all(|disk| is_plain(disk)) => {
                let disks = disks.iter().map(|disk| (*disk).to_owned());
                Some(Self::Delete((*server).to_owned(), disks.collect()))
            }
            _ => None,
        }
    }
}

/// Stands before a disk that has outlived its server, in the name of the service that it is then.
const DISK: &str = "disk/";

/// The name of a disk that has outlived its server, as a service.
pub(super) fn disk_name(disk: &str) -> String {
    format!("{DISK}{disk}")
}

/// The disk of a service that is what is left of a server.
pub(super) fn disk_of(service: &ServiceId) -> Option<&str> {
    service.as_str().strip_prefix(DISK).filter(|id| is_uuid(id))
}

/// The server of a service; what is no such name does not exist.
pub(super) fn server_of(service: &ServiceId) -> Option<&str> {
    Some(service.as_str()).filter(|id| is_uuid(id))
}

/// Whether it may stand in a path, and is one segment of it.
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
    fn a_handle_survives_as_text_and_nothing_else_is_one() {
        let id = || "002018a7-c0a2-498f-a823-40e7cf735e61".to_owned();
        for handle in [
            Handle::Create(id()),
            Handle::Reach(id(), "stopped".to_owned(), None),
            Handle::Reach(id(), "stopped".to_owned(), Some(SkuId::new("a/b").expect("a name"))),
            Handle::Delete(id(), Vec::new()),
            Handle::Delete(id(), vec![id(), id()]),
            Handle::Disk(id()),
        ] {
            assert_eq!(Handle::of(&handle.text()), Some(handle));
        }
        let id = id();
        for text in [
            "",
            "create",
            "create/x",
            "delete/../x",
            "disk/..",
            "conformance-unknown",
            &format!("reach/{id}/gone"),
            &format!("delete/{id}/"),
        ] {
            assert_eq!(Handle::of(text), None, "{text}");
        }
    }
}
