//! The migrations of the tables, one file each. A published file never changes: a ledger stores the hash of each file that it
//! has run.

use sqlx::{
    SqlSafeStr,
    migrate::{Migration, MigrationType, Migrator},
};

macro_rules! migrations {
    ($store:literal $(, ($version:literal, $name:literal, $file:literal))*) => {
        migrator(&[
            (1, "orders", include_str!(concat!("migrations/", $store, "/0001_orders.sql"))),
            (2, "rounds", include_str!(concat!("migrations/", $store, "/0002_rounds.sql"))),
            (3, "claim since", include_str!(concat!("migrations/", $store, "/0003_claim_since.sql"))),
            (4, "forgotten", include_str!(concat!("migrations/", $store, "/0004_forgotten.sql"))),
            (5, "deliveries", include_str!(concat!("migrations/", $store, "/0005_deliveries.sql"))),
            (6, "gates", include_str!(concat!("migrations/", $store, "/0006_gates.sql"))),
            (7, "drives", include_str!(concat!("migrations/", $store, "/0007_drives.sql"))),
            $(($version, $name, include_str!(concat!("migrations/", $store, "/", $file))),)*
        ])
    };
}

/// Those of the embedded ledger.
#[cfg(feature = "sqlite")]
pub(super) fn sqlite() -> Migrator {
    migrations!("sqlite")
}

/// Those of the ledger of many hosts.
#[cfg(feature = "postgres")]
pub(super) fn postgres() -> Migrator {
    migrations!("postgres", (8, "schema", "0008_schema.sql"))
}

fn migrator(files: &[(i64, &'static str, &'static str)]) -> Migrator {
    let migration = |(version, description, sql): &(i64, &'static str, &'static str)| {
        Migration::new(*version, (*description).into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations(files.iter().map(migration).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hashes_of_published_migrations_stay() {
        // Of the ledgers in tests/ops/ledger/fixtures; each line is a release's.
        let published = [
            #[cfg(feature = "sqlite")]
            (sqlite(), SQLITE),
            #[cfg(feature = "postgres")]
            (postgres(), POSTGRES),
        ];
        for (migrator, hashes) in published {
            let hash = |migration: &Migration| {
                migration.checksum.iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>()
            };
            let now: Vec<String> = migrator.iter().map(hash).collect();
            assert_eq!(now[..hashes.len()], *hashes);
        }
    }

    #[cfg(feature = "sqlite")]
    const SQLITE: &[&str] = &[
        "17e42294ba741326",
        "eecbc112ceeccfda",
        "7f2bdef67482e1a9",
        "cdaefc1eeaf0c7a1",
        "2ec364b3ac593d09",
        "08e090b1ddaf4571",
    ];
    #[cfg(feature = "postgres")]
    const POSTGRES: &[&str] = &[
        "c8c0fff013719991",
        "eecbc112ceeccfda",
        "e72e1dbb5f80bfa2",
        "8af2e8c76dcd3cd1",
        "5720210e383de74d",
        "d5f5f65a49d5e55b",
    ];
}
