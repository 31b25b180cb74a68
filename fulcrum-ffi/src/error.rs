//! Errors: a status number and a message.

use std::{
    any::Any,
    ffi::{CString, c_char},
    fmt::Display,
};

use fulcrum_core::{
    compose::ComposeError,
    federation::{ConfigError, FulcrumError},
    ledger::LedgerError,
    model::DocumentError,
    purchase::PurchaseError,
};

use crate::{error_details::Details, status};

/// 0 is success; other numbers keep their meaning for ever: 1xx a provider, 2xx a purchase, 3xx a composition, 4xx
/// configuration and documents, 5xx the ledger, 9xx this border.
pub type fulcrum_status = i32;

/// Success.
pub const FULCRUM_OK: fulcrum_status = 0;
/// A pointer is NULL that must not be, or text is not valid UTF-8.
pub const FULCRUM_INVALID_ARGUMENT: fulcrum_status = 901;
/// A fault of the library; nothing was unwound into the caller. Please report it.
pub const FULCRUM_PANIC: fulcrum_status = 902;
/// The federation was freed before an order ended; the order is in the ledger, and resume takes it up again.
pub const FULCRUM_FEDERATION_ENDED: fulcrum_status = 903;
/// The process was forked, and the federation is the parent's; open one in this process. Nothing was done.
pub const FULCRUM_FORKED: fulcrum_status = 904;
/// The system gives no further thread; nothing was done.
pub const FULCRUM_NO_THREAD: fulcrum_status = 905;
/// fulcrum_federation_interrupt() has ended the call. What was under way is in the ledger, and resume takes it up.
pub const FULCRUM_INTERRUPTED: fulcrum_status = 907;

/// What went wrong. Opaque; freed by fulcrum_error_free().
#[derive(Debug, Clone)]
pub struct fulcrum_error {
    pub(crate) code: fulcrum_status,
    pub(crate) message: CString,
    pub(crate) details: Box<Details>,
}

impl fulcrum_error {
    pub(crate) fn new(code: fulcrum_status, message: &str) -> Self {
        let without_nul: String = message.chars().filter(|c| *c != '\0').collect();
        Self { code, message: CString::new(without_nul).unwrap_or_default(), details: Box::default() }
    }

    /// A fault of the library, with what a panic carried.
    pub(crate) fn panic(panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        Self::new(FULCRUM_PANIC, &format!("a fault of the library, please report it: {text}"))
    }

    /// Nothing was done yet.
    pub(crate) fn no_thread(why: &dyn Display) -> Self {
        let message = format!(
            "no thread can be started ({why}); nothing was done. Raise the limit of threads (ulimit -u, the pids limit of the \
             container) or of memory, or end other threads"
        );
        Self::new(FULCRUM_NO_THREAD, &message)
    }

    /// Of a call that waited.
    pub(crate) fn interrupted() -> Self {
        let message =
            "the call was interrupted; an order that was under way is in the ledger, and resume takes it up";
        Self::new(FULCRUM_INTERRUPTED, message)
    }

    pub(crate) fn argument(message: &str) -> Self {
        Self::new(FULCRUM_INVALID_ARGUMENT, message)
    }
}

impl From<FulcrumError> for fulcrum_error {
    fn from(error: FulcrumError) -> Self {
        let details = Box::new(Details::new(&error));
        Self { details, ..Self::new(error.code(), &error.to_string()) }
    }
}

macro_rules! from_core_error {
    ($($error:ty),*) => {$(
        impl From<$error> for fulcrum_error {
            fn from(error: $error) -> Self {
                FulcrumError::from(error).into()
            }
        }
    )*};
}
from_core_error!(ComposeError, ConfigError, DocumentError, LedgerError, PurchaseError);

/// Returns the status of the failed call; FULCRUM_OK for NULL.
///
/// @param error  borrowed; may be NULL.
///
/// # Safety
/// `error` is NULL or an error that was not freed yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_error_code(error: *const fulcrum_error) -> fulcrum_status {
    // SAFETY: the caller's promise above.
    unsafe { error.as_ref() }.map_or(FULCRUM_OK, |error| error.code)
}

/// Returns what is wrong and what to do, in UTF-8 and ended by NUL. It belongs to the error; empty for NULL.
///
/// @param error  borrowed; may be NULL.
///
/// # Safety
/// `error` is NULL or an error that was not freed yet; the text is used no longer than the error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_error_message(error: *const fulcrum_error) -> *const c_char {
    // SAFETY: the caller's promise above.
    unsafe { error.as_ref() }.map_or(c"".as_ptr(), |error| error.message.as_ptr())
}

/// Returns the name of a status, such as "FULCRUM_OK". Static, never freed; empty for a number that this version
/// does not know.
///
/// @param status  any number.
#[unsafe(no_mangle)]
pub extern "C" fn fulcrum_status_name(status: fulcrum_status) -> *const c_char {
    let name = match status {
        FULCRUM_OK => Some(c"FULCRUM_OK"),
        FULCRUM_INVALID_ARGUMENT => Some(c"FULCRUM_INVALID_ARGUMENT"),
        FULCRUM_PANIC => Some(c"FULCRUM_PANIC"),
        FULCRUM_FEDERATION_ENDED => Some(c"FULCRUM_FEDERATION_ENDED"),
        FULCRUM_FORKED => Some(c"FULCRUM_FORKED"),
        FULCRUM_NO_THREAD => Some(c"FULCRUM_NO_THREAD"),
        FULCRUM_INTERRUPTED => Some(c"FULCRUM_INTERRUPTED"),
        other => status::name(other),
    };
    name.unwrap_or_default().as_ptr()
}

/// Frees an error; NULL is fine.
///
/// @param error  given up by the caller.
///
/// # Safety
/// `error` is NULL or an error that was not freed yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_error_free(error: *mut fulcrum_error) {
    // SAFETY: the caller's promise above.
    unsafe { crate::guard::free(error) };
}
