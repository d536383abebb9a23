//! Http: the routes for operators, and the envelopes that all of them share.

use super::requirements::{FLEET_MESSAGE_4, FLEET_MESSAGE_5};
use crate::{
    decode::{Violation, expected},
    http::Request,
    json::{json, words},
};

words! {
    /// That a request succeeded.
    Ok;
    /// It did.
    Ok = "OK",
}

words! {
    /// That a request was refused.
    Rejected;
    /// It was.
    Rejected = "rejected",
}

/// Declares the causes with the statuses that they come with.
macro_rules! causes {
    ($( $(#[doc = $doc:literal])+ $cause:ident = $word:literal $($status:literal)+, )+) => {
        words! {
            /// Why a request was refused.
            Cause;
            $( $(#[doc = $doc])+ $cause = $word, )+
        }

        impl Cause {
            /// The statuses that an answer with this cause may have.
            pub fn statuses(self) -> &'static [u16] {
                match self { $( Self::$cause => &[$( $status ),+], )+ }
            }
        }
    };
}

causes! {
    /// The request is not what it has to be.
    Validation = "VALIDATION" 400 415,
    /// The key is missing or none of the keys for operators.
    Unauthorized = "UNAUTHORIZED" 401,
    /// There is no such instance.
    InstanceNotFound = "INSTANCE_NOT_FOUND" 404,
    /// There is no such room.
    RoomNotFound = "ROOM_NOT_FOUND" 404,
    /// There is no such route.
    NotFound = "NOT_FOUND" 404,
    /// No instance can take the room.
    NoCandidate = "NO_CANDIDATE" 409,
    /// The id of the room is taken.
    RoomExists = "ROOM_EXISTS" 409,
    /// The named instance takes no new rooms.
    InstanceDraining = "INSTANCE_DRAINING" 409,
    /// The body is too large.
    PayloadTooLarge = "PAYLOAD_TOO_LARGE" 413,
    /// The instance has too many commands to do.
    InstanceBusy = "INSTANCE_BUSY" 429,
    /// Too many wrong keys came from this address.
    AuthThrottled = "AUTH_THROTTLED" 429,
    /// Too many event streams are open.
    SseLimit = "SSE_LIMIT" 429,
    /// The orchestrator failed.
    Internal = "INTERNAL" 500,
    /// The agent refused.
    CommandFailed = "COMMAND_FAILED" 502,
    /// The agent is gone.
    InstanceDisconnected = "INSTANCE_DISCONNECTED" 502,
    /// The orchestrator is starting.
    NotReady = "NOT_READY" 503,
    /// The agent did not say in time what became of it.
    CommandTimeout = "COMMAND_TIMEOUT" 504,
}

json! {
    /// The success of a request that has no data.
    Done = "fleet/done", names = |_| FLEET_MESSAGE_5;
    /// That it succeeded.
    status: Ok = "status",
}

json! {
    /// A refusal.
    Rejection = "fleet/rejected", names = |_| FLEET_MESSAGE_4;
    /// That it was refused.
    status: Rejected = "status",
    /// Why.
    cause: Cause = "cause",
}

/// An operation as the table of "Http" has it.
#[derive(Debug, PartialEq, Eq)]
pub struct Operation {
    /// Which one it is.
    pub action: Action,
    /// Its method.
    pub method: &'static str,
    /// Its path; `{id}` stands for one segment.
    pub path: &'static str,
    /// Whether it wants a key.
    pub keyed: bool,
    /// The schema of its body.
    pub request: Option<&'static str>,
    /// The status of a success.
    pub status: u16,
    /// The schema of a success, if it is JSON.
    pub reply: Option<&'static str>,
    /// What it does.
    pub text: &'static str,
}

macro_rules! operations {
    ($(
        #[doc = $doc:literal]
        $action:ident = $method:literal $path:literal $keyed:literal, $request:expr => $status:literal $reply:expr;
    )+) => {
        /// What a request asks for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Action {
            $( #[doc = $doc] $action, )+
        }

        /// Every operation, in the order of the document.
        pub const OPERATIONS: &[Operation] = &[$( Operation {
            action: Action::$action,
            method: $method,
            path: $path,
            keyed: $keyed,
            request: $request,
            status: $status,
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
    /// Says that the orchestrator lives.
    Health = "GET" "/healthz" false, None => 200 Some("fleet/done");
    /// Says whether agents and operators can connect.
    Ready = "GET" "/readyz" false, None => 200 Some("fleet/done");
    /// Tells the fleet in numbers.
    Stats = "GET" "/v1/stats" true, None => 200 Some("fleet/stats-reply");
    /// Lists the instances.
    Instances = "GET" "/v1/instances" true, None => 200 Some("fleet/instances-reply");
    /// Tells an instance.
    Instance = "GET" "/v1/instances/{id}" true, None => 200 Some("fleet/instance-reply");
    /// Lists the rooms of an instance.
    InstanceRooms = "GET" "/v1/instances/{id}/rooms" true, None => 200 Some("fleet/rooms-reply");
    /// Has an instance take no new rooms.
    Drain = "POST" "/v1/instances/{id}/drain" true, None => 200 Some("fleet/done");
    /// Has an instance take new rooms again.
    Undrain = "POST" "/v1/instances/{id}/undrain" true, None => 200 Some("fleet/done");
    /// Lists the rooms.
    Rooms = "GET" "/v1/rooms" true, None => 200 Some("fleet/rooms-reply");
    /// Tells a room.
    Room = "GET" "/v1/rooms/{id}" true, None => 200 Some("fleet/room-reply");
    /// Makes a room.
    CreateRoom = "POST" "/v1/rooms" true, Some("fleet/create-request") => 201 Some("fleet/room-reply");
    /// Ends a room.
    DestroyRoom = "DELETE" "/v1/rooms/{id}" true, None => 200 Some("fleet/done");
    /// Tells what happens from now on.
    Events = "GET" "/v1/events" true, None => 200 None;
}

/// Which operation a request is, and about what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The operation.
    pub action: Action,
    /// The segment that stands for `{id}`, as it was sent: no percent-encoding is undone.
    pub id: Option<String>,
}

impl Route {
    /// A route; the id is taken as it stands.
    pub fn new(action: Action, id: Option<&str>) -> Self {
        Self { action, id: id.map(str::to_owned) }
    }

    /// Reads the method and path of a request, below whatever root. HEAD is as GET.
    ///
    /// # Errors
    /// There is no such operation, or it has another method: [`Violation::is_method`].
    pub fn decode(request: &Request) -> Result<Self, Violation> {
        let path = request.path.as_str();
        let method = if request.method == "HEAD" { "GET" } else { &request.method };
        let tails = path.match_indices("/").map(|(at, _)| &path[at..]);
        let mut found = tails.flat_map(|tail| {
            let route = |operation: &'static Operation| Self::of(operation, tail);
            OPERATIONS.iter().filter_map(route)
        });
        let mut other = None;
        let right = found.find(|route| {
            other.get_or_insert(route.action.operation().method);
            route.action.operation().method == method
        });
        match (right, other) {
            (Some(route), _) => Ok(route),
            (None, Some(other)) => Err(Violation::new("/method", expected(other, &request.method))),
            (None, None) => Err(Violation::new("/path", expected("the path of an operation", path))),
        }
    }

    /// What the path asks for, if it is this operation.
    fn of(operation: &'static Operation, path: &str) -> Option<Self> {
        let id = match operation.path.split_once("{id}") {
            None => (path == operation.path).then_some(None)?,
            Some((before, behind)) => {
                let id = path.strip_prefix(before)?.strip_suffix(behind)?;
                (!id.is_empty() && !id.contains('/')).then_some(Some(id))?
            }
        };
        Some(Self::new(operation.action, id))
    }

    /// The request, without its body, below a root such as `/`.
    pub fn encode(&self, root: &str) -> Request {
        let operation = self.action.operation();
        let path = operation.path.replace("{id}", self.id.as_deref().unwrap_or_default());
        Request::new(operation.method, &format!("{}{path}", root.trim_end_matches('/')))
    }
}
