//! Orders.

use std::ffi::{CStr, CString, c_char};

use fulcrum_core::{
    model::{Order, OrderState, Service, ServiceStatus, Step, StepState},
    purchase::sold_out,
};
use once_cell::race::OnceBox;

use crate::{
    error::{fulcrum_error, fulcrum_status},
    guard::{at, borrow, fill, free, guard, guard_into, out},
    text::{c_text, fulcrum_text, lend},
};

/// An order as it was when the call returned. Opaque; freed by fulcrum_order_free(); shareable between threads.
#[derive(Debug)]
pub struct fulcrum_order {
    inner: Order,
    id: CString,
    texts: OnceBox<Texts>,
}

/// What the structures are lent from; made when the first of them is read, without a lock: a process that is forked in
/// between would wait for it.
#[derive(Debug)]
struct Texts {
    reason: Option<CString>,
    steps: Vec<StepTexts>,
    services: Vec<ServiceTexts>,
}

#[derive(Debug)]
struct StepTexts {
    provider: CString,
    offer: CString,
    key: CString,
    problem: Option<CString>,
}

#[derive(Debug)]
struct ServiceTexts {
    step: u32,
    provider: CString,
    id: CString,
    sku: CString,
    region: CString,
    country: CString,
    status: ServiceStatus,
    attributes: Vec<(CString, CString)>,
}

impl StepTexts {
    fn new(step: &Step) -> Self {
        let problem = match &step.state {
            StepState::Stuck { reason, .. } => Some(reason),
            _ => step.attempts.last().map(|attempt| &attempt.error),
        };
        Self {
            provider: c_text(step.provider.as_str()),
            offer: c_text(step.lease.offer.as_ref()),
            key: c_text(step.key.as_str()),
            problem: problem.map(|text| c_text(text)),
        }
    }
}

impl ServiceTexts {
    fn new(step: u32, service: &Service) -> Self {
        Self {
            step,
            provider: c_text(service.provider.as_str()),
            id: c_text(service.id.as_str()),
            sku: c_text(service.sku.as_str()),
            region: c_text(service.place.region.as_str()),
            country: c_text(service.place.country.as_str()),
            status: service.status,
            attributes: service
                .attributes
                .iter()
                .map(|(name, value)| (c_text(name), c_text(value)))
                .collect(),
        }
    }
}

impl fulcrum_order {
    pub(crate) fn boxed(inner: Order) -> *mut Self {
        let id = c_text(inner.id.as_str());
        Box::into_raw(Box::new(Self { inner, id, texts: OnceBox::new() }))
    }

    fn texts(&self) -> &Texts {
        let service =
            |step: &Step| step.state.service().map(|service| ServiceTexts::new(step.index, service));
        self.texts.get_or_init(|| {
            Box::new(Texts {
                reason: self.inner.reason.as_deref().map(c_text),
                steps: self.inner.steps.iter().map(StepTexts::new).collect(),
                services: self.inner.steps.iter().filter_map(service).collect(),
            })
        })
    }
}

/// How far an order is.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum fulcrum_order_state {
    /// Written down, prices not yet checked.
    Accepted = 1,
    /// Prices checked; services are being made.
    Provisioning = 2,
    /// All services exist.
    Committed = 3,
    /// Services are being released again.
    Compensating = 4,
    /// Ended, failed or refused, in ledgers from before plan format 4; no order is in it any more.
    Compensated = 5,
    /// A person must look.
    Stuck = 6,
    /// All services exist, and something is done to one of them.
    Changing = 7,
    /// A person has given up; something may be left at a provider.
    Abandoned = 8,
    /// It was committed once, and all of its services were ended since.
    Ended = 9,
    /// It could not be bought; whatever had been made was released again.
    Failed = 10,
    /// Nothing was ever asked of a provider.
    Refused = 11,
}

fn order_state(state: OrderState) -> (fulcrum_order_state, &'static CStr) {
    match state {
        OrderState::Accepted => (fulcrum_order_state::Accepted, c"accepted"),
        OrderState::Provisioning => (fulcrum_order_state::Provisioning, c"provisioning"),
        OrderState::Committed => (fulcrum_order_state::Committed, c"committed"),
        OrderState::Compensating => (fulcrum_order_state::Compensating, c"compensating"),
        OrderState::Compensated => (fulcrum_order_state::Compensated, c"compensated"),
        OrderState::Ended => (fulcrum_order_state::Ended, c"ended"),
        OrderState::Failed => (fulcrum_order_state::Failed, c"failed"),
        OrderState::Refused => (fulcrum_order_state::Refused, c"refused"),
        OrderState::Stuck => (fulcrum_order_state::Stuck, c"stuck"),
        OrderState::Changing => (fulcrum_order_state::Changing, c"changing"),
        OrderState::Abandoned => (fulcrum_order_state::Abandoned, c"abandoned"),
    }
}

/// How far the purchase of one lease is.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum fulcrum_step_state {
    /// Nothing was sent.
    Planned = 1,
    /// The provider may have been asked.
    Provisioning = 2,
    /// The service exists.
    Provisioned = 3,
    /// The service exists and the whole order is done.
    Committed = 4,
    /// What exists is being released.
    Compensating = 5,
    /// Proven: nothing exists.
    Compensated = 6,
    /// A person must look.
    Stuck = 7,
    /// Something is done to the service of an order that is done.
    Acting = 8,
    /// The provider was asked to hold it, and may; nothing exists.
    Reserving = 9,
    /// The provider holds it; nothing exists.
    Reserved = 10,
}

fn step_state(state: &StepState) -> (fulcrum_step_state, &'static CStr) {
    match state {
        StepState::Planned => (fulcrum_step_state::Planned, c"planned"),
        StepState::Reserving { .. } => (fulcrum_step_state::Reserving, c"reserving"),
        StepState::Reserved { .. } => (fulcrum_step_state::Reserved, c"reserved"),
        StepState::Provisioning { .. } => (fulcrum_step_state::Provisioning, c"provisioning"),
        StepState::Provisioned { .. } => (fulcrum_step_state::Provisioned, c"provisioned"),
        StepState::Committed { .. } => (fulcrum_step_state::Committed, c"committed"),
        StepState::Compensating { .. } => (fulcrum_step_state::Compensating, c"compensating"),
        StepState::Compensated => (fulcrum_step_state::Compensated, c"compensated"),
        StepState::Stuck { .. } => (fulcrum_step_state::Stuck, c"stuck"),
        StepState::Acting { .. } => (fulcrum_step_state::Acting, c"acting"),
    }
}

/// What a service did when its provider was last asked.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum fulcrum_service_status {
    /// Being made; may already cost money.
    Starting = 1,
    /// Works.
    Running = 2,
    /// Exists, costs money, does not work.
    Stopped = 3,
    /// The provider says that it is broken; it may cost money.
    Failed = 4,
    /// Being ended.
    Releasing = 5,
}

fn service_status(status: ServiceStatus) -> (fulcrum_service_status, &'static CStr) {
    match status {
        ServiceStatus::Starting => (fulcrum_service_status::Starting, c"starting"),
        ServiceStatus::Running => (fulcrum_service_status::Running, c"running"),
        ServiceStatus::Stopped => (fulcrum_service_status::Stopped, c"stopped"),
        ServiceStatus::Failed => (fulcrum_service_status::Failed, c"failed"),
        ServiceStatus::Releasing => (fulcrum_service_status::Releasing, c"releasing"),
    }
}

/// An order in short. Set `size` to sizeof(fulcrum_order_summary) before it is read. Text belongs to the order and lives
/// as long as that, if not said otherwise. Later versions append members and know the older sizes.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct fulcrum_order_summary {
    /// sizeof(fulcrum_order_summary) as the caller knows it.
    pub size: usize,
    /// Its id; borrowed from the order.
    pub id: *const c_char,
    /// The word for `state`; static.
    pub state_text: *const c_char,
    /// Why it does not go on as planned, for people, borrowed from the order; NULL if it does.
    pub reason: *const c_char,
    /// Leases that are bought, for fulcrum_order_read_step().
    pub step_count: usize,
    /// Services that it has made and still holds, for fulcrum_order_read_service().
    pub service_count: usize,
    /// How far it is.
    pub state: fulcrum_order_state,
}

/// The purchase of one lease. Set `size` to sizeof(fulcrum_step) before it is read. Text belongs to the order and lives as
/// long as that, if not said otherwise. Later versions append members and know the older sizes.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct fulcrum_step {
    /// sizeof(fulcrum_step) as the caller knows it.
    pub size: usize,
    /// Who is asked; borrowed from the order.
    pub provider: *const c_char,
    /// For which offer; borrowed from the order.
    pub offer: *const c_char,
    /// The idempotency key that the provider knows it by; borrowed from the order.
    pub key: *const c_char,
    /// The word for `state`; static.
    pub state_text: *const c_char,
    /// Why it is stuck, or what the last try that failed came back with, borrowed from the order; else NULL.
    pub problem: *const c_char,
    /// Tries that failed; the last ten at most.
    pub attempt_count: usize,
    /// How far it is.
    pub state: fulcrum_step_state,
}

/// A service that an order has made. Set `size` to sizeof(fulcrum_service) before it is read. Text belongs to the order
/// and lives as long as that, if not said otherwise. Later versions append members and know the older sizes.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct fulcrum_service {
    /// sizeof(fulcrum_service) as the caller knows it.
    pub size: usize,
    /// Who runs it; borrowed from the order.
    pub provider: *const c_char,
    /// The provider's name for it; borrowed from the order.
    pub id: *const c_char,
    /// What was bought; borrowed from the order.
    pub sku: *const c_char,
    /// Where it is, in the provider's words; borrowed from the order.
    pub region: *const c_char,
    /// Where it is, as two letters of ISO 3166-1; borrowed from the order.
    pub country: *const c_char,
    /// The word for `status`; static.
    pub status_text: *const c_char,
    /// The step that made it, and the lease of the plan, from 0.
    pub step: usize,
    /// Addresses and other facts, for fulcrum_order_read_attribute().
    pub attribute_count: usize,
    /// What it did when the provider was last asked.
    pub status: fulcrum_service_status,
}

/// An address or another fact that the application needs. Set `size` to sizeof(fulcrum_attribute) before it is read. Text
/// belongs to the order and lives as long as that. Later versions append members and know the older sizes.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct fulcrum_attribute {
    /// sizeof(fulcrum_attribute) as the caller knows it.
    pub size: usize,
    /// Which; borrowed from the order.
    pub name: *const c_char,
    /// Its value; borrowed from the order.
    pub value: *const c_char,
}

/// The order with its steps and services as JSON.
///
/// @param order      borrowed.
/// @param out_json   receives a text that the caller owns and frees with fulcrum_text_free().
/// @param out_error  may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_order_json(
    order: *const fulcrum_order,
    out_json: *mut *mut fulcrum_text,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL; the rest is the caller's promise above.
        let (order, out_json) = unsafe { (borrow(order, "order")?, out(out_json, "out_json")?) };
        *out_json = fulcrum_text::boxed(serde_json::to_string(&order.inner).unwrap_or_default());
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_into(out_json, out_error, call) }
}

/// The offers that the order could not get because they were sold out or over quota, as a JSON array: exclude them and
/// compose again.
///
/// @param order      borrowed.
/// @param out_json   receives a text that the caller owns and frees with fulcrum_text_free().
/// @param out_error  may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_order_sold_out(
    order: *const fulcrum_order,
    out_json: *mut *mut fulcrum_text,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL; the rest is the caller's promise above.
        let (order, out_json) = unsafe { (borrow(order, "order")?, out(out_json, "out_json")?) };
        *out_json = fulcrum_text::boxed(serde_json::to_string(&sold_out(&order.inner)).unwrap_or_default());
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_into(out_json, out_error, call) }
}

/// Reads how far an order is.
///
/// @param order      borrowed; owns the text.
/// @param out_summary  the caller's, with its `size` set; filled on success, else as it was.
/// @param out_error  may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call, `out_summary` for `size` bytes; no other thread uses the outputs during it; the text is
/// used no longer than the order.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_order_read(
    order: *const fulcrum_order,
    out_summary: *mut fulcrum_order_summary,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helper rejects NULL; the rest is the caller's promise above.
        let order = unsafe { borrow(order, "order")? };
        let (state, state_text) = order_state(order.inner.state);
        let value = fulcrum_order_summary {
            size: size_of::<fulcrum_order_summary>(),
            id: order.id.as_ptr(),
            state_text: state_text.as_ptr(),
            reason: lend(order.texts().reason.as_ref()),
            step_count: order.texts().steps.len(),
            service_count: order.texts().services.len(),
            state,
        };
        // SAFETY: the caller's promise above.
        unsafe { fill(out_summary, value, "out_summary") }
    };
    // SAFETY: the caller's promise above.
    unsafe { guard(out_error, call) }
}

/// Reads one step: the purchase of the lease of the same number.
///
/// @param order      borrowed; owns the text.
/// @param index      from 0, below `step_count` of fulcrum_order_read().
/// @param out_step  the caller's, with its `size` set; filled on success, else as it was.
/// @param out_error  may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call, `out_step` for `size` bytes; no other thread uses the outputs during it; the text is
/// used no longer than the order.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_order_read_step(
    order: *const fulcrum_order,
    index: usize,
    out_step: *mut fulcrum_step,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helper rejects NULL; the rest is the caller's promise above.
        let order = unsafe { borrow(order, "order")? };
        let (texts, step) =
            (at(&order.texts().steps, index, "index")?, at(&order.inner.steps, index, "index")?);
        let (state, state_text) = step_state(&step.state);
        let value = fulcrum_step {
            size: size_of::<fulcrum_step>(),
            provider: texts.provider.as_ptr(),
            offer: texts.offer.as_ptr(),
            key: texts.key.as_ptr(),
            state_text: state_text.as_ptr(),
            problem: lend(texts.problem.as_ref()),
            attempt_count: step.attempts.len(),
            state,
        };
        // SAFETY: the caller's promise above.
        unsafe { fill(out_step, value, "out_step") }
    };
    // SAFETY: the caller's promise above.
    unsafe { guard(out_error, call) }
}

/// Reads one of the services that the order has made and still holds.
///
/// @param order      borrowed; owns the text.
/// @param index      from 0, below `service_count` of fulcrum_order_read().
/// @param out_service  the caller's, with its `size` set; filled on success, else as it was.
/// @param out_error  may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call, `out_service` for `size` bytes; no other thread uses the outputs during it; the text is
/// used no longer than the order.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_order_read_service(
    order: *const fulcrum_order,
    index: usize,
    out_service: *mut fulcrum_service,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helper rejects NULL; the rest is the caller's promise above.
        let order = unsafe { borrow(order, "order")? };
        let service = at(&order.texts().services, index, "index")?;
        let (status, status_text) = service_status(service.status);
        let value = fulcrum_service {
            size: size_of::<fulcrum_service>(),
            provider: service.provider.as_ptr(),
            id: service.id.as_ptr(),
            sku: service.sku.as_ptr(),
            region: service.region.as_ptr(),
            country: service.country.as_ptr(),
            status_text: status_text.as_ptr(),
            step: service.step as usize,
            attribute_count: service.attributes.len(),
            status,
        };
        // SAFETY: the caller's promise above.
        unsafe { fill(out_service, value, "out_service") }
    };
    // SAFETY: the caller's promise above.
    unsafe { guard(out_error, call) }
}

/// Reads an address or another fact of a service.
///
/// @param order      borrowed; owns the text.
/// @param service    from 0, below `service_count` of fulcrum_order_read().
/// @param index      from 0, below the service's `attribute_count`.
/// @param out_attribute  the caller's, with its `size` set; filled on success, else as it was.
/// @param out_error  may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call, `out_attribute` for `size` bytes; no other thread uses the outputs during it; the text is
/// used no longer than the order.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_order_read_attribute(
    order: *const fulcrum_order,
    service: usize,
    index: usize,
    out_attribute: *mut fulcrum_attribute,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helper rejects NULL; the rest is the caller's promise above.
        let order = unsafe { borrow(order, "order")? };
        let service = at(&order.texts().services, service, "service")?;
        let (name, text) = at(&service.attributes, index, "index")?;
        let value = fulcrum_attribute {
            size: size_of::<fulcrum_attribute>(),
            name: name.as_ptr(),
            value: text.as_ptr(),
        };
        // SAFETY: the caller's promise above.
        unsafe { fill(out_attribute, value, "out_attribute") }
    };
    // SAFETY: the caller's promise above.
    unsafe { guard(out_error, call) }
}

/// The order's id, ended by NUL. Owned by the order; empty for NULL.
///
/// @param order  borrowed; may be NULL.
///
/// # Safety
/// `order` is NULL or was not freed yet; the text is used no longer than the order.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_order_id(order: *const fulcrum_order) -> *const c_char {
    // SAFETY: the caller's promise above.
    unsafe { order.as_ref() }.map_or(c"".as_ptr(), |order| order.id.as_ptr())
}

/// Whether all services exist; else fulcrum_order_read() says why not. False for NULL.
///
/// @param order  borrowed; may be NULL.
///
/// # Safety
/// `order` is NULL or was not freed yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_order_is_committed(order: *const fulcrum_order) -> bool {
    // SAFETY: the caller's promise above.
    unsafe { order.as_ref() }.is_some_and(|order| order.inner.state == OrderState::Committed)
}

/// Frees an order, and with it the text that was read from it; NULL is fine.
///
/// @param order  given up by the caller.
///
/// # Safety
/// `order` is NULL or was not freed yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_order_free(order: *mut fulcrum_order) {
    // SAFETY: the caller's promise above.
    unsafe { free(order) };
}

/// Orders that one call answered. Opaque; freed by fulcrum_orders_free(); shareable between threads.
#[derive(Debug)]
pub struct fulcrum_orders {
    inner: Vec<Order>,
}

impl fulcrum_orders {
    pub(crate) fn boxed(inner: Vec<Order>) -> *mut Self {
        Box::into_raw(Box::new(Self { inner }))
    }
}

/// How many orders these are; 0 for NULL.
///
/// @param orders  borrowed; may be NULL.
///
/// # Safety
/// `orders` is NULL or was not freed yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_orders_count(orders: *const fulcrum_orders) -> usize {
    // SAFETY: the caller's promise above.
    unsafe { orders.as_ref() }.map_or(0, |orders| orders.inner.len())
}

/// One of the orders, as a handle of its own.
///
/// @param orders     borrowed.
/// @param index      from 0, below fulcrum_orders_count().
/// @param out_order  receives an order that the caller owns and frees with fulcrum_order_free(); it may outlive `orders`.
/// @param out_error  may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_orders_get(
    orders: *const fulcrum_orders,
    index: usize,
    out_order: *mut *mut fulcrum_order,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL; the rest is the caller's promise above.
        let (orders, out_order) = unsafe { (borrow(orders, "orders")?, out(out_order, "out_order")?) };
        *out_order = fulcrum_order::boxed(at(&orders.inner, index, "index")?.clone());
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_into(out_order, out_error, call) }
}

/// Frees a list of orders; orders that were got from it live on; NULL is fine.
///
/// @param orders  given up by the caller.
///
/// # Safety
/// `orders` is NULL or was not freed yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_orders_free(orders: *mut fulcrum_orders) {
    // SAFETY: the caller's promise above.
    unsafe { free(orders) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_those_of_the_documents() {
        let word = |state: OrderState| order_state(state).1.to_str().map(str::to_owned);
        for state in [
            OrderState::Accepted,
            OrderState::Provisioning,
            OrderState::Committed,
            OrderState::Compensating,
            OrderState::Compensated,
            OrderState::Ended,
            OrderState::Failed,
            OrderState::Refused,
            OrderState::Stuck,
            OrderState::Changing,
            OrderState::Abandoned,
        ] {
            assert_eq!(word(state).as_deref(), Ok(state.word()));
        }
        for status in [
            ServiceStatus::Starting,
            ServiceStatus::Running,
            ServiceStatus::Stopped,
            ServiceStatus::Failed,
            ServiceStatus::Releasing,
        ] {
            let json = serde_json::to_value(status).ok();
            assert_eq!(json.as_ref().and_then(|json| json.as_str()), service_status(status).1.to_str().ok());
        }
    }
}
