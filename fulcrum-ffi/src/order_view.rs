//! What C reads of an order: states, and structures whose text the order owns.

use std::ffi::{CStr, CString, c_char};

use fulcrum_core::model::{Order, OrderState, Service, ServiceStatus, Step, StepState};

use crate::text::c_text;

/// What the structures are lent from; made when the first of them is read, without a lock: a process that is forked in
/// between would wait for it.
#[derive(Debug)]
pub(crate) struct OrderTexts {
    pub(crate) reason: Option<CString>,
    pub(crate) steps: Vec<StepTexts>,
    pub(crate) services: Vec<ServiceTexts>,
}

#[derive(Debug)]
pub(crate) struct StepTexts {
    pub(crate) provider: CString,
    pub(crate) offer: CString,
    pub(crate) key: CString,
    pub(crate) problem: Option<CString>,
}

#[derive(Debug)]
pub(crate) struct ServiceTexts {
    pub(crate) step: u32,
    pub(crate) provider: CString,
    pub(crate) id: CString,
    pub(crate) sku: CString,
    pub(crate) region: CString,
    pub(crate) country: CString,
    pub(crate) status: ServiceStatus,
    pub(crate) attributes: Vec<(CString, CString)>,
}

impl StepTexts {
    pub(crate) fn new(step: &Step) -> Self {
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
    pub(crate) fn new(step: u32, service: &Service) -> Self {
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

/// The state of an order.
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

pub(crate) fn order_state(state: OrderState) -> (fulcrum_order_state, &'static CStr) {
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

/// The state of a step: the purchase of one lease.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum fulcrum_step_state {
    /// Nothing was sent.
    Planned = 1,
    /// The provider may have been asked to make the service.
    Provisioning = 2,
    /// The service exists.
    Provisioned = 3,
    /// The service exists and the whole order is done.
    Committed = 4,
    /// The service, if there is one, is being released.
    Compensating = 5,
    /// It is proven that no service exists.
    Compensated = 6,
    /// A person must look.
    Stuck = 7,
    /// An action runs on the service of a committed order.
    Acting = 8,
    /// A reservation was requested and may exist; no service exists.
    Reserving = 9,
    /// The provider has reserved the capacity; no service exists.
    Reserved = 10,
}

pub(crate) fn step_state(state: &StepState) -> (fulcrum_step_state, &'static CStr) {
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

/// The status of a service when its provider was last asked.
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

pub(crate) fn service_status(status: ServiceStatus) -> (fulcrum_service_status, &'static CStr) {
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
    /// Why the order does not go on as planned, for people, borrowed from the order; NULL if it does.
    pub reason: *const c_char,
    /// Leases that are bought, for fulcrum_order_read_step().
    pub step_count: usize,
    /// Services that the order has made and still has, for fulcrum_order_read_service().
    pub service_count: usize,
    /// The state of the order.
    pub state: fulcrum_order_state,
}

/// The purchase of one lease. Set `size` to sizeof(fulcrum_step) before it is read. Text belongs to the order and lives as
/// long as that, if not said otherwise. Later versions append members and know the older sizes.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct fulcrum_step {
    /// sizeof(fulcrum_step) as the caller knows it.
    pub size: usize,
    /// The provider that sells the lease; borrowed from the order.
    pub provider: *const c_char,
    /// The offer that is bought; borrowed from the order.
    pub offer: *const c_char,
    /// The idempotency key of the step at its provider; borrowed from the order.
    pub key: *const c_char,
    /// The word for `state`; static.
    pub state_text: *const c_char,
    /// Why the step is stuck, or the error of the last attempt, borrowed from the order; else NULL.
    pub problem: *const c_char,
    /// Failed attempts; the last ten at most.
    pub attempt_count: usize,
    /// The state of the step.
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
    /// Its status when the provider was last asked.
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

impl OrderTexts {
    pub(crate) fn new(order: &Order) -> Self {
        let service =
            |step: &Step| step.state.service().map(|service| ServiceTexts::new(step.index, service));
        Self {
            reason: order.reason.as_deref().map(c_text),
            steps: order.steps.iter().map(StepTexts::new).collect(),
            services: order.steps.iter().filter_map(service).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_those_of_the_documents() {
        let word = |state: OrderState| order_state(state).1.to_str().map(str::to_owned);
        for state in OrderState::ALL {
            assert_eq!(word(state).as_deref(), Ok(state.word()));
        }
        for status in ServiceStatus::ALL {
            let json = serde_json::to_value(status).ok();
            assert_eq!(json.as_ref().and_then(|json| json.as_str()), service_status(status).1.to_str().ok());
        }
    }
}
