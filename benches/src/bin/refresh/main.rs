//! How long a catalogue of many providers takes beside the slowest of them, and how fast a price list is read.

mod server;

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use clap::Parser;
use fulcrum_benches::published::Error;
use fulcrum_core::{
    federation::Federation,
    ledger::SqliteLedger,
    model::ProviderId,
    provider::{
        OfferFilter, Provider,
        adapters::scaleway::{Scaleway, ScalewayConfig},
        http::{
            Credential, HeaderMap, HttpConfig, RawRequest, RawResponse, StatusCode, Transport, TransportError,
        },
    },
};
use futures::StreamExt;
use server::ServerBehaviour;

/// Refreshes the catalogue of many providers, each a server with latency, pages and a limit of requests.
#[derive(Debug, Parser)]
#[command(name = "refresh")]
struct Arguments {
    /// Providers.
    #[arg(long, default_value_t = 20)]
    providers: usize,
    /// Milliseconds before each answer.
    #[arg(long, default_value_t = 50)]
    latency_ms: u64,
    /// Pages of each list.
    #[arg(long, default_value_t = 20)]
    pages: usize,
    /// Products on a page.
    #[arg(long, default_value_t = 50)]
    products: usize,
    /// Requests in a second that a provider allows.
    #[arg(long, default_value_t = 30)]
    limit: u32,
    /// Times that each is measured; the medians are compared.
    #[arg(long, default_value_t = 5)]
    times: usize,
    /// A folder of recorded price lists, such as `../shared/recordings/scaleway`; the largest is read for the speed.
    #[arg(long)]
    recordings: Option<std::path::PathBuf>,
    /// Only read the list of a server that is there already, and say the median time in milliseconds.
    #[arg(long)]
    url: Option<String>,
    /// Only serve one list, and say where: for a comparison with another library.
    #[arg(long)]
    serve: bool,
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let arguments = Arguments::parse();
    let behaviour = ServerBehaviour {
        latency: Duration::from_millis(arguments.latency_ms),
        pages: arguments.pages,
        products: arguments.products,
        limit: arguments.limit,
    };
    if arguments.serve {
        println!("{}", server::start(behaviour).await?);
        return std::future::pending().await;
    }
    if let Some(url) = &arguments.url {
        return read_list(url, arguments.times).await;
    }
    refresh(&arguments, behaviour).await?;
    if let Some(folder) = &arguments.recordings {
        read_speed(folder).await?;
    }
    Ok(())
}

fn adapter(folder: &Path, name: &str, url: Option<String>) -> Result<Scaleway, Error> {
    std::fs::write(folder.join("secret"), "not-a-secret")?;
    let config = ScalewayConfig {
        id: ProviderId::new(name)?,
        secret_key: Credential::File("secret".to_owned()),
        zones: vec!["fr-par-1".parse()?],
        http: HttpConfig { base_url: url, ..HttpConfig::default() },
        ..ScalewayConfig::new("project")
    };
    Ok(config.build(folder)?)
}

async fn refresh(arguments: &Arguments, behaviour: ServerBehaviour) -> Result<(), Error> {
    let folder = tempfile::tempdir()?;
    let mut builder = Federation::builder().ledger(SqliteLedger::in_memory().await?);
    let mut alone = Vec::new();
    for at in 0..arguments.providers {
        let name = format!("provider-{at}");
        let url = server::start(behaviour).await?;
        builder = builder.provider(adapter(folder.path(), &name, Some(url.clone()))?);
        if at < 3 {
            let one = Federation::builder().ledger(SqliteLedger::in_memory().await?);
            alone.push(one.provider(adapter(folder.path(), &name, Some(url))?).build()?);
        }
    }
    let all = builder.build()?;
    let offers = all.refresh().await.len();
    let expected = arguments.providers * arguments.pages * arguments.products;
    if offers != expected {
        return Err(format!("{offers} offers came of {expected}").into());
    }
    let (mut together, mut slowest) = (Vec::new(), Vec::new());
    for _ in 0..arguments.times {
        // A new second, for which nobody has used up anything.
        tokio::time::sleep(Duration::from_millis(1100)).await;
        let mut worst = Duration::ZERO;
        for one in &alone {
            let start = Instant::now();
            one.refresh().await;
            worst = worst.max(start.elapsed());
            tokio::time::sleep(Duration::from_millis(1100)).await;
        }
        slowest.push(worst);
        let start = Instant::now();
        all.refresh().await;
        together.push(start.elapsed());
    }
    let (together, slowest) = (median(&mut together), median(&mut slowest));
    println!(
        "{} providers × {} pages × {} products, {} ms each, {} requests/s: {together:.2?} together, {slowest:.2?} the \
         slowest alone, ratio {:.3}; {offers} offers",
        arguments.providers,
        arguments.pages,
        arguments.products,
        arguments.latency_ms,
        arguments.limit,
        together.as_secs_f64() / slowest.as_secs_f64()
    );
    Ok(())
}

/// The list of one server, as often as told.
async fn read_list(url: &str, times: usize) -> Result<(), Error> {
    let folder = tempfile::tempdir()?;
    let adapter = adapter(folder.path(), "scaleway", Some(url.to_owned()))?;
    let (mut spent, mut offers) = (Vec::new(), 0);
    for _ in 0..times.max(1) {
        let start = Instant::now();
        let list: Vec<_> = adapter.offers(&OfferFilter::default()).collect().await;
        spent.push(start.elapsed());
        offers = list.into_iter().collect::<Result<Vec<_>, _>>()?.len();
    }
    println!("{{\"offers\": {offers}, \"median_ms\": {:.3}}}", median(&mut spent).as_secs_f64() * 1e3);
    Ok(())
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// A recorded page again and again, from memory.
#[derive(Debug)]
struct Page {
    body: bytes::Bytes,
}

#[async_trait]
impl Transport for Page {
    async fn send(&self, request: RawRequest) -> Result<RawResponse, TransportError> {
        let is_stock = request.url.path().ends_with("availability");
        let body = if is_stock { bytes::Bytes::from_static(b"{\"servers\": {}}") } else { self.body.clone() };
        Ok(RawResponse { status: StatusCode::OK, headers: HeaderMap::new(), body })
    }
}

/// Bytes of the largest recorded list in a second, from the body to the offers.
async fn read_speed(folder: &Path) -> Result<(), Error> {
    let mut largest = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if !path.to_string_lossy().contains("products_servers") {
            continue;
        }
        let file: serde_json::Value = serde_json::from_slice(&std::fs::read(&path)?)?;
        let body = serde_json::to_vec(&file["body"])?;
        if body.len() > largest.len() {
            largest = body;
        }
    }
    if largest.is_empty() {
        return Err(format!("{} has no recorded price list", folder.display()).into());
    }
    let size = largest.len();
    let temporary = tempfile::tempdir()?;
    let adapter =
        adapter(temporary.path(), "scaleway", None)?.with_transport(Arc::new(Page { body: largest.into() }));
    let (mut times, mut offers) = (0, 0);
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(2) {
        let mut list = adapter.offers(&OfferFilter::default());
        while let Some(offer) = list.next().await {
            offer?;
            offers += 1;
        }
        times += 1;
    }
    let rate = (times * size) as f64 / start.elapsed().as_secs_f64() / 1e6;
    println!("a recorded list of {size} bytes, to offers: {rate:.0} MB/s ({} offers each)", offers / times);
    Ok(())
}
