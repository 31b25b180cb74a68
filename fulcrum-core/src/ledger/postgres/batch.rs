//! Group commit: what many drivers write at the same time goes to the database together, in a handful of round trips
//! and one flush of its disk. Nothing waits for company: a lone write is sent at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;
use sqlx::{PgPool, Postgres, Row, Transaction};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use super::{CHANNEL, EVENTS_LOCK};
use crate::{
    ledger::{
        Change, Claim, LedgerError, Result, Written,
        chain::{Head, Link},
        kept::{StepTexts, Texts},
        stored::{self, changed_kinds, store, token},
    },
    model::{OrderId, Step},
};

/// Writes in one transaction at most.
const MOST: usize = 256;
/// Transactions under way at once, so that one can be filled while another becomes durable.
const AT_ONCE: usize = 2;

/// What waits to be written.
pub(super) struct Job {
    pub(super) claim: Claim,
    pub(super) change: Change,
    pub(super) texts: Texts,
    pub(super) asker: oneshot::Sender<Result<Written>>,
}

/// Writes what comes, until nobody can send any more.
pub(super) async fn serve(pool: PgPool, mut jobs: mpsc::UnboundedReceiver<Job>, changes: watch::Sender<u64>) {
    let permits = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let Ok(permit) = permits.clone().acquire_owned().await else { return };
        let mut batch = Vec::new();
        if jobs.recv_many(&mut batch, MOST).await == 0 {
            return;
        }
        let (pool, changes) = (pool.clone(), changes.clone());
        tokio::spawn(async move {
            write(&pool, batch, &changes).await;
            drop(permit);
        });
    }
}

/// Why nothing of a batch was written.
pub(super) enum Failure {
    /// One of the writes is to blame: each may be tried by itself.
    Write(LedgerError),
    /// The database, which may even have committed.
    Store(LedgerError),
}

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Self {
        Self::Write(error)
    }
}

impl Failure {
    pub(super) fn into_error(self) -> LedgerError {
        match self {
            Self::Write(error) | Self::Store(error) => error,
        }
    }
}

fn failed(error: sqlx::Error) -> Failure {
    match error {
        sqlx::Error::Database(_) => Failure::Write(store(error)),
        _ => Failure::Store(store(error)),
    }
}

async fn write(pool: &PgPool, batch: Vec<Job>, changes: &watch::Sender<u64>) {
    match together(pool, &batch).await {
        Err(Failure::Write(_)) if batch.len() > 1 => {
            for job in batch {
                let alone = std::slice::from_ref(&job);
                let outcome = together(pool, alone).await;
                answer(vec![job], outcome, changes);
            }
        }
        outcome => answer(batch, outcome, changes),
    }
}

fn answer(batch: Vec<Job>, outcome: Result<Vec<Option<Written>>, Failure>, changes: &watch::Sender<u64>) {
    match outcome {
        Ok(written) => {
            changes.send_modify(|count| *count += 1);
            for (job, written) in batch.into_iter().zip(written) {
                let _ = job.asker.send(written.ok_or(LedgerError::Fenced(job.claim.order)));
            }
        }
        Err(Failure::Write(error) | Failure::Store(error)) => {
            for job in batch {
                let _ = job.asker.send(Err(LedgerError::Store(error.to_string())));
            }
        }
    }
}

/// What becomes of an order's row.
struct NewRow {
    token: i64,
    is_cancelled: bool,
    head: Head,
    state: Option<&'static str>,
    reason: Option<String>,
    plan: Option<String>,
    rounds: Option<String>,
    providers: String,
}

/// All writes in one transaction; none for those whose claim is not the newest.
async fn together(pool: &PgPool, batch: &[Job]) -> Result<Vec<Option<Written>>, Failure> {
    let mut transaction = pool.begin().await.map_err(failed)?;
    let ids: BTreeSet<&OrderId> = batch.iter().map(|job| &job.claim.order).collect();
    let mut rows = lock(&mut transaction, &ids).await?;
    let mut steps: BTreeMap<(&OrderId, u32), (&Step, &StepTexts)> = BTreeMap::new();
    let mut links: Vec<(&OrderId, Link)> = Vec::new();
    let mut written = Vec::with_capacity(batch.len());
    for Job { claim, change, texts, .. } in batch {
        // This is where the fencing token is checked; the row stays locked, so that the chain has one end.
        let row = rows.get_mut(&claim.order).filter(|row| row.token == token(claim));
        let Some(row) = row else {
            written.push(None);
            continue;
        };
        let with_texts = change.steps.iter().zip(&texts.steps);
        steps.extend(with_texts.map(|(step, texts)| ((&claim.order, step.index), (step, texts))));
        for kind in changed_kinds(change) {
            links.push((&claim.order, row.head.append(&claim.order, Timestamp::now(), &kind)?));
        }
        if let Some((state, reason)) = &change.order {
            row.state = Some(state.word());
            row.reason = reason.clone().or(row.reason.take());
        }
        if let Some((plan, rounds)) = &texts.plan {
            row.plan = Some(plan.clone());
            row.rounds = Some(rounds.clone());
        }
        if let Some(providers) = stored::more_providers(&row.providers, &change.steps)? {
            row.providers = providers;
        }
        written.push(Some(Written { is_cancelled: row.is_cancelled }));
    }
    put_steps(
        &mut transaction,
        &steps.into_iter().map(|((order, _), (step, texts))| (order, step, texts)).collect::<Vec<_>>(),
    )
    .await?;
    tell(&mut transaction, &links).await?;
    put_orders(&mut transaction, &rows).await?;
    let news: Vec<&str> =
        rows.iter().filter(|(_, row)| row.state.is_some()).map(|(id, _)| id.as_str()).collect();
    if !news.is_empty() {
        sqlx::query("SELECT pg_notify($1, id) FROM unnest($2::text[]) AS id")
            .bind(CHANNEL)
            .bind(news.into_iter().map(str::to_owned).collect::<Vec<_>>())
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
    }
    transaction.commit().await.map_err(|error| Failure::Store(store(error)))?;
    Ok(written)
}

/// In the order of their ids, so that two transactions never wait for each other.
async fn lock(
    transaction: &mut Transaction<'static, Postgres>,
    ids: &BTreeSet<&OrderId>,
) -> Result<BTreeMap<OrderId, NewRow>, Failure> {
    let found = sqlx::query(
        "SELECT id, claim_token, cancelled, events, head, providers, pg_advisory_xact_lock_shared($2) FROM orders
         WHERE id = ANY($1) ORDER BY id FOR UPDATE",
    )
    .bind(ids.iter().map(|id| id.as_str().to_owned()).collect::<Vec<_>>())
    .bind(EVENTS_LOCK)
    .fetch_all(&mut **transaction)
    .await
    .map_err(failed)?;
    let row = |row: &sqlx::postgres::PgRow| {
        let id = stored::order_id(row.try_get("id").map_err(store)?)?;
        let head = Head {
            count: row.try_get::<i64, _>("events").map_err(store)?.unsigned_abs(),
            hash: row.try_get("head").map_err(store)?,
        };
        let token = row.try_get("claim_token").map_err(store)?;
        let is_cancelled = row.try_get("cancelled").map_err(store)?;
        let providers = row.try_get("providers").map_err(store)?;
        let (state, reason, plan, rounds) = (None, None, None, None);
        Ok((id, NewRow { token, is_cancelled, head, state, reason, plan, rounds, providers }))
    };
    found.iter().map(row).collect::<Result<_>>().map_err(Failure::Write)
}

/// Steps in their new form, each once.
pub(super) async fn put_steps(
    transaction: &mut Transaction<'static, Postgres>,
    steps: &[(&OrderId, &Step, &StepTexts)],
) -> Result<(), Failure> {
    if steps.is_empty() {
        return Ok(());
    }
    let names =
        |of: fn(&Step) -> &str| steps.iter().map(|(_, step, _)| of(step).to_owned()).collect::<Vec<_>>();
    let texts = |of: fn(&StepTexts) -> &String| {
        steps.iter().map(|(_, _, texts)| of(texts).clone()).collect::<Vec<_>>()
    };
    let positions = steps
        .iter()
        .map(|(_, step, _)| i32::try_from(step.index).map_err(store))
        .collect::<Result<Vec<_>>>()?;
    sqlx::query(
        "INSERT INTO steps (order_id, position, step_key, provider, lease, state, attempts)
         SELECT * FROM unnest($1::text[], $2::int[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
         ON CONFLICT (order_id, position)
         DO UPDATE SET lease = excluded.lease, state = excluded.state, attempts = excluded.attempts",
    )
    .bind(steps.iter().map(|(order, ..)| order.as_str().to_owned()).collect::<Vec<_>>())
    .bind(positions)
    .bind(names(|step| step.key.as_str()))
    .bind(names(|step| step.provider.as_str()))
    .bind(texts(|texts| &texts.lease))
    .bind(texts(|texts| &texts.state))
    .bind(texts(|texts| &texts.attempts))
    .execute(&mut **transaction)
    .await
    .map_err(failed)?;
    Ok(())
}

/// Appends events to the chains of their orders. The lock of the events must be shared already.
pub(super) async fn tell(
    transaction: &mut Transaction<'static, Postgres>,
    links: &[(&OrderId, Link)],
) -> Result<(), Failure> {
    if links.is_empty() {
        return Ok(());
    }
    let texts =
        |of: fn(&Link) -> &str| links.iter().map(|(_, link)| of(link).to_owned()).collect::<Vec<String>>();
    // In this order, so that sequence numbers rise with those within an order.
    sqlx::query(
        "INSERT INTO events (order_id, number, at, kind, hash)
         SELECT order_id, number, at, kind, hash
         FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[])
             WITH ORDINALITY AS link (order_id, number, at, kind, hash, position) ORDER BY position",
    )
    .bind(links.iter().map(|(order, _)| order.as_str().to_owned()).collect::<Vec<_>>())
    .bind(links.iter().map(|(_, link)| link.number.cast_signed()).collect::<Vec<i64>>())
    .bind(texts(|link| &link.at))
    .bind(texts(|link| &link.kind))
    .bind(texts(|link| &link.hash))
    .execute(&mut **transaction)
    .await
    .map_err(failed)?;
    Ok(())
}

async fn put_orders(
    transaction: &mut Transaction<'static, Postgres>,
    rows: &BTreeMap<OrderId, NewRow>,
) -> Result<(), Failure> {
    let texts = |of: fn(&NewRow) -> Option<&str>| {
        rows.values().map(|row| of(row).map(str::to_owned)).collect::<Vec<Option<String>>>()
    };
    sqlx::query(
        "UPDATE orders SET state = coalesce(new.state, orders.state), reason = coalesce(new.reason, orders.reason),
             plan = coalesce(new.plan, orders.plan), rounds = coalesce(new.rounds, orders.rounds),
             events = new.events, head = new.head, providers = new.providers,
             failed_drives = CASE WHEN new.state <> orders.state THEN 0 ELSE failed_drives END,
             next_try = CASE WHEN new.state <> orders.state THEN NULL ELSE next_try END
         FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::text[])
             AS new (id, state, reason, plan, rounds, events, head, providers)
         WHERE orders.id = new.id",
    )
    .bind(rows.keys().map(|id| id.as_str().to_owned()).collect::<Vec<_>>())
    .bind(texts(|row| row.state))
    .bind(texts(|row| row.reason.as_deref()))
    .bind(texts(|row| row.plan.as_deref()))
    .bind(texts(|row| row.rounds.as_deref()))
    .bind(rows.values().map(|row| row.head.count.cast_signed()).collect::<Vec<i64>>())
    .bind(texts(|row| Some(&row.head.hash)))
    .bind(texts(|row| Some(&row.providers)))
    .execute(&mut **transaction)
    .await
    .map_err(failed)?;
    Ok(())
}
