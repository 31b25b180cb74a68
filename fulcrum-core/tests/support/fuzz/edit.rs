//! Answers changed as a faulty or hostile server would: a node of a document replaced, deleted, repeated or renamed, and
//! bytes cut, doubled and changed.

use serde_json::{Number, Value, json};

use super::draw::Draw;

/// Texts at which something may break.
const TEXTS: [&str; 18] = [
    "",
    "0",
    "-1",
    "1e400",
    "18446744073709551616",
    "79228162514264337593543950336",
    "0.0000000000000000000000000000001",
    "null",
    "../..",
    "a/b",
    "\u{0}\r\nX: y",
    "\u{202e}\u{feff}",
    "2026-11-28T00:00:00Z",
    "9999-12-31T23:59:59.999999999Z",
    "-9999-01-01T00:00:00Z",
    "11111111-2222-3333-4444-555555555555",
    "http://evil.example/v1",
    super::SECRET,
];

/// Something else in the place of a value.
pub fn value(draw: &mut Draw<'_>) -> Value {
    match draw.below(14) {
        0 => Value::Null,
        1 => json!(draw.byte() != 0),
        2 => json!(draw.number()),
        3 => json!(-i64::from(draw.number())),
        4 => json!(u64::MAX),
        5 => json!(i64::MIN),
        6 => json!(1e300),
        7 => json!([]),
        8 => json!({}),
        9 => draw.text(64).into(),
        10 => number(&draw.text(40)),
        11 => draw.choose(&TEXTS).repeat(1 + usize::from(draw.byte()) * 8).into(),
        12 => serde_json::from_slice(draw.bytes(200)).unwrap_or_default(),
        _ => (*draw.choose(&TEXTS)).into(),
    }
}

fn number(text: &str) -> Value {
    text.parse::<Number>().map_or_else(|_| json!(0), Value::Number)
}

/// What one change adds at most: several that repeat each other's work would fill the memory.
const MAX_ADDED_NODES: usize = 10_000;
const MAX_ADDED_BYTES: usize = 1_000_000;

fn nodes(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(nodes).sum(),
        Value::Object(fields) => fields.values().map(nodes).sum(),
        _ => 0,
    }
}

fn children(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.len(),
        Value::Object(fields) => fields.len(),
        _ => 0,
    }
}

/// Changes one node of a document.
pub fn node(value: &mut Value, draw: &mut Draw<'_>) {
    let count = children(value);
    if count == 0 {
        match value {
            Value::String(text) if draw.chance(128) => *text = words(text, draw),
            _ => *value = self::value(draw),
        }
        return;
    }
    let at = draw.below(count);
    let what = draw.below(16);
    match value {
        Value::Array(items) => match what {
            0 => drop(items.remove(at)),
            1 => items.insert(at, items[at].clone()),
            2 => {
                let times = usize::from(draw.byte()).min(MAX_ADDED_NODES / nodes(&items[at]));
                items.extend(vec![items[at].clone(); times]);
            }
            3 => items[at] = self::value(draw),
            4 => items.reverse(),
            5 => items.insert(at, self::value(draw)),
            _ => node(&mut items[at], draw),
        },
        Value::Object(fields) => {
            let Some(name) = fields.keys().nth(at).cloned() else { return };
            match what {
                0 => drop(fields.remove(&name)),
                1 => drop(fields.insert(name, self::value(draw))),
                2 => {
                    let moved = fields.remove(&name).unwrap_or_default();
                    fields.insert(draw.text(20), moved);
                }
                3 => drop(fields.insert(draw.text(20), self::value(draw))),
                4 => {
                    let other = fields.values().nth(draw.below(count)).cloned().unwrap_or_default();
                    fields.insert(name, other);
                }
                _ => fields.get_mut(&name).into_iter().for_each(|field| node(field, draw)),
            }
        }
        _ => {}
    }
}

/// A text cut, lengthened, or with others in it.
fn words(text: &str, draw: &mut Draw<'_>) -> String {
    let starts: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
    let (a, b) = (*draw.choose(&starts), *draw.choose(&starts));
    let (low, high) = (a.min(b), a.max(b));
    match draw.below(5) {
        0 => format!("{}{}", &text[..low], &text[high..]),
        1 => format!("{}{}{}", &text[..low], draw.text(24), &text[high..]),
        2 => format!("{}{}{}", &text[..low], draw.choose(&TEXTS), &text[high..]),
        3 => text.repeat(1 + usize::from(draw.byte()).min(MAX_ADDED_BYTES / text.len().max(1))),
        _ => format!("{}{}", text, &text[low..high]),
    }
}

/// Changes one element of a text in XML: what stands between a tag and its end.
pub fn element(text: &str, draw: &mut Draw<'_>) -> String {
    let opened: Vec<usize> = text
        .match_indices('<')
        .map(|(at, _)| at)
        .filter(|at| !text[at + 1..].starts_with(['/', '!', '?']))
        .collect();
    if opened.is_empty() {
        return text.to_owned();
    }
    let from = *draw.choose(&opened);
    let rest = &text[from..];
    let Some(head) = rest.find('>') else { return rest.to_owned() };
    let name: String = rest[1..].chars().take_while(|c| !" />".contains(*c)).collect();
    let end = format!("</{name}>");
    let (inner, to) = match rest.find(&end) {
        Some(at) if at > head => ((from + head + 1, from + at), from + at + end.len()),
        _ => ((from + head + 1, from + head + 1), from + head + 1),
    };
    let (before, whole, after) = (&text[..from], &text[from..to], &text[to..]);
    match draw.below(8) {
        0 => format!("{before}{after}"),
        1 => format!("{before}{whole}{whole}{after}"),
        2 => format!("{before}{}{after}", whole.repeat(1 + usize::from(draw.byte()))),
        3 => format!("{}{}{}", &text[..inner.0], draw.choose(&TEXTS), &text[inner.1..]),
        4 => format!("{}{}{}", &text[..inner.0], draw.text(64), &text[inner.1..]),
        5 => format!("{}{}{}", &text[..inner.0], words(&text[inner.0..inner.1], draw), &text[inner.1..]),
        6 => format!("{before}<{name}>{whole}</{name}>{after}"),
        _ => format!("{before}{}{after}", draw.text(64)),
    }
}

/// Changes bytes.
pub fn raw(bytes: &mut Vec<u8>, draw: &mut Draw<'_>) {
    for _ in 0..draw.within(1..5) {
        let (a, b) = (draw.below(bytes.len() + 1), draw.below(bytes.len() + 1));
        let (low, high) = (a.min(b), a.max(b));
        match draw.below(5) {
            0 => drop(bytes.drain(low..high.min(low + 40))),
            1 => {
                let part = bytes[low..high.min(low + 60)].to_vec();
                bytes.splice(low..low, part);
            }
            2 => drop(bytes.splice(low..low, draw.bytes(16).iter().copied())),
            3 => bytes.truncate(low),
            _ => {
                let byte = draw.byte();
                bytes.get_mut(low).into_iter().for_each(|at| *at = byte);
            }
        }
    }
}
