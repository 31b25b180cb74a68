//! What every ledger must pass: public, so that a host can test a store of its own.

use std::time::Duration;

use jiff::Timestamp;

use super::{Claim, Ledger, LedgerError, OrderQuery, OrderUpdate, SerialSlot, verify_events};
use crate::model::{
    Operator, Order, OrderEventKind, OrderState, ProviderId, RequestSent, ServiceId, Step, StepState,
};

const CLAIM_TTL: Duration = Duration::from_secs(60);

macro_rules! ensure {
    ($condition:expr, $($what:tt)+) => {
        if !$condition {
            return Err(format!($($what)+));
        }
    };
}

/// Checks a ledger that nobody else uses meanwhile, with a new order of at least one step, in state accepted and planned.
///
/// # Errors
/// The first promise that does not hold, in words.
pub async fn check_ledger(ledger: &dyn Ledger, order: &Order) -> Result<(), String> {
    let said = |error: LedgerError| error.to_string();
    ledger.create(order).await.map_err(said)?;
    let again = ledger.create(order).await;
    ensure!(matches!(again, Err(LedgerError::Exists(_))), "an order was created twice");
    let read = ledger.load(&order.id).await.map_err(said)?;
    ensure!(read.as_ref() == Some(order), "what was read is not what was written");
    let is_id = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    ensure!(
        ledger.id().len() == 10 && ledger.id().chars().all(is_id),
        "{:?} is no name of a ledger",
        ledger.id()
    );
    let providers: Vec<ProviderId> = order.steps.iter().map(|step| step.provider.clone()).collect();
    let providers = &providers[..];

    let next = ledger.claim_next("first", CLAIM_TTL, 1_000, providers).await.map_err(said)?;
    let first = next.into_iter().find(|claim| claim.order == order.id);
    let first = first.ok_or("an order that waits is not given to who asks for work")?;
    let again = ledger.claim_next("second", CLAIM_TTL, 1_000, providers).await.map_err(said)?;
    ensure!(again.iter().all(|claim| claim.order != order.id), "two hosts were given one order");
    let second = ledger.claim(&order.id, "second", CLAIM_TTL).await;
    ensure!(matches!(second, Err(LedgerError::Claimed { .. })), "two hosts hold one order");
    ledger.relinquish(&first).await.map_err(said)?;
    let second = ledger.claim(&order.id, "second", Duration::ZERO).await.map_err(said)?;
    ensure!(second.token > first.token, "a new claim does not outrank the old one");
    let next = ledger.claim_next("third", Duration::ZERO, 1_000, providers).await.map_err(said)?;
    let second = next.into_iter().find(|claim| claim.order == order.id);
    let second = second.ok_or("an order whose driver's lease ended is not given to who asks for work")?;
    let late = ledger.write(&first, &OrderUpdate::default()).await;
    ensure!(matches!(late, Err(LedgerError::Fenced(_))), "a host that lost its claim could write");
    let late = ledger.renew(&first, CLAIM_TTL).await;
    ensure!(matches!(late, Err(LedgerError::Fenced(_))), "a host that lost its claim could renew it");
    // Its lease has ended, as it was zero: the next one gets it without a release.
    let third = ledger.claim(&order.id, "third", CLAIM_TTL).await.map_err(said)?;
    let late = ledger.write(&second, &OrderUpdate::default()).await;
    ensure!(
        matches!(late, Err(LedgerError::Fenced(_))),
        "a host whose lease ended could write after a takeover"
    );

    let before = ledger.events(0, Some(&order.id), 1000).await.map_err(said)?.len();
    let mut step = order.steps[0].clone();
    step.state = StepState::Stuck { reason: "for a test".to_owned(), service: None, operation: None };
    let change = OrderUpdate {
        order: Some((OrderState::Stuck, Some("for a test".to_owned()))),
        steps: vec![step.clone()],
        ..OrderUpdate::default()
    };
    let mut changes = ledger.changes();
    changes.mark_unchanged();
    ledger.write(&third, &change).await.map_err(said)?;
    ensure!(changes.has_changed().unwrap_or(false), "a write was not announced");
    let read = ledger.load(&order.id).await.map_err(said)?.ok_or("the order is gone")?;
    ensure!(read.state == OrderState::Stuck && read.steps[0] == step, "a write was lost");
    ensure!(read.reason.as_deref() == Some("for a test"), "the reason was lost");
    let events = ledger.events(0, Some(&order.id), 1000).await.map_err(said)?;
    ensure!(events.len() == before + 2, "a write told {} events, not 2", events.len() - before);
    ensure!(events.is_sorted_by(|a, b| a.sequence < b.sequence), "events are out of order");
    let is_told = events.iter().any(|event| matches!(*event.kind, OrderEventKind::Step { .. }));
    ensure!(is_told, "a step's change was not told");
    let numbers: Vec<u64> = events.iter().map(|event| event.number).collect();
    ensure!(numbers.iter().copied().eq(1..=numbers.len() as u64), "events are numbered {numbers:?}");
    ledger.verify(&order.id).await.map_err(said)?;
    verify_events(&events).map_err(said)?;
    let all = ledger.events(0, None, 1000).await.map_err(said)?;
    ensure!(events.iter().all(|event| all.contains(event)), "an event is missing among those of all orders");
    let page = ledger.events(events[0].sequence, Some(&order.id), 1).await.map_err(said)?;
    ensure!(page.as_slice() == &events[1..2], "the next page of events is wrong");

    check_cancel(ledger, order).await.map_err(said)??;

    let unfinished = OrderQuery { is_unfinished: true, ..OrderQuery::default() };
    let listed = ledger.list(&unfinished).await.map_err(said)?;
    ensure!(!listed.contains(&order.id), "a stuck order is listed as unfinished");
    let next = ledger.claim_next("fourth", Duration::ZERO, 1_000, providers).await.map_err(said)?;
    ensure!(next.iter().all(|claim| claim.order != order.id), "a stuck order is given to who asks for work");
    let third = check_work(ledger, order, third).await.map_err(said)??;
    let listed = ledger.list(&OrderQuery::default()).await.map_err(said)?;
    ensure!(listed.contains(&order.id), "an order is not listed");
    let since = |at: Option<Timestamp>| OrderQuery { since: at, ..OrderQuery::default() };
    let listed = ledger.list(&since(Some(order.created))).await.map_err(said)?;
    ensure!(listed.contains(&order.id), "an order is not listed since it was accepted");
    let later = order.created.checked_add(jiff::SignedDuration::from_secs(1)).ok();
    let listed = ledger.list(&since(later)).await.map_err(said)?;
    ensure!(!listed.contains(&order.id), "an order is listed since a later second");
    check_cursor(ledger).await.map_err(said)??;
    check_gate(ledger, order, &first, &third).await.map_err(said)??;
    check_forget(ledger, order, &third).await
}

macro_rules! ensure_that {
    ($condition:expr, $($what:tt)+) => {
        if !$condition {
            return Ok(Err(format!($($what)+)));
        }
    };
}

/// Of an order that nobody has cancelled.
async fn check_cancel(ledger: &dyn Ledger, order: &Order) -> Result<Result<(), String>, LedgerError> {
    let id = &order.id;
    ensure_that!(!ledger.is_cancelled(id).await?, "an order is cancelled from the start");
    let by = Operator { who: "a test".to_owned(), why: "to see it".to_owned() };
    let before = ledger.events(0, Some(id), 1000).await?;
    let mut changes = ledger.changes();
    changes.mark_unchanged();
    ledger.request_cancel(id, Some(&by)).await?;
    ensure_that!(changes.has_changed().unwrap_or(false), "a cancellation was not announced");
    ensure_that!(ledger.is_cancelled(id).await?, "a cancellation was lost");
    // A second one changes nothing, whoever asks.
    ledger.request_cancel(id, None).await?;
    let events = ledger.events(0, Some(id), 1000).await?;
    let told = OrderEventKind::CancellationRequested { by: Some(by.clone()) };
    ensure_that!(
        events.len() == before.len() + 1 && events[before.len()].kind == told,
        "a cancellation is told by {:?}",
        &events[before.len()..]
    );
    let read = ledger.load(id).await?.and_then(|order| order.cancellation);
    let is_read = read.as_ref().is_some_and(|read| read.by.as_ref() == Some(&by) && read.at.is_some());
    ensure_that!(is_read, "a cancellation was read as {read:?}");
    ledger.verify(id).await?;
    Ok(Ok(()))
}

/// Which orders are work for whom. Of an order that is stuck and cancelled, under its claim; the answer is the newest claim.
async fn check_work(
    ledger: &dyn Ledger,
    order: &Order,
    claim: Claim,
) -> Result<Result<Claim, String>, LedgerError> {
    let id = &order.id;
    let to = |state| OrderUpdate { order: Some((state, None)), ..OrderUpdate::default() };
    let providers: Vec<ProviderId> = order.steps.iter().map(|step| step.provider.clone()).collect();
    let next = async |providers: &[ProviderId]| {
        let next = ledger.claim_next("a worker", CLAIM_TTL, 1_000, providers).await?;
        Ok::<_, LedgerError>(next.into_iter().find(|claim| claim.order == *id))
    };
    let unfinished = OrderQuery { is_unfinished: true, ..OrderQuery::default() };
    ledger.write(&claim, &to(OrderState::Committed)).await?;
    ledger.relinquish(&claim).await?;
    ensure_that!(
        ledger.list(&unfinished).await?.contains(id),
        "a cancelled order is not listed as unfinished"
    );
    ensure_that!(next(&[]).await?.is_none(), "an order was given to a host without its providers");
    let Some(claim) = next(&providers).await? else {
        return Ok(Err("a committed order that is cancelled is not given to who asks for work".to_owned()));
    };

    // A step at another provider: a host needs that one too.
    let Ok(other) = "somewhere-else".parse::<ProviderId>() else { return Ok(Err("no name".to_owned())) };
    let index = u32::try_from(order.steps.len()).unwrap_or(u32::MAX);
    let Ok(key) = format!("{}-more", order.steps[0].key).parse() else { return Ok(Err("no key".to_owned())) };
    let state = StepState::Compensated;
    let more = Step { index, key, state, provider: other.clone(), ..order.steps[0].clone() };
    ledger.write(&claim, &OrderUpdate { steps: vec![more], ..to(OrderState::Provisioning) }).await?;
    ledger.relinquish(&claim).await?;
    ensure_that!(next(&providers).await?.is_none(), "an order was given to a host without its new provider");
    let all: Vec<ProviderId> = providers.into_iter().chain([other]).collect();
    let Some(claim) = next(&all).await? else {
        return Ok(Err("an order with a new provider is not given to a host that has it".to_owned()));
    };

    let wait = |now: Timestamp| now.checked_add(CLAIM_TTL).unwrap_or(Timestamp::MAX);
    let before = ledger.events(0, Some(id), 1000).await?.len();
    for count in 1..=2 {
        let counted = ledger.record_failed_drive(&claim, "for a test", wait(Timestamp::now())).await?;
        ensure_that!(counted == count, "failed drive {count} was counted as {counted}");
    }
    let events = ledger.events(0, Some(id), 1000).await?;
    let told = |count| OrderEventKind::DriveFailed { reason: "for a test".to_owned(), count };
    let is_told = events[before..].iter().map(|event| &*event.kind).eq([&told(1), &told(2)]);
    ensure_that!(is_told, "failed drives are told by {:?}", &events[before..]);
    let renewed = ledger.renew(&claim, CLAIM_TTL).await;
    ensure_that!(renewed.is_ok(), "a failed drive took the claim away: {renewed:?}");
    ledger.relinquish(&claim).await?;
    ensure_that!(next(&all).await?.is_none(), "an order was given away before its next try");
    let claim = ledger.claim(id, "a worker", CLAIM_TTL).await?;
    ensure_that!(
        ledger.record_failed_drive(&claim, "for a test", Timestamp::now()).await? == 3,
        "a claim changed the count of failed drives"
    );
    ledger.write(&claim, &to(OrderState::Provisioning)).await?;
    let count = ledger.record_failed_drive(&claim, "for a test", wait(Timestamp::now())).await?;
    ensure_that!(count == 4, "failed drives were forgotten though the order stands still: {count}");
    ledger.write(&claim, &to(OrderState::Compensating)).await?;
    ledger.relinquish(&claim).await?;
    let Some(newest) = next(&all).await? else {
        return Ok(Err("an order that has come on still waits for its next try".to_owned()));
    };
    let stale = ledger.record_failed_drive(&claim, "for a test", Timestamp::now()).await;
    ensure_that!(matches!(stale, Err(LedgerError::Fenced(_))), "a host that lost its claim counted a drive");
    let count = ledger.record_failed_drive(&newest, "for a test", Timestamp::now()).await?;
    ensure_that!(count == 1, "a new state of the order left the count of failed drives at {count}");
    ledger.write(&newest, &to(OrderState::Stuck)).await?;
    Ok(Ok(newest))
}

/// `stale` is a claim of the order that another one has outranked, `claim` the newest.
async fn check_gate(
    ledger: &dyn Ledger,
    order: &Order,
    stale: &Claim,
    claim: &Claim,
) -> Result<Result<(), String>, LedgerError> {
    macro_rules! ensure {
        ($condition:expr, $what:literal) => {
            if !$condition {
                return Ok(Err($what.to_owned()));
            }
        };
    }
    const NAME: &str = "a test";
    let fenced = |outcome: &Result<(), LedgerError>| matches!(outcome, Err(LedgerError::Fenced(_)));
    let late = ledger.acquire_slot(NAME, stale, 0, None).await.map(drop);
    ensure!(fenced(&late), "a host that lost its claim came through a gate");
    let first = ledger.acquire_slot(NAME, claim, 0, None).await?;
    ensure!(first.is_of(claim, 0) && first.note.is_none(), "nobody is in, and a step is not let in");
    ledger.annotate_slot(NAME, claim, 0, "noted").await?;
    let noted = SerialSlot { note: Some("noted".to_owned()), ..first.clone() };
    ensure!(ledger.acquire_slot(NAME, claim, 0, None).await? == noted, "a note was lost");
    ensure!(ledger.acquire_slot(NAME, claim, 1, None).await? == noted, "two steps are in");
    let other = SerialSlot { token: claim.token + 1, ..first.clone() };
    let answer = ledger.acquire_slot(NAME, claim, 1, Some(&other)).await?;
    ensure!(answer == noted, "a step came in instead of one that was not in");
    ensure!(ledger.acquire_slot("another", claim, 1, None).await?.is_of(claim, 1), "two gates are one");
    ledger.vacate_slot("another", claim, 1).await?;
    ensure!(fenced(&ledger.annotate_slot(NAME, claim, 1, "").await), "a step that is not in wrote a note");
    ledger.vacate_slot(NAME, claim, 1).await?;
    ledger.vacate_slot(NAME, stale, 0).await?;
    ensure!(ledger.acquire_slot(NAME, claim, 1, None).await? == noted, "a step was let out by another");
    let second = ledger.acquire_slot(NAME, claim, 1, Some(&first)).await?;
    ensure!(second.is_of(claim, 1) && second.note.is_none(), "a step was not let in instead of another");
    ledger.vacate_slot(NAME, claim, 1).await?;
    let third = ledger.acquire_slot(NAME, claim, 0, None).await?;
    ensure!(third.is_of(claim, 0) && third.note.is_none(), "a gate is not free once it was left");
    ledger.vacate_slot(NAME, claim, 0).await?;
    let (provider, service) = (&order.steps[0].provider, ServiceId::new(order.id.as_str()).ok());
    let state = StepState::Compensating {
        service: service.clone(),
        operation: None,
        sent: RequestSent::Known,
        since: Timestamp::UNIX_EPOCH,
    };
    let change =
        OrderUpdate { steps: vec![Step { state, ..order.steps[0].clone() }], ..OrderUpdate::default() };
    ensure!(
        !ledger.services_at(provider).await?.iter().any(|it| Some(it) == service.as_ref()),
        "a service is known too early"
    );
    ledger.write(claim, &change).await?;
    ensure!(
        ledger.services_at(provider).await?.iter().any(|it| Some(it) == service.as_ref()),
        "a service that a step has is not known"
    );
    Ok(Ok(()))
}

async fn check_cursor(ledger: &dyn Ledger) -> Result<Result<(), String>, LedgerError> {
    let said = async {
        for (to, now) in [(0, 0), (3, 3), (9, 9), (4, 9), (0, 9)] {
            let advanced = ledger.commit_offset("a test", to).await?;
            let read = ledger.consumer_offset("a test").await?;
            if (advanced, read) != (now, now) {
                return Ok(Err(format!("a cursor at {now} was {advanced} after {to}, and read as {read}")));
            }
        }
        let other = ledger.consumer_offset("another test").await?;
        let dropped = [ledger.drop_consumer("a test").await?, ledger.drop_consumer("a test").await?];
        let after = ledger.consumer_offset("a test").await?;
        let is_fine = (other, dropped, after) == (0, [true, false], 0);
        Ok(is_fine.then_some(()).ok_or(format!("cursors: {other}, {dropped:?}, {after}")))
    };
    said.await
}

/// Of an order that is stuck, under its claim.
async fn check_forget(ledger: &dyn Ledger, order: &Order, claim: &Claim) -> Result<(), String> {
    let said = |error: LedgerError| error.to_string();
    let end = Timestamp::MAX;
    let undone =
        order.steps.iter().map(|step| Step { state: StepState::Compensated, ..step.clone() }).collect();
    let change =
        OrderUpdate { order: Some((OrderState::Ended, None)), steps: undone, ..OrderUpdate::default() };
    ledger.relinquish(claim).await.map_err(said)?;
    ensure!(!ledger.purge(&order.id, end).await.map_err(said)?, "a stuck order was removed");
    let claim = ledger.claim(&order.id, "fifth", CLAIM_TTL).await.map_err(said)?;
    ledger.write(&claim, &change).await.map_err(said)?;
    ensure!(
        !ledger.purge(&order.id, end).await.map_err(said)?,
        "an order was removed while somebody held its claim"
    );
    ledger.relinquish(&claim).await.map_err(said)?;
    let told = ledger.events(0, Some(&order.id), 1000).await.map_err(said)?.len();
    ledger.request_cancel(&order.id, None).await.map_err(said)?;
    let events = ledger.events(0, Some(&order.id), 1000).await.map_err(said)?.len();
    ensure!(events == told, "an order that is over was cancelled");
    let last =
        ledger.events(0, Some(&order.id), 1000).await.map_err(said)?.pop().ok_or("its events are gone")?;
    ensure!(!ledger.purge(&order.id, last.at).await.map_err(said)?, "an order was removed before its time");
    for (sequence, may) in [(0, false), (last.sequence - 1, false), (last.sequence, true)] {
        ledger.commit_offset("a test", sequence).await.map_err(said)?;
        let is_gone = ledger.purge(&order.id, end).await.map_err(said)?;
        ensure!(is_gone == may, "delivered up to {sequence} of {}, removed: {is_gone}", last.sequence);
    }
    ledger.drop_consumer("a test").await.map_err(said)?;
    ensure!(!ledger.purge(&order.id, end).await.map_err(said)?, "an order was removed twice");
    ensure!(ledger.load(&order.id).await.map_err(said)?.is_none(), "a removed order was read");
    let listed = ledger.list(&OrderQuery::default()).await.map_err(said)?;
    ensure!(!listed.contains(&order.id), "a removed order is listed");
    for of in [None, Some(&order.id)] {
        let events = ledger.events(0, of, 1000).await.map_err(said)?;
        ensure!(events.iter().all(|event| event.order != order.id), "an event of a removed order was read");
    }
    let gone = |outcome| matches!(outcome, Err(LedgerError::NoSuchOrder(_)));
    ensure!(gone(ledger.verify(&order.id).await), "a removed order was verified");
    ensure!(gone(ledger.request_cancel(&order.id, None).await), "a removed order was cancelled");
    ensure!(gone(ledger.claim(&order.id, "sixth", CLAIM_TTL).await.map(drop)), "a removed order was claimed");
    let again = ledger.create(order).await;
    ensure!(matches!(again, Err(LedgerError::Exists(_))), "the id of a removed order was used again");
    ensure!(ledger.load(&order.id).await.map_err(said)?.is_none(), "a removed order came back");
    Ok(())
}
