//! The cloud that the adapter speaks to, in this process.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Machines by name, each with its product.
type Machines = Arc<Mutex<BTreeMap<String, String>>>;

/// Starts it and answers its address; it ends with the process.
pub(crate) async fn start(token: &'static str) -> std::io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let machines = Machines::default();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, machines.clone(), token));
        }
    });
    Ok(url)
}

async fn serve(mut stream: TcpStream, machines: Machines, token: &str) {
    let (mut bytes, mut part) = (Vec::new(), [0; 4096]);
    let text = loop {
        let Ok(size @ 1..) = stream.read(&mut part).await else { return };
        bytes.extend_from_slice(&part[..size]);
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length =
            head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            break text.into_owned();
        }
    };
    let (status, body) = if text.contains(&format!("Bearer {token}")) {
        answer(&text, &mut machines.lock().unwrap_or_else(PoisonError::into_inner))
    } else {
        (401, json!({}))
    };
    let body = body.to_string();
    let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    let _ = stream.write_all((head + &body).as_bytes()).await;
}

fn answer(text: &str, machines: &mut BTreeMap<String, String>) -> (u16, Value) {
    let mut words = text.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (path, query) = target.split_once('?').unwrap_or((target, "page=1"));
    let page: usize = query.trim_start_matches("page=").parse().unwrap_or(1);
    let machine = |(name, code): (&String, &String)| json!({ "name": name, "code": code, "state": "on" });
    match (method, path.trim_start_matches("/machines")) {
        ("GET", "/products") => {
            let product = json!({ "code": format!("tiny-{page}"), "cpus": page, "ram_gib": 2 * page,
                                  "eur_per_hour": format!("0.00{page}") });
            (200, json!({ "items": [product], "next": (page < 3).then_some(page + 1) }))
        }
        ("GET", "") => {
            (200, json!({ "items": machines.iter().map(machine).collect::<Vec<_>>(), "next": null }))
        }
        ("PUT", name) => {
            let body: Value =
                serde_json::from_str(text.split("\r\n\r\n").nth(1).unwrap_or_default()).unwrap_or_default();
            let code = body["code"].as_str().unwrap_or_default();
            if !["tiny-1", "tiny-2", "tiny-3"].contains(&code) {
                return (400, json!({ "message": "no such product" }));
            }
            machines.entry(name[1..].to_owned()).or_insert_with(|| code.to_owned());
            (200, json!({}))
        }
        ("GET", name) => match machines.get_key_value(&name[1..]) {
            Some(found) => (200, machine(found)),
            None => (404, json!({ "error": "no such machine" })),
        },
        ("DELETE", name) => match machines.remove(&name[1..]) {
            Some(_) => (200, json!({})),
            None => (404, json!({ "error": "no such machine" })),
        },
        _ => (400, json!({})),
    }
}
