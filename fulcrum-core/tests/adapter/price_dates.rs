//! A price that has several parts is as certain as the least certain of them, and as old as the oldest.

use std::path::Path;

use fulcrum_core::{
    model::{Offer, PriceAuthority},
    provider::{OfferFilter, Provider, adapters::ec2::Ec2Config},
};
use futures::TryStreamExt;
use jiff::{Timestamp, ToSpan, civil::Date};
use serde_json::json;

use crate::imitation::{self, Imitation};

fn today() -> Date {
    Timestamp::now().strftime("%Y-%m-%d").to_string().parse().expect("a day")
}

async fn first(provider: &dyn Provider) -> Offer {
    let offers: Vec<_> = provider.offers(&OfferFilter::default()).try_collect().await.expect("offers");
    offers.into_iter().next().expect("something is sold")
}

#[tokio::test]
async fn a_listing_that_a_table_completes_is_no_better_than_the_table() {
    let cloud = Imitation::start(imitation::scaleway::API).await;
    let offer = first(&*cloud.provider).await;
    let provenance = &offer.provenance;
    assert_eq!(provenance.authority, PriceAuthority::Table, "its disk and its address stand in a table");
    assert_eq!(provenance.observed, today(), "the table as it is in these tests");
    let source = &provenance.source;
    assert!(source.contains("products/servers") && source.contains("scaleway.com"), "{source}");
    // What the API tells whole is its own.
    let cloud = Imitation::start(imitation::upcloud::API).await;
    assert_eq!(first(&*cloud.provider).await.provenance.authority, PriceAuthority::Listing);
}

fn dated(folder: &Path, url: &str, disk: &str, address: &str, surcharge: &str) -> Ec2Config {
    imitation::table(folder, "ec2", true);
    std::fs::write(folder.join("secret"), "secret-0000").expect("a file");
    let file = folder.join("prices.csv");
    let prices = std::fs::read_to_string(&file).expect("a file");
    let mut rows: Vec<_> = prices.lines().map(str::to_owned).collect();
    for row in &mut rows {
        let day = match row.split(',').next() {
            Some("block_storage") => disk,
            Some("public_ip") => address,
            _ => continue,
        };
        *row = row.replace(&today().to_string(), day);
    }
    rows.push(format!("surcharge,licence,r,,,,0.1,,,EUR,net,,{surcharge},test\n"));
    std::fs::write(&file, rows.join("\n")).expect("a file");
    imitation::config(json!({ "endpoint": url, "access_key": "file:secret", "secret_key": "file:secret",
        "catalogue": "prices.csv", "client_token": "ignored", "image": "ami-1" }))
}

#[tokio::test]
async fn a_price_of_a_table_is_as_old_as_the_oldest_row_of_it() {
    let cloud = Imitation::start(imitation::ec2::API).await;
    let (new, old) = (today(), today().saturating_sub(60.days()));
    for (disk, address, surcharge) in [(new, new, new), (old, new, new), (new, old, new), (new, new, old)] {
        let folder = tempfile::tempdir().expect("a folder");
        let days = [disk, address, surcharge].map(|day| day.to_string());
        let config = dated(folder.path(), &cloud.url(), &days[0], &days[1], &days[2]);
        let provider = config.build(folder.path()).expect("an adapter");
        let provenance = first(&provider).await.provenance;
        let oldest = disk.min(address).min(surcharge);
        assert_eq!((provenance.authority, provenance.observed), (PriceAuthority::Table, oldest));
    }
}
