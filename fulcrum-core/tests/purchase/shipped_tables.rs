//! Sandboxes of the shipped price tables: what a plan pays for is bought, an address and the storage of a database with it.

use std::path::Path;

use fulcrum_core::{
    federation::Federation,
    ledger::SqliteLedger,
    model::{Blueprint, LineKind, OrderState, Policy},
    provider::{Provider, sandbox::SandboxConfig},
};
use serde_json::json;

#[tokio::test]
async fn a_machine_with_its_address_and_a_database_with_its_storage_are_bought() {
    let tables = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/catalogue");
    let config = json!({ "catalogue": tables, "provider": "scaleway" });
    let config: SandboxConfig = serde_json::from_value(config).expect("a configuration");
    let cloud = config.build(Path::new(".")).expect("a cloud").remove(0);
    let market = Federation::builder()
        .ledger(SqliteLedger::in_memory().await.expect("a ledger"))
        .provider(cloud.clone())
        .build()
        .expect("a federation");
    market.refresh().await;
    // Of three regions no row prices a disk or an address: the source names their machines.
    let catalogue = market.catalogue();
    let source = &catalogue.sources()[0];
    let reason = &source.rejected[0].reason;
    assert!(source.rejected_count > 0 && reason.contains("is extra, and no row prices it there"), "{reason}");
    assert_eq!(cloud.rejected().len(), source.rejected_count);

    let blueprint = Blueprint::from_yaml(
        "{ name: shop, components: {
             web: { vcpu: 2, memory_mib: 4096, disk_gib: 40, where: { regions: { allow: [fr-par] } } },
             db: { kind: database, vcpu: 2, memory_mib: 4096, disk_gib: 50, where: { regions: { allow: [fr-par] } } } } }",
    )
    .expect("a blueprint");
    let plan = market.compose(&blueprint).expect("a plan");
    let lines = |kind: LineKind| -> Vec<_> {
        let all = plan.leases.iter().flat_map(|lease| &lease.lines);
        let mut skus: Vec<_> = all.filter(|line| line.kind == kind).map(|line| line.sku.as_str()).collect();
        skus.sort_unstable();
        skus
    };
    assert_eq!(lines(LineKind::Surcharge), ["flexible-ipv4", "rdb-storage-sbs_5k", "sbs_5k"]);
    assert_eq!(lines(LineKind::Disk), ["rdb-storage-sbs_5k", "sbs_5k"]);
    let order = market.purchase(&plan, Policy::default()).await.expect("ordered");
    assert_eq!(order.state, OrderState::Committed, "{:?}", order.reason);
    let mut sizes: Vec<_> = cloud.resources().expect("its state").iter().map(|it| it.size_gib).collect();
    sizes.sort_unstable();
    // The least disks of 10 and of 5 GiB are paid by lines of their own.
    assert_eq!(sizes, [30, 45]);
}
