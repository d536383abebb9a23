//! Writes the seeds of every fuzz target below a directory, which it makes anew.

use std::{env, fs, io, path::Path};

fn main() -> io::Result<()> {
    let usage = || io::Error::new(io::ErrorKind::InvalidInput, "expected the directory for the seeds");
    let out = env::args_os().nth(1).ok_or_else(usage)?;
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    if Path::new(&out).exists() {
        fs::remove_dir_all(&out)?;
    }
    for (target, seeds) in wireproof_fuzz::seeds::of(&workspace)? {
        let dir = Path::new(&out).join(target);
        fs::create_dir_all(&dir)?;
        for (index, seed) in seeds.into_iter().enumerate() {
            fs::write(dir.join(format!("{index:04}")), seed)?;
        }
    }
    Ok(())
}
