//! Reads YAML and JSON documents. An error has the path and line of the mistake.

use std::{
    fmt::{self, Display},
    hash::Hash,
    io,
    marker::PhantomData,
    path::Path,
};

use indexmap::IndexMap;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, Error as _, MapAccess, Visitor},
};

use super::{
    limits,
    tree::{self, Fault, Field, Node, Position, Rules},
};
use crate::files::read_regular;

/// A document could not be read. The message names the path and the line, and says what to write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{}{message}", place(.path), line_text(*.line, *.column))]
pub struct DocumentError {
    /// Where in the document, as `components.web.vcpu`; empty for the whole.
    pub path: String,
    /// Counted from 1; 0 if unknown.
    pub line: usize,
    /// Counted from 1; 0 if unknown.
    pub column: usize,
    /// What is wrong and what to write instead.
    pub message: String,
}

fn place(path: &str) -> String {
    if path.is_empty() || path == "." { String::new() } else { format!("{path}: ") }
}

fn line_text(line: usize, column: usize) -> String {
    match (line, column) {
        (0, _) => String::new(),
        (line, 0) => format!("line {line}: "),
        (line, column) => format!("line {line}, column {column}: "),
    }
}

impl DocumentError {
    /// A mistake at a path, where the line is not known.
    pub fn at(path: impl Into<String>, message: impl Display) -> Self {
        Self { path: path.into(), line: 0, column: 0, message: tree::bounded(&message.to_string()) }
    }

    /// The same mistake, seen from the document around it.
    pub(crate) fn inside(mut self, path: &str) -> Self {
        self.path = if self.path.is_empty() { path.to_owned() } else { format!("{path}.{}", self.path) };
        self
    }

    /// The same mistake with the line and column of its path in the text, which is YAML or JSON.
    pub(crate) fn located(self, text: &str) -> Self {
        match tree::read_yaml(text).ok().and_then(|node| node.locate(&self.path)) {
            Some(at) if self.line == 0 => Self { line: at.line as usize, column: at.column as usize, ..self },
            _ => self,
        }
    }
}

impl From<Fault> for DocumentError {
    fn from(fault: Fault) -> Self {
        let (path, at) = (fault.path(), fault.at);
        let (path, message) = (tree::bounded(&path), tree::bounded(&fault.message));
        Self { path, line: at.line as usize, column: at.column as usize, message }
    }
}

/// Reads the text of a document from a regular file of at most 256 MiB, without the mark that some editors put before
/// UTF-8.
///
/// # Errors
/// What the system refuses; or, of kind [`InvalidData`](io::ErrorKind::InvalidData), that it is no regular file, too large or
/// not UTF-8, and what to do. Name the file with it.
pub fn read_text(path: &Path) -> io::Result<String> {
    read_text_within(path, limits::MAX_DOCUMENT_BYTES)
}

/// As [`read_text`], with a limit in bytes.
pub(crate) fn read_text_within(path: &Path, limit: usize) -> io::Result<String> {
    let limit = u64::try_from(limit).unwrap_or(u64::MAX);
    let refuse = |message: String| Err(io::Error::new(io::ErrorKind::InvalidData, message));
    let bytes = read_regular(path, limit)?;
    // In UTF-16 each ASCII character brings a zero byte, with or without a mark at the start.
    let is_wide = matches!(bytes.as_slice(), [0xff, 0xfe, ..] | [0xfe, 0xff, ..]) || bytes.contains(&0);
    if is_wide {
        return refuse("the text is UTF-16, or no text; save it as UTF-8".to_owned());
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text)),
        Err(error) => {
            let line =
                error.as_bytes()[..error.utf8_error().valid_up_to()].split(|byte| *byte == b'\n').count();
            refuse(format!("line {line}: the text is not UTF-8; save it as UTF-8"))
        }
    }
}

/// Reads a YAML document (JSON is YAML too) into a type, with limits against hostile input.
///
/// # Errors
/// [`DocumentError`] with path, line and column: mend the document there.
pub fn parse_yaml<T: DeserializeOwned>(text: &str) -> Result<T, DocumentError> {
    check_size(text, limits::MAX_DOCUMENT_BYTES)?;
    match tree::read_yaml(text) {
        // Nothing is written, which is all right where nothing must be.
        Err(fault) if fault.is_empty_document => {
            tree::read(&Node::from(tree::Value::Fields(Vec::new()))).map_err(|_| fault.into())
        }
        node => Ok(tree::read(&node?)?),
    }
}

const JSON: Rules = Rules { max_values: limits::MAX_DOCUMENT_VALUES, may_repeat: false };

/// Reads a JSON document into a type. Depth is limited by the parser (128), and no field may be written twice.
///
/// # Errors
/// [`DocumentError`] with path, line and column: mend the document there.
pub fn parse_json<T: DeserializeOwned>(text: &str) -> Result<T, DocumentError> {
    check_size(text, limits::MAX_DOCUMENT_BYTES)?;
    let node = tree::read_json(text.as_bytes(), JSON)?;
    tree::read(&node).map_err(|fault| DocumentError::from(fault).located(text))
}

/// Checks that each field of a JSON document is one that this version knows: `known` is the same document as this version
/// writes it.
///
/// # Errors
/// [`DocumentError`] with path, line and column.
pub(crate) fn check_fields(text: &str, known: &serde_json::Value) -> Result<(), DocumentError> {
    let node = tree::read_json(text.as_bytes(), JSON)?;
    check_known(&node, known).map_err(|fault| DocumentError::from(fault).located(text))
}

fn check_known(node: &Node<'_>, known: &serde_json::Value) -> Result<(), Fault> {
    match (&node.value, known) {
        (tree::Value::Fields(fields), serde_json::Value::Object(known)) => {
            fields.iter().try_for_each(|field| match known.get(&*field.name) {
                // What is left out where it is nothing may be written as nothing.
                None if field.node.value == tree::Value::Null => Ok(()),
                None => Err(Fault::new(format!("`{}` is unknown here; leave it out", field.name))),
                Some(known) => check_known(&field.node, known).map_err(|fault| fault.below(&field.name)),
            })
        }
        (tree::Value::List(items), serde_json::Value::Array(known)) => {
            let mut pairs = items.iter().zip(known).enumerate();
            pairs.try_for_each(|(at, (item, known))| {
                check_known(item, known).map_err(|fault| fault.of_item(at))
            })
        }
        _ => Ok(()),
    }
}

/// Reads a value that stood in a JSON document into a type, with the path of a mistake.
pub(crate) fn from_value<T: DeserializeOwned>(value: &serde_json::Value) -> Result<T, DocumentError> {
    Ok(tree::read(&Node::from(value))?)
}

/// Reads the JSON of another program into a type. The last value of a repeated name counts, and depth is limited to 128.
#[cfg(feature = "http")]
pub(crate) fn read_foreign_json<T: DeserializeOwned>(bytes: &[u8], max_values: usize) -> Result<T, Fault> {
    tree::read(&tree::read_json(bytes, Rules { max_values, may_repeat: true })?)
}

/// Reads a part of another program's JSON into a type.
#[cfg(feature = "http")]
pub(crate) fn read_foreign_value<T: DeserializeOwned>(value: &serde_json::Value) -> Result<T, Fault> {
    tree::read(&Node::from(value))
}

/// Reads a row of named cells into a type. Cells are text: 0012 is not 12.
pub(crate) fn from_cells<'t, T: DeserializeOwned>(
    cells: impl Iterator<Item = (&'t str, &'t str)>,
) -> Result<T, DocumentError> {
    let text = |text: &'t str| Node::from(tree::Value::Text(text.into()));
    let fields =
        cells.map(|(name, cell)| Field { name: name.into(), at: Position::default(), node: text(cell) });
    Ok(tree::read(&Node::from(tree::Value::Fields(fields.collect())))?)
}

/// Whether a document has at most so many bytes.
///
/// # Errors
/// [`DocumentError`]: it has more.
pub(crate) fn check_size(text: &str, limit: usize) -> Result<(), DocumentError> {
    if text.len() > limit {
        let message = format!("the document has {} bytes; write at most {limit}", text.len());
        return Err(DocumentError::at("", message));
    }
    Ok(())
}

/// The digest of a value: BLAKE3 over its JSON form, as 64 hexadecimal digits.
///
/// The value's maps must have a fixed order, which all types of this library have.
pub fn digest_of<T: Serialize>(value: &T) -> String {
    let bytes = serde_json::to_vec(value).unwrap_or_default();
    blake3::hash(&bytes).to_hex().to_string()
}

/// A map whose names are written once each; a reader of JSON would take the last of two silently.
pub(crate) fn unique<'de, D, K, V>(deserializer: D) -> Result<IndexMap<K, V>, D::Error>
where
    D: Deserializer<'de>,
    K: Deserialize<'de> + Hash + Eq + Display,
    V: Deserialize<'de>,
{
    struct Read<K, V>(PhantomData<(K, V)>);

    impl<'de, K: Deserialize<'de> + Hash + Eq + Display, V: Deserialize<'de>> Visitor<'de> for Read<K, V> {
        type Value = IndexMap<K, V>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a map")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut read = IndexMap::new();
            while let Some(name) = map.next_key::<K>()? {
                if read.contains_key(&name) {
                    return Err(A::Error::custom(format!("`{name}` is written twice; keep one of them")));
                }
                read.insert(name, map.next_value()?);
            }
            Ok(read)
        }
    }
    deserializer.deserialize_map(Read(PhantomData))
}

/// The schema of a decimal: text or a number, as [`decimal`] reads it.
pub(crate) struct AnyDecimal;

impl AnyDecimal {
    /// What the text looks like.
    pub(crate) const PATTERN: &str = r"[-+]?[0-9.][0-9_.]*([eE][-+]?[0-9]+)?";
}

impl schemars::JsonSchema for AnyDecimal {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Decimal".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let pattern = format!("^{}$", Self::PATTERN);
        match generator.contract().is_serialize() {
            true => schemars::json_schema!({ "type": "string", "pattern": pattern }),
            false => schemars::json_schema!({ "type": ["string", "number"], "pattern": pattern }),
        }
    }
}

/// Decimals in documents: text, or a number. Written as text, so that no reader turns it into a float.
pub(crate) mod decimal {
    use std::fmt;

    use rust_decimal::Decimal;
    use serde::{Deserializer, Serializer, de};

    pub(crate) fn serialize<S: Serializer>(value: &Decimal, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Decimal, D::Error> {
        deserializer.deserialize_any(Read)
    }

    struct Read;

    impl de::Visitor<'_> for Read {
        type Value = Decimal;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a decimal number such as 12.5")
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<Decimal, E> {
            let parsed =
                if text.contains(['e', 'E']) { Decimal::from_scientific(text) } else { text.parse() };
            parsed.map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
        }
        fn visit_u64<E: de::Error>(self, value: u64) -> Result<Decimal, E> {
            Ok(value.into())
        }
        fn visit_i64<E: de::Error>(self, value: i64) -> Result<Decimal, E> {
            Ok(value.into())
        }
        /// The parser has made a float of it; its shortest text is what was written, up to 15 digits.
        fn visit_f64<E: de::Error>(self, value: f64) -> Result<Decimal, E> {
            self.visit_str(&value.to_string())
        }
    }

    /// The same for a value that may be absent.
    pub(crate) mod option {
        use rust_decimal::Decimal;
        use serde::{Deserialize, Deserializer, Serializer};

        #[derive(Deserialize)]
        struct Wrapped(#[serde(with = "super")] Decimal);

        pub(crate) fn serialize<S: Serializer>(
            value: &Option<Decimal>,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            match value {
                Some(value) => serializer.collect_str(value),
                None => serializer.serialize_none(),
            }
        }

        pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
            deserializer: D,
        ) -> Result<Option<Decimal>, D::Error> {
            Ok(Option::<Wrapped>::deserialize(deserializer)?.map(|wrapped| wrapped.0))
        }
    }
}
