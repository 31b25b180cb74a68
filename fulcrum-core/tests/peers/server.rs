//! A small server that says whatever a test wants.

use std::{
    fmt::Write,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// From a request to its answer.
pub type Tell = Arc<dyn Fn(&str) -> Vec<u8> + Send + Sync>;

/// What is said on each connection.
#[derive(Clone)]
pub enum Story {
    /// An answer to each request, which is given as text.
    Tell(Tell),
    /// Reads the request and closes.
    Close,
    /// A byte of an answer now and then.
    Drip,
    /// An answer that does not end.
    Endless,
}

impl Story {
    pub fn new(tell: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::Tell(Arc::new(tell))
    }
    pub fn say(text: &str) -> Self {
        Self::bytes(text.as_bytes().to_vec())
    }
    pub fn bytes(bytes: Vec<u8>) -> Self {
        Self::new(move |_| bytes.clone())
    }
    pub fn close() -> Self {
        Self::Close
    }
    pub fn drip() -> Self {
        Self::Drip
    }
    pub fn endless() -> Self {
        Self::Endless
    }
}

/// A whole answer as text, after which the connection ends.
pub fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> String {
    let mut text =
        format!("HTTP/1.1 {status} Told\r\nContent-Length: {}\r\nConnection: close\r\n", body.len());
    for (name, value) in headers {
        let _ = write!(text, "{name}: {value}\r\n");
    }
    text + "\r\n" + body
}

/// Listens on loopback until it is dropped.
#[derive(Debug)]
pub struct Server {
    address: std::net::SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Server {
    pub async fn start(story: Story) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = requests.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, story.clone(), seen.clone()));
            }
        });
        Self { address, requests, task }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All that was asked, as text.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A whole request, as far as its length says.
async fn read(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let mut part = [0; 4096];
        let size = stream.read(&mut part).await.ok()?;
        if size == 0 {
            return None;
        }
        bytes.extend_from_slice(&part[..size]);
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
            });
            if body.len() >= length.unwrap_or(0) {
                return Some(text.into_owned());
            }
        }
    }
}

async fn serve(mut stream: TcpStream, story: Story, seen: Arc<Mutex<Vec<String>>>) {
    let Some(request) = read(&mut stream).await else { return };
    seen.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
    let head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    match story {
        Story::Close => {}
        Story::Tell(tell) => {
            let _ = stream.write_all(&tell(&request)).await;
            let _ = stream.shutdown().await;
        }
        Story::Drip => {
            let _ = stream.write_all(head).await;
            while stream.write_all(b"1\r\n \r\n").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Story::Endless => {
            let _ = stream.write_all(head).await;
            let chunk = [b"10000\r\n".as_slice(), &[b' '; 0x10000], b"\r\n"].concat();
            while stream.write_all(&chunk).await.is_ok() {}
        }
    }
}
