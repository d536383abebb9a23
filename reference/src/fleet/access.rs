//! Who may use an orchestrator: keys, how often an address may be wrong about them, pages of other origins, and the line in
//! the log that says who did what.

use super::settings::keys;
use sha2::{Digest, Sha256};
use std::{collections::HashMap, hint::black_box, net::IpAddr};
use wireproof_spec::http::{Request, Response};

/// Keys, of which only digests are kept.
pub(super) struct Keys(Vec<[u8; 32]>);

impl Keys {
    /// Keys, without those that are empty or repeated.
    pub(super) fn new(all: &[String]) -> Self {
        Self(keys(all).into_iter().map(|key| Sha256::digest(key).into()).collect())
    }

    /// Whether this is one of them. How long it takes says nothing about how much of it is right, nor about which it is.
    pub(super) fn knows(&self, key: &str) -> bool {
        let digest: [u8; 32] = Sha256::digest(key).into();
        self.0.iter().fold(false, |known, one| {
            let differing = one.iter().zip(&digest).fold(0, |bits, (a, b)| black_box(bits | (a ^ b)));
            black_box(known | (differing == 0))
        })
    }
}

/// By what a key is known in the log.
fn fingerprint(key: &str) -> String {
    let digest = Sha256::digest(key);
    let digits: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("key#{digits}")
}

/// The key in `Authorization: Bearer KEY`.
pub(super) fn bearer(request: &Request) -> Option<&str> {
    let (scheme, key) = request.headers.get("authorization")?.trim().split_once([' ', '\t'])?;
    let key = key.trim_start();
    (scheme.eq_ignore_ascii_case("bearer") && !key.is_empty()).then_some(key)
}

/// Where a request comes from: whom the throttle counts and the log names. None if nobody knows.
pub(super) fn address(request: &Request, peer: Option<IpAddr>, trust_proxy: bool) -> Option<IpAddr> {
    // Whoever writes something else there is counted as the proxy.
    let forwarded = || request.headers.get("x-forwarded-for")?.split(',').next()?.trim().parse().ok();
    let address: Option<IpAddr> = trust_proxy.then(forwarded).flatten().or(peer);
    address.map(|address| address.to_canonical())
}

/// Says in the log that an operator with this key had something done, or tried to.
pub(super) fn audit(request: &Request, key: &str, address: Option<IpAddr>, status: u16) {
    let address = address.map_or_else(String::new, |address| address.to_string());
    let (method, path, key) = (request.method.as_str(), request.path.as_str(), fingerprint(key));
    tracing::info!(target: "audit", method, path, key, ip = address, status, "an operator");
}

/// How often addresses may be wrong: a bucket of tokens each, which fills again as time passes. Times are milliseconds of
/// one clock that does not go back.
#[derive(Clone, Debug)]
pub struct Throttle {
    tokens: u64,
    window_ms: u64,
    most: usize,
    buckets: HashMap<Option<IpAddr>, Bucket>,
    pruned: u64,
}

/// What is left to an address.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// In parts of a token: a token has as many of them as the window has milliseconds.
    level: u64,
    /// When it was so.
    at: u64,
    /// When the address was first wrong.
    since: u64,
}

impl Throttle {
    /// So many tokens for each address, which come back within a window; so many addresses are remembered at most, and the
    /// oldest one is forgotten first. Without tokens nobody is ever blocked.
    pub fn new(tokens: u32, window_ms: u64, most: usize) -> Self {
        let (tokens, window_ms) = (tokens.into(), window_ms.max(1));
        Self { tokens, window_ms, most: most.max(1), buckets: HashMap::new(), pruned: 0 }
    }

    /// Whether an address has no token left.
    pub fn blocks(&self, address: Option<IpAddr>, now: u64) -> bool {
        let bucket = self.buckets.get(&address);
        self.tokens > 0 && bucket.is_some_and(|bucket| self.level(bucket, now) < self.window_ms)
    }

    /// Takes a token of an address, if it has one left.
    pub fn take(&mut self, address: Option<IpAddr>, now: u64) {
        if now.saturating_sub(self.pruned) >= self.window_ms {
            self.prune(now);
        }
        let full = self.full();
        if !self.buckets.contains_key(&address) && self.buckets.len() >= self.most {
            let oldest =
                self.buckets.iter().min_by_key(|(_, bucket)| bucket.since).map(|(address, _)| *address);
            oldest.and_then(|oldest| self.buckets.remove(&oldest));
        }
        let was = self.buckets.get(&address).copied().unwrap_or(Bucket { level: full, at: now, since: now });
        let level = self.level(&was, now).saturating_sub(self.window_ms);
        self.buckets.insert(address, Bucket { level, at: now, since: was.since });
    }

    /// How many addresses are remembered.
    pub fn remembered(&self) -> usize {
        self.buckets.len()
    }

    fn full(&self) -> u64 {
        self.tokens.saturating_mul(self.window_ms)
    }

    /// In a millisecond as many parts come back as a bucket has tokens, so that a window fills it.
    fn level(&self, bucket: &Bucket, now: u64) -> u64 {
        let back = now.saturating_sub(bucket.at).saturating_mul(self.tokens);
        bucket.level.saturating_add(back).min(self.full())
    }

    /// Forgets whoever has all tokens again.
    fn prune(&mut self, now: u64) {
        let mut buckets = std::mem::take(&mut self.buckets);
        buckets.retain(|_, bucket| self.level(bucket, now) < self.full());
        self.buckets = buckets;
        self.pruned = now;
    }
}

/// The origins whose pages may use the API.
pub(super) struct Cors {
    origins: Vec<String>,
    any: bool,
}

impl Cors {
    pub(super) fn new(origins: Vec<String>) -> Self {
        let any = origins.iter().any(|origin| origin == "*");
        Self { origins, any }
    }

    /// The answer to a browser that asks whether it may ask; none if the request is no such question.
    pub(super) fn preflight(&self, request: &Request) -> Option<Response> {
        let asks = request.headers.get("origin").and(request.headers.get("access-control-request-method"));
        if self.origins.is_empty() || request.method != "OPTIONS" || asks.is_none() {
            return None;
        }
        let mut reply = Response::new(204).header("access-control-allow-methods", "GET,HEAD,POST,DELETE");
        if let Some(headers) = request.headers.joined().remove("access-control-request-headers") {
            reply.headers.push("access-control-allow-headers", headers);
        }
        reply.headers.push("vary", "Access-Control-Request-Headers");
        Some(reply)
    }

    /// Says in an answer whether the page that asked may read it.
    pub(super) fn leave(&self, request: &Request, reply: &mut Response) {
        if self.any {
            reply.headers.push("access-control-allow-origin", "*");
            return;
        }
        if self.origins.is_empty() {
            return;
        }
        // The answer depends on it also if it is not there, and a cache between must know.
        reply.headers.push("vary", "Origin");
        if let Some(origin) =
            request.headers.get("origin").filter(|&origin| self.origins.iter().any(|o| o == origin))
        {
            reply.headers.push("access-control-allow-origin", origin);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(value: &str) -> Request {
        Request::new("GET", "/v1/stats").header("authorization", value)
    }

    #[test]
    fn keys_are_known_whole() {
        let keys = Keys::new(&["one".into(), String::new(), "two".into(), "one".into()]);
        assert!(keys.knows("one") && keys.knows("two"));
        assert!(!keys.knows("") && !keys.knows("on") && !keys.knows("onetwo"));
        assert_eq!(keys.0.len(), 2);
        assert_eq!(fingerprint("one"), "key#7692c3ad");
    }

    #[test]
    fn bearers_are_read_as_they_are_written() {
        for value in ["Bearer k", "bearer k", "BEARER    k", "  Bearer k  "] {
            assert_eq!(bearer(&with(value)), Some("k"), "{value:?}");
        }
        for value in ["k", "Bearer", "Bearer ", "Basic k", "Bearerk", ""] {
            assert_eq!(bearer(&with(value)), None, "{value:?}");
        }
    }

    #[test]
    fn tokens_come_back_one_after_the_other() {
        let mut throttle = Throttle::new(10, 60_000, 3);
        let one = Some(IpAddr::from([10, 0, 0, 1]));
        for now in 0..10 {
            assert!(!throttle.blocks(one, now));
            throttle.take(one, now);
        }
        assert!(throttle.blocks(one, 10) && throttle.blocks(one, 5_999));
        assert!(!throttle.blocks(one, 6_000) && !throttle.blocks(None, 10));
        throttle.take(one, 6_000);
        assert!(throttle.blocks(one, 6_001) && !throttle.blocks(one, 12_000));
    }

    #[test]
    fn the_oldest_is_forgotten_and_whoever_is_full_again() {
        let mut throttle = Throttle::new(1, 1_000, 2);
        let at = |last| Some(IpAddr::from([10, 0, 0, last]));
        for (now, last) in [(0, 1), (1, 2), (2, 3)] {
            throttle.take(at(last), now);
        }
        assert_eq!(throttle.remembered(), 2);
        assert!(!throttle.blocks(at(1), 3) && throttle.blocks(at(2), 3) && throttle.blocks(at(3), 3));
        throttle.take(at(4), 5_000);
        assert_eq!(throttle.remembered(), 1);
        let mut open = Throttle::new(0, 1_000, 2);
        open.take(at(1), 0);
        assert!(!open.blocks(at(1), 0));
    }

    #[test]
    fn a_proxy_is_believed_only_if_it_is_trusted() {
        let request = Request::new("GET", "/").header("x-forwarded-for", "192.0.2.1, 192.0.2.2");
        let peer = Some(IpAddr::from([127, 0, 0, 1]));
        assert_eq!(address(&request, peer, false), peer);
        assert_eq!(address(&request, peer, true), Some(IpAddr::from([192, 0, 2, 1])));
        let nonsense = Request::new("GET", "/").header("x-forwarded-for", "somewhere");
        assert_eq!(address(&nonsense, peer, true), peer);
    }
}
