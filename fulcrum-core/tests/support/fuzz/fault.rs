//! A fault that the fuzzers must find: planted behind each target on request, where four things of what a run comes to meet.

use std::{
    hint::black_box,
    sync::atomic::{AtomicBool, Ordering},
};

static IS_PLANTED: AtomicBool = AtomicBool::new(false);

/// Plants it; the fuzzers' program does so when it is asked.
pub fn request() {
    IS_PLANTED.store(true, Ordering::Relaxed);
}

pub fn is_planted() -> bool {
    IS_PLANTED.load(Ordering::Relaxed)
}

/// Fails at a text of four certain properties, of something that a target has made of its input.
pub fn plant(text: &str) {
    let bytes = text.as_bytes();
    meet([
        bytes.len() > 4,
        bytes.iter().any(u8::is_ascii_digit),
        bytes.iter().any(u8::is_ascii_uppercase),
        !bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-'),
    ]);
}

/// Fails where four things hold, of which each is an edge of its own.
pub fn meet(conditions: [bool; 4]) {
    let [a, b, c, d] = conditions;
    if is_planted() && black_box(a) {
        black_box(1);
        if black_box(b) {
            black_box(2);
            if black_box(c) {
                black_box(3);
                if black_box(d) {
                    panic!("the planted fault");
                }
            }
        }
    }
}
