//! A federation: opened, refreshed, freed.

use std::{ffi::c_char, path::Path, sync::Arc};

use fulcrum_core::{
    federation::{Federation, FederationConfig, FulcrumError},
    model::{OfferKind, ProviderId},
    provider::{Base, Provider},
};
use tokio::runtime::Runtime;

use crate::{
    call_thread::run_on_call_thread,
    error::{fulcrum_error, fulcrum_status},
    guard::{NO_OUTPUT, Outcome, borrow, free, guard_on_call_thread, guard_with_output, out, utf8},
    interrupt::Interrupts,
    metrics,
    process::{self, Process},
    runtime,
    signals::SignalsBlocked,
    task::Tasks,
    text::fulcrum_text,
};

/// Several providers as one market. Opaque; freed by fulcrum_federation_free(); shareable between threads.
#[derive(Debug)]
pub struct fulcrum_federation {
    /// Used through [`borrow_federation`] and [`share_federation`] only.
    market: Arc<OpenFederation>,
    process: Process,
}

impl fulcrum_federation {
    /// In any process, as a signal handler cannot ask which.
    pub(crate) fn interrupts(&self) -> &Interrupts {
        &self.market.interrupts
    }
}

/// What calls use.
#[derive(Debug)]
pub(crate) struct OpenFederation {
    pub(crate) inner: Arc<Federation>,
    pub(crate) runtime: Runtime,
    pub(crate) interrupts: Arc<Interrupts>,
    pub(crate) tasks: Tasks,
}

/// The federation of a handle; an error in a process that was forked since it was open_federation, which has none of its threads.
///
/// # Safety
/// As [`borrow`].
pub(crate) unsafe fn borrow_federation<'a>(
    federation: *const fulcrum_federation,
) -> Outcome<&'a OpenFederation> {
    // SAFETY: the caller's promise.
    let federation = unsafe { borrow(federation, "federation")? };
    match federation.process.is_current() {
        true => Ok(&federation.market),
        false => Err(federation.process.forked_error()),
    }
}

/// As [`borrow_federation`], for a task: [`fulcrum_federation_free`] ends it and waits for it.
///
/// # Safety
/// As [`borrow`].
pub(crate) unsafe fn share_federation(federation: *const fulcrum_federation) -> Outcome<Arc<OpenFederation>> {
    // SAFETY: the caller's promise.
    unsafe {
        borrow_federation(federation)?;
        Ok((*federation).market.clone())
    }
}

/// Opens a federation from a text that is not trusted. The federation reads and writes files below `base` only, and
/// sends each secret only to the public API that it is for. fulcrum_federation_open_with() can widen that;
/// fulcrum_federation_open_file() trusts its file.
///
/// @param config, config_length  borrowed; YAML or JSON: ledger, rates, providers.
/// @param base, base_length      borrowed; the folder that relative paths start from; empty for the working
///                               folder.
/// @param out_federation         receives a federation that the caller owns and frees with
///                               fulcrum_federation_free().
/// @param out_error              may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_federation_open(
    config: *const c_char,
    config_length: usize,
    base: *const c_char,
    base_length: usize,
    out_federation: *mut *mut fulcrum_federation,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL; the rest is the caller's promise above.
        let (config, base, out_federation) = unsafe {
            (
                utf8(config, config_length, "config")?,
                utf8(base, base_length, "base")?,
                out(out_federation, "out_federation")?,
            )
        };
        *out_federation = open_federation(config, "", base, Vec::new())?;
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_on_call_thread(out_federation, out_error, call) }
}

/// Opens a federation from a file of the operator's. The file is trusted: the federation may read, write and reach
/// whatever the file names. Relative paths start at the file's folder.
///
/// @param path, path_length  borrowed; the file's path in UTF-8.
/// @param out_federation     receives a federation that the caller owns and frees with
///                           fulcrum_federation_free().
/// @param out_error          may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_federation_open_file(
    path: *const c_char,
    path_length: usize,
    out_federation: *mut *mut fulcrum_federation,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL; the rest is the caller's promise above.
        let (path, out_federation) =
            unsafe { (utf8(path, path_length, "path")?, out(out_federation, "out_federation")?) };
        *out_federation = open_with_threads(Federation::open(Path::new(path)))?;
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_on_call_thread(out_federation, out_error, call) }
}

/// A federation from a text, with what that may reach, and with providers of the host's own.
pub(crate) fn open_federation(
    config: &str,
    reach: &str,
    base: &str,
    own: Vec<Arc<dyn Provider>>,
) -> Outcome<*mut fulcrum_federation> {
    let config = FederationConfig::from_yaml(config)?;
    let base = Base::from_json(base, reach)?;
    open_with_threads(config.open_within(&base, own))
}

/// Opens it with threads of its own.
fn open_with_threads<E: Into<FulcrumError>>(
    future: impl Future<Output = Result<Federation, E>>,
) -> Outcome<*mut fulcrum_federation> {
    process::register_fork_handlers();
    metrics::install();
    let runtime = runtime::start()?;
    let inner = Arc::new(runtime.block_on(future).map_err(|error| fulcrum_error::from(error.into()))?);
    let (interrupts, tasks) = (Arc::default(), Tasks::default());
    let market = Arc::new(OpenFederation { inner, runtime, interrupts, tasks });
    Ok(Box::into_raw(Box::new(fulcrum_federation { market, process: Process::current() })))
}

/// Asks all providers for their offers, and makes a new catalogue of them. A provider that fails leaves the others
/// usable.
///
/// @param federation  borrowed.
/// @param out_error   may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slot during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_federation_refresh(
    federation: *const fulcrum_federation,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helper rejects NULL; the rest is the caller's promise above.
        let federation = unsafe { borrow_federation(federation)? };
        federation.wait(federation.inner.refresh())?;
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_on_call_thread(NO_OUTPUT, out_error, call) }
}

/// Returns how each provider answered the last fulcrum_federation_refresh(): a JSON array of objects with
/// `provider`, `state` (fresh, stale or missing, the last two with the reason), `offers` and `listed_at`. The array
/// is empty before the first refresh.
///
/// @param federation  borrowed.
/// @param out_json    receives a text that the caller owns and frees with fulcrum_text_free().
/// @param out_error   may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_federation_sources_json(
    federation: *const fulcrum_federation,
    out_json: *mut *mut fulcrum_text,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL; the rest is the caller's promise above.
        let (federation, out_json) = unsafe { (borrow_federation(federation)?, out(out_json, "out_json")?) };
        let catalogue = federation.inner.catalogue();
        *out_json = fulcrum_text::boxed(serde_json::to_string(catalogue.sources()).unwrap_or_default());
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_with_output(out_json, out_error, call) }
}

/// Returns the JSON Schema of the settings that a provider takes with a kind of product: to draw a form from.
/// Sends nothing.
///
/// @param federation                 borrowed.
/// @param provider, provider_length  borrowed; its name.
/// @param kind, kind_length          borrowed; such as `machine` or `database`.
/// @param out_json                   receives a text that the caller owns and frees with fulcrum_text_free().
/// @param out_error                  may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_federation_settings_schema_json(
    federation: *const fulcrum_federation,
    provider: *const c_char,
    provider_length: usize,
    kind: *const c_char,
    kind_length: usize,
    out_json: *mut *mut fulcrum_text,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL; the rest is the caller's promise above.
        let (federation, provider, kind, out_json) = unsafe {
            (
                borrow_federation(federation)?,
                utf8(provider, provider_length, "provider")?,
                utf8(kind, kind_length, "kind")?,
                out(out_json, "out_json")?,
            )
        };
        let provider: ProviderId =
            provider.parse().map_err(|error| fulcrum_error::argument(&format!("provider: {error}")))?;
        let kind: OfferKind = kind.parse().map_err(|error: String| fulcrum_error::argument(&error))?;
        let schema = federation.inner.settings_schema(&provider, kind)?;
        *out_json = fulcrum_text::boxed(schema.to_string());
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_with_output(out_json, out_error, call) }
}

/// Frees a federation; NULL is fine. Orders under way stay in the ledger, and their callbacks get
/// FULCRUM_FEDERATION_ENDED, during this call or soon after it. The callback of a purchase may free its federation;
/// a provider's call must not, as it would wait for itself. Tasks that are not done end with FULCRUM_INTERRUPTED. In a process that has forked since the federation was
/// opened, this call returns at once and keeps the memory.
///
/// @param federation  given up by the caller.
///
/// # Safety
/// `federation` is NULL or was not freed yet, and no other call with it is under way.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_federation_free(federation: *mut fulcrum_federation) {
    if federation.is_null() {
        return;
    }
    // SAFETY: the caller's promise above.
    if !unsafe { (*federation).process }.is_current() {
        // The threads are the parent's: they would be waited for in vain.
        return;
    }
    let end = move || {
        // SAFETY: the caller's promise above; it is freed once.
        unsafe {
            let market = &(*federation).market;
            market.tasks.end(&market.interrupts);
            free(federation);
        }
    };
    let call = move || {
        end();
        Ok(())
    };
    // SAFETY: the handle belongs to no thread, and is given up.
    if unsafe { run_on_call_thread(call) }.is_err() {
        // No thread can be had, so that nothing was done.
        let blocked = SignalsBlocked::new();
        end();
        blocked.end();
    }
}
