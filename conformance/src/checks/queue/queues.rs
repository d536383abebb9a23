//! Checks of "Queues" in spec/queue.md.

mod change;
mod life;

use super::setting::{
    PUBSUB, Queue, WORKER, data, invalid, nowhere_found, operation, payloads, succeeded, succeeded_and,
    with_body,
};
use crate::{
    check::{Alternative, Breaks, Check, Cx, Outcome, Waits, alternative},
    drives,
};
use serde_json::{Value, json};
use wireproof_spec::{
    http::{Request, Response},
    queue::{Action, requirements::*},
    requirement::RequirementId,
};

pub(super) const CHECKS: &[Check] = &[
    Check::new("queue/queues/created", &[QUEUE_QUEUES_1], drives!(created)),
    Check::new("queue/queues/defaults", &[QUEUE_QUEUES_2], drives!(defaults)),
    Check::new("queue/queues/settings", &[QUEUE_QUEUES_3], drives!(settings)),
    Check::new("queue/queues/capital-letter", &[QUEUE_QUEUES_4], drives!(capital_letter)),
    Check::new("queue/queues/first-a-digit", &[QUEUE_QUEUES_5], drives!(first_a_digit)),
    Check::new("queue/queues/first-a-hyphen", &[QUEUE_QUEUES_21], drives!(first_a_hyphen)),
    Check::new("queue/queues/empty-name", &[QUEUE_QUEUES_6], drives!(empty_name)),
    Check::new("queue/queues/too-long-a-name", &[QUEUE_QUEUES_7], drives!(too_long)),
    Check::new("queue/queues/longest-name", &[QUEUE_QUEUES_8], drives!(longest)),
    Check::new("queue/queues/odd-names", &[QUEUE_QUEUES_22, QUEUE_QUEUES_23], drives!(odd_names)),
    Check::new("queue/queues/no-name", &[QUEUE_QUEUES_9], drives!(no_name)),
    Check::new("queue/queues/taken-name", &[QUEUE_QUEUES_10], drives!(life::taken)),
    Check::new("queue/queues/taken-and-unchanged", &[QUEUE_QUEUES_11], drives!(life::unchanged)),
    Check::new("queue/queues/race", &[QUEUE_QUEUES_12], drives!(life::race)),
    Check::new("queue/queues/get-nothing", &[QUEUE_QUEUES_13], drives!(get_nothing)),
    Check::new("queue/queues/update-nothing", &[QUEUE_QUEUES_24], drives!(update_nothing)),
    Check::new("queue/queues/pause-nothing", &[QUEUE_QUEUES_25], drives!(pause_nothing)),
    Check::new("queue/queues/delete-nothing", &[QUEUE_QUEUES_14], drives!(life::delete_nothing)),
    Check::new("queue/queues/deleted", &[QUEUE_QUEUES_15], drives!(life::deleted)),
    Check::new("queue/queues/anew", &[QUEUE_QUEUES_16], drives!(life::anew)),
    Check::new("queue/queues/updated", &[QUEUE_QUEUES_17], drives!(change::updated)),
    Check::new("queue/queues/paused", &[QUEUE_QUEUES_18, QUEUE_QUEUES_19], drives!(change::paused)),
    Check::new("queue/queues/next-offset", &[QUEUE_QUEUES_20], drives!(change::next_offset)),
    Check::new("queue/queues/next-offset-expired", &[QUEUE_QUEUES_20], drives!(change::next_offset_expired))
        .waits(Waits::Millis(400)),
    Check::new(
        "queue/queues/update-and-messages",
        &[QUEUE_QUEUES_26],
        drives!(change::messages_that_are_there),
    )
    .waits(Waits::Millis(400)),
    Check::new("queue/queues/no-description", &[QUEUE_QUEUES_27], drives!(change::no_description)),
    Check::new("queue/queues/update-of-the-name", &[QUEUE_QUEUES_28], drives!(change::of_the_name)),
];

/// The settings of a queue that is created without any, but for the time to live.
const DEFAULTS: [(&str, f64); 7] = [
    ("default_visibility_timeout_seconds", 30.0),
    ("default_max_retries", 5.0),
    ("default_retry_backoff_ms", 1000.0),
    ("default_retry_max_backoff_ms", 60_000.0),
    ("default_retry_multiplier", 2.0),
    ("max_in_flight_per_client", 10.0),
    ("retention_seconds", 2_592_000.0),
];

/// All of them.
fn default_settings() -> Value {
    let mut all: Value = DEFAULTS.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    all["default_ttl_seconds"] = Value::Null;
    all
}

/// Whether a Queue tells these settings; null counts as told where it is absent.
fn tells(queue: &Value, settings: &Value) -> bool {
    settings.as_object().is_some_and(|settings| {
        settings.iter().all(|(name, value)| match value {
            Value::Null => queue[name].is_null(),
            value => queue[name].as_f64().is_some_and(|told| Some(told) == value.as_f64()),
        })
    })
}

/// That a request succeeded with a Queue that tells these settings.
fn with_settings(settings: &Value) -> Alternative<Response> {
    let settings = settings.clone();
    succeeded_and(&format!("a Queue with {settings}"), move |r| tells(&data(r, "queue"), &settings))
}

/// The operation get.
fn get(cx: &Cx, queue: &Queue) -> Request {
    queue.operation(cx, Action::Get, &[])
}

/// An update with this body.
fn update(cx: &Cx, queue: &Queue, body: &Value) -> Request {
    with_body(queue.operation(cx, Action::Update, &[]), body)
}

/// The operation pause.
fn pause(cx: &Cx, queue: &Queue) -> Request {
    with_body(queue.operation(cx, Action::Pause, &[]), &json!({}))
}

/// The operation resume.
fn resume(cx: &Cx, queue: &Queue) -> Request {
    with_body(queue.operation(cx, Action::Resume, &[]), &json!({}))
}

/// Publishes a token and reads it back: what was created keeps something, under this name.
async fn keeps(cx: &Cx, queue: &Queue) -> Outcome {
    let token = Value::from(cx.token(16));
    queue.published(cx, token.clone()).await?;
    let read = queue.content(cx).await?.map(|messages| payloads(&messages));
    let only_that = alternative("what was published, alone", move |p: &Vec<Value>| *p == [token.clone()]);
    cx.need(QUEUE_PUBLISH_1, &read, &[only_that])?;
    Ok(())
}

async fn created(cx: &Cx) -> Outcome {
    for kind in [PUBSUB, WORKER, PUBSUB] {
        let queue = Queue::nowhere(cx);
        let as_asked = || {
            let name = queue.name.clone();
            succeeded_and("the name and the queue_type of the request", move |r| {
                let queue = data(r, "queue");
                queue["name"] == *name && queue["queue_type"] == kind
            })
        };
        let reply = cx.send(queue.creation(cx, kind, &json!({}))).await?;
        cx.expect(QUEUE_QUEUES_1, &reply, &[as_asked()])?;
        let told = cx.send(get(cx, &queue)).await?;
        cx.expect(QUEUE_QUEUES_1, &told, &[as_asked()])?;
        keeps(cx, &queue).await?;
    }
    Ok(())
}

async fn defaults(cx: &Cx) -> Outcome {
    // Nothing under settings is as good as none.
    for (kind, body) in [(PUBSUB, json!({})), (WORKER, json!({})), (WORKER, json!({"settings": {}}))] {
        let queue = Queue::nowhere(cx);
        let mut request = json!({"name": queue.name, "queue_type": kind});
        if let Some(settings) = body.get("settings") {
            request["settings"] = settings.clone();
        }
        let reply = cx.send(with_body(operation(cx, Action::Create, &[]), &request)).await?;
        cx.need(QUEUE_QUEUES_1, &reply, &[succeeded()])?;
        keeps(cx, &queue).await?;
        cx.expect(QUEUE_QUEUES_2, &reply, &[with_settings(&default_settings())])?;
        let told = cx.send(get(cx, &queue)).await?;
        cx.expect(QUEUE_QUEUES_2, &told, &[with_settings(&default_settings())])?;
    }
    Ok(())
}

async fn settings(cx: &Cx) -> Outcome {
    for (kind, settings) in [(PUBSUB, ONE), (WORKER, ONE), (WORKER, LEAST), (PUBSUB, MOST)] {
        let settings: Value =
            settings.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        claim_settings(cx, kind, settings).await?;
    }
    claim_settings(cx, WORKER, json!({"default_ttl_seconds": null, "default_max_retries": 1})).await?;
    // Each alone.
    for (name, value) in ONE {
        claim_settings(cx, WORKER, json!({name: value})).await?;
    }
    Ok(())
}

/// Settings none of which is a default.
const ONE: [(&str, f64); 8] = [
    ("default_ttl_seconds", 7200.0),
    ("default_visibility_timeout_seconds", 45.0),
    ("default_max_retries", 3.0),
    ("default_retry_backoff_ms", 250.0),
    ("default_retry_max_backoff_ms", 7000.0),
    ("default_retry_multiplier", 1.5),
    ("max_in_flight_per_client", 25.0),
    ("retention_seconds", 86_400.0),
];
/// The least of the ranges.
const LEAST: [(&str, f64); 8] = [
    ("default_ttl_seconds", 3600.0),
    ("default_visibility_timeout_seconds", 1.0),
    ("default_max_retries", 0.0),
    ("default_retry_backoff_ms", 0.0),
    ("default_retry_max_backoff_ms", 0.0),
    ("default_retry_multiplier", 1.0),
    ("max_in_flight_per_client", 1.0),
    ("retention_seconds", 600.0),
];
/// The greatest, where there is one.
const MOST: [(&str, f64); 8] = [
    ("default_ttl_seconds", 2_000_000.0),
    ("default_visibility_timeout_seconds", 43_200.0),
    ("default_max_retries", 100.0),
    ("default_retry_backoff_ms", 60_000.0),
    ("default_retry_max_backoff_ms", 3_600_000.0),
    ("default_retry_multiplier", 10.0),
    ("max_in_flight_per_client", 1000.0),
    ("retention_seconds", 2_591_999.0),
];

/// Numbers without a fraction, as whole ones: there are servers whose counts are nothing else.
fn whole(settings: Value) -> Value {
    let Value::Object(settings) = settings else { return settings };
    let whole = |value: Value| match value.as_f64() {
        #[expect(clippy::cast_possible_truncation, reason = "the numbers of the tables above are small")]
        Some(number) if number.fract() == 0.0 => json!(number as i64),
        _ => value,
    };
    settings.into_iter().map(|(name, value)| (name, whole(value))).collect()
}

async fn claim_settings(cx: &Cx, kind: &str, settings: Value) -> Outcome {
    let queue = Queue::nowhere(cx);
    let reply = cx.send(queue.creation(cx, kind, &whole(settings.clone()))).await?;
    // What is not named is as in a queue without settings.
    let mut all = default_settings();
    for (name, value) in settings.as_object().into_iter().flatten() {
        all[name] = value.clone();
    }
    cx.expect(QUEUE_QUEUES_3, &reply, &[with_settings(&all)])?;
    let told = cx.send(get(cx, &queue)).await?;
    cx.expect(QUEUE_QUEUES_3, &told, &[with_settings(&all)])?;
    Ok(())
}

/// Claims that a create is refused as invalid if its name is made into one of these.
async fn illegal(cx: &Cx, requirement: RequirementId, names: &[fn(&str) -> String]) -> Outcome {
    for name in names {
        cx.refused(
            requirement,
            Breaks::Form,
            free,
            |queue| queue.creation(cx, PUBSUB, &json!({})),
            |queue, request| {
                let illegal = name(&queue.name);
                if !illegal.is_empty() {
                    // Of who takes it nothing is to stay.
                    let _ = Queue::named(cx, illegal.clone());
                }
                let body = json!({"name": illegal, "queue_type": PUBSUB});
                request.body = with_body(Request::default(), &body).body;
            },
            (QUEUE_QUEUES_1, &[succeeded()]),
            &invalid(),
        )
        .await?;
    }
    Ok(())
}

async fn free(cx: &Cx) -> Outcome<Queue> {
    Ok(Queue::nowhere(cx))
}

async fn capital_letter(cx: &Cx) -> Outcome {
    let names: [fn(&str) -> String; 4] = [
        |name| format!("W{name}"),
        |name| format!("{name}Z"),
        |name| name.replacen("wp", "wP", 1),
        |name| format!("{name}\u{c9}"),
    ];
    illegal(cx, QUEUE_QUEUES_4, &names).await
}

async fn first_a_digit(cx: &Cx) -> Outcome {
    illegal(cx, QUEUE_QUEUES_5, &[|name| format!("0{name}"), |name| format!("9{name}")]).await
}

async fn first_a_hyphen(cx: &Cx) -> Outcome {
    illegal(cx, QUEUE_QUEUES_21, &[|name| format!("-{name}"), |name| format!("--_{name}")]).await
}

async fn empty_name(cx: &Cx) -> Outcome {
    illegal(cx, QUEUE_QUEUES_6, &[|_| String::new()]).await
}

/// A name, continued up to this length.
fn as_long(name: &str, length: usize) -> String {
    format!("{name}{}", "-".repeat(length.saturating_sub(name.len())))
}

async fn too_long(cx: &Cx) -> Outcome {
    illegal(cx, QUEUE_QUEUES_7, &[|name| as_long(name, 257)]).await
}

async fn longest(cx: &Cx) -> Outcome {
    // Their last character alone tells them apart.
    let common = as_long(&cx.name(), 255);
    let queues = ["a", "b"].map(|last| Queue::named(cx, format!("{common}{last}")));
    claim_names(cx, QUEUE_QUEUES_8, &queues).await
}

async fn odd_names(cx: &Cx) -> Outcome {
    let first = [cx.name(), cx.name()].map(|name| name.replace("wp-", "_wp"));
    claim_names(cx, QUEUE_QUEUES_22, &first.map(|name| Queue::named(cx, name))).await?;
    let name = cx.name();
    let odd = ["_9-", "-", "__", "--9", "0"].map(|end| Queue::named(cx, format!("{name}{end}")));
    claim_names(cx, QUEUE_QUEUES_23, &odd).await
}

/// Claims that queues of these names can be created, and are not one and the same.
async fn claim_names(cx: &Cx, requirement: RequirementId, queues: &[Queue]) -> Outcome {
    for queue in queues {
        let name = queue.name.clone();
        let of_that_name =
            succeeded_and("the name of the request", move |r| data(r, "queue")["name"] == *name);
        let reply = cx.send(queue.creation(cx, PUBSUB, &json!({}))).await?;
        cx.expect(requirement, &reply, &[of_that_name])?;
    }
    for queue in queues {
        keeps(cx, queue).await?;
    }
    Ok(())
}

/// Whether a name is legal.
fn is_legal(name: &str) -> bool {
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    begins && name.len() <= 256 && name.chars().all(legal)
}

async fn no_name(cx: &Cx) -> Outcome {
    for kind in [PUBSUB, WORKER] {
        let request = with_body(operation(cx, Action::Create, &[]), &json!({"queue_type": kind}));
        let reply = cx.send(request).await?;
        let named =
            succeeded_and("a legal name", |r| data(r, "queue")["name"].as_str().is_some_and(is_legal));
        let told = data(cx.expect(QUEUE_QUEUES_9, &reply, &[named])?, "queue");
        let Some(name) = told["name"].as_str().filter(|name| is_legal(name)) else { return Ok(()) };
        let queue = Queue::named(cx, name.to_owned());
        // It is found under this name, and nothing was in it before.
        let id = told["id"].clone();
        let seen = cx.send(get(cx, &queue)).await?;
        let the_same = succeeded_and("the id that the create told", move |r| data(r, "queue")["id"] == id);
        cx.expect(QUEUE_QUEUES_9, &seen, &[the_same])?;
        keeps(cx, &queue).await?;
    }
    Ok(())
}

async fn get_nothing(cx: &Cx) -> Outcome {
    nowhere_found(cx, QUEUE_QUEUES_13, PUBSUB, (QUEUE_QUEUES_1, get)).await?;
    nowhere_found(cx, QUEUE_QUEUES_13, WORKER, (QUEUE_QUEUES_1, get)).await
}

async fn update_nothing(cx: &Cx) -> Outcome {
    let updates: [fn(&Cx, &Queue) -> Request; 2] = [
        |cx, queue| update(cx, queue, &json!({"settings": {"default_max_retries": 2}})),
        |cx, queue| update(cx, queue, &json!({"description": "another"})),
    ];
    for request in updates {
        nowhere_found(cx, QUEUE_QUEUES_24, PUBSUB, (QUEUE_QUEUES_17, request)).await?;
    }
    Ok(())
}

async fn pause_nothing(cx: &Cx) -> Outcome {
    nowhere_found(cx, QUEUE_QUEUES_25, PUBSUB, (QUEUE_QUEUES_18, pause)).await?;
    // What is resumed has to be paused.
    let nowhere = Queue::nowhere(cx);
    cx.refused(
        QUEUE_QUEUES_25,
        Breaks::Fit,
        change::paused_one,
        |queue| resume(cx, queue),
        |_, request| *request = resume(cx, &nowhere),
        (QUEUE_QUEUES_19, &[succeeded()]),
        &super::setting::not_found(),
    )
    .await
}
