//! A ledger in a few maps: as correct as the others, and fast. It passes `check_ledger`.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use async_trait::async_trait;
use fulcrum_core::{
    ledger::{
        Claim, Ledger, LedgerError, OrderQuery, OrderUpdate, Result, SerialSlot, WriteReceipt, verify_events,
    },
    model::{
        Acceptance, Cancellation, Operator, Order, OrderEvent, OrderEventKind, OrderId, OrderState,
        ProviderId, RecordedKind, RepairAction, ServiceId, Step, StepState,
    },
};
use jiff::Timestamp;
use tokio::sync::watch;

#[derive(Debug)]
struct Kept {
    order: Order,
    events: Vec<OrderEvent>,
    owner: Option<String>,
    token: u64,
    until: Timestamp,
    failed_drives: u32,
    next_try: Option<Timestamp>,
}

#[derive(Debug, Default)]
struct State {
    orders: BTreeMap<OrderId, Kept>,
    forgotten: BTreeSet<OrderId>,
    gates: BTreeMap<String, SerialSlot>,
    cursors: BTreeMap<String, u64>,
    sequence: u64,
}

#[derive(Debug)]
pub struct MemoryLedger {
    state: Mutex<State>,
    changes: watch::Sender<u64>,
}

fn after(ttl: Duration) -> Timestamp {
    Timestamp::now().checked_add(ttl).unwrap_or(Timestamp::MAX)
}

/// Each part with its length before it.
fn hash(previous: &str, order: &OrderId, number: u64, at: Timestamp, kind: &str) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in [previous, order.as_str(), &number.to_string(), &at.to_string(), kind] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

fn tell(kept: &mut Kept, sequence: &mut u64, kind: OrderEventKind) {
    let (number, at) = (kept.events.len() as u64 + 1, Timestamp::now());
    let kind = RecordedKind::new(kind).expect("an event is text");
    let previous = kept.events.last().map_or("", |event| event.hash.as_str());
    let order = kept.order.id.clone();
    let hash = hash(previous, &order, number, at, kind.text());
    *sequence += 1;
    kept.events.push(OrderEvent { sequence: *sequence, number, order, at, kind, hash });
}

impl State {
    fn kept(&mut self, order: &OrderId) -> Result<&mut Kept> {
        self.orders.get_mut(order).ok_or_else(|| LedgerError::NoSuchOrder(order.clone()))
    }

    fn claimed(&mut self, claim: &Claim) -> Result<(&mut Kept, &mut u64)> {
        let kept = self.orders.get_mut(&claim.order).filter(|kept| kept.token == claim.token);
        let kept = kept.ok_or_else(|| LedgerError::Fenced(claim.order.clone()))?;
        Ok((kept, &mut self.sequence))
    }
}

impl Kept {
    fn take(&mut self, owner: &str, ttl: Duration) -> Claim {
        (self.owner, self.until) = (Some(owner.to_owned()), after(ttl));
        self.token += 1;
        Claim { order: self.order.id.clone(), token: self.token, until: self.until }
    }

    fn is_free(&self, now: Timestamp) -> bool {
        self.owner.is_none() || self.until <= now
    }

    /// Whether nothing of it exists, by its events.
    fn is_gone(&self) -> bool {
        let mut found = BTreeMap::new();
        for event in &self.events {
            if let OrderEventKind::Reconciled { finding, action } = &*event.kind
                && !matches!(action, RepairAction::Recorded)
            {
                found.insert(&finding.service, matches!(action, RepairAction::Released));
            }
        }
        let is_over = |step: &Step| step.state == StepState::Compensated;
        self.order.state.is_over()
            && self.order.steps.iter().all(is_over)
            && found.into_values().all(|gone| gone)
    }
}

impl Default for MemoryLedger {
    fn default() -> Self {
        Self { state: Mutex::default(), changes: watch::Sender::new(0) }
    }
}

impl MemoryLedger {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics")
    }

    fn announce(&self) {
        self.changes.send_modify(|count| *count += 1);
    }
}

#[async_trait]
impl Ledger for MemoryLedger {
    fn id(&self) -> &str {
        "fuzzledger"
    }

    async fn create(&self, order: &Order) -> Result<()> {
        let mut state = self.state();
        if state.orders.contains_key(&order.id) || state.forgotten.contains(&order.id) {
            return Err(LedgerError::Exists(order.id.clone()));
        }
        let stored = {
            let mut changed = order.clone();
            changed.is_approved = false;
            changed
        };
        let mut kept = Kept {
            order: stored,
            events: Vec::new(),
            owner: None,
            token: 0,
            until: Timestamp::UNIX_EPOCH,
            failed_drives: 0,
            next_try: None,
        };
        let accepted = Some(Box::new(Acceptance::of(order, order.is_approved)));
        let first = OrderEventKind::Order { state: order.state, reason: None, accepted };
        tell(&mut kept, &mut state.sequence, first);
        state.orders.insert(order.id.clone(), kept);
        drop(state);
        self.announce();
        Ok(())
    }

    async fn load(&self, order: &OrderId) -> Result<Option<Order>> {
        Ok(self.state().orders.get(order).map(|kept| kept.order.clone()))
    }

    async fn list(&self, query: &OrderQuery) -> Result<Vec<OrderId>> {
        let state = self.state();
        let is_asked = |(id, kept): &(&OrderId, &Kept)| {
            query.state.is_none_or(|it| it == kept.order.state)
                && query.since.is_none_or(|since| since.as_second() <= kept.order.created.as_second())
                && query.before.as_ref().is_none_or(|before| *id < before)
                && (!query.is_unfinished || kept.order.is_unfinished())
        };
        let most = if query.limit == 0 { usize::MAX } else { query.limit as usize };
        Ok(state.orders.iter().rev().filter(is_asked).map(|(id, _)| id.clone()).take(most).collect())
    }

    async fn claim(&self, order: &OrderId, owner: &str, ttl: Duration) -> Result<Claim> {
        let mut state = self.state();
        let kept = state.kept(order)?;
        if !kept.is_free(Timestamp::now()) {
            let (owner, until) = (kept.owner.clone().unwrap_or_default(), kept.until);
            return Err(LedgerError::Claimed { order: order.clone(), owner, until });
        }
        Ok(kept.take(owner, ttl))
    }

    async fn claim_next(
        &self,
        owner: &str,
        ttl: Duration,
        limit: u32,
        providers: &[ProviderId],
    ) -> Result<Vec<Claim>> {
        let (mut state, now) = (self.state(), Timestamp::now());
        let is_work = |kept: &&mut Kept| {
            kept.order.is_unfinished()
                && kept.is_free(now)
                && kept.next_try.is_none_or(|next| next <= now)
                && kept.order.steps.iter().all(|step| providers.contains(&step.provider))
        };
        let work = state.orders.values_mut().filter(is_work).take(limit as usize);
        Ok(work.map(|kept| kept.take(owner, ttl)).collect())
    }

    async fn renew(&self, claim: &Claim, ttl: Duration) -> Result<Claim> {
        let mut state = self.state();
        let (kept, _) = state.claimed(claim)?;
        kept.until = after(ttl);
        Ok(Claim { until: kept.until, ..claim.clone() })
    }

    async fn relinquish(&self, claim: &Claim) -> Result<()> {
        let mut state = self.state();
        state.claimed(claim)?.0.owner = None;
        Ok(())
    }

    async fn write(&self, claim: &Claim, change: &OrderUpdate) -> Result<WriteReceipt> {
        let mut state = self.state();
        let (kept, sequence) = state.claimed(claim)?;
        for step in &change.steps {
            // A step that is still planned is told with its plan.
            if change.plan.is_some() || step.state != StepState::Planned {
                let (index, provider, step) = (step.index, step.provider.clone(), step.state.clone());
                tell(kept, sequence, OrderEventKind::Step { index, provider, step });
            }
            match kept.order.steps.iter_mut().find(|known| known.index == step.index) {
                Some(known) => *known = step.clone(),
                None => kept.order.steps.push(step.clone()),
            }
        }
        for event in &change.events {
            tell(kept, sequence, event.clone());
        }
        if let Some((plan, rounds)) = &change.plan {
            (kept.order.plan, kept.order.rounds) = (plan.clone(), rounds.clone());
        }
        if let Some((to, reason)) = &change.order {
            if kept.order.state != *to {
                (kept.failed_drives, kept.next_try) = (0, None);
            }
            kept.order.state = *to;
            kept.order.reason = reason.clone().or(kept.order.reason.take());
            tell(
                kept,
                sequence,
                OrderEventKind::Order { state: *to, reason: reason.clone(), accepted: None },
            );
        }
        let is_cancelled = kept.order.cancellation.is_some();
        drop(state);
        self.announce();
        Ok(WriteReceipt { is_cancelled })
    }

    async fn request_cancel(&self, order: &OrderId, by: Option<&Operator>) -> Result<()> {
        let mut guard = self.state();
        let State { orders, sequence, .. } = &mut *guard;
        let kept = orders.get_mut(order).ok_or_else(|| LedgerError::NoSuchOrder(order.clone()))?;
        if kept.order.cancellation.is_some() || kept.order.state.is_over() {
            return Ok(());
        }
        kept.order.cancellation = Some(Cancellation { at: Some(Timestamp::now()), by: by.cloned() });
        tell(kept, sequence, OrderEventKind::CancellationRequested { by: by.cloned() });
        drop(guard);
        self.announce();
        Ok(())
    }

    async fn record_failed_drive(&self, claim: &Claim, reason: &str, next_try: Timestamp) -> Result<u32> {
        let mut state = self.state();
        let (kept, sequence) = state.claimed(claim)?;
        kept.failed_drives += 1;
        kept.next_try = Some(next_try);
        let count = kept.failed_drives;
        tell(kept, sequence, OrderEventKind::DriveFailed { reason: reason.to_owned(), count });
        drop(state);
        self.announce();
        Ok(count)
    }

    async fn is_cancelled(&self, order: &OrderId) -> Result<bool> {
        Ok(self.state().kept(order)?.order.cancellation.is_some())
    }

    async fn events(&self, after: u64, order: Option<&OrderId>, limit: u32) -> Result<Vec<OrderEvent>> {
        let state = self.state();
        let mut events: Vec<OrderEvent> = state
            .orders
            .iter()
            .filter(|(id, _)| order.is_none_or(|order| order == *id))
            .flat_map(|(_, kept)| kept.events.iter().filter(|event| event.sequence > after).cloned())
            .collect();
        events.sort_by_key(|event| event.sequence);
        events.truncate(limit as usize);
        Ok(events)
    }

    async fn verify(&self, order: &OrderId) -> Result<()> {
        verify_events(&self.state().kept(order)?.events).map(drop)
    }

    async fn purge(&self, order: &OrderId, before: Timestamp) -> Result<bool> {
        let mut state = self.state();
        let Some(kept) = state.orders.get(order) else { return Ok(false) };
        let last = kept.events.last().expect("each order has an event");
        let is_taken = state.cursors.values().all(|cursor| *cursor >= last.sequence);
        if !kept.is_free(Timestamp::now()) || last.at >= before || !is_taken || !kept.is_gone() {
            return Ok(false);
        }
        state.orders.remove(order);
        state.forgotten.insert(order.clone());
        Ok(true)
    }

    async fn consumer_offset(&self, name: &str) -> Result<u64> {
        Ok(self.state().cursors.get(name).copied().unwrap_or(0))
    }

    async fn commit_offset(&self, name: &str, sequence: u64) -> Result<u64> {
        let mut state = self.state();
        let cursor = state.cursors.entry(name.to_owned()).or_default();
        *cursor = sequence.max(*cursor);
        Ok(*cursor)
    }

    async fn drop_consumer(&self, name: &str) -> Result<bool> {
        Ok(self.state().cursors.remove(name).is_some())
    }

    async fn acquire_slot(
        &self,
        name: &str,
        claim: &Claim,
        step: u32,
        expected: Option<&SerialSlot>,
    ) -> Result<SerialSlot> {
        let mut state = self.state();
        state.claimed(claim)?;
        let entered = |note| SerialSlot { order: claim.order.clone(), step, token: claim.token, note };
        let gate = match state.gates.get(name) {
            None => entered(None),
            Some(gate) if gate.order == claim.order && gate.step == step && gate.token <= claim.token => {
                entered(gate.note.clone())
            }
            Some(gate) => match expected {
                Some(other)
                    if (&gate.order, gate.step, gate.token) == (&other.order, other.step, other.token) =>
                {
                    entered(None)
                }
                _ => return Ok(gate.clone()),
            },
        };
        state.gates.insert(name.to_owned(), gate.clone());
        Ok(gate)
    }

    async fn annotate_slot(&self, name: &str, claim: &Claim, step: u32, note: &str) -> Result<()> {
        let mut state = self.state();
        let gate = state.gates.get_mut(name).filter(|gate| gate.is_of(claim, step));
        gate.ok_or_else(|| LedgerError::Fenced(claim.order.clone()))?.note = Some(note.to_owned());
        Ok(())
    }

    async fn vacate_slot(&self, name: &str, claim: &Claim, step: u32) -> Result<()> {
        let mut state = self.state();
        if state.gates.get(name).is_some_and(|gate| gate.is_of(claim, step)) {
            state.gates.remove(name);
        }
        Ok(())
    }

    async fn services_at(&self, provider: &ProviderId) -> Result<Vec<ServiceId>> {
        let state = self.state();
        let steps = state
            .orders
            .values()
            .flat_map(|kept| &kept.order.steps)
            .filter(|step| step.provider == *provider);
        Ok(steps.filter_map(|step| step.state.service_id().cloned()).collect())
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

/// Whether nothing more happens to an order by itself.
pub fn is_at_rest(order: &Order) -> bool {
    order.state.is_final() && (order.state != OrderState::Committed || order.cancellation.is_none())
}
