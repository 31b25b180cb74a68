//! Signals belong to the host. The library's threads take none: a connection that was reset (SIGPIPE) cannot end the
//! process, and a handler runs on the host's own threads. The disposition of a signal is the host's, and stays as it is.

pub(crate) use imp::{Mask, SignalsBlocked};

#[cfg(unix)]
mod imp {
    use std::{fmt, mem::MaybeUninit};

    use libc::{SIG_BLOCK, SIG_SETMASK, SIGPIPE, sigset_t};

    /// What a thread cannot put off: its own faults, and the clock of a profiler.
    const SYNCHRONOUS_SIGNALS: [i32; 8] = [
        libc::SIGABRT,
        libc::SIGBUS,
        libc::SIGFPE,
        libc::SIGILL,
        libc::SIGPROF,
        libc::SIGSEGV,
        libc::SIGSYS,
        libc::SIGTRAP,
    ];

    /// Which signals a thread takes.
    #[derive(Clone, Copy)]
    pub(crate) struct Mask(sigset_t);

    impl fmt::Debug for Mask {
        fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            out.write_str("Mask(..)")
        }
    }

    impl Mask {
        /// That of a thread of the library.
        fn library() -> Self {
            let mut all = MaybeUninit::uninit();
            // SAFETY: `sigfillset` makes it; then it is changed by valid numbers.
            unsafe {
                libc::sigfillset(all.as_mut_ptr());
                let mut all = all.assume_init();
                for signal in SYNCHRONOUS_SIGNALS {
                    libc::sigdelset(&raw mut all, signal);
                }
                Self(all)
            }
        }

        /// Changes the mask of this thread; answers what it was.
        fn change(how: i32, to: &Self) -> Self {
            let mut before = MaybeUninit::uninit();
            // SAFETY: both are valid; the call fails for an unknown `how` only, and fills `before`.
            unsafe {
                libc::sigemptyset(before.as_mut_ptr());
                libc::pthread_sigmask(how, &raw const to.0, before.as_mut_ptr());
                Self(before.assume_init())
            }
        }

        /// Runs code of the host on a thread of the library, as a thread with this mask would.
        pub(crate) fn run_host_code<T>(&self, code: impl FnOnce() -> T) -> T {
            struct Back(Mask);
            impl Drop for Back {
                fn drop(&mut self) {
                    Mask::change(SIG_SETMASK, &self.0);
                }
            }
            self.discard_pending_sigpipe();
            let _back = Back(Self::change(SIG_SETMASK, self));
            code()
        }

        /// A connection of the library's that was reset is nothing to tell the host.
        fn discard_pending_sigpipe(&self) {
            // SAFETY: all sets are made before they are read.
            unsafe {
                if libc::sigismember(&raw const self.0, SIGPIPE) == 1 {
                    return;
                }
                let mut waiting = MaybeUninit::uninit();
                libc::sigemptyset(waiting.as_mut_ptr());
                libc::sigpending(waiting.as_mut_ptr());
                if libc::sigismember(waiting.as_ptr(), SIGPIPE) != 1 {
                    return;
                }
                let mut only = MaybeUninit::uninit();
                libc::sigemptyset(only.as_mut_ptr());
                libc::sigaddset(only.as_mut_ptr(), SIGPIPE);
                // Where somebody else has taken it meanwhile there is nothing to wait for.
                #[cfg(target_os = "linux")]
                {
                    let at_once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
                    libc::sigtimedwait(only.as_ptr(), std::ptr::null_mut(), &raw const at_once);
                }
                #[cfg(not(target_os = "linux"))]
                {
                    let mut taken = 0;
                    libc::sigwait(only.as_ptr(), &raw mut taken);
                }
            }
        }
    }

    /// While it lives this thread takes no signals, nor do threads that it starts.
    #[derive(Debug)]
    pub(crate) struct SignalsBlocked {
        before: Mask,
    }

    impl SignalsBlocked {
        pub(crate) fn new() -> Self {
            Self { before: Mask::change(SIG_BLOCK, &Mask::library()) }
        }

        /// Which signals this thread took before.
        pub(crate) fn before(&self) -> Mask {
            self.before
        }

        /// Work of the library's on this thread is done.
        pub(crate) fn end(self) {
            self.before.discard_pending_sigpipe();
        }
    }

    impl Drop for SignalsBlocked {
        fn drop(&mut self) {
            Mask::change(SIG_SETMASK, &self.before);
        }
    }
}

/// Elsewhere there are no such signals.
#[cfg(not(unix))]
mod imp {
    #[derive(Debug, Clone, Copy)]
    pub(crate) struct Mask;

    impl Mask {
        pub(crate) fn run_host_code<T>(&self, code: impl FnOnce() -> T) -> T {
            code()
        }
    }

    #[derive(Debug)]
    pub(crate) struct SignalsBlocked;

    impl SignalsBlocked {
        pub(crate) fn new() -> Self {
            Self
        }

        pub(crate) fn before(&self) -> Mask {
            Mask
        }

        pub(crate) fn end(self) {}
    }
}
