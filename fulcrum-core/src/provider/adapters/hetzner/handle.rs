//! What an operation's handle says.

use crate::model::SkuId;

/// An operation under way. Actions are kept by the provider for some weeks; the server tells the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Handle {
    /// A server is made and started, by these actions.
    Make { server: u64, actions: Vec<u64> },
    /// Something is done to a server, by an action; none if nothing was to be done.
    Act { server: u64, action: Option<u64>, wanted: Wanted },
    /// A server is ended.
    End { server: u64 },
}

/// What a server is to be when an action is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// An action that sets no state.
    Anything,
    On,
    Off,
    Type(SkuId),
}

impl Handle {
    pub(super) fn text(&self) -> String {
        let begun = |action: &Option<u64>| action.map(|id| format!("/{id}")).unwrap_or_default();
        match self {
            Self::Make { server, actions } => {
                format!("make/{server}{}", actions.iter().map(|id| format!("/{id}")).collect::<String>())
            }
            Self::Act { server, action, wanted: Wanted::Anything } => {
                format!("act/{server}{}", begun(action))
            }
            Self::Act { server, action, wanted: Wanted::On } => format!("start/{server}{}", begun(action)),
            Self::Act { server, action, wanted: Wanted::Off } => format!("stop/{server}{}", begun(action)),
            // No action has the number 0.
            Self::Act { server, action, wanted: Wanted::Type(sku) } => {
                format!("resize/{server}/{}/{sku}", action.unwrap_or(0))
            }
            Self::End { server } => format!("end/{server}"),
        }
    }

    pub(super) fn of(text: &str) -> Option<Self> {
        if let Some(rest) = text.strip_prefix("resize/") {
            let mut parts = rest.splitn(3, '/');
            let (server, action) = (number(parts.next()?)?, number(parts.next()?)?);
            let wanted = Wanted::Type(SkuId::new(parts.next()?).ok()?);
            return Some(Self::Act { server, action: Some(action).filter(|id| *id > 0), wanted });
        }
        let mut parts = text.split('/');
        let word = parts.next()?;
        let numbers: Vec<u64> = parts.map(number).collect::<Option<_>>()?;
        let wanted = match (word, numbers.as_slice()) {
            ("make", [server, actions @ ..]) if actions.len() <= 8 => {
                return Some(Self::Make { server: *server, actions: actions.to_vec() });
            }
            ("end", [server]) => return Some(Self::End { server: *server }),
            ("act", _) => Wanted::Anything,
            ("start", _) => Wanted::On,
            ("stop", _) => Wanted::Off,
            _ => return None,
        };
        match numbers.as_slice() {
            [server] => Some(Self::Act { server: *server, action: None, wanted }),
            [server, action] => Some(Self::Act { server: *server, action: Some(*action), wanted }),
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
        let sku = || Wanted::Type(SkuId::new("cx/22").expect("a name"));
        for handle in [
            Handle::Make { server: 7, actions: vec![1, 2] },
            Handle::Make { server: 7, actions: Vec::new() },
            Handle::Act { server: 7, action: Some(3), wanted: Wanted::Anything },
            Handle::Act { server: 7, action: None, wanted: Wanted::On },
            Handle::Act { server: 7, action: Some(3), wanted: Wanted::Off },
            Handle::Act { server: 7, action: Some(3), wanted: sku() },
            Handle::Act { server: 7, action: None, wanted: sku() },
            Handle::End { server: 7 },
        ] {
            assert_eq!(Handle::of(&handle.text()), Some(handle));
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
            assert_eq!(Handle::of(text), None, "{text}");
        }
    }
}
