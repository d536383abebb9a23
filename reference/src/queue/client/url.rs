//! Where a client goes: from the base URL that its user gives to URLs below it.

use wireproof_spec::queue::{QueueName, connect};

/// The URL of the subscription to a queue.
pub(super) fn subscription(base: &str, queue: &QueueName) -> String {
    let root = root(base);
    let root = match (root.strip_prefix("https://"), root.strip_prefix("http://")) {
        (Some(rest), _) => format!("wss://{rest}"),
        (_, Some(rest)) => format!("ws://{rest}"),
        _ => root.to_owned(),
    };
    root + &connect::path(queue.as_str())
}

/// The base URL without the one slash that may stand at its end.
pub(super) fn root(base: &str) -> &str {
    base.strip_suffix('/').unwrap_or(base)
}

#[cfg(test)]
mod tests {
    use super::{QueueName, subscription};

    #[test]
    fn bases_become_urls_of_subscriptions() {
        let name = QueueName::new("a_b-1").unwrap();
        for (base, url) in [
            ("http://h:1", "ws://h:1/queue/ws/a_b-1"),
            ("http://h:1/", "ws://h:1/queue/ws/a_b-1"),
            ("http://h:1//", "ws://h:1//queue/ws/a_b-1"),
            ("https://h/pre/", "wss://h/pre/queue/ws/a_b-1"),
            ("ws://h/pre/x", "ws://h/pre/x/queue/ws/a_b-1"),
            ("HTTP://h", "HTTP://h/queue/ws/a_b-1"),
            ("ws://http://h", "ws://http://h/queue/ws/a_b-1"),
        ] {
            assert_eq!(subscription(base, &name), url);
        }
    }
}
