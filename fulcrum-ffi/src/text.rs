//! Text that the library returns.

use std::ffi::{CStr, CString, c_char};

use crate::guard::free;

/// UTF-8 text, ended by NUL. Opaque; freed by fulcrum_text_free().
#[derive(Debug)]
pub struct fulcrum_text {
    inner: CString,
}

impl fulcrum_text {
    pub(crate) fn boxed(text: String) -> *mut Self {
        // JSON writes a NUL inside a string as an escape, so that none is here.
        Box::into_raw(Box::new(Self { inner: CString::new(text).unwrap_or_default() }))
    }

    pub(crate) fn from_c(inner: CString) -> *mut Self {
        Box::into_raw(Box::new(Self { inner }))
    }
}

/// Text as C reads it; a NUL inside, which nobody writes, is left out.
pub(crate) fn c_text(text: &str) -> CString {
    CString::new(text.replace('\0', "")).unwrap_or_default()
}

/// The pointer to as_ptr, NULL for none.
pub(crate) fn as_ptr(text: Option<&CString>) -> *const c_char {
    text.map_or(std::ptr::null(), |text| text.as_ptr())
}

/// Returns the text, ended by NUL. It belongs to `text`; empty for NULL.
///
/// @param text  borrowed; may be NULL.
///
/// # Safety
/// `text` is NULL or was not freed yet; the result is used no longer than it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_text_data(text: *const fulcrum_text) -> *const c_char {
    // SAFETY: the caller's promise above.
    unsafe { text.as_ref() }.map_or(c"".as_ptr(), |text| text.inner.as_ptr())
}

/// Returns the length of a text in bytes, without the NUL; 0 for NULL.
///
/// @param text  borrowed; may be NULL.
///
/// # Safety
/// `text` is NULL or was not freed yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_text_length(text: *const fulcrum_text) -> usize {
    // SAFETY: the caller's promise above.
    unsafe { text.as_ref() }.map_or(0, |text| text.inner.as_bytes().len())
}

/// Frees a text; NULL is fine.
///
/// @param text  given up by the caller.
///
/// # Safety
/// `text` is NULL or was not freed yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_text_free(text: *mut fulcrum_text) {
    // SAFETY: the caller's promise above.
    unsafe { free(text) };
}

const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(version) => version,
    Err(_) => c"",
};

/// The library's version, such as "0.1.0". Static; never freed.
#[unsafe(no_mangle)]
pub extern "C" fn fulcrum_version() -> *const c_char {
    VERSION.as_ptr()
}
