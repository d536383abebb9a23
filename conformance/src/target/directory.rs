//! A directory of a run's own, for what has to be there again when a process is.

use std::{
    fs::DirBuilder,
    io::ErrorKind,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

/// How often its removal is tried: a process that was just killed may still have been writing into it.
const TRIES: u32 = 50;
/// The pause between two tries: nobody tells when the last of a process is gone.
const PAUSE: Duration = Duration::from_millis(20);

/// A new, empty directory that only we may look into. It is removed when this is dropped.
#[derive(Debug)]
pub struct Directory(PathBuf);

impl Directory {
    /// Makes one where temporary files are.
    ///
    /// # Errors
    /// The path and why nothing can be made there.
    pub fn new() -> Result<Self, String> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        loop {
            let name = format!("wireproof-{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
            let path = std::env::temp_dir().join(name);
            match make(&path) {
                Ok(()) => return Ok(Self(path)),
                // A process with our number that was killed left it behind; its content is not ours.
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                Err(e) => return Err(format!("{}: {e}", path.display())),
            }
        }
    }

    /// Makes it new: nothing of what it held is left.
    ///
    /// # Errors
    /// The path and why that cannot be done.
    pub fn clear(&self) -> Result<(), String> {
        std::fs::remove_dir_all(&self.0)
            .and_then(|()| make(&self.0))
            .map_err(|e| format!("{}: {e}", self.0.display()))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

fn make(path: &Path) -> std::io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

impl Drop for Directory {
    fn drop(&mut self) {
        for _ in 0..TRIES {
            match std::fs::remove_dir_all(&self.0) {
                Ok(()) => return,
                Err(e) if e.kind() == ErrorKind::NotFound => return,
                // A directory for temporary files may keep what cannot be removed.
                Err(_) => thread::sleep(PAUSE),
            }
        }
    }
}
