//! Composition, with a timeout, a progress callback and excluded offers.

use std::{
    collections::BTreeSet,
    ffi::{c_char, c_void},
    mem::{MaybeUninit, offset_of},
    num::NonZeroUsize,
    time::{Duration, Instant},
};

use fulcrum_core::{
    compose::{ComposeOptions, Progress, Signal},
    model::{Blueprint, OfferId, OfferMode, ProviderId, parse_json, to_micros},
};

use rust_decimal::Decimal;

use crate::{
    call_thread::HostCallback,
    error::{fulcrum_error, fulcrum_status},
    federation::{OpenFederation, borrow_federation, fulcrum_federation},
    guard::{Outcome, guard_on_call_thread, out, utf8},
    plan::fulcrum_plan,
    task,
};

/// Options of a composition. Set `size` to sizeof(fulcrum_compose_options) and the rest to zero where nothing
/// special is wanted: FULCRUM_COMPOSE_OPTIONS_INIT does. Later versions append fields and know the older sizes.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct fulcrum_compose_options {
    /// sizeof(fulcrum_compose_options) as the caller knows it.
    pub size: usize,
    /// Milliseconds after which the best plan so far is returned; 0 for no limit.
    pub timeout_ms: u64,
    /// Nodes of the search tree after which the best plan so far is returned, the same on every machine; 0 for no limit.
    pub max_nodes: u64,
    /// Borrowed; a JSON array of offer ids to exclude, such as the result of fulcrum_order_sold_out_json(); or NULL.
    pub exclude: *const c_char,
    /// Bytes of `exclude`.
    pub exclude_length: usize,
    /// May be NULL; called from time to time on the calling thread.
    pub progress: fulcrum_progress_callback,
    /// Passed to `progress`; may be NULL.
    pub userdata: *mut c_void,
    /// Threads that search, up to 64; 0 counts as 1. The same number gives the same plan each time.
    pub threads: u32,
    /// The gap to the best plan that is good enough, in hundredths of a per cent; 0 for the best plan.
    pub gap_basis_points: u32,
    /// Borrowed; a JSON array of providers to exclude; or NULL.
    pub exclude_providers: *const c_char,
    /// Bytes of `exclude_providers`.
    pub exclude_providers_length: usize,
    /// Which offers may be used: FULCRUM_OFFERS_ORDERABLE, FULCRUM_OFFERS_ALL, or 0: those that can be ordered, if any configured
    /// provider sells at all.
    pub offers: u32,
}

/// Of fulcrum_compose_options: only offers that their provider sells here.
pub const FULCRUM_OFFERS_ORDERABLE: u32 = 1;
/// Of fulcrum_compose_options: the offers of comparison tables too. Such a plan may not be purchasable.
pub const FULCRUM_OFFERS_ALL: u32 = 2;

/// The progress of a search; micro-units (1/1,000,000) of the blueprint's currency per month.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct fulcrum_progress {
    /// sizeof(fulcrum_progress) as the library knows it.
    pub size: usize,
    /// Cost of the best plan so far; -1 if there is none yet.
    pub incumbent_micros: i64,
    /// The proven lower bound on the cost of every plan; -1 if unknown.
    pub bound_micros: i64,
    /// Nodes of the search tree that are done.
    pub nodes: u64,
}

/// Returns whether the search goes on; if not, the best plan so far is returned.
pub type fulcrum_progress_callback =
    Option<unsafe extern "C" fn(userdata: *mut c_void, progress: *const fulcrum_progress) -> bool>;

/// Composes the cheapest plan for a blueprint over the present catalogue.
///
/// @param federation                   borrowed.
/// @param blueprint, blueprint_length  borrowed; YAML or JSON.
/// @param options                      borrowed; NULL for the usual ones.
/// @param out_plan                     receives a plan that the caller owns and frees with
///                                     fulcrum_plan_free().
/// @param out_error                    may be NULL; else NULL on success, or an error for
///                                     fulcrum_error_free(): what clashes.
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it; the callback does not unwind.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_federation_compose(
    federation: *const fulcrum_federation,
    blueprint: *const c_char,
    blueprint_length: usize,
    options: *const fulcrum_compose_options,
    out_plan: *mut *mut fulcrum_plan,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL; the rest is the caller's promise above.
        let (federation, blueprint, out_plan) = unsafe {
            (
                borrow_federation(federation)?,
                utf8(blueprint, blueprint_length, "blueprint")?,
                out(out_plan, "out_plan")?,
            )
        };
        // SAFETY: the caller's promise above.
        let search = unsafe { ComposeCall::read(options, federation)? };
        let blueprint = Blueprint::from_yaml(blueprint)?;
        let plan = federation
            .inner
            .compose_with(&blueprint, &search.options, &mut |progress| search.poll_progress(progress))?;
        *out_plan = fulcrum_plan::boxed(plan);
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_on_call_thread(out_plan, out_error, call) }
}

/// The options as the library uses them. The time runs from when they were read.
#[derive(Debug)]
pub(crate) struct SearchOptions {
    options: ComposeOptions,
    end: Option<Instant>,
    progress: fulcrum_progress_callback,
    userdata: *mut c_void,
}

impl SearchOptions {
    /// # Safety
    /// `options` is NULL or points to as many bytes as its first field says; what it points to is valid.
    pub(crate) unsafe fn read(options: *const fulcrum_compose_options) -> Outcome<Self> {
        let mut search = Self {
            options: ComposeOptions::default(),
            end: None,
            progress: None,
            userdata: std::ptr::null_mut(),
        };
        if options.is_null() {
            return Ok(search);
        }
        // SAFETY: the first field is there in every version.
        let size = unsafe { options.cast::<usize>().read() };
        let (first, whole) =
            (offset_of!(fulcrum_compose_options, offers), size_of::<fulcrum_compose_options>());
        if size != first && size != whole {
            let message =
                format!("options.size is {size}; set it to sizeof(fulcrum_compose_options), here {whole}");
            return Err(fulcrum_error::argument(&message));
        }
        let mut read = MaybeUninit::<fulcrum_compose_options>::zeroed();
        // SAFETY: the caller's is as large as it says, ours at least as large; they do not overlap.
        unsafe { read.as_mut_ptr().cast::<u8>().copy_from_nonoverlapping(options.cast::<u8>(), size) };
        // SAFETY: all fields are numbers, pointers or an optional function, for which zero is a value.
        let options = unsafe { read.assume_init() };
        // SAFETY: the caller's promise above.
        let exclude = unsafe { utf8(options.exclude, options.exclude_length, "options.exclude")? };
        if !exclude.is_empty() {
            search.options.exclude = parse_json::<BTreeSet<OfferId>>(exclude)?;
        }
        let (providers, length) = (options.exclude_providers, options.exclude_providers_length);
        // SAFETY: the caller's promise above.
        let providers = unsafe { utf8(providers, length, "options.exclude_providers")? };
        if !providers.is_empty() {
            search.options.exclude_providers = parse_json::<BTreeSet<ProviderId>>(providers)?;
        }
        search.options.offers = match options.offers {
            0 => None,
            FULCRUM_OFFERS_ORDERABLE => Some(OfferMode::Orderable),
            FULCRUM_OFFERS_ALL => Some(OfferMode::All),
            other => {
                let message = format!(
                    "options.offers is {other}; write FULCRUM_OFFERS_ORDERABLE or FULCRUM_OFFERS_ALL"
                );
                return Err(fulcrum_error::argument(&message));
            }
        };
        if options.max_nodes > 0 {
            search.options.max_nodes = options.max_nodes;
        }
        if let Some(threads) = usize::try_from(options.threads).ok().and_then(NonZeroUsize::new) {
            search.options.threads = threads;
        }
        search.options.gap_percent = Decimal::new(options.gap_basis_points.into(), 2);
        if options.timeout_ms > 0 {
            search.end = Instant::now().checked_add(Duration::from_millis(options.timeout_ms));
        }
        (search.progress, search.userdata) = (options.progress, options.userdata);
        Ok(search)
    }

    /// What a search in the background may have: no callback, whose thread nobody knows.
    pub(crate) fn without_callback(self) -> Outcome<(ComposeOptions, Option<Instant>)> {
        match self.progress {
            None => Ok((self.options, self.end)),
            Some(_) => Err(fulcrum_error::argument(
                "options.progress is set; leave it out, and read fulcrum_task_read_progress() instead",
            )),
        }
    }
}

/// A search under way.
pub(crate) struct ComposeCall<'a> {
    pub(crate) options: ComposeOptions,
    market: &'a OpenFederation,
    begin: u64,
    end: Option<Instant>,
    progress: fulcrum_progress_callback,
    userdata: *mut c_void,
}

impl<'a> ComposeCall<'a> {
    /// # Safety
    /// As [`SearchOptions::read`].
    pub(crate) unsafe fn read(
        options: *const fulcrum_compose_options,
        market: &'a OpenFederation,
    ) -> Outcome<Self> {
        // SAFETY: the caller's promise.
        let SearchOptions { options, end, progress, userdata } = unsafe { SearchOptions::read(options)? };
        Ok(Self { options, market, begin: market.interrupts.count(), end, progress, userdata })
    }

    /// A search in the background.
    pub(crate) fn new(options: ComposeOptions, end: Option<Instant>, market: &'a OpenFederation) -> Self {
        let begin = market.interrupts.count();
        Self { options, market, begin, end, progress: None, userdata: std::ptr::null_mut() }
    }

    pub(crate) fn poll_progress(&self, progress: &Progress) -> Signal {
        if self.end.is_some_and(|end| Instant::now() >= end) {
            return Signal::Limit;
        }
        if self.market.interrupts.is_newer_than(self.begin) || task::is_cancelled() {
            return Signal::Cancel;
        }
        let micros = |cost: Option<_>| cost.and_then(|cost| to_micros(cost).ok()).unwrap_or(-1);
        let progress = fulcrum_progress {
            size: size_of::<fulcrum_progress>(),
            incumbent_micros: micros(progress.incumbent),
            bound_micros: micros(progress.bound),
            nodes: progress.nodes,
        };
        task::note_progress(progress);
        let Some(callback) = self.progress else { return Signal::Continue };
        let userdata = self.userdata;
        // SAFETY: callback and userdata are the caller's, and `progress` lives for the call.
        let call = unsafe { HostCallback::new(move || callback(userdata, &raw const progress)) };
        match call.run_on_caller() {
            true => Signal::Continue,
            false => Signal::Cancel,
        }
    }
}
