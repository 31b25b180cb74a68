//! Errors of provider calls: a closed set of kinds that callers act on, with the circumstances.

use std::{fmt, time::Duration};

use super::single_line;
use crate::model::{ProviderId, ServiceId, SkuId};

/// The outcome of a provider call.
pub type Result<T, E = ProviderError> = std::result::Result<T, E>;

/// The cause of an error, for logs.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A call to a provider failed.
#[derive(Debug, thiserror::Error)]
#[error("{provider}: {call} failed: {kind}{}{}", cause_text(.kind, .source), exists_text(.exists))]
pub struct ProviderError {
    /// The provider.
    pub provider: ProviderId,
    /// The call.
    pub call: Call,
    /// The kind, by which a caller decides.
    pub kind: ErrorKind,
    /// The provider's request id, for its support.
    pub request_id: Option<String>,
    /// Services that exist in spite of the error, and may cost money.
    pub exists: Box<[ServiceId]>,
    /// The cause, for logs; without bodies and secrets.
    pub source: Option<BoxError>,
}

/// The cause of a failed call as a message that may be shown: without bodies and secrets.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ErrorContext {
    message: String,
    #[source]
    source: Option<BoxError>,
}

impl ErrorContext {
    /// A message without a source.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: error_text(message), source: None }
    }

    /// A message for an error, which becomes its source.
    pub fn wrap(message: impl Into<String>, source: impl Into<BoxError>) -> Self {
        Self { message: error_text(message), source: Some(source.into()) }
    }
}

fn error_text(text: impl Into<String>) -> String {
    single_line(&text.into(), ErrorKind::MAX_MESSAGE_CHARS)
}

/// The cause in parentheses, unless the kind has its own message.
fn cause_text(kind: &ErrorKind, source: &Option<BoxError>) -> String {
    let context = source.as_ref().filter(|_| !kind.has_message());
    let context = context.and_then(|source| source.downcast_ref::<ErrorContext>());
    context.map(|it| format!(" ({})", it.message)).unwrap_or_default()
}

fn exists_text(exists: &[ServiceId]) -> String {
    if exists.is_empty() {
        return String::new();
    }
    let names: Vec<_> = exists.iter().map(ServiceId::as_str).collect();
    format!("; these exist: {}", names.join(", "))
}

impl ProviderError {
    /// An error without circumstances; add these by the `with_` methods. Texts of the kind, such as the handle of an operation,
    /// are put on one line and truncated.
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

    /// Adds services that exist.
    #[must_use]
    pub fn with_existing(self, exists: Vec<ServiceId>) -> Self {
        Self { exists: exists.into(), ..self }
    }

    /// The error for a part of an operation, such as a disk. A part that is unknown or refused becomes a conflict: the
    /// operation itself is still known, and only its handle knows the part.
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

    /// A copy with each text replaced.
    pub(crate) fn with_texts(self, make: impl Fn(String) -> String) -> Self {
        let source = self.source.map(|source| match source.downcast::<ErrorContext>() {
            Ok(context) => ErrorContext { message: make(context.message), source: context.source }.into(),
            Err(other) => other,
        });
        let request_id = self.request_id.map(&make);
        Self { kind: self.kind.with_texts(&make), source, request_id, ..self }
    }

    /// Whether the call may be repeated without a look-up; see [`ErrorKind::is_retryable`].
    pub fn is_retryable(&self) -> bool {
        self.kind.is_retryable()
    }

    /// The message of kind and cause, for an order's reason.
    pub fn words(&self) -> String {
        format!("{}{}", self.kind, cause_text(&self.kind, &self.source))
    }
}

/// A method of [`Provider`](super::Provider).
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
    /// `dry_run`.
    DryRun,
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
    /// `access`.
    Access,
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
            Self::DryRun => "dry_run",
            Self::Reserve => "reserve",
            Self::Unreserve => "unreserve",
            Self::Provision => "provision",
            Self::ResumeOperation => "resume_operation",
            Self::FindByKey => "find_by_key",
            Self::Describe => "describe",
            Self::Services => "services",
            Self::Act => "act",
            Self::Access => "access",
            Self::Release => "release",
            Self::Poll => "poll",
            Self::Usage => "usage",
        }
    }

    /// Whether the call may change services or costs. Reservations end by themselves and do not count.
    pub fn is_mutation(self) -> bool {
        match self {
            Self::Provision | Self::Act | Self::Release => true,
            Self::Offers
            | Self::Quote
            | Self::DryRun
            | Self::Reserve
            | Self::Unreserve
            | Self::ResumeOperation
            | Self::FindByKey
            | Self::Describe
            | Self::Services
            | Self::Access
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

/// The kind of a failed call, by which a caller decides.
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
    /// The named resource does not exist.
    #[error("{what} does not exist; refresh the catalogue, or reconcile the order")]
    NotFound {
        /// The SKU, service or operation that was named.
        what: String,
    },
    /// The resource's state does not allow this now.
    #[error("conflicts with the present state: {message}")]
    Conflict {
        /// The conflicting state.
        message: String,
    },
    /// The account's quota is used up.
    #[error("over the quota of {quota}; ask the provider for more, or compose again without it")]
    QuotaExceeded {
        /// Of what.
        quota: String,
    },
    /// The SKU is sold out.
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
    /// The provider cannot serve now; the call had no effect.
    #[error("the provider is not available{}; try again later", because(.cause))]
    Unavailable {
        /// How long the provider asks to wait.
        retry_after: Option<Duration>,
        /// The cause and the remedy; empty if unknown.
        cause: String,
    },
    /// Nothing was sent.
    #[error("could not connect; nothing was sent{}", because(.cause))]
    NotSent {
        /// The cause and the remedy; empty if unknown.
        cause: String,
    },
    /// The call may have had its effect.
    #[error("sent, outcome unknown; look the idempotency key up first")]
    Ambiguous,
    /// The response breaks the provider's API.
    #[error("the provider's response breaks its API: {message}")]
    Protocol {
        /// The violation; at most a redacted excerpt.
        message: String,
    },
    /// The provider does not support the call.
    #[error("this provider cannot do that; see its capabilities")]
    Unsupported,
}

/// `: cause`, or nothing.
fn because(cause: &str) -> String {
    if cause.is_empty() { String::new() } else { format!(": {cause}") }
}

impl ErrorKind {
    /// [`Unavailable`](Self::Unavailable) with a cause.
    pub fn unavailable(cause: impl Into<String>) -> Self {
        Self::Unavailable { retry_after: None, cause: cause.into() }
    }

    /// [`NotSent`](Self::NotSent) with a cause.
    pub fn not_sent(cause: impl Into<String>) -> Self {
        Self::NotSent { cause: cause.into() }
    }

    /// A release is refused: parts that the purchase did not create are attached to the service.
    pub fn attached(service: impl fmt::Display, parts: &[String]) -> Self {
        let (parts, which) = match parts {
            [part] => (part.clone(), "which its purchase did not make; detach it"),
            parts => (parts.join(", "), "which its purchase did not make; detach them"),
        };
        Self::Conflict {
            message: format!("{service} has {parts}, {which}, or end it yourself, and try again"),
        }
    }

    /// A part of a purchase cannot be ended: it is attached to resources that the purchase did not create.
    pub fn attached_to(part: impl fmt::Display, holders: &[String]) -> Self {
        let holders = holders.join(", ");
        Self::Conflict {
            message: format!(
                "{part} hangs on {holders}, which its purchase did not make; detach it, or end it yourself, and try again"
            ),
        }
    }

    /// Characters of one text that are kept.
    pub(crate) const MAX_MESSAGE_CHARS: usize = 2_000;

    /// A copy with texts on one line, without invisible characters, and truncated.
    fn on_one_line(self) -> Self {
        self.with_texts(&|text: String| match text.len() <= Self::MAX_MESSAGE_CHARS
            && !text.chars().any(crate::model::is_hidden)
        {
            true => text,
            false => single_line(&text, Self::MAX_MESSAGE_CHARS),
        })
    }

    /// A copy with each text replaced. No `_` arm: a new kind must decide.
    pub(crate) fn with_texts(self, make: &impl Fn(String) -> String) -> Self {
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

    /// The longest wait that a provider may ask for: meanwhile, the order's other services cost money.
    pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(300);

    /// Whether the call may be repeated without a look-up. No `_` arm: a new kind must decide.
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

    /// Whether the kind carries its own message. No `_` arm: a new kind must decide.
    pub(crate) fn has_message(&self) -> bool {
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

    /// Whether the call may have had its effect. Then a look-up comes before a repetition.
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

    /// The kind's code, for labels and JSON.
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

    /// The stable number of the kind, for the C status and the Python exception.
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
