//! The smallest adapter, as `docs/adapters/README.md` builds it, put through the conformance suite.

mod server;
mod tinycloud;

use std::{sync::Arc, time::Duration};

use fulcrum_core::{
    model::{OfferKind, PurchaseOption},
    provider::{
        OfferFilter, Provider, ProvisionRequest,
        conformance::{SuiteConfig, check_provider},
        http::{Credential, HttpConfig},
    },
};
use futures::StreamExt;
use tinycloud::{Tiny, TinyConfig};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::temp_dir().join(format!("fulcrum-adapter-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("token"), "a-token")?;
    let config = TinyConfig {
        id: "tiny".parse()?,
        token: Credential::File("token".to_owned()),
        http: HttpConfig { base_url: Some(server::start("a-token").await?), ..HttpConfig::default() },
    };
    let adapter = Tiny::new(&config, &folder)?;
    std::fs::remove_dir_all(&folder)?;

    let offers: Vec<_> = adapter.offers(&OfferFilter::default()).collect().await;
    let offers = offers.into_iter().collect::<Result<Vec<_>, _>>()?;
    for offer in &offers {
        println!("{} with {} vCPU", offer.sku, offer.capacity.vcpu_milli / 1000);
    }
    let cheapest = offers.first().ok_or("nothing is offered")?;
    let request = ProvisionRequest {
        sku: cheapest.sku.clone(),
        kind: OfferKind::Machine,
        place: (*cheapest.place).clone(),
        size_gib: 0,
        disk_sku: None,
        purchase_option: PurchaseOption::OnDemand,
        term_months: 0,
        surcharges: Vec::new(),
        name: "trial".to_owned(),
        settings: Default::default(),
    };
    let trial = SuiteConfig::new(Some(request), Duration::from_secs(10));
    let report = check_provider(Arc::new(adapter), trial).await;
    print!("{report}");
    if report.is_passed() { Ok(()) } else { Err("a promise is broken".into()) }
}
