//! Requests of an operator, as hosts pass them on in JSON.

use serde::{Deserialize, Serialize};

use super::{Action, Operator};

/// What a person wants done about an order, with who and why.
///
/// ```
/// use fulcrum_core::model::{OperatorRequest, OperatorCommand, parse_json};
/// let text = r#"{"who": "ana", "why": "the provider is back", "do": "retry"}"#;
/// let request: OperatorRequest = parse_json(text)?;
/// assert_eq!((request.by.who.as_str(), request.command), ("ana", OperatorCommand::Retry));
/// # Ok::<(), fulcrum_core::model::DocumentError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OperatorRequest {
    /// Who, and why.
    #[serde(flatten)]
    pub by: Operator,
    /// What.
    #[serde(rename = "do")]
    pub command: OperatorCommand,
}

/// What can be done about an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum OperatorCommand {
    /// Undo a stuck order once more.
    Retry,
    /// Give a stuck order up: nobody will look for what may be left.
    Abandon,
    /// Say that nothing of a stuck step is left at its provider.
    Settle {
        /// Which step.
        step: u32,
        /// How that is known.
        evidence: String,
    },
    /// Do something to one service.
    Act {
        /// Of which step.
        step: u32,
        /// What.
        action: Action,
    },
    /// End all services of a committed order, or stop one that is under way.
    Cancel,
    /// End one service and keep the others.
    Release {
        /// Of which step.
        step: u32,
    },
}
