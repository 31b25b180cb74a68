//! Operation handles, as JSON that survives a restart.

use serde::{Deserialize, Serialize};

use crate::model::{Settings, SkuId};

/// An operation under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) enum Handle {
    /// An instance is made.
    #[serde(rename = "make")]
    Provision {
        instance: String,
        operation: Option<String>,
        /// The ordered product.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sku: Option<SkuId>,
        /// Whether the broker has answered that the instance is there.
        #[serde(default, skip_serializing_if = "is_false")]
        is_done: bool,
        /// The settings of the request, where only the same request tells whether the instance is there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        settings: Option<Settings>,
    },
    /// An instance gets another plan.
    #[serde(rename = "change")]
    Act {
        instance: String,
        operation: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sku: Option<SkuId>,
        #[serde(default, skip_serializing_if = "is_false")]
        is_done: bool,
    },
    /// An instance is ended.
    #[serde(rename = "end")]
    Release { instance: String, operation: Option<String> },
}

impl Handle {
    /// None for a text that this adapter has not written.
    pub(super) fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_handle_is_read_and_nothing_else_is_one() {
        let (instance, operation) = (|| "f-0-1".to_owned(), || Some("op".to_owned()));
        let sku = || SkuId::new("pg/small").ok();
        for (text, handle) in [
            (
                r#"{"make":{"instance":"f-0-1","operation":"op","sku":"pg/small","is_done":true,"settings":{}}}"#,
                Handle::Provision {
                    instance: instance(),
                    operation: operation(),
                    sku: sku(),
                    is_done: true,
                    settings: Some(Settings::default()),
                },
            ),
            (
                r#"{"make":{"instance":"f-0-1","operation":null}}"#,
                Handle::Provision {
                    instance: instance(),
                    operation: None,
                    sku: None,
                    is_done: false,
                    settings: None,
                },
            ),
            (
                r#"{"change":{"instance":"f-0-1","operation":"op","sku":"pg/small"}}"#,
                Handle::Act { instance: instance(), operation: operation(), sku: sku(), is_done: false },
            ),
            (
                r#"{"end":{"instance":"f-0-1","operation":null}}"#,
                Handle::Release { instance: instance(), operation: None },
            ),
        ] {
            assert_eq!(serde_json::to_string(&handle).expect("JSON"), text);
            assert_eq!(Handle::parse(text), Some(handle));
        }
        for text in ["", "{}", r#"{"make":{}}"#, "conformance-unknown"] {
            assert_eq!(Handle::parse(text), None, "{text}");
        }
    }
}
