//! JSON to a tree.

use std::{borrow::Cow, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::{
    fault::Fault,
    node::{Field, FieldsBuilder, Node, Position, Value},
    words,
};

/// How a text in JSON is read.
#[derive(Debug, Clone, Copy)]
pub(in crate::model) struct Rules {
    /// Values that it may have; each takes more room than the one byte that can write it.
    pub(in crate::model) max_values: usize,
    /// Whether a name may be written twice in a map: then the last one counts.
    pub(in crate::model) may_repeat: bool,
}

/// Reads a document. Depth is limited by the parser (128).
pub(in crate::model) fn read(bytes: &[u8], rules: Rules) -> Result<Node<'_>, Fault> {
    let mut state = State { rules, left: rules.max_values, path: Vec::new() };
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let node = Seed(&mut state).deserialize(&mut deserializer);
    let node = node.map_err(|error| {
        let fault = fault(&error, bytes);
        std::mem::take(&mut state.path).into_iter().rev().fold(fault, |fault, part| match part {
            Part::Name(name) => fault.below(&name),
            Part::Index(at) => fault.of_item(at),
        })
    })?;
    deserializer.end().map_err(|error| {
        let at = place(&error);
        Fault::new("the document goes on after its end; remove what follows").at(at)
    })?;
    Ok(node)
}

fn place(error: &serde_json::Error) -> Position {
    let part = |number: usize| u32::try_from(number).unwrap_or(0);
    Position { line: part(error.line()), column: part(error.column()) }
}

/// The parser's words.
fn fault(error: &serde_json::Error, bytes: &[u8]) -> Fault {
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or(&message);
    let words = match message {
        ended if ended.starts_with("EOF while") => {
            let is_blank = std::str::from_utf8(bytes).is_ok_and(words::is_blank);
            if is_blank { words::EMPTY } else { words::TOO_SHORT }
        }
        "expected value" => "no value is here; write text in quotes, a number, true, false, null, [ or {",
        "key must be a string" => "write the name in quotes",
        "trailing comma" => "remove the comma before the bracket",
        "number out of range" => "the number is too large; write it in quotes, or a smaller one",
        "recursion limit exceeded" => "the document is too deep; write it flatter",
        other => other,
    };
    Fault::in_words(words, error.to_string()).at(place(error))
}

enum Part {
    Name(String),
    Index(usize),
}

struct State {
    rules: Rules,
    left: usize,
    /// To where it has come; after a mistake, to where that is.
    path: Vec<Part>,
}

struct Seed<'s>(&'s mut State);

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Node<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node<'de>, D::Error> {
        let Some(left) = self.0.left.checked_sub(1) else {
            let most = self.0.rules.max_values;
            return Err(D::Error::custom(format!("the document has more than {most} values; write fewer")));
        };
        self.0.left = left;
        deserializer.deserialize_any(self).map(Node::from)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_unit<E>(self) -> Result<Value<'de>, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E>(self, truth: bool) -> Result<Value<'de>, E> {
        Ok(Value::Bool(truth))
    }
    fn visit_i64<E>(self, number: i64) -> Result<Value<'de>, E> {
        Ok(Value::Signed(number))
    }
    fn visit_u64<E>(self, number: u64) -> Result<Value<'de>, E> {
        Ok(Value::Unsigned(number))
    }
    fn visit_f64<E>(self, number: f64) -> Result<Value<'de>, E> {
        Ok(Value::Float(number))
    }
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Borrowed(text)))
    }
    fn visit_str<E>(self, text: &str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Owned(text.to_owned())))
    }
    fn visit_string<E>(self, text: String) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Owned(text)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value<'de>, A::Error> {
        let mut items = Vec::new();
        self.0.path.push(Part::Index(0));
        while let Some(item) = list.next_element_seed(Seed(&mut *self.0))? {
            items.push(item);
            if let Some(Part::Index(at)) = self.0.path.last_mut() {
                *at = items.len();
            }
        }
        self.0.path.pop();
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value<'de>, A::Error> {
        let mut fields = FieldsBuilder::default();
        while let Some(Name(name)) = map.next_key::<Name<'de>>()? {
            if !self.0.rules.may_repeat && fields.find(&name).is_some() {
                return Err(A::Error::custom(format!("`{name}` is written twice; keep one of them")));
            }
            self.0.path.push(Part::Name(name.clone().into_owned()));
            let node = map.next_value_seed(Seed(&mut *self.0))?;
            self.0.path.pop();
            match fields.find(&name) {
                Some(field) => field.node = node,
                None => fields.push(Field { name, at: Position::default(), node }),
            }
        }
        Ok(fields.into_value())
    }
}

/// A name, of the text itself where it has no escapes.
struct Name<'t>(Cow<'t, str>);

impl<'de> serde::Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;

        impl<'de> Visitor<'de> for Read {
            type Value = Name<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Read)
    }
}
