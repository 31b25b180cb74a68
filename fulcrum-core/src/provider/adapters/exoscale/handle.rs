//! Operation handles, as JSON that survives a restart.

use serde::{Deserialize, Serialize};

use crate::model::SkuId;

/// An instance in its zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InstanceRef {
    pub(super) zone: String,
    pub(super) instance: String,
}

/// An operation under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) enum Handle {
    /// An instance is made, and starts by itself. The operation is unknown if the response was lost.
    #[serde(rename = "make")]
    Provision { at: InstanceRef, operation: Option<String> },
    /// An instance is to reach a state. There is no operation if nothing was to be done.
    #[serde(rename = "reach")]
    Act {
        at: InstanceRef,
        operation: Option<String>,
        state: String,
        /// The type that the instance is to have, where one was asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sku: Option<SkuId>,
    },
    /// An instance is ended; none if it was not there.
    #[serde(rename = "end")]
    Release { at: Option<InstanceRef> },
}

impl Handle {
    /// None for a text that this adapter has not written.
    pub(super) fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_handle_is_read_and_nothing_else_is_one() {
        let at = || InstanceRef { zone: "ch-gva-2".to_owned(), instance: "5f-0".to_owned() };
        let (operation, state) = (|| Some("op".to_owned()), || "stopped".to_owned());
        let sku = SkuId::new("standard.tiny").ok();
        for (text, handle) in [
            (
                r#"{"make":{"at":{"zone":"ch-gva-2","instance":"5f-0"},"operation":"op"}}"#,
                Handle::Provision { at: at(), operation: operation() },
            ),
            (
                r#"{"reach":{"at":{"zone":"ch-gva-2","instance":"5f-0"},"operation":null,"state":"stopped"}}"#,
                Handle::Act { at: at(), operation: None, state: state(), sku: None },
            ),
            (
                r#"{"reach":{"at":{"zone":"ch-gva-2","instance":"5f-0"},"operation":"op","state":"stopped","sku":"standard.tiny"}}"#,
                Handle::Act { at: at(), operation: operation(), state: state(), sku },
            ),
            (r#"{"end":{"at":{"zone":"ch-gva-2","instance":"5f-0"}}}"#, Handle::Release { at: Some(at()) }),
            (r#"{"end":{"at":null}}"#, Handle::Release { at: None }),
        ] {
            assert_eq!(serde_json::to_string(&handle).expect("JSON"), text);
            assert_eq!(Handle::parse(text), Some(handle));
        }
        for text in ["", "{}", r#"{"end":{}, "more":1}"#, r#"{"make":{}}"#, "conformance-unknown"] {
            assert_eq!(Handle::parse(text), None, "{text}");
        }
    }
}
