//! Defects of "Queues".

mod life;

use super::{
    Input, Seams, Table, ask, ask_mut, decide, input, is, racing, refusal, reply, request, success, told,
};
use crate::{
    embed::reference::queue::model::{Answer, Ask, Change, Create, Differences, Record, Settings},
    protocol::Cut::{Port, Wire},
    selftest::defects::{Breakage, port, wire::Count},
};
use serde_json::{Value, json};
use wireproof_spec::{
    http::{Body, Request},
    queue::{Action, QueueType, Route, requirements::*},
};

pub(super) use life::TABLE as LIFE;

pub(super) const TABLE: Table = &[
    Breakage::always("queue/queues/another-type-told", QUEUE_QUEUES_1, Wire, || {
        told(Action::Create, |_, body| {
            let kind = &mut body["data"]["queue"]["queue_type"];
            *kind = json!(if *kind == "worker" { "pubsub" } else { "worker" });
        })
    }),
    Breakage::always("queue/queues/worker-made-pubsub", QUEUE_QUEUES_1, Port, || {
        creating(|create| create.kind = QueueType::Pubsub)
    })
    .wide("nothing is leased where every queue broadcasts"),
    Breakage::always("queue/queues/another-default", QUEUE_QUEUES_2, Port, || {
        creating(|create| {
            if create.settings == Settings::default() {
                create.settings.visibility_s = 60;
            }
        })
    }),
    Breakage::always("queue/queues/mortal-by-default", QUEUE_QUEUES_2, Port, || {
        creating(|create| {
            if create.settings == Settings::default() {
                create.settings.ttl_s = Some(604_800.0);
            }
        })
    }),
    Breakage::always("queue/queues/defaults-untold", QUEUE_QUEUES_2, Wire, || {
        reply(|request, response| {
            if [Action::Create, Action::Get].into_iter().any(|action| is(request, action)) {
                super::rewrite(response, |body| {
                    let Some(queue) = body["data"]["queue"].as_object_mut() else { return };
                    if queue.get("default_retry_multiplier").and_then(Value::as_f64) == Some(2.0) {
                        queue.remove("default_retry_multiplier");
                    }
                });
            }
        })
    }),
    Breakage::always("queue/queues/a-setting-ignored", QUEUE_QUEUES_3, Port, || {
        creating(|create| create.settings.retention_s = Settings::default().retention_s)
    }),
    Breakage::boundary("queue/queues/others-by-another-table", QUEUE_QUEUES_3, Port, || {
        creating(|create| {
            let honest = Settings::default();
            if create.settings != honest && create.settings.visibility_s == honest.visibility_s {
                create.settings.visibility_s = 60;
            }
        })
    }),
    Breakage::boundary("queue/queues/no-retries-ignored", QUEUE_QUEUES_3, Port, || {
        creating(|create| {
            if create.settings.max_retries == 0 {
                create.settings.max_retries = 5;
            }
        })
    }),
    Breakage::boundary("queue/queues/greatest-cut-off", QUEUE_QUEUES_3, Port, || {
        creating(|create| create.settings.in_flight = create.settings.in_flight.min(999))
    }),
    Breakage::always("queue/queues/capitals-made-small", QUEUE_QUEUES_4, Wire, || {
        naming(|name| name.to_ascii_lowercase())
    }),
    Breakage::always("queue/queues/capitals-within-made-small", QUEUE_QUEUES_4, Wire, || {
        naming(|name| {
            let mut all = name.chars();
            all.next().map_or_else(String::new, |first| format!("{first}{}", all.as_str().to_lowercase()))
        })
    }),
    Breakage::always("queue/queues/first-digit-taken", QUEUE_QUEUES_5, Wire, || {
        naming(|name| match name.starts_with(|c: char| c.is_ascii_digit()) {
            true => format!("q{name}"),
            false => name.to_owned(),
        })
    }),
    Breakage::always("queue/queues/first-hyphen-taken", QUEUE_QUEUES_21, Wire, || {
        naming(|name| match name.starts_with('-') {
            true => format!("q{name}"),
            false => name.to_owned(),
        })
    }),
    Breakage::always("queue/queues/empty-name-is-none", QUEUE_QUEUES_6, Wire, || {
        request(|request| {
            creation(request, |body| {
                if body["name"] == ""
                    && let Some(members) = body.as_object_mut()
                {
                    members.remove("name");
                }
            });
        })
    }),
    Breakage::boundary("queue/queues/long-name-cut-off", QUEUE_QUEUES_7, Wire, || {
        naming(|name| name.chars().take(256).collect())
    }),
    Breakage::boundary("queue/queues/longest-name-refused", QUEUE_QUEUES_8, Wire, || {
        naming(|name| if name.len() == 256 { format!("{name}-") } else { name.to_owned() })
    }),
    Breakage::always("queue/queues/first-underscore-refused", QUEUE_QUEUES_22, Wire, || {
        naming(|name| if name.starts_with('_') { format!("-{name}") } else { name.to_owned() })
    }),
    Breakage::always("queue/queues/underscore-refused", QUEUE_QUEUES_23, Wire, || {
        naming(
            |name| {
                if name.rfind('_').is_some_and(|at| at > 0) { format!("-{name}") } else { name.to_owned() }
            },
        )
    }),
    Breakage::always("queue/queues/two-hyphens-refused", QUEUE_QUEUES_23, Wire, || {
        naming(
            |name| if name.contains("--") && name.len() < 200 { format!("-{name}") } else { name.to_owned() },
        )
    }),
    Breakage::always("queue/queues/name-demanded", QUEUE_QUEUES_9, Wire, || {
        request(|request| {
            creation(request, |body| {
                if body.get("name").is_none() {
                    body["name"] = json!("");
                }
            });
        })
    }),
    Breakage::always("queue/queues/illegal-name-found", QUEUE_QUEUES_9, Wire, || {
        told(Action::Create, |request, body| {
            let asked: Value = serde_json::from_slice(&request.body).unwrap_or_default();
            if asked.get("name").is_none()
                && let Some(name) = body["data"]["queue"]["name"].as_str()
            {
                body["data"]["queue"]["name"] = json!(name.to_ascii_uppercase());
            }
        })
    }),
    Breakage::always("queue/queues/get-of-nothing", QUEUE_QUEUES_13, Wire, || made_up(Action::Get)),
    Breakage::always("queue/queues/update-of-nothing", QUEUE_QUEUES_24, Wire, || made_up(Action::Update)),
    Breakage::always("queue/queues/pause-of-nothing", QUEUE_QUEUES_25, Wire, || made_up(Action::Pause)),
    Breakage::always("queue/queues/resume-of-nothing", QUEUE_QUEUES_25, Wire, || made_up(Action::Resume)),
    Breakage::always("queue/queues/delete-of-nothing", QUEUE_QUEUES_14, Wire, || {
        reply(|request, response| {
            if is(request, Action::Delete) && response.status == 404 {
                *response = success(&Value::Null);
            }
        })
    }),
    Breakage::always("queue/queues/update-replaces", QUEUE_QUEUES_17, Port, || {
        updating(|_, change| {
            let Differences { ttl_s, in_flight, .. } = change.settings.clone();
            if in_flight.is_none() && ttl_s.is_none() {
                change.settings.in_flight = Some(Settings::default().in_flight);
            }
        })
    }),
    Breakage::boundary("queue/queues/no-ttl-ignored", QUEUE_QUEUES_17, Port, || {
        updating(|_, change| change.settings.ttl_s = change.settings.ttl_s.filter(Option::is_some))
    }),
    Breakage::second("queue/queues/second-update-forgotten", QUEUE_QUEUES_17, Port, || {
        let updates = Count::new();
        decide(move |_, input, decision| {
            if let Some((name, Ask::Update(_))) = ask(input)
                && updates.up(name) > 0
            {
                decision.records.clear();
            }
        })
    }),
    Breakage::boundary("queue/queues/update-forgets-description", QUEUE_QUEUES_17, Port, || {
        updating(|_, change| {
            change.description = Some(change.description.clone().unwrap_or_default());
        })
    }),
    Breakage::second("queue/queues/second-pause-forgotten", QUEUE_QUEUES_18, Port, || forgotten(true)),
    Breakage::boundary("queue/queues/update-resumes", QUEUE_QUEUES_18, Port, || {
        decide(|_, input, decision| {
            if let Some((name, Ask::Update(_))) = ask(input)
                && let Some(Record::Changed { at, .. }) = decision.records.first()
            {
                let at = *at;
                decision.records.push(Record::Paused { name: name.into(), since: None, at });
            }
        })
    }),
    Breakage::boundary("queue/queues/paused-again-resumes", QUEUE_QUEUES_18, Port, || {
        input(|state, input| {
            if let Input::Ask { name, ask: Ask::Pause(pause @ true), .. } = input
                && state.queues.get(name).is_some_and(|queue| queue.paused.is_some())
            {
                *pause = false;
            }
        })
    }),
    Breakage::second("queue/queues/second-resume-forgotten", QUEUE_QUEUES_19, Port, || forgotten(false)),
    Breakage::boundary("queue/queues/tail-plus-one", QUEUE_QUEUES_20, Port, || {
        decide(|state, input, decision| {
            let Some(queue) = super::queue_of(state, input) else { return };
            let newest = queue.gone.iter().next_back().filter(|(_, to)| **to == queue.next);
            let behind = newest.map_or(queue.next, |(from, _)| *from);
            let behind = if queue.start == queue.next { 0 } else { behind };
            for answer in super::answers(decision) {
                if let Answer::Queue(facts) = answer {
                    facts.next = behind;
                }
            }
        })
    }),
];

/// Each create, changed.
fn creating(change: fn(&mut Create)) -> Seams {
    input(move |_, input| {
        if let Some(Ask::Create(create)) = ask_mut(input) {
            change(create);
        }
    })
}

/// Each update, changed. The number is how many there were before of this queue.
fn updating(change: fn(u32, &mut Change)) -> Seams {
    let updates = Count::new();
    input(move |_, input| {
        if let Input::Ask { name, ask: Ask::Update(asked), .. } = input {
            change(updates.up(name), asked);
        }
    })
}

/// The body of a create, changed before it is read.
fn creation(request: &mut Request, change: impl FnOnce(&mut Value)) {
    if is(request, Action::Create)
        && let Ok(mut body @ Value::Object(_)) = serde_json::from_slice::<Value>(&request.body)
    {
        change(&mut body);
        request.body = Body(body.to_string().into());
    }
}

/// The name in each create, changed before it is read.
fn naming(change: fn(&str) -> String) -> Seams {
    request(move |request| {
        creation(request, |body| {
            if let Some(name) = body["name"].as_str().map(change) {
                body["name"] = json!(name);
            }
        });
    })
}

/// A Queue is told where there is none.
fn made_up(action: Action) -> Seams {
    reply(move |request, response| {
        let Ok(route) = Route::decode(request) else { return };
        if route.action != action || response.status != 404 {
            return;
        }
        let now = "2026-01-15T00:00:00Z";
        let paused = (action == Action::Pause).then_some(now);
        *response = success(&json!({"queue": {
            "id": "queue_0", "name": route.queue().unwrap_or_default(), "queue_type": "pubsub",
            "created_at": now, "updated_at": now, "paused_at": paused,
        }}));
    })
}

/// The second pause of a queue, or the second resume, is answered and forgotten.
fn forgotten(pause: bool) -> Seams {
    let times = Count::new();
    decide(move |_, input, decision| {
        if let Some((name, Ask::Pause(asked))) = ask(input)
            && *asked == pause
            && times.up(name) > 0
        {
            decision.records.clear();
        }
    })
}
