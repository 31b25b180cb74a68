//! Removes secrets from texts before they are shown or stored.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use secrecy::{ExposeSecret, SecretString};

use super::sanitiser::REDACTED;
use crate::provider::{ErrorKind, single_line};

/// A shorter secret is not redacted: ordinary words would go with it.
const MIN_SECRET_BYTES: usize = 4;
/// Characters by which the beginning of a secret is recognised.
const PREFIX_CHARS: usize = 8;
/// Newest tokens of an API, and newest rotated secrets, that are remembered.
const MAX_TOKENS: usize = 64;
/// Newest texts of request bodies that are remembered, such as lines of user data.
const MAX_WITHHELD_TEXTS: usize = 1024;
/// Shortest whole credential; a shorter secret may equal a name by chance.
#[allow(dead_code, reason = "used by adapters alone")]
const MIN_WHOLE_SECRET_BYTES: usize = 12;
/// A text is scanned up to this many times the length that is shown.
const SCAN_FACTOR: usize = 8;

/// Knows the secrets of one client and removes them from texts. Clones share this knowledge.
#[derive(Debug, Clone, Default)]
pub struct Redactor {
    /// Tokens, which expire.
    secrets: Arc<RwLock<Known>>,
    /// Secrets of the configuration; tokens never displace them.
    own: Arc<RwLock<Known>>,
    /// Texts of earlier requests: a failed operation may repeat them later.
    told: Arc<RwLock<Known>>,
    /// Texts of one request.
    further: Arc<Known>,
}

impl Redactor {
    /// A redactor for these secrets.
    pub fn new(secrets: impl IntoIterator<Item = SecretString>) -> Self {
        let redactor = Self::default();
        secrets.into_iter().for_each(|secret| redactor.add(secret));
        redactor
    }

    /// Adds a secret, such as a token that the API has issued.
    pub fn add(&self, secret: SecretString) {
        self.secrets.write().unwrap_or_else(PoisonError::into_inner).add(secret);
    }

    /// Adds a secret of the configuration.
    pub(super) fn add_own(&self, secret: SecretString) {
        self.own.write().unwrap_or_else(PoisonError::into_inner).add(secret);
    }

    /// Remembers texts of a request.
    pub(super) fn remember(&self, told: Vec<SecretString>) {
        let mut known = self.told.write().unwrap_or_else(PoisonError::into_inner);
        known.extend(told, MAX_WITHHELD_TEXTS);
    }

    /// A text of a response, redacted. A program gets all of it except whole credentials; people get a short single line.
    #[allow(dead_code, reason = "used by adapters alone")]
    pub(crate) fn sanitised(&self, text: &str, is_for_people: bool) -> String {
        if is_for_people {
            return self.short(text, ErrorKind::MAX_MESSAGE_CHARS);
        }
        let mut text = text.to_owned();
        for known in [&self.own, &self.secrets] {
            let known = known.read().unwrap_or_else(PoisonError::into_inner);
            for secret in known.secrets.iter().map(|secret| secret.expose_secret()) {
                if secret.len() >= MIN_WHOLE_SECRET_BYTES && text.contains(secret) {
                    text = text.replace(secret, REDACTED);
                }
            }
        }
        text
    }

    /// A copy that also redacts the texts of one request.
    pub(super) fn with(&self, further: Vec<SecretString>) -> Self {
        Self { further: Arc::new(Known::new(further)), ..self.clone() }
    }

    /// The text without secrets.
    pub fn text(&self, text: &str) -> String {
        self.without(text, usize::MAX, usize::MAX, false).0
    }

    /// The first `max_chars` characters of a text on one line, without secrets and invisible characters. The rest of a long
    /// text is not scanned. The end never holds part of a secret.
    pub(crate) fn short(&self, text: &str, max_chars: usize) -> String {
        let looked_at = max_chars.saturating_mul(SCAN_FACTOR);
        let (known, is_whole) = self.without(text, looked_at, looked_at, true);
        let seen: String = known.chars().filter(|c| !crate::model::is_hidden(*c)).collect();
        let rest = self.without(&seen, usize::MAX, usize::MAX, true).0;
        if rest == seen && (is_whole || seen.len() == known.len()) {
            return single_line(&known, max_chars);
        }
        // Marks hid a secret between its characters, and the head of one may stand where the look ended.
        let cut = if is_whole { 0 } else { PREFIX_CHARS };
        let count = rest.chars().count().saturating_sub(cut);
        rest.chars().take(count.min(max_chars)).collect()
    }

    /// Removes secrets, and truncated secrets that still show their first characters, in one pass over the text. The pass stops
    /// after `most_read` bytes read or `most_kept` bytes kept, never inside a secret. Also returns whether it reached the end.
    ///
    /// A word that begins like a secret is removed to its end: tokens of one issuer share a prefix, and an old token may
    /// already be forgotten.
    fn without(&self, text: &str, most_read: usize, most_kept: usize, has_told: bool) -> (String, bool) {
        let secrets = self.secrets.read().unwrap_or_else(PoisonError::into_inner);
        let own = self.own.read().unwrap_or_else(PoisonError::into_inner);
        let told = self.told.read().unwrap_or_else(PoisonError::into_inner);
        let none = Known::default();
        let all = [&*own, &*secrets, &*self.further, if has_told { &*told } else { &none }];
        let mut begins = [false; 256];
        for byte in all.iter().flat_map(|known| known.by_start.keys()).filter_map(|start| start.first()) {
            begins[usize::from(*byte)] = true;
        }
        let (bytes, mut kept, mut from, mut at) = (text.as_bytes(), String::new(), 0, 0);
        while let Some(byte) = bytes.get(at) {
            let is_over = at >= most_read || kept.len() + (at - from) >= most_kept;
            if is_over && text.is_char_boundary(at) {
                kept += &text[from..at];
                return (kept, false);
            }
            // At one place the longest.
            let found = match begins[usize::from(*byte)] {
                true => all.iter().filter_map(|known| known.found(text, at, most_read)).max(),
                false => None,
            };
            match found {
                None => at += 1,
                Some(length) => {
                    kept += &text[from..at];
                    kept += REDACTED;
                    at += length;
                    from = at;
                }
            }
        }
        kept += &text[from..];
        (kept, true)
    }
}

/// Secrets, indexed by their first bytes, so that one pass over a text finds all of them.
#[derive(Default)]
struct Known {
    /// The newest last.
    secrets: Vec<SecretString>,
    by_start: BTreeMap<[u8; MIN_SECRET_BYTES], SamePrefix>,
}

// The index holds first bytes of secrets.
impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Known").field(&self.secrets.len()).finish()
    }
}

/// Secrets with the same first bytes, as sorted positions in the list of all.
#[derive(Default)]
struct SamePrefix {
    /// Long enough to be recognised by a prefix.
    long: Vec<usize>,
    /// Shorter ones, and their lengths in bytes.
    short: Vec<usize>,
    lengths: BTreeSet<usize>,
}

impl Known {
    fn new(secrets: Vec<SecretString>) -> Self {
        let mut known = Self { secrets, by_start: BTreeMap::new() };
        known.secrets.retain(|secret| secret.expose_secret().len() >= MIN_SECRET_BYTES);
        known.sort();
        known
    }

    fn add(&mut self, secret: SecretString) {
        if !self.knows(&secret) {
            self.extend(vec![secret], MAX_TOKENS);
        }
    }

    /// Adds secrets and keeps the newest.
    fn extend(&mut self, secrets: Vec<SecretString>, most: usize) {
        let new =
            secrets.into_iter().filter(|it| it.expose_secret().len() >= MIN_SECRET_BYTES && !self.knows(it));
        let new: Vec<_> = new.collect();
        if new.is_empty() {
            return;
        }
        self.secrets.extend(new);
        self.secrets.drain(..self.secrets.len().saturating_sub(most));
        self.sort();
    }

    fn knows(&self, secret: &SecretString) -> bool {
        let text = secret.expose_secret();
        let alike = text.as_bytes().first_chunk().and_then(|start| self.by_start.get(start));
        let is_it = |at: &usize| self.secrets[*at].expose_secret() == text;
        alike.is_some_and(|alike| alike.long.iter().chain(&alike.short).any(is_it))
    }

    fn sort(&mut self) {
        let text = |at: &usize| self.secrets[*at].expose_secret();
        let mut sorted: Vec<usize> = (0..self.secrets.len()).collect();
        sorted.sort_unstable_by(|a, b| text(a).cmp(text(b)));
        let mut by_start = BTreeMap::<_, SamePrefix>::new();
        for at in sorted {
            let Some((start, _)) = text(&at).as_bytes().split_first_chunk() else { continue };
            let alike = by_start.entry(*start).or_default();
            if text(&at).chars().nth(PREFIX_CHARS).is_some() {
                alike.long.push(at);
            } else {
                alike.short.push(at);
                alike.lengths.insert(text(&at).len());
            }
        }
        self.by_start = by_start;
    }

    /// How much to leave out of a text at a place, where a secret or its beginning stands; behind `delete_if_exists` nothing is looked at that
    /// is no more of the secret itself.
    fn found(&self, text: &str, at: usize, end: usize) -> Option<usize> {
        let rest = text.as_bytes().get(at..)?;
        let (start, _) = rest.split_first_chunk()?;
        let alike = self.by_start.get(start)?;
        let bytes = |at: &usize| self.secrets[*at].expose_secret().as_bytes();
        // In their order, the one that goes along for the longest stands beside the text's own place.
        let place = alike.long.partition_point(|it| bytes(it) < rest);
        let beside = [place.checked_sub(1), Some(place)];
        let along = beside.into_iter().flatten().filter_map(|place| {
            let secret = bytes(alike.long.get(place)?);
            Some(rest.iter().zip(secret).take_while(|(a, b)| a == b).count())
        });
        let along = along.max().unwrap_or_default();
        let along = (0..=along).rev().find(|length| text.is_char_boundary(at + length)).unwrap_or_default();
        let head = text[at..at + along].chars().take(PREFIX_CHARS).count();
        let long = (head == PREFIX_CHARS).then(|| {
            let is_of_word = |c: &char| c.is_alphanumeric() || "-._~+/=".contains(*c);
            let mut word = text[at + along..].char_indices();
            let is_over = |(length, c): &(usize, char)| !is_of_word(c) || at + along + length >= end;
            word.find(is_over).map_or(text.len() - at, |(length, _)| along + length)
        });
        let is_short = |length: &&usize| {
            let is = |part: &[u8]| alike.short.binary_search_by(|it| bytes(it).cmp(part)).is_ok();
            rest.get(..**length).is_some_and(is)
        };
        long.max(alike.lengths.iter().rev().find(is_short).copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_goes_also_where_it_was_cut_off() {
        let redactor = Redactor::new([SecretString::from("canary")]);
        assert_eq!(redactor.text("canary, canary"), "REDACTED, REDACTED");
        let long = Redactor::new([SecretString::from("canary-0123456789")]);
        assert_eq!(long.text("canary-0123456789! canary-01234"), "REDACTED! REDACTED");
        assert_eq!(long.text("canary"), "canary");
    }

    #[test]
    fn no_number_of_tokens_drives_a_password_out() {
        let redactor = Redactor::default();
        redactor.add_own(SecretString::from("canary-password"));
        (0..1_000).for_each(|at| redactor.add(SecretString::from(format!("token-{at:06}"))));
        assert_eq!(redactor.text("canary-password token-000999"), "REDACTED REDACTED");
    }

    #[test]
    fn of_tokens_that_begin_alike_nothing_is_left() {
        let tokens = ["eyJhbGciOiJI.aaaa-1", "eyJhbGciOiJI.bbbb_2", "eyJhbGciOiJI.bbbb_2.cc"];
        for known in [&tokens[..1], &tokens[1..2], &tokens[..]] {
            let redactor = Redactor::new(known.iter().map(|token| SecretString::from(*token)));
            for token in tokens {
                let text = format!("a {token}, \"{token}\" and ={token}&b");
                assert_eq!(redactor.text(&text), "a REDACTED, \"REDACTED\" and =REDACTED&b", "{known:?}");
            }
        }
        assert_eq!(
            Redactor::new([SecretString::from("four")]).text("fourteen four"),
            "REDACTEDteen REDACTED"
        );
    }

    #[test]
    fn the_work_grows_with_the_text_alone() {
        let token = format!("canary-{}", "0123456789abcdef".repeat(4));
        let redactor = Redactor::new([SecretString::from(token.clone())]);
        let further = (0..2_000).map(|at| SecretString::from(format!("{at:06}-canary-of-a-machine")));
        let redactor = redactor.with(further.collect());
        let text = |unit: &str, mib: usize| unit.repeat((mib << 20) / unit.len());
        // As far as the head of a secret goes, its beginning, the whole, and what never ends.
        for unit in ["canary", "canary-", &format!("{token} "), &format!("{token}\n"), &token, "000001-"] {
            let took = [1, 4].map(|mib| {
                let text = text(unit, mib);
                let began = std::time::Instant::now();
                assert!(redactor.short(&text, 500).chars().count() <= 500);
                assert!(began.elapsed() < std::time::Duration::from_secs(1), "{unit}: {:?}", began.elapsed());
                let began = std::time::Instant::now();
                assert!(!redactor.text(&text).contains("canary-0"));
                began.elapsed()
            });
            // A square would be sixteen times as much.
            let limit = (took[0] * 10).max(std::time::Duration::from_secs(5));
            assert!(took[1] < limit, "{unit}: {took:?}");
        }
    }

    #[test]
    fn at_the_end_of_a_short_text_nothing_of_a_secret_is_left() {
        let redactor = Redactor::new([SecretString::from("canary-0123456789")]);
        for before in 0..900 {
            for text in
                ["canary-0123456789", "ca\u{200b}na\nry-01\u{202e}23456789", "canary-0123456789-of-another"]
            {
                let text = format!("{}{text}{text}", "é".repeat(before));
                for most in [5, 8, 20, 100] {
                    let short = redactor.short(&text, most);
                    assert!(
                        short.chars().count() <= most && !short.contains("ca"),
                        "{before} {most}: {short}"
                    );
                }
            }
        }
        assert_eq!(
            redactor.short("a\u{1b}[2J\u{202e}b\u{feff} canary\n-0123456789 c", 100),
            "a[2Jb REDACTED c"
        );
    }
}
