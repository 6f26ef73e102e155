//! Files that appear whole or not at all: written under another name beside their target, renamed at the end.
//!
//! What is unfinished is removed when it is dropped, and by [`remove_unfinished`] before a signal ends the process.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Files begun and not yet renamed.
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn unfinished() -> MutexGuard<'static, Vec<PathBuf>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A file on its way.
#[derive(Debug)]
pub struct Staged {
    file: File,
    target: PathBuf,
    /// `None`: the target is a device or a pipe, which no rename may replace, and is written itself.
    temporary: Option<PathBuf>,
}

impl Staged {
    /// Begin a file that anyone the umask allows may read.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn create(target: &Path) -> io::Result<Self> {
        Self::with_mode(target, 0o666)
    }

    /// Begin a file for its owner alone (mode 0600): keys.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn create_private(target: &Path) -> io::Result<Self> {
        Self::with_mode(target, 0o600)
    }

    fn with_mode(target: &Path, mode: u32) -> io::Result<Self> {
        // A symbolic link stays; what it points to is replaced.
        let target = fs::canonicalize(target).unwrap_or_else(|_| target.to_owned());
        if let Ok(there) = fs::metadata(&target) {
            if there.is_dir() {
                return Err(io::Error::from(io::ErrorKind::IsADirectory));
            }
            if !there.is_file() {
                let file = OpenOptions::new().write(true).open(&target)?;
                return Ok(Self { file, target, temporary: None });
            }
        }
        let temporary = temporary_name(&target)?;
        // Registered before it exists: a signal between the two lines must find it.
        let mut list = unfinished();
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&temporary)?;
        list.push(temporary.clone());
        Ok(Self { file, target, temporary: Some(temporary) })
    }

    /// The file takes its name, in place of one that had it.
    ///
    /// # Errors
    /// The rename fails.
    pub fn persist(mut self) -> io::Result<()> {
        self.file.flush()?;
        if let Some(temporary) = self.temporary.take() {
            let mut list = unfinished();
            let renamed = fs::rename(&temporary, &self.target);
            if renamed.is_err() {
                // Whatever keeps a file from its name may keep it from being removed, too; the rename's error is told.
                let _ = fs::remove_file(&temporary);
            }
            list.retain(|path| *path != temporary);
            renamed?;
        }
        Ok(())
    }
}

impl Write for Staged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if let Some(temporary) = self.temporary.take() {
            let mut list = unfinished();
            let _ = fs::remove_file(&temporary);
            list.retain(|path| *path != temporary);
        }
    }
}

fn temporary_name(target: &Path) -> io::Result<PathBuf> {
    let name = target.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}.part", std::process::id()));
    Ok(target.with_file_name(hidden))
}

/// Remove every unfinished file and hold the lock, so that none is renamed any more: the process is about to end.
pub fn remove_unfinished() -> impl Drop {
    let list = unfinished();
    for path in list.iter() {
        let _ = fs::remove_file(path);
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn scratch(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("espalier-staged-{}-{name}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    #[test]
    fn a_file_appears_whole_or_not_at_all() {
        let dir = scratch("whole");
        let target = dir.join("keys");
        fs::write(&target, "before").unwrap();
        let mut dropped = Staged::create_private(&target).unwrap();
        dropped.write_all(b"half").unwrap();
        drop(dropped);
        assert_eq!(fs::read(&target).unwrap(), b"before");
        let mut staged = Staged::create_private(&target).unwrap();
        staged.write_all(b"after").unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"before");
        staged.persist().unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"after");
        assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1, "nothing else is left");
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_device_is_written_and_never_replaced() {
        let mut staged = Staged::create(Path::new("/dev/null")).unwrap();
        staged.write_all(b"gone").unwrap();
        staged.persist().unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
        assert!(Staged::create(&std::env::temp_dir()).is_err());
    }
}
