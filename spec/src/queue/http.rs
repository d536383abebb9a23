//! Http: the operations of the API, and the envelopes that all of them share.

use super::requirements::{QUEUE_MESSAGE_22, QUEUE_MESSAGE_23};
use crate::{
    decode::Violation,
    http::{Request, percent_decode, percent_encode},
    json::{Any, False, True, json},
};

/// The segment that some servers have behind the action.
pub const DATE: &str = "2026-01-15";

/// An operation as the table of "Http" has it.
#[derive(Debug, PartialEq, Eq)]
pub struct Operation {
    /// Which one it is.
    pub action: Action,
    /// Its method.
    pub method: &'static str,
    /// What stands behind `/queue/`.
    pub name: &'static str,
    /// What stands behind that: the name of a queue, and perhaps an id or an offset.
    pub arguments: &'static [&'static str],
    /// What it may ask for in the query.
    pub query: &'static [&'static str],
    /// The schema of its body.
    pub request: Option<&'static str>,
    /// The schema of the answer, if it succeeds.
    pub reply: &'static str,
    /// What it does.
    pub text: &'static str,
}

macro_rules! operations {
    ($(
        #[doc = $doc:literal]
        $action:ident = $method:literal $name:literal $arguments:tt ? $query:tt, $request:expr => $reply:literal;
    )+) => {
        /// What an operation does.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Action {
            $( #[doc = $doc] $action, )+
        }

        /// Every operation, in the order of the document.
        pub const OPERATIONS: &[Operation] = &[$( Operation {
            action: Action::$action,
            method: $method,
            name: $name,
            arguments: &$arguments,
            query: &$query,
            request: $request,
            reply: $reply,
            text: $doc,
        }, )+];

        impl Action {
            /// Its operation.
            pub fn operation(self) -> &'static Operation {
                // One row for each, in this order.
                &OPERATIONS[self as usize]
            }
        }
    };
}

operations! {
    /// Makes a queue.
    Create = "POST" "create" [] ? [], Some("queue/create-request") => "queue/queue-reply";
    /// Lists the queues.
    List = "GET" "list" [] ? ["limit", "offset"], None => "queue/queues-reply";
    /// Tells a queue.
    Get = "GET" "get" ["name"] ? [], None => "queue/queue-reply";
    /// Changes a queue.
    Update = "PATCH" "update" ["name"] ? [], Some("queue/update-request") => "queue/queue-reply";
    /// Removes a queue with all that it holds.
    Delete = "DELETE" "delete" ["name"] ? [], None => "queue/done";
    /// Stops pushing.
    Pause = "POST" "pause" ["name"] ? [], None => "queue/queue-reply";
    /// Goes on pushing.
    Resume = "POST" "resume" ["name"] ? [], None => "queue/queue-reply";
    /// Publishes a message.
    Publish = "POST" "messages/publish" ["name"] ? ["sync"], Some("queue/publish-request") => "queue/message-reply";
    /// Publishes several messages.
    Batch = "POST" "messages/batch" ["name"] ? [], Some("queue/batch-request") => "queue/batch-reply";
    /// Tells a message by its id.
    GetMessage = "GET" "messages/get" ["name", "id"] ? [], None => "queue/message-reply";
    /// Tells a message by its offset.
    MessageAt = "GET" "messages/offset" ["name", "offset"] ? [], None => "queue/message-reply";
    /// Lists messages.
    ListMessages = "GET" "messages/list" ["name"] ? ["limit", "offset", "state"], None => "queue/messages-reply";
    /// Removes a message.
    DeleteMessage = "DELETE" "messages/delete" ["name", "id"] ? [], None => "queue/done";
    /// Makes a message pending again.
    ReplayMessage = "POST" "messages/replay" ["name", "id"] ? [], None => "queue/message-reply";
    /// Reads messages from an offset on, and changes none.
    Consume = "GET" "consume" ["name"] ? ["offset", "limit"], None => "queue/messages-reply";
    /// Tells the offset of the oldest message.
    Head = "GET" "head" ["name"] ? [], None => "queue/offset-reply";
    /// Tells the offset of the newest message.
    Tail = "GET" "tail" ["name"] ? [], None => "queue/offset-reply";
    /// Leases a message.
    Receive = "GET" "receive" ["name"] ? ["timeout"], None => "queue/receive-reply";
    /// Acknowledges a leased message.
    Ack = "POST" "ack" ["name", "id"] ? [], None => "queue/done";
    /// Gives a leased message back.
    Nack = "POST" "nack" ["name", "id"] ? [], None => "queue/done";
    /// Lists dead letters.
    ListDeadLetters = "GET" "dlq/list" ["name"] ? ["limit", "offset"], None => "queue/dead-letters-reply";
    /// Makes a dead letter a message that can be received.
    ReplayDeadLetter = "POST" "dlq/replay" ["name", "id"] ? [], None => "queue/message-reply";
    /// Removes a dead letter.
    DeleteDeadLetter = "DELETE" "dlq/delete" ["name", "id"] ? [], None => "queue/done";
    /// Removes every dead letter of a queue.
    PurgeDeadLetters = "DELETE" "dlq/purge" ["name"] ? [], None => "queue/done";
    /// Makes a destination.
    CreateDestination = "POST" "destinations/create" ["name"] ? [], Some("queue/destination-create-request") => "queue/destination-reply";
    /// Lists the destinations of a queue.
    ListDestinations = "GET" "destinations/list" ["name"] ? [], None => "queue/destinations-reply";
    /// Changes a destination.
    UpdateDestination = "PATCH" "destinations/update" ["name", "id"] ? [], Some("queue/destination-update-request") => "queue/destination-reply";
    /// Removes a destination.
    DeleteDestination = "DELETE" "destinations/delete" ["name", "id"] ? [], None => "queue/done";
    /// Makes a source.
    CreateSource = "POST" "sources/create" ["name"] ? [], Some("queue/source-create-request") => "queue/source-reply";
    /// Lists the sources of a queue.
    ListSources = "GET" "sources/list" ["name"] ? [], None => "queue/sources-reply";
    /// Tells a source.
    GetSource = "GET" "sources/get" ["name", "id"] ? [], None => "queue/source-reply";
    /// Changes a source.
    UpdateSource = "PATCH" "sources/update" ["name", "id"] ? [], Some("queue/source-update-request") => "queue/source-reply";
    /// Removes a source.
    DeleteSource = "DELETE" "sources/delete" ["name", "id"] ? [], None => "queue/done";
    /// Lists who is or was connected.
    ListConsumers = "GET" "consumers/list" ["name"] ? [], None => "queue/consumers-reply";
}

/// Which operation a request is about what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The operation.
    pub action: Action,
    /// Whether the date stands behind the action.
    pub dated: bool,
    /// The arguments, decoded: as many as the operation has.
    pub arguments: Vec<String>,
}

impl Route {
    /// A route without a date; it needs as many arguments as the operation has.
    pub fn new(action: Action, arguments: &[&str]) -> Self {
        Self { action, dated: false, arguments: arguments.iter().map(|&text| text.to_owned()).collect() }
    }

    /// Reads the path and method of a request, below whatever root.
    ///
    /// # Errors
    /// There is no such operation, or it has another method: [`Violation::is_method`].
    pub fn decode(request: &Request) -> Result<Self, Violation> {
        let mut behind = request.path.as_str();
        let mut found = None;
        while let (None, Some(at)) = (&found, behind.find("/queue/")) {
            behind = &behind[at + "/queue".len()..];
            found = OPERATIONS.iter().find_map(|operation| Self::of(operation, &behind[1..]));
        }
        let unknown =
            || Violation::new("/path", crate::decode::expected("the path of an operation", &request.path));
        let route = found.ok_or_else(unknown)?;
        let method = route.action.operation().method;
        if request.method == method {
            Ok(route)
        } else {
            Err(Violation::new("/method", crate::decode::expected(method, &request.method)))
        }
    }

    /// What stands behind `/queue/`, if it is this operation with as many arguments as it has.
    fn of(operation: &Operation, rest: &str) -> Option<Self> {
        let mut arguments = rest.strip_prefix(operation.name)?.split('/');
        if !arguments.next()?.is_empty() {
            return None;
        }
        let mut arguments: Vec<&str> = arguments.collect();
        let dated = arguments.first() == Some(&DATE);
        if dated {
            arguments.remove(0);
        }
        (arguments.len() == operation.arguments.len()).then(|| Self {
            action: operation.action,
            dated,
            arguments: arguments.into_iter().map(percent_decode).collect(),
        })
    }

    /// The request, without its body, below a root such as `/` or `/api`.
    pub fn encode(&self, root: &str) -> Request {
        let operation = self.action.operation();
        let mut path = format!("{}/queue/{}", root.trim_end_matches('/'), operation.name);
        if self.dated {
            path.push('/');
            path.push_str(DATE);
        }
        for argument in &self.arguments {
            path.push('/');
            path.push_str(&percent_encode(argument));
        }
        Request::new(operation.method, &path)
    }

    /// The name of the queue, if the operation has one.
    pub fn queue(&self) -> Option<&str> {
        self.arguments.first().map(String::as_str)
    }

    /// The id or offset, if the operation has one.
    pub fn id(&self) -> Option<&str> {
        self.arguments.get(1).map(String::as_str)
    }
}

json! {
    /// The success of an operation that has no data.
    Done = "queue/done", names = |_| QUEUE_MESSAGE_22;
    /// That it succeeded.
    success: True = "success",
}

json! {
    /// A refusal.
    Failure = "queue/failure", names = |_| QUEUE_MESSAGE_23;
    /// That it was refused.
    success: False = "success",
    /// Why, for people.
    message: String = "message",
    /// Why, for programs.
    code: Option<String> = "code",
    /// More of it: a text, or an object.
    error: Option<Any> = "error",
    /// More of it.
    details: Option<Any> = "details",
}
