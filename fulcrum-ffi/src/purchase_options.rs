//! Options of a purchase.

use std::ffi::c_char;

use fulcrum_core::{model::OrderId, purchase::PurchaseOptions};

use crate::{
    error::fulcrum_error,
    guard::{Outcome, utf8},
};

/// Options of a purchase. Set `size` to sizeof(fulcrum_purchase_options) and the rest to zero where nothing special is
/// wanted: FULCRUM_PURCHASE_OPTIONS_INIT does. Later versions append fields and know the older sizes.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct fulcrum_purchase_options {
    /// sizeof(fulcrum_purchase_options) as the caller knows it.
    pub size: usize,
    /// Borrowed; the caller's own order id, a UUID in any spelling: the same call with the same id buys once. Or NULL for
    /// a new one.
    pub id: *const c_char,
    /// Bytes of `id`.
    pub id_length: usize,
    /// Borrowed; the digest that somebody has approved, see fulcrum_plan_approval_digest(): any other plan or policy is
    /// refused. Or NULL.
    pub approved: *const c_char,
    /// Bytes of `approved`.
    pub approved_length: usize,
}

/// An id of the caller's.
pub(crate) fn own_id(id: &str) -> Outcome<OrderId> {
    let wrong = || fulcrum_error::argument(&format!("the id is {id:?}, which is not a UUID"));
    OrderId::from_uuid(id).ok_or_else(wrong)
}

/// Reads the options of a purchase.
///
/// # Safety
/// `options` is NULL or points to as many bytes as its first field says; what it points to is valid.
pub(crate) unsafe fn read(options: *const fulcrum_purchase_options) -> Outcome<PurchaseOptions> {
    if options.is_null() {
        return Ok(PurchaseOptions::default());
    }
    // SAFETY: the first field is there in every version.
    let size = unsafe { options.cast::<usize>().read() };
    if size != size_of::<fulcrum_purchase_options>() {
        let message = format!(
            "options.size is {size}; set it to sizeof(fulcrum_purchase_options), here {}",
            size_of::<fulcrum_purchase_options>()
        );
        return Err(fulcrum_error::argument(&message));
    }
    // SAFETY: as large as the caller says, which is large enough.
    let options = unsafe { options.read() };
    // SAFETY: the caller's promise above.
    let (id, approved) = unsafe {
        (
            utf8(options.id, options.id_length, "options.id")?,
            utf8(options.approved, options.approved_length, "options.approved")?,
        )
    };
    let id = if id.is_empty() { None } else { Some(own_id(id)?) };
    Ok(PurchaseOptions { id, approved: (!approved.is_empty()).then(|| approved.to_owned()) })
}
