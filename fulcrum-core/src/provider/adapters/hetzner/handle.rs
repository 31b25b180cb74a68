//! Operation handles, as text that survives a restart.

use crate::{model::SkuId, provider::adapters::common::Goal};

/// An operation under way. The provider keeps its actions for some weeks; after that the server's state decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Handle {
    /// A server is made and started, by these actions.
    Provision { server: u64, actions: Vec<u64> },
    /// A server is changed by an action; by none if nothing was to be done.
    Act { server: u64, action: Option<u64>, goal: Goal },
    /// A server is ended.
    Release { server: u64 },
}

impl Handle {
    pub(super) fn text(&self) -> String {
        let begun = |action: &Option<u64>| action.map(|id| format!("/{id}")).unwrap_or_default();
        match self {
            Self::Provision { server, actions } => {
                format!("make/{server}{}", actions.iter().map(|id| format!("/{id}")).collect::<String>())
            }
            Self::Act { server, action, goal: Goal::Any } => format!("act/{server}{}", begun(action)),
            Self::Act { server, action, goal: Goal::Running } => format!("start/{server}{}", begun(action)),
            Self::Act { server, action, goal: Goal::Stopped } => format!("stop/{server}{}", begun(action)),
            // No action has the number 0.
            Self::Act { server, action, goal: Goal::Sku(sku) } => {
                format!("resize/{server}/{}/{sku}", action.unwrap_or(0))
            }
            Self::Release { server } => format!("end/{server}"),
        }
    }

    /// None for a text that this adapter has not written.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Some(rest) = text.strip_prefix("resize/") {
            let mut parts = rest.splitn(3, '/');
            let (server, action) = (number(parts.next()?)?, number(parts.next()?)?);
            let goal = Goal::Sku(SkuId::new(parts.next()?).ok()?);
            return Some(Self::Act { server, action: Some(action).filter(|id| *id > 0), goal });
        }
        let mut parts = text.split('/');
        let word = parts.next()?;
        let numbers: Vec<u64> = parts.map(number).collect::<Option<_>>()?;
        let goal = match (word, numbers.as_slice()) {
            ("make", [server, actions @ ..]) if actions.len() <= 8 => {
                return Some(Self::Provision { server: *server, actions: actions.to_vec() });
            }
            ("end", [server]) => return Some(Self::Release { server: *server }),
            ("act", _) => Goal::Any,
            ("start", _) => Goal::Running,
            ("stop", _) => Goal::Stopped,
            _ => return None,
        };
        match numbers.as_slice() {
            [server] => Some(Self::Act { server: *server, action: None, goal }),
            [server, action] => Some(Self::Act { server: *server, action: Some(*action), goal }),
            _ => None,
        }
    }
}

/// Digits alone, as this library writes them.
pub(super) fn number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number: &u64| number.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_handle_is_read_and_nothing_else_is_one() {
        let sku = || Goal::Sku(SkuId::new("cx/22").expect("a name"));
        for (text, handle) in [
            ("make/7/1/2", Handle::Provision { server: 7, actions: vec![1, 2] }),
            ("make/7", Handle::Provision { server: 7, actions: Vec::new() }),
            ("act/7/3", Handle::Act { server: 7, action: Some(3), goal: Goal::Any }),
            ("start/7", Handle::Act { server: 7, action: None, goal: Goal::Running }),
            ("stop/7/3", Handle::Act { server: 7, action: Some(3), goal: Goal::Stopped }),
            ("resize/7/3/cx/22", Handle::Act { server: 7, action: Some(3), goal: sku() }),
            ("resize/7/0/cx/22", Handle::Act { server: 7, action: None, goal: sku() }),
            ("end/7", Handle::Release { server: 7 }),
        ] {
            assert_eq!(handle.text(), text);
            assert_eq!(Handle::parse(text), Some(handle));
        }
        for text in [
            "",
            "make",
            "make/",
            "make/x",
            "act/1/2/3",
            "stop",
            "resize/1/2",
            "end/1/2",
            "end/01",
            "end/+1",
            "conformance-unknown",
        ] {
            assert_eq!(Handle::parse(text), None, "{text}");
        }
    }
}
