//! The ledger's files: their identity, and a lock that keeps them in place.
//!
//! SQLite tells other processes by POSIX locks that a file is in use. The system drops all of those that a process holds as
//! soon as that process closes the file anywhere: in another copy of SQLite, or after a plain read. Whoever closes the
//! database next believes to be the last, and removes the log in which this process goes on writing (sqlite.org,
//! "How To Corrupt An SQLite Database File", §2.2). A lock of the open file description stays, and keeps everybody from
//! that. Where there is none, each write looks whether the files are still there.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::error::store_error;
use crate::ledger::Result;

/// What one file is, whatever its name.
type Identity = (u64, u64);

/// The database, its log and the log's index, as they were opened.
#[derive(Debug)]
pub(super) struct LedgerFiles {
    opened: Vec<(PathBuf, Identity)>,
}

impl LedgerFiles {
    /// Remembers the files of a database that is open.
    pub(super) fn of(database: &Path) -> Result<Self> {
        let failed = |error: io::Error| store_error(format!("{}: {error}", database.display()));
        let path = fs::canonicalize(database).map_err(failed)?;
        let mut opened = Vec::new();
        for suffix in ["", "-wal", "-shm"] {
            let mut name = path.clone().into_os_string();
            name.push(suffix);
            let name = PathBuf::from(name);
            match identity(&name) {
                Ok(identity) => opened.push((name, identity)),
                // The system lacks shared memory for files, and SQLite does without a log.
                Err(error) if !suffix.is_empty() && error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(Self { opened })
    }

    /// Refuses to go on where a file was taken away: what is written then is lost.
    pub(super) fn check(&self) -> Result<()> {
        for (path, opened) in &self.opened {
            let what = match identity(path) {
                Ok(now) if now == *opened => continue,
                Ok(_) => "is another file now".to_owned(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => "is gone".to_owned(),
                Err(error) => format!("cannot be looked at ({error})"),
            };
            return Err(store_error(format!(
                "{} {what}, while the ledger has it open: it was removed or replaced, or another SQLite in this process has \
                 closed the database; nothing more is written, as it would be lost. Put the file back or leave it, end this \
                 process and start it again; everything that was confirmed before is kept. Look into a ledger, and copy it, \
                 from other processes only, as docs/operations.md tells",
                path.display()
            )));
        }
        Ok(())
    }
}

#[cfg(unix)]
fn identity(path: &Path) -> io::Result<Identity> {
    use std::os::unix::fs::MetadataExt;
    let found = fs::metadata(path)?;
    Ok((found.dev(), found.ino()))
}

/// Elsewhere an open file can be neither removed nor replaced.
#[cfg(not(unix))]
fn identity(path: &Path) -> io::Result<Identity> {
    fs::metadata(path).map(|_| (0, 0))
}

/// The lock that keeps the files. It must be dropped before the last connection closes, which then can tidy up.
#[derive(Debug)]
#[cfg_attr(not(target_os = "linux"), derive(Default))]
pub(super) struct FileLock {
    #[cfg(target_os = "linux")]
    _held: Vec<fs::File>,
}

#[cfg(target_os = "linux")]
impl FileLock {
    /// SQLite's lock bytes (os.h, os_unix.c): those that each user of a database holds for reading, and the byte of the log's
    /// index that says that somebody uses it.
    const SHARED_LOCK_RANGE: (i64, i64) = (0x4000_0002, 510);
    const INDEX_LOCK_RANGE: (i64, i64) = (128, 1);

    /// Takes it, unless the file system has no such locks.
    pub(super) fn of(files: &LedgerFiles) -> Self {
        let suffixes = [("", Self::SHARED_LOCK_RANGE), ("-shm", Self::INDEX_LOCK_RANGE)];
        let database = files.opened.first().map(|(path, _)| path.clone());
        let held = suffixes.into_iter().filter_map(|(suffix, bytes)| {
            let mut name = database.clone()?.into_os_string();
            name.push(suffix);
            let path = PathBuf::from(name);
            files.opened.iter().any(|(opened, _)| *opened == path).then_some(())?;
            Self::hold(&path, bytes)
                .inspect_err(|error| tracing::warn!(path = %path.display(), %error, "files are not locked"))
                .ok()
        });
        Self { _held: held.collect() }
    }

    fn hold(path: &Path, (start, length): (i64, i64)) -> io::Result<fs::File> {
        use nix::{
            fcntl::{FcntlArg, fcntl},
            libc,
        };
        let file = fs::File::open(path)?;
        let lock = libc::flock {
            l_type: libc::F_RDLCK as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: start,
            l_len: length,
            l_pid: 0,
        };
        // Who closes the database at this moment has it alone, for a moment.
        for _ in 0..100 {
            match fcntl(&file, FcntlArg::F_OFD_SETLK(&lock)) {
                Err(nix::Error::EAGAIN | nix::Error::EACCES) => {
                    std::thread::sleep(std::time::Duration::from_millis(10));
                }
                Err(error) => return Err(error.into()),
                Ok(_) => return Ok(file),
            }
        }
        Err(io::ErrorKind::WouldBlock.into())
    }
}

#[cfg(not(target_os = "linux"))]
impl FileLock {
    pub(super) fn of(_: &LedgerFiles) -> Self {
        Self::default()
    }
}
