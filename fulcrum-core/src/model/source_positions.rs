//! Finds the line and column of a path in a document: checks after parsing know the path only.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use serde_saphyr::Spanned;

/// Line and column, counted from 1.
type Position = (usize, usize);

/// Where in a YAML document `path` leads, or as far as it can be followed: a value, or the name of a longer part.
pub(super) fn yaml_position(text: &str, path: &str) -> Option<Position> {
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::with_deserializer_from_str_with_options(text, options, |deserializer| {
        PathWalker { path }.deserialize(deserializer)
    })
    .ok()?
}

/// Where in a JSON document `path` leads, or as far as it can be followed.
pub(super) fn json_position(text: &str, path: &str) -> Option<Position> {
    let (mut part, mut path) = (serde_json::from_str::<&RawValue>(text).ok()?.get(), path);
    while let Some((inner, rest)) = step_in_json(part, path) {
        (part, path) = (inner, rest);
    }
    // The parts borrow from the text, so their addresses tell where they are.
    let offset = part.as_ptr().addr().checked_sub(text.as_ptr().addr())?;
    let before = text.get(..offset)?;
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    // The whole document is no place that helps.
    let is_inside = offset > text.len() - text.trim_start().len();
    is_inside.then(|| (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1))
}

fn step_in_json<'t, 'p>(part: &'t str, path: &'p str) -> Option<(&'t str, &'p str)> {
    struct Step<'p>(&'p str);

    impl<'t, 'p> DeserializeSeed<'t> for Step<'p> {
        type Value = Option<(&'t str, &'p str)>;
        fn deserialize<D: Deserializer<'t>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
            deserializer.deserialize_any(self)
        }
    }

    impl<'t, 'p> Visitor<'t> for Step<'p> {
        type Value = Option<(&'t str, &'p str)>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a part with parts")
        }
        fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut found = None;
            while let Some((name, value)) = map.next_entry::<String, &'t RawValue>()? {
                if let Some(rest) = after_name(self.0, &name) {
                    found = Some((value.get(), rest));
                }
            }
            Ok(found)
        }
        fn visit_seq<A: SeqAccess<'t>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let (wanted, mut found, mut at) = (index(self.0), None, 0);
            while let Some(value) = list.next_element::<&'t RawValue>()? {
                if let Some((_, rest)) = wanted.filter(|(index, _)| *index == at) {
                    found = Some((value.get(), rest));
                }
                at += 1;
            }
            Ok(found)
        }
    }
    Step(path).deserialize(&mut serde_json::Deserializer::from_str(part)).ok().flatten()
}

/// What follows a name that starts the path. Names may hold dots themselves.
fn after_name<'p>(path: &'p str, name: &str) -> Option<&'p str> {
    let rest = path.strip_prefix('.').unwrap_or(path).strip_prefix(name)?;
    (!name.is_empty() && (rest.is_empty() || rest.starts_with(['.', '[']))).then_some(rest)
}

/// The number that starts the path as `[3]`, and what follows.
fn index(path: &str) -> Option<(usize, &str)> {
    let (number, rest) = path.strip_prefix('[')?.split_once(']')?;
    Some((number.parse().ok()?, rest))
}

/// Follows a path through YAML and reads to the end, as the parser wants.
struct PathWalker<'p> {
    path: &'p str,
}

impl<'de> DeserializeSeed<'de> for PathWalker<'_> {
    type Value = Option<Position>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for PathWalker<'_> {
    type Value = Option<Position>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(name) = map.next_key::<Spanned<String>>()? {
            match after_name(self.path, &name.value) {
                None => drop(map.next_value::<IgnoredAny>()?),
                Some("") => {
                    let value = map.next_value::<Spanned<ValueShape>>()?;
                    let position = if value.value.is_scalar { position(&value) } else { position(&name) };
                    found = position.or_else(|| self::position(&name));
                }
                Some(path) => found = map.next_value_seed(PathWalker { path })?.or_else(|| position(&name)),
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let (mut found, mut at) = (None, 0);
        let wanted = index(self.path);
        loop {
            let is_here = wanted.is_some_and(|(index, _)| index == at);
            let more = match wanted {
                Some((_, rest)) if is_here && !rest.is_empty() => {
                    let inner = list.next_element_seed(PathWalker { path: rest })?;
                    found = inner.flatten().or(found);
                    inner.is_some()
                }
                _ if is_here => {
                    let inner = list.next_element::<Spanned<IgnoredAny>>()?;
                    found = inner.as_ref().and_then(position);
                    inner.is_some()
                }
                _ => list.next_element::<IgnoredAny>()?.is_some(),
            };
            if !more {
                return Ok(found);
            }
            at += 1;
        }
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

fn position<T>(part: &Spanned<T>) -> Option<Position> {
    let at = part.referenced;
    (at.line() > 0).then(|| (at.line() as usize, at.column() as usize))
}

/// Whether a value has parts.
struct ValueShape {
    is_scalar: bool,
}

impl<'de> Deserialize<'de> for ValueShape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;

        impl<'de> Visitor<'de> for Read {
            type Value = ValueShape;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ValueShape, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(ValueShape { is_scalar: false })
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<ValueShape, A::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(ValueShape { is_scalar: false })
            }
            fn visit_bool<E>(self, _: bool) -> Result<ValueShape, E> {
                Ok(ValueShape { is_scalar: true })
            }
            fn visit_i64<E>(self, _: i64) -> Result<ValueShape, E> {
                Ok(ValueShape { is_scalar: true })
            }
            fn visit_u64<E>(self, _: u64) -> Result<ValueShape, E> {
                Ok(ValueShape { is_scalar: true })
            }
            fn visit_f64<E>(self, _: f64) -> Result<ValueShape, E> {
                Ok(ValueShape { is_scalar: true })
            }
            fn visit_str<E>(self, _: &str) -> Result<ValueShape, E> {
                Ok(ValueShape { is_scalar: true })
            }
            fn visit_unit<E>(self) -> Result<ValueShape, E> {
                Ok(ValueShape { is_scalar: true })
            }
        }
        deserializer.deserialize_any(Read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YAML: &str = "\
name: x
components:
  web: { vcpu: 1, memory_mib: 5 }
  a.b:
    replicas:
      min: 2
constraints:
  - count: { components: [web], min: 1 }
  - conflict:
      component: web
      with:
        - db
";

    #[test]
    fn a_path_leads_to_its_line_and_column_in_yaml() {
        for (path, position) in [
            ("components", Some((2, 1))),
            ("components.web.vcpu", Some((3, 16))),
            ("components.web.disk_gib", Some((3, 3))),
            ("components.a.b.replicas", Some((5, 5))),
            ("components.a.b.replicas.min", Some((6, 12))),
            ("constraints[0]", Some((8, 5))),
            ("constraints[1].conflict", Some((9, 5))),
            ("constraints[1].conflict.with[0]", Some((12, 11))),
            ("budget", None),
        ] {
            assert_eq!(yaml_position(YAML, path), position, "{path}");
        }
    }

    #[test]
    fn a_path_leads_to_its_line_and_column_in_json() {
        let json = "{\n  \"a\": [1, {\"b.c\": -2}],\n  \"d\": \"é\", \"e\": 7\n}\n";
        for (path, position) in [
            ("a", Some((2, 8))),
            ("a[0]", Some((2, 9))),
            ("a[1].b.c", Some((2, 20))),
            ("a[1].z", Some((2, 12))),
            ("a[7].z", Some((2, 8))),
            ("e", Some((3, 18))),
            ("z", None),
        ] {
            assert_eq!(json_position(json, path), position, "{path}");
        }
    }
}
