//! Commands of the owner of a target, for `sh -c`: each is run to its end, and not for long.

use super::Stimuli;
use crate::check::BoxFuture;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::{io::AsyncWriteExt, process::Command, time::timeout};

/// How long a command may take.
pub(super) const COMMAND: Duration = Duration::from_secs(15);

/// Runs a command in this directory, with this added to its environment and this as its input, until it ends. What it says is
/// dropped, and not piped: what it leaves running in the background may go on to say something.
///
/// # Errors
/// It cannot be started, takes longer than [`COMMAND`], or ends otherwise than well.
pub(super) async fn run(
    command: &str,
    cwd: &Path,
    env: &BTreeMap<String, String>,
    input: &[u8],
) -> Result<(), String> {
    let mut run = Command::new("sh");
    run.arg("-c").arg(command).current_dir(cwd).envs(env).kill_on_drop(true);
    run.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = run.spawn().map_err(|e| format!("`{command}` cannot be started: {e}"))?;
    let stdin = child.stdin.take();
    let write = async {
        if let Some(mut stdin) = stdin {
            // Who does not read its input has no need of it.
            let _ = stdin.write_all(input).await;
        }
    };
    let ended = async { tokio::join!(write, child.wait()).1 };
    let status = timeout(COMMAND, ended)
        .await
        .map_err(|_| format!("`{command}` took longer than {} s", COMMAND.as_secs()))?
        .map_err(|e| format!("nobody knows what became of `{command}`: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("`{command}` ended with {status}")) }
}

/// The stimuli of a target whose owner gives a command for each.
pub(super) struct Commands {
    /// By the name of the stimulus.
    pub(super) commands: BTreeMap<String, String>,
    /// Where they run.
    pub(super) cwd: PathBuf,
}

impl Stimuli for Commands {
    fn offers(&self, name: &str) -> bool {
        self.commands.contains_key(name)
    }

    fn act<'a>(
        &'a self,
        name: &'a str,
        given: &'a [(&'a str, &'a str)],
        content: &'a [u8],
    ) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            let command = self.commands.get(name).ok_or_else(|| format!("there is no command for {name}"))?;
            let env = given.iter().map(|(name, value)| (variable(name), (*value).to_owned())).collect();
            run(command, &self.cwd, &env, content).await
        })
    }
}

/// The variable in which a command finds a value: `WIREPROOF_QUEUE`.
pub(crate) fn variable(name: &str) -> String {
    format!("WIREPROOF_{}", name.to_ascii_uppercase().replace('-', "_"))
}
