//! The circumstances of an error: who failed and at what, and why nothing fits.

use std::{
    ffi::{CString, c_char},
    time::Duration,
};

use fulcrum_core::{
    compose::InfeasibleSet,
    federation::FulcrumError,
    provider::{ErrorKind, ProviderError},
};
use serde::Serialize;

use crate::{
    amount::{Amount, fulcrum_amount},
    error::{fulcrum_error, fulcrum_status, fulcrum_status_name},
    guard::{borrow, fill_struct, guard, guard_with_output, item_at, out},
    text::{as_ptr, c_text, fulcrum_text},
};

/// What a [`fulcrum_error_details`] is lent from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Details {
    provider: Option<CString>,
    call: Option<CString>,
    request_id: Option<CString>,
    hint: Option<CString>,
    conditions: Vec<CString>,
    ways_out: Vec<(CString, Amount, bool)>,
    retry_after_ms: u64,
    is_retryable: bool,
    may_have_happened: bool,
    is_minimal: bool,
    /// For JSON.
    infeasible: Option<InfeasibleSet>,
}

fn retry_after(kind: &ErrorKind) -> Option<Duration> {
    match kind {
        ErrorKind::RateLimited { retry_after } | ErrorKind::Unavailable { retry_after, .. } => *retry_after,
        _ => None,
    }
}

impl Details {
    pub(crate) fn new(error: &FulcrumError) -> Self {
        let (failed, set) = (error.failed_call(), error.infeasible_set());
        let wait = failed.and_then(|failed| retry_after(&failed.kind)).unwrap_or_default();
        let way_out = |way: &fulcrum_core::compose::WayOut| {
            (c_text(&way.condition), Amount::new(way.objective), way.is_proven)
        };
        Self {
            provider: error.provider().map(|provider| c_text(provider.as_str())),
            call: failed.map(|failed| c_text(failed.call.word())),
            request_id: failed.and_then(|failed| failed.request_id.as_deref()).map(c_text),
            hint: set.and_then(|set| set.hint.as_deref()).map(c_text),
            conditions: set
                .map(|set| set.conditions.iter().map(|text| c_text(text)).collect())
                .unwrap_or_default(),
            ways_out: set.map(|set| set.ways_out.iter().map(way_out).collect()).unwrap_or_default(),
            retry_after_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
            is_retryable: failed.is_some_and(ProviderError::is_retryable),
            may_have_happened: failed.is_some_and(|failed| failed.kind.may_have_happened()),
            is_minimal: set.is_some_and(|set| set.is_minimal),
            infeasible: set.cloned(),
        }
    }
}

/// The circumstances of an error. Set `size` to sizeof(fulcrum_error_details) before it is read. Text belongs to the error and
/// lives as long as that. Later versions append members and know the older sizes.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct fulcrum_error_details {
    /// sizeof(fulcrum_error_details) as the caller knows it.
    pub size: usize,
    /// The provider that it is about, borrowed from the error; NULL if it is about none.
    pub provider: *const c_char,
    /// What the provider was asked for, such as "provision", borrowed from the error; NULL if it was asked for nothing.
    pub call: *const c_char,
    /// The provider's name for the request, for its support, borrowed from the error; NULL if it gave none.
    pub request_id: *const c_char,
    /// Why nothing fits, or what the cheapest plan costs beside the budget, borrowed from the error; NULL if that is not said.
    pub hint: *const c_char,
    /// Conditions of the blueprint that no plan meets together, for fulcrum_error_condition(). FULCRUM_COMPOSE_INFEASIBLE has
    /// them, unless the cause is another one: see `hint`.
    pub condition_count: usize,
    /// Single conditions without which there is a plan, the best first, for fulcrum_error_read_way_out().
    pub way_out_count: usize,
    /// How long the provider asks to wait, in milliseconds; 0 if it does not say.
    pub retry_after_ms: u64,
    /// Whether the same call may simply be made again.
    pub is_retryable: bool,
    /// Whether the provider may have done what it was asked for, all the same.
    pub may_have_happened: bool,
    /// Whether each of the conditions was shown to be necessary. False if the search was stopped early: then it may be enough to
    /// give up others.
    pub is_minimal: bool,
}

/// A way out of conditions that no plan meets. Set `size` to sizeof(fulcrum_way_out) before it is read. Text belongs to the error
/// and lives as long as that. Later versions append members and know the older sizes.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct fulcrum_way_out {
    /// sizeof(fulcrum_way_out) as the caller knows it.
    pub size: usize,
    /// The condition to give up, as fulcrum_error_condition() has it; borrowed from the error.
    pub condition: *const c_char,
    /// What the best plan without it comes to, in the blueprint's currency a month if cost is its objective.
    pub objective: fulcrum_amount,
    /// Whether that plan is proven to be the best.
    pub is_proven: bool,
}

/// The JSON of an error.
#[derive(Serialize)]
struct Document<'a> {
    code: fulcrum_status,
    name: &'a str,
    message: &'a str,
    provider: Option<&'a str>,
    call: Option<&'a str>,
    request_id: Option<&'a str>,
    retry_after_ms: u64,
    is_retryable: bool,
    may_have_happened: bool,
    infeasible: Option<&'a InfeasibleSet>,
}

/// Reads the circumstances of an error.
///
/// @param error        borrowed; owns the text.
/// @param out_details  the caller's, with its `size` set; filled on success, else as it was.
/// @param out_error    may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call, `out_details` for `size` bytes; no other thread uses the outputs during it; the text is used
/// no longer than the error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_error_read(
    error: *const fulcrum_error,
    out_details: *mut fulcrum_error_details,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helper rejects NULL; the rest is the caller's promise above.
        let details = unsafe { &borrow(error, "error")?.details };
        let value = fulcrum_error_details {
            size: size_of::<fulcrum_error_details>(),
            provider: as_ptr(details.provider.as_ref()),
            call: as_ptr(details.call.as_ref()),
            request_id: as_ptr(details.request_id.as_ref()),
            hint: as_ptr(details.hint.as_ref()),
            condition_count: details.conditions.len(),
            way_out_count: details.ways_out.len(),
            retry_after_ms: details.retry_after_ms,
            is_retryable: details.is_retryable,
            may_have_happened: details.may_have_happened,
            is_minimal: details.is_minimal,
        };
        // SAFETY: the caller's promise above.
        unsafe { fill_struct(out_details, value, "out_details") }
    };
    // SAFETY: the caller's promise above.
    unsafe { guard(out_error, call) }
}

/// Returns one of the conditions that no plan meets together: where it stands in the blueprint, and what it says. It belongs to
/// the error; NULL beyond the last.
///
/// @param error  borrowed; may be NULL.
/// @param index  from 0, below `condition_count` of fulcrum_error_read().
///
/// # Safety
/// `error` is NULL or an error that was not freed yet; the text is used no longer than the error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_error_condition(error: *const fulcrum_error, index: usize) -> *const c_char {
    // SAFETY: the caller's promise above.
    let error = unsafe { error.as_ref() };
    as_ptr(error.and_then(|error| error.details.conditions.get(index)))
}

/// Reads one of the ways out: a condition, and what the best plan without it costs.
///
/// @param error        borrowed; owns the text.
/// @param index        from 0, below `way_out_count` of fulcrum_error_read().
/// @param out_way_out  the caller's, with its `size` set; filled on success, else as it was.
/// @param out_error    may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call, `out_way_out` for `size` bytes; no other thread uses the outputs during it; the text is used
/// no longer than the error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_error_read_way_out(
    error: *const fulcrum_error,
    index: usize,
    out_way_out: *mut fulcrum_way_out,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helper rejects NULL; the rest is the caller's promise above.
        let details = unsafe { &borrow(error, "error")?.details };
        let (condition, objective, is_proven) = item_at(&details.ways_out, index, "index")?;
        let value = fulcrum_way_out {
            size: size_of::<fulcrum_way_out>(),
            condition: condition.as_ptr(),
            objective: objective.as_ptr(),
            is_proven: *is_proven,
        };
        // SAFETY: the caller's promise above.
        unsafe { fill_struct(out_way_out, value, "out_way_out") }
    };
    // SAFETY: the caller's promise above.
    unsafe { guard(out_error, call) }
}

/// Returns an error with its circumstances as a JSON object: `code`, `name`, `message`, `provider`, `call`, `request_id`,
/// `retry_after_ms`, `is_retryable`, `may_have_happened`, and `infeasible` with `conditions`, `is_minimal`, `hint` and
/// `relaxations` (the ways out).
///
/// @param error      borrowed.
/// @param out_json   receives a text that the caller owns and frees with fulcrum_text_free().
/// @param out_error  may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_error_json(
    error: *const fulcrum_error,
    out_json: *mut *mut fulcrum_text,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL; the rest is the caller's promise above.
        let (error, out_json) = unsafe { (borrow(error, "error")?, out(out_json, "out_json")?) };
        let details = &error.details;
        let text =
            |text: &Option<CString>| text.as_ref().and_then(|text| text.to_str().ok().map(str::to_owned));
        let (provider, call, request_id) =
            (text(&details.provider), text(&details.call), text(&details.request_id));
        // SAFETY: a static text, ended by NUL.
        let name = unsafe { std::ffi::CStr::from_ptr(fulcrum_status_name(error.code)) };
        let document = Document {
            code: error.code,
            name: name.to_str().unwrap_or_default(),
            message: error.message.to_str().unwrap_or_default(),
            provider: provider.as_deref(),
            call: call.as_deref(),
            request_id: request_id.as_deref(),
            retry_after_ms: details.retry_after_ms,
            is_retryable: details.is_retryable,
            may_have_happened: details.may_have_happened,
            infeasible: details.infeasible.as_ref(),
        };
        *out_json = fulcrum_text::boxed(serde_json::to_string(&document).unwrap_or_default());
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_with_output(out_json, out_error, call) }
}
