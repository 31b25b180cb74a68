//! What a recording may hold of a message: fields that are known to be harmless. Of all else it holds type and length.
//!
//! Nobody can list where clouds put passwords: `adminPass`, `root_password`, keys of rescue systems, what a machine is told at its
//! first start. So it is the other way round: what the adapters read is listed here, and whatever is not is left out.

use std::collections::{BTreeMap, BTreeSet};

use secrecy::SecretString;
use serde_json::{Map, Value};
use url::form_urlencoded;

use super::{
    HeaderMap, Redactor,
    fields::{
        has_names_for_fields, is_free, is_harmless, is_header, is_holder, is_ours, is_telling, is_word,
        is_worded,
    },
    transport::MAX_REFUSAL_BYTES,
};

/// Begins what stands for something that was left out.
pub(super) const BLANK: &str = "REDACTED";
/// Elements of XML within each other that are looked at.
const DEEPEST: usize = 40;
/// Larger bodies are not looked at for an error, as no refusal is so large.
const LARGEST_SHOWN: usize = MAX_REFUSAL_BYTES;
/// Characters of one that are shown.
const EXCERPT: usize = 300;
/// Larger bodies are recorded by their length: what is made of them takes a hundred times that.
const LARGEST_KEPT: usize = 4 << 20;
/// The shortest part of a request that an answer must not repeat.
const SHORTEST_PART: usize = 6;

/// Lets through what is known to be harmless.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sieve<'a> {
    redactor: &'a Redactor,
    /// Whether words for people pass: in errors, not in recordings.
    has_words: bool,
}

/// Whose the fields of an object are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    /// The API's.
    Fields,
    /// Named by somebody, and what they hold is the API's.
    Names,
    /// The customer's; those of this library are harmless.
    Notes,
    /// Not known.
    Unknown,
}

/// Where a value stands.
#[derive(Debug, Clone, Copy)]
struct At {
    holds: Holds,
    is_harmless: bool,
    is_worded: bool,
    /// Proxmox answers with a number of a machine, or with a secret, in the same field.
    is_number: bool,
}

impl At {
    const ROOT: Self = Self { holds: Holds::Fields, is_harmless: false, is_worded: false, is_number: false };
    const UNKNOWN: Self =
        Self { holds: Holds::Unknown, is_harmless: false, is_worded: false, is_number: false };
    const OURS: Self = Self { holds: Holds::Unknown, is_harmless: true, is_worded: false, is_number: false };

    fn field(name: &str) -> Self {
        let holds = match () {
            () if is_free(name) => Holds::Notes,
            () if has_names_for_fields(name) => Holds::Names,
            () if is_holder(name) => Holds::Fields,
            () => Holds::Unknown,
        };
        Self { holds, is_harmless: is_harmless(name), is_worded: is_worded(name), is_number: name == "data" }
    }

    /// Of a form, where `Tag.1.Value` is a field `Value`.
    fn form_field(name: &str) -> Self {
        let field = name.rsplit('.').find(|part| !part.bytes().all(|byte| byte.is_ascii_digit()));
        Self::field(field.unwrap_or_default())
    }

    /// A field of an object here; `is_labelled` if the object is a label of ours.
    fn below(self, name: &str, is_container: bool, is_labelled: bool) -> Self {
        let field = Self::field(name);
        match self.holds {
            Holds::Unknown => Self::UNKNOWN,
            Holds::Notes if is_ours(name) => Self::OURS,
            Holds::Notes if is_container && field.holds != Holds::Unknown => {
                Self { is_harmless: false, ..field }
            }
            Holds::Notes => Self::UNKNOWN,
            _ if is_labelled && name == "value" => Self::OURS,
            Holds::Names if is_container && field.holds == Holds::Unknown && !is_telling(name) => {
                Self { holds: Holds::Fields, ..field }
            }
            Holds::Names | Holds::Fields => field,
        }
    }

    fn is_known(self) -> bool {
        self.holds != Holds::Unknown || self.is_harmless || self.is_worded
    }
}

impl<'a> Sieve<'a> {
    /// For recordings.
    pub(super) fn new(redactor: &'a Redactor) -> Self {
        Self { redactor, has_words: false }
    }

    /// For errors, which people read.
    pub(super) fn with_words(redactor: &'a Redactor) -> Self {
        Self { redactor, has_words: true }
    }

    /// A body, as JSON where it is that, else as text: a form and XML field by field, anything else by its length.
    pub(super) fn body(self, body: &[u8], is_form: bool) -> Value {
        if body.is_empty() {
            return Value::Null;
        }
        if body.len() > LARGEST_KEPT {
            return blank("bytes", body.len());
        }
        if let Ok(value) = serde_json::from_slice::<Value>(body) {
            return self.value(At::ROOT, value);
        }
        let Ok(text) = std::str::from_utf8(body) else { return blank("bytes", body.len()) };
        if is_form {
            return Value::String(self.pairs(form_urlencoded::parse(body)));
        }
        let begins = text.trim_start();
        if begins.starts_with('<')
            && !begins.to_ascii_lowercase().starts_with("<!doctype")
            && let Ok(document) = roxmltree::Document::parse(text)
        {
            let mut out = String::new();
            self.element(document.root_element(), At::ROOT, 0, &mut out);
            return Value::String(out);
        }
        let is_document = begins.starts_with(['<', '{', '[', '"']);
        if self.has_words && !is_document {
            Value::String(self.redactor.short(text, EXCERPT))
        } else {
            blank("text", text.chars().count())
        }
    }

    /// The path of an address, with what stands behind the question mark.
    pub(super) fn path(self, url: &url::Url) -> String {
        let segment = |segment: &str| match is_shown(&self.redactor.text(segment)) {
            true => segment.to_owned(),
            false => stands_for("text", segment.len()),
        };
        let path = url.path().split('/').map(segment).collect::<Vec<_>>().join("/");
        match url.query() {
            None => path,
            Some(query) => format!("{path}?{}", self.pairs(form_urlencoded::parse(query.as_bytes()))),
        }
    }

    fn pairs<'b>(
        self,
        pairs: impl Iterator<Item = (std::borrow::Cow<'b, str>, std::borrow::Cow<'b, str>)>,
    ) -> String {
        let mut written = form_urlencoded::Serializer::new(String::new());
        for (name, value) in pairs {
            let value = match self.text(At::form_field(&name), &value) {
                Value::String(text) => text,
                other => other.to_string(),
            };
            written.append_pair(&self.name(&name, false), &value);
        }
        written.finish()
    }

    /// Headers, those that are not known by their length.
    pub(super) fn headers(self, headers: &HeaderMap) -> Map<String, Value> {
        let text = |(name, value): (&super::HeaderName, &super::HeaderValue)| {
            let value = String::from_utf8_lossy(value.as_bytes());
            let shown = match name.as_str() {
                "link" => Value::String(self.link(&value)),
                "location" => self.address(&value),
                name if is_header(name) => Value::String(self.redactor.text(&value)),
                _ => blank("string", value.len()),
            };
            (name.to_string(), shown)
        };
        headers.iter().map(text).collect()
    }

    /// `</servers?page=2>; rel="next"`.
    fn link(self, text: &str) -> String {
        let one = |one: &str| {
            let (address, rest) = one.trim().strip_prefix('<')?.split_once('>')?;
            let Value::String(address) = self.address(address) else { return None };
            let is_plain = |c: char| c.is_ascii_alphanumeric() || " ;=\"-_".contains(c);
            (rest.len() < 64 && rest.chars().all(is_plain)).then(|| format!("<{address}>{rest}"))
        };
        let all: Option<Vec<_>> = text.split(',').map(one).collect();
        all.map_or_else(|| stands_for("string", text.len()), |all| all.join(", "))
    }

    /// An address without a login, its path and parameters as those of a request.
    fn address(self, text: &str) -> Value {
        let Ok(here) = url::Url::parse("relative://here/") else { return blank("string", text.len()) };
        let Ok(url) = here.join(text) else { return blank("string", text.len()) };
        let path = self.path(&url);
        match (url.scheme(), url.host_str()) {
            ("relative", Some("here")) => Value::String(path),
            ("http" | "https", Some(host)) => {
                let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
                Value::String(self.redactor.text(&format!("{}://{host}{port}{path}", url.scheme())))
            }
            _ => blank("string", text.len()),
        }
    }

    fn value(self, at: At, value: Value) -> Value {
        match value {
            Value::Null | Value::Bool(_) => value,
            Value::Number(number) if at.is_harmless => Value::Number(number),
            Value::Number(number) => blank("number", number.to_string().len()),
            Value::String(text) => self.text(at, &text),
            Value::Array(items) if at.is_known() || at.holds == Holds::Fields => {
                items.into_iter().map(|item| self.value(at, item)).collect()
            }
            Value::Array(items) => blank("list", items.len()),
            Value::Object(fields) if at.holds == Holds::Unknown => blank("object", fields.len()),
            Value::Object(fields) => Value::Object(self.fields(at, fields)),
        }
    }

    fn fields(self, at: At, fields: Map<String, Value>) -> Map<String, Value> {
        let is_labelled = fields.get("key").and_then(Value::as_str).is_some_and(is_ours);
        let (mut shown, mut again) = (Map::new(), BTreeMap::new());
        for (name, value) in fields {
            let place = at.below(&name, value.is_object() || value.is_array(), is_labelled);
            let mut field = match place.is_known() {
                true => self.without_secrets(name),
                false => self.name(&name, at.holds == Holds::Notes),
            };
            if shown.contains_key(&field) {
                let count: &mut usize = again.entry(field.clone()).or_default();
                *count += 1;
                field = format!("{field}-{count}");
            }
            shown.insert(field, self.value(place, value));
        }
        shown
    }

    fn text(self, at: At, text: &str) -> Value {
        let known = self.redactor.text(text);
        let is_nothing = matches!(text, "" | "[]" | "{}" | "null" | "true" | "false");
        match () {
            () if is_nothing || is_ours(&known) => Value::String(known),
            () if at.is_harmless && (text.starts_with("http://") || text.starts_with("https://")) => {
                self.address(text)
            }
            () if at.is_number && text.len() <= 9 && text.bytes().all(|byte| byte.is_ascii_digit()) => {
                Value::String(known)
            }
            () if at.is_harmless && is_word(&known) => Value::String(known),
            () if self.has_words && (at.is_worded || at.is_harmless) => Value::String(known),
            () => blank("string", text.chars().count()),
        }
    }

    /// Writes an element.
    fn element(self, node: roxmltree::Node<'_, '_>, at: At, depth: usize, out: &mut String) {
        let shown = self.name(node.tag_name().name(), false);
        out.push_str(&format!("<{shown}>"));
        let is_element = |node: &roxmltree::Node<'_, '_>| node.is_element();
        let count = node.children().filter(is_element).count();
        if count == 0 {
            if let Value::String(text) = self.text(at, node.text().unwrap_or_default().trim()) {
                out.push_str(&escaped(&text));
            }
        } else if at.holds == Holds::Unknown || depth > DEEPEST {
            out.push_str(&stands_for("elements", count));
        } else {
            let key = node.children().find(|child| child.tag_name().name() == "key");
            let is_labelled = key.and_then(|key| key.text()).is_some_and(|key| is_ours(key.trim()));
            for child in node.children().filter(is_element) {
                let name = child.tag_name().name();
                // The list of tags has the API's elements, each of them a pair.
                let at = if at.holds == Holds::Notes { At::ROOT } else { at };
                self.element(child, at.below(name, child.has_children(), is_labelled), depth + 1, out);
            }
        }
        out.push_str(&format!("</{shown}>"));
    }

    /// The first characters of a body, on one line, for an error.
    pub(super) fn excerpt(self, body: &[u8]) -> String {
        if body.len() > LARGEST_SHOWN {
            return stands_for("bytes", body.len());
        }
        let text = match self.body(body, false) {
            Value::String(text) => text,
            Value::Null => String::new(),
            json => json.to_string(),
        };
        self.redactor.short(&text, EXCERPT)
    }

    /// The name of a field that is not known: shown if it can only be a word of the API, and holds no secret.
    fn name(self, name: &str, is_free: bool) -> String {
        self.without_secrets(shown_name(name, is_free))
    }

    fn without_secrets(self, name: String) -> String {
        if self.redactor.text(&name) == name { name } else { stands_for("name", name.len()) }
    }
}

/// What an answer must not repeat of a request: whatever of its body no recording would hold, part by part, as servers write
/// texts in other ways than they were sent.
pub(super) fn withheld(body: &[u8], is_form: bool) -> Vec<SecretString> {
    let mut texts = Vec::new();
    match serde_json::from_slice::<Value>(body) {
        Ok(value) => leaves(At::ROOT, &value, &mut texts),
        Err(_) if is_form => {
            for (name, value) in form_urlencoded::parse(body) {
                leaves(At::form_field(&name), &Value::String(value.into_owned()), &mut texts);
            }
        }
        Err(_) => {}
    }
    let mut parts = BTreeSet::new();
    let mut add = |part: &str| {
        let part = part.trim();
        if part.len() >= SHORTEST_PART && !parts.contains(part) {
            parts.insert(part.to_owned());
        }
    };
    for text in texts {
        use base64::{Engine, engine::general_purpose::STANDARD};
        let decoded = STANDARD.decode(&text).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        for text in std::iter::once(text).chain(decoded) {
            for part in text.split(|c: char| c.is_control() || c == '"' || c == '\\') {
                add(part);
                let encoded: String = form_urlencoded::byte_serialize(part.trim().as_bytes()).collect();
                add(&encoded);
            }
        }
    }
    parts.into_iter().map(SecretString::from).collect()
}

fn leaves(at: At, value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) => {
            let is_shown = at.is_harmless && is_word(text);
            if !is_shown && !is_ours(text) {
                texts.push(text.clone());
            }
        }
        Value::Array(items) => items.iter().for_each(|item| leaves(at, item, texts)),
        Value::Object(fields) => {
            for (name, value) in fields {
                leaves(at.below(name, value.is_object() || value.is_array(), false), value, texts);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn stands_for(kind: &str, length: usize) -> String {
    format!("{BLANK}-{kind}-{length}")
}

fn blank(kind: &str, length: usize) -> Value {
    Value::String(stands_for(kind, length))
}

/// The name of a field that is not known: shown if it can only be a word of the API.
fn shown_name(name: &str, is_free: bool) -> String {
    let is_plain = |c: char| c.is_ascii_alphabetic() || "_-:.".contains(c);
    let without_numbers: String = name.chars().filter(|c| !c.is_ascii_digit()).collect();
    let is_few = name.len() - without_numbers.len() <= 4;
    match !is_free && !name.is_empty() && name.len() <= 60 && is_few && without_numbers.chars().all(is_plain)
    {
        true => name.to_owned(),
        false => stands_for("name", name.len()),
    }
}

/// Whether a segment of a path can be shown.
fn is_shown(segment: &str) -> bool {
    segment.is_empty() || is_word(segment)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_field_may_be_a_secret_too() {
        let redactor = Redactor::new([SecretString::from("canary-token")]);
        let body = br#"{"servers": [{"canary-token": 1}], "metadata": {"canary-token": {"servers": []}},
            "volumes": {"canary-token": {"id": "7"}}}"#;
        let shown = Sieve::new(&redactor).body(body, false).to_string();
        assert!(!shown.contains("canary") && shown.contains("REDACTED-name"), "{shown}");
        let form = Sieve::new(&redactor).body(b"canary-token=1&canary-token=2", true).to_string();
        assert!(!form.contains("canary"), "{form}");
        let xml = Sieve::new(&redactor).body(b"<Response><canary-token>1</canary-token></Response>", false);
        assert!(!xml.to_string().contains("canary"), "{xml}");
    }

    #[test]
    fn many_fields_that_are_left_out_alike_cost_no_more_than_others() {
        let fields: Vec<String> = (0..30_000).map(|at| format!(r#""{at:05}@": 1"#)).collect();
        let began = std::time::Instant::now();
        let body = format!("{{{}}}", fields.join(","));
        let Value::Object(shown) = Sieve::new(&Redactor::default()).body(body.as_bytes(), false) else {
            panic!("an object")
        };
        assert_eq!(shown.len(), 30_000);
        assert!(began.elapsed() < std::time::Duration::from_secs(5), "{:?}", began.elapsed());
    }
}
