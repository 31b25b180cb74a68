//! Sanitises messages for recordings and errors by an allow-list: fields known to be harmless pass; of all others only type and
//! length remain.
//!
//! A deny-list would never be complete: clouds send passwords as `adminPass`, `root_password`, rescue keys or user data. So
//! the allow-list has the fields that adapters read, and everything else is replaced.

use std::collections::{BTreeMap, BTreeSet};

use secrecy::SecretString;
use serde_json::{Map, Value};
use url::form_urlencoded;

use super::{
    HeaderMap, Redactor,
    allowlist::{
        has_names_for_fields, is_free, is_harmless, is_header, is_holder, is_ours, is_telling, is_word,
        is_worded,
    },
    transport::MAX_ERROR_BODY_BYTES,
};

/// Prefix of a replaced value.
pub(super) const REDACTED: &str = "REDACTED";
/// Nested XML elements, at most.
const MAX_XML_DEPTH: usize = 40;
/// Ends a sentence about what is not there.
const ABSENCE: &str = " not found.";
/// Bytes of a body that an error quotes from; error documents are shorter.
const MAX_EXCERPT_BODY_BYTES: usize = MAX_ERROR_BODY_BYTES;
/// Characters of an excerpt.
const MAX_EXCERPT_CHARS: usize = 300;
/// Bytes of a body that is recorded by field; a parsed body takes a hundred times as much memory.
const MAX_RECORDED_BODY_BYTES: usize = 4 << 20;
/// The shortest text of a request that is redacted from its response, in bytes.
const MIN_WITHHELD_CHARS: usize = 6;

/// Replaces everything that the allow-list does not name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sanitiser<'a> {
    redactor: &'a Redactor,
    /// Whether messages for people pass: in errors, not in recordings.
    has_words: bool,
}

/// Who names the fields of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FieldOwner {
    /// The API.
    Fields,
    /// Somebody else; the values' own fields are the API's.
    Names,
    /// The customer; keys of this library are harmless.
    Notes,
    /// Unknown.
    Unknown,
}

/// The context of a value.
#[derive(Debug, Clone, Copy)]
struct FieldContext {
    owner: FieldOwner,
    is_harmless: bool,
    is_worded: bool,
    /// Proxmox sends a machine's number, or a secret, in the same field.
    is_number: bool,
}

impl FieldContext {
    const ROOT: Self =
        Self { owner: FieldOwner::Fields, is_harmless: false, is_worded: false, is_number: false };
    const UNKNOWN: Self =
        Self { owner: FieldOwner::Unknown, is_harmless: false, is_worded: false, is_number: false };
    const OURS: Self =
        Self { owner: FieldOwner::Unknown, is_harmless: true, is_worded: false, is_number: false };

    fn field(name: &str) -> Self {
        let owner = match () {
            () if is_free(name) => FieldOwner::Notes,
            () if has_names_for_fields(name) => FieldOwner::Names,
            () if is_holder(name) => FieldOwner::Fields,
            () => FieldOwner::Unknown,
        };
        Self { owner, is_harmless: is_harmless(name), is_worded: is_worded(name), is_number: name == "data" }
    }

    /// In a form, where `Tag.1.Value` is a field `Value`.
    fn form_field(name: &str) -> Self {
        let field = name.rsplit('.').find(|part| !part.bytes().all(|byte| byte.is_ascii_digit()));
        Self::field(field.unwrap_or_default())
    }

    /// A field of an object here; `is_labelled` if the object is a label of ours.
    fn below(self, name: &str, is_container: bool, is_labelled: bool) -> Self {
        let field = Self::field(name);
        match self.owner {
            FieldOwner::Unknown => Self::UNKNOWN,
            FieldOwner::Notes if is_ours(name) => Self::OURS,
            FieldOwner::Notes if is_container && field.owner != FieldOwner::Unknown => {
                Self { is_harmless: false, ..field }
            }
            FieldOwner::Notes => Self::UNKNOWN,
            _ if is_labelled && name.eq_ignore_ascii_case("value") => Self::OURS,
            FieldOwner::Names if is_container && field.owner == FieldOwner::Unknown && !is_telling(name) => {
                Self { owner: FieldOwner::Fields, ..field }
            }
            FieldOwner::Names | FieldOwner::Fields => field,
        }
    }

    fn is_known(self) -> bool {
        self.owner != FieldOwner::Unknown || self.is_harmless || self.is_worded
    }
}

impl<'a> Sanitiser<'a> {
    /// For recordings.
    pub(super) fn new(redactor: &'a Redactor) -> Self {
        Self { redactor, has_words: false }
    }

    /// For errors, which people read.
    pub(super) fn with_words(redactor: &'a Redactor) -> Self {
        Self { redactor, has_words: true }
    }

    /// A body: JSON, form and XML field by field, anything else by its length.
    pub(super) fn body(self, body: &[u8], is_form: bool) -> Value {
        if body.is_empty() {
            return Value::Null;
        }
        if body.len() > MAX_RECORDED_BODY_BYTES {
            return placeholder_value("bytes", body.len());
        }
        if let Ok(value) = serde_json::from_slice::<Value>(body) {
            return self.value(FieldContext::ROOT, value);
        }
        let Ok(text) = std::str::from_utf8(body) else { return placeholder_value("bytes", body.len()) };
        if is_form {
            return Value::String(self.pairs(form_urlencoded::parse(body)));
        }
        let begins = text.trim_start();
        if begins.starts_with('<')
            && !begins.to_ascii_lowercase().starts_with("<!doctype")
            && let Ok(document) = roxmltree::Document::parse(text)
        {
            let mut out = String::new();
            self.element(document.root_element(), FieldContext::ROOT, 0, &mut out);
            return Value::String(out);
        }
        let is_document = begins.starts_with(['<', '{', '[', '"']);
        if self.has_words && !is_document {
            Value::String(self.redactor.short(text, MAX_EXCERPT_CHARS))
        } else {
            placeholder_value("text", text.chars().count())
        }
    }

    /// Path and query of an address.
    pub(super) fn path(self, url: &url::Url) -> String {
        let segment = |segment: &str| match is_harmless_segment(&self.redactor.text(segment)) {
            true => segment.to_owned(),
            false => placeholder("text", segment.len()),
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
            let value = match self.text(FieldContext::form_field(&name), &value) {
                Value::String(text) => text,
                other => other.to_string(),
            };
            written.append_pair(&self.name(&name, false), &value);
        }
        written.finish()
    }

    /// Headers; unknown ones by their length.
    pub(super) fn headers(self, headers: &HeaderMap) -> Map<String, Value> {
        let text = |(name, value): (&super::HeaderName, &super::HeaderValue)| {
            let value = String::from_utf8_lossy(value.as_bytes());
            let shown = match name.as_str() {
                "link" => Value::String(self.link(&value)),
                "location" => self.address(&value),
                name if is_header(name) => Value::String(self.redactor.text(&value)),
                _ => placeholder_value("string", value.len()),
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
        all.map_or_else(|| placeholder("string", text.len()), |all| all.join(", "))
    }

    /// An address without a login, with path and query as those of a request.
    fn address(self, text: &str) -> Value {
        let Ok(here) = url::Url::parse("relative://here/") else {
            return placeholder_value("string", text.len());
        };
        let Ok(url) = here.join(text) else { return placeholder_value("string", text.len()) };
        let path = self.path(&url);
        match (url.scheme(), url.host_str()) {
            ("relative", Some("here")) => Value::String(path),
            ("http" | "https", Some(host)) => {
                let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
                Value::String(self.redactor.text(&format!("{}://{host}{port}{path}", url.scheme())))
            }
            _ => placeholder_value("string", text.len()),
        }
    }

    fn value(self, at: FieldContext, value: Value) -> Value {
        match value {
            Value::Null | Value::Bool(_) => value,
            Value::Number(number) if at.is_harmless => Value::Number(number),
            Value::Number(number) => placeholder_value("number", number.to_string().len()),
            Value::String(text) => self.text(at, &text),
            Value::Array(items) if at.is_known() || at.owner == FieldOwner::Fields => {
                items.into_iter().map(|item| self.value(at, item)).collect()
            }
            Value::Array(items) => placeholder_value("list", items.len()),
            Value::Object(fields) if at.owner == FieldOwner::Unknown => {
                placeholder_value("object", fields.len())
            }
            Value::Object(fields) => Value::Object(self.fields(at, fields)),
        }
    }

    fn fields(self, at: FieldContext, fields: Map<String, Value>) -> Map<String, Value> {
        let is_labelled = fields.get("key").and_then(Value::as_str).is_some_and(is_ours);
        let (mut shown, mut again) = (Map::new(), BTreeMap::new());
        for (name, value) in fields {
            let place = at.below(&name, value.is_object() || value.is_array(), is_labelled);
            let mut field = match place.is_known() {
                true => self.without_secrets(name),
                false => self.name(&name, at.owner == FieldOwner::Notes),
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

    fn text(self, at: FieldContext, text: &str) -> Value {
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
            // Octavia proves an absence by the end of a sentence alone.
            () if at.is_worded && text.ends_with(ABSENCE) => {
                Value::String(placeholder("string", text.chars().count()) + ABSENCE)
            }
            () => placeholder_value("string", text.chars().count()),
        }
    }

    /// Writes an element.
    fn element(self, node: roxmltree::Node<'_, '_>, at: FieldContext, depth: usize, out: &mut String) {
        let shown = self.name(node.tag_name().name(), false);
        out.push_str(&format!("<{shown}>"));
        let is_element = |node: &roxmltree::Node<'_, '_>| node.is_element();
        let count = node.children().filter(is_element).count();
        if count == 0 {
            if let Value::String(text) = self.text(at, node.text().unwrap_or_default().trim()) {
                out.push_str(&escaped(&text));
            }
        } else if at.owner == FieldOwner::Unknown || depth > MAX_XML_DEPTH {
            out.push_str(&placeholder("elements", count));
        } else {
            let key = node.children().find(|child| child.tag_name().name().eq_ignore_ascii_case("key"));
            let is_labelled = key.and_then(|key| key.text()).is_some_and(|key| is_ours(key.trim()));
            for child in node.children().filter(is_element) {
                let name = child.tag_name().name();
                // The list of tags has the API's elements, each of them a pair.
                let at = if at.owner == FieldOwner::Notes { FieldContext::ROOT } else { at };
                self.element(child, at.below(name, child.has_children(), is_labelled), depth + 1, out);
            }
        }
        out.push_str(&format!("</{shown}>"));
    }

    /// The first characters of a body, on one line, for an error.
    pub(super) fn excerpt(self, body: &[u8]) -> String {
        if body.len() > MAX_EXCERPT_BODY_BYTES {
            return placeholder("bytes", body.len());
        }
        let text = match self.body(body, false) {
            Value::String(text) => text,
            Value::Null => String::new(),
            json => json.to_string(),
        };
        self.redactor.short(&text, MAX_EXCERPT_CHARS)
    }

    /// The name of an unknown field, if it looks like an API's own and holds no secret.
    fn name(self, name: &str, is_free: bool) -> String {
        self.without_secrets(plausible_field_name(name, is_free))
    }

    fn without_secrets(self, name: String) -> String {
        if self.redactor.text(&name) == name { name } else { placeholder("name", name.len()) }
    }
}

/// Texts of a request that its response must not repeat: all that no recording would hold. Texts are split into parts, as
/// servers may quote them in another form.
pub(super) fn request_texts(body: &[u8], is_form: bool) -> Vec<SecretString> {
    let mut texts = Vec::new();
    match serde_json::from_slice::<Value>(body) {
        Ok(value) => leaves(FieldContext::ROOT, &value, &mut texts),
        Err(_) if is_form => {
            for (name, value) in form_urlencoded::parse(body) {
                leaves(FieldContext::form_field(&name), &Value::String(value.into_owned()), &mut texts);
            }
        }
        Err(_) => {}
    }
    let mut parts = BTreeSet::new();
    let mut add = |part: &str| {
        let part = part.trim();
        if part.len() >= MIN_WITHHELD_CHARS && !parts.contains(part) {
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

fn leaves(at: FieldContext, value: &Value, texts: &mut Vec<String>) {
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
                // Whose login it is, is in each response of keystone; the login itself stays unrecorded.
                if name == "auth" {
                    login_leaves(value, texts);
                    continue;
                }
                leaves(at.below(name, value.is_object() || value.is_array(), false), value, texts);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn placeholder(kind: &str, length: usize) -> String {
    format!("{REDACTED}-{kind}-{length}")
}

fn placeholder_value(kind: &str, length: usize) -> Value {
    Value::String(placeholder(kind, length))
}

/// The name of an unknown field, if it looks like an API's own.
fn plausible_field_name(name: &str, is_free: bool) -> String {
    let is_plain = |c: char| c.is_ascii_alphabetic() || "_-:.".contains(c);
    let without_numbers: String = name.chars().filter(|c| !c.is_ascii_digit()).collect();
    let is_few = name.len() - without_numbers.len() <= 4;
    match !is_free && !name.is_empty() && name.len() <= 60 && is_few && without_numbers.chars().all(is_plain)
    {
        true => name.to_owned(),
        false => placeholder("name", name.len()),
    }
}

/// Whether a path segment is harmless.
fn is_harmless_segment(segment: &str) -> bool {
    segment.is_empty() || is_word(segment)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Of a login: all but the names of users, projects and domains.
fn login_leaves(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) => texts.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| login_leaves(item, texts)),
        Value::Object(fields) => {
            let others = fields.iter().filter(|(name, value)| !(*name == "name" && value.is_string()));
            others.for_each(|(_, value)| login_leaves(value, texts));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_field_may_be_a_secret_too() {
        let redactor = Redactor::new([SecretString::from("canary-token")]);
        let body = br#"{"servers": [{"canary-token": 1}], "metadata": {"canary-token": {"servers": []}},
            "volumes": {"canary-token": {"id": "7"}}}"#;
        let shown = Sanitiser::new(&redactor).body(body, false).to_string();
        assert!(!shown.contains("canary") && shown.contains("REDACTED-name"), "{shown}");
        let form = Sanitiser::new(&redactor).body(b"canary-token=1&canary-token=2", true).to_string();
        assert!(!form.contains("canary"), "{form}");
        let xml =
            Sanitiser::new(&redactor).body(b"<Response><canary-token>1</canary-token></Response>", false);
        assert!(!xml.to_string().contains("canary"), "{xml}");
    }

    #[test]
    fn many_fields_that_are_left_out_alike_cost_no_more_than_others() {
        let fields: Vec<String> = (0..30_000).map(|at| format!(r#""{at:05}@": 1"#)).collect();
        let began = std::time::Instant::now();
        let body = format!("{{{}}}", fields.join(","));
        let Value::Object(shown) = Sanitiser::new(&Redactor::default()).body(body.as_bytes(), false) else {
            panic!("an object")
        };
        assert_eq!(shown.len(), 30_000);
        assert!(began.elapsed() < std::time::Duration::from_secs(5), "{:?}", began.elapsed());
    }
}
