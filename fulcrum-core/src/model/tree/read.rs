//! A type from a tree.

use std::borrow::Cow;

use serde::{
    Deserialize,
    de::{
        DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, MapAccess, SeqAccess,
        Unexpected, VariantAccess, Visitor,
    },
    forward_to_deserialize_any,
};

use super::{
    fault::Fault,
    is_null,
    node::{Field, Node, Value},
    words,
};

/// Reads a type from a tree; a mistake has its path and, if the tree has it, its place.
pub(in crate::model) fn read<'de, T: Deserialize<'de>>(node: &'de Node<'_>) -> Result<T, Fault> {
    T::deserialize(Reader { node, may_have_more: false })
}

/// The same, passing over fields that the type does not know: a later version of this library wrote them.
pub(in crate::model) fn read_known<'de, T: Deserialize<'de>>(node: &'de Node<'_>) -> Result<T, Fault> {
    T::deserialize(Reader { node, may_have_more: true })
}

#[derive(Clone, Copy)]
struct Reader<'de, 't> {
    node: &'de Node<'t>,
    may_have_more: bool,
}

/// A scalar of YAML without quotes, by YAML 1.2's core schema.
enum Core<'de> {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(&'de str),
}

impl<'de> Core<'de> {
    fn of(text: &'de str) -> Self {
        let is_null = is_null(text);
        let truth = match text {
            "true" | "True" | "TRUE" => Some(true),
            "false" | "False" | "FALSE" => Some(false),
            _ => None,
        };
        match (is_null, truth, whole(text)) {
            (true, ..) => Self::Null,
            (_, Some(truth), _) => Self::Bool(truth),
            (.., Some(number)) if u64::try_from(number).is_ok() => Self::Unsigned(number as u64),
            (.., Some(number)) if i64::try_from(number).is_ok() => Self::Signed(number as i64),
            _ => float(text).map_or(Self::Text(text), Self::Float),
        }
    }
}

/// A whole number: decimal without leading zeros, or after 0x, 0o, 0b; digits may be parted by single underscores.
fn whole(text: &str) -> Option<i128> {
    let (is_negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (radix, digits) = match digits.get(..2) {
        Some("0x" | "0X") => (16, &digits[2..]),
        Some("0o" | "0O") => (8, &digits[2..]),
        Some("0b" | "0B") => (2, &digits[2..]),
        _ => (10, digits),
    };
    let is_plain = digits.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_');
    let is_parted = digits.starts_with('_') || digits.ends_with('_') || digits.contains("__");
    let has_zero = radix == 10 && digits.len() > 1 && digits.starts_with('0');
    if digits.is_empty() || !is_plain || is_parted || has_zero {
        return None;
    }
    let digits: Cow<'_, str> =
        if digits.contains('_') { digits.replace('_', "").into() } else { digits.into() };
    let number = i128::from_str_radix(&digits, radix).ok()?;
    Some(if is_negative { -number } else { number })
}

/// A number with a fraction or an exponent.
fn float(text: &str) -> Option<f64> {
    match text {
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Some(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Some(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => return Some(f64::NAN),
        _ => {}
    }
    let has_digit = text.bytes().any(|c| c.is_ascii_digit());
    let is_plain = text.bytes().all(|c| c.is_ascii_digit() || b"+-.eE".contains(&c));
    if has_digit && is_plain { text.parse().ok() } else { None }
}

impl<'de, 't> Reader<'de, 't> {
    fn of(self, node: &'de Node<'t>) -> Self {
        Self { node, ..self }
    }

    fn located<T>(self, outcome: Result<T, Fault>) -> Result<T, Fault> {
        outcome.map_err(|fault| fault.at(self.node.at))
    }

    /// What is written, for a type that wants something else.
    /// Not generic, as the other methods are: their code is there once for each type that is read.
    #[cold]
    fn wrong(self, wanted: &'static str) -> Fault {
        let written;
        let unexpected = match &self.node.value {
            Value::Null => Unexpected::Unit,
            Value::Bool(truth) => Unexpected::Bool(*truth),
            Value::Unsigned(number) => Unexpected::Unsigned(*number),
            Value::Signed(number) => Unexpected::Signed(*number),
            Value::Float(number) => Unexpected::Float(*number),
            Value::Text(text) => Unexpected::Str(text),
            Value::Scalar { text, is_quoted: true } => Unexpected::Str(text),
            Value::Scalar { text, .. } if is_null(text) => Unexpected::Unit,
            Value::Scalar { text, .. } => {
                written = format!("`{text}`");
                Unexpected::Other(&written)
            }
            Value::List(_) => Unexpected::Seq,
            Value::Fields(_) => Unexpected::Map,
        };
        Fault::invalid_type(unexpected, &wanted).at(self.node.at)
    }

    /// The value is not one word, with fields or without.
    #[cold]
    fn no_word(self) -> Fault {
        match &self.node.value {
            Value::Fields(fields) if fields.len() > 1 => {
                let words = "only one word can be here; write the next one as an item of its own, after a -";
                Fault::new(words).at(fields[1].at).at(self.node.at)
            }
            _ => Fault::new("write a word, or { word: … }").at(self.node.at),
        }
    }

    fn list<V: Visitor<'de>>(self, items: &'de [Node<'t>], visitor: V) -> Result<V::Value, Fault> {
        let mut list = List { reader: self, items: items.iter(), at: 0 };
        let value = visitor.visit_seq(&mut list)?;
        match list.items.len() {
            0 => Ok(value),
            _ => Err(too_many(items.len())),
        }
    }

    fn fields<V: Visitor<'de>>(
        self,
        fields: &'de [Field<'t>],
        known: Option<&'static [&'static str]>,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let known = known.filter(|_| self.may_have_more);
        visitor.visit_map(Map { reader: self, fields: fields.iter(), known, field: None })
    }

    /// A number, or the visitor's word about something else.
    fn number<V: Visitor<'de>>(self, wanted: &'static str, visitor: V) -> Result<V::Value, Fault> {
        let outcome = match &self.node.value {
            Value::Unsigned(number) => visitor.visit_u64(*number),
            Value::Signed(number) => visitor.visit_i64(*number),
            Value::Float(number) => visitor.visit_f64(*number),
            Value::Scalar { text, .. } => match Core::of(text) {
                Core::Unsigned(number) => visitor.visit_u64(number),
                Core::Signed(number) => visitor.visit_i64(number),
                Core::Float(number) if number.is_finite() => visitor.visit_f64(number),
                _ => Err(self.wrong(wanted)),
            },
            Value::List(_) | Value::Fields(_) => Err(self.wrong("one value")),
            _ => Err(self.wrong(wanted)),
        };
        self.located(outcome)
    }
}

macro_rules! numbers {
    ($($method:ident $wanted:literal)*) => {
        $(
            fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
                self.number($wanted, visitor)
            }
        )*
    };
}

impl<'de> Deserializer<'de> for Reader<'de, '_> {
    type Error = Fault;

    numbers! {
        deserialize_i8 "i8" deserialize_i16 "i16" deserialize_i32 "i32" deserialize_i64 "i64" deserialize_i128 "i128"
        deserialize_u8 "u8" deserialize_u16 "u16" deserialize_u32 "u32" deserialize_u64 "u64" deserialize_u128 "u128"
        deserialize_f32 "f64" deserialize_f64 "f64"
    }

    forward_to_deserialize_any! { bytes byte_buf unit unit_struct }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let outcome = match &self.node.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(truth) => visitor.visit_bool(*truth),
            Value::Unsigned(number) => visitor.visit_u64(*number),
            Value::Signed(number) => visitor.visit_i64(*number),
            Value::Float(number) => visitor.visit_f64(*number),
            Value::Text(text) => visitor.visit_borrowed_str(text),
            Value::Scalar { text, is_quoted: true } => visitor.visit_borrowed_str(text),
            Value::Scalar { text, .. } => match Core::of(text) {
                Core::Null => visitor.visit_unit(),
                Core::Bool(truth) => visitor.visit_bool(truth),
                Core::Unsigned(number) => visitor.visit_u64(number),
                Core::Signed(number) => visitor.visit_i64(number),
                Core::Float(number) if number.is_finite() => visitor.visit_f64(number),
                Core::Float(_) => Err(Fault::new(format!(
                    "{text} is beyond all numbers that can be used; write one such as 12.5"
                ))),
                Core::Text(text) => visitor.visit_borrowed_str(text),
            },
            Value::List(items) => self.list(items, visitor),
            Value::Fields(fields) => self.fields(fields, None, visitor),
        };
        self.located(outcome)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.node.value {
            Value::Bool(truth) => self.located(visitor.visit_bool(*truth)),
            Value::Scalar { text, .. } => match Core::of(text) {
                Core::Bool(truth) => self.located(visitor.visit_bool(truth)),
                _ => Err(Fault::new("write true or false").at(self.node.at)),
            },
            _ => Err(self.wrong("bool")),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.node.value {
            Value::Text(text) => self.located(visitor.visit_borrowed_str(text)),
            Value::Scalar { text, is_quoted: false } if is_null(text) => {
                Err(Fault::new("nothing is written here; write text").at(self.node.at))
            }
            Value::Scalar { text, .. } => self.located(visitor.visit_borrowed_str(text)),
            Value::List(_) | Value::Fields(_) => Err(self.wrong("one value")),
            _ => Err(self.wrong("a string")),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let is_null = match &self.node.value {
            Value::Null => true,
            Value::Scalar { text, is_quoted } => !is_quoted && is_null(text),
            _ => false,
        };
        self.located(if is_null { visitor.visit_none() } else { visitor.visit_some(self) })
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.located(visitor.visit_newtype_struct(self))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.node.value {
            Value::List(items) => self.located(self.list(items, visitor)),
            _ => Err(self.wrong("a sequence")),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.node.value {
            Value::Fields(fields) => self.located(self.fields(fields, None, visitor)),
            _ => Err(self.wrong("a map")),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match &self.node.value {
            Value::Fields(fields) => self.located(self.fields(fields, Some(known), visitor)),
            _ => Err(self.wrong("a map")),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match &self.node.value {
            Value::Text(word) | Value::Scalar { text: word, .. } => {
                self.located(visitor.visit_enum(Variant { reader: self, word, field: None }))
            }
            Value::Fields(fields) => match &**fields {
                [field] => {
                    visitor.visit_enum(Variant { reader: self, word: &field.name, field: Some(field) })
                }
                _ => Err(self.no_word()),
            },
            Value::List(_) => Err(self.no_word()),
            _ => Err(self.wrong("string or map")),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }
}

struct List<'de, 't> {
    reader: Reader<'de, 't>,
    items: std::slice::Iter<'de, Node<'t>>,
    at: usize,
}

impl<'de> SeqAccess<'de> for &mut List<'de, '_> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        let Some(item) = self.items.next() else { return Ok(None) };
        let at = self.at;
        self.at += 1;
        match seed.deserialize(self.reader.of(item)) {
            Ok(value) => Ok(Some(value)),
            Err(fault) => Err(fault.of_item(at)),
        }
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct Map<'de, 't> {
    reader: Reader<'de, 't>,
    fields: std::slice::Iter<'de, Field<'t>>,
    /// Those that are told, if others are passed over.
    known: Option<&'static [&'static str]>,
    field: Option<&'de Field<'t>>,
}

impl<'de> MapAccess<'de> for Map<'de, '_> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        let is_told = |field: &&Field<'_>| self.known.is_none_or(|known| known.contains(&&*field.name));
        self.field = self.fields.find(is_told);
        let Some(field) = self.field else { return Ok(None) };
        let name = Name { text: &field.name };
        match seed.deserialize(name) {
            Ok(name) => Ok(Some(name)),
            Err(fault) if fault.is_unknown_field => Err(in_field(fault, field)),
            Err(fault) => Err(fault.at(field.at)),
        }
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Fault> {
        let Some(field) = self.field.take() else { return Err(Fault::new("a value without a name")) };
        seed.deserialize(self.reader.of(&field.node)).map_err(|fault| in_field(fault, field))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.fields.len())
    }
}

#[cold]
fn too_many(count: usize) -> Fault {
    Fault::new(format!("{count} are written, which are too many; remove some"))
}

#[cold]
fn in_field(fault: Fault, field: &Field<'_>) -> Fault {
    fault.at(field.at).below(&field.name)
}

/// A name in a map: text, or what a type makes of it.
#[derive(Clone, Copy)]
struct Name<'de> {
    text: &'de str,
}

impl<'de> Name<'de> {
    fn number<V: Visitor<'de>>(self, wanted: &'static str, visitor: V) -> Result<V::Value, Fault> {
        match self.text.parse::<u64>() {
            Ok(number) => visitor.visit_u64(number),
            Err(_) => match self.text.parse::<i64>() {
                Ok(number) => visitor.visit_i64(number),
                Err(_) => Err(Fault::new(words::instead(&format!("string {:?}", self.text), wanted))),
            },
        }
    }
}

impl<'de> Deserializer<'de> for Name<'de> {
    type Error = Fault;

    numbers! {
        deserialize_i8 "i8" deserialize_i16 "i16" deserialize_i32 "i32" deserialize_i64 "i64" deserialize_i128 "i128"
        deserialize_u8 "u8" deserialize_u16 "u16" deserialize_u32 "u32" deserialize_u64 "u64" deserialize_u128 "u128"
    }

    forward_to_deserialize_any! {
        bool f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier
        ignored_any
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_borrowed_str(self.text)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_enum(self.text.into_deserializer())
    }
}

/// A word of an enum, and what stands below it.
struct Variant<'de, 't> {
    reader: Reader<'de, 't>,
    word: &'de str,
    field: Option<&'de Field<'t>>,
}

impl<'de, 't> EnumAccess<'de> for Variant<'de, 't> {
    type Error = Fault;
    type Variant = Content<'de, 't>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self::Variant), Fault> {
        let at = self.field.map_or(self.reader.node.at, |field| field.at);
        let word = seed.deserialize(Name { text: self.word }).map_err(|fault| fault.at(at))?;
        Ok((word, Content { reader: self.reader, field: self.field }))
    }
}

struct Content<'de, 't> {
    reader: Reader<'de, 't>,
    field: Option<&'de Field<'t>>,
}

impl<'de, 't> Content<'de, 't> {
    /// Reads what stands below the word.
    fn below<T>(self, read: impl FnOnce(Reader<'de, 't>) -> Result<T, Fault>) -> Result<T, Fault> {
        match self.field {
            Some(field) => read(self.reader.of(&field.node)).map_err(|fault| in_field(fault, field)),
            None => {
                Err(Fault::new("this word needs fields; write { word: { name: value } }")
                    .at(self.reader.node.at))
            }
        }
    }
}

impl<'de> VariantAccess<'de> for Content<'de, '_> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        match self.field {
            None => Ok(()),
            Some(_) => self.below(<()>::deserialize),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Fault> {
        self.below(|reader| seed.deserialize(reader))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        self.below(|reader| reader.deserialize_seq(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.below(|reader| reader.deserialize_struct("", known, visitor))
    }
}
