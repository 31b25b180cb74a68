//! A mistake in words: what to write instead.

/// What nobody wrote.
pub(in crate::model) const EMPTY: &str = "the document is empty; write its fields, as name: value";
/// What is not closed.
pub(in crate::model) const TOO_SHORT: &str =
    "the document ends too early; close what is open and write what is missing";

/// Whether a text has nothing but comments.
pub(in crate::model) fn is_blank(text: &str) -> bool {
    text.lines().map(str::trim).all(|line| line.is_empty() || line.starts_with('#') || line == "---")
}

/// The words that a parser, or a type's own check, has.
pub(in crate::model) fn of_message(message: &str) -> String {
    // Types that buffer what they read build serde's sentences as text.
    for start in ["invalid type: ", "invalid value: "] {
        if let Some((unexpected, expected)) =
            message.strip_prefix(start).and_then(|rest| rest.split_once(", expected "))
        {
            return instead(unexpected, expected);
        }
    }
    if let Some(name) = message.strip_prefix("missing field ") {
        return format!("{name} is missing; write it");
    }
    if let Some(name) = message.strip_prefix("duplicate field ") {
        return format!("{name} is written twice; keep one of them");
    }
    message.to_owned()
}

/// A word that is none of those known.
pub(in crate::model) fn unknown_word(written: &str, expected: &[&str]) -> String {
    // All currencies of ISO 4217 are no help.
    if expected.contains(&"EUR") && expected.contains(&"USD") {
        return format!("`{written}` is not a currency of ISO 4217; write one such as EUR");
    }
    with_suggestion(
        format!("`{written}` is unknown here; write one of {}", expected.join(", ")),
        written,
        expected,
    )
}

/// A field that is none of those known.
pub(in crate::model) fn unknown_field(written: &str, expected: &[&str]) -> String {
    let quoted: Vec<String> = expected.iter().map(|word| format!("`{word}`")).collect();
    let message = match &*quoted {
        [] => format!("unknown field `{written}`, there are no fields"),
        [one] => format!("unknown field `{written}`, expected {one}"),
        [one, other] => format!("unknown field `{written}`, expected {one} or {other}"),
        several => format!("unknown field `{written}`, expected one of {}", several.join(", ")),
    };
    with_suggestion(message, written, expected)
}

fn with_suggestion(message: String, written: &str, expected: &[&str]) -> String {
    match nearest(written, expected).filter(|(distance, word)| *distance <= 1 + word.len() / 3) {
        Some((_, word)) => format!("{message}; did you mean `{word}`?"),
        None => message,
    }
}

/// The longest word that may be a slip of the pen. To compare two takes time and memory by the product of their lengths.
const MAX_SLIP_BYTES: usize = 64;

/// The known word that is nearest to what is written, and how many letters apart; none to what is too long to be one of them.
pub(crate) fn nearest<'w>(written: &str, known: &[&'w str]) -> Option<(usize, &'w str)> {
    if written.len() > MAX_SLIP_BYTES {
        return None;
    }
    known.iter().map(|word| (strsim::damerau_levenshtein(written, word), *word)).min()
}

/// The most characters of a message, from its beginning and from its end.
const FIRST_CHARS: usize = 1_200;
const LAST_CHARS: usize = 800;

/// A message of a length that people read: of a longer one the middle is left out, as the advice is at its end.
pub(crate) fn bounded(message: &str) -> String {
    let count = message.chars().count();
    if count <= FIRST_CHARS + LAST_CHARS {
        return message.to_owned();
    }
    let first: String = message.chars().take(FIRST_CHARS).collect();
    let last: String = message.chars().skip(count - LAST_CHARS).collect();
    format!("{first} … {last}")
}

/// What to write, and what it is that is written.
pub(in crate::model) fn instead(unexpected: &str, expected: &str) -> String {
    let written = match unexpected {
        "null" | "unit" | "unit value" | "Option value" => "nothing".to_owned(),
        "map" | "mapping" => "fields".to_owned(),
        "sequence" => "a list".to_owned(),
        other => {
            let kinds = ["string ", "integer ", "floating point ", "boolean ", "character "];
            kinds.iter().find_map(|kind| other.strip_prefix(kind)).unwrap_or(other).to_owned()
        }
    };
    format!("write {}, not {written}", wanted(expected))
}

/// The name of a type, for people.
pub(in crate::model) fn wanted(expected: &str) -> String {
    let whole = |most: u64| format!("a whole number from 0 to {most}");
    match expected {
        "u8" => whole(u8::MAX.into()),
        "u16" => whole(u16::MAX.into()),
        "u32" => whole(u32::MAX.into()),
        "u64" | "usize" => whole(u64::MAX),
        "i8" | "i16" | "i32" | "i64" | "isize" | "i128" | "u128" => "a whole number".to_owned(),
        "f32" | "f64" => "a number such as 12.5".to_owned(),
        "bool" | "a boolean" => "true or false".to_owned(),
        "a string" | "string" | "str" => "text".to_owned(),
        "one value" => "one value, not a list or fields".to_owned(),
        "a sequence" => "a list, as [a, b]".to_owned(),
        "a map" => "fields, as { name: value }".to_owned(),
        other if other.starts_with("struct ") => "fields, as { name: value }".to_owned(),
        other if other.starts_with("enum ") || other == "string or map" => {
            "one of its words, or a word with fields, as { word: { name: value } }".to_owned()
        }
        other => other.to_owned(),
    }
}

/// A parser's message without the value in it: `invalid type: string "hunter2", expected a map`.
pub(in crate::model) fn without_values(words: &str) -> String {
    for (begins, ends) in
        [("string \"", "\", expected"), ("variant `", "`, expected"), ("field `", "`, expected")]
    {
        if let Some((head, rest)) = words.split_once(begins)
            && let Some((_, tail)) = rest.rsplit_once(ends)
        {
            return format!("{head}{begins}…{ends}{tail}");
        }
    }
    words.to_owned()
}
