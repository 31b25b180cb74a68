//! The kind of an event together with the JSON text that the ledger recorded.

use std::{cell::Cell, fmt, ops::Deref};

use indexmap::IndexMap;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor},
    ser::Error as _,
};

use super::{OrderEventKind, lenient, limits};

/// What happened, and the JSON text that the ledger has of it.
///
/// The chain of hashes goes over the text: an event verifies also where a later version wrote fields that this version does
/// not know. Serialises as that text, with the fields in their order.
#[derive(Clone)]
pub struct RecordedKind {
    kind: OrderEventKind,
    text: String,
}

impl RecordedKind {
    /// A kind as this version writes it.
    ///
    /// # Errors
    /// Something in it cannot be written as JSON, which none of this library's events has.
    pub fn new(kind: OrderEventKind) -> Result<Self, serde_json::Error> {
        let text = serde_json::to_string(&kind)?;
        Ok(Self { kind, text })
    }

    /// A kind from its recorded text. Fields that this version does not know stay in the text.
    ///
    /// # Errors
    /// The text is no event of this or of a later minor version.
    pub fn from_text(text: impl Into<String>) -> Result<Self, serde_json::Error> {
        let text = text.into();
        Ok(Self { kind: lenient::from_json_ignoring_unknown(&text).map_err(de::Error::custom)?, text })
    }

    /// The JSON text that was recorded.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What happened, as this version knows it.
    pub fn into_kind(self) -> OrderEventKind {
        self.kind
    }

    /// The text as this version would write it, if it says the same as the recorded one: a program that sorted the fields
    /// of an archive has changed nothing.
    pub(crate) fn rewritten(&self) -> Option<String> {
        let text = serde_json::to_string(&self.kind).ok()?;
        let value = |text| serde_json::from_str::<serde_json::Value>(text).ok();
        (value(&text)? == value(&self.text)?).then_some(text)
    }
}

impl Deref for RecordedKind {
    type Target = OrderEventKind;

    fn deref(&self) -> &OrderEventKind {
        &self.kind
    }
}

impl PartialEq for RecordedKind {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for RecordedKind {}

impl PartialEq<OrderEventKind> for RecordedKind {
    fn eq(&self, other: &OrderEventKind) -> bool {
        self.kind == *other
    }
}

impl fmt::Debug for RecordedKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl Serialize for RecordedKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let json: Json = serde_json::from_str(&self.text).map_err(S::Error::custom)?;
        json.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for RecordedKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // An archive may have been indented meanwhile.
        let text = serde_json::to_string(&Json::deserialize(deserializer)?).map_err(D::Error::custom)?;
        Self::from_text(text).map_err(D::Error::custom)
    }
}

/// JSON whose fields stay in their order.
enum Json {
    Null,
    Truth(bool),
    Number(serde_json::Number),
    Text(String),
    List(Vec<Json>),
    Fields(Box<IndexMap<String, Json>>),
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Truth(truth) => serializer.serialize_bool(*truth),
            Self::Number(number) => number.serialize(serializer),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(values) => serializer.collect_seq(values),
            Self::Fields(fields) => serializer.collect_map(fields.iter()),
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Values { left: &Cell::new(limits::MAX_EVENT_VALUES) }.deserialize(deserializer)
    }
}

/// Reads values as they come, as long as there are not too many: each takes more room than the one byte that can write it.
#[derive(Clone, Copy)]
struct Values<'a> {
    left: &'a Cell<usize>,
}

impl<'de> DeserializeSeed<'de> for Values<'_> {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        let left = self.left.get().checked_sub(1).ok_or_else(|| {
            D::Error::custom(format!("an event has more than {} values", limits::MAX_EVENT_VALUES))
        })?;
        self.left.set(left);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Values<'_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event in JSON")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: de::Error>(self, truth: bool) -> Result<Json, E> {
        Ok(Json::Truth(truth))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Json, E> {
        Ok(Json::Number(number.into()))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Json, E> {
        Ok(Json::Number(number.into()))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Json, E> {
        serde_json::Number::from_f64(number).map(Json::Number).ok_or_else(|| E::custom("a number has no end"))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<Json, E> {
        Ok(Json::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Json, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(self)? {
            values.push(value);
        }
        Ok(Json::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut fields = IndexMap::new();
        while let Some(name) = map.next_key::<String>()? {
            let value = map.next_value_seed(self)?;
            if fields.contains_key(&name) {
                // One reader takes the first of two, another one the last.
                return Err(A::Error::custom(format!("`{name}` is written twice in an event")));
            }
            fields.insert(name, value);
        }
        Ok(Json::Fields(Box::new(fields)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Money, OrderState};

    #[test]
    fn fields_of_a_later_version_stay_in_the_text_and_in_their_order() {
        let text = r#"{"event":"order","state":"committed","reason":null,"z_new":{"b":1,"a":[1.5,null,"ü\n"]},"a_new":true}"#;
        let kind = RecordedKind::from_text(text).expect("read");
        assert_eq!(
            kind,
            OrderEventKind::Order { state: OrderState::Committed, reason: None, accepted: None }
        );
        assert_eq!(serde_json::to_string(&kind).expect("text"), text);
        let indented = serde_json::to_string_pretty(&kind).expect("text");
        assert_eq!(serde_json::from_str::<RecordedKind>(&indented).expect("read").text(), text);
        assert_eq!(kind.rewritten(), None, "it would lose a field");
    }

    #[test]
    fn what_only_a_later_version_knows_is_kept_as_text() {
        let text = r#"{"event":"moved","to":"mars"}"#;
        let kind = RecordedKind::from_text(text).expect("read");
        assert_eq!((&*kind, kind.text()), (&OrderEventKind::Unknown, text));
        assert!(RecordedKind::from_text(r#"{"no":"event"}"#).is_err());
    }

    #[test]
    fn sorted_fields_say_the_same() {
        let amount = Money::new(2.into(), iso_currency::Currency::EUR);
        let kind = OrderEventKind::PricesChecked { planned: amount, current: amount, checks: Vec::new() };
        let written = RecordedKind::new(kind).expect("text");
        let sorted: serde_json::Value = serde_json::from_str(written.text()).expect("JSON");
        let sorted = RecordedKind::from_text(sorted.to_string()).expect("read");
        assert_ne!(sorted.text(), written.text());
        assert_eq!(sorted.rewritten().as_deref(), Some(written.text()));
    }

    #[test]
    fn an_event_has_so_many_values_and_each_field_once() {
        let text = |many: usize| format!(r#"{{"event":"moved","to":[{}0]}}"#, "0,".repeat(many));
        assert!(serde_json::from_str::<RecordedKind>(&text(1_000)).is_ok());
        let why =
            serde_json::from_str::<RecordedKind>(&text(limits::MAX_EVENT_VALUES)).expect_err("too many");
        assert!(why.to_string().contains("an event has more than 1000000 values"), "{why}");
        assert!(size_of::<Json>() <= 32, "{}", size_of::<Json>());
        let twice = r#"{"event":"order","state":"refused","state":"committed","reason":null}"#;
        let why = serde_json::from_str::<RecordedKind>(twice).expect_err("twice").to_string();
        assert!(why.contains("`state` is written twice"), "{why}");
    }
}
