//! Files that people and documents name: regular ones only, and no more of them than a limit.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read},
    path::Path,
};

/// Reads a regular file of at most so many bytes; links are followed. What has no end, or waits for somebody to write, is
/// an error at once: a pipe, a device, a socket, a folder.
///
/// # Errors
/// What the system refuses; or in words that it is no regular file, or too large. Name the file with it.
pub(crate) fn read_regular(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    // Looked at before it is opened too: to open a device can have an effect.
    check_regular(&fs::metadata(path)?)?;
    let file = open_regular(OpenOptions::new().read(true), path, Links::Followed)?;
    read_from(file, limit)
}

/// The same of a text.
///
/// # Errors
/// As [`read_regular`], and that it is not UTF-8.
#[allow(dead_code, reason = "what APIs need is read by it")]
pub(crate) fn read_regular_text(path: &Path, limit: u64) -> io::Result<String> {
    String::from_utf8(read_regular(path, limit)?)
        .map_err(|_| refusal("the text is not UTF-8; save it as UTF-8"))
}

/// Reads what is left of an open file of at most so many bytes.
///
/// # Errors
/// As [`read_regular`].
pub(crate) fn read_from(file: File, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let is_told = file.metadata()?.len() <= limit;
    if is_told {
        file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    }
    if !is_told || u64::try_from(bytes.len()).unwrap_or(u64::MAX) > limit {
        return Err(refusal(format!("it has more than {}; write less", size_text(limit))));
    }
    Ok(bytes)
}

/// Whether a link in the place of a file leads to what is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Links {
    /// It does.
    Followed,
    /// The file is the library's own: nobody puts a link there.
    #[cfg_attr(not(feature = "sandbox"), allow(dead_code, reason = "only a sandbox has files of its own"))]
    Refused,
}

/// Opens a regular file, and never waits for it.
///
/// # Errors
/// As [`read_regular`].
pub(crate) fn open_regular(options: &mut OpenOptions, path: &Path, links: Links) -> io::Result<File> {
    if links == Links::Refused && path.is_symlink() {
        return Err(refusal("it is a link; remove it"));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        // A pipe that nobody writes to is opened at once, and refused by its kind.
        let refuse = if links == Links::Refused { libc::O_NOFOLLOW } else { 0 };
        options.custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | refuse);
    }
    let file = options.open(path)?;
    check_regular(&file.metadata()?)?;
    Ok(file)
}

fn check_regular(metadata: &fs::Metadata) -> io::Result<()> {
    if metadata.is_file() {
        return Ok(());
    }
    let kind = if metadata.is_dir() { "a folder" } else { "a pipe, a device or a socket" };
    Err(refusal(format!("it is {kind}; name a file")))
}

fn refusal(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.into())
}

/// A number of bytes for people.
pub(crate) fn size_text(bytes: u64) -> String {
    match bytes {
        mib if mib >= 1 << 20 && mib.is_multiple_of(1 << 20) => format!("{} MiB", mib >> 20),
        kib if kib >= 1 << 10 && kib.is_multiple_of(1 << 10) => format!("{} KiB", kib >> 10),
        bytes => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_its_limit() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        fs::write(&path, "12345").expect("written");
        assert_eq!(read_regular(&path, 5).expect("it fits"), b"12345");
        let why = read_regular(&path, 4).expect_err("too large").to_string();
        assert_eq!(why, "it has more than 4 bytes; write less");
        fs::write(&path, "").expect("written");
        assert_eq!(read_regular(&path, 0).expect("empty"), b"");
        assert_eq!((size_text(64 << 10), size_text(3 << 20)), ("64 KiB".to_owned(), "3 MiB".to_owned()));
        let why = read_regular(&folder.path().join("none"), 5).expect_err("not there");
        assert_eq!(why.kind(), io::ErrorKind::NotFound);
    }

    #[cfg(unix)]
    #[test]
    fn what_has_no_end_or_keeps_one_waiting_is_refused_at_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs");
        assert!(made.success());
        for (path, words) in [
            (folder.path(), "it is a folder; name a file"),
            (pipe.as_path(), "it is a pipe, a device or a socket"),
            (Path::new("/dev/zero"), "it is a pipe, a device or a socket"),
            (Path::new("/dev/tty"), "it is a pipe, a device or a socket"),
        ] {
            let (sender, told) = std::sync::mpsc::channel();
            let owned = path.to_owned();
            std::thread::spawn(move || sender.send(read_regular(&owned, 1 << 20)));
            let said = told.recv_timeout(std::time::Duration::from_secs(10)).expect("it does not wait");
            let why = said.expect_err("it is no file").to_string();
            assert!(why.contains(words), "{}: {why}", path.display());
        }
        // Also where it has become a pipe after somebody looked.
        let why = open_regular(OpenOptions::new().read(true), &pipe, Links::Followed).expect_err("a pipe");
        assert!(why.to_string().contains("a pipe"), "{why}");
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_only_where_a_person_puts_files() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&path, "12345").expect("written");
        std::os::unix::fs::symlink(&path, &link).expect("a link");
        assert_eq!(read_regular(&link, 5).expect("followed"), b"12345");
        let why = open_regular(OpenOptions::new().read(true), &link, Links::Refused).expect_err("a link");
        assert_eq!(why.to_string(), "it is a link; remove it");
    }
}
