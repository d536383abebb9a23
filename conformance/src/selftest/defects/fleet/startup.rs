//! Defects of "Startup".

use super::{Seams, Table, answers, decide, frames};
use crate::{
    embed::reference::fleet::{
        model::{Answer, Input},
        program::{Call, Exit, Occasion},
        seams::Frame,
        settings::{Audience, ConfigError},
    },
    protocol::Cut::{Port, Wire},
    selftest::defects::Breakage,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use std::time::Duration;
use wireproof_spec::{
    fleet::{Cause, requirements::*},
    http::Request,
};

pub(super) const TABLE: Table = &[
    Breakage::boundary("fleet/startup/fifteen-characters-taken", FLEET_STARTUP_1, Wire, || {
        refused(|why, exit| match why {
            ConfigError::ShortKey { length: 15, .. } => None,
            _ => Some(exit),
        })
    }),
    Breakage::boundary("fleet/startup/short-keys-of-operators-taken", FLEET_STARTUP_1, Wire, || {
        refused(|why, exit| match why {
            ConfigError::ShortKey { audience: Audience::Operators, .. } => None,
            _ => Some(exit),
        })
    }),
    Breakage::boundary("fleet/startup/short-key-without-failure", FLEET_STARTUP_1, Wire, || {
        refused(|why, exit| {
            let is_short = matches!(why, ConfigError::ShortKey { .. });
            Some(Exit { code: if is_short { 0 } else { exit.code }, ..exit })
        })
    }),
    Breakage::boundary("fleet/startup/listens-before-it-looks", FLEET_STARTUP_1, Wire, || {
        refused(|why, exit| {
            let is_short = matches!(why, ConfigError::ShortKey { .. });
            Some(Exit { after: Duration::from_millis(if is_short { 300 } else { 0 }), ..exit })
        })
    }),
    Breakage::boundary("fleet/startup/one-key-for-both-taken", FLEET_STARTUP_2, Wire, || {
        refused(|why, exit| if *why == ConfigError::SharedKey { None } else { Some(exit) })
    }),
    Breakage::boundary("fleet/startup/keys-of-agents-made", FLEET_STARTUP_3, Wire, || {
        refused(|why, exit| if *why == ConfigError::NoAgentKey { None } else { Some(exit) })
    }),
    Breakage::boundary("fleet/startup/keys-of-operators-made", FLEET_STARTUP_3, Wire, || {
        refused(|why, exit| if *why == ConfigError::NoAdminKey { None } else { Some(exit) })
    }),
    Breakage::boundary("fleet/startup/queries-printed", FLEET_STARTUP_4, Wire, || {
        printed(|request| request.query.get("key").map(str::to_owned))
    }),
    Breakage::boundary("fleet/startup/offers-of-bad-handshakes-printed", FLEET_STARTUP_4, Wire, || {
        printed(|request| {
            let is_bad = request.headers.get("sec-websocket-version").is_some_and(|version| version != "13");
            request.headers.get("sec-websocket-protocol").filter(|_| is_bad).map(str::to_owned)
        })
    }),
    Breakage::boundary("fleet/startup/headers-of-bad-requests-printed", FLEET_STARTUP_4, Wire, || {
        printed(|request| {
            let is_bad = !request.body.is_empty() && request.body.last() != Some(&b'}');
            request.headers.get("authorization").filter(|_| is_bad).map(str::to_owned)
        })
    }),
    Breakage::boundary("fleet/startup/refused-keys-printed", FLEET_STARTUP_4, Wire, || {
        let refusal = |call: &Call, line: &mut String| {
            if let Some(keys) = call.variables.get("FLEET_AGENT_KEY") {
                line.push_str(&format!(": {keys:?}"));
            }
        };
        Seams { refusal: Some(Box::new(refusal)), ..Seams::honest() }
    }),
    Breakage::boundary("fleet/startup/keys-printed-in-base64", FLEET_STARTUP_4, Wire, || {
        printed(|request| {
            let ticket = request.headers.get("sec-websocket-protocol");
            ticket.map(|ticket| STANDARD.encode(format!("ticket {ticket}")))
        })
    }),
    Breakage::restart("fleet/startup/cut-off-at-the-end", FLEET_STARTUP_5, Wire, || {
        frames(|number, frames| {
            let is_end =
                |frame: &Frame| matches!(frame, Frame::Close(_, reason) if END.contains(&reason.as_str()));
            if number > 1 && frames.iter().any(is_end) {
                *frames = vec![Frame::Cut];
            }
        })
    })
    .variant("full"),
    Breakage::restart("fleet/startup/ends-by-the-signal", FLEET_STARTUP_6, Wire, || {
        signalled(|exit| Some(Exit { code: 143, ..exit }))
    })
    .variant("full"),
    Breakage::restart("fleet/startup/takes-its-time", FLEET_STARTUP_6, Wire, || {
        signalled(|exit| Some(Exit { after: Duration::from_secs(30), ..exit }))
    })
    .variant("full"),
    Breakage::restart("fleet/startup/waits-for-the-deaf", FLEET_STARTUP_6, Wire, || Seams {
        linger: Some(Duration::from_secs(60)),
        ..Seams::honest()
    })
    .variant("full"),
    Breakage::restart("fleet/startup/waiting-request-told-something-else", FLEET_STARTUP_8, Port, || {
        decide(|_, input, decision| {
            if matches!(input, Input::Stopping) {
                for answer in answers(decision) {
                    *answer = Answer::Refused(Cause::CommandFailed);
                }
            }
        })
    })
    .variant("full"),
    Breakage::restart("fleet/startup/interrupt-passed-over", FLEET_STARTUP_9, Wire, || interrupted(|_| None))
        .variant("full"),
    Breakage::restart("fleet/startup/interrupt-is-a-failure", FLEET_STARTUP_9, Wire, || {
        interrupted(|exit| Some(Exit { code: 130, ..exit }))
    })
    .variant("full"),
];

/// Why connections are closed at the end.
const END: [&str; 2] = ["room_destroyed", "server_shutdown"];

/// How a program ends that was called so, changed.
fn refused(change: fn(&ConfigError, Exit) -> Option<Exit>) -> Seams {
    let exit = move |occasion: Occasion<'_>, exit| match occasion {
        Occasion::Refused(why) => change(why, exit),
        _ => Some(exit),
    };
    Seams { exit: Some(Box::new(exit)), ..Seams::honest() }
}

/// How a program ends on SIGTERM, changed.
fn signalled(change: fn(Exit) -> Option<Exit>) -> Seams {
    let exit = move |occasion: Occasion<'_>, exit| {
        if occasion == Occasion::Terminated { change(exit) } else { Some(exit) }
    };
    Seams { exit: Some(Box::new(exit)), ..Seams::honest() }
}

/// How a program ends on SIGINT, changed.
fn interrupted(change: fn(Exit) -> Option<Exit>) -> Seams {
    let exit = move |occasion: Occasion<'_>, exit| {
        if occasion == Occasion::Interrupted { change(exit) } else { Some(exit) }
    };
    Seams { exit: Some(Box::new(exit)), ..Seams::honest() }
}

/// This of a request, in the line that is printed of it.
fn printed(what: fn(&Request) -> Option<String>) -> Seams {
    let line = move |request: &Request, line: &mut String| {
        if let Some(what) = what(request) {
            line.push(' ');
            line.push_str(&what);
        }
    };
    Seams { line: Some(Box::new(line)), ..Seams::honest() }
}
