//! A provider's price list over HTTP, page by page: slow, and with a limit of requests.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use fulcrum_benches::published::Error;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// How a server behaves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ServerBehaviour {
    /// Before each answer.
    pub(crate) latency: Duration,
    /// Pages of the list.
    pub(crate) pages: usize,
    /// Products on a page.
    pub(crate) products: usize,
    /// Requests in a second; more are refused.
    pub(crate) limit: u32,
}

#[derive(Debug)]
struct Window {
    since: Instant,
    used: u32,
}

/// Starts one and answers its address. It ends with the process.
pub(crate) async fn start(behaviour: ServerBehaviour) -> Result<String, Error> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let window = Arc::new(Mutex::new(Window { since: Instant::now(), used: 0 }));
    let pages =
        (0..behaviour.pages).map(|page| [body(page, behaviour.products), stock(page, behaviour.products)]);
    let pages: Arc<Vec<[String; 2]>> = Arc::new(pages.collect());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, behaviour, window.clone(), pages.clone()));
        }
    });
    Ok(url)
}

/// Products as the API of Scaleway lists them.
fn body(page: usize, products: usize) -> String {
    let product = |at: usize| {
        let (cpus, price) = (1 + at % 64, 100 + at);
        format!(
            r#""PRO-{page}-{at}": {{"alt_names": [], "baremetal": false, "arch": "x86_64", "ncpus": {cpus}, "ram": {ram}, "gpu": 0,
            "volumes_constraint": {{"min_size": 0, "max_size": 0}}, "per_volume_constraint": {{"l_ssd": {{"min_size": 0,
            "max_size": 0}}}}, "monthly_price": 7.3, "hourly_price": 0.{price:05}, "capabilities": {{"boot_types":
            ["local", "rescue"], "placement_groups": true, "block_storage": true, "private_network": 8}}, "network":
            {{"ipv6_support": true, "sum_internal_bandwidth": 1600000000, "sum_internet_bandwidth": 1600000000,
            "interfaces": [{{"internal_bandwidth":
            1600000000, "internet_bandwidth": 1600000000}}]}}, "block_bandwidth": 671088640, "end_of_service": false}}"#,
            ram = cpus << 31,
        )
    };
    let products: Vec<_> = (0..products).map(product).collect();
    format!(r#"{{"servers": {{{}}}}}"#, products.join(","))
}

/// How many are left of the products of a page.
fn stock(page: usize, products: usize) -> String {
    let products: Vec<_> =
        (0..products).map(|at| format!(r#""PRO-{page}-{at}": {{"availability": "available"}}"#)).collect();
    format!(r#"{{"servers": {{{}}}}}"#, products.join(","))
}

impl Window {
    /// Requests left in this second, and how long it lasts; none if all are used.
    fn take(&mut self, limit: u32) -> (Option<u32>, u64) {
        if self.since.elapsed() >= Duration::from_secs(1) {
            *self = Self { since: Instant::now(), used: 0 };
        }
        self.used += 1;
        (limit.checked_sub(self.used), 1)
    }
}

async fn serve(
    mut stream: TcpStream,
    behaviour: ServerBehaviour,
    window: Arc<Mutex<Window>>,
    pages: Arc<Vec<[String; 2]>>,
) {
    let mut request = Vec::new();
    loop {
        let mut part = [0; 4096];
        let Ok(size @ 1..) = stream.read(&mut part).await else { return };
        request.extend_from_slice(&part[..size]);
        if !request.ends_with(b"\r\n\r\n") {
            continue;
        }
        let text = String::from_utf8_lossy(&request).into_owned();
        request.clear();
        tokio::time::sleep(behaviour.latency).await;
        let (left, reset) = window.lock().unwrap_or_else(PoisonError::into_inner).take(behaviour.limit);
        let rate = format!(
            "RateLimit-Limit: {}\r\nRateLimit-Remaining: {}\r\nRateLimit-Reset: {reset}\r\n",
            behaviour.limit,
            left.unwrap_or(0)
        );
        let query =
            text.split(' ').nth(1).and_then(|target| target.split_once('?')).map_or("", |(_, query)| query);
        let page = query.split('&').find_map(|parameter| parameter.strip_prefix("page=")?.parse().ok());
        let page: usize = page.unwrap_or(1);
        let is_stock = usize::from(text.contains("/availability"));
        let found = pages.get(page.wrapping_sub(1)).map(|page| page[is_stock].as_str());
        let (status, link, body) = match found {
            _ if left.is_none() => ("429 Too Many", format!("Retry-After: {reset}\r\n"), "{}"),
            None => ("404 Not Found", String::new(), "{}"),
            Some(body) if page < pages.len() => ("200 OK", "Link: </>; rel=\"next\"\r\n".to_owned(), body),
            Some(body) => ("200 OK", String::new(), body),
        };
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{rate}{link}\r\n{body}",
            body.len()
        );
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}
