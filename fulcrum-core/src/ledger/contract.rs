//! What a store must do.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
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
    /// Somebody else drives this order.
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
    #[error("order {0} has been taken over by another host; this one must let go")]
    Fenced(OrderId),
    /// There is no such order.
    #[error("there is no order {0}")]
    NoSuchOrder(OrderId),
    /// An order of this id is there already.
    #[error("order {0} exists already")]
    Exists(OrderId),
    /// What is stored makes no sense.
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

/// The right to drive one order, for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Which order.
    pub order: OrderId,
    /// Rises with each new owner: a write with an older one is refused.
    pub token: u64,
    /// When it ends unless renewed.
    pub until: Timestamp,
}

/// A place where one step at a time may be. It is a step's and not a host's: it has no end of its own, and whoever holds the
/// claim of the step's order has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    /// Whose step is in.
    pub order: OrderId,
    /// Which.
    pub step: u32,
    /// Of the order's claim under which it was entered last.
    pub token: u64,
    /// What was written down there since the step came in.
    pub note: Option<String>,
}

impl Gate {
    /// Whether that step of a claim's order is in, under that claim.
    pub fn is_of(&self, claim: &Claim, step: u32) -> bool {
        self.order == claim.order && self.step == step && self.token == claim.token
    }
}

/// What one write changes, all or nothing.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// The order's new state, and why.
    pub order: Option<(OrderState, Option<String>)>,
    /// Steps in their new form; those with a new index are added.
    pub steps: Vec<Step>,
    /// The order's new plan, and all fail-overs so far.
    pub plan: Option<(Plan, Vec<FailOverRound>)>,
    /// What to tell besides the new states, which are told anyway.
    pub events: Vec<OrderEventKind>,
}

/// What a driver hears with each write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Whether the customer wants the order undone.
    pub is_cancelled: bool,
}

/// Which orders are wanted, newest first.
#[derive(Debug, Clone, Default)]
pub struct OrderQuery {
    /// Only in this state.
    pub state: Option<OrderState>,
    /// Only those with which a host has something to do: they are not final, or committed and cancelled.
    pub is_unfinished: bool,
    /// Only those older than this one: the next page.
    pub before: Option<OrderId>,
    /// At most so many; 0 for all.
    pub limit: u32,
}

/// Remembers orders. Every write is durable when it returns.
#[async_trait]
pub trait Ledger: fmt::Debug + Send + Sync {
    /// The ledger's name for ever: ten lower-case letters and digits, made when it was first opened. A copy has the same.
    fn id(&self) -> &str;

    /// Writes a new order down.
    async fn create(&self, order: &Order) -> Result<()>;

    /// One order with its steps.
    async fn load(&self, order: &OrderId) -> Result<Option<Order>>;

    /// Orders, newest first.
    async fn list(&self, query: &OrderQuery) -> Result<Vec<OrderId>>;

    /// Takes the right to drive an order, if nobody has it; one's own older right is replaced only when it has
    /// ended.
    async fn claim(&self, order: &OrderId, owner: &str, lease: Duration) -> Result<Claim>;

    /// Takes the right to drive unfinished orders that nobody drives or whose driver's right has ended, those that
    /// wait longest first, at most so many. Hosts that ask at the same time get different ones. Left out are orders with a
    /// step at a provider that is not among `providers`, and those whose next try has not come.
    async fn claim_next(
        &self,
        owner: &str,
        lease: Duration,
        limit: u32,
        providers: &[ProviderId],
    ) -> Result<Vec<Claim>>;

    /// Prolongs the right.
    async fn renew(&self, claim: &Claim, lease: Duration) -> Result<Claim>;

    /// Gives the right back.
    async fn release(&self, claim: &Claim) -> Result<()>;

    /// Changes an order, all or nothing, and tells its events; refused if the claim is no longer the newest.
    async fn write(&self, claim: &Claim, change: &Change) -> Result<Written>;

    /// Notes that the customer wants an order undone, and tells it as an event, once. Whoever drives the order finds out by
    /// [`is_cancelled`](Self::is_cancelled); a committed one becomes unfinished. Of an order that is over nothing is noted.
    async fn request_cancel(&self, order: &OrderId, by: Option<&Operator>) -> Result<()>;

    /// Counts a drive that failed, tells it as an event, and lets the order wait: [`claim_next`](Self::claim_next) leaves it
    /// out until `next_try`, for an hour at most. The answer is how many drives failed since the order last changed its state.
    /// The claim stays; refused if it is no longer the newest.
    async fn note_failed_drive(&self, claim: &Claim, reason: &str, next_try: Timestamp) -> Result<u32>;

    /// Whether that was noted.
    async fn is_cancelled(&self, order: &OrderId) -> Result<bool>;

    /// Events with a greater sequence number, in order.
    async fn events(&self, after: u64, order: Option<&OrderId>, limit: u32) -> Result<Vec<OrderEvent>>;

    /// Checks that the events of an order are all there and as they were written.
    async fn verify(&self, order: &OrderId) -> Result<()>;

    /// Removes an order that is over, with its events, unless something has happened to it since `before`, something
    /// of it may still exist, a delivery has not taken all of its events, or somebody holds its claim. The answer is whether it was removed. Its id is never used again.
    async fn forget(&self, order: &OrderId, before: Timestamp) -> Result<bool>;

    /// How far a delivery of events has come, by its name: all events up to this sequence number were taken. 0 for a name
    /// that is not known.
    async fn cursor(&self, name: &str) -> Result<u64>;

    /// Writes down how far a delivery has come, and answers that. It never goes back: a lower number changes nothing. From
    /// the first call on [`forget`](Self::forget) removes no order with an event that this delivery has not taken.
    async fn advance(&self, name: &str, sequence: u64) -> Result<u64>;

    /// Ends a delivery; the answer is whether its name was known.
    async fn drop_cursor(&self, name: &str) -> Result<bool>;

    /// Lets a step of the claim's order through a gate, if nobody is in, or it is in already under this claim or an older
    /// one, and then its note stays, or if exactly `instead_of` is in. The answer is who is in now: that step, or another.
    /// Refused if the claim is no longer the newest.
    async fn enter_gate(
        &self,
        name: &str,
        claim: &Claim,
        step: u32,
        instead_of: Option<&Gate>,
    ) -> Result<Gate>;

    /// Writes down what whoever resumes a step that is in must know; refused unless it is in under this claim.
    async fn note_gate(&self, name: &str, claim: &Claim, step: u32, note: &str) -> Result<()>;

    /// Lets the next one in; changes nothing unless that step is in under this claim.
    async fn leave_gate(&self, name: &str, claim: &Claim, step: u32) -> Result<()>;

    /// All services at a provider that steps of any order have, or are about to end.
    async fn services_at(&self, provider: &ProviderId) -> Result<Vec<ServiceId>>;

    /// Changes when this process has written; other processes' writes are found by asking again.
    fn changes(&self) -> watch::Receiver<u64>;
}
