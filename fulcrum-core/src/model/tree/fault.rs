//! What is wrong with a document: the words, the path and the place.

use std::fmt::{self, Display};

use serde::de::{self, Expected, Unexpected};

use super::{node::Position, words};

/// A mistake while a tree was made, or a type was read from it. Whoever passes it upwards adds its part of the path.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::model) struct Fault {
    pub(in crate::model) message: String,
    /// From the innermost part outwards.
    path: Vec<Segment>,
    pub(in crate::model) at: Position,
    /// A field that the type does not have.
    pub(in crate::model) is_unknown_field: bool,
    /// Nothing is written but comments.
    pub(in crate::model) is_empty_document: bool,
}

#[derive(Debug, Clone, PartialEq)]
enum Segment {
    Name(String),
    Index(usize),
}

impl Fault {
    pub(in crate::model) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            path: Vec::new(),
            at: Position::default(),
            is_unknown_field: false,
            is_empty_document: false,
        }
    }

    /// A document without anything but comments.
    pub(in crate::model) fn empty_document() -> Self {
        let at = Position { line: 1, column: 1 };
        Self { is_empty_document: true, at, ..Self::new(words::EMPTY) }
    }

    /// With its place, unless an inner part has told a better one.
    #[must_use]
    pub(in crate::model) fn at(mut self, at: Position) -> Self {
        if self.at.line == 0 {
            self.at = at;
        }
        self
    }

    #[must_use]
    pub(in crate::model) fn below(mut self, name: &str) -> Self {
        self.path.push(Segment::Name(name.to_owned()));
        self
    }

    #[must_use]
    pub(in crate::model) fn of_item(mut self, index: usize) -> Self {
        self.path.push(Segment::Index(index));
        self
    }

    /// As `constraints[1].conflict`; empty for the whole.
    pub(in crate::model) fn path(&self) -> String {
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

impl de::Error for Fault {
    fn custom<T: Display>(message: T) -> Self {
        Self::new(words::of_message(&message.to_string()))
    }
    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(words::instead(&unexpected.to_string(), &expected.to_string()))
    }
    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(unexpected, expected)
    }
    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        Self::new(format!("{length} are written; write {}", words::wanted(&expected.to_string())))
    }
    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::new(words::unknown_word(variant, expected))
    }
    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self { is_unknown_field: true, ..Self::new(words::unknown_field(field, expected)) }
    }
    fn missing_field(field: &'static str) -> Self {
        Self::new(format!("`{field}` is missing; write it"))
    }
    fn duplicate_field(field: &'static str) -> Self {
        Self::new(format!("`{field}` is written twice; keep one of them"))
    }
}
