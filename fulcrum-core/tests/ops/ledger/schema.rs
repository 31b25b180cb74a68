//! Where the tables are: beside those of an application that has some of the same names.

use fulcrum_core::ledger::{Ledger, OrderQuery, SqliteLedger};
use sqlx::{Connection, SqliteConnection};

use super::{orders, upgrade};

/// An application that uses the same driver, with tables of its own.
const APPLICATION: &str =
    "CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL,
        installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, success BOOLEAN NOT NULL,
        checksum BYTEA NOT NULL, execution_time BIGINT NOT NULL);
    INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
        VALUES (1, 'orders', TRUE, '', 1);
    INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
        VALUES (20240101000000, 'an application', TRUE, '', 1)";

#[tokio::test]
async fn a_file_may_have_an_application_s_own_migrations() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("orders.db");
    let url = format!("sqlite://{}?mode=rwc", path.display());
    let mut raw = SqliteConnection::connect(&url).await.expect("connected");
    sqlx::raw_sql(APPLICATION).execute(&mut raw).await.expect("made");
    let order = orders(1).await.remove(0);
    SqliteLedger::open(&path).await.expect("a ledger").create(&order).await.expect("created");
    let again = SqliteLedger::open(&path).await.expect("a ledger");
    assert_eq!(again.list(&OrderQuery::default()).await.expect("listed"), [order.id]);
    let own: i64 =
        sqlx::query_scalar("SELECT count(*) FROM _sqlx_migrations").fetch_one(&mut raw).await.expect("there");
    assert_eq!(own, 2);
}

#[tokio::test]
async fn processes_that_open_an_older_file_at_once_change_it_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = upgrade::embedded(folder.path());
    let opened = futures::future::join_all((0..4).map(|_| SqliteLedger::open(&path))).await;
    let ids: std::collections::BTreeSet<String> =
        opened.into_iter().map(|ledger| ledger.expect("a ledger").id().to_owned()).collect();
    assert_eq!(ids.len(), 1);
}

#[cfg(feature = "postgres")]
mod shared {
    use fulcrum_core::ledger::{LedgerError, PostgresLedger};
    use sqlx::{AssertSqlSafe, PgConnection};

    use super::*;
    use crate::support::postgres::database;

    async fn connect(url: &str) -> PgConnection {
        PgConnection::connect(url).await.expect("connected")
    }

    async fn run(url: &str, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connect(url).await).await.expect("run");
    }

    async fn count(url: &str, of: &str) -> i64 {
        let query = AssertSqlSafe(format!("SELECT count(*) FROM {of}"));
        sqlx::query_scalar(query).fetch_one(&mut connect(url).await).await.expect("counted")
    }

    /// The ledger of 3c0514d in a schema.
    async fn older(url: &str, schema: &str) {
        let dump = include_str!("fixtures/3c0514d.sql").replace("public.", &format!("{schema}."));
        run(url, &format!("CREATE SCHEMA IF NOT EXISTS {schema}")).await;
        run(url, &dump).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_database_may_have_an_application_s_own_tables() {
        let Some(url) = database().await else { return };
        run(&url, APPLICATION).await;
        run(&url, "CREATE TABLE orders (id SERIAL PRIMARY KEY, name TEXT); CREATE TABLE events (x INT)")
            .await;
        run(&url, "INSERT INTO orders (name) VALUES ('bread'), ('milk')").await;
        let order = orders(1).await.remove(0);
        PostgresLedger::open(&url).await.expect("a ledger").create(&order).await.expect("created");
        let again = PostgresLedger::open(&url).await.expect("a ledger");
        assert_eq!(again.list(&OrderQuery::default()).await.expect("listed"), [order.id]);
        for (of, rows) in [
            ("public.orders", 2),
            ("public._sqlx_migrations", 2),
            ("public.events", 0),
            ("fulcrum.orders", 1),
        ] {
            assert_eq!(count(&url, of).await, rows, "{of}");
        }
        let left = "pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'";
        assert_eq!(count(&url, left).await, 3);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn hosts_that_open_an_older_database_at_once_move_it_once() {
        let Some(url) = database().await else { return };
        older(&url, "public").await;
        run(&url, "CREATE TABLE public.own (id INT); CREATE FUNCTION public.own() RETURNS INT LANGUAGE SQL AS 'SELECT 1'").await;
        let opened =
            futures::future::join_all((0..5).map(|_| PostgresLedger::with_connections(&url, 2))).await;
        for ledger in opened {
            let ledger = ledger.expect("a ledger");
            assert_eq!(ledger.list(&OrderQuery::default()).await.expect("listed").len(), 7);
        }
        let public = |kind: &str| format!("{kind} = 'public'::regnamespace");
        assert_eq!(
            count(&url, &format!("pg_class WHERE {} AND relkind = 'r'", public("relnamespace"))).await,
            1
        );
        assert_eq!(count(&url, &format!("pg_proc WHERE {}", public("pronamespace"))).await, 1);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_older_ledger_is_found_where_the_search_path_leads() {
        let Some(url) = database().await else { return };
        older(&url, "market").await;
        run(&url, APPLICATION).await;
        let there = format!("{}?options[search_path]=public,market", &*url);
        let ledger = PostgresLedger::open(&there).await.expect("a ledger");
        assert_eq!(ledger.list(&OrderQuery::default()).await.expect("listed").len(), 7);
        assert_eq!(count(&url, "public._sqlx_migrations").await, 2);
        // Another one is not taken for it, nor silently left out.
        older(&url, "second").await;
        let refused = PostgresLedger::open(&format!("{}?options[search_path]=second", &*url)).await;
        let Err(LedgerError::Store(words)) = refused else { panic!("{refused:?}") };
        assert!(words.contains("two ledgers") && words.contains("second"), "{words}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_stranger_s_tables_are_neither_taken_over_nor_in_the_way() {
        let Some(url) = database().await else { return };
        let role = format!("stranger_{}", uuid::Uuid::now_v7().simple());
        run(&url, &format!("CREATE ROLE {role} LOGIN; CREATE ROLE {role}_host LOGIN")).await;
        run(
            &url,
            &format!(
                "GRANT CREATE ON SCHEMA public TO {role}; CREATE SCHEMA fulcrum AUTHORIZATION {role}_host"
            ),
        )
        .await;
        let (stranger, host) = (
            url.replace("//fulcrum@", &format!("//{role}@")),
            url.replace("//fulcrum@", &format!("//{role}_host@")),
        );
        // The dump's function bodies need no rights, and its tables are the stranger's.
        run(&stranger, include_str!("fixtures/3c0514d.sql")).await;
        run(&stranger, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO public").await;
        let refused = PostgresLedger::open(&host).await.expect_err("refused").to_string();
        assert!(refused.contains(&role) && refused.contains("older version"), "{refused}");
        run(&stranger, "ALTER TABLE public._sqlx_migrations RENAME TO elsewhere").await;
        let ledger = PostgresLedger::open(&host).await.expect("a ledger");
        assert_eq!(ledger.list(&OrderQuery::default()).await.expect("listed"), []);
        // It comes back when the ledger is there: opening goes on, and nothing of it is read.
        run(&stranger, "ALTER TABLE public.elsewhere RENAME TO _sqlx_migrations").await;
        let again = PostgresLedger::open(&host).await.expect("a ledger");
        assert_eq!(
            (again.list(&OrderQuery::default()).await.expect("listed"), again.id()),
            (vec![], ledger.id())
        );
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_ledger_of_a_newer_version_is_refused_in_words() {
        let Some(url) = database().await else { return };
        PostgresLedger::open(&url).await.expect("a ledger");
        run(&url, "INSERT INTO fulcrum.migrations VALUES (999, 'later', now(), TRUE, '', 1)").await;
        let refused = PostgresLedger::open(&url).await.expect_err("refused").to_string();
        assert!(refused.contains("newer version"), "{refused}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_role_that_may_make_no_schema_is_told_what_to_do() {
        let Some(url) = database().await else { return };
        let role = format!("poor_{}", uuid::Uuid::now_v7().simple());
        run(&url, &format!("CREATE ROLE {role} LOGIN")).await;
        let poor = url.replace("//fulcrum@", &format!("//{role}@"));
        let refused = PostgresLedger::open(&poor).await.expect_err("refused").to_string();
        assert!(refused.contains("CREATE SCHEMA fulcrum AUTHORIZATION"), "{refused}");
        run(&url, &format!("CREATE SCHEMA fulcrum AUTHORIZATION {role}")).await;
        PostgresLedger::open(&poor).await.expect("a ledger");
    }
}
