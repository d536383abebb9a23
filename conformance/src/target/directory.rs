//! A directory of a run's own, for what has to be there again when a process is.

use std::{
    fs::{self, DirBuilder, Permissions},
    io::ErrorKind,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::Path,
    thread,
    time::Duration,
};
use tempfile::{Builder, TempDir};

/// Only we may look into it.
const MODE: u32 = 0o700;
/// How often its removal is tried: a process that was just killed may still have been writing into it.
const TRIES: u32 = 50;
/// The pause between two tries: nobody tells when the last of a process is gone.
const PAUSE: Duration = Duration::from_millis(20);

/// A new, empty directory that only we may look into. It is removed when this is dropped.
#[derive(Debug)]
pub struct Directory(TempDir);

impl Directory {
    /// Makes one where temporary files are.
    ///
    /// # Errors
    /// Why nothing can be made there.
    pub fn new() -> Result<Self, String> {
        let made = Builder::new().prefix("wireproof-").permissions(Permissions::from_mode(MODE)).tempdir();
        made.map(Self).map_err(|e| format!("{}: {e}", std::env::temp_dir().display()))
    }

    /// Makes it new: nothing of what it held is left.
    ///
    /// # Errors
    /// The path and why that cannot be done.
    pub fn clear(&self) -> Result<(), String> {
        let made = fs::remove_dir_all(&self.0).and_then(|()| DirBuilder::new().mode(MODE).create(&self.0));
        made.map_err(|e| format!("{}: {e}", self.path().display()))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        for _ in 0..TRIES {
            match fs::remove_dir_all(&self.0) {
                Ok(()) => return,
                Err(e) if e.kind() == ErrorKind::NotFound => return,
                // A directory for temporary files may keep what cannot be removed.
                Err(_) => thread::sleep(PAUSE),
            }
        }
    }
}
