//! What may be said to people: short, one line, and without a secret.

use std::time::Duration;

use fulcrum_core::provider::ProviderError;

/// Longer than any sentence that names a few things.
const LONGEST: usize = 4_000;

/// Checks one text that is shown.
pub fn are_readable(at: &str, words: &str) {
    assert!(
        words.len() < LONGEST,
        "{at}: {} bytes: {}",
        words.len(),
        &words[..words.floor_char_boundary(300)]
    );
    assert!(!words.chars().any(char::is_control), "{at}: {words:?}");
    assert!(!words.contains(super::SECRET), "{at}: it tells a secret: {words}");
}

/// Checks an error, and what it keeps for logs.
pub fn of_error(at: &str, error: &ProviderError) {
    are_readable(at, &error.to_string());
    are_readable(at, &error.words());
    are_readable(at, error.request_id.as_deref().unwrap_or_default());
    let logged = format!("{error:?}");
    assert!(!logged.contains(super::SECRET), "{at}: it keeps a secret: {logged}");
    let wait = error.kind.retry_after().unwrap_or_default();
    assert!(wait <= Duration::from_secs(300), "{at}: it is to be waited for {wait:?}");
}
