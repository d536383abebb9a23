//! `wireproof selftest`: who tests the tests.

use super::{Done, Failed, json, print, protocol};
use crate::{
    exit,
    protocol::Protocol,
    selftest::{Scope, Score, gate::Matrix, selftest as test},
};
use std::{path::PathBuf, time::Instant};

/// Test the suite against its references, against targets that do nothing useful, and against every defect.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// The protocols; without any all of them.
    #[arg(value_name = "PROTOCOL")]
    protocols: Vec<String>,
    /// Drive all checks against all defects, and write which check sees which defect.
    #[arg(long)]
    full: bool,
    /// Where `--full` writes the matrix. What it holds of other protocols and areas stays.
    #[arg(
        long,
        value_name = "FILE",
        default_value = "conformance/src/selftest/matrix.json",
        requires = "full"
    )]
    matrix: PathBuf,
    /// Test the checks and defects of this area alone: `forks`. With `--full`, all checks against its defects.
    #[arg(long)]
    area: Option<String>,
    /// Print the machine form alone.
    #[arg(long)]
    json: bool,
}

/// Tests the suite. Exit 1 if a defect survives, a null target passes, an honest check fails or the gate has a hole.
pub(super) async fn selftest(protocols: &[&'static Protocol], args: Args) -> Done {
    let chosen = match args.protocols.as_slice() {
        [] => protocols.to_vec(),
        names => names.iter().map(|name| protocol(protocols, name)).collect::<Result<_, _>>()?,
    };
    let mut scores = Vec::new();
    let mut matrix =
        if args.full { Matrix::read(&args.matrix).map_err(Failed::usage)? } else { Matrix::default() };
    for protocol in chosen {
        let started = Instant::now();
        let scope = Scope::new(args.area.as_deref());
        if let Some(area) = &args.area
            && !protocol.requirements().iter().any(|r| r.area() == *area)
        {
            return Err(Failed::usage(format!("{} has no area `{area}`", protocol.name)));
        }
        let score = test(protocol, args.full, scope).await.map_err(Failed::harness)?;
        matrix.add(protocol, &score.matrix);
        if !args.json {
            print(&shown(&score, started.elapsed().as_secs_f64()));
        }
        scores.push(score);
    }
    if args.full {
        let text = json(&matrix)?;
        std::fs::write(&args.matrix, text)
            .map_err(|e| Failed::usage(format!("{}: {e}", args.matrix.display())))?;
    }
    if args.json {
        print(&json(&scores)?);
    }
    Ok(if scores.iter().all(Score::is_clean) { exit::OK } else { exit::VIOLATED })
}

fn shown(score: &Score, seconds: f64) -> String {
    let Score { protocol, defects, nulls, distinct_checks, .. } = score;
    let mut text = format!(
        "{protocol}: {} of {} defects caught; {} passes in {} runs of checks against {} null targets; {distinct_checks} checks by \
         distinct sets of defects; {seconds:.1} s\n",
        defects.caught,
        defects.total,
        score.null_passes.len(),
        nulls.driven,
        nulls.targets,
    );
    let lists = [
        ("fails on an honest reference", &score.honest_failures),
        ("survives", &defects.surviving),
        ("passes on a null target", &score.null_passes),
        ("hole in the gate", &score.holes),
    ];
    if !score.tried_again.is_empty() {
        text.push_str(&format!("  tried again, on a busy machine: {}\n", score.tried_again.join(", ")));
    }
    for (what, list) in lists {
        for line in list {
            text.push_str(&format!("  {what}: {line}\n"));
        }
    }
    text
}
