//! Reading what a later version of this library wrote: fields that this version does not know are passed over.
//!
//! Documents that people write refuse unknown fields, and some of their types are also in ledgers and events. Here such a
//! field is passed over before the type sees it.

use serde::{Serialize, de::DeserializeOwned};

use super::{
    DocumentError, FailOverRound, Money, Plan, Service, limits,
    tree::{self, Fault, Node, Rules, Value},
};

const JSON: Rules = Rules { max_values: limits::MAX_DOCUMENT_VALUES, may_repeat: true };

/// Reads JSON without the fields that the type does not know.
pub(crate) fn from_json_ignoring_unknown<T: DeserializeOwned>(text: &str) -> Result<T, DocumentError> {
    let mut node = tree::read_json(text.as_bytes(), JSON)?;
    match tree::read(&node) {
        Err(fault) if fault.is_unknown_field => {
            clean_tagged(&mut node)?;
            Ok(tree::read_known(&node)?)
        }
        outcome => Ok(outcome?),
    }
}

/// Enums whose tag is one of their fields buffer the rest, and their parts are read without a look at what is known: these
/// parts are cleaned first. They are all parts of a step's state and of an event whose types refuse unknown fields.
fn clean_tagged(node: &mut Node<'_>) -> Result<(), Fault> {
    let Value::Fields(fields) = &mut node.value else { return Ok(()) };
    let is_tag = |value: &Value<'_>| matches!(value, Value::Text(_));
    let is_tagged = |tag| fields.iter().any(|field| field.name == tag && is_tag(&field.node.value));
    if !is_tagged("event") && !is_tagged("state") {
        return Ok(());
    }
    for field in fields.iter_mut().filter(|field| matches!(field.node.value, Value::Fields(_))) {
        match &*field.name {
            "service" => clean::<Service>(&mut field.node)?,
            "plan" => clean::<Plan>(&mut field.node)?,
            "round" => clean::<FailOverRound>(&mut field.node)?,
            "planned" | "current" => clean::<Money>(&mut field.node)?,
            "step" => clean_tagged(&mut field.node)?,
            _ => {}
        }
    }
    Ok(())
}

/// Puts in the place of a part what this version would write of it.
fn clean<T: DeserializeOwned + Serialize>(node: &mut Node<'_>) -> Result<(), Fault> {
    let known: T = tree::read_known(node)?;
    let written = serde_json::to_vec(&known).map_err(|error| Fault::new(error.to_string()))?;
    *node = tree::read_json(&written, JSON)?.into_owned();
    Ok(())
}
