//! Giving much memory back to the system takes milliseconds; a caller who has cancelled should not wait for that.

use std::{
    ops::{Deref, DerefMut},
    thread,
};

/// Fewer bytes are given back at once.
const MUCH: usize = 1 << 20;

/// A list whose memory, if it is much, is given back on another thread.
#[derive(Debug)]
pub(crate) struct Aside<T: Send + 'static>(Vec<T>);

impl<T: Send + 'static> Drop for Aside<T> {
    fn drop(&mut self) {
        let list = std::mem::take(&mut self.0);
        if list.capacity().saturating_mul(size_of::<T>()) >= MUCH {
            drop_aside(list);
        }
    }
}

/// Drops on another thread.
pub(crate) fn drop_aside(much: impl Send + 'static) {
    // Without a further thread the closure, and all with it, is dropped here.
    let _ = thread::Builder::new().name("fulcrum-memory".to_owned()).spawn(move || drop(much));
}

impl<T: Send + 'static> From<Vec<T>> for Aside<T> {
    fn from(list: Vec<T>) -> Self {
        Self(list)
    }
}

impl<T: Send + 'static> Deref for Aside<T> {
    type Target = Vec<T>;

    fn deref(&self) -> &Vec<T> {
        &self.0
    }
}

impl<T: Send + 'static> DerefMut for Aside<T> {
    fn deref_mut(&mut self) -> &mut Vec<T> {
        &mut self.0
    }
}
