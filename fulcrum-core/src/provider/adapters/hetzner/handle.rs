//! What an operation's handle says.

use crate::provider::OperationHandle;

/// An operation under way. Actions are kept by the provider for some weeks; the server tells the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Handle {
    /// A server is made and started, by these actions.
    Make { server: u64, actions: Vec<u64> },
    /// Something is done to a server, by an action; none if nothing was to be done.
    Act { server: u64, action: Option<u64> },
    /// A server is ended.
    End { server: u64 },
}

impl Handle {
    pub(super) fn text(&self) -> OperationHandle {
        OperationHandle::new(match self {
            Self::Make { server, actions } => {
                format!("make/{server}{}", actions.iter().map(|id| format!("/{id}")).collect::<String>())
            }
            Self::Act { server, action: Some(action) } => format!("act/{server}/{action}"),
            Self::Act { server, action: None } => format!("act/{server}"),
            Self::End { server } => format!("end/{server}"),
        })
    }

    pub(super) fn of(handle: &OperationHandle) -> Option<Self> {
        let mut parts = handle.as_str().split('/');
        let word = parts.next()?;
        let numbers: Vec<u64> = parts.map(number).collect::<Option<_>>()?;
        match (word, numbers.as_slice()) {
            ("make", [server, actions @ ..]) if actions.len() <= 8 => {
                Some(Self::Make { server: *server, actions: actions.to_vec() })
            }
            ("act", [server]) => Some(Self::Act { server: *server, action: None }),
            ("act", [server, action]) => Some(Self::Act { server: *server, action: Some(*action) }),
            ("end", [server]) => Some(Self::End { server: *server }),
            _ => None,
        }
    }
}

/// Digits alone, as they are written by this library.
pub(super) fn number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number: &u64| number.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_survives_as_text_and_nothing_else_is_one() {
        for handle in [
            Handle::Make { server: 7, actions: vec![1, 2] },
            Handle::Make { server: 7, actions: Vec::new() },
            Handle::Act { server: 7, action: Some(3) },
            Handle::Act { server: 7, action: None },
            Handle::End { server: 7 },
        ] {
            assert_eq!(Handle::of(&handle.text()), Some(handle));
        }
        for text in
            ["", "make", "make/", "make/x", "act/1/2/3", "end/1/2", "end/01", "end/+1", "conformance-unknown"]
        {
            assert_eq!(Handle::of(&OperationHandle::new(text)), None, "{text}");
        }
    }
}
