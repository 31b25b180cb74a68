//! What can go wrong at a provider: a closed set of kinds that callers act on, and the circumstances.

use std::{fmt, time::Duration};

use super::words;
use crate::model::{ProviderId, ServiceId, SkuId};

/// The outcome of a provider call.
pub type Result<T, E = ProviderError> = std::result::Result<T, E>;

/// The cause of an error, for logs.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A call to a provider failed.
#[derive(Debug, thiserror::Error)]
#[error("{provider}: {call} failed: {kind}{}{}", cause_text(.kind, .source), exists_text(.exists))]
pub struct ProviderError {
    /// Who was asked.
    pub provider: ProviderId,
    /// For what.
    pub call: Call,
    /// What the caller can do about it.
    pub kind: ErrorKind,
    /// The provider's own number for the request, for its support.
    pub request_id: Option<String>,
    /// What is known to exist in spite of the error, and may cost money.
    pub exists: Box<[ServiceId]>,
    /// For logs; holds neither bodies nor secrets.
    pub source: Option<BoxError>,
}

/// Why a call got no answer, in words that may be shown: they hold no body and no secret.
#[derive(Debug, thiserror::Error)]
#[error("{words}")]
pub struct Worded {
    words: String,
    #[source]
    below: Option<BoxError>,
}

impl Worded {
    /// Words of their own.
    pub fn new(words: impl Into<String>) -> Self {
        Self { words: plain(words), below: None }
    }

    /// Words for an error.
    pub fn above(words: impl Into<String>, below: impl Into<BoxError>) -> Self {
        Self { words: plain(words), below: Some(below.into()) }
    }
}

fn plain(text: impl Into<String>) -> String {
    words::plain(&text.into(), ErrorKind::LONGEST)
}

/// What is said about the cause where the kind itself has no words for it.
fn cause_text(kind: &ErrorKind, source: &Option<BoxError>) -> String {
    let worded = source.as_ref().filter(|_| !kind.has_words());
    let worded = worded.and_then(|source| source.downcast_ref::<Worded>());
    worded.map(|it| format!(" ({})", it.words)).unwrap_or_default()
}

fn exists_text(exists: &[ServiceId]) -> String {
    if exists.is_empty() {
        return String::new();
    }
    let names: Vec<_> = exists.iter().map(ServiceId::as_str).collect();
    format!("; these exist: {}", names.join(", "))
}

impl ProviderError {
    /// An error without circumstances; add them by the `with_` methods. Words that come from elsewhere, such as the handle of an
    /// operation or the name of a setting, are put on one line, and cut where they are too long.
    pub fn new(provider: ProviderId, call: Call, kind: ErrorKind) -> Self {
        Self {
            provider,
            call,
            kind: kind.on_one_line(),
            request_id: None,
            exists: Box::default(),
            source: None,
        }
    }

    /// Adds a cause for logs.
    #[must_use]
    pub fn with_source(self, source: impl Into<BoxError>) -> Self {
        Self { source: Some(source.into()), ..self }
    }

    /// Adds what is known to exist.
    #[must_use]
    pub fn with_existing(self, exists: Vec<ServiceId>) -> Self {
        Self { exists: exists.into(), ..self }
    }

    /// The same, of a part of what an operation ends, such as a disk. That the API does not know the part, or refuses what is
    /// asked of it, is not yet that the operation's handle is forgotten: only the handle knows of the part.
    #[cfg_attr(not(feature = "adapters"), allow(dead_code, reason = "each adapter needs a part of it"))]
    pub(crate) fn of_part(self, part: impl fmt::Display) -> Self {
        let kind = match self.kind {
            ErrorKind::NotFound { .. } | ErrorKind::InvalidRequest { .. } | ErrorKind::Unsupported => {
                ErrorKind::Conflict { message: format!("{part}: {}", self.words()) }
            }
            kind => kind,
        };
        Self { kind, ..self }
    }

    /// The same with each of its texts made another.
    pub(crate) fn with_texts(self, make: impl Fn(String) -> String) -> Self {
        let source = self.source.map(|source| match source.downcast::<Worded>() {
            Ok(worded) => Worded { words: make(worded.words), below: worded.below }.into(),
            Err(other) => other,
        });
        let request_id = self.request_id.map(&make);
        Self { kind: self.kind.with_texts(&make), source, request_id, ..self }
    }

    /// Whether the same call may simply be sent again; see [`ErrorKind::is_retryable`].
    pub fn is_retryable(&self) -> bool {
        self.kind.is_retryable()
    }

    /// What went wrong, in the provider's own words where it has said any: what an order's reason tells.
    pub fn words(&self) -> String {
        format!("{}{}", self.kind, cause_text(&self.kind, &self.source))
    }
}

/// Which method of [`Provider`](super::Provider) was called.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// `offers`.
    Offers,
    /// `quote`.
    Quote,
    /// `reserve`.
    Reserve,
    /// `unreserve`.
    Unreserve,
    /// `provision`.
    Provision,
    /// `resume_operation`.
    ResumeOperation,
    /// `find_by_key`.
    FindByKey,
    /// `describe`.
    Describe,
    /// `services`.
    Services,
    /// `act`.
    Act,
    /// `release`.
    Release,
    /// `poll`.
    Poll,
    /// `usage`.
    Usage,
}

impl Call {
    /// The method's name.
    pub fn word(self) -> &'static str {
        match self {
            Self::Offers => "offers",
            Self::Quote => "quote",
            Self::Reserve => "reserve",
            Self::Unreserve => "unreserve",
            Self::Provision => "provision",
            Self::ResumeOperation => "resume_operation",
            Self::FindByKey => "find_by_key",
            Self::Describe => "describe",
            Self::Services => "services",
            Self::Act => "act",
            Self::Release => "release",
            Self::Poll => "poll",
            Self::Usage => "usage",
        }
    }

    /// Whether the call may change what exists or costs money. What is only held ends by itself.
    pub fn is_mutation(self) -> bool {
        match self {
            Self::Provision | Self::Act | Self::Release => true,
            Self::Offers
            | Self::Quote
            | Self::Reserve
            | Self::Unreserve
            | Self::ResumeOperation
            | Self::FindByKey
            | Self::Describe
            | Self::Services
            | Self::Poll
            | Self::Usage => false,
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What a caller can do about a failed call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request can never succeed as it is.
    #[error("the request is not valid: {message}")]
    InvalidRequest {
        /// What to change.
        message: String,
    },
    /// The credentials are missing, wrong or expired.
    #[error("not logged in; renew the credentials")]
    Unauthorised,
    /// The credentials do not allow this.
    #[error("not allowed; ask for the right, or use other credentials")]
    Forbidden,
    /// There is no such thing.
    #[error("{what} does not exist")]
    NotFound {
        /// The SKU, service or operation that was named.
        what: String,
    },
    /// It is in a state that does not allow this now.
    #[error("conflicts with the present state: {message}")]
    Conflict {
        /// With what.
        message: String,
    },
    /// The account's own limit.
    #[error("over the quota of {quota}; ask the provider for more, or compose again without it")]
    QuotaExceeded {
        /// Of what.
        quota: String,
    },
    /// The provider has none left.
    #[error("{sku} is sold out; compose again without it")]
    CapacityExhausted {
        /// Of what.
        sku: SkuId,
    },
    /// Too many calls.
    #[error("rate limited; wait and try again")]
    RateLimited {
        /// How long the provider asks to wait.
        retry_after: Option<Duration>,
    },
    /// The provider answered that it cannot serve now; nothing happened.
    #[error("the provider is not available{}; try again later", because(.cause))]
    Unavailable {
        /// How long the provider asks to wait.
        retry_after: Option<Duration>,
        /// Why, as far as it is known, and what to do; empty if it is not.
        cause: String,
    },
    /// Nothing left this machine.
    #[error("could not connect; nothing was sent{}", because(.cause))]
    NotSent {
        /// Why, as far as it is known, and what to do; empty if it is not.
        cause: String,
    },
    /// Something may have happened.
    #[error("sent, outcome unknown; look the idempotency key up first")]
    Ambiguous,
    /// The provider broke its own API.
    #[error("the answer makes no sense: {message}")]
    Protocol {
        /// In which way; a redacted excerpt at most.
        message: String,
    },
    /// The provider has no such function.
    #[error("this provider cannot do that; see its capabilities")]
    Unsupported,
}

/// Behind a sentence that could stand alone.
fn because(cause: &str) -> String {
    if cause.is_empty() { String::new() } else { format!(": {cause}") }
}

impl ErrorKind {
    /// Not available, for a reason.
    pub fn unavailable(cause: impl Into<String>) -> Self {
        Self::Unavailable { retry_after: None, cause: cause.into() }
    }

    /// Not sent, for a reason.
    pub fn not_sent(cause: impl Into<String>) -> Self {
        Self::NotSent { cause: cause.into() }
    }

    /// Why a release ends nothing: these parts hang on the service, and its purchase did not make them.
    pub fn attached(service: impl fmt::Display, parts: &[String]) -> Self {
        let (parts, which) = match parts {
            [part] => (part.clone(), "which its purchase did not make; detach it"),
            parts => (parts.join(", "), "which its purchase did not make; detach them"),
        };
        Self::Conflict {
            message: format!("{service} has {parts}, {which}, or end it yourself, and try again"),
        }
    }

    /// A part that a purchase made cannot be ended: it hangs on what the purchase did not make.
    pub fn held(part: impl fmt::Display, holders: &[String]) -> Self {
        let holders = holders.join(", ");
        Self::Conflict {
            message: format!(
                "{part} hangs on {holders}, which its purchase did not make; detach it, or end it yourself, and try again"
            ),
        }
    }

    /// Characters of one text that are kept: enough to name many things, and few enough to be read.
    pub(crate) const LONGEST: usize = 2_000;

    /// The same on one line, without marks that nobody sees and without what is too long to be read.
    fn on_one_line(self) -> Self {
        self.with_texts(&|text: String| match text.len() <= Self::LONGEST
            && !text.chars().any(crate::model::is_hidden)
        {
            true => text,
            false => words::plain(&text, Self::LONGEST),
        })
    }

    /// The same with each of its texts made another. No `_` arm: a new kind must decide.
    fn with_texts(self, make: &impl Fn(String) -> String) -> Self {
        match self {
            Self::InvalidRequest { message } => Self::InvalidRequest { message: make(message) },
            Self::NotFound { what } => Self::NotFound { what: make(what) },
            Self::Conflict { message } => Self::Conflict { message: make(message) },
            Self::QuotaExceeded { quota } => Self::QuotaExceeded { quota: make(quota) },
            Self::Unavailable { retry_after, cause } => Self::Unavailable { retry_after, cause: make(cause) },
            Self::NotSent { cause } => Self::NotSent { cause: make(cause) },
            Self::Protocol { message } => Self::Protocol { message: make(message) },
            Self::Unauthorised
            | Self::Forbidden
            | Self::CapacityExhausted { .. }
            | Self::RateLimited { .. }
            | Self::Ambiguous
            | Self::Unsupported => self,
        }
    }

    /// Nobody waits for longer because a provider asks for it: what is bought elsewhere meanwhile goes on and costs.
    pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(300);

    /// Whether the same call may simply be sent again. No `_` arm: a new kind must decide.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::RateLimited { .. } | Self::Unavailable { .. } | Self::NotSent { .. } => true,
            Self::InvalidRequest { .. }
            | Self::Unauthorised
            | Self::Forbidden
            | Self::NotFound { .. }
            | Self::Conflict { .. }
            | Self::QuotaExceeded { .. }
            | Self::CapacityExhausted { .. }
            | Self::Ambiguous
            | Self::Protocol { .. }
            | Self::Unsupported => false,
        }
    }

    /// Whether it says its cause by itself. No `_` arm: a new kind must decide.
    pub(crate) fn has_words(&self) -> bool {
        match self {
            Self::InvalidRequest { .. }
            | Self::Conflict { .. }
            | Self::QuotaExceeded { .. }
            | Self::Unavailable { .. }
            | Self::NotSent { .. }
            | Self::Protocol { .. } => true,
            Self::Unauthorised
            | Self::Forbidden
            | Self::NotFound { .. }
            | Self::CapacityExhausted { .. }
            | Self::RateLimited { .. }
            | Self::Ambiguous
            | Self::Unsupported => false,
        }
    }

    /// Whether the call may have had its effect. Then nobody repeats it before looking.
    pub fn may_have_happened(&self) -> bool {
        match self {
            Self::Ambiguous | Self::Protocol { .. } => true,
            Self::InvalidRequest { .. }
            | Self::Unauthorised
            | Self::Forbidden
            | Self::NotFound { .. }
            | Self::Conflict { .. }
            | Self::QuotaExceeded { .. }
            | Self::CapacityExhausted { .. }
            | Self::RateLimited { .. }
            | Self::Unavailable { .. }
            | Self::NotSent { .. }
            | Self::Unsupported => false,
        }
    }

    /// How long the provider asked to wait, at most [`MAX_RETRY_AFTER`](Self::MAX_RETRY_AFTER).
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after } | Self::Unavailable { retry_after, .. } => {
                retry_after.map(|wait| wait.min(Self::MAX_RETRY_AFTER))
            }
            _ => None,
        }
    }

    /// The kind in a word, for labels.
    pub fn word(&self) -> &'static str {
        match self {
            Self::InvalidRequest { .. } => "invalid_request",
            Self::Unauthorised => "unauthorised",
            Self::Forbidden => "forbidden",
            Self::NotFound { .. } => "not_found",
            Self::Conflict { .. } => "conflict",
            Self::QuotaExceeded { .. } => "quota_exceeded",
            Self::CapacityExhausted { .. } => "capacity_exhausted",
            Self::RateLimited { .. } => "rate_limited",
            Self::Unavailable { .. } => "unavailable",
            Self::NotSent { .. } => "not_sent",
            Self::Ambiguous => "ambiguous",
            Self::Protocol { .. } => "protocol",
            Self::Unsupported => "unsupported",
        }
    }

    /// A number that stays the same for ever; the C status and the Python exception follow from it.
    pub fn code(&self) -> i32 {
        match self {
            Self::InvalidRequest { .. } => 101,
            Self::Unauthorised => 102,
            Self::Forbidden => 103,
            Self::NotFound { .. } => 104,
            Self::Conflict { .. } => 105,
            Self::QuotaExceeded { .. } => 106,
            Self::CapacityExhausted { .. } => 107,
            Self::RateLimited { .. } => 108,
            Self::Unavailable { .. } => 109,
            Self::NotSent { .. } => 110,
            Self::Ambiguous => 111,
            Self::Protocol { .. } => 112,
            Self::Unsupported => 113,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_of_a_strange_handle_is_short_and_on_one_line() {
        let provider = || ProviderId::new("acme").expect("a name");
        for text in ["a\r\nb\u{0}", &"é\n".repeat(10_000)] {
            let kinds = [
                ErrorKind::NotFound { what: text.to_owned() },
                ErrorKind::InvalidRequest { message: text.to_owned() },
                ErrorKind::Conflict { message: text.to_owned() },
                ErrorKind::QuotaExceeded { quota: text.to_owned() },
                ErrorKind::Protocol { message: text.to_owned() },
                ErrorKind::unavailable(text),
                ErrorKind::not_sent(text),
            ];
            for kind in kinds {
                let words = ProviderError::new(provider(), Call::Poll, kind).to_string();
                assert!(!words.chars().any(char::is_control) && words.chars().count() < 2_200, "{words:?}");
            }
        }
        let plain = ErrorKind::NotFound { what: "ünder a name".to_owned() };
        assert_eq!(ProviderError::new(provider(), Call::Poll, plain.clone()).kind, plain);
    }
}
