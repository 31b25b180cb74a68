//! Reads YAML and JSON documents. An error has the path and line of the mistake.

use std::{
    collections::HashSet,
    fmt::{self, Display},
    hash::Hash,
    io,
    marker::PhantomData,
    path::Path,
};

use indexmap::IndexMap;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor},
};

use super::{limits, parse_messages, source_positions};
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
        Self { path: path.into(), line: 0, column: 0, message: message.to_string() }
    }

    /// The same mistake, seen from the document around it.
    pub(crate) fn inside(mut self, path: &str) -> Self {
        self.path = if self.path.is_empty() { path.to_owned() } else { format!("{path}.{}", self.path) };
        self
    }

    /// The same mistake with the line and column of its path, if the text has it.
    pub(crate) fn located_in_yaml(self, text: &str) -> Self {
        let position = source_positions::yaml_position(text, &self.path);
        self.located(position)
    }

    /// The same mistake with the line and column of its path, if the text has it.
    pub(crate) fn located_in_json(self, text: &str) -> Self {
        let position = source_positions::json_position(text, &self.path);
        self.located(position)
    }

    fn located(self, position: Option<(usize, usize)>) -> Self {
        match position {
            Some((line, column)) if self.line == 0 => Self { line, column, ..self },
            _ => self,
        }
    }
}

fn with_suggestion(message: String) -> String {
    match suggestion(&message) {
        Some(word) => format!("{message}; did you mean `{word}`?"),
        None => message,
    }
}

/// The expected word nearest to the unknown one, in serde's "unknown field `a`, expected one of `b`, `c`", of
/// which the YAML reader leaves out the second kind of quotes, or in our own "`a` is unknown here; write one of b, c".
fn suggestion(message: &str) -> Option<&str> {
    let (unknown, expected) = match message.split_once(" is unknown here; write ") {
        Some(parts) => parts,
        None => message.split_once("unknown ")?.1.split_once("expected ")?,
    };
    let written = unknown.split('`').nth(1)?;
    let expected = expected.strip_prefix("one of ").unwrap_or(expected);
    expected
        .split([',', ' '])
        .map(|word| word.trim_matches('`'))
        .filter(|word| !word.is_empty() && *word != "or")
        .map(|word| (strsim::damerau_levenshtein(written, word), word))
        .min()
        .filter(|(distance, word)| *distance <= 1 + word.len() / 3)
        .map(|(_, word)| word)
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
    let options = serde_saphyr::options! {
        strict_booleans: true,
        with_snippet: false,
    };
    let mut path = String::new();
    // The error leaves through the closure: else the parser complains about what it has not read.
    let read = serde_saphyr::with_deserializer_from_str_with_options(text, options, |deserializer| {
        let mut track = serde_path_to_error::Track::new();
        let wrapped = serde_path_to_error::Deserializer::new(deserializer, &mut track);
        T::deserialize(wrapped).inspect_err(|_| path = track.path().to_string())
    });
    let error = match read {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    let error = error.without_snippet();
    let (line, column) = error.location().map_or((0, 0), |at| (at.line() as usize, at.column() as usize));
    let message = with_suggestion(parse_messages::yaml_message(error, text));
    Err(DocumentError { path: known_part(&path), line, column, message })
}

/// The path up to where the reader lost it: a name that is no field, or stands twice.
fn known_part(path: &str) -> String {
    path.trim_end_matches('?').trim_end_matches('.').to_owned()
}

/// Reads a JSON document into a type. Depth is limited by the parser (128).
///
/// # Errors
/// [`DocumentError`] with path, line and column: mend the document there.
pub fn parse_json<T: DeserializeOwned>(text: &str) -> Result<T, DocumentError> {
    check_size(text, limits::MAX_DOCUMENT_BYTES)?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let inner = error.inner();
        DocumentError {
            path: known_part(&error.path().to_string()),
            line: inner.line(),
            column: inner.column(),
            message: with_suggestion(parse_messages::json_message(inner, text)),
        }
    })?;
    deserializer.end().map_err(|error| DocumentError {
        path: String::new(),
        line: error.line(),
        column: error.column(),
        message: "the document goes on after its end; remove what follows".to_owned(),
    })?;
    Ok(value)
}

/// Checks that no field of a JSON document is written twice, at any depth: of two, one reader takes the first and another one
/// the last. With `known`, the same document as this version writes it, also that each field is one that this version knows.
///
/// # Errors
/// [`DocumentError`] with path, line and column.
pub(crate) fn check_fields(text: &str, known: Option<&serde_json::Value>) -> Result<(), DocumentError> {
    check_size(text, limits::MAX_DOCUMENT_BYTES)?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let mut track = serde_path_to_error::Track::new();
    let wrapped = serde_path_to_error::Deserializer::new(&mut deserializer, &mut track);
    Fields { known }.deserialize(wrapped).map_err(|inner: serde_json::Error| DocumentError {
        path: known_part(&track.path().to_string()),
        line: inner.line(),
        column: inner.column(),
        message: parse_messages::json_message(&inner, text),
    })
}

/// Reads any value and keeps nothing of it.
#[derive(Clone, Copy)]
struct Fields<'a> {
    known: Option<&'a serde_json::Value>,
}

impl<'de> DeserializeSeed<'de> for Fields<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let known = self.known.and_then(serde_json::Value::as_array);
        for at in 0.. {
            let known = known.and_then(|known| known.get(at));
            if list.next_element_seed(Fields { known })?.is_none() {
                break;
            }
        }
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let known = self.known.and_then(serde_json::Value::as_object);
        let mut seen = HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            if seen.contains(&name) {
                return Err(A::Error::custom(format!("`{name}` is written twice; keep one of them")));
            }
            match known.map(|known| known.get(&name)) {
                // What is left out where it is nothing may be written as nothing.
                Some(None) if map.next_value::<serde_json::Value>()?.is_null() => {}
                Some(None) => {
                    return Err(A::Error::custom(format!("`{name}` is unknown here; leave it out")));
                }
                known => map.next_value_seed(Fields { known: known.flatten() })?,
            }
            seen.insert(name);
        }
        Ok(())
    }
}

/// Reads a value that stood in a JSON document into a type, with the path of a mistake.
pub(crate) fn from_value<T: DeserializeOwned>(value: serde_json::Value) -> Result<T, DocumentError> {
    serde_path_to_error::deserialize(value).map_err(|error: serde_path_to_error::Error<serde_json::Error>| {
        let message = with_suggestion(parse_messages::json_message(error.inner(), "a value"));
        DocumentError::at(known_part(&error.path().to_string()), message)
    })
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

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": ["string", "number"], "pattern": format!("^{}$", Self::PATTERN) })
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
