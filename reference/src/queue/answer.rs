//! What the answers of the model are over HTTP.

use super::{
    content::{all_letters, all_messages, amount, count, nullable, queue_id, whole_offset},
    message::{SOURCES, json, refuse},
    model::{Answer, Auth, Destination, Facts, Refusal, Source, Who},
    time,
};
use crate::log::{Content, Error};
use wireproof_spec::{
    http::Response,
    json::{HttpUrl, OrNull, Strings, Text, True, Whole},
    queue::{
        self as spec, Action, BatchReply, ConsumersReply, DeadLettersReply, DestinationReply,
        DestinationsReply, Done, MessageReply, MessagesReply, Offset, OffsetReply, QueueReply, QueuesReply,
        ReceiveReply, SourceReply, SourcesReply,
        destinations::{Config, DestinationType, Method, RetryPolicy, Signing, Stats},
        sources::AuthType,
    },
};

/// Writes an answer.
pub(super) struct Writing<'a> {
    /// To which operation; none if something was posted to a source.
    pub(super) action: Option<Action>,
    /// Where messages lie.
    pub(super) content: &'a Content,
    /// How many bytes of messages an answer holds.
    pub(super) most: usize,
    /// The URL below which the server stands, for the URLs of sources.
    pub(super) root: &'a str,
}

impl Writing<'_> {
    pub(super) async fn write(&self, answer: Answer) -> Result<Response, Error> {
        let document = match answer {
            Answer::Refused(refusal) => return Ok(refused(refusal)),
            // These are for connections only.
            Answer::Subscribed { .. } | Answer::Push { .. } | Answer::Over(_) => {
                return Ok(refuse(500, "expected an answer, and found none"));
            }
            Answer::Done => Done { success: True }.encode(),
            Answer::Queue(facts) => QueueReply { queue: queue(facts) }.encode(),
            Answer::Queues(all, total) => {
                QueuesReply { queues: all.into_iter().map(queue).collect(), total: Some(count(total)) }
                    .encode()
            }
            Answer::Messages { incarnation, places, total } => {
                let messages = all_messages(self.content, incarnation, &places, self.most).await?;
                match (self.action, messages) {
                    (Some(Action::Consume | Action::ListMessages), messages) => {
                        MessagesReply { messages, total: total.map(count) }.encode()
                    }
                    (Some(Action::Batch), messages) => BatchReply { messages, failed: None }.encode(),
                    (_, messages) => match messages.into_iter().next() {
                        Some(message) => MessageReply { message }.encode(),
                        // It was dropped at this moment.
                        None => return Ok(refused(Refusal::NoMessage)),
                    },
                }
            }
            Answer::Offset(offset) => {
                let none = || Offset::new(-1).unwrap_or_else(|| whole_offset(0));
                OffsetReply { offset: offset.map_or_else(none, whole_offset) }.encode()
            }
            Answer::Received { incarnation, place } => {
                let places: Vec<_> = place.into_iter().collect();
                let mut messages = all_messages(self.content, incarnation, &places, self.most).await?;
                ReceiveReply { message: OrNull(messages.pop()) }.encode()
            }
            Answer::Dead { incarnation, letters, total } => {
                let messages = all_letters(self.content, incarnation, &letters, self.most).await?;
                DeadLettersReply { messages, total: Some(count(total)) }.encode()
            }
            Answer::Destinations { incarnation, all } => {
                let mut all = all.into_iter().map(|(id, one)| destination(incarnation, id, one));
                match (self.action, all.next()) {
                    (Some(Action::ListDestinations), first) => {
                        DestinationsReply { destinations: first.into_iter().chain(all).collect() }.encode()
                    }
                    (_, Some(destination)) => DestinationReply { destination }.encode(),
                    (_, None) => return Ok(refused(Refusal::NoDestination)),
                }
            }
            Answer::Consumers { incarnation, all } => {
                let total = count(all.len() as u64);
                let all =
                    all.into_iter().map(|(session, who, since)| consumer(incarnation, session, who, since));
                ConsumersReply { consumers: all.collect(), total }.encode()
            }
            Answer::Sources { incarnation, all } => {
                let mut all = all.into_iter().map(|(id, one)| self.source(incarnation, id, one));
                match (self.action, all.next()) {
                    (Some(Action::ListSources), first) => {
                        SourcesReply { sources: first.into_iter().chain(all).collect() }.encode()
                    }
                    (_, Some(source)) => SourceReply { source }.encode(),
                    (_, None) => return Ok(refused(Refusal::NoSource)),
                }
            }
        };
        Ok(json(self.status(), document))
    }

    fn status(&self) -> u16 {
        match self.action {
            Some(
                Action::Create
                | Action::Publish
                | Action::Batch
                | Action::CreateDestination
                | Action::CreateSource,
            )
            | None => 201,
            Some(_) => 200,
        }
    }

    fn source(&self, incarnation: u64, id: String, source: Source) -> spec::Source {
        let tally = source.tally;
        spec::Source {
            queue_id: queue_id(incarnation),
            name: source.name,
            description: nullable(source.description),
            auth_type: match source.auth {
                Auth::None => AuthType::None,
                Auth::Basic => AuthType::Basic,
                Auth::Header => AuthType::Header,
            },
            enabled: source.enabled,
            url: format!("{}{SOURCES}{id}", self.root),
            id,
            request_count: count(tally.taken.saturating_add(tally.refused)),
            success_count: count(tally.taken),
            failure_count: count(tally.refused),
            last_request_at: nullable(tally.last_taken.max(tally.last_refused).map(time::text)),
            last_success_at: nullable(tally.last_taken.map(time::text)),
            last_failure_at: nullable(tally.last_refused.map(time::text)),
            last_failure_error: nullable(tally.why),
            created_at: time::text(source.created),
            updated_at: time::text(source.updated),
        }
    }
}

fn consumer(incarnation: u64, session: u64, who: Who, since: u64) -> spec::Consumer {
    let since = time::text(since);
    spec::Consumer {
        id: format!("qcns_{session:x}"),
        queue_id: queue_id(incarnation),
        client_id: nullable(Text::new(who.client_id)),
        durable: false,
        ip_address: who.ip,
        last_offset: None,
        connected_at: since.clone(),
        disconnected_at: None,
        created_at: since.clone(),
        updated_at: since,
    }
}

fn refused(refusal: Refusal) -> Response {
    match refusal {
        Refusal::NoQueue => refuse(404, "queue not found"),
        Refusal::Exists => refuse(409, "a queue with this name already exists"),
        Refusal::NoMessage => refuse(404, "message not found"),
        Refusal::NoLetter => refuse(404, "dead letter not found"),
        Refusal::Elsewhere(kind) => {
            refuse(409, format_args!("the message is {}, and this cannot be done", kind.state().word()))
        }
        Refusal::NoDestination => refuse(404, "destination not found"),
        Refusal::SameUrl => refuse(409, "a destination with this URL already exists"),
        Refusal::NoSource => refuse(404, "source not found"),
        Refusal::Disabled => refuse(403, "the source is not enabled"),
        Refusal::Unknown => refuse(401, "expected the credentials of this source"),
        Refusal::NoPayload => refuse(400, "expected JSON that can be published"),
        Refusal::Full => refuse(507, "the queue has no offset left"),
    }
}

fn queue(facts: Facts) -> spec::Queue {
    let settings = facts.settings;
    spec::Queue {
        id: queue_id(facts.incarnation),
        name: facts.name,
        queue_type: facts.kind,
        description: nullable(facts.description),
        default_ttl_seconds: Some(OrNull(settings.ttl_s.map(amount))),
        default_visibility_timeout_seconds: Some(whole(settings.visibility_s)),
        default_max_retries: Some(count(settings.max_retries)),
        default_retry_backoff_ms: Some(amount(settings.backoff_ms)),
        default_retry_max_backoff_ms: Some(amount(settings.max_backoff_ms)),
        default_retry_multiplier: Some(amount(settings.multiplier)),
        max_in_flight_per_client: Some(count(settings.in_flight)),
        retention_seconds: Some(amount(settings.retention_s)),
        next_offset: Some(count(facts.next)),
        message_count: Some(count(facts.messages)),
        dlq_count: Some(count(facts.dead)),
        paused_at: Some(OrNull(facts.paused.map(time::text))),
        internal: Some(false),
        created_at: time::text(facts.created),
        updated_at: time::text(facts.updated),
    }
}

fn whole(number: u64) -> wireproof_spec::json::Amount {
    u32::try_from(number).unwrap_or(u32::MAX).into()
}

fn destination(incarnation: u64, id: String, one: Destination) -> spec::Destination {
    let tally = one.tally;
    let policy = one.policy.policy();
    let methods = [Method::Post, Method::Put, Method::Patch];
    let method = methods.into_iter().find(|m| one.method.as_deref().is_none_or(|word| word == m.word()));
    let signing = (one.signed.is_some() || one.secret.is_some())
        .then_some(Signing { enabled: one.signed, secret_key: None });
    spec::Destination {
        id,
        queue_id: queue_id(incarnation),
        name: one.name,
        description: None,
        destination_type: DestinationType::Http,
        config: Config {
            // Only a URL of HTTP is ever kept.
            url: HttpUrl::new(one.url).unwrap_or_else(|| unreachable!("a URL of HTTP")),
            headers: one.headers.map(Strings),
            method,
            timeout_ms: one
                .timeout_ms
                .map_or(Whole::new(30_000), |ms| i64::try_from(ms).ok().and_then(Whole::new)),
            retry_policy: Some(RetryPolicy {
                max_attempts: Some(count(policy.max_attempts)),
                initial_backoff_ms: Some(amount(policy.initial_ms)),
                max_backoff_ms: Some(amount(policy.max_ms)),
                backoff_multiplier: Some(amount(policy.multiplier)),
            }),
            signing,
        },
        enabled: one.enabled,
        stats: Some(Stats {
            total_deliveries: count(tally.arrived.saturating_add(tally.failed)),
            successful_deliveries: count(tally.arrived),
            failed_deliveries: count(tally.failed),
            last_delivery_at: tally.last.map(time::text),
            last_success_at: tally.last_arrived.map(time::text),
            last_failure_at: tally.last_failed.map(time::text),
        }),
        created_at: time::text(one.created),
        updated_at: time::text(one.updated),
    }
}
