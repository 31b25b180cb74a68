//! Reading what a later version of this library wrote: fields that this version does not know are passed over.
//!
//! Documents that people write refuse unknown fields, and some of their types are also in ledgers and events. Here such a
//! field is removed before the type sees it.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Error, Value};
use serde_path_to_error::{Deserializer, Segment, Track};

use super::{FailOverRound, Money, Plan, Service};

/// Reads JSON without the fields that the type does not know.
pub(crate) fn from_json_ignoring_unknown<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    match serde_json::from_str(text) {
        Err(error) if is_unknown_field(&error) => {
            let mut value = serde_json::from_str(text)?;
            clean_tagged(&mut value)?;
            clean(&mut value)
        }
        outcome => outcome,
    }
}

/// Removes what the type does not know, and reads the rest.
fn clean<T: DeserializeOwned>(value: &mut Value) -> Result<T, Error> {
    loop {
        let mut track = Track::new();
        let error = match T::deserialize(Deserializer::new(&*value, &mut track)) {
            Ok(read) => return Ok(read),
            Err(error) => error,
        };
        let path = track.path();
        let path: Vec<&Segment> = path.iter().collect();
        if !is_unknown_field(&error) || !remove(value, &path) {
            return Err(error);
        }
    }
}

/// Enums whose tag is one of their fields read the rest by a way that no path leads through: their parts are cleaned first.
/// These are all parts of a step's state and of an event whose types refuse unknown fields.
fn clean_tagged(value: &mut Value) -> Result<(), Error> {
    let Value::Object(fields) = value else { return Ok(()) };
    let Some(tag) = ["event", "state"].into_iter().find(|tag| fields.get(*tag).is_some_and(Value::is_string))
    else {
        return Ok(());
    };
    for (name, part) in fields.iter_mut().filter(|(name, part)| *name != tag && part.is_object()) {
        match name.as_str() {
            "service" => part_of::<Service>(part)?,
            "plan" => part_of::<Plan>(part)?,
            "round" => part_of::<FailOverRound>(part)?,
            "planned" | "current" => part_of::<Money>(part)?,
            "step" => clean_tagged(part)?,
            _ => {}
        }
    }
    Ok(())
}

fn part_of<T: DeserializeOwned + Serialize>(value: &mut Value) -> Result<(), Error> {
    clean::<T>(value).map(drop)
}

fn is_unknown_field(error: &Error) -> bool {
    error.to_string().starts_with("unknown field `")
}

/// Removes the field at the end of a path, also from the neighbours in the lists along it: elements of a list have one type.
/// Answers whether anything was there.
fn remove(value: &mut Value, path: &[&Segment]) -> bool {
    match (path, value) {
        ([Segment::Map { key } | Segment::Enum { variant: key }], Value::Object(fields)) => {
            fields.remove(key).is_some()
        }
        ([Segment::Map { key } | Segment::Enum { variant: key }, rest @ ..], Value::Object(fields)) => {
            fields.get_mut(key).is_some_and(|field| remove(field, rest))
        }
        ([Segment::Seq { .. }, rest @ ..], Value::Array(items)) => {
            // Of every item, not only of the first that has it.
            let removed: Vec<bool> = items.iter_mut().map(|item| remove(item, rest)).collect();
            removed.contains(&true)
        }
        _ => false,
    }
}
