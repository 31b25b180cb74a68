//! Drops large lists on another thread.
//!
//! To return much memory to the system takes milliseconds, and a caller who has cancelled should not wait for that.

use std::{
    ops::{Deref, DerefMut},
    thread,
};

/// Smaller lists are dropped at once.
const DEFER_BYTES: usize = 1 << 20;

/// A list that is dropped on another thread if it is large.
#[derive(Debug)]
pub(crate) struct DeferredDrop<T: Send + 'static>(Vec<T>);

impl<T: Send + 'static> Drop for DeferredDrop<T> {
    fn drop(&mut self) {
        let list = std::mem::take(&mut self.0);
        if list.capacity().saturating_mul(size_of::<T>()) >= DEFER_BYTES {
            drop_in_background(list);
        }
    }
}

/// Drops a value on another thread.
pub(crate) fn drop_in_background(memory: impl Send + 'static) {
    // If no thread can be started, the closure and all in it are dropped here.
    let _ = thread::Builder::new().name("fulcrum-memory".to_owned()).spawn(move || drop(memory));
}

impl<T: Send + 'static> From<Vec<T>> for DeferredDrop<T> {
    fn from(list: Vec<T>) -> Self {
        Self(list)
    }
}

impl<T: Send + 'static> Deref for DeferredDrop<T> {
    type Target = Vec<T>;

    fn deref(&self) -> &Vec<T> {
        &self.0
    }
}

impl<T: Send + 'static> DerefMut for DeferredDrop<T> {
    fn deref_mut(&mut self) -> &mut Vec<T> {
        &mut self.0
    }
}
