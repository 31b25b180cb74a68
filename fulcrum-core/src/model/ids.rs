//! Names as types, so that a SKU is never passed where a region is meant.

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A name was empty, too long, or held a character that does not show.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{what} \"{value}\" is not a name; write 1 to 200 characters without control characters, marks of direction and others \
     that do not show"
)]
pub struct InvalidId {
    what: &'static str,
    value: String,
}

pub(super) const MAX_CHARS: usize = 200;

/// A character that does not show, or changes how others show: controls, line and paragraph separators, marks of direction, what
/// has no width, and tags. In a name it makes two look like one, or one line like two.
pub(crate) fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(u32::from(c),
            0xad | 0x34f | 0x61c | 0x115f | 0x1160 | 0x17b4 | 0x17b5
            | 0x180b..=0x180f | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f
            | 0x3164 | 0xfe00..=0xfe0f | 0xfeff | 0xffa0 | 0xfff0..=0xfffb
            | 0x1bca0..=0x1bca3 | 0x1d173..=0x1d17a | 0xe0000..=0xe0fff)
}

/// The first characters of a text, those that do not show by their numbers.
fn shown(text: &str, most: usize) -> String {
    let mut shown = String::new();
    for c in text.chars().take(most) {
        match c {
            '\n' | '\r' | '\t' => shown.extend(c.escape_default()),
            c if is_hidden(c) => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
    }
    shown
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        ///
        /// Cheap to clone. 1 to 200 characters, all of which show: no control character, no mark of direction, none without width.
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks and keeps a name.
            ///
            /// # Errors
            /// [`InvalidId`] when the text is empty, longer than 200 characters, or holds a character that does not show.
            pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidId> {
                let text = text.as_ref();
                let is_name = !text.is_empty()
                    && text.chars().count() <= MAX_CHARS
                    && !text.chars().any(is_hidden);
                if is_name {
                    Ok(Self(text.into()))
                } else {
                    let value = shown(text, 40);
                    Err(InvalidId { what: $what, value })
                }
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::new(text).map_err(serde::de::Error::custom)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "minLength": 1, "maxLength": 200 })
            }
        }
    };
}

id!(
    /// A seller's short name in the federation, such as `scaleway`.
    ProviderId, "provider"
);
id!(
    /// A provider's own product code, such as `DEV1-S`.
    SkuId, "SKU"
);
id!(
    /// A provider's area, such as `fr-par`.
    RegionId, "region"
);
id!(
    /// A failure domain inside a region, such as `fr-par-1`.
    ZoneId, "zone"
);
id!(
    /// The name of one part of an application in a blueprint.
    ComponentId, "component"
);
id!(
    /// One offer in a catalogue: `provider/region/zone/sku`, and what else tells two offers apart.
    OfferId, "offer"
);
id!(
    /// What a provider calls a service that it runs.
    ServiceId, "service"
);
id!(
    /// One durable purchase; a UUID of version 7, so that orders sort by age.
    OrderId, "order"
);
id!(
    /// One intended effect, forever: the same key never has the effect twice.
    ///
    /// Lower-case letters, digits and `-` only, at most 63 characters, so that any provider takes it as a
    /// label, a tag or a host name.
    IdempotencyKey, "idempotency key"
);

id!(
    /// What keeps the keys of two ledgers apart: 1 to 16 lower-case letters and digits, by default the ledger's id.
    KeyNamespace, "key namespace"
);

impl OrderId {
    /// A new id, later than all before it on this machine.
    pub fn generate() -> Self {
        Self(uuid::Uuid::now_v7().to_string().into())
    }

    /// The id in its one spelling, lower case with hyphens, from any spelling of a UUID.
    ///
    /// ```
    /// use fulcrum_core::model::OrderId;
    /// let id = OrderId::from_uuid("{018F0A3C-7B1E-7000-8000-0123456789AB}").expect("a UUID");
    /// assert_eq!(id.as_str(), "018f0a3c-7b1e-7000-8000-0123456789ab");
    /// assert_eq!(OrderId::from_uuid("order 7"), None);
    /// ```
    pub fn from_uuid(text: &str) -> Option<Self> {
        uuid::Uuid::parse_str(text.trim()).ok().map(|uuid| Self(uuid.hyphenated().to_string().into()))
    }
}

impl KeyNamespace {
    /// Characters of a new one: short, so that a key and what is made from it stay within 63 characters.
    const NEW_CHARS: usize = 6;

    /// A new one by chance.
    pub fn generate() -> Self {
        const BASE36_DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
        // Of a UUID of version 7 the end is chance.
        let mut chance = uuid::Uuid::now_v7().as_u128() & u128::from(u32::MAX);
        let mut text = String::with_capacity(Self::NEW_CHARS);
        while text.len() < Self::NEW_CHARS {
            text.push(char::from(BASE36_DIGITS[(chance % 36) as usize]));
            chance /= 36;
        }
        Self(text.into())
    }

    /// That of a ledger: its id, cut so that a key and what is made from it stay within 63 characters.
    pub fn of_ledger(id: &str) -> Option<Self> {
        let text: String = id
            .to_ascii_lowercase()
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .take(Self::NEW_CHARS)
            .collect();
        Self::new(text).ok().filter(Self::is_valid)
    }

    /// Whether it may be part of a key.
    pub fn is_valid(&self) -> bool {
        self.0.len() <= 16 && self.0.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    }
}

impl IdempotencyKey {
    /// The key of step `index` of an order without a namespace, as before plan format 4: `f-<order>-<index>`.
    pub fn of_step(order: &OrderId, index: u32) -> Self {
        Self::in_namespace(None, order, index)
    }

    /// The key of step `index` of an order: `f-<namespace>-<order>-<index>`.
    pub fn in_namespace(namespace: Option<&KeyNamespace>, order: &OrderId, index: u32) -> Self {
        Self(match namespace {
            Some(namespace) => format!("f-{namespace}-{order}-{index}").into(),
            None => format!("f-{order}-{index}").into(),
        })
    }

    /// The order and the step of a key that [`of_step`](Self::of_step) made; none for every other key, also for one
    /// that only resembles it.
    ///
    /// ```
    /// use fulcrum_core::model::{IdempotencyKey, KeyNamespace, OrderId};
    /// let (order, here) = (OrderId::generate(), KeyNamespace::generate());
    /// assert_eq!(IdempotencyKey::in_namespace(Some(&here), &order, 2).step(), Some((order, 2)));
    /// assert_eq!(IdempotencyKey::new("web-2")?.step(), None);
    /// # Ok::<(), fulcrum_core::model::InvalidId>(())
    /// ```
    pub fn step(&self) -> Option<(OrderId, u32)> {
        let (_, order, index) = self.parts()?;
        Some((order, index))
    }

    /// The namespace of a key that [`of_step`](Self::of_step) made with one.
    pub fn namespace(&self) -> Option<KeyNamespace> {
        self.parts()?.0
    }

    fn parts(&self) -> Option<(Option<KeyNamespace>, OrderId, u32)> {
        /// Characters of a UUID with hyphens.
        const UUID_CHARS: usize = 36;
        let (head, index) = self.0.strip_prefix("f-")?.rsplit_once('-')?;
        let (namespace, order) = head.split_at_checked(head.len().checked_sub(UUID_CHARS)?)?;
        let namespace = match namespace.strip_suffix('-') {
            Some(name) => Some(KeyNamespace::new(name).ok().filter(KeyNamespace::is_valid)?),
            None if namespace.is_empty() => None,
            None => return None,
        };
        let (order, index) = (OrderId::from_uuid(order)?, index.parse().ok()?);
        (Self::in_namespace(namespace.as_ref(), &order, index) == *self).then_some((namespace, order, index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_shows_all_that_it_is() {
        for name in ["hetzner", "fr-par-1", "DEV1-S", "größe", "中心", "سرور", "a b", "x@y/z"] {
            assert!(ProviderId::new(name).is_ok(), "{name}");
        }
        for c in [
            '\0',
            '\n',
            '\u{7f}',
            '\u{85}',
            '\u{ad}',
            '\u{61c}',
            '\u{200b}',
            '\u{200d}',
            '\u{200e}',
            '\u{2028}',
            '\u{2029}',
            '\u{202e}',
            '\u{2060}',
            '\u{2066}',
            '\u{2069}',
            '\u{feff}',
            '\u{e0041}',
            '\u{fe0f}',
        ] {
            let error = ProviderId::new(format!("het{c}zner")).expect_err("it does not show").to_string();
            assert!(!error.contains(c) && error.contains("that do not show"), "{error:?}");
            assert!(SkuId::new(format!("m{c}")).is_err() && ComponentId::new(c.to_string()).is_err());
        }
    }
}
