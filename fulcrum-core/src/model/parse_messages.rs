//! Turns a parser's message into one that says what to write instead.

use serde_saphyr::Error as YamlError;

/// What is wrong with a YAML document, of which `text` is the whole.
pub(super) fn yaml_message(error: &YamlError, text: &str) -> String {
    match error {
        YamlError::Eof { .. } if is_blank(text) => EMPTY_DOCUMENT.to_owned(),
        YamlError::Eof { .. } => TRUNCATED_DOCUMENT.to_owned(),
        YamlError::MultipleDocuments { .. } => {
            "a second document starts here; write one in a file, without a line of ---".to_owned()
        }
        YamlError::DuplicateMappingKey { key: Some(name), .. } => {
            format!("`{}` is written twice; keep one of them", name.trim_matches(['"', '\'']))
        }
        YamlError::DuplicateMappingKey { key: None, .. } => {
            "a name is written twice; keep one of them".to_owned()
        }
        YamlError::InvalidScalar { ty, .. } => format!("write {}", describe_expected(ty)),
        YamlError::NonFiniteFloat { value, .. } => {
            format!("{value} is beyond all numbers that can be used; write one such as 12.5")
        }
        YamlError::InvalidBooleanStrict { .. } => "write true or false".to_owned(),
        YamlError::NullIntoString { .. } => "nothing is written here; write text".to_owned(),
        YamlError::SerdeInvalidType { unexpected, expected, .. }
        | YamlError::SerdeInvalidValue { unexpected, expected, .. } => {
            wrong_value_message(unexpected, expected)
        }
        YamlError::ExpectedMappingEndAfterEnumVariantValue { .. } => {
            "only one word can be here; write the next one as an item of its own, after a -".to_owned()
        }
        YamlError::ExpectedStringKeyForExternallyTaggedEnum { .. }
        | YamlError::ExternallyTaggedEnumExpectedScalarOrMapping { .. } => {
            "write a word, or { word: … }".to_owned()
        }
        YamlError::Unexpected { expected, .. } => format!("write {}", describe_expected(expected)),
        YamlError::Budget { .. }
        | YamlError::AliasReplayCounterOverflow { .. }
        | YamlError::AliasReplayLimitExceeded { .. }
        | YamlError::AliasExpansionLimitExceeded { .. }
        | YamlError::AliasReplayStackDepthExceeded { .. } => {
            "the document is too deep, or repeats itself too often; write it flatter, without *aliases"
                .to_owned()
        }
        YamlError::UnknownAnchor { .. } => {
            "nothing has the name of this *alias; name a part with & first, or put the text in quotes"
                .to_owned()
        }
        YamlError::AliasError { error, .. } => yaml_message(error, text),
        other => serde_message(
            &strip_position(&other.render_with_formatter(&serde_saphyr::UserMessageFormatter)),
            text,
        ),
    }
}

/// What is wrong with a JSON document.
pub(super) fn json_message(error: &serde_json::Error, text: &str) -> String {
    serde_message(&strip_position(&error.to_string()), text)
}

const EMPTY_DOCUMENT: &str = "the document is empty; write its fields, as name: value";
const TRUNCATED_DOCUMENT: &str = "the document ends too early; close what is open and write what is missing";

fn is_blank(text: &str) -> bool {
    text.lines().map(str::trim).all(|line| line.is_empty() || line.starts_with('#') || line == "---")
}

/// Drops the parsers' own " at line 1 column 2", which a [`DocumentError`](super::DocumentError) says in front.
fn strip_position(message: &str) -> String {
    let message = message.split(" at line ").next().unwrap_or(message);
    message.strip_prefix("error: ").unwrap_or(message).trim().to_owned()
}

/// What is wrong with a row of text cells.
pub(crate) fn table_row_message(error: &serde::de::value::Error) -> String {
    serde_message(&error.to_string(), "a row")
}

/// The words that serde and its JSON parser have for all types.
fn serde_message(message: &str, text: &str) -> String {
    if message.starts_with("EOF while") {
        return if is_blank(text) { EMPTY_DOCUMENT } else { TRUNCATED_DOCUMENT }.to_owned();
    }
    for start in ["invalid type: ", "invalid value: "] {
        if let Some((unexpected, expected)) =
            message.strip_prefix(start).and_then(|rest| rest.split_once(", expected "))
        {
            return wrong_value_message(unexpected, expected);
        }
    }
    if let Some(name) = message.strip_prefix("missing field ") {
        return format!("{name} is missing; write it");
    }
    if let Some(name) = message.strip_prefix("duplicate field ") {
        return format!("{name} is written twice; keep one of them");
    }
    if let Some(rest) = message.strip_prefix("unknown variant ") {
        return unknown_variant_message(rest);
    }
    if message.starts_with("mapping values are not allowed") {
        return "no name can be here; mend the indentation, or write text that holds a colon in quotes"
            .to_owned();
    }
    if message.starts_with("tabs disallowed") {
        return "indent with blanks instead of tabs".to_owned();
    }
    match message {
        "expected value" => {
            "no value is here; write text in quotes, a number, true, false, null, [ or {".to_owned()
        }
        "key must be a string" => "write the name in quotes".to_owned(),
        "trailing comma" => "remove the comma before the bracket".to_owned(),
        "number out of range" => "the number is too large; write it in quotes, or a smaller one".to_owned(),
        "recursion limit exceeded" => "the document is too deep; write it flatter".to_owned(),
        other => other.to_owned(),
    }
}

/// The rest of "unknown variant `a`, expected one of `b`, `c`". The YAML reader leaves out the second quotes.
fn unknown_variant_message(rest: &str) -> String {
    let (written, expected) = rest.split_once(", expected ").unwrap_or((rest, ""));
    let expected = expected.strip_prefix("one of ").unwrap_or(expected).replace('`', "");
    let words: Vec<_> = expected.split([',', ' ']).filter(|word| !word.is_empty() && *word != "or").collect();
    // All currencies of ISO 4217 are no help.
    if words.contains(&"EUR") && words.contains(&"USD") {
        return format!("{written} is not a currency of ISO 4217; write one such as EUR");
    }
    format!("{written} is unknown here; write one of {}", words.join(", "))
}

/// What to write, and what it is that is written.
fn wrong_value_message(unexpected: &str, expected: &str) -> String {
    let written = match unexpected {
        "null" | "unit" | "unit value" | "Option value" => "nothing".to_owned(),
        "map" | "mapping" => "fields".to_owned(),
        "sequence" => "a list".to_owned(),
        other => {
            let kinds = ["string ", "integer ", "floating point ", "boolean ", "character "];
            kinds.iter().find_map(|kind| other.strip_prefix(kind)).unwrap_or(other).to_owned()
        }
    };
    format!("write {}, not {written}", describe_expected(expected))
}

/// The name of a type, for people.
fn describe_expected(expected: &str) -> String {
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
        "scalar" | "string scalar" | "binary scalar" => "one value, not a list or fields".to_owned(),
        "a sequence" | "sequence" | "sequence start" => "a list, as [a, b]".to_owned(),
        "a map" | "map" | "mapping" | "mapping start" => "fields, as { name: value }".to_owned(),
        other if other.starts_with("struct ") => "fields, as { name: value }".to_owned(),
        other if other.starts_with("enum ") || other == "string or map" => {
            "one of its words, or a word with fields, as { word: { name: value } }".to_owned()
        }
        other => other.to_owned(),
    }
}
