//! Texts that a provider or a host has written, made safe to show: one line, no invisible characters, bounded length.

use crate::model::is_hidden;

/// Characters of such a text that are kept: enough to say what is wrong.
pub(crate) const MAX_TEXT_CHARS: usize = 500;

/// The first `max_chars` characters of a text on one line, without invisible characters.
pub(crate) fn single_line(text: &str, max_chars: usize) -> String {
    // A line break separates words.
    let spaced = |c: char| if matches!(c, '\n' | '\t' | '\u{2028}' | '\u{2029}') { ' ' } else { c };
    text.chars().map(spaced).filter(|c| !is_hidden(*c)).take(max_chars).collect()
}

/// A foreign text, such as a provider's error message, on a [`single_line`] of the usual length.
pub(crate) fn foreign_text(text: &str) -> String {
    single_line(text, MAX_TEXT_CHARS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_turns_or_hides_a_line_is_left_out() {
        let text = "a\u{1b}[31m\r\nb\u{202e}c\u{2066}d\u{200b}e\u{feff}f\u{2028}g";
        assert_eq!(single_line(text, 100), "a[31m bcdef g");
        assert_eq!(single_line("größe 東京 ✓", 100), "größe 東京 ✓");
        assert_eq!(single_line("largest", 3), "lar");
    }
}
