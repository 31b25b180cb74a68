//! Documents as trees: text in YAML or JSON becomes a tree, and types are read from trees.
//!
//! So each type is compiled for one reader instead of one for each form, and mistakes have the same words in both.

mod fault;
mod json;
mod node;
mod read;
mod words;
mod yaml;

pub(super) use fault::Fault;
pub(super) use json::{Rules, read as read_json};
pub(super) use node::{Field, Node, Position, Value};
pub(super) use read::{read, read_known};
pub(super) use yaml::read as read_yaml;

/// Whether a scalar of YAML without quotes is nothing (YAML 1.2.2, section 10.3.2).
fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}
