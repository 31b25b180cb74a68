//! Whether something is ready, as a file descriptor that a host's main loop waits for.

use std::{
    ffi::c_int,
    io::{self, PipeReader, PipeWriter, Read, Write},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Ready or not. The descriptor is a pipe that has one byte in it while it is ready; it is made when it is first asked for.
#[derive(Debug, Default)]
pub(crate) struct Readiness(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    is_ready: bool,
    pipe: Option<(PipeReader, PipeWriter)>,
}

impl State {
    /// Writes or takes the byte. It is there exactly while `is_ready`, so that neither blocks.
    fn signal(&mut self, is_ready: bool) {
        let Some((reader, writer)) = &mut self.pipe else { return };
        let _ = if is_ready { writer.write_all(&[1]) } else { reader.read_exact(&mut [0]) };
    }
}

impl Readiness {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set(&self, is_ready: bool) {
        let mut state = self.lock();
        if state.is_ready != is_ready {
            state.is_ready = is_ready;
            state.signal(is_ready);
        }
    }

    /// The descriptor to wait for until it is readable; it is closed with this. -1 where none can be had.
    pub(crate) fn fd(&self) -> c_int {
        let mut state = self.lock();
        if state.pipe.is_none() {
            let Ok(pipe) = io::pipe() else { return -1 };
            state.pipe = Some(pipe);
            if state.is_ready {
                state.signal(true);
            }
        }
        state.pipe.as_ref().map_or(-1, |(reader, _)| raw(reader))
    }
}

#[cfg(unix)]
fn raw(reader: &PipeReader) -> c_int {
    std::os::fd::AsRawFd::as_raw_fd(reader)
}

/// There a pipe is nothing that can be waited for together with others.
#[cfg(not(unix))]
fn raw(_: &PipeReader) -> c_int {
    -1
}
