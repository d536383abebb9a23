//! `--show-config`: every setting of a run, with its value and where that comes from.

use super::{Args, Chosen, Failed, Tier};
use crate::{
    event::Source,
    report::transcript::clean,
    run::{self, Settings},
    target::{
        Features,
        file::{self, TargetFile},
    },
};
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    path::Path,
};
use toml_edit::{Document, Item};

const COMMAND_LINE: &str = "command line";
const DEFAULT: &str = "default";
const ASKED: &str = "asked of the target";
const ASKS: &str = "a run asks the target";

/// Every setting of a run.
#[derive(Serialize)]
pub(super) struct Config {
    settings: Vec<Row>,
    /// Why the target could not be asked, where it was to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    unreachable: Option<String>,
}

/// A setting.
#[derive(Serialize)]
struct Row {
    name: String,
    value: String,
    source: String,
}

/// The settings of a run on this target; `asks`: it is running and may be asked what it has.
pub(super) async fn of(
    args: &Args,
    chosen: &Chosen,
    settings: Settings,
    asks: bool,
) -> Result<Config, Failed> {
    let protocol = chosen.protocol;
    let asked = if asks {
        let greeting = Settings { names: Some(BTreeSet::new()), ..settings.clone() };
        Some(run::run(protocol, chosen.target.clone(), greeting, |_| {}).await.map_err(Failed::harness)?)
    } else {
        None
    };
    let unreachable = asked.as_ref().and_then(|asked| asked.unreachable.clone());
    let features = match &asked {
        Some(asked) => asked.features.clone(),
        None => Features::gather(protocol, &chosen.target, Vec::new()),
    };
    let was_asked = asked.is_some() && unreachable.is_none();
    let file = args.target.as_deref().map(Written::read).transpose()?;
    let mut rows = Rows { all: Vec::new(), file };
    rows.target(args, chosen);
    for (name, what) in protocol
        .features
        .iter()
        .map(|f| (f.name, "feature"))
        .chain(protocol.limits.iter().map(|l| (l.name, "limit")))
    {
        let known = features.iter().find(|(known, ..)| *known == name);
        let asks = protocol.asks.contains(&name) && !was_asked;
        let value = known.map_or("not known", |(_, value, _)| value);
        let source = match known.map(|(.., source)| source) {
            Some(Source::Declared) => rows.declared(args, name),
            Some(Source::Probed) => ASKED.into(),
            _ if asks => format!("{DEFAULT}; {ASKS}"),
            _ => DEFAULT.into(),
        };
        rows.put(&format!("{what} {name}"), value, source);
    }
    rows.run(args, &settings);
    rows.file();
    Ok(Config { settings: rows.all, unreachable })
}

impl Config {
    /// For people.
    pub(super) fn text(&self) -> String {
        let width = |of: fn(&Row) -> &str, most: usize| {
            self.settings.iter().map(|row| of(row).chars().count()).max().unwrap_or(0).min(most)
        };
        let (names, values) = (width(|row| &row.name, 40), width(|row| &row.value, 50));
        let mut out = String::new();
        for Row { name, value, source } in &self.settings {
            let _ = writeln!(out, "{name:<names$}  {value:<values$}  {source}");
        }
        if let Some(why) = &self.unreachable {
            let why = why.strip_prefix("the target could not be reached: ").unwrap_or(why);
            let _ = writeln!(out, "The target could not be asked: {}.", clean(why));
        }
        out
    }
}

/// A target file, and on which line each of its keys stands.
struct Written {
    file: TargetFile,
    shown: String,
    lines: BTreeMap<String, usize>,
}

impl Written {
    fn read(path: &Path) -> Result<Self, Failed> {
        let failed = |e: &dyn std::fmt::Display| Failed::usage(format!("{}: {e}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|e| failed(&e))?;
        let document = Document::parse(text.as_str()).map_err(|e| failed(&e))?;
        let mut lines = BTreeMap::new();
        note(document.as_item(), "", &text, &mut lines);
        let file = file::read(path).map_err(Failed::usage)?.file;
        Ok(Self { file, shown: path.display().to_string(), lines })
    }

    fn place(&self, key: &str) -> String {
        match self.lines.get(key) {
            Some(line) => format!("{}:{line}", self.shown),
            None => self.shown.clone(),
        }
    }
}

/// On which line the keys of a table stand, with those of the tables in it behind a dot.
fn note(item: &Item, above: &str, text: &str, lines: &mut BTreeMap<String, usize>) {
    let Some(table) = item.as_table_like() else { return };
    for (name, item) in table.iter() {
        let path = if above.is_empty() { name.to_owned() } else { format!("{above}.{name}") };
        if let Some(span) = table.key(name).and_then(toml_edit::Key::span) {
            lines.insert(path.clone(), text[..span.start].matches('\n').count() + 1);
        }
        note(item, &path, text, lines);
    }
}

struct Rows {
    all: Vec<Row>,
    file: Option<Written>,
}

impl Rows {
    fn put(&mut self, name: &str, value: impl ToString, source: impl Into<String>) {
        let value = clean(&value.to_string());
        self.all.push(Row { name: name.into(), value, source: source.into() });
    }

    fn place(&self, key: &str) -> String {
        self.file.as_ref().map_or_else(|| COMMAND_LINE.into(), |file| file.place(key))
    }

    /// The value of the command line, or that of the file, or the default; and where it comes from.
    fn first(
        &mut self,
        name: &str,
        given: Option<String>,
        key: &str,
        written: Option<String>,
        default: &str,
    ) {
        match (given, written) {
            (Some(value), _) => self.put(name, value, COMMAND_LINE),
            (None, Some(value)) => self.put(name, value, self.place(key)),
            (None, None) => self.put(name, default, DEFAULT),
        }
    }

    fn target(&mut self, args: &Args, chosen: &Chosen) {
        let by_file = self.file.is_some();
        let source = |key: &str, is_given: bool, rows: &Self| {
            if is_given || !by_file { COMMAND_LINE.into() } else { rows.place(key) }
        };
        let protocol = source("protocol", args.protocol.is_some(), self);
        self.put("protocol", chosen.protocol.name, protocol);
        // A client has a command in the place of a URL.
        let key = if self.file.as_ref().map_or(args.client, |file| file.file.client.is_some()) {
            "client"
        } else {
            "url"
        };
        let place = source(key, args.url.is_some(), self);
        let written =
            self.file.as_ref().filter(|_| args.url.is_none()).and_then(|file| file.file.url.clone());
        self.put(key, written.unwrap_or_else(|| chosen.target.shown.clone()), place);
        if let Some((name, version)) = &chosen.target.implementation {
            let source = if by_file { self.place("implementation") } else { "the reference".into() };
            self.put("implementation", format!("{name} {version}").trim(), source);
        }
        let headers = self.file.as_ref().map(|file| file.file.headers.clone()).unwrap_or_default();
        for (name, value) in headers {
            let place = self.place(&format!("headers.{name}"));
            self.put(&format!("header {}", name.to_ascii_lowercase()), shown(&value), place);
        }
        let second = self.file.as_ref().map(|file| file.file.second.clone()).unwrap_or_default();
        for (name, value) in second {
            let place = self.place(&format!("second.{name}"));
            self.put(&format!("second {}", name.to_ascii_lowercase()), shown(&value), place);
        }
        for header in &args.header {
            let (name, value) = header.split_once(':').unwrap_or((header, ""));
            let name = name.trim().to_ascii_lowercase();
            self.put(&format!("header {name}"), shown(value.trim()), COMMAND_LINE);
        }
    }

    /// Where a declaration comes from; the command line comes last and wins.
    fn declared(&self, args: &Args, name: &str) -> String {
        let is_it = |text: &&String| text.split_once('=').is_some_and(|(given, _)| given == name);
        if args.feature.iter().chain(&args.limit).any(|text| is_it(&text)) {
            return COMMAND_LINE.into();
        }
        match &self.file {
            Some(file) if file.file.limits.contains_key(name) => file.place(&format!("limits.{name}")),
            Some(file) => file.place(&format!("features.{name}")),
            None => "the reference".into(),
        }
    }

    fn run(&mut self, args: &Args, settings: &Settings) {
        let pace = self.file.as_ref().map(|file| file.file.pace).unwrap_or_default();
        let text = |value: Option<f64>| value.map(|value| value.to_string());
        let jobs = args.jobs.map(|jobs| jobs.to_string());
        let default = Settings::default();
        self.first(
            "jobs",
            jobs,
            "pace.jobs",
            pace.jobs.map(|jobs| jobs.to_string()),
            &default.jobs.to_string(),
        );
        self.first(
            "rate",
            args.rate.map(|rate| rate.to_string()),
            "pace.rate",
            pace.rate.map(|rate| rate.to_string()),
            "as many as there are",
        );
        self.first("time scale", text(args.time_scale), "pace.time_scale", text(pace.time_scale), "1");
        let flag = |is_set: bool| is_set.then(|| "on".to_owned());
        let fast = args.tier.map(|tier| if tier == Tier::Fast { "fast" } else { "full" }.to_owned());
        let only = (!args.only.is_empty()).then(|| args.only.join(" "));
        let rows = [
            ("seed", args.seed.map(|seed| seed.to_string()), default.seed.to_string()),
            ("timeout ms", args.timeout.map(|ms| ms.to_string()), default.timeout.as_millis().to_string()),
            ("tier", fast, "full".into()),
            ("level", settings.level.map(|level| level.name().to_owned()), "may".into()),
            ("only", only, "everything".into()),
            ("strict", flag(args.strict), "off".into()),
        ];
        for (name, given, default) in rows {
            self.first(name, given, "", None, &default);
        }
    }

    /// What only a file can say.
    fn file(&mut self) {
        let Some(Written { file, .. }) = &self.file else { return };
        let mut said: Vec<(&str, &str, String)> = Vec::new();
        let stimuli = file.stimuli.keys().cloned().collect::<Vec<_>>().join(", ");
        said.extend((!stimuli.is_empty()).then_some(("stimuli", "stimuli", stimuli)));
        said.extend(file.baseline.as_ref().map(|path| ("baseline", "baseline", path.display().to_string())));
        said.extend(file.socket.as_ref().map(|path| ("socket", "socket", path.display().to_string())));
        said.extend(file.tls.ca.as_ref().map(|path| ("tls ca", "tls.ca", path.display().to_string())));
        if let Some(launch) = &file.launch {
            said.push(("launch command", "launch.command", launch.command.clone()));
            said.extend(
                launch.cwd.as_ref().map(|cwd| ("launch cwd", "launch.cwd", cwd.display().to_string())),
            );
            said.push(("launch ready ms", "launch.ready_timeout_ms", launch.ready_timeout_ms.to_string()));
        }
        said.extend(
            file.hooks
                .as_ref()
                .map(|_| ("hooks", "hooks", "restart and kill, as far as they are there".into())),
        );
        if !file.accepted.is_empty() {
            said.push(("accepted", "accepted", format!("{} checks", file.accepted.len())));
        }
        for (name, key, value) in said {
            let is_default = key == "launch.ready_timeout_ms"
                && self.file.as_ref().is_some_and(|file| !file.lines.contains_key(key));
            let source = if is_default { DEFAULT.into() } else { self.place(key) };
            self.put(name, value, source);
        }
    }
}

/// A value of a header: where it is, or nothing.
fn shown(value: &str) -> &str {
    if value.starts_with("env:") || value.starts_with("file:") { value } else { "[redacted]" }
}
