//! What happened to an order, in words, for people who ask why.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use super::{PurchaseError, engine::Engine};
use crate::model::{
    Action, CheckedPrice, Operator, OperatorAction, Order, OrderEvent, OrderEventKind, OrderId, OrderState,
    ProviderId, RepairAction, is_hidden,
};

/// An order from its start to now, one line for each event. Displays as plain text and serialises as
/// `fulcrum-timeline/1`. The words may change from version to version: programs read events.
///
/// ```text
/// order 01934b6e-… is committed; accepted at 2026-11-25T10:00:00Z
///      0 ms  order: accepted
///      2 ms  order: prices checked: planned 60 EUR, now 60 EUR
///      3 ms  step 0 at alpha: intent written, asking
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Timeline {
    /// [`Timeline::FORMAT`].
    pub format: &'static str,
    /// Whose.
    pub order: OrderId,
    /// How far it is.
    pub state: OrderState,
    /// When it was accepted.
    #[schemars(with = "String")]
    pub start: Timestamp,
    /// From the first to the last.
    pub entries: Vec<TimelineEntry>,
}

/// One event in words. Displays as one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct TimelineEntry {
    /// When.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// Milliseconds since the order was accepted.
    pub since_start_ms: u64,
    /// What it is about: `order`, or a step such as `step 2 at gamma`.
    pub subject: String,
    /// What happened; one line.
    pub text: String,
}

impl Timeline {
    /// The format of the JSON.
    pub const FORMAT: &str = "fulcrum-timeline/1";

    /// The time line of an order, from all of its events.
    pub fn new(order: &Order, events: &[OrderEvent]) -> Self {
        let entries = events.iter().map(|event| TimelineEntry::new(order, event)).collect();
        let (id, state, start) = (order.id.clone(), order.state, order.created);
        Self { format: Self::FORMAT, order: id, state, start, entries }
    }
}

impl TimelineEntry {
    /// One event of an order.
    pub fn new(order: &Order, event: &OrderEvent) -> Self {
        let since = event.at.duration_since(order.created).as_millis();
        let (step, text) = words(&event.kind);
        let subject = step.map_or_else(
            || "order".to_owned(),
            |(index, provider)| {
                let planned =
                    || order.steps.iter().find(|step| step.index == index).map(|step| &step.provider);
                match provider.or_else(planned) {
                    Some(provider) => format!("step {index} at {provider}"),
                    None => format!("step {index}"),
                }
            },
        );
        // What providers and people wrote may have lines of its own, or worse.
        let text = text.chars().map(|c| if is_hidden(c) { ' ' } else { c }).collect();
        Self { at: event.at, since_start_ms: u64::try_from(since).unwrap_or(0), subject, text }
    }
}

impl fmt::Display for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "order {} is {}; accepted at {}", self.order, self.state.word(), self.start)?;
        self.entries.iter().try_for_each(|entry| writeln!(f, "{entry}"))
    }
}

impl fmt::Display for TimelineEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>6} ms  {}: {}", self.since_start_ms, self.subject, self.text)
    }
}

type Subject<'a> = Option<(u32, Option<&'a ProviderId>)>;

/// Which step an event is about, if one, and what it tells.
fn words(kind: &OrderEventKind) -> (Subject<'_>, String) {
    match kind {
        OrderEventKind::Order { state, reason, .. } => {
            let reason = reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
            (None, format!("{}{reason}", state.word()))
        }
        OrderEventKind::Step { index, provider, step } => {
            (Some((*index, Some(provider))), step.description())
        }
        OrderEventKind::Attempt { index, provider, error } => (Some((*index, Some(provider))), error.clone()),
        OrderEventKind::PricesChecked { planned, current, checks } => {
            let mut said: Vec<String> = checks.iter().map(CheckedPrice::authority).collect();
            said.sort();
            said.dedup();
            let by = if said.is_empty() { String::new() } else { format!(" (by {})", said.join(", ")) };
            (None, format!("prices checked: planned {planned}, now {current}{by}"))
        }
        OrderEventKind::PriceUnchecked { index, provider, planned } => {
            let text =
                format!("nobody can check its price; the plan's {planned} stands, as the policy allows");
            (Some((*index, Some(provider))), text)
        }
        OrderEventKind::FailedOver { round, .. } => {
            let replaced: Vec<_> = round.replaced.iter().map(u32::to_string).collect();
            let steps = replaced.join(", ");
            (None, format!("another plan in place of steps {steps}; what is bought stays: {}", round.reason))
        }
        OrderEventKind::Operator { by, action } => operator(by, action),
        OrderEventKind::CancellationRequested { by: None } => (None, "cancelled by the customer".to_owned()),
        OrderEventKind::CancellationRequested { by: Some(Operator { who, why }) } => {
            (None, format!("cancelled by {who}: {why}"))
        }
        OrderEventKind::DriveFailed { reason, count } => {
            (None, format!("not driven, {count} times in a row: {reason}"))
        }
        OrderEventKind::Unknown => (None, "something that only a later version knows".to_owned()),
        OrderEventKind::Reconciled { finding, action } => {
            let done = match action {
                RepairAction::Recorded => "recorded".to_owned(),
                RepairAction::Releasing => "releasing it".to_owned(),
                RepairAction::Released => "released".to_owned(),
                RepairAction::Failed { reason } => format!("it still exists: {reason}"),
            };
            let (service, kind, evidence) = (&finding.service, finding.kind.word(), &finding.evidence);
            (
                Some((finding.step, Some(&finding.provider))),
                format!("{service} is {kind}; {done} ({evidence})"),
            )
        }
    }
}

fn operator<'a>(by: &Operator, action: &OperatorAction) -> (Subject<'a>, String) {
    let Operator { who, why } = by;
    match action {
        OperatorAction::Retry => (None, format!("to be undone once more, says {who}: {why}")),
        OperatorAction::Abandon => (None, format!("given up by {who}: {why}")),
        OperatorAction::Act { index, wanted } => {
            let wanted = wanted.as_ref().map_or("release", Action::word);
            (Some((*index, None)), format!("{wanted} wanted by {who}: {why}"))
        }
        OperatorAction::Settle { index, evidence } => {
            (Some((*index, None)), format!("nothing is left of it, says {who}: {why}; evidence: {evidence}"))
        }
    }
}

impl Engine {
    /// What has happened to an order so far, in words.
    ///
    /// # Errors
    /// [`LedgerError::NoSuchOrder`](crate::ledger::LedgerError::NoSuchOrder), or the ledger cannot be read.
    pub async fn timeline(&self, order: &OrderId) -> Result<Timeline, PurchaseError> {
        let events = self.ledger.events(0, Some(order), u32::MAX).await?;
        Ok(Timeline::new(&self.load(order).await?, &events))
    }
}
