//! Plans as handles, and the structures that are read from them.

use std::ffi::{CString, c_char};

use fulcrum_core::model::{Lease, Plan, StopReason};
use once_cell::race::OnceBox;
use rust_decimal::Decimal;

use crate::{
    amount::{Amount, fulcrum_amount},
    error::{fulcrum_error, fulcrum_status},
    guard::{borrow, fill_struct, free, guard, guard_on_call_thread, guard_with_output, item_at, out, utf8},
    purchase::policy,
    text::{as_ptr, c_text, fulcrum_text},
};

/// A plan with its proof. Opaque; freed by fulcrum_plan_free(); shareable between threads.
#[derive(Debug)]
pub struct fulcrum_plan {
    pub(crate) inner: Plan,
    texts: OnceBox<Texts>,
}

/// What the structures are lent from; made when the first of them is read, without a lock: a process that is forked in
/// between would wait for it.
#[derive(Debug)]
struct Texts {
    currency: CString,
    monthly: Amount,
    once: Amount,
    objective: Amount,
    bound: Amount,
    gap_percent: Amount,
    leases: Vec<LeaseTexts>,
}

#[derive(Debug)]
struct LeaseTexts {
    offer: CString,
    sku: CString,
    provider: CString,
    region: CString,
    country: CString,
    kind: CString,
    keeps: Option<CString>,
    monthly: Amount,
    once: Amount,
    replicas: Vec<(CString, u32)>,
}

impl LeaseTexts {
    fn new(lease: &Lease) -> Self {
        Self {
            offer: c_text(lease.offer.as_ref()),
            sku: c_text(lease.sku.as_str()),
            provider: c_text(lease.place.provider.as_str()),
            region: c_text(lease.place.region.as_str()),
            country: c_text(lease.place.country.as_str()),
            kind: c_text(&lease.kind.to_string()),
            keeps: lease.keeps.as_ref().map(|name| c_text(name.as_str())),
            monthly: Amount::new(lease.lines.iter().map(|line| line.monthly).sum::<Decimal>()),
            once: Amount::new(lease.lines.iter().map(|line| line.once).sum::<Decimal>()),
            replicas: lease.replicas.iter().map(|(name, count)| (c_text(name.as_str()), *count)).collect(),
        }
    }
}

impl fulcrum_plan {
    pub(crate) fn boxed(inner: Plan) -> *mut Self {
        Box::into_raw(Box::new(Self { inner, texts: OnceBox::new() }))
    }

    fn texts(&self) -> &Texts {
        let plan = &self.inner;
        self.texts.get_or_init(|| {
            Box::new(Texts {
                currency: c_text(plan.currency.code()),
                monthly: Amount::new(plan.monthly),
                once: Amount::new(plan.once),
                objective: Amount::new(plan.objective),
                bound: Amount::new(plan.bound),
                gap_percent: Amount::new(plan.gap_percent),
                leases: plan.leases.iter().map(LeaseTexts::new).collect(),
            })
        })
    }
}

/// Why a search stopped. Later versions may add reasons.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum fulcrum_stop_reason {
    /// The plan is proven best.
    Optimal = 1,
    /// The allowed gap is reached.
    GapReached = 2,
    /// Time or nodes are used up.
    Limit = 3,
    /// The caller asked for it.
    Cancelled = 4,
}

/// A plan in figures. Set `size` to sizeof(fulcrum_plan_summary) before it is read. Text belongs to the plan and lives
/// as long as that. Later versions append members and know the older sizes.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct fulcrum_plan_summary {
    /// sizeof(fulcrum_plan_summary) as the caller knows it.
    pub size: usize,
    /// Of all amounts of the plan; ISO 4217; borrowed from the plan.
    pub currency: *const c_char,
    /// A month, without set-up fees.
    pub monthly: fulcrum_amount,
    /// At the start.
    pub once: fulcrum_amount,
    /// What was minimised.
    pub objective: fulcrum_amount,
    /// What no plan can be below, proven.
    pub bound: fulcrum_amount,
    /// How far the bound is below the objective, in per cent; 0 if proven best.
    pub gap_percent: fulcrum_amount,
    /// Leases in the plan.
    pub lease_count: usize,
    /// Why the search stopped.
    pub stop: fulcrum_stop_reason,
    /// Whether the plan is proven to be the best.
    pub is_optimal: bool,
}

/// One instance of an offer. Set `size` to sizeof(fulcrum_lease) before it is read. Text belongs to the plan and lives as
/// long as that. Later versions append members and know the older sizes.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct fulcrum_lease {
    /// sizeof(fulcrum_lease) as the caller knows it.
    pub size: usize,
    /// Which offer, by its id, such as hetzner/fsn1/cx23; borrowed from the plan.
    pub offer: *const c_char,
    /// Its SKU; borrowed from the plan.
    pub sku: *const c_char,
    /// Who sells it; borrowed from the plan.
    pub provider: *const c_char,
    /// Where it is, in the provider's words; borrowed from the plan.
    pub region: *const c_char,
    /// Where it is, as two letters of ISO 3166-1; borrowed from the plan.
    pub country: *const c_char,
    /// machine, block_storage, object_storage, database and so on; borrowed from the plan.
    pub kind: *const c_char,
    /// The running service that it is, borrowed from the plan; NULL if it is to be bought.
    pub keeps: *const c_char,
    /// What it costs a month, all lines together.
    pub monthly: fulcrum_amount,
    /// What it costs at the start, all lines together.
    pub once: fulcrum_amount,
    /// GiB of storage that are bought with it or as it; 0 if its size is fixed.
    pub size_gib: u64,
    /// Components that run on it, for fulcrum_plan_read_replica().
    pub replica_count: usize,
}

/// How many replicas of a component are on a lease. Set `size` to sizeof(fulcrum_replica) before it is read. Text belongs
/// to the plan and lives as long as that. Later versions append members and know the older sizes.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct fulcrum_replica {
    /// sizeof(fulcrum_replica) as the caller knows it.
    pub size: usize,
    /// The component's name in the blueprint; borrowed from the plan.
    pub component: *const c_char,
    /// How many.
    pub count: u32,
}

/// Returns the digest of a plan and a policy, for an approval step: have it signed off, and name it as
/// fulcrum_purchase_options.approved.
///
/// @param plan                        borrowed.
/// @param policy_json, policy_length  borrowed; JSON, or empty for the usual policy.
/// @param out_digest                  receives text that the caller owns and frees with
///                                    fulcrum_text_free().
/// @param out_error                   may be NULL; else NULL on success, or an error for
///                                    fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_plan_approval_digest(
    plan: *const fulcrum_plan,
    policy_json: *const c_char,
    policy_length: usize,
    out_digest: *mut *mut fulcrum_text,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL; the rest is the caller's promise above.
        let (plan, json, out_digest) = unsafe {
            (
                borrow(plan, "plan")?,
                utf8(policy_json, policy_length, "policy")?,
                out(out_digest, "out_digest")?,
            )
        };
        *out_digest = fulcrum_text::boxed(plan.inner.approval_digest(&policy(json)?));
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_on_call_thread(out_digest, out_error, call) }
}

/// Reads a plan that was written by fulcrum_plan_json().
///
/// @param json, json_length  borrowed; UTF-8.
/// @param out_plan           receives a plan that the caller owns and frees with fulcrum_plan_free().
/// @param out_error          may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_plan_from_json(
    json: *const c_char,
    json_length: usize,
    out_plan: *mut *mut fulcrum_plan,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL; the rest is the caller's promise above.
        let (json, out_plan) = unsafe { (utf8(json, json_length, "json")?, out(out_plan, "out_plan")?) };
        *out_plan = fulcrum_plan::boxed(Plan::from_json(json)?);
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_on_call_thread(out_plan, out_error, call) }
}

/// Returns the plan as JSON, by the schema of schemas/plan.json.
///
/// @param plan       borrowed.
/// @param out_json   receives a text that the caller owns and frees with fulcrum_text_free().
/// @param out_error  may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_plan_json(
    plan: *const fulcrum_plan,
    out_json: *mut *mut fulcrum_text,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL; the rest is the caller's promise above.
        let (plan, out_json) = unsafe { (borrow(plan, "plan")?, out(out_json, "out_json")?) };
        *out_json = fulcrum_text::boxed(serde_json::to_string(&plan.inner).unwrap_or_default());
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_with_output(out_json, out_error, call) }
}

/// Reads a plan's figures.
///
/// @param plan         borrowed; owns the text of the summary.
/// @param out_summary  the caller's, with its `size` set; filled on success, else as it was.
/// @param out_error    may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call, `out_summary` for `size` bytes; no other thread uses the outputs during it; the text
/// is used no longer than the plan.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_plan_read(
    plan: *const fulcrum_plan,
    out_summary: *mut fulcrum_plan_summary,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helper rejects NULL; the rest is the caller's promise above.
        let plan = unsafe { borrow(plan, "plan")? };
        let texts = plan.texts();
        let summary = fulcrum_plan_summary {
            size: size_of::<fulcrum_plan_summary>(),
            currency: texts.currency.as_ptr(),
            monthly: texts.monthly.as_ptr(),
            once: texts.once.as_ptr(),
            objective: texts.objective.as_ptr(),
            bound: texts.bound.as_ptr(),
            gap_percent: texts.gap_percent.as_ptr(),
            lease_count: plan.inner.leases.len(),
            stop: match plan.inner.stop {
                StopReason::Optimal => fulcrum_stop_reason::Optimal,
                StopReason::GapReached => fulcrum_stop_reason::GapReached,
                StopReason::Limit => fulcrum_stop_reason::Limit,
                StopReason::Cancelled => fulcrum_stop_reason::Cancelled,
            },
            is_optimal: plan.inner.is_optimal(),
        };
        // SAFETY: the caller's promise above.
        unsafe { fill_struct(out_summary, summary, "out_summary") }
    };
    // SAFETY: the caller's promise above.
    unsafe { guard(out_error, call) }
}

/// Reads one lease.
///
/// @param plan       borrowed; owns the text of the lease.
/// @param index      from 0, below fulcrum_plan_lease_count().
/// @param out_lease  the caller's, with its `size` set; filled on success, else as it was.
/// @param out_error  may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call, `out_lease` for `size` bytes; no other thread uses the outputs during it; the text is
/// used no longer than the plan.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_plan_read_lease(
    plan: *const fulcrum_plan,
    index: usize,
    out_lease: *mut fulcrum_lease,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helper rejects NULL; the rest is the caller's promise above.
        let plan = unsafe { borrow(plan, "plan")? };
        let texts = item_at(&plan.texts().leases, index, "index")?;
        let lease = fulcrum_lease {
            size: size_of::<fulcrum_lease>(),
            offer: texts.offer.as_ptr(),
            sku: texts.sku.as_ptr(),
            provider: texts.provider.as_ptr(),
            region: texts.region.as_ptr(),
            country: texts.country.as_ptr(),
            kind: texts.kind.as_ptr(),
            keeps: as_ptr(texts.keeps.as_ref()),
            monthly: texts.monthly.as_ptr(),
            once: texts.once.as_ptr(),
            size_gib: item_at(&plan.inner.leases, index, "index")?.size_gib,
            replica_count: texts.replicas.len(),
        };
        // SAFETY: the caller's promise above.
        unsafe { fill_struct(out_lease, lease, "out_lease") }
    };
    // SAFETY: the caller's promise above.
    unsafe { guard(out_error, call) }
}

/// Reads how many replicas of one component are on a lease.
///
/// @param plan         borrowed; owns the text of the replica.
/// @param lease        from 0, below fulcrum_plan_lease_count().
/// @param index        from 0, below the lease's `replica_count`.
/// @param out_replica  the caller's, with its `size` set; filled on success, else as it was.
/// @param out_error    may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call, `out_replica` for `size` bytes; no other thread uses the outputs during it; the text
/// is used no longer than the plan.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_plan_read_replica(
    plan: *const fulcrum_plan,
    lease: usize,
    index: usize,
    out_replica: *mut fulcrum_replica,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helper rejects NULL; the rest is the caller's promise above.
        let plan = unsafe { borrow(plan, "plan")? };
        let (component, count) =
            item_at(&item_at(&plan.texts().leases, lease, "lease")?.replicas, index, "index")?;
        let replica = fulcrum_replica {
            size: size_of::<fulcrum_replica>(),
            component: component.as_ptr(),
            count: *count,
        };
        // SAFETY: the caller's promise above.
        unsafe { fill_struct(out_replica, replica, "out_replica") }
    };
    // SAFETY: the caller's promise above.
    unsafe { guard(out_error, call) }
}

/// Returns how many leases the plan has; 0 for NULL.
///
/// @param plan  borrowed; may be NULL.
///
/// # Safety
/// `plan` is NULL or was not freed yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_plan_lease_count(plan: *const fulcrum_plan) -> usize {
    // SAFETY: the caller's promise above.
    unsafe { plan.as_ref() }.map_or(0, |plan| plan.inner.leases.len())
}

/// Returns whether the plan is proven to be the best; false for NULL.
///
/// @param plan  borrowed; may be NULL.
///
/// # Safety
/// `plan` is NULL or was not freed yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_plan_is_optimal(plan: *const fulcrum_plan) -> bool {
    // SAFETY: the caller's promise above.
    unsafe { plan.as_ref() }.is_some_and(|plan| plan.inner.is_optimal())
}

/// Frees a plan, and with it the text that was read from it; NULL is fine.
///
/// @param plan  given up by the caller.
///
/// # Safety
/// `plan` is NULL or was not freed yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_plan_free(plan: *mut fulcrum_plan) {
    // SAFETY: the caller's promise above.
    unsafe { free(plan) };
}
