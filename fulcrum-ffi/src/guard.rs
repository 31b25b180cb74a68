//! The frame of every entry point: checks pointers, catches panics, fills the error slot.

use std::{
    ffi::{CStr, c_char},
    panic::{AssertUnwindSafe, catch_unwind},
};

use crate::{
    call_thread::run_on_call_thread,
    error::{FULCRUM_OK, fulcrum_error, fulcrum_status},
    thread_cancellation::CancellationDisabled,
};

pub(crate) type Outcome<T> = Result<T, fulcrum_error>;

/// Runs a call; a failure or a panic becomes a status, and an error object if the caller wants one.
///
/// # Safety
/// `out_error` is NULL or may be written.
pub(crate) unsafe fn guard(
    out_error: *mut *mut fulcrum_error,
    call: impl FnOnce() -> Outcome<()>,
) -> fulcrum_status {
    let not_cancelled = CancellationDisabled::new();
    let outcome =
        catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| Err(fulcrum_error::panic(&*panic)));
    drop(not_cancelled);
    let (status, error) = match outcome {
        Ok(()) => (FULCRUM_OK, std::ptr::null_mut()),
        Err(error) => (error.code, Box::into_raw(Box::new(error))),
    };
    if out_error.is_null() {
        // SAFETY: made above and given to nobody.
        unsafe { free(error) };
    } else {
        // SAFETY: the caller's promise.
        unsafe { *out_error = error };
    }
    status
}

/// As [`guard`], for a call with an output. `target` is NULL on every failure, also of the checks before the call.
///
/// # Safety
/// As [`guard`], and `target` is NULL or may be written.
pub(crate) unsafe fn guard_with_output<T>(
    target: *mut *mut T,
    out_error: *mut *mut fulcrum_error,
    call: impl FnOnce() -> Outcome<()>,
) -> fulcrum_status {
    // SAFETY: the caller's promise.
    let _ = unsafe { optional_out(target) };
    // SAFETY: the caller's promise.
    unsafe { guard(out_error, call) }
}

/// For calls without an output.
pub(crate) const NO_OUTPUT: *mut *mut fulcrum_error = std::ptr::null_mut();

/// As [`guard_with_output`], on a thread of the library: for calls that wait, compute, or read a document.
///
/// # Safety
/// As [`guard`], and `target`, where the call puts what it makes, is NULL or may be written; for `call` see [`run_on_call_thread`].
pub(crate) unsafe fn guard_on_call_thread<T>(
    target: *mut *mut T,
    out_error: *mut *mut fulcrum_error,
    call: impl FnOnce() -> Outcome<()>,
) -> fulcrum_status {
    // SAFETY: the caller's promise. A call that cannot be made has made nothing.
    let _ = unsafe { optional_out(target) };
    // SAFETY: the caller's promise.
    unsafe { guard(out_error, || run_on_call_thread(call)) }
}

/// # Safety
/// The pointer is NULL or points to a live value for as long as the result is used.
pub(crate) unsafe fn borrow<'a, T>(pointer: *const T, name: &str) -> Outcome<&'a T> {
    // SAFETY: the caller's promise.
    unsafe { pointer.as_ref() }.ok_or_else(|| fulcrum_error::argument(&format!("{name} is NULL")))
}

/// An output slot, set to NULL.
///
/// # Safety
/// The pointer is NULL or may be written for as long as the result is used.
pub(crate) unsafe fn out<'a, T>(pointer: *mut *mut T, name: &str) -> Outcome<&'a mut *mut T> {
    // SAFETY: the caller's promise.
    let slot =
        unsafe { pointer.as_mut() }.ok_or_else(|| fulcrum_error::argument(&format!("{name} is NULL")))?;
    *slot = std::ptr::null_mut();
    Ok(slot)
}

/// An output slot that the caller may leave out, set to NULL.
///
/// # Safety
/// As [`out`].
pub(crate) unsafe fn optional_out<'a, T>(pointer: *mut *mut T) -> Option<&'a mut *mut T> {
    // SAFETY: the caller's promise.
    let slot = unsafe { pointer.as_mut() }?;
    *slot = std::ptr::null_mut();
    Some(slot)
}

/// Larger than any structure of this library: a `size` beyond it was never set.
const MAX_STRUCT_BYTES: usize = 4096;

/// Fills a structure of the caller's, which begins with its size. What a later version has behind it becomes zero.
///
/// # Safety
/// The pointer is NULL, or its first member may be read and as many bytes as that says may be written; `T` is `repr(C)`
/// and begins with a `usize`.
pub(crate) unsafe fn fill_struct<T: Copy>(target: *mut T, value: T, name: &str) -> Outcome<()> {
    if target.is_null() {
        return Err(fulcrum_error::argument(&format!("{name} is NULL")));
    }
    let own = size_of::<T>();
    // SAFETY: the caller's promise.
    let size = unsafe { target.cast::<usize>().read() };
    if !(own..=MAX_STRUCT_BYTES).contains(&size) {
        let message = format!("{name}->size is {size}; set it to the sizeof of its type, here {own}");
        return Err(fulcrum_error::argument(&message));
    }
    // SAFETY: `size` bytes may be written, which are `own` or more.
    unsafe {
        target.write(value);
        target.cast::<u8>().add(own).write_bytes(0, size - own);
        target.cast::<usize>().write(size);
    }
    Ok(())
}

/// An item by its number.
pub(crate) fn item_at<'a, T>(items: &'a [T], index: usize, name: &str) -> Outcome<&'a T> {
    items.get(index).ok_or_else(|| {
        fulcrum_error::argument(&format!("{name} is {index}, and there are {}, counted from 0", items.len()))
    })
}

/// The length of a text that ends with NUL, for hosts that have no other.
const NUL_TERMINATED: usize = usize::MAX;

/// Text of the caller's; NULL is none. A length that was forgotten must not be taken for that.
///
/// # Safety
/// The pointer is NULL with length 0, or points to that many bytes for as long as the result is used; with the length
/// FULCRUM_NUL_TERMINATED, to text that ends with NUL.
pub(crate) unsafe fn utf8<'a>(pointer: *const c_char, length: usize, name: &str) -> Outcome<&'a str> {
    if length == 0 {
        let is_none = pointer.is_null();
        let forgotten = || {
            fulcrum_error::argument(&format!(
                "{name} has the length 0; set its length, or write NULL for none"
            ))
        };
        return is_none.then_some("").ok_or_else(forgotten);
    }
    if length == NUL_TERMINATED && pointer.is_null() {
        return Ok("");
    }
    if pointer.is_null() || (length > isize::MAX as usize && length != NUL_TERMINATED) {
        return Err(fulcrum_error::argument(&format!("{name} is NULL, or its length is above PTRDIFF_MAX")));
    }
    // SAFETY: not NULL, and the caller's promise.
    let bytes = unsafe {
        match length {
            NUL_TERMINATED => CStr::from_ptr(pointer).to_bytes(),
            length => std::slice::from_raw_parts(pointer.cast::<u8>(), length),
        }
    };
    std::str::from_utf8(bytes)
        .map_err(|error| fulcrum_error::argument(&format!("{name} is not valid UTF-8: {error}")))
}

/// # Safety
/// The pointer is NULL, or came from `Box::into_raw` and was not freed yet.
pub(crate) unsafe fn free<T>(pointer: *mut T) {
    if !pointer.is_null() {
        // SAFETY: the caller's promise. A panic in a destructor must not leave this library.
        let owned = unsafe { Box::from_raw(pointer) };
        let _ = catch_unwind(AssertUnwindSafe(|| drop(owned)));
    }
}
