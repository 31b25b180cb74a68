//! The types of settings, and which values each one admits.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{firewall_rule::FirewallRule, public_key::is_public_key, setting_text};

/// The type of a setting's value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SettingType {
    /// Any JSON value: the provider has not said.
    #[default]
    Any,
    /// Text; a number or a truth is read as its text.
    Text,
    /// A whole number, also as text.
    Number,
    /// `true` or `false`.
    Boolean,
    /// This truth alone: the provider does not have the other one.
    Always(bool),
    /// One of these words.
    Choice(Vec<String>),
    /// A list, also as text with commas between its members.
    List(Box<SettingType>),
    /// A name or id of something at the provider, such as what a component under `after` has become.
    Reference,
    /// A public key in OpenSSH's form: `ssh-ed25519 AAAA… comment`.
    PublicKey,
    /// Up to 40 texts by name: what each provider takes as labels. Names have 2 to 32 letters, digits, `-` and `_`, values up to
    /// 63 with `.` too.
    Labels,
    /// One label of a host's name (RFC 1123): up to 63 letters, digits and hyphens.
    Hostname,
    /// What may come in: a list of `{ allow: tcp, ports: 22, from: 10.0.0.0/8 }`, up to 30. `allow` is tcp, udp or icmp, `ports` one
    /// or a range such as `8000-8010`, `from` a range of addresses.
    FirewallRules,
}

/// Characters of a label's value.
const MAX_LABEL_CHARS: usize = 63;
/// Labels of one component: EC2 takes 50 tags, and some are this library's.
const MAX_LABELS: usize = 40;

/// Whether a text is one label of a host's name (RFC 1123, section 2.1).
fn is_hostname(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Whether a text can be a label's value at each provider.
fn is_label_value(text: &str) -> bool {
    let is_end = |byte: Option<u8>| byte.is_none_or(|byte| byte.is_ascii_alphanumeric());
    text.len() <= MAX_LABEL_CHARS
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        && is_end(text.bytes().next())
        && is_end(text.bytes().last())
}

/// Whether a text can be a label's name at each provider: UpCloud takes 2 to 32 characters without dots. Names that this library
/// and providers' boot scripts use cannot.
fn is_label_name(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    (2..=32).contains(&text.len())
        && is_label_value(text)
        && !text.contains('.')
        && !lower.starts_with("fulcrum")
        && lower != "authorized_key"
}

/// The lines of a text that are not blank.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty())
}

/// Whether a text refers to another component, so that its value is known at the purchase only.
fn is_reference(text: &str) -> bool {
    text.contains("${")
}

impl SettingType {
    pub(super) fn admits(&self, value: &Value) -> bool {
        let scalar = match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(truth) => Some(truth.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        };
        let is_late = scalar.as_deref().is_some_and(is_reference);
        match self {
            Self::Any => true,
            // A list of one is read as its member.
            Self::Text | Self::Reference => match value {
                Value::Array(all) => matches!(&**all, [one] if !one.is_array() && self.admits(one)),
                _ => scalar.is_some(),
            },
            Self::Number => is_late || scalar.is_some_and(|text| text.trim().parse::<i64>().is_ok()),
            Self::Boolean => is_late || scalar.is_some_and(|text| text == "true" || text == "false"),
            Self::Always(truth) => scalar.is_some_and(|text| text == truth.to_string()),
            Self::Choice(words) => is_late || scalar.is_some_and(|text| words.contains(&text)),
            Self::PublicKey => is_late || scalar.is_some_and(|text| is_public_key(&text)),
            Self::Hostname => is_late || scalar.is_some_and(|text| is_hostname(&text)),
            Self::FirewallRules => FirewallRule::all(Some(value)).is_ok(),
            Self::Labels => value.as_object().is_some_and(|all| {
                all.len() <= MAX_LABELS
                    && all.iter().all(|(name, value)| {
                        let value = setting_text(value).filter(|_| !value.is_array());
                        is_label_name(name)
                            && value.is_some_and(|text| is_reference(&text) || is_label_value(&text))
                    })
            }),
            Self::List(of) => match (value, scalar) {
                (Value::Array(all), _) => all.iter().all(|one| of.admits(one)),
                (_, Some(text)) if is_late => !text.is_empty(),
                // A key has blanks.
                (_, Some(text)) if **of == Self::PublicKey => {
                    lines(&text).all(|line| of.admits(&json!(line)))
                }
                (_, Some(text)) => {
                    let mut words = text.split([',', ' ']).filter(|word| !word.is_empty());
                    words.all(|word| of.admits(&json!(word)))
                }
                (_, None) => false,
            },
        }
    }

    /// A value that it admits, in its own type.
    pub(super) fn typed(&self, value: &Value) -> Value {
        match (self, value) {
            (Self::Any, value) => value.clone(),
            (Self::List(of), Value::Array(all)) => all.iter().map(|one| of.typed(one)).collect(),
            (Self::List(of), value) => {
                let text = setting_text(value).unwrap_or_default();
                if **of == Self::PublicKey {
                    return lines(&text).map(|line| json!(line)).collect();
                }
                let words = text.split([',', ' ']).filter(|word| !word.is_empty());
                words.map(|word| of.typed(&json!(word))).collect()
            }
            (_, Value::Array(all)) if all.len() == 1 => self.typed(&all[0]),
            (Self::Number, Value::String(text)) => {
                text.trim().parse::<i64>().map_or_else(|_| value.clone(), Value::from)
            }
            (Self::Boolean | Self::Always(_), Value::String(text)) => {
                text.parse::<bool>().map_or_else(|_| value.clone(), Value::from)
            }
            (
                Self::Text | Self::Reference | Self::Choice(_) | Self::Hostname,
                Value::Number(_) | Value::Bool(_),
            ) => Value::String(setting_text(value).unwrap_or_default()),
            (_, value) => value.clone(),
        }
    }

    pub(super) fn schema(&self) -> Value {
        match self {
            Self::Any => json!({}),
            Self::Text | Self::Reference | Self::PublicKey => json!({ "type": "string" }),
            Self::Hostname => {
                json!({ "type": "string", "pattern": "^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$" })
            }
            Self::Labels => {
                json!({ "type": "object", "additionalProperties": { "type": "string", "maxLength": 63 } })
            }
            Self::FirewallRules => FirewallRule::schema(),
            Self::Number => json!({ "type": "integer" }),
            Self::Boolean => json!({ "type": "boolean" }),
            Self::Always(truth) => json!({ "const": truth }),
            Self::Choice(words) => json!({ "enum": words }),
            Self::List(of) => json!({ "type": "array", "items": of.schema() }),
        }
    }

    fn plural(&self) -> String {
        match self {
            Self::Any => "values".to_owned(),
            Self::Text => "texts".to_owned(),
            Self::Number => "whole numbers".to_owned(),
            Self::Boolean => "truths".to_owned(),
            Self::Always(truth) => format!("truths, each {truth}"),
            Self::Choice(words) => format!("words, each one of {}", words.join(", ")),
            Self::List(of) => format!("lists of {}", of.plural()),
            Self::Reference => "names or ids".to_owned(),
            Self::PublicKey => "public keys (ssh-ed25519 AAAA…)".to_owned(),
            Self::Labels => "maps of labels".to_owned(),
            Self::Hostname => "host names".to_owned(),
            Self::FirewallRules => "lists of firewall rules".to_owned(),
        }
    }
}

impl fmt::Display for SettingType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any value"),
            Self::Text => f.write_str("a text"),
            Self::Number => f.write_str("a whole number"),
            Self::Boolean => f.write_str("true or false"),
            Self::Always(truth) => write!(f, "{truth} alone"),
            Self::Choice(words) => write!(f, "one of {}", words.join(", ")),
            Self::List(of) => write!(f, "a list of {}", of.plural()),
            Self::Reference => f.write_str("a name or id"),
            Self::PublicKey => f.write_str("a public key (ssh-ed25519 AAAA…)"),
            Self::Labels => f.write_str(
                "a map of labels: names of 2 to 32 letters, digits, - and _, not fulcrum…; values of up to 63, with . too",
            ),
            Self::FirewallRules => {
                f.write_str("a list of rules, such as { allow: tcp, ports: 80-90, from: 10.0.0.0/8 }")
            }
            Self::Hostname => f.write_str("a host's name: letters, digits and hyphens, 63 at most"),
        }
    }
}
