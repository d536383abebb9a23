//! JSON documents of messages, as fixtures and events hold them.

use serde_json::{Value, from_str, to_string};
use std::{fmt, str::FromStr};
use wireproof_spec::{
    fleet,
    http::{Request, Response},
    queue,
    stream::{self, Operation, SseControl},
};

/// Reads the bytes as the document of every message.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(message) = from_str::<Request>(text) {
        assert_eq!(from_str::<Request>(&written(&message)).ok().as_ref(), Some(&message));
        request(&message);
    }
    if let Ok(message) = from_str::<Response>(text) {
        assert_eq!(from_str::<Response>(&written(&message)).ok().as_ref(), Some(&message));
        answer(&message);
    }
    if let Ok(control) = from_str::<SseControl>(text) {
        assert_eq!(from_str::<SseControl>(&written(&control)).ok(), Some(control));
        assert!(from_str::<Value>(text).is_ok_and(|value| value.is_object()), "a control event is an object");
    }
    of_queues(text);
    of_fleets(text);
}

/// Reads the text as every message of the queue protocol.
fn of_queues(text: &str) {
    macro_rules! as_each {
        ($($type:ident)*) => { $(
            match text.parse::<queue::$type>() {
                Err(why) => refusal(&why),
                Ok(message) => same(&message),
            }
        )* };
    }
    as_each!(
        AuthRequest AuthResponse Push Message Queue CreateRequest UpdateRequest QueueReply QueuesReply
        PublishRequest BatchRequest MessageReply BatchReply MessagesReply OffsetReply ReceiveReply
        DeadLetterMessage DeadLettersReply Destination DestinationCreateRequest DestinationUpdateRequest
        DestinationReply DestinationsReply Source SourceCreateRequest SourceUpdateRequest SourceReply
        SourcesReply Consumer ConsumersReply Done Failure
    );
}

/// Reads the text as every message of the fleet protocol.
fn of_fleets(text: &str) {
    macro_rules! as_each {
        ($($type:ident)*) => { $(
            match text.parse::<fleet::$type>() {
                Err(why) => refusal(&why),
                Ok(message) => same(&message),
            }
        )* };
    }
    as_each!(
        Hello Poll State Cmd Ack InstanceInfo RoomInfo FleetStats StatsReply InstanceReply InstancesReply RoomReply
        RoomsReply CreateRequest Done Rejection
    );
}

fn written(value: &impl serde::Serialize) -> String {
    to_string(value).unwrap_or_else(|e| panic!("a message cannot be written: {e}"))
}

/// What is said of a message that was refused is for people, however long the message is.
fn refusal(why: &impl fmt::Display) {
    let length = why.to_string().len();
    assert!(length < 1_000, "an error of {length} bytes");
}

/// Decodes a request; what was understood is the same after it was written and read again.
pub fn request(request: &Request) {
    match Operation::decode(request) {
        Err(why) => refusal(&why),
        Ok(operation) => {
            let written = operation.clone().encode();
            assert_eq!(Operation::decode(&written).as_ref(), Ok(&operation), "written as {written:?}");
            if !written.path.contains('?') {
                let mut read = Request { query: Default::default(), path: String::new(), ..written.clone() };
                read.set_target(&written.target());
                assert_eq!(read, written, "in the request line {}", written.target());
            }
        }
    }
}

/// Decodes an answer as every answer of the protocol.
pub fn answer(response: &Response) {
    macro_rules! as_each {
        ($($type:ident)*) => { $(
            match stream::$type::decode(response) {
                Err(why) => refusal(&why),
                Ok(message) => {
                    assert_eq!(stream::$type::decode(&message.clone().encode()).as_ref(), Ok(&message));
                    same(&message);
                }
            }
        )* };
    }
    as_each!(CreateResponse AppendResponse CloseResponse DeleteResponse HeadResponse ReadResponse ReadNotModified
        LongpollResponse SseResponse Refusal);
}

/// The document of a message is the message.
fn same<M: FromStr + fmt::Display + fmt::Debug + PartialEq>(message: &M) {
    let document = message.to_string();
    assert!(
        document.parse::<M>().is_ok_and(|again| again == *message),
        "{message:?} is written as {document}"
    );
}
