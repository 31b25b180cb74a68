//! Texts that a provider has written, as people read them.

use crate::model::is_hidden;

/// Characters of a text that a provider has written: enough to say what is wrong.
#[cfg_attr(not(feature = "http"), allow(dead_code, reason = "only APIs are read"))]
pub(crate) const LONGEST: usize = 500;

/// A text on one line, without marks that nobody sees, and of at most so many characters.
pub(crate) fn plain(text: &str, most: usize) -> String {
    // A line's end parts words.
    let seen = |c: char| if matches!(c, '\n' | '\t' | '\u{2028}' | '\u{2029}') { ' ' } else { c };
    text.chars().map(seen).filter(|c| !is_hidden(*c)).take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_turns_or_hides_a_line_is_left_out() {
        let text = "a\u{1b}[31m\r\nb\u{202e}c\u{2066}d\u{200b}e\u{feff}f\u{2028}g";
        assert_eq!(plain(text, 100), "a[31m bcdef g");
        assert_eq!(plain("größe 東京 ✓", 100), "größe 東京 ✓");
        assert_eq!(plain("largest", 3), "lar");
    }
}
