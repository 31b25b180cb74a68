//! The commands of docs/operations.md, as they stand there.

use std::{
    path::Path,
    process::{Command, Output},
    sync::Arc,
};

use fulcrum_core::{
    ledger::{Ledger, OrderQuery, SqliteLedger},
    model::{Order, OrderId},
};

use rust_decimal::Decimal;

use super::{orders, upgrade};

/// The block of commands that is named so.
fn commands(name: &str) -> String {
    let text = include_str!("../../../../docs/operations.md");
    let start = format!("<!-- run: {name} -->\n```sh\n");
    let (_, rest) = text.split_once(&start).unwrap_or_else(|| panic!("no commands to {name}"));
    rest.split_once("\n```").expect("an end").0.to_owned()
}

/// Whether a program is there; said aloud if not.
fn has(program: &str) -> bool {
    let is_there =
        Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    if !is_there {
        println!("SKIPPED: commands of docs/operations.md, as {program} is not installed");
    }
    is_there
}

fn run(name: &str, folder: &Path, variables: &[(&str, &str)]) -> String {
    let mut shell = Command::new("bash");
    shell.args(["-euo", "pipefail", "-c", &commands(name)]).current_dir(folder);
    shell.envs(variables.iter().copied());
    let Output { status, stdout, stderr } = shell.output().expect("a shell");
    let (said, warned) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{name}: {said}{warned}");
    format!("{said}{warned}")
}

async fn listed(ledger: &dyn Ledger) -> Vec<OrderId> {
    let listed = ledger.list(&OrderQuery::default()).await.expect("listed");
    for order in &listed {
        ledger.verify(order).await.expect("whole");
    }
    listed
}

/// Waits until the thread of a ledger that was dropped has closed its file.
async fn closed(folder: &Path) {
    for _ in 0..500 {
        if !folder.join("orders.db-wal").exists() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the ledger stays open");
}

#[test]
fn each_block_of_commands_is_run_by_a_test() {
    let text = include_str!("../../../../docs/operations.md");
    assert_eq!(text.matches("```sh").count(), text.matches("<!-- run: ").count());
    let own = include_str!("operations.rs");
    for name in text.split("<!-- run: ").skip(1).filter_map(|rest| rest.split(" -->").next()) {
        assert!(own.contains(&format!("run(\"{name}\"")), "nothing runs the commands to {name}");
    }
}

#[tokio::test]
async fn a_file_is_looked_into_backed_up_and_restored() {
    if !has("sqlite3") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (folder, orders) = (folder.path(), orders(3).await);
    let ledger = SqliteLedger::open(folder.join("orders.db")).await.expect("a ledger");
    ledger.create(&orders[0]).await.expect("created");
    ledger.create(&orders[1]).await.expect("created");
    let said = run("look at the file", folder, &[]);
    assert!(orders[..2].iter().all(|order| said.contains(order.id.as_str())), "{said}");
    let said = run("look at an order in the file", folder, &[("ORDER", orders[1].id.as_str())]);
    assert!(said.contains("accepted") && said.contains(orders[1].steps[0].key.as_str()), "{said}");
    // Nothing is bought yet, so that nothing is billed.
    let said = run("cost of a stuck order", folder, &[("ORDER", orders[1].id.as_str())]);
    assert!(!said.contains(orders[1].steps[0].key.as_str()), "{said}");
    assert!(run("back up the file", folder, &[]).contains("ok"));
    cost_of_what_may_exist(folder, &orders[1]);
    // The host has gone on meanwhile, and goes on.
    ledger.create(&orders[2]).await.expect("created");
    let id = ledger.id().to_owned();
    drop(ledger);
    closed(folder).await;
    run("restore the file", folder, &[]);
    let ledger = SqliteLedger::open(folder.join("orders.db")).await.expect("a ledger");
    assert_eq!(listed(&ledger).await, [orders[1].id.clone(), orders[0].id.clone()]);
    assert_eq!((ledger.id(), folder.join("set-aside/orders.db").exists()), (id.as_str(), true));
}

/// In a copy of the newest backup, an order has a step that is stuck: it is billed.
fn cost_of_what_may_exist(folder: &Path, order: &Order) {
    let other = tempfile::tempdir().expect("a folder");
    let copy = other.path().join("orders.db");
    let set = "UPDATE steps SET state = json_set(state, '$.state', 'stuck') WHERE position = 0";
    let script = format!("cp backup-*.db {0} && sqlite3 {0} \"$SET\"", copy.display());
    let shell = Command::new("bash").args(["-euc", &script]).env("SET", set).current_dir(folder).status();
    assert!(shell.expect("a shell").success());
    let said = run("cost of a stuck order", other.path(), &[("ORDER", order.id.as_str())]);
    let step = &order.steps[0];
    let month: Decimal = step.lease.lines.iter().map(|line| line.monthly).sum();
    assert!(said.contains(step.key.as_str()) && said.contains("stuck"), "{said}");
    assert!(said.contains(&format!("│ {}", month.normalize())) && !month.is_zero(), "{month}: {said}");
}

#[cfg(feature = "postgres")]
mod shared {
    use std::time::Duration;

    use fulcrum_core::{
        ledger::{OrderUpdate, PostgresLedger},
        model::OrderState,
    };

    use super::super::everywhere;
    use super::*;
    use crate::support::postgres::{database, raw};

    async fn open(url: &str) -> PostgresLedger {
        PostgresLedger::with_connections(url, 4).await.expect("a ledger")
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_database_is_looked_into_backed_up_and_restored() {
        let Some(url) = database().await else { return };
        if !["psql", "pg_dump", "pg_restore"].into_iter().all(has) {
            return;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let (folder, orders) = (folder.path(), orders(2).await);
        let ledger = open(&url).await;
        ledger.create(&orders[0]).await.expect("created");
        let variables = [("LEDGER", &*url), ("ORDER", orders[0].id.as_str())];
        let said = run("look at the database", folder, &variables);
        assert!(said.contains(orders[0].id.as_str()) && said.contains("\"accepted\""), "{said}");
        let mut stranger = raw(&url).await;
        sqlx::raw_sql("BEGIN; SELECT 1 FROM orders FOR UPDATE").execute(&mut stranger).await.expect("locked");
        let said = run("look at locks", folder, &variables);
        assert!(said.contains("FOR UPDATE") && said.contains("(1 row)"), "{said}");
        drop(stranger);
        run("back up the database", folder, &variables);
        ledger.create(&orders[1]).await.expect("created");
        let id = ledger.id().to_owned();
        drop(ledger);
        run("restore the database", folder, &variables);
        let ledger = open(&url).await;
        assert_eq!((listed(&ledger).await, ledger.id()), (vec![orders[0].id.clone()], id.as_str()));
        // Its triggers are those of the restored tables.
        let mut raw = raw(&url).await;
        let refused = sqlx::raw_sql("DELETE FROM events").execute(&mut raw).await.expect_err("refused");
        assert!(refused.to_string().contains("never removed"), "{refused}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_host_needs_no_more_rights_than_the_documentation_grants() {
        let Some(url) = database().await else { return };
        if !has("psql") {
            return;
        }
        let order = orders(1).await.remove(0);
        let owner = open(&url).await;
        let role = format!("host_{}", uuid::Uuid::now_v7().simple());
        let mut raw = raw(&url).await;
        let create = sqlx::AssertSqlSafe(format!("CREATE ROLE {role} LOGIN"));
        sqlx::raw_sql(create).execute(&mut raw).await.expect("created");
        let folder = tempfile::tempdir().expect("a folder");
        let as_host = url.replace("//fulcrum@", &format!("//{role}@"));
        let refused = PostgresLedger::open(&as_host).await.expect_err("it has no rights yet");
        assert!(refused.to_string().contains("permission denied"), "{refused}");
        run("rights", folder.path(), &[("LEDGER", &*url), ("ROLE", &role)]);
        let host = open(&as_host).await;
        host.create(&order).await.expect("created");
        let claims =
            host.claim_next("host", Duration::from_secs(60), 1, &everywhere()).await.expect("claimed");
        let refused = OrderUpdate { order: Some((OrderState::Refused, None)), ..OrderUpdate::default() };
        host.write(&claims[0], &refused).await.expect("written");
        host.relinquish(&claims[0]).await.expect("released");
        assert_eq!(host.events(0, None, 10).await.expect("read").len(), 2);
        assert!(host.purge(&order.id, jiff::Timestamp::MAX).await.expect("asked"), "not removed");
        assert_eq!(owner.list(&OrderQuery::default()).await.expect("listed"), []);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_file_is_moved_into_a_database_and_its_orders_finish_there() {
        let Some(url) = database().await else { return };
        if !["psql", "sqlite3"].into_iter().all(has) {
            return;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let path = upgrade::embedded(folder.path());
        let file = SqliteLedger::open(&path).await.expect("a ledger");
        // One that is gone leaves its id behind.
        let gone = orders(1).await.remove(0);
        file.create(&gone).await.expect("created");
        let claim = file.claim(&gone.id, "a host", Duration::from_secs(60)).await.expect("claimed");
        file.write(
            &claim,
            &OrderUpdate { order: Some((OrderState::Refused, None)), ..OrderUpdate::default() },
        )
        .await
        .expect("written");
        file.relinquish(&claim).await.expect("released");
        file.commit_offset("billing", u64::MAX).await.expect("delivered");
        assert!(file.purge(&gone.id, jiff::Timestamp::MAX).await.expect("asked"), "not removed");
        file.drop_consumer("billing").await.expect("dropped");
        file.commit_offset("billing", 3).await.expect("delivered");
        let id = file.id().to_owned();
        drop(file);
        closed(folder.path()).await;
        drop(open(&url).await);
        run("move the file to the database", folder.path(), &[("LEDGER", &*url)]);
        let ledger = Arc::new(open(&url).await);
        assert_eq!(ledger.id(), id);
        assert!(ledger.create(&gone).await.is_err(), "the id of an order that was removed is used again");
        upgrade::finishes(ledger, "sqlite").await;
    }
}
