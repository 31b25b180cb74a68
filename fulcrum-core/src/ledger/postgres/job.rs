//! A write that waits for its transaction, and what becomes of it.

use std::time::Instant;

use tokio::sync::oneshot;

use crate::ledger::{Claim, LedgerError, OrderUpdate, Result, WriteReceipt, unknown_fields::Texts};

/// What waits to be written.
pub(super) struct Job {
    pub(super) claim: Claim,
    pub(super) change: OrderUpdate,
    pub(super) texts: Texts,
    pub(super) reply_to: oneshot::Sender<Result<WriteReceipt>>,
    pub(super) since: Instant,
    /// Tried with others before, of which one may be to blame.
    pub(super) is_alone: bool,
}

impl Job {
    pub(super) fn new(
        claim: Claim,
        change: OrderUpdate,
        texts: Texts,
        reply_to: oneshot::Sender<Result<WriteReceipt>>,
    ) -> Self {
        Self { claim, change, texts, reply_to, since: Instant::now(), is_alone: false }
    }
}

/// What became of a batch.
pub(super) enum BatchOutcome {
    /// Committed: what was written of each job, in their order.
    Committed(Vec<JobOutcome>),
    /// Nothing was written.
    Refused(LedgerError, RefusalCause),
    /// The database does not answer, and may even have committed.
    Failed(LedgerError),
}

/// What became of one job of a batch that was committed.
pub(super) enum JobOutcome {
    Written(WriteReceipt),
    /// Its claim is not the newest.
    Fenced,
    /// Another session has locked its order.
    Busy,
}

/// Why nothing of a batch was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RefusalCause {
    /// What was to be written.
    Write,
    /// A lock that another session holds.
    Lock,
    /// The session: it was ended, or it may not write.
    Session,
}
