//! Group commit: what many drivers write at the same time goes to the database together, in a handful of round trips
//! and one flush of its disk. Nothing waits for company: a lone write is sent at once.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use sqlx::{PgPool, Postgres, Row, Transaction, postgres::PgRow};

use super::{
    error::{LOCKED, READ_ONLY, code, driver_error},
    job::{BatchOutcome, Job, JobOutcome, RefusalCause},
    session::{CHANNEL, with_timeout},
};
use crate::{
    ledger::{
        LedgerError, Result, WriteReceipt,
        codec::{self, changed_kinds, token},
        hash_chain::{ChainHead, ChainLink},
        unknown_fields::StepTexts,
    },
    model::{OrderId, Step},
};

/// How long a statement waits for a lock of another session: others are in the same transaction.
const BEGIN: &str = "BEGIN; SET LOCAL lock_timeout = '250ms'";

/// Why a transaction wrote nothing.
pub(super) enum Failure {
    /// Nothing was committed, and why.
    Refused(LedgerError, RefusalCause),
    /// It may even be committed.
    Unknown(LedgerError),
}

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Self {
        Self::Refused(error, RefusalCause::Write)
    }
}

impl Failure {
    pub(super) fn into_error(self) -> LedgerError {
        match self {
            Self::Refused(error, _) | Self::Unknown(error) => error,
        }
    }
}

fn failed(error: sqlx::Error) -> Failure {
    match code(&error).as_deref() {
        // Also a deadlock, as with a stranger's locks.
        Some(LOCKED | "40P01" | "40001") => Failure::Refused(driver_error(error), RefusalCause::Lock),
        // Read-only, ended by somebody, or of a server that goes down or comes up.
        Some(code) if code == READ_ONLY || code.starts_with("57P") || code.starts_with("08") => {
            Failure::Refused(driver_error(error), RefusalCause::Session)
        }
        Some(_) => Failure::Refused(driver_error(error), RefusalCause::Write),
        // The connection. Nothing is committed before it is asked for.
        None => Failure::Refused(driver_error(error), RefusalCause::Session),
    }
}

/// Writes a batch, all that can be written in one transaction.
pub(super) async fn write(pool: &PgPool, batch: &[Job]) -> BatchOutcome {
    match with_timeout(async { Ok(run_transaction(pool, batch).await) }).await {
        Ok(Ok(each)) => BatchOutcome::Committed(each),
        Ok(Err(Failure::Refused(error, cause))) => BatchOutcome::Refused(error, cause),
        Ok(Err(Failure::Unknown(error))) | Err(error) => BatchOutcome::Failed(error),
    }
}

/// What becomes of an order's row.
struct NewRow {
    token: i64,
    is_cancelled: bool,
    head: ChainHead,
    state: Option<&'static str>,
    reason: Option<String>,
    plan: Option<String>,
    rounds: Option<String>,
    providers: String,
}

/// All writes in one transaction; none for those whose claim is not the newest, or whose order another session has locked.
async fn run_transaction(pool: &PgPool, batch: &[Job]) -> Result<Vec<JobOutcome>, Failure> {
    let mut transaction = pool.begin_with(BEGIN).await.map_err(failed)?;
    match write_jobs(&mut transaction, batch).await {
        Ok(written) => {
            transaction.commit().await.map_err(|error| Failure::Unknown(driver_error(error)))?;
            Ok(written)
        }
        Err(failure) => {
            // Its locks are gone before anything is tried again.
            let _ = transaction.rollback().await;
            Err(failure)
        }
    }
}

async fn write_jobs(
    transaction: &mut Transaction<'static, Postgres>,
    batch: &[Job],
) -> Result<Vec<JobOutcome>, Failure> {
    let ids: BTreeSet<&OrderId> = batch.iter().map(|job| &job.claim.order).collect();
    let mut rows = lock_rows(transaction, &ids).await?;
    let mut steps: BTreeMap<(&OrderId, u32), (&Step, &StepTexts)> = BTreeMap::new();
    let mut links: Vec<(&OrderId, ChainLink)> = Vec::new();
    let mut written = Vec::with_capacity(batch.len());
    for Job { claim, change, texts, .. } in batch {
        // This is where the fencing token is checked; the row stays locked, so that the chain has one end.
        let row = match rows.get_mut(&claim.order) {
            Some(Some(row)) if row.token == token(claim) => row,
            Some(None) => {
                written.push(JobOutcome::Busy);
                continue;
            }
            Some(Some(_)) | None => {
                written.push(JobOutcome::Fenced);
                continue;
            }
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
        if let Some(providers) = codec::more_providers(&row.providers, &change.steps)? {
            row.providers = providers;
        }
        written.push(JobOutcome::Written(WriteReceipt { is_cancelled: row.is_cancelled }));
    }
    let rows: BTreeMap<&OrderId, &NewRow> =
        rows.iter().filter_map(|(id, row)| row.as_ref().map(|row| (id, row))).collect();
    upsert_steps(
        transaction,
        &steps.into_iter().map(|((order, _), (step, texts))| (order, step, texts)).collect::<Vec<_>>(),
    )
    .await?;
    insert_events(transaction, &links).await?;
    update_orders(transaction, &rows).await?;
    let news: Vec<&str> =
        rows.iter().filter(|(_, row)| row.state.is_some()).map(|(id, _)| id.as_str()).collect();
    if !news.is_empty() {
        sqlx::query("SELECT pg_notify($1, id) FROM unnest($2::text[]) AS id")
            .bind(CHANNEL)
            .bind(news.into_iter().map(str::to_owned).collect::<Vec<_>>())
            .execute(&mut **transaction)
            .await
            .map_err(failed)?;
    }
    Ok(written)
}

/// The rows of orders, locked; none for an order that another session has locked. Nobody is waited for.
async fn lock_rows(
    transaction: &mut Transaction<'static, Postgres>,
    ids: &BTreeSet<&OrderId>,
) -> Result<BTreeMap<OrderId, Option<NewRow>>, Failure> {
    let found = sqlx::query(
        "SELECT id, claim_token, cancelled, events, head, providers FROM orders
         WHERE id = ANY($1) FOR UPDATE SKIP LOCKED",
    )
    .bind(ids.iter().map(|id| id.as_str().to_owned()).collect::<Vec<_>>())
    .fetch_all(&mut **transaction)
    .await
    .map_err(failed)?;
    let row = |row: &PgRow| {
        let id = codec::order_id(row.try_get("id").map_err(driver_error)?)?;
        let head = ChainHead {
            count: row.try_get::<i64, _>("events").map_err(driver_error)?.unsigned_abs(),
            hash: row.try_get("head").map_err(driver_error)?,
        };
        let token = row.try_get("claim_token").map_err(driver_error)?;
        let is_cancelled = row.try_get("cancelled").map_err(driver_error)?;
        let providers = row.try_get("providers").map_err(driver_error)?;
        let (state, reason, plan, rounds) = (None, None, None, None);
        Ok((id, Some(NewRow { token, is_cancelled, head, state, reason, plan, rounds, providers })))
    };
    let mut rows: BTreeMap<OrderId, Option<NewRow>> = found.iter().map(row).collect::<Result<_>>()?;
    let others: Vec<String> =
        ids.iter().filter(|id| !rows.contains_key(**id)).map(|id| id.as_str().to_owned()).collect();
    if !others.is_empty() {
        // Locked by somebody else, or not there.
        let locked: Vec<String> = sqlx::query_scalar("SELECT id FROM orders WHERE id = ANY($1)")
            .bind(others)
            .fetch_all(&mut **transaction)
            .await
            .map_err(failed)?;
        for id in locked {
            rows.insert(codec::order_id(&id)?, None);
        }
    }
    Ok(rows)
}

/// Steps in their new form, each once.
pub(super) async fn upsert_steps(
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
        .map(|(_, step, _)| {
            i32::try_from(step.index).map_err(|error| LedgerError::Damaged(format!("position: {error}")))
        })
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

/// Appends events to the chains of their orders.
pub(super) async fn insert_events(
    transaction: &mut Transaction<'static, Postgres>,
    links: &[(&OrderId, ChainLink)],
) -> Result<(), Failure> {
    if links.is_empty() {
        return Ok(());
    }
    let texts = |of: fn(&ChainLink) -> &str| {
        links.iter().map(|(_, link)| of(link).to_owned()).collect::<Vec<String>>()
    };
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

async fn update_orders(
    transaction: &mut Transaction<'static, Postgres>,
    rows: &BTreeMap<&OrderId, &NewRow>,
) -> Result<(), Failure> {
    if rows.is_empty() {
        return Ok(());
    }
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
