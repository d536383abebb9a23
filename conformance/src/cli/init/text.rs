//! The text of a target file: what a server told, and as comments what it could not tell.

use super::Asked;
use crate::{
    check::{Hook, Need},
    event::Source,
    protocol::Protocol,
    target::{LIMITS, command::variable},
};
use std::fmt::{Result, Write};
use toml_edit::value;
use wireproof_spec::requirement::Role;

/// How wide a comment gets, in characters.
const WIDTH: usize = 110;

/// The whole file.
pub(super) fn text(asked: &Asked, url: &str, headers: &[(String, String)]) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = write(&mut out, asked, url, headers);
    out
}

fn write(out: &mut String, asked: &Asked, url: &str, headers: &[(String, String)]) -> Result {
    let protocol = asked.run.protocol;
    comment(
        out,
        "What wireproof tests here: `wireproof run --target FILE`. What begins with # says nothing; take the # away to say it. spec/target.md tells all that may stand in this file.",
    )?;
    writeln!(out, "\nprotocol = {}\nurl = {}", text_of(protocol.name), text_of(url))?;
    comment(
        out,
        "Failures that are known and left so; `wireproof baseline write` makes the file and this line.",
    )?;
    writeln!(out, "# baseline = \"wireproof.baseline.toml\"\n")?;
    comment(out, "Who is tested, for the reports.")?;
    writeln!(out, "# [implementation]\n# name = \"my-server\"\n# version = \"1.0.0\"\n")?;
    write_headers(out, headers)?;
    let second = opens(protocol, |need| *need == Need::Second);
    comment(
        out,
        &format!(
            "Headers of a second identity, in place of those: somebody else whom the server knows. {second}"
        ),
    )?;
    writeln!(out, "# [second]\n# authorization = \"env:MY_SERVER_SECOND_AUTHORIZATION\"\n")?;
    limits(out, asked)?;
    features(out, asked)?;
    let hooks = opens(protocol, |need| matches!(need, Need::Hook(_)));
    comment(
        out,
        &format!(
            "How wireproof starts the server itself, and restarts and kills it. {hooks} Then `url` has {{port}} for its port."
        ),
    )?;
    writeln!(out, "# [launch]\n# command = \"exec my-server --port {{port}} --data '{{data}}'\"\n")?;
    comment(
        out,
        "For a server that is running already, and instead of [launch]: commands that return when it is done.",
    )?;
    writeln!(out, "# [hooks]")?;
    for hook in [Hook::Restart, Hook::Kill] {
        let opened = opens(protocol, |need| *need == Need::Hook(hook));
        writeln!(out, "# {} = \"./{}-my-server\"   # {opened}", hook.name(), hook.name())?;
    }
    writeln!(out)?;
    stimuli(out, protocol)?;
    comment(out, "For a server that is slower than most.")?;
    writeln!(
        out,
        "# [pace]\n# jobs = 4           # checks at once\n# time_scale = 2.0   # multiplies every wait\n"
    )?;
    comment(
        out,
        "Checks that cannot be driven here, each with the reason why that is accepted. They keep a run from `conformant`, but no longer from the exit code 0.",
    )?;
    writeln!(out, "# [accepted]\n# \"CHECK\" = \"the reason\"")
}

/// Where the protocol has any.
fn stimuli(out: &mut String, protocol: &Protocol) -> Result {
    if protocol.stimuli.is_empty() {
        return Ok(());
    }
    comment(
        out,
        "Commands that have the server act on the protocol. They get content on their standard input and the rest in variables.",
    )?;
    writeln!(out, "# [stimuli]")?;
    for stimulus in protocol.stimuli {
        let opened = opens(protocol, |need| *need == Need::Stimulus(stimulus.name));
        let variables: Vec<String> = stimulus.given.iter().map(|name| variable(name)).collect();
        let with = if variables.is_empty() { "Nothing".into() } else { variables.join(", ") };
        comment(out, &format!("{} {with} is given. {opened}", stimulus.text))?;
        writeln!(out, "# {} = \"./{}\"", key(stimulus.name), stimulus.name)?;
    }
    writeln!(out)
}

fn write_headers(out: &mut String, headers: &[(String, String)]) -> Result {
    comment(
        out,
        "Headers of every request: env:VARIABLE, file:PATH or the value. They are kept out of every report.",
    )?;
    if headers.is_empty() {
        return writeln!(out, "# [headers]\n# authorization = \"env:MY_SERVER_AUTHORIZATION\"\n");
    }
    writeln!(out, "[headers]")?;
    for (name, given) in headers {
        writeln!(out, "{} = {}", key(name), text_of(given))?;
    }
    writeln!(out)
}

fn limits(out: &mut String, asked: &Asked) -> Result {
    let protocol = asked.run.protocol;
    if protocol.limits.is_empty() {
        return Ok(());
    }
    comment(out, "What the server says about itself in whole numbers.")?;
    writeln!(out, "[limits]")?;
    for limit in protocol.limits.iter().filter(|limit| protocol.concerns(limit.name, Role::Server)) {
        let opened = opens(protocol, |need| *need == Need::Limit(limit.name));
        match asked.run.features.limit(limit.name).filter(|number| LIMITS.contains(number)) {
            Some(number) => {
                // A length of time is seen from outside, and is a little longer there.
                let how = match limit.name.ends_with("-ms") {
                    true => "This was measured; what the server is set to is better, if you know it.",
                    false => "It was asked, and this came.",
                };
                comment(out, &format!("{} {how}", limit.text))?;
                writeln!(out, "{} = {number}", key(limit.name))?;
            }
            None => {
                let asks = protocol.asks.contains(&limit.name);
                let how = if asks { "It was asked, and did not tell." } else { "Nobody can ask for it." };
                comment(out, &format!("{} {how} {opened}", limit.text))?;
                writeln!(out, "# {} = NUMBER", key(limit.name))?;
            }
        }
    }
    writeln!(out)
}

fn features(out: &mut String, asked: &Asked) -> Result {
    let protocol = asked.run.protocol;
    if protocol.features.is_empty() {
        return Ok(());
    }
    comment(out, "What the server has. A feature that is on and does not work is a failure.")?;
    writeln!(out, "[features]")?;
    for feature in protocol.features_of(Role::Server) {
        let known = asked.run.features.iter().find(|(name, ..)| *name == feature.name);
        let (is, source) =
            known.map_or((feature.default, Source::Default), |(_, value, source)| (value, source));
        if source == Source::Probed {
            comment(out, &format!("{} It was asked, and this came.", feature.text))?;
            writeln!(out, "{} = {}", key(feature.name), text_of(is))?;
            continue;
        }
        let other = if is == "on" { "off" } else { "on" };
        let opened = opens(protocol, |need| *need == Need::Feature(feature.name, "on"));
        let (taken, what) = match is {
            "on" => ("Taken for on.", format!("{opened} Say off if the server does not have it.")),
            _ => ("Taken for off.", format!("On: {opened}")),
        };
        comment(out, &format!("{} {taken} {what}", feature.text))?;
        writeln!(out, "# {} = {}", key(feature.name), text_of(other))?;
    }
    writeln!(out)
}

/// What a need opens, in words.
fn opens(protocol: &Protocol, is_it: impl Fn(&Need) -> bool) -> String {
    let needing = |check| protocol.needs(check).iter().any(|(need, _)| is_it(need));
    match protocol.checks().filter(|c| needing(c)).count() {
        0 => "No check takes it alone.".into(),
        1 => "One check takes it.".into(),
        many => format!("{many} checks take it."),
    }
}

/// Lines that begin with `#`, broken between words.
fn comment(out: &mut String, text: &str) -> Result {
    let mut line = String::from("#");
    for word in text.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > WIDTH {
            writeln!(out, "{line}")?;
            line = "#".into();
        }
        line.push(' ');
        line += word;
    }
    writeln!(out, "{line}")
}

fn text_of(text: &str) -> String {
    value(text).to_string().trim().to_owned()
}

fn key(name: &str) -> String {
    toml_edit::Key::new(name).display_repr().into_owned()
}
