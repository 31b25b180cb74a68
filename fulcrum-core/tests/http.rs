//! What adapters share, against servers that break.
#![cfg(feature = "http")]

mod peers;
