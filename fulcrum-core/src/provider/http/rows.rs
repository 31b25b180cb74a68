//! Lists whose rows are read one by one: what cannot be read is left out by itself and named, and harms no other row.
#![cfg_attr(not(feature = "adapters"), allow(dead_code, reason = "each adapter needs a part of it"))]

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fmt,
    ops::Deref,
    sync::{Arc, Mutex, PoisonError},
};

use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::Value;

use super::{Answer, Request};
use crate::provider::{RejectedRow, Result};

/// Rows of one answer that are named; of a provider that has only odd ones, some are enough.
const MOST: usize = 200;
/// Parameters that say where a list goes on.
const CONTINUES: [&str; 2] = ["NextToken", "marker"];

thread_local! {
    /// What was left out of the answer that this thread is reading.
    static LEFT_OUT: RefCell<Option<Vec<RejectedRow>>> = const { RefCell::new(None) };
}

/// Names a row that is left out of the answer that is being read.
pub(crate) fn leave_out(row: impl fmt::Display, reason: impl fmt::Display) {
    tracing::debug!(%row, %reason, "a row of a list cannot be read; left out");
    LEFT_OUT.with_borrow_mut(|rows| {
        if let Some(rows) = rows.as_mut().filter(|rows| rows.len() < MOST) {
            rows.push(RejectedRow::new(row, reason));
        }
    });
}

/// Reads something, and what was left out of it.
pub(super) fn reading<T>(read: impl FnOnce() -> T) -> (T, Vec<RejectedRow>) {
    let before = LEFT_OUT.replace(Some(Vec::new()));
    let read = read();
    (read, LEFT_OUT.replace(before).unwrap_or_default())
}

/// A row that cannot be read.
#[derive(Debug, Clone)]
pub(crate) struct OddRow {
    /// By its name or id, or its place in the list.
    pub(crate) name: String,
    /// As it came.
    pub(crate) value: Value,
    /// What is wrong with it.
    pub(crate) reason: String,
}

fn read_row<T: DeserializeOwned>(name: impl FnOnce(&Value) -> String, value: Value) -> Result<T, OddRow> {
    serde_path_to_error::deserialize(&value).map_err(|error| {
        let (path, reason) = (error.path().to_string(), error.into_inner().to_string());
        let reason = if path == "." { reason } else { format!("{path}: {reason}") };
        let name = name(&value);
        leave_out(&name, &reason);
        OddRow { name, value, reason }
    })
}

/// What a row is called.
fn name_of(position: usize, row: &Value) -> String {
    let fields = ["name", "id", "uuid", "vmid", "type", "location"];
    let text = fields.iter().find_map(|field| match row.get(field)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    });
    text.unwrap_or_else(|| format!("row {}", position.saturating_add(1)))
}

/// A list as an API tells it.
#[derive(Debug, Clone)]
pub(crate) struct Rows<T> {
    read: Vec<T>,
    odd: Vec<OddRow>,
    last_id: Option<String>,
}

impl<T> Default for Rows<T> {
    fn default() -> Self {
        Self { read: Vec::new(), odd: Vec::new(), last_id: None }
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Rows<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut rows = Self::default();
        for (position, value) in Vec::<Value>::deserialize(deserializer)?.into_iter().enumerate() {
            rows.last_id = value.get("id").and_then(Value::as_str).map(str::to_owned);
            match read_row(|row| name_of(position, row), value) {
                Ok(row) => rows.read.push(row),
                Err(odd) => rows.odd.push(odd),
            }
        }
        Ok(rows)
    }
}

impl<T> Rows<T> {
    /// What could be read, if from this list may follow that something does not exist: each row that could not be read is
    /// certainly somebody else's.
    ///
    /// # Errors
    /// A protocol error that names a row which may be the one that is looked for.
    pub(crate) fn proving(self, answer: &Answer, is_foreign: impl Fn(&Value) -> bool) -> Result<Vec<T>> {
        match self.odd.iter().find(|odd| !is_foreign(&odd.value)) {
            None => Ok(self.read),
            Some(OddRow { name, reason, .. }) => {
                Err(answer
                    .nonsense(format!("{name} cannot be read ({reason}), and may be what is looked for")))
            }
        }
    }

    /// The identifier of the last row, readable or not: where some lists go on.
    pub(crate) fn last_id(&self) -> Option<&str> {
        self.last_id.as_deref()
    }

    /// What could not be read.
    pub(crate) fn odd(&self) -> &[OddRow] {
        &self.odd
    }
}

impl<T> Deref for Rows<T> {
    type Target = Vec<T>;

    fn deref(&self) -> &Vec<T> {
        &self.read
    }
}

impl<T> IntoIterator for Rows<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.read.into_iter()
    }
}

impl<'a, T> IntoIterator for &'a Rows<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.read.iter()
    }
}

/// The same where an API tells an object with a field for each row.
#[derive(Debug, Clone)]
pub(crate) struct NamedRows<T>(BTreeMap<String, T>);

impl<'de, T: DeserializeOwned> Deserialize<'de> for NamedRows<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let all = BTreeMap::<String, Value>::deserialize(deserializer)?;
        let read = all.into_iter().filter_map(|(name, value)| {
            let row = read_row(|_| name.clone(), value).ok()?;
            Some((name, row))
        });
        Ok(Self(read.collect()))
    }
}

impl<T> IntoIterator for NamedRows<T> {
    type Item = (String, T);
    type IntoIter = std::collections::btree_map::IntoIter<String, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// What the newest lists of offers left out, by the address of each. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct LeftOut(Arc<Mutex<BTreeMap<String, Vec<RejectedRow>>>>);

impl LeftOut {
    /// Of one page; the first one makes an end of what the list had before.
    pub(super) fn note(&self, address: &str, is_first: bool, rows: Vec<RejectedRow>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if is_first {
            all.remove(address);
        }
        if !rows.is_empty() {
            let kept = all.entry(address.to_owned()).or_default();
            kept.extend(rows);
            kept.truncate(MOST);
        }
    }

    pub(super) fn all(&self) -> Vec<RejectedRow> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().flatten().cloned().collect()
    }
}

/// Whether a request asks for the beginning of a list.
pub(super) fn is_first(request: &Request) -> bool {
    let number = |name: &str| request.parameter(name).map(str::to_owned);
    CONTINUES.iter().all(|name| request.parameter(name).is_none())
        && number("page").is_none_or(|page| page == "1")
        && number("offset").is_none_or(|offset| offset == "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Size {
        name: String,
        memory: u64,
    }

    #[derive(Debug, Deserialize)]
    struct List {
        sizes: Rows<Size>,
    }

    #[test]
    fn an_odd_row_is_left_out_and_named() {
        let text = r#"{"sizes": [{"name": "a", "memory": 1}, null, {"name": "b", "memory": "2"}, {"id": 7, "memory": null},
            {"name": "c", "memory": 1e27}, [], {"name": "d", "memory": 4}]}"#;
        let (list, left_out) = reading(|| serde_json::from_str::<List>(text));
        let list = list.expect("a list").sizes;
        let read: Vec<_> = list.iter().map(|size| (size.name.as_str(), size.memory)).collect();
        assert_eq!(read, [("a", 1), ("d", 4)]);
        let names: Vec<_> = left_out.iter().map(|row| row.row.as_str()).collect();
        assert_eq!(names, ["row 2", "b", "7", "c", "row 6"]);
        assert!(left_out[1].reason.starts_with("memory: invalid type: string"), "{left_out:?}");
        // What is no list at all is an error as before.
        let (list, _) = reading(|| serde_json::from_str::<List>(r#"{"sizes": {}}"#).is_err());
        assert!(list);
        assert_eq!(serde_json::from_str::<NamedRows<Size>>(r#"{"x": null}"#).expect("an object").0.len(), 0);
    }

    #[test]
    fn what_a_list_left_out_is_that_of_its_newest_reading() {
        let (left_out, row) = (LeftOut::default(), |name: &str| RejectedRow::new(name, "odd"));
        left_out.note("https://a", true, vec![row("1")]);
        left_out.note("https://a", false, vec![row("2")]);
        left_out.note("https://b", true, vec![row("3")]);
        assert_eq!(left_out.all().len(), 3);
        left_out.note("https://a", true, Vec::new());
        assert_eq!(left_out.all(), [row("3")]);
    }
}
