//! Operation handles, as JSON that survives a restart.

use serde::{Deserialize, Serialize};

use crate::{
    model::{IdempotencyKey, Settings, SkuId},
    provider::adapters::common::Goal,
};

/// An operation under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) enum Handle {
    /// A machine is cloned, sized, started and marked as made.
    #[serde(rename = "make")]
    Provision {
        key: IdempotencyKey,
        sku: SkuId,
        task: Option<String>,
        settings: Settings,
        /// GiB of disk that were bought beyond the size's own disk.
        #[serde(default)]
        size_gib: u64,
    },
    /// A machine is changed.
    #[serde(rename = "act")]
    Act {
        vmid: u64,
        task: Option<String>,
        #[serde(default, rename = "wanted", skip_serializing_if = "Goal::is_any")]
        goal: Goal,
    },
    /// A machine is stopped and ended.
    #[serde(rename = "end")]
    Release { vmid: u64, key: Option<IdempotencyKey> },
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
        let (key, sku) =
            (|| IdempotencyKey::new("f-0-1").expect("a key"), || SkuId::new("small").expect("a name"));
        let task = || Some("UPID:pve1:0".to_owned());
        for (text, handle) in [
            (
                r#"{"make":{"key":"f-0-1","sku":"small","task":"UPID:pve1:0","settings":{},"size_gib":5}}"#,
                Handle::Provision {
                    key: key(),
                    sku: sku(),
                    task: task(),
                    settings: Settings::default(),
                    size_gib: 5,
                },
            ),
            (
                r#"{"act":{"vmid":7,"task":"UPID:pve1:0"}}"#,
                Handle::Act { vmid: 7, task: task(), goal: Goal::Any },
            ),
            (
                r#"{"act":{"vmid":7,"task":null,"wanted":"running"}}"#,
                Handle::Act { vmid: 7, task: None, goal: Goal::Running },
            ),
            (
                r#"{"act":{"vmid":7,"task":null,"wanted":{"size":"small"}}}"#,
                Handle::Act { vmid: 7, task: None, goal: Goal::Sku(sku()) },
            ),
            (r#"{"end":{"vmid":7,"key":"f-0-1"}}"#, Handle::Release { vmid: 7, key: Some(key()) }),
        ] {
            assert_eq!(serde_json::to_string(&handle).expect("JSON"), text);
            assert_eq!(Handle::parse(text), Some(handle));
        }
        for text in ["", "{}", r#"{"make":{}}"#, "conformance-unknown"] {
            assert_eq!(Handle::parse(text), None, "{text}");
        }
    }
}
