//! A document as a tree: what every form of text is read into, and every type is read from. So each type is compiled for one
//! reader, not for one of each form.

use std::{borrow::Cow, collections::HashMap};

/// Line and column, counted from 1; 0 if unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::model) struct Position {
    pub(in crate::model) line: u32,
    pub(in crate::model) column: u32,
}

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::model) struct Node<'t> {
    pub(in crate::model) value: Value<'t>,
    pub(in crate::model) at: Position,
}

/// What a document is made of.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::model) enum Value<'t> {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(Cow<'t, str>),
    /// A scalar of YAML: the type that reads it decides what it is. In quotes it is text unless a number or a truth is wanted.
    Scalar {
        text: Cow<'t, str>,
        is_quoted: bool,
    },
    List(Vec<Node<'t>>),
    Fields(Vec<Field<'t>>),
}

/// A named value. Names are written once in a map.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::model) struct Field<'t> {
    pub(in crate::model) name: Cow<'t, str>,
    pub(in crate::model) at: Position,
    pub(in crate::model) node: Node<'t>,
}

impl<'t> From<Value<'t>> for Node<'t> {
    fn from(value: Value<'t>) -> Self {
        Self { value, at: Position::default() }
    }
}

impl<'t> From<&'t serde_json::Value> for Node<'t> {
    fn from(value: &'t serde_json::Value) -> Self {
        use serde_json::Value as Json;
        let value = match value {
            Json::Null => Value::Null,
            Json::Bool(truth) => Value::Bool(*truth),
            Json::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(number), _) => Value::Unsigned(number),
                (_, Some(number)) => Value::Signed(number),
                _ => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(text) => Value::Text(Cow::Borrowed(text)),
            Json::Array(items) => Value::List(items.iter().map(Self::from).collect()),
            Json::Object(fields) => Value::Fields(
                fields
                    .iter()
                    .map(|(name, value)| Field {
                        name: Cow::Borrowed(name),
                        at: Position::default(),
                        node: Self::from(value),
                    })
                    .collect(),
            ),
        };
        value.into()
    }
}

impl<'t> Node<'t> {
    /// How many values it is made of, names not counted.
    pub(in crate::model) fn size(&self) -> usize {
        match &self.value {
            Value::List(items) => 1 + items.iter().map(Self::size).sum::<usize>(),
            Value::Fields(fields) => 1 + fields.iter().map(|field| field.node.size()).sum::<usize>(),
            _ => 1,
        }
    }

    /// Where a path such as `constraints[1].conflict` leads, or as far as it can be followed: a scalar's place, or that of
    /// the name of a longer part. None at the root.
    pub(in crate::model) fn locate(&self, path: &str) -> Option<Position> {
        let (mut node, mut path, mut found) = (self, path, None);
        loop {
            path = path.strip_prefix('.').unwrap_or(path);
            let step = match &node.value {
                Value::Fields(fields) => {
                    // Names may contain dots: the longest one that fits.
                    let fits = |field: &&Field<'_>| {
                        let rest = path.strip_prefix(&*field.name);
                        !field.name.is_empty()
                            && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
                    };
                    let field = fields.iter().filter(fits).max_by_key(|field| field.name.len());
                    field.map(|field| (&field.node, &path[field.name.len()..], field.at))
                }
                Value::List(items) => {
                    path.strip_prefix('[').and_then(|rest| rest.split_once(']')).and_then(|(at, rest)| {
                        let node = items.get(at.parse::<usize>().ok()?)?;
                        Some((node, rest, node.at))
                    })
                }
                _ => None,
            };
            let Some((next, rest, at)) = step else { return found };
            let is_scalar = !matches!(next.value, Value::List(_) | Value::Fields(_));
            found = Some(if rest.is_empty() && is_scalar { next.at } else { at });
            (node, path) = (next, rest);
        }
    }
}

/// The fields of a map as they come, each name once.
#[derive(Debug, Default)]
pub(in crate::model) struct FieldsBuilder<'t> {
    fields: Vec<Field<'t>>,
    /// The index of each name, as soon as a look at the fields is dearer.
    names: HashMap<Cow<'t, str>, usize>,
}

impl<'t> FieldsBuilder<'t> {
    const MAX_SCANNED_FIELDS: usize = 8;

    /// The field of a name that is there.
    pub(in crate::model) fn find(&mut self, name: &str) -> Option<&mut Field<'t>> {
        let at = match self.names.is_empty() {
            true => self.fields.iter().position(|field| field.name == name)?,
            false => *self.names.get(name)?,
        };
        self.fields.get_mut(at)
    }

    /// Adds a field whose name is new.
    pub(in crate::model) fn push(&mut self, field: Field<'t>) {
        if !self.names.is_empty() {
            self.names.insert(field.name.clone(), self.fields.len());
        } else if self.fields.len() == Self::MAX_SCANNED_FIELDS {
            let names = self.fields.iter().chain([&field]).map(|field| field.name.clone());
            self.names.extend(names.enumerate().map(|(at, name)| (name, at)));
        }
        self.fields.push(field);
    }

    pub(in crate::model) fn into_value(self) -> Value<'t> {
        Value::Fields(self.fields)
    }
}

impl Node<'_> {
    /// The same, of no text.
    pub(in crate::model) fn into_owned<'o>(self) -> Node<'o> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        let value = match self.value {
            Value::Null => Value::Null,
            Value::Bool(truth) => Value::Bool(truth),
            Value::Unsigned(number) => Value::Unsigned(number),
            Value::Signed(number) => Value::Signed(number),
            Value::Float(number) => Value::Float(number),
            Value::Text(text) => Value::Text(owned(text)),
            Value::Scalar { text, is_quoted } => Value::Scalar { text: owned(text), is_quoted },
            Value::List(items) => Value::List(items.into_iter().map(Node::into_owned).collect()),
            Value::Fields(fields) => Value::Fields(
                fields
                    .into_iter()
                    .map(|field| Field {
                        name: owned(field.name),
                        at: field.at,
                        node: field.node.into_owned(),
                    })
                    .collect(),
            ),
        };
        Node { value, at: self.at }
    }
}
