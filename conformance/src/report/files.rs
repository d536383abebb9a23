//! The forms that a report is written in, and the names of their files in the directory of `--out`.

use super::{Outcome, html, json, junit, markdown};
use std::path::Path;

/// A form that is a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For programs.
    Json,
    /// For continuous integration.
    Junit,
    /// For a browser.
    Html,
    /// For the summary of a job.
    Markdown,
}

impl Form {
    /// Every form.
    pub const ALL: [Form; 4] = [Form::Json, Form::Junit, Form::Html, Form::Markdown];

    /// The name of its file.
    pub fn file(self) -> &'static str {
        match self {
            Form::Json => "result.json",
            Form::Junit => "junit.xml",
            Form::Html => "report.html",
            Form::Markdown => "summary.md",
        }
    }

    /// What stands in the file.
    ///
    /// # Errors
    /// A value that the form cannot express, in a sentence; none of ours is one.
    pub fn text(self, outcome: &Outcome, links: &html::Links) -> Result<String, String> {
        match self {
            Form::Json => json::text(outcome).map_err(|e| e.to_string()),
            Form::Junit => junit::text(outcome).map_err(|e| e.to_string()),
            Form::Html => Ok(html::text(outcome, links)),
            Form::Markdown => Ok(markdown::text(outcome)),
        }
    }
}

/// Writes every form into a directory, which is there.
///
/// # Errors
/// A sentence with the file that could not be written.
pub fn write(dir: &Path, outcome: &Outcome, links: &html::Links) -> Result<(), String> {
    for form in Form::ALL {
        let path = dir.join(form.file());
        let failed = |e: String| format!("{} cannot be written: {e}", path.display());
        let text = form.text(outcome, links).map_err(failed)?;
        std::fs::write(&path, text).map_err(|e| failed(e.to_string()))?;
    }
    Ok(())
}
