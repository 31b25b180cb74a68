//! The ledger: what a store of orders must promise.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use serde::Deserialize;
use tokio::sync::watch;

use crate::model::{
    FailOverRound, Operator, Order, OrderEvent, OrderEventKind, OrderId, OrderState, Plan, ProviderId,
    ServiceId, Step,
};

/// The outcome of a ledger call.
pub type Result<T, E = LedgerError> = std::result::Result<T, E>;

/// The ledger could not do it.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// Another host has claimed this order.
    #[error("order {order} is driven by {owner} until {until}; wait, or stop that host")]
    Claimed {
        /// Which.
        order: OrderId,
        /// By whom.
        owner: String,
        /// Until when at least.
        until: Timestamp,
    },
    /// Another host has taken the order over; this one must not write or call any more.
    #[error("order {0} has been taken over by another host; stop this drive, and load the order")]
    Fenced(OrderId),
    /// There is no such order.
    #[error("the ledger has no order {0}; check the id and the ledger's address")]
    NoSuchOrder(OrderId),
    /// An order of this id is there already.
    #[error("order {0} exists already; load it, or use another id")]
    Exists(OrderId),
    /// Stored data cannot be read, or does not fit together.
    #[error("the ledger is damaged: {0}")]
    Damaged(String),
    /// The store itself failed. The text ends with what to do about it.
    #[error("the ledger cannot be used: {0}")]
    Store(String),
}

impl LedgerError {
    /// A number that stays the same for ever.
    pub fn code(&self) -> i32 {
        match self {
            Self::Claimed { .. } => 501,
            Self::Fenced(_) => 502,
            Self::NoSuchOrder(_) => 503,
            Self::Exists(_) => 504,
            Self::Damaged(_) => 505,
            Self::Store(_) => 506,
        }
    }
}

/// The exclusive right of one host to drive one order, for the claim's TTL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Which order.
    pub order: OrderId,
    /// The fencing token: it rises with each new owner, and a write with an older one is refused.
    pub token: u64,
    /// When the claim expires unless it is renewed.
    pub until: Timestamp,
}

/// A durable mutex with a name: at most one step holds it. The slot belongs to a step and not to a host, so it never expires:
/// whoever has the claim of the step's order has the slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SerialSlot {
    /// The order of the step that holds the slot.
    pub order: OrderId,
    /// The position of that step.
    pub step: u32,
    /// The fencing token of the claim under which the slot was last acquired.
    pub token: u64,
    /// What the step has written down since it acquired the slot.
    pub note: Option<String>,
}

impl SerialSlot {
    /// Whether that step holds the slot under that very claim.
    pub fn is_of(&self, claim: &Claim, step: u32) -> bool {
        self.order == claim.order && self.step == step && self.token == claim.token
    }
}

/// What one write changes, all or nothing.
#[derive(Debug, Clone, Default)]
pub struct OrderUpdate {
    /// The order's new state, and why.
    pub order: Option<(OrderState, Option<String>)>,
    /// Steps in their new form; those with a new index are added.
    pub steps: Vec<Step>,
    /// The order's new plan, and all fail-overs so far.
    pub plan: Option<(Plan, Vec<FailOverRound>)>,
    /// Events besides those of the new states, which are appended anyway.
    pub events: Vec<OrderEventKind>,
}

/// What each write returns to its driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteReceipt {
    /// Whether the customer has cancelled the order.
    pub is_cancelled: bool,
}

/// Which orders are wanted, newest first.
///
/// ```
/// use fulcrum_core::{ledger::OrderQuery, model::parse_json};
/// let stuck: OrderQuery = parse_json(r#"{"state": "stuck", "limit": 20}"#)?;
/// assert_eq!((stuck.limit, stuck.before), (20, None));
/// # Ok::<(), fulcrum_core::model::DocumentError>(())
/// ```
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OrderQuery {
    /// Only in this state.
    pub state: Option<OrderState>,
    /// Only those with which a host has something to do: they are not final, or committed and cancelled.
    #[serde(rename = "unfinished")]
    pub is_unfinished: bool,
    /// Only those older than this one: the next page.
    pub before: Option<OrderId>,
    /// Only those accepted in this second or later.
    pub since: Option<Timestamp>,
    /// At most so many; 0 for all.
    pub limit: u32,
}

impl OrderQuery {
    /// `since` as ledgers compare it: the first nineteen characters of a time, as these stand in their columns.
    pub(super) fn since_second(&self) -> Option<String> {
        self.since.map(|since| since.to_string().chars().take(19).collect())
    }
}

/// Stores orders, their steps and their events. Every write is durable when it returns.
#[async_trait]
pub trait Ledger: fmt::Debug + Send + Sync {
    /// The ledger's permanent name: ten lower-case letters and digits, made when it was first opened. A copy has the same.
    fn id(&self) -> &str;

    /// Writes a new order.
    async fn create(&self, order: &Order) -> Result<()>;

    /// One order with its steps.
    async fn load(&self, order: &OrderId) -> Result<Option<Order>>;

    /// Orders, newest first.
    async fn list(&self, query: &OrderQuery) -> Result<Vec<OrderId>>;

    /// Claims an order for `ttl` if nobody has a claim that has not expired. An owner's own older claim counts too.
    async fn claim(&self, order: &OrderId, owner: &str, ttl: Duration) -> Result<Claim>;

    /// Claims at most `limit` unfinished orders that nobody has claimed, or whose claim has expired; those that wait longest
    /// come first. Hosts that ask at the same time get different orders. Orders with a step at a provider that is not among
    /// `providers` are left out, and so are those whose next try is not due.
    async fn claim_next(
        &self,
        owner: &str,
        ttl: Duration,
        limit: u32,
        providers: &[ProviderId],
    ) -> Result<Vec<Claim>>;

    /// Renews a claim for `ttl` from now.
    async fn renew(&self, claim: &Claim, ttl: Duration) -> Result<Claim>;

    /// Relinquishes a claim before it expires.
    async fn relinquish(&self, claim: &Claim) -> Result<()>;

    /// Changes an order, all or nothing, and appends its events. A claim that is not the newest is refused.
    async fn write(&self, claim: &Claim, change: &OrderUpdate) -> Result<WriteReceipt>;

    /// Records that the customer cancels an order, and appends an event, once. The order's driver finds out by
    /// [`is_cancelled`](Self::is_cancelled) or by its next write. A committed order becomes unfinished; an order that is over
    /// stays as it is.
    async fn request_cancel(&self, order: &OrderId, by: Option<&Operator>) -> Result<()>;

    /// Counts a drive that failed, appends an event, and puts the order off: [`claim_next`](Self::claim_next) leaves it out
    /// until `next_try`, for an hour at most. Returns how many drives failed since the order last changed its state. The claim
    /// stays; a claim that is not the newest is refused.
    async fn record_failed_drive(&self, claim: &Claim, reason: &str, next_try: Timestamp) -> Result<u32>;

    /// Whether the customer has cancelled an order.
    async fn is_cancelled(&self, order: &OrderId) -> Result<bool>;

    /// Events with a greater sequence number, in order.
    async fn events(&self, after: u64, order: Option<&OrderId>, limit: u32) -> Result<Vec<OrderEvent>>;

    /// Checks that the events of an order are all there and as they were written.
    async fn verify(&self, order: &OrderId) -> Result<()>;

    /// Removes an order that is over, with its events, and leaves a tombstone: its id is never used again. Returns whether it
    /// was removed. An order stays if something has happened to it since `before`, if something of it may still exist, if a
    /// consumer has not taken all of its events, or if somebody has claimed it.
    async fn purge(&self, order: &OrderId, before: Timestamp) -> Result<bool>;

    /// The offset of a consumer of events, by its name: it has taken all events up to this sequence number. 0 for an unknown
    /// name.
    async fn consumer_offset(&self, name: &str) -> Result<u64>;

    /// Commits a consumer's offset, and returns it. An offset never goes back: a lower number changes nothing. From the first
    /// commit on [`purge`](Self::purge) removes no order with an event that the consumer has not taken.
    async fn commit_offset(&self, name: &str, sequence: u64) -> Result<u64>;

    /// Removes a consumer; returns whether its name was known.
    async fn drop_consumer(&self, name: &str) -> Result<bool>;

    /// Acquires a serial slot for a step of the claim's order: if the slot is free, if the step holds it already under this
    /// claim or an older one (its note stays), or if exactly `expected` holds it (compare-and-swap). Returns the holder, which
    /// is that step or another one. A claim that is not the newest is refused.
    async fn acquire_slot(
        &self,
        name: &str,
        claim: &Claim,
        step: u32,
        expected: Option<&SerialSlot>,
    ) -> Result<SerialSlot>;

    /// Writes the note of a slot for whoever resumes the step. Refused unless the step holds the slot under this claim.
    async fn annotate_slot(&self, name: &str, claim: &Claim, step: u32, note: &str) -> Result<()>;

    /// Vacates a slot. Nothing changes unless the step holds it under this claim.
    async fn vacate_slot(&self, name: &str, claim: &Claim, step: u32) -> Result<()>;

    /// All services at a provider that steps of any order have, or are about to release.
    async fn services_at(&self, provider: &ProviderId) -> Result<Vec<ServiceId>>;

    /// Changes when this process has written. Writes of other processes are found by asking again.
    fn changes(&self) -> watch::Receiver<u64>;
}
