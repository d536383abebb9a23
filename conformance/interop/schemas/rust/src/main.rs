//! Reads every fixture with the types of wireproof-spec: the valid ones are accepted, the invalid ones and those that no JSON
//! Schema can refuse are not.
//!
//! Its argument is the directory of the fixtures.

use std::{collections::BTreeSet, env, fs, io, path::Path, process::ExitCode, str::FromStr};
use wireproof_spec::{fleet, queue, stream};

/// Reads the document of one message.
type Read = fn(&str) -> Result<(), String>;

fn read<M: FromStr<Err: ToString> + ToString + PartialEq>(document: &str) -> Result<(), String> {
    let message: M = document.parse().map_err(|error: M::Err| error.to_string())?;
    let again: M = message.to_string().parse().map_err(|error: M::Err| error.to_string())?;
    if again == message { Ok(()) } else { Err("what was written is another message".into()) }
}

/// Every message: the directory of its fixtures and its type.
const MESSAGES: &[(&str, Read)] = &[
    ("fleet/ack", read::<fleet::Ack>),
    ("fleet/cmd", read::<fleet::Cmd>),
    ("fleet/create-request", read::<fleet::CreateRequest>),
    ("fleet/done", read::<fleet::Done>),
    ("fleet/fleet-stats", read::<fleet::FleetStats>),
    ("fleet/hello", read::<fleet::Hello>),
    ("fleet/instance-info", read::<fleet::InstanceInfo>),
    ("fleet/instance-reply", read::<fleet::InstanceReply>),
    ("fleet/instances-reply", read::<fleet::InstancesReply>),
    ("fleet/poll", read::<fleet::Poll>),
    ("fleet/rejected", read::<fleet::Rejection>),
    ("fleet/room-info", read::<fleet::RoomInfo>),
    ("fleet/room-reply", read::<fleet::RoomReply>),
    ("fleet/rooms-reply", read::<fleet::RoomsReply>),
    ("fleet/state", read::<fleet::State>),
    ("fleet/stats-reply", read::<fleet::StatsReply>),
    ("queue/auth-request", read::<queue::AuthRequest>),
    ("queue/auth-response", read::<queue::AuthResponse>),
    ("queue/batch-reply", read::<queue::BatchReply>),
    ("queue/batch-request", read::<queue::BatchRequest>),
    ("queue/consumer", read::<queue::Consumer>),
    ("queue/consumers-reply", read::<queue::ConsumersReply>),
    ("queue/create-request", read::<queue::CreateRequest>),
    ("queue/dead-letter-message", read::<queue::DeadLetterMessage>),
    ("queue/dead-letters-reply", read::<queue::DeadLettersReply>),
    ("queue/destination", read::<queue::Destination>),
    ("queue/destination-create-request", read::<queue::DestinationCreateRequest>),
    ("queue/destination-reply", read::<queue::DestinationReply>),
    ("queue/destination-update-request", read::<queue::DestinationUpdateRequest>),
    ("queue/destinations-reply", read::<queue::DestinationsReply>),
    ("queue/done", read::<queue::Done>),
    ("queue/failure", read::<queue::Failure>),
    ("queue/message", read::<queue::Message>),
    ("queue/message-reply", read::<queue::MessageReply>),
    ("queue/messages-reply", read::<queue::MessagesReply>),
    ("queue/offset-reply", read::<queue::OffsetReply>),
    ("queue/publish-request", read::<queue::PublishRequest>),
    ("queue/push", read::<queue::Push>),
    ("queue/queue", read::<queue::Queue>),
    ("queue/queue-reply", read::<queue::QueueReply>),
    ("queue/queues-reply", read::<queue::QueuesReply>),
    ("queue/receive-reply", read::<queue::ReceiveReply>),
    ("queue/source", read::<queue::Source>),
    ("queue/source-create-request", read::<queue::SourceCreateRequest>),
    ("queue/source-reply", read::<queue::SourceReply>),
    ("queue/source-update-request", read::<queue::SourceUpdateRequest>),
    ("queue/sources-reply", read::<queue::SourcesReply>),
    ("queue/update-request", read::<queue::UpdateRequest>),
    ("stream/append-request", read::<stream::AppendRequest>),
    ("stream/append-response", read::<stream::AppendResponse>),
    ("stream/close-request", read::<stream::CloseRequest>),
    ("stream/close-response", read::<stream::CloseResponse>),
    ("stream/create-request", read::<stream::CreateRequest>),
    ("stream/create-response", read::<stream::CreateResponse>),
    ("stream/delete-request", read::<stream::DeleteRequest>),
    ("stream/delete-response", read::<stream::DeleteResponse>),
    ("stream/head-request", read::<stream::HeadRequest>),
    ("stream/head-response", read::<stream::HeadResponse>),
    ("stream/longpoll-request", read::<stream::LongpollRequest>),
    ("stream/longpoll-response", read::<stream::LongpollResponse>),
    ("stream/read-not-modified", read::<stream::ReadNotModified>),
    ("stream/read-request", read::<stream::ReadRequest>),
    ("stream/read-response", read::<stream::ReadResponse>),
    ("stream/refusal", read::<stream::Refusal>),
    ("stream/sse-control", read::<stream::SseControl>),
    ("stream/sse-request", read::<stream::SseRequest>),
    ("stream/sse-response", read::<stream::SseResponse>),
];

fn message(name: &str) -> Option<Read> {
    MESSAGES.iter().find(|(known, _)| *known == name).map(|(_, read)| *read)
}

/// The names of what is in a directory, in order.
fn names(dir: &Path) -> io::Result<BTreeSet<String>> {
    fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

#[derive(Default)]
struct Judged {
    valid: usize,
    invalid: usize,
    blind: usize,
    wrong: Vec<String>,
}

impl Judged {
    fn fixtures(&mut self, root: &Path, name: &str, read: Read) -> io::Result<()> {
        for file in names(&root.join(name).join("valid"))? {
            self.valid += 1;
            let text = fs::read_to_string(root.join(name).join("valid").join(&file))?;
            self.wrong.extend(read(&text).err().map(|why| format!("{name}/valid/{file}: {why}")));
        }
        for file in names(&root.join(name).join("invalid"))? {
            self.invalid += 1;
            let text = fs::read_to_string(root.join(name).join("invalid").join(&file))?;
            self.wrong.extend(read(&text).is_ok().then(|| format!("{name}/invalid/{file}: accepted")));
        }
        Ok(())
    }

    fn blind(&mut self, table: &str) {
        for row in table.lines().skip(1) {
            self.blind += 1;
            let mut cells = row.split('\t');
            let (name, rule) = (cells.next().unwrap_or_default(), cells.next().unwrap_or_default());
            match (message(name), cells.next()) {
                (Some(read), Some(document)) if read(document).is_err() => {}
                (Some(_), Some(_)) => self.wrong.push(format!("{name}: accepted: {rule}")),
                _ => self.wrong.push(format!("no row of a known message: {row}")),
            }
        }
    }
}

fn judge(root: &Path) -> io::Result<Judged> {
    let mut judged = Judged::default();
    for protocol in names(root)?.iter().filter(|name| root.join(name).is_dir()) {
        // What is no folder holds frames, which are no documents.
        for name in names(&root.join(protocol))?.iter().filter(|name| root.join(protocol).join(name).is_dir()) {
            let name = format!("{protocol}/{name}");
            match message(&name) {
                Some(read) => judged.fixtures(root, &name, read)?,
                None => judged.wrong.push(format!("{name} has no type here: add it to MESSAGES")),
            }
        }
    }
    judged.blind(&fs::read_to_string(root.join("blind.tsv"))?);
    Ok(judged)
}

fn main() -> ExitCode {
    let root = env::args().nth(1).unwrap_or_else(|| "fixtures".into());
    let judged = judge(Path::new(&root));
    match judged {
        Err(error) => {
            eprintln!("{root}: {error}");
            ExitCode::FAILURE
        }
        Ok(Judged { valid, invalid, blind, wrong }) => {
            for why in &wrong {
                eprintln!("{why}");
            }
            let found =
                if wrong.is_empty() { "all as expected".into() } else { format!("{} wrong", wrong.len()) };
            println!(
                "{valid} valid fixtures, {invalid} invalid fixtures, {blind} blind rules by the types: {found}"
            );
            let empty = valid == 0 || invalid == 0 || blind == 0;
            if wrong.is_empty() && !empty { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
    }
}
