//! What is wrong with a document: the words, the path and the place.

use std::{
    fmt::{self, Display},
    ops::Deref,
};

use serde::de::{self, Expected, Unexpected};

use super::{node::Position, words};

/// A mistake while a tree was made, or a type was read from it. Whoever passes it upwards adds its part of the path.
///
/// It is one pointer, as each function of each type that is read can return it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fault(Box<Mistake>);

/// The parts of a [`Fault`].
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Mistake {
    /// For whoever writes the document: what to write.
    pub(in crate::model) message: String,
    /// For whoever reads a document of another program: what is wrong, without the values.
    finding: String,
    /// From the innermost part outwards.
    path: Vec<Segment>,
    pub(in crate::model) at: Position,
    /// A field that the type does not have.
    pub(in crate::model) is_unknown_field: bool,
    /// Nothing is written but comments.
    pub(in crate::model) is_empty_document: bool,
}

impl Deref for Fault {
    type Target = Mistake;

    fn deref(&self) -> &Mistake {
        &self.0
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Segment {
    Name(String),
    Index(usize),
}

impl Fault {
    pub(in crate::model) fn new(message: impl Into<String>) -> Self {
        let message = message.into();
        Self::in_words(message.clone(), message)
    }

    /// With words for the reader of a document besides those for its writer.
    pub(in crate::model) fn in_words(message: impl Into<String>, finding: impl Into<String>) -> Self {
        Self(Box::new(Mistake { message: message.into(), finding: finding.into(), ..Mistake::default() }))
    }

    /// A document without anything but comments.
    pub(in crate::model) fn empty_document() -> Self {
        let mut fault = Self::new(words::EMPTY);
        fault.0.is_empty_document = true;
        fault.at(Position { line: 1, column: 1 })
    }

    /// With its place, unless an inner part has told a better one.
    #[must_use]
    pub(in crate::model) fn at(mut self, at: Position) -> Self {
        if self.at.line == 0 {
            self.0.at = at;
        }
        self
    }

    #[must_use]
    pub(in crate::model) fn below(mut self, name: &str) -> Self {
        self.0.path.push(Segment::Name(name.to_owned()));
        self
    }

    #[must_use]
    pub(in crate::model) fn of_item(mut self, index: usize) -> Self {
        self.0.path.push(Segment::Index(index));
        self
    }

    /// What is wrong, for people who have not written the document. It has none of the document's values.
    #[cfg(feature = "http")]
    pub(crate) fn finding(&self) -> &str {
        &self.finding
    }

    /// As `constraints[1].conflict`; empty for the whole.
    pub(crate) fn path(&self) -> String {
        let mut path = String::new();
        for segment in self.path.iter().rev() {
            match segment {
                Segment::Name(name) if path.is_empty() => path.push_str(name),
                Segment::Name(name) => path.extend([".", name]),
                Segment::Index(index) => path.extend(["[", &index.to_string(), "]"]),
            }
        }
        path
    }
}

impl Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

/// The kind of a value: `string` of `string "secret"`.
fn kind_of(unexpected: Unexpected<'_>) -> String {
    match unexpected {
        Unexpected::Bool(_) => "boolean".to_owned(),
        Unexpected::Unsigned(_) | Unexpected::Signed(_) => "integer".to_owned(),
        Unexpected::Float(_) => "floating point".to_owned(),
        Unexpected::Char(_) => "character".to_owned(),
        Unexpected::Str(_) | Unexpected::Other(_) => "string".to_owned(),
        // These tell no value.
        other => other.to_string(),
    }
}

impl de::Error for Fault {
    fn custom<T: Display>(message: T) -> Self {
        let message = message.to_string();
        Self::in_words(words::of_message(&message), words::without_values(&message))
    }
    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let (written, expected) = (unexpected.to_string(), expected.to_string());
        let finding = format!("invalid type: {}, expected {expected}", kind_of(unexpected));
        Self::in_words(words::instead(&written, &expected), finding)
    }
    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let (written, expected) = (unexpected.to_string(), expected.to_string());
        let finding = format!("invalid value: {}, expected {expected}", kind_of(unexpected));
        Self::in_words(words::instead(&written, &expected), finding)
    }
    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        let message = format!("{length} are written; write {}", words::wanted(&expected.to_string()));
        Self::in_words(message, format!("invalid length {length}, expected {expected}"))
    }
    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let finding = format!("unknown variant, expected one of {}", expected.join(", "));
        Self::in_words(words::unknown_word(variant, expected), finding)
    }
    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let finding = format!("unknown field, expected one of {}", expected.join(", "));
        let mut fault = Self::in_words(words::unknown_field(field, expected), finding);
        fault.0.is_unknown_field = true;
        fault
    }
    fn missing_field(field: &'static str) -> Self {
        Self::in_words(format!("`{field}` is missing; write it"), format!("missing field `{field}`"))
    }
    fn duplicate_field(field: &'static str) -> Self {
        let message = format!("`{field}` is written twice; keep one of them");
        Self::in_words(message, format!("duplicate field `{field}`"))
    }
}
