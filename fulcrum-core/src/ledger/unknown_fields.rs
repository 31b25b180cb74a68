//! Unknown fields: what a later version has stored is skipped on reading and preserved on writing.
#![cfg_attr(
    not(any(feature = "sqlite", feature = "postgres")),
    expect(dead_code, reason = "no store of ours is built in")
)]

use std::sync::{Mutex, PoisonError};

use indexmap::IndexMap;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{OrderUpdate, Result, json};
use crate::model::{FailOverRound, OrderId, Step};

/// Orders that are remembered; those that were read first are forgotten first.
const MAX_REMEMBERED_ORDERS: usize = 4096;

/// A column of an order, or of one of its steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Column {
    Plan,
    Policy,
    Rounds,
    Lease(u32),
    State(u32),
    Attempts(u32),
}

impl Column {
    fn name(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Policy => "policy",
            Self::Rounds => "rounds",
            Self::Lease(_) => "lease",
            Self::State(_) => "state",
            Self::Attempts(_) => "attempts",
        }
    }
}

/// A column as it is stored, and what this version reads of it.
#[derive(Debug, Clone)]
struct StoredAndKnown {
    stored: Value,
    known: Value,
}

/// The columns with fields of a later version, of orders that were read. Orders of this version take no place here.
#[derive(Debug, Default)]
pub(super) struct UnknownFields {
    orders: Mutex<IndexMap<OrderId, IndexMap<Column, StoredAndKnown>>>,
}

impl UnknownFields {
    /// Reads a column, and remembers it if it has more than this version knows.
    pub(super) fn read<T: Serialize + DeserializeOwned>(
        &self,
        order: &OrderId,
        column: Column,
        text: &str,
    ) -> Result<T> {
        let value: T = json::parsed(text, column.name())?;
        // Text that this version wrote is the same when it is written again: nothing is compared field by field.
        let both = match json::text(&value)? == text {
            true => None,
            false => StoredAndKnown::of(text, &value).filter(StoredAndKnown::has_more),
        };
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        match both {
            Some(both) => {
                orders.entry(order.clone()).or_default().insert(column, both);
                if orders.len() > MAX_REMEMBERED_ORDERS {
                    orders.shift_remove_index(0);
                }
            }
            None => {
                if let Some(columns) = orders.get_mut(order) {
                    columns.shift_remove(&column);
                }
            }
        }
        Ok(value)
    }

    /// What a change writes, with the fields of a later version that are still in their place.
    pub(super) fn texts(&self, order: &OrderId, change: &OrderUpdate) -> Result<Texts> {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        let mut unknown = orders.get_mut(order).filter(|columns| !columns.is_empty());
        let mut plan = None;
        if let Some((new, rounds)) = &change.plan {
            // What was the plan is in the last of the rounds from now on.
            let replaced = unknown.as_mut().and_then(|columns| columns.shift_remove(&Column::Plan));
            plan = Some((json::text(new)?, rounds_text(unknown.as_deref_mut(), replaced, rounds)?));
        }
        let steps = change.steps.iter().map(|step| StepTexts::of(unknown.as_deref_mut(), step));
        Ok(Texts { plan, steps: steps.collect::<Result<_>>()? })
    }

    /// Drops an order that was purged.
    pub(super) fn remove(&self, order: &OrderId) {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner).shift_remove(order);
    }
}

/// The structures of a change as text.
#[derive(Debug, Clone, Default)]
pub(super) struct Texts {
    /// The plan and the rounds.
    pub(super) plan: Option<(String, String)>,
    /// In the order of the change.
    pub(super) steps: Vec<StepTexts>,
}

/// The structures of a step as text.
#[derive(Debug, Clone)]
pub(super) struct StepTexts {
    pub(super) lease: String,
    pub(super) state: String,
    pub(super) attempts: String,
}

impl StepTexts {
    /// Of a step without anything of a later version.
    pub(super) fn new(step: &Step) -> Result<Self> {
        Self::of(None, step)
    }

    fn of(mut unknown: Option<&mut IndexMap<Column, StoredAndKnown>>, step: &Step) -> Result<Self> {
        let index = step.index;
        Ok(Self {
            lease: column_text(unknown.as_deref_mut(), Column::Lease(index), &step.lease)?,
            state: column_text(unknown.as_deref_mut(), Column::State(index), &step.state)?,
            attempts: column_text(unknown, Column::Attempts(index), &step.attempts)?,
        })
    }
}

fn column_text<T: Serialize>(
    unknown: Option<&mut IndexMap<Column, StoredAndKnown>>,
    column: Column,
    value: &T,
) -> Result<String> {
    match unknown.and_then(|columns| columns.get_mut(&column)) {
        Some(both) => both.rewrite(value),
        None => json::text(value),
    }
}

fn rounds_text(
    unknown: Option<&mut IndexMap<Column, StoredAndKnown>>,
    replaced: Option<StoredAndKnown>,
    rounds: &[FailOverRound],
) -> Result<String> {
    let Some(unknown) = unknown else { return json::text(&rounds) };
    let empty = || StoredAndKnown { stored: Value::Array(Vec::new()), known: Value::Array(Vec::new()) };
    unknown.entry(Column::Rounds).or_insert_with(empty).rewrite_rounds(rounds, replaced.as_ref())
}

impl StoredAndKnown {
    fn of<T: Serialize>(text: &str, value: &T) -> Option<Self> {
        Some(Self { stored: serde_json::from_str(text).ok()?, known: serde_json::to_value(value).ok()? })
    }

    fn has_more(&self) -> bool {
        let mut merged = self.known.clone();
        merge(&mut merged, &self.stored, &self.known);
        merged != self.known
    }

    /// The text of a new value, with what is kept of the old one.
    fn rewrite<T: Serialize>(&mut self, value: &T) -> Result<String> {
        let known: Value = json::value(value)?;
        let mut merged = known.clone();
        merge(&mut merged, &self.stored, &self.known);
        *self = Self { stored: merged, known };
        json::text(&self.stored)
    }

    fn rewrite_rounds(&mut self, rounds: &[FailOverRound], replaced: Option<&Self>) -> Result<String> {
        let known: Value = json::value(&rounds)?;
        let mut merged = known.clone();
        merge(&mut merged, &self.stored, &self.known);
        if let (Some(replaced), Some(plan)) =
            (replaced, merged.as_array_mut().and_then(|all| all.last_mut()?.get_mut("plan")))
        {
            merge(plan, &replaced.stored, &replaced.known);
        }
        *self = Self { stored: merged, known };
        json::text(&self.stored)
    }
}

/// Adds to a new value what the stored one has and this version does not know, wherever the new one has the same part.
fn merge(new: &mut Value, stored: &Value, known: &Value) {
    match (new, stored, known) {
        (Value::Object(new), Value::Object(stored), Value::Object(known)) => {
            // Another state, event or format is another thing, of which nothing is known.
            let tags = ["state", "event", "action", "format"];
            let is_same = tags.iter().all(|tag| new.get(*tag) == known.get(*tag));
            for (name, stored) in stored {
                match (new.get_mut(name), known.get(name)) {
                    (Some(new), Some(known)) => merge(new, stored, known),
                    (None, None) if is_same => drop(new.insert(name.clone(), stored.clone())),
                    _ => {}
                }
            }
        }
        (Value::Array(new), Value::Array(stored), Value::Array(known)) => {
            let has_same_length = new.len() == known.len();
            for (at, new) in new.iter_mut().enumerate() {
                let same = match known.get(at) == Some(new) {
                    true => Some(at),
                    false => known.iter().position(|known| known == new),
                };
                if let Some(at) = same.or_else(|| has_same_length.then_some(at))
                    && let (Some(stored), Some(known)) = (stored.get(at), known.get(at))
                {
                    merge(new, stored, known);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn merged(new: Value, stored: Value, known: Value) -> Value {
        let mut new = new;
        merge(&mut new, &stored, &known);
        new
    }

    #[test]
    fn unknown_fields_stay_where_their_object_stays() {
        let (known, stored) =
            (json!({"a": 1, "b": {"c": 2}}), json!({"a": 1, "b": {"c": 2, "x": 3}, "y": 4}));
        assert_eq!(
            merged(json!({"a": 9, "b": {"c": 8}}), stored.clone(), known.clone()),
            json!({"a": 9, "b": {"c": 8, "x": 3}, "y": 4})
        );
        assert_eq!(merged(json!({"a": 1, "b": null}), stored, known), json!({"a": 1, "b": null, "y": 4}));
    }

    #[test]
    fn a_known_field_that_is_gone_does_not_come_back() {
        let (known, stored) = (json!({"a": 1, "b": 2}), json!({"a": 1, "b": 2}));
        assert_eq!(merged(json!({"a": 1}), stored, known), json!({"a": 1}));
    }

    #[test]
    fn another_state_takes_over_only_the_parts_that_it_has_too() {
        let known = json!({"state": "provisioned", "service": {"id": "vm"}});
        let stored = json!({"state": "provisioned", "service": {"id": "vm", "x": 1}, "y": 2});
        assert_eq!(
            merged(json!({"state": "committed", "service": {"id": "vm"}}), stored.clone(), known.clone()),
            json!({"state": "committed", "service": {"id": "vm", "x": 1}})
        );
        assert_eq!(merged(json!({"state": "compensated"}), stored, known), json!({"state": "compensated"}));
    }

    #[test]
    fn elements_are_found_again_where_a_list_has_moved_on() {
        let (known, stored) = (json!([{"at": 1}, {"at": 2}]), json!([{"at": 1, "x": 1}, {"at": 2, "x": 2}]));
        assert_eq!(
            merged(json!([{"at": 2}, {"at": 3}, {"at": 4}]), stored, known),
            json!([{"at": 2, "x": 2}, {"at": 3}, {"at": 4}])
        );
    }
}
