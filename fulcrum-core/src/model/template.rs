//! `${component.attribute}` in a setting: what another component's service says of itself.
//!
//! * `${name.attribute}` stands for an attribute of a component that is listed under `after`; `id` is its id.
//! * `${name.attribute|raw}` takes the value as it is. Otherwise it is a plain word; see [`check_substitution`].
//! * A secret, such as `${db.password}`, may stand in `user_data` alone ([`may_hold_secrets`]).
//! * `$${` is the text `${`.
//! * Everything else is text, so that a script may say `${HOME}`.
//!
//! The grammar holds for each text inside a setting.

use core::net::IpAddr;

use super::{ids::MAX_CHARS, limits};

/// A part of a setting's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TemplatePart<'a> {
    /// As it stands.
    Text(&'a str),
    /// What a component's service says of itself.
    Reference(Reference<'a>),
}

/// `${component.attribute}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reference<'a> {
    pub(crate) component: &'a str,
    pub(crate) attribute: &'a str,
    /// Whether the value is taken as it is.
    pub(crate) is_raw: bool,
}

/// Whether a setting may refer to secrets: it reaches the provider alone, and is recorded nowhere.
pub(crate) fn may_hold_secrets(setting: &str) -> bool {
    setting == "user_data"
}

/// All text in a setting's value, also inside of lists and objects.
pub(crate) fn text_values(value: &serde_json::Value) -> Vec<&str> {
    let mut found = Vec::new();
    let mut open = vec![value];
    while let Some(value) = open.pop() {
        match value {
            serde_json::Value::String(text) => found.push(text.as_str()),
            serde_json::Value::Array(values) => open.extend(values.iter().rev()),
            serde_json::Value::Object(values) => open.extend(values.values().rev()),
            serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => {}
        }
    }
    found
}

/// The references among some pieces.
pub(crate) fn references_in(pieces: Vec<TemplatePart<'_>>) -> Vec<Reference<'_>> {
    let reference = |piece| match piece {
        TemplatePart::Reference(reference) => Some(reference),
        TemplatePart::Text(_) => None,
    };
    pieces.into_iter().filter_map(reference).collect()
}

/// Bytes that a component's name can have.
const MAX_NAME_BYTES: usize = 4 * MAX_CHARS;

/// A text in pieces. `is_known` says which components it may refer to; of others it only holds text. The work grows with the
/// text alone: each part of it is looked at once, and a name in it a few times.
///
/// # Errors
/// In words: a reference to a known component without an attribute, or with a modifier that there is not; or more references
/// than anybody means.
pub(crate) fn parse_template(
    text: &str,
    is_known: impl Fn(&str) -> bool,
) -> Result<Vec<TemplatePart<'_>>, String> {
    const OPEN: &str = "${";
    let mut budget = text.len().saturating_mul(16).saturating_add(4096);
    let (mut pieces, mut from, mut count) = (Vec::new(), 0, 0);
    let mut next = text.find(OPEN);
    while let Some(open) = next {
        let inside = open + OPEN.len();
        let after = text[inside..].find(OPEN).map(|found| inside + found);
        next = after;
        if text[from..open].ends_with('$') {
            pieces.push(TemplatePart::Text(&text[from..open - 1]));
            from = open;
            continue;
        }
        // Up to the next one, so that no byte is looked at for two of them.
        let rest = &text[inside..after.unwrap_or(text.len())];
        let close = rest.find('}');
        let content = &rest[..close.unwrap_or(rest.len())];
        // A component's name may hold dots itself; the longest one that is known counts.
        let head = &content[..content.floor_char_boundary(MAX_NAME_BYTES + 1)];
        let mut known = None;
        for (dot, _) in head.rmatch_indices('.') {
            budget = budget.checked_sub(dot + 1).ok_or_else(|| {
                "there are too many dots after `${`; write $${ for the text ${, or less of it".to_owned()
            })?;
            if is_known(&content[..dot]) {
                known = Some(dot);
                break;
            }
        }
        match (known, close) {
            (Some(dot), Some(close)) => {
                count += 1;
                let most = limits::MAX_REFERENCES_PER_SETTING;
                if count > most {
                    return Err(format!("it refers to components more than {most} times; write less"));
                }
                pieces.push(TemplatePart::Text(&text[from..open]));
                pieces.push(TemplatePart::Reference(reference_of(&content[..dot], &content[dot + 1..])?));
                from = inside + close + 1;
            }
            // `${db.${x}`, and no end.
            (Some(dot), None) if after.is_some() => return Err(misunderstood(&content[..dot])),
            _ => {}
        }
    }
    pieces.push(TemplatePart::Text(&text[from..]));
    pieces.retain(|piece| *piece != TemplatePart::Text(""));
    Ok(pieces)
}

fn reference_of<'a>(component: &'a str, attribute: &'a str) -> Result<Reference<'a>, String> {
    let (attribute, modifier) = match attribute.split_once('|') {
        Some((attribute, modifier)) => (attribute, Some(modifier)),
        None => (attribute, None),
    };
    let is_name = !attribute.is_empty() && !attribute.contains(|c: char| c.is_whitespace() || c.is_control());
    if !is_name || modifier.is_some_and(|modifier| modifier != "raw") {
        return Err(misunderstood(component));
    }
    Ok(Reference { component, attribute, is_raw: modifier.is_some() })
}

fn misunderstood(component: &str) -> String {
    format!(
        "a reference to `{component}` is not understood; write ${{{component}.id}}, ${{{component}.ATTRIBUTE}} or \
         ${{{component}.ATTRIBUTE|raw}}, or $${{ for the text ${{"
    )
}

/// A value as it may stand in another service's settings: one plain word of `A-Z a-z 0-9 . _ : / % -`, which does not begin
/// with `-`. What is called an IP is one, or a small IPv6 network, and what is called an address is one IP address, so that no
/// provider opens an allow-list to everybody.
///
/// # Errors
/// In words: the value is none, and what to write.
pub(crate) fn check_substitution(reference: Reference<'_>, value: &str) -> Result<(), String> {
    let Reference { component, attribute, is_raw } = reference;
    if value.is_empty() {
        return Err(format!("the `{attribute}` of {component} is empty"));
    }
    if is_raw {
        return Ok(());
    }
    let is_word = |c: char| c.is_ascii_alphanumeric() || "._:/%-".contains(c);
    let wrong = if value.starts_with('-') || !value.chars().all(is_word) {
        "no single word of letters, digits, . _ : / % and -"
    } else if names_ip(attribute) && !is_ip(value) {
        "no IP address"
    } else if names_address(attribute) && !is_address(value) {
        "no address of one machine"
    } else {
        return Ok(());
    };
    let shown: String = value.chars().take(60).collect();
    Err(format!(
        "the `{attribute}` of {component} is {wrong}: {shown:?}; if it is right so, write ${{{component}.{attribute}|raw}}"
    ))
}

/// The words of an attribute's name, from the last to the first.
fn last_words(attribute: &str) -> impl Iterator<Item = &str> {
    attribute.rsplit(['_', '-', '.'])
}

/// `ip`, `public_ip`, `private_ipv4`.
fn names_ip(attribute: &str) -> bool {
    let last = last_words(attribute).next().unwrap_or_default();
    ["ip", "ipv4", "ipv6"].iter().any(|name| last.eq_ignore_ascii_case(name))
}

/// `address`, `public_address`, `ip_addr`; not `mac_address` or `email_address`.
fn names_address(attribute: &str) -> bool {
    let mut words = last_words(attribute);
    let (last, before) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let is_in = |word: &str, names: &[&str]| names.iter().any(|name| word.eq_ignore_ascii_case(name));
    is_in(last, &["address", "addr", "inet", "inet6"])
        && !is_in(before, &["mac", "hardware", "email", "mail", "wallet", "memory"])
}

/// One address; none of those that stand for all.
fn is_address(value: &str) -> bool {
    value.parse::<IpAddr>().is_ok_and(|address| !address.to_canonical().is_unspecified())
}

/// An address; or what providers give a machine as its own IPv6 network, a /48 or smaller, of those that are given to machines.
fn is_ip(value: &str) -> bool {
    let Some((address, bits)) = value.split_once('/') else { return is_address(value) };
    match (address.parse::<IpAddr>(), bits.parse::<u8>()) {
        (Ok(IpAddr::V6(address)), Ok(bits)) => {
            let is_given = matches!(address.segments()[0], 0x2000..=0x3fff | 0xfc00..=0xfdff);
            is_given && (48..=128).contains(&bits)
        }
        (Ok(IpAddr::V4(address)), Ok(bits)) => !address.is_unspecified() && bits == 32,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<TemplatePart<'_>>, String> {
        parse_template(text, |name| ["b", "b.c"].contains(&name))
    }

    fn of<'a>(component: &'a str, attribute: &'a str, is_raw: bool) -> TemplatePart<'a> {
        TemplatePart::Reference(Reference { component, attribute, is_raw })
    }

    #[test]
    fn only_what_is_known_is_a_reference() {
        assert_eq!(
            read("a${b.id}c"),
            Ok(vec![TemplatePart::Text("a"), of("b", "id", false), TemplatePart::Text("c")])
        );
        assert_eq!(read("${b.host|raw}${b.c.ip}"), Ok(vec![of("b", "host", true), of("b.c", "ip", false)]));
        for text in
            ["${HOME}", "${x.id}", "${b}", "${b", "${", "$", "$$", "a$b", "${x.id|raw}", "${HOME:-${USER}}"]
        {
            assert_eq!(read(text), Ok(vec![TemplatePart::Text(text)]), "{text}");
        }
        assert_eq!(read(""), Ok(vec![]));
        assert_eq!(read("${HOME:-${b.id}"), Ok(vec![TemplatePart::Text("${HOME:-"), of("b", "id", false)]));
    }

    #[test]
    fn a_doubled_dollar_makes_text() {
        let rendered = |text| -> String {
            let text_of = |piece: TemplatePart<'_>| match piece {
                TemplatePart::Text(text) => text.to_owned(),
                TemplatePart::Reference(reference) => format!("<{}>", reference.attribute),
            };
            read(text).expect("it is understood").into_iter().map(text_of).collect()
        };
        assert_eq!(rendered("$${b.id}"), "${b.id}");
        assert_eq!(rendered("$$${b.id}"), "$${b.id}");
        assert_eq!(rendered("a$${HOME}${b.id}$${"), "a${HOME}<id>${");
        assert_eq!(rendered("${b.id}$${b.id}${b.ip}"), "<id>${b.id}<ip>");
    }

    #[test]
    fn a_reference_that_is_not_understood_is_named() {
        for text in ["${b.}", "${b.id|json}", "${b.|raw}", "${b.a b}", "${b.id\n}", "${b.id${b.id}"] {
            let why = read(text).expect_err(text);
            assert!(why.contains("`b`") && why.contains("$${"), "{why}");
        }
    }

    #[test]
    fn values_are_plain_words_unless_said_raw() {
        let reference = Reference { component: "db", attribute: "host", is_raw: false };
        for value in ["db.example", "10.0.0.5", "::1", "projects/a/b", "a_b-c%20", "i-0123", "10.0.0.0/8"] {
            assert_eq!(check_substitution(reference, value), Ok(()), "{value}");
        }
        for value in
            ["", "a b", "a,b", "a\nb", "-rf", "a;b", "a'b", "a\"b", "$(id)", "a}b", "ü", "a\0", "#", "a=b"]
        {
            assert!(check_substitution(reference, value).is_err(), "{value:?}");
            let raw = check_substitution(Reference { is_raw: true, ..reference }, value);
            assert_eq!(raw.is_ok(), !value.is_empty(), "{value:?}");
        }
    }

    #[test]
    fn an_ip_is_one() {
        for name in ["ip", "public_ip", "private_ipv4", "public-ipv6", "IP"] {
            let reference = Reference { component: "db", attribute: name, is_raw: false };
            for value in ["10.0.0.5", "10.0.0.5/32", "2001:db8::1", "2001:db8:1:2::/64"] {
                assert_eq!(check_substitution(reference, value), Ok(()), "{name} {value}");
            }
            for value in [
                "0.0.0.0/0",
                "::/0",
                "0.0.0.0",
                "::",
                "10.0.0.0/8",
                "2001:db8::/32",
                "db",
                "10.0.0.5/",
                "::ffff:0.0.0.0/96",
                "::ffff:0.0.0.0",
                "::1/48",
            ] {
                assert!(check_substitution(reference, value).is_err(), "{name} {value}");
            }
        }
        assert!(
            check_substitution(Reference { component: "db", attribute: "zip", is_raw: false }, "db").is_ok()
        );
    }

    #[test]
    fn an_address_is_one_address() {
        for name in ["address", "public_address", "ip-address", "Address", "ip_addr"] {
            let reference = Reference { component: "db", attribute: name, is_raw: false };
            for value in ["10.0.0.5", "2001:db8::1", "::1"] {
                assert_eq!(check_substitution(reference, value), Ok(()), "{name} {value}");
            }
            for value in
                ["0.0.0.0/0", "::/0", "0.0.0.0", "::ffff:0.0.0.0", "10.0.0.5/32", "2001:db8::/64", "all"]
            {
                let why = check_substitution(reference, value).expect_err(value);
                assert!(why.contains("no address of one machine") && why.contains("|raw"), "{why}");
            }
        }
        for name in ["mac_address", "email_address", "addresses_count"] {
            let reference = Reference { component: "db", attribute: name, is_raw: false };
            assert_eq!(check_substitution(reference, "0a:b1:c2"), Ok(()), "{name}");
        }
    }

    /// Bytes of names that are looked up for a text.
    fn work(text: &str) -> usize {
        let looked = std::cell::Cell::new(text.len());
        let is_known = |name: &str| {
            looked.set(looked.get() + name.len());
            false
        };
        // Whether it is refused or read, the work is done.
        parse_template(text, is_known).ok();
        looked.get()
    }

    #[test]
    fn the_work_grows_with_the_text_alone() {
        type Made = fn(usize) -> String;
        let made: [(&str, Made); 4] = [
            ("open", |n| "${.".repeat(n)),
            ("dots", |n| "${".to_owned() + &".".repeat(3 * n) + "}"),
            ("closed", |n| "${.}".repeat(n)),
            ("far", |n| "${.".repeat(n) + &"x".repeat(n) + "}"),
        ];
        for (name, text) in made {
            let (once, twice) = (work(&text(2_000)), work(&text(4_000)));
            assert!(twice <= 3 * once, "{name}: {once}, then {twice}");
            assert!(once <= 17 * text(2_000).len() + 4_096, "{name}: {once}");
        }
    }

    #[test]
    fn a_text_has_so_many_references() {
        assert_eq!(read(&"${b.id}".repeat(1_000)).map(|pieces| pieces.len()), Ok(1_000));
        let why = read(&"${b.id}".repeat(1_001)).expect_err("too many");
        assert!(why.contains("more than 1000 times"), "{why}");
        let dotted = "${".to_owned() + &"word.".repeat(12) + "}";
        assert_eq!(read(&dotted.repeat(100)).map(|pieces| pieces.len()), Ok(1), "text of somebody's program");
    }
}
