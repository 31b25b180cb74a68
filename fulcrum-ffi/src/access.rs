//! What opens a bought service.

use std::ffi::{CStr, CString, c_char};

use fulcrum_core::provider::Access;
use secrecy::zeroize::Zeroizing;

use crate::{
    error::{fulcrum_error, fulcrum_status},
    federation::{borrow_federation, fulcrum_federation},
    guard::{free, guard_on_call_thread, out, utf8},
    operate::order_id,
    text::c_text,
};

/// What opens a service: names such as `user` and `password`, and their values. Opaque; freed by fulcrum_access_free(), which
/// overwrites the values.
#[derive(Debug)]
pub struct fulcrum_access {
    names: Vec<CString>,
    values: Vec<Wiped>,
}

/// A value as C reads it, ended by NUL, whose memory is overwritten in the end.
struct Wiped(Zeroizing<Vec<u8>>);

impl Wiped {
    fn new(value: &str) -> Self {
        // The memory is not moved, as it is long enough from the start; a NUL inside, which nobody writes, is left out.
        let mut bytes = Zeroizing::new(Vec::with_capacity(value.len().saturating_add(1)));
        bytes.extend(value.bytes().filter(|byte| *byte != 0).chain([0]));
        Self(bytes)
    }
}

impl std::fmt::Debug for Wiped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(secret)")
    }
}

impl fulcrum_access {
    fn boxed(access: &Access) -> *mut Self {
        let (names, values) = access.exposed().map(|(name, value)| (c_text(name), Wiped::new(value))).unzip();
        Box::into_raw(Box::new(Self { names, values }))
    }
}

/// Tells what opens the service of a step, such as the user name and the password of a database. Nothing of it is recorded; it is
/// the same when it is asked for again.
///
/// @param federation     borrowed.
/// @param id, id_length  borrowed; the order's id, see fulcrum_order_id().
/// @param step           which of the order's steps, from 0.
/// @param out_access     receives what the caller owns and frees with fulcrum_access_free().
/// @param out_error      may be NULL; else NULL on success, or an error for fulcrum_error_free(): FULCRUM_PURCHASE where the step
///                       has no service.
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_federation_access(
    federation: *const fulcrum_federation,
    id: *const c_char,
    id_length: usize,
    step: u32,
    out_access: *mut *mut fulcrum_access,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL; the rest is the caller's promise above.
        let (federation, id, out_access) = unsafe {
            (borrow_federation(federation)?, utf8(id, id_length, "id")?, out(out_access, "out_access")?)
        };
        let order = order_id(id)?;
        *out_access = fulcrum_access::boxed(&federation.wait(federation.inner.access(&order, step))??);
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_on_call_thread(out_access, out_error, call) }
}

/// Returns how many values there are; 0 for NULL.
///
/// @param access  borrowed; may be NULL.
///
/// # Safety
/// `access` is NULL or was not freed yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_access_count(access: *const fulcrum_access) -> usize {
    // SAFETY: the caller's promise above.
    unsafe { access.as_ref() }.map_or(0, |access| access.names.len())
}

/// Returns the name of a value; they are in alphabetical order. It belongs to `access`; NULL beyond the last.
///
/// @param access  borrowed; may be NULL.
/// @param index   from 0.
///
/// # Safety
/// `access` is NULL or was not freed yet; the result is used no longer than it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_access_name(access: *const fulcrum_access, index: usize) -> *const c_char {
    // SAFETY: the caller's promise above.
    let access = unsafe { access.as_ref() };
    access.and_then(|access| access.names.get(index)).map_or(std::ptr::null(), |name| name.as_ptr())
}

/// Returns the value of a name, which the caller keeps from logs and files. It belongs to `access`; NULL if there is none.
///
/// @param access  borrowed; may be NULL.
/// @param name    borrowed; ended by NUL; may be NULL.
///
/// # Safety
/// `access` is NULL or was not freed yet; `name` is NULL or ends with NUL; the result is used no longer than `access`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_access_value(
    access: *const fulcrum_access,
    name: *const c_char,
) -> *const c_char {
    if name.is_null() {
        return std::ptr::null();
    }
    // SAFETY: the caller's promise above.
    let (access, name) = unsafe { (access.as_ref(), CStr::from_ptr(name)) };
    let value = access.and_then(|access| {
        let at = access.names.iter().position(|own| own.as_c_str() == name)?;
        access.values.get(at)
    });
    value.map_or(std::ptr::null(), |value| value.0.as_ptr().cast())
}

/// Frees what opens a service, and overwrites its values; NULL is fine.
///
/// @param access  given up by the caller.
///
/// # Safety
/// `access` is NULL or was not freed yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_access_free(access: *mut fulcrum_access) {
    // SAFETY: the caller's promise above.
    unsafe { free(access) };
}
