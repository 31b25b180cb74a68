//! `${component.attribute}` in a setting: what another component's service says of itself.
//!
//! * `${name.attribute}` stands for an attribute of a component that is listed under `after`; `id` is its id.
//! * `${name.attribute|raw}` takes the value as it is. Otherwise it is a plain word; see [`plain`].
//! * `$${` is the text `${`.
//! * Everything else is text, so that a script may say `${HOME}`.
//!
//! The grammar holds for each text inside a setting.

use core::net::{IpAddr, Ipv6Addr};

/// A piece of a setting's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// As it stands.
    Text(&'a str),
    /// What a component's service says of itself.
    Of(Reference<'a>),
}

/// `${component.attribute}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reference<'a> {
    pub(crate) component: &'a str,
    pub(crate) attribute: &'a str,
    /// Whether the value is taken as it is.
    pub(crate) is_raw: bool,
}

/// All text in a setting's value, also inside of lists and objects.
pub(crate) fn texts(value: &serde_json::Value) -> Vec<&str> {
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

/// A text in pieces. `is_known` says which components it may refer to; of others it only holds text.
///
/// # Errors
/// In words: a reference to a known component without an attribute, or with a modifier that there is not.
pub(crate) fn pieces(text: &str, is_known: impl Fn(&str) -> bool) -> Result<Vec<Piece<'_>>, String> {
    const OPEN: &str = "${";
    let (mut pieces, mut from, mut at) = (Vec::new(), 0, 0);
    while let Some(open) = text[at..].find(OPEN).map(|found| at + found) {
        let inside = open + OPEN.len();
        if text[from..open].ends_with('$') {
            pieces.push(Piece::Text(&text[from..open - 1]));
            (from, at) = (open, inside);
            continue;
        }
        let close = text[inside..].find('}').map(|found| inside + found);
        let reference = close.and_then(|close| {
            let content = &text[inside..close];
            // A component's name may hold dots itself; the longest one that is known counts.
            let (dot, _) = content.rmatch_indices('.').find(|(dot, _)| is_known(&content[..*dot]))?;
            Some((&content[..dot], &content[dot + 1..], close + 1))
        });
        let Some((component, attribute, end)) = reference else {
            at = inside;
            continue;
        };
        pieces.push(Piece::Text(&text[from..open]));
        pieces.push(Piece::Of(reference_of(component, attribute)?));
        (from, at) = (end, end);
    }
    pieces.push(Piece::Text(&text[from..]));
    pieces.retain(|piece| *piece != Piece::Text(""));
    Ok(pieces)
}

fn reference_of<'a>(component: &'a str, attribute: &'a str) -> Result<Reference<'a>, String> {
    let (attribute, modifier) = match attribute.split_once('|') {
        Some((attribute, modifier)) => (attribute, Some(modifier)),
        None => (attribute, None),
    };
    let is_name = !attribute.is_empty() && !attribute.contains(|c: char| c.is_whitespace() || c.is_control());
    if !is_name || modifier.is_some_and(|modifier| modifier != "raw") {
        return Err(format!(
            "a reference to `{component}` is not understood; write ${{{component}.id}}, ${{{component}.ATTRIBUTE}} or \
             ${{{component}.ATTRIBUTE|raw}}, or $${{ for the text ${{"
        ));
    }
    Ok(Reference { component, attribute, is_raw: modifier.is_some() })
}

/// A value as it may stand in another service's settings: one plain word of `A-Z a-z 0-9 . _ : / % -`, which does not begin
/// with `-`. What is called an IP is one, or a small IPv6 network, so that no provider opens an allow-list to everybody.
///
/// # Errors
/// In words: the value is none, and what to write.
pub(crate) fn plain(reference: Reference<'_>, value: &str) -> Result<(), String> {
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
    } else {
        return Ok(());
    };
    let shown: String = value.chars().take(60).collect();
    Err(format!(
        "the `{attribute}` of {component} is {wrong}: {shown:?}; if it is right so, write ${{{component}.{attribute}|raw}}"
    ))
}

/// `ip`, `public_ip`, `private_ipv4`.
fn names_ip(attribute: &str) -> bool {
    let last = attribute.rsplit(['_', '-', '.']).next().unwrap_or_default();
    ["ip", "ipv4", "ipv6"].iter().any(|name| last.eq_ignore_ascii_case(name))
}

/// An address; or what providers give a machine as its own IPv6 network, a /48 or smaller.
fn is_ip(value: &str) -> bool {
    let Some((address, bits)) = value.split_once('/') else {
        return value.parse::<IpAddr>().is_ok_and(|address| !address.is_unspecified());
    };
    match (address.parse::<IpAddr>(), bits.parse::<u8>()) {
        (Ok(IpAddr::V6(address)), Ok(bits)) => address != Ipv6Addr::UNSPECIFIED && (48..=128).contains(&bits),
        (Ok(IpAddr::V4(address)), Ok(bits)) => !address.is_unspecified() && bits == 32,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Piece<'_>>, String> {
        pieces(text, |name| ["b", "b.c"].contains(&name))
    }

    fn of<'a>(component: &'a str, attribute: &'a str, is_raw: bool) -> Piece<'a> {
        Piece::Of(Reference { component, attribute, is_raw })
    }

    #[test]
    fn only_what_is_known_is_a_reference() {
        assert_eq!(read("a${b.id}c"), Ok(vec![Piece::Text("a"), of("b", "id", false), Piece::Text("c")]));
        assert_eq!(read("${b.host|raw}${b.c.ip}"), Ok(vec![of("b", "host", true), of("b.c", "ip", false)]));
        for text in
            ["${HOME}", "${x.id}", "${b}", "${b", "${", "$", "$$", "a$b", "${x.id|raw}", "${HOME:-${USER}}"]
        {
            assert_eq!(read(text), Ok(vec![Piece::Text(text)]), "{text}");
        }
        assert_eq!(read(""), Ok(vec![]));
        assert_eq!(read("${HOME:-${b.id}"), Ok(vec![Piece::Text("${HOME:-"), of("b", "id", false)]));
    }

    #[test]
    fn a_doubled_dollar_makes_text() {
        let texts = |text| -> String {
            let text_of = |piece: Piece<'_>| match piece {
                Piece::Text(text) => text.to_owned(),
                Piece::Of(reference) => format!("<{}>", reference.attribute),
            };
            read(text).expect("it is understood").into_iter().map(text_of).collect()
        };
        assert_eq!(texts("$${b.id}"), "${b.id}");
        assert_eq!(texts("$$${b.id}"), "$${b.id}");
        assert_eq!(texts("a$${HOME}${b.id}$${"), "a${HOME}<id>${");
        assert_eq!(texts("${b.id}$${b.id}${b.ip}"), "<id>${b.id}<ip>");
    }

    #[test]
    fn a_reference_that_is_not_understood_is_named() {
        for text in ["${b.}", "${b.id|json}", "${b.|raw}", "${b.a b}", "${b.id\n}"] {
            let why = read(text).expect_err(text);
            assert!(why.contains("`b`") && why.contains("$${"), "{why}");
        }
    }

    #[test]
    fn values_are_plain_words_unless_said_raw() {
        let reference = Reference { component: "db", attribute: "host", is_raw: false };
        for value in ["db.example", "10.0.0.5", "::1", "projects/a/b", "a_b-c%20", "i-0123", "10.0.0.0/8"] {
            assert_eq!(plain(reference, value), Ok(()), "{value}");
        }
        for value in
            ["", "a b", "a,b", "a\nb", "-rf", "a;b", "a'b", "a\"b", "$(id)", "a}b", "ü", "a\0", "#", "a=b"]
        {
            assert!(plain(reference, value).is_err(), "{value:?}");
            let raw = plain(Reference { is_raw: true, ..reference }, value);
            assert_eq!(raw.is_ok(), !value.is_empty(), "{value:?}");
        }
    }

    #[test]
    fn an_ip_is_one() {
        for name in ["ip", "public_ip", "private_ipv4", "public-ipv6", "IP"] {
            let reference = Reference { component: "db", attribute: name, is_raw: false };
            for value in ["10.0.0.5", "10.0.0.5/32", "2001:db8::1", "2001:db8:1:2::/64"] {
                assert_eq!(plain(reference, value), Ok(()), "{name} {value}");
            }
            for value in
                ["0.0.0.0/0", "::/0", "0.0.0.0", "::", "10.0.0.0/8", "2001:db8::/32", "db", "10.0.0.5/"]
            {
                assert!(plain(reference, value).is_err(), "{name} {value}");
            }
        }
        assert!(plain(Reference { component: "db", attribute: "zip", is_raw: false }, "db").is_ok());
    }
}
