//! Ports for servers that cannot choose one themselves.

use std::net::TcpListener;

use rand::Rng;

/// A port that is free, and below those that the system gives to connections: none of these takes it before the server does.
pub fn free_port() -> u16 {
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    std::iter::repeat_with(|| rand::rng().random_range(15_000..32_000))
        .take(1000)
        .find(is_free)
        .expect("no port is free")
}
