//! Lists whose rows are parsed one by one: an unreadable row is left out and named, and the other rows stay.
#![cfg_attr(not(feature = "adapters"), allow(dead_code, reason = "each adapter needs a part of it"))]

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fmt,
    ops::Deref,
    sync::{Arc, Mutex, PoisonError},
};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};

use super::{Request, Response};
use crate::{
    model,
    provider::{RejectedRow, Result},
};

/// Unreadable rows of one response that are named.
const MAX_NAMED_ROWS: usize = 200;
/// Rows of one response, at most: ten times the longest page or price list of an API.
const MAX_ROWS: usize = 100_000;
/// Values of one row, at most, such as its fields and prices.
const MAX_VALUES_PER_ROW: usize = 20_000;
/// Query parameters that continue a list.
const CURSOR_PARAMETERS: [&str; 2] = ["NextToken", "marker"];

thread_local! {
    /// Rows rejected from the response that this thread is parsing.
    static REJECTED: RefCell<Option<Vec<RejectedRow>>> = const { RefCell::new(None) };
}

/// Names a row that is left out of the response that is being parsed.
pub(crate) fn reject_row(row: impl fmt::Display, reason: impl fmt::Display) {
    tracing::debug!(%row, %reason, "a row of a list cannot be read and is left out");
    REJECTED.with_borrow_mut(|rows| {
        if let Some(rows) = rows.as_mut().filter(|rows| rows.len() < MAX_NAMED_ROWS) {
            rows.push(RejectedRow::new(row, reason));
        }
    });
}

/// Parses something, and returns the rows that were left out, too.
pub(super) fn with_rejections<T>(read: impl FnOnce() -> T) -> (T, Vec<RejectedRow>) {
    let before = REJECTED.replace(Some(Vec::new()));
    let read = read();
    (read, REJECTED.replace(before).unwrap_or_default())
}

/// A row that cannot be read.
#[derive(Debug, Clone)]
pub(crate) struct UnreadableRow {
    /// Its name or id, or its position in the list.
    pub(crate) name: String,
    /// The row as it was received.
    value: Value,
    /// Whether `value` is the whole row. Nothing is certain about a part.
    is_whole: bool,
    /// Why it cannot be read.
    pub(crate) reason: String,
}

impl UnreadableRow {
    /// Stands for unreadable rows that are not kept.
    fn more(count: usize) -> Self {
        let reason = format!("only {MAX_NAMED_ROWS} unreadable rows are kept");
        Self { name: format!("one of {count} more rows"), value: Value::Null, is_whole: false, reason }
    }

    /// Whether a predicate may hold for the row.
    pub(crate) fn may_match(&self, is: impl Fn(&Value) -> bool) -> bool {
        !self.is_whole || is(&self.value)
    }

    /// Whether a predicate certainly holds for the row.
    pub(crate) fn matches(&self, is: impl Fn(&Value) -> bool) -> bool {
        self.is_whole && is(&self.value)
    }
}

fn read_row<T: DeserializeOwned>(name: impl FnOnce(&Value) -> String, row: Row) -> Result<T, UnreadableRow> {
    let read = match row.is_whole {
        true => model::read_foreign_value(&row.value).map_err(|fault| match fault.path() {
            path if path.is_empty() => fault.finding().to_owned(),
            path => format!("{path}: {}", fault.finding()),
        }),
        false => Err(format!("the row has more than {MAX_VALUES_PER_ROW} values")),
    };
    read.map_err(|reason| {
        let name = name(&row.value);
        reject_row(&name, &reason);
        UnreadableRow { name, value: row.value, is_whole: row.is_whole, reason }
    })
}

/// A row as it was received, up to the limit of its values.
struct Row {
    value: Value,
    is_whole: bool,
}

impl Row {
    /// Parses the next row; only one unparsed row is in memory at a time.
    fn seed(left: &mut usize) -> Limited<'_> {
        *left = MAX_VALUES_PER_ROW;
        Limited(left)
    }

    fn new(value: Value, left: usize) -> Self {
        Self { value, is_whole: left > 0 }
    }
}

/// Parses a value up to a budget of parts, and skips the rest.
struct Limited<'a>(&'a mut usize);

impl<'de> DeserializeSeed<'de> for Limited<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        *self.0 = self.0.saturating_sub(1);
        match *self.0 {
            0 => IgnoredAny::deserialize(deserializer).map(|_| Value::Null),
            _ => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Limited<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while *self.0 > 0 {
            match seq.next_element_seed(Limited(self.0))? {
                Some(item) => items.push(item),
                None => return Ok(Value::Array(items)),
            }
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while *self.0 > 0 {
            let Some(name) = map.next_key::<String>()? else { return Ok(Value::Object(fields)) };
            fields.insert(name, map.next_value_seed(Limited(self.0))?);
        }
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Object(fields))
    }
}

/// Parses rows one by one.
struct Each<R>(R);

impl<'de, T: DeserializeOwned> Visitor<'de> for Each<LenientList<T>> {
    type Value = LenientList<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<LenientList<T>, A::Error> {
        let (Self(mut rows), mut left, mut more) = (self, 0, 0);
        while let Some(value) = seq.next_element_seed(Row::seed(&mut left))? {
            if rows.count == MAX_ROWS {
                return Err(A::Error::custom(format!("the list has more than {MAX_ROWS} rows")));
            }
            rows.last_id = value.get("id").and_then(Value::as_str).map(str::to_owned);
            match read_row(|row| name_of(rows.count, row), Row::new(value, left)) {
                Ok(row) => rows.read.push(row),
                Err(odd) if rows.unreadable.len() < MAX_NAMED_ROWS => rows.unreadable.push(odd),
                Err(_) => more += 1,
            }
            rows.count += 1;
        }
        rows.unreadable.extend((more > 0).then(|| UnreadableRow::more(more)));
        Ok(rows)
    }
}

impl<'de, T: DeserializeOwned> Visitor<'de> for Each<LenientMap<T>> {
    type Value = LenientMap<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<LenientMap<T>, A::Error> {
        let (Self(mut rows), mut left, mut count) = (self, 0, 0_usize);
        while let Some(name) = map.next_key::<String>()? {
            if count == MAX_ROWS {
                return Err(A::Error::custom(format!("the list has more than {MAX_ROWS} rows")));
            }
            count += 1;
            let value = map.next_value_seed(Row::seed(&mut left))?;
            if let Ok(row) = read_row(|_| name.clone(), Row::new(value, left)) {
                rows.0.insert(name, row);
            }
        }
        Ok(rows)
    }
}

/// A row's name.
fn name_of(position: usize, row: &Value) -> String {
    let fields = ["name", "id", "uuid", "vmid", "type", "location"];
    let text = fields.iter().find_map(|field| match row.get(field)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    });
    text.unwrap_or_else(|| format!("row {}", position.saturating_add(1)))
}

/// A list of an API, with its unreadable rows.
#[derive(Debug, Clone)]
pub(crate) struct LenientList<T> {
    read: Vec<T>,
    /// The first unreadable rows, and one that stands for the others.
    unreadable: Vec<UnreadableRow>,
    /// Of all rows, readable or not.
    count: usize,
    last_id: Option<String>,
}

impl<T> Default for LenientList<T> {
    fn default() -> Self {
        Self { read: Vec::new(), unreadable: Vec::new(), count: 0, last_id: None }
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for LenientList<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Each(Self::default()))
    }
}

impl<T> LenientList<T> {
    /// The readable rows, if absence from them is conclusive: each unreadable row certainly belongs to somebody else.
    ///
    /// # Errors
    /// A protocol error that names an unreadable row which may be the requested one.
    pub(crate) fn conclusive(
        self,
        response: &Response,
        is_foreign: impl Fn(&Value) -> bool,
    ) -> Result<Vec<T>> {
        match self.unreadable.iter().find(|odd| !odd.matches(&is_foreign)) {
            None => Ok(self.read),
            Some(UnreadableRow { name, reason, .. }) => Err(response
                .protocol_error(format!("{name} cannot be read ({reason}), and may be the requested one"))),
        }
    }

    /// The id of the last row, readable or not: the cursor of some lists.
    pub(crate) fn last_id(&self) -> Option<&str> {
        self.last_id.as_deref()
    }

    /// The number of rows, readable or not.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// The unreadable rows.
    pub(crate) fn unreadable(&self) -> &[UnreadableRow] {
        &self.unreadable
    }
}

impl<T> Deref for LenientList<T> {
    type Target = Vec<T>;

    fn deref(&self) -> &Vec<T> {
        &self.read
    }
}

impl<T> IntoIterator for LenientList<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.read.into_iter()
    }
}

impl<'a, T> IntoIterator for &'a LenientList<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.read.iter()
    }
}

/// As [`LenientList`], for an object with a field for each row.
#[derive(Debug, Clone)]
pub(crate) struct LenientMap<T>(BTreeMap<String, T>);

impl<'de, T: DeserializeOwned> Deserialize<'de> for LenientMap<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Each(Self(BTreeMap::new())))
    }
}

impl<T> IntoIterator for LenientMap<T> {
    type Item = (String, T);
    type IntoIter = std::collections::btree_map::IntoIter<String, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// Unreadable rows of the newest lists of offers, by address. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct RejectedRows(Arc<Mutex<BTreeMap<String, Vec<RejectedRow>>>>);

impl RejectedRows {
    /// Adds the rows of one page; the first page of a list replaces the list's earlier rows.
    pub(super) fn record(&self, address: &str, is_first: bool, rows: Vec<RejectedRow>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if is_first {
            all.remove(address);
        }
        if !rows.is_empty() {
            let kept = all.entry(address.to_owned()).or_default();
            kept.extend(rows);
            kept.truncate(MAX_NAMED_ROWS);
        }
    }

    pub(super) fn all(&self) -> Vec<RejectedRow> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().flatten().cloned().collect()
    }
}

/// Whether a request gets the first page of a list.
pub(super) fn is_first_page(request: &Request) -> bool {
    let number = |name: &str| request.parameter(name).map(str::to_owned);
    CURSOR_PARAMETERS.iter().all(|name| request.parameter(name).is_none())
        && number("page").is_none_or(|page| page == "1")
        && number("offset").is_none_or(|offset| offset == "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, Deserialize)]
    struct Size {
        name: String,
        memory: u64,
    }

    #[derive(Debug, Deserialize)]
    struct List {
        sizes: LenientList<Size>,
    }

    #[test]
    fn an_odd_row_is_left_out_and_named() {
        let text = r#"{"sizes": [{"name": "a", "memory": 1}, null, {"name": "b", "memory": "2"}, {"id": 7, "memory": null},
            {"name": "c", "memory": 1e27}, [], {"name": "d", "memory": 4}]}"#;
        let (list, rejected) = with_rejections(|| serde_json::from_str::<List>(text));
        let list = list.expect("a list").sizes;
        let read: Vec<_> = list.iter().map(|size| (size.name.as_str(), size.memory)).collect();
        assert_eq!(read, [("a", 1), ("d", 4)]);
        let names: Vec<_> = rejected.iter().map(|row| row.row.as_str()).collect();
        assert_eq!(names, ["row 2", "b", "7", "c", "row 6"]);
        assert!(rejected[1].reason.starts_with("memory: invalid type: string"), "{rejected:?}");
        // A value that is not a list stays an error.
        let (list, _) = with_rejections(|| serde_json::from_str::<List>(r#"{"sizes": {}}"#).is_err());
        assert!(list);
        assert_eq!(serde_json::from_str::<LenientMap<Size>>(r#"{"x": null}"#).expect("an object").0.len(), 0);
    }

    #[test]
    fn of_odd_rows_no_more_is_kept_than_is_told() {
        let list = |rows: &str| serde_json::from_str::<List>(&format!(r#"{{"sizes": [{rows}]}}"#));
        let (read, rejected) = with_rejections(|| list(&vec!["0"; 50_000].join(",")));
        let sizes = read.expect("a list").sizes;
        assert_eq!(
            (sizes.unreadable.len(), sizes.count(), rejected.len()),
            (MAX_NAMED_ROWS + 1, 50_000, MAX_NAMED_ROWS)
        );
        // Each of them may be what is looked for.
        let response = Response::of_text("{}");
        assert!(sizes.clone().conclusive(&response, |_| false).is_err());
        let error = sizes.conclusive(&response, |_| true).expect_err("more than are kept").to_string();
        assert!(error.contains("one of 49800 more rows cannot be read"), "{error}");
        let error = list(&vec!["0"; MAX_ROWS + 1].join(",")).expect_err("too many").to_string();
        assert!(error.contains("more than 100000 rows"), "{error}");
        let names = (0..=MAX_ROWS).map(|at| format!(r#""{at}": 0"#)).collect::<Vec<_>>().join(",");
        assert!(serde_json::from_str::<LenientMap<Size>>(&format!("{{{names}}}")).is_err());
    }

    #[test]
    fn a_row_that_is_a_whole_tree_is_passed_over_and_proves_nothing() {
        for tree in [
            format!("[{}0]", r#"{"":0},"#.repeat(MAX_VALUES_PER_ROW)),
            format!(r#"{{"id": "x", "tree": [{}0], "z": 1}}"#, "0,".repeat(MAX_VALUES_PER_ROW)),
        ] {
            let text = format!(
                r#"{{"sizes": [{{"name": "a", "memory": 1}}, {tree}, {{"name": "b", "memory": 2}}]}}"#
            );
            let (list, rejected) = with_rejections(|| serde_json::from_str::<List>(&text));
            let sizes = list.expect("a list").sizes;
            let read: Vec<_> = sizes.iter().map(|size| size.name.as_str()).collect();
            assert_eq!((read, rejected.len()), (vec!["a", "b"], 1));
            assert!(rejected[0].reason.contains("more than 20000 values"), "{rejected:?}");
            assert!(sizes.conclusive(&Response::of_text("{}"), |_| true).is_err());
        }
    }

    #[test]
    fn what_a_list_left_out_is_that_of_its_newest_reading() {
        let (rejected, row) = (RejectedRows::default(), |name: &str| RejectedRow::new(name, "odd"));
        rejected.record("https://a", true, vec![row("1")]);
        rejected.record("https://a", false, vec![row("2")]);
        rejected.record("https://b", true, vec![row("3")]);
        assert_eq!(rejected.all().len(), 3);
        rejected.record("https://a", true, Vec::new());
        assert_eq!(rejected.all(), [row("3")]);
    }
}
