//! The time of an order beside `terraform apply` of the same resources at the same server. A figure, no judgement: nothing fails by
//! the clock. FULCRUM_TERRAFORM_PLUGINS names the folder with Terraform's AWS provider, if its registry cannot be reached.

use std::{path::Path, process::Command, sync::Arc, time::Instant};

use fulcrum_core::{
    ledger::SqliteLedger,
    model::{OrderState, Policy},
    provider::{Provider, layers},
    purchase::Engine,
};
use serde_json::json;

use crate::{
    ec2::left,
    ec2_kinds::{SHOP, cloud},
    peers::{self, Peer},
};

/// Whether a command of Terraform's ends well; how many seconds it took.
fn terraform(folder: &Path, arguments: &[&str], endpoint: &str) -> f64 {
    let begun = Instant::now();
    let output = Command::new("terraform")
        .args(arguments)
        .current_dir(folder)
        .env("TF_VAR_endpoint", endpoint)
        .env("TF_IN_AUTOMATION", "1")
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    begun.elapsed().as_secs_f64()
}

fn has_terraform() -> bool {
    let found = Command::new("terraform").arg("version").output().is_ok_and(|output| output.status.success());
    if !found {
        println!("SKIPPED: there is no program `terraform`");
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_takes_its_time_beside_terraform() {
    let Some(peer) = Peer::start_slow("moto", &[]).filter(|_| has_terraform()) else { return };
    let endpoint = peer.get("AWS_ENDPOINT_URL");
    let desk = crate::ec2::Desk::new(endpoint);
    let direct: Arc<dyn Provider> = Arc::new(cloud(&desk, json!({})));
    let folder = tempfile::tempdir().expect("a folder");
    let begun = Instant::now();
    let plan = peers::orders::plan_at(std::slice::from_ref(&direct), SHOP, &[]).await;
    let ledger = Arc::new(SqliteLedger::open(folder.path().join("orders.db")).await.expect("a ledger"));
    let layered = layers::recommended(direct.clone());
    let engine = Engine::new([(direct.id().clone(), layered)].into(), ledger);
    let policy = Policy::default().with_max_table_age_days(u32::MAX);
    let order = engine.accept(plan, policy, None).await.expect("accepted");
    let order = engine.drive(&order.id).await.expect("driven");
    assert_eq!(order.state, OrderState::Committed, "{:?}", order.reason);
    let bought = begun.elapsed().as_secs_f64();
    let begun = Instant::now();
    let order = engine.cancel(&order.id).await.expect("cancelled");
    assert!(order.state.is_over(), "{:?}: {:?}", order.state, order.reason);
    let ended = begun.elapsed().as_secs_f64();
    assert_eq!(left(&*direct).await, []);

    std::fs::write(folder.path().join("shop.tf"), include_str!("terraform/shop.tf")).expect("written");
    let plugins = std::env::var("FULCRUM_TERRAFORM_PLUGINS").map(|folder| format!("-plugin-dir={folder}"));
    let arguments: Vec<&str> = ["init", "-input=false"].into_iter().chain(plugins.as_deref().ok()).collect();
    terraform(folder.path(), &arguments, endpoint);
    let applied = terraform(folder.path(), &["apply", "-auto-approve", "-input=false"], endpoint);
    let destroyed = terraform(folder.path(), &["destroy", "-auto-approve", "-input=false"], endpoint);
    println!(
        "figure: a shop of seven components at moto, in seconds: an order {bought:.1} and its end {ended:.1}; \
         `terraform apply` {applied:.1} and `destroy` {destroyed:.1}"
    );
}
