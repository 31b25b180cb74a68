//! Small files that a document names: read whole, and only if they are files and small.

use std::{
    fs::{self, File},
    io::{Error, ErrorKind, Read, Result},
    path::Path,
};

/// What a file holds.
///
/// # Errors
/// It cannot be read, has more than `limit` bytes, or is no ordinary file: opening a pipe would wait for whoever writes to it,
/// and a device has no end. It is not opened then.
#[cfg_attr(not(feature = "http"), allow(dead_code, reason = "documents name no files of this kind"))]
pub(crate) fn read_regular(path: &Path, limit: u64) -> Result<Vec<u8>> {
    // Opening has effects of its own: first the look, and after it one at what was opened.
    check(&fs::metadata(path)?, limit)?;
    let file = File::open(path)?;
    check(&file.metadata()?, limit)?;
    let mut bytes = Vec::new();
    // It may grow meanwhile, and some files say no length.
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit { Err(too_large(limit)) } else { Ok(bytes) }
}

/// The same of a text.
///
/// # Errors
/// As [`read_regular`], and it is no UTF-8.
#[cfg_attr(not(feature = "http"), allow(dead_code, reason = "files of secrets are texts"))]
pub(crate) fn read_regular_text(path: &Path, limit: u64) -> Result<String> {
    String::from_utf8(read_regular(path, limit)?)
        .map_err(|_| Error::new(ErrorKind::InvalidData, "it is no text in UTF-8"))
}

fn check(about: &fs::Metadata, limit: u64) -> Result<()> {
    if !about.is_file() {
        let message = "it is no ordinary file; name a file, not a folder, a pipe or a device";
        return Err(Error::new(ErrorKind::InvalidInput, message));
    }
    if about.len() > limit { Err(too_large(limit)) } else { Ok(()) }
}

fn too_large(limit: u64) -> Error {
    let message = format!("it has more than {limit} bytes, and is too large for what it is named for");
    Error::new(ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_a_limit() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("small");
        fs::write(&path, "12345678").expect("a file");
        assert_eq!(read_regular_text(&path, 8).expect("small enough"), "12345678");
        assert!(read_regular(&path, 7).expect_err("too large").to_string().contains("more than 7 bytes"));
        // A sparse file of a terabyte costs nothing on the disk.
        File::create(&path).and_then(|file| file.set_len(1 << 40)).expect("a sparse file");
        assert!(read_regular(&path, 1 << 20).is_err());
        fs::write(&path, [0xff]).expect("a file");
        assert!(read_regular_text(&path, 8).expect_err("no text").to_string().contains("UTF-8"));
        assert_eq!(read_regular(&path, 8).expect("bytes"), [0xff]);
    }

    #[test]
    fn what_is_no_file_is_not_opened() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(read_regular(folder.path(), 8).is_err());
        assert!(read_regular(&folder.path().join("missing"), 8).is_err());
        #[cfg(unix)]
        {
            let pipe = folder.path().join("pipe");
            let made = std::process::Command::new("mkfifo").arg(&pipe).status();
            assert!(made.is_ok_and(|status| status.success()), "mkfifo");
            let link = folder.path().join("link");
            std::os::unix::fs::symlink(&pipe, &link).expect("a link");
            for path in [&pipe, &link, Path::new("/dev/zero")] {
                // Would wait for ever, or read without end.
                let error = read_regular(path, 8).expect_err("no file").to_string();
                assert!(error.contains("no ordinary file"), "{error}");
            }
        }
    }
}
